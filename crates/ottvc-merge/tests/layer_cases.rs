//! The layers of `fixtures/merge-cases.json`; `ottvc-repo` plays those that take a repository.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

use ottvc_merge::Schema;
use ottvc_merge::layers::{
    ApplyTo, Diverged, Layer, apply, changed_units, inherited, overlay, propagate, record,
};
use ottvc_object::field_path::FieldPath;
use ottvc_object::value::{Document, KeyedList, Value};
use ottvc_testkit::cases::{self, document, paths};
use serde_json::{Map, Value as Json, json};

/// The part of the file that is about layers.
fn file() -> Json {
    cases::file()["layers"].take()
}

fn schema(file: &Json) -> Schema {
    Schema::parse(&json!({ "schema": "cases/1", "fields": file["schema"] }).to_string()).unwrap()
}

fn words<'a>(outcomes: impl Iterator<Item = (&'a FieldPath, &'static str)>) -> Json {
    Json::Object(
        outcomes.map(|(path, word)| (path.to_string(), json!(word))).collect::<Map<_, _>>(),
    )
}

#[test]
fn every_propagation_is_as_the_table_says() {
    let file = file();
    let schema = schema(&file);
    let schema = Some(&schema);
    for case in cases::of(&file["propagate"]) {
        let name = cases::name(case);
        let [old, new, child] = ["old", "new", "child"].map(|key| document(&case[key]));
        let parent = inherited(schema, old.as_ref());
        let parent = parent.as_deref();
        let own = record(schema, None, parent, child.as_ref(), parent);
        // A field that was set: as if it had not been there before.
        let before = child.clone().map(|mut child| {
            paths(&case["set"]).iter().for_each(|path| child.set(path, None).unwrap());
            child
        });
        let own = record(schema, own.as_ref(), before.as_ref(), child.as_ref(), parent);
        assert_eq!(overlay(schema, parent, own.as_ref()), child, "case {name}");

        let moved = propagate(schema, old.as_ref(), new.as_ref(), own.as_ref());
        assert_eq!(moved.effective, document(&case["result"]), "case {name}");
        let told = moved.outcomes.iter().map(|it| (&it.unit.path, it.outcome.word()));
        assert_eq!(words(told), case["outcomes"], "case {name}");
        let disputed = moved.effective.as_ref().map(Value::conflicts).unwrap_or_default();
        let disputed: Vec<FieldPath> = disputed.into_iter().map(|(path, _)| path).collect();
        assert_eq!(disputed, paths(&case["conflicts"]), "case {name}");
    }
}

#[test]
fn every_push_is_as_the_table_says() {
    let file = file();
    let schema = schema(&file);
    for case in cases::of(&file["push"]) {
        let name = cases::name(case);
        let [before, after] = ["before", "after"].map(|key| document(&case[key]));
        let change = changed_units(Some(&schema), before.as_ref(), after.as_ref());
        let diverged = match case["diverged"].as_str() {
            None => Diverged::Keep,
            Some("conflict") => Diverged::Conflict,
            Some("force") => Diverged::Force,
            Some(other) => panic!("case {name}: {other}"),
        };
        for (place, target) in case["targets"].as_array().unwrap().iter().enumerate() {
            let name = format!("case {name}, target {place}");
            let document_there = document(&target["document"]);
            let to = ApplyTo {
                document: document_there.as_ref(),
                own: None,
                pinned: false,
                arrives: &[],
                diverged,
            };
            let applied = apply(&change, &to);
            assert_eq!(applied.document, document(&target["result"]), "{name}");
            let told = applied.units.iter().map(|it| (&it.unit.path, it.outcome.word()));
            assert_eq!(words(told), target["outcomes"], "{name}");
            if let Some(value) = applied.document {
                Document::new(value).unwrap();
            }
        }
    }
}

/// A target that inherits gets an override, and one that inherits from where the change arrives is left alone.
#[test]
fn a_push_over_what_is_inherited_is_told() {
    let title = |title: &str| Value::map([("title", Value::from(title))]);
    let (before, after) = (title("Dnue"), title("Dune"));
    let change = changed_units(None, Some(&before), Some(&after));
    let to = |arrives| ApplyTo {
        document: Some(&before),
        own: None,
        pinned: true,
        arrives,
        diverged: Diverged::Force,
    };
    let applied = apply(&change, &to(&[]));
    assert_eq!(applied.document.as_ref(), Some(&after));
    assert!(applied.units[0].pins_override);
    let applied = apply(&change, &to(&[true]));
    assert_eq!(applied.document.as_ref(), Some(&before));
    assert_eq!(applied.units[0].outcome.word(), "via_parent");
}

/// What is no layer is refused, whatever else it is; what is one reads back.
#[test]
fn only_layers_are_read_as_layers() {
    let one = |key: &str, value: Value| Value::map([(key, value)]);
    let suppress = || one("$suppress", Value::Bool(true));
    let list = |items: Vec<Value>| {
        let maps = items.into_iter().map(|item| match item {
            Value::Map(map) => map,
            other => panic!("{other:?}"),
        });
        Value::Keyed(KeyedList::new(vec!["id".into()], maps).unwrap())
    };
    let set = |element: &str| Value::set_of([Value::from(element)]).unwrap();
    let item = |key: &str, value: Value| Value::map([("id", Value::from("p")), (key, value)]);
    let good = [
        suppress(),
        one("$value", Value::map([("a", Value::Null)])),
        one("a", one("$$b", one("$value", Value::Int(1)))),
        one("a", one("$locales", one("en", suppress()))),
        one("a", Value::map([("$add", set("x")), ("$remove", set("y"))])),
        one("a", one("$items", list(vec![item("$suppress", Value::Bool(true))]))),
        one("a", one("$items", list(vec![item("name", one("$value", Value::Int(1)))]))),
    ];
    for value in good {
        let document = Document::new(value.clone()).unwrap();
        let layer = Layer::from_document(&document).unwrap();
        assert_eq!(layer.to_document().unwrap(), document);
        // Over whatever it was not made for, too.
        for parent in [None, Some(Value::map([("a", Value::Int(1))]))] {
            overlay(None, parent.as_ref(), Some(&layer));
        }
    }
    let bad = [
        Value::map::<&str>([]),
        one("a", Value::Int(1)),
        one("a", Value::map::<&str>([])),
        one("$b", suppress()),
        one("$suppress", Value::Bool(false)),
        Value::map([("$value", Value::Int(1)), ("a", suppress())]),
        Value::map([("$value", Value::Int(1)), ("$suppress", Value::Bool(true))]),
        one("a", one("$add", Value::set_of([]).unwrap())),
        one("a", Value::map([("$add", set("x")), ("$remove", set("x"))])),
        one("a", one("$locales", one("en", one("$value", Value::Int(1))))),
        one("a", one("$locales", one("en", one("b", suppress())))),
        one("a", one("$locales", one("no tag", one("$value", Value::from("x"))))),
        one("a", one("$items", list(vec![]))),
        one("a", one("$items", list(vec![item("$value", Value::Int(1))]))),
        one("a", one("$items", list(vec![item("$value", one("id", Value::from("q")))]))),
        one("a", one("$items", list(vec![item("$add", set("x"))]))),
        one("a", Value::map([("$items", list(vec![])), ("$order", Value::Int(1))])),
    ];
    for value in bad {
        let document = Document::new(value.clone()).unwrap();
        assert!(Layer::from_document(&document).is_err(), "{value:?}");
    }
}
