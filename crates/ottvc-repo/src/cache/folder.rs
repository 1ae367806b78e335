//! What is remembered of a folder as a whole: that every file in it held what a tree has there.
//!
//! A row covers a folder without folders in it. Where its names and facts are as they were, and the tree that is
//! staged is the one the row names, nothing in it changed: neither the tree's node nor the rows of its files
//! are read. A row says nothing that the rows of its files would not say, one by one.

use bincode::{Decode, Encode};
use ottvc_object::codec::{decode_body, encode_body};
use ottvc_object::{RepoPath, TreeId};
use ottvc_store::StoreError;

use super::{FileFacts, RowReader, Rows, push_folder};

/// Begins the keys of folders' rows, which so lie side by side: no name begins with it.
const FOLDERS: u8 = 0xff;
/// The longest row, in bytes: a folder of more files is looked at file by file.
const MAX_ROW_BYTES: usize = 64 << 10;

/// A folder's row.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct FolderRow {
    /// What its files held.
    pub(crate) tree: TreeId,
    /// Half of a hash of the names and facts of all of them.
    print: [u8; 16],
    /// Their names, sorted by bytes, each with a byte 0 after it.
    names: String,
}

impl FolderRow {
    /// A row for a folder of these files, which hold what `tree` says; `None` for too many.
    pub(crate) fn new(tree: TreeId, mut files: Vec<(&str, FileFacts)>) -> Option<Self> {
        files.sort_by_key(|(name, _)| *name);
        let print = print(files.iter().map(|(name, facts)| (*name, facts)));
        let mut names = String::with_capacity(files.iter().map(|(name, _)| name.len() + 1).sum());
        for (name, _) in files {
            names.push_str(name);
            names.push('\0');
        }
        (!names.is_empty() && names.len() <= MAX_ROW_BYTES).then_some(Self { tree, print, names })
    }

    /// The names of its files, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.split_terminator('\0')
    }

    /// Whether files with its names, in its order, have the facts its files had.
    pub(crate) fn vouches(&self, facts: &[FileFacts]) -> bool {
        let mut names = self.names();
        let found = print(names.by_ref().zip(facts));
        found == self.print && names.next().is_none()
    }
}

/// Hashes names and facts.
fn print<'f>(files: impl Iterator<Item = (&'f str, &'f FileFacts)>) -> [u8; 16] {
    let mut bytes = Vec::with_capacity(1024);
    for (name, facts) in files {
        let FileFacts { len, modified, changed, inode, executable, symlink } = facts;
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(0);
        bytes.push(u8::from(*executable) | u8::from(*symlink) << 1);
        bytes.extend_from_slice(&len.to_le_bytes());
        bytes.extend_from_slice(&modified.to_le_bytes());
        bytes.extend_from_slice(&changed.to_le_bytes());
        bytes.extend_from_slice(&inode.to_le_bytes());
    }
    let mut print = [0; 16];
    blake3::Hasher::new().update(&bytes).finalize_xof().fill(&mut print);
    print
}

/// The key of the row of a folder.
pub(crate) fn folder_key(path: &RepoPath) -> Vec<u8> {
    let mut key = vec![FOLDERS];
    path.names().iter().for_each(|name| push_folder(&mut key, name));
    key
}

/// Has a folder's row written.
pub(crate) fn note_folder(rows: &mut Rows, key: Vec<u8>, row: &FolderRow) {
    // Without one it is looked at file by file.
    if let Ok(bytes) = encode_body(row) {
        rows.push((key, Some(bytes)));
    }
}

/// Finds rows of folders, best in the order of their keys.
#[derive(Debug)]
pub(crate) struct FolderRows<'w> {
    reader: RowReader<'w>,
    last: Vec<u8>,
}

impl<'w> FolderRows<'w> {
    pub(crate) fn new(reader: RowReader<'w>) -> Self {
        Self { reader, last: Vec::new() }
    }

    /// The row under a key. Bytes that are no row are none.
    pub(crate) fn find(&mut self, key: &[u8]) -> Result<Option<FolderRow>, StoreError> {
        if key <= self.last.as_slice() {
            self.reader.start_over();
        }
        key.clone_into(&mut self.last);
        let row = self.reader.bytes(key)?;
        Ok(row.and_then(|bytes| decode_body(bytes, "folder row").ok()))
    }
}
