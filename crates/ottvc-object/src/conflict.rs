//! Merge terms and conflicts: what is kept when two sides disagree.

use bincode::de::Decoder;
use bincode::error::DecodeError;
use bincode::{Decode, Encode};

use crate::codec::{self, Kind, Storable};
use crate::entry::Entry;
use crate::error::ObjectError;
use crate::field_path::FieldPath;
use crate::id::{ConflictId, CoreId};
use crate::value::Level;

/// The most terms a merge or conflict has.
pub const MAX_TERMS: usize = 127;

/// Alternating adds and removes, one more add than removes: `[side, base, side, base, side ...]`.
///
/// A normal merge is `[ours, base, theirs]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode)]
pub struct Terms<T>(Vec<T>);

impl<T> Terms<T> {
    /// Takes an odd number of terms, adds at even places.
    ///
    /// # Errors
    /// [`ObjectError::Malformed`] for an even number or more than [`MAX_TERMS`].
    pub fn new(terms: Vec<T>) -> Result<Self, ObjectError> {
        if terms.len() % 2 == 1 && terms.len() <= MAX_TERMS {
            Ok(Self(terms))
        } else {
            Err(ObjectError::Malformed {
                what: "merge terms",
                why: format!("{} terms", terms.len()),
            })
        }
    }
    /// The three terms of a normal merge.
    pub fn three(ours: T, base: T, theirs: T) -> Self {
        Self(vec![ours, base, theirs])
    }
    /// The sides, in order; at least one.
    pub fn adds(&self) -> impl Iterator<Item = &T> {
        self.0.iter().step_by(2)
    }
    /// The bases, in order.
    pub fn removes(&self) -> impl Iterator<Item = &T> {
        self.0.iter().skip(1).step_by(2)
    }
    /// All terms, adds at even places.
    pub fn as_slice(&self) -> &[T] {
        &self.0
    }
    /// Gives the terms back.
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }
    /// Applies `f` to each term.
    pub fn map<U>(&self, f: impl FnMut(&T) -> U) -> Terms<U> {
        Terms(self.0.iter().map(f).collect())
    }
    /// Applies `f` to each term until it fails.
    ///
    /// # Errors
    /// What `f` returns.
    pub fn try_map<U, E>(&self, f: impl FnMut(&T) -> Result<U, E>) -> Result<Terms<U>, E> {
        self.0.iter().map(f).collect::<Result<_, E>>().map(Terms)
    }
}

impl<C, T: Decode<C>> Decode<C> for Terms<T> {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let terms = Vec::<T>::decode(decoder)?;
        Self::new(terms).map_err(|error| DecodeError::OtherString(error.to_string()))
    }
}

/// Why there is a conflict; its number in the encoding is its place here and never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum ConflictKind {
    /// The sides changed it differently.
    EditEdit,
    /// The sides added it differently.
    AddAdd,
    /// One side removed what another changed.
    DeleteEdit,
    /// The sides made it different kinds of thing.
    Type,
    /// The sides put a list in different orders.
    Order,
    /// The base itself is in conflict.
    ContestedBase,
    /// The sides renamed it differently.
    RenameRename,
    /// The sides put different things in one place.
    Collision,
    /// The sides moved things into each other.
    MoveCycle,
    /// The merged result breaks a predicate.
    Invariant,
    /// The merged result breaks its schema.
    Invalid,
    /// A hook could not decide.
    Hook,
    /// The sides use different schemas.
    Schema,
    /// An override lies below something its parent removed.
    OrphanOverride,
    /// A parent changed what an edition overrides.
    Shadow,
}

impl ConflictKind {
    /// Every kind, in order of its number.
    pub const ALL: [Self; 15] = [
        Self::EditEdit,
        Self::AddAdd,
        Self::DeleteEdit,
        Self::Type,
        Self::Order,
        Self::ContestedBase,
        Self::RenameRename,
        Self::Collision,
        Self::MoveCycle,
        Self::Invariant,
        Self::Invalid,
        Self::Hook,
        Self::Schema,
        Self::OrphanOverride,
        Self::Shadow,
    ];

    /// Returns the kind with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// The word for it in messages and JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::EditEdit => "edit_edit",
            Self::AddAdd => "add_add",
            Self::DeleteEdit => "delete_edit",
            Self::Type => "type",
            Self::Order => "order",
            Self::ContestedBase => "contested_base",
            Self::RenameRename => "rename_rename",
            Self::Collision => "collision",
            Self::MoveCycle => "move_cycle",
            Self::Invariant => "invariant",
            Self::Invalid => "invalid",
            Self::Hook => "hook",
            Self::Schema => "schema",
            Self::OrphanOverride => "orphan_override",
            Self::Shadow => "shadow",
        }
    }
}

/// One term of a conflict.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode)]
pub enum Term<T> {
    /// The side or base has nothing there.
    Absent,
    /// It has this.
    Value(T),
    /// It has a conflict of its own: a contested base, kept whole.
    Contested(Box<Conflict<T>>),
}

impl<T> Term<T> {
    /// What it has, unless that is nothing or a conflict.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Contested(_) => None,
        }
    }
    /// The conflict it has, if it has one.
    pub fn contested(&self) -> Option<&Conflict<T>> {
        match self {
            Self::Contested(conflict) => Some(conflict),
            Self::Absent | Self::Value(_) => None,
        }
    }
    /// Whether it has nothing there.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

impl<T> From<Option<T>> for Term<T> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Absent, Self::Value)
    }
}

/// A disagreement, stored in place of the value or entry it is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode)]
pub struct Conflict<T> {
    /// Why.
    pub kind: ConflictKind,
    /// Where inside its document; the root for a conflict between entries.
    pub path: FieldPath,
    /// The merge policy that could not decide (`atomic`, `set`, `order` ...).
    pub policy: String,
    /// What each side and base has.
    pub terms: Terms<Term<T>>,
}

// Decoded by hand, to count how deep conflicts lie inside one another.
impl<C, T: Decode<C>> Decode<C> for Term<T> {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        match u32::decode(decoder)? {
            0 => Ok(Self::Absent),
            1 => T::decode(decoder).map(Self::Value),
            2 => Box::decode(decoder).map(Self::Contested),
            _ => Err(DecodeError::Other("a term of unknown kind")),
        }
    }
}

impl<C, T: Decode<C>> Decode<C> for Conflict<T> {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let _level = Level::conflict()?;
        Ok(Self {
            kind: Decode::decode(decoder)?,
            path: Decode::decode(decoder)?,
            policy: Decode::decode(decoder)?,
            terms: Decode::decode(decoder)?,
        })
    }
}

impl<T> Conflict<T> {
    /// Whether every value its terms have passes `test`, those of contested terms included.
    pub(crate) fn all_values(&self, test: &impl Fn(&T) -> bool) -> bool {
        self.terms.as_slice().iter().all(|term| match term {
            Term::Absent => true,
            Term::Value(value) => test(value),
            Term::Contested(nested) => nested.all_values(test),
        })
    }
}

/// The BLAKE3 key-derivation context of a conflict's core identity.
const CORE_CONTEXT: &str = "ottvc 2026 conflict core v1";
/// The BLAKE3 key-derivation context of one term of it.
const TERM_CONTEXT: &str = "ottvc 2026 conflict term v1";

impl<T: Encode> Conflict<T> {
    /// What the conflict is about: the same for everyone who merges the same heads, in any order.
    ///
    /// The hash of its kind, path and policy, of the sides as a multiset and of the bases as a
    /// multiset. A contested term counts by its own core identity.
    pub fn core_id(&self) -> CoreId {
        // Encoding to memory cannot fail, and none of our types refuse to be encoded.
        let head = codec::encode_body(&(self.kind, &self.path, &self.policy)).unwrap_or_default();
        let mut hasher = blake3::Hasher::new_derive_key(CORE_CONTEXT);
        hasher.update(&head);
        let sides = sorted_hashes(self.terms.adds());
        // The count parts sides from bases; there is always one base fewer than sides.
        hasher.update(&(sides.len() as u64).to_le_bytes());
        for hash in sides.into_iter().chain(sorted_hashes(self.terms.removes())) {
            hasher.update(&hash);
        }
        CoreId(*hasher.finalize().as_bytes())
    }
}

fn sorted_hashes<'a, T: Encode + 'a>(terms: impl Iterator<Item = &'a Term<T>>) -> Vec<[u8; 32]> {
    let mut hashes: Vec<[u8; 32]> = terms.map(term_hash).collect();
    hashes.sort_unstable();
    hashes
}

fn term_hash<T: Encode>(term: &Term<T>) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(TERM_CONTEXT);
    match term {
        Term::Absent => hasher.update(&[0]),
        Term::Value(value) => {
            hasher.update(&[1]).update(&codec::encode_body(value).unwrap_or_default())
        }
        Term::Contested(conflict) => hasher.update(&[2]).update(conflict.core_id().as_bytes()),
    };
    *hasher.finalize().as_bytes()
}

impl Storable for Conflict<Entry> {
    const KIND: Kind = Kind::Conflict;
    type Id = ConflictId;

    fn validate(&self) -> Result<(), ObjectError> {
        if self.policy.len() > 255 {
            let why = "the policy has over 255 bytes".to_owned();
            return Err(ObjectError::Malformed { what: "conflict", why });
        }
        Ok(())
    }
}
