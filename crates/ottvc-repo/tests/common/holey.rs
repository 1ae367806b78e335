//! A store with holes, and with other bytes in packs than it says.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

use std::collections::HashSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use ottvc_object::{ChunkId, ContentId, Kind, Object, ObjectId};
use ottvc_store::memory::MemoryStore;
use ottvc_store::{
    Checked, ChunkInfo, Collectable, DamagedThing, Held, ObjectStore, Portion, StoreError,
    StoreWriter, Usage,
};

/// A store from which some things are gone.
#[derive(Debug, Default)]
pub(crate) struct Holey {
    pub(crate) inner: Arc<MemoryStore>,
    gone: Mutex<HashSet<[u8; 32]>>,
    /// Chunks that read as others where nobody asks whether they are whole.
    spoilt: Mutex<HashSet<[u8; 32]>>,
    /// Bytes in packs beside records.
    pub(crate) overhead: AtomicI64,
}

impl Holey {
    pub(crate) fn lose(&self, id: [u8; 32]) {
        self.gone.lock().unwrap().insert(id);
    }
    pub(crate) fn spoil(&self, id: [u8; 32]) {
        self.spoilt.lock().unwrap().insert(id);
    }
    fn lost(&self, id: &[u8; 32]) -> bool {
        self.gone.lock().unwrap().contains(id)
    }
}

impl ObjectStore for Holey {
    fn collectable(&self) -> &dyn Collectable {
        self.inner.collectable()
    }
    fn get(&self, id: ObjectId) -> Result<Object, StoreError> {
        if self.lost(&id.0) { Err(StoreError::NotFound { id }) } else { self.inner.get(id) }
    }
    fn contains(&self, ids: &[ObjectId]) -> Result<Vec<bool>, StoreError> {
        let held = self.inner.contains(ids)?;
        Ok(held.into_iter().zip(ids).map(|(held, id)| held && !self.lost(&id.0)).collect())
    }
    fn chunk_infos(&self, ids: &[ChunkId]) -> Result<Vec<Option<ChunkInfo>>, StoreError> {
        let infos = self.inner.chunk_infos(ids)?;
        Ok(infos
            .into_iter()
            .zip(ids)
            .map(|(info, id)| info.filter(|_| !self.lost(&id.0)))
            .collect())
    }
    fn read_chunks(
        &self,
        ids: &[ChunkId],
        visit: &mut dyn FnMut(usize, &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let there = ids.iter().take_while(|id| !self.lost(&id.0)).count();
        self.inner.read_chunks(&ids[..there], visit)?;
        ids.get(there).map_or(Ok(()), |id| Err(StoreError::NoChunk { id: *id }))
    }
    fn read_chunks_unproven(
        &self,
        ids: &[ChunkId],
        visit: &mut dyn FnMut(usize, &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.inner.read_chunks(ids, &mut |index, raw| {
            let mut raw = raw.to_vec();
            raw[0] ^= u8::from(self.spoilt.lock().unwrap().contains(&ids[index].0));
            visit(index, &raw)
        })
    }
    fn manifest_of(&self, content: ContentId) -> Result<Option<ObjectId>, StoreError> {
        self.inner.manifest_of(content)
    }
    fn writer(&self) -> Result<Box<dyn StoreWriter + '_>, StoreError> {
        self.inner.writer()
    }
    fn sync(&self) -> Result<(), StoreError> {
        self.inner.sync()
    }
    fn scan(
        &self,
        visit: &mut dyn FnMut(Held) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.inner.scan(&mut |held| {
            let (Held::Object { id: ObjectId(id), .. } | Held::Chunk { id: ChunkId(id), .. }) =
                held;
            if self.lost(&id) { Ok(()) } else { visit(held) }
        })
    }
    fn usage(&self) -> Result<Usage, StoreError> {
        let usage = self.inner.usage()?;
        let overhead = self.overhead.load(Ordering::Relaxed);
        Ok(Usage { pack_bytes: usage.pack_bytes.checked_add_signed(overhead).unwrap(), ..usage })
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
}
