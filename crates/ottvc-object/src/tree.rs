//! The content-defined Merkle tree, as a map (folders) and as a sequence (chunk lists).
//!
//! Items lie in leaves, in order; leaves are listed by inner nodes, and so on up to one root. Where
//! a node ends is decided by its own items alone (`Rule`), so equal content has one root whatever
//! the order of edits, and an edit disturbs its neighbourhood only. Equal subtrees have equal ids:
//! reading, editing and comparing skip whatever is not on a changed path.
//!
//! Nothing here does I/O: nodes come through [`Nodes`] and [`sequence::Pages`], and new ones leave
//! through a callback. Whoever reads a store checks bytes against ids; the tree checks the rest.

mod build;
mod diff;
mod edit;
mod path_diff;
mod path_edit;
mod read;
pub mod sequence;
mod trail;

use std::borrow::Cow;
use std::sync::Arc;

use bincode::{Decode, Encode};

use crate::codec::{Kind, Storable, encoded_len};
use crate::entry::{Entry, MAX_FORMER_PATHS, NamedEntry, Totals};
use crate::error::ObjectError;
use crate::id::TreeId;
use crate::path::MAX_NAME_BYTES;

pub use diff::diff;
pub use edit::edit;
pub use path_diff::{PathChange, diff_paths};
pub use path_edit::{PathEdit, edit_paths};
pub use read::{VisitPath, for_each, lookup, lookup_path, totals, walk};

/// The most items a node holds; also of a page.
pub const MAX_NODE_ITEMS: usize = 512;
/// A node ends with the item that brings its encoded items to this many bytes.
pub const MAX_NODE_BYTES: usize = 32 << 10;
/// The highest level of a node or page; leaves are level 0. Halving at each level, no tree of
/// fewer than 2⁶⁴ items gets there.
pub const MAX_LEVEL: u8 = 64;
/// A key is a case-folded name, and folding makes no name more than three times as long.
const MAX_KEY_BYTES: usize = 3 * MAX_NAME_BYTES;

/// The tree without any entry: an empty leaf. Known to every function here, so it is neither stored
/// nor read.
pub const EMPTY_TREE: TreeId = TreeId([
    0xd9, 0xd8, 0x32, 0x51, 0xb2, 0x6f, 0x6f, 0x75, 0xc2, 0xd6, 0x18, 0xc1, 0x8c, 0x64, 0x15, 0x25,
    0x4a, 0x00, 0xcc, 0x81, 0x6d, 0x02, 0xa2, 0xdd, 0xb8, 0x19, 0x70, 0x0b, 0x2c, 0x46, 0x89, 0xc0,
]);

/// A node of a map: a folder, or a part of a large one.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Node {
    /// Entries, sorted by the key of their names, one per key.
    Leaf {
        /// The entries; none only in [`EMPTY_TREE`].
        entries: Vec<NamedEntry>,
    },
    /// Nodes of the level below, in order.
    Inner {
        /// 1 above leaves, and so on.
        level: u8,
        /// The nodes below; at least one, and in a root at least two.
        children: Vec<Child>,
    },
}

/// What an inner node says about a node below it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Child {
    /// The last key below it.
    pub last_key: String,
    /// Its id.
    pub id: TreeId,
    /// Sums over everything below it, subfolders included.
    pub totals: Totals,
    /// How many entries of this folder are below it, subfolders counting as one.
    pub count: u64,
}

/// Where nodes come from. Bytes are expected to be checked against the id already.
pub trait Nodes {
    /// What reading can fail with; the tree adds its own findings of malformed nodes.
    type Error: From<ObjectError>;

    /// Returns the node named `id`.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    fn node(&self, id: TreeId) -> Result<Arc<Node>, Self::Error>;
}

impl<N: Nodes + ?Sized> Nodes for &N {
    type Error = N::Error;
    fn node(&self, id: TreeId) -> Result<Arc<Node>, Self::Error> {
        (**self).node(id)
    }
}

impl Node {
    /// The node named [`EMPTY_TREE`].
    pub fn empty() -> Self {
        Self::Leaf { entries: Vec::new() }
    }
    /// 0 for a leaf, one more than its children for an inner node.
    pub fn level(&self) -> u8 {
        match self {
            Self::Leaf { .. } => 0,
            Self::Inner { level, .. } => *level,
        }
    }
    /// Sums over everything below, subfolders included.
    pub fn totals(&self) -> Totals {
        match self {
            Self::Leaf { entries } => sum(entries),
            Self::Inner { children, .. } => sum(children),
        }
    }
    /// How many entries of this folder are below, subfolders counting as one.
    pub fn count(&self) -> u64 {
        match self {
            Self::Leaf { entries } => entries.len() as u64,
            Self::Inner { children, .. } => {
                children.iter().fold(0, |count, child| count.saturating_add(child.count))
            }
        }
    }
    /// The greatest key below; `None` in the empty tree.
    pub fn last_key(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Leaf { entries } => entries.last().map(Item::key),
            Self::Inner { children, .. } => children.last().map(Item::key),
        }
    }
    /// What a node above says about this one.
    fn summary(&self, id: TreeId) -> Option<Child> {
        let last_key = self.last_key()?.into_owned();
        Some(Child { last_key, id, totals: self.totals(), count: self.count() })
    }
}

impl Storable for Node {
    const KIND: Kind = Kind::Tree;
    type Id = TreeId;

    fn validate(&self) -> Result<(), ObjectError> {
        match self {
            Self::Leaf { entries } => {
                entries.iter().try_for_each(check_entry)?;
                check_items(0, entries)
            }
            Self::Inner { level, children } => {
                if !(1..=MAX_LEVEL).contains(level) || children.is_empty() {
                    return Err(malformed("an inner node is out of shape"));
                }
                if children.iter().any(|child| child.count == 0 || is_nothing(child.totals)) {
                    return Err(malformed("an inner node lists an empty node"));
                }
                check_items(*level, children)
            }
        }
    }
}

/// Whether sums are those of no entry at all.
fn is_nothing(totals: Totals) -> bool {
    totals.files == 0 && totals.documents == 0 && totals.conflicts == 0
}

/// Checks what one entry must keep.
fn check_entry(entry: &NamedEntry) -> Result<(), ObjectError> {
    if entry.former.len() > MAX_FORMER_PATHS || !entry.former.is_sorted_by(|a, b| a < b) {
        return Err(malformed("former paths are out of order or too many"));
    }
    match entry.entry {
        Entry::Tree { id, totals } if id == EMPTY_TREE || is_nothing(totals) => {
            Err(malformed("a folder is empty"))
        }
        _ => Ok(()),
    }
}

/// Checks that keys ascend, and that no item but the last ends the node.
fn check_items<I: Item>(level: u8, items: &[I]) -> Result<(), ObjectError> {
    let mut rule = Rule::new(level);
    let mut last: Option<Cow<'_, str>> = None;
    let mut ended = false;
    for item in items {
        let key = item.key();
        if key.is_empty() || key.len() > MAX_KEY_BYTES {
            return Err(malformed("a key is empty or too long"));
        }
        if last.is_some_and(|last| last >= key) {
            return Err(malformed("keys are out of order"));
        }
        if ended {
            return Err(malformed("a node goes on past its boundary"));
        }
        ended = rule.ends_after(item)?;
        last = Some(key);
    }
    Ok(())
}

/// An item of a node: an entry in a leaf, a child in an inner node.
trait Item: Clone + Encode {
    /// Its place among the items of its level.
    fn key(&self) -> Cow<'_, str>;
    /// What it adds to the sums of its node.
    fn totals(&self) -> Totals;
    /// The items of a node of this kind.
    fn of(node: &Node) -> Option<&[Self]>;
    /// The node that holds these items.
    fn node(level: u8, items: Vec<Self>) -> Node;
}

impl Item for NamedEntry {
    fn key(&self) -> Cow<'_, str> {
        Cow::Owned(self.name.key())
    }
    fn totals(&self) -> Totals {
        self.entry.totals()
    }
    fn of(node: &Node) -> Option<&[Self]> {
        match node {
            Node::Leaf { entries } => Some(entries),
            Node::Inner { .. } => None,
        }
    }
    fn node(_: u8, entries: Vec<Self>) -> Node {
        Node::Leaf { entries }
    }
}

impl Item for Child {
    fn key(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.last_key)
    }
    fn totals(&self) -> Totals {
        self.totals
    }
    fn of(node: &Node) -> Option<&[Self]> {
        match node {
            Node::Leaf { .. } => None,
            Node::Inner { children, .. } => Some(children),
        }
    }
    fn node(level: u8, children: Vec<Self>) -> Node {
        Node::Inner { level, children }
    }
}

fn sum<I: Item>(items: &[I]) -> Totals {
    items.iter().fold(Totals::default(), |totals, item| totals.plus(item.totals()))
}

/// Where a node ends, counted from its own first item: what makes the tree canonical.
struct Rule {
    level: u8,
    count: usize,
    bytes: usize,
}

impl Rule {
    fn new(level: u8) -> Self {
        Self { level, count: 0, bytes: 0 }
    }

    /// Counts the next item, and says whether the node ends with it.
    fn ends_after<I: Item>(&mut self, item: &I) -> Result<bool, ObjectError> {
        self.count += 1;
        self.bytes = self.bytes.saturating_add(encoded_len(item)?);
        if self.count >= MAX_NODE_ITEMS || self.bytes >= MAX_NODE_BYTES {
            return Ok(true);
        }
        let hash = blake3::hash(item.key().as_bytes());
        Ok(is_boundary(self.level, self.count, hash.as_bytes()))
    }
}

/// Whether a node of `level` ends after its `count`th item, which has this hash.
///
/// One item in 64 is a boundary, each level asking another byte of the hash. An inner node takes two
/// items at least, so that levels halve even where somebody chose keys that are boundaries throughout.
fn is_boundary(level: u8, count: usize, hash: &[u8; 32]) -> bool {
    let byte = hash.get(usize::from(level) % hash.len()).copied().unwrap_or_default();
    byte < 4 && (level == 0 || count >= 2)
}

fn malformed(why: &'static str) -> ObjectError {
    ObjectError::Malformed { what: "tree", why: why.into() }
}
