//! Editing one folder: reads and writes only nodes on changed paths.
//!
//! Works up level by level. The nodes of a level that an edit touches are streamed, merged with the
//! edits, through the same rule that a build from scratch uses, until a boundary falls where an old
//! node ended: from there on the old nodes are what the rule would make. Old nodes passed and new
//! nodes made are the edits of the level above.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::build::{Builder, Output, Put};
use super::trail::{Cached, Cursor, children, read_root};
use super::{Child, EMPTY_TREE, Item, Node, Nodes, check_entry, malformed};
use crate::entry::{NamedEntry, Totals};
use crate::error::ObjectError;
use crate::id::TreeId;

/// Sets (`Some`) and removes (`None`) entries of one folder by key; returns its new root and sums.
///
/// The result is what a build from scratch gives. Removing what is not there does nothing. New nodes
/// go to `put`, each before the nodes above it; [`EMPTY_TREE`] is never put. Cost: on every level, the
/// nodes that edited keys lie in, and about one neighbour each.
///
/// # Errors
/// [`ObjectError::Malformed`] for an entry under another name's key or one that no tree can hold;
/// else as [`super::lookup`], or what `put` returns.
pub fn edit<N: Nodes>(
    nodes: &N,
    root: TreeId,
    edits: &BTreeMap<String, Option<NamedEntry>>,
    put: Put<'_, N::Error>,
) -> Result<(TreeId, Totals), N::Error> {
    check_edits(edits).map_err(N::Error::from)?;
    let nodes = Cached::new(nodes);
    let mut output = Output::new(put);
    let Some(top) = read_root(&nodes, root)? else {
        let added = edits.values().flatten().cloned();
        let leaves = build_level(0, added, &mut output)?;
        return if leaves.is_empty() {
            Ok((root, Totals::default()))
        } else {
            finish(&nodes, 0, leaves, &mut output)
        };
    };
    let unchanged = (root, top.totals());
    let old = top.summary(root).ok_or(malformed("a root is empty")).map_err(N::Error::from)?;
    let cursor = |level| Cursor::new(&nodes, Arc::clone(&top), level);
    let mut outcome = edit_level(0, &old, cursor(0), edits, &mut output)?;
    for level in 1..=top.level() {
        if outcome.above.is_empty() {
            return Ok(unchanged);
        }
        outcome = edit_level(level, &old, cursor(level), &outcome.above, &mut output)?;
    }
    if outcome.above.is_empty() {
        return Ok(unchanged);
    }
    finish(&nodes, top.level(), outcome.made, &mut output)
}

fn check_edits(edits: &BTreeMap<String, Option<NamedEntry>>) -> Result<(), ObjectError> {
    for (key, entry) in edits {
        if let Some(entry) = entry {
            check_entry(entry)?;
            if entry.name.key() != *key {
                return Err(malformed("an entry is edited under another name's key"));
            }
        }
    }
    Ok(())
}

/// What editing one level did.
struct Outcome {
    /// The edits of the level above, by last key.
    above: BTreeMap<String, Option<Child>>,
    /// Every node made, in order: on the root's level that is the whole level.
    made: Vec<Child>,
}

impl Outcome {
    /// Notes that the old node `child` was passed.
    fn passed(&mut self, child: &Child, pending: &mut BTreeMap<String, Child>) {
        self.above.insert(child.last_key.clone(), None);
        pending.insert(child.last_key.clone(), child.clone());
    }

    /// Stores a node, unless it is an old one made again.
    fn made<E: From<ObjectError>>(
        &mut self,
        node: Node,
        pending: &mut BTreeMap<String, Child>,
        output: &mut Output<'_, E>,
    ) -> Result<(), E> {
        let old = node.last_key().and_then(|key| pending.remove(&*key));
        let child = output.write(node, old.as_ref())?;
        if old.as_ref() == Some(&child) {
            self.above.remove(&child.last_key);
        } else {
            self.above.insert(child.last_key.clone(), Some(child.clone()));
        }
        self.made.push(child);
        Ok(())
    }
}

/// Streams the nodes of `level` that `edits` touch through the rule.
fn edit_level<N: Nodes, I: Item>(
    level: u8,
    root: &Child,
    mut cursor: Cursor<'_, Cached<'_, N>>,
    edits: &BTreeMap<String, Option<I>>,
    output: &mut Output<'_, N::Error>,
) -> Result<Outcome, N::Error> {
    let mut outcome = Outcome { above: BTreeMap::new(), made: Vec::new() };
    // Old nodes passed whose last key no new node has ended with yet.
    let mut pending = BTreeMap::new();
    let mut builder = Builder::<I>::new(level);
    let mut edits = edits.iter().peekable();
    while let Some((key, _)) = edits.peek() {
        cursor.seek(key)?;
        loop {
            let child = cursor.child().unwrap_or(root);
            outcome.passed(child, &mut pending);
            let last = (!cursor.is_last()).then(|| child.last_key.clone());
            let node = Arc::clone(cursor.node());
            let old = I::of(&node).ok_or(malformed("a node is of the wrong level"))?;
            let mut old = old.iter().peekable();
            // The last node of a level also takes what comes after all old keys.
            let in_reach = |key: &String| last.as_ref().is_none_or(|last| key <= last);
            loop {
                let edited = edits.peek().filter(|(key, _)| in_reach(key)).map(|(key, _)| *key);
                let item = match (old.peek().map(|item| item.key()), edited) {
                    (None, None) => break,
                    (Some(kept), Some(key)) if *kept < **key => old.next().cloned(),
                    (Some(_), None) => old.next().cloned(),
                    (kept, Some(key)) => {
                        if kept.is_some_and(|kept| *kept == **key) {
                            old.next();
                        }
                        edits.next().and_then(|(_, new)| new.clone())
                    }
                };
                if let Some(item) = item
                    && let Some(node) = builder.push(item)?
                {
                    outcome.made(node, &mut pending, output)?;
                }
            }
            // A boundary where an old node ended: what follows is as the rule would make it.
            if builder.is_empty() {
                break;
            }
            if !cursor.next()? {
                if let Some(node) = builder.finish() {
                    outcome.made(node, &mut pending, output)?;
                }
                break;
            }
        }
    }
    Ok(outcome)
}

/// Makes a whole level out of its items.
fn build_level<I: Item, E: From<ObjectError>>(
    level: u8,
    items: impl IntoIterator<Item = I>,
    output: &mut Output<'_, E>,
) -> Result<Vec<Child>, E> {
    let mut builder = Builder::new(level);
    let mut made = Vec::new();
    for item in items {
        if let Some(node) = builder.push(item)? {
            made.push(output.write(node, None)?);
        }
    }
    if let Some(node) = builder.finish() {
        made.push(output.write(node, None)?);
    }
    Ok(made)
}

/// Brings a whole level, `made`, to its one root: the lowest level with a single node.
fn finish<N: Nodes>(
    nodes: &N,
    mut level: u8,
    mut made: Vec<Child>,
    output: &mut Output<'_, N::Error>,
) -> Result<(TreeId, Totals), N::Error> {
    while made.len() > 1 {
        level = level.saturating_add(1);
        made = build_level(level, made, output)?;
    }
    let Some(mut root) = made.pop() else {
        return Ok((EMPTY_TREE, Totals::default()));
    };
    // A single child is a root of its own. It may be new, and then the store need not know it yet.
    while level > 0 {
        let node = match output.written(level, root.id) {
            Some(node) => node,
            None => nodes.node(root.id)?,
        };
        match children(&node) {
            [only] => root = only.clone(),
            _ => break,
        }
        level -= 1;
    }
    Ok((root.id, root.totals))
}
