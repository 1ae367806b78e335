//! The bytes of a pack: a file of many records, the same on disk and in an object store.
//!
//! A pack opens with a header that names it, then come records, each a header and a payload, one
//! after the other. A sealed pack ends with a footer that lists its records; a pack without one is
//! still being written, or its writer died, and is read by walking its records. Every header is bound
//! by its checksum to its pack and its place, so bytes that merely look like a record (a pack inside
//! a chunk, what a disk held before) never pass for one. Everything here is pure;
//! `docs/format-pack.md` states every byte.

pub mod footer;
pub mod group;
pub mod payload;
pub mod record;
pub mod scan;

use std::fmt;
use std::str::FromStr;

pub use footer::{decode_footer, encode_footer};
pub use group::{
    GROUP_BYTES, GroupBuilder, MAX_MEMBER_BYTES, Member, NODE_GROUP_BYTES, decode_group,
};
pub use payload::{Decoder, Encoder};
pub use record::{Record, RecordHeader, RecordKind};
pub use scan::{Gap, Scan, scan};

/// A writer seals a pack once it is this long, in bytes.
pub const TARGET_BYTES: u64 = 64 << 20;
/// A writer seals a pack once it holds this many records, so that its footer stays small.
pub const TARGET_RECORDS: usize = 1 << 18;
/// The longest pack, in bytes; a longer file is not read as one.
pub const MAX_PACK_BYTES: u64 = 256 << 20;
/// The longest raw form of any record's payload, in bytes.
pub const MAX_RAW_BYTES: u32 = 16 << 20;
/// The version of this format that is written.
pub const FORMAT: u16 = 1;

/// The first eight bytes of a pack.
const MAGIC: [u8; 8] = *b"ottvcpk\n";

/// Why bytes are no part of a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PackFault {
    /// The bytes do not begin or end as this part does.
    #[error("no {0} here")]
    Missing(&'static str),
    /// The bytes end too soon.
    #[error("the {0} is cut short")]
    Torn(&'static str),
    /// The bytes are not what was written.
    #[error("the checksum of the {0} does not match")]
    Checksum(&'static str),
    /// A field holds what none of its kind may.
    #[error("the {0} breaks a rule of the format")]
    Rule(&'static str),
    /// Written by a later release.
    #[error("the pack is in format {0}, which this release does not know")]
    TooNew(u16),
    /// The payload does not unpack to the length its header states.
    #[error("the bytes cannot be unpacked")]
    Unpack,
    /// The payload is whole but hashes to another id.
    #[error("the bytes do not hash to their id")]
    Hash,
}

/// Names a pack for ever: 16 random bytes, never used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackId(pub [u8; 16]);

impl fmt::Display for PackId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}
impl fmt::Debug for PackId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "PackId({self})")
    }
}
impl FromStr for PackId {
    type Err = PackFault;
    /// Reads 32 lowercase hexadecimal digits, the only spelling.
    fn from_str(text: &str) -> Result<Self, PackFault> {
        let lowercase = |c: char| c.is_ascii_digit() || matches!(c, 'a'..='f');
        if text.len() != 32 || !text.chars().all(lowercase) {
            return Err(PackFault::Rule("pack name"));
        }
        u128::from_str_radix(text, 16)
            .map(|number| Self(number.to_be_bytes()))
            .map_err(|_| PackFault::Rule("pack name"))
    }
}

/// What a pack is for; kept apart so that media is read in long runs and objects stay together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Class {
    /// Chunks.
    Data = 1,
    /// Objects, operations and workspace states.
    Objects = 2,
}

impl Class {
    /// Both classes.
    pub const ALL: [Self; 2] = [Self::Data, Self::Objects];

    /// Returns the class with this number.
    pub fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|class| *class as u8 == byte)
    }
}

/// The first bytes of a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackHeader {
    /// Its name.
    pub id: PackId,
    /// What it is for.
    pub class: Class,
    /// Grows from pack to pack of one store, so that what was written last is known without index.
    pub order: u64,
}

impl PackHeader {
    /// Its length in bytes.
    pub const LEN: u64 = 48;

    /// Returns its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(FORMAT.to_le_bytes());
        bytes.push(self.class as u8);
        bytes.extend([0; 5]);
        bytes.extend(self.id.0);
        bytes.extend(self.order.to_le_bytes());
        bytes.extend(checksum::<8>(&[&bytes]));
        bytes
    }

    /// Reads the header that a pack's bytes open with.
    ///
    /// # Errors
    /// [`PackFault::TooNew`] for a later format, another fault for bytes that open no pack.
    pub fn decode(bytes: &[u8]) -> Result<Self, PackFault> {
        const PART: &str = "pack header";
        let mut rest = bytes;
        let magic = take::<8>(&mut rest, PART)?;
        let format = u16::from_le_bytes(take(&mut rest, PART)?);
        let [class] = take::<1>(&mut rest, PART)?;
        let reserved = take::<5>(&mut rest, PART)?;
        let id = PackId(take(&mut rest, PART)?);
        let order = u64::from_le_bytes(take(&mut rest, PART)?);
        let sum = take::<8>(&mut rest, PART)?;
        if magic != MAGIC {
            return Err(PackFault::Missing(PART));
        }
        if checksum::<8>(&[bytes.get(..40).unwrap_or_default()]) != sum {
            return Err(PackFault::Checksum(PART));
        }
        if format > FORMAT {
            return Err(PackFault::TooNew(format));
        }
        match Class::from_byte(class) {
            Some(class) if reserved == [0; 5] && format == FORMAT => Ok(Self { id, class, order }),
            _ => Err(PackFault::Rule(PART)),
        }
    }
}

/// Takes the next `N` bytes off `rest`.
fn take<const N: usize>(rest: &mut &[u8], part: &'static str) -> Result<[u8; N], PackFault> {
    let (head, tail) = rest.split_first_chunk::<N>().ok_or(PackFault::Torn(part))?;
    *rest = tail;
    Ok(*head)
}

/// Returns the first `N` bytes of BLAKE3 over `parts`, under a context that no id uses.
fn checksum<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    let mut hasher = blake3::Hasher::new_derive_key("ottvc 2026 pack checksum v1");
    for part in parts {
        hasher.update(part);
    }
    let mut sum = [0; N];
    hasher.finalize_xof().fill(&mut sum);
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_reads_back() {
        for class in Class::ALL {
            let header = PackHeader { id: PackId([7; 16]), class, order: 3 };
            let bytes = header.encode();
            assert_eq!(bytes.len() as u64, PackHeader::LEN);
            assert_eq!(PackHeader::decode(&bytes), Ok(header));
        }
    }

    #[test]
    fn any_flipped_bit_of_a_header_is_noticed() {
        let bytes = PackHeader { id: PackId([7; 16]), class: Class::Data, order: 3 }.encode();
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(PackHeader::decode(&bytes).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_later_format_is_said_to_be_one() {
        let mut bytes = PackHeader { id: PackId([7; 16]), class: Class::Data, order: 3 }.encode();
        bytes[8] = 9;
        bytes.truncate(40);
        bytes.extend(checksum::<8>(&[&bytes]));
        assert_eq!(PackHeader::decode(&bytes), Err(PackFault::TooNew(9)));
    }

    #[test]
    fn a_pack_name_has_one_spelling() {
        let id = PackId([0xab; 16]);
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in ["", "ab", &"AB".repeat(16), &"+b".repeat(16), &"ab".repeat(17)] {
            assert!(bad.parse::<PackId>().is_err(), "{bad}");
        }
    }
}
