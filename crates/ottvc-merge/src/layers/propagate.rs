//! Moving a pin: what a parent's change does to one document of one edition that inherits from it.

use ottvc_object::conflict::{Conflict, ConflictKind, Term, Terms};
use ottvc_object::field_path::{FieldPath, Segment};
use ottvc_object::value::Value;

use super::overlay::overlaid;
use super::record::put;
use super::units::units_within;
use super::{Layer, Node, Standing, Unit, changed_units, inherited, overlay, standing};
use crate::Schema;
use crate::schema::{Cursor, Inherit, OnShadow};
use crate::slot::Slot;
use crate::values::GROUP;

/// What became of one unit that changed in the parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FlowOutcome {
    /// The edition inherits it, and has the new value.
    Flowed,
    /// The edition has a value of its own, or none on purpose, and keeps that.
    Shadowed,
    /// The edition's own value is what the parent has now; it stays its own.
    Converged,
    /// The edition overrides something inside what the parent removed or made another kind of thing.
    Orphaned,
    /// The schema says that it is not inherited.
    NotInherited,
}

impl FlowOutcome {
    /// The word for it in messages and JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Flowed => "flowed",
            Self::Shadowed => "shadowed",
            Self::Converged => "converged",
            Self::Orphaned => "orphaned",
            Self::NotInherited => "not_inherited",
        }
    }
}

/// One unit that changed in the parent, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitOutcome {
    /// The unit, as the parent had it and has it.
    pub unit: Unit,
    /// What the edition had there.
    pub own: Option<Value>,
    /// What became of it.
    pub outcome: FlowOutcome,
    /// The conflict that takes its place, if any.
    pub conflict: Option<ConflictKind>,
}

/// A document after its edition's pin moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Propagated {
    /// The edition's own layer: as before, but for conflicts.
    pub own: Option<Layer>,
    /// The document as readers see it.
    pub effective: Option<Value>,
    /// The document as readers saw it.
    pub before: Option<Value>,
    /// Every unit that changed in the parent, but for those that the schema says are shadowed in silence.
    pub outcomes: Vec<UnitOutcome>,
}

impl Propagated {
    /// Whether something is in conflict that was not.
    pub fn is_clean(&self) -> bool {
        self.outcomes.iter().all(|unit| unit.conflict.is_none())
    }
}

/// Moves the pin below one document: its parent went from `old` to `new`. The values are the parent's
/// whole documents.
///
/// What the edition overrides or suppresses is never changed, unless it becomes one side of a conflict
/// (`on_shadow: conflict`, or an override left inside something that is gone). The same change twice is a
/// change of nothing the second time.
pub fn propagate(
    schema: Option<&Schema>,
    old: Option<&Value>,
    new: Option<&Value>,
    own: Option<&Layer>,
) -> Propagated {
    let (from, to) = (inherited(schema, old), inherited(schema, new));
    let (from, to) = (from.as_deref(), to.as_deref());
    let before = overlay(schema, from, own);
    let mut node = own.map(|own| own.0.clone());
    let (mut outcomes, mut flows) = (Vec::new(), Vec::new());
    let mut units = Vec::new();
    for unit in changed_units(schema, from, to) {
        divide(schema, unit, own, before.as_ref(), &mut units);
    }
    for unit in units {
        flows.push(unit.path.clone());
        let mine = unit.of(before.as_ref());
        let outcome = outcome_of(&unit, own, mine.as_ref());
        let shadow = shadow_at(schema, &unit);
        let conflict = match (outcome, shadow) {
            // It has been in conflict since an earlier change; that is still to be settled.
            _ if matches!(mine, Some(Value::Conflict(_))) => None,
            (FlowOutcome::Shadowed, OnShadow::Silent) => continue,
            (FlowOutcome::Shadowed, OnShadow::Conflict) => Some(ConflictKind::Shadow),
            (FlowOutcome::Orphaned, _) => Some(ConflictKind::OrphanOverride),
            _ => None,
        };
        let mine = match outcome {
            FlowOutcome::Orphaned => added_alone(schema, own, &unit).or(mine),
            _ => mine,
        };
        // Where the edition has removed what is around it, there is no place for a conflict.
        let placed = conflict.and_then(|kind| {
            with_conflict(node.clone(), &unit, conflict_of(kind, &unit, mine.as_ref()))
        });
        let conflict = conflict.filter(|_| placed.is_some());
        node = placed.or(node);
        outcomes.push(UnitOutcome { unit, own: mine, outcome, conflict });
    }
    if let Some(schema) = schema {
        // Of what came or went as a whole, a part may be inherited: that is told above.
        let mut held_back = held_back(schema, old, new, before.as_ref());
        held_back.retain(|it| !flows.iter().any(|path| path.starts_with(&it.unit.path)));
        outcomes.extend(held_back);
    }
    let own = node.map(Layer);
    let effective = overlay(schema, to, own.as_ref());
    Propagated { own, effective, before, outcomes }
}

/// The units that changed in the parent and are not inherited.
fn held_back(
    schema: &Schema,
    old: Option<&Value>,
    new: Option<&Value>,
    own: Option<&Value>,
) -> Vec<UnitOutcome> {
    let stays = |path: &FieldPath| Cursor::at(schema, path).inherit() != Inherit::Flow;
    changed_units(Some(schema), old, new)
        .into_iter()
        .filter(|unit| stays(&unit.path))
        .map(|unit| {
            let own = unit.of(own);
            UnitOutcome { unit, own, outcome: FlowOutcome::NotInherited, conflict: None }
        })
        .collect()
}

fn outcome_of(unit: &Unit, own: Option<&Layer>, mine: Option<&Value>) -> FlowOutcome {
    let decided = |mine: Option<&Value>| {
        let same = mine == unit.new.as_ref();
        if same { FlowOutcome::Converged } else { FlowOutcome::Shadowed }
    };
    if !unit.members.is_empty() {
        let flows = unit.is_inherited(own);
        return if flows { FlowOutcome::Flowed } else { decided(mine) };
    }
    match standing(own, &unit.path) {
        Standing::Inherits => FlowOutcome::Flowed,
        Standing::Decided => decided(mine),
        Standing::Below(node) => {
            let [had, has] = [&unit.old, &unit.new].map(|side| of_kind(node, side.as_ref()));
            match () {
                // One unit by its schema, of which the edition has changed a part.
                () if had && has => decided(mine),
                () if !node.holds_values() => FlowOutcome::Flowed,
                () if had => FlowOutcome::Orphaned,
                // Made by the edition, and never a part of what the parent had.
                () => decided(mine),
            }
        }
    }
}

/// Tells of a container that the parent has made, and the edition before it, part by part: what is new to
/// the edition flows into its own.
fn divide(
    schema: Option<&Schema>,
    unit: Unit,
    own: Option<&Layer>,
    before: Option<&Value>,
    units: &mut Vec<Unit>,
) {
    let parts = match (standing(own, &unit.path), &unit.new) {
        (Standing::Below(node), Some(new))
            if of_kind(node, Some(new)) && !of_kind(node, unit.old.as_ref()) =>
        {
            units_within(schema, &unit.path, new)
                .filter(|parts| !parts.is_empty() || node.holds_values())
        }
        _ => None,
    };
    let Some(parts) = parts else { return units.push(unit) };
    for part in parts {
        // New items stand beside the edition's own; only what both have can be sorted differently.
        if !part.is_order() || part.reorders(before) {
            divide(schema, part, own, before, units);
        }
    }
}

/// What an edition has put into a container that is gone, if all of it is beside what the parent had there:
/// the parent's parts were never its own, and are not one side of a conflict.
fn added_alone(schema: Option<&Schema>, own: Option<&Layer>, unit: &Unit) -> Option<Value> {
    let Standing::Below(node) = standing(own, &unit.path) else { return None };
    // An item is what the parent made it, also where fields were added.
    let item = matches!(unit.path.segments().last(), Some(Segment::Item(_)));
    let beside = |path: &FieldPath| unit.old.as_ref().is_none_or(|old| old.get(path).is_none());
    let places = Layer(node.clone()).places();
    let alone = !item && places.iter().all(|(path, _)| beside(path));
    let at = unit.path.segments().iter().fold(Cursor::root(schema), |at, segment| at.step(segment));
    if alone { overlaid(None, Some(node), &at) } else { None }
}

/// Whether there is a container of the kind that a layer was made for.
pub(super) fn of_kind(node: &Node, value: Option<&Value>) -> bool {
    match (node, value) {
        (Node::Map(_), Some(Value::Map(_)))
        | (Node::Localized(_), Some(Value::Localized(_)))
        | (Node::Set { .. }, Some(Value::Set(_))) => true,
        (Node::Keyed(own), Some(Value::Keyed(list))) => own.fields == list.fields(),
        _ => false,
    }
}

/// What the schema says about shadowing a unit; of fields that move together, the strictest.
fn shadow_at(schema: Option<&Schema>, unit: &Unit) -> OnShadow {
    let Some(schema) = schema else { return OnShadow::Notice };
    let at = |path: &FieldPath| Cursor::at(schema, path).on_shadow();
    let Some(parent) = unit.path.parent().filter(|_| !unit.members.is_empty()) else {
        return at(&unit.path);
    };
    let each: Vec<OnShadow> = unit.members.iter().map(|name| at(&parent.key(name))).collect();
    if each.contains(&OnShadow::Conflict) {
        OnShadow::Conflict
    } else if each.iter().all(|one| *one == OnShadow::Silent) {
        OnShadow::Silent
    } else {
        OnShadow::Notice
    }
}

/// The edition's value and the parent's new one, over the parent's old one.
fn conflict_of(kind: ConflictKind, unit: &Unit, mine: Option<&Value>) -> Conflict<Value> {
    let policy = match () {
        () if !unit.members.is_empty() => GROUP,
        () if unit.is_order() => "order",
        () => "atomic",
    };
    let term = |value: Option<&Value>| -> Term<Value> { Slot::from(value).to_term() };
    let terms = Terms::three(term(mine), term(unit.old.as_ref()), term(unit.new.as_ref()));
    Conflict { kind, path: unit.path.clone(), policy: policy.to_owned(), terms }
}

/// A layer that puts a conflict at a unit, instead of what it said there.
fn with_conflict(mut node: Option<Node>, unit: &Unit, conflict: Conflict<Value>) -> Option<Node> {
    if let Some(parent) = unit.path.parent().filter(|_| !unit.members.is_empty()) {
        for name in &unit.members {
            node = Some(put(node, parent.key(name).segments(), &Node::Suppress)?);
        }
    }
    let conflict = Node::Override(Value::Conflict(Box::new(conflict)));
    put(node, unit.path.segments(), &conflict)
}
