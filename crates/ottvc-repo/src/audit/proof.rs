//! A proof that a commit names a content id, for people who do not have the repository.
//!
//! A proof holds the canonical bytes of the commit and of the tree nodes on the way down to one entry.
//! Each hashes to the id that the one before it names, so whoever trusts the commit id needs to trust
//! nobody else. For a file it also holds how the repository keeps it: the manifest, the pages that list
//! the chunks asked about, and their place under the manifest's Merkle root. No commit names a manifest,
//! so that part is what the repository *says*; the file's bytes show whether it is so (`check`).
//! `docs/format-proof.md` states every byte.

mod check;
mod media;

use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ottvc_object::manifest::{Manifest, merkle_proof};
use ottvc_object::tree::sequence::{ChunkPosition, Page, Pages};
use ottvc_object::tree::{EMPTY_TREE, Node, Nodes, lookup};
use ottvc_object::{
    ChunkId, ContentId, Entry, FileEntry, Object, ObjectError, ObjectId, PageId, RepoPath,
    Storable, TreeId,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::content::{self, ContentError};
use crate::read::ByteRange;
use crate::{Repo, RepoError};

pub use check::{Broken, ChunksProved, CommitProved, Proved};
pub use media::{Compared, Verdict};

/// The longest proof there is, in bytes of JSON.
pub const MAX_PROOF_BYTES: usize = 64 << 20;
/// The most chunks one proof is about: 16 GiB of media.
pub const MAX_CHUNKS: usize = 1 << 16;
/// The most tree nodes, or pages, in one proof.
const MAX_OBJECTS: usize = 1 << 12;
/// The most hashes beside the chunks.
const MAX_SIBLINGS: usize = 128;
/// What the member `format` says.
const FORMAT: &str = "ottvc proof";
/// The version of the layout.
const VERSION: u32 = 1;

/// A proof, as its JSON document has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    format: String,
    version: u32,
    commit: Part,
    path: String,
    nodes: Vec<Part>,
    #[serde(deserialize_with = "written_down")]
    file: Option<FilePart>,
}

/// An object: its id and its canonical bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    id: Id,
    #[serde(with = "in_base64")]
    bytes: Vec<u8>,
}

/// How the repository keeps the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FilePart {
    manifest: Part,
    pages: Vec<Part>,
    /// Index of the first of `chunks`.
    first: u64,
    chunks: Vec<ChunkPart>,
    siblings: Vec<Id>,
}

/// A chunk and its place in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChunkPart {
    id: Id,
    offset: u64,
    length: u32,
}

impl From<ChunkPosition> for ChunkPart {
    fn from(position: ChunkPosition) -> Self {
        let ChunkPosition { start, chunk, .. } = position;
        Self { id: Id(chunk.id.0), offset: start, length: chunk.len }
    }
}

/// Reads a member that is there even where it is `null`: one that is left out is a proof cut short.
fn written_down<'de, D: Deserializer<'de>>(from: D) -> Result<Option<FilePart>, D::Error> {
    Option::deserialize(from)
}

/// 32 bytes, as 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Id([u8; 32]);

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&ObjectId(self.0))
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let id: ObjectId =
            String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)?;
        Ok(Self(id.0))
    }
}

/// Bytes as base64 with padding (RFC 4648, section 4), in its one canonical spelling.
mod in_base64 {
    use super::{Deserialize, Deserializer, Engine, STANDARD, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}

impl From<&Object> for Part {
    fn from(object: &Object) -> Self {
        Self { id: Id(object.id().0), bytes: object.bytes().to_vec() }
    }
}

impl Proof {
    /// Reads a proof; says nothing yet about whether it holds.
    ///
    /// # Errors
    /// [`RepoError::BadProof`] for bytes that are no proof, [`ObjectError::TooLarge`] past a limit.
    pub fn from_json(bytes: &[u8]) -> Result<Self, RepoError> {
        let bad = |why: String| RepoError::BadProof { why };
        within("proof", bytes.len(), MAX_PROOF_BYTES)?;
        let proof: Self = serde_json::from_slice(bytes).map_err(|error| bad(error.to_string()))?;
        if proof.format != FORMAT {
            return Err(bad(format!("its format is not `{FORMAT}`")));
        }
        if proof.version != VERSION {
            return Err(bad(format!("version {} is not known here", proof.version)));
        }
        proof.limits()?;
        Ok(proof)
    }

    /// The proof as indented JSON, ending in a newline.
    ///
    /// # Errors
    /// [`ObjectError::TooLarge`] if nobody could read it back.
    pub fn to_json(&self) -> Result<String, RepoError> {
        self.limits()?;
        let mut text = serde_json::to_string_pretty(self)
            .map_err(|error| RepoError::BadProof { why: error.to_string() })?;
        text.push('\n');
        within("proof", text.len(), MAX_PROOF_BYTES)?;
        Ok(text)
    }

    /// Whether the chunks of a file are part of it.
    pub fn has_chunks(&self) -> bool {
        self.file.is_some()
    }

    fn limits(&self) -> Result<(), RepoError> {
        within("proof, in tree nodes,", self.nodes.len(), MAX_OBJECTS)?;
        if let Some(file) = &self.file {
            within("proof, in pages,", file.pages.len(), MAX_OBJECTS)?;
            within("proof, in chunks,", file.chunks.len(), MAX_CHUNKS)?;
            within("proof, in hashes,", file.siblings.len(), MAX_SIBLINGS)?;
        }
        Ok(())
    }
}

fn within(what: &'static str, len: usize, limit: usize) -> Result<(), ObjectError> {
    if len <= limit {
        return Ok(());
    }
    Err(ObjectError::TooLarge { what, len: len as u64, limit: limit as u64 })
}

impl Repo {
    /// Proves what `rev` has at `path`; of a file also the chunks that hold `range`.
    ///
    /// Without a range it is about all chunks of a file, as long as those are no more than
    /// [`MAX_CHUNKS`], and about none of a longer one. Reads no chunk.
    ///
    /// # Errors
    /// [`RepoError::NoPath`]; [`RepoError::WrongKind`] for the root, which no entry names, and for a
    /// range of what is no file; [`ObjectError::TooLarge`] for a range of too many chunks.
    pub fn prove(
        &self,
        rev: &str,
        path: &RepoPath,
        range: Option<ByteRange>,
    ) -> Result<Proof, RepoError> {
        let wrong = |wanted| RepoError::WrongKind { path: path.to_string(), wanted };
        if path.is_root() {
            return Err(wrong("entry of a tree: name a path in it"));
        }
        let commit = self.objects.get(self.resolve(rev)?.id.into())?;
        let tree = ottvc_object::Commit::from_object(&commit)?.tree;
        let nodes = Recorder::new(&self.nodes);
        let Some((path, entry)) = find(&nodes, tree, path)? else {
            return Err(self.no_path_in(tree, path, rev)?);
        };
        let file = match (entry, range) {
            (Entry::File(file), range) => self.prove_chunks(&file, range)?,
            (_, None) => None,
            (_, Some(_)) => return Err(wrong("file, and only files have ranges")),
        };
        let nodes = nodes.seen.into_inner();
        let nodes = nodes.into_iter().map(|id| self.part(id.into()));
        Ok(Proof {
            format: FORMAT.into(),
            version: VERSION,
            commit: Part::from(&commit),
            path: path.to_string(),
            nodes: nodes.collect::<Result<_, RepoError>>()?,
            file,
        })
    }

    fn part(&self, id: ObjectId) -> Result<Part, RepoError> {
        Ok(Part::from(&self.objects.get(id)?))
    }

    fn prove_chunks(
        &self,
        file: &FileEntry,
        range: Option<ByteRange>,
    ) -> Result<Option<FilePart>, RepoError> {
        let reader = content::open(&*self.objects, file.content)?;
        let manifest = reader.manifest();
        let Some(list) = manifest.layout.plain() else {
            // Chunks of its streams are no pieces of the file: what is proved is the whole.
            return match range {
                None => Ok(None),
                Some(_) => Err(RepoError::BadArgument {
                    given: file.content.to_string(),
                    wanted: "file that is kept as it lies, of which a part can be proved",
                    why: "it is kept by its tracks; leave out the range".into(),
                }),
            };
        };
        let bytes = match range {
            Some(range) => {
                let (offset, len) = range.within(manifest.len)?;
                offset..offset.saturating_add(len)
            }
            None if list.count() > MAX_CHUNKS as u64 => return Ok(None),
            None => 0..manifest.len,
        };
        let pages = PageRecorder { repo: self, seen: RefCell::default() };
        let mut positions: Vec<ChunkPosition> = Vec::new();
        list.for_each(&pages, bytes, &mut |position| {
            positions.push(position);
            Ok::<(), RepoError>(within("range, in chunks,", positions.len(), MAX_CHUNKS)?)
        })?;
        let first = positions.first().map_or(0, |position| position.index);
        let from = usize::try_from(first).unwrap_or(usize::MAX);
        let mut all: Vec<ChunkId> = Vec::new();
        reader.chunks(0..u64::MAX, &mut |position| {
            all.push(position.chunk.id);
            Ok::<(), ContentError>(())
        })?;
        let siblings = merkle_proof(all, from..from.saturating_add(positions.len()));
        let pages = pages.seen.into_inner();
        let pages = pages.into_iter().map(|id| self.part(id.into()));
        Ok(Some(FilePart {
            manifest: Part::from(&manifest.to_object()?),
            pages: pages.collect::<Result<_, RepoError>>()?,
            first,
            chunks: positions.into_iter().map(ChunkPart::from).collect(),
            siblings: siblings.into_iter().map(Id).collect(),
        }))
    }
}

/// Goes down from the root of a tree; returns the entry, and its path as the tree spells it.
fn find<N: Nodes>(
    nodes: &N,
    tree: TreeId,
    path: &RepoPath,
) -> Result<Option<(RepoPath, Entry)>, N::Error> {
    let mut folder = Some(tree);
    let mut spelled = RepoPath::root();
    let mut found = None;
    for name in path.names() {
        let Some(id) = folder else { return Ok(None) };
        let Some(named) = lookup(nodes, id, &name.key())? else { return Ok(None) };
        spelled = spelled.join(&named.name);
        folder = match named.entry {
            Entry::Tree { id, .. } => Some(id),
            _ => None,
        };
        found = Some(named.entry);
    }
    Ok(found.map(|entry| (spelled, entry)))
}

/// Tree nodes that are read, each once, in the order in which they first are.
struct Recorder<'n, N> {
    below: &'n N,
    seen: RefCell<Vec<TreeId>>,
}

impl<'n, N> Recorder<'n, N> {
    fn new(below: &'n N) -> Self {
        Self { below, seen: RefCell::default() }
    }
}

impl<N: Nodes> Nodes for Recorder<'_, N> {
    type Error = N::Error;

    fn node(&self, id: TreeId) -> Result<Arc<Node>, N::Error> {
        let node = self.below.node(id)?;
        // Known to everyone, so nobody stores it.
        if id != EMPTY_TREE && !self.seen.borrow().contains(&id) {
            self.seen.borrow_mut().push(id);
        }
        Ok(node)
    }
}

/// Pages of a chunk list that are read, in order.
struct PageRecorder<'r> {
    repo: &'r Repo,
    seen: RefCell<Vec<PageId>>,
}

impl Pages for PageRecorder<'_> {
    type Error = RepoError;

    fn page(&self, id: PageId) -> Result<Arc<Page>, RepoError> {
        let page = Page::from_object(&self.repo.objects.get(id.into())?)?;
        if !self.seen.borrow().contains(&id) {
            self.seen.borrow_mut().push(id);
        }
        Ok(Arc::new(page))
    }
}

/// The bytes that chunks lie at, from the first to the last.
fn span(chunks: &[ChunkPart]) -> Range<u64> {
    let start = chunks.first().map_or(0, |chunk| chunk.offset);
    let end = chunks.last().map_or(0, |chunk| chunk.offset.saturating_add(chunk.length.into()));
    start..end
}
