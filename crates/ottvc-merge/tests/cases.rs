//! The merges of `fixtures/merge-cases.json`, each in both orders of the sides; and that the file has every
//! case. Those about layers are read by `layer_cases.rs` and by `ottvc-repo`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

use std::collections::BTreeSet;
use std::sync::Arc;

use ottvc_merge::{Editions, Functions, MergeOptions, Merged, Schema, merge_values, same};
use ottvc_object::RepoPath;
use ottvc_object::conflict::Terms;
use ottvc_object::field_path::FieldPath;
use ottvc_object::value::{Document, Value};
use ottvc_testkit::cases::{self, document, paths};
use serde_json::{Value as Json, json};

/// Height of the merged media, as a probe would find it.
fn probe(document: &Value, _: &FieldPath) -> Option<Value> {
    match document.get(&"/media/height".parse().unwrap())? {
        Value::Int(height) => Some(Value::map([("raster", Value::from(format!("{height}p")))])),
        _ => None,
    }
}

/// The schema of the file, with what the case adds to it.
fn schema(file: &Json, case: &Json) -> Arc<Schema> {
    let mut fields = file["schema"].as_object().unwrap().clone();
    fields.extend(case["fields"].as_object().cloned().unwrap_or_default());
    Arc::new(Schema::parse(&json!({ "schema": "cases/1", "fields": fields }).to_string()).unwrap())
}

fn merge(case: &Json, schema: Option<Arc<Schema>>, reverse: bool) -> Merged {
    let mut sides = match case["sides"].as_array() {
        Some(sides) => sides.iter().map(document).collect(),
        None => vec![document(&case["ours"]), document(&case["theirs"])],
    };
    let names = |side: usize| -> Vec<String> {
        let all = case["editions"][side].as_array().into_iter().flatten();
        all.map(|name| name.as_str().unwrap().to_owned()).collect()
    };
    let mut editions = Editions { ours: names(0), theirs: names(1) };
    if reverse {
        sides.reverse();
        editions = Editions { ours: editions.theirs, theirs: editions.ours };
    }
    let base = document(&case["base"]);
    let mut terms: Vec<Option<Value>> =
        sides.into_iter().flat_map(|side| [side, base.clone()]).collect();
    terms.pop();
    let rules = case["rules"].as_array().into_iter().flatten();
    let rules = rules.map(|rule| rule.as_str().unwrap().parse().unwrap()).collect();
    let functions = Functions::default().with_derived("probe", probe);
    let options = MergeOptions { rules, schema, functions, editions, ..MergeOptions::default() };
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

fn check(name: &str, case: &Json, schema: Option<Arc<Schema>>) {
    let expected = document(&case["result"]);
    let there = merge(case, schema.clone(), false);
    assert_eq!(there.value, expected, "case {name}");
    assert_eq!(there.conflicts, paths(&case["conflicts"]), "case {name}");
    let decided: Vec<FieldPath> = there.decisions.iter().map(|one| one.path.clone()).collect();
    assert_eq!(decided, paths(&case["decisions"]), "case {name}");
    let back = merge(case, schema, true);
    let expected = if case["swapped"].is_null() { expected } else { document(&case["swapped"]) };
    assert!(agree(&back.value, &expected), "case {name} swapped: {:#?}", back.value);
    assert_eq!(back.conflicts, there.conflicts, "case {name} swapped");
    let decided: Vec<FieldPath> = back.decisions.iter().map(|one| one.path.clone()).collect();
    assert_eq!(decided, paths(&case["decisions"]), "case {name} swapped");
    if let Some(value) = back.value {
        Document::new(value).unwrap();
    }
}

#[test]
fn every_case_holds_in_both_orders() {
    let file = cases::file();
    for case in cases::of(&file["cases"]) {
        let name = cases::name(case);
        let only = case["only"].as_str().unwrap_or_default();
        assert!(["", "schema", "no schema"].contains(&only), "case {name}");
        if only != "schema" {
            check(name, case, None);
        }
        if only != "no schema" {
            let name = format!("{name} under the schema");
            check(&name, case, Some(schema(&file, case)));
        }
    }
}

/// The table of the design is there whole, each case in the form it has there.
#[test]
fn the_file_has_every_case_once() {
    let file = cases::file();
    let layers = &file["layers"];
    let mut named = BTreeSet::new();
    for part in [&file["cases"], &layers["propagate"], &layers["push"], &layers["race"]] {
        for name in cases::of(part).iter().map(cases::name) {
            assert!(named.insert(name), "two cases are called {name}");
        }
    }
    for number in 1..=66 {
        assert!(named.contains(number.to_string().as_str()), "case {number} is there");
    }
}
