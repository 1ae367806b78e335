//! Laws of the merge under a schema with every policy; numbers are those of docs/merge.md, Laws.
//!
//! Each law is a function of a world and an engine, so that engines that are wrong on purpose can be
//! held against it: a law that lets all of them pass would be no law. `PROPTEST_CASES` sets how many
//! worlds each law is tried on; 10,000 where `CI` is set, fewer elsewhere. Worlds are about a few fields each,
//! so that they cost little and their sides meet; `enough_of_everything_is_drawn` counts what they are.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

#[path = "laws/census.rs"]
mod census;
#[path = "laws/documents.rs"]
#[allow(dead_code, reason = "other laws use the rest")]
mod documents;
#[path = "laws/draw.rs"]
mod draw;
#[path = "schema_laws/engine.rs"]
mod engine;
#[path = "schema_laws/leaves.rs"]
mod leaves;
#[path = "laws/marked.rs"]
mod marked;
#[path = "schema_laws/world.rs"]
mod world;

use std::collections::BTreeSet;

use census::{Census, KINDS};
use draw::{config, drawn, fixed};
use engine::Engine;
use leaves::{alike, alike_at, group_fields, is_made_from, kept, unit_at};
use ottvc_merge::{Choice, Merged, resolve_document};
use ottvc_object::Storable;
use ottvc_object::conflict::{Conflict, ConflictKind};
use ottvc_object::field_path::FieldPath;
use ottvc_object::value::{Document, Value, value_from_json, value_to_json};
use proptest::prelude::*;
use proptest::test_runner::{TestCaseResult, TestRunner};
use world::{COUNTED, Doc, FIELDS, MADE, MOVED, NEW, ORDERED, World, without, world};

/// A law: whatever the world, the engine keeps it.
type Law = fn(&World, Engine) -> TestCaseResult;

/// How many worlds each law is tried on, but for CI and `PROPTEST_CASES`.
const FEW: u32 = 500;

fn holds(law: Law) {
    let mut runner = TestRunner::new(config(file!(), FEW));
    let run = runner.run(&drawn(world), |world| law(&world, world.engine()));
    run.unwrap_or_else(|error| panic!("{error}"));
}

/// Names every law once: as a test of the engine, and for the engines that are wrong.
macro_rules! laws {
    ($($(#[$doc:meta])* $name:ident)*) => {
        mod of_the_engine {
            $(#[test] fn $name() { super::holds(super::$name); })*
        }
        const LAWS: &[(&str, Law)] = &[$((stringify!($name), $name)),*];
    };
}

laws! {
    identity unit agreement symmetry determinism no_silent_loss no_invention locality
    disjoint_edits minimality taking_a_side settled_once absorption folding crossed_bases storage one_sided renames
    settled_by_lines
}

/// An engine that is wrong breaks a law, and not by chance: the same one each time.
#[test]
fn every_planted_fault_is_caught() {
    let breaks = |law: &Law, engine: Engine| {
        fixed(3000).run(&drawn(world), |world| law(&world, engine)).is_err()
    };
    for engine in Engine::WRONG {
        let broken = LAWS.iter().find(|(_, law)| breaks(law, engine));
        assert!(broken.is_some(), "no law is broken by {engine:?}");
    }
}

/// Plain JSON gives back every document that has the kinds its schema names, and converting, judging
/// and describing end for all others.
#[test]
fn plain_json_loses_nothing() {
    let schema = &*world::SCHEMA;
    let run = TestRunner::new(config(file!(), FEW)).run(&drawn(world), |world| {
        for doc in
            world.clean.iter().chain(&world.disputed(Engine::Sound { schema: true }, &[])).flatten()
        {
            let converted = schema.convert(doc);
            prop_assert_eq!(&schema.convert(&converted), &converted);
            prop_assert_eq!(&schema.read_plain(&schema.to_plain(&converted)).unwrap(), &converted);
            prop_assert!(Document::new(converted.clone()).is_ok());
            ottvc_merge::schema::validate(&converted, schema);
        }
        Ok(())
    });
    run.unwrap();
}

/// The laws are tried on every field of the schema, disputed; on every kind of value; on every kind of
/// conflict that a merge leaves; and on merges that leave none.
#[test]
fn enough_of_everything_is_drawn() {
    let sound = Engine::Sound { schema: true };
    let census = Census::of(20_000, world, |census, world| {
        let field = |at: usize, name: &str| match &world.clean[at] {
            Some(Value::Map(map)) => map.get(name),
            _ => None,
        };
        for name in FIELDS {
            let [base, ours, theirs] = [0, 1, 2].map(|at| field(at, name));
            if base != ours && base != theirs && ours != theirs {
                census.count(name);
            }
            if base.is_some() && (ours.is_none() || theirs.is_none()) && ours != theirs {
                census.count(&format!("{name} removed"));
            }
        }
        let terms = world.disputed(sound, &[]);
        for doc in terms.iter().flatten() {
            census.value(doc, 0);
        }
        for (kind, terms) in [("clean", &world.clean), ("disputed", &terms)] {
            let merged = three(sound, &terms[0], &terms[1], &terms[2]);
            let left = if merged.conflicts.is_empty() { "settled" } else { "in conflict" };
            census.count(&format!("{kind}, {left}"));
            for (_, conflict) in conflicts(&merged.value) {
                census.count(conflict.kind.word());
                census.count(&conflict.policy);
            }
            for decision in &merged.decisions {
                census.count(&decision.rule);
            }
        }
    });
    let removed: Vec<String> = FIELDS.iter().map(|name| format!("{name} removed")).collect();
    let removed: Vec<&str> = removed.iter().map(String::as_str).collect();
    census.expect(&[
        (200, &FIELDS),
        (100, &removed),
        (300, &KINDS),
        (3000, &["clean, settled", "clean, in conflict"]),
        (3000, &["disputed, settled", "disputed, in conflict"]),
        (200, &["edit_edit", "add_add", "delete_edit", "type", "contested_base", "order"]),
        (50, &["invalid"]),
        (20, &["invariant", "rename_rename", "rename", "collision"]),
        (50, &["atomic", "group", "text(word)", "sequence", "ordered", "latest_by"]),
        (50, &["on_conflict: non_empty", "delete: edit_wins", "delete: delete_wins"]),
    ]);
}

/// Worlds that broke a law before it was mended, as the parts of them that mattered.
#[test]
fn what_broke_a_law_before_keeps_it() {
    let document =
        |json: &str| Some(value_from_json(&serde_json::from_str(json).unwrap()).unwrap());
    let people = |items: &str| {
        document(&format!(r#"{{"people": {{"$kl": {{"keys": ["id"], "items": [{items}]}}}}}}"#))
    };
    let names = |entries: &str| document(&format!(r#"{{"names": {{{entries}}}}}"#));
    let from_l = people(r#"{"id": "u", "$from": {"$set": ["l"]}}"#);
    let of_m = r#""k": {"x": 0}, "v": {"$from": {"$set": ["m"]}, "x": 2}"#;
    let worlds = [
        World {
            clean: vec![people(r#"{"id": "l"}"#), from_l.clone(), from_l.clone(), from_l.clone()],
            disputes: vec![
                None,
                Some((
                    people(r#"{"id": "l", "x": 3, "y": 4}, {"id": "m", "y": 1}"#),
                    people(r#"{"id": "u", "$from": {"$set": ["l"]}, "y": 3}"#),
                )),
                Some((from_l.clone(), from_l.clone())),
                Some((from_l.clone(), from_l)),
            ],
            schema: true,
            turn: 0,
        },
        World {
            clean: vec![names(r#""m": {}"#), names(of_m), document("{}"), document("{}")],
            disputes: vec![
                None,
                Some((names(of_m), names(of_m))),
                Some((
                    names(r#""k": {"x": 0}, "m": {"x": 4, "y": 3}"#),
                    names(r#""k": {"x": 1, "y": 5}, "l": {"x": 3, "y": 0}, "m": {"x": 5, "y": 5}"#),
                )),
                Some((names(r#""x": 1"#), document("{}"))),
            ],
            schema: true,
            turn: 0,
        },
    ];
    for (world, schema) in worlds.iter().flat_map(|world| [(world, true), (world, false)]) {
        for (name, law) in LAWS {
            let kept = law(world, Engine::Sound { schema });
            kept.unwrap_or_else(|error| panic!("{name}: {error} {world:?}"));
        }
    }
}

/// M(b, o, t).
fn three(engine: Engine, base: &Doc, ours: &Doc, theirs: &Doc) -> Merged {
    engine.run(vec![ours.clone(), base.clone(), theirs.clone()], false)
}

impl World {
    /// The engine, under the schema or without, as this world has it.
    fn engine(&self) -> Engine {
        Engine::Sound { schema: self.schema }
    }

    /// The documents without conflicts, without these fields, and without those that are made.
    fn clean(&self, fields: &[&str]) -> Vec<Doc> {
        let fields = [fields, &[MADE]].concat();
        self.clean.iter().map(|doc| without(doc, &fields)).collect()
    }

    /// The same, some of them merges that left conflicts.
    fn disputed(&self, engine: Engine, fields: &[&str]) -> Vec<Doc> {
        let fields = [fields, &[MADE]].concat();
        let strip = |doc: &Doc| without(doc, &fields);
        let sound = Engine::Sound { schema: engine.has_schema() };
        let terms = self.clean.iter().zip(&self.disputes);
        terms
            .map(|(doc, dispute)| match dispute {
                Some((one, two)) if doc.is_some() => {
                    three(sound, &strip(doc), &strip(one), &strip(two)).value
                }
                _ => strip(doc),
            })
            .collect()
    }
}

fn conflicts(doc: &Doc) -> Vec<(FieldPath, &Conflict<Value>)> {
    doc.as_ref().map(Value::conflicts).unwrap_or_default()
}

fn shown(docs: &[&Doc]) -> String {
    let line =
        |doc: &&Doc| doc.as_ref().map_or("-".to_owned(), |doc| value_to_json(doc).to_string());
    docs.iter().map(|doc| format!("\n  {}", line(doc))).collect()
}

/// L1: nothing changed, nothing changes.
fn identity(world: &World, engine: Engine) -> TestCaseResult {
    let terms = world.disputed(engine, &[]);
    let merged = three(engine, &terms[0], &terms[0], &terms[0]).value;
    prop_assert!(alike(&merged, &terms[0]), "{}", shown(&[&terms[0], &merged]));
    Ok(())
}

/// L2: a side that changed nothing has no say, whatever the policy.
fn unit(world: &World, engine: Engine) -> TestCaseResult {
    let terms = world.disputed(engine, &[]);
    let (base, side) = (&terms[0], &terms[1]);
    for merged in [three(engine, base, side, base), three(engine, base, base, side)] {
        prop_assert!(alike(&merged.value, side), "{}", shown(&[base, side, &merged.value]));
        prop_assert!(merged.decisions.is_empty());
    }
    Ok(())
}

/// L3: what both sides say holds, whatever the base; not where changes are counted.
fn agreement(world: &World, engine: Engine) -> TestCaseResult {
    let terms = world.disputed(engine, &COUNTED);
    let merged = three(engine, &terms[0], &terms[1], &terms[1]).value;
    prop_assert!(alike(&merged, &terms[1]), "{}", shown(&[&terms[0], &terms[1], &merged]));
    Ok(())
}

/// L4: ours and theirs are labels, not ranks; the order of more sides is irrelevant, too.
fn symmetry(world: &World, engine: Engine) -> TestCaseResult {
    let terms = world.disputed(engine, &[]);
    let there = three(engine, &terms[0], &terms[1], &terms[2]);
    let back = three(engine, &terms[0], &terms[2], &terms[1]);
    let all = [&terms[0], &terms[1], &terms[2], &there.value, &back.value];
    prop_assert!(alike(&there.value, &back.value), "{}", shown(&all));
    prop_assert_eq!(&there.conflicts, &back.conflicts);
    let decided = |merged: &Merged| -> BTreeSet<(FieldPath, String)> {
        merged.decisions.iter().map(|one| (one.path.clone(), one.rule.clone())).collect()
    };
    prop_assert_eq!(decided(&there), decided(&back));
    let clean = world.clean(&[]);
    let there = three(engine, &clean[0], &clean[1], &clean[2]);
    let back = three(engine, &clean[0], &clean[2], &clean[1]);
    for ((_, one), (_, other)) in conflicts(&there.value).into_iter().zip(conflicts(&back.value)) {
        prop_assert_eq!(one.core_id(), other.core_id());
        prop_assert!(one.terms.as_slice().iter().eq(other.terms.as_slice().iter().rev()));
    }
    let octopus = |order: [usize; 3]| {
        let [a, b, c] = order.map(|at| terms[at].clone());
        engine.run(vec![a, terms[0].clone(), b, terms[0].clone(), c], false).value
    };
    prop_assert!(alike(&octopus([1, 2, 3]), &octopus([3, 1, 2])));
    Ok(())
}

/// L5: the same bytes in, the same bytes out, on any thread (tried now and then, as threads take longer
/// than merges); with fields that are made, too.
fn determinism(world: &World, engine: Engine) -> TestCaseResult {
    let run = move |terms: &[Doc]| {
        let merged = three(engine, &terms[0], &terms[1], &terms[2]);
        (merged.value.map(|value| value.canonical_bytes()), merged.conflicts, merged.decisions)
    };
    let terms = world.clean.clone();
    let here = run(&terms);
    let there = match world.turn {
        0 => std::thread::spawn(move || run(&terms)).join().unwrap(),
        _ => run(&terms),
    };
    prop_assert_eq!(here, there);
    Ok(())
}

/// L6: what a side changed is in the result, in a conflict, in the decisions, or was weighed by a
/// policy that the other side's change brought in.
fn no_silent_loss(world: &World, engine: Engine) -> TestCaseResult {
    let terms = world.clean(&MOVED);
    let merged = three(engine, &terms[0], &terms[1], &terms[2]);
    let schema = engine.has_schema();
    for (side, other) in [(1, 2), (2, 1)] {
        let lost = kept(&terms[0], &terms[side], &terms[other], &merged, schema);
        prop_assert!(
            lost.is_none(),
            "{}: {}",
            lost.unwrap(),
            shown(&[&terms[0], &terms[1], &terms[2], &merged.value])
        );
    }
    Ok(())
}

/// L7: everything in the result is some side's, at its own place, or made by a policy that makes.
fn no_invention(world: &World, engine: Engine) -> TestCaseResult {
    let made = [&NEW[..], &MOVED[..]].concat();
    let terms = world.clean(if engine.has_schema() { &made } else { &[] });
    let merged = three(engine, &terms[0], &terms[1], &terms[2]);
    let invented = is_made_from(&merged.value, &[&terms[1], &terms[2]]);
    prop_assert!(
        invented.is_none(),
        "{}: {}",
        invented.unwrap(),
        shown(&[&terms[0], &terms[1], &terms[2], &merged.value])
    );
    Ok(())
}

/// L8: where nobody changed anything nothing changes.
fn locality(world: &World, engine: Engine) -> TestCaseResult {
    let terms = world.disputed(engine, &[]);
    let merged = three(engine, &terms[0], &terms[1], &terms[2]).value;
    let maps: Vec<&Value> = terms.iter().take(3).flatten().collect();
    let all_maps = maps.len() == 3 && maps.iter().all(|doc| matches!(doc, Value::Map(_)));
    for field in FIELDS.iter().filter(|_| all_maps) {
        let path: FieldPath = format!("/{field}").parse().unwrap();
        let [base, ours, theirs] = [0, 1, 2].map(|at| maps[at].get(&path));
        if alike_at(base, ours) && alike_at(base, theirs) {
            let now = merged.as_ref().and_then(|doc| doc.get(&path));
            prop_assert!(alike_at(base, now), "{field}");
        }
    }
    Ok(())
}

/// L8: edits of different fields never conflict, and both are in the result.
fn disjoint_edits(world: &World, engine: Engine) -> TestCaseResult {
    let terms = world.clean(&[]);
    let [Some(Value::Map(base)), Some(Value::Map(one)), Some(Value::Map(two))] =
        [&terms[0], &terms[1], &terms[2]]
    else {
        return Ok(());
    };
    let take = |from: &ottvc_object::value::ValueMap, half: usize, into: &Doc| {
        let Some(Value::Map(mut map)) = into.clone() else { unreachable!() };
        for field in FIELDS.iter().skip(half).step_by(2).filter(|field| **field != MADE) {
            match from.get(*field) {
                Some(value) => drop(map.insert((*field).to_owned(), value.clone())),
                None => drop(map.remove(*field)),
            }
        }
        Some(Value::Map(map))
    };
    let base = Some(Value::Map(base.clone()));
    let (ours, theirs) = (take(one, 0, &base), take(two, 1, &base));
    let merged = three(engine, &base, &ours, &theirs);
    prop_assert_eq!(&merged.value, &take(two, 1, &ours));
    prop_assert!(merged.conflicts.is_empty() && merged.decisions.is_empty());
    Ok(())
}

/// L9: a conflict is where both sides changed one unit, differently; none lies below another.
fn minimality(world: &World, engine: Engine) -> TestCaseResult {
    let terms = world.clean(&MOVED);
    let merged = three(engine, &terms[0], &terms[1], &terms[2]);
    for (path, conflict) in conflicts(&merged.value) {
        prop_assert_eq!(&path, &conflict.path);
        let [base, ours, theirs] = [0, 1, 2].map(|at| unit_at(&terms[at], &path, conflict));
        let told = || format!("{path} {conflict:?} {}", shown(&[&terms[0], &terms[1], &terms[2]]));
        prop_assert!(base != ours && base != theirs && ours != theirs, "{}", told());
    }
    let disputed = world.disputed(engine, &[]);
    let merged = three(engine, &disputed[0], &disputed[1], &disputed[2]);
    prop_assert!(merged.conflicts.is_sorted_by(|a, b| a < b));
    for path in &merged.conflicts {
        let below = |other: &FieldPath| other != path && path.starts_with(other);
        prop_assert!(!merged.conflicts.iter().any(below), "{path}");
    }
    for (path, conflict) in conflicts(&merged.value) {
        prop_assert_eq!(&path, &conflict.path);
        prop_assert!(!conflict.terms.adds().any(|term| term.contested().is_some()));
        let contested = conflict.terms.removes().any(|term| term.contested().is_some());
        prop_assert!(!contested || conflict.kind == ConflictKind::ContestedBase);
    }
    Ok(())
}

/// L10: settling every conflict by one side gives that side's units there, groups and orders included.
fn taking_a_side(world: &World, engine: Engine) -> TestCaseResult {
    let terms = world.clean(&MOVED);
    let merged = three(engine, &terms[0], &terms[1], &terms[2]).value;
    for (choice, side) in [(Choice::Ours, &terms[1]), (Choice::Theirs, &terms[2])] {
        let settled = resolved(&merged, &mut |_| choice.clone());
        prop_assert!(conflicts(&settled).is_empty());
        for (path, conflict) in conflicts(&merged) {
            let units = group_fields(&path, conflict).unwrap_or_else(|| vec![path.clone()]);
            for unit in units {
                let [now, had] = [&settled, side].map(|doc| unit_at(doc, &unit, conflict));
                match (conflict.kind, now, had) {
                    // An order has every key that is left; those the side lacks come at its end.
                    (ConflictKind::Order, Some(Value::Array(now)), Some(Value::Array(had))) => {
                        let left: Vec<&Value> =
                            had.iter().filter(|key| now.contains(key)).collect();
                        prop_assert!(now.iter().take(left.len()).eq(left), "{unit}");
                    }
                    (_, now, had) => prop_assert!(alike(&now, &had), "{unit}"),
                }
            }
        }
    }
    Ok(())
}

/// L10: once a merge is settled, however it was, its parents are its ancestors: each is the base of
/// another merge of it, and that changes nothing, whichever side it is merged from.
fn settled_once(world: &World, engine: Engine) -> TestCaseResult {
    let all =
        if world.turn.is_multiple_of(2) { world.clean(&[]) } else { world.disputed(engine, &[]) };
    let [base, ours, theirs] = [&all[0], &all[1], &all[2]];
    let merged = three(engine, base, ours, theirs).value;
    let settled = resolved(&merged, &mut |at| {
        let choices = [Choice::Ours, Choice::Theirs, Choice::Base, Choice::Absent];
        choices[(world.turn / 2 + at) % 4].clone()
    });
    prop_assert!(conflicts(&settled).is_empty());
    for parent in [ours, theirs] {
        for again in
            [three(engine, parent, &settled, parent), three(engine, parent, parent, &settled)]
        {
            prop_assert!(
                alike(&again.value, &settled),
                "{}",
                shown(&[parent, &settled, &again.value])
            );
            prop_assert!(again.conflicts.is_empty() && again.decisions.is_empty());
        }
    }
    Ok(())
}

/// Settles every conflict by what `choice` says for the one of this number, and what conflicts the value
/// taken brings along; by another way where that one cannot be taken, as a contested base cannot, nor a
/// place where another entry stands.
fn resolved(merged: &Doc, choice: &mut dyn FnMut(usize) -> Choice) -> Doc {
    let mut settled = merged.clone();
    for at in 0.. {
        let Some(document) = &settled else { break };
        let Some((path, _)) = document.conflicts().into_iter().next() else { break };
        let by = |choice| resolve_document(document, &path, &choice);
        let next = by(choice(at))
            .or_else(|_| by(Choice::Ours))
            .or_else(|_| by(Choice::Theirs))
            .or_else(|_| by(Choice::Absent));
        settled = next.unwrap();
    }
    settled
}

/// Under renames: each entry of the base is in the result once, unless a side removed it, and what a
/// side says in it is there, or in a conflict.
fn renames(world: &World, engine: Engine) -> TestCaseResult {
    let terms = world.clean(&[]);
    let maps: Vec<&Value> = terms.iter().take(3).flatten().collect();
    let path: FieldPath = "/names".parse().unwrap();
    let found: Option<Vec<&ottvc_object::value::ValueMap>> = maps
        .iter()
        .map(|doc| if let Some(Value::Map(map)) = doc.get(&path) { Some(map) } else { None })
        .collect();
    let merged = three(engine, &terms[0], &terms[1], &terms[2]).value;
    let Some(Value::Map(result)) = merged.as_ref().and_then(|doc| doc.get(&path)) else {
        return Ok(());
    };
    let Some([base, ours, theirs]) = found.as_deref() else { return Ok(()) };
    if !engine.has_schema() {
        return Ok(());
    }
    let is = |key: &String, now: &String, value: &Value| {
        let from = if let Value::Map(map) = value { map.get("$from") } else { None };
        let former =
            matches!(from, Some(Value::Set(set)) if set.contains(&Value::from(key.as_str())));
        now == key || former
    };
    let has = |map: &ottvc_object::value::ValueMap, key: &String| {
        map.get(key).is_some() || map.iter().any(|(now, value)| is(key, now, value))
    };
    for key in base.keys() {
        let times = result.iter().filter(|(now, value)| is(key, now, value)).count();
        let kept = has(ours, key) && has(theirs, key);
        let disputed = result.values().any(|value| matches!(value, Value::Conflict(_)));
        // Keys that both a new and a renamed entry bear make two of one.
        let reused = |map: &ottvc_object::value::ValueMap| {
            map.iter().filter(|(now, value)| is(key, now, value)).count() > 1
        };
        // Nor is a key new that the base has for another entry.
        let taken = |map: &ottvc_object::value::ValueMap| {
            map.iter().any(|(now, it)| now != key && is(key, now, it) && base.contains_key(now))
        };
        let plain = !disputed
            && ![ours, theirs, base].into_iter().any(|map| reused(map))
            && !taken(ours)
            && !taken(theirs);
        prop_assert!(
            !(kept && plain) || times == 1,
            "{key}: {}",
            shown(&[&terms[0], &terms[1], &terms[2], &merged])
        );
    }
    Ok(())
}

/// L11: merging a clean result with either side again changes nothing; not what is put together of
/// both, and not an order that says something.
fn absorption(world: &World, engine: Engine) -> TestCaseResult {
    let terms = world.clean(&[&NEW[..], &ORDERED[..]].concat());
    let merged = three(engine, &terms[0], &terms[1], &terms[2]);
    // Without a schema every list has an order of its own.
    if merged.conflicts.is_empty() && engine.has_schema() {
        for side in [1, 2] {
            let again = three(engine, &terms[0], &merged.value, &terms[side]).value;
            let all = [&terms[0], &terms[1], &terms[2], &merged.value, &again];
            prop_assert!(alike(&again, &merged.value), "{}", shown(&all));
        }
    }
    Ok(())
}

/// Leaving a side's lines in the text of a document is taking that side; also for groups and renames.
fn settled_by_lines(world: &World, engine: Engine) -> TestCaseResult {
    let turn = world.turn;
    let terms =
        if turn.is_multiple_of(2) { world.clean.clone() } else { world.disputed(engine, &[]) };
    if let Some(document) = three(engine, &terms[0], &terms[1], &terms[2]).value {
        let schema = engine.schema().filter(|_| (turn / 2).is_multiple_of(2));
        marked::settles_by_lines(&document, schema.as_deref(), turn / 4)?;
    }
    Ok(())
}

/// L12: three sides merge the same at once and one after the other, where that is clean.
fn folding(world: &World, engine: Engine) -> TestCaseResult {
    // Not: what is made of two sides at a time, orders that say something, and units that a tie or a
    // fallback decides.
    let mut not: Vec<&str> = vec!["prose", "loc", "seq", "qc", "hook", "said", "kept"];
    not.extend(ORDERED);
    // Renames are followed between two sides.
    not.extend(MOVED);
    let terms = world.clean(&not);
    let (base, x, y, z) = (&terms[0], &terms[1], &terms[2], &terms[3]);
    let left = three(engine, base, x, y);
    let right = three(engine, base, y, z);
    if !engine.has_schema() || !left.conflicts.is_empty() || !right.conflicts.is_empty() {
        return Ok(());
    }
    let left = three(engine, base, &left.value, z);
    let right = three(engine, base, x, &right.value);
    let side = |doc: &Doc| doc.clone();
    let octopus = engine.run(vec![side(x), side(base), side(y), side(base), side(z)], false);
    let clean = [&left, &right, &octopus].iter().all(|merged| merged.conflicts.is_empty());
    if clean {
        let all = [base, x, y, z, &left.value, &right.value, &octopus.value];
        prop_assert!(alike(&left.value, &right.value), "{}", shown(&all));
        prop_assert!(alike(&left.value, &octopus.value), "{}", shown(&all));
    }
    Ok(())
}

/// L13: the order of crossed bases is irrelevant, and no value of an ancestor comes back that no side
/// has.
fn crossed_bases(world: &World, engine: Engine) -> TestCaseResult {
    let made = [&NEW[..], &MOVED[..]].concat();
    let terms = world.clean(if engine.has_schema() { &made } else { &[] });
    let bases = |one: usize, two: usize| {
        engine.run(vec![terms[one].clone(), terms[0].clone(), terms[two].clone()], true)
    };
    let (here, there) = (bases(1, 2), bases(2, 1));
    prop_assert!(
        here.decisions.is_empty()
            || here.decisions.iter().all(|one| one.rule.starts_with("delete"))
    );
    // One head grew from a base; the other is a base, or grew from elsewhere.
    for theirs in [1, 0] {
        let merged = three(engine, &here.value, &terms[3], &terms[theirs]);
        let other = three(engine, &there.value, &terms[3], &terms[theirs]);
        prop_assert!(alike(&merged.value, &other.value));
        let invented = is_made_from(&merged.value, &[&terms[3], &terms[theirs]]);
        prop_assert!(invented.is_none(), "{}", invented.unwrap());
    }
    Ok(())
}

/// L15: stored and read back, documents merge as they did, and the result can be stored.
fn storage(world: &World, engine: Engine) -> TestCaseResult {
    let stored = |doc: &Doc| {
        doc.as_ref().map(|value| {
            let object = Document::new(value.clone()).unwrap().to_object().unwrap();
            Document::from_object(&object).unwrap().into_value()
        })
    };
    let terms = world.disputed(engine, &[]);
    let read: Vec<Doc> = terms.iter().map(stored).collect();
    let merged = three(engine, &terms[0], &terms[1], &terms[2]).value;
    let again = three(engine, &read[0], &read[1], &read[2]).value;
    prop_assert_eq!(&again, &merged);
    prop_assert_eq!(stored(&merged), merged);
    Ok(())
}

/// L16: a schema changes nothing that only one side changed.
fn one_sided(world: &World, engine: Engine) -> TestCaseResult {
    let terms = world.clean(&[]);
    let merged = three(engine, &terms[0], &terms[1], &terms[2]).value;
    let plain = three(Engine::Sound { schema: false }, &terms[0], &terms[1], &terms[2]).value;
    let maps: Vec<&Value> = terms.iter().take(3).flatten().collect();
    for field in FIELDS.iter().filter(|_| maps.len() == 3) {
        let path: FieldPath = format!("/{field}").parse().unwrap();
        let [base, ours, theirs] = [0, 1, 2].map(|at| maps[at].get(&path));
        let Some(changed) = (match () {
            () if alike_at(base, ours) => Some(theirs),
            () if alike_at(base, theirs) => Some(ours),
            () => None,
        }) else {
            continue;
        };
        for result in [&merged, &plain] {
            let now = result.as_ref().and_then(|doc| doc.get(&path));
            prop_assert!(alike_at(now, changed), "{field}");
        }
    }
    Ok(())
}
