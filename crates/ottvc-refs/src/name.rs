//! Ref names: `heads/NAME` for branches, `tags/NAME` for tags.

use std::fmt;

use bincode::{Decode, Encode};

use crate::RefError;

/// The longest name of a branch or tag, in bytes.
pub const MAX_REF_BYTES: usize = 255;

/// Whether a ref moves with commits or stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum RefKind {
    /// Moves with commits; an edition.
    Branch,
    /// Stays.
    Tag,
}

/// A checked ref name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode)]
pub struct RefName {
    kind: RefKind,
    name: String,
}

impl RefName {
    /// Checks the name of a branch: parts joined by `/`, of letters, digits, `-`, `_`, `.`, `+`; no
    /// part starts with `-` or `.`, ends with `.` or `.lock`; not `HEAD`, nor what reads as an id.
    ///
    /// # Errors
    /// [`RefError::BadName`] naming the rule it breaks.
    pub fn branch(name: &str) -> Result<Self, RefError> {
        Self::new(RefKind::Branch, name)
    }
    /// Checks the name of a tag, by the same rules.
    ///
    /// # Errors
    /// [`RefError::BadName`] naming the rule it breaks.
    pub fn tag(name: &str) -> Result<Self, RefError> {
        Self::new(RefKind::Tag, name)
    }
    fn new(kind: RefKind, name: &str) -> Result<Self, RefError> {
        match fault(name) {
            Some(why) => Err(RefError::BadName { name: name.to_owned(), why }),
            None => Ok(Self { kind, name: name.to_owned() }),
        }
    }
    /// Whether it moves.
    pub fn kind(&self) -> RefKind {
        self.kind
    }
    /// The name without `heads/` or `tags/`.
    pub fn short(&self) -> &str {
        &self.name
    }
}

/// Returns the rule that `name` breaks.
fn fault(name: &str) -> Option<&'static str> {
    let odd = |c: char| !(c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '+' | '/'));
    let part_fault = |part: &str| {
        part.is_empty()
            || part.starts_with(['-', '.'])
            || part.ends_with('.')
            || part.ends_with(".lock")
            || part.contains("..")
    };
    let hex = name.len() >= 8 && name.len() <= 64 && name.chars().all(|c| c.is_ascii_hexdigit());
    let rules = [
        (name.is_empty(), "it is empty"),
        (name.len() > MAX_REF_BYTES, "it is over 255 bytes"),
        (name.contains(odd), "only letters, digits and - _ . + / may stand in it"),
        (
            name.split('/').any(part_fault),
            "a part is empty, starts with - or ., or ends with . or .lock",
        ),
        (name == "HEAD" || name == "@", "the name is taken"),
        (hex, "it reads as a commit id"),
    ];
    rules.into_iter().find_map(|(broken, why)| broken.then_some(why))
}

impl fmt::Display for RefName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let folder = match self.kind {
            RefKind::Branch => "heads",
            RefKind::Tag => "tags",
        };
        write!(out, "{folder}/{}", self.name)
    }
}

impl<C> Decode<C> for RefName {
    fn decode<D: bincode::de::Decoder<Context = C>>(
        decoder: &mut D,
    ) -> Result<Self, bincode::error::DecodeError> {
        let kind = RefKind::decode(decoder)?;
        let name = String::decode(decoder)?;
        Self::new(kind, &name)
            .map_err(|error| bincode::error::DecodeError::OtherString(error.to_string()))
    }
}
bincode::impl_borrow_decode!(RefName);
