//! Why a ref store could not do what was asked.

use ottvc_object::ObjectError;

use crate::RefValue;

/// Any error of a backend, kept as a cause.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a ref store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum RefError {
    /// A name that no ref may have.
    #[error("`{name}` cannot be the name of a branch or tag: {why}")]
    BadName {
        /// What was given.
        name: String,
        /// The rule broken.
        why: &'static str,
    },
    /// A ref does not say what the transaction expected; nothing has changed.
    #[error("{name} moved meanwhile")]
    Moved {
        /// Which ref.
        name: String,
        /// What it says now.
        current: Option<Box<RefValue>>,
    },
    /// A transaction that makes no sense whatever the refs say; the caller's mistake.
    #[error("a ref transaction is refused: {why}")]
    BadTransaction {
        /// The rule broken.
        why: &'static str,
    },
    /// The store was opened for reading.
    #[error("refs are open for reading only")]
    ReadOnly,
    /// Bytes that are no ref or operation.
    #[error("a ref or operation cannot be read")]
    Object(#[from] ObjectError),
    /// The backend failed beneath us; trying again may help.
    #[error("cannot {action}")]
    Backend {
        /// What was being done.
        action: &'static str,
        /// The backend's error.
        source: BoxError,
    },
}

impl RefError {
    /// Returns the stable code shown at the edges; it is never renamed or given a new meaning.
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadName { .. } => "refs.bad_name",
            Self::Moved { .. } => "refs.moved",
            Self::BadTransaction { .. } => "refs.bad_transaction",
            Self::ReadOnly => "refs.read_only",
            Self::Object(error) => error.code(),
            Self::Backend { .. } => "refs.backend",
        }
    }
}
