//! Pack files: open handles for reading, and the packs being appended to.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

use ottvc_store::StoreError;
use ottvc_store::pack::{
    Class, MAX_PACK_BYTES, PackHeader, PackId, Record, RecordHeader, TARGET_RECORDS, encode_footer,
    scan,
};

use crate::layout::Layout;
use crate::medium::Medium;
use crate::rows::PackState;

/// The most pack files kept open for reading.
const MAX_OPEN: usize = 64;
/// Payloads up to this length go out in one write with their header.
const JOIN_BYTES: usize = 64 << 10;

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
        if len > MAX_PACK_BYTES {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        buffer.resize(usize::try_from(len).unwrap_or_default(), 0);
        self.get(id)?.read_exact_at(buffer, offset)
    }
}

/// A pack that records are appended to.
#[derive(Debug)]
pub(crate) struct ActivePack {
    pub(crate) id: PackId,
    class: Class,
    file: File,
    /// The length that holds whole records; what lies beyond is overwritten.
    len: u64,
    /// Where the records that `records` lists begin; those before are read again to seal.
    known_from: u64,
    records: Vec<Record>,
    /// Whether anything was written since the last sync.
    dirty: bool,
    /// Whether it still lies in `tmp/`.
    new: bool,
    sealed: bool,
}

impl ActivePack {
    /// Begins a pack in `tmp/`.
    pub(crate) fn create(
        layout: &Layout,
        medium: &dyn Medium,
        header: PackHeader,
    ) -> Result<Self, StoreError> {
        let path = layout.new_pack(header.id);
        let failed = |error| StoreError::io("create", &path, error);
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).open(&path).map_err(failed)?;
        medium.write_at(&file, &header.encode(), 0).map_err(failed)?;
        Ok(Self {
            id: header.id,
            class: header.class,
            file,
            len: PackHeader::LEN,
            known_from: PackHeader::LEN,
            records: Vec::new(),
            dirty: true,
            new: true,
            sealed: false,
        })
    }

    /// Goes on with a pack, cutting off what lies beyond the acknowledged length; `None` if the file
    /// is gone or shorter, and not to be written to.
    pub(crate) fn resume(
        layout: &Layout,
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
        Ok(Some(Self {
            id,
            class: state.class,
            file,
            len: state.len,
            known_from: state.len,
            records: Vec::new(),
            dirty: false,
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
        let mut bytes = header.encode(self.id, self.len);
        let written = if payload.len() <= JOIN_BYTES {
            bytes.extend(payload);
            medium.write_at(&self.file, &bytes, self.len)
        } else {
            let payload_at = self.len + RecordHeader::LEN;
            medium
                .write_at(&self.file, &bytes, self.len)
                .and_then(|()| medium.write_at(&self.file, payload, payload_at))
        };
        written.map_err(|error| self.take_back(layout, error))?;
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
        let written = medium.write_at(&self.file, &footer, self.len);
        written.map_err(|error| self.take_back(layout, error))?;
        self.len += footer.len() as u64;
        self.dirty = true;
        self.sealed = true;
        Ok(())
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

    /// Cuts off half a write; the words for the error that made it so.
    fn take_back(&self, layout: &Layout, error: io::Error) -> StoreError {
        // Where cutting fails too, the bytes are overwritten later or cut when next opened.
        let _ = self.file.set_len(self.len);
        StoreError::io("write", layout.pack(self.id), error)
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
        let path = layout.pack(self.id);
        let failed = |error| StoreError::io("sync", &path, error);
        medium.sync(&self.file).map_err(failed)?;
        self.dirty = false;
        if !self.new {
            return Ok(Synced::Content);
        }
        fs::rename(layout.new_pack(self.id), &path).map_err(failed)?;
        self.new = false;
        Ok(Synced::NewName)
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
