//! What a tree says about one name.

use bincode::{Decode, Encode};

use crate::id::{ConflictId, ContentId, DocumentId, TreeId};
use crate::path::{Name, RepoPath};

/// How many former paths an entry remembers.
pub const MAX_FORMER_PATHS: usize = 16;

/// How a file lies in a working copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum FileMode {
    /// Plain bytes.
    Regular,
    /// Plain bytes with the executable bit.
    Executable,
    /// The bytes are the target of a symbolic link.
    Symlink,
}

/// A file: its content id, length in bytes, and mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct FileEntry {
    /// BLAKE3 of all its bytes.
    pub content: ContentId,
    /// Its length in bytes.
    pub len: u64,
    /// How it lies in a working copy.
    pub mode: FileMode,
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum Entry {
    /// A file.
    File(FileEntry),
    /// A metadata document; `len` counts its canonical bytes.
    Document {
        /// Which.
        id: DocumentId,
        /// Length of its canonical bytes.
        len: u64,
    },
    /// A folder. Never empty.
    Tree {
        /// Root node of the folder.
        id: TreeId,
        /// Sums over everything below.
        totals: Totals,
    },
    /// A conflict between entries, waiting for someone to decide.
    Conflict(ConflictId),
}

/// Sums over a tree, so that a commit can say how much it holds without walking it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Totals {
    /// Files, symbolic links among them.
    pub files: u64,
    /// Metadata documents.
    pub documents: u64,
    /// Conflicts between entries (those inside documents are not counted).
    pub conflicts: u64,
    /// Bytes of all files and all documents' canonical bytes; saturates at the largest `u64`.
    pub bytes: u64,
}

impl Totals {
    /// The sums of two disjoint parts.
    pub fn plus(self, other: Self) -> Self {
        Self {
            files: self.files.saturating_add(other.files),
            documents: self.documents.saturating_add(other.documents),
            conflicts: self.conflicts.saturating_add(other.conflicts),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }
}

impl Entry {
    /// What this entry adds to the sums of its folder.
    pub fn totals(&self) -> Totals {
        match *self {
            Self::File(file) => Totals { files: 1, bytes: file.len, ..Totals::default() },
            Self::Document { len, .. } => Totals { documents: 1, bytes: len, ..Totals::default() },
            Self::Tree { totals, .. } => totals,
            Self::Conflict(_) => Totals { conflicts: 1, ..Totals::default() },
        }
    }
    /// The word for it in messages and JSON.
    pub fn word(&self) -> &'static str {
        match self {
            Self::File(FileEntry { mode: FileMode::Symlink, .. }) => "symlink",
            Self::File(_) => "media",
            Self::Document { .. } => "document",
            Self::Tree { .. } => "tree",
            Self::Conflict(_) => "conflict",
        }
    }
}

/// A name in a folder and what it stands for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct NamedEntry {
    /// Its name; its key is its place in the folder.
    pub name: Name,
    /// What it stands for.
    pub entry: Entry,
    /// Paths this entry had before it was renamed: sorted, without duplicates, at most 16.
    pub former: Vec<RepoPath>,
}
