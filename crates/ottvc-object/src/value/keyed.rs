//! Keyed lists: ordered maps, each named by the values of its key fields.

use std::collections::{BTreeMap, BTreeSet};

use bincode::de::Decoder;
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use bincode::{Decode, Encode};

use crate::conflict::{Conflict, Term};
use crate::error::ObjectError;
use crate::field_path::Segment;
use crate::value::{MAX_KEY_BYTES, Value, ValueMap};

/// The most key fields of a list.
pub const MAX_KEY_FIELDS: usize = 16;

/// The policy of a conflict over the key of an entry: its terms have keys of their own.
pub const RENAME: &str = "rename";

/// The policy of a conflict over the list an item stands in: each of its terms is a map that holds the
/// item, and where that side has it (`docs/merge.md`, section 12).
pub const MOVE: &str = "move";

/// What names an item: the values of its list's key fields, in that order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode)]
pub struct Key(Vec<Value>);

impl Key {
    /// Takes the values of the key fields, in order.
    ///
    /// # Errors
    /// [`ObjectError::BadValue`] for null, a container or a reference.
    pub fn new(parts: Vec<Value>) -> Result<Self, ObjectError> {
        match parts.iter().find(|part| !part.is_scalar() || **part == Value::Null) {
            Some(part) => Err(bad(format!("{} cannot be part of a key", part.kind_phrase()))),
            None => Ok(Self(parts)),
        }
    }
    /// The values of the key fields, in order.
    pub fn parts(&self) -> &[Value] {
        &self.0
    }
}

/// The order of a list's items.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ListOrder {
    /// Each key of the list once.
    Known(Vec<Key>),
    /// The sides disagree; each term is a sequence (see [`KeyedList::sequence_value`]).
    Conflict(Box<Conflict<Value>>),
}

/// Maps in order, each with a unique key.
///
/// An item is a `Map` that holds its key fields, or a `Conflict` over the whole item.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyedList {
    fields: Vec<String>,
    items: BTreeMap<Key, Value>,
    order: ListOrder,
}

fn bad(why: String) -> ObjectError {
    ObjectError::BadValue { field: "/".into(), why }
}

impl KeyedList {
    /// Takes the names of the key fields, in order, and the items, in order.
    ///
    /// # Errors
    /// [`ObjectError::BadValue`] for an item without a key field, or with the key of another.
    pub fn new(
        fields: Vec<String>,
        items: impl IntoIterator<Item = ValueMap>,
    ) -> Result<Self, ObjectError> {
        let mut list = Self::empty(fields)?;
        for item in items {
            let key = list.key_of(&item)?;
            if list.items.contains_key(&key) {
                return Err(bad(format!("two items have the key {}", list.segment(&key))));
            }
            list.put(key, Value::Map(item))?;
        }
        Ok(list)
    }

    /// Returns a list without items.
    ///
    /// # Errors
    /// [`ObjectError::BadValue`] without key fields, with one named twice, or over
    /// [`MAX_KEY_FIELDS`].
    pub fn empty(fields: Vec<String>) -> Result<Self, ObjectError> {
        let distinct: BTreeSet<&String> = fields.iter().collect();
        if fields.is_empty() || fields.len() > MAX_KEY_FIELDS || distinct.len() != fields.len() {
            return Err(bad("a keyed list has 1 to 16 different key fields".into()));
        }
        if fields.iter().any(|field| field.len() > MAX_KEY_BYTES) {
            return Err(bad("a key field has over 255 bytes".into()));
        }
        Ok(Self { fields, items: BTreeMap::new(), order: ListOrder::Known(Vec::new()) })
    }

    /// Puts a list together from its parts, as a merge has them.
    ///
    /// # Errors
    /// [`ObjectError::BadValue`] where an item does not have its key, or a known order is not each
    /// key once, or a term of a conflicted order is no sequence of keys.
    pub fn from_parts(
        fields: Vec<String>,
        items: BTreeMap<Key, Value>,
        order: ListOrder,
    ) -> Result<Self, ObjectError> {
        let mut list = Self::empty(fields)?;
        for (key, item) in &items {
            list.check_item(key, item)?;
        }
        list.items = items;
        list.set_order(order)?;
        Ok(list)
    }

    /// The key fields, the items by key, and their order.
    pub fn into_parts(self) -> (Vec<String>, BTreeMap<Key, Value>, ListOrder) {
        (self.fields, self.items, self.order)
    }
    /// The names of the key fields, in order.
    pub fn fields(&self) -> &[String] {
        &self.fields
    }
    /// The items by key.
    pub fn items(&self) -> &BTreeMap<Key, Value> {
        &self.items
    }
    /// The order of the items.
    pub fn order(&self) -> &ListOrder {
        &self.order
    }
    /// The keys in their order, or sorted while the order is in conflict.
    pub fn keys_in_order(&self) -> Vec<&Key> {
        match &self.order {
            ListOrder::Known(keys) => keys.iter().collect(),
            ListOrder::Conflict(_) => self.items.keys().collect(),
        }
    }
    /// The items in their order, or sorted by key while the order is in conflict.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Value)> {
        self.keys_in_order().into_iter().filter_map(|key| self.items.get_key_value(key))
    }

    /// Reads the key of an item.
    ///
    /// # Errors
    /// [`ObjectError::BadValue`] if a key field is missing or cannot be part of a key.
    pub fn key_of(&self, item: &ValueMap) -> Result<Key, ObjectError> {
        let mut parts = Vec::with_capacity(self.fields.len());
        for field in &self.fields {
            let part = item.get(field).cloned();
            parts.push(part.ok_or_else(|| bad(format!("an item lacks the key field `{field}`")))?);
        }
        Key::new(parts)
    }

    /// The path segment that names the item with this key.
    pub fn segment(&self, key: &Key) -> Segment {
        Segment::Item(self.fields.iter().cloned().zip(key.0.iter().cloned()).collect())
    }

    /// Reads the key a path segment names; `None` if its fields are not the key fields.
    pub fn key_named(&self, parts: &[(String, Value)]) -> Option<Key> {
        if parts.len() != self.fields.len() {
            return None;
        }
        let part = |field: &String| parts.iter().find(|(name, _)| name == field);
        let parts: Option<Vec<Value>> =
            self.fields.iter().map(|field| part(field).map(|(_, value)| value.clone())).collect();
        Key::new(parts?).ok()
    }

    /// Adds an item at the end of the order, or replaces it in its place.
    ///
    /// # Errors
    /// [`ObjectError::BadValue`] if the item does not have this key.
    pub fn put(&mut self, key: Key, item: Value) -> Result<(), ObjectError> {
        self.check_item(&key, &item)?;
        if self.items.insert(key.clone(), item).is_none()
            && let ListOrder::Known(keys) = &mut self.order
        {
            keys.push(key);
        }
        Ok(())
    }

    /// Takes an item out.
    pub fn remove(&mut self, key: &Key) -> Option<Value> {
        let item = self.items.remove(key)?;
        if let ListOrder::Known(keys) = &mut self.order {
            keys.retain(|kept| kept != key);
        }
        Some(item)
    }

    /// Sets the order.
    ///
    /// # Errors
    /// [`ObjectError::BadValue`] unless a known order is each key once, and each term of a
    /// conflicted one a sequence of keys.
    pub fn set_order(&mut self, order: ListOrder) -> Result<(), ObjectError> {
        match &order {
            ListOrder::Known(keys) => {
                let distinct: BTreeSet<&Key> = keys.iter().collect();
                if keys.len() != self.items.len() || !distinct.into_iter().eq(self.items.keys()) {
                    return Err(bad("an order is each key of the list once".into()));
                }
            }
            ListOrder::Conflict(conflict) => {
                if !conflict.all_values(&|value| self.read_sequence(value).is_some()) {
                    return Err(bad("a conflicted order holds sequences of keys".into()));
                }
            }
        }
        self.order = order;
        Ok(())
    }

    /// A sequence of keys as a value, as the terms of an order conflict hold it: an array of keys,
    /// each an array of its parts.
    pub fn sequence_value<'a>(keys: impl IntoIterator<Item = &'a Key>) -> Value {
        Value::Array(keys.into_iter().map(|key| Value::Array(key.0.clone())).collect())
    }

    /// Reads what [`Self::sequence_value`] wrote; a key of one part may also stand bare.
    pub fn read_sequence(&self, value: &Value) -> Option<Vec<Key>> {
        let Value::Array(keys) = value else { return None };
        let read = |key: &Value| {
            let parts = match key {
                Value::Array(parts) => parts.clone(),
                part => vec![part.clone()],
            };
            if parts.len() == self.fields.len() { Key::new(parts).ok() } else { None }
        };
        keys.iter().map(read).collect()
    }

    /// The item, to be changed in place by someone who keeps its key fields.
    pub(crate) fn item_mut(&mut self, key: &Key) -> Option<&mut Value> {
        self.items.get_mut(key)
    }

    /// Whether a conflict is among maps that this key names; among maps of any key where the key itself
    /// is in dispute, as its policy then says.
    fn is_among_items(&self, conflict: &Conflict<Value>, key: &Key) -> bool {
        let named = |value: &Value| match value {
            Value::Map(map) => {
                self.key_of(map).is_ok_and(|own| own == *key || conflict.policy == RENAME)
            }
            _ => false,
        };
        conflict.terms.as_slice().iter().all(|term| match term {
            Term::Absent => true,
            Term::Value(value) => named(value),
            Term::Contested(inner) => self.is_among_items(inner, key),
        })
    }

    fn check_item(&self, key: &Key, item: &Value) -> Result<(), ObjectError> {
        match item {
            Value::Map(map) if self.key_of(map)? != *key => {
                Err(bad("an item stands under another key than its own".into()))
            }
            Value::Conflict(_) if key.0.len() != self.fields.len() => {
                Err(bad("a key does not have one part for each key field".into()))
            }
            Value::Conflict(conflict) if !self.is_among_items(conflict, key) => {
                Err(bad("a conflict over an item is among items of its key".into()))
            }
            Value::Map(_) | Value::Conflict(_) => Ok(()),
            other => Err(bad(format!("{} cannot be an item of a keyed list", other.kind_phrase()))),
        }
    }
}

/// Fields; items in order of their keys, a conflicted one followed by its key; 0 and the places of
/// the items in the order, or 1 and the conflict.
impl Encode for KeyedList {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.fields.encode(encoder)?;
        (self.items.len() as u64).encode(encoder)?;
        for (key, item) in &self.items {
            item.encode(encoder)?;
            if !matches!(item, Value::Map(_)) {
                key.encode(encoder)?;
            }
        }
        match &self.order {
            ListOrder::Known(keys) => {
                0_u8.encode(encoder)?;
                let places: BTreeMap<&Key, u64> = self.items.keys().zip(0..).collect();
                let order: Vec<u64> =
                    keys.iter().filter_map(|key| places.get(key).copied()).collect();
                order.encode(encoder)
            }
            ListOrder::Conflict(conflict) => {
                1_u8.encode(encoder)?;
                conflict.encode(encoder)
            }
        }
    }
}

impl<C> Decode<C> for Key {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        Self::new(Vec::decode(decoder)?).map_err(|_| DecodeError::Other("a key holds only scalars"))
    }
}

impl<C> Decode<C> for KeyedList {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let malformed = |error: ObjectError| DecodeError::OtherString(error.to_string());
        let mut list = Self::empty(Vec::decode(decoder)?).map_err(malformed)?;
        let count = u64::decode(decoder)?;
        // Nothing is reserved for a count that the bytes have not shown yet.
        let mut keys: Vec<Key> = Vec::new();
        for _ in 0..count {
            decoder.claim_bytes_read(size_of::<(Key, Value)>())?;
            let item = Value::decode(decoder)?;
            let key = match &item {
                Value::Map(map) => list.key_of(map).map_err(malformed)?,
                _ => Key::decode(decoder)?,
            };
            list.check_item(&key, &item).map_err(malformed)?;
            if keys.last().is_some_and(|last| *last >= key) {
                return Err(DecodeError::Other("items of a keyed list out of order"));
            }
            keys.push(key.clone());
            list.items.insert(key, item);
        }
        let order = match u8::decode(decoder)? {
            0 => {
                let place = |place: u64| usize::try_from(place).ok().and_then(|at| keys.get(at));
                let order: Option<Vec<Key>> =
                    Vec::<u64>::decode(decoder)?.into_iter().map(|at| place(at).cloned()).collect();
                ListOrder::Known(order.ok_or(DecodeError::Other("an order names no such item"))?)
            }
            1 => ListOrder::Conflict(Box::decode(decoder)?),
            _ => return Err(DecodeError::Other("a keyed list with an unknown order")),
        };
        list.set_order(order).map_err(malformed)?;
        Ok(list)
    }
}
