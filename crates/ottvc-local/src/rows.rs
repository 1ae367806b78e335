//! The bytes of index rows, and the rows that wait for the next barrier.
//!
//! All numbers are little endian. The index can be made again from packs, so that a row is checked
//! for its length and its numbers, not for more.

use std::collections::HashMap;

use ottvc_object::{ChunkId, ContentId, Kind, Object, ObjectId};
use ottvc_store::pack::{Class, PackId, Record, RecordHeader, RecordKind};
use ottvc_store::{DamagedThing, Encoding, StoreError};

use crate::db::{Batch, Table};

/// Objects longer than this lie in packs alone.
pub(crate) const MAX_INLINE_BYTES: usize = 64 << 10;

/// Which record holds something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) pack: PackId,
    /// Of the record, not its payload.
    pub(crate) offset: u64,
    pub(crate) stored_len: u32,
    pub(crate) raw_len: u32,
    pub(crate) encoding: Encoding,
}

impl Place {
    pub(crate) fn new(pack: PackId, record: &Record) -> Self {
        let RecordHeader { encoding, raw_len, stored_len, .. } = record.header;
        Self { pack, offset: record.offset, stored_len, raw_len, encoding }
    }

    /// The record it names, if it holds `kind` under `id`.
    pub(crate) fn record(&self, kind: RecordKind, id: [u8; 32]) -> Record {
        let Self { encoding, raw_len, stored_len, .. } = *self;
        Record {
            offset: self.offset,
            header: RecordHeader { kind, encoding, raw_len, stored_len, id },
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut row = self.pack.0.to_vec();
        row.extend(self.offset.to_le_bytes());
        row.extend(self.stored_len.to_le_bytes());
        row.extend(self.raw_len.to_le_bytes());
        row.push(self.encoding as u8);
        row
    }

    pub(crate) fn decode(row: &[u8]) -> Option<Self> {
        let (pack, row) = row.split_first_chunk()?;
        let (offset, row) = row.split_first_chunk()?;
        let (stored_len, row) = row.split_first_chunk()?;
        let (raw_len, row) = row.split_first_chunk()?;
        let [encoding] = *row else { return None };
        let place = Self {
            pack: PackId(*pack),
            offset: u64::from_le_bytes(*offset),
            stored_len: u32::from_le_bytes(*stored_len),
            raw_len: u32::from_le_bytes(*raw_len),
            encoding: Encoding::from_byte(encoding)?,
        };
        place.record(RecordKind::Chunk, [0; 32]).header.lengths_fit().then_some(place)
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
        let short = object.bytes().len() <= MAX_INLINE_BYTES;
        let inline = short.then(|| object.clone());
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
    pub(crate) fn write(&self, batch: &mut Batch<'_>) -> Result<(), StoreError> {
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
        let place = Place { pack, offset, stored_len, raw_len, encoding: Encoding::Zstd };
        let object = ObjectPlace { kind: Kind::Tree, place };
        let state = PackState { class: Class::Data, sealed: true, len: 77 };
        assert_eq!(Place::decode(&place.encode()), Some(place));
        assert_eq!(ObjectPlace::decode(&object.encode()), Some(object));
        assert_eq!(PackState::decode(&state.encode()), Some(state));
        for len in 0..object.encode().len() {
            assert_eq!(ObjectPlace::decode(&object.encode()[..len]), None);
        }
        assert_eq!(Place::decode(&[0; 33]), None, "no record is empty");
        assert_eq!(PackState::decode(&[1, 0, 0]), None);
    }
}
