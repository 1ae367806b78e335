//! Documents that collide: small alphabets, and sides made from one base by a few edits.

use std::collections::BTreeMap;

use ottvc_merge::{MergeOptions, merge_values};
use ottvc_object::RepoPath;
use ottvc_object::conflict::{Conflict, ConflictKind, Term, Terms};
use ottvc_object::field_path::FieldPath;
use ottvc_object::id::ContentId;
use ottvc_object::value::{
    AssetRef, Key, KeyedList, ListOrder, Timestamp, Value, ValueMap, ValueSet,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

const KEYS: [&str; 4] = ["a", "b", "c", "d"];
const TAGS: [&str; 3] = ["de", "en", "fr-FR"];
const IDS: [&str; 6] = ["p", "q", "r", "s", "t", "u"];

/// One term of a merge: a document, or none.
pub(crate) type Doc = Option<Value>;

fn leaf() -> BoxedStrategy<Value> {
    let asset = |content: u8| {
        Value::Asset(AssetRef {
            digest: ContentId::of(&[content]),
            media_type: "image/jpeg".into(),
            size: 1,
            role: None,
        })
    };
    prop_oneof![
        2 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::Bool),
        4 => (0_i64..3).prop_map(Value::Int),
        1 => select(vec![15_i128, 25]).prop_map(|n| Value::decimal(n, -1).unwrap()),
        4 => select(vec!["", "x", "y"]).prop_map(Value::from),
        2 => select(vec!["x", "y z"]).prop_map(Value::text),
        1 => (0_i64..2).prop_map(|s| Value::Timestamp(Timestamp::new(s, 0).unwrap())),
        1 => (0_u8..2).prop_map(asset),
        1 => vec((0_i64..2).prop_map(Value::Int), 0..3).prop_map(Value::Array),
    ]
    .boxed()
}

fn string() -> BoxedStrategy<Value> {
    prop_oneof![
        select(vec!["x", "y"]).prop_map(Value::from),
        select(vec!["x", "y"]).prop_map(Value::text),
    ]
    .boxed()
}

/// A list of items in this order; of two with one id, the first.
fn list(items: Vec<(&'static str, ValueMap)>) -> Value {
    let mut list = KeyedList::empty(vec!["id".into()]).unwrap();
    for (id, mut item) in items {
        item.insert("id".into(), id.into());
        let key = list.key_of(&item).unwrap();
        if !list.items().contains_key(&key) {
            list.put(key, Value::Map(item)).unwrap();
        }
    }
    Value::Keyed(list)
}

/// Values of every kind but conflicts.
pub(crate) fn value() -> BoxedStrategy<Value> {
    let map = |inner: BoxedStrategy<Value>| {
        vec((select(&KEYS[..]), inner), 0..4).prop_map(|entries| -> ValueMap {
            entries.into_iter().map(|(k, v)| (k.into(), v)).collect()
        })
    };
    leaf()
        .prop_recursive(3, 16, 3, move |inner| {
            let inner = inner.boxed();
            let set =
                vec(select(vec!["x", "y", "z"]).prop_map(Value::from), 0..3).prop_map(|all| {
                    let mut set = ValueSet::default();
                    for element in all {
                        set.insert(element).unwrap();
                    }
                    Value::Set(set)
                });
            let localized = vec((select(&TAGS[..]), string()), 0..3).prop_map(|entries| {
                Value::Localized(entries.into_iter().map(|(k, v)| (k.into(), v)).collect())
            });
            let items = vec((select(&IDS[..]), map(inner.clone())), 0..5).prop_map(list);
            prop_oneof![
                10 => leaf(),
                5 => map(inner).prop_map(Value::Map),
                2 => set,
                2 => localized,
                5 => items,
            ]
        })
        .boxed()
}

/// Documents: maps with values of every kind but conflicts; half of them with a list to put in order.
pub(crate) fn document() -> BoxedStrategy<Value> {
    let rail = vec((select(&IDS[..]), Just(ValueMap::new())), 0..8).prop_map(list);
    let rail = prop_oneof![Just(None), rail.prop_map(Some)];
    (vec((select(&KEYS[..]), value()), 1..7), rail)
        .prop_map(|(entries, rail)| {
            Value::map(entries.into_iter().chain(rail.map(|rail| ("a", rail))))
        })
        .boxed()
}

/// One change: where to go and what to do there is read off the numbers as the walk needs them.
#[derive(Clone, Debug)]
pub(crate) struct Edit {
    turns: Vec<u8>,
    new: Value,
}

fn edit() -> BoxedStrategy<Edit> {
    // Few turns, so that edits often meet at one place.
    (vec(0_u8..12, 10), value()).prop_map(|(turns, new)| Edit { turns, new }).boxed()
}

/// A few changes.
pub(crate) fn edits() -> BoxedStrategy<Vec<Edit>> {
    vec(edit(), 0..5).boxed()
}

/// Returns `value` with all of `edits` made.
pub(crate) fn edited(value: &Value, edits: &[Edit]) -> Value {
    let mut value = value.clone();
    for edit in edits {
        change(&mut value, &mut edit.turns.iter().copied(), &edit.new, true);
    }
    value
}

fn change(value: &mut Value, turns: &mut impl Iterator<Item = u8>, new: &Value, root: bool) {
    let turn = usize::from(turns.next().unwrap_or(0));
    let what = turns.next().unwrap_or(0);
    match value {
        Value::Map(map) if root || turn != 11 => {
            entry(map, KEYS[turn % KEYS.len()], what, turns, new);
        }
        Value::Localized(map) if turn != 11 => {
            let tag = TAGS[turn % TAGS.len()];
            match what {
                0..4 => drop(map.remove(tag)),
                4..8 => drop(map.insert(tag.into(), Value::from("x"))),
                _ => drop(map.insert(tag.into(), Value::text("y"))),
            }
        }
        Value::Set(set) if turn != 11 => {
            let element = Value::from(["x", "y", "z"][turn % 3]);
            if !set.remove(&element) {
                set.insert(element).unwrap();
            }
        }
        Value::Keyed(keyed) if turn != 11 => list_change(keyed, turn, what, turns, new),
        // Mostly another value of the same kind.
        Value::Int(number) if turn < 10 => *number = i64::from(what),
        Value::String(text) if turn < 10 => *text = format!("{turn}"),
        Value::Text(text) if turn < 10 => *text = format!("{turn} {what}"),
        Value::Array(elements) if turn < 10 => elements.push(Value::Int(i64::from(what % 3))),
        other => *other = new.clone(),
    }
}

fn entry(
    map: &mut ValueMap,
    key: &str,
    what: u8,
    turns: &mut impl Iterator<Item = u8>,
    new: &Value,
) {
    match (what, map.get_mut(key)) {
        (0, Some(_)) => drop(map.remove(key)),
        (1, _) | (_, None) => drop(map.insert(key.into(), new.clone())),
        (_, Some(child)) => change(child, turns, new, false),
    }
}

fn list_change(
    keyed: &mut KeyedList,
    turn: usize,
    what: u8,
    turns: &mut impl Iterator<Item = u8>,
    new: &Value,
) {
    let (fields, mut items, order) = keyed.clone().into_parts();
    let ListOrder::Known(mut order) = order else { return };
    let key = Key::new(vec![IDS[turn % IDS.len()].into()]).unwrap();
    let place = usize::from(turns.next().unwrap_or(0));
    match (what, items.get_mut(&key)) {
        (0..3, Some(_)) => {
            items.remove(&key);
            order.retain(|other| *other != key);
        }
        (3..7, Some(_)) => {
            order.retain(|other| *other != key);
            order.insert(place % (order.len() + 1), key);
        }
        (_, Some(Value::Map(item))) => {
            entry(item, KEYS[place % KEYS.len()], turns.next().unwrap_or(0), turns, new);
        }
        (_, Some(_)) => {}
        (_, None) => {
            let mut item: ValueMap = BTreeMap::from([("a".into(), new.clone())]);
            item.insert("id".into(), key.parts()[0].clone());
            order.insert(place % (order.len() + 1), key.clone());
            items.insert(key, Value::Map(item));
        }
    }
    *keyed = KeyedList::from_parts(fields, items, ListOrder::Known(order)).unwrap();
}

/// Merges without rules.
pub(crate) fn merged(terms: &[Doc]) -> Doc {
    let terms = Terms::new(terms.to_vec()).unwrap();
    let file = RepoPath::new("x.meta.json").unwrap();
    merge_values(&terms, &MergeOptions::default(), &file).unwrap().value
}

/// Terms without conflicts: some base, the others edited from it; now and then one is absent.
pub(crate) fn clean(count: usize) -> BoxedStrategy<Vec<Doc>> {
    let term = (edits(), prop_oneof![19 => Just(true), 1 => Just(false)]);
    (document(), vec(term, count))
        .prop_map(|(root, terms)| {
            let term = |(edits, there): &(Vec<Edit>, bool)| there.then(|| edited(&root, edits));
            terms.iter().map(term).collect()
        })
        .boxed()
}

/// Terms of which each may be a merge of its own that left conflicts, bases included.
pub(crate) fn disputed(count: usize) -> BoxedStrategy<Vec<Doc>> {
    let dispute = prop_oneof![2 => Just(None), 1 => (edits(), edits(), edits()).prop_map(Some)];
    // Some disputes are shared, as those of a base are by its sides.
    (clean(count), vec((dispute, 0..count), count))
        .prop_map(|(clean, disputes)| {
            let mut terms: Vec<Doc> = Vec::new();
            for (term, (dispute, shared)) in clean.iter().zip(disputes) {
                let from = match terms.get(shared) {
                    Some(earlier) if dispute.is_none() => earlier.clone(),
                    _ => term.clone(),
                };
                terms.push(match (from, dispute) {
                    (Some(value), Some((ours, base, theirs))) => merged(&[
                        Some(edited(&value, &ours)),
                        Some(edited(&value, &base)),
                        Some(edited(&value, &theirs)),
                    ]),
                    (from, _) => from,
                });
            }
            terms
        })
        .boxed()
}

/// Conflicts that no merge of ours would leave: any kind, any path, one to five terms, equal ones
/// among them, contested ones among sides and bases.
fn odd_conflict() -> BoxedStrategy<Value> {
    let term = prop_oneof![1 => Just(Term::Absent), 3 => value().prop_map(Term::Value)];
    let nested = term.boxed().prop_recursive(2, 6, 3, |inner| {
        let kind = select(&ConflictKind::ALL[..]);
        (kind, vec(inner, 3)).prop_map(|(kind, terms)| Term::Contested(Box::new(odd(kind, terms))))
    });
    let terms = (0_usize..3).prop_flat_map(move |pairs| vec(nested.clone(), 2 * pairs + 1));
    (select(&ConflictKind::ALL[..]), terms)
        .prop_map(|(kind, terms)| Value::Conflict(Box::new(odd(kind, terms))))
        .boxed()
}

fn odd(kind: ConflictKind, terms: Vec<Term<Value>>) -> Conflict<Value> {
    let terms = Terms::new(terms).unwrap();
    Conflict { kind, path: FieldPath::root().key("a"), policy: "odd".into(), terms }
}

/// Terms with odd conflicts in some of their fields.
pub(crate) fn odd_terms(count: usize) -> BoxedStrategy<Vec<Doc>> {
    let fields = vec((select(&KEYS[..]), odd_conflict()), 0..3);
    (clean(count), vec(fields, count))
        .prop_map(|(mut terms, fields)| {
            for (term, fields) in terms.iter_mut().zip(fields) {
                if let Some(Value::Map(map)) = term {
                    map.extend(fields.into_iter().map(|(key, value)| (key.to_owned(), value)));
                }
            }
            terms
        })
        .boxed()
}
