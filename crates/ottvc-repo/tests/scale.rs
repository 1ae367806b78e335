//! What a change costs must not grow with what surrounds it: counted in objects, not in time.
#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

mod common;

use common::Lab;
use ottvc_repo::record::CommitOptions;
use ottvc_repo::{Silent, StoreNodes};

fn path(index: usize) -> String {
    format!("titles/{:03}/{index:06}.meta.json", index % 100)
}

/// A lab with `count` documents, committed.
fn library(count: usize) -> Lab {
    let lab = Lab::new();
    for index in 0..count {
        lab.write(&path(index), format!(r#"{{"title": "Title {index}", "year": {}}}"#, index % 90));
    }
    lab.commit("library");
    lab
}

fn change(lab: &Lab, index: usize) -> u64 {
    lab.write(&path(index), format!(r#"{{"title": "Changed {index}", "year": 1}}"#));
    let options = CommitOptions {
        message: Some("change".into()),
        only: vec![path(index)],
        ..CommitOptions::default()
    };
    lab.repo.record(lab.repo.root(), &options, &Silent).unwrap().new_objects
}

/// Changes ten documents spread over a library of `count`, and returns how many nodes a diff of
/// before and after reads.
fn reads_of_ten_changes(lab: &Lab, count: usize) -> u64 {
    let before = lab.repo.resolve("main").unwrap();
    for index in 0..10 {
        change(lab, index * (count / 10) * 97 / 98 + 5);
    }
    let fresh = StoreNodes::new(lab.store.clone());
    let head = lab.repo.commit(lab.repo.resolve("main").unwrap().id).unwrap().tree;
    let base = lab.repo.commit(before.id).unwrap().tree;
    let mut changed = 0;
    ottvc_object::tree::diff_paths(&fresh, base, head, &mut |_| {
        changed += 1;
        Ok(())
    })
    .unwrap();
    assert_eq!(changed, 10);
    fresh.reads()
}

#[test]
fn a_commit_of_one_document_writes_a_handful_of_nodes_whatever_the_tree() {
    let (small, large) = (library(1_000), library(100_000));
    for index in [0, 1, 17, 500, 999] {
        let (few, many) = (change(&small, index), change(&large, index * 100 + 3));
        // The commit, and the nodes from the document's up to the root.
        assert!(few <= 8 && many <= 8, "{few} and {many} objects");
        assert!(many <= few + 3, "{few} and {many} objects");
    }

    // Ten changes: the diff reads the nodes on their paths, in both trees, at most five a path (two
    // levels of folders and their inner nodes), and hardly more of them among a hundred times as many.
    let (few, many) = (reads_of_ten_changes(&small, 1_000), reads_of_ten_changes(&large, 100_000));
    assert!(few <= 2 * 10 * 5 && many <= 2 * 10 * 5, "{few} and {many} nodes read");
    assert!(many <= 2 * few, "{few} and {many} nodes read");
}
