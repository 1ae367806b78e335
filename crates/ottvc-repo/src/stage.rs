//! Staging: `add`, `rm`, `mv`. What is staged is a tree, and a commit records it.

mod ahead;
mod taking;

use std::collections::BTreeMap;
use std::path::Path;

use ottvc_object::entry::MAX_FORMER_PATHS;
use ottvc_object::path::PathKey;
use ottvc_object::tree::{PathEdit, edit_paths, walk};
use ottvc_object::{Entry, Name, NamedEntry, RepoPath, TreeId};
use serde::Serialize;

use crate::cache::{self, Rows};
use crate::nodes::Batch;
use crate::scan::{io, lstat};
use crate::schemas::Reform;
use crate::workspace::State;
use crate::{Progress, Repo, RepoError};

/// Changes to a tree, by place.
pub(crate) type Edits = BTreeMap<PathKey, PathEdit>;

/// What `add` did.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Added {
    /// Files and documents looked at.
    pub files: u64,
    /// Tracked files found gone, now staged as removed.
    pub removed: u64,
    /// Bytes of those files, as they lie in the working copy.
    pub logical_bytes: u64,
    /// Bytes read from them; an unchanged file that the stat cache vouches for is not read.
    pub read_bytes: u64,
    /// Chunks not stored before.
    pub new_chunks: u64,
    /// Raw bytes of those chunks, and canonical bytes of new documents.
    pub new_bytes: u64,
    /// What all new content takes on disk.
    pub stored_bytes: u64,
}

impl Repo {
    /// Stores the content of files at and below `paths` and stages them; tracked files that are gone
    /// are staged as removed. Safe to interrupt: what was stored is found when it runs again.
    ///
    /// # Errors
    /// [`RepoError::NoPath`] for a path with nothing there, staged or on disk; nothing is staged then.
    pub fn add(
        &self,
        from: &Path,
        paths: &[String],
        progress: &dyn Progress,
    ) -> Result<Added, RepoError> {
        let mut state = self.state()?;
        let paths = self.repo_paths(from, paths)?;
        let batch = Batch::new(&self.nodes);
        let taken = self.take_in(&mut state, &paths, false, &batch, progress)?;
        self.note_suspects(&mut state, &taken.suspects);
        let mut writer = self.objects.writer()?;
        batch.flush(&mut *writer)?;
        let nodes = writer.finish()?;
        self.save_state(&state, &taken.rows)?;
        Ok(Added { stored_bytes: taken.written.stored_bytes + nodes.stored_bytes, ..taken.added })
    }

    /// Turns paths a user gave into tree paths, each once.
    ///
    /// # Errors
    /// [`RepoError::BadArgument`] for an empty one: a variable that is not set must not pass for the folder.
    pub(crate) fn repo_paths(
        &self,
        from: &Path,
        given: &[String],
    ) -> Result<Vec<RepoPath>, RepoError> {
        if given.iter().any(String::is_empty) {
            return Err(RepoError::BadArgument {
                given: String::new(),
                wanted: "path",
                why: "it is empty; this folder is `.`".into(),
            });
        }
        let mut paths = given
            .iter()
            .map(|path| self.repo_path(from, path))
            .collect::<Result<Vec<RepoPath>, RepoError>>()?;
        paths.sort();
        paths.dedup();
        Ok(paths)
    }

    /// Adds entries to those that may hold conflicts.
    pub(crate) fn note_suspects(&self, state: &mut State, more: &[RepoPath]) {
        state.suspects.extend_from_slice(more);
        state.suspects.sort();
        state.suspects.dedup();
    }

    /// Applies edits to a tree; new nodes go to `batch`.
    pub(crate) fn apply(
        &self,
        tree: TreeId,
        edits: &Edits,
        batch: &Batch<'_>,
    ) -> Result<TreeId, RepoError> {
        let (root, _) = edit_paths(batch, tree, edits, &mut |object| {
            batch.put(object);
            Ok(())
        })?;
        Ok(root)
    }

    /// Visits the entries staged at and below `path` that are no folders.
    pub(crate) fn tracked_below(
        &self,
        tree: TreeId,
        path: &RepoPath,
        visit: &mut dyn FnMut(&RepoPath, &NamedEntry),
    ) -> Result<(), RepoError> {
        let root = if path.is_root() {
            tree
        } else {
            match self.staged_at(tree, path)? {
                Some(NamedEntry { entry: Entry::Tree { id, .. }, .. }) => id,
                Some(named) => {
                    let actual = path.parent().unwrap_or_default().join(&named.name);
                    visit(&actual, &named);
                    return Ok(());
                }
                None => return Ok(()),
            }
        };
        walk(&self.nodes, root, path, &mut |path, named| {
            if !matches!(named.entry, Entry::Tree { .. }) {
                visit(path, named);
            }
            Ok(true)
        })
    }

    /// Whether the working copy has a file of exactly this name, where case counts.
    fn has_name(&self, path: &RepoPath) -> Result<bool, RepoError> {
        let (Some(name), Some(parent)) = (path.name(), path.parent()) else { return Ok(false) };
        let folder = self.disk_path(&parent);
        match std::fs::read_dir(&folder) {
            Ok(mut entries) => {
                Ok(entries.any(|entry| entry.is_ok_and(|entry| entry.file_name() == name.as_str())))
            }
            Err(_) => Ok(false),
        }
    }

    /// The error for a path that nothing has, with paths much like it.
    pub(crate) fn no_path(&self, path: &RepoPath, place: &str) -> RepoError {
        let mut names = Vec::new();
        if let Some(parent) = path.parent() {
            let folder = self.disk_path(&parent);
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten().take(10_000) {
                if let Ok(name) = entry.file_name().into_string()
                    && let Ok(name) = Name::new(&name)
                {
                    names.push(parent.join(&name).to_string());
                }
            }
        }
        RepoError::NoPath {
            path: path.to_string(),
            place: place.to_owned(),
            near: crate::revision::near(&path.to_string(), names.into_iter()),
        }
    }

    /// Removes tracked files at and below `paths` from the working copy and stages that.
    ///
    /// # Errors
    /// [`RepoError::LocalChanges`] if a file differs from the last commit and `force` is not set.
    pub fn remove(
        &self,
        from: &Path,
        paths: &[String],
        keep_files: bool,
        force: bool,
    ) -> Result<Vec<String>, RepoError> {
        let mut state = self.state()?;
        let head_tree = self.head_tree(&state)?;
        let schemas = self.schemas_for_reading(&Batch::new(&self.nodes), state.staged)?;
        let mut rows = Rows::new();
        let mut gone: Vec<(RepoPath, NamedEntry)> = Vec::new();
        for path in self.repo_paths(from, paths)? {
            let before = gone.len();
            self.tracked_below(state.staged, &path, &mut |path, named| {
                gone.push((path.clone(), named.clone()));
            })?;
            if gone.len() == before {
                return Err(self.no_path(&path, "what is tracked"));
            }
        }
        if !keep_files && !force {
            let mut changed = Vec::new();
            for (path, named) in &gone {
                let committed = self.staged_at(head_tree, path)?.map(|named| named.entry);
                // What is gone from disk was removed by whoever deleted it.
                let Some(here) = self.look(path, &[named.entry], &schemas, &mut rows)? else {
                    continue;
                };
                if committed != Some(named.entry) || here != named.entry {
                    changed.push(path.to_string());
                }
            }
            if !changed.is_empty() {
                return Err(RepoError::LocalChanges { paths: changed });
            }
        }
        let mut edits = Edits::new();
        for (path, _) in &gone {
            cache::forget(&mut rows, path);
            edits.insert(path.key(), PathEdit { path: path.clone(), new: None });
        }
        self.save_edits(&mut state, &edits, &rows)?;
        if !keep_files {
            let sink = crate::worktree::Sink::open(&self.root)?;
            for (path, _) in &gone {
                sink.remove(path)?;
            }
        }
        Ok(gone.iter().map(|(path, _)| path.to_string()).collect())
    }

    /// Applies edits to the staged tree and saves the state.
    pub(crate) fn save_edits(
        &self,
        state: &mut State,
        edits: &Edits,
        rows: &Rows,
    ) -> Result<(), RepoError> {
        let batch = Batch::new(&self.nodes);
        state.staged = self.apply(state.staged, edits, &batch)?;
        let mut writer = self.objects.writer()?;
        batch.flush(&mut *writer)?;
        writer.finish()?;
        self.save_state(state, rows)
    }

    /// Renames a tracked file or folder, on disk and staged; the rename is recorded with the entry.
    /// What was renamed on disk already, by hand or before a crash, is only recorded.
    ///
    /// # Errors
    /// [`RepoError::InTheWay`] if the new name is taken, [`RepoError::BadArgument`] if it is the old.
    pub fn rename(
        &self,
        from: &Path,
        old: &str,
        new: &str,
    ) -> Result<Vec<(String, String)>, RepoError> {
        let mut state = self.state()?;
        let old = self.repo_path(from, old)?;
        let mut new = self.repo_path(from, new)?;
        let moved_before = lstat(&self.disk_path(&old))?.is_none();
        let into_folder = lstat(&self.disk_path(&new))?.is_some_and(|it| it.is_dir());
        if into_folder
            && new.key() != old.key()
            && let Some(name) = old.name()
        {
            let inside = new.join(name);
            // A folder that bears the new name may be the old one itself.
            let is_it = moved_before
                && lstat(&self.disk_path(&inside))?.is_none()
                && self.staged_at(state.staged, &new)?.is_none();
            new = if is_it { new } else { inside };
        }
        if new == old {
            return Err(RepoError::BadArgument {
                given: new.to_string(),
                wanted: "new name",
                why: "it is called that already".into(),
            });
        }
        if old.is_root() || new.is_root() || (new.starts_with(&old) && new != old) {
            return Err(RepoError::InTheWay { path: new.to_string() });
        }
        let mut moved = Vec::new();
        self.tracked_below(state.staged, &old, &mut |path, named| {
            moved.push((path.clone(), named.clone()));
        })?;
        if moved.is_empty() {
            return Err(self.no_path(&old, "what is tracked"));
        }
        let case_only = new.key() == old.key();
        let taken = self.staged_at(state.staged, &new)?.is_some()
            || (!moved_before && lstat(&self.disk_path(&new))?.is_some());
        if taken && !case_only {
            return Err(RepoError::InTheWay { path: new.to_string() });
        }
        let mut edits = Edits::new();
        let mut rows = Rows::new();
        let mut renamed = Vec::new();
        let (mut leaving, mut reforms) = (Vec::new(), Vec::new());
        let head = self.head_commit_id(&state)?;
        let head_tree = self.head_tree(&state)?;
        let batch = Batch::new(&self.nodes);
        let disputed = self.conflict_places(&batch, state.staged, &state, head)?;
        let mut suspects = Vec::new();
        let schemas = self.schemas_for_reading(&Batch::new(&self.nodes), state.staged)?;
        for (path, named) in moved {
            let mut target = new.clone();
            for name in path.names().iter().skip(old.names().len()) {
                target = target.join(name);
            }
            cache::forget(&mut rows, &path);
            edits.entry(path.key()).or_insert(PathEdit { path: path.clone(), new: None });
            let mut former = named.former.clone();
            // Back where the last commit has it, it never moved: nobody knows the names between. Unless that has
            // it here, and another file there.
            let was_there = former.iter().any(|before| before.key() == target.key());
            let committed = if was_there { self.staged_at(head_tree, &target)? } else { None };
            let returned = match committed {
                Some(committed)
                    if committed.entry == named.entry
                        || self.staged_at(head_tree, &path)?.is_none() =>
                {
                    Some(committed)
                }
                _ => None,
            };
            if let Some(committed) = returned {
                former = committed.former;
            } else {
                former.push(path.clone());
                former.retain(|before| before.key() != target.key());
                former.sort();
                former.dedup();
                let excess = former.len().saturating_sub(MAX_FORMER_PATHS);
                former.drain(..excess);
            }
            let entry = NamedEntry { former, ..crate::worktree::named(&target, named.entry)? };
            renamed.push((path.to_string(), target.to_string()));
            if disputed.iter().any(|place| place.path == path) {
                suspects.push(target.clone());
            }
            let (from, to) = (schemas.of(&path), schemas.of(&target));
            leaving.extend(Reform::new(&path, named.entry, from, to));
            reforms.extend(Reform::new(&target, named.entry, from, to));
            edits.insert(target.key(), PathEdit { path: target, new: Some(entry) });
        }
        self.note_suspects(&mut state, &suspects);
        self.refuse_leaving(&old)?;
        self.refuse_leaving(&new)?;
        let (from_disk, to_disk) = (self.disk_path(&old), self.disk_path(&new));
        if let Some(parent) = to_disk.parent() {
            std::fs::create_dir_all(parent).map_err(io("make folder", parent))?;
        }
        // Where another schema speaks, it has that one's form once the rename is saved.
        if lstat(&from_disk)?.is_some() {
            self.loosen(&leaving)?;
            std::fs::rename(&from_disk, &to_disk).map_err(io("rename", &from_disk))?;
        } else {
            self.loosen(&reforms)?;
        }
        self.save_edits(&mut state, &edits, &rows)?;
        self.tighten(&reforms)?;
        Ok(renamed)
    }
}
