//! What a store on disk is after its process died, the disk was full, or its index was lost.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test that fails may panic"
)]

mod folder;

use std::fs;

use folder::{Folder, PowerLoss, Tantrum};
use ottvc_local::Access;
use ottvc_object::{ContentId, Kind};
use ottvc_refs::{RefError, RefName, RefStore};
use ottvc_store::StoreError;
use ottvc_store::pack::{Class, RecordHeader};
use ottvc_testkit::objects::{chunk, manifest, noise, object, read, store};
use ottvc_testkit::refs::{branch_at, edit, transaction};

/// Moves `main` from one commit to the next and returns the operation's number.
fn advance(refs: &dyn RefStore, from: u8) -> u64 {
    let old = (from > 0).then(|| branch_at(from));
    let edits = vec![edit("main", old, Some(branch_at(from + 1)))];
    refs.transact(&transaction(from + 1, edits)).unwrap().id
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_off() {
    let folder = Folder::new();
    let (kept, lost) = (object(Kind::Tree, 1), object(Kind::Tree, 2));
    let repo = folder.write();
    store(&*repo.objects(), std::slice::from_ref(&kept), &[]);
    repo.objects().sync().unwrap();
    drop(repo);
    let pack = folder.pack(Class::Objects);
    let acknowledged = fs::metadata(&pack).unwrap().len();
    let record = RecordHeader::LEN + lost.bytes().len() as u64;
    for torn in 0..=record {
        let repo = folder.write();
        store(&*repo.objects(), std::slice::from_ref(&lost), &[]);
        drop(repo);
        assert_eq!(fs::metadata(&pack).unwrap().len(), acknowledged + record);
        folder.truncate(&pack, acknowledged + torn);
        let repo = folder.write();
        assert_eq!(fs::metadata(&pack).unwrap().len(), acknowledged, "torn after {torn}");
        assert_eq!(repo.objects().get(kept.id()).unwrap(), kept);
        assert_eq!(repo.objects().contains(&[lost.id()]).unwrap(), [false]);
    }
    folder.assert_clean();
}

#[test]
fn without_index_every_whole_record_of_a_torn_pack_is_found() {
    let folder = Folder::new();
    let (first, second) = (noise(1, 50), noise(2, 60));
    let repo = folder.write();
    store(&*repo.objects(), &[], &[chunk(&first)]);
    store(&*repo.objects(), &[], &[chunk(&second)]);
    repo.objects().sync().unwrap();
    drop(repo);
    let pack = folder.pack(Class::Data);
    let bytes = fs::read(&pack).unwrap();
    let record = RecordHeader::LEN as usize + second.len();
    for torn in (0..=record).step_by(13).chain([record]) {
        folder.overwrite(&pack, &bytes[..bytes.len() - record + torn]);
        fs::remove_dir_all(folder.path().join("db")).unwrap();
        let repo = folder.write();
        let rebuilt = repo.rebuilt().unwrap();
        assert_eq!(rebuilt.chunks, if torn == record { 2 } else { 1 }, "torn after {torn}");
        assert_eq!(rebuilt.damaged, []);
        assert_eq!(
            read(&*repo.objects(), &[chunk(&first).id]).unwrap(),
            std::slice::from_ref(&first)
        );
        // What was torn can be stored again, and the pack goes on from there.
        store(&*repo.objects(), &[], &[chunk(&second)]);
        repo.objects().sync().unwrap();
        assert_eq!(
            read(&*repo.objects(), &[chunk(&second).id]).unwrap(),
            std::slice::from_ref(&second)
        );
        drop(repo);
        folder.assert_clean();
    }
}

#[test]
fn headers_that_outlived_their_payloads_are_not_believed() {
    let folder = Folder::new();
    let repo = folder.write();
    let raws = [noise(1, 20_000), noise(2, 20_000), noise(3, 20_000)];
    let chunks: Vec<_> = raws.iter().map(|raw| chunk(raw)).collect();
    store(&*repo.objects(), &[], &chunks);
    repo.objects().sync().unwrap();
    drop(repo);
    let pack = folder.pack(Class::Data);
    let mut bytes = fs::read(&pack).unwrap();
    let len = bytes.len();
    bytes[len - 500..].fill(0);
    folder.overwrite(&pack, &bytes);
    fs::remove_dir_all(folder.path().join("db")).unwrap();
    let repo = folder.write();
    assert_eq!(repo.rebuilt().unwrap().chunks, 2);
    assert!(repo.objects().chunk_infos(&[chunks[2].id]).unwrap()[0].is_none());
}

#[test]
fn a_lost_index_is_made_again_whole() {
    let folder = Folder::new();
    let raws: Vec<_> = (0..50).map(|seed| noise(seed, 3000)).collect();
    let (file, long) = (b"a file", object_of(200_000));
    let repo = folder.write_small(40_000);
    let (objects, refs) = (repo.objects(), repo.refs());
    for some in raws.chunks(10) {
        let chunks: Vec<_> = some.iter().map(|raw| chunk(raw)).collect();
        store(&*objects, &[object(Kind::Tree, u64::from(some[0][0]))], &chunks);
    }
    store(&*objects, &[manifest(file, 1), long.clone(), manifest(file, 2)], &[chunk(file)]);
    for from in 0..9 {
        advance(&*refs, from);
        repo.workspace().save(format!("state {from}").as_bytes(), &[]).unwrap();
    }
    let away = vec![
        edit("main", Some(branch_at(9)), None),
        edit("cut/director", None, Some(branch_at(0))),
    ];
    refs.transact(&transaction(99, away)).unwrap();
    let before = (refs.list().unwrap(), refs.operations(None, 100).unwrap());
    let held = folder.scan(&*objects);
    drop((objects, refs, repo));
    let (packs, _) = folder.packs();
    assert!(packs.len() > 4, "packs were sealed on the way");
    folder.assert_clean();

    fs::remove_dir_all(folder.path().join("db")).unwrap();
    let repo = folder.write();
    let rebuilt = repo.rebuilt().unwrap();
    assert_eq!((rebuilt.refs, rebuilt.operations, rebuilt.chunks), (1, 10, 51));
    assert_eq!(rebuilt.packs, packs.len() as u64);
    assert_eq!(rebuilt.damaged, []);
    let (objects, refs) = (repo.objects(), repo.refs());
    assert_eq!((refs.list().unwrap(), refs.operations(None, 100).unwrap()), before);
    assert_eq!(folder.scan(&*objects), held);
    let content = ContentId::of(file);
    assert_eq!(objects.manifest_of(content).unwrap(), Some(manifest(file, 2).id()));
    assert_eq!(objects.get(long.id()).unwrap(), long);
    for raw in &raws {
        assert_eq!(&read(&*objects, &[chunk(raw).id]).unwrap()[0], raw);
    }
    assert_eq!(repo.workspace().load().unwrap().as_deref(), Some(&b"state 8"[..]));
    let again = vec![edit("main", None, Some(branch_at(1)))];
    let known = refs.transact(&transaction(1, again)).unwrap();
    assert_eq!(known.id, 1, "write ids are remembered too");
    assert_eq!(
        refs.transact(&transaction(50, vec![edit("x", None, Some(branch_at(1)))])).unwrap().id,
        11
    );
    drop((objects, refs, repo));
    folder.assert_clean();
}

/// An object too long to lie in the index.
fn object_of(len: usize) -> ottvc_object::Object {
    let mut bytes = vec![Kind::Document as u8, 1];
    bytes.extend(noise(1, len));
    ottvc_object::Object::from_bytes(bytes).unwrap()
}

#[test]
fn a_damaged_index_is_put_away_and_made_again() {
    let folder = Folder::new();
    let tree = object(Kind::Tree, 1);
    let repo = folder.write();
    store(&*repo.objects(), std::slice::from_ref(&tree), &[]);
    advance(&*repo.refs(), 0);
    drop(repo);
    for (number, break_it) in [folder::break_current, folder::break_manifest].iter().enumerate() {
        break_it(&folder.path().join("db"));
        // Reading makes it again as well as writing does.
        let repo = if number == 0 { folder.read() } else { folder.write() };
        // What nobody stored is not known without the database, which is found damaged then.
        assert!(repo.objects().get(object(Kind::Tree, 2).id()).is_err());
        assert_eq!(repo.rebuilt().unwrap().operations, 1);
        assert_eq!(repo.objects().get(tree.id()).unwrap(), tree);
        assert!(folder.path().join(format!("trash/db-{}", number + 1)).is_dir());
        drop(repo);
        assert!(folder.write().rebuilt().is_none(), "once is enough");
    }
    folder.assert_clean();
}

#[test]
fn an_operation_that_nobody_acknowledged_is_gone_or_whole() {
    for reopened in [true, false] {
        let folder = Folder::new();
        let repo = folder.write();
        advance(&*repo.refs(), 0);
        drop(repo);
        // The operation's bytes are in the pack; then the disk fails to make them durable.
        let repo = folder.write_on(Tantrum::at_sync(0));
        let moved = transaction(7, vec![edit("main", Some(branch_at(1)), Some(branch_at(7)))]);
        assert!(matches!(repo.refs().transact(&moved), Err(RefError::Backend { .. })));
        assert!(repo.refs().transact(&moved).is_err(), "nothing more is acknowledged");
        drop(repo);
        if reopened {
            // Found as it was: another operation takes the number.
            assert_eq!(advance(&*folder.write().refs(), 1), 2);
        }
        fs::remove_dir_all(folder.path().join("db")).unwrap();
        let refs = folder.write().refs();
        let main = refs.get(&RefName::branch("main").unwrap()).unwrap();
        assert_eq!(main, Some(branch_at(if reopened { 2 } else { 7 })));
        assert_eq!(refs.operations(None, 10).unwrap().len(), 2);
    }
}

#[test]
fn a_pack_that_the_index_never_knew_is_put_away() {
    let (folder, other) = (Folder::new(), Folder::new());
    advance(&*other.write().refs(), 0);
    let stray = other.pack(Class::Objects);
    let name = stray.file_name().unwrap();
    fs::copy(&stray, folder.path().join("packs").join(name)).unwrap();
    advance(&*folder.write().refs(), 0);
    assert!(folder.path().join("trash").join(name).is_file());
    assert_eq!(folder.packs().0.len(), 1);
    folder.assert_clean();
}

/// One command's writes, with a barrier in the middle; stops at the first failure.
fn scenario(repo: &ottvc_local::LocalRepo, round: u8) -> Result<(), String> {
    let words = |error: StoreError| format!("{error}");
    let objects = repo.objects();
    let seed = u64::from(round) * 100;
    let mut writer = objects.writer().map_err(words)?;
    for n in 0..6 {
        writer.put_chunk(chunk(&noise(seed + n, 20_000))).map_err(words)?;
        writer.put(&object(Kind::Document, seed + n)).map_err(words)?;
    }
    writer.finish().map_err(words)?;
    repo.workspace().stage(&[round], &[]).map_err(words)?;
    let old = (round > 0).then(|| branch_at(round));
    let edits = vec![edit("main", old, Some(branch_at(round + 1)))];
    repo.refs().transact(&transaction(round + 1, edits)).map_err(|error| format!("{error}"))?;
    Ok(())
}

/// Whether all that a round of [`scenario`] wrote is there.
fn assert_round(repo: &ottvc_local::LocalRepo, round: u8) {
    let seed = u64::from(round) * 100;
    for n in 0..6 {
        let raw = noise(seed + n, 20_000);
        assert_eq!(read(&*repo.objects(), &[chunk(&raw).id]).unwrap(), [raw]);
        let document = object(Kind::Document, seed + n);
        assert_eq!(repo.objects().get(document.id()).unwrap(), document);
    }
}

#[test]
fn whatever_write_fails_nothing_acknowledged_is_lost() {
    let mut failed = 0;
    for call in 0.. {
        let folder = Folder::new();
        let first = folder.write_small(48_000);
        scenario(&first, 0).unwrap();
        drop(first);
        let medium = Tantrum::at_call(call);
        let repo = folder.write_small_on(48_000, medium);
        let outcome = scenario(&repo, 1);
        drop(repo);
        folder.assert_clean();
        let repo = folder.write_small(48_000);
        let moved = repo.refs().get(&RefName::branch("main").unwrap()).unwrap().unwrap();
        let state = repo.workspace().load().unwrap();
        assert_round(&repo, 0);
        match outcome {
            Ok(()) => {
                assert!(failed > 10, "the scenario has more calls than that");
                assert_eq!((moved, state.as_deref()), (branch_at(2), Some(&[1][..])));
                assert_round(&repo, 1);
                return;
            }
            Err(_) => {
                failed += 1;
                assert_eq!((moved, state.as_deref()), (branch_at(1), Some(&[0][..])));
                // There is room again: the same command succeeds.
                scenario(&repo, 1).unwrap();
                assert_round(&repo, 1);
            }
        }
        drop(repo);
        folder.assert_clean();
    }
}

#[test]
fn a_full_disk_stops_one_batch_and_not_the_store() {
    let folder = Folder::new();
    let repo = folder.write_on(Tantrum::at_call(3));
    let objects = repo.objects();
    let mut writer = objects.writer().unwrap();
    let mut stored = Vec::new();
    let full = (0..).find_map(|seed| {
        let chunk = chunk(&noise(seed, 100));
        stored.push(chunk.id);
        writer.put_chunk(chunk).err()
    });
    assert!(matches!(full, Some(StoreError::Full { action: "write", .. })), "{full:?}");
    let lost = stored.pop().unwrap();
    // The tantrum is over after one call.
    assert!(writer.put_chunk(chunk(&noise(1 << 40, 100))).unwrap());
    writer.finish().unwrap();
    objects.sync().unwrap();
    assert!(objects.chunk_infos(&stored).unwrap().iter().all(Option::is_some));
    assert!(objects.chunk_infos(&[lost]).unwrap()[0].is_none());
    drop((objects, repo));
    folder.assert_clean();
}

#[test]
fn what_a_barrier_acknowledged_survives_the_loss_of_power() {
    let folder = Folder::new();
    let medium = PowerLoss::default();
    let repo = folder.write_small_on(48_000, medium.clone());
    scenario(&repo, 0).unwrap();
    scenario(&repo, 1).unwrap();
    store(&*repo.objects(), &[object(Kind::Tree, 1)], &[chunk(&noise(1000, 20_000))]);
    drop(repo);
    assert!(medium.lose() > 0, "something was not durable yet");
    folder.assert_clean();
    let repo = folder.write();
    assert_round(&repo, 0);
    assert_round(&repo, 1);
    assert_eq!(repo.refs().operations(None, 10).unwrap().len(), 2);
}

/// A command that was killed leaves its last writes in memory; an index made from them must not
/// outlive them.
#[test]
fn an_index_made_again_waits_for_the_bytes_it_names() {
    let folder = Folder::new();
    let medium = PowerLoss::default();
    let repo = folder.write_on(medium.clone());
    let raws = [noise(1, 900), noise(2, 900)];
    let tree = object(Kind::Tree, 1);
    store(&*repo.objects(), &[], &[chunk(&raws[0])]);
    repo.objects().sync().unwrap();
    store(&*repo.objects(), std::slice::from_ref(&tree), &[chunk(&raws[1])]);
    drop(repo);
    fs::remove_dir_all(folder.path().join("db")).unwrap();
    let repo = folder.write_on(medium.clone());
    assert_eq!(repo.rebuilt().unwrap().chunks, 2);
    drop(repo);
    medium.lose();
    folder.assert_clean();
    assert_eq!(
        read(&*folder.read().objects(), &raws.each_ref().map(|raw| chunk(raw).id)).unwrap(),
        raws
    );
}

#[test]
fn an_interrupted_import_keeps_the_packs_it_sealed() {
    let folder = Folder::new();
    let repo = folder.write_small(50_000);
    let objects = repo.objects();
    let chunks: Vec<_> = (0..110).map(|seed| chunk(&noise(seed, 20_000))).collect();
    let mut writer = objects.writer().unwrap();
    for chunk in &chunks {
        writer.put_chunk(chunk.clone()).unwrap();
    }
    drop(writer);
    drop((objects, repo));
    let repo = folder.write();
    let ids: Vec<_> = chunks.iter().map(|chunk| chunk.id).collect();
    let infos = repo.objects().chunk_infos(&ids).unwrap();
    let kept = infos.iter().take_while(|info| info.is_some()).count();
    assert_eq!(kept, 96, "three a pack, and a barrier once 32 of them are full");
    read(&*repo.objects(), &ids[..kept]).unwrap();
    drop(repo);
    folder.assert_clean();
}

#[test]
fn a_commit_waits_for_the_disk_twice() {
    let folder = Folder::new();
    let repo = folder.write();
    store(&*repo.objects(), &[object(Kind::Tree, 0)], &[chunk(b"a file")]);
    repo.workspace().save(b"added", &[]).unwrap();
    drop(repo);
    let repo = folder.write();
    assert_eq!(repo.syncs(), 0, "opening waits for nothing of ours");
    for round in 0..3 {
        let before = repo.syncs();
        store(&*repo.objects(), &[object(Kind::Tree, 10), object(Kind::Commit, 10)], &[]);
        repo.workspace().stage(&[round], &[(vec![round], Some(vec![1]))]).unwrap();
        advance(&*repo.refs(), round);
        assert_eq!(repo.syncs() - before, 2, "one pack, one batch");
        assert_eq!(repo.workspace().load().unwrap(), Some(vec![round]));
        repo.objects().sync().unwrap();
        assert_eq!(repo.syncs() - before, 2, "there is nothing left to wait for");
    }
}

#[test]
fn a_staged_state_goes_with_the_transaction_or_not_at_all() {
    let folder = Folder::new();
    let repo = folder.write();
    repo.workspace().save(b"old", &[]).unwrap();
    repo.workspace().stage(b"new", &[]).unwrap();
    let stale = vec![edit("main", Some(branch_at(5)), None)];
    assert!(matches!(repo.refs().transact(&transaction(1, stale)), Err(RefError::Moved { .. })));
    drop(repo);
    assert_eq!(folder.read().workspace().load().unwrap().as_deref(), Some(&b"old"[..]));
    let repo = folder.write();
    repo.workspace().stage(b"new", &[]).unwrap();
    advance(&*repo.refs(), 0);
    drop(repo);
    assert_eq!(folder.read().workspace().load().unwrap().as_deref(), Some(&b"new"[..]));
}

#[test]
fn packs_grow_over_many_commands_and_are_sealed_in_the_end() {
    let folder = Folder::new();
    let mut ids = Vec::new();
    for seed in 0..12 {
        let repo = folder.write_small(10_000);
        let chunk = chunk(&noise(seed, 2000));
        ids.push(chunk.id);
        store(&*repo.objects(), &[], &[chunk]);
        repo.objects().sync().unwrap();
    }
    let (packs, sealed) = folder.packs();
    assert_eq!((packs.len(), sealed), (3, 2), "five chunks a pack");
    folder.assert_clean();
    fs::remove_dir_all(folder.path().join("db")).unwrap();
    let repo = ottvc_local::LocalRepo::open(folder.path(), Access::Read).unwrap();
    assert_eq!(read(&*repo.objects(), &ids).unwrap().len(), 12);
}

#[test]
fn what_a_barrier_keeps_of_an_unfinished_batch_is_whole() {
    let folder = Folder::new();
    let repo = folder.write_small(30_000);
    let objects = repo.objects();
    let mut writer = objects.writer().unwrap();
    let raw = b"the tail of a file, so small that it waits for a group";
    writer.put_chunk(chunk(raw)).unwrap();
    writer.put(&manifest(raw, 1)).unwrap();
    // Packs are sealed on the way, and what was stored before lasts once 32 of them are.
    for seed in 0..66 {
        writer.put_chunk(chunk(&noise(seed, 20_000))).unwrap();
    }
    drop(writer);
    drop((objects, repo));
    let repo = folder.write();
    assert!(repo.objects().manifest_of(ContentId::of(raw)).unwrap().is_some());
    assert_eq!(read(&*repo.objects(), &[chunk(raw).id]).unwrap(), [raw.to_vec()]);
    drop(repo);
    folder.assert_clean();
}
