//! The set of what lives, and who holds it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash as Hashable;

use ottvc_object::{ChunkId, ContentId, Hash, ObjectId};

use super::Thing;

/// Who keeps a thing. Earlier ones outrank later ones where several do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Holder {
    /// A branch or tag.
    Refs,
    /// The working copy: what is staged, a merge not finished.
    WorkingCopy,
    /// An operation that can still be taken back.
    Operations,
    /// A session that asked about it or stored it.
    Sessions,
    /// Nobody; it may go to the trash and must not be dropped yet.
    Trash,
}

/// What lives; about 20 bytes a chunk and 30 an object or file.
///
/// Chunks name nothing, so that of theirs eight bytes of the id do: a chunk that shares them with one
/// that lives is kept for nothing. An object passed over for such a likeness would take what it names
/// with it, so that of those sixteen bytes are kept, which nobody finds twice.
#[derive(Debug, Default)]
pub struct Live {
    chunks: HashMap<u64, Holder>,
    objects: HashMap<[u8; 16], Holder>,
    files: HashMap<[u8; 16], Holder>,
}

/// The first eight bytes of an id.
pub(super) fn short(id: &Hash) -> u64 {
    id.first_chunk().map_or(0, |start| u64::from_le_bytes(*start))
}

fn long(id: &Hash) -> [u8; 16] {
    id.first_chunk().copied().unwrap_or_default()
}

impl Live {
    /// Adds an object; says whether it is new. The first holder stays.
    pub fn insert_object(&mut self, id: ObjectId, holder: Holder) -> bool {
        enter(&mut self.objects, long(&id.0), holder)
    }
    /// Adds a chunk; says whether it is new.
    pub fn insert_chunk(&mut self, id: ChunkId, holder: Holder) -> bool {
        enter(&mut self.chunks, short(&id.0), holder)
    }
    /// Adds a file; says whether it is new.
    pub fn insert_file(&mut self, content: ContentId, holder: Holder) -> bool {
        enter(&mut self.files, long(&content.0), holder)
    }
    /// Who holds a thing, if it lives.
    pub fn holder(&self, thing: Thing) -> Option<Holder> {
        match thing {
            Thing::Object(id) => self.objects.get(&long(&id.0)),
            Thing::Chunk(id) => self.chunks.get(&short(&id.0)),
        }
        .copied()
    }
    /// Who holds a file, if it lives.
    pub fn file_holder(&self, content: ContentId) -> Option<Holder> {
        self.files.get(&long(&content.0)).copied()
    }
    /// How many objects and chunks live.
    pub fn len(&self) -> usize {
        self.objects.len() + self.chunks.len()
    }
    /// Whether nothing does.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn enter<K: Eq + Hashable>(held: &mut HashMap<K, Holder>, key: K, holder: Holder) -> bool {
    match held.entry(key) {
        Entry::Occupied(_) => false,
        Entry::Vacant(entry) => {
            entry.insert(holder);
            true
        }
    }
}
