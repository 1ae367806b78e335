//! The journal: batches that were acknowledged and are not in the database yet, behind a page of what
//! the database says. One small file, which a command reads instead of opening the database.
//!
//! It is replaced whole (written to `tmp/`, synced, renamed) when a page begins, and appended to
//! otherwise; a batch is acknowledged once its bytes are synced. What a torn append leaves at the end
//! was promised to nobody and is dropped: it is short, or sectors of it are zeros. Anything else that does
//! not check is damage: the index is made again from packs, which have what the batch said. `docs/format-pack.md` has the bytes.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use ottvc_store::StoreError;

use crate::batch::Batch;
use crate::db::Table;
use crate::known::Known;
use crate::layout::{Layout, sync_dir};
use crate::medium::Medium;
use crate::page::Page;

/// The longest batch that is appended, in bytes.
pub(crate) const MAX_BATCH_BYTES: usize = 64 << 10;
/// Batches of a journal together, in bytes: every command reads them.
const MAX_BATCHES_BYTES: usize = 256 << 10;
/// The most that lies behind a page, in bytes, with all that entries need beside their batches.
const MAX_ENTRIES_BYTES: usize = 8 * MAX_BATCHES_BYTES;
/// The longest journal that is read, in bytes.
const MAX_BYTES: u64 = 64 << 20;

/// What a journal begins with.
const MAGIC: &[u8; 8] = b"ottvcjn\n";
/// The layout of a journal.
const FORMAT: u32 = 1;
/// Length of its header.
const HEADER_BYTES: usize = 64;
/// What an entry begins with.
const ENTRY_MAGIC: &[u8; 4] = b"OJNE";
/// Length of an entry's header.
const ENTRY_BYTES: usize = 40;
/// What a disk writes whole, at least.
const SECTOR_BYTES: usize = 512;
/// So many zeros at its end, and an entry was hardly ever whole.
const ZEROS: usize = 16;
/// The context of checksums.
const CONTEXT: &str = "ottvc 2026 journal checksum v1";

/// Which page a journal has: 16 random bytes.
type PageId = [u8; 16];

/// A journal as it was read or left.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    /// Its page, unless it is empty: then the database says all.
    page: Option<PageId>,
    /// Up to where it is whole.
    len: u64,
    /// All batches behind the page.
    pub(crate) batches: Batch,
    /// Open, once something was appended.
    file: Option<File>,
}

/// Where a database's journal lies.
pub(crate) fn path_in(db: &Path) -> PathBuf {
    db.join("journal")
}

fn damaged(path: &Path, why: &'static str) -> StoreError {
    StoreError::Index { path: path.to_path_buf(), source: why.into() }
}

fn checksum(page: &PageId, offset: u64, bytes: &[&[u8]]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
    hasher.update(page).update(&offset.to_le_bytes());
    for bytes in bytes {
        hasher.update(bytes);
    }
    hasher.finalize().into()
}

impl Journal {
    /// Makes an empty journal for a new database.
    pub(crate) fn create(db: &Path) -> Result<(), StoreError> {
        let path = path_in(db);
        let made = File::create(&path).and_then(|mut file| {
            file.write_all(&encode_empty())?;
            file.sync_all()
        });
        made.map_err(|error| StoreError::io("create", path, error))?;
        sync_dir(db)
    }

    /// Reads the journal of a database, and what it knows.
    ///
    /// # Errors
    /// [`StoreError::Index`] if it is missing or damaged.
    pub(crate) fn read(db: &Path) -> Result<(Self, Known), StoreError> {
        let path = path_in(db);
        let mut bytes = Vec::new();
        let read = File::open(&path).and_then(|file| {
            let len = usize::try_from(file.metadata()?.len().min(MAX_BYTES)).unwrap_or_default();
            // One more, so that the end is seen without growing.
            bytes.reserve(len + 1);
            file.take(MAX_BYTES).read_to_end(&mut bytes)
        });
        match read {
            Ok(_) => {}
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                return Err(StoreError::Index { path, source: error.into() });
            }
            Err(error) => return Err(StoreError::io("read", path, error)),
        }
        Self::decode(&bytes).ok_or_else(|| damaged(&path, "the journal is damaged"))
    }

    fn decode(bytes: &[u8]) -> Option<(Self, Known)> {
        let (page, body) = split_page(bytes)?;
        let behind = bytes.len() - HEADER_BYTES - body.len();
        if body.is_empty() {
            return (behind == 0).then(Default::default);
        }
        if behind > MAX_ENTRIES_BYTES {
            return None;
        }
        let mut known = decode_page(body)?;
        let mut at = HEADER_BYTES + body.len();
        let mut batches = Batch::default();
        while let Some(batch) = entry_at(bytes, &page, at) {
            at += ENTRY_BYTES + batch.size();
            known.apply(&batch);
            batches.absorb(&batch);
        }
        // Torn is only what comes last.
        let rest = bytes.get(at..).unwrap_or_default();
        let whole = (1..rest.len()).any(|more| {
            rest.get(more..).is_some_and(|it| it.starts_with(ENTRY_MAGIC))
                && entry_at(bytes, &page, at + more).is_some()
        });
        let journal = Self { page: Some(page), len: at as u64, batches, file: None };
        (!whole && is_torn(rest, &page, at)).then_some((journal, known))
    }

    /// Whether the database says all.
    pub(crate) fn is_empty(&self) -> bool {
        self.page.is_none()
    }

    /// Whether nothing was written since another was read: neither here nor to the database.
    pub(crate) fn is_as(&self, other: &Self) -> bool {
        (self.page, self.len) == (other.page, other.len)
    }

    /// Whether a batch can be appended.
    pub(crate) fn has_room(&self, batch: &Batch) -> bool {
        self.batches.size() + batch.size() <= MAX_BATCHES_BYTES
    }

    /// Appends a batch; with `sync`, it is durable when this returns. After an error it is not there.
    pub(crate) fn append(
        &mut self,
        db: &Path,
        medium: &dyn Medium,
        batch: &Batch,
        sync: bool,
    ) -> Result<(), StoreError> {
        let path = path_in(db);
        let failed = |error| StoreError::io("write", &path, error);
        let page = self.page.ok_or_else(|| damaged(&path, "the journal has no page"))?;
        let file = match self.file.take() {
            Some(file) => file,
            None => {
                let file = OpenOptions::new().write(true).open(&path).map_err(failed)?;
                // What a torn append left.
                file.set_len(self.len).map_err(failed)?;
                file
            }
        };
        let bytes = encode_entry(&page, self.len, batch);
        let written = medium
            .write_at(&file, &bytes, self.len)
            .and_then(|()| if sync { medium.sync(&file) } else { Ok(()) });
        if let Err(error) = written {
            // Where cutting fails too, the next command may find the batch, as after a crash.
            let _ = file.set_len(self.len);
            return Err(failed(error));
        }
        self.len += bytes.len() as u64;
        self.batches.absorb(batch);
        self.file = Some(file);
        Ok(())
    }

    /// Replaces the journal with one that has a new page and no batches, or with an empty one; durable
    /// when this returns. The caller has seen to it that the database holds what the old one had.
    pub(crate) fn replace(
        &mut self,
        layout: &Layout,
        medium: &dyn Medium,
        page: Option<&Page>,
    ) -> Result<(), StoreError> {
        let path = path_in(&layout.db());
        let failed = |error| StoreError::io("write", &path, error);
        let (id, bytes) = match page {
            Some(page) => {
                let id = new_page_id()?;
                (Some(id), encode_page(&id, page))
            }
            None => (None, encode_empty()),
        };
        let staged = layout.tmp().join("journal");
        let file = File::create(&staged).map_err(failed)?;
        medium.write_at(&file, &bytes, 0).map_err(failed)?;
        medium.sync(&file).map_err(failed)?;
        fs::rename(&staged, &path).map_err(failed)?;
        // From here on it is this one that is appended to, whatever comes of its name.
        *self =
            Self { page: id, len: bytes.len() as u64, batches: Batch::default(), file: Some(file) };
        sync_dir(&layout.db())
    }
}

/// A journal without page and batches: the database says all.
fn encode_empty() -> Vec<u8> {
    seal_page(&PageId::default(), &[])
}

fn encode_page(id: &PageId, page: &Page) -> Vec<u8> {
    let mut body = Vec::new();
    for (table, key) in &page.from {
        body.push(*table as u8 + 1);
        body.extend(u32::try_from(key.len()).unwrap_or_default().to_le_bytes());
        body.extend(key);
    }
    body.push(0);
    body.extend(page.rows.as_bytes());
    seal_page(id, &body)
}

/// Puts the header before a page.
fn seal_page(id: &PageId, body: &[u8]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(FORMAT.to_le_bytes());
    bytes.extend(u32::try_from(body.len()).unwrap_or_default().to_le_bytes());
    bytes.extend(id);
    let sum = checksum(id, 0, &[&bytes, body]);
    bytes.extend(sum);
    bytes.extend(body);
    bytes
}

/// Splits a journal's page from its header.
fn split_page(bytes: &[u8]) -> Option<(PageId, &[u8])> {
    let (header, rest) = bytes.split_first_chunk::<HEADER_BYTES>()?;
    let (head, sum) = header.split_first_chunk::<32>()?;
    let (magic, head_rest) = head.split_first_chunk::<8>()?;
    let (format, head_rest) = head_rest.split_first_chunk()?;
    let (len, id) = head_rest.split_first_chunk()?;
    let id: PageId = id.try_into().ok()?;
    let body = rest.get(..usize::try_from(u32::from_le_bytes(*len)).ok()?)?;
    let good = magic == MAGIC
        && u32::from_le_bytes(*format) == FORMAT
        && checksum(&id, 0, &[head, body]) == *sum;
    good.then_some((id, body))
}

fn decode_page(body: &[u8]) -> Option<Known> {
    let mut known = Known::default();
    let mut body = body;
    loop {
        let (table, rest) = body.split_first()?;
        if *table == 0 {
            known.apply(&Batch::decode(rest)?);
            return Some(known);
        }
        let (len, rest) = rest.split_first_chunk()?;
        let (key, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*len)).ok()?)?;
        known.know_from(Table::from_byte(table - 1)?, key);
        body = rest;
    }
}

fn encode_entry(page: &PageId, offset: u64, batch: &Batch) -> Vec<u8> {
    let mut bytes = ENTRY_MAGIC.to_vec();
    bytes.extend(u32::try_from(batch.size()).unwrap_or_default().to_le_bytes());
    let sum = checksum(page, offset, &[&bytes, batch.as_bytes()]);
    bytes.extend(sum);
    bytes.extend(batch.as_bytes());
    bytes
}

/// The batch whose entry begins at `at`, if one does.
fn entry_at(bytes: &[u8], page: &PageId, at: usize) -> Option<Batch> {
    let (header, rest) = bytes.get(at..)?.split_first_chunk::<ENTRY_BYTES>()?;
    let (head, sum) = header.split_first_chunk::<8>()?;
    let (magic, len) = head.split_first_chunk::<4>()?;
    let len = usize::try_from(u32::from_le_bytes(len.try_into().ok()?)).ok()?;
    let batch = rest.get(..len).filter(|_| len <= MAX_BATCH_BYTES)?;
    let good = magic == ENTRY_MAGIC && checksum(page, at as u64, &[head, batch]) == *sum;
    if good { Batch::decode(batch) } else { None }
}

/// Whether bytes that make no entry at `at` are what a torn append may leave. A disk writes sectors whole,
/// and a file grows by zeros.
fn is_torn(rest: &[u8], page: &PageId, at: usize) -> bool {
    let Some((header, batch)) = rest.split_first_chunk::<ENTRY_BYTES>() else { return true };
    let (head, sum) = header.split_at(8);
    let len = u32::try_from(batch.len()).unwrap_or(u32::MAX).to_le_bytes();
    if checksum(page, at as u64, &[ENTRY_MAGIC, &len, batch]) == *sum {
        // All of it is there, but for what its first bytes say.
        return false;
    }
    let says = head.last_chunk::<4>().map_or(0, |len| u32::from_le_bytes(*len));
    let ends_in_zeros = rest.iter().rev().take(ZEROS).filter(|byte| **byte == 0).count() == ZEROS;
    let first = (SECTOR_BYTES - at % SECTOR_BYTES).min(rest.len());
    let (first, others) = rest.split_at(first);
    let is_zero = |sector: &[u8]| sector.iter().all(|byte| *byte == 0);
    usize::try_from(says).is_ok_and(|says| says > batch.len())
        || ends_in_zeros
        || is_zero(first)
        || others.chunks(SECTOR_BYTES).any(is_zero)
}

/// Draws a name for a page; 128 random bits are never drawn twice.
fn new_page_id() -> Result<PageId, StoreError> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|error| StoreError::Backend {
        action: "draw random bytes for",
        path: "a journal".into(),
        source: error.into(),
    })?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(key: &[u8], value: &[u8]) -> Batch {
        let mut batch = Batch::default();
        batch.put(Table::Refs, key, value).unwrap();
        batch
    }

    /// A journal's bytes: a page and the batches behind it, and where each of these ends.
    fn journal(batches: &[Batch]) -> (Vec<u8>, Vec<usize>) {
        let id = [7; 16];
        let page = Page { from: vec![(Table::Refs, Vec::new())], rows: batch(b"main", b"1") };
        let mut bytes = encode_page(&id, &page);
        let mut ends = vec![bytes.len()];
        for batch in batches {
            bytes.extend(encode_entry(&id, bytes.len() as u64, batch));
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    #[test]
    fn what_comes_later_counts_and_the_rest_is_known_not_to_be() {
        let mut gone = Batch::default();
        gone.delete(Table::Refs, b"tag").unwrap();
        let (bytes, _) = journal(&[batch(b"tag", b"1"), batch(b"main", b"2"), gone]);
        let (journal, known) = Journal::decode(&bytes).unwrap();
        assert_eq!(journal.len, bytes.len() as u64);
        assert_eq!(journal.batches.changes().count(), 3, "the page's rows are no batch");
        assert_eq!(known.get(Table::Refs, b"main"), Some(Some(b"2".to_vec())));
        assert_eq!(known.get(Table::Refs, b"tag"), Some(None));
        assert_eq!(known.get(Table::Refs, b"other"), Some(None), "all refs are known");
        assert_eq!(known.get(Table::Meta, b"other"), None, "of others nothing is");
        let (empty, known) = Journal::decode(&encode_empty()).unwrap();
        assert!(empty.is_empty());
        assert_eq!(known.get(Table::Refs, b"main"), None);
    }

    #[test]
    fn a_torn_end_is_dropped_and_all_else_is_damage() {
        let (bytes, ends) = journal(&[batch(b"a", b"1"), batch(b"b", b"2"), batch(b"c", b"3")]);
        let whole = |bytes: &[u8]| Journal::decode(bytes).map(|(journal, _)| journal.len);
        for len in 0..bytes.len() {
            let kept = ends.iter().rev().find(|end| **end <= len).map(|end| *end as u64);
            assert_eq!(whole(&bytes[..len]), kept, "cut at {len}");
            // The length reached the disk, the content did not.
            let mut zeros = bytes[..len].to_vec();
            zeros.resize(bytes.len(), 0);
            let missing = bytes.len() - len;
            if kept.is_some() && (missing >= ZEROS || missing == 0) {
                assert_eq!(whole(&zeros), kept, "zeros from {len}");
            }
        }
        for at in 0..bytes.len() {
            let mut hurt = bytes.clone();
            hurt[at] ^= 0x10;
            assert_eq!(whole(&hurt), None, "byte {at}");
        }
    }

    #[test]
    fn entries_of_another_page_or_place_are_none() {
        let (bytes, ends) = journal(&[batch(b"a", b"1"), batch(b"b", b"2")]);
        let (first, second) = (&bytes[ends[0]..ends[1]], &bytes[ends[1]..]);
        let swapped = [&bytes[..ends[0]], second, first].concat();
        assert!(Journal::decode(&swapped).is_none(), "whole, and at another's place");
        let other = Page { from: Vec::new(), rows: Batch::default() };
        let other = [encode_page(&[8; 16], &other), first.to_vec()].concat();
        assert!(Journal::decode(&other).is_none(), "whole, and another's");
    }
}
