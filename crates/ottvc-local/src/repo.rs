//! Opens a store on disk and gives out its seams.

use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ottvc_refs::RefStore;
use ottvc_store::collect::Pins;
use ottvc_store::{DamagedThing, ObjectStore, StoreError, WorkspaceStore};

use crate::db::{Db, Open, logs};
use crate::groups::Groups;
use crate::layout::Layout;
use crate::ledger::Ledger;
use crate::lock::WriterLock;
use crate::medium::{Disk, Medium};
use crate::objects::LocalObjects;
use crate::packs::PackFiles;
use crate::readers;
use crate::rebuild::{Rebuilt, rebuild};
use crate::refs::LocalRefs;
use crate::shared::{Shared, Tuning};
use crate::workspace::LocalWorkspace;

/// How often a reader tries again to open a database that changed under it.
const READ_TRIES: u32 = 10;
/// How long it waits between two tries.
const READ_PAUSE: Duration = Duration::from_millis(20);
/// How long a reader waits for a writer that may be making the index again.
const REPAIR_WAIT: Duration = Duration::from_secs(10);

/// What a command wants of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access<'a> {
    /// To read what is there now; waits for nobody, and works in a folder that cannot be written to.
    Read,
    /// To write; one process at a time.
    Write {
        /// How long to wait for another writer.
        wait: Duration,
        /// What to tell those who wait for this one, as `ottvc commit`.
        command: &'a str,
    },
}

/// A store on disk, open. The writer's lock is held until this and all its seams are dropped.
#[derive(Debug)]
pub struct LocalRepo {
    shared: Arc<Shared>,
    rebuilt: Option<Rebuilt>,
}

impl LocalRepo {
    /// Makes a store in `dir` (the `.ottvc` folder itself); says whether it is new.
    ///
    /// Packs that already lie in `dir` are taken in. Cut short, it can be run again.
    ///
    /// # Errors
    /// [`StoreError::TooNew`] or [`StoreError::BadVersion`] if what is there is not ours to touch,
    /// [`StoreError::Busy`] if another process makes it, or the system's refusal.
    pub fn init(dir: &Path) -> Result<bool, StoreError> {
        let layout = Layout::new(dir);
        match layout.check_version() {
            Err(StoreError::NoStore { .. }) => {}
            other => return other.map(|()| false),
        }
        layout.create_folders()?;
        let _lock = WriterLock::take(&layout, REPAIR_WAIT, "ottvc init")?;
        match layout.check_version() {
            Err(StoreError::NoStore { .. }) => {
                rebuild(&layout, &Disk)?;
                layout.write_version()?;
                Ok(true)
            }
            other => other.map(|()| false),
        }
    }

    /// Opens the store in `dir` (the `.ottvc` folder itself).
    ///
    /// A missing or damaged index is made again from packs first; [`LocalRepo::rebuilt`] then says
    /// what was found.
    ///
    /// # Errors
    /// [`StoreError::NoStore`], [`StoreError::TooNew`] or [`StoreError::BadVersion`] by what `dir`
    /// holds; [`StoreError::Busy`] naming the writer waited for in vain; [`StoreError::Index`] if the
    /// index is damaged and cannot be made again here.
    pub fn open(dir: &Path, access: Access<'_>) -> Result<Self, StoreError> {
        Self::open_tuned(dir, access, Tuning::default())
    }

    /// Opens as [`LocalRepo::open`] does, with other limits or another medium.
    ///
    /// # Errors
    /// As [`LocalRepo::open`].
    pub fn open_tuned(dir: &Path, access: Access<'_>, tuning: Tuning) -> Result<Self, StoreError> {
        let layout = Layout::new(dir);
        layout.check_version()?;
        // Before the index is opened: a pack that it names then is not deleted.
        let reading = match access {
            Access::Read => readers::enter(&layout),
            Access::Write { .. } => None,
        };
        let (db, lock, rebuilt) = match access {
            Access::Read => {
                let (db, rebuilt) = open_to_read(&layout, &*tuning.medium)?;
                (db, None, rebuilt)
            }
            Access::Write { wait, command } => {
                let lock = WriterLock::take(&layout, wait, command)?;
                layout.clear_tmp()?;
                let (db, rebuilt) = open_or_rebuild(&layout, Open::Write, &*tuning.medium)?;
                (db, Some(lock), rebuilt)
            }
        };
        let shared = Shared {
            files: PackFiles::new(layout.clone()),
            groups: Groups::default(),
            layout,
            tuning,
            syncs: AtomicU64::new(0),
            open_batches: AtomicUsize::new(0),
            ledger: Mutex::default(),
            pins: Arc::new(if lock.is_some() { Pins::default() } else { Pins::needless() }),
            db,
            reading,
            lock,
        };
        if shared.lock.is_some() {
            let ledger = Ledger::resume(&shared)?;
            *shared.ledger() = ledger;
        }
        let repo = Self { shared: Arc::new(shared), rebuilt };
        if repo.shared.lock.is_some() {
            // It is done on the way: what fails now is tried again by the next command, and must not
            // stop this one, which may be there to make room.
            let _ = repo.mend();
        }
        Ok(repo)
    }

    /// Stores anew the objects of which the last check found one copy of two damaged: were the index
    /// made again from packs, the one that is whole could be lost. Durable with the next barrier.
    fn mend(&self) -> Result<(), StoreError> {
        let object = |thing: &DamagedThing| match thing {
            DamagedThing::Object(id) => Some(*id),
            DamagedThing::Chunk(_) => None,
        };
        let damaged: Vec<_> = self.shared.ledger().damaged.iter().filter_map(object).collect();
        if damaged.is_empty() {
            return Ok(());
        }
        let objects = self.objects();
        let mut writer = objects.writer()?;
        for id in damaged {
            if let Ok(object) = objects.get(id) {
                writer.put(&object)?;
            }
        }
        writer.finish().map(drop)
    }

    /// Makes the index, refs and operations again from packs; the old index goes to the trash.
    ///
    /// # Errors
    /// As [`LocalRepo::open`] to write, or the system's refusal; then the old index is untouched.
    pub fn rebuild(dir: &Path, wait: Duration, command: &str) -> Result<Rebuilt, StoreError> {
        let layout = Layout::new(dir);
        layout.check_version()?;
        let _lock = WriterLock::take(&layout, wait, command)?;
        layout.clear_tmp()?;
        rebuild(&layout, &Disk)
    }

    /// The objects and chunks.
    pub fn objects(&self) -> Arc<dyn ObjectStore> {
        Arc::new(LocalObjects(Arc::clone(&self.shared)))
    }

    /// The refs and operations.
    pub fn refs(&self) -> Arc<dyn RefStore> {
        Arc::new(LocalRefs(Arc::clone(&self.shared)))
    }

    /// The working copy's memory.
    pub fn workspace(&self) -> Arc<dyn WorkspaceStore> {
        Arc::new(LocalWorkspace(Arc::clone(&self.shared)))
    }

    /// What making the index again found, if opening had to.
    pub fn rebuilt(&self) -> Option<&Rebuilt> {
        self.rebuilt.as_ref()
    }

    /// The store's folder.
    pub fn dir(&self) -> &Path {
        self.shared.layout.dir()
    }

    /// How often barriers have waited for the disk since the store was opened.
    pub fn syncs(&self) -> u64 {
        self.shared.syncs.load(Ordering::Relaxed)
    }
}

/// Opens the database, made again if need be. The caller holds the writer's lock.
fn open_or_rebuild(
    layout: &Layout,
    open: Open,
    medium: &dyn Medium,
) -> Result<(Db, Option<Rebuilt>), StoreError> {
    match Db::open(&layout.db(), open) {
        Err(StoreError::Index { .. }) => {
            let rebuilt = rebuild(layout, medium)?;
            Ok((Db::open(&layout.db(), open)?, Some(rebuilt)))
        }
        other => other.map(|db| (db, None)),
    }
}

/// Opens the database to read, whatever a writer does to it meanwhile.
fn open_to_read(layout: &Layout, medium: &dyn Medium) -> Result<(Db, Option<Rebuilt>), StoreError> {
    let mut broken = None;
    for _ in 0..READ_TRIES {
        let before = logs(&layout.db());
        match Db::open(&layout.db(), Open::Read) {
            Ok(db) if before.is_subset(&logs(&layout.db())) => return Ok((db, None)),
            // A writer moved rows out of a log, and dropped it, between our reading the list of tables
            // and our listing the logs: what was opened may lack rows that were acknowledged.
            Ok(_) => broken = None,
            // A writer may have dropped a file between our reading its name and opening it.
            Err(error @ StoreError::Index { .. }) => broken = Some(error),
            Err(error) => return Err(error),
        }
        std::thread::sleep(READ_PAUSE);
    }
    let _lock = match (WriterLock::take(layout, REPAIR_WAIT, "ottvc, opening the index"), broken) {
        (Ok(lock), _) => lock,
        (Err(_), Some(broken)) => return Err(broken),
        (Err(busy), None) => return Err(busy),
    };
    layout.clear_tmp()?;
    open_or_rebuild(layout, Open::Read, medium)
}
