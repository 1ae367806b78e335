//! What holds for every value, path, difference and conflict.

use std::hash::{DefaultHasher, Hash, Hasher};

use ottvc_object::codec::{self, Object, Storable};
use ottvc_object::conflict::{Conflict, Term, Terms};
use ottvc_object::field_path::{FieldPath, Segment};
use ottvc_object::value::{Document, ListOrder, Value, diff, value_from_json, value_to_json};
use ottvc_testkit::values;
use proptest::prelude::*;

use super::{decoded, json};

fn hash(value: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

proptest! {
    /// What was written is read back, whatever the value.
    #[test]
    fn bytes_round_trip(value in values::value()) {
        prop_assert_eq!(decoded(&value).unwrap(), value);
    }

    /// The projection loses nothing, and is one text for one document.
    #[test]
    fn json_round_trips(document in values::document()) {
        let text = document.to_json_pretty();
        let back = Document::from_json(text.as_bytes()).unwrap();
        prop_assert_eq!(&back, &document);
        prop_assert_eq!(back.to_json_pretty(), text);
    }

    #[test]
    fn json_trees_round_trip(value in values::value()) {
        prop_assert_eq!(value_from_json(&value_to_json(&value)).unwrap(), value);
    }

    /// Equality, order and hashes all speak of the same bytes.
    #[test]
    fn comparison_is_by_canonical_bytes(a in values::value(), b in values::value()) {
        let (left, right) = (a.canonical_bytes(), b.canonical_bytes());
        prop_assert_eq!(a == b, left == right);
        prop_assert_eq!(a.cmp(&b), left.cmp(&right));
        prop_assert!(a != b || hash(&a) == hash(&b));
    }

    /// Keys are compared often, so strings and ints have a short way to the same order.
    #[test]
    fn scalars_have_the_order_of_their_bytes(
        a in any::<i64>(), b in any::<i64>(), shift in 0_u32..64, text in "[ab]{0,3}", n in 0_usize..300,
    ) {
        for (a, b) in [
            (Value::Int(a >> shift), Value::Int(b >> shift)),
            (Value::Int(a >> shift), Value::Int(b)),
            (Value::from(text.repeat(n)), Value::from("a".repeat(n))),
        ] {
            prop_assert_eq!(a.cmp(&b), a.canonical_bytes().cmp(&b.canonical_bytes()));
        }
    }

    #[test]
    fn paths_round_trip(path in values::field_path()) {
        let text = path.to_string();
        prop_assert_eq!(text.parse::<FieldPath>().unwrap(), path.clone(), "{}", text);
        let bytes = codec::encode_body(&path).unwrap();
        prop_assert_eq!(codec::decode_body::<FieldPath>(&bytes, "path").unwrap(), path);
    }

    /// A path may be any text: it is read or refused, and what is read is written the same.
    #[test]
    fn any_text_is_a_path_or_refused(text in "[a/@#$\\[\\]{}=,\"\\\\:1.u-]{0,12}") {
        if let Ok(path) = text.parse::<FieldPath>() {
            prop_assert_eq!(path.to_string().parse::<FieldPath>().unwrap(), path);
        }
    }

    /// A difference says all there is to say, and nothing where there is none.
    #[test]
    fn a_difference_applied_gives_the_new_value(
        old in values::document(),
        new in values::document(),
    ) {
        let mut value = old.value().clone();
        let changes = diff(Some(old.value()), Some(new.value()));
        prop_assert_eq!(changes.is_empty(), old == new);
        for change in changes {
            if change.field.0.last() != Some(&Segment::Order) {
                prop_assert_eq!(value.get(&change.field), change.old.as_ref());
            }
            value.set(&change.field, change.new).unwrap();
        }
        prop_assert_eq!(&value, new.value());
    }

    /// Damaged bytes are refused or are another canonical value; they never panic.
    #[test]
    fn damaged_bytes_never_panic(
        document in values::document(),
        at in any::<prop::sample::Index>(),
        flip in 1_u8..,
        cut in any::<prop::sample::Index>(),
    ) {
        let bytes = document.to_object().unwrap().bytes().to_vec();
        let mut flipped = bytes.clone();
        flipped[at.index(bytes.len())] ^= flip;
        if let Ok(object) = Object::from_bytes(flipped.clone())
            && let Ok(other) = Document::from_object(&object)
        {
            let again = other.to_object().unwrap();
            prop_assert_eq!(again.bytes(), &flipped[..]);
        }
        let short = bytes[..cut.index(bytes.len())].to_vec();
        if let Ok(object) = Object::from_bytes(short) {
            prop_assert!(Document::from_object(&object).is_err());
        }
    }

    #[test]
    fn any_bytes_decode_or_are_refused(bytes in prop::collection::vec(0_u8..16, 0..64)) {
        if let Ok(value) = codec::decode_body::<Value>(&bytes, "value") {
            prop_assert_eq!(value.canonical_bytes(), bytes);
        }
    }

    #[test]
    fn any_text_is_json_or_refused(text in "[\\[\\]{}\",:$a0-9.eE+-]{0,24}") {
        if let Ok(document) = json(&text) {
            prop_assert_eq!(json(&document.to_json_pretty()).unwrap(), document);
        }
    }

    /// Ours and theirs are labels: the identity of a conflict does not know them.
    #[test]
    fn identity_ignores_the_order_of_sides(conflict in values::conflict()) {
        let mut terms = conflict.terms.as_slice().to_vec();
        terms.reverse();
        let swapped = Conflict { terms: Terms::new(terms).unwrap(), ..conflict.clone() };
        prop_assert_eq!(swapped.core_id(), conflict.core_id());
    }

    #[test]
    fn identity_knows_everything_else(a in values::conflict(), b in values::conflict()) {
        let sorted = |conflict: &Conflict<Value>| {
            let digests = |terms: Vec<&Term<Value>>| {
                let mut bytes: Vec<Vec<u8>> =
                    terms.into_iter().map(|term| codec::encode_body(term).unwrap()).collect();
                bytes.sort();
                bytes
            };
            let terms = &conflict.terms;
            (digests(terms.adds().collect()), digests(terms.removes().collect()))
        };
        let head = |conflict: &Conflict<Value>| {
            (conflict.kind, conflict.path.clone(), conflict.policy.clone())
        };
        // Contested terms count by their own identity, so only plain ones are compared here.
        let plain = |conflict: &Conflict<Value>| {
            conflict.terms.as_slice().iter().all(|term| term.contested().is_none())
        };
        if plain(&a) && plain(&b) {
            let same = head(&a) == head(&b) && sorted(&a) == sorted(&b);
            prop_assert_eq!(a.core_id() == b.core_id(), same);
        }
    }

    /// Each conflict found stands where the walk says.
    #[test]
    fn conflicts_are_found_in_their_places(document in values::document()) {
        let found = document.value().conflicts();
        prop_assert_eq!(document.value().has_conflict(), !found.is_empty());
        for (at, conflict) in found {
            let place = document.value().get(&at);
            if at.0.last() == Some(&Segment::Order) && place.is_none() {
                let list = document.value().get(&at.parent().unwrap()).unwrap();
                let Value::Keyed(list) = list else { panic!("an order without a list") };
                prop_assert_eq!(list.order(), &ListOrder::Conflict(Box::new(conflict.clone())));
            } else {
                prop_assert_eq!(place, Some(&Value::Conflict(Box::new(conflict.clone()))));
            }
        }
    }
}
