//! What a schema has come to call one unit, or a localized map, in layers that were made before.

use std::collections::BTreeMap;

use ottvc_object::field_path::Segment;
use ottvc_object::value::{Value, ValueMap, canonical_tag};

use super::{KeyedNode, Layer, Node};
use crate::Schema;
use crate::schema::{Cursor, Type};
use crate::values::group_key;

impl Layer {
    /// Returns the layer with the entries of a map by their locales, where the schema has come to call that map
    /// localized: as [`Schema::convert`] does with the documents that it lies between.
    pub fn under(self, schema: Option<&Schema>) -> Self {
        match schema {
            Some(schema) => Self(by_locales(self.0, &Cursor::root(Some(schema)))),
            None => self,
        }
    }
}

fn by_locales(own: Node, at: &Cursor<'_>) -> Node {
    match own {
        Node::Map(entries) if at.kind() == Some(Type::Localized) => {
            locales(&entries).map_or(Node::Map(entries), Node::Localized)
        }
        Node::Map(entries) => {
            let below = |(key, node)| {
                let node = by_locales(node, &at.step(&Segment::Key(String::clone(&key))));
                (key, node)
            };
            Node::Map(entries.into_iter().map(below).collect())
        }
        Node::Keyed(list) => {
            let KeyedNode { fields, items, order } = list.clone();
            let below = |(key, node)| {
                let node = by_locales(node, &at.step(&list.segment(&key)));
                (key, node)
            };
            Node::Keyed(KeyedNode { fields, items: items.into_iter().map(below).collect(), order })
        }
        other => other,
    }
}

/// What entries are by their locales; `None` if one is no locale, or two say what one of them has: such a map
/// stays one in documents, too.
fn locales(entries: &BTreeMap<String, Node>) -> Option<BTreeMap<String, Node>> {
    let mut locales = BTreeMap::new();
    for (key, node) in entries {
        let tag = canonical_tag(key)?;
        match (locales.get(&tag), node) {
            (_, Node::Map(_) | Node::Localized(_) | Node::Set { .. } | Node::Keyed(_)) => {
                return None;
            }
            (Some(Node::Override(_)), Node::Override(_)) => return None,
            // It took one spelling away for the other.
            (Some(Node::Override(_)), Node::Suppress) => {}
            (_, Node::Override(_) | Node::Suppress) => drop(locales.insert(tag, node.clone())),
        }
    }
    Some(locales)
}

/// The layer `own`, which makes `shown`, with what is one unit said as one: else it would be mixed with what
/// the parent comes to have there. The `fixed` entries of a map are the name of an item, and never layered.
pub(super) fn in_units(
    own: Node,
    shown: Option<&Value>,
    at: &Cursor<'_>,
    fixed: &[String],
) -> Option<Node> {
    if matches!(own, Node::Override(_) | Node::Suppress) {
        return Some(own);
    }
    if at.whole().is_some() {
        return shown.cloned().map(Node::Override);
    }
    match (own, shown) {
        (Node::Map(entries), Some(Value::Map(map))) => {
            let entries = together(entries, map, at, fixed);
            Node::Map(each(entries, map, at, Segment::Key)).unless_empty()
        }
        (Node::Localized(entries), Some(Value::Localized(map))) => {
            Node::Localized(each(entries, map, at, Segment::Locale)).unless_empty()
        }
        (Node::Keyed(mut own), Some(Value::Keyed(list))) if own.fields == list.fields() => {
            let items = std::mem::take(&mut own.items).into_iter();
            own.items = items
                .filter_map(|(key, node)| {
                    let below = at.step(&own.segment(&key));
                    let node = in_units(node, list.items().get(&key), &below, &own.fields)?;
                    Some((key, node))
                })
                .collect();
            Node::Keyed(own).unless_empty()
        }
        // Elements are decided one by one; and what is not shown as made has nothing of its own there.
        (own, _) => Some(own),
    }
}

fn each(
    entries: BTreeMap<String, Node>,
    map: &ValueMap,
    at: &Cursor<'_>,
    segment: fn(String) -> Segment,
) -> BTreeMap<String, Node> {
    entries
        .into_iter()
        .filter_map(|(key, node)| {
            let below = at.step(&segment(key.clone()));
            let node = in_units(node, map.get(&key), &below, &[])?;
            Some((key, node))
        })
        .collect()
}

/// Of fields that move together, all are the edition's own if one is.
fn together(
    mut entries: BTreeMap<String, Node>,
    map: &ValueMap,
    at: &Cursor<'_>,
    fixed: &[String],
) -> BTreeMap<String, Node> {
    for names in at.groups() {
        let key = group_key(names);
        let members = || names.iter().filter(|name| !fixed.contains(name));
        if !members().chain([&key]).any(|name| entries.contains_key(name)) {
            continue;
        }
        for name in members() {
            let node = map.get(name).cloned().map_or(Node::Suppress, Node::Override);
            entries.insert(name.clone(), node);
        }
    }
    entries
}
