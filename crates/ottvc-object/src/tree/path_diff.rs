//! Comparing two trees of nested folders.

use super::Nodes;
use super::diff::merge_join;
use super::read::{folder_of, walk};
use super::trail::refuse;
use crate::entry::NamedEntry;
use crate::id::TreeId;
use crate::path::{MAX_PATH_DEPTH, RepoPath};

/// A file, document or conflict that two trees do not have alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathChange {
    /// Where it is: as the new tree spells it, or the old one if it is gone.
    pub path: RepoPath,
    /// What the old tree has there, under the path as it spells it.
    pub old: Option<(RepoPath, NamedEntry)>,
    /// What the new tree has there, under the path as it spells it.
    pub new: Option<(RepoPath, NamedEntry)>,
}

type Visit<'v, E> = &'v mut dyn FnMut(PathChange) -> Result<(), E>;

/// Visits every leaf (file, document, conflict) at which the trees `a` (old) and `b` (new) differ.
///
/// Places compare by key, in key order, folder by folder. A folder that came, went, or became a file
/// is reported as the leaves in it, those gone before those that came. Names that differ only in
/// case are a change: of a leaf, or of every leaf below a folder. Subtrees in both are skipped.
///
/// # Errors
/// As [`super::walk`].
pub fn diff_paths<N: Nodes>(
    nodes: &N,
    a: TreeId,
    b: TreeId,
    visit: Visit<'_, N::Error>,
) -> Result<(), N::Error> {
    diff_folders(nodes, (a, &RepoPath::root()), (b, &RepoPath::root()), visit)
}

/// A path and what is there.
type Place<'e> = (RepoPath, &'e NamedEntry);

/// The folder at a place, and its path.
fn folder_at<'p>(place: Option<&'p Place<'_>>) -> Option<(&'p RepoPath, TreeId)> {
    let (path, entry) = place?;
    Some((path, folder_of(&entry.entry)?))
}

/// Compares two folders that have one key each at their paths.
fn diff_folders<N: Nodes>(
    nodes: &N,
    (a, a_path): (TreeId, &RepoPath),
    (b, b_path): (TreeId, &RepoPath),
    visit: Visit<'_, N::Error>,
) -> Result<(), N::Error> {
    if a_path.names().len() >= MAX_PATH_DEPTH {
        return refuse("folders are nested too deep");
    }
    // Under another spelling of the folder, what is equal has still changed its path.
    let changed_only = a_path == b_path;
    if a == b && changed_only {
        return Ok(());
    }
    merge_join(nodes, a, b, changed_only, &mut |_, old, new| {
        let old = old.map(|entry| (a_path.join(&entry.name), entry));
        let new = new.map(|entry| (b_path.join(&entry.name), entry));
        let old_folder = folder_at(old.as_ref());
        let new_folder = folder_at(new.as_ref());
        if old_folder.is_none() && new_folder.is_none() {
            return leaf_changed(old, new, visit);
        }
        if let (Some((a_path, a)), Some((b_path, b))) = (old_folder, new_folder) {
            return diff_folders(nodes, (a, a_path), (b, b_path), visit);
        }
        // The kinds differ, or one side has nothing: what went, then what came.
        match old_folder {
            Some((path, id)) => walk(nodes, id, path, &mut |path, entry| {
                let leaf = folder_of(&entry.entry).is_none();
                leaf_changed(leaf.then(|| (path.clone(), entry)), None, visit).map(|()| true)
            })?,
            None => leaf_changed(old, None, visit)?,
        }
        match new_folder {
            Some((path, id)) => walk(nodes, id, path, &mut |path, entry| {
                let leaf = folder_of(&entry.entry).is_none();
                leaf_changed(None, leaf.then(|| (path.clone(), entry)), visit).map(|()| true)
            }),
            None => leaf_changed(None, new, visit),
        }
    })
}

/// Reports a leaf, unless there is none.
fn leaf_changed<E>(
    old: Option<Place<'_>>,
    new: Option<Place<'_>>,
    visit: Visit<'_, E>,
) -> Result<(), E> {
    let owned = |side: Option<Place<'_>>| side.map(|(path, entry)| (path, entry.clone()));
    let path = new.as_ref().or(old.as_ref()).map(|(path, _)| path.clone());
    match path {
        Some(path) => visit(PathChange { path, old: owned(old), new: owned(new) }),
        None => Ok(()),
    }
}
