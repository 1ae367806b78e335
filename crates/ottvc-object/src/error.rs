//! Why bytes are no object, or a text no id, name or path.

/// Why something is not a well-formed object, id, name, path or value.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// Not 64 hexadecimal digits.
    #[error("`{text}` is not an id: 64 hexadecimal digits are")]
    BadId {
        /// What was given.
        text: String,
    },
    /// Bytes that are no canonical form of what they should be.
    #[error("malformed {what}: {why}")]
    Malformed {
        /// The kind of thing.
        what: &'static str,
        /// The rule broken.
        why: String,
    },
    /// Written by a later release.
    #[error("{kind} in layout {layout}, which this release does not know")]
    UnknownLayout {
        /// The kind of thing.
        kind: &'static str,
        /// Its layout version.
        layout: u8,
    },
    /// Past a limit.
    #[error("{what} of {len} is over the limit of {limit}")]
    TooLarge {
        /// The kind of thing, with its unit where that is not bytes.
        what: &'static str,
        /// Its size.
        len: u64,
        /// The limit.
        limit: u64,
    },
    /// A name that some system could not hold, or that could leave the tree.
    #[error("`{path}` cannot be a path here: {why}")]
    BadPath {
        /// What was given.
        path: String,
        /// The rule broken.
        why: &'static str,
    },
    /// A position past the end.
    #[error("offset {offset} is past the end at {len}")]
    OutOfRange {
        /// The offset asked for.
        offset: u64,
        /// The length there is.
        len: u64,
    },
    /// Text that is not JSON, or JSON that is no metadata value.
    #[error("not a metadata document at line {line}, column {column}: {why}")]
    BadJson {
        /// Line, from 1; 0 where it is not known.
        line: usize,
        /// Column, from 1; 0 where it is not known.
        column: usize,
        /// What is wrong.
        why: String,
    },
    /// Text that is no field path.
    #[error("`{field}` is no field path: {why}")]
    BadField {
        /// What was given.
        field: String,
        /// What is wrong.
        why: &'static str,
    },
    /// A value that breaks a rule of its kind.
    #[error("bad value at {field}: {why}")]
    BadValue {
        /// Field path of the value.
        field: String,
        /// The rule broken.
        why: String,
    },
}

impl ObjectError {
    /// Returns the stable code shown at the edges; it is never renamed or given a new meaning.
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadId { .. } => "object.bad_id",
            Self::Malformed { .. } => "object.malformed",
            Self::UnknownLayout { .. } => "object.unknown_layout",
            Self::TooLarge { .. } => "object.too_large",
            Self::BadPath { .. } => "path.invalid",
            Self::OutOfRange { .. } => "object.out_of_range",
            Self::BadJson { .. } => "document.bad_json",
            Self::BadField { .. } => "document.bad_field",
            Self::BadValue { .. } => "document.bad_value",
        }
    }
}
