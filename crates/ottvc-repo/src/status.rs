//! How the working copy stands: staged, changed, untracked, in conflict.

use std::collections::BTreeMap;

use ottvc_object::path::PathKey;
use ottvc_object::{Entry, NamedEntry, RepoPath};
use serde::Serialize;

use crate::nodes::Batch;
use crate::record::{branch_name, place_text};
use crate::workspace::{Rows, row_key};
use crate::{Progress, Repo, RepoError};

/// How the working copy stands.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// The branch, unless on a bare commit.
    pub branch: Option<String>,
    /// The commit, unless the branch has none.
    pub commit: Option<String>,
    /// What is being merged, if a merge waits to be finished.
    pub merging: Option<String>,
    /// What the next commit would change.
    pub staged: Vec<StatusRow>,
    /// Tracked files that differ from what is staged.
    pub changed: Vec<StatusRow>,
    /// Files nobody tracks.
    pub untracked: Vec<String>,
    /// Conflicts left, as `PATH` or `PATH#FIELD`.
    pub conflicts: Vec<String>,
    /// Whether there is nothing to commit and nothing changed.
    pub clean: bool,
}

/// One path that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StatusRow {
    /// The path.
    pub path: String,
    /// `added`, `removed`, `modified` or `renamed`.
    pub change: &'static str,
    /// `media`, `symlink`, `document` or `conflict`.
    pub kind: &'static str,
    /// The path it had, if it was renamed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

impl Repo {
    /// Looks at the whole working copy. A file the stat cache vouches for costs one stat; what else
    /// was read is remembered.
    pub fn status(&self, progress: &dyn Progress) -> Result<Status, RepoError> {
        let state = self.state()?;
        let head = self.head_commit_id(&state)?;
        let staged = self.staged_rows(self.head_tree(&state)?, state.staged)?;
        let mut tracked: BTreeMap<PathKey, (RepoPath, NamedEntry)> = BTreeMap::new();
        self.tracked_below(state.staged, &RepoPath::root(), &mut |path, named| {
            tracked.insert(path.key(), (path.clone(), named.clone()));
        })?;
        let mut found = self.find_files(&RepoPath::root())?;
        found.extend(self.tracked_but_ignored(&found, &tracked)?);
        let total = found.len() as u64;
        let (mut changed, mut untracked, mut rows) = (Vec::new(), Vec::new(), Rows::new());
        for (index, file) in found.iter().enumerate() {
            progress.report("looking", index as u64, total);
            let Some((path, named)) = tracked.remove(&file.path.key()) else {
                untracked.push(file.path.to_string());
                continue;
            };
            if matches!(named.entry, Entry::Conflict(_)) {
                continue;
            }
            let here = self.look_at(file, &mut rows)?;
            if path != file.path {
                changed.push(StatusRow {
                    path: file.path.to_string(),
                    change: "renamed",
                    kind: here.word(),
                    from: Some(path.to_string()),
                });
            } else if !crate::switching::same_file(&named.entry, &here) {
                let kind = here.word();
                let path = path.to_string();
                changed.push(StatusRow { path, change: "modified", kind, from: None });
            }
        }
        for (path, named) in tracked.into_values() {
            if !matches!(named.entry, Entry::Conflict(_)) {
                rows.push((row_key(&path), None));
                let kind = named.entry.word();
                let path = path.to_string();
                changed.push(StatusRow { path, change: "removed", kind, from: None });
            }
        }
        self.workspace.cache(&rows)?;
        let batch = Batch::new(&self.nodes);
        let conflicts: Vec<String> = self
            .conflict_places(&batch, state.staged, &state, head)?
            .iter()
            .map(place_text)
            .collect();
        Ok(Status {
            branch: branch_name(&state),
            commit: head.map(|id| id.to_string()),
            clean: staged.is_empty()
                && changed.is_empty()
                && conflicts.is_empty()
                && state.merging.is_none(),
            merging: state.merging.map(|merging| merging.theirs_name),
            staged,
            changed,
            untracked,
            conflicts,
        })
    }

    /// What a commit of the staged tree would change.
    fn staged_rows(
        &self,
        head: ottvc_object::TreeId,
        staged: ottvc_object::TreeId,
    ) -> Result<Vec<StatusRow>, RepoError> {
        let pairs = crate::changes::pair_renames(self.tree_changes(head, staged)?);
        Ok(pairs
            .into_iter()
            .filter_map(|(old, new)| {
                let kind = new.as_ref().or(old.as_ref()).map(|(_, named)| named.entry.word())?;
                let path = new.as_ref().or(old.as_ref()).map(|(path, _)| path.to_string())?;
                let (change, from) = match (&old, &new) {
                    (None, _) => ("added", None),
                    (_, None) => ("removed", None),
                    (Some((from, _)), Some((to, _))) if from != to => {
                        ("renamed", Some(from.to_string()))
                    }
                    _ => ("modified", None),
                };
                Some(StatusRow { path, change, kind, from })
            })
            .collect())
    }
}
