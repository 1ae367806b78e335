//! Samples of all tracks, from tables and from fragments, in the order of the file.
//!
//! Chunks of a track may lie in any order. Of samples that overlap, those that begin in one already
//! passed are left out.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::sync::Arc;

use super::boxes::u32_at;
use super::entry::Framing;
use super::moov::Track;
use super::table::Cursor;

/// The most chunks that are sorted: those of tracks where they are out of order.
const MAX_SORTED: usize = 1 << 18;
/// The most runs of samples of fragments that wait for their place in the file.
const MAX_RUNS: usize = 1 << 16;
/// The most bytes of fragments that wait.
const MAX_WAITING: usize = 64 << 20;

/// A sample, or, of a track without units, a run of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) at: u64,
    /// At least 1.
    pub(super) len: u64,
    pub(super) track: usize,
    pub(super) time: i64,
}

/// Samples of one track.
#[derive(Debug)]
struct Walk {
    next: Span,
    steps: Steps,
}

#[derive(Debug)]
enum Steps {
    Chunks(Chunks),
    Run(Run),
}

/// The rest of the chunks of a track.
#[derive(Debug)]
struct Chunks {
    cursor: Cursor,
    /// What is left of the chunk at hand: where its next sample is, and how many there are.
    at: u64,
    left: u64,
    /// The chunks in order, last one first, if they are out of order in the tables.
    sorted: Option<Vec<(u64, Cursor)>>,
}

/// The rest of a run of samples of a fragment.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) track: usize,
    pub(super) at: u64,
    pub(super) left: u64,
    /// When the next sample is decoded.
    pub(super) decoded: i64,
    /// Duration and length of samples, where entries do not say.
    pub(super) defaults: (u32, u32),
    /// The fragment, and where the next entry begins in it.
    pub(super) bytes: Arc<[u8]>,
    pub(super) entry: usize,
    /// Where an entry has duration, length and shift.
    pub(super) fields: [Option<u8>; 3],
    /// Bytes of an entry.
    pub(super) width: u8,
}

/// All samples to come.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// The body of `moov`.
    moov: Vec<u8>,
    heap: BinaryHeap<Walk>,
    runs: usize,
    waiting: usize,
}

impl Queue {
    /// Begins with the samples that the tables of `tracks` tell of, which lie in `moov`.
    pub(super) fn new(moov: Vec<u8>, tracks: &[Track]) -> Self {
        let mut queue = Self { moov, ..Self::default() };
        let mut sortable = MAX_SORTED;
        for (index, track) in tracks.iter().enumerate().filter(|(_, track)| track.tables.any()) {
            let mut chunks = Chunks::new(&queue.moov, track, &mut sortable);
            let next = chunks.next(&queue.moov, track, index, 0);
            queue.heap.extend(next.map(|next| Walk { next, steps: Steps::Chunks(chunks) }));
        }
        queue
    }

    /// Adds runs of a fragment of `len` bytes. If too much waits that never comes, it is dropped.
    pub(super) fn add(&mut self, runs: Vec<Run>, len: usize, tracks: &[Track]) {
        if self.runs == 0 {
            self.waiting = 0;
        }
        self.waiting = self.waiting.saturating_add(len);
        if self.runs.saturating_add(runs.len()) > MAX_RUNS || self.waiting > MAX_WAITING {
            self.heap.retain(|walk| matches!(walk.steps, Steps::Chunks(_)));
            (self.runs, self.waiting) = (0, len);
        }
        for mut run in runs.into_iter().take(MAX_RUNS) {
            if let Some(next) = run.next(tracks, 0) {
                self.heap.push(Walk { next, steps: Steps::Run(run) });
                self.runs += 1;
            }
        }
    }

    /// The next sample that begins at `from` or later.
    pub(super) fn next(&mut self, tracks: &[Track], from: u64) -> Option<Span> {
        loop {
            let mut walk = self.heap.peek_mut()?;
            if walk.next.at >= from {
                return Some(walk.next);
            }
            let index = walk.next.track;
            let next = match &mut walk.steps {
                Steps::Chunks(chunks) => {
                    tracks.get(index).and_then(|track| chunks.next(&self.moov, track, index, from))
                }
                Steps::Run(run) => run.next(tracks, from),
            };
            if let Some(next) = next {
                walk.next = next;
            } else if let Steps::Run(_) = PeekMut::pop(walk).steps {
                self.runs = self.runs.saturating_sub(1);
            }
        }
    }
}

impl Chunks {
    /// Sorts the chunks if they are out of order and not more than `sortable`.
    fn new(moov: &[u8], track: &Track, sortable: &mut usize) -> Self {
        let tables = &track.tables;
        let offsets = || (0..tables.chunks()).map_while(|index| tables.offset(moov, index));
        let mut sorted = None;
        if let Some(left) = sortable.checked_sub(tables.chunks()).filter(|_| !offsets().is_sorted())
        {
            *sortable = left;
            let (mut cursor, mut chunks) = (Cursor::default(), Vec::new());
            loop {
                let before = cursor;
                let Some((at, samples)) = tables.next_chunk(moov, &mut cursor) else { break };
                chunks.push((at, before));
                tables.skip(moov, &mut cursor, samples);
            }
            chunks.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
            sorted = Some(chunks);
        }
        Self { cursor: Cursor::default(), at: 0, left: 0, sorted }
    }

    fn next(&mut self, moov: &[u8], track: &Track, index: usize, from: u64) -> Option<Span> {
        let tables = &track.tables;
        loop {
            while self.left == 0 {
                if let Some(sorted) = &mut self.sorted {
                    self.cursor = sorted.pop()?.1;
                }
                (self.at, self.left) = tables.next_chunk(moov, &mut self.cursor)?;
            }
            let fixed = tables.fixed().filter(|_| track.framing == Framing::Raw || self.at < from);
            if let Some(fixed) = fixed {
                // All of the chunk at once. One that overlaps another is left out as a whole: its samples
                // cost no bytes of a table, so passing over them one by one could go on for ever.
                let (at, len) = (self.at, self.raw(track, fixed));
                let time = tables.time(moov, &self.cursor);
                tables.skip(moov, &mut self.cursor, self.left);
                self.left = 0;
                if at >= from && len > 0 {
                    return Some(Span { at, len, track: index, time });
                }
                continue;
            }
            let (len, time) = tables.next_sample(moov, &mut self.cursor);
            let at = self.at;
            self.left -= 1;
            self.at = at.saturating_add(len);
            if at >= from && len > 0 {
                return Some(Span { at, len, track: index, time });
            }
        }
    }

    /// The bytes of what is left of a chunk of samples of `fixed` bytes. Old files say 1 for sound.
    fn raw(&self, track: &Track, fixed: u32) -> u64 {
        match track.packet {
            (samples @ 1.., bytes @ 1..) if fixed == 1 => {
                (self.left / u64::from(samples)).saturating_mul(u64::from(bytes))
            }
            _ => self.left.saturating_mul(u64::from(fixed)),
        }
    }
}

impl Run {
    /// The bytes of all samples.
    pub(super) fn len(&self) -> u64 {
        if self.width == 0 || self.fields[1].is_none() {
            return self.left.saturating_mul(u64::from(self.defaults.1));
        }
        let mut run = self.clone();
        let mut len = 0_u64;
        while run.left > 0 {
            len = len.saturating_add(run.take().0);
        }
        len
    }

    /// Takes a sample: its length and when it is shown.
    fn take(&mut self) -> (u64, i64) {
        let field = |index: usize| {
            let offset = usize::from((*self.fields.get(index)?)?);
            u32_at(&self.bytes, self.entry.checked_add(offset)?)
        };
        let duration = field(0).unwrap_or(self.defaults.0);
        let len = field(1).unwrap_or(self.defaults.1);
        let shift = field(2).unwrap_or_default().cast_signed();
        let time = self.decoded.wrapping_add(i64::from(shift));
        self.entry = self.entry.saturating_add(usize::from(self.width));
        self.decoded = self.decoded.wrapping_add(i64::from(duration));
        self.left = self.left.saturating_sub(1);
        self.at = self.at.saturating_add(u64::from(len));
        (u64::from(len), time)
    }

    /// Takes all samples, to tell when what follows them is decoded.
    pub(super) fn ends(mut self) -> i64 {
        if self.width == 0 || self.fields[0].is_none() {
            return self
                .decoded
                .wrapping_add(self.left.cast_signed().wrapping_mul(i64::from(self.defaults.0)));
        }
        while self.left > 0 {
            self.take();
        }
        self.decoded
    }

    fn next(&mut self, tracks: &[Track], from: u64) -> Option<Span> {
        if self.width == 0 {
            // As with chunks, what overlaps is left out as a whole, and what has no units taken so.
            let (at, time) = (self.at, self.decoded);
            if at < from || self.defaults.1 == 0 {
                return None;
            }
            if tracks.get(self.track)?.framing == Framing::Raw {
                let len = self.len();
                self.left = 0;
                return (len > 0).then_some(Span { at, len, track: self.track, time });
            }
        }
        while self.left > 0 {
            let at = self.at;
            let (len, time) = self.take();
            if at >= from && len > 0 {
                return Some(Span { at, len, track: self.track, time });
            }
        }
        None
    }
}

impl Ord for Walk {
    /// The greatest is the first in the file; of several at one place, that of the first track.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.next.at, other.next.track).cmp(&(self.next.at, self.next.track))
    }
}

impl PartialOrd for Walk {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Walk {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Walk {}
