//! Writers and a collector at every interleaving that chance finds, over the real code.
//!
//! Writers dedupe, store, commit, move refs or vanish; between any two of their steps the collector
//! takes one of its own, dies, or the whole process does. Nothing that a ref reaches may ever be
//! missing, and in the end nothing unreachable may be left. The same exploration with pins that pin
//! nothing finds a loss, so that it is known to look where it matters.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use ottvc_object::manifest::{ChunkList, ChunkRef, CutRule, Layout, Manifest, merkle_root};
use ottvc_object::tree::Node;
use ottvc_object::{
    ChunkId, Commit, CommitId, ContentId, EditionId, Entry, FileEntry, FileMode, Kind, Name,
    NamedEntry, Object, Signature, Storable,
};
use ottvc_refs::memory::MemoryRefs;
use ottvc_refs::{Clock, RefEdit, RefName, RefStore, RefTransaction, RefValue};
use ottvc_repo::collect::{Collector, Marked, Run};
use ottvc_repo::{Parts, Silent};
use ottvc_store::collect::Pins;
use ottvc_store::memory::{MemoryStore, MemoryWorkspace};
use ottvc_store::{Held, ObjectStore, session};
use ottvc_testkit::objects::chunk;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestError, TestRunner};

const WRITERS: usize = 3;
const FILES: usize = 4;
/// The grace of collections that have one, in milliseconds.
const GRACE: i64 = 100;

/// What may happen next; what makes no sense at that point changes nothing.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A writer begins a session, to store this file.
    Begin(usize, usize),
    /// It asks which chunks are there.
    Ask(usize),
    /// Instead, it trusts its memory that the file was stored once, and asks for its manifest alone.
    Remember(usize),
    /// It stores the chunks it was told are not, and the manifest.
    Store(usize),
    /// It stores those chunks, and drops the batch.
    DropBatch(usize),
    /// It stores a tree and a commit.
    Commit(usize),
    /// It goes back to a commit made at any time instead, if that is there.
    Revive(usize, usize),
    /// It moves its branch to the commit, and is done.
    Move(usize),
    /// It vanishes.
    Vanish(usize),
    /// Somebody deletes a branch.
    Delete(usize),
    /// Time passes.
    Wait,
    /// A collector marks ahead.
    MarkAhead(bool),
    /// It begins, marks, publishes, goes on through what is held, ends.
    Collect,
    Mark,
    Publish,
    Sweep(usize),
    End,
    /// The process dies: writers and collector with it.
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let writer = 0..WRITERS;
    prop_oneof![
        3 => (writer.clone(), 0..FILES).prop_map(|(writer, file)| Step::Begin(writer, file)),
        4 => writer.clone().prop_map(Step::Ask),
        2 => writer.clone().prop_map(Step::Remember),
        4 => writer.clone().prop_map(Step::Store),
        1 => writer.clone().prop_map(Step::DropBatch),
        4 => writer.clone().prop_map(Step::Commit),
        2 => (writer.clone(), 0..8_usize).prop_map(|(writer, old)| Step::Revive(writer, old)),
        4 => writer.clone().prop_map(Step::Move),
        1 => writer.clone().prop_map(Step::Vanish),
        2 => writer.prop_map(Step::Delete),
        1 => Just(Step::Wait),
        2 => any::<bool>().prop_map(Step::MarkAhead),
        3 => Just(Step::Collect),
        3 => Just(Step::Mark),
        3 => Just(Step::Publish),
        5 => (1..6_usize).prop_map(Step::Sweep),
        1 => Just(Step::End),
        1 => Just(Step::Crash),
    ]
}

#[derive(Debug, Default)]
struct HandClock(AtomicI64);

impl Clock for HandClock {
    fn now(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A file of two chunks; neighbours share one.
fn raws(file: usize) -> [Vec<u8>; 2] {
    [file, file + 1].map(|n| format!("chunk number {n}").into_bytes())
}

fn content(file: usize) -> ContentId {
    ContentId::of(&raws(file).concat())
}

fn manifest(file: usize) -> Object {
    let refs: Vec<_> = raws(file)
        .iter()
        .map(|raw| ChunkRef { id: ChunkId::of(raw), len: u32::try_from(raw.len()).unwrap() })
        .collect();
    let manifest = Manifest {
        content: content(file),
        len: raws(file).concat().len() as u64,
        merkle_root: merkle_root(refs.iter().map(|it| it.id)),
        sha256: None,
        layout: Layout::Plain {
            rule: CutRule::FastCdc { min: 64, avg: 256, max: 1024 },
            chunks: ChunkList::Inline(refs),
        },
    };
    manifest.to_object().unwrap()
}

fn tree(file: usize) -> Object {
    let len = raws(file).concat().len() as u64;
    let entry = Entry::File(FileEntry { content: content(file), len, mode: FileMode::Regular });
    let named = NamedEntry { name: Name::new("film").unwrap(), entry, former: Vec::new() };
    Node::Leaf { entries: vec![named] }.to_object().unwrap()
}

fn commit(file: usize) -> Object {
    let signature = Signature { who: "Ada".into(), time: 0 };
    let commit = Commit {
        tree: tree(file).id().into(),
        parents: Vec::new(),
        generation: 1,
        author: signature.clone(),
        committer: signature,
        message: "a commit".into(),
        edition: EditionId([1; 16]),
        own: None,
        pin: None,
        conflicts: Vec::new(),
        merge: None,
        provenance: None,
    };
    commit.to_object().unwrap()
}

/// A writer under way.
struct Writer {
    session: Arc<dyn ObjectStore>,
    file: usize,
    /// Chunks it was told are not there, once it has asked.
    missing: Option<Vec<Vec<u8>>>,
    stored: bool,
    commit: Option<CommitId>,
}

struct World {
    store: Arc<MemoryStore>,
    shared: Arc<dyn ObjectStore>,
    refs: Arc<MemoryRefs>,
    clock: Arc<HandClock>,
    writers: [Option<Writer>; WRITERS],
    commits: Vec<CommitId>,
    writes: u8,
}

impl World {
    fn new(pins: Pins) -> Self {
        let store = Arc::new(MemoryStore::with_pins(pins));
        Self {
            shared: store.clone(),
            store,
            refs: Arc::default(),
            clock: Arc::new(HandClock(AtomicI64::new(1_000_000))),
            writers: Default::default(),
            commits: Vec::new(),
            writes: 0,
        }
    }

    fn collector(&self) -> Collector {
        Collector::new(Parts {
            objects: self.shared.clone(),
            refs: self.refs.clone(),
            workspace: Arc::new(MemoryWorkspace::default()),
            clock: self.clock.clone(),
            root: "/nowhere".into(),
            actor: "Ada".into(),
            rule: CutRule::default(),
            tracks: None,
            jobs: 1,
        })
    }

    fn name(writer: usize) -> RefName {
        RefName::branch(&format!("writer-{writer}")).unwrap()
    }

    fn move_ref(&mut self, writer: usize, target: Option<CommitId>) {
        let name = Self::name(writer);
        let old = self.refs.get(&name).unwrap();
        let new = target.map(|id| RefValue { target: Some(id), edition: None });
        if old.is_none() && new.is_none() {
            return;
        }
        self.writes += 1;
        self.refs
            .transact(&RefTransaction {
                write_id: [self.writes; 16],
                edits: vec![RefEdit { name, old, new }],
                command: "commit".into(),
                summary: String::new(),
                actor: String::new(),
                time: self.clock.now(),
                undoes: None,
            })
            .unwrap();
    }

    /// One step of a writer, or of those around it.
    fn write(&mut self, step: Step) {
        match step {
            Step::Begin(writer, file) => {
                let session = session(&self.shared);
                self.writers[writer] =
                    Some(Writer { session, file, missing: None, stored: false, commit: None });
            }
            Step::Ask(writer) => {
                let Some(writer) = &mut self.writers[writer] else { return };
                let raws = raws(writer.file);
                let ids = [ChunkId::of(&raws[0]), ChunkId::of(&raws[1])];
                let infos = writer.session.chunk_infos(&ids).unwrap();
                let missing = raws.into_iter().zip(infos).filter(|(_, info)| info.is_none());
                writer.missing = Some(missing.map(|(raw, _)| raw).collect());
            }
            Step::Remember(writer) => {
                let Some(writer) = &mut self.writers[writer] else { return };
                let found = writer.session.manifest_of(content(writer.file)).unwrap();
                writer.stored |= found.is_some();
            }
            Step::Store(writer) | Step::DropBatch(writer) => {
                let Some(writer) = &mut self.writers[writer] else { return };
                let Some(missing) = writer.missing.take() else { return };
                let mut batch = writer.session.writer().unwrap();
                for raw in missing {
                    batch.put_chunk(chunk(&raw)).unwrap();
                }
                if writer.session.manifest_of(content(writer.file)).unwrap().is_none() {
                    batch.put(&manifest(writer.file)).unwrap();
                }
                if matches!(step, Step::Store(_)) {
                    batch.finish().unwrap();
                    writer.stored = true;
                }
            }
            Step::Commit(writer) => {
                let Some(writer) = &mut self.writers[writer] else { return };
                if !writer.stored {
                    return;
                }
                let mut batch = writer.session.writer().unwrap();
                batch.put(&tree(writer.file)).unwrap();
                batch.put(&commit(writer.file)).unwrap();
                batch.finish().unwrap();
                let id = commit(writer.file).id().into();
                writer.commit = Some(id);
                self.commits.push(id);
            }
            Step::Revive(writer, old) => {
                let Some(writer) = &mut self.writers[writer] else { return };
                let Some(id) = self.commits.get(old) else { return };
                if writer.session.get((*id).into()).is_ok() {
                    writer.commit = Some(*id);
                }
            }
            Step::Move(at) => {
                let Some(writer) = &self.writers[at] else { return };
                if let Some(id) = writer.commit {
                    self.move_ref(at, Some(id));
                    self.writers[at] = None;
                }
            }
            Step::Vanish(writer) => self.writers[writer] = None,
            Step::Delete(writer) => self.move_ref(writer, None),
            Step::Wait => {
                self.clock.0.fetch_add(GRACE / 2 + 1, Ordering::Relaxed);
            }
            Step::Crash => self.writers = Default::default(),
            _ => {}
        }
    }

    /// Everything that refs reach, and what of it is missing.
    fn reached(&self) -> (BTreeSet<[u8; 32]>, Vec<String>) {
        let (mut reached, mut missing) = (BTreeSet::new(), Vec::new());
        for (name, value) in self.refs.list().unwrap() {
            let Some(id) = value.target else { continue };
            let mut walk = || -> Result<(), Box<dyn std::error::Error>> {
                let commit = Commit::from_object(&self.store.get(id.into())?)?;
                reached.insert(id.0);
                let node = Node::from_object(&self.store.get(commit.tree.into())?)?;
                reached.insert(commit.tree.0);
                let Node::Leaf { entries } = node else { return Err("no leaf".into()) };
                for named in entries {
                    let Entry::File(file) = named.entry else { return Err("no file".into()) };
                    let id = self.store.manifest_of(file.content)?.ok_or("no manifest")?;
                    let manifest = Manifest::from_object(&self.store.get(id)?)?;
                    reached.insert(id.0);
                    let Layout::Plain { chunks: ChunkList::Inline(chunks), .. } = manifest.layout
                    else {
                        return Err("no list".into());
                    };
                    let ids: Vec<_> = chunks.iter().map(|chunk| chunk.id).collect();
                    self.store.read_chunks(&ids, &mut |_, _| Ok(()))?;
                    reached.extend(ids.iter().map(|id| id.0));
                }
                Ok(())
            };
            if let Err(error) = walk() {
                missing.push(format!("{name}: {error}"));
            }
        }
        (reached, missing)
    }

    /// In the order in which a collection goes through it.
    fn held_commits_first(&self) -> Vec<Held> {
        let mut held = self.held();
        held.sort_by_key(|held| !matches!(held, Held::Object { kind: Kind::Commit, .. }));
        held
    }

    fn held(&self) -> Vec<Held> {
        let mut all = Vec::new();
        self.store
            .scan(&mut |held| {
                all.push(held);
                Ok(())
            })
            .unwrap();
        all
    }
}

/// Plays steps; says what was lost, or left over in the end.
fn play(pins: Pins, steps: &[Step]) -> Result<(), String> {
    let mut world = World::new(pins);
    let collector = world.collector();
    let mut ahead: Option<Marked> = None;
    let mut run: Option<Run<'_>> = None;
    let mut published = false;
    let mut waiting: Vec<Held> = Vec::new();
    // A collector that finds a hole stops; whether that is a loss is seen below.
    for (number, step) in steps.iter().enumerate() {
        match *step {
            Step::MarkAhead(grace) => {
                ahead = collector.mark(if grace { GRACE } else { 0 }, &Silent).ok();
            }
            Step::Collect => {
                if run.is_none()
                    && let Some(marked) = ahead.take()
                {
                    run = collector.begin(marked, false).ok();
                    published = false;
                }
            }
            Step::Mark => {
                if !published && run.as_mut().is_some_and(|run| run.mark(&Silent).is_err()) {
                    run = None;
                }
            }
            Step::Publish => {
                if let Some(some) = &mut run
                    && !published
                {
                    published = some.publish().is_ok();
                    if published {
                        waiting = world.held_commits_first();
                    } else {
                        run = None;
                    }
                }
            }
            Step::Sweep(count) => {
                if let Some(run) = &mut run
                    && published
                {
                    let some: Vec<_> = waiting.drain(..count.min(waiting.len())).collect();
                    run.step(&some).unwrap();
                }
            }
            Step::End => run = None,
            Step::Crash => {
                run = None;
                world.write(*step);
            }
            step => world.write(step),
        }
        let (_, missing) = world.reached();
        if !missing.is_empty() {
            return Err(format!("lost after step {number}, {step:?}: {missing:?}"));
        }
    }
    drop(run);
    world.write(Step::Crash);
    let marked = collector.mark(0, &Silent).map_err(|error| error.to_string())?;
    collector.sweep(marked, false, &Silent).map_err(|error| error.to_string())?;
    let (reached, missing) = world.reached();
    let left = world.held().len();
    if !missing.is_empty() || left != reached.len() {
        return Err(format!("{left} held, {} reached, lost {missing:?}", reached.len()));
    }
    Ok(())
}

/// How many plays there are; `OTTVC_MODEL_CASES` makes it more.
fn cases(usual: u32) -> Config {
    let asked = std::env::var("OTTVC_MODEL_CASES").ok().and_then(|text| text.parse().ok());
    Config { cases: asked.unwrap_or(usual), failure_persistence: None, ..Config::default() }
}

fn plays() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 20..160)
}

#[test]
fn nothing_reachable_is_lost_and_nothing_else_stays() {
    let mut runner = TestRunner::new(cases(3000));
    let played =
        runner.run(&plays(), |steps| play(Pins::default(), &steps).map_err(TestCaseError::fail));
    if let Err(error) = played {
        panic!("{error}");
    }
}

#[test]
fn without_pins_the_same_plays_lose_something() {
    let mut runner = TestRunner::new(cases(3000));
    let played =
        runner.run(&plays(), |steps| play(Pins::ignored(), &steps).map_err(TestCaseError::fail));
    match played {
        Err(TestError::Fail(why, steps)) => {
            assert!(why.to_string().contains("lost after"), "{why}");
            assert!(steps.len() < 160, "{steps:?}");
        }
        other => panic!("the exploration missed it: {other:?}"),
    }
}
