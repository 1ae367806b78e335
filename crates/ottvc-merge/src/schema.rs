//! Schemas: what the fields of a document are, and how each of them merges.
//!
//! A schema picks policies and never kinds: a value carries its kind, so documents merge without a
//! schema too. It is data, written in YAML, named `NAME/VERSION`, and identified by the hash of its
//! canonical form (`docs/merge.md`, Schemas), so two spellings of one schema are one schema.

mod canonical;
mod convert;
mod cursor;
mod field;
mod fits;
mod format;
mod json_schema;
mod known;
mod once;
mod plain;
mod predicate;
pub(crate) mod read;
mod unknown;
mod validate;
pub(crate) mod yaml;

use std::sync::{Arc, LazyLock};

use ottvc_object::id::SchemaId;

use crate::MergeError;

pub(crate) use convert::{convert, order_of};
pub(crate) use cursor::{Cursor, Whole, is_container};
pub use field::{
    Delete, Fallback, Field, Inherit, Limits, OnShadow, Order, Policy, Reach, Type, Unit,
};
pub use format::Format;
pub use known::{Broken, Known, validate_change_since};
pub(crate) use once::changes_once;
pub use once::{validate_change, validate_merge};
pub(crate) use plain::{place, plain};
pub use predicate::Predicate;
pub use unknown::Unknown;
pub(crate) use validate::findings_at;
pub use validate::{Finding, MAX_FINDINGS, validate, validate_since};

/// The text of the built-in schema.
const EDITION: &str = include_str!("../schemas/ott.edition-1.yaml");

/// A schema: fields by pattern, of which the most specific that matches counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    name: String,
    version: u32,
    /// Sorted by pattern.
    fields: Vec<Field>,
    id: SchemaId,
}

impl Schema {
    /// Reads a schema from YAML, as whoever writes it wants it read.
    ///
    /// # Errors
    /// [`MergeError::BadYaml`] with line and column, [`MergeError::BadField`] naming field, rule and
    /// value, [`MergeError::SameField`] for two patterns that match the same.
    pub fn parse(text: &str) -> Result<Self, MergeError> {
        read::schema(&yaml::parse(text)?, true)
    }

    /// Reads a schema that is stored already: what only makes no sense is let be, as it was when it was stored.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn parse_stored(text: &str) -> Result<Self, MergeError> {
        read::schema(&yaml::parse(text)?, false)
    }

    /// The built-in schema `ott.edition/1`: the fields operators keep of an edition.
    ///
    /// # Errors
    /// None in a build that passes its tests; the type is what [`Self::parse`] returns.
    pub fn edition() -> Result<Arc<Self>, MergeError> {
        static BUILT_IN: LazyLock<Option<Arc<Schema>>> =
            LazyLock::new(|| Schema::parse(EDITION).ok().map(Arc::new));
        match &*BUILT_IN {
            Some(schema) => Ok(schema.clone()),
            None => Self::parse(EDITION).map(Arc::new),
        }
    }

    /// The YAML text of [`Self::edition`], to be copied and changed.
    pub fn edition_text() -> &'static str {
        EDITION
    }

    /// Its name, without the version.
    pub fn name(&self) -> &str {
        &self.name
    }
    /// Its version.
    pub fn version(&self) -> u32 {
        self.version
    }
    /// Its name and version, `ott.edition/1`.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.name, self.version)
    }
    /// The hash of its canonical form.
    pub fn id(&self) -> SchemaId {
        self.id
    }
    /// What it says, in the order of patterns.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }
    /// Whether two equal sides may still have something to add up, so that no equality of theirs
    /// settles a document.
    pub fn counts(&self) -> bool {
        self.fields.iter().any(|field| field.merge == Some(Policy::Counter))
    }
}
