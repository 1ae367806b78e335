//! Settling conflicts in a document.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

use ottvc_merge::{
    Choice, MergeError, MergeOptions, merge_values, resolve_document, resolve_value,
};
use ottvc_object::RepoPath;
use ottvc_object::conflict::Terms;
use ottvc_object::field_path::FieldPath;
use ottvc_object::value::{Document, Value};

fn doc(json: &str) -> Value {
    Document::from_json(json.as_bytes()).unwrap().into_value()
}

fn at(path: &str) -> FieldPath {
    path.parse().unwrap()
}

fn merged(ours: &str, base: &str, theirs: &str) -> Value {
    let term = |json: &str| (!json.is_empty()).then(|| doc(json));
    let terms = Terms::three(term(ours), term(base), term(theirs));
    merge_values(&terms, &MergeOptions::default(), &RepoPath::root()).unwrap().value.unwrap()
}

#[test]
fn each_choice_takes_what_it_names() {
    let document = merged(r#"{"a": 1, "z": 0}"#, r#"{"a": 0, "z": 0}"#, r#"{"a": 2, "z": 0}"#);
    let take = |choice: Choice| resolve_value(&document, &at("/a"), &choice).unwrap();
    assert_eq!(take(Choice::Ours), doc(r#"{"a": 1, "z": 0}"#));
    assert_eq!(take(Choice::Theirs), doc(r#"{"a": 2, "z": 0}"#));
    assert_eq!(take(Choice::Base), doc(r#"{"a": 0, "z": 0}"#));
    assert_eq!(take(Choice::Term(2)), doc(r#"{"a": 2, "z": 0}"#));
    assert_eq!(take(Choice::Value(Value::from("v"))), doc(r#"{"a": "v", "z": 0}"#));
    assert_eq!(take(Choice::Absent), doc(r#"{"z": 0}"#));
}

#[test]
fn a_side_without_the_field_removes_it() {
    let document = merged(r#"{}"#, r#"{"a": 0}"#, r#"{"a": 2}"#);
    assert_eq!(resolve_value(&document, &at("/a"), &Choice::Ours).unwrap(), doc("{}"));
}

#[test]
fn choices_that_cannot_be_taken_are_refused() {
    let document = merged(r#"{"a": 1}"#, r#"{"a": 0}"#, r#"{"a": 2, "b": 3}"#);
    let code = |path: &str, choice: Choice| {
        resolve_value(&document, &at(path), &choice).unwrap_err().code()
    };
    assert_eq!(code("/b", Choice::Ours), "merge.no_conflict");
    assert_eq!(code("/none", Choice::Ours), "merge.no_conflict");
    assert_eq!(code("/a/below", Choice::Ours), "merge.no_conflict");
    assert_eq!(code("/$order", Choice::Ours), "merge.no_conflict");
    assert_eq!(code("/a", Choice::Term(3)), "merge.no_such_term");
    let conflict = document.get(&at("/a")).unwrap().clone();
    assert_eq!(code("/a", Choice::Value(conflict)), "merge.bad_choice");
}

#[test]
fn a_base_in_conflict_is_no_choice() {
    let base = merged(r#"{"a": 1}"#, r#"{"a": 0}"#, r#"{"a": 2}"#);
    let terms = Terms::three(Some(doc(r#"{"a": 1}"#)), Some(base), Some(doc(r#"{"a": 2}"#)));
    let options = MergeOptions::default();
    let document = merge_values(&terms, &options, &RepoPath::root()).unwrap().value.unwrap();
    let error = resolve_value(&document, &at("/a"), &Choice::Base).unwrap_err();
    assert!(matches!(error, MergeError::ContestedTerm { term: 1, .. }));
    assert_eq!(resolve_value(&document, &at("/a"), &Choice::Theirs).unwrap(), doc(r#"{"a": 2}"#));
}

#[test]
fn the_whole_document_may_go() {
    let document = merged("", r#"{"a": 0}"#, r#"{"a": 2}"#);
    let root = FieldPath::root();
    assert_eq!(resolve_document(&document, &root, &Choice::Ours).unwrap(), None);
    let error = resolve_value(&document, &root, &Choice::Ours).unwrap_err();
    assert_eq!(error.code(), "merge.document_removed");
    assert_eq!(resolve_value(&document, &root, &Choice::Theirs).unwrap(), doc(r#"{"a": 2}"#));
}

#[test]
fn orders_and_items_are_settled_in_their_places() {
    let list =
        |items: &str| format!(r#"{{"l": {{"$kl": {{"keys": ["id"], "items": [{items}]}}}}}}"#);
    let document = merged(
        &list(r#"{"id": "b"}, {"id": "a"}, {"id": "c"}"#),
        &list(r#"{"id": "a"}, {"id": "b"}, {"id": "c", "n": 1}"#),
        &list(r#"{"id": "a"}, {"id": "c", "n": 1}, {"id": "b"}, {"id": "d"}"#),
    );
    let take = |choice: Choice| resolve_value(&document, &at("/l/$order"), &choice);
    let ordered = |keys: &str| {
        let items = keys.chars().map(|key| format!(r#"{{"id": "{key}"}}"#));
        doc(&list(&items.collect::<Vec<_>>().join(", ")))
    };
    assert_eq!(take(Choice::Ours).unwrap(), ordered("bacd"), "a key that side lacks comes last");
    assert_eq!(take(Choice::Theirs).unwrap(), ordered("acbd"));
    let keys = |keys: &str| Value::Array(keys.chars().map(|key| key.to_string().into()).collect());
    assert_eq!(take(Choice::Value(keys("dcba"))).unwrap(), ordered("dcba"));
    for bad in [Choice::Value(keys("abc")), Choice::Value(Value::Null), Choice::Absent] {
        assert_eq!(take(bad).unwrap_err().code(), "merge.bad_choice");
    }

    let document = merged(
        &list(r#"{"id": "a"}"#),
        &list(r#"{"id": "a"}, {"id": "b"}"#),
        &list(r#"{"id": "a"}, {"id": "b", "n": 1}"#),
    );
    let item = at("/l/[id=b]");
    assert_eq!(resolve_value(&document, &item, &Choice::Ours).unwrap(), ordered("a"));
    let kept = resolve_value(&document, &item, &Choice::Theirs).unwrap();
    assert_eq!(kept, doc(&list(r#"{"id": "a"}, {"id": "b", "n": 1}"#)));
}
