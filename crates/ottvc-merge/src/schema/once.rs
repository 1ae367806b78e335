//! What a document changes though it was given once and for all (`immutable`).
//!
//! A conflict says by its bases what was given where it stands, whatever it is over: it may be put where each of
//! them has that, and what settles it stays what one of them has. So no conflict gets rid of anything, whoever
//! wrote it.

use std::collections::{BTreeMap, BTreeSet};

use ottvc_object::conflict::{Conflict, Term};
use ottvc_object::field_path::{FieldPath, Segment};
use ottvc_object::value::{FieldChange, MOVE, RENAME, Value, diff};

use super::validate::{Finding, MAX_FINDINGS, shown};
use super::{Cursor, Schema};
use crate::group_conflict;
use crate::placed::{ID, Placed, item_step};
use crate::values::{GROUP, group_names};

/// Returns the fields that `new` changes though they were given once and for all, at most [`MAX_FINDINGS`].
///
/// A field that was absent or null may still be given; removing one is a change. One that was in conflict
/// was given by the bases of the conflict, and stays what one of them has; a conflict that is put in
/// its place has it for its bases. An entry whose place is in dispute is given by them too, and goes to one
/// of the places that the conflict names.
pub fn validate_change(old: &Value, new: &Value, schema: &Schema) -> Vec<Finding> {
    changes(old, None, new, schema).into_iter().take(MAX_FINDINGS).map(Finding::from).collect()
}

/// Returns the fields that a merge changes in `ours` though they were given once and for all, at most
/// [`MAX_FINDINGS`].
///
/// Who merges may choose between values that both sides gave where the base had none: each was the first.
/// So only what one of the `bases` had is judged. What is in conflict now has what they had for its bases; where
/// they disagree themselves, what any of them had.
pub fn validate_merge(
    ours: &Value,
    bases: &[Value],
    merged: &Value,
    schema: &Schema,
) -> Vec<Finding> {
    let changes = changes(ours, Some(bases), merged, schema);
    changes.into_iter().take(MAX_FINDINGS).map(Finding::from).collect()
}

/// One field that changes though it was given once.
#[derive(Debug)]
pub(super) struct Changed {
    pub(super) path: FieldPath,
    /// What is there now.
    pub(super) now: Option<Value>,
    /// What was given.
    given: String,
}

impl From<Changed> for Finding {
    fn from(Changed { path, now, given }: Changed) -> Self {
        Self {
            path,
            rule: "immutable",
            value: now.as_ref().map_or("nothing".to_owned(), shown),
            why: format!("it stays {given}"),
        }
    }
}

/// All that `new` changes of `old` though it was given once; of a merge into `old`, with its bases.
pub(super) fn changes(
    old: &Value,
    bases: Option<&[Value]>,
    new: &Value,
    schema: &Schema,
) -> Vec<Changed> {
    if !schema.fields().iter().any(|field| field.immutable) {
        return Vec::new();
    }
    let root = (&Cursor::root(Some(schema)), &FieldPath::root());
    let mut changes = changed_once(old, new, root, Inside::Judged);
    let Some(bases) = bases.filter(|_| !changes.is_empty()) else { return changes };
    let given = bases.iter().flat_map(|base| changed_once(base, new, root, Inside::Judged));
    let given: BTreeSet<FieldPath> =
        given.map(|it| it.path).filter(|path| !is_contested(bases, new, path, schema)).collect();
    changes.retain(|it| {
        let below = given.range(&it.path..).next().is_some_and(|path| path.starts_with(&it.path));
        let mut above = Some(it.path.clone());
        below
            || std::iter::from_fn(|| {
                above = above.as_ref()?.parent();
                above.clone()
            })
            .any(|path| given.contains(&path))
    });
    changes
}

/// Whether the bases of a merge disagree about a place, and it is in conflict over what they have there.
fn is_contested(bases: &[Value], merged: &Value, path: &FieldPath, schema: &Schema) -> bool {
    let (conflict, inside) = match (merged.get(path), group_conflict(merged, path)) {
        (Some(Value::Conflict(conflict)), _) => (&**conflict, FieldPath::root()),
        (_, Some((group, conflict))) => (conflict, inside_group(path, &group)),
        _ => return false,
    };
    let was: Vec<&Value> = bases.iter().filter_map(|base| base.get(path)).collect();
    let agree = was.len() == bases.len() && was.windows(2).all(|pair| pair.first() == pair.last());
    let place = Cursor::at(schema, path);
    let stays = |now: Option<&Value>| {
        now.is_some_and(|now| {
            let kept = |was: &&Value| {
                changed_once(was, now, (&place, path), Inside::PassedOver).is_empty()
            };
            was.iter().any(kept)
        })
    };
    let recalled = recalled(conflict, path.segments().last());
    !agree && !recalled.is_empty() && recalled.into_iter().all(|value| stays(value.get(&inside)))
}

/// Whether several sides put something together here that changes what `base` gave once.
pub(crate) fn changes_once(base: &Value, merged: &Value, at: &Cursor<'_>) -> bool {
    !changed_once(base, merged, (at, &FieldPath::root()), Inside::PassedOver).is_empty()
}

/// What is thought of conflicts that stand where something was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inside {
    /// They are to have it for their bases.
    Judged,
    /// They are judged elsewhere.
    PassedOver,
}

/// Finds what changes between two values at one place, which lies `above` them in the document, though it was
/// given once.
fn changed_once(
    old: &Value,
    new: &Value,
    (at, above): (&Cursor<'_>, &FieldPath),
    inside: Inside,
) -> Vec<Changed> {
    let mut found = Vec::new();
    for FieldChange { field, old: was, new: now } in diff(Some(old), Some(new)) {
        let Some(was) = was else { continue };
        let change = Change { values: [old, new], field: &field, at, above, inside };
        if let Some(given) = change.loses(&was, now.as_ref()).map(shown) {
            found.push(Changed { path: field, now, given });
        }
    }
    found
}

/// One place that differs between two values.
struct Change<'c> {
    /// The old value and the new one.
    values: [&'c Value; 2],
    field: &'c FieldPath,
    at: &'c Cursor<'c>,
    above: &'c FieldPath,
    inside: Inside,
}

impl Change<'_> {
    /// What of `was` is lost, if anything that was given is.
    fn loses<'w>(&self, was: &'w Value, now: Option<&Value>) -> Option<&'w Value> {
        let [_, new] = self.values;
        let disputed = match was {
            Value::Conflict(conflict) => Some(&**conflict),
            _ => None,
        };
        if let Some(conflict) = disputed.filter(|it| is_over_place(it))
            && !matches!(now, Some(Value::Conflict(_)))
        {
            return self.loses_place(conflict);
        }
        let last = self.field.segments().last();
        // Fields that moved together lie in the map around.
        let group = disputed.filter(|it| it.policy == GROUP).and_then(|_| match last {
            Some(Segment::Key(key)) => group_names(key),
            _ => None,
        });
        let whole = FieldPath(match (&group, self.field.segments().split_last()) {
            (Some(_), Some((_, parent))) => parent.to_vec(),
            _ => self.field.segments().to_vec(),
        });
        let place = self.cursor(&whole);
        let mut given = given(was, last);
        given.retain(|was| holds_fixed(was, &place));
        let first = *given.first()?;
        let stays = |now: &Value| given.iter().any(|was| self.stays(was, now, &whole));
        let all_stay = |bases: Vec<&Value>, inside: &FieldPath| {
            let stays = |base: &Value| base.get(inside).is_some_and(stays);
            !bases.is_empty() && bases.into_iter().all(stays)
        };
        let passed = self.inside == Inside::PassedOver;
        let kept = match (now, group_conflict(new, self.field)) {
            (Some(Value::Conflict(_)), _) | (_, Some(_)) if passed => true,
            (Some(Value::Conflict(conflict)), _) => {
                let same = group.is_none() || conflict.policy == GROUP;
                same && all_stay(bases_of(conflict, last), &FieldPath::root())
            }
            (_, Some((group, conflict))) => {
                let last = group.segments().last();
                all_stay(bases_of(conflict, last), &inside_group(self.field, &group))
            }
            (now, None) => match &group {
                Some(names) => {
                    let field = |name: &&str| {
                        Some(((*name).to_owned(), new.get(&whole.key(*name))?.clone()))
                    };
                    stays(&Value::Map(names.iter().filter_map(field).collect()))
                }
                None => disputed.is_some() && now.is_some_and(stays),
            },
        };
        (!kept).then_some(first)
    }

    /// What is lost of entries whose place was in dispute here, now that it is not any more: each goes to a place
    /// that the conflict names, or stays here.
    fn loses_place<'w>(&self, conflict: &'w Conflict<Value>) -> Option<&'w Value> {
        let [old, new] = self.values;
        let here = self.cursor(self.field);
        let last = self.field.segments().last();
        let holder = self.field.parent().unwrap_or_else(FieldPath::root);
        for (id, mut given) in entries_of(conflict, last) {
            given.retain(|was| holds_fixed(was, &here));
            let Some(first) = given.first() else { continue };
            let mut places = match id {
                Some(id) => self.lists_of(conflict, &holder, id),
                None => keys_of(conflict, &holder, new),
            };
            places.retain(|place| place == self.field || old.get(place).is_none());
            places.push(self.field.clone());
            let kept = places.iter().any(|path| {
                let Some(now) = new.get(path) else { return false };
                let place = self.cursor(path);
                given.iter().any(|was| {
                    let was = with_key_of(was, now, path.segments().last());
                    as_fixed(&was, &here, &place) && self.stays(&was, now, path)
                })
            });
            if !kept {
                return Some(first);
            }
        }
        None
    }

    /// Where the terms of a conflict put the item `id`.
    fn lists_of(
        &self,
        conflict: &Conflict<Value>,
        holder: &FieldPath,
        id: &Value,
    ) -> Vec<FieldPath> {
        let mut lists = vec![holder.clone()];
        for placed in
            conflict.terms.as_slice().iter().filter_map(|term| Placed::read(term.value()?))
        {
            for one in std::iter::once(&placed).chain(&placed.with).filter(|one| one.id == *id) {
                // They name it from the document on.
                let steps = one.list.as_ref().and_then(|list| {
                    list.segments().strip_prefix(self.above.segments()).map(<[Segment]>::to_vec)
                });
                lists.extend(steps.map(FieldPath));
            }
        }
        lists.into_iter().map(|list| list.join(item_step(id))).collect()
    }

    /// Whether `now` keeps what `was` gives where both stand at `path`.
    fn stays(&self, was: &Value, now: &Value, path: &FieldPath) -> bool {
        let above = FieldPath([self.above.segments(), path.segments()].concat());
        changed_once(was, now, (&self.cursor(path), &above), self.inside).is_empty()
    }

    fn cursor(&self, path: &FieldPath) -> Cursor<'_> {
        path.segments().iter().fold(self.at.clone(), |at, step| at.step(step))
    }
}

/// Whether a conflict is over the place of an entry, which stands elsewhere once it is settled.
fn is_over_place(conflict: &Conflict<Value>) -> bool {
    [MOVE, RENAME].contains(&conflict.policy.as_str())
}

/// The way from the fields of a group to the one at `field`, where the group stands at `group`.
fn inside_group(field: &FieldPath, group: &FieldPath) -> FieldPath {
    let above = group.segments().len().saturating_sub(1);
    FieldPath(field.segments().get(above..).unwrap_or_default().to_vec())
}

/// What was given where this stands, at the step `last`: the value, or what the bases of a conflict have.
fn given<'v>(value: &'v Value, last: Option<&Segment>) -> Vec<&'v Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Conflict(conflict) => bases_of(conflict, last),
        value => vec![value],
    }
}

/// What the bases of a conflict give. Those of a contested base too; if it has none, the bases it is between
/// were the first to give anything.
fn bases_of<'v>(conflict: &'v Conflict<Value>, last: Option<&Segment>) -> Vec<&'v Value> {
    let base = |base: &'v Term<Value>| match base {
        Term::Absent => Vec::new(),
        Term::Value(value) => held(conflict, value, last),
        Term::Contested(inner) => match bases_of(inner, last) {
            none if none.is_empty() => sides_of(inner, last),
            bases => bases,
        },
    };
    conflict.terms.removes().flat_map(base).collect()
}

/// What a conflict says that bases have, which may disagree.
fn recalled<'v>(conflict: &'v Conflict<Value>, last: Option<&Segment>) -> Vec<&'v Value> {
    let base = |base: &'v Term<Value>| match base {
        Term::Absent => Vec::new(),
        Term::Value(value) => held(conflict, value, last),
        Term::Contested(inner) => sides_of(inner, last),
    };
    conflict.terms.removes().flat_map(base).collect()
}

/// What the sides of a contested base have.
fn sides_of<'v>(conflict: &'v Conflict<Value>, last: Option<&Segment>) -> Vec<&'v Value> {
    let side = |side: &'v Term<Value>| match side {
        Term::Absent => Vec::new(),
        Term::Value(value) => held(conflict, value, last),
        Term::Contested(inner) => sides_of(inner, last),
    };
    conflict.terms.adds().flat_map(side).collect()
}

/// What a term of a conflict has for the step `last`: of a place in dispute the entry, without its place.
fn held<'v>(conflict: &Conflict<Value>, term: &'v Value, last: Option<&Segment>) -> Vec<&'v Value> {
    match (&*conflict.policy, term, last) {
        (RENAME, Value::Map(map), Some(Segment::Key(_))) => {
            map.values().flat_map(|entry| given(entry, last)).collect()
        }
        (MOVE, term, Some(Segment::Item(parts))) => match items_of(term) {
            Some(items) => {
                let own = |id: &Value| parts.iter().any(|(_, part)| part == id);
                items.into_iter().filter(|(id, _)| own(id)).map(|(_, item)| item).collect()
            }
            None => given(term, last),
        },
        _ => given(term, last),
    }
}

/// The items that a term of a conflict over places holds, each with its `$id`.
fn items_of(term: &Value) -> Option<Vec<(&Value, &Value)>> {
    Placed::read(term)?;
    let Value::Map(map) = term else { return None };
    let mut items: Vec<(&Value, &Value)> = map.get(ID).zip(map.get("item")).into_iter().collect();
    if let Some(Value::Array(others)) = map.get("with") {
        items.extend(others.iter().filter_map(items_of).flatten());
    }
    Some(items)
}

/// The entries of which the place is in dispute, as bases have them; with the `$id` of those that moved between lists.
fn entries_of<'v>(
    conflict: &'v Conflict<Value>,
    last: Option<&Segment>,
) -> Vec<(Option<&'v Value>, Vec<&'v Value>)> {
    if conflict.policy != MOVE {
        return vec![(None, bases_of(conflict, last))];
    }
    let mut all: BTreeMap<&Value, Vec<&Value>> = BTreeMap::new();
    for (id, item) in conflict.terms.removes().filter_map(|it| items_of(it.value()?)).flatten() {
        all.entry(id).or_default().push(item);
    }
    all.into_iter().map(|(id, items)| (Some(id), items)).collect()
}

/// Where the terms of a conflict over the key of an entry put it.
fn keys_of(conflict: &Conflict<Value>, holder: &FieldPath, new: &Value) -> Vec<FieldPath> {
    let values = conflict.terms.as_slice().iter().filter_map(Term::value);
    let maps = values.filter_map(|term| match term {
        Value::Map(map) => Some(map),
        _ => None,
    });
    match new.get(holder) {
        Some(Value::Keyed(list)) => maps
            .filter_map(|map| Some(holder.join(list.segment(&list.key_of(map).ok()?))))
            .collect(),
        _ => maps.flat_map(|map| map.keys()).map(|key| holder.key(key.as_str())).collect(),
    }
}

/// An item under the key that it has now.
fn with_key_of(was: &Value, now: &Value, last: Option<&Segment>) -> Value {
    let (Value::Map(was), Value::Map(now), Some(Segment::Item(parts))) = (was, now, last) else {
        return was.clone();
    };
    let mut was = was.clone();
    for (name, _) in parts {
        was.extend(now.get(name).map(|part| (name.clone(), part.clone())));
    }
    Value::Map(was)
}

/// Whether what is given once at `from` is so at `to`.
fn as_fixed(value: &Value, from: &Cursor<'_>, to: &Cursor<'_>) -> bool {
    if from.fixed() || to.fixed() {
        return to.fixed();
    }
    parts(value).all(|(step, part)| as_fixed(part, &from.step(&step), &to.step(&step)))
}

/// Whether something of what a value gives, or the bases of conflicts in it, is given once.
fn holds_fixed(value: &Value, at: &Cursor<'_>) -> bool {
    let part = |(step, part)| {
        let at = at.step(&step);
        given(part, Some(&step)).into_iter().any(|value| holds_fixed(value, &at))
    };
    at.fixed() || parts(value).any(part)
}

/// The entries of a map, or the items of a list.
fn parts<'v>(value: &'v Value) -> Box<dyn Iterator<Item = (Segment, &'v Value)> + 'v> {
    match value {
        Value::Map(map) => {
            Box::new(map.iter().map(|(key, child)| (Segment::Key(key.clone()), child)))
        }
        Value::Keyed(list) => {
            Box::new(list.items().iter().map(|(key, item)| (list.segment(key), item)))
        }
        _ => Box::new(std::iter::empty()),
    }
}
