//! What an object names: the one list of links that reachability is made of.
//!
//! A commit names its tree, the tree of its own layers, its pin and its parents; a node its entries or the
//! nodes below it; an entry its file, document, folder or conflict; a conflict what its terms are;
//! a manifest its pages or chunks. Metadata names nothing: a reference to media in a document
//! describes the media, and what keeps them is an entry of some tree.

use ottvc_object::conflict::Conflict;
use ottvc_object::manifest::{ChunkList, ChunkRef, Manifest};
use ottvc_object::tree::Node;
use ottvc_object::tree::sequence::Page;
use ottvc_object::value::Document;
use ottvc_object::{
    Commit, ContentId, DocumentId, Entry, FileEntry, Kind, Object, ObjectError, ObjectId, Storable,
    TreeId,
};

/// Something that an object names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// An object of this kind.
    Object(ObjectId, Kind),
    /// A file; its store knows by which manifest it is kept.
    File(ContentId),
    /// A chunk.
    Chunk(ChunkRef),
}

impl Link {
    /// Names a tree.
    pub(crate) fn tree(id: TreeId) -> Self {
        Self::Object(id.into(), Kind::Tree)
    }
    fn document(id: DocumentId) -> Self {
        Self::Object(id.into(), Kind::Document)
    }
    /// Names what an entry stands for.
    pub(crate) fn entry(entry: &Entry) -> Self {
        match *entry {
            Entry::File(FileEntry { content, .. }) => Self::File(content),
            Entry::Document { id, .. } => Self::document(id),
            Entry::Tree { id, .. } => Self::tree(id),
            Entry::Conflict(id) => Self::Object(id.into(), Kind::Conflict),
        }
    }
}

/// An object, decoded as the kind it is.
#[derive(Debug)]
pub(crate) enum Opened {
    Document(Box<Document>),
    Tree(Node),
    Commit(Box<Commit>),
    Conflict(Conflict<Entry>),
    Manifest(Box<Manifest>),
    Page(Page),
}

impl Opened {
    /// Decodes an object.
    ///
    /// # Errors
    /// [`ObjectError::Malformed`] if its bytes are no canonical form of its kind.
    pub(crate) fn of(object: &Object) -> Result<Self, ObjectError> {
        Ok(match object.kind() {
            Kind::Document => Self::Document(Box::new(Document::from_object(object)?)),
            Kind::Tree => Self::Tree(Node::from_object(object)?),
            Kind::Commit => Self::Commit(Box::new(Commit::from_object(object)?)),
            Kind::Conflict => Self::Conflict(Conflict::from_object(object)?),
            Kind::Manifest => Self::Manifest(Box::new(Manifest::from_object(object)?)),
            Kind::Page => Self::Page(Page::from_object(object)?),
        })
    }

    /// Appends everything it names to `links`.
    pub(crate) fn links(&self, links: &mut Vec<Link>) {
        match self {
            Self::Document(_) => {}
            Self::Tree(Node::Leaf { entries }) => {
                links.extend(entries.iter().map(|named| Link::entry(&named.entry)));
            }
            Self::Tree(Node::Inner { children, .. }) => {
                links.extend(children.iter().map(|child| Link::tree(child.id)));
            }
            Self::Commit(commit) => {
                let Commit { tree, parents, own, pin, .. } = &**commit;
                links.push(Link::tree(*tree));
                links.extend(own.map(Link::tree));
                let commits = parents.iter().copied().chain(pin.map(|pin| pin.commit));
                links.extend(commits.map(|id| Link::Object(id.into(), Kind::Commit)));
            }
            Self::Conflict(conflict) => {
                each_entry(conflict, &mut |entry| links.push(Link::entry(entry)));
            }
            Self::Manifest(manifest) => match manifest.layout.chunks() {
                ChunkList::Inline(chunks) => links.extend(chunks.iter().copied().map(Link::Chunk)),
                ChunkList::Paged { root, .. } => {
                    links.push(Link::Object((*root).into(), Kind::Page));
                }
            },
            Self::Page(Page::Leaf { chunks }) => {
                links.extend(chunks.iter().copied().map(Link::Chunk));
            }
            Self::Page(Page::Inner { children, .. }) => {
                links
                    .extend(children.iter().map(|child| Link::Object(child.id.into(), Kind::Page)));
            }
        }
    }
}

/// Visits the entries that the terms of a conflict are, those of conflicts inside it among them.
pub(crate) fn each_entry(conflict: &Conflict<Entry>, visit: &mut dyn FnMut(&Entry)) {
    for term in conflict.terms.as_slice() {
        if let Some(entry) = term.value() {
            visit(entry);
        }
        // Decoding bounds how deep conflicts lie inside one another.
        if let Some(inner) = term.contested() {
            each_entry(inner, visit);
        }
    }
}
