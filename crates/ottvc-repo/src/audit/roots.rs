//! Where reachability starts: refs, the working copy, and the operations that `undo` can take back.

use ottvc_object::{CommitId, Kind, ObjectId};
use ottvc_refs::{RefName, RefValue};

use crate::audit::links::Link;
use crate::workspace::{Head, State};
use crate::{Repo, RepoError};

/// How many operations are asked for at a time.
const PAGE: usize = 1024;

/// A ref and the commit it points at, if any.
pub(crate) type NamedHead = (RefName, Option<CommitId>);

/// Names a commit.
pub(crate) fn commit_link(id: CommitId) -> Link {
    Link::Object(id.into(), Kind::Commit)
}

/// What a working copy in this state keeps: the staged tree and layers, the commit it stands on where
/// that is no branch's, and the commits of a merge not finished.
pub(crate) fn working_links(state: &State) -> Vec<Link> {
    let mut links = vec![Link::tree(state.staged)];
    if let Head::Detached(id) = state.head {
        links.push(commit_link(id));
    }
    if let Some(touched) = state.touched {
        links.extend([Link::tree(touched.own), commit_link(touched.base)]);
    }
    if let Some(merging) = &state.merging {
        let commits = [merging.ours, merging.theirs].into_iter();
        links.extend(commits.chain(merging.bases.iter().copied()).map(commit_link));
    }
    links
}

impl Repo {
    /// All refs, branches before tags, each kind in name order.
    pub(crate) fn heads(&self) -> Result<Vec<NamedHead>, RepoError> {
        let refs = self.refs.list()?;
        Ok(refs.into_iter().map(|(name, value)| (name, value.target)).collect())
    }

    /// Every commit that an operation moved a ref to or from; those that were collected left out.
    pub(crate) fn operation_links(&self) -> Result<Vec<Link>, RepoError> {
        let mut links = Vec::new();
        let mut before = None;
        loop {
            let operations = self.refs.operations(before, PAGE)?;
            let Some(oldest) = operations.last() else { return Ok(links) };
            before = Some(oldest.id);
            let values =
                operations.iter().flat_map(|it| &it.edits).flat_map(|it| [&it.old, &it.new]);
            let target = |value: &Option<RefValue>| value.as_ref().and_then(|value| value.target);
            let ids: Vec<ObjectId> = values.filter_map(target).map(ObjectId::from).collect();
            let there = self.objects.contains(&ids)?;
            let kept = ids.into_iter().zip(there).filter(|(_, there)| *there);
            links.extend(kept.map(|(id, _)| Link::Object(id, Kind::Commit)));
        }
    }

    /// Finds the refs that a user names: `NAME`, a branch before a tag, or `heads/NAME`, `tags/NAME`.
    ///
    /// # Errors
    /// [`RepoError::UnknownRevision`] with near names, [`RepoError::BadArgument`] for a revision that
    /// is no ref.
    pub(crate) fn named_refs(&self, given: &[String]) -> Result<Vec<RefName>, RepoError> {
        let mut found = Vec::new();
        for name in given {
            let full = name.strip_prefix("heads/").map(RefName::branch);
            let candidates = match full.or_else(|| name.strip_prefix("tags/").map(RefName::tag)) {
                Some(named) => vec![named],
                None => vec![RefName::branch(name), RefName::tag(name)],
            };
            let mut existing = None;
            for candidate in candidates.into_iter().flatten() {
                if existing.is_none() && self.refs.get(&candidate)?.is_some() {
                    existing = Some(candidate);
                }
            }
            match existing {
                Some(name) => found.push(name),
                None => {
                    self.resolve(name)?;
                    return Err(RepoError::BadArgument {
                        given: name.clone(),
                        wanted: "branch or tag",
                        why: "only those can be deleted".into(),
                    });
                }
            }
        }
        Ok(found)
    }
}
