//! Documents under schemas of their own: which one counts, and what happens if none does.

use std::sync::Arc;

use ottvc_object::RepoPath;
use ottvc_object::conflict::{Conflict, ConflictKind, Terms};
use ottvc_object::field_path::FieldPath;
use ottvc_object::value::Value;

use super::{Merged, merge_values};
use crate::algebra::settle_by;
use crate::slot::{Slot, flatten};
use crate::{MergeError, MergeOptions, Schema};

/// A document, and the schema it was written under.
#[derive(Clone, Debug)]
pub struct Versioned {
    /// The document; `None` where there is none.
    pub value: Option<Value>,
    /// Its schema; `None` where it has none.
    pub schema: Option<Arc<Schema>>,
}

/// Merges documents, each under its own schema.
///
/// The schema of the result is the one that `options` name, else what the terms' schemas settle on by
/// themselves (S0 to S3): the sides' own, or that of the side that changed it. Documents under others
/// are converted to it first. Returns the merge and its schema.
///
/// Sides that changed the schema differently make one conflict over the whole document, of kind
/// `schema`, and no schema.
///
/// # Errors
/// As [`merge_values`].
pub fn merge_documents(
    terms: &Terms<Versioned>,
    options: &MergeOptions,
    file: &RepoPath,
) -> Result<(Merged, Option<Arc<Schema>>), MergeError> {
    let schemas: Vec<Option<Arc<Schema>>> =
        terms.as_slice().iter().map(|term| term.schema.clone()).collect();
    let id = |schema: &Option<Arc<Schema>>| schema.as_ref().map(|schema| schema.id());
    let named = options.schema.clone().map(Some);
    let Some(schema) = named.or_else(|| settle_by(&schemas, &|a, b| id(a) == id(b))) else {
        let values = terms.as_slice().iter().map(|term| term.value.as_ref().into());
        return Ok((disagreement(&values.collect::<Vec<Slot<'_>>>())?, None));
    };
    let converted = terms.map(|term| match (&term.value, &schema) {
        (Some(value), Some(schema)) if id(&term.schema) != Some(schema.id()) => {
            Some(schema.convert(value))
        }
        (value, _) => value.clone(),
    });
    let options = MergeOptions { schema: schema.clone(), ..options.clone() };
    Ok((merge_values(&converted, &options, file)?, schema))
}

/// One conflict over the whole document.
fn disagreement(values: &[Slot<'_>]) -> Result<Merged, MergeError> {
    let flat = flatten(values);
    let count = flat.len();
    let terms = Terms::new(flat.iter().map(|slot| slot.to_term()).collect());
    let conflict = Conflict {
        kind: ConflictKind::Schema,
        path: FieldPath::root(),
        policy: "schema".to_owned(),
        terms: terms.map_err(|_| MergeError::TooManyTerms { at: "/".to_owned(), count })?,
    };
    Ok(Merged {
        value: Some(Value::Conflict(Box::new(conflict))),
        conflicts: vec![FieldPath::root()],
        decisions: Vec::new(),
        notices: Vec::new(),
    })
}
