//! Stories of places that both sides want, and of files that only lie here: nothing is lost where names meet.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod common;

use common::Lab;
use ottvc_merge::Choice;
use ottvc_object::RepoPath;
use ottvc_repo::merging::{MergeReport, MergeRequest};
use ottvc_repo::resolving::Resolution;
use ottvc_repo::{RepoError, Silent};
use serde_json::json;

const PROBED: &str = "schema: house/1\nfields:\n  /bytes: {merge: derived(probe)}\n";
const BOUND: &str = "documents: {'*.meta.json': house/1}\nschemas: {house/1: house.yaml}\n";

/// A lab with a document whose `bytes` are derived where sides disagree, and a branch `cut` on it.
fn lab() -> Lab {
    let lab = Lab::new();
    lab.write("schemas.yaml", BOUND).write("house.yaml", PROBED);
    lab.write("x.meta.json", json!({ "bytes": 1, "n": 0 }).to_string()).write("x.bin", "a film");
    lab.commit("start");
    lab.branch("cut");
    lab
}

fn rename(lab: &Lab, old: &str, new: &str) {
    lab.repo.rename(lab.repo.root(), old, new).unwrap();
}

/// Makes each side's commits and merges one into the other.
fn merge(lab: &Lab, main: &dyn Fn(&Lab), cut: &dyn Fn(&Lab), into: &str) -> MergeReport {
    main(lab);
    lab.commit("main");
    lab.switch("cut");
    cut(lab);
    lab.commit("cut");
    lab.switch(into);
    lab.merge(if into == "main" { "cut" } else { "main" })
}

fn resolve(lab: &Lab, path: &str, choice: Choice) -> Result<(), RepoError> {
    let path = Some(RepoPath::new(path).unwrap());
    let resolution = Resolution { path, field: None, choice: Some(choice), rules: Vec::new() };
    lab.repo.settle(&resolution).map(drop)
}

#[test]
fn what_stands_where_one_side_renamed_to_stays() {
    for into in ["main", "cut"] {
        let lab = lab();
        let apart = |lab: &Lab| {
            rename(lab, "x.bin", "z.bin");
            lab.write("y.bin", "another film");
        };
        let report = merge(&lab, &|lab| rename(lab, "x.bin", "y.bin"), &apart, into);
        assert_eq!(report.conflicts.len(), 1);
        // The side that has nothing else there can be taken, and the other film is there still.
        let z = if into == "main" { Choice::Theirs } else { Choice::Ours };
        lab.settle(Some("x.bin"), z);
        lab.finish();
        assert_eq!(lab.cat("HEAD", "y.bin"), b"another film");
        assert_eq!(lab.cat("HEAD", "z.bin"), b"a film");
    }
    // The other one would be put over it.
    let lab = lab();
    let apart = |lab: &Lab| {
        rename(lab, "x.bin", "z.bin");
        lab.write("y.bin", "another film");
    };
    merge(&lab, &|lab| rename(lab, "x.bin", "y.bin"), &apart, "main");
    let refused = resolve(&lab, "x.bin", Choice::Ours).unwrap_err();
    assert!(matches!(refused, RepoError::LocalChanges { paths } if paths == ["y.bin"]));
}

#[test]
fn files_that_only_lie_here_are_not_written_over() {
    let lab = lab();
    let to = |new: &'static str| move |lab: &Lab| rename(lab, "x.bin", new);
    merge(&lab, &to("y.bin"), &to("z.bin"), "main");
    lab.write("z.bin", "precious");
    let refused = resolve(&lab, "x.bin", Choice::Theirs).unwrap_err();
    assert!(matches!(refused, RepoError::LocalChanges { paths } if paths == ["z.bin"]));
    assert_eq!(lab.read("z.bin").unwrap(), "precious");
    lab.settle(Some("x.bin"), Choice::Ours);
    assert_eq!(lab.read("y.bin").unwrap(), "a film");

    let lab = self::lab();
    let says = |text: &'static str| {
        move |lab: &Lab| {
            lab.write("x.bin", text);
        }
    };
    merge(&lab, &says("ours"), &says("theirs"), "main");
    lab.write("x.bin", "mine");
    let refused = resolve(&lab, "x.bin", Choice::Theirs).unwrap_err();
    assert!(matches!(refused, RepoError::LocalChanges { paths } if paths == ["x.bin"]));
    assert_eq!(lab.read("x.bin").unwrap(), "mine");
    lab.write("x.bin", "ours").settle(Some("x.bin"), Choice::Theirs);
    assert_eq!(lab.read("x.bin").unwrap(), "theirs");
}

/// What theirs or ours has inside the conflict at `at`, in each direction of the merge.
fn clash(main: &dyn Fn(&Lab), cut: &dyn Fn(&Lab), at: &str, inside: &str, expected: &str) {
    for into in ["main", "cut"] {
        let lab = lab();
        let report = merge(&lab, main, cut, into);
        let places: Vec<(&str, &str)> =
            report.conflicts.iter().map(|it| (it.path.as_str(), it.kind)).collect();
        assert_eq!(places, [(at, "type")], "into {into}");
        let side = if into == "main" { Choice::Ours } else { Choice::Theirs };
        lab.settle(Some(at), side);
        // A field in dispute inside is a conflict of its own now.
        let all = Resolution { path: None, field: None, choice: Some(Choice::Ours), rules: vec![] };
        match lab.repo.settle(&all) {
            Ok(_) | Err(RepoError::NoConflict { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        lab.finish();
        assert_eq!(lab.field("HEAD", inside, "/n").as_deref(), Some(expected), "into {into}");
    }
}

#[test]
fn a_document_that_waits_for_its_film_has_its_place_meanwhile() {
    let doc = |bytes: i64, n: i64| json!({ "bytes": bytes, "n": n }).to_string();
    // A folder where the other side has a file.
    let folder = |lab: &Lab| {
        rename(lab, "x.meta.json", "b/e.meta.json");
        lab.write("b/e.meta.json", doc(2, 0));
    };
    let file = |lab: &Lab| {
        lab.write("x.meta.json", doc(3, 3)).write("b", "a file");
    };
    clash(&folder, &file, "b", "b/e.meta.json", "3");
    // A document where the other side has a folder.
    let renamed = |lab: &Lab| {
        rename(lab, "x.meta.json", "y.meta.json");
        lab.write("y.meta.json", doc(2, 0));
    };
    let below = |lab: &Lab| {
        lab.write("x.meta.json", doc(3, 3)).write("y.meta.json/foo.txt", "foo");
    };
    clash(&renamed, &below, "y.meta.json", "y.meta.json", "3");
}

#[test]
fn what_a_clash_is_between_has_been_merged() {
    let folder = |lab: &Lab| rename(lab, "x.meta.json", "b/e.meta.json");
    let file = |lab: &Lab| {
        lab.write("x.meta.json", json!({ "bytes": 1, "n": 3 }).to_string()).write("b", "a file");
    };
    clash(&folder, &file, "b", "b/e.meta.json", "3");
    // The folder of the other side is there whole when that is taken.
    let lab = lab();
    merge(&lab, &folder, &file, "main");
    lab.settle(Some("b"), Choice::Theirs);
    lab.finish();
    assert_eq!(lab.cat("HEAD", "b"), b"a file");
}

#[test]
fn what_a_rule_decides_in_a_file_is_told_and_nothing_is_remembered_there() {
    let lab = Lab::new();
    let says = |rating: i64| json!({ "rating": rating, "kept": 1 }).to_string();
    for file in ["a.meta.json", "c.json"] {
        lab.write(file, says(1));
    }
    lab.commit("start");
    lab.branch("cut");
    let both = |rating: i64| {
        move |lab: &Lab| {
            lab.write("a.meta.json", says(rating)).write("c.json", says(rating));
        }
    };
    merge(&lab, &both(2), &both(3), "main");
    lab.repo.abort_merge(&Silent).unwrap();
    let rules = vec!["*=ours".parse().unwrap()];
    let request = MergeRequest { rules, dry_run: true, ..MergeRequest::default() };
    let report = lab.repo.merge("cut", &request, &Silent).unwrap();
    let told: Vec<(&str, Option<&str>)> =
        report.decisions.iter().map(|it| (it.path.as_str(), it.field.as_deref())).collect();
    assert_eq!(told, [("a.meta.json", Some("/rating")), ("c.json", Some("/rating"))]);
    // What was settled in a document is not applied to a file.
    lab.merge("cut");
    lab.settle(Some("c.json"), Choice::Theirs);
    lab.settle(Some("a.meta.json"), Choice::Theirs);
    lab.finish();
    lab.switch("cut");
    lab.write("other.json", says(1)).commit("a file");
    lab.branch("twig");
    lab.write("other.json", says(2)).commit("ours");
    lab.switch("twig");
    lab.write("other.json", says(3)).commit("theirs");
    lab.switch("cut");
    let request = MergeRequest { apply_memory: true, ..MergeRequest::default() };
    let report = lab.repo.merge("twig", &request, &Silent).unwrap();
    assert_eq!((report.conflicts.len(), report.decisions.len()), (1, 0));
}
