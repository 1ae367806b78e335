//! The bytes of index rows, and the rows that wait for the next barrier.
//!
//! All numbers are little endian. The index can be made again from packs, so that a row is checked
//! for its length and its numbers, not for more.

use std::collections::HashMap;

use ottvc_object::{ChunkId, ContentId, Kind, Object, ObjectId};
use ottvc_store::pack::{Class, Member, PackId, Record, RecordHeader, RecordKind};
use ottvc_store::{DamagedThing, Encoding, StoreError};

use crate::batch::Batch;
use crate::db::Table;

/// Whether an object lies in the index as well as in its pack: history is walked commit by commit,
/// and everything else costs more space there than it saves time.
pub(crate) fn is_inline(kind: Kind, len: usize) -> bool {
    const MAX_BYTES: usize = 64 << 10;
    kind == Kind::Commit && len <= MAX_BYTES
}

/// Which record holds something, alone or as a member of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) pack: PackId,
    /// Of the record, not its payload.
    pub(crate) offset: u64,
    /// Of the record's payload.
    pub(crate) stored_len: u32,
    /// Of the record's raw bytes.
    pub(crate) raw_len: u32,
    pub(crate) encoding: Encoding,
    /// Which of the record's raw bytes, if it is a group.
    pub(crate) member: Option<Member>,
}

impl Place {
    pub(crate) fn new(pack: PackId, record: &Record) -> Self {
        let RecordHeader { encoding, raw_len, stored_len, .. } = record.header;
        Self { pack, offset: record.offset, stored_len, raw_len, encoding, member: None }
    }

    /// The place of a member of the group that `record` is.
    pub(crate) fn in_group(pack: PackId, record: &Record, member: Member) -> Self {
        Self { member: Some(member), ..Self::new(pack, record) }
    }

    /// The record it names, if it holds `kind` under `id`; of a group, all that is known of it.
    pub(crate) fn record(&self, kind: RecordKind, id: [u8; 32]) -> Record {
        let Self { encoding, raw_len, stored_len, .. } = *self;
        let kind = if self.member.is_some() { RecordKind::Group } else { kind };
        Record {
            offset: self.offset,
            header: RecordHeader { kind, encoding, raw_len, stored_len, id },
        }
    }

    /// Just past the record.
    pub(crate) fn end(&self) -> u64 {
        self.record(RecordKind::Chunk, [0; 32]).end()
    }

    /// Length of the thing's own raw bytes.
    pub(crate) fn len(&self) -> u32 {
        self.member.map_or(self.raw_len, |member| member.len)
    }

    /// What it takes in its pack: the whole record, or its part of a group.
    pub(crate) fn share(&self) -> u64 {
        let record = RecordHeader::LEN + u64::from(self.stored_len);
        self.member.map_or(record, |member| member.share(record, self.raw_len))
    }

    /// How much longer it makes its pack.
    pub(crate) fn weight(&self) -> u64 {
        let record = RecordHeader::LEN + u64::from(self.stored_len);
        self.member.map_or(record, |member| member.weight(record, self.raw_len))
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut row = self.pack.0.to_vec();
        row.extend(self.offset.to_le_bytes());
        row.extend(self.stored_len.to_le_bytes());
        row.extend(self.raw_len.to_le_bytes());
        row.push(self.encoding as u8);
        if let Some(member) = self.member {
            row.extend(member.start.to_le_bytes());
            row.extend(member.len.to_le_bytes());
        }
        row
    }

    pub(crate) fn decode(row: &[u8]) -> Option<Self> {
        let (pack, row) = row.split_first_chunk()?;
        let (offset, row) = row.split_first_chunk()?;
        let (stored_len, row) = row.split_first_chunk()?;
        let (raw_len, row) = row.split_first_chunk()?;
        let (encoding, row) = row.split_first()?;
        let member = match row {
            [] => None,
            row => {
                let (start, len) = row.split_first_chunk()?;
                let len = len.try_into().ok()?;
                Some(Member { start: u32::from_le_bytes(*start), len: u32::from_le_bytes(len) })
            }
        };
        let place = Self {
            pack: PackId(*pack),
            offset: u64::from_le_bytes(*offset),
            stored_len: u32::from_le_bytes(*stored_len),
            raw_len: u32::from_le_bytes(*raw_len),
            encoding: Encoding::from_byte(*encoding)?,
            member,
        };
        let inside = |member: Member| {
            member.start.checked_add(member.len).is_some_and(|end| end <= place.raw_len)
        };
        let fits = place.record(RecordKind::Chunk, [0; 32]).header.lengths_fit();
        (fits && member.is_none_or(inside)).then_some(place)
    }

    /// Where it is, for messages.
    pub(crate) fn words(&self) -> String {
        format!("packs/{}.pack at {}", self.pack, self.offset)
    }
}

/// Where an object is, and what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ObjectPlace {
    pub(crate) kind: Kind,
    pub(crate) place: Place,
}

impl ObjectPlace {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut row = vec![self.kind as u8];
        row.extend(self.place.encode());
        row
    }

    pub(crate) fn decode(row: &[u8]) -> Option<Self> {
        let (kind, place) = row.split_first()?;
        Some(Self { kind: Kind::from_byte(*kind)?, place: Place::decode(place)? })
    }
}

/// What the index says of a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PackState {
    pub(crate) class: Class,
    pub(crate) sealed: bool,
    /// The length acknowledged: what lies beyond was promised to nobody.
    pub(crate) len: u64,
}

impl PackState {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut row = vec![self.class as u8, u8::from(self.sealed)];
        row.extend(self.len.to_le_bytes());
        row
    }

    pub(crate) fn decode(row: &[u8]) -> Option<Self> {
        let ([class, sealed], len) = row.split_first_chunk()?;
        let len = u64::from_le_bytes(len.try_into().ok()?);
        Some(Self { class: Class::from_byte(*class)?, sealed: *sealed != 0, len })
    }
}

/// An object written and not yet in the index.
#[derive(Clone, Debug)]
pub(crate) struct NewObject {
    pub(crate) at: ObjectPlace,
    /// Its bytes, where they go to the index too.
    pub(crate) inline: Option<Object>,
}

/// Index rows that wait for the next barrier.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(crate) chunks: HashMap<ChunkId, Place>,
    pub(crate) objects: HashMap<ObjectId, NewObject>,
    pub(crate) manifests: HashMap<ContentId, ObjectId>,
    bytes: usize,
}

impl Rows {
    /// About how much memory the rows take, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn add_chunk(&mut self, id: ChunkId, place: Place) {
        self.bytes += 128;
        self.chunks.insert(id, place);
    }

    pub(crate) fn add_object(&mut self, object: &Object, place: Place) {
        let inline = is_inline(object.kind(), object.bytes().len()).then(|| object.clone());
        self.bytes += 192 + inline.as_ref().map_or(0, |object| object.bytes().len());
        let at = ObjectPlace { kind: object.kind(), place };
        self.objects.insert(object.id(), NewObject { at, inline });
    }

    pub(crate) fn add_manifest(&mut self, content: ContentId, manifest: ObjectId) {
        self.bytes += 128;
        self.manifests.insert(content, manifest);
    }

    /// Drops the rows of a thing.
    pub(crate) fn forget(&mut self, thing: DamagedThing) {
        match thing {
            DamagedThing::Chunk(id) => {
                self.chunks.remove(&id);
            }
            DamagedThing::Object(id) => {
                self.objects.remove(&id);
                self.manifests.retain(|_, manifest| *manifest != id);
            }
        }
    }

    /// Takes over the rows of a batch that came later.
    pub(crate) fn absorb(&mut self, later: Self) {
        self.bytes += later.bytes;
        self.chunks.extend(later.chunks);
        self.objects.extend(later.objects);
        self.manifests.extend(later.manifests);
    }

    /// Adds all rows to a database batch.
    pub(crate) fn write(&self, batch: &mut Batch) -> Result<(), StoreError> {
        for (id, place) in &self.chunks {
            batch.put(Table::Chunks, id.as_bytes(), &place.encode())?;
        }
        for (id, new) in &self.objects {
            if let Some(object) = &new.inline {
                batch.put(Table::Objects, id.as_bytes(), object.bytes())?;
            }
            batch.put(Table::Places, id.as_bytes(), &new.at.encode())?;
        }
        for (content, manifest) in &self.manifests {
            batch.put(Table::Manifests, content.as_bytes(), manifest.as_bytes())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_read_back_and_other_bytes_are_refused() {
        let pack = PackId([5; 16]);
        let (offset, stored_len, raw_len) = (1 << 33, 4, 9);
        let encoding = Encoding::Zstd;
        let place = Place { pack, offset, stored_len, raw_len, encoding, member: None };
        let member = Place { member: Some(Member { start: 2, len: 7 }), ..place };
        let outside = Place { member: Some(Member { start: 3, len: 7 }), ..place };
        let object = ObjectPlace { kind: Kind::Tree, place };
        let state = PackState { class: Class::Data, sealed: true, len: 77 };
        assert_eq!(Place::decode(&place.encode()), Some(place));
        assert_eq!(Place::decode(&member.encode()), Some(member));
        assert_eq!(Place::decode(&outside.encode()), None);
        assert_eq!(Place::decode(&member.encode()[..40]), None);
        assert_eq!(ObjectPlace::decode(&object.encode()), Some(object));
        assert_eq!(PackState::decode(&state.encode()), Some(state));
        for len in 0..object.encode().len() {
            assert_eq!(ObjectPlace::decode(&object.encode()[..len]), None);
        }
        assert_eq!(Place::decode(&[0; 33]), None, "no record is empty");
        assert_eq!(PackState::decode(&[1, 0, 0]), None);
    }
}
