//! Moving the working copy from one tree to another without losing what is only there.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use ottvc_object::conflict::Term;
use ottvc_object::path::PathKey;
use ottvc_object::tree::{EMPTY_TREE, PathChange, PathEdit, diff_paths};
use ottvc_object::{Entry, RepoPath, TreeId};
use ottvc_refs::{RefName, RefValue};
use serde::Serialize;

use crate::cache::{self, Rows};
use crate::nodes::Batch;
use crate::record::entry_conflict;
use crate::scan::lstat;
use crate::schemas::{Schemas, differ};
use crate::stage::Edits;
use crate::workspace::{Head, State};
use crate::worktree::Sink;
use crate::{Progress, Repo, RepoError};

/// Where the working copy stands after `switch`.
#[derive(Clone, Debug, Serialize)]
pub struct Switched {
    /// The branch, unless on a bare commit.
    pub branch: Option<String>,
    /// The commit, unless the branch has none.
    pub commit: Option<String>,
    /// Files written.
    pub written: u64,
    /// Files removed.
    pub removed: u64,
}

/// What an update of the working copy did.
#[derive(Debug, Default)]
pub(crate) struct Updated {
    pub(crate) rows: Rows,
    pub(crate) written: u64,
    pub(crate) removed: u64,
}

impl Repo {
    /// Moves the working copy to a branch, or with `detach` to any commit. Local changes to files
    /// that are the same on both sides are kept.
    ///
    /// # Errors
    /// [`RepoError::LocalChanges`] if a change would be overwritten, or what is staged about layers lost;
    /// nothing has moved then.
    pub fn switch(
        &self,
        name: &str,
        create: bool,
        detach: bool,
        progress: &dyn Progress,
    ) -> Result<Switched, RepoError> {
        let mut state = self.state()?;
        if let Some(merging) = &state.merging {
            return Err(RepoError::MergeInProgress { theirs: merging.theirs_name.clone() });
        }
        if create {
            return self.switch_to_new(name, state);
        }
        let head_tree = self.head_tree(&state)?;
        let (head, commit) = if detach {
            let id = self.resolve(name)?.id;
            (Head::Detached(id), Some(id))
        } else {
            let branch = self.existing_branch(name)?;
            let commit = self.refs.get(&branch)?.and_then(|value: RefValue| value.target);
            (Head::Branch(branch), commit)
        };
        let target = match commit {
            Some(id) => self.commit(id)?.tree,
            None => EMPTY_TREE,
        };
        self.refuse_lost_layers(&state, commit)?;
        let (staged, mut updated) = self.move_to(&state, head_tree, target, false, progress)?;
        if state.staged != head_tree {
            let noted = self.noted_films(self.head_commit_id(&state)?)?;
            updated.rows.extend(noted.rows_on(commit)?);
        }
        state.head = head;
        state.staged = staged;
        self.save_state(&state, &updated.rows)?;
        Ok(Switched {
            branch: crate::record::branch_name(&state),
            commit: self.head_commit_id(&state)?.map(|id| id.to_string()),
            written: updated.written,
            removed: updated.removed,
        })
    }

    /// Makes a branch where the working copy stands and moves it there: the tree stays the same, so
    /// that nothing moves but the head, in one step with the ref.
    fn switch_to_new(&self, name: &str, mut state: State) -> Result<Switched, RepoError> {
        let commit = self.head_commit_id(&state)?;
        let made = self.new_branch(name, commit, self.new_edition(None, None)?)?;
        state.head = Head::Branch(RefName::branch(name)?);
        self.transact_saving(&state, &Rows::new(), made)?;
        Ok(Switched {
            branch: crate::record::branch_name(&state),
            commit: commit.map(|id| id.to_string()),
            written: 0,
            removed: 0,
        })
    }

    /// Brings the files from tree `old` (what is checked out) to tree `new`, carrying staged changes
    /// along; returns the new staged tree. With `force`, local changes to those files are given up.
    pub(crate) fn move_to(
        &self,
        state: &State,
        old: TreeId,
        new: TreeId,
        force: bool,
        progress: &dyn Progress,
    ) -> Result<(TreeId, Updated), RepoError> {
        let mut changes: BTreeMap<PathKey, PathChange> = BTreeMap::new();
        diff_paths(&self.nodes, old, new, &mut |change| {
            changes.insert(change.path.key(), change.clone());
            Ok(())
        })?;
        let mut carried = Edits::new();
        let mut lost = Vec::new();
        diff_paths(&self.nodes, old, state.staged, &mut |change| {
            let key = change.path.key();
            match changes.get(&key) {
                None => {
                    let new = change.new.as_ref().map(|(_, named)| named.clone());
                    carried.insert(key, PathEdit { path: change.path.clone(), new });
                }
                Some(other) if entry_of(&other.new) == entry_of(&change.new) || force => {}
                Some(_) => lost.push(change.path.to_string()),
            }
            Ok(())
        })?;
        let batch = Batch::new(&self.nodes);
        let before = self.schemas_for_reading(&batch, state.staged)?;
        let mut rows = Rows::new();
        if !force {
            self.find_losses(&changes, &before, &mut rows, &mut lost)?;
        }
        if !lost.is_empty() {
            lost.sort();
            lost.dedup();
            return Err(RepoError::LocalChanges { paths: lost });
        }
        let mut staged = new;
        if !carried.is_empty() {
            staged = self.apply(new, &carried, &batch)?;
            let mut writer = self.objects.writer()?;
            batch.flush(&mut *writer)?;
            writer.finish()?;
        }
        let after = self.schemas_for_reading(&batch, staged)?;
        let updated = self.write_changes(&changes, (&before, &after), rows, progress)?;
        Ok((staged, updated))
    }

    /// Notes every file that the changes would overwrite or remove though it is in neither tree.
    pub(crate) fn find_losses(
        &self,
        changes: &BTreeMap<PathKey, PathChange>,
        schemas: &Schemas,
        rows: &mut Rows,
        lost: &mut Vec<String>,
    ) -> Result<(), RepoError> {
        let goes = |key: &PathKey| changes.get(key).is_some_and(|change| change.old.is_some());
        let mut checked = HashSet::new();
        for change in changes.values() {
            let batch = Batch::new(&self.nodes);
            for (path, _) in change.old.iter().chain(&change.new) {
                let expected: Vec<Entry> =
                    [entry_of(&change.old), entry_of(&change.new)].into_iter().flatten().collect();
                if let Some(here) = self.look_unless_blocked(path, &expected, schemas, rows)?
                    && !self.holds(&batch, entry_of(&change.old), here)?
                    && !self.holds(&batch, entry_of(&change.new), here)?
                {
                    lost.push(path.to_string());
                }
            }
            let Some((path, _)) = &change.new else { continue };
            // A folder where the file should be: only what goes may be in it.
            if lstat(&self.disk_path(path))?.is_some_and(|it| it.is_dir()) {
                for file in self.files_below(path)? {
                    if !goes(&file.key()) {
                        lost.push(file.to_string());
                    }
                }
            }
            // A file where a folder should be: it must be one that goes.
            let mut above = path.parent();
            while let Some(folder) = above.filter(|folder| !folder.is_root()) {
                if !checked.insert(folder.key()) {
                    break;
                }
                if lstat(&self.disk_path(&folder))?.is_some_and(|it| !it.is_dir())
                    && !goes(&folder.key())
                {
                    return Err(RepoError::InTheWay { path: folder.to_string() });
                }
                above = folder.parent();
            }
        }
        Ok(())
    }

    /// As [`Repo::look`], but a link in the way means there is nothing of ours behind it.
    pub(crate) fn look_unless_blocked(
        &self,
        path: &RepoPath,
        expected: &[Entry],
        schemas: &Schemas,
        rows: &mut Rows,
    ) -> Result<Option<Entry>, RepoError> {
        match self.look(path, expected, schemas, rows) {
            Err(RepoError::InTheWay { .. }) => Ok(None),
            other => other,
        }
    }

    /// Whether a file that looks like `here` is accounted for by `entry`: it is it, or one of the
    /// sides of a conflict.
    pub(crate) fn holds(
        &self,
        batch: &Batch<'_>,
        entry: Option<Entry>,
        here: Entry,
    ) -> Result<bool, RepoError> {
        let Some(entry) = entry else { return Ok(false) };
        if same_file(&entry, &here) {
            return Ok(true);
        }
        let conflict = entry_conflict(batch, &entry)?;
        Ok(conflict.is_some_and(|conflict| {
            conflict
                .terms
                .as_slice()
                .iter()
                .any(|term| matches!(term, Term::Value(side) if same_file(side, &here)))
        }))
    }

    /// Removes and writes files as the changes say, documents as plain as the schemas `after` allow; with
    /// their tags where those of `before` do not: they are read under these until the state is saved.
    pub(crate) fn write_changes(
        &self,
        changes: &BTreeMap<PathKey, PathChange>,
        (before, after): (&Schemas, &Arc<Schemas>),
        rows: Rows,
        progress: &dyn Progress,
    ) -> Result<Updated, RepoError> {
        let mut updated = Updated { rows, ..Updated::default() };
        let sink = Sink::open(&self.root)?.under(after);
        let tagged = Sink::open(&self.root)?;
        sink.sweep(
            changes.values().filter_map(|change| change.new.as_ref()).map(|(path, _)| path),
        )?;
        for change in changes.values() {
            if let Some((path, _)) = &change.old
                && change.new.as_ref().is_none_or(|(new, _)| new != path)
            {
                sink.remove(path)?;
                cache::forget(&mut updated.rows, path);
                updated.removed += 1;
            }
        }
        let total = changes.values().filter_map(|it| entry_of(&it.new)).map(bytes_of).sum();
        let mut done = 0;
        let batch = Batch::new(&self.nodes);
        for change in changes.values() {
            let Some((path, named)) = &change.new else { continue };
            progress.report("writing", done, total);
            done += bytes_of(named.entry);
            // Where a merge left a conflict, the file stays as our side has it.
            let entry = match entry_conflict(&batch, &named.entry)? {
                None => named.entry,
                Some(conflict) => match conflict.terms.adds().next() {
                    Some(Term::Value(entry)) if !matches!(entry, Entry::Tree { .. }) => *entry,
                    _ => {
                        sink.remove(path)?;
                        continue;
                    }
                },
            };
            let expected: Vec<Entry> = entry_of(&change.old).into_iter().chain([entry]).collect();
            let here = self.look_unless_blocked(path, &expected, before, &mut Rows::new())?;
            let same_form = !differ(before.of(path), after.of(path));
            if here.is_some_and(|here| here == entry) && same_form {
                continue;
            }
            let sink = if same_form { &sink } else { &tagged };
            let facts = sink.put(&*self.objects, path, &entry)?;
            let staged = entry == named.entry;
            cache::note_written(&mut updated.rows, path, &facts, (entry, staged))?;
            updated.written += 1;
        }
        Ok(updated)
    }
}

/// What a side of a change has, without its name.
fn entry_of(side: &Option<(RepoPath, ottvc_object::NamedEntry)>) -> Option<Entry> {
    side.as_ref().map(|(_, named)| named.entry)
}

/// How many bytes an entry takes in the working copy, nearly.
fn bytes_of(entry: Entry) -> u64 {
    entry.totals().bytes
}

/// Whether a file on disk that reads as `here` is `entry`. Where the system has no executable bit,
/// that bit does not count.
pub(crate) fn same_file(entry: &Entry, here: &Entry) -> bool {
    if cfg!(unix) {
        return entry == here;
    }
    match (entry, here) {
        (Entry::File(a), Entry::File(b)) => a.content == b.content,
        _ => entry == here,
    }
}
