//! What a change costs must not grow with what surrounds it: counted in objects, not in time.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::Lab;
use ottvc_merge::Choice;
use ottvc_object::RepoPath;
use ottvc_refs::Clock;
use ottvc_refs::memory::MemoryRefs;
use ottvc_repo::merging::MergeRequest;
use ottvc_repo::record::CommitOptions;
use ottvc_repo::resolving::{Resolution, Step};
use ottvc_repo::{Parts, Repo, Silent, StoreNodes};
use ottvc_store::memory::{MemoryStore, MemoryWorkspace};
use ottvc_store::{StoreError, WorkspaceStore};

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

/// Merges two branches of a library of `count`, each of which changed `each` documents of its own and five that
/// the other changed too; returns how many nodes that reads.
fn reads_of_a_merge(count: usize, each: usize) -> u64 {
    let lab = library(count);
    lab.branch("theirs");
    for (branch, first) in [("main", 0), ("theirs", count / 2)] {
        lab.switch(branch);
        for number in 0..each {
            let index = first + number * (count / 2 / each);
            lab.write(&path(index), format!(r#"{{"title": "{branch}", "year": 1}}"#));
        }
        for index in 0..5 {
            lab.write(&path(index * 7 + 1), format!(r#"{{"title": "{branch}", "year": 1}}"#));
        }
        lab.commit(branch);
    }
    let repo = lab.elsewhere();
    let request = MergeRequest { dry_run: true, ..MergeRequest::default() };
    let report = repo.merge("main", &request, &Silent).unwrap();
    assert_eq!((report.changed, report.conflicts.len()), (each as u64 + 5, 5));
    repo.nodes().reads()
}

#[test]
fn a_merge_reads_what_changed_whatever_the_tree() {
    // Nodes on the paths of changes, in three trees and the merged one, at most five a path.
    let (few, many) = (reads_of_a_merge(1_000, 40), reads_of_a_merge(40_000, 40));
    assert!(many <= 4 * 2 * 45 * 5, "{few} and {many} nodes read");
    assert!(many <= 3 * few, "{few} and {many} nodes read");
}

/// Taken in by one command, the tree is edited several times on the way.
#[test]
fn a_library_taken_in_piece_by_piece_has_the_tree_it_has_in_one_go() {
    const COUNT: usize = 20_000;
    let (whole, pieces) = (library(COUNT), Lab::new());
    for index in 0..COUNT {
        let text = format!(r#"{{"title": "Title {index}", "year": {}}}"#, index % 90);
        pieces.write(&path(index), text);
    }
    for folder in 0..100 {
        let folder = format!("titles/{folder:03}");
        pieces.repo.add(pieces.repo.root(), &[folder], &Silent).unwrap();
    }
    let staged = |lab: &Lab| lab.repo.state().unwrap().staged;
    assert_eq!(staged(&whole), staged(&pieces));
}

/// Counts what is asked of a working copy's memory.
#[derive(Debug, Default)]
struct Counting {
    inner: MemoryWorkspace,
    single: AtomicU64,
    passes: AtomicU64,
    written: AtomicU64,
}

type Row = (Vec<u8>, Option<Vec<u8>>);

impl WorkspaceStore for Counting {
    fn load(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.load()
    }
    fn save(&self, state: &[u8], rows: &[Row]) -> Result<(), StoreError> {
        self.written.fetch_add(rows.len() as u64, Ordering::Relaxed);
        self.inner.save(state, rows)
    }
    fn cache(&self, rows: &[Row]) -> Result<(), StoreError> {
        self.written.fetch_add(rows.len() as u64, Ordering::Relaxed);
        self.inner.cache(rows)
    }
    fn row(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.single.fetch_add(1, Ordering::Relaxed);
        self.inner.row(key)
    }
    fn rows(
        &self,
        start: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        self.passes.fetch_add(1, Ordering::Relaxed);
        self.inner.rows(start, visit)
    }
}

/// Years after any file was written.
#[derive(Debug)]
struct Later;

impl Clock for Later {
    fn now(&self) -> i64 {
        4_000_000_000_000
    }
}

#[test]
fn a_scan_reads_rows_in_a_few_passes_and_writes_those_that_changed() {
    const COUNT: usize = 10_000;
    let lab = Lab::new();
    for index in 0..COUNT {
        lab.write(&path(index), format!(r#"{{"title": "Title {index}"}}"#));
    }
    let rows = Arc::new(Counting::default());
    let repo = Repo::new(Parts {
        objects: Arc::new(MemoryStore::default()),
        refs: Arc::new(MemoryRefs::default()),
        workspace: rows.clone(),
        clock: Arc::new(Later),
        root: lab.repo.root().to_owned(),
        actor: "Ada <ada@example.org>".into(),
        rule: common::SMALL,
        tracks: None,
        jobs: 2,
    });
    let counts = || {
        let count = |of: &AtomicU64| of.swap(0, Ordering::Relaxed);
        (count(&rows.single), count(&rows.passes), count(&rows.written))
    };
    let all = |message: &str| CommitOptions {
        message: Some(message.into()),
        all: true,
        ..CommitOptions::default()
    };
    repo.add(repo.root(), &[".".to_owned()], &Silent).unwrap();
    repo.record(repo.root(), &all("all"), &Silent).unwrap();
    // One for each file, one for each folder.
    assert_eq!(counts().2, COUNT as u64 + 100);

    let status = repo.status(&Silent).unwrap();
    assert!(status.clean && status.untracked.is_empty());
    let (single, passes, written) = counts();
    assert_eq!((single, written), (0, 0));
    // Each worker goes over the rows of folders by itself, and begins again with work it was given.
    assert!(passes < 40, "{passes} passes over rows");

    lab.write(&path(77), r#"{"title": "Changed"}"#);
    repo.record(repo.root(), &all("one"), &Silent).unwrap();
    let (single, passes, written) = counts();
    assert_eq!((single, written), (0, 1));
    // Each worker goes over the rows of folders by itself, and begins again with work it was given.
    assert!(passes < 40, "{passes} passes over rows");
}

/// A document of `count` fields that `main`, `cut` and `dub` each changed, `cut` and `dub` in conflict in a commit of
/// their own if `deep`; `main` has merged `cut`.
fn disputed(count: usize, deep: bool) -> Lab {
    let lab = Lab::new().remembering(90);
    let write = |value: &str| {
        let fields = (0..count).map(|index| format!(r#""{index:05}": "{value}""#));
        let fields = fields.collect::<Vec<_>>().join(",");
        lab.write("edition.meta.json", format!(r#"{{"f": {{{fields}}}}}"#));
    };
    write("base");
    lab.commit("base");
    lab.branch("cut").branch("dub");
    for branch in ["main", "cut", "dub"] {
        lab.switch(branch);
        write(branch);
        lab.commit(branch);
    }
    if deep {
        lab.switch("cut");
        let request = MergeRequest { allow_conflicts: true, ..MergeRequest::default() };
        lab.repo.merge("dub", &request, &Silent).unwrap();
    }
    lab.switch("main");
    assert_eq!(lab.merge("cut").conflicts.len(), count);
    lab.reopened()
}

/// How many objects are read, and how many written, by listing the conflicts of a document, settling them all and
/// committing that.
fn costs_of_conflicts(count: usize, deep: bool, by: &dyn Fn(&Lab)) -> Vec<(u64, u64)> {
    let lab = disputed(count, deep);
    let mut before = lab.store.counts();
    let mut costs = Vec::new();
    let mut done = |lab: &Lab| {
        let now = lab.store.counts();
        let read = now.objects_read - before.objects_read;
        costs.push((read, now.objects_written - before.objects_written));
        before = now;
    };
    let rows = lab.repo.conflicts(None).unwrap();
    assert_eq!(rows.len(), count);
    assert!(rows.iter().all(|row| row.strangers == [false, deep]), "{:?}", rows[0]);
    done(&lab);
    lab.repo.status(&Silent).unwrap();
    done(&lab);
    by(&lab);
    assert_eq!(lab.repo.conflicts(None).unwrap().len(), 0);
    done(&lab);
    lab.finish();
    done(&lab);
    costs
}

#[test]
fn conflicts_cost_what_their_documents_do_however_many_there_are() {
    let all = |lab: &Lab| lab.settle(None, Choice::Ours);
    let steps = |lab: &Lab| {
        let mut steps = Vec::new();
        for row in lab.repo.conflicts(None).unwrap() {
            steps.push(Step {
                path: RepoPath::new(&row.path).unwrap(),
                field: Some(row.field.unwrap().parse().unwrap()),
                id: Some(row.id),
                sides: Some(row.sides),
                choice: Choice::Theirs,
                reason: None,
            });
        }
        lab.repo.settle_steps(&steps, false).unwrap();
    };
    let edition = |lab: &Lab| {
        let resolution = Resolution { path: None, field: None, choice: None, rules: Vec::new() };
        lab.repo.settle_by_edition(&resolution, "main", false).unwrap();
    };
    let ways: [(bool, &dyn Fn(&Lab)); 4] =
        [(false, &all), (true, &all), (true, &edition), (false, &steps)];
    for (deep, by) in ways {
        let few = costs_of_conflicts(20, deep, by);
        assert_eq!(few, costs_of_conflicts(200, deep, by), "{deep}");
    }
}

/// That a file in conflict was settled as ours says nothing of what was left out: no merge is made again for that.
#[test]
fn a_file_settled_as_ours_makes_no_merge_again() {
    let lab = library(200);
    lab.write("film.mp4", "1").commit("film");
    lab.branch("theirs");
    for (branch, field) in [("theirs", "/theirs=1"), ("main", "/ours=1")] {
        lab.switch(branch);
        for index in 0..100 {
            lab.set_in(&path(index), &[field]);
        }
        lab.write("film.mp4", branch).commit(branch);
    }
    assert_eq!(lab.merge("theirs").conflicts.len(), 1);
    let reads = || {
        let before = lab.store.counts().objects_read;
        assert!(lab.elsewhere().status(&Silent).unwrap().left_out.is_empty());
        lab.store.counts().objects_read - before
    };
    let before = reads();
    lab.settle(Some("film.mp4"), Choice::Ours);
    let after = reads();
    assert!(after <= before + 20, "{before} and {after} objects read");
}
