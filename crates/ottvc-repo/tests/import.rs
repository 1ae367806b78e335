//! Stories of sources: what a delivery changes, what it takes back, and what it leaves alone.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod common;

use common::Lab;
use ottvc_import::{Delivery, Mapping, Scope, built_in, read};
use ottvc_merge::Choice;
use ottvc_object::RepoPath;
use ottvc_object::value::value_to_json;
use ottvc_refs::RefKind;
use ottvc_repo::import::{ImportReport, ImportRequest};
use ottvc_repo::{RepoError, Silent};

const DOCUMENT: &str = "edition.meta.json";

/// A delivery in Dublin Core.
fn dc(elements: &str) -> Vec<Delivery> {
    let xml = format!(
        "<record xmlns:dc=\"http://purl.org/dc/elements/1.1/\" \
         xmlns:dcterms=\"http://purl.org/dc/terms/\">{elements}</record>"
    );
    read(xml.as_bytes(), None).unwrap()
}

fn request(source: &str, scope: Scope) -> ImportRequest {
    ImportRequest { source: source.into(), scope, ..ImportRequest::default() }
}

impl Lab {
    fn try_import(
        &self,
        source: &str,
        scope: Scope,
        elements: &str,
    ) -> Result<ImportReport, RepoError> {
        self.repo.import(&dc(elements), &request(source, scope), &Silent)
    }
    fn import(&self, source: &str, scope: Scope, elements: &str) -> ImportReport {
        let report = self.try_import(source, scope, elements).unwrap();
        assert!(report.clean, "{report:?}");
        report
    }
    /// The document of the current branch, as JSON text.
    fn document(&self) -> String {
        let document = self.repo.document("HEAD", &RepoPath::new(DOCUMENT).unwrap()).unwrap();
        value_to_json(document.value()).to_string()
    }
    fn branches(&self) -> Vec<(String, Option<String>)> {
        let rows = self.repo.list_refs(RefKind::Branch).unwrap();
        rows.into_iter().map(|row| (row.name, row.commit)).collect()
    }
}

/// A repository whose edition has a document that people wrote.
fn written() -> Lab {
    let lab = Lab::new();
    lab.write(DOCUMENT, r#"{"note": "ours", "year": 2024}"#).write("film.bin", "film");
    lab.commit("by hand");
    lab
}

#[test]
fn a_first_delivery_adds_and_leaves_the_rest() {
    let lab = written();
    let report = lab.import("acme", Scope::Full, "<dc:title>A</dc:title><dc:date>2024</dc:date>");
    assert_eq!(report.lineage, "source/acme");
    let fields: Vec<&str> = report.documents[0].fields.iter().map(|it| it.field.as_str()).collect();
    assert_eq!(fields, ["/titles"], "the year was the same");
    assert_eq!(lab.document(), r#"{"note":"ours","titles":{"$loc":{"und":"A"}},"year":2024}"#);
    assert_eq!(lab.paths("HEAD"), [DOCUMENT, "film.bin"]);
    assert_eq!(lab.paths("source/acme"), [DOCUMENT], "a lineage holds what the source says");
    assert!(lab.is_clean());
    let lineage = lab.repo.commit(lab.repo.resolve("source/acme").unwrap().id).unwrap();
    assert_eq!(lineage.provenance.unwrap().tool, "ottvc import, dc/1");
    // The working copy has it too, and the commit has both parents.
    assert!(lab.read(DOCUMENT).unwrap().contains("\"und\": \"A\""));
    let head = lab.repo.commit(lab.repo.resolve("HEAD").unwrap().id).unwrap();
    assert_eq!(head.parents.len(), 2);
}

#[test]
fn what_is_said_no_longer_is_taken_back_and_nothing_else() {
    let lab = written();
    let first = "<dc:title>A</dc:title><dc:subject>x</dc:subject><dc:subject>y</dc:subject>\
                 <dc:language>en</dc:language><dc:type>film</dc:type>";
    lab.import("acme", Scope::Full, first);
    // Others add to the same fields, and another source speaks of its own.
    lab.import(
        "other",
        Scope::Full,
        "<dc:subject>z</dc:subject><dc:title xml:lang='fr'>F</dc:title>",
    );
    lab.import("acme", Scope::Full, "<dc:title>A</dc:title><dc:subject>y</dc:subject>");
    assert_eq!(
        lab.document(),
        r#"{"keywords":{"$set":["y","z"]},"note":"ours","titles":{"$loc":{"fr":"F","und":"A"}},"year":2024}"#
    );
    // A year that the source never gave is not its to take back.
    assert_eq!(lab.field("HEAD", DOCUMENT, "/year").unwrap(), "2024");
}

#[test]
fn what_another_source_still_says_stays() {
    let lab = written();
    let title = "<dc:title xml:lang='de'>Nordlicht</dc:title>";
    let all = format!("{title}<dc:subject>x</dc:subject><dc:subject>y</dc:subject>");
    lab.import("house", Scope::Full, &format!("{all}<dc:language>en</dc:language>"));
    lab.import("acme", Scope::Full, &format!("{title}<dc:subject>y</dc:subject>"));
    let less = dc("<dc:date>2024</dc:date>");
    let dry = ImportRequest { dry_run: true, ..request("house", Scope::Full) };
    let dry = lab.repo.import(&less, &dry, &Silent).unwrap();
    let report = lab.import("house", Scope::Full, "<dc:date>2024</dc:date>");
    let rows = |report: &ImportReport| serde_json::to_string(&report.documents).unwrap();
    assert_eq!(rows(&dry), rows(&report), "a dry run says what is done");
    let kept: Vec<(&str, &[String])> =
        report.documents[0].kept.iter().map(|it| (it.field.as_str(), &*it.sources)).collect();
    let acme = ["source/acme".to_owned()];
    assert_eq!(kept, [("/keywords/{y}", &acme[..]), ("/titles", &acme[..])]);
    assert_eq!(
        lab.document(),
        r#"{"keywords":{"$set":["y"]},"note":"ours","titles":{"$loc":{"de":"Nordlicht"}},"year":2024}"#
    );
    // The lineage holds what the source said, and nothing else.
    assert_eq!(lab.field("source/house", DOCUMENT, "/titles"), None);
    assert!(lab.is_clean());
    // What nobody says any more is gone when the last one takes it back.
    let report = lab.import("acme", Scope::Full, "<dc:type>film</dc:type>");
    assert!(report.documents[0].kept.is_empty());
    assert!(!lab.document().contains("Nordlicht"), "{}", lab.document());
    assert!(!lab.document().contains("keywords"), "{}", lab.document());
    let report = lab.import("house", Scope::Full, "<dc:date>2024</dc:date>");
    assert!(report.delivery.is_none() && report.commit.is_none(), "nothing new");
}

#[test]
fn what_stays_outlasts_a_merge_that_waits() {
    let lab = written();
    let title = "<dc:title xml:lang='de'>Nordlicht</dc:title>";
    lab.import("house", Scope::Full, &format!("{title}<dc:description>a</dc:description>"));
    lab.import("acme", Scope::Full, title);
    let text = lab.read(DOCUMENT).unwrap().replace("\"a\"", "\"ours\"");
    lab.write(DOCUMENT, text).commit("better");
    let report =
        lab.try_import("house", Scope::Full, "<dc:description>b</dc:description>").unwrap();
    assert!(!report.clean);
    lab.write(DOCUMENT, "{}");
    let options = ottvc_repo::restoring::RestoreOptions {
        paths: vec![DOCUMENT.to_owned()],
        ..Default::default()
    };
    lab.repo.restore(lab.repo.root(), &options, &Silent).unwrap();
    lab.settle(Some(DOCUMENT), Choice::Theirs);
    lab.finish();
    assert!(lab.document().contains("Nordlicht"), "{}", lab.document());
}

#[test]
fn a_delivery_that_changes_what_was_given_once_waits() {
    let lab = Lab::new();
    lab.write(
        "schemas.yaml",
        "documents: {'*.meta.json': house/1}\nschemas: {house/1: house.yaml}\n",
    );
    lab.write("house.yaml", "schema: house/1\nfields: {/year: {type: int, immutable: true}}\n");
    lab.write(DOCUMENT, "{}").commit("a schema");
    lab.import("acme", Scope::Full, "<dc:title>A</dc:title><dc:date>2024</dc:date>");
    let report = lab
        .try_import("acme", Scope::Full, "<dc:title>B</dc:title><dc:date>2025</dc:date>")
        .unwrap();
    assert!(!report.clean && report.commit.is_none());
    let merge = report.merge.unwrap();
    assert!(merge.conflicts.is_empty());
    let told: Vec<(&str, &str)> =
        merge.findings.iter().map(|it| (it.field.as_str(), it.rule)).collect();
    assert_eq!(told, [("/year", "immutable")]);
    let text = lab.read(DOCUMENT).unwrap().replace("2025", "2024");
    lab.write(DOCUMENT, text);
    lab.repo.add(lab.repo.root(), &[DOCUMENT.to_owned()], &Silent).unwrap();
    lab.finish();
    assert!(lab.document().contains(r#""und":"B""#), "the rest is taken: {}", lab.document());
    assert!(lab.is_clean());
}

#[test]
fn what_somebody_changed_is_a_conflict_when_taken_back() {
    let lab = written();
    lab.import("acme", Scope::Full, "<dc:title>A</dc:title><dc:language>en</dc:language>");
    let text = lab.read(DOCUMENT).unwrap().replace("\"A\"", "\"Ours\"");
    lab.write(DOCUMENT, text).commit("a better title");
    let report = lab.try_import("acme", Scope::Full, "<dc:language>en</dc:language>").unwrap();
    assert!(!report.clean && report.commit.is_none());
    let conflicts = &report.merge.as_ref().unwrap().conflicts;
    assert_eq!(conflicts.len(), 1);
    assert_eq!(
        (conflicts[0].kind, conflicts[0].field.as_deref()),
        ("delete_edit", Some("/titles"))
    );
    // The delivery is on its lineage, and a second one waits until this is settled.
    assert_eq!(report.delivery, Some(lab.head("source/acme")));
    assert!(matches!(
        lab.try_import("acme", Scope::Full, "<dc:language>de</dc:language>"),
        Err(RepoError::MergeInProgress { .. })
    ));
    lab.settle(Some(DOCUMENT), Choice::Ours);
    lab.finish();
    assert_eq!(lab.field("HEAD", DOCUMENT, "/titles/@und").unwrap(), "\"Ours\"");
    // Settled is settled: the same delivery again has nothing to say.
    let again = lab.import("acme", Scope::Full, "<dc:language>en</dc:language>");
    assert!(again.delivery.is_none() && again.commit.is_none());
}

#[test]
fn an_import_given_up_leaves_its_delivery_until_that_is_undone() {
    let lab = written();
    lab.import("acme", Scope::Full, "<dc:title>A</dc:title>");
    let text = lab.read(DOCUMENT).unwrap().replace("\"A\"", "\"Ours\"");
    lab.write(DOCUMENT, text).commit("a better title");
    let before = lab.branches();
    assert!(!lab.try_import("acme", Scope::Full, "<dc:title>B</dc:title>").unwrap().clean);
    lab.repo.abort_merge(&Silent).unwrap();
    assert!(lab.is_clean());
    assert_ne!(lab.branches(), before);
    lab.repo.undo(None, &Silent).unwrap();
    assert_eq!(lab.branches(), before);
    assert_eq!(lab.field("HEAD", DOCUMENT, "/titles/@und").unwrap(), "\"Ours\"");
}

#[test]
fn both_changing_one_field_is_a_conflict_of_that_field_alone() {
    let lab = written();
    lab.import("acme", Scope::Full, "<dc:title>A</dc:title><dc:language>en</dc:language>");
    let text = lab.read(DOCUMENT).unwrap().replace("\"A\"", "\"Ours\"");
    lab.write(DOCUMENT, text).commit("a better title");
    let delivered = "<dc:title>B</dc:title><dc:language>de</dc:language>";
    let report = lab.try_import("acme", Scope::Full, delivered).unwrap();
    let conflicts = &report.merge.as_ref().unwrap().conflicts;
    let fields: Vec<_> = conflicts.iter().map(|it| it.field.as_deref().unwrap()).collect();
    assert_eq!(fields, ["/titles/@und"]);
    assert!(lab.read(DOCUMENT).unwrap().contains("\"original_language\": \"de\""));
}

#[test]
fn scopes_say_what_an_omission_means() {
    let first = "<dc:title xml:lang='en'>E</dc:title><dc:title xml:lang='fr'>F</dc:title>\
                 <dc:description xml:lang='fr'>long</dc:description><dc:language>en</dc:language>\
                 <dc:subject>x</dc:subject>";
    let second = "<dc:title xml:lang='fr'>F2</dc:title><dc:subject>y</dc:subject>";
    let after = |scope| {
        let lab = Lab::new();
        lab.write("film.bin", "film").commit("film");
        lab.import("acme", Scope::Full, first);
        lab.import("acme", scope, second);
        lab.document()
    };
    assert_eq!(after(Scope::Full), r#"{"keywords":{"$set":["y"]},"titles":{"$loc":{"fr":"F2"}}}"#);
    // In French the description was left out; English was not spoken of.
    assert_eq!(
        after(Scope::PerLocale),
        r#"{"keywords":{"$set":["x","y"]},"original_language":"en","titles":{"$loc":{"en":"E","fr":"F2"}}}"#
    );
    assert_eq!(
        after(Scope::Patch),
        r#"{"keywords":{"$set":["x","y"]},"original_language":"en","synopses":{"long":{"$loc":{"fr":{"$text":"long"}}}},"titles":{"$loc":{"en":"E","fr":"F2"}}}"#
    );
}

#[test]
fn a_format_owns_only_what_it_can_say() {
    let lab = written();
    lab.import("acme", Scope::Full, "<dc:title>A</dc:title><dc:language>en</dc:language>");
    // The same source delivers a table that only knows of years.
    let mapping = r#"{"mapping": "t/1", "format": "t", "syntax": "csv",
        "rules": [{"from": "Year", "to": "/year", "as": "int"}]}"#;
    let table = read(b"Year\n2024\n", Some(&Mapping::parse(mapping).unwrap())).unwrap();
    let report = lab.repo.import(&table, &request("acme", Scope::Full), &Silent).unwrap();
    assert!(report.clean);
    assert_eq!(lab.field("HEAD", DOCUMENT, "/titles/@und").unwrap(), "\"A\"");
    assert_eq!(lab.field("HEAD", DOCUMENT, "/original_language").unwrap(), "\"en\"");
}

#[test]
fn a_dry_run_says_the_same_and_changes_nothing() {
    let lab = written();
    lab.import("acme", Scope::Full, "<dc:title>A</dc:title><dc:subject>x</dc:subject>");
    let before = (lab.branches(), lab.document(), lab.read(DOCUMENT));
    let next = "<dc:title>B</dc:title><dc:language>en</dc:language>";
    let dry = ImportRequest { dry_run: true, ..request("acme", Scope::Full) };
    let planned = lab.repo.import(&dc(next), &dry, &Silent).unwrap();
    assert!(planned.clean && planned.commit.is_none() && planned.delivery.is_none());
    assert_eq!((lab.branches(), lab.document(), lab.read(DOCUMENT)), before);
    assert!(lab.is_clean());
    let done = lab.import("acme", Scope::Full, next);
    let fields = |report: &ImportReport| serde_json::to_string(&report.documents).unwrap();
    assert_eq!(fields(&planned), fields(&done));
    let named: Vec<&str> = done.documents[0].fields.iter().map(|it| it.field.as_str()).collect();
    assert_eq!(named, ["/keywords", "/original_language", "/titles/@und"]);
}

#[test]
fn one_undo_takes_an_import_back() {
    let lab = written();
    let before = (lab.branches(), lab.document());
    lab.import("acme", Scope::Full, "<dc:title>A</dc:title>");
    let between = (lab.branches(), lab.document(), lab.read(DOCUMENT));
    lab.import("acme", Scope::Full, "<dc:title>B</dc:title>");
    lab.repo.undo(None, &Silent).unwrap();
    assert_eq!((lab.branches(), lab.document(), lab.read(DOCUMENT)), between);
    lab.repo.undo(None, &Silent).unwrap();
    assert_eq!((lab.branches(), lab.document()), before);
    assert!(!lab.read(DOCUMENT).unwrap().contains("titles"));
    assert!(lab.is_clean());
}

#[test]
fn a_branch_without_a_commit_begins_with_a_delivery() {
    let lab = Lab::new();
    let dry = ImportRequest { dry_run: true, ..request("acme", Scope::Full) };
    let planned = lab.repo.import(&dc("<dc:title>A</dc:title>"), &dry, &Silent).unwrap();
    assert_eq!(planned.documents[0].fields.len(), 1);
    assert!(lab.read(DOCUMENT).is_none());
    lab.import("acme", Scope::Full, "<dc:title>A</dc:title>");
    assert_eq!(lab.document(), r#"{"titles":{"$loc":{"und":"A"}}}"#);
    assert!(lab.is_clean());
    lab.import("acme", Scope::Full, "<dc:title>B</dc:title>");
    assert_eq!(lab.document(), r#"{"titles":{"$loc":{"und":"B"}}}"#);
    lab.repo.undo(None, &Silent).unwrap();
    lab.repo.undo(None, &Silent).unwrap();
    assert!(lab.read(DOCUMENT).is_none());
}

#[test]
fn a_table_fills_many_documents_and_takes_none_away() {
    let lab = written();
    let mapping = Mapping::parse(
        r#"{"mapping": "t/1", "format": "t", "syntax": "csv", "documents": "t/{id}.meta.json",
            "rules": [{"from": "Year", "to": "/year", "as": "int"}]}"#,
    )
    .unwrap();
    let import = |text: &str| {
        let deliveries = read(text.as_bytes(), Some(&mapping)).unwrap();
        lab.repo.import(&deliveries, &request("acme", Scope::Full), &Silent).unwrap()
    };
    assert_eq!(import("id,Year\na,1\nb,2\n").documents.len(), 2);
    assert!(import("id,Year\nb,3\n").clean);
    assert_eq!(lab.paths("HEAD"), [DOCUMENT, "film.bin", "t/a.meta.json", "t/b.meta.json"]);
    assert_eq!(lab.field("HEAD", "t/a.meta.json", "/year").unwrap(), "1");
    assert_eq!(lab.field("HEAD", "t/b.meta.json", "/year").unwrap(), "3");
}

#[test]
fn what_must_not_be_taken_changes_nothing() {
    let lab = written();
    let before = lab.branches();
    let mapping = Mapping::parse(
        r#"{"mapping": "t/1", "format": "t", "syntax": "csv",
            "rules": [{"from": "Year", "to": "/year", "as": "int"}]}"#,
    )
    .unwrap();
    let bad = read(b"Year\n1\n2\n", Some(&mapping)).unwrap();
    let refused = lab.repo.import(&bad, &request("acme", Scope::Full), &Silent).unwrap_err();
    assert_eq!(refused.code(), "import.refused");
    assert!(refused.to_string().contains("line 3"), "{refused}");

    // Nor is anything overwritten that only the working copy holds, nor what is staged.
    lab.write(DOCUMENT, r#"{"note": "edited"}"#);
    let lost = lab.try_import("acme", Scope::Full, "<dc:title>A</dc:title>").unwrap_err();
    assert_eq!(lost.code(), "worktree.local_changes");
    assert_eq!(lab.read(DOCUMENT).unwrap(), r#"{"note": "edited"}"#);
    assert_eq!(lab.branches(), before);

    let to = RepoPath::new("film.bin").unwrap();
    let request = ImportRequest { to: Some(to), ..request("acme", Scope::Full) };
    let wrong = lab.repo.import(&dc("<dc:title>A</dc:title>"), &request, &Silent).unwrap_err();
    assert_eq!(wrong.code(), "path.wrong_kind");
}

#[test]
fn what_breaks_the_schema_is_told() {
    let lab = written();
    let report = lab.import(
        "acme",
        Scope::Full,
        "<dcterms:abstract>short</dcterms:abstract><dcterms:extent>P1M</dcterms:extent>",
    );
    let told: Vec<_> =
        report.documents[0].findings.iter().map(|it| (it.code, it.place.as_str())).collect();
    assert_eq!(told, [("schema", "/runtime")]);
}

#[test]
fn what_is_delivered_is_judged_by_the_schema_of_its_document() {
    let lab = Lab::new();
    lab.write(DOCUMENT, r#"{"year": 2024}"#)
        .write("schemas.yaml", "documents: {'edition.meta.json': house/1}\nschemas: {house/1: house.yaml}\n")
        .write(
            "house.yaml",
            "schema: house/1\nfields:\n  /year: {type: int}\n  /titles: {type: localized, of: string, max_length: 3}\n",
        );
    lab.commit("by hand");
    let delivered = "<dc:title>Long</dc:title><dcterms:extent>P1M</dcterms:extent>";
    let told = |report: &ImportReport| -> Vec<(String, bool)> {
        let found = report.documents[0].findings.iter();
        found.map(|it| (it.place.clone(), it.why.contains("house/1"))).collect()
    };
    // That a month is no duration is what `ott.edition/1` says, and this house does not.
    let report = lab.import("acme", Scope::Full, delivered);
    assert_eq!(told(&report), [("/titles/@und".to_owned(), true)]);
    // A document that is not bound is judged as before.
    let to = RepoPath::new("other.meta.json").unwrap();
    let request = ImportRequest { to: Some(to), ..request("other", Scope::Full) };
    let report = lab.repo.import(&dc(delivered), &request, &Silent).unwrap();
    assert_eq!(told(&report), [("/runtime".to_owned(), false)]);
}

#[test]
fn an_export_says_what_it_cannot_say_and_refuses_conflicts() {
    let lab = written();
    lab.import(
        "acme",
        Scope::Full,
        "<dc:title xml:lang='en'>A</dc:title><dc:creator>Ada B</dc:creator>",
    );
    let path = RepoPath::root();
    let written = lab.repo.export("HEAD", &path, &built_in("dc").unwrap()).unwrap();
    assert_eq!(written.path, DOCUMENT);
    assert_eq!(written.unsaid, ["/note"]);
    assert!(written.text.contains("<dc:creator>Ada B</dc:creator>"), "{}", written.text);

    lab.branch("cut");
    let edit = |title: &str| lab.read(DOCUMENT).unwrap().replace("\"A\"", title);
    lab.write(DOCUMENT, edit("\"B\"")).commit("B");
    lab.switch("cut");
    lab.write(DOCUMENT, edit("\"C\"")).commit("C");
    let request = ottvc_repo::merging::MergeRequest { allow_conflicts: true, ..Default::default() };
    lab.repo.merge("main", &request, &Silent).unwrap();
    let refused = lab.repo.export("cut", &path, &built_in("dc").unwrap()).unwrap_err();
    let RepoError::Conflicts { paths } = refused else { panic!("{refused}") };
    assert_eq!(paths, ["edition.meta.json#/titles/@en"]);
}

#[test]
fn a_lineage_is_not_imported_into_itself() {
    let lab = written();
    lab.import("acme", Scope::Full, "<dc:title>A</dc:title>");
    lab.switch("source/acme");
    let refused = lab.try_import("acme", Scope::Full, "<dc:title>B</dc:title>").unwrap_err();
    assert_eq!(refused.code(), "refs.current");
}
