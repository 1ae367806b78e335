//! Settling conflicts in a document, one place at a time.

use std::collections::BTreeSet;

use ottvc_object::conflict::{Conflict, Term};
use ottvc_object::field_path::{FieldPath, Segment};
use ottvc_object::value::{Key, KeyedList, ListOrder, MOVE, RENAME, Value, value_to_json};

use crate::MergeError;
use crate::placed;
use crate::values::{GROUP, group_names, order_beginning, sorted_order, taken_order};

/// What to put in place of a conflict.
#[derive(Clone, Debug, PartialEq)]
pub enum Choice {
    /// Its first side.
    Ours,
    /// Its last side.
    Theirs,
    /// Its first base.
    Base,
    /// This term, counted from 0: sides at even places, bases at odd ones.
    Term(usize),
    /// This value; for the order of a list an array of all its keys.
    Value(Value),
    /// Nothing.
    Absent,
    /// What all sides added: sets, lists or maps that have no key in common.
    Both,
    /// For the order of a list: these keys first, each as its step in a path is written, or bare where
    /// one field is the key; then the others as ours orders them, then those that ours lacks.
    Order(Vec<String>),
}

/// Returns `document` with the conflict at `at` settled by `choice`; a term that has nothing there
/// removes the field. A side's order that lacks keys of the list gets them at its end, as the other sides
/// order them; a base's gets them sorted.
///
/// The value taken may hold conflicts further down: those its side had.
///
/// # Errors
/// [`MergeError::NoConflict`] where there is none; [`MergeError::NoSuchTerm`],
/// [`MergeError::ContestedTerm`] or [`MergeError::BadChoice`] for a choice that cannot be taken;
/// [`MergeError::DocumentRemoved`] if nothing is left, see [`resolve_document`].
pub fn resolve_value(
    document: &Value,
    at: &FieldPath,
    choice: &Choice,
) -> Result<Value, MergeError> {
    resolve_document(document, at, choice)?.ok_or(MergeError::DocumentRemoved)
}

/// As [`resolve_value`], with `None` where a conflict over the whole document is settled by
/// removing it.
///
/// # Errors
/// As [`resolve_value`], but for [`MergeError::DocumentRemoved`].
pub fn resolve_document(
    document: &Value,
    at: &FieldPath,
    choice: &Choice,
) -> Result<Option<Value>, MergeError> {
    let mut document = document.clone();
    Ok(resolve_in(&mut document, at, choice)?.then_some(document))
}

/// Settles the conflict at `at` in `document` itself, so that many of one document cost no copy each; `false`
/// where nothing is left of it, see [`resolve_document`]. After an error the document is of no use.
///
/// # Errors
/// As [`resolve_document`].
pub fn resolve_in(
    document: &mut Value,
    at: &FieldPath,
    choice: &Choice,
) -> Result<bool, MergeError> {
    if let Some((Segment::Order, list)) = at.0.split_last() {
        let list = FieldPath(list.to_vec());
        let order = settled_order(document, at, &list, choice)?;
        set_order(document, &list, order)?;
        return Ok(true);
    }
    let Some(Value::Conflict(conflict)) = document.get(at) else {
        return Err(MergeError::NoConflict { at: at.clone() });
    };
    let value = chosen(conflict, at, choice)?;
    if at.is_root() {
        let left = value.is_some();
        *document = value.unwrap_or(Value::Null);
        return Ok(left);
    }
    if conflict.policy == RENAME {
        *document = move_to(document, at, value.as_ref())?;
        return Ok(true);
    }
    if conflict.policy == MOVE {
        *document = placed::settle(document, at, value.as_ref())?;
        return Ok(true);
    }
    match (conflict.policy == GROUP).then(|| put_back(at, value.as_ref())).flatten() {
        Some(fields) => {
            let fields = fields?;
            document.set(at, None)?;
            for (field, value) in fields {
                document.set(&field, Some(value))?;
            }
        }
        None => document.set(at, value)?,
    }
    Ok(true)
}

/// The order that `choice` gives the list at `list`, which is in conflict at `at`.
fn settled_order(
    document: &Value,
    at: &FieldPath,
    list: &FieldPath,
    choice: &Choice,
) -> Result<ListOrder, MergeError> {
    let bad = |why| MergeError::BadChoice { at: at.clone(), why };
    let none = || MergeError::NoConflict { at: at.clone() };
    let Some(Value::Keyed(keyed)) = document.get(list) else { return Err(none()) };
    let ListOrder::Conflict(conflict) = keyed.order() else { return Err(none()) };
    if let Choice::Order(names) = choice {
        let keys = names.iter().map(|name| key_called(keyed, name)).collect::<Option<Vec<_>>>();
        let keys = keys.ok_or_else(|| bad("the list has no item of such a key"))?;
        let distinct: BTreeSet<&Key> = keys.iter().copied().collect();
        if distinct.len() != keys.len() {
            return Err(bad("a key comes twice"));
        }
        return Ok(order_beginning(keyed, keys));
    }
    match chosen(conflict, at, choice)? {
        _ if *choice == Choice::Absent => Err(bad("a list has some order")),
        term if !matches!(choice, Choice::Value(_)) => {
            Ok(taken_order(keyed, conflict, term.as_ref()))
        }
        given => {
            let keys = given.and_then(|given| keyed.read_sequence(&given));
            Ok(ListOrder::Known(keys.ok_or_else(|| bad("an order is an array of keys"))?))
        }
    }
}

/// Returns `document` without what is in conflict, or `None` if that is all of it: fields, groups and items
/// are left out, and a list whose order is in conflict has its items sorted by their keys.
///
/// # Errors
/// None for a document that a merge made.
pub fn without_conflicts(document: &Value) -> Result<Option<Value>, MergeError> {
    let mut left = document.clone();
    for (at, _) in document.conflicts() {
        match at.0.split_last() {
            None => return Ok(None),
            Some((Segment::Order, list)) => {
                let list = FieldPath(list.to_vec());
                if let Some(Value::Keyed(keyed)) = left.get(&list) {
                    let order = sorted_order(keyed);
                    set_order(&mut left, &list, order)?;
                }
            }
            Some(_) => left.set(&at, None)?,
        }
    }
    Ok(Some(left))
}

/// Gives the list at `at` this order.
fn set_order(document: &mut Value, at: &FieldPath, order: ListOrder) -> Result<(), MergeError> {
    let Some(Value::Keyed(list)) = document.get(at) else { return Ok(()) };
    let why = "an order has each key of the list once";
    let mut settled = list.clone();
    settled.set_order(order).map_err(|_| MergeError::BadChoice { at: at.clone(), why })?;
    document.set(at, Some(Value::Keyed(settled)))?;
    Ok(())
}

/// The key of a list that is written so: as the step of a path, or bare where one field is the key.
fn key_called<'l>(list: &'l KeyedList, name: &str) -> Option<&'l Key> {
    let bare = |key: &Key| match list.segment(key) {
        Segment::Item(parts) => match parts.as_slice() {
            [(_, Value::String(text))] => Some(text.clone()),
            [(_, part)] => Some(value_to_json(part).to_string()),
            _ => None,
        },
        _ => None,
    };
    let step = |key: &Key| FieldPath(vec![list.segment(key)]).to_string();
    let step_named = format!("/{name}");
    list.items().keys().find(|key| bare(key).as_deref() == Some(name) || step(key) == step_named)
}

/// Puts an entry, whose place was in conflict at `at`, where it says: an item under the key it holds, a
/// map of one entry in place of that entry.
fn move_to(document: &Value, at: &FieldPath, chosen: Option<&Value>) -> Result<Value, MergeError> {
    let bad = |why| MergeError::BadChoice { at: at.clone(), why };
    let holder = FieldPath(at.0.iter().take(at.0.len().saturating_sub(1)).cloned().collect());
    let mut moved = document.clone();
    if let (Some(Value::Map(map)), Some(Value::Keyed(list))) = (chosen, document.get(&holder)) {
        let Some(Segment::Item(parts)) = at.0.last() else { return Err(bad("it is no item")) };
        let key = list.key_of(map).map_err(|_| bad("an item holds its key fields"))?;
        let old = list.key_named(parts).ok_or_else(|| bad("it is no item"))?;
        let (fields, mut items, mut order) = list.clone().into_parts();
        items.remove(&old);
        if items.insert(key.clone(), Value::Map(map.clone())).is_some() {
            return Err(bad("another entry stands where it would go"));
        }
        // It keeps its place.
        if let ListOrder::Known(keys) = &mut order {
            keys.iter_mut().filter(|it| **it == old).for_each(|it| it.clone_from(&key));
        }
        let list = KeyedList::from_parts(fields, items, order)?;
        moved.set(&holder, Some(Value::Keyed(list)))?;
        return Ok(moved);
    }
    moved.set(at, None)?;
    let Some(chosen) = chosen else { return Ok(moved) };
    let Value::Map(map) = chosen else { return Err(bad("a renamed entry is a map")) };
    let entries = map.iter().map(|(key, entry)| (holder.key(key.as_str()), entry.clone()));
    for (path, entry) in entries {
        if moved.get(&path).is_some() {
            return Err(bad("another entry stands where it would go"));
        }
        moved.set(&path, Some(entry))?;
    }
    Ok(moved)
}

/// The fields of a group that was in conflict at `at`, each at its own place; `None` if that is no
/// place of a group.
fn put_back(
    at: &FieldPath,
    chosen: Option<&Value>,
) -> Option<Result<Vec<(FieldPath, Value)>, MergeError>> {
    let Some((Segment::Key(key), map)) = at.0.split_last() else { return None };
    let names = group_names(key)?;
    let map = FieldPath(map.to_vec());
    let why = "a group of fields is settled by a map of them";
    let bad = || Some(Err(MergeError::BadChoice { at: at.clone(), why }));
    match chosen {
        None => Some(Ok(Vec::new())),
        Some(Value::Map(fields)) if fields.keys().all(|key| names.contains(&key.as_str())) => {
            let field = |(key, value): (&String, &Value)| (map.key(key.as_str()), value.clone());
            Some(Ok(fields.iter().map(field).collect()))
        }
        Some(_) => bad(),
    }
}

/// Returns what `choice` takes from `conflict`.
fn chosen(
    conflict: &Conflict<Value>,
    at: &FieldPath,
    choice: &Choice,
) -> Result<Option<Value>, MergeError> {
    let terms = conflict.terms.as_slice();
    let place = match choice {
        Choice::Ours => 0,
        Choice::Theirs => terms.len().saturating_sub(1),
        Choice::Base => 1,
        Choice::Term(place) => *place,
        Choice::Absent => return Ok(None),
        Choice::Both => return both(conflict, at).map(Some),
        Choice::Order(_) => {
            let why = "it is no order of a list";
            return Err(MergeError::BadChoice { at: at.clone(), why });
        }
        Choice::Value(Value::Conflict(_)) => {
            return Err(MergeError::BadChoice { at: at.clone(), why: "it is a conflict itself" });
        }
        Choice::Value(value) => return Ok(Some(value.clone())),
    };
    match terms.get(place) {
        Some(Term::Absent) => Ok(None),
        Some(Term::Value(value)) => Ok(Some(value.clone())),
        Some(Term::Contested(_)) => Err(MergeError::ContestedTerm { at: at.clone(), term: place }),
        None => Err(MergeError::NoSuchTerm { at: at.clone(), term: place }),
    }
}

/// Puts together what the sides of a conflict added.
fn both(conflict: &Conflict<Value>, at: &FieldPath) -> Result<Value, MergeError> {
    let bad = |why| MergeError::BadChoice { at: at.clone(), why };
    if !conflict.terms.removes().all(Term::is_absent) {
        return Err(bad("both can be taken where each side added it, and this was there before"));
    }
    let sides: Option<Vec<&Value>> = conflict.terms.adds().map(Term::value).collect();
    let mut sides = sides.ok_or_else(|| bad("a side has nothing there"))?.into_iter();
    let mut all = sides.next().cloned().ok_or_else(|| bad("a side has nothing there"))?;
    for side in sides {
        let twice = || bad("the sides have a key in common");
        match (&mut all, side) {
            (Value::Set(all), Value::Set(more)) => {
                for element in more.iter() {
                    all.insert(element.clone())?;
                }
            }
            (Value::Map(all), Value::Map(more))
            | (Value::Localized(all), Value::Localized(more)) => {
                for (key, value) in more {
                    if all.insert(key.clone(), value.clone()).is_some() {
                        return Err(twice());
                    }
                }
            }
            (Value::Keyed(all), Value::Keyed(more)) if all.fields() == more.fields() => {
                let (ListOrder::Known(order), ListOrder::Known(after)) =
                    (all.order(), more.order())
                else {
                    return Err(bad("the order of a side is in conflict"));
                };
                let order = [order.as_slice(), after.as_slice()].concat();
                for (key, item) in more.items() {
                    if all.items().contains_key(key) {
                        return Err(twice());
                    }
                    all.put(key.clone(), item.clone())?;
                }
                all.set_order(ListOrder::Known(order))?;
            }
            _ => return Err(bad("the sides are not two sets, lists or maps")),
        }
    }
    Ok(all)
}
