//! Documents that are hard to write: none takes the square of its parts.
#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::collections::BTreeMap;

use ottvc_import::{MAX_STEPS, Mapping, built_in, read, write};
use ottvc_object::field_path::FieldPath;
use ottvc_object::value::Value;

fn document(fields: Vec<(&str, Value)>) -> Value {
    let mut document = Value::Map(BTreeMap::new());
    for (field, value) in fields {
        document.set(&field.parse::<FieldPath>().unwrap(), Some(value)).unwrap();
    }
    document
}

fn numbered(word: &str, count: u32) -> Vec<Value> {
    (0..count).map(|number| Value::String(format!("{word}{number}"))).collect()
}

#[test]
fn children_of_thousands_of_names_are_written_in_their_order() {
    // So many that looking for each in the list of all does not end within the time of a test.
    let names: Vec<String> =
        (0..120_000_u32).map(|number| format!("n{}", number * 7919 % 120_000)).collect();
    let children: String = names.iter().map(|name| format!("<{name}>x</{name}>")).collect();
    let delivery = read(format!("<dc>{children}</dc>").as_bytes(), None).unwrap().remove(0);
    let written = write(&delivery.document, &built_in("dc").unwrap()).unwrap();
    assert_eq!(written.unsaid, []);
    let found: Vec<&str> =
        written.text.lines().filter_map(|line| line.strip_prefix("  <")).collect();
    let found: Vec<&str> = found.iter().filter_map(|line| Some(line.split_once('>')?.0)).collect();
    assert_eq!(found, names);
}

#[test]
fn remainders_find_their_like_without_a_look_at_all() {
    let dc = built_in("dc").unwrap();
    let both = |kept: &str, count: u32| {
        let keywords = Value::set_of(numbered("keyword ", count)).unwrap();
        let kept = Value::Array(numbered(kept, count));
        document(vec![("/keywords", keywords), ("/custom/dc/dc:subject", kept)])
    };
    let subjects = |kept: &str| {
        let written = write(&both(kept, 20_000), &dc).unwrap();
        written.text.matches("<dc:subject>").count()
    };
    assert_eq!(subjects("other "), 40_000);
    // Each is put back into the one that says the same.
    assert_eq!(subjects("keyword "), 20_000);
}

#[test]
fn what_each_part_compares_with_all_others_is_not_written() {
    let mapping = r#"{
        "mapping": "x/1", "format": "x", "syntax": "xml", "root": ["x"],
        "rules": [{"from": "a/@id", "to": "/keywords", "holds": "set"}]
    }"#;
    let mapping = Mapping::parse(mapping).unwrap();
    let ids = |count: u32| {
        let other = |id| Value::map([("@id".to_owned(), id)]);
        let kept = numbered("other ", count).into_iter().map(other).collect();
        let keywords = Value::set_of(numbered("", count)).unwrap();
        document(vec![("/keywords", keywords), ("/custom/x/a", Value::Array(kept))])
    };
    let some = write(&ids(200), &mapping).unwrap();
    assert_eq!(some.text.matches("<a id=").count(), 400);
    let error = write(&ids(5000), &mapping).unwrap_err();
    assert_eq!(error.code(), "import.too_large");
    let expected = format!("too many steps of its mapping: {MAX_STEPS} is the most");
    assert_eq!(error.to_string(), expected);

    // A language is looked for among all languages that were written.
    let mapping = r#"{
        "mapping": "x/1", "format": "x", "syntax": "xml", "root": ["x"],
        "rules": [{"from": "a[@l=$locale]/b", "to": "/titles", "holds": "localized"}]
    }"#;
    let mapping = Mapping::parse(mapping).unwrap();
    let tag = |number: u32| (format!("de-x-t{number}"), Value::String("x".to_owned()));
    let titles = |count: u32| {
        let titles = Value::Localized((0..count).map(tag).collect());
        document(vec![("/titles", titles)])
    };
    assert_eq!(write(&titles(200), &mapping).unwrap().unsaid, []);
    let error = write(&titles(6000), &mapping).unwrap_err();
    assert_eq!(error.to_string(), expected);
}
