//! What editions are pinned to, when the parent's branch leads there no more; and what plans say of those
//! that stay.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod common;

use common::Lab;
use common::layers::{EDITION, field, fix, row};
use ottvc_object::CommitId;
use ottvc_repo::operations::LeftBehind;
use ottvc_repo::plan::{Carrying, TargetState};
use ottvc_repo::{RepoError, Silent};

fn master() -> Lab {
    let lab = Lab::new();
    lab.write(EDITION, r#"{"title": "Dune", "rating": "12", "cast": {"p1": {"name": "A"}}}"#);
    lab.commit("master");
    lab
}

/// The number of the newest operation.
fn newest(lab: &Lab) -> u64 {
    lab.repo.refs().operations(None, 1).unwrap()[0].id
}

fn pin(lab: &Lab, branch: &str) -> CommitId {
    lab.repo.commit(lab.repo.resolve(branch).unwrap().id).unwrap().pin.unwrap().commit
}

/// A lab whose `de` and `fr` are pinned to a commit of main that `undo` took back.
fn taken_back() -> Lab {
    let lab = master();
    lab.edition("de", "main").edition("fr", "main");
    lab.change("main", &["/title=\"Wrong\""]);
    let wrong = newest(&lab);
    lab.propagate("main", &["de", "fr"]);
    lab.change("de", &["/rating=\"16\""]);
    // From elsewhere, so that nothing is staged.
    lab.switch("fr");
    let undone = lab.repo.undo(Some(wrong), &Silent).unwrap();
    assert_eq!(
        undone.left_behind,
        ["de", "fr"].map(|branch| LeftBehind { branch: branch.into(), of: "main".into() })
    );
    lab
}

#[test]
fn a_pin_that_was_taken_back_is_given_up() {
    let lab = taken_back();
    let old = pin(&lab, "de");
    // To what main is now, also before a new commit is made.
    let back = lab.propagate("main", &["de"]);
    assert_eq!(row(&back, "de").gave_up, Some(old.to_string()));
    assert_eq!(pin(&lab, "de"), lab.repo.resolve("main").unwrap().id);
    assert_eq!(field(&lab, "de", "/title").unwrap(), "\"Dune\"");
    assert_eq!(field(&lab, "de", "/rating").unwrap(), "\"16\"", "an override stays");
    lab.change("main", &["/title=\"Dune: One\""]);
    let report = lab.propagate("main", &["de", "fr"]);
    assert_eq!((&row(&report, "de").gave_up, row(&report, "fr").gave_up.is_some()), (&None, true));
    for branch in ["de", "fr"] {
        assert_eq!(field(&lab, branch, "/title").unwrap(), "\"Dune: One\"", "{branch}");
    }
    lab.check_layers();
    // On one line, a pin never moves back; and what is on no branch is no way to give one up.
    let back = lab.propagate("main~1", &["de"]);
    assert_eq!(row(&back, "de").state, TargetState::NotNewer);
    let lost = lab.propagate(&old.to_string(), &["de"]);
    assert_eq!(row(&lost, "de").state, TargetState::NotNewer);
}

#[test]
fn a_chain_follows_a_parent_that_gave_up_its_state() {
    let lab = master();
    lab.edition("de", "main").edition("de-at", "de");
    lab.change("de", &["/rating=\"16\""]);
    let wrong = newest(&lab);
    lab.propagate("de", &["de-at"]);
    lab.switch("main").repo.undo(Some(wrong), &Silent).unwrap();
    lab.change("main", &["/title=\"Arrakis\""]);
    let report = lab.propagate("main", &["**"]);
    assert!(row(&report, "de-at").gave_up.is_some());
    assert_eq!(field(&lab, "de-at", "/title").unwrap(), "\"Arrakis\"");
    assert_eq!(field(&lab, "de-at", "/rating").unwrap(), "\"12\"");
    lab.check_layers();
}

#[test]
fn an_edition_below_one_in_conflict_waits_for_it() {
    let lab = master();
    lab.edition("de", "main").edition("de-at", "de").edition("de-at-tv", "de-at");
    lab.change("de", &["/cast/p1/name=\"B\""]);
    lab.switch("main").write(EDITION, r#"{"title": "Dune", "rating": "12", "cast": {}}"#);
    lab.commit("no p1");
    let to = ["**".to_owned()];
    let plan = lab.repo.plan_propagation("main", &to, None).unwrap();
    let report = plan.report().unwrap();
    for branch in ["de-at", "de-at-tv"] {
        assert_eq!(row(&report, branch).waits_for.as_deref(), Some("de"), "{branch}");
    }
    assert!(!plan.chosen(&Carrying::default()).contains(&true));
}

#[test]
fn a_few_digits_name_a_plan() {
    let lab = master();
    lab.edition("de", "main").change("main", &["/title=\"Arrakis\""]);
    let to = ["de".to_owned()];
    let digest = lab.repo.plan_propagation("main", &to, None).unwrap().digest().unwrap();
    let given = |plan: &str| {
        let how = Carrying { plan: Some(plan.to_owned()), ..Carrying::default() };
        lab.try_propagate("main", &["de"], &how)
    };
    for wrong in [&digest[..7], "", "00000000", &format!("{digest}0")] {
        assert!(matches!(given(wrong), Err(RepoError::StalePlan { .. })), "{wrong}");
    }
    assert!(given(&digest[..8]).unwrap().moved);
}

#[test]
fn what_others_inherit_from_is_not_deleted_unasked() {
    let lab = master();
    lab.edition("fr", "main").edition("fr-be", "fr").edition("fr-ch", "fr");
    let heirs = match lab.repo.remove_branch("fr", false) {
        Err(RepoError::Inherited { heirs, .. }) => heirs,
        other => panic!("{other:?}"),
    };
    assert_eq!(heirs, ["fr-be", "fr-ch"]);
    lab.repo.remove_branch("fr-ch", false).unwrap();
    lab.repo.remove_branch("fr", true).unwrap();
}

#[test]
fn a_name_that_clashes_says_with_what() {
    let lab = master();
    lab.branch("cut").branch("tv/de");
    let clash = |name: &str| match lab.repo.make_branch(name, None, None, None) {
        Err(RepoError::NameClash { other, free, .. }) => (other, free.unwrap_or_default()),
        other => panic!("{other:?}"),
    };
    assert_eq!(clash("cut/de"), ("cut".into(), "cut-de".into()));
    assert_eq!(clash("tv"), ("tv/de".into(), "tv/main".into()));
    lab.branch("cut-de");
    assert_eq!(clash("cut/de"), ("cut".into(), String::new()));
    let same = lab.repo.make_branch("Cut", None, None, None);
    assert!(matches!(same, Err(RepoError::Exists { .. })));
}

#[test]
fn a_wildcard_names_no_deliveries() {
    let lab = master();
    lab.branch("work").branch("source/lab").change("main", &["/title=\"Arrakis\""]);
    let named = |pattern: &str| -> Vec<String> {
        let plan = lab.repo.plan_push(&fix(&[pattern])).unwrap();
        plan.report().unwrap().targets.into_iter().map(|row| row.branch).collect()
    };
    assert_eq!(named("**"), ["main", "work"]);
    assert_eq!(named("source/*"), ["source/lab"]);
    assert_eq!(named("source/lab"), ["source/lab"]);
}

#[test]
fn a_lineage_marks_what_an_edition_has_as_its_parent() {
    let lab = master();
    lab.edition("de", "main").change("de", &["/rating=\"12\"", "/title=\"Der Wüstenplanet\""]);
    let rows = lab.repo.lineage(Some("de"), true).unwrap();
    let told: Vec<_> =
        rows[0].places.iter().map(|it| (it.place.as_str(), it.how, it.as_parent)).collect();
    assert_eq!(
        told,
        [
            ("edition.meta.json#/rating", "override", true),
            ("edition.meta.json#/title", "override", false)
        ]
    );
}
