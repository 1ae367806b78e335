//! The one spelling of a schema, and its id.
//!
//! JSON without spaces, keys sorted, what is left to its default left out, patterns and policies in
//! their own spelling. It is YAML, so it reads back as the same schema.

use ottvc_object::id::SchemaId;
use ottvc_object::value::value_to_json;
use serde_json::{Map, Value as Json};

use super::{Delete, Field, Inherit, OnShadow, Order, Schema};

/// The BLAKE3 key-derivation context of a schema's id.
const CONTEXT: &str = "ottvc 2026 schema v1";

impl Schema {
    /// Puts a schema together; the fields are sorted by pattern.
    pub(super) fn new(name: String, version: u32, mut fields: Vec<Field>) -> Self {
        fields.sort_by(|a, b| a.pattern.cmp(&b.pattern));
        let mut schema = Self { name, version, fields, id: SchemaId([0; 32]) };
        let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
        hasher.update(schema.canonical().as_bytes());
        schema.id = SchemaId(*hasher.finalize().as_bytes());
        schema
    }

    /// Returns its one spelling, which [`Self::parse`] reads, and whose hash is [`Self::id`].
    pub fn canonical(&self) -> String {
        let fields = sorted(self.fields.iter().map(|field| (field.pattern.clone(), body(field))));
        let members = [
            ("fields".to_owned(), Json::Object(fields)),
            ("schema".to_owned(), Json::from(self.full_name())),
        ];
        Json::Object(sorted(members.into_iter())).to_string()
    }
}

/// An object with its keys in byte order, whatever order JSON maps keep.
fn sorted(members: impl Iterator<Item = (String, Json)>) -> Map<String, Json> {
    let mut members: Vec<(String, Json)> = members.collect();
    members.sort_by(|(a, _), (b, _)| a.cmp(b));
    members.into_iter().collect()
}

fn body(field: &Field) -> Json {
    let mut all: Vec<(&str, Json)> = Vec::new();
    let mut say = |key: &'static str, value: Option<Json>| {
        all.extend(value.map(|value| (key, value)));
    };
    let texts = |texts: &[String]| (!texts.is_empty()).then(|| Json::from(texts.to_vec()));
    let truth = |flag: bool| flag.then_some(Json::Bool(true));
    say("type", field.kind.map(|kind| Json::from(kind.word())));
    say("of", field.of.map(|kind| Json::from(kind.word())));
    say("keys", texts(&field.keys));
    say("merge", field.merge.as_ref().map(|policy| Json::from(policy.to_string())));
    say("format", field.limits.format.map(|format| Json::from(format.word())));
    let one_of = &field.limits.one_of;
    say(
        "enum",
        (!one_of.is_empty()).then(|| Json::Array(one_of.iter().map(value_to_json).collect())),
    );
    let bare =
        |value: &Option<ottvc_object::Value>| value.as_ref().map(value_to_json).map(untagged);
    say("min", bare(&field.limits.min));
    say("max", bare(&field.limits.max));
    say("min_length", field.limits.min_length.map(Json::from));
    say("max_length", field.limits.max_length.map(Json::from));
    say("min_items", field.limits.min_items.map(Json::from));
    say("max_items", field.limits.max_items.map(Json::from));
    say("required", truth(field.required));
    say("immutable", truth(field.immutable));
    say(
        "order",
        match &field.order {
            Order::Significant => None,
            Order::None => Some(Json::from("none")),
            Order::Field(name) => Some(Json::from(format!("field({name})"))),
        },
    );
    say("insert", field.insert_conflict.then(|| Json::from("conflict")));
    say("item", field.item_atomic.then(|| Json::from("atomic")));
    say("groups", (!field.groups.is_empty()).then(|| Json::from(field.groups.clone())));
    let invariants: Vec<String> = field.invariants.iter().map(ToString::to_string).collect();
    say("invariants", texts(&invariants));
    let reach = &field.reach;
    say(
        "delete",
        reach.delete.map(|delete| {
            Json::from(match delete {
                Delete::Conflict => "conflict",
                Delete::EditWins => "edit_wins",
                Delete::DeleteWins => "delete_wins",
            })
        }),
    );
    say("on_conflict", reach.on_conflict.as_ref().map(|rule| Json::from(rule.to_string())));
    say("locked", reach.locked.map(Json::Bool));
    say(
        "inherit",
        reach.inherit.map(|inherit| {
            Json::from(match inherit {
                Inherit::Flow => "flow",
                Inherit::AtCreate => "at_create",
                Inherit::Never => "never",
            })
        }),
    );
    say(
        "on_shadow",
        reach.on_shadow.map(|shadow| {
            Json::from(match shadow {
                OnShadow::Notice => "notice",
                OnShadow::Conflict => "conflict",
                OnShadow::Silent => "silent",
            })
        }),
    );
    say("move_domain", field.move_domain.clone().map(Json::from));
    Json::Object(sorted(all.into_iter().map(|(key, value)| (key.to_owned(), value))))
}

/// A tagged decimal or instant as the bare text that a schema has.
fn untagged(json: Json) -> Json {
    match json {
        Json::Object(object) if object.len() == 1 => {
            object.into_iter().next().map_or(Json::Null, |(_, content)| content)
        }
        other => other,
    }
}
