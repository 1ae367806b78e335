//! Files with tracks, cut into the chunks of their streams, of their glue and of their map.
//!
//! What leaves has been proved: the map written is run, as a reader will run it, over the very bytes that
//! become chunks, and what it makes is compared with the file. A parser that is wrong, stuck or
//! panics, and a file that would gain nothing, end in a [`Refusal`]: the file is then cut as
//! any other. Memory is bounded, whatever a file holds and however long it is.

mod block;
mod lane;
mod proof;
mod recipe;

pub use block::{Lane, TrackBlock, TrackChunk};
pub use recipe::{LaneTotal, Recipe, Refusal, StreamTotal};

use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::cut::{StreamCutter, TrackRule};
use super::map::MapWriter;
use super::{Container, Extent, MAX_STREAMS, MIN_WINDOW, Parser, Stream, Window};
use crate::ChunkError;
use lane::Buffer;
use proof::Proof;

/// How much of a file is worth to be read at a time, in bytes.
pub const TRACK_BLOCK: usize = 2 << 20;
/// The most bytes of streams, glue and map that wait to be cut.
const MAX_WAITING: usize = 64 << 20;
/// How much is taken before it is proved, in bytes: few enough to be in the processor's caches still.
const STRETCH: u64 = 256 << 10;
/// How often a parser may be asked for one block.
const MAX_CALLS: usize = 64;
/// Bytes after which a file that is mostly glue is given up.
const EARLY: u64 = 64 << 20;
/// The least bytes of extents on average, and how many extents may be there before that counts.
const LEAST_EXTENT: u64 = 64;
const FREE_EXTENTS: u64 = 4096;
/// The least bytes of chunks on average, and how many chunks may be there before that counts.
const LEAST_CHUNK: u64 = 4096;
const FREE_CHUNKS: u64 = 64;

/// Cuts a file by its tracks, block by block, in the memory of the blocks it is handed.
#[derive(Debug)]
pub struct TrackSplitter {
    parser: Box<dyn Parser>,
    container: Container,
    rule: TrackRule,
    len: u64,
    block_bytes: usize,
    /// Bytes of the file that were read, that the parser is done with, and that are proved.
    read: u64,
    parsed: u64,
    /// What was read and is not proved.
    rest: Vec<u8>,
    extents: Vec<Extent>,
    writer: MapWriter,
    streams: Vec<Stream>,
    lanes: Vec<Buffer>,
    glue: Buffer,
    map: Buffer,
    proof: Proof,
    /// Extents so far, and their bytes.
    counted: (u64, u64),
    refusal: Option<Refusal>,
}

impl TrackSplitter {
    /// Cuts a file of `len` bytes that `parser` reads, some `block_bytes` at a time, twice
    /// [`MIN_WINDOW`] at least.
    ///
    /// # Errors
    /// [`ChunkError::BadRule`] for a rule without cut points.
    pub fn new(
        parser: Box<dyn Parser>,
        len: u64,
        rule: TrackRule,
        block_bytes: usize,
    ) -> Result<Self, ChunkError> {
        let container = parser.container();
        Ok(Self {
            parser,
            container,
            rule,
            len,
            // Each block then gets a parser on by a window at least, or it is stuck.
            block_bytes: block_bytes.max(2 * MIN_WINDOW),
            read: 0,
            parsed: 0,
            rest: Vec::new(),
            extents: Vec::new(),
            writer: MapWriter::new(container),
            streams: Vec::new(),
            lanes: Vec::new(),
            glue: Buffer::new(StreamCutter::of_glue(&rule)?),
            map: Buffer::new(StreamCutter::of_glue(&rule)?),
            proof: Proof::default(),
            counted: (0, 0),
            refusal: None,
        })
    }

    /// Refills `block` with the next bytes of `reader` that are proved, and the chunks that are whole
    /// now, if any; `false` at the end, or if the file is refused, the block then being empty.
    /// What `reader` has past the file's length is not read.
    ///
    /// # Errors
    /// What `reader` fails with; the splitter is of no more use then.
    pub fn next(&mut self, reader: &mut dyn Read, block: &mut TrackBlock) -> io::Result<bool> {
        block.clear();
        if self.refusal.is_some() || self.proof.at().out == self.len {
            return Ok(false);
        }
        let filled = self.fill(reader, block)?;
        if let Err(refusal) = self.work(filled, block) {
            self.refusal = Some(refusal);
            block.clear();
        }
        Ok(self.refusal.is_none())
    }

    /// Returns how the file is rebuilt, or why it is not worth it. To be called after the last block.
    ///
    /// # Errors
    /// The [`Refusal`]; all chunks that were handed out are then of no use.
    pub fn finish(self) -> Result<Recipe, Refusal> {
        if let Some(refusal) = self.refusal {
            return Err(refusal);
        }
        let (glue, map) = (self.glue.total(), self.map.total());
        let at = self.proof.at();
        let whole = at.out == self.len && at.glue == glue.bytes && at.op == map.bytes;
        if !whole || self.lanes.iter().any(|lane| lane.waiting() > 0) {
            return Err(Refusal::Unfinished { at: at.out, len: self.len });
        }
        if self.counted.0 == 0 {
            return Err(Refusal::NoTracks);
        }
        let most = match self.container {
            // Tables, arrival times and fill come again and again; compressed, little is left of them.
            Container::Ts { .. } | Container::Mxf => self.len / 8,
            _ => self.len / 20,
        };
        if glue.bytes + map.bytes > most {
            return Err(Refusal::Glue { glue: glue.bytes + map.bytes, of: self.len });
        }
        let totals = self.lanes.iter().map(Buffer::total);
        let streams = self.streams.into_iter().zip(totals);
        Ok(Recipe {
            container: self.container,
            rule: self.rule,
            len: self.len,
            streams: streams.map(|(stream, total)| StreamTotal { stream, total }).collect(),
            glue,
            map,
            checkpoints: self.proof.into_checkpoints(),
        })
    }

    /// Fills the file's bytes of `block`: what is not proved, then what is read; returns how many.
    fn fill(&mut self, reader: &mut dyn Read, block: &mut TrackBlock) -> io::Result<usize> {
        let mut filled = self.rest.len();
        let unparsed = usize::try_from(self.read - self.parsed).unwrap_or(usize::MAX);
        let left = usize::try_from(self.len - self.read).unwrap_or(usize::MAX);
        let end = filled.saturating_add(self.block_bytes.saturating_sub(unparsed).min(left));
        let room = block.room(end);
        if let Some(front) = room.get_mut(..filled) {
            front.copy_from_slice(&self.rest);
        }
        while let Some(room) = room.get_mut(filled..).filter(|room| !room.is_empty()) {
            match reader.read(room) {
                Ok(0) => break,
                Ok(read) => {
                    filled += read;
                    self.read += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    /// Parses, proves and cuts the bytes of `block`, of which `filled` are there.
    fn work(&mut self, filled: usize, block: &mut TrackBlock) -> Result<(), Refusal> {
        let start = self.proof.at().out;
        let raw = block.raw(filled);
        let behind = |at: u64| usize::try_from(at - start).unwrap_or(usize::MAX);
        let ends = self.read == self.len;
        if !ends && raw.len() - behind(self.parsed) < self.block_bytes {
            return Err(Refusal::Unfinished { at: self.read, len: self.len });
        }
        for call in 0.. {
            let window = raw.get(behind(self.parsed)..).unwrap_or_default();
            if window.is_empty() || (window.len() < MIN_WINDOW && !ends) {
                break;
            }
            if call == MAX_CALLS {
                return Err(Refusal::Stuck { at: self.parsed });
            }
            let done = self.parse(window, ends)?;
            self.take(raw, start, done)?;
        }
        if ends {
            self.writer.finish(&mut self.map.bytes, &mut self.glue.bytes);
        }
        self.prove(raw, start)?;
        let proved = behind(self.proof.at().out);
        if ends && self.proof.at().out != self.len {
            return Err(Refusal::Differs { at: self.proof.at().out });
        }
        self.rest.clear();
        self.rest.extend_from_slice(raw.get(proved..).unwrap_or_default());
        block.prove(proved);
        self.cut(ends, block);
        self.limits()
    }

    /// Has the parser find the extents in `window`; returns how many of its bytes it is done with.
    fn parse(&mut self, window: &[u8], ends: bool) -> Result<usize, Refusal> {
        let at = self.parsed;
        let (parser, extents, known) = (&mut self.parser, &mut self.extents, self.streams.len());
        extents.clear();
        // A parser that panicked is not asked again.
        let parsed = catch_unwind(AssertUnwindSafe(|| {
            let done = parser.parse(Window { at, bytes: window, ends }, extents);
            (done, parser.streams().get(known..).unwrap_or_default().to_vec())
        }));
        let (done, new) = parsed.map_err(|_| Refusal::Panicked { at })?;
        let done = window.get(..done).filter(|done| !done.is_empty());
        let done = done.ok_or(Refusal::Stuck { at })?;
        if known + new.len() > MAX_STREAMS {
            return Err(Refusal::Streams { most: MAX_STREAMS });
        }
        for stream in new {
            let cutter = StreamCutter::of(&self.rule, &stream).map_err(|_| Refusal::Rule)?;
            self.lanes.push(Buffer::new(cutter));
            self.streams.push(stream);
        }
        // The most there can be, before any of it is kept.
        let most = done.len() as u64 / LEAST_EXTENT * 4 + FREE_EXTENTS;
        if extents.len() as u64 > most {
            return Err(Refusal::SmallExtents { least: LEAST_EXTENT });
        }
        if !extents.is_sorted_by_key(|extent| extent.offset) {
            extents.sort_by_key(|extent| extent.offset);
        }
        Ok(done.len())
    }

    /// Takes the next `len` bytes after those taken, out of `raw`, which begins at byte `start` of the
    /// file: extents go to their streams, the rest is glue. What overlaps, goes out of bounds or
    /// names no stream is glue as well.
    fn take(&mut self, raw: &[u8], start: u64, len: usize) -> Result<(), Refusal> {
        let (mut tried, end) = (self.parsed, self.parsed + len as u64);
        let slice = |from: u64, to: u64| {
            let place = |at: u64| usize::try_from(at.checked_sub(start)?).ok();
            raw.get(place(from)?..place(to)?)
        };
        let extents = std::mem::take(&mut self.extents);
        for extent in &extents {
            let ends = extent.offset.checked_add(u64::from(extent.len)).filter(|ends| *ends <= end);
            let (Some(ends), Some(lane)) = (ends, self.lanes.get_mut(usize::from(extent.stream)))
            else {
                continue;
            };
            let (Some(gap), Some(run)) =
                (slice(self.parsed, extent.offset), slice(extent.offset, ends))
            else {
                continue;
            };
            if run.is_empty() {
                continue;
            }
            if let Some(unit) = extent.unit {
                lane.unit(unit);
            }
            lane.bytes.extend_from_slice(run);
            let (ops, glue) = (&mut self.map.bytes, &mut self.glue.bytes);
            self.writer.gap(gap, ops, glue);
            self.writer.run(extent.stream, run.len() as u64, ops, glue);
            self.counted.0 += 1;
            self.counted.1 += run.len() as u64;
            self.parsed = ends;
            if ends - tried >= STRETCH {
                self.prove(raw, start)?;
                tried = ends;
            }
        }
        let gap = slice(self.parsed, end).unwrap_or_default();
        self.writer.gap(gap, &mut self.map.bytes, &mut self.glue.bytes);
        self.parsed = end;
        // Its memory is used again.
        self.extents = extents;
        Ok(())
    }

    /// Proves what is written so far; `raw` are the bytes of the file from byte `start` on.
    fn prove(&mut self, raw: &[u8], start: u64) -> Result<(), Refusal> {
        let proved = usize::try_from(self.proof.at().out - start).unwrap_or(usize::MAX);
        let raw = raw.get(proved..).unwrap_or_default();
        self.proof.go_on(raw, &self.map, &self.glue, &self.lanes, self.len)
    }

    /// Moves the chunks that are whole and proved to `block`.
    fn cut(&mut self, ends: bool, block: &mut TrackBlock) {
        let at = self.proof.at();
        for (index, lane) in (0..).zip(&mut self.lanes) {
            let proved = at.streams.get(usize::from(index)).copied().unwrap_or_default();
            lane.cut(proved, ends, Lane::Stream(index), block);
        }
        self.glue.cut(at.glue, ends, Lane::Glue, block);
        self.map.cut(at.op, ends, Lane::Map, block);
    }

    /// Gives up what gains nothing, or would take too much memory.
    fn limits(&self) -> Result<(), Refusal> {
        let all = || self.lanes.iter().chain([&self.glue, &self.map]);
        let glue = self.glue.total().bytes;
        if self.parsed >= EARLY && glue > self.parsed / 4 {
            return Err(Refusal::Glue { glue, of: self.parsed });
        }
        let (extents, bytes) = self.counted;
        if extents > FREE_EXTENTS && bytes / extents < LEAST_EXTENT {
            return Err(Refusal::SmallExtents { least: LEAST_EXTENT });
        }
        let chunks: u64 = all().map(|lane| lane.total().chunks).sum();
        if chunks > FREE_CHUNKS && self.parsed / chunks < LEAST_CHUNK {
            return Err(Refusal::SmallChunks { least: LEAST_CHUNK });
        }
        if all().map(|lane| lane.bytes.len()).sum::<usize>() > MAX_WAITING {
            return Err(Refusal::Memory { most: MAX_WAITING });
        }
        Ok(())
    }
}
