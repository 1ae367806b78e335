//! Bases: the best common ancestors of two heads, and one base out of several.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use ottvc_merge::{
    Ancestry, BaseStep, MergeError, MergeOptions, best_common_ancestors, contest_values,
    merge_values, plan_base,
};
use ottvc_object::conflict::{ConflictKind, Terms};
use ottvc_object::field_path::FieldPath;
use ottvc_object::value::Value;
use ottvc_object::{CommitId, RepoPath};
use proptest::prelude::*;

/// A history: commit `n` has these parents, all of them lower numbers.
#[derive(Debug)]
struct History {
    parents: Vec<Vec<usize>>,
    lookups: Cell<usize>,
}

fn id(commit: usize) -> CommitId {
    let mut bytes = [0; 32];
    // Ids in no order of age.
    bytes[..8].copy_from_slice(&(commit as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    bytes[24..].copy_from_slice(&(commit as u64).to_be_bytes());
    CommitId(bytes)
}

fn number(id: CommitId) -> usize {
    usize::from_be_bytes(id.0[24..].try_into().unwrap())
}

impl History {
    fn new(parents: Vec<Vec<usize>>) -> Self {
        Self { parents, lookups: Cell::new(0) }
    }
    fn generation(&self, commit: usize) -> u64 {
        let mut all: Vec<u64> = Vec::new();
        for parents in &self.parents[..=commit] {
            all.push(parents.iter().map(|parent| all[*parent]).max().unwrap_or(0) + 1);
        }
        all[commit]
    }
    fn lookup(&self, id: CommitId) -> Result<Ancestry, MergeError> {
        self.lookups.set(self.lookups.get() + 1);
        let commit = number(id);
        let parents = self.parents[commit].iter().map(|parent| self::id(*parent)).collect();
        Ok(Ancestry { parents, generation: self.generation(commit) })
    }
    fn ancestors(&self, commit: usize) -> BTreeSet<usize> {
        let mut all = BTreeSet::from([commit]);
        let mut open = vec![commit];
        while let Some(next) = open.pop() {
            open.extend(self.parents[next].iter().filter(|parent| all.insert(**parent)));
        }
        all
    }
    /// By definition: common ancestors that are no ancestor of another.
    fn bases_by_definition(&self, a: usize, b: usize) -> BTreeSet<usize> {
        let common: BTreeSet<usize> =
            self.ancestors(a).intersection(&self.ancestors(b)).copied().collect();
        let below = |one: &usize| {
            common.iter().any(|other| other != one && self.ancestors(*other).contains(one))
        };
        common.iter().filter(|one| !below(one)).copied().collect()
    }
    fn bases(&self, a: usize, b: usize) -> Vec<CommitId> {
        best_common_ancestors(|id| self.lookup(id), id(a), id(b)).unwrap()
    }
}

prop_compose! {
    fn history()(picks in prop::collection::vec((any::<u8>(), any::<u8>(), 0..6_u8), 2..24)) -> History {
        let parents = picks.iter().enumerate().map(|(commit, (a, b, how))| {
            let at = |pick: &u8| usize::from(*pick) % commit;
            match (commit, how) {
                (0, _) | (_, 0) => Vec::new(),
                (_, 1..3) => vec![at(a)],
                _ => BTreeSet::from([at(a), at(b)]).into_iter().collect(),
            }
        });
        History::new(parents.collect())
    }
}

proptest! {
    /// The walk finds what the definition says, sorted, whichever head comes first.
    #[test]
    fn bases_are_the_best_common_ancestors(history in history(), a in any::<u8>(), b in any::<u8>()) {
        let (a, b) = (usize::from(a) % history.parents.len(), usize::from(b) % history.parents.len());
        let found = history.bases(a, b);
        prop_assert!(found.is_sorted_by(|x, y| x < y));
        let expected = history.bases_by_definition(a, b);
        prop_assert_eq!(found.iter().copied().map(number).collect::<BTreeSet<_>>(), expected);
        prop_assert_eq!(history.bases(b, a), found);
    }

    /// A plan names earlier steps alone, and is the same whichever head comes first.
    #[test]
    fn plans_are_in_order(history in history(), a in any::<u8>(), b in any::<u8>()) {
        let (a, b) = (usize::from(a) % history.parents.len(), usize::from(b) % history.parents.len());
        let plan = |a, b| plan_base(|id| history.lookup(id), id(a), id(b)).unwrap();
        let there = plan(a, b);
        prop_assert_eq!(&there, &plan(b, a));
        prop_assert!(!there.steps.is_empty());
        for (at, step) in there.steps.iter().enumerate() {
            if let BaseStep::Merge { ours, base, theirs } = step {
                prop_assert!([ours, base, theirs].into_iter().all(|earlier| *earlier < at));
            }
        }
    }
}

#[test]
fn the_walk_stops_at_the_bases() {
    // 10,000 commits in a row, then two heads of two commits each.
    let mut parents: Vec<Vec<usize>> = vec![Vec::new()];
    parents.extend((0..9_999).map(|parent| vec![parent]));
    parents.extend([vec![9_999], vec![10_000], vec![9_999], vec![10_002]]);
    let history = History::new(parents);
    let generations: Vec<u64> = (1..=10_002).chain([10_001, 10_002]).collect();
    let lookup = |id: CommitId| {
        history.lookups.set(history.lookups.get() + 1);
        let parents = history.parents[number(id)].iter().map(|parent| self::id(*parent)).collect();
        Ok::<_, MergeError>(Ancestry { parents, generation: generations[number(id)] })
    };
    assert_eq!(best_common_ancestors(lookup, id(10_001), id(10_003)).unwrap(), [id(9_999)]);
    assert!(history.lookups.get() <= 6, "{} lookups", history.lookups.get());
}

#[test]
fn a_history_that_is_none_is_refused() {
    let lookup = |id: CommitId| {
        Ok::<_, MergeError>(Ancestry { parents: vec![self::id(1 - number(id))], generation: 7 })
    };
    let error = best_common_ancestors(lookup, id(0), id(1)).unwrap_err();
    assert_eq!(error.code(), "merge.bad_generation");
}

/// Carries out a plan over documents, as the facade does over trees.
fn base_value(
    history: &History,
    documents: &BTreeMap<usize, Value>,
    a: usize,
    b: usize,
) -> Option<Value> {
    let plan = plan_base(|id| history.lookup(id), id(a), id(b)).unwrap();
    let mut made: Vec<Option<Value>> = Vec::new();
    for step in plan.steps {
        made.push(match step {
            BaseStep::Empty => None,
            BaseStep::Commit(commit) => documents.get(&number(commit)).cloned(),
            BaseStep::Merge { ours, base, theirs } => {
                let terms =
                    Terms::three(made[ours].clone(), made[base].clone(), made[theirs].clone());
                merge_values(&terms, &MergeOptions::for_bases(), &RepoPath::root()).unwrap().value
            }
            BaseStep::Contested(commits) => {
                let values: Vec<Option<Value>> =
                    commits.into_iter().map(|id| documents.get(&number(id)).cloned()).collect();
                contest_values(&values).unwrap()
            }
        });
    }
    made.pop().unwrap()
}

fn x(value: i64) -> Value {
    Value::map([("x", Value::Int(value)), ("y", Value::Int(0))])
}

/// Cases 54 and 55: 0, then 1 and 2 from it, then two heads that merged both.
#[test]
fn crossed_histories_do_not_bring_an_ancestor_back() {
    let history = History::new(vec![vec![], vec![0], vec![0], vec![1, 2], vec![1, 2]]);
    let head = |ours: i64, theirs: i64| {
        let documents =
            BTreeMap::from([(0, x(0)), (1, x(1)), (2, x(2)), (3, x(ours)), (4, x(theirs))]);
        let base = base_value(&history, &documents, 3, 4);
        let at_x = |doc: &Option<Value>| doc.as_ref().unwrap().get(&"/x".parse().unwrap()).cloned();
        assert!(matches!(at_x(&base), Some(Value::Conflict(_))));
        let terms = Terms::three(Some(x(ours)), base, Some(x(theirs)));
        merge_values(&terms, &MergeOptions::default(), &RepoPath::root()).unwrap()
    };
    let crossed = head(1, 2);
    assert_eq!(crossed.conflicts, ["/x".parse::<FieldPath>().unwrap()]);
    let found = crossed.value.as_ref().unwrap().conflicts();
    assert_eq!(found[0].1.kind, ConflictKind::ContestedBase);
    let sides: Vec<_> = found[0].1.terms.adds().filter_map(|term| term.value()).collect();
    assert_eq!(sides, [&Value::Int(1), &Value::Int(2)]);
    assert_eq!(head(7, 7).value, Some(x(7)));
}

#[test]
fn unrelated_heads_start_from_nothing() {
    let history = History::new(vec![vec![], vec![]]);
    let plan = plan_base(|id| history.lookup(id), id(0), id(1)).unwrap();
    assert_eq!((plan.bases.len(), plan.steps), (0, vec![BaseStep::Empty]));
}

#[test]
fn too_many_bases_are_contested() {
    // One root, 33 children, two heads over all of them.
    let mut parents = vec![vec![]];
    parents.extend((0..33).map(|_| vec![0]));
    let all: Vec<usize> = (1..=33).collect();
    parents.extend([all.clone(), all]);
    let history = History::new(parents);
    let plan = plan_base(|id| history.lookup(id), id(34), id(35)).unwrap();
    assert_eq!(plan.bases.len(), 33);
    assert!(matches!(plan.steps.as_slice(), [BaseStep::Contested(all)] if all.len() == 33));
    let documents: BTreeMap<usize, Value> =
        (0..36).map(|n| (n, x(i64::try_from(n / 2).unwrap()))).collect();
    let base = base_value(&history, &documents, 34, 35).unwrap();
    let conflicts = base.conflicts();
    assert_eq!(conflicts.len(), 1, "contested where they differ alone");
    assert_eq!(conflicts[0].1.kind, ConflictKind::ContestedBase);
    assert_eq!(conflicts[0].1.terms.adds().count(), 17, "each value once");
}

#[test]
fn a_ladder_of_crossings_is_cut_at_a_depth() {
    // Two commits a rung, each a merge of both below.
    let mut parents = vec![vec![], vec![0], vec![0]];
    for rung in 0..30 {
        let both = vec![2 * rung + 1, 2 * rung + 2];
        parents.extend([both.clone(), both]);
    }
    let history = History::new(parents);
    let plan = plan_base(|id| history.lookup(id), id(61), id(62)).unwrap();
    let merges = plan.steps.iter().filter(|step| matches!(step, BaseStep::Merge { .. })).count();
    assert_eq!(merges, 16);
    assert!(plan.steps.iter().any(|step| matches!(step, BaseStep::Contested(_))));
}
