//! Tree nodes from a store, with a cache and a batch of new ones beside it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ottvc_object::tree::{EMPTY_TREE, Node, Nodes};
use ottvc_object::{Object, ObjectId, Storable, Totals, TreeId};
use ottvc_store::{ObjectStore, StoreWriter};

use crate::RepoError;

/// How many items of nodes stay in memory; at a few hundred bytes each.
const CACHED_ITEMS: usize = 1 << 16;

/// Reads tree nodes from an object store; remembers some.
#[derive(Debug)]
pub struct StoreNodes {
    objects: Arc<dyn ObjectStore>,
    cache: Mutex<Cache>,
    reads: AtomicU64,
}

#[derive(Debug, Default)]
struct Cache {
    nodes: HashMap<TreeId, Arc<Node>>,
    items: usize,
}

impl StoreNodes {
    /// Reads from `objects`.
    pub fn new(objects: Arc<dyn ObjectStore>) -> Self {
        Self { objects, cache: Mutex::default(), reads: AtomicU64::new(0) }
    }
    /// How many nodes were read from the store, not from the cache.
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }
    fn cached(&self, id: TreeId) -> Option<Arc<Node>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).nodes.get(&id).cloned()
    }
    fn remember(&self, id: TreeId, node: &Arc<Node>) {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.items >= CACHED_ITEMS {
            *cache = Cache::default();
        }
        cache.items += 1 + match &**node {
            Node::Leaf { entries } => entries.len(),
            Node::Inner { children, .. } => children.len(),
        };
        cache.nodes.insert(id, Arc::clone(node));
    }
}

impl Nodes for StoreNodes {
    type Error = RepoError;

    fn node(&self, id: TreeId) -> Result<Arc<Node>, RepoError> {
        // Known to everyone, so nobody stores it.
        if id == EMPTY_TREE {
            return Ok(Arc::new(Node::empty()));
        }
        if let Some(node) = self.cached(id) {
            return Ok(node);
        }
        self.reads.fetch_add(1, Ordering::Relaxed);
        let node = Arc::new(Node::from_object(&self.objects.get(id.into())?)?);
        self.remember(id, &node);
        Ok(node)
    }
}

/// New objects not yet handed to a store, and the old ones beneath them.
#[derive(Debug)]
pub(crate) struct Batch<'n> {
    below: &'n StoreNodes,
    new: Mutex<New>,
}

#[derive(Debug, Default)]
struct New {
    objects: HashMap<ObjectId, Object>,
    /// As they came: what is below a folder before the folder, and neighbours together.
    order: Vec<ObjectId>,
}

impl<'n> Batch<'n> {
    pub(crate) fn new(below: &'n StoreNodes) -> Self {
        Self { below, new: Mutex::default() }
    }
    /// Takes a new object.
    pub(crate) fn put(&self, object: Object) {
        let mut new = self.new.lock().unwrap_or_else(PoisonError::into_inner);
        let id = object.id();
        if new.objects.insert(id, object).is_none() {
            new.order.push(id);
        }
    }
    /// Takes a new value; returns its id.
    pub(crate) fn store<T: Storable>(&self, value: &T) -> Result<T::Id, RepoError> {
        let object = value.to_object()?;
        let id = object.id();
        self.put(object);
        Ok(id.into())
    }
    /// Returns an object, new or old.
    pub(crate) fn get(&self, id: ObjectId) -> Result<Object, RepoError> {
        match self.fresh(id) {
            Some(object) => Ok(object),
            None => Ok(self.below.objects.get(id)?),
        }
    }
    fn fresh(&self, id: ObjectId) -> Option<Object> {
        self.new.lock().unwrap_or_else(PoisonError::into_inner).objects.get(&id).cloned()
    }
    /// Returns a value, new or old.
    pub(crate) fn load<T: Storable>(&self, id: impl Into<ObjectId>) -> Result<T, RepoError> {
        Ok(T::from_object(&self.get(id.into())?)?)
    }
    /// How many objects are new.
    pub(crate) fn len(&self) -> u64 {
        self.new.lock().unwrap_or_else(PoisonError::into_inner).order.len() as u64
    }
    /// Hands the new objects to a writer.
    pub(crate) fn flush(&self, writer: &mut dyn StoreWriter) -> Result<(), RepoError> {
        let mut new = self.new.lock().unwrap_or_else(PoisonError::into_inner);
        let New { objects, order } = std::mem::take(&mut *new);
        order.iter().filter_map(|id| objects.get(id)).try_for_each(|object| {
            writer.put(object)?;
            Ok(())
        })
    }
}

impl Nodes for Batch<'_> {
    type Error = RepoError;

    fn node(&self, id: TreeId) -> Result<Arc<Node>, RepoError> {
        match self.fresh(id.into()) {
            Some(object) => Ok(Arc::new(Node::from_object(&object)?)),
            None => self.below.node(id),
        }
    }
}

/// Returns the sums over a tree.
pub(crate) fn totals(
    nodes: &impl Nodes<Error = RepoError>,
    id: TreeId,
) -> Result<Totals, RepoError> {
    Ok(nodes.node(id)?.totals())
}
