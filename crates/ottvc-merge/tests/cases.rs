//! The cases of `fixtures/merge-cases.json`, each in both orders of the sides.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

use ottvc_merge::{MergeOptions, Merged, merge_values, same};
use ottvc_object::RepoPath;
use ottvc_object::conflict::Terms;
use ottvc_object::field_path::FieldPath;
use ottvc_object::value::{Document, Value, value_from_json};
use serde_json::{Value as Json, json};

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

fn document(json: &Json) -> Option<Value> {
    let value = (!json.is_null()).then(|| value_from_json(&expand(json)).unwrap())?;
    Some(Document::new(value).unwrap().into_value())
}

fn paths(json: &Json) -> Vec<FieldPath> {
    let all = json.as_array().into_iter().flatten();
    all.map(|path| path.as_str().unwrap().parse().unwrap()).collect()
}

fn merge(case: &Json, reverse: bool) -> Merged {
    let mut sides = match case["sides"].as_array() {
        Some(sides) => sides.iter().map(document).collect(),
        None => vec![document(&case["ours"]), document(&case["theirs"])],
    };
    if reverse {
        sides.reverse();
    }
    let base = document(&case["base"]);
    let mut terms: Vec<Option<Value>> =
        sides.into_iter().flat_map(|side| [side, base.clone()]).collect();
    terms.pop();
    let rules = case["rules"].as_array().into_iter().flatten();
    let rules = rules.map(|rule| rule.as_str().unwrap().parse().unwrap()).collect();
    let options = MergeOptions { rules, ..MergeOptions::default() };
    let file = RepoPath::new("edition.meta.json").unwrap();
    merge_values(&Terms::new(terms).unwrap(), &options, &file).unwrap()
}

fn agree(a: &Option<Value>, b: &Option<Value>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => same(a, b),
        (None, None) => true,
        _ => false,
    }
}

#[test]
fn every_case_holds_in_both_orders() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/merge-cases.json");
    let file: Json = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let cases = file["cases"].as_array().unwrap();
    assert!(cases.len() > 50, "the file is read whole");
    for case in cases {
        let name = case["case"].as_str().unwrap();
        let expected = document(&case["result"]);
        let there = merge(case, false);
        assert_eq!(there.value, expected, "case {name}");
        assert_eq!(there.conflicts, paths(&case["conflicts"]), "case {name}");
        let decided: Vec<FieldPath> = there.decisions.iter().map(|one| one.path.clone()).collect();
        assert_eq!(decided, paths(&case["decisions"]), "case {name}");
        let back = merge(case, true);
        let expected =
            if case["swapped"].is_null() { expected } else { document(&case["swapped"]) };
        assert!(agree(&back.value, &expected), "case {name} swapped: {:#?}", back.value);
        assert_eq!(back.conflicts, there.conflicts, "case {name} swapped");
        if let Some(value) = back.value {
            Document::new(value).unwrap();
        }
    }
}
