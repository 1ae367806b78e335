//! Comparing two states of one folder: reads only nodes that are not in both.

use std::cmp::Ordering;

use super::trail::{Trail, entries, read_root};
use super::{Item, Nodes};
use crate::entry::NamedEntry;
use crate::id::TreeId;

/// Hears a key with what each side has there.
pub(super) type Visit<'v, E> =
    &'v mut dyn FnMut(&str, Option<&NamedEntry>, Option<&NamedEntry>) -> Result<(), E>;

/// Visits each key at which `a` and `b` differ, in key order, with what each has there.
///
/// Subfolders are entries, compared by id and not entered. Subtrees in both are skipped by id, so
/// the cost is the nodes on changed paths.
///
/// # Errors
/// As [`super::lookup`], or what `visit` returns.
pub fn diff<N: Nodes>(
    nodes: &N,
    a: TreeId,
    b: TreeId,
    visit: Visit<'_, N::Error>,
) -> Result<(), N::Error> {
    if a == b { Ok(()) } else { merge_join(nodes, a, b, true, visit) }
}

/// Visits each key of either folder; with `changed_only`, as [`diff`].
pub(super) fn merge_join<N: Nodes>(
    nodes: &N,
    a: TreeId,
    b: TreeId,
    changed_only: bool,
    visit: Visit<'_, N::Error>,
) -> Result<(), N::Error> {
    let mut a = Side::new(nodes, a)?;
    let mut b = Side::new(nodes, b)?;
    loop {
        let height = a.height().max(b.height());
        match height {
            None => return Ok(()),
            // Both stand at the same subtree with nothing pending before it.
            Some(1..) if changed_only && a.subtree().is_some() && a.subtree() == b.subtree() => {
                a.trail.next();
                b.trail.next();
            }
            // The higher side is opened first; two different subtrees of one height, both.
            Some(1..) => {
                let open = (a.height() == height, b.height() == height);
                if open.0 {
                    a.open(nodes)?;
                }
                if open.1 {
                    b.open(nodes)?;
                }
            }
            Some(0) => {
                let order = match (a.entry(), b.entry()) {
                    (Some(old), Some(new)) => {
                        let (key, other) = (old.key(), new.key());
                        let order = key.cmp(&other);
                        match order {
                            Ordering::Less => visit(&key, Some(old), None)?,
                            Ordering::Greater => visit(&other, None, Some(new))?,
                            Ordering::Equal if changed_only && old == new => {}
                            Ordering::Equal => visit(&key, Some(old), Some(new))?,
                        }
                        order
                    }
                    (Some(old), None) => {
                        visit(&old.key(), Some(old), None)?;
                        Ordering::Less
                    }
                    (None, Some(new)) => {
                        visit(&new.key(), None, Some(new))?;
                        Ordering::Greater
                    }
                    (None, None) => return Ok(()),
                };
                if order.is_le() {
                    a.trail.next();
                }
                if order.is_ge() {
                    b.trail.next();
                }
            }
        }
    }
}

/// One of two trees being compared, standing at an entry or at a subtree not yet opened.
struct Side {
    trail: Trail,
}

impl Side {
    fn new<N: Nodes>(nodes: &N, root: TreeId) -> Result<Self, N::Error> {
        let mut trail = Trail::default();
        if let Some(top) = read_root(nodes, root)? {
            trail.push(top, 0);
        }
        Ok(Self { trail })
    }
    /// 0 at an entry, one more than its level at a subtree, `None` at the end.
    fn height(&self) -> Option<u8> {
        self.trail.lowest().map(|(node, _)| node.level())
    }
    /// The subtree it stands at.
    fn subtree(&self) -> Option<TreeId> {
        self.trail.child().map(|child| child.id)
    }
    /// The entry it stands at.
    fn entry(&self) -> Option<&NamedEntry> {
        self.trail.lowest().and_then(|(node, at)| entries(node).get(at))
    }
    /// Enters the subtree it stands at.
    fn open<N: Nodes>(&mut self, nodes: &N) -> Result<(), N::Error> {
        let node = self.trail.read(nodes)?;
        self.trail.push(node, 0);
        Ok(())
    }
}
