//! What an object is: ids, the object kinds, and their canonical bytes.
//!
//! Everything here is pure. `docs/format.md` says the same in prose, byte by byte, and is the first
//! place to change. Storing, finding and moving objects live in the crates above.

pub mod codec;
pub mod commit;
pub mod conflict;
pub mod entry;
pub mod error;
pub mod field_path;
pub mod id;
pub mod manifest;
pub mod path;
pub mod tree;
pub mod value;

pub use codec::{Kind, Object, Storable};
pub use commit::{Commit, EditionId, Signature};
pub use conflict::{Conflict, ConflictKind, Term, Terms};
pub use entry::{Entry, FileEntry, FileMode, NamedEntry, Totals};
pub use error::ObjectError;
pub use field_path::{FieldPath, Segment};
pub use id::{
    ChunkId, CommitId, ConflictId, ContentId, CoreId, DocumentId, Hash, ManifestId, ObjectId,
    PageId, SchemaId, TreeId,
};
pub use path::{Name, RepoPath};
pub use value::{Document, Value};
