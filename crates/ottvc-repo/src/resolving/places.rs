//! What stands at the places of conflicts, each read once however many conflicts are in it.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use ottvc_object::commit::ConflictPlace;
use ottvc_object::conflict::Conflict;
use ottvc_object::field_path::{FieldPath, Segment};
use ottvc_object::path::PathKey;
use ottvc_object::tree::lookup_path;
use ottvc_object::value::{Document, ListOrder, Value};
use ottvc_object::{Entry, NamedEntry, RepoPath, TreeId};

use crate::nodes::Batch;
use crate::record::place_text;
use crate::schemas::Schemas;
use crate::{Repo, RepoError};

/// How many places stay in memory: lists of conflicts go path by path, and mostly need one.
pub(super) const KEPT: usize = 256;

/// What stands at a path of a tree.
#[derive(Debug)]
pub(crate) struct There {
    pub(crate) named: NamedEntry,
    pub(crate) holds: Holds,
}

/// What an entry holds, as far as it can be in conflict.
#[derive(Debug)]
pub(crate) enum Holds {
    /// It is in conflict itself.
    Conflict(Conflict<Entry>),
    /// A document, perhaps with conflicts.
    Document(Document),
    /// Nothing of that kind.
    Else,
}

/// A conflict at a place.
pub(crate) enum Disputed<'t> {
    Entry(&'t Conflict<Entry>),
    Field(&'t FieldPath, &'t Conflict<Value>),
}

/// The entries of a tree that conflicts are in.
#[derive(Debug)]
pub(crate) struct Places<'r> {
    pub(crate) batch: &'r Batch<'r>,
    pub(crate) schemas: Arc<Schemas>,
    tree: TreeId,
    kept: HashMap<PathKey, Option<Rc<There>>>,
}

impl<'r> Places<'r> {
    pub(crate) fn of(
        repo: &'r Repo,
        batch: &'r Batch<'r>,
        tree: TreeId,
    ) -> Result<Self, RepoError> {
        let schemas = repo.schemas_for_reading(batch, tree)?;
        Ok(Self { batch, schemas, tree, kept: HashMap::new() })
    }

    /// Those of another tree.
    pub(super) fn in_tree(&self, tree: TreeId) -> Self {
        Self { batch: self.batch, schemas: Arc::clone(&self.schemas), tree, kept: HashMap::new() }
    }

    /// What stands at a path, if anything does.
    pub(crate) fn at(&mut self, path: &RepoPath) -> Result<Option<Rc<There>>, RepoError> {
        let key = path.key();
        if let Some(known) = self.kept.get(&key) {
            return Ok(known.clone());
        }
        let there = match lookup_path(self.batch, self.tree, path)? {
            None => None,
            Some(named) => {
                let holds = match named.entry {
                    Entry::Conflict(id) => Holds::Conflict(self.batch.load(id)?),
                    Entry::Document { id, .. } => Holds::Document(self.batch.load(id)?),
                    Entry::File(_) | Entry::Tree { .. } => Holds::Else,
                };
                Some(Rc::new(There { named, holds }))
            }
        };
        if self.kept.len() >= KEPT {
            self.kept.clear();
        }
        self.kept.insert(key, there.clone());
        Ok(there)
    }

    /// What stands at the place of a conflict.
    ///
    /// # Errors
    /// [`RepoError::NoConflict`] if nothing does.
    pub(crate) fn of_conflict(&mut self, place: &ConflictPlace) -> Result<Rc<There>, RepoError> {
        let none = || RepoError::NoConflict { place: place_text(place) };
        self.at(&place.path)?.ok_or_else(none)
    }
}

impl There {
    /// The conflict at a field of it, or of all of it.
    pub(crate) fn conflict<'t>(&'t self, field: Option<&'t FieldPath>) -> Option<Disputed<'t>> {
        match (&self.holds, field) {
            (Holds::Conflict(conflict), None) => Some(Disputed::Entry(conflict)),
            (Holds::Document(document), Some(field)) => {
                conflict_at(document.value(), field).map(|it| Disputed::Field(field, it))
            }
            _ => None,
        }
    }
}

/// Finds the conflict at a field, that of a list's order among them.
pub(crate) fn conflict_at<'v>(
    document: &'v Value,
    field: &FieldPath,
) -> Option<&'v Conflict<Value>> {
    match field.0.split_last() {
        Some((Segment::Order, list)) => match document.get(&FieldPath(list.to_vec())) {
            Some(Value::Keyed(list)) => match list.order() {
                ListOrder::Conflict(conflict) => Some(conflict),
                ListOrder::Known(_) => None,
            },
            _ => None,
        },
        _ => match document.get(field) {
            Some(Value::Conflict(conflict)) => Some(conflict),
            _ => None,
        },
    }
}
