//! The JSON projection of values, without a schema: plain JSON where that says it all, tags where
//! it does not.
//!
//! A tagged value is an object with one key: `$dec $ts $text $set $kl $loc $asset $conflict`. Any
//! other key that begins with `$` is doubled (`$$x`), but for the two that items carry by
//! themselves, `$id` and `$from`, and `$schema`, by which editors find what describes a document.
//! Reading what was written gives the same value.

mod parse;
mod read;

use serde_json::{Map, Number, Value as Json, json};

use crate::conflict::{Conflict, Term, Terms};
use crate::error::ObjectError;
use crate::value::{AssetRef, Decimal, KeyedList, ListOrder, Value, ValueMap};

pub use parse::parse;
pub use read::{is_tag, value_from_json};

/// Keys that begin with `$` and are written as they are.
const PLAIN_KEYS: [&str; 3] = ["$from", "$id", "$schema"];
/// A decimal of at most so many digits, within these powers of ten, survives other programs' binary
/// floating point, and is written as a plain number.
const PLAIN_DIGITS: u32 = 15;
const PLAIN_MAGNITUDES: std::ops::RangeInclusive<i32> = -300..=300;

/// Returns the JSON projection of a value.
pub fn value_to_json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(flag) => Json::Bool(*flag),
        Value::Int(number) => Json::from(*number),
        Value::Decimal(number) => decimal(number),
        Value::String(text) => Json::from(text.as_str()),
        Value::Text(text) => json!({ "$text": text }),
        Value::Timestamp(stamp) => json!({ "$ts": stamp.to_string() }),
        Value::Asset(asset) => json!({ "$asset": asset_body(asset) }),
        Value::Array(elements) => Json::Array(elements.iter().map(value_to_json).collect()),
        Value::Set(set) => json!({ "$set": set.iter().map(value_to_json).collect::<Vec<_>>() }),
        Value::Keyed(list) => json!({ "$kl": list_body(list) }),
        Value::Map(map) => Json::Object(entries(map)),
        Value::Localized(map) => json!({ "$loc": entries(map) }),
        Value::Conflict(conflict) => json!({ "$conflict": conflict_body(conflict) }),
    }
}

fn decimal(number: &Decimal) -> Json {
    let text = number.to_string();
    let plain = number.digits() <= PLAIN_DIGITS && PLAIN_MAGNITUDES.contains(&number.magnitude());
    match text.parse::<Number>() {
        Ok(number) if plain => Json::Number(number),
        _ => json!({ "$dec": text }),
    }
}

fn entries(map: &ValueMap) -> Map<String, Json> {
    map.iter().map(|(key, value)| (escape_key(key), value_to_json(value))).collect()
}

/// Returns how a map key is written in the projection: one that begins with `$` gets a second one,
/// but for those that stand for themselves.
pub fn escape_key(key: &str) -> String {
    if key.starts_with('$') && !PLAIN_KEYS.contains(&key) {
        format!("${key}")
    } else {
        key.to_owned()
    }
}

fn asset_body(asset: &AssetRef) -> Json {
    let mut body = json!({
        "digest": asset.digest.to_string(),
        "media_type": asset.media_type,
        "size": asset.size,
    });
    if let (Some(role), Json::Object(body)) = (&asset.role, &mut body) {
        body.insert("role".into(), Json::from(role.as_str()));
    }
    body
}

fn list_body(list: &KeyedList) -> Json {
    let items = list.iter().map(|(key, item)| {
        let mut json = value_to_json(item);
        // A conflict over a whole item does not hold the key fields, so they stand beside it.
        if let (Value::Conflict(_), Json::Object(object)) = (item, &mut json) {
            let parts = list.fields().iter().zip(key.parts());
            let key = parts.map(|(field, part)| (escape_key(field), value_to_json(part)));
            object.insert("$key".into(), Json::Object(key.collect()));
        }
        json
    });
    let mut body = json!({ "items": items.collect::<Vec<_>>(), "keys": list.fields() });
    if let (ListOrder::Conflict(conflict), Json::Object(body)) = (list.order(), &mut body) {
        body.insert("order".into(), json!({ "$conflict": conflict_body(conflict) }));
    }
    body
}

fn conflict_body(conflict: &Conflict<Value>) -> Json {
    let count = conflict.terms.as_slice().len();
    let terms = conflict.terms.as_slice().iter().enumerate().map(|(place, term)| {
        let (member, content) = match term {
            Term::Absent => ("absent", Json::Bool(true)),
            Term::Value(value) => ("value", value_to_json(value)),
            Term::Contested(nested) => ("contested", conflict_body(nested)),
        };
        let mut object = Map::new();
        object.insert("side".into(), Json::from(side_word(place, count)));
        object.insert(member.into(), content);
        Json::Object(object)
    });
    json!({
        "id": conflict.core_id().to_string(),
        "kind": conflict.kind.word(),
        "path": conflict.path.to_string(),
        "policy": conflict.policy,
        "terms": terms.collect::<Vec<_>>(),
    })
}

/// The word for the term at `place` of `count`: people know three terms by name.
fn side_word(place: usize, count: usize) -> String {
    match (place, count) {
        (0, 3) => "ours".to_owned(),
        (1, 3) => "base".to_owned(),
        (2, 3) => "theirs".to_owned(),
        _ if place.is_multiple_of(2) => format!("side {}", place / 2 + 1),
        _ => format!("base {}", place / 2 + 1),
    }
}

/// Puts terms together whose words say that they stand where they stand.
fn terms_in_place(terms: Vec<(String, Term<Value>)>) -> Result<Terms<Term<Value>>, ObjectError> {
    let count = terms.len();
    let misplaced = terms.iter().enumerate().any(|(at, (word, _))| *word != side_word(at, count));
    if misplaced {
        let why = "the sides of a conflict are not in their places".to_owned();
        return Err(ObjectError::Malformed { what: "merge terms", why });
    }
    Terms::new(terms.into_iter().map(|(_, term)| term).collect())
}
