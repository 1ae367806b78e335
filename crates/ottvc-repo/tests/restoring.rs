//! Giving files and documents back: as staged, as a revision has them, as the merge made them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod common;

use common::Lab;
use ottvc_merge::Choice;
use ottvc_repo::merging::MergeRequest;
use ottvc_repo::meta::FieldEdit;
use ottvc_repo::resolving::Step;
use ottvc_repo::restoring::{RestoreOptions, Restored};
use ottvc_repo::{RepoError, Silent};

const FILM: &str = "film.meta.json";

fn restore(lab: &Lab, paths: &[&str], options: RestoreOptions) -> Result<Restored, RepoError> {
    let paths = paths.iter().map(|path| (*path).to_owned()).collect();
    lab.repo.restore(lab.repo.root(), &RestoreOptions { paths, ..options }, &Silent)
}

/// As staged, or as the merge made it.
fn plainly(lab: &Lab, paths: &[&str]) -> Restored {
    restore(lab, paths, RestoreOptions::default()).unwrap()
}

fn staged() -> RestoreOptions {
    RestoreOptions { staged: true, ..RestoreOptions::default() }
}

fn from(rev: &str) -> RestoreOptions {
    RestoreOptions { from: Some(rev.into()), ..RestoreOptions::default() }
}

/// A document with a title in conflict and a year that only theirs changed, a film in conflict, and a document
/// that the merge does not touch; the merge waits.
fn merging() -> Lab {
    let lab = Lab::new();
    lab.write(FILM, r#"{"title": "Dune", "year": 2021, "note": "n"}"#).write("film.mp4", "one");
    lab.write("other.meta.json", r#"{"a": 1}"#).write("gone.txt", "x").commit("start");
    lab.branch("cut");
    lab.write(FILM, r#"{"title": "Dune I", "year": 2021, "note": "n"}"#).write("film.mp4", "two");
    lab.commit("ours");
    lab.switch("cut");
    lab.write(FILM, r#"{"title": "Dune 1", "year": 2022, "note": "n"}"#).write("film.mp4", "three");
    lab.delete("gone.txt").commit("theirs");
    lab.switch("main");
    assert_eq!(lab.merge("cut").conflicts.len(), 2);
    lab
}

fn conflicts(lab: &Lab) -> Vec<String> {
    let rows = lab.repo.conflicts(None).unwrap();
    rows.into_iter().map(|row| row.path + &row.field.unwrap_or_default()).collect()
}

#[test]
fn a_changed_file_is_as_staged_again_and_no_other() {
    let lab = Lab::new();
    lab.write("a.txt", "one").write(FILM, r#"{"year": 1}"#).write("cut/b.txt", "b").commit("start");
    lab.write("a.txt", "two").write("cut/b.txt", "changed").write(FILM, "no JSON {");
    lab.write("new.txt", "untracked");
    let done = plainly(&lab, &["a.txt", FILM]);
    assert_eq!((done.from.as_str(), done.restored), ("stage", vec!["a.txt".into(), FILM.into()]));
    assert_eq!(lab.read("a.txt").unwrap(), "one");
    assert!(lab.read(FILM).unwrap().contains("\"year\": 1"));
    assert_eq!(lab.read("cut/b.txt").unwrap(), "changed");
    lab.delete("cut/b.txt");
    assert_eq!(plainly(&lab, &["."]).restored, ["cut/b.txt"]);
    assert!(lab.repo.status(&Silent).unwrap().changed.is_empty());
    assert_eq!(lab.read("new.txt").unwrap(), "untracked");
    assert!(plainly(&lab, &["."]).restored.is_empty(), "twice is once");
    // What is staged counts, not the last commit.
    lab.write("a.txt", "three");
    lab.repo.add(lab.repo.root(), &["a.txt".to_owned()], &Silent).unwrap();
    lab.write("a.txt", "four");
    plainly(&lab, &["a.txt"]);
    assert_eq!(lab.read("a.txt").unwrap(), "three");
    let missing = restore(&lab, &["nothing.txt", "a.txt"], RestoreOptions::default());
    assert_eq!(missing.unwrap_err().code(), "path.not_found");
}

#[test]
fn staging_is_taken_back_and_the_files_stay() {
    let lab = Lab::new();
    lab.write("a.txt", "one").write("b.txt", "b").commit("start");
    lab.write("a.txt", "two").write("new.txt", "n").delete("b.txt");
    lab.repo.add(lab.repo.root(), &[".".to_owned()], &Silent).unwrap();
    let done = restore(&lab, &["."], staged()).unwrap();
    assert_eq!(done.staged, ["a.txt", "b.txt", "new.txt"]);
    assert!(done.restored.is_empty() && done.removed.is_empty());
    let status = lab.repo.status(&Silent).unwrap();
    assert!(status.staged.is_empty());
    assert_eq!((status.changed.len(), status.untracked), (2, vec!["new.txt".to_owned()]));
    assert_eq!(lab.read("a.txt").unwrap(), "two");
    // Both at once: the file that only the stage had would be lost.
    lab.repo.add(lab.repo.root(), &[".".to_owned()], &Silent).unwrap();
    let both = RestoreOptions { worktree: true, ..staged() };
    let lost = restore(&lab, &["."], both.clone()).unwrap_err();
    assert!(matches!(lost, RepoError::LocalChanges { paths } if paths == ["new.txt"]));
    assert_eq!(lab.read("a.txt").unwrap(), "two", "nothing is written then");
    let dry = RestoreOptions { force: true, dry_run: true, ..both.clone() };
    assert_eq!(restore(&lab, &["."], dry).unwrap().removed, ["new.txt"]);
    assert_eq!(lab.read("new.txt").unwrap(), "n");
    let done = restore(&lab, &["."], RestoreOptions { force: true, ..both }).unwrap();
    assert_eq!(
        (done.restored, done.removed),
        (vec!["a.txt".into(), "b.txt".into()], vec!["new.txt".into()])
    );
    assert!(lab.is_clean());
}

#[test]
fn what_another_revision_has_comes_back_and_nothing_unstored_is_lost() {
    let lab = Lab::new();
    lab.write("cut/a.txt", "one").write("cut/b.txt", "b").commit("start");
    lab.write("cut/a.txt", "two").delete("cut/b.txt").write("cut/c.txt", "c").commit("next");
    lab.write("cut/b.txt", "not stored");
    let lost = restore(&lab, &["cut"], from("HEAD~1")).unwrap_err();
    assert!(matches!(lost, RepoError::LocalChanges { paths } if paths == ["cut/b.txt"]));
    lab.delete("cut/b.txt").write("cut/c.txt", "changed");
    let lost = restore(&lab, &["cut"], from("HEAD~1")).unwrap_err();
    assert!(matches!(lost, RepoError::LocalChanges { paths } if paths == ["cut/c.txt"]));
    assert_eq!(lab.read("cut/a.txt").unwrap(), "two");
    lab.write("cut/c.txt", "c").write("cut/a.txt", "tracked, so it is overwritten");
    let done = restore(&lab, &["cut"], from("HEAD~1")).unwrap();
    assert_eq!(done.restored, ["cut/a.txt", "cut/b.txt"]);
    assert_eq!((done.removed, done.staged), (vec!["cut/c.txt".to_owned()], Vec::new()));
    assert_eq!(lab.read("cut/a.txt").unwrap(), "one");
    let status = lab.repo.status(&Silent).unwrap();
    assert!(status.staged.is_empty());
    assert_eq!((status.changed.len(), status.untracked), (2, vec!["cut/b.txt".to_owned()]));
    // Staged, it is one commit away.
    let both = RestoreOptions { worktree: true, staged: true, ..from("HEAD~1") };
    restore(&lab, &["cut"], both).unwrap();
    lab.finish_with("back");
    assert_eq!(lab.paths("main"), ["cut/a.txt", "cut/b.txt"]);
    assert!(lab.is_clean());
}

#[test]
fn a_spoilt_edit_in_a_merge_costs_one_document() {
    let lab = merging();
    let made = lab.read(FILM).unwrap();
    lab.settle(Some("film.mp4"), Choice::Theirs);
    lab.write(FILM, "{ spoilt").write("other.meta.json", r#"{"a": 2}"#);
    let done = plainly(&lab, &[FILM]);
    assert_eq!((done.from.as_str(), done.restored.as_slice()), ("merge", &[FILM.to_owned()][..]));
    assert_eq!(done.conflicts, ["film.meta.json#/title"]);
    assert_eq!(lab.read(FILM).unwrap(), made);
    assert_eq!(conflicts(&lab), ["film.meta.json/title"], "the film stays settled");
    assert_eq!(lab.read("other.meta.json").unwrap(), r#"{"a": 2}"#);

    // Settled wrong, by hand and staged: the same.
    lab.settle(Some(FILM), Choice::Base);
    lab.write(FILM, r#"{"title": "Dune", "year": 1}"#);
    lab.repo.add(lab.repo.root(), &[FILM.to_owned()], &Silent).unwrap();
    assert!(conflicts(&lab).is_empty());
    plainly(&lab, &[FILM]);
    assert_eq!(lab.read(FILM).unwrap(), made);
    assert_eq!(conflicts(&lab), ["film.meta.json/title"]);

    // All that the merge brought; what it did not touch is as staged.
    lab.write("gone.txt", "again");
    lab.repo.add(lab.repo.root(), &["gone.txt".to_owned()], &Silent).unwrap();
    lab.write("film.mp4", "four");
    let lost = restore(&lab, &["."], RestoreOptions::default()).unwrap_err();
    assert!(matches!(lost, RepoError::LocalChanges { paths } if paths == ["gone.txt"]));
    let forced = RestoreOptions { force: true, ..RestoreOptions::default() };
    let done = restore(&lab, &["."], forced).unwrap();
    assert_eq!(done.restored, ["film.mp4", "other.meta.json"]);
    assert_eq!(done.removed, ["gone.txt"]);
    assert_eq!(lab.read("film.mp4").unwrap(), "two");
    assert!(lab.read("other.meta.json").unwrap().contains("\"a\": 1"));
    assert_eq!(conflicts(&lab), ["film.meta.json/title", "film.mp4"]);
    lab.settle(None, Choice::Theirs);
    lab.finish();
    assert_eq!(lab.field("main", FILM, "/year").unwrap(), "2022");
    assert_eq!(lab.cat("main", "film.mp4"), b"three");
    assert!(lab.is_clean());
}

#[test]
fn a_merge_restored_midway_is_restored_by_the_same_call_again() {
    let lab = merging();
    let made = lab.read(FILM).unwrap();
    lab.settle(Some(FILM), Choice::Ours);
    // As a process that died behind the file and before the stage leaves it.
    lab.write(FILM, &made);
    assert!(plainly(&lab, &[FILM]).restored.is_empty());
    assert_eq!(conflicts(&lab), ["film.meta.json/title", "film.mp4"]);
    assert!(lab.repo.status(&Silent).unwrap().changed.is_empty());
}

#[test]
fn reasons_of_resolutions_that_are_undone_leave_the_message() {
    let lab = merging();
    let steps = r#"{"path": "film.meta.json", "field": "/title", "take": "ours", "reason": "slip"}
        {"path": "film.mp4", "take": "theirs", "reason": "newer"}"#;
    lab.repo.settle_steps(&Step::read_all(steps).unwrap(), false).unwrap();
    plainly(&lab, &[FILM]);
    lab.settle(Some(FILM), Choice::Theirs);
    let message = lab.repo.commit(lab.finish().commit).unwrap().message;
    assert_eq!(message, "Merge cut\n\nfilm.mp4: newer");
}

#[test]
fn a_file_renamed_apart_is_in_conflict_again_wherever_it_went() {
    for named in ["feature.mp4", "theirs.mp4", "ours.mp4", "."] {
        let lab = Lab::new();
        lab.write("feature.mp4", "film").commit("start");
        lab.branch("cut");
        let mv = |to: &str| lab.repo.rename(lab.repo.root(), "feature.mp4", to).map(drop).unwrap();
        mv("ours.mp4");
        lab.finish_with("ours");
        lab.switch("cut");
        mv("theirs.mp4");
        lab.finish_with("theirs");
        lab.switch("main");
        let before = lab.merge("cut").conflicts;
        assert_eq!(before[0].places, ["ours.mp4", "theirs.mp4"], "{before:?}");
        let place = before[0].path.clone();
        let shown =
            |lab: &Lab| ["feature.mp4", "ours.mp4", "theirs.mp4"].map(|path| lab.read(path));
        let then = shown(&lab);
        lab.settle(Some(&place), Choice::Theirs);
        assert_eq!(lab.read("theirs.mp4").unwrap(), "film");
        plainly(&lab, &[if named == "feature.mp4" { &place } else { named }]);
        assert_eq!(conflicts(&lab).join(" "), place, "{named}");
        assert_eq!(shown(&lab), then, "{named}");
        lab.settle(Some(&place), Choice::Ours);
        lab.finish();
        assert_eq!(lab.paths("main"), ["ours.mp4"]);
        assert!(lab.is_clean());
    }
}

#[test]
fn what_is_staged_about_layers_goes_with_its_document() {
    let lab = Lab::new();
    lab.write(FILM, r#"{"title": "Dune", "year": 2021}"#).commit("start");
    lab.repo.make_edition("cut", Some("main"), None, None).unwrap();
    lab.switch("cut");
    let edit = FieldEdit::parse("/year=2021").unwrap();
    lab.repo.edit_fields(lab.repo.root(), FILM, &[edit]).unwrap();
    let layered = |lab: &Lab| lab.repo.status(&Silent).unwrap().staged.len();
    assert_eq!(layered(&lab), 1, "set to what is inherited: an override nonetheless");
    restore(&lab, &[FILM], staged()).unwrap();
    assert_eq!(layered(&lab), 0);
    assert!(lab.is_clean());
}

#[test]
fn a_path_that_leads_elsewhere_is_refused() {
    let lab = Lab::new();
    lab.write("a.txt", "one").commit("start");
    for path in ["../a.txt", "/etc/passwd"] {
        let refused = restore(&lab, &[path], RestoreOptions::default()).unwrap_err();
        assert_eq!(refused.code(), "path.outside");
    }
}

#[test]
fn another_spelling_is_overwritten_only_where_it_is_the_tracked_file() {
    let lab = Lab::new();
    let mv = |from: &str, to: &str| lab.repo.rename(lab.repo.root(), from, to).map(drop).unwrap();
    lab.write("Film.mp4", "one").commit("start");
    mv("Film.mp4", "film.mp4");
    lab.finish_with("next");
    if lab.read("FILM.mp4").is_some() {
        return; // One file has all spellings here.
    }
    lab.write("Film.mp4", "nobody stored this");
    let lost = restore(&lab, &["."], from("HEAD~1")).unwrap_err();
    assert!(matches!(lost, RepoError::LocalChanges { paths } if paths == ["Film.mp4"]));
    assert_eq!(lab.read("film.mp4").unwrap(), "one");
    // Alone it is the tracked file, renamed: one is left, spelled as what is given back.
    lab.delete("film.mp4");
    plainly(&lab, &["film.mp4"]);
    assert_eq!((lab.read("film.mp4").as_deref(), lab.read("Film.mp4")), (Some("one"), None));
    restore(&lab, &["Film.mp4"], from("HEAD~1")).unwrap();
    assert_eq!((lab.read("Film.mp4").as_deref(), lab.read("film.mp4")), (Some("one"), None));
    plainly(&lab, &["."]);
    assert!(lab.is_clean());
    // Nothing is staged in its place, and nobody stored what lies there.
    lab.repo.remove(lab.repo.root(), &["film.mp4".to_owned()], false, false).unwrap();
    lab.finish_with("gone");
    lab.write("Film.mp4", "nobody stored this");
    let lost = restore(&lab, &["film.mp4"], from("HEAD~1")).unwrap_err();
    assert!(matches!(lost, RepoError::LocalChanges { paths } if paths == ["Film.mp4"]));
}

#[test]
fn an_empty_path_is_no_folder() {
    let lab = Lab::new();
    lab.write("a.txt", "one").commit("start");
    lab.write("a.txt", "typed");
    let refused = restore(&lab, &[""], RestoreOptions::default()).unwrap_err();
    assert_eq!(refused.code(), "argument.bad");
    let added = lab.repo.add(lab.repo.root(), &[String::new()], &Silent).unwrap_err();
    assert_eq!(added.code(), "argument.bad");
    assert_eq!(lab.read("a.txt").unwrap(), "typed");
}

#[cfg(unix)]
#[test]
fn what_cannot_be_written_to_its_end_is_not_begun() {
    let elsewhere = tempfile::tempdir().unwrap();
    let lab = Lab::new();
    lab.write("a.txt", "one").write("d/a.txt", "one").commit("start");
    lab.write("a.txt", "typed").delete("d/a.txt");
    let folder = lab.disk("d");
    let _ = std::fs::remove_dir(&folder);
    for force in [false, true] {
        std::os::unix::fs::symlink(elsewhere.path(), &folder).unwrap();
        let options = RestoreOptions { force, ..RestoreOptions::default() };
        let refused = restore(&lab, &["."], options).unwrap_err();
        assert!(matches!(refused, RepoError::InTheWay { path } if path == "d"));
        assert_eq!(lab.read("a.txt").unwrap(), "typed");
        std::fs::remove_file(&folder).unwrap();
    }
    lab.delete("a.txt").write("a.txt/inside", "x").write("d/a.txt", "typed");
    let forced = RestoreOptions { force: true, ..RestoreOptions::default() };
    let refused = restore(&lab, &["."], forced).unwrap_err();
    assert!(matches!(refused, RepoError::InTheWay { path } if path == "a.txt"));
    assert_eq!(lab.read("d/a.txt").unwrap(), "typed");
}

#[test]
fn a_stage_taken_back_in_a_merge_says_what_it_leaves_out() {
    let lab = merging();
    lab.write("mine.txt", "m");
    lab.repo.add(lab.repo.root(), &["mine.txt".to_owned()], &Silent).unwrap();
    let done = restore(&lab, &["."], staged()).unwrap();
    assert_eq!(done.settled, ["film.meta.json#/title", "film.mp4"]);
    assert_eq!(done.left_out, [FILM, "film.mp4", "gone.txt"]);
    let back = plainly(&lab, &["."]);
    assert!(back.settled.is_empty() && back.left_out.is_empty());
    assert_eq!(conflicts(&lab).len(), 2);
}

#[test]
fn what_ours_renamed_is_left_out_by_its_new_name() {
    let lab = Lab::new();
    lab.write("a.txt", "1").write("c.txt", "1").commit("start");
    lab.branch("cut").switch("cut");
    lab.write("a.txt", "2").write("c.txt", "2").commit("theirs");
    lab.switch("main");
    lab.repo.rename(lab.repo.root(), "a.txt", "b.txt").unwrap();
    lab.write("c.txt", "3").commit("ours");
    assert_eq!(lab.merge("cut").conflicts.len(), 1);
    let options = RestoreOptions { worktree: true, ..staged() };
    assert_eq!(restore(&lab, &["b.txt"], options).unwrap().left_out, ["b.txt"]);
    assert_eq!(lab.read("b.txt").unwrap(), "1");
    assert_eq!(lab.repo.status(&Silent).unwrap().left_out, ["b.txt"]);
}

#[test]
fn what_no_commit_has_is_not_hinted_at() {
    let lab = Lab::new();
    lab.write("a.txt", "one").commit("start");
    lab.write("a.txt", "two").write("new.txt", "new");
    lab.repo.add(lab.repo.root(), &[".".to_owned()], &Silent).unwrap();
    assert_eq!(plainly(&lab, &["."]).as_staged, ["a.txt"]);
    assert!(plainly(&lab, &["new.txt"]).as_staged.is_empty());
}

#[test]
fn what_was_renamed_in_a_merge_is_given_back_once() {
    for named in [FILM, "other-name.meta.json", "."] {
        let lab = merging();
        lab.repo.rename(lab.repo.root(), FILM, "other-name.meta.json").unwrap();
        lab.settle(Some("other-name.meta.json"), Choice::Theirs);
        plainly(&lab, &[named]);
        assert_eq!(conflicts(&lab), ["film.meta.json/title", "film.mp4"], "{named}");
        assert!(lab.read("other-name.meta.json").is_none(), "{named}");
        lab.settle(None, Choice::Ours);
        lab.finish();
        assert_eq!(lab.paths("main"), [FILM, "film.mp4", "other.meta.json"], "{named}");
    }
}

#[test]
fn what_the_user_wrote_stays_in_the_message() {
    let lab = merging();
    let message = "Merge cut\n\nfilm.mp4: kept, as legal asked\nfilm.meta.json#/title: see 7";
    lab.repo.abort_merge(&Silent).unwrap();
    let request = MergeRequest { message: Some(message.into()), ..MergeRequest::default() };
    lab.repo.merge("cut", &request, &Silent).unwrap();
    let steps = r#"{"path": "film.mp4", "take": "theirs", "reason": "newer"}"#;
    lab.repo.settle_steps(&Step::read_all(steps).unwrap(), false).unwrap();
    plainly(&lab, &["."]);
    lab.settle(None, Choice::Theirs);
    assert_eq!(lab.repo.commit(lab.finish().commit).unwrap().message, message);
}
