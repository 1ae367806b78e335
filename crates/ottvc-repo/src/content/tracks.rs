//! Reading a file that is kept by its tracks: its map says which bytes of which stream come next.
//!
//! A window of the file needs a run of each stream. Where in the window its bytes go is known before a chunk
//! is read, so that it is copied once. Windows are made by two threads in turn, ahead of what the caller does
//! with them: while one looks up what to read, or copies what came last, the disk reads for the other. A chunk
//! that a window ends in is read once more for the next.

use std::io;
use std::ops::Range;
use std::sync::mpsc::sync_channel;
use std::thread::{Builder, scope};

use ottvc_chunk::track::cut::MAX_TRACK_CHUNK;
use ottvc_chunk::track::index::TrackIndex;
use ottvc_chunk::track::map::{Checkpoint, Played, Player, Step, steps};
use ottvc_object::ObjectError;
use ottvc_object::manifest::TrackLayout;
use ottvc_object::tree::sequence::ChunkPosition;
use ottvc_store::ObjectStore;

use super::compare::Cut;
use super::{ContentError, StorePages};

/// How much of a file is made at a time, in bytes.
const WINDOW_BYTES: u64 = 16 << 20;
/// How much of a file is played at a time where only its map is read, in bytes.
const PLAYED_BYTES: u64 = 256 << 20;
/// Threads that make windows in turn.
const MAKERS: usize = 2;
/// Windows of each: one being made, and one that waits or is in use.
const WINDOWS: usize = 2;
/// The most runs of a window: some times as many as files have that are taken apart.
const MAX_PLACES: usize = 4 << 20;
/// The longest index and the longest stretch of a map that are read, in bytes.
const MAX_MAP_BYTES: u64 = 256 << 20;

/// A file that is kept by its tracks.
pub(super) struct TrackReader<'s> {
    store: &'s dyn ObjectStore,
    layout: &'s TrackLayout,
    /// Length of the file in bytes.
    len: u64,
    index: TrackIndex,
}

impl<'s> TrackReader<'s> {
    /// Reads the index.
    pub(super) fn new(
        store: &'s dyn ObjectStore,
        layout: &'s TrackLayout,
        len: u64,
    ) -> Result<Self, ContentError> {
        let streams = layout.streams.len();
        let mut bytes = Vec::new();
        Lanes::new(store, layout).read(streams + 2, 0..layout.index, &mut bytes)?;
        let index = TrackIndex::decode(&bytes, streams, len)?;
        Ok(Self { store, layout, len, index })
    }

    /// Returns the chunks of each stream, then those of the glue. Reads pages, no chunk.
    pub(super) fn cuts(&self) -> Result<Vec<Vec<Cut>>, ContentError> {
        let TrackLayout { streams, glue, chunks, .. } = self.layout;
        let mut end = 0_u64;
        let lens = streams.iter().map(|track| track.len).chain([*glue]);
        let ends = lens.map(|len| {
            end = end.saturating_add(len);
            end
        });
        let ends: Vec<u64> = ends.collect();
        let mut lanes = vec![Vec::new(); ends.len()];
        let mut lane = 0;
        chunks.for_each(&StorePages(self.store), 0..end, &mut |position| {
            while ends.get(lane).is_some_and(|end| *end <= position.start) {
                lane += 1;
            }
            let inside = ends.get(lane).is_some_and(|end| position.end() <= *end);
            let cuts = lanes.get_mut(lane).filter(|_| inside);
            let cuts: &mut Vec<Cut> = cuts.ok_or_else(|| malformed("a chunk is of two streams"))?;
            let time = self.index.times.get(lane).and_then(|times| times.get(cuts.len()));
            let ChunkPosition { chunk, .. } = position;
            cuts.push(Cut { id: chunk.id, len: chunk.len, time: time.copied().flatten() });
            Ok::<(), ContentError>(())
        })?;
        Ok(lanes)
    }

    /// Visits what each operation of the map makes, in order: the whole file. Reads the map and nothing else.
    pub(super) fn play(
        &self,
        visit: &mut dyn FnMut(&Played) -> Result<(), ContentError>,
    ) -> Result<(), ContentError> {
        let Self { store, layout, len, index } = self;
        let streams = layout.streams.len();
        let (map, mut lanes) = (streams + 1, Lanes::new(*store, layout));
        let (mut at, mut ops) = (Checkpoint::default(), Vec::new());
        while at.out < *len {
            let end = at.out.saturating_add(PLAYED_BYTES).min(*len);
            let stretch = at.op..index.checkpoints.stretch(at.out..end, layout.map).end.max(at.op);
            lanes.read(map, stretch, &mut ops)?;
            let mut player = Player::new(&ops, at, streams, *len);
            while player.checkpoint().out < end {
                let played = player.play()?;
                visit(&played.ok_or_else(|| malformed("its map ends before the file"))?)?;
            }
            at = player.into_checkpoint();
        }
        Ok(())
    }

    /// Hands out the bytes of `range`, window by window in order. Chunks are checked if `proven`.
    pub(super) fn pieces(
        &self,
        proven: bool,
        range: Range<u64>,
        sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), ContentError> {
        let failed = |source| ContentError::Write { source };
        let maker = || Maker {
            file: self,
            lanes: Lanes::new(self.store, self.layout),
            ops: Vec::new(),
            proven,
        };
        let count = range.end.saturating_sub(range.start).div_ceil(WINDOW_BYTES);
        if count <= 1 {
            let mut window = Vec::new();
            maker().make(range, &mut window)?;
            return sink(&window).map_err(failed);
        }
        scope(|scope| {
            let mut makers = Vec::with_capacity(MAKERS);
            for number in (0..count).take(MAKERS) {
                let (give_back, to_fill) = sync_channel::<Vec<u8>>(WINDOWS);
                let (made, windows) = sync_channel(WINDOWS);
                for _ in 0..WINDOWS {
                    // There is room for all of them.
                    let _ = give_back.send(Vec::new());
                }
                makers.push((give_back, windows));
                let (mut maker, range) = (maker(), range.clone());
                let make = move || {
                    for number in (number..count).step_by(MAKERS) {
                        let Ok(mut window) = to_fill.recv() else { break };
                        let at = range.start.saturating_add(number * WINDOW_BYTES);
                        let end = at.saturating_add(WINDOW_BYTES).min(range.end);
                        let result = maker.make(at..end, &mut window).map(|()| window);
                        let failed = result.is_err();
                        if made.send(result).is_err() || failed {
                            break;
                        }
                    }
                };
                let thread = Builder::new().name("ottvc-tracks".into());
                thread
                    .spawn_scoped(scope, make)
                    .map_err(|source| ContentError::Thread { source })?;
            }
            let left = usize::try_from(count).unwrap_or(usize::MAX);
            for (give_back, windows) in makers.iter().cycle().take(left) {
                // Whoever makes none has panicked, which is told when all are joined.
                let Ok(window) = windows.recv() else { break };
                let window = window?;
                sink(&window).map_err(failed)?;
                // Nobody wants it once the last window was made.
                let _ = give_back.send(window);
            }
            Ok(())
        })
    }
}

/// Makes windows of a file.
struct Maker<'r, 's> {
    file: &'r TrackReader<'s>,
    lanes: Lanes<'s>,
    /// The stretch of the map at hand.
    ops: Vec<u8>,
    /// Whether chunks of streams and glue are to be checked.
    proven: bool,
}

impl Maker<'_, '_> {
    /// Replaces what is in `out` by the bytes of `range`.
    fn make(&mut self, range: Range<u64>, out: &mut Vec<u8>) -> Result<(), ContentError> {
        let TrackReader { layout, len, index, .. } = self.file;
        let streams = layout.streams.len();
        let (glue, map) = (streams, streams + 1);
        let stretch = index.checkpoints.stretch(range.clone(), layout.map);
        self.lanes.read(map, stretch, &mut self.ops)?;
        let from = index.checkpoints.at(range.start);
        let window = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
        // What is left of another window is overwritten: its memory costs nothing anew.
        out.resize(window, 0);
        let mut at = 0;
        let lanes = &mut self.lanes;
        steps(&self.ops, from, streams, *len, range, &mut |step| {
            let len = usize::try_from(step.len()).unwrap_or(usize::MAX);
            let end = at + len;
            match step {
                Step::Glue { start, .. } => lanes.place(glue, start, at, len)?,
                Step::Stream { stream, start, .. } => {
                    lanes.place(usize::from(stream), start, at, len)?;
                }
                Step::Made(made) => copy(out, at, made.bytes()),
                Step::Padding { .. } => out.get_mut(at..end).unwrap_or_default().fill(0xff),
            }
            at = end;
            Ok::<(), ContentError>(())
        })?;
        self.lanes.fill(self.proven, out)
    }
}

/// Copies `from` to place `at` of `out`, where there is room for it.
fn copy(out: &mut [u8], at: usize, from: &[u8]) {
    if let Some(to) = out.get_mut(at..).and_then(|out| out.get_mut(..from.len())) {
        to.copy_from_slice(from);
    }
}

/// A run of a lane, and where its bytes go.
struct Place {
    /// Where it begins in the lane.
    start: u64,
    at: usize,
    len: usize,
}

impl Place {
    fn end(&self) -> u64 {
        self.start.saturating_add(self.len as u64)
    }
}

/// One stream, the glue, the map or the index, as it is read.
struct Lane {
    /// Where it begins among all streams, and its length.
    start: u64,
    len: u64,
    /// Runs that are wanted, side by side.
    places: Vec<Place>,
}

impl Lane {
    /// Where what is wanted ends.
    fn wanted(&self) -> u64 {
        self.places.last().map_or(0, Place::end)
    }

    /// Copies bytes of the lane that begin at `start` to where they are wanted; returns how many.
    fn put(places: &[Place], start: u64, bytes: &[u8], out: &mut [u8]) -> usize {
        let end = start.saturating_add(bytes.len() as u64);
        let first = places.partition_point(|place| place.end() <= start);
        let mut put = 0;
        for place in places.get(first..).unwrap_or_default() {
            let (from, to) = (place.start.max(start), place.end().min(end));
            if from >= to {
                break;
            }
            // No difference is longer than the bytes, or the place.
            let inside = |at: u64, base: u64| usize::try_from(at - base).unwrap_or(usize::MAX);
            let run = bytes.get(inside(from, start)..inside(to, start)).unwrap_or_default();
            copy(out, place.at + inside(from, place.start), run);
            put += run.len();
        }
        put
    }
}

/// All lanes of a file, read side by side.
struct Lanes<'s> {
    store: &'s dyn ObjectStore,
    layout: &'s TrackLayout,
    lanes: Vec<Lane>,
    /// How many places there are in all.
    places: usize,
}

impl<'s> Lanes<'s> {
    fn new(store: &'s dyn ObjectStore, layout: &'s TrackLayout) -> Self {
        let lens = layout.streams.iter().map(|track| track.len);
        let mut start = 0_u64;
        let lanes = lens.chain([layout.glue, layout.map, layout.index]).map(|len| {
            let lane = Lane { start, len, places: Vec::new() };
            start = start.saturating_add(len);
            lane
        });
        let lanes = lanes.collect();
        Self { store, layout, lanes, places: 0 }
    }

    /// Replaces what is in `out` by the bytes of `range` of a lane.
    fn read(
        &mut self,
        lane: usize,
        range: Range<u64>,
        out: &mut Vec<u8>,
    ) -> Result<(), ContentError> {
        let len = range.end.saturating_sub(range.start);
        if len > MAX_MAP_BYTES {
            return Err(malformed("its map is too long").into());
        }
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        out.resize(len, 0);
        self.place(lane, range.start, 0, len)?;
        // What map and index say is acted upon before the whole file proves them.
        self.fill(true, out)
    }

    /// Says that the `len` bytes of a lane from `start` on go to place `at`.
    fn place(
        &mut self,
        lane: usize,
        start: u64,
        at: usize,
        len: usize,
    ) -> Result<(), ContentError> {
        let lane =
            self.lanes.get_mut(lane).ok_or_else(|| malformed("its map is of more streams"))?;
        let place = Place { start, at, len };
        self.places += 1;
        if self.places > MAX_PLACES {
            return Err(malformed("its map is of too many runs").into());
        }
        if place.end() > lane.len {
            return Err(malformed("its map goes past the end of a stream").into());
        }
        if lane.places.last().is_some_and(|last| last.end() != start) {
            return Err(malformed("its map leaves out a part of a stream").into());
        }
        match lane.places.last_mut() {
            Some(last) if last.at + last.len == at => last.len += len,
            _ if len > 0 => lane.places.push(place),
            _ => {}
        }
        Ok(())
    }

    /// Copies all that has a place to it. Chunks are checked if `proven`.
    fn fill(&mut self, proven: bool, out: &mut [u8]) -> Result<(), ContentError> {
        let Self { store, layout, lanes, places } = self;
        *places = 0;
        let (mut wanted, mut put) = (0, 0);
        // Lane and start of each chunk to be read.
        let (mut missing, mut ids) = (Vec::new(), Vec::new());
        for (number, lane) in lanes.iter().enumerate() {
            let Some(first) = lane.places.first().map(|place| place.start) else { continue };
            let end = lane.wanted();
            wanted += end.saturating_sub(first);
            let start = lane.start;
            let among = start.saturating_add(first)..start.saturating_add(end);
            layout.chunks.for_each(&StorePages(*store), among, &mut |position| {
                let ChunkPosition { start: at, chunk, .. } = position;
                let Some(at) = at.checked_sub(start) else {
                    return Err(malformed("a chunk is of two streams").into());
                };
                if chunk.len > MAX_TRACK_CHUNK {
                    return Err(malformed("a chunk is longer than any of a track").into());
                }
                missing.push((number, at, chunk.len));
                ids.push(chunk.id);
                Ok::<(), ContentError>(())
            })?;
        }
        let read = &mut |index: usize, raw: &[u8]| {
            let (number, start, _) = missing
                .get(index)
                .filter(|(_, _, len)| usize::try_from(*len) == Ok(raw.len()))
                .ok_or_else(|| malformed("a chunk is not as long as it says"))?;
            let Some(lane) = lanes.get(*number) else { return Ok(()) };
            put += Lane::put(&lane.places, *start, raw, out);
            Ok(())
        };
        store.read_chunks_unordered(&ids, proven, read)?;
        lanes.iter_mut().for_each(|lane| lane.places.clear());
        // A chunk list that has no chunk for some of it.
        if put as u64 == wanted {
            Ok(())
        } else {
            Err(malformed("its chunks do not make its streams").into())
        }
    }
}

fn malformed(why: &str) -> ObjectError {
    ObjectError::Malformed { what: "manifest", why: why.into() }
}
