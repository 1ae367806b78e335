//! Changes pushed to editions that have made the same themselves, or inherit from one that cannot take them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod common;

use common::Lab;
use common::layers::{EDITION, field, fix, outcomes, row};
use ottvc_merge::Pattern;
use ottvc_merge::layers::Diverged;
use ottvc_repo::Silent;
use ottvc_repo::meta::FieldEdit;
use ottvc_repo::plan::Carrying;
use ottvc_repo::push::PushRequest;

/// A titled film; `de` inherits, `at` inherits from that, and `free` from nobody.
fn editions() -> Lab {
    let lab = Lab::new();
    lab.write(EDITION, r#"{"year": 1984}"#).commit("master");
    lab.edition("de", "main").edition("at", "de").branch("free");
    lab
}

#[test]
fn titles_that_an_edition_has_made_stay_beside_those_that_are_pushed() {
    let lab = editions();
    lab.change("free", &[r#"/titles={"fr": "Dune", "en": "Arrakis"}"#]);
    lab.change("main", &[r#"/titles={"de": "Wüste", "en": "Dune"}"#]);
    let forced = PushRequest {
        diverged: Diverged::Force,
        reason: Some("one name everywhere".into()),
        ..fix(&["free"])
    };
    for (request, en) in [(fix(&["free"]), "\"Arrakis\""), (forced, "\"Dune\"")] {
        let report = lab.push(&request);
        let told = outcomes(row(&report, "free"));
        assert!(told.iter().all(|(field, _)| field.starts_with("/titles/")), "{told:?}");
        assert_eq!(field(&lab, "free", "/titles/de").unwrap(), "\"Wüste\"");
        assert_eq!(field(&lab, "free", "/titles/en").unwrap(), en);
        assert_eq!(field(&lab, "free", "/titles/fr").unwrap(), "\"Dune\"", "nobody spoke of it");
    }
    // And one of them alone can be named.
    lab.switch("free").set(&["/titles/en=\"Arrakis\""]);
    lab.finish_with("as before");
    let fields = vec!["/titles/en".parse::<Pattern>().unwrap()];
    let request = PushRequest { fields, ..fix(&["free"]) };
    assert_eq!(outcomes(row(&lab.push(&request), "free")), [("/titles/en", "diverged")]);
}

#[test]
fn parts_arrive_whichever_of_the_editions_has_made_the_rest() {
    let lab = editions();
    let told = |branches: &[&str], last: &str| -> Vec<(String, String)> {
        let report = lab.repo.plan_push(&fix(branches)).unwrap().report().unwrap();
        let told = outcomes(row(&report, last));
        told.into_iter().map(|(field, word)| (field.to_owned(), word.to_owned())).collect()
    };
    let rows = |rows: &[(&str, &str)]| -> Vec<(String, String)> {
        rows.iter().map(|(field, word)| ((*field).to_owned(), (*word).to_owned())).collect()
    };
    // Below, an edition has titles; above, nobody has.
    lab.change("at", &[r#"/titles={"de": "Wüstenplanet"}"#]);
    lab.change("main", &[r#"/titles={"de": "Wüste", "en": "Dune"}"#]);
    let below = rows(&[("/titles/de", "diverged"), ("/titles/en", "via_parent")]);
    assert_eq!(told(&["de", "at"], "at"), below);
    // Above, one is there that stays, so not all of it arrives.
    let none = FieldEdit { field: "/titles".parse().unwrap(), value: None };
    lab.switch("at").repo.edit_fields(lab.repo.root(), EDITION, &[none]).unwrap();
    lab.finish_with("none of its own");
    lab.change("de", &[r#"/titles={"de": "Wüstenplanet"}"#]);
    let whole = told(&["de", "at"], "at");
    assert_eq!(whole, rows(&[("/titles", "applied")]));
    lab.check_layers();
}

#[test]
fn who_inherits_from_an_edition_that_stays_is_told_whom_it_waits_for() {
    let lab = editions();
    lab.change("de", &["/year=1990"]);
    lab.change("main", &["/year=1985", "/name=\"Dune\""]);
    let disputed = PushRequest { diverged: Diverged::Conflict, ..fix(&["de", "at"]) };
    let plan = lab.repo.plan_push(&disputed).unwrap();
    let report = plan.report().unwrap();
    assert_eq!(row(&report, "at").waits_for.as_deref(), Some("de"));
    assert_eq!(row(&report, "de").waits_for, None);
    // What is in conflict is inherited by nobody until it is settled.
    let how = Carrying { allow_conflicts: true, ..Carrying::default() };
    let report = lab.repo.carry_out_plan(&plan, &how, &Silent).unwrap();
    assert_eq!(row(&report, "at").waits_for.as_deref(), Some("de"));
    let report = lab.repo.plan_push(&fix(&["de", "at"])).unwrap().report().unwrap();
    assert_eq!(row(&report, "at").waits_for.as_deref(), Some("de"), "it was in conflict before");
}

/// What is named inside a container that is new is told of each edition, whether it has that container or not.
#[test]
fn one_title_of_new_ones_is_pushed_where_there_are_titles() {
    let lab = editions();
    lab.branch("bare");
    lab.change("free", &[r#"/titles={"fr": "Dune"}"#]);
    lab.change("main", &[r#"/titles={"de": "Wüste", "en": "Dune"}"#]);
    let fields = vec!["/titles/de".parse::<Pattern>().unwrap()];
    let report = lab.push(&PushRequest { fields, ..fix(&["bare", "free"]) });
    assert_eq!(outcomes(row(&report, "free")), [("/titles/de", "applied")]);
    assert_eq!(outcomes(row(&report, "bare")), [("/titles/de", "diverged")]);
    assert_eq!(field(&lab, "bare", "/titles"), None, "pieces are no titles");
}

/// What an edition has to wait for is told also where something else came at once.
#[test]
fn what_is_still_to_come_is_waited_for() {
    let lab = editions();
    lab.change("at", &["/year=1984"]);
    lab.change("de", &["/year=1990"]);
    lab.change("main", &["/year=1985", "/name=\"Dune\""]);
    let disputed = PushRequest { diverged: Diverged::Conflict, ..fix(&["de", "at"]) };
    let plan = lab.repo.plan_push(&disputed).unwrap();
    let how = Carrying { partial: true, ..Carrying::default() };
    let report = lab.repo.carry_out_plan(&plan, &how, &Silent).unwrap();
    let at = row(&report, "at");
    assert_eq!(outcomes(at), [("/name", "via_parent"), ("/year", "applied")]);
    assert!(at.commit.is_some());
    assert_eq!(at.waits_for.as_deref(), Some("de"));
}
