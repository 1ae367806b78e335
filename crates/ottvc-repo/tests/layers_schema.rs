//! What schemas say of inheritance: what flows, what is given once, what stays each edition's own.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod common;

use common::Lab;
use common::layers::{EDITION, field, fix, outcomes, row};
use ottvc_merge::layers::NotReset;
use ottvc_merge::{Pattern, Schema};
use ottvc_repo::meta::FieldEdit;
use ottvc_repo::plan::{Carrying, TargetState};
use ottvc_repo::push::PushRequest;
use ottvc_repo::{RepoError, Silent};

const BINDING: &str =
    "documents: {'*.meta.json': house.film/1}\nschemas: {house.film/1: house.yaml}\n";
const FIELDS: &str = "schema: house.film/1
fields:
  /eidr:       {type: string, inherit: never}
  /slug:       {type: string, inherit: at_create}
  /note:       {type: string, on_shadow: silent}
  /genres:     {type: set, of: string, max_items: 4}
  /advisories: {type: set, of: string, on_shadow: conflict}
  /cast:       {type: keyed, keys: [person], order: field(billing)}
  /artwork:    {type: keyed, keys: [purpose], order: none, groups: [[asset, width]]}
";
const FILM: &str = r#"{"eidr": "A", "slug": "dune", "note": "n", "genres": ["war"], "advisories": ["v"],
    "cast": [{"person": "p1", "billing": 2}], "artwork": [{"purpose": "box", "asset": "a1", "width": 10}]}"#;

#[test]
fn a_schema_says_what_flows() {
    let schema = Schema::parse(FIELDS).unwrap();
    let lab = Lab::new();
    lab.write("schemas.yaml", BINDING).write("house.yaml", FIELDS).write(EDITION, FILM);
    lab.commit("master");
    lab.edition("de", "main");
    let check = || lab.check_layers_under(Some(&schema));
    check();
    assert_eq!(field(&lab, "de", "/eidr"), None, "never inherited");
    assert_eq!(field(&lab, "de", "/slug").unwrap(), "\"dune\"");
    lab.switch("de").set(&[
        "/eidr=\"B\"",
        "/note=\"own\"",
        "/genres=[\"noir\"]",
        "/artwork/[purpose=box]/asset=\"a2\"",
    ]);
    lab.finish_with("German");
    check();
    lab.change(
        "main",
        &[
            "/eidr=\"C\"",
            "/slug=\"dune-1\"",
            "/note=\"m\"",
            "/genres=[\"epic\", \"war\"]",
            "/cast/[person=p0]={\"billing\": 1}",
            "/artwork/[purpose=box]/width=12",
        ],
    );
    let report = lab.propagate("main", &["de"]);
    assert_eq!(
        outcomes(row(&report, "de")),
        [
            ("/artwork/[purpose=box]/\\{asset,width}", "shadowed"),
            ("/cast/[person=p0]", "flowed"),
            ("/genres/{epic}", "flowed"),
            ("/eidr", "not_inherited"),
            ("/slug", "not_inherited"),
        ]
    );
    check();
    let shown = lab.read(EDITION);
    lab.switch("de");
    assert_ne!(lab.read(EDITION), shown);
    for (place, value) in [
        ("/eidr", r#""B""#),
        ("/slug", r#""dune""#),
        ("/note", r#""own""#),
        ("/genres", r#"{"$set":["epic","noir"]}"#),
        ("/artwork/[purpose=box]/width", "10"),
    ] {
        assert_eq!(field(&lab, "de", place).unwrap(), value);
    }
    let cast = field(&lab, "de", "/cast").unwrap();
    assert!(cast.find("p0") < cast.find("p1"), "sorted as the schema says: {cast}");

    // What arrives can break the schema together with what was there: nothing moves unless that is wanted.
    lab.set(&["/genres=[\"a\", \"b\", \"c\"]"]);
    lab.finish_with("three genres");
    lab.change("main", &["/genres=[\"d\", \"e\"]"]);
    let before = lab.trees();
    let held = lab.propagate("main", &["de"]);
    assert_eq!((held.moved, held.findings, held.conflicts), (false, 1, 0));
    assert_eq!(row(&held, "de").state, TargetState::Findings);
    let partial = Carrying { partial: true, allow_conflicts: true, ..Carrying::default() };
    assert!(!lab.try_propagate("main", &["de"], &partial).unwrap().moved);
    assert_eq!(lab.trees(), before);
    let how = Carrying { allow_findings: true, ..Carrying::default() };
    let report = lab.try_propagate("main", &["de"], &how).unwrap();
    assert!(report.moved);
    let [found] = row(&report, "de").findings.as_slice() else { panic!("{report:?}") };
    assert_eq!((found.field.as_str(), found.rule), ("/genres", "max_items"));
    check();

    // Case 64: an edition that changed its advisories hears of every other.
    lab.switch("de").set(&["/genres=[\"a\"]", "/advisories=[]"]);
    lab.finish_with("none");
    lab.change("main", &["/advisories=[\"v\", \"s\"]"]);
    let report = lab.propagate("main", &["de"]);
    assert_eq!(row(&report, "de").outcomes[0].conflict, Some("shadow"));
    assert!(!report.moved);
    check();
}

/// A schema that comes later makes no document another, and what it says of kinds no override.
#[test]
fn a_schema_that_comes_later_changes_no_document() {
    let schema = Schema::parse(FIELDS).unwrap();
    let lab = Lab::new();
    lab.write(EDITION, FILM).commit("master");
    lab.edition("de", "main");
    for branch in ["main", "de"] {
        lab.switch(branch).write("schemas.yaml", BINDING).write("house.yaml", FIELDS);
        lab.commit("a schema");
    }
    lab.switch("de").set(&["/note=\"own\""]);
    lab.finish_with("German");
    assert_eq!(field(&lab, "de", "/genres").unwrap(), r#"{"$set":["war"]}"#, "converted now");
    lab.check_layers_under(Some(&schema));
    let own = lab.repo.lineage(Some("de"), true).unwrap();
    // What had flowed and is not inherited any more is its own; nothing else is.
    assert_eq!(
        own[0].own,
        ["edition.meta.json#/eidr", "edition.meta.json#/note", "edition.meta.json#/slug"]
    );
    lab.change("main", &["/genres=[\"epic\", \"war\"]"]);
    lab.propagate("main", &["de"]);
    assert_eq!(field(&lab, "de", "/genres").unwrap(), r#"{"$set":["war","epic"]}"#);
    lab.check_layers_under(Some(&schema));
}

#[test]
fn what_is_pushed_stands_where_the_schema_sorts_it() {
    let schema = Schema::parse(FIELDS).unwrap();
    let lab = Lab::new();
    lab.write("schemas.yaml", BINDING).write("house.yaml", FIELDS).write(EDITION, FILM);
    lab.commit("master");
    lab.branch("cut").edition("de", "main");
    lab.change("main", &["/cast/[person=p0]={\"billing\": 1}", "/genres=[\"epic\", \"war\"]"]);
    let fields: Vec<Pattern> = vec!["*.meta.json:/cast".parse().unwrap()];
    lab.push(&PushRequest { fields, ..fix(&["cut", "de"]) });
    for branch in ["cut", "de"] {
        let cast = field(&lab, branch, "/cast").unwrap();
        assert!(cast.find("p0") < cast.find("p1"), "{branch}: {cast}");
        assert_eq!(field(&lab, branch, "/genres").unwrap(), r#"{"$set":["war"]}"#);
    }
    let own = lab.repo.lineage(Some("de"), true).unwrap();
    assert_eq!(
        own[0].own,
        ["edition.meta.json#/cast/[person=p0]/billing", "edition.meta.json#/slug"]
    );
    lab.check_layers_under(Some(&schema));
}

/// Giving up what is its own leaves an edition what it cannot inherit.
#[test]
fn a_document_that_is_inherited_again_keeps_what_nobody_inherits() {
    let schema = Schema::parse(FIELDS).unwrap();
    let lab = Lab::new();
    lab.write("schemas.yaml", BINDING).write("house.yaml", FIELDS).write(EDITION, FILM);
    lab.commit("master");
    lab.edition("de", "main");
    lab.change("de", &["/eidr=\"B\"", "/note=\"own\"", "/genres=[\"noir\"]"]);
    let rows = lab.repo.lineage(Some("de"), true).unwrap();
    assert_eq!((rows[0].overrides, rows[0].given_once, rows[0].not_inherited), (3, 1, 1));
    let done = lab.repo.reset_fields(lab.repo.root(), EDITION, &[]).unwrap();
    let kept: Vec<String> = done.kept.iter().map(ToString::to_string).collect();
    assert_eq!(kept, ["/eidr", "/slug"]);
    lab.finish_with("as everywhere");
    for (place, value) in [
        ("/eidr", r#""B""#),
        ("/slug", r#""dune""#),
        ("/note", r#""n""#),
        ("/genres", r#"{"$set":["war"]}"#),
    ] {
        assert_eq!(field(&lab, "de", place).unwrap(), value);
    }
    let rows = lab.repo.lineage(Some("de"), true).unwrap();
    assert_eq!((rows[0].overrides, rows[0].given_once, rows[0].not_inherited), (0, 1, 1));
    lab.check_layers_under(Some(&schema));
    let refused = lab.reset("/eidr").unwrap_err();
    assert!(matches!(&refused, RepoError::NotOverridden { why: NotReset::Own, .. }), "{refused}");
}

#[test]
fn what_nobody_inherits_is_pushed_only_by_name() {
    let lab = Lab::new();
    lab.write("schemas.yaml", BINDING).write("house.yaml", FIELDS).write(EDITION, FILM);
    lab.commit("master");
    lab.branch("cut").edition("de", "main");
    lab.change("cut", &["/eidr=\"CUT\""]);
    lab.change("main", &["/eidr=\"M\"", "/slug=\"m\"", "/note=\"m\""]);
    let report = lab.push(&fix(&["cut", "de"]));
    assert_eq!(
        outcomes(row(&report, "cut")),
        [("/eidr", "not_inherited"), ("/slug", "not_inherited"), ("/note", "applied")]
    );
    assert_eq!(field(&lab, "cut", "/eidr").unwrap(), "\"CUT\"");
    assert_eq!(field(&lab, "de", "/eidr"), None);
    assert_eq!(field(&lab, "de", "/slug").unwrap(), "\"dune\"");
    assert_eq!(field(&lab, "de", "/note").unwrap(), "\"m\"");
    let fields: Vec<Pattern> = vec!["/slug".parse().unwrap()];
    lab.push(&PushRequest { fields, ..fix(&["cut", "de"]) });
    assert_eq!(field(&lab, "de", "/slug").unwrap(), "\"m\"");
    // Where nothing else was changed, that is told and no error.
    lab.change("main", &["/eidr=\"N\""]);
    let report = lab.push(&fix(&["de"]));
    assert_eq!(outcomes(row(&report, "de")), [("/eidr", "not_inherited")]);
    assert!(!report.moved);
    // A new document goes without them.
    lab.switch("main").write("extra.meta.json", r#"{"eidr": "X", "note": "x"}"#).commit("an extra");
    let report = lab.push(&fix(&["cut"]));
    assert_eq!(outcomes(row(&report, "cut")), [("/eidr", "not_inherited"), ("/", "applied")]);
    assert_eq!(lab.field("cut", "extra.meta.json", "/note").unwrap(), "\"x\"");
    assert_eq!(lab.field("cut", "extra.meta.json", "/eidr"), None);
}

/// What is not inherited is each edition's own in a merge, too, whichever way it goes.
#[test]
fn a_merge_of_editions_leaves_each_what_is_its_own() {
    let schema = Schema::parse(FIELDS).unwrap();
    let lab = Lab::new();
    lab.write("schemas.yaml", BINDING).write("house.yaml", FIELDS).write(EDITION, FILM);
    lab.commit("master");
    lab.edition("de", "main").edition("fr", "main");
    lab.change("de", &["/note=\"de\"", "/slug=\"dune-de\""]);
    lab.change("fr", &["/eidr=\"F\"", "/advisories=[\"f\"]"]);
    let merge_leaves_out = |rev: &str, fields: &[&str]| {
        let report = lab.merge(rev);
        assert!(report.clean);
        let told: Vec<(&str, &str)> =
            report.notices.iter().map(|it| (it.rule, it.field.as_str())).collect();
        let wanted: Vec<(&str, &str)> = fields.iter().map(|field| ("inherit", *field)).collect();
        assert_eq!(told, wanted, "{rev}");
    };
    // Into the parent, which changed nothing. That a child has no id of its own is no change.
    lab.switch("main");
    merge_leaves_out("de", &["/slug"]);
    for (path, value) in [("/eidr", "\"A\""), ("/slug", "\"dune\""), ("/note", "\"de\"")] {
        assert_eq!(field(&lab, "main", path).unwrap(), value, "{path}");
    }
    // Between children, and from the parent, which has changed what they do not inherit.
    lab.change("main", &["/eidr=\"M\"", "/slug=\"m\"", "/genres=[\"epic\", \"war\"]"]);
    lab.switch("de");
    merge_leaves_out("fr", &["/eidr"]);
    merge_leaves_out("main", &["/eidr", "/slug"]);
    assert_eq!(field(&lab, "de", "/eidr"), None);
    for (path, value) in [
        ("/slug", "\"dune-de\""),
        ("/advisories", r#"{"$set":["f"]}"#),
        ("/genres", r#"{"$set":["war","epic"]}"#),
    ] {
        assert_eq!(field(&lab, "de", path).unwrap(), value, "{path}");
    }
    lab.check_layers_under(Some(&schema));
    // Lines of work on one edition share all of it.
    lab.repo.switch("work", true, false, &Silent).unwrap();
    lab.set(&["/eidr=\"D\""]);
    lab.finish_with("an id");
    lab.switch("de");
    assert!(lab.merge("work").clean);
    assert_eq!(field(&lab, "de", "/eidr").unwrap(), "\"D\"");
}

/// What an edition breaks already holds nothing back, though it comes to break it with something else.
#[test]
fn a_rule_that_is_broken_already_holds_nothing_back() {
    let lab = Lab::new();
    lab.write("schemas.yaml", BINDING).write("house.yaml", FIELDS).write(EDITION, FILM);
    lab.commit("master");
    lab.edition("de", "main");
    lab.change("de", &["/genres=[\"a\", \"b\", \"c\", \"war\"]"]);
    lab.change("main", &["/genres=[\"d\", \"war\"]"]);
    let how = Carrying { allow_findings: true, ..Carrying::default() };
    assert!(lab.try_propagate("main", &["de"], &how).unwrap().moved);
    lab.change("main", &["/genres=[\"e\", \"war\"]"]);
    let report = lab.propagate("main", &["de"]);
    assert_eq!((report.moved, report.findings), (true, 0));
}

/// A schema that comes later draws the units of what an edition said before: it keeps its own whole.
#[test]
fn a_unit_that_comes_later_is_not_mixed() {
    let fields = "schema: house.film/1
fields:
  /r: {type: keyed, keys: [id], order: none, item: atomic}
  /w: {type: map, groups: [[start, end]]}
  /at: {type: map, merge: atomic}
";
    let schema = Schema::parse(fields).unwrap();
    let lab = Lab::new();
    let parted = "schema: house.film/1\nfields: {/r: {type: keyed, keys: [id], order: none}}\n";
    lab.write("schemas.yaml", BINDING).write("house.yaml", parted).write(EDITION, "{}");
    lab.commit("master");
    lab.edition("de", "main");
    let own = r#"{"r": [{"id": "DE", "v": "18"}], "w": {"start": 1}, "at": {"a": 1}}"#;
    lab.switch("de").write(EDITION, own).commit("German");
    for branch in ["de", "main"] {
        lab.switch(branch).write("house.yaml", fields).commit("units");
    }
    let new = r#"{"r": [{"id": "DE", "v": "16", "why": "x"}], "w": {"start": 2, "end": 3}, "at": {"b": 1}}"#;
    lab.switch("main").write(EDITION, new).commit("English");
    let report = lab.propagate("main", &["de"]);
    assert!(report.moved);
    assert!(outcomes(row(&report, "de")).iter().all(|(_, outcome)| *outcome == "shadowed"));
    for (place, value) in [
        ("/r", r#"{"$kl":{"items":[{"id":"DE","v":"18"}],"keys":["id"]}}"#),
        ("/w", r#"{"start":1}"#),
        ("/at", r#"{"a":1}"#),
    ] {
        assert_eq!(field(&lab, "de", place).unwrap(), value);
    }
    lab.check_layers_under(Some(&schema));
}

/// An edition that would break a rule keeps those that inherit from it back, and nobody else.
#[test]
fn who_breaks_no_rule_moves_alone() {
    let lab = Lab::new();
    lab.write("schemas.yaml", BINDING).write("house.yaml", FIELDS).write(EDITION, FILM);
    lab.commit("master");
    lab.edition("de", "main").edition("de-at", "de").edition("fr", "main");
    lab.change("de", &["/genres=[\"a\", \"b\", \"c\"]"]);
    lab.change("main", &["/genres=[\"d\", \"e\"]"]);
    let partial = Carrying { partial: true, ..Carrying::default() };
    let report = lab.try_propagate("main", &["**"], &partial).unwrap();
    let moved = |branch| row(&report, branch).commit.is_some();
    assert_eq!((moved("de"), moved("de-at"), moved("fr")), (false, false, true));
    // A change that is pushed is held to the same.
    let pushed = lab.push(&fix(&["de"]));
    assert_eq!((pushed.moved, pushed.findings), (false, 1));
}

/// An edition that took one title of a plain map for its own has only that one, also once a schema says that the
/// map is localized.
#[test]
fn what_becomes_localized_is_still_inherited_locale_by_locale() {
    let fields = "schema: house.film/1\nfields:\n  /titles: {type: localized, of: text}\n";
    let lab = Lab::new();
    lab.write(EDITION, r#"{"titles": {"en": "Dune", "fr": "Dune"}}"#).commit("master");
    lab.edition("de", "main");
    lab.change("de", &["/titles/en=\"Arrakis\""]);
    for branch in ["main", "de"] {
        lab.switch(branch).write("schemas.yaml", BINDING).write("house.yaml", fields);
        lab.commit("schemas");
    }
    lab.change("main", &["/titles/@de=\"Wüste\"", "/titles/@fr=\"La dune\""]);
    let report = lab.propagate("main", &["de"]);
    let told = outcomes(row(&report, "de"));
    assert_eq!(told, [("/titles/@de", "flowed"), ("/titles/@fr", "flowed")]);
    for (locale, title) in [("de", "Wüste"), ("en", "Arrakis"), ("fr", "La dune")] {
        let titled = field(&lab, "de", &format!("/titles/@{locale}")).unwrap();
        assert!(titled.contains(title), "{locale}: {titled}");
    }
    lab.check_layers_under(Some(&Schema::parse(fields).unwrap()));
}

const TITLED: &str = "schema: house.film/1\nfields:\n  /titles: {type: localized, of: text}\n";

/// A master with titles in a plain map, and `de`, whose fields are set; then both come to call the map localized.
fn titled(titles: &str, sets: &[&str], gone: Option<&str>) -> Lab {
    let lab = Lab::new();
    lab.write(EDITION, format!(r#"{{"titles": {titles}}}"#)).commit("master");
    lab.edition("de", "main");
    lab.switch("de").set(sets);
    let gone = gone.map(|field| FieldEdit { field: field.parse().unwrap(), value: None });
    lab.repo.edit_fields(lab.repo.root(), EDITION, gone.as_slice()).unwrap();
    lab.finish_with("German");
    for branch in ["main", "de"] {
        lab.switch(branch).write("schemas.yaml", BINDING).write("house.yaml", TITLED);
        lab.commit("schemas");
    }
    lab
}

#[test]
fn fields_set_in_what_became_localized_leave_the_rest_inherited() {
    let lab = titled(r#"{"en": "Dune", "fr": "Dune"}"#, &["/titles/en=\"Arrakis\""], None);
    lab.change("de", &["/titles/@fr=\"Dune\""]);
    lab.change("main", &["/titles/@it=\"Duna\"", "/titles/@fr=\"La dune\""]);
    let report = lab.propagate("main", &["de"]);
    let told = outcomes(row(&report, "de"));
    assert_eq!(told, [("/titles/@fr", "shadowed"), ("/titles/@it", "flowed")]);
}

#[test]
fn another_spelling_of_a_locale_is_that_locale() {
    let lab = titled(r#"{"EN": "Dune"}"#, &["/titles/en=\"Arrakis\""], Some("/titles/EN"));
    lab.change("main", &["/titles/@de=\"Wüste\""]);
    let report = lab.propagate("main", &["de"]);
    assert_eq!(outcomes(row(&report, "de")), [("/titles/@de", "flowed")]);
    assert!(field(&lab, "de", "/titles/@en").unwrap().contains("Arrakis"));
}

/// A document that was written before its schema came is of the kinds that the schema names, as one that was
/// written since.
#[test]
fn a_merge_reads_what_was_written_before_its_schema_as_the_schema_says() {
    let lab = titled(r#"{"en": "Dune"}"#, &["/titles/fr=\"La dune\""], None);
    lab.change("main", &["/titles/@it=\"Duna\""]);
    let report = lab.switch("de").merge("main");
    assert!(report.conflicts.is_empty(), "{:?}", report.conflicts);
    for (locale, title) in [("en", "Dune"), ("fr", "La dune"), ("it", "Duna")] {
        let titled = field(&lab, "de", &format!("/titles/@{locale}")).unwrap();
        assert!(titled.contains(title), "{locale}: {titled}");
    }
}

/// What both sides of a merge have alike is not left out, an order included, whatever their parent has now.
#[test]
fn an_order_that_both_were_given_is_not_left_out() {
    let schema = "schema: house.film/1\nfields:\n  /eidr: {type: string, inherit: never}\n  \
                  /parts: {type: keyed, keys: [id], inherit: at_create}\n";
    let lab = Lab::new();
    lab.write("schemas.yaml", BINDING).write("house.yaml", schema);
    lab.write(EDITION, r#"{"eidr": "A", "parts": [{"id": "1"}, {"id": "2"}, {"id": "3"}]}"#);
    lab.commit("master");
    lab.edition("de", "main").edition("fr", "main");
    let turned = r#"{"eidr": "A", "parts": [{"id": "3"}, {"id": "2"}, {"id": "1"}]}"#;
    lab.switch("main").write(EDITION, turned).commit("turned");
    lab.propagate("main", &["de", "fr"]);
    lab.change("fr", &["/mood=\"dark\""]);
    let report = lab.switch("de").merge("fr");
    assert!(report.notices.is_empty(), "{:?}", report.notices);
    assert_eq!(field(&lab, "de", "/mood").unwrap(), "\"dark\"");
}
