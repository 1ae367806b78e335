//! Stores that fail on cue, to see what those above them do about it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ottvc_object::{ChunkId, ContentId, Kind, Object, ObjectId};
use ottvc_refs::{Operation, RefError, RefName, RefStore, RefTransaction, RefValue};
use ottvc_store::{
    Checked, ChunkInfo, Collectable, DamagedThing, EncodedChunk, Held, ObjectStore, Portion,
    StoreError, StoreWriter, Usage, WorkspaceStore, Written,
};

/// When to fail; shared by the stores that are to fail together.
#[derive(Debug)]
pub struct Faults {
    calls: AtomicU64,
    fail_at: AtomicU64,
}

impl Default for Faults {
    fn default() -> Self {
        Self { calls: AtomicU64::new(0), fail_at: AtomicU64::new(u64::MAX) }
    }
}

impl Faults {
    /// Makes the call after `calls` more fail, and every one after it, as a full disk would.
    pub fn fail_after(&self, calls: u64) {
        let at = self.calls.load(Ordering::SeqCst).saturating_add(calls);
        self.fail_at.store(at, Ordering::SeqCst);
    }

    /// Makes no call fail any more.
    pub fn heal(&self) {
        self.fail_at.store(u64::MAX, Ordering::SeqCst);
    }

    /// How many calls that change something were made.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    fn step(&self, action: &'static str) -> Result<(), StoreError> {
        if self.calls.fetch_add(1, Ordering::SeqCst) < self.fail_at.load(Ordering::SeqCst) {
            return Ok(());
        }
        let source = "it fails on cue".into();
        Err(StoreError::Full { action, path: "a store that fails on cue".into(), source })
    }
}

/// An object store whose writes fail on cue.
#[derive(Debug)]
pub struct FaultyObjects {
    /// The store beneath.
    pub inner: Arc<dyn ObjectStore>,
    /// When to fail.
    pub faults: Arc<Faults>,
}

#[derive(Debug)]
struct FaultyWriter<'a> {
    inner: Box<dyn StoreWriter + 'a>,
    faults: &'a Faults,
}

impl ObjectStore for FaultyObjects {
    fn get(&self, id: ObjectId) -> Result<Object, StoreError> {
        self.inner.get(id)
    }
    fn contains(&self, ids: &[ObjectId]) -> Result<Vec<bool>, StoreError> {
        self.inner.contains(ids)
    }
    fn chunk_infos(&self, ids: &[ChunkId]) -> Result<Vec<Option<ChunkInfo>>, StoreError> {
        self.inner.chunk_infos(ids)
    }
    fn read_chunks(
        &self,
        ids: &[ChunkId],
        visit: &mut dyn FnMut(usize, &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.inner.read_chunks(ids, visit)
    }

    fn read_chunks_unproven(
        &self,
        ids: &[ChunkId],
        visit: &mut dyn FnMut(usize, &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.inner.read_chunks_unproven(ids, visit)
    }
    fn manifest_of(&self, content: ContentId) -> Result<Option<ObjectId>, StoreError> {
        self.inner.manifest_of(content)
    }
    fn writer(&self) -> Result<Box<dyn StoreWriter + '_>, StoreError> {
        let inner = self.inner.writer()?;
        Ok(Box::new(FaultyWriter { inner, faults: &self.faults }))
    }
    fn sync(&self) -> Result<(), StoreError> {
        self.faults.step("sync")?;
        self.inner.sync()
    }
    fn scan(
        &self,
        visit: &mut dyn FnMut(Held) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.inner.scan(visit)
    }
    fn usage(&self) -> Result<Usage, StoreError> {
        self.inner.usage()
    }
    fn check(
        &self,
        portion: Portion,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Checked, StoreError> {
        self.inner.check(portion, progress)
    }
    fn known_damage(&self) -> Result<Vec<DamagedThing>, StoreError> {
        self.inner.known_damage()
    }
    fn note_damage(&self, things: &[DamagedThing]) -> Result<(), StoreError> {
        self.inner.note_damage(things)
    }
    fn is_damaged(&self) -> bool {
        self.inner.is_damaged()
    }
    fn find_prefix(
        &self,
        prefix: &str,
        kinds: &[Kind],
        limit: usize,
    ) -> Result<Vec<ObjectId>, StoreError> {
        self.inner.find_prefix(prefix, kinds, limit)
    }
    fn collectable(&self) -> &dyn Collectable {
        self.inner.collectable()
    }
}

impl StoreWriter for FaultyWriter<'_> {
    fn put(&mut self, object: &Object) -> Result<bool, StoreError> {
        self.faults.step("put an object in")?;
        self.inner.put(object)
    }
    fn put_chunk(&mut self, chunk: EncodedChunk<'_>) -> Result<bool, StoreError> {
        self.faults.step("put a chunk in")?;
        self.inner.put_chunk(chunk)
    }
    fn finish(self: Box<Self>) -> Result<Written, StoreError> {
        self.faults.step("finish a batch of")?;
        self.inner.finish()
    }
}

/// A ref store whose transactions fail on cue.
#[derive(Debug)]
pub struct FaultyRefs {
    /// The store beneath.
    pub inner: Arc<dyn RefStore>,
    /// When to fail.
    pub faults: Arc<Faults>,
}

impl RefStore for FaultyRefs {
    fn get(&self, name: &RefName) -> Result<Option<RefValue>, RefError> {
        self.inner.get(name)
    }
    fn list(&self) -> Result<Vec<(RefName, RefValue)>, RefError> {
        self.inner.list()
    }
    fn transact(&self, transaction: &RefTransaction) -> Result<Operation, RefError> {
        let failed =
            |error: StoreError| RefError::Backend { action: "move refs", source: error.into() };
        self.faults.step("move refs in").map_err(failed)?;
        self.inner.transact(transaction)
    }
    fn operation(&self, id: u64) -> Result<Option<Operation>, RefError> {
        self.inner.operation(id)
    }
    fn operations(&self, before: Option<u64>, limit: usize) -> Result<Vec<Operation>, RefError> {
        self.inner.operations(before, limit)
    }
}

/// A workspace store whose writes fail on cue.
#[derive(Debug)]
pub struct FaultyWorkspace {
    /// The store beneath.
    pub inner: Arc<dyn WorkspaceStore>,
    /// When to fail.
    pub faults: Arc<Faults>,
}

impl WorkspaceStore for FaultyWorkspace {
    fn load(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.load()
    }
    fn save(&self, state: &[u8], rows: &[(Vec<u8>, Option<Vec<u8>>)]) -> Result<(), StoreError> {
        self.faults.step("save a workspace in")?;
        self.inner.save(state, rows)
    }
    fn stage(&self, state: &[u8], rows: &[(Vec<u8>, Option<Vec<u8>>)]) -> Result<(), StoreError> {
        self.faults.step("stage a workspace in")?;
        self.inner.stage(state, rows)
    }
    fn cache(&self, rows: &[(Vec<u8>, Option<Vec<u8>>)]) -> Result<(), StoreError> {
        self.faults.step("cache rows in")?;
        self.inner.cache(rows)
    }
    fn row(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.row(key)
    }
    fn rows(
        &self,
        start: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        self.inner.rows(start, visit)
    }
}
