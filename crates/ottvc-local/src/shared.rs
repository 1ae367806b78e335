//! What the three seams of an open store share.

use std::fs::File;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ottvc_object::ObjectError;
use ottvc_store::StoreError;
use ottvc_store::collect::Pins;
use ottvc_store::pack::{MAX_RAW_BYTES, PackId, TARGET_BYTES};

use crate::batch::Batch;
use crate::db::Table;
use crate::groups::Groups;
use crate::index::Index;
use crate::layout::Layout;
use crate::ledger::Ledger;
use crate::lock::WriterLock;
use crate::medium::{Disk, Medium};
use crate::packs::PackFiles;
use crate::rows::PackState;
use crate::tools::{SparePages, Toolbox};

/// What tests change about a store; the default is what everyone else wants.
#[derive(Clone, Debug)]
pub struct Tuning {
    /// A pack is sealed once it is this long, in bytes.
    pub pack_target: u64,
    /// How packs reach the disk.
    pub medium: Arc<dyn Medium>,
}

impl Default for Tuning {
    fn default() -> Self {
        Self { pack_target: TARGET_BYTES, medium: Arc::new(Disk) }
    }
}

/// An open store.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) layout: Layout,
    pub(crate) tuning: Tuning,
    pub(crate) files: PackFiles,
    pub(crate) groups: Groups,
    pub(crate) tools: Toolbox,
    pub(crate) spare_pages: SparePages,
    /// Barriers' waits for the disk, for tests.
    pub(crate) syncs: AtomicU64,
    /// Batches begun and not ended: their records lie in packs, and no row says so yet.
    pub(crate) open_batches: AtomicUsize,
    pub(crate) ledger: Mutex<Ledger>,
    pub(crate) pins: Arc<Pins>,
    pub(crate) db: Index,
    /// What tells collectors that this process reads, where it only does.
    #[expect(dead_code, reason = "it is held, not used")]
    pub(crate) reading: Option<File>,
    /// Dropped last: whoever waits for it opens the index next. `None` when only reading.
    pub(crate) lock: Option<WriterLock>,
}

impl Shared {
    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The ledger, if this process may write.
    pub(crate) fn writing(&self) -> Result<MutexGuard<'_, Ledger>, StoreError> {
        if self.lock.is_none() { Err(StoreError::ReadOnly) } else { Ok(self.ledger()) }
    }

    /// Writes a batch and waits until it is durable.
    pub(crate) fn write_synced(&self, batch: &Batch) -> Result<(), StoreError> {
        self.db.write(batch, true)?;
        self.syncs.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// What the index says of a pack.
    pub(crate) fn pack_state(&self, id: PackId) -> Result<Option<PackState>, StoreError> {
        let row = self.db.get(Table::Packs, &id.0)?;
        row.map(|row| PackState::decode(&row).ok_or_else(|| self.bad_row("pack"))).transpose()
    }

    /// Visits what the index says of every pack.
    pub(crate) fn pack_states(&self) -> Result<Vec<(PackId, PackState)>, StoreError> {
        let mut packs = Vec::new();
        self.db.scan(Table::Packs, &[], &mut |key, row| {
            let id = <[u8; 16]>::try_from(key).ok().map(PackId);
            let both = id.zip(PackState::decode(row));
            packs.push(both.ok_or_else(|| self.bad_row("pack"))?);
            Ok(true)
        })?;
        Ok(packs)
    }

    /// The error for a row that is none of ours.
    pub(crate) fn bad_row(&self, what: &'static str) -> StoreError {
        StoreError::Index {
            path: self.layout.dir().to_path_buf(),
            source: format!("a row of the index holds no {what}").into(),
        }
    }

    /// The error for bytes that no record can hold.
    pub(crate) fn too_large(&self, what: &'static str, len: usize) -> StoreError {
        let limit = u64::from(MAX_RAW_BYTES);
        StoreError::Object(ObjectError::TooLarge { what, len: len as u64, limit })
    }
}
