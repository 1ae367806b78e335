//! Field paths, and reading, setting and comparing by them.

use ottvc_object::ContentId;
use ottvc_object::codec::{decode_body, encode_body};
use ottvc_object::field_path::{FieldPath, Segment};
use ottvc_object::value::{AssetRef, Value, diff};

use super::{json, path, v};

#[test]
fn fields_are_read_and_set_by_path() {
    let mut value = json("{}").unwrap().into_value();
    let mut set = |at: &str, new: Option<Value>| value.set(&path(at), new);
    set("/titles/@fr-fr", Some("Dune".into())).unwrap();
    set("genres/{drama}", Some(Value::Bool(true))).unwrap();
    set("/genres/{3}", Some(Value::Int(3))).unwrap();
    set("/cast/[person=p1,function=actor]/character", Some("A".into())).unwrap();
    set("/cast/[person=p2,function=actor]", Some(Value::map([("billing", Value::Int(2))])))
        .unwrap();
    set("/a/b/c", Some(Value::Null)).unwrap();
    set("/x/y/z", None).unwrap();
    let text = "{\"a\": {\"b\": {\"c\": null}},
        \"cast\": {\"$kl\": {\"keys\": [\"person\", \"function\"], \"items\": [
            {\"person\": \"p1\", \"function\": \"actor\", \"character\": \"A\"},
            {\"person\": \"p2\", \"function\": \"actor\", \"billing\": 2}]}},
        \"genres\": {\"$set\": [\"drama\", 3]}, \"titles\": {\"$loc\": {\"fr-FR\": \"Dune\"}}}";
    assert_eq!(&value, json(text).unwrap().value());

    assert_eq!(value.get(&path("/cast/[function=actor,person=p1]/character")), Some(&"A".into()));
    assert_eq!(value.get(&path("/genres/{3}")), Some(&Value::Int(3)));
    assert_eq!(value.get(&path("/genres/{\"3\"}")), None);
    assert_eq!(value.get(&path("/titles/fr-FR")), None);

    let order = v("[[\"p2\", \"actor\"], [\"p1\", \"actor\"]]");
    value.set(&path("/cast/$order"), Some(order)).unwrap();
    value.set(&path("/cast/[person=p2,function=actor]"), None).unwrap();
    value.set(&path("/genres/{drama}"), None).unwrap();
    let before = value.clone();
    for (at, new, why) in [
        ("/a/b/c/d", Some(Value::Null), "bad value at /a/b/c: null has no step `d`"),
        ("/titles/@de", Some(Value::Int(1)), "under a language tag"),
        ("/titles/@de/x", Some(Value::Null), "has no fields"),
        ("/genres/{a}", Some(Value::from("b")), "there (`true`) or not"),
        ("/cast/[person=p1]", None, "named by person, function"),
        ("/cast/[person=p1,function=actor]/person", Some("p9".into()), "cannot be changed"),
        ("/cast/[person=p1,function=actor]", Some(Value::Null), "cannot be an item"),
        ("/cast/$order", Some(Value::Array(vec![])), "each key of the list once"),
        ("/cast/$order", None, "cannot be removed"),
        ("/new/#0", Some(Value::Null), "bad value at /new"),
        ("/new/deep/{x}/y", Some(Value::Null), "a set has no step"),
        ("/", None, "cannot be removed"),
    ] {
        let error = value.set(&path(at), new).unwrap_err().to_string();
        assert!(error.contains(why), "{at}: {error}");
        assert_eq!(value, before, "{at} left something behind");
    }
}

#[test]
fn paths_are_written_as_people_type_them() {
    for text in [
        "/",
        "/titles/@fr-FR",
        "/cast/[person=p1,function=actor]/character",
        "/genres/{drama}",
        "/genres/{3}",
        "/genres/{\"3\"}",
        "/genres/{$text:a b}",
        "/logos/#3",
        "/rail/$order",
        "/\\$order",
        "/a\\/b/c=d@e#f",
        "/\"\"/\\\"\"",
        "/tab\\u{9}",
    ] {
        assert_eq!(path(text).to_string(), text);
    }
    assert_eq!(path("titles/en"), path("/titles/en"));
    assert_eq!(path(""), FieldPath::root());
    for bad in [
        "//",
        "/a/",
        "/a//b",
        "/[k]",
        "/[k=1",
        "/[k=]",
        "/[k=1,k=2]",
        "/{a",
        "/{}",
        "/{a,b}",
        "/{a}b",
        "/#x",
        "/#-1",
        "/#01",
        "/$x",
        "/@",
        "/a\\",
        "/a\\b",
        "/\"a",
        "/[k=null]",
        "/{$foo:1}",
    ] {
        let error = bad.parse::<FieldPath>().unwrap_err();
        assert_eq!(error.code(), "document.bad_field", "{bad}");
    }
    assert!("/a".repeat(65).parse::<FieldPath>().is_err());
}

#[test]
fn differences_are_small() {
    let old = json(
        "{\"t\": {\"$loc\": {\"en\": \"A\"}}, \"g\": {\"$set\": [\"a\", \"b\"]}, \"n\": [1, 2],
          \"c\": {\"$kl\": {\"keys\": [\"k\"], \"items\": [{\"k\": 1}, {\"k\": 2}]}}, \"s\": \"x\"}",
    );
    let new = json(
        "{\"t\": {\"$loc\": {\"en\": \"B\"}}, \"g\": {\"$set\": [\"b\", \"c\"]}, \"n\": [1, 3],
          \"c\": {\"$kl\": {\"keys\": [\"k\"], \"items\": [{\"k\": 2}, {\"k\": 1, \"x\": 1}]}},
          \"s\": {\"$text\": \"x\"}}",
    );
    let (old, new) = (old.unwrap(), new.unwrap());
    let fields: Vec<String> = diff(Some(old.value()), Some(new.value()))
        .into_iter()
        .map(|change| change.field.to_string())
        .collect();
    let expected = ["/c/[k=1]/x", "/c/$order", "/g/{a}", "/g/{c}", "/n", "/s", "/t/@en"];
    assert_eq!(fields, expected);
    let whole = diff(None, Some(old.value()));
    assert_eq!((whole.len(), whole[0].field.is_root()), (1, true));
    assert!(diff(None, None).is_empty());
}

/// Bytes say no path that its text could not.
#[test]
fn paths_from_bytes_keep_the_rules_of_text() {
    let refused = |segment| {
        let bytes = encode_body(&FieldPath(vec![segment])).unwrap();
        decode_body::<FieldPath>(&bytes, "field path").unwrap_err().to_string()
    };
    let twice = ["id", "id"].map(|field| (field.to_owned(), Value::Int(1)));
    assert!(refused(Segment::Item(twice.to_vec())).contains("a key field twice"));
    let asset =
        AssetRef { digest: ContentId::of(b""), media_type: "no:type".into(), size: 0, role: None };
    assert!(refused(Segment::Element(Value::Asset(asset))).contains("media type"));
}
