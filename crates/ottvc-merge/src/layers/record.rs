//! The layer that a change of a document leaves.

use std::collections::{BTreeMap, BTreeSet};

use ottvc_object::field_path::{FieldPath, Segment};
use ottvc_object::value::{Key, KeyedList, ListOrder, Value, ValueMap, ValueSet};

use super::overlay::order_over;
use super::{KeyedNode, Layer, Node};
use crate::Schema;
use crate::schema::Cursor;
use crate::values::group_key;

/// Returns the layer `own` after an edition's document went from `before` to `after` over `parent`.
///
/// Every unit that changed is overridden afterwards, also one that now equals what it would inherit; a
/// unit that is gone is suppressed if the parent has it. Nothing else changes. `before` is what the layer
/// made of the parent, so that over the same parent the new layer makes `after`.
pub fn record(
    schema: Option<&Schema>,
    own: Option<&Layer>,
    before: Option<&Value>,
    after: Option<&Value>,
    parent: Option<&Value>,
) -> Option<Layer> {
    let own = own.map(|own| &own.0);
    recorded(own, [before, after, parent], &Cursor::root(schema), &[]).map(Layer)
}

/// [`record`] at one place; the values are before, after, and the parent's. The `fixed` entries of a map
/// are the name of an item, and never layered.
fn recorded(
    own: Option<&Node>,
    [before, after, parent]: [Option<&Value>; 3],
    at: &Cursor<'_>,
    fixed: &[String],
) -> Option<Node> {
    if before == after {
        return own.cloned();
    }
    let Some(after) = after else { return parent.map(|_| Node::Suppress) };
    if at.whole().is_some() {
        return Some(Node::Override(after.clone()));
    }
    // Layered by parts: what the parent has parts of, too, and nobody has replaced whole.
    let node = match (own, after, parent) {
        (None | Some(Node::Map(_)), Value::Map(after), Some(Value::Map(parent))) => {
            let before = map_of(before, false);
            Node::Map(entries(entries_of(own), [before, Some(after), Some(parent)], at, fixed))
        }
        (
            None | Some(Node::Localized(_)),
            Value::Localized(after),
            Some(Value::Localized(parent)),
        ) => {
            let maps = [map_of(before, true), Some(after), Some(parent)];
            let step = |tag: &String| at.step(&Segment::Locale(tag.clone()));
            Node::Localized(children(entries_of(own), maps, &step, &BTreeSet::new()))
        }
        (None | Some(Node::Set { .. }), Value::Set(after), Some(Value::Set(_))) => {
            set(own, before, after)
        }
        (None | Some(Node::Keyed(_)), Value::Keyed(after), Some(Value::Keyed(parent)))
            if after.fields() == parent.fields() =>
        {
            let own = match own {
                Some(Node::Keyed(own)) if own.fields != after.fields() => {
                    return Some(Node::Override(Value::Keyed(after.clone())));
                }
                Some(Node::Keyed(own)) => Some(own),
                _ => None,
            };
            Node::Keyed(list(own, before, after, parent, at))
        }
        (_, after, _) => Node::Override(after.clone()),
    };
    node.unless_empty()
}

fn map_of(value: Option<&Value>, localized: bool) -> Option<&ValueMap> {
    match value {
        Some(Value::Map(map)) if !localized => Some(map),
        Some(Value::Localized(map)) if localized => Some(map),
        _ => None,
    }
}

fn entries_of(own: Option<&Node>) -> Option<&BTreeMap<String, Node>> {
    match own {
        Some(Node::Map(entries) | Node::Localized(entries)) => Some(entries),
        _ => None,
    }
}

type Maps<'v> = [Option<&'v ValueMap>; 3];

/// The entries of a map that are not inherited; fields that move together go together here, too.
fn entries(
    own: Option<&BTreeMap<String, Node>>,
    maps: Maps<'_>,
    at: &Cursor<'_>,
    fixed: &[String],
) -> BTreeMap<String, Node> {
    let [before, after, parent] = maps;
    fn get<'v>(map: Option<&'v ValueMap>, key: &String) -> Option<&'v Value> {
        map.and_then(|map| map.get(key))
    }
    let mut done: BTreeSet<String> = fixed.iter().cloned().collect();
    let mut together = BTreeMap::new();
    for names in at.groups() {
        let key = group_key(names);
        let members = || names.iter().chain([&key]).filter(|name| !fixed.contains(name));
        if members().all(|name| get(before, name) == get(after, name)) {
            continue;
        }
        for name in members() {
            let node = match get(after, name) {
                Some(value) => Node::Override(value.clone()),
                // A field of the group that the parent gains later is not one of these.
                None if *name != key || get(parent, name).is_some() => Node::Suppress,
                None => continue,
            };
            together.insert(name.clone(), node);
        }
        done.extend(members().cloned());
    }
    let mut merged = children(own, maps, &|key| at.step(&Segment::Key(key.clone())), &done);
    merged.extend(together);
    merged
}

/// The entries that are not inherited, but for those that are `done`.
fn children<'s>(
    own: Option<&BTreeMap<String, Node>>,
    maps: Maps<'_>,
    step: &dyn Fn(&String) -> Cursor<'s>,
    done: &BTreeSet<String>,
) -> BTreeMap<String, Node> {
    let [before, after, _] = maps;
    let named = own.into_iter().flat_map(BTreeMap::keys);
    let held = [before, after].into_iter().flatten().flat_map(BTreeMap::keys);
    let keys: BTreeSet<&String> = named.chain(held).filter(|key| !done.contains(*key)).collect();
    keys.into_iter()
        .filter_map(|key| {
            let own = own.and_then(|own| own.get(key));
            let values = maps.map(|map| map.and_then(|map| map.get(key)));
            Some((key.clone(), recorded(own, values, &step(key), &[])?))
        })
        .collect()
}

/// What is put in and taken out after every element that came or went.
fn set(own: Option<&Node>, before: Option<&Value>, after: &ValueSet) -> Node {
    let (mut add, mut remove) = match own {
        Some(Node::Set { add, remove }) => (add.clone(), remove.clone()),
        _ => Default::default(),
    };
    let none = ValueSet::default();
    let before = match before {
        Some(Value::Set(before)) => before,
        _ => &none,
    };
    for element in before.iter().filter(|element| !after.contains(element)) {
        add.remove(element);
        // What stands in a set may stand in a set.
        let _ = remove.insert(element.clone());
    }
    for element in after.iter().filter(|element| !before.contains(element)) {
        remove.remove(element);
        let _ = add.insert(element.clone());
    }
    Node::Set { add, remove }
}

fn list(
    own: Option<&KeyedNode>,
    before: Option<&Value>,
    after: &KeyedList,
    parent: &KeyedList,
    at: &Cursor<'_>,
) -> KeyedNode {
    let before = match before {
        Some(Value::Keyed(before)) if before.fields() == after.fields() => Some(before),
        _ => None,
    };
    let named = own.into_iter().flat_map(|own| own.items.keys());
    let held = before.into_iter().chain([after]).flat_map(|list| list.items().keys());
    let keys: BTreeSet<&Key> = named.chain(held).collect();
    let mut items = BTreeMap::new();
    for key in keys {
        let own = own.and_then(|own| own.items.get(key));
        let lists = [before, Some(after), Some(parent)];
        let values = lists.map(|list| list.and_then(|list| list.items().get(key)));
        let node = recorded(own, values, &at.step(&after.segment(key)), after.fields());
        items.extend(node.map(|node| (key.clone(), node)));
    }
    // The order is the edition's own once it is another than what would come without saying.
    let of_own = own.and_then(|own| own.order.clone());
    let without = order_over(Some(parent), of_own.as_ref(), after.items(), at);
    let order = if without == *after.order() { of_own } else { Some(after.order().clone()) };
    KeyedNode { fields: after.fields().to_vec(), items, order }
}

/// The layer `own` with a conflict, or nothing, at one place: made of the containers its steps need, or put
/// into the value that overrides one of them. `None` if there is no such place, as it is suppressed.
pub(super) fn put(own: Option<Node>, path: &[Segment], new: &Node) -> Option<Node> {
    let Some((segment, rest)) = path.split_first() else { return Some(new.clone()) };
    Some(match (segment, own) {
        (_, Some(Node::Suppress)) => return None,
        (_, Some(Node::Override(mut value))) => {
            let path = FieldPath(path.to_vec());
            value.get(&path.parent()?)?;
            let new = match new {
                Node::Override(new) => Some(new.clone()),
                _ => None,
            };
            value.set(&path, new).ok()?;
            Node::Override(value)
        }
        (Segment::Key(key), own) => {
            let mut entries = match own {
                Some(Node::Map(entries)) => entries,
                _ => BTreeMap::new(),
            };
            let child = entries.remove(key);
            entries.insert(key.clone(), put(child, rest, new)?);
            Node::Map(entries)
        }
        (Segment::Locale(tag), own) => {
            let mut entries = match own {
                Some(Node::Localized(entries)) => entries,
                _ => BTreeMap::new(),
            };
            let child = entries.remove(tag);
            entries.insert(tag.clone(), put(child, rest, new)?);
            Node::Localized(entries)
        }
        (Segment::Item(parts), own) => {
            let mut list = match own {
                Some(Node::Keyed(list)) => list,
                _ => {
                    let fields = parts.iter().map(|(field, _)| field.clone()).collect();
                    KeyedNode { fields, items: BTreeMap::new(), order: None }
                }
            };
            let key = list.key_named(parts)?;
            let child = list.items.remove(&key);
            list.items.insert(key, put(child, rest, new)?);
            Node::Keyed(list)
        }
        (Segment::Order, Some(Node::Keyed(mut list))) => {
            let Node::Override(Value::Conflict(conflict)) = new else { return None };
            list.order = Some(ListOrder::Conflict(conflict.clone()));
            Node::Keyed(list)
        }
        // Elements are there or not, and positions are no places: neither is ever in conflict.
        (Segment::Order | Segment::Element(_) | Segment::Index(_), _) => return None,
    })
}
