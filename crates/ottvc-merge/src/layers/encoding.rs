//! A layer as a document, so that it is stored, fetched and checked like any other.
//!
//! Keys of maps stand as they are, with one more `$` where they begin with one; what is said of a place has
//! keys with a single `$`: `$value`, `$suppress`, `$locales`, `$add` and `$remove`, `$items` and `$order`.

use std::collections::BTreeMap;

use ottvc_object::value::{Document, Key, KeyedList, ListOrder, Value, ValueMap, ValueSet};
use ottvc_object::{ObjectError, Storable};

use super::{KeyedNode, Layer, Node};

const VALUE: &str = "$value";
const SUPPRESS: &str = "$suppress";
const LOCALES: &str = "$locales";
const ADD: &str = "$add";
const REMOVE: &str = "$remove";
const ITEMS: &str = "$items";
const ORDER: &str = "$order";

impl Layer {
    /// Returns the document that holds the layer.
    ///
    /// # Errors
    /// [`ObjectError::BadValue`] where that is past the limits of documents: a layer is nested a little
    /// deeper than the document it is for.
    pub fn to_document(&self) -> Result<Document, ObjectError> {
        Document::new(Value::Map(self.0.members()))
    }

    /// Whether it can be stored: the document that holds it keeps to the limits of documents.
    pub(super) fn is_storable(&self) -> bool {
        self.to_document().is_ok_and(|document| document.to_object().is_ok())
    }

    /// Reads what [`Self::to_document`] wrote.
    ///
    /// # Errors
    /// [`ObjectError::Malformed`] for any other document.
    pub fn from_document(document: &Document) -> Result<Self, ObjectError> {
        let Value::Map(map) = document.value() else { return Err(malformed("it is in conflict")) };
        let layer = Self(Node::read(map)?);
        // One layer has one form: what does not read back as it was written is none.
        if layer.0.members() == *map { Ok(layer) } else { Err(malformed("it has another form")) }
    }
}

fn malformed(why: &str) -> ObjectError {
    ObjectError::Malformed { what: "layer", why: why.to_owned() }
}

fn escaped(key: &str) -> String {
    if key.starts_with('$') { format!("${key}") } else { key.to_owned() }
}

/// The key that was escaped; `None` for one that says something about its place.
fn plain(key: &str) -> Option<String> {
    match key.strip_prefix('$') {
        Some(rest) if rest.starts_with('$') => Some(rest.to_owned()),
        Some(_) => None,
        None => Some(key.to_owned()),
    }
}

impl Node {
    /// The entries of the map that stands for it.
    fn members(&self) -> ValueMap {
        let one = |key: &str, value: Value| ValueMap::from([(key.to_owned(), value)]);
        let nested = |entries: &BTreeMap<String, Self>, write: fn(&str) -> String| -> ValueMap {
            let entry = |(key, node): (&String, &Self)| (write(key), Value::Map(node.members()));
            entries.iter().map(entry).collect()
        };
        match self {
            Self::Override(value) => one(VALUE, value.clone()),
            Self::Suppress => one(SUPPRESS, Value::Bool(true)),
            Self::Map(entries) => nested(entries, escaped),
            Self::Localized(entries) => one(LOCALES, Value::Map(nested(entries, str::to_owned))),
            Self::Set { add, remove } => [(ADD, add), (REMOVE, remove)]
                .into_iter()
                .filter(|(_, set)| !set.is_empty())
                .map(|(key, set)| (key.to_owned(), Value::Set(set.clone())))
                .collect(),
            Self::Keyed(list) => list.members(),
        }
    }

    fn read(map: &ValueMap) -> Result<Self, ObjectError> {
        match map.first_key_value() {
            Some((key, Value::Set(_))) if key == ADD || key == REMOVE => {
                let set = |key: &str| match map.get(key) {
                    Some(Value::Set(set)) => set.clone(),
                    _ => ValueSet::default(),
                };
                let (add, remove) = (set(ADD), set(REMOVE));
                if add.iter().any(|element| remove.contains(element)) {
                    return Err(malformed("an element is both put in and taken out"));
                }
                Ok(Self::Set { add, remove })
            }
            Some((key, Value::Keyed(list))) if key == ITEMS => {
                KeyedNode::read(list, map.get(ORDER)).map(Self::Keyed)
            }
            Some((key, Value::Map(locales))) if key == LOCALES => {
                let entries = Self::nested(locales, |tag| Some(tag.to_owned()))?;
                let leaves = entries.iter().filter_map(|(tag, node)| match node {
                    Self::Override(value) => Some((tag, value.clone())),
                    _ => None,
                });
                Value::localized(leaves)?;
                if entries.values().any(|node| !matches!(node, Self::Override(_) | Self::Suppress))
                {
                    return Err(malformed("a text has parts"));
                }
                Ok(Self::Localized(entries))
            }
            Some((key, value)) if key == VALUE => Ok(Self::Override(value.clone())),
            Some((key, _)) if key == SUPPRESS => Ok(Self::Suppress),
            _ => Self::nested(map, plain).map(Self::Map),
        }
    }

    fn nested(
        map: &ValueMap,
        read: fn(&str) -> Option<String>,
    ) -> Result<BTreeMap<String, Self>, ObjectError> {
        let mut entries = BTreeMap::new();
        for (key, value) in map {
            let (Some(key), Value::Map(members)) = (read(key), value) else {
                return Err(malformed("a place says nothing that is known"));
            };
            entries.insert(key, Self::read(members)?);
        }
        if entries.is_empty() { Err(malformed("a place says nothing")) } else { Ok(entries) }
    }
}

impl KeyedNode {
    fn members(&self) -> ValueMap {
        let fields: Vec<String> = self.fields.iter().map(|field| escaped(field)).collect();
        let item = |(key, node): (&Key, &Node)| {
            let mut item = node.members();
            item.extend(fields.iter().cloned().zip(key.parts().iter().cloned()));
            item
        };
        // Fields and keys are those of a list, and no field is called as a member is.
        let items = KeyedList::new(fields.clone(), self.items.iter().map(item));
        let mut members = ValueMap::new();
        members.extend(items.ok().map(|items| (ITEMS.to_owned(), Value::Keyed(items))));
        members.extend(self.order.as_ref().map(|order| {
            let order = match order {
                ListOrder::Known(keys) => KeyedList::sequence_value(keys),
                ListOrder::Conflict(conflict) => Value::Conflict(conflict.clone()),
            };
            (ORDER.to_owned(), order)
        }));
        members
    }

    fn read(list: &KeyedList, order: Option<&Value>) -> Result<Self, ObjectError> {
        let fields: Option<Vec<String>> = list.fields().iter().map(|field| plain(field)).collect();
        let fields = fields.ok_or_else(|| malformed("a key field says something"))?;
        let bare = KeyedList::empty(fields.clone())?;
        let mut items = BTreeMap::new();
        for (key, item) in list.items() {
            let Value::Map(item) = item else { return Err(malformed("an item is in conflict")) };
            let named = |name: &String| list.fields().contains(name);
            let said: ValueMap = item
                .iter()
                .filter(|(name, _)| !named(name))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            let node = Node::read(&said)?;
            match &node {
                Node::Override(value) => bare.clone().put(key.clone(), value.clone())?,
                Node::Suppress | Node::Map(_) => {}
                _ => return Err(malformed("an item is no map")),
            }
            items.insert(key.clone(), node);
        }
        let order = match order {
            None => None,
            Some(Value::Conflict(conflict)) => Some(ListOrder::Conflict(conflict.clone())),
            Some(sequence) => Some(ListOrder::Known(
                bare.read_sequence(sequence).ok_or_else(|| malformed("an order is no sequence"))?,
            )),
        };
        if items.is_empty() && order.is_none() {
            return Err(malformed("a list says nothing"));
        }
        Ok(Self { fields, items, order })
    }
}
