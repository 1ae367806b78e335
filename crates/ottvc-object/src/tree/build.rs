//! Turns a run of items into nodes, and hands out those that are new.

use std::sync::Arc;

use super::{Child, Item, MAX_LEVEL, Node, Rule, malformed};
use crate::codec::{Object, Storable};
use crate::error::ObjectError;
use crate::id::TreeId;

/// Collects items of one level until the rule ends a node.
pub(super) struct Builder<I> {
    level: u8,
    rule: Rule,
    items: Vec<I>,
}

impl<I: Item> Builder<I> {
    pub(super) fn new(level: u8) -> Self {
        Self { level, rule: Rule::new(level), items: Vec::new() }
    }
    /// Whether the last item pushed ended a node, or none was pushed yet.
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
    /// Takes the next item; returns the node it ends, if it ends one.
    pub(super) fn push(&mut self, item: I) -> Result<Option<Node>, ObjectError> {
        let ended = self.rule.ends_after(&item)?;
        self.items.push(item);
        Ok(if ended { self.finish() } else { None })
    }
    /// Returns the node of the items that no boundary ended.
    pub(super) fn finish(&mut self) -> Option<Node> {
        self.rule = Rule::new(self.level);
        let items = std::mem::take(&mut self.items);
        (!items.is_empty()).then(|| I::node(self.level, items))
    }
}

/// Where new objects go.
pub(super) type Put<'p, E> = &'p mut dyn FnMut(Object) -> Result<(), E>;

/// Stores new nodes, and remembers the last of each level: a store need not find them yet.
pub(super) struct Output<'p, E> {
    put: Put<'p, E>,
    last: Vec<Option<(TreeId, Arc<Node>)>>,
}

impl<'p, E: From<ObjectError>> Output<'p, E> {
    pub(super) fn new(put: Put<'p, E>) -> Self {
        Self { put, last: Vec::new() }
    }

    /// Stores `node` unless it is `old`; returns what a node above says about it.
    pub(super) fn write(&mut self, node: Node, old: Option<&Child>) -> Result<Child, E> {
        let level = usize::from(node.level());
        if level > usize::from(MAX_LEVEL) {
            return Err(malformed("a tree is too deep").into());
        }
        let object = node.to_object()?;
        let child = node.summary(object.id().into()).ok_or(malformed("a node is empty"))?;
        if self.last.len() <= level {
            self.last.resize(level + 1, None);
        }
        if let Some(last) = self.last.get_mut(level) {
            *last = Some((child.id, Arc::new(node)));
        }
        if old != Some(&child) {
            (self.put)(object)?;
        }
        Ok(child)
    }

    /// Returns the node named `id` if it is the last one written at its level.
    pub(super) fn written(&self, level: u8, id: TreeId) -> Option<Arc<Node>> {
        let (last, node) = self.last.get(usize::from(level))?.as_ref()?;
        (*last == id).then(|| Arc::clone(node))
    }
}
