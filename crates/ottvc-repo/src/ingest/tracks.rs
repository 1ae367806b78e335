//! Storing a file by its tracks: their streams, the glue between them, and the map that joins both.
//!
//! Chunks come as they are complete, of all streams in turn, and lie in packs in that order, near those
//! that are read with them. The list of chunks has them stream by stream; its references wait
//! until the end, some forty bytes for each chunk.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use ottvc_chunk::track::cut::StreamCutter;
use ottvc_chunk::track::index::TrackIndex;
use ottvc_chunk::track::split::{
    Lane, Recipe, Refusal, TRACK_BLOCK, TrackBlock, TrackChunk, TrackSplitter,
};
use ottvc_chunk::track::{self, Source};
use ottvc_object::ContentId;
use ottvc_object::manifest::tracks::{TrackLayout, TrackStream};
use ottvc_object::manifest::{ChunkRef, Layout, ListBuilder, Manifest};
use ottvc_store::hints::ReadAhead;
use ottvc_store::pack::Encoder;
use ottvc_store::{ObjectStore, StoreWriter};

use super::{Cut, Ingest, Ingested, Put, cut_up, pages, pipeline};
use crate::content::ContentError;

/// Files shorter than this are not looked into: their tracks would be less than what says how they lie.
pub(crate) const LEAST_BYTES: u64 = 64 << 10;
/// What a block takes in memory: the file's bytes, and chunks.
const BLOCK_BYTES: usize = 2 * TRACK_BLOCK;

/// A file that a parser looks around in, before it is read from its beginning.
pub(crate) struct SeekSource<F> {
    pub(crate) file: F,
    /// Its length in bytes.
    pub(crate) len: u64,
}

impl<F: Read + Seek> Source for SeekSource<F> {
    fn len(&self) -> u64 {
        self.len
    }
    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(offset))?;
        self.file.read_exact(out)
    }
}

/// A file that can be looked around in, and then be read from its beginning, twice if need be.
pub trait Media {
    /// What reads it.
    type Reader: Read + Send;

    /// To look around in.
    fn around(&mut self) -> &mut dyn Source;

    /// Begins to read it.
    ///
    /// # Errors
    /// [`ContentError::Read`], or [`ContentError::Thread`].
    fn begin(&mut self) -> Result<Self::Reader, ContentError>;
}

/// A file on disk, opened once for all that is read of it, unless it is read twice.
pub struct DiskMedia<'p> {
    path: &'p Path,
    around: SeekSource<File>,
    begun: bool,
}

impl<'p> DiskMedia<'p> {
    /// Opens the file at `path`, which is `len` bytes long.
    ///
    /// # Errors
    /// The system's.
    pub fn open(path: &'p Path, len: u64) -> io::Result<Self> {
        Ok(Self { path, around: SeekSource { file: File::open(path)?, len }, begun: false })
    }
}

impl Media for DiskMedia<'_> {
    type Reader = ReadAhead;

    fn around(&mut self) -> &mut dyn Source {
        &mut self.around
    }

    fn begin(&mut self) -> Result<ReadAhead, ContentError> {
        let failed = |source| ContentError::Read { source };
        let file = match std::mem::replace(&mut self.begun, true) {
            // Two that are read share their place, and the first still reads ahead.
            true => File::open(self.path).map_err(failed)?,
            false => self.around.file.try_clone().map_err(failed)?,
        };
        (&file).rewind().map_err(failed)?;
        ReadAhead::new(file).map_err(|source| ContentError::Thread { source })
    }
}

impl Ingest<'_> {
    /// Stores a file by its tracks if it has any.
    ///
    /// A file that is not worth it, or that its parser is wrong about, is stored as it lies, and its
    /// manifest says why.
    ///
    /// # Errors
    /// As [`Ingest::file`].
    pub fn media<M: Media>(
        &mut self,
        mut media: M,
        progress: &dyn Fn(u64),
    ) -> Result<Ingested, ContentError> {
        let mut refused = None;
        let len = media.around().len();
        if let Some(rule) = self.options.tracks.filter(|_| len >= LEAST_BYTES)
            // What cannot be read fails when the whole is.
            && let Some(parser) = track::open(media.around()).ok().flatten()
        {
            let splitter = TrackSplitter::new(parser, len, rule, TRACK_BLOCK)?;
            match self.tracks(splitter, len, media.begin()?, progress)? {
                Ok(ingested) => return Ok(ingested),
                Err(refusal) => refused = Some(refusal),
            }
        }
        self.plain(media.begin()?, refused.as_ref(), progress)
    }

    /// Stores all that `reader` gives, a file of `len` bytes, by its tracks. If that is refused, nothing is
    /// kept but chunks that nothing names.
    fn tracks(
        &mut self,
        mut splitter: TrackSplitter,
        len: u64,
        mut reader: impl Read + Send,
        progress: &dyn Fn(u64),
    ) -> Result<Result<Ingested, Refusal>, ContentError> {
        let mut sink = TrackSink::new(self.writer, progress);
        let mut block = TrackBlock::default();
        let failed = |source| ContentError::Read { source };
        if len <= TRACK_BLOCK as u64 {
            while splitter.next(&mut reader, &mut block).map_err(failed)? {
                let chunks = block.chunks().map(|chunk| chunk.bytes);
                let cuts = cut_up(self.store, &mut self.encoder, chunks)?;
                sink.take(&block, cuts)?;
            }
        } else if splitter.next(&mut reader, &mut block).map_err(failed)? {
            let read = |block: &mut TrackBlock| splitter.next(&mut reader, block).map_err(failed);
            let mut take = |block: &TrackBlock, cuts| sink.take(block, cuts);
            let first = (block, BLOCK_BYTES);
            pipeline::run(self.store, self.options.jobs, first, read, &mut take)?;
        }
        match splitter.finish() {
            Ok(recipe) => sink.finish(self.store, &mut self.encoder, recipe).map(Ok),
            Err(refusal) => Ok(Err(refusal)),
        }
    }
}

/// The chunks of one lane.
#[derive(Default)]
struct LaneChunks {
    list: Vec<ChunkRef>,
    times: Vec<Option<i64>>,
}

/// Where blocks end, in file order.
struct TrackSink<'f> {
    put: Put<'f>,
    progress: &'f dyn Fn(u64),
    hasher: blake3::Hasher,
    len: u64,
    lanes: BTreeMap<Lane, LaneChunks>,
}

impl<'f> TrackSink<'f> {
    fn new(writer: &'f mut dyn StoreWriter, progress: &'f dyn Fn(u64)) -> Self {
        let (hasher, lanes) = (blake3::Hasher::new(), BTreeMap::new());
        Self { put: Put::new(writer), progress, hasher, len: 0, lanes }
    }

    /// Writes the next block's chunks.
    fn take(&mut self, block: &TrackBlock, cuts: Vec<Cut>) -> Result<(), ContentError> {
        self.hasher.update(block.file_bytes());
        self.len += block.file_bytes().len() as u64;
        for (TrackChunk { lane, time, bytes }, cut) in block.chunks().zip(cuts) {
            let lane = self.lanes.entry(lane).or_default();
            lane.list.push(self.put.chunk(bytes, cut)?);
            lane.times.push(time);
        }
        (self.progress)(self.len);
        Ok(())
    }

    /// Writes the index, the pages and the manifest.
    fn finish(
        mut self,
        store: &dyn ObjectStore,
        encoder: &mut Encoder,
        recipe: Recipe,
    ) -> Result<Ingested, ContentError> {
        let content = ContentId(*self.hasher.finalize().as_bytes());
        let Recipe { container, rule, len, streams, glue, map, checkpoints } = recipe;
        let mut lists = Vec::new();
        let mut times = Vec::new();
        for number in (0..).take(streams.len()) {
            let lane = self.lanes.remove(&Lane::Stream(number)).unwrap_or_default();
            lists.push(lane.list);
            times.push(lane.times);
        }
        for lane in [Lane::Glue, Lane::Map] {
            lists.push(self.lanes.remove(&lane).unwrap_or_default().list);
        }
        let index = TrackIndex { checkpoints, times }.encode();
        let mut cutter = StreamCutter::of_glue(&rule)?;
        let mut chunks = Vec::new();
        let mut rest = index.as_slice();
        while let Some(cut) = cutter.cut(rest, true) {
            let chunk;
            (chunk, rest) = rest.split_at_checked(cut).unwrap_or((rest, &[]));
            chunks.push(chunk);
        }
        let cuts = cut_up(store, encoder, chunks.iter().copied())?;
        let put = chunks.into_iter().zip(cuts).map(|(raw, cut)| self.put.chunk(raw, cut));
        lists.push(put.collect::<Result<_, _>>()?);
        let mut list = ListBuilder::new();
        for chunk in lists.into_iter().flatten() {
            list.push(chunk, &mut pages(self.put.writer))?;
        }
        let (chunks, merkle_root) = list.finish_list(&mut pages(self.put.writer))?;
        let streams =
            streams.into_iter().map(|it| TrackStream { stream: it.stream, len: it.total.bytes });
        let layout = Layout::Tracks(TrackLayout {
            rule,
            container,
            streams: streams.collect(),
            glue: glue.bytes,
            map: map.bytes,
            index: index.len() as u64,
            chunks,
        });
        let manifest = Manifest { content, len, merkle_root, sha256: None, layout };
        self.put.manifest(store, &manifest)
    }
}
