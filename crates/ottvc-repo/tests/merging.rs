//! Stories of merging: what merges clean, what becomes a conflict, how conflicts are settled.

mod common;

use common::{Lab, noise};
use ottvc_merge::{Choice, Side};
use ottvc_object::RepoPath;
use ottvc_repo::checkout::CheckoutOptions;
use ottvc_repo::merging::MergeRequest;
use ottvc_repo::{RepoError, Silent};

/// A lab whose branches `main` and `cut` share one commit with these files.
fn forked(files: &[(&str, &str)]) -> Lab {
    let lab = Lab::new();
    for (path, text) in files {
        lab.write(path, text);
    }
    lab.commit("start");
    lab.branch("cut");
    lab
}

#[test]
fn edits_of_different_fields_merge_clean() {
    let lab = forked(&[("edition.meta.json", r#"{"title": "Dune", "year": 2020}"#)]);
    lab.write("edition.meta.json", r#"{"title": "Dune: Part One", "year": 2020}"#).commit("title");
    lab.switch("cut");
    lab.write("edition.meta.json", r#"{"title": "Dune", "year": 2021}"#).commit("year");
    let report = lab.merge("main");
    assert!(report.clean && report.commit.is_some());
    assert_eq!(lab.field("cut", "edition.meta.json", "/title").unwrap(), "\"Dune: Part One\"");
    assert_eq!(lab.field("cut", "edition.meta.json", "/year").unwrap(), "2021");
    assert!(lab.is_clean());
    // Merging again finds nothing to do; the other way takes everything over.
    assert!(lab.merge("main").up_to_date);
    lab.switch("main");
    assert!(lab.merge("cut").clean);
    assert_eq!(lab.field("main", "edition.meta.json", "/year").unwrap(), "2021");
}

#[test]
fn edits_of_one_field_conflict_and_are_settled() {
    let lab = forked(&[("edition.meta.json", r#"{"rating": "PG", "year": 2020}"#)]);
    lab.write("edition.meta.json", r#"{"rating": "PG-13", "year": 2020}"#).commit("PG-13");
    lab.switch("cut");
    lab.write("edition.meta.json", r#"{"rating": "R", "year": 2020}"#).commit("R");
    let before = lab.head("cut");
    let report = lab.merge("main");
    assert!(!report.clean && report.commit.is_none());
    let [conflict] = report.conflicts.as_slice() else { panic!("{:?}", report.conflicts) };
    assert_eq!((conflict.kind, conflict.field.as_deref()), ("edit_edit", Some("/rating")));
    assert_eq!(
        (&conflict.base, &conflict.ours, &conflict.theirs),
        (&"PG".into(), &"R".into(), &"PG-13".into())
    );
    assert_eq!(lab.head("cut"), before, "an unfinished merge moves no branch");
    assert!(lab.read("edition.meta.json").unwrap().contains("$conflict"));
    let refused = lab.repo.record(lab.repo.root(), &Default::default(), &Silent);
    assert!(matches!(refused, Err(RepoError::Conflicts { .. })));
    assert!(matches!(
        lab.repo.switch("main", false, false, &Silent),
        Err(RepoError::MergeInProgress { .. })
    ));

    lab.settle(Some("edition.meta.json"), Choice::Theirs);
    assert!(lab.repo.conflicts(None).unwrap().is_empty());
    lab.finish();
    assert_eq!(lab.field("cut", "edition.meta.json", "/rating").unwrap(), "\"PG-13\"");
    assert!(lab.is_clean());
    assert!(lab.repo.conflicts(Some("cut")).unwrap().is_empty());
    // Resolved once is resolved: neither parent brings the conflict back.
    assert!(lab.merge("main").up_to_date);
    lab.switch("main");
    assert!(lab.merge("cut").clean);
}

/// L10: a merge that was settled is over, for both parents and for whoever goes on from them.
#[test]
fn resolved_once_is_resolved_for_all() {
    const DOCUMENT: &str = "edition.meta.json";
    let text = |rating: &str, year: u32, cut: &str| {
        format!(r#"{{"rating": "{rating}", "year": {year}, "cut": "{cut}"}}"#)
    };
    let lab = forked(&[(DOCUMENT, &text("PG", 2020, "a")), ("clip.bin", "one")]);
    lab.write(DOCUMENT, text("PG-13", 2020, "a")).write("clip.bin", "two").commit("main's");
    lab.switch("cut");
    lab.write(DOCUMENT, text("R", 2020, "a")).write("clip.bin", "three").commit("cut's");
    lab.branch("former");
    assert_eq!(lab.merge("main").conflicts.len(), 2);
    lab.settle(Some(DOCUMENT), Choice::Theirs);
    lab.settle(Some("clip.bin"), Choice::Ours);
    lab.finish();
    let settled = |branch: &str| {
        assert_eq!(lab.field(branch, DOCUMENT, "/rating").unwrap(), "\"PG-13\"", "{branch}");
        assert_eq!(lab.cat(branch, "clip.bin"), b"three", "{branch}");
    };
    settled("cut");
    for parent in ["main", "former"] {
        assert!(lab.merge(parent).up_to_date, "{parent}");
    }

    // Both parents go on elsewhere: their work comes, and what was settled does not come back.
    lab.switch("main").write(DOCUMENT, text("PG-13", 2021, "a")).commit("year");
    lab.switch("former").write(DOCUMENT, text("R", 2020, "b")).commit("cut");
    lab.switch("cut");
    for parent in ["main", "former"] {
        assert!(lab.merge(parent).clean, "{parent}");
    }
    settled("cut");
    let field = |name| lab.field("cut", DOCUMENT, name).unwrap();
    assert_eq!((field("/year"), field("/cut")), ("2021".into(), "\"b\"".into()));
    // The other way round, they take it over as it was settled.
    for parent in ["main", "former"] {
        lab.switch(parent);
        assert!(lab.merge("cut").clean, "{parent}");
        settled(parent);
    }
}

#[test]
fn a_conflict_can_be_settled_by_editing_the_file() {
    let lab = forked(&[("edition.meta.json", r#"{"rating": "PG"}"#)]);
    lab.write("edition.meta.json", r#"{"rating": "PG-13"}"#).commit("PG-13");
    lab.switch("cut");
    lab.write("edition.meta.json", r#"{"rating": "R"}"#).commit("R");
    assert!(!lab.merge("main").clean);
    lab.write("edition.meta.json", r#"{"rating": "NC-17"}"#);
    // What was edited by hand is not overwritten by a choice.
    let resolution = ottvc_repo::resolving::Resolution {
        path: None,
        field: None,
        choice: Some(Choice::Ours),
        rules: Vec::new(),
    };
    assert!(matches!(lab.repo.settle(&resolution), Err(RepoError::LocalChanges { .. })));
    lab.commit("settled by hand");
    assert_eq!(lab.field("cut", "edition.meta.json", "/rating").unwrap(), "\"NC-17\"");
    assert_eq!(lab.repo.commit(lab.repo.resolve("cut").unwrap().id).unwrap().parents.len(), 2);
}

#[test]
fn deleting_what_the_other_side_edits_conflicts() {
    for (path, old, new) in [
        ("notes.meta.json", r#"{"a": 1}"#.to_owned(), r#"{"a": 2}"#.to_owned()),
        ("clip.bin", "one".to_owned(), "two".to_owned()),
    ] {
        for deleted_by_ours in [true, false] {
            let lab = forked(&[("keep.txt", "k"), (path, &old)]);
            if deleted_by_ours {
                lab.write(path, &new).commit("edit");
                lab.switch("cut");
                lab.delete(path).commit("delete");
            } else {
                lab.delete(path).commit("delete");
                lab.switch("cut");
                lab.write(path, &new).commit("edit");
            }
            let report = lab.merge("main");
            let [conflict] = report.conflicts.as_slice() else { panic!("{:?}", report.conflicts) };
            assert_eq!(conflict.kind, "delete_edit", "{path} {deleted_by_ours}");
            let gone = if deleted_by_ours { "ours" } else { "theirs" };
            assert_eq!(conflict.absent, [gone]);
            let (keep, drop) = match deleted_by_ours {
                true => (Choice::Theirs, Choice::Ours),
                false => (Choice::Ours, Choice::Theirs),
            };
            lab.settle(Some(path), keep);
            assert!(lab.read(path).is_some());
            // Settled is settled; to choose again, give the merge up and merge again.
            lab.repo.abort_merge(&Silent).unwrap();
            assert!(lab.is_clean());
            assert!(!lab.merge("main").clean);
            lab.settle(Some(path), drop);
            assert!(lab.read(path).is_none());
            lab.finish();
            assert_eq!(lab.paths("cut"), ["keep.txt"]);
            assert!(lab.is_clean());
        }
    }
}

#[test]
fn adding_different_things_in_one_place_conflicts() {
    let lab = forked(&[("keep.txt", "k")]);
    lab.write("trailer.bin", "theirs").write("t.meta.json", r#"{"a": 1, "b": 1}"#).commit("main");
    lab.switch("cut");
    lab.write("trailer.bin", "ours").write("t.meta.json", r#"{"a": 1, "b": 2}"#).commit("cut");
    let report = lab.merge("main");
    let found: Vec<_> = report
        .conflicts
        .iter()
        .map(|it| (it.path.as_str(), it.field.as_deref(), it.kind))
        .collect();
    assert_eq!(found, [("t.meta.json", Some("/b"), "add_add"), ("trailer.bin", None, "add_add")]);
    // The working copy keeps our file meanwhile; naming it settles the conflict with what it holds.
    assert_eq!(lab.read("trailer.bin").unwrap(), "ours");
    lab.write("trailer.bin", "both").write("t.meta.json", r#"{"a": 1, "b": 3}"#);
    let paths = ["trailer.bin".to_owned(), "t.meta.json".to_owned()];
    lab.repo.add(lab.repo.root(), &paths, &Silent).unwrap();
    lab.finish();
    assert_eq!(lab.cat("cut", "trailer.bin"), b"both");
    assert!(lab.is_clean());
}

#[test]
fn media_changed_on_both_sides_conflicts_and_no_side_poses_as_the_truth() {
    let lab = forked(&[("keep.txt", "k")]);
    lab.write("feature.mp4", noise(1, 20_000)).commit("media");
    lab.switch("cut");
    lab.merge("main");
    lab.write("feature.mp4", noise(2, 20_000)).commit("ours");
    lab.switch("main");
    lab.write("feature.mp4", noise(3, 20_000)).commit("theirs");
    lab.switch("cut");
    let request = MergeRequest { allow_conflicts: true, ..MergeRequest::default() };
    let report = lab.repo.merge("main", &request, &Silent).unwrap();
    assert!(!report.clean && report.commit.is_some(), "a conflict can be committed");
    assert_eq!(lab.repo.conflicts(Some("cut")).unwrap().len(), 1);
    // Reading needs a choice.
    let path = RepoPath::new("feature.mp4").unwrap();
    let mut out = Vec::new();
    let refused = lab.repo.cat("cut", &path, None, None, &mut out);
    assert!(matches!(refused, Err(RepoError::Conflicts { .. })) && out.is_empty());
    lab.repo.cat("cut", &path, None, Some(Side::Theirs.into()), &mut out).unwrap();
    assert_eq!(out, noise(3, 20_000));
    let to = lab.disk("../out-of-conflict");
    let refused = lab.repo.checkout("cut", &to, &CheckoutOptions::default(), &Silent);
    assert!(matches!(refused, Err(RepoError::Conflicts { .. })) && !to.exists());
    assert!(matches!(lab.repo.make_tag("v1", None), Err(RepoError::Conflicts { .. })));
    // Settled later, in a commit of its own.
    lab.settle(None, Choice::Base);
    lab.finish_with("back to the first");
    assert_eq!(lab.cat("cut", "feature.mp4"), noise(1, 20_000));
    assert!(lab.repo.conflicts(Some("cut")).unwrap().is_empty());
}

#[test]
fn criss_cross_never_revives_an_old_value() {
    // Cases 54 and 55: bases 1 and 2 come from 0 and disagree.
    for (ours, theirs, expected) in [("1", "2", None), ("9", "9", Some("9"))] {
        let lab = forked(&[("e.meta.json", r#"{"x": 0, "o": 0, "t": 0}"#)]);
        lab.write("e.meta.json", r#"{"x": 1, "o": 0, "t": 0}"#).commit("one");
        lab.switch("cut");
        lab.write("e.meta.json", r#"{"x": 2, "o": 0, "t": 0}"#).commit("two");
        // Each takes the other's commit and keeps its own value.
        lab.switch("main");
        assert!(!lab.merge("cut").clean);
        lab.settle(None, Choice::Value(ours.parse::<i64>().unwrap().into()));
        lab.finish();
        lab.switch("cut");
        assert!(!lab.merge("main~1").clean);
        lab.settle(None, Choice::Value(theirs.parse::<i64>().unwrap().into()));
        lab.finish();
        let report = lab.merge("main");
        assert_eq!(report.base.len(), 2, "two best common ancestors");
        match expected {
            Some(value) => {
                assert!(report.clean);
                assert_eq!(lab.field("cut", "e.meta.json", "/x").unwrap(), value);
            }
            None => {
                let [conflict] = report.conflicts.as_slice() else { panic!("{report:?}") };
                assert_eq!(conflict.kind, "contested_base");
                assert_ne!(conflict.ours, 0);
                assert_ne!(conflict.theirs, 0);
            }
        }
    }
}

#[test]
fn a_rename_on_one_side_follows_an_edit_on_the_other() {
    let lab = forked(&[("old.bin", "one"), ("old.bin.meta.json", r#"{"a": 1, "b": 1}"#)]);
    for (old, new) in
        [("old.bin", "media/new.bin"), ("old.bin.meta.json", "media/new.bin.meta.json")]
    {
        lab.repo.rename(lab.repo.root(), old, new).unwrap();
    }
    lab.write("media/new.bin.meta.json", r#"{"a": 2, "b": 1}"#).commit("rename and edit");
    lab.switch("cut");
    lab.write("old.bin", "two").write("old.bin.meta.json", r#"{"a": 1, "b": 2}"#).commit("edit");
    let report = lab.merge("main");
    assert!(report.clean, "{:?}", report.conflicts);
    assert_eq!(lab.paths("cut"), ["media/new.bin", "media/new.bin.meta.json"]);
    assert_eq!(lab.cat("cut", "media/new.bin"), b"two");
    assert_eq!(lab.field("cut", "media/new.bin.meta.json", "/a").unwrap(), "2");
    assert_eq!(lab.field("cut", "media/new.bin.meta.json", "/b").unwrap(), "2");
    assert!(lab.is_clean());
}

#[test]
fn renames_apart_conflict_and_each_side_can_be_taken() {
    for (choice, expected) in [(Choice::Ours, "b.bin"), (Choice::Theirs, "c/c.bin")] {
        let lab = forked(&[("a.bin", "one"), ("keep.txt", "k")]);
        lab.repo.rename(lab.repo.root(), "a.bin", "c/c.bin").unwrap();
        lab.commit("to c");
        lab.switch("cut");
        lab.repo.rename(lab.repo.root(), "a.bin", "b.bin").unwrap();
        lab.commit("to b");
        let report = lab.merge("main");
        let [conflict] = report.conflicts.as_slice() else { panic!("{:?}", report.conflicts) };
        assert_eq!((conflict.kind, conflict.path.as_str()), ("rename_rename", "a.bin"));
        assert_eq!(conflict.places, ["b.bin", "c/c.bin"]);
        lab.settle(None, choice);
        lab.finish();
        assert_eq!(lab.paths("cut"), [expected, "keep.txt"]);
        assert_eq!(lab.read(expected).unwrap(), "one");
        assert!(lab.is_clean());
    }
}

#[test]
fn a_rename_and_a_removal_conflict() {
    let lab = forked(&[("a.bin", "one"), ("keep.txt", "k")]);
    lab.repo.rename(lab.repo.root(), "a.bin", "b.bin").unwrap();
    lab.commit("rename");
    lab.switch("cut");
    lab.delete("a.bin").commit("remove");
    let report = lab.merge("main");
    let [conflict] = report.conflicts.as_slice() else { panic!("{:?}", report.conflicts) };
    assert_eq!((conflict.kind, conflict.path.as_str()), ("delete_edit", "b.bin"));
    lab.settle(None, Choice::Theirs);
    lab.finish();
    assert_eq!(lab.paths("cut"), ["b.bin", "keep.txt"]);
}

#[test]
fn a_file_against_a_folder_is_one_conflict() {
    for file_is_ours in [true, false] {
        let lab = forked(&[("keep.txt", "k")]);
        let (main, cut) = if file_is_ours { ("x/y.txt", "x") } else { ("x", "x/y.txt") };
        lab.write(main, "main").commit("main");
        lab.switch("cut");
        lab.write(cut, "cut").commit("cut");
        let report = lab.merge("main");
        let [conflict] = report.conflicts.as_slice() else { panic!("{:?}", report.conflicts) };
        assert_eq!((conflict.kind, conflict.path.as_str()), ("type", "x"));
        lab.settle(None, Choice::Theirs);
        lab.finish();
        assert_eq!(lab.paths("cut"), ["keep.txt", main]);
        assert_eq!(lab.read(main).unwrap(), "main");
        assert!(lab.is_clean());
    }
}

#[test]
fn plain_json_merges_by_structure_when_both_sides_changed_it() {
    let text = |a: &str, b: &str| {
        format!("{{\r\n\t\"b\": {b},\r\n\t\"$ref\": [1, 2],\r\n\t\"a\": {a}\r\n}}\r\n")
    };
    let lab = forked(&[("cues.json", r#"[1, {"a": 1, "b": 1}]"#), ("s.json", &text("1.0", "1.0"))]);
    lab.write("s.json", text("2.0", "1.0")).commit("a");
    lab.switch("cut");
    lab.write("s.json", text("1.0", "2.0")).commit("b");
    assert!(lab.merge("main").clean);
    let merged = String::from_utf8(lab.cat("cut", "s.json")).unwrap();
    assert_eq!(merged, text("2.0", "2.0"), "lines that nobody changed stay");
    assert_eq!(lab.cat("cut", "cues.json"), br#"[1, {"a": 1, "b": 1}]"#, "untouched bytes stay");
}

#[test]
fn what_is_no_json_is_not_merged_by_structure() {
    for (main, cut) in [("{\"a\": 1, \"a\": 2}", "{\"a\": 3}"), ("", "{\"a\": 3}")] {
        let lab = forked(&[("s.json", "{}")]);
        lab.write("s.json", main).commit("a");
        lab.switch("cut");
        lab.write("s.json", cut).commit("b");
        assert_eq!(lab.merge("main").conflicts.len(), 1, "{main}");
        assert_eq!(lab.read("s.json").unwrap(), cut);
    }
}

/// Each side is within the limit, and together they are not.
#[test]
fn json_that_would_be_too_long_is_in_conflict() {
    let long = "x".repeat(9 << 20);
    let lab = forked(&[("s.json", "{}")]);
    lab.write("s.json", format!(r#"{{"a": "{long}"}}"#)).commit("a");
    lab.switch("cut");
    let ours = format!(r#"{{"b": "{long}"}}"#);
    lab.write("s.json", &ours).commit("b");
    assert_eq!(lab.merge("main").conflicts.len(), 1);
    assert!(lab.read("s.json").unwrap() == ours, "not merged");
}

#[test]
fn numbers_that_json_readers_write_stay_numbers() {
    let text = |a: i32, b: i32| format!(r#"{{"fps": 23.976023976023978, "a": {a}, "b": {b}}}"#);
    let lab = forked(&[("probe.json", &text(1, 1))]);
    lab.write("probe.json", text(2, 1)).commit("a");
    lab.switch("cut");
    lab.write("probe.json", text(1, 2)).commit("b");
    assert!(lab.merge("main").clean);
    assert_eq!(lab.read("probe.json").unwrap(), text(2, 2));
}

#[test]
fn rules_decide_and_are_reported() {
    let lab = forked(&[("edition.meta.json", r#"{"rating": "PG", "title": "A"}"#)]);
    lab.write("edition.meta.json", r#"{"rating": "R", "title": "B"}"#).commit("main");
    lab.switch("cut");
    lab.write("edition.meta.json", r#"{"rating": "PG-13", "title": "C"}"#).commit("cut");
    let request = MergeRequest {
        rules: vec!["/rating=theirs".parse().unwrap()],
        dry_run: true,
        ..MergeRequest::default()
    };
    let report = lab.repo.merge("main", &request, &Silent).unwrap();
    assert_eq!(report.conflicts.len(), 1);
    let [decision] = report.decisions.as_slice() else { panic!("{:?}", report.decisions) };
    assert_eq!((decision.field.as_deref(), decision.chosen), (Some("/rating"), "theirs"));
    assert!(lab.is_clean(), "a dry run changes nothing");
}

#[test]
fn a_merge_never_overwrites_what_is_not_committed() {
    let lab = forked(&[("a.bin", "one"), ("b.bin", "one")]);
    lab.write("a.bin", "main").commit("main");
    lab.switch("cut");
    lab.write("c.bin", "cut").commit("cut");
    lab.write("a.bin", "precious");
    let refused = lab.repo.merge("main", &MergeRequest::default(), &Silent);
    assert!(matches!(refused, Err(RepoError::LocalChanges { paths }) if paths == ["a.bin"]));
    assert_eq!(lab.read("a.bin").unwrap(), "precious");
    // A change the merge does not touch is kept.
    lab.write("a.bin", "one").write("b.bin", "mine");
    assert!(lab.merge("main").clean);
    assert_eq!(lab.read("a.bin").unwrap(), "main");
    assert_eq!(lab.read("b.bin").unwrap(), "mine");
}

#[test]
fn unrelated_histories_need_to_be_allowed() {
    let lab = Lab::new();
    lab.write("a.txt", "a").commit("a");
    let first = lab.repo.resolve("main").unwrap().id;
    // A second root: a branch made where there was no commit yet.
    let other = Lab::new();
    other.repo.make_branch("second", None, None, None).unwrap();
    other.write("a.txt", "a").commit("a");
    other.switch("second");
    other.write("b.txt", "b").commit("b");
    assert!(other.repo.resolve("second").unwrap().id != first);
    let refused = other.repo.merge("main", &MergeRequest::default(), &Silent);
    assert!(matches!(refused, Err(RepoError::Unrelated { .. })));
    let request = MergeRequest { allow_unrelated: true, ..MergeRequest::default() };
    assert!(other.repo.merge("main", &request, &Silent).unwrap().clean);
    assert_eq!(other.paths("second"), ["a.txt", "b.txt"]);
}

/// Options of `commit -a`.
fn everything() -> ottvc_repo::record::CommitOptions {
    ottvc_repo::record::CommitOptions {
        message: Some("by hand".into()),
        all: true,
        ..Default::default()
    }
}

/// A lab in the middle of a merge with one conflict in one document.
fn in_conflict() -> Lab {
    let lab = forked(&[("edition.meta.json", r#"{"rating": "PG"}"#)]);
    lab.write("edition.meta.json", r#"{"rating": "PG-13"}"#).commit("PG-13");
    lab.switch("cut");
    lab.write("edition.meta.json", r#"{"rating": "R"}"#).commit("R");
    assert!(!lab.merge("main").clean);
    lab
}

#[test]
fn a_conflict_settled_by_hand_is_committed_with_all_else() {
    let lab = in_conflict();
    lab.write("edition.meta.json", r#"{"rating": "NC-17"}"#);
    let committed = lab.repo.record(lab.repo.root(), &everything(), &Silent).unwrap();
    assert_eq!(committed.conflicts, 0);
    assert_eq!(lab.field("cut", "edition.meta.json", "/rating").unwrap(), "\"NC-17\"");
    assert!(lab.is_clean());
}

#[test]
fn an_unfinished_merge_is_not_undone_from_under_itself() {
    let lab = in_conflict();
    let head = lab.head("cut");
    assert!(matches!(lab.repo.undo(None, &Silent), Err(RepoError::MergeInProgress { .. })));
    assert_eq!(lab.head("cut"), head);
    lab.repo.abort_merge(&Silent).unwrap();
    lab.repo.undo(None, &Silent).unwrap();
}

#[test]
fn no_conflict_slips_into_a_commit() {
    let lab = in_conflict();
    let text = lab.read("edition.meta.json").unwrap();
    lab.repo.abort_merge(&Silent).unwrap();
    // The text of a conflict, taken over by hand, is one too.
    lab.write("edition.meta.json", &text);
    let refused = lab.repo.record(lab.repo.root(), &everything(), &Silent);
    assert!(matches!(refused, Err(RepoError::Conflicts { .. })), "{refused:?}");
    let allowed = ottvc_repo::record::CommitOptions { allow_conflicts: true, ..everything() };
    assert_eq!(lab.repo.record(lab.repo.root(), &allowed, &Silent).unwrap().conflicts, 1);
    // What was allowed once does not stand in the way of the next commit.
    lab.write("notes.txt", "more").commit("notes");
}
