//! Groups: many small things in one record, so that a hundred documents share one zstd frame.
//!
//! A small thing gains nothing from a frame of its own and pays for a record header. In a group it
//! is compressed with its neighbours, which it resembles; reading one unpacks the group, which is
//! short. Ids of members are not written down: they are what their bytes hash to.

use super::record::RecordKind;
use super::{MAX_RAW_BYTES, PackFault, take};

/// Things up to this length are grouped; longer ones have a record of their own.
pub const MAX_MEMBER_BYTES: usize = 16 << 10;
/// A group of chunks or documents is written once they are this long together. Longer groups pack
/// better, and every read of one member pays for it: at this size about a third of a millisecond.
/// zstd has other tables for inputs up to this length, which pack worse at the same level.
pub const GROUP_BYTES: usize = 256 << 10;
/// The same for tree nodes, which are mostly ids: longer groups gain them little, and a diff reads a few
/// of them from many places.
pub const NODE_GROUP_BYTES: usize = 32 << 10;

/// The part of a pack that faults in this module name.
const PART: &str = "group";
/// Length of a member's line, in bytes.
const LINE_BYTES: usize = 5;

/// Where a member lies in the raw bytes of its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Member {
    /// Where its bytes begin.
    pub start: u32,
    /// How many they are, at least 1.
    pub len: u32,
}

impl Member {
    /// Returns its bytes within those of the group.
    pub fn of<'a>(&self, group: &'a [u8]) -> Option<&'a [u8]> {
        let start = usize::try_from(self.start).ok()?;
        group.get(start..)?.get(..usize::try_from(self.len).ok()?)
    }

    /// Its part of the `stored` bytes of a group of `raw` raw bytes. Parts of all members do not
    /// overlap; what is left over is the group's own.
    pub fn share(&self, stored: u64, raw: u32) -> u64 {
        let at = |offset: u64| stored * offset / u64::from(raw.max(1));
        let start = u64::from(self.start);
        at(start + u64::from(self.len)) - at(start)
    }

    /// As [`Member::share`], with its line, which stands apart from it: what a group would be shorter
    /// by without it.
    pub fn weight(&self, stored: u64, raw: u32) -> u64 {
        stored * (u64::from(self.len) + LINE_BYTES as u64) / u64::from(raw.max(1))
    }
}

/// Puts members together.
#[derive(Debug, Default)]
pub struct GroupBuilder {
    lines: Vec<(RecordKind, u32)>,
    bytes: Vec<u8>,
}

impl GroupBuilder {
    /// Adds a chunk or object of at most [`MAX_MEMBER_BYTES`]; says whether it was taken: not if it
    /// is empty, too long, or of another kind.
    pub fn add(&mut self, kind: RecordKind, raw: &[u8]) -> bool {
        let fits = !raw.is_empty() && raw.len() <= MAX_MEMBER_BYTES && may_be_member(kind);
        if let (true, Ok(len)) = (fits, u32::try_from(raw.len())) {
            self.lines.push((kind, len));
            self.bytes.extend_from_slice(raw);
        }
        fits
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// How long the members are together, in bytes.
    pub fn member_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Takes back the member added last.
    pub fn pop(&mut self) {
        if let Some((_, len)) = self.lines.pop() {
            let len = usize::try_from(len).unwrap_or_default();
            self.bytes.truncate(self.bytes.len().saturating_sub(len));
        }
    }

    /// Begins another group, keeping the memory.
    pub fn clear(&mut self) {
        self.lines.clear();
        self.bytes.clear();
    }

    /// Returns the raw bytes of the group and where its members lie in them, in the order they were
    /// added.
    pub fn encode(&self) -> (Vec<u8>, Vec<Member>) {
        let mut raw = Vec::with_capacity(4 + self.lines.len() * LINE_BYTES + self.bytes.len());
        // Whoever fills a group writes it long before it has 4 GiB of lines or bytes.
        raw.extend(u32::try_from(self.lines.len()).unwrap_or(u32::MAX).to_le_bytes());
        for (kind, len) in &self.lines {
            raw.push(*kind as u8);
            raw.extend(len.to_le_bytes());
        }
        let mut start = u32::try_from(raw.len()).unwrap_or(u32::MAX);
        raw.extend(&self.bytes);
        let place = |(_, len): &(RecordKind, u32)| {
            let member = Member { start, len: *len };
            start = start.saturating_add(*len);
            member
        };
        (raw, self.lines.iter().map(place).collect())
    }
}

fn may_be_member(kind: RecordKind) -> bool {
    matches!(kind, RecordKind::Chunk | RecordKind::Object)
}

/// Reads which members the raw bytes of a group hold, in order.
///
/// # Errors
/// A fault unless the bytes are those of a group to the last: members of allowed kinds and lengths,
/// one after the other, two or more.
pub fn decode_group(raw: &[u8]) -> Result<Vec<(RecordKind, Member)>, PackFault> {
    let mut rest = raw;
    let count = u32::from_le_bytes(take(&mut rest, PART)?);
    let count = usize::try_from(count).map_err(|_| PackFault::Rule(PART))?;
    let lines_len = count.checked_mul(LINE_BYTES).ok_or(PackFault::Rule(PART))?;
    let (mut lines, bytes) = rest.split_at_checked(lines_len).ok_or(PackFault::Torn(PART))?;
    let too_long = || PackFault::Rule(PART);
    let mut start = u32::try_from(raw.len() - bytes.len()).map_err(|_| too_long())?;
    // The lines were measured against the bytes in hand, so `count` cannot ask for more than that.
    let mut members = Vec::with_capacity(count);
    while !lines.is_empty() {
        let [kind] = take::<1>(&mut lines, PART)?;
        let len = u32::from_le_bytes(take(&mut lines, PART)?);
        let kind = RecordKind::from_byte(kind).filter(|kind| may_be_member(*kind));
        let fits = usize::try_from(len).is_ok_and(|len| (1..=MAX_MEMBER_BYTES).contains(&len));
        let kind = kind.filter(|_| fits).ok_or(PackFault::Rule(PART))?;
        members.push((kind, Member { start, len }));
        start = start.checked_add(len).filter(|end| *end <= MAX_RAW_BYTES).ok_or_else(too_long)?;
    }
    if usize::try_from(start) == Ok(raw.len()) && members.len() > 1 {
        Ok(members)
    } else {
        Err(PackFault::Rule(PART))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(raws: &[&[u8]]) -> (Vec<u8>, Vec<Member>) {
        let mut builder = GroupBuilder::default();
        for raw in raws {
            assert!(builder.add(RecordKind::Chunk, raw));
        }
        builder.encode()
    }

    #[test]
    fn members_read_back_in_order() {
        let raws: [&[u8]; 3] = [b"one", b"two and more", b"3"];
        let (raw, members) = built(&raws);
        let decoded = decode_group(&raw).unwrap();
        let found: Vec<_> = decoded.iter().map(|(_, member)| member.of(&raw).unwrap()).collect();
        assert_eq!(found, raws);
        assert_eq!(decoded.iter().map(|(_, member)| *member).collect::<Vec<_>>(), members);
        assert!(decoded.iter().all(|(kind, _)| *kind == RecordKind::Chunk));
    }

    #[test]
    fn what_is_no_group_is_refused() {
        let (raw, _) = built(&[b"one", b"two"]);
        for len in 0..raw.len() {
            assert!(decode_group(&raw[..len]).is_err(), "cut at {len}");
        }
        let mut longer = raw.clone();
        longer.push(0);
        assert!(decode_group(&longer).is_err(), "bytes left over");
        let (one, _) = built(&[b"alone"]);
        assert!(decode_group(&one).is_err(), "a group of one is a record too many");
        for (at, byte) in [(0, 200), (3, 255), (4, 3), (4, 9), (5, 0), (7, 255)] {
            let mut bad = raw.clone();
            bad[at] = byte;
            assert!(decode_group(&bad).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_member_taken_back_leaves_no_trace() {
        let (expected, _) = built(&[b"one", b"two"]);
        let mut builder = GroupBuilder::default();
        for raw in [b"one", b"two", b"six"] {
            builder.add(RecordKind::Chunk, raw);
        }
        builder.pop();
        assert_eq!(builder.encode().0, expected);
    }

    #[test]
    fn nothing_else_becomes_a_member() {
        let mut builder = GroupBuilder::default();
        assert!(!builder.add(RecordKind::Chunk, b""));
        assert!(!builder.add(RecordKind::Chunk, &vec![0; MAX_MEMBER_BYTES + 1]));
        assert!(!builder.add(RecordKind::Operation, b"x"));
        assert!(!builder.add(RecordKind::Group, b"x"));
        assert!(builder.is_empty());
    }

    #[test]
    fn shares_never_add_up_to_more_than_the_record() {
        let (raw, members) = built(&[b"one", b"two and more", b"3", &[7; 1000]]);
        let raw_len = u32::try_from(raw.len()).unwrap();
        for stored in [1, 40, 977, 1_000_003] {
            let sum: u64 = members.iter().map(|member| member.share(stored, raw_len)).sum();
            assert!(sum <= stored, "{sum} of {stored}");
        }
    }
}
