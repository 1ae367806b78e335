//! What a store on disk is when bytes change under it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod folder;

use std::fs;

use folder::Folder;
use ottvc_local::{Access, LocalRepo};
use ottvc_object::{ChunkId, Kind, Object};
use ottvc_store::pack::{Class, Record, RecordHeader, RecordKind, Scan};
use ottvc_store::{Checked, DamagedThing, EncodedChunk, Portion, StoreError};
use ottvc_testkit::objects::{chunk, noise, object, read, store};
use ottvc_testkit::refs::{branch_at, edit, transaction};

/// A store with chunks and objects, and what it holds.
fn filled(pack_target: u64) -> (Folder, Vec<EncodedChunk<'static>>, Vec<Object>) {
    let folder = Folder::new();
    let chunks: Vec<_> = (0..8).map(|seed| chunk(&noise(seed, 20_000))).collect();
    let objects: Vec<_> = (0..8).map(|seed| object(Kind::Commit, seed)).collect();
    let repo = folder.write_small(pack_target);
    store(&*repo.objects(), &objects, &chunks);
    repo.objects().sync().unwrap();
    drop(repo);
    folder.assert_clean();
    (folder, chunks, objects)
}

/// Asserts that all chunks but the one read.
fn assert_others_read(folder: &Folder, chunks: &[EncodedChunk<'_>], but: ChunkId) {
    let others: Vec<_> = chunks.iter().map(|chunk| chunk.id).filter(|id| *id != but).collect();
    read(&*folder.read().objects(), &others).unwrap();
}

#[test]
fn a_flipped_byte_of_a_chunk_is_named_and_heals() {
    for target in [64 << 20, 60_000] {
        let (folder, chunks, _) = filled(target);
        let lost = &chunks[3];
        let (pack, offset) = folder.record(lost.id.0);
        folder.flip(&pack, offset + RecordHeader::LEN + 500);
        let damage = folder.damage();
        assert_eq!(damage.len(), 1);
        assert_eq!(damage[0].what, Some(DamagedThing::Chunk(lost.id)));
        let name = pack.file_name().unwrap().to_str().unwrap();
        assert_eq!(damage[0].place, format!("packs/{name} at {offset}"));
        assert_eq!(damage[0].why, "the bytes do not hash to their id");
        let failed = read(&*folder.read().objects(), &[chunks[2].id, lost.id]);
        assert!(matches!(failed, Err(StoreError::DamagedChunk { id, .. }) if id == lost.id));
        assert_others_read(&folder, &chunks, lost.id);

        let repo = folder.write();
        assert!(repo.objects().is_damaged());
        let infos = repo.objects().chunk_infos(&[lost.id]).unwrap();
        assert!(infos[0].is_some_and(|info| info.damaged), "to be stored again");
        let written = store(&*repo.objects(), &[], &chunks);
        assert_eq!(written.chunks, 1, "only what is damaged is stored anew");
        repo.objects().sync().unwrap();
        assert!(!repo.objects().is_damaged());
        drop(repo);
        read(&*folder.read().objects(), &[lost.id]).unwrap();
        folder.assert_clean();
        assert_eq!(store(&*folder.write().objects(), &[], &chunks).chunks, 0);
        fs::remove_dir_all(folder.path().join("db")).unwrap();
        read(&*folder.write().objects(), &[lost.id]).unwrap();
    }
}

#[test]
fn a_flipped_byte_of_a_record_header_is_named_through_the_index() {
    for target in [64 << 20, 60_000] {
        for byte in [0, 4, 10, 20, 50] {
            let (folder, chunks, _) = filled(target);
            let hurt = &chunks[2];
            let (pack, offset) = folder.record(hurt.id.0);
            folder.flip(&pack, offset + byte);
            let damage = folder.damage();
            assert_eq!(damage.len(), 1, "{damage:?}");
            assert_eq!(damage[0].what, Some(DamagedThing::Chunk(hurt.id)));
            let ids: Vec<_> = chunks.iter().map(|chunk| chunk.id).collect();
            read(&*folder.read().objects(), &ids).unwrap();
            let repo = folder.write();
            assert_eq!(store(&*repo.objects(), &[], &chunks).chunks, 1);
            repo.objects().sync().unwrap();
            drop(repo);
            folder.assert_clean();
        }
    }
}

#[test]
fn a_flipped_byte_of_a_footer_or_pack_header_is_found_and_costs_nothing() {
    let (folder, chunks, _) = filled(60_000);
    let sealed = folder.packs().0.into_iter().find(|(_, found)| found.sealed).unwrap();
    let (pack, found) = sealed;
    let len = fs::metadata(&pack).unwrap().len();
    for offset in [20, found.end, found.end + 30, len - 60, len - 1] {
        folder.flip(&pack, offset);
        let damage = folder.damage();
        assert_eq!(damage.len(), 1, "{damage:?}");
        assert_eq!(damage[0].what, None);
        assert!(damage[0].place.contains(pack.file_name().unwrap().to_str().unwrap()));
        assert_others_read(&folder, &chunks, ChunkId([0; 32]));
        // Made again without index, nothing is missing either.
        fs::remove_dir_all(folder.path().join("db")).unwrap();
        let repo = folder.read();
        assert_eq!(repo.rebuilt().unwrap().chunks, 8);
        drop(repo);
        assert_others_read(&folder, &chunks, ChunkId([0; 32]));
        folder.flip(&pack, offset);
        fs::remove_dir_all(folder.path().join("db")).unwrap();
        folder.assert_clean();
    }
}

#[test]
fn an_object_damaged_in_its_pack_is_served_from_the_index_and_mended() {
    let (folder, _, objects) = filled(64 << 20);
    let hurt = &objects[5];
    let (pack, offset) = folder.record(hurt.id().0);
    folder.flip(&pack, offset + RecordHeader::LEN + 3);
    let damage = folder.damage();
    assert_eq!(damage.len(), 1);
    assert_eq!(damage[0].what, Some(DamagedThing::Object(hurt.id())));
    assert_eq!(&folder.read().objects().get(hurt.id()).unwrap(), hurt);
    // Whoever writes next stores it anew, unasked, from the copy that is whole.
    let repo = folder.write();
    assert_eq!(store(&*repo.objects(), &objects, &[]).objects, 0);
    repo.objects().sync().unwrap();
    drop(repo);
    folder.assert_clean();
    fs::remove_dir_all(folder.path().join("db")).unwrap();
    assert_eq!(&folder.write().objects().get(hurt.id()).unwrap(), hurt);
}

/// The list of damaged things is advice: what is durable is not reported as failed over it.
#[test]
fn a_list_that_cannot_be_written_fails_no_barrier() {
    let (folder, chunks, _) = filled(64 << 20);
    for lost in [&chunks[1], &chunks[3]] {
        let (pack, offset) = folder.record(lost.id.0);
        folder.flip(&pack, offset + RecordHeader::LEN + 500);
    }
    assert_eq!(folder.damage().len(), 2);
    let repo = folder.write();
    // In the way of the list that is left once one of the two is mended.
    fs::create_dir(folder.path().join("tmp/damaged")).unwrap();
    store(&*repo.objects(), &[], &chunks[..2]);
    repo.objects().sync().unwrap();
    read(&*repo.objects(), &[chunks[1].id]).unwrap();
}

/// Replaces the copy of an object in the index.
fn damage_copy(folder: &Folder, id: ottvc_object::ObjectId) {
    // What short commands left is folded into the database first.
    folder.write().objects().collectable().settle(u64::MAX, 0).unwrap();
    let db = folder.path().join("db");
    let options = rocksdb::Options::default();
    let db = rocksdb::DB::open(&options, &db).unwrap();
    // The second of the tables.
    db.put([&[1][..], &id.0].concat(), b"\x01\x01nothing of the kind").unwrap();
    db.flush_wal(true).unwrap();
}

#[test]
fn an_object_damaged_in_the_index_is_served_from_its_pack_and_mended() {
    let (folder, _, objects) = filled(64 << 20);
    let hurt = &objects[5];
    damage_copy(&folder, hurt.id());
    let damage = folder.damage();
    assert_eq!(damage.len(), 1);
    assert_eq!(damage[0].what, Some(DamagedThing::Object(hurt.id())));
    assert_eq!(damage[0].place, "db, table objects");
    assert_eq!(&folder.read().objects().get(hurt.id()).unwrap(), hurt);
    // Whoever writes next stores it anew, unasked, from the copy that is whole.
    let repo = folder.write();
    assert_eq!(store(&*repo.objects(), &objects, &[]).objects, 0);
    repo.objects().sync().unwrap();
    drop(repo);
    folder.assert_clean();
    fs::remove_dir_all(folder.path().join("db")).unwrap();
    assert_eq!(&folder.write().objects().get(hurt.id()).unwrap(), hurt);
}

#[test]
fn an_object_damaged_in_both_places_is_said_to_be() {
    let (folder, _, objects) = filled(64 << 20);
    let lost = &objects[5];
    damage_copy(&folder, lost.id());
    let (pack, offset) = folder.record(lost.id().0);
    folder.flip(&pack, offset + RecordHeader::LEN + 3);
    let got = folder.read().objects().get(lost.id());
    assert!(matches!(got, Err(StoreError::Damaged { id, .. }) if id == lost.id()));
    let named: Vec<_> = folder.damage().iter().map(|damage| damage.what).collect();
    assert_eq!(named, [Some(DamagedThing::Object(lost.id())); 2]);
    let repo = folder.write();
    store(&*repo.objects(), &objects, &[]);
    repo.objects().sync().unwrap();
    assert_eq!(&repo.objects().get(lost.id()).unwrap(), lost);
    drop(repo);
    folder.assert_clean();
}

#[test]
fn every_chunk_of_a_lost_or_short_pack_is_named() {
    for gone in [true, false] {
        let (folder, chunks, _) = filled(64 << 20);
        let pack = folder.pack(Class::Data);
        let (_, offset) = folder.record(chunks[5].id.0);
        if gone {
            fs::remove_file(&pack).unwrap();
        } else {
            folder.truncate(&pack, offset + 10);
        }
        let first = if gone { 0 } else { 5 };
        let mut expected: Vec<_> =
            chunks[first..].iter().map(|chunk| DamagedThing::Chunk(chunk.id)).collect();
        expected.sort();
        let mut named: Vec<_> = folder.damage().iter().filter_map(|damage| damage.what).collect();
        named.sort();
        assert_eq!(named, expected);
        let failed = read(&*folder.read().objects(), &[chunks[7].id]);
        assert!(matches!(failed, Err(StoreError::DamagedChunk { .. })));
        let repo = folder.write();
        let written = store(&*repo.objects(), &[], &chunks);
        assert_eq!(written.chunks, expected.len() as u64);
        repo.objects().sync().unwrap();
        let ids: Vec<_> = chunks.iter().map(|chunk| chunk.id).collect();
        read(&*repo.objects(), &ids).unwrap();
    }
}

#[test]
fn a_damaged_group_names_every_member_and_heals() {
    let folder = Folder::new();
    let raws: Vec<_> = (0..40).map(|seed| noise(seed, 300)).collect();
    let chunks: Vec<_> = raws.iter().map(|raw| chunk(raw)).collect();
    let documents: Vec<_> = (0..40).map(|seed| object(Kind::Document, seed)).collect();
    let lone = chunk(&noise(99, 300));
    let repo = folder.write();
    store(&*repo.objects(), &documents, &chunks);
    store(&*repo.objects(), &[], std::slice::from_ref(&lone));
    repo.objects().sync().unwrap();
    drop(repo);
    for class in [Class::Data, Class::Objects] {
        let pack = folder.pack(class);
        let (_, found) = folder.packs().0.into_iter().find(|(path, _)| *path == pack).unwrap();
        let group = found.records[0];
        assert_eq!(group.header.kind, RecordKind::Group);
        folder.flip(&pack, group.offset + RecordHeader::LEN + 30);
        let mut expected: Vec<_> = match class {
            Class::Data => chunks.iter().map(|chunk| DamagedThing::Chunk(chunk.id)).collect(),
            Class::Objects => {
                documents.iter().map(|object| DamagedThing::Object(object.id())).collect()
            }
        };
        expected.sort();
        let damage = folder.damage();
        let mut named: Vec<_> = damage.iter().filter_map(|damage| damage.what).collect();
        named.sort();
        assert_eq!((named, damage.len()), (expected.clone(), 40));
        // What lies beside the group reads.
        read(&*folder.read().objects(), &[lone.id]).unwrap();
        let repo = folder.write();
        let written = store(&*repo.objects(), &documents, &chunks);
        match class {
            Class::Data => assert_eq!(written.chunks, 40, "only what is damaged is stored anew"),
            // Those that can still be read out of the group were stored anew when it was opened.
            Class::Objects => assert!((1..=40).contains(&written.objects), "{written:?}"),
        }
        repo.objects().sync().unwrap();
        drop(repo);
        folder.assert_clean();
        for document in &documents {
            assert_eq!(&folder.read().objects().get(document.id()).unwrap(), document);
        }
    }
}

#[test]
fn members_of_groups_are_found_again_without_index() {
    let folder = Folder::new();
    let raws: Vec<_> = (0..1600).map(|seed| noise(seed, 700)).collect();
    let long = noise(9_999, 30_000);
    let mut chunks: Vec<_> = raws.iter().map(|raw| chunk(raw)).collect();
    chunks.push(chunk(&long));
    let documents: Vec<_> = (0..300).map(|seed| object(Kind::Document, seed)).collect();
    let repo = folder.write_small(40_000);
    store(&*repo.objects(), &documents, &chunks);
    repo.objects().sync().unwrap();
    let held = folder.scan(&*repo.objects());
    assert_eq!(held.len(), 1901);
    drop(repo);
    assert!(folder.packs().1 > 1, "sealed packs and open ones");
    fs::remove_dir_all(folder.path().join("db")).unwrap();
    let repo = folder.write();
    let rebuilt = repo.rebuilt().unwrap();
    assert_eq!((rebuilt.chunks, rebuilt.objects), (1601, 300));
    assert_eq!(folder.scan(&*repo.objects()), held);
    let ids: Vec<_> = chunks.iter().map(|chunk| chunk.id).collect();
    let read_back = read(&*repo.objects(), &ids).unwrap();
    assert_eq!(read_back[..1600], raws);
    assert_eq!(read_back[1600], long);
    drop(repo);
    folder.assert_clean();
}

#[test]
fn a_damaged_group_loses_only_the_damaged_member_with_the_index() {
    let folder = Folder::new();
    let raws: Vec<_> = (0..40).map(|seed| noise(seed, 300)).collect();
    let chunks: Vec<_> = raws.iter().map(|raw| chunk(raw)).collect();
    let repo = folder.write();
    store(&*repo.objects(), &[], &chunks);
    repo.objects().sync().unwrap();
    drop(repo);
    let pack = folder.pack(Class::Data);
    let len = fs::metadata(&pack).unwrap().len();
    // Noise lies as it is, so that this is a byte of the last member.
    folder.flip(&pack, len - 10);
    // A whole record behind it, so that the group is no torn tail.
    let repo = folder.write();
    store(&*repo.objects(), &[], &[chunk(&noise(99, 20_000))]);
    repo.objects().sync().unwrap();
    drop(repo);
    fs::remove_dir_all(folder.path().join("db")).unwrap();
    let repo = folder.write();
    assert_eq!(repo.rebuilt().unwrap().damaged.len(), 1);
    let ids: Vec<_> = chunks[..39].iter().map(|chunk| chunk.id).collect();
    assert_eq!(read(&*repo.objects(), &ids).unwrap(), raws[..39]);
    assert!(read(&*repo.objects(), &[chunks[39].id]).is_err());
}

/// Checks about this many bytes, and returns the report.
fn check_some(folder: &Folder, bytes: u64, now: i64) -> Checked {
    let portion = Portion::Oldest { bytes, now };
    folder.read().objects().check(portion, &mut |_, _| ()).unwrap()
}

#[test]
fn checks_with_a_budget_go_round_all_packs() {
    let (folder, chunks, _) = filled(30_000);
    let packs = folder.packs().0.len() as u64;
    assert!(packs >= 5, "{packs}");
    let total = folder.read().objects().usage().unwrap().pack_bytes;
    let (mut bytes, mut read, mut last) = (0, 0, 0);
    for now in 1.. {
        let checked = check_some(&folder, 45_000, now);
        let round = checked.round.unwrap();
        assert!(checked.bytes <= 45_000 && round.packs >= 1, "{checked:?}");
        assert_eq!((round.began, round.total_bytes), (1, total));
        assert!(round.done_bytes > last, "it goes on");
        (bytes, read, last) = (bytes + checked.bytes, read + round.packs, round.done_bytes);
        if round.is_complete() {
            break;
        }
    }
    assert_eq!((bytes, read), (total, packs), "every pack once");
    // Then a new round begins; a pack longer than the budget is read all the same.
    let round = check_some(&folder, 1, 99).round.unwrap();
    assert_eq!((round.began, round.packs), (99, 1));
    // Packs that are new come first, those that went are forgotten.
    let repo = folder.write_small(30_000);
    store(&*repo.objects(), &[], &[chunk(&noise(70, 20_000)), chunk(&noise(71, 20_000))]);
    repo.objects().sync().unwrap();
    drop(repo);
    let rest = check_some(&folder, u64::MAX, 100).round.unwrap();
    assert!(rest.is_complete());
    assert_eq!((rest.began, rest.packs), (99, folder.packs().0.len() as u64 - 1));
    // What it remembers is believed for nothing else: forged or lost, all is read.
    folder.overwrite(&folder.path().join("scrub"), b"round x\nnothing\n");
    let (pack, offset) = folder.record(chunks[3].id.0);
    folder.flip(&pack, offset + RecordHeader::LEN + 500);
    let checked = check_some(&folder, u64::MAX, 101);
    assert_eq!(checked.damage.len(), 1);
    assert_eq!(checked.damage[0].what, Some(DamagedThing::Chunk(chunks[3].id)));
    assert!(checked.round.unwrap().is_complete());
}

#[test]
fn damage_is_remembered_until_the_pack_it_is_in_is_read_again() {
    let (folder, chunks, _) = filled(30_000);
    let hurt = DamagedThing::Chunk(chunks[3].id);
    let (pack, offset) = folder.record(chunks[3].id.0);
    folder.flip(&pack, offset + RecordHeader::LEN + 500);
    let mut found = 0;
    for now in 0.. {
        let checked = check_some(&folder, 1, now);
        found += checked.damage.len();
        let known = folder.read().objects().known_damage().unwrap();
        assert_eq!(known, [hurt][..found.min(1)], "once found, it is known");
        if checked.round.unwrap().is_complete() {
            break;
        }
    }
    assert_eq!(found, 1);
    folder.flip(&pack, offset + RecordHeader::LEN + 500);
    assert!(check_some(&folder, u64::MAX, 100).damage.is_empty());
    assert_eq!(folder.read().objects().known_damage().unwrap(), []);
    assert!(!folder.path().join("damaged").exists());
}

/// Empties the packs that are known to be damaged; says whether each is gone, and what was moved.
fn empty(repo: &LocalRepo) -> Vec<(bool, u64)> {
    let objects = repo.objects();
    let side = objects.collectable();
    let worn = side.worn(1000).unwrap().into_iter().filter(|worn| worn.damaged);
    let done = worn.map(|worn| side.rewrite(&worn).unwrap());
    done.map(|done| (done.gone, done.moved)).collect()
}

/// Wherever a byte changes that nothing is lost with, the pack is emptied and checks clean again.
#[test]
fn what_reads_is_moved_out_of_damaged_packs_with_all_history() {
    let history = |repo: &LocalRepo| {
        let operations = repo.refs().operations(None, 100).unwrap();
        (operations, repo.workspace().load().unwrap())
    };
    let places = |found: &Scan| {
        let headers = found.records.iter().map(|record| record.offset + 20);
        let of = |kind| move |record: &&Record| record.header.kind == kind;
        let states = found.records.iter().filter(of(RecordKind::Workspace));
        let operations = found.records.iter().filter(of(RecordKind::Operation));
        let payloads = states.chain(operations).map(|it| it.offset + RecordHeader::LEN + 2);
        [20].into_iter().chain(headers).chain(payloads).collect::<Vec<_>>()
    };
    let mut tried = 0;
    for nth in 0.. {
        let (folder, chunks, objects) = filled(64 << 20);
        let repo = folder.write();
        let transaction = transaction(1, vec![edit("main", None, Some(branch_at(1)))]);
        repo.refs().transact(&transaction).unwrap();
        repo.workspace().save(&[7; 40], &[]).unwrap();
        let before = history(&repo);
        drop(repo);
        let pack = folder.pack(Class::Objects);
        let (_, found) = folder.packs().0.into_iter().find(|(path, _)| *path == pack).unwrap();
        let Some(at) = places(&found).get(nth).copied() else { break };
        tried += 1;
        folder.flip(&pack, at);
        assert!(!folder.damage().is_empty(), "byte {at}");
        let repo = folder.write();
        let done = empty(&repo);
        assert!(matches!(done[..], [(true, moved)] if moved > 0), "byte {at}: {done:?}");
        assert!(empty(&repo).is_empty(), "it is done once");
        drop(repo);
        folder.assert_clean();
        assert!(!folder.path().join("damaged").exists());
        fs::remove_dir_all(folder.path().join("db")).unwrap();
        let repo = folder.write();
        assert_eq!(history(&repo), before, "byte {at}");
        for object in &objects {
            assert_eq!(&repo.objects().get(object.id()).unwrap(), object);
        }
        assert_others_read(&folder, &chunks, ChunkId([0; 32]));
    }
    assert!(tried > 10, "{tried}");
}

#[test]
fn a_lost_pack_of_objects_is_forgotten_once_all_is_stored_again() {
    let (folder, _, objects) = filled(64 << 20);
    let repo = folder.write();
    let transaction = transaction(1, vec![edit("main", None, Some(branch_at(1)))]);
    repo.refs().transact(&transaction).unwrap();
    drop(repo);
    fs::remove_file(folder.pack(Class::Objects)).unwrap();
    assert!(!folder.damage().is_empty());
    let repo = folder.write();
    store(&*repo.objects(), &objects, &[]);
    repo.objects().sync().unwrap();
    assert!(matches!(empty(&repo)[..], [(true, _)]));
    drop(repo);
    folder.assert_clean();
    fs::remove_dir_all(folder.path().join("db")).unwrap();
    assert_eq!(folder.write().refs().operations(None, 9).unwrap().len(), 1);
}

/// The only copy of damaged bytes stays, and what is whole leaves it once.
#[test]
fn a_pack_with_the_only_copy_of_damaged_bytes_stays_as_it_is() {
    let (folder, chunks, _) = filled(64 << 20);
    let (pack, offset) = folder.record(chunks[3].id.0);
    folder.flip(&pack, offset + RecordHeader::LEN + 500);
    assert_eq!(folder.damage().len(), 1);
    let repo = folder.write();
    let held = fs::read(&pack).unwrap();
    assert!(matches!(empty(&repo)[..], [(false, moved)] if moved > 0));
    assert_eq!(empty(&repo), [(false, 0)], "the rest has been moved");
    assert_eq!(fs::read(&pack).unwrap(), held);
    drop(repo);
    let named: Vec<_> = folder.damage().iter().map(|damage| damage.what).collect();
    assert_eq!(named, [Some(DamagedThing::Chunk(chunks[3].id))]);
    assert_others_read(&folder, &chunks, chunks[3].id);
    let repo = folder.write();
    store(&*repo.objects(), &[], &chunks);
    repo.objects().sync().unwrap();
    assert_eq!(empty(&repo), [(true, 0)]);
    drop(repo);
    folder.assert_clean();
}

#[test]
fn peeking_leaves_no_trace() {
    let (folder, chunks, _) = filled(64 << 20);
    let _ = fs::remove_file(folder.path().join("readers"));
    let before = folder.everything();
    let repo = LocalRepo::open(folder.path(), Access::Peek).unwrap();
    read(&*repo.objects(), &[chunks[1].id]).unwrap();
    drop(repo);
    assert_eq!(folder.everything(), before);
    folder::break_current(&folder.path().join("db"));
    let before = folder.everything();
    assert!(matches!(LocalRepo::open(folder.path(), Access::Peek), Err(StoreError::Index { .. })));
    assert_eq!(folder.everything(), before);
}
