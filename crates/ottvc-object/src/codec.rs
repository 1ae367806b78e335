//! Canonical bytes: the one place where objects become bytes and bytes become objects.
//!
//! An object's bytes are one kind byte, one layout version byte, then its bincode 2 body (little
//! endian, variable-length integers). Its id is BLAKE3 of all of them in key-derivation mode, under
//! the kind's context. Decoding refuses bytes that do not encode back to themselves, so an object
//! has one spelling. `docs/format.md` states every byte.

use std::sync::Arc;

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use bincode::error::DecodeError;
use bincode::{Decode, Encode};

use crate::error::ObjectError;
use crate::id::ObjectId;

/// The longest canonical form of any object, in bytes.
pub const MAX_OBJECT_BYTES: usize = 16 << 20;

/// What a decoder may claim while it reads one object, in bytes of memory.
const DECODE_BUDGET: usize = 4 * MAX_OBJECT_BYTES;

/// The fixed bincode configuration of every object.
const CONFIG: Configuration<LittleEndian, Varint, Limit<DECODE_BUDGET>> =
    bincode::config::standard()
        .with_little_endian()
        .with_variable_int_encoding()
        .with_limit::<DECODE_BUDGET>();

/// What an object is; its number is the first byte of the canonical form and never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A metadata document.
    Document = 1,
    /// A node of a tree.
    Tree = 2,
    /// A commit.
    Commit = 3,
    /// A conflict between tree entries.
    Conflict = 4,
    /// How a store keeps one file.
    Manifest = 5,
    /// A page of a chunk list.
    Page = 6,
}

impl Kind {
    /// Every kind, in order of its number.
    pub const ALL: [Self; 6] =
        [Self::Document, Self::Tree, Self::Commit, Self::Conflict, Self::Manifest, Self::Page];

    /// Returns the kind with this number.
    pub fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == byte)
    }

    /// The BLAKE3 key-derivation context of this kind.
    fn context(self) -> &'static str {
        match self {
            Self::Document => "ottvc 2026 object document v1",
            Self::Tree => "ottvc 2026 object tree v1",
            Self::Commit => "ottvc 2026 object commit v1",
            Self::Conflict => "ottvc 2026 object conflict v1",
            Self::Manifest => "ottvc 2026 object manifest v1",
            Self::Page => "ottvc 2026 object page v1",
        }
    }

    /// The word for it in messages.
    pub fn word(self) -> &'static str {
        match self {
            Self::Document => "document",
            Self::Tree => "tree",
            Self::Commit => "commit",
            Self::Conflict => "conflict",
            Self::Manifest => "manifest",
            Self::Page => "page",
        }
    }
}

/// The layout version of every kind so far; the second byte of the canonical form.
const LAYOUT: u8 = 1;

/// An immutable object in its canonical bytes, with the id they hash to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    kind: Kind,
    id: ObjectId,
    bytes: Arc<[u8]>,
}

impl Object {
    /// Takes bytes read from a medium; hashes them, so damaged bytes come back under another id.
    ///
    /// # Errors
    /// [`ObjectError::Malformed`] if the first two bytes name no kind or layout we know.
    pub fn from_bytes(bytes: impl Into<Arc<[u8]>>) -> Result<Self, ObjectError> {
        let bytes = bytes.into();
        let (kind, layout) = match *bytes {
            [kind, layout, ..] => (Kind::from_byte(kind), layout),
            _ => (None, 0),
        };
        match kind {
            Some(kind) if layout == LAYOUT => Ok(Self { kind, id: id_of(kind, &bytes), bytes }),
            Some(kind) => Err(ObjectError::UnknownLayout { kind: kind.word(), layout }),
            None => Err(ObjectError::Malformed { what: "object", why: "unknown kind byte".into() }),
        }
    }
    /// What it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }
    /// Its name.
    pub fn id(&self) -> ObjectId {
        self.id
    }
    /// Its canonical bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Returns the id of canonical `bytes` of `kind`.
fn id_of(kind: Kind, bytes: &[u8]) -> ObjectId {
    ObjectId(*blake3::Hasher::new_derive_key(kind.context()).update(bytes).finalize().as_bytes())
}

/// A type that is stored as an object of its own.
pub trait Storable: Encode + Decode<()> + Sized {
    /// The kind byte of its canonical form.
    const KIND: Kind;
    /// The id type that names it.
    type Id: From<ObjectId>;

    /// Checks what the type alone cannot promise (order, limits), after decoding.
    ///
    /// # Errors
    /// [`ObjectError::Malformed`] when a rule of `docs/format.md` is broken.
    fn validate(&self) -> Result<(), ObjectError> {
        Ok(())
    }

    /// Returns the canonical object for this value.
    ///
    /// # Errors
    /// [`ObjectError::TooLarge`] past [`MAX_OBJECT_BYTES`].
    fn to_object(&self) -> Result<Object, ObjectError> {
        let mut bytes = vec![Self::KIND as u8, LAYOUT];
        bytes.extend(encode_body(self)?);
        if bytes.len() > MAX_OBJECT_BYTES {
            return Err(ObjectError::TooLarge {
                what: Self::KIND.word(),
                len: bytes.len() as u64,
                limit: MAX_OBJECT_BYTES as u64,
            });
        }
        Ok(Object { kind: Self::KIND, id: id_of(Self::KIND, &bytes), bytes: bytes.into() })
    }

    /// Reads the value back from its object.
    ///
    /// # Errors
    /// [`ObjectError::Malformed`] if the bytes are no canonical form of this kind.
    fn from_object(object: &Object) -> Result<Self, ObjectError> {
        let malformed = |why: String| ObjectError::Malformed { what: Self::KIND.word(), why };
        if object.kind != Self::KIND {
            return Err(malformed(format!("is a {}", object.kind.word())));
        }
        let body = object.bytes.get(2..).unwrap_or_default();
        let value: Self = decode_body(body, Self::KIND.word())?;
        value.validate()?;
        Ok(value)
    }
}

/// Encodes a part of an object, or a record beside the DAG, in the fixed configuration.
///
/// # Errors
/// [`ObjectError::Malformed`] if the type refuses to be encoded; ours never do.
pub fn encode_body<T: Encode>(value: &T) -> Result<Vec<u8>, ObjectError> {
    bincode::encode_to_vec(value, CONFIG)
        .map_err(|error| ObjectError::Malformed { what: "value", why: error.to_string() })
}

/// Decodes what [`encode_body`] wrote; all of `bytes` must be used, and must encode back the same.
///
/// # Errors
/// [`ObjectError::Malformed`], with `what` naming the thing in the message.
pub fn decode_body<T: Encode + Decode<()>>(
    bytes: &[u8],
    what: &'static str,
) -> Result<T, ObjectError> {
    let malformed = |why: String| ObjectError::Malformed { what, why };
    let (value, used) = bincode::decode_from_slice::<T, _>(bytes, CONFIG)
        .map_err(|error| malformed(rule_of(error)))?;
    if used != bytes.len() {
        return Err(malformed(format!("{} bytes too many", bytes.len() - used)));
    }
    if encode_body(&value)? != bytes {
        return Err(malformed("not in canonical form".into()));
    }
    Ok(value)
}

/// The rule that bytes broke, in words; bincode shows its errors as Rust.
fn rule_of(error: DecodeError) -> String {
    match error {
        DecodeError::Other(rule) => rule.to_owned(),
        DecodeError::OtherString(rule) => rule,
        DecodeError::UnexpectedEnd { .. } => "the bytes end too early".to_owned(),
        DecodeError::LimitExceeded => "it claims more memory than an object may".to_owned(),
        other => other.to_string(),
    }
}

/// Returns how many bytes [`encode_body`] would write, without writing them.
///
/// # Errors
/// As [`encode_body`].
pub fn encoded_len<T: Encode>(value: &T) -> Result<usize, ObjectError> {
    let mut counter = bincode::enc::write::SizeWriter::default();
    bincode::encode_into_writer(value, &mut counter, CONFIG)
        .map_err(|error| ObjectError::Malformed { what: "value", why: error.to_string() })?;
    Ok(counter.bytes_written)
}
