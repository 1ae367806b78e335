//! What was broken before, and what is broken anew.
#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use ottvc_merge::Schema;
use ottvc_merge::schema::{Broken, Known, MAX_FINDINGS, validate_change_since, validate_since};
use ottvc_object::value::{Document, Value, value_from_json};
use serde_json::{Value as Json, json};

const FIELDS: &str = "
  /id: {type: string, immutable: true}
  /level: {type: string, enum: [low, high]}
  /note: {type: text, max_length: 5}
  /genres: {type: set, of: string, enum: [a, b, c, d], max_items: 2, min_items: 1}
  /marks: {type: array, of: string, enum: [in, out]}
  /windows: {type: keyed, keys: [$id], order: none, invariants: [start < end, start < /end, start > /start]}
  /windows/*/by: {type: string, required: true}
  /many/*: {type: int}
";

fn schema() -> Schema {
    Schema::parse(&format!("schema: t/1\nfields:{FIELDS}")).unwrap()
}

fn value(json: &Json) -> Value {
    let value = Document::new(value_from_json(json).unwrap()).unwrap().into_value();
    schema().convert(&value)
}

fn broken(json: &Json) -> Broken {
    Broken::of(&value(json), &schema())
}

fn anew(json: &Json, mut known: Known) -> Vec<String> {
    let found = validate_since(&value(json), &schema(), &mut known);
    found.into_iter().map(|it| format!("{} {}", it.path, it.rule)).collect()
}

fn written(before: &Json, after: &Json) -> Vec<String> {
    anew(after, Known::by_writing(broken(before)))
}

fn merged(parents: &[&Json], after: &Json) -> Vec<String> {
    let parents = parents.iter().map(|json| broken(json)).collect();
    anew(after, Known::by_merging(parents))
}

fn pushed(before: &Json, after: &Json) -> Vec<String> {
    anew(after, Known::by_pushing(broken(before)))
}

const NONE: [&str; 0] = [];

#[test]
fn nothing_is_known_of_a_document_that_broke_nothing() {
    let bad = json!({ "level": "x", "note": "too long" });
    for found in [written(&json!({}), &bad), merged(&[], &bad), pushed(&json!({}), &bad)] {
        assert_eq!(found, ["/level enum", "/note max_length"]);
    }
}

#[test]
fn who_writes_another_value_that_breaks_the_rule_is_told() {
    let start = "the same sixty characters at the start, and then the one word ";
    let before = json!({ "note": format!("{start}here"), "level": "x" });
    assert_eq!(written(&before, &before), NONE);
    let after = json!({ "note": format!("{start}there"), "level": "x" });
    assert_eq!(written(&before, &after), ["/note max_length"], "however long they are the same");
    assert_eq!(pushed(&before, &after), NONE, "it broke that rule before");
}

#[test]
fn a_container_may_be_mended_step_by_step() {
    let genres = |names: &[&str]| json!({ "genres": names });
    let before = genres(&["a", "b", "c", "d"]);
    assert_eq!(written(&before, &genres(&["a", "b", "c"])), NONE, "less too many");
    assert_eq!(written(&genres(&["a", "b", "c"]), &before), ["/genres max_items"]);
    assert_eq!(written(&before, &genres(&["a", "b", "x"])), ["/genres/{x} enum"]);
    assert_eq!(written(&genres(&["x"]), &genres(&["y"])), ["/genres/{y} enum"]);
    // What an invariant does not look at is free, and so is what it looks at elsewhere.
    let windows = |end: i64, start: i64, note: &str| {
        json!({ "end": end, "start": 0, "windows":
            [{ "$id": "w", "start": start, "end": 1, "by": "me", "note": note }] })
    };
    let path = "/windows/[\\$id=w] invariants";
    assert_eq!(written(&windows(5, 9, "a"), &windows(5, 9, "b")), NONE);
    assert_eq!(written(&windows(5, 9, "a"), &windows(4, 9, "a")), NONE);
    assert_eq!(written(&windows(50, 9, "a"), &windows(5, 9, "a")), [path], "another invariant");
    assert_eq!(written(&windows(5, 9, "a"), &windows(5, 8, "a")), [path, path]);
    let bare = json!({ "windows": [{ "$id": "w", "start": 1 }] });
    let noted = json!({ "windows": [{ "$id": "w", "start": 2, "by": null }] });
    assert_eq!(written(&bare, &noted), NONE, "nobody is named as before");
}

#[test]
fn elements_of_arrays_are_known_by_what_they_are() {
    let marks = |names: &[&str]| json!({ "marks": names });
    let before = marks(&["in", "x", "y", "x"]);
    for known in [written, pushed] {
        assert_eq!(known(&before, &marks(&["out", "in", "x", "x", "y"])), NONE, "moved along");
        assert_eq!(known(&before, &marks(&["x", "x", "x"])), ["/marks/#2 enum"], "once too often");
        assert_eq!(known(&before, &marks(&["z"])), ["/marks/#0 enum"]);
    }
    let both = [&marks(&["x"]), &marks(&["y"])];
    assert_eq!(merged(&both, &marks(&["x", "y"])), NONE);
    assert_eq!(merged(&both, &marks(&["x", "z"])), ["/marks/#1 enum"]);
}

#[test]
fn a_merge_breaks_anew_what_a_parent_kept_with_what_none_of_them_has() {
    let note = |text: &str| json!({ "note": text });
    let (long, longer, short) = (note("eleven long"), note("twelve longer"), note("short"));
    let other = note("put together of both");
    assert_eq!(merged(&[&long, &short], &long), NONE);
    assert_eq!(merged(&[&short, &long], &long), NONE);
    assert_eq!(merged(&[&long, &longer], &other), NONE, "both broke it");
    assert_eq!(merged(&[&long, &short], &other), ["/note max_length"]);
    assert_eq!(merged(&[&long, &json!({})], &other), ["/note max_length"]);
    assert_eq!(merged(&[&long, &longer], &json!({ "level": "x" })), ["/level enum"]);
}

#[test]
fn what_is_known_has_no_limit() {
    let many = |last: Json| {
        let fields = (0..5 * MAX_FINDINGS).map(|n| (format!("f{n:03}"), json!("x")));
        let mut fields: serde_json::Map<String, Json> = fields.collect();
        fields.insert("z".to_owned(), last);
        json!({ "many": fields })
    };
    let (before, after) = (many(json!(1)), many(json!("x")));
    for found in [
        written(&before, &after),
        merged(&[&before, &before], &after),
        merged(&[&before, &after], &many(json!("y"))),
        pushed(&before, &after),
    ] {
        assert_eq!(found, ["/many/z type"]);
    }
    assert_eq!(written(&after, &before), NONE);
    assert_eq!(written(&json!({}), &before).len(), MAX_FINDINGS);
}

#[test]
fn what_was_given_once_and_is_changed_already_is_known() {
    let schema = schema();
    let document = |id: &str| value(&json!({ "id": id }));
    let head = document("A");
    let known = || {
        let here = document("B");
        Known::by_writing(Broken::of(&here, &schema).and_changes(&head, None, &here, &schema))
    };
    let changed =
        |id: &str| validate_change_since(&head, None, &document(id), &schema, &mut known()).len();
    assert_eq!((changed("A"), changed("B"), changed("C")), (0, 0, 1));
}
