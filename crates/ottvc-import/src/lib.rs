//! Foreign metadata in and out: Dublin Core, EBUCore, PBCore, MEC, OMC, IMF, and tables.
//!
//! Pure: bytes in, a [`Delivery`] out, and a document back into bytes. What a format means is a
//! [`Mapping`], which is data (`mappings/`, `docs/import.md`); this crate reads the syntax, follows the
//! mapping, and keeps what no rule takes under `/custom/FORMAT`. Input is hostile until it is read: limits
//! on bytes, elements and depth, no entities, nothing fetched. Committing and merging deliveries is
//! the facade's.

mod apply;
mod csv;
mod envelope;
mod error;
mod export;
mod formats;
mod graft;
mod imf;
mod json;
mod kind;
mod leftover;
mod mapping;
mod out;
mod scope;
mod selector;
mod tree;
mod xml;

pub use error::ImportError;
pub use export::{Written, write};
pub use formats::{BUILT_IN, MAX_ROWS, built_in, gather_files, read};
pub use imf::{ASSET_MAPS, MAX_PACKING_LISTS, MAX_PLAYLISTS, Package, read_package};
pub use mapping::{MAX_MAPPING_BYTES, Mapping, Syntax};
pub use scope::{Scope, deliver, overlay};
pub use tree::{MAX_ATTRIBUTES, MAX_BYTES, MAX_DEPTH, MAX_LEVELS, MAX_NAME, MAX_PARTS, MAX_STEPS};

use ottvc_object::field_path::FieldPath;
use ottvc_object::value::Value;

/// One document as a source delivers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Where it belongs, if the mapping says so.
    pub path: Option<String>,
    /// The format it came in.
    pub format: String,
    /// Name and version of the mapping.
    pub mapping: String,
    /// What it says, in the kinds of `ott.edition/1`; a map.
    pub document: Value,
    /// The fields the source owns, each with all below it.
    pub scope: Vec<FieldPath>,
    /// How many elements had something that no rule took.
    pub unmapped: u64,
    /// What is odd about it, by line.
    pub findings: Vec<Finding>,
}

/// What is odd about a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// A word for the kind of finding.
    pub code: &'static str,
    /// Line, from 1; 0 where it is not known.
    pub line: u64,
    /// The element it is about.
    pub element: String,
    /// What is odd.
    pub why: String,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Something is kept aside, or was said twice.
    Warning,
    /// The delivery must not be taken.
    Error,
}

impl Severity {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}
