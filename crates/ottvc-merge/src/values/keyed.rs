//! Keyed lists: items by key, then their order.

use std::collections::{BTreeMap, BTreeSet};

use ottvc_object::conflict::{Conflict, ConflictKind, Term};
use ottvc_object::field_path::Segment;
use ottvc_object::value::{Key, KeyedList, ListOrder, Value};

use super::parts::Parts;
use super::{Labels, Walk};
use crate::MergeError;
use crate::algebra::{settle_by, simplify_by};
use crate::number::reading_order_of_keys;
use crate::order::merge_order;
use crate::schema::{Cursor, order_of};
use crate::slot::{Slot, same_conflict};

impl<'o> Walk<'o> {
    /// Merges lists with the key fields of `any`; a list that is not there counts as an empty one.
    pub(super) fn keyed<'a>(
        &mut self,
        any: &'a KeyedList,
        lists: &[Option<&'a KeyedList>],
        labels: Labels<'a>,
        at: &Cursor<'o>,
    ) -> Result<KeyedList, MergeError> {
        let open = |slot: Slot<'a>| match slot {
            Slot::Absent => Some(None),
            Slot::Value(Value::Keyed(list)) if list.fields() == any.fields() => {
                Some(Some(list.items()))
            }
            _ => None,
        };
        let parts = Parts {
            terms: lists.iter().map(|list| list.map(KeyedList::items)).collect(),
            open: &open,
            segment: &|key| any.segment(key),
            fields: any.fields(),
        };
        let items = self.parts(&parts, labels, at, &BTreeSet::new())?;
        let order = match order_of(at.order(), items.iter()) {
            Some(order) => ListOrder::Known(order),
            None => {
                let apart = at.insert_conflict();
                let merge = |walk: &mut Self, at: &Cursor<'o>| {
                    walk.order(any, lists, &items, labels, (at, apart))
                };
                self.below(Segment::Order, at, merge)?
            }
        };
        Ok(KeyedList::from_parts(any.fields().to_vec(), items, order)?)
    }

    /// Merges the orders of `lists` into an order of the merged `items`.
    fn order<'a>(
        &mut self,
        any: &'a KeyedList,
        lists: &[Option<&'a KeyedList>],
        items: &BTreeMap<Key, Value>,
        labels: Labels<'a>,
        (at, apart): (&Cursor<'o>, bool),
    ) -> Result<ListOrder, MergeError> {
        let ranks = Ranks::new(any, items);
        let sequence = |list: &'a KeyedList| ranks.of_order(list.order());
        let mut terms: Vec<Sequence> =
            lists.iter().map(|list| list.map_or(Sequence::default(), sequence)).collect();
        if ranks.keys.len() < 2 {
            return Ok(ranks.known(&ranks.complete(Vec::new(), &[])));
        }
        // As for any value: as wholes first, then with the sides' own conflicts taken apart.
        for take_apart in [false, true] {
            if take_apart {
                terms = ranks.flatten(&terms);
            }
            match settle_by(&terms, &Sequence::eq) {
                Some(Sequence::Known(order)) if order.len() == ranks.keys.len() => {
                    return Ok(ranks.known(&order));
                }
                Some(Sequence::Conflict(conflict)) => {
                    return Ok(ListOrder::Conflict(Box::new(conflict.clone())));
                }
                _ => {}
            }
        }
        let sequences: Option<Vec<Vec<usize>>> = terms.iter().map(Sequence::known).collect();
        let kind = match sequences {
            None => ConflictKind::ContestedBase,
            Some(sequences) => match merge_order(&sequences, ranks.keys.len(), apart) {
                Some(order) => return Ok(ranks.known(&order)),
                None => ConflictKind::Order,
            },
        };
        let side = |label: Slot<'a>| match label {
            Slot::Absent => Some(ranks.to_value(&Sequence::default())),
            Slot::Value(Value::Keyed(list)) => Some(ranks.to_value(&sequence(list))),
            _ => None,
        };
        let [ours, base, theirs] =
            [labels.ours, labels.base, labels.theirs].map(|label| label.and_then(side));
        let labels = Labels {
            ours: ours.as_ref().map(|value| Some(value).into()),
            base: base.as_ref().map(|value| Some(value).into()),
            theirs: theirs.as_ref().map(|value| Some(value).into()),
        };
        let values: Vec<Value> =
            simplify_by(terms, &Sequence::eq).iter().map(|term| ranks.to_value(term)).collect();
        let slots: Vec<Slot> = values.iter().map(|value| Some(value).into()).collect();
        match self.conflict(kind, "order", &slots, labels, at)? {
            Some(Value::Conflict(conflict)) => Ok(ListOrder::Conflict(conflict)),
            chosen => {
                let sides: Vec<_> = values.iter().step_by(2).map(Some).collect();
                Ok(ranks.known(&ranks.taken(chosen.as_ref(), &sides)))
            }
        }
    }
}

/// The order of `list`, in conflict, settled by taking the term `chosen` of it. The keys that lacks come behind:
/// those of a side in the order the list stands in, those of a base sorted, as it prefers no side.
pub(crate) fn taken_order(
    list: &KeyedList,
    conflict: &Conflict<Value>,
    chosen: Option<&Value>,
) -> ListOrder {
    let ranks = Ranks::new(list, list.items());
    let sides: Vec<_> = conflict.terms.adds().map(Term::value).collect();
    ranks.known(&ranks.taken(chosen, &sides))
}

/// The order of `list` with the keys `first` in front, the others behind in the order the list stands in: in
/// a conflict that of its first side, then of the next what that lacks, then what all lack, sorted.
pub(crate) fn order_beginning<'a>(
    list: &KeyedList,
    first: impl IntoIterator<Item = &'a Key>,
) -> ListOrder {
    let ranks = Ranks::new(list, list.items());
    let standing = match list.order() {
        ListOrder::Known(keys) => ranks.of_keys(keys),
        ListOrder::Conflict(conflict) => {
            ranks.standing(&conflict.terms.adds().map(Term::value).collect::<Vec<_>>())
        }
    };
    ranks.known(&ranks.complete(ranks.of_keys(first), &standing))
}

/// The keys of `list` sorted, as people would sort them.
pub(crate) fn sorted_order(list: &KeyedList) -> ListOrder {
    let ranks = Ranks::new(list, list.items());
    ranks.known(&ranks.complete(Vec::new(), &[]))
}

/// One term's order, as ranks among the merged keys; keys that are gone are left out.
#[derive(Clone, Debug)]
enum Sequence<'a> {
    Known(Vec<usize>),
    Conflict(&'a Conflict<Value>),
}

impl Default for Sequence<'_> {
    fn default() -> Self {
        Self::Known(Vec::new())
    }
}

impl PartialEq for Sequence<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Known(a), Self::Known(b)) => a == b,
            (Self::Conflict(a), Self::Conflict(b)) => same_conflict(a, b),
            _ => false,
        }
    }
}

impl Sequence<'_> {
    fn known(&self) -> Option<Vec<usize>> {
        match self {
            Self::Known(order) => Some(order.clone()),
            Self::Conflict(_) => None,
        }
    }
}

/// The keys of a merged list by number, in their own order.
struct Ranks<'k> {
    list: &'k KeyedList,
    keys: Vec<&'k Key>,
    ranks: BTreeMap<&'k Key, usize>,
}

impl<'k> Ranks<'k> {
    fn new(list: &'k KeyedList, items: &'k BTreeMap<Key, Value>) -> Self {
        Self { list, keys: items.keys().collect(), ranks: items.keys().zip(0..).collect() }
    }

    /// Numbers `keys`; each once, as nobody has checked what a stored conflict repeats.
    fn of_keys<'a>(&self, keys: impl IntoIterator<Item = &'a Key>) -> Vec<usize> {
        let mut fresh = vec![true; self.keys.len()];
        let mut first = |rank: &usize| {
            fresh.get_mut(*rank).is_some_and(|fresh| std::mem::replace(fresh, false))
        };
        keys.into_iter().filter_map(|key| self.ranks.get(key).copied()).filter(&mut first).collect()
    }

    fn of_order<'a>(&self, order: &'a ListOrder) -> Sequence<'a> {
        match order {
            ListOrder::Known(keys) => Sequence::Known(self.of_keys(keys)),
            ListOrder::Conflict(conflict) => Sequence::Conflict(conflict),
        }
    }

    fn of_value(&self, value: Option<&Value>) -> Vec<usize> {
        let keys = value.and_then(|value| self.list.read_sequence(value));
        self.of_keys(&keys.unwrap_or_default())
    }

    /// Replaces each conflict among the adds by its sequences.
    fn flatten<'a>(&self, terms: &[Sequence<'a>]) -> Vec<Sequence<'a>> {
        let mut flat = Vec::with_capacity(terms.len());
        for (place, term) in terms.iter().enumerate() {
            match term {
                Sequence::Conflict(conflict) if place % 2 == 0 => {
                    let sequence = |slot: Slot<'a>| match slot {
                        Slot::Conflict(nested) => Sequence::Conflict(nested),
                        slot => Sequence::Known(self.of_value(slot.value())),
                    };
                    let terms = conflict.terms.as_slice().iter();
                    let inner: Vec<Sequence<'a>> =
                        terms.map(|term| sequence(term.into())).collect();
                    flat.extend(self.flatten(&inner));
                }
                term => flat.push(term.clone()),
            }
        }
        flat
    }

    /// The order a list in conflict stands in: that of the first of `sides`, then what each other has besides.
    fn standing(&self, sides: &[Option<&Value>]) -> Vec<usize> {
        let keys = sides.iter().flatten().filter_map(|side| self.list.read_sequence(side));
        self.of_keys(&keys.flatten().collect::<Vec<_>>())
    }

    /// The order of one term of a conflict with these sides, all keys in it.
    fn taken(&self, chosen: Option<&Value>, sides: &[Option<&Value>]) -> Vec<usize> {
        let order = self.of_value(chosen);
        // Whoever merges in the other direction gets the same: only a side makes one of the others the next.
        let a_side = sides.iter().any(|side| self.of_value(*side) == order);
        let standing = if a_side { self.standing(sides) } else { Vec::new() };
        self.complete(order, &standing)
    }

    /// Adds what `order` lacks at its end: in the order of `standing`, and what that lacks, too, as people
    /// would sort it.
    fn complete(&self, mut order: Vec<usize>, standing: &[usize]) -> Vec<usize> {
        let mut held: BTreeSet<usize> = order.iter().copied().collect();
        order.extend(standing.iter().copied().filter(|rank| held.insert(*rank)));
        let lacking = self.keys.iter().zip(0..).filter(|(_, rank)| !held.contains(rank));
        let mut lacking: Vec<(&&Key, usize)> = lacking.collect();
        lacking.sort_by(|(a, _), (b, _)| reading_order_of_keys(a, b));
        order.extend(lacking.into_iter().map(|(_, rank)| rank));
        order
    }

    fn named(&self, order: &[usize]) -> Vec<&'k Key> {
        order.iter().filter_map(|rank| self.keys.get(*rank).copied()).collect()
    }

    fn known(&self, order: &[usize]) -> ListOrder {
        ListOrder::Known(self.named(order).into_iter().cloned().collect())
    }

    fn to_value(&self, sequence: &Sequence<'_>) -> Value {
        match sequence {
            Sequence::Known(order) => KeyedList::sequence_value(self.named(order)),
            Sequence::Conflict(conflict) => Value::Conflict(Box::new((*conflict).clone())),
        }
    }
}
