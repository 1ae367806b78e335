//! The plain JSON of a document under a schema: no tags where the schema says the kind.
//!
//! Whatever has the kind its schema names is written plainly; everything else keeps its tags. Reading
//! gives the document back, unless a string, array or map stands where the schema names another kind:
//! plain JSON has one word for both, so the value comes back in the kind the schema names.

use ottvc_object::field_path::{FieldPath, Segment};
use ottvc_object::value::{
    Key, ListOrder, Value, ValueMap, ValueSet, escape_key, value_from_json, value_to_json,
};
use serde_json::{Map, Value as Json};

use super::{Cursor, Order, Schema, Type};
use crate::MergeError;
use crate::number::{reading_order, reading_order_of_keys};
use crate::values::{FROM, group_names, is_former};

impl Schema {
    /// Reads plain JSON, and tags too, into the kinds this schema names.
    ///
    /// What cannot be converted keeps the kind that its JSON has; [`super::validate`] says so.
    ///
    /// # Errors
    /// [`MergeError::Object`] for JSON that is no metadata value at all.
    pub fn read_plain(&self, json: &Json) -> Result<Value, MergeError> {
        Ok(self.convert(&value_from_json(json)?))
    }

    /// Writes a document as plain JSON.
    pub fn to_plain(&self, document: &Value) -> Json {
        plain(document, &Cursor::root(Some(self)))
    }

    /// Writes what stands, or might stand, at `path` of a document as plain JSON; under the key of fields
    /// that move together, a map of them.
    pub fn to_plain_at(&self, path: &FieldPath, value: &Value) -> Json {
        plain(value, &place(Some(self), path))
    }
}

/// The place at `path`; of fields that move together the map that holds them.
pub(crate) fn place<'s>(schema: Option<&'s Schema>, path: &FieldPath) -> Cursor<'s> {
    let map = match path.segments().split_last() {
        Some((Segment::Key(key), map)) if group_names(key).is_some() => map,
        _ => path.segments(),
    };
    map.iter().fold(Cursor::root(schema), |at, step| at.step(step))
}

/// Writes what stands at a place; without a schema all but plain JSON has its tag.
pub(crate) fn plain(value: &Value, at: &Cursor<'_>) -> Json {
    let said = at.kind().is_some_and(|kind| kind.holds(value));
    match value {
        Value::Map(map) => entries(map, at, |key| (escape_key(key), Segment::Key(key.to_owned()))),
        Value::Array(elements) => {
            let element = |(n, it)| plain(it, &at.step(&Segment::Index(n)));
            Json::Array((0..).zip(elements).map(element).collect())
        }
        Value::Localized(map) if said => {
            entries(map, at, |tag| (tag.to_owned(), Segment::Locale(tag.to_owned())))
        }
        Value::Set(set) if said => {
            let element = |it: &Value| plain(it, &at.step(&Segment::Element(it.clone())));
            Json::Array(sorted(set).into_iter().map(element).collect())
        }
        Value::Text(text) if said => Json::from(text.as_str()),
        Value::Timestamp(stamp) if said => Json::from(stamp.to_string()),
        Value::Asset(_) if said => untagged(value_to_json(value)),
        Value::Keyed(list)
            if said
                && matches!(list.order(), ListOrder::Known(_))
                && list.items().values().all(|item| matches!(item, Value::Map(_)))
                && at.field().is_some_and(|field| field.keys == list.fields()) =>
        {
            let item = |(key, item)| plain(item, &at.step(&list.segment(key)));
            let mut items: Vec<(&Key, &Value)> = list.iter().collect();
            // Stored by the bytes of the keys, which say nothing to a reader.
            if *at.order() == Order::None {
                items.sort_by(|(a, _), (b, _)| reading_order_of_keys(a, b));
            }
            Json::Array(items.into_iter().map(item).collect())
        }
        other => value_to_json(other),
    }
}

fn entries(map: &ValueMap, at: &Cursor<'_>, named: impl Fn(&str) -> (String, Segment)) -> Json {
    let entry = |(key, value): (&String, &Value)| {
        let (written, segment) = named(key);
        let json = match value {
            // Only under a schema is an array read as the set that former keys are.
            Value::Set(from) if key == FROM && at.has_schema() && from.iter().all(is_former) => {
                Json::Array(sorted(from).into_iter().map(value_to_json).collect())
            }
            // Whatever else stands there is not converted when it is read.
            value if key == FROM => value_to_json(value),
            value => plain(value, &at.step(&segment)),
        };
        (written, json)
    };
    Json::Object(map.iter().map(entry).collect::<Map<String, Json>>())
}

/// The elements of a set as people would sort them.
fn sorted(set: &ValueSet) -> Vec<&Value> {
    let mut elements: Vec<&Value> = set.iter().collect();
    elements.sort_by(|a, b| reading_order(a, b));
    elements
}

fn untagged(json: Json) -> Json {
    match json {
        Json::Object(object) => object.into_iter().next().map_or(Json::Null, |(_, body)| body),
        other => other,
    }
}

/// The JSON type a value of `kind` has in plain JSON.
pub(super) fn json_type(kind: Type) -> &'static str {
    match kind {
        Type::Bool => "boolean",
        Type::Int => "integer",
        Type::Decimal => "number",
        Type::String | Type::Text | Type::Timestamp => "string",
        Type::Asset | Type::Map | Type::Localized => "object",
        Type::Array | Type::Set | Type::Keyed => "array",
    }
}
