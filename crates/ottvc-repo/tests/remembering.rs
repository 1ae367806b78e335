//! What was settled before, for every shape of conflict; and the same sides over another base.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod common;

use common::Lab;
use ottvc_merge::Choice;
use ottvc_repo::Silent;
use ottvc_repo::merging::{MergeReport, MergeRequest};
use ottvc_repo::resolving::{Before, Resolution};
use ottvc_store::WorkspaceStore;

/// What a side has: a file with its content, or `None` for none.
type Have<'f> = &'f [(&'f str, Option<&'f str>)];

fn have(lab: &Lab, files: Have<'_>) {
    for (path, content) in files {
        match content {
            Some(content) => drop(lab.write(path, content)),
            None => drop(std::fs::remove_file(lab.disk(path))),
        }
    }
}

/// Begins two lines at a base, has each side change it, and merges one into the other. The editions are new
/// each time, so that rounds have nothing to do with each other.
fn round(lab: &Lab, n: u32, base: Have<'_>, ours: Have<'_>, theirs: Have<'_>) -> MergeReport {
    part(lab, n, base, ours, theirs);
    lab.merge(&format!("cut{n}"))
}

fn part(lab: &Lab, n: u32, base: Have<'_>, ours: Have<'_>, theirs: Have<'_>) {
    if n > 1 {
        lab.switch("start");
        lab.repo.make_branch(&format!("main{n}"), None, None, None).unwrap();
        lab.switch(&format!("main{n}"));
    }
    have(lab, base);
    lab.write("round.txt", n.to_string()).commit("base");
    lab.branch(&format!("cut{n}"));
    have(lab, ours);
    lab.write("ours.txt", n.to_string()).commit("ours");
    lab.switch(&format!("cut{n}"));
    have(lab, theirs);
    lab.write("theirs.txt", n.to_string()).commit("theirs");
    let back = if n > 1 { format!("main{n}") } else { "main".into() };
    lab.switch(&back);
}

fn lab() -> Lab {
    let lab = Lab::new();
    lab.write("start.txt", "start").commit("start");
    lab.branch("start");
    lab
}

fn everything() -> Resolution {
    Resolution { path: None, field: None, choice: None, rules: Vec::new() }
}

fn suggested(lab: &Lab, before: Before) -> Result<Vec<&'static str>, &'static str> {
    let done = lab.repo.settle_as_before(&everything(), before, false);
    done.map(|done| done.resolved.iter().map(|row| row.taken).collect()).map_err(|it| it.code())
}

fn applying() -> MergeRequest {
    MergeRequest { apply_memory: true, ..MergeRequest::default() }
}

const FILM: &str = "film.mp4";
const DOC: &str = "film.meta.json";

#[test]
fn a_file_is_taken_as_before() {
    let lab = lab();
    let (base, ours, theirs): (Have<'_>, Have<'_>, Have<'_>) =
        (&[(FILM, Some("a"))], &[(FILM, Some("b"))], &[(FILM, Some("c"))]);
    round(&lab, 1, base, ours, theirs);
    lab.settle(Some(FILM), Choice::Theirs);
    lab.finish();
    let known = lab.repo.memory().unwrap();
    assert_eq!((known.len(), known[0].path.as_str(), &known[0].field), (1, FILM, &None));
    assert_eq!(known[0].value["kind"], "media");

    // The sides the other way round: what was theirs is ours now.
    let report = round(&lab, 2, base, theirs, ours);
    let memory = report.conflicts[0].memory.as_ref().unwrap();
    assert!(!memory.other_base && memory.settled.id == known[0].id);
    assert_eq!(suggested(&lab, Before::Exact).unwrap(), ["memory"]);
    lab.finish();
    assert_eq!(lab.cat("main2", FILM), b"c");

    part(&lab, 3, base, ours, theirs);
    let report = lab.repo.merge("cut3", &applying(), &Silent).unwrap();
    assert!(report.clean);
    assert_eq!(report.decisions[0].rule, format!("memory: {}", known[0].id));
    assert_eq!(report.decisions[0].chosen, "theirs");
    assert_eq!(lab.cat("main3", FILM), b"c");
    assert!(lab.is_clean());
}

#[test]
fn a_file_may_have_been_removed() {
    let lab = lab();
    let (base, ours, theirs): (Have<'_>, Have<'_>, Have<'_>) =
        (&[(FILM, Some("a"))], &[(FILM, None)], &[(FILM, Some("c"))]);
    round(&lab, 1, base, ours, theirs);
    lab.settle(Some(FILM), Choice::Absent);
    lab.finish();
    let report = round(&lab, 2, base, ours, theirs);
    assert!(report.conflicts[0].memory.as_ref().unwrap().settled.absent);
    assert_eq!(suggested(&lab, Before::Exact).unwrap(), ["memory"]);
    lab.finish();
    part(&lab, 3, base, ours, theirs);
    assert!(lab.repo.merge("cut3", &applying(), &Silent).unwrap().clean);
    assert!(!lab.paths("main3").contains(&FILM.to_owned()));
    assert!(lab.is_clean());
}

#[test]
fn what_was_renamed_is_not_remembered_as_removed() {
    let of = |path| -> [Vec<(&str, Option<&str>)>; 3] {
        match path {
            FILM => ["a", "b", "c"].map(|content| vec![(FILM, Some(content))]),
            // One side removed the document.
            _ => [Some(r#"{"a": 1}"#), None, Some(r#"{"a": 2}"#)].map(|it| vec![(DOC, it)]),
        }
    };
    for (path, to) in [(FILM, "new/film.mp4"), (DOC, "new/film.meta.json")] {
        for by_hand in [false, true] {
            let lab = lab();
            let [base, ours, theirs] = of(path);
            round(&lab, 1, &base, &ours, &theirs);
            lab.settle(Some(path), Choice::Theirs);
            if by_hand {
                lab.write(to, lab.read(path).unwrap()).delete(path);
                lab.commit("settled");
            } else {
                lab.repo.rename(lab.repo.root(), path, to).unwrap();
                lab.finish();
            }
            assert!(lab.repo.memory().unwrap().is_empty(), "{path}, by hand: {by_hand}");
            part(&lab, 2, &base, &ours, &theirs);
            assert!(!lab.repo.merge("cut2", &applying(), &Silent).unwrap().clean);
        }
    }
}

/// What neither side had may be gone from the store by the time it is asked for.
#[test]
fn a_file_that_neither_side_had_is_not_remembered() {
    let lab = lab();
    let (base, ours, theirs): (Have<'_>, Have<'_>, Have<'_>) =
        (&[(FILM, Some("a"))], &[(FILM, Some("b"))], &[(FILM, Some("c"))]);
    round(&lab, 1, base, ours, theirs);
    lab.write(FILM, "mine").repo.add(lab.repo.root(), &[FILM.to_owned()], &Silent).unwrap();
    lab.finish();
    assert!(lab.repo.memory().unwrap().is_empty());
}

#[test]
fn a_whole_document_and_a_group_are_settled_as_before() {
    let lab = lab();
    lab.write(
        "schemas.yaml",
        "documents: {'*.meta.json': house.film/1}\nschemas: {house.film/1: house.yaml}\n",
    );
    lab.write("house.yaml", "schema: house.film/1\nfields:\n  /art: {type: map, groups: [[a, w]]}\n  /art/a: {type: string}\n  /art/w: {type: int}\n");
    lab.commit("schema");
    lab.repo.remove_branch("start", true).unwrap();
    lab.branch("start");
    let doc = |a: &str, w: i64| format!(r#"{{"art": {{"a": "{a}", "w": {w}}}}}"#);
    let (old, one, two, gone) = (doc("A1", 1), doc("A2", 2), doc("A1", 3), "gone.meta.json");
    let (base, ours, theirs): (Have<'_>, Have<'_>, Have<'_>) = (
        &[(DOC, Some(&old)), (gone, Some(&old))],
        &[(DOC, Some(&one)), (gone, None)],
        &[(DOC, Some(&two)), (gone, Some(&two))],
    );
    assert_eq!(round(&lab, 1, base, ours, theirs).conflicts.len(), 2);
    lab.settle(Some(DOC), Choice::Theirs);
    lab.settle(Some(gone), Choice::Ours);
    lab.finish();
    assert_eq!(lab.repo.memory().unwrap().len(), 2);
    let report = round(&lab, 2, base, ours, theirs);
    assert!(report.conflicts.iter().all(|row| row.memory.is_some()), "{:?}", report.conflicts);
    assert_eq!(suggested(&lab, Before::Exact).unwrap(), ["memory", "memory"]);
    lab.finish();
    let check = |branch: &str| {
        assert_eq!(lab.field(branch, DOC, "/art/w").unwrap(), "3");
        assert!(!lab.paths(branch).contains(&gone.to_owned()));
        assert!(lab.is_clean());
    };
    check("main2");
    part(&lab, 3, base, ours, theirs);
    let report = lab.repo.merge("cut3", &applying(), &Silent).unwrap();
    assert!(report.clean, "{:?}", report.conflicts);
    check("main3");
}

#[test]
fn a_place_is_proposed_as_before_and_never_applied() {
    let lab = lab();
    let start: Have<'_> = &[(FILM, Some("a film"))];
    let moved = |n: u32| {
        if n > 1 {
            lab.switch("start");
            lab.repo.make_branch(&format!("main{n}"), None, None, None).unwrap();
            lab.switch(&format!("main{n}"));
        }
        have(&lab, start);
        lab.write("round.txt", n.to_string()).commit("base");
        lab.branch(&format!("cut{n}"));
        let to = |path: &str| lab.repo.rename(lab.repo.root(), FILM, path).unwrap();
        to("cut/film.mp4");
        lab.commit("ours");
        lab.switch(&format!("cut{n}"));
        to("film/a.mp4");
        lab.commit("theirs");
        lab.switch(&if n > 1 { format!("main{n}") } else { "main".into() });
    };
    moved(1);
    assert_eq!(lab.merge("cut1").conflicts[0].kind, "rename_rename");
    lab.settle(None, Choice::Theirs);
    lab.finish();
    let known = lab.repo.memory().unwrap();
    assert_eq!(known[0].places, ["film/a.mp4"]);
    moved(2);
    let report = lab.repo.merge("cut2", &applying(), &Silent).unwrap();
    assert!(!report.clean, "places are for people");
    assert_eq!(report.conflicts[0].memory.as_ref().unwrap().settled.places, ["film/a.mp4"]);
    assert_eq!(suggested(&lab, Before::Exact).unwrap(), ["memory"]);
    lab.finish();
    let paths = lab.paths("main2");
    assert!(
        paths.contains(&"film/a.mp4".to_owned()) && !paths.contains(&"cut/film.mp4".to_owned())
    );
}

#[test]
fn another_base_is_only_a_hint() {
    let lab = lab();
    let (old, older, one, two) =
        (r#"{"t": "a"}"#, r#"{"t": "z"}"#, r#"{"t": "b"}"#, r#"{"t": "c"}"#);
    let (ours, theirs): (Have<'_>, Have<'_>) =
        (&[(DOC, Some(one)), (FILM, Some("b"))], &[(DOC, Some(two)), (FILM, Some("c"))]);
    round(&lab, 1, &[(DOC, Some(old)), (FILM, Some("a"))], ours, theirs);
    lab.settle(None, Choice::Theirs);
    lab.finish();

    let other: Have<'_> = &[(DOC, Some(older)), (FILM, Some("z"))];
    part(&lab, 2, other, ours, theirs);
    let report = lab.repo.merge("cut2", &applying(), &Silent).unwrap();
    assert_eq!((report.conflicts.len(), report.decisions.len()), (2, 0), "nothing is applied");
    for row in &report.conflicts {
        assert!(row.memory.as_ref().unwrap().other_base);
    }
    assert_eq!(suggested(&lab, Before::Exact), Err("merge.nothing_remembered"));
    assert_eq!(suggested(&lab, Before::AnyBase).unwrap(), ["memory_other_base"; 2]);
    lab.finish();
    assert_eq!(lab.field("main2", DOC, "/t").unwrap(), r#""c""#);
    assert_eq!(lab.cat("main2", FILM), b"c");

    // Settled over this base, too, that counts before what came of the other.
    assert_eq!(lab.repo.memory().unwrap().len(), 4);
    let report = round(&lab, 3, other, ours, theirs);
    assert!(report.conflicts.iter().all(|row| !row.memory.as_ref().unwrap().other_base));
}

#[test]
fn rows_of_an_earlier_layout_are_dropped() {
    let lab = lab();
    let old = [&[1, b'm'][..], &[7; 32]].concat();
    let state = lab.workspace().load().unwrap().unwrap();
    lab.workspace().save(&state, &[(old.clone(), Some(b"something".to_vec()))]).unwrap();
    assert!(lab.repo.memory().unwrap().is_empty());
    let (base, ours, theirs): (Have<'_>, Have<'_>, Have<'_>) =
        (&[(FILM, Some("a"))], &[(FILM, Some("b"))], &[(FILM, Some("c"))]);
    round(&lab, 1, base, ours, theirs);
    lab.settle(None, Choice::Ours);
    lab.finish();
    assert_eq!(lab.workspace().row(&old).unwrap(), None);
    assert_eq!(lab.repo.memory().unwrap().len(), 1);
}

/// A merge may commit what is in conflict, for somebody to settle later.
#[test]
fn what_was_committed_in_conflict_is_learnt_when_it_is_settled() {
    let lab = lab();
    let (base, ours, theirs): (Have<'_>, Have<'_>, Have<'_>) = (
        &[(FILM, Some("a")), (DOC, Some(r#"{"runtime": 1}"#))],
        &[(FILM, Some("b")), (DOC, Some(r#"{"runtime": 2}"#))],
        &[(FILM, Some("c")), (DOC, Some(r#"{"runtime": 3}"#))],
    );
    part(&lab, 1, base, ours, theirs);
    let leaving = MergeRequest { allow_conflicts: true, ..MergeRequest::default() };
    assert!(lab.repo.merge("cut1", &leaving, &Silent).unwrap().commit.is_some());
    assert!(lab.repo.memory().unwrap().is_empty());
    lab.settle(Some(DOC), Choice::Theirs);
    lab.commit("the runtime");
    let memory = lab.repo.memory().unwrap();
    assert_eq!(memory.iter().map(|it| it.path.as_str()).collect::<Vec<_>>(), [DOC]);
    lab.settle(Some(FILM), Choice::Ours);
    lab.commit("the film");
    assert_eq!(lab.repo.memory().unwrap().len(), 2);
    round(&lab, 2, base, ours, theirs);
    assert_eq!(suggested(&lab, Before::Exact).unwrap(), ["memory", "memory"]);
    lab.finish();
    assert_eq!(lab.field("main2", DOC, "/runtime").unwrap(), "3");
    assert_eq!(lab.read(FILM).unwrap(), "b");
}

#[test]
fn with_memory_off_nothing_is_learnt() {
    let lab = lab();
    let lab = lab.remembering(0);
    assert!(!lab.repo.remembers());
    let (base, ours, theirs): (Have<'_>, Have<'_>, Have<'_>) =
        (&[(FILM, Some("a"))], &[(FILM, Some("b"))], &[(FILM, Some("c"))]);
    round(&lab, 1, base, ours, theirs);
    lab.settle(None, Choice::Ours);
    lab.finish();
    assert!(lab.remembering(90).repo.memory().unwrap().is_empty());
}
