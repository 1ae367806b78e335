//! What one process has written and not yet made durable, and the barrier that does so.
//!
//! The order is fixed here and nowhere else: bytes of packs, names of new packs, then one synced
//! batch of the database that holds index rows, lengths of packs, and refs or workspace rows. A crash
//! before the batch leaves bytes beyond the acknowledged lengths, which the next writer cuts off.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use ottvc_object::Hash;
use ottvc_store::behind::Buffers;
use ottvc_store::pack::{Class, Encoder, PackHeader, PackId, Record, RecordHeader, RecordKind};
use ottvc_store::{DamagedThing, StoreError};

use crate::batch::Batch;
use crate::damaged;
use crate::db::Table;
use crate::layout::sync_dir;
use crate::packs::{ActivePack, Synced};
use crate::rewrite::{Kept, all_records};
use crate::rows::{PackState, Place, Rows};
use crate::shared::Shared;

/// Rows that wait take at most about this much memory, in bytes; then they are written early.
const MAX_WAITING_BYTES: usize = 8 << 20;

/// Packs that were sealed and wait for the barrier. A barrier for each would have a long import wait for
/// the disk every 64 MiB; so only the last of these is not synced long before.
const MAX_FULL: usize = 32;

/// How many buffers a pack of chunks is written in, for the tests that have shorter ones.
const BUFFERS_A_PACK: u64 = 16;

/// The row of [`Table::Meta`] that holds the order of the pack created last.
pub(crate) const ORDER_KEY: &[u8] = b"order";

/// The row of [`Table::Meta`] that names the pack a class is appended to.
pub(crate) fn active_key(class: Class) -> [u8; 1] {
    [class as u8]
}

/// Cache rows of a working copy: keys, and values or their absence.
pub(crate) type CacheRows = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// A workspace state that waits for the next barrier.
#[derive(Debug)]
pub(crate) struct Staged {
    pub(crate) state: Vec<u8>,
    pub(crate) rows: CacheRows,
}

/// What waits for the next barrier.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    data: Option<ActivePack>,
    objects: Option<ActivePack>,
    /// Sealed packs that are not durable yet.
    full: Vec<ActivePack>,
    /// Packs synced since the last barrier: their rows wait.
    changed: Vec<(PackId, PackState)>,
    /// Rows of finished batches.
    pub(crate) finished: Rows,
    /// A state to save with the next ref transaction.
    pub(crate) staged: Option<Staged>,
    /// Things that read as damaged: storing one again stores it anew.
    pub(crate) damaged: BTreeSet<DamagedThing>,
    /// Those stored anew that their file still lists.
    healed: BTreeSet<DamagedThing>,
    /// The order of the pack created last.
    order: u64,
    /// Whether packs that the index does not know were put away.
    swept: bool,
    encoder: Encoder,
    /// Memory of packs, which goes from one to the next.
    buffers: Buffers,
    /// Set once bytes may be lost that the system has taken: nothing more may be acknowledged.
    failed: Option<String>,
}

impl Ledger {
    /// Takes up where the last writer stopped.
    pub(crate) fn resume(shared: &Shared) -> Result<Self, StoreError> {
        let damaged = damaged::load(&shared.layout).things;
        let buffers = Buffers::of(shared.tuning.pack_target / BUFFERS_A_PACK);
        let mut ledger = Self { damaged, buffers, ..Self::default() };
        if let Some(row) = shared.db.get(Table::Meta, ORDER_KEY)? {
            let order = <[u8; 8]>::try_from(&*row).map(u64::from_le_bytes);
            ledger.order = order.map_err(|_| shared.bad_row("order of packs"))?;
        }
        for class in Class::ALL {
            let Some(row) = shared.db.get(Table::Meta, &active_key(class))? else { continue };
            let id = <[u8; 16]>::try_from(&*row).map(PackId);
            let id = id.map_err(|_| shared.bad_row("active pack"))?;
            if let Some(state) = shared.pack_state(id)? {
                let (layout, medium) = (&shared.layout, &shared.tuning.medium);
                let pack = ActivePack::resume(layout, medium, &ledger.buffers, id, state)?;
                *ledger.slot(class) = pack;
            }
        }
        Ok(ledger)
    }

    fn slot(&mut self, class: Class) -> &mut Option<ActivePack> {
        match class {
            Class::Data => &mut self.data,
            Class::Objects => &mut self.objects,
        }
    }

    /// Fails if bytes may have been lost since the last barrier.
    fn check_usable(&self, shared: &Shared) -> Result<(), StoreError> {
        match &self.failed {
            None => Ok(()),
            Some(why) => Err(StoreError::Backend {
                action: "write more, after a failure, to",
                path: shared.layout.dir().to_path_buf(),
                source: why.clone().into(),
            }),
        }
    }

    /// Appends raw bytes as a record, compressed where that helps.
    pub(crate) fn append_raw(
        &mut self,
        shared: &Shared,
        own: &mut Rows,
        class: Class,
        kind: RecordKind,
        id: Hash,
        raw: &[u8],
    ) -> Result<(PackId, Record), StoreError> {
        let record = self.encoder.record(kind, id, raw);
        let (header, stored) = record.ok_or_else(|| shared.too_large("record", raw.len()))?;
        self.append(shared, own, class, header, &stored)
    }

    /// Appends a record to the active pack of a class, sealing a full one first.
    ///
    /// `own` are the rows of the batch that writes: they become durable with a sealed pack, so that an
    /// interrupted import keeps what it has sealed and memory stays bounded.
    pub(crate) fn append(
        &mut self,
        shared: &Shared,
        own: &mut Rows,
        class: Class,
        header: RecordHeader,
        payload: &[u8],
    ) -> Result<(PackId, Record), StoreError> {
        self.make_room(shared, own, class)?;
        self.append_here(shared, class, header, payload)
    }

    /// Whether the next append to a class would seal a pack or run a barrier first.
    pub(crate) fn wants_room(&mut self, shared: &Shared, own: &Rows, class: Class) -> bool {
        let target = shared.tuning.pack_target;
        self.slot(class).as_ref().is_some_and(|pack| pack.is_full(target))
            || own.bytes() + self.finished.bytes() > MAX_WAITING_BYTES
    }

    /// Seals the pack, and runs the barrier, that an append would first, if any.
    pub(crate) fn make_room(
        &mut self,
        shared: &Shared,
        own: &mut Rows,
        class: Class,
    ) -> Result<(), StoreError> {
        self.check_usable(shared)?;
        let target = shared.tuning.pack_target;
        if self.slot(class).as_ref().is_some_and(|pack| pack.is_full(target)) {
            self.seal(shared, class)?;
            if self.full.len() < MAX_FULL {
                return Ok(());
            }
            self.commit_with(shared, own)
        } else if self.wants_room(shared, own, class) {
            self.commit_with(shared, own)
        } else {
            Ok(())
        }
    }

    /// Appends a record to the active pack of a class, however long that is, and runs no barrier.
    pub(crate) fn append_here(
        &mut self,
        shared: &Shared,
        class: Class,
        header: RecordHeader,
        payload: &[u8],
    ) -> Result<(PackId, Record), StoreError> {
        self.check_usable(shared)?;
        let medium = &shared.tuning.medium;
        if self.slot(class).is_none() {
            self.sweep(shared)?;
            let header = PackHeader { id: new_pack_id()?, class, order: self.order + 1 };
            let pack = ActivePack::create(&shared.layout, medium, &self.buffers, header)?;
            *self.slot(class) = Some(pack);
            self.order += 1;
        }
        let slot = match class {
            Class::Data => &mut self.data,
            Class::Objects => &mut self.objects,
        };
        match slot {
            Some(pack) => {
                let record = pack.append(&shared.layout, &**medium, header, payload)?;
                Ok((pack.id, record))
            }
            None => Err(shared.bad_row("active pack")),
        }
    }

    /// Moves packs that the index does not know to the trash: a crash came between their first sync
    /// and its batch, so that nothing in them was promised to anyone. A rebuild must not take an
    /// operation in one for newer than those to come.
    fn sweep(&mut self, shared: &Shared) -> Result<(), StoreError> {
        if std::mem::replace(&mut self.swept, true) {
            return Ok(());
        }
        for id in shared.layout.list_packs()? {
            if shared.pack_state(id)?.is_none() {
                shared.layout.trash_pack(id)?;
            }
        }
        Ok(())
    }

    /// Seals the active pack of a class, and begins to sync it; it is durable with the next barrier.
    fn seal(&mut self, shared: &Shared, class: Class) -> Result<(), StoreError> {
        if let Some(pack) = self.slot(class) {
            pack.seal(&shared.layout, &*shared.tuning.medium)?;
            pack.begin_sync(&shared.tuning.medium);
        }
        let sealed = self.slot(class).take();
        self.full.extend(sealed);
        Ok(())
    }

    /// Appends no more to a pack, which is about to be emptied. The caller has just passed a barrier.
    pub(crate) fn detach(&mut self, pack: PackId) {
        for class in Class::ALL {
            self.slot(class).take_if(|active| active.id == pack);
        }
    }

    /// Prepares to store a damaged thing anew: seals the pack it lies in, if that is still appended to.
    /// Its footer then leaves out what can no longer be read, and the pack checks clean again.
    pub(crate) fn leave(
        &mut self,
        shared: &Shared,
        own: &mut Rows,
        class: Class,
        damaged: Option<Place>,
    ) -> Result<(), StoreError> {
        let holds = |pack: &ActivePack| damaged.is_some_and(|place| place.pack == pack.id);
        if !self.slot(class).as_ref().is_some_and(holds) {
            return Ok(());
        }
        self.seal(shared, class)?;
        self.commit_with(shared, own)?;
        if class == Class::Objects {
            // Operations may be among what can no longer be read, and nobody stores those anew.
            for Kept { kind, id, raw } in all_records(shared)? {
                self.append_raw(shared, own, class, kind, id, &raw)?;
            }
        }
        Ok(())
    }

    /// A barrier that takes the rows of a batch still being written along.
    fn commit_with(&mut self, shared: &Shared, own: &mut Rows) -> Result<(), StoreError> {
        self.flush(shared)?;
        self.finished.absorb(std::mem::take(own));
        self.commit(shared, |_| Ok(()))
    }

    /// The barrier: makes everything finished durable, and what `more` adds, in one step.
    pub(crate) fn commit(
        &mut self,
        shared: &Shared,
        more: impl FnOnce(&mut Batch) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.check_usable(shared)?;
        let mut batch = Batch::default();
        // Built before anything is synced: a batch that cannot be built leaves all as it was.
        more(&mut batch)?;
        self.finished.write(&mut batch)?;
        // What the system refuses to take can be tried again: nothing it has taken is in doubt.
        self.flush(shared)?;
        let written = self.sync_packs(shared).and_then(|()| {
            self.pack_rows(&mut batch)?;
            if batch.is_empty() { Ok(()) } else { shared.write_synced(&batch) }
        });
        if let Err(error) = written {
            // Whether the system kept what it was given is unknown now: what was acknowledged stays,
            // and whoever opens the store next finds either all of this batch or none.
            self.failed = Some(format!("{error}"));
            return Err(error);
        }
        self.acknowledged(shared);
        Ok(())
    }

    /// Makes the bytes of packs durable, then their names.
    fn sync_packs(&mut self, shared: &Shared) -> Result<(), StoreError> {
        let mut new_name = false;
        let active = [&mut self.data, &mut self.objects].into_iter().flatten();
        for pack in self.full.iter_mut().chain(active) {
            let synced = pack.sync(&shared.layout, &*shared.tuning.medium)?;
            if synced != Synced::Clean {
                shared.syncs.fetch_add(1, Ordering::Relaxed);
                self.changed.push((pack.id, pack.state()));
            }
            new_name |= synced == Synced::NewName;
        }
        if new_name {
            sync_dir(&shared.layout.packs())?;
            shared.syncs.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Adds the rows of packs that changed.
    fn pack_rows(&mut self, batch: &mut Batch) -> Result<(), StoreError> {
        for (id, state) in self.changed.drain(..) {
            batch.put(Table::Packs, &id.0, &state.encode())?;
            if state.sealed {
                batch.delete(Table::Meta, &active_key(state.class))?;
            } else {
                batch.put(Table::Meta, &active_key(state.class), &id.0)?;
            }
            batch.put(Table::Meta, ORDER_KEY, &self.order.to_le_bytes())?;
        }
        Ok(())
    }

    /// Forgets what is durable now.
    fn acknowledged(&mut self, shared: &Shared) {
        self.full.clear();
        let rows = std::mem::take(&mut self.finished);
        if self.damaged.is_empty() && self.healed.is_empty() {
            return;
        }
        let chunks = rows.chunks.keys().copied().map(DamagedThing::Chunk);
        for thing in chunks.chain(rows.objects.keys().copied().map(DamagedThing::Object)) {
            if self.damaged.remove(&thing) {
                self.healed.insert(thing);
            }
        }
        if self.healed.is_empty() {
            return;
        }
        let amended = damaged::amend(&shared.layout, |list| {
            list.things.retain(|thing| !self.healed.contains(thing));
        });
        // The list is advice: what is durable by now must not be reported as failed over it.
        if amended.is_ok() {
            self.healed.clear();
        }
    }

    /// The packs being appended to and how long they are, acknowledged or not.
    pub(crate) fn active_lens(&self) -> impl Iterator<Item = (PackId, u64)> {
        let active = [&self.data, &self.objects].into_iter().flatten();
        self.full.iter().chain(active).map(|pack| (pack.id, pack.state().len))
    }

    /// Waits until what was appended can be read. After an error the same can be tried again.
    fn flush(&mut self, shared: &Shared) -> Result<(), StoreError> {
        self.full.iter_mut().chain(&mut self.data).try_for_each(|pack| pack.flush(&shared.layout))
    }

    /// Ends a batch: its rows are found by all readers of this process, and so are its bytes.
    pub(crate) fn finish(&mut self, shared: &Shared, rows: Rows) -> Result<(), StoreError> {
        self.check_usable(shared)?;
        self.flush(shared)?;
        self.finished.absorb(rows);
        Ok(())
    }
}

/// Draws a name for a pack; 128 random bits are never drawn twice.
fn new_pack_id() -> Result<PackId, StoreError> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|error| StoreError::Backend {
        action: "draw random bytes for",
        path: "a pack".into(),
        source: error.into(),
    })?;
    Ok(PackId(id))
}
