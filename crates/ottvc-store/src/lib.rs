//! Stores immutable objects, named by the hash of their bytes, and the chunks that files are cut into.
//!
//! An object never changes; a read gives bytes that hash to the id asked for, or an error. Writing is
//! in batches: what a batch holds is found at once by the same process, and survives a crash from the
//! next barrier on ([`ObjectStore::sync`], or a transaction of the ref store beside it). The seams
//! block; a backend over a network keeps its own runtime and runs a batch's requests side by side.
//! Refs, and what nobody reaches any more, are known elsewhere; `collect` is how it is removed.

pub mod behind;
pub mod collect;
pub mod error;
pub mod hints;
pub mod memory;
pub mod pack;
pub mod pages;
pub mod workspace;

use std::borrow::Cow;
use std::fmt::Debug;

use ottvc_object::{ChunkId, ContentId, Kind, Object, ObjectError, ObjectId};

pub use collect::{Collectable, session};
pub use error::StoreError;
use pack::{RecordHeader, RecordKind};
pub use workspace::WorkspaceStore;

/// How the bytes of a chunk or object lie in a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Encoding {
    /// As they are.
    Raw = 0,
    /// One zstd frame.
    Zstd = 1,
}

/// A chunk ready to be stored: hashed, and compressed where that helps.
#[derive(Clone, Debug)]
pub struct EncodedChunk<'a> {
    /// BLAKE3 of its raw bytes.
    pub id: ChunkId,
    /// Length of its raw bytes, at least 1.
    pub raw_len: u32,
    /// How `bytes` spell them.
    pub encoding: Encoding,
    /// The bytes to store; borrowed, so that media goes from where it was read to its pack.
    pub bytes: Cow<'a, [u8]>,
}

impl EncodedChunk<'_> {
    /// The same, with bytes of its own.
    pub fn into_owned(self) -> EncodedChunk<'static> {
        EncodedChunk { bytes: Cow::Owned(self.bytes.into_owned()), ..self }
    }

    /// Returns the header of its record, if its lengths are ones a pack can hold.
    ///
    /// # Errors
    /// [`ObjectError::TooLarge`] past [`pack::MAX_RAW_BYTES`], [`ObjectError::Malformed`] if it is
    /// empty or no shorter encoded than raw.
    pub fn header(&self) -> Result<RecordHeader, ObjectError> {
        let too_large = |len: usize| ObjectError::TooLarge {
            what: "chunk",
            len: len as u64,
            limit: u64::from(pack::MAX_RAW_BYTES),
        };
        let stored_len =
            u32::try_from(self.bytes.len()).map_err(|_| too_large(self.bytes.len()))?;
        let header = RecordHeader {
            kind: RecordKind::Chunk,
            encoding: self.encoding,
            raw_len: self.raw_len,
            stored_len,
            id: self.id.0,
        };
        if self.raw_len > pack::MAX_RAW_BYTES {
            return Err(too_large(self.bytes.len()));
        }
        if header.lengths_fit() {
            Ok(header)
        } else {
            Err(ObjectError::Malformed { what: "chunk", why: "its lengths do not fit".into() })
        }
    }
}

/// What a store knows about a chunk without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkInfo {
    /// Length of its raw bytes.
    pub raw_len: u32,
    /// Whether a check found it damaged: whoever has its bytes stores it anew. It may still read.
    pub damaged: bool,
}

/// What a batch wrote, over all its puts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Objects not stored before.
    pub objects: u64,
    /// Chunks not stored before.
    pub chunks: u64,
    /// Raw bytes of those chunks and canonical bytes of those objects.
    pub raw_bytes: u64,
    /// What they take in packs, records included.
    pub stored_bytes: u64,
}

/// One thing a store holds, as a scan meets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// An object.
    Object {
        /// Its id.
        id: ObjectId,
        /// What it is.
        kind: Kind,
        /// Length of its canonical bytes.
        raw_len: u32,
        /// What it takes in packs, its record included.
        stored_len: u64,
    },
    /// A chunk.
    Chunk {
        /// Its id.
        id: ChunkId,
        /// Length of its raw bytes.
        raw_len: u32,
        /// What it takes in packs, its record included.
        stored_len: u64,
    },
}

/// Sizes of a whole store, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Every byte of every pack.
    pub pack_bytes: u64,
    /// How many packs there are.
    pub packs: u64,
}

/// A place in a store whose bytes are not what they were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// What lay there, where that is still known.
    pub what: Option<DamagedThing>,
    /// The file, and the offset in it where known.
    pub place: String,
    /// What is wrong with it.
    pub why: String,
}

/// The thing that a damaged place held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DamagedThing {
    /// An object.
    Object(ObjectId),
    /// A chunk.
    Chunk(ChunkId),
}

/// What a check of every byte counted and found.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// Objects read and hashed.
    pub objects: u64,
    /// Chunks read and hashed.
    pub chunks: u64,
    /// Bytes read from packs.
    pub bytes: u64,
    /// Every damaged place.
    pub damage: Vec<Damage>,
    /// How far round the checks of parts are, if this was one.
    pub round: Option<Round>,
}

/// How much of a store to check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Portion {
    /// All of it.
    Everything,
    /// The packs whose last check lies longest ago, as many as come to `bytes`, and at least one. Each
    /// goes on where the last stopped, until every pack was read and a new round begins.
    Oldest {
        /// The budget.
        bytes: u64,
        /// The time, in UTC milliseconds since 1970.
        now: i64,
    },
}

/// How far round the checks of parts are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Round {
    /// When the round began, in UTC milliseconds since 1970.
    pub began: i64,
    /// Packs read this time.
    pub packs: u64,
    /// Bytes of the packs that were read since it began.
    pub done_bytes: u64,
    /// Bytes of all packs there are now.
    pub total_bytes: u64,
}

impl Round {
    /// Whether every pack was read since it began.
    pub fn is_complete(&self) -> bool {
        self.done_bytes == self.total_bytes
    }
}

/// Keeps objects and chunks and gives them back. Done when it passes `testkit::objects`.
///
/// An answer that something is there holds for as long as nobody collects; who acts on answers begins
/// a [`session`].
pub trait ObjectStore: Debug + Send + Sync {
    /// Returns the object named `id`, its bytes checked against `id`.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Damaged`], or the backend's own failure.
    fn get(&self, id: ObjectId) -> Result<Object, StoreError>;

    /// Says for each id whether that object is stored, in the order given; reads no object.
    fn contains(&self, ids: &[ObjectId]) -> Result<Vec<bool>, StoreError>;

    /// Says for each chunk what is known of it; reads no chunk. `None` where it is not stored, or is
    /// known to be damaged: whoever has its bytes is to store it again.
    fn chunk_infos(&self, ids: &[ChunkId]) -> Result<Vec<Option<ChunkInfo>>, StoreError>;

    /// Reads chunks in the order given and hands each, raw and checked against its id, to `visit`
    /// with its index. Neighbours in a pack are read together. Memory: one read window.
    ///
    /// # Errors
    /// As [`ObjectStore::get`] for the first chunk that cannot be read, or what `visit` returns.
    fn read_chunks(
        &self,
        ids: &[ChunkId],
        visit: &mut dyn FnMut(usize, &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError>;

    /// As [`ObjectStore::read_chunks`], for whoever hashes all of them together, and gives none of them out
    /// before that agrees: a store may leave out checking each, so that bytes are not hashed twice. Where
    /// they do not agree, [`ObjectStore::read_chunks`] names the chunk that is damaged.
    ///
    /// # Errors
    /// As [`ObjectStore::read_chunks`].
    fn read_chunks_unproven(
        &self,
        ids: &[ChunkId],
        visit: &mut dyn FnMut(usize, &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.read_chunks(ids, visit)
    }

    /// As [`ObjectStore::read_chunks`], or as [`ObjectStore::read_chunks_unproven`] if they are not to be
    /// `proven`, in the order that suits the store.
    ///
    /// # Errors
    /// As [`ObjectStore::read_chunks`].
    fn read_chunks_unordered(
        &self,
        ids: &[ChunkId],
        proven: bool,
        visit: &mut dyn FnMut(usize, &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        match proven {
            true => self.read_chunks(ids, visit),
            false => self.read_chunks_unproven(ids, visit),
        }
    }

    /// Returns the id of the manifest that a file with this content is kept by, if the store has it.
    /// It is the one stored last.
    fn manifest_of(&self, content: ContentId) -> Result<Option<ObjectId>, StoreError>;

    /// Starts a batch.
    ///
    /// # Errors
    /// [`StoreError::ReadOnly`] on a store opened for reading.
    fn writer(&self) -> Result<Box<dyn StoreWriter + '_>, StoreError>;

    /// Makes durable everything finished so far: packs first, then the index.
    fn sync(&self) -> Result<(), StoreError>;

    /// Visits everything held, in no particular order; reads the index alone.
    fn scan(&self, visit: &mut dyn FnMut(Held) -> Result<(), StoreError>)
    -> Result<(), StoreError>;

    /// Returns the sizes of the whole store.
    fn usage(&self) -> Result<Usage, StoreError>;

    /// Reads every byte of the packs of a portion, checks it against ids and checksums, and what the
    /// index says of those packs. What is damaged is remembered, until it is stored again or found
    /// whole. `progress` hears how many bytes are done, of how many.
    fn check(
        &self,
        portion: Portion,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Checked, StoreError>;

    /// What is known to read as damaged: checks found it so, or [`ObjectStore::note_damage`] said so,
    /// and it was not stored again.
    fn known_damage(&self) -> Result<Vec<DamagedThing>, StoreError>;

    /// Remembers things that were met and read as damaged, as a check remembers what it finds.
    fn note_damage(&self, things: &[DamagedThing]) -> Result<(), StoreError>;

    /// Whether anything held is known to read as damaged, since a check found it so, and was not
    /// stored again. While it is, whoever remembers that content is stored must not rely on it.
    fn is_damaged(&self) -> bool;

    /// Returns every id of an object of the given kinds that starts with `prefix` (hexadecimal,
    /// lowercase), at most `limit`.
    fn find_prefix(
        &self,
        prefix: &str,
        kinds: &[Kind],
        limit: usize,
    ) -> Result<Vec<ObjectId>, StoreError>;

    /// The side of it that a collector sees.
    fn collectable(&self) -> &dyn Collectable;
}

/// One batch of writes. Dropping it unfinished forgets what was not yet synced.
pub trait StoreWriter: Debug {
    /// Stores an object; says whether it is new. A manifest becomes the one its content is kept by.
    fn put(&mut self, object: &Object) -> Result<bool, StoreError>;

    /// Stores a chunk; says whether it is new. A short one that lies as it is may be packed together
    /// with its neighbours, which is better than what it could be packed into alone.
    fn put_chunk(&mut self, chunk: EncodedChunk<'_>) -> Result<bool, StoreError>;

    /// Ends the batch: its content is found from now on, and durable at the next barrier.
    fn finish(self: Box<Self>) -> Result<Written, StoreError>;
}
