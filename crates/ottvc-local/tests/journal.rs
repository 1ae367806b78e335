//! What the journal keeps of small commands, whatever happens to it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test that fails may panic"
)]

mod folder;

use std::fs;
use std::path::PathBuf;

use folder::{Folder, PowerLoss, Tantrum};
use ottvc_local::LocalRepo;
use ottvc_object::Kind;
use ottvc_refs::RefName;
use ottvc_testkit::objects::{noise, object, store};
use ottvc_testkit::refs::{branch_at, edit, transaction};

/// One small command: an object, the state, a cache row of `room` bytes, and `main` moves on.
fn step(repo: &LocalRepo, round: u8, room: usize) -> Result<(), String> {
    let words = |error: &dyn std::fmt::Display| error.to_string();
    let objects = repo.objects();
    let mut writer = objects.writer().map_err(|error| words(&error))?;
    writer.put(&object(Kind::Commit, u64::from(round))).map_err(|error| words(&error))?;
    writer.finish().map_err(|error| words(&error))?;
    let row = (vec![round], Some(noise(u64::from(round), room)));
    repo.workspace().stage(&[round], &[row]).map_err(|error| words(&error))?;
    let old = (round > 0).then(|| branch_at(round));
    let edits = vec![edit("main", old, Some(branch_at(round + 1)))];
    let moved = repo.refs().transact(&transaction(round + 1, edits));
    moved.map(drop).map_err(|error| words(&error))
}

/// Whether the store is as after `rounds` steps, no more and no less.
fn assert_after(repo: &LocalRepo, rounds: u8) {
    let main = repo.refs().get(&RefName::branch("main").unwrap()).unwrap();
    assert_eq!(main, (rounds > 0).then(|| branch_at(rounds)));
    assert_eq!(repo.refs().list().unwrap().len(), usize::from(rounds > 0));
    let operations = repo.refs().operations(None, 1000).unwrap();
    let numbers: Vec<u64> = operations.iter().map(|operation| operation.id).collect();
    assert_eq!(numbers, (1..=u64::from(rounds)).rev().collect::<Vec<_>>());
    assert_eq!(repo.workspace().load().unwrap(), rounds.checked_sub(1).map(|last| vec![last]));
    for round in 0..rounds {
        let commit = object(Kind::Commit, u64::from(round));
        assert_eq!(repo.objects().get(commit.id()).unwrap(), commit);
    }
    let mut rows = 0;
    repo.workspace()
        .rows(&[], &mut |_, _| {
            rows += 1;
            Ok(true)
        })
        .unwrap();
    assert!(rows == usize::from(rounds) || repo.rebuilt().is_some(), "{rows} rows");
}

fn journal(folder: &Folder) -> PathBuf {
    folder.path().join("db/journal")
}

#[test]
fn short_commands_leave_the_database_alone() {
    let folder = Folder::new();
    let names = || {
        let entries = fs::read_dir(folder.path().join("db")).unwrap();
        let entries = entries.map(|entry| entry.unwrap());
        let mut all: Vec<_> = entries
            .filter(|entry| entry.file_name() != "journal")
            .map(|entry| (entry.file_name(), entry.metadata().unwrap().modified().unwrap()))
            .collect();
        all.sort();
        all
    };
    let before = names();
    for round in 0..20 {
        step(&folder.write(), round, 10).unwrap();
        assert_after(&folder.read(), round + 1);
    }
    assert_eq!(names(), before);
    folder.assert_clean();
}

#[test]
fn many_short_commands_are_folded_into_the_database() {
    let folder = Folder::new();
    let (mut longest, mut folds) = (0, 0);
    for round in 0..40 {
        step(&folder.write(), round, 20_000).unwrap();
        let len = fs::metadata(journal(&folder)).unwrap().len();
        folds += u32::from(len < longest);
        longest = if len < longest { len } else { longest.max(len) };
        assert!(len < 500_000);
        assert_after(&folder.read(), round + 1);
    }
    assert!(folds >= 3, "{folds}");
    folder.assert_clean();
    assert_after(&folder.write(), 40);
}

#[test]
fn short_and_long_commands_take_turns() {
    let folder = Folder::new();
    for round in 0..12 {
        let room = if round % 3 == 2 { 100_000 } else { 50 };
        step(&folder.write(), round, room).unwrap();
        assert_after(&folder.read(), round + 1);
        assert_after(&folder.write(), round + 1);
    }
    folder.assert_clean();
}

#[test]
fn one_process_takes_turns_too() {
    let folder = Folder::new();
    let repo = folder.write();
    for round in 0..12 {
        step(&repo, round, if round == 6 { 100_000 } else { 30_000 }).unwrap();
        assert_after(&repo, round + 1);
    }
    drop(repo);
    assert_after(&folder.read(), 12);
    folder.assert_clean();
}

#[test]
fn a_torn_end_takes_back_what_nobody_was_promised() {
    let folder = Folder::new();
    step(&folder.write(), 0, 10).unwrap();
    let first = fs::metadata(journal(&folder)).unwrap().len();
    step(&folder.write(), 1, 10).unwrap();
    let bytes = fs::read(journal(&folder)).unwrap();
    for len in (first as usize..bytes.len()).step_by(17) {
        folder.overwrite(&journal(&folder), &bytes[..len]);
        assert_after(&folder.read(), 1);
    }
    // The next command writes over it.
    step(&folder.write(), 1, 10).unwrap();
    assert_after(&folder.read(), 2);
    folder.assert_clean();
}

#[test]
fn a_lost_or_damaged_journal_has_the_index_made_again() {
    let breaks: [&dyn Fn(&Folder); 5] = [
        &|folder| fs::remove_file(journal(folder)).unwrap(),
        &|folder| folder.flip(&journal(folder), 70),
        &|folder| {
            let bytes = fs::read(journal(folder)).unwrap();
            let second = bytes.windows(4).position(|at| at == b"OJNE").unwrap();
            folder.flip(&journal(folder), second as u64 + 50);
        },
        &|folder| {
            // The last batch: whole, so not torn.
            let bytes = fs::read(journal(folder)).unwrap();
            folder.flip(&journal(folder), bytes.len() as u64 - 30);
        },
        &|folder| folder.truncate(&journal(folder), 30),
    ];
    for (number, break_it) in breaks.iter().enumerate() {
        for write in [false, true] {
            let folder = Folder::new();
            for round in 0..4 {
                step(&folder.write(), round, 10).unwrap();
            }
            break_it(&folder);
            let repo = if write { folder.write() } else { folder.read() };
            assert_eq!(repo.rebuilt().unwrap().operations, 4, "{number}");
            assert_after(&repo, 4);
            drop(repo);
            step(&folder.write(), 4, 10).unwrap();
            let repo = folder.write();
            assert!(repo.rebuilt().is_none(), "once is enough");
            let main = repo.refs().get(&RefName::branch("main").unwrap()).unwrap();
            assert_eq!(main, Some(branch_at(5)));
            drop(repo);
            folder.assert_clean();
        }
    }
}

#[test]
fn damage_found_on_the_way_is_mended_on_the_way() {
    for write in [false, true] {
        let folder = Folder::new();
        for round in 0..3 {
            step(&folder.write(), round, 10).unwrap();
        }
        folder::break_manifest(&folder.path().join("db"));
        let repo = if write { folder.write() } else { folder.read() };
        assert_eq!(repo.refs().operations(None, 10).unwrap().len(), 3);
        assert!(repo.rebuilt().is_none(), "all this is known without the database");
        assert!(repo.objects().get(object(Kind::Commit, 99).id()).is_err());
        assert_eq!(repo.rebuilt().unwrap().operations, 3);
        if write {
            step(&repo, 3, 10).unwrap();
            step(&repo, 4, 10).unwrap();
        }
        drop(repo);
        let repo = folder.write();
        assert!(repo.rebuilt().is_none());
        let rounds = if write { 5 } else { 3 };
        assert_eq!(repo.refs().operations(None, 10).unwrap().len(), rounds);
        for round in 0..rounds as u64 {
            repo.objects().get(object(Kind::Commit, round).id()).unwrap();
        }
        drop(repo);
        folder.assert_clean();
    }
}

/// Around a fold: before it, in it, and after it.
#[test]
fn whatever_write_fails_a_step_is_taken_or_not() {
    for call in 0.. {
        let folder = Folder::new();
        for round in 0..5 {
            step(&folder.write(), round, 49_000).unwrap();
        }
        let repo = folder.write_on(Tantrum::at_call(call));
        let outcome = (5..8).try_for_each(|round| step(&repo, round, 49_000));
        let done = repo.refs().operations(None, 10).unwrap().len() as u8;
        drop(repo);
        let repo = folder.write();
        assert_after(&repo, done);
        for round in done..9 {
            step(&repo, round, 49_000).unwrap();
        }
        drop(repo);
        assert_after(&folder.read(), 9);
        folder.assert_clean();
        if outcome.is_ok() {
            assert!(call > 12, "{call}: there are more calls than that");
            return;
        }
    }
}

#[test]
fn what_a_step_acknowledged_survives_the_loss_of_power() {
    let folder = Folder::new();
    let medium = PowerLoss::default();
    for round in 0..9 {
        let repo = folder.write_on(medium.clone());
        step(&repo, round, 40_000).unwrap();
        // Not waited for: it may be lost, and nothing else with it.
        repo.workspace().cache(&[(vec![200], Some(vec![1; 500]))]).unwrap();
        drop(repo);
        assert!(medium.lose() > 0);
        assert_eq!(folder.read().workspace().row(&[200]).unwrap(), None);
        assert_after(&folder.read(), round + 1);
    }
    folder.assert_clean();
}

#[test]
fn more_refs_and_operations_than_a_page_holds_are_all_there() {
    let folder = Folder::new();
    let name = |number: u32| format!("cut/{number:0>200}");
    let repo = folder.write();
    for number in 0..700_u32 {
        let edits = vec![edit(&name(number), None, Some(branch_at(1)))];
        let mut made = transaction(0, edits);
        made.write_id[..4].copy_from_slice(&number.to_le_bytes());
        made.time += i64::from(number);
        repo.refs().transact(&made).unwrap();
    }
    store(&*repo.objects(), &[object(Kind::Tree, 1)], &[]);
    repo.workspace().save(b"here", &[(vec![1], Some(noise(1, 100_000)))]).unwrap();
    drop(repo);
    let edits = vec![edit(&name(7), Some(branch_at(1)), None)];
    let mut away = transaction(200, edits);
    away.time += 10_000;
    folder.write().refs().transact(&away).unwrap();
    for repo in [folder.read(), folder.write()] {
        let listed = repo.refs().list().unwrap();
        assert_eq!(listed.len(), 699);
        assert!(listed.is_sorted_by(|a, b| a.0 < b.0));
        assert!(repo.refs().get(&RefName::branch(&name(7)).unwrap()).unwrap().is_none());
        let operations = repo.refs().operations(None, 1000).unwrap();
        let numbers: Vec<u64> = operations.iter().map(|operation| operation.id).collect();
        assert_eq!(numbers, (1..=701).rev().collect::<Vec<_>>());
        let some = repo.refs().operations(Some(200), 100).unwrap();
        assert_eq!((some[0].id, some[99].id), (199, 100));
        // An old write asked for again is found, however long ago.
        let mut again = transaction(0, vec![edit(&name(3), None, Some(branch_at(1)))]);
        again.write_id = [0; 16];
        again.write_id[..4].copy_from_slice(&3_u32.to_le_bytes());
        again.time += 3;
        if repo.refs().operation(701).unwrap().is_some() && repo.objects().writer().is_ok() {
            assert_eq!(repo.refs().transact(&again).unwrap().id, 4);
        }
    }
    folder.assert_clean();
}

#[test]
fn threads_read_on_while_a_long_batch_goes_to_the_database() {
    for round in 0..15_u64 {
        let folder = Folder::new();
        step(&folder.write(), 0, 10).unwrap();
        let repo = folder.write();
        let there = object(Kind::Commit, 0);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for number in 0..200 {
                        assert_eq!(repo.objects().get(there.id()).unwrap(), there);
                        let absent = object(Kind::Tree, 1000 + number).id();
                        assert_eq!(repo.objects().contains(&[absent]).unwrap(), [false]);
                    }
                });
            }
            let long = (vec![1], Some(noise(round, 100_000)));
            repo.workspace().save(b"long", &[long]).unwrap();
        });
        assert!(repo.rebuilt().is_none());
        drop(repo);
        folder.assert_clean();
    }
}
