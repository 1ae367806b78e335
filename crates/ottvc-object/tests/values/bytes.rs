//! Canonical bytes: frozen, one spelling, refused when hostile.

use ottvc_object::codec::{self, Object, Storable};
use ottvc_object::conflict::{Conflict, Term, Terms};
use ottvc_object::value::{
    Document, Key, KeyedList, MAX_DEPTH, MAX_VALUES, Value, ValueMap, ValueSet, value_to_json,
};
use ottvc_object::{Entry, ObjectError};

use super::{conflict_over, decoded, json, v};

/// The frozen bytes of each kind: what one release wrote, every later one reads and writes.
#[test]
fn golden_bytes_stay() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/golden-values.json");
    let golden: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let mut kinds = std::collections::BTreeSet::new();
    for case in golden.as_array().unwrap() {
        let text = case["document"].to_string();
        let document = json(&text).unwrap();
        let object = document.to_object().unwrap();
        let hex: String = object.bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, case["bytes"].as_str().unwrap(), "{text}");
        assert_eq!(object.id().to_string(), case["id"].as_str().unwrap(), "{text}");
        assert_eq!(Document::from_object(&object).unwrap(), document, "{text}");
        let Value::Map(map) = document.value() else { panic!("{text}") };
        kinds.extend(map.values().map(Value::kind_number));
    }
    assert!(kinds.into_iter().eq(0..14), "every kind has golden bytes");
}

#[test]
fn empty_values_of_different_kinds_differ() {
    let empty = [
        Value::Null,
        Value::Bool(false),
        Value::Int(0),
        Value::from(""),
        Value::text(""),
        Value::Array(vec![]),
        Value::Set(ValueSet::default()),
        Value::Map(ValueMap::new()),
        Value::Localized(ValueMap::new()),
        Value::Keyed(KeyedList::empty(vec!["id".into()]).unwrap()),
    ];
    for (at, a) in empty.iter().enumerate() {
        for (other, b) in empty.iter().enumerate() {
            assert_eq!(a == b, at == other, "{a:?} and {b:?}");
        }
    }
}

#[test]
fn documents_keep_their_limits() {
    let nested = |levels: usize| {
        let mut value = Value::Int(1);
        for _ in 1..levels {
            value = Value::map([("a", value)]);
        }
        value
    };
    let deepest = Document::new(nested(MAX_DEPTH)).unwrap();
    assert_eq!(Document::from_object(&deepest.to_object().unwrap()).unwrap(), deepest);
    assert_eq!(json(&deepest.to_json_pretty()).unwrap(), deepest);
    assert!(Document::new(nested(MAX_DEPTH + 1)).is_err());
    let too_deep = nested(MAX_DEPTH + 1);
    assert!(decoded(&too_deep).unwrap_err().to_string().contains("too deep"));
    assert!(json(&value_to_json(&too_deep).to_string()).is_err());

    assert!(Document::new(Value::map([("k".repeat(255), Value::Null)])).is_ok());
    assert!(Document::new(Value::map([("k".repeat(256), Value::Null)])).is_err());
    let many = |count| Value::map([("a", Value::Array(vec![Value::Null; count]))]);
    let most = Document::new(many(MAX_VALUES - 2)).unwrap();
    assert_eq!(Document::from_object(&most.to_object().unwrap()).unwrap(), most);
    assert!(Document::new(many(MAX_VALUES - 1)).is_err());
    let long = Document::new(Value::map([("a", Value::text("x".repeat(16 << 20)))])).unwrap();
    assert!(matches!(long.to_object(), Err(ObjectError::TooLarge { .. })));
}

#[test]
fn hostile_nesting_is_refused_on_a_small_stack() {
    let hostile = || {
        for kind in [8_u8, 9, 10, 11, 12, 13] {
            // Each kind byte, then what makes one element of the same kind, over and over.
            let unit: &[u8] = match kind {
                10 => &[10, 1, 1, b'k', 1],
                11 | 12 => &[kind, 1, 1, b'k'],
                13 => &[13, 0, 0, 0, 1, 1],
                _ => &[kind, 1],
            };
            let bytes = unit.repeat(1 << 20);
            assert!(codec::decode_body::<Value>(&bytes, "value").is_err(), "kind {kind}");
        }
        let contested = [0_u8, 0, 0, 1, 2].repeat(1 << 20);
        assert!(codec::decode_body::<Conflict<Value>>(&contested, "conflict").is_err());
        type Between = Conflict<Entry>;
        assert!(codec::decode_body::<Between>(&contested, "conflict").is_err());
        for open in ["[", "{\"a\":", "{\"$set\":[", "{\"$conflict\":{\"terms\":["] {
            assert!(Document::from_json(open.repeat(1 << 18).as_bytes()).is_err());
        }
        // An error leaves no level behind.
        assert_eq!(decoded(&v("[[1]]")).unwrap(), v("[[1]]"));
    };
    std::thread::Builder::new().stack_size(512 << 10).spawn(hostile).unwrap().join().unwrap();
}

#[test]
fn other_spellings_of_bytes_are_refused() {
    let refused =
        |bytes: &[u8]| codec::decode_body::<Value>(bytes, "value").unwrap_err().to_string();
    assert!(refused(&[9, 2, 2, 4, 2, 2]).contains("out of order"));
    assert!(refused(&[9, 2, 2, 2, 2, 2]).contains("out of order"));
    assert!(refused(&[9, 1, 8, 0]).contains("only scalars"));
    assert!(refused(&[11, 2, 1, b'b', 0, 1, b'a', 0]).contains("out of order"));
    assert!(refused(&[11, 2, 1, b'a', 0, 1, b'a', 0]).contains("out of order"));
    // An int in three bytes where one will do; a decimal that is whole; an unknown kind.
    assert!(refused(&[2, 251, 2, 0]).contains("canonical"));
    assert!(refused(&[3, 2, 0]).contains("one form"));
    assert!(refused(&[3, 20, 1]).contains("one form"));
    assert!(refused(&[14]).contains("unknown kind"));
    assert!(refused(&[8, 253, 255, 255, 255, 255, 255, 255, 255, 255]).contains("malformed"));
}

/// Settling a conflict, or merging over it, must leave what may stand in its place.
#[test]
fn conflicts_are_among_what_may_stand_in_their_place() {
    let over = |value: Value| Value::Conflict(Box::new(conflict_over(Term::Value(value))));
    let nested = |value: Value| {
        let inner = Box::new(conflict_over(Term::Value(value)));
        Value::Conflict(Box::new(conflict_over(Term::Contested(inner))))
    };
    let film = || Value::map([("id", Value::Int(1))]);
    for conflict in [over, nested] {
        assert!(Document::new(conflict(film())).is_ok());
        assert!(Document::new(conflict("no map".into())).is_err());

        let title = |value| Value::localized([("en", conflict(value))]);
        assert!(title("Dune".into()).is_ok() && title(Value::text("Dune")).is_ok());
        assert!(title(Value::Int(1)).is_err());

        let mut list = KeyedList::empty(vec!["id".into()]).unwrap();
        let key = Key::new(vec![Value::Int(1)]).unwrap();
        assert!(list.put(key.clone(), conflict(film())).is_ok());
        assert!(list.put(key.clone(), conflict(Value::map([("id", Value::Int(2))]))).is_err());
        assert!(list.put(key, conflict("no item".into())).is_err());
    }
    // The same from bytes: a conflict over a document whose one side is null.
    let bytes = [1, 1, 13, 0, 0, 0, 1, 1, 0];
    assert!(Document::from_object(&Object::from_bytes(&bytes[..]).unwrap()).is_err());
}

/// A contested base is the same whichever way its own sides were named.
#[test]
fn contested_terms_count_by_their_identity() {
    let sides = |a: &str, b: &str| Conflict {
        terms: Terms::three(Term::Value(a.into()), Term::Absent, Term::Value(b.into())),
        ..conflict_over(Term::Absent)
    };
    let over = |base| Conflict {
        terms: Terms::three(
            Term::Value("ours".into()),
            Term::Contested(Box::new(base)),
            Term::Value("theirs".into()),
        ),
        ..conflict_over(Term::Absent)
    };
    assert_eq!(over(sides("1", "2")).core_id(), over(sides("2", "1")).core_id());
    assert_ne!(over(sides("1", "2")).core_id(), over(sides("1", "3")).core_id());
    assert_ne!(sides("1", "2").core_id(), sides("1", "1").core_id());
}
