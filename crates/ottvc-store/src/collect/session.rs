//! A store as one writer sees it: what it is told is there stays there until it is done.

use std::sync::Arc;

use ottvc_object::{ChunkId, ContentId, Kind, Object, ObjectId};

use super::{Collectable, Pins, Thing};
use crate::{
    Checked, ChunkInfo, DamagedThing, Held, ObjectStore, Portion, StoreError, StoreWriter, Usage,
};

/// Begins a session: the same store, whose answers pin what they name until the last clone of this is
/// dropped. Whoever moves a ref, or saves a working copy's state, begins one before the first question
/// and drops it after the ref has moved.
///
/// An object that was read or said to be there is pinned with all it names. A chunk is pinned when it
/// is asked for by [`ObjectStore::chunk_infos`]; reading one pins nothing, its manifest does.
pub fn session(store: &Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore> {
    let pins = Arc::clone(store.collectable().pins());
    if !pins.remembers() {
        return Arc::clone(store);
    }
    let epoch = pins.begin_session();
    Arc::new(Session { store: Arc::clone(store), pins, epoch })
}

#[derive(Debug)]
struct Session {
    store: Arc<dyn ObjectStore>,
    pins: Arc<Pins>,
    epoch: u64,
}

impl Session {
    fn is_gone(&self, id: ObjectId) -> bool {
        self.pins.ask(&[Thing::Object(id)]).contains(&true)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.pins.end_session(self.epoch);
    }
}

impl ObjectStore for Session {
    fn get(&self, id: ObjectId) -> Result<Object, StoreError> {
        if self.is_gone(id) { Err(StoreError::NotFound { id }) } else { self.store.get(id) }
    }

    fn contains(&self, ids: &[ObjectId]) -> Result<Vec<bool>, StoreError> {
        let things: Vec<_> = ids.iter().copied().map(Thing::Object).collect();
        let gone = self.pins.ask(&things);
        let there = self.store.contains(ids)?;
        Ok(there.into_iter().zip(gone).map(|(there, gone)| there && !gone).collect())
    }

    fn chunk_infos(&self, ids: &[ChunkId]) -> Result<Vec<Option<ChunkInfo>>, StoreError> {
        let things: Vec<_> = ids.iter().copied().map(Thing::Chunk).collect();
        let gone = self.pins.ask(&things);
        let infos = self.store.chunk_infos(ids)?;
        Ok(infos.into_iter().zip(gone).map(|(info, gone)| info.filter(|_| !gone)).collect())
    }

    fn is_damaged(&self) -> bool {
        self.store.is_damaged()
    }

    fn read_chunks(
        &self,
        ids: &[ChunkId],
        visit: &mut dyn FnMut(usize, &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.store.read_chunks(ids, visit)
    }

    fn read_chunks_unproven(
        &self,
        ids: &[ChunkId],
        visit: &mut dyn FnMut(usize, &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.store.read_chunks_unproven(ids, visit)
    }

    fn read_chunks_unordered(
        &self,
        ids: &[ChunkId],
        proven: bool,
        visit: &mut dyn FnMut(usize, &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.store.read_chunks_unordered(ids, proven, visit)
    }

    fn manifest_of(&self, content: ContentId) -> Result<Option<ObjectId>, StoreError> {
        let Some(id) = self.store.manifest_of(content)? else { return Ok(None) };
        if self.is_gone(id) {
            return Ok(None);
        }
        // Asked again now that it is pinned: it may have been dropped just before, and then the file
        // is kept by it no more.
        Ok(self.store.manifest_of(content)?.filter(|now| *now == id))
    }

    fn writer(&self) -> Result<Box<dyn StoreWriter + '_>, StoreError> {
        self.store.writer()
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.store.sync()
    }

    fn scan(
        &self,
        visit: &mut dyn FnMut(Held) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.store.scan(visit)
    }

    fn usage(&self) -> Result<Usage, StoreError> {
        self.store.usage()
    }

    fn check(
        &self,
        portion: Portion,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Checked, StoreError> {
        self.store.check(portion, progress)
    }

    fn known_damage(&self) -> Result<Vec<DamagedThing>, StoreError> {
        self.store.known_damage()
    }

    fn note_damage(&self, things: &[DamagedThing]) -> Result<(), StoreError> {
        self.store.note_damage(things)
    }

    fn find_prefix(
        &self,
        prefix: &str,
        kinds: &[Kind],
        limit: usize,
    ) -> Result<Vec<ObjectId>, StoreError> {
        self.store.find_prefix(prefix, kinds, limit)
    }

    fn collectable(&self) -> &dyn Collectable {
        self.store.collectable()
    }
}
