//! Files by content id: reading them back, in ranges or whole, and comparing them by their chunks.
//!
//! The store checks every chunk against its id; that the chunks make the file is checked here, by
//! hashing the whole. How a file is kept may change at any time ([`rechunk`]) without changing what
//! it is: nothing in history names a manifest.

use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::sync::Arc;

use ottvc_chunk::{Block, ChunkError, Cutter, Splitter};
use ottvc_object::manifest::{ChunkList, ChunkRef, CutRule, Layout, Manifest};
use ottvc_object::tree::sequence::{ChunkPosition, Page, Pages};
use ottvc_object::{ChunkId, ContentId, ObjectError, PageId, Storable};
use ottvc_store::{ObjectStore, StoreError};
use serde::Serialize;

use crate::ingest::{Ingest, IngestOptions, Ingested};

/// Chunks are asked of the store in groups of about this many bytes.
const WINDOW_BYTES: u64 = 8 << 20;
/// No group has more chunks, however short they are.
const WINDOW_CHUNKS: usize = 512;

/// Why a file's bytes could not be stored or read back.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// The file being stored could not be read.
    #[error("cannot read the bytes to store")]
    Read {
        /// The reader's error.
        source: io::Error,
    },
    /// What the bytes are written to refused them.
    #[error("cannot write the bytes read back")]
    Write {
        /// The writer's error.
        source: io::Error,
    },
    /// The system gives no thread to work on.
    #[error("cannot start a thread to hash and compress")]
    Thread {
        /// The system's error.
        source: io::Error,
    },
    /// Nobody stored this file here, or collection dropped how it was kept.
    #[error("the store does not keep the file with content {content}")]
    NoManifest {
        /// BLAKE3 of the file.
        content: ContentId,
    },
    /// Every chunk is whole, but together they are another file.
    #[error("the file with content {content} is kept as bytes of content {found}")]
    Mismatch {
        /// BLAKE3 of the file asked for.
        content: ContentId,
        /// BLAKE3 of what its chunks make.
        found: ContentId,
    },
    /// The cutting rule has impossible sizes.
    #[error(transparent)]
    Rule(#[from] ChunkError),
    /// The object store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A manifest or page is malformed, or a range lies past the end.
    #[error(transparent)]
    Object(#[from] ObjectError),
}

impl ContentError {
    /// Returns the stable code shown at the edges; it is never renamed or given a new meaning.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Read { .. } => "content.read",
            Self::Write { .. } => "content.write",
            Self::Thread { .. } => "content.thread",
            Self::NoManifest { .. } => "content.no_manifest",
            Self::Mismatch { .. } => "content.mismatch",
            Self::Rule(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Object(error) => error.code(),
        }
    }
}

/// Pages of chunk lists from a store.
struct StorePages<'s>(&'s dyn ObjectStore);

impl Pages for StorePages<'_> {
    type Error = ContentError;

    fn page(&self, id: PageId) -> Result<Arc<Page>, ContentError> {
        Ok(Arc::new(Page::from_object(&self.0.get(id.into())?)?))
    }
}

/// A file a store keeps, ready to be read.
#[derive(Debug)]
pub struct ContentReader<'s> {
    store: &'s dyn ObjectStore,
    manifest: Manifest,
}

/// Whether `store` keeps the file with this content. Reads the index alone.
///
/// # Errors
/// The store's.
pub fn is_kept(store: &dyn ObjectStore, content: ContentId) -> Result<bool, StoreError> {
    Ok(store.manifest_of(content)?.is_some() || lone_chunk(store, content)?.is_some())
}

/// The one chunk that a file is, if the store has it: content and chunk are named by the same hash.
pub(crate) fn lone_chunk(
    store: &dyn ObjectStore,
    content: ContentId,
) -> Result<Option<ChunkRef>, StoreError> {
    let id = ChunkId(content.0);
    let info = store.chunk_infos(&[id])?.into_iter().flatten().next();
    Ok(info.map(|info| ChunkRef { id, len: info.raw_len }))
}

/// Finds how `store` keeps the file with this content: by a manifest, or as the one chunk it is, which
/// needs none. Reads the manifest, no chunk.
///
/// # Errors
/// [`ContentError::NoManifest`] if it does not keep it.
pub fn open(
    store: &dyn ObjectStore,
    content: ContentId,
) -> Result<ContentReader<'_>, ContentError> {
    let Some(id) = store.manifest_of(content)? else {
        let chunk = lone_chunk(store, content)?.ok_or(ContentError::NoManifest { content })?;
        return Ok(ContentReader { store, manifest: Manifest::lone(chunk) });
    };
    let manifest = Manifest::from_object(&store.get(id)?)?;
    if manifest.content == content {
        Ok(ContentReader { store, manifest })
    } else {
        Err(ContentError::Mismatch { content, found: manifest.content })
    }
}

/// Visits the chunks that make the file with this content, in order, each with its place.
///
/// # Errors
/// As [`open`], for pages that cannot be read, or what `visit` returns.
pub fn chunks(
    store: &dyn ObjectStore,
    content: ContentId,
    visit: &mut dyn FnMut(ChunkPosition) -> Result<(), ContentError>,
) -> Result<(), ContentError> {
    open(store, content)?.chunks(0..u64::MAX, visit)
}

impl<'s> ContentReader<'s> {
    /// Length of the file in bytes.
    #[expect(clippy::len_without_is_empty, reason = "a length in bytes, not of a collection")]
    pub fn len(&self) -> u64 {
        self.manifest.len
    }
    /// BLAKE3 of the file.
    pub fn content(&self) -> ContentId {
        self.manifest.content
    }
    /// How the store keeps it.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }
    fn list(&self) -> &ChunkList {
        let Layout::Plain { chunks, .. } = &self.manifest.layout;
        chunks
    }

    /// Visits each chunk that has a byte in `range`, in order; reads pages, no chunk.
    ///
    /// # Errors
    /// For pages that cannot be read, or what `visit` returns.
    pub fn chunks(
        &self,
        range: Range<u64>,
        visit: &mut dyn FnMut(ChunkPosition) -> Result<(), ContentError>,
    ) -> Result<(), ContentError> {
        self.list().for_each(&StorePages(self.store), range, visit)
    }

    /// Writes the `len` bytes from `offset` on; reads only the chunks they lie in.
    ///
    /// Each chunk is checked against its id. A range proves nothing about the whole file; see
    /// [`ContentReader::write_to`].
    ///
    /// # Errors
    /// [`ObjectError::OutOfRange`] if the range goes past the end; else the store's, or `out`'s.
    pub fn read_range(
        &self,
        offset: u64,
        len: u64,
        out: &mut dyn Write,
    ) -> Result<(), ContentError> {
        let end = offset.checked_add(len).filter(|end| *end <= self.len());
        let Some(end) = end else {
            let offset = offset.saturating_add(len);
            return Err(ObjectError::OutOfRange { offset, len: self.len() }.into());
        };
        self.pieces(offset..end, &mut |piece| out.write_all(piece))
    }

    /// Writes the whole file, and checks it against its content id. Memory: one group of chunks.
    ///
    /// # Errors
    /// [`ContentError::Mismatch`] if the bytes, already written then, are not the file; whoever reads
    /// into a place that others see must write aside first. Else the store's, or `out`'s.
    pub fn write_to(&self, out: &mut dyn Write) -> Result<(), ContentError> {
        let mut hasher = blake3::Hasher::new();
        self.pieces(0..self.len(), &mut |piece| {
            hasher.update(piece);
            out.write_all(piece)
        })?;
        let (content, found) = (self.content(), ContentId(*hasher.finalize().as_bytes()));
        if found == content { Ok(()) } else { Err(ContentError::Mismatch { content, found }) }
    }

    /// Hands out the bytes of `range`, piece by piece in order.
    fn pieces(
        &self,
        range: Range<u64>,
        sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), ContentError> {
        let mut done = range.start;
        let mut window: Vec<ChunkPosition> = Vec::new();
        let mut bytes = 0;
        self.chunks(range.clone(), &mut |position| {
            bytes += u64::from(position.chunk.len);
            window.push(position);
            if bytes < WINDOW_BYTES && window.len() < WINDOW_CHUNKS {
                return Ok(());
            }
            bytes = 0;
            done = self.window(&std::mem::take(&mut window), &range, sink)?;
            Ok(())
        })?;
        if !window.is_empty() {
            done = self.window(&window, &range, sink)?;
        }
        if done < range.end {
            let why = "its chunks are shorter than the file".into();
            return Err(ObjectError::Malformed { what: "manifest", why }.into());
        }
        Ok(())
    }

    /// Reads a group of neighbouring chunks; returns how far they go.
    fn window(
        &self,
        window: &[ChunkPosition],
        range: &Range<u64>,
        sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<u64, ContentError> {
        let ids: Vec<ChunkId> = window.iter().map(|position| position.chunk.id).collect();
        let mut refused = None;
        let read = self.store.read_chunks(&ids, &mut |index, raw| {
            let position =
                window.get(index).filter(|at| usize::try_from(at.chunk.len) == Ok(raw.len()));
            let Some(position) = position else {
                let why = "a chunk is not as long as it says".into();
                return Err(ObjectError::Malformed { what: "manifest", why }.into());
            };
            let inside = |at: u64| usize::try_from(at.saturating_sub(position.start));
            let from = inside(range.start).unwrap_or(raw.len());
            let to = inside(range.end).unwrap_or(raw.len()).min(raw.len());
            sink(raw.get(from..to).unwrap_or_default()).map_err(|error| {
                let stopped = StoreError::Stopped(error.kind().to_string().into());
                refused = Some(error);
                stopped
            })
        });
        match (read, refused) {
            (_, Some(source)) => Err(ContentError::Write { source }),
            (Err(error), None) => Err(error.into()),
            (Ok(()), None) => Ok(window.last().map_or(0, ChunkPosition::end)),
        }
    }
}

/// A stored file as a stream.
struct Stream<'r, 's> {
    file: &'r ContentReader<'s>,
    /// How much of the file was put in `group` so far.
    position: u64,
    group: Vec<u8>,
    /// How much of `group` was handed out.
    used: usize,
}

impl Read for Stream<'_, '_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.used == self.group.len() && self.position < self.file.len() {
            self.group.clear();
            self.used = 0;
            // Up to where a chunk ends, so that no chunk is read twice.
            let last = self.position.saturating_add(WINDOW_BYTES).min(self.file.len()) - 1;
            let end = self
                .file
                .list()
                .locate(&StorePages(self.file.store), last)
                .map_err(io::Error::other)?
                .end();
            self.file
                .read_range(self.position, end.saturating_sub(self.position), &mut self.group)
                .map_err(io::Error::other)?;
            self.position = end;
        }
        let read = self.group.get(self.used..).unwrap_or_default().read(out)?;
        self.used += read;
        Ok(read)
    }
}

/// Cuts a stored file by another rule and keeps it that way from now on; what it is stays the same.
///
/// # Errors
/// As [`open`]; [`ContentError::Mismatch`] if what is kept is not the file, and then nothing changes.
pub fn rechunk(
    store: &dyn ObjectStore,
    content: ContentId,
    options: IngestOptions,
) -> Result<Ingested, ContentError> {
    let file = open(store, content)?;
    let mut writer = store.writer()?;
    let stream = Stream { file: &file, position: 0, group: Vec::new(), used: 0 };
    let ingested = Ingest::new(store, &mut *writer, options).file(stream, &|_| {})?;
    if ingested.content != content {
        return Err(ContentError::Mismatch { content, found: ingested.content });
    }
    writer.finish()?;
    Ok(ingested)
}

/// A run of bytes in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ByteSpan {
    /// How many bytes come before it.
    pub offset: u64,
    /// How many bytes it has.
    pub length: u64,
}

/// What a file has in common with another, by whole chunks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shared {
    /// How many of its bytes lie in chunks that the other has too.
    pub bytes: u64,
    /// Where its other bytes are: in order, neighbours joined.
    pub new_ranges: Vec<ByteSpan>,
}

impl Shared {
    /// What a file of `len` bytes has in common with nothing.
    pub fn none(len: u64) -> Self {
        let mut shared = Self::default();
        shared.add(len, false);
        shared
    }

    /// Adds the next `length` bytes.
    fn add(&mut self, length: u64, known: bool) {
        let offset = self.len();
        if known {
            self.bytes += length;
            return;
        }
        match self.new_ranges.last_mut() {
            Some(last) if last.offset + last.length == offset => last.length += length,
            _ if length > 0 => self.new_ranges.push(ByteSpan { offset, length }),
            _ => {}
        }
    }

    /// How many bytes were added so far.
    fn len(&self) -> u64 {
        self.new_ranges.iter().fold(self.bytes, |sum, range| sum + range.length)
    }
}

/// Says what file `b` has in common with file `a`. Reads chunk lists, no chunk.
///
/// # Errors
/// As [`open`], for either.
pub fn shared_ranges(
    store: &dyn ObjectStore,
    a: ContentId,
    b: ContentId,
) -> Result<Shared, ContentError> {
    let known = chunk_ids(store, a)?;
    let mut shared = Shared::default();
    chunks(store, b, &mut |position| {
        shared.add(u64::from(position.chunk.len), known.contains(&position.chunk.id));
        Ok(())
    })?;
    Ok(shared)
}

/// Says what a file not stored yet, read from `source` and cut by `rule`, has in common with file
/// `a`. Stores nothing.
///
/// # Errors
/// As [`open`] for `a`; [`ContentError::Read`] for `source`.
pub fn shared_with(
    store: &dyn ObjectStore,
    a: ContentId,
    mut source: impl Read,
    rule: CutRule,
) -> Result<Shared, ContentError> {
    let known = chunk_ids(store, a)?;
    let mut splitter = Splitter::new(Cutter::new(rule)?, 0);
    let mut block = Block::default();
    let mut shared = Shared::default();
    while splitter.next(&mut source, &mut block).map_err(|source| ContentError::Read { source })? {
        for chunk in block.chunks() {
            shared.add(chunk.len() as u64, known.contains(&ChunkId::of(chunk)));
        }
    }
    Ok(shared)
}

fn chunk_ids(
    store: &dyn ObjectStore,
    content: ContentId,
) -> Result<HashSet<ChunkId>, ContentError> {
    let mut ids = HashSet::new();
    chunks(store, content, &mut |position| {
        ids.insert(position.chunk.id);
        Ok(())
    })?;
    Ok(ids)
}
