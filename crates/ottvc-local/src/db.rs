//! The one RocksDB of a store: its tables, how it is opened, and its errors in our words.
//!
//! Everything in it can be made again from packs, so that it is tuned to open fast and to be refused
//! rather than believed when in doubt.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use ottvc_store::StoreError;
use rocksdb::properties::num_files_at_level;
use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, BottommostLevelCompaction, Cache, ColumnFamily,
    ColumnFamilyDescriptor, CompactOptions, DB, DBCompressionType, DBPinnableSlice, DBRecoveryMode,
    DEFAULT_COLUMN_FAMILY_NAME, ErrorKind, InfoLogger, LogLevel, Options, ReadOptions,
    WaitForCompactOptions, WriteBatch, WriteOptions,
};

use crate::batch::{Batch, Change};

/// A write buffer, in bytes; there may be two.
const WRITE_BUFFER: usize = 8 << 20;
/// A block of a table file, in bytes: longer ones are packed better and cost each look-up more.
const BLOCK_BYTES: usize = 4 << 10;
/// Blocks kept in memory, in bytes.
const BLOCK_CACHE: usize = 16 << 20;
/// A command that wrote this much moves it into tables before it ends, in bytes.
const MUCH_BYTES: usize = 256 << 10;
/// Table files not merged with others yet that are many.
const MANY_FILES: u64 = 8;
/// Write-ahead logs left by as many commands before opening moves them into tables.
const MAX_LOGS: usize = 16;

/// The tables. All lie in one space of keys, each behind its number: RocksDB has a kind of table of its
/// own (it says column family), of which each makes opening the database half a millisecond longer.
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

    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.get(usize::from(byte)).copied()
    }

    /// The key in the database of a row of this table.
    fn key(self, key: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(key.len() + 1);
        bytes.push(self as u8);
        bytes.extend(key);
        bytes
    }

    /// Reading options for the rows of this table alone.
    fn rows(self) -> ReadOptions {
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound([self as u8]);
        options.set_iterate_upper_bound([self as u8 + 1]);
        options
    }

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
        let failed = |error| to_store_error(path, "open", error);
        let options = options(path, open).map_err(failed)?;
        let all = [ColumnFamilyDescriptor::new(DEFAULT_COLUMN_FAMILY_NAME, options.clone())];
        let db = match open {
            Open::Create | Open::Write => DB::open_cf_descriptors(&options, path, all),
            Open::Read => DB::open_cf_descriptors_read_only(&options, path, all, false),
        };
        db.map(|db| Self { db, path: path.to_path_buf(), written: AtomicUsize::new(0) })
            .map_err(failed)
    }

    fn failed(&self, action: &'static str) -> impl Fn(rocksdb::Error) -> StoreError {
        move |error| to_store_error(&self.path, action, error)
    }

    pub(crate) fn get(
        &self,
        table: Table,
        key: &[u8],
    ) -> Result<Option<DBPinnableSlice<'_>>, StoreError> {
        self.db.get_pinned(table.key(key)).map_err(self.failed("read"))
    }

    /// Looks up many keys of one table, in the order given.
    pub(crate) fn get_many(
        &self,
        table: Table,
        keys: &[&[u8]],
    ) -> Result<Vec<Option<DBPinnableSlice<'_>>>, StoreError> {
        let all = self.all()?;
        let keys: Vec<Vec<u8>> = keys.iter().map(|key| table.key(key)).collect();
        let rows = self.db.batched_multi_get_cf(all, &keys, false);
        rows.into_iter().collect::<Result<_, _>>().map_err(self.failed("read"))
    }

    /// The space of keys that all tables lie in.
    fn all(&self) -> Result<&ColumnFamily, StoreError> {
        self.db.cf_handle(DEFAULT_COLUMN_FAMILY_NAME).ok_or_else(|| StoreError::Index {
            path: self.path.clone(),
            source: "the database holds no tables".into(),
        })
    }

    /// Visits the rows from `start` on, in key order, until `visit` says no more.
    pub(crate) fn scan(
        &self,
        table: Table,
        start: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        let mut options = table.rows();
        // A scan of everything must not push out what single look-ups need.
        options.fill_cache(false);
        let mut rows = self.db.raw_iterator_opt(options);
        rows.seek(table.key(start));
        while let Some(([_, key @ ..], value)) = rows.item() {
            if !visit(key, value)? {
                return Ok(());
            }
            rows.next();
        }
        rows.status().map_err(self.failed("read"))
    }

    /// Visits the rows before `end` (all, without one), last key first, until `visit` says no more.
    pub(crate) fn scan_back(
        &self,
        table: Table,
        end: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        let mut rows = self.db.raw_iterator_opt(table.rows());
        match end {
            Some(end) => rows.seek_for_prev(table.key(end)),
            None => rows.seek_to_last(),
        }
        while let Some(([_, key @ ..], value)) = rows.item() {
            if end != Some(key) && !visit(key, value)? {
                return Ok(());
            }
            rows.prev();
        }
        rows.status().map_err(self.failed("read"))
    }

    /// Writes a batch; with `sync`, it is durable when this returns.
    pub(crate) fn write(&self, batch: &Batch, sync: bool) -> Result<(), StoreError> {
        let (mut writes, mut bytes) = (WriteBatch::default(), Vec::new());
        for Change { table, key, value } in batch.changes() {
            bytes.clear();
            bytes.push(table as u8);
            bytes.extend(key);
            match value {
                Some(value) => writes.put(&bytes, value),
                None => writes.delete(&bytes),
            }
        }
        let mut options = WriteOptions::default();
        options.set_sync(sync);
        self.written.fetch_add(writes.size_in_bytes(), Ordering::Relaxed);
        self.db.write_opt(writes, &options).map_err(self.failed("write"))
    }

    /// Has everything rewritten, so that dropped rows give back their room.
    pub(crate) fn compact(&self) -> Result<(), StoreError> {
        self.flush()?;
        let mut options = CompactOptions::default();
        options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
        self.db.compact_range_opt(None::<&[u8]>, None::<&[u8]>, &options);
        Ok(())
    }

    /// Leaves a database that is quick to open, after short commands: nothing in its log, few files. Short
    /// commands alone would never see the end of a compaction, which each leaves to the next.
    pub(crate) fn tidy(&self) -> Result<(), StoreError> {
        self.flush()?;
        let files = self.db.property_int_value(num_files_at_level(0));
        if files.map_err(self.failed("read"))?.unwrap_or(0) < MANY_FILES {
            return Ok(());
        }
        let waited = self.db.wait_for_compact(&WaitForCompactOptions::default());
        waited.map_err(self.failed("write"))
    }

    /// Moves everything out of the write-ahead log, so that a folder moved now is whole.
    pub(crate) fn flush(&self) -> Result<(), StoreError> {
        self.db.flush().map_err(self.failed("write"))
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

/// How the database is opened.
fn options(path: &Path, open: Open) -> Result<Options, rocksdb::Error> {
    let mut options = Options::default();
    if open == Open::Write {
        // A command then leaves its few rows in its log instead of writing a file when the next one
        // opens; now and then opening tidies up. Set first: what the string is applied to comes back
        // as a copy, which would not keep the logger alive.
        let keep_logs = logs(path).len() < MAX_LOGS;
        let keep_logs = format!("avoid_flush_during_recovery={keep_logs}");
        options = options.get_options_from_string(keep_logs)?;
    }
    options.create_if_missing(open == Open::Create);
    options.set_error_if_exists(open == Open::Create);
    options.set_paranoid_checks(true);
    // What a synced batch acknowledged must never be rolled back in silence: damage in the middle of
    // a log is refused (point-in-time recovery would drop all that follows it, acknowledged or not)
    // and the index is made again from packs. The torn tail of a batch that nobody acknowledged is
    // what a crash leaves, and no reason to refuse (absolute consistency would).
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    options.set_write_buffer_size(WRITE_BUFFER);
    options.set_max_write_buffer_number(2);
    options.set_max_total_wal_size(2 * WRITE_BUFFER as u64);
    options.set_max_background_jobs(2);
    options.set_skip_stats_update_on_db_open(true);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options.set_keep_log_file_num(1);
    // Errors come back from calls; a log file per command would only be clutter.
    options.set_info_logger(InfoLogger::new_callback_logger(LogLevel::Fatal, |_, _| {}));
    options.set_log_level(LogLevel::Fatal);
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(&Cache::new_lru_cache(BLOCK_CACHE));
    blocks.set_format_version(5);
    blocks.set_block_size(BLOCK_BYTES);
    // Most look-ups of a first import are for what is not there.
    blocks.set_bloom_filter(10.0, false);
    // So that a short command reads the few pieces it needs of a large index, not all of it.
    blocks.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
    blocks.set_partition_filters(true);
    // Starting threads takes longer than opening a few files.
    options.set_max_file_opening_threads(1);
    if open == Open::Read {
        // All table files are opened at once, so that a writer may delete them under a reader; but
        // most of what lies in them is not needed.
        options.set_max_open_files(-1);
        blocks.set_cache_index_and_filter_blocks(true);
    } else {
        options.set_max_open_files(256);
    }
    options.set_block_based_table_factory(&blocks);
    // Few files: a short command opens them all.
    options.set_target_file_size_base(64 << 20);
    // Ids are noise to a compressor, but places name few packs, and paths resemble their neighbours.
    options.set_compression_type(DBCompressionType::Zstd);
    Ok(options)
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
