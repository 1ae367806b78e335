//! Field paths: where a value stands inside a document.
//!
//! `/titles/@fr-FR`, `/cast/[person=p1,function=actor]/character`, `/genres/{drama}`, `/logos/#3`,
//! `/rail/$order`. List items are named by key, so that a path survives reordering. What is written
//! reads back as the same path; `docs/format-values.md` has the escapes.

mod text;

use std::collections::BTreeSet;

use bincode::de::Decoder;
use bincode::error::DecodeError;
use bincode::{Decode, Encode};

use crate::value::{MAX_DEPTH, MAX_KEY_BYTES, MAX_KEY_FIELDS, Value, canonical_tag};

/// One step of a field path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum Segment {
    /// A map key: `/titles`.
    Key(String),
    /// A locale of a localized map: `/@fr-FR`.
    Locale(String),
    /// An item of a keyed list, by its key fields and their values: `/[person=p1,function=actor]`.
    Item(Vec<(String, Value)>),
    /// An element of a set: `/{drama}`.
    Element(Value),
    /// A position in an array, from 0: `/#3`. For reports only.
    Index(u64),
    /// The order of a keyed list: `/$order`.
    Order,
}

/// Steps from the root of a document; empty is the whole document.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode)]
pub struct FieldPath(pub Vec<Segment>);

impl FieldPath {
    /// The whole document.
    pub fn root() -> Self {
        Self::default()
    }
    /// Whether this is the whole document.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }
    /// The steps, outermost first.
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }
    /// This path with one more step.
    pub fn join(&self, segment: Segment) -> Self {
        let mut segments = self.0.clone();
        segments.push(segment);
        Self(segments)
    }
    /// This path with one more map key.
    pub fn key(&self, key: impl Into<String>) -> Self {
        self.join(Segment::Key(key.into()))
    }
    /// The path without its last step; the root has none.
    pub fn parent(&self) -> Option<Self> {
        self.0.split_last().map(|(_, rest)| Self(rest.to_vec()))
    }
    /// Whether this is `other` or lies below it.
    pub fn starts_with(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }

    /// Returns the rule the path breaks; paths are put together freely and checked when stored.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        if self.0.len() > MAX_DEPTH {
            return Err("a field path has over 64 steps");
        }
        self.0.iter().try_for_each(Segment::check)
    }
}

impl Segment {
    fn check(&self) -> Result<(), &'static str> {
        match self {
            Self::Key(key) if key.len() > MAX_KEY_BYTES => Err("a key has over 255 bytes"),
            Self::Locale(tag) if canonical_tag(tag).as_ref() != Some(tag) => {
                Err("a locale is a canonical BCP 47 tag, such as `fr-FR`")
            }
            Self::Item(parts) if parts.is_empty() || parts.len() > MAX_KEY_FIELDS => {
                Err("an item is named by 1 to 16 key fields")
            }
            Self::Item(parts) if parts.iter().any(|(field, _)| field.len() > MAX_KEY_BYTES) => {
                Err("a key field has over 255 bytes")
            }
            Self::Item(parts) if names_twice(parts) => Err("an item names a key field twice"),
            Self::Item(parts)
                if parts.iter().any(|(_, part)| !part.is_scalar() || *part == Value::Null) =>
            {
                Err("an item is named by scalars other than null")
            }
            Self::Element(element) if !element.is_element() => {
                Err("an element of a set is a scalar or an asset reference")
            }
            Self::Element(Value::Asset(asset)) => asset.fault().map_or(Ok(()), Err),
            _ => Ok(()),
        }
    }
}

/// Whether two parts of a key are of one field.
fn names_twice(parts: &[(String, Value)]) -> bool {
    let fields: BTreeSet<&String> = parts.iter().map(|(field, _)| field).collect();
    fields.len() != parts.len()
}

impl<C> Decode<C> for FieldPath {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let path = Self(Vec::decode(decoder)?);
        path.check().map_err(DecodeError::Other)?;
        Ok(path)
    }
}
bincode::impl_borrow_decode!(FieldPath);
