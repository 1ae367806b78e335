//! One term of a merge at one place: nothing, a value, or a conflict, borrowed from its document.

use ottvc_object::conflict::{Conflict, Term};
use ottvc_object::value::{ListOrder, Value};

/// What one term has at a place.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Slot<'a> {
    /// Nothing.
    Absent,
    /// A value that is no conflict.
    Value(&'a Value),
    /// A conflict.
    Conflict(&'a Conflict<Value>),
}

impl<'a> Slot<'a> {
    /// The value, unless there is nothing or a conflict.
    pub(crate) fn value(self) -> Option<&'a Value> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Conflict(_) => None,
        }
    }
    pub(crate) fn is_absent(self) -> bool {
        matches!(self, Self::Absent)
    }
    pub(crate) fn is_conflict(self) -> bool {
        matches!(self, Self::Conflict(_))
    }
    /// What the slot puts into a document.
    pub(crate) fn to_value(self) -> Option<Value> {
        match self {
            Self::Absent => None,
            Self::Value(value) => Some(value.clone()),
            Self::Conflict(conflict) => Some(Value::Conflict(Box::new(conflict.clone()))),
        }
    }
    /// What the slot puts into a conflict.
    pub(crate) fn to_term(self) -> Term<Value> {
        match self {
            Self::Absent => Term::Absent,
            Self::Value(value) => Term::Value(value.clone()),
            Self::Conflict(conflict) => Term::Contested(Box::new(conflict.clone())),
        }
    }
}

impl<'a> From<Option<&'a Value>> for Slot<'a> {
    fn from(value: Option<&'a Value>) -> Self {
        match value {
            None => Self::Absent,
            Some(Value::Conflict(conflict)) => Self::Conflict(conflict),
            Some(value) => Self::Value(value),
        }
    }
}

impl<'a> From<&'a Term<Value>> for Slot<'a> {
    fn from(term: &'a Term<Value>) -> Self {
        match term {
            Term::Absent => Self::Absent,
            Term::Value(value) => Some(value).into(),
            Term::Contested(conflict) => Self::Conflict(conflict),
        }
    }
}

/// Two slots are the same when their values are equal, conflicts by their core identity.
impl PartialEq for Slot<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Absent, Self::Absent) => true,
            (Self::Value(a), Self::Value(b)) => same(a, b),
            (Self::Conflict(a), Self::Conflict(b)) => same_conflict(a, b),
            _ => false,
        }
    }
}

/// Replaces each conflict among the adds by its terms (S3); bases stay as they are (S2).
pub(crate) fn flatten<'a>(terms: &[Slot<'a>]) -> Vec<Slot<'a>> {
    let mut flat = Vec::with_capacity(terms.len());
    for (place, slot) in terms.iter().enumerate() {
        match slot {
            Slot::Conflict(conflict) if place % 2 == 0 => {
                let inner: Vec<Slot<'a>> =
                    conflict.terms.as_slice().iter().map(Slot::from).collect();
                flat.extend(flatten(&inner));
            }
            slot => flat.push(*slot),
        }
    }
    flat
}

/// Whether two values are equal, where conflicts are equal by core identity: whichever side was
/// called ours when they arose.
///
/// Differs from `==` only below conflicts, and costs the same: it stops at the first difference.
pub fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Conflict(a), Value::Conflict(b)) => same_conflict(a, b),
        (Value::Map(a), Value::Map(b)) | (Value::Localized(a), Value::Localized(b)) => {
            a.len() == b.len()
                && a.iter().zip(b).all(|((ka, va), (kb, vb))| ka == kb && same(va, vb))
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Keyed(a), Value::Keyed(b)) => {
            let items = (a.items().iter()).zip(b.items());
            a.fields() == b.fields()
                && a.items().len() == b.items().len()
                && match (a.order(), b.order()) {
                    (ListOrder::Known(a), ListOrder::Known(b)) => a == b,
                    (ListOrder::Conflict(a), ListOrder::Conflict(b)) => same_conflict(a, b),
                    _ => false,
                }
                && items.into_iter().all(|((ka, va), (kb, vb))| ka == kb && same(va, vb))
        }
        _ => a == b,
    }
}

/// Whether two conflicts have the same core identity: kind, place, policy, and the same sides and
/// the same bases in any order.
pub fn same_conflict(a: &Conflict<Value>, b: &Conflict<Value>) -> bool {
    let slots = |conflict: &'_ Conflict<Value>| conflict.terms.as_slice().len();
    a.kind == b.kind
        && a.path == b.path
        && a.policy == b.policy
        && slots(a) == slots(b)
        && same_multiset(a.terms.adds(), b.terms.adds())
        && same_multiset(a.terms.removes(), b.terms.removes())
}

fn same_multiset<'a>(
    a: impl Iterator<Item = &'a Term<Value>>,
    b: impl Iterator<Item = &'a Term<Value>>,
) -> bool {
    let mut left: Vec<Slot<'a>> = b.map(Slot::from).collect();
    for slot in a.map(Slot::from) {
        match left.iter().position(|other| *other == slot) {
            Some(found) => drop(left.swap_remove(found)),
            None => return false,
        }
    }
    left.is_empty()
}

/// Whether `side` is `base` with things removed and nothing else (S4): fewer keys, elements or items
/// at any depth, the items left in their order, every leaf left as it was.
pub(crate) fn only_removed(side: &Value, base: &Value) -> bool {
    let below =
        |side: &Value, base: Option<&Value>| base.is_some_and(|base| only_removed(side, base));
    match (side, base) {
        (Value::Map(side), Value::Map(base)) | (Value::Localized(side), Value::Localized(base)) => {
            side.iter().all(|(key, value)| below(value, base.get(key)))
        }
        (Value::Set(side), Value::Set(base)) => side.iter().all(|element| base.contains(element)),
        (Value::Keyed(side), Value::Keyed(base)) if side.fields() == base.fields() => {
            let in_order = match (side.order(), base.order()) {
                (ListOrder::Known(side), ListOrder::Known(base)) => {
                    let mut rest = base.iter();
                    side.iter().all(|key| rest.any(|other| other == key))
                }
                _ => false,
            };
            in_order && side.items().iter().all(|(key, item)| below(item, base.items().get(key)))
        }
        _ => same(side, base),
    }
}
