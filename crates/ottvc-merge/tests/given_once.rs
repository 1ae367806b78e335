//! What is given once stays, whatever conflicts there are on the way, and whoever wrote them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

use std::sync::Arc;

use ottvc_merge::schema::{Finding, MAX_FINDINGS, validate_change, validate_merge};
use ottvc_merge::{Choice, MergeOptions, Schema, merge_values, resolve_value};
use ottvc_object::RepoPath;
use ottvc_object::conflict::Terms;
use ottvc_object::field_path::FieldPath;
use ottvc_object::value::{Document, Value, value_from_json, value_to_json};
use serde_json::{Value as Json, json};

const FIELDS: &str = "
  /id: {type: string, immutable: true}
  /l/*/id: {type: string, immutable: true}
  /k: {type: keyed, keys: [k], order: none}
  /k/*/id: {type: string, immutable: true}
  /m: {type: keyed, keys: [$id], move_domain: rows}
  /n: {type: keyed, keys: [$id], move_domain: rows}
  /o: {type: keyed, keys: [$id], move_domain: rows}
  /*/*/in: {type: keyed, keys: [$id], move_domain: rows}
  /*/*/code: {type: string, immutable: true}
  /*/*/in/*/code: {type: string, immutable: true}
";

fn schema(fields: &str) -> Arc<Schema> {
    Arc::new(Schema::parse(&format!("schema: t/1\nfields:{fields}")).unwrap())
}

fn value(json: &Json) -> Value {
    Document::new(value_from_json(json).unwrap()).unwrap().into_value()
}

/// A conflict of three terms, as it is written by hand; null is absent.
fn conflict(policy: &str, path: &str, [ours, base, theirs]: [&Json; 3]) -> Json {
    let term = |side: &str, value: &Json| match value {
        Json::Null => json!({ "side": side, "absent": true }),
        Json::Object(map) if map.contains_key("contested") => {
            json!({ "side": side, "contested": value["contested"]["$conflict"] })
        }
        value => json!({ "side": side, "value": value }),
    };
    let terms = [term("ours", ours), term("base", base), term("theirs", theirs)];
    json!({ "$conflict": { "kind": "edit_edit", "path": path, "policy": policy, "terms": terms } })
}

fn merged(schema: &Arc<Schema>, [ours, base, theirs]: [&Value; 3]) -> Value {
    let options = MergeOptions { schema: Some(schema.clone()), ..MergeOptions::default() };
    let terms = [ours, base, theirs].map(|value| Some(value.clone()));
    let [ours, base, theirs] = terms;
    let merged = merge_values(&Terms::three(ours, base, theirs), &options, &RepoPath::root());
    merged.unwrap().value.unwrap()
}

fn paths(found: Vec<Finding>) -> Vec<String> {
    found.into_iter().map(|it| it.path.to_string()).collect()
}

/// Paths of what is changed in a merge, where ours is what the base was.
fn lost_in_merge(old: &Json, new: &Json) -> Vec<String> {
    let (schema, old, new) = (schema(FIELDS), value(old), value(new));
    paths(validate_merge(&old, std::slice::from_ref(&old), &new, &schema))
}

/// Paths of what is changed outside of a merge, and just so in one.
fn lost(old: &Json, new: &Json) -> Vec<String> {
    let written = paths(validate_change(&value(old), &value(new), &schema(FIELDS)));
    assert_eq!(written, lost_in_merge(old, new));
    written
}

#[test]
fn a_conflict_over_a_place_has_what_was_given_for_its_bases() {
    let none: [&str; 0] = [];
    let before = json!({ "l": { "e": { "id": "A", "x": 1 } } });
    let here = |conflict: Json| json!({ "l": { "e": conflict } });
    let entry = |key: &str, id: &str| json!({ key: { "id": id, "$from": { "$set": ["e"] } } });
    let (f, g) = (entry("f", "A"), entry("g", "A"));
    let put = |policy: &str, terms: [&Json; 3]| {
        lost_in_merge(&before, &here(conflict(policy, "/l/e", terms)))
    };
    let base = json!({ "e": { "id": "A", "x": 1 } });
    assert_eq!(put("rename", [&f, &base, &g]), none);
    for policy in ["rename", "move", "atomic"] {
        assert_eq!(put(policy, [&f, &Json::Null, &g]), ["/l/e"], "{policy} without a base");
        let other = json!({ "e": { "id": "B" } });
        assert_eq!(put(policy, [&f, &other, &g]), ["/l/e"], "{policy} of another past");
    }
    assert_eq!(put("rename", [&f, &json!("A"), &g]), ["/l/e"], "a base that is no entry");
    // Neither does a conflict inside help, nor one of a conflict that is right otherwise.
    let empty = conflict("atomic", "/l/e/id", [&json!("B"), &Json::Null, &json!("C")]);
    let base = json!({ "e": { "id": empty } });
    assert_eq!(put("rename", [&f, &base, &g]), ["/l/e"]);
    assert_eq!(put("atomic", [&f["f"], &base["e"], &g["g"]]), ["/l/e"]);
    let settled = conflict("atomic", "/l/e/id", [&json!("B"), &json!("A"), &json!("C")]);
    assert_eq!(put("atomic", [&f["f"], &json!({ "id": settled }), &g["g"]]), none);
    // Nor does the place of a field that is no entry.
    let id = conflict("rename", "/id", [&json!({ "a": "A" }), &Json::Null, &json!({ "b": "A" })]);
    assert_eq!(lost(&json!({ "id": "A" }), &json!({ "id": id })), ["/id"]);
}

#[test]
fn what_settles_a_conflict_that_was_committed_keeps_what_its_bases_had() {
    let none: [&str; 0] = [];
    let entry = |key: &str, id: &str| json!({ key: { "id": id } });
    let terms = [&entry("f", "A"), &entry("e", "A"), &entry("g", "A")];
    let disputed = json!({ "l": { "e": conflict("rename", "/l/e", terms), "z": { "id": "A" } } });
    let now = |key: &str, id: &str| {
        let mut all = json!({ "l": { "z": { "id": "A" } } });
        all["l"][key] = json!({ "id": id });
        all
    };
    for key in ["e", "f", "g"] {
        assert_eq!(lost(&disputed, &now(key, "A")), none, "{key}");
        assert_eq!(lost(&disputed, &now(key, "B")), ["/l/e"], "{key}");
    }
    assert_eq!(lost(&disputed, &json!({ "l": { "z": { "id": "A" } } })), ["/l/e"], "removed");
    assert_eq!(lost(&disputed, &now("h", "A")), ["/l/e"], "where the conflict does not put it");
    assert_eq!(lost(&disputed, &json!({ "l": {} })), ["/l/e", "/l/z"]);
    assert_eq!(lost(&disputed, &json!({})), ["/l"], "removed with what holds it");
    // One that takes the place of another remembers it.
    let again = |base: &Json| {
        let again = conflict("rename", "/l/e", [&entry("f", "B"), base, &entry("g", "C")]);
        json!({ "l": { "e": again, "z": { "id": "A" } } })
    };
    assert_eq!(lost(&disputed, &again(&entry("e", "A"))), none);
    assert_eq!(lost(&disputed, &again(&Json::Null)), ["/l/e"]);
    assert_eq!(lost(&disputed, &again(&entry("e", "B"))), ["/l/e"]);
    // Where the schema says nothing of the new key, the value could be changed there.
    let odd = schema("\n  /a/id: {immutable: true}\n");
    let terms = [&entry("a", "A"), &entry("a", "A"), &entry("b", "A")];
    let disputed = value(&json!({ "a": conflict("rename", "/a", terms) }));
    let settled = |key: &str| validate_change(&disputed, &value(&entry(key, "A")), &odd).len();
    assert_eq!((settled("a"), settled("b")), (0, 1));
}

/// Settles the only conflict of `disputed`.
fn settled(disputed: &Value, choice: &Choice) -> Value {
    let (at, _) = disputed.conflicts().into_iter().next().unwrap();
    resolve_value(disputed, &at, choice).unwrap()
}

/// A document in which somebody replaced some words, and the ids of its conflicts went.
fn edited(document: &Value, words: &[(&str, &str)]) -> Value {
    let mut text = value_to_json(document).to_string();
    for (old, new) in words {
        text = text.replace(old, new);
    }
    let mut json: Json = serde_json::from_str(&text).unwrap();
    fn forget(json: &mut Json) {
        match json {
            Json::Object(map) => {
                if let Some(conflict) = map.get_mut("$conflict") {
                    conflict.as_object_mut().unwrap().remove("id");
                }
                map.values_mut().for_each(forget);
            }
            Json::Array(all) => all.iter_mut().for_each(forget),
            _ => {}
        }
    }
    forget(&mut json);
    value(&json)
}

#[test]
fn conflicts_over_places_that_a_merge_made_are_committed_and_settled() {
    let schema = schema(FIELDS);
    let rows = |ids: &[&str]| {
        let row = |id: &&str| json!({ "$id": id, "code": format!("c{id}") });
        let items: Vec<Json> = ids.iter().map(row).collect();
        json!({ "$kl": { "keys": ["$id"], "items": items } })
    };
    let tables = |m: &[&str], n: &[&str], o: &[&str]| {
        value(&json!({ "m": rows(m), "n": rows(n), "o": rows(o) }))
    };
    let item = |k: &str, from: Option<&str>| {
        let mut item = json!({ "k": k, "id": "A" });
        if let Some(from) = from {
            item["$from"] = json!({ "$set": [from] });
        }
        value(&json!({ "k": { "$kl": { "keys": ["k"], "items": [item] } } }))
    };
    let entry = |key: &str, from: &[&str]| {
        let mut entry = json!({ "id": "A" });
        if !from.is_empty() {
            entry["$from"] = json!({ "$set": from });
        }
        value(&json!({ "l": { key: entry } }))
    };
    for [ours, base, theirs] in [
        [entry("f", &["e"]), entry("e", &[]), entry("g", &["e"])],
        [item("f", Some("e")), item("e", None), item("g", Some("e"))],
        [tables(&["y"], &["x"], &[]), tables(&["x", "y"], &[], &[]), tables(&["y"], &[], &["x"])],
    ] {
        let disputed = merged(&schema, [&ours, &base, &theirs]);
        assert_eq!(disputed.conflicts().len(), 1, "{disputed:?}");
        let bases = std::slice::from_ref(&base);
        assert_eq!(validate_merge(&ours, bases, &disputed, &schema), []);
        assert_eq!(validate_merge(&base, bases, &disputed, &schema), []);
        for choice in [Choice::Ours, Choice::Base, Choice::Theirs] {
            let settled = settled(&disputed, &choice);
            assert_eq!(validate_change(&disputed, &settled, &schema), [], "{choice:?}");
        }
        let gone = settled(&disputed, &Choice::Absent);
        assert_eq!(validate_change(&disputed, &gone, &schema).len(), 1);
        // Edited on the way.
        let (at, _) = disputed.conflicts().into_iter().next().unwrap();
        let edited = edited(&disputed, &[("\"A\"", "\"B\""), ("\"cx\"", "\"cz\"")]);
        assert_eq!(validate_merge(&base, bases, &edited, &schema).len(), 1, "{at}");
    }
}

#[test]
fn items_of_a_circle_keep_what_they_were_given() {
    let schema = schema(FIELDS);
    let row = |id: &str, inside: &[Json]| json!({ "$id": id, "code": id, "in": { "$kl": { "keys": ["$id"], "items": inside } } });
    let document =
        |items: &[Json]| value(&json!({ "m": { "$kl": { "keys": ["$id"], "items": items } } }));
    let base = document(&[row("a", &[]), row("b", &[])]);
    let ours = document(&[row("b", &[row("a", &[])])]);
    let theirs = document(&[row("a", &[row("b", &[])])]);
    let disputed = merged(&schema, [&ours, &base, &theirs]);
    assert_eq!(disputed.conflicts().len(), 1, "{disputed:?}");
    for choice in [Choice::Ours, Choice::Base, Choice::Theirs] {
        let settled = settled(&disputed, &choice);
        assert_eq!(validate_change(&disputed, &settled, &schema), [], "{choice:?}");
        // Either of them.
        for id in ["a", "b"] {
            let code = format!("\"code\":\"{id}\"");
            let edited = edited(&settled, &[(&code, "\"code\":\"z\"")]);
            assert_eq!(validate_change(&disputed, &edited, &schema).len(), 1, "{choice:?} {id}");
        }
    }
}

#[test]
fn no_conflict_over_fields_that_move_together_forgets_them_later() {
    let schema = schema("\n  /: {type: map, groups: [[x, y]]}\n  /x: {immutable: true}\n");
    let fields = |x: u8| json!({ "x": x, "y": 1 });
    let group = |policy: &str, base: u8| {
        let (ours, base, theirs) = (fields(2), fields(base), fields(3));
        value(&json!({ "{x,y}": conflict(policy, "/x", [&ours, &base, &theirs]) }))
    };
    let changed = |old: &Value, new: &Value| validate_change(old, new, &schema).len();
    let disputed = group("group", 1);
    assert_eq!(changed(&value(&fields(1)), &disputed), 0);
    assert_eq!(changed(&disputed, &group("group", 1)), 0);
    assert_eq!(changed(&disputed, &group("group", 2)), 1, "another past");
    assert_eq!(changed(&disputed, &group("atomic", 1)), 1, "a conflict of other fields");
}

/// Where bases disagree, any of what they gave is given, and nothing else.
#[test]
fn a_conflict_over_bases_that_disagree_has_what_they_gave() {
    let schema = schema(FIELDS);
    let document = |id: &Json| value(&json!({ "id": id }));
    let (a, b) = (json!("A"), json!("B"));
    let bases = [document(&a), document(&b)];
    let between = |left: &Json, base: &Json, right: &Json| {
        let inner = conflict("atomic", "/id", [left, base, right]);
        document(&conflict("atomic", "/id", [&a, &json!({ "contested": inner }), &json!("C")]))
    };
    let put = |merged: &Value| validate_merge(&bases[0], &bases, merged, &schema).len();
    let disputed = between(&a, &Json::Null, &b);
    assert_eq!(put(&disputed), 0);
    assert_eq!(put(&between(&a, &json!("0"), &b)), 0, "they changed what was given before");
    assert_eq!(put(&between(&a, &Json::Null, &json!("Z"))), 1);
    assert_eq!(put(&document(&conflict("atomic", "/id", [&a, &Json::Null, &b]))), 1);
    assert_eq!(put(&document(&conflict("atomic", "/id", [&a, &json!("Z"), &b]))), 1);
    let later = |id: &str| validate_change(&disputed, &document(&json!(id)), &schema).len();
    assert_eq!((later("A"), later("B"), later("C")), (0, 0, 1));
}

#[test]
fn what_is_changed_in_a_merge_is_found_among_any_number() {
    let schema = schema("\n  /*: {immutable: true}\n");
    let many = 3 * MAX_FINDINGS;
    let document = |of: &dyn Fn(usize) -> Option<Json>| {
        let fields = (0..many).filter_map(|n| Some((format!("f{n:03}"), of(n)?)));
        value(&Json::Object(fields.collect()))
    };
    // Most were first given by ours, and may be chosen anew; the last was there before.
    let base = document(&|n| (n + 1 == many).then(|| json!(0)));
    let ours = document(&|n| Some(json!(if n + 1 == many { 0 } else { 1 })));
    let merged = document(&|_| Some(json!(2)));
    let found = validate_merge(&ours, std::slice::from_ref(&base), &merged, &schema);
    let paths: Vec<FieldPath> = found.into_iter().map(|it| it.path).collect();
    assert_eq!(paths, [format!("/f{:03}", many - 1).parse().unwrap()]);
    assert_eq!(validate_change(&ours, &merged, &schema).len(), MAX_FINDINGS);
}

/// Outside of a merge nothing comes to have its place in dispute: its name would be free for another.
#[test]
fn only_a_merge_puts_the_place_of_what_was_given_in_dispute() {
    let schema = schema(FIELDS);
    let entry = |key: &str| json!({ key: { "id": "A" } });
    let (e, f, g) = (entry("e"), entry("f"), entry("g"));
    let renamed = value(&json!({ "l": { "e": conflict("rename", "/l/e", [&f, &e, &g]) } }));
    let item = json!({ "$id": "x", "code": "A" });
    let list = |items: Json| json!({ "$kl": { "keys": ["$id"], "items": items } });
    let before = value(&json!({ "m": list(json!([item])), "n": list(json!([])) }));
    let at = |list: &str| json!({ "$id": "x", "item": item, "list": list });
    let here = json!({ "$id": "x", "item": item });
    let mut moved = conflict("move", "/m/[$id=x]", [&at("/n"), &here, &at("/o")]);
    moved["$key"] = json!({ "$id": "x" });
    let moved = value(&json!({ "m": list(json!([moved])), "n": list(json!([])) }));
    for (before, disputed) in [(value(&json!({ "l": e })), renamed), (before, moved)] {
        assert_eq!(validate_change(&before, &disputed, &schema).len(), 1, "{disputed:?}");
        let bases = std::slice::from_ref(&before);
        assert_eq!(validate_merge(&before, bases, &disputed, &schema), []);
        // What is in dispute stays so.
        let words = [("\"f\":{", "\"h\":{"), ("\"/n\"", "\"/p\"")];
        assert_eq!(validate_change(&disputed, &edited(&disputed, &words), &schema), []);
    }
}

/// A conflict over a move that is none says nothing of what was given.
#[test]
fn a_plain_base_is_none_of_a_conflict_over_a_move() {
    let plain =
        |base: &Json| json!({ "id": conflict("move", "/id", [&json!("X"), base, &json!("Y")]) });
    assert_eq!(lost_in_merge(&json!({ "id": "A" }), &plain(&json!("A"))), ["/id"]);
    let row = |code: &str| json!({ "$id": "x", "code": code });
    let table = |item: Json| json!({ "m": { "$kl": { "keys": ["$id"], "items": [item] } } });
    let mut moved = conflict("move", "/m/[$id=x]", [&row("Q"), &row("A"), &row("R")]);
    moved["$key"] = json!({ "$id": "x" });
    assert_eq!(lost_in_merge(&table(row("A")), &table(moved)), ["/m/[\\$id=x]"]);
    let root = conflict("move", "/", [&json!({ "q": 1 }), &json!({ "id": "A" }), &json!({})]);
    assert_eq!(lost_in_merge(&json!({ "id": "A" }), &root), ["/"]);
}

#[test]
fn no_conflict_of_a_group_hides_a_field() {
    let none: [&str; 0] = [];
    let fields = |id: &str| json!({ "id": id });
    let terms = [&fields("X"), &fields("A"), &fields("Y")];
    let one = json!({ "{id}": conflict("group", "/x", terms) });
    assert_eq!(lost(&fields("A"), &one), none);
    // Beside another value of the field itself.
    let mut beside = one.clone();
    beside["id"] = json!("B");
    assert_eq!(lost(&fields("A"), &beside), ["/id"]);
    // A group of the group.
    let inner = |id: &str| json!({ "{id}": { "id": id } });
    let terms = [&inner("X"), &inner("A"), &inner("Y")];
    let twice = json!({ "{{id}}": conflict("group", "/x", terms) });
    assert_eq!(lost(&one, &twice), ["/\\{id}"]);
    assert_eq!(lost(&one, &fields("A")), none);
    assert_eq!(lost(&one, &fields("B")), ["/\\{id}"]);
}

/// A list that is given once, with its items in this order.
fn ordered(keys: &[&str]) -> Json {
    let items: Vec<Json> = keys.iter().map(|key| json!({ "k": key })).collect();
    json!({ "i": { "$kl": { "keys": ["k"], "items": items } } })
}

#[test]
fn of_an_order_the_keys_that_are_there_stay_as_they_stood() {
    let schema = schema("\n  /i: {type: keyed, keys: [k], insert: conflict, immutable: true}\n");
    let list = |keys: &[&str]| value(&ordered(keys));
    let (base, ours, theirs) = (list(&["a", "b"]), list(&["a", "x", "b"]), list(&["a", "y", "b"]));
    assert_eq!(validate_change(&base, &ours, &schema), [], "an item may come between");
    assert_eq!(paths(validate_change(&base, &list(&["b", "a"]), &schema)), ["/i/$order"]);
    let disputed = merged(&schema, [&ours, &base, &theirs]);
    assert_eq!(disputed.conflicts().len(), 1, "{disputed:?}");
    let bases = std::slice::from_ref(&base);
    assert_eq!(validate_merge(&ours, bases, &disputed, &schema), []);
    for choice in [Choice::Ours, Choice::Base, Choice::Theirs] {
        let settled = settled(&disputed, &choice);
        assert_eq!(validate_change(&disputed, &settled, &schema), [], "{choice:?}");
    }
    let changed = |keys: &[&str]| paths(validate_change(&disputed, &list(keys), &schema));
    assert_eq!(changed(&["b", "x", "a", "y"]), ["/i/$order"]);
    assert_eq!(changed(&["y", "a", "b", "x"]), [""; 0]);
    // Nor does a conflict get rid of it that has less of it for its base.
    for base in [json!([]), json!([["a"]]), json!([["b"], ["a"]])] {
        let keys = json!([["a"], ["b"]]);
        let mut forged = ordered(&["a", "b"]);
        forged["i"]["$kl"]["order"] = conflict("order", "/i/$order", [&keys, &base, &keys]);
        let found = paths(validate_change(&list(&["a", "b"]), &value(&forged), &schema));
        assert_eq!(found, ["/i/$order"], "{base}");
    }
}

/// Two lines of history that merged each other and chose otherwise: what both merges came from disagrees.
fn crossed(schema: &Arc<Schema>, [base, x, y]: [&Value; 3]) -> ([Value; 2], Value) {
    let both = merged(schema, [x, base, y]);
    let other = merged(schema, [y, base, x]);
    let chosen = [settled(&both, &Choice::Ours), settled(&other, &Choice::Ours)];
    let [ours, theirs] = &chosen;
    let disputed = merged(schema, [ours, &both, theirs]);
    assert_eq!(disputed.conflicts().len(), 1, "{disputed:?}");
    (chosen, disputed)
}

#[test]
fn the_order_that_bases_disagree_about_is_settled_as_one_of_them_has_it() {
    let schema = schema("\n  /i: {type: keyed, keys: [k], insert: conflict, immutable: true}\n");
    let (x, y) = (value(&ordered(&["a", "x"])), value(&ordered(&["b", "a"])));
    let (chosen, disputed) = crossed(&schema, [&value(&json!({})), &x, &y]);
    let bases = [x, y];
    assert_eq!(validate_merge(&chosen[0], &bases, &disputed, &schema), []);
    for choice in [Choice::Ours, Choice::Theirs] {
        let settled = settled(&disputed, &choice);
        assert_eq!(validate_merge(&chosen[0], &bases, &settled, &schema), [], "{choice:?}");
        assert_eq!(validate_change(&disputed, &settled, &schema), [], "{choice:?}");
    }
    let other = value(&ordered(&["x", "a", "b"]));
    assert_eq!(paths(validate_change(&disputed, &other, &schema)), ["/i/$order"]);
}

#[test]
fn fields_of_a_group_that_no_base_of_the_bases_had_stay_as_a_base_has_them() {
    let schema =
        schema("\n  /g: {type: map, groups: [[x, y]]}\n  /g/x: {type: int, immutable: true}\n");
    let group = |fields: Json| value(&json!({ "g": fields }));
    let base = group(json!({ "y": 2 }));
    let (x, y) = (group(json!({ "x": 2, "y": 1 })), group(json!({ "x": 2, "y": 0 })));
    let (chosen, disputed) = crossed(&schema, [&base, &x, &y]);
    let bases = [x, y];
    assert_eq!(validate_merge(&chosen[0], &bases, &disputed, &schema), []);
    for choice in [Choice::Ours, Choice::Theirs] {
        let settled = settled(&disputed, &choice);
        assert_eq!(validate_merge(&chosen[0], &bases, &settled, &schema), [], "{choice:?}");
        assert_eq!(validate_change(&disputed, &settled, &schema), [], "{choice:?}");
    }
    let other = group(json!({ "x": 3, "y": 1 }));
    assert_eq!(paths(validate_change(&disputed, &other, &schema)), ["/g/\\{x,y}"]);
}

#[test]
fn where_bases_disagree_a_merge_takes_what_one_of_them_has() {
    let schema = schema(FIELDS);
    let document = |id: &str| value(&json!({ "id": id }));
    let bases = ["A", "B"].map(document);
    let taken = |id: &str| validate_merge(&bases[0], &bases, &document(id), &schema).len();
    assert_eq!((taken("A"), taken("B"), taken("C")), (0, 0, 1));
    assert_eq!(validate_merge(&bases[0], &bases, &value(&json!({})), &schema).len(), 1);
    // Where they agree it stays.
    let agree = ["A", "A"].map(document);
    assert_eq!(validate_merge(&agree[0], &agree, &document("B"), &schema).len(), 1);
}

/// A conflict has its values as they were before there was a schema.
#[test]
fn a_conflict_that_is_older_than_the_schema_is_settled_under_it() {
    let schema = schema("\n  /ids: {type: set, of: string, immutable: true}\n");
    let terms = [&json!(["a", "b"]), &json!(["a"]), &json!(["a", "c"])];
    let old = value(&json!({ "ids": conflict("atomic", "/ids", terms) }));
    let old = schema.convert(&old);
    let found = |ids: Json| {
        let new = schema.convert(&value(&json!({ "ids": ids })));
        paths(validate_change(&old, &new, &schema))
    };
    assert_eq!(found(json!(["a", "b"])), [""; 0]);
    assert_eq!(found(json!(["b"])), ["/ids"]);
    // Set in place of one that was converted since.
    let given = schema.convert(&value(&json!({ "ids": ["a"] })));
    assert_eq!(validate_change(&given, &old, &schema), []);
}

#[test]
fn what_is_given_once_in_sets_and_localized_maps_outlives_a_conflict_over_them() {
    let schema = schema(
        "
  /s: {type: set, of: string}
  /s/*: {immutable: true}
  /t: {type: localized, of: string}
  /t/*: {immutable: true}
",
    );
    let changed = |old: &Json, new: &Json| {
        let [old, new] = [old, new].map(|it| schema.convert(&value(it)));
        paths(validate_change(&old, &new, &schema))
    };
    for (field, given, other) in [
        ("s", json!({ "$set": ["a"] }), json!({ "$set": ["b"] })),
        ("t", json!({ "en": "a" }), json!({ "en": "b" })),
    ] {
        let at = format!("/{field}");
        let terms = |base| [&other, base, &other];
        let disputed = |base| json!({ field: conflict("atomic", &at, terms(base)) });
        let before = json!({ field: given });
        assert_eq!(changed(&before, &disputed(&given)), [""; 0]);
        assert_eq!(changed(&before, &disputed(&other)), [&*at], "another past");
        assert_eq!(changed(&before, &disputed(&Json::Null)), [&*at], "no past");
        assert_eq!(changed(&disputed(&given), &json!({ field: other })), [&*at]);
        assert_eq!(changed(&disputed(&given), &before), [""; 0]);
    }
}
