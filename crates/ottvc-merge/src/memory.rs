//! Disagreements that were settled before: met again, they may be settled alike.
//!
//! What is remembered, for whom, and for how long is the caller's; here is only what makes two
//! disagreements the same, or the same but for their base, and the merge that asks.

use std::collections::BTreeMap;

use ottvc_object::conflict::{Conflict, ConflictKind, Term};
use ottvc_object::value::{MOVE, Value};
use ottvc_object::{Entry, FileEntry, FileMode, RepoPath};

use crate::Schema;

/// The BLAKE3 key-derivation context of a memory key.
const CONTEXT: &str = "ottvc 2026 conflict memory v2";
/// Bytes of one of the two hashes of a key.
const HASH: usize = 32;

/// What a disagreement is about: its kind, its place, and what the sides and bases have, in any order. In a
/// document of a schema its place is the pattern that speaks for it, wherever that is met.
///
/// Keys of disagreements that differ in the bases alone begin with the same bytes, those of
/// [`Self::sides`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemoryKey {
    sides: [u8; HASH],
    whole: [u8; HASH],
}

impl MemoryKey {
    /// Bytes of a key.
    pub const LEN: usize = 2 * HASH;

    /// Returns the key of a conflict, or `None` for those whose kind is never settled from memory: what
    /// was right for one list, container or base says nothing about another.
    pub fn of(conflict: &Conflict<Value>, schema: Option<&Schema>) -> Option<Self> {
        if conflict.policy == MOVE {
            // It is settled in several lists at once.
            return None;
        }
        // Where no pattern speaks, the place itself stands for one.
        let field = schema.and_then(|schema| schema.field_at(&conflict.path));
        let place = field.map_or_else(|| conflict.path.to_string(), |it| it.pattern().to_owned());
        Self::made("field", &place, conflict, &|term| match term {
            Term::Absent => [0; HASH],
            Term::Value(value) => *blake3::hash(&value.canonical_bytes()).as_bytes(),
            Term::Contested(conflict) => *conflict.core_id().as_bytes(),
        })
    }

    /// As [`Self::of`], for a conflict between whole entries at `path`: by their ids.
    pub fn of_entry(conflict: &Conflict<Entry>, path: &RepoPath) -> Option<Self> {
        Self::made("entry", &path.key().0.join("/"), conflict, &|term| match term {
            Term::Absent => [0; HASH],
            Term::Value(entry) => entry_hash(entry),
            Term::Contested(conflict) => *conflict.core_id().as_bytes(),
        })
    }

    fn made<T>(
        what: &str,
        place: &str,
        conflict: &Conflict<T>,
        hash: &dyn Fn(&Term<T>) -> [u8; HASH],
    ) -> Option<Self> {
        if matches!(
            conflict.kind,
            ConflictKind::Order
                | ConflictKind::Invariant
                | ConflictKind::ContestedBase
                | ConflictKind::Shadow
        ) {
            return None;
        }
        let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
        let said = |hasher: &mut blake3::Hasher, bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
        };
        said(&mut hasher, what.as_bytes());
        said(&mut hasher, conflict.kind.word().as_bytes());
        said(&mut hasher, place.as_bytes());
        said(&mut hasher, &sorted(conflict.terms.adds().map(hash)));
        let sides = *hasher.finalize().as_bytes();
        said(&mut hasher, &sorted(conflict.terms.removes().map(hash)));
        Some(Self { sides, whole: *hasher.finalize().as_bytes() })
    }

    /// Takes the bytes that [`Self::to_bytes`] gave; `None` for any other number of them.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (sides, whole) = bytes.split_at_checked(HASH)?;
        Some(Self { sides: sides.try_into().ok()?, whole: whole.try_into().ok()? })
    }
    /// The bytes: those of [`Self::sides`], then those of [`Self::whole`].
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let (sides, whole) = bytes.split_at_mut(HASH);
        sides.copy_from_slice(&self.sides);
        whole.copy_from_slice(&self.whole);
        bytes
    }
    /// The hash of all but the bases.
    pub fn sides(&self) -> &[u8; HASH] {
        &self.sides
    }
    /// The hash of all of it.
    pub fn whole(&self) -> &[u8; HASH] {
        &self.whole
    }
}

fn sorted(hashes: impl Iterator<Item = [u8; HASH]>) -> Vec<u8> {
    let mut hashes: Vec<[u8; HASH]> = hashes.collect();
    hashes.sort_unstable();
    hashes.concat()
}

/// What tells an entry from another: what it is, and its id.
fn entry_hash(entry: &Entry) -> [u8; HASH] {
    let (word, id) = match entry {
        Entry::File(FileEntry { content, mode, .. }) => match mode {
            FileMode::Regular => ("file", content.0),
            FileMode::Executable => ("program", content.0),
            FileMode::Symlink => ("link", content.0),
        },
        Entry::Document { id, .. } => ("document", id.0),
        Entry::Tree { id, .. } => ("tree", id.0),
        Entry::Conflict(id) => ("conflict", id.0),
    };
    *blake3::Hasher::new().update(word.as_bytes()).update(&id).finalize().as_bytes()
}

/// Resolutions that a merge may apply; empty unless the caller fills it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    values: BTreeMap<MemoryKey, Remembered<Value>>,
    entries: BTreeMap<MemoryKey, Remembered<Entry>>,
}

/// One resolution.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Remembered<T> {
    /// What it is called in reports.
    pub(crate) name: String,
    /// What was put in place of the conflict; `None` for nothing.
    pub(crate) result: Option<T>,
}

impl Memory {
    /// Adds how a conflict in a document was settled, called `name` in reports; a later one of the same key
    /// counts.
    pub fn remember(&mut self, key: MemoryKey, name: &str, result: Option<Value>) {
        self.values.insert(key, Remembered { name: name.to_owned(), result });
    }
    /// As [`Self::remember`], for a conflict between whole entries.
    pub fn remember_entry(&mut self, key: MemoryKey, name: &str, result: Option<Entry>) {
        self.entries.insert(key, Remembered { name: name.to_owned(), result });
    }
    /// Whether nothing is remembered of documents.
    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
    pub(crate) fn recall(&self, key: &MemoryKey) -> Option<&Remembered<Value>> {
        self.values.get(key)
    }
    /// Returns how a conflict between whole entries at `path` was settled, and what that is called, if what
    /// was taken is one of those it is between: of another nobody can say that it is still kept.
    pub fn recall_entry(
        &self,
        conflict: &Conflict<Entry>,
        path: &RepoPath,
    ) -> Option<(&str, Option<Entry>)> {
        if self.entries.is_empty() {
            return None;
        }
        let known = self.entries.get(&MemoryKey::of_entry(conflict, path)?)?;
        let terms = conflict.terms.as_slice();
        let is_there =
            |entry: &Entry| terms.iter().any(|term| term.value().is_some_and(|it| it == entry));
        let fits = known.result.as_ref().is_none_or(is_there);
        fits.then_some((known.name.as_str(), known.result))
    }
}
