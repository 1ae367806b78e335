//! A model of a file system: what programs did to it, and what a crash may leave of that.
//!
//! A file has bytes that were made durable, and changes since; a folder has names that were made
//! durable, and changes since. A sync of a file answers for its bytes, a sync of a folder for its
//! names, and neither for the other: less than common file systems keep. A rename is one step, of
//! which the new name may last without the old one being gone, but never the other way round.
//!
//! What lies beside the store (`.ottvc`) is taken to last at once: nothing is promised of it.

mod loss;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::story::Chance;
use loss::Draw;
pub use loss::Loss;

/// A file or a folder, by number; the folder of the working copy is number 0.
pub type Node = usize;

/// One step that a program took.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "fields are what their names say")]
pub enum Op {
    /// A new file or folder.
    Make { folder: Node, name: String, node: Node, is_folder: bool },
    /// Bytes in a file.
    Write { node: Node, at: usize, bytes: Rc<[u8]> },
    /// Another length of a file.
    Cut { node: Node, len: usize },
    /// One more name of a file.
    Link { node: Node, folder: Node, name: String },
    /// A name less.
    Unlink { folder: Node, name: String },
    /// Another name, in place of what had it.
    Rename { node: Node, from: (Node, String), to: (Node, String) },
    /// A file or folder made durable, as far as steps before number `covers` go.
    Sync { node: Node, covers: usize },
}

#[derive(Clone, Debug)]
enum Change {
    Write(usize, Rc<[u8]>),
    Cut(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// A step of its own, or the new name of a rename.
    First,
    /// The old name of a rename, which goes only where the new one is.
    Old,
}

#[derive(Clone, Debug)]
struct NameChange {
    op: usize,
    name: String,
    node: Option<Node>,
    part: Part,
}

#[derive(Clone, Debug)]
enum Content {
    File { safe: Vec<u8>, pending: Vec<(usize, Change)>, now: Vec<u8> },
    Folder { safe: BTreeMap<String, Node>, pending: Vec<NameChange>, now: BTreeMap<String, Node> },
}

/// The file system, as it is and as it would be found after a crash.
#[derive(Clone, Debug)]
pub struct Disk {
    nodes: Vec<(String, Content)>,
    /// The number after that of the last step whose names are durable.
    floor: usize,
}

/// What is found after a crash.
#[derive(Clone, Debug, Default)]
pub struct Found {
    folders: Vec<PathBuf>,
    files: Vec<(PathBuf, Node, Rc<Vec<u8>>)>,
}

impl Found {
    /// A number that differs where the states differ.
    pub fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.folders.hash(&mut hasher);
        for (path, _, bytes) in &self.files {
            (path, bytes).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// Writes the state into an empty folder. A file with two names gets both.
    ///
    /// # Panics
    /// If the system refuses.
    #[expect(clippy::disallowed_methods, reason = "a test writes as any editor would")]
    pub fn write(&self, to: &Path) {
        let failed = |path: &Path, error| -> ! { panic!("{}: {error}", path.display()) };
        for folder in &self.folders {
            let path = to.join(folder);
            fs::create_dir_all(&path).unwrap_or_else(|error| failed(&path, error));
        }
        let mut first: HashMap<Node, PathBuf> = HashMap::new();
        for (name, node, bytes) in &self.files {
            let path = to.join(name);
            let written = match first.get(node) {
                Some(other) => fs::hard_link(other, &path),
                None => fs::write(&path, &**bytes),
            };
            written.unwrap_or_else(|error| failed(&path, error));
            first.insert(*node, path);
        }
    }
}

impl Disk {
    /// An empty one.
    pub fn new() -> Self {
        Self { nodes: vec![(String::new(), folder())], floor: 0 }
    }

    /// Whether a file or folder is the store or in it.
    fn is_kept(path: &str) -> bool {
        path.split('/').next() == Some(".ottvc")
    }

    /// The path that a file or folder was made under.
    pub fn path(&self, node: Node) -> &str {
        self.nodes.get(node).map_or("", |(path, _)| path)
    }

    /// The number that the next new file or folder has.
    pub fn next(&self) -> Node {
        self.nodes.len()
    }

    /// The names in a folder, as they are now; `None` for a file.
    pub fn names(&self, node: Node) -> Option<&BTreeMap<String, Node>> {
        match self.nodes.get(node) {
            Some((_, Content::Folder { now, .. })) => Some(now),
            _ => None,
        }
    }

    /// The bytes of a file, as they are now; `None` for a folder.
    pub fn bytes(&self, node: Node) -> Option<&[u8]> {
        match self.nodes.get(node) {
            Some((_, Content::File { now, .. })) => Some(now),
            _ => None,
        }
    }

    /// Takes all that is there now for durable.
    pub fn settle(&mut self) {
        for (_, content) in &mut self.nodes {
            match content {
                Content::File { safe, pending, now } => {
                    pending.clear();
                    safe.clone_from(now);
                }
                Content::Folder { safe, pending, now } => {
                    pending.clear();
                    safe.clone_from(now);
                }
            }
        }
    }

    /// Takes step number `op`.
    ///
    /// # Panics
    /// If it does not fit what is there.
    pub fn apply(&mut self, op: usize, step: &Op) {
        match step {
            Op::Make { folder: at, name, node, is_folder } => {
                assert_eq!(*node, self.nodes.len(), "steps are taken in their order");
                let above = self.path(*at);
                let path = if above.is_empty() { name.clone() } else { format!("{above}/{name}") };
                let content = if *is_folder { folder() } else { file() };
                self.nodes.push((path, content));
                self.rename(op, *at, name, Some(*node), Part::First);
            }
            Op::Write { node, at, bytes } => {
                self.change(op, *node, Change::Write(*at, Rc::clone(bytes)));
            }
            Op::Cut { node, len } => self.change(op, *node, Change::Cut(*len)),
            Op::Link { node, folder, name } => {
                self.rename(op, *folder, name, Some(*node), Part::First);
            }
            Op::Unlink { folder, name } => self.rename(op, *folder, name, None, Part::First),
            Op::Rename { node, from, to } => {
                self.rename(op, to.0, &to.1, Some(*node), Part::First);
                self.rename(op, from.0, &from.1, None, Part::Old);
            }
            Op::Sync { node, covers } => self.sync(*node, *covers),
        }
    }

    fn change(&mut self, op: usize, node: Node, change: Change) {
        match self.nodes.get_mut(node) {
            Some((path, Content::File { safe, pending, now })) => {
                apply_change(now, &change, usize::MAX);
                if Self::is_kept(path) {
                    pending.push((op, change));
                } else {
                    safe.clone_from(now);
                }
            }
            _ => panic!("step {op} changes no file"),
        }
    }

    fn rename(&mut self, op: usize, at: Node, name: &str, node: Option<Node>, part: Part) {
        match self.nodes.get_mut(at) {
            Some((path, Content::Folder { safe, pending, now })) => {
                set(now, name, node);
                if Self::is_kept(path) || (path.is_empty() && Self::is_kept(name)) {
                    pending.push(NameChange { op, name: name.to_owned(), node, part });
                } else {
                    set(safe, name, node);
                }
            }
            _ => panic!("step {op} changes no folder"),
        }
    }

    fn sync(&mut self, node: Node, covers: usize) {
        let waiting = self.waiting();
        match self.nodes.get_mut(node) {
            Some((_, Content::File { safe, pending, .. })) => {
                pending.retain(|(op, change)| {
                    let covered = *op < covers;
                    if covered {
                        apply_change(safe, change, usize::MAX);
                    }
                    !covered
                });
            }
            Some((_, Content::Folder { safe, pending, .. })) => {
                let own: Vec<usize> = pending
                    .iter()
                    .filter(|it| it.op < covers && it.part == Part::First)
                    .map(|it| it.op)
                    .collect();
                let mut left: Vec<NameChange> = Vec::new();
                for change in std::mem::take(pending) {
                    // An old name stays in doubt for as long as the new one does.
                    let ready = change.part == Part::First
                        || own.contains(&change.op)
                        || !waiting.contains(&change.op);
                    if change.op < covers && ready {
                        left.retain(|earlier| earlier.name != change.name);
                        set(safe, &change.name, change.node);
                        self.floor = self.floor.max(change.op + 1);
                    } else {
                        left.push(change);
                    }
                }
                *pending = left;
            }
            None => panic!("a sync of nothing"),
        }
    }

    /// The steps whose new names are not durable.
    fn waiting(&self) -> Vec<usize> {
        let folders = self.nodes.iter().filter_map(|(_, content)| match content {
            Content::Folder { pending, .. } => Some(pending),
            Content::File { .. } => None,
        });
        folders.flatten().filter(|it| it.part == Part::First).map(|it| it.op).collect()
    }

    /// What a crash after step number `op` may leave.
    pub fn after_crash(&self, op: usize, loss: Loss, chance: &mut Chance) -> Found {
        let mut draw = Draw::new(self, op, loss, chance);
        let mut found = Found::default();
        let mut bytes: HashMap<Node, Rc<Vec<u8>>> = HashMap::new();
        self.find(0, Path::new(""), &mut draw, &mut bytes, &mut found);
        found
    }

    fn find(
        &self,
        node: Node,
        path: &Path,
        draw: &mut Draw<'_>,
        bytes: &mut HashMap<Node, Rc<Vec<u8>>>,
        found: &mut Found,
    ) {
        match self.nodes.get(node) {
            Some((_, Content::File { safe, pending, now })) => {
                let drawn =
                    bytes.entry(node).or_insert_with(|| Rc::new(draw.file(safe, pending, now)));
                found.files.push((path.to_owned(), node, Rc::clone(drawn)));
            }
            Some((_, Content::Folder { safe, pending, now })) => {
                found.folders.push(path.to_owned());
                for (name, below) in draw.names(safe, pending, now) {
                    self.find(below, &path.join(name), draw, bytes, found);
                }
            }
            None => {}
        }
    }
}

impl Default for Disk {
    fn default() -> Self {
        Self::new()
    }
}

fn folder() -> Content {
    Content::Folder { safe: BTreeMap::new(), pending: Vec::new(), now: BTreeMap::new() }
}

fn file() -> Content {
    Content::File { safe: Vec::new(), pending: Vec::new(), now: Vec::new() }
}

fn set(names: &mut BTreeMap<String, Node>, name: &str, node: Option<Node>) {
    match node {
        Some(node) => names.insert(name.to_owned(), node),
        None => names.remove(name),
    };
}

/// Makes a change, of a write no more than its first `part` bytes.
fn apply_change(bytes: &mut Vec<u8>, change: &Change, part: usize) {
    match change {
        Change::Write(at, new) => {
            put(bytes, *at, new.get(..part.min(new.len())).unwrap_or_default());
        }
        Change::Cut(len) => bytes.resize(*len, 0),
    }
}

fn put(bytes: &mut Vec<u8>, at: usize, new: &[u8]) {
    if new.is_empty() {
        return;
    }
    let end = at + new.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    if let Some(place) = bytes.get_mut(at..end) {
        place.copy_from_slice(new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file `.ottvc/a` of eight durable bytes, then `more`.
    fn disk(more: &[Op]) -> Disk {
        let mut disk = Disk::new();
        let name = |name: &str| name.to_owned();
        let steps = [
            Op::Make { folder: 0, name: name(".ottvc"), node: 1, is_folder: true },
            Op::Make { folder: 1, name: name("a"), node: 2, is_folder: false },
            Op::Write { node: 2, at: 0, bytes: Rc::from(*b"12345678") },
            Op::Sync { node: 2, covers: 3 },
            Op::Sync { node: 1, covers: 4 },
            Op::Sync { node: 0, covers: 5 },
        ];
        for (number, step) in steps.iter().chain(more).enumerate() {
            disk.apply(number, step);
        }
        disk
    }

    fn found(disk: &Disk, loss: Loss, seed: u64) -> BTreeMap<String, Vec<u8>> {
        let found = disk.after_crash(99, loss, &mut Chance::new(seed));
        let files = found.files.iter();
        files.map(|(path, _, bytes)| (path.display().to_string(), bytes.to_vec())).collect()
    }

    #[test]
    fn what_was_synced_lasts_and_nothing_else_must() {
        let name = "b".to_owned();
        let disk = disk(&[
            Op::Write { node: 2, at: 8, bytes: Rc::from(*b"9") },
            Op::Rename { node: 2, from: (1, "a".into()), to: (1, name) },
        ]);
        let one = |path: &str, bytes: &[u8]| BTreeMap::from([(path.to_owned(), bytes.to_vec())]);
        assert_eq!(found(&disk, Loss::Nothing, 0), one(".ottvc/b", b"123456789"));
        assert_eq!(found(&disk, Loss::All, 0), one(".ottvc/a", b"12345678"));
        assert_eq!(found(&disk, Loss::Bytes, 0), one(".ottvc/b", b"12345678"));
        let seen: Vec<_> = (0..200).map(|seed| found(&disk, Loss::Any, seed)).collect();
        assert!(seen.contains(&one(".ottvc/a", b"123456789")), "bytes without the name");
        assert!(seen.iter().any(|it| it.len() == 2), "a new name without the old one gone");
        assert!(seen.iter().all(|it| !it.is_empty()), "a rename loses no file");
        assert!(seen.iter().flat_map(BTreeMap::values).all(|bytes| bytes.starts_with(b"12345678")));
        let late = (0..50).map(|seed| found(&disk, Loss::Later, seed).len());
        assert_eq!(late.max(), Some(1), "in order, a rename is one step");
    }

    #[test]
    fn a_sync_answers_for_what_was_written_before_it_began() {
        let disk = disk(&[
            Op::Write { node: 2, at: 0, bytes: Rc::from(*b"A") },
            Op::Write { node: 2, at: 1, bytes: Rc::from(*b"B") },
            Op::Sync { node: 2, covers: 7 },
        ]);
        assert_eq!(found(&disk, Loss::All, 0)[".ottvc/a"], b"A2345678");
    }

    #[test]
    fn sectors_and_lengths_last_each_for_itself() {
        let bytes: Rc<[u8]> = Rc::from(vec![7; 2000]);
        let disk = disk(&[Op::Write { node: 2, at: 0, bytes }]);
        let seen: Vec<_> =
            (0..200).map(|seed| found(&disk, Loss::Any, seed)[".ottvc/a"].clone()).collect();
        assert!(seen.iter().any(|it| it.len() == 2000 && it[600] == 0 && it[1100] == 7));
        assert!(seen.iter().any(|it| it.len() == 2000 && it[1999] == 0));
        assert!(seen.iter().any(|it| it.len() == 512 && it[0] == 7));
    }
}
