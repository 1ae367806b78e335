//! A manifest: how a store keeps one file. Found by content id, replaceable, never history.

pub mod tracks;

use std::ops::Range;

use bincode::{Decode, Encode};

use crate::codec::{Kind, Object, Storable};
use crate::error::ObjectError;
use crate::id::{ChunkId, ContentId, Hash, ManifestId, PageId};
use crate::tree::sequence::{self, ChunkPosition, Pages, SequenceBuilder};

pub use tracks::TrackLayout;

/// The most chunks a manifest lists itself; longer lists go to pages.
pub const MAX_INLINE_CHUNKS: usize = 16;
/// No Merkle tree over chunk ids is higher: 2⁴⁸ chunks of one byte are 256 TiB.
const MAX_MERKLE_LEVELS: usize = 48;

/// One chunk of a list: its id and raw length in bytes, at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct ChunkRef {
    /// BLAKE3 of its raw bytes.
    pub id: ChunkId,
    /// Its raw length in bytes.
    pub len: u32,
}

/// A list of chunks that tile a byte stream, in order.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum ChunkList {
    /// At most [`MAX_INLINE_CHUNKS`] chunks, here.
    Inline(Vec<ChunkRef>),
    /// A sequence tree of pages.
    Paged {
        /// Its root page.
        root: PageId,
        /// How many chunks it lists.
        count: u64,
    },
}

impl ChunkList {
    /// How many chunks it lists.
    pub fn count(&self) -> u64 {
        match self {
            Self::Inline(chunks) => chunks.len() as u64,
            Self::Paged { count, .. } => *count,
        }
    }

    /// Visits, in order, each chunk that has a byte in `range` of the stream; an empty one has none.
    ///
    /// Reads only the pages on the way to it; what lies past the end is not there to visit.
    ///
    /// # Errors
    /// [`ObjectError::Malformed`] for pages that do not fit together, what reading a page fails with,
    /// or what `visit` returns.
    pub fn for_each<P: Pages>(
        &self,
        pages: &P,
        range: Range<u64>,
        visit: &mut dyn FnMut(ChunkPosition) -> Result<(), P::Error>,
    ) -> Result<(), P::Error> {
        match self {
            Self::Inline(chunks) => {
                let mut start = 0_u64;
                for (index, chunk) in (0..).zip(chunks) {
                    let position = ChunkPosition { index, start, chunk: *chunk };
                    if start < range.end && range.start < position.end() && !range.is_empty() {
                        visit(position)?;
                    }
                    start = position.end();
                }
                Ok(())
            }
            Self::Paged { root, .. } => sequence::for_each_chunk(pages, *root, range, visit),
        }
    }

    /// Returns the chunk that holds byte `offset` of the stream.
    ///
    /// # Errors
    /// [`ObjectError::OutOfRange`] at or past the end; else as [`ChunkList::for_each`].
    pub fn locate<P: Pages>(&self, pages: &P, offset: u64) -> Result<ChunkPosition, P::Error> {
        match self {
            Self::Paged { root, .. } => sequence::locate(pages, *root, offset),
            Self::Inline(chunks) => {
                let mut found = None;
                self.for_each(pages, offset..offset.saturating_add(1), &mut |position| {
                    found = Some(position);
                    Ok(())
                })?;
                let len = chunks.iter().map(|chunk| u64::from(chunk.len)).sum();
                found.ok_or_else(|| ObjectError::OutOfRange { offset, len }.into())
            }
        }
    }
}

/// Makes a chunk list and its Merkle root out of chunks in order, in memory that does not grow with
/// the file.
#[derive(Debug, Default)]
pub struct ListBuilder {
    /// The chunks so far, while they can be listed inline.
    inline: Vec<ChunkRef>,
    paged: Option<SequenceBuilder>,
    merkle: MerkleAccumulator,
    count: u64,
    bytes: u64,
}

impl ListBuilder {
    /// Starts without chunks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the next chunk; finished pages go to `put`.
    ///
    /// # Errors
    /// What `put` returns.
    pub fn push<E: From<ObjectError>>(
        &mut self,
        chunk: ChunkRef,
        put: &mut dyn FnMut(Object) -> Result<(), E>,
    ) -> Result<(), E> {
        self.merkle.push(chunk.id.0);
        self.count += 1;
        self.bytes = self.bytes.saturating_add(u64::from(chunk.len));
        if let Some(paged) = &mut self.paged {
            return paged.push(chunk, put);
        }
        self.inline.push(chunk);
        if self.inline.len() > MAX_INLINE_CHUNKS {
            let mut paged = SequenceBuilder::new();
            for chunk in self.inline.drain(..) {
                paged.push(chunk, put)?;
            }
            self.paged = Some(paged);
        }
        Ok(())
    }

    /// Returns the manifest of the file with this content that the chunks make; its last pages go to
    /// `put`, the manifest itself does not. `untracked` says why it is not kept by its tracks, if it has any.
    ///
    /// # Errors
    /// What `put` returns.
    pub fn finish<E: From<ObjectError>>(
        self,
        content: ContentId,
        rule: CutRule,
        untracked: Option<String>,
        put: &mut dyn FnMut(Object) -> Result<(), E>,
    ) -> Result<Manifest, E> {
        let len = self.bytes;
        let (chunks, merkle_root) = self.finish_list(put)?;
        let layout = match untracked {
            None => Layout::Plain { rule, chunks },
            Some(why) => Layout::Untracked { why, rule, chunks },
        };
        Ok(Manifest { content, len, merkle_root, sha256: None, layout })
    }

    /// Returns the list and the Merkle root over it; its last pages go to `put`.
    ///
    /// # Errors
    /// What `put` returns.
    pub fn finish_list<E: From<ObjectError>>(
        self,
        put: &mut dyn FnMut(Object) -> Result<(), E>,
    ) -> Result<(ChunkList, Hash), E> {
        let root = self.paged.map(|paged| paged.finish(put)).transpose()?.flatten();
        let chunks = match root {
            Some(root) => ChunkList::Paged { root: root.id, count: root.count },
            None => ChunkList::Inline(self.inline),
        };
        Ok((chunks, self.merkle.root()))
    }
}

/// The rule that made the cut points, with its constants: part of what makes a chunk findable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum CutRule {
    /// FastCDC 2020, normalisation level 1; sizes in bytes.
    FastCdc {
        /// No chunk but the last is shorter.
        min: u32,
        /// The size aimed at.
        avg: u32,
        /// No chunk is longer.
        max: u32,
    },
}

impl CutRule {
    /// The rule for files that no parser understands.
    pub const DEFAULT: Self = Self::FastCdc { min: 64 << 10, avg: 256 << 10, max: 1 << 20 };
}

impl Default for CutRule {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// How the bytes are laid out in chunks.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Layout {
    /// The file's bytes, cut in order.
    Plain {
        /// How they were cut.
        rule: CutRule,
        /// The chunks.
        chunks: ChunkList,
    },
    /// The streams of the file's tracks, and what puts them together again.
    Tracks(TrackLayout),
    /// As [`Layout::Plain`], for a file with tracks that was not worth keeping by them.
    Untracked {
        /// Why: a word (`docs/track-streams.md`), printable ASCII of at most [`tracks::MAX_CODEC_BYTES`].
        why: String,
        /// How it was cut.
        rule: CutRule,
        /// The chunks.
        chunks: ChunkList,
    },
}

impl Layout {
    /// The chunks: of the file, or of its streams one after the other.
    pub fn chunks(&self) -> &ChunkList {
        match self {
            Self::Plain { chunks, .. }
            | Self::Tracks(TrackLayout { chunks, .. })
            | Self::Untracked { chunks, .. } => chunks,
        }
    }

    /// The chunks of the file, if it is kept as it lies.
    pub fn plain(&self) -> Option<&ChunkList> {
        match self {
            Self::Plain { chunks, .. } | Self::Untracked { chunks, .. } => Some(chunks),
            Self::Tracks(_) => None,
        }
    }
}

/// How a store keeps one file.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Manifest {
    /// BLAKE3 of the whole file.
    pub content: ContentId,
    /// Length of the whole file in bytes.
    pub len: u64,
    /// rs_merkle root over the chunk ids in order; 32 zero bytes without chunks.
    pub merkle_root: Hash,
    /// SHA-256 of the whole file, where someone asked for it.
    pub sha256: Option<Hash>,
    /// The chunks and how they make the file.
    pub layout: Layout,
}

impl Manifest {
    /// Length in bytes of what its chunks tile: the file, or its streams one after the other.
    pub fn stored_len(&self) -> u64 {
        match &self.layout {
            Layout::Plain { .. } | Layout::Untracked { .. } => self.len,
            // One whose sum is no number was never let in.
            Layout::Tracks(tracks) => tracks.stored_len().unwrap_or(u64::MAX),
        }
    }

    /// The manifest of a file that is one chunk. Stores need not keep it: it says nothing that the
    /// chunk does not.
    pub fn lone(chunk: ChunkRef) -> Self {
        Self {
            content: ContentId(chunk.id.0),
            len: u64::from(chunk.len),
            merkle_root: merkle_root([chunk.id]),
            sha256: None,
            layout: Layout::Plain {
                rule: CutRule::DEFAULT,
                chunks: ChunkList::Inline(vec![chunk]),
            },
        }
    }
}

impl Storable for Manifest {
    const KIND: Kind = Kind::Manifest;
    type Id = ManifestId;

    fn validate(&self) -> Result<(), ObjectError> {
        let sound = match &self.layout {
            Layout::Plain { .. } => true,
            Layout::Tracks(tracks) => tracks.is_sound() && tracks.stored_len().is_some(),
            Layout::Untracked { why, .. } => tracks::is_printable(why, tracks::MAX_CODEC_BYTES),
        };
        if !sound {
            let why = "its streams, or the reason for none, are none that can be".into();
            return Err(ObjectError::Malformed { what: "manifest", why });
        }
        match self.layout.chunks() {
            ChunkList::Inline(list) => {
                let total: u64 = list.iter().map(|chunk| u64::from(chunk.len)).sum();
                if list.len() > MAX_INLINE_CHUNKS
                    || total != self.stored_len()
                    || list.iter().any(|chunk| chunk.len == 0)
                {
                    return Err(ObjectError::Malformed {
                        what: "manifest",
                        why: "chunks do not tile the file".into(),
                    });
                }
            }
            ChunkList::Paged { count, .. } => {
                if *count <= MAX_INLINE_CHUNKS as u64 {
                    return Err(ObjectError::Malformed {
                        what: "manifest",
                        why: "a short chunk list must be inline".into(),
                    });
                }
            }
        }
        Ok(())
    }
}

/// BLAKE3 as rs_merkle's hash function.
#[derive(Clone, Debug)]
struct Blake3;

impl rs_merkle::Hasher for Blake3 {
    type Hash = Hash;
    fn hash(data: &[u8]) -> Hash {
        *blake3::hash(data).as_bytes()
    }
}

/// Returns the rs_merkle root over `chunks`, or 32 zero bytes without any.
///
/// Leaves are the chunk ids themselves; an inner node is BLAKE3 of its two children's 64 bytes, and
/// a node without a sibling moves up unchanged (rs_merkle's rule).
pub fn merkle_root(chunks: impl IntoIterator<Item = ChunkId>) -> Hash {
    let leaves: Vec<Hash> = chunks.into_iter().map(|id| id.0).collect();
    rs_merkle::MerkleTree::<Blake3>::from_leaves(&leaves).root().unwrap_or_default()
}

/// Returns the hashes by which the chunks at `range` are shown to be under the root over `chunks`.
///
/// They are those that rs_merkle asks for: level by level from the leaves up, from left to right in
/// each, the siblings that cannot be computed from what lies in the range; at most two a level.
pub fn merkle_proof(chunks: impl IntoIterator<Item = ChunkId>, range: Range<usize>) -> Vec<Hash> {
    let leaves: Vec<Hash> = chunks.into_iter().map(|id| id.0).collect();
    let indices: Vec<usize> = range.filter(|index| *index < leaves.len()).collect();
    if indices.is_empty() {
        return Vec::new();
    }
    let tree = rs_merkle::MerkleTree::<Blake3>::from_leaves(&leaves);
    tree.proof(&indices).proof_hashes().to_vec()
}

/// Whether `siblings` show that `chunks`, the first of which has index `first`, are under `root`,
/// which is over `count` chunks in all. For input that nobody vouches for.
///
/// The number of chunks is part of what is asked: leaves and inner nodes are hashed alike, so a root
/// means nothing without the number of leaves below it. Not one hash too many is accepted.
pub fn merkle_proof_holds(
    root: &Hash,
    count: u64,
    first: u64,
    chunks: &[ChunkId],
    siblings: &[Hash],
) -> bool {
    if chunks.is_empty() {
        return count == 0 && first == 0 && siblings.is_empty() && *root == Hash::default();
    }
    let inside = first.checked_add(chunks.len() as u64).is_some_and(|end| end <= count);
    let (Ok(count), Ok(first)) = (usize::try_from(count), usize::try_from(first)) else {
        return false;
    };
    if !inside || siblings.len() > 2 * MAX_MERKLE_LEVELS || count >> MAX_MERKLE_LEVELS != 0 {
        return false;
    }
    let indices: Vec<usize> = (first..).take(chunks.len()).collect();
    let leaves: Vec<Hash> = chunks.iter().map(|id| id.0).collect();
    let holds = |siblings: &[Hash]| {
        let proof = rs_merkle::MerkleProof::<Blake3>::new(siblings.to_vec());
        proof.verify(*root, &indices, &leaves, count)
    };
    // rs_merkle leaves hashes alone that it has no use for.
    let spare = siblings.split_last().is_some_and(|(_, fewer)| holds(fewer));
    holds(siblings) && !spare
}

/// The root that [`merkle_root`] gives, for leaves that come one at a time: one hash a level.
#[derive(Clone, Debug, Default)]
pub struct MerkleAccumulator {
    /// Roots of full subtrees, from left to right; each holds fewer leaves than the one before.
    full: Vec<Hash>,
    count: u64,
}

impl MerkleAccumulator {
    /// Adds the next leaf.
    pub fn push(&mut self, leaf: Hash) {
        let mut node = leaf;
        self.count += 1;
        // As many subtrees are complete now as the count ends in zero bits.
        for _ in 0..self.count.trailing_zeros() {
            if let Some(left) = self.full.pop() {
                node = join(&left, &node);
            }
        }
        self.full.push(node);
    }
    /// The root over the leaves so far; 32 zero bytes without any.
    pub fn root(&self) -> Hash {
        self.full
            .iter()
            .rev()
            .copied()
            .reduce(|right, left| join(&left, &right))
            .unwrap_or_default()
    }
}

/// An inner node of the Merkle tree.
fn join(left: &Hash, right: &Hash) -> Hash {
    *blake3::Hasher::new().update(left).update(right).finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaf_by_leaf_gives_the_root_of_rs_merkle() {
        let mut accumulator = MerkleAccumulator::default();
        let mut leaves = Vec::new();
        assert_eq!(accumulator.root(), merkle_root([]));
        for number in 0..300_u32 {
            let leaf = ChunkId::of(&number.to_le_bytes());
            accumulator.push(leaf.0);
            leaves.push(leaf);
            assert_eq!(accumulator.root(), merkle_root(leaves.iter().copied()), "{number}");
        }
    }
    #[test]
    fn any_run_of_chunks_is_shown_to_be_under_the_root_and_no_other() {
        let chunks: Vec<ChunkId> =
            (0..70_u32).map(|number| ChunkId::of(&number.to_le_bytes())).collect();
        for count in [1, 2, 3, 7, 16, 33, 70] {
            let all = &chunks[..count];
            let root = merkle_root(all.iter().copied());
            for first in 0..count {
                for end in first + 1..=count {
                    let siblings = merkle_proof(all.iter().copied(), first..end);
                    let holds = |first: usize, run: &[ChunkId], siblings: &[Hash]| {
                        merkle_proof_holds(&root, count as u64, first as u64, run, siblings)
                    };
                    let run = &all[first..end];
                    assert!(holds(first, run, &siblings), "{first}..{end} of {count}");
                    assert!(!holds(first + 1, run, &siblings));
                    assert!(!holds(first, &run[1..], &siblings));
                    let other = [&run[..run.len() - 1], &[ChunkId::of(b"other")]].concat();
                    assert!(!holds(first, &other, &siblings));
                    let more = [&siblings[..], &[root]].concat();
                    assert!(!holds(first, run, &more), "{first}..{end} of {count}");
                }
            }
        }
    }

    #[test]
    fn what_no_tree_can_be_is_refused() {
        let (root, chunk) = (Hash::default(), [ChunkId::of(b"a")]);
        assert!(merkle_proof_holds(&root, 0, 0, &[], &[]));
        assert!(!merkle_proof_holds(&root, 3, 0, &[], &[]));
        assert!(!merkle_proof_holds(&root, u64::MAX, u64::MAX, &chunk, &[]));
        assert!(!merkle_proof_holds(&root, u64::MAX, 0, &chunk, &[root; 96]));
        assert!(!merkle_proof_holds(&root, 1 << 47, 0, &chunk, &vec![root; 1000]));
        assert!(!merkle_proof_holds(&root, 1 << 47, 0, &chunk, &[root; 47]));
        assert!(merkle_proof(chunk, 5..9).is_empty());
    }
}
