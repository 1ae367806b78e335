//! Storing a file: read, cut, hash, compress, write, in memory that does not grow with the file.
//!
//! A file of one block is done on the calling thread. A longer one goes through a pipeline
//! (`pipeline`): one thread reads and cuts, several hash and compress, and the calling thread writes
//! in file order and hashes the whole. Chunks that the store has are neither compressed nor written.
//! Order: chunks, then pages, then the manifest; all in the caller's batch.

mod pipeline;
mod tracks;

use std::borrow::Cow;
use std::fmt;
use std::io::Read;

use ottvc_chunk::track::is_media;
use ottvc_chunk::track::split::Refusal;
use ottvc_chunk::{Block, Cutter, Splitter};
use ottvc_object::manifest::tracks::TrackRule;
use ottvc_object::manifest::{ChunkRef, CutRule, Layout, ListBuilder, Manifest};
use ottvc_object::{ChunkId, ContentId, Object, Storable};
use ottvc_store::pack::{Encoder, MAX_MEMBER_BYTES};
use ottvc_store::{EncodedChunk, Encoding, ObjectStore, StoreWriter};

use crate::content::ContentError;
pub use tracks::{DiskMedia, Media};
pub(crate) use tracks::{LEAST_BYTES, SeekSource};

/// How many bytes are read, cut and hashed in one go.
const BLOCK_BYTES: usize = 4 << 20;

/// How files are stored.
#[derive(Clone, Debug)]
pub struct IngestOptions {
    /// Where they are cut. Chunks are found again only where they are cut again.
    pub rule: CutRule,
    /// Where the streams of files with tracks are cut; without, such files are cut as all others.
    pub tracks: Option<TrackRule>,
    /// Threads that hash and compress a long file; at least one is used.
    pub jobs: usize,
}

/// What storing one file did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ingested {
    /// BLAKE3 of all its bytes.
    pub content: ContentId,
    /// Its length in bytes.
    pub len: u64,
    /// How many chunks it has.
    pub chunks: u64,
    /// How many of them the store had not.
    pub new_chunks: u64,
    /// Raw bytes of those.
    pub new_bytes: u64,
    /// What those take after compression, records around them left out.
    pub stored_bytes: u64,
}

/// Stores files in one batch, one after another, keeping its buffers.
pub struct Ingest<'w> {
    store: &'w dyn ObjectStore,
    writer: &'w mut dyn StoreWriter,
    options: IngestOptions,
    block: Block,
    encoder: Encoder,
}

impl fmt::Debug for Ingest<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Ingest").field("options", &self.options).finish_non_exhaustive()
    }
}

impl<'w> Ingest<'w> {
    /// Stores into `writer`, a batch of `store`. Cheap: buffers grow with the first file.
    pub fn new(
        store: &'w dyn ObjectStore,
        writer: &'w mut dyn StoreWriter,
        options: IngestOptions,
    ) -> Self {
        Self { store, writer, options, block: Block::default(), encoder: Encoder::default() }
    }

    /// The batch it stores into, for what goes in beside files.
    pub fn writer(&mut self) -> &mut dyn StoreWriter {
        self.writer
    }

    /// Stores all that `reader` gives; `progress` hears how many of its bytes are done, now and then.
    ///
    /// The file is what was read: whoever reads a file that may be changing looks again afterwards. A
    /// manifest by the same rule is left as it is; by another, it is replaced. After an error the
    /// batch holds chunks that nothing names, which is safe to finish and safe to drop.
    ///
    /// # Errors
    /// [`ContentError::Read`] if `reader` fails, or the store's.
    pub fn file(
        &mut self,
        reader: impl Read + Send,
        progress: &dyn Fn(u64),
    ) -> Result<Ingested, ContentError> {
        self.plain(reader, None, progress)
    }

    /// As [`Ingest::file`], for a file that is kept as it lies for the reason `untracked`, if it has tracks.
    fn plain(
        &mut self,
        mut reader: impl Read + Send,
        untracked: Option<&Refusal>,
        progress: &dyn Fn(u64),
    ) -> Result<Ingested, ContentError> {
        let mut splitter = Splitter::new(Cutter::new(self.options.rule)?, BLOCK_BYTES);
        let mut sink = Sink::new(self.writer, progress);
        let failed = |source| ContentError::Read { source };
        if splitter.next(&mut reader, &mut self.block).map_err(failed)? {
            if splitter.ended() {
                let cuts = cut_up(self.store, &mut self.encoder, self.block.chunks())?;
                sink.take(&self.block, cuts)?;
            } else {
                let first = (std::mem::take(&mut self.block), splitter.block_bytes());
                let read = |block: &mut Block| splitter.next(&mut reader, block).map_err(failed);
                let mut take = |block: &Block, cuts| sink.take(block, cuts);
                self.block = pipeline::run(self.store, self.options.jobs, first, read, &mut take)?;
            }
        }
        let content = ContentId(*sink.hasher.finalize().as_bytes());
        sink.finish(self.store, content, self.options.rule, untracked)
    }

    /// Stores a short file that was prepared.
    ///
    /// # Errors
    /// The store's.
    pub fn put(&mut self, prepared: Prepared) -> Result<Ingested, ContentError> {
        let mut sink = Sink::new(self.writer, &|_| {});
        sink.write(&prepared.bytes, prepared.cuts)?;
        sink.finish(self.store, prepared.content, self.options.rule, None)
    }
}

/// A short file, read, cut and hashed; nothing of it is written yet.
pub struct Prepared {
    content: ContentId,
    /// The whole file; empty if none of it is to be stored.
    bytes: Vec<u8>,
    cuts: Vec<Cut>,
}

impl fmt::Debug for Prepared {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Prepared").field("content", &self.content).finish_non_exhaustive()
    }
}

/// Reads, cuts and hashes short files, keeping its buffers: the part of storing them that many threads
/// can do side by side.
pub struct Preparer<'s> {
    store: &'s dyn ObjectStore,
    splitter: Splitter,
    block: Block,
    encoder: Encoder,
    /// Whether files are kept by their tracks.
    tracks: bool,
}

impl fmt::Debug for Preparer<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Preparer").finish_non_exhaustive()
    }
}

impl<'s> Preparer<'s> {
    /// Prepares files for `store`. Cheap: buffers grow with the first file.
    ///
    /// # Errors
    /// [`ContentError::Rule`].
    pub fn new(store: &'s dyn ObjectStore, options: &IngestOptions) -> Result<Self, ContentError> {
        let splitter = Splitter::new(Cutter::new(options.rule)?, BLOCK_BYTES);
        let (block, encoder) = (Block::default(), Encoder::default());
        Ok(Self { store, splitter, block, encoder, tracks: options.tracks.is_some() })
    }

    /// Prepares all that `reader` gives; `None` if that is more than one block, or may have tracks.
    ///
    /// # Errors
    /// [`ContentError::Read`] if `reader` fails, or the store's.
    pub fn prepare(&mut self, reader: &mut dyn Read) -> Result<Option<Prepared>, ContentError> {
        self.splitter.reset();
        let read = self.splitter.next(reader, &mut self.block);
        let cuts = match read.map_err(|source| ContentError::Read { source })? {
            false => Vec::new(),
            true if self.splitter.ended() && !self.may_have_tracks() => {
                cut_up(self.store, &mut self.encoder, self.block.chunks())?
            }
            true => return Ok(None),
        };
        let content = match cuts.as_slice() {
            // The chunk is the file.
            [Cut { chunk, .. }] => ContentId(chunk.id.0),
            _ => ContentId::of(self.block.bytes()),
        };
        let bytes = match cuts.iter().any(|cut| cut.new.is_some()) {
            true => self.block.bytes().to_vec(),
            false => Vec::new(),
        };
        Ok(Some(Prepared { content, bytes, cuts }))
    }
}

impl Preparer<'_> {
    /// Whether the file in the block is to be looked at by a parser.
    fn may_have_tracks(&self) -> bool {
        let bytes = self.block.bytes();
        self.tracks && bytes.len() as u64 >= LEAST_BYTES && is_media(bytes)
    }
}

/// A chunk of a block, hashed.
struct Cut {
    chunk: ChunkRef,
    /// What to store of it; `None` if the store has it.
    new: Option<New>,
}

/// How to store a chunk that is new.
enum New {
    /// As it lies in its block.
    Raw,
    /// Compressed.
    Zstd(Vec<u8>),
}

/// Hashes chunks, asks the store once for all of them, and compresses the new ones.
fn cut_up<'b>(
    store: &dyn ObjectStore,
    encoder: &mut Encoder,
    chunks: impl Iterator<Item = &'b [u8]>,
) -> Result<Vec<Cut>, ContentError> {
    let chunks: Vec<(&[u8], ChunkId)> = chunks.map(|raw| (raw, ChunkId::of(raw))).collect();
    let ids: Vec<ChunkId> = chunks.iter().map(|(_, id)| *id).collect();
    let known = store.chunk_infos(&ids)?;
    let mut cuts = Vec::with_capacity(ids.len());
    for ((raw, id), known) in chunks.into_iter().zip(known) {
        // The cutter's longest chunk is far below 4 GiB.
        let chunk = ChunkRef { id, len: u32::try_from(raw.len()).unwrap_or(u32::MAX) };
        let new =
            known.is_none_or(|info| info.damaged).then(|| match encode(encoder, chunk, raw) {
                EncodedChunk { encoding: Encoding::Zstd, bytes, .. } => {
                    New::Zstd(bytes.into_owned())
                }
                EncodedChunk { encoding: Encoding::Raw, .. } => New::Raw,
            });
        cuts.push(Cut { chunk, new });
    }
    Ok(cuts)
}

/// Compresses a chunk where that is worth it.
pub(crate) fn encode<'a>(
    encoder: &mut Encoder,
    chunk: ChunkRef,
    raw: &'a [u8],
) -> EncodedChunk<'a> {
    // A short one is packed better together with its neighbours.
    let (encoding, bytes) = match raw.len() {
        ..=MAX_MEMBER_BYTES => (Encoding::Raw, Cow::Borrowed(raw)),
        _ => encoder.encode(raw),
    };
    EncodedChunk { id: chunk.id, raw_len: chunk.len, encoding, bytes }
}

/// Where chunks go, and what that came to.
struct Put<'f> {
    writer: &'f mut dyn StoreWriter,
    chunks: u64,
    new_chunks: u64,
    new_bytes: u64,
    stored_bytes: u64,
}

impl<'f> Put<'f> {
    fn new(writer: &'f mut dyn StoreWriter) -> Self {
        Self { writer, chunks: 0, new_chunks: 0, new_bytes: 0, stored_bytes: 0 }
    }

    /// Writes a chunk, if it is new.
    fn chunk(&mut self, raw: &[u8], Cut { chunk, new }: Cut) -> Result<ChunkRef, ContentError> {
        self.chunks += 1;
        let Some(new) = new else { return Ok(chunk) };
        let (encoding, bytes) = match new {
            New::Raw => (Encoding::Raw, Cow::Borrowed(raw)),
            New::Zstd(packed) => (Encoding::Zstd, Cow::Owned(packed)),
        };
        let stored = bytes.len() as u64;
        let ChunkRef { id, len: raw_len } = chunk;
        if self.writer.put_chunk(EncodedChunk { id, raw_len, encoding, bytes })? {
            self.new_chunks += 1;
            self.new_bytes += u64::from(chunk.len);
            self.stored_bytes += stored;
        }
        Ok(chunk)
    }

    /// Writes the manifest of a file, unless the store keeps it that way.
    fn manifest(
        self,
        store: &dyn ObjectStore,
        manifest: &Manifest,
    ) -> Result<Ingested, ContentError> {
        if !is_kept(store, manifest)? {
            self.writer.put(&manifest.to_object()?)?;
        }
        Ok(Ingested {
            content: manifest.content,
            len: manifest.len,
            chunks: self.chunks,
            new_chunks: self.new_chunks,
            new_bytes: self.new_bytes,
            stored_bytes: self.stored_bytes,
        })
    }
}

/// Where blocks of a file that is kept as it lies end, in file order.
struct Sink<'f> {
    put: Put<'f>,
    progress: &'f dyn Fn(u64),
    hasher: blake3::Hasher,
    list: ListBuilder,
    len: u64,
}

impl<'f> Sink<'f> {
    fn new(writer: &'f mut dyn StoreWriter, progress: &'f dyn Fn(u64)) -> Self {
        let (hasher, list) = (blake3::Hasher::new(), ListBuilder::new());
        Self { put: Put::new(writer), progress, hasher, list, len: 0 }
    }

    /// Writes the next block's chunks.
    fn take(&mut self, block: &Block, cuts: Vec<Cut>) -> Result<(), ContentError> {
        self.hasher.update(block.bytes());
        self.write(block.bytes(), cuts)?;
        (self.progress)(self.len);
        Ok(())
    }

    /// Writes the next chunks, which lie side by side in `block`.
    fn write(&mut self, block: &[u8], cuts: Vec<Cut>) -> Result<(), ContentError> {
        let mut rest = block;
        for cut in cuts {
            self.len += u64::from(cut.chunk.len);
            let len = usize::try_from(cut.chunk.len).unwrap_or(usize::MAX);
            let raw;
            (raw, rest) = rest.split_at_checked(len).unwrap_or_default();
            let chunk = self.put.chunk(raw, cut)?;
            self.list.push(chunk, &mut pages(self.put.writer))?;
        }
        Ok(())
    }

    /// Writes the last pages and the manifest.
    fn finish(
        self,
        store: &dyn ObjectStore,
        content: ContentId,
        rule: CutRule,
        untracked: Option<&Refusal>,
    ) -> Result<Ingested, ContentError> {
        let why = untracked.map(|refusal| refusal.word().to_owned());
        let manifest = self.list.finish(content, rule, why, &mut pages(self.put.writer))?;
        self.put.manifest(store, &manifest)
    }
}

/// Where the pages of a chunk list go.
fn pages(writer: &mut dyn StoreWriter) -> impl FnMut(Object) -> Result<(), ContentError> {
    move |page| {
        writer.put(&page)?;
        Ok(())
    }
}

/// Whether the store keeps the file so that the manifest need not be stored: by one with the same
/// layout, whatever else that one says of it, or by none where a lone chunk needs none. One that cannot
/// be read is as good as none: the new one heals it. So is any while damage is known: what reads here
/// may be a second copy.
fn is_kept(store: &dyn ObjectStore, new: &Manifest) -> Result<bool, ContentError> {
    let Some(id) = store.manifest_of(new.content)? else {
        return Ok(matches!(&new.layout, Layout::Plain { chunks, .. } if chunks.count() == 1));
    };
    if store.is_damaged() {
        return Ok(false);
    }
    let old = store.get(id).ok().and_then(|object| Manifest::from_object(&object).ok());
    Ok(old.is_some_and(|old| old.layout == new.layout))
}
