//! What documents break: listed, and passed over where a change did not make it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod common;

use common::Lab;
use ottvc_object::RepoPath;
use ottvc_object::value::Document;
use ottvc_repo::meta::FieldEdit;
use ottvc_repo::schemas::{Checked, Found};
use ottvc_repo::{RepoError, Silent};

const FILM: &str = "film.meta.json";
const FIELDS: &str = "schema: house/1\nfields:\n  /id: {type: string, immutable: true}\n  \
    /level: {type: string, enum: [low, high]}\n  /year: {type: int, min: 1900}\n";

/// A document that broke its schema in two fields before it had one, and one that breaks nothing.
fn broken() -> Lab {
    let lab = Lab::new();
    lab.write(FILM, r#"{"id": "F1", "level": "medium", "year": 1800}"#);
    lab.write("cut/b.meta.json", r#"{"year": 2000}"#).commit("start");
    lab.write("house.yaml", FIELDS);
    lab.write(
        "schemas.yaml",
        "documents: {'*.meta.json': house/1}\nschemas: {house/1: house.yaml}",
    );
    lab.commit("bind");
    lab
}

fn set(lab: &Lab, text: &str) -> Result<Document, RepoError> {
    let edits = [FieldEdit::parse(text).unwrap()];
    lab.repo.edit_fields(lab.repo.root(), FILM, &edits).map(|(_, document)| document)
}

fn refused(result: Result<Document, RepoError>) -> Vec<String> {
    match result {
        Err(RepoError::Invalid { findings }) => fields(&findings),
        other => panic!("{other:?}"),
    }
}

fn fields(findings: &[Found]) -> Vec<String> {
    findings.iter().map(|found| format!("{} {}", found.field, found.rule)).collect()
}

fn here(lab: &Lab, path: &str) -> Checked {
    lab.repo.check_here(&RepoPath::new(path).unwrap()).unwrap()
}

#[test]
fn one_breakage_is_mended_while_another_is_there() {
    let lab = broken();
    let path = RepoPath::new(FILM).unwrap();
    let left = |document: &Document| fields(&lab.repo.judge(&path).unwrap().findings(document));
    let document = set(&lab, "/year=1984").unwrap();
    assert_eq!(left(&document), ["/level enum"]);
    // What breaks anew is refused, also where it takes the place of what was broken.
    assert_eq!(refused(set(&lab, r#"/level="none""#)), ["/level enum"]);
    assert_eq!(refused(set(&lab, "/year=1800")), ["/year min"]);
    assert_eq!(refused(set(&lab, r#"/id="F2""#)), ["/id immutable"]);
    let unset = FieldEdit { field: "/year".parse().unwrap(), value: None };
    lab.repo.edit_fields(lab.repo.root(), FILM, &[unset]).unwrap();
    // A commit takes it when all is mended.
    let refused = lab.try_commit("half");
    assert!(matches!(refused, Err(RepoError::Invalid { findings }) if findings.len() == 1));
    let document = set(&lab, r#"/level="low""#).unwrap();
    assert!(left(&document).is_empty());
    lab.commit("whole");
}

#[test]
fn a_text_that_cannot_be_read_does_not_make_old_breakages_new() {
    let lab = broken();
    lab.write(FILM, "{ spoilt");
    let path = RepoPath::new(FILM).unwrap();
    let judge = lab.repo.judge(&path).unwrap();
    let text = |text: &str| Document::from_json(text.as_bytes()).unwrap();
    judge.conform(text(r#"{"id": "F1", "level": "medium", "year": 1984}"#)).unwrap();
    judge.conform(text(r#"{"id": "F1", "level": "other", "year": 1984}"#)).unwrap_err();
}

#[test]
fn all_that_documents_break_is_listed() {
    let lab = broken();
    let all = here(&lab, "");
    assert_eq!(
        (all.documents, fields(&all.findings)),
        (2, vec!["/level enum".into(), "/year min".into()])
    );
    assert_eq!((all.findings[0].path.as_str(), all.findings[0].schema.as_str()), (FILM, "house/1"));
    assert!(here(&lab, "cut").findings.is_empty());
    // As it lies there, not as it is staged; what was given once counts.
    lab.write(FILM, r#"{"id": "F2", "level": "low", "year": 1984}"#).write("cut/b.meta.json", "{");
    assert_eq!(fields(&here(&lab, FILM).findings), ["/id immutable"]);
    assert_eq!(fields(&here(&lab, "").findings), ["/ document", "/id immutable"]);
    lab.write("new.meta.json", r#"{"year": 1}"#).delete("cut/b.meta.json");
    assert_eq!(here(&lab, "").documents, 1, "untracked ones are looked at where they are named");
    assert_eq!(fields(&here(&lab, "new.meta.json").findings), ["/year min"]);
    let missing = lab.repo.check_here(&RepoPath::new("none.meta.json").unwrap()).unwrap_err();
    assert_eq!(missing.code(), "path.not_found");
    // Of a revision, by the schemas it has.
    let of = |rev: &str, path: &str| lab.repo.check(rev, &RepoPath::new(path).unwrap());
    assert_eq!(fields(&of("HEAD", "").unwrap().findings), ["/level enum", "/year min"]);
    assert_eq!(of("HEAD~1", "").unwrap().documents, 0);
    assert_eq!(of("HEAD", "cut").unwrap().documents, 1);
    assert_eq!(of("HEAD", "none").unwrap_err().code(), "path.not_found");
    assert!(lab.repo.status(&Silent).unwrap().staged.is_empty());
}
