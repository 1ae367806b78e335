//! Merges of plain JSON objects, held against nbdime, a three-way merge that nobody here wrote.
//!
//! The two agree on which merges are clean and on what comes of them, but for what docs/merge.md lists
//! (Another engine's word).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

use std::io::Write as _;
use std::process::{Command, Stdio};

use ottvc_merge::{MergeOptions, merge_values};
use ottvc_object::RepoPath;
use ottvc_object::conflict::Terms;
use ottvc_object::value::{Value, value_from_json, value_to_json};
use ottvc_testkit::tools::{PythonTool, python_tool};
use proptest::collection::btree_map;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use serde_json::{Map, Value as Json, json};

/// How many merges are compared.
const TRIPLES: usize = 3000;

/// Says of each triple on a line of its input whether it is clean, and what it becomes.
const JUDGE: &str = r"
import json, logging, sys
logging.disable(logging.CRITICAL)
from nbdime.merging.decisions import apply_decisions
from nbdime.merging.generic import decide_merge
for line in sys.stdin:
    base, ours, theirs = json.loads(line)
    decisions = decide_merge(base, ours, theirs)
    clean = not any(decision.conflict for decision in decisions)
    print(json.dumps({'clean': clean, 'merged': apply_decisions(base, decisions)}), flush=True)
";

/// Objects of objects and strings: few keys and few strings, so that sides often collide.
fn object(depth: u32) -> BoxedStrategy<Json> {
    let text = select(vec!["drama", "comedy", "PG", "12"]).prop_map(Json::from);
    let value = match depth {
        0 => text.boxed(),
        _ => prop_oneof![3 => text, 2 => object(depth - 1)].boxed(),
    };
    let key = select(vec!["a", "b", "c", "d"]).prop_map(str::to_owned);
    btree_map(key, value, 0..4)
        .prop_map(|members| Json::Object(members.into_iter().collect()))
        .boxed()
}

/// A side: the base with some of its members, at any depth, changed, removed or added.
fn side(base: &Json, runner: &mut TestRunner) -> Json {
    let mut draw = |most: u32| (0..most).new_tree(runner).unwrap().current();
    let mut made = Map::new();
    for (key, value) in base.as_object().into_iter().flatten() {
        match draw(10) {
            0 => {}
            1 => drop(made.insert(key.clone(), json!(["new", "newer"][draw(2) as usize]))),
            2 => drop(made.insert(key.clone(), json!({ "a": "new" }))),
            _ => drop(made.insert(key.clone(), value.clone())),
        }
    }
    if draw(3) == 0 {
        let key = ["a", "b", "e"][draw(3) as usize];
        made.entry(key).or_insert_with(|| json!("added"));
    }
    for value in made.values_mut().filter(|value| value.is_object()) {
        *value = side(value, runner);
    }
    Json::Object(made)
}

/// Whether one is what is left of the other when things are only taken out.
fn only_less(before: &Json, after: &Json) -> bool {
    match (before, after) {
        (Json::Object(before), Json::Object(after)) => after.iter().all(|(key, value)| {
            before.get(key).is_some_and(|it| it == value || only_less(it, value))
        }),
        _ => before == after,
    }
}

/// Whether the two engines mean to differ somewhere in it: ours merges inside two objects that both sides
/// added, and lets a removal include what was only made less; the other one calls both a conflict.
fn means_to_differ(base: Option<&Json>, ours: Option<&Json>, theirs: Option<&Json>) -> bool {
    if ours == theirs || ours == base || theirs == base {
        return false;
    }
    match (base, ours, theirs) {
        (None, Some(Json::Object(_)), Some(Json::Object(_))) => true,
        (Some(Json::Object(_)), None, Some(left)) | (Some(Json::Object(_)), Some(left), None) => {
            base.is_some_and(|base| only_less(base, left))
        }
        (Some(Json::Object(base)), Some(Json::Object(ours)), Some(Json::Object(theirs))) => {
            let keys = base.keys().chain(ours.keys()).chain(theirs.keys());
            let mut keys = keys.collect::<Vec<_>>();
            keys.dedup();
            keys.into_iter()
                .any(|key| means_to_differ(base.get(key), ours.get(key), theirs.get(key)))
        }
        _ => false,
    }
}

fn judge(tool: &PythonTool, triples: &[[Json; 3]]) -> Vec<Json> {
    let mut command = Command::new("python3");
    command.args(["-c", JUDGE]).stdin(Stdio::piped()).stdout(Stdio::piped());
    if let Some(packages) = &tool.packages {
        command.env("PYTHONPATH", packages);
    }
    let mut process = command.spawn().unwrap();
    let mut input = process.stdin.take().unwrap();
    let lines: Vec<String> = triples.iter().map(|triple| json!(triple).to_string()).collect();
    let writer = std::thread::spawn(move || {
        for line in lines {
            writeln!(input, "{line}").unwrap();
        }
    });
    let output = process.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn another_engine_says_the_same() {
    let Some(tool) = python_tool("nbmerge", "merges") else { return };
    let config = Config { rng_seed: RngSeed::Fixed(1), ..Config::default() };
    let mut runner = TestRunner::new(config);
    let triples: Vec<[Json; 3]> = (0..TRIPLES)
        .map(|_| {
            let base = object(2).new_tree(&mut runner).unwrap().current();
            let sides = [side(&base, &mut runner), side(&base, &mut runner)];
            let [ours, theirs] = sides;
            [base, ours, theirs]
        })
        .collect();
    let judged = judge(&tool, &triples);
    assert_eq!(judged.len(), TRIPLES);
    let (mut clean, mut conflicts, mut differ) = (0, 0, 0);
    for ([base, ours, theirs], judged) in triples.iter().zip(&judged) {
        let value = |json: &Json| -> Option<Value> { Some(value_from_json(json).unwrap()) };
        let terms = Terms::three(value(ours), value(base), value(theirs));
        let merged = merge_values(&terms, &MergeOptions::default(), &RepoPath::root()).unwrap();
        let words = format!("{base} {ours} {theirs}: {judged}, {merged:?}");
        if means_to_differ(Some(base), Some(ours), Some(theirs)) {
            assert_eq!(judged["clean"], false, "{words}");
            differ += 1;
            continue;
        }
        assert_eq!(judged["clean"], merged.conflicts.is_empty(), "{words}");
        if merged.conflicts.is_empty() {
            assert_eq!(judged["merged"], value_to_json(&merged.value.unwrap()), "{words}");
            clean += 1;
        } else {
            conflicts += 1;
        }
    }
    assert!(clean > 2000 && conflicts > 500 && differ > 15, "{clean} {conflicts} {differ}");
}
