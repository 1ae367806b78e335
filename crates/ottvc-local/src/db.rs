//! The one RocksDB of a store: its tables, how it is opened, and its errors in our words.
//!
//! Everything in it can be made again from packs, so that it is tuned to open fast and to be refused
//! rather than believed when in doubt.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use ottvc_store::StoreError;
use rocksdb::{
    BlockBasedOptions, BottommostLevelCompaction, Cache, ColumnFamily, ColumnFamilyDescriptor,
    CompactOptions, DB, DBCompressionType, DBPinnableSlice, DBRecoveryMode, ErrorKind, InfoLogger,
    LogLevel, Options, ReadOptions, WriteBatch, WriteOptions,
};

/// A write buffer of one table, in bytes.
const WRITE_BUFFER: usize = 4 << 20;
/// Write buffers of all tables together, in bytes.
const WRITE_BUFFERS: usize = 16 << 20;
/// A block of a table, in bytes: longer ones are packed better and cost each look-up more.
const BLOCK_BYTES: usize = 16 << 10;
/// Blocks kept in memory, over all tables, in bytes.
const BLOCK_CACHE: usize = 16 << 20;
/// A command that wrote this much moves it into tables before it ends, in bytes.
const MUCH_BYTES: usize = 256 << 10;
/// Write-ahead logs left by as many commands before opening moves them into tables.
const MAX_LOGS: usize = 16;

/// The tables (RocksDB calls them column families).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    /// Chunk id to place.
    Chunks,
    /// Object id to canonical bytes, for objects short enough.
    Objects,
    /// Object id to kind and place.
    Places,
    /// Content id to the id of the manifest stored last.
    Manifests,
    /// Ref kind and name to value.
    Refs,
    /// Operation number, big endian, to operation.
    Operations,
    /// Write id to operation number.
    Writes,
    /// The working copy's state and cache rows.
    Workspace,
    /// Pack id to what is known of it.
    Packs,
    /// Which packs are appended to, and counters.
    Meta,
}

impl Table {
    pub(crate) const ALL: [Self; 10] = [
        Self::Chunks,
        Self::Objects,
        Self::Places,
        Self::Manifests,
        Self::Refs,
        Self::Operations,
        Self::Writes,
        Self::Workspace,
        Self::Packs,
        Self::Meta,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Chunks => "chunks",
            Self::Objects => "objects",
            Self::Places => "places",
            Self::Manifests => "manifests",
            Self::Refs => "refs",
            Self::Operations => "operations",
            Self::Writes => "writes",
            Self::Workspace => "workspace",
            Self::Packs => "packs",
            Self::Meta => "meta",
        }
    }
}

/// What the opener of a database wants of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Open {
    /// A new, empty one.
    Create,
    /// One that is there, to write to; nobody else may have it open so.
    Write,
    /// One that is there, as it is now; takes no lock and changes nothing.
    Read,
}

/// An open database.
pub(crate) struct Db {
    db: DB,
    path: PathBuf,
    /// Bytes written since it was opened.
    written: AtomicUsize,
}

impl std::fmt::Debug for Db {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Db").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Db {
    /// Opens the database in `path`.
    ///
    /// # Errors
    /// [`StoreError::Index`] where making it again from packs would help.
    pub(crate) fn open(path: &Path, open: Open) -> Result<Self, StoreError> {
        let cache = Cache::new_lru_cache(BLOCK_CACHE);
        let failed = |error| to_store_error(path, "open", error);
        let options = db_options(path, open).map_err(failed)?;
        let tables = Table::ALL
            .map(|table| ColumnFamilyDescriptor::new(table.name(), table_options(table, &cache)));
        let db = match open {
            Open::Create | Open::Write => DB::open_cf_descriptors(&options, path, tables),
            Open::Read => DB::open_cf_descriptors_read_only(&options, path, tables, false),
        };
        db.map(|db| Self { db, path: path.to_path_buf(), written: AtomicUsize::new(0) })
            .map_err(failed)
    }

    fn table(&self, table: Table) -> Result<&ColumnFamily, StoreError> {
        self.db.cf_handle(table.name()).ok_or_else(|| StoreError::Index {
            path: self.path.clone(),
            source: format!("there is no table {}", table.name()).into(),
        })
    }

    pub(crate) fn get(
        &self,
        table: Table,
        key: &[u8],
    ) -> Result<Option<DBPinnableSlice<'_>>, StoreError> {
        let found = self.db.get_pinned_cf(self.table(table)?, key);
        found.map_err(|error| to_store_error(&self.path, "read", error))
    }

    /// Looks up many keys of one table, in the order given.
    pub(crate) fn get_many(
        &self,
        table: Table,
        keys: &[&[u8]],
    ) -> Result<Vec<Option<DBPinnableSlice<'_>>>, StoreError> {
        let rows = self.db.batched_multi_get_cf(self.table(table)?, keys.iter().copied(), false);
        let rows: Result<_, _> = rows.into_iter().collect();
        rows.map_err(|error| to_store_error(&self.path, "read", error))
    }

    /// Visits the rows from `start` on, in key order, until `visit` says no more.
    pub(crate) fn scan(
        &self,
        table: Table,
        start: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        let mut options = ReadOptions::default();
        // A scan of everything must not push out what single look-ups need.
        options.fill_cache(false);
        let mut rows = self.db.raw_iterator_cf_opt(self.table(table)?, options);
        rows.seek(start);
        while let Some((key, value)) = rows.item() {
            if !visit(key, value)? {
                return Ok(());
            }
            rows.next();
        }
        rows.status().map_err(|error| to_store_error(&self.path, "read", error))
    }

    /// Visits the rows before `end` (all, without one), last key first, until `visit` says no more.
    pub(crate) fn scan_back(
        &self,
        table: Table,
        end: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        let mut rows = self.db.raw_iterator_cf(self.table(table)?);
        match end {
            Some(end) => rows.seek_for_prev(end),
            None => rows.seek_to_last(),
        }
        while let Some((key, value)) = rows.item() {
            if end != Some(key) && !visit(key, value)? {
                return Ok(());
            }
            rows.prev();
        }
        rows.status().map_err(|error| to_store_error(&self.path, "read", error))
    }

    /// Starts a batch of changes.
    pub(crate) fn batch(&self) -> Batch<'_> {
        Batch { db: self, writes: WriteBatch::default() }
    }

    /// Has every table that grows with content rewritten, so that dropped rows give back their room.
    pub(crate) fn compact(&self) -> Result<(), StoreError> {
        self.flush()?;
        let mut options = CompactOptions::default();
        options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
        for table in [Table::Chunks, Table::Objects, Table::Places, Table::Manifests, Table::Meta] {
            let table = self.table(table)?;
            self.db.compact_range_cf_opt(table, None::<&[u8]>, None::<&[u8]>, &options);
        }
        Ok(())
    }

    /// What the database takes on disk, in bytes.
    pub(crate) fn disk_bytes(&self) -> Result<u64, StoreError> {
        let failed = |error| StoreError::io("read", &self.path, error);
        let mut bytes = 0;
        for entry in std::fs::read_dir(&self.path).map_err(failed)? {
            // One that went away meanwhile takes nothing.
            bytes += entry.map_err(failed)?.metadata().map_or(0, |found| found.len());
        }
        Ok(bytes)
    }

    /// Moves everything out of the write-ahead log, so that a folder moved now is whole.
    pub(crate) fn flush(&self) -> Result<(), StoreError> {
        for table in Table::ALL {
            let flushed = self.db.flush_cf(self.table(table)?);
            flushed.map_err(|error| to_store_error(&self.path, "write", error))?;
        }
        Ok(())
    }
}

impl Drop for Db {
    fn drop(&mut self) {
        // What a long command left in its log, every command after it would have to read again. The
        // rows are durable: a table that cannot be written now only leaves that as it is.
        if self.written.load(Ordering::Relaxed) >= MUCH_BYTES {
            let _ = self.flush();
        }
        // A command that is done must not wait for a compaction that the next one can do.
        self.db.cancel_all_background_work(true);
    }
}

/// Changes to any tables, taken together or not at all.
pub(crate) struct Batch<'a> {
    db: &'a Db,
    writes: WriteBatch,
}

impl Batch<'_> {
    pub(crate) fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.writes.put_cf(self.db.table(table)?, key, value);
        Ok(())
    }

    pub(crate) fn delete(&mut self, table: Table, key: &[u8]) -> Result<(), StoreError> {
        self.writes.delete_cf(self.db.table(table)?, key);
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    pub(crate) fn size(&self) -> usize {
        self.writes.size_in_bytes()
    }

    /// Writes the batch; with `sync`, it is durable when this returns.
    pub(crate) fn write(self, sync: bool) -> Result<(), StoreError> {
        let mut options = WriteOptions::default();
        options.set_sync(sync);
        self.db.written.fetch_add(self.writes.size_in_bytes(), Ordering::Relaxed);
        let written = self.db.db.write_opt(self.writes, &options);
        written.map_err(|error| to_store_error(&self.db.path, "write", error))
    }
}

/// Options of the whole database.
fn db_options(path: &Path, open: Open) -> Result<Options, rocksdb::Error> {
    // A short command then leaves its few rows in its log instead of writing a file per table when
    // the next one opens; now and then opening tidies up. Set first: what the string is applied to
    // comes back as a copy, which would not keep the logger alive.
    let keep_logs = open == Open::Write && logs(path).len() < MAX_LOGS;
    let keep_logs = format!("avoid_flush_during_recovery={keep_logs}");
    let mut options = Options::default().get_options_from_string(keep_logs)?;
    options.create_if_missing(open == Open::Create);
    options.set_error_if_exists(open == Open::Create);
    options.create_missing_column_families(open != Open::Read);
    options.set_paranoid_checks(true);
    // What a synced batch acknowledged must never be rolled back in silence: damage in the middle of
    // a log is refused (point-in-time recovery would drop all that follows it, acknowledged or not)
    // and the index is made again from packs. The torn tail of a batch that nobody acknowledged is
    // what a crash leaves, and no reason to refuse (absolute consistency would).
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    options.set_db_write_buffer_size(WRITE_BUFFERS);
    options.set_max_total_wal_size(WRITE_BUFFERS as u64);
    options.set_max_background_jobs(2);
    options.set_max_file_opening_threads(2);
    options.set_skip_stats_update_on_db_open(true);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options.set_keep_log_file_num(1);
    // Errors come back from calls; a log file per command would only be clutter.
    options.set_info_logger(InfoLogger::new_callback_logger(LogLevel::Fatal, |_, _| {}));
    options.set_log_level(LogLevel::Fatal);
    if open == Open::Read {
        // All table files are opened at once, so that a writer may delete them under a reader.
        options.set_max_open_files(-1);
    } else {
        options.set_max_open_files(256);
    }
    Ok(options)
}

/// Options of one table.
fn table_options(table: Table, cache: &Cache) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    blocks.set_format_version(5);
    blocks.set_block_size(BLOCK_BYTES);
    if matches!(table, Table::Chunks | Table::Objects | Table::Places | Table::Manifests) {
        // Most look-ups of a first import are for what is not there.
        blocks.set_bloom_filter(10.0, false);
    }
    let mut options = Options::default();
    options.set_block_based_table_factory(&blocks);
    options.set_write_buffer_size(WRITE_BUFFER);
    options.set_max_write_buffer_number(2);
    options.set_target_file_size_base(16 << 20);
    // Ids are noise to a compressor, but places name few packs, and paths resemble their neighbours.
    options.set_compression_type(DBCompressionType::Zstd);
    options
}

/// The names of the write-ahead logs, which opening has to read. They are dropped oldest first.
pub(crate) fn logs(path: &Path) -> BTreeSet<OsString> {
    let Ok(entries) = std::fs::read_dir(path) else { return BTreeSet::new() };
    let names = entries.flatten().map(|entry| entry.file_name());
    names.filter(|name| Path::new(name).extension().is_some_and(|it| it == "log")).collect()
}

/// Puts a database error into our words, sorted by what can be done about it.
fn to_store_error(path: &Path, action: &'static str, error: rocksdb::Error) -> StoreError {
    let (path, text) = (path.to_path_buf(), error.to_string());
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let kind = error.kind();
    let source = error.into();
    if says(&["No space left", "Disk quota exceeded"]) {
        StoreError::Full { action, path, source }
    } else if says(&["Permission denied", "Read-only file system"]) {
        StoreError::Denied { action, path, source }
    } else if matches!(
        kind,
        ErrorKind::Corruption | ErrorKind::InvalidArgument | ErrorKind::NotFound
    ) || says(&["No such file", "Not a directory"])
    {
        StoreError::Index { path, source }
    } else {
        StoreError::Backend { action, path, source }
    }
}
