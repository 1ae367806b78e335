//! JSON text into a JSON tree, more strictly than `serde_json` by itself: no key twice, and no
//! nesting that could end the stack.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value as Json};

use crate::error::ObjectError;
use crate::value::{MAX_CONFLICT_DEPTH, MAX_DEPTH};

/// The deepest nesting of JSON that a value within its own limits can need: a value takes up to two
/// levels (a keyed list four with its items), a conflict four.
const MAX_JSON_DEPTH: usize = 2 * MAX_DEPTH + 4 * MAX_CONFLICT_DEPTH + 8;

/// The key under which `serde_json` hands over a number's text; part of its serde data model.
const NUMBER_TOKEN: &str = "$serde_json::private::Number";

/// Reads one JSON text; a byte order mark in front is let pass.
///
/// # Errors
/// [`ObjectError::BadJson`] with line and column for bad syntax, a key that comes twice or nesting past
/// what a value within its limits can need.
pub fn parse(bytes: &[u8]) -> Result<Json, ObjectError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    reader.disable_recursion_limit();
    let json = Tree { depth: 1 }.deserialize(&mut reader);
    json.and_then(|json| reader.end().map(|()| json)).map_err(|error| {
        let text = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        ObjectError::BadJson {
            line: error.line(),
            column: error.column(),
            why: text.strip_suffix(&place).unwrap_or(&text).to_owned(),
        }
    })
}

/// Builds a tree, knowing how deep it is.
#[derive(Clone, Copy)]
struct Tree {
    depth: usize,
}

impl Tree {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth >= MAX_JSON_DEPTH {
            return Err(E::custom(format!("nested over {MAX_JSON_DEPTH} deep")));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Tree {
    type Value = Json;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree {
    type Value = Json;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }
    fn visit_bool<E>(self, flag: bool) -> Result<Json, E> {
        Ok(Json::Bool(flag))
    }
    fn visit_i64<E>(self, number: i64) -> Result<Json, E> {
        Ok(Json::from(number))
    }
    fn visit_u64<E>(self, number: u64) -> Result<Json, E> {
        Ok(Json::from(number))
    }
    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::from(text))
    }
    fn visit_string<E>(self, text: String) -> Result<Json, E> {
        Ok(Json::String(text))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Json, A::Error> {
        let seed = self.deeper()?;
        let mut array = Vec::new();
        while let Some(element) = elements.next_element_seed(seed)? {
            array.push(element);
        }
        Ok(Json::Array(array))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let seed = self.deeper()?;
        let mut object = Map::new();
        while let Some(key) = members.next_key::<String>()? {
            // With `arbitrary_precision` every number comes as a map of this one key. An object
            // written so in the text is read as that number too; as a key it would be refused.
            if key == NUMBER_TOKEN && object.is_empty() {
                let text: String = members.next_value()?;
                return text.parse::<Number>().map(Json::Number).map_err(A::Error::custom);
            }
            if object.contains_key(&key) {
                return Err(A::Error::custom(format!("the key `{key}` comes twice")));
            }
            let member = members.next_value_seed(seed)?;
            object.insert(key, member);
        }
        Ok(Json::Object(object))
    }
}
