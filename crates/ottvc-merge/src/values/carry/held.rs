//! Items whose place the sides disagree about: each is held in a conflict, merged, with the place it has on
//! each side.

use std::collections::BTreeMap;

use ottvc_object::conflict::{Conflict, ConflictKind, Term, Terms};
use ottvc_object::field_path::FieldPath;
use ottvc_object::value::{Key, KeyedList, ListOrder, MOVE, Value};

use super::{Carried, Homeless, join, stub};
use crate::MergeError;
use crate::placed::{ID, Placed, item_step};
use crate::schema::order_of;
use crate::values::moves::{Fate, Node, id_of};
use crate::values::{Labels, Walk};

/// The most items a placed item says it comes after.
pub(super) const MAX_AFTER: usize = 64;
/// And all of them together: conflicts over the places of many items must fit into a document.
const MAX_AFTERS: usize = 1 << 16;

/// A conflict over places that goes into a list, behind the first of `after` that is there.
struct Held {
    key: Key,
    conflict: Conflict<Value>,
    after: Vec<Key>,
}

impl<'o> Walk<'o> {
    /// Puts a conflict into the document for each item, and each circle, whose place is in dispute.
    /// Returns those for which there is no place to stand.
    pub(super) fn hold_all(
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
                    match self.hold(carried, kind, (&members, &head), &list, document)? {
                        Some(one) => held.entry(list).or_default().push(one),
                        None => homeless.extend(members),
                    }
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

    /// Makes one conflict over the places of `members` in `list`, as the item `head`; `None` where something was decided
    /// inside of them, which a conflict cannot tell.
    fn hold(
        &mut self,
        carried: &mut Carried<'_, 'o>,
        kind: ConflictKind,
        (members, head): (&[Node<'o>], &Node<'o>),
        list: &FieldPath,
        document: &Value,
    ) -> Result<Option<Held>, MergeError> {
        let noted = self.decisions.len();
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
        if self.decisions.len() > noted {
            // Of items inside, that only stand here: nobody would read of that either.
            return Ok(None);
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
        Ok(Some(Held { key: head.1.clone(), conflict, after }))
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
}

impl<'o> Carried<'_, 'o> {
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
