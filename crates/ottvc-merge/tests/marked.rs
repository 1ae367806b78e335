//! Documents as texts that conflicts are settled in: what they look like, and what may be typed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

use ottvc_merge::{
    Choice, Marked, MergeError, MergeOptions, Schema, SideNames, merge_values, resolve_value,
};
use ottvc_object::conflict::{ConflictKind, Terms};
use ottvc_object::value::{Document, Value, value_to_json};
use ottvc_object::{ObjectError, RepoPath};
use serde_json::{Value as Json, json};

fn merged(ours: Json, base: Json, theirs: Json) -> Value {
    merged_by(None, ours, base, theirs)
}

fn merged_by(schema: Option<&str>, ours: Json, base: Json, theirs: Json) -> Value {
    let schema = schema.map(|text| std::sync::Arc::new(Schema::parse(text).unwrap()));
    let doc = |json: Json| match json {
        Json::Null => None,
        json => {
            let value = Document::from_json(json.to_string().as_bytes()).unwrap().into_value();
            Some(schema.as_ref().map_or(value.clone(), |schema| schema.convert(&value)))
        }
    };
    let terms = Terms::three(doc(ours), doc(base), doc(theirs));
    let options = MergeOptions { schema: schema.clone(), ..MergeOptions::default() };
    merge_values(&terms, &options, &RepoPath::root()).unwrap().value.unwrap()
}

fn marked(document: &Value) -> Marked {
    Marked::new(document, None, &SideNames::default())
}

/// The text without its notes.
fn body(marked: &Marked) -> String {
    marked
        .text()
        .lines()
        .filter(|line| !line.starts_with('#'))
        .fold(String::new(), |text, line| text + line + "\n")
}

fn read(marked: &Marked, text: &str) -> Json {
    value_to_json(marked.read(text).unwrap().unwrap().value())
}

#[test]
fn a_field_stands_as_the_lines_of_each_side() {
    let document = merged(json!({"a": 1, "z": [0]}), json!({"a": 0, "z": [0]}), json!({"z": [0]}));
    let marked = marked(&document);
    let text = "{\n<<<<<<< ours at /a\n  \"a\": 1,\n||||||| base\n  \"a\": 0,\n=======\n\
                >>>>>>> theirs at /a\n  \"z\": [\n    0\n  ]\n}\n";
    assert_eq!(body(&marked), text);
    assert!(marked.text().starts_with("# 1 conflict,"));
    // Anything may be typed in its place, and elsewhere too.
    assert_eq!(read(&marked, "{\"a\": {\"b\": 2}, \"z\": [1]}"), json!({"a": {"b": 2}, "z": [1]}));
    assert_eq!(read(&marked, "# a note\n{}\n"), json!({}));
    // What stood before a side that has nothing may have been the last.
    assert_eq!(read(&marked, "{\"a\": [1, 2,],\n\n}"), json!({"a": [1, 2]}));
    assert_eq!(read(&marked, "{\"a\": \",}\\\",]\"}"), json!({"a": ",}\",]"}), "not in texts");
}

#[test]
fn what_is_neither_settled_nor_left_alone_is_refused_with_its_line() {
    let document =
        merged(json!({"a": 1, "b": 1}), json!({"a": 0, "b": 0}), json!({"a": 2, "b": 2}));
    let marked = marked(&document);
    let line_of = |text: &str| match marked.read(text) {
        Err(MergeError::HalfSettled { line, text }) => (line, text),
        other => panic!("{other:?}"),
    };
    let body = body(&marked);
    assert_eq!(
        line_of(&body.replace("||||||| base\n  \"b\": 0\n", "")),
        (9, "<<<<<<< ours at /b".to_owned())
    );
    assert_eq!(line_of(&body.replace("\"a\": 1", "\"a\": 3")).0, 2, "a side was changed in place");
    assert_eq!(
        line_of("{\n\"a\": 1\n}\n>>>>>>> theirs at /a"),
        (4, ">>>>>>> theirs at /a".to_owned())
    );
    assert_eq!(marked.read("{}\n=======\n").unwrap_err().code(), "merge.half_settled");
    // Two values of one conflict are one too many, and other mistakes have their lines as well.
    let both = "{\n  \"a\": 1,\n  \"a\": 2\n}";
    assert!(matches!(
        marked.read(both),
        Err(MergeError::Object(ObjectError::BadJson { line: 3, .. }))
    ));
    let after =
        body.replace("\"b\": 2", "\"b\": 2 2").replace("=======\n  \"b\"", "=======\n\"b\"");
    assert_eq!(line_of(&after).0, 9);
    let broken = format!("{}x", body);
    let lines = body.lines().count();
    assert!(matches!(
        marked.read(&broken),
        Err(MergeError::Object(ObjectError::BadJson { line, .. })) if line == lines + 1
    ));
}

#[test]
fn an_order_is_a_member_of_its_list() {
    let list = |order: [&str; 3]| {
        let items: Vec<Json> = order.iter().map(|id| json!({ "id": id })).collect();
        json!({"l": {"$kl": {"keys": ["id"], "items": items}}})
    };
    let (base, ours, theirs) = (["a", "b", "c"], ["b", "a", "c"], ["a", "c", "b"]);
    let document = merged(list(ours), list(base), list(theirs));
    let marked = marked(&document);
    let body = body(&marked);
    assert!(
        body.contains("<<<<<<< ours at /l/$order\n      \"order\": [\n        [\"b\"],\n"),
        "{body}"
    );
    let typed = |order: Json| {
        let mut json = list(base);
        json["l"]["$kl"]["order"] = order;
        read(&marked, &json.to_string())
    };
    assert_eq!(typed(json!(["c", "a", "b"])), list(["c", "a", "b"]));
    assert_eq!(typed(json!([["c"]])), list(["c", "a", "b"]), "the rest as it stands");
    let wrong = r#"{"l": {"$kl": {"keys": ["id"], "items": [{"id": "a"}], "order": [{}]}}}"#;
    assert!(matches!(marked.read(wrong), Err(MergeError::Object(ObjectError::BadValue { .. }))));
}

#[test]
fn groups_and_whole_documents_stand_as_they_will() {
    let schema = "schema: t/1\nfields:\n  /art: {type: map, groups: [[asset, width]]}\n";
    let art = |asset: &str, width: i64| json!({"art": {"asset": asset, "width": width, "x": 0}});
    let document = merged_by(Some(schema), art("A1", 10), art("A0", 5), art("A2", 20));
    let marked_art = marked(&document);
    let body_art = body(&marked_art);
    assert!(body_art.contains("\n    \"asset\": \"A1\",\n    \"width\": 10\n"), "{body_art}");
    let taken = r#"{"art": {"asset": "A2", "width": 20, "x": 0}}"#;
    assert_eq!(read(&marked_art, taken), art("A2", 20));

    let document = merged(Json::Null, json!({"a": 0}), json!({"a": 2}));
    let whole = marked(&document);
    assert!(body(&whole).ends_with("=======\n{\n  \"a\": 2\n}\n>>>>>>> theirs at /\n"));
    assert_eq!(whole.read("# nothing\n\n").unwrap(), None);
    assert_eq!(read(&whole, "{\"a\": 2}"), json!({"a": 2}));
    // Where only a field is in conflict, nothing at all is a mistake.
    assert!(marked_art.read("").is_err());
}

#[test]
fn a_base_in_conflict_has_no_lines() {
    let base = merged(json!({"a": 1}), json!({"a": 0}), json!({"a": 2}));
    let doc = |json: Json| Document::from_json(json.to_string().as_bytes()).unwrap().into_value();
    let terms = Terms::three(Some(doc(json!({"a": 1}))), Some(base), Some(doc(json!({"a": 2}))));
    let options = MergeOptions::default();
    let document = merge_values(&terms, &options, &RepoPath::root()).unwrap().value.unwrap();
    let names = SideNames { ours: Some("main".into()), theirs: None };
    let marked = Marked::new(&document, None, &names);
    assert_eq!(
        body(&marked),
        "{\n<<<<<<< ours (main) at /a\n  \"a\": 1\n=======\n  \"a\": 2\n>>>>>>> theirs at /a\n}\n"
    );
    assert_eq!(marked.read(marked.text()).unwrap().unwrap().value(), &document);
}

#[test]
fn under_a_schema_it_is_plain_json() {
    let text = "schema: t/1\nfields:\n  /names: {type: localized}\n  \
                /cast: {type: keyed, keys: [id]}\n  /plot: {type: text}\n";
    let doc = |name: &str, role: &str, plot: &str| json!({"names": {"en": name, "fr": "F"}, "cast": [{"id": "p1", "role": role}], "plot": plot});
    let document =
        merged_by(Some(text), doc("A", "x", "one"), doc("B", "y", "two"), doc("C", "z", "three"));
    let schema = Schema::parse(text).unwrap();
    let marked = Marked::new(&document, Some(&schema), &SideNames::default());
    let body = body(&marked);
    assert!(!body.contains('$'), "{body}");
    let settled = |text: &str| schema.convert(marked.read(text).unwrap().unwrap().value());
    assert_eq!(settled(marked.text()), document);
    let typed = doc("C", "x", "two");
    assert_eq!(schema.to_plain(&settled(&typed.to_string())), typed);
    assert!(matches!(
        settled(&typed.to_string()).get(&"/names".parse().unwrap()),
        Some(Value::Localized(_))
    ));
    // An order in conflict is a member of its list, so the list has its tag.
    let list = |order: [&str; 3]| {
        let items: Vec<Json> = order.iter().map(|id| json!({ "id": id, "role": "r" })).collect();
        json!({ "cast": items })
    };
    let document =
        merged_by(Some(text), list(["b", "a", "c"]), list(["a", "b", "c"]), list(["a", "c", "b"]));
    let marked = Marked::new(&document, Some(&schema), &SideNames::default());
    assert!(marked.text().contains("$kl"), "{}", marked.text());
    assert_eq!(schema.convert(marked.read(marked.text()).unwrap().unwrap().value()), document);
}

#[test]
fn an_edition_and_its_parent_are_called_so() {
    let names = SideNames { ours: Some("main".into()), theirs: Some("de".into()) };
    assert_eq!(names.labels(Some(ConflictKind::EditEdit)), ["ours (main)", "base", "theirs (de)"]);
    assert_eq!(
        names.labels(Some(ConflictKind::Shadow)),
        ["ours (the edition)", "base (its parent before)", "theirs (its parent)"]
    );
}

/// The lines of a side hold all keys, in the order that taking the side gives; and what is left out of an order that
/// is typed stands as the items do, which stand as ours has them.
#[test]
fn the_rest_of_an_order_stands_as_resolve_has_it() {
    let list = |keys: &str| {
        let items: Vec<Json> = keys.chars().map(|key| json!({ "id": key.to_string() })).collect();
        json!({ "l": { "$kl": { "keys": ["id"], "items": items } } })
    };
    let document = merged(list("bacyx"), list("abc"), list("acbwv"));
    let marked = marked(&document);
    let lines: Vec<&str> = marked.text().lines().filter(|line| !line.starts_with('#')).collect();
    let is_mark = |line: &&str| {
        ["<<<<<<<", "|||||||", "=======", ">>>>>>>"].contains(&&line[..7.min(line.len())])
    };
    let marks: Vec<usize> = (0..lines.len()).filter(|at| is_mark(&lines[*at])).collect();
    let with =
        |order: &[&str]| [&lines[..marks[0]], order, &lines[marks[3] + 1..]].concat().join("\n");
    let side = |at: usize| with(&lines[marks[at] + 1..marks[at + 1]]);
    for (at, choice) in [Choice::Ours, Choice::Base, Choice::Theirs].into_iter().enumerate() {
        let taken = resolve_value(&document, &"/l/$order".parse().unwrap(), &choice).unwrap();
        assert_eq!(read(&marked, &side(at)), value_to_json(&taken), "{choice:?}");
    }
    assert_eq!(read(&marked, &with(&["\"order\": [\"c\"]"])), list("cbayxwv"));
}
