//! JSON Schema (draft 2020-12) of the plain JSON a schema gives.
//!
//! It says types, formats, ranges and what is required; invariants and merging have no words in it.
//! Fields that no pattern names are let pass, as ottvc does. Conflicts are not described: a document
//! with conflicts is not one to hand on. Patterns of many `*` describe more places than there are
//! patterns, so past a number of places, and below the longest pattern, anything goes.

use ottvc_object::field_path::Segment;
use ottvc_object::value::{Value, escape_key, value_to_json};
use serde_json::{Map, Value as Json, json};

use super::plain::json_type;
use super::{Cursor, Limits, Schema, Type};

/// The most places that are described.
const MAX_PLACES: usize = 10_000;

impl Schema {
    /// Returns the JSON Schema of the plain JSON of documents under this schema.
    pub fn json_schema(&self) -> Json {
        let longest = self.fields.iter().map(|field| field.steps.len()).max().unwrap_or_default();
        let mut writer = Writer { left: MAX_PLACES, deepest: longest + 2 };
        let mut schema = writer.place(&Cursor::root(Some(self)), Type::Map);
        schema.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
        schema.insert("title".into(), self.full_name().into());
        Json::Object(schema)
    }
}

/// What is left to be described.
struct Writer {
    left: usize,
    deepest: usize,
}

impl Writer {
    /// Describes a place of a type; null is always allowed, as it says nothing.
    fn described(&mut self, at: &Cursor<'_>) -> Json {
        if self.left == 0 || at.depth() > self.deepest {
            return json!(true);
        }
        self.left -= 1;
        match at.kind() {
            Some(kind) => Json::Object(self.place(at, kind)),
            // Nobody said what it is, but what lies below may have been described.
            None if at.goes_on() => Json::Object(self.parts(at, Map::new())),
            None => json!(true),
        }
    }

    fn place(&mut self, at: &Cursor<'_>, kind: Type) -> Map<String, Json> {
        let mut schema = Map::new();
        let types = if kind == Type::Decimal {
            // A long decimal is written with its tag, for programs whose numbers are short.
            json!(["number", "object", "null"])
        } else {
            json!([json_type(kind), "null"])
        };
        schema.insert("type".into(), types);
        if let Some(limits) = at.limits() {
            limit(&mut schema, limits, kind);
        }
        match kind {
            Type::Timestamp => drop(schema.insert("format".into(), "date-time".into())),
            Type::Asset => {
                let named = json!({
                    "digest": { "type": "string", "pattern": "^[0-9a-f]{64}$" },
                    "media_type": { "type": "string" },
                    "size": { "type": "integer", "minimum": 0 },
                    "role": { "type": "string" },
                });
                schema.insert("properties".into(), named);
                schema.insert("required".into(), json!(["digest", "media_type", "size"]));
            }
            Type::Set | Type::Array => {
                if kind == Type::Set {
                    schema.insert("uniqueItems".into(), json!(true));
                }
                schema.insert("items".into(), self.described(&at.step(&Segment::Index(0))));
            }
            Type::Localized => {
                let leaf = self.described(&at.step(&Segment::Locale("und".into())));
                schema.insert("additionalProperties".into(), leaf);
            }
            Type::Keyed => {
                let keys = at.field().map(|field| field.keys.clone()).unwrap_or_default();
                let none =
                    Segment::Item(keys.iter().map(|key| (key.clone(), Value::from(""))).collect());
                let mut item = self.parts(&at.step(&none), Map::new());
                let needed: Vec<Json> =
                    keys.iter().map(|key| Json::from(escape_key(key))).collect();
                match item.get_mut("required") {
                    Some(Json::Array(others)) => others.extend(needed),
                    _ => drop(item.insert("required".into(), Json::Array(needed))),
                }
                item.insert("type".into(), "object".into());
                schema.insert("items".into(), Json::Object(item));
            }
            Type::Map => schema = self.parts(at, schema),
            _ => {}
        }
        schema
    }

    /// Describes the entries of a map.
    fn parts(&mut self, at: &Cursor<'_>, mut schema: Map<String, Json>) -> Map<String, Json> {
        let mut named = Map::new();
        for segment in at.named() {
            if let Segment::Key(key) = segment {
                named.insert(escape_key(key), self.described(&at.step(segment)));
            }
        }
        // What any other key has. A `**` says the same at every depth: it is said once.
        if !at.is_rest() {
            let other = self.described(&at.step(&Segment::Key(unnamed(at))));
            if other != json!(true) {
                schema.insert("additionalProperties".into(), other);
            }
        }
        if !named.is_empty() {
            schema.insert("properties".into(), Json::Object(named));
        }
        let needed: Vec<Json> = at.required().map(|(key, _)| Json::from(escape_key(key))).collect();
        if !needed.is_empty() {
            schema.insert("required".into(), Json::Array(needed));
        }
        schema
    }
}

/// A key that no pattern names.
fn unnamed(at: &Cursor<'_>) -> String {
    let mut key = String::from("*");
    while at.named().iter().any(|segment| **segment == Segment::Key(key.clone())) {
        key.push('*');
    }
    key
}

fn limit(schema: &mut Map<String, Json>, limits: &Limits, kind: Type) {
    let mut say = |key: &str, value: Option<Json>| {
        if let Some(value) = value {
            schema.insert(key.to_owned(), value);
        }
    };
    if matches!(kind, Type::Set | Type::Array | Type::Keyed) {
        say("minItems", limits.min_items.map(Json::from));
        say("maxItems", limits.max_items.map(Json::from));
        return;
    }
    if matches!(kind, Type::Localized | Type::Map) {
        return;
    }
    say("minLength", limits.min_length.map(Json::from));
    say("maxLength", limits.max_length.map(Json::from));
    if let Some(format) = limits.format {
        match format.json_pattern() {
            Some(pattern) => say("pattern", Some(Json::from(pattern))),
            None => say("format", Some(Json::from(format.word()))),
        }
    }
    if !limits.one_of.is_empty() {
        let values = limits.one_of.iter().map(value_to_json);
        say("enum", Some(values.chain([Json::Null]).collect()));
    }
    if kind.is_number() {
        say("minimum", limits.min.as_ref().map(value_to_json).filter(Json::is_number));
        say("maximum", limits.max.as_ref().map(value_to_json).filter(Json::is_number));
    }
}
