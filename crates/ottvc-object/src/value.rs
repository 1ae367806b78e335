//! Metadata values: thirteen kinds, and conflicts among them.
//!
//! A value has one form in memory and one in bytes, so the derived equality and hash agree with
//! equality of canonical bytes, and the order is the order of those bytes. The constructors keep
//! what a kind promises by itself (one spelling of a number, unique keys of a list); limits that
//! concern a whole document are checked where a [`Document`] is made.

mod access;
mod asset;
mod check;
mod decimal;
mod depth;
mod diff;
mod document;
mod encoding;
mod json;
mod keyed;
mod set;
mod timestamp;

use std::cmp::Ordering;
use std::collections::BTreeMap;

use oxilangtag::LanguageTag;

use crate::codec;
use crate::conflict::Conflict;
use crate::error::ObjectError;

pub use asset::AssetRef;
pub use check::{MAX_KEY_BYTES, MAX_VALUES};
pub use decimal::{Decimal, MAX_DIGITS, MAX_EXPONENT, MIN_EXPONENT};
pub(crate) use decimal::{is_number, parse_number};
pub(crate) use depth::Level;
pub use depth::{MAX_CONFLICT_DEPTH, MAX_DEPTH};
pub use diff::{FieldChange, diff};
pub use document::Document;
pub use json::{escape_key, is_tag, parse as parse_json, value_from_json, value_to_json};
pub use keyed::{Key, KeyedList, ListOrder, MAX_KEY_FIELDS, MOVE, RENAME};
pub use set::ValueSet;
pub use timestamp::Timestamp;

/// A map's content: keys in byte order.
pub type ValueMap = BTreeMap<String, Value>;

/// A metadata value. Two values are equal exactly when their canonical bytes are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Value {
    /// An entry that says nothing; not the same as no entry.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A decimal number of up to 34 significant digits, never integral within `i64`.
    Decimal(Decimal),
    /// A short text, compared byte by byte.
    String(String),
    /// Prose.
    Text(String),
    /// An instant.
    Timestamp(Timestamp),
    /// A reference to media.
    Asset(AssetRef),
    /// Positional elements.
    Array(Vec<Value>),
    /// Unique scalars or asset references.
    Set(ValueSet),
    /// Ordered maps, each with a unique key.
    Keyed(KeyedList),
    /// Keys and values.
    Map(ValueMap),
    /// Language tags (canonical BCP 47) and strings or texts.
    Localized(ValueMap),
    /// A disagreement in place of the value.
    Conflict(Box<Conflict<Value>>),
}

impl Value {
    /// Returns a map of these entries; of two with one key, the later.
    pub fn map<K: Into<String>>(entries: impl IntoIterator<Item = (K, Self)>) -> Self {
        Self::Map(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
    }
    /// Returns a text of prose.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }
    /// Returns a set of these elements, given in any order.
    ///
    /// # Errors
    /// [`ObjectError::BadValue`] for an element that comes twice, a container or a conflict.
    pub fn set_of(elements: impl IntoIterator<Item = Self>) -> Result<Self, ObjectError> {
        ValueSet::new(elements).map(Self::Set)
    }
    /// Returns a localized map, its language tags put in canonical form.
    ///
    /// # Errors
    /// [`ObjectError::BadValue`] for what is no BCP 47 tag, a tag that comes twice, or a value that
    /// is no string, text or conflict.
    pub fn localized<K: AsRef<str>>(
        entries: impl IntoIterator<Item = (K, Self)>,
    ) -> Result<Self, ObjectError> {
        let bad = |why: String| ObjectError::BadValue { field: "/".into(), why };
        let mut map = ValueMap::new();
        for (tag, value) in entries {
            let tag = tag.as_ref();
            let canonical = canonical_tag(tag).ok_or_else(|| bad(not_a_tag(tag)))?;
            if !value.is_localized_leaf() {
                return Err(bad(not_a_leaf(&value)));
            }
            if map.insert(canonical, value).is_some() {
                return Err(bad(format!("the language tag `{tag}` comes twice")));
            }
        }
        Ok(Self::Localized(map))
    }

    /// Its canonical bytes: what equality, order and hashes are about.
    pub fn canonical_bytes(&self) -> Vec<u8> {
        // Encoding to memory cannot fail, and none of our types refuse to be encoded.
        codec::encode_body(self).unwrap_or_default()
    }
    /// The word for its kind in messages and JSON.
    pub fn kind_word(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Decimal(_) => "decimal",
            Self::String(_) => "string",
            Self::Text(_) => "text",
            Self::Timestamp(_) => "timestamp",
            Self::Asset(_) => "asset",
            Self::Array(_) => "array",
            Self::Set(_) => "set",
            Self::Keyed(_) => "keyed",
            Self::Map(_) => "map",
            Self::Localized(_) => "localized",
            Self::Conflict(_) => "conflict",
        }
    }
    /// Its kind with an article, for messages.
    pub(crate) fn kind_phrase(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Int(_) | Self::Asset(_) | Self::Array(_) => format!("an {}", self.kind_word()),
            Self::Keyed(_) => "a keyed list".to_owned(),
            Self::Localized(_) => "a localized map".to_owned(),
            _ => format!("a {}", self.kind_word()),
        }
    }
    /// Whether it has no parts: null, bool, int, decimal, string, text or timestamp.
    pub fn is_scalar(&self) -> bool {
        matches!(
            self,
            Self::Null
                | Self::Bool(_)
                | Self::Int(_)
                | Self::Decimal(_)
                | Self::String(_)
                | Self::Text(_)
                | Self::Timestamp(_)
        )
    }
    /// Whether a set may hold it: a scalar or an asset reference.
    pub fn is_element(&self) -> bool {
        self.is_scalar() || matches!(self, Self::Asset(_))
    }
    /// Whether a localized map may hold it.
    pub(crate) fn is_localized_leaf(&self) -> bool {
        match self {
            Self::String(_) | Self::Text(_) => true,
            Self::Conflict(conflict) => {
                conflict.all_values(&|value| matches!(value, Self::String(_) | Self::Text(_)))
            }
            _ => false,
        }
    }
}

/// Returns a language tag in canonical form, BCP 47 syntax in RFC 5646 letter case, if it is one.
pub fn canonical_tag(tag: &str) -> Option<String> {
    if tag.len() > MAX_KEY_BYTES {
        return None;
    }
    LanguageTag::parse_and_normalize(tag).ok().map(LanguageTag::into_inner)
}

/// The rule that a bad language tag breaks.
pub(crate) fn not_a_tag(tag: &str) -> String {
    format!("`{tag}` is no BCP 47 language tag, such as `fr-FR`")
}

/// The rule that a value under a language tag breaks.
pub(crate) fn not_a_leaf(value: &Value) -> String {
    if matches!(value, Value::Conflict(_)) {
        return "a conflict under a language tag is among strings and texts".to_owned();
    }
    format!("{} cannot stand under a language tag", value.kind_phrase())
}

/// What the canonical bytes of an int are ordered by: how many there are, then each, low to high.
fn int_bytes(number: i64) -> (u8, [u8; 8]) {
    let folded = (number.cast_unsigned() << 1) ^ (number >> 63).cast_unsigned();
    let class = match folded {
        0..=250 => 0,
        251..=0xffff => 1,
        0x1_0000..=0xffff_ffff => 2,
        _ => 3,
    };
    (class, folded.to_le_bytes())
}

impl Ord for Value {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            // Most keys are short strings; their bytes are kind, length in one byte, text.
            (Self::String(a), Self::String(b)) if a.len() <= 250 && b.len() <= 250 => {
                a.len().cmp(&b.len()).then_with(|| a.cmp(b))
            }
            (Self::Int(a), Self::Int(b)) => int_bytes(*a).cmp(&int_bytes(*b)),
            _ => self
                .kind_number()
                .cmp(&other.kind_number())
                .then_with(|| self.canonical_bytes().cmp(&other.canonical_bytes())),
        }
    }
}
impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}
impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}
impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}
impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Bool(flag)
    }
}
