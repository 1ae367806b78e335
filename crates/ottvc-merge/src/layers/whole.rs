//! What a schema has come to call one unit, in layers that were made before.

use std::collections::BTreeMap;

use ottvc_object::field_path::Segment;
use ottvc_object::value::{Value, ValueMap};

use super::Node;
use crate::schema::Cursor;
use crate::values::group_key;

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
