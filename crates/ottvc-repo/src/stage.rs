//! Staging: `add`, `rm`, `mv`. What is staged is a tree, and a commit records it.

mod ahead;

use std::collections::BTreeMap;
use std::path::Path;

use ottvc_object::entry::MAX_FORMER_PATHS;
use ottvc_object::path::PathKey;
use ottvc_object::tree::{PathEdit, edit_paths, walk};
use ottvc_object::{Entry, FileEntry, FileMode, Name, NamedEntry, RepoPath, TreeId};
use ottvc_store::StoreWriter;
use serde::Serialize;

use crate::ingest::{Ingest, IngestOptions, Ingested};
use crate::nodes::Batch;
use crate::scan::{Found, io, link_target, lstat, mode_of, push_row};
use crate::workspace::{CacheRow, Rows, State, row_key};
use crate::{Progress, Repo, RepoError};
use ahead::{Ahead, Content, Ready};

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

/// Everything one staging step learnt, before it is saved.
#[derive(Debug, Default)]
pub(crate) struct Staged {
    pub(crate) edits: Edits,
    pub(crate) rows: Rows,
    pub(crate) suspects: Vec<RepoPath>,
    pub(crate) added: Added,
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
        let mut writer = self.objects.writer()?;
        let staged = self.stage_paths(&state, &paths, false, &mut *writer, progress)?;
        let batch = Batch::new(&self.nodes);
        state.staged = self.apply(state.staged, &staged.edits, &batch)?;
        self.note_suspects(&mut state, &staged.suspects);
        batch.flush(&mut *writer)?;
        let written = writer.finish()?;
        self.save_state(&state, &staged.rows)?;
        Ok(Added { stored_bytes: written.stored_bytes, ..staged.added })
    }

    /// Turns paths a user gave into tree paths, each once.
    pub(crate) fn repo_paths(
        &self,
        from: &Path,
        given: &[String],
    ) -> Result<Vec<RepoPath>, RepoError> {
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

    /// Reads what lies at and below `paths`, stores content that is new, and says how the staged
    /// tree would change. With `tracked_only`, files not staged so far are passed over.
    pub(crate) fn stage_paths(
        &self,
        state: &State,
        paths: &[RepoPath],
        tracked_only: bool,
        writer: &mut dyn StoreWriter,
        progress: &dyn Progress,
    ) -> Result<Staged, RepoError> {
        let mut staged = Staged::default();
        let mut files: BTreeMap<PathKey, (Found, Option<NamedEntry>)> = BTreeMap::new();
        for path in paths {
            let mut found = self.find_files(path)?;
            let mut tracked = BTreeMap::new();
            self.tracked_below(state.staged, path, &mut |path, named| {
                tracked.insert(path.key(), (path.clone(), named.clone()));
            })?;
            found.extend(self.tracked_but_ignored(&found, &tracked)?);
            if found.is_empty() && tracked.is_empty() && !path.is_root() {
                return Err(self.no_path(path, "the working copy"));
            }
            for file in found {
                let old = tracked.remove(&file.path.key());
                if tracked_only && old.is_none() {
                    continue;
                }
                // Naming a folder settles no conflict; naming the very file does.
                let conflicted = old
                    .as_ref()
                    .is_some_and(|(_, named)| matches!(named.entry, Entry::Conflict(_)));
                if conflicted && file.path != *path {
                    continue;
                }
                if let Some((before, _)) = &old
                    && *before != file.path
                    && self.has_name(before)?
                {
                    return Err(RepoError::Collision {
                        first: before.to_string(),
                        second: file.path.to_string(),
                    });
                }
                files.insert(file.path.key(), (file, old.map(|(_, named)| named)));
            }
            for (key, (gone, named)) in tracked {
                // A conflict may have no file; only naming it settles it.
                if matches!(named.entry, Entry::Conflict(_)) && gone != *path {
                    continue;
                }
                staged.rows.push((row_key(&gone), None));
                staged.added.removed += 1;
                staged.edits.insert(key, PathEdit { path: gone, new: None });
            }
        }
        self.store_files(files, writer, progress, &mut staged)?;
        Ok(staged)
    }

    /// Stores the content of files and notes the edits they make.
    fn store_files(
        &self,
        files: BTreeMap<PathKey, (Found, Option<NamedEntry>)>,
        writer: &mut dyn StoreWriter,
        progress: &dyn Progress,
        staged: &mut Staged,
    ) -> Result<(), RepoError> {
        let total: u64 = files.values().map(|(file, _)| file.facts.len).sum();
        let options = IngestOptions { rule: self.rule, jobs: self.jobs };
        // What the cache says is stored may be what is damaged: read again, the same bytes mend it.
        let trusts_cache = !self.objects.is_damaged();
        let mut known = Vec::with_capacity(files.len());
        for (file, old) in files.values() {
            let row = self.cache_row(&file.path)?;
            let row = row.filter(|row| trusts_cache && row.stored && row.vouches(&file.facts));
            // What is staged is there. Anything else the store had once, and may have collected.
            let staged_so = |entry| old.as_ref().is_some_and(|old| old.entry == entry);
            known.push(match row {
                Some(row) if staged_so(row.entry) || self.is_stored(row.entry)? => Some(row.entry),
                _ => None,
            });
        }
        let short = files.values().zip(&known).filter_map(|((file, _), known)| {
            (known.is_none() && ahead::is_short(file)).then_some(file)
        });
        let mut store = Storing { repo: self, writer, options, staged, progress, done: 0, total };
        let mut edits = Vec::new();
        std::thread::scope(|scope| {
            let mut ahead = Ahead::start(scope, self, &store.options, short)?;
            for ((key, (file, old)), known) in files.iter().zip(&known) {
                let entry = match known {
                    Some(entry) => *entry,
                    None => store.file(file, &mut ahead)?,
                };
                store.count(file);
                let named = NamedEntry {
                    former: old.as_ref().map(|old| old.former.clone()).unwrap_or_default(),
                    ..crate::worktree::named(&file.path, entry)?
                };
                if old.as_ref() != Some(&named) {
                    let edit = PathEdit { path: file.path.clone(), new: Some(named) };
                    edits.push((key.clone(), edit));
                }
            }
            Ok::<(), RepoError>(())
        })?;
        staged.edits.extend(edits);
        Ok(())
    }

    /// Whether the store has what an entry names.
    fn is_stored(&self, entry: Entry) -> Result<bool, RepoError> {
        match entry {
            Entry::File(file) => match self.objects.manifest_of(file.content)? {
                Some(id) => Ok(self.objects.contains(&[id])? == [true]),
                None => Ok(crate::content::is_kept(&*self.objects, file.content)?),
            },
            Entry::Document { id, .. } => Ok(self.objects.contains(&[id.into()])? == [true]),
            Entry::Tree { .. } | Entry::Conflict(_) => Ok(false),
        }
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
                let here = self.look(path, &mut rows)?;
                if committed != Some(named.entry) || here.is_some_and(|here| here != named.entry) {
                    changed.push(path.to_string());
                }
            }
            if !changed.is_empty() {
                return Err(RepoError::LocalChanges { paths: changed });
            }
        }
        let mut edits = Edits::new();
        for (path, _) in &gone {
            rows.push((row_key(path), None));
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
        for (path, named) in moved {
            let mut target = new.clone();
            for name in path.names().iter().skip(old.names().len()) {
                target = target.join(name);
            }
            rows.push((row_key(&path), None));
            edits.entry(path.key()).or_insert(PathEdit { path: path.clone(), new: None });
            let mut former = named.former.clone();
            former.push(path.clone());
            former.retain(|before| before.key() != target.key());
            former.sort();
            former.dedup();
            let excess = former.len().saturating_sub(MAX_FORMER_PATHS);
            former.drain(..excess);
            let entry = NamedEntry { former, ..crate::worktree::named(&target, named.entry)? };
            renamed.push((path.to_string(), target.to_string()));
            edits.insert(target.key(), PathEdit { path: target, new: Some(entry) });
        }
        self.refuse_leaving(&old)?;
        self.refuse_leaving(&new)?;
        let (from_disk, to_disk) = (self.disk_path(&old), self.disk_path(&new));
        if let Some(parent) = to_disk.parent() {
            std::fs::create_dir_all(parent).map_err(io("make folder", parent))?;
        }
        if lstat(&from_disk)?.is_some() {
            std::fs::rename(&from_disk, &to_disk).map_err(io("rename", &from_disk))?;
        }
        self.save_edits(&mut state, &edits, &rows)?;
        Ok(renamed)
    }
}

/// One pass of storing files, in order.
struct Storing<'a> {
    repo: &'a Repo,
    writer: &'a mut dyn StoreWriter,
    options: IngestOptions,
    staged: &'a mut Staged,
    progress: &'a dyn Progress,
    /// Bytes of the files before this one, of all.
    done: u64,
    total: u64,
}

impl Storing<'_> {
    /// Counts a file that is stored.
    fn count(&mut self, file: &Found) {
        self.staged.added.files += 1;
        self.staged.added.logical_bytes += file.facts.len;
        self.done += file.facts.len;
        self.progress.report("adding", self.done, self.total);
    }

    /// Stores one file that the cache does not vouch for, remembers what it held and returns its entry.
    fn file(&mut self, file: &Found, ahead: &mut Ahead<'_>) -> Result<Entry, RepoError> {
        let ready = if ahead::is_short(file) { ahead.next().transpose()? } else { None };
        let (noted, entry) = match ready {
            Some(Ready { noted, content: Content::Document(object, has_conflict) }) => {
                if has_conflict {
                    self.staged.suspects.push(file.path.clone());
                }
                let len = object.bytes().len() as u64;
                self.staged.added.read_bytes += file.facts.len;
                if self.writer.put(&object)? {
                    self.staged.added.new_bytes += len;
                }
                (noted, Entry::Document { id: object.id().into(), len })
            }
            Some(Ready { noted, content: Content::File(prepared) }) => {
                let ingested = self.ingest().put(prepared)?;
                (noted, self.entry(file, &ingested))
            }
            Some(Ready { content: Content::Long, .. }) | None => {
                let noted = self.repo.now();
                (noted, self.long(file)?)
            }
        };
        let row = CacheRow { facts: file.facts.clone(), entry, stored: true, noted };
        push_row(&mut self.staged.rows, &file.path, &row)?;
        Ok(entry)
    }

    fn ingest(&mut self) -> Ingest<'_> {
        Ingest::new(&*self.repo.objects, self.writer, self.options.clone())
    }

    /// Stores a file of any length, or a link, from where it lies.
    fn long(&mut self, file: &Found) -> Result<Entry, RepoError> {
        let disk = self.repo.disk_path(&file.path);
        let (progress, base, total) = (self.progress, self.done, self.total);
        let report = move |bytes| progress.report("adding", base + bytes, total);
        if file.facts.symlink {
            let target = link_target(&disk)?;
            let ingested = self.ingest().file(target.as_slice(), &report)?;
            return Ok(Entry::File(FileEntry {
                content: ingested.content,
                len: ingested.len,
                mode: FileMode::Symlink,
            }));
        }
        let source = std::fs::File::open(&disk).map_err(io("open", &disk))?;
        let ingested = self.ingest().file(source, &report)?;
        Ok(self.entry(file, &ingested))
    }

    /// Counts what storing bytes did, and returns the entry for them.
    fn entry(&mut self, file: &Found, ingested: &Ingested) -> Entry {
        self.staged.added.read_bytes += ingested.len;
        self.staged.added.new_chunks += ingested.new_chunks;
        self.staged.added.new_bytes += ingested.new_bytes;
        Entry::File(FileEntry {
            content: ingested.content,
            len: ingested.len,
            mode: mode_of(&file.facts),
        })
    }
}
