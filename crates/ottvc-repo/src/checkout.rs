//! Writing a revision's files out to any folder.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use ottvc_object::conflict::{Conflict, ConflictKind};
use ottvc_object::tree::{lookup_path, walk};
use ottvc_object::value::Document;
use ottvc_object::{CommitId, Entry, NamedEntry, RepoPath, Storable, TreeId};
use serde::Serialize;

use crate::disputed::Disputed;
use crate::scan::REPO_FOLDER;
use crate::worktree::Sink;
use crate::{Progress, Repo, RepoError, parallel};

/// What `checkout` wrote.
#[derive(Clone, Debug, Serialize)]
pub struct CheckedOut {
    /// The commit.
    #[serde(serialize_with = "crate::read::as_text")]
    pub commit: CommitId,
    /// The folder.
    pub to: String,
    /// Files and documents written.
    pub files: u64,
    /// Those that were there already, byte for byte.
    pub unchanged: u64,
    /// Bytes of all of them.
    pub bytes: u64,
}

/// Which files to write out, and what to do where something is there.
#[derive(Clone, Debug, Default)]
pub struct CheckoutOptions {
    /// Only these paths and what is below them; all where empty.
    pub paths: Vec<String>,
    /// Only files that match one of these patterns; all where empty.
    pub only: Vec<String>,
    /// Overwrite files that differ.
    pub force: bool,
    /// What to write where there is a conflict.
    pub conflicts: Option<Disputed>,
}

/// Reads patterns as a shell would: `*` stays within a name, `**` does not; a pattern without a slash
/// matches in every folder; what matches a folder matches all below.
///
/// # Errors
/// [`RepoError::BadArgument`] for one that is no pattern.
pub fn patterns(given: &[String]) -> Result<Option<GlobSet>, RepoError> {
    if given.is_empty() {
        return Ok(None);
    }
    let bad = |pattern: &str, error: globset::Error| RepoError::BadArgument {
        given: pattern.to_owned(),
        wanted: "pattern",
        why: error.kind().to_string(),
    };
    let mut set = GlobSetBuilder::new();
    for pattern in given {
        let trimmed = pattern.trim_end_matches('/');
        let rooted = trimmed.strip_prefix('/');
        let base = match rooted {
            Some(rooted) => rooted.to_owned(),
            None if trimmed.contains('/') => trimmed.to_owned(),
            None => format!("**/{trimmed}"),
        };
        for text in [base.clone(), format!("{base}/**")] {
            let glob = GlobBuilder::new(&text).literal_separator(true).build();
            set.add(glob.map_err(|error| bad(pattern, error))?);
        }
    }
    set.build().map(Some).map_err(|error| bad(&given.join(" "), error))
}

/// Refuses to write into the folder of a store: a file there could take the place of one of its own.
fn refuse_store(to: &Path) -> Result<(), RepoError> {
    let there = to.ancestors().find_map(|folder| folder.canonicalize().ok());
    let parts = |path: &Path| path.components().any(|part| part.as_os_str() == REPO_FOLDER);
    match parts(to) || there.is_some_and(|folder| parts(&folder)) {
        true => Err(RepoError::BadArgument {
            given: to.display().to_string(),
            wanted: "folder to write to",
            why: "a store keeps its own files there".into(),
        }),
        false => Ok(()),
    }
}

impl Repo {
    /// Writes the files of `rev` into `to`, which is made if need be. Files are copies: nothing
    /// written out is shared with the store. Every byte is checked on the way.
    ///
    /// # Errors
    /// [`RepoError::LocalChanges`] if a file there differs and `force` is not set, and
    /// [`RepoError::Conflicts`] if the revision holds conflicts and nothing says what to write of them, or that
    /// would be marks in a file; in both cases nothing was written. [`RepoError::NoPath`]; [`RepoError::BadArgument`] for a folder inside a store.
    pub fn checkout(
        &self,
        rev: &str,
        to: &Path,
        options: &CheckoutOptions,
        progress: &dyn Progress,
    ) -> Result<CheckedOut, RepoError> {
        let id = self.resolve(rev)?.id;
        let tree = self.commit(id)?.tree;
        let files = self.select(rev, tree, &options.paths, &options.only)?;
        let files = self.settle_for_reading(files, options.conflicts)?;
        refuse_store(to)?;
        let sink = Sink::open(to)?;
        let mut done = CheckedOut {
            commit: id,
            to: to.display().to_string(),
            files: 0,
            unchanged: 0,
            bytes: files.iter().map(|(_, shown)| shown.bytes()).sum(),
        };
        let mut same = vec![false; files.len()];
        if !sink.is_empty()? {
            let mut differ = Vec::new();
            for ((path, shown), same) in files.iter().zip(&mut same) {
                match sink.look(path)? {
                    None => {}
                    Some(here) if crate::switching::same_file(&shown.entry()?, &here) => {
                        *same = true;
                    }
                    Some(_) => differ.push(path.to_string()),
                }
            }
            if !differ.is_empty() && !options.force {
                return Err(RepoError::LocalChanges { paths: differ });
            }
        }
        let todo = files.iter().zip(same).filter(|(_, same)| !same).map(|(file, _)| file);
        let todo: Vec<_> = todo.collect();
        done.files = todo.len() as u64;
        done.unchanged = files.len() as u64 - done.files;
        let written = AtomicU64::new(0);
        parallel::map(
            self.jobs,
            &todo,
            || Sink::open(to),
            |sink, (path, shown)| {
                match shown {
                    Shown::Entry(entry) => sink.put(&*self.objects, path, entry)?,
                    Shown::Document(document) => sink.put_document(path, document)?,
                };
                let written = shown.bytes() + written.fetch_add(shown.bytes(), Ordering::Relaxed);
                progress.report("writing", written, done.bytes);
                Ok(())
            },
        )?;
        Ok(done)
    }

    /// Everything below `paths` (everything, where there are none) that matches one of `only`; folders
    /// left out.
    ///
    /// # Errors
    /// [`RepoError::NoPath`], or [`RepoError::BadArgument`] for what is no pattern.
    pub(crate) fn select(
        &self,
        rev: &str,
        tree: TreeId,
        paths: &[String],
        only: &[String],
    ) -> Result<Vec<(RepoPath, Entry)>, RepoError> {
        let only = patterns(only)?;
        let mut files: Vec<(RepoPath, Entry)> = Vec::new();
        let mut take = |path: &RepoPath, named: &NamedEntry| {
            let wanted = only.as_ref().is_none_or(|only| only.is_match(path.to_string()));
            if wanted && !matches!(named.entry, Entry::Tree { .. }) {
                files.push((path.clone(), named.entry));
            }
            Ok::<bool, RepoError>(true)
        };
        if paths.is_empty() {
            walk(&self.nodes, tree, &RepoPath::root(), &mut take)?;
        }
        for given in paths {
            let path = RepoPath::new(given.trim_end_matches('/'))?;
            match lookup_path(&self.nodes, tree, &path)? {
                Some(NamedEntry { entry: Entry::Tree { id, .. }, .. }) => {
                    walk(&self.nodes, id, &path, &mut take)?;
                }
                Some(named) => {
                    take(&path, &named)?;
                }
                None if path.is_root() => walk(&self.nodes, tree, &path, &mut take)?,
                None => return Err(self.no_path_in(tree, &path, rev)?),
            }
        }
        Ok(files)
    }

    /// Replaces conflicts by what is to be shown of them; refuses them if nobody said.
    pub(crate) fn settle_for_reading(
        &self,
        files: Vec<(RepoPath, Entry)>,
        disputed: Option<Disputed>,
    ) -> Result<Vec<(RepoPath, Shown)>, RepoError> {
        let files = self.unfold(files, disputed)?;
        let mut refused = Vec::new();
        let mut settled = Vec::with_capacity(files.len());
        let shown = |(): &mut (), (_, entry): &(RepoPath, Entry)| match self.show(entry, disputed) {
            // No reason to stop: all of them are to be named.
            Err(RepoError::Conflicts { .. }) => Ok(Err(())),
            other => other.map(Ok),
        };
        let shown = parallel::map(self.jobs, &files, || Ok(()), shown)?;
        for ((path, _), shown) in files.into_iter().zip(shown) {
            match shown {
                Ok(Some(shown)) => settled.push((path, shown)),
                Ok(None) => {}
                Err(()) => refused.push(path.to_string()),
            }
        }
        match refused.is_empty() {
            true => Ok(settled),
            false => Err(RepoError::Conflicts { paths: refused }),
        }
    }

    /// Puts the files of a folder that the side to be shown has of a conflict where that side has them.
    ///
    /// # Errors
    /// [`RepoError::Conflicts`] naming the paths where something else is.
    fn unfold(
        &self,
        files: Vec<(RepoPath, Entry)>,
        disputed: Option<Disputed>,
    ) -> Result<Vec<(RepoPath, Entry)>, RepoError> {
        let Some(side @ Disputed::Side(_)) = disputed else { return Ok(files) };
        let mut unfolded = Vec::with_capacity(files.len());
        let mut has_folder = false;
        let mut todo = files;
        todo.reverse();
        while let Some((path, entry)) = todo.pop() {
            let chosen = match entry {
                Entry::Conflict(id) => {
                    side.chosen(&Conflict::from_object(&self.objects.get(id.into())?)?)?
                }
                _ => None,
            };
            let Some((Entry::Tree { id, .. }, kind)) = chosen else {
                unfolded.push((path, entry));
                continue;
            };
            has_folder = true;
            // A side of a rename conflict holds the entry where that side put it.
            let at = if kind == ConflictKind::RenameRename { RepoPath::root() } else { path };
            walk(&self.nodes, id, &at, &mut |path, named| {
                if !matches!(named.entry, Entry::Tree { .. }) {
                    todo.push((path.clone(), named.entry));
                }
                Ok::<bool, RepoError>(true)
            })?;
        }
        if !has_folder {
            return Ok(unfolded);
        }
        unfolded.sort_by_cached_key(|(path, _)| path.key());
        unfolded.dedup();
        let pairs = unfolded.iter().zip(unfolded.iter().skip(1));
        let taken = pairs.filter(|((one, _), (next, _))| next.key().0.starts_with(&one.key().0));
        let paths: Vec<String> = taken.map(|((path, _), _)| path.to_string()).collect();
        match paths.is_empty() {
            true => Ok(unfolded),
            false => Err(RepoError::Conflicts { paths }),
        }
    }

    /// What to show for an entry that may be, or hold, a conflict; `None` if nothing is to be.
    ///
    /// # Errors
    /// [`RepoError::Conflicts`], naming no path, if there is a conflict and nobody said what to show: no
    /// side may pose as the truth.
    pub(crate) fn show(
        &self,
        entry: &Entry,
        disputed: Option<Disputed>,
    ) -> Result<Option<Shown>, RepoError> {
        let chosen = || disputed.ok_or(RepoError::Conflicts { paths: Vec::new() });
        match entry {
            Entry::Conflict(id) => {
                let conflict = Conflict::from_object(&self.objects.get((*id).into())?)?;
                Ok(chosen()?.of_entry(&conflict)?.map(Shown::Entry))
            }
            Entry::Document { id, .. } => {
                let document = Document::from_object(&self.objects.get((*id).into())?)?;
                if !document.value().has_conflict() {
                    return Ok(Some(Shown::Entry(*entry)));
                }
                Ok(chosen()?.of_document(&document)?.map(Shown::Document))
            }
            Entry::File(_) | Entry::Tree { .. } => Ok(Some(Shown::Entry(*entry))),
        }
    }
}

/// What to show for an entry.
#[derive(Debug)]
pub(crate) enum Shown {
    /// What the tree has.
    Entry(Entry),
    /// A document as it is to be shown, not as it is stored.
    Document(Document),
}

impl Shown {
    /// The entry it would be in a tree.
    fn entry(&self) -> Result<Entry, RepoError> {
        match self {
            Self::Entry(entry) => Ok(*entry),
            Self::Document(document) => {
                let object = document.to_object()?;
                Ok(Entry::Document { id: object.id().into(), len: object.bytes().len() as u64 })
            }
        }
    }
    /// Its size in bytes, nearly.
    fn bytes(&self) -> u64 {
        self.entry().map(|entry| entry.totals().bytes).unwrap_or_default()
    }
}
