//! Checks every byte of every pack against ids and checksums, and the index against the packs.
//!
//! Packs are read first, once each, in whole; then the index names what was found damaged, so that a
//! chunk is named even if nothing in its pack says which one it was.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use ottvc_object::codec::decode_body;
use ottvc_object::{ChunkId, Hash, Object, ObjectId};
use ottvc_refs::{Operation, RefValue};
use ottvc_store::pack::{
    Decoder, Gap, Member, PackId, Record, RecordHeader, RecordKind, decode_group, scan,
};
use ottvc_store::{Checked, Damage, DamagedThing, Portion, StoreError};

use crate::collect::place_of;
use crate::damaged;
use crate::db::Table;
use crate::refs::ref_name;
use crate::rows::{ObjectPlace, PackState, Place};
use crate::scrub::Scrub;
use crate::shared::Shared;

/// See [`ottvc_store::ObjectStore::check`].
pub(crate) fn check(
    shared: &Shared,
    portion: Portion,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Checked, StoreError> {
    if shared.lock.is_some() {
        shared.ledger().commit(shared, |_| Ok(()))?;
    }
    shared.db.open_all()?;
    let mut check = Check::new(shared);
    let all = check.packs()?;
    check.known = all.iter().map(|(id, _)| *id).collect();
    match portion {
        Portion::Everything => check.read(&all, &mut |_| Ok(()), progress)?,
        Portion::Oldest { bytes, now } => {
            check.partly = true;
            let mut scrub = Scrub::resume(&shared.layout, &all, now);
            let packs = scrub.portion(&all, bytes);
            let mut note = |pack| {
                scrub.note(pack);
                unless_refused(scrub.save(&shared.layout))
            };
            check.read(&packs, &mut note, progress)?;
            check.checked.round = Some(scrub.round(&all, packs.len() as u64));
        }
    }
    check.good.sort_unstable();
    check.chunk_rows()?;
    check.object_rows()?;
    check.object_copies()?;
    check.ref_rows()?;
    check.finish()
}

/// A store that cannot be written to can still be checked.
fn unless_refused(saved: Result<(), StoreError>) -> Result<(), StoreError> {
    match saved {
        Err(StoreError::Denied { .. } | StoreError::Full { .. }) => Ok(()),
        other => other,
    }
}

/// Something in good order: its pack's number here, its record's offset, where it begins in a group
/// (0 outside one), and the start of its id.
type Good = (u32, u64, u32, u64);

struct Check<'a> {
    shared: &'a Shared,
    decoder: Decoder,
    buffer: Vec<u8>,
    checked: Checked,
    /// The numbers by which packs go in what follows.
    numbers: HashMap<PackId, u32>,
    good: Vec<Good>,
    /// Damaged records, for the index to name what they held.
    bad: BTreeMap<(u32, u64), (PackId, Record, String)>,
    /// Stretches of no record, until the index names what lay there.
    gaps: BTreeMap<(u32, u64), (PackId, Gap)>,
    /// Packs that are not what they were.
    hurt: BTreeSet<PackId>,
    /// All packs that the index knows.
    known: HashSet<PackId>,
    /// Whether only some of them are read.
    partly: bool,
}

impl<'a> Check<'a> {
    fn new(shared: &'a Shared) -> Self {
        Self {
            shared,
            decoder: Decoder::default(),
            buffer: Vec::new(),
            checked: Checked::default(),
            numbers: HashMap::new(),
            good: Vec::new(),
            bad: BTreeMap::new(),
            gaps: BTreeMap::new(),
            hurt: BTreeSet::new(),
            known: HashSet::new(),
            partly: false,
        }
    }

    /// Reads packs, and notes each that was read. One that is hurt is remembered first: should this be
    /// killed, it is known which packs hold what was not named yet.
    fn read(
        &mut self,
        packs: &[(PackId, PackState)],
        note: &mut dyn FnMut(PackId) -> Result<(), StoreError>,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(), StoreError> {
        let total = packs.iter().map(|(_, state)| state.len).sum();
        let mut done = 0;
        progress(done, total);
        for (id, state) in packs {
            if self.pack(*id, *state) {
                self.hurt.insert(*id);
                damaged::remember(&self.shared.layout, |list| {
                    list.packs.insert(*id);
                })?;
            }
            note(*id)?;
            done += state.len;
            progress(done, total);
        }
        Ok(())
    }

    fn report(&mut self, what: Option<DamagedThing>, place: String, why: impl Into<String>) {
        self.checked.damage.push(Damage { what, place, why: why.into() });
    }

    /// The packs that the index knows; a row that cannot be read is damage, not the end.
    fn packs(&mut self) -> Result<Vec<(PackId, PackState)>, StoreError> {
        let mut packs = Vec::new();
        self.table(Table::Packs, |check, key, row| {
            let id = <[u8; 16]>::try_from(key).ok().map(PackId);
            match id.zip(PackState::decode(row)) {
                Some(pack) => packs.push(pack),
                None => check.bad_row(Table::Packs),
            }
        })?;
        Ok(packs)
    }

    /// Visits a table; damage of the table itself is reported, and ends the visit.
    fn table(
        &mut self,
        table: Table,
        mut visit: impl FnMut(&mut Self, &[u8], &[u8]),
    ) -> Result<(), StoreError> {
        let shared = self.shared;
        let scanned = shared.db.scan(table, &[], &mut |key, row| {
            visit(self, key, row);
            Ok(true)
        });
        match scanned {
            Err(StoreError::Index { source, .. }) => {
                self.report(None, table_words(table), source.to_string());
                Ok(())
            }
            other => other,
        }
    }

    fn bad_row(&mut self, table: Table) {
        self.report(None, table_words(table), "a row cannot be read");
    }

    /// Reads a pack as far as it was acknowledged and hashes every record; says whether it is hurt.
    fn pack(&mut self, id: PackId, state: PackState) -> bool {
        let mut hurt = false;
        let number = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
        self.numbers.insert(id, number);
        let mut bytes = std::mem::take(&mut self.buffer);
        if let Err(why) = self.read_pack(id, state, &mut bytes) {
            self.report(None, pack_words(id), why);
            hurt = true;
        }
        self.checked.bytes += bytes.len() as u64;
        let found = scan(id, &bytes);
        if state.sealed && !found.sealed && found.gaps.is_empty() {
            self.report(None, pack_words(id), "its footer is missing");
            hurt = true;
        }
        hurt |= !found.gaps.is_empty();
        let mut gaps: BTreeMap<u64, Gap> = found.gaps.iter().map(|gap| (gap.start, *gap)).collect();
        for record in found.records {
            let header_fault = gaps.remove(&record.offset).map(|gap| gap.why.to_string());
            let payload = record.payload(&bytes);
            let raw = payload.map(|stored| self.decoder.decode(&record.header, stored));
            let counted = match (raw, header_fault) {
                (_, Some(why)) => Err(why),
                (Some(Ok(raw)), None) => {
                    count(&mut self.checked, &mut self.good, number, &record, &raw)
                }
                (Some(Err(why)), None) => Err(why.to_string()),
                (None, None) => Err("the bytes are gone".to_owned()),
            };
            if let Err(why) = counted {
                hurt = true;
                self.bad.insert((number, record.offset), (id, record, why));
            }
        }
        self.gaps.extend(gaps.into_iter().map(|(start, gap)| ((number, start), (id, gap))));
        self.buffer = bytes;
        hurt
    }

    /// Reads what there is of a pack; says what is wrong if that is not all of it.
    fn read_pack(&self, id: PackId, state: PackState, bytes: &mut Vec<u8>) -> Result<(), String> {
        bytes.clear();
        let file = self.shared.files.get(id).map_err(|error| error.to_string())?;
        let len = file.metadata().map_err(|error| error.to_string())?.len();
        let read = self.shared.files.read(id, 0, len.min(state.len), bytes);
        read.map_err(|error| error.to_string())?;
        if len < state.len {
            return Err(format!("{} bytes are missing at its end", state.len - len));
        }
        Ok(())
    }

    fn chunk_rows(&mut self) -> Result<(), StoreError> {
        self.table(Table::Chunks, |check, key, row| {
            let id = <[u8; 32]>::try_from(key).ok().map(ChunkId);
            match id.zip(Place::decode(row)) {
                Some((id, place)) => {
                    check.place(DamagedThing::Chunk(id), RecordKind::Chunk, id.0, place);
                }
                None => check.bad_row(Table::Chunks),
            }
        })
    }

    fn object_rows(&mut self) -> Result<(), StoreError> {
        self.table(Table::Places, |check, key, row| {
            let id = <[u8; 32]>::try_from(key).ok().map(ObjectId);
            match id.zip(ObjectPlace::decode(row)) {
                Some((id, at)) => {
                    check.place(DamagedThing::Object(id), RecordKind::Object, id.0, at.place);
                }
                None => check.bad_row(Table::Places),
            }
        })
    }

    /// Reports a thing whose record was not found in good order where the index says.
    fn place(&mut self, thing: DamagedThing, kind: RecordKind, id: Hash, place: Place) {
        let number = self.numbers.get(&place.pack).copied();
        if number.is_none() && self.partly && self.known.contains(&place.pack) {
            // Of a pack whose turn it is not.
            return;
        }
        let start = place.member.map_or(0, |member| member.start);
        let good = number.map(|number| (number, place.offset, start, id_start(&id)));
        if good.is_some_and(|good| self.good.binary_search(&good).is_ok()) {
            return;
        }
        let key = (number.unwrap_or(u32::MAX), place.offset);
        let gap = self.gaps.range(..=key).next_back().map(|(key, (_, gap))| (*key, gap.end));
        let gap = gap.filter(|((n, _), end)| Some(*n) == number && place.offset < *end);
        let why = if let Some((_, _, why)) = self.bad.get(&key) {
            why.clone()
        } else if self.reads(kind, id, place) {
            match gap {
                Some(_) => "its record header is damaged".to_owned(),
                None => "the index and its pack disagree".to_owned(),
            }
        } else {
            "its bytes are gone or do not hash to its id".to_owned()
        };
        if let Some((key, _)) = gap {
            self.gaps.remove(&key);
        }
        self.report(Some(thing), place.words(), why);
    }

    /// Whether the bytes that the index names are those of `id`, whatever their record says.
    fn reads(&mut self, kind: RecordKind, id: Hash, place: Place) -> bool {
        let start = place.offset.saturating_add(RecordHeader::LEN);
        let len = u64::from(place.stored_len);
        let header = place.record(kind, id).header;
        let read = self.shared.files.read(place.pack, start, len, &mut self.buffer);
        read.is_ok()
            && match place.member {
                None => self.decoder.decode(&header, &self.buffer).is_ok(),
                Some(member) => {
                    let raw = self.decoder.unpack(header.encoding, header.raw_len, &self.buffer);
                    raw.is_ok_and(|raw| member.of(&raw).and_then(|raw| kind.id_of(raw)) == Some(id))
                }
            }
    }

    /// Checks the copies of small objects in the index.
    fn object_copies(&mut self) -> Result<(), StoreError> {
        self.table(Table::Objects, |check, key, row| {
            let object = Object::from_bytes(row);
            if object.is_ok_and(|object| object.id().0.as_slice() == key) {
                return;
            }
            let what = <[u8; 32]>::try_from(key).ok().map(ObjectId).map(DamagedThing::Object);
            check.report(what, table_words(Table::Objects), "its copy in the index is damaged");
        })
    }

    fn ref_rows(&mut self) -> Result<(), StoreError> {
        self.table(Table::Refs, |check, key, row| {
            if ref_name(key).is_none() || decode_body::<RefValue>(row, "ref").is_err() {
                check.bad_row(Table::Refs);
            }
        })?;
        self.table(Table::Operations, |check, _, row| {
            if decode_body::<Operation>(row, "operation").is_err() {
                check.bad_row(Table::Operations);
            }
        })
    }

    /// Reports what the index did not name, and remembers what to store anew.
    fn finish(mut self) -> Result<Checked, StoreError> {
        for ((_, offset), (id, record, why)) in std::mem::take(&mut self.bad) {
            match record.header.kind {
                // The index names another copy, or nobody wants it: nothing is lost with it.
                RecordKind::Chunk | RecordKind::Object | RecordKind::Group => {}
                kind @ (RecordKind::Operation | RecordKind::Workspace) => {
                    let what =
                        if kind == RecordKind::Operation { "an operation" } else { "a state" };
                    let why = format!("{what} of which the index has a copy: {why}");
                    self.report(None, format!("{} at {offset}", pack_words(id)), why);
                }
            }
        }
        for ((_, start), (id, gap)) in std::mem::take(&mut self.gaps) {
            self.report(None, format!("{} at {start}", pack_words(id)), gap.why.to_string());
        }
        let found: BTreeSet<_> = self.checked.damage.iter().filter_map(|one| one.what).collect();
        let before = damaged::load(&self.shared.layout);
        // What was looked at is as it was found; the rest as it was known.
        let mut list = before.clone();
        let mut elsewhere = BTreeSet::new();
        for thing in list.things.into_iter().filter(|_| self.partly) {
            let place = place_of(self.shared, thing)?.map(|(_, place)| place.pack);
            if place.is_some_and(|pack| !self.numbers.contains_key(&pack)) {
                elsewhere.insert(thing);
            }
        }
        list.things = found;
        list.things.extend(elsewhere);
        list.packs.retain(|pack| self.known.contains(pack) && !self.numbers.contains_key(pack));
        list.packs.extend(&self.hurt);
        if self.shared.lock.is_some() {
            self.shared.ledger().damaged.clone_from(&list.things);
        }
        damaged::remember(&self.shared.layout, |now| now.change(&before, &list))?;
        Ok(self.checked)
    }
}

/// Counts what a sound record holds; says what is wrong with a group that is none.
fn count(
    checked: &mut Checked,
    good: &mut Vec<Good>,
    number: u32,
    record: &Record,
    raw: &[u8],
) -> Result<(), String> {
    let whole = [(record.header.kind, Member { start: 0, len: record.header.raw_len })];
    let group = match record.header.kind {
        RecordKind::Group => decode_group(raw).map_err(|why| why.to_string())?,
        _ => Vec::new(),
    };
    let is_group = record.header.kind == RecordKind::Group;
    for (kind, member) in if is_group { group.as_slice() } else { &whole } {
        let id = match is_group {
            true => member.of(raw).and_then(|raw| kind.id_of(raw)).unwrap_or_default(),
            false => record.header.id,
        };
        match kind {
            RecordKind::Chunk => checked.chunks += 1,
            RecordKind::Object => checked.objects += 1,
            RecordKind::Operation | RecordKind::Workspace | RecordKind::Group => {}
        }
        good.push((number, record.offset, member.start, id_start(&id)));
    }
    Ok(())
}

/// The first eight bytes of an id, enough to tell a row of another record.
fn id_start(id: &Hash) -> u64 {
    id.first_chunk().map_or(0, |start| u64::from_be_bytes(*start))
}

fn pack_words(id: PackId) -> String {
    format!("packs/{id}.pack")
}

fn table_words(table: Table) -> String {
    format!("db, table {}", table.name())
}
