//! A document as readers see it: the inherited one with a layer over it.

use std::collections::{BTreeMap, BTreeSet};

use ottvc_object::field_path::Segment;
use ottvc_object::value::{Key, KeyedList, ListOrder, Value, ValueMap};

use super::{KeyedNode, Layer, Node};
use crate::Schema;
use crate::schema::{Cursor, order_of};

/// Returns `parent` with `own` over it; `None` is no document.
///
/// The parent is what is inherited ([`super::inherited`]). It is total: where the parent is not what the
/// layer was made for (it has nothing there, or a value of another kind), what the layer overrides stands
/// alone, and what it suppresses is not there to be suppressed. The schema only says how lists are sorted.
pub fn overlay(
    schema: Option<&Schema>,
    parent: Option<&Value>,
    own: Option<&Layer>,
) -> Option<Value> {
    overlaid(parent, own.map(|own| &own.0), &Cursor::root(schema))
}

pub(super) fn overlaid(
    parent: Option<&Value>,
    own: Option<&Node>,
    at: &Cursor<'_>,
) -> Option<Value> {
    let Some(own) = own else { return parent.cloned() };
    let fits = match (own, parent) {
        (Node::Override(value), _) => return Some(value.clone()),
        (Node::Suppress, _) => return None,
        (Node::Map(_), Some(Value::Map(_)))
        | (Node::Localized(_), Some(Value::Localized(_)))
        | (Node::Set { .. }, Some(Value::Set(_))) => true,
        (Node::Keyed(own), Some(Value::Keyed(list))) => list.fields() == own.fields,
        _ => false,
    };
    if !fits && !own.holds_values() {
        return parent.cloned();
    }
    let parent = parent.filter(|_| fits);
    let map = match parent {
        Some(Value::Map(map) | Value::Localized(map)) => map.clone(),
        _ => ValueMap::new(),
    };
    match own {
        Node::Map(entries) => Some(Value::Map(over_entries(map, entries, at, Segment::Key))),
        Node::Localized(entries) => {
            Some(Value::Localized(over_entries(map, entries, at, Segment::Locale)))
        }
        Node::Set { add, remove } => {
            let mut set = match parent {
                Some(Value::Set(set)) => set.clone(),
                _ => Default::default(),
            };
            for element in add.iter() {
                // What stands in a set may stand in a set.
                let _ = set.insert(element.clone());
            }
            for element in remove.iter() {
                set.remove(element);
            }
            Some(Value::Set(set))
        }
        Node::Keyed(own) => {
            let list = match parent {
                Some(Value::Keyed(list)) => Some(list),
                _ => None,
            };
            over_list(list, own, at)
        }
        // Said above.
        Node::Override(_) | Node::Suppress => None,
    }
}

fn over_entries(
    mut map: ValueMap,
    entries: &BTreeMap<String, Node>,
    at: &Cursor<'_>,
    segment: fn(String) -> Segment,
) -> ValueMap {
    for (key, own) in entries {
        let below = at.step(&segment(key.clone()));
        match overlaid(map.get(key), Some(own), &below) {
            Some(value) => drop(map.insert(key.clone(), value)),
            None => drop(map.remove(key)),
        }
    }
    map
}

fn over_list(parent: Option<&KeyedList>, own: &KeyedNode, at: &Cursor<'_>) -> Option<Value> {
    let mut items = parent.map(|list| list.items().clone()).unwrap_or_default();
    for (key, node) in &own.items {
        let below = at.step(&own.segment(key));
        match over_item(items.get(key), own, key, node, &below) {
            Some(item) => drop(items.insert(key.clone(), item)),
            None => drop(items.remove(key)),
        }
    }
    let order = order_over(parent, own.order.as_ref(), &items, at);
    // Every item has its key, and the order is each key once, so this is a list.
    KeyedList::from_parts(own.fields.clone(), items, order).ok().map(Value::Keyed)
}

/// An item; where the parent has none (or one in conflict), a layer over its fields still has its key.
fn over_item(
    parent: Option<&Value>,
    list: &KeyedNode,
    key: &Key,
    own: &Node,
    at: &Cursor<'_>,
) -> Option<Value> {
    let (Node::Map(_), true) = (own, own.holds_values()) else {
        return overlaid(parent, Some(own), at);
    };
    let bare = Value::Map(list.fields.iter().cloned().zip(key.parts().iter().cloned()).collect());
    let parent = parent.filter(|parent| matches!(parent, Value::Map(_))).unwrap_or(&bare);
    overlaid(Some(parent), Some(own), at)
}

/// The order of a list of these items: the edition's own, the one its schema computes, or the parent's.
pub(super) fn order_over(
    parent: Option<&KeyedList>,
    own: Option<&ListOrder>,
    items: &BTreeMap<Key, Value>,
    at: &Cursor<'_>,
) -> ListOrder {
    let of_parent: &[Key] = match parent.map(KeyedList::order) {
        Some(ListOrder::Known(keys)) => keys,
        _ => &[],
    };
    let known = |first: &[Key]| ListOrder::Known(arranged(first, of_parent, items));
    match (own, parent.map(KeyedList::order)) {
        (Some(ListOrder::Known(keys)), _) => known(keys),
        (Some(conflict), _) => conflict.clone(),
        (None, order) => match (order_of(at.order(), items.iter()), order) {
            (Some(sorted), _) => ListOrder::Known(sorted),
            (None, Some(conflict @ ListOrder::Conflict(_))) => conflict.clone(),
            (None, _) => known(of_parent),
        },
    }
}

/// The keys of `items`: those of `first` in its order; those of `second` each behind the key that comes
/// before it there; the rest at the end, sorted.
fn arranged(first: &[Key], second: &[Key], items: &BTreeMap<Key, Value>) -> Vec<Key> {
    let mut left: BTreeSet<&Key> = items.keys().collect();
    let first: Vec<&Key> = first.iter().filter(|key| left.remove(key)).collect();
    let mut behind: BTreeMap<Option<&Key>, Vec<&Key>> = BTreeMap::new();
    let mut last = None;
    for key in second {
        if left.remove(key) {
            behind.entry(last).or_default().push(key);
        } else if items.contains_key(key) {
            last = Some(key);
        }
    }
    let mut order = behind.remove(&None).unwrap_or_default();
    for key in first {
        order.push(key);
        order.extend(behind.remove(&Some(key)).unwrap_or_default());
    }
    order.extend(left);
    order.into_iter().cloned().collect()
}
