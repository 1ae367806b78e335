//! Documents with a field for every kind and policy, made from one root by small changes, so that
//! sides often meet; and the schema they are under.

use std::sync::{Arc, LazyLock};

use ottvc_merge::Schema;
use ottvc_object::value::{KeyedList, Timestamp, Value, ValueMap, value_to_json};

use super::documents::ASSETS;
use super::draw::Draw;

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
    doc.as_ref().map(|doc| match doc {
        Value::Map(map) => {
            let left = map.iter().filter(|(key, _)| !fields.contains(&key.as_str()));
            Value::Map(left.map(|(key, value)| (key.clone(), value.clone())).collect())
        }
        other => other.clone(),
    })
}

fn word(draw: &mut Draw<'_>) -> Value {
    Value::from(draw.pick(&["", "x", "y", "xyz"]))
}

fn number(draw: &mut Draw<'_>) -> Value {
    Value::Int(draw.below(6) as i64)
}

fn decimal(draw: &mut Draw<'_>) -> Value {
    Value::decimal(draw.below(30) as i128, -1).unwrap()
}

/// The words of one sentence, each kept, changed or left out; now and then one is put in.
fn prose(draw: &mut Draw<'_>) -> Value {
    let mut words: Vec<&str> = Vec::new();
    for word in ["a", "b", "c", "d", "e"] {
        match draw.below(10) {
            7 => {}
            8 => words.push("x"),
            9 => words.push("y y"),
            _ => words.push(word),
        }
    }
    Value::text(words.join(" "))
}

fn seq(draw: &mut Draw<'_>) -> Value {
    let mut elements: Vec<i64> = Vec::new();
    for element in 1..=4 {
        match draw.below(11) {
            8 => {}
            9 => elements.extend([8, 9]),
            10 => elements.push(7),
            _ => elements.push(element),
        }
    }
    Value::Array(elements.into_iter().map(Value::Int).collect())
}

fn map(draw: &mut Draw<'_>, keys: &[&str], value: fn(&mut Draw<'_>) -> Value) -> ValueMap {
    let there = keys.iter().filter_map(|key| {
        let there = draw.below(10) < 6;
        there.then(|| ((*key).to_owned(), value(draw)))
    });
    there.collect()
}

/// Items p to s, mostly in this order.
fn list(draw: &mut Draw<'_>) -> Value {
    let mut items: Vec<ValueMap> = Vec::new();
    for id in ["p", "q", "r", "s"] {
        if draw.below(10) < 7 {
            let mut item = map(draw, &["n", "m", "x", "y"], number);
            item.insert("id".into(), id.into());
            items.push(item);
        }
    }
    let turn = if draw.chance(1, 4) { draw.below(3) + 1 } else { 0 };
    let place = turn.min(items.len());
    items.rotate_left(place);
    Value::Keyed(KeyedList::new(vec!["id".into()], items).unwrap())
}

/// Entries k to m, each often under another key, and then knowing its own.
fn named(draw: &mut Draw<'_>) -> Vec<(String, ValueMap)> {
    let mut all: Vec<(String, ValueMap)> = Vec::new();
    for key in ["k", "l", "m"] {
        if draw.chance(1, 5) {
            continue;
        }
        let mut map = map(draw, &["x", "y"], number);
        let new = [None, None, Some("u"), Some("v")][draw.below(4)];
        let new = new.filter(|new| !all.iter().any(|(key, _)| key == new));
        if new.is_some() {
            map.insert("$from".into(), Value::set_of([Value::from(key)]).unwrap());
        }
        all.push((new.unwrap_or(key).to_owned(), map));
    }
    all
}

/// Up to three of four.
fn tags(draw: &mut Draw<'_>) -> Value {
    let mut tags: Vec<&str> =
        ["a", "b", "c", "d"].into_iter().filter(|_| draw.chance(1, 2)).collect();
    tags.truncate(3);
    Value::set_of(tags.into_iter().map(Value::from)).unwrap()
}

fn localized(draw: &mut Draw<'_>) -> Value {
    let mut all: Vec<(&str, Value)> = Vec::new();
    for tag in ["en", "fr"] {
        if draw.below(10) < 7 {
            all.push((tag, prose(draw)));
        }
    }
    Value::localized(all).unwrap()
}

/// What a field mostly has; now and then it has null, or a value of another kind.
fn field(draw: &mut Draw<'_>, name: &str) -> Value {
    match draw.below(23) {
        20 => return Value::Null,
        21 => return word(draw),
        22 => return Value::Map(map(draw, &["x"], number)),
        _ => {}
    }
    match name {
        "prose" => prose(draw),
        "loc" => localized(draw),
        "tags" => tags(draw),
        "seq" => seq(draw),
        "top" | "count" => number(draw),
        "low" => decimal(draw),
        "step" => Value::from(draw.pick(&["a", "b", "c", "d"])),
        "when" => Value::Timestamp(Timestamp::new(draw.below(4) as i64, 0).unwrap()),
        "deep" => {
            let outer = map(draw, &["a"], word);
            let inner = Value::Map(map(draw, &["count"], decimal));
            Value::map(outer.into_iter().chain([("inner".to_owned(), inner)]))
        }
        "qc" => Value::Map(map(draw, &["rev", "v"], number)),
        "whole" | "group" | "kept" | "gone" => Value::Map(map(draw, &["x", "y", "z"], number)),
        "win" | "cast" | "rail" | "apart" | "rate" => list(draw),
        "free" => match draw.below(9) {
            0 => Value::Bool(draw.chance(1, 2)),
            1 => decimal(draw),
            2 => seq(draw),
            3 => tags(draw),
            4 => prose(draw),
            5 => list(draw),
            6 => ASSETS[draw.below(3)].clone(),
            7 => localized(draw),
            _ => Value::Map(map(draw, &["x", "y"], number)),
        },
        "names" => Value::map(named(draw).into_iter().map(|(key, map)| (key, Value::Map(map)))),
        "people" => {
            let mut all = named(draw);
            all.sort_by(|a, b| a.0.cmp(&b.0));
            let items = all.into_iter().map(|(key, mut map)| {
                map.insert("id".into(), key.into());
                map
            });
            Value::Keyed(KeyedList::new(vec!["id".into()], items).unwrap())
        }
        "made" => Value::Map(map(draw, &["x", "y"], number)),
        _ => word(draw),
    }
}

/// Every field of the schema, and two that it does not name.
pub(crate) const FIELDS: [&str; 28] = [
    "atom", "prose", "loc", "tags", "seq", "top", "low", "step", "when", "count", "deep", "qc",
    "hook", "whole", "group", "win", "cast", "rail", "apart", "rate", "kept", "gone", "said",
    "made", "names", "people", "free", "more",
];

/// The fields that a world is about: mostly a few, so that its sides meet there; now and then all.
fn about(draw: &mut Draw<'_>) -> Vec<&'static str> {
    match draw.below(64) {
        63 => FIELDS.to_vec(),
        other => (0..=other % 3).map(|_| draw.pick(&FIELDS)).collect(),
    }
}

/// A document with some of these fields.
fn document(draw: &mut Draw<'_>, about: &[&str]) -> ValueMap {
    let mut document = ValueMap::new();
    for name in about {
        if draw.below(10) < 8 {
            document.insert((*name).to_owned(), field(draw, name));
        }
    }
    document
}

/// The document with some of these fields changed, or taken out.
fn changed(draw: &mut Draw<'_>, root: &ValueMap, about: &[&str]) -> ValueMap {
    let mut map = root.clone();
    for name in about {
        match draw.below(10) {
            0..4 => {}
            4 => drop(map.remove(*name)),
            _ => drop(map.insert((*name).to_owned(), field(draw, name))),
        }
    }
    map
}

/// What a law is about: documents made from one root, and for each two more, to be merged into a
/// document with conflicts.
#[derive(Clone)]
pub(crate) struct World {
    /// Base, ours, theirs, and one more side; without conflicts.
    pub(crate) clean: Vec<Doc>,
    /// For some of these, the sides of a merge that they are the base of.
    pub(crate) disputes: Vec<Option<(Doc, Doc)>>,
    /// Whether a sound engine merges it under the schema; mostly.
    pub(crate) schema: bool,
    /// For laws that hold of every place or choice, which of them is tried here.
    pub(crate) turn: usize,
}

/// As JSON, to be read.
impl std::fmt::Debug for World {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let json =
            |doc: &Doc| doc.as_ref().map_or("-".into(), |doc| value_to_json(doc).to_string());
        for (doc, dispute) in self.clean.iter().zip(&self.disputes) {
            write!(out, "\n  {}", json(doc))?;
            if let Some((one, two)) = dispute {
                write!(out, "\n    or merged: {}\n      with: {}", json(one), json(two))?;
            }
        }
        write!(out, "\n  schema: {}, turn: {}", self.schema, self.turn)
    }
}

pub(crate) fn world(draw: &mut Draw<'_>) -> World {
    let (turn, schema) = (draw.below(256), !draw.chance(1, 4));
    let about = about(draw);
    let root = document(draw, &about);
    let (mut clean, mut disputes) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        let map = changed(draw, &root, &about);
        disputes.push(draw.chance(1, 4).then(|| {
            let mut side = || Some(Value::Map(changed(draw, &map, &about)));
            (side(), side())
        }));
        clean.push((!draw.chance(1, 25)).then_some(Value::Map(map)));
    }
    World { clean, disputes, schema, turn }
}
