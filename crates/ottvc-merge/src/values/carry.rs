//! The merge of documents between whose lists items moved.
//!
//! Each moved item is taken out of the documents, a stub left in its place. Merged as any others they
//! say where each stub stands; then each item is merged, wherever the sides have it, and put in place of
//! its stub. So place and content merge apart, and an item is in the result once. Where the sides
//! disagree about a place, the item is held in a conflict, merged, with the place it has on each side.

mod finish;
mod held;

use std::collections::{BTreeMap, BTreeSet};

use held::MAX_AFTER;
use ottvc_object::conflict::{Conflict, Term};
use ottvc_object::field_path::FieldPath;
use ottvc_object::value::{Key, ListOrder, Value};

use super::moves::{Fate, Moved, Moves, Node, id_of, three_maps};
use super::{Labels, Shape, Walk};
use crate::MergeError;
use crate::placed::{ID, item_step};
use crate::schema::{Cursor, order_of};
use crate::slot::Slot;

/// The entry of a stub that tells its domain.
const DOMAIN: &str = "$move_domain";

/// Documents with stubs, and what stood in their places.
struct Carried<'c, 'o> {
    moves: &'c Moves<'o>,
    /// The documents as they were.
    terms: [&'c Value; 3],
    /// What each term has of each item, stubs in place of moved items inside.
    contents: [BTreeMap<Node<'o>, Value>; 3],
    /// Where each item has come to stand, or is held.
    placed: BTreeMap<Node<'o>, FieldPath>,
    /// The most items that a placed one says it comes after.
    most_after: usize,
}

/// Items that found no place: they merge as if nobody had moved them.
type Homeless<'o> = BTreeSet<Node<'o>>;

fn stub(node: &Node<'_>) -> Value {
    Value::map([(ID, id_of(node).clone()), (DOMAIN, Value::from(node.0))])
}

fn stubbed<'o>(value: &Value, moves: &Moves<'o>) -> Option<Node<'o>> {
    let Value::Map(map) = value else { return None };
    let (Some(id), Some(Value::String(domain)), 2) = (map.get(ID), map.get(DOMAIN), map.len())
    else {
        return None;
    };
    let key = Key::new(vec![id.clone()]).ok()?;
    moves.named(domain, key).cloned()
}

/// Notes what items are named in a value, terms of conflicts included; `false` if it holds a stub.
fn note_ids<'v>(
    carried: &Carried<'_, '_>,
    value: &'v Value,
    ids: &mut BTreeSet<&'v Value>,
) -> bool {
    match value {
        Value::Map(map) => {
            ids.extend(map.get(ID));
            stubbed(value, carried.moves).is_none()
                && map.values().all(|child| note_ids(carried, child, ids))
        }
        Value::Keyed(list) => list.items().values().all(|item| note_ids(carried, item, ids)),
        Value::Array(elements) => elements.iter().all(|element| note_ids(carried, element, ids)),
        Value::Conflict(conflict) => note_ids_of(carried, conflict, ids),
        _ => true,
    }
}

fn note_ids_of<'v>(
    carried: &Carried<'_, '_>,
    conflict: &'v Conflict<Value>,
    ids: &mut BTreeSet<&'v Value>,
) -> bool {
    conflict.terms.as_slice().iter().all(|term| match term {
        Term::Absent => true,
        Term::Value(value) => note_ids(carried, value, ids),
        Term::Contested(inner) => note_ids_of(carried, inner, ids),
    })
}

impl<'o> Walk<'o> {
    /// Merges whole documents; moves between their lists are followed.
    pub(super) fn documents<'a>(
        &mut self,
        slots: &[Slot<'a>],
        labels: Labels<'a>,
        at: &Cursor<'o>,
    ) -> Result<Option<Value>, MergeError> {
        let mut plain = Homeless::new();
        while let Some(terms) = three_maps(slots)
            && let Some(moves) = Moves::find(terms, at, &plain)
        {
            let (decisions, given) = (self.decisions.len(), self.given_back.len());
            let mut carried = Carried::new(&moves, terms);
            let skeletons = carried.strip()?;
            let [ours, base, theirs] = [0, 1, 2].map(|term| Slot::from(skeletons.get(term)));
            let labels = Labels { ours: Some(ours), base: Some(base), theirs: Some(theirs) };
            let merged = self.place(vec![ours, base, theirs], labels, at)?;
            let Some(mut document) = merged else { return Ok(None) };
            self.fill(&mut carried, None, &mut document, &FieldPath::root())?;
            let mut homeless = self.hold_all(&mut carried, &mut document)?;
            if homeless.is_empty() {
                let document = self.settle_after(Some(document))?;
                let document = self.finish_all(&carried, document, decisions)?;
                if self.has_all(&carried, document.as_ref(), decisions, given) {
                    return Ok(document);
                }
                homeless.extend(moves.nodes.keys().cloned());
            }
            plain.extend(homeless);
            self.forget(decisions);
            self.given_back.truncate(given);
        }
        let merged = self.place(slots.to_vec(), labels, at)?;
        self.settle_after(merged)
    }

    /// Whether each item that moved is in the document, and no stub is there or in what was decided. It may not
    /// be where a list or what is around it was taken whole, by a rule or because a limit gave it back to
    /// the sides: what they have there is theirs, with or without the item.
    fn has_all(
        &self,
        carried: &Carried<'_, 'o>,
        document: Option<&Value>,
        decisions: usize,
        given: usize,
    ) -> bool {
        let given_back = self.given_back.get(given..).unwrap_or_default();
        let whole = |place: &FieldPath| given_back.iter().any(|given| place.starts_with(given));
        if carried.placed.values().any(whole) {
            return false;
        }
        let mut ids = BTreeSet::new();
        let made = self.decisions.get(decisions..).unwrap_or_default();
        let mut terms = made.iter().flat_map(|made| made.terms.as_slice()).flatten();
        document.is_none_or(|document| note_ids(carried, document, &mut ids))
            && terms.all(|term| note_ids(carried, term, &mut BTreeSet::new()))
            && carried.moves.nodes.keys().all(|node| ids.contains(id_of(node)))
    }

    /// Drops what was noted of a merge that is made again.
    fn forget(&mut self, decisions: usize) {
        self.decisions.truncate(decisions);
        self.derived.clear();
        self.judged.clear();
    }

    /// Runs `step` at `path`, wherever the walk stands.
    fn at_path<T>(
        &mut self,
        path: &FieldPath,
        step: impl FnOnce(&mut Self, &Cursor<'o>) -> Result<T, MergeError>,
    ) -> Result<T, MergeError> {
        let before = std::mem::replace(&mut self.path, path.clone());
        let result = step(self, &self.cursor(path));
        self.path = before;
        result
    }

    fn cursor(&self, path: &FieldPath) -> Cursor<'o> {
        let root = Cursor::root(self.options.schema.as_deref());
        path.segments().iter().fold(root, |at, segment| at.step(segment))
    }

    /// Merges an item that stands at `path` now.
    fn content(
        &mut self,
        carried: &Carried<'_, 'o>,
        node: &Node<'o>,
        path: &FieldPath,
    ) -> Result<Option<Value>, MergeError> {
        let slots = carried.slots(node);
        let [ours, base, theirs] = slots;
        let labels = Labels { ours: Some(ours), base: Some(base), theirs: Some(theirs) };
        self.at_path(path, |walk, at| {
            if ours.is_absent() || theirs.is_absent() {
                // Moved and removed: like a rename, a move is a change by itself.
                return walk.deletion(&Shape::of(&slots), &slots, labels, at);
            }
            walk.place(slots.to_vec(), labels, at)
        })
    }

    /// Puts merged items in place of the stubs in the lists of `owner`, which stands at `path`.
    fn fill(
        &mut self,
        carried: &mut Carried<'_, 'o>,
        owner: Option<&Node<'o>>,
        value: &mut Value,
        path: &FieldPath,
    ) -> Result<(), MergeError> {
        let mut filled = BTreeSet::new();
        let moves = carried.moves;
        for (way, node) in moves.into(owner) {
            let own = way.join(item_step(id_of(node)));
            if value.get(&own) != Some(&stub(node)) {
                continue;
            }
            let place = join(path, &own);
            let mut item = self.content(carried, node, &place)?;
            carried.placed.insert(node.clone(), place.clone());
            if let Some(item) = &mut item {
                self.fill(carried, Some(node), item, &place)?;
            }
            value.set(&own, item)?;
            filled.insert(way);
        }
        for way in filled {
            let at = self.cursor(&join(path, way));
            if let Some(Value::Keyed(list)) = value.get(way)
                && let Some(order) = order_of(at.order(), list.items().iter())
            {
                let mut list = list.clone();
                list.set_order(ListOrder::Known(order))?;
                value.set(way, Some(Value::Keyed(list)))?;
            }
        }
        Ok(())
    }
}

impl<'c, 'o> Carried<'c, 'o> {
    fn new(moves: &'c Moves<'o>, terms: [&'c Value; 3]) -> Self {
        let (contents, placed) = Default::default();
        Self { moves, terms, contents, placed, most_after: MAX_AFTER }
    }

    /// What the terms have of an item.
    fn slots<'s>(&'s self, node: &Node<'o>) -> [Slot<'s>; 3] {
        let [ours, base, theirs] = &self.contents;
        [ours, base, theirs].map(|contents| contents.get(node).into())
    }

    /// Takes the moved items out, the innermost first. Where the place of one is in dispute, stubs are
    /// left where sides moved it, so that what is around them counts as changed, and nowhere else.
    fn strip(&mut self) -> Result<Vec<Value>, MergeError> {
        let mut documents = Vec::new();
        for (term, contents) in self.contents.iter_mut().enumerate() {
            let Some(document) = self.terms.get(term) else { continue };
            let mut document = (*document).clone();
            let spot = |(node, moved): (&'c Node<'o>, &'c Moved<'o>)| {
                Some((moved.spots.get(term)?.as_ref()?.item(node), node, moved))
            };
            let mut spots: Vec<_> = self.moves.nodes.iter().filter_map(spot).collect();
            spots.sort_by_key(|(path, _, _)| std::cmp::Reverse(path.0.len()));
            for (path, node, moved) in spots {
                let Some(item) = document.get(&path).cloned() else { continue };
                let stays = matches!(moved.fate, Fate::Goes(_)) || moved.by(term);
                document.set(&path, stays.then(|| stub(node)))?;
                contents.insert(node.clone(), item);
            }
            documents.push(document);
        }
        Ok(documents)
    }

    /// Where a list of a term is in the merged document.
    fn live(&self, term: usize, node: &Node<'o>) -> Option<FieldPath> {
        let spot = self.moves.nodes.get(node)?.spots.get(term)?.as_ref()?;
        let (owner, way) = self.moves.address(spot);
        match owner {
            Some(owner) => Some(join(self.placed.get(&owner)?, &way)),
            None => Some(way),
        }
    }
}

fn join(path: &FieldPath, below: &FieldPath) -> FieldPath {
    FieldPath([path.segments(), below.segments()].concat())
}
