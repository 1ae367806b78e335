//! Protected branches: whatever command asks, none takes a conflict, none goes away.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod common;

use common::Lab;
use common::layers::{EDITION, fix};
use ottvc_merge::Choice;
use ottvc_merge::layers::Diverged;
use ottvc_repo::merging::MergeRequest;
use ottvc_repo::plan::Carrying;
use ottvc_repo::protected::Protected;
use ottvc_repo::push::PushRequest;
use ottvc_repo::record::CommitOptions;
use ottvc_repo::{RepoError, Silent};

const FILM: &str = "film.meta.json";

/// Main and cut, which disagree about a title; the working copy is on main.
fn parted() -> Lab {
    let lab = Lab::new();
    lab.write(FILM, r#"{"title": "Dune"}"#).commit("start");
    lab.branch("cut");
    lab.write(FILM, r#"{"title": "Dune I"}"#).commit("ours");
    lab.switch("cut");
    lab.write(FILM, r#"{"title": "Dune: Part One"}"#).commit("theirs");
    lab.switch("main");
    lab
}

fn allowing() -> MergeRequest {
    MergeRequest { allow_conflicts: true, ..MergeRequest::default() }
}

#[track_caller]
fn refused<T>(result: Result<T, RepoError>) -> Vec<String> {
    match result.err() {
        Some(error @ RepoError::Protected { .. }) => {
            assert_eq!(error.code(), "branch.protected");
            let RepoError::Protected { conflicts, .. } = error else { unreachable!() };
            conflicts
        }
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn a_merge_with_conflicts_is_settled_before_it_gets_there() {
    let lab = parted().protecting("main, release/*");
    let before = (lab.head("main"), lab.read(FILM));
    let conflicts = refused(lab.repo.merge("cut", &allowing(), &Silent));
    assert_eq!(conflicts, ["film.meta.json#/title"]);
    assert_eq!((lab.head("main"), lab.read(FILM)), before, "nothing was touched");
    assert!(lab.is_clean());

    assert!(!lab.merge("cut").clean);
    let options = CommitOptions { allow_conflicts: true, ..CommitOptions::default() };
    refused(lab.repo.record(lab.repo.root(), &options, &Silent));
    assert_eq!(lab.head("main"), before.0);
    lab.settle(None, Choice::Ours);
    lab.finish();
    assert_ne!(lab.head("main"), before.0);
}

#[test]
fn a_branch_at_a_conflict_is_not_made_under_a_protected_name() {
    let lab = parted().protecting("release/*");
    lab.repo.merge("cut", &allowing(), &Silent).unwrap();
    let make = |name: &str| lab.repo.make_branch(name, None, None, None);
    refused(make("release/1"));
    refused(make("Release/1"));
    refused(lab.repo.switch("release/1", true, false, &Silent));
    make("draft").unwrap();
    refused(lab.repo.rename_branch("draft", "release/1"));
    make("release/1/hotfix").unwrap();
    // Before the conflict, it is a commit like any other.
    lab.repo.make_branch("release/2", Some("cut"), None, None).unwrap();
    lab.switch("draft");
    lab.settle(None, Choice::Theirs);
    lab.finish_with("settled");
    make("release/3").unwrap();
}

#[test]
fn a_protected_branch_is_neither_removed_nor_renamed() {
    let lab = parted();
    lab.branch("old");
    let lab = lab.protecting("cut,old");
    for name in ["cut", "old"] {
        assert_eq!(refused(lab.repo.remove_branch(name, true)), [""; 0]);
        refused(lab.repo.remove_branch(name, false));
        refused(lab.repo.rename_branch(name, "other"));
        refused(lab.repo.rename_branch(name, &name.to_uppercase()));
    }
    // Taking back that it was made would remove it, too.
    let made = lab.repo.refs().operations(None, 1).unwrap()[0].id;
    refused(lab.repo.undo(Some(made), &Silent));
    let lab = lab.protecting("");
    lab.repo.remove_branch("old", false).unwrap();
}

#[test]
fn undo_brings_no_conflict_back() {
    let lab = parted();
    lab.repo.merge("cut", &allowing(), &Silent).unwrap();
    lab.settle(None, Choice::Ours);
    lab.finish_with("settled");
    let lab = lab.protecting("main");
    let before = (lab.head("main"), lab.read(FILM));
    refused(lab.repo.undo(None, &Silent));
    assert_eq!((lab.head("main"), lab.read(FILM)), before);
}

#[test]
fn a_plan_that_would_put_conflicts_there_moves_nothing() {
    let lab = Lab::new();
    lab.write(EDITION, r#"{"title": "Dune", "cast": {"p1": {"name": "A"}}}"#).commit("start");
    lab.edition("de", "main");
    lab.change("de", &["/cast/p1/name=\"B\""]);
    lab.switch("main").write(EDITION, r#"{"title": "Dune", "cast": {}}"#).commit("no p1");
    lab.switch("de");
    let lab = lab.protecting("de");
    let before = (lab.head("de"), lab.read(EDITION));
    let how = Carrying { allow_conflicts: true, ..Carrying::default() };
    let conflicts = refused(lab.try_propagate("main", &["de"], &how));
    assert_eq!(conflicts, ["edition.meta.json#/cast/p1"]);
    assert_eq!((lab.head("de"), lab.read(EDITION)), before);
}

#[test]
fn a_push_that_would_put_conflicts_there_moves_nothing() {
    let lab = Lab::new();
    lab.write(EDITION, r#"{"title": "Dune"}"#).commit("start");
    lab.edition("de", "main").edition("fr", "main");
    lab.change("de", &["/title=\"Der Plan\""]);
    lab.change("main", &["/title=\"Arrakis\""]);
    let lab = lab.protecting("de");
    let before = lab.trees();
    let request = PushRequest { diverged: Diverged::Conflict, ..fix(&["de", "fr"]) };
    let plan = lab.repo.plan_push(&request).unwrap();
    let how = Carrying { allow_conflicts: true, ..Carrying::default() };
    let conflicts = refused(lab.repo.carry_out_plan(&plan, &how, &Silent));
    assert_eq!(conflicts, ["edition.meta.json#/title"]);
    assert_eq!(lab.trees(), before, "nor has the other");
    // One that is without conflicts goes on.
    let partial = Carrying { partial: true, ..Carrying::default() };
    assert!(lab.repo.carry_out_plan(&plan, &partial, &Silent).unwrap().moved);
    assert_eq!(lab.trees()["de"], before["de"]);
    // Overruled, there is no conflict to refuse.
    let reason = Some("law".to_owned());
    let request = PushRequest { diverged: Diverged::Force, reason, ..fix(&["de"]) };
    assert!(lab.push(&request).moved);
}

/// A name may come to be protected when a conflict is there: it still is described, and taken back, in words.
#[test]
fn a_branch_that_has_a_conflict_is_described_but_goes_to_no_other() {
    let lab = parted();
    lab.branch("old");
    lab.repo.merge("cut", &allowing(), &Silent).unwrap();
    lab.repo.make_branch("draft", None, None, None).unwrap();
    let lab = lab.protecting("main, release/**");
    let row = lab.repo.describe_edition("main", Some("director".into()), None).unwrap();
    assert_eq!(row.class.as_deref(), Some("director"));
    refused(lab.repo.make_branch("release/1", Some("draft"), None, None));
    refused(lab.repo.rename_branch("draft", "release/1"));
    assert_eq!(lab.repo.make_tag("v1", Some("draft")).unwrap_err().code(), "merge.conflicts");
    let inherits = lab.repo.make_edition("release/2", Some("draft"), None, None);
    assert_eq!(inherits.unwrap_err().code(), "merge.conflicts");
}

/// A merge that waits, on a protected branch: a title, and a file in a folder.
fn waiting() -> Lab {
    let lab = Lab::new();
    lab.write(FILM, r#"{"title": "Dune"}"#).write("cuts/film.mp4", "one").write("keep.txt", "one");
    lab.commit("start");
    lab.branch("cut");
    lab.write(FILM, r#"{"title": "Dune I"}"#).write("cuts/film.mp4", "two").commit("ours");
    lab.switch("cut");
    lab.write(FILM, r#"{"title": "Dune: Part One"}"#).write("cuts/film.mp4", "three");
    lab.commit("theirs");
    lab.switch("main");
    let lab = lab.protecting("main");
    assert_eq!(lab.merge("cut").conflicts.len(), 2);
    lab
}

/// The text of a document with a conflict.
fn disputed() -> String {
    let lab = parted();
    lab.merge("cut");
    lab.read(FILM).unwrap()
}

/// What a commit of what is staged holds against it.
fn left(lab: &Lab, only: &[&str]) -> Vec<String> {
    let options = CommitOptions {
        message: Some("merged".into()),
        only: only.iter().map(|path| (*path).to_owned()).collect(),
        ..CommitOptions::default()
    };
    match lab.repo.record(lab.repo.root(), &options, &Silent).map(|done| done.conflicts) {
        Err(RepoError::Conflicts { paths }) => paths,
        other => panic!("not refused: {other:?}"),
    }
}

fn listed(lab: &Lab) -> Vec<String> {
    lab.repo.conflicts(None).unwrap().into_iter().map(|row| row.path).collect()
}

#[test]
fn a_conflict_under_another_name_is_seen() {
    let lab = waiting();
    lab.repo.rename(lab.repo.root(), FILM, "dune.meta.json").unwrap();
    lab.repo.rename(lab.repo.root(), "cuts", "versions").unwrap();
    assert_eq!(listed(&lab), ["dune.meta.json", "versions/film.mp4"]);
    assert_eq!(left(&lab, &[]), ["dune.meta.json#/title", "versions/film.mp4"]);
    lab.settle(None, Choice::Theirs);
    lab.finish();
    assert_eq!(lab.cat("main", "versions/film.mp4"), b"three");
}

#[test]
fn a_conflict_that_stays_staged_is_seen_later() {
    let lab = Lab::new();
    lab.write("keep.txt", "one").commit("start");
    lab.write(FILM, disputed());
    lab.write("keep.txt", "two");
    lab.repo.add(lab.repo.root(), &[".".to_owned()], &Silent).unwrap();
    let only = CommitOptions {
        message: Some("keep".into()),
        only: vec!["keep.txt".into()],
        ..CommitOptions::default()
    };
    assert_eq!(lab.repo.record(lab.repo.root(), &only, &Silent).unwrap().conflicts, 0);
    assert_eq!(listed(&lab), [FILM]);
    assert_eq!(left(&lab, &[]), ["film.meta.json#/title"]);
    assert_eq!(left(&lab, &[FILM]), ["film.meta.json#/title"]);
}

#[test]
fn a_conflict_given_back_by_undo_is_seen() {
    let lab = Lab::new();
    lab.write("keep.txt", "one").commit("start");
    lab.write(FILM, disputed());
    let options = CommitOptions {
        message: Some("disputed".into()),
        allow_conflicts: true,
        ..CommitOptions::default()
    };
    lab.repo.add(lab.repo.root(), &[".".to_owned()], &Silent).unwrap();
    assert_eq!(lab.repo.record(lab.repo.root(), &options, &Silent).unwrap().conflicts, 1);
    lab.repo.undo(None, &Silent).unwrap();
    assert_eq!(listed(&lab), [FILM]);
    assert_eq!(left(&lab, &[]), ["film.meta.json#/title"]);
}

#[test]
fn case_does_not_count_in_any_script() {
    let lab = parted().protecting("\u{dc}ber*, \u{436}?, STRASSE");
    lab.repo.merge("cut", &allowing(), &Silent).unwrap();
    for name in ["\u{fc}ber1", "\u{416}X", "stra\u{df}e"] {
        refused(lab.repo.make_branch(name, None, None, None));
    }
}

#[test]
fn what_is_no_pattern_protects_nothing_silently() {
    assert_eq!(Protected::parse("U\u{308}ber").unwrap_err().code(), "argument.bad");
    assert_eq!(Protected::parse("main, {a").unwrap_err().code(), "argument.bad");
    assert!(Protected::parse(" , ").is_ok());
}
