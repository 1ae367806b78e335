//! Editing a tree of nested folders by path.

use std::collections::BTreeMap;

use super::build::Put;
use super::edit::edit;
use super::read::{folder_of, lookup};
use super::{EMPTY_TREE, Nodes};
use crate::entry::{Entry, NamedEntry, Totals};
use crate::error::ObjectError;
use crate::id::TreeId;
use crate::path::{PathKey, RepoPath};

/// What shall be at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathEdit {
    /// The path, in the spelling that new folders on it take.
    pub path: RepoPath,
    /// The entry to put there, named as the last name of `path`; `None` removes what is there, a
    /// folder with all it holds.
    pub new: Option<NamedEntry>,
}

impl PathEdit {
    /// An edit with the key it belongs under, ready to be collected for [`edit_paths`].
    pub fn keyed(path: RepoPath, new: Option<NamedEntry>) -> (PathKey, Self) {
        (path.key(), Self { path, new })
    }
}

/// Applies `edits` to a tree of nested folders; returns its new root and sums.
///
/// Removals come before additions: a place freed in the same edits can be taken. A folder that ends
/// up empty disappears; a folder that an edit needs appears, and one that is there keeps its
/// spelling. Putting a leaf on a folder's path drops the folder; putting a folder (an [`Entry::Tree`])
/// there replaces it, renames it where only case differs, and takes further edits below. Removing
/// what is not there does nothing. Reads and writes only nodes on changed paths; see [`edit`].
///
/// # Errors
/// [`ObjectError::BadPath`] for an edit under a key or name not its own, of the root itself, or for
/// an addition below something that is and stays no folder; else as [`edit`].
pub fn edit_paths<N: Nodes>(
    nodes: &N,
    root: TreeId,
    edits: &BTreeMap<PathKey, PathEdit>,
    put: Put<'_, N::Error>,
) -> Result<(TreeId, Totals), N::Error> {
    for (key, edit) in edits {
        check_edit(key, edit).map_err(N::Error::from)?;
    }
    // Path keys sort name by name, so whatever lies below one folder lies together.
    let edits: Vec<(&PathKey, &PathEdit)> = edits.iter().collect();
    edit_folder(nodes, root, 0, &edits, put)
}

fn bad(path: &RepoPath, why: &'static str) -> ObjectError {
    ObjectError::BadPath { path: path.to_string(), why }
}

fn check_edit(key: &PathKey, edit: &PathEdit) -> Result<(), ObjectError> {
    let Some(name) = edit.path.name() else {
        return Err(bad(&edit.path, "the root cannot be replaced"));
    };
    if edit.path.key() != *key {
        return Err(bad(&edit.path, "it is edited under another path's key"));
    }
    match &edit.new {
        Some(new) if new.name != *name => Err(bad(&edit.path, "the entry has another name")),
        _ => Ok(()),
    }
}

/// Applies edits that all lie below one folder, whose names are at `depth`.
fn edit_folder<N: Nodes>(
    nodes: &N,
    root: TreeId,
    depth: usize,
    edits: &[(&PathKey, &PathEdit)],
    put: Put<'_, N::Error>,
) -> Result<(TreeId, Totals), N::Error> {
    let mut changes = BTreeMap::new();
    for group in edits.chunk_by(|(a, _), (b, _)| a.0.get(depth) == b.0.get(depth)) {
        let Some((PathKey(key), first)) = group.first() else { continue };
        let Some(name) = key.get(depth) else { continue };
        // An edit of this very name sorts before those below it.
        let (own, below) = match key.len() == depth + 1 {
            true => (Some(*first), group.get(1..).unwrap_or_default()),
            false => (None, group),
        };
        let before = match own {
            Some(own) => own.new.clone(),
            None => lookup(nodes, root, name)?,
        };
        let after = edit_entry(nodes, before.clone(), depth, below, put)?;
        if own.is_some() || before != after {
            changes.insert(name.clone(), after);
        }
    }
    edit(nodes, root, &changes, put)
}

/// Applies the edits below one name that stands for `entry`; returns what it stands for then.
fn edit_entry<N: Nodes>(
    nodes: &N,
    entry: Option<NamedEntry>,
    depth: usize,
    below: &[(&PathKey, &PathEdit)],
    put: Put<'_, N::Error>,
) -> Result<Option<NamedEntry>, N::Error> {
    let addition = below.iter().map(|(_, edit)| *edit).find(|edit| edit.new.is_some());
    let folder = match (&entry, addition) {
        (Some(there), _) if folder_of(&there.entry).is_some() => folder_of(&there.entry),
        (Some(_), Some(addition)) => {
            return Err(bad(&addition.path, "a file is in the way").into());
        }
        (None, Some(_)) => Some(EMPTY_TREE),
        (_, None) => None,
    };
    // Without a folder there is nothing to remove; without edits, nothing to look into.
    let Some(folder) = folder.filter(|_| !below.is_empty()) else { return Ok(entry) };
    let (id, totals) = edit_folder(nodes, folder, depth + 1, below, put)?;
    if id == EMPTY_TREE {
        return Ok(None);
    }
    let spelled = addition.and_then(|edit| edit.path.names().get(depth)).cloned();
    Ok(match (entry, spelled) {
        (Some(there), _) => Some(NamedEntry { entry: Entry::Tree { id, totals }, ..there }),
        (None, Some(name)) => {
            Some(NamedEntry { name, entry: Entry::Tree { id, totals }, former: Vec::new() })
        }
        (None, None) => None,
    })
}
