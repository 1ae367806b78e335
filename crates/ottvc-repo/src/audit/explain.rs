//! Why two files or two editions share what they share.
//!
//! Bytes are shared by whole chunks: two files that have a run of bytes in common are cut alike
//! inside it, wherever it lies in each; files that are kept by their tracks, track by track. Metadata
//! documents are shared whole or not at all.

use std::collections::{BTreeMap, HashMap};

use ottvc_object::tree::{lookup_path, walk};
use ottvc_object::{ChunkId, CommitId, ContentId, DocumentId, Entry, NamedEntry, RepoPath};
use serde::Serialize;

use crate::content::{self, ByteSpan, Kept, NewRange, TrackShare};
use crate::revision::Revision;
use crate::{Repo, RepoError};

/// How many files of the first edition are named beside one of the second.
const MAX_NAMED: usize = 3;
/// In how many files of the first edition a chunk is looked for; a chunk of silence may be in all.
const MAX_OWNERS: usize = 32;

/// Why two files or two editions share what they share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum ExplainReport {
    /// Two files, or two documents.
    Files(FileShare),
    /// Two editions, or a folder in each.
    Editions(EditionShare),
}

/// One side of a comparison.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Compared {
    /// As given.
    pub name: String,
    /// The commit it was found in.
    pub commit: String,
    /// Its bytes; of a folder, those of everything below.
    pub bytes: u64,
    /// Content id of a file, id of a document; `None` for a folder.
    pub id: Option<String>,
    /// How it is kept, for a file.
    #[serde(flatten)]
    pub kept: Kept,
}

/// A run of bytes that both files have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SharedRange {
    /// How many bytes come before it in the first file.
    pub a_offset: u64,
    /// How many bytes come before it in the second.
    pub b_offset: u64,
    /// How many bytes it has.
    pub length: u64,
}

/// What two files have in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileShare {
    /// The first file.
    pub a: Compared,
    /// The second.
    pub b: Compared,
    /// Whether they are the same to the byte.
    pub same: bool,
    /// Bytes of the second that lie in chunks of the first.
    pub shared_bytes: u64,
    /// Its other bytes.
    pub new_bytes: u64,
    /// Where the shared bytes are, in order of the second file; neighbouring chunks are one run. None
    /// are told where one of the files is kept by its tracks: a piece for every frame would say
    /// nothing.
    pub shared: Vec<SharedRange>,
    /// Where the new bytes are in the second file.
    pub new: Vec<NewRange>,
    /// What their tracks have in common, where both are kept by them and they are not the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracks: Option<Vec<TrackShare>>,
    /// Best common ancestors of the two commits: where what they share may come from.
    pub common: Vec<String>,
}

/// What two editions have in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EditionShare {
    /// The first edition.
    pub a: Compared,
    /// The second.
    pub b: Compared,
    /// One row for each file and document of the second, in path order.
    pub paths: Vec<PathShare>,
    /// Bytes of the second that the first has too.
    pub shared_bytes: u64,
    /// Its other bytes.
    pub new_bytes: u64,
    /// Best common ancestors of the two commits: where what they share may come from.
    pub common: Vec<String>,
}

/// One path of the second edition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PathShare {
    /// The path.
    pub path: String,
    /// `same` if the first edition has it to the byte, `shares` if it has part of it, else `new`;
    /// `conflict` for what is no file yet.
    pub status: &'static str,
    /// Its bytes.
    pub bytes: u64,
    /// Bytes of it that the first edition has somewhere.
    pub shared_bytes: u64,
    /// The files of the first edition it shares most with, the most first; at most three. The same
    /// bytes may lie in several.
    pub with: Vec<SharedWith>,
}

/// A file of the first edition, and how much of one of the second it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SharedWith {
    /// The path in the first edition.
    pub path: String,
    /// Bytes of the second's file that it has.
    pub bytes: u64,
}

/// What an argument stands for.
struct Found {
    compared: Compared,
    commit: CommitId,
    /// `None` for a whole edition.
    named: Option<NamedEntry>,
    path: RepoPath,
}

impl Repo {
    /// Explains what `b` shares with `a`: each `REV`, a whole edition, or `REV:PATH`. Reads chunk
    /// lists, and of files that are kept by their tracks what says where those lie; no other chunk.
    ///
    /// # Errors
    /// [`RepoError::NoPath`], [`RepoError::WrongKind`] for a file and a folder, or a conflict.
    pub fn explain(&self, a: &str, b: &str) -> Result<ExplainReport, RepoError> {
        let (a, b) = (self.find(a)?, self.find(b)?);
        let common = self.common_ancestors(a.commit, b.commit)?;
        let common = common.iter().map(ToString::to_string).collect();
        let folder = |found: &Found| {
            found.named.as_ref().is_none_or(|named| matches!(named.entry, Entry::Tree { .. }))
        };
        match (folder(&a), folder(&b)) {
            (true, true) => Ok(ExplainReport::Editions(self.explain_editions(a, b, common)?)),
            (false, false) => Ok(ExplainReport::Files(self.explain_files(a, b, common)?)),
            (true, false) => Err(wrong_kind(a, "file")),
            (false, true) => Err(wrong_kind(b, "file")),
        }
    }

    fn find(&self, given: &str) -> Result<Found, RepoError> {
        let (Revision { id, .. }, path) = self.resolve_path(given)?;
        let tree = self.commit(id)?.tree;
        let named = match path.is_root() {
            true => None,
            false => Some(match lookup_path(&self.nodes, tree, &path)? {
                Some(named) => named,
                None => return Err(self.no_path_in(tree, &path, given)?),
            }),
        };
        let (bytes, shown) = match &named {
            None => (ottvc_object::tree::totals(&self.nodes, tree)?.bytes, None),
            Some(named) => match named.entry {
                Entry::File(file) => (file.len, Some(file.content.to_string())),
                Entry::Document { id, len } => (len, Some(id.to_string())),
                Entry::Tree { totals, .. } => (totals.bytes, None),
                Entry::Conflict(_) => (0, None),
            },
        };
        // It is said in passing: what cannot be read fails where it is needed.
        let kept = match named.as_ref().map(|named| named.entry) {
            Some(Entry::File(file)) => content::kept(&*self.objects, file.content).ok(),
            _ => None,
        };
        let compared = Compared {
            name: given.to_owned(),
            commit: id.to_string(),
            bytes,
            id: shown,
            kept: kept.unwrap_or_default(),
        };
        Ok(Found { compared, commit: id, named, path })
    }

    fn explain_files(
        &self,
        a: Found,
        b: Found,
        common: Vec<String>,
    ) -> Result<FileShare, RepoError> {
        let entries = (a.named.as_ref().map(|it| it.entry), b.named.as_ref().map(|it| it.entry));
        let len = b.compared.bytes;
        let found: Common = match entries {
            (Some(Entry::File(from)), Some(Entry::File(to))) => {
                let by_tracks = [&a, &b].iter().any(|side| side.compared.kept.tracks.is_some());
                match by_tracks && from.content != to.content {
                    true => {
                        content::shared_ranges(&*self.objects, from.content, to.content)?.into()
                    }
                    false => self.runs(from.content, to.content, to.len)?.into(),
                }
            }
            (Some(Entry::Document { id: from, .. }), Some(Entry::Document { id: to, .. })) => {
                Runs::whole((from == to).then_some(0), len).into()
            }
            (Some(Entry::Conflict(_)), _) => return Err(wrong_kind(a, "settled file")),
            (_, Some(Entry::Conflict(_))) => return Err(wrong_kind(b, "settled file")),
            // A file and a document are kept in different ways and share nothing.
            _ => Runs::whole(None, len).into(),
        };
        let Common { shared_bytes, shared, new, tracks } = found;
        Ok(FileShare {
            same: a.compared.id == b.compared.id,
            new_bytes: len.saturating_sub(shared_bytes),
            shared_bytes,
            shared,
            new,
            tracks,
            a: a.compared,
            b: b.compared,
            common,
        })
    }

    /// Finds the runs of file `b` that file `a` has.
    fn runs(&self, a: ContentId, b: ContentId, len: u64) -> Result<Runs, RepoError> {
        if a == b {
            return Ok(Runs::whole(Some(0), len));
        }
        let mut runs = Runs::default();
        // Every place of every chunk of `a`, ascending: one that is repeated continues any of them.
        let mut places: HashMap<ChunkId, Vec<u64>> = HashMap::new();
        content::chunks(&*self.objects, a, &mut |position| {
            places.entry(position.chunk.id).or_default().push(position.start);
            Ok(())
        })?;
        content::chunks(&*self.objects, b, &mut |position| {
            let next = runs.next_in_a();
            let place = places.get(&position.chunk.id).and_then(|places| {
                let goes_on = next.filter(|next| places.binary_search(next).is_ok());
                goes_on.or_else(|| places.first().copied())
            });
            runs.add(place, u64::from(position.chunk.len));
            Ok(())
        })?;
        Ok(runs)
    }

    fn explain_editions(
        &self,
        a: Found,
        b: Found,
        common: Vec<String>,
    ) -> Result<EditionShare, RepoError> {
        let known = self.known_files(&a)?;
        let mut paths = Vec::new();
        let mut media = Vec::new();
        self.each_file(&b, &mut |path, entry| {
            let totals = entry.totals();
            let row = |status, shared_bytes, with: Option<&RepoPath>| PathShare {
                path: path.to_string(),
                status,
                bytes: totals.bytes,
                shared_bytes,
                with: with
                    .map(|path| SharedWith { path: path.to_string(), bytes: totals.bytes })
                    .into_iter()
                    .collect(),
            };
            let same = known.at.get(path).filter(|other| *other == entry).map(|_| path);
            paths.push(match entry {
                Entry::Conflict(_) => row("conflict", 0, None),
                Entry::Document { id, .. } => match same.or_else(|| known.documents.get(id)) {
                    Some(path) => row("same", totals.bytes, Some(path)),
                    None => row("new", 0, None),
                },
                Entry::File(file) => match same.or_else(|| known.contents.get(&file.content)) {
                    Some(path) => row("same", totals.bytes, Some(path)),
                    None => {
                        media.push((paths.len(), file.content));
                        row("new", 0, None)
                    }
                },
                Entry::Tree { .. } => return,
            });
        })?;
        // Chunks are looked at only where whole files did not settle it.
        if !media.is_empty() {
            let owners = self.owners(&known)?;
            for (at, content) in media {
                if let Some(row) = paths.get_mut(at) {
                    self.share_by_chunk(&owners, content, row)?;
                }
            }
        }
        // A forged tree may give its files any length.
        let shared_bytes =
            paths.iter().fold(0_u64, |sum, row| sum.saturating_add(row.shared_bytes));
        Ok(EditionShare {
            new_bytes: b.compared.bytes.saturating_sub(shared_bytes),
            shared_bytes,
            paths,
            a: a.compared,
            b: b.compared,
            common,
        })
    }

    /// Visits every file, document and conflict of an edition or folder.
    fn each_file(
        &self,
        found: &Found,
        visit: &mut dyn FnMut(&RepoPath, &Entry),
    ) -> Result<(), RepoError> {
        let root = match &found.named {
            Some(NamedEntry { entry: Entry::Tree { id, .. }, .. }) => *id,
            _ => self.commit(found.commit)?.tree,
        };
        walk(&self.nodes, root, &found.path, &mut |path, named| {
            visit(path, &named.entry);
            Ok::<bool, RepoError>(true)
        })
    }

    fn known_files(&self, a: &Found) -> Result<Known, RepoError> {
        let mut known = Known::default();
        self.each_file(a, &mut |path, entry| {
            match *entry {
                Entry::File(file) => {
                    known.contents.entry(file.content).or_insert_with(|| path.clone());
                }
                Entry::Document { id, .. } => {
                    known.documents.entry(id).or_insert_with(|| path.clone());
                }
                Entry::Tree { .. } | Entry::Conflict(_) => return,
            }
            known.at.insert(path.clone(), *entry);
        })?;
        Ok(known)
    }

    /// Says for each chunk of an edition's files which of them have it.
    fn owners(&self, known: &Known) -> Result<Owners, RepoError> {
        let mut owners = Owners::default();
        for (content, path) in &known.contents {
            let file = owners.paths.len();
            owners.paths.push(path.to_string());
            content::chunks(&*self.objects, *content, &mut |position| {
                let files = owners.chunks.entry(position.chunk.id).or_default();
                if files.last() != Some(&file) && files.len() < MAX_OWNERS {
                    files.push(file);
                }
                Ok(())
            })?;
        }
        Ok(owners)
    }

    /// Fills in what one file shares with the files of the other edition.
    fn share_by_chunk(
        &self,
        owners: &Owners,
        content: ContentId,
        row: &mut PathShare,
    ) -> Result<(), RepoError> {
        let mut bytes: HashMap<usize, u64> = HashMap::new();
        let known = |id: &ChunkId| owners.chunks.contains_key(id);
        content::weigh(&*self.objects, content, &known, &mut |id, len| {
            if let Some(files) = owners.chunks.get(&id) {
                row.shared_bytes += len;
                for file in files {
                    *bytes.entry(*file).or_default() += len;
                }
            }
        })?;
        let named = bytes.into_iter().filter_map(|(file, bytes)| {
            owners.paths.get(file).map(|path| SharedWith { path: path.clone(), bytes })
        });
        row.with = named.collect();
        // The most first; of equals the file at the same path, then in path order.
        row.with.sort_by(|x, y| {
            let key = |it: &SharedWith| (it.bytes, it.path == row.path);
            key(y).cmp(&key(x)).then_with(|| x.path.cmp(&y.path))
        });
        row.with.truncate(MAX_NAMED);
        if row.shared_bytes > 0 {
            row.status = "shares";
        }
        Ok(())
    }
}

/// What an edition has, to be looked up by content.
#[derive(Default)]
struct Known {
    at: HashMap<RepoPath, Entry>,
    contents: BTreeMap<ContentId, RepoPath>,
    documents: HashMap<DocumentId, RepoPath>,
}

/// Which files have a chunk, as indices into `paths`.
#[derive(Default)]
struct Owners {
    paths: Vec<String>,
    chunks: HashMap<ChunkId, Vec<usize>>,
}

/// What two files have in common.
struct Common {
    shared_bytes: u64,
    shared: Vec<SharedRange>,
    new: Vec<NewRange>,
    tracks: Option<Vec<TrackShare>>,
}

impl From<Runs> for Common {
    fn from(Runs { shared, new, .. }: Runs) -> Self {
        let shared_bytes = shared.iter().map(|range| range.length).sum();
        let new = new.into_iter().map(NewRange::from).collect();
        Self { shared_bytes, shared, new, tracks: None }
    }
}

impl From<content::Shared> for Common {
    fn from(content::Shared { bytes, new_ranges: new, tracks }: content::Shared) -> Self {
        Self { shared_bytes: bytes, shared: Vec::new(), new, tracks }
    }
}

/// Runs of a file, grown chunk by chunk.
#[derive(Debug, Default, PartialEq, Eq)]
struct Runs {
    shared: Vec<SharedRange>,
    new: Vec<ByteSpan>,
    len: u64,
}

impl Runs {
    /// The one run that a file of `len` bytes is, which the other file has at `place`, if at all.
    fn whole(place: Option<u64>, len: u64) -> Self {
        let mut runs = Self::default();
        runs.add(place, len);
        runs
    }

    /// Where the other file would have to have the next chunk for the last run to go on.
    fn next_in_a(&self) -> Option<u64> {
        let last = self.shared.last()?;
        (last.b_offset + last.length == self.len).then_some(last.a_offset + last.length)
    }

    /// Adds the next `length` bytes, which the other file has at `place`, if at all.
    fn add(&mut self, place: Option<u64>, length: u64) {
        let offset = self.len;
        let next = self.next_in_a();
        self.len += length;
        if length == 0 {
            return;
        }
        match place {
            Some(a_offset) => match self.shared.last_mut() {
                Some(last) if next == Some(a_offset) => last.length += length,
                _ => self.shared.push(SharedRange { a_offset, b_offset: offset, length }),
            },
            None => match self.new.last_mut() {
                Some(last) if last.offset + last.length == offset => last.length += length,
                _ => self.new.push(ByteSpan { offset, length }),
            },
        }
    }
}

fn wrong_kind(found: Found, wanted: &'static str) -> RepoError {
    RepoError::WrongKind { path: found.compared.name, wanted }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_chunks_are_one_run_if_they_are_neighbours_in_both() {
        let mut runs = Runs::default();
        for (place, length) in [(Some(0), 10), (Some(10), 5), (None, 7), (None, 1), (Some(15), 4)] {
            runs.add(place, length);
        }
        // Bytes were inserted: the run goes on in `a` but not in `b`.
        let shared = [(0, 0, 15), (15, 23, 4)];
        let range = |(a_offset, b_offset, length)| SharedRange { a_offset, b_offset, length };
        assert_eq!(runs.shared, shared.map(range));
        assert_eq!(runs.new, [ByteSpan { offset: 15, length: 8 }]);
        // Bytes were removed: neighbours in `b`, a gap in `a`.
        runs.add(Some(40), 3);
        assert_eq!(runs.shared.len(), 3);
        assert_eq!(runs.len, 30);
    }
}
