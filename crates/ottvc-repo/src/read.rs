//! Reading: `cat`, `ls`, `show`, `log`.

use std::io::Write;

use ottvc_object::tree::{for_each, lookup_path, walk};
use ottvc_object::value::Document;
use ottvc_object::{
    Commit, CommitId, Entry, FileEntry, FileMode, NamedEntry, RepoPath, Storable, TreeId,
};
use serde::{Serialize, Serializer};

use crate::checkout::Shown;
use crate::content::{self, Kept};
use crate::disputed::Disputed;
use crate::{Repo, RepoError};

/// Writes an id as its hexadecimal text.
pub(crate) fn as_text<T: std::fmt::Display, S: Serializer>(
    value: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// A range of bytes as HTTP spells it: counted from 0, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteRange {
    /// `A-B`, or `A-` where the end is `None`.
    From(u64, Option<u64>),
    /// `-N`: the last N bytes.
    Last(u64),
}

impl std::str::FromStr for ByteRange {
    type Err = RepoError;
    fn from_str(text: &str) -> Result<Self, RepoError> {
        let bad = |why: &str| RepoError::BadArgument {
            given: text.to_owned(),
            wanted: "byte range",
            why: why.to_owned(),
        };
        let number = |digits: &str| {
            digits.parse::<u64>().map_err(|_| bad("write A-B, A- or -N, counted from 0"))
        };
        match text.split_once('-') {
            Some(("", last)) => Ok(Self::Last(number(last)?)),
            Some((from, "")) => Ok(Self::From(number(from)?, None)),
            Some((from, to)) => match (number(from)?, number(to)?) {
                (from, to) if from <= to => Ok(Self::From(from, Some(to))),
                _ => Err(bad("the end lies before the start")),
            },
            None => Err(bad("write A-B, A- or -N, counted from 0")),
        }
    }
}

impl ByteRange {
    /// Returns offset and length of this range in a thing of `len` bytes.
    ///
    /// # Errors
    /// [`ottvc_object::ObjectError::OutOfRange`] if no byte of it is there.
    pub fn within(self, len: u64) -> Result<(u64, u64), RepoError> {
        let (offset, end) = match self {
            Self::From(from, to) => (from, to.map_or(len, |to| to.saturating_add(1)).min(len)),
            Self::Last(count) => (len.saturating_sub(count), len),
        };
        if offset >= end && !(len == 0 && offset == 0) {
            return Err(ottvc_object::ObjectError::OutOfRange { offset, len }.into());
        }
        Ok((offset, end - offset.min(end)))
    }
}

/// One entry as `ls` shows it.
#[derive(Clone, Debug, Serialize)]
pub struct Listed {
    /// `media`, `symlink`, `document`, `tree` or `conflict`.
    pub kind: &'static str,
    /// Bytes: of a file, of a document's canonical form, of everything in a folder.
    pub size: u64,
    /// Content id of a file (what `b3sum` prints), id of anything else.
    pub id: String,
    /// Path in the tree.
    pub path: String,
    /// Whether it is executable.
    pub executable: bool,
    /// How the store keeps it, for a file that was asked for by its name: folders may hold very many.
    #[serde(flatten)]
    pub kept: Kept,
}

/// A commit as JSON shows it.
#[derive(Clone, Debug, Serialize)]
pub struct CommitView {
    /// Its id.
    pub id: String,
    /// Ids of its parents; ours first.
    pub parents: Vec<String>,
    /// Who made it.
    pub author: String,
    /// When, in UTC milliseconds since 1970.
    pub author_time: i64,
    /// Who recorded it.
    pub committer: String,
    /// When it was recorded, in UTC milliseconds since 1970.
    pub time: i64,
    /// Why.
    pub message: String,
    /// Its tree.
    pub tree: String,
    /// The edition it is a state of.
    pub edition: String,
    /// Conflicts it holds, as `PATH` or `PATH#FIELD`.
    pub conflicts: Vec<String>,
    /// The ancestors it was merged from, for a merge.
    pub merge_bases: Vec<String>,
    /// Rules the merge was given.
    pub merge_rules: Vec<String>,
}

impl CommitView {
    /// Shows a commit.
    pub fn of(id: CommitId, commit: &Commit) -> Self {
        let merge = commit.merge.as_ref();
        Self {
            id: id.to_string(),
            parents: commit.parents.iter().map(ToString::to_string).collect(),
            author: commit.author.who.clone(),
            author_time: commit.author.time,
            committer: commit.committer.who.clone(),
            time: commit.committer.time,
            message: commit.message.clone(),
            tree: commit.tree.to_string(),
            edition: commit.edition.to_string(),
            conflicts: commit.conflicts.iter().map(crate::record::place_text).collect(),
            merge_bases: merge
                .map(|merge| merge.bases.iter().map(ToString::to_string).collect())
                .unwrap_or_default(),
            merge_rules: merge.map(|merge| merge.rules.clone()).unwrap_or_default(),
        }
    }
}

impl Repo {
    /// Lists what is at `path` in a tree: the entries of a folder, or the one entry; with `deep`,
    /// everything below, without the folders.
    ///
    /// # Errors
    /// [`RepoError::NoPath`].
    pub fn list(
        &self,
        rev: &str,
        path: &RepoPath,
        deep: bool,
        visit: &mut dyn FnMut(Listed) -> Result<(), RepoError>,
    ) -> Result<(), RepoError> {
        let tree = self.commit(self.resolve(rev)?.id)?.tree;
        let root = if path.is_root() {
            tree
        } else {
            match lookup_path(&self.nodes, tree, path)? {
                Some(NamedEntry { entry: Entry::Tree { id, .. }, .. }) => id,
                Some(named) => {
                    let kept = match named.entry {
                        Entry::File(file) => content::kept(&*self.objects, file.content).ok(),
                        _ => None,
                    };
                    return visit(Listed {
                        kept: kept.unwrap_or_default(),
                        ..listed(path, &named)
                    });
                }
                None => return Err(self.no_path_in(tree, path, rev)?),
            }
        };
        if deep {
            return walk(&self.nodes, root, path, &mut |path, named| {
                if !matches!(named.entry, Entry::Tree { .. }) {
                    visit(listed(path, named))?;
                }
                Ok(true)
            });
        }
        for_each(&self.nodes, root, &mut |named| visit(listed(&path.join(&named.name), named)))
    }

    /// The error for a path that a tree lacks, with paths much like it.
    pub(crate) fn no_path_in(
        &self,
        tree: TreeId,
        path: &RepoPath,
        rev: &str,
    ) -> Result<RepoError, RepoError> {
        let mut names = Vec::new();
        walk(&self.nodes, tree, &RepoPath::root(), &mut |path, _| {
            names.push(path.to_string());
            Ok::<bool, RepoError>(names.len() < 100_000)
        })?;
        Ok(RepoError::NoPath {
            path: path.to_string(),
            place: rev.to_owned(),
            near: crate::revision::near(&path.to_string(), names.into_iter()),
        })
    }

    /// Writes what is at a path of a revision: a file's bytes, or a document as JSON.
    ///
    /// # Errors
    /// [`RepoError::Conflicts`] if it is or holds a conflict and nothing says what to show of it;
    /// [`RepoError::NoPath`] if that is nothing.
    pub fn cat(
        &self,
        rev: &str,
        path: &RepoPath,
        range: Option<ByteRange>,
        disputed: Option<Disputed>,
        out: &mut dyn Write,
    ) -> Result<(), RepoError> {
        let tree = self.commit(self.resolve(rev)?.id)?.tree;
        let Some(named) = lookup_path(&self.nodes, tree, path)? else {
            return Err(self.no_path_in(tree, path, rev)?);
        };
        let shown = self.show(&named.entry, disputed).map_err(|error| match error {
            RepoError::Conflicts { .. } => RepoError::Conflicts { paths: vec![path.to_string()] },
            other => other,
        })?;
        let document = match shown {
            Some(Shown::Document(document)) => document,
            Some(Shown::Entry(Entry::Document { id, .. })) => {
                Document::from_object(&self.objects.get(id.into())?)?
            }
            Some(Shown::Entry(Entry::File(file))) => {
                let reader = content::open(&*self.objects, file.content)?;
                return match range {
                    None => Ok(reader.write_to(out)?),
                    Some(range) => {
                        let (offset, len) = range.within(reader.len())?;
                        Ok(reader.read_range(offset, len, out)?)
                    }
                };
            }
            Some(Shown::Entry(_)) => {
                return Err(RepoError::WrongKind { path: path.to_string(), wanted: "file" });
            }
            None => {
                let place = "what is to be shown of its conflict".to_owned();
                return Err(RepoError::NoPath { path: path.to_string(), place, near: Vec::new() });
            }
        };
        let json = document.to_json_pretty();
        let bytes = match range {
            None => json.as_bytes(),
            Some(range) => {
                let (offset, len) = range.within(json.len() as u64)?;
                let start = usize::try_from(offset).unwrap_or(usize::MAX);
                let end = usize::try_from(offset + len).unwrap_or(usize::MAX);
                json.as_bytes().get(start..end).unwrap_or_default()
            }
        };
        out.write_all(bytes).map_err(crate::scan::io("write", "output"))
    }

    /// Returns the document at a path of a revision, conflicts and all.
    ///
    /// # Errors
    /// [`RepoError::NoPath`], [`RepoError::WrongKind`] if it is no document.
    pub fn document(&self, rev: &str, path: &RepoPath) -> Result<Document, RepoError> {
        let tree = self.commit(self.resolve(rev)?.id)?.tree;
        match lookup_path(&self.nodes, tree, path)? {
            Some(NamedEntry { entry: Entry::Document { id, .. }, .. }) => {
                Ok(Document::from_object(&self.objects.get(id.into())?)?)
            }
            Some(_) => {
                Err(RepoError::WrongKind { path: path.to_string(), wanted: "metadata document" })
            }
            None => Err(self.no_path_in(tree, path, rev)?),
        }
    }
}

/// One entry as `ls` shows it.
fn listed(path: &RepoPath, named: &NamedEntry) -> Listed {
    let (id, executable) = match &named.entry {
        Entry::File(FileEntry { content, mode, .. }) => {
            (content.to_string(), *mode == FileMode::Executable)
        }
        Entry::Document { id, .. } => (id.to_string(), false),
        Entry::Tree { id, .. } => (id.to_string(), false),
        Entry::Conflict(id) => (id.to_string(), false),
    };
    Listed {
        kind: named.entry.word(),
        size: named.entry.totals().bytes,
        id,
        path: path.to_string(),
        executable,
        kept: Kept::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::ByteRange;

    #[test]
    fn ranges_read_as_http_reads_them() {
        let within = |text: &str, len| text.parse::<ByteRange>().unwrap().within(len).ok();
        assert_eq!(within("0-0", 10), Some((0, 1)));
        assert_eq!(within("4-", 10), Some((4, 6)));
        assert_eq!(within("-3", 10), Some((7, 3)));
        assert_eq!(within("-30", 10), Some((0, 10)));
        assert_eq!(within("5-99", 10), Some((5, 5)));
        assert_eq!(within("10-", 10), None);
        assert!("9-2".parse::<ByteRange>().is_err());
        assert!("-".parse::<ByteRange>().is_err());
    }
}
