//! What each part of a trip through the store costs alone: `cargo bench -p ottvc-benches`.
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark that fails may panic")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ottvc_chunk::{Block, Cutter, Splitter};
use ottvc_local::{Access, LocalRepo};
use ottvc_merge::{MergeOptions, merge_values};
use ottvc_object::conflict::Terms;
use ottvc_object::manifest::CutRule;
use ottvc_object::tree::{EMPTY_TREE, diff, edit};
use ottvc_object::value::{Document, Value};
use ottvc_object::{
    ChunkId, ContentId, Entry, FileEntry, FileMode, Name, NamedEntry, Object, RepoPath, Storable,
    TreeId,
};
use ottvc_repo::content;
use ottvc_repo::ingest::{Ingest, IngestOptions};
use ottvc_repo::nodes::StoreNodes;
use ottvc_store::ObjectStore;
use ottvc_store::memory::MemoryStore;
use ottvc_store::pack::Encoder;
use ottvc_testkit::objects::{chunk, noise};

const RULE: CutRule = CutRule::DEFAULT;
const MEDIA: usize = 64 << 20;

/// A document of an edition, about a kilobyte as JSON.
fn edition(revision: i64) -> Value {
    let text = |words: usize| "the quick brown fox ".repeat(words);
    Value::map([
        ("id", Value::from("tt0000001")),
        ("revision", Value::from(revision)),
        ("title", Value::map([("en", Value::from("Dune")), ("de", Value::from("Der Planet"))])),
        ("synopsis", Value::from(text(30).as_str())),
        ("year", Value::from(2021)),
        ("country", Value::from("US")),
    ])
}

/// Cutting, naming and looking at media, in bytes a second of one core.
fn bytes(bench: &mut Criterion) {
    let media = noise(1, MEDIA);
    let mut group = bench.benchmark_group("bytes");
    group.throughput(Throughput::Bytes(MEDIA as u64)).sample_size(10);
    group.bench_function("cut", |bench| {
        let mut splitter = Splitter::new(Cutter::new(RULE).unwrap(), 2 << 20);
        let mut block = Block::default();
        bench.iter(|| {
            splitter.reset();
            let mut source = media.as_slice();
            while splitter.next(&mut source, &mut block).unwrap() {
                black_box(block.chunks().count());
            }
        });
    });
    group.bench_function("name chunks", |bench| {
        bench.iter(|| media.chunks(64 << 10).map(ChunkId::of).for_each(|id| _ = black_box(id)));
    });
    group.bench_function("look for what compresses", |bench| {
        let mut encoder = Encoder::default();
        bench.iter(|| media.chunks(128 << 10).for_each(|raw| _ = black_box(encoder.encode(raw))));
    });
    group.finish();
}

/// A file in and out of a store on disk, without waiting for the disk.
fn store(bench: &mut Criterion) {
    let media = noise(2, MEDIA);
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let options = IngestOptions { rule: RULE, tracks: None, jobs };
    let access = Access::Write { wait: Duration::ZERO, command: "a benchmark" };
    let new = || {
        let folder = tempfile::tempdir().unwrap();
        LocalRepo::init(folder.path()).unwrap();
        let store = LocalRepo::open(folder.path(), access).unwrap();
        (folder, store)
    };
    let put = |store: &LocalRepo| {
        let objects = store.objects();
        let mut writer = objects.writer().unwrap();
        let mut ingest = Ingest::new(&*objects, &mut *writer, options.clone());
        let stored = ingest.file(media.as_slice(), &|_| {}).unwrap();
        writer.finish().unwrap();
        stored
    };
    let mut group = bench.benchmark_group("store");
    group.throughput(Throughput::Bytes(MEDIA as u64)).sample_size(10);
    group.bench_function("put a file", |bench| {
        bench.iter_batched(
            new,
            |(folder, store)| (put(&store), store, folder),
            BatchSize::PerIteration,
        );
    });
    let (_folder, kept) = new();
    let content = put(&kept).content;
    kept.objects().sync().unwrap();
    group.bench_function("put it again", |bench| bench.iter(|| put(&kept)));
    group.bench_function("read it back", |bench| {
        let objects = kept.objects();
        bench.iter(|| {
            content::open(&*objects, content).unwrap().write_to(&mut std::io::sink()).unwrap()
        });
    });
    group.bench_function("read 1 MiB of it", |bench| {
        let objects = kept.objects();
        let file = content::open(&*objects, content).unwrap();
        bench.iter(|| file.read_range(20 << 20, 1 << 20, &mut std::io::sink()).unwrap());
    });
    group.finish();
    let mut group = bench.benchmark_group("small");
    group.throughput(Throughput::Elements(1000));
    group.bench_function("put 1,000 chunks of 1 KiB", |bench| {
        let chunks: Vec<_> = (0..1000).map(|seed| chunk(&noise(seed + 9, 1 << 10))).collect();
        bench.iter_batched(
            new,
            |(folder, store)| {
                ottvc_testkit::objects::store(&*store.objects(), &[], &chunks);
                (store, folder)
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// A folder of 100,000 files: an edit of ten, and a diff that finds them.
fn tree(bench: &mut Criterion) {
    let store: Arc<dyn ObjectStore> = Arc::new(MemoryStore::default());
    let nodes = StoreNodes::new(Arc::clone(&store));
    let file = |seed: u64, at: usize| {
        let name = Name::new(&format!("{at:06}.json")).unwrap();
        let content = ContentId::of(&(seed, at).0.to_le_bytes());
        let entry = Entry::File(FileEntry { content, len: 900, mode: FileMode::Regular });
        (name.key(), Some(NamedEntry { name, entry, former: Vec::new() }))
    };
    let change = |root: TreeId, edits: &BTreeMap<String, Option<NamedEntry>>| {
        let mut made: Vec<Object> = Vec::new();
        let new = edit(&nodes, root, edits, &mut |node| {
            made.push(node.clone());
            Ok(())
        });
        let mut writer = store.writer().unwrap();
        made.iter().for_each(|node| _ = writer.put(node).unwrap());
        writer.finish().unwrap();
        new.unwrap().0
    };
    let all: BTreeMap<_, _> = (0..100_000).map(|at| file(1, at)).collect();
    let old = change(EMPTY_TREE, &all);
    let ten: BTreeMap<_, _> = (0..10).map(|at| file(2, at * 10_007 % 100_000)).collect();
    let new = change(old, &ten);
    let mut group = bench.benchmark_group("tree of 100,000");
    group.bench_function("edit 10", |bench| bench.iter(|| change(old, &ten)));
    group.bench_function("find 10 that differ", |bench| {
        bench.iter(|| {
            let mut found = 0;
            diff(&nodes, old, new, &mut |_, _, _| {
                found += 1;
                Ok(())
            })
            .unwrap();
            assert_eq!(found, 10);
        });
    });
    group.finish();
}

/// Documents: text to value, value to canonical bytes, and a three-way merge.
fn documents(bench: &mut Criterion) {
    let json = Document::new(edition(1)).unwrap().to_json_pretty();
    let mut group = bench.benchmark_group("document");
    group.throughput(Throughput::Bytes(json.len() as u64));
    group.bench_function("read JSON", |bench| {
        bench.iter(|| Document::from_json(json.as_bytes()).unwrap());
    });
    let document = Document::from_json(json.as_bytes()).unwrap();
    group.bench_function("canonical bytes", |bench| bench.iter(|| document.to_object().unwrap()));
    group.bench_function("merge", |bench| {
        let file = RepoPath::new("edition.meta.json").unwrap();
        let options = MergeOptions::default();
        let terms = Terms::three(Some(edition(2)), Some(edition(1)), Some(edition(1)));
        bench.iter(|| merge_values(&terms, &options, &file).unwrap());
    });
    group.finish();
}

criterion_group!(parts, bytes, store, tree, documents);
criterion_main!(parts);
