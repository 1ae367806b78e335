//! What a document broke before: nobody does that anew.
//!
//! A rule is broken at a field, with some value. Elements of arrays have no name, and their places shift: of those it
//! counts how often one value is there. All that a document breaks is noted, in 48 bytes each, so that nothing
//! passes because much was broken already; only what is told is limited.

use std::collections::HashMap;

use ottvc_object::field_path::{FieldPath, Segment};
use ottvc_object::value::Value;

use super::Schema;
use super::once::{Changed, changes};
use super::validate::{Finding, MAX_FINDINGS, note_broken};

/// All that a document breaks of its schema, in little room.
#[derive(Clone, Debug, Default)]
pub struct Broken(HashMap<Place, (Mark, u32)>);

impl Broken {
    /// What `document` breaks of `schema`. Costs one walk over the document.
    pub fn of(document: &Value, schema: &Schema) -> Self {
        let mut broken = Self::default();
        note_broken(document, schema, &mut broken);
        broken
    }

    /// Adds what `document` changes of `old` though it was given once; of a merge into `old`, with its `bases`.
    pub fn and_changes(
        mut self,
        old: &Value,
        bases: Option<&[Value]>,
        document: &Value,
        schema: &Schema,
    ) -> Self {
        for changed in changes(old, bases, document, schema) {
            let mark = Mark::of(&[changed.now.as_ref()]);
            self.note(Place::new(&changed.path, IMMUTABLE, "", mark), mark);
        }
        self
    }

    pub(super) fn note(&mut self, place: Place, mark: Mark) {
        let (_, times) = self.0.entry(place).or_insert((mark, 0));
        *times = times.saturating_add(1);
    }

    /// Whether the rule is broken there with what covers `mark`, or with anything; it is taken out.
    fn takes(&mut self, place: Place, mark: Option<Mark>) -> bool {
        match self.0.get_mut(&place) {
            Some((before, times)) if *times > 0 && mark.is_none_or(|now| before.covers(now)) => {
                *times -= 1;
                true
            }
            _ => false,
        }
    }
}

/// The rule of what is given once.
const IMMUTABLE: &str = "immutable";

/// What counts as broken before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Since {
    /// What is broken with the same value as before.
    Write,
    /// What is broken with the same value as in a parent, or in all of them.
    Merge,
    /// What is broken at all.
    Push,
}

/// What was broken before, to tell what is broken anew. What it was asked for is taken out of it.
#[derive(Clone, Debug)]
pub struct Known {
    since: Since,
    before: Vec<Broken>,
}

impl Known {
    /// Of what somebody writes just now over a document that broke this: a field is passed over if it breaks a
    /// rule with what was there, or with less than that in a container. Whoever gives it another value is told.
    pub fn by_writing(before: Broken) -> Self {
        Self { since: Since::Write, before: vec![before] }
    }

    /// Of a merge of parents that broke this: a field is passed over if it breaks a rule with what one of the
    /// parents has there, or if all of them break the rule there. A parent without the document breaks nothing.
    pub fn by_merging(parents: Vec<Broken>) -> Self {
        Self { since: Since::Merge, before: parents }
    }

    /// Of what comes to many documents at once: a field is passed over if it broke the rule before, whatever it
    /// has come to break it with.
    pub fn by_pushing(before: Broken) -> Self {
        Self { since: Since::Push, before: vec![before] }
    }

    /// Whether this was broken before.
    pub(super) fn takes(&mut self, place: Place, mark: Mark) -> bool {
        let mut before = self.before.iter_mut();
        match self.since {
            Since::Write => before.any(|broken| broken.takes(place, Some(mark))),
            Since::Push => before.any(|broken| broken.takes(place, None)),
            Since::Merge => {
                before.any(|broken| broken.takes(place, Some(mark)))
                    || !self.before.is_empty()
                        && self.before.iter_mut().all(|broken| broken.takes(place, None))
            }
        }
    }
}

/// Returns the fields that `new` changes of `old` though they were given once, as
/// [`validate_change`](super::validate_change) and, with `bases`, [`validate_merge`](super::validate_merge) do, but
/// for those that are known to be changed, at most [`MAX_FINDINGS`].
pub fn validate_change_since(
    old: &Value,
    bases: Option<&[Value]>,
    new: &Value,
    schema: &Schema,
    known: &mut Known,
) -> Vec<Finding> {
    let is_new = |it: &Changed| {
        let mark = Mark::of(&[it.now.as_ref()]);
        !known.takes(Place::new(&it.path, IMMUTABLE, "", mark), mark)
    };
    let changes = changes(old, bases, new, schema).into_iter().filter(is_new);
    changes.take(MAX_FINDINGS).map(Finding::from).collect()
}

/// A rule at a field, named by their hash; in arrays with what breaks it, as it may stand anywhere in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place([u8; 16]);

impl Place {
    /// The rule at a field; of several with that name the one called `which`.
    pub(super) fn new(path: &FieldPath, rule: &str, which: &str, mark: Mark) -> Self {
        let unplaced = |step: &Segment| match step {
            Segment::Index(_) => Segment::Index(0),
            step => step.clone(),
        };
        let steps: Vec<Segment> = path.segments().iter().map(unplaced).collect();
        let in_array = steps.iter().any(|step| matches!(step, Segment::Index(_)));
        let path = FieldPath(steps).to_string();
        let (kind, mark) = match mark {
            _ if !in_array => (0_u8, Vec::new()),
            Mark::Exactly(hash) => (1, hash.to_vec()),
            Mark::Over(much) => (2, much.to_le_bytes().to_vec()),
        };
        let parts = [rule.as_bytes(), which.as_bytes(), path.as_bytes(), &[kind], &mark];
        Self(hashed(parts.into_iter()))
    }
}

/// What a field breaks a rule with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// With just this.
    Exactly([u8; 16]),
    /// With something of which less is no worse.
    Over(u64),
}

impl Mark {
    /// With these values, or none.
    pub(super) fn of(values: &[Option<&Value>]) -> Self {
        let bytes =
            values.iter().map(|value| value.map(Value::canonical_bytes).unwrap_or_default());
        Self::Exactly(hashed(bytes))
    }

    fn covers(self, now: Self) -> bool {
        match (self, now) {
            (Self::Over(before), Self::Over(now)) => now <= before,
            (before, now) => before == now,
        }
    }
}

/// The hash of some bytes one after the other.
fn hashed(parts: impl Iterator<Item = impl AsRef<[u8]>>) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        let bytes = part.as_ref();
        hasher.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
    }
    let mut hash = [0; 16];
    hasher.finalize_xof().fill(&mut hash);
    hash
}
