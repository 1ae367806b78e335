//! Where a walk stands in a schema: the patterns that still match, and what holds here.
//!
//! A pattern matches step by step and `**` comes last, so the patterns alive one step further down
//! are some of those alive here: a walk matches each pattern once per step, never from the root.

use ottvc_object::field_path::{FieldPath, Segment};
use ottvc_object::value::Value;

use super::{
    Delete, Fallback, Field, Inherit, Limits, OnShadow, Order, Policy, Reach, Schema, Type,
};
use crate::pattern::Step;

/// Why a place is one unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whole<'s> {
    /// The schema says so.
    Atomic,
    /// Fields that move together.
    Group,
    /// The map whose field is greatest counts.
    LatestBy(&'s str),
    /// A function makes it after the merge.
    Derived(&'s str),
    /// A function makes it of the terms.
    Hook(&'s str),
}

/// What a place is to the field that speaks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// The field itself.
    Field,
    /// An item of the keyed list that is the field.
    Item,
    /// What a localized map, set or array holds that is the field.
    Leaf,
    /// A group of fields.
    Group,
}

/// A place in a document, as a schema sees it; without a schema it says nothing.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'s> {
    /// Whether there is a schema at all.
    schema: bool,
    depth: usize,
    /// Fields whose patterns match the path so far, or would with more steps.
    alive: Vec<&'s Field>,
    /// The field of the most specific pattern that matches here, with the field around it.
    field: Option<&'s Field>,
    parent: Option<&'s Field>,
    role: Role,
    delete: Delete,
    on_conflict: Option<&'s Fallback>,
    locked: bool,
    inherit: Inherit,
    on_shadow: OnShadow,
    fixed: bool,
}

impl<'s> Cursor<'s> {
    /// The root of a document.
    pub(crate) fn root(schema: Option<&'s Schema>) -> Self {
        let alive = schema.map(|schema| schema.fields.iter().collect()).unwrap_or_default();
        let start = Self {
            schema: schema.is_some(),
            depth: 0,
            alive,
            field: None,
            parent: None,
            role: Role::Field,
            delete: Delete::Conflict,
            on_conflict: None,
            locked: false,
            inherit: Inherit::Flow,
            on_shadow: OnShadow::Notice,
            fixed: false,
        };
        start.matched()
    }

    /// One step further down.
    pub(crate) fn step(&self, segment: &Segment) -> Self {
        if self.alive.is_empty() && self.field.is_none() && self.parent.is_none() {
            return self.clone();
        }
        let goes_on = |field: &&&Field| match field.steps.get(self.depth) {
            Some(step) => step.matches(segment),
            None => field.steps.last() == Some(&Step::Rest),
        };
        let parent = self.field.filter(|_| self.role == Role::Field);
        let role = match (segment, parent) {
            (Segment::Item(_), Some(_)) => Role::Item,
            (Segment::Locale(_) | Segment::Element(_) | Segment::Index(_), Some(_)) => Role::Leaf,
            _ => Role::Field,
        };
        let alive = self.alive.iter().filter(goes_on).copied().collect();
        Self { depth: self.depth + 1, alive, field: None, parent, role, ..*self }.matched()
    }

    /// The place of fields of this map that move together.
    pub(crate) fn group(&self) -> Self {
        let (alive, role) = (Vec::new(), Role::Group);
        Self { depth: self.depth + 1, alive, field: None, parent: None, role, ..*self }
    }

    /// Steps down a whole path.
    pub(crate) fn at(schema: &'s Schema, path: &FieldPath) -> Self {
        path.segments().iter().fold(Self::root(Some(schema)), |at, segment| at.step(segment))
    }

    /// Finds the field that speaks here, and lets it say what holds from here on.
    fn matched(mut self) -> Self {
        let ends = |field: &&&'s Field| {
            let left = field.steps.get(self.depth..).unwrap_or_default();
            left.is_empty() || left == [Step::Rest]
        };
        let lighter = |a: &&&'s Field, b: &&&'s Field| a.weight().cmp(b.weight());
        self.field = self.alive.iter().filter(ends).max_by(lighter).copied();
        if let Some(Reach { delete, on_conflict, locked, inherit, on_shadow }) =
            self.field.map(|field| &field.reach)
        {
            self.delete = delete.unwrap_or(self.delete);
            self.on_conflict = on_conflict.as_ref().or(self.on_conflict);
            self.locked = locked.unwrap_or(self.locked);
            self.inherit = inherit.unwrap_or(self.inherit);
            self.on_shadow = on_shadow.unwrap_or(self.on_shadow);
        }
        self.fixed |= self.field.is_some_and(|field| field.immutable);
        self
    }

    /// Whether there is a schema at all.
    pub(crate) fn has_schema(&self) -> bool {
        self.schema
    }
    /// How many steps it is from the root; no more are counted where no pattern is left.
    pub(crate) fn depth(&self) -> usize {
        self.depth
    }
    /// What the schema says about this very place.
    pub(crate) fn field(&self) -> Option<&'s Field> {
        self.field
    }
    pub(crate) fn delete(&self) -> Delete {
        self.delete
    }
    pub(crate) fn on_conflict(&self) -> Option<&'s Fallback> {
        self.on_conflict
    }
    pub(crate) fn locked(&self) -> bool {
        self.locked
    }
    pub(crate) fn inherit(&self) -> Inherit {
        self.inherit
    }
    pub(crate) fn on_shadow(&self) -> OnShadow {
        self.on_shadow
    }
    /// Whether what is given here once stays.
    pub(crate) fn fixed(&self) -> bool {
        self.fixed
    }

    /// The merge policy of this place, unless its kind decides.
    fn policy(&self) -> Option<&'s Policy> {
        let leaf = |field: &&'s Field| field.merges_leaves();
        match self.field {
            Some(field) if field.merges_leaves() => None,
            Some(field) if field.merge.is_some() => field.merge.as_ref(),
            _ if self.role == Role::Leaf => self.parent.filter(leaf)?.merge.as_ref(),
            _ => None,
        }
    }

    /// The merge policy that decides about a value without looking for parts of it.
    pub(crate) fn leaf(&self) -> Option<&'s Policy> {
        self.policy().filter(|policy| {
            matches!(
                policy,
                Policy::Sequence
                    | Policy::Text(_)
                    | Policy::Max
                    | Policy::Min
                    | Policy::Ordered { .. }
                    | Policy::Counter
            )
        })
    }

    /// Why this place is one unit, if it is.
    pub(crate) fn whole(&self) -> Option<Whole<'s>> {
        match self.policy() {
            Some(Policy::Atomic) => Some(Whole::Atomic),
            Some(Policy::LatestBy(field)) => Some(Whole::LatestBy(field)),
            Some(Policy::Derived(function)) => Some(Whole::Derived(function)),
            Some(Policy::Hook(function)) => Some(Whole::Hook(function)),
            Some(_) => None,
            None if self.role == Role::Group => Some(Whole::Group),
            None if self.role == Role::Item && self.parent.is_some_and(|list| list.item_atomic) => {
                Some(Whole::Atomic)
            }
            None => None,
        }
    }

    /// The policy of this place by name, where its kind does not decide.
    pub(crate) fn word(&self) -> Option<String> {
        match (self.policy(), self.whole()) {
            (_, Some(Whole::Group)) => Some("group".to_owned()),
            (Some(policy), _) if self.whole().is_some() || self.leaf().is_some() => {
                Some(policy.word())
            }
            (None, Some(Whole::Atomic)) => Some("atomic".to_owned()),
            _ => None,
        }
    }

    /// Whether something about the value here can be broken once sides are put together.
    pub(crate) fn can_break(&self) -> bool {
        self.fixed
            || self.limits().is_some_and(|limits| *limits != Limits::default())
            || !self.invariants().is_empty()
            || self.required().next().is_some()
    }

    /// Whether something here or below may be counted, so that equal sides do not settle it.
    pub(crate) fn counts(&self) -> bool {
        self.whole().is_none()
            && self.alive.iter().any(|field| field.merge == Some(Policy::Counter))
    }

    /// The domain whose lists the list here exchanges items with.
    pub(crate) fn domain(&self) -> Option<&'s str> {
        self.field?.move_domain.as_deref()
    }
    /// Whether lists here or below may exchange items.
    pub(crate) fn exchanges(&self) -> bool {
        self.whole().is_none()
            && self.leaf().is_none()
            && self.alive.iter().any(|field| field.move_domain.is_some())
    }

    /// Whether this very place is counted.
    pub(crate) fn is_counter(&self) -> bool {
        self.policy() == Some(&Policy::Counter)
    }

    /// How the order of the list here is kept.
    pub(crate) fn order(&self) -> &'s Order {
        self.field.map_or(&Order::Significant, |field| &field.order)
    }
    /// Whether different items put in one gap of the list here are a conflict.
    pub(crate) fn insert_conflict(&self) -> bool {
        self.field.is_some_and(|field| field.insert_conflict)
    }

    /// The field whose groups and invariants are about the entries of the map here.
    fn of_entries(&self) -> Option<&'s Field> {
        match self.role {
            Role::Item => self.field.filter(|field| field.kind == Some(Type::Map)).or(self.parent),
            _ => self.field.filter(|field| field.kind != Some(Type::Keyed)),
        }
    }
    /// The fields of the map here that move together.
    pub(crate) fn groups(&self) -> &'s [Vec<String>] {
        self.of_entries().map_or(&[], |field| &field.groups)
    }
    /// What must hold among the entries of the map here.
    pub(crate) fn invariants(&self) -> &'s [super::Predicate] {
        self.of_entries().map_or(&[], |field| &field.invariants)
    }

    /// What the value here has to look like.
    pub(crate) fn limits(&self) -> Option<&'s Limits> {
        self.field.or(self.parent.filter(|_| self.role == Role::Leaf)).map(|field| &field.limits)
    }

    /// The type the value here has to have.
    pub(crate) fn kind(&self) -> Option<Type> {
        match (self.field, self.role) {
            (Some(field), _) if field.kind.is_some() => field.kind,
            (_, Role::Leaf) => self.parent.and_then(|field| field.of),
            (_, Role::Item) => Some(Type::Map),
            _ => None,
        }
    }

    /// The named fields that a map here must have.
    pub(crate) fn required(&self) -> impl Iterator<Item = (&'s str, Self)> {
        self.alive.iter().filter(|field| field.required).filter_map(|field| {
            match field.steps.get(self.depth..) {
                Some([Step::Literal(Segment::Key(key))]) => {
                    let below = self.step(&Segment::Key(key.clone()));
                    let speaks = below.field.is_some_and(|other| other.pattern == field.pattern);
                    speaks.then_some((key.as_str(), below))
                }
                _ => None,
            }
        })
    }

    /// The named steps some pattern takes from here, sorted.
    pub(crate) fn named(&self) -> Vec<&'s Segment> {
        let mut named: Vec<&Segment> = self
            .alive
            .iter()
            .filter_map(|field| match field.steps.get(self.depth) {
                Some(Step::Literal(segment)) => Some(segment),
                _ => None,
            })
            .collect();
        named.sort();
        named.dedup();
        named
    }
    /// Whether some pattern goes on from here.
    pub(crate) fn goes_on(&self) -> bool {
        self.alive.iter().any(|field| field.steps.len() > self.depth)
    }
    /// Whether some pattern goes on from here to a field with this property.
    pub(crate) fn leads_to(&self, wanted: impl Fn(&Field) -> bool) -> bool {
        self.alive.iter().any(|field| field.steps.len() > self.depth && wanted(field))
    }
    /// Whether something here or below is inherited.
    pub(crate) fn may_inherit(&self) -> bool {
        let flows = |inherit| inherit == Inherit::Flow;
        flows(self.inherit) || self.leads_to(|field| field.reach.inherit.is_some_and(flows))
    }
    /// Whether all that matches here is a `**` of an earlier step.
    pub(crate) fn is_rest(&self) -> bool {
        !self.alive.is_empty() && !self.goes_on()
    }

    /// Whether an invariant somewhere below looks outside its own map.
    pub(crate) fn looks_far(&self) -> bool {
        self.alive.iter().any(|field| field.invariants.iter().any(super::Predicate::looks_far))
    }
}

/// Whether `value` is one of the containers that merge by their parts.
pub(crate) fn is_container(value: &Value) -> bool {
    matches!(value, Value::Map(_) | Value::Localized(_) | Value::Set(_) | Value::Keyed(_))
}

impl Schema {
    /// Returns the field that speaks for the place at `path`, if one does.
    pub fn field_at(&self, path: &FieldPath) -> Option<&Field> {
        Cursor::at(self, path).field()
    }
    /// Returns what must hold among the fields of the map or item at `path`, as the schema writes it.
    pub fn invariants_at(&self, path: &FieldPath) -> Vec<String> {
        Cursor::at(self, path).invariants().iter().map(ToString::to_string).collect()
    }
    /// Returns what holds at `path`, said there or further up: `inherit`, `on_shadow` and `locked`.
    pub fn reach_at(&self, path: &FieldPath) -> Reach {
        let at = Cursor::at(self, path);
        Reach {
            delete: Some(at.delete()),
            on_conflict: at.on_conflict().cloned(),
            locked: Some(at.locked()),
            inherit: Some(at.inherit()),
            on_shadow: Some(at.on_shadow()),
        }
    }
    /// Returns the fields of `document` that `function` makes (`merge: derived`), the outermost ones. Costs one
    /// walk over the document, or nothing where the schema names no such function.
    pub fn derived_in(&self, document: &Value, function: &str) -> Vec<FieldPath> {
        let named =
            |field: &Field| matches!(&field.merge, Some(Policy::Derived(it)) if it == function);
        let mut found = Vec::new();
        if self.fields.iter().any(named) {
            let (at, path) = (Cursor::root(Some(self)), FieldPath::root());
            derived(document, &at, function, &path, &mut found);
        }
        found
    }
}

fn derived(
    value: &Value,
    at: &Cursor<'_>,
    function: &str,
    path: &FieldPath,
    found: &mut Vec<FieldPath>,
) {
    if at.whole() == Some(Whole::Derived(function)) {
        found.push(path.clone());
        return;
    }
    let mut below = |segment: Segment, value: &Value| {
        let at = at.step(&segment);
        derived(value, &at, function, &path.join(segment), found);
    };
    match value {
        Value::Map(map) => {
            map.iter().for_each(|(key, child)| below(Segment::Key(key.clone()), child));
        }
        Value::Keyed(list) => {
            list.items().iter().for_each(|(key, item)| below(list.segment(key), item));
        }
        _ => {}
    }
}
