//! The layer that a change of a document leaves.

use std::collections::{BTreeMap, BTreeSet};

use ottvc_object::field_path::{FieldPath, Segment};
use ottvc_object::value::{Key, KeyedList, ListOrder, Value, ValueMap, ValueSet};

use super::overlay::order_over;
use super::propagate::of_kind;
use super::whole::in_units;
use super::{KeyedNode, Layer, Node};
use crate::Schema;
use crate::schema::{Cursor, Order};
use crate::values::group_key;

/// Returns the layer `own` after an edition's document went from `before` to `after` over `parent`.
///
/// Every unit that changed is overridden afterwards, also one that now equals what it would inherit; a
/// unit that is gone is suppressed if the parent has it. Nothing else changes. `before` is what the layer
/// made of the parent, so that over the same parent the new layer makes `after`.
///
/// What the parent has nothing of is layered by its parts, too, for what the parent may come to have there.
/// Said by parts it takes more room: where that is past the limits of documents, it is said whole, also what
/// was said by parts before. What the schema has come to call one unit since is said as one.
pub fn record(
    schema: Option<&Schema>,
    own: Option<&Layer>,
    before: Option<&Value>,
    after: Option<&Value>,
    parent: Option<&Value>,
) -> Option<Layer> {
    let recorded = |parts: bool| {
        let root = Cursor::root(schema);
        let own = own.map(|own| &own.0);
        let node = Walk { parts }.place(own, [before, after, parent], &root, &[]);
        node.and_then(|node| in_units(node, after, &root, &[])).map(Layer)
    };
    match recorded(true) {
        Some(layer) if own != Some(&layer) && !layer.is_storable() => recorded(false),
        layer => layer,
    }
}

/// One way to make a layer.
struct Walk {
    /// Whether what the parent has nothing of is layered by its parts.
    parts: bool,
}

impl Walk {
    /// [`record`] at one place; the values are before, after, and the parent's. The `fixed` entries of a map
    /// are the name of an item, and never layered.
    fn place(
        &self,
        own: Option<&Node>,
        [before, after, parent]: [Option<&Value>; 3],
        at: &Cursor<'_>,
        fixed: &[String],
    ) -> Option<Node> {
        if before == after {
            match (own, after, parent) {
                (Some(own), Some(after), None) if !self.parts && own.holds_values() => {
                    return Some(Node::Override(after.clone()));
                }
                (Some(own), Some(_), Some(_))
                    if !self.parts && of_kind(own, after) && of_kind(own, parent) => {}
                _ => return own.cloned(),
            }
        }
        let Some(after) = after else { return parent.map(|_| Node::Suppress) };
        let new = parent.is_none();
        if at.whole().is_some() || (new && !(self.parts && at.may_inherit())) {
            return Some(Node::Override(after.clone()));
        }
        let own = match own {
            // What is put into an empty container of its own is told by parts.
            Some(Node::Override(value)) if new && is_empty(value, fixed) => None,
            // So is what settles a conflict over what its parent has taken away.
            Some(Node::Override(Value::Conflict(_))) if new => None,
            own => own,
        };
        // Layered by parts: what the parent has parts of, too, or nothing, and nobody has replaced whole.
        let node = match (own, after, parent) {
            (None | Some(Node::Map(_)), Value::Map(after), None | Some(Value::Map(_))) => {
                let maps = [map_of(before, false), Some(after), map_of(parent, false)];
                Node::Map(self.entries(entries_of(own), maps, at, fixed))
            }
            (
                None | Some(Node::Localized(_)),
                Value::Localized(after),
                None | Some(Value::Localized(_)),
            ) => {
                let maps = [map_of(before, true), Some(after), map_of(parent, true)];
                let step = |tag: &String| at.step(&Segment::Locale(tag.clone()));
                Node::Localized(self.children(entries_of(own), maps, &step, &BTreeSet::new()))
            }
            (None | Some(Node::Set { .. }), Value::Set(after), None | Some(Value::Set(_))) => {
                set(own, before, after, parent)
            }
            (None | Some(Node::Keyed(_)), Value::Keyed(after), None | Some(Value::Keyed(_)))
                if list_of(parent).is_none_or(|parent| parent.fields() == after.fields()) =>
            {
                let own = match own {
                    Some(Node::Keyed(own)) if own.fields != after.fields() => {
                        return Some(Node::Override(Value::Keyed(after.clone())));
                    }
                    Some(Node::Keyed(own)) => Some(own),
                    _ => None,
                };
                Node::Keyed(self.list(own, before, after, list_of(parent), at))
            }
            (_, after, _) => return Some(Node::Override(after.clone())),
        };
        if !new {
            return node.unless_empty();
        }
        // An empty container has no parts to be there for it: it is a value.
        if !node.holds_values() {
            return Some(Node::Override(after.clone()));
        }
        Some(node)
    }

    /// The entries of a map that are not inherited; fields that move together go together here, too.
    fn entries(
        &self,
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
        let step = |key: &String| at.step(&Segment::Key(key.clone()));
        let mut merged = self.children(own, maps, &step, &done);
        merged.extend(together);
        merged
    }

    /// The entries that are not inherited, but for those that are `done`.
    fn children<'s>(
        &self,
        own: Option<&BTreeMap<String, Node>>,
        maps: Maps<'_>,
        step: &dyn Fn(&String) -> Cursor<'s>,
        done: &BTreeSet<String>,
    ) -> BTreeMap<String, Node> {
        let [before, after, _] = maps;
        let named = own.into_iter().flat_map(BTreeMap::keys);
        let held = [before, after].into_iter().flatten().flat_map(BTreeMap::keys);
        let keys: BTreeSet<&String> =
            named.chain(held).filter(|key| !done.contains(*key)).collect();
        keys.into_iter()
            .filter_map(|key| {
                let own = own.and_then(|own| own.get(key));
                let values = maps.map(|map| map.and_then(|map| map.get(key)));
                Some((key.clone(), self.place(own, values, &step(key), &[])?))
            })
            .collect()
    }

    fn list(
        &self,
        own: Option<&KeyedNode>,
        before: Option<&Value>,
        after: &KeyedList,
        parent: Option<&KeyedList>,
        at: &Cursor<'_>,
    ) -> KeyedNode {
        let before = list_of(before).filter(|before| before.fields() == after.fields());
        let named = own.into_iter().flat_map(|own| own.items.keys());
        let held = before.into_iter().chain([after]).flat_map(|list| list.items().keys());
        let keys: BTreeSet<&Key> = named.chain(held).collect();
        let mut items = BTreeMap::new();
        for key in keys {
            let own = own.and_then(|own| own.items.get(key));
            let lists = [before, Some(after), parent];
            let values = lists.map(|list| list.and_then(|list| list.items().get(key)));
            let node = self.place(own, values, &at.step(&after.segment(key)), after.fields());
            items.extend(node.map(|node| (key.clone(), node)));
        }
        // The order is the edition's own once it is another than what would come without saying. Where the
        // parent has none, nothing comes: that its own is the sorted one is chance.
        let of_own = own.and_then(|own| own.order.clone());
        let first =
            parent.is_none() && *at.order() == Order::Significant && after.items().len() > 1;
        let without = order_over(parent, of_own.as_ref(), after.items(), at);
        let said = first || without != *after.order();
        let order = if said { Some(after.order().clone()) } else { of_own };
        KeyedNode { fields: after.fields().to_vec(), items, order }
    }
}

/// Whether a container has nothing in it but what is `fixed`.
fn is_empty(value: &Value, fixed: &[String]) -> bool {
    match value {
        Value::Map(map) => map.keys().all(|key| fixed.contains(key)),
        Value::Localized(map) => map.is_empty(),
        Value::Set(set) => set.is_empty(),
        Value::Keyed(list) => list.items().is_empty(),
        _ => false,
    }
}

fn list_of(value: Option<&Value>) -> Option<&KeyedList> {
    match value {
        Some(Value::Keyed(list)) => Some(list),
        _ => None,
    }
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

/// What is put in and taken out after every element that came or went; only what the parent has is taken out.
fn set(
    own: Option<&Node>,
    before: Option<&Value>,
    after: &ValueSet,
    parent: Option<&Value>,
) -> Node {
    let (mut add, mut remove) = match own {
        Some(Node::Set { add, remove }) => (add.clone(), remove.clone()),
        _ => Default::default(),
    };
    let none = ValueSet::default();
    let [before, parent] = [before, parent].map(|value| match value {
        Some(Value::Set(set)) => set,
        _ => &none,
    });
    for element in before.iter().filter(|element| !after.contains(element)) {
        add.remove(element);
        if parent.contains(element) {
            // What stands in a set may stand in a set.
            let _ = remove.insert(element.clone());
        }
    }
    for element in after.iter().filter(|element| !before.contains(element)) {
        remove.remove(element);
        let _ = add.insert(element.clone());
    }
    Node::Set { add, remove }
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
