//! An item with the place it has on one side, as the terms of a conflict over its place hold it.
//!
//! It is a map: `$id` names the item, `item` is the item, `list` the path of the list it stands in (not
//! given where the conflict stands in that list), `after` the items before it in that list, the nearest
//! first and as far as one the merged list has too. `with` holds others of which the place is in dispute
//! with its own.

use ottvc_object::field_path::{FieldPath, Segment};
use ottvc_object::value::{Key, KeyedList, ListOrder, Value, ValueMap};

use crate::MergeError;

/// The key field of lists that exchange items.
pub(crate) const ID: &str = "$id";

/// An item and its place.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    /// What names it.
    pub(crate) id: Value,
    /// The item; none, if the side has others of the dispute alone.
    pub(crate) item: Option<Value>,
    /// The list it stands in; the one where the conflict stands, if not given.
    pub(crate) list: Option<FieldPath>,
    /// What stands before it there, the nearest first.
    pub(crate) after: Vec<Key>,
    /// Others in the same dispute.
    pub(crate) with: Vec<Placed>,
}

/// The step to an item with this `$id`.
pub(crate) fn item_step(id: &Value) -> Segment {
    Segment::Item(vec![(ID.to_owned(), id.clone())])
}

impl Placed {
    /// An item that stands where the conflict does.
    pub(crate) fn here(id: Value, item: Value) -> Self {
        Self { id, item: Some(item), list: None, after: Vec::new(), with: Vec::new() }
    }

    /// As the term of a conflict.
    pub(crate) fn to_value(&self) -> Value {
        let mut map = ValueMap::from([(ID.to_owned(), self.id.clone())]);
        let mut say = |name: &str, value: Option<Value>| {
            map.extend(value.map(|value| (name.to_owned(), value)));
        };
        say("item", self.item.clone());
        say("list", self.list.as_ref().map(|list| Value::from(list.to_string())));
        let ids = |keys: &[Key]| keys.iter().flat_map(Key::parts).cloned().collect();
        say("after", (!self.after.is_empty()).then(|| Value::Array(ids(&self.after))));
        let with = || Value::Array(self.with.iter().map(Self::to_value).collect());
        say("with", (!self.with.is_empty()).then(with));
        Value::Map(map)
    }

    /// Reads what [`Self::to_value`] wrote; `None` for anything else.
    pub(crate) fn read(value: &Value) -> Option<Self> {
        let Value::Map(map) = value else { return None };
        let known = |name: &String| [ID, "item", "list", "after", "with"].contains(&&**name);
        let id = map.get(ID)?.clone();
        let own = |item: &Value| matches!(item, Value::Map(item) if item.get(ID) == Some(&id));
        let item = map.get("item").cloned();
        if !map.keys().all(known) || !item.iter().all(own) {
            return None;
        }
        let list = match map.get("list") {
            Some(Value::String(path)) => Some(path.parse().ok()?),
            Some(_) => return None,
            None => None,
        };
        let elements = |name: &str| match map.get(name) {
            Some(Value::Array(elements)) => Some(elements.as_slice()),
            Some(_) => None,
            None => Some(&[] as &[Value]),
        };
        let key = |id: &Value| Key::new(vec![id.clone()]).ok();
        let after = elements("after")?.iter().map(key).collect::<Option<_>>()?;
        let with: Vec<Self> = elements("with")?.iter().map(Self::read).collect::<Option<_>>()?;
        (item.is_some() || !with.is_empty()).then_some(Self { id, item, list, after, with })
    }
}

/// Puts an item into a list, behind the first of `after` that is there, or at the start.
pub(crate) fn put_after(
    list: &mut KeyedList,
    key: &Key,
    item: Value,
    after: &[Key],
) -> Result<(), MergeError> {
    list.put(key.clone(), item)?;
    if let ListOrder::Known(order) = list.order() {
        let mut order: Vec<Key> = order.iter().filter(|other| *other != key).cloned().collect();
        let before = after.iter().find_map(|one| order.iter().position(|other| other == one));
        order.insert(before.map_or(0, |place| place + 1), key.clone());
        list.set_order(ListOrder::Known(order))?;
    }
    Ok(())
}

/// An item that goes to `path`, its conflicts with it: each names the place where it stands.
pub(crate) fn rebased(mut item: Value, path: &FieldPath) -> Value {
    let found = item.conflicts().into_iter().map(|(below, conflict)| (below, conflict.clone()));
    for (below, mut conflict) in found.collect::<Vec<_>>() {
        conflict.path = FieldPath([path.segments(), below.segments()].concat());
        // It stands there already; what is put in its place is of the same kind.
        let _ = item.set(&below, Some(Value::Conflict(Box::new(conflict))));
    }
    item
}

/// Settles the conflict over the place of the item at `at`: `chosen` and what is in dispute with it go to
/// the lists they name. Anything but a placed item stays where the conflict was.
pub(crate) fn settle(
    document: &Value,
    at: &FieldPath,
    chosen: Option<&Value>,
) -> Result<Value, MergeError> {
    let bad = |why| MergeError::BadChoice { at: at.clone(), why };
    let mut settled = document.clone();
    let Some(chosen) = chosen else {
        settled.set(at, None)?;
        return Ok(settled);
    };
    let Some(mut main) = Placed::read(chosen) else {
        settled.set(at, Some(rebased(chosen.clone(), at)))?;
        return Ok(settled);
    };
    let mut waiting = std::mem::take(&mut main.with);
    match (&main.list, &main.item) {
        (None, Some(item)) => settled.set(at, Some(rebased(item.clone(), at)))?,
        _ => settled.set(at, None)?,
    }
    if main.list.is_some() {
        waiting.push(main);
    }
    waiting.retain(|one| one.item.is_some());
    // One may go into another, which then goes first.
    while !waiting.is_empty() {
        let there = |one: &Placed| {
            let list = one.list.as_ref().and_then(|list| settled.get(list));
            matches!(list, Some(Value::Keyed(list)) if list.fields() == [ID])
        };
        let Some(next) = waiting.iter().position(there) else {
            // The list may come with what another conflict settles. If none is left it is gone with what it
            // was in: the item stays where its place was in dispute.
            if document.conflicts().len() > 1 {
                return Err(bad(
                    "the list it goes to is not there: settle the other conflicts first",
                ));
            }
            let here = at.parent().unwrap_or_else(FieldPath::root);
            waiting.iter_mut().for_each(|one| one.list = Some(here.clone()));
            if !waiting.iter().any(there) {
                return Err(bad("the list it goes to is not there"));
            }
            continue;
        };
        let Placed { id, item: Some(item), list: Some(path), after, .. } = waiting.remove(next)
        else {
            continue;
        };
        let Some(Value::Keyed(list)) = settled.get(&path) else { continue };
        let (mut list, key) = (list.clone(), Key::new(vec![id.clone()])?);
        if list.items().contains_key(&key) {
            return Err(bad("another entry stands where it would go"));
        }
        put_after(&mut list, &key, rebased(item, &path.join(item_step(&id))), &after)?;
        settled.set(&path, Some(Value::Keyed(list)))?;
    }
    Ok(settled)
}
