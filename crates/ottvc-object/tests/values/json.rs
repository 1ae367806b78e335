//! The JSON projection: what it says for each kind, and how it refuses.

use ottvc_object::ObjectError;
use ottvc_object::codec::Storable;
use ottvc_object::conflict::Term;
use ottvc_object::value::{
    Document, KeyedList, MAX_CONFLICT_DEPTH, MAX_DEPTH, Value, ValueMap, value_to_json,
};

use super::{conflict_over, decoded, json, refusal, v};

#[test]
fn numbers_have_one_form() {
    for (text, same) in
        [("1.0", "1"), ("1e2", "100"), ("-0", "0"), ("0.10", "1e-1"), ("1E+3", "1000")]
    {
        assert_eq!(v(text), v(same), "{text} and {same}");
    }
    assert_eq!(v("9223372036854775807"), Value::Int(i64::MAX));
    assert_eq!(v("-9223372036854775808.000"), Value::Int(i64::MIN));
    assert_eq!(v("0e999999999999999999999"), Value::Int(0));
    assert_eq!(v("9223372036854775808").kind_word(), "decimal");
    assert_eq!(v("2.50").to_owned(), Value::decimal(25, -1).unwrap());
    assert_eq!(Value::decimal(250, -1).unwrap(), Value::Int(25));
    assert_eq!(v("{\"$dec\": \"1.0\"}"), Value::Int(1));
}

#[test]
fn numbers_past_their_limits_are_refused() {
    let most = "1234567890123456789012345678901234";
    assert_eq!(v(&format!("0.{most}")).kind_word(), "decimal");
    assert_eq!(v(&format!("{most}00000.00")).kind_word(), "decimal");
    for bad in [&format!("{most}5"), "1e6145", "1e-6177", "1e99999999999999999999"] {
        assert!(refusal(&format!("{{\"n\": {bad}}}")).contains("/n"), "{bad}");
        assert!(Value::number(bad).is_err(), "{bad}");
    }
    assert_eq!(v("1e6144").kind_word(), "decimal");
    assert_eq!(v("1e-6176").kind_word(), "decimal");
    for bad in ["", "-", "+1", "01", ".5", "1.", "1e", "1e+", "NaN", "Infinity", "0x1", "1 "] {
        assert!(Value::number(bad).is_err(), "{bad}");
    }
}

#[test]
fn decimals_are_written_briefly() {
    for text in ["0.5", "-23.976", "1e-400", "-1.25e400", "100000000000000000000", "0.00000015"] {
        assert_eq!(
            value_to_json(&Value::number(text).unwrap())
                .to_string()
                .replace("{\"$dec\":\"", "")
                .replace("\"}", ""),
            text
        );
    }
    assert_eq!(value_to_json(&v("0.123456789012345")).to_string(), "0.123456789012345");
    assert_eq!(
        value_to_json(&v("0.1234567890123456")).to_string(),
        "{\"$dec\":\"0.1234567890123456\"}"
    );
}

#[test]
fn timestamps_have_one_spelling() {
    let stamp = v("{\"$ts\": \"2024-02-29T12:00:00.500000000+02:00\"}");
    assert_eq!(value_to_json(&stamp).to_string(), "{\"$ts\":\"2024-02-29T10:00:00.5Z\"}");
    let early = v("{\"$ts\": \"1969-12-31T23:59:59.999999999Z\"}");
    assert_eq!(decoded(&early).unwrap(), early);
    assert_eq!(value_to_json(&early).to_string(), "{\"$ts\":\"1969-12-31T23:59:59.999999999Z\"}");
    assert!(refusal("{\"t\": {\"$ts\": \"2024-02-30T00:00:00Z\"}}").contains("2024-02-30"));
    assert!(refusal("{\"t\": {\"$ts\": \"2024-02-29\"}}").contains("no timestamp"));
}

#[test]
fn containers_refuse_what_breaks_their_promise() {
    for (text, why) in [
        ("{\"$set\": [1, 1.0]}", "an element comes twice"),
        ("{\"$set\": [[1]]}", "a set cannot hold an array"),
        ("{\"$loc\": {\"en\": 1}}", "an int cannot stand under a language tag"),
        ("{\"$loc\": {\"english!\": \"x\"}}", "no BCP 47 language tag"),
        ("{\"$loc\": {\"en-US\": \"x\", \"en-us\": \"y\"}}", "comes twice"),
        ("{\"$kl\": {\"keys\": [\"k\"], \"items\": [{\"k\": 1}, {\"k\": 1.0}]}}", "two items"),
        ("{\"$kl\": {\"keys\": [\"k\"], \"items\": [{\"j\": 1}]}}", "lacks the key field `k`"),
        ("{\"$kl\": {\"keys\": [\"k\"], \"items\": [{\"k\": []}]}}", "cannot be part of a key"),
        ("{\"$kl\": {\"keys\": [\"k\"], \"items\": [1]}}", "cannot be an item"),
        ("{\"$kl\": {\"keys\": [], \"items\": []}}", "1 to 16 different key fields"),
        ("{\"$kl\": {\"keys\": [\"k\"]}}", "lacks `items`"),
        ("{\"$kl\": {\"keys\": [\"k\"], \"items\": [], \"x\": 1}}", "no member `x`"),
        ("{\"$asset\": {\"digest\": \"00\", \"media_type\": \"a/b\", \"size\": 1}}", "64 hex"),
        ("{\"$text\": 1}", "`$text` holds a string"),
        ("{\"$text\": \"a\", \"b\": 1}", "only key"),
        ("{\"$foo\": 1}", "`$$foo`"),
        ("{\"$x\": 1, \"$$x\": 2}", "`$$x`"),
        ("{\"$id\": 1, \"$$id\": 2}", "the key `$id` comes twice"),
    ] {
        let refusal = refusal(&format!("{{\"v\": {text}}}"));
        assert!(refusal.contains(why), "{text}: {refusal}");
        assert!(refusal.contains("bad value at /v"), "{text}: {refusal}");
    }
}

#[test]
fn bad_json_names_its_place() {
    for (text, place, word) in [
        ("{\n  \"a\": 1,\n  \"a\": 2\n}", (3, 5), "the key `a` comes twice"),
        ("{\"a\": }", (1, 7), "expected value"),
        ("", (1, 0), "EOF"),
        ("{} x", (1, 4), "trailing characters"),
    ] {
        match json(text) {
            Err(ObjectError::BadJson { line, column, why }) => {
                assert_eq!((line, column), place, "{text}: {why}");
                assert!(why.contains(word) && !why.contains(" at line"), "{text}: {why}");
            }
            other => panic!("{text}: {other:?}"),
        }
    }
    assert!(Document::from_json(b"{\"a\": \"\xff\"}").is_err());
    assert!(Document::from_json(b"\xef\xbb\xbf{}").is_ok());
    assert!(refusal("[]").contains("a document is a map, this is an array"));
}

#[test]
fn keys_with_a_dollar_are_doubled() {
    let document = json("{\"$$ref\": 1, \"$id\": \"x\", \"$$$y\": 2, \"$schema\": \"s\"}").unwrap();
    let Value::Map(map) = document.value() else { panic!() };
    assert_eq!(map.keys().collect::<Vec<_>>(), ["$$y", "$id", "$ref", "$schema"]);
    assert_eq!(
        document.to_json_pretty(),
        "{\n  \"$$$y\": 2,\n  \"$$ref\": 1,\n  \"$id\": \"x\",\n  \"$schema\": \"s\"\n}\n"
    );
}

/// Lists of maps of lists, the deepest JSON a document within its limits has.
#[test]
fn the_deepest_lists_and_conflicts_survive_json() {
    let mut value = Value::map([("k", Value::Int(1))]);
    for level in 0..(MAX_DEPTH - 3) / 2 {
        let list = KeyedList::new(
            vec!["k".into()],
            [ValueMap::from([("k".into(), Value::Int(1)), ("v".into(), value)])],
        );
        value = Value::Keyed(list.unwrap());
        if level < MAX_CONFLICT_DEPTH {
            value = Value::Conflict(Box::new(conflict_over(Term::Value(value))));
        }
    }
    let document = Document::new(Value::map([("v", value)])).unwrap();
    assert_eq!(json(&document.to_json_pretty()).unwrap(), document);
    assert_eq!(Document::from_object(&document.to_object().unwrap()).unwrap(), document);
}

#[test]
fn a_conflict_edited_by_hand_is_refused() {
    let conflict = conflict_over(Term::Value(Value::from("x")));
    let document = Document::new(Value::map([("t", Value::Conflict(Box::new(conflict)))])).unwrap();
    let text = document.to_json_pretty();
    assert!(refusal(&text.replace("\"x\"", "\"y\"")).contains("changed by hand"));
    assert!(refusal(&text.replace("side 1", "theirs")).contains("not in their places"));
    assert!(refusal(&text.replace("edit_edit", "quarrel")).contains("no kind of conflict"));
}
