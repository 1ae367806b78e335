//! Opens a store on disk and gives out its seams.

use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ottvc_refs::RefStore;
use ottvc_store::collect::Pins;
use ottvc_store::{DamagedThing, ObjectStore, StoreError, WorkspaceStore};

use crate::groups::Groups;
use crate::index::{Index, REPAIR_WAIT};
use crate::layout::Layout;
use crate::ledger::Ledger;
use crate::lock::WriterLock;
use crate::medium::Disk;
use crate::objects::LocalObjects;
use crate::packs::PackFiles;
use crate::readers;
use crate::rebuild::{Rebuilt, rebuild};
use crate::refs::LocalRefs;
use crate::shared::{Shared, Tuning};
use crate::tools::{SparePages, Toolbox};
use crate::workspace::LocalWorkspace;

/// What a command wants of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access<'a> {
    /// To read what is there now; waits for nobody, and works in a folder that cannot be written to.
    Read,
    /// To read what is somebody else's, and leave no trace: neither is a damaged index made again, nor a
    /// file made that says who reads.
    Peek,
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
    /// A missing or damaged index is made again from packs, at the latest when it is needed;
    /// [`LocalRepo::rebuilt`] then says what was found.
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
            Access::Read => readers::enter(&layout, true),
            Access::Peek => readers::enter(&layout, false),
            Access::Write { .. } => None,
        };
        let (db, lock) = match access {
            Access::Read => (Index::open_to_read(&layout, &tuning.medium)?, None),
            Access::Peek => (Index::peek(&layout, &tuning.medium)?, None),
            Access::Write { wait, command } => {
                let lock = WriterLock::take(&layout, wait, command)?;
                layout.clear_tmp()?;
                (Index::open_to_write(&layout, &tuning.medium)?, Some(lock))
            }
        };
        let shared = Shared {
            files: PackFiles::new(layout.clone()),
            groups: Groups::default(),
            tools: Toolbox::default(),
            spare_pages: SparePages::default(),
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
        let repo = Self { shared: Arc::new(shared) };
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

    /// What making the index again found, if that was needed so far: damage inside of the database is
    /// found when something is looked up that is not known without it.
    pub fn rebuilt(&self) -> Option<&Rebuilt> {
        self.shared.db.rebuilt()
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
