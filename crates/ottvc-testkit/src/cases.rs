//! The file of all cases of `docs/merge.md`, and documents and conflicts as it writes them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a suite fails by panicking")]

use ottvc_object::field_path::FieldPath;
use ottvc_object::value::{Document, Value, value_from_json};
use serde_json::{Value as Json, json};

/// Reads the file.
pub fn file() -> Json {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/merge-cases.json");
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

/// The cases in a part of the file.
pub fn of(part: &Json) -> &[Json] {
    part.as_array().unwrap()
}

/// What a case is called: its number, or what it is about.
pub fn name(case: &Json) -> &str {
    case["case"].as_str().unwrap()
}

/// A document as a case has it; `None` for null.
pub fn document(json: &Json) -> Option<Value> {
    let value = (!json.is_null()).then(|| value_from_json(&expand(json)).unwrap())?;
    Some(Document::new(value).unwrap().into_value())
}

/// Paths as a case lists them.
pub fn paths(json: &Json) -> Vec<FieldPath> {
    let all = json.as_array().into_iter().flatten();
    all.map(|path| path.as_str().unwrap().parse().unwrap()).collect()
}

/// Writes out the short form of conflicts.
fn expand(json: &Json) -> Json {
    match json {
        Json::Array(elements) => elements.iter().map(expand).collect(),
        Json::Object(object) => {
            let member = |(key, value): (&String, &Json)| {
                let value = match value {
                    Json::Array(parts) if key == "$conflict" => conflict_body(parts),
                    other => expand(other),
                };
                (key.clone(), value)
            };
            Json::Object(object.iter().map(member).collect())
        }
        other => other.clone(),
    }
}

fn conflict_body(parts: &[Json]) -> Json {
    let [kind, path, policy, terms @ ..] = parts else { panic!("a conflict has three words") };
    let side = |place: usize| match (place, terms.len()) {
        (0, 3) => "ours".to_owned(),
        (1, 3) => "base".to_owned(),
        (2, 3) => "theirs".to_owned(),
        _ if place.is_multiple_of(2) => format!("side {}", place / 2 + 1),
        _ => format!("base {}", place / 2 + 1),
    };
    let term = |(place, term): (usize, &Json)| match term {
        Json::Array(value) if value.is_empty() => json!({ "side": side(place), "absent": true }),
        Json::Array(value) => json!({ "side": side(place), "value": expand(&value[0]) }),
        nested => {
            let body = conflict_body(nested["contested"].as_array().unwrap());
            json!({ "side": side(place), "contested": body })
        }
    };
    let terms: Vec<Json> = terms.iter().enumerate().map(term).collect();
    json!({ "kind": kind, "path": path, "policy": policy, "terms": terms })
}
