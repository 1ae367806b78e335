//! The engine under test, and engines that are wrong on purpose: each must break a law.

use std::sync::{Arc, LazyLock};

use ottvc_merge::{
    Choice, Functions, MergeOptions, Merged, Schema, merge_values, resolve_document,
};
use ottvc_object::RepoPath;
use ottvc_object::conflict::{Term, Terms};
use ottvc_object::field_path::FieldPath;
use ottvc_object::value::{KeyedList, ListOrder, Value};

use super::world::{Doc, SCHEMA};

/// With a schema or without, for a merge of bases or not.
static OPTIONS: LazyLock<[[MergeOptions; 2]; 2]> = LazyLock::new(|| {
    let functions = Functions::default().with_derived("sum", |document, _| {
        let Value::Map(map) = document else { return None };
        Some(Value::map([("fields", i64::try_from(map.len()).ok()?.into())]))
    });
    [None, Some(SCHEMA.clone())].map(|schema| {
        [true, false].map(|decisions| MergeOptions {
            schema: schema.clone(),
            functions: functions.clone(),
            decisions,
            ..MergeOptions::default()
        })
    })
});
static FILE: LazyLock<RepoPath> = LazyLock::new(|| RepoPath::new("x.meta.json").unwrap());

/// What merges, for the laws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    /// The one we ship, under the schema or without one.
    Sound { schema: bool },
    /// Takes ours where the sides disagree, and does not say so.
    PrefersASide,
    /// Brings back what a side removed.
    DropsDeletions,
    /// Sorts every list.
    IgnoresOrder,
    /// Takes the conflict of a base apart.
    FlattensBases,
    /// Lets one side's set win where both changed it.
    LosesAdditions,
    /// Adds a counter up once, though both sides counted.
    CountsOnce,
    /// Takes the policies of the schema for fields that one side alone changed.
    OverrulesOneSide,
}

impl Engine {
    /// Those that are wrong.
    pub(crate) const WRONG: [Self; 7] = [
        Self::PrefersASide,
        Self::DropsDeletions,
        Self::IgnoresOrder,
        Self::FlattensBases,
        Self::LosesAdditions,
        Self::CountsOnce,
        Self::OverrulesOneSide,
    ];

    pub(crate) fn has_schema(self) -> bool {
        self != Self::Sound { schema: false }
    }

    /// The schema it merges under.
    pub(crate) fn schema(self) -> Option<Arc<Schema>> {
        self.has_schema().then(|| SCHEMA.clone())
    }

    /// Merges sides and bases; `bases` for a merge of bases into one.
    pub(crate) fn run(self, terms: Vec<Doc>, bases: bool) -> Merged {
        let terms = match self {
            Self::Sound { .. } => terms,
            wrong => wrong.spoilt(terms),
        };
        let all = Terms::new(terms).unwrap();
        let options = &OPTIONS[usize::from(self.has_schema())][usize::from(bases)];
        let mut merged = merge_values(&all, options, &FILE).unwrap();
        let terms = all.as_slice();
        match self {
            Self::PrefersASide => prefer(&mut merged),
            Self::IgnoresOrder => merged.value = merged.value.map(sorted),
            Self::CountsOnce => {
                let count: FieldPath = "/count".parse().unwrap();
                let one = |doc: &Doc| doc.as_ref().and_then(|doc| doc.get(&count)).cloned();
                if one(&terms[0]) != one(&terms[1 % terms.len()])
                    && let (Some(value), Some(Value::Int(ours))) =
                        (&mut merged.value, one(&terms[0]))
                    && matches!(value.get(&count), Some(Value::Int(_)))
                {
                    value.set(&count, Some(Value::Int(ours))).unwrap();
                }
            }
            _ => {}
        }
        merged
    }

    /// The terms as an engine that is wrong takes them.
    fn spoilt(self, mut terms: Vec<Doc>) -> Vec<Doc> {
        match self {
            Self::DropsDeletions => restore(&mut terms),
            Self::FlattensBases => {
                for base in terms.iter_mut().skip(1).step_by(2) {
                    *base = base.as_ref().and_then(flattened);
                }
            }
            Self::LosesAdditions => {
                let set = |doc: &Doc| doc.as_ref()?.get(&"/tags".parse().ok()?).cloned();
                if let (Some(ours), Some(theirs)) = (set(&terms[0]), set(&terms[terms.len() - 1]))
                    && Some(&ours) != set(&terms[1 % terms.len()]).as_ref()
                    && Some(&theirs) != set(&terms[1 % terms.len()]).as_ref()
                    && let Some(last) = terms.last_mut().and_then(Option::as_mut)
                {
                    last.set(&"/tags".parse().unwrap(), Some(ours)).unwrap();
                }
            }
            Self::OverrulesOneSide => {
                let top = |doc: &Doc| doc.as_ref()?.get(&"/top".parse().ok()?).cloned();
                let most =
                    terms.iter().filter_map(top).filter(|top| matches!(top, Value::Int(_))).max();
                for side in terms.iter_mut().step_by(2).flatten() {
                    if matches!(side, Value::Map(_)) {
                        side.set(&"/top".parse().unwrap(), most.clone()).unwrap();
                    }
                }
            }
            _ => {}
        }
        terms
    }
}

/// Settles every conflict by its first side.
fn prefer(merged: &mut Merged) {
    for path in std::mem::take(&mut merged.conflicts) {
        if let Some(document) = &merged.value {
            let settled = resolve_document(document, &path, &Choice::Ours);
            merged.value = settled.unwrap();
        }
    }
}

/// Gives each side the top-level fields back that its base has and it has not.
fn restore(terms: &mut [Doc]) {
    let base = terms.get(1).cloned().flatten();
    for side in terms.iter_mut().step_by(2) {
        if let (Some(Value::Map(side)), Some(Value::Map(base))) = (side, &base) {
            for (key, value) in base {
                side.entry(key.clone()).or_insert_with(|| value.clone());
            }
        }
    }
}

/// Puts what a conflict began from in place of it, at any depth.
fn flattened(value: &Value) -> Option<Value> {
    match value {
        Value::Conflict(conflict) => match conflict.terms.removes().next() {
            Some(Term::Value(base)) => Some(base.clone()),
            Some(Term::Contested(inner)) => flattened(&Value::Conflict(inner.clone())),
            _ => None,
        },
        Value::Map(map) => Some(Value::map(
            map.iter().filter_map(|(key, child)| Some((key.clone(), flattened(child)?))),
        )),
        other => Some(other.clone()),
    }
}

/// Sorts every list of a document by key.
fn sorted(value: Value) -> Value {
    match value {
        Value::Map(map) => Value::map(map.into_iter().map(|(key, child)| (key, sorted(child)))),
        Value::Keyed(list) => {
            let (fields, items, _) = list.into_parts();
            let order = ListOrder::Known(items.keys().cloned().collect());
            Value::Keyed(KeyedList::from_parts(fields, items, order).unwrap())
        }
        other => other,
    }
}
