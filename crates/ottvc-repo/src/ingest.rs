//! Storing a file: read, cut, hash, compress, write, in memory that does not grow with the file.
//!
//! A file of one block is done on the calling thread. A longer one goes through a pipeline
//! (`pipeline`): one thread reads and cuts, several hash and compress, and the calling thread writes
//! in file order and hashes the whole. Chunks that the store has are neither compressed nor written.
//! Order: chunks, then pages, then the manifest; all in the caller's batch.

mod pipeline;

use std::borrow::Cow;
use std::fmt;
use std::io::Read;

use ottvc_chunk::{Block, Cutter, Splitter};
use ottvc_object::manifest::{ChunkRef, CutRule, Layout, ListBuilder, Manifest};
use ottvc_object::{ChunkId, ContentId, Storable};
use ottvc_store::pack::{Encoder, MAX_MEMBER_BYTES};
use ottvc_store::{EncodedChunk, Encoding, ObjectStore, StoreWriter};

use crate::content::ContentError;

/// How many bytes are read, cut and hashed in one go.
const BLOCK_BYTES: usize = 2 << 20;

/// How files are stored.
#[derive(Clone, Debug)]
pub struct IngestOptions {
    /// Where they are cut. Chunks are found again only where they are cut again.
    pub rule: CutRule,
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
        mut reader: impl Read + Send,
        progress: &dyn Fn(u64),
    ) -> Result<Ingested, ContentError> {
        let mut splitter = Splitter::new(Cutter::new(self.options.rule)?, BLOCK_BYTES);
        let mut sink = Sink::new(self.writer, progress);
        let mut read = |splitter: &mut Splitter, block: &mut Block| {
            splitter.next(&mut reader, block).map_err(|source| ContentError::Read { source })
        };
        if read(&mut splitter, &mut self.block)? {
            if splitter.ended() {
                let cuts = cut_up(self.store, &mut self.encoder, &self.block)?;
                sink.take(&self.block, cuts)?;
            } else {
                let first = std::mem::take(&mut self.block);
                let jobs = self.options.jobs;
                self.block = pipeline::run(self.store, jobs, first, splitter, read, &mut sink)?;
            }
        }
        let content = ContentId(*sink.hasher.finalize().as_bytes());
        sink.finish(self.store, content, self.options.rule)
    }

    /// Stores a short file that was prepared.
    ///
    /// # Errors
    /// The store's.
    pub fn put(&mut self, prepared: Prepared) -> Result<Ingested, ContentError> {
        let mut sink = Sink::new(self.writer, &|_| {});
        sink.write(prepared.cuts)?;
        sink.finish(self.store, prepared.content, self.options.rule)
    }
}

/// A short file, read, cut and hashed; nothing of it is written yet.
pub struct Prepared {
    content: ContentId,
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
        Ok(Self { store, splitter, block: Block::default(), encoder: Encoder::default() })
    }

    /// Prepares all that `reader` gives; `None` if that is more than one block.
    ///
    /// # Errors
    /// [`ContentError::Read`] if `reader` fails, or the store's.
    pub fn prepare(&mut self, reader: &mut dyn Read) -> Result<Option<Prepared>, ContentError> {
        self.splitter.reset();
        let read = self.splitter.next(reader, &mut self.block);
        let cuts = match read.map_err(|source| ContentError::Read { source })? {
            false => Vec::new(),
            true if self.splitter.ended() => cut_up(self.store, &mut self.encoder, &self.block)?,
            true => return Ok(None),
        };
        let content = match cuts.as_slice() {
            // The chunk is the file.
            [Cut { chunk, .. }] => ContentId(chunk.id.0),
            _ => ContentId::of(self.block.bytes()),
        };
        Ok(Some(Prepared { content, cuts }))
    }
}

/// A chunk of a block, hashed; with its bytes to store, if the store has it not.
struct Cut {
    chunk: ChunkRef,
    new: Option<EncodedChunk>,
}

/// Hashes the chunks of a block, asks the store once for all of them, and compresses the new ones.
fn cut_up(
    store: &dyn ObjectStore,
    encoder: &mut Encoder,
    block: &Block,
) -> Result<Vec<Cut>, ContentError> {
    let ids: Vec<ChunkId> = block.chunks().map(ChunkId::of).collect();
    let known = store.chunk_infos(&ids)?;
    let mut cuts = Vec::with_capacity(ids.len());
    for ((raw, id), known) in block.chunks().zip(ids).zip(known) {
        // The cutter's longest chunk is far below 4 GiB.
        let chunk = ChunkRef { id, len: u32::try_from(raw.len()).unwrap_or(u32::MAX) };
        let new = known.is_none_or(|info| info.damaged).then(|| {
            // A short one is packed better together with its neighbours.
            let (encoding, bytes) = match raw.len() {
                ..=MAX_MEMBER_BYTES => (Encoding::Raw, Cow::Borrowed(raw)),
                _ => encoder.encode(raw),
            };
            EncodedChunk { id, raw_len: chunk.len, encoding, bytes: bytes.into_owned() }
        });
        cuts.push(Cut { chunk, new });
    }
    Ok(cuts)
}

/// Where blocks end, in file order.
struct Sink<'f> {
    writer: &'f mut dyn StoreWriter,
    progress: &'f dyn Fn(u64),
    hasher: blake3::Hasher,
    list: ListBuilder,
    len: u64,
    chunks: u64,
    new_chunks: u64,
    new_bytes: u64,
    stored_bytes: u64,
}

impl<'f> Sink<'f> {
    fn new(writer: &'f mut dyn StoreWriter, progress: &'f dyn Fn(u64)) -> Self {
        Self {
            writer,
            progress,
            hasher: blake3::Hasher::new(),
            list: ListBuilder::new(),
            len: 0,
            chunks: 0,
            new_chunks: 0,
            new_bytes: 0,
            stored_bytes: 0,
        }
    }

    /// Writes the next block's chunks.
    fn take(&mut self, block: &Block, cuts: Vec<Cut>) -> Result<(), ContentError> {
        self.hasher.update(block.bytes());
        self.write(cuts)?;
        (self.progress)(self.len);
        Ok(())
    }

    /// Writes the next chunks.
    fn write(&mut self, cuts: Vec<Cut>) -> Result<(), ContentError> {
        for Cut { chunk, new } in cuts {
            self.chunks += 1;
            self.len += u64::from(chunk.len);
            if let Some(new) = new {
                let stored = new.bytes.len() as u64;
                if self.writer.put_chunk(new)? {
                    self.new_chunks += 1;
                    self.new_bytes += u64::from(chunk.len);
                    self.stored_bytes += stored;
                }
            }
            let writer = &mut *self.writer;
            self.list.push(chunk, &mut |page| {
                writer.put(&page)?;
                Ok::<_, ContentError>(())
            })?;
        }
        Ok(())
    }

    /// Writes the last pages and the manifest.
    fn finish(
        self,
        store: &dyn ObjectStore,
        content: ContentId,
        rule: CutRule,
    ) -> Result<Ingested, ContentError> {
        let writer = self.writer;
        let manifest = self.list.finish(content, rule, &mut |page| {
            writer.put(&page)?;
            Ok::<_, ContentError>(())
        })?;
        if !is_kept(store, &manifest)? {
            writer.put(&manifest.to_object()?)?;
        }
        Ok(Ingested {
            content,
            len: self.len,
            chunks: self.chunks,
            new_chunks: self.new_chunks,
            new_bytes: self.new_bytes,
            stored_bytes: self.stored_bytes,
        })
    }
}

/// Whether the store keeps the file so that the manifest need not be stored: by one with the same
/// layout, whatever else that one says of it, or by none where a lone chunk needs none. One that cannot
/// be read is as good as none: the new one heals it. So is any while damage is known: what reads here
/// may be a second copy.
fn is_kept(store: &dyn ObjectStore, new: &Manifest) -> Result<bool, ContentError> {
    let Layout::Plain { rule, chunks } = &new.layout;
    let Some(id) = store.manifest_of(new.content)? else { return Ok(chunks.count() == 1) };
    if store.is_damaged() {
        return Ok(false);
    }
    let old = store.get(id).ok().and_then(|object| Manifest::from_object(&object).ok());
    Ok(old.is_some_and(|old| {
        let Layout::Plain { rule: old_rule, chunks: old_chunks } = &old.layout;
        (old_rule, old_chunks) == (rule, chunks)
    }))
}
