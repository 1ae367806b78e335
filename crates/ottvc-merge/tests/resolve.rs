//! Settling conflicts in a document.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

use ottvc_merge::{
    Choice, MergeError, MergeOptions, merge_values, resolve_document, resolve_value,
};
use ottvc_object::RepoPath;
use ottvc_object::conflict::Terms;
use ottvc_object::field_path::FieldPath;
use ottvc_object::value::{Document, Value, value_to_json};
use serde_json::{Value as Json, json};

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

fn under(schema: &str, base: &Json, ours: &Json, theirs: &Json) -> Value {
    let schema = ottvc_merge::Schema::parse(&format!("schema: t/1\nfields:\n{schema}")).unwrap();
    let options = MergeOptions { schema: Some(schema.into()), ..MergeOptions::default() };
    let read = |json: &Json| Some(ottvc_object::value::value_from_json(json).unwrap());
    let terms = Terms::three(read(ours), read(base), read(theirs));
    merge_values(&terms, &options, &RepoPath::new("x.meta.json").unwrap()).unwrap().value.unwrap()
}

/// Fields that move together are settled together, and stand by themselves again.
#[test]
fn a_group_goes_back_to_its_fields() {
    let picture = |a: &str, w: i64| json!({ "art": { "a": a, "w": w, "note": "n" } });
    let document = under(
        "  /art: {type: map, groups: [[a, w]]}\n",
        &picture("A1", 1),
        &picture("A2", 2),
        &picture("A1", 3),
    );
    let at: FieldPath = "/art/\\{a,w}".parse().unwrap();
    let field: FieldPath = "/art/w".parse().unwrap();
    assert_eq!(document.get(&field), None, "one side never passes for the value");
    let (found, conflict) = ottvc_merge::group_conflict(&document, &field).unwrap();
    assert_eq!((&found, conflict.policy.as_str()), (&at, "group"));
    assert_eq!(ottvc_merge::group_conflict(&document, &"/art/note".parse().unwrap()), None);
    let settled =
        |choice| resolve_value(&document, &at, &choice).map(|value| value_to_json(&value));
    assert_eq!(settled(Choice::Ours).unwrap(), picture("A2", 2));
    assert_eq!(settled(Choice::Theirs).unwrap(), picture("A1", 3));
    assert_eq!(settled(Choice::Absent).unwrap(), json!({ "art": { "note": "n" } }));
    let given = Value::map([("a", Value::from("A9"))]);
    assert_eq!(
        settled(Choice::Value(given)).unwrap(),
        json!({ "art": { "a": "A9", "note": "n" } })
    );
    for wrong in [Value::map([("note", Value::Null)]), Value::Int(1)] {
        assert_eq!(settled(Choice::Value(wrong)).unwrap_err().code(), "merge.bad_choice");
    }
}

/// An entry whose key is disputed goes to the key that is chosen, with its content merged.
#[test]
fn a_disputed_key_is_settled_by_moving_the_entry() {
    let entry = |key: &str, a: i64| json!({ "m": { key: { "a": a, "$from": { "$set": ["k1"] } }, "x": 1 } });
    let document = under(
        "  /m: {type: map}\n",
        &json!({ "m": { "k1": { "a": 1 }, "x": 1 } }),
        &entry("k2", 1),
        &entry("k3", 2),
    );
    let at: FieldPath = "/m/k1".parse().unwrap();
    let settled =
        |choice| resolve_value(&document, &at, &choice).map(|value| value_to_json(&value));
    assert_eq!(settled(Choice::Ours).unwrap(), entry("k2", 2));
    assert_eq!(settled(Choice::Theirs).unwrap(), entry("k3", 2));
    assert_eq!(settled(Choice::Base).unwrap(), json!({ "m": { "k1": { "a": 1 }, "x": 1 } }));
    assert_eq!(settled(Choice::Absent).unwrap(), json!({ "m": { "x": 1 } }));
    let taken = Value::map([("x", Value::from("y"))]);
    assert_eq!(settled(Choice::Value(taken)).unwrap_err().code(), "merge.bad_choice");

    let item = |id: &str, a: i64| json!({ "id": id, "a": a, "$from": { "$set": ["p1"] } });
    let list = |items: Vec<Json>| json!({ "l": { "$kl": { "keys": ["id"], "items": items } } });
    let mut document = under(
        "  /l: {type: keyed, keys: [id]}\n",
        &list(vec![json!({ "id": "p1", "a": 1 })]),
        &list(vec![item("p2", 1)]),
        &list(vec![item("p3", 2)]),
    );
    let last = Value::map([("id", Value::from("z"))]);
    document.set(&"/l/[id=z]".parse().unwrap(), Some(last)).unwrap();
    let at: FieldPath = "/l/[id=p1]".parse().unwrap();
    let settled = |choice| value_to_json(&resolve_value(&document, &at, &choice).unwrap());
    // In the place where it was in conflict.
    assert_eq!(settled(Choice::Ours), list(vec![item("p2", 2), json!({ "id": "z" })]));
    assert_eq!(settled(Choice::Theirs), list(vec![item("p3", 2), json!({ "id": "z" })]));
    // It can be stored, and read back.
    let stored = ottvc_object::value::Document::new(document.clone()).unwrap();
    let object = ottvc_object::Storable::to_object(&stored).unwrap();
    let read = <ottvc_object::value::Document as ottvc_object::Storable>::from_object(&object);
    assert_eq!(read.unwrap().into_value(), document);
}

#[test]
fn renaming_notes_the_former_key() {
    use ottvc_merge::{MAX_FORMER_KEYS, rename_entry};
    use ottvc_object::field_path::Segment;
    let read = |json: &Json| ottvc_object::value::value_from_json(json).unwrap();
    let document = read(&json!({ "m": { "k1": { "a": 1 }, "k9": {}, "s": 1 },
        "l": { "$kl": { "keys": ["id"], "items": [{ "id": "p1" }, { "id": "p2" }] } } }));
    let key = |key: &str| Segment::Key(key.into());
    let path = |text: &str| -> FieldPath { text.parse().unwrap() };
    let renamed = rename_entry(&document, &path("/m/k1"), &key("k2")).unwrap();
    let wanted = json!({ "k2": { "a": 1, "$from": { "$set": ["k1"] } }, "k9": {}, "s": 1 });
    assert_eq!(value_to_json(&renamed)["m"], wanted);
    let back = rename_entry(&renamed, &path("/m/k2"), &key("k1")).unwrap();
    assert_eq!(value_to_json(&back)["m"]["k1"]["$from"], json!({ "$set": ["k1", "k2"] }));
    let to = Segment::Item(vec![("id".into(), "p3".into())]);
    let renamed = rename_entry(&document, &path("/l/[id=p1]"), &to).unwrap();
    let items = json!([{ "id": "p3", "$from": { "$set": ["p1"] } }, { "id": "p2" }]);
    assert_eq!(value_to_json(&renamed)["l"]["$kl"]["items"], items, "it keeps its place");
    for (at, new) in [
        ("/m/k1", key("k9")),
        ("/m/s", key("t")),
        ("/m/k7", key("k8")),
        ("/", key("a")),
        ("/m/k1", to),
    ] {
        assert_eq!(
            rename_entry(&document, &path(at), &new).unwrap_err().code(),
            "merge.cannot_rename",
            "{at}"
        );
    }
    let mut many = document;
    for n in 0..MAX_FORMER_KEYS + 4 {
        let old = if n == 0 { "k1".to_owned() } else { format!("n{n}") };
        many =
            rename_entry(&many, &path(&format!("/m/{old}")), &key(&format!("n{}", n + 1))).unwrap();
    }
    let from = value_to_json(&many)["m"]["n20"]["$from"]["$set"].as_array().unwrap().clone();
    assert!(from.len() == MAX_FORMER_KEYS && from.contains(&json!("n19")), "{from:?}");
}

#[test]
fn both_takes_what_each_side_added_where_nothing_is_in_common() {
    let schema = ottvc_merge::Schema::parse(
        "schema: t/1\nfields:\n  /s: {type: set, merge: atomic}\n  /m: {type: map, merge: atomic}\n  /l: {type: keyed, keys: [k], merge: atomic}\n",
    )
    .unwrap();
    let merged = |ours: &str, base: &str, theirs: &str| {
        let plain = |text: &str| schema.convert(&doc(text));
        let terms = Terms::three(Some(plain(ours)), Some(plain(base)), Some(plain(theirs)));
        let options = MergeOptions {
            schema: Some(std::sync::Arc::new(schema.clone())),
            ..MergeOptions::default()
        };
        merge_values(&terms, &options, &RepoPath::root()).unwrap().value.unwrap()
    };
    let both = |ours: &str, theirs: &str, path: &str| {
        resolve_value(&merged(ours, "{}", theirs), &at(path), &Choice::Both)
            .map(|settled| schema.to_plain(&settled))
            .map_err(|error| error.to_string())
    };
    assert_eq!(both(r#"{"s": ["b"]}"#, r#"{"s": ["a", "b"]}"#, "/s"), Ok(json!({"s": ["a", "b"]})));
    assert_eq!(
        both(r#"{"m": {"a": 1}}"#, r#"{"m": {"b": 2}}"#, "/m"),
        Ok(json!({"m": {"a": 1, "b": 2}}))
    );
    assert_eq!(
        both(r#"{"l": [{"k": "z"}, {"k": "b"}]}"#, r#"{"l": [{"k": "a"}]}"#, "/l"),
        Ok(json!({"l": [{"k": "z"}, {"k": "b"}, {"k": "a"}]}))
    );
    let refused = both(r#"{"m": {"a": 1}}"#, r#"{"m": {"a": 2}}"#, "/m").unwrap_err();
    assert!(refused.contains("a key in common"), "{refused}");
    let before = merged(r#"{"s": ["b"]}"#, r#"{"s": ["a"]}"#, r#"{"s": ["c"]}"#);
    let refused = resolve_value(&before, &at("/s"), &Choice::Both).unwrap_err().to_string();
    assert!(refused.contains("was there before"), "{refused}");
}

#[test]
fn an_order_is_settled_by_keys() {
    let read = |keys: &[&str]| {
        let plain: Vec<Json> = keys.iter().map(|key| json!({ "k": key })).collect();
        let schema =
            ottvc_merge::Schema::parse("schema: t/1\nfields: {/l: {type: keyed, keys: [k]}}\n");
        schema.unwrap().read_plain(&json!({ "l": plain })).unwrap()
    };
    let terms = Terms::three(
        Some(read(&["b", "a", "c"])),
        Some(read(&["a", "b", "c"])),
        Some(read(&["a", "c", "b"])),
    );
    let merged = merge_values(&terms, &MergeOptions::default(), &RepoPath::root()).unwrap();
    let document = merged.value.unwrap();
    let order = |keys: &[&str]| {
        let keys = keys.iter().map(|key| (*key).to_owned()).collect();
        resolve_value(&document, &at("/l/$order"), &Choice::Order(keys))
    };
    assert_eq!(order(&["c", "[k=b]", "a"]).unwrap(), read(&["c", "b", "a"]));
    assert_eq!(order(&["c"]).unwrap(), read(&["c", "b", "a"]), "the others as ours has them");
    assert_eq!(order(&["x"]).unwrap_err().code(), "merge.bad_choice");
    assert_eq!(order(&["a", "a"]).unwrap_err().code(), "merge.bad_choice");
    let not_here = resolve_value(&document, &at("/l/$order"), &Choice::Both).unwrap_err();
    assert_eq!(not_here.code(), "merge.bad_choice");
}

/// What is not named, or what a side lacks, stands as ours has it, then as theirs; a base prefers neither. A rule
/// of the merge decides the same.
#[test]
fn the_rest_of_an_order_stands_as_the_sides_have_it() {
    let list = |keys: &str| {
        let items: Vec<Json> = keys.chars().map(|key| json!({ "id": key.to_string() })).collect();
        json!({ "l": { "$kl": { "keys": ["id"], "items": items } } })
    };
    let read = |keys: &str| ottvc_object::value::value_from_json(&list(keys)).unwrap();
    let terms = |ours: &str, theirs: &str| {
        Terms::three(Some(read(ours)), Some(read("abc")), Some(read(theirs)))
    };
    let merge = |ours: &str, theirs: &str, rules: &[&str]| {
        let rules = rules.iter().map(|rule| rule.parse().unwrap()).collect();
        let options = MergeOptions { rules, ..MergeOptions::default() };
        let merged = merge_values(&terms(ours, theirs), &options, &RepoPath::root()).unwrap();
        merged.value.unwrap()
    };
    let (ours, theirs) = ("bacyx", "acbwv");
    let document = merge(ours, theirs, &[]);
    let take = |document: &Value, choice: Choice| {
        resolve_value(document, &at("/l/$order"), &choice).unwrap()
    };
    assert_eq!(take(&document, Choice::Order(vec!["c".into()])), read("cbayxwv"));
    assert_eq!(take(&document, Choice::Order(Vec::new())), read("bacyxwv"));
    for (choice, rule, order, swapped) in [
        (Choice::Ours, "/**=ours", "bacyxwv", Choice::Theirs),
        (Choice::Theirs, "/**=theirs", "acbwvyx", Choice::Ours),
        (Choice::Base, "/**=base", "abcvwxy", Choice::Base),
    ] {
        assert_eq!(take(&document, choice), read(order));
        assert_eq!(merge(ours, theirs, &[rule]), read(order), "{rule}");
        let other_way = merge(theirs, ours, &[]);
        assert_eq!(take(&other_way, swapped), read(order), "{rule}");
    }
}
