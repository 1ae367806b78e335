//! EBML: elements of an id, a size and a payload.
//!
//! # Reference
//! RFC 8794 (EBML); RFC 9559 (Matroska).

/// The ids in use.
pub(super) mod id {
    pub(crate) const EBML: u32 = 0x1a45_dfa3;
    pub(crate) const SEGMENT: u32 = 0x1853_8067;
    pub(crate) const SEEK_HEAD: u32 = 0x114d_9b74;
    pub(crate) const SEEK: u32 = 0x4dbb;
    pub(crate) const SEEK_ID: u32 = 0x53ab;
    pub(crate) const SEEK_POSITION: u32 = 0x53ac;
    pub(crate) const INFO: u32 = 0x1549_a966;
    pub(crate) const TIMESTAMP_SCALE: u32 = 0x2a_d7b1;
    pub(crate) const TRACKS: u32 = 0x1654_ae6b;
    pub(crate) const TRACK_ENTRY: u32 = 0xae;
    pub(crate) const TRACK_NUMBER: u32 = 0xd7;
    pub(crate) const TRACK_TYPE: u32 = 0x83;
    pub(crate) const CODEC_ID: u32 = 0x86;
    pub(crate) const CODEC_PRIVATE: u32 = 0x63a2;
    pub(crate) const LANGUAGE: u32 = 0x22_b59c;
    pub(crate) const LANGUAGE_BCP47: u32 = 0x22_b59d;
    pub(crate) const CONTENT_ENCODINGS: u32 = 0x6d80;
    pub(crate) const CONTENT_ENCODING: u32 = 0x6240;
    pub(crate) const CONTENT_ENCODING_SCOPE: u32 = 0x5032;
    pub(crate) const CLUSTER: u32 = 0x1f43_b675;
    pub(crate) const TIMESTAMP: u32 = 0xe7;
    pub(crate) const SIMPLE_BLOCK: u32 = 0xa3;
    pub(crate) const BLOCK_GROUP: u32 = 0xa0;
    pub(crate) const BLOCK: u32 = 0xa1;
}

/// The most bytes of id and size.
pub(super) const HEAD: usize = 12;

/// Id and size of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) id: u32,
    /// Bytes of id and size.
    pub(super) head: usize,
    /// Bytes of the payload; `None` if only what comes after it tells.
    pub(super) len: Option<u64>,
}

impl Element {
    /// Reads what `bytes` begin with; `None` if it is no element, or cut off.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let width = width(bytes, 4)?;
        let id = u32::try_from(unsigned(bytes.get(..width)?)).ok()?;
        let (len, size) = number(bytes.get(width..)?)?;
        Some(Self { id, head: width + size, len })
    }

    /// Where it ends, if it begins at `start`; `None` if only what comes after it tells.
    pub(super) fn end(&self, start: u64) -> Option<u64> {
        start.checked_add(self.head as u64)?.checked_add(self.len?)
    }
}

/// The value of a number with its width in front, `None` if all its bits are set, and its bytes.
pub(super) fn number(bytes: &[u8]) -> Option<(Option<u64>, usize)> {
    let width = width(bytes, 8)?;
    let most = most(width);
    let value = unsigned(bytes.get(..width)?) & most;
    Some(((value != most).then_some(value), width))
}

/// The number of `width` bytes, at most 8, that has all its bits set.
pub(super) fn most(width: usize) -> u64 {
    (1 << (7 * width)) - 1
}

/// How many bytes a number has, by the zeros in front.
fn width(bytes: &[u8], most: usize) -> Option<usize> {
    let width = bytes.first()?.leading_zeros() as usize + 1;
    (width <= most).then_some(width)
}

/// An unsigned integer, most significant byte first; of more than 8 bytes the last 8 count.
pub(super) fn unsigned(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// The elements in a payload, each with its own, up to one that is cut off.
pub(super) fn children(mut payload: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    std::iter::from_fn(move || {
        let element = Element::read(payload)?;
        let len = usize::try_from(element.len?).ok()?;
        let (child, rest) = payload.get(element.head..)?.split_at_checked(len)?;
        payload = rest;
        Some((element.id, child))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_have_ids_and_sizes_of_many_widths() {
        let read = |bytes: &[u8]| Element::read(bytes).map(|it| (it.id, it.head, it.len));
        assert_eq!(read(&[0xa3, 0x85]), Some((id::SIMPLE_BLOCK, 2, Some(5))));
        assert_eq!(read(&[0x1f, 0x43, 0xb6, 0x75, 0xff]), Some((id::CLUSTER, 5, None)));
        let long = [0x18, 0x53, 0x80, 0x67, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(read(&long), Some((id::SEGMENT, 12, None)));
        assert_eq!(read(&[0xec, 0x40, 2]), Some((0xec, 3, Some(2))));
        assert_eq!(read(&[0xec, 0x40]), None);
        assert_eq!(read(&[0x08, 0, 0, 0, 0, 0x81]), None);
        assert_eq!(read(&[0xec, 0]), None);
        assert_eq!(read(&[]), None);
    }

    #[test]
    fn children_end_where_one_is_cut_off() {
        let payload = [0xd7, 0x81, 7, 0x83, 0x80, 0x86, 0x84, 1];
        let found: Vec<_> = children(&payload).collect();
        assert_eq!(found, [(id::TRACK_NUMBER, &[7][..]), (id::TRACK_TYPE, &[][..])]);
    }
}
