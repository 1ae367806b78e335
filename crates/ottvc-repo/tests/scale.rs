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

#[test]
fn a_commit_of_one_document_writes_a_handful_of_nodes_whatever_the_tree() {
    let (small, large) = (library(1_000), library(100_000));
    for index in [0, 1, 17, 500, 999] {
        let (few, many) = (change(&small, index), change(&large, index * 100 + 3));
        // The commit, and the nodes from the document's up to the root.
        assert!(few <= 8 && many <= 8, "{few} and {many} objects");
        assert!(many <= few + 3, "{few} and {many} objects");
    }

    // Ten changes among 100,000: the diff reads the nodes on their paths, in both trees.
    let before = large.repo.resolve("main").unwrap();
    for index in 0..10 {
        change(&large, index * 9_973 + 5);
    }
    let fresh = StoreNodes::new(large.store.clone());
    let head = large.repo.commit(large.repo.resolve("main").unwrap().id).unwrap().tree;
    let base = large.repo.commit(before.id).unwrap().tree;
    let mut changed = 0;
    ottvc_object::tree::diff_paths(&fresh, base, head, &mut |_| {
        changed += 1;
        Ok(())
    })
    .unwrap();
    assert_eq!(changed, 10);
    // Both trees, ten paths of at most five nodes (two levels of folders, their inner nodes).
    assert!(fresh.reads() <= 2 * 10 * 5, "{} nodes read", fresh.reads());
}
