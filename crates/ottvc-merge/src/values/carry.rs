//! The merge of documents between whose lists items moved.
//!
//! Each moved item is taken out of the documents, a stub left in its place. Merged as any others they
//! say where each stub stands; then each item is merged, wherever the sides have it, and put in place of
//! its stub. So place and content merge apart, and an item is in the result once. Where the sides
//! disagree about a place, the item is held in a conflict, merged, with the place it has on each side.

use std::collections::{BTreeMap, BTreeSet};

use ottvc_object::conflict::{Conflict, ConflictKind, Term, Terms};
use ottvc_object::field_path::FieldPath;
use ottvc_object::value::{Key, KeyedList, ListOrder, MOVE, Value, ValueMap};

use super::moves::{Fate, Moved, Moves, Node, id_of, three_maps};
use super::{Labels, Shape, Walk};
use crate::MergeError;
use crate::placed::{ID, Placed, item_step};
use crate::schema::{Cursor, order_of};
use crate::slot::Slot;

/// The entry of a stub that tells its domain.
const DOMAIN: &str = "$move_domain";
/// The most items a placed item says it comes after.
const MAX_AFTER: usize = 64;
/// And all of them together: conflicts over the places of many items must fit into a document.
const MAX_AFTERS: usize = 1 << 16;

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

/// A conflict over places that goes into a list, behind the first of `after` that is there.
struct Held {
    key: Key,
    conflict: Conflict<Value>,
    after: Vec<Key>,
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

    /// Puts a conflict into the document for each item, and each circle, whose place is in dispute.
    /// Returns those for which there is no place to stand.
    fn hold_all(
        &mut self,
        carried: &mut Carried<'_, 'o>,
        document: &mut Value,
    ) -> Result<Homeless<'o>, MergeError> {
        let moves = carried.moves;
        let mut homeless = Homeless::new();
        let disputed = moves.nodes.iter().filter(|(_, it)| !matches!(it.fate, Fate::Goes(_)));
        for ((node, _), term) in disputed.flat_map(|one| [(one, 0), (one, 2)]) {
            let place = carried.live(term, node).map(|list| list.join(item_step(id_of(node))));
            if let Some(place) = place.filter(|at| document.get(at) == Some(&stub(node))) {
                document.set(&place, None)?;
            }
        }
        let apart = moves.nodes.iter().filter(|(_, moved)| moved.fate == Fate::Apart);
        let circles = moves.circles.iter().map(|circle| (ConflictKind::MoveCycle, circle.clone()));
        let all: Vec<(ConflictKind, Vec<Node<'o>>)> = apart
            .map(|(node, _)| (ConflictKind::RenameRename, vec![node.clone()]))
            .chain(circles)
            .collect();
        carried.most_after = (MAX_AFTERS / all.len().saturating_mul(3).max(1)).clamp(1, MAX_AFTER);
        let mut held: BTreeMap<FieldPath, Vec<Held>> = BTreeMap::new();
        for (kind, members) in all {
            let stand = carried.stand(&members, document).filter(|(head, list)| {
                held.get(list).is_none_or(|there| !there.iter().any(|it| it.key == head.1))
            });
            match stand {
                Some((head, list)) => {
                    let one = self.hold(carried, kind, (&members, &head), &list, document)?;
                    held.entry(list).or_default().push(one);
                }
                None => homeless.extend(members),
            }
        }
        for (list, held) in held {
            let Some(Value::Keyed(into)) = document.get(&list) else { continue };
            let (fields, mut items, order) = into.clone().into_parts();
            let mut order = match order {
                ListOrder::Known(order) => Ok(order),
                other => Err(other),
            };
            for Held { key, conflict, after } in held {
                if let Ok(order) = &mut order {
                    let nearest = after.iter().find(|one| items.contains_key(*one));
                    let behind = nearest.and_then(|one| order.iter().position(|it| it == one));
                    order.insert(behind.map_or(0, |place| place + 1), key.clone());
                }
                items.insert(key, Value::Conflict(Box::new(conflict)));
            }
            let order = match order_of(self.cursor(&list).order(), items.iter()) {
                Some(computed) => ListOrder::Known(computed),
                None => order.map_or_else(|other| other, ListOrder::Known),
            };
            let into = KeyedList::from_parts(fields, items, order)?;
            document.set(&list, Some(Value::Keyed(into)))?;
        }
        Ok(homeless)
    }

    /// Makes one conflict over the places of `members` in `list`, as the item `head`.
    fn hold(
        &mut self,
        carried: &mut Carried<'_, 'o>,
        kind: ConflictKind,
        (members, head): (&[Node<'o>], &Node<'o>),
        list: &FieldPath,
        document: &Value,
    ) -> Result<Held, MergeError> {
        let place = list.join(item_step(id_of(head)));
        let mut contents: [BTreeMap<Node<'o>, Value>; 3] = Default::default();
        for node in members {
            carried.placed.insert(node.clone(), place.clone());
            let merged = self.held_content(carried, node, &place)?;
            for (term, held) in contents.iter_mut().enumerate() {
                let Some(own) = carried.contents.get(term).and_then(|all| all.get(node)) else {
                    continue;
                };
                // What does not merge is held as each side has it.
                let merged = merged.as_ref().filter(|_| term != 1);
                held.insert(node.clone(), merged.unwrap_or(own).clone());
            }
        }
        let mut terms = Vec::new();
        for (term, held) in contents.iter().enumerate() {
            let entry = |node: &Node<'o>| Placed {
                item: held.get(node).cloned(),
                ..carried.placed_at(term, node, (head, list), document)
            };
            let has = |node: &&Node<'o>| held.contains_key(*node);
            let with = members.iter().filter(|node| *node != head).filter(has).map(entry);
            let all = Placed { with: with.collect(), ..entry(head) };
            let any = all.item.is_some() || !all.with.is_empty();
            terms.push(if any { Term::Value(all.to_value()) } else { Term::Absent });
        }
        let conflict = Conflict {
            kind,
            path: place.clone(),
            policy: MOVE.to_owned(),
            terms: Terms::new(terms).map_err(|_| self.too_many(3))?,
        };
        let into = match document.get(list) {
            Some(Value::Keyed(into)) => Some(into),
            _ => None,
        };
        let after = carried.before(carried.own_term(head, list), head, into);
        Ok(Held { key: head.1.clone(), conflict, after })
    }

    /// Merges an item that is held in a conflict at `place`: the same, whichever side is called ours.
    /// `None` if it does not merge.
    fn held_content(
        &mut self,
        carried: &mut Carried<'_, 'o>,
        node: &Node<'o>,
        place: &FieldPath,
    ) -> Result<Option<Value>, MergeError> {
        let [ours, base, theirs] = carried.slots(node);
        let noted = self.decisions.len();
        let mut merged = match (ours.value(), theirs.value()) {
            (Some(a), Some(b)) => {
                let (first, last) = if b < a { (theirs, ours) } else { (ours, theirs) };
                let labels = Labels { ours: Some(ours), base: Some(base), theirs: Some(theirs) };
                self.at_path(place, |walk, at| walk.place(vec![first, base, last], labels, at))?
            }
            // The other side removed it: choosing that side does so.
            (Some(only), None) | (None, Some(only)) => Some(only.clone()),
            (None, None) => None,
        }
        .filter(|merged| matches!(merged, Value::Map(_)));
        if self.decisions.len() > noted {
            // Nobody reads of what was decided inside a conflict: each side keeps its own.
            self.decisions.truncate(noted);
            merged = None;
        }
        if let Some(merged) = &mut merged {
            self.fill(carried, Some(node), merged, place)?;
        }
        Ok(merged)
    }

    /// Puts items in place of the stubs that are left in the terms of conflicts and decisions.
    fn finish_all(
        &mut self,
        carried: &Carried<'_, 'o>,
        document: Option<Value>,
        decisions: usize,
    ) -> Result<Option<Value>, MergeError> {
        let Some(mut document) = document else { return Ok(None) };
        let mut inside = Vec::new();
        let found = document.conflicts();
        let found = found.into_iter().map(|(path, conflict)| (path, conflict.clone()));
        for (path, conflict) in found.collect::<Vec<_>>() {
            let finished = Value::Conflict(Box::new(conflict.clone()));
            let finished = self.finished(carried, finished, &path, &mut inside)?;
            if finished != Value::Conflict(Box::new(conflict)) {
                document.set(&path, Some(finished))?;
            }
        }
        let made = self.decisions.split_off(decisions);
        for mut decision in made {
            let path = decision.path.clone();
            decision.terms = decision.terms.try_map(|term| -> Result<_, MergeError> {
                let term = term.clone();
                term.map(|term| self.finished(carried, term, &path, &mut inside)).transpose()
            })?;
            self.decisions.push(decision);
        }
        Ok(Some(document))
    }

    /// A value at `path` without stubs: an item that stands elsewhere is taken out, any other is put in.
    fn finished(
        &mut self,
        carried: &Carried<'_, 'o>,
        value: Value,
        path: &FieldPath,
        inside: &mut Vec<Node<'o>>,
    ) -> Result<Value, MergeError> {
        Ok(match value {
            Value::Map(map) => {
                let mut finished = ValueMap::new();
                for (key, child) in map {
                    let below = path.key(key.as_str());
                    finished.insert(key, self.finished(carried, child, &below, inside)?);
                }
                Value::Map(finished)
            }
            Value::Keyed(list) => {
                let segment = |key: &Key| list.segment(key);
                let mut finished = BTreeMap::new();
                let mut gone = BTreeSet::new();
                for (key, item) in list.items() {
                    let below = path.join(segment(key));
                    let stub = stubbed(item, carried.moves);
                    let item = match &stub {
                        None => item.clone(),
                        Some(node)
                            if carried.placed.contains_key(node) || inside.contains(node) =>
                        {
                            gone.insert(key.clone());
                            continue;
                        }
                        Some(node) => self.unplaced(carried, node, &below)?,
                    };
                    let depth = inside.len();
                    inside.extend(stub);
                    finished.insert(key.clone(), self.finished(carried, item, &below, inside)?);
                    inside.truncate(depth);
                }
                let (fields, _, mut order) = list.into_parts();
                if let ListOrder::Known(order) = &mut order {
                    order.retain(|key| !gone.contains(key));
                }
                Value::Keyed(KeyedList::from_parts(fields, finished, order)?)
            }
            Value::Conflict(mut conflict) => {
                let places = conflict.policy == MOVE;
                conflict.terms = conflict.terms.try_map(|term| -> Result<_, MergeError> {
                    Ok(match term {
                        Term::Value(held) if places => {
                            Term::Value(self.finished_place(carried, held.clone(), path, inside)?)
                        }
                        Term::Value(held) => {
                            Term::Value(self.finished(carried, held.clone(), path, inside)?)
                        }
                        other => other.clone(),
                    })
                })?;
                Value::Conflict(conflict)
            }
            other => other,
        })
    }

    /// [`Self::finished`] of items with their places.
    fn finished_place(
        &mut self,
        carried: &Carried<'_, 'o>,
        held: Value,
        path: &FieldPath,
        inside: &mut Vec<Node<'o>>,
    ) -> Result<Value, MergeError> {
        let Some(mut placed) = Placed::read(&held) else { return Ok(held) };
        let mut with = std::mem::take(&mut placed.with);
        for one in std::iter::once(&mut placed).chain(&mut with) {
            if let Some(item) = one.item.take() {
                one.item = Some(self.finished(carried, item, path, inside)?);
            }
        }
        Ok(Placed { with, ..placed }.to_value())
    }

    /// An item that stands only in a term of a conflict, at `path` there: merged, if it merges.
    fn unplaced(
        &mut self,
        carried: &Carried<'_, 'o>,
        node: &Node<'o>,
        path: &FieldPath,
    ) -> Result<Value, MergeError> {
        let slots = carried.slots(node);
        let [ours, base, theirs] = slots;
        let noted = (self.decisions.len(), self.derived.len(), self.judged.len());
        let mut merged = None;
        if let (Some(a), Some(b)) = (ours.value(), theirs.value()) {
            let (first, last) = if b < a { (theirs, ours) } else { (ours, theirs) };
            let labels = Labels { ours: Some(ours), base: Some(base), theirs: Some(theirs) };
            merged =
                self.at_path(path, |walk, at| walk.place(vec![first, base, last], labels, at))?;
        }
        // Nothing was decided where it is not, and nobody would read of it.
        if self.decisions.len() > noted.0 {
            self.decisions.truncate(noted.0);
            merged = None;
        }
        self.derived.truncate(noted.1);
        self.judged.truncate(noted.2);
        let only = match (ours.value(), theirs.value()) {
            (Some(only), None) | (None, Some(only)) => Some(only.clone()),
            _ => None,
        };
        // A stub is left of what has no one value: then nobody moved anything ([`Self::has_all`]).
        Ok(merged.filter(|it| matches!(it, Value::Map(_))).or(only).unwrap_or_else(|| stub(node)))
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

    /// The list in which a conflict over the places of `members` stands, and which of them it stands
    /// for: where the base has one, else where a side has.
    fn stand(&self, members: &[Node<'o>], document: &Value) -> Option<(Node<'o>, FieldPath)> {
        let free = |(list, node): &(FieldPath, &Node<'o>)| match document.get(list) {
            Some(Value::Keyed(into)) => {
                into.fields() == [ID] && !into.items().contains_key(&node.1)
            }
            _ => false,
        };
        let lists = |terms: &'static [usize]| {
            let all = members.iter().flat_map(|node| {
                terms.iter().filter_map(move |term| Some((self.live(*term, node)?, node)))
            });
            all.filter(&free).min()
        };
        let (list, head) = lists(&[1]).or_else(|| lists(&[0, 2]))?;
        Some((head.clone(), list))
    }

    /// The term that has `node` in the list at `list`, the base first.
    fn own_term(&self, node: &Node<'o>, list: &FieldPath) -> usize {
        let here = |term: &usize| self.live(*term, node).as_ref() == Some(list);
        [1, 0, 2].into_iter().find(here).unwrap_or(1)
    }

    /// The items before this one in its list on one side, the nearest first, as far as one that `into`
    /// has too.
    fn before(&self, term: usize, node: &Node<'o>, into: Option<&KeyedList>) -> Vec<Key> {
        let spot = self.moves.nodes.get(node).and_then(|it| it.spots.get(term)?.as_ref());
        let list = spot.and_then(|spot| self.terms.get(term)?.get(&spot.list));
        let Some(Value::Keyed(list)) = list else { return Vec::new() };
        let keys = list.keys_in_order();
        let place = keys.iter().position(|key| **key == node.1).unwrap_or_default();
        let mut before = Vec::new();
        for key in keys.into_iter().take(place).rev().take(self.most_after) {
            before.push(key.clone());
            if into.is_none_or(|into| into.items().contains_key(key)) {
                break;
            }
        }
        before
    }

    /// An item's place on one side, as a conflict that stands in `list` for `head` holds it.
    fn placed_at(
        &self,
        term: usize,
        node: &Node<'o>,
        (head, list): (&Node<'o>, &FieldPath),
        document: &Value,
    ) -> Placed {
        let own = self.list_on(term, node, 0);
        let into = own.as_ref().and_then(|own| match document.get(own) {
            Some(Value::Keyed(into)) => Some(into),
            _ => None,
        });
        let after = self.before(term, node, into);
        let here = node == head && own.as_ref() == Some(list);
        let (list, after) = if here { (None, Vec::new()) } else { (own, after) };
        Placed { id: id_of(node).clone(), item: None, list, after, with: Vec::new() }
    }

    /// The path a side's list has once that side's places are chosen.
    fn list_on(&self, term: usize, node: &Node<'o>, deep: usize) -> Option<FieldPath> {
        let moved = self.moves.nodes.get(node)?;
        let spot = moved.spots.get(term)?.as_ref()?;
        let (Some(owner), way) = self.moves.address(spot) else { return Some(spot.list.clone()) };
        let held = |owner: &Node<'o>| {
            self.moves.nodes.get(owner).is_some_and(|it| !matches!(it.fate, Fate::Goes(_)))
        };
        let around = match self.placed.get(&owner) {
            // Held itself: it will be where this side has it. No deeper than documents are.
            _ if held(&owner) && deep <= spot.list.0.len() => {
                self.list_on(term, &owner, deep + 1)?.join(item_step(id_of(&owner)))
            }
            Some(placed) => placed.clone(),
            None => return Some(spot.list.clone()),
        };
        Some(join(&around, &way))
    }
}

fn join(path: &FieldPath, below: &FieldPath) -> FieldPath {
    FieldPath([path.segments(), below.segments()].concat())
}
