//! Writing what is wanted of a pack anew, so that the pack can go.
//!
//! Records are appended and synced, one synced batch moves the rows and forgets the pack, and only then
//! is the file put away. What cannot be read stays where it is, and its pack with it.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::sync::atomic::Ordering;

use ottvc_object::codec::decode_body;
use ottvc_object::manifest::Manifest;
use ottvc_object::{ChunkId, Hash, Kind, Object, ObjectId, Storable};
use ottvc_refs::Operation;
use ottvc_store::StoreError;
use ottvc_store::collect::{Rewritten, Thing, Worn};
use ottvc_store::pack::{Class, Decoder, Encoder, PackId, Record, RecordHeader, RecordKind, scan};

use crate::batch::Batch;
use crate::collect::{place_of, read_raw};
use crate::damaged;
use crate::db::Table;
use crate::ledger::{Ledger, active_key};
use crate::rows::{PackState, Place, Rows};
use crate::shared::Shared;
use crate::small::{Grouped, Pools, Small, Sort};
use crate::workspace::STATE_KEY;

/// Things are looked up and read this many at a time.
const LOOK_UP: usize = 256;

/// See [`ottvc_store::collect::Collectable::rewrite`].
pub(crate) fn rewrite(shared: &Shared, worn: &Worn) -> Result<Rewritten, StoreError> {
    let mut ledger = shared.writing()?;
    ledger.commit(shared, |_| Ok(()))?;
    // What an open batch has written looks dead until it is finished. None can begin while we hold
    // the ledger: its first record waits for it.
    if shared.open_batches.load(Ordering::SeqCst) > 0 {
        return Ok(Rewritten::default());
    }
    let state = match shared.pack_state(worn.pack)? {
        Some(state) if state.len == worn.len => state,
        _ => return Ok(Rewritten::default()),
    };
    // Before anything is written: where they cannot be read, they are those that the index has.
    let kept = match state.class {
        Class::Data => Vec::new(),
        // Nobody can say which a damaged one held: its footer may have been written since.
        Class::Objects if worn.damaged => all_records(shared)?,
        Class::Objects => kept_records(shared, worn.pack, state)?,
    };
    ledger.detach(worn.pack);
    let mut anew = Anew {
        shared,
        ledger: &mut ledger,
        class: state.class,
        rows: Rows::default(),
        pools: Pools::default(),
        encoder: Encoder::default(),
        last: BTreeSet::new(),
        moved: 0,
    };
    let whole = worn.things.chunks(LOOK_UP).try_fold(true, |whole, things| {
        Ok::<_, StoreError>(anew.things(worn.pack, things)? && whole)
    })?;
    let whole = anew.last_manifests()? && whole;
    Sort::ALL.into_iter().try_for_each(|sort| anew.write_group(sort))?;
    // A pack that stays keeps these; moved each time, they would fill others.
    for Kept { kind, id, raw } in kept.iter().filter(|_| whole) {
        anew.raw(*kind, *id, raw)?;
    }
    let Anew { rows, moved, .. } = anew;
    ledger.finish(shared, rows)?;
    if !whole {
        // What could be read lies in another pack now; the rest stays named where it was, and nothing
        // is added to it.
        ledger.commit(shared, |batch| let_go(shared, batch, worn, state))?;
        return Ok(Rewritten { gone: false, moved });
    }
    ledger.commit(shared, |batch| {
        batch.delete(Table::Packs, &worn.pack.0)?;
        let_go(shared, batch, worn, state)
    })?;
    shared.files.forget(worn.pack);
    shared.layout.retire_pack(worn.pack)?;
    if worn.damaged {
        damaged::remember(&shared.layout, |list| {
            list.packs.remove(&worn.pack);
        })?;
    }
    Ok(Rewritten { gone: true, moved })
}

/// Notes that a pack is no longer appended to.
fn let_go(
    shared: &Shared,
    batch: &mut Batch,
    worn: &Worn,
    state: PackState,
) -> Result<(), StoreError> {
    let key = active_key(state.class);
    match shared.db.get(Table::Meta, &key)? {
        Some(active) if *active == worn.pack.0 => batch.delete(Table::Meta, &key),
        _ => Ok(()),
    }
}

/// Reads the operations that a pack holds, and the workspace state if it is the newest: what a
/// rebuild needs and the index does not place. An operation that was never acknowledged is none.
/// Of a pack that is not what it was nobody can say which it held: then they are all there are.
pub(crate) fn kept_records(
    shared: &Shared,
    pack: PackId,
    state: PackState,
) -> Result<Vec<Kept>, StoreError> {
    let (mut bytes, mut decoder, mut kept) = (Vec::new(), Decoder::default(), Vec::new());
    match shared.files.read(pack, 0, state.len, &mut bytes) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::UnexpectedEof) => {
            return all_records(shared);
        }
        other => {
            other.map_err(|error| StoreError::io("read", shared.layout.pack(pack), error))?;
        }
    }
    let newest = shared.db.get(Table::Workspace, STATE_KEY)?.map(|row| row.to_vec());
    let found = scan(pack, &bytes);
    if !found.gaps.is_empty() {
        return all_records(shared);
    }
    for record in found.records {
        let RecordHeader { kind, id, .. } = record.header;
        if !matches!(kind, RecordKind::Operation | RecordKind::Workspace) {
            continue;
        }
        let stored = record.payload(&bytes).unwrap_or_default();
        let Ok(raw) = decoder.decode(&record.header, stored) else {
            return all_records(shared);
        };
        let wanted = if kind == RecordKind::Workspace {
            newest.as_deref() == Some(&*raw)
        } else {
            let operation = decode_body::<Operation>(&raw, "operation").ok();
            let number = operation.map(|operation| operation.id.to_be_bytes());
            let row = match number {
                Some(number) => shared.db.get(Table::Operations, &number)?,
                None => None,
            };
            row.is_some_and(|row| *row == *raw)
        };
        if wanted {
            kept.push(Kept { kind, id, raw: raw.into_owned() });
        }
    }
    Ok(kept)
}

/// Every operation, and the newest workspace state, as the index has them.
pub(crate) fn all_records(shared: &Shared) -> Result<Vec<Kept>, StoreError> {
    let mut kept = Vec::new();
    let mut keep = |kind: RecordKind, raw: &[u8]| {
        kept.extend(kind.id_of(raw).map(|id| Kept { kind, id, raw: raw.to_vec() }));
    };
    shared.db.scan(Table::Operations, &[], &mut |_, row| {
        keep(RecordKind::Operation, row);
        Ok(true)
    })?;
    if let Some(state) = shared.db.get(Table::Workspace, STATE_KEY)? {
        keep(RecordKind::Workspace, &state);
    }
    Ok(kept)
}

/// A record that the index does not place and a rebuild needs.
pub(crate) struct Kept {
    pub(crate) kind: RecordKind,
    pub(crate) id: Hash,
    pub(crate) raw: Vec<u8>,
}

impl Kept {
    /// What it takes in a pack, at most.
    pub(crate) fn record_len(&self) -> u64 {
        RecordHeader::LEN + self.raw.len() as u64
    }
}

/// Writes things anew, by the way that new things take.
struct Anew<'a> {
    shared: &'a Shared,
    ledger: &'a mut Ledger,
    class: Class,
    rows: Rows,
    pools: Pools,
    encoder: Encoder,
    /// Manifests to be written after all others: those that files are kept by. Without the index, that
    /// is the one written last.
    last: BTreeSet<ObjectId>,
    moved: u64,
}

impl Anew<'_> {
    /// Writes those things anew that still lie in `pack`; says whether all could be read.
    fn things(&mut self, pack: PackId, things: &[Thing]) -> Result<bool, StoreError> {
        let mut whole = true;
        for thing in things {
            let Some((_, place)) = place_of(self.shared, *thing)?.filter(|(_, at)| at.pack == pack)
            else {
                continue;
            };
            whole &= match thing {
                Thing::Chunk(id) => self.chunk(*id, place)?,
                Thing::Object(id) => self.object(*id, place)?,
            };
        }
        Ok(whole)
    }

    fn chunk(&mut self, id: ChunkId, place: Place) -> Result<bool, StoreError> {
        let Some(raw) = read_raw(self.shared, RecordKind::Chunk, id.0, place) else {
            return Ok(false);
        };
        // As it was: what was worth a record of its own is so still.
        if place.member.is_some() {
            self.small(Sort::Chunks, Small::Chunk(id), &raw)?;
            return Ok(true);
        }
        let (pack, record) = self.raw(RecordKind::Chunk, id.0, &raw)?;
        self.rows.add_chunk(id, Place::new(pack, &record));
        Ok(true)
    }

    fn object(&mut self, id: ObjectId, place: Place) -> Result<bool, StoreError> {
        let Some(object) = self.read(id, place) else { return Ok(false) };
        if object.kind() == Kind::Manifest
            && let Ok(manifest) = Manifest::from_object(&object)
            && let Some(row) = self.shared.db.get(Table::Manifests, manifest.content.as_bytes())?
            && let Ok(current) = <[u8; 32]>::try_from(&*row)
        {
            // The one that counts is moved along with an older one, from wherever it is.
            self.last.insert(ObjectId(current));
            if current == id.0 {
                return Ok(true);
            }
        }
        self.put(&object)?;
        Ok(true)
    }

    fn read(&self, id: ObjectId, place: Place) -> Option<Object> {
        let raw = read_raw(self.shared, RecordKind::Object, id.0, place)?;
        Object::from_bytes(raw).ok()
    }

    /// Writes the manifests that files are kept by, each once; says whether all could be read.
    fn last_manifests(&mut self) -> Result<bool, StoreError> {
        let mut whole = true;
        for id in std::mem::take(&mut self.last) {
            // A row may name one that is gone.
            let Some((_, place)) = place_of(self.shared, Thing::Object(id))? else { continue };
            match self.read(id, place) {
                Some(object) => self.put(&object)?,
                None => whole = false,
            }
        }
        Ok(whole)
    }

    /// Puts a small thing with its neighbours.
    fn small(&mut self, sort: Sort, thing: Small, raw: &[u8]) -> Result<(), StoreError> {
        if self.pools.of(sort).add(sort, thing, raw) { self.write_group(sort) } else { Ok(()) }
    }

    fn write_group(&mut self, sort: Sort) -> Result<(), StoreError> {
        let Some(group) = self.pools.of(sort).unpacked() else { return Ok(()) };
        let grouped = group.pack(self.shared, &mut self.encoder)?;
        let Grouped { header, stored, .. } = &grouped;
        let at = self.ledger.append(self.shared, &mut self.rows, self.class, *header, stored)?;
        self.moved += header.record_len();
        self.pools.of(sort).written(&grouped, at, &mut self.rows);
        Ok(())
    }

    fn put(&mut self, object: &Object) -> Result<(), StoreError> {
        if let Some(sort) = Small::sort_of(object) {
            return self.small(sort, Small::Object(object.clone()), object.bytes());
        }
        let (pack, record) = self.raw(RecordKind::Object, object.id().0, object.bytes())?;
        self.rows.add_object(object, Place::new(pack, &record));
        Ok(())
    }

    fn raw(
        &mut self,
        kind: RecordKind,
        id: [u8; 32],
        raw: &[u8],
    ) -> Result<(PackId, Record), StoreError> {
        let appended =
            self.ledger.append_raw(self.shared, &mut self.rows, self.class, kind, id, raw)?;
        self.moved += appended.1.header.record_len();
        Ok(appended)
    }
}
