//! How conflicts were settled, what makes two of them alike, and documents without them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

use ottvc_merge::{
    Choice, Memory, MemoryKey, MergeOptions, Schema, entry_conflict, merge_values,
    resolve_document, what_settled, without_conflicts,
};
use ottvc_object::conflict::{Conflict, ConflictKind, Terms};
use ottvc_object::field_path::FieldPath;
use ottvc_object::value::{Value, value_from_json, value_to_json};
use ottvc_object::{ContentId, Entry, FileEntry, FileMode, RepoPath};
use serde_json::{Value as Json, json};

/// The fields of the schema, base, ours and theirs, and where they conflict.
type Case<'c> = (&'c str, Json, Json, Json, &'c str);

fn merged(fields: &str, base: &Json, ours: &Json, theirs: &Json) -> Value {
    let schema = Schema::parse(&format!("schema: t/1\nfields:\n{fields}")).unwrap();
    let options = MergeOptions { schema: Some(schema.into()), ..MergeOptions::default() };
    let read = |json: &Json| (!json.is_null()).then(|| value_from_json(json).unwrap());
    let terms = Terms::three(read(ours), read(base), read(theirs));
    merge_values(&terms, &options, &RepoPath::new("x.meta.json").unwrap()).unwrap().value.unwrap()
}

/// One conflict of each shape.
fn cases() -> Vec<Case<'static>> {
    let art = |a: &str, w: i64| json!({ "art": { "a": a, "w": w, "note": "n" } });
    let entry = |key: &str, a: i64| json!({ "m": { key: { "a": a, "$from": { "$set": ["k1"] } }, "x": 1 } });
    let list = |item: Json| json!({ "l": { "$kl": { "keys": ["id"], "items": [item] } } });
    let item = |id: &str, a: i64| list(json!({ "id": id, "a": a, "$from": { "$set": ["p1"] } }));
    vec![
        ("  /t: {type: string}\n", json!({"t": "a"}), json!({"t": "b"}), json!({"t": "c"}), "/t"),
        ("  /t: {type: string}\n", json!({"t": "a"}), json!({}), json!({"t": "c"}), "/t"),
        (
            "  /art: {type: map, groups: [[a, w]]}\n",
            art("A1", 1),
            art("A2", 2),
            art("A1", 3),
            "/art/\\{a,w}",
        ),
        ("  /t: {type: string}\n", json!({"t": "a"}), Json::Null, json!({"t": "c"}), ""),
        (
            "  /m: {type: map}\n",
            json!({ "m": { "k1": { "a": 1 }, "x": 1 } }),
            entry("k2", 1),
            entry("k3", 2),
            "/m/k1",
        ),
        (
            "  /l: {type: keyed, keys: [id]}\n",
            list(json!({ "id": "p1", "a": 1 })),
            item("p2", 1),
            item("p3", 2),
            "/l/[id=p1]",
        ),
    ]
}

fn conflict_in(document: &Value, at: &FieldPath) -> Conflict<Value> {
    let found = document.conflicts().into_iter().find(|(place, _)| place == at);
    found.unwrap_or_else(|| panic!("no conflict at {at}")).1.clone()
}

#[test]
fn how_a_conflict_was_settled_is_read_from_what_came_of_it() {
    for (fields, base, ours, theirs, at) in cases() {
        let document = merged(fields, &base, &ours, &theirs);
        let at: FieldPath = at.parse().unwrap();
        let conflict = conflict_in(&document, &at);
        for choice in [Choice::Ours, Choice::Theirs, Choice::Base, Choice::Absent] {
            let settled = resolve_document(&document, &at, &choice).unwrap();
            let told = what_settled(&conflict, &at, settled.as_ref());
            if choice == Choice::Absent && conflict.kind == ConflictKind::RenameRename {
                assert_eq!(told, None, "it may be elsewhere");
                continue;
            }
            let told = told.unwrap();
            let again = told.map_or(Choice::Absent, Choice::Value);
            let resolved = resolve_document(&document, &at, &again).unwrap();
            assert_eq!(resolved, settled, "{at} by {choice:?}");
        }
        let left = what_settled(&conflict, &at, Some(&document));
        assert_eq!(left, None, "what is left in conflict is not settled");
    }
}

#[test]
fn a_value_that_no_side_had_is_told_but_for_renames() {
    for (fields, base, ours, theirs, at) in cases() {
        let document = merged(fields, &base, &ours, &theirs);
        let at: FieldPath = at.parse().unwrap();
        let conflict = conflict_in(&document, &at);
        let (told, value) = match at.to_string().as_str() {
            "/art/\\{a,w}" => (true, Value::map([("a", Value::from("A9"))])),
            "/m/k1" => (false, Value::map([("k9", Value::map([("a", Value::Int(1))]))])),
            "/l/[id=p1]" => (false, Value::map([("id", Value::from("p9"))])),
            _ if at.is_root() => (true, Value::map([("t", Value::from("z"))])),
            _ => (true, Value::from("z")),
        };
        let choice = Choice::Value(value.clone());
        let settled = resolve_document(&document, &at, &choice).unwrap();
        let found = what_settled(&conflict, &at, settled.as_ref());
        match told {
            true => assert_eq!(found, Some(Some(value)), "{at}"),
            false => assert_eq!(found, None, "{at}"),
        }
    }
}

#[test]
fn conflicts_can_be_left_out() {
    for (fields, base, ours, theirs, at) in cases() {
        let document = merged(fields, &base, &ours, &theirs);
        let absent = resolve_document(&document, &at.parse().unwrap(), &Choice::Absent).unwrap();
        assert_eq!(without_conflicts(&document).unwrap(), absent, "{at}");
    }
    let list = |keys: &str| {
        let items: Vec<Json> = keys.chars().map(|key| json!({ "id": key.to_string() })).collect();
        json!({ "l": { "$kl": { "keys": ["id"], "items": items } }, "r": keys })
    };
    let fields = "  /l: {type: keyed, keys: [id]}\n  /r: {type: string}\n";
    let document = merged(fields, &list("cba"), &list("bca"), &list("cab"));
    assert_eq!(document.conflicts().len(), 2);
    let left = without_conflicts(&document).unwrap().unwrap();
    let mut sorted = list("abc");
    sorted.as_object_mut().unwrap().remove("r");
    assert_eq!(value_to_json(&left), sorted, "of an order in conflict nobody's is taken");
}

/// Sides and bases come in any order; another base makes another disagreement between the same sides.
#[test]
fn disagreements_are_alike_by_sides_and_bases() {
    let key = |base: &str, ours: &str, theirs: &str| {
        let doc = |text: &str| json!({ "t": text });
        let document = merged("  /t: {type: string}\n", &doc(base), &doc(ours), &doc(theirs));
        MemoryKey::of(&conflict_in(&document, &"/t".parse().unwrap()), None).unwrap()
    };
    let first = key("a", "b", "c");
    assert_eq!(first, key("a", "c", "b"));
    let other_base = key("z", "b", "c");
    assert_eq!(first.sides(), other_base.sides());
    assert_ne!(first.whole(), other_base.whole());
    assert_ne!(first.sides(), key("a", "b", "d").sides());
    assert_eq!(MemoryKey::from_bytes(&first.to_bytes()), Some(first));
    assert_eq!(MemoryKey::from_bytes(&first.to_bytes()[1..]), None);
    assert_eq!(MemoryKey::from_bytes(&[]), None);
}

#[test]
fn entries_are_alike_by_their_ids_at_one_path() {
    let file = |seed: u8, mode| {
        Some(Entry::File(FileEntry { content: ContentId([seed; 32]), len: 1, mode }))
    };
    let plain = |seed| file(seed, FileMode::Regular);
    let conflict = |terms: [Option<Entry>; 3]| {
        entry_conflict(ConflictKind::EditEdit, &Terms::new(terms.to_vec()).unwrap())
    };
    let path = |text| RepoPath::new(text).unwrap();
    let key = |terms, at| MemoryKey::of_entry(&conflict(terms), &path(at)).unwrap();
    let first = key([plain(1), plain(0), plain(2)], "a.mp4");
    assert_eq!(first, key([plain(2), plain(0), plain(1)], "A.mp4"));
    assert_ne!(first, key([plain(1), plain(0), plain(2)], "b.mp4"));
    assert_ne!(first.sides(), key([plain(1), plain(0), plain(3)], "a.mp4").sides());
    assert_ne!(first, key([plain(1), plain(0), file(2, FileMode::Executable)], "a.mp4"));
    assert_eq!(first.sides(), key([plain(1), plain(9), plain(2)], "a.mp4").sides());

    let met = conflict([plain(1), plain(0), plain(2)]);
    let recalled = |result| {
        let mut memory = Memory::default();
        memory.remember_entry(first, "r1", result);
        memory.recall_entry(&met, &path("a.mp4")).map(|(name, it)| (name.to_owned(), it))
    };
    assert_eq!(recalled(plain(2)), Some(("r1".into(), plain(2))));
    assert_eq!(recalled(None), Some(("r1".into(), None)));
    assert_eq!(recalled(plain(7)), None, "it may not be kept any more");
}
