//! Collecting a store on disk: what is given back, what a crash on the way leaves, and readers that
//! look on.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test that fails may panic")]

mod folder;

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use folder::{Folder, PowerLoss, Tantrum};
use ottvc_local::LocalRepo;
use ottvc_object::{ContentId, Kind, Object};
use ottvc_refs::Operation;
use ottvc_store::collect::{Holder, Live, Publish, Settled, Thing, Worn};
use ottvc_store::pack::{Class, RecordHeader};
use ottvc_store::{EncodedChunk, Portion, StoreError};
use ottvc_testkit::objects::{chunk, manifest, noise, object, read, store};
use ottvc_testkit::refs::{branch_at, edit, transaction};

const TARGET: u64 = 65_000;
const FILE: &[u8] = b"a file that is kept by two manifests, one after the other";

/// What a store holds, of which every third thing is to stay.
struct Stock {
    chunks: Vec<EncodedChunk<'static>>,
    objects: Vec<Object>,
}

impl Stock {
    fn new() -> Self {
        let chunks = (0..30).map(|seed| chunk(&noise(seed, 20_000))).collect();
        let mut objects: Vec<_> = (0..60).map(|seed| object(Kind::Conflict, seed)).collect();
        // Too long for the index, so that it is read from its pack.
        let mut long = vec![Kind::Document as u8, 1];
        long.extend(noise(99, 100_000));
        objects.push(Object::from_bytes(long).unwrap());
        Self { chunks, objects }
    }

    fn stays(index: usize) -> bool {
        index.is_multiple_of(3)
    }

    /// Fills a store over many commands.
    fn fill(&self, folder: &Folder) {
        for round in 0..6_u8 {
            let repo = folder.write_small(TARGET);
            let at = usize::from(round);
            let objects = &self.objects[at * 10..(at * 10 + 10)];
            store(&*repo.objects(), objects, &self.chunks[at * 5..at * 5 + 5]);
            repo.workspace().save(&[round; 40], &[]).unwrap();
            let old = (round > 0).then(|| branch_at(round));
            let edits = vec![edit("main", old, Some(branch_at(round + 1)))];
            repo.refs().transact(&transaction(round + 1, edits)).unwrap();
        }
        let repo = folder.write_small(TARGET);
        let manifests = [manifest(FILE, 100), manifest(FILE, 200)];
        store(&*repo.objects(), &self.objects[60..], &[chunk(FILE)]);
        store(&*repo.objects(), &manifests, &[]);
        // The first again: it is the one from now on, also without the index.
        store(&*repo.objects(), &manifests[..1], &[]);
        repo.objects().sync().unwrap();
    }

    fn kept(&self) -> (Vec<&Object>, Vec<&EncodedChunk<'static>>) {
        let objects = self.objects.iter().enumerate().filter(|(index, _)| Self::stays(*index));
        let chunks = self.chunks.iter().enumerate().filter(|(index, _)| Self::stays(*index));
        (objects.map(|(_, it)| it).collect(), chunks.map(|(_, it)| it).collect())
    }

    fn live(&self) -> Live {
        let mut live = Live::default();
        let (objects, chunks) = self.kept();
        for object in objects {
            live.insert_object(object.id(), Holder::Refs);
        }
        for chunk in chunks {
            live.insert_chunk(chunk.id, Holder::Refs);
        }
        live.insert_object(manifest(FILE, 100).id(), Holder::Refs);
        live.insert_chunk(chunk(FILE).id, Holder::Refs);
        live
    }

    fn all(&self) -> Vec<Thing> {
        let manifests = [100, 200].map(|average| manifest(FILE, average));
        let objects = self.objects.iter().chain(&manifests);
        let mut all: Vec<_> = objects.map(|it| Thing::Object(it.id())).collect();
        all.extend(self.chunks.iter().map(|it| Thing::Chunk(it.id)));
        all.push(Thing::Chunk(chunk(FILE).id));
        all
    }

    /// Everything that stays can be read, and the file is kept by the manifest stored last.
    fn assert_kept(&self, repo: &LocalRepo) {
        let (objects, chunks) = self.kept();
        let seam = repo.objects();
        for object in objects {
            assert_eq!(&seam.get(object.id()).unwrap(), object);
        }
        let ids: Vec<_> = chunks.iter().map(|it| it.id).collect();
        let raws: Vec<_> = (0..30).step_by(3).map(|seed| noise(seed, 20_000)).collect();
        assert_eq!(read(&*seam, &ids).unwrap(), raws);
        let id = seam.manifest_of(ContentId::of(FILE)).unwrap();
        assert_eq!(id, Some(manifest(FILE, 100).id()));
        assert_eq!(read(&*seam, &[chunk(FILE).id]).unwrap(), [FILE.to_vec()]);
    }
}

/// Drops what does not live, for good; returns bytes of records.
fn purge(repo: &LocalRepo, stock: &Stock) -> Result<u64, StoreError> {
    let objects = repo.objects();
    let side = objects.collectable();
    let collection = side.pins().begin_collection()?;
    assert!(matches!(collection.publish(stock.live()), Publish::Done));
    Ok(side.purge(&stock.all())?.bytes)
}

/// Collects everything: drops, rewrites, gives back.
fn collect(repo: &LocalRepo, stock: &Stock) -> Result<(u64, Settled), StoreError> {
    let bytes = purge(repo, stock)?;
    let objects = repo.objects();
    let side = objects.collectable();
    let mut rounds = 0;
    loop {
        let worn = side.worn(40)?;
        if worn.is_empty() {
            return Ok((bytes, side.settle(1_000_000, 0)?));
        }
        for one in worn {
            assert!(side.rewrite(&one)?.gone, "it was whole");
        }
        rounds += 1;
        assert!(rounds < 50, "a rewritten pack is not worn again");
    }
}

fn history(repo: &LocalRepo) -> (Vec<Operation>, Option<Vec<u8>>, String) {
    let refs = repo.refs();
    let listed = format!("{:?}", refs.list().unwrap());
    (refs.operations(None, 100).unwrap(), repo.workspace().load().unwrap(), listed)
}

fn file_bytes(folder: &Folder) -> u64 {
    let (packs, _) = folder.packs();
    packs.iter().map(|(path, _)| fs::metadata(path).unwrap().len()).sum()
}

#[test]
fn what_is_dropped_is_given_back_and_all_else_reads() {
    let (folder, stock) = (Folder::new(), Stock::new());
    stock.fill(&folder);
    let repo = folder.write_small(TARGET);
    let before = repo.objects().usage().unwrap().pack_bytes;
    let (history_before, held) = (history(&repo), folder.scan(&*repo.objects()));
    let (dropped, settled) = collect(&repo, &stock).unwrap();
    // By hand: 20 chunks of 20,000 bytes, 40 objects of 10, a manifest; each with its record.
    let gone = 20 * (20_000 + RecordHeader::LEN) + 40 * (10 + RecordHeader::LEN);
    let manifest = held[&manifest(FILE, 200).id().0];
    let ottvc_store::Held::Object { stored_len, .. } = manifest else { panic!("{manifest:?}") };
    assert_eq!(dropped, gone + stored_len);
    assert_eq!(settled.waiting_bytes, 0);
    stock.assert_kept(&repo);
    assert_eq!(history(&repo), history_before);
    let after = repo.objects().usage().unwrap();
    let returned = before - after.pack_bytes;
    assert!(returned * 4 > dropped * 3, "{returned} of {dropped}: little is left in any pack");
    assert!(after.pack_bytes * 3 < (before - dropped) * 4);
    assert_eq!(file_bytes(&folder), after.pack_bytes, "the files are gone, too");
    assert_eq!(fs::read_dir(folder.path().join("trash")).unwrap().count(), 0);
    let held_after = folder.scan(&*repo.objects());
    drop(repo);
    folder.assert_clean();

    fs::remove_dir_all(folder.path().join("db")).unwrap();
    let repo = folder.write_small(TARGET);
    assert_eq!(repo.rebuilt().unwrap().damaged, []);
    stock.assert_kept(&repo);
    assert_eq!(history(&repo), history_before);
    let rebuilt = folder.scan(&*repo.objects());
    assert!(held_after.keys().all(|id| rebuilt.contains_key(id)));
    // Less than a quarter of any pack may come back, as garbage that nothing reaches.
    let (again, _) = collect(&repo, &stock).unwrap();
    assert!(again * 3 < repo.objects().usage().unwrap().pack_bytes, "{again}");
    stock.assert_kept(&repo);
    drop(repo);
    folder.assert_clean();
}

#[test]
fn whatever_write_fails_while_collecting_nothing_kept_is_lost() {
    let stock = Stock::new();
    for lost_index in [false, true] {
        for call in 0.. {
            let folder = Folder::new();
            stock.fill(&folder);
            let repo = folder.write_small_on(TARGET, Tantrum::at_call(call));
            let before = history(&repo);
            let collected = collect(&repo, &stock);
            drop(repo);
            if lost_index {
                fs::remove_dir_all(folder.path().join("db")).unwrap();
            }
            let repo = folder.write_small(TARGET);
            stock.assert_kept(&repo);
            assert_eq!(history(&repo), before, "call {call}");
            collect(&repo, &stock).unwrap();
            stock.assert_kept(&repo);
            drop(repo);
            folder.assert_clean();
            if collected.is_ok() {
                assert!(call > 20, "it wrote in between");
                break;
            }
        }
    }
}

#[test]
fn a_crash_before_a_pack_is_put_away_leaves_it_to_the_next_writer() {
    let (folder, stock) = (Folder::new(), Stock::new());
    stock.fill(&folder);
    let repo = folder.write_small(TARGET);
    let before = history(&repo);
    purge(&repo, &stock).unwrap();
    let objects = repo.objects();
    for one in objects.collectable().worn(1000).unwrap() {
        objects.collectable().rewrite(&one).unwrap();
    }
    drop((objects, repo));
    // As if the process had died between the batch and the move.
    for entry in fs::read_dir(folder.path().join("trash")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|it| it == "old") {
            let name = path.with_extension("pack");
            let back = folder.path().join("packs").join(name.file_name().unwrap());
            fs::rename(&path, back).unwrap();
        }
    }
    for lost_index in [false, true] {
        if lost_index {
            fs::remove_dir_all(folder.path().join("db")).unwrap();
        }
        let repo = folder.write_small(TARGET);
        stock.assert_kept(&repo);
        assert_eq!(history(&repo), before);
        collect(&repo, &stock).unwrap();
        stock.assert_kept(&repo);
        assert_eq!(history(&repo), before);
        drop(repo);
        folder.assert_clean();
    }
}

#[test]
fn power_lost_after_any_step_leaves_what_is_kept() {
    let stock = Stock::new();
    for steps in 0..12 {
        let (folder, power) = (Folder::new(), PowerLoss::default());
        stock.fill(&folder);
        let repo = folder.write_small_on(TARGET, power.clone());
        let before = history(&repo);
        purge(&repo, &stock).unwrap();
        let objects = repo.objects();
        for one in objects.collectable().worn(1000).unwrap().iter().take(steps) {
            objects.collectable().rewrite(one).unwrap();
        }
        power.lose();
        drop((objects, repo));
        let repo = folder.write_small(TARGET);
        stock.assert_kept(&repo);
        assert_eq!(history(&repo), before);
        drop(repo);
        folder.assert_clean();
    }
}

#[test]
fn a_reader_from_before_still_reads_and_holds_up_nobody() {
    let (folder, stock) = (Folder::new(), Stock::new());
    stock.fill(&folder);
    let reader = folder.read();
    let repo = folder.write_small(TARGET);
    let (_, settled) = collect(&repo, &stock).unwrap();
    assert!(settled.waiting_bytes > 0, "one that reads may need the packs");
    drop(repo);
    // All of it, in the view it has had since: what was dropped as well.
    let ids: Vec<_> = stock.chunks.iter().map(|it| it.id).collect();
    assert_eq!(read(&*reader.objects(), &ids).unwrap().len(), 30);
    let checked = reader.objects().check(Portion::Everything, &mut |_, _| ()).unwrap();
    assert_eq!(checked.damage, []);
    // Who comes later is not waited for.
    let later = folder.read();
    stock.assert_kept(&later);
    drop(reader);
    let repo = folder.write_small(TARGET);
    assert_eq!(repo.objects().collectable().settle(0, 0).unwrap().waiting_bytes, 0);
    assert_eq!(fs::read_dir(folder.path().join("trash")).unwrap().count(), 0);
    stock.assert_kept(&later);
}

#[test]
fn threads_read_on_while_packs_are_rewritten_under_them() {
    let (folder, stock) = (Folder::new(), Stock::new());
    stock.fill(&folder);
    let repo = folder.write_small(TARGET);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut rounds = 0;
            while rounds == 0 || (rounds < 1000 && !done.load(Ordering::SeqCst)) {
                stock.assert_kept(&repo);
                rounds += 1;
            }
        });
        collect(&repo, &stock).unwrap();
        done.store(true, Ordering::SeqCst);
        reading.join().unwrap();
    });
}

#[test]
fn a_pack_that_cannot_be_read_in_full_stays() {
    let (folder, stock) = (Folder::new(), Stock::new());
    stock.fill(&folder);
    let (path, offset) = folder.record(stock.chunks[0].id.0);
    folder.flip(&path, offset + RecordHeader::LEN + 7);
    let repo = folder.write_small(TARGET);
    purge(&repo, &stock).unwrap();
    let objects = repo.objects();
    for one in objects.collectable().worn(1000).unwrap() {
        let gone = objects.collectable().rewrite(&one).unwrap().gone;
        assert_eq!(gone, !path.ends_with(format!("{}.pack", one.pack)));
    }
    assert!(path.exists());
    let read = objects.read_chunks(&[stock.chunks[0].id], &mut |_, _| Ok(()));
    assert!(matches!(read, Err(StoreError::DamagedChunk { .. })), "it is named, not forgotten");
}

/// What lives of groups is grouped again, and takes no more than it did.
#[test]
fn groups_that_lost_members_are_written_anew() {
    let folder = Folder::new();
    let chunks: Vec<_> = (0..900).map(|seed| chunk(&noise(seed, 500))).collect();
    let documents: Vec<_> = (0..900).map(|seed| object(Kind::Document, seed)).collect();
    let repo = folder.write();
    store(&*repo.objects(), &documents, &chunks);
    repo.objects().sync().unwrap();
    let before = repo.objects().usage().unwrap().pack_bytes;
    let objects = repo.objects();
    let side = objects.collectable();
    let mut live = Live::default();
    for (chunk, document) in chunks.iter().zip(&documents).step_by(3) {
        live.insert_chunk(chunk.id, Holder::Refs);
        live.insert_object(document.id(), Holder::Refs);
    }
    let collection = side.pins().begin_collection().unwrap();
    assert!(matches!(collection.publish(live), Publish::Done));
    let things: Vec<_> = chunks
        .iter()
        .map(|chunk| Thing::Chunk(chunk.id))
        .chain(documents.iter().map(|document| Thing::Object(document.id())))
        .collect();
    let dropped = side.purge(&things).unwrap();
    assert_eq!((dropped.chunks, dropped.objects), (600, 600));
    for one in side.worn(10_000).unwrap() {
        assert!(side.rewrite(&one).unwrap().gone);
    }
    assert!(side.worn(10_000).unwrap().is_empty(), "a rewritten pack is not worn again");
    side.settle(1200, 0).unwrap();
    let after = objects.usage().unwrap().pack_bytes;
    assert!(before - after >= dropped.bytes * 9 / 10, "{before} - {after} < {}", dropped.bytes);
    let kept: Vec<_> = chunks.iter().step_by(3).map(|chunk| chunk.id).collect();
    assert_eq!(read(&*objects, &kept).unwrap()[7], noise(21, 500));
    assert_eq!(objects.get(documents[33].id()).unwrap(), documents[33]);
    drop((collection, objects, repo));
    folder.assert_clean();
}

/// All that is in the one pack of a class, to be written anew.
fn whole_pack(folder: &Folder, class: Class, things: Vec<Thing>) -> Worn {
    let path = folder.pack(class);
    let pack = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
    let len = fs::metadata(&path).unwrap().len();
    Worn { pack, len, dead: 0, damaged: false, things }
}

#[test]
fn members_of_a_group_are_found_again_once_their_pack_is_gone() {
    let folder = Folder::new();
    // More groups than are remembered unpacked.
    let raws: Vec<_> = (0..600).map(|seed| noise(seed, 12_000)).collect();
    let chunks: Vec<_> = raws.iter().map(|raw| chunk(raw)).collect();
    let repo = folder.write();
    store(&*repo.objects(), &[], &chunks);
    repo.objects().sync().unwrap();
    let ids: Vec<_> = chunks.iter().map(|chunk| chunk.id).collect();
    let worn = whole_pack(&folder, Class::Data, ids.iter().copied().map(Thing::Chunk).collect());
    let objects = repo.objects();
    let mut seen = 0;
    let done = objects.read_chunks(&ids, &mut |index, raw| {
        if index == 0 {
            assert!(objects.collectable().rewrite(&worn)?.gone);
            assert_eq!(objects.collectable().settle(0, 0)?.waiting_bytes, 0);
        }
        assert_eq!(raw, raws[index]);
        seen += 1;
        Ok(())
    });
    done.unwrap();
    assert_eq!(seen, 600);
}

#[test]
fn of_two_manifests_of_a_file_each_is_written_anew_once() {
    let (older, newer) = (manifest(FILE, 100), manifest(FILE, 200));
    for order in [[&older, &newer], [&newer, &older]] {
        let folder = Folder::new();
        let repo = folder.write();
        store(&*repo.objects(), &[older.clone(), newer.clone()], &[chunk(FILE)]);
        // The one that counts is the one stored last.
        repo.objects().sync().unwrap();
        let things = order.map(|object| Thing::Object(object.id())).to_vec();
        let worn = whole_pack(&folder, Class::Objects, things);
        assert!(repo.objects().collectable().rewrite(&worn).unwrap().gone);
        let pack = folder.pack(Class::Objects);
        let (_, found) = folder.packs().0.into_iter().find(|(path, _)| *path == pack).unwrap();
        let ids: Vec<_> = found.records.iter().map(|record| record.header.id).collect();
        assert_eq!(ids, [older.id().0, newer.id().0], "and the one that counts comes last");
        drop(repo);
        folder.assert_clean();
    }
}

#[test]
fn what_was_put_away_is_deleted_after_its_grace() {
    let (folder, stock) = (Folder::new(), Stock::new());
    stock.fill(&folder);
    let unknown = folder.path().join("packs").join(format!("{}.pack", "f".repeat(32)));
    folder.overwrite(&unknown, b"of a command that died before it was acknowledged");
    fs::create_dir(folder.path().join("trash/db-1")).unwrap();
    let repo = folder.write_small(TARGET);
    store(
        &*repo.objects(),
        &[],
        &(90..96).map(|seed| chunk(&noise(seed, 40_000))).collect::<Vec<_>>(),
    );
    repo.objects().sync().unwrap();
    let objects = repo.objects();
    let side = objects.collectable();
    let trash = || fs::read_dir(folder.path().join("trash")).unwrap().count();
    assert!(!unknown.exists());
    assert_eq!((side.settle(0, 0).unwrap().waiting_bytes, trash()), (0, 2), "not yet");
    // Somebody who reads may have known the pack.
    let reader = folder.read();
    assert!(side.settle(0, i64::MAX).unwrap().waiting_bytes > 0);
    drop(reader);
    assert_eq!((side.settle(0, i64::MAX).unwrap().waiting_bytes, trash()), (0, 0));
}
