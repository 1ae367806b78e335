//! Several resolutions in one step: all of it or nothing, and no other conflict than was meant.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod common;

use common::Lab;
use ottvc_merge::Choice;
use ottvc_repo::RepoError;
use ottvc_repo::resolving::{Resolved, Step};
use serde_json::{Value as Json, json};

const FILM: &str = "film.meta.json";

fn film(title: &str, rating: &str, cast: [&str; 3]) -> String {
    let cast = cast.map(|id| json!({ "id": id }));
    let cast = json!({ "$kl": { "keys": ["id"], "items": cast } });
    json!({ "title": title, "rating": rating, "note": title, "cast": cast }).to_string()
}

/// A merge that waits: title, rating, note and order of a document, and a film.
fn waiting() -> Lab {
    let lab = Lab::new();
    lab.write(FILM, film("Dune", "12", ["a", "b", "c"])).write("film.mp4", "one").commit("start");
    lab.branch("cut");
    lab.write(FILM, film("Dune I", "16", ["b", "a", "c"])).write("film.mp4", "two").commit("ours");
    lab.switch("cut");
    lab.write(FILM, film("Dune 1", "18", ["a", "c", "b"])).write("film.mp4", "three");
    lab.commit("theirs");
    lab.switch("main");
    assert_eq!(lab.merge("cut").conflicts.len(), 5);
    lab
}

fn id_of(lab: &Lab, field: Option<&str>) -> String {
    let rows = lab.repo.conflicts(None).unwrap();
    rows.into_iter().find(|row| row.field.as_deref() == field).unwrap().id
}

fn sides_of(lab: &Lab, field: Option<&str>) -> String {
    let rows = lab.repo.conflicts(None).unwrap();
    rows.into_iter().find(|row| row.field.as_deref() == field).unwrap().sides
}

fn settle(lab: &Lab, steps: &Json, dry: bool) -> Result<Resolved, RepoError> {
    lab.repo.settle_steps(&Step::read_all(&steps.to_string())?, dry)
}

fn all(lab: &Lab) -> Json {
    json!([
        { "path": FILM, "field": "/title", "id": id_of(lab, Some("/title")), "value": "Dune (2021)",
          "reason": "as registered" },
        { "path": FILM, "field": "/rating", "take": "theirs", "reason": "FSK\n  decided" },
        { "path": FILM, "field": "/note", "id": null, "absent": true },
        { "path": FILM, "field": "/cast/$order", "order": ["c"] },
        { "path": "film.mp4", "take": 2, "id": id_of(lab, None), "sides": sides_of(lab, None) },
    ])
}

#[test]
fn each_conflict_is_settled_as_its_step_says() {
    let lab = waiting();
    let steps = all(&lab);
    let dry = settle(&lab, &steps, true).unwrap();
    assert_eq!((dry.resolved.len(), dry.remaining.len()), (5, 0));
    assert_eq!(lab.repo.conflicts(None).unwrap().len(), 5, "a dry run settles nothing");
    let done = settle(&lab, &steps, false).unwrap();
    let taken: Vec<&str> = done.resolved.iter().map(|row| row.taken).collect();
    assert_eq!(taken, ["value", "theirs", "absent", "order", "term"]);
    assert_eq!(done.resolved[0].reason.as_deref(), Some("as registered"));
    let commit = lab.finish().commit;
    assert_eq!(lab.field("main", FILM, "/title").unwrap(), r#""Dune (2021)""#);
    assert_eq!(lab.field("main", FILM, "/rating").unwrap(), r#""18""#);
    assert_eq!(lab.field("main", FILM, "/note"), None);
    let cast = lab.field("main", FILM, "/cast").unwrap();
    assert!(cast.contains(r#""items":[{"id":"c"},{"id":"b"},{"id":"a"}]"#), "{cast}");
    assert_eq!(lab.cat("main", "film.mp4"), b"three");
    assert_eq!(
        lab.repo.commit(commit).unwrap().message,
        "Merge cut\n\nfilm.meta.json#/title: as registered\nfilm.meta.json#/rating: FSK decided"
    );
}

#[test]
fn one_that_does_not_fit_fails_all() {
    let lab = waiting();
    let before = (lab.read(FILM), lab.repo.conflicts(None).unwrap().len());
    let fails = |step: Json| {
        let mut steps = all(&lab);
        steps.as_array_mut().unwrap().push(step);
        settle(&lab, &steps, false).unwrap_err().code()
    };
    let other = id_of(&lab, Some("/rating"));
    assert_eq!(fails(json!({ "path": FILM, "field": "/title", "take": "ours" })), "argument.bad");
    assert_eq!(
        fails(json!({ "path": FILM, "field": "/year", "take": "ours" })),
        "merge.no_conflict"
    );
    let gone = json!({ "path": FILM, "field": "/year", "value": 1, "id": other });
    assert_eq!(fails(gone), "merge.other_conflict");
    assert_eq!((lab.read(FILM), lab.repo.conflicts(None).unwrap().len()), before);

    let stale = json!({ "path": FILM, "field": "/title", "take": "base", "id": other });
    assert_eq!(settle(&lab, &stale, false).unwrap_err().code(), "merge.other_conflict");
    let wrong = json!([{ "path": FILM, "field": "/note", "take": "ours" },
                       { "path": FILM, "field": "/title", "take": 7 }]);
    assert_eq!(settle(&lab, &wrong, false).unwrap_err().code(), "merge.no_such_term");
    assert_eq!((lab.read(FILM), lab.repo.conflicts(None).unwrap().len()), before);
}

#[test]
fn a_conflict_that_became_another_is_not_settled_by_its_old_id() {
    let lab = waiting();
    let steps = json!({ "path": FILM, "field": "/title", "id": id_of(&lab, Some("/title")), "absent": true });
    lab.repo.abort_merge(&ottvc_repo::Silent).unwrap();
    lab.switch("cut").write(FILM, film("Dune One", "18", ["a", "c", "b"])).commit("again");
    lab.switch("main");
    lab.merge("cut");
    let refused = settle(&lab, &steps, false).unwrap_err();
    assert!(
        matches!(refused, RepoError::OtherConflict { place, .. } if place == "film.meta.json#/title")
    );
}

#[test]
fn a_side_is_not_taken_of_a_merge_made_the_other_way_round() {
    let lab = waiting();
    let title = Some("/title");
    let (id, sides) = (id_of(&lab, title), sides_of(&lab, title));
    lab.repo.abort_merge(&ottvc_repo::Silent).unwrap();
    lab.switch("cut").merge("main");
    assert_eq!(id_of(&lab, title), id, "the same heads are the same conflict");
    let step = |choice: &str, of: Json| {
        let mut step = json!({ "path": FILM, "field": "/title", "id": id, choice: of });
        step["sides"] = json!(sides);
        step
    };
    for choice in
        [step("take", json!("ours")), step("take", json!("theirs")), step("take", json!(2))]
    {
        assert_eq!(settle(&lab, &choice, false).unwrap_err().code(), "merge.other_conflict");
        let mut unsaid = choice;
        unsaid.as_object_mut().unwrap().remove("sides");
        assert_eq!(settle(&lab, &unsaid, false).unwrap_err().code(), "argument.bad");
    }
    // What does not ask which side is which holds for both.
    let mut value = step("value", json!("Dune (2021)"));
    value.as_object_mut().unwrap().remove("sides");
    settle(&lab, &value, true).unwrap();
    let mut own = step("take", json!("ours"));
    own["sides"] = json!(sides_of(&lab, title));
    settle(&lab, &own, false).unwrap();
    assert!(lab.read(FILM).unwrap().contains("Dune 1"));
}

#[test]
fn steps_are_lines_or_an_array() {
    let line = r#"{"path": "a", "take": "both"}"#;
    let read = |text: &str| Step::read_all(text);
    assert_eq!(read(line).unwrap()[0].choice, Choice::Both);
    assert_eq!(read(&format!("{line}\n{line}\n")).unwrap().len(), 2);
    assert_eq!(read(&format!("[{line}, {line}]")).unwrap().len(), 2);
    let null = read(r#"{"path": "a", "field": "/x", "value": null}"#).unwrap();
    assert_eq!(null[0].choice, Choice::Value(ottvc_object::value::Value::Null));
    for bad in [
        "",
        "[]",
        "{",
        "7",
        r#"{"take": "ours"}"#,
        r#"{"path": "a"}"#,
        r#"{"path": "a", "take": "mine"}"#,
        r#"{"path": "a", "take": "ours", "take": "theirs"}"#,
        r#"{"path": "a", "value": {"x": 1, "x": 2}}"#,
        r#"{"path": "a", "take": "ours", "absent": true}"#,
        r#"{"path": "a", "absent": false}"#,
        r#"{"path": "a", "take": "ours", "feild": "/x"}"#,
        r#"{"path": "../a", "take": "ours"}"#,
        r#"{"path": "a", "value": {"$conflict": []}}"#,
    ] {
        assert_eq!(read(bad).unwrap_err().code(), "argument.bad", "{bad}");
    }
}
