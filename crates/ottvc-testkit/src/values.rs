//! Strategies for metadata values: every kind, nested, with conflicts, over small alphabets, so that
//! independently made values often share keys, elements and content.

use std::collections::BTreeMap;

use ottvc_object::conflict::{Conflict, ConflictKind, Term, Terms};
use ottvc_object::field_path::{FieldPath, Segment};
use ottvc_object::id::ContentId;
use ottvc_object::value::{
    AssetRef, Document, Key, KeyedList, ListOrder, Timestamp, Value, ValueMap, ValueSet,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// Map keys: plain ones, and the ones that paths and JSON must escape.
const KEYS: [&str; 14] =
    ["a", "b", "c", "titles", "", "$id", "$from", "$x", "$$y", "a/b", "[k=1]", "{e}", "\\", "@en"];
/// Strings: short ones that collide, and the ones that look like something else.
const TEXTS: [&str; 12] =
    ["", "a", "b", "drama", "3", "1.5", "true", "null", "$text:x", "x,y]}=/", "\"q\"", "été\n"];
const TAGS: [&str; 4] = ["en", "fr-FR", "de", "zh-Hant-TW"];
const KEY_FIELDS: &[&[&str]] = &[&["id"], &["person", "function"], &["$id"]];
const POLICIES: [&str; 4] = ["atomic", "set", "keyed", "order"];

fn text() -> impl Strategy<Value = String> + Clone {
    select(&TEXTS[..]).prop_map(str::to_owned)
}

/// Map keys, few of them.
pub fn key() -> impl Strategy<Value = String> + Clone {
    select(&KEYS[..]).prop_map(str::to_owned)
}

fn decimal() -> impl Strategy<Value = Value> {
    let digits = prop_oneof![
        4 => -20_i128..20,
        1 => Just(9_223_372_036_854_775_808_i128),
        1 => Just(-1_234_567_890_123_456_789_012_345_678_901_234_i128),
    ];
    let exponent = prop_oneof![4 => -3_i32..3, 1 => select(&[-6176_i32, -400, 20, 400, 6000][..])];
    (digits, exponent).prop_filter_map("a number past the limits", |(digits, exponent)| {
        Value::decimal(digits, exponent).ok()
    })
}

fn timestamp() -> impl Strategy<Value = Value> {
    let seconds = prop_oneof![-2_i64..3, Just(1_700_000_000), Just(-62_000_000_000)];
    (seconds, select(&[0_u32, 1, 500_000_000, 999_999_999][..]))
        .prop_filter_map("an instant out of range", |(seconds, nanos)| {
            Timestamp::new(seconds, nanos).ok().map(Value::Timestamp)
        })
}

fn asset() -> impl Strategy<Value = Value> {
    let media_type = select(&["image/jpeg", "video/mp4; codecs=\"avc1\""][..]);
    (0_u8..3, media_type, 0_u64..3, option::of(select(&["poster", "a:b/c"][..]))).prop_map(
        |(content, media_type, size, role)| {
            Value::Asset(AssetRef {
                digest: ContentId::of(&[content]),
                media_type: media_type.to_owned(),
                size,
                role: role.map(str::to_owned),
            })
        },
    )
}

/// Scalars of every kind.
pub fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        prop_oneof![4 => -2_i64..4, 1 => select(&[i64::MIN, i64::MAX][..])].prop_map(Value::Int),
        decimal(),
        text().prop_map(Value::String),
        text().prop_map(Value::Text),
        timestamp(),
    ]
}

/// What a set may hold: scalars and asset references.
pub fn element() -> impl Strategy<Value = Value> {
    prop_oneof![6 => scalar(), 1 => asset()]
}

/// Sets of a few elements.
pub fn set() -> impl Strategy<Value = ValueSet> {
    vec(element(), 0..5).prop_map(|elements| {
        let mut set = ValueSet::default();
        for element in elements {
            // Every generated element may stand in a set; one that comes twice stands there once.
            let _ = set.insert(element);
        }
        set
    })
}

fn localized(with_conflicts: bool) -> impl Strategy<Value = Value> {
    let plain = prop_oneof![text().prop_map(Value::String), text().prop_map(Value::Text)].boxed();
    let conflict = if with_conflicts { conflict_of(plain.clone()) } else { plain.clone() };
    let leaf = prop_oneof![8 => plain, 1 => conflict];
    vec((select(&TAGS[..]), leaf), 0..4).prop_map(|entries| {
        Value::Localized(entries.into_iter().map(|(tag, leaf)| (tag.to_owned(), leaf)).collect())
    })
}

fn map_of(value: BoxedStrategy<Value>) -> impl Strategy<Value = ValueMap> {
    vec((key(), value), 0..5).prop_map(|entries| entries.into_iter().collect())
}

fn key_part() -> impl Strategy<Value = Value> {
    scalar().prop_map(|part| if part == Value::Null { Value::from("null") } else { part })
}

/// The item `value` under a key: a map that holds it, or a conflict among such maps.
fn with_key(value: Value, key: &[(String, Value)]) -> Value {
    match value {
        Value::Conflict(conflict) => Value::Conflict(Box::new(among_items(&conflict, key))),
        Value::Map(mut map) => {
            map.extend(key.iter().cloned());
            Value::Map(map)
        }
        _ => Value::map(key.iter().cloned()),
    }
}

fn among_items(conflict: &Conflict<Value>, key: &[(String, Value)]) -> Conflict<Value> {
    let terms = conflict.terms.map(|term| match term {
        Term::Absent => Term::Absent,
        Term::Value(value) => Term::Value(with_key(value.clone(), key)),
        Term::Contested(nested) => Term::Contested(Box::new(among_items(nested, key))),
    });
    Conflict { terms, ..conflict.clone() }
}

/// Keyed lists with one or two key fields, items in any order, now and then a conflict over an item
/// or over the order.
fn keyed(value: BoxedStrategy<Value>, conflict: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    let fields = select(KEY_FIELDS);
    let item = prop_oneof![8 => map_of(value).prop_map(Value::Map), 1 => conflict];
    let items = vec((key_part(), key_part(), item), 0..4);
    let disputed = prop_oneof![6 => Just(false), 1 => Just(true)];
    (fields, items, any::<Index>(), disputed)
        .prop_filter_map("an item without a key", |(fields, drawn, turn, disputed)| {
            let fields: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
            let mut items = BTreeMap::new();
            for (first, second, item) in drawn {
                let parts: Vec<Value> = [first, second].into_iter().take(fields.len()).collect();
                let key: Vec<_> = fields.iter().cloned().zip(parts.iter().cloned()).collect();
                let item = with_key(item, &key);
                items.insert(Key::new(parts).ok()?, item);
            }
            let mut keys: Vec<Key> = items.keys().cloned().collect();
            if !keys.is_empty() {
                let by = turn.index(keys.len());
                keys.rotate_left(by);
            }
            let order = if disputed {
                let ours = Term::Value(KeyedList::sequence_value(&keys));
                let theirs = Term::Value(KeyedList::sequence_value(keys.iter().rev()));
                ListOrder::Conflict(Box::new(Conflict {
                    kind: ConflictKind::Order,
                    path: FieldPath::root().join(Segment::Order),
                    policy: "order".to_owned(),
                    terms: Terms::three(ours, Term::Absent, theirs),
                }))
            } else {
                ListOrder::Known(keys)
            };
            KeyedList::from_parts(fields, items, order).ok().map(Value::Keyed)
        })
        .boxed()
}

fn segment() -> impl Strategy<Value = Segment> {
    prop_oneof![
        4 => key().prop_map(Segment::Key),
        1 => select(&TAGS[..]).prop_map(|tag| Segment::Locale(tag.to_owned())),
        1 => vec((select(&["id", "a=b", ""][..]), key_part()), 1..3).prop_map(|parts| {
            let distinct: BTreeMap<String, Value> =
                parts.into_iter().map(|(field, part)| (field.to_owned(), part)).collect();
            Segment::Item(distinct.into_iter().collect())
        }),
        1 => element().prop_map(Segment::Element),
        1 => (0_u64..3).prop_map(Segment::Index),
        1 => Just(Segment::Order),
    ]
}

/// Field paths with steps of every kind, whether or not any value has such a place.
pub fn field_path() -> impl Strategy<Value = FieldPath> {
    vec(segment(), 0..4).prop_map(FieldPath)
}

/// Conflicts over values of `value`, some with a contested term.
fn conflict_of(value: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    let term = prop_oneof![
        1 => Just(Term::Absent),
        4 => value.prop_map(|value| match value {
            Value::Conflict(nested) => Term::Contested(nested),
            value => Term::Value(value),
        }),
    ];
    let terms = (0_usize..3)
        .prop_flat_map(move |pairs| vec(term.clone(), 2 * pairs + 1))
        .prop_filter_map("an even number of terms", |terms| Terms::new(terms).ok());
    (select(&ConflictKind::ALL[..]), field_path(), select(&POLICIES[..]), terms)
        .prop_map(|(kind, path, policy, terms)| {
            let policy = policy.to_owned();
            Value::Conflict(Box::new(Conflict { kind, path, policy, terms }))
        })
        .boxed()
}

fn values(with_conflicts: bool) -> BoxedStrategy<Value> {
    let leaf = prop_oneof![8 => scalar(), 1 => asset(), 2 => set().prop_map(Value::Set)];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        let inner = inner.boxed();
        let conflict = if with_conflicts {
            conflict_of(inner.clone())
        } else {
            text().prop_map(Value::String).boxed()
        };
        // Items of a list may be conflicts, but not any leaf.
        let item = if with_conflicts {
            conflict.clone()
        } else {
            Just(Value::map([("", Value::Null)])).boxed()
        };
        prop_oneof![
            4 => map_of(inner.clone()).prop_map(Value::Map),
            2 => vec(inner.clone(), 0..4).prop_map(Value::Array),
            2 => localized(with_conflicts),
            2 => keyed(inner, item),
            1 => conflict,
        ]
    })
    .boxed()
}

/// Values of every kind, nested up to four deep, with conflicts among them.
pub fn value() -> impl Strategy<Value = Value> {
    values(true)
}

/// Values of every kind but conflicts.
pub fn clean_value() -> impl Strategy<Value = Value> {
    values(false)
}

/// Conflicts, with terms of every kind.
pub fn conflict() -> impl Strategy<Value = Conflict<Value>> {
    conflict_of(values(true)).prop_filter_map("not a conflict", |value| match value {
        Value::Conflict(conflict) => Some(*conflict),
        _ => None,
    })
}

fn documents(value: BoxedStrategy<Value>) -> impl Strategy<Value = Document> {
    map_of(value)
        .prop_filter_map("a document past its limits", |map| Document::new(Value::Map(map)).ok())
}

/// Documents with values of every kind, conflicts among them.
pub fn document() -> impl Strategy<Value = Document> {
    documents(values(true))
}

/// Documents without conflicts.
pub fn clean_document() -> impl Strategy<Value = Document> {
    documents(values(false))
}
