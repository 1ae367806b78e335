//! What is remembered of files on disk, so that an unchanged one is not read again.
//!
//! A row says which facts a file had, and what it held. Where that is what is staged, which is nearly
//! always, half of its id stands for it: the tree has the rest. Rows are sorted as a scan meets
//! files, the files of a folder before those of the folders in it, and keyed by place, where case
//! does not count. Folders have rows of their own (`folder`), beside those of their files.

use bincode::{Decode, Encode};
use ottvc_object::codec::{decode_body, encode_body};
use ottvc_object::{Entry, FileEntry, FileMode, Name, RepoPath};
use ottvc_store::{StoreError, WorkspaceStore};

use crate::{Repo, RepoError};

mod folder;

pub(crate) use folder::{FolderRow, FolderRows, folder_key, note_folder};

/// What is known about a file on disk without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileFacts {
    /// Length in bytes.
    pub len: u64,
    /// Last modification, nanoseconds since 1970; the nearest that fits.
    pub modified: i64,
    /// Last change of the inode, nanoseconds since 1970; 0 where the system has none.
    pub changed: i64,
    /// Inode number; 0 where the system has none.
    pub inode: u64,
    /// Whether the executable bit is set.
    pub executable: bool,
    /// Whether it is a symbolic link.
    pub symlink: bool,
}

/// Cache rows to write: key, and the row or `None` to remove it.
pub(crate) type Rows = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// How long after its last modification a file must have been looked at for the look to count: a
/// write within one tick of the file system's clock leaves no trace in the facts.
const TICK_MS: i64 = 40;
/// A reader of rows fetches at most this many at a time.
const MAX_PAGE: usize = 4096;

/// Ends the name of a folder in a row's key. Less than any byte of a name.
const FOLDER_END: u8 = 1;
/// Begins the name of a file in a row's key: files sort before folders.
const FILE: u8 = 0;

/// One row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct CacheRow {
    /// 1: executable; 2: a symbolic link; 4: its name was that of a document.
    flags: u8,
    len: u64,
    modified: i64,
    /// Nanoseconds from the last modification to the last change of the inode: mostly none.
    changed_after: i64,
    inode: u64,
    held: Held,
}

/// What the file held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
enum Held {
    /// What is staged there, if it bears this mark.
    Staged(Mark),
    /// Something else.
    Else(Entry),
}

/// Tells entries at one place apart: half of an id, which nobody can make another file share.
type Mark = [u8; 16];

/// The mark of an entry: of its id, and of what it is. `None` for what is no file.
fn mark(entry: &Entry) -> Option<Mark> {
    let (id, kind) = match entry {
        Entry::File(FileEntry { content, mode: FileMode::Regular, .. }) => (&content.0, 0),
        Entry::File(FileEntry { content, mode: FileMode::Executable, .. }) => (&content.0, 1),
        Entry::File(FileEntry { content, mode: FileMode::Symlink, .. }) => (&content.0, 2),
        Entry::Document { id, .. } => (&id.0, 3),
        Entry::Tree { .. } | Entry::Conflict(_) => return None,
    };
    let mut mark: Mark = *id.first_chunk()?;
    if let Some(first) = mark.first_mut() {
        *first ^= kind;
    }
    Some(mark)
}

impl CacheRow {
    /// A row for a file with these facts that held `entry`; with `staged` that is what is or will be
    /// staged there.
    fn new(name: &Name, facts: &FileFacts, entry: Entry, staged: bool) -> Self {
        let mark = mark(&entry).filter(|_| staged);
        Self {
            flags: flags(name, facts),
            len: facts.len,
            modified: facts.modified,
            changed_after: facts.changed.wrapping_sub(facts.modified),
            inode: facts.inode,
            held: mark.map_or(Held::Else(entry), Held::Staged),
        }
    }

    /// What a file of this name and with these facts surely holds, if the row can tell: some entry of
    /// those `expected` there, or the one it keeps itself.
    pub(crate) fn entry(
        &self,
        name: &Name,
        facts: &FileFacts,
        expected: &[Entry],
    ) -> Option<Entry> {
        let same = self.flags == flags(name, facts)
            && self.len == facts.len
            && self.modified == facts.modified
            && self.changed_after == facts.changed.wrapping_sub(facts.modified)
            && self.inode == facts.inode;
        match self.held {
            _ if !same => None,
            Held::Staged(found) => {
                expected.iter().find(|entry| mark(entry) == Some(found)).copied()
            }
            Held::Else(entry) => Some(entry),
        }
    }
}

fn flags(name: &Name, facts: &FileFacts) -> u8 {
    u8::from(facts.executable) | u8::from(facts.symlink) << 1 | u8::from(name.is_document()) << 2
}

/// Notes that a file with these facts, looked at when it was `noted`, held `entry`; with `staged` that
/// is what is or will be staged there. A file that changed only just is not noted: it may change
/// again and show the same facts.
pub(crate) fn note(
    rows: &mut Rows,
    path: &RepoPath,
    facts: &FileFacts,
    (entry, staged): (Entry, bool),
    noted: i64,
) -> Result<(), RepoError> {
    if (facts.modified / 1_000_000).saturating_add(TICK_MS) < noted {
        note_written(rows, path, facts, (entry, staged))?;
    }
    Ok(())
}

/// As [`note`], for a file that this process has put in place: what it holds is known.
pub(crate) fn note_written(
    rows: &mut Rows,
    path: &RepoPath,
    facts: &FileFacts,
    (entry, staged): (Entry, bool),
) -> Result<(), RepoError> {
    if let Some(name) = path.name() {
        let row = CacheRow::new(name, facts, entry, staged);
        rows.push((row_key(path), Some(encode_body(&row)?)));
    }
    Ok(())
}

/// Has the row of a path removed, and that of its folder.
pub(crate) fn forget(rows: &mut Rows, path: &RepoPath) {
    rows.push((row_key(path), None));
    if let Some(folder) = path.parent() {
        rows.push((folder_key(&folder), None));
    }
}

/// The key of the row of a path.
fn row_key(path: &RepoPath) -> Vec<u8> {
    let mut key = Vec::new();
    if let Some((name, folders)) = path.names().split_last() {
        folders.iter().for_each(|folder| push_folder(&mut key, folder));
        push_file(&mut key, name);
    }
    key
}

/// Adds a folder to the beginning of a key.
pub(crate) fn push_folder(key: &mut Vec<u8>, name: &Name) {
    key.extend_from_slice(name.folded().as_bytes());
    key.push(FOLDER_END);
}

/// Adds the file that a key ends with.
pub(crate) fn push_file(key: &mut Vec<u8>, name: &Name) {
    key.push(FILE);
    key.extend_from_slice(name.folded().as_bytes());
}

/// Bytes that are no row are none.
fn decode(bytes: &[u8]) -> Option<CacheRow> {
    decode_body(bytes, "cache row").ok()
}

/// Rows looked up in the order of their keys: they are fetched in pages that grow while they are used
/// up, so that one look-up costs little and a hundred thousand are one pass.
#[derive(Debug)]
pub(crate) struct RowReader<'w> {
    workspace: &'w dyn WorkspaceStore,
    /// Keys and rows, one after the other.
    bytes: Vec<u8>,
    /// Where each key ends, and the row after it.
    ends: Vec<(usize, usize)>,
    /// The next of those.
    at: usize,
    /// Where its key begins.
    start: usize,
    page: usize,
    /// Whether nothing comes after this page.
    is_last: bool,
}

impl<'w> RowReader<'w> {
    pub(crate) fn new(workspace: &'w dyn WorkspaceStore) -> Self {
        Self {
            workspace,
            bytes: Vec::new(),
            ends: Vec::new(),
            at: 0,
            start: 0,
            page: 4,
            is_last: false,
        }
    }

    /// The row under `key`, which is greater than every key asked for before.
    pub(crate) fn find(&mut self, key: &[u8]) -> Result<Option<CacheRow>, StoreError> {
        Ok(self.bytes(key)?.and_then(decode))
    }

    /// Forgets which keys were asked for.
    fn start_over(&mut self) {
        let workspace = self.workspace;
        *self = Self::new(workspace);
    }

    /// The bytes of the row under `key`, which is greater than every key asked for before.
    fn bytes(&mut self, key: &[u8]) -> Result<Option<&[u8]>, StoreError> {
        loop {
            while let Some((key_end, end)) = self.ends.get(self.at).copied() {
                let found = self.bytes.get(self.start..key_end).unwrap_or_default();
                if found > key {
                    return Ok(None);
                }
                let is_it = found == key;
                self.at += 1;
                self.start = end;
                if is_it {
                    return Ok(self.bytes.get(key_end..end));
                }
            }
            if self.is_last {
                return Ok(None);
            }
            self.fetch(key)?;
        }
    }

    fn fetch(&mut self, key: &[u8]) -> Result<(), StoreError> {
        let Self { bytes, ends, page, .. } = self;
        bytes.clear();
        ends.clear();
        self.workspace.rows(key, &mut |key, row| {
            bytes.extend_from_slice(key);
            let key_end = bytes.len();
            bytes.extend_from_slice(row);
            ends.push((key_end, bytes.len()));
            Ok(ends.len() < *page)
        })?;
        self.is_last = self.ends.len() < self.page;
        self.page = (self.page * 4).min(MAX_PAGE);
        (self.at, self.start) = (0, 0);
        Ok(())
    }
}

impl Repo {
    /// Returns the cache row of a path.
    pub(crate) fn cache_row(&self, path: &RepoPath) -> Result<Option<CacheRow>, RepoError> {
        Ok(self.workspace.row(&row_key(path))?.and_then(|bytes| decode(&bytes)))
    }
}

#[cfg(test)]
mod tests {
    use ottvc_object::ContentId;
    use ottvc_store::memory::MemoryWorkspace;

    use super::*;

    fn file(content: &[u8], mode: FileMode) -> Entry {
        Entry::File(FileEntry { content: ContentId::of(content), len: 3, mode })
    }

    fn facts() -> FileFacts {
        FileFacts {
            len: 3,
            modified: 1_000_000_000,
            changed: i64::MIN,
            inode: 7,
            executable: false,
            symlink: false,
        }
    }

    #[test]
    fn a_row_vouches_for_the_same_file_with_the_same_entry_staged_only() {
        let name = Name::new("a.json").unwrap();
        let (one, other) = (file(b"one", FileMode::Regular), file(b"two", FileMode::Regular));
        let row = CacheRow::new(&name, &facts(), one, true);
        assert_eq!(decode(&encode_body(&row).unwrap()), Some(row));
        assert_eq!(row.entry(&name, &facts(), &[other, one]), Some(one));
        assert_eq!(row.entry(&name, &facts(), &[other]), None);
        assert_eq!(row.entry(&name, &facts(), &[file(b"one", FileMode::Executable)]), None);
        let document = Name::new("a.meta.json").unwrap();
        assert_eq!(row.entry(&document, &facts(), &[one]), None);
        for changed in [
            FileFacts { len: 4, ..facts() },
            FileFacts { modified: 1, ..facts() },
            FileFacts { changed: 1, ..facts() },
            FileFacts { inode: 1, ..facts() },
            FileFacts { executable: true, ..facts() },
            FileFacts { symlink: true, ..facts() },
        ] {
            assert_eq!(row.entry(&name, &changed, &[one]), None, "{changed:?}");
        }
        assert_eq!(
            CacheRow::new(&name, &facts(), one, false).entry(&name, &facts(), &[]),
            Some(one)
        );
    }

    #[test]
    fn what_changed_only_just_is_not_noted() {
        let (path, entry) = (RepoPath::new("a").unwrap(), file(b"one", FileMode::Regular));
        for (noted, count) in [(1_000, 0), (1_040, 0), (1_041, 1)] {
            let mut rows = Rows::new();
            note(&mut rows, &path, &facts(), (entry, true), noted).unwrap();
            assert_eq!(rows.len(), count, "at {noted}");
        }
    }

    #[test]
    fn rows_are_found_in_one_pass_or_alone() {
        let workspace = MemoryWorkspace::default();
        let entry = file(b"one", FileMode::Regular);
        // In the order of a scan: files before folders, and folders name by name.
        let mut paths = vec!["A.json".to_owned(), "z".to_owned()];
        paths.extend((0..9_000).map(|number| format!("b/{number:05}")));
        paths.extend(["b/c/d", "b c/e", "c/f"].map(str::to_owned));
        let mut rows = Rows::new();
        for path in &paths {
            note_written(&mut rows, &RepoPath::new(path).unwrap(), &facts(), (entry, true))
                .unwrap();
        }
        assert!(rows.is_sorted());
        workspace.cache(&rows).unwrap();
        for step in [1, 7, 4_001] {
            let mut reader = RowReader::new(&workspace);
            for path in paths.iter().step_by(step) {
                let key = row_key(&RepoPath::new(path).unwrap());
                assert!(reader.find(&key).unwrap().is_some(), "{path} of every {step}");
                assert_eq!(reader.find(&[&key[..], b"?"].concat()).unwrap(), None);
            }
        }
    }
}
