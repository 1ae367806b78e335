//! The tree as a sequence: chunks by position, inner pages carrying counts and bytes.
//!
//! A page ends after a chunk (or child page) whose id says so, so inserting a chunk rewrites its
//! neighbourhood only, and two files with a run of chunks in common share its pages.

use std::ops::Range;
use std::sync::Arc;

use bincode::{Decode, Encode};

use super::{MAX_LEVEL, MAX_NODE_ITEMS, is_boundary};
use crate::codec::{Kind, Object, Storable};
use crate::error::ObjectError;
use crate::id::PageId;
use crate::manifest::ChunkRef;

/// A page of a chunk list.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Page {
    /// Chunks in order; at least one.
    Leaf {
        /// The chunks.
        chunks: Vec<ChunkRef>,
    },
    /// Pages of the level below, in order.
    Inner {
        /// 1 above leaves, and so on.
        level: u8,
        /// The pages below; at least one, and in a root at least two.
        children: Vec<PageRef>,
    },
}

/// A page, with what is below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PageRef {
    /// Its id.
    pub id: PageId,
    /// How many chunks are below.
    pub count: u64,
    /// How many bytes they have together.
    pub bytes: u64,
}

/// A chunk and its place in a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkPosition {
    /// How many chunks come before it.
    pub index: u64,
    /// How many bytes come before it.
    pub start: u64,
    /// The chunk.
    pub chunk: ChunkRef,
}

impl ChunkPosition {
    /// The position after its last byte.
    pub fn end(&self) -> u64 {
        self.start.saturating_add(u64::from(self.chunk.len))
    }
}

/// Where pages come from. Bytes are expected to be checked against the id already.
pub trait Pages {
    /// What reading can fail with; the sequence adds its own findings of malformed pages.
    type Error: From<ObjectError>;

    /// Returns the page named `id`.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    fn page(&self, id: PageId) -> Result<Arc<Page>, Self::Error>;
}

/// An item of a page: a chunk in a leaf, a page in an inner one.
trait Item: Copy {
    fn hash(&self) -> &[u8; 32];
    fn size(&self) -> Size;
}

impl Item for ChunkRef {
    fn hash(&self) -> &[u8; 32] {
        &self.id.0
    }
    fn size(&self) -> Size {
        Size { count: 1, bytes: u64::from(self.len) }
    }
}

impl Item for PageRef {
    fn hash(&self) -> &[u8; 32] {
        &self.id.0
    }
    fn size(&self) -> Size {
        Size { count: self.count, bytes: self.bytes }
    }
}

/// Chunks and bytes below something; saturating, since a forged page may claim anything.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Size {
    count: u64,
    bytes: u64,
}

impl Size {
    fn of<I: Item>(items: &[I]) -> Self {
        items.iter().fold(Self::default(), |sum, item| sum.plus(item.size()))
    }
    fn plus(self, other: Self) -> Self {
        Self {
            count: self.count.saturating_add(other.count),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }
}

impl Page {
    /// 0 for a leaf, one more than its children for an inner page.
    pub fn level(&self) -> u8 {
        match self {
            Self::Leaf { .. } => 0,
            Self::Inner { level, .. } => *level,
        }
    }
    /// How many chunks are below.
    pub fn count(&self) -> u64 {
        self.size().count
    }
    /// How many bytes they have together.
    pub fn bytes(&self) -> u64 {
        self.size().bytes
    }
    fn size(&self) -> Size {
        match self {
            Self::Leaf { chunks } => Size::of(chunks),
            Self::Inner { children, .. } => Size::of(children),
        }
    }
}

impl Storable for Page {
    const KIND: Kind = Kind::Page;
    type Id = PageId;

    fn validate(&self) -> Result<(), ObjectError> {
        match self {
            Self::Leaf { chunks } => {
                if chunks.iter().any(|chunk| chunk.len == 0) {
                    return Err(malformed("a chunk is empty"));
                }
                check_items(0, chunks)
            }
            Self::Inner { level, children } => {
                if !(1..=MAX_LEVEL).contains(level) {
                    return Err(malformed("a page is of no level there can be"));
                }
                if children.iter().any(|child| child.count == 0 || child.bytes < child.count) {
                    return Err(malformed("a page lists an empty page"));
                }
                check_items(*level, children)
            }
        }
    }
}

/// Checks that there are items, and that none but the last ends the page.
fn check_items<I: Item>(level: u8, items: &[I]) -> Result<(), ObjectError> {
    let Some((_, rest)) = items.split_last() else { return Err(malformed("a page is empty")) };
    if (1..).zip(rest).any(|(count, item)| ends_after(level, count, item)) {
        return Err(malformed("a page goes on past its boundary"));
    }
    Ok(())
}

/// Whether a page of `level` ends after its `count`th item.
fn ends_after<I: Item>(level: u8, count: usize, item: &I) -> bool {
    count >= MAX_NODE_ITEMS || is_boundary(level, count, item.hash())
}

fn malformed(why: &'static str) -> ObjectError {
    ObjectError::Malformed { what: "page", why: why.into() }
}

/// Builds a sequence from its chunks, in order, holding one unfinished page a level.
#[derive(Debug, Default)]
pub struct SequenceBuilder {
    leaf: Vec<ChunkRef>,
    /// Unfinished inner pages, from level 1 up.
    inner: Vec<Vec<PageRef>>,
    /// The only page of the level below each of `inner`, while there is only one.
    single: Vec<Option<PageRef>>,
}

impl SequenceBuilder {
    /// Starts without chunks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the next chunk; finished pages go to `put`, each before the pages above it.
    ///
    /// # Errors
    /// What `put` returns.
    pub fn push<E: From<ObjectError>>(
        &mut self,
        chunk: ChunkRef,
        put: &mut dyn FnMut(Object) -> Result<(), E>,
    ) -> Result<(), E> {
        self.leaf.push(chunk);
        if ends_after(0, self.leaf.len(), &chunk) {
            let chunks = std::mem::take(&mut self.leaf);
            let page = write(&Page::Leaf { chunks }, put)?;
            self.push_page(1, page, put)?;
        }
        Ok(())
    }

    /// Puts what is left and returns the root; `None` without chunks.
    ///
    /// # Errors
    /// What `put` returns.
    pub fn finish<E: From<ObjectError>>(
        mut self,
        put: &mut dyn FnMut(Object) -> Result<(), E>,
    ) -> Result<Option<PageRef>, E> {
        if !self.leaf.is_empty() {
            let chunks = std::mem::take(&mut self.leaf);
            let page = write(&Page::Leaf { chunks }, put)?;
            self.push_page(1, page, put)?;
        }
        for level in 1..=MAX_LEVEL {
            let at = usize::from(level - 1);
            // The root is the lowest level with a single page.
            if let Some(Some(root)) = self.single.get(at) {
                return Ok(Some(*root));
            }
            let Some(children) = self.inner.get_mut(at).map(std::mem::take) else { break };
            if !children.is_empty() {
                let page = write(&Page::Inner { level, children }, put)?;
                self.push_page(level.saturating_add(1), page, put)?;
            }
        }
        Ok(None)
    }

    /// Adds the next page below `level`, finishing pages upwards while they end.
    fn push_page<E: From<ObjectError>>(
        &mut self,
        level: u8,
        page: PageRef,
        put: &mut dyn FnMut(Object) -> Result<(), E>,
    ) -> Result<(), E> {
        let at = usize::from(level.saturating_sub(1));
        if self.inner.len() <= at {
            self.inner.resize(at + 1, Vec::new());
            self.single.resize(at + 1, None);
            if let Some(single) = self.single.get_mut(at) {
                *single = Some(page);
            }
        } else if let Some(single) = self.single.get_mut(at) {
            *single = None;
        }
        let Some(pages) = self.inner.get_mut(at) else { return Ok(()) };
        pages.push(page);
        if !ends_after(level, pages.len(), &page) {
            return Ok(());
        }
        let page = write(&Page::Inner { level, children: std::mem::take(pages) }, put)?;
        self.push_page(level.saturating_add(1), page, put)
    }
}

fn write<E: From<ObjectError>>(
    page: &Page,
    put: &mut dyn FnMut(Object) -> Result<(), E>,
) -> Result<PageRef, E> {
    let object = page.to_object()?;
    let Size { count, bytes } = page.size();
    let id = object.id().into();
    put(object)?;
    Ok(PageRef { id, count, bytes })
}

/// Returns the chunk that holds byte `offset` of the sequence under `root`, reading one page a level.
///
/// # Errors
/// [`ObjectError::OutOfRange`] at or past the end; [`ObjectError::Malformed`] for a page that is not
/// what its parent says; or what reading a page fails with.
pub fn locate<P: Pages>(pages: &P, root: PageId, offset: u64) -> Result<ChunkPosition, P::Error> {
    let mut found = None;
    for_each_chunk(pages, root, offset..offset.saturating_add(1), &mut |position| {
        found = Some(position);
        Ok(())
    })?;
    match found {
        Some(position) => Ok(position),
        None => {
            let len = pages.page(root)?.bytes();
            Err(ObjectError::OutOfRange { offset, len }.into())
        }
    }
}

/// Visits, in order, each chunk that has a byte in `range`; an empty range has none. Pages outside
/// are not read, and what lies past the end is not there to visit.
///
/// # Errors
/// As [`locate`], but for the end; or what `visit` returns.
pub fn for_each_chunk<P: Pages>(
    pages: &P,
    root: PageId,
    range: Range<u64>,
    visit: &mut dyn FnMut(ChunkPosition) -> Result<(), P::Error>,
) -> Result<(), P::Error> {
    if range.is_empty() {
        return Ok(());
    }
    let page = pages.page(root)?;
    if matches!(&*page, Page::Inner { children, .. } if children.len() < 2) {
        return Err(malformed("a root has a single child").into());
    }
    each_below(pages, &page, Size::default(), &range, visit)
}

fn each_below<P: Pages>(
    pages: &P,
    page: &Page,
    mut before: Size,
    range: &Range<u64>,
    visit: &mut dyn FnMut(ChunkPosition) -> Result<(), P::Error>,
) -> Result<(), P::Error> {
    let inside = |before: Size, after: Size| before.bytes < range.end && range.start < after.bytes;
    match page {
        Page::Leaf { chunks } => {
            for chunk in chunks {
                let after = before.plus(chunk.size());
                if inside(before, after) {
                    visit(ChunkPosition {
                        index: before.count,
                        start: before.bytes,
                        chunk: *chunk,
                    })?;
                }
                before = after;
            }
        }
        Page::Inner { level, children } => {
            for child in children {
                let after = before.plus(child.size());
                if inside(before, after) {
                    let below = pages.page(child.id)?;
                    // Levels must fall, or a forged page could send a reader round and round.
                    if below.level().checked_add(1) != Some(*level) || below.size() != child.size()
                    {
                        return Err(malformed("a page is not what its parent says").into());
                    }
                    each_below(pages, &below, before, range, visit)?;
                }
                before = after;
            }
        }
    }
    Ok(())
}
