//! Why an object store could not do what was asked.

use std::path::PathBuf;

use ottvc_object::{ChunkId, ObjectError, ObjectId};

/// Any error of a backend, kept as a cause.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why an object store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Nobody stored this object, or collection dropped it.
    #[error("object {id} is not in the store")]
    NotFound {
        /// The id asked for.
        id: ObjectId,
    },
    /// Nobody stored this chunk, or collection dropped it.
    #[error("chunk {id} is not in the store")]
    NoChunk {
        /// The id asked for.
        id: ChunkId,
    },
    /// The bytes no longer hash to `id`: the medium failed, or a writer did; never the caller.
    #[error("object {id} is damaged in {place}")]
    Damaged {
        /// The id asked for.
        id: ObjectId,
        /// File and offset.
        place: String,
    },
    /// The bytes no longer hash to `id`: the medium failed, or a writer did; never the caller.
    #[error("chunk {id} is damaged in {place}")]
    DamagedChunk {
        /// The id asked for.
        id: ChunkId,
        /// File and offset.
        place: String,
    },
    /// The store was opened for reading.
    #[error("the store is open for reading only")]
    ReadOnly,
    /// Another process writes to this store and did not finish in time.
    #[error("{} is in use by {holder}", path.display())]
    Busy {
        /// The store.
        path: PathBuf,
        /// Who holds it: command, process id, since when.
        holder: String,
    },
    /// No store here.
    #[error("{} holds no ottvc store", path.display())]
    NoStore {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// Written by a later release.
    #[error("{} is in format {found}; this release reads up to {known}", path.display())]
    TooNew {
        /// The store.
        path: PathBuf,
        /// Its format version.
        found: String,
        /// The newest we know.
        known: u32,
    },
    /// The version file says nothing we can read.
    #[error("{} holds no format version; it should read `ottvc 1`", path.display())]
    BadVersion {
        /// The version file.
        path: PathBuf,
    },
    /// The disk has no room left; nothing stored before is lost.
    #[error("no space left to {action} {}", path.display())]
    Full {
        /// What was being done.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// The system's error.
        source: BoxError,
    },
    /// The system refuses access.
    #[error("no permission to {action} {}", path.display())]
    Denied {
        /// What was being done.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// The system's error.
        source: BoxError,
    },
    /// The index cannot be used; it can be rebuilt from the packs.
    #[error("the index of {} cannot be used", path.display())]
    Index {
        /// The store.
        path: PathBuf,
        /// What the database says.
        source: BoxError,
    },
    /// The backend failed beneath us; trying again may help.
    #[error("cannot {action} {}", path.display())]
    Backend {
        /// What was being done.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// The system's error.
        source: BoxError,
    },
    /// Bytes that no object can have.
    #[error("the store holds bytes that are no object")]
    Object(#[from] ObjectError),
    /// A reader handed chunks to something that failed.
    #[error("reading was stopped")]
    Stopped(#[source] BoxError),
}

impl StoreError {
    /// Returns the stable code shown at the edges; it is never renamed or given a new meaning.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "store.not_found",
            Self::NoChunk { .. } => "store.no_chunk",
            Self::Damaged { .. } | Self::DamagedChunk { .. } => "store.damaged",
            Self::ReadOnly => "store.read_only",
            Self::Busy { .. } => "store.busy",
            Self::NoStore { .. } => "store.none_here",
            Self::TooNew { .. } => "store.too_new",
            Self::BadVersion { .. } => "store.bad_version",
            Self::Full { .. } => "store.full",
            Self::Denied { .. } => "store.denied",
            Self::Index { .. } => "store.index",
            Self::Backend { .. } => "store.backend",
            Self::Object(error) => error.code(),
            Self::Stopped(_) => "store.stopped",
        }
    }

    /// Sorts a system error by what the user can do about it.
    pub fn io(action: &'static str, path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        let path = path.into();
        match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                Self::Full { action, path, source: source.into() }
            }
            std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
                Self::Denied { action, path, source: source.into() }
            }
            _ => Self::Backend { action, path, source: source.into() },
        }
    }
}
