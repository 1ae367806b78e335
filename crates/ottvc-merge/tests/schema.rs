//! What a schema may say, what a document breaks of it, and plain JSON under it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

use ottvc_merge::schema::{
    Finding, Inherit, MAX_FINDINGS, OnShadow, validate, validate_change, validate_merge,
};
use ottvc_merge::{MergeError, Schema};
use ottvc_object::value::{Document, Value, value_from_json, value_to_json};
use serde_json::{Value as Json, json};

fn schema(fields: &str) -> Schema {
    Schema::parse(&format!("schema: t/1\nfields:\n{fields}")).unwrap()
}

fn value(json: &Json) -> Value {
    Document::new(value_from_json(json).unwrap()).unwrap().into_value()
}

fn findings(schema: &Schema, json: &Json) -> Vec<String> {
    let told = |finding: Finding| format!("{} {} {}", finding.path, finding.rule, finding.value);
    validate(&value(json), schema).into_iter().map(told).collect()
}

#[test]
fn the_built_in_schema_is_read_and_has_one_spelling() {
    let edition = Schema::edition().unwrap();
    assert_eq!(edition.full_name(), "ott.edition/1");
    assert!(edition.counts());
    let again = Schema::parse(&edition.canonical()).unwrap();
    assert_eq!(again, *edition, "the canonical form is YAML, and says the same");
    assert_eq!(again.canonical(), edition.canonical());
    // Released under this id. Whoever changes the schema gives it a new version, and a new id.
    const RELEASED: &str = "3f218abfc17689fa41f16fd491bc06c251b65c1bc7c0b907e9acd1dfdd32878f";
    assert_eq!(edition.id().to_string(), RELEASED);
}

#[test]
fn spelling_is_not_content() {
    let one =
        schema("  /a: {type: set, of: string, merge: set}\n  b: {type: int, max: 9, min: 1.0}\n");
    let other = Schema::parse(
        "fields:\n  /b:\n    min: 1\n    max: 9.0\n    'type': \"int\"\n  /a: {merge: set, type: set, of: string}\nschema: t/1\n",
    )
    .unwrap();
    assert_eq!(one.id(), other.id());
    assert_eq!(
        one.canonical(),
        "{\"fields\":{\"/a\":{\"merge\":\"set\",\"of\":\"string\",\"type\":\"set\"},\
         \"/b\":{\"max\":9,\"min\":1,\"type\":\"int\"}},\"schema\":\"t/1\"}"
    );
    assert_ne!(one.id(), schema("  /a: {type: set, of: string}\n").id());
    assert_ne!(one.id(), Schema::parse(&one.canonical().replace("t/1", "t/2")).unwrap().id());
}

#[test]
fn every_attribute_survives_its_canonical_form() {
    let all = schema(concat!(
        "  /: {type: map, invariants: ['disjoint(a/x, b)']}\n",
        "  /l/[b=2,a=1]: {type: map, groups: [[x, y], [z, w]]}\n",
        "  /l: {type: keyed, keys: [a, b], insert: conflict, item: atomic,\n",
        "       delete: edit_wins, on_conflict: 'edition(x, Original)', locked: true, max_items: 3}\n",
        "  /m: {type: keyed, keys: [$id], order: none, move_domain: rails, delete: delete_wins}\n",
        "  /o: {type: keyed, keys: [a], order: field(n)}\n",
        "  /t/**: {type: text, merge: text(sentence), min_length: 1, max_length: 5}\n",
        "  /w: {type: timestamp, min: 2020-01-01T00:00:00Z, on_conflict: non_empty}\n",
        "  /n: {type: decimal, enum: [1, 2.50, -3], on_shadow: silent, inherit: at_create}\n",
        "  /s: {type: string, merge: 'ordered(a < b, min)', required: true, immutable: true}\n",
        "  /f: {type: string, format: uuid, merge: hook(longest@1)}\n",
        "  /q: {type: map, merge: latest_by(rev)}\n",
        "  /@fr-FR: {type: array, of: int, merge: sequence, min_items: 1}\n",
    ));
    assert_eq!(Schema::parse(&all.canonical()).unwrap(), all);
}

/// What was stored before anybody found it to make no sense.
#[test]
fn what_only_makes_no_sense_is_read_where_it_is_stored() {
    let fields = [
        ("  /a: {type: string, min: 3}\n", "  /a: {type: string, min: '3'}\n"),
        ("  /a: {type: string, enum: [12, x]}\n", "  /a: {type: string, enum: ['12', x]}\n"),
    ];
    for (written, meant) in fields {
        let text = format!("schema: t/1\nfields:\n{written}");
        Schema::parse(&text).unwrap_err();
        assert_eq!(Schema::parse_stored(&text).unwrap(), schema(meant), "{written}");
    }
    for field in [
        "  /a: {type: keyed, keys: [id, id]}\n",
        "  /a: {type: keyed, keys: [id], order: none, insert: conflict}\n",
    ] {
        let text = format!("schema: t/1\nfields:\n{field}");
        Schema::parse(&text).unwrap_err();
        Schema::parse_stored(&text).unwrap();
    }
    // What nobody could carry out never was stored.
    Schema::parse_stored("schema: t/1\nfields:\n  /a: {type: bool, min: 3}\n").unwrap_err();
}

#[test]
fn errors_name_field_rule_and_value() {
    let cases = [
        ("  /a: {type: strnig}\n", "/a", "type", "strnig"),
        ("  /a: {tpye: string}\n", "/a", "tpye", "string"),
        ("  /a: {type: string, merge: max}\n", "/a", "merge", "max"),
        ("  /a: {type: string, merge: 'text(word)'}\n", "/a", "merge", "text(word)"),
        ("  /a: {type: text, merge: text(letter)}\n", "/a", "merge", "text(letter)"),
        ("  /a: {type: text, merge: text}\n", "/a", "merge", "text"),
        ("  /a: {type: int, merge: hook(x)}\n", "/a", "merge", "hook(x)"),
        ("  /a: {type: string, merge: ordered(a < a)}\n", "/a", "merge", "ordered(a < a)"),
        ("  /a: {type: keyed}\n", "/a", "keys", "{type: keyed}"),
        ("  /a: {type: set, keys: [x]}\n", "/a", "keys", "[x]"),
        ("  /a: {type: keyed, keys: [x], groups: [[x, y]]}\n", "/a", "groups", "[[x, y]]"),
        ("  /a: {type: map, groups: [[x]]}\n", "/a", "groups", "[[x]]"),
        ("  /a: {type: map, groups: [[x, 'y,']]}\n", "/a", "groups", "[[x, y,]]"),
        ("  /a: {type: map, invariants: [start]}\n", "/a", "invariants", "[start]"),
        ("  /a: {type: int, format: date}\n", "/a", "format", "date"),
        ("  /a: {type: int, min: 3, max: 2}\n", "/a", "min", "3"),
        ("  /a: {type: int, enum: [1.5]}\n", "/a", "enum", "[1.5]"),
        ("  /a: {type: localized, of: int}\n", "/a", "of", "int"),
        ("  /a/*: {type: int, required: true}\n", "/a/*", "required", "true"),
        ("  /a: {type: int, required: yes}\n", "/a", "required", "yes"),
        ("  /a: {type: int, on_conflict: mine}\n", "/a", "on_conflict", "mine"),
        ("  /a: {type: keyed, keys: [k], move_domain: d}\n", "/a", "move_domain", "d"),
        ("  /**/a: {type: int}\n", "/**/a", "pattern", "{type: int}"),
        ("  '/@x y': {type: int}\n", "/@x y", "pattern", "{type: int}"),
        ("  /a/#1: {type: int}\n", "/a/#1", "pattern", "{type: int}"),
        ("  /a: int\n", "/a", "field", "int"),
        ("  /a: {type: bool, min: 3}\n", "/a", "min", "3"),
        ("  /a: {type: string, min: 3}\n", "/a", "min", "3"),
        ("  /a: {type: set, of: string, enum: [a, true]}\n", "/a", "enum", "[a, true]"),
        ("  /a: {type: string, format: date, max: soon}\n", "/a", "max", "soon"),
        ("  /a: {type: keyed, keys: [id, id]}\n", "/a", "keys", "[id, id]"),
        (
            "  /a: {type: keyed, keys: [id], order: field(n), insert: conflict}\n",
            "/a",
            "insert",
            "conflict",
        ),
        (
            "  /a: {type: keyed, keys: [id], insert: conflict, order: none}\n",
            "/a",
            "insert",
            "conflict",
        ),
    ];
    for (text, wanted_field, wanted_rule, wanted_value) in cases {
        match Schema::parse(&format!("schema: t/1\nfields:\n{text}")).unwrap_err() {
            MergeError::BadField { line, field, rule, value, why } => {
                let named = (field.as_str(), rule.as_str(), value.as_str());
                assert_eq!(named, (wanted_field, wanted_rule, wanted_value), "{text} {why}");
                assert_eq!(line, 3, "{text}");
            }
            other => panic!("{text}: {other}"),
        }
    }
    for name in ["t", "t/0", "t/01", "T/1", "/1", "t/x", "t.9/1"] {
        let error = Schema::parse(&format!("schema: {name}\nfields: {{}}\n")).unwrap_err();
        assert_eq!(error.code(), "schema.bad_field", "{name}");
    }
}

#[test]
fn patterns_that_match_the_same_are_refused() {
    for text in
        ["  /a: {type: int}\n  a: {type: int}\n", "  /l/[a=1,b=2]: {}\n  /l/[b=2,a=1]: {}\n"]
    {
        let error = Schema::parse(&format!("schema: t/1\nfields:\n{text}")).unwrap_err();
        assert_eq!(error.code(), "schema.same_field", "{text}");
    }
}

#[test]
fn the_most_specific_pattern_speaks() {
    let schema = schema(concat!(
        "  /**: {max_length: 1, type: string}\n  /a/**: {max_length: 2, type: string}\n",
        "  /a/*: {max_length: 3, type: string}\n  /*/b: {max_length: 4, type: string}\n",
        "  /a/b: {max_length: 5, type: string}\n  /a: {type: map}\n",
        "  /l: {type: keyed, keys: [k]}\n  /l/[k=x]/v: {max_length: 6, type: string}\n",
        "  /l/*/v: {max_length: 7, type: string}\n",
    ));
    let at = |path: &str| {
        let field = schema.field_at(&path.parse().unwrap());
        field.and_then(|field| field.limits.max_length)
    };
    assert_eq!(at("/a/b"), Some(5));
    assert_eq!(at("/a/c"), Some(3));
    assert_eq!(at("/a/c/d"), Some(2));
    assert_eq!(at("/a"), None, "the exact pattern, not `/a/**` standing for nothing");
    assert_eq!(at("/x/b"), Some(4));
    assert_eq!(at("/x"), Some(1));
    assert_eq!(at("/"), Some(1));
    assert_eq!(at("/l/[k=x]/v"), Some(6));
    assert_eq!(at("/l/[k=y]/v"), Some(7));
}

#[test]
fn what_holds_below_is_said_once() {
    let schema = schema(concat!(
        "  /a: {type: map, inherit: never, locked: true}\n  /a/b: {type: int}\n",
        "  /a/c: {type: int, inherit: flow, on_shadow: conflict}\n",
    ));
    let reach = |path: &str| schema.reach_at(&path.parse().unwrap());
    assert_eq!(reach("/a/b").inherit, Some(Inherit::Never));
    assert_eq!(reach("/a/x/y").locked, Some(true));
    assert_eq!(reach("/a/c").inherit, Some(Inherit::Flow));
    assert_eq!(reach("/a/c").on_shadow, Some(OnShadow::Conflict));
    assert_eq!(reach("/d").locked, Some(false));
}

#[test]
fn validation_names_path_rule_and_value() {
    let edition = Schema::edition().unwrap();
    let good = json!({
        "ids": { "eidr": "10.5240/EA73-79D7-1B2B-B378-3A73-M" },
        "class": { "$set": ["Director's Cut"] },
        "titles": { "$loc": { "en": "Dune" } },
        "synopses": { "short": { "$loc": { "en": { "$text": "A hero." } } } },
        "year": 2021, "runtime": "PT2H35M", "made_for": { "$set": ["FR", "419"] },
        "ratings": { "$kl": { "keys": ["territory", "system"], "items": [
            { "territory": "US", "system": "MPA", "value": "PG-13" }] } },
        "cues": { "$kl": { "keys": ["$id"], "items": [
            { "$id": "b", "offset": "PT5M" }, { "$id": "a", "offset": "PT90M" }] } },
        "anything": { "else": [1, "x"] }, "status": null,
    });
    assert_eq!(findings(&edition, &good), Vec::<String>::new());
    let bad = json!({
        "ids": { "eidr": "10.5240/EA73-79D7-1B2B-B378-3A73-N" },
        "use": "Cinema",
        "titles": { "en": "Dune" },
        "synopses": { "short": { "$loc": { "en": { "$text": "x".repeat(191) } } } },
        "year": 1492, "runtime": "PT1H", "made_for": { "$set": ["fr"] },
        "ratings": { "$kl": { "keys": ["territory", "system"], "items": [
            { "territory": "US", "system": "MPA" }] } },
        "cues": { "$kl": { "keys": ["$id"], "items": [
            { "$id": "a", "offset": "PT90M" }, { "$id": "b", "offset": "PT5M" }] } },
        "cast": { "$kl": { "keys": ["person"], "items": [] } },
        "windows": { "$kl": { "keys": ["$id"], "items": [
            { "$id": "w", "start": { "$ts": "2024-02-01T00:00:00Z" }, "end": { "$ts": "2024-01-01T00:00:00Z" } }] } },
    });
    assert_eq!(
        findings(&edition, &bad),
        [
            "/cast keys an empty list",
            "/cues order [{$id: a, offset: PT90M}, {$id: b, offset: PT5M}]",
            "/cues/[\\$id=a] invariants {$id: a, offset: PT90M}",
            "/ids/eidr format `10.5240/EA73-79D7-1B2B-B378-3A73-N`",
            "/made_for/{fr} format `fr`",
            "/ratings/[territory=US,system=MPA]/value required nothing",
            &format!("/synopses/short/@en max_length `{}...", "x".repeat(56)),
            "/titles type {en: Dune}",
            "/use enum `Cinema`",
            "/windows/[\\$id=w] invariants {$id: w, end: {\"$ts\":\"2024-01-01T00:00:00Z\"}, start: {\"$t...",
            "/year min 1492",
        ]
    );
}

#[test]
fn findings_are_bounded() {
    let schema = schema("  /*: {type: int}\n");
    let many: serde_json::Map<String, Json> =
        (0..500).map(|n| (n.to_string(), json!("x"))).collect();
    assert_eq!(findings(&schema, &Json::Object(many)).len(), MAX_FINDINGS);
}

#[test]
fn conflicts_are_not_judged() {
    let schema = schema("  /a: {type: int}\n");
    let conflict = json!({ "a": { "$conflict": { "kind": "edit_edit", "path": "/a", "policy": "atomic",
        "terms": [{ "side": "ours", "value": "x" }, { "side": "base", "value": "y" },
            { "side": "theirs", "value": "z" }] } } });
    assert_eq!(findings(&schema, &conflict), Vec::<String>::new());
}

#[test]
fn what_is_given_once_stays() {
    let schema = schema(
        "  /ids: {type: map, immutable: true}\n  /l/*/code: {type: string, immutable: true}\n",
    );
    let list =
        |code: &str| json!({ "$kl": { "keys": ["k"], "items": [{ "k": 1, "code": code }] } });
    let changed = |old: &Json, new: &Json| -> Vec<String> {
        let findings = validate_change(&value(old), &value(new), &schema);
        findings.into_iter().map(|finding| finding.path.to_string()).collect()
    };
    let old = json!({ "ids": { "a": 1, "n": null }, "l": list("x"), "y": 1 });
    let none: [&str; 0] = [];
    assert_eq!(
        changed(&old, &json!({ "ids": { "a": 1, "n": 5, "b": 2 }, "l": list("x"), "y": 2 })),
        none
    );
    assert_eq!(changed(&old, &json!({ "ids": { "a": 2 }, "l": list("x") })), ["/ids/a"]);
    assert_eq!(changed(&old, &json!({ "ids": { "a": 1 }, "l": list("y") })), ["/l/[k=1]/code"]);
    assert_eq!(changed(&old, &json!({ "ids": { "a": 1 } })), ["/l"], "removed with what holds it");
    assert_eq!(changed(&old, &json!({ "l": list("x") })), ["/ids"]);
    let conflict = json!({ "$conflict": { "kind": "edit_edit", "path": "/ids", "policy": "map",
        "terms": [{ "side": "ours", "value": 1 }, { "side": "base", "value": { "a": 1 } },
            { "side": "theirs", "value": 3 }] } });
    assert_eq!(changed(&old, &json!({ "ids": conflict, "l": list("x") })), none);
}

#[test]
fn what_is_given_once_stays_through_a_conflict() {
    let schema = schema(
        "  /id: {type: string, immutable: true}\n  /: {type: map, groups: [[x, y]]}\n  /x: {type: int, immutable: true}\n",
    );
    let conflict = |policy: &str, terms: Json| {
        json!({ "$conflict": { "kind": "edit_edit",
        "path": "/id", "policy": policy, "terms": terms } })
    };
    let terms = |sides: [&Json; 3]| {
        let [ours, base, theirs] = sides;
        json!([{ "side": "ours", "value": ours }, { "side": "base", "value": base },
            { "side": "theirs", "value": theirs }])
    };
    let of = |sides: [&str; 3]| {
        let sides = sides.map(Json::from);
        json!({ "id": conflict("atomic", terms(sides.each_ref())) })
    };
    let changed = |old: &Json, new: &Json| -> usize {
        validate_change(&value(old), &value(new), &schema).len()
    };
    let id = |id: &str| json!({ "id": id });
    let disputed = of(["B", "A", "C"]);
    assert_eq!(changed(&id("A"), &disputed), 0);
    for (settled, findings) in [(id("A"), 0), (id("B"), 1), (id("C"), 1), (json!({}), 1)] {
        assert_eq!(changed(&disputed, &settled), findings, "{settled}");
        let merged =
            validate_merge(&value(&disputed), &[value(&disputed)], &value(&settled), &schema);
        assert_eq!(merged.len(), findings, "{settled}");
    }
    // A conflict of another past does not help.
    assert_eq!(changed(&id("A"), &of(["A", "B", "C"])), 1);
    assert_eq!(changed(&disputed, &of(["A", "B", "C"])), 1);
    let first = json!({ "id": conflict("atomic", json!([{ "side": "ours", "value": "B" },
        { "side": "base", "absent": true }, { "side": "theirs", "value": "C" }])) });
    assert_eq!(changed(&id("A"), &first), 1);
    assert_eq!(changed(&first, &id("B")), 0, "nobody gave it before");
    // Neither does one inside another.
    let inner = disputed["id"]["$conflict"].clone();
    let nested = json!({ "id": conflict("atomic", json!([{ "side": "ours", "value": "B" },
        { "side": "base", "contested": inner }, { "side": "theirs", "value": "D" }])) });
    assert_eq!(changed(&nested, &id("B")), 1);
    assert_eq!(changed(&nested, &id("A")), 0);
    // Fields that move together.
    let fields = |x: u8| json!({ "x": x, "y": 1 });
    let group = |base: u8| {
        let sides = [fields(2), fields(base), fields(3)];
        json!({ "{x,y}": conflict("group", terms(sides.each_ref())) })
    };
    assert_eq!(changed(&fields(1), &group(1)), 0);
    assert_eq!(changed(&fields(1), &group(2)), 1);
    assert_eq!(changed(&group(1), &fields(1)), 0);
    assert_eq!(changed(&group(1), &fields(2)), 1);
}

/// Whoever merges chooses between values that both sides were the first to give.
#[test]
fn a_merge_keeps_what_its_base_gave_once() {
    let schema = schema("  /id: {type: string, immutable: true}\n");
    let doc = |id: &str| value(&json!({ "id": id }));
    let changed = |ours: &str, bases: &[&str], merged: &str| -> usize {
        let bases: Vec<Value> = bases.iter().map(|id| doc(id)).collect();
        validate_merge(&doc(ours), &bases, &doc(merged), &schema).len()
    };
    assert_eq!(changed("A", &["A"], "B"), 1);
    assert_eq!(changed("A", &["A", "A"], "A"), 0);
    assert_eq!(changed("A", &[], "B"), 0, "nobody gave it before");
    let none = value(&json!({}));
    assert_eq!(validate_merge(&doc("A"), std::slice::from_ref(&none), &doc("B"), &schema), []);
    assert_eq!(changed("A", &["B"], "C"), 1);
    assert_eq!(changed("A", &["B"], "B"), 0, "it is again what it was");
}

/// A conflict that a merge makes says what the base had.
#[test]
fn a_conflict_put_into_a_merge_forgets_nothing() {
    let schema = schema("  /id: {type: string, immutable: true}\n  /l/*/id: {immutable: true}\n");
    let conflict = |policy: &str, base: Json| {
        let terms =
            json!([{ "side": "ours", "value": "X" }, base, { "side": "theirs", "value": "A" }]);
        let conflict =
            json!({ "kind": "edit_edit", "path": "/id", "policy": policy, "terms": terms });
        json!({ "id": { "$conflict": conflict } })
    };
    let base = |id: &str| json!({ "side": "base", "value": id });
    let nothing = json!({ "side": "base", "absent": true });
    let changed = |bases: &[&str], merged: &Json| {
        let doc = |id: &str| value(&json!({ "id": id }));
        let bases: Vec<Value> = bases.iter().map(|id| doc(id)).collect();
        validate_merge(&doc("A"), &bases, &value(merged), &schema).len()
    };
    assert_eq!(changed(&["A"], &conflict("atomic", base("A"))), 0);
    assert_eq!(changed(&["A"], &conflict("atomic", nothing.clone())), 1);
    assert_eq!(changed(&["A"], &conflict("rename", nothing.clone())), 1, "no entry was renamed");
    assert_eq!(changed(&["A"], &conflict("atomic", base("B"))), 1);
    assert_eq!(changed(&[], &conflict("atomic", nothing.clone())), 0, "nobody gave it before");
    assert_eq!(changed(&["A", "B"], &conflict("atomic", nothing)), 1, "one of them gave it");
    // Entries that sides renamed apart.
    let renamed = |key: &str| json!({ key: { "id": "A", "$from": { "$set": ["e"] } } });
    let apart = json!({ "kind": "rename_rename", "path": "/l/e", "policy": "rename", "terms": [
        { "side": "ours", "value": renamed("f") }, { "side": "base", "value": { "e": { "id": "A" } } },
        { "side": "theirs", "value": renamed("g") }] });
    let before = value(&json!({ "l": { "e": { "id": "A" } } }));
    let after = value(&json!({ "l": { "e": { "$conflict": apart } } }));
    assert_eq!(validate_merge(&before, std::slice::from_ref(&before), &after, &schema), []);
}

/// A schema may name other key fields than lists were written with.
#[test]
fn lists_get_the_key_fields_of_their_schema_where_every_item_has_them() {
    let wider = schema("  /l: {type: keyed, keys: [a, b], order: none}\n");
    let list =
        |keys: &[&str], items: Json| json!({ "l": { "$kl": { "keys": keys, "items": items } } });
    let old = list(&["a"], json!([{ "a": 2, "b": 1, "n": 5 }, { "a": 1, "b": 9 }]));
    let converted = wider.convert(&value(&old));
    let new = list(&["a", "b"], json!([{ "a": 1, "b": 9 }, { "a": 2, "b": 1, "n": 5 }]));
    assert_eq!(converted, value(&new));
    assert_eq!(wider.convert(&converted), converted);
    assert_eq!(validate(&converted, &wider), []);
    for (left, shown) in [
        (list(&["a"], json!([{ "a": 1, "b": 1 }, { "a": 2 }])), "[{a: 1, b: 1}, {a: 2}]"),
        (
            list(&["n"], json!([{ "a": 1, "b": 1, "n": 1 }, { "a": 1, "b": 1, "n": 2 }])),
            "[{a: 1, b: 1, n: 1}, {a: 1, b: 1, n: 2}]",
        ),
    ] {
        let converted = wider.convert(&value(&left));
        assert_eq!(converted, value(&left), "an item without a key, or with that of another");
        assert_eq!(findings(&wider, &left), [format!("/l keys {shown}")]);
    }
}

#[test]
fn fields_that_a_schema_does_not_know_are_found() {
    let edition = Schema::edition().unwrap();
    let unknown = |path: &str| edition.unknown(&path.parse().unwrap());
    for known in [
        "/titles/@en",
        "/technical/video/codec",
        "/cast/[person=p1,function=actor]/billing",
        "/cast/$order",
        "/genres/{war}",
        "/synopses/any/@en",
        "/ids/eidr",
    ] {
        assert_eq!(unknown(known), None, "{known}");
    }
    let found = unknown("/titels/@en").unwrap();
    assert_eq!((found.at.to_string(), found.open), ("/titels".to_owned(), false));
    assert!(found.known.contains(&"/titles".parse().unwrap()));
    let found = unknown("/ids/imdb").unwrap();
    assert!(found.open && found.known.contains(&"/ids/isan".parse().unwrap()));
    let meant = |path: &str| unknown(path).unwrap().meant.map(|path| path.to_string());
    assert_eq!(meant("/titles/EN-gb").as_deref(), Some("/titles/@en-GB"));
    assert_eq!(meant("/genres/war").as_deref(), Some("/genres/{war}"));
    assert_eq!(meant("/provenance/dc/at").as_deref(), Some("/provenance/[source=dc]/at"));
    assert_eq!(meant("/cast/p1"), None);
}

#[test]
fn plain_json_takes_the_kinds_the_schema_names() {
    let edition = Schema::edition().unwrap();
    let plain = json!({
        "titles": { "en": "Dune", "fr-fr": "Dune" },
        "synopses": { "long": { "en": "A hero." } },
        "genres": ["scifi", "drama", "scifi"],
        "countries": ["us", "GB"],
        "cast": [{ "person": "p2", "function": "actor", "billing": 2, "characters": ["B"] },
                 { "person": "p1", "function": "actor", "billing": 1 }],
        "windows": [{ "$id": "w", "start": "2024-01-01T01:00:00+01:00" }],
        "artwork": [{ "purpose": "poster", "locale": "en", "aspect": "2x3", "width": 10,
            "asset": { "digest": "00".repeat(32), "media_type": "image/jpeg", "size": 3 } }],
        "other": ["scifi"],
    });
    let document = edition.read_plain(&plain).unwrap();
    let asset = json!({ "digest": "00".repeat(32), "media_type": "image/jpeg", "size": 3 });
    let tagged = json!({
        "titles": { "$loc": { "en": "Dune", "fr-FR": "Dune" } },
        "synopses": { "long": { "$loc": { "en": { "$text": "A hero." } } } },
        "genres": { "$set": ["drama", "scifi"] },
        "countries": { "$set": ["GB", "US"] },
        "cast": { "$kl": { "keys": ["person", "function"], "items": [
            { "person": "p1", "function": "actor", "billing": 1 },
            { "person": "p2", "function": "actor", "billing": 2, "characters": { "$set": ["B"] } }] } },
        "windows": { "$kl": { "keys": ["$id"], "items": [
            { "$id": "w", "start": { "$ts": "2024-01-01T00:00:00Z" } }] } },
        "artwork": { "$kl": { "keys": ["purpose", "locale", "aspect"], "items": [
            { "purpose": "poster", "locale": "en", "aspect": "2x3", "width": 10,
              "asset": { "$asset": asset } }] } },
        "other": ["scifi"],
    });
    assert_eq!(document, value(&tagged));
    assert_eq!(validate(&document, &edition), []);
    assert_eq!(edition.convert(&document), document, "converting again changes nothing");
    let written = edition.to_plain(&document);
    assert!(!written.to_string().contains("\"$set\""), "{written}");
    assert_eq!(edition.read_plain(&written).unwrap(), document);
}

#[test]
fn what_cannot_be_converted_keeps_its_kind_and_is_told() {
    let edition = Schema::edition().unwrap();
    let plain = json!({
        "titles": { "en": 5 }, "genres": [["x"]], "cast": [{ "person": "p1" }],
        "windows": [{ "$id": "w", "start": "soon" }, { "$id": "v" }], "year": "2020",
    });
    let document = edition.read_plain(&plain).unwrap();
    let told: Vec<String> =
        validate(&document, &edition).iter().map(|it| format!("{} {}", it.path, it.rule)).collect();
    assert_eq!(
        told,
        [
            "/cast type",
            "/genres type",
            "/titles type",
            "/windows/[\\$id=w]/start type",
            "/year type"
        ]
    );
    // Two items of one key are no keyed list.
    let twice = json!({ "chapters": [{ "$id": 1 }, { "$id": 1 }] });
    assert!(matches!(
        edition.read_plain(&twice).unwrap().get(&"/chapters".parse().unwrap()),
        Some(Value::Array(_))
    ));
}

#[test]
fn json_schema_says_what_plain_json_is() {
    let small = schema(concat!(
        "  /title: {type: localized, of: string, max_length: 9}\n",
        "  /genres: {type: set, of: string, enum: [a, b], max_items: 2}\n",
        "  /cast: {type: keyed, keys: [$id]}\n  /cast/*/n: {type: int, min: 0, required: true}\n",
        "  /date: {type: string, format: date}\n  /rate: {type: string, format: rational}\n",
        "  /at: {type: timestamp}\n  /extra/**: {type: text}\n  /any/*: {type: bool}\n",
    ));
    assert_eq!(
        small.json_schema(),
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "t/1",
            "type": ["object", "null"],
            "properties": {
                "title": { "type": ["object", "null"],
                    "additionalProperties": { "type": ["string", "null"], "maxLength": 9 } },
                "genres": { "type": ["array", "null"], "uniqueItems": true, "maxItems": 2,
                    "items": { "type": ["string", "null"], "enum": ["a", "b", null] } },
                "cast": { "type": ["array", "null"], "items": { "type": "object",
                    "properties": { "n": { "type": ["integer", "null"], "minimum": 0 } },
                    "required": ["n", "$id"] } },
                "date": { "type": ["string", "null"], "format": "date" },
                "rate": { "type": ["string", "null"], "pattern": "^-?[0-9]+/[1-9][0-9]*$" },
                "at": { "type": ["string", "null"], "format": "date-time" },
                "extra": { "type": ["string", "null"] },
                "any": { "additionalProperties": { "type": ["boolean", "null"] } },
            },
        })
    );
    // Patterns of any depth end, and so do those that describe more than there is room for.
    let many: String =
        (1..60).map(|n| format!("  {}/x{n}: {{type: bool}}\n", "/*".repeat(n))).collect();
    assert!(schema(&many).json_schema().to_string().len() < 10_000_000);
    let rest =
        schema("  /a/**: {type: keyed, keys: [k]}\n  /b/**: {type: localized, of: string}\n");
    assert!(rest.json_schema().to_string().len() < 10_000);
    // The built-in one ends, though it has patterns of any depth.
    let edition = Schema::edition().unwrap().json_schema();
    assert_eq!(
        edition["properties"]["ratings"]["items"]["required"],
        json!(["value", "territory", "system"])
    );
}

#[test]
fn former_keys_may_be_typed_as_an_array() {
    let schema =
        schema("  /m: {type: map}\n  /m/*/*: {type: int}\n  /l: {type: keyed, keys: [k]}\n");
    let typed = json!({
        "m": { "b": { "n": 1, "$from": ["a", "old", "z1"] } },
        "l": [{ "k": 2, "$from": [1] }],
    });
    let document = schema.read_plain(&typed).unwrap();
    let from = document.get(&r"/m/b/\$from".parse().unwrap());
    assert_eq!(from, Some(&Value::set_of(["a", "z1", "old"].map(Value::from)).unwrap()));
    assert_eq!(findings(&schema, &value_to_json(&document)), Vec::<String>::new());
    assert_eq!(schema.convert(&document), document);
    assert_eq!(schema.to_plain(&document), typed);
    let bad = |from: Json| {
        let entry = json!({ "m": { "b": { "$from": from } } });
        findings(&schema, &value_to_json(&schema.read_plain(&entry).unwrap()))
    };
    assert_eq!(bad(json!(["a", "a"])), ["/m/b/\\$from from [a, a]"]);
    assert_eq!(bad(json!([1])), ["/m/b/\\$from from [1]"]);
    assert_eq!(bad(json!("a")), ["/m/b/\\$from from `a`"]);
    let many: Vec<String> = (10..27).map(|n| n.to_string()).collect();
    assert_eq!(bad(json!(many)).len(), 1);
}

#[test]
fn plain_json_is_sorted_for_people() {
    let schema = schema(
        "  /s: {type: set}\n  /l: {type: keyed, keys: [k, n], order: none}\n  /o: {type: keyed, keys: [k]}\n",
    );
    let document = json!({
        "s": ["war", "drama", "adventure", 10, 9, 300, -1, 2.5],
        "l": [{ "k": "war", "n": 1 }, { "k": "drama", "n": 300 }, { "k": "drama", "n": 20 }],
        "o": [{ "k": "war" }, { "k": "adventure" }, { "k": "drama" }],
    });
    let document = schema.read_plain(&document).unwrap();
    let plain = schema.to_plain(&document);
    assert_eq!(plain["s"], json!([-1, 2.5, 9, 10, 300, "adventure", "drama", "war"]));
    let items = [("drama", 20), ("drama", 300), ("war", 1)].map(|(k, n)| json!({ "k": k, "n": n }));
    assert_eq!(plain["l"], json!(items));
    assert_eq!(plain["o"], json!([{ "k": "war" }, { "k": "adventure" }, { "k": "drama" }]));
    assert_eq!(schema.read_plain(&plain).unwrap(), document, "the same bytes come of it");
}
