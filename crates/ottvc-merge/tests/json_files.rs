//! JSON files merged and written: what comes out says what was merged, and looks like ours.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

#[path = "laws/draw.rs"]
mod draw;

use std::sync::Arc;

use draw::config;

use ottvc_merge::{JsonFiles, MergeOptions, Schema, same};
use ottvc_object::conflict::Term;
use ottvc_object::value::{Value, is_tag, parse_json};
use ottvc_object::{ObjectError, RepoPath};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value as Json, json};

fn read(base: &str, ours: &str, theirs: &str, schema: Option<&Arc<Schema>>) -> JsonFiles {
    let terms = [ours, base, theirs].map(|text| Some(text.as_bytes().to_vec()));
    JsonFiles::read(terms.to_vec(), schema.cloned()).unwrap()
}

fn merged(files: &JsonFiles) -> Option<Value> {
    files.merge(&MergeOptions::default(), &RepoPath::root()).unwrap().value
}

/// Merges three texts into one.
fn merge_by(base: &str, ours: &str, theirs: &str, schema: Option<&Arc<Schema>>) -> String {
    let files = read(base, ours, theirs, schema);
    let value = merged(&files);
    let text = String::from_utf8(files.write(value.as_ref()).unwrap()).unwrap();
    if let Some(value) = &value {
        assert_eq!(says(&text, &files), files.to_json(value), "{text}");
        assert!(reads_as(&text, &files, value, schema), "{text}");
    }
    text
}

fn merge(base: &str, ours: &str, theirs: &str) -> String {
    merge_by(base, ours, theirs, None)
}

/// What a text says, with numbers and tags in the one spelling they have when written.
fn says(text: &str, like: &JsonFiles) -> Json {
    let json = parse_json(text.as_bytes()).unwrap();
    like.to_json(&like.from_json(&json).unwrap())
}

/// Whether a text is read as this value, kinds included; not judged where plain JSON has one word for two.
fn reads_as(text: &str, like: &JsonFiles, value: &Value, schema: Option<&Arc<Schema>>) -> bool {
    let json = parse_json(text.as_bytes()).unwrap();
    let value = schema.map_or_else(|| value.clone(), |schema| schema.convert(value));
    looks_tagged(&value) || same(&like.from_json(&json).unwrap(), &value)
}

/// Whether there is a map in it that its one key makes look like a tagged value, beside foreign `$` keys.
fn looks_tagged(value: &Value) -> bool {
    match value {
        Value::Map(map) => {
            map.len() == 1 && map.keys().all(|key| is_tag(key))
                || map.contains_key("$conflict")
                || map.values().any(looks_tagged)
        }
        Value::Localized(map) => map.values().any(looks_tagged),
        Value::Keyed(list) => list.items().values().any(looks_tagged),
        Value::Set(set) => set.iter().any(looks_tagged),
        Value::Array(elements) => elements.iter().any(looks_tagged),
        Value::Conflict(conflict) => {
            conflict.terms.as_slice().iter().filter_map(Term::value).any(looks_tagged)
        }
        _ => false,
    }
}

const PACKAGE: &str = r#"{
    "name": "player",
    "version": "1.0.0",
    "scripts": { "test": "run", "build": "make" },
    "dependencies": {
        "zlib": "^1.2",
        "ansi": "~2.0"
    },
    "files": ["b", "a"],
    "limit": 1.50,
    "pi": 3.14159265358979323846264338
}
"#;

#[test]
fn lines_that_nobody_changed_stay_as_they_are() {
    let ours = PACKAGE.replace("1.0.0", "1.1.0").replace("    \"files\": [\"b\", \"a\"],\n", "");
    let theirs = PACKAGE
        .replace("\"zlib\": \"^1.2\",", "\"zlib\": \"^1.3\",\n        \"mux\": \"1\",")
        .replace("\"build\"", "\"lint\": \"l\", \"build\"")
        .replace(
            "    \"limit\"",
            "    \"engine\": {\n        \"node\": 1e1\n    },\n    \"limit\"",
        );
    let expected = ours
        .replace("\"zlib\": \"^1.2\",", "\"zlib\": \"^1.3\",\n        \"mux\": \"1\",")
        .replace("\"build\"", "\"lint\": \"l\", \"build\"")
        .replace(
            "    \"limit\"",
            "    \"engine\": {\n        \"node\": 1e1\n    },\n    \"limit\"",
        );
    assert_eq!(merge(PACKAGE, &ours, &theirs), expected);
}

#[test]
fn what_is_new_looks_like_the_rest_of_ours() {
    let base = "{\n  \"a\": 1\n}\n";
    let theirs = "{\n  \"first\": 0,\n  \"a\": 1,\n  \"deep\": {\n    \"list\": [1, 2],\n    \"\\u0078\": [\n      1.0\n    ]\n  },\n  \"last\": true\n}\n";
    // Tabs, CRLF, a byte order mark, no newline at the end; ours and theirs meet nowhere.
    let ours = "\u{feff}{\r\n\t\"a\" : 1,\r\n\t\"own\" : [ ]\r\n}";
    assert_eq!(
        merge(base, ours, theirs),
        "\u{feff}{\r\n\t\"first\" : 0,\r\n\t\"a\" : 1,\r\n\t\"deep\" : {\r\n\t\t\"list\": [1, 2],\r\n\t\t\"\\u0078\": [\r\n\t\t\t1.0\r\n\t\t]\r\n\t},\r\n\t\"last\" : true,\r\n\t\"own\" : [ ]\r\n}"
    );
    // On one line, and the other way round.
    assert_eq!(
        merge(base, "{\"a\":1,\"own\":2}", theirs),
        "{\"first\":0,\"a\":1,\"deep\":{\"list\":[1,2],\"\\u0078\":[1.0]},\"last\":true,\"own\":2}"
    );
    assert_eq!(
        merge("{\"a\":1}", "{\n  \"a\": 1,\n  \"own\": 2\n}\n", "{\"a\":1,\"b\":{\"c\":[1.0,{}]}}"),
        "{\n  \"a\": 1,\n  \"b\": {\n    \"c\": [\n      1.0,\n      {}\n    ]\n  },\n  \"own\": 2\n}\n"
    );
}

#[test]
fn members_go_and_brackets_stay() {
    let base = "{\n  \"a\": 1,\n  \"b\": 2,\n  \"c\": 3\n}\n";
    let ours = "{\n  \"a\": 1,\n  \"b\": 20,\n  \"c\": 3\n}\n";
    for (theirs, expected) in [
        ("{\"b\":2,\"c\":3}", "{\n  \"b\": 20,\n  \"c\": 3\n}\n"),
        ("{\"a\":1,\"b\":2}", "{\n  \"a\": 1,\n  \"b\": 20\n}\n"),
        ("{\"b\":2}", "{\n  \"b\": 20\n}\n"),
        (
            "{\"z\":0,\"b\":2}",
            "{\n  \"z\":0,\n  \"b\": 20\n}\n".replace("\"z\":", "\"z\": ").as_str(),
        ),
    ] {
        assert_eq!(merge(base, ours, theirs), expected, "{theirs}");
    }
}

#[test]
fn a_side_that_changed_nothing_has_no_say_about_the_layout() {
    let (base, other) = ("{\n \"a\": 1}", "{\"b\": 1.0, \"a\": 1 }\n");
    assert_eq!(merge(base, base, other), other);
    assert_eq!(merge(base, other, base), other);
    // The same, laid out anew.
    assert_eq!(merge(base, base, "{\"a\":1.0}"), "{\"a\":1.0}");
    // Both did something: ours counts.
    assert_eq!(merge(base, "{\"a\":1}", other), "{\"b\": 1.0,\"a\":1}".replace(": ", ":"));
}

#[test]
fn conflicts_stand_in_the_style_of_ours() {
    let text = merge(
        "{\n\t\"a\": 1\n}",
        "{\n\t\"a\": 2.0,\n\t\"$ref\": \"x\"\n}",
        "{\n\t\"a\": {\"$ref\": 1}\n}",
    );
    assert!(text.starts_with("{\n\t\"a\": {\n\t\t\"$conflict\": {\n\t\t\t\"id\": "), "{text}");
    assert!(text.ends_with("\t\t}\n\t},\n\t\"$ref\": \"x\"\n}"), "{text}");
    // It is read as that conflict, and goes when somebody puts a value in its place.
    assert_eq!(merge(&text, &text, "{\"a\":3}"), "{\"a\":3}");
    let kept = read(&text, &text, &text, None).merge(&MergeOptions::default(), &RepoPath::root());
    assert_eq!(kept.unwrap().conflicts.len(), 1);
    // Half a conflict is not a value.
    let half = text.replace("\"value\": 2", "\"value\": 7");
    let terms = [&half, &text, &text].map(|text| Some(text.as_bytes().to_vec()));
    let error = JsonFiles::read(terms.to_vec(), None).unwrap_err();
    assert!(error.0 == 0 && error.1.to_string().contains("changed by hand"), "{error:?}");
}

#[test]
fn any_json_merges() {
    // Keys that begin with `$`.
    let schema = |extra: &str| {
        format!(
            "{{\"$schema\": \"s\", \"$defs\": {{\"a\": {{\"$ref\": \"#\", \"$$x\": 1{extra}}}}}}}"
        )
    };
    let text = merge(&schema(""), &schema(", \"o\": 1"), &schema(", \"$comment\": \"t\""));
    assert_eq!(text, schema(", \"$comment\": \"t\", \"o\": 1"));
    // Lists and scalars for a whole file.
    assert_eq!(merge("[1]", "[1]", "[1, 2]"), "[1, 2]");
    assert_eq!(merge("1.0", "1.0\n", "2"), "2\n");
    assert_eq!(merge("\"x\"", "null", "\"x\""), "null");
    let text = merge("[1]", "[\n  0\n]\n", "[1, 2]");
    assert!(text.starts_with("{\n  \"$conflict\": {\n    \"id\""), "{text}");
    let again = read(&text, &text, &text, None).merge(&MergeOptions::default(), &RepoPath::root());
    assert_eq!(again.unwrap().conflicts, ["/".parse().unwrap()]);
    // Numbers as they are, however long.
    let long = "{\"n\": 123456789012345678901234567890, \"m\": 0.1234567890123456789}";
    let side = long.replace("}", ", \"a\": 98765432109876543210}");
    let other = long.replace("{", "{\"b\": 1, ");
    assert_eq!(
        merge(long, &other, &side),
        "{\"b\": 1, \"n\": 123456789012345678901234567890, \"m\": 0.1234567890123456789, \"a\": 98765432109876543210}"
    );
    let both = merge(long, &long.replace("0.1", "0.2"), &long.replace("0.1", "0.3"));
    assert!(both.contains("\"value\": 0.2234567890123456789"), "{both}");
    // Nothing is nothing.
    let terms = vec![None, None, Some(b"{\"a\": 1 }".to_vec())];
    let files = JsonFiles::read(terms, None).unwrap();
    let value = merged(&files);
    assert_eq!(files.write(value.as_ref()).unwrap(), b"{\"a\": 1 }");
    assert_eq!(files.write(None).unwrap(), b"");
}

#[test]
fn what_is_refused_has_its_place() {
    let error = |text: &str| {
        let terms = vec![Some(b"{}".to_vec()), None, Some(text.as_bytes().to_vec())];
        JsonFiles::read(terms, None).unwrap_err()
    };
    let twice = error("{\n  \"a\": 1,\n  \"a\": 2\n}");
    assert!(matches!(twice, (2, ObjectError::BadJson { line: 3, .. })), "{twice:?}");
    let long = error(&format!("{{\"a\": [1{}]}}", "1".repeat(40)));
    assert!(
        matches!(&long, (2, ObjectError::BadValue { field, .. }) if field == "/a/#0"),
        "{long:?}"
    );
    let deep = error(&format!("{}1{}", "[".repeat(70), "]".repeat(70)));
    assert!(matches!(&deep, (2, ObjectError::BadValue { why, .. }) if why.contains("64 deep")));
}

#[test]
fn under_a_schema_sets_and_lists_keep_the_order_of_ours() {
    let schema = "schema: t/1\nfields:\n  /tags: {type: set, of: string}\n  /cast: {type: keyed, keys: [id], order: none}\n  /rail: {type: keyed, keys: [id]}\n  /names: {type: localized, of: text}\n";
    let schema = Arc::new(Schema::parse(schema).unwrap());
    let base = r#"{"tags": ["z", "b"], "cast": [{"id": "q", "n": 1}, {"id": "p"}], "rail": [{"id": 2}, {"id": 1}], "names": {"en-us": "x"}}"#;
    let ours = r#"{
  "tags": ["z", "b", "k"],
  "cast": [
    {"n": 1, "id": "q"},
    {"id": "p", "own": 1}
  ],
  "rail": [
    {"id": 2},
    {"id": 1, "own": 1.0}
  ],
  "names": {"en-us": "x"}
}"#;
    let theirs = r#"{"tags": ["z", "a", "b"], "cast": [{"id": "q", "n": 2}, {"id": "a"}, {"id": "p"}], "rail": [{"id": 2, "t": 1}, {"id": 1}, {"id": 0}], "names": {"en-us": "x", "de": "y"}}"#;
    assert_eq!(
        merge_by(base, ours, theirs, Some(&schema)),
        r#"{
  "tags": ["z", "a", "b", "k"],
  "cast": [
    {"n": 2, "id": "q"},
    {"id": "a"},
    {"id": "p", "own": 1}
  ],
  "rail": [
    {"id": 2, "t": 1},
    {"id": 1, "own": 1.0},
    {"id": 0}
  ],
  "names": {"en-us": "x", "de": "y"}
}"#
    );
}

#[test]
fn a_map_that_looked_like_a_tagged_value_says_what_it_says() {
    let merged =
        merge(r#"{"$set":["b","a"]}"#, r#"{"$set":["b", "a"]}"#, r#"{"$set":["b","a"],"a":null}"#);
    assert_eq!(merged, r#"{"$set":["b", "a"], "a":null}"#);
    // A set, whose elements keep their places.
    let [base, ours, theirs] = [r#"["c"]"#, r#"["c", "b"]"#, r#"["c", "a"]"#]
        .map(|set| format!("{{\n  \"s\": {{\"$set\": {set}}}\n}}"));
    assert_eq!(merge(&base, &ours, &theirs), "{\n  \"s\": {\"$set\": [\"a\", \"b\", \"c\"]}\n}");
}

#[test]
fn former_keys_stay_a_set() {
    let [base, ours, theirs] = [r#"["a"]"#, r#"["a", "b"]"#, r#"["a", "c"]"#]
        .map(|set| format!(r#"{{"e": {{"$from": {{"$set": {set}}}, "x": 1}}}}"#));
    let merged = merge(&base, &ours, &theirs);
    assert_eq!(merged, r#"{"e": {"$from": {"$set": ["a", "b", "c"]}, "x": 1}}"#);
    // Where the schema says so, without a tag.
    let schema = Arc::new(Schema::parse("schema: t/1\nfields:\n  /e: {type: map}\n").unwrap());
    let merged = merge_by(&base, &ours, &theirs, Some(&schema));
    assert_eq!(merged, r#"{"e": {"$from": ["a", "b", "c"], "x": 1}}"#);
    // What is no set of keys there is not read under the schema, so it has its tags.
    let odd = r#"{"e":{"$from":{"$from":{"$set":["a"]},"n":1}}}"#;
    assert_eq!(
        merge_by("{}", r#"{ "o": 1 }"#, odd, Some(&schema)),
        r#"{ "e": { "$from": { "$from": { "$set": [ "a" ] },"n": 1 } },"o": 1 }"#
    );
}

/// What one part is spaced with, hundreds of new ones are not.
#[test]
fn spaces_without_end_are_not_copied() {
    let long = " ".repeat(100_000);
    let (some, more) =
        ("[0,1]", format!("[{}]", (0..500).map(|n| n.to_string()).collect::<Vec<_>>().join(",")));
    let side = |list: &str| format!("{{\"a\":{list}}}");
    for ours in [
        format!("{{\"a\":[0,{long}1],\"b\":1}}"),
        format!("{{\"a\":[0,\n{long}1],\"b\":1}}"),
        format!("{{\n{long}\"a\":[0,1],\"b\":1}}"),
        format!("{{\"b\":{long}1,\"a\":[0,1]}}"),
        format!("{{\"a\":[{long}0,1], \"b\":1}}"),
    ] {
        let text = merge(&side(some), &ours, &side(&more));
        assert!(text.len() < ours.len() + 10_000, "{} bytes of {}", text.len(), ours.len());
    }
    // The spaces of a key, and of members in a row.
    let members = |from: usize, to: usize| {
        let all: Vec<String> = (from..to).map(|n| format!("\"k{n}\":0")).collect();
        format!("{{{}}}", all.join(","))
    };
    let ours = format!("{{\"k0\":0,{long}\"k1\"{long}:{long}0,\"own\":1}}");
    let text = merge(&members(0, 2), &ours, &members(0, 500));
    assert!(text.len() < ours.len() + 10_000, "{} bytes of {}", text.len(), ours.len());
}

#[test]
fn a_text_past_the_limit_is_refused() {
    let indent = " ".repeat(256);
    let list = |many: usize| {
        let all: Vec<String> = (0..many).map(|n| (n % 10).to_string()).collect();
        format!("{{\"a\":[{}]}}", all.join(","))
    };
    let ours = format!("{{\"a\":[\n{indent}0,\n{indent}1],\"b\":1}}");
    let files = read(&list(2), &ours, &list(70_000), None);
    let value = merged(&files);
    let error = files.write(value.as_ref()).unwrap_err();
    let ObjectError::TooLarge { len, limit, .. } = error else { panic!("{error:?}") };
    assert_eq!(limit, 16 << 20);
    assert!(len > 70_000 * 258 && len < 70_000 * 260, "{len}");
    // So are the spaces around it.
    let around = format!("{ours}{}", " ".repeat((16 << 20) - 1000));
    let files = read(&list(2), &around, &list(10), None);
    let value = merged(&files);
    assert!(matches!(files.write(value.as_ref()), Err(ObjectError::TooLarge { .. })));
}

/// Minutes, if every tag were looked for among all, or every new element looked at its model again.
#[test]
fn time_grows_with_the_files_alone() {
    let tags = |more: &str| {
        let all: Vec<String> = (0..40_000).map(|n| format!("\"EN-x-a{n:07}\":\"v\"")).collect();
        format!("{{\"l\":{{\"$loc\":{{{}}}}}{more}}}", all.join(","))
    };
    let text = merge(&tags(""), &tags(",\"o\":1"), &tags("").replacen("\"v\"", "\"w\"", 1));
    assert!(text.contains("\"EN-x-a0000000\":\"w\",\"EN-x-a0000001\":\"v\""));
    let model = format!("[\"{}\"]", "x".repeat(8 << 20));
    let list =
        |many: usize, more: &str| format!("{{\"a\":[0,{model}{}]{more}}}", ",[1]".repeat(many));
    let text = merge(&list(0, ""), &list(0, ",\"b\":1"), &list(50_000, ""));
    assert_eq!(text, list(50_000, ",\"b\":1"));
}

/// JSON of few names and values, so that sides often meet.
fn tree() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        (0..3).prop_map(Json::from),
        select(vec!["", "x\n\"", "\u{e9}"]).prop_map(Json::from),
        select(vec!["1.5", "12345678901234567890.5", "99999999999999999999"])
            .prop_map(|text| serde_json::from_str(text).unwrap()),
        select(vec![
            json!({"$set": ["b", "a"]}),
            json!({"$dec": "1.5"}),
            json!({"$text": "x"}),
            json!({"$loc": {"en-us": "x"}}),
            json!({"$loc": {"DE": "x", "EN-us": "y"}}),
            json!({"$kl": {"keys": ["id"], "items": [{"id": 2}, {"id": 1, "n": 1}]}}),
            json!({"$from": {"$set": ["a", "b"]}, "n": 1}),
            json!({"$conflict": {"kind": "edit_edit", "path": "/a", "policy": "atomic",
                "terms": [{"side": "ours", "value": 1}, {"side": "base", "value": 2},
                    {"side": "theirs", "value": 3}]}}),
        ]),
    ];
    leaf.prop_recursive(3, 24, 4, |below| {
        let keys =
            select(vec!["a", "b", "c", "$ref", "$$x", "$id", "$text", "$from", "tags", "cast"]);
        let item = (0..3, below.clone()).prop_map(|(id, more)| json!({"id": id, "more": more}));
        prop_oneof![
            1 => vec(below.clone(), 0..4).prop_map(Json::from),
            1 => vec(item, 0..3).prop_map(Json::from),
            3 => vec((keys, below), 0..5).prop_map(|members| {
                Json::Object(members.into_iter().map(|(key, it)| (key.to_owned(), it)).collect())
            }),
        ]
    })
}

/// A text that says this, laid out in some way, members in some order.
fn text_of(json: &Json, way: &[u8]) -> String {
    fn space(out: &mut String, way: &mut impl Iterator<Item = u8>) {
        match way.next().unwrap_or(0) % 8 {
            0 | 1 => {}
            2 => out.push(' '),
            3 => out.push_str("\n  "),
            4 => out.push_str("\r\n\t"),
            5 => out.push_str(&" ".repeat(65)),
            6 => out.push_str(&format!("\n{}", " ".repeat(257))),
            _ => out.push_str("\n\n    "),
        }
    }
    fn write(json: &Json, out: &mut String, way: &mut impl Iterator<Item = u8>) {
        space(out, way);
        match json {
            Json::Array(elements) => {
                out.push('[');
                for (place, element) in elements.iter().enumerate() {
                    out.push_str(if place > 0 { "," } else { "" });
                    write(element, out, way);
                }
                space(out, way);
                out.push(']');
            }
            Json::Object(members) => {
                let mut members: Vec<_> = members.iter().collect();
                if way.next().unwrap_or(0) % 2 == 1 {
                    members.reverse();
                }
                out.push('{');
                for (place, (key, member)) in members.into_iter().enumerate() {
                    out.push_str(if place > 0 { "," } else { "" });
                    space(out, way);
                    out.push_str(&Json::from(key.as_str()).to_string());
                    space(out, way);
                    out.push(':');
                    write(member, out, way);
                }
                space(out, way);
                out.push('}');
            }
            Json::Number(number) if way.next().unwrap_or(0) % 2 == 1 => {
                out.push_str(&format!("{number}e0"));
            }
            scalar => out.push_str(&scalar.to_string()),
        }
        space(out, way);
    }
    let mut out = String::new();
    // Even or not laid out at all, where there is nothing to choose from.
    match way.first() {
        None => format!("{json:#}\n"),
        Some(0..40) => json.to_string(),
        _ => {
            write(json, &mut out, &mut way.iter().copied().cycle());
            out
        }
    }
}

/// Three files: sides made from one base by putting something in one place.
fn sides() -> impl Strategy<Value = [String; 3]> {
    let change = || {
        prop_oneof![
            1 => Just(None),
            4 => (select(vec!["a", "b", "$ref", "tags", "cast"]), proptest::option::of(tree())).prop_map(Some),
            1 => tree().prop_map(|tree| Some(("", Some(tree)))),
        ]
    };
    let way = || vec(any::<u8>(), 0..12);
    (tree(), change(), change(), way(), way(), way()).prop_map(
        |(base, ours, theirs, way_base, way_ours, way_theirs)| {
            let changed = |change: Option<(&str, Option<Json>)>| {
                let mut side = base.clone();
                match (change, &mut side) {
                    (None, _) => {}
                    (Some(("", Some(tree))), side) => *side = tree,
                    (Some((key, Some(tree))), Json::Object(members)) => {
                        members.insert(key.to_owned(), tree);
                    }
                    (Some((key, None)), Json::Object(members)) => drop(members.remove(key)),
                    (Some(_), _) => {}
                }
                side
            };
            [
                text_of(&changed(ours), &way_ours),
                text_of(&base, &way_base),
                text_of(&changed(theirs), &way_theirs),
            ]
        },
    )
}

proptest! {
    #![proptest_config(config(file!(), 256))]

    /// What is written says what was merged, whatever the files look like.
    #[test]
    fn the_text_says_what_was_merged([ours, base, theirs] in sides(), under in any::<bool>()) {
        let schema = "schema: t/1\nfields:\n  /tags: {type: set}\n  /cast: {type: keyed, keys: [id], order: none}\n  /a: {type: keyed, keys: [id]}\n  /b: {type: array, merge: sequence}\n";
        let schema = under.then(|| Arc::new(Schema::parse(schema).unwrap()));
        let files = read(&base, &ours, &theirs, schema.as_ref());
        let Some(value) = merged(&files) else { return Ok(()) };
        let text = String::from_utf8(files.write(Some(&value)).unwrap()).unwrap();
        let json = parse_json(text.as_bytes());
        prop_assert!(json.is_ok(), "{json:?}\n{text}");
        prop_assert_eq!(says(&text, &files), files.to_json(&value), "{}", text);
        prop_assert!(reads_as(&text, &files, &value, schema.as_ref()), "{}", text);
        // Ours to the byte, where it says just that.
        if files.to_json(&value) == says(&ours, &files) && ours != base {
            prop_assert_eq!(&text, &ours);
        }
        if ours == base {
            prop_assert_eq!(&text, &theirs);
        }
        // Merging it once more changes nothing.
        let again = read(&base, &text, &base, schema.as_ref());
        let same = merged(&again);
        let once_more = again.write(same.as_ref()).unwrap();
        prop_assert_eq!(String::from_utf8(once_more).unwrap(), text);
    }
}
