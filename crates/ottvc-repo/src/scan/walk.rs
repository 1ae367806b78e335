//! Reading folders, of the tree and on disk, on all cores.
//!
//! Each folder is a task: list it, look at its files, and put them beside what is tracked there. A
//! worker goes depth first, as the reader does, and gives away what it would come to last when
//! another has nothing to do. Of a folder that its row vouches for, only names and facts are looked at. What was read waits for the reader, some hundred bytes a file.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::DirEntry;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use ottvc_object::path::{MAX_PATH_BYTES, MAX_PATH_DEPTH};
use ottvc_object::tree::for_each;
use ottvc_object::{Entry, Name, NamedEntry, ObjectError, RepoPath, TreeId};

use super::look::Looker;
use super::rules::Rules;
use super::{IGNORE_FILE, REPO_FOLDER, facts, io, lstat, path_of};
use crate::cache::{FileFacts, FolderRows, RowReader, folder_key, push_folder};
use crate::worktree::is_temporary;
use crate::{Repo, RepoError};

/// A worker hands over what it has read after this many folders.
const HAND_OVER: usize = 32;

/// A file, or what is tracked where there is none.
#[derive(Debug)]
pub(super) struct Spot {
    /// As it is on disk, if it is there.
    pub(super) name: Name,
    pub(super) facts: Option<FileFacts>,
    pub(super) tracked: Option<Box<NamedEntry>>,
}

/// A folder inside another.
#[derive(Debug)]
pub(super) struct Below {
    pub(super) name: Name,
    /// As the tree spells it, where that differs.
    pub(super) tracked: Option<Name>,
    pub(super) id: usize,
}

/// A folder, read: both lists by key.
#[derive(Debug, Default)]
pub(super) struct Folder {
    /// Its files and their bytes, where a row vouches for all of it: nothing else is known of it then.
    pub(super) same: Option<(u64, u64)>,
    /// What is staged there.
    pub(super) tree: Option<TreeId>,
    /// Whether it is spelled on disk as in the tree.
    pub(super) is_spelled: bool,
    /// Whether the lists have all that is on disk, what is ignored among it, as far as that was looked for.
    pub(super) is_all: bool,
    pub(super) spots: Vec<Spot>,
    pub(super) below: Vec<Below>,
}

/// How to learn what is on disk in a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// By listing it.
    List,
    /// By looking at what is tracked there, one by one.
    Stat,
    /// Nothing is.
    Gone,
}

/// A folder to read.
#[derive(Debug)]
struct Task {
    id: usize,
    disk: PathBuf,
    look: Look,
    tree: Option<TreeId>,
    rules: Option<Arc<Rules>>,
    depth: usize,
    /// The key of its row.
    key: Vec<u8>,
    /// Whether it is spelled on disk as in the tree, and so is every folder it lies in.
    is_spelled: bool,
}

/// What was met on disk under a name.
#[derive(Debug)]
enum Met {
    File(FileFacts),
    Folder,
}

/// What a worker keeps from folder to folder.
struct Memory<'w> {
    rows: FolderRows<'w>,
    looker: Looker,
}

/// Folders being read, from one down.
#[derive(Debug)]
pub(super) struct Walk<'r> {
    repo: &'r Repo,
    /// Whether files that are not tracked are passed over.
    tracked_only: bool,
    /// Whether folders' rows are believed.
    trusts_rows: bool,
    workers: usize,
    shared: Mutex<Shared>,
    work: Condvar,
    news: Condvar,
    /// Workers that wait for work.
    hungry: AtomicUsize,
    ids: AtomicUsize,
    files: AtomicU64,
    bytes: AtomicU64,
}

#[derive(Debug, Default)]
struct Shared {
    tasks: Vec<Task>,
    read: HashMap<usize, Result<Folder, RepoError>>,
    waiting: usize,
    /// All is read, or the reader has gone.
    over: bool,
}

impl<'r> Walk<'r> {
    /// The walk from the folder at `disk` and the folder `tree`, which has the id 0.
    pub(super) fn new(
        repo: &'r Repo,
        (tracked_only, trusts_rows): (bool, bool),
        (disk, look): (PathBuf, Look),
        tree: Option<TreeId>,
        (path, is_spelled): (&RepoPath, bool),
    ) -> Self {
        let rules = if look == Look::List { Rules::above(&disk) } else { None };
        let (depth, key) = (path.names().len(), folder_key(path));
        let first = Task { id: 0, disk, look, tree, rules, depth, key, is_spelled };
        Self {
            repo,
            tracked_only,
            trusts_rows,
            workers: repo.jobs.max(1),
            shared: Mutex::new(Shared { tasks: vec![first], ..Shared::default() }),
            work: Condvar::new(),
            news: Condvar::new(),
            hungry: AtomicUsize::new(0),
            ids: AtomicUsize::new(1),
            files: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        }
    }

    /// How many threads are to run [`Walk::run`].
    pub(super) fn workers(&self) -> usize {
        self.workers
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many files were met, and how long they are together; `None` until that is all.
    pub(super) fn whole(&self) -> Option<(u64, u64)> {
        let over = self.hungry.load(Ordering::Acquire) == self.workers;
        over.then(|| (self.files.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed)))
    }

    /// Waits for a folder and hands it out, once; `None` if whoever read it has died.
    pub(super) fn take(&self, id: usize) -> Option<Result<Folder, RepoError>> {
        let mut shared = self.shared();
        loop {
            if let Some(folder) = shared.read.remove(&id) {
                return Some(folder);
            }
            if shared.over {
                return None;
            }
            shared = self.news.wait(shared).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Ends the walk early.
    pub(super) fn stop(&self) {
        self.shared().over = true;
        self.work.notify_all();
        self.news.notify_all();
    }

    /// Reads folders until none are left: the work of one thread.
    pub(super) fn run(&self) {
        // Whoever waits for what a dying thread would have read must not wait for ever.
        struct Stop<'w, 'r>(&'w Walk<'r>);
        impl Drop for Stop<'_, '_> {
            fn drop(&mut self) {
                if std::thread::panicking() {
                    self.0.stop();
                }
            }
        }
        let _stop = Stop(self);
        let mut own: Vec<Task> = Vec::new();
        let mut read = Vec::new();
        let rows = FolderRows::new(RowReader::new(&*self.repo.workspace));
        let mut memory = Memory { rows, looker: Looker::default() };
        while let Some(task) = own.pop().or_else(|| self.next(&mut read)) {
            let id = task.id;
            let folder = self.folder(task, &mut memory).map(|(folder, mut below)| {
                below.reverse();
                own.append(&mut below);
                folder
            });
            read.push((id, folder));
            let gives = own.len() > 1 && self.hungry.load(Ordering::Relaxed) > 0;
            if gives || read.len() >= HAND_OVER {
                let mut shared = self.shared();
                shared.read.extend(read.drain(..));
                if gives {
                    // What lies at the bottom comes last.
                    shared.tasks.extend(own.drain(..own.len() / 2));
                    self.work.notify_one();
                }
                let over = shared.over;
                drop(shared);
                self.news.notify_one();
                if over {
                    return;
                }
            }
        }
    }

    /// Hands over what was read and waits for more to do.
    fn next(&self, read: &mut Vec<(usize, Result<Folder, RepoError>)>) -> Option<Task> {
        let mut shared = self.shared();
        shared.read.extend(read.drain(..));
        self.news.notify_one();
        shared.waiting += 1;
        self.hungry.store(shared.waiting, Ordering::Release);
        loop {
            if shared.over {
                return None;
            }
            if let Some(task) = shared.tasks.pop() {
                shared.waiting -= 1;
                self.hungry.store(shared.waiting, Ordering::Release);
                return Some(task);
            }
            if shared.waiting == self.workers {
                shared.over = true;
                self.work.notify_all();
                self.news.notify_one();
                return None;
            }
            shared = self.work.wait(shared).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Reads one folder; returns it, and those inside as tasks in the same order.
    fn folder(
        &self,
        task: Task,
        memory: &mut Memory<'_>,
    ) -> Result<(Folder, Vec<Task>), RepoError> {
        let mut listed = match task.look {
            Look::List => Some(entries(&task.disk, task.rules.clone())?),
            Look::Stat | Look::Gone => None,
        };
        if let Some(same) =
            self.unchanged(&task, listed.as_ref().map(|(found, _)| found), memory)?
        {
            self.count(same);
            return Ok((Folder { same: Some(same), ..Folder::default() }, Vec::new()));
        }
        let mut there = listed.as_ref().map(|(found, _)| found.len());
        let mut tracked = Vec::new();
        if let Some(tree) = task.tree {
            for_each(&self.repo.nodes, tree, &mut |entry| {
                tracked.push(entry.clone());
                Ok::<(), RepoError>(())
            })?;
        }
        let (met, rules, listed) = match task.look {
            Look::Gone => (Vec::new(), None, false),
            Look::List => {
                let (met, rules) = self.list(&task, listed.take().unwrap_or_default())?;
                (met, rules, true)
            }
            Look::Stat => {
                let met = stat(&task.disk, &tracked)?;
                if met.len() == tracked.len() || !self.tracked_only {
                    (met, None, false)
                } else {
                    // Something is gone, or called by a name that differs in case.
                    let found = entries(&task.disk, task.rules.clone())?;
                    there = Some(found.0.len());
                    (self.list(&task, found)?.0, None, true)
                }
            }
        };
        let folder = Folder { tree: task.tree, is_spelled: task.is_spelled, ..Folder::default() };
        let mut out = Sides { walk: self, task, rules, listed, folder, tasks: Vec::new() };
        let (mut met, mut tracked) = (met.into_iter().peekable(), tracked.into_iter().peekable());
        loop {
            let order = match (met.peek(), tracked.peek()) {
                (None, None) => break,
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some((name, _)), Some(entry)) => name.folded().cmp(&entry.name.folded()),
            };
            let met = if order.is_le() { met.next() } else { None };
            let tracked = if order.is_ge() { tracked.next() } else { None };
            out.place(met, tracked)?;
        }
        let Sides { mut folder, tasks, .. } = out;
        folder.is_all = there.is_none_or(|there| there == folder.spots.len());
        let facts = folder.spots.iter().filter_map(|spot| spot.facts);
        self.count(facts.fold((0, 0), |(files, bytes), it| (files + 1, bytes + it.len)));
        Ok((folder, tasks))
    }

    fn count(&self, (files, bytes): (u64, u64)) {
        self.files.fetch_add(files, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Whether a folder is as its row remembers it, and that is what is staged: then its files and their
    /// bytes. `listed` is what is in it, if it was listed.
    fn unchanged(
        &self,
        task: &Task,
        listed: Option<&Entries>,
        memory: &mut Memory<'_>,
    ) -> Result<Option<(u64, u64)>, RepoError> {
        let (true, Some(tree)) = (self.trusts_rows && task.is_spelled, task.tree) else {
            return Ok(None);
        };
        if task.look == Look::Gone || listed.is_some_and(|listed| listed.is_empty()) {
            return Ok(None);
        }
        let Some(row) = memory.rows.find(&task.key)?.filter(|row| row.tree == tree) else {
            return Ok(None);
        };
        let mut all = Vec::new();
        match listed {
            Some(listed) => {
                let mut sorted = Vec::with_capacity(listed.len());
                for (entry, is_folder) in listed {
                    if *is_folder {
                        return Ok(None);
                    }
                    sorted.push((entry.file_name(), entry));
                }
                sorted.sort_by(|(a, _), (b, _)| a.cmp(b));
                let mut names = row.names();
                if !sorted.iter().all(|(name, _)| names.next().is_some_and(|is| name == is)) {
                    return Ok(None);
                }
                for (_, entry) in sorted {
                    match entry.metadata() {
                        Ok(found) if found.is_file() || found.is_symlink() => {
                            all.push(facts(&found));
                        }
                        // What is wrong here is told when it is looked at file by file.
                        _ => return Ok(None),
                    }
                }
            }
            None => {
                for name in row.names() {
                    match memory.looker.facts(&task.disk, name) {
                        Some(facts) => all.push(facts),
                        None => return Ok(None),
                    }
                }
            }
        }
        let whole = || (all.len() as u64, all.iter().map(|facts| facts.len).sum());
        Ok(row.vouches(&all).then(whole))
    }

    /// Sorts what a folder has: what is not left out, by key, and the rules that count in it.
    fn list(
        &self,
        task: &Task,
        (entries, rules): (Entries, Option<Arc<Rules>>),
    ) -> Result<(Vec<(Name, Met)>, Option<Arc<Rules>>), RepoError> {
        let mut met = Vec::with_capacity(entries.len());
        for (entry, is_folder) in entries {
            let file_name = entry.file_name();
            let at = task.disk.join(&file_name);
            if rules.as_ref().is_some_and(|rules| rules.ignore(&at, is_folder)) {
                continue;
            }
            let name = match self.name(task, &at, &file_name) {
                Ok(name) => name,
                Err(_) if self.tracked_only || (is_folder && !holds_files(&at, &rules)?) => {
                    continue;
                }
                Err(error) => return Err(error),
            };
            if is_folder {
                met.push((name, Met::Folder));
                continue;
            }
            match entry.metadata() {
                Ok(found) if found.is_file() || found.is_symlink() => {
                    met.push((name, Met::File(facts(&found))));
                }
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(io("look at", at)(error)),
            }
        }
        // Twins too have one order on all systems, whatever theirs is.
        met.sort_by(|(a, _), (b, _)| {
            a.folded().cmp(&b.folded()).then_with(|| a.as_str().cmp(b.as_str()))
        });
        let mut kept: Vec<(Name, Met)> = Vec::with_capacity(met.len());
        for (name, one) in met {
            // Of twins one may hold nothing: it counts for nothing beside the other.
            if let Some((before, other)) = kept.last()
                && before.folded() == name.folded()
            {
                if !holds_some(&task.disk, &name, &one, &rules)? {
                    continue;
                }
                if holds_some(&task.disk, before, other, &rules)? {
                    let text = |name: &Name| self.words(&task.disk.join(name.as_str()));
                    let (first, second) = (text(before), text(&name));
                    return Err(RepoError::Collision { first, second });
                }
                kept.pop();
            }
            kept.push((name, one));
        }
        Ok((kept, rules))
    }

    /// The name of something in a folder.
    fn name(&self, task: &Task, at: &Path, file_name: &OsStr) -> Result<Name, RepoError> {
        let relative = at.strip_prefix(&self.repo.root).unwrap_or(at);
        let long = relative.as_os_str().len() > MAX_PATH_BYTES || task.depth >= MAX_PATH_DEPTH;
        let name = file_name.to_str().map(Name::new);
        match name {
            Some(Ok(name)) if !long => Ok(name),
            // Its whole path says what is wrong with it.
            _ => path_of(relative).and_then(|path| {
                path.name().cloned().ok_or_else(|| {
                    let (path, why) = (self.words(at), "a name is empty");
                    ObjectError::BadPath { path, why }.into()
                })
            }),
        }
    }

    /// A path for messages.
    fn words(&self, disk: &Path) -> String {
        disk.strip_prefix(&self.repo.root).unwrap_or(disk).display().to_string()
    }
}

/// What a folder has, and whether each is a folder itself.
type Entries = Vec<(DirEntry, bool)>;

/// Lists a folder but for what belongs to version stores and half-written files; returns with it the
/// rules that count there. Nothing, if it has gone.
fn entries(
    disk: &Path,
    above: Option<Arc<Rules>>,
) -> Result<(Entries, Option<Arc<Rules>>), RepoError> {
    let (mut found, mut has_rules) = (Vec::new(), false);
    let list = match std::fs::read_dir(disk) {
        Ok(list) => list,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok((found, above));
        }
        Err(error) => return Err(io("list", disk)(error)),
    };
    for entry in list {
        let entry = entry.map_err(io("list", disk))?;
        let name = entry.file_name();
        if name == REPO_FOLDER || name == ".git" {
            continue;
        }
        let is_folder =
            entry.file_type().map_err(|error| io("look at", entry.path())(error))?.is_dir();
        if !is_folder && is_temporary(&name) {
            continue;
        }
        has_rules |= !is_folder && name == IGNORE_FILE;
        found.push((entry, is_folder));
    }
    let rules = if has_rules { Rules::with(above, disk) } else { above };
    Ok((found, rules))
}

/// Whether a folder has a file in it or below that is not left out.
fn holds_files(disk: &Path, rules: &Option<Arc<Rules>>) -> Result<bool, RepoError> {
    let (entries, rules) = entries(disk, rules.clone())?;
    for (entry, is_folder) in entries {
        let at = entry.path();
        let ignored = rules.as_ref().is_some_and(|rules| rules.ignore(&at, is_folder));
        if !ignored && (!is_folder || holds_files(&at, &rules)?) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn holds_some(
    disk: &Path,
    name: &Name,
    met: &Met,
    rules: &Option<Arc<Rules>>,
) -> Result<bool, RepoError> {
    match met {
        Met::File(_) => Ok(true),
        Met::Folder => holds_files(&disk.join(name.as_str()), rules),
    }
}

/// Looks for what is tracked in a folder; what is not there is left out.
fn stat(disk: &Path, tracked: &[NamedEntry]) -> Result<Vec<(Name, Met)>, RepoError> {
    let mut met = Vec::with_capacity(tracked.len());
    let mut at = disk.to_path_buf();
    for entry in tracked {
        at.push(entry.name.as_str());
        if let Some(found) = lstat(&at)? {
            let is = if found.is_dir() { Met::Folder } else { Met::File(facts(&found)) };
            met.push((entry.name.clone(), is));
        }
        at.pop();
    }
    Ok(met)
}

/// Puts what was met beside what is tracked.
struct Sides<'w, 'r> {
    walk: &'w Walk<'r>,
    task: Task,
    rules: Option<Arc<Rules>>,
    /// Whether all that is on disk was met, but for what is ignored.
    listed: bool,
    folder: Folder,
    tasks: Vec<Task>,
}

impl Sides<'_, '_> {
    /// Takes what was met and what is tracked under one key; at least one of them.
    fn place(
        &mut self,
        met: Option<(Name, Met)>,
        tracked: Option<NamedEntry>,
    ) -> Result<(), RepoError> {
        let (tree, leaf) = match tracked {
            Some(NamedEntry { name, entry: Entry::Tree { id, .. }, .. }) => {
                (Some((name, id)), None)
            }
            leaf => (None, leaf),
        };
        let wanted = !self.walk.tracked_only;
        match met {
            Some((name, Met::File(facts))) => {
                if wanted || leaf.is_some() {
                    self.spot(name, Some(facts), leaf);
                }
                if let Some((name, id)) = tree {
                    self.below(name, None, Look::Gone, Some(id));
                }
            }
            Some((name, Met::Folder)) => {
                if let Some(leaf) = leaf {
                    self.spot(leaf.name.clone(), None, Some(leaf));
                }
                if wanted || tree.is_some() {
                    // Whoever looks for what is tracked needs no list of the rest.
                    let list = self.task.look == Look::List && wanted;
                    let look = if list { Look::List } else { Look::Stat };
                    let (spelled, id) = tree.unzip();
                    let spelled = spelled.filter(|spelled| *spelled != name);
                    self.below(name, spelled, look, id);
                }
            }
            None => {
                if let Some(leaf) = leaf {
                    let found = self.unlisted(&leaf.name)?.filter(|found| !found.is_dir());
                    self.spot(leaf.name.clone(), found.as_ref().map(facts), Some(leaf));
                }
                if let Some((name, id)) = tree {
                    let is_there = self.unlisted(&name)?.is_some_and(|found| found.is_dir());
                    let look = if is_there { Look::Stat } else { Look::Gone };
                    self.below(name, None, look, Some(id));
                }
            }
        }
        Ok(())
    }

    /// Looks at something that no list had: once tracked, a file is never ignored.
    fn unlisted(&self, name: &Name) -> Result<Option<std::fs::Metadata>, RepoError> {
        if self.listed { lstat(&self.task.disk.join(name.as_str())) } else { Ok(None) }
    }

    fn spot(&mut self, name: Name, facts: Option<FileFacts>, tracked: Option<NamedEntry>) {
        self.folder.spots.push(Spot { name, facts, tracked: tracked.map(Box::new) });
    }

    fn below(&mut self, name: Name, tracked: Option<Name>, look: Look, tree: Option<TreeId>) {
        let id = self.walk.ids.fetch_add(1, Ordering::Relaxed);
        let disk = self.task.disk.join(name.as_str());
        let rules = self.rules.clone().filter(|_| look == Look::List);
        let mut key = self.task.key.clone();
        push_folder(&mut key, &name);
        let (depth, is_spelled) = (self.task.depth + 1, self.task.is_spelled && tracked.is_none());
        self.tasks.push(Task { id, disk, look, tree, rules, depth, key, is_spelled });
        self.folder.below.push(Below { name, tracked, id });
    }
}
