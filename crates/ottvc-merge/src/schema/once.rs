//! What a document changes though it was given once and for all (`immutable`).
//!
//! A conflict says by its bases what was given where it stands, whatever it is over: it may be put where each of
//! them has that, and what settles it stays what one of them has. So no conflict gets rid of anything, whoever
//! wrote it.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use ottvc_object::conflict::{Conflict, Term};
use ottvc_object::field_path::{FieldPath, Segment};
use ottvc_object::value::{FieldChange, Key, KeyedList, ListOrder, MOVE, RENAME, Value, diff};

use super::convert::convert;
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
/// of the places that the conflict names; only a merge puts a place in dispute. Of an order the keys that are
/// still there stay as they stood to each other.
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
    let inside = if bases.is_some() { Inside::Merged } else { Inside::Written };
    let mut changes = changed_once(old, new, root, inside);
    let Some(bases) = bases.filter(|_| !changes.is_empty()) else { return changes };
    let given = bases.iter().flat_map(|base| changed_once(base, new, root, Inside::Merged));
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

/// Whether the bases of a merge disagree about a place, and it stays what one of them has there, or is in conflict
/// over what they have.
fn is_contested(bases: &[Value], merged: &Value, path: &FieldPath, schema: &Schema) -> bool {
    let was: Vec<Cow<'_, Value>> = bases.iter().filter_map(|base| value_at(base, path)).collect();
    let agree = was.len() == bases.len() && was.windows(2).all(|pair| pair.first() == pair.last());
    let last = path.segments().last();
    let place = Cursor::at(schema, path);
    let list = path.parent().and_then(|list| merged.get(&list));
    let stays = |now: &Value| {
        let now = converted(now, &place, last);
        was.iter().any(|was| match last {
            Some(Segment::Order) => keeps_order(was, &now, list),
            _ => changed_once(was, &now, (&place, path), Inside::PassedOver).is_empty(),
        })
    };
    let all_stay = |conflict: &Conflict<Value>, last: Option<&Segment>, inside: &FieldPath| {
        let recalled = recalled(conflict, last);
        let stays = |value: &Value| value.get(inside).is_some_and(&stays);
        !recalled.is_empty() && recalled.into_iter().all(stays)
    };
    let now = value_at(merged, path);
    !agree
        && match now.as_deref() {
            Some(Value::Conflict(conflict)) => all_stay(conflict, last, &FieldPath::root()),
            Some(now) => stays(now),
            None => group_conflict(merged, path).is_some_and(|(group, conflict)| {
                all_stay(conflict, group.segments().last(), &inside_group(path, &group))
            }),
        }
}

/// What stands at a path, the order of a list too.
fn value_at<'v>(value: &'v Value, path: &FieldPath) -> Option<Cow<'v, Value>> {
    let Some((Segment::Order, list)) = path.segments().split_last() else {
        return value.get(path).map(Cow::Borrowed);
    };
    match value.get(&FieldPath(list.to_vec()))? {
        Value::Keyed(list) => Some(Cow::Owned(match list.order() {
            ListOrder::Known(keys) => KeyedList::sequence_value(keys),
            ListOrder::Conflict(conflict) => Value::Conflict(conflict.clone()),
        })),
        _ => None,
    }
}

/// Whether the keys of an order that are still in the list stand to each other as they did.
fn keeps_order(was: &Value, now: &Value, list: Option<&Value>) -> bool {
    let read = |list: &KeyedList| Some((list.read_sequence(was)?, list.read_sequence(now)?));
    let Some(Value::Keyed(list)) = list else { return was == now };
    let Some((was, now)) = read(list) else { return was == now };
    let kept: Vec<&Key> = was.iter().filter(|key| list.items().contains_key(key)).collect();
    let known: BTreeSet<&Key> = kept.iter().copied().collect();
    now.iter().filter(|key| known.contains(key)).eq(kept)
}

/// A value of a conflict as the schema has it at its place: conflicts keep what they had before a schema came.
fn converted(value: &Value, place: &Cursor<'_>, last: Option<&Segment>) -> Value {
    match last {
        Some(Segment::Order) => value.clone(),
        _ => convert(value.clone(), place),
    }
}

/// Whether several sides put something together here that changes what `base` gave once.
pub(crate) fn changes_once(base: &Value, merged: &Value, at: &Cursor<'_>) -> bool {
    !changed_once(base, merged, (at, &FieldPath::root()), Inside::PassedOver).is_empty()
}

/// What is thought of conflicts that stand where something was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inside {
    /// They are to have it for their bases; somebody wrote them, so they put nothing's place in dispute.
    Written,
    /// They are to have it for their bases, as those that a merge makes.
    Merged,
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
    let groups = OnceCell::new();
    for FieldChange { field, old: was, new: now } in diff(Some(old), Some(new)) {
        let Some(was) = was else { continue };
        let change =
            Change { values: [old, new], field: &field, at, above, inside, groups: &groups };
        if let Some(given) = change.loses(&was, now.as_ref()) {
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
    /// Whether fields that move together are in conflict in the new value.
    groups: &'c OnceCell<bool>,
}

impl Change<'_> {
    /// What of `was` is lost, if anything that was given is.
    fn loses(&self, was: &Value, now: Option<&Value>) -> Option<String> {
        let last = self.field.segments().last();
        let Value::Conflict(conflict) = was else {
            let given = given(was, last).into_iter().map(Cow::Borrowed).collect();
            return self.loses_at(self.field, given, now, None);
        };
        if is_over_place(conflict) && !matches!(now, Some(Value::Conflict(_))) {
            return self.loses_place(conflict);
        }
        // Fields that moved together lie in the map around.
        let group = match last {
            Some(Segment::Key(key)) if conflict.policy == GROUP => group_names(key),
            _ => None,
        };
        let Some(names) = group else {
            let given = self.as_now(bases_of(conflict, last), self.field);
            return self.loses_at(self.field, given, now, Some(conflict));
        };
        let [_, new] = self.values;
        let holder = self.field.parent().unwrap_or_else(FieldPath::root);
        names.into_iter().find_map(|name| {
            let field = holder.key(name);
            let given = bases_at(conflict, last, &FieldPath::root().key(name));
            let given = self.as_now(given.into_iter().flatten().collect(), &field);
            self.loses_at(&field, given, new.get(&field), Some(conflict))
        })
    }

    /// What is lost of what was `given` at `field`, by a conflict if there was one.
    fn loses_at(
        &self,
        field: &FieldPath,
        mut given: Vec<Cow<'_, Value>>,
        now: Option<&Value>,
        disputed: Option<&Conflict<Value>>,
    ) -> Option<String> {
        let last = field.segments().last();
        let place = self.cursor(field);
        given.retain(|was| holds_fixed(was, &place));
        let first = given.first()?;
        let stays = |now: &Value| given.iter().any(|was| self.stays(was, now, field));
        let all_stay = |bases: Vec<Option<&Value>>| {
            let stays = |base: &Value| stays(&converted(base, &place, last));
            !bases.is_empty() && bases.into_iter().all(|base| base.is_some_and(stays))
        };
        let passed = self.inside == Inside::PassedOver;
        let kept = match now {
            Some(Value::Conflict(_)) if passed => true,
            Some(Value::Conflict(conflict)) => {
                let may_stand = self.inside == Inside::Merged
                    || !is_over_place(conflict)
                    || disputed.is_some_and(is_over_place);
                may_stand && all_stay(bases_at(conflict, last, &FieldPath::root()))
            }
            Some(now) => (disputed.is_some() || last == Some(&Segment::Order)) && stays(now),
            None => match self.group_of(field) {
                Some(_) if passed => true,
                Some((group, conflict)) => {
                    let inside = inside_group(field, &group);
                    all_stay(bases_at(conflict, group.segments().last(), &inside))
                }
                None => false,
            },
        };
        (!kept).then(|| shown(first))
    }

    /// The conflict of fields that move together that a field is a part of now.
    fn group_of(&self, field: &FieldPath) -> Option<(FieldPath, &Conflict<Value>)> {
        let [_, new] = self.values;
        let is_group = |(_, conflict): &(FieldPath, &Conflict<Value>)| conflict.policy == GROUP;
        let any = *self.groups.get_or_init(|| new.conflicts().iter().any(is_group));
        any.then(|| group_conflict(new, field)).flatten()
    }

    /// What is lost of entries whose place was in dispute here, now that it is not any more: each goes to a place
    /// that the conflict names, or stays here.
    fn loses_place(&self, conflict: &Conflict<Value>) -> Option<String> {
        let [old, new] = self.values;
        let here = self.cursor(self.field);
        let last = self.field.segments().last();
        let holder = self.field.parent().unwrap_or_else(FieldPath::root);
        let mut lists = self.lists_of(conflict);
        for (id, given) in entries_of(conflict, last) {
            let mut given = self.as_now(given, self.field);
            given.retain(|was| holds_fixed(was, &here));
            let Some(first) = given.first() else { continue };
            let mut places = match id {
                Some(id) => {
                    let mut places = lists.remove(id).unwrap_or_default();
                    places.push(holder.clone());
                    places.into_iter().map(|list| list.join(item_step(id))).collect()
                }
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
                return Some(shown(first));
            }
        }
        None
    }

    /// The lists where the terms of a conflict put each item, by its `$id`.
    fn lists_of(&self, conflict: &Conflict<Value>) -> BTreeMap<Value, Vec<FieldPath>> {
        let mut lists: BTreeMap<Value, Vec<FieldPath>> = BTreeMap::new();
        for placed in
            conflict.terms.as_slice().iter().filter_map(|term| Placed::read(term.value()?))
        {
            for one in std::iter::once(&placed).chain(&placed.with) {
                // They name it from the document on.
                let steps = one.list.as_ref().and_then(|list| {
                    list.segments().strip_prefix(self.above.segments()).map(<[Segment]>::to_vec)
                });
                if let Some(steps) = steps {
                    lists.entry(one.id.clone()).or_default().push(FieldPath(steps));
                }
            }
        }
        lists
    }

    /// Values of a conflict as the schema has them at `field`.
    fn as_now(&self, values: Vec<&Value>, field: &FieldPath) -> Vec<Cow<'_, Value>> {
        let (place, last) = (self.cursor(field), field.segments().last());
        values.into_iter().map(|value| Cow::Owned(converted(value, &place, last))).collect()
    }

    /// Whether `now` keeps what `was` gives where both stand at `path`.
    fn stays(&self, was: &Value, now: &Value, path: &FieldPath) -> bool {
        if path.segments().last() == Some(&Segment::Order) {
            let [_, new] = self.values;
            return keeps_order(was, now, path.parent().and_then(|list| new.get(&list)));
        }
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
        Value::Array(keys) if keys.is_empty() && last == Some(&Segment::Order) => Vec::new(),
        Value::Conflict(conflict) => bases_of(conflict, last),
        value => vec![value],
    }
}

/// What the bases of a conflict give. Those of a contested base too; if none gives anything, the bases it is
/// between were the first to.
fn bases_of<'v>(conflict: &'v Conflict<Value>, last: Option<&Segment>) -> Vec<&'v Value> {
    bases_at(conflict, last, &FieldPath::root()).into_iter().flatten().collect()
}

/// What they give at the path `inside` of them; nothing for one that is there and gives nothing there.
fn bases_at<'v>(
    conflict: &'v Conflict<Value>,
    last: Option<&Segment>,
    inside: &FieldPath,
) -> Vec<Option<&'v Value>> {
    let step_in = |value: &'v Value| match inside.segments().last() {
        None => vec![Some(value)],
        last => match value.get(inside).map(|value| given(value, last)).unwrap_or_default() {
            none if none.is_empty() => vec![None],
            values => values.into_iter().map(Some).collect(),
        },
    };
    let base = |base: &'v Term<Value>| match base {
        Term::Absent => Vec::new(),
        Term::Value(value) => held(conflict, value, last).into_iter().flat_map(step_in).collect(),
        Term::Contested(inner) => {
            let mut bases = bases_at(inner, last, inside);
            bases.retain(Option::is_some);
            if bases.is_empty() {
                bases = sides_of(inner, last).into_iter().flat_map(step_in).collect();
                bases.retain(Option::is_some);
            }
            bases
        }
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
        (MOVE, term, Some(Segment::Item(parts))) => {
            let own = |id: &Value| parts.iter().any(|(_, part)| part == id);
            let items = items_of(term).unwrap_or_default().into_iter();
            items.filter(|(id, _)| own(id)).map(|(_, item)| item).collect()
        }
        // No merge makes such a conflict.
        (MOVE, ..) => Vec::new(),
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
fn with_key_of<'v>(was: &'v Value, now: &Value, last: Option<&Segment>) -> Cow<'v, Value> {
    let (Value::Map(map), Value::Map(now), Some(Segment::Item(parts))) = (was, now, last) else {
        return Cow::Borrowed(was);
    };
    if parts.iter().all(|(name, _)| map.get(name) == now.get(name)) {
        return Cow::Borrowed(was);
    }
    let mut map = map.clone();
    for (name, _) in parts {
        map.extend(now.get(name).map(|part| (name.clone(), part.clone())));
    }
    Cow::Owned(Value::Map(map))
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

/// The entries of a map, the texts of a localized one, the items of a list, or the elements of a set.
fn parts<'v>(value: &'v Value) -> Box<dyn Iterator<Item = (Segment, &'v Value)> + 'v> {
    match value {
        Value::Map(map) => {
            Box::new(map.iter().map(|(key, child)| (Segment::Key(key.clone()), child)))
        }
        Value::Localized(map) => {
            Box::new(map.iter().map(|(tag, text)| (Segment::Locale(tag.clone()), text)))
        }
        Value::Keyed(list) => {
            Box::new(list.items().iter().map(|(key, item)| (list.segment(key), item)))
        }
        Value::Set(set) => Box::new(set.iter().map(|it| (Segment::Element(it.clone()), it))),
        _ => Box::new(std::iter::empty()),
    }
}
