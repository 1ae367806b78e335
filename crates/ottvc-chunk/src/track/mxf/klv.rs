//! Keys and lengths: how every item of an MXF file begins.
//!
//! # Reference
//! SMPTE ST 377-1 (MXF), ST 379-2 (generic container), ST 336 (KLV).

/// What every key begins with.
pub(super) const LABEL: [u8; 4] = [0x06, 0x0e, 0x2b, 0x34];
/// What the key of every partition pack begins with.
pub(super) const PARTITION: [u8; 13] =
    [0x06, 0x0e, 0x2b, 0x34, 0x02, 0x05, 0x01, 0x01, 0x0d, 0x01, 0x02, 0x01, 0x01];
/// Bytes of a key and the longest length.
const HEAD: usize = 16 + 9;
/// Bytes of an item that tell what it is: its head and the fixed part of a partition pack.
pub(super) const LOOK: usize = HEAD + 88;

/// Key and length of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Klv {
    pub(super) key: [u8; 16],
    /// Bytes of key and length.
    pub(super) head: usize,
    /// Bytes of the value.
    pub(super) len: u64,
}

impl Klv {
    /// Reads what `bytes` begin with; `None` if it is no item, or cut off.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (key, rest) = bytes.split_first_chunk::<16>()?;
        let (first, rest) = rest.split_first()?;
        let count = usize::from(first & 0x7f);
        let (len, head) = if first & 0x80 == 0 {
            (u64::from(*first), 17)
        } else {
            // A length of no bytes would mean "until an end", which MXF has not.
            let octets = rest.get(..count).filter(|_| (1..=8).contains(&count))?;
            (number(octets), 17 + count)
        };
        key.starts_with(&LABEL).then_some(Self { key: *key, head, len })
    }

    /// What the item is, by its key.
    pub(super) fn kind(&self) -> Kind {
        let [.., item, _, element, _] = self.key;
        if self.key.starts_with(&PARTITION) && (2..=4).contains(&item_of_pack(&self.key)) {
            return Kind::Partition;
        }
        let registry = self.key.get(8..12).unwrap_or_default();
        let essence = self.key.get(4..7) == Some([1, 2, 1].as_slice());
        let avid = registry == [0x0e, 4, 3, 1];
        if !essence || registry != [0x0d, 1, 3, 1] && !avid {
            let set = self.key.get(4..6) == Some([2, 0x53].as_slice());
            let track = self.key.get(8..15) == Some([0x0d, 1, 1, 1, 1, 1, 0x3b].as_slice());
            return if set && track { Kind::Track } else { Kind::Other };
        }
        let [.., a, b, c, d] = self.key;
        let media = match item {
            0x05 | 0x15 => Media::Picture,
            0x06 | 0x16 => Media::Sound,
            0x07 | 0x17 => Media::Data,
            0x18 => Media::Compound,
            _ => return Kind::Other,
        };
        let clip = media == Media::Picture && (avid || matches!(element, 0x06 | 0x09 | 0x0d));
        Kind::Element(Element { media, number: [a, b, c, d], kind: element, clip })
    }
}

/// The byte of the key of a pack that says which pack it is.
fn item_of_pack(key: &[u8; 16]) -> u8 {
    let [.., pack, _, _] = key;
    *pack
}

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A partition begins with it.
    Partition,
    /// A piece of essence.
    Element(Element),
    /// Header metadata: a timeline track.
    Track,
    /// Anything else: fill, system items, indexes, other metadata.
    Other,
}

/// What a piece of essence is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Media {
    Picture,
    Sound,
    Data,
    /// Pictures and sound in one, as DV has them.
    Compound,
}

/// What the key of a piece of essence says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) media: Media,
    /// The number of its track.
    pub(super) number: [u8; 4],
    /// The type of the element.
    pub(super) kind: u8,
    /// Whether the value may be many frames.
    pub(super) clip: bool,
}

/// The number that `octets`, at most 8, spell, most significant first.
pub(super) fn number(octets: &[u8]) -> u64 {
    octets.iter().fold(0, |value, octet| value << 8 | u64::from(*octet))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_short_or_long() {
        let item = |length: &[u8]| Klv::read(&[&LABEL[..], &[0; 12], length].concat());
        assert_eq!(item(&[5]).map(|item| (item.head, item.len)), Some((17, 5)));
        assert_eq!(item(&[0x83, 1, 0, 0]).map(|item| (item.head, item.len)), Some((20, 1 << 16)));
        let most = [[0x88].as_slice(), &[0xff; 8]].concat();
        assert_eq!(item(&most).map(|item| (item.head, item.len)), Some((25, u64::MAX)));
        assert_eq!(item(&[0x80]), None);
        assert_eq!(item(&[0x89, 0, 0, 0, 0, 0, 0, 0, 0, 1]), None);
        assert_eq!(item(&[0x84, 0, 0]), None);
        assert_eq!(Klv::read(&[0; 17]), None);
    }
}
