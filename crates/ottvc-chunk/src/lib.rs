//! Where to cut a byte stream: content decides, so that equal runs of bytes become equal chunks. Files with
//! tracks are taken apart first, and their streams are cut ([`track`]).
//!
//! Cut points depend on the rule and the bytes since the last cut alone: never on how a stream is
//! read, nor on what lies past the longest chunk there can be. They are part of the format, since a
//! chunk is found again only where it is cut again; golden tests hold them. Reading is the caller's:
//! this crate is handed a [`Read`] and opens nothing.

pub mod track;

use std::io::{self, Read};

use fastcdc::v2020::{
    AVERAGE_MAX, AVERAGE_MIN, MAXIMUM_MAX, MAXIMUM_MIN, MINIMUM_MAX, MINIMUM_MIN, Normalization,
    cut, select_masks,
};
use ottvc_object::manifest::CutRule;

/// Why a stream cannot be cut.
#[derive(Debug, thiserror::Error)]
pub enum ChunkError {
    /// Sizes that the cutting rule has no cut points for.
    #[error("cannot cut with sizes {min}, {avg}, {max}: they must be even, in order and in bounds")]
    BadRule {
        /// The least length of a chunk.
        min: u32,
        /// The length aimed at.
        avg: u32,
        /// The greatest length.
        max: u32,
    },
    /// A map, or a table of checkpoints, that no writer makes.
    #[error("map is malformed at byte {at}: {why}")]
    BadMap {
        /// Where, in bytes from the start of the map or of the table.
        at: u64,
        /// What rule it breaks.
        why: &'static str,
    },
}

impl ChunkError {
    /// Returns the stable code shown at the edges; it is never renamed or given a new meaning.
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadRule { .. } => "chunk.bad_rule",
            Self::BadMap { .. } => "chunk.bad_map",
        }
    }
}

/// How much of a stream is asked for at least.
const LEAST_READ: usize = 64 << 10;

/// Finds cut points by one rule.
///
/// # Reference
/// Xia et al., *The Design of Fast Content-Defined Chunking for Data Deduplication Based Storage
/// Systems*, IEEE TPDS 2020, with normalisation level 1.
#[derive(Clone, Debug)]
pub struct Cutter {
    min: usize,
    avg: usize,
    max: usize,
    /// Applied before the average length (strict) and after it (loose).
    masks: (u64, u64),
}

impl Cutter {
    /// Takes a rule.
    ///
    /// # Errors
    /// [`ChunkError::BadRule`] for sizes out of order, out of the bounds of FastCDC, or odd: it looks
    /// at two bytes at a time, and an odd size would move cut points by one.
    pub fn new(rule: CutRule) -> Result<Self, ChunkError> {
        let CutRule::FastCdc { min, avg, max } = rule;
        let bad = ChunkError::BadRule { min, avg, max };
        let sizes = [min, avg, max].map(|size| usize::try_from(size).unwrap_or(usize::MAX));
        let even = sizes.iter().all(|size| size.is_multiple_of(2));
        let [min, avg, max] = sizes;
        let bounded = (MINIMUM_MIN..=MINIMUM_MAX).contains(&min)
            && (AVERAGE_MIN..=AVERAGE_MAX).contains(&avg)
            && (MAXIMUM_MIN..=MAXIMUM_MAX).contains(&max);
        if !even || !bounded || min > avg || avg > max {
            return Err(bad);
        }
        Ok(Self { min, avg, max, masks: select_masks(avg, Normalization::Level1) })
    }

    /// The length no chunk exceeds.
    pub fn max(&self) -> usize {
        self.max
    }

    /// Returns the length of the first chunk of `window`, at least 1.
    ///
    /// `None` if `window` is empty, or too short to tell: no cut point lies before its end, it is
    /// shorter than [`Cutter::max`] and, by `ends`, not the end of the stream.
    pub fn cut(&self, window: &[u8], ends: bool) -> Option<usize> {
        if window.is_empty() {
            return None;
        }
        let (strict, loose) = self.masks;
        // The last two masks are for the first byte of each pair, whose hash is one bit ahead.
        let (_, len) =
            cut(window, self.min, self.avg, self.max, strict, loose, strict << 1, loose << 1);
        (len < window.len() || len == self.max || ends).then_some(len)
    }
}

/// Whole chunks of a stream, side by side in one buffer that is used again and again.
#[derive(Debug, Default)]
pub struct Block {
    bytes: Vec<u8>,
    /// Where each chunk ends in `bytes`.
    ends: Vec<usize>,
}

impl Block {
    /// The chunks, in order.
    pub fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| self.bytes.get(start..*end).unwrap_or_default())
    }
    /// Makes room for `len` bytes. Never cleared, so that a block used again costs no zeroing.
    fn grow(&mut self, len: usize) {
        if self.bytes.len() < len {
            self.bytes.resize(len, 0);
        }
    }
    /// All bytes of its chunks.
    pub fn bytes(&self) -> &[u8] {
        let end = self.ends.last().copied().unwrap_or_default();
        self.bytes.get(..end).unwrap_or_default()
    }
}

/// Cuts a stream, block by block, in the memory of the blocks it is handed.
#[derive(Debug)]
pub struct Splitter {
    cutter: Cutter,
    block_bytes: usize,
    /// What was read after the last cut.
    rest: Vec<u8>,
    ended: bool,
}

impl Splitter {
    /// Cuts with `cutter` into blocks of up to `block_bytes`, at least twice the longest chunk.
    pub fn new(cutter: Cutter, block_bytes: usize) -> Self {
        let block_bytes = block_bytes.max(cutter.max() * 2);
        Self { cutter, block_bytes, rest: Vec::new(), ended: false }
    }

    /// The most bytes a block holds.
    pub fn block_bytes(&self) -> usize {
        self.block_bytes
    }

    /// Whether the stream has ended: no block comes after the last one made.
    pub fn ended(&self) -> bool {
        self.ended && self.rest.is_empty()
    }

    /// Refills `block` with the next chunks of `reader`, at least one; `false` at the end, the block
    /// then being empty.
    ///
    /// # Errors
    /// What `reader` fails with; the splitter is of no more use then.
    pub fn next(&mut self, reader: &mut dyn Read, block: &mut Block) -> io::Result<bool> {
        block.ends.clear();
        let mut filled = self.rest.len();
        block.grow(filled);
        if let Some(start) = block.bytes.get_mut(..filled) {
            start.copy_from_slice(&self.rest);
        }
        while !self.ended && filled < self.block_bytes {
            // A short file needs a short block; a long one soon fills whole blocks in one read.
            if filled == block.bytes.len() {
                block.grow((2 * filled).max(LEAST_READ).min(self.block_bytes));
            }
            let end = block.bytes.len().min(self.block_bytes);
            let Some(room) = block.bytes.get_mut(filled..end) else { break };
            match reader.read(room) {
                Ok(0) => self.ended = true,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let mut start = 0;
        while let Some(window) = block.bytes.get(start..filled)
            && let Some(len) = self.cutter.cut(window, self.ended)
        {
            start += len;
            block.ends.push(start);
        }
        self.rest.clear();
        self.rest.extend_from_slice(block.bytes.get(start..filled).unwrap_or_default());
        Ok(!block.ends.is_empty())
    }

    /// Makes ready for another stream, keeping the memory.
    pub fn reset(&mut self) {
        self.rest.clear();
        self.ended = false;
    }
}
