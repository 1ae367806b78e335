//! The collector's side of a store on disk: trash marks, dropping rows, rewriting packs.
//!
//! A thing in the trash keeps its rows and has one more, which says since when: whatever asks for it
//! finds it, and a process with an older view of the index reads it. Dropping removes rows, in one
//! synced batch with all that names the thing. Rewriting packs is told apart, in `rewrite`; it follows
//! the order of every barrier, so that a crash before its batch leaves bytes beyond the acknowledged
//! lengths, one after it a pack that no row names, which the next new pack puts away.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ottvc_object::manifest::Manifest;
use ottvc_object::{ChunkId, ContentId, Hash, Kind, Object, ObjectId, Storable};
use ottvc_store::StoreError;
use ottvc_store::collect::{Collectable, Dropped, Pins, Rewritten, Settled, Thing, Trashed, Worn};
use ottvc_store::pack::{Class, Decoder, Member, PackHeader, PackId, RecordHeader, RecordKind};

use crate::batch::Batch;
use crate::damaged;
use crate::db::Table;
use crate::ledger::Ledger;
use crate::objects::LocalObjects;
use crate::readers;
use crate::rewrite::{kept_records, rewrite};
use crate::rows::{ObjectPlace, PackState, Place};
use crate::shared::Shared;

/// A pack is worn once this part of it (one in so many bytes) is dead. Rewriting one copies at most
/// three bytes for each that it frees, and a store that is collected now and then carries at most a
/// third more than what lives.
const WORN_PART: u64 = 4;
/// What a footer takes beside its lines, in bytes, at most.
const FOOTER_BYTES: u64 = 64;
/// What a footer takes for each record, in bytes.
const LINE_BYTES: u64 = 52;
/// Rows dropped before it is worth having the database rewrite its tables.
const MANY_ROWS: u64 = 1000;

/// What the keys of trash rows in [`Table::Meta`] start with.
const TRASH: u8 = b't';

/// The key of a thing's trash row: the prefix, what it is, its id.
fn trash_key(thing: Thing) -> [u8; 34] {
    let (kind, id) = match thing {
        Thing::Object(id) => (0, id.0),
        Thing::Chunk(id) => (1, id.0),
    };
    let mut key = [0; 34];
    key[0] = TRASH;
    key[1] = kind;
    key[2..].copy_from_slice(&id);
    key
}

/// The thing that a trash row is about.
fn trash_thing(key: &[u8]) -> Option<Thing> {
    let ([TRASH, kind], id) = key.split_first_chunk()? else { return None };
    let id = <[u8; 32]>::try_from(id).ok()?;
    match kind {
        0 => Some(Thing::Object(ObjectId(id))),
        1 => Some(Thing::Chunk(ChunkId(id))),
        _ => None,
    }
}

/// Removes the rows of a thing that is condemned, since it is about to be stored anew. Not synced: a
/// crash that brings them back brings back all that was dropped after them, too.
pub(crate) fn make_way(
    shared: &Shared,
    ledger: &mut Ledger,
    thing: Thing,
) -> Result<(), StoreError> {
    if !shared.pins.ask(&[thing]).contains(&true) {
        return Ok(());
    }
    ledger.finished.forget(thing);
    let mut batch = Batch::default();
    drop_rows(shared, &mut batch, thing)?;
    shared.db.write(&batch, false)?;
    shared.pins.stored(thing);
    Ok(())
}

/// Adds the removal of all rows of a thing to a batch; returns what its record takes, if it is held.
fn drop_rows(shared: &Shared, batch: &mut Batch, thing: Thing) -> Result<Option<u64>, StoreError> {
    let Some((_, place)) = place_of(shared, thing)? else { return Ok(None) };
    match thing {
        Thing::Chunk(id) => batch.delete(Table::Chunks, id.as_bytes())?,
        Thing::Object(id) => {
            if let Some(content) = bound_content(shared, id)? {
                batch.delete(Table::Manifests, content.as_bytes())?;
            }
            batch.delete(Table::Objects, id.as_bytes())?;
            batch.delete(Table::Places, id.as_bytes())?;
        }
    }
    batch.delete(Table::Meta, &trash_key(thing))?;
    Ok(Some(place.share()))
}

/// Where the index says a thing is, and its kind if it is an object.
pub(crate) fn place_of(
    shared: &Shared,
    thing: Thing,
) -> Result<Option<(Option<Kind>, Place)>, StoreError> {
    match thing {
        Thing::Chunk(id) => {
            let Some(row) = shared.db.get(Table::Chunks, id.as_bytes())? else { return Ok(None) };
            let place = Place::decode(&row).ok_or_else(|| shared.bad_row("place"))?;
            Ok(Some((None, place)))
        }
        Thing::Object(id) => {
            let Some(row) = shared.db.get(Table::Places, id.as_bytes())? else { return Ok(None) };
            let at = ObjectPlace::decode(&row).ok_or_else(|| shared.bad_row("place"))?;
            Ok(Some((Some(at.kind), at.place)))
        }
    }
}

/// The content that is kept by this very object, if it is a manifest. One that cannot be read any
/// more leaves its row behind, which names nothing then; whoever asks looks for the manifest too.
fn bound_content(shared: &Shared, id: ObjectId) -> Result<Option<ContentId>, StoreError> {
    let Some((Some(Kind::Manifest), place)) = place_of(shared, Thing::Object(id))? else {
        return Ok(None);
    };
    let inline = shared.db.get(Table::Objects, id.as_bytes())?;
    let object = match inline.and_then(|bytes| Object::from_bytes(&*bytes).ok()) {
        Some(object) if object.id() == id => Some(object),
        _ => read_raw(shared, RecordKind::Object, id.0, place)
            .and_then(|raw| Object::from_bytes(raw).ok()),
    };
    let manifest = object.and_then(|object| Manifest::from_object(&object).ok());
    let Some(content) = manifest.map(|manifest| manifest.content) else { return Ok(None) };
    let row = shared.db.get(Table::Manifests, content.as_bytes())?;
    Ok(row.is_some_and(|row| *row == id.0).then_some(content))
}

/// Reads what a record holds and checks it; `None` if it cannot be read whole.
pub(crate) fn read_raw(
    shared: &Shared,
    kind: RecordKind,
    id: Hash,
    place: Place,
) -> Option<Vec<u8>> {
    let header = place.record(kind, id).header;
    let (mut buffer, mut decoder) = (Vec::new(), Decoder::default());
    let start = place.offset.saturating_add(RecordHeader::LEN);
    shared.files.read(place.pack, start, u64::from(place.stored_len), &mut buffer).ok()?;
    let Some(member) = place.member else {
        return decoder.decode(&header, &buffer).ok().map(std::borrow::Cow::into_owned);
    };
    if let Some(group) = shared.groups.get(place.pack, place.offset) {
        return checked_member(&group, member, kind, id);
    }
    let group: Arc<[u8]> =
        decoder.unpack(header.encoding, header.raw_len, &buffer).ok()?.into_owned().into();
    shared.groups.put(place.pack, place.offset, Arc::clone(&group));
    checked_member(&group, member, kind, id)
}

/// The bytes of a member, if they hash to its id.
fn checked_member(group: &[u8], member: Member, kind: RecordKind, id: [u8; 32]) -> Option<Vec<u8>> {
    let raw = member.of(group)?;
    (kind.id_of(raw) == Some(id)).then(|| raw.to_vec())
}

impl Collectable for LocalObjects {
    fn pins(&self) -> &Arc<Pins> {
        &self.0.pins
    }

    fn manifests(
        &self,
        visit: &mut dyn FnMut(ContentId, ObjectId) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut waiting = self.0.ledger().finished.manifests.clone();
        self.0.db.scan(Table::Manifests, &[], &mut |key, row| {
            let content = <[u8; 32]>::try_from(key).ok().map(ContentId);
            let both = content.zip(<[u8; 32]>::try_from(row).ok().map(ObjectId));
            let (content, id) = both.ok_or_else(|| self.0.bad_row("manifest id"))?;
            visit(content, waiting.remove(&content).unwrap_or(id)).map(|()| true)
        })?;
        waiting.into_iter().try_for_each(|(content, id)| visit(content, id))
    }

    fn trashed(
        &self,
        visit: &mut dyn FnMut(Trashed) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.0.db.scan(Table::Meta, &[TRASH], &mut |key, row| {
            if key.first() != Some(&TRASH) {
                return Ok(false);
            }
            let since = <[u8; 8]>::try_from(row).ok().map(i64::from_le_bytes);
            let both = trash_thing(key).zip(since);
            let (thing, since) = both.ok_or_else(|| self.0.bad_row("trash"))?;
            if let Some((_, place)) = place_of(&self.0, thing)? {
                visit(Trashed { thing, since, bytes: place.share() })?;
            }
            Ok(true)
        })
    }

    fn trash_times(&self, things: &[Thing]) -> Result<Vec<Option<i64>>, StoreError> {
        let keys: Vec<_> = things.iter().copied().map(trash_key).collect();
        let keys: Vec<&[u8]> = keys.iter().map(<[u8; 34]>::as_slice).collect();
        let since = |row: &[u8]| <[u8; 8]>::try_from(row).ok().map(i64::from_le_bytes);
        let rows = self.0.db.get_many(Table::Meta, &keys)?;
        rows.into_iter()
            .map(|row| {
                row.map(|row| since(&row).ok_or_else(|| self.0.bad_row("trash"))).transpose()
            })
            .collect()
    }

    fn trash(&self, things: &[Thing], now: i64) -> Result<Dropped, StoreError> {
        let shared = &*self.0;
        let mut ledger = shared.writing()?;
        ledger.commit(shared, |_| Ok(()))?;
        let times = self.trash_times(things)?;
        let (mut batch, mut trashed) = (Batch::default(), Dropped::default());
        for (thing, since) in things.iter().zip(times) {
            if since.is_some() || !shared.pins.is_unheld(*thing) {
                continue;
            }
            if let Some((_, place)) = place_of(shared, *thing)? {
                batch.put(Table::Meta, &trash_key(*thing), &now.to_le_bytes())?;
                trashed.add(*thing, place.share());
            }
        }
        write(shared, &batch)?;
        Ok(trashed)
    }

    fn take_back(&self, things: &[Thing]) -> Result<u64, StoreError> {
        let shared = &*self.0;
        let _ledger = shared.writing()?;
        let times = self.trash_times(things)?;
        let (mut batch, mut found) = (Batch::default(), 0);
        for (thing, _) in things.iter().zip(times).filter(|(_, since)| since.is_some()) {
            batch.delete(Table::Meta, &trash_key(*thing))?;
            found += 1;
        }
        write(shared, &batch)?;
        Ok(found)
    }

    fn purge(&self, things: &[Thing]) -> Result<Dropped, StoreError> {
        let shared = &*self.0;
        // Held to the end: what is not pinned now is not stored again before its rows are gone.
        let mut ledger = shared.writing()?;
        // So that no row still waits for a barrier that would bring back what is dropped here.
        ledger.commit(shared, |_| Ok(()))?;
        let (mut batch, mut dropped) = (Batch::default(), Dropped::default());
        for thing in things.iter().filter(|thing| shared.pins.is_condemned(**thing)) {
            if let Some(bytes) = drop_rows(shared, &mut batch, *thing)? {
                dropped.add(*thing, bytes);
            }
        }
        write(shared, &batch)?;
        Ok(dropped)
    }

    fn worn(&self, most: usize) -> Result<Vec<Worn>, StoreError> {
        let shared = &*self.0;
        if shared.lock.is_some() {
            let mut ledger = shared.writing()?;
            ledger.commit(shared, |_| Ok(()))?;
            // What an open batch has written looks dead, and its pack may not grow before it ends.
            if shared.open_batches.load(Ordering::SeqCst) > 0 {
                return Ok(Vec::new());
            }
        }
        shared.db.open_all()?;
        let weights = self.weights()?;
        let hurt = damaged::load(&shared.layout).packs;
        let mut worst = Vec::new();
        for (pack, state) in shared.pack_states()? {
            let weight = weights.get(&pack).copied().unwrap_or_default();
            let dead = weight.dead(state);
            if hurt.contains(&pack) {
                worst.push((dead, pack, state, weight.things));
                continue;
            }
            if dead * WORN_PART < state.len {
                continue;
            }
            // The index does not list operations and workspace states: look only where it matters.
            let kept = match state.class {
                Class::Data => Vec::new(),
                Class::Objects => kept_records(shared, pack, state)?,
            };
            let weight = kept.iter().fold(weight, |weight, kept| weight.plus(kept.record_len()));
            let dead = weight.dead(state);
            if dead > 0 && dead * WORN_PART >= state.len {
                worst.push((dead, pack, state, weight.things));
            }
        }
        // Those still appended to come first: what is written anew goes to others then.
        worst.sort_unstable_by_key(|(dead, pack, state, _)| {
            (!hurt.contains(pack), state.sealed, std::cmp::Reverse(*dead), *pack)
        });
        let mut things = 0;
        worst.retain(|(.., count)| {
            let fits = things == 0 || things + count <= most;
            things += if fits { *count } else { 0 };
            fits
        });
        let mut lists: BTreeMap<PackId, Vec<(u64, Thing)>> =
            worst.iter().map(|(_, pack, ..)| (*pack, Vec::new())).collect();
        if things > 0 {
            self.each_place(&mut |thing, place| {
                if let Some(list) = lists.get_mut(&place.pack) {
                    list.push((place.offset, thing));
                }
            })?;
        }
        let worn = |(dead, pack, state, _): (u64, PackId, PackState, usize)| {
            let mut list = lists.remove(&pack).unwrap_or_default();
            list.sort_unstable();
            let things = list.into_iter().map(|(_, thing)| thing).collect();
            Worn { pack, len: state.len, dead, damaged: hurt.contains(&pack), things }
        };
        Ok(worst.into_iter().map(worn).collect())
    }

    fn rewrite(&self, worn: &Worn) -> Result<Rewritten, StoreError> {
        rewrite(&self.0, worn)
    }

    fn settle(&self, purged: u64, due: i64) -> Result<Settled, StoreError> {
        let shared = &*self.0;
        drop(shared.writing()?);
        shared.layout.clear_put_away(due)?;
        if purged >= MANY_ROWS {
            shared.db.compact()?;
        }
        let waiting_bytes = readers::clear(&shared.layout)?;
        Ok(Settled { index_bytes: shared.db.disk_bytes()?, waiting_bytes })
    }
}

fn write(shared: &Shared, batch: &Batch) -> Result<(), StoreError> {
    if batch.is_empty() { Ok(()) } else { shared.write_synced(batch) }
}

/// What the index wants of a pack.
#[derive(Clone, Copy, Debug, Default)]
struct Weight {
    live: u64,
    things: usize,
    /// What those things take in a footer.
    lines: u64,
}

impl Weight {
    fn plus(self, record_len: u64) -> Self {
        let (live, lines) = (self.live + record_len, self.lines + LINE_BYTES);
        Self { live, things: self.things + 1, lines }
    }

    fn add(&mut self, place: &Place) {
        self.live += place.weight();
        self.things += 1;
        self.lines += match place.member {
            None => LINE_BYTES,
            Some(member) => member.weight(LINE_BYTES, place.raw_len),
        };
    }

    /// How much of a pack nobody needs: what it would not take with only live records in it.
    fn dead(self, state: PackState) -> u64 {
        let lines = if state.sealed { FOOTER_BYTES + self.lines } else { 0 };
        state.len.saturating_sub(PackHeader::LEN + self.live + lines)
    }
}

impl LocalObjects {
    /// Visits where everything in the index is.
    fn each_place(&self, visit: &mut dyn FnMut(Thing, Place)) -> Result<(), StoreError> {
        let id = |key: &[u8]| <[u8; 32]>::try_from(key).ok();
        self.0.db.scan(Table::Chunks, &[], &mut |key, row| {
            let both = id(key).zip(Place::decode(row));
            let (id, place) = both.ok_or_else(|| self.0.bad_row("chunk"))?;
            visit(Thing::Chunk(ChunkId(id)), place);
            Ok(true)
        })?;
        self.0.db.scan(Table::Places, &[], &mut |key, row| {
            let both = id(key).zip(ObjectPlace::decode(row));
            let (id, at) = both.ok_or_else(|| self.0.bad_row("object"))?;
            visit(Thing::Object(ObjectId(id)), at.place);
            Ok(true)
        })
    }

    fn weights(&self) -> Result<HashMap<PackId, Weight>, StoreError> {
        let mut weights: HashMap<PackId, Weight> = HashMap::new();
        self.each_place(&mut |_, place| {
            weights.entry(place.pack).or_default().add(&place);
        })?;
        Ok(weights)
    }
}
