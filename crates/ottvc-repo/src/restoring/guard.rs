//! What `restore` must not lose, and what stands in its way: looked at before anything is written.
//!
//! A tracked file may lie there under another spelling of letter case; that one is overwritten. Where case counts,
//! a file beside it that is spelled so is another, and nobody stored it.

use std::collections::{BTreeMap, BTreeSet};

use ottvc_object::path::PathKey;
use ottvc_object::tree::{PathChange, lookup_path};
use ottvc_object::{Entry, Name, RepoPath};

use super::Changes;
use crate::cache::Rows;
use crate::scan::{io, lstat};
use crate::schemas::Schemas;
use crate::workspace::State;
use crate::{Repo, RepoError};

/// How the working copy spells paths; each folder is listed once.
#[derive(Debug, Default)]
pub(super) struct Spellings {
    listed: BTreeSet<RepoPath>,
    found: BTreeMap<PathKey, Vec<RepoPath>>,
}

impl Spellings {
    /// What lies at a path whatever its letter case, as spelled so if there is such.
    pub(super) fn of(
        &mut self,
        repo: &Repo,
        path: &RepoPath,
    ) -> Result<Option<RepoPath>, RepoError> {
        let mut at = RepoPath::root();
        for name in path.names() {
            self.list(repo, &at)?;
            let wanted = at.join(name);
            let here = self.found.get(&wanted.key()).map_or(&[][..], Vec::as_slice);
            let beside = here.iter().find(|it| it.parent().as_ref() == Some(&at));
            at = match (here.contains(&wanted), beside) {
                (true, _) => wanted,
                (false, Some(other)) => other.clone(),
                (false, None) => return Ok(None),
            };
        }
        Ok(Some(at))
    }

    fn list(&mut self, repo: &Repo, folder: &RepoPath) -> Result<(), RepoError> {
        let disk = repo.disk_path(folder);
        if !self.listed.insert(folder.clone()) || !lstat(&disk)?.is_some_and(|it| it.is_dir()) {
            return Ok(());
        }
        for entry in std::fs::read_dir(&disk).map_err(io("list", &disk))? {
            let name = entry.map_err(io("list", &disk))?.file_name();
            // What has no name of ours is not what we look for.
            if let Some(name) = name.to_str().and_then(|name| Name::new(name).ok()) {
                let path = folder.join(&name);
                self.found.entry(path.key()).or_default().push(path);
            }
        }
        Ok(())
    }
}

impl Repo {
    /// Has a change take away the tracked file as it is spelled in the working copy.
    pub(super) fn spell_tracked(
        &self,
        change: &mut PathChange,
        spellings: &mut Spellings,
    ) -> Result<(), RepoError> {
        if let Some((path, _)) = &mut change.old
            && lstat(&self.disk_path(path))?.is_none()
            && let Some(found) = spellings.of(self, path)?
        {
            *path = found;
        }
        Ok(())
    }

    /// Refuses what would lose bytes that nobody stored: an untracked file in the way, or a file that goes and
    /// was changed. One that is only staged counts as such, as nothing would reach it any more.
    pub(super) fn refuse_unstored(
        &self,
        state: &State,
        stored: &[(PathKey, Entry)],
        changes: &Changes,
        schemas: &Schemas,
        spellings: &mut Spellings,
    ) -> Result<(), RepoError> {
        let mut lost = Vec::new();
        let mut others = Changes::new();
        let head = self.head_tree(state)?;
        for (key, change) in changes {
            match (&change.old, &change.new) {
                (Some((path, named)), None) if !stored.contains(&(path.key(), named.entry)) => {
                    let committed = lookup_path(&self.nodes, head, path)?.map(|it| it.entry);
                    if committed != Some(named.entry) {
                        lost.push(path.to_string());
                    }
                }
                (Some((old, _)), Some((new, _))) => {
                    // The tracked file is overwritten; what lies beside it under the new spelling is another.
                    if old != new && spellings.of(self, new)?.as_ref() == Some(new) {
                        others.insert(key.clone(), PathChange { old: None, ..change.clone() });
                    }
                    continue;
                }
                (None, Some((new, _))) if lstat(&self.disk_path(new))?.is_none() => {
                    lost.extend(spellings.of(self, new)?.map(|other| other.to_string()));
                }
                _ => {}
            }
            others.insert(key.clone(), change.clone());
        }
        self.find_losses(&others, schemas, &mut Rows::new(), &mut lost)?;
        lost.sort();
        lost.dedup();
        if lost.is_empty() { Ok(()) } else { Err(RepoError::LocalChanges { paths: lost }) }
    }

    /// Refuses what could not be written to its end: a link or a file where a folder has to be, or a folder where
    /// a file has to be, unless it is one that goes.
    pub(super) fn refuse_blocked(&self, changes: &Changes) -> Result<(), RepoError> {
        let goes = |path: &RepoPath| {
            changes.get(&path.key()).is_some_and(|it| it.old.is_some() && it.new.is_none())
        };
        let in_the_way = |path: &RepoPath| Err(RepoError::InTheWay { path: path.to_string() });
        let mut checked = BTreeSet::new();
        for change in changes.values() {
            for (path, _) in change.old.iter().chain(&change.new) {
                let mut above = path.parent();
                while let Some(folder) = above.filter(|folder| checked.insert(folder.clone())) {
                    let found = lstat(&self.disk_path(&folder))?;
                    if found.is_some_and(|it| !it.is_dir()) && !goes(&folder) {
                        return in_the_way(&folder);
                    }
                    above = folder.parent();
                }
            }
            let Some((path, _)) = &change.new else { continue };
            if lstat(&self.disk_path(path))?.is_some_and(|it| it.is_dir()) {
                let files = self.files_below(path)?;
                if files.is_empty() || !files.iter().all(goes) {
                    return in_the_way(path);
                }
            }
        }
        Ok(())
    }
}
