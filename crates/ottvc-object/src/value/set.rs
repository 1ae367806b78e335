//! Sets: unique scalars or asset references, in the order of their canonical bytes.

use std::collections::BTreeSet;

use bincode::de::Decoder;
use bincode::error::DecodeError;
use bincode::{Decode, Encode};

use crate::error::ObjectError;
use crate::value::Value;

/// Unique scalars or asset references, sorted by canonical bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Encode)]
pub struct ValueSet(BTreeSet<Value>);

impl ValueSet {
    /// Takes elements in any order.
    ///
    /// # Errors
    /// [`ObjectError::BadValue`] for an element that comes twice, a container or a conflict.
    pub fn new(elements: impl IntoIterator<Item = Value>) -> Result<Self, ObjectError> {
        let mut set = Self::default();
        for element in elements {
            if set.contains(&element) {
                return Err(bad("an element comes twice".to_owned()));
            }
            set.insert(element)?;
        }
        Ok(set)
    }
    /// Adds an element; `false` if it was there.
    ///
    /// # Errors
    /// [`ObjectError::BadValue`] for a container or a conflict.
    pub fn insert(&mut self, element: Value) -> Result<bool, ObjectError> {
        if element.is_element() {
            Ok(self.0.insert(element))
        } else {
            Err(bad(format!("a set cannot hold {}", element.kind_phrase())))
        }
    }
    /// Removes an element; `false` if it was not there.
    pub fn remove(&mut self, element: &Value) -> bool {
        self.0.remove(element)
    }
    /// Whether the element is there.
    pub fn contains(&self, element: &Value) -> bool {
        self.0.contains(element)
    }
    /// Returns the set's own copy of an element.
    pub fn get(&self, element: &Value) -> Option<&Value> {
        self.0.get(element)
    }
    /// The elements, in order of their canonical bytes.
    pub fn iter(&self) -> impl Iterator<Item = &Value> {
        self.0.iter()
    }
    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn bad(why: String) -> ObjectError {
    ObjectError::BadValue { field: "/".into(), why }
}

impl<C> Decode<C> for ValueSet {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let elements = Vec::<Value>::decode(decoder)?;
        if !elements.iter().all(Value::is_element) {
            return Err(DecodeError::Other("a set holds only scalars and asset references"));
        }
        if !elements.is_sorted_by(|a, b| a < b) {
            return Err(DecodeError::Other("elements of a set out of order"));
        }
        Ok(Self(elements.into_iter().collect()))
    }
}
