//! What was found to be damaged or missing, each thing once.

use std::collections::BTreeMap;

use ottvc_object::{Hash, ObjectId};
use ottvc_store::{DamagedThing, StoreError};

use super::affected::Affected;
use super::{Finding, chain, is_about_one_thing};
use crate::RepoError;
use crate::audit::{At, Fault, Graph, Thing, What};

/// Names a thing. Files are apart: one of a single chunk has that chunk's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Key {
    /// An object or chunk.
    Held(Hash),
    /// A file, by its content id.
    File(Hash),
}

impl Key {
    pub(super) fn of(thing: &Thing) -> Self {
        match thing.what {
            What::File => Self::File(thing.id),
            What::Object(_) | What::Chunk => Self::Held(thing.id),
        }
    }
    /// Its place in a graph, if it is there.
    pub(super) fn at(self, graph: &Graph) -> Option<At> {
        match self {
            Self::Held(id) => graph.find(&id),
            Self::File(id) => graph.file(ottvc_object::ContentId(id)),
        }
    }
}

/// What is wrong with a thing.
#[derive(Clone, Debug)]
pub(super) struct Bad {
    missing: bool,
    /// Its kind, unless the graph knows better.
    kind: &'static str,
    why: String,
    place: Option<String>,
}

impl Bad {
    pub(super) fn damaged(kind: &'static str, why: String, place: Option<String>) -> Self {
        Self { missing: false, kind, why, place }
    }
    pub(super) fn missing(kind: &'static str) -> Self {
        Self { missing: true, kind, why: "it is not in the store".into(), place: None }
    }
}

/// Everything found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    bad: BTreeMap<Key, Bad>,
    /// What nobody can name.
    unnamed: Vec<Finding>,
    /// What was met and did not read.
    unreadable: Vec<DamagedThing>,
}

impl Findings {
    /// Notes a thing; what was noted of it first stays, since the rest follows from it.
    pub(super) fn note(&mut self, key: Key, bad: Bad) {
        self.bad.entry(key).or_insert(bad);
    }

    /// Notes bytes that nobody can name.
    pub(super) fn note_unnamed(&mut self, kind: &'static str, why: String, place: Option<String>) {
        self.unnamed.push(Finding { id: None, kind, affects: Vec::new(), why, place });
    }

    /// Notes a thing that could not be read.
    ///
    /// # Errors
    /// `error` itself, if it is about more than this thing.
    pub(super) fn note_failure(
        &mut self,
        key: Key,
        kind: &'static str,
        error: StoreError,
    ) -> Result<(), RepoError> {
        match error {
            StoreError::Damaged { id, .. } => self.unreadable.push(DamagedThing::Object(id)),
            StoreError::DamagedChunk { id, .. } => self.unreadable.push(DamagedThing::Chunk(id)),
            _ => {}
        }
        let bad = match error {
            StoreError::NoChunk { .. } | StoreError::NotFound { .. } => Bad::missing(kind),
            StoreError::Damaged { place, .. } | StoreError::DamagedChunk { place, .. } => {
                Bad::damaged(kind, "its bytes do not hash to its id".into(), Some(place))
            }
            error if is_about_one_thing(&error) => Bad::damaged(kind, chain(&error), None),
            error => return Err(error.into()),
        };
        self.note(key, bad);
        Ok(())
    }

    /// Notes a thing whose links cannot be read.
    ///
    /// # Errors
    /// As [`Findings::note_failure`].
    pub(super) fn note_fault(&mut self, thing: &Thing, fault: Fault) -> Result<(), RepoError> {
        let kind = thing.what.word();
        match fault {
            Fault::Missing => {
                self.note(Key::of(thing), Bad::missing(kind));
                Ok(())
            }
            Fault::Unreadable(error) => self.note_failure(Key::of(thing), kind, error),
        }
    }

    /// Whether no thing was noted.
    pub(super) fn is_empty(&self) -> bool {
        self.bad.is_empty()
    }
    /// Whether this one was.
    pub(super) fn has(&self, key: Key) -> bool {
        self.bad.contains_key(&key)
    }
    /// Everything that was, in order.
    pub(super) fn keys(&self) -> impl Iterator<Item = Key> {
        self.bad.keys().copied()
    }

    /// What was met and did not read.
    pub(super) fn unreadable(&self) -> &[DamagedThing] {
        &self.unreadable
    }

    /// Returns what is damaged and what is missing where nothing found has a name.
    pub(super) fn unnamed(self) -> (Vec<Finding>, Vec<Finding>) {
        (self.unnamed, Vec::new())
    }

    /// Returns what is damaged and what is missing, each by kind and id.
    pub(super) fn into_lists(
        self,
        graph: &Graph,
        mut affected: Affected,
    ) -> (Vec<Finding>, Vec<Finding>) {
        let (mut damaged, mut missing) = (self.unnamed, Vec::new());
        for (key, bad) in self.bad {
            let kind = key.at(graph).map_or(bad.kind, |at| graph.thing(at).what.word());
            let (Key::Held(id) | Key::File(id)) = key;
            let finding = Finding {
                id: Some(ObjectId(id).to_string()),
                kind,
                affects: affected.take(key),
                why: bad.why,
                place: bad.place,
            };
            if bad.missing { missing.push(finding) } else { damaged.push(finding) }
        }
        for list in [&mut damaged, &mut missing] {
            list.sort_by(|a, b| (a.kind, &a.id, &a.place).cmp(&(b.kind, &b.id, &b.place)));
        }
        (damaged, missing)
    }
}
