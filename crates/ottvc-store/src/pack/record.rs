//! Records: what lies between the header and the footer of a pack.

use std::ops::Range;

use ottvc_object::{ChunkId, Hash, Object};

use super::{MAX_RAW_BYTES, PackFault, PackId, checksum, take};
use crate::Encoding;

/// The first four bytes of a record.
pub(super) const MAGIC: [u8; 4] = *b"OREC";

/// The part of a pack that faults in this module name.
const PART: &str = "record header";

/// What a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum RecordKind {
    /// A chunk; its id is the chunk id.
    Chunk = 1,
    /// An object in its canonical bytes; its id is the object id.
    Object = 2,
    /// An operation of the ref store; see [`RecordKind::id_of`].
    Operation = 3,
    /// A state of the working copy; see [`RecordKind::id_of`].
    Workspace = 4,
    /// Several small chunks or objects; see [`super::group`] and [`RecordKind::id_of`].
    Group = 5,
}

impl RecordKind {
    /// Every kind, in order of its number.
    pub const ALL: [Self; 5] =
        [Self::Chunk, Self::Object, Self::Operation, Self::Workspace, Self::Group];

    /// Returns the kind with this number.
    pub fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == byte)
    }

    /// Returns the id of `raw` as this kind: a chunk's or object's own, else BLAKE3 in key-derivation
    /// mode under a context of the kind's own. `None` if the bytes are no object and should be one.
    pub fn id_of(self, raw: &[u8]) -> Option<Hash> {
        match self {
            Self::Chunk => Some(ChunkId::of(raw).0),
            Self::Object => Object::from_bytes(raw).ok().map(|object| object.id().0),
            Self::Operation => Some(blake3::derive_key("ottvc 2026 record operation v1", raw)),
            Self::Workspace => Some(blake3::derive_key("ottvc 2026 record workspace v1", raw)),
            Self::Group => Some(blake3::derive_key("ottvc 2026 record group v1", raw)),
        }
    }
}

impl Encoding {
    /// Returns the encoding with this number.
    pub fn from_byte(byte: u8) -> Option<Self> {
        [Self::Raw, Self::Zstd].into_iter().find(|encoding| *encoding as u8 == byte)
    }
}

/// What a record says of its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RecordHeader {
    /// What the payload is.
    pub kind: RecordKind,
    /// How the payload spells it.
    pub encoding: Encoding,
    /// Length of the raw bytes, at least 1.
    pub raw_len: u32,
    /// Length of the payload; that of the raw bytes if they lie as they are, else less.
    pub stored_len: u32,
    /// The id of the raw bytes.
    pub id: Hash,
}

impl RecordHeader {
    /// Its length in bytes.
    pub const LEN: u64 = 56;

    /// Returns its bytes at `offset` of `pack`; they are wrong anywhere else.
    pub fn encode(&self, pack: PackId, offset: u64) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([self.kind as u8, self.encoding as u8, 0, 0]);
        bytes.extend(self.raw_len.to_le_bytes());
        bytes.extend(self.stored_len.to_le_bytes());
        bytes.extend(self.id);
        bytes.extend(checksum::<8>(&[&pack.0, &offset.to_le_bytes(), &bytes]));
        bytes
    }

    /// Reads the header that `bytes` open with, at `offset` of `pack`.
    ///
    /// # Errors
    /// A fault if they open no record, or one of another place.
    pub fn decode(bytes: &[u8], pack: PackId, offset: u64) -> Result<Self, PackFault> {
        let mut rest = bytes;
        if take::<4>(&mut rest, PART)? != MAGIC {
            return Err(PackFault::Missing("record"));
        }
        let header = Self::decode_fields(&mut rest)?;
        let sum = take::<8>(&mut rest, PART)?;
        let summed = bytes.get(..48).unwrap_or_default();
        if checksum::<8>(&[&pack.0, &offset.to_le_bytes(), summed]) != sum {
            return Err(PackFault::Checksum(PART));
        }
        header.ok_or(PackFault::Rule(PART))
    }

    /// Reads the 44 bytes between magic and checksum; `None` if a field breaks a rule.
    fn decode_fields(rest: &mut &[u8]) -> Result<Option<Self>, PackFault> {
        let [kind, encoding, reserved @ ..] = take::<4>(rest, PART)?;
        let raw_len = u32::from_le_bytes(take(rest, PART)?);
        let stored_len = u32::from_le_bytes(take(rest, PART)?);
        let id = take::<32>(rest, PART)?;
        let (Some(kind), Some(encoding)) =
            (RecordKind::from_byte(kind), Encoding::from_byte(encoding))
        else {
            return Ok(None);
        };
        let header = Self { kind, encoding, raw_len, stored_len, id };
        Ok((reserved == [0, 0] && header.lengths_fit()).then_some(header))
    }

    /// Whether the two lengths may stand together.
    pub fn lengths_fit(&self) -> bool {
        let stored = match self.encoding {
            Encoding::Raw => self.stored_len == self.raw_len,
            Encoding::Zstd => self.stored_len > 0 && self.stored_len < self.raw_len,
        };
        stored && self.raw_len > 0 && self.raw_len <= MAX_RAW_BYTES
    }

    /// What the record takes in its pack, header and payload.
    pub fn record_len(&self) -> u64 {
        Self::LEN + u64::from(self.stored_len)
    }
}

/// A record's place and header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    /// Where its header begins, in bytes from the start of the pack.
    pub offset: u64,
    /// Its header.
    pub header: RecordHeader,
}

impl Record {
    /// Length of a footer's line for a record, in bytes.
    pub(super) const LINE_LEN: u64 = 52;

    /// The offset just past its payload.
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(self.header.record_len())
    }

    /// Returns its payload within the bytes of the whole pack, if they reach that far.
    pub fn payload<'a>(&self, pack: &'a [u8]) -> Option<&'a [u8]> {
        pack.get(self.payload_range()?)
    }

    /// Where its payload lies; `None` if that is past what memory can address.
    pub fn payload_range(&self) -> Option<Range<usize>> {
        let start = usize::try_from(self.offset.checked_add(RecordHeader::LEN)?).ok()?;
        Some(start..usize::try_from(self.end()).ok()?)
    }

    /// Appends its line of a footer.
    pub(super) fn encode_line(&self, bytes: &mut Vec<u8>) {
        let header = &self.header;
        bytes.extend(header.id);
        bytes.extend([header.kind as u8, header.encoding as u8, 0, 0]);
        bytes.extend(header.raw_len.to_le_bytes());
        bytes.extend(header.stored_len.to_le_bytes());
        bytes.extend(self.offset.to_le_bytes());
    }

    /// Reads a line of a footer.
    pub(super) fn decode_line(rest: &mut &[u8]) -> Result<Self, PackFault> {
        const LINE: &str = "footer";
        let id = take::<32>(rest, LINE)?;
        let [kind, encoding, reserved @ ..] = take::<4>(rest, LINE)?;
        let raw_len = u32::from_le_bytes(take(rest, LINE)?);
        let stored_len = u32::from_le_bytes(take(rest, LINE)?);
        let offset = u64::from_le_bytes(take(rest, LINE)?);
        match (RecordKind::from_byte(kind), Encoding::from_byte(encoding)) {
            (Some(kind), Some(encoding)) if reserved == [0, 0] => {
                let header = RecordHeader { kind, encoding, raw_len, stored_len, id };
                if header.lengths_fit() {
                    Ok(Self { offset, header })
                } else {
                    Err(PackFault::Rule(LINE))
                }
            }
            _ => Err(PackFault::Rule(LINE)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> RecordHeader {
        RecordHeader {
            kind: RecordKind::Chunk,
            encoding: Encoding::Zstd,
            raw_len: 100,
            stored_len: 20,
            id: [3; 32],
        }
    }

    #[test]
    fn a_record_header_reads_back_in_its_place_only() {
        let (pack, other) = (PackId([1; 16]), PackId([2; 16]));
        let bytes = header().encode(pack, 40);
        assert_eq!(bytes.len() as u64, RecordHeader::LEN);
        assert_eq!(RecordHeader::decode(&bytes, pack, 40), Ok(header()));
        assert!(RecordHeader::decode(&bytes, pack, 41).is_err());
        assert!(RecordHeader::decode(&bytes, other, 40).is_err());
    }

    #[test]
    fn any_flipped_bit_of_a_record_header_is_noticed() {
        let pack = PackId([1; 16]);
        let bytes = header().encode(pack, 40);
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(RecordHeader::decode(&bytes, pack, 40).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn lengths_that_cannot_be_are_refused() {
        let pack = PackId([1; 16]);
        for (encoding, raw_len, stored_len) in [
            (Encoding::Raw, 0, 0),
            (Encoding::Raw, 5, 4),
            (Encoding::Zstd, 5, 5),
            (Encoding::Zstd, 5, 0),
            (Encoding::Raw, MAX_RAW_BYTES + 1, MAX_RAW_BYTES + 1),
        ] {
            let header = RecordHeader { encoding, raw_len, stored_len, ..header() };
            let bytes = header.encode(pack, 0);
            assert_eq!(RecordHeader::decode(&bytes, pack, 0), Err(PackFault::Rule(PART)));
        }
    }
}
