//! What every object store promises: run [`objects`] against a backend.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a suite fails by panicking")]

use std::collections::HashMap;
use std::sync::Arc;

use ottvc_object::manifest::{ChunkList, ChunkRef, CutRule, Layout, Manifest, merkle_root};
use ottvc_object::{ChunkId, ContentId, Kind, Object, ObjectId, Storable};
use ottvc_store::pack::Encoder;
use ottvc_store::{
    ChunkInfo, EncodedChunk, Encoding, Held, ObjectStore, Portion, StoreError, Written,
};

/// Makes an empty store.
pub type MakeObjects<'a> = &'a dyn Fn() -> Arc<dyn ObjectStore>;

/// Checks every promise of [`ObjectStore`]; panics at the first that is broken.
pub fn objects(make: MakeObjects<'_>) {
    an_empty_store_holds_nothing(&*make());
    what_is_finished_is_found(&*make());
    nothing_is_stored_twice(&*make());
    an_unfinished_batch_is_forgotten(&*make());
    a_batch_does_not_count_on_an_unfinished_one(&*make());
    the_manifest_stored_last_is_the_one(&*make());
    chunks_come_in_the_order_asked_for(&*make());
    a_reader_stops_at_the_first_fault(&*make());
    long_runs_of_chunks_come_back_whole(&*make());
    a_scan_meets_everything_once(&*make());
    prefixes_find_ids(&*make());
    chunks_that_no_pack_can_hold_are_refused(&*make());
    a_healthy_store_checks_clean(&*make());
}

/// An object of a kind, its bytes made from a seed. Its body decodes as nothing; a store does not
/// look at it, except into manifests, which [`manifest`] makes.
pub fn object(kind: Kind, seed: u64) -> Object {
    let mut bytes = vec![kind as u8, 1];
    bytes.extend(seed.to_le_bytes());
    Object::from_bytes(bytes).unwrap()
}

/// Bytes that no compressor shortens, made from a seed.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    // splitmix64: equal on every machine, and quick.
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let mut bytes: Vec<u8> = (0..len.div_ceil(8)).flat_map(|_| next().to_le_bytes()).collect();
    bytes.truncate(len);
    bytes
}

/// The chunk with these raw bytes, compressed where that helps.
pub fn chunk(raw: &[u8]) -> EncodedChunk<'static> {
    Encoder::default().chunk(raw).unwrap().into_owned()
}

/// A manifest of a file that is one chunk with these bytes; `average` only makes it another manifest
/// for the same content.
pub fn manifest(raw: &[u8], average: u32) -> Object {
    let id = ChunkId::of(raw);
    let len = u32::try_from(raw.len()).unwrap();
    let manifest = Manifest {
        content: ContentId::of(raw),
        len: u64::from(len),
        merkle_root: merkle_root([id]),
        sha256: None,
        layout: Layout::Plain {
            rule: CutRule::FastCdc { min: 64, avg: average, max: 1 << 20 },
            chunks: ChunkList::Inline(vec![ChunkRef { id, len }]),
        },
    };
    manifest.to_object().unwrap()
}

/// Stores objects and chunks in one batch.
pub fn store(store: &dyn ObjectStore, objects: &[Object], chunks: &[EncodedChunk<'_>]) -> Written {
    let mut writer = store.writer().unwrap();
    for chunk in chunks {
        writer.put_chunk(chunk.clone()).unwrap();
    }
    for object in objects {
        writer.put(object).unwrap();
    }
    writer.finish().unwrap()
}

/// Reads chunks whole.
///
/// # Errors
/// What the store says.
pub fn read(store: &dyn ObjectStore, ids: &[ChunkId]) -> Result<Vec<Vec<u8>>, StoreError> {
    let mut read = Vec::new();
    store.read_chunks(ids, &mut |index, raw| {
        assert_eq!(index, read.len(), "chunks come in order");
        read.push(raw.to_vec());
        Ok(())
    })?;
    Ok(read)
}

fn an_empty_store_holds_nothing(store: &dyn ObjectStore) {
    let (id, chunk) = (ObjectId([1; 32]), ChunkId([2; 32]));
    assert!(matches!(store.get(id), Err(StoreError::NotFound { id: found }) if found == id));
    assert_eq!(store.contains(&[id]).unwrap(), [false]);
    assert_eq!(store.chunk_infos(&[chunk]).unwrap(), [None]);
    assert!(matches!(read(store, &[chunk]), Err(StoreError::NoChunk { id }) if id == chunk));
    assert_eq!(read(store, &[]).unwrap(), Vec::<Vec<u8>>::new());
    assert_eq!(store.manifest_of(ContentId([3; 32])).unwrap(), None);
    assert_eq!(store.find_prefix("", &Kind::ALL, 10).unwrap(), []);
    store.scan(&mut |held| panic!("{held:?}")).unwrap();
    assert_eq!(store.usage().unwrap().pack_bytes, 0);
    store.sync().unwrap();
}

fn what_is_finished_is_found(store: &dyn ObjectStore) {
    let objects: Vec<_> = Kind::ALL[..4].iter().map(|kind| object(*kind, 7)).collect();
    let raws = [noise(1, 1), noise(2, 50_000), vec![7; 100_000]];
    let chunks: Vec<_> = raws.iter().map(|raw| chunk(raw)).collect();
    let written = self::store(store, &objects, &chunks);
    let absent = ObjectId([9; 32]);
    // Twice: before and after the barrier.
    for _ in 0..2 {
        for object in &objects {
            assert_eq!(&store.get(object.id()).unwrap(), object);
        }
        let ids = [objects[0].id(), absent, objects[3].id()];
        assert_eq!(store.contains(&ids).unwrap(), [true, false, true]);
        for (raw, chunk) in raws.iter().zip(&chunks) {
            assert_eq!(read(store, &[chunk.id]).unwrap(), std::slice::from_ref(raw));
            let info = ChunkInfo { raw_len: chunk.raw_len, damaged: false };
            assert_eq!(store.chunk_infos(&[chunk.id]).unwrap(), [Some(info)]);
        }
        store.sync().unwrap();
    }
    assert_eq!((written.objects, written.chunks), (4, 3));
    let raw: usize = objects.iter().map(|object| object.bytes().len()).sum();
    assert_eq!(written.raw_bytes, (raw + 150_001) as u64);
    assert!(written.stored_bytes > 50_000 && written.stored_bytes < 60_000);
}

fn nothing_is_stored_twice(store: &dyn ObjectStore) {
    let (object, chunk) = (object(Kind::Tree, 1), chunk(b"a chunk"));
    let mut writer = store.writer().unwrap();
    assert!(writer.put(&object).unwrap());
    assert!(!writer.put(&object).unwrap(), "within a batch");
    assert!(writer.put_chunk(chunk.clone()).unwrap());
    assert!(!writer.put_chunk(chunk.clone()).unwrap(), "within a batch");
    let written = writer.finish().unwrap();
    assert_eq!((written.objects, written.chunks), (1, 1));
    for _ in 0..2 {
        let mut writer = store.writer().unwrap();
        assert!(!writer.put(&object).unwrap(), "across batches");
        assert!(!writer.put_chunk(chunk.clone()).unwrap(), "across batches");
        assert_eq!(writer.finish().unwrap(), Written::default());
        store.sync().unwrap();
    }
}

fn an_unfinished_batch_is_forgotten(store: &dyn ObjectStore) {
    let (object, chunk) = (object(Kind::Tree, 1), chunk(b"a chunk"));
    let mut writer = store.writer().unwrap();
    writer.put(&object).unwrap();
    writer.put_chunk(chunk.clone()).unwrap();
    drop(writer);
    assert_eq!(store.contains(&[object.id()]).unwrap(), [false]);
    assert_eq!(store.chunk_infos(&[chunk.id]).unwrap(), [None]);
    let written = self::store(store, &[object], &[chunk]);
    assert_eq!((written.objects, written.chunks), (1, 1));
}

fn a_batch_does_not_count_on_an_unfinished_one(store: &dyn ObjectStore) {
    let (object, chunk) = (object(Kind::Tree, 1), chunk(b"a chunk"));
    let mut dropped = store.writer().unwrap();
    dropped.put(&object).unwrap();
    dropped.put_chunk(chunk.clone()).unwrap();
    self::store(store, std::slice::from_ref(&object), std::slice::from_ref(&chunk));
    drop(dropped);
    store.sync().unwrap();
    assert_eq!(store.get(object.id()).unwrap(), object);
    assert_eq!(read(store, &[chunk.id]).unwrap(), [b"a chunk".to_vec()]);
}

fn the_manifest_stored_last_is_the_one(store: &dyn ObjectStore) {
    let raw = b"a file";
    let (first, second) = (manifest(raw, 100), manifest(raw, 200));
    let content = ContentId::of(raw);
    self::store(store, std::slice::from_ref(&first), &[chunk(raw)]);
    assert_eq!(store.manifest_of(content).unwrap(), Some(first.id()));
    store.sync().unwrap();
    self::store(store, std::slice::from_ref(&second), &[]);
    assert_eq!(store.manifest_of(content).unwrap(), Some(second.id()));
    store.sync().unwrap();
    // Known already, and still the one that its content is kept by from now on.
    let written = self::store(store, std::slice::from_ref(&first), &[]);
    assert_eq!(written.objects, 0);
    assert_eq!(store.manifest_of(content).unwrap(), Some(first.id()));
    store.sync().unwrap();
    assert_eq!(store.manifest_of(content).unwrap(), Some(first.id()));
    assert_eq!(store.get(second.id()).unwrap(), second, "the other stays");
}

fn chunks_come_in_the_order_asked_for(store: &dyn ObjectStore) {
    let raws: Vec<_> = (0..20).map(|seed| noise(seed, 1000)).collect();
    let chunks: Vec<_> = raws.iter().map(|raw| chunk(raw)).collect();
    self::store(store, &[], &chunks[..10]);
    store.sync().unwrap();
    self::store(store, &[], &chunks[10..]);
    let order = [3, 4, 5, 19, 0, 0, 18, 4, 3, 2, 11, 12, 13, 3];
    let ids: Vec<_> = order.iter().map(|n| chunks[*n].id).collect();
    let expected: Vec<_> = order.iter().map(|n| raws[*n].clone()).collect();
    assert_eq!(read(store, &ids).unwrap(), expected);
}

fn a_reader_stops_at_the_first_fault(store: &dyn ObjectStore) {
    let chunks: Vec<_> = (0..6).map(|seed| chunk(&noise(seed, 100))).collect();
    self::store(store, &[], &chunks);
    let absent = ChunkId([1; 32]);
    let mut ids: Vec<_> = chunks.iter().map(|chunk| chunk.id).collect();
    ids.insert(4, absent);
    let mut visited = 0;
    let failed = store.read_chunks(&ids, &mut |_, _| {
        visited += 1;
        Ok(())
    });
    assert!(matches!(failed, Err(StoreError::NoChunk { id }) if id == absent));
    assert_eq!(visited, 4, "those before it are handed out");
    let mut visited = 0;
    let stopped = store.read_chunks(&ids, &mut |_, _| {
        visited += 1;
        if visited == 2 { Err(StoreError::Stopped("enough".into())) } else { Ok(()) }
    });
    assert!(matches!(stopped, Err(StoreError::Stopped(_))));
    assert_eq!(visited, 2);
}

fn long_runs_of_chunks_come_back_whole(store: &dyn ObjectStore) {
    let raws: Vec<_> = (0..40).map(|seed| noise(seed, 300_000)).collect();
    let chunks: Vec<_> = raws.iter().map(|raw| chunk(raw)).collect();
    self::store(store, &[], &chunks);
    let ids: Vec<_> = chunks.iter().map(|chunk| chunk.id).collect();
    assert_eq!(read(store, &ids).unwrap(), raws);
    let every_third: Vec<_> = ids.iter().step_by(3).copied().collect();
    let expected: Vec<_> = raws.iter().step_by(3).cloned().collect();
    assert_eq!(read(store, &every_third).unwrap(), expected);
}

fn a_scan_meets_everything_once(store: &dyn ObjectStore) {
    let chunks: Vec<_> = (0..5).map(|seed| chunk(&noise(seed, 500))).collect();
    let objects: Vec<_> = (0..5).map(|seed| object(Kind::Document, seed)).collect();
    self::store(store, &objects[..3], &chunks[..3]);
    store.sync().unwrap();
    let expected: HashMap<[u8; 32], Option<Kind>> = objects
        .iter()
        .map(|object| (object.id().0, Some(object.kind())))
        .chain(chunks.iter().map(|chunk| (chunk.id.0, None)))
        .collect();
    let written = self::store(store, &objects[3..], &chunks[3..]);
    assert_eq!((written.objects, written.chunks), (2, 2));
    // Twice: with some of it waiting for a barrier, and with none.
    for _ in 0..2 {
        let (mut found, mut bytes) = (HashMap::new(), 0);
        let mut add = |id, kind, stored_len: u64| {
            bytes += stored_len;
            assert_eq!(found.insert(id, kind), None, "met twice");
        };
        let scanned = store.scan(&mut |held| {
            match held {
                Held::Object { id, kind, raw_len, stored_len } => {
                    assert_eq!(raw_len, 10);
                    add(id.0, Some(kind), stored_len);
                }
                Held::Chunk { id, raw_len, stored_len } => {
                    assert_eq!(raw_len, 500);
                    add(id.0, None, stored_len);
                }
            }
            Ok(())
        });
        scanned.unwrap();
        assert_eq!(found, expected);
        assert!(store.usage().unwrap().pack_bytes >= bytes);
        store.sync().unwrap();
    }
    let stopped = store.scan(&mut |_| Err(StoreError::Stopped("enough".into())));
    assert!(matches!(stopped, Err(StoreError::Stopped(_))));
}

fn prefixes_find_ids(store: &dyn ObjectStore) {
    let objects: Vec<_> = (0..64)
        .map(|seed| object(if seed % 2 == 0 { Kind::Tree } else { Kind::Commit }, seed))
        .collect();
    self::store(store, &objects[..32], &[]);
    store.sync().unwrap();
    self::store(store, &objects[32..], &[]);
    for len in [0, 1, 2, 5, 64] {
        let id = objects[40].id().to_string();
        let prefix = &id[..len];
        let of = |kinds: &[Kind]| {
            let of_kind = objects.iter().filter(|object| kinds.contains(&object.kind()));
            let ids = of_kind.map(Object::id).filter(|id| id.to_string().starts_with(prefix));
            let mut ids: Vec<_> = ids.collect();
            ids.sort_unstable();
            ids
        };
        for kinds in [&[Kind::Tree][..], &[Kind::Commit], &[Kind::Tree, Kind::Commit], &[]] {
            let mut found = store.find_prefix(prefix, kinds, 1000).unwrap();
            found.sort_unstable();
            assert_eq!(found, of(kinds), "prefix of {len}");
        }
    }
    assert_eq!(store.find_prefix("", &Kind::ALL, 7).unwrap().len(), 7);
    for nothing in ["g", "0G", "/", "é", &"0".repeat(65)] {
        assert_eq!(store.find_prefix(nothing, &Kind::ALL, 7).unwrap(), [], "{nothing}");
    }
}

fn chunks_that_no_pack_can_hold_are_refused(store: &dyn ObjectStore) {
    let good = chunk(b"a chunk");
    for bad in [
        EncodedChunk { raw_len: 0, bytes: Vec::new().into(), ..good.clone() },
        EncodedChunk { raw_len: 3, ..good.clone() },
        EncodedChunk { raw_len: 1 << 30, ..good.clone() },
        EncodedChunk { encoding: Encoding::Zstd, ..good.clone() },
    ] {
        let mut writer = store.writer().unwrap();
        assert!(matches!(writer.put_chunk(bad), Err(StoreError::Object(_))));
        assert!(writer.put_chunk(good.clone()).unwrap(), "the batch goes on");
    }
}

fn a_healthy_store_checks_clean(store: &dyn ObjectStore) {
    let chunks: Vec<_> = (0..5).map(|seed| chunk(&noise(seed, 500))).collect();
    let objects: Vec<_> = (0..7).map(|seed| object(Kind::Document, seed)).collect();
    self::store(store, &objects, &chunks);
    store.sync().unwrap();
    let mut last = (0, 0);
    let checked =
        store.check(Portion::Everything, &mut |done, total| last = (done, total)).unwrap();
    assert_eq!((checked.objects, checked.chunks), (7, 5));
    assert_eq!(checked.damage, []);
    assert_eq!(checked.bytes, store.usage().unwrap().pack_bytes);
    assert_eq!(last, (checked.bytes, checked.bytes));
}
