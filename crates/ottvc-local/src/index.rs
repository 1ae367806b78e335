//! The index of a store: what is known without the database, and the database where that is not enough.
//!
//! A command begins by reading the journal. Refs, the newest operations, the working copy's state and
//! the commits at hand are in it, so that most commands never open the database; others open it to
//! read. A small batch goes to the journal, a large one to the database, into which the journal's
//! batches are folded first, and so they are when they have become many.
//!
//! Two rules keep the two together. The database is not written to beside a journal with a page,
//! except for that journal's own batches: a page says what the database says. And batches leave
//! the journal only when the database has them, durably.

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use ottvc_store::StoreError;
use rocksdb::DBPinnableSlice;

use crate::batch::Batch;
use crate::db::{Db, Open, Table, logs};
use crate::journal::{Journal, MAX_BATCH_BYTES};
use crate::known::{Known, Merge, Visit};
use crate::layout::Layout;
use crate::lock::WriterLock;
use crate::medium::Medium;
use crate::page::Page;
use crate::rebuild::{Rebuilt, rebuild};
use crate::workspace::STATE_KEY;

/// How often a reader tries again to open a database that changed under it.
const READ_TRIES: u32 = 10;
/// How long it waits between two tries.
const READ_PAUSE: Duration = Duration::from_millis(20);
/// How long a reader waits for a writer that may be making the index again.
pub(crate) const REPAIR_WAIT: Duration = Duration::from_secs(10);

/// An open index.
pub(crate) struct Index {
    layout: Layout,
    medium: Arc<dyn Medium>,
    /// Whether this process holds the writer's lock.
    writes: bool,
    known: RwLock<Known>,
    journal: Mutex<Journal>,
    /// Held while a database is opened.
    opening: Mutex<()>,
    /// Open to read; behind what is known.
    reader: OnceLock<Db>,
    /// Open to write; then nothing is known, and the journal is empty.
    writer: OnceLock<Db>,
    rebuilt: OnceLock<Rebuilt>,
    /// Whether the index was made again since the journal was last looked at: then that is empty.
    anew: AtomicBool,
    /// Whether a write to the database failed: what it says is not to be noted down.
    failed: AtomicBool,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Index").field("layout", &self.layout).finish_non_exhaustive()
    }
}

/// The value of a row.
pub(crate) enum Row<'a> {
    Known(Vec<u8>),
    Stored(DBPinnableSlice<'a>),
}

impl Deref for Row<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Known(bytes) => bytes,
            Self::Stored(bytes) => bytes,
        }
    }
}

impl Index {
    /// Opens the index to write, made again from packs if need be. The caller holds the writer's lock.
    pub(crate) fn open_to_write(
        layout: &Layout,
        medium: &Arc<dyn Medium>,
    ) -> Result<Self, StoreError> {
        let rebuilt = OnceLock::new();
        let (journal, known) = match read_journal(layout) {
            Err(StoreError::Index { .. }) => {
                let _ = rebuilt.set(rebuild(layout, &**medium)?);
                read_journal(layout)?
            }
            other => other?,
        };
        Ok(Self::new(layout, medium, true, (journal, known), OnceLock::new(), rebuilt))
    }

    /// Opens the index to read, whatever a writer does to it meanwhile.
    pub(crate) fn open_to_read(
        layout: &Layout,
        medium: &Arc<dyn Medium>,
    ) -> Result<Self, StoreError> {
        let (reader, rebuilt) = (OnceLock::new(), OnceLock::new());
        for _ in 0..READ_TRIES {
            match read_journal(layout) {
                Ok((journal, known)) if knows_what_moves(&known) => {
                    return Ok(Self::new(layout, medium, false, (journal, known), reader, rebuilt));
                }
                Ok((journal, known)) => {
                    // Refs would come from one moment and the state from another, were the
                    // database opened later.
                    let (db, again) = open_db_to_read(layout, &**medium)?;
                    let unmoved = again.is_none()
                        && read_journal(layout).is_ok_and(|(now, _)| now.is_as(&journal));
                    if unmoved {
                        let _ = reader.set(db);
                        let all = (journal, known);
                        return Ok(Self::new(layout, medium, false, all, reader, rebuilt));
                    }
                    if let Some(again) = again {
                        let _ = rebuilt.set(again);
                    }
                }
                Err(StoreError::Index { .. }) => std::thread::sleep(READ_PAUSE),
                Err(error) => return Err(error),
            }
        }
        let _lock = WriterLock::take(layout, REPAIR_WAIT, "ottvc, opening the index")?;
        layout.clear_tmp()?;
        let mut index = Self::open_to_write(layout, medium)?;
        if let Some(again) = rebuilt.into_inner() {
            let _ = index.rebuilt.set(again);
        }
        index.db()?;
        index.writes = false;
        Ok(index)
    }

    /// Opens the index to read, and changes nothing whatever is wrong with it.
    pub(crate) fn peek(layout: &Layout, medium: &Arc<dyn Medium>) -> Result<Self, StoreError> {
        for _ in 0..READ_TRIES {
            let Ok((journal, known)) = read_journal(layout) else {
                std::thread::sleep(READ_PAUSE);
                continue;
            };
            let db = try_to_read(layout)?.map_err(|broken| broken.unwrap_or(changing(layout)))?;
            if read_journal(layout).is_ok_and(|(now, _)| now.is_as(&journal)) {
                let all = (journal, known);
                let reader = OnceLock::from(db);
                return Ok(Self::new(layout, medium, false, all, reader, OnceLock::new()));
            }
        }
        // What is wrong with it, if it is that.
        read_journal(layout)?;
        Err(changing(layout))
    }

    fn new(
        layout: &Layout,
        medium: &Arc<dyn Medium>,
        writes: bool,
        (journal, known): (Journal, Known),
        reader: OnceLock<Db>,
        rebuilt: OnceLock<Rebuilt>,
    ) -> Self {
        Self {
            layout: layout.clone(),
            medium: Arc::clone(medium),
            writes,
            known: RwLock::new(known),
            journal: Mutex::new(journal),
            opening: Mutex::default(),
            reader,
            writer: OnceLock::new(),
            rebuilt,
            anew: AtomicBool::new(false),
            failed: AtomicBool::new(false),
        }
    }

    /// What making the index again found, if that was needed so far.
    pub(crate) fn rebuilt(&self) -> Option<&Rebuilt> {
        self.rebuilt.get()
    }

    fn known(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn journal(&self) -> MutexGuard<'_, Journal> {
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        if self.anew.swap(false, Ordering::SeqCst) {
            *journal = Journal::default();
        }
        journal
    }

    /// Keeps this process from opening the database twice at once: what is opened to write changes
    /// files that are being opened to read.
    fn opening(&self) -> MutexGuard<'_, ()> {
        self.opening.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what is known: the database says all.
    fn forget(&self) {
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Known::default();
    }

    /// The database, opened now if it was not.
    pub(crate) fn db(&self) -> Result<&Db, StoreError> {
        let open = || self.writer.get().or_else(|| self.reader.get());
        if let Some(db) = open() {
            return Ok(db);
        }
        let _opening = self.opening();
        if let Some(db) = open() {
            return Ok(db);
        }
        let db = if self.writes {
            match Db::open(&self.layout.db(), Open::Read) {
                Err(StoreError::Index { .. }) => {
                    self.make_again()?;
                    Db::open(&self.layout.db(), Open::Read)?
                }
                opened => opened?,
            }
        } else {
            let (db, again) = open_db_to_read(&self.layout, &*self.medium)?;
            if let Some(again) = again {
                self.forget();
                let _ = self.rebuilt.set(again);
            }
            db
        };
        Ok(self.reader.get_or_init(|| db))
    }

    /// Opens the database, for whoever goes through all there is: what is known and what the database says
    /// are of one moment then. Opened on the way, it may be newer than the journal that was read, or made
    /// again.
    pub(crate) fn open_all(&self) -> Result<(), StoreError> {
        if self.writes || self.reader.get().is_some() {
            return self.db().map(|_| ());
        }
        for _ in 0..READ_TRIES {
            let opened = read_journal(&self.layout).map(|read| (read, try_to_read(&self.layout)));
            if let Ok(((journal, known), Ok(Ok(db)))) = opened
                && read_journal(&self.layout).is_ok_and(|(now, _)| now.is_as(&journal))
            {
                *self.journal() = journal;
                *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
                let _ = self.reader.set(db);
                return Ok(());
            }
            std::thread::sleep(READ_PAUSE);
        }
        // It is damaged, or busy beyond reason: as whoever meets it on the way.
        self.db().map(|_| ())
    }

    /// Makes the index again from packs, as one that was found damaged on the way.
    fn make_again(&self) -> Result<(), StoreError> {
        let again = rebuild(&self.layout, &*self.medium)?;
        self.anew.store(true, Ordering::SeqCst);
        self.forget();
        let _ = self.rebuilt.set(again);
        Ok(())
    }

    /// The database, open to write; the journal's batches are in it and the journal is empty.
    fn writable(&self) -> Result<&Db, StoreError> {
        if let Some(db) = self.writer.get() {
            return Ok(db);
        }
        let mut journal = self.journal();
        let _opening = self.opening();
        let db = self.fold(&mut journal)?;
        if !journal.is_empty() {
            journal.replace(&self.layout, &*self.medium, None)?;
        }
        // In this order: what is known no longer must be found.
        let db = self.writer.get_or_init(|| db);
        self.forget();
        Ok(db)
    }

    /// Opens the database to write and writes the journal's batches into it. One that had to be made
    /// again has them from packs, and an empty journal.
    fn fold(&self, journal: &mut Journal) -> Result<Db, StoreError> {
        let db = match Db::open(&self.layout.db(), Open::Write) {
            Err(StoreError::Index { .. }) => {
                self.make_again()?;
                self.anew.store(false, Ordering::SeqCst);
                *journal = Journal::default();
                Db::open(&self.layout.db(), Open::Write)?
            }
            other => other?,
        };
        if !journal.batches.is_empty() {
            db.write(&journal.batches, true)?;
        }
        Ok(db)
    }

    pub(crate) fn get(&self, table: Table, key: &[u8]) -> Result<Option<Row<'_>>, StoreError> {
        if let Some(row) = self.known().get(table, key) {
            return Ok(row.map(Row::Known));
        }
        Ok(self.db()?.get(table, key)?.map(Row::Stored))
    }

    /// Looks up many keys of one table, in the order given.
    pub(crate) fn get_many(
        &self,
        table: Table,
        keys: &[&[u8]],
    ) -> Result<Vec<Option<Row<'_>>>, StoreError> {
        let known: Vec<_> = {
            let known = self.known();
            keys.iter().map(|key| known.get(table, key)).collect()
        };
        let unknown: Vec<&[u8]> =
            keys.iter().zip(&known).filter(|(_, row)| row.is_none()).map(|(key, _)| *key).collect();
        let mut stored = match unknown.is_empty() {
            true => Vec::new(),
            false => self.db()?.get_many(table, &unknown)?,
        }
        .into_iter();
        let row = |known: Option<Option<Vec<u8>>>| match known {
            Some(row) => row.map(Row::Known),
            None => stored.next().flatten().map(Row::Stored),
        };
        Ok(known.into_iter().map(row).collect())
    }

    /// Visits the rows from `start` on, in key order, until `visit` says no more.
    pub(crate) fn scan(
        &self,
        table: Table,
        start: &[u8],
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        let (known, all) = {
            let known = self.known();
            (known.rows_from(table, start), known.covers(table, start))
        };
        let mut merge = Merge::new(known, visit);
        if !all {
            self.db()?
                .scan(table, start, &mut |key, row| merge.stored(key, row, |known| known < key))?;
        }
        merge.rest()
    }

    /// Visits the rows before `end` (all, without one), last key first, until `visit` says no more.
    pub(crate) fn scan_back(
        &self,
        table: Table,
        end: Option<&[u8]>,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        let (known, from) = {
            let known = self.known();
            (known.rows_before(table, end), known.from(table).map(<[u8]>::to_vec))
        };
        let mut merge = Merge::new(known, visit);
        if let Some(from) = &from {
            // Every row there is from here on is known.
            while merge.known_row(|known| known >= from.as_slice())? {}
        }
        let end = match (&from, end) {
            (Some(from), Some(end)) => Some(end.min(from.as_slice())),
            (from, end) => from.as_deref().or(end),
        };
        if !merge.ended && from.as_ref().is_none_or(|from| !from.is_empty()) {
            self.db()?.scan_back(table, end, &mut |key, row| {
                merge.stored(key, row, |known| known > key)
            })?;
        }
        merge.rest()
    }

    /// Writes a batch; with `sync`, it is durable when this returns.
    pub(crate) fn write(&self, batch: &Batch, sync: bool) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        if self.writer.get().is_some() || batch.size() > MAX_BATCH_BYTES {
            return self.write_through(batch, sync);
        }
        let mut journal = self.journal();
        if !journal.has_room(batch) {
            let opening = self.opening();
            let db = self.fold(&mut journal)?;
            if journal.is_empty() {
                let _ = self.writer.set(db);
                drop((opening, journal));
                return self.write_through(batch, sync);
            }
            db.tidy()?;
            drop((db, opening));
            self.begin_page(&mut journal)?;
        } else if journal.is_empty() {
            self.begin_page(&mut journal)?;
        }
        journal.append(&self.layout.db(), &*self.medium, batch, sync)?;
        self.known.write().unwrap_or_else(PoisonError::into_inner).apply(batch);
        Ok(())
    }

    /// Writes a batch to the database.
    fn write_through(&self, batch: &Batch, sync: bool) -> Result<(), StoreError> {
        let written = self.writable()?.write(batch, sync);
        self.failed.fetch_or(written.is_err(), Ordering::SeqCst);
        written
    }

    /// Begins a journal over the database as it is.
    fn begin_page(&self, journal: &mut Journal) -> Result<(), StoreError> {
        let page = Page::of(self)?;
        journal.replace(&self.layout, &*self.medium, Some(&page))?;
        self.anew.store(false, Ordering::SeqCst);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        for (table, key) in &page.from {
            known.know_from(*table, key);
        }
        known.apply(&page.rows);
        Ok(())
    }

    /// Has every table that grows with content rewritten, so that dropped rows give back their room.
    pub(crate) fn compact(&self) -> Result<(), StoreError> {
        self.writable()?.compact()
    }

    /// What the index takes on disk, in bytes.
    pub(crate) fn disk_bytes(&self) -> Result<u64, StoreError> {
        let path = self.layout.db();
        let failed = |error| StoreError::io("read", &path, error);
        let mut bytes = 0;
        for entry in std::fs::read_dir(&path).map_err(failed)? {
            // One that went away meanwhile takes nothing.
            bytes += entry.map_err(failed)?.metadata().map_or(0, |found| found.len());
        }
        Ok(bytes)
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        // So that the next command need not open the database. Without a page it has to: no more is
        // lost where this fails.
        if self.writer.get().is_some() && !self.failed.load(Ordering::SeqCst) {
            let _ = self.begin_page(&mut self.journal());
        }
    }
}

/// Whether all is known that a command may move: refs, operations, and the working copy's state.
fn knows_what_moves(known: &Known) -> bool {
    known.covers(Table::Refs, &[])
        && known.from(Table::Operations).is_some()
        && known.get(Table::Workspace, STATE_KEY).is_some()
}

/// Reads the journal of a database that is there, as far as can be said without opening it.
fn read_journal(layout: &Layout) -> Result<(Journal, Known), StoreError> {
    let current = layout.db().join("CURRENT");
    if let Err(error) = current.symlink_metadata() {
        return Err(StoreError::Index { path: layout.db(), source: error.into() });
    }
    Journal::read(&layout.db())
}

/// Opens the database to read, whatever a writer does to it meanwhile; made again from packs if it
/// stays broken.
fn open_db_to_read(
    layout: &Layout,
    medium: &dyn Medium,
) -> Result<(Db, Option<Rebuilt>), StoreError> {
    let broken = match try_to_read(layout)? {
        Ok(db) => return Ok((db, None)),
        Err(broken) => broken,
    };
    let _lock = match (WriterLock::take(layout, REPAIR_WAIT, "ottvc, opening the index"), broken) {
        (Ok(lock), _) => lock,
        (Err(_), Some(broken)) => return Err(broken),
        (Err(busy), None) => return Err(busy),
    };
    layout.clear_tmp()?;
    match Db::open(&layout.db(), Open::Read) {
        Err(StoreError::Index { .. }) => {
            let rebuilt = rebuild(layout, medium)?;
            Ok((Db::open(&layout.db(), Open::Read)?, Some(rebuilt)))
        }
        other => other.map(|db| (db, None)),
    }
}

/// Opens the database as it is, whatever a writer does to it meanwhile; the inner error is what is wrong
/// with it, if it is more than that it changes.
fn try_to_read(layout: &Layout) -> Result<Result<Db, Option<StoreError>>, StoreError> {
    let mut broken = None;
    for _ in 0..READ_TRIES {
        let before = logs(&layout.db());
        match Db::open(&layout.db(), Open::Read) {
            Ok(db) if before.is_subset(&logs(&layout.db())) => return Ok(Ok(db)),
            // A writer moved rows out of a log, and dropped it, between our reading the list of tables
            // and our listing the logs: what was opened may lack rows that were acknowledged.
            Ok(_) => broken = None,
            // A writer may have dropped a file between our reading its name and opening it.
            Err(error @ StoreError::Index { .. }) => broken = Some(error),
            Err(error) => return Err(error),
        }
        std::thread::sleep(READ_PAUSE);
    }
    Ok(Err(broken))
}

fn changing(layout: &Layout) -> StoreError {
    let source = "it changes faster than it can be read".into();
    StoreError::Index { path: layout.db(), source }
}
