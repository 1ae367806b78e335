//! A commit: one state of an edition, and how it came about.

use std::fmt;
use std::str::FromStr;

use bincode::{Decode, Encode};

use crate::codec::{Kind, Storable};
use crate::error::ObjectError;
use crate::field_path::FieldPath;
use crate::id::{CommitId, TreeId};
use crate::path::RepoPath;

/// The longest commit message, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 1 << 20;
/// The most parents a commit has.
pub const MAX_PARENTS: usize = 32;

/// Names an edition for ever: 16 random bytes, given when its branch is made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct EditionId(pub [u8; 16]);

impl fmt::Display for EditionId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}
impl fmt::Debug for EditionId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "EditionId({self})")
    }
}

/// Who did something, and when.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Signature {
    /// A person or program, as `Name <address>` or a bare name; one line.
    pub who: String,
    /// UTC milliseconds since 1970.
    pub time: i64,
}

/// The commit of another edition that this one inherits from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Pin {
    /// The parent edition.
    pub edition: EditionId,
    /// Its commit.
    pub commit: CommitId,
}

/// How a merge was made.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct MergeRecord {
    /// The best common ancestors it started from, sorted.
    pub bases: Vec<CommitId>,
    /// Rules the caller passed, as `PATTERN=SIDE`, in order.
    pub rules: Vec<String>,
    /// Version of the merge rules.
    pub engine: u32,
}

/// Where a conflict stands, so that `conflicts` need not walk the tree.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct ConflictPlace {
    /// The entry it is in or replaces.
    pub path: RepoPath,
    /// The field, for a conflict inside a document.
    pub field: Option<FieldPath>,
}

/// A program or model that wrote a commit for somebody.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Provenance {
    /// The tool, with its version.
    pub tool: String,
    /// The model, with its version.
    pub model: Option<String>,
}

/// One state of an edition.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Commit {
    /// Root of all files and documents.
    pub tree: TreeId,
    /// The states it grew from; ours first in a merge.
    pub parents: Vec<CommitId>,
    /// One more than the greatest generation of its parents; 1 without parents.
    pub generation: u64,
    /// Who made the change.
    pub author: Signature,
    /// Who recorded it.
    pub committer: Signature,
    /// Why; free text.
    pub message: String,
    /// The edition it is a state of.
    pub edition: EditionId,
    /// The edition's own layers, where it inherits the rest: a tree that has the layer of a document at
    /// that document's path.
    pub own: Option<TreeId>,
    /// What it inherits from.
    pub pin: Option<Pin>,
    /// Where its tree holds conflicts: sorted, without duplicates.
    pub conflicts: Vec<ConflictPlace>,
    /// How it was merged, for a merge.
    pub merge: Option<MergeRecord>,
    /// What machine wrote it, if one did.
    pub provenance: Option<Provenance>,
}

impl Storable for Commit {
    const KIND: Kind = Kind::Commit;
    type Id = CommitId;

    fn validate(&self) -> Result<(), ObjectError> {
        let malformed = |why: &str| ObjectError::Malformed { what: "commit", why: why.into() };
        if self.parents.len() > MAX_PARENTS {
            return Err(malformed("too many parents"));
        }
        if self.message.len() > MAX_MESSAGE_BYTES {
            return Err(malformed("message over 1 MiB"));
        }
        if !self.conflicts.is_sorted_by(|a, b| a < b) {
            return Err(malformed("conflict places out of order"));
        }
        if self.own.is_some() && self.pin.is_none() {
            return Err(malformed("layers of its own over nothing"));
        }
        if (self.generation == 1) != self.parents.is_empty() || self.generation == 0 {
            return Err(malformed("generation does not fit the parents"));
        }
        Ok(())
    }
}

impl FromStr for EditionId {
    type Err = ObjectError;
    fn from_str(text: &str) -> Result<Self, ObjectError> {
        let bad = || ObjectError::BadId { text: text.to_owned() };
        // Whatever else `from_str_radix` takes for a number, a sign among it.
        if text.len() != 32 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(bad());
        }
        u128::from_str_radix(text, 16).map(|number| Self(number.to_be_bytes())).map_err(|_| bad())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edition_id_is_32_digits() {
        let id = EditionId([0xab; 16]);
        assert_eq!(id.to_string().parse::<EditionId>().ok(), Some(id));
        for bad in ["", "ab", &format!("+{}", "a".repeat(31)), &"a".repeat(33)] {
            assert!(bad.parse::<EditionId>().is_err(), "{bad}");
        }
    }
}
