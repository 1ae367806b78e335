//! Values into the kinds their schema names, and into its one spelling.
//!
//! Pure, and total: what cannot be converted keeps its kind, and `validate` says so. Conflicts are
//! left as they are.

use std::cmp::Ordering;

use ottvc_object::field_path::Segment;
use ottvc_object::value::{
    Key, KeyedList, ListOrder, Timestamp, Value, ValueMap, ValueSet, value_from_json, value_to_json,
};
use serde_json::json;

use super::{Cursor, Field, Order, Schema, Type};
use crate::number::{Sort, compare, sort_of};
use crate::values::{FROM, is_former};

impl Schema {
    /// Returns `document` with each value of the kind this schema names, strings in the spelling of
    /// their format, and lists in the order it names. Converting again changes nothing.
    ///
    /// A string becomes a text or instant and back, an array a set or keyed list, a map a localized
    /// map or asset reference; of elements that come twice a set keeps one. Former keys under `$from` are
    /// a set, whatever pattern they fit. A list with other key fields gets those of the schema, if every
    /// item has them.
    pub fn convert(&self, document: &Value) -> Value {
        convert(document.clone(), &Cursor::root(Some(self)))
    }
}

/// Converts what stands at a place.
pub(crate) fn convert(value: Value, at: &Cursor<'_>) -> Value {
    let value = match at.kind() {
        Some(kind) if !kind.holds(&value) => into_kind(value, kind, at),
        _ => value,
    };
    match value {
        Value::Map(map) => Value::Map(entries(map, at, Segment::Key)),
        Value::Localized(map) => Value::Localized(entries(map, at, Segment::Locale)),
        Value::Array(elements) => Value::Array(
            (0..).zip(elements).map(|(n, it)| convert(it, &at.step(&Segment::Index(n)))).collect(),
        ),
        // What would name two things alike, or hold what may not stand there, stays as it is.
        Value::Set(set) => Value::Set(elements(&set, at).unwrap_or(set)),
        Value::Keyed(list) => {
            let list = rekeyed(&list, at).unwrap_or(list);
            Value::Keyed(items(&list, at).unwrap_or(list))
        }
        Value::String(text) => {
            let canonical = at.limits().and_then(|limits| limits.format?.canonical(&text));
            Value::String(canonical.unwrap_or(text))
        }
        other => other,
    }
}

fn entries(map: ValueMap, at: &Cursor<'_>, segment: fn(String) -> Segment) -> ValueMap {
    let entry = |(key, value): (String, Value)| {
        // Whatever pattern it fits, it says where its entry was.
        if key == FROM {
            return (key, former_keys(value));
        }
        let below = at.step(&segment(key.clone()));
        (key, convert(value, &below))
    };
    map.into_iter().map(entry).collect()
}

/// The former keys of an entry as the set they are; an array of anything else stays one.
fn former_keys(value: Value) -> Value {
    let Value::Array(keys) = &value else { return value };
    let mut set = ValueSet::default();
    for key in keys {
        if !is_former(key) || !matches!(set.insert(key.clone()), Ok(true)) {
            return value;
        }
    }
    Value::Set(set)
}

/// Two elements that come to one spelling are one element.
fn elements(set: &ValueSet, at: &Cursor<'_>) -> Option<ValueSet> {
    let mut converted = ValueSet::default();
    for element in set.iter() {
        let below = at.step(&Segment::Element(element.clone()));
        converted.insert(convert(element.clone(), &below)).ok()?;
    }
    Some(converted)
}

/// A list with other key fields than the schema names, by those: where every item has them, and no two the
/// same.
fn rekeyed(list: &KeyedList, at: &Cursor<'_>) -> Option<KeyedList> {
    let keys = &at.field().filter(|field| !field.keys.is_empty())?.keys;
    if keys == list.fields() || matches!(list.order(), ListOrder::Conflict(_)) {
        return None;
    }
    let map = |(_, item): (_, &Value)| match item {
        Value::Map(map) => Some(map.clone()),
        _ => None,
    };
    let maps = list.iter().map(map).collect::<Option<Vec<ValueMap>>>()?;
    KeyedList::new(keys.clone(), maps).ok()
}

fn items(list: &KeyedList, at: &Cursor<'_>) -> Option<KeyedList> {
    if matches!(list.order(), ListOrder::Conflict(_)) {
        return None;
    }
    let mut converted = KeyedList::empty(list.fields().to_vec()).ok()?;
    for (key, item) in list.iter() {
        let new = convert(item.clone(), &at.step(&list.segment(key)));
        let key = match &new {
            Value::Map(map) => converted.key_of(map).ok()?,
            _ => key.clone(),
        };
        if converted.items().contains_key(&key) {
            return None;
        }
        converted.put(key, new).ok()?;
    }
    if let Some(order) = at.field().and_then(|field| computed_order(field, &converted)) {
        converted.set_order(ListOrder::Known(order)).ok()?;
    }
    Some(converted)
}

/// Returns the order a list has by its schema, if that is not its own to say.
pub(crate) fn computed_order(field: &Field, list: &KeyedList) -> Option<Vec<Key>> {
    order_of(&field.order, list.items().iter())
}

/// Returns the order that `order` gives to `items`, which come sorted by key; `None` if it is
/// significant.
pub(crate) fn order_of<'a>(
    order: &Order,
    items: impl Iterator<Item = (&'a Key, &'a Value)>,
) -> Option<Vec<Key>> {
    let name = match order {
        Order::Significant => return None,
        Order::None => return Some(items.map(|(key, _)| key.clone()).collect()),
        Order::Field(name) => name,
    };
    let by = |item: &'a Value| match item {
        Value::Map(map) => map.get(name).and_then(|value| Some((sort_of(value)?, value))),
        _ => None,
    };
    let mut sorted: Vec<(&Key, Option<(Sort, &Value)>)> =
        items.map(|(key, item)| (key, by(item))).collect();
    // Stable, so equal fields stay sorted by key. One sort of values before the next, as values of
    // two sorts do not compare; what has no order comes last.
    sorted.sort_by(|(_, a), (_, b)| match (a, b) {
        (Some((sort_a, a)), Some((sort_b, b))) => {
            sort_a.cmp(sort_b).then_with(|| compare(a, b).unwrap_or(Ordering::Equal))
        }
        (a, b) => a.is_none().cmp(&b.is_none()),
    });
    Some(sorted.into_iter().map(|(key, _)| key.clone()).collect())
}

fn into_kind(value: Value, kind: Type, at: &Cursor<'_>) -> Value {
    match (kind, value) {
        (Type::Text, Value::String(text)) => Value::Text(text),
        (Type::String, Value::Text(text)) => Value::String(text),
        (Type::Timestamp, Value::String(text)) => match text.parse::<Timestamp>() {
            Ok(stamp) => Value::Timestamp(stamp),
            Err(_) => Value::String(text),
        },
        (Type::String, Value::Timestamp(stamp)) => Value::String(stamp.to_string()),
        (Type::Set, Value::Array(elements)) => {
            let mut set = ValueSet::default();
            for element in &elements {
                if set.insert(element.clone()).is_err() {
                    return Value::Array(elements);
                }
            }
            Value::Set(set)
        }
        (Type::Keyed, Value::Array(elements)) => keyed(elements, at),
        (Type::Localized, Value::Map(map)) => localized(map, at),
        (Type::Asset, Value::Map(map)) => {
            let body = value_to_json(&Value::Map(map.clone()));
            match value_from_json(&json!({ "$asset": body })) {
                Ok(asset) => asset,
                Err(_) => Value::Map(map),
            }
        }
        (_, other) => other,
    }
}

fn keyed(elements: Vec<Value>, at: &Cursor<'_>) -> Value {
    let Some(field) = at.field() else { return Value::Array(elements) };
    let maps: Option<Vec<ValueMap>> = elements
        .iter()
        .map(|element| if let Value::Map(map) = element { Some(map.clone()) } else { None })
        .collect();
    match maps.map(|maps| KeyedList::new(field.keys.clone(), maps)) {
        Some(Ok(list)) => Value::Keyed(list),
        _ => Value::Array(elements),
    }
}

/// Takes each leaf into its kind first: a map of locales holds strings and texts only.
fn localized(map: ValueMap, at: &Cursor<'_>) -> Value {
    let leaf = |(tag, value): (&String, &Value)| {
        let below = at.step(&Segment::Locale(tag.clone()));
        (tag.clone(), convert(value.clone(), &below))
    };
    match Value::localized(map.iter().map(leaf)) {
        Ok(value) => value,
        Err(_) => Value::Map(map),
    }
}
