//! Stories of schemas in a repository: which one speaks, what it merges, what it refuses, and what it
//! leaves as it was.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod common;

use common::Lab;
use ottvc_merge::{Choice, Rule};
use ottvc_object::RepoPath;
use ottvc_object::field_path::FieldPath;
use ottvc_object::value::Document;
use ottvc_repo::merging::{MergeReport, MergeRequest};
use ottvc_repo::meta::FieldEdit;
use ottvc_repo::record::CommitOptions;
use ottvc_repo::resolving::{Before, Resolution};
use ottvc_repo::schemas::Found;
use ottvc_repo::{RepoError, Silent};

const FILM: &str = "film.meta.json";
/// Binds documents to a schema of the house, which lies in the tree.
const HOUSE: &str =
    "documents: {'*.meta.json': house.film/1}\nschemas: {house.film/1: house.yaml}\n";
const FIELDS: &str = "schema: house.film/1
fields:
  /id:       {type: string, immutable: true}
  /genres:   {type: set, of: string, max_items: 4}
  /plays:    {type: int, merge: counter}
  /synopsis: {type: text, merge: text(word)}
  /cast:     {type: keyed, keys: [person], order: field(billing)}
  /cues:     {type: keyed, keys: [id], order: none, invariants: [at <= /runtime]}
  /rating:   {type: string, on_conflict: 'edition(regional, main)'}
  /level:    {type: string, enum: [low, high]}
";

/// A lab whose first commit binds documents to the schema of the house, and a branch `cut` on it.
fn house(film: &str) -> Lab {
    let lab = Lab::new();
    lab.write("schemas.yaml", HOUSE).write("house.yaml", FIELDS).write(FILM, film).commit("start");
    lab.branch("cut");
    lab
}

fn merged(lab: &Lab, ours: (&str, &str), theirs: (&str, &str)) -> MergeReport {
    lab.write(ours.0, ours.1).commit("ours");
    lab.switch("cut");
    lab.write(theirs.0, theirs.1).commit("theirs");
    lab.switch("main");
    lab.merge("cut")
}

fn invalid(result: Result<impl Sized, RepoError>) -> Vec<Found> {
    match result {
        Err(RepoError::Invalid { findings }) => findings,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was not refused"),
    }
}

fn changed(lab: &Lab) -> Vec<String> {
    let status = lab.repo.status(&Silent).unwrap();
    status.changed.into_iter().chain(status.staged).map(|row| row.path).collect()
}

fn set(lab: &Lab, text: &str) -> Result<(RepoPath, Document), RepoError> {
    lab.repo.edit_fields(lab.repo.root(), FILM, &[FieldEdit::parse(text).unwrap()])
}

#[test]
fn documents_lie_here_as_plain_json_and_are_stored_by_their_kinds() {
    let plain = r#"{"cast": [{"billing": 2, "person": "p2"}, {"billing": 1, "person": "p1"}], "genres": ["noirs", "drama", "noirs"], "synopsis": "A storm."}"#;
    let lab = house(plain);
    assert_eq!(lab.field("main", FILM, "/genres").unwrap(), r#"{"$set":["drama","noirs"]}"#);
    assert_eq!(lab.field("main", FILM, "/synopsis").unwrap(), r#"{"$text":"A storm."}"#);
    assert!(lab.is_clean());
    lab.write("other.txt", "x").write(FILM, "{}").commit("empty");
    lab.switch("cut");
    let written = lab.read(FILM).unwrap();
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&written).unwrap(),
        serde_json::json!({
            "cast": [{"billing": 1, "person": "p1"}, {"billing": 2, "person": "p2"}],
            "genres": ["drama", "noirs"],
            "synopsis": "A storm.",
        })
    );
    assert!(lab.is_clean());
    // Read again, in whatever form it is written, it is what it was.
    lab.write(FILM, &written);
    assert!(lab.is_clean());
    lab.write(FILM, lab.cat("cut", FILM));
    assert!(lab.read(FILM).unwrap().contains("$set"), "what others are given keeps its tags");
    assert!(lab.is_clean());
    lab.write(FILM, written.replace("drama", "comedy"));
    assert_eq!(changed(&lab), [FILM]);
}

#[test]
fn binding_a_schema_changes_no_document_and_writing_one_does() {
    let lab = Lab::new();
    let text = r#"{"genres": ["a", "b"], "year": 2020}"#;
    lab.write(FILM, text).write("old.meta.json", r#"{"genres": "one"}"#).commit("start");
    lab.write("schemas.yaml", HOUSE).write("house.yaml", FIELDS);
    lab.repo.add(lab.repo.root(), &[".".to_owned()], &Silent).unwrap();
    assert_eq!(changed(&lab), ["house.yaml", "schemas.yaml"]);
    // Old documents that break the schema are nobody's concern until somebody changes them.
    lab.commit("bind");
    assert!(lab.is_clean());
    assert_eq!(lab.field("main", FILM, "/genres").unwrap(), r#"["a","b"]"#);
    lab.write(FILM, text.replace("2020", "2021")).commit("year");
    assert_eq!(lab.field("main", FILM, "/genres").unwrap(), r#"{"$set":["a","b"]}"#);
    lab.write("old.meta.json", r#"{"genres": "one", "year": 1}"#);
    let found = invalid(lab.try_commit("year"));
    assert_eq!((found[0].field.as_str(), found[0].rule), ("/genres", "type"));
}

#[test]
fn what_was_staged_before_its_schema_is_converted_by_the_commit() {
    let lab = Lab::new();
    lab.write(FILM, r#"{"genres": ["b", "a"]}"#).write("house.yaml", FIELDS);
    lab.repo.add(lab.repo.root(), &[FILM.to_owned()], &Silent).unwrap();
    lab.write("schemas.yaml", HOUSE).commit("start");
    assert_eq!(lab.field("main", FILM, "/genres").unwrap(), r#"{"$set":["a","b"]}"#);
    assert!(lab.is_clean());
}

#[test]
fn documents_take_another_form_when_their_schema_goes() {
    let lab = house(r#"{"genres": ["a", "b"]}"#);
    lab.write("mine.meta.json", r#"{"genres": ["a"]}"#).commit("mine");
    // One is changed by hand meanwhile; the other is not.
    lab.write("mine.meta.json", r#"{"genres": ["a", "c"]}"#);
    lab.repo.remove(lab.repo.root(), &["schemas.yaml".to_owned()], false, false).unwrap();
    assert!(lab.read(FILM).unwrap().contains("$set"));
    assert_eq!(changed(&lab), ["mine.meta.json", "schemas.yaml"]);
    lab.commit("no schema");
    assert_eq!(lab.field("main", "mine.meta.json", "/genres").unwrap(), r#"{"$set":["a","c"]}"#);
    // And again when it comes back, by way of a branch.
    lab.switch("cut");
    assert_eq!(lab.read(FILM).unwrap(), "{\n  \"genres\": [\n    \"a\",\n    \"b\"\n  ]\n}\n");
    assert!(lab.is_clean());
    lab.switch("main");
    assert!(lab.read(FILM).unwrap().contains("$set"));
    assert!(lab.is_clean());
}

#[test]
fn a_merge_follows_the_schema() {
    let lab = house(
        r#"{"genres": ["a"], "plays": 10, "synopsis": "A hero leaves. She finds a map.", "cast": [{"person": "p1", "billing": 1, "as": "A"}]}"#,
    );
    let report = merged(
        &lab,
        (
            FILM,
            r#"{"genres": ["a", "b"], "plays": 12, "synopsis": "A pilot leaves. She finds a map.", "cast": [{"person": "p1", "billing": 3, "as": "A"}]}"#,
        ),
        (
            FILM,
            r#"{"genres": ["a", "c"], "plays": 12, "synopsis": "A hero leaves. She finds a star map.", "cast": [{"person": "p2", "billing": 2}, {"person": "p1", "billing": 1, "as": "B"}]}"#,
        ),
    );
    assert!(report.clean, "{:?}", report.conflicts);
    let film: serde_json::Value = serde_json::from_str(&lab.read(FILM).unwrap()).unwrap();
    assert_eq!(
        film,
        serde_json::json!({
            "genres": ["a", "b", "c"],
            "plays": 14,
            "synopsis": "A pilot leaves. She finds a star map.",
            "cast": [
                {"person": "p2", "billing": 2},
                {"person": "p1", "billing": 3, "as": "B"},
            ],
        })
    );
    assert!(lab.is_clean());
}

#[test]
fn equal_documents_are_added_up_where_something_counts() {
    let lab = house(r#"{"plays": 10}"#);
    let report = merged(&lab, (FILM, r#"{"plays": 12}"#), (FILM, r#"{"plays": 12}"#));
    assert!(report.clean);
    assert_eq!(lab.field("main", FILM, "/plays").unwrap(), "14");
}

#[test]
fn what_the_sides_break_together_is_told() {
    let lab = house(r#"{"runtime": 100, "cues": [{"id": "a", "at": 10}]}"#);
    let report = merged(
        &lab,
        (FILM, r#"{"runtime": 50, "cues": [{"id": "a", "at": 10}]}"#),
        (FILM, r#"{"runtime": 100, "cues": [{"id": "a", "at": 80}]}"#),
    );
    assert!(report.clean);
    let [notice] = report.notices.as_slice() else { panic!("{:?}", report.notices) };
    assert_eq!(
        (notice.path.as_str(), notice.schema.as_str(), notice.rule),
        (FILM, "house.film/1", "invariants")
    );
}

#[test]
fn a_schema_may_prefer_an_edition() {
    for (class, chosen) in [(Some("regional"), "FSK 12"), (None, "PG")] {
        let lab = Lab::new();
        lab.write("schemas.yaml", HOUSE).write("house.yaml", FIELDS).write(FILM, "{}");
        lab.commit("start");
        lab.repo.make_branch("cut", None, class.map(str::to_owned), None).unwrap();
        let report = merged(&lab, (FILM, r#"{"rating": "PG"}"#), (FILM, r#"{"rating": "FSK 12"}"#));
        assert!(report.clean, "{:?}", report.conflicts);
        let decision = &report.decisions[0];
        assert_eq!(decision.schema.as_deref(), Some("house.film/1"));
        assert_eq!(lab.field("main", FILM, "/rating").unwrap(), format!("{chosen:?}"));
    }
}

#[test]
fn a_schema_that_one_side_changes_counts_for_both() {
    let lab = house(r#"{"tags": ["a"], "year": 1}"#);
    let wider = format!("{FIELDS}  /tags: {{type: set, of: string}}\n").replace("film/1", "film/2");
    lab.write("house.yaml", wider);
    lab.write("schemas.yaml", HOUSE.replace("film/1", "film/2"));
    let report = merged(
        &lab,
        (FILM, r#"{"tags": ["a", "b"], "year": 1}"#),
        (FILM, r#"{"tags": ["a", "c"], "year": 1}"#),
    );
    assert!(report.clean, "{:?}", report.conflicts);
    assert_eq!(lab.field("main", FILM, "/tags").unwrap(), r#"{"$set":["a","b","c"]}"#);
}

#[test]
fn sides_that_change_the_schema_apart_are_in_conflict_over_the_document() {
    let lab = house(r#"{"year": 1}"#);
    lab.write("house.yaml", format!("{FIELDS}  /a: {{type: int}}\n"));
    lab.write(FILM, r#"{"year": 2}"#).commit("ours");
    lab.switch("cut");
    lab.write("house.yaml", format!("{FIELDS}  /b: {{type: int}}\n"));
    lab.write(FILM, r#"{"year": 1, "x": 1}"#).commit("theirs");
    lab.switch("main");
    let report = lab.merge("cut");
    let rows: Vec<(&str, &str)> =
        report.conflicts.iter().map(|row| (row.path.as_str(), row.kind)).collect();
    assert_eq!(rows, [(FILM, "schema"), ("house.yaml", "edit_edit")]);
    lab.settle(Some("house.yaml"), Choice::Theirs);
    lab.settle(Some(FILM), Choice::Theirs);
    lab.finish();
    assert_eq!(lab.field("main", FILM, "/x").unwrap(), "1");
    assert!(lab.read("house.yaml").unwrap().contains("/b"));
    assert!(lab.is_clean());
}

#[test]
fn what_breaks_the_schema_is_refused_with_all_of_it() {
    let lab = house(r#"{"id": "F1", "level": "low"}"#);
    lab.write(FILM, r#"{"id": "F2", "level": "medium", "genres": ["a", "b", "c", "d", "e"]}"#);
    let found = invalid(lab.try_commit("wrong"));
    let rules: Vec<(&str, &str)> =
        found.iter().map(|found| (found.field.as_str(), found.rule)).collect();
    assert_eq!(rules, [("/genres", "max_items"), ("/level", "enum"), ("/id", "immutable")]);
    assert_eq!(found[1].schema, "house.film/1");
    // Only what is committed is judged.
    lab.write("notes.txt", "x");
    let only = CommitOptions {
        message: Some("notes".into()),
        only: vec!["notes.txt".to_owned()],
        ..CommitOptions::default()
    };
    lab.repo.record(lab.repo.root(), &only, &Silent).unwrap();
    lab.write(FILM, r#"{"id": "F1", "level": "high"}"#).commit("right");
}

#[test]
fn setting_a_field_reads_plain_json_and_refuses_what_breaks_the_schema() {
    let lab = house(r#"{"id": "F1"}"#);
    let (_, document) = set(&lab, r#"/genres=["b","a"]"#).unwrap();
    let genres = document.value().get(&"/genres".parse::<FieldPath>().unwrap()).unwrap();
    assert_eq!(ottvc_object::value::value_to_json(genres).to_string(), r#"{"$set":["a","b"]}"#);
    set(&lab, r#"/cast=[{"person": "p1"}]"#).unwrap();
    set(&lab, r#"/cast/[person=p1]/as="A""#).unwrap();
    let before = lab.read(FILM).unwrap();
    let found = invalid(set(&lab, r#"/level="medium""#));
    assert_eq!((found[0].field.as_str(), found[0].rule), ("/level", "enum"));
    assert_eq!(lab.read(FILM).unwrap(), before, "what is refused is not written");
    lab.finish_with("genres");
    assert!(lab.is_clean());
}

#[test]
fn what_settles_a_conflict_is_judged() {
    let lab = house(r#"{"level": "low", "genres": ["a"]}"#);
    lab.write(FILM, r#"{"level": "high", "title": "A"}"#).commit("ours");
    lab.switch("cut");
    lab.write(FILM, r#"{"level": null, "title": "B", "genres": ["a"]}"#).commit("theirs");
    lab.switch("main");
    let report = lab.merge("cut");
    assert_eq!(report.conflicts.len(), 2, "{:?}", report.conflicts);
    assert!(lab.repo.status(&Silent).unwrap().changed.is_empty(), "conflicts read as they stand");
    let settle = |field: &str, value: serde_json::Value| {
        let value = ottvc_object::value::value_from_json(&value).unwrap();
        lab.repo.settle(&Resolution {
            path: Some(RepoPath::new(FILM).unwrap()),
            field: Some(field.parse().unwrap()),
            choice: Some(Choice::Value(value)),
            rules: Vec::<Rule>::new(),
        })
    };
    let found = invalid(settle("/level", "medium".into()));
    assert_eq!(found[0].field, "/level");
    settle("/level", "high".into()).unwrap();
    assert_eq!(lab.repo.conflicts(None).unwrap().len(), 1);
    settle("/title", "C".into()).unwrap();
    lab.finish();
    assert!(lab.is_clean());
}

#[test]
fn a_merge_is_not_refused_for_what_was_wrong_before() {
    let lab = Lab::new();
    lab.write(FILM, r#"{"level": "medium", "a": 1, "b": 1, "c": 1}"#).commit("start");
    lab.write("schemas.yaml", HOUSE).write("house.yaml", FIELDS).commit("bind");
    lab.branch("cut");
    // Neither side could have written these with the schema; both stood before it.
    let raw = |lab: &Lab, text: &str, message: &str| {
        lab.repo.remove(lab.repo.root(), &["schemas.yaml".to_owned()], false, false).unwrap();
        lab.write(FILM, text).commit(message);
        lab.write("schemas.yaml", HOUSE).commit("bind again");
    };
    raw(&lab, r#"{"level": "medium", "a": 2, "b": 1, "c": 2}"#, "ours");
    lab.switch("cut");
    raw(&lab, r#"{"level": "medium", "a": 1, "b": 2, "c": 3}"#, "theirs");
    lab.switch("main");
    assert!(!lab.merge("cut").clean);
    lab.settle(Some(FILM), Choice::Ours);
    lab.finish();
    assert_eq!(lab.field("main", FILM, "/b").unwrap(), "2");
    assert!(lab.is_clean());
}

/// A document as it was written before there was a schema.
fn before_schemas(lab: &Lab, text: &str, message: &str) {
    lab.repo.remove(lab.repo.root(), &["schemas.yaml".to_owned()], false, false).unwrap();
    lab.write(FILM, text).commit(message);
    lab.write("schemas.yaml", HOUSE).commit("bind again");
}

#[test]
fn a_merge_tells_what_it_changes_though_it_was_given_once() {
    let lab = house(r#"{"id": "F1"}"#);
    lab.write(FILM, r#"{"id": "F1", "plays": 1}"#).commit("ours");
    lab.switch("cut");
    before_schemas(&lab, r#"{"id": "F2"}"#, "theirs");
    lab.switch("main");
    let before = lab.head("main");
    let dry = MergeRequest { dry_run: true, ..MergeRequest::default() };
    for request in [dry, MergeRequest { allow_conflicts: true, ..MergeRequest::default() }] {
        let report = lab.repo.merge("cut", &request, &Silent).unwrap();
        assert!(!report.clean && report.conflicts.is_empty() && report.commit.is_none());
        let [found] = report.findings.as_slice() else { panic!("{report:?}") };
        assert_eq!((found.field.as_str(), found.rule), ("/id", "immutable"));
    }
    assert_eq!(lab.head("main"), before);
    // Nothing else may finish it.
    let finish = || lab.repo.record(lab.repo.root(), &CommitOptions::default(), &Silent);
    assert_eq!(invalid(finish())[0].rule, "immutable");
    let found = lab.repo.status(&Silent).unwrap().findings;
    assert_eq!((found.len(), found[0].field.as_str()), (1, "/id"));
    set(&lab, r#"/id="F1""#).unwrap();
    assert!(lab.repo.status(&Silent).unwrap().findings.is_empty());
    finish().unwrap();
    assert_eq!(lab.field("main", FILM, "/id").unwrap(), "\"F1\"");
    assert_eq!(lab.field("main", FILM, "/plays").unwrap(), "1");
    assert!(lab.is_clean());
    // A document that is just as theirs is judged, too.
    let lab = house(r#"{"id": "F1"}"#);
    lab.write("x.txt", "x").commit("ours");
    lab.switch("cut");
    before_schemas(&lab, r#"{"id": "F2"}"#, "theirs");
    lab.switch("main");
    assert_eq!(lab.merge("cut").findings.len(), 1);
    assert_eq!(invalid(lab.try_commit("all the same"))[0].rule, "immutable");
}

#[test]
fn no_conflict_written_by_hand_gets_rid_of_what_was_given_once() {
    let lab = house(r#"{"id": "F1", "title": "a"}"#);
    let (ours, theirs) = (r#"{"id": "F1", "title": "b"}"#, r#"{"id": "F1", "title": "c"}"#);
    assert_eq!(merged(&lab, (FILM, ours), (FILM, theirs)).conflicts.len(), 1);
    let forged = serde_json::json!({ "id": { "$conflict": { "kind": "add_add", "path": "/id",
        "policy": "atomic", "terms": [{ "side": "ours", "value": "F2" },
            { "side": "base", "absent": true }, { "side": "theirs", "value": "F1" }] } } });
    lab.write(FILM, forged.to_string());
    add(&lab, ".").unwrap();
    let options = CommitOptions { allow_conflicts: true, ..CommitOptions::default() };
    let refused = invalid(lab.repo.record(lab.repo.root(), &options, &Silent));
    assert_eq!((refused[0].field.as_str(), refused[0].rule), ("/id", "immutable"));
}

#[test]
fn a_document_of_one_branch_is_plain_under_the_schema_of_another() {
    let lab = Lab::new();
    let cast = r#"{"$kl": {"keys": ["id"], "items": [{"id": "a", "n": 1}]}}"#;
    let film = format!(r#"{{"cast": {cast}, "note": {{"$text": "x"}}}}"#);
    lab.write(FILM, film).commit("no schema");
    lab.branch("cut").switch("cut");
    let fields = "schema: house.film/1\nfields:\n  /cast: {type: keyed, keys: [n]}\n  /note: {type: string}\n";
    lab.write("schemas.yaml", HOUSE).write("house.yaml", fields).commit("a schema");
    let plain = serde_json::json!({ "cast": [{ "id": "a", "n": 1 }], "note": "x" });
    let here = || serde_json::from_str::<serde_json::Value>(&lab.read(FILM).unwrap()).unwrap();
    assert_eq!(here(), plain);
    assert!(lab.is_clean());
    lab.switch("main");
    assert_eq!(here()["note"], serde_json::json!({ "$text": "x" }));
    assert!(lab.merge("cut").clean);
    assert_eq!(here(), plain);
    assert!(lab.is_clean());
}

#[test]
fn a_schema_that_makes_no_sense_is_refused_when_it_is_written_and_no_later() {
    let lab = house("{}");
    let text = FIELDS.replace("enum: [low, high]", "enum: [low, 2]");
    lab.write("house.yaml", &text);
    let refused = add(&lab, ".").unwrap_err();
    let RepoError::BadSchemas { path, source } = &refused else { panic!("{refused}") };
    let why = source.to_string();
    assert!(path == "house.yaml" && why.contains("`/level`") && why.contains("enum"), "{why}");
    // Stored by somebody who did not look: not yet listed.
    lab.delete("schemas.yaml").write("house.yaml", FIELDS).commit("unbound");
    lab.write("house.yaml", &text).commit("no schema of anything");
    lab.write("schemas.yaml", HOUSE);
    assert_eq!(add(&lab, ".").unwrap_err().code(), refused.code());
}

#[test]
fn a_choice_between_values_that_both_sides_gave_first_may_be_committed() {
    let lab = house(r#"{"plays": 1}"#);
    let report =
        merged(&lab, (FILM, r#"{"id": "A", "plays": 1}"#), (FILM, r#"{"id": "B", "plays": 1}"#));
    assert_eq!(report.conflicts.len(), 1);
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    lab.settle(Some(FILM), Choice::Theirs);
    lab.finish();
    assert_eq!(lab.field("main", FILM, "/id").unwrap(), "\"B\"");
}

#[test]
fn what_is_given_once_is_not_written_anew() {
    let lab = house(r#"{"plays": 1}"#);
    set(&lab, r#"/id="F!""#).unwrap();
    set(&lab, r#"/id="F1""#).unwrap();
    lab.finish_with("an id; a slip before the commit is none");
    let before = lab.read(FILM).unwrap();
    assert_eq!(invalid(set(&lab, r#"/id="F2""#))[0].rule, "immutable");
    let unset = FieldEdit { field: "/id".parse().unwrap(), value: None };
    assert_eq!(invalid(lab.repo.edit_fields(lab.repo.root(), FILM, &[unset]))[0].rule, "immutable");
    let path = RepoPath::new(FILM).unwrap();
    let document = Document::from_json(br#"{"id": "F2"}"#).unwrap();
    assert_eq!(invalid(lab.repo.judge(&path).unwrap().conform(document))[0].rule, "immutable");
    assert_eq!(lab.read(FILM).unwrap(), before);
    set(&lab, "/plays=2").unwrap();
}

#[test]
fn an_order_that_the_schema_computes_is_no_change() {
    let lab = house(r#"{"cast": [{"person": "a", "billing": 1}, {"person": "b", "billing": 2}]}"#);
    let fields = |a, b| -> Vec<String> {
        let diff = lab.repo.diff(a, b, &[]).unwrap();
        diff.changes.iter().flat_map(|it| &it.fields).map(|it| it.field.clone()).collect()
    };
    set(&lab, "/cast/[person=a]/billing=3").unwrap();
    assert_eq!(fields(None, None), ["/cast/[person=a]/billing"]);
    lab.finish_with("billing");
    assert_eq!(fields(Some("cut"), Some("main")), ["/cast/[person=a]/billing"]);
}

#[test]
fn a_list_takes_the_new_key_fields_of_its_schema_when_it_is_next_written() {
    let lab = house(r#"{"cast": [{"person": "a", "as": "A", "billing": 1}]}"#);
    lab.write("house.yaml", FIELDS.replace("keys: [person]", "keys: [person, as]"));
    lab.commit("a wider key");
    set(&lab, "/plays=2").unwrap();
    lab.finish_with("written again");
    assert_eq!(lab.field("main", FILM, "/cast/[person=a,as=A]/billing").unwrap(), "1");
    // Not where an item lacks one.
    lab.write("house.yaml", FIELDS.replace("keys: [person]", "keys: [person, role]"));
    lab.commit("another key");
    // Nobody broke it with this change, and no commit takes it.
    set(&lab, "/plays=3").unwrap();
    assert_eq!(invalid(lab.try_commit("still broken"))[0].rule, "keys");
}

#[test]
fn schemas_that_cannot_be_used_stop_what_writes_and_nothing_else() {
    let lab = house(r#"{"genres": ["a"]}"#);
    let code = |result: Result<(), RepoError>| result.unwrap_err().code();
    let add = |path: &str| lab.repo.add(lab.repo.root(), &[path.to_owned()], &Silent).map(drop);
    lab.write("schemas.yaml", "documents: {'*.meta.json': nobody/1}\n");
    let error = add("schemas.yaml").unwrap_err();
    assert_eq!(error.to_string(), "`schemas.yaml` cannot be used");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.starts_with("line 1: `*.meta.json` cannot be `nobody/1`"), "{cause}");
    lab.write("schemas.yaml", HOUSE);
    assert!(lab.is_clean());
    // The schema goes, and what lists it stays.
    lab.repo.remove(lab.repo.root(), &["house.yaml".to_owned()], false, false).unwrap();
    lab.write("notes.txt", "x");
    assert_eq!(code(add("notes.txt")), "schema.bad_binding");
    assert_eq!(code(lab.try_commit("gone").map(drop)), "schema.bad_binding");
    assert_eq!(changed(&lab), ["house.yaml"]);
    assert!(lab.read(FILM).unwrap().contains("$set"));
    lab.repo.diff(None, None, &[]).unwrap();
    lab.cat("main", FILM);
    lab.write("house.yaml", "schema: house.film/2\nfields: {}\n");
    let error = add("house.yaml").unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("the schema in that file is `house.film/2`"), "{cause}");
    lab.write("house.yaml", "schema: house.film/1\nfields: {/x: {type: nothing}}\n");
    assert_eq!(add("house.yaml").unwrap_err().to_string(), "`house.yaml` cannot be used");
    lab.write("house.yaml", FIELDS).delete("notes.txt");
    add(".").unwrap();
    assert!(lab.is_clean());
    assert!(!lab.read(FILM).unwrap().contains("$set"), "plain again, as its schema is back");
}

#[test]
fn a_choice_that_leaves_schemas_without_sense_is_refused() {
    let lab = house("{}");
    // One side takes the schema away with its binding, the other binds more documents to it.
    lab.repo.remove(lab.repo.root(), &["house.yaml".to_owned()], false, false).unwrap();
    lab.write("schemas.yaml", "documents: {'*.meta.json': ott.edition/1}\n").commit("ours");
    lab.switch("cut");
    lab.write("schemas.yaml", HOUSE.replace("{'*.", "{'x*': house.film/1, '*."));
    lab.commit("theirs");
    // A file that says so is a conflict, and the first side's counts while it is.
    lab.switch("main");
    let report = lab.merge("cut");
    assert_eq!(report.conflicts.len(), 1);
    let theirs = Resolution {
        path: Some(RepoPath::new("schemas.yaml").unwrap()),
        field: None,
        choice: Some(Choice::Theirs),
        rules: Vec::new(),
    };
    let refused = lab.repo.settle(&theirs).unwrap_err();
    assert_eq!(refused.code(), "schema.bad_binding");
    lab.settle(Some("schemas.yaml"), Choice::Ours);
    lab.finish();
    assert!(lab.is_clean());
}

#[test]
fn use_schema_binds_and_stages() {
    let lab = Lab::new();
    lab.write(FILM, r#"{"genres": ["a"]}"#).write("house.yaml", FIELDS);
    let all = ["*.meta.json".to_owned()];
    let name = lab.repo.use_schema(lab.repo.root(), "ott.edition/1", &all).unwrap();
    assert_eq!(name, "ott.edition/1");
    lab.commit("edition");
    assert_eq!(lab.field("main", FILM, "/genres").unwrap(), r#"{"$set":["a"]}"#);
    let trailers = ["trailers/**".to_owned()];
    assert_eq!(
        lab.repo.use_schema(lab.repo.root(), "house.yaml", &trailers).unwrap(),
        "house.film/1"
    );
    assert_eq!(
        lab.read("schemas.yaml").unwrap(),
        "documents:\n  \"*.meta.json\": \"ott.edition/1\"\n  \"trailers/**\": \"house.film/1\"\nschemas:\n  \"house.film/1\": \"house.yaml\"\n"
    );
    assert_eq!(changed(&lab), ["schemas.yaml"]);
    let path = RepoPath::new("trailers/a.meta.json").unwrap();
    let schema = lab.repo.staged_schema(&path).unwrap().unwrap();
    assert_eq!(schema.full_name(), "house.film/1");
    let error = lab.repo.use_schema(lab.repo.root(), "nobody/1", &all).unwrap_err();
    assert_eq!(error.code(), "schema.bad_binding");
    let dry = MergeRequest { dry_run: true, ..MergeRequest::default() };
    lab.branch("cut");
    assert!(lab.repo.merge("cut", &dry, &Silent).unwrap().up_to_date);
}

/// Has both sides give a film another title, and merges.
fn disagree(lab: &Lab, round: u32, ours: &str, theirs: &str) -> MergeReport {
    lab.write("o.txt", round.to_string());
    let film = |title: &str| format!("{{\"title\": {title:?}}}");
    lab.write(FILM, film(ours)).commit("ours");
    lab.switch("cut");
    lab.write("t.txt", round.to_string());
    lab.write(FILM, film(theirs)).commit("theirs");
    lab.switch("main");
    lab.merge("cut")
}

/// A lab in which main and cut disagreed over a title once, and it became what neither had.
fn settled_once() -> Lab {
    let lab = house(r#"{"title": "Dune"}"#);
    let report = disagree(&lab, 1, "Dune I", "Dune: Part One");
    assert!(report.conflicts[0].memory.is_none());
    lab.write(FILM, r#"{"title": "Dune (2021)"}"#).commit("settled by hand");
    // Both begin again from where they began before.
    lab.write(FILM, r#"{"title": "Dune"}"#).commit("back");
    lab.switch("cut");
    lab.merge("main");
    lab.switch("main");
    lab
}

fn everything() -> Resolution {
    Resolution { path: None, field: None, choice: None, rules: Vec::new() }
}

#[test]
fn what_was_settled_before_is_proposed() {
    let lab = settled_once();
    // The other way round it is the same disagreement.
    let report = disagree(&lab, 2, "Dune: Part One", "Dune I");
    let memory = report.conflicts[0].memory.as_ref().unwrap();
    assert!(!memory.other_base);
    let memory = &memory.settled;
    assert_eq!((memory.value.as_str(), memory.absent), (Some("Dune (2021)"), false));
    let listed = lab.repo.conflicts(None).unwrap();
    assert_eq!(listed[0].memory.as_ref().unwrap().settled.id, memory.id);
    let dry = lab.repo.settle_as_before(&everything(), Before::Exact, true).unwrap();
    assert_eq!(dry.resolved[0].taken, "memory");
    assert_eq!(lab.repo.conflicts(None).unwrap().len(), 1, "a dry run settles nothing");
    lab.repo.settle_as_before(&everything(), Before::Exact, false).unwrap();
    lab.finish();
    assert_eq!(lab.field("main", FILM, "/title").unwrap(), r#""Dune (2021)""#);
    assert!(lab.is_clean());
}

#[test]
fn what_was_settled_before_is_applied_where_that_is_asked_for() {
    let lab = settled_once();
    let id = lab.repo.memory().unwrap()[0].id.clone();
    lab.write(FILM, r#"{"title": "Dune I"}"#).commit("ours");
    lab.switch("cut");
    lab.write(FILM, r#"{"title": "Dune: Part One"}"#).commit("theirs");
    let request = MergeRequest { apply_memory: true, ..MergeRequest::default() };
    let report = lab.repo.merge("main", &request, &Silent).unwrap();
    assert!(report.clean, "{:?}", report.conflicts);
    assert_eq!(report.decisions[0].rule, format!("memory: {id}"));
    assert_eq!(lab.field("cut", FILM, "/title").unwrap(), r#""Dune (2021)""#);
}

#[test]
fn what_one_merge_settles_in_two_ways_is_not_remembered() {
    let lab = Lab::new();
    let fields = "schema: house.film/1\nfields:\n  /titles/*: {type: string}\n";
    lab.write("schemas.yaml", HOUSE).write("house.yaml", fields);
    let film = |title: &str| format!(r#"{{"titles": {{"a": "{title}", "b": "{title}"}}}}"#);
    lab.write(FILM, film("Dune")).commit("start");
    lab.branch("cut");
    let report = merged(&lab, (FILM, &film("Dune I")), (FILM, &film("Dune 1")));
    assert_eq!(report.conflicts.len(), 2);
    lab.write(FILM, r#"{"titles": {"a": "Dune I", "b": "Dune 1"}}"#).commit("settled");
    assert!(lab.repo.memory().unwrap().is_empty());
}

#[test]
fn what_is_forgotten_or_too_old_is_not_proposed() {
    let lab = settled_once();
    let known = lab.repo.memory().unwrap();
    assert_eq!((known.len(), known[0].field.as_deref()), (1, Some("/title")));
    assert_eq!(lab.repo.forget("nothing").unwrap_err().code(), "merge.not_remembered");
    lab.repo.forget(&known[0].id[..6]).unwrap();
    assert!(lab.repo.memory().unwrap().is_empty());
    assert!(disagree(&lab, 2, "Dune I", "Dune: Part One").conflicts[0].memory.is_none());

    let lab = settled_once();
    let later = lab.later(91);
    assert!(later.memory().unwrap().is_empty());
    assert_eq!(lab.later(89).memory().unwrap().len(), 1);
    assert!(lab.later(2).remembering(1).memory().unwrap().is_empty());
}

#[test]
fn conflicts_of_every_shape_lie_here_as_they_are_staged() {
    let lab = Lab::new();
    let film = |order: [&str; 2], width: i64, rating: &str, at: &str| {
        serde_json::json!({
            "artwork": [{"purpose": "poster", "locale": "en", "aspect": "2:3", "width": width, "height": 2 * width}],
            "chapters": order.map(|id| serde_json::json!({"$id": id})),
            "ratings": [{"territory": "US", "system": "MPA", "value": rating}],
            "synopses": {"long": {"en": format!("A storm {rating}.")}},
            "windows": [{"$id": "w", "start": at}],
        })
        .to_string()
    };
    lab.write("schemas.yaml", "documents: {'*.meta.json': ott.edition/1}\n");
    lab.write(FILM, film(["a", "b"], 1, "PG", "2020-01-01T00:00:00Z")).commit("start");
    lab.branch("cut");
    let report = merged(
        &lab,
        (FILM, &film(["b", "a"], 2, "R", "2021-01-01T00:00:00Z").replace("\"a\"", "\"c\"")),
        (FILM, &film(["b", "a"], 3, "X", "2022-01-01T00:00:00Z")),
    );
    let fields: Vec<&str> =
        report.conflicts.iter().filter_map(|row| row.field.as_deref()).collect();
    assert!(fields.iter().any(|field| field.contains("width")), "{fields:?}");
    assert!(fields.len() >= 4, "{fields:?}");
    assert!(lab.repo.status(&Silent).unwrap().changed.is_empty());
    // Written anew by an editor that only changes the layout, it is the same.
    let text = lab.read(FILM).unwrap();
    lab.write(FILM, serde_json::from_str::<serde_json::Value>(&text).unwrap().to_string());
    assert!(lab.repo.status(&Silent).unwrap().changed.is_empty());
    lab.repo.add(lab.repo.root(), &[FILM.to_owned()], &Silent).unwrap();
    assert_eq!(lab.repo.conflicts(None).unwrap().len(), fields.len());
    for choice in [Choice::Ours, Choice::Theirs] {
        let all = Resolution { choice: Some(choice), ..everything() };
        lab.repo.settle_dry(&all).unwrap();
    }
    let all = Resolution { choice: Some(Choice::Theirs), ..everything() };
    lab.repo.settle(&all).unwrap();
    lab.finish();
    assert!(lab.is_clean());
}

#[test]
fn a_commit_with_conflicts_merges_under_its_schema() {
    let lab = house(r#"{"genres": ["a"], "title": "A"}"#);
    lab.write(FILM, r#"{"genres": ["a", "b"], "title": "B"}"#).commit("ours");
    lab.switch("cut");
    lab.write(FILM, r#"{"genres": ["a", "c"], "title": "C"}"#).commit("theirs");
    let request = MergeRequest { allow_conflicts: true, ..MergeRequest::default() };
    lab.repo.merge("main", &request, &Silent).unwrap();
    assert!(changed(&lab).is_empty());
    assert_eq!(lab.repo.conflicts(None).unwrap().len(), 1);
    let refused = lab.repo.cat("cut", &RepoPath::new(FILM).unwrap(), None, None, &mut Vec::new());
    assert_eq!(refused.unwrap_err().code(), "merge.conflicts");
    lab.switch("main");
    lab.write(FILM, r#"{"genres": ["a", "b", "d"], "title": "D"}"#).commit("more");
    let report = lab.merge("cut");
    assert_eq!(report.conflicts.len(), 1);
    lab.settle(Some(FILM), Choice::Ours);
    lab.finish();
    assert_eq!(lab.field("main", FILM, "/genres").unwrap(), r#"{"$set":["a","b","c","d"]}"#);
}

#[test]
fn an_edition_an_order_and_both_sides_can_be_taken() {
    let lab = Lab::new();
    let fields = "schema: house.film/1\nfields:\n  /rail: {type: keyed, keys: [k]}\n  /tags: {type: set, merge: atomic}\n";
    let rail = |keys: &str, more: &str| {
        let items: Vec<String> = keys.chars().map(|key| format!("{{\"k\": \"{key}\"}}")).collect();
        format!("{{\"rail\": [{}]{more}}}", items.join(", "))
    };
    lab.write("schemas.yaml", HOUSE).write("house.yaml", fields).write(FILM, rail("abc", ""));
    lab.commit("start");
    lab.repo.make_branch("cut", None, Some("director".into()), None).unwrap();
    let report = merged(
        &lab,
        (FILM, &rail("bac", r#", "tags": ["x"], "title": "A""#)),
        (FILM, &rail("acb", r#", "tags": ["y"], "title": "B""#)),
    );
    let fields: Vec<&str> =
        report.conflicts.iter().filter_map(|row| row.field.as_deref()).collect();
    assert_eq!(fields, ["/rail/$order", "/tags", "/title"]);
    let settle = |field: &str, choice: Choice| {
        let resolution = Resolution {
            path: Some(RepoPath::new(FILM).unwrap()),
            field: Some(field.parse().unwrap()),
            choice: Some(choice),
            rules: Vec::new(),
        };
        lab.repo.settle(&resolution).unwrap().resolved[0].taken
    };
    assert_eq!(settle("/tags", Choice::Both), "both");
    assert_eq!(settle("/rail", Choice::Order(vec!["c".into(), "b".into()])), "order");
    let left = Resolution { path: None, field: None, choice: None, rules: Vec::new() };
    let of = |edition| lab.repo.settle_by_edition(&left, edition, true);
    assert_eq!(of("director").unwrap().resolved[0].taken, "theirs");
    assert_eq!(of("main").unwrap().resolved[0].taken, "ours");
    let refused = of("regional").unwrap_err().to_string();
    assert!(refused.contains("it merges `main` and `cut`"), "{refused}");
    settle("/title", Choice::Theirs);
    lab.finish();
    let film: serde_json::Value = serde_json::from_str(&lab.read(FILM).unwrap()).unwrap();
    assert_eq!(
        film,
        serde_json::json!({"rail": [{"k": "c"}, {"k": "b"}, {"k": "a"}], "tags": ["x", "y"], "title": "B"})
    );
}

#[test]
fn a_rule_says_in_a_dry_run_what_it_would_settle() {
    let lab = house(r#"{"a": 1, "b": 1, "c": 1}"#);
    let report =
        merged(&lab, (FILM, r#"{"a": 2, "b": 2, "c": 1}"#), (FILM, r#"{"a": 3, "b": 3, "c": 1}"#));
    assert_eq!(report.conflicts.len(), 2);
    let resolution = Resolution { rules: vec!["/*=theirs".parse().unwrap()], ..everything() };
    let before = lab.read(FILM);
    let dry = lab.repo.settle_dry(&resolution).unwrap();
    assert_eq!((dry.resolved.len(), dry.remaining.len()), (2, 0));
    assert_eq!(lab.read(FILM), before);
    assert_eq!(lab.repo.conflicts(None).unwrap().len(), 2);
}

/// A document whose tags are a set, with no schema, and what would make them one by a schema.
const TAGS: &str = "schema: house.film/1\nfields: {/tags: {type: set, of: string}}\n";

fn add(lab: &Lab, path: &str) -> Result<(), RepoError> {
    lab.repo.add(lab.repo.root(), &[path.to_owned()], &Silent).map(drop)
}

#[test]
fn an_add_that_is_refused_leaves_documents_in_their_form() {
    let lab = Lab::new();
    lab.write(FILM, r#"{"n": 1, "tags": {"$set": ["x", "y"]}}"#).commit("start");
    let before = lab.read(FILM);
    lab.write("schemas.yaml", HOUSE).write("house.yaml", TAGS).write("z.meta.json", "{");
    add(&lab, ".").unwrap_err();
    assert_eq!(lab.read(FILM), before);
    lab.delete("z.meta.json").delete("schemas.yaml");
    lab.write(FILM, before.unwrap().replace('1', "2"));
    add(&lab, FILM).unwrap();
    lab.finish_with("n");
    assert_eq!(lab.field("main", FILM, "/tags").unwrap(), r#"{"$set":["x","y"]}"#);
}

#[test]
fn a_commit_that_is_refused_leaves_documents_in_their_form() {
    let lab = Lab::new();
    let narrow = HOUSE.replace("*.meta.json", "bound/**");
    lab.write("schemas.yaml", &narrow)
        .write("house.yaml", TAGS.replace("}}\n", "}, /n: {type: int, enum: [1, 2]}}\n"));
    lab.write(FILM, r#"{"n": 1, "tags": {"$set": ["x", "y"]}}"#);
    lab.write("bound/b.meta.json", r#"{"n": 1}"#).commit("start");
    let before = lab.read(FILM);
    lab.write(
        "schemas.yaml",
        HOUSE.replace("documents: {", "documents: {'bound/**': house.film/1, "),
    );
    lab.write("bound/b.meta.json", r#"{"n": 3}"#);
    let all = CommitOptions { message: Some("x".into()), all: true, ..CommitOptions::default() };
    invalid(lab.repo.record(lab.repo.root(), &all, &Silent));
    assert_eq!(lab.read(FILM), before);
    lab.write("schemas.yaml", &narrow).write("bound/b.meta.json", r#"{"n": 1}"#);
    lab.write(FILM, before.unwrap().replace('1', "2"));
    lab.repo.record(lab.repo.root(), &all, &Silent).unwrap();
    assert_eq!(lab.field("main", FILM, "/tags").unwrap(), r#"{"$set":["x","y"]}"#);
}

#[test]
fn adding_that_a_schema_goes_keeps_the_kinds_of_what_it_read() {
    let lab = house(r#"{"genres": ["a"], "n": 1}"#);
    lab.write(FILM, r#"{"genres": ["a", "b"], "n": 1}"#).delete("schemas.yaml");
    add(&lab, ".").unwrap();
    assert!(lab.read(FILM).unwrap().contains("$set"));
    lab.finish_with("gone");
    assert_eq!(lab.field("main", FILM, "/genres").unwrap(), r#"{"$set":["a","b"]}"#);
    assert!(lab.is_clean());
}

#[test]
fn a_renamed_document_takes_the_form_of_its_new_place() {
    let lab = Lab::new();
    lab.write("schemas.yaml", HOUSE.replace("*.meta.json", "cuts/**")).write("house.yaml", TAGS);
    lab.write("cuts/a.meta.json", r#"{"tags": ["x"]}"#).commit("start");
    let tagged = r#"{"$set":["x"]}"#;
    for (from, to) in [("cuts/a.meta.json", FILM), (FILM, "cuts/a.meta.json")] {
        lab.repo.rename(lab.repo.root(), from, to).unwrap();
        assert_eq!(lab.read(to).unwrap().contains("$set"), to == FILM);
        assert_eq!(changed(&lab), [to]);
        lab.write(to, lab.read(to).unwrap());
        lab.commit("move");
        assert_eq!(lab.field("main", to, "/tags").unwrap(), tagged);
        assert!(lab.is_clean());
    }
}
