//! Which commits two heads grew apart from, and how several of them become one base.
//!
//! Pure graph work: the caller looks commits up. Generation numbers (greater than every parent's)
//! let the walk stop as soon as only ancestors of bases found are left, so it costs what has changed
//! since, not the whole history.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use ottvc_object::CommitId;

use crate::MergeError;

/// With more best common ancestors than this, they are not merged but contested.
pub const MAX_BASES: usize = 32;
/// Bases of bases are merged down to this depth; below, they are contested.
pub const MAX_BASE_DEPTH: usize = 16;
/// How many steps a plan may take before what is left is contested.
const MAX_STEPS: usize = 1024;

/// What the walk needs to know about a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ancestry {
    /// Its parents.
    pub parents: Vec<CommitId>,
    /// Its generation: greater than that of every parent.
    pub generation: u64,
}

/// Returns the best common ancestors of two heads, sorted by id: commits both reach, none of them an
/// ancestor of another. Empty for unrelated heads; a head that the other reaches is the only one.
///
/// Calls `lookup` once for each commit visited: those between the heads and their bases.
///
/// # Errors
/// What `lookup` returns, or [`MergeError::BadGeneration`] for a history that is none.
pub fn best_common_ancestors<E: From<MergeError>>(
    lookup: impl FnMut(CommitId) -> Result<Ancestry, E>,
    ours: CommitId,
    theirs: CommitId,
) -> Result<Vec<CommitId>, E> {
    let mut walk = Walk { lookup, seen: BTreeMap::new(), queue: BTreeSet::new(), open: 0 };
    walk.reach(ours, Reached { ours: true, ..Reached::default() }, None)?;
    walk.reach(theirs, Reached { theirs: true, ..Reached::default() }, None)?;
    let mut bases = Vec::new();
    while let Some((id, mut reached, ancestry)) = walk.next() {
        if reached.ours && reached.theirs && !reached.below_base {
            bases.push(id);
            reached.below_base = true;
        }
        for parent in &ancestry.parents {
            walk.reach(*parent, reached, Some((id, ancestry.generation)))?;
        }
    }
    bases.sort_unstable();
    Ok(bases)
}

/// Which heads reach a commit, and whether a base already found does.
#[derive(Clone, Copy, Default)]
struct Reached {
    ours: bool,
    theirs: bool,
    below_base: bool,
}

/// A walk from the heads towards the roots, youngest generation first: when a commit's turn comes,
/// all of its descendants have had theirs, so what reaches it is known for good.
struct Walk<F> {
    lookup: F,
    seen: BTreeMap<CommitId, (Ancestry, Reached)>,
    queue: BTreeSet<(u64, CommitId)>,
    /// How many in the queue are not known to lie below a base; without any the walk is over.
    open: usize,
}

impl<E: From<MergeError>, F: FnMut(CommitId) -> Result<Ancestry, E>> Walk<F> {
    /// Notes that a head or `child` (with its generation) reaches `id`.
    fn reach(
        &mut self,
        id: CommitId,
        by: Reached,
        child: Option<(CommitId, u64)>,
    ) -> Result<(), E> {
        let (ancestry, reached) = match self.seen.entry(id) {
            Entry::Occupied(seen) => seen.into_mut(),
            Entry::Vacant(unseen) => unseen.insert(((self.lookup)(id)?, Reached::default())),
        };
        if let Some((child, _)) = child.filter(|(_, generation)| *generation <= ancestry.generation)
        {
            return Err(MergeError::BadGeneration { commit: id, child }.into());
        }
        let queued = !self.queue.insert((ancestry.generation, id));
        let was_open = queued && !reached.below_base;
        reached.ours |= by.ours;
        reached.theirs |= by.theirs;
        reached.below_base |= by.below_base;
        self.open += usize::from(!reached.below_base);
        self.open -= usize::from(was_open);
        Ok(())
    }

    /// Takes the next commit, unless only ancestors of bases are left.
    fn next(&mut self) -> Option<(CommitId, Reached, Ancestry)> {
        if self.open == 0 {
            return None;
        }
        let (_, id) = self.queue.pop_last()?;
        let (ancestry, reached) = self.seen.get(&id)?;
        self.open -= usize::from(!reached.below_base);
        Some((id, *reached, ancestry.clone()))
    }
}

/// One step of a [`BasePlan`]; numbers name earlier steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BaseStep {
    /// The empty tree: the heads are unrelated.
    Empty,
    /// The tree of this commit.
    Commit(CommitId),
    /// The merge of three earlier trees, made with [`crate::MergeOptions::for_bases`].
    Merge {
        /// Step of one side.
        ours: usize,
        /// Step of their base.
        base: usize,
        /// Step of the other side.
        theirs: usize,
    },
    /// The trees of these commits, contested wherever they differ (see [`crate::contest_values`]).
    Contested(Vec<CommitId>),
}

/// How to make the one base of a merge. Carry out the steps in order; the last is the base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BasePlan {
    /// The best common ancestors of the two heads, sorted: what a commit records.
    pub bases: Vec<CommitId>,
    /// The steps; never empty. One step, unless the histories cross.
    pub steps: Vec<BaseStep>,
}

/// Plans the base of a merge of two heads.
///
/// Several bases are merged in order of their ids, each with the merge so far, over the bases of
/// those two in turn. Past [`MAX_BASES`] or [`MAX_BASE_DEPTH`] they are contested instead.
///
/// # Errors
/// As [`best_common_ancestors`].
pub fn plan_base<E: From<MergeError>>(
    mut lookup: impl FnMut(CommitId) -> Result<Ancestry, E>,
    ours: CommitId,
    theirs: CommitId,
) -> Result<BasePlan, E> {
    let bases = best_common_ancestors(&mut lookup, ours, theirs)?;
    let mut planner = Planner { lookup, steps: Vec::new(), made: BTreeMap::new() };
    planner.make(bases.clone(), 0)?;
    Ok(BasePlan { bases, steps: planner.steps })
}

/// Writes steps, each set of bases once.
struct Planner<F> {
    lookup: F,
    steps: Vec<BaseStep>,
    made: BTreeMap<Vec<CommitId>, usize>,
}

impl<E: From<MergeError>, F: FnMut(CommitId) -> Result<Ancestry, E>> Planner<F> {
    /// Returns the step that makes one tree of `bases`, which are sorted.
    fn make(&mut self, bases: Vec<CommitId>, depth: usize) -> Result<usize, E> {
        if let Some(step) = self.made.get(&bases) {
            return Ok(*step);
        }
        let step = match bases.as_slice() {
            [] => self.push(BaseStep::Empty),
            [only] => self.push(BaseStep::Commit(*only)),
            many if many.len() > MAX_BASES
                || depth >= MAX_BASE_DEPTH
                || self.steps.len() >= MAX_STEPS =>
            {
                self.push(BaseStep::Contested(many.to_vec()))
            }
            [first, rest @ ..] => {
                let mut done = vec![*first];
                let mut ours = self.make(done.clone(), depth)?;
                for next in rest {
                    let shared = self.bases_of(&done, *next)?;
                    let base = self.make(shared, depth + 1)?;
                    let theirs = self.make(vec![*next], depth)?;
                    ours = self.push(BaseStep::Merge { ours, base, theirs });
                    done.push(*next);
                }
                ours
            }
        };
        self.made.insert(bases, step);
        Ok(step)
    }

    /// Returns the best common ancestors of `next` and a merge of `done`: the best of those it has
    /// with each.
    fn bases_of(&mut self, done: &[CommitId], next: CommitId) -> Result<Vec<CommitId>, E> {
        let mut found = BTreeSet::new();
        for one in done {
            found.extend(best_common_ancestors(&mut self.lookup, *one, next)?);
        }
        let mut best = Vec::new();
        for one in &found {
            let mut older = false;
            for other in found.iter().filter(|other| *other != one) {
                older |= best_common_ancestors(&mut self.lookup, *one, *other)? == [*one];
            }
            if !older {
                best.push(*one);
            }
        }
        Ok(best)
    }

    /// Adds a step and returns its number.
    fn push(&mut self, step: BaseStep) -> usize {
        self.steps.push(step);
        self.steps.len() - 1
    }
}
