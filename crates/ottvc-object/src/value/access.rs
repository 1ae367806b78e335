//! Reading and changing one field of a value, and finding its conflicts.

use crate::conflict::Conflict;
use crate::error::ObjectError;
use crate::field_path::{FieldPath, Segment};
use crate::value::{
    KeyedList, ListOrder, Value, ValueMap, ValueSet, canonical_tag, not_a_leaf, not_a_tag,
};

impl Value {
    /// Returns the value at `path`, if there is one; an element of a set is its own value.
    ///
    /// There is no value at the order of a list ([`KeyedList::order`] has it), nor inside a
    /// conflict: reading one side of it is a choice the caller makes.
    pub fn get(&self, path: &FieldPath) -> Option<&Self> {
        path.segments().iter().try_fold(self, |value, segment| value.child(segment))
    }

    fn child(&self, segment: &Segment) -> Option<&Self> {
        match (self, segment) {
            (Self::Map(map), Segment::Key(key)) => map.get(key),
            (Self::Localized(map), Segment::Locale(tag)) => map.get(tag),
            (Self::Keyed(list), Segment::Item(parts)) => list.items().get(&list.key_named(parts)?),
            (Self::Set(set), Segment::Element(element)) => set.get(element),
            (Self::Array(elements), Segment::Index(at)) => elements.get(usize::try_from(*at).ok()?),
            _ => None,
        }
    }

    /// Sets the value at `path`, or removes it with `None`; on an error nothing is changed.
    ///
    /// - Missing containers on the way are made, of the kind the next step needs. Removing what is
    ///   not there is fine and makes nothing.
    /// - An element of a set is put in by itself or `true`, taken out by `None` or `false`.
    /// - An item of a keyed list gets the key fields it lacks; a new one goes to the end.
    /// - The order of a list is set by an array of its keys, or by a conflict over such arrays.
    /// - Positions in arrays cannot be set: set the whole array.
    ///
    /// # Errors
    /// [`ObjectError::BadValue`] naming the step that does not fit the value there.
    pub fn set(&mut self, path: &FieldPath, new: Option<Self>) -> Result<(), ObjectError> {
        let bad = |at: FieldPath, why| ObjectError::BadValue { field: at.to_string(), why };
        path.check().map_err(|why| bad(path.clone(), why.to_owned()))?;
        if path.is_root() {
            let new = new.ok_or_else(|| {
                bad(FieldPath::root(), "the whole document cannot be removed".to_owned())
            })?;
            *self = new;
            return Ok(());
        }
        let steps = path.segments();
        self.set_below(steps, new).map_err(|Fault { left, why }| {
            // The fault names its place by the steps that were left.
            let done = steps.len().saturating_sub(left);
            bad(FieldPath(steps.iter().take(done).cloned().collect()), why)
        })
    }

    fn set_below(&mut self, steps: &[Segment], new: Option<Self>) -> Result<(), Fault> {
        let Some((step, rest)) = steps.split_first() else {
            return match new {
                Some(new) => {
                    *self = new;
                    Ok(())
                }
                None => Ok(()),
            };
        };
        let here = |why: String| Fault { left: steps.len(), why };
        let there = |why: String| Fault { left: rest.len(), why };
        match (self, step) {
            (Self::Map(map), Segment::Key(key)) => set_entry(map, key, rest, new),
            (Self::Localized(map), Segment::Locale(tag)) => {
                let canonical = canonical_tag(tag).ok_or_else(|| there(not_a_tag(tag)))?;
                if !rest.is_empty() {
                    return Err(there("a localized string has no fields".to_owned()));
                }
                if let Some(leaf) = new.as_ref().filter(|leaf| !leaf.is_localized_leaf()) {
                    return Err(there(not_a_leaf(leaf)));
                }
                set_entry(map, &canonical, rest, new)
            }
            (Self::Set(set), Segment::Element(element)) if rest.is_empty() => {
                set_element(set, element, new).map_err(there)
            }
            (Self::Keyed(list), Segment::Item(parts)) => set_item(list, parts, rest, new),
            (Self::Keyed(list), Segment::Order) if rest.is_empty() => {
                set_order(list, new).map_err(there)
            }
            (Self::Conflict(_), _) => {
                Err(here("in conflict; settle it before changing a part of it".to_owned()))
            }
            (Self::Array(_), Segment::Index(_)) => {
                Err(here("positions of an array cannot be set; set the whole array".to_owned()))
            }
            (other, step) => Err(here(format!("{} has no step `{step}`", other.kind_phrase()))),
        }
    }

    /// Every conflict in the value, outermost only, in the order of the walk, with its place.
    pub fn conflicts(&self) -> Vec<(FieldPath, &Conflict<Self>)> {
        let mut found = Vec::new();
        // Most documents have none: no path is made for them.
        if !self.has_conflict() {
            return found;
        }
        walk(self, &mut FieldPath::root(), &mut |path, conflict| {
            found.push((path.clone(), conflict));
        });
        found
    }

    /// Whether there is a conflict anywhere in the value.
    pub fn has_conflict(&self) -> bool {
        match self {
            Self::Conflict(_) => true,
            Self::Array(elements) => elements.iter().any(Self::has_conflict),
            Self::Map(map) | Self::Localized(map) => map.values().any(Self::has_conflict),
            Self::Keyed(list) => {
                matches!(list.order(), ListOrder::Conflict(_))
                    || list.items().values().any(Self::has_conflict)
            }
            _ => false,
        }
    }
}

/// Why a step could not be taken, and how many steps were left.
struct Fault {
    left: usize,
    why: String,
}

/// The empty container that has a place for `step`.
fn container_for(step: &Segment) -> Result<Value, String> {
    match step {
        Segment::Key(_) => Ok(Value::Map(ValueMap::new())),
        Segment::Locale(_) => Ok(Value::Localized(ValueMap::new())),
        Segment::Element(_) => Ok(Value::Set(ValueSet::default())),
        Segment::Item(parts) => {
            let fields = parts.iter().map(|(field, _)| field.clone()).collect();
            KeyedList::empty(fields).map(Value::Keyed).map_err(why_of)
        }
        Segment::Index(_) | Segment::Order => Err("there is no list here".to_owned()),
    }
}

/// The rule in an error of a part, whose own place is not known to the part.
fn why_of(error: ObjectError) -> String {
    match error {
        ObjectError::BadValue { why, .. } => why,
        other => other.to_string(),
    }
}

/// Sets what lies at `rest` below an entry that may not exist yet; made only once that worked.
fn set_entry(
    map: &mut ValueMap,
    key: &str,
    rest: &[Segment],
    new: Option<Value>,
) -> Result<(), Fault> {
    let Some(next) = rest.first() else {
        match new {
            Some(new) => map.insert(key.to_owned(), new),
            None => map.remove(key),
        };
        return Ok(());
    };
    if let Some(child) = map.get_mut(key) {
        return child.set_below(rest, new);
    }
    if new.is_none() {
        return Ok(());
    }
    let mut child = container_for(next).map_err(|why| Fault { left: rest.len(), why })?;
    child.set_below(rest, new)?;
    map.insert(key.to_owned(), child);
    Ok(())
}

fn set_element(set: &mut ValueSet, element: &Value, new: Option<Value>) -> Result<(), String> {
    match new {
        Some(new) if new == *element || new == Value::Bool(true) => {
            set.insert(element.clone()).map(drop).map_err(why_of)
        }
        None | Some(Value::Bool(false)) => {
            set.remove(element);
            Ok(())
        }
        Some(other) => {
            let given = other.kind_phrase();
            Err(format!("an element of a set is there (`true`) or not (`false`), not {given}"))
        }
    }
}

fn set_item(
    list: &mut KeyedList,
    parts: &[(String, Value)],
    rest: &[Segment],
    new: Option<Value>,
) -> Result<(), Fault> {
    let fault = |why: String| Fault { left: rest.len(), why };
    let key = list.key_named(parts).ok_or_else(|| {
        fault(format!("items of this list are named by {}", list.fields().join(", ")))
    })?;
    match (rest.first(), new) {
        (None, None) => {
            list.remove(&key);
            Ok(())
        }
        (None, Some(mut new)) => {
            if let Value::Map(map) = &mut new {
                for (field, part) in parts {
                    map.entry(field.clone()).or_insert_with(|| part.clone());
                }
            }
            list.put(key, new).map_err(|error| fault(why_of(error)))
        }
        (Some(Segment::Key(field)), _) if list.fields().contains(field) => {
            Err(fault(format!("`{field}` names the item and cannot be changed")))
        }
        (Some(_), new) => {
            if let Some(item) = list.item_mut(&key) {
                return item.set_below(rest, new);
            }
            if new.is_none() {
                return Ok(());
            }
            let mut item = Value::Map(parts.iter().cloned().collect());
            item.set_below(rest, new)?;
            list.put(key, item).map_err(|error| fault(why_of(error)))
        }
    }
}

fn set_order(list: &mut KeyedList, new: Option<Value>) -> Result<(), String> {
    let order = match new {
        None => return Err("the order of a list cannot be removed".to_owned()),
        Some(Value::Conflict(conflict)) => ListOrder::Conflict(conflict),
        Some(value) => ListOrder::Known(
            list.read_sequence(&value).ok_or("an order is an array of the list's keys")?,
        ),
    };
    list.set_order(order).map_err(why_of)
}

/// Calls `found` for every outermost conflict.
fn walk<'a>(
    value: &'a Value,
    path: &mut FieldPath,
    found: &mut impl FnMut(&FieldPath, &'a Conflict<Value>),
) {
    match value {
        Value::Conflict(conflict) => found(path, conflict),
        Value::Array(elements) => {
            for (at, element) in (0..).zip(elements) {
                below(path, Segment::Index(at), element, found);
            }
        }
        Value::Map(map) => {
            for (key, child) in map {
                below(path, Segment::Key(key.clone()), child, found);
            }
        }
        Value::Localized(map) => {
            for (tag, leaf) in map {
                below(path, Segment::Locale(tag.clone()), leaf, found);
            }
        }
        Value::Keyed(list) => {
            for (key, item) in list.items() {
                below(path, list.segment(key), item, found);
            }
            if let ListOrder::Conflict(conflict) = list.order() {
                found(&path.join(Segment::Order), conflict);
            }
        }
        _ => {}
    }
}

fn below<'a>(
    path: &mut FieldPath,
    segment: Segment,
    value: &'a Value,
    found: &mut impl FnMut(&FieldPath, &'a Conflict<Value>),
) {
    // Most values are scalars: no step is made for them.
    if value.is_scalar() {
        return;
    }
    path.0.push(segment);
    walk(value, path, found);
    path.0.pop();
}
