//! Blocks: whose they are, when they are shown, and the frames laced together in one.
//!
//! # Reference
//! RFC 9559, 10 (block structure, lacing).

use super::ebml;

/// The most bytes of a block before its frames that are looked at.
pub(super) const LOOK: usize = 64 << 10;
/// Frames laced shorter than this are taken as one, lest a file be all extents.
const LEAST: u64 = 8;

/// What a block begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// The number of its track.
    pub(super) track: u64,
    /// Ticks after its cluster.
    pub(super) time: i16,
    lacing: u8,
    /// Bytes of all this.
    head: usize,
}

impl Block {
    /// Reads the beginning of a block; `None` if it is cut off.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (track, width) = ebml::number(bytes)?;
        let [high, low, flags] = *bytes.get(width..)?.first_chunk()?;
        let time = i16::from_be_bytes([high, low]);
        Some(Self { track: track?, time, lacing: flags >> 1 & 3, head: width + 3 })
    }

    /// Sets `sizes` to the lengths of its frames, the last first, without empty ones. `bytes` are the
    /// first of a block of `len`. Returns how many come before the frames.
    ///
    /// Where sizes make no sense, or frames need not be told `apart`, all there is is one frame.
    pub(super) fn frames(
        &self,
        bytes: &[u8],
        len: u64,
        apart: bool,
        sizes: &mut Vec<u64>,
    ) -> usize {
        sizes.clear();
        let after = bytes.get(self.head..).unwrap_or_default();
        let left = len.saturating_sub(self.head as u64);
        let head = self.lace(after, left, sizes).unwrap_or_else(|| {
            sizes.clear();
            0
        });
        let frames = left.saturating_sub(head as u64);
        let count = sizes.len() as u64;
        if count == 0 || !apart || frames / count < LEAST {
            sizes.clear();
            sizes.push(frames);
        }
        sizes.retain(|size| *size > 0);
        sizes.reverse();
        self.head + head
    }

    /// Reads the lengths of frames that have, with what is read here, `left` bytes in all; `None` if
    /// there are none or they make no sense. Returns how many bytes are read.
    fn lace(&self, bytes: &[u8], left: u64, sizes: &mut Vec<u64>) -> Option<usize> {
        let count = if self.lacing == 0 { return None } else { *bytes.first()? };
        let mut at = 1;
        let mut rest = left.checked_sub(1)?;
        if self.lacing == 2 {
            let count = u64::from(count) + 1;
            let each = (rest % count == 0).then_some(rest / count)?;
            sizes.extend((0..count).map(|_| each));
            return Some(at);
        }
        for _ in 0..count {
            let coded = bytes.get(at..)?;
            let (size, width) = match (self.lacing, sizes.last()) {
                (1, _) => xiph(coded)?,
                (_, None) => ebml::number(coded).and_then(|(size, width)| Some((size?, width)))?,
                (_, Some(last)) => difference(coded, *last)?,
            };
            sizes.push(size);
            at += width;
            rest = rest.checked_sub(width as u64)?.checked_sub(size)?;
        }
        sizes.push(rest);
        Some(at)
    }
}

/// A size as bytes to add up, the last less than 255, and how many they are.
fn xiph(bytes: &[u8]) -> Option<(u64, usize)> {
    let full = bytes.iter().take_while(|byte| **byte == 0xff).count();
    let last = bytes.get(full)?;
    Some((full as u64 * 255 + u64::from(*last), full + 1))
}

/// A size as what it is more than the one before, and its bytes.
fn difference(bytes: &[u8], last: u64) -> Option<(u64, usize)> {
    let (value, width) = ebml::number(bytes)?;
    let most = ebml::most(width);
    let size = last.checked_add(value.unwrap_or(most))?.checked_sub(most / 2)?;
    Some((size, width))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes before the frames and their lengths, the first first.
    fn frames(bytes: &[u8], len: u64, apart: bool) -> (usize, Vec<u64>) {
        let mut sizes = vec![1, 2];
        let head = Block::read(bytes).unwrap().frames(bytes, len, apart, &mut sizes);
        sizes.reverse();
        (head, sizes)
    }

    #[test]
    fn a_block_says_whose_it_is_and_when() {
        let block = Block::read(&[0x81, 0xff, 0xfe, 0x80]).unwrap();
        assert_eq!((block.track, block.time, block.lacing), (1, -2, 0));
        assert_eq!(Block::read(&[0x40, 0x81, 0, 1, 2]).unwrap().track, 0x81);
        assert_eq!(Block::read(&[0x81, 0, 1]), None);
        assert_eq!(Block::read(&[0xff, 0, 1, 0]), None);
        assert_eq!(frames(&[0x81, 0, 0, 0], 104, true), (4, vec![100]));
        assert_eq!(frames(&[0x81, 0, 0, 0], 4, true), (4, vec![]));
    }

    #[test]
    fn frames_are_laced_in_three_ways() {
        // 800, 500 and 1000 bytes, as in the specification.
        let xiph = [0x81, 0, 0, 2, 2, 255, 255, 255, 35, 255, 245];
        assert_eq!(frames(&xiph, 11 + 2300, true), (11, vec![800, 500, 1000]));
        let ebml = [0x81, 0, 0, 6, 2, 0x43, 0x20, 0x5e, 0xd3];
        assert_eq!(frames(&ebml, 9 + 2300, true), (9, vec![800, 500, 1000]));
        let fixed = [0x81, 0, 0, 4, 2];
        assert_eq!(frames(&fixed, 5 + 2400, true), (5, vec![800; 3]));
        assert_eq!(frames(&fixed, 5 + 2400, false), (5, vec![2400]));
    }

    #[test]
    fn senseless_lacing_leaves_one_frame() {
        assert_eq!(frames(&[0x81, 0, 0, 2, 2, 255, 255], 100, true), (4, vec![96]));
        assert_eq!(frames(&[0x81, 0, 0, 2, 1, 200], 100, true), (4, vec![96]));
        assert_eq!(frames(&[0x81, 0, 0, 6, 2, 0x81, 0x80], 100, true), (4, vec![96]));
        assert_eq!(frames(&[0x81, 0, 0, 4, 2], 100, true), (4, vec![96]));
        // Many frames of next to nothing.
        assert_eq!(frames(&[0x81, 0, 0, 4, 255], 5 + 512, true), (5, vec![512]));
        assert_eq!(frames(&[0x81, 0, 0, 4, 255], 5, true), (5, vec![]));
    }
}
