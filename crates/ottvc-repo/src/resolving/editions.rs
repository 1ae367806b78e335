//! Which term of a conflict is what a merged edition has.
//!
//! The first term is what ours has and the last what theirs has, unless one of them was in conflict there
//! already: then the terms of both are put in one row and equal ones cancel, and the first may be a value that
//! our edition never had.

use ottvc_merge::{Choice, Schema};
use ottvc_object::commit::ConflictPlace;
use ottvc_object::conflict::{Conflict, Term};
use ottvc_object::field_path::{FieldPath, Segment};
use ottvc_object::tree::lookup_path;
use ottvc_object::value::{Document, Value};
use ottvc_object::{Commit, CommitId, Entry, NamedEntry, RepoPath, TreeId};

use super::conflict_at;
use crate::layers::document_at;
use crate::nodes::Batch;
use crate::record::place_text;
use crate::workspace::{Merging, State};
use crate::{Repo, RepoError};

/// The key of items that lists exchange.
const ITEM_ID: &str = "$id";

/// The commits that a merge is or was of.
#[derive(Clone, Debug)]
pub(crate) struct Heads {
    pub(crate) ours: CommitId,
    pub(crate) theirs: CommitId,
    pub(crate) bases: Vec<CommitId>,
}

/// A side of a merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Merged {
    Ours,
    Theirs,
}

/// Where the term that a side has stands in a conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Has {
    /// First or last, as usual.
    Its,
    /// At this place.
    Term(usize),
    /// It has nothing of its own there.
    None,
}

impl Repo {
    /// The commits whose merge left what is staged: of the merge that waits, or of that which made the head.
    pub(crate) fn staged_heads(
        &self,
        state: &State,
        head: Option<CommitId>,
    ) -> Result<Option<Heads>, RepoError> {
        Ok(match (&state.merging, head) {
            (Some(merging), _) => Some(Heads::of(merging)),
            (None, Some(head)) => heads_of(&self.commit(head)?),
            (None, None) => None,
        })
    }

    /// Whether ours and theirs of a conflict are another value than the merged commits have.
    pub(crate) fn strangers(
        &self,
        batch: &Batch<'_>,
        tree: TreeId,
        place: &ConflictPlace,
        heads: Option<&Heads>,
    ) -> Result<[bool; 2], RepoError> {
        let Some(heads) = heads else { return Ok([false; 2]) };
        let stranger = |side| -> Result<bool, RepoError> {
            let (count, has) = self.term_of(batch, tree, place, heads, side)?;
            Ok(match (side, has) {
                (_, Has::Its) => false,
                (_, Has::None) => true,
                (Merged::Ours, Has::Term(at)) => at != 0,
                (Merged::Theirs, Has::Term(at)) => at + 1 != count,
            })
        };
        Ok([stranger(Merged::Ours)?, stranger(Merged::Theirs)?])
    }

    /// The list that the base has an item in, if that is in conflict in another one.
    pub(crate) fn moved_from(
        &self,
        batch: &Batch<'_>,
        tree: TreeId,
        place: &ConflictPlace,
        heads: Option<&Heads>,
    ) -> Result<Option<FieldPath>, RepoError> {
        let (Some(heads), Some(field)) = (heads, &place.field) else { return Ok(None) };
        let item = match field.segments().last() {
            Some(item @ Segment::Item(keys)) if keys.iter().any(|(name, _)| name == ITEM_ID) => {
                item
            }
            _ => return Ok(None),
        };
        let schemas = self.schemas_for_reading(batch, tree)?;
        let schema = schemas.of(&place.path).map(|schema| &**schema);
        for base in &heads.bases {
            let base = batch.load::<Commit>(*base)?.tree;
            if let Some(value) = document_at(batch, base, &place.path, schema)?
                && let Some(list) = list_of(&value, item, &FieldPath::root())
            {
                return Ok(Some(list).filter(|list| Some(list) != field.parent().as_ref()));
            }
        }
        Ok(None)
    }

    /// The choice of the term that a merged side has at a place.
    ///
    /// # Errors
    /// [`RepoError::BadArgument`] if it has none: it is in conflict there itself.
    pub(super) fn choice_of_side(
        &self,
        batch: &Batch<'_>,
        tree: TreeId,
        place: &ConflictPlace,
        (edition, heads, side): (&str, &Heads, Merged),
    ) -> Result<(Choice, &'static str), RepoError> {
        let (count, has) = self.term_of(batch, tree, place, heads, side)?;
        match (has, side) {
            (Has::Its, Merged::Ours) => Ok((Choice::Ours, "ours")),
            (Has::Its, Merged::Theirs) => Ok((Choice::Theirs, "theirs")),
            (Has::Term(0), _) => Ok((Choice::Ours, "ours")),
            (Has::Term(at), _) if at + 1 == count => Ok((Choice::Theirs, "theirs")),
            (Has::Term(at), _) => Ok((Choice::Term(at), "term")),
            (Has::None, _) => Err(RepoError::BadArgument {
                given: edition.to_owned(),
                wanted: "side",
                why: format!("none of those at {} is its value", place_text(place)),
            }),
        }
    }

    /// How many terms the conflict at a place has, and which of them a merged side has.
    fn term_of(
        &self,
        batch: &Batch<'_>,
        tree: TreeId,
        place: &ConflictPlace,
        heads: &Heads,
        side: Merged,
    ) -> Result<(usize, Has), RepoError> {
        let Some(named) = lookup_path(batch, tree, &place.path)? else { return Ok((0, Has::Its)) };
        let (ours, theirs): (Commit, Commit) = (batch.load(heads.ours)?, batch.load(heads.theirs)?);
        // Where neither was in conflict, the terms are theirs.
        if !touches(&ours, &named, place) && !touches(&theirs, &named, place) {
            return Ok((0, Has::Its));
        }
        let commit = if side == Merged::Ours { ours } else { theirs };
        let mut there = None;
        for path in std::iter::once(&place.path).chain(&named.former) {
            there = there.or(lookup_path(batch, commit.tree, path)?);
        }
        let there = there.map(|named| named.entry);
        match (&named.entry, &place.field) {
            (Entry::Conflict(id), None) => {
                let conflict: Conflict<Entry> = batch.load(*id)?;
                let last = side == Merged::Theirs;
                Ok(standing(&conflict, there.as_ref(), last))
            }
            (Entry::Document { id, .. }, Some(field)) => {
                let schemas = self.schemas_for_reading(batch, tree)?;
                let schema = schemas.of(&place.path).map(|schema| &**schema);
                let document: Document = batch.load(*id)?;
                let Some(conflict) = conflict_at(document.value(), field) else {
                    return Ok((0, Has::Its));
                };
                let count = conflict.terms.as_slice().len();
                let value = match there {
                    Some(Entry::Document { id, .. }) => Some(batch.load::<Document>(id)?),
                    _ => None,
                };
                let value = value.map(|document| plain(schema, document));
                let own = value.as_ref().and_then(|value| value.get(field));
                // What fields hold together, and orders, are no values of one field: nobody can tell.
                if is_of_several(field) || own.is_some_and(Value::has_conflict) {
                    return Ok((count, Has::None));
                }
                Ok(standing(conflict, own, side == Merged::Theirs))
            }
            _ => Ok((0, Has::Its)),
        }
    }
}

impl Heads {
    /// Those of a merge that waits.
    pub(crate) fn of(merging: &Merging) -> Self {
        let Merging { ours, theirs, bases, .. } = merging;
        Self { ours: *ours, theirs: *theirs, bases: bases.clone() }
    }
}

/// The list of a document that has the item which a field names, if that is one that lists exchange.
fn list_of(value: &Value, item: &Segment, at: &FieldPath) -> Option<FieldPath> {
    let below = |segment: Segment| FieldPath([at.segments(), &[segment]].concat());
    match value {
        Value::Map(map) => map
            .iter()
            .find_map(|(key, value)| list_of(value, item, &below(Segment::Key(key.clone())))),
        Value::Keyed(list) => match list.iter().any(|(key, _)| list.segment(key) == *item) {
            true => Some(at.clone()),
            false => {
                list.iter().find_map(|(key, value)| list_of(value, item, &below(list.segment(key))))
            }
        },
        _ => None,
    }
}

/// The commits that a commit merged.
pub(crate) fn heads_of(commit: &Commit) -> Option<Heads> {
    match (&commit.merge, commit.parents.as_slice()) {
        (Some(merge), [ours, theirs]) => {
            Some(Heads { ours: *ours, theirs: *theirs, bases: merge.bases.clone() })
        }
        _ => None,
    }
}

fn plain(schema: Option<&Schema>, document: Document) -> Value {
    match schema {
        Some(schema) => schema.convert(document.value()),
        None => document.into_value(),
    }
}

/// Whether a commit holds a conflict at, above or below a place.
fn touches(commit: &Commit, named: &NamedEntry, place: &ConflictPlace) -> bool {
    let is_here = |path: &RepoPath| {
        std::iter::once(&place.path).chain(&named.former).any(|here| here.key() == path.key())
    };
    let related = |other: &ConflictPlace| match (&other.field, &place.field) {
        (Some(a), Some(b)) => a.starts_with(b) || b.starts_with(a) || is_of_several(b),
        _ => true,
    };
    commit.conflicts.iter().any(|other| is_here(&other.path) && related(other))
}

/// Whether a field stands for several: fields that move together, or the order of a list.
fn is_of_several(field: &FieldPath) -> bool {
    match field.segments().last() {
        Some(Segment::Key(key)) => key.starts_with('{'),
        Some(Segment::Order) => true,
        _ => false,
    }
}

/// Which term of a conflict is `own`, looked for at its usual end first.
fn standing<T: PartialEq>(conflict: &Conflict<T>, own: Option<&T>, last: bool) -> (usize, Has) {
    let terms = conflict.terms.as_slice();
    let is_own = |term: &Term<T>| match (term, own) {
        (Term::Absent, None) => true,
        (Term::Value(value), Some(own)) => value == own,
        _ => false,
    };
    let sides = || terms.iter().enumerate().step_by(2).filter(|(_, term)| is_own(term));
    let found = if last { sides().last() } else { sides().next() };
    (terms.len(), found.map_or(Has::None, |(at, _)| Has::Term(at)))
}
