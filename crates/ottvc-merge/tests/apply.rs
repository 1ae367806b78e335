//! A change pushed to a document that has not, or no longer, what the change is in.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

use ottvc_merge::Schema;
use ottvc_merge::layers::{ApplyTo, Diverged, PushOutcome, apply, changed_units};
use ottvc_object::value::{Value, value_from_json};

const BEFORE: &str = r#"{
    "windows": {"$kl": {"keys": ["id"], "items": [
        {"id": "w-us", "start": 1, "note": "a", "territories": {"$set": ["US"]}}]}},
    "deep": {"a": {"b": {"c": 1}}}, "titles": {"$loc": {"en": "Dune"}}, "genres": {"$set": ["war"]}}"#;
const AFTER: &str = r#"{
    "windows": {"$kl": {"keys": ["id"], "items": [
        {"id": "w-us", "start": 1, "note": "b", "territories": {"$set": ["CA", "US"]}}, {"id": "w-de"}]}},
    "deep": {"a": {"b": {"c": 1, "d": 2}}}, "titles": {"$loc": {"de": "D", "en": "Dune"}},
    "genres": {"$set": ["noir", "war"]}, "made": {"x": {"y": 1}}}"#;

fn document(json: &str) -> Value {
    value_from_json(&serde_json::from_str(json).unwrap()).unwrap()
}

/// What became of the change in a target, for each way to go on, and the target then; the same for all.
fn pushed(schema: Option<&Schema>, target: &str) -> (Vec<(String, PushOutcome)>, Value) {
    let target = document(target);
    let change = changed_units(schema, Some(&document(BEFORE)), Some(&document(AFTER)));
    let push = |diverged| {
        let to =
            ApplyTo { document: Some(&target), own: None, pinned: false, arrives: &[], diverged };
        let applied = apply(&change, &to);
        let told = applied.units.iter().map(|it| (it.unit.path.to_string(), it.outcome)).collect();
        (told, applied.document.unwrap())
    };
    let kept = push(Diverged::Keep);
    for other in [Diverged::Conflict, Diverged::Force] {
        assert_eq!(push(other), kept, "there is no place for it: {other:?}");
    }
    kept
}

#[test]
fn no_pieces_come_of_what_a_target_has_not() {
    let schema = Schema::parse("schema: s/1\nfields:\n  /other: {type: string}\n").unwrap();
    for schema in [None, Some(&schema)] {
        let bare = r#"{"windows": {"$kl": {"keys": ["id"], "items": []}}, "deep": {"a": {}}}"#;
        let (told, after) = pushed(schema, bare);
        let applied: Vec<&str> = told
            .iter()
            .filter(|(_, outcome)| *outcome == PushOutcome::Applied)
            .map(|(path, _)| path.as_str())
            .collect();
        // An element, a new item of a list that is there, and what was nowhere before.
        assert_eq!(applied, ["/genres/{noir}", "/made", "/windows/[id=w-de]"]);
        assert!(told.iter().all(|(path, outcome)| {
            applied.contains(&path.as_str()) || *outcome == PushOutcome::Diverged
        }));
        let whole = r#"{"windows": {"$kl": {"keys": ["id"], "items": [{"id": "w-de"}]}},
            "deep": {"a": {}}, "made": {"x": {"y": 1}}, "genres": {"$set": ["noir"]}}"#;
        assert_eq!(after, document(whole));
    }
}

#[test]
fn a_target_as_before_the_change_gets_all_of_it() {
    let (told, after) = pushed(None, BEFORE);
    assert!(told.iter().all(|(_, outcome)| *outcome == PushOutcome::Applied), "{told:?}");
    assert_eq!(after, document(AFTER));
}
