//! What changed between two states of a document, unit by unit: as its schema draws the units.

use std::collections::BTreeSet;

use ottvc_object::field_path::{FieldPath, Segment};
use ottvc_object::value::{Key, KeyedList, ListOrder, Value, ValueMap, ValueSet};

use super::{Layer, Standing, standing};
use crate::Schema;
use crate::schema::{Cursor, OnShadow, Order};
use crate::values::group_key;

/// A unit that two states of a document do not share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Where.
    pub path: FieldPath,
    /// The fields that move together, if this is a group: then it stands at a key made of their names, and
    /// its values are maps of them.
    pub members: Vec<String>,
    /// What was there; `None` where nothing was.
    pub old: Option<Value>,
    /// What is there; `None` where nothing is.
    pub new: Option<Value>,
}

impl Unit {
    /// What a document has of the unit.
    pub fn of(&self, document: Option<&Value>) -> Option<Value> {
        let document = document?;
        if !self.members.is_empty() {
            let parent = self.path.parent()?;
            let Some(Value::Map(map)) = document.get(&parent) else { return None };
            return tuple(map, &self.members);
        }
        if self.path.segments().last() == Some(&Segment::Order) {
            let Some(Value::Keyed(list)) = document.get(&self.path.parent()?) else { return None };
            return Some(order_value(list));
        }
        document.get(&self.path).cloned()
    }
    /// Whether a layer says nothing about it: of fields that move together, about none of them.
    pub fn is_inherited(&self, own: Option<&Layer>) -> bool {
        let inherits = |path: &FieldPath| standing(own, path) == Standing::Inherits;
        let member = |name: &String| self.path.parent().is_none_or(|map| inherits(&map.key(name)));
        inherits(&self.path) && self.members.iter().all(member)
    }
    /// The units of a container that the change made; `None` for anything else.
    pub fn parts(&self, schema: Option<&Schema>) -> Option<Vec<Self>> {
        let made = self.new.as_ref().filter(|new| !same_kind(self.old.as_ref(), new))?;
        units_within(schema, &self.path, made).filter(|_| self.members.is_empty())
    }
    /// Whether it is the order of a list.
    pub(super) fn is_order(&self) -> bool {
        self.path.segments().last() == Some(&Segment::Order)
    }
    /// Of an order: whether it has keys that a document has, too, and in another order.
    pub(super) fn reorders(&self, document: Option<&Value>) -> bool {
        match (self.of(document), &self.new) {
            (Some(Value::Array(mine)), Some(Value::Array(new))) => {
                let in_mine: BTreeSet<&Value> = mine.iter().collect();
                let in_new: BTreeSet<&Value> = new.iter().collect();
                let shared = mine.iter().filter(|key| in_new.contains(key));
                !shared.eq(new.iter().filter(|key| in_mine.contains(key)))
            }
            (mine, _) => mine.is_some(),
        }
    }
}

/// Returns the units that differ between `old` and `new`, in the order of their places.
///
/// Maps, localized maps, sets and keyed lists are compared inside, unless the schema says they are one
/// unit. A set with `on_shadow: conflict` is one, too: of advisories, say, every element counts. An order
/// that the schema computes is none.
pub fn changed_units(
    schema: Option<&Schema>,
    old: Option<&Value>,
    new: Option<&Value>,
) -> Vec<Unit> {
    let mut walk = Walk { path: FieldPath::root(), units: Vec::new() };
    walk.place(old, new, &Cursor::root(schema));
    walk.units
}

/// Returns the units of what a container has, as if there had been an empty one: `None` for what is one unit.
pub(super) fn units_within(
    schema: Option<&Schema>,
    path: &FieldPath,
    new: &Value,
) -> Option<Vec<Unit>> {
    let at = path.segments().iter().fold(Cursor::root(schema), |at, segment| at.step(segment));
    let empty = match (new, path.segments().last()) {
        _ if at.whole().is_some() => return None,
        (Value::Map(_), Some(Segment::Item(parts))) => Value::Map(parts.iter().cloned().collect()),
        (Value::Map(_), _) => Value::Map(ValueMap::new()),
        (Value::Localized(_), _) => Value::Localized(ValueMap::new()),
        (Value::Set(_), _) if at.on_shadow() != OnShadow::Conflict => {
            Value::Set(ValueSet::default())
        }
        (Value::Keyed(list), _) => Value::Keyed(KeyedList::empty(list.fields().to_vec()).ok()?),
        _ => return None,
    };
    let mut walk = Walk { path: path.clone(), units: Vec::new() };
    walk.place(Some(&empty), Some(new), &at);
    Some(walk.units)
}

/// Returns the units of a change as they are for one document: a container that the change made, and that the
/// document has without it, is told by its parts. So what the document has beside them is not concerned.
pub fn units_for(
    schema: Option<&Schema>,
    change: Vec<Unit>,
    document: Option<&Value>,
) -> Vec<Unit> {
    let mut units = Vec::new();
    for unit in change {
        part_by_part(schema, unit, document, &mut units);
    }
    units
}

fn part_by_part(
    schema: Option<&Schema>,
    unit: Unit,
    document: Option<&Value>,
    units: &mut Vec<Unit>,
) {
    let there = document.and_then(|document| document.get(&unit.path));
    let both = |new: &Value| there != Some(new) && same_kind(there, new);
    let parts = unit.new.as_ref().filter(|new| both(new)).and_then(|_| unit.parts(schema));
    let Some(parts) = parts else { return units.push(unit) };
    for part in parts {
        // New items stand beside the document's own; only what both have can be sorted differently.
        if !part.is_order() || part.reorders(document) {
            part_by_part(schema, part, document, units);
        }
    }
}

/// Whether both are containers of one kind.
fn same_kind(one: Option<&Value>, other: &Value) -> bool {
    match (one, other) {
        (Some(Value::Map(_)), Value::Map(_))
        | (Some(Value::Localized(_)), Value::Localized(_))
        | (Some(Value::Set(_)), Value::Set(_)) => true,
        (Some(Value::Keyed(one)), Value::Keyed(other)) => one.fields() == other.fields(),
        _ => false,
    }
}

struct Walk {
    path: FieldPath,
    units: Vec<Unit>,
}

impl Walk {
    fn place(&mut self, old: Option<&Value>, new: Option<&Value>, at: &Cursor<'_>) {
        if old == new {
            return;
        }
        match (old, new) {
            _ if at.whole().is_some() => self.unit(old.cloned(), new.cloned()),
            (Some(Value::Map(old)), Some(Value::Map(new))) => {
                self.entries(old, new, at, Segment::Key);
            }
            (Some(Value::Localized(old)), Some(Value::Localized(new))) => {
                self.entries(old, new, at, Segment::Locale);
            }
            (Some(Value::Set(old)), Some(Value::Set(new)))
                if at.on_shadow() != OnShadow::Conflict =>
            {
                let elements: BTreeSet<&Value> = old.iter().chain(new.iter()).collect();
                for element in elements {
                    let segment = Segment::Element(element.clone());
                    self.below(segment, old.get(element), new.get(element), at);
                }
            }
            (Some(Value::Keyed(old)), Some(Value::Keyed(new))) if old.fields() == new.fields() => {
                self.lists(old, new, at);
            }
            _ => self.unit(old.cloned(), new.cloned()),
        }
    }

    fn entries(
        &mut self,
        old: &ValueMap,
        new: &ValueMap,
        at: &Cursor<'_>,
        segment: fn(String) -> Segment,
    ) {
        let mut done = BTreeSet::new();
        for names in at.groups() {
            let together = [tuple(old, names), tuple(new, names)];
            if together[0] != together[1] {
                let [old, new] = together;
                self.path.0.push(Segment::Key(group_key(names)));
                let (path, members) = (self.path.clone(), names.clone());
                self.units.push(Unit { path, members, old, new });
                self.path.0.pop();
            }
            done.extend(names.iter().cloned());
            done.insert(group_key(names));
        }
        let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for key in keys.into_iter().filter(|key| !done.contains(*key)) {
            self.below(segment(key.clone()), old.get(key), new.get(key), at);
        }
    }

    fn lists(&mut self, old: &KeyedList, new: &KeyedList, at: &Cursor<'_>) {
        let keys: BTreeSet<&Key> = old.items().keys().chain(new.items().keys()).collect();
        for &key in &keys {
            self.below(new.segment(key), old.items().get(key), new.items().get(key), at);
        }
        let same = match (old.order(), new.order()) {
            _ if *at.order() != Order::Significant => true,
            (ListOrder::Known(before), ListOrder::Known(after)) => {
                let kept = before.iter().filter(|key| new.items().contains_key(key));
                let added = new.items().keys().filter(|key| !old.items().contains_key(key));
                kept.chain(added).eq(after)
            }
            (before, after) => before == after,
        };
        if !same {
            self.path.0.push(Segment::Order);
            self.unit(Some(order_value(old)), Some(order_value(new)));
            self.path.0.pop();
        }
    }

    fn below(
        &mut self,
        segment: Segment,
        old: Option<&Value>,
        new: Option<&Value>,
        at: &Cursor<'_>,
    ) {
        let at = at.step(&segment);
        self.path.0.push(segment);
        self.place(old, new, &at);
        self.path.0.pop();
    }

    fn unit(&mut self, old: Option<Value>, new: Option<Value>) {
        self.units.push(Unit { path: self.path.clone(), members: Vec::new(), old, new });
    }
}

/// What a map has of fields that move together: a conflict over them, or a map of those that are there.
fn tuple(map: &ValueMap, names: &[String]) -> Option<Value> {
    if let Some(conflict @ Value::Conflict(_)) = map.get(&group_key(names)) {
        return Some(conflict.clone());
    }
    let field = |name: &String| Some((name.clone(), map.get(name)?.clone()));
    let fields: ValueMap = names.iter().filter_map(field).collect();
    (!fields.is_empty()).then_some(Value::Map(fields))
}

/// The order of a list as a value: its keys, or the conflict over them.
fn order_value(list: &KeyedList) -> Value {
    match list.order() {
        ListOrder::Known(keys) => KeyedList::sequence_value(keys),
        ListOrder::Conflict(conflict) => Value::Conflict(conflict.clone()),
    }
}
