//! Small things on their way into groups, and the thread that packs a group while the next fills.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::mpsc::{Receiver, SendError, SyncSender, sync_channel};
use std::thread::Builder;

use ottvc_object::{ChunkId, Hash, Kind, Object};
use ottvc_store::StoreError;
use ottvc_store::pack::{
    Class, Encoder, GROUP_BYTES, GroupBuilder, MAX_MEMBER_BYTES, Member, NODE_GROUP_BYTES, PackId,
    Record, RecordHeader, RecordKind,
};

use crate::rows::{Place, Rows};
use crate::shared::Shared;

/// A small thing.
#[derive(Debug)]
pub(crate) enum Small {
    /// A chunk that lies as it is.
    Chunk(ChunkId),
    /// A document or a tree node.
    Object(Object),
}

/// Small things that share groups: those of a kind resemble each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    /// Chunks, which go to packs of their own class.
    Chunks,
    /// Documents.
    Documents,
    /// Tree nodes.
    Nodes,
}

impl Sort {
    /// In the order in which what waits is written: nodes name the rest.
    pub(crate) const ALL: [Self; 3] = [Self::Chunks, Self::Documents, Self::Nodes];

    pub(crate) fn class(self) -> Class {
        match self {
            Self::Chunks => Class::Data,
            Self::Documents | Self::Nodes => Class::Objects,
        }
    }

    /// A group is written once its members are this long together, in bytes.
    fn target(self) -> usize {
        match self {
            Self::Chunks | Self::Documents => GROUP_BYTES,
            Self::Nodes => NODE_GROUP_BYTES,
        }
    }
}

impl Small {
    /// The sort of an object that goes into a group: documents and tree nodes are many, small and much
    /// alike, and nothing else is.
    pub(crate) fn sort_of(object: &Object) -> Option<Sort> {
        let sort = match object.kind() {
            Kind::Document => Sort::Documents,
            Kind::Tree => Sort::Nodes,
            _ => return None,
        };
        (object.bytes().len() <= MAX_MEMBER_BYTES).then_some(sort)
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

/// Small things of one sort that wait for their group to be written.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    group: GroupBuilder,
    things: Vec<Small>,
    ids: HashSet<Hash>,
}

/// What waits, by sort.
#[derive(Debug, Default)]
pub(crate) struct Pools {
    chunks: Waiting,
    documents: Waiting,
    nodes: Waiting,
}

impl Pools {
    pub(crate) fn of(&mut self, sort: Sort) -> &mut Waiting {
        match sort {
            Sort::Chunks => &mut self.chunks,
            Sort::Documents => &mut self.documents,
            Sort::Nodes => &mut self.nodes,
        }
    }

    pub(crate) fn holds(&self, id: &Hash) -> bool {
        [&self.chunks, &self.documents, &self.nodes].iter().any(|waiting| waiting.holds(id))
    }
}

/// A group ready to be appended.
#[derive(Debug)]
pub(crate) struct Grouped {
    pub(crate) header: RecordHeader,
    pub(crate) stored: Vec<u8>,
    members: Vec<Member>,
}

/// A group, or one thing alone, that is to be packed.
#[derive(Debug)]
pub(crate) struct Unpacked {
    kind: RecordKind,
    id: Hash,
    raw: Vec<u8>,
    members: Vec<Member>,
}

impl Unpacked {
    /// Packs it.
    pub(crate) fn pack(
        self,
        shared: &Shared,
        encoder: &mut Encoder,
    ) -> Result<Grouped, StoreError> {
        let len = self.raw.len();
        self.record(encoder).ok_or_else(|| shared.too_large("group", len))
    }

    fn record(self, encoder: &mut Encoder) -> Option<Grouped> {
        let (header, stored) = encoder.record(self.kind, self.id, &self.raw)?;
        let stored = Cow::into_owned(stored);
        Some(Grouped { header, stored, members: self.members })
    }
}

/// Packs groups on a thread of its own, one after the other.
#[derive(Debug)]
pub(crate) struct Packer {
    to_pack: SyncSender<Unpacked>,
    packed: Receiver<Option<Grouped>>,
}

impl Packer {
    /// Starts the thread; `None` where the system gives none.
    pub(crate) fn start() -> Option<Self> {
        let (to_pack, groups) = sync_channel::<Unpacked>(1);
        let (done, packed) = sync_channel(1);
        let run = move || {
            let mut encoder = Encoder::default();
            // Ends with the writer.
            while let Ok(group) = groups.recv() {
                if done.send(group.record(&mut encoder)).is_err() {
                    break;
                }
            }
        };
        Builder::new().name("ottvc-pack".into()).spawn(run).ok()?;
        Some(Self { to_pack, packed })
    }

    /// Gives it a group to pack; given back if the thread has died.
    pub(crate) fn give(&self, group: Unpacked) -> Result<(), Unpacked> {
        self.to_pack.send(group).map_err(|SendError(group)| group)
    }

    /// Waits for the group given last. `None` if it cannot be packed.
    pub(crate) fn take(&self) -> Option<Grouped> {
        self.packed.recv().ok().flatten()
    }
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

    /// Takes a thing of this sort, with these raw bytes; says whether it is time to write the group.
    pub(crate) fn add(&mut self, sort: Sort, thing: Small, raw: &[u8]) -> bool {
        self.group.add(thing.kind(), raw);
        self.ids.insert(thing.id());
        self.things.push(thing);
        self.group.member_bytes() >= sort.target()
    }

    /// Takes back the thing added last.
    pub(crate) fn pop(&mut self) {
        self.group.pop();
        if let Some(thing) = self.things.pop() {
            self.ids.remove(&thing.id());
        }
    }

    /// What is to be packed: `None` if nothing waits. One thing alone gets a record of its own.
    pub(crate) fn unpacked(&self) -> Option<Unpacked> {
        let (group, members) = self.group.encode();
        let (kind, id, raw) = match (self.things.as_slice(), members.as_slice()) {
            ([], _) => return None,
            ([thing], [member]) => {
                (thing.kind(), thing.id(), member.of(&group).unwrap_or_default().to_vec())
            }
            _ => {
                let id = RecordKind::Group.id_of(&group).unwrap_or_default();
                (RecordKind::Group, id, group)
            }
        };
        Some(Unpacked { kind, id, raw, members })
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
