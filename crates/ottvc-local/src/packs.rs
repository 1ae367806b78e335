//! Pack files: open handles for reading, and the packs being appended to.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use ottvc_store::StoreError;
use ottvc_store::behind::{Behind, Buffers};
use ottvc_store::hints;
use ottvc_store::pack::{
    Class, MAX_PACK_BYTES, PackHeader, PackId, Record, RecordHeader, TARGET_RECORDS, encode_footer,
    scan,
};
use ottvc_store::pages::Pages;

use crate::layout::Layout;
use crate::medium::{Medium, Through};
use crate::rows::PackState;

/// The most pack files kept open for reading.
const MAX_OPEN: usize = 64;

/// Opens packs for reading and keeps some open.
#[derive(Debug)]
pub(crate) struct PackFiles {
    layout: Layout,
    open: Mutex<HashMap<PackId, Arc<File>>>,
}

impl PackFiles {
    pub(crate) fn new(layout: Layout) -> Self {
        Self { layout, open: Mutex::default() }
    }

    /// Returns the file of a pack; an error of kind `NotFound` if it is gone.
    pub(crate) fn get(&self, id: PackId) -> io::Result<Arc<File>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = open.get(&id) {
            return Ok(Arc::clone(file));
        }
        let file = match File::open(self.layout.pack(id)) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let new = File::open(self.layout.new_pack(id));
                let old = new.or_else(|_| File::open(self.layout.retired_pack(id)));
                // A collection that died before it retired a pack left it to the next writer.
                old.or_else(|_| File::open(self.layout.put_away_pack(id)))?
            }
            other => other?,
        };
        if open.len() >= MAX_OPEN {
            // Reads go through packs in runs, so that starting over costs little and keeps no ages.
            open.clear();
        }
        let file = Arc::new(file);
        open.insert(id, Arc::clone(&file));
        Ok(file)
    }

    /// Lets go of the file of a pack.
    pub(crate) fn forget(&self, id: PackId) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// Fills `buffer` with the `len` bytes of a pack that begin at `offset`.
    pub(crate) fn read(
        &self,
        id: PackId,
        offset: u64,
        len: u64,
        buffer: &mut Vec<u8>,
    ) -> io::Result<()> {
        buffer.resize(within_pack(len)?, 0);
        self.get(id)?.read_exact_at(buffer, offset)
    }

    /// As [`PackFiles::read`], for a part of a long run that is read once, from one end to the other.
    pub(crate) fn read_once(
        &self,
        id: PackId,
        offset: u64,
        len: u64,
        pages: &mut Pages,
    ) -> io::Result<()> {
        let len = within_pack(len)?;
        let file = self.get(id)?;
        hints::read_once(&file, offset, len, pages)
    }
}

/// A length that a part of a pack may have.
fn within_pack(len: u64) -> io::Result<usize> {
    let len = Some(len).filter(|len| *len <= MAX_PACK_BYTES);
    len.and_then(|len| usize::try_from(len).ok()).ok_or(ErrorKind::UnexpectedEof.into())
}

/// A pack that records are appended to.
///
/// Records of a pack of objects are in the file when they were appended. Those of a pack of chunks, of which
/// there are many at a time, are after [`ActivePack::flush`].
#[derive(Debug)]
pub(crate) struct ActivePack {
    pub(crate) id: PackId,
    class: Class,
    file: Arc<File>,
    /// What writes chunks.
    behind: Option<Behind>,
    /// The length that holds whole records; what lies beyond is overwritten.
    len: u64,
    /// Where the records that `records` lists begin; those before are read again to seal.
    known_from: u64,
    records: Vec<Record>,
    /// Whether anything was written since the last sync.
    dirty: bool,
    /// A sync under way, of all that was appended.
    syncing: Option<JoinHandle<io::Result<()>>>,
    /// Whether it still lies in `tmp/`.
    new: bool,
    sealed: bool,
}

impl ActivePack {
    /// Begins a pack in `tmp/`.
    pub(crate) fn create(
        layout: &Layout,
        medium: &Arc<dyn Medium>,
        buffers: &Buffers,
        header: PackHeader,
    ) -> Result<Self, StoreError> {
        let path = layout.new_pack(header.id);
        let failed = |error| StoreError::io("create", &path, error);
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).open(&path).map_err(failed)?;
        medium.write_at(&file, &header.encode(), 0).map_err(failed)?;
        let file = Arc::new(file);
        let behind = behind(header.class, &file, PackHeader::LEN, medium, buffers);
        Ok(Self {
            id: header.id,
            class: header.class,
            file,
            behind,
            len: PackHeader::LEN,
            known_from: PackHeader::LEN,
            records: Vec::new(),
            dirty: true,
            syncing: None,
            new: true,
            sealed: false,
        })
    }

    /// Goes on with a pack, cutting off what lies beyond the acknowledged length; `None` if the file
    /// is gone or shorter, and not to be written to.
    pub(crate) fn resume(
        layout: &Layout,
        medium: &Arc<dyn Medium>,
        buffers: &Buffers,
        id: PackId,
        state: PackState,
    ) -> Result<Option<Self>, StoreError> {
        let path = layout.pack(id);
        let failed = |error| StoreError::io("open", &path, error);
        let file = match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let found = file.metadata().map_err(failed)?.len();
        if found < state.len || state.sealed {
            return Ok(None);
        }
        if found > state.len {
            file.set_len(state.len).map_err(failed)?;
        }
        let file = Arc::new(file);
        let behind = behind(state.class, &file, state.len, medium, buffers);
        Ok(Some(Self {
            id,
            class: state.class,
            file,
            behind,
            len: state.len,
            known_from: state.len,
            records: Vec::new(),
            dirty: false,
            syncing: None,
            new: false,
            sealed: false,
        }))
    }

    /// Whether it should be sealed before anything is added.
    pub(crate) fn is_full(&self, target: u64) -> bool {
        self.len >= target || self.records.len() >= TARGET_RECORDS
    }

    /// What the index will say of it.
    pub(crate) fn state(&self) -> PackState {
        PackState { class: self.class, sealed: self.sealed, len: self.len }
    }

    /// Appends a record. After an error the pack is as before.
    pub(crate) fn append(
        &mut self,
        layout: &Layout,
        medium: &dyn Medium,
        header: RecordHeader,
        payload: &[u8],
    ) -> Result<Record, StoreError> {
        let head = header.encode(self.id, self.len);
        self.write(layout, medium, &[&head, payload])?;
        let record = Record { offset: self.len, header };
        self.len = record.end();
        self.records.push(record);
        self.dirty = true;
        Ok(record)
    }

    /// Ends the pack with its footer. After an error the pack is as before.
    pub(crate) fn seal(&mut self, layout: &Layout, medium: &dyn Medium) -> Result<(), StoreError> {
        let mut records = self.earlier_records(layout)?;
        records.append(&mut self.records.clone());
        let footer = encode_footer(self.id, self.len, &records);
        self.write(layout, medium, &[&footer])?;
        self.len += footer.len() as u64;
        self.dirty = true;
        self.sealed = true;
        Ok(())
    }

    /// Writes pieces at the end, all of them or none.
    fn write(
        &mut self,
        layout: &Layout,
        medium: &dyn Medium,
        pieces: &[&[u8]],
    ) -> Result<(), StoreError> {
        if let Some(behind) = &mut self.behind {
            return behind.push(pieces).map_err(|error| self.write_failed(layout, error));
        }
        let joined = pieces.concat();
        medium.write_at(&self.file, &joined, self.len).map_err(|error| {
            // Where cutting fails too, the bytes are overwritten later or cut when next opened.
            let _ = self.file.set_len(self.len);
            self.write_failed(layout, error)
        })
    }

    /// Waits until all that was appended can be read. After an error the same can be tried again.
    pub(crate) fn flush(&mut self, layout: &Layout) -> Result<(), StoreError> {
        let flushed = self.behind.as_mut().map_or(Ok(()), Behind::flush);
        flushed.map_err(|error| self.write_failed(layout, error))
    }

    fn write_failed(&self, layout: &Layout, error: io::Error) -> StoreError {
        StoreError::io("write", layout.pack(self.id), error)
    }

    /// Reads the records that commands before this one appended.
    fn earlier_records(&self, layout: &Layout) -> Result<Vec<Record>, StoreError> {
        let len = usize::try_from(self.known_from.min(MAX_PACK_BYTES)).unwrap_or_default();
        let mut bytes = vec![0; len];
        let read = self.file.read_exact_at(&mut bytes, 0);
        read.map_err(|error| StoreError::io("read", layout.pack(self.id), error))?;
        // A damaged header costs its line in the footer; the index still names its record.
        Ok(scan(self.id, &bytes).records)
    }

    /// Begins to make a sealed pack durable, on a thread of its own: whoever writes the next one need
    /// not wait for the disk. [`ActivePack::sync`] hears how it went.
    pub(crate) fn begin_sync(&mut self, medium: &Arc<dyn Medium>) {
        if !self.dirty || !self.sealed {
            return;
        }
        let (medium, file) = (Arc::clone(medium), Arc::clone(&self.file));
        let sync = move || medium.sync(&file);
        // Without a thread it is synced when that is asked for.
        match &mut self.behind {
            Some(behind) => drop(behind.begin_sync(sync)),
            None => self.syncing = Builder::new().name("ottvc-sync".into()).spawn(sync).ok(),
        }
    }

    /// Makes what was appended durable; says whether the folder of packs has a new name since.
    pub(crate) fn sync(
        &mut self,
        layout: &Layout,
        medium: &dyn Medium,
    ) -> Result<Synced, StoreError> {
        if !self.dirty {
            return Ok(Synced::Clean);
        }
        self.flush(layout)?;
        let path = layout.pack(self.id);
        let failed = |error| StoreError::io("sync", &path, error);
        let begun = match self.syncing.take() {
            Some(thread) => Some(thread.join().unwrap_or_else(|panic| resume_unwind(panic))),
            None => self.behind.as_mut().and_then(Behind::synced),
        };
        begun.unwrap_or_else(|| medium.sync(&self.file)).map_err(failed)?;
        self.dirty = false;
        if !self.new {
            return Ok(Synced::Content);
        }
        fs::rename(layout.new_pack(self.id), &path).map_err(failed)?;
        self.new = false;
        Ok(Synced::NewName)
    }
}

/// What writes a pack of chunks from `at` on; `None` for a pack of objects, which are few at a time, and of
/// which one that was not taken must not come after all.
fn behind(
    class: Class,
    file: &Arc<File>,
    at: u64,
    medium: &Arc<dyn Medium>,
    buffers: &Buffers,
) -> Option<Behind> {
    match class {
        Class::Data => Some(Behind::new(file, at, &Through::of(medium), buffers)),
        Class::Objects => None,
    }
}

/// What a sync of a pack did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Synced {
    /// There was nothing to do.
    Clean,
    /// Its bytes are durable.
    Content,
    /// Its bytes are durable, its name is not yet.
    NewName,
}
