//! Disagreements that were settled before: met again, they may be settled alike.
//!
//! What is remembered, for whom, and for how long is the caller's; here is only what makes two
//! disagreements the same, and the merge that asks.

use std::collections::BTreeMap;

use ottvc_object::conflict::{Conflict, ConflictKind, Term};
use ottvc_object::value::Value;

use crate::Schema;

/// The BLAKE3 key-derivation context of a memory key.
const CONTEXT: &str = "ottvc 2026 conflict memory v1";

/// What a disagreement is about, wherever in a document of its schema it arises: its kind, the pattern
/// that speaks for its place, and what the sides and bases have, in any order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemoryKey([u8; 32]);

impl MemoryKey {
    /// Returns the key of a conflict, or `None` for those whose kind is never settled from memory: what
    /// was right for one list, container or base says nothing about another.
    pub fn of(conflict: &Conflict<Value>, schema: Option<&Schema>) -> Option<Self> {
        if matches!(
            conflict.kind,
            ConflictKind::Order
                | ConflictKind::Invariant
                | ConflictKind::ContestedBase
                | ConflictKind::Shadow
        ) {
            return None;
        }
        // Where no pattern speaks, the place itself stands for one.
        let field = schema.and_then(|schema| schema.field_at(&conflict.path));
        let place = field.map_or_else(|| conflict.path.to_string(), |it| it.pattern().to_owned());
        let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
        let mut say = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
        };
        say(conflict.kind.word().as_bytes());
        say(place.as_bytes());
        for hashes in [hashes(conflict.terms.adds()), hashes(conflict.terms.removes())] {
            say(&hashes.concat());
        }
        Some(Self(*hasher.finalize().as_bytes()))
    }

    /// Takes the bytes that [`Self::as_bytes`] gave.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

fn hashes<'a>(terms: impl Iterator<Item = &'a Term<Value>>) -> Vec<[u8; 32]> {
    let hash = |term: &Term<Value>| match term {
        Term::Absent => [0; 32],
        Term::Value(value) => *blake3::hash(&value.canonical_bytes()).as_bytes(),
        Term::Contested(conflict) => *conflict.core_id().as_bytes(),
    };
    let mut hashes: Vec<[u8; 32]> = terms.map(hash).collect();
    hashes.sort_unstable();
    hashes
}

/// Resolutions that a merge may apply; empty unless the caller fills it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    entries: BTreeMap<MemoryKey, Remembered>,
}

/// One resolution.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Remembered {
    /// What it is called in reports.
    pub(crate) name: String,
    /// What was put in place of the conflict; `None` for nothing.
    pub(crate) result: Option<Value>,
}

impl Memory {
    /// Adds a resolution, called `name` in reports; a later one of the same key counts.
    pub fn remember(&mut self, key: MemoryKey, name: &str, result: Option<Value>) {
        self.entries.insert(key, Remembered { name: name.to_owned(), result });
    }
    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
    pub(crate) fn recall(&self, key: &MemoryKey) -> Option<&Remembered> {
        self.entries.get(key)
    }
}
