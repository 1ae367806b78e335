//! Which term of a conflict is what a merged edition has.
//!
//! The first term is what ours has and the last what theirs has, unless one of them was in conflict there
//! already: then the terms of both are put in one row and equal ones cancel, and the first may be a value that
//! our edition never had.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use ottvc_merge::{Choice, Schema};
use ottvc_object::commit::ConflictPlace;
use ottvc_object::conflict::{Conflict, Term};
use ottvc_object::field_path::{FieldPath, Segment};
use ottvc_object::path::PathKey;
use ottvc_object::tree::lookup_path;
use ottvc_object::value::{Document, Value};
use ottvc_object::{Commit, CommitId, Entry, NamedEntry, RepoPath, TreeId};

use super::places::{Disputed, KEPT, Places, There};
use crate::layers::document_at;
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
    /// What was committed of it, with its conflicts; `None` as long as it waits.
    pub(crate) made: Option<TreeId>,
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
    /// The commits whose merge left the conflicts that are staged: of the merge that waits, or of that which the
    /// head carries the conflicts of.
    pub(crate) fn staged_heads(
        &self,
        state: &State,
        head: Option<CommitId>,
    ) -> Result<Option<Heads>, RepoError> {
        Ok(match (&state.merging, head) {
            (Some(merging), _) => Some(Heads::of(merging)),
            (None, Some(head)) => self.heads_behind(head)?,
            (None, None) => None,
        })
    }

    /// The commits of the last merge that a commit is or follows, in its own line of work and with conflicts left
    /// all the way.
    fn heads_behind(&self, commit: CommitId) -> Result<Option<Heads>, RepoError> {
        let mut commit = self.commit(commit)?;
        loop {
            let parent = match (heads_of(&commit), commit.parents.as_slice()) {
                (Some(heads), _) => return Ok(Some(heads)),
                (None, [parent]) if !commit.conflicts.is_empty() => *parent,
                _ => return Ok(None),
            };
            commit = self.commit(parent)?;
        }
    }
}

/// The merged commits, as the conflicts that their merge left are looked up in them: each document once.
pub(crate) struct Merge<'r> {
    sides: [Side; 2],
    bases: Vec<TreeId>,
    /// What was committed of it.
    made: Option<Places<'r>>,
    /// What the sides have at a path.
    held: HashMap<PathKey, Rc<[Held; 2]>>,
    /// In which list each base has an item that lists exchange, by path.
    lists: HashMap<PathKey, Rc<Vec<Lists>>>,
}

/// The lists that have an item, by what names it.
type Lists = BTreeMap<Segment, FieldPath>;

/// A merged commit.
struct Side {
    tree: TreeId,
    /// Where it was in conflict itself.
    disputed: HashMap<PathKey, DisputedAt>,
}

/// Where an entry was in conflict.
#[derive(Default)]
struct DisputedAt {
    whole: bool,
    fields: BTreeSet<FieldPath>,
}

/// What a side has at a path: a document as its value under the schema of the merged tree.
struct Held {
    entry: Option<Entry>,
    value: Option<Value>,
}

impl<'r> Merge<'r> {
    /// That of these commits, whose conflicts are looked up among `places`.
    pub(crate) fn of(places: &Places<'r>, heads: &Heads) -> Result<Self, RepoError> {
        let batch = places.batch;
        let side = |id: CommitId| -> Result<Side, RepoError> {
            let commit: Commit = batch.load(id)?;
            let mut disputed: HashMap<PathKey, DisputedAt> = HashMap::new();
            for ConflictPlace { path, field } in commit.conflicts {
                let here = disputed.entry(path.key()).or_default();
                match field {
                    Some(field) => drop(here.fields.insert(field)),
                    None => here.whole = true,
                }
            }
            Ok(Side { tree: commit.tree, disputed })
        };
        let bases = heads.bases.iter().map(|id| Ok(batch.load::<Commit>(*id)?.tree));
        Ok(Self {
            sides: [side(heads.ours)?, side(heads.theirs)?],
            bases: bases.collect::<Result<_, RepoError>>()?,
            made: heads.made.map(|tree| places.in_tree(tree)),
            held: HashMap::new(),
            lists: HashMap::new(),
        })
    }

    /// Whether ours and theirs of a conflict are another value than the merged commits have.
    pub(crate) fn strangers(
        &mut self,
        places: &mut Places<'_>,
        place: &ConflictPlace,
    ) -> Result<[bool; 2], RepoError> {
        let mut stranger = |side| -> Result<bool, RepoError> {
            let (count, has) = self.term_of(places, place, side)?;
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
        &mut self,
        places: &mut Places<'_>,
        place: &ConflictPlace,
    ) -> Result<Option<FieldPath>, RepoError> {
        let Some(field) = &place.field else { return Ok(None) };
        let item = match field.segments().last() {
            Some(item) if is_exchanged(item) => item,
            _ => return Ok(None),
        };
        let lists = self.lists_at(places, &place.path)?;
        let list = lists.iter().find_map(|lists| lists.get(item));
        Ok(list.filter(|list| Some(*list) != field.parent().as_ref()).cloned())
    }

    /// The choice of the term that a merged side has at a place.
    ///
    /// # Errors
    /// [`RepoError::BadArgument`] if it has none: it is in conflict there itself, or the conflict is not that merge's.
    pub(super) fn choice_of_side(
        &mut self,
        places: &mut Places<'_>,
        place: &ConflictPlace,
        (edition, side): (&str, Merged),
    ) -> Result<(Choice, &'static str), RepoError> {
        let (count, has) = self.term_of(places, place, side)?;
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
        &mut self,
        places: &mut Places<'_>,
        place: &ConflictPlace,
        side: Merged,
    ) -> Result<(usize, Has), RepoError> {
        let Some(there) = places.at(&place.path)? else { return Ok((0, Has::Its)) };
        if !self.left(&there, place)? {
            return Ok((0, Has::None));
        }
        // Where neither was in conflict, the terms are theirs.
        if !self.sides.iter().any(|side| side.touches(&there.named, place)) {
            return Ok((0, Has::Its));
        }
        let held = self.held_at(places, &there.named, &place.path)?;
        let [ours, theirs] = &*held;
        let (own, last) = match side {
            Merged::Ours => (ours, false),
            Merged::Theirs => (theirs, true),
        };
        match there.conflict(place.field.as_ref()) {
            Some(Disputed::Entry(conflict)) => Ok(standing(conflict, own.entry.as_ref(), last)),
            Some(Disputed::Field(field, conflict)) => {
                let value = own.value.as_ref().and_then(|value| value.get(field));
                // What fields hold together, and orders, are no values of one field: nobody can tell.
                if is_of_several(field) || value.is_some_and(Value::has_conflict) {
                    return Ok((conflict.terms.as_slice().len(), Has::None));
                }
                Ok(standing(conflict, value, last))
            }
            None => Ok((0, Has::Its)),
        }
    }

    /// Whether a conflict is as the merge left it. What followed a committed merge may have left conflicts, too, and
    /// none of their terms is any side's of that merge.
    fn left(&mut self, there: &There, place: &ConflictPlace) -> Result<bool, RepoError> {
        let Some(made) = &mut self.made else { return Ok(true) };
        let field = place.field.as_ref();
        let here = there.conflict(field);
        for path in std::iter::once(&place.path).chain(&there.named.former) {
            let Some(then) = made.at(path)? else { continue };
            let is_it = match (&here, then.conflict(field)) {
                (Some(Disputed::Entry(here)), Some(Disputed::Entry(then))) => {
                    here.terms == then.terms
                }
                (Some(Disputed::Field(_, here)), Some(Disputed::Field(_, then))) => {
                    here.terms == then.terms
                }
                _ => false,
            };
            if is_it {
                return Ok(true);
            }
        }
        Ok(here.is_none())
    }

    /// What the sides have at a path, or where that was before it was renamed.
    fn held_at(
        &mut self,
        places: &Places<'_>,
        named: &NamedEntry,
        path: &RepoPath,
    ) -> Result<Rc<[Held; 2]>, RepoError> {
        let key = path.key();
        if let Some(known) = self.held.get(&key) {
            return Ok(Rc::clone(known));
        }
        let schema = places.schemas.of(path).map(|schema| &**schema);
        let held = |side: &Side| -> Result<Held, RepoError> {
            let mut there = None;
            for path in std::iter::once(path).chain(&named.former) {
                there = there.or(lookup_path(places.batch, side.tree, path)?);
            }
            let entry = there.map(|named| named.entry);
            let value = match entry {
                Some(Entry::Document { id, .. }) => {
                    let document: Document = places.batch.load(id)?;
                    Some(plain(schema, document))
                }
                _ => None,
            };
            Ok(Held { entry, value })
        };
        let [ours, theirs] = &self.sides;
        let held = Rc::new([held(ours)?, held(theirs)?]);
        if self.held.len() >= KEPT {
            self.held.clear();
        }
        self.held.insert(key, Rc::clone(&held));
        Ok(held)
    }

    /// The lists of each base that has the document at a path.
    fn lists_at(
        &mut self,
        places: &Places<'_>,
        path: &RepoPath,
    ) -> Result<Rc<Vec<Lists>>, RepoError> {
        let key = path.key();
        if let Some(known) = self.lists.get(&key) {
            return Ok(Rc::clone(known));
        }
        let schema = places.schemas.of(path).map(|schema| &**schema);
        let mut found = Vec::new();
        for base in &self.bases {
            if let Some(value) = document_at(places.batch, *base, path, schema)? {
                let mut lists = Lists::new();
                list_items(&value, &mut FieldPath::root(), &mut lists);
                found.push(lists);
            }
        }
        let found = Rc::new(found);
        if self.lists.len() >= KEPT {
            self.lists.clear();
        }
        self.lists.insert(key, Rc::clone(&found));
        Ok(found)
    }
}

impl Side {
    /// Whether it holds a conflict at, above or below a place.
    fn touches(&self, named: &NamedEntry, place: &ConflictPlace) -> bool {
        std::iter::once(&place.path).chain(&named.former).any(|path| {
            let here = self.disputed.get(&path.key());
            here.is_some_and(|here| here.touches(place.field.as_ref()))
        })
    }
}

impl DisputedAt {
    /// Whether one of them is at, above or below a field.
    fn touches(&self, field: Option<&FieldPath>) -> bool {
        let Some(field) = field.filter(|_| !self.whole) else { return true };
        if is_of_several(field) {
            return !self.fields.is_empty();
        }
        // What lies below a path comes right after it.
        let mut from_here = self.fields.range(field..);
        let steps = field.segments();
        let mut above = (0..steps.len()).filter_map(|count| steps.get(..count));
        from_here.next().is_some_and(|next| next.starts_with(field))
            || above.any(|steps| self.fields.contains(&FieldPath(steps.to_vec())))
    }
}

impl Heads {
    /// Those of a merge that waits.
    pub(crate) fn of(merging: &Merging) -> Self {
        let Merging { ours, theirs, bases, .. } = merging;
        Self { ours: *ours, theirs: *theirs, bases: bases.clone(), made: None }
    }
}

/// Whether a step names an item that lists exchange.
fn is_exchanged(step: &Segment) -> bool {
    matches!(step, Segment::Item(keys) if keys.iter().any(|(name, _)| name == ITEM_ID))
}

/// Notes which list of a document has each item that lists exchange: the first that has it.
fn list_items(value: &Value, at: &mut FieldPath, lists: &mut Lists) {
    match value {
        Value::Map(map) => {
            for (key, value) in map {
                at.0.push(Segment::Key(key.clone()));
                list_items(value, at, lists);
                at.0.pop();
            }
        }
        Value::Keyed(list) => {
            for step in list.items().keys().map(|key| list.segment(key)) {
                if is_exchanged(&step) {
                    lists.entry(step).or_insert_with(|| at.clone());
                }
            }
            for (key, item) in list.items() {
                at.0.push(list.segment(key));
                list_items(item, at, lists);
                at.0.pop();
            }
        }
        _ => {}
    }
}

/// The commits that a commit merged.
pub(crate) fn heads_of(commit: &Commit) -> Option<Heads> {
    match (&commit.merge, commit.parents.as_slice()) {
        (Some(merge), [ours, theirs]) => Some(Heads {
            ours: *ours,
            theirs: *theirs,
            bases: merge.bases.clone(),
            made: Some(commit.tree),
        }),
        _ => None,
    }
}

fn plain(schema: Option<&Schema>, document: Document) -> Value {
    match schema {
        Some(schema) => schema.convert(document.value()),
        None => document.into_value(),
    }
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
