//! A file by its tracks, as far as comparing it needs: the chunks of its streams, and which of them the
//! bytes of the file lie in.

use std::collections::BTreeMap;
use std::io::Read;

use ottvc_chunk::track::map::{Checkpoint, Played, Player, Step};
use ottvc_chunk::track::split::{Lane, TRACK_BLOCK, TrackBlock, TrackSplitter};
use ottvc_chunk::track::{Container, Parser, Stream};
use ottvc_object::manifest::TrackLayout;
use ottvc_object::manifest::tracks::TrackRule;
use ottvc_object::{ChunkId, ObjectError};
use ottvc_store::ObjectStore;

use crate::content::ContentError;
use crate::content::tracks::TrackReader;

/// The longest map of a file that is not stored, in bytes; one of a film has some MiB.
const MAX_MAP_BYTES: usize = 256 << 20;

/// A chunk of a stream or of the glue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::content) struct Cut {
    pub(in crate::content) id: ChunkId,
    /// Its length in bytes.
    pub(in crate::content) len: u32,
    /// When the first unit that begins in it is shown, in ticks of its stream, if one does.
    pub(in crate::content) time: Option<i64>,
}

/// A file by its tracks.
#[derive(Debug)]
pub(super) struct Tracked {
    pub(super) container: Container,
    /// Length of the file in bytes.
    pub(super) len: u64,
    pub(super) streams: Vec<Stream>,
    /// The chunks of each stream, then those of the glue.
    pub(super) lanes: Vec<Vec<Cut>>,
}

/// A piece of a file, in the chunk that it lies in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    /// Index of the stream; one past the last for the glue.
    pub(super) lane: usize,
    /// Number of the chunk in it.
    pub(super) cut: usize,
    /// Its length in bytes.
    pub(super) len: u64,
    /// Whether it is told by the map and only counts as the bytes of that chunk do.
    pub(super) told: bool,
}

/// What makes a file of its streams.
pub(super) enum Map<'s> {
    /// That of a file in a store.
    Stored(TrackReader<'s>),
    /// That of a file that was only cut.
    Held(Vec<u8>),
}

impl Tracked {
    /// Reads a file of `len` bytes that a store keeps by its tracks: its chunk list and its index.
    pub(super) fn read<'s>(
        store: &'s dyn ObjectStore,
        layout: &'s TrackLayout,
        len: u64,
    ) -> Result<(Self, Map<'s>), ContentError> {
        let reader = TrackReader::new(store, layout, len)?;
        let streams = layout.streams.iter().map(|track| track.stream.clone()).collect();
        let lanes = reader.cuts()?;
        Ok((Self { container: layout.container, len, streams, lanes }, Map::Stored(reader)))
    }

    /// Cuts a file of `len` bytes that is not stored; `None` if it would not be kept by its tracks.
    pub(super) fn cut(
        parser: Box<dyn Parser>,
        rule: TrackRule,
        len: u64,
        reader: &mut dyn Read,
    ) -> Result<Option<(Self, Map<'static>)>, ContentError> {
        let mut splitter = TrackSplitter::new(parser, len, rule, TRACK_BLOCK)?;
        let mut block = TrackBlock::default();
        let mut cuts: BTreeMap<Lane, Vec<Cut>> = BTreeMap::new();
        let mut map = Vec::new();
        let failed = |source| ContentError::Read { source };
        while splitter.next(reader, &mut block).map_err(failed)? {
            for chunk in block.chunks() {
                if chunk.lane == Lane::Map {
                    map.extend_from_slice(chunk.bytes);
                    continue;
                }
                let len = u32::try_from(chunk.bytes.len()).unwrap_or(u32::MAX);
                let cut = Cut { id: ChunkId::of(chunk.bytes), len, time: chunk.time };
                cuts.entry(chunk.lane).or_default().push(cut);
            }
            if map.len() > MAX_MAP_BYTES {
                return Ok(None);
            }
        }
        let Ok(recipe) = splitter.finish() else { return Ok(None) };
        let lanes = (0..).take(recipe.streams.len()).map(Lane::Stream).chain([Lane::Glue]);
        let lanes = lanes.map(|lane| cuts.remove(&lane).unwrap_or_default()).collect();
        let streams = recipe.streams.into_iter().map(|total| total.stream).collect();
        let container = recipe.container;
        Ok(Some((Self { container, len, streams, lanes }, Map::Held(map))))
    }

    /// Visits the pieces of the file in order; together they are the file. Reads the map, no stream.
    ///
    /// Bytes that the map tells come with the next byte of the file that is kept, or, at its end, with
    /// the last one.
    pub(super) fn pieces(
        &self,
        map: &Map<'_>,
        visit: &mut dyn FnMut(Piece),
    ) -> Result<(), ContentError> {
        let mut walk = Walk { lanes: &self.lanes, at: Vec::new(), told: 0, last: None };
        walk.at.resize(self.lanes.len(), (0, 0));
        match map {
            Map::Stored(reader) => reader.play(&mut |played| Ok(walk.take(played, visit)?))?,
            Map::Held(ops) => {
                let mut player =
                    Player::new(ops, Checkpoint::default(), self.streams.len(), self.len);
                while let Some(played) = player.play()? {
                    walk.take(&played, visit)?;
                }
            }
        }
        walk.finish(visit);
        Ok(())
    }
}

/// Says which chunks the bytes of a file lie in, in the order of the file.
struct Walk<'t> {
    lanes: &'t [Vec<Cut>],
    /// For each lane the chunk it is in, and how much of it is behind.
    at: Vec<(usize, u64)>,
    /// Bytes told since the last piece.
    told: u64,
    /// Lane and chunk of the last piece.
    last: Option<(usize, usize)>,
}

impl Walk<'_> {
    fn take(&mut self, played: &Played, visit: &mut dyn FnMut(Piece)) -> Result<(), ObjectError> {
        let glue = self.lanes.len().saturating_sub(1);
        for step in played.steps() {
            match step {
                Step::Made(_) | Step::Padding { .. } => {
                    self.told = self.told.saturating_add(step.len());
                }
                Step::Glue { len, .. } => self.run(glue, len.into(), visit)?,
                Step::Stream { stream, len, .. } => {
                    self.run(stream.into(), len.into(), visit)?;
                }
            }
        }
        Ok(())
    }

    /// Goes on by `left` bytes in a lane.
    fn run(
        &mut self,
        lane: usize,
        mut left: u64,
        visit: &mut dyn FnMut(Piece),
    ) -> Result<(), ObjectError> {
        let ends = || {
            let why = "its map goes past the end of a stream".into();
            ObjectError::Malformed { what: "manifest", why }
        };
        let cuts = self.lanes.get(lane).ok_or_else(ends)?;
        let (cut, behind) = self.at.get_mut(lane).ok_or_else(ends)?;
        while left > 0 {
            let whole = u64::from(cuts.get(*cut).ok_or_else(ends)?.len);
            let len = left.min(whole.saturating_sub(*behind));
            if len == 0 {
                (*cut, *behind) = (*cut + 1, 0);
                continue;
            }
            let piece = Piece { lane, cut: *cut, len, told: false };
            if self.told > 0 {
                visit(Piece { len: std::mem::take(&mut self.told), told: true, ..piece });
            }
            visit(piece);
            self.last = Some((lane, *cut));
            *behind += len;
            left -= len;
        }
        Ok(())
    }

    /// Gives what was told last to the last piece.
    fn finish(self, visit: &mut dyn FnMut(Piece)) {
        if let (true, Some((lane, cut))) = (self.told > 0, self.last) {
            visit(Piece { lane, cut, len: self.told, told: true });
        }
    }
}
