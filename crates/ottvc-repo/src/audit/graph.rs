//! Everything a store holds, and what names what: the graph that audit and verify walk.
//!
//! One scan of the index lists the things; growing from roots reads each object once and notes its
//! links. After that every question (who reaches what, what would nothing reach) is a walk in memory.
//! Cost: about 130 bytes a thing, whatever its size.

use std::collections::HashMap;

use ottvc_object::tree::EMPTY_TREE;
use ottvc_object::{ChunkId, ContentId, Hash, Kind, ObjectError, ObjectId};
use ottvc_store::{Held, ObjectStore, StoreError};

use crate::RepoError;
use crate::audit::links::{Link, Opened};
use crate::audit::marks::Seen;
use crate::content::{KeptBy, kept_by};

/// The place of a thing in its graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct At(u32);

impl At {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum What {
    Object(Kind),
    Chunk,
    /// Not held itself: it stands between an entry and the manifest, or the one chunk, that its
    /// content is kept by.
    File,
}

impl What {
    /// The word for it in messages and JSON.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Object(kind) => kind.word(),
            Self::Chunk => "chunk",
            Self::File => "file",
        }
    }
}

/// Something a store holds, or should.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Thing {
    /// Its id, or the content id of a file.
    pub(crate) id: Hash,
    pub(crate) what: What,
    /// Whether the index has it; never for a file.
    pub(crate) held: bool,
    /// Length of its raw or canonical bytes.
    pub(crate) raw: u32,
    /// What it takes in packs, its record included.
    pub(crate) stored: u64,
    /// Whether its links were read.
    opened: bool,
    links_from: usize,
    links_len: u32,
}

impl Thing {
    fn new(id: Hash, what: What) -> Self {
        let (links_from, links_len) = (0, 0);
        Self { id, what, held: false, raw: 0, stored: 0, opened: false, links_from, links_len }
    }

    /// The error for a thing that is not there.
    pub(crate) fn absent(&self) -> StoreError {
        match self.what {
            What::Chunk => StoreError::NoChunk { id: ChunkId(self.id) },
            What::Object(_) | What::File => StoreError::NotFound { id: ObjectId(self.id) },
        }
    }
}

/// Why the links of a thing are not known.
#[derive(Debug)]
pub(crate) enum Fault {
    /// It is not there.
    Missing,
    /// It is there and cannot be read.
    Unreadable(StoreError),
}

/// Hears about a graph while it grows.
pub(crate) trait Watch {
    /// A thing was reached whose links cannot be read. An error stops the growing.
    fn fault(&mut self, thing: &Thing, fault: Fault) -> Result<(), RepoError>;

    /// An object was read.
    fn opened(&mut self, _graph: &Graph, _at: At, _object: &Opened) {}

    /// Whether to read documents, which name nothing.
    fn wants_documents(&self) -> bool {
        false
    }
}

/// Things and their links.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    things: Vec<Thing>,
    /// Objects and chunks; their ids are of one space.
    held: HashMap<Hash, At>,
    /// Apart from the rest: a file of one chunk has that chunk's id.
    files: HashMap<ContentId, At>,
    links: Vec<At>,
}

impl Graph {
    /// Lists everything held; no links yet.
    pub(crate) fn scan(objects: &dyn ObjectStore) -> Result<Self, RepoError> {
        let mut graph = Self::default();
        objects.scan(&mut |held| {
            let thing = match held {
                Held::Object { id, kind, raw_len: raw, stored_len: stored } => {
                    let new = Thing::new(id.0, What::Object(kind));
                    Thing { held: true, raw, stored, ..new }
                }
                Held::Chunk { id, raw_len: raw, stored_len: stored } => {
                    Thing { held: true, raw, stored, ..Thing::new(id.0, What::Chunk) }
                }
            };
            // A thing that the scan meets twice is one thing.
            if !graph.held.contains_key(&thing.id) {
                let at = graph.push(thing)?;
                graph.held.insert(thing.id, at);
            }
            Ok(())
        })?;
        Ok(graph)
    }

    fn push(&mut self, thing: Thing) -> Result<At, ObjectError> {
        let len = self.things.len();
        let at = u32::try_from(len).map_err(|_| ObjectError::TooLarge {
            what: "count of objects and chunks",
            len: len as u64,
            limit: u64::from(u32::MAX),
        })?;
        self.things.push(thing);
        Ok(At(at))
    }

    /// The thing at a place of this graph.
    pub(crate) fn thing(&self, at: At) -> Thing {
        // Places are handed out by `push` alone, and nothing is ever removed.
        self.things.get(at.index()).copied().unwrap_or(Thing::new([0; 32], What::File))
    }

    /// Every thing, with its place.
    pub(crate) fn all(&self) -> impl DoubleEndedIterator<Item = (At, &Thing)> {
        let place = |index| u32::try_from(index).ok().map(At);
        self.things
            .iter()
            .enumerate()
            .filter_map(move |(index, thing)| Some((place(index)?, thing)))
    }

    /// How many things there are.
    pub(crate) fn len(&self) -> usize {
        self.things.len()
    }

    /// Finds an object or chunk.
    pub(crate) fn find(&self, id: &Hash) -> Option<At> {
        self.held.get(id).copied()
    }

    /// Finds a file by its content.
    pub(crate) fn file(&self, content: ContentId) -> Option<At> {
        self.files.get(&content).copied()
    }

    /// Every file, with its place.
    pub(crate) fn files(&self) -> impl Iterator<Item = (ContentId, At)> {
        self.files.iter().map(|(content, at)| (*content, *at))
    }

    /// Finds what a link names, if the graph has it.
    pub(crate) fn target(&self, link: Link) -> Option<At> {
        match link {
            Link::Object(id, _) => self.find(&id.0),
            Link::Chunk(chunk) => self.find(&chunk.id.0),
            Link::File(content) => self.file(content),
        }
    }

    /// What a thing names.
    pub(crate) fn links(&self, at: At) -> &[At] {
        let Thing { links_from, links_len, .. } = self.thing(at);
        let end = links_from.saturating_add(links_len as usize);
        self.links.get(links_from..end).unwrap_or_default()
    }

    /// Finds what a link names, or adds it as something that is not held. `None` for the empty tree
    /// where no store holds it: everybody knows it.
    fn enter(&mut self, link: Link) -> Result<Option<At>, ObjectError> {
        if let Some(at) = self.target(link) {
            return Ok(Some(at));
        }
        if link == Link::tree(EMPTY_TREE) {
            return Ok(None);
        }
        let thing = match link {
            Link::Object(id, kind) => Thing::new(id.0, What::Object(kind)),
            Link::Chunk(chunk) => Thing::new(chunk.id.0, What::Chunk),
            Link::File(content) => Thing::new(content.0, What::File),
        };
        let at = self.push(thing)?;
        match link {
            Link::File(content) => self.files.insert(content, at),
            Link::Object(..) | Link::Chunk(_) => self.held.insert(thing.id, at),
        };
        Ok(Some(at))
    }

    /// Follows links from `roots`, reading each object once; returns the places of the roots.
    ///
    /// # Errors
    /// What `watch` returns; faults of single things go there.
    pub(crate) fn grow(
        &mut self,
        objects: &dyn ObjectStore,
        roots: &[Link],
        watch: &mut dyn Watch,
    ) -> Result<Vec<At>, RepoError> {
        let mut found = Vec::new();
        for root in roots {
            found.extend(self.enter(*root)?);
        }
        let mut waiting = found.clone();
        let mut links = Vec::new();
        while let Some(at) = waiting.pop() {
            let thing = self.thing(at);
            if thing.opened {
                continue;
            }
            links.clear();
            self.open(objects, at, watch, &mut links)?;
            let links_from = self.links.len();
            for link in &links {
                let Some(to) = self.enter(*link)? else { continue };
                self.links.push(to);
                if !self.thing(to).opened {
                    waiting.push(to);
                }
            }
            let links_len = u32::try_from(self.links.len() - links_from).unwrap_or(u32::MAX);
            if let Some(thing) = self.things.get_mut(at.index()) {
                *thing = Thing { opened: true, links_from, links_len, ..*thing };
            }
        }
        Ok(found)
    }

    /// Reads what one thing names.
    fn open(
        &self,
        objects: &dyn ObjectStore,
        at: At,
        watch: &mut dyn Watch,
        links: &mut Vec<Link>,
    ) -> Result<(), RepoError> {
        let thing = self.thing(at);
        match thing.what {
            What::File => match kept_by(objects, ContentId(thing.id))? {
                Some(KeptBy::Manifest(id)) => links.push(Link::Object(id, Kind::Manifest)),
                Some(KeptBy::Chunk(chunk)) => links.push(Link::Chunk(chunk)),
                None => watch.fault(&thing, Fault::Missing)?,
            },
            _ if !thing.held => watch.fault(&thing, Fault::Missing)?,
            What::Chunk => {}
            What::Object(Kind::Document) if !watch.wants_documents() => {}
            What::Object(kind) => match read(objects, ObjectId(thing.id), kind) {
                Ok(object) => {
                    watch.opened(self, at, &object);
                    object.links(links);
                }
                Err(StoreError::NotFound { .. }) => watch.fault(&thing, Fault::Missing)?,
                Err(error) if is_about_one_thing(&error) => {
                    watch.fault(&thing, Fault::Unreadable(error))?;
                }
                Err(error) => return Err(error.into()),
            },
        }
        Ok(())
    }

    /// Visits what `roots` reach and `seen` has not met yet, each thing once.
    pub(crate) fn reach(
        &self,
        roots: &[At],
        steps: Steps,
        seen: &mut Seen,
        visit: &mut dyn FnMut(At, &Thing),
    ) {
        let mut waiting: Vec<At> = roots.iter().rev().copied().collect();
        while let Some(at) = waiting.pop() {
            if !seen.enter(at) {
                continue;
            }
            let thing = self.thing(at);
            visit(at, &thing);
            let from_commit = thing.what == What::Object(Kind::Commit);
            waiting.extend(self.links(at).iter().filter(|to| match steps {
                Steps::All => true,
                Steps::OneCommit => !from_commit || !self.is_commit(**to),
                Steps::Commits => self.is_commit(**to),
                Steps::None => false,
            }));
        }
    }

    fn is_commit(&self, at: At) -> bool {
        self.thing(at).what == What::Object(Kind::Commit)
    }
}

/// Reads and decodes an object.
fn read(objects: &dyn ObjectStore, id: ObjectId, kind: Kind) -> Result<Opened, StoreError> {
    let object = objects.get(id)?;
    let opened = Opened::of(&object)?;
    if object.kind() == kind {
        Ok(opened)
    } else {
        let why = format!("is a {}", object.kind().word());
        Err(ObjectError::Malformed { what: kind.word(), why }.into())
    }
}

/// Whether an error concerns the thing asked for and leaves hope for the next one.
pub(crate) fn is_about_one_thing(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::NotFound { .. }
            | StoreError::NoChunk { .. }
            | StoreError::Damaged { .. }
            | StoreError::DamagedChunk { .. }
            | StoreError::Object(_)
            | StoreError::Backend { .. }
    )
}

/// Which links a walk follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Steps {
    /// All of them.
    All,
    /// All but those from one commit to another.
    OneCommit,
    /// Only those.
    Commits,
    /// None: just the roots.
    None,
}
