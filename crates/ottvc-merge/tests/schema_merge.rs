//! Merging under schemas: which one counts, what functions may do, and what is told beside conflicts.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ottvc_merge::{
    Chosen, Functions, MAX_FUNCTION_BYTES, Memory, MemoryKey, MergeOptions, Merged, Question,
    Schema, Side, Versioned, merge_documents, merge_values,
};
use ottvc_object::RepoPath;
use ottvc_object::conflict::{ConflictKind, Terms};
use ottvc_object::field_path::FieldPath;
use ottvc_object::value::{Value, value_from_json, value_to_json};
use serde_json::{Value as Json, json};

fn schema(fields: &str) -> Arc<Schema> {
    Arc::new(Schema::parse(&format!("schema: t/1\nfields:\n{fields}")).unwrap())
}

fn value(json: &Json) -> Value {
    value_from_json(json).unwrap()
}

fn merge(options: &MergeOptions, ours: &Json, base: &Json, theirs: &Json) -> Merged {
    let terms = Terms::three(Some(value(ours)), Some(value(base)), Some(value(theirs)));
    merge_values(&terms, options, &RepoPath::new("x.meta.json").unwrap()).unwrap()
}

fn under(schema: &Arc<Schema>) -> MergeOptions {
    MergeOptions { schema: Some(schema.clone()), ..MergeOptions::default() }
}

fn json_of(merged: &Merged) -> Json {
    merged.value.as_ref().map_or(Json::Null, value_to_json)
}

fn conflict_kind(merged: &Merged, path: &str) -> ConflictKind {
    match merged.value.as_ref().unwrap().get(&path.parse().unwrap()) {
        Some(Value::Conflict(conflict)) => conflict.kind,
        other => panic!("no conflict at {path}: {other:?}"),
    }
}

fn versions(
    terms: [(&Json, Option<&Arc<Schema>>); 3],
    named: Option<&Arc<Schema>>,
) -> (Merged, Option<Arc<Schema>>) {
    let [ours, base, theirs] =
        terms.map(|(json, schema)| Versioned { value: Some(value(json)), schema: schema.cloned() });
    let options = MergeOptions { schema: named.cloned(), ..MergeOptions::default() };
    merge_documents(&Terms::three(ours, base, theirs), &options, &RepoPath::root()).unwrap()
}

#[test]
fn the_schema_that_one_side_changed_counts_for_all() {
    let (old, new) = (
        schema("  /n: {type: int}\n"),
        schema("  /n: {type: int, merge: max}\n  /g: {type: set, of: string}\n"),
    );
    let (base, ours, theirs) = (
        json!({ "n": 1, "g": ["a"] }),
        json!({ "n": 2, "g": { "$set": ["a", "b"] } }),
        json!({ "n": 3, "g": ["a", "c"] }),
    );
    let (merged, picked) =
        versions([(&ours, Some(&new)), (&base, Some(&old)), (&theirs, Some(&old))], None);
    assert_eq!(picked.unwrap().id(), new.id());
    assert_eq!(
        json_of(&merged),
        json!({ "n": 3, "g": { "$set": ["a", "b", "c"] } }),
        "others are converted"
    );
    let (same, picked) = versions([(&ours, Some(&new)), (&base, None), (&ours, Some(&new))], None);
    assert_eq!((json_of(&same), picked.unwrap().id()), (ours, new.id()));
}

#[test]
fn schemas_that_both_sides_changed_are_one_conflict() {
    let all: Vec<Arc<Schema>> =
        (1..4).map(|n| schema(&format!("  /n: {{type: int, max: {n}}}\n"))).collect();
    let (one, two, three) = (&json!({ "n": 1 }), &json!({ "n": 2 }), &json!({ "n": 3 }));
    let terms = [(one, Some(&all[0])), (two, Some(&all[1])), (three, Some(&all[2]))];
    let (merged, picked) = versions(terms, None);
    assert!(picked.is_none());
    assert_eq!(merged.conflicts, [FieldPath::root()]);
    assert_eq!(conflict_kind(&merged, "/"), ConflictKind::Schema);
    assert!(ottvc_object::Document::new(merged.value.unwrap()).is_ok(), "it can be stored");
    let max = schema("  /n: {type: int, merge: max}\n");
    let (merged, picked) = versions(terms, Some(&max));
    assert_eq!((json_of(&merged), picked.unwrap().id()), (json!({ "n": 3 }), max.id()));
}

#[test]
fn a_hook_cannot_tell_ours_from_theirs() {
    let schema = schema("  /x: {merge: hook(first@1)}\n");
    let functions = Functions::default().with_hook("first@1", |question: &Question<'_>| {
        Ok(question.sides.first().map(|side| (*side).clone()))
    });
    let options = MergeOptions { functions, ..under(&schema) };
    let there = merge(&options, &json!({ "x": "b" }), &json!({ "x": "a" }), &json!({ "x": "c" }));
    let back = merge(&options, &json!({ "x": "c" }), &json!({ "x": "a" }), &json!({ "x": "b" }));
    assert_eq!(json_of(&there), json!({ "x": "b" }));
    assert_eq!(there, back);
}

#[test]
fn what_a_hook_may_not_answer_is_a_conflict_of_its_own_kind() {
    let schema = schema("  /x: {merge: hook(h@1)}\n");
    type Answer = fn(&Question<'_>) -> Result<Option<Value>, String>;
    let answers: [(Answer, ConflictKind); 5] = [
        (|_| Ok(None), ConflictKind::EditEdit),
        (|_| Err("no".into()), ConflictKind::Hook),
        (|_| Ok(Some(Value::Int(1))), ConflictKind::Hook),
        (|_| Ok(Some(Value::from("x".repeat(MAX_FUNCTION_BYTES)))), ConflictKind::Hook),
        (
            |question| {
                Ok(Some(Value::Array(question.sides.iter().map(|s| (*s).clone()).collect())))
            },
            ConflictKind::Hook,
        ),
    ];
    for (answer, kind) in answers {
        let functions = Functions::default().with_hook("h@1", answer);
        let options = MergeOptions { functions, ..under(&schema) };
        let merged =
            merge(&options, &json!({ "x": "b" }), &json!({ "x": "a" }), &json!({ "x": "c" }));
        assert_eq!(conflict_kind(&merged, "/x"), kind);
    }
    // Too much to look at: not even asked.
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let functions = Functions::default().with_hook("h@1", move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        Ok(None)
    });
    let options = MergeOptions { functions, ..under(&schema) };
    let long = "y".repeat(MAX_FUNCTION_BYTES);
    let merged = merge(&options, &json!({ "x": long }), &json!({ "x": "a" }), &json!({ "x": "c" }));
    assert_eq!(
        (conflict_kind(&merged, "/x"), asked.load(Ordering::Relaxed)),
        (ConflictKind::Hook, 0)
    );
}

#[test]
fn nothing_is_decided_for_bases() {
    let schema = schema(concat!(
        "  /h: {merge: hook(longest@1)}\n  /d: {merge: derived(one)}\n",
        "  /f: {on_conflict: theirs}\n  /m: {type: int, merge: max}\n",
    ));
    let functions = Functions::default().with_derived("one", |_, _| Some(Value::Int(1)));
    let options = MergeOptions { schema: Some(schema), functions, ..MergeOptions::for_bases() };
    let doc = |n: usize| json!({ "h": "x".repeat(n), "d": n, "f": n, "m": n });
    let merged = merge(&options, &doc(2), &doc(1), &doc(3));
    let paths: Vec<String> = merged.conflicts.iter().map(ToString::to_string).collect();
    assert_eq!(paths, ["/d", "/f", "/h"], "but for policies, which tell no side from another");
    assert!(merged.decisions.is_empty());
    // And a base that is contested there is made again, not disputed.
    let options = MergeOptions { decisions: true, ..options };
    let base = merged.value.as_ref().map(value_to_json).unwrap();
    let merged =
        merge(&options, &json!({ "d": 5 }), &json!({ "d": base["d"] }), &json!({ "d": 6 }));
    assert_eq!(json_of(&merged), json!({ "d": 1 }));
}

#[test]
fn what_is_derived_sees_nothing_that_is_derived() {
    let schema = schema("  /d/*: {merge: derived(keys)}\n");
    let functions = Functions::default().with_derived("keys", |document, at| {
        let Value::Map(map) = document.get(&"/d".parse().unwrap())? else { return None };
        (at.to_string() != "/d/c").then(|| Value::from(map.keys().cloned().collect::<String>()))
    });
    let options = MergeOptions { functions, ..under(&schema) };
    let doc = |n: i64| json!({ "d": { "a": n, "b": n, "c": n, "k": 0 } });
    let merged = merge(&options, &doc(2), &doc(1), &doc(3));
    assert_eq!(json_of(&merged)["d"]["a"], json!("k"));
    assert_eq!(json_of(&merged)["d"]["b"], json!("k"));
    assert_eq!(merged.conflicts, ["/d/c".parse().unwrap()], "the function had no answer");
}

#[test]
fn what_breaks_across_the_document_is_told() {
    let edition = Schema::edition().unwrap();
    let doc = |runtime: &str, offset: &str| {
        json!({ "runtime": runtime,
            "cues": { "$kl": { "keys": ["$id"], "items": [{ "$id": "a", "offset": offset }] } } })
    };
    let options = under(&edition);
    let merged =
        merge(&options, &doc("PT1H", "PT30M"), &doc("PT2H", "PT30M"), &doc("PT2H", "PT90M"));
    assert!(merged.conflicts.is_empty());
    let told: Vec<(String, &str)> =
        merged.notices.iter().map(|it| (it.path.to_string(), it.rule)).collect();
    assert_eq!(told, [("/cues/[\\$id=a]".to_owned(), "invariants")]);
    // What a side broke by itself was told when it was written.
    let merged =
        merge(&options, &doc("PT1H", "PT90M"), &doc("PT2H", "PT30M"), &doc("PT2H", "PT30M"));
    assert!(merged.notices.is_empty());
    let merged =
        merge(&options, &doc("PT1H", "PT30M"), &doc("PT2H", "PT30M"), &doc("PT2H", "PT40M"));
    assert!(merged.notices.is_empty());
}

#[test]
fn a_decision_says_what_it_took() {
    let schema = schema(
        "  /a: {delete: delete_wins}\n  /b: {delete: edit_wins}\n  /c: {on_conflict: non_empty}\n",
    );
    let merged = merge(
        &under(&schema),
        &json!({ "b": 2, "c": "" }),
        &json!({ "a": 1, "b": 1, "c": "x" }),
        &json!({ "a": 2, "c": "y" }),
    );
    let told: Vec<(String, &str, Chosen)> = merged
        .decisions
        .iter()
        .map(|one| (one.path.to_string(), one.rule.as_str(), one.chosen))
        .collect();
    let (ours, theirs) = (Chosen::Side(Side::Ours), Chosen::Side(Side::Theirs));
    assert_eq!(
        told,
        [
            ("/a".to_owned(), "delete: delete_wins", ours),
            ("/b".to_owned(), "delete: edit_wins", ours),
            ("/c".to_owned(), "on_conflict: non_empty", theirs),
        ]
    );
}

/// What a side decided inside a container does not stand, once the container is given back.
#[test]
fn decisions_inside_what_is_given_back_are_not_told() {
    let schema = schema("  /w: {type: map, invariants: [a < b]}\n  /w/n: {on_conflict: theirs}\n");
    let doc = |a: i64, b: i64, n: i64| json!({ "w": { "a": a, "b": b, "n": n } });
    let merged = merge(&under(&schema), &doc(8, 9, 2), &doc(1, 9, 1), &doc(1, 5, 3));
    assert_eq!(conflict_kind(&merged, "/w"), ConflictKind::Invariant);
    assert!(merged.decisions.is_empty());
    let merged = merge(&under(&schema), &doc(2, 9, 2), &doc(1, 9, 1), &doc(1, 5, 3));
    assert_eq!(merged.decisions.len(), 1);
}

/// What both sides put together of something that is given once is theirs to settle; what one side changed is
/// that side's, and whoever commits hears of it.
#[test]
fn what_is_given_once_is_not_put_together_anew() {
    let schema = schema(
        "  /ids: {type: map, immutable: true}\n  /note: {type: text, merge: text(word), immutable: true}\n",
    );
    let doc = |ids: Json, note: &str| json!({ "ids": ids, "note": { "$text": note } });
    let base = doc(json!({ "a": 1 }), "one two three");
    let added = |ids: Json| doc(ids, "one two three");
    let merged = merge(
        &under(&schema),
        &added(json!({ "a": 1, "b": 2 })),
        &base,
        &added(json!({ "a": 1, "c": 3 })),
    );
    assert_eq!(json_of(&merged), added(json!({ "a": 1, "b": 2, "c": 3 })));
    let merged =
        merge(&under(&schema), &added(json!({ "a": 1, "b": 2 })), &base, &added(json!({ "a": 9 })));
    assert_eq!(conflict_kind(&merged, "/ids"), ConflictKind::Invalid);
    let edited = |note: &str| doc(json!({ "a": 1 }), note);
    let merged = merge(&under(&schema), &edited("ein two three"), &base, &edited("one two drei"));
    assert_eq!(conflict_kind(&merged, "/note"), ConflictKind::Invalid);
    let merged = merge(&under(&schema), &base, &base, &added(json!({ "a": 9 })));
    assert_eq!(json_of(&merged), added(json!({ "a": 9 })));
}

/// The same disagreement, at another place that the same pattern speaks for, is settled as before.
#[test]
fn what_was_settled_before_is_settled_alike() {
    let schema = schema("  /t/*: {type: string}\n  /w: {type: map, invariants: [a < b]}\n");
    let doc = |key: &str, text: &str| json!({ "t": { key: text } });
    let first = merge(&under(&schema), &doc("x", "b"), &doc("x", "a"), &doc("x", "c"));
    let document = first.value.unwrap();
    let Some(Value::Conflict(conflict)) = document.get(&"/t/x".parse().unwrap()) else { panic!() };
    let key = MemoryKey::of(conflict, Some(&schema)).unwrap();
    let with = |result: Option<Value>| {
        let mut memory = Memory::default();
        memory.remember(key, "r1", result);
        MergeOptions { memory, ..under(&schema) }
    };
    let options = with(Some("d".into()));
    let again = merge(&options, &doc("y", "c"), &doc("y", "a"), &doc("y", "b"));
    assert_eq!(json_of(&again), doc("y", "d"));
    let told: Vec<(&str, Chosen)> =
        again.decisions.iter().map(|one| (one.rule.as_str(), one.chosen)).collect();
    assert_eq!(told, [("memory: r1", Chosen::Merged)]);
    let gone = merge(&with(None), &doc("y", "c"), &doc("y", "a"), &doc("y", "b"));
    assert_eq!(json_of(&gone), json!({ "t": {} }));
    let other_base = merge(&options, &doc("y", "c"), &doc("y", "z"), &doc("y", "b"));
    assert_eq!(other_base.conflicts.len(), 1, "hits that differ in the base are for people");
    let other_kind =
        merge(&with(Some(Value::Int(1))), &doc("y", "c"), &doc("y", "a"), &doc("y", "b"));
    assert_eq!(other_kind.conflicts.len(), 1, "what may not stand there is not put there");
    let bases = MergeOptions { decisions: false, ..options };
    assert_eq!(merge(&bases, &doc("y", "c"), &doc("y", "a"), &doc("y", "b")).conflicts.len(), 1);

    let window = |a: i64, b: i64| json!({ "w": { "a": a, "b": b } });
    let broken = merge(&under(&schema), &window(8, 9), &window(1, 9), &window(1, 5)).value.unwrap();
    let Some(Value::Conflict(conflict)) = broken.get(&"/w".parse().unwrap()) else { panic!() };
    assert_eq!(MemoryKey::of(conflict, Some(&schema)), None);
}

/// A contested invariant is still contested when the conflict is merged again.
#[test]
fn a_conflict_of_containers_is_a_side_like_any_other() {
    let schema = schema("  /w: {type: map, invariants: [a < b]}\n");
    let doc = |a: i64, b: i64| json!({ "w": { "a": a, "b": b } });
    let first = merge(&under(&schema), &doc(8, 9), &doc(1, 9), &doc(1, 5));
    let first = first.value.as_ref().map(value_to_json).unwrap();
    let again = merge(&under(&schema), &first, &doc(1, 9), &doc(1, 5));
    assert_eq!(conflict_kind(&again, "/w"), ConflictKind::Invariant);
    let settled = merge(&under(&schema), &first, &first, &doc(2, 5));
    assert_eq!(json_of(&settled), doc(2, 5));
}
