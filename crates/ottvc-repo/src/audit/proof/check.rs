//! Whether a proof holds, told from the proof alone.
//!
//! The same code that reads a tree in a repository reads it here, from the objects in the proof; what it
//! says of a tree or chunk list is then true of every repository that has this commit. What is claimed
//! is taken from hashed bytes. The other members of the document only have to agree with them, and
//! nothing may be left over, so that there is no part of a proof that nobody looked at.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use ottvc_object::manifest::{ChunkList, merkle_proof_holds};
use ottvc_object::{Commit, CommitId, DocumentId};

use super::{
    ChunkId, ChunkPart, ContentId, EMPTY_TREE, Entry, FilePart, Id, Manifest, Node, Nodes, Object,
    ObjectError, Page, PageId, Pages, Part, Proof, Recorder, RepoPath, Serialize, Storable, TreeId,
    find, span,
};
use crate::read::as_text;

/// Why a proof does not hold: a finding, in words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Broken(pub(super) String);

impl From<ObjectError> for Broken {
    fn from(error: ObjectError) -> Self {
        Self(error.to_string())
    }
}

/// What a proof that holds is about. The commit names all of it but the chunks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Proved {
    /// The commit.
    pub commit: CommitProved,
    /// The path, as the tree spells it.
    pub path: String,
    /// `media`, `symlink`, `document`, `tree` or `conflict`.
    pub kind: &'static str,
    /// Content id of a file (what `b3sum` prints), id of anything else.
    pub id: String,
    /// Bytes: of a file, of a document's canonical form, of everything in a folder.
    pub bytes: u64,
    /// Where chunks of the file are, as the repository says.
    pub chunks: Option<ChunksProved>,
    #[serde(skip)]
    pub(super) entry: Entry,
    #[serde(skip)]
    pub(super) list: Vec<ChunkPart>,
}

/// The commit that a proof begins with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CommitProved {
    /// Its id: the one thing to know from elsewhere.
    #[serde(serialize_with = "as_text")]
    pub id: CommitId,
    /// Its tree.
    #[serde(serialize_with = "as_text")]
    pub tree: TreeId,
    /// Who made it.
    pub author: String,
    /// When it was recorded, in UTC milliseconds since 1970.
    pub time: i64,
    /// Why.
    pub message: String,
}

/// Chunks of a file, and the root that they are under.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChunksProved {
    /// The manifest that lists them, which no commit names.
    pub manifest: String,
    /// Root over all chunk ids of the file.
    pub merkle_root: String,
    /// How many chunks are under that root.
    pub of: u64,
    /// Index of the first.
    pub first: u64,
    /// How many there are.
    pub count: u64,
    /// Where the first begins in the file.
    pub offset: u64,
    /// How many bytes they have together.
    pub length: u64,
}

impl Proof {
    /// Says what this proof shows, or why it shows nothing. Reads nothing but the proof.
    ///
    /// # Errors
    /// [`Broken`] with the first link that does not hold.
    pub fn check(&self) -> Result<Proved, Broken> {
        let object = self.commit.open("the commit")?;
        let commit = Commit::from_object(&object)?;
        let nodes = Known::open(&self.nodes, "a tree node")?;
        let path = RepoPath::new(&self.path)?;
        let recorder = Recorder::new(&nodes);
        let Some((spelled, entry)) = find(&recorder, commit.tree, &path)? else {
            return Err(Broken(format!("the tree of the commit has no `{path}`")));
        };
        if spelled != path {
            return Err(Broken(format!("the tree of the commit spells the path `{spelled}`")));
        }
        let seen: Vec<[u8; 32]> = recorder.seen.into_inner().iter().map(|id| id.0).collect();
        in_order(&self.nodes, &seen, "tree nodes")?;
        let chunks = match (&self.file, entry) {
            (None, _) => None,
            (Some(part), Entry::File(file)) => Some(part.check(file.content, file.len)?),
            (Some(_), _) => return Err(Broken("it has chunks of what is no file".into())),
        };
        let id = match entry {
            Entry::File(file) => file.content.to_string(),
            Entry::Document { id, .. } => id.to_string(),
            Entry::Tree { id, .. } => id.to_string(),
            Entry::Conflict(id) => id.to_string(),
        };
        Ok(Proved {
            commit: CommitProved {
                id: object.id().into(),
                tree: commit.tree,
                author: commit.author.who,
                time: commit.committer.time,
                message: commit.message,
            },
            path: spelled.to_string(),
            kind: entry.word(),
            id,
            bytes: entry.totals().bytes,
            chunks,
            entry,
            list: self.file.as_ref().map(|file| file.chunks.clone()).unwrap_or_default(),
        })
    }
}

impl FilePart {
    fn check(&self, content: ContentId, len: u64) -> Result<ChunksProved, Broken> {
        let object = self.manifest.open("the manifest")?;
        let manifest = Manifest::from_object(&object)?;
        if (manifest.content, manifest.len) != (content, len) {
            return Err(Broken("the manifest is that of another file".into()));
        }
        let Some(list) = manifest.layout.plain() else {
            return Err(Broken("the manifest lists chunks of streams, not of the file".into()));
        };
        let pages =
            KnownPages { known: Known::open(&self.pages, "a page")?, seen: RefCell::default() };
        let bytes = span(&self.chunks);
        let mut positions = Vec::new();
        list.for_each(&pages, bytes.clone(), &mut |position| {
            positions.push(position);
            Ok::<(), Broken>(())
        })?;
        // The page at the top says how much is below it; the manifest must say the same.
        if let (ChunkList::Paged { root, count }, false) = (list, bytes.is_empty()) {
            let top = pages.page(*root)?;
            if (top.count(), top.bytes()) != (*count, len) {
                return Err(Broken("the pages are not as long as the manifest says".into()));
            }
        }
        let seen: Vec<[u8; 32]> = pages.seen.into_inner().iter().map(|id| id.0).collect();
        in_order(&self.pages, &seen, "pages")?;
        let first = positions.first().map_or(0, |position| position.index);
        let listed: Vec<ChunkPart> = positions.into_iter().map(ChunkPart::from).collect();
        if listed != self.chunks || first != self.first {
            return Err(Broken("the chunks are not those that the manifest lists there".into()));
        }
        let ids: Vec<ChunkId> = self.chunks.iter().map(|chunk| ChunkId(chunk.id.0)).collect();
        let siblings: Vec<[u8; 32]> = self.siblings.iter().map(|id| id.0).collect();
        if !merkle_proof_holds(&manifest.merkle_root, list.count(), first, &ids, &siblings) {
            return Err(Broken("the chunks are not under the manifest's Merkle root".into()));
        }
        Ok(ChunksProved {
            manifest: object.id().to_string(),
            merkle_root: ottvc_object::ObjectId(manifest.merkle_root).to_string(),
            of: list.count(),
            first,
            count: ids.len() as u64,
            offset: bytes.start,
            length: bytes.end.saturating_sub(bytes.start),
        })
    }
}

impl Part {
    /// The object, if its bytes are those of its id.
    fn open(&self, what: &str) -> Result<Object, Broken> {
        let object = Object::from_bytes(self.bytes.as_slice())
            .map_err(|error| Broken(format!("{what} cannot be read: {error}")))?;
        if object.id().0 != self.id.0 {
            return Err(Broken(format!("the bytes of {what} do not hash to its id")));
        }
        Ok(object)
    }
}

/// Checks that the objects of a proof are those that were asked for, and none besides.
fn in_order(parts: &[Part], seen: &[[u8; 32]], what: &str) -> Result<(), Broken> {
    if parts.iter().map(|part| &part.id.0).eq(seen) {
        return Ok(());
    }
    Err(Broken(format!("its {what} are not those on the way down, each once, in that order")))
}

/// The tree nodes, or pages, of a proof.
struct Known<T>(HashMap<Id, Arc<T>>);

impl<T: Storable> Known<T> {
    fn open(parts: &[Part], what: &str) -> Result<Self, Broken> {
        let mut known = HashMap::new();
        for part in parts {
            known.insert(part.id, Arc::new(T::from_object(&part.open(what)?)?));
        }
        Ok(Self(known))
    }
    fn get(&self, id: [u8; 32], what: &str) -> Result<Arc<T>, Broken> {
        let found = self.0.get(&Id(id)).cloned();
        found.ok_or_else(|| Broken(format!("{what} on the way down is not in it")))
    }
}

impl Nodes for Known<Node> {
    type Error = Broken;

    fn node(&self, id: TreeId) -> Result<Arc<Node>, Broken> {
        if id == EMPTY_TREE { Ok(Arc::new(Node::empty())) } else { self.get(id.0, "a tree node") }
    }
}

struct KnownPages {
    known: Known<Page>,
    seen: RefCell<Vec<PageId>>,
}

impl Pages for KnownPages {
    type Error = Broken;

    fn page(&self, id: PageId) -> Result<Arc<Page>, Broken> {
        let page = self.known.get(id.0, "a page")?;
        if !self.seen.borrow().contains(&id) {
            self.seen.borrow_mut().push(id);
        }
        Ok(page)
    }
}

impl Proved {
    /// The document's id, if that is what the proof is about.
    pub(super) fn document(&self) -> Option<DocumentId> {
        match self.entry {
            Entry::Document { id, .. } => Some(id),
            _ => None,
        }
    }
}
