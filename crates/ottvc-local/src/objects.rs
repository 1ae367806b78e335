//! The object store of a store on disk: reading.
//!
//! Every byte is checked against its id before it is handed out. Commits lie twice, in the index and
//! in a pack, and a damaged copy is made up for by the other.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::ErrorKind;
use std::sync::Arc;

use ottvc_object::{ChunkId, ContentId, Kind, Object, ObjectId};
use ottvc_store::pack::{Member, Record, RecordHeader, RecordKind};
use ottvc_store::{
    Checked, ChunkInfo, Collectable, DamagedThing, Held, ObjectStore, Portion, StoreError,
    StoreWriter, Usage,
};

use crate::ahead::{self, Run};
use crate::check;
use crate::collect::place_of;
use crate::damaged;
use crate::db::Table;
use crate::rows::{ObjectPlace, Place};
use crate::shared::Shared;
use crate::tools::Tools;
use crate::writer::LocalWriter;

/// Chunks that lie together are read together, up to this many bytes.
const WINDOW_BYTES: u64 = 8 << 20;
/// A hole between two chunks up to this long is read over rather than read around.
const MAX_HOLE_BYTES: u64 = 64 << 10;
/// Places are looked up this many at a time.
const LOOK_UP: usize = 1024;

/// Who takes chunks, each with its index.
pub(crate) type Visit<'a> = &'a mut dyn FnMut(usize, &[u8]) -> Result<(), StoreError>;

/// Objects and chunks on disk.
#[derive(Debug)]
pub(crate) struct LocalObjects(pub(crate) Arc<Shared>);

impl LocalObjects {
    /// Finds where chunks are, in the order given.
    fn places(&self, ids: &[ChunkId]) -> Result<Vec<Option<Place>>, StoreError> {
        let waiting: Vec<_> = {
            let ledger = self.0.ledger();
            ids.iter().map(|id| ledger.finished.chunks.get(id).copied()).collect()
        };
        let keys: Vec<&[u8]> = ids.iter().map(|id| id.as_bytes().as_slice()).collect();
        let rows = self.0.db.get_many(Table::Chunks, &keys)?;
        let place = |row: &[u8]| Place::decode(row).ok_or_else(|| self.0.bad_row("place"));
        let both = waiting.into_iter().zip(rows);
        both.map(|(waiting, row)| match (waiting, row) {
            (Some(place), _) => Ok(Some(place)),
            (None, Some(row)) => place(&row).map(Some),
            (None, None) => Ok(None),
        })
        .collect()
    }

    /// Finds where an object's record is, and what the index holds of its bytes.
    fn find(&self, id: ObjectId) -> Result<Found, StoreError> {
        if let Some(new) = self.0.ledger().finished.objects.get(&id) {
            return Ok(Found { inline: new.inline.clone(), at: Some(new.at), bad_copy: false });
        }
        let place = |row: &[u8]| ObjectPlace::decode(row).ok_or_else(|| self.0.bad_row("place"));
        let row = self.0.db.get(Table::Places, id.as_bytes());
        let at = row.and_then(|row| row.map(|row| place(&row)).transpose());
        let mut found = Found { inline: None, at: None, bad_copy: false };
        if let Ok(Some(at)) = at
            && at.kind != Kind::Commit
        {
            return Ok(Found { at: Some(at), ..found });
        }
        match self.0.db.get(Table::Objects, id.as_bytes()) {
            Ok(Some(bytes)) => match Object::from_bytes(&*bytes) {
                Ok(object) if object.id() == id => found.inline = Some(object),
                _ => found.bad_copy = true,
            },
            Ok(None) => {}
            // A damaged block of the table: the pack still has it.
            Err(StoreError::Index { .. }) => found.bad_copy = true,
            Err(error) => return Err(error),
        }
        if found.inline.is_none() {
            found.at = at?;
        }
        Ok(found)
    }

    /// Reads an object from its pack.
    fn read_object(&self, id: ObjectId, place: Place) -> Result<Object, StoreError> {
        let tools = &mut *self.0.tools.lend();
        let damaged = || StoreError::Damaged { id, place: place.words() };
        if let Some(member) = place.member {
            let group = self.group(place, tools, damaged)?;
            let raw = member.of(&group).ok_or_else(damaged)?;
            return match Object::from_bytes(raw) {
                Ok(object) if object.id() == id => Ok(object),
                _ => Err(damaged()),
            };
        }
        self.read_payload(place, tools)
            .map_err(|error| self.read_failed(place, error, damaged()))?;
        let header = place.record(RecordKind::Object, id.0).header;
        let raw = tools.decoder.decode(&header, &tools.buffer).map_err(|_| damaged())?;
        Object::from_bytes(raw.into_owned()).map_err(StoreError::Object)
    }

    /// Fills the buffer with the payload of a record.
    fn read_payload(&self, place: Place, tools: &mut Tools) -> std::io::Result<()> {
        let start = place.offset.saturating_add(RecordHeader::LEN);
        self.0.files.read(place.pack, start, u64::from(place.stored_len), &mut tools.buffer)
    }

    /// Returns the raw bytes of a group, unpacked now or lately. Its members are to be hashed by
    /// whoever wants one; the whole is not.
    fn group(
        &self,
        place: Place,
        tools: &mut Tools,
        damaged: impl Fn() -> StoreError,
    ) -> Result<Arc<[u8]>, StoreError> {
        if let Some(group) = self.0.groups.get(place.pack, place.offset) {
            return Ok(group);
        }
        self.read_payload(place, tools)
            .map_err(|error| self.read_failed(place, error, damaged()))?;
        let raw = tools.decoder.unpack(place.encoding, place.raw_len, &tools.buffer);
        let group: Arc<[u8]> = raw.map_err(|_| damaged())?.into();
        self.0.groups.put(place.pack, place.offset, Arc::clone(&group));
        Ok(group)
    }

    /// Tells bytes that are gone, which is damage, from a system that will not read.
    fn read_failed(&self, place: Place, error: std::io::Error, damaged: StoreError) -> StoreError {
        match error.kind() {
            ErrorKind::NotFound | ErrorKind::UnexpectedEof => damaged,
            _ => StoreError::io("read", self.0.layout.pack(place.pack), error),
        }
    }

    /// Reads chunks that lie in one pack, in order and near each other.
    pub(crate) fn read_run(
        &self,
        run: &[(usize, ChunkId, Place)],
        tools: &mut Tools,
        visit: Visit<'_>,
    ) -> Result<(), StoreError> {
        let (Some((_, id, first)), Some((_, _, last))) = (run.first(), run.last()) else {
            return Ok(());
        };
        if first.member.is_some() {
            return self.read_members(run, tools, visit);
        }
        let len = last.end().saturating_sub(first.offset);
        let read = self.0.files.read(first.pack, first.offset, len, &mut tools.buffer);
        if let (Err(_), true) = (&read, run.len() > 1) {
            // Name the chunk that cannot be read, and hand out those before it.
            return run
                .iter()
                .try_for_each(|one| self.read_run(std::slice::from_ref(one), tools, visit));
        }
        if let (Err(error), [(index, id, place)]) = (&read, run)
            && error.kind() == ErrorKind::NotFound
            && let Some(Some(now)) = self.places(&[*id])?.pop()
            && now != *place
        {
            // Its pack was rewritten since we looked.
            return self.read_run(&[(*index, *id, now)], tools, visit);
        }
        let damaged = |id, place: &Place| StoreError::DamagedChunk { id, place: place.words() };
        read.map_err(|error| self.read_failed(*first, error, damaged(*id, first)))?;
        for (index, id, place) in run {
            let record = place.record(RecordKind::Chunk, id.0);
            let within =
                Record { offset: place.offset.saturating_sub(first.offset), header: record.header };
            let stored = within.payload(&tools.buffer).ok_or_else(|| damaged(*id, place))?;
            let raw = tools.decoder.decode(&record.header, stored);
            visit(*index, &raw.map_err(|_| damaged(*id, place))?)?;
        }
        Ok(())
    }
}

impl LocalObjects {
    /// Reads chunks in the order asked for, each checked if `proven`.
    fn read_in_order(
        &self,
        ids: &[ChunkId],
        proven: bool,
        visit: Visit<'_>,
    ) -> Result<(), StoreError> {
        let tools = &mut *self.0.tools.lend();
        let mut index = 0;
        for some in ids.chunks(LOOK_UP) {
            let mut found = Vec::with_capacity(some.len());
            let mut missing = None;
            for (id, place) in some.iter().zip(self.places(some)?) {
                let Some(place) = place else {
                    missing = Some(*id);
                    break;
                };
                found.push((index, *id, place));
                index += 1;
            }
            ahead::read_runs(self, &runs(found), proven, tools, visit)?;
            if let Some(id) = missing {
                return Err(StoreError::NoChunk { id });
            }
        }
        Ok(())
    }

    /// Reads chunks that lie in one group.
    fn read_members(
        &self,
        run: &[(usize, ChunkId, Place)],
        tools: &mut Tools,
        visit: &mut dyn FnMut(usize, &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        for (index, id, place) in run {
            let (group, member) = match self.member(*id, place, tools) {
                Err(error @ StoreError::DamagedChunk { .. }) => {
                    match self.places(&[*id])?.pop().flatten() {
                        // Its pack was rewritten since we looked.
                        Some(now) if now != *place => {
                            self.read_run(&[(*index, *id, now)], tools, visit)?;
                            continue;
                        }
                        _ => return Err(error),
                    }
                }
                other => other?,
            };
            visit(*index, member.of(&group).unwrap_or_default())?;
        }
        Ok(())
    }

    /// Returns the group that a chunk lies in, and where, checked against the chunk's id.
    fn member(
        &self,
        id: ChunkId,
        place: &Place,
        tools: &mut Tools,
    ) -> Result<(Arc<[u8]>, Member), StoreError> {
        let damaged = || StoreError::DamagedChunk { id, place: place.words() };
        let group = self.group(*place, tools, damaged)?;
        let sound = |member: &Member| member.of(&group).map(ChunkId::of) == Some(id);
        let member = place.member.filter(sound).ok_or_else(damaged)?;
        Ok((group, member))
    }
}

/// What the index says of an object.
struct Found {
    inline: Option<Object>,
    at: Option<ObjectPlace>,
    /// Whether the index has a copy that is damaged.
    bad_copy: bool,
}

/// Whether `next` can be read in one go with a run that starts with `first` and ends with `last`.
fn continues(first: &Place, last: &Place, next: &Place) -> bool {
    if first.member.is_some() || next.member.is_some() {
        return (first.pack, first.offset) == (next.pack, next.offset);
    }
    first.pack == next.pack
        && next.offset >= last.end()
        && next.offset - last.end() <= MAX_HOLE_BYTES
        && next.end().saturating_sub(first.offset) <= WINDOW_BYTES
}

impl ObjectStore for LocalObjects {
    fn get(&self, id: ObjectId) -> Result<Object, StoreError> {
        match self.find(id)? {
            Found { inline: Some(object), .. } => Ok(object),
            Found { at: Some(at), .. } => match self.read_object(id, at.place) {
                // Its pack may have been rewritten since we looked.
                Err(error @ StoreError::Damaged { .. }) => match self.find(id)?.at {
                    Some(now) if now != at => self.read_object(id, now.place),
                    _ => Err(error),
                },
                other => other,
            },
            Found { bad_copy: true, .. } => {
                Err(StoreError::Damaged { id, place: "db, table objects".into() })
            }
            Found { .. } => Err(StoreError::NotFound { id }),
        }
    }

    fn contains(&self, ids: &[ObjectId]) -> Result<Vec<bool>, StoreError> {
        let waiting: Vec<_> = {
            let ledger = self.0.ledger();
            ids.iter().map(|id| ledger.finished.objects.contains_key(id)).collect()
        };
        let keys: Vec<&[u8]> = ids.iter().map(|id| id.as_bytes().as_slice()).collect();
        let rows = self.0.db.get_many(Table::Places, &keys)?;
        Ok(waiting.into_iter().zip(rows).map(|(waiting, row)| waiting || row.is_some()).collect())
    }

    fn chunk_infos(&self, ids: &[ChunkId]) -> Result<Vec<Option<ChunkInfo>>, StoreError> {
        let places = self.places(ids)?;
        let ledger = self.0.ledger();
        let info = |place: Place, id: &ChunkId| ChunkInfo {
            raw_len: place.len(),
            damaged: ledger.damaged.contains(&DamagedThing::Chunk(*id)),
        };
        let both = places.into_iter().zip(ids);
        Ok(both.map(|(place, id)| place.map(|place| info(place, id))).collect())
    }

    fn read_chunks(&self, ids: &[ChunkId], visit: Visit<'_>) -> Result<(), StoreError> {
        self.read_in_order(ids, true, visit)
    }

    fn read_chunks_unproven(&self, ids: &[ChunkId], visit: Visit<'_>) -> Result<(), StoreError> {
        self.read_in_order(ids, false, visit)
    }

    fn read_chunks_unordered(
        &self,
        ids: &[ChunkId],
        proven: bool,
        visit: Visit<'_>,
    ) -> Result<(), StoreError> {
        let tools = &mut *self.0.tools.lend();
        let mut found = Run::with_capacity(ids.len());
        for (index, (id, place)) in ids.iter().zip(self.places(ids)?).enumerate() {
            found.push((index, *id, place.ok_or(StoreError::NoChunk { id: *id })?));
        }
        found.sort_by_key(|(_, _, place)| (place.pack, place.offset));
        ahead::read_runs(self, &runs(found), proven, tools, visit)
    }

    fn manifest_of(&self, content: ContentId) -> Result<Option<ObjectId>, StoreError> {
        if let Some(manifest) = self.0.ledger().finished.manifests.get(&content) {
            return Ok(Some(*manifest));
        }
        let row = self.0.db.get(Table::Manifests, content.as_bytes())?;
        let id = |row: &[u8]| <[u8; 32]>::try_from(row).map(ObjectId);
        row.map(|row| id(&row).map_err(|_| self.0.bad_row("manifest id"))).transpose()
    }

    fn writer(&self) -> Result<Box<dyn StoreWriter + '_>, StoreError> {
        drop(self.0.writing()?);
        Ok(Box::new(LocalWriter::new(&self.0)))
    }

    fn sync(&self) -> Result<(), StoreError> {
        if self.0.lock.is_none() {
            return Ok(());
        }
        self.0.writing()?.commit(&self.0, |_| Ok(()))
    }

    fn scan(
        &self,
        visit: &mut dyn FnMut(Held) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.0.db.open_all()?;
        let (mut new_objects, mut new_chunks) = {
            let ledger = self.0.ledger();
            let objects = ledger.finished.objects.iter().map(|(id, new)| (*id, new.at));
            let chunks = ledger.finished.chunks.iter().map(|(id, place)| (*id, *place));
            (objects.collect::<HashMap<_, _>>(), chunks.collect::<HashMap<_, _>>())
        };
        let object = |id, at: &ObjectPlace| Held::Object {
            id,
            kind: at.kind,
            raw_len: at.place.len(),
            stored_len: at.place.share(),
        };
        let chunk =
            |id, place: &Place| Held::Chunk { id, raw_len: place.len(), stored_len: place.share() };
        self.0.db.scan(Table::Places, &[], &mut |key, row| {
            let id = <[u8; 32]>::try_from(key).ok().map(ObjectId);
            let both = id.zip(ObjectPlace::decode(row));
            let (id, at) = both.ok_or_else(|| self.0.bad_row("object"))?;
            visit(object(id, &new_objects.remove(&id).unwrap_or(at))).map(|()| true)
        })?;
        self.0.db.scan(Table::Chunks, &[], &mut |key, row| {
            let id = <[u8; 32]>::try_from(key).ok().map(ChunkId);
            let (id, place) = id.zip(Place::decode(row)).ok_or_else(|| self.0.bad_row("chunk"))?;
            visit(chunk(id, &new_chunks.remove(&id).unwrap_or(place))).map(|()| true)
        })?;
        new_objects.iter().try_for_each(|(id, at)| visit(object(*id, at)))?;
        new_chunks.iter().try_for_each(|(id, place)| visit(chunk(*id, place)))
    }

    fn usage(&self) -> Result<Usage, StoreError> {
        let mut packs: BTreeMap<_, _> =
            self.0.pack_states()?.into_iter().map(|(id, state)| (id, state.len)).collect();
        packs.extend(self.0.ledger().active_lens());
        Ok(Usage { pack_bytes: packs.values().sum(), packs: packs.len() as u64 })
    }

    fn check(
        &self,
        portion: Portion,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Checked, StoreError> {
        check::check(&self.0, portion, progress)
    }

    fn known_damage(&self) -> Result<Vec<DamagedThing>, StoreError> {
        let mut things = match self.0.lock.is_some() {
            true => self.0.ledger().damaged.clone(),
            false => damaged::load(&self.0.layout).things,
        };
        // What was dropped since is nobody's loss.
        let mut failed = None;
        things.retain(|thing| match place_of(&self.0, *thing) {
            Ok(place) => place.is_some(),
            Err(error) => {
                failed = Some(error);
                true
            }
        });
        failed.map_or_else(|| Ok(things.into_iter().collect()), Err)
    }

    fn note_damage(&self, things: &[DamagedThing]) -> Result<(), StoreError> {
        if self.0.lock.is_some() {
            self.0.ledger().damaged.extend(things);
        }
        damaged::remember(&self.0.layout, |list| list.things.extend(things))
    }

    fn is_damaged(&self) -> bool {
        !self.0.ledger().damaged.is_empty()
    }

    fn collectable(&self) -> &dyn Collectable {
        self
    }

    fn find_prefix(
        &self,
        prefix: &str,
        kinds: &[Kind],
        limit: usize,
    ) -> Result<Vec<ObjectId>, StoreError> {
        let Some(start) = first_id(prefix) else { return Ok(Vec::new()) };
        let mut found: BTreeSet<ObjectId> = {
            let ledger = self.0.ledger();
            let new = ledger.finished.objects.iter();
            new.filter(|(id, new)| {
                kinds.contains(&new.at.kind) && id.to_string().starts_with(prefix)
            })
            .map(|(id, _)| *id)
            .collect()
        };
        let mut seen = 0;
        self.0.db.scan(Table::Places, &start, &mut |key, row| {
            let id = <[u8; 32]>::try_from(key).ok().map(ObjectId);
            let (id, at) =
                id.zip(ObjectPlace::decode(row)).ok_or_else(|| self.0.bad_row("object"))?;
            if !id.to_string().starts_with(prefix) {
                return Ok(false);
            }
            if kinds.contains(&at.kind) {
                found.insert(id);
                seen += 1;
            }
            Ok(seen < limit)
        })?;
        Ok(found.into_iter().take(limit).collect())
    }
}

/// Joins neighbours in a pack, as far as one read window goes.
fn runs(found: Run) -> Vec<Run> {
    let mut runs = Vec::new();
    let mut run = Run::new();
    let mut raw = 0;
    for (index, id, place) in found {
        if let (Some((_, _, first)), Some((_, _, last))) = (run.first(), run.last())
            && (!continues(first, last, &place) || raw >= WINDOW_BYTES)
        {
            runs.push(std::mem::take(&mut run));
            raw = 0;
        }
        raw += u64::from(place.len());
        run.push((index, id, place));
    }
    runs.push(run);
    runs
}

/// The least id whose digits start with `prefix`; `None` if none does.
fn first_id(prefix: &str) -> Option<[u8; 32]> {
    let digits = prefix.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if prefix.len() > 64 || !digits {
        return None;
    }
    format!("{prefix:0<64}").parse::<ObjectId>().ok().map(|id| id.0)
}
