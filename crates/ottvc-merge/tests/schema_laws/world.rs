//! Documents with a field for every kind and policy, made from one root by small changes, so that
//! sides often meet; and the schema they are under.

use std::sync::{Arc, LazyLock};

use ottvc_merge::Schema;
use ottvc_object::id::ContentId;
use ottvc_object::value::{AssetRef, KeyedList, Timestamp, Value, ValueMap};
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::select;

/// One term of a merge: a document, or none.
pub(crate) type Doc = Option<Value>;

/// A field of its own for every policy; nothing here tells ours from theirs.
pub(crate) static SCHEMA: LazyLock<Arc<Schema>> = LazyLock::new(|| {
    let text = r"
schema: laws/1
fields:
  /atom:   {type: string}
  /prose:  {type: text, merge: text(word), max_length: 14}
  /loc:    {type: localized, of: text, merge: text(word)}
  /tags:   {type: set, of: string, max_items: 3}
  /seq:    {type: array, of: int, merge: sequence}
  /top:    {type: int, merge: max, max: 3}
  /low:    {type: decimal, merge: min}
  /step:   {type: string, merge: ordered(a < b < c)}
  /when:   {type: timestamp, merge: max}
  /count:  {type: int, merge: counter}
  /deep/inner/count: {type: decimal, merge: counter}
  /qc:     {type: map, merge: latest_by(rev)}
  /hook:   {type: string, merge: hook(longest@1)}
  /whole:  {type: map, merge: atomic}
  /group:  {type: map, groups: [[x, y]]}
  /win:    {type: keyed, keys: [id], order: none, groups: [[x, y]], invariants: [n < m]}
  /cast:   {type: keyed, keys: [id], order: field(n)}
  /rail:   {type: keyed, keys: [id]}
  /apart:  {type: keyed, keys: [id], insert: conflict}
  /rate:   {type: keyed, keys: [id], order: none, item: atomic}
  /kept:   {type: map, delete: edit_wins}
  /gone:   {type: map, delete: delete_wins}
  /said:   {type: string, on_conflict: non_empty}
  /names:  {type: map}
  /people: {type: keyed, keys: [id], order: none}
  /made/**: {merge: derived(sum)}
";
    Arc::new(Schema::parse(text).unwrap())
});

/// Fields whose policy puts values together, or adds them up: something new may come of it.
pub(crate) const NEW: [&str; 5] = ["prose", "loc", "seq", "count", "deep"];
/// Fields whose policy takes one of several changes.
pub(crate) const ONE_OF: [&str; 6] = ["top", "low", "step", "when", "qc", "hook"];
/// Fields that are counted, or hold what is counted.
pub(crate) const COUNTED: [&str; 2] = ["count", "deep"];
/// Lists whose order says something, and a field that may have one.
pub(crate) const ORDERED: [&str; 3] = ["rail", "apart", "free"];
/// Fields that a function makes after the merge.
pub(crate) const MADE: &str = "made";

/// Fields whose entries are given other keys, so that a place is not where its value came from.
pub(crate) const MOVED: [&str; 2] = ["names", "people"];

/// The document without these fields.
pub(crate) fn without(doc: &Doc, fields: &[&str]) -> Doc {
    doc.clone().map(|doc| match doc {
        Value::Map(mut map) => {
            map.retain(|key, _| !fields.contains(&key.as_str()));
            Value::Map(map)
        }
        other => other,
    })
}

fn word() -> BoxedStrategy<Value> {
    select(vec!["", "x", "y", "xyz"]).prop_map(Value::from).boxed()
}

fn number() -> BoxedStrategy<Value> {
    (0_i64..6).prop_map(Value::Int).boxed()
}

/// The words of one sentence, each kept, changed or left out; now and then one is put in.
fn prose() -> BoxedStrategy<Value> {
    let word = prop_oneof![8 => Just(None), 1 => Just(Some("")), 1 => Just(Some("x")), 1 => Just(Some("y y"))];
    vec(word, 5)
        .prop_map(|changes| {
            let words = ["a", "b", "c", "d", "e"].iter().zip(&changes);
            let words: Vec<&str> = words
                .map(|(word, change)| change.unwrap_or(word))
                .filter(|word| !word.is_empty())
                .collect();
            Value::text(words.join(" "))
        })
        .boxed()
}

fn seq() -> BoxedStrategy<Value> {
    let element = prop_oneof![8 => Just(None), 1 => Just(Some(vec![])), 1 => Just(Some(vec![8, 9])), 1 => Just(Some(vec![7]))];
    vec(element, 4)
        .prop_map(|changes| {
            let elements = (1_i64..).zip(changes);
            let all = elements.flat_map(|(n, change)| change.unwrap_or_else(|| vec![n]));
            Value::Array(all.map(Value::Int).collect())
        })
        .boxed()
}

fn map(keys: &'static [&'static str], value: BoxedStrategy<Value>) -> BoxedStrategy<ValueMap> {
    vec(weighted(0.7, value), keys.len())
        .prop_map(|values| {
            let entries = keys.iter().zip(values);
            entries.filter_map(|(key, value)| Some(((*key).to_owned(), value?))).collect()
        })
        .boxed()
}

/// Items p to s, mostly in this order.
fn list() -> BoxedStrategy<Value> {
    let item = weighted(0.8, map(&["n", "m", "x", "y"], number()));
    (vec(item, 4), prop_oneof![3 => Just(0), 1 => 1_usize..4])
        .prop_map(|(items, turn)| {
            let items = ["p", "q", "r", "s"].iter().zip(items);
            let mut items: Vec<ValueMap> = items
                .filter_map(|(id, item)| {
                    let mut item = item?;
                    item.insert("id".into(), (*id).into());
                    Some(item)
                })
                .collect();
            let place = turn.min(items.len());
            items.rotate_left(place);
            Value::Keyed(KeyedList::new(vec!["id".into()], items).unwrap())
        })
        .boxed()
}

/// Entries k to m, each now and then under another key, and then knowing its own.
fn named() -> BoxedStrategy<Vec<(String, ValueMap)>> {
    let entry = (
        map(&["x", "y"], number()),
        prop_oneof![4 => Just(None), 1 => Just(Some("u")), 1 => Just(Some("v"))],
    );
    vec(weighted(0.8, entry), 3)
        .prop_map(|entries| {
            let mut all: Vec<(String, ValueMap)> = Vec::new();
            for (key, entry) in ["k", "l", "m"].iter().zip(entries) {
                let Some((mut map, new)) = entry else { continue };
                let new = new.filter(|new| !all.iter().any(|(key, _)| key == new));
                if new.is_some() {
                    map.insert("$from".into(), Value::set_of([Value::from(*key)]).unwrap());
                }
                all.push((new.unwrap_or(key).to_owned(), map));
            }
            all
        })
        .boxed()
}

fn tags() -> BoxedStrategy<Value> {
    prop::sample::subsequence(vec!["a", "b", "c", "d"], 0..=3)
        .prop_map(|tags| Value::set_of(tags.into_iter().map(Value::from)).unwrap())
        .boxed()
}

fn decimal() -> BoxedStrategy<Value> {
    (0_i128..30).prop_map(|n| Value::decimal(n, -1).unwrap()).boxed()
}

/// What a field mostly has; now and then it has null, or a value of another kind.
fn field(name: &str) -> BoxedStrategy<Value> {
    let own = match name {
        "prose" => prose(),
        "loc" => vec(weighted(0.7, prose()), 2)
            .prop_map(|texts| {
                let all = ["en", "fr"].into_iter().zip(texts);
                Value::localized(all.filter_map(|(tag, text)| Some((tag, text?)))).unwrap()
            })
            .boxed(),
        "tags" => tags(),
        "seq" => seq(),
        "top" | "count" => number(),
        "low" => decimal(),
        "step" => select(vec!["a", "b", "c", "d"]).prop_map(Value::from).boxed(),
        "when" => (0_i64..4).prop_map(|s| Value::Timestamp(Timestamp::new(s, 0).unwrap())).boxed(),
        "deep" => (map(&["a"], word()), weighted(0.8, decimal()))
            .prop_map(|(outer, count)| {
                let inner = Value::map(count.map(|count| ("count", count)));
                Value::map(outer.into_iter().chain([("inner".to_owned(), inner)]))
            })
            .boxed(),
        "qc" => map(&["rev", "v"], number()).prop_map(Value::Map).boxed(),
        "whole" | "group" | "kept" | "gone" => {
            map(&["x", "y", "z"], number()).prop_map(Value::Map).boxed()
        }
        "win" | "cast" | "rail" | "apart" | "rate" => list(),
        "free" => prop_oneof![
            any::<bool>().prop_map(Value::Bool),
            decimal(),
            seq(),
            tags(),
            prose(),
            list(),
            (0_u8..3).prop_map(|content| {
                Value::Asset(AssetRef {
                    digest: ContentId::of(&[content]),
                    media_type: "image/jpeg".into(),
                    size: 1,
                    role: None,
                })
            }),
            map(&["x", "y"], number()).prop_map(Value::Map),
        ]
        .boxed(),
        "names" => named()
            .prop_map(|all| Value::map(all.into_iter().map(|(key, map)| (key, Value::Map(map)))))
            .boxed(),
        "people" => named()
            .prop_map(|all| {
                let mut items: Vec<ValueMap> = all
                    .into_iter()
                    .map(|(key, mut map)| {
                        map.insert("id".into(), key.into());
                        map
                    })
                    .collect();
                items.sort_by(|a, b| a.get("id").cmp(&b.get("id")));
                Value::Keyed(KeyedList::new(vec!["id".into()], items).unwrap())
            })
            .boxed(),
        "made" => map(&["x", "y"], number()).prop_map(Value::Map).boxed(),
        _ => word(),
    };
    prop_oneof![20 => own, 1 => Just(Value::Null), 1 => word(), 1 => map(&["x"], number()).prop_map(Value::Map)].boxed()
}

/// Every field of the schema, and one that it does not name.
pub(crate) const FIELDS: [&str; 28] = [
    "atom", "prose", "loc", "tags", "seq", "top", "low", "step", "when", "count", "deep", "qc",
    "hook", "whole", "group", "win", "cast", "rail", "apart", "rate", "kept", "gone", "said",
    "made", "names", "people", "free", "more",
];

/// A document with some of the fields.
fn document() -> BoxedStrategy<ValueMap> {
    let fields: Vec<BoxedStrategy<Option<Value>>> =
        FIELDS.iter().map(|name| weighted(0.6, field(name)).boxed()).collect();
    fields
        .prop_map(|values| {
            let entries = FIELDS.iter().zip(values);
            entries.filter_map(|(name, value)| Some(((*name).to_owned(), value?))).collect()
        })
        .boxed()
}

/// A few fields of a document changed, or taken out.
fn changes() -> BoxedStrategy<Vec<(&'static str, Option<Value>)>> {
    let change = select(&FIELDS[..])
        .prop_flat_map(|name| weighted(0.8, field(name)).prop_map(move |value| (name, value)));
    vec(change, 0..10).boxed()
}

fn changed(root: &ValueMap, changes: &[(&'static str, Option<Value>)]) -> ValueMap {
    let mut map = root.clone();
    for (name, value) in changes {
        match value {
            Some(value) => drop(map.insert((*name).to_owned(), value.clone())),
            None => drop(map.remove(*name)),
        }
    }
    map
}

/// What a law is about: documents made from one root, and for each three more, to be merged into a
/// document with conflicts.
#[derive(Clone, Debug)]
pub(crate) struct World {
    /// Base, ours, theirs, and one more side; without conflicts.
    pub(crate) clean: Vec<Doc>,
    /// For some of these, the sides of a merge that they are the base of.
    pub(crate) disputes: Vec<Option<(Doc, Doc)>>,
}

pub(crate) fn world() -> BoxedStrategy<World> {
    let term = (changes(), prop_oneof![24 => Just(true), 1 => Just(false)]);
    let dispute = prop_oneof![2 => Just(None), 1 => (changes(), changes()).prop_map(Some)];
    (document(), vec(term, 4), vec(dispute, 4))
        .prop_map(|(root, terms, disputes)| {
            let maps: Vec<ValueMap> =
                terms.iter().map(|(changes, _)| changed(&root, changes)).collect();
            let of = |map: &ValueMap, dispute: &Option<(Vec<_>, Vec<_>)>| {
                let (one, two) = dispute.as_ref()?;
                let side = |changes| Some(Value::Map(changed(map, changes)));
                Some((side(one), side(two)))
            };
            World {
                disputes: maps.iter().zip(&disputes).map(|(map, it)| of(map, it)).collect(),
                clean: maps
                    .into_iter()
                    .zip(&terms)
                    .map(|(map, (_, there))| there.then_some(Value::Map(map)))
                    .collect(),
            }
        })
        .boxed()
}
