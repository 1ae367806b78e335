//! Makes the index, refs and operations again from nothing but packs.
//!
//! A sealed pack's chunks are taken at its footer's word, so that a large store is back soon; all else
//! is read and hashed. The new database is made beside the old one and takes its place in one
//! step; the old one goes to the trash.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use ottvc_object::codec::{decode_body, encode_body};
use ottvc_object::manifest::Manifest;
use ottvc_object::{ChunkId, Hash, Kind, Object, ObjectId, Storable};
use ottvc_refs::{Operation, RefName, RefValue};
use ottvc_store::pack::{
    Class, Decoder, MAX_PACK_BYTES, PackFault, PackHeader, PackId, Record, RecordHeader,
    RecordKind, Scan, decode_footer, decode_group, scan,
};
use ottvc_store::{Damage, DamagedThing, StoreError};

use crate::batch::Batch;
use crate::db::{Db, Open, Table};
use crate::journal::Journal;
use crate::layout::{Layout, sync_dir};
use crate::ledger::{ORDER_KEY, active_key};
use crate::medium::Medium;
use crate::packs::PackFiles;
use crate::refs::write_operation;
use crate::rows::{ObjectPlace, PackState, Place, is_inline};
use crate::workspace::{STATE_KEY, numbered};

/// A batch is written once it is this long, in bytes.
const BATCH_BYTES: usize = 4 << 20;
/// A footer is looked for in this many bytes at the end of a pack first.
const TAIL_BYTES: u64 = 256 << 10;

/// What a rebuild found in packs.
#[derive(Clone, Debug, Default)]
pub struct Rebuilt {
    /// Packs read.
    pub packs: u64,
    /// Chunk records.
    pub chunks: u64,
    /// Object records.
    pub objects: u64,
    /// Refs there are after all operations.
    pub refs: u64,
    /// Operations.
    pub operations: u64,
    /// What could not be read, or is missing.
    pub damaged: Vec<Damage>,
}

/// Replaces the database of a store. The caller holds the writer's lock and has no database open.
pub(crate) fn rebuild(layout: &Layout, medium: &dyn Medium) -> Result<Rebuilt, StoreError> {
    let fresh = layout.tmp().join("db");
    remove_dir(&fresh)?;
    let db = Db::open(&fresh, Open::Create)?;
    let mut rebuild = Rebuild::new(layout, &db);
    for (_, id) in rebuild.packs_in_order()? {
        rebuild.pack(id)?;
        // What a command wrote before it was killed may lie in memory alone, and the new index must
        // not outlive the bytes it names.
        let synced = rebuild.files.get(id).and_then(|file| medium.sync(&file));
        synced.map_err(|error| StoreError::io("sync", layout.pack(id), error))?;
    }
    sync_dir(&layout.packs())?;
    let rebuilt = rebuild.finish()?;
    db.flush()?;
    drop(db);
    Journal::create(&fresh)?;
    let old = layout.db();
    if old.symlink_metadata().is_ok() {
        let trash = free_name(layout)?;
        fs::rename(&old, &trash).map_err(|error| StoreError::io("move", &old, error))?;
    }
    fs::rename(&fresh, &old).map_err(|error| StoreError::io("move", &fresh, error))?;
    sync_dir(layout.dir())?;
    Ok(rebuilt)
}

/// A name in the trash that is not taken.
fn free_name(layout: &Layout) -> Result<PathBuf, StoreError> {
    let trash = layout.trash();
    fs::create_dir_all(&trash).map_err(|error| StoreError::io("create", &trash, error))?;
    let mut names = (1_u64..).map(|number| trash.join(format!("db-{number}")));
    let free = names.find(|path| path.symlink_metadata().is_err());
    Ok(free.unwrap_or(trash))
}

fn remove_dir(path: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(StoreError::io("remove", path, error))
        }
        _ => Ok(()),
    }
}

struct Rebuild<'a> {
    layout: &'a Layout,
    files: PackFiles,
    db: &'a Db,
    batch: Batch,
    decoder: Decoder,
    rebuilt: Rebuilt,
    /// The greatest order of any pack.
    order: u64,
    /// By number, in the order they were written; a crash can leave two under one number.
    operations: BTreeMap<u64, Vec<Operation>>,
    /// The newest workspace state, numbered.
    state: Option<Vec<u8>>,
}

impl<'a> Rebuild<'a> {
    fn new(layout: &'a Layout, db: &'a Db) -> Self {
        Self {
            layout,
            files: PackFiles::new(layout.clone()),
            db,
            batch: Batch::default(),
            decoder: Decoder::default(),
            rebuilt: Rebuilt::default(),
            order: 0,
            operations: BTreeMap::new(),
            state: None,
        }
    }

    fn damage(&mut self, what: Option<DamagedThing>, place: String, why: impl Into<String>) {
        self.rebuilt.damaged.push(Damage { what, place, why: why.into() });
    }

    /// Writes what has gathered, once that is much.
    fn spill(&mut self, most: usize) -> Result<(), StoreError> {
        if self.batch.size() <= most {
            return Ok(());
        }
        // Not synced: the database is flushed as a whole before anyone can open it.
        self.db.write(&std::mem::take(&mut self.batch), false)
    }

    /// All packs, oldest first; one whose header is damaged counts as oldest, so that it decides
    /// nothing.
    fn packs_in_order(&mut self) -> Result<Vec<(u64, PackId)>, StoreError> {
        let mut packs = Vec::new();
        let mut bytes = Vec::new();
        for id in self.layout.list_packs()? {
            let read = self.files.read(id, 0, PackHeader::LEN, &mut bytes);
            let header = read.ok().and_then(|()| PackHeader::decode(&bytes).ok());
            let order = header.filter(|header| header.id == id).map_or(0, |header| header.order);
            self.order = self.order.max(order);
            packs.push((order, id));
        }
        packs.sort_unstable();
        Ok(packs)
    }

    /// Adds what one pack holds.
    fn pack(&mut self, id: PackId) -> Result<(), StoreError> {
        self.rebuilt.packs += 1;
        let failed = |error| StoreError::io("read", self.layout.pack(id), error);
        let len = self.files.get(id).and_then(|file| file.metadata()).map_err(failed)?.len();
        if len > MAX_PACK_BYTES {
            self.damage(None, pack_words(id), "it is too long to be a pack");
            return Ok(());
        }
        let (mut bytes, tail) = (Vec::new(), len.saturating_sub(TAIL_BYTES));
        self.files.read(id, tail, len - tail, &mut bytes).map_err(failed)?;
        let is_data =
            |record: &Record| matches!(record.header.kind, RecordKind::Chunk | RecordKind::Group);
        if let Ok((_, records)) = decode_footer(id, tail, &bytes)
            && records.first().is_some_and(|first| first.header.kind == RecordKind::Chunk)
            && records.iter().all(is_data)
        {
            return self.sealed_data(id, len, &records);
        }
        self.files.read(id, 0, len, &mut bytes).map_err(failed)?;
        self.scanned(id, &bytes, &scan(id, &bytes))
    }

    /// Adds the chunks that a footer lists; the groups among them are read, to learn their members.
    fn sealed_data(&mut self, id: PackId, len: u64, records: &[Record]) -> Result<(), StoreError> {
        let mut bytes = Vec::new();
        for record in records {
            if record.header.kind == RecordKind::Chunk {
                self.chunk(record.header.id, Place::new(id, record))?;
            } else {
                let start = record.offset.saturating_add(RecordHeader::LEN);
                let stored_len = u64::from(record.header.stored_len);
                let read = self.files.read(id, start, stored_len, &mut bytes);
                read.map_err(|error| StoreError::io("read", self.layout.pack(id), error))?;
                match self.decoder.decode(&record.header, &bytes).map(Cow::into_owned) {
                    Ok(raw) => self.record(id, record, raw)?,
                    Err(why) => self.doubtful(id, record, &bytes, why)?,
                }
            }
            self.spill(BATCH_BYTES)?;
        }
        let state = PackState { class: Class::Data, sealed: true, len };
        self.batch.put(Table::Packs, &id.0, &state.encode())?;
        self.spill(BATCH_BYTES)
    }

    /// Adds what the bytes of a pack hold, every record hashed.
    fn scanned(&mut self, id: PackId, bytes: &[u8], found: &Scan) -> Result<(), StoreError> {
        let mut last_whole = PackHeader::LEN;
        let mut doubtful = Vec::new();
        for record in &found.records {
            let stored = record.payload(bytes).unwrap_or_default();
            match self.decoder.decode(&record.header, stored).map(Cow::into_owned) {
                Ok(raw) => {
                    last_whole = record.end();
                    self.record(id, record, raw)?;
                    self.spill(BATCH_BYTES)?;
                }
                Err(why) => doubtful.push((*record, why)),
            }
        }
        // What a crash leaves at the end of an open pack is no damage: a torn record, or headers that
        // reached the disk before their payloads. It is cut off before anything is appended.
        let end = if found.sealed { u64::MAX } else { last_whole };
        for (record, why) in doubtful.iter().filter(|(record, _)| record.offset < end) {
            let stored = record.payload(bytes).unwrap_or_default();
            self.doubtful(id, record, stored, *why)?;
        }
        for gap in found.gaps.iter().filter(|gap| gap.start < end) {
            self.damage(None, format!("{} at {}", pack_words(id), gap.start), gap.why.to_string());
        }
        self.pack_row(id, bytes.len() as u64, found, last_whole)
    }

    /// Adds the row of a scanned pack, which may be the one to append to.
    fn pack_row(
        &mut self,
        id: PackId,
        len: u64,
        found: &Scan,
        last_whole: u64,
    ) -> Result<(), StoreError> {
        let holds_chunks = |record: &Record| record.header.kind == RecordKind::Chunk;
        let class = match found.header {
            Some(header) => header.class,
            None if found.records.first().is_some_and(holds_chunks) => Class::Data,
            None => Class::Objects,
        };
        let len = if found.sealed { len } else { last_whole };
        let state = PackState { class, sealed: found.sealed, len };
        self.batch.put(Table::Packs, &id.0, &state.encode())?;
        if found.header.is_some() && !found.sealed {
            // Packs come oldest first, so that the newest open one is appended to.
            self.batch.put(Table::Meta, &active_key(class), &id.0)?;
        }
        Ok(())
    }

    /// Adds a record that hashes to its id.
    fn record(&mut self, pack: PackId, record: &Record, raw: Vec<u8>) -> Result<(), StoreError> {
        let (id, place) = (record.header.id, Place::new(pack, record));
        match record.header.kind {
            RecordKind::Chunk => self.chunk(id, place),
            RecordKind::Object => self.object(place, &Object::from_bytes(raw)?),
            RecordKind::Group => match decode_group(&raw) {
                Ok(members) => members.into_iter().try_for_each(|(kind, member)| {
                    let place = Place::in_group(pack, record, member);
                    let bytes = member.of(&raw).unwrap_or_default();
                    match kind {
                        RecordKind::Chunk => self.chunk(ChunkId::of(bytes).0, place),
                        _ => match Object::from_bytes(bytes) {
                            Ok(object) => self.object(place, &object),
                            // A group's hash says nothing of its members: one that is no object
                            // must not keep the rest from being found.
                            Err(error) => {
                                self.damage(None, place.words(), error.to_string());
                                Ok(())
                            }
                        },
                    }
                }),
                Err(why) => {
                    self.damage(None, place.words(), why.to_string());
                    Ok(())
                }
            },
            RecordKind::Operation => {
                match decode_body::<Operation>(&raw, "operation") {
                    Ok(operation) => {
                        self.operations.entry(operation.id).or_default().push(operation);
                    }
                    Err(error) => self.damage(None, place.words(), error.to_string()),
                }
                Ok(())
            }
            RecordKind::Workspace => {
                let number = |state: &Vec<u8>| numbered(state).map(|(number, _)| number);
                if number(&raw) >= self.state.as_ref().and_then(number) {
                    self.state = Some(raw);
                }
                Ok(())
            }
        }
    }

    fn chunk(&mut self, id: Hash, place: Place) -> Result<(), StoreError> {
        self.rebuilt.chunks += 1;
        self.batch.put(Table::Chunks, &id, &place.encode())
    }

    fn object(&mut self, place: Place, object: &Object) -> Result<(), StoreError> {
        self.rebuilt.objects += 1;
        let (id, kind) = (object.id(), object.kind());
        if is_inline(kind, object.bytes().len()) {
            self.batch.put(Table::Objects, id.as_bytes(), object.bytes())?;
        }
        if kind == Kind::Manifest
            && let Ok(manifest) = Manifest::from_object(object)
        {
            self.batch.put(Table::Manifests, manifest.content.as_bytes(), id.as_bytes())?;
        }
        let at = ObjectPlace { kind, place };
        self.batch.put(Table::Places, id.as_bytes(), &at.encode())
    }

    /// Keeps the name of a chunk whose bytes are damaged, unless a whole copy was met, and what can still
    /// be read of a damaged group.
    fn doubtful(
        &mut self,
        pack: PackId,
        record: &Record,
        stored: &[u8],
        why: PackFault,
    ) -> Result<(), StoreError> {
        let (id, place) = (record.header.id, Place::new(pack, record));
        let what = match record.header.kind {
            RecordKind::Chunk => Some(DamagedThing::Chunk(ChunkId(id))),
            RecordKind::Object => Some(DamagedThing::Object(ObjectId(id))),
            RecordKind::Operation | RecordKind::Workspace | RecordKind::Group => None,
        };
        self.damage(what, place.words(), why.to_string());
        self.spill(0)?;
        match record.header.kind {
            RecordKind::Chunk if self.db.get(Table::Chunks, &id)?.is_none() => {
                self.batch.put(Table::Chunks, &id, &place.encode())
            }
            RecordKind::Group => self.salvage(pack, record, stored),
            _ => Ok(()),
        }
    }

    /// Adds the members of a damaged group, each under what its own bytes hash to, unless a whole copy
    /// was met: one that changed is found by nobody, the others are as good as ever.
    fn salvage(&mut self, pack: PackId, record: &Record, stored: &[u8]) -> Result<(), StoreError> {
        let header = &record.header;
        let raw = self.decoder.unpack(header.encoding, header.raw_len, stored).map(Cow::into_owned);
        let Ok(raw) = raw else { return Ok(()) };
        for (kind, member) in decode_group(&raw).unwrap_or_default() {
            let place = Place::in_group(pack, record, member);
            let bytes = member.of(&raw).unwrap_or_default();
            let (table, object) = match kind {
                RecordKind::Chunk => (Table::Chunks, None),
                _ => (Table::Places, Object::from_bytes(bytes).ok()),
            };
            let Some(id) = kind.id_of(bytes) else { continue };
            if self.db.get(table, &id)?.is_some() {
                continue;
            }
            match object {
                Some(object) => self.object(place, &object)?,
                None => self.chunk(id, place)?,
            }
        }
        Ok(())
    }

    /// Replays the operations and writes the last rows.
    fn finish(mut self) -> Result<Rebuilt, StoreError> {
        let (mut refs, mut youngest) = (BTreeMap::new(), i64::MIN);
        let mut numbered = std::mem::take(&mut self.operations).into_iter().peekable();
        let mut expected = 1;
        while let Some((number, candidates)) = numbered.next() {
            if number > expected {
                let why = format!("operations {expected} to {} are missing", number - 1);
                self.damage(None, "packs".to_owned(), why);
            }
            expected = number.saturating_add(1);
            let next = numbered.peek().map(|(_, next)| next.as_slice()).unwrap_or_default();
            let Some(operation) = choose(&refs, candidates, next) else { continue };
            replay(&mut refs, &operation);
            youngest = youngest.max(operation.time);
            write_operation(&mut self.batch, &operation, &encode_body(&operation)?, youngest)?;
            self.rebuilt.operations += 1;
            self.spill(BATCH_BYTES)?;
        }
        self.rebuilt.refs = refs.len() as u64;
        if let Some(state) = self.state.take() {
            self.batch.put(Table::Workspace, STATE_KEY, &state)?;
        }
        self.batch.put(Table::Meta, ORDER_KEY, &self.order.to_le_bytes())?;
        self.spill(0)?;
        Ok(self.rebuilt)
    }
}

/// Refs, as a replay has them so far.
type Refs = BTreeMap<RefName, RefValue>;

/// Whether an operation found the refs as they are.
fn fits(refs: &Refs, operation: &Operation) -> bool {
    operation.edits.iter().all(|edit| refs.get(&edit.name) == edit.old.as_ref())
}

fn replay(refs: &mut Refs, operation: &Operation) {
    for edit in &operation.edits {
        match &edit.new {
            Some(value) => refs.insert(edit.name.clone(), value.clone()),
            None => refs.remove(&edit.name),
        };
    }
}

/// Picks one of the operations under one number. A transaction that was cut short can leave one that
/// nobody acknowledged; it is told by the history that does not go on from it, else by its age.
fn choose(refs: &Refs, candidates: Vec<Operation>, next: &[Operation]) -> Option<Operation> {
    let goes_on = |operation: &Operation| {
        let mut after = refs.clone();
        replay(&mut after, operation);
        next.iter().any(|next| fits(&after, next))
    };
    let single = candidates.len() == 1;
    let rank = |operation: &Operation| (fits(refs, operation), single || goes_on(operation));
    // The last of the greatest: `max_by_key` prefers later ones.
    candidates.into_iter().max_by_key(rank)
}

fn pack_words(id: PackId) -> String {
    format!("packs/{id}.pack")
}

#[cfg(test)]
mod tests {
    use ottvc_object::CommitId;
    use ottvc_refs::RefEdit;

    use super::*;

    fn at(commit: u8) -> Option<RefValue> {
        let target = Some(CommitId([commit; 32]));
        (commit > 0).then_some(RefValue { target, edition: None })
    }

    fn operation(id: u64, old: u8, new: u8) -> Operation {
        let name = RefName::branch("main").unwrap();
        Operation {
            id,
            write_id: [new; 16],
            edits: vec![RefEdit { name, old: at(old), new: at(new) }],
            command: "commit".into(),
            summary: String::new(),
            actor: String::new(),
            time: 0,
            undoes: None,
        }
    }

    #[test]
    fn of_two_operations_the_one_that_history_goes_on_from_is_kept() {
        let mut refs = Refs::new();
        replay(&mut refs, &operation(1, 0, 1));
        let both = vec![operation(2, 1, 2), operation(2, 1, 3)];
        for kept in [2, 3] {
            let next = [operation(3, kept, 9)];
            assert_eq!(choose(&refs, both.clone(), &next), Some(operation(2, 1, kept)));
        }
        assert_eq!(choose(&refs, both, &[]), Some(operation(2, 1, 3)), "the last, if none goes on");
        let stale = vec![operation(2, 1, 2), operation(2, 7, 8)];
        assert_eq!(choose(&refs, stale, &[]), Some(operation(2, 1, 2)), "one that fits");
    }
}
