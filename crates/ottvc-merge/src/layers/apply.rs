//! Pushing a change of one edition to another, whether or not that one inherits from it.

use ottvc_object::conflict::{Conflict, ConflictKind, Term, Terms};
use ottvc_object::value::Value;

use super::{Layer, Standing, Unit, standing};
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
    /// It had another, and [`Diverged`] says what it has now.
    Diverged,
    /// It inherits the place from another target of the same call, with which it will change.
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
    /// Whether that other is a target of the same call.
    pub parent_is_target: bool,
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
    /// Whether it is in conflict.
    pub conflict: bool,
}

/// A document after a change was pushed to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The document; `None` where there is none now.
    pub document: Option<Value>,
    /// Every unit of the change.
    pub units: Vec<PushedUnit>,
}

/// Pushes the units of a change to one document.
pub fn apply(change: &[Unit], to: &ApplyTo<'_>) -> Applied {
    let mut document = to.document.cloned();
    let mut units = Vec::new();
    for unit in change {
        let target = unit.of(to.document);
        let inherits = to.pinned && standing(to.own, &unit.path) == Standing::Inherits;
        let mut pushed = PushedUnit {
            unit: unit.clone(),
            target,
            outcome: PushOutcome::Diverged,
            pins_override: false,
            forced: false,
            conflict: false,
        };
        let mut changed = false;
        if pushed.target == unit.new {
            pushed.outcome = PushOutcome::Already;
        } else if inherits && to.parent_is_target {
            pushed.outcome = PushOutcome::ViaParent;
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
                    changed = disagree(&mut document, unit, pushed.target.as_ref());
                    pushed.conflict = changed;
                }
            }
        }
        pushed.pins_override = changed && inherits;
        units.push(pushed);
    }
    Applied { document, units }
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

/// Puts the target's value and the new one in conflict.
fn disagree(document: &mut Option<Value>, unit: &Unit, target: Option<&Value>) -> bool {
    // One that is in conflict already stays as it is, to be settled.
    if matches!(target, Some(Value::Conflict(_))) {
        return false;
    }
    let term = |value: Option<&Value>| -> Term<Value> { Slot::from(value).to_term() };
    let terms = Terms::three(term(target), term(unit.old.as_ref()), term(unit.new.as_ref()));
    let grouped = !unit.members.is_empty();
    let kind = match (target, &unit.old, &unit.new) {
        (None, _, _) | (_, _, None) => ConflictKind::DeleteEdit,
        (_, None, _) => ConflictKind::AddAdd,
        _ => ConflictKind::EditEdit,
    };
    let policy = if grouped { GROUP } else { "atomic" };
    let policy = if unit.is_order() { "order" } else { policy };
    let conflict = Value::Conflict(Box::new(Conflict {
        kind: if unit.is_order() { ConflictKind::Order } else { kind },
        path: unit.path.clone(),
        policy: policy.to_owned(),
        terms,
    }));
    if unit.path.is_root() {
        *document = Some(conflict);
        return true;
    }
    let Some(whole) = document else { return false };
    let mut changed = whole.clone();
    if grouped {
        let Some(parent) = unit.path.parent() else { return false };
        for name in &unit.members {
            if changed.set(&parent.key(name), None).is_err() {
                return false;
            }
        }
    }
    let placed = changed.set(&unit.path, Some(conflict)).is_ok();
    if placed {
        *whole = changed;
    }
    placed
}
