//! The working copy beside what is staged and what is remembered, place by place.

use std::fs::Metadata;
use std::thread::Builder;

use ottvc_object::{Entry, Name, NamedEntry, RepoPath, TreeId};

use super::walk::{Look, Walk};
use super::{facts, io, lstat, read_entry};
use crate::cache::{self, CacheRow, FileFacts, FolderRow, RowReader, Rows};
use crate::content::ContentError;
use crate::nodes::Batch;
use crate::schemas::Schemas;
use crate::{Repo, RepoError};

/// A file on disk, or what is tracked where there is none.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    folder: &'a RepoPath,
    tracked_folder: &'a RepoPath,
    name: &'a Name,
    row: Option<CacheRow>,
    /// The file's facts, if it is there.
    pub(crate) facts: Option<FileFacts>,
    /// What is staged, if anything.
    pub(crate) tracked: Option<&'a NamedEntry>,
    /// How many files the scan meets, and how long they are together, once that is known.
    pub(crate) whole: Option<(u64, u64)>,
    /// The schemas it is read under.
    schemas: &'a Schemas,
}

impl Place<'_> {
    /// Its path: as it is on disk, or as the tree spells it.
    pub(crate) fn path(&self) -> RepoPath {
        self.folder.join(self.name)
    }

    /// The path under which it is tracked.
    pub(crate) fn tracked_path(&self) -> RepoPath {
        self.tracked_folder.join(self.tracked.map_or(self.name, |named| &named.name))
    }

    /// Whether disk and tree spell its path in different ways.
    pub(crate) fn is_moved(&self) -> bool {
        self.tracked.is_some_and(|named| named.name != *self.name)
            || self.folder != self.tracked_folder
    }

    /// Whether it is a file that surely holds what is staged there, under the same name.
    fn is_same(&self) -> bool {
        let tracked = self.tracked.map(|named| named.entry);
        !self.is_moved() && tracked.is_some() && self.remembered() == tracked
    }

    /// What the file surely holds, if that is remembered.
    pub(crate) fn remembered(&self) -> Option<Entry> {
        let tracked = [self.tracked?.entry];
        self.row?.entry(self.name, &self.facts?, &tracked)
    }
}

/// What a scan meets.
#[derive(Debug)]
pub(crate) enum Met<'a> {
    /// A place.
    Place(&'a Place<'a>),
    /// A folder in which nothing changed: how many files it has, how long they are together, and the whole
    /// as [`Place::whole`] has it.
    Same { folder: &'a RepoPath, files: u64, bytes: u64, whole: Option<(u64, u64)> },
}

/// Hears of places in the order of their cache rows: the files of a folder by key, then its folders.
pub(crate) type Visit<'v> = &'v mut dyn FnMut(Met<'_>) -> Result<(), RepoError>;

/// What to scan.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scan<'a> {
    /// What is staged.
    pub(crate) staged: TreeId,
    /// Where, and everything below.
    pub(crate) path: &'a RepoPath,
    /// Whether only what is staged is wanted.
    pub(crate) tracked_only: bool,
    /// Whether folders in which nothing changed may be met as one.
    pub(crate) whole_folders: bool,
}

impl Repo {
    /// Visits what is on disk and what is staged; returns cache rows that were learnt of folders.
    ///
    /// Ignored files are left out, unless they are tracked or `path` itself names one; and so are those
    /// that a command was writing when it died. Memory grows with how far the visitor lags behind.
    pub(crate) fn scan(&self, scan: &Scan<'_>, visit: Visit<'_>) -> Result<Rows, RepoError> {
        let Scan { staged, path, tracked_only, whole_folders } = *scan;
        self.refuse_leaving(path)?;
        let tracked = self.staged_at(staged, path)?;
        let tree = match &tracked {
            _ if path.is_root() => Some(staged),
            Some(NamedEntry { entry: Entry::Tree { id, .. }, .. }) => Some(*id),
            _ => None,
        };
        let schemas = self.schemas_for_reading(&Batch::new(&self.nodes), staged)?;
        let found = lstat(&self.disk_path(path))?;
        let is_folder = found.as_ref().is_some_and(Metadata::is_dir);
        let parent = path.parent().unwrap_or_default();
        let leaf = tracked.as_ref().filter(|_| tree.is_none());
        let facts = found.as_ref().filter(|found| !found.is_dir()).map(facts);
        if let Some(name) = path.name()
            && (leaf.is_some() || (facts.is_some() && !tracked_only))
        {
            let row = if leaf.is_some() { self.cache_row(path)? } else { None };
            visit(Met::Place(&Place {
                folder: &parent,
                tracked_folder: &parent,
                name: leaf.filter(|_| facts.is_none()).map_or(name, |leaf| &leaf.name),
                row,
                facts,
                tracked: leaf,
                whole: Some((1, facts.map_or(0, |facts| facts.len))),
                schemas: &schemas,
            }))?;
        }
        if tree.is_none() && (tracked_only || !is_folder) {
            return Ok(Rows::new());
        }
        let look = match (is_folder, tracked_only) {
            (true, false) => Look::List,
            (true, true) => Look::Stat,
            (false, _) => Look::Gone,
        };
        let spelled = match &tracked {
            Some(named) if tree.is_some() => parent.join(&named.name),
            _ => path.clone(),
        };
        let wanted = (tracked_only, whole_folders);
        let place = (self.disk_path(path), look);
        let walk = Walk::new(self, wanted, place, tree, (path, spelled == *path));
        std::thread::scope(|scope| {
            let walk = &walk;
            for _ in 0..walk.workers() {
                let thread = Builder::new().name("ottvc-scan".into());
                if let Err(source) = thread.spawn_scoped(scope, || walk.run()) {
                    walk.stop();
                    return Err(ContentError::Thread { source }.into());
                }
            }
            let mut key = Vec::new();
            path.names().iter().for_each(|name| cache::push_folder(&mut key, name));
            let rows = RowReader::new(&*self.workspace);
            let schemas = &*schemas;
            let mut reader = Reader { walk, rows, key, schemas, visit, learnt: Rows::new() };
            let visited = reader.folder(0, path, &spelled);
            walk.stop();
            visited.map(|()| reader.learnt)
        })
    }

    /// The files below a folder of the working copy, tracked or not.
    pub(crate) fn files_below(&self, path: &RepoPath) -> Result<Vec<RepoPath>, RepoError> {
        let mut files = Vec::new();
        let staged = ottvc_object::tree::EMPTY_TREE;
        let scan = Scan { staged, path, tracked_only: false, whole_folders: false };
        self.scan(&scan, &mut |met| {
            if let Met::Place(place) = met {
                files.push(place.path());
            }
            Ok(())
        })?;
        Ok(files)
    }

    /// Returns what the file at a place holds, reading it only where that is not remembered; what was
    /// learnt goes to `rows`. `None` if there is no file.
    pub(crate) fn look_at(
        &self,
        place: &Place<'_>,
        rows: &mut Rows,
    ) -> Result<Option<Entry>, RepoError> {
        let (remembered, Some(facts)) = (place.remembered(), place.facts) else { return Ok(None) };
        if remembered.is_some() {
            return Ok(remembered);
        }
        let expected: Vec<Entry> = place.tracked.iter().map(|named| named.entry).collect();
        self.read_at(&place.path(), &facts, &expected, place.schemas, rows).map(Some)
    }

    /// Returns what the working copy has at `path` under `schemas`, reading its content only where the stat cache
    /// cannot vouch for it: for an entry of those `expected`, or for what it keeps itself. What was
    /// learnt goes to `rows`. `None` if no file is there.
    pub(crate) fn look(
        &self,
        path: &RepoPath,
        expected: &[Entry],
        schemas: &Schemas,
        rows: &mut Rows,
    ) -> Result<Option<Entry>, RepoError> {
        self.refuse_links_above(path)?;
        let Some(found) = lstat(&self.disk_path(path))?.filter(|found| !found.is_dir()) else {
            return Ok(None);
        };
        let facts = facts(&found);
        let row = self.cache_row(path)?;
        let remembered =
            path.name().zip(row).and_then(|(name, row)| row.entry(name, &facts, expected));
        match remembered {
            Some(entry) => Ok(Some(entry)),
            None => self.read_at(path, &facts, expected, schemas, rows).map(Some),
        }
    }

    fn read_at(
        &self,
        path: &RepoPath,
        facts: &FileFacts,
        expected: &[Entry],
        schemas: &Schemas,
        rows: &mut Rows,
    ) -> Result<Entry, RepoError> {
        let noted = self.now();
        let schema = schemas.of(path);
        let mut entry =
            read_entry(&self.disk_path(path), path, facts, schema.map(|schema| &**schema))?;
        // What says the same as one that is expected is that one: binding a schema changes nothing.
        if let (Some(schema), Entry::Document { id: here, .. }) = (schema, entry)
            && !expected.contains(&entry)
        {
            let same = |expected: &&Entry| match expected {
                Entry::Document { id, .. } => self.same_under(schema, *id, here),
                _ => false,
            };
            entry = expected.iter().find(same).copied().unwrap_or(entry);
        }
        cache::note(rows, path, facts, (entry, expected.contains(&entry)), noted)?;
        Ok(entry)
    }
}

/// Reads what a walk has read, folder by folder, beside the cache rows.
struct Reader<'a, 'r, 'v> {
    walk: &'a Walk<'r>,
    rows: RowReader<'a>,
    /// How the keys of the folder's rows begin.
    key: Vec<u8>,
    schemas: &'a Schemas,
    visit: Visit<'v>,
    /// Rows of folders.
    learnt: Rows,
}

impl Reader<'_, '_, '_> {
    fn folder(&mut self, id: usize, disk: &RepoPath, tracked: &RepoPath) -> Result<(), RepoError> {
        let died = || std::io::Error::other("the thread that did has died");
        let folder =
            self.walk.take(id).unwrap_or_else(|| Err(io("list", disk.to_string())(died())))?;
        if let Some((files, bytes)) = folder.same {
            let whole = self.walk.whole();
            return (self.visit)(Met::Same { folder: disk, files, bytes, whole });
        }
        let key_len = self.key.len();
        // Whether all that is in it is as staged, as far as rows say.
        let mut same = folder.is_spelled && folder.is_all && folder.below.is_empty();
        for spot in &folder.spots {
            let mut row = None;
            if spot.tracked.is_some() && spot.facts.is_some() {
                cache::push_file(&mut self.key, &spot.name);
                row = self.rows.find(&self.key)?;
                self.key.truncate(key_len);
            }
            let place = Place {
                folder: disk,
                tracked_folder: tracked,
                name: &spot.name,
                row,
                facts: spot.facts,
                tracked: spot.tracked.as_deref(),
                whole: self.walk.whole(),
                schemas: self.schemas,
            };
            same = same && place.is_same();
            (self.visit)(Met::Place(&place))?;
        }
        if let (true, Some(tree)) = (same, folder.tree) {
            let files = folder.spots.iter().filter_map(|it| Some((it.name.as_str(), it.facts?)));
            if let Some(row) = FolderRow::new(tree, files.collect()) {
                cache::note_folder(&mut self.learnt, cache::folder_key(disk), &row);
            }
        }
        drop(folder.spots);
        for below in folder.below {
            cache::push_folder(&mut self.key, &below.name);
            let spelled = tracked.join(below.tracked.as_ref().unwrap_or(&below.name));
            self.folder(below.id, &disk.join(&below.name), &spelled)?;
            self.key.truncate(key_len);
        }
        Ok(())
    }
}
