//! What a commit, a merge and `meta set` refuse: conflicts that would forget what was given once, and what is broken
//! anew in documents that broke much already.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod common;

use common::Lab;
use ottvc_merge::Choice;
use ottvc_object::RepoPath;
use ottvc_object::field_path::FieldPath;
use ottvc_object::value::value_from_json;
use ottvc_repo::meta::FieldEdit;
use ottvc_repo::record::{CommitOptions, Committed};
use ottvc_repo::resolving::Resolution;
use ottvc_repo::{RepoError, Silent};
use serde_json::{Value as Json, json};

const FILM: &str = "film.meta.json";
const HOUSE: &str =
    "documents: {'*.meta.json': house.film/1}\nschemas: {house.film/1: house.yaml}\n";
const FIELDS: &str = "schema: house.film/1
fields:
  /cuts/*/id: {type: string, immutable: true}
  /level:     {type: string, enum: [low, high]}
  /genres:    {type: set, of: string, max_items: 2}
  /windows:   {type: keyed, keys: [$id], order: none, invariants: [start < end]}
  /many/*:    {type: int}
  /parts:     {type: keyed, keys: [k], insert: conflict, immutable: true}
  /isan:      {type: string, immutable: true}
";

/// A document that was there before its schema, so that it may break anything, and a branch `cut`.
fn house(film: &Json) -> Lab {
    let lab = Lab::new();
    lab.write(FILM, film.to_string()).commit("start");
    bind(&lab);
    lab.branch("cut");
    lab
}

fn bind(lab: &Lab) {
    lab.write("house.yaml", FIELDS).write("schemas.yaml", HOUSE).commit("bind");
}

/// Writes what no schema would let pass, as it was written before there was one.
fn before_schemas(lab: &Lab, film: &Json) {
    lab.delete("schemas.yaml").write(FILM, film.to_string()).commit("old");
    bind(lab);
}

fn add(lab: &Lab) {
    lab.repo.add(lab.repo.root(), &[".".to_owned()], &Silent).unwrap();
}

/// Commits what is there, with its conflicts.
fn commit(lab: &Lab) -> Result<Committed, RepoError> {
    add(lab);
    let message = Some("as it is".to_owned());
    let options = CommitOptions { message, allow_conflicts: true, ..CommitOptions::default() };
    lab.repo.record(lab.repo.root(), &options, &Silent)
}

fn set(lab: &Lab, edits: &[&str]) -> Result<(), RepoError> {
    let edits: Vec<FieldEdit> = edits.iter().map(|text| FieldEdit::parse(text).unwrap()).collect();
    lab.repo.edit_fields(lab.repo.root(), FILM, &edits).map(drop)
}

fn refused<T>(result: Result<T, RepoError>) -> Vec<String> {
    match result {
        Err(RepoError::Invalid { findings }) => {
            findings.iter().map(|found| format!("{} {}", found.field, found.rule)).collect()
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was not refused"),
    }
}

/// The first film with some other fields.
fn with(film: &Json, fields: Json) -> Json {
    let mut film = film.clone();
    film.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    film
}

/// A merge that waits for its title, and for nothing else.
fn waiting(film: &Json) -> Lab {
    let lab = house(film);
    lab.write(FILM, with(film, json!({ "title": "ours" })).to_string()).commit("ours");
    lab.switch("cut");
    lab.write(FILM, with(film, json!({ "title": "theirs" })).to_string()).commit("theirs");
    lab.switch("main");
    assert_eq!(lab.merge("cut").conflicts.len(), 1);
    lab
}

/// A conflict over the place of `/cuts/a`, as somebody writes it.
fn apart(policy: &str, base: &Json, id: &str) -> Json {
    let entry = |key: &str| json!({ key: { "id": id } });
    let conflict = json!({ "kind": "rename_rename", "path": "/cuts/a", "policy": policy, "terms": [
        { "side": "ours", "value": entry("b") }, base, { "side": "theirs", "value": entry("c") }] });
    json!({ "cuts": { "a": { "$conflict": conflict } } })
}

#[test]
fn no_conflict_over_a_place_gets_rid_of_what_was_given_once_while_a_merge_waits() {
    let film = json!({ "cuts": { "a": { "id": "A" } } });
    let lab = waiting(&film);
    let absent = json!({ "side": "base", "absent": true });
    let base = |id: &str| json!({ "side": "base", "value": { "a": { "id": id } } });
    for policy in ["rename", "move"] {
        lab.write(FILM, apart(policy, &absent, "B").to_string());
        assert_eq!(refused(commit(&lab)), ["/cuts/a immutable"], "{policy}");
        lab.write(FILM, apart(policy, &base("B"), "B").to_string());
        assert_eq!(refused(commit(&lab)), ["/cuts/a immutable"], "{policy}");
    }
    // One that says what was given may be committed. What settles it later keeps that, wherever the file goes.
    lab.write(FILM, apart("rename", &base("A"), "B").to_string());
    commit(&lab).unwrap();
    lab.repo.rename(lab.repo.root(), FILM, "film2.meta.json").unwrap();
    let settle = |choice: Choice| {
        let path = Some(RepoPath::new("film2.meta.json").unwrap());
        let field = Some("/cuts/a".parse::<FieldPath>().unwrap());
        let resolution = Resolution { path, field, choice: Some(choice), rules: Vec::new() };
        lab.repo.settle(&resolution).unwrap();
    };
    settle(Choice::Ours);
    assert_eq!(refused(commit(&lab)), ["/cuts/a immutable"]);
    lab.write("film2.meta.json", json!({ "cuts": {} }).to_string());
    assert_eq!(refused(commit(&lab)), ["/cuts/a immutable"]);
    lab.write("film2.meta.json", apart("rename", &absent, "B").to_string());
    assert_eq!(refused(commit(&lab)), ["/cuts/a immutable"], "nor another conflict");
    let right = value_from_json(&json!({ "c": { "id": "A" } })).unwrap();
    lab.write("film2.meta.json", apart("rename", &base("A"), "B").to_string());
    add(&lab);
    settle(Choice::Value(right));
    commit(&lab).unwrap();
    assert_eq!(lab.field("main", "film2.meta.json", "/cuts/c/id").unwrap(), "\"A\"");
}

#[test]
fn a_conflict_over_a_place_that_the_merge_made_is_committed_and_settled() {
    let cut = |key: &str| {
        let mut entry = json!({ "id": "A" });
        if key != "a" {
            entry["$from"] = json!({ "$set": ["a"] });
        }
        json!({ "cuts": { key: entry } })
    };
    // Nobody renames one with what was given once under a schema; they did before.
    let lab = house(&cut("a"));
    before_schemas(&lab, &cut("b"));
    lab.switch("cut");
    before_schemas(&lab, &cut("c"));
    lab.switch("main");
    let report = lab.merge("cut");
    assert_eq!((report.conflicts.len(), report.findings.len()), (1, 0), "{report:?}");
    commit(&lab).unwrap();
    lab.settle(Some(FILM), Choice::Theirs);
    commit(&lab).unwrap();
    assert_eq!(lab.field("main", FILM, "/cuts/c/id").unwrap(), "\"A\"");
}

/// So many fields that break their type, and one more at their end.
fn many(last: Json) -> Json {
    let fields = (0..150).map(|n| (format!("f{n:03}"), json!("x")));
    let mut fields: serde_json::Map<String, Json> = fields.collect();
    fields.insert("z".to_owned(), last);
    json!({ "many": fields })
}

#[test]
fn a_merge_breaks_nothing_anew_however_much_was_broken_before() {
    let film = many(json!(1));
    let lab = house(&film);
    before_schemas(&lab, &with(&film, json!({ "title": "ours" })));
    lab.switch("cut");
    before_schemas(&lab, &with(&film, json!({ "title": "theirs" })));
    lab.switch("main");
    assert_eq!(lab.merge("cut").conflicts.len(), 1);
    lab.settle(Some(FILM), Choice::Ours);
    lab.write(FILM, with(&many(json!("new")), json!({ "title": "ours" })).to_string());
    assert_eq!(refused(commit(&lab)), ["/many/z type"]);
    lab.write(FILM, with(&film, json!({ "title": "ours" })).to_string());
    commit(&lab).unwrap();
}

#[test]
fn a_field_is_set_in_a_document_that_broke_much_before() {
    let lab = house(&many(json!(1)));
    set(&lab, &["/title=\"a\""]).unwrap();
    assert_eq!(refused(set(&lab, &["/many/z=\"new\""])), ["/many/z type"]);
    assert_eq!(refused(set(&lab, &["/many/f149=\"y\""])), ["/many/f149 type"]);
    set(&lab, &["/many/f149=1"]).unwrap();
}

#[test]
fn a_broken_container_is_mended_step_by_step() {
    let window = json!([{ "$id": "w", "start": 9, "end": 1 }]);
    let lab = house(&json!({ "genres": ["a", "b", "c", "d"], "windows": window }));
    set(&lab, &["/windows/[$id=w]/note=\"kept\""]).unwrap();
    let starts = "/windows/[$id=w]/start=8";
    assert_eq!(refused(set(&lab, &[starts])), ["/windows/[\\$id=w] invariants"]);
    set(&lab, &["/genres=[\"a\", \"b\", \"c\"]"]).unwrap();
    let more = "/genres=[\"a\", \"b\", \"c\", \"e\"]";
    assert_eq!(refused(set(&lab, &[more])), ["/genres max_items"]);
    set(&lab, &["/genres=[\"a\"]", "/windows/[$id=w]/start=0"]).unwrap();
    commit(&lab).unwrap();
}

#[test]
fn of_a_merge_what_a_parent_kept_is_broken_with_a_value_of_a_parent_alone() {
    let level = |level: &str| json!({ "level": level });
    let story = |ours: &str, theirs: &str, merged: &str| {
        let lab = house(&level("low"));
        before_schemas(&lab, &level(ours));
        lab.switch("cut");
        before_schemas(&lab, &level(theirs));
        lab.switch("main");
        lab.merge("cut");
        lab.write(FILM, level(merged).to_string());
        commit(&lab).map(drop)
    };
    story("medium", "high", "medium").unwrap();
    story("medium", "middling", "none").unwrap();
    assert_eq!(refused(story("medium", "high", "none")), ["/level enum"]);
}

#[test]
fn an_order_in_conflict_is_committed_and_settled() {
    let parts = |keys: [&str; 3]| json!({ "parts": keys.map(|key| json!({ "k": key })) });
    let lab = house(&json!({ "parts": [{ "k": "a" }, { "k": "b" }] }));
    lab.write(FILM, parts(["a", "x", "b"]).to_string()).commit("ours");
    lab.switch("cut");
    lab.write(FILM, parts(["a", "y", "b"]).to_string()).commit("theirs");
    lab.switch("main");
    let report = lab.merge("cut");
    assert_eq!((report.conflicts.len(), report.findings.len()), (1, 0), "{report:?}");
    commit(&lab).unwrap();
    lab.settle(Some(FILM), Choice::Theirs);
    commit(&lab).unwrap();
}

#[test]
fn a_merge_takes_what_one_of_its_bases_gave_where_they_disagree() {
    let film = |isan: &str| json!({ "isan": isan }).to_string();
    let lab = house(&json!({}));
    lab.write(FILM, film("A")).commit("ours");
    lab.branch("before");
    lab.switch("cut");
    lab.write(FILM, film("B")).commit("theirs");
    for (branch, other) in [("main", "cut"), ("cut", "before")] {
        lab.switch(branch);
        assert_eq!(lab.merge(other).conflicts.len(), 1);
        lab.settle(Some(FILM), Choice::Ours);
        commit(&lab).unwrap();
    }
    lab.switch("main");
    assert_eq!(lab.merge("cut").conflicts.len(), 1);
    lab.settle(Some(FILM), Choice::Theirs);
    commit(&lab).unwrap();
    assert_eq!(lab.field("main", FILM, "/isan").unwrap(), "\"B\"");
}
