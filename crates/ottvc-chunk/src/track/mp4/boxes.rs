//! Boxes: a length, a name of four characters, and a body that may hold more boxes.
//!
//! # Reference
//! ISO/IEC 14496-12, 4.2.

use std::ops::Range;

/// The name of a box, a handler or a sample entry.
pub(super) type Name = [u8; 4];

/// How many bytes tell where a box ends; fewer suffice if its length takes 32 bits.
pub(super) const HEADER: usize = 16;

/// What stands before the body of a box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) name: Name,
    /// Its own length.
    pub(super) head: u8,
    /// The length of the box with its header, as claimed.
    pub(super) len: u64,
}

impl Header {
    /// Reads the header that `bytes` begin with; a box without length takes all `room` there is.
    pub(super) fn of(bytes: &[u8], room: u64) -> Option<Self> {
        let name = *bytes.get(4..)?.first_chunk()?;
        let (head, len) = match u32_at(bytes, 0)? {
            0 => (8, room),
            1 => (16, u64_at(bytes, 8)?),
            len => (8, u64::from(len)),
        };
        (len >= u64::from(head)).then_some(Self { name, head, len })
    }
}

/// The boxes in `range` of `bytes`, in order: name and range of the body, which ends where `range` does
/// at the latest.
pub(super) fn boxes(
    bytes: &[u8],
    range: Range<usize>,
) -> impl Iterator<Item = (Name, Range<usize>)> {
    let mut at = range.start;
    let end = range.end.min(bytes.len());
    std::iter::from_fn(move || {
        let rest = bytes.get(at..end)?;
        let header = Header::of(rest, rest.len() as u64)?;
        let len = usize::try_from(header.len).map_or(rest.len(), |len| len.min(rest.len()));
        let body = at.checked_add(usize::from(header.head))?..at.checked_add(len)?;
        at = body.end;
        Some((header.name, body))
    })
}

/// The body of the first box called `name` in `range` of `bytes`.
pub(super) fn find(bytes: &[u8], range: Range<usize>, name: &Name) -> Option<Range<usize>> {
    boxes(bytes, range).find(|(found, _)| found == name).map(|(_, body)| body)
}

/// The two bytes at `at`, big-endian, if they are there.
pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
}

/// The four bytes at `at`, big-endian, if they are there.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

/// The eight bytes at `at`, big-endian, if they are there.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_follow_each_other_and_end_with_what_holds_them() {
        let bytes = [
            &[0, 0, 0, 10][..],
            b"free",
            &[1, 2],
            &[0, 0, 0, 1],
            b"wide",
            &[0, 0, 0, 0, 0, 0, 0, 17, 9],
            &[0, 0, 1, 0],
            b"mdat",
            &[7],
        ]
        .concat();
        let found: Vec<_> = boxes(&bytes, 0..bytes.len()).collect();
        assert_eq!(found, [(*b"free", 8..10), (*b"wide", 26..27), (*b"mdat", 35..36)]);
        assert_eq!(find(&bytes, 0..bytes.len(), b"mdat"), Some(35..36));
        assert_eq!(find(&bytes, 0..12, b"wide"), None);
    }

    #[test]
    fn a_length_shorter_than_its_header_is_no_box() {
        assert_eq!(Header::of(&[0, 0, 0, 7, b'f', b'r', b'e', b'e'], 8), None);
        assert_eq!(Header::of(&[0, 0, 0, 0, b'm', b'd', b'a', b't'], 99).unwrap().len, 99);
        assert_eq!(boxes(&[0; 3], 0..3).count(), 0);
        assert_eq!(boxes(&[0; 3], 4..9).count(), 0);
    }
}
