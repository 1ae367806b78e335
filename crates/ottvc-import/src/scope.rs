//! What a delivery means for what the same source delivered before.
//!
//! A source speaks about its own fields alone: what it omits is at most what it said itself. What
//! others wrote is not here; that is the merge's.

use std::collections::BTreeSet;
use std::str::FromStr;

use ottvc_object::ObjectError;
use ottvc_object::field_path::{FieldPath, Segment};
use ottvc_object::value::{KeyedList, ListOrder, Value, ValueMap};

use crate::Delivery;

/// What it means that a delivery omits a field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// The source takes it back, if the field is one of its own.
    #[default]
    Full,
    /// In the languages the delivery has, the source takes it back; elsewhere it stays as it was.
    PerLocale,
    /// It stays as it was.
    Patch,
}

impl Scope {
    /// The word for it on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::PerLocale => "per-locale",
            Self::Patch => "patch",
        }
    }
}

impl FromStr for Scope {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Full, Self::PerLocale, Self::Patch]
            .into_iter()
            .find(|scope| scope.word() == text)
            .ok_or_else(|| format!("`{text}` is none of full, per-locale and patch"))
    }
}

/// Returns all that a source says after a delivery: `before` is what it said until then.
///
/// # Errors
/// [`ObjectError`] past the limits of documents.
pub fn deliver(
    before: Option<&Value>,
    delivery: &Delivery,
    scope: Scope,
) -> Result<Value, ObjectError> {
    let Some(before) = before else { return Ok(delivery.document.clone()) };
    let mut kept = before.clone();
    match scope {
        Scope::Full => {
            for field in &delivery.scope {
                kept.set(field, None).or_else(|error| beside(before, field, error))?;
                prune(&mut kept, field);
            }
        }
        Scope::PerLocale => {
            let mut locales = BTreeSet::new();
            locales_of(&delivery.document, &mut locales);
            for field in &delivery.scope {
                if let Some(mut value) = kept.get(field).cloned() {
                    forget(&mut value, &locales)?;
                    let left = Some(value).filter(|value| !is_empty(value));
                    kept.set(field, left)?;
                    prune(&mut kept, field);
                }
            }
        }
        Scope::Patch => {}
    }
    overlay(&kept, &delivery.document)
}

/// A field whose way leads through something that has no such step is not there: nothing to remove.
fn beside(whole: &Value, field: &FieldPath, error: ObjectError) -> Result<(), ObjectError> {
    if whole.get(field).is_none() { Ok(()) } else { Err(error) }
}

/// Removes maps on the way to `field` that hold nothing any more.
fn prune(whole: &mut Value, field: &FieldPath) {
    let mut at = field.parent();
    while let Some(path) = at.filter(|path| !path.is_root()) {
        if !matches!(whole.get(&path), Some(Value::Map(map)) if map.is_empty()) {
            return;
        }
        // What was found there can be removed from there.
        let _ = whole.set(&path, None);
        at = path.parent();
    }
}

/// The languages a value speaks.
fn locales_of(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Localized(map) => found.extend(map.keys().cloned()),
        Value::Map(map) => map.values().for_each(|value| locales_of(value, found)),
        Value::Keyed(list) => {
            for (_, item) in list.iter() {
                if let Value::Map(map) = item
                    && list.fields().iter().any(|field| field == LOCALE)
                    && let Some(Value::String(tag)) = map.get(LOCALE)
                {
                    found.insert(tag.clone());
                }
                locales_of(item, found);
            }
        }
        _ => {}
    }
}

/// The key field of items that are of one language.
const LOCALE: &str = "locale";

/// Removes what is said in these languages.
fn forget(value: &mut Value, locales: &BTreeSet<String>) -> Result<(), ObjectError> {
    match value {
        Value::Localized(map) => map.retain(|tag, _| !locales.contains(tag)),
        Value::Map(map) => {
            let mut emptied = Vec::new();
            for (name, value) in map.iter_mut() {
                let was_empty = is_empty(value);
                forget(value, locales)?;
                if is_empty(value) && !was_empty {
                    emptied.push(name.clone());
                }
            }
            map.retain(|name, _| !emptied.contains(name));
        }
        Value::Keyed(list) => {
            let fields = list.fields().to_vec();
            let mut items = Vec::new();
            for (_, item) in list.iter() {
                let Value::Map(map) = item else { continue };
                let tag = fields.iter().any(|field| field == LOCALE).then(|| map.get(LOCALE));
                if let Some(Some(Value::String(tag))) = tag
                    && locales.contains(tag)
                {
                    continue;
                }
                let mut item = Value::Map(map.clone());
                forget(&mut item, locales)?;
                if let Value::Map(map) = item {
                    items.push(map);
                }
            }
            *list = KeyedList::new(fields, items)?;
        }
        _ => {}
    }
    Ok(())
}

/// Whether a container holds nothing.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Map(map) | Value::Localized(map) => map.is_empty(),
        Value::Keyed(list) => list.items().is_empty(),
        _ => false,
    }
}

/// Returns `below` with what `above` says: maps by key, lists by item, sets gain; the rest is replaced.
///
/// # Errors
/// [`ObjectError`] past the limits of values.
pub fn overlay(below: &Value, above: &Value) -> Result<Value, ObjectError> {
    lay(below, above, &FieldPath::root(), &mut None)
}

/// Puts together what two parts of one delivery say; with the fields they contradict each other in,
/// of which the first stays.
pub(crate) fn gather(first: &Value, more: &Value) -> Result<(Value, Vec<FieldPath>), ObjectError> {
    let mut contradicted = Some(Vec::new());
    let value = lay(first, more, &FieldPath::root(), &mut contradicted)?;
    Ok((value, contradicted.unwrap_or_default()))
}

/// Where `contradicted` is asked for, the value below stays.
fn lay(
    below: &Value,
    above: &Value,
    at: &FieldPath,
    contradicted: &mut Option<Vec<FieldPath>>,
) -> Result<Value, ObjectError> {
    Ok(match (below, above) {
        (Value::Map(a), Value::Map(b)) => {
            Value::Map(entries(a, b, at, Segment::Key, contradicted)?)
        }
        (Value::Localized(a), Value::Localized(b)) => {
            Value::Localized(entries(a, b, at, Segment::Locale, contradicted)?)
        }
        (Value::Set(a), Value::Set(b)) => {
            let mut both = a.clone();
            for element in b.iter() {
                both.insert(element.clone())?;
            }
            Value::Set(both)
        }
        (Value::Keyed(a), Value::Keyed(b)) if a.fields() == b.fields() => {
            let mut both = a.clone();
            let mut order: Vec<_> = a.keys_in_order().into_iter().cloned().collect();
            for (key, item) in b.iter() {
                let laid = match a.items().get(key) {
                    Some(before) => lay(before, item, &at.join(a.segment(key)), contradicted)?,
                    None => {
                        order.push(key.clone());
                        item.clone()
                    }
                };
                both.put(key.clone(), laid)?;
            }
            both.set_order(ListOrder::Known(order))?;
            Value::Keyed(both)
        }
        (a, b) if a == b => a.clone(),
        (a, b) => match contradicted {
            None => b.clone(),
            Some(fields) => {
                fields.push(at.clone());
                a.clone()
            }
        },
    })
}

fn entries(
    a: &ValueMap,
    b: &ValueMap,
    at: &FieldPath,
    segment: fn(String) -> Segment,
    contradicted: &mut Option<Vec<FieldPath>>,
) -> Result<ValueMap, ObjectError> {
    let mut both = a.clone();
    for (key, value) in b {
        let laid = match a.get(key) {
            Some(before) => lay(before, value, &at.join(segment(key.clone())), contradicted)?,
            None => value.clone(),
        };
        both.insert(key.clone(), laid);
    }
    Ok(both)
}
