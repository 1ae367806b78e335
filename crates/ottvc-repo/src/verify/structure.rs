//! Whether what objects say of each other is so.
//!
//! Every object may be well formed by itself and the whole still be forged or torn: a node that sums
//! up another wrongly, an entry with another file's length. What is said is written down as the graph
//! grows and held against what was found once it is whole.

use std::collections::HashMap;

use ottvc_object::manifest::{ChunkList, ChunkRef};
use ottvc_object::tree::sequence::Page;
use ottvc_object::tree::{Child, Node};
use ottvc_object::{ContentId, Entry, FileEntry, Hash, Totals, TreeId};

use super::findings::{Bad, Findings, Key};
use super::listed::Listed;
use crate::audit::{At, Fault, Graph, Opened, Thing, Watch, each_entry};
use crate::{Progress, RepoError, StoreNodes};

/// What a walk over all structure learnt.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Objects read.
    pub(super) objects: u64,
    /// Commits read.
    pub(super) commits: HashMap<At, CommitFacts>,
    /// The lengths that entries give to files, each with one node or conflict that says so.
    lens: HashMap<ContentId, Vec<(u64, Hash)>>,
}

impl Known {
    /// The length of a file, as an entry gives it.
    pub(super) fn len_of(&self, content: ContentId) -> u64 {
        self.lens.get(&content).and_then(|lens| lens.first()).map_or(0, |(len, _)| *len)
    }
    /// Lengths of all distinct files together.
    pub(super) fn file_bytes(&self) -> u64 {
        self.lens.keys().fold(0, |sum, content| sum.saturating_add(self.len_of(*content)))
    }
    /// Notes whoever gives another length to a file than the one it has.
    pub(super) fn check_len(&self, content: ContentId, len: u64, findings: &mut Findings) {
        for (given, by) in self.lens.get(&content).into_iter().flatten() {
            if *given != len {
                let why = format!("gives {given} bytes to file {content}, which has {len}");
                findings.note(Key::Held(*by), Bad::damaged("tree", why, None));
            }
        }
    }
}

/// What is known of a commit.
#[derive(Clone, Copy, Debug)]
pub(super) struct CommitFacts {
    pub(super) generation: u64,
    pub(super) time: i64,
    pub(super) tree: TreeId,
    pub(super) own: Option<TreeId>,
}

/// What is so of a node.
#[derive(Debug)]
struct NodeFacts {
    level: u8,
    children: usize,
    /// Of a leaf.
    first_key: Option<String>,
    last_key: Option<String>,
    totals: Totals,
    count: u64,
}

impl NodeFacts {
    fn of(node: &Node) -> Self {
        let (children, first_key) = match node {
            Node::Leaf { entries } => (0, entries.first().map(|entry| entry.name.key())),
            Node::Inner { children, .. } => (children.len(), None),
        };
        Self {
            level: node.level(),
            children,
            first_key,
            last_key: node.last_key().map(|key| key.into_owned()),
            totals: node.totals(),
            count: node.count(),
        }
    }
}

/// What is said of a node.
#[derive(Debug)]
enum Claim {
    /// It is the root of a folder, with these sums where its entry gives them.
    Root(Option<Totals>),
    /// It lies below an inner node of `level`, after the key `floor`.
    Below { level: u8, child: Child, floor: Option<String> },
}

impl Claim {
    fn holds(&self, facts: &NodeFacts) -> bool {
        match self {
            Self::Root(totals) => {
                totals.is_none_or(|totals| totals == facts.totals)
                    && (facts.level == 0 || facts.children >= 2)
            }
            Self::Below { level, child, floor } => {
                level.checked_sub(1) == Some(facts.level)
                    && facts.last_key.as_ref() == Some(&child.last_key)
                    && facts.totals == child.totals
                    && facts.count == child.count
                    && facts.first_key.as_ref().is_none_or(|first| Some(first) > floor.as_ref())
            }
        }
    }
}

/// Watches a graph grow that may have holes.
pub(super) struct Structure<'p> {
    findings: Findings,
    progress: &'p dyn Progress,
    total: u64,
    known: Known,
    nodes: HashMap<At, NodeFacts>,
    /// Who says it, of which node, and what.
    claims: Vec<(Hash, TreeId, Claim)>,
    listed: Listed,
}

impl<'p> Structure<'p> {
    /// Adds to `findings`; reports up to `total` things read.
    pub(super) fn new(findings: Findings, progress: &'p dyn Progress, total: usize) -> Self {
        let (known, nodes, claims) = (Known::default(), HashMap::new(), Vec::new());
        let listed = Listed::default();
        Self { findings, progress, total: total as u64, known, nodes, claims, listed }
    }

    /// Holds what was said of nodes against what they are, and what commits list against their trees.
    ///
    /// # Errors
    /// As [`Listed::check`].
    pub(super) fn finish(
        mut self,
        graph: &Graph,
        nodes: &StoreNodes,
    ) -> Result<(Findings, Known), RepoError> {
        for (by, id, claim) in &self.claims {
            let facts = graph.find(&id.0).and_then(|at| self.nodes.get(&at));
            if facts.is_some_and(|facts| !claim.holds(facts)) {
                let why = format!("what it says of tree {} is not so", id.short());
                self.findings.note(Key::Held(*by), Bad::damaged("tree", why, None));
            }
        }
        self.listed.check(graph, nodes, &mut self.findings)?;
        Ok((self.findings, self.known))
    }

    fn entry(&mut self, graph: &Graph, by: Hash, entry: &Entry) {
        match *entry {
            Entry::File(FileEntry { content, len, .. }) => {
                let lens = self.known.lens.entry(content).or_default();
                if !lens.iter().any(|(other, _)| *other == len) {
                    lens.push((len, by));
                }
            }
            Entry::Document { id, len } => {
                let thing = graph.find(&id.0).map(|at| graph.thing(at)).filter(|it| it.held);
                if thing.is_some_and(|thing| u64::from(thing.raw) != len) {
                    let why = format!("gives a wrong length to document {}", id.short());
                    self.findings.note(Key::Held(by), Bad::damaged("tree", why, None));
                }
            }
            Entry::Tree { id, totals } => {
                self.claims.push((by, id, Claim::Root(Some(totals))));
            }
            Entry::Conflict(_) => {}
        }
    }

    fn chunks(&mut self, graph: &Graph, by: Hash, chunks: &[ChunkRef]) {
        for chunk in chunks {
            let thing = graph.find(&chunk.id.0).map(|at| graph.thing(at)).filter(|it| it.held);
            if thing.is_some_and(|thing| thing.raw != chunk.len) {
                let why = format!("gives a wrong length to chunk {}", chunk.id.short());
                self.findings.note(Key::Held(by), Bad::damaged("page", why, None));
            }
        }
    }
}

impl Watch for Structure<'_> {
    fn fault(&mut self, thing: &Thing, fault: Fault) -> Result<(), RepoError> {
        self.listed.fault(thing.id);
        self.findings.note_fault(thing, fault)
    }

    fn wants_documents(&self) -> bool {
        true
    }

    fn opened(&mut self, graph: &Graph, at: At, object: &Opened) {
        self.known.objects += 1;
        self.progress.report("following links", self.known.objects, self.total);
        let by = graph.thing(at).id;
        match object {
            Opened::Tree(node) => {
                self.nodes.insert(at, NodeFacts::of(node));
                match node {
                    Node::Leaf { entries } => {
                        self.listed.leaf(by, entries);
                        entries.iter().for_each(|named| self.entry(graph, by, &named.entry));
                    }
                    Node::Inner { level, children } => {
                        let mut floor = None;
                        for child in children {
                            let (level, child) = (*level, child.clone());
                            let last = child.last_key.clone();
                            let id = child.id;
                            self.claims.push((by, id, Claim::Below { level, child, floor }));
                            floor = Some(last);
                        }
                    }
                }
            }
            Opened::Document(document) => self.listed.document(by, document),
            Opened::Commit(commit) => {
                self.listed.commit(by, commit);
                let trees = [commit.tree].into_iter().chain(commit.own);
                self.claims.extend(trees.map(|tree| (by, tree, Claim::Root(None))));
                let facts = CommitFacts {
                    generation: commit.generation,
                    time: commit.committer.time,
                    tree: commit.tree,
                    own: commit.own,
                };
                self.known.commits.insert(at, facts);
            }
            Opened::Conflict(conflict) => {
                each_entry(conflict, &mut |entry| self.entry(graph, by, entry));
            }
            Opened::Manifest(manifest) => {
                if let ChunkList::Inline(chunks) = manifest.layout.chunks() {
                    self.chunks(graph, by, chunks);
                }
            }
            Opened::Page(Page::Leaf { chunks }) => self.chunks(graph, by, chunks),
            Opened::Page(Page::Inner { .. }) => {}
        }
    }
}
