//! Reading a map: one key, all entries, a path, everything below a folder.

use std::sync::Arc;

use super::trail::{Cursor, children, entries, read_root, refuse};
use super::{Item, Nodes};
use crate::entry::{Entry, NamedEntry, Totals};
use crate::id::TreeId;
use crate::path::{MAX_PATH_DEPTH, RepoPath};

/// Returns the entry with this key (see [`crate::path::Name::key`]), reading one node a level.
///
/// # Errors
/// When a node cannot be read, or is not what its parent says.
pub fn lookup<N: Nodes>(
    nodes: &N,
    root: TreeId,
    key: &str,
) -> Result<Option<NamedEntry>, N::Error> {
    let Some(top) = read_root(nodes, root)? else { return Ok(None) };
    // The root knows the last key of all, so what lies behind it costs no more reading.
    if children(&top).last().is_some_and(|last| last.last_key.as_str() < key) {
        return Ok(None);
    }
    let mut cursor = Cursor::new(nodes, top, 0);
    cursor.seek(key)?;
    let entries = entries(cursor.node());
    let found = entries.binary_search_by(|entry| (*entry.key()).cmp(key));
    Ok(found.ok().and_then(|at| entries.get(at)).cloned())
}

/// Returns the sums over everything below a folder; reads its root node alone.
///
/// # Errors
/// As [`lookup`].
pub fn totals<N: Nodes>(nodes: &N, root: TreeId) -> Result<Totals, N::Error> {
    Ok(read_root(nodes, root)?.map_or_else(Totals::default, |top| top.totals()))
}

/// Visits every entry of one folder, in key order; subfolders are entries and are not entered.
///
/// # Errors
/// As [`lookup`], or what `visit` returns.
pub fn for_each<N: Nodes>(
    nodes: &N,
    root: TreeId,
    visit: &mut dyn FnMut(&NamedEntry) -> Result<(), N::Error>,
) -> Result<(), N::Error> {
    let Some(top) = read_root(nodes, root)? else { return Ok(()) };
    let mut cursor = Cursor::new(nodes, top, 0);
    cursor.seek("")?;
    loop {
        let leaf = Arc::clone(cursor.node());
        entries(&leaf).iter().try_for_each(&mut *visit)?;
        if !cursor.next()? {
            return Ok(());
        }
    }
}

/// Returns the entry at `path`, as spelled in the tree; names compare by key. `None` where nothing
/// is, where a file stands in the way, and for the root, which has no name.
///
/// # Errors
/// As [`lookup`].
pub fn lookup_path<N: Nodes>(
    nodes: &N,
    root: TreeId,
    path: &RepoPath,
) -> Result<Option<NamedEntry>, N::Error> {
    let mut folder = Some(root);
    let mut found = None;
    for name in path.names() {
        let Some(id) = folder else { return Ok(None) };
        found = lookup(nodes, id, &name.key())?;
        folder = found.as_ref().and_then(|entry| folder_of(&entry.entry));
    }
    Ok(found)
}

/// Hears an entry below a folder with its path; says whether to enter it if it is a folder.
pub type VisitPath<'v, E> = &'v mut dyn FnMut(&RepoPath, &NamedEntry) -> Result<bool, E>;

/// Visits every entry below a folder, depth first in key order, a folder before what it holds.
///
/// `root` is the folder and `prefix` the path it lies at: the root path for a whole tree, or what
/// [`lookup_path`] found. `visit` hears the path of each entry as the tree spells it, and says
/// whether to enter it if it is a folder.
///
/// # Errors
/// As [`lookup`], what `visit` returns, or for a tree nested deeper than any path.
pub fn walk<N: Nodes>(
    nodes: &N,
    root: TreeId,
    prefix: &RepoPath,
    visit: VisitPath<'_, N::Error>,
) -> Result<(), N::Error> {
    if prefix.names().len() >= MAX_PATH_DEPTH {
        return refuse("folders are nested too deep");
    }
    for_each(nodes, root, &mut |entry| {
        let path = prefix.join(&entry.name);
        let enter = visit(&path, entry)?;
        match folder_of(&entry.entry) {
            Some(id) if enter => walk(nodes, id, &path, visit),
            _ => Ok(()),
        }
    })
}

/// The root of the folder that an entry stands for.
pub(super) fn folder_of(entry: &Entry) -> Option<TreeId> {
    match *entry {
        Entry::Tree { id, .. } => Some(id),
        _ => None,
    }
}
