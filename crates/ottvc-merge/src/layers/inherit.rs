//! What flows from a parent at all, and what a child is given once.

use std::borrow::Cow;
use std::collections::BTreeMap;

use ottvc_object::field_path::Segment;
use ottvc_object::value::{Key, KeyedList, ListOrder, Value, ValueMap};

use super::{Layer, Unit, changed_units, record};
use crate::Schema;
use crate::schema::{Cursor, Inherit};

/// Returns what children inherit of a document: all of it but what its schema says is `inherit: never` or
/// `at_create`. A container of such fields goes with them, unless the schema has fields in it that flow.
pub fn inherited<'v>(schema: Option<&Schema>, parent: Option<&'v Value>) -> Option<Cow<'v, Value>> {
    let parent = parent?;
    match schema.filter(|schema| holds_back(schema)) {
        None => Some(Cow::Borrowed(parent)),
        Some(schema) => {
            let flows = |inherit| inherit == Inherit::Flow;
            kept(parent, &Cursor::root(Some(schema)), &[], &flows).map(Cow::Owned)
        }
    }
}

/// Returns the layer that an edition has when it is made from `parent`: its own copies of what its schema
/// says is `inherit: at_create`.
pub fn at_create(schema: Option<&Schema>, parent: Option<&Value>) -> Option<Layer> {
    let schema = schema.filter(|schema| holds_back(schema))?;
    let flows = inherited(Some(schema), parent);
    let given = |inherit| inherit != Inherit::Never;
    let given = parent.and_then(|it| kept(it, &Cursor::root(Some(schema)), &[], &given));
    let flows = flows.as_deref();
    record(Some(schema), None, flows, given.as_ref(), flows)
}

/// Returns the layer that holds what a document has and nobody inherits: `inherit: never` and `at_create`.
pub fn held(schema: Option<&Schema>, document: Option<&Value>) -> Option<Layer> {
    let schema = schema.filter(|schema| holds_back(schema))?;
    let flows = inherited(Some(schema), document);
    let flows = flows.as_deref();
    record(Some(schema), None, flows, document, flows)
}

/// Returns the units that differ between two states of a document and that nobody inherits; a document that is
/// not there counts as empty.
pub fn held_units(schema: Option<&Schema>, old: Option<&Value>, new: Option<&Value>) -> Vec<Unit> {
    let Some(schema) = schema.filter(|schema| holds_back(schema)) else { return Vec::new() };
    let empty = Value::Map(ValueMap::new());
    let [old, new] = [old, new].map(|side| Some(side.unwrap_or(&empty)));
    let mut units = changed_units(Some(schema), old, new);
    units.retain(|unit| Cursor::at(schema, &unit.path).inherit() != Inherit::Flow);
    units
}

fn holds_back(schema: &Schema) -> bool {
    schema.fields().iter().any(|field| field.reach.inherit.is_some_and(|it| it != Inherit::Flow))
}

/// What of `value` is inherited as `wanted` says; the `fixed` fields stay with a map that stays.
fn kept(
    value: &Value,
    at: &Cursor<'_>,
    fixed: &[String],
    wanted: &dyn Fn(Inherit) -> bool,
) -> Option<Value> {
    let flows = wanted(at.inherit());
    // It stays for what may come to be in it: an edition's own fields there have not lost their place.
    let here = flows || at.leads_to(|field| field.reach.inherit.is_some_and(wanted));
    // Nothing further down says otherwise.
    if at.whole().is_some() || !at.goes_on() {
        return flows.then(|| value.clone());
    }
    let map = |map: &ValueMap, segment: fn(String) -> Segment| {
        let mut left = ValueMap::new();
        for (key, child) in map.iter().filter(|(key, _)| !fixed.contains(key)) {
            let below = at.step(&segment(key.clone()));
            left.extend(kept(child, &below, &[], wanted).map(|child| (key.clone(), child)));
        }
        left.extend(fixed.iter().filter_map(|key| map.get_key_value(key)).map(owned));
        here.then_some(left)
    };
    match value {
        Value::Map(entries) => map(entries, Segment::Key).map(Value::Map),
        Value::Localized(entries) => map(entries, Segment::Locale).map(Value::Localized),
        Value::Keyed(list) => {
            let mut items = BTreeMap::new();
            for (key, item) in list.items() {
                let item = kept(item, &at.step(&list.segment(key)), list.fields(), wanted);
                items.extend(item.map(|item| (key.clone(), item)));
            }
            here.then(|| with_items(list, items)).flatten()
        }
        other => flows.then(|| other.clone()),
    }
}

fn owned((key, value): (&String, &Value)) -> (String, Value) {
    (key.clone(), value.clone())
}

/// A list with fewer items, in the same order.
fn with_items(list: &KeyedList, items: BTreeMap<Key, Value>) -> Option<Value> {
    let order = match list.order() {
        ListOrder::Known(keys) => {
            ListOrder::Known(keys.iter().filter(|key| items.contains_key(key)).cloned().collect())
        }
        conflict => conflict.clone(),
    };
    // Every item has the key it had, and the order is each key once, so this is a list.
    KeyedList::from_parts(list.fields().to_vec(), items, order).ok().map(Value::Keyed)
}
