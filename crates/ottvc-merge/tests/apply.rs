//! A change pushed to a document that has not, or no longer, what the change is in.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

use ottvc_merge::Schema;
use ottvc_merge::layers::{ApplyTo, Diverged, PushOutcome, apply, changed_units, units_for};
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

/// What becomes of a change in a target that has made the same containers itself.
fn met(before: &str, after: &str, target: &str, diverged: Diverged) -> (Vec<String>, Value) {
    let target = document(target);
    let change = changed_units(None, Some(&document(before)), Some(&document(after)));
    let units = units_for(None, change, Some(&target));
    let to = ApplyTo { document: Some(&target), own: None, pinned: false, arrives: &[], diverged };
    let applied = apply(&units, &to);
    let told = applied.units.iter().map(|it| format!("{} {}", it.unit.path, it.outcome.word()));
    (told.collect(), applied.document.unwrap())
}

#[test]
fn a_container_that_both_made_is_met_part_by_part() {
    let after = r#"{
        "titles": {"$loc": {"de": "Wüste", "en": "Dune"}}, "genres": {"$set": ["noir", "war"]},
        "notes": {"rights": {"de": "ja"}},
        "cast": {"$kl": {"keys": ["id"], "items": [{"id": "b"}, {"id": "a", "as": "Paul"}]}}}"#;
    let target = r#"{
        "titles": {"$loc": {"en": "Arrakis", "fr": "Dune"}}, "genres": {"$set": ["epic", "war"]},
        "notes": {"rights": {"fr": "oui"}, "own": 1},
        "cast": {"$kl": {"keys": ["id"], "items": [{"id": "c"}, {"id": "a", "age": 20}]}}}"#;
    let told = [
        "/cast/[id=a]/as applied",
        "/cast/[id=b] applied",
        "/genres/{war} already",
        "/genres/{noir} applied",
        "/notes/rights/de applied",
        "/titles/@de applied",
        "/titles/@en diverged",
    ];
    let with = |en: &str| {
        document(
            &r#"{
            "titles": {"$loc": {"de": "Wüste", "en": "EN", "fr": "Dune"}},
            "genres": {"$set": ["epic", "noir", "war"]},
            "notes": {"rights": {"de": "ja", "fr": "oui"}, "own": 1},
            "cast": {"$kl": {"keys": ["id"], "items": [
                {"id": "c"}, {"id": "a", "age": 20, "as": "Paul"}, {"id": "b"}]}}}"#
                .replace("EN", en),
        )
    };
    assert_eq!(
        met("{}", after, target, Diverged::Keep),
        (told.map(str::to_owned).to_vec(), with("Arrakis"))
    );
    // Who overrules an edition overrules it in what the change is about, and in no more.
    assert_eq!(met("{}", after, target, Diverged::Force).1, with("Dune"));
}

#[test]
fn orders_of_lists_that_both_made_differ_only_over_what_both_have() {
    let list = |keys: &[&str]| {
        let items: Vec<String> = keys.iter().map(|key| format!(r#"{{"id": "{key}"}}"#)).collect();
        format!(r#"{{"cast": {{"$kl": {{"keys": ["id"], "items": [{}]}}}}}}"#, items.join(", "))
    };
    let told =
        |after: &[&str], target: &[&str]| met("{}", &list(after), &list(target), Diverged::Keep).0;
    let same = told(&["b", "x", "a"], &["b", "a"]);
    assert_eq!(same, ["/cast/[id=a] already", "/cast/[id=b] already", "/cast/[id=x] applied"]);
    let other = told(&["b", "a"], &["a", "b"]);
    assert_eq!(other, ["/cast/[id=a] already", "/cast/[id=b] already", "/cast/$order diverged"]);
}
