//! The object store of a store on disk: writing a batch.

use std::sync::MutexGuard;
use std::sync::atomic::Ordering;

use ottvc_object::manifest::Manifest;
use ottvc_object::{ChunkId, ContentId, Hash, Kind, Object, ObjectId, Storable};
use ottvc_store::pack::{Class, Encoder, MAX_MEMBER_BYTES, RecordKind};
use ottvc_store::{DamagedThing, EncodedChunk, Encoding, StoreError, StoreWriter, Written};

use crate::collect::make_way;
use crate::db::Table;
use crate::ledger::Ledger;
use crate::rows::{ObjectPlace, Place, Rows};
use crate::shared::Shared;
use crate::small::{Counts, Grouped, Packer, Pools, Small, Sort, Waiting};

/// One batch. Its records go to packs at once, small things as soon as they make a group; its rows wait
/// until it is finished, so that no other batch counts on what this one may still drop. Dropped
/// unfinished, its records are dead weight.
#[derive(Debug)]
pub(crate) struct LocalWriter<'a> {
    shared: &'a Shared,
    rows: Rows,
    written: Written,
    /// Small things that wait for their groups.
    pools: Pools,
    /// A full group, while it is packed beside what comes next.
    flight: Option<Flight>,
    packer: Option<Packer>,
    encoder: Encoder,
}

/// A full group on its way to a pack.
#[derive(Debug)]
struct Flight {
    sort: Sort,
    waiting: Waiting,
    /// Once it is packed.
    grouped: Option<Grouped>,
}

impl<'a> LocalWriter<'a> {
    pub(crate) fn new(shared: &'a Shared) -> Self {
        shared.open_batches.fetch_add(1, Ordering::SeqCst);
        Self {
            shared,
            rows: Rows::default(),
            written: Written::default(),
            pools: Pools::default(),
            flight: None,
            packer: None,
            encoder: Encoder::default(),
        }
    }

    /// Takes a small new thing, and sends the group it fills on its way; after an error it is not taken, and
    /// what was taken before still waits.
    fn group(
        &mut self,
        ledger: MutexGuard<'_, Ledger>,
        sort: Sort,
        thing: Small,
        raw: &[u8],
    ) -> Result<(), StoreError> {
        if !self.pools.of(sort).add(sort, thing, raw) {
            return Ok(());
        }
        // Other threads look things up while this one waits for what is packed, or packs.
        drop(ledger);
        let sent = self.pack_flight().and_then(|()| {
            if self.flight.is_some() {
                let shared = self.shared;
                self.land(&mut *shared.writing()?)?;
            }
            self.send(sort)
        });
        if sent.is_err() {
            self.pools.of(sort).pop();
        }
        sent
    }

    /// Has what waits of a sort packed by a thread of its own, or here where there is none.
    fn send(&mut self, sort: Sort) -> Result<(), StoreError> {
        let Some(group) = self.pools.of(sort).unpacked() else { return Ok(()) };
        if self.packer.is_none() {
            self.packer = Packer::start();
        }
        let left = match &self.packer {
            Some(packer) => packer.give(group).err(),
            None => Some(group),
        };
        let grouped = left.map(|group| group.pack(self.shared, &mut self.encoder)).transpose()?;
        let waiting = std::mem::take(self.pools.of(sort));
        self.flight = Some(Flight { sort, waiting, grouped });
        Ok(())
    }

    /// Waits until the group on its way is packed.
    fn pack_flight(&mut self) -> Result<(), StoreError> {
        let (Some(flight), Some(packer)) = (&mut self.flight, &self.packer) else { return Ok(()) };
        if flight.grouped.is_none() {
            flight.grouped = packer.take();
        }
        if flight.grouped.is_none() {
            // The thread has died, or could not: here it is said why.
            let group = flight.waiting.unpacked();
            let packed = group.map(|group| group.pack(self.shared, &mut self.encoder));
            flight.grouped = packed.transpose()?;
            self.packer = None;
        }
        Ok(())
    }

    /// Writes the group on its way, once it is packed; if that fails it is still on its way.
    fn land(&mut self, ledger: &mut Ledger) -> Result<(), StoreError> {
        self.pack_flight()?;
        let Some(Flight { sort, waiting, grouped: Some(grouped) }) = &mut self.flight else {
            return Ok(());
        };
        let at = ledger.append_here(self.shared, sort.class(), grouped.header, &grouped.stored)?;
        let counts = waiting.written(grouped, at, &mut self.rows);
        count_group(&mut self.written, grouped, counts);
        self.flight = None;
        Ok(())
    }

    /// Runs the barrier that is due before more is written, with all that was taken so far: rows must
    /// not last without what they lead to, and that may still wait for its group.
    fn make_room(&mut self, ledger: &mut Ledger, class: Class) -> Result<(), StoreError> {
        if ledger.wants_room(self.shared, &self.rows, class) {
            self.write_groups(ledger)?;
            ledger.make_room(self.shared, &mut self.rows, class)?;
        }
        Ok(())
    }

    fn write_groups(&mut self, ledger: &mut Ledger) -> Result<(), StoreError> {
        self.land(ledger)?;
        Sort::ALL.into_iter().try_for_each(|sort| self.write_group(ledger, sort))
    }

    /// Writes what waits of a sort as one record; runs no barrier.
    fn write_group(&mut self, ledger: &mut Ledger, sort: Sort) -> Result<(), StoreError> {
        let Some(group) = self.pools.of(sort).unpacked() else { return Ok(()) };
        let grouped = group.pack(self.shared, &mut self.encoder)?;
        let at = ledger.append_here(self.shared, sort.class(), grouped.header, &grouped.stored)?;
        let counts = self.pools.of(sort).written(&grouped, at, &mut self.rows);
        count_group(&mut self.written, &grouped, counts);
        Ok(())
    }

    /// Whether something waits for its group, or for that to be written.
    fn waits(&self, id: &Hash) -> bool {
        self.pools.holds(id) || self.flight.as_ref().is_some_and(|it| it.waiting.holds(id))
    }

    /// Whether an object is stored, here or before. One known to be damaged is not.
    fn has_object(&mut self, ledger: &mut Ledger, id: ObjectId) -> Result<bool, StoreError> {
        let here = self.rows.objects.contains_key(&id) || self.waits(&id.0);
        if here || ledger.finished.objects.contains_key(&id) {
            return Ok(true);
        }
        let row = self.shared.db.get(Table::Places, id.as_bytes())?;
        if row.is_some() && ledger.damaged.contains(&DamagedThing::Object(id)) {
            let place = row.as_deref().and_then(ObjectPlace::decode).map(|at| at.place);
            self.write_groups(ledger)?;
            ledger.leave(self.shared, &mut self.rows, Class::Objects, place)?;
            return Ok(false);
        }
        Ok(row.is_some())
    }

    /// Whether a chunk is stored, here or before. One known to be damaged is not.
    fn has_chunk(&mut self, ledger: &mut Ledger, id: ChunkId) -> Result<bool, StoreError> {
        let here = self.rows.chunks.contains_key(&id) || self.waits(&id.0);
        if here || ledger.finished.chunks.contains_key(&id) {
            return Ok(true);
        }
        let row = self.shared.db.get(Table::Chunks, id.as_bytes())?;
        if row.is_some() && ledger.damaged.contains(&DamagedThing::Chunk(id)) {
            let place = row.as_deref().and_then(Place::decode);
            self.write_groups(ledger)?;
            ledger.leave(self.shared, &mut self.rows, Class::Data, place)?;
            return Ok(false);
        }
        Ok(row.is_some())
    }

    /// The manifest that a file is kept by, here or before.
    fn manifest_of(
        &self,
        ledger: &Ledger,
        content: ContentId,
    ) -> Result<Option<ObjectId>, StoreError> {
        let waiting = self.rows.manifests.get(&content);
        if let Some(id) = waiting.or_else(|| ledger.finished.manifests.get(&content)) {
            return Ok(Some(*id));
        }
        let row = self.shared.db.get(Table::Manifests, content.as_bytes())?;
        Ok(row.and_then(|row| <[u8; 32]>::try_from(&*row).ok()).map(ObjectId))
    }

    fn count(&mut self, raw_len: u32, record_len: u64) {
        self.written.raw_bytes += u64::from(raw_len);
        self.written.stored_bytes += record_len;
    }
}

/// Counts what a group held.
fn count_group(written: &mut Written, grouped: &Grouped, counts: Counts) {
    written.stored_bytes += grouped.header.record_len();
    written.chunks += counts.chunks;
    written.objects += counts.objects;
    written.raw_bytes += counts.raw_bytes;
}

impl Drop for LocalWriter<'_> {
    fn drop(&mut self) {
        self.shared.open_batches.fetch_sub(1, Ordering::SeqCst);
    }
}

impl StoreWriter for LocalWriter<'_> {
    fn put(&mut self, object: &Object) -> Result<bool, StoreError> {
        let content = match object.kind() {
            Kind::Manifest => Some(Manifest::from_object(object)?.content),
            _ => None,
        };
        let shared = self.shared;
        let mut ledger = shared.writing()?;
        let id = object.id();
        make_way(shared, &mut ledger, DamagedThing::Object(id))?;
        let new = !self.has_object(&mut ledger, id)?;
        self.make_room(&mut ledger, Class::Objects)?;
        // Packs alone say which manifest came last, so that one taken up again is written again.
        let again = match content {
            Some(content) if !new => self.manifest_of(&ledger, content)? != Some(id),
            _ => false,
        };
        if let (true, Some(sort)) = (new, Small::sort_of(object)) {
            let small = Small::Object(object.clone());
            self.group(ledger, sort, small, object.bytes())?;
        } else if new || again {
            let (pack, record) = ledger.append_raw(
                shared,
                &mut self.rows,
                Class::Objects,
                RecordKind::Object,
                id.0,
                object.bytes(),
            )?;
            self.rows.add_object(object, Place::new(pack, &record));
            if new {
                self.written.objects += 1;
                self.count(record.header.raw_len, record.header.record_len());
            }
        }
        if let Some(content) = content {
            self.rows.add_manifest(content, id);
        }
        Ok(new)
    }

    fn put_chunk(&mut self, chunk: EncodedChunk<'_>) -> Result<bool, StoreError> {
        let header = chunk.header()?;
        let shared = self.shared;
        let mut ledger = shared.writing()?;
        make_way(shared, &mut ledger, DamagedThing::Chunk(chunk.id))?;
        if self.has_chunk(&mut ledger, chunk.id)? {
            return Ok(false);
        }
        self.make_room(&mut ledger, Class::Data)?;
        if chunk.encoding == Encoding::Raw && chunk.bytes.len() <= MAX_MEMBER_BYTES {
            self.group(ledger, Sort::Chunks, Small::Chunk(chunk.id), &chunk.bytes)?;
            return Ok(true);
        }
        let (pack, record) =
            ledger.append(shared, &mut self.rows, Class::Data, header, &chunk.bytes)?;
        self.rows.add_chunk(chunk.id, Place::new(pack, &record));
        self.written.chunks += 1;
        self.count(header.raw_len, header.record_len());
        Ok(true)
    }

    fn finish(mut self: Box<Self>) -> Result<Written, StoreError> {
        let mut ledger = self.shared.writing()?;
        self.write_groups(&mut ledger)?;
        ledger.finish(self.shared, std::mem::take(&mut self.rows))?;
        Ok(self.written)
    }
}
