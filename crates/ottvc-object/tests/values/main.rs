//! Metadata values: one form in bytes, one reading of JSON, no input that panics.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod bytes;
mod fields;
mod json;
mod laws;

use ottvc_object::ObjectError;
use ottvc_object::codec;
use ottvc_object::conflict::{Conflict, ConflictKind, Term, Terms};
use ottvc_object::field_path::FieldPath;
use ottvc_object::value::{Document, Value};

fn decoded(value: &Value) -> Result<Value, ObjectError> {
    codec::decode_body(&value.canonical_bytes(), "value")
}

fn json(text: &str) -> Result<Document, ObjectError> {
    Document::from_json(text.as_bytes())
}

/// The value at `/v` of a document.
fn v(text: &str) -> Value {
    let document = json(&format!("{{\"v\": {text}}}")).unwrap();
    document.value().get(&FieldPath::root().key("v")).unwrap().clone()
}

fn path(text: &str) -> FieldPath {
    text.parse().unwrap()
}

fn refusal(text: &str) -> String {
    json(text).unwrap_err().to_string()
}

fn conflict_over(value: Term<Value>) -> Conflict<Value> {
    Conflict {
        kind: ConflictKind::EditEdit,
        path: FieldPath::root(),
        policy: "atomic".into(),
        terms: Terms::new(vec![value]).unwrap(),
    }
}
