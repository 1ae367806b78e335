//! What a splitter made of a file, and the file rebuilt from it, for the tests that split.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

use std::collections::HashMap;
use std::io::Read;
use std::ops::Range;

use ottvc_chunk::ChunkError;
use ottvc_chunk::track::Parser;
use ottvc_chunk::track::cut::TrackRule;
use ottvc_chunk::track::map::{Checkpoints, Step, steps};
use ottvc_chunk::track::split::{Lane, Recipe, Refusal, TrackBlock, TrackSplitter};

/// Bytes that compress nowhere and are the same everywhere.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// What a splitter made of a file.
#[derive(Debug, PartialEq)]
pub(crate) struct Kept {
    pub(crate) recipe: Recipe,
    pub(crate) chunks: HashMap<Lane, Vec<Vec<u8>>>,
    times: Vec<(Lane, Option<i64>)>,
}

impl Kept {
    /// All bytes of a lane.
    pub(crate) fn lane(&self, lane: Lane) -> Vec<u8> {
        self.chunks.get(&lane).map(|chunks| chunks.concat()).unwrap_or_default()
    }
}

/// Cuts a file by its tracks, as taking it in does.
pub(crate) fn keep(
    parser: Box<dyn Parser>,
    file: &[u8],
    reader: &mut dyn Read,
    block_bytes: usize,
) -> Result<Kept, Refusal> {
    let (rule, len) = (TrackRule::DEFAULT, file.len() as u64);
    let mut splitter = TrackSplitter::new(parser, len, rule, block_bytes).unwrap();
    let mut block = TrackBlock::default();
    let (mut raw, mut chunks, mut times) = (Vec::new(), HashMap::<_, Vec<_>>::new(), Vec::new());
    while splitter.next(reader, &mut block).unwrap() {
        raw.extend_from_slice(block.file_bytes());
        for chunk in block.chunks() {
            assert!((1..=4 << 20).contains(&chunk.bytes.len()));
            chunks.entry(chunk.lane).or_default().push(chunk.bytes.to_vec());
            times.push((chunk.lane, chunk.time));
        }
    }
    times.sort_by_key(|(lane, _)| *lane);
    let recipe = splitter.finish()?;
    assert_eq!(raw, file);
    Ok(Kept { recipe, chunks, times })
}

/// Rebuilds parts of a file as a reader does: from chunks, the recipe's numbers and its table alone.
pub(crate) struct Reader {
    len: u64,
    streams: Vec<Vec<u8>>,
    glue: Vec<u8>,
    map: Vec<u8>,
    table: Checkpoints,
}

impl Reader {
    pub(crate) fn new(kept: &Kept) -> Self {
        let count = kept.recipe.streams.len();
        let table = kept.recipe.checkpoints.encode(count);
        let table = Checkpoints::decode(&table, count, kept.recipe.len).unwrap();
        assert_eq!(table.encode(count), kept.recipe.checkpoints.encode(count));
        for (index, stream) in (0..).zip(&kept.recipe.streams) {
            assert_eq!(kept.lane(Lane::Stream(index)).len() as u64, stream.total.bytes);
            let chunks = kept.chunks.get(&Lane::Stream(index)).map_or(0, Vec::len);
            assert_eq!(chunks as u64, stream.total.chunks);
        }
        Self {
            len: kept.recipe.len,
            streams: (0..).take(count).map(|index| kept.lane(Lane::Stream(index))).collect(),
            glue: kept.lane(Lane::Glue),
            map: kept.lane(Lane::Map),
            table,
        }
    }

    /// The bytes of a range.
    pub(crate) fn read(&self, range: Range<u64>) -> Vec<u8> {
        let place = |start: u64, len: u64| {
            let start = usize::try_from(start).unwrap();
            start..start + usize::try_from(len).unwrap()
        };
        let stretch = self.table.stretch(range.clone(), self.map.len() as u64);
        let ops = &self.map[place(stretch.start, stretch.end - stretch.start)];
        let from = self.table.at(range.start);
        let mut out = Vec::new();
        let visit = &mut |step| {
            match step {
                Step::Glue { start, len } => {
                    out.extend_from_slice(&self.glue[place(start, len.into())]);
                }
                Step::Made(made) => out.extend_from_slice(made.bytes()),
                Step::Padding { len } => out.resize(out.len() + usize::try_from(len).unwrap(), 255),
                Step::Stream { stream, start, len } => {
                    let stream = &self.streams[usize::from(stream)];
                    out.extend_from_slice(&stream[place(start, len.into())]);
                }
            }
            Ok::<(), ChunkError>(())
        };
        steps(ops, from, self.streams.len(), self.len, range, visit).unwrap();
        out
    }

    /// Compares the whole file and `count` ranges of it.
    pub(crate) fn check(&self, file: &[u8], seed: u64, count: usize) {
        assert!(self.read(0..self.len) == file);
        let places = noise(seed, 8 * count);
        for (index, place) in places.chunks_exact(8).enumerate() {
            let a = u64::from(u32::from_le_bytes(place[..4].try_into().unwrap())) % self.len;
            let long = if index % 8 == 0 { self.len } else { 5000 };
            let b = u64::from(u32::from_le_bytes(place[4..].try_into().unwrap())) % long;
            let b = (a + b).min(self.len);
            let place = usize::try_from(a).unwrap()..usize::try_from(b).unwrap();
            assert!(self.read(a..b) == file[place], "{a}..{b}");
        }
    }
}
