//! Merges between editions that inherit: what they share by their pins is no change of either.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod common;

use common::layers::{EDITION, field};
use common::{Lab, noise};
use ottvc_merge::Choice;
use ottvc_repo::plan::Carrying;

const FILM: &str = "feature.mp4";

/// A master with two editions, of which `jp` has all its corrections and `fr` lacks the last.
fn family() -> Lab {
    let lab = Lab::new();
    lab.write(
        EDITION,
        r#"{"title": "Northern Light", "year": 2024, "cast": {"p1": {"billing": 1}}}"#,
    );
    lab.write(FILM, noise(1, 5000)).commit("master");
    lab.edition("fr", "main").edition("jp", "main");
    lab.change(
        "main",
        &["/title=\"Nothern Light\"", "/year=2023", "/cast/p1/billing=2", "/note=1"],
    );
    lab.propagate("main", &["fr", "jp"]);
    lab.change("main", &["/title=\"Northern Light\"", "/year=2024"]);
    lab.propagate("main", &["jp"]);
    lab
}

fn is_own(lab: &Lab, branch: &str) -> Vec<String> {
    let rows = lab.repo.lineage(Some(branch), true).unwrap();
    rows[0].own.clone()
}

#[test]
fn what_a_parent_had_is_no_change_of_its_editions() {
    let lab = family();
    lab.change("fr", &["/tagline=\"Lumière\"", "/cast/p2={\"billing\": 5}"]);
    lab.write(EDITION, lab.read(EDITION).unwrap().replace("\"note\": 1,", ""));
    lab.commit("no note here");
    assert_eq!(field(&lab, "fr", "/note"), None);
    lab.switch("jp");
    let report = lab.merge("fr");
    assert!(report.clean, "{:?}", report.conflicts);
    // A correction that was taken back is not brought again by an edition that lags behind.
    assert_eq!(field(&lab, "jp", "/year").unwrap(), "2024");
    assert_eq!(field(&lab, "jp", "/title").unwrap(), "\"Northern Light\"");
    // What it did itself arrives, a removal of what both inherit included.
    assert_eq!(field(&lab, "jp", "/tagline").unwrap(), "\"Lumière\"");
    assert_eq!(field(&lab, "jp", "/cast/p2/billing").unwrap(), "5");
    assert_eq!(field(&lab, "jp", "/note"), None);
    let own = [("", "/cast/p2/billing"), ("-", "/note"), ("", "/tagline")];
    assert_eq!(is_own(&lab, "jp"), own.map(|(sign, at)| format!("{sign}{EDITION}#{at}")));
    lab.check_layers();
    // And the other way round, the newer state of the parent arrives, and is inherited.
    lab.switch("fr");
    assert!(lab.merge("jp").clean);
    assert_eq!(field(&lab, "fr", "/year").unwrap(), "2024");
    lab.change("main", &["/year=2025"]).propagate("main", &["**"]);
    assert_eq!(field(&lab, "fr", "/year").unwrap(), "2025");
    assert_eq!(field(&lab, "jp", "/year").unwrap(), "2025");
    lab.check_layers();
}

#[test]
fn conflicts_name_what_both_inherit_as_their_base() {
    let lab = family();
    lab.change("fr", &["/cast/p1/billing=7"]).change("jp", &["/cast/p1/billing=9"]);
    let report = lab.merge("fr");
    assert_eq!(report.conflicts.len(), 1);
    let row = &report.conflicts[0];
    let sides = [&row.ours, &row.base, &row.theirs].map(ToString::to_string);
    assert_eq!(sides, ["9", "2", "7"]);
    // Made again, as resolving and remembering do, it is the same merge.
    lab.settle(Some(EDITION), Choice::Base);
    lab.finish();
    assert_eq!(field(&lab, "jp", "/cast/p1/billing").unwrap(), "2");
    lab.check_layers();
}

#[test]
fn a_parent_merged_brings_what_it_changed_since_the_pin_and_its_films() {
    let lab = family();
    lab.change("jp", &["/title=\"Hokkō\""]);
    lab.change("main", &["/title=\"Northern Lights\"", "/year=2026"]);
    let how = Carrying::default();
    assert_eq!(lab.try_propagate("main", &["jp"], &how).unwrap().totals["shadowed"], 1);
    // That the parent has another title was told, and is no news.
    lab.switch("main").write(FILM, noise(2, 6000)).set(&["/year=2027"]);
    lab.commit("new picture");
    lab.switch("jp");
    let report = lab.merge("main");
    assert!(report.clean, "{:?}", report.conflicts);
    assert_eq!(field(&lab, "jp", "/title").unwrap(), "\"Hokkō\"");
    assert_eq!(field(&lab, "jp", "/year").unwrap(), "2027");
    assert_eq!(lab.cat("jp", FILM), lab.cat("main", FILM), "no propagation ever brought it");
    assert_eq!(is_own(&lab, "jp"), [format!("{EDITION}#/title")]);
    // What both changed since is a conflict, over what the edition inherits.
    lab.change("main", &["/title=\"Northern Lights!\""]).switch("jp");
    let report = lab.merge("main");
    let bases: Vec<_> = report.conflicts.iter().map(|row| row.base.to_string()).collect();
    assert_eq!(bases, ["\"Northern Lights\""]);
}

#[test]
fn editions_of_editions_share_what_the_first_of_them_has() {
    let lab = family();
    lab.edition("fr-ca", "fr").change("fr-ca", &["/tagline=\"Lueur\""]);
    lab.switch("jp");
    assert!(lab.merge("fr-ca").clean);
    assert_eq!(field(&lab, "jp", "/year").unwrap(), "2024");
    assert_eq!(field(&lab, "jp", "/tagline").unwrap(), "\"Lueur\"");
    lab.propagate("main", &["fr", "fr-ca"]);
    lab.change("main", &["/year=2030"]).propagate("main", &["jp"]);
    lab.change("fr-ca", &["/tagline=\"Lueur du nord\""]);
    // The parent takes in what its editions' edition says, and nothing that it said once.
    lab.switch("main");
    assert!(lab.merge("fr-ca").clean);
    assert_eq!(field(&lab, "main", "/year").unwrap(), "2030");
    assert_eq!(field(&lab, "main", "/tagline").unwrap(), "\"Lueur du nord\"");
    lab.switch("fr-ca");
    assert!(lab.merge("jp").clean);
    assert_eq!(field(&lab, "fr-ca", "/year").unwrap(), "2030");
    lab.check_layers();
}
