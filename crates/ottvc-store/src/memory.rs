//! Stores that keep everything in memory: for tests, and for work that leaves nothing behind.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ottvc_object::manifest::Manifest;
use ottvc_object::{ChunkId, ContentId, Kind, Object, ObjectId, Storable};

use crate::collect::{Collectable, Dropped, Pins, Rewritten, Settled, Thing, Trashed, Worn};
use crate::pack::{Decoder, RecordHeader};
use crate::{
    Checked, ChunkInfo, Damage, DamagedThing, EncodedChunk, Held, ObjectStore, Portion, Round,
    StoreError, StoreWriter, Usage, WorkspaceStore, Written,
};

/// How often a memory store was asked for something, since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Objects given back by `get`.
    pub objects_read: u64,
    /// Objects stored that were new.
    pub objects_written: u64,
    /// Chunks handed to a reader.
    pub chunks_read: u64,
    /// Chunks stored that were new.
    pub chunks_written: u64,
}

/// Objects and chunks in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    held: Mutex<Everything>,
    pins: Arc<Pins>,
    objects_read: AtomicU64,
    objects_written: AtomicU64,
    chunks_read: AtomicU64,
    chunks_written: AtomicU64,
}

#[derive(Debug, Default)]
struct Everything {
    objects: BTreeMap<ObjectId, Object>,
    chunks: HashMap<ChunkId, EncodedChunk<'static>>,
    manifests: HashMap<ContentId, ObjectId>,
    /// Things that read as damaged; storing one again heals it.
    damaged: Vec<DamagedThing>,
    /// Since when things are in the trash.
    trash: BTreeMap<Thing, i64>,
}

impl Everything {
    /// What a thing takes in packs, if it is held.
    fn bytes(&self, thing: Thing) -> Option<u64> {
        match thing {
            Thing::Object(id) => self.objects.get(&id).map(|it| record_len(it.bytes().len())),
            Thing::Chunk(id) => self.chunks.get(&id).map(|it| record_len(it.bytes.len())),
        }
    }

    /// Forgets a thing.
    fn drop_thing(&mut self, thing: Thing) {
        self.trash.remove(&thing);
        match thing {
            Thing::Object(id) => {
                self.objects.remove(&id);
                self.manifests.retain(|_, manifest| *manifest != id);
            }
            Thing::Chunk(id) => {
                self.chunks.remove(&id);
            }
        }
    }

    /// Forgets a thing that is condemned, since it is about to be stored anew.
    fn make_way(&mut self, pins: &Pins, thing: Thing) {
        if pins.ask(&[thing]).contains(&true) {
            self.drop_thing(thing);
            pins.stored(thing);
        }
    }
}

impl MemoryStore {
    /// An empty store with other pins.
    pub fn with_pins(pins: Pins) -> Self {
        Self { pins: Arc::new(pins), ..Self::default() }
    }

    /// Returns how often it was asked, for tests that assert what an algorithm touches.
    pub fn counts(&self) -> Counts {
        Counts {
            objects_read: self.objects_read.load(Ordering::Relaxed),
            objects_written: self.objects_written.load(Ordering::Relaxed),
            chunks_read: self.chunks_read.load(Ordering::Relaxed),
            chunks_written: self.chunks_written.load(Ordering::Relaxed),
        }
    }

    /// Makes `thing` read as damaged until it is stored again.
    pub fn damage(&self, thing: DamagedThing) {
        self.held().damaged.push(thing);
    }

    fn held(&self) -> MutexGuard<'_, Everything> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a thing would take in a pack.
fn record_len(stored: usize) -> u64 {
    RecordHeader::LEN + stored as u64
}

/// Where a memory store keeps everything.
const PLACE: &str = "memory";

impl ObjectStore for MemoryStore {
    fn get(&self, id: ObjectId) -> Result<Object, StoreError> {
        let held = self.held();
        if held.damaged.contains(&DamagedThing::Object(id)) {
            return Err(StoreError::Damaged { id, place: PLACE.into() });
        }
        let object = held.objects.get(&id).cloned().ok_or(StoreError::NotFound { id })?;
        self.objects_read.fetch_add(1, Ordering::Relaxed);
        Ok(object)
    }

    fn contains(&self, ids: &[ObjectId]) -> Result<Vec<bool>, StoreError> {
        let held = self.held();
        Ok(ids.iter().map(|id| held.objects.contains_key(id)).collect())
    }

    fn chunk_infos(&self, ids: &[ChunkId]) -> Result<Vec<Option<ChunkInfo>>, StoreError> {
        let held = self.held();
        let info = |chunk: &EncodedChunk<'_>| ChunkInfo {
            raw_len: chunk.raw_len,
            damaged: held.damaged.contains(&DamagedThing::Chunk(chunk.id)),
        };
        Ok(ids.iter().map(|id| held.chunks.get(id).map(info)).collect())
    }

    fn read_chunks(
        &self,
        ids: &[ChunkId],
        visit: &mut dyn FnMut(usize, &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut decoder = Decoder::default();
        for (index, id) in ids.iter().enumerate() {
            let chunk = {
                let held = self.held();
                if held.damaged.contains(&DamagedThing::Chunk(*id)) {
                    return Err(StoreError::DamagedChunk { id: *id, place: PLACE.into() });
                }
                held.chunks.get(id).cloned().ok_or(StoreError::NoChunk { id: *id })?
            };
            let raw = decoder.unpack(chunk.encoding, chunk.raw_len, &chunk.bytes);
            match raw {
                Ok(raw) if ChunkId::of(&raw) == *id => visit(index, &raw)?,
                _ => return Err(StoreError::DamagedChunk { id: *id, place: PLACE.into() }),
            }
            self.chunks_read.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    fn manifest_of(&self, content: ContentId) -> Result<Option<ObjectId>, StoreError> {
        Ok(self.held().manifests.get(&content).copied())
    }

    fn writer(&self) -> Result<Box<dyn StoreWriter + '_>, StoreError> {
        Ok(Box::new(MemoryWriter {
            store: self,
            objects: Vec::new(),
            new: HashSet::new(),
            chunks: HashMap::new(),
        }))
    }

    fn sync(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn scan(
        &self,
        visit: &mut dyn FnMut(Held) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut all = Vec::new();
        {
            let held = self.held();
            all.extend(held.objects.values().map(|object| Held::Object {
                id: object.id(),
                kind: object.kind(),
                raw_len: u32::try_from(object.bytes().len()).unwrap_or(u32::MAX),
                stored_len: record_len(object.bytes().len()),
            }));
            all.extend(held.chunks.values().map(|chunk| Held::Chunk {
                id: chunk.id,
                raw_len: chunk.raw_len,
                stored_len: record_len(chunk.bytes.len()),
            }));
        }
        all.into_iter().try_for_each(visit)
    }

    fn usage(&self) -> Result<Usage, StoreError> {
        let held = self.held();
        let objects = held.objects.values().map(|object| record_len(object.bytes().len()));
        let chunks = held.chunks.values().map(|chunk| record_len(chunk.bytes.len()));
        let pack_bytes: u64 = objects.chain(chunks).sum();
        Ok(Usage { pack_bytes, packs: u64::from(pack_bytes > 0) })
    }

    /// Of a portion it checks everything as well: there is nothing to read.
    fn check(
        &self,
        portion: Portion,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Checked, StoreError> {
        let Usage { pack_bytes: bytes, packs } = self.usage()?;
        let held = self.held();
        let round = match portion {
            Portion::Everything => None,
            Portion::Oldest { now, .. } => {
                Some(Round { began: now, packs, done_bytes: bytes, total_bytes: bytes })
            }
        };
        let mut checked = Checked {
            objects: held.objects.len() as u64,
            chunks: held.chunks.len() as u64,
            bytes,
            damage: Vec::new(),
            round,
        };
        for thing in &held.damaged {
            let why = "its bytes do not hash to its id".to_owned();
            checked.damage.push(Damage { what: Some(*thing), place: PLACE.into(), why });
        }
        progress(bytes, bytes);
        Ok(checked)
    }

    fn known_damage(&self) -> Result<Vec<DamagedThing>, StoreError> {
        Ok(self.held().damaged.clone())
    }

    fn note_damage(&self, things: &[DamagedThing]) -> Result<(), StoreError> {
        let mut held = self.held();
        for thing in things {
            if !held.damaged.contains(thing) {
                held.damaged.push(*thing);
            }
        }
        Ok(())
    }

    fn is_damaged(&self) -> bool {
        !self.held().damaged.is_empty()
    }

    fn find_prefix(
        &self,
        prefix: &str,
        kinds: &[Kind],
        limit: usize,
    ) -> Result<Vec<ObjectId>, StoreError> {
        let held = self.held();
        let objects = held.objects.values().filter(|object| kinds.contains(&object.kind()));
        let found = objects.map(Object::id).filter(|id| id.to_string().starts_with(prefix));
        Ok(found.take(limit).collect())
    }

    fn collectable(&self) -> &dyn Collectable {
        self
    }
}

impl Collectable for MemoryStore {
    fn pins(&self) -> &Arc<Pins> {
        &self.pins
    }

    fn manifests(
        &self,
        visit: &mut dyn FnMut(ContentId, ObjectId) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let all = self.held().manifests.clone();
        all.into_iter().try_for_each(|(content, manifest)| visit(content, manifest))
    }

    fn trashed(
        &self,
        visit: &mut dyn FnMut(Trashed) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let all: Vec<_> = {
            let held = self.held();
            let trashed = |(thing, since): (&Thing, &i64)| {
                let bytes = held.bytes(*thing)?;
                Some(Trashed { thing: *thing, since: *since, bytes })
            };
            held.trash.iter().filter_map(trashed).collect()
        };
        all.into_iter().try_for_each(visit)
    }

    fn trash_times(&self, things: &[Thing]) -> Result<Vec<Option<i64>>, StoreError> {
        let held = self.held();
        Ok(things.iter().map(|thing| held.trash.get(thing).copied()).collect())
    }

    fn trash(&self, things: &[Thing], now: i64) -> Result<Dropped, StoreError> {
        let (mut held, mut trashed) = (self.held(), Dropped::default());
        for thing in things {
            let Some(bytes) = held.bytes(*thing) else { continue };
            if self.pins.is_unheld(*thing) && !held.trash.contains_key(thing) {
                held.trash.insert(*thing, now);
                trashed.add(*thing, bytes);
            }
        }
        Ok(trashed)
    }

    fn take_back(&self, things: &[Thing]) -> Result<u64, StoreError> {
        let mut held = self.held();
        let found = things.iter().filter(|thing| held.trash.remove(thing).is_some());
        Ok(found.count() as u64)
    }

    fn purge(&self, things: &[Thing]) -> Result<Dropped, StoreError> {
        let (mut held, mut dropped) = (self.held(), Dropped::default());
        for thing in things {
            let Some(bytes) = held.bytes(*thing) else { continue };
            if self.pins.is_condemned(*thing) {
                held.drop_thing(*thing);
                dropped.add(*thing, bytes);
            }
        }
        Ok(dropped)
    }

    fn worn(&self, _: usize) -> Result<Vec<Worn>, StoreError> {
        Ok(Vec::new())
    }

    fn rewrite(&self, _: &Worn) -> Result<Rewritten, StoreError> {
        Ok(Rewritten::default())
    }

    fn settle(&self, _: u64, _: i64) -> Result<Settled, StoreError> {
        Ok(Settled::default())
    }
}

/// A batch, kept aside until it is finished.
#[derive(Debug)]
struct MemoryWriter<'a> {
    store: &'a MemoryStore,
    objects: Vec<(Object, Option<ContentId>)>,
    new: HashSet<ObjectId>,
    chunks: HashMap<ChunkId, EncodedChunk<'static>>,
}

impl StoreWriter for MemoryWriter<'_> {
    fn put(&mut self, object: &Object) -> Result<bool, StoreError> {
        let content = match object.kind() {
            Kind::Manifest => Some(Manifest::from_object(object)?.content),
            _ => None,
        };
        let mut held = self.store.held();
        held.make_way(&self.store.pins, Thing::Object(object.id()));
        let known = held.objects.contains_key(&object.id())
            && !held.damaged.contains(&DamagedThing::Object(object.id()));
        let known = known || !self.new.insert(object.id());
        if !known || content.is_some() {
            self.objects.push((object.clone(), content));
        }
        Ok(!known)
    }

    fn put_chunk(&mut self, chunk: EncodedChunk<'_>) -> Result<bool, StoreError> {
        chunk.header()?;
        let mut held = self.store.held();
        held.make_way(&self.store.pins, Thing::Chunk(chunk.id));
        let known = held.chunks.contains_key(&chunk.id)
            && !held.damaged.contains(&DamagedThing::Chunk(chunk.id));
        if known || self.chunks.contains_key(&chunk.id) {
            return Ok(false);
        }
        self.chunks.insert(chunk.id, chunk.into_owned());
        Ok(true)
    }

    fn finish(self: Box<Self>) -> Result<Written, StoreError> {
        let mut held = self.store.held();
        let mut written = Written::default();
        for (object, content) in self.objects {
            let id = object.id();
            held.damaged.retain(|thing| *thing != DamagedThing::Object(id));
            if let Some(content) = content {
                held.manifests.insert(content, id);
            }
            let len = object.bytes().len();
            if held.objects.insert(id, object).is_none() {
                written.objects += 1;
                written.raw_bytes += len as u64;
                written.stored_bytes += record_len(len);
            }
        }
        for (id, chunk) in self.chunks {
            held.damaged.retain(|thing| *thing != DamagedThing::Chunk(id));
            let (raw_len, stored) = (chunk.raw_len, chunk.bytes.len());
            if held.chunks.insert(id, chunk).is_none() {
                written.chunks += 1;
                written.raw_bytes += u64::from(raw_len);
                written.stored_bytes += record_len(stored);
            }
        }
        self.store.objects_written.fetch_add(written.objects, Ordering::Relaxed);
        self.store.chunks_written.fetch_add(written.chunks, Ordering::Relaxed);
        Ok(written)
    }
}

/// A working copy's state and cache in memory.
#[derive(Debug, Default)]
pub struct MemoryWorkspace {
    held: Mutex<Remembered>,
}

#[derive(Debug, Default)]
struct Remembered {
    state: Option<Vec<u8>>,
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl MemoryWorkspace {
    fn held(&self) -> MutexGuard<'_, Remembered> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WorkspaceStore for MemoryWorkspace {
    fn load(&self) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.held().state.clone())
    }

    fn save(&self, state: &[u8], rows: &[(Vec<u8>, Option<Vec<u8>>)]) -> Result<(), StoreError> {
        self.held().state = Some(state.to_vec());
        self.cache(rows)
    }

    fn cache(&self, rows: &[(Vec<u8>, Option<Vec<u8>>)]) -> Result<(), StoreError> {
        let mut held = self.held();
        for (key, value) in rows {
            match value {
                Some(value) => held.rows.insert(key.clone(), value.clone()),
                None => held.rows.remove(key),
            };
        }
        Ok(())
    }

    fn row(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.held().rows.get(key).cloned())
    }

    fn rows(
        &self,
        start: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        for (key, value) in self.held().rows.range(start.to_vec()..) {
            if !visit(key, value)? {
                break;
            }
        }
        Ok(())
    }
}
