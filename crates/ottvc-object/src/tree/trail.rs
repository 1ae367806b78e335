//! Where a reader stands in a map: the nodes from the root down, each with the item it is at.
//!
//! Every node is read through here, and checked against what its parent says of it: a tree whose
//! nodes are each well formed may still be forged as a whole.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use super::{Child, EMPTY_TREE, Item, Node, Nodes, malformed};
use crate::entry::NamedEntry;
use crate::error::ObjectError;
use crate::id::TreeId;

/// Reads the root node of a folder; `None` for the empty tree, which needs no reading.
pub(super) fn read_root<N: Nodes>(nodes: &N, root: TreeId) -> Result<Option<Arc<Node>>, N::Error> {
    if root == EMPTY_TREE {
        return Ok(None);
    }
    let node = nodes.node(root)?;
    match &*node {
        Node::Leaf { entries } if entries.is_empty() => Ok(None),
        Node::Inner { children, .. } if children.len() < 2 => {
            Err(malformed("a root has a single child").into())
        }
        _ => Ok(Some(node)),
    }
}

/// The children of an inner node; a leaf has none.
pub(super) fn children(node: &Node) -> &[Child] {
    Child::of(node).unwrap_or_default()
}

/// The entries of a leaf; an inner node has none.
pub(super) fn entries(node: &Node) -> &[NamedEntry] {
    NamedEntry::of(node).unwrap_or_default()
}

/// Nodes from the root down, each with the index of an item.
#[derive(Default)]
pub(super) struct Trail(Vec<(Arc<Node>, usize)>);

impl Trail {
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
    pub(super) fn push(&mut self, node: Arc<Node>, at: usize) {
        self.0.push((node, at));
    }
    /// The lowest node, and the index of the item it is at.
    pub(super) fn lowest(&self) -> Option<(&Node, usize)> {
        self.0.last().map(|(node, at)| (&**node, *at))
    }
    /// The child the lowest node is at.
    pub(super) fn child(&self) -> Option<&Child> {
        self.lowest().and_then(|(node, at)| children(node).get(at))
    }
    /// Whether no node of the trail has an item after the one it is at.
    pub(super) fn is_last(&self) -> bool {
        self.0.iter().all(|(node, at)| at + 1 >= items(node))
    }
    /// Steps to the next item, leaving nodes that have none; `false` when none is left.
    pub(super) fn next(&mut self) -> bool {
        while let Some((node, at)) = self.0.pop() {
            if at + 1 < items(&node) {
                self.0.push((node, at + 1));
                return true;
            }
        }
        false
    }
    /// Reads the child that the lowest node is at.
    pub(super) fn read<N: Nodes>(&self, nodes: &N) -> Result<Arc<Node>, N::Error> {
        let (Some((parent, _)), Some(child)) = (self.lowest(), self.child()) else {
            return Err(malformed("an inner node is empty").into());
        };
        let node = nodes.node(child.id)?;
        // Levels must fall, or a forged inner node could send a reader round and round.
        let why = if parent.level().checked_sub(1) != Some(node.level()) {
            "a node is not of the level below its parent"
        } else if node.last_key().as_deref() != Some(&*child.last_key)
            || node.count() != child.count
            || node.totals() != child.totals
        {
            "a node is not what its parent says"
        } else if entries(&node).first().is_some_and(|first| Some(&*first.key()) <= self.floor()) {
            "a node overlaps the one before it"
        } else {
            return Ok(node);
        };
        Err(malformed(why).into())
    }
    /// The last key before the item that the lowest node is at, as its neighbours tell.
    fn floor(&self) -> Option<&str> {
        self.0.iter().rev().find_map(|(node, at)| {
            let before = children(node).get(at.checked_sub(1)?)?;
            Some(before.last_key.as_str())
        })
    }
}

fn items(node: &Node) -> usize {
    match node {
        Node::Leaf { entries } => entries.len(),
        Node::Inner { children, .. } => children.len(),
    }
}

/// Stands at one node of one level of a map.
pub(super) struct Cursor<'n, N> {
    nodes: &'n N,
    top: Arc<Node>,
    level: u8,
    above: Trail,
    node: Arc<Node>,
}

impl<'n, N: Nodes> Cursor<'n, N> {
    /// Starts in the tree below `top`, which is of at least `level`; seek before reading.
    pub(super) fn new(nodes: &'n N, top: Arc<Node>, level: u8) -> Self {
        Self { nodes, level, above: Trail::default(), node: Arc::clone(&top), top }
    }
    /// The node it stands at.
    pub(super) fn node(&self) -> &Arc<Node> {
        &self.node
    }
    /// What is said about that node above it; nothing is said about the root.
    pub(super) fn child(&self) -> Option<&Child> {
        self.above.child()
    }
    /// Whether its level has no node after it.
    pub(super) fn is_last(&self) -> bool {
        self.above.is_last()
    }
    /// Moves to the first node whose keys reach `key`, or to the last one.
    pub(super) fn seek(&mut self, key: &str) -> Result<(), N::Error> {
        self.above.clear();
        self.node = Arc::clone(&self.top);
        self.descend(|children| {
            let at = children.partition_point(|child| child.last_key.as_str() < key);
            at.min(children.len().saturating_sub(1))
        })
    }
    /// Moves to the next node of its level; `false` at the last.
    pub(super) fn next(&mut self) -> Result<bool, N::Error> {
        if !self.above.next() {
            return Ok(false);
        }
        self.node = self.above.read(self.nodes)?;
        self.descend(|_| 0)?;
        Ok(true)
    }
    /// Goes down from the node it stands at, along the children that `choose` picks.
    fn descend(&mut self, choose: impl Fn(&[Child]) -> usize) -> Result<(), N::Error> {
        while self.node.level() > self.level {
            let at = choose(children(&self.node));
            self.above.push(Arc::clone(&self.node), at);
            self.node = self.above.read(self.nodes)?;
        }
        Ok(())
    }
}

/// Nodes through a cache of inner ones: an edit works level by level, and passes them again.
pub(super) struct Cached<'n, N> {
    nodes: &'n N,
    inner: RefCell<HashMap<TreeId, Arc<Node>>>,
}

impl<'n, N: Nodes> Cached<'n, N> {
    pub(super) fn new(nodes: &'n N) -> Self {
        Self { nodes, inner: RefCell::default() }
    }
}

impl<N: Nodes> Nodes for Cached<'_, N> {
    type Error = N::Error;

    fn node(&self, id: TreeId) -> Result<Arc<Node>, N::Error> {
        if let Some(node) = self.inner.borrow().get(&id) {
            return Ok(Arc::clone(node));
        }
        let node = self.nodes.node(id)?;
        if node.level() > 0 {
            self.inner.borrow_mut().insert(id, Arc::clone(&node));
        }
        Ok(node)
    }
}

/// Fails because a tree breaks a rule.
pub(super) fn refuse<T, E: From<ObjectError>>(why: &'static str) -> Result<T, E> {
    Err(malformed(why).into())
}
