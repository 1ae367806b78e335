//! Maps and the items of lists, entry by entry, and entries that were given another key.
//!
//! An entry that is a map may list the keys it had before under `$from`. That is the only evidence of
//! a rename: nothing is guessed from content, and no history is read. Followed under a schema, between
//! one base and two sides.

use std::collections::{BTreeMap, BTreeSet};

use ottvc_object::conflict::{Conflict, ConflictKind, Term};
use ottvc_object::field_path::Segment;
use ottvc_object::value::{MOVE, RENAME, Value};

use super::{Labels, Walk};
use crate::MergeError;
use crate::algebra::{agreed_by, simplify_by};
use crate::placed::Placed;
use crate::schema::Cursor;
use crate::slot::{Slot, flatten};

/// The field of an entry that lists its former keys.
pub(crate) const FROM: &str = "$from";

/// The entries of one term.
type Entries<K> = BTreeMap<K, Value>;

/// What the terms of one place have, entry by entry, and how the entries are named.
pub(super) struct Parts<'p, 'a, K> {
    /// The entries of each term; one that is not there counts as empty.
    pub(super) terms: Vec<Option<&'a Entries<K>>>,
    /// The entries of a label: none known, or those of nothing.
    pub(super) open: &'p dyn Fn(Slot<'a>) -> Option<Option<&'a Entries<K>>>,
    /// The step to an entry.
    pub(super) segment: &'p dyn Fn(&K) -> Segment,
    /// The key fields, which every entry of a list holds.
    pub(super) fields: &'p [String],
}

/// Which keys of the terms are one entry, and which cannot be.
struct Plan<K> {
    /// Keys by what they were in the base.
    follow: BTreeMap<K, K>,
    /// Keys of the base with those that ours and theirs gave them.
    apart: Vec<(K, K, K)>,
    /// Keys that different entries came to, with what these were in the base on each side.
    collide: Vec<(K, Option<K>, Option<K>)>,
}

/// How a former key stands in `$from`: a map key, or the only part of an item's key, as it is; a key of
/// several parts as its step is written.
pub(crate) fn former(segment: &Segment) -> Value {
    match segment {
        Segment::Key(key) => Value::from(key.as_str()),
        Segment::Item(parts) if parts.len() == 1 => {
            parts.first().map_or(Value::Null, |(_, part)| part.clone())
        }
        other => Value::from(other.to_string()),
    }
}

/// Whether this can be one of the keys that `$from` lists.
pub(crate) fn is_former(key: &Value) -> bool {
    key.is_scalar() && *key != Value::Null
}

/// An entry that goes under another key, its conflicts with it: each names the place where it stands.
/// `depth` is how many steps lie before that key.
pub(crate) fn moved(mut entry: Value, depth: usize, segment: &Segment) -> Value {
    if let Value::Conflict(conflict) = &mut entry {
        repath(conflict, depth, segment);
        return entry;
    }
    let found = entry.conflicts().into_iter().map(|(path, conflict)| (path, conflict.clone()));
    for (path, mut conflict) in found.collect::<Vec<_>>() {
        repath(&mut conflict, depth, segment);
        // It stands there already; what is put in its place is of the same kind.
        let _ = entry.set(&path, Some(Value::Conflict(Box::new(conflict))));
    }
    entry
}

fn repath(conflict: &mut Conflict<Value>, depth: usize, segment: &Segment) {
    if let Some(step) = conflict.path.0.get_mut(depth) {
        *step = segment.clone();
    }
    conflict.terms = conflict.terms.map(|term| match term {
        Term::Contested(inner) => {
            let mut inner = inner.clone();
            repath(&mut inner, depth, segment);
            Term::Contested(inner)
        }
        other => other.clone(),
    });
}

/// An entry with its place, as the terms of a conflict over its key hold it.
fn located(segment: &Segment, entry: Value) -> Value {
    match (segment, entry) {
        (Segment::Item(_), entry @ Value::Map(_)) => rekeyed(segment, entry),
        (Segment::Key(key), entry) => Value::map([(key.clone(), entry)]),
        (_, entry) => entry,
    }
}

/// An item under another key; in a conflict, each of its values.
fn rekeyed(segment: &Segment, entry: Value) -> Value {
    match (segment, entry) {
        (Segment::Item(parts), Value::Map(mut map)) => {
            map.extend(parts.iter().cloned());
            Value::Map(map)
        }
        (_, Value::Conflict(mut conflict)) => {
            conflict.terms = conflict.terms.map(|term| rekeyed_term(segment, term));
            Value::Conflict(conflict)
        }
        (_, entry) => entry,
    }
}

fn rekeyed_term(segment: &Segment, term: &Term<Value>) -> Term<Value> {
    match term {
        Term::Absent => Term::Absent,
        Term::Value(value) => Term::Value(rekeyed(segment, value.clone())),
        Term::Contested(inner) => {
            let mut inner = inner.clone();
            inner.terms = inner.terms.map(|term| rekeyed_term(segment, term));
            Term::Contested(inner)
        }
    }
}

impl<K: Ord + Clone> Parts<'_, '_, K> {
    fn plan(&self, at: &Cursor<'_>) -> Plan<K> {
        let mut plan = Plan { follow: BTreeMap::new(), apart: Vec::new(), collide: Vec::new() };
        let [Some(ours), Some(base), Some(theirs)] = self.terms.as_slice() else { return plan };
        if !at.has_schema() {
            return plan;
        }
        let (our_new, their_new) = (self.renames(base, ours), self.renames(base, theirs));
        let mut found: BTreeMap<K, (Option<K>, Option<K>)> = BTreeMap::new();
        for old in our_new.keys().chain(their_new.keys()) {
            match (our_new.get(old), their_new.get(old)) {
                (Some(ours), Some(theirs)) if ours != theirs => {
                    plan.apart.push((old.clone(), ours.clone(), theirs.clone()));
                }
                (our_key, their_key) => {
                    for (key, is_ours) in [(our_key, true), (their_key, false)] {
                        if let Some(key) = key {
                            let both = found.entry(key.clone()).or_default();
                            let side = if is_ours { &mut both.0 } else { &mut both.1 };
                            *side = Some(old.clone());
                        }
                    }
                }
            }
        }
        plan.apart.sort();
        plan.apart.dedup();
        for (key, (our_old, their_old)) in found {
            let one = our_old.clone().or_else(|| their_old.clone());
            let both_came = ours.contains_key(&key) && theirs.contains_key(&key);
            let whole = |side: &Entries<K>| matches!(side.get(&key), Some(Value::Map(_)));
            match one {
                // A side that is in conflict there is taken apart as anywhere, and follows nothing.
                Some(_) if both_came && !(whole(ours) && whole(theirs)) => {}
                Some(_) if both_came && our_old != their_old => {
                    plan.collide.push((key, our_old, their_old));
                }
                Some(old) => drop(plan.follow.insert(key, old)),
                None => {}
            }
        }
        plan
    }

    /// What a side calls the entries of the base it gave another key.
    fn renames(&self, base: &Entries<K>, side: &Entries<K>) -> BTreeMap<K, K> {
        let named = |key: &K| former(&(self.segment)(key));
        let gone: BTreeMap<Value, &K> = base
            .keys()
            .filter(|key| !side.contains_key(key))
            .map(|key| (named(key), key))
            .collect();
        let mut renames = BTreeMap::new();
        for (key, entry) in
            side.iter().filter(|(key, _)| !gone.is_empty() && !base.contains_key(key))
        {
            let Value::Map(map) = entry else { continue };
            let Some(Value::Set(from)) = map.get(FROM) else { continue };
            let old = from.iter().find_map(|old| gone.get(old).copied());
            if let Some(old) = old.filter(|old| !renames.contains_key(*old)) {
                renames.insert(old.clone(), key.clone());
            }
        }
        renames
    }

    /// An entry with its place, as the terms of a conflict over its place hold it: in a list it holds
    /// its own key, in a map it stands under it.
    fn located(&self, key: &K, entry: Value) -> Value {
        located(&(self.segment)(key), entry)
    }

    /// An entry as it would be under `key`: what holds its key holds that one, so that it may stand in
    /// a conflict there.
    fn under(&self, key: &K, entry: Value) -> Value {
        match (self.segment)(key) {
            segment @ Segment::Item(_) => rekeyed(&segment, entry),
            _ => entry,
        }
    }

    /// An entry without what says its place.
    fn content(&self, entry: &Value) -> Value {
        match entry {
            Value::Map(map) => {
                let own = map.iter().filter(|(key, _)| !self.fields.contains(key));
                Value::Map(own.map(|(key, value)| (key.clone(), value.clone())).collect())
            }
            other => other.clone(),
        }
    }

    fn get(&self, term: usize, key: &K) -> Option<&Value> {
        self.terms.get(term).copied().flatten().and_then(|entries| entries.get(key))
    }
}

impl<'o> Walk<'o> {
    /// Merges entry by entry, but for those that are `done`.
    pub(super) fn parts<'a, K: Ord + Clone>(
        &mut self,
        parts: &Parts<'_, 'a, K>,
        labels: Labels<'a>,
        at: &Cursor<'o>,
        done: &BTreeSet<K>,
    ) -> Result<Entries<K>, MergeError> {
        let plan = parts.plan(at);
        let mut settled: BTreeSet<&K> = done.iter().chain(plan.follow.values()).collect();
        for (old, ours, theirs) in &plan.apart {
            settled.extend([old, ours, theirs]);
        }
        for (key, ours, theirs) in &plan.collide {
            settled.extend([Some(key), ours.as_ref(), theirs.as_ref()].into_iter().flatten());
        }
        let mut merged = Entries::new();
        let keys: BTreeSet<&K> =
            parts.terms.iter().flatten().flat_map(|entries| entries.keys()).collect();
        for key in keys.into_iter().filter(|key| !settled.contains(*key)) {
            let value = if let Some(old) = plan.follow.get(key) {
                self.followed(parts, (key, old), labels, at)?
            } else {
                let find = |entries: &'a Entries<K>| entries.get(key);
                let terms = parts.terms.iter().map(|term| term.and_then(find).into()).collect();
                let labels = labels
                    .below(|slot| (parts.open)(slot).map(|entries| entries.and_then(find).into()));
                let segment = (parts.segment)(key);
                self.below(segment, at, |walk, at| walk.place(terms, labels, at))?
            };
            if let Some(value) = value {
                merged.insert(key.clone(), value);
            }
        }
        for (key, ours, theirs) in &plan.collide {
            self.collide(parts, (key, ours.as_ref(), theirs.as_ref()), at, &mut merged)?;
        }
        for (old, ours, theirs) in &plan.apart {
            self.apart(parts, (old, ours, theirs), at, &mut merged)?;
        }
        Ok(merged)
    }

    /// Merges an entry under the key that a side gave it; the others have it under `old`.
    fn followed<'a, K: Ord + Clone>(
        &mut self,
        parts: &Parts<'_, 'a, K>,
        (key, old): (&K, &K),
        labels: Labels<'a>,
        at: &Cursor<'o>,
    ) -> Result<Option<Value>, MergeError> {
        let (depth, segment) = (self.path.0.len(), (parts.segment)(key));
        let find = |entries: &'a Entries<K>| {
            let under = |entry: &Value| moved(parts.under(key, entry.clone()), depth, &segment);
            let former = || entries.get(old).map(under);
            entries.get(key).cloned().or_else(former)
        };
        let terms: Vec<Option<Value>> =
            parts.terms.iter().map(|term| term.and_then(find)).collect();
        let label = |label: Option<Slot<'a>>| -> Option<Option<Value>> {
            (parts.open)(label?).map(|entries| entries.and_then(find))
        };
        let [ours, base, theirs] = [labels.ours, labels.base, labels.theirs].map(label);
        let [ours, base, theirs] =
            [&ours, &base, &theirs].map(|it| it.as_ref().map(|it| it.as_ref().into()));
        let terms = terms.iter().map(|term| term.as_ref().into()).collect();
        let labels = Labels { ours, base, theirs };
        self.below((parts.segment)(key), at, |walk, at| walk.place(terms, labels, at))
    }

    /// Merges three values that stand nowhere yet. With `swap` theirs comes first: what is held inside a
    /// conflict has to be the same whichever side was called ours, conflicts in it included.
    fn loose(
        &mut self,
        segment: Segment,
        [ours, base, theirs]: [Option<Value>; 3],
        swap: bool,
        at: &Cursor<'o>,
    ) -> Result<Option<Value>, MergeError> {
        let [ours, base, theirs]: [Slot<'_>; 3] =
            [&ours, &base, &theirs].map(|value| value.as_ref().into());
        let labels = Labels { ours: Some(ours), base: Some(base), theirs: Some(theirs) };
        let terms = if swap { vec![theirs, base, ours] } else { vec![ours, base, theirs] };
        self.below(segment, at, |walk, at| walk.place(terms, labels, at))
    }

    /// Two sides gave one entry different keys: its content is merged once, its place is disputed.
    fn apart<K: Ord + Clone>(
        &mut self,
        parts: &Parts<'_, '_, K>,
        (old, our_key, their_key): (&K, &K, &K),
        at: &Cursor<'o>,
        merged: &mut Entries<K>,
    ) -> Result<(), MergeError> {
        let entries = [parts.get(0, our_key), parts.get(1, old), parts.get(2, their_key)];
        let contents = entries.map(|entry| entry.map(|entry| parts.content(entry)));
        let together =
            self.loose((parts.segment)(old), contents.clone(), their_key < our_key, at)?;
        let [ours, base, theirs] = contents;
        let (ours, theirs) = match together {
            Some(together) if !matches!(together, Value::Conflict(_)) => {
                (Some(together.clone()), Some(together))
            }
            // What does not merge is held as each side has it.
            _ => (ours, theirs),
        };
        let held = [(our_key, ours), (old, base), (their_key, theirs)]
            .map(|(key, entry)| entry.map(|entry| parts.located(key, entry)));
        let terms: Vec<Slot<'_>> = held.iter().map(|value| value.as_ref().into()).collect();
        self.path.0.push((parts.segment)(old));
        // Not for rules: what they take would have to be put elsewhere.
        let contested = terms.iter().skip(1).step_by(2).any(|slot| slot.is_conflict());
        let kind = if contested { ConflictKind::ContestedBase } else { ConflictKind::RenameRename };
        let conflict = self.conflict_of(kind, RENAME, &terms);
        self.path.0.pop();
        merged.insert(old.clone(), Value::Conflict(Box::new(conflict?)));
        Ok(())
    }

    /// Merges where a side brings a dispute over the place along: each term with its key or list, so
    /// that the dispute goes on, or comes to an end at this place. `None` where there is no such dispute.
    pub(super) fn disputed_place(
        &self,
        terms: &[Slot<'_>],
    ) -> Result<Option<Option<Value>>, MergeError> {
        let Some(segment @ (Segment::Key(_) | Segment::Item(_))) = self.path.segments().last()
        else {
            return Ok(None);
        };
        let brings = |slot: &Slot<'_>, policy: &str| matches!(slot, Slot::Conflict(it) if it.policy == policy);
        let among = |policy: &&&str| terms.iter().step_by(2).any(|slot| brings(slot, policy));
        let Some(policy) = [MOVE, RENAME].iter().find(among).copied() else { return Ok(None) };
        let with_place = |value: Value| match (policy, segment) {
            (MOVE, Segment::Item(parts)) => match parts.as_slice() {
                [(_, id)] => Placed::here(id.clone(), value).to_value(),
                _ => value,
            },
            _ => located(segment, value),
        };
        let place = |slot: &Slot<'_>| match slot.to_term() {
            Term::Value(value) => Term::Value(with_place(value)),
            other => other,
        };
        let mut all: Vec<Term<Value>> = Vec::new();
        for (at, slot) in terms.iter().enumerate() {
            match slot {
                Slot::Conflict(conflict) if at % 2 == 0 && brings(slot, policy) => {
                    all.extend(conflict.terms.as_slice().iter().cloned());
                }
                slot if at % 2 == 0 => all.extend(flatten(&[*slot]).iter().map(place)),
                slot => all.push(place(slot)),
            }
        }
        let slots: Vec<Slot<'_>> = all.iter().map(Slot::from).collect();
        let simple = simplify_by(slots.clone(), &Slot::eq);
        let held = match agreed_by(&simple, &Slot::eq) {
            Some(Slot::Absent) => return Ok(Some(None)),
            Some(Slot::Value(value)) => match here(policy, segment, value) {
                Some(entry) => return Ok(Some(Some(entry))),
                // Settled at another place, where the walk does not stand: still for someone to say.
                None => slots,
            },
            Some(_) => slots,
            None => simple,
        };
        let contested = held.iter().skip(1).step_by(2).any(|slot| slot.is_conflict());
        let circle = terms.iter().step_by(2).any(|slot| {
            let Slot::Conflict(conflict) = slot else { return false };
            brings(slot, policy) && conflict.kind == ConflictKind::MoveCycle
        });
        let kind = match circle {
            _ if contested => ConflictKind::ContestedBase,
            true => ConflictKind::MoveCycle,
            false => ConflictKind::RenameRename,
        };
        let conflict = self.conflict_of(kind, policy, &held)?;
        Ok(Some(Some(Value::Conflict(Box::new(conflict)))))
    }

    /// Different entries came to one key: both are held.
    fn collide<K: Ord + Clone>(
        &mut self,
        parts: &Parts<'_, '_, K>,
        (key, our_old, their_old): (&K, Option<&K>, Option<&K>),
        at: &Cursor<'o>,
        merged: &mut Entries<K>,
    ) -> Result<(), MergeError> {
        let mut held = Vec::new();
        for (side, other, old) in [(0, 2, our_old), (2, 0, their_old)] {
            let own = parts.get(side, key).cloned();
            let entry = match old {
                // What the other side did to the entry under its former key comes along.
                Some(old) => {
                    let under =
                        |term| parts.get(term, old).map(|entry| parts.under(key, entry.clone()));
                    let mut terms = [own.clone(), under(1), under(other)];
                    if side == 2 {
                        terms.reverse();
                    }
                    self.loose((parts.segment)(key), terms, side == 2, at)?
                }
                None => own.clone(),
            };
            held.push(entry.filter(|entry| !matches!(entry, Value::Conflict(_))).or(own));
        }
        held.insert(1, None);
        let terms: Vec<Slot<'_>> = held.iter().map(|value| value.as_ref().into()).collect();
        let [ours, base, theirs] = [0, 1, 2].map(|term| terms.get(term).copied());
        let labels = Labels { ours, base, theirs };
        let settle = |walk: &mut Self, at: &Cursor<'o>| {
            walk.conflict(ConflictKind::Collision, "collision", &terms, labels, at)
        };
        if let Some(value) = self.below((parts.segment)(key), at, settle)? {
            merged.insert(key.clone(), value);
        }
        Ok(())
    }
}

/// The entry that a term with its place holds, if its place is this step.
fn here(policy: &str, segment: &Segment, located: &Value) -> Option<Value> {
    match (segment, located) {
        (Segment::Item(_), located) if policy == MOVE => {
            let placed = Placed::read(located)?;
            placed.item.filter(|_| placed.list.is_none() && placed.with.is_empty())
        }
        (Segment::Key(key), Value::Map(map)) if map.len() == 1 => map.get(key).cloned(),
        (Segment::Item(parts), Value::Map(map)) => {
            let own = parts.iter().all(|(field, part)| map.get(field) == Some(part));
            own.then(|| located.clone())
        }
        _ => None,
    }
}
