//! Renames in the tree: which removed path and which added path are one entry.
//!
//! An entry remembers its former paths; that is the only evidence. Nothing is guessed from content.

use std::collections::{BTreeMap, BTreeSet};

use ottvc_object::path::PathKey;
use ottvc_object::{NamedEntry, RepoPath};

use crate::Side;

/// What one side has changed at a path, against the base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where.
    pub path: RepoPath,
    /// What the base has there.
    pub old: Option<NamedEntry>,
    /// What the side has there.
    pub new: Option<NamedEntry>,
}

/// A rename on one side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rename {
    /// Its path in the base.
    pub from: RepoPath,
    /// Its path on the side.
    pub to: RepoPath,
}

/// Paths of different sides that belong together, or contradict each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Move {
    /// One entry: merge what the sides have at these paths; the result goes to `to`, and `base` is
    /// left empty unless something else stands there now.
    Follow {
        /// Where it goes.
        to: RepoPath,
        /// Where ours has it.
        ours: RepoPath,
        /// Where the base has it.
        base: RepoPath,
        /// Where theirs has it.
        theirs: RepoPath,
    },
    /// Both sides renamed one entry, to different paths: a `rename_rename` conflict at `base`.
    Apart {
        /// Where the base has it.
        base: RepoPath,
        /// Where ours has it.
        ours: RepoPath,
        /// Where theirs has it.
        theirs: RepoPath,
    },
    /// One side renamed it, the other removed it: a `delete_edit` conflict at `to`.
    Removed {
        /// Where the base has it.
        base: RepoPath,
        /// Where the side that renamed it has it.
        to: RepoPath,
        /// The side that renamed it.
        by: Side,
    },
    /// Different entries of the two sides meet at one path: a `collision` conflict there.
    Collision {
        /// The path.
        at: RepoPath,
        /// Where the base has the one of ours; nowhere if it is new.
        ours: Option<RepoPath>,
        /// Where the base has the one of theirs; nowhere if it is new.
        theirs: Option<RepoPath>,
    },
}

/// Finds the renames of one side: a path gone from it, and one whose entry has newly come to list
/// that path among its former ones. Sorted by `from`; each path is used once. O(changes).
pub fn find_renames(changes: &[Change]) -> Vec<Rename> {
    let mut gone: BTreeMap<PathKey, &RepoPath> = changes
        .iter()
        .filter(|change| change.new.is_none())
        .map(|change| (change.path.key(), &change.path))
        .collect();
    let mut arrived: Vec<&Change> = changes.iter().filter(|change| change.new.is_some()).collect();
    arrived.sort_by_key(|change| change.path.key());
    let mut found = Vec::new();
    for change in arrived {
        let known: &[RepoPath] = change.old.as_ref().map_or(&[], |old| &old.former);
        let former = change.new.iter().flat_map(|new| &new.former);
        let mut fresh = former.filter(|former| !known.contains(former));
        if let Some(from) = fresh.find_map(|former| gone.remove(&former.key())) {
            found.push(Rename { from: from.clone(), to: change.path.clone() });
        }
    }
    found.sort_by_key(|rename| rename.from.key());
    found
}

/// Pairs up the paths that renames on either side connect; every other path merges with itself.
/// Sorted by the path in the base, collisions last. O(changes).
pub fn pair_moves(ours: &[Change], theirs: &[Change]) -> Vec<Move> {
    let ours = Moved::new(ours);
    let theirs = Moved::new(theirs);
    let froms: BTreeSet<&PathKey> = ours.to.keys().chain(theirs.to.keys()).collect();
    let mut collided: BTreeMap<PathKey, Move> = BTreeMap::new();
    let mut moves = Vec::new();
    for from in froms {
        match (ours.to.get(from), theirs.to.get(from)) {
            (Some(a), Some(b)) if a.to.key() == b.to.key() => moves.push(Move::Follow {
                to: a.to.clone(),
                ours: a.to.clone(),
                base: a.from.clone(),
                theirs: b.to.clone(),
            }),
            (Some(a), Some(b)) => moves.push(Move::Apart {
                base: a.from.clone(),
                ours: a.to.clone(),
                theirs: b.to.clone(),
            }),
            (Some(one), None) => {
                moves.extend(theirs.meet(one, Side::Ours, &ours, &mut collided));
            }
            (None, Some(one)) => {
                moves.extend(ours.meet(one, Side::Theirs, &theirs, &mut collided));
            }
            (None, None) => {}
        }
    }
    moves.extend(collided.into_values());
    moves
}

/// The renames of one side, and what else it did.
struct Moved<'a> {
    /// Renames by the path they start from.
    to: BTreeMap<PathKey, Rename>,
    /// Where each rename's target came from.
    from: BTreeMap<PathKey, RepoPath>,
    /// Paths with something new on this side.
    filled: BTreeSet<PathKey>,
    /// Paths with nothing on this side any more.
    emptied: BTreeMap<PathKey, &'a RepoPath>,
}

impl<'a> Moved<'a> {
    fn new(changes: &'a [Change]) -> Self {
        let renames = find_renames(changes);
        let (filled, emptied): (Vec<&Change>, Vec<&Change>) =
            changes.iter().partition(|change| change.new.is_some());
        Self {
            from: renames.iter().map(|one| (one.to.key(), one.from.clone())).collect(),
            to: renames.into_iter().map(|one| (one.from.key(), one)).collect(),
            filled: filled.into_iter().map(|change| change.path.key()).collect(),
            emptied: emptied.into_iter().map(|one| (one.path.key(), &one.path)).collect(),
        }
    }

    /// What this side does to an entry that only the other side, `by`, has renamed.
    fn meet(
        &self,
        one: &Rename,
        by: Side,
        other: &Moved<'_>,
        collided: &mut BTreeMap<PathKey, Move>,
    ) -> Option<Move> {
        let target = one.to.key();
        if self.filled.contains(&target) {
            let (mine, its) = (self.from.get(&target).cloned(), other.from.get(&target).cloned());
            let (ours, theirs) = if by == Side::Ours { (its, mine) } else { (mine, its) };
            collided.insert(target, Move::Collision { at: one.to.clone(), ours, theirs });
            return None;
        }
        let base = one.from.clone();
        if self.emptied.contains_key(&base.key()) {
            return Some(Move::Removed { base, to: one.to.clone(), by });
        }
        let (to, stays) = (one.to.clone(), base.clone());
        Some(if by == Side::Ours {
            Move::Follow { to: to.clone(), ours: to, base, theirs: stays }
        } else {
            Move::Follow { to: to.clone(), ours: stays, base, theirs: to }
        })
    }
}
