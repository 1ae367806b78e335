//! Pushing a change of one edition to another, whether or not that one inherits from it.

use ottvc_object::conflict::{Conflict, ConflictKind, Term, Terms};
use ottvc_object::field_path::Segment;
use ottvc_object::value::Value;

use super::{Layer, Unit};
use crate::slot::Slot;
use crate::values::GROUP;

/// What happens where the target has neither the value before the change nor the one after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Diverged {
    /// It keeps its value.
    #[default]
    Keep,
    /// It is in conflict.
    Conflict,
    /// It takes the value after the change.
    Force,
}

/// What became of one unit of the change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PushOutcome {
    /// The target had the value before the change, and has the one after it.
    Applied,
    /// It had the value after the change.
    Already,
    /// It had another, and [`Diverged`] says what it has now; or it lacks what the place is in, and nothing
    /// helps: pieces of an item that is not there are no item.
    Diverged,
    /// It inherits the place from another target of the same call, where the change arrives, and gets it
    /// with that.
    ViaParent,
}

impl PushOutcome {
    /// The word for it in messages and JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Already => "already",
            Self::Diverged => "diverged",
            Self::ViaParent => "via_parent",
        }
    }
}

/// The document a change is pushed to.
#[derive(Clone, Copy, Debug)]
pub struct ApplyTo<'a> {
    /// The document; `None` where the target has none.
    pub document: Option<&'a Value>,
    /// Its own layer, if its edition inherits.
    pub own: Option<&'a Layer>,
    /// Whether its edition inherits from another.
    pub pinned: bool,
    /// Of each unit of the change, whether it arrives in that other by the same call; none if too short.
    pub arrives: &'a [bool],
    /// What happens where it diverged.
    pub diverged: Diverged,
}

/// One unit of the change, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushedUnit {
    /// The unit, as the source had it and has it.
    pub unit: Unit,
    /// What the target had there.
    pub target: Option<Value>,
    /// What became of it.
    pub outcome: PushOutcome,
    /// Whether the target now overrides what it inherited.
    pub pins_override: bool,
    /// Whether it was changed though it had diverged.
    pub forced: bool,
    /// The kind of the conflict it is in now, if any.
    pub conflict: Option<ConflictKind>,
}

/// A document after a change was pushed to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The document; `None` where there is none now.
    pub document: Option<Value>,
    /// Every unit of the change.
    pub units: Vec<PushedUnit>,
}

/// Pushes the units of a change to one document: those that [`units_for`](super::units_for) gives for it.
pub fn apply(change: &[Unit], to: &ApplyTo<'_>) -> Applied {
    let mut document = to.document.cloned();
    let mut units = Vec::new();
    let arrives = to.arrives.iter().copied().chain(std::iter::repeat(false));
    for (unit, arrives) in change.iter().zip(arrives) {
        let target = unit.of(to.document);
        let inherits = to.pinned && unit.is_inherited(to.own);
        let mut pushed = PushedUnit {
            unit: unit.clone(),
            target,
            outcome: PushOutcome::Diverged,
            pins_override: false,
            forced: false,
            conflict: None,
        };
        let mut changed = false;
        if pushed.target == unit.new {
            pushed.outcome = PushOutcome::Already;
        } else if inherits && arrives {
            pushed.outcome = PushOutcome::ViaParent;
        } else if !has_place(document.as_ref(), unit) {
            // Both states of the source have what it is in, so the target is not as either.
        } else if pushed.target == unit.old {
            if set(&mut document, unit, unit.new.as_ref()) {
                (pushed.outcome, changed) = (PushOutcome::Applied, true);
            }
        } else {
            match to.diverged {
                Diverged::Keep => {}
                Diverged::Force => {
                    changed = set(&mut document, unit, unit.new.as_ref());
                    pushed.forced = changed;
                }
                Diverged::Conflict => {
                    pushed.conflict = disagree(&mut document, unit, pushed.target.as_ref());
                    changed = pushed.conflict.is_some();
                }
            }
        }
        pushed.pins_override = changed && inherits;
        units.push(pushed);
    }
    Applied { document, units }
}

/// Whether a document has the container that a unit stands in. An element is whole by itself, and a set that is
/// not there as good as an empty one.
fn has_place(document: Option<&Value>, unit: &Unit) -> bool {
    let around = match unit.path.0.last() {
        Some(Segment::Element(_)) => unit.path.parent().and_then(|set| set.parent()),
        _ => unit.path.parent(),
    };
    let Some(container) = around else { return true };
    document.is_some_and(|document| document.get(&container).is_some())
}

/// Sets a unit; `false`, and nothing changed, if the document has no place for it.
fn set(document: &mut Option<Value>, unit: &Unit, new: Option<&Value>) -> bool {
    if unit.path.is_root() {
        *document = new.cloned();
        return true;
    }
    let Some(whole) = document else { return false };
    let Some(parent) = unit.path.parent().filter(|_| !unit.members.is_empty()) else {
        return whole.set(&unit.path, new.cloned()).is_ok();
    };
    let mut changed = whole.clone();
    let fields = match new {
        Some(Value::Map(fields)) => Some(fields),
        _ => None,
    };
    let each = unit.members.iter().map(|name| (name, fields.and_then(|fields| fields.get(name))));
    for (name, value) in each {
        if changed.set(&parent.key(name), value.cloned()).is_err() {
            return false;
        }
    }
    // Whatever was in conflict there is settled.
    if changed.set(&unit.path, None).is_err() {
        return false;
    }
    *whole = changed;
    true
}

/// Puts the target's value and the new one in conflict; `None`, and nothing changed, if there is no place
/// for it.
fn disagree(
    document: &mut Option<Value>,
    unit: &Unit,
    target: Option<&Value>,
) -> Option<ConflictKind> {
    // One that is in conflict already stays as it is, to be settled.
    if matches!(target, Some(Value::Conflict(_))) {
        return None;
    }
    let term = |value: Option<&Value>| -> Term<Value> { Slot::from(value).to_term() };
    let terms = Terms::three(term(target), term(unit.old.as_ref()), term(unit.new.as_ref()));
    let grouped = !unit.members.is_empty();
    let (kind, policy) = match (target, &unit.old, &unit.new) {
        _ if unit.is_order() => (ConflictKind::Order, "order"),
        (None, _, _) | (_, _, None) => (ConflictKind::DeleteEdit, "atomic"),
        (_, None, _) => (ConflictKind::AddAdd, "atomic"),
        _ => (ConflictKind::EditEdit, "atomic"),
    };
    let policy = if grouped { GROUP } else { policy }.to_owned();
    let path = unit.path.clone();
    let conflict = Value::Conflict(Box::new(Conflict { kind, path, policy, terms }));
    if unit.path.is_root() {
        *document = Some(conflict);
        return Some(kind);
    }
    let whole = document.as_mut()?;
    let mut changed = whole.clone();
    if grouped {
        let parent = unit.path.parent()?;
        for name in &unit.members {
            changed.set(&parent.key(name), None).ok()?;
        }
    }
    changed.set(&unit.path, Some(conflict)).ok()?;
    *whole = changed;
    Some(kind)
}
