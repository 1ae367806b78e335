//! Ids: 32 bytes of BLAKE3, one type per kind of thing, so that one never passes for another.

use std::fmt;
use std::str::FromStr;

use bincode::{Decode, Encode};

use crate::error::ObjectError;

/// 32 bytes of BLAKE3, in the order the hash function gives them.
pub type Hash = [u8; 32];

/// Writes `hash` as 64 lowercase hexadecimal digits.
fn write_hex(hash: &Hash, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    hash.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
}

/// Reads 64 hexadecimal digits.
fn parse_hex(text: &str) -> Result<Hash, ObjectError> {
    let bad = || ObjectError::BadId { text: text.to_owned() };
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return Err(bad());
    }
    let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|n| u8::try_from(n).ok());
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        match pair {
            [high, low] => {
                *byte = nibble(*high).ok_or_else(bad)? << 4 | nibble(*low).ok_or_else(bad)?;
            }
            _ => return Err(bad()),
        }
    }
    Ok(hash)
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// The 32 bytes.
            pub fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
            /// The first 12 hexadecimal digits, for people.
            pub fn short(&self) -> String {
                self.to_string().chars().take(12).collect()
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(&self.0, out)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(out, "{}({})", stringify!($name), self.short())
            }
        }
        impl FromStr for $name {
            type Err = ObjectError;
            fn from_str(text: &str) -> Result<Self, ObjectError> {
                parse_hex(text).map(Self)
            }
        }
    )*};
}

ids! {
    /// Names any object of the DAG by the hash of its canonical bytes under its kind's context.
    ObjectId;
    /// Names a commit.
    CommitId;
    /// Names the root node of a tree.
    TreeId;
    /// Names a metadata document: one value, whole.
    DocumentId;
    /// Names a conflict between tree entries.
    ConflictId;
    /// Names what a conflict is about: the same for everyone who merges the same heads.
    CoreId;
    /// Names a manifest: how a store keeps one file.
    ManifestId;
    /// Names a page of a chunk list.
    PageId;
    /// Names a metadata schema by the hash of its canonical form.
    SchemaId;
    /// BLAKE3 of a chunk's raw bytes, nothing added: `b3sum` of those bytes.
    ChunkId;
    /// BLAKE3 of all bytes of a file, nothing added: what `b3sum FILE` prints.
    ContentId;
}

macro_rules! object_ids {
    ($($name:ident)*) => {$(
        impl From<$name> for ObjectId {
            fn from(id: $name) -> Self {
                Self(id.0)
            }
        }
        impl From<ObjectId> for $name {
            fn from(id: ObjectId) -> Self {
                Self(id.0)
            }
        }
    )*};
}
object_ids! { CommitId TreeId DocumentId ConflictId ManifestId PageId }

impl ChunkId {
    /// Returns the id of the chunk with these raw bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

impl ContentId {
    /// Returns the content id of a file with these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}
