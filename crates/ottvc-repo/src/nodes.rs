//! Tree nodes from a store, with a cache and a batch of new ones beside it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ottvc_object::tree::{EMPTY_TREE, Node, Nodes};
use ottvc_object::{Object, ObjectId, Storable, Totals, TreeId};
use ottvc_store::{ObjectStore, StoreWriter};

use crate::RepoError;

/// How many nodes stay in memory; at a few KiB each.
const CACHED_NODES: usize = 8192;

/// Reads tree nodes from an object store; remembers some.
#[derive(Debug)]
pub struct StoreNodes {
    objects: Arc<dyn ObjectStore>,
    cache: Mutex<HashMap<TreeId, Arc<Node>>>,
    reads: AtomicU64,
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
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }
    fn remember(&self, id: TreeId, node: &Arc<Node>) {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= CACHED_NODES {
            cache.clear();
        }
        cache.insert(id, Arc::clone(node));
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
    new: Mutex<HashMap<ObjectId, Object>>,
}

impl<'n> Batch<'n> {
    pub(crate) fn new(below: &'n StoreNodes) -> Self {
        Self { below, new: Mutex::default() }
    }
    /// Takes a new object.
    pub(crate) fn put(&self, object: Object) {
        self.new.lock().unwrap_or_else(PoisonError::into_inner).insert(object.id(), object);
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
        let new = self.new.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned();
        match new {
            Some(object) => Ok(object),
            None => Ok(self.below.objects.get(id)?),
        }
    }
    /// Returns a value, new or old.
    pub(crate) fn load<T: Storable>(&self, id: impl Into<ObjectId>) -> Result<T, RepoError> {
        Ok(T::from_object(&self.get(id.into())?)?)
    }
    /// How many objects are new.
    pub(crate) fn len(&self) -> u64 {
        self.new.lock().unwrap_or_else(PoisonError::into_inner).len() as u64
    }
    /// Hands the new objects to a writer.
    pub(crate) fn flush(&self, writer: &mut dyn StoreWriter) -> Result<(), RepoError> {
        let mut new = self.new.lock().unwrap_or_else(PoisonError::into_inner);
        let mut objects: Vec<Object> = new.drain().map(|(_, object)| object).collect();
        // In id order, so that the same command writes the same bytes.
        objects.sort_unstable_by_key(Object::id);
        for object in &objects {
            writer.put(object)?;
        }
        Ok(())
    }
}

impl Nodes for Batch<'_> {
    type Error = RepoError;

    fn node(&self, id: TreeId) -> Result<Arc<Node>, RepoError> {
        let object =
            self.new.lock().unwrap_or_else(PoisonError::into_inner).get(&id.into()).cloned();
        match object {
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
