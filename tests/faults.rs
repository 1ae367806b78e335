//! A store that fails between any two writes of a command: what the command moves it moves together,
//! and the same command again does the rest.
//!
//! The branch, what is staged and the merge that waits are one state to whoever uses a working copy:
//! with the branch moved and the stage behind, the next commit would take back the last one. The store
//! is the real one, on disk; each run fails at one write, and the repository is opened anew after it.

#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ottvc_local::{Access, LocalRepo};
use ottvc_object::manifest::CutRule;
use ottvc_object::{CommitId, TreeId};
use ottvc_refs::FixedClock;
use ottvc_repo::merging::MergeRequest;
use ottvc_repo::record::CommitOptions;
use ottvc_repo::{Parts, Repo, RepoError, Silent};
use ottvc_testkit::faults::{Faults, FaultyObjects, FaultyRefs, FaultyWorkspace};
use ottvc_tests::story::{Tree, assert_same, tree};
use tempfile::TempDir;

/// A repository on disk and its working copy.
struct Lab(TempDir);

/// Where a working copy stands: branch, commit, staged tree, the commit being merged.
type Stand = (Option<String>, Option<CommitId>, TreeId, Option<CommitId>);

impl Lab {
    /// A film on `main`, and a cut of it that changed another file.
    fn new() -> Self {
        let lab = Self(tempfile::tempdir().unwrap());
        LocalRepo::init(&lab.0.path().join(".ottvc")).unwrap();
        let repo = lab.open(&Arc::default());
        repo.make_first_branch().unwrap();
        lab.write("film.mov", "film").write("edition.meta.json", "{\n  \"a\": 1\n}\n");
        add(&repo).unwrap();
        commit(&repo, "start").unwrap();
        repo.switch("cut", true, false, &Silent).unwrap();
        lab.write("edition.meta.json", "{\n  \"a\": 1,\n  \"b\": 2\n}\n").write("new.mov", "new");
        add(&repo).unwrap();
        commit(&repo, "cut").unwrap();
        repo.switch("main", false, false, &Silent).unwrap();
        lab
    }

    /// Opens it so that its writes fail as `faults` says.
    fn open(&self, faults: &Arc<Faults>) -> Repo {
        let access = Access::Write { wait: Duration::ZERO, command: "a test" };
        let store = LocalRepo::open(&self.0.path().join(".ottvc"), access).unwrap();
        let faults = || Arc::clone(faults);
        Repo::new(Parts {
            objects: Arc::new(FaultyObjects { inner: store.objects(), faults: faults() }),
            refs: Arc::new(FaultyRefs { inner: store.refs(), faults: faults() }),
            workspace: Arc::new(FaultyWorkspace { inner: store.workspace(), faults: faults() }),
            clock: Arc::new(FixedClock(1_800_000_000_000)),
            root: self.0.path().canonicalize().unwrap(),
            actor: "Ada <ada@example.org>".into(),
            rule: CutRule::default(),
            tracks: None,
            jobs: 1,
        })
    }

    #[expect(clippy::disallowed_methods, reason = "a test writes as any editor would")]
    fn write(&self, path: &str, text: &str) -> &Self {
        std::fs::write(self.0.path().join(path), text).unwrap();
        self
    }

    fn stand(&self) -> Stand {
        let repo = self.open(&Arc::default());
        let state = repo.state().unwrap();
        let head = repo.head_commit_id(&state).unwrap();
        let status = repo.status(&Silent).unwrap();
        (status.branch, head, state.staged, state.merging.map(|merging| merging.theirs))
    }

    fn files(&self) -> Tree {
        tree(self.0.path())
    }
}

fn add(repo: &Repo) -> Result<(), RepoError> {
    repo.add(repo.root(), &[".".to_owned()], &Silent).map(drop)
}

fn commit(repo: &Repo, message: &str) -> Result<(), RepoError> {
    let options =
        CommitOptions { message: Some(message.into()), all: true, ..CommitOptions::default() };
    repo.record(Path::new(repo.root()), &options, &Silent).map(drop)
}

fn merge(repo: &Repo) -> Result<(), RepoError> {
    repo.merge("cut", &MergeRequest::default(), &Silent).map(drop)
}

/// Runs `command` after `prepare`, failing at each write in turn until none fails.
fn at_every_write(
    name: &str,
    prepare: impl Fn(&Lab, &Repo),
    command: impl Fn(&Repo) -> Result<(), RepoError>,
) {
    let fresh = || {
        let lab = Lab::new();
        prepare(&lab, &lab.open(&Arc::default()));
        lab
    };
    // Ids of new editions are drawn by chance, but no commit and no tree of these depends on them.
    let lab = fresh();
    let before = lab.stand();
    command(&lab.open(&Arc::default())).unwrap();
    let moved = before.1 != lab.stand().1;
    let (after_tree, after_files) = (lab.stand().2, lab.files());
    for write in 0.. {
        let lab = fresh();
        let before = lab.stand();
        let faults = Arc::new(Faults::default());
        let repo = lab.open(&faults);
        faults.fail_after(write);
        let ended = command(&repo);
        drop(repo);
        let now = lab.stand();
        if ended.is_ok() {
            assert!(write > 0, "{name} writes something");
            return;
        }
        assert_eq!(now, before, "{name}, write {write}: all stays, but for files");
        command(&lab.open(&Arc::default())).unwrap();
        let now = lab.stand();
        assert_eq!(now.2, after_tree, "{name}, write {write}, again");
        assert_eq!(now.1 != before.1, moved, "{name}, write {write}, again");
        assert_same(&lab.files(), &after_files, name);
    }
}

#[test]
fn a_commit_moves_its_branch_and_the_stage_together() {
    let edit = |lab: &Lab, _: &Repo| {
        lab.write("film.mov", "longer film");
    };
    at_every_write("commit", edit, |repo| commit(repo, "edit"));
}

#[test]
fn a_merge_moves_its_branch_and_the_stage_together() {
    let edit = |lab: &Lab, repo: &Repo| {
        lab.write("film.mov", "longer film");
        commit(repo, "edit").unwrap();
    };
    at_every_write("merge", edit, merge);
}

#[test]
fn an_undo_moves_its_branch_and_the_stage_together() {
    let merged = |_: &Lab, repo: &Repo| merge(repo).unwrap();
    at_every_write("undo", merged, |repo| repo.undo(None, &Silent).map(drop));
}

#[test]
fn a_new_branch_is_made_and_switched_to_together() {
    let nothing = |_: &Lab, _: &Repo| ();
    at_every_write("switch", nothing, |repo| repo.switch("new", true, false, &Silent).map(drop));
}

#[test]
fn undoing_the_rename_of_the_current_branch_stays_on_it() {
    let lab = Lab::new();
    lab.open(&Arc::default()).rename_branch("main", "theatrical").unwrap();
    assert_eq!(lab.stand().0.as_deref(), Some("theatrical"));
    lab.open(&Arc::default()).undo(None, &Silent).unwrap();
    assert_eq!(lab.stand().0.as_deref(), Some("main"));
    // The state knows its edition still, and follows it.
    lab.open(&Arc::default()).rename_branch("main", "theatrical").unwrap();
    assert_eq!(lab.stand().0.as_deref(), Some("theatrical"));
}
