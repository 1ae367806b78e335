//! Who may open a store, and what others see meanwhile.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod folder;

use std::time::{Duration, Instant};

use folder::{Folder, WRITE};
use ottvc_local::{Access, LocalRepo};
use ottvc_object::Kind;
use ottvc_refs::RefError;
use ottvc_store::StoreError;
use ottvc_testkit::objects::{chunk, noise, object, store};
use ottvc_testkit::refs::{branch_at, edit, transaction};

#[test]
fn a_second_writer_waits_and_is_then_told_for_whom() {
    let folder = Folder::new();
    let command = "ottvc add film.mov";
    let first = LocalRepo::open(folder.path(), Access::Write { wait: Duration::ZERO, command });
    let wait = Duration::from_millis(80);
    let started = Instant::now();
    let second = LocalRepo::open(folder.path(), Access::Write { wait, command: "ottvc commit" });
    match second {
        Err(StoreError::Busy { path, holder }) => {
            assert_eq!(path, folder.path());
            assert!(holder.starts_with("ottvc add film.mov (process "), "{holder}");
        }
        other => panic!("{other:?}"),
    }
    assert!(started.elapsed() >= wait);
    // A seam kept alive keeps the lock.
    let objects = first.as_ref().unwrap().objects();
    drop(first);
    assert!(matches!(LocalRepo::open(folder.path(), WRITE), Err(StoreError::Busy { .. })));
    drop(objects);
    folder.write();
}

#[test]
fn readers_see_what_was_acknowledged_and_wait_for_nobody() {
    let folder = Folder::new();
    let (old, new) = (object(Kind::Tree, 1), object(Kind::Tree, 2));
    let repo = folder.write();
    store(&*repo.objects(), std::slice::from_ref(&old), &[]);
    repo.objects().sync().unwrap();
    store(&*repo.objects(), std::slice::from_ref(&new), &[]);
    let reader = folder.read();
    let ids = [old.id(), new.id()];
    assert_eq!(reader.objects().contains(&ids).unwrap(), [true, false]);
    repo.objects().sync().unwrap();
    assert_eq!(reader.objects().contains(&ids).unwrap(), [true, false], "it sees one moment");
    assert_eq!(folder.read().objects().contains(&ids).unwrap(), [true, true]);
}

#[test]
fn a_reader_writes_nothing() {
    let folder = Folder::new();
    let reader = folder.read();
    assert!(matches!(reader.objects().writer(), Err(StoreError::ReadOnly)));
    assert!(matches!(reader.workspace().save(b"", &[]), Err(StoreError::ReadOnly)));
    assert!(matches!(reader.workspace().stage(b"", &[]), Err(StoreError::ReadOnly)));
    assert!(matches!(reader.workspace().cache(&[]), Err(StoreError::ReadOnly)));
    let edits = vec![edit("main", None, Some(branch_at(1)))];
    let refused = reader.refs().transact(&transaction(1, edits));
    assert!(matches!(refused, Err(RefError::ReadOnly)));
    reader.objects().sync().unwrap();
}

#[test]
fn readers_keep_up_with_a_busy_writer() {
    let folder = Folder::new();
    let path = folder.path().to_path_buf();
    let writer = std::thread::spawn(move || {
        // A reader that finds something to mend takes the lock for as long as that takes.
        let patient = Access::Write { wait: Duration::from_secs(60), command: "a test" };
        for round in 0_u8..20 {
            let repo = LocalRepo::open(&path, patient).unwrap();
            let objects: Vec<_> =
                (0..20).map(|n| object(Kind::Document, u64::from(round) * 20 + n)).collect();
            store(&*repo.objects(), &objects, &[chunk(&noise(u64::from(round), 5000))]);
            let old = (round > 0).then(|| branch_at(round));
            let edits = vec![edit("main", old, Some(branch_at(round + 1)))];
            repo.refs().transact(&transaction(round, edits)).unwrap();
        }
    });
    let mut seen = 0;
    while !writer.is_finished() {
        let reader = folder.read();
        assert!(reader.rebuilt().is_none());
        let operations = reader.refs().operations(None, 100).unwrap().len();
        assert!(operations >= seen, "no reader goes back in time");
        seen = operations;
        let mut held = 0;
        reader
            .objects()
            .scan(&mut |_| {
                held += 1;
                Ok(())
            })
            .unwrap();
        // Objects are looked for later, and more may be there by then.
        assert!(held >= operations * 21 && held % 21 == 0, "{held} with {operations} operations");
    }
    writer.join().unwrap();
    folder.assert_clean();
}

#[test]
fn making_a_store_again_changes_nothing() {
    let folder = Folder::new();
    let tree = object(Kind::Tree, 1);
    let repo = folder.write();
    store(&*repo.objects(), std::slice::from_ref(&tree), &[]);
    repo.objects().sync().unwrap();
    assert!(!LocalRepo::init(folder.path()).unwrap());
    drop(repo);
    assert_eq!(folder.read().objects().get(tree.id()).unwrap(), tree);
}

#[test]
fn what_is_no_store_is_said_to_be_none() {
    let empty = tempfile::tempdir().unwrap();
    for access in [Access::Read, WRITE] {
        let none = LocalRepo::open(empty.path(), access);
        assert!(matches!(none, Err(StoreError::NoStore { path }) if path == empty.path()));
    }
    assert_eq!(std::fs::read_dir(empty.path()).unwrap().count(), 0, "nothing is left behind");
}
