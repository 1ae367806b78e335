//! Walking commits: log, ancestry, common ancestors.

use std::collections::{BinaryHeap, HashSet};

use ottvc_object::{Commit, CommitId, RepoPath, Storable};

use crate::{Repo, RepoError};

/// A commit and its id.
#[derive(Clone, Debug)]
pub struct Logged {
    /// Its id.
    pub id: CommitId,
    /// The commit.
    pub commit: Commit,
}

impl Repo {
    /// Returns a commit.
    ///
    /// # Errors
    /// The store's, if it lacks the commit or holds it damaged.
    pub fn commit(&self, id: CommitId) -> Result<Commit, RepoError> {
        Ok(Commit::from_object(&self.objects.get(id.into())?)?)
    }

    /// Visits `heads` and their ancestors once each, those of higher generation first and, within
    /// one generation, the newer first; stops when `visit` says `false`.
    pub fn walk_history(
        &self,
        heads: &[CommitId],
        visit: &mut dyn FnMut(&Logged) -> Result<bool, RepoError>,
    ) -> Result<(), RepoError> {
        let mut queue = BinaryHeap::new();
        let mut seen = HashSet::new();
        let mut enqueue = |queue: &mut BinaryHeap<_>, id: CommitId| -> Result<(), RepoError> {
            if seen.insert(id) {
                let commit = self.commit(id)?;
                queue.push(Queued { at: (commit.generation, commit.committer.time, id), commit });
            }
            Ok(())
        };
        for head in heads {
            enqueue(&mut queue, *head)?;
        }
        while let Some(Queued { at: (.., id), commit }) = queue.pop() {
            for parent in &commit.parents {
                enqueue(&mut queue, *parent)?;
            }
            if !visit(&Logged { id, commit })? {
                break;
            }
        }
        Ok(())
    }

    /// Returns the history of `head`, newest first: at most `limit` commits, only those that changed
    /// something at or below `path` where given.
    pub fn log(
        &self,
        heads: &[CommitId],
        limit: usize,
        path: Option<&RepoPath>,
    ) -> Result<Vec<Logged>, RepoError> {
        let mut found = Vec::new();
        if limit == 0 {
            return Ok(found);
        }
        self.walk_history(heads, &mut |logged| {
            if path.map_or(Ok(true), |path| self.touches(&logged.commit, path))? {
                found.push(logged.clone());
            }
            Ok(found.len() < limit)
        })?;
        Ok(found)
    }

    /// Whether a commit has at `path` something else than every one of its parents.
    fn touches(&self, commit: &Commit, path: &RepoPath) -> Result<bool, RepoError> {
        let own = ottvc_object::tree::lookup_path(&self.nodes, commit.tree, path)?;
        for parent in &commit.parents {
            let tree = self.commit(*parent)?.tree;
            let before = ottvc_object::tree::lookup_path(&self.nodes, tree, path)?;
            if before.map(|named| named.entry) == own.as_ref().map(|named| named.entry) {
                return Ok(false);
            }
        }
        Ok(!commit.parents.is_empty() || own.is_some())
    }

    /// Whether `ancestor` is `of` or one of its ancestors.
    pub fn is_ancestor(&self, ancestor: CommitId, of: CommitId) -> Result<bool, RepoError> {
        let floor = self.commit(ancestor)?.generation;
        let mut found = false;
        self.walk_history(&[of], &mut |logged| {
            found = logged.id == ancestor;
            // Generations only fall on the way down, so below the floor there is nothing to find.
            Ok(!found && logged.commit.generation >= floor)
        })?;
        Ok(found)
    }

    /// Returns the best common ancestors of two commits, sorted by id.
    pub fn common_ancestors(&self, a: CommitId, b: CommitId) -> Result<Vec<CommitId>, RepoError> {
        ottvc_merge::best_common_ancestors(|id| self.ancestry(id), a, b)
    }
}

/// A commit waiting in the walk, ordered by generation, then time, then id.
struct Queued {
    at: (u64, i64, CommitId),
    commit: Commit,
}
impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}
impl Eq for Queued {}
impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Queued {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}
