//! Small things on their way into groups.

use std::borrow::Cow;
use std::collections::HashSet;

use ottvc_object::{ChunkId, Hash, Kind, Object};
use ottvc_store::StoreError;
use ottvc_store::pack::{
    Encoder, GroupBuilder, MAX_MEMBER_BYTES, Member, PackId, Record, RecordHeader, RecordKind,
};

use crate::rows::{Place, Rows};
use crate::shared::Shared;

/// A small thing.
#[derive(Debug)]
pub(crate) enum Small {
    /// A chunk that lies as it is.
    Chunk(ChunkId),
    /// A document.
    Object(Object),
}

impl Small {
    /// Whether an object goes into a group: only documents are many, small and much alike.
    pub(crate) fn is(object: &Object) -> bool {
        object.kind() == Kind::Document && object.bytes().len() <= MAX_MEMBER_BYTES
    }
    fn id(&self) -> Hash {
        match self {
            Self::Chunk(id) => id.0,
            Self::Object(object) => object.id().0,
        }
    }
    fn kind(&self) -> RecordKind {
        match self {
            Self::Chunk(_) => RecordKind::Chunk,
            Self::Object(_) => RecordKind::Object,
        }
    }
}

/// Small things of one class that wait for their group to be written.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    group: GroupBuilder,
    things: Vec<Small>,
    ids: HashSet<Hash>,
}

/// A group ready to be appended.
#[derive(Debug)]
pub(crate) struct Grouped {
    pub(crate) header: RecordHeader,
    pub(crate) stored: Vec<u8>,
    members: Vec<Member>,
}

/// How many chunks and objects were written, and their raw bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) chunks: u64,
    pub(crate) objects: u64,
    pub(crate) raw_bytes: u64,
}

impl Waiting {
    pub(crate) fn holds(&self, id: &Hash) -> bool {
        self.ids.contains(id)
    }

    /// Takes a thing with these raw bytes; says whether it is time to write the group.
    pub(crate) fn add(&mut self, thing: Small, raw: &[u8]) -> bool {
        self.group.add(thing.kind(), raw);
        self.ids.insert(thing.id());
        self.things.push(thing);
        self.group.is_full()
    }

    /// Takes back the thing added last.
    pub(crate) fn pop(&mut self) {
        self.group.pop();
        if let Some(thing) = self.things.pop() {
            self.ids.remove(&thing.id());
        }
    }

    /// Packs what waits; `None` if nothing does. One thing alone gets a record of its own.
    pub(crate) fn encode(
        &self,
        shared: &Shared,
        encoder: &mut Encoder,
    ) -> Result<Option<Grouped>, StoreError> {
        let (group, members) = self.group.encode();
        let (kind, id, raw) = match (self.things.as_slice(), members.as_slice()) {
            ([], _) => return Ok(None),
            ([thing], [member]) => {
                (thing.kind(), thing.id(), member.of(&group).unwrap_or_default())
            }
            _ => {
                let id = RecordKind::Group.id_of(&group).unwrap_or_default();
                (RecordKind::Group, id, group.as_slice())
            }
        };
        let record = encoder.record(kind, id, raw);
        let (header, stored) = record.ok_or_else(|| shared.too_large("group", raw.len()))?;
        let stored = Cow::into_owned(stored);
        Ok(Some(Grouped { header, stored, members }))
    }

    /// Forgets what waited, now that `record` holds it, and adds its rows.
    pub(crate) fn written(
        &mut self,
        grouped: &Grouped,
        (pack, record): (PackId, Record),
        rows: &mut Rows,
    ) -> Counts {
        let mut counts = Counts::default();
        self.ids.clear();
        self.group.clear();
        for (thing, member) in self.things.drain(..).zip(&grouped.members) {
            let place = match record.header.kind {
                RecordKind::Group => Place::in_group(pack, &record, *member),
                _ => Place::new(pack, &record),
            };
            match thing {
                Small::Chunk(id) => {
                    rows.add_chunk(id, place);
                    counts.chunks += 1;
                }
                Small::Object(object) => {
                    rows.add_object(&object, place);
                    counts.objects += 1;
                }
            }
            counts.raw_bytes += u64::from(place.len());
        }
        counts
    }
}
