//! Records what commands do to a working copy and its store, as steps that can be replayed.
//!
//! Nothing goes unseen: a call that changes a file in a way that no step describes ends the recording
//! with a panic, and after each command the model must hold what the disk holds, byte for byte.

use std::cell::Cell;
use std::collections::HashMap;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Output;
use std::rc::Rc;

use crate::disk::{Disk, Found, Loss, Node, Op};
use crate::story::{Chance, Story};
use crate::trace::{self, Call};

/// A command that was recorded.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// How it was called.
    pub arguments: Vec<String>,
    /// The number of its first step.
    pub first: usize,
    /// The number after that of its last.
    pub end: usize,
}

/// All that was recorded.
#[derive(Clone, Debug)]
pub struct Recording {
    /// What was there before the first step.
    pub base: Disk,
    /// The steps.
    pub steps: Vec<Op>,
    /// The commands, in their order; steps between them are edits of the working copy.
    pub commands: Vec<Recorded>,
}

impl Recording {
    /// Says what a step did, and to what.
    pub fn explain(&self, step: usize) -> String {
        let mut disk = self.base.clone();
        for (number, op) in self.steps.iter().enumerate().take(step) {
            disk.apply(number, op);
        }
        match self.steps.get(step) {
            Some(Op::Write { node, at, bytes }) => {
                format!("write {} at {at}, {} bytes", disk.path(*node), bytes.len())
            }
            Some(Op::Cut { node, len }) => format!("cut {} to {len}", disk.path(*node)),
            Some(Op::Sync { node, .. }) => format!("sync {}", disk.path(*node)),
            Some(Op::Unlink { folder, name }) => format!("unlink {}/{name}", disk.path(*folder)),
            Some(Op::Make { folder, name, .. }) => format!("make {}/{name}", disk.path(*folder)),
            Some(Op::Link { folder, name, .. }) => format!("link {}/{name}", disk.path(*folder)),
            Some(Op::Rename { from, to, .. }) => {
                let path = |(folder, name): &(Node, String)| join(disk.path(*folder), name);
                format!("rename {} to {}", path(from), path(to))
            }
            None => "nothing".to_owned(),
        }
    }
}

/// Records commands.
#[derive(Debug)]
pub struct Recorder {
    root: PathBuf,
    log: PathBuf,
    disk: Disk,
    recording: Recording,
    open: HashMap<i64, Open>,
    past_cache: usize,
}

/// An open file or folder.
#[derive(Clone, Debug)]
struct Open {
    node: Node,
    append: bool,
    /// Whether writes to it go past the page cache.
    direct: bool,
    at: Rc<Cell<usize>>,
}

/// Where a path leads.
#[derive(Clone, Debug)]
enum Place {
    Root,
    Name(Node, String),
}

impl Recorder {
    /// Begins with what is in the working copy, as durable as it can be.
    ///
    /// # Panics
    /// If it cannot be read.
    pub fn new(story: &Story) -> Self {
        let root = story.root();
        let root =
            root.canonicalize().unwrap_or_else(|error| panic!("{}: {error}", root.display()));
        let empty = Recording { base: Disk::new(), steps: Vec::new(), commands: Vec::new() };
        let log = story.beside("strace");
        let mut recorder = Self {
            root,
            log,
            disk: Disk::new(),
            recording: empty,
            open: HashMap::new(),
            past_cache: 0,
        };
        recorder.absorb(0, "", true);
        recorder.disk.settle();
        recorder.recording.base = recorder.disk.clone();
        recorder.recording.steps.clear();
        recorder
    }

    /// What is there now.
    pub fn now(&self) -> Found {
        self.disk.after_crash(self.recording.steps.len(), Loss::Nothing, &mut Chance::new(0))
    }

    /// How many writes went past the page cache.
    pub fn past_cache(&self) -> usize {
        self.past_cache
    }

    /// What was recorded.
    pub fn finish(self) -> Recording {
        self.recording
    }

    /// Records a command, after what was edited since the last one.
    ///
    /// # Panics
    /// If it changed a file in a way that is not understood.
    pub fn run(&mut self, story: &Story, arguments: &[&str]) -> Output {
        self.absorb(0, "", false);
        self.open.clear();
        let first = self.recording.steps.len();
        let (output, calls) = trace::run(&story.command(arguments), &self.log);
        // How many steps had been taken after each call.
        let mut steps = vec![first];
        for call in &calls {
            let covers = steps.get(call.began_after).copied().unwrap_or(first);
            self.take(call, covers);
            steps.push(self.recording.steps.len());
        }
        self.assert_same(0, "");
        let end = self.recording.steps.len();
        let arguments = arguments.iter().map(|it| (*it).to_owned()).collect();
        self.recording.commands.push(Recorded { arguments, first, end });
        output
    }

    fn step(&mut self, op: Op) {
        self.disk.apply(self.recording.steps.len(), &op);
        self.recording.steps.push(op);
    }

    /// Takes over what is on disk and the model lacks; the store only at the beginning.
    fn absorb(&mut self, node: Node, path: &str, store: bool) {
        let here = list(&self.root.join(path));
        let names: Vec<String> =
            self.disk.names(node).into_iter().flatten().map(|it| it.0.clone()).collect();
        for name in names.into_iter().filter(|name| !here.contains(name)) {
            self.step(Op::Unlink { folder: node, name });
        }
        for name in here.into_iter().filter(|name| store || name != ".ottvc") {
            let below = join(path, &name);
            let disk = self.root.join(&below);
            let known = self.disk.names(node).and_then(|names| names.get(&name).copied());
            if disk.is_dir() {
                let known = known.unwrap_or_else(|| self.make(node, &name, true));
                self.absorb(known, &below, store);
                continue;
            }
            let bytes = fs::read(&disk).unwrap_or_else(|error| panic!("{below}: {error}"));
            if known.and_then(|node| self.disk.bytes(node)) != Some(&bytes) {
                if known.is_some() {
                    self.step(Op::Unlink { folder: node, name: name.clone() });
                }
                let node = self.make(node, &name, false);
                self.step(Op::Write { node, at: 0, bytes: bytes.into() });
            }
        }
    }

    fn make(&mut self, folder: Node, name: &str, is_folder: bool) -> Node {
        let node = self.disk.next();
        self.step(Op::Make { folder, name: name.to_owned(), node, is_folder });
        node
    }

    /// Asserts that the model holds what the disk holds.
    fn assert_same(&self, node: Node, path: &str) {
        let here = list(&self.root.join(path));
        let Some(names) = self.disk.names(node) else { panic!("{path} is no folder") };
        assert_eq!(names.keys().cloned().collect::<Vec<_>>(), here, "names in '{path}'");
        for (name, below) in names {
            let path = join(path, name);
            match self.disk.bytes(*below) {
                None => self.assert_same(*below, &path),
                Some(bytes) => {
                    let found = fs::read(self.root.join(&path)).unwrap_or_default();
                    assert!(found == bytes, "the model of {path} went wrong");
                }
            }
        }
    }

    /// Follows a path; `None` if it leads out of the working copy.
    fn place(&self, folder: &str, path: &[u8]) -> Option<Place> {
        let path = Path::new(std::str::from_utf8(path).unwrap_or_else(|_| panic!("{path:?}")));
        let (mut node, path) = if path.is_absolute() {
            (0, path.strip_prefix(&self.root).ok()?)
        } else if folder == "AT_FDCWD" {
            (0, path)
        } else {
            (self.open.get(&folder.parse().ok()?)?.node, path)
        };
        let mut names = Vec::new();
        for part in path.components() {
            match part {
                Component::Normal(name) => names.push(name.to_string_lossy().into_owned()),
                Component::CurDir => {}
                other => panic!("{other:?} in {}", path.display()),
            }
        }
        let Some(last) = names.pop() else { return Some(Place::Root) };
        for name in names {
            node = self.disk.names(node).and_then(|names| names.get(&name).copied())?;
        }
        Some(Place::Name(node, last))
    }

    fn node(&self, place: &Place) -> Option<Node> {
        match place {
            Place::Root => Some(0),
            Place::Name(folder, name) => self.disk.names(*folder)?.get(name).copied(),
        }
    }

    /// Turns one call into steps.
    fn take(&mut self, call: &Call, covers: usize) {
        let odd = |why: &str| -> ! { panic!("{why}: {}({:.200?})", call.name, call.arguments) };
        match call.name.as_str() {
            "open" => self.open_file(call, "AT_FDCWD", 0),
            "openat" | "openat2" => self.open_file(call, call.word(0), 1),
            "close" => drop(self.open.remove(&call.number(0))),
            "dup" | "dup2" | "dup3" => self.copy(call),
            "fcntl" if call.word(1).starts_with("F_DUPFD") => self.copy(call),
            "fcntl" => {}
            "lseek" => {
                if let Some(open) = self.open.get(&call.number(0)) {
                    open.at.set(usize::try_from(call.returned).unwrap_or_default());
                }
            }
            "write" | "writev" => {
                let Some(open) = self.open.get(&call.number(0)).cloned() else { return };
                // Reading moves the place too; were that to matter, the bytes would not agree in the end.
                let len = self.disk.bytes(open.node).map_or(0, <[u8]>::len);
                let at = if open.append { len } else { open.at.get() };
                open.at.set(at + self.write(open.node, at, call));
            }
            "pwrite64" | "pwritev" => {
                let Some(open) = self.open.get(&call.number(0)).cloned() else { return };
                self.past_cache += usize::from(open.direct);
                self.write(open.node, call.number(3), call);
            }
            "ftruncate" => {
                let Some(open) = self.open.get(&call.number(0)).cloned() else { return };
                self.step(Op::Cut { node: open.node, len: call.number(1) });
            }
            "fallocate" => {
                let Some(open) = self.open.get(&call.number(0)).cloned() else { return };
                let len = self.disk.bytes(open.node).map_or(0, <[u8]>::len);
                // Room beyond the end is no content; anything else would be.
                if !call.word(1).contains("KEEP_SIZE")
                    || call.number::<usize>(2) < len && call.word(1).contains("PUNCH")
                {
                    odd("content by fallocate");
                }
            }
            "fsync" | "fdatasync" => {
                if let Some(open) = self.open.get(&call.number(0)) {
                    let node = open.node;
                    self.step(Op::Sync { node, covers });
                }
            }
            "sync_file_range" => {}
            "mkdir" => self.make_folder(self.place("AT_FDCWD", call.bytes(0))),
            "mkdirat" => self.make_folder(self.place(call.word(0), call.bytes(1))),
            "unlink" | "rmdir" => self.unlink(self.place("AT_FDCWD", call.bytes(0))),
            "unlinkat" => self.unlink(self.place(call.word(0), call.bytes(1))),
            "rename" => self.rename(
                self.place("AT_FDCWD", call.bytes(0)),
                self.place("AT_FDCWD", call.bytes(1)),
                call,
            ),
            "renameat" | "renameat2" => {
                if call.arguments.len() > 4 && !matches!(call.word(4), "0" | "RENAME_NOREPLACE") {
                    odd("a rename of another kind");
                }
                self.rename(
                    self.place(call.word(0), call.bytes(1)),
                    self.place(call.word(2), call.bytes(3)),
                    call,
                );
            }
            "link" => self.link(
                self.place("AT_FDCWD", call.bytes(0)),
                self.place("AT_FDCWD", call.bytes(1)),
                call,
            ),
            "linkat" => self.link(
                self.place(call.word(0), call.bytes(1)),
                self.place(call.word(2), call.bytes(3)),
                call,
            ),
            "mmap" => {
                let ours = call.word(4).parse().is_ok_and(|fd: i64| self.open.contains_key(&fd));
                if ours
                    && call.word(2).contains("PROT_WRITE")
                    && call.word(3).contains("MAP_SHARED")
                {
                    odd("writing through memory");
                }
            }
            // Waits for more than we give credit for: nothing is durable by it here.
            "sync" | "syncfs" | "msync" => {}
            "copy_file_range" | "sendfile" | "splice" => {
                let into = if call.name == "sendfile" { 0 } else { 2 };
                if self.open.contains_key(&call.number(into)) {
                    odd("bytes that the trace does not show");
                }
            }
            _ => odd("a call that no step describes"),
        }
    }

    fn open_file(&mut self, call: &Call, folder: &str, at: usize) {
        // A number that is given out anew names nothing of before.
        self.open.remove(&call.returned);
        // An open file opened once more, whatever its name is by now.
        if let Some(number) = call.bytes(at).strip_prefix(b"/proc/self/fd/") {
            let number = std::str::from_utf8(number).ok().and_then(|number| number.parse().ok());
            if let Some(Open { node, .. }) = number.and_then(|it: i64| self.open.get(&it)).cloned()
            {
                let (append, direct) = (false, call.word(at + 1).contains("O_DIRECT"));
                let at = Rc::default();
                self.open.insert(call.returned, Open { node, append, direct, at });
            }
            return;
        }
        let Some(place) = self.place(folder, call.bytes(at)) else { return };
        // Of `openat2` they are a field of a structure.
        let flags = call.word(at + 1).trim_start_matches("{flags=");
        let flags: Vec<&str> = flags.split(',').next().unwrap_or_default().split('|').collect();
        let has = |flag: &str| flags.contains(&flag);
        // `O_DIRECT` makes nothing durable that is not without it: bytes wait for a sync all the same.
        for odd in ["O_TMPFILE", "O_SYNC", "O_DSYNC"] {
            assert!(!has(odd), "{odd} is not described: {:?}", call.arguments);
        }
        let node = match (self.node(&place), &place) {
            (Some(node), _) => node,
            (None, Place::Name(folder, name)) => self.make(*folder, &name.clone(), false),
            (None, Place::Root) => return,
        };
        if has("O_TRUNC") && self.disk.bytes(node).is_some_and(|bytes| !bytes.is_empty()) {
            self.step(Op::Cut { node, len: 0 });
        }
        let append = has("O_APPEND");
        let (direct, at) = (has("O_DIRECT"), Rc::default());
        self.open.insert(call.returned, Open { node, append, direct, at });
    }

    fn copy(&mut self, call: &Call) {
        self.open.remove(&call.returned);
        if let Some(open) = self.open.get(&call.number(0)).cloned() {
            self.open.insert(call.returned, open);
        }
    }

    /// Returns how many bytes were written.
    fn write(&mut self, node: Node, at: usize, call: &Call) -> usize {
        let len = usize::try_from(call.returned).unwrap_or_default();
        let bytes =
            call.bytes(1).get(..len).unwrap_or_else(|| panic!("{} of too few bytes", call.name));
        let bytes = bytes.into();
        self.step(Op::Write { node, at, bytes });
        len
    }

    fn make_folder(&mut self, place: Option<Place>) {
        if let Some(Place::Name(folder, name)) = place {
            self.make(folder, &name, true);
        }
    }

    fn unlink(&mut self, place: Option<Place>) {
        if let Some(Place::Name(folder, name)) = place {
            self.step(Op::Unlink { folder, name });
        }
    }

    fn rename(&mut self, from: Option<Place>, to: Option<Place>, call: &Call) {
        match (from, to) {
            (None, None) => {}
            (Some(Place::Name(from, old)), Some(Place::Name(to, new))) => {
                let node = self.node(&Place::Name(from, old.clone()));
                let node = node.unwrap_or_else(|| panic!("{old} is not there: {call:?}"));
                self.step(Op::Rename { node, from: (from, old), to: (to, new) });
            }
            _ => panic!("a rename in or out: {call:?}"),
        }
    }

    fn link(&mut self, from: Option<Place>, to: Option<Place>, call: &Call) {
        match (from, to) {
            (None, None) => {}
            (Some(from), Some(Place::Name(folder, name))) => {
                let node = self.node(&from).unwrap_or_else(|| panic!("nothing to link: {call:?}"));
                self.step(Op::Link { node, folder, name });
            }
            _ => panic!("a link in or out: {call:?}"),
        }
    }
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// The names in a folder, sorted.
fn list(folder: &Path) -> Vec<String> {
    let listed = fs::read_dir(folder).and_then(Iterator::collect);
    let listed: Vec<fs::DirEntry> =
        listed.unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let names = listed.iter().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.collect();
    names.sort_unstable();
    names
}
