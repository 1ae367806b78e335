//! Files in and out of a store: every byte comes back, by any range, however it was cut.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod common;

use std::cell::Cell;
use std::io::{self, Cursor, Read, Write};
use std::sync::Arc;

use common::Lab;
use common::holey::Holey;
use ottvc_object::manifest::{ChunkList, ChunkRef, CutRule, Layout, Manifest, merkle_root};
use ottvc_object::{ChunkId, ContentId, Object, ObjectError, Storable};
use ottvc_repo::Silent;
use ottvc_repo::content::{self, ContentError, NewRange};
use ottvc_repo::ingest::{Ingest, IngestOptions, Ingested};
use ottvc_repo::verify::Reading;
use ottvc_store::memory::MemoryStore;
use ottvc_store::{DamagedThing, EncodedChunk, ObjectStore, StoreError, StoreWriter, Written};
use proptest::prelude::*;

/// A rule that makes many chunks of few bytes, so that lists have pages.
const SMALL: CutRule = CutRule::FastCdc { min: 64, avg: 256, max: 1024 };

/// Bytes that compress nowhere and are the same everywhere.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

fn options(rule: CutRule, jobs: usize) -> IngestOptions {
    IngestOptions { rule, tracks: None, jobs }
}

fn add(store: &MemoryStore, bytes: &[u8], options: IngestOptions) -> Ingested {
    let mut writer = store.writer().unwrap();
    let done = Cell::new(0);
    let ingested = Ingest::new(store, &mut *writer, options)
        .file(bytes, &|bytes| {
            assert!(bytes > done.replace(bytes), "progress goes forward");
        })
        .unwrap();
    assert_eq!(done.get(), bytes.len() as u64);
    writer.finish().unwrap();
    ingested
}

fn read(store: &MemoryStore, content: ContentId) -> Result<Vec<u8>, ContentError> {
    let mut bytes = Vec::new();
    content::open(store, content)?.write_to(&mut bytes)?;
    Ok(bytes)
}

fn cuts(store: &MemoryStore, content: ContentId) -> Vec<(u64, ChunkId)> {
    let mut cuts = Vec::new();
    content::chunks(store, content, &mut |at| {
        cuts.push((at.start, at.chunk.id));
        Ok(())
    })
    .unwrap();
    cuts
}

fn manifest(store: &MemoryStore, content: ContentId) -> Manifest {
    content::open(store, content).unwrap().manifest().clone()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// What was stored comes back, whole and by range, and a range reads only its own chunks.
    #[test]
    fn bytes_come_back(seed in 0..9_u64, len in 0..30_000_usize, from in 0..=100_usize, to in 0..=100_usize) {
        let store = MemoryStore::default();
        let bytes = noise(seed, len);
        let added = add(&store, &bytes, options(SMALL, 2));
        prop_assert_eq!((added.content, added.len), (ContentId::of(&bytes), len as u64));
        prop_assert_eq!((added.new_chunks, added.new_bytes), (added.chunks, len as u64));
        prop_assert_eq!(&read(&store, added.content).unwrap(), &bytes);
        let (from, to) = (len * from.min(to) / 100, len * from.max(to) / 100);
        let before = store.counts().chunks_read;
        let mut range = Vec::new();
        let file = content::open(&store, added.content).unwrap();
        file.read_range(from as u64, (to - from) as u64, &mut range).unwrap();
        prop_assert_eq!(&range, &bytes[from..to]);
        let read = store.counts().chunks_read - before;
        prop_assert!(read <= (to - from) as u64 / 64 + 2, "{} chunks read", read);
    }
}

#[test]
fn long_files_come_back_whoever_works_on_them() {
    let mut mixed = noise(1, 5 << 20);
    mixed.splice(3 << 20..3 << 20, vec![0; 4 << 20]);
    mixed.extend("a line of text\n".repeat(100_000).bytes());
    let mut seen = Vec::new();
    for (rule, jobs) in
        [(SMALL, 2), (CutRule::DEFAULT, 1), (CutRule::DEFAULT, 0), (CutRule::DEFAULT, 8)]
    {
        let store = MemoryStore::default();
        let added = add(&store, &mixed, options(rule, jobs));
        assert_eq!(added.content, ContentId::of(&mixed));
        assert!(read(&store, added.content).unwrap() == mixed, "{rule:?} with {jobs} jobs");
        let cuts = cuts(&store, added.content);
        assert_eq!(cuts.len() as u64, added.chunks);
        if rule == CutRule::DEFAULT {
            seen.push((cuts, manifest(&store, added.content)));
        } else {
            let Layout::Plain { chunks, .. } = manifest(&store, added.content).layout else {
                panic!()
            };
            assert!(matches!(chunks, ChunkList::Paged { count, .. } if count == added.chunks));
        }
    }
    seen.dedup();
    assert_eq!(seen.len(), 1, "the number of workers changes nothing");
}

#[test]
fn an_empty_file_is_a_file() {
    let store = MemoryStore::default();
    let added = add(&store, b"", options(CutRule::DEFAULT, 2));
    assert_eq!((added.len, added.chunks, added.content), (0, 0, ContentId::of(b"")));
    assert_eq!(read(&store, added.content).unwrap(), b"");
    assert_eq!(manifest(&store, added.content).merkle_root, [0; 32]);
}

#[test]
fn adding_again_stores_nothing() {
    let store = MemoryStore::default();
    let bytes = noise(2, 5 << 20);
    let first = add(&store, &bytes, options(SMALL, 2));
    let counts = store.counts();
    let again = add(&store, &bytes, options(SMALL, 2));
    assert_eq!((again.content, again.chunks), (first.content, first.chunks));
    assert_eq!((again.new_chunks, again.new_bytes, again.stored_bytes), (0, 0, 0));
    let now = store.counts();
    assert_eq!(now.objects_written, counts.objects_written);
    assert_eq!(now.chunks_written, counts.chunks_written);
}

#[test]
fn an_edit_stores_its_neighbourhood() {
    let store = MemoryStore::default();
    let bytes = noise(3, 6 << 20);
    add(&store, &bytes, options(SMALL, 2));
    let mut edited = bytes.clone();
    edited.splice(3 << 20..3 << 20, noise(4, 5000));
    let added = add(&store, &edited, options(SMALL, 2));
    assert!((5000..12_000).contains(&added.new_bytes), "{added:?}");
    let shared = content::shared_ranges(&store, ContentId::of(&bytes), added.content).unwrap();
    assert_eq!(shared.bytes + added.new_bytes, added.len);
    let [NewRange { offset, length, new_bytes: None }] = *shared.new_ranges else {
        panic!("{shared:?}")
    };
    assert_eq!(length, added.new_bytes);
    assert!(offset <= 3 << 20 && offset + length >= (3 << 20) + 5000, "{shared:?}");
    // The same answer before it is stored.
    let unstored =
        content::shared_with(&store, ContentId::of(&bytes), Cursor::new(&edited), SMALL).unwrap();
    assert_eq!(unstored, shared);
    let nothing =
        content::shared_with(&store, ContentId::of(&bytes), Cursor::new(noise(5, 9999)), SMALL);
    assert_eq!(nothing.unwrap(), content::Shared::none(9999));
    let same = content::shared_ranges(&store, added.content, added.content).unwrap();
    assert_eq!((same.bytes, same.new_ranges), (added.len, Vec::new()));
}

#[test]
fn text_is_compressed_and_media_is_not() {
    let store = MemoryStore::default();
    let text = (0..200_000).map(|n| format!("line {n}\n")).collect::<String>();
    let added = add(&store, text.as_bytes(), options(CutRule::DEFAULT, 2));
    assert!(added.stored_bytes < added.new_bytes / 2, "{added:?}");
    assert!(read(&store, added.content).unwrap() == text.as_bytes());
    let added = add(&store, &noise(6, 3 << 20), options(CutRule::DEFAULT, 2));
    assert_eq!(added.stored_bytes, added.new_bytes);
}

/// How a file is kept may change; what names it does not.
#[test]
fn rechunking_changes_the_manifest_alone() {
    let store = MemoryStore::default();
    let bytes = noise(7, 9 << 20);
    let content = add(&store, &bytes, options(CutRule::DEFAULT, 2)).content;
    let before = (manifest(&store, content), cuts(&store, content));
    let again = content::rechunk(&store, content, options(SMALL, 2)).unwrap();
    assert_eq!(again.content, content);
    let after = manifest(&store, content);
    assert_ne!(after, before.0);
    assert!(cuts(&store, content).len() > before.1.len());
    assert!(read(&store, content).unwrap() == bytes);
    // And back to what it was.
    let back = content::rechunk(&store, content, options(CutRule::DEFAULT, 2)).unwrap();
    assert_eq!(back.new_chunks, 0);
    assert_eq!((manifest(&store, content), cuts(&store, content)), before);
    let unknown = content::rechunk(&store, ContentId::of(b"no"), options(SMALL, 1)).unwrap_err();
    assert_eq!(unknown.code(), "content.no_manifest");
}

#[test]
fn what_is_not_there_is_named() {
    let store = MemoryStore::default();
    let content = ContentId::of(b"nobody stored this");
    let error = read(&store, content).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("the store does not keep the file with content {content}")
    );

    let added = add(&store, &noise(8, 50_000), options(SMALL, 1));
    let file = content::open(&store, added.content).unwrap();
    let past = file.read_range(49_999, 2, &mut Vec::new()).unwrap_err();
    assert!(matches!(past, ContentError::Object(ObjectError::OutOfRange { len: 50_000, .. })));
    assert!(file.read_range(u64::MAX, 2, &mut Vec::new()).is_err());
    file.read_range(50_000, 0, &mut Vec::new()).unwrap();

    let (_, chunk) = cuts(&store, added.content)[3];
    store.damage(DamagedThing::Chunk(chunk));
    let error = read(&store, added.content).unwrap_err();
    assert!(
        matches!(error, ContentError::Store(StoreError::DamagedChunk { id, .. }) if id == chunk)
    );
    // The rest can still be read.
    file.read_range(20_000, 30_000, &mut Vec::new()).unwrap();
}

/// Puts an object as it is.
fn put(store: &MemoryStore, object: &Object) {
    let mut writer = store.writer().unwrap();
    writer.put(object).unwrap();
    writer.finish().unwrap();
}

/// Manifests are not history, so nothing but the bytes vouches for them.
#[test]
fn a_manifest_that_lies_is_found_out() {
    let store = MemoryStore::default();
    let content = add(&store, &noise(9, 50_000), options(SMALL, 1)).content;
    let honest = manifest(&store, content);
    let other = ContentId::of(b"something else");
    put(&store, &Manifest { content: other, ..honest.clone() }.to_object().unwrap());
    let error = read(&store, other).unwrap_err();
    assert!(matches!(error, ContentError::Mismatch { found, .. } if found == content), "{error}");
    let error = content::rechunk(&store, other, options(CutRule::DEFAULT, 1)).unwrap_err();
    assert!(matches!(error, ContentError::Mismatch { .. }), "{error}");

    // Longer than its chunks are.
    put(&store, &Manifest { len: honest.len + 1, ..honest.clone() }.to_object().unwrap());
    assert!(matches!(read(&store, content), Err(ContentError::Object(_))));
    // Chunks that are not as long as the list says.
    let small = add(&store, b"0123456789", options(SMALL, 1)).content;
    let mut lying = manifest(&store, small);
    let Layout::Plain { chunks: ChunkList::Inline(chunks), .. } = &mut lying.layout else {
        panic!("a short list is inline")
    };
    chunks[0].len = 9;
    lying.len = 9;
    put(&store, &lying.to_object().unwrap());
    assert!(read(&store, small).is_err());
    // Adding the file again heals it.
    add(&store, b"0123456789", options(SMALL, 1));
    assert_eq!(read(&store, small).unwrap(), b"0123456789");
}

/// Fails after so many bytes.
struct Failing(usize);

impl Read for Failing {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::Error::other("the card was pulled"));
        }
        let read = out.len().min(self.0);
        self.0 -= read;
        Ok(read)
    }
}

impl Write for Failing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let written = bytes.len().min(self.0);
        self.0 -= written;
        Ok(written)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A batch that fails after so many chunks.
#[derive(Debug)]
struct FailingBatch(u32);

impl StoreWriter for FailingBatch {
    fn put(&mut self, _: &Object) -> Result<bool, StoreError> {
        Ok(true)
    }
    fn put_chunk(&mut self, _: EncodedChunk<'_>) -> Result<bool, StoreError> {
        self.0 = self.0.checked_sub(1).ok_or(StoreError::ReadOnly)?;
        Ok(true)
    }
    fn finish(self: Box<Self>) -> Result<Written, StoreError> {
        Ok(Written::default())
    }
}

#[test]
fn failures_end_the_pipeline() {
    let store = MemoryStore::default();
    for readable in [0, 1000, 3 << 20, 30 << 20] {
        let mut writer = store.writer().unwrap();
        let error = Ingest::new(&store, &mut *writer, options(CutRule::DEFAULT, 3))
            .file(Failing(readable), &|_| {})
            .unwrap_err();
        assert!(matches!(error, ContentError::Read { .. }), "{error}");
    }
    let bytes = noise(10, 40 << 20);
    for chunks in [0, 1, 50] {
        let mut batch = FailingBatch(chunks);
        let error = Ingest::new(&store, &mut batch, options(CutRule::DEFAULT, 3))
            .file(&*bytes, &|_| {})
            .unwrap_err();
        assert!(matches!(error, ContentError::Store(StoreError::ReadOnly)), "{error}");
    }
    let content = add(&store, &bytes, options(CutRule::DEFAULT, 3)).content;
    let file = content::open(&store, content).unwrap();
    for writable in [0, 1, 20 << 20] {
        let error = file.write_to(&mut Failing(writable)).unwrap_err();
        assert!(matches!(error, ContentError::Write { .. }), "{error}");
    }
}

#[test]
fn a_file_written_aside_is_proven_by_the_whole_and_blames_a_chunk() {
    let holey = Holey::default();
    let bytes = noise(11, 100_000);
    let content = add(&holey.inner, &bytes, options(SMALL, 1)).content;
    let write = || {
        let mut out = Vec::new();
        content::open(&holey, content)?.write_aside(&mut out).map(|()| out)
    };
    assert!(write().unwrap() == bytes);
    let (_, id) = cuts(&holey.inner, content)[7];
    holey.spoil(id.0);
    let error = write().unwrap_err();
    assert!(matches!(error, ContentError::Mismatch { found, .. } if found != content), "{error}");
    holey.lose(id.0);
    let error = write().unwrap_err();
    let named = |it: &ContentError| matches!(it, ContentError::Store(StoreError::NoChunk { id: named }) if *named == id);
    assert!(named(&error), "{error}");
}

#[test]
fn one_ingest_stores_many_files() {
    let store = MemoryStore::default();
    let mut writer = store.writer().unwrap();
    let mut ingest = Ingest::new(&store, &mut *writer, options(CutRule::DEFAULT, 2));
    let files: Vec<Vec<u8>> =
        [10, 3 << 20, 0, 5 << 20, 100_000].map(|len| noise(len as u64, len)).into();
    let contents: Vec<ContentId> =
        files.iter().map(|file| ingest.file(&**file, &|_| {}).unwrap().content).collect();
    writer.finish().unwrap();
    for (file, content) in files.iter().zip(contents) {
        assert!(read(&store, content).unwrap() == *file);
    }
}

#[test]
fn a_manifest_that_is_gone_does_not_hide_the_one_chunk_that_a_file_is() {
    let store = Holey::default();
    let bytes = noise(3, 200);
    let content = add(&store.inner, &bytes, options(SMALL, 1)).content;
    assert_eq!(store.manifest_of(content).unwrap(), None, "a file of one chunk needs none");
    // As it was cut by another rule, before that was collected.
    let stale = Manifest {
        content,
        len: 200,
        merkle_root: merkle_root([ChunkId([1; 32]), ChunkId([2; 32])]),
        sha256: None,
        layout: Layout::Plain {
            rule: SMALL,
            chunks: ChunkList::Inline(vec![
                ChunkRef { id: ChunkId([1; 32]), len: 100 },
                ChunkRef { id: ChunkId([2; 32]), len: 100 },
            ]),
        },
    };
    let stale = stale.to_object().unwrap();
    let mut writer = store.writer().unwrap();
    writer.put(&stale).unwrap();
    writer.finish().unwrap();
    store.lose(stale.id().0);
    assert_eq!(store.manifest_of(content).unwrap(), Some(stale.id()));
    let mut read = Vec::new();
    content::open(&store, content).unwrap().write_to(&mut read).unwrap();
    assert_eq!(read, bytes);
    assert!(content::is_whole(&store, content).unwrap());

    let inner = store.inner.clone();
    let lab = Lab::over(Arc::new(store), inner);
    lab.write("short.mov", &bytes).commit("short");
    assert!(lab.repo.verify(Reading::Everything, &Silent).unwrap().clean);
    assert_eq!(lab.cat("main", "short.mov"), bytes);
    // The file is marked as the chunk, and the row that names nothing stops no collection.
    let collected = lab.collector().mark(0, &Silent).unwrap();
    assert!(lab.collector().sweep(collected, true, &Silent).is_ok());
}

#[test]
fn a_file_is_whole_while_every_chunk_of_it_is() {
    let store = Holey::default();
    let content = add(&store.inner, &noise(4, 30_000), options(SMALL, 1)).content;
    assert!(content::is_whole(&store, content).unwrap());
    assert!(!content::is_whole(&store, ContentId([9; 32])).unwrap());
    let chunk = cuts(&store.inner, content)[7].1;
    store.inner.damage(DamagedThing::Chunk(chunk));
    assert!(!content::is_whole(&store, content).unwrap(), "a chunk is damaged");

    let store = Holey::default();
    add(&store.inner, &noise(4, 30_000), options(SMALL, 1));
    store.lose(chunk.0);
    assert!(!content::is_whole(&store, content).unwrap(), "a chunk is gone");
}
