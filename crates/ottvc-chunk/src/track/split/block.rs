//! Blocks: a run of the file and chunks.

use std::ops::Range;

/// Chunks of at least so many bytes are taken over in their buffer, not copied.
const TAKE_OVER: usize = 256 << 10;
/// How many buffers a block keeps for their memory.
const SPARE: usize = 4;

/// Which list of chunks a chunk belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lane {
    /// That of the stream with this index.
    Stream(u16),
    /// The glue.
    Glue,
    /// The map.
    Map,
}

/// A chunk in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrackChunk<'b> {
    /// Where it belongs; chunks of a lane come in order.
    pub lane: Lane,
    /// When the first unit that begins in it is shown, in ticks of its stream, if one does.
    pub time: Option<i64>,
    /// Its bytes.
    pub bytes: &'b [u8],
}

/// Bytes of a file and whole chunks, in memory that is used again and again.
#[derive(Debug, Default)]
pub struct TrackBlock {
    /// Never cleared, so that a block used again costs no zeroing.
    raw: Vec<u8>,
    proved: usize,
    /// Chunks that were copied, side by side.
    copied: Vec<u8>,
    /// Buffers that were taken over with chunks in them, and the memory of others.
    taken: Vec<Vec<u8>>,
    spare: Vec<Vec<u8>>,
    chunks: Vec<Placed>,
}

/// A chunk, and where it lies.
#[derive(Debug)]
struct Placed {
    lane: Lane,
    time: Option<i64>,
    /// Which of the buffers taken over; none for the copied ones.
    buffer: Option<usize>,
    range: Range<usize>,
}

impl TrackBlock {
    /// The bytes of the file: those of all blocks, one after the other, are the file. All of them have
    /// been proved to come back from chunks of this block, of earlier and of later ones.
    pub fn file_bytes(&self) -> &[u8] {
        self.raw(self.proved)
    }

    /// The chunks.
    pub fn chunks(&self) -> impl Iterator<Item = TrackChunk<'_>> {
        self.chunks.iter().map(|Placed { lane, time, buffer, range }| {
            let bytes = match buffer {
                Some(buffer) => self.taken.get(*buffer),
                None => Some(&self.copied),
            };
            let bytes = bytes.and_then(|bytes| bytes.get(range.clone())).unwrap_or_default();
            TrackChunk { lane: *lane, time: *time, bytes }
        })
    }

    /// Forgets what is in it, but for the file's bytes.
    pub(super) fn clear(&mut self) {
        self.proved = 0;
        self.copied.clear();
        self.spare.append(&mut self.taken);
        self.spare.truncate(SPARE);
        self.chunks.clear();
    }

    /// Room for `len` bytes of the file.
    pub(super) fn room(&mut self, len: usize) -> &mut [u8] {
        if self.raw.len() < len {
            self.raw.resize(len, 0);
        }
        self.raw.get_mut(..len).unwrap_or_default()
    }

    /// The first `len` bytes of the file in it.
    pub(super) fn raw(&self, len: usize) -> &[u8] {
        self.raw.get(..len).unwrap_or_default()
    }

    /// Says that so many bytes are proved.
    pub(super) fn prove(&mut self, len: usize) {
        self.proved = len;
    }

    /// Adds the chunks at the front of `bytes`, side by side where `cuts` says; what lies after them is left
    /// in `bytes`. The shorter of the two is copied.
    pub(super) fn push(
        &mut self,
        lane: Lane,
        bytes: &mut Vec<u8>,
        cuts: &[(Option<i64>, Range<usize>)],
    ) {
        let Some(end) = cuts.last().map(|(_, range)| range.end) else { return };
        let (whole, rest) = bytes.split_at(end.min(bytes.len()));
        let (buffer, before) = if whole.len() > rest.len() && whole.len() >= TAKE_OVER {
            let mut memory = self.spare.pop().unwrap_or_default();
            memory.clear();
            memory.extend_from_slice(rest);
            self.taken.push(std::mem::replace(bytes, memory));
            (Some(self.taken.len() - 1), 0)
        } else {
            let before = self.copied.len();
            self.copied.extend_from_slice(whole);
            bytes.drain(..end);
            (None, before)
        };
        self.chunks.extend(cuts.iter().map(|(time, range)| {
            let range = before + range.start..before + range.end;
            Placed { lane, time: *time, buffer, range }
        }));
    }
}
