//! How the working copy stands: staged, changed, untracked, in conflict.

use ottvc_object::{Entry, RepoPath};
use serde::Serialize;

use crate::cache::{self, Rows};
use crate::derived::FilmRow;
use crate::nodes::Batch;
use crate::record::{branch_name, place_text};
use crate::scan::{Met, Scan};
use crate::schemas::Found;
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
    /// Paths that a merge that waits brought from theirs, and that are staged as ours has them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// What a merge that waits changes though it was given once, where no conflict is left.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Found>,
    /// Fields of documents that tell of other films than those that are staged in their place.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stale: Vec<FilmRow>,
    /// Whether there is nothing to commit and nothing changed.
    pub clean: bool,
}

/// One path that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StatusRow {
    /// The path.
    pub path: String,
    /// `added`, `removed`, `modified`, `renamed`, or `layered`: the same document, of which other fields are
    /// the edition's own.
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
        let head_tree = self.head_tree(&state)?;
        let mut staged = self.staged_rows(head_tree, state.staged)?;
        for path in self.touched_documents(&state)? {
            let path = path.to_string();
            if !staged.iter().any(|row| row.path == path) {
                staged.push(StatusRow { path, change: "layered", kind: "document", from: None });
            }
        }
        let (mut changed, mut untracked, mut rows) = (Vec::new(), Vec::new(), Rows::new());
        let mut looked = 0_u64;
        let scan = Scan {
            staged: state.staged,
            path: &RepoPath::root(),
            tracked_only: false,
            whole_folders: true,
        };
        let learnt = self.scan(&scan, &mut |met| {
            let (files, whole) = match met {
                Met::Same { files, whole, .. } => (files, whole),
                Met::Place(place) => (1, place.whole),
            };
            if looked / 64 != (looked + files) / 64 {
                progress.report("looking", looked, whole.map_or(0, |(files, _)| files));
            }
            looked += files;
            let Met::Place(place) = met else { return Ok(()) };
            let Some(named) = place.tracked else {
                untracked.push(place.path());
                return Ok(());
            };
            if matches!(named.entry, Entry::Conflict(_)) {
                return Ok(());
            }
            let here = self.look_at(place, &mut rows)?;
            let kind = here.unwrap_or(named.entry).word();
            let (change, from) = match here {
                None => {
                    cache::forget(&mut rows, &place.tracked_path());
                    ("removed", None)
                }
                Some(_) if place.is_moved() => ("renamed", Some(place.tracked_path().to_string())),
                Some(here) if !crate::switching::same_file(&named.entry, &here) => {
                    ("modified", None)
                }
                Some(_) => return Ok(()),
            };
            let path = if here.is_some() { place.path() } else { place.tracked_path() };
            let row = StatusRow { path: path.to_string(), change, kind, from };
            changed.push(((here.is_none(), path.key()), row));
            Ok(())
        })?;
        changed.sort_by(|(a, _), (b, _)| a.cmp(b));
        let changed: Vec<StatusRow> = changed.into_iter().map(|(_, row)| row).collect();
        untracked.sort_by_cached_key(RepoPath::key);
        let untracked = untracked.iter().map(RepoPath::to_string).collect();
        rows.extend(learnt);
        self.workspace.cache(&rows)?;
        let batch = Batch::new(&self.nodes);
        let conflicts: Vec<String> = self
            .conflict_places(&batch, state.staged, &state, head)?
            .iter()
            .map(place_text)
            .collect();
        let findings = match self.merge_bases(&state)? {
            Some(bases) if conflicts.is_empty() => {
                match self.merged_once(&batch, head_tree, &bases, state.staged) {
                    // `commit` says what is wrong with them.
                    Err(RepoError::BadSchemas { .. }) => Vec::new(),
                    findings => findings?,
                }
            }
            _ => Vec::new(),
        };
        let sides = match &state.merging {
            Some(_) => self.sides_merged(&state, head)?,
            None => None,
        };
        let sides = sides.unwrap_or([head_tree; 3]);
        let stale = self.stale_films(&batch, sides, state.staged, &self.noted_films(head)?)?;
        let left_out = self.left_out_of_merge(&batch, &state)?;
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
            left_out,
            findings,
            stale,
        })
    }

    /// What a commit of the staged tree would change.
    pub(crate) fn staged_rows(
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
