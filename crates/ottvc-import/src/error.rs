//! Why a delivery cannot be read at all; what is merely odd about one is a finding.

use ottvc_object::ObjectError;

/// Why foreign metadata cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Nothing says what the bytes are.
    #[error("no known format: {why}")]
    UnknownFormat {
        /// What was looked for.
        why: String,
    },
    /// The bytes are not what their format is written in.
    #[error("not {syntax} at line {line}: {why}")]
    Malformed {
        /// `XML`, `JSON` or `CSV`.
        syntax: &'static str,
        /// Line, from 1; 0 where it is not known.
        line: u64,
        /// What is wrong.
        why: String,
    },
    /// More than a delivery may hold.
    #[error("{what}{}: {limit} is the most", at_line(*line))]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// Line, from 1; 0 where it is the whole.
        line: u64,
        /// The limit.
        limit: u64,
    },
    /// A mapping that cannot be read, or says what makes no sense.
    #[error("mapping, {place}: {why}")]
    BadMapping {
        /// The line, or the rule.
        place: String,
        /// What is wrong.
        why: String,
    },
    /// A format that is read and not written.
    #[error("`{format}` cannot be written: {why}")]
    OneWay {
        /// The format.
        format: String,
        /// Why.
        why: &'static str,
    },
    /// What a delivery says is no metadata document.
    #[error(transparent)]
    Object(#[from] ObjectError),
}

/// Where in a file; nothing where it is the whole, or one that is written.
fn at_line(line: u64) -> String {
    if line == 0 { String::new() } else { format!(" at line {line}") }
}

impl ImportError {
    /// Returns the stable code shown at the edges; it is never renamed or given a new meaning.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownFormat { .. } => "import.unknown_format",
            Self::Malformed { .. } => "import.malformed",
            Self::TooLarge { .. } => "import.too_large",
            Self::BadMapping { .. } => "import.bad_mapping",
            Self::OneWay { .. } => "export.one_way",
            Self::Object(error) => error.code(),
        }
    }

    /// The line of the delivered file, where it is known.
    pub fn line(&self) -> Option<u64> {
        match self {
            Self::Malformed { line, .. } | Self::TooLarge { line, .. } if *line > 0 => Some(*line),
            _ => None,
        }
    }

    pub(crate) fn mapping(place: impl Into<String>, why: impl Into<String>) -> Self {
        Self::BadMapping { place: place.into(), why: why.into() }
    }
}
