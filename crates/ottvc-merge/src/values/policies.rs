//! What a schema says about a value as one: whole units (S5) and leaves (S7).

use std::cmp::Ordering;

use ottvc_object::conflict::ConflictKind;
use ottvc_object::value::Value;

use super::{Labels, Shape, Walk};
use crate::MergeError;
use crate::diff3::{merge_sequences, merge_text};
use crate::functions::Question;
use crate::number::{Sort, balance, compare, sort_of};
use crate::schema::{Cursor, Policy, Whole};
use crate::slot::Slot;

/// What a policy made of its terms.
enum Outcome {
    /// This.
    Merged(Value),
    /// It could not decide.
    Conflict,
    /// It is not about values of these kinds: they decide, as if there were no policy.
    Unfit,
}

impl From<Option<Value>> for Outcome {
    fn from(value: Option<Value>) -> Self {
        value.map_or(Self::Conflict, Self::Merged)
    }
}

impl<'o> Walk<'o> {
    /// Merges by the policy of this place, all sides being there; `None` if it has none that fits.
    pub(super) fn policy<'a>(
        &mut self,
        shape: &Shape<'a>,
        terms: &[Slot<'a>],
        labels: Labels<'a>,
        at: &Cursor<'o>,
    ) -> Result<Option<Option<Value>>, MergeError> {
        let mut kind = shape.kind(terms);
        let outcome = match (at.whole(), at.leaf()) {
            (Some(Whole::Atomic | Whole::Group), _) => Outcome::Conflict,
            (Some(Whole::LatestBy(field)), _) => latest(field, terms),
            (Some(Whole::Derived(_)), _) => {
                return self.derive_later(kind, terms, labels, at).map(Some);
            }
            (Some(Whole::Hook(name)), _) => match self.hook(name, terms) {
                Ok(answer) => answer.into(),
                Err(_) => {
                    kind = ConflictKind::Hook;
                    Outcome::Conflict
                }
            },
            (None, Some(policy)) => leaf(policy, terms),
            (None, None) => Outcome::Unfit,
        };
        match outcome {
            Outcome::Unfit => Ok(None),
            Outcome::Merged(value) => {
                self.judge_later(terms, labels, at);
                Ok(Some(Some(value)))
            }
            Outcome::Conflict => {
                let policy = at.word().unwrap_or_else(|| shape.policy().to_owned());
                self.conflict(kind, &policy, terms, labels, at).map(Some)
            }
        }
    }

    /// Asks a hook; its answer must be able to stand where a side stood.
    fn hook(&self, name: &str, terms: &[Slot<'_>]) -> Result<Option<Value>, String> {
        if !self.options.decisions {
            return Ok(None);
        }
        let values = |skip: usize| {
            terms.iter().skip(skip).step_by(2).filter_map(|slot| slot.value()).collect::<Vec<_>>()
        };
        let (sides, bases) = (values(0), values(1));
        let answer = self.options.functions.ask(name, Question { sides, bases })?;
        match answer {
            Some(value) if !self.may_stand(&value, terms) => {
                Err("the answer does not fit its place".to_owned())
            }
            answer => Ok(answer),
        }
    }
}

/// The only side whose field is greatest; sides that do not compare decide nothing.
fn latest(field: &str, terms: &[Slot<'_>]) -> Outcome {
    let sides = || terms.iter().step_by(2).filter_map(|slot| slot.value());
    if !sides().all(|side| matches!(side, Value::Map(_))) {
        return Outcome::Unfit;
    }
    let Some(sides) = sides().map(|side| stamped(side, field)).collect::<Option<Vec<_>>>() else {
        return Outcome::Conflict;
    };
    greatest(&sides, Ordering::is_gt).into()
}

/// A map with what it says in `field`.
fn stamped<'a>(side: &'a Value, field: &str) -> Option<(&'a Value, &'a Value)> {
    if let Value::Map(map) = side { Some((map.get(field)?, side)) } else { None }
}

/// The value whose measure goes before all others, if there is one.
fn greatest(measured: &[(&Value, &Value)], before: fn(Ordering) -> bool) -> Option<Value> {
    let (mut best, mut value) = *measured.first()?;
    for (measure, other) in measured.iter().skip(1) {
        let order = compare(measure, best)?;
        if before(order) {
            (best, value) = (measure, other);
        }
    }
    let tie = |(measure, other): &(&Value, &Value)| {
        compare(measure, best).is_none_or(Ordering::is_eq) && *other != value
    };
    (!measured.iter().any(tie)).then(|| value.clone())
}

fn leaf(policy: &Policy, terms: &[Slot<'_>]) -> Outcome {
    let sides: Vec<&Value> = terms.iter().step_by(2).filter_map(|slot| slot.value()).collect();
    match policy {
        Policy::Text(unit) => {
            let text = |value: &'_ Value| -> Option<String> {
                if let Value::Text(text) = value { Some(text.clone()) } else { None }
            };
            parted(terms, text, |ours, base, theirs| {
                merge_text(*unit, ours, base, theirs).map(Value::Text)
            })
        }
        Policy::Sequence => {
            let elements = |value: &'_ Value| match value {
                Value::Array(elements) if !value.has_conflict() => Some(elements.clone()),
                _ => None,
            };
            parted(terms, elements, |ours, base, theirs| {
                merge_sequences(ours, base, theirs).map(Value::Array)
            })
        }
        Policy::Max | Policy::Min => {
            let sorts: Vec<Option<Sort>> = sides.iter().map(|side| sort_of(side)).collect();
            let alike = sorts.iter().all(|sort| Some(sort) == sorts.first());
            if !alike || !matches!(sorts.first(), Some(Some(Sort::Number | Sort::Instant))) {
                return Outcome::Unfit;
            }
            let measured: Vec<(&Value, &Value)> = sides.iter().map(|side| (*side, *side)).collect();
            let before = if *policy == Policy::Max { Ordering::is_gt } else { Ordering::is_lt };
            greatest(&measured, before).into()
        }
        Policy::Ordered { steps, least } => {
            if !sides.iter().all(|side| matches!(side, Value::String(_))) {
                return Outcome::Unfit;
            }
            let place = |side: &&Value| {
                steps.iter().position(|step| matches!(side, Value::String(text) if text == step))
            };
            let Some(found) = sides.iter().map(place).collect::<Option<Vec<usize>>>() else {
                return Outcome::Conflict;
            };
            let end = if *least { found.iter().min() } else { found.iter().max() };
            let step = end.and_then(|place| steps.get(*place));
            step.map(|step| Value::from(step.as_str())).into()
        }
        Policy::Counter => {
            let bases = || terms.iter().skip(1).step_by(2).filter_map(|slot| slot.value());
            let number = |value: &Value| sort_of(value) == Some(Sort::Number);
            if !sides.iter().all(|side| number(side)) || !bases().all(number) {
                return Outcome::Unfit;
            }
            balance(sides.iter().copied(), bases()).into()
        }
        _ => Outcome::Unfit,
    }
}

/// Merges by parts what has three terms, all there and of one kind.
fn parted<T>(
    terms: &[Slot<'_>],
    read: impl Fn(&Value) -> Option<T>,
    merge: impl FnOnce(&T, &T, &T) -> Option<Value>,
) -> Outcome {
    let parts: Vec<Option<T>> = terms.iter().filter_map(|slot| slot.value()).map(read).collect();
    if parts.iter().any(Option::is_none) {
        return Outcome::Unfit;
    }
    match parts.as_slice() {
        [Some(ours), Some(base), Some(theirs)] if terms.len() == 3 => {
            merge(ours, base, theirs).into()
        }
        // Without a base, or among more sides, there is nothing to compare with part by part.
        _ => Outcome::Conflict,
    }
}
