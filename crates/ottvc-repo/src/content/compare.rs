//! What two files have in common: by byte ranges and, where both are kept by their tracks, by track and
//! time.
//!
//! Bytes are shared by whole chunks. Of a file that is kept by its tracks, a byte of a stream or of the
//! glue is shared if the other file has its chunk, and one that the map tells counts as the next byte
//! of the file that is kept: it takes no room of its own. So every byte of the file is either shared or
//! new, and the sums are exact. What is new there lies in as many pieces as there are frames, so that
//! ranges are joined, and each says how many of its bytes are new. Memory: the chunk lists of both
//! files.

mod report;
mod spans;
mod tracked;

use std::collections::HashMap;
use std::io::{Read, Seek, SeekFrom};

use ottvc_chunk::track;
use ottvc_chunk::{Block, Cutter, Splitter};
use ottvc_object::manifest::tracks::TrackRule;
use ottvc_object::manifest::{CutRule, Layout};
use ottvc_object::{ChunkId, ContentId};
use ottvc_store::ObjectStore;
use serde::Serialize;

use super::{ByteSpan, ContentError, open};
use crate::ingest::{LEAST_BYTES, SeekSource};
use report::LaneSum;
pub use report::{TimeSpan, TrackShare};
pub(super) use report::{container_name, role_name};
use spans::Spans;
pub(super) use tracked::Cut;
use tracked::{Map, Tracked};

/// The most ranges of a file that is kept by its tracks, and how far those lie apart that are joined,
/// in bytes.
const MAX_RANGES: usize = 1000;
const JOINED_BYTES: u64 = 64 << 10;

/// A run of a file in which bytes are new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct NewRange {
    /// How many bytes come before it.
    pub offset: u64,
    /// How many bytes it has.
    pub length: u64,
    /// How many of them are new, where not all are: the first and the last one, and others between.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_bytes: Option<u64>,
}

impl From<ByteSpan> for NewRange {
    fn from(ByteSpan { offset, length }: ByteSpan) -> Self {
        Self { offset, length, new_bytes: None }
    }
}

/// What a file has in common with another, by whole chunks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shared {
    /// How many of its bytes the other has too.
    pub bytes: u64,
    /// Where its other bytes are: in order, neighbours joined.
    pub new_ranges: Vec<NewRange>,
    /// What its tracks have in common with those of the other, where both are kept by them: its own in
    /// their order, those that are gone, the container.
    pub tracks: Option<Vec<TrackShare>>,
}

impl Shared {
    /// What a file of `len` bytes has in common with nothing.
    pub fn none(len: u64) -> Self {
        let mut shared = Self::default();
        shared.add(0, len, false);
        shared
    }

    /// Adds the `length` bytes from `offset` on.
    fn add(&mut self, offset: u64, length: u64, known: bool) {
        if known {
            self.bytes = self.bytes.saturating_add(length);
            return;
        }
        match self.new_ranges.last_mut() {
            Some(last) if last.offset.saturating_add(last.length) == offset => {
                last.length = last.length.saturating_add(length);
            }
            _ if length > 0 => self.new_ranges.push(ByteSpan { offset, length }.into()),
            _ => {}
        }
    }
}

/// How a store keeps a file, in words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// Its tracks, if it is kept by them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracks: Option<KeptTracks>,
    /// Why it is not, if it has any and they were looked for (`docs/track-streams.md`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub untracked: Option<String>,
}

/// The tracks that a file is kept by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeptTracks {
    /// `mp4`, `ts`, `mxf` or `matroska`.
    pub container: &'static str,
    /// Bytes of the file that are in no track.
    pub container_bytes: u64,
    /// Its tracks, in the order in which they are kept.
    pub streams: Vec<KeptStream>,
}

/// A track that a file is kept by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeptStream {
    /// As [`TrackShare::role`].
    pub role: &'static str,
    /// Counts the tracks of its role, from 1.
    pub number: u32,
    /// The coding.
    pub codec: String,
    /// Language; empty if unknown.
    pub language: String,
    /// Its bytes.
    pub bytes: u64,
}

/// Says how `store` keeps a file. Reads the manifest.
///
/// # Errors
/// As [`open`].
pub fn kept(store: &dyn ObjectStore, content: ContentId) -> Result<Kept, ContentError> {
    let file = open(store, content)?;
    Ok(match &file.manifest().layout {
        Layout::Plain { .. } => Kept::default(),
        Layout::Untracked { why, .. } => Kept { untracked: Some(why.clone()), tracks: None },
        Layout::Tracks(layout) => {
            let numbers = report::numbers(layout.streams.iter().map(|track| &track.stream));
            let in_tracks = layout.streams.iter().map(|track| track.len);
            let in_tracks = in_tracks.fold(0_u64, u64::saturating_add);
            let streams = layout.streams.iter().zip(numbers).map(|(track, number)| KeptStream {
                role: report::role_name(track.stream.role),
                number,
                codec: track.stream.codec.clone(),
                language: track.stream.language.clone(),
                bytes: track.len,
            });
            let tracks = KeptTracks {
                container: report::container_name(layout.container),
                container_bytes: file.len().saturating_sub(in_tracks),
                streams: streams.collect(),
            };
            Kept { tracks: Some(tracks), untracked: None }
        }
    })
}

/// Says what file `b` has in common with file `a`. Reads chunk lists, of files that are kept by their
/// tracks maps and indices too, and no other chunk.
///
/// # Errors
/// As [`open`], for either.
pub fn shared_ranges(
    store: &dyn ObjectStore,
    a: ContentId,
    b: ContentId,
) -> Result<Shared, ContentError> {
    let first = First::read(store, a)?;
    let file = open(store, b)?;
    if let Layout::Tracks(layout) = &file.manifest().layout {
        let (second, map) = Tracked::read(store, layout, file.len())?;
        return first.share_tracks(&second, &map);
    }
    let mut shared = Shared::default();
    file.chunks(0..u64::MAX, &mut |position| {
        let known = first.known.contains_key(&position.chunk.id);
        shared.add(position.start, u64::from(position.chunk.len), known);
        Ok(())
    })?;
    Ok(shared)
}

/// Says what a file not stored yet, read from `source`, has in common with file `a`. It is cut as `a`
/// is: by its tracks if `a` is kept by them and that can be done, else by `rule`. Stores nothing.
///
/// # Errors
/// As [`open`] for `a`; [`ContentError::Read`] for `source`.
pub fn shared_with(
    store: &dyn ObjectStore,
    a: ContentId,
    mut source: impl Read + Seek,
    rule: CutRule,
) -> Result<Shared, ContentError> {
    let failed = |source| ContentError::Read { source };
    let first = First::read(store, a)?;
    if let Some((_, rule)) = &first.tracks {
        let len = source.seek(SeekFrom::End(0)).map_err(failed)?;
        let mut around = SeekSource { file: &mut source, len };
        // What cannot be read fails when the whole is.
        let parser = track::open(&mut around).ok().flatten().filter(|_| len >= LEAST_BYTES);
        source.rewind().map_err(failed)?;
        if let Some(parser) = parser
            && let Some((second, map)) = Tracked::cut(parser, *rule, len, &mut source)?
        {
            return first.share_tracks(&second, &map);
        }
        source.rewind().map_err(failed)?;
    }
    let mut splitter = Splitter::new(Cutter::new(rule)?, 0);
    let (mut block, mut shared, mut at) = (Block::default(), Shared::default(), 0_u64);
    while splitter.next(&mut source, &mut block).map_err(failed)? {
        for chunk in block.chunks() {
            let known = first.known.contains_key(&ChunkId::of(chunk));
            shared.add(at, chunk.len() as u64, known);
            at = at.saturating_add(chunk.len() as u64);
        }
    }
    Ok(shared)
}

/// Visits each chunk that a file takes its bytes from, with how many of them: those of the chunk, and
/// those told that count as they do. Together they are the file's length. If no chunk is `wanted`,
/// nothing is visited.
pub(crate) fn weigh(
    store: &dyn ObjectStore,
    content: ContentId,
    wanted: &dyn Fn(&ChunkId) -> bool,
    visit: &mut dyn FnMut(ChunkId, u64),
) -> Result<(), ContentError> {
    let file = open(store, content)?;
    let Layout::Tracks(layout) = &file.manifest().layout else {
        return file.chunks(0..u64::MAX, &mut |position| {
            visit(position.chunk.id, u64::from(position.chunk.len));
            Ok(())
        });
    };
    let (tracked, map) = Tracked::read(store, layout, file.len())?;
    if !tracked.lanes.iter().flatten().any(|cut| wanted(&cut.id)) {
        return Ok(());
    }
    let mut weights: Vec<Vec<u64>> = tracked.lanes.iter().map(|cuts| vec![0; cuts.len()]).collect();
    tracked.pieces(&map, &mut |piece| {
        let weight = weights.get_mut(piece.lane).and_then(|cuts| cuts.get_mut(piece.cut));
        if let Some(weight) = weight {
            *weight = weight.saturating_add(piece.len);
        }
    })?;
    for (cut, weight) in tracked.lanes.iter().flatten().zip(weights.iter().flatten()) {
        visit(cut.id, *weight);
    }
    Ok(())
}

/// The file that another is compared with.
struct First {
    /// Its tracks and how they were cut, if it is kept by them.
    tracks: Option<(Tracked, TrackRule)>,
    /// Its chunks, each with the first stream that has it; one past the last for the glue, 0 if there
    /// are none.
    known: HashMap<ChunkId, usize>,
}

impl First {
    fn read(store: &dyn ObjectStore, content: ContentId) -> Result<Self, ContentError> {
        let file = open(store, content)?;
        let mut known = HashMap::new();
        let Layout::Tracks(layout) = &file.manifest().layout else {
            file.chunks(0..u64::MAX, &mut |position| {
                known.insert(position.chunk.id, 0);
                Ok(())
            })?;
            return Ok(Self { tracks: None, known });
        };
        let (tracked, _) = Tracked::read(store, layout, file.len())?;
        for (lane, cuts) in tracked.lanes.iter().enumerate() {
            for cut in cuts {
                known.entry(cut.id).or_insert(lane);
            }
        }
        Ok(Self { tracks: Some((tracked, layout.rule)), known })
    }

    /// Says what a file has in common with this one by its own tracks.
    fn share_tracks(&self, second: &Tracked, map: &Map<'_>) -> Result<Shared, ContentError> {
        let known = |cut: &Cut| self.known.contains_key(&cut.id);
        let flags: Vec<Vec<bool>> =
            second.lanes.iter().map(|cuts| cuts.iter().map(known).collect()).collect();
        let told_by = second.lanes.len().saturating_sub(1);
        let mut sums = vec![LaneSum::default(); second.lanes.len()];
        let mut spans = Spans::new(JOINED_BYTES, JOINED_BYTES, MAX_RANGES);
        let (mut at, mut bytes) = (0_u64, 0_u64);
        second.pieces(map, &mut |piece| {
            let shared = flags.get(piece.lane).and_then(|cuts| cuts.get(piece.cut)).copied();
            let shared = shared.unwrap_or_default();
            let end = at.saturating_add(piece.len);
            let lane = if piece.told { told_by } else { piece.lane };
            if let Some(sum) = sums.get_mut(lane) {
                sum.bytes = sum.bytes.saturating_add(piece.len);
                sum.shared = sum.shared.saturating_add(if shared { piece.len } else { 0 });
            }
            match shared {
                true => bytes = bytes.saturating_add(piece.len),
                false => spans.add(at, end),
            }
            at = end;
        })?;
        let range = |span: spans::Span| {
            let length = span.end.saturating_sub(span.start);
            let new_bytes = Some(span.covered).filter(|covered| *covered != length);
            NewRange { offset: span.start, length, new_bytes }
        };
        let tracks = self.tracks.as_ref();
        Ok(Shared {
            bytes,
            new_ranges: spans.into_list().into_iter().map(range).collect(),
            tracks: tracks.map(|(first, _)| report::compare(first, second, &self.known, &sums)),
        })
    }
}
