//! The merge of documents: one walk over all terms at once, from the root down.
//!
//! At every place the steps of section 3 are tried in their order, S0 to S9. Equal subtrees are taken
//! without being walked, and a conflict is put in place of the value it is about, so no conflict
//! stands below another.

mod after;
mod carry;
mod decide;
mod groups;
mod keyed;
mod moves;
mod parts;
mod policies;
mod versions;

use std::collections::BTreeSet;

use ottvc_object::RepoPath;
use ottvc_object::conflict::{Conflict, ConflictKind, Terms};
use ottvc_object::field_path::{FieldPath, Segment};
use ottvc_object::value::{KeyedList, Value, ValueMap, ValueSet};

use crate::algebra::{agreed_by, simplify_by};
use crate::schema::{Cursor, Finding, Whole, is_container};
use crate::slot::{Slot, flatten, only_removed};
use crate::{MergeError, MergeOptions, Side};

use after::Pending;
pub use decide::{Chosen, Decision};
pub use groups::group_conflict;
pub(crate) use groups::{GROUP, group_key, group_names};
pub(crate) use keyed::{order_beginning, sorted_order, taken_order};
use parts::Parts;
pub(crate) use parts::{FROM, former, is_former, moved};
pub use versions::{Versioned, merge_documents};

/// What a merge of documents came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Merged {
    /// The document, conflicts in their places; `None` if the merge removes it.
    pub value: Option<Value>,
    /// Where the document has conflicts, those it brought along included: sorted, and none below
    /// another.
    pub conflicts: Vec<FieldPath>,
    /// What rules decided that would be conflicts otherwise, in the order of the walk.
    pub decisions: Vec<Decision>,
    /// What the sides broke together of rules that look across the document (`offset <= /runtime`),
    /// where no one place can be given back to a side.
    pub notices: Vec<Finding>,
}

/// Merges documents: `[ours, base, theirs]`, or more sides, each with the base before it.
///
/// A term is a whole document, `None` where a side or base has none. The root is a place like any
/// other: a document deleted by one side and edited by another comes back as a conflict at the root.
/// `file` is only compared with the globs of rules. Cost: what differs, and one equality check of
/// what does not.
///
/// # Errors
/// Broken input ([`MergeError::Object`]) and limits ([`MergeError::TooManyTerms`]); never because
/// sides disagree.
///
/// # Reference
/// `docs/merge.md`; terms and simplification after Jujutsu's `Merge<T>`.
pub fn merge_values(
    terms: &Terms<Option<Value>>,
    options: &MergeOptions,
    file: &RepoPath,
) -> Result<Merged, MergeError> {
    let slots: Vec<Slot> = terms.as_slice().iter().map(|term| term.as_ref().into()).collect();
    let labels = Labels {
        ours: slots.first().copied(),
        base: slots.get(1).copied(),
        theirs: slots.last().copied(),
    };
    let mut walk = Walk::new(options, file);
    let at = Cursor::root(options.schema.as_deref());
    let value = walk.documents(&slots, labels, &at)?;
    let notices = after::broken_together(value.as_ref(), &slots, &at);
    let found = value.as_ref().map(Value::conflicts).unwrap_or_default();
    let mut conflicts: Vec<FieldPath> = found.into_iter().map(|(path, _)| path).collect();
    conflicts.sort();
    // What was decided inside a container that came to be disputed as a whole was not decided.
    let disputed = |path: &FieldPath| conflicts.iter().any(|at| at != path && path.starts_with(at));
    let mut decisions = walk.decisions;
    decisions.retain(|decision| !disputed(&decision.path));
    Ok(Merged { value, conflicts, decisions, notices })
}

/// What ours, base and theirs have at the place of the walk, for rules to choose from. Terms lose
/// their places as they cancel, labels do not; a side has none below its own conflict.
#[derive(Clone, Copy, Debug)]
struct Labels<'a> {
    ours: Option<Slot<'a>>,
    base: Option<Slot<'a>>,
    theirs: Option<Slot<'a>>,
}

impl<'a> Labels<'a> {
    /// What each has one step further down.
    fn below(self, step: impl Fn(Slot<'a>) -> Option<Slot<'a>>) -> Self {
        Self {
            ours: self.ours.and_then(&step),
            base: self.base.and_then(&step),
            theirs: self.theirs.and_then(&step),
        }
    }
    fn of(self, side: Side) -> Option<Slot<'a>> {
        match side {
            Side::Ours => self.ours,
            Side::Theirs => self.theirs,
            Side::Base => self.base,
        }
    }
}

/// What the terms of a place are, as far as structure goes.
enum Shape<'a> {
    Map(Vec<Option<&'a ValueMap>>),
    Localized(Vec<Option<&'a ValueMap>>),
    Set(Vec<Option<&'a ValueSet>>),
    Keyed(&'a KeyedList, Vec<Option<&'a KeyedList>>),
    /// One kind, which is a unit.
    Atomic,
    /// Different kinds.
    Mixed,
}

impl<'a> Shape<'a> {
    /// Looks at terms without conflicts, some of them present.
    fn of(terms: &[Slot<'a>]) -> Self {
        /// Reads every present term as one kind, or gives up.
        fn all<'a, T>(
            terms: &[Slot<'a>],
            read: impl Fn(&'a Value) -> Option<&'a T>,
        ) -> Option<Vec<Option<&'a T>>> {
            terms
                .iter()
                .map(|slot| slot.value().map(&read).map_or(Some(None), |t| t.map(Some)))
                .collect()
        }
        let mut kinds = terms.iter().filter_map(|slot| slot.value()).map(Value::kind_number);
        let first = kinds.next();
        if !kinds.all(|kind| Some(kind) == first) {
            return Self::Mixed;
        }
        let map = |value: &'a Value| if let Value::Map(map) = value { Some(map) } else { None };
        let localized =
            |value: &'a Value| if let Value::Localized(map) = value { Some(map) } else { None };
        let set = |value: &'a Value| if let Value::Set(set) = value { Some(set) } else { None };
        let keyed =
            |value: &'a Value| if let Value::Keyed(list) = value { Some(list) } else { None };
        let found = all(terms, map)
            .map(Self::Map)
            .or_else(|| all(terms, localized).map(Self::Localized))
            .or_else(|| all(terms, set).map(Self::Set))
            .or_else(|| {
                let lists = all(terms, keyed)?;
                let any = lists.iter().copied().flatten().next()?;
                // Lists with other key fields are other kinds of list: their items do not compare.
                let alike = lists.iter().flatten().all(|list| list.fields() == any.fields());
                Some(if alike { Self::Keyed(any, lists) } else { Self::Mixed })
            });
        found.unwrap_or(Self::Atomic)
    }
    /// The kind of conflict that these terms of this shape are.
    fn kind(&self, terms: &[Slot<'a>]) -> ConflictKind {
        if terms.iter().skip(1).step_by(2).all(|slot| slot.is_absent()) {
            ConflictKind::AddAdd
        } else if matches!(self, Self::Mixed) {
            ConflictKind::Type
        } else {
            ConflictKind::EditEdit
        }
    }
    /// The policy that decides here when no schema speaks.
    fn policy(&self) -> &'static str {
        match self {
            Self::Map(_) | Self::Localized(_) => "map",
            Self::Set(_) => "set",
            Self::Keyed(..) => "keyed",
            Self::Atomic | Self::Mixed => "atomic",
        }
    }
}

struct Walk<'o> {
    options: &'o MergeOptions,
    file: &'o RepoPath,
    path: FieldPath,
    decisions: Vec<Decision>,
    /// Fields that a function makes when the rest is merged.
    derived: Vec<Pending<'o>>,
    /// What was put together from several sides, and may break its schema as a whole.
    judged: Vec<Pending<'o>>,
    /// Where what was put together broke its schema, and is in conflict or one side's again.
    given_back: Vec<FieldPath>,
}

impl<'o> Walk<'o> {
    fn new(options: &'o MergeOptions, file: &'o RepoPath) -> Self {
        let path = FieldPath::default();
        let (decisions, given_back) = (Vec::new(), Vec::new());
        let (derived, judged) = (Vec::new(), Vec::new());
        Self { options, file, path, decisions, derived, judged, given_back }
    }

    /// Merges what the terms have at one place.
    fn place<'a>(
        &mut self,
        mut terms: Vec<Slot<'a>>,
        labels: Labels<'a>,
        at: &Cursor<'o>,
    ) -> Result<Option<Value>, MergeError> {
        // S0, S1: as wholes; S3: with the sides' own conflicts taken apart.
        for take_apart in [false, true] {
            if take_apart {
                if !terms.iter().step_by(2).any(|slot| slot.is_conflict()) {
                    break;
                }
                if let Some(merged) = self.disputed_place(&terms)? {
                    return Ok(merged);
                }
                terms = flatten(&terms);
            }
            if let Some(agreed) = agreed_by(&terms, &Slot::eq)
                && !must_count(&terms, *agreed, at)
            {
                return Ok(agreed.to_value());
            }
            terms = simplify_by(terms, &Slot::eq);
            if let Some(agreed) = agreed_by(&terms, &Slot::eq)
                && !must_count(&terms, *agreed, at)
            {
                return Ok(agreed.to_value());
            }
        }
        // S2: a base that is a conflict is never taken apart.
        if terms.iter().any(|slot| slot.is_conflict()) {
            let kind = ConflictKind::ContestedBase;
            return match at.whole() {
                Some(Whole::Derived(_)) => self.derive_later(kind, &terms, labels, at),
                // Who settles a group has to know that it is one.
                Some(Whole::Group) => self.conflict(kind, GROUP, &terms, labels, at),
                _ => self.conflict(kind, "atomic", &terms, labels, at),
            };
        }
        let shape = Shape::of(&terms);
        // S4: absence.
        if terms.iter().step_by(2).any(|slot| slot.is_absent()) {
            return if only_removals(&terms) {
                Ok(None)
            } else {
                self.deletion(&shape, &terms, labels, at)
            };
        }
        // S5, S7: what the schema says about the value as one.
        if let Some(merged) = self.policy(&shape, &terms, labels, at)? {
            return Ok(merged);
        }
        // S6: structure.
        let merged = match &shape {
            Shape::Map(maps) => Value::Map(self.map(maps, labels, Segment::Key, at)?),
            Shape::Localized(maps) => {
                Value::Localized(self.map(maps, labels, Segment::Locale, at)?)
            }
            Shape::Set(sets) => Value::Set(merge_sets(sets)?),
            Shape::Keyed(any, lists) => Value::Keyed(self.keyed(any, lists, labels, at)?),
            // S9: nothing left to try.
            Shape::Atomic | Shape::Mixed => {
                let kind = shape.kind(&terms);
                return self.conflict(kind, shape.policy(), &terms, labels, at);
            }
        };
        self.judge_later(&terms, labels, at);
        Ok(Some(merged))
    }

    /// Merges maps key by key; a map that is not there counts as an empty one.
    fn map<'a>(
        &mut self,
        maps: &[Option<&'a ValueMap>],
        labels: Labels<'a>,
        segment: fn(String) -> Segment,
        at: &Cursor<'o>,
    ) -> Result<ValueMap, MergeError> {
        let mut grouped = ValueMap::new();
        let done = self.groups(maps, labels, at, &mut grouped)?;
        let open = |slot: Slot<'a>| match slot {
            Slot::Absent => Some(None),
            Slot::Value(Value::Map(map) | Value::Localized(map)) => Some(Some(map)),
            _ => None,
        };
        let segment = |key: &String| segment(key.clone());
        let parts = Parts { terms: maps.to_vec(), open: &open, segment: &segment, fields: &[] };
        let mut merged = self.parts(&parts, labels, at, &done)?;
        merged.extend(grouped);
        Ok(merged)
    }

    /// Runs `step` one segment further down.
    fn below<T>(
        &mut self,
        segment: Segment,
        at: &Cursor<'o>,
        step: impl FnOnce(&mut Self, &Cursor<'o>) -> Result<T, MergeError>,
    ) -> Result<T, MergeError> {
        let at = at.step(&segment);
        self.path.0.push(segment);
        let result = step(self, &at);
        self.path.0.pop();
        result
    }

    /// Builds the conflict that stands here.
    fn conflict_of(
        &self,
        kind: ConflictKind,
        policy: &str,
        terms: &[Slot<'_>],
    ) -> Result<Conflict<Value>, MergeError> {
        let terms_of = Terms::new(terms.iter().map(|slot| slot.to_term()).collect());
        Ok(Conflict {
            kind,
            path: self.path.clone(),
            policy: policy.to_owned(),
            terms: terms_of.map_err(|_| self.too_many(terms.len()))?,
        })
    }

    fn too_many(&self, count: usize) -> MergeError {
        MergeError::TooManyTerms { at: self.path.to_string(), count }
    }
}

/// Whether equal sides settle nothing here, as something in or below them is counted (S0). Where the
/// walk would not come to it, they do: units, values of other kinds, and conflicts.
fn must_count(terms: &[Slot<'_>], agreed: Slot<'_>, at: &Cursor<'_>) -> bool {
    if terms.len() < 2 || !at.counts() || terms.iter().any(|slot| slot.is_conflict()) {
        return false;
    }
    let Some(side) = agreed.value() else { return false };
    let number = |value: &Value| matches!(value, Value::Int(_) | Value::Decimal(_));
    let mut bases = terms.iter().skip(1).step_by(2).filter_map(|slot| slot.value());
    match Shape::of(terms) {
        _ if at.is_counter() => number(side) && bases.all(number),
        Shape::Mixed => false,
        _ => is_container(side),
    }
}

/// Whether every side that is left only removed things, from every base (S4).
fn only_removals(terms: &[Slot<'_>]) -> bool {
    let bases: Vec<Option<&Value>> =
        terms.iter().skip(1).step_by(2).map(|slot| slot.value()).collect();
    let mut sides = terms.iter().step_by(2).filter_map(|slot| slot.value());
    sides.all(|side| bases.iter().all(|base| base.is_some_and(|base| only_removed(side, base))))
}

/// Merges sets element by element: being in or out is a matter of two values, so it always settles.
fn merge_sets(sets: &[Option<&ValueSet>]) -> Result<ValueSet, MergeError> {
    let elements: BTreeSet<&Value> = sets.iter().flatten().flat_map(|set| set.iter()).collect();
    let mut merged = ValueSet::default();
    for element in elements {
        let holds = |set: &&Option<&ValueSet>| set.is_some_and(|set| set.contains(element));
        let adds = sets.iter().step_by(2).filter(holds).count();
        let removes = sets.iter().skip(1).step_by(2).filter(holds).count();
        // Of "in" and "out" one has a positive count, as there is one add more than removes.
        if adds > removes {
            merged.insert(element.clone())?;
        }
    }
    Ok(merged)
}

/// Marks every place where `values` differ as a contested base: what a merge starts from when its
/// bases are too many, or too deep, to be merged. `None` if all are absent.
///
/// # Errors
/// [`MergeError::TooManyTerms`] if too many different values meet at one place.
pub fn contest_values(values: &[Option<Value>]) -> Result<Option<Value>, MergeError> {
    let options = MergeOptions::for_bases();
    let file = RepoPath::root();
    let mut walk = Walk::new(&options, &file);
    walk.contest(values.iter().map(|value| value.as_ref().into()).collect())
}

impl Walk<'_> {
    /// [`contest_values`] at one place.
    fn contest(&mut self, mut values: Vec<Slot<'_>>) -> Result<Option<Value>, MergeError> {
        let mut distinct: Vec<Slot<'_>> = Vec::new();
        values.retain(|slot| {
            let new = !distinct.contains(slot);
            distinct.extend(new.then_some(*slot));
            new
        });
        if let [only] = values.as_slice() {
            return Ok(only.to_value());
        }
        let maps: Option<Vec<&ValueMap>> = values
            .iter()
            .map(|slot| if let Slot::Value(Value::Map(map)) = slot { Some(map) } else { None })
            .collect();
        let Some(maps) = maps else {
            // Whatever they grew from is not known: no base is nearer than nothing.
            let mut terms: Vec<Slot<'_>> =
                values.iter().flat_map(|slot| [*slot, Slot::Absent]).collect();
            terms.pop();
            let terms = flatten(&terms);
            return Ok(Some(Value::Conflict(Box::new(self.conflict_of(
                ConflictKind::ContestedBase,
                "atomic",
                &terms,
            )?))));
        };
        let keys: BTreeSet<&String> = maps.iter().flat_map(|map| map.keys()).collect();
        let mut merged = ValueMap::new();
        for key in keys {
            let values = maps.iter().map(|map| map.get(key).into()).collect();
            if let Some(value) =
                self.below(Segment::Key(key.clone()), &Cursor::root(None), |walk, _| {
                    walk.contest(values)
                })?
            {
                merged.insert(key.clone(), value);
            }
        }
        Ok(Some(Value::Map(merged)))
    }
}
