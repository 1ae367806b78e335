//! JSON into a source tree: members are elements named after them, those of an array stand in a row.

use std::fmt;

use ottvc_object::value::Value;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::ImportError;
use crate::tree::{Budget, Content, Element, MAX_LEVELS, MAX_NAME, check_size};

/// The name of the elements of an array that is no member: of the outermost, or inside another.
pub(crate) const ITEM: &str = "item";

/// Reads one JSON text. An array as a whole is a root whose children are named [`ITEM`]; so is an
/// object by itself, its only child.
///
/// # Errors
/// [`ImportError::Malformed`] with the line; [`ImportError::TooLarge`].
pub(crate) fn parse(bytes: &[u8]) -> Result<Element, ImportError> {
    check_size(bytes)?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let mut budget = Budget::of_depth(MAX_LEVELS);
    let mut over = None;
    let seed = Tree { name: ITEM, depth: 2, budget: &mut budget, over: &mut over };
    let parsed = seed.deserialize(&mut reader).and_then(|root| reader.end().map(|()| root));
    let top = match (parsed, over) {
        (_, Some(over)) => return Err(over),
        (Ok(top), None) => top,
        (Err(error), None) => {
            let text = error.to_string();
            let place = format!(" at line {} column {}", error.line(), error.column());
            return Err(ImportError::Malformed {
                syntax: "JSON",
                line: error.line() as u64,
                why: text.strip_suffix(&place).unwrap_or(&text).to_owned(),
            });
        }
    };
    let mut root = Element::new("json", 1);
    match top {
        Top::One(element) => root.content.push(Content::Element(element)),
        Top::Many(elements) => {
            root.content.extend(elements.into_iter().map(Content::Element));
        }
    }
    Ok(root)
}

/// What a JSON value is to the object around it.
enum Top {
    One(Element),
    Many(Vec<Element>),
}

/// Builds the elements of one member.
struct Tree<'b> {
    name: &'b str,
    depth: usize,
    budget: &'b mut Budget,
    over: &'b mut Option<ImportError>,
}

impl Tree<'_> {
    fn take<E: serde::de::Error>(&mut self) -> Result<(), E> {
        self.budget.take(1, self.depth, 0).map_err(|error| {
            let text = error.to_string();
            *self.over = Some(error);
            E::custom(text)
        })
    }
    fn scalar<E: serde::de::Error>(mut self, value: Value, text: String) -> Result<Top, E> {
        self.take()?;
        let mut element = Element::new(self.name, 0);
        if !text.is_empty() {
            element.content.push(Content::Text(text));
        }
        element.scalar = Some(value);
        Ok(Top::One(element))
    }
}

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Top;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Top, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Top;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON value")
    }
    fn visit_unit<E: serde::de::Error>(self) -> Result<Top, E> {
        self.scalar(Value::Null, String::new())
    }
    fn visit_bool<E: serde::de::Error>(self, flag: bool) -> Result<Top, E> {
        self.scalar(Value::Bool(flag), flag.to_string())
    }
    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Top, E> {
        self.scalar(Value::Int(number), number.to_string())
    }
    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Top, E> {
        let text = number.to_string();
        self.scalar(Value::number(&text).map_err(E::custom)?, text)
    }
    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Top, E> {
        self.scalar(Value::from(text), text.to_owned())
    }
    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<Top, A::Error> {
        let mut all = Vec::new();
        loop {
            let (name, depth) = (self.name, self.depth + 1);
            let seed = Tree { name, depth, budget: &mut *self.budget, over: &mut *self.over };
            match elements.next_element_seed(seed)? {
                None => break,
                Some(Top::One(mut element)) => {
                    element.listed = true;
                    all.push(element);
                }
                Some(Top::Many(within)) => {
                    // An array inside an array is an element of its own.
                    let mut element = Element::new(self.name, 0);
                    (element.listed, element.array) = (true, true);
                    element.content.extend(within.into_iter().map(Content::Element));
                    all.push(element);
                }
            }
        }
        if all.is_empty() {
            self.take()?;
            let mut element = Element::new(self.name, 0);
            element.array = true;
            return Ok(Top::One(element));
        }
        Ok(Top::Many(all))
    }
    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<Top, A::Error> {
        /// The key under which `serde_json` hands over a number's text.
        const NUMBER: &str = "$serde_json::private::Number";
        self.take()?;
        let mut element = Element::new(self.name, 0);
        let mut seen = std::collections::BTreeSet::new();
        while let Some(key) = members.next_key::<String>()? {
            if key == NUMBER && seen.is_empty() {
                let text: String = members.next_value()?;
                let value = Value::number(&text).map_err(A::Error::custom)?;
                element.content.push(Content::Text(text));
                element.scalar = Some(value);
                return Ok(Top::One(element));
            }
            if key.len() > MAX_NAME {
                return Err(A::Error::custom(format!("a key has over {MAX_NAME} bytes")));
            }
            let depth = self.depth + 1;
            let name = key.as_str();
            let seed = Tree { name, depth, budget: &mut *self.budget, over: &mut *self.over };
            match members.next_value_seed(seed)? {
                Top::One(child) => element.content.push(Content::Element(child)),
                Top::Many(all) => element.content.extend(all.into_iter().map(Content::Element)),
            }
            if !seen.insert(key.clone()) {
                return Err(A::Error::custom(format!("the key `{key}` comes twice")));
            }
        }
        if element.content.is_empty() {
            element.scalar = Some(Value::Map(Default::default()));
        }
        Ok(Top::One(element))
    }
}
