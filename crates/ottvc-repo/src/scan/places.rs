//! The working copy beside what is staged and what is remembered, place by place.

use std::fs::Metadata;
use std::thread::Builder;

use ottvc_object::{Entry, Name, NamedEntry, RepoPath, TreeId};

use super::walk::{Look, Walk};
use super::{facts, io, lstat, read_entry};
use crate::cache::{self, CacheRow, FileFacts, RowReader, Rows};
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

    /// What the file surely holds, if that is remembered.
    pub(crate) fn remembered(&self) -> Option<Entry> {
        let tracked = [self.tracked?.entry];
        self.row?.entry(self.name, &self.facts?, &tracked)
    }
}

/// Hears of places in the order of their cache rows: the files of a folder by key, then its folders.
pub(crate) type Visit<'v> = &'v mut dyn FnMut(&Place<'_>) -> Result<(), RepoError>;

impl Repo {
    /// Visits what is on disk and what is staged at and below `path`; with `tracked_only`, only what
    /// is staged.
    ///
    /// Ignored files are left out, unless they are tracked or `path` itself names one; and so are those
    /// that a command was writing when it died. Memory grows with how far the visitor lags behind.
    pub(crate) fn scan(
        &self,
        staged: TreeId,
        path: &RepoPath,
        tracked_only: bool,
        visit: Visit<'_>,
    ) -> Result<(), RepoError> {
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
            visit(&Place {
                folder: &parent,
                tracked_folder: &parent,
                name: leaf.filter(|_| facts.is_none()).map_or(name, |leaf| &leaf.name),
                row,
                facts,
                tracked: leaf,
                whole: Some((1, facts.map_or(0, |facts| facts.len))),
                schemas: &schemas,
            })?;
        }
        if tree.is_none() && (tracked_only || !is_folder) {
            return Ok(());
        }
        let look = match (is_folder, tracked_only) {
            (true, false) => Look::List,
            (true, true) => Look::Stat,
            (false, _) => Look::Gone,
        };
        let walk =
            Walk::new(self, tracked_only, (self.disk_path(path), look), tree, path.names().len());
        let spelled = match &tracked {
            Some(named) if tree.is_some() => parent.join(&named.name),
            _ => path.clone(),
        };
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
            let visited = Reader { walk, rows, key, schemas, visit }.folder(0, path, &spelled);
            walk.stop();
            visited
        })
    }

    /// The files below a folder of the working copy, tracked or not.
    pub(crate) fn files_below(&self, path: &RepoPath) -> Result<Vec<RepoPath>, RepoError> {
        let mut files = Vec::new();
        self.scan(ottvc_object::tree::EMPTY_TREE, path, false, &mut |place| {
            files.push(place.path());
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
}

impl Reader<'_, '_, '_> {
    fn folder(&mut self, id: usize, disk: &RepoPath, tracked: &RepoPath) -> Result<(), RepoError> {
        let died = || std::io::Error::other("the thread that did has died");
        let folder =
            self.walk.take(id).unwrap_or_else(|| Err(io("list", disk.to_string())(died())))?;
        let key_len = self.key.len();
        for spot in &folder.spots {
            let mut row = None;
            if spot.tracked.is_some() && spot.facts.is_some() {
                cache::push_file(&mut self.key, &spot.name);
                row = self.rows.find(&self.key)?;
                self.key.truncate(key_len);
            }
            (self.visit)(&Place {
                folder: disk,
                tracked_folder: tracked,
                name: &spot.name,
                row,
                facts: spot.facts,
                tracked: spot.tracked.as_deref(),
                whole: self.walk.whole(),
                schemas: self.schemas,
            })?;
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
