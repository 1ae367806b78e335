//! Conflicts of more than two editions: whose value a side is, and what an edition's side is then.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod common;

use common::Lab;
use common::layers::{EDITION, fix};
use ottvc_merge::layers::Diverged;
use ottvc_object::RepoPath;
use ottvc_repo::merging::MergeRequest;
use ottvc_repo::plan::Carrying;
use ottvc_repo::push::PushRequest;
use ottvc_repo::resolving::{ConflictRow, Resolution};
use ottvc_repo::{RepoError, Silent};

const FILM: &str = "film.meta.json";

/// `main` with a rating, and `de` that holds a conflict over it: its own and that of `fr`.
fn disputed(main: &str) -> Lab {
    let lab = Lab::new();
    let rated = |rating: &str, name: &str| {
        lab.write(FILM, format!(r#"{{"rating": "{rating}"}}"#)).write("film.mp4", rating);
        lab.write(name, name).commit(name);
    };
    rated("12", "start");
    lab.branch("fr").branch("de");
    for (branch, rating) in [("fr", "14"), ("de", "16"), ("main", main)] {
        lab.switch(branch);
        rated(rating, branch);
    }
    lab.switch("de");
    let request = MergeRequest { allow_conflicts: true, ..MergeRequest::default() };
    lab.repo.merge("fr", &request, &Silent).unwrap();
    lab.switch("main");
    lab
}

fn all() -> Resolution {
    Resolution { path: None, field: None, choice: None, rules: Vec::new() }
}

fn sides(rows: &[ConflictRow]) -> Vec<(&str, &serde_json::Value, [bool; 2])> {
    rows.iter().map(|row| (row.path.as_str(), &row.ours, row.strangers)).collect()
}

#[test]
fn a_side_that_its_edition_never_had_is_told_apart() {
    let lab = disputed("18");
    let rows = lab.merge("de").conflicts;
    assert_eq!(rows[0].terms.len(), 5);
    assert_eq!(rows[0].ours, "18");
    // Theirs is in conflict itself.
    assert_eq!(rows.iter().map(|row| row.strangers).collect::<Vec<_>>(), [[false, true]; 2]);
    assert_eq!(sides(&lab.repo.conflicts(None).unwrap()), sides(&rows));
    let refused = lab.repo.settle_by_edition(&all(), "de", false).unwrap_err();
    assert!(matches!(refused, RepoError::BadArgument { why, .. } if why.contains("/rating")));
    let settled = lab.repo.settle_by_edition(&all(), "main", false).unwrap();
    assert_eq!(settled.resolved.len(), 2);
    lab.finish();
    assert_eq!(lab.field("main", FILM, "/rating").unwrap(), "\"18\"");
    assert_eq!(lab.cat("main", "film.mp4"), b"18");
}

#[test]
fn a_branch_that_changed_nothing_is_no_side_of_what_others_dispute() {
    let lab = disputed("12");
    let rows = lab.merge("de").conflicts;
    // The first is what de had, before it took in fr.
    assert_eq!((rows[0].terms.len(), &rows[0].ours), (0, &"16".into()));
    assert_eq!(rows.iter().map(|row| row.strangers).collect::<Vec<_>>(), [[true; 2]; 2]);
    let refused = lab.repo.settle_by_edition(&all(), "main", true);
    assert!(matches!(refused, Err(RepoError::BadArgument { .. })));
}

#[test]
fn a_plain_conflict_has_its_sides_from_both() {
    let lab = disputed("18");
    lab.switch("fr");
    let rows = lab.merge("main").conflicts;
    assert_eq!(rows.iter().map(|row| row.strangers).collect::<Vec<_>>(), [[false; 2]; 2]);
    assert_ne!(rows[0].id, rows[0].core);
    let dry = lab.repo.settle_by_edition(&all(), "main", true).unwrap();
    assert!(dry.resolved.iter().all(|row| row.taken == "theirs"));
}

#[test]
fn an_item_moved_and_removed_says_where_it_came_from() {
    let lab = Lab::new();
    let list = "{type: keyed, keys: [$id], move_domain: d}";
    lab.write(
        "house.yaml",
        format!("schema: house/1\nfields:\n  /main: {list}\n  /extra: {list}\n"),
    );
    lab.write(
        "schemas.yaml",
        "documents: {'*.meta.json': house/1}\nschemas: {house/1: house.yaml}",
    );
    let scene = r#"{"$$id": "s1", "title": "Dawn"}"#;
    lab.write(FILM, format!(r#"{{"main": [{scene}], "extra": []}}"#)).commit("start");
    lab.branch("cut");
    lab.write(FILM, r#"{"main": [], "extra": []}"#).commit("removed");
    lab.switch("cut");
    lab.write(FILM, format!(r#"{{"main": [], "extra": [{scene}]}}"#)).commit("moved");
    lab.switch("main");
    let rows = lab.merge("cut").conflicts;
    let [row] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!((row.kind, row.moved_from.as_deref()), ("delete_edit", Some("/main")), "{row:?}");
}

#[test]
fn what_followed_a_committed_merge_is_no_side_of_it() {
    let lab = Lab::new();
    lab.write(EDITION, r#"{"title": "One", "x": 0}"#).commit("start");
    lab.edition("fr", "main").edition("de", "main");
    lab.change("fr", &["/x=1"]).change("de", &["/x=2", "/title=\"Eins\""]);
    let request = MergeRequest { allow_conflicts: true, ..MergeRequest::default() };
    lab.repo.merge("fr", &request, &Silent).unwrap();
    lab.change("main", &["/title=\"Two\""]);
    let push = PushRequest { diverged: Diverged::Conflict, ..fix(&["de"]) };
    let plan = lab.repo.plan_push(&push).unwrap();
    let how = Carrying { allow_conflicts: true, ..Carrying::default() };
    lab.repo.carry_out_plan(&plan, &how, &Silent).unwrap();
    lab.switch("de");
    let rows = lab.repo.conflicts(None).unwrap();
    let told: Vec<_> = rows.iter().map(|row| (row.field.as_deref(), row.strangers)).collect();
    assert_eq!(told, [(Some("/title"), [true; 2]), (Some("/x"), [false; 2])]);
    let refused = lab.repo.settle_by_edition(&all(), "fr", false).unwrap_err();
    assert!(matches!(refused, RepoError::BadArgument { why, .. } if why.contains("/title")));
    let x = Resolution {
        path: Some(RepoPath::new(EDITION).unwrap()),
        field: Some("/x".parse().unwrap()),
        ..all()
    };
    assert_eq!(lab.repo.settle_by_edition(&x, "fr", false).unwrap().resolved.len(), 1);
}

#[test]
fn which_edition_is_asked_for_matters_where_there_is_a_conflict() {
    let lab = disputed("18");
    let of_nobody = || lab.repo.settle_by_edition(&all(), "zz", false).unwrap_err();
    assert!(matches!(of_nobody(), RepoError::NoConflict { .. }));
    lab.switch("de");
    lab.repo.remove_branch("fr", false).unwrap();
    let RepoError::BadArgument { why, .. } = of_nobody() else { panic!() };
    assert!(why.starts_with("it merges `de` and the edition "), "{why}");
    assert!(why.ends_with(", which has no branch"), "{why}");
}
