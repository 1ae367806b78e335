//! Files by content id: reading them back, in ranges or whole, and comparing them by their chunks.
//!
//! The store checks every chunk against its id; that the chunks make the file is checked here, by
//! hashing the whole. How a file is kept may change at any time ([`rechunk`]) without changing what
//! it is: nothing in history names a manifest.

mod compare;
mod tracks;

use std::io::{self, Read, Write};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ottvc_chunk::ChunkError;
use ottvc_chunk::track::{MIN_WINDOW, Role, Source, Window};
use ottvc_object::manifest::{ChunkList, ChunkRef, Layout, Manifest};
use ottvc_object::tree::sequence::{ChunkPosition, Page, Pages};
use ottvc_object::{ChunkId, ContentId, ObjectError, ObjectId, PageId, Storable};
use ottvc_store::{ObjectStore, StoreError, StoreWriter};
use serde::Serialize;

use crate::ingest::{Ingest, IngestOptions, Ingested, Media};
pub(crate) use compare::weigh;
pub use compare::{
    Kept, KeptStream, KeptTracks, NewRange, Shared, TimeSpan, TrackShare, kept, shared_ranges,
    shared_with,
};
use compare::{container_name, role_name};
use tracks::TrackReader;

/// Chunks are asked of the store this many at a time; it reads them in windows of its own.
const GROUP_CHUNKS: usize = 1024;
/// A stream is read in groups of about this many bytes.
const WINDOW_BYTES: u64 = 8 << 20;

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
    Rule(ChunkError),
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

    /// Whether it says that one file is not whole, and nothing of others.
    pub(crate) fn is_about_one_file(&self) -> bool {
        match self {
            Self::Store(error) => crate::audit::is_about_one_thing(error),
            // Read from a store, it may be an error of that.
            Self::Read { source } => {
                let inner = source.get_ref().and_then(|inner| inner.downcast_ref::<Self>());
                inner.is_some_and(Self::is_about_one_file)
            }
            Self::NoManifest { .. } | Self::Mismatch { .. } | Self::Object(_) => true,
            Self::Write { .. } | Self::Thread { .. } | Self::Rule(_) => false,
        }
    }
}

impl From<ChunkError> for ContentError {
    /// A map or an index that no writer makes is a fault of the file, not of the rule.
    fn from(error: ChunkError) -> Self {
        match error {
            ChunkError::BadMap { why, .. } => {
                ObjectError::Malformed { what: "manifest", why: why.into() }.into()
            }
            error @ ChunkError::BadRule { .. } => Self::Rule(error),
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
    Ok(kept_by(store, content)?.is_some())
}

/// By what a store keeps a file.
#[derive(Clone, Copy, Debug)]
pub(crate) enum KeptBy {
    /// Its manifest.
    Manifest(ObjectId),
    /// The one chunk it is.
    Chunk(ChunkRef),
}

/// Finds by what `store` keeps a file. A manifest that is gone is passed over for the chunk: when the
/// rule was another, the file may have been cut into several. It is named if there is nothing else.
pub(crate) fn kept_by(
    store: &dyn ObjectStore,
    content: ContentId,
) -> Result<Option<KeptBy>, StoreError> {
    let manifest = store.manifest_of(content)?;
    if let Some(id) = manifest
        && store.contains(&[id])? == [true]
    {
        return Ok(Some(KeptBy::Manifest(id)));
    }
    let chunk = lone_chunk(store, content)?.map(KeptBy::Chunk);
    Ok(chunk.or(manifest.map(KeptBy::Manifest)))
}

/// Whether `store` has the file whole, as far as the index says: how it is kept, and every chunk of it,
/// none of them known to be damaged. Reads its manifest and pages, no chunk.
///
/// # Errors
/// The store's as a whole; a manifest that cannot be read only makes the file one it has not.
pub fn is_whole(store: &dyn ObjectStore, content: ContentId) -> Result<bool, StoreError> {
    let (mut whole, mut ids) = (true, Vec::with_capacity(GROUP_CHUNKS));
    let mut ask = |ids: &mut Vec<ChunkId>| {
        let infos = store.chunk_infos(ids)?;
        whole &= infos.iter().all(|info| info.is_some_and(|info| !info.damaged));
        ids.clear();
        Ok::<_, StoreError>(())
    };
    let listed = chunks(store, content, &mut |position| {
        ids.push(position.chunk.id);
        if ids.len() == GROUP_CHUNKS { Ok(ask(&mut ids)?) } else { Ok(()) }
    });
    match listed {
        Ok(()) => ask(&mut ids)?,
        Err(ContentError::Store(error)) if !crate::audit::is_about_one_thing(&error) => {
            return Err(error);
        }
        Err(_) => return Ok(false),
    }
    Ok(whole)
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
/// A manifest that is gone or damaged is passed over for the chunk: cut by another rule, the file may
/// have had several before.
///
/// # Errors
/// [`ContentError::NoManifest`] if it does not keep it.
pub fn open(
    store: &dyn ObjectStore,
    content: ContentId,
) -> Result<ContentReader<'_>, ContentError> {
    let lone = |chunk| ContentReader { store, manifest: Manifest::lone(chunk) };
    let id = match kept_by(store, content)?.ok_or(ContentError::NoManifest { content })? {
        KeptBy::Manifest(id) => id,
        KeptBy::Chunk(chunk) => return Ok(lone(chunk)),
    };
    let object = match store.get(id) {
        Err(error @ StoreError::Damaged { .. }) => {
            return lone_chunk(store, content)?.map(lone).ok_or(error.into());
        }
        other => other?,
    };
    let manifest = Manifest::from_object(&object)?;
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
        self.manifest.layout.chunks()
    }

    /// Visits each chunk that has a byte in `range` of the file, or of its streams one after the other if
    /// it is kept by its tracks, in order; reads pages, no chunk.
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
        self.pieces(true, offset..end, &mut |piece| out.write_all(piece))
    }

    /// Writes the whole file, and checks it against its content id. Memory: one group of chunks.
    ///
    /// # Errors
    /// [`ContentError::Mismatch`] if the bytes, already written then, are not the file; whoever reads
    /// into a place that others see must write aside first. Else the store's, or `out`'s.
    pub fn write_to(&self, out: &mut dyn Write) -> Result<(), ContentError> {
        self.check(true, out)
    }

    /// As [`ContentReader::write_to`], for a place that nobody sees before this returns: bytes that are not
    /// the file's may be written there. Each byte is hashed once, for the whole, and a second time only
    /// to name the chunk that is damaged.
    ///
    /// # Errors
    /// As [`ContentReader::write_to`].
    pub fn write_aside(&self, out: &mut dyn Write) -> Result<(), ContentError> {
        match self.check(false, out) {
            Err(mismatch @ ContentError::Mismatch { .. }) => {
                self.write_to(&mut io::sink())?;
                // Whole by now, but what was written is not.
                Err(mismatch)
            }
            done => done,
        }
    }

    /// Writes the whole file, its chunks checked one by one if `proven`, and checks it against its content id.
    fn check(&self, proven: bool, out: &mut dyn Write) -> Result<(), ContentError> {
        let mut hasher = blake3::Hasher::new();
        self.pieces(proven, 0..self.len(), &mut |piece| {
            hasher.update(piece);
            out.write_all(piece)
        })?;
        let (content, found) = (self.content(), ContentId(*hasher.finalize().as_bytes()));
        if found == content { Ok(()) } else { Err(ContentError::Mismatch { content, found }) }
    }

    /// Hands out the bytes of `range`, piece by piece in order.
    fn pieces(
        &self,
        proven: bool,
        range: Range<u64>,
        sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), ContentError> {
        if let Layout::Tracks(layout) = &self.manifest.layout {
            return TrackReader::new(self.store, layout, self.len())?.pieces(proven, range, sink);
        }
        let mut done = range.start;
        let mut window: Vec<ChunkPosition> = Vec::new();
        self.chunks(range.clone(), &mut |position| {
            window.push(position);
            if window.len() < GROUP_CHUNKS {
                return Ok(());
            }
            done = self.window(proven, &std::mem::take(&mut window), &range, sink)?;
            Ok(())
        })?;
        if !window.is_empty() {
            done = self.window(proven, &window, &range, sink)?;
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
        proven: bool,
        window: &[ChunkPosition],
        range: &Range<u64>,
        sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<u64, ContentError> {
        let ids: Vec<ChunkId> = window.iter().map(|position| position.chunk.id).collect();
        let mut refused = None;
        let visit = &mut |index: usize, raw: &[u8]| {
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
        };
        let read = match proven {
            true => self.store.read_chunks(&ids, visit),
            false => self.store.read_chunks_unproven(&ids, visit),
        };
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
            let most = self.position.saturating_add(WINDOW_BYTES).min(self.file.len());
            // Up to where a chunk ends, so that no chunk is read twice.
            let end = match self.file.manifest.layout.plain() {
                Some(list) => {
                    let chunk = list.locate(&StorePages(self.file.store), most - 1);
                    chunk.map_err(io::Error::other)?.end()
                }
                None => most,
            };
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

/// A stored file, looked around in, and read again from its beginning.
struct Stored<'r, 's>(&'r ContentReader<'s>);

impl Source for Stored<'_, '_> {
    fn len(&self) -> u64 {
        self.0.len()
    }
    fn read_at(&mut self, offset: u64, mut out: &mut [u8]) -> io::Result<()> {
        let len = out.len() as u64;
        self.0.read_range(offset, len, &mut out).map_err(io::Error::other)
    }
}

impl<'r, 's> Media for Stored<'r, 's> {
    type Reader = Stream<'r, 's>;

    fn around(&mut self) -> &mut dyn Source {
        self
    }
    fn begin(&mut self) -> Result<Stream<'r, 's>, ContentError> {
        Ok(Stream { file: self.0, position: 0, group: Vec::new(), used: 0 })
    }
}

/// Whether a stored file is of a kind that has tracks; looks around in it as ingest would.
pub(crate) fn has_tracks(file: &ContentReader<'_>) -> bool {
    matches!(ottvc_chunk::track::open(&mut Stored(file)), Ok(Some(_)))
}

/// A track as the file itself tells of it.
pub(crate) struct ProbedTrack {
    /// `video`, `audio`, `text` or `data`.
    pub(crate) role: &'static str,
    /// Its coding, as [`ottvc_chunk::track::Stream`] has it.
    pub(crate) codec: String,
    /// Its language, as [`ottvc_chunk::track::Stream`] has it.
    pub(crate) language: String,
}

/// The kind of container a stored file is, and its tracks in the file's order; `None` if it has none.
pub(crate) fn probe(
    file: &ContentReader<'_>,
) -> Result<Option<(&'static str, Vec<ProbedTrack>)>, ContentError> {
    let mut around = Stored(file);
    let Some(mut parser) = ottvc_chunk::track::open(&mut around).ok().flatten() else {
        return Ok(None);
    };
    // What has no table of its tracks names them as it goes.
    let mut bytes = Vec::new();
    file.read_range(0, (MIN_WINDOW as u64).min(file.len()), &mut bytes)?;
    let window = Window { at: 0, bytes: &bytes, ends: bytes.len() as u64 == file.len() };
    let met = catch_unwind(AssertUnwindSafe(|| {
        parser.parse(window, &mut Vec::new());
        parser.streams().to_vec()
    }));
    // A parser that panics says nothing.
    let tracks = met.unwrap_or_default().into_iter().filter(|stream| stream.role != Role::Side);
    let tracks = tracks.map(|stream| ProbedTrack {
        role: role_name(stream.role),
        codec: stream.codec,
        language: stream.language,
    });
    let (container, tracks) = (container_name(parser.container()), tracks.collect());
    Ok(Some((container, tracks)))
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
    let ingested = Ingest::new(store, &mut *writer, options).media(Stored(&file), &|_| {})?;
    if ingested.content != content {
        return Err(ContentError::Mismatch { content, found: ingested.content });
    }
    if let Some(sha256) = file.manifest.sha256
        && let Some(id) = store.manifest_of(content)?
        && let Ok(new) = store.get(id)
    {
        // What was learnt of the file holds however it is kept.
        let new = Manifest { sha256: Some(sha256), ..Manifest::from_object(&new)? };
        writer.put(&new.to_object()?)?;
    }
    writer.finish()?;
    Ok(ingested)
}

/// Stores a file that another store keeps, in a batch of `store`. What reads as another file there is
/// stored as what it is, which nothing names.
///
/// # Errors
/// As [`open`] for `other`; [`ContentError::Mismatch`] if what it keeps is not the file.
pub(crate) fn copy(
    other: &dyn ObjectStore,
    content: ContentId,
    store: &dyn ObjectStore,
    writer: &mut dyn StoreWriter,
    options: IngestOptions,
) -> Result<(), ContentError> {
    let file = open(other, content)?;
    let found = Ingest::new(store, writer, options).media(Stored(&file), &|_| {})?.content;
    if found == content { Ok(()) } else { Err(ContentError::Mismatch { content, found }) }
}

/// A run of bytes in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ByteSpan {
    /// How many bytes come before it.
    pub offset: u64,
    /// How many bytes it has.
    pub length: u64,
}
