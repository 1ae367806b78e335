//! Laws and costs of the content-defined Merkle tree.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod map;
mod paths;
mod sequence;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use ottvc_object::tree::sequence::{Page, Pages};
use ottvc_object::tree::{self, EMPTY_TREE, Node, Nodes};
use ottvc_object::{
    ContentId, Entry, FileEntry, FileMode, Name, NamedEntry, Object, ObjectError, ObjectId, PageId,
    Storable, Totals, TreeId,
};

/// Objects in memory, with counts of what was read and written.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    objects: RefCell<HashMap<ObjectId, Object>>,
    reads: Cell<usize>,
    writes: Cell<usize>,
}

impl Memory {
    /// Stores an object; counts it.
    fn put(&self, object: Object) {
        self.writes.set(self.writes.get() + 1);
        self.objects.borrow_mut().insert(object.id(), object);
    }
    fn get(&self, id: ObjectId) -> Result<Object, ObjectError> {
        self.reads.set(self.reads.get() + 1);
        let missing = || ObjectError::BadId { text: id.to_string() };
        self.objects.borrow().get(&id).cloned().ok_or_else(missing)
    }
    /// Nodes read and written since the last call.
    fn counts(&self) -> (usize, usize) {
        (self.reads.take(), self.writes.take())
    }
    /// Edits a folder as a store would see it: new nodes are found only after the edit.
    fn edit(
        &self,
        root: TreeId,
        edits: &BTreeMap<String, Option<NamedEntry>>,
    ) -> Result<(TreeId, Totals), ObjectError> {
        let mut new = Vec::new();
        let result = tree::edit(self, root, edits, &mut |object| {
            new.push(object);
            Ok(())
        });
        new.into_iter().for_each(|object| self.put(object));
        result
    }
    /// Builds a folder from nothing.
    fn build(&self, entries: impl IntoIterator<Item = NamedEntry>) -> (TreeId, Totals) {
        self.edit(EMPTY_TREE, &added(entries)).unwrap()
    }
    /// All entries of a folder.
    fn list(&self, root: TreeId) -> Vec<NamedEntry> {
        let mut entries = Vec::new();
        tree::for_each(self, root, &mut |entry| {
            entries.push(entry.clone());
            Ok(())
        })
        .unwrap();
        entries
    }
}

impl Nodes for Memory {
    type Error = ObjectError;
    fn node(&self, id: TreeId) -> Result<Arc<Node>, ObjectError> {
        Node::from_object(&self.get(id.into())?).map(Arc::new)
    }
}

impl Pages for Memory {
    type Error = ObjectError;
    fn page(&self, id: PageId) -> Result<Arc<Page>, ObjectError> {
        Page::from_object(&self.get(id.into())?).map(Arc::new)
    }
}

/// A file named `name` whose content is told by `content`.
fn file(name: &str, content: u64) -> NamedEntry {
    let content_id = ContentId::of(&content.to_le_bytes());
    let file = FileEntry { content: content_id, len: content, mode: FileMode::Regular };
    NamedEntry { name: Name::new(name).unwrap(), entry: Entry::File(file), former: Vec::new() }
}

/// The edits that add `entries`.
fn added(entries: impl IntoIterator<Item = NamedEntry>) -> BTreeMap<String, Option<NamedEntry>> {
    entries.into_iter().map(|entry| (entry.name.key(), Some(entry))).collect()
}

/// Names that are a boundary of level 0, or that are none.
fn names_by_boundary(boundary: bool) -> impl Iterator<Item = String> {
    (0..)
        .map(|number| format!("file-{number}.mov"))
        .filter(move |name| (blake3::hash(name.as_bytes()).as_bytes()[0] < 4) == boundary)
}
