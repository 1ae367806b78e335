//! Documents that collide: small alphabets, and sides made from one base by a few edits.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use ottvc_merge::{MergeOptions, merge_values};
use ottvc_object::RepoPath;
use ottvc_object::conflict::{Conflict, ConflictKind, Term, Terms};
use ottvc_object::field_path::FieldPath;
use ottvc_object::id::ContentId;
use ottvc_object::value::{
    AssetRef, Key, KeyedList, ListOrder, Timestamp, Value, ValueMap, ValueSet,
};

use super::draw::Draw;

const KEYS: [&str; 4] = ["a", "b", "c", "d"];
const TAGS: [&str; 3] = ["de", "en", "fr-FR"];
const IDS: [&str; 6] = ["p", "q", "r", "s", "t", "u"];
const ELEMENTS: [&str; 3] = ["x", "y", "z"];

/// One term of a merge: a document, or none.
pub(crate) type Doc = Option<Value>;

/// References to a few media; hashed once, not for every document.
pub(crate) static ASSETS: LazyLock<[Value; 3]> = LazyLock::new(|| {
    [0, 1, 2].map(|content: u8| {
        Value::Asset(AssetRef {
            digest: ContentId::of(&[content]),
            media_type: "image/jpeg".into(),
            size: 1,
            role: None,
        })
    })
});

fn leaf(draw: &mut Draw<'_>) -> Value {
    match draw.below(17) {
        0..2 => Value::Null,
        2 => Value::Bool(draw.chance(1, 2)),
        3..7 => Value::Int(draw.below(3) as i64),
        7 => Value::decimal(draw.pick(&[15_i128, 25]), -1).unwrap(),
        8..12 => Value::from(draw.pick(&["", "x", "y"])),
        12..14 => Value::text(draw.pick(&["x", "y z"])),
        14 => Value::Timestamp(Timestamp::new(draw.below(2) as i64, 0).unwrap()),
        15 => ASSETS[draw.below(2)].clone(),
        _ => Value::Array((0..draw.below(3)).map(|_| Value::Int(draw.below(2) as i64)).collect()),
    }
}

fn entries(draw: &mut Draw<'_>, depth: usize) -> ValueMap {
    (0..draw.below(4)).map(|_| (draw.pick(&KEYS).into(), nested(draw, depth))).collect()
}

/// A list of items in the order they are drawn in; of two with one id, the first.
fn list(draw: &mut Draw<'_>, most: usize, item: impl Fn(&mut Draw<'_>) -> ValueMap) -> Value {
    let mut list = KeyedList::empty(vec!["id".into()]).unwrap();
    for _ in 0..draw.below(most) {
        let id = draw.pick(&IDS);
        let mut item = item(draw);
        item.insert("id".into(), id.into());
        let key = list.key_of(&item).unwrap();
        if !list.items().contains_key(&key) {
            list.put(key, Value::Map(item)).unwrap();
        }
    }
    Value::Keyed(list)
}

/// A value of any kind but conflicts, with containers in it at most `depth` deep.
fn nested(draw: &mut Draw<'_>, depth: usize) -> Value {
    match draw.below(24) {
        10..15 if depth > 0 => Value::Map(entries(draw, depth - 1)),
        15..17 if depth > 0 => {
            let mut set = ValueSet::default();
            for _ in 0..draw.below(3) {
                set.insert(Value::from(draw.pick(&ELEMENTS))).unwrap();
            }
            Value::Set(set)
        }
        17..19 if depth > 0 => {
            let leaf = |draw: &mut Draw<'_>| {
                let text = draw.pick(&["x", "y"]);
                (
                    draw.pick(&TAGS).into(),
                    [Value::from(text), Value::text(text)][draw.below(2)].clone(),
                )
            };
            Value::Localized((0..draw.below(3)).map(|_| leaf(draw)).collect())
        }
        19.. if depth > 0 => list(draw, 5, |draw| entries(draw, depth - 1)),
        _ => leaf(draw),
    }
}

/// A value of any kind but conflicts.
pub(crate) fn value(draw: &mut Draw<'_>) -> Value {
    nested(draw, 3)
}

/// A document: a map with values of any kind but conflicts; half of them with a list to put in order.
pub(crate) fn document(draw: &mut Draw<'_>) -> Value {
    let entry = |draw: &mut Draw<'_>| (draw.pick(&KEYS), value(draw));
    let mut all: Vec<(&str, Value)> = (0..=draw.below(4)).map(|_| entry(draw)).collect();
    if draw.chance(1, 2) {
        all.push(("a", list(draw, 8, |_| ValueMap::new())));
    }
    Value::map(all)
}

/// `value` with a few changes, made where the draws lead.
pub(crate) fn edited(value: &Value, draw: &mut Draw<'_>) -> Value {
    let mut value = value.clone();
    for _ in 0..draw.below(5) {
        change(&mut value, draw, true);
    }
    value
}

/// Goes few ways, so that changes often meet at one place; mostly makes another value of the same kind.
fn change(value: &mut Value, draw: &mut Draw<'_>, root: bool) {
    let turn = draw.below(12);
    match value {
        Value::Map(map) if root || turn != 11 => entry(map, KEYS[turn % KEYS.len()], draw),
        Value::Localized(map) if turn != 11 => {
            let tag = TAGS[turn % TAGS.len()];
            match draw.below(3) {
                0 => drop(map.remove(tag)),
                1 => drop(map.insert(tag.into(), Value::from("x"))),
                _ => drop(map.insert(tag.into(), Value::text("y"))),
            }
        }
        Value::Set(set) if turn != 11 => {
            let element = Value::from(ELEMENTS[turn % ELEMENTS.len()]);
            if !set.remove(&element) {
                set.insert(element).unwrap();
            }
        }
        Value::Keyed(keyed) if turn != 11 => list_change(keyed, turn, draw),
        Value::Int(number) if turn < 10 => *number = draw.below(12) as i64,
        Value::String(text) if turn < 10 => *text = format!("{turn}"),
        Value::Text(text) if turn < 10 => *text = format!("{turn} {}", draw.below(12)),
        Value::Array(elements) if turn < 10 => elements.push(Value::Int(draw.below(3) as i64)),
        other => *other = self::value(draw),
    }
}

fn entry(map: &mut ValueMap, key: &str, draw: &mut Draw<'_>) {
    match (draw.below(12), map.get_mut(key)) {
        (0, Some(_)) => drop(map.remove(key)),
        (1, _) | (_, None) => drop(map.insert(key.into(), value(draw))),
        (_, Some(child)) => change(child, draw, false),
    }
}

fn list_change(keyed: &mut KeyedList, turn: usize, draw: &mut Draw<'_>) {
    let taken = std::mem::replace(keyed, KeyedList::empty(keyed.fields().to_vec()).unwrap());
    let (fields, mut items, mut order) = taken.into_parts();
    if let ListOrder::Known(order) = &mut order {
        let key = Key::new(vec![IDS[turn % IDS.len()].into()]).unwrap();
        let (what, place) = (draw.below(12), draw.below(12));
        match (what, items.get_mut(&key)) {
            (0..3, Some(_)) => {
                items.remove(&key);
                order.retain(|other| *other != key);
            }
            (3..7, Some(_)) => {
                order.retain(|other| *other != key);
                order.insert(place % (order.len() + 1), key);
            }
            (_, Some(Value::Map(item))) => entry(item, KEYS[place % KEYS.len()], draw),
            (_, Some(_)) => {}
            (_, None) => {
                let mut item: ValueMap = BTreeMap::from([("a".into(), value(draw))]);
                item.insert("id".into(), key.parts()[0].clone());
                order.insert(place % (order.len() + 1), key.clone());
                items.insert(key, Value::Map(item));
            }
        }
    }
    *keyed = KeyedList::from_parts(fields, items, order).unwrap();
}

/// Merges without rules.
pub(crate) fn merged(terms: Vec<Doc>) -> Doc {
    static PLAIN: LazyLock<(MergeOptions, RepoPath)> =
        LazyLock::new(|| (MergeOptions::default(), RepoPath::new("x.meta.json").unwrap()));
    let terms = Terms::new(terms).unwrap();
    merge_values(&terms, &PLAIN.0, &PLAIN.1).unwrap().value
}

/// Terms without conflicts: some base, the others edited from it; now and then one is absent.
pub(crate) fn clean(draw: &mut Draw<'_>, count: usize) -> Vec<Doc> {
    let root = document(draw);
    let mut term = || {
        let there = !draw.chance(1, 20);
        there.then(|| edited(&root, draw))
    };
    (0..count).map(|_| term()).collect()
}

/// Terms of which each may be a merge of its own that left conflicts, bases included; some disputes are
/// shared, as those of a base are by its sides.
pub(crate) fn disputed(draw: &mut Draw<'_>, count: usize) -> Vec<Doc> {
    let mut terms: Vec<Doc> = Vec::new();
    for term in clean(draw, count) {
        let dispute = draw.chance(1, 4);
        let earlier = terms.get(draw.below(count)).filter(|_| !dispute);
        let from = earlier.cloned().unwrap_or(term);
        terms.push(match from {
            Some(value) if dispute => {
                let [ours, base, theirs] = [(); 3].map(|()| Some(edited(&value, draw)));
                merged(vec![ours, base, theirs])
            }
            from => from,
        });
    }
    terms
}

/// Heads grown from either of two bases that crossed, or from a merge of both that someone settled, and
/// what the bases come to in either order.
#[derive(Clone, Debug)]
pub(crate) struct Crossed {
    pub(crate) bases: [Doc; 2],
    pub(crate) heads: [Doc; 2],
}

pub(crate) fn crossed(draw: &mut Draw<'_>, settle: impl Fn(&Value) -> Value) -> Crossed {
    let root = document(draw);
    let [one, two] = [(); 2].map(|()| Some(edited(&root, draw)));
    let bases = |ours: &Doc, theirs: &Doc| {
        let terms = Terms::three(ours.clone(), Some(root.clone()), theirs.clone());
        merge_values(&terms, &MergeOptions::for_bases(), &RepoPath::root()).unwrap().value
    };
    let (here, there) = (bases(&one, &two), bases(&two, &one));
    let heads = [&one, &two].map(|own| {
        let from = if draw.chance(2, 5) { here.as_ref() } else { own.as_ref() };
        from.map(|from| edited(&settle(from), draw))
    });
    Crossed { bases: [here, there], heads }
}

/// Conflicts that no merge of ours would leave: any kind, any path, one to five terms, equal ones
/// among them, contested ones among sides and bases.
fn odd_conflict(draw: &mut Draw<'_>, depth: usize) -> Conflict<Value> {
    let kind = draw.pick(&ConflictKind::ALL);
    let terms = if depth == 2 { 2 * draw.below(3) + 1 } else { 3 };
    let terms = (0..terms).map(|_| match draw.below(8) {
        0..2 => Term::Absent,
        6.. if depth > 0 => Term::Contested(Box::new(odd_conflict(draw, depth - 1))),
        _ => Term::Value(value(draw)),
    });
    let terms = Terms::new(terms.collect()).unwrap();
    Conflict { kind, path: FieldPath::root().key("a"), policy: "odd".into(), terms }
}

/// Terms with odd conflicts in some of their fields.
pub(crate) fn odd_terms(draw: &mut Draw<'_>, count: usize) -> Vec<Doc> {
    let mut terms = clean(draw, count);
    for term in &mut terms {
        for _ in 0..draw.below(3) {
            let (key, odd) = (draw.pick(&KEYS), odd_conflict(draw, 2));
            if let Some(Value::Map(map)) = term {
                map.insert(key.to_owned(), Value::Conflict(Box::new(odd)));
            }
        }
    }
    terms
}
