//! Documents that are hard to write: whatever was kept aside or edited, what is written is XML that is read
//! again, the rest is named, and none takes the square of its parts.
#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::collections::BTreeMap;

use ottvc_import::{
    MAX_ATTRIBUTES, MAX_DEPTH, MAX_NAME, MAX_STEPS, Mapping, built_in, read, write,
};
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

#[test]
fn only_names_that_xml_takes_are_written() {
    let dc = built_in("dc").unwrap();
    let text = || Value::String("v".to_owned());
    let long = "n".repeat(MAX_NAME + 1);
    let bad = [
        "µ",
        "dc:x²",
        "²",
        "1a",
        "-a",
        "a b",
        "ª",
        "a:b:c",
        ":a",
        "xmlns",
        "other:a",
        "×",
        "a÷",
        "{}a",
        "{http://www.w3.org/XML/1998/namespace}a",
        "{http://www.w3.org/2000/xmlns/}a",
        &long,
    ];
    let good = ["a", "dc:é", "_1.-·", "{urn:x}a", "名", "xml:a", "ns"];
    let names = bad.iter().chain(&good).map(|name| ((*name).to_owned(), text()));
    let names: BTreeMap<String, Value> = names.collect();
    let attributes = names.iter().map(|(name, value)| (format!("@{name}"), value.clone()));
    let element = Value::map(attributes.chain([("#text".to_owned(), text())]));
    let kept = Value::map(names.into_iter().chain([("holder".to_owned(), element)]));
    let written = write(&document(vec![("/custom/dc", kept)]), &dc).unwrap();
    let custom = FieldPath::root().key("custom").key("dc");
    let mut unsaid: Vec<FieldPath> = bad.iter().map(|name| custom.key(*name)).collect();
    let holder = custom.key("holder");
    unsaid.extend(bad.iter().map(|name| holder.key(format!("@{name}"))));
    unsaid.sort();
    let mut found = written.unsaid;
    found.sort();
    assert_eq!(found, unsaid, "{}", written.text);
    assert_eq!(written.text.matches(">v<").count(), good.len() + 1, "{}", written.text);

    // Where names without a prefix are of a namespace, one that begins with a colon still is none.
    let kept = Value::map([(":a", text()), ("a", text())]);
    let pbcore = built_in("pbcore").unwrap();
    let written = write(&document(vec![("/custom/pbcore", kept)]), &pbcore).unwrap();
    assert_eq!(written.unsaid, [FieldPath::root().key("custom").key("pbcore").key(":a")]);

    // What an earlier mapping had no prefix for is written once.
    let both =
        [("@{http://purl.org/dc/terms/}a", text()), ("@dcterms:a", text()), ("#text", text())];
    let kept = Value::map([("a", Value::map(both))]);
    let written = write(&document(vec![("/custom/dc", kept)]), &dc).unwrap();
    assert_eq!(written.text.matches("dcterms:a=").count(), 1, "{}", written.text);
    assert_eq!(written.unsaid.len(), 1);
}

#[test]
fn what_is_past_the_limits_of_reading_is_left_out_and_named() {
    let dc = built_in("dc").unwrap();
    let text = || Value::String("v".to_owned());
    let attributes = |space: &str, count: usize| {
        Value::map((0..count).map(|number| (format!("@{space}a{number:04}"), text())))
    };
    let deep = (0..MAX_DEPTH + 5).fold(text(), |inner, _| Value::map([("d".to_owned(), inner)]));
    let spaces = (0..3).fold(attributes("{urn:x}", 100), |inner, _| {
        let Value::Map(mut map) = attributes("{urn:y}", 100) else { unreachable!() };
        map.insert("s".to_owned(), inner);
        Value::Map(map)
    });
    let document = document(vec![
        ("/custom/dc/many", attributes("", MAX_ATTRIBUTES + 44)),
        ("/custom/dc/deep", deep),
        ("/custom/dc/spaces", spaces),
    ]);
    let written = write(&document, &dc).unwrap();
    let lost = |below: &str| {
        let unsaid = written.unsaid.iter().map(ToString::to_string);
        unsaid.filter(|field| field.starts_with(below)).count()
    };
    assert_eq!(lost("/custom/dc/many"), 44);
    assert_eq!(lost("/custom/dc/deep"), 1);
    // Of 256 namespaces around an element, the root declares the five of the mapping. The third element has room
    // for 51 of its hundred, the fourth for none, and is another value.
    assert_eq!(lost("/custom/dc/spaces"), 50);
    // Those of the root are counted with those the mapping writes there.
    let root = attributes("", MAX_ATTRIBUTES + 44);
    let written = write(&self::document(vec![("/custom/dc", root)]), &dc).unwrap();
    assert!((44..60).contains(&written.unsaid.len()), "{}", written.unsaid.len());
}
