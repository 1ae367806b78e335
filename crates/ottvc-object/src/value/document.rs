//! A metadata document: one value, whole, with an id of its own.

use bincode::{Decode, Encode};

use crate::codec::{Kind, Storable};
use crate::error::ObjectError;
use crate::id::DocumentId;
use crate::value::{Value, ValueMap, check, json};

/// A metadata document: a map, or a conflict over the whole of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Document(Value);

impl Document {
    /// Takes a value as a document.
    ///
    /// # Errors
    /// [`ObjectError::BadValue`] naming the field that breaks a rule or limit of its kind.
    pub fn new(value: Value) -> Result<Self, ObjectError> {
        check::check_root(&value)?;
        Ok(Self(value))
    }
    /// The document with no entries.
    pub fn empty() -> Self {
        Self(Value::Map(ValueMap::new()))
    }
    /// Its value.
    pub fn value(&self) -> &Value {
        &self.0
    }
    /// Gives the value back.
    pub fn into_value(self) -> Value {
        self.0
    }

    /// Reads the JSON projection (`docs/format-values.md`, JSON); plain JSON is one.
    ///
    /// # Errors
    /// [`ObjectError::BadJson`] with line and column for bad syntax, a key that comes twice or
    /// nesting past the limits; [`ObjectError::BadValue`] with the field for a bad value.
    pub fn from_json(bytes: &[u8]) -> Result<Self, ObjectError> {
        Self::new(json::value_from_json(&json::parse(bytes)?)?)
    }
    /// Writes the JSON projection: two spaces of indent, keys sorted, one newline at the end.
    pub fn to_json_pretty(&self) -> String {
        format!("{:#}\n", json::value_to_json(&self.0))
    }
}

impl Storable for Document {
    const KIND: Kind = Kind::Document;
    type Id = DocumentId;

    fn validate(&self) -> Result<(), ObjectError> {
        check::check_root(&self.0)
    }
}
