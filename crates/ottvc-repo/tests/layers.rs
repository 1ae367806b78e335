//! Editions that inherit: what flows, what stays, and many of them moved in one step.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod common;

use common::layers::{EDITION, field, fix, outcomes, row};
use common::{Lab, noise};
use ottvc_merge::layers::Diverged;
use ottvc_merge::{Choice, Pattern};
use ottvc_object::{CommitId, RepoPath};
use ottvc_refs::{RefError, RefKind};
use ottvc_repo::plan::{Carrying, TargetState};
use ottvc_repo::push::PushRequest;
use ottvc_repo::record::CommitOptions;
use ottvc_repo::verify::Reading;
use ottvc_repo::{RepoError, Silent};

const START: &str = r#"{"title": "Dune", "rating": "12", "cast": {"p1": {"name": "A"}}}"#;

/// A lab with a master.
fn master() -> Lab {
    let lab = Lab::new();
    lab.write(EDITION, START).write("feature.mp4", noise(1, 5000));
    lab.commit("master");
    lab
}

fn heads(lab: &Lab) -> Vec<(String, Option<String>)> {
    let rows = lab.repo.list_refs(RefKind::Branch).unwrap();
    rows.into_iter().map(|row| (row.name, row.commit)).collect()
}

fn partial() -> Carrying {
    Carrying { partial: true, ..Carrying::default() }
}

#[test]
fn an_edition_inherits_documents_and_has_its_own_media() {
    let lab = master();
    lab.edition("de", "main").change("de", &["/rating=\"16\""]);
    lab.write("feature.mp4", noise(2, 6000)).commit("German picture");
    let own = lab.cat("de", "feature.mp4");
    lab.switch("main").set(&["/title=\"Dune: Part One\"", "/rating=\"18\""]);
    lab.write("feature.mp4", noise(3, 7000)).write("extras/making.meta.json", r#"{"n": 1}"#);
    lab.commit("all of it");
    assert_eq!(field(&lab, "de", "/title").unwrap(), "\"Dune\"", "nothing flows by itself");

    let report = lab.propagate("main", &["de"]);
    let de = row(&report, "de");
    assert_eq!(outcomes(de), [("/rating", "shadowed"), ("/title", "flowed"), ("/", "flowed")]);
    assert_eq!((report.moved, de.documents, report.totals["flowed"]), (true, 2, 2));
    assert_eq!(field(&lab, "de", "/title").unwrap(), "\"Dune: Part One\"");
    assert_eq!(field(&lab, "de", "/rating").unwrap(), "\"16\"");
    assert_eq!(lab.field("de", "extras/making.meta.json", "/n").unwrap(), "1");
    assert_eq!(lab.cat("de", "feature.mp4"), own);
    // One commit, whose only parent is what the edition had; it inherits from what was propagated.
    let commit = lab.repo.commit(lab.repo.resolve("de").unwrap().id).unwrap();
    assert_eq!(commit.parents.len(), 1);
    assert_eq!(commit.pin.unwrap().commit, lab.repo.resolve("main").unwrap().id);
    // Once more is nothing more.
    let again = lab.propagate("main", &["de"]);
    assert!(!again.moved && row(&again, "de").state == TargetState::UpToDate);
    lab.check_layers();
}

#[test]
fn a_value_that_was_set_is_an_override_until_it_is_reset() {
    let lab = master();
    // Set to what is inherited: nothing to be seen, and yet its own.
    lab.edition("de", "main").switch("de").set(&["/title=\"Dune\""]);
    lab.finish_with("keep the title");
    lab.change("main", &["/title=\"Arrakis\""]);
    assert_eq!(outcomes(row(&lab.propagate("main", &["de"]), "de")), [("/title", "shadowed")]);
    assert_eq!(field(&lab, "de", "/title").unwrap(), "\"Dune\"");

    lab.switch("de").reset("/title").unwrap();
    assert!(lab.read(EDITION).unwrap().contains("Arrakis"), "it is back before the commit");
    lab.finish_with("follow again");
    assert_eq!(field(&lab, "de", "/title").unwrap(), "\"Arrakis\"");
    lab.check_layers();
    lab.change("main", &["/title=\"Dune\""]);
    lab.propagate("main", &["de"]);
    assert_eq!(field(&lab, "de", "/title").unwrap(), "\"Dune\"");

    lab.switch("de");
    let refused = lab.reset("/title").unwrap_err();
    assert_eq!(refused.code(), "layer.not_overridden");
    lab.switch("main");
    assert_eq!(lab.reset("/title").unwrap_err().code(), "layer.no_parent");
}

#[test]
fn an_override_equal_to_the_inherited_value_can_be_reset_too() {
    let lab = master();
    lab.edition("de", "main").change("de", &["/rating=\"16\""]);
    lab.change("main", &["/rating=\"16\""]).propagate("main", &["de"]);
    // Nothing to be seen in the document, and yet something to commit.
    lab.switch("de").reset("/rating").unwrap();
    lab.finish_with("follow");
    lab.change("main", &["/rating=\"18\""]).propagate("main", &["de"]);
    assert_eq!(field(&lab, "de", "/rating").unwrap(), "\"18\"");
    // What is staged about layers only is not lost on the way; taken back, it is in nobody's way.
    lab.switch("de").set(&["/rating=\"18\""]);
    let refused = lab.repo.switch("main", false, false, &Silent);
    assert!(matches!(refused, Err(RepoError::LocalChanges { .. })));
    lab.reset("/rating").unwrap();
    lab.switch("main").switch("de");
    let options = CommitOptions { message: Some("x".into()), ..CommitOptions::default() };
    let nothing = lab.repo.record(lab.repo.root(), &options, &Silent);
    assert!(matches!(nothing, Err(RepoError::NothingToCommit)));
    lab.check_layers();
}

#[test]
fn whole_documents_are_added_and_removed_by_an_edition() {
    let lab = master();
    lab.write("extras/a.meta.json", r#"{"n": 1}"#).write("extras/b.meta.json", r#"{"n": 1}"#);
    lab.commit("extras");
    lab.edition("de", "main").switch("de");
    lab.delete("extras/a.meta.json").write("extras/c.meta.json", r#"{"n": "own"}"#).commit("de");
    lab.switch("main");
    for name in ["a", "b", "c"] {
        lab.write(&format!("extras/{name}.meta.json"), r#"{"n": 2}"#);
    }
    lab.commit("all three");
    let report = lab.propagate("main", &["de"]);
    let told: Vec<(&str, &str)> =
        row(&report, "de").outcomes.iter().map(|it| (it.path.as_str(), it.outcome)).collect();
    assert_eq!(
        told,
        [
            ("extras/a.meta.json", "shadowed"),
            ("extras/b.meta.json", "flowed"),
            ("extras/c.meta.json", "shadowed")
        ]
    );
    let paths = lab.paths("de");
    assert!(!paths.contains(&"extras/a.meta.json".to_owned()), "{paths:?}");
    assert_eq!(lab.field("de", "extras/b.meta.json", "/n").unwrap(), "2");
    assert_eq!(lab.field("de", "extras/c.meta.json", "/n").unwrap(), "\"own\"");
    // All of a document inherited again.
    lab.switch("de");
    for name in ["a", "c"] {
        let path = format!("extras/{name}.meta.json");
        lab.repo.reset_fields(lab.repo.root(), &path, &[]).unwrap();
    }
    lab.finish_with("follow");
    assert_eq!(lab.field("de", "extras/a.meta.json", "/n").unwrap(), "2");
    assert_eq!(lab.field("de", "extras/c.meta.json", "/n").unwrap(), "2");
    lab.check_layers();
}

/// Two who fill in the same new fields do not keep each other's values away.
#[test]
fn what_an_edition_made_first_takes_in_what_its_parent_makes() {
    let lab = master();
    lab.edition("de", "main").change("de", &[r#"/titles={"de": "Der Wüstenplanet"}"#]);
    lab.change("de", &[r#"/crew={"edit": {"name": "C", "note": "de"}}"#]);
    lab.change(
        "main",
        &[r#"/titles={"de": "Dune", "en": "Dune"}"#, r#"/crew={"edit": {"name": "B"}}"#],
    );
    let report = lab.propagate("main", &["de"]);
    assert_eq!(
        outcomes(row(&report, "de")),
        [("/crew/edit/name", "shadowed"), ("/titles/de", "shadowed"), ("/titles/en", "flowed")]
    );
    assert_eq!(field(&lab, "de", "/titles").unwrap(), r#"{"de":"Der Wüstenplanet","en":"Dune"}"#);
    assert_eq!(field(&lab, "de", "/crew/edit").unwrap(), r#"{"name":"C","note":"de"}"#);
    // Each entry is given up alone.
    lab.switch("de").reset("/titles/de").unwrap();
    lab.finish_with("follow");
    assert_eq!(field(&lab, "de", "/titles").unwrap(), r#"{"de":"Dune","en":"Dune"}"#);
    lab.check_layers();
}

/// A document, too: what only one of them says is of both.
#[test]
fn a_document_that_an_edition_made_first_takes_in_what_its_parent_makes() {
    let lab = master();
    lab.edition("de", "main").switch("de");
    lab.write("extras/x.meta.json", r#"{"n": 1, "de": true}"#).commit("de");
    lab.switch("main").write("extras/x.meta.json", r#"{"n": 2, "en": true}"#).commit("main");
    let report = lab.propagate("main", &["de"]);
    assert_eq!(outcomes(row(&report, "de")), [("/en", "flowed"), ("/n", "shadowed")]);
    assert_eq!(lab.field("de", "extras/x.meta.json", "/n").unwrap(), "1");
    assert_eq!(lab.field("de", "extras/x.meta.json", "/en").unwrap(), "true");
    lab.check_layers();
}

#[test]
fn a_file_in_the_place_of_a_document_stays() {
    let lab = master();
    lab.edition("de", "main").switch("de");
    lab.write("notes/x", "a file").commit("a file where main will have a folder of documents");
    lab.switch("main").write("notes.meta.json/inner.txt", "no document").commit("odd names");
    lab.edition("fr", "main").switch("fr");
    lab.switch("main").delete("notes.meta.json/inner.txt");
    std::fs::remove_dir(lab.disk("notes.meta.json")).unwrap();
    lab.write("notes.meta.json", r#"{"n": 1}"#).commit("a document");
    let report = lab.propagate("main", &["de", "fr"]);
    assert!(report.moved);
    assert_eq!(lab.field("de", "notes.meta.json", "/n").unwrap(), "1");
    assert_eq!(lab.cat("fr", "notes.meta.json/inner.txt"), b"no document");
    lab.check_layers();
}

#[test]
fn a_change_flows_down_a_chain_in_one_step() {
    let lab = master();
    lab.edition("de", "main").edition("de-at", "de").edition("de-at-tv", "de-at");
    lab.change("de", &["/rating=\"16\""]);
    lab.change("main", &["/title=\"Dune 1\"", "/rating=\"18\""]);
    // The last of the chain alone does not move: what it inherits from stays.
    let alone = lab.propagate("main", &["de-at-tv"]);
    assert_eq!(row(&alone, "de-at-tv").state, TargetState::ParentStays);
    assert!(!alone.moved);

    let report = lab.propagate("main", &["de*"]);
    let names: Vec<&str> = report.targets.iter().map(|row| row.branch.as_str()).collect();
    assert_eq!(names, ["de", "de-at", "de-at-tv"]);
    for branch in ["de", "de-at", "de-at-tv"] {
        assert_eq!(field(&lab, branch, "/title").unwrap(), "\"Dune 1\"", "{branch}");
        assert_eq!(field(&lab, branch, "/rating").unwrap(), "\"16\"", "what de says flows on");
    }
    let pin = |branch: &str| {
        lab.repo.commit(lab.repo.resolve(branch).unwrap().id).unwrap().pin.unwrap().commit
    };
    assert_eq!(pin("de-at"), lab.repo.resolve("de").unwrap().id);
    assert_eq!(pin("de-at-tv"), lab.repo.resolve("de-at").unwrap().id);
    lab.check_layers();
    // P4: whatever the order the targets are named in.
    lab.repo.undo(None, &Silent).unwrap();
    let plan = |to: &[&str]| {
        let to: Vec<String> = to.iter().map(|it| (*it).to_owned()).collect();
        lab.repo.plan_propagation("main", &to, None).unwrap().digest().unwrap()
    };
    assert_eq!(plan(&["de-at-tv", "de", "de-at"]), plan(&["de", "de-at", "de-at-tv"]));
    // From one that is not at the top, too, as long as it is newer.
    assert!(lab.propagate("de", &["**"]).moved);
    assert_eq!(field(&lab, "de-at", "/rating").unwrap(), "\"16\"");
    assert_eq!(field(&lab, "de-at", "/title").unwrap(), "\"Dune\"");
    let back = lab.propagate("main~1", &["de"]);
    assert!(!back.moved && row(&back, "de").state == TargetState::UpToDate);
    lab.propagate("main", &["de"]);
    let back = lab.propagate("main~1", &["de"]);
    assert_eq!(row(&back, "de").state, TargetState::NotNewer);
    lab.check_layers();
}

/// A lab whose edition `de` overrides something in what main removes, and whose `fr` does not.
fn orphaning() -> Lab {
    let lab = master();
    lab.edition("de", "main").edition("fr", "main").edition("de-at", "de");
    lab.change("de", &["/cast/p1/name=\"B\""]);
    lab.switch("main").write(EDITION, r#"{"title": "Dune", "rating": "12", "cast": {}}"#);
    lab.commit("no p1");
    lab
}

#[test]
fn conflicts_stop_all_or_leave_out_some_or_are_committed() {
    let lab = orphaning();
    let before = heads(&lab);
    let stopped = lab.propagate("main", &["de*", "fr"]);
    assert!(!stopped.moved && stopped.operation.is_none());
    assert_eq!(stopped.conflicts, 1);
    assert_eq!(row(&stopped, "de").state, TargetState::Conflicts);
    assert_eq!(row(&stopped, "de-at").state, TargetState::ParentStays);
    assert_eq!(row(&stopped, "de").outcomes[0].conflict, Some("orphan_override"));
    assert_eq!(heads(&lab), before);

    let some = lab.try_propagate("main", &["de*", "fr"], &partial()).unwrap();
    assert!(some.moved);
    assert_eq!((&row(&some, "de").commit, &row(&some, "de-at").commit), (&None, &None));
    assert_eq!(field(&lab, "fr", "/cast").unwrap(), "{}");
    assert_eq!(field(&lab, "de", "/cast/p1/name").unwrap(), "\"B\"");

    let allowed = Carrying { allow_conflicts: true, ..Carrying::default() };
    assert!(lab.try_propagate("main", &["de*"], &allowed).unwrap().moved);
    lab.check_layers();
    let conflicts = lab.repo.conflicts(Some("de")).unwrap();
    assert_eq!(conflicts.len(), 1);
    assert_eq!(
        (conflicts[0].kind, conflicts[0].field.as_deref()),
        ("orphan_override", Some("/cast/p1"))
    );
    // Nobody inherits a disagreement, and no edition is begun from one.
    let refused = lab.try_propagate("de", &["de-at"], &Carrying::default());
    assert!(matches!(refused, Err(RepoError::Conflicts { .. })));
    let refused = lab.repo.make_edition("new", Some("de"), None, None);
    assert!(matches!(refused, Err(RepoError::Conflicts { .. })));

    // Settled for the parent's side: nothing is left to override.
    lab.switch("de").settle(Some(EDITION), Choice::Theirs);
    lab.finish_with("gone here, too");
    assert_eq!(field(&lab, "de", "/cast").unwrap(), "{}");
    assert!(lab.propagate("de", &["de-at"]).moved);
    assert_eq!(field(&lab, "de-at", "/cast").unwrap(), "{}");
    lab.check_layers();
}

#[test]
fn a_conflict_settled_for_the_edition_is_an_override() {
    let lab = orphaning();
    let allowed = Carrying { allow_conflicts: true, ..Carrying::default() };
    lab.try_propagate("main", &["de"], &allowed).unwrap();
    lab.switch("de").settle(Some(EDITION), Choice::Ours);
    lab.finish_with("p1 stays here");
    assert_eq!(field(&lab, "de", "/cast/p1/name").unwrap(), "\"B\"");
    lab.change("main", &["/cast/p1={\"name\": \"C\"}"]);
    let report = lab.propagate("main", &["de"]);
    assert_eq!(outcomes(row(&report, "de")), [("/cast/p1/name", "shadowed")]);
    // It is layered by its parts, as if the edition had been the first to make it.
    lab.change("main", &["/cast/p1/age=20"]);
    let report = lab.propagate("main", &["de"]);
    assert_eq!(outcomes(row(&report, "de")), [("/cast/p1/age", "flowed")]);
    assert_eq!(field(&lab, "de", "/cast/p1/name").unwrap(), "\"B\"");
    lab.check_layers();
}

/// Case 66, P5: one of nine heads moved meanwhile.
#[test]
fn nothing_moves_if_one_head_has_moved() {
    let lab = master();
    let names: Vec<String> = (1..=9).map(|n| format!("e{n}")).collect();
    for name in &names {
        lab.edition(name, "main");
    }
    lab.change("main", &["/title=\"Arrakis\""]);
    let plan = lab.repo.plan_propagation("main", &["e*".into()], None).unwrap();
    let digest = plan.digest().unwrap();
    lab.change("e5", &["/rating=\"16\""]);
    let before = heads(&lab);
    lab.switch("e3");
    let refused = lab.repo.carry_out_plan(&plan, &Carrying::default(), &Silent).unwrap_err();
    assert!(matches!(refused, RepoError::Refs(RefError::Moved { .. })), "{refused}");
    assert_eq!(refused.code(), "refs.moved");
    assert_eq!(heads(&lab), before);
    assert!(lab.is_clean() && lab.read(EDITION).unwrap().contains("Dune"));
    // Whoever names the plan they have seen is told that it is another now.
    let named = Carrying { plan: Some(digest), ..Carrying::default() };
    let refused = lab.try_propagate("main", &["e*"], &named).unwrap_err();
    assert_eq!(refused.code(), "plan.stale");
    assert_eq!(heads(&lab), before);
    // Looked at again, it is done, and one undo takes all nine back.
    assert_eq!(lab.propagate("main", &["e*"]).targets.len(), 9);
    assert!(lab.trees()["e5"] != lab.trees()["e4"]);
    lab.check_layers();
    lab.repo.undo(None, &Silent).unwrap();
    assert_eq!(heads(&lab), before);
    assert!(lab.is_clean() && lab.read(EDITION).unwrap().contains("Dune"));
}

/// P6: what is carried out are the roots that the plan named.
#[test]
fn a_dry_run_writes_nothing_and_says_what_will_be() {
    let lab = master();
    lab.edition("de", "main").edition("de-at", "de").change("de", &["/rating=\"16\""]);
    lab.change("main", &["/title=\"Arrakis\""]);
    let written = lab.store.counts().objects_written;
    let report = {
        let plan = lab.repo.plan_propagation("main", &["**".into()], None).unwrap();
        plan.report().unwrap()
    };
    assert_eq!(lab.store.counts().objects_written, written, "a dry run stores nothing");
    assert!(!report.moved);
    let named = Carrying { plan: Some(report.plan.clone()), ..Carrying::default() };
    let done = lab.try_propagate("main", &["**"], &named).unwrap();
    assert_eq!(done.plan, report.plan);
    let trees = lab.trees();
    for row in report.targets.iter().filter(|row| row.state == TargetState::Moves) {
        assert_eq!(row.tree.as_deref(), Some(trees[&row.branch].to_string().as_str()));
    }
    assert_eq!(row(&report, "main").state, TargetState::Unrelated);
}

#[test]
fn the_working_copy_follows_or_nothing_moves() {
    let lab = master();
    lab.edition("de", "main").edition("fr", "main").change("main", &["/title=\"Arrakis\""]);
    lab.switch("de").write(EDITION, r#"{"title": "being written"}"#);
    let before = heads(&lab);
    let refused = lab.try_propagate("main", &["de", "fr"], &Carrying::default());
    assert!(matches!(refused, Err(RepoError::LocalChanges { .. })));
    assert_eq!(heads(&lab), before);
    assert!(lab.read(EDITION).unwrap().contains("being written"));
    // What does not touch the change stays as it is.
    lab.write(EDITION, START).write("feature.mp4", "being cut");
    lab.propagate("main", &["de", "fr"]);
    assert!(lab.read(EDITION).unwrap().contains("Arrakis"));
    assert_eq!(lab.read("feature.mp4").unwrap(), "being cut");
    // What is staged about layers only is not passed over either.
    lab.change("main", &["/rating=\"18\""]).switch("de").set(&["/title=\"Arrakis\""]);
    let refused = lab.try_propagate("main", &["de"], &Carrying::default());
    assert!(matches!(refused, Err(RepoError::LocalChanges { .. })));
}

#[test]
fn a_merge_of_what_is_inherited_moves_the_pin() {
    let lab = master();
    lab.edition("de", "main").change("de", &["/rating=\"16\""]);
    lab.switch("main").set(&["/title=\"Arrakis\""]).write("feature.mp4", noise(9, 4000));
    lab.commit("title and picture");
    lab.switch("de");
    assert!(lab.merge("main").clean);
    assert_eq!(lab.cat("de", "feature.mp4"), noise(9, 4000), "a merge brings media, too");
    let pin = lab.repo.commit(lab.repo.resolve("de").unwrap().id).unwrap().pin.unwrap();
    assert_eq!(pin.commit, lab.repo.resolve("main").unwrap().id);
    lab.check_layers();
    // The title was merged, and is inherited all the same.
    lab.change("main", &["/title=\"Dune\""]);
    assert_eq!(outcomes(row(&lab.propagate("main", &["de"]), "de")), [("/title", "flowed")]);
    // With a conflict, the pin moves when the merge ends.
    lab.change("main", &["/rating=\"18\""]).switch("de");
    assert!(!lab.merge("main").clean);
    lab.settle(Some(EDITION), Choice::Theirs);
    lab.finish();
    assert_eq!(field(&lab, "de", "/rating").unwrap(), "\"18\"");
    let pin = lab.repo.commit(lab.repo.resolve("de").unwrap().id).unwrap().pin.unwrap();
    assert_eq!(pin.commit, lab.repo.resolve("main").unwrap().id);
    lab.check_layers();
}

#[test]
fn a_merge_of_anything_else_is_the_editions_own() {
    let lab = master();
    lab.edition("de", "main").edition("fr", "main");
    // A branch to work on inherits what the edition does, and brings its changes back.
    lab.switch("de");
    lab.repo.switch("de-work", true, false, &Silent).unwrap();
    lab.set(&["/title=\"Der Wüstenplanet\""]);
    lab.finish_with("German title");
    lab.switch("de");
    assert!(lab.merge("de-work").clean);
    lab.check_layers();
    lab.change("fr", &["/rating=\"10\""]).switch("de");
    assert!(lab.merge("fr").clean);
    lab.check_layers();
    lab.change("main", &["/title=\"Arrakis\"", "/rating=\"18\""]);
    let report = lab.propagate("main", &["de"]);
    assert_eq!(outcomes(row(&report, "de")), [("/rating", "shadowed"), ("/title", "shadowed")]);
    assert_eq!(field(&lab, "de", "/title").unwrap(), "\"Der Wüstenplanet\"");
    lab.check_layers();
}

/// Case 65.
#[test]
fn a_fix_is_applied_where_nobody_thought_otherwise() {
    let lab = Lab::new();
    lab.write(EDITION, r#"{"title": "Dnue", "year": 1}"#).commit("master");
    for name in ["a", "b", "c", "d", "e"] {
        lab.branch(name);
    }
    lab.edition("f", "main").edition("g", "f");
    lab.change("e", &["/title=\"Arrakis\""]);
    lab.change("main", &["/title=\"Dune\"", "/year=2"]);
    let fields: Vec<Pattern> = vec!["/title".parse().unwrap()];
    let before = heads(&lab);
    let request = PushRequest { fields, ..fix(&["?"]) };
    let report = lab.push(&request);
    for name in ["a", "b", "c", "d", "f"] {
        assert_eq!(field(&lab, name, "/title").unwrap(), "\"Dune\"", "{name}");
        assert_eq!(field(&lab, name, "/year").unwrap(), "1", "only what was named: {name}");
        assert_eq!(outcomes(row(&report, name)), [("/title", "applied")]);
    }
    assert_eq!(outcomes(row(&report, "e")), [("/title", "diverged")]);
    assert_eq!(field(&lab, "e", "/title").unwrap(), "\"Arrakis\"");
    // An override, where it was inherited; left alone, where it comes with the parent.
    assert!(row(&report, "f").outcomes[0].pins_override);
    assert!(!row(&report, "a").outcomes[0].pins_override);
    assert_eq!(outcomes(row(&report, "g")), [("/title", "via_parent")]);
    assert_eq!(field(&lab, "g", "/title").unwrap(), "\"Dnue\"");
    lab.check_layers();
    lab.propagate("f", &["g"]);
    assert_eq!(field(&lab, "g", "/title").unwrap(), "\"Dune\"");
    // Again, all have it.
    assert!(!lab.push(&fix(&["a"])).targets[0].outcomes.is_empty());
    lab.repo.undo(None, &Silent).unwrap();
    lab.repo.undo(None, &Silent).unwrap();
    lab.repo.undo(None, &Silent).unwrap();
    assert_eq!(heads(&lab), before, "one undo for each of the three");
}

#[test]
fn a_divergence_is_a_conflict_or_overruled_with_a_reason() {
    let lab = Lab::new();
    lab.write(EDITION, r#"{"title": "Dnue"}"#).commit("master");
    lab.branch("a").branch("b").change("b", &["/title=\"Arrakis\""]);
    lab.change("main", &["/title=\"Dune\""]);
    let request = PushRequest { diverged: Diverged::Conflict, ..fix(&["a", "b"]) };
    let stopped = lab.push(&request);
    assert!(!stopped.moved && stopped.conflicts == 1);
    let plan = lab.repo.plan_push(&request).unwrap();
    let allowed = Carrying { allow_conflicts: true, ..Carrying::default() };
    lab.repo.carry_out_plan(&plan, &allowed, &Silent).unwrap();
    drop(plan);
    let conflicts = lab.repo.conflicts(Some("b")).unwrap();
    assert_eq!((conflicts.len(), conflicts[0].kind), (1, "edit_edit"));
    assert_eq!(
        (&conflicts[0].base, &conflicts[0].ours, &conflicts[0].theirs),
        (&"Dnue".into(), &"Arrakis".into(), &"Dune".into())
    );
    lab.repo.undo(None, &Silent).unwrap();

    let force = PushRequest { diverged: Diverged::Force, ..fix(&["a", "b"]) };
    let refused = lab.repo.plan_push(&force).map(drop);
    assert!(matches!(refused, Err(RepoError::BadArgument { .. })));
    let reason = Some("The studio insists".into());
    let report = lab.push(&PushRequest { reason, ..force });
    assert!(row(&report, "b").outcomes[0].forced);
    assert_eq!(field(&lab, "b", "/title").unwrap(), "\"Dune\"");
    let commit = lab.repo.commit(lab.repo.resolve("b").unwrap().id).unwrap();
    assert!(commit.message.contains("Reason: The studio insists"), "{}", commit.message);
    // A change of nothing but media has nothing to push.
    lab.switch("main").write("a.bin", "x").commit("media");
    assert!(matches!(
        lab.repo.plan_push(&fix(&["a"])).map(drop),
        Err(RepoError::BadArgument { .. })
    ));
}

/// Whatever a commit says about layers is kept, checked, and found again.
#[test]
fn collection_keeps_layers_and_what_is_inherited() {
    let lab = master();
    lab.edition("de", "main").change("de", &["/rating=\"16\""]);
    lab.change("main", &["/title=\"Arrakis\""]).propagate("main", &["de"]);
    // The only way to what was inherited is the pin.
    lab.switch("de");
    lab.repo.remove_branch("main", true).unwrap();
    lab.set(&["/title=\"Arrakis\""]);
    let collector = lab.collector();
    for _ in 0..2 {
        let marked = collector.mark(0, &Silent).unwrap();
        collector.sweep(marked, false, &Silent).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let report = lab.repo.verify(Reading::Everything, &Silent).unwrap();
    assert!(report.damaged.is_empty() && report.missing.is_empty(), "{report:?}");
    lab.check_layers();
    // What is staged about layers is kept as well.
    lab.finish_with("keep the title");
    let commit = lab.repo.commit(lab.repo.resolve("de").unwrap().id).unwrap();
    let own = ottvc_object::tree::lookup_path(
        lab.repo.nodes(),
        commit.own.unwrap(),
        &RepoPath::new(EDITION).unwrap(),
    );
    assert!(own.unwrap().is_some());
    lab.reset("/title").unwrap();
}

#[test]
fn lineage_tells_who_lags_behind() {
    let lab = master();
    lab.repo.make_edition("de", Some("main"), Some("regional".into()), Some("DE".into())).unwrap();
    lab.edition("de-at", "de").branch("work").change("de", &["/rating=\"16\""]);
    lab.change("main", &["/title=\"Arrakis\"", "/year=1"]);
    let rows = lab.repo.lineage(None, true).unwrap();
    let told: Vec<_> = rows
        .iter()
        .map(|row| (row.branch.as_str(), row.depth, row.overrides, row.own.join(" ")))
        .collect();
    assert_eq!(
        told,
        [
            ("main", 0, 0, String::new()),
            ("de", 1, 1, "edition.meta.json#/rating".to_owned()),
            ("de-at", 2, 0, String::new()),
            ("work", 0, 0, String::new()),
        ]
    );
    let lacks = rows[1].lacks.as_ref().unwrap();
    assert_eq!((lacks.of.as_str(), lacks.changes), ("main", 2));
    assert_eq!(lacks.fields, ["edition.meta.json#/title", "edition.meta.json#/year"]);
    assert_eq!(rows[2].lacks.as_ref().unwrap().fields, ["edition.meta.json#/rating"]);
    // What it has itself would not come; what it has alike is nothing it lacks.
    lab.change("main", &["/rating=\"18\""]).change("de", &["/year=1"]);
    let rows = lab.repo.lineage(None, false).unwrap();
    let lacks = rows[1].lacks.as_ref().unwrap();
    assert_eq!(lacks.fields, ["edition.meta.json#/title"]);
    assert_eq!(lacks.overridden, ["edition.meta.json#/rating"]);
    lab.propagate("main", &["**"]);
    let rows = lab.repo.lineage(Some("de"), false).unwrap();
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().all(|row| row.lacks.is_none() && row.own.is_empty()));
}

/// A conflict given up for what is inherited was settled by nobody's word.
#[test]
fn what_is_reset_is_not_remembered() {
    let lab = master();
    lab.edition("de", "main").change("de", &["/rating=\"16\"", "/title=\"Wüste\""]);
    lab.change("main", &["/rating=\"14\"", "/title=\"Dune!\""]);
    let how = Carrying { allow_conflicts: true, ..Carrying::default() };
    let request = PushRequest { diverged: Diverged::Conflict, ..fix(&["de"]) };
    let plan = lab.repo.plan_push(&request).unwrap();
    assert!(lab.repo.carry_out_plan(&plan, &how, &Silent).unwrap().moved);
    lab.switch("de").reset("/rating").unwrap();
    lab.repo
        .settle(&ottvc_repo::resolving::Resolution {
            path: None,
            field: Some("/title".parse().unwrap()),
            choice: Some(Choice::Theirs),
            rules: Vec::new(),
        })
        .unwrap();
    lab.finish_with("settled");
    let fields: Vec<_> = lab.repo.memory().unwrap().into_iter().map(|it| it.field).collect();
    assert_eq!(fields, [Some("/title".to_owned())]);
}

/// Nodes read to propagate a change of one document of a library with `documents` to `editions`.
fn reads(documents: usize, editions: usize) -> u64 {
    let lab = Lab::new();
    lab.write(EDITION, START);
    for n in 0..documents {
        lab.write(&format!("extras/{:03}/{n:05}.meta.json", n % 40), format!(r#"{{"n": {n}}}"#));
    }
    lab.commit("master");
    for n in 0..editions {
        lab.edition(&format!("e/{n:04}"), "main");
    }
    // Each has something of its own, so that no two have one tree.
    let own = |n: usize| format!("/own={n}");
    for n in 0..editions {
        lab.change(&format!("e/{n:04}"), &[&own(n)]);
    }
    lab.change("main", &["/title=\"Arrakis\""]);
    let lab = lab.reopened();
    let before = lab.repo.nodes().reads();
    let report = lab.propagate("main", &["e/*"]);
    assert_eq!(report.totals["flowed"], editions as u64);
    assert!(report.moved);
    let reads = lab.repo.nodes().reads() - before;
    let operation = lab.repo.refs().operation(report.operation.unwrap()).unwrap().unwrap();
    assert_eq!(operation.edits.len(), editions, "one transaction");
    reads
}

/// The work is in proportion to what changed, not to what the editions hold; and all in one step.
#[test]
fn five_hundred_editions_move_in_one_transaction() {
    let few = reads(40, 50);
    let many = reads(2000, 50);
    // A change at the root of the tree: its nodes, of the edition and of its layers.
    assert!(many <= few + 2 * 50, "{few} and {many}");
    let large = reads(40, 500);
    assert!(large <= 4 * 500 && large <= 11 * few, "{few} for 50 and {large} for 500");
}

/// P8: a commit on one edition changes no other.
#[test]
fn editions_do_not_change_each_other() {
    let lab = master();
    lab.edition("de", "main").edition("de-at", "de");
    let before = lab.trees();
    lab.change("main", &["/title=\"Arrakis\""]).change("de", &["/rating=\"16\""]);
    let after = lab.trees();
    assert_eq!(before["de-at"], after["de-at"]);
    let pinned: CommitId =
        lab.repo.commit(lab.repo.resolve("de-at").unwrap().id).unwrap().pin.unwrap().commit;
    assert_ne!(pinned, lab.repo.resolve("de").unwrap().id);
    lab.check_layers();
}

/// What an edition says itself, as `lineage` names it.
fn own(lab: &Lab, branch: &str) -> Vec<String> {
    lab.repo.lineage(Some(branch), true).unwrap()[0].own.clone()
}

#[test]
fn a_merge_given_up_leaves_nothing_staged_about_layers() {
    let lab = master();
    lab.edition("de", "main").change("de", &["/rating=\"16\""]);
    lab.change("main", &["/rating=\"18\""]).switch("de");
    assert!(!lab.merge("main").clean);
    lab.set(&["/title=\"Dune\""]);
    lab.repo.abort_merge(&Silent).unwrap();
    lab.write("extras/note.txt", "unrelated").commit("unrelated");
    assert_eq!(own(&lab, "de"), ["edition.meta.json#/rating"]);
}

#[test]
fn undo_keeps_what_is_staged_about_layers() {
    let lab = master();
    lab.edition("de", "main").change("de", &["/rating=\"16\""]);
    // A reset that is taken back is staged again, and no override when it is committed after all.
    lab.switch("de").reset("/rating").unwrap();
    lab.finish_with("follow");
    lab.repo.undo(None, &Silent).unwrap();
    assert_eq!(own(&lab, "de"), ["edition.meta.json#/rating"]);
    lab.finish_with("follow after all");
    assert_eq!(own(&lab, "de"), Vec::<String>::new());
    // Files that move would leave behind what is staged.
    lab.change("main", &["/title=\"Arrakis\""]).switch("de");
    lab.propagate("main", &["de"]);
    lab.set(&["/title=\"Arrakis\""]);
    let refused = lab.repo.undo(None, &Silent);
    assert!(matches!(refused, Err(RepoError::LocalChanges { .. })));
    lab.finish_with("keep the title");
    assert_eq!(own(&lab, "de"), ["edition.meta.json#/title"]);
    // The commit taken back, and that taken back: nothing is lost on the way.
    let back = lab.repo.undo(None, &Silent).unwrap();
    lab.repo.undo(Some(back.id), &Silent).unwrap();
    assert_eq!(own(&lab, "de"), ["edition.meta.json#/title"]);
    assert!(lab.is_clean());
    lab.check_layers();
}

#[test]
fn an_edition_inherits_from_the_branch_that_was_named() {
    let lab = master();
    lab.branch("cut").edition("de", "cut");
    lab.change("cut", &["/title=\"Arrakis\""]);
    assert!(lab.propagate("cut", &["de"]).moved);
    assert_eq!(field(&lab, "de", "/title").unwrap(), "\"Arrakis\"");
    let rows = lab.repo.lineage(None, false).unwrap();
    let de = rows.iter().find(|row| row.branch == "de").unwrap();
    assert_eq!(de.inherits.as_ref().unwrap().branch.as_deref(), Some("cut"));
    // A branch without a commit of its own is no other edition for the commit it is at.
    lab.branch("uncut");
    assert_eq!(row(&lab.propagate("uncut", &["de"]), "de").state, TargetState::Unrelated);
    lab.check_layers();
}

#[test]
fn a_file_in_the_way_stops_only_its_own_edition() {
    let lab = master();
    lab.edition("de", "main").edition("fr", "main").branch("cut");
    for branch in ["de", "cut"] {
        lab.switch(branch).write("extras", "media").commit("a file where main has a folder");
    }
    lab.switch("main").write("extras/x.meta.json", r#"{"n": 1}"#).commit("extras");
    let force = PushRequest {
        diverged: Diverged::Force,
        reason: Some("The studio insists".into()),
        ..fix(&["cut", "de", "fr"])
    };
    let plan = lab.repo.plan_push(&force).unwrap().report().unwrap();
    assert_eq!(outcomes(row(&plan, "cut")), [("/", "diverged")]);
    assert_eq!(row(&plan, "cut").outcomes[0].blocked.as_deref(), Some("extras"));
    assert_eq!(row(&plan, "de").state, TargetState::UpToDate);
    assert_eq!(outcomes(row(&plan, "fr")), [("/", "applied")]);
    let report = lab.propagate("main", &["de", "fr"]);
    assert_eq!(outcomes(row(&report, "de")), [("/", "shadowed")]);
    assert_eq!(row(&report, "de").outcomes[0].blocked.as_deref(), Some("extras"));
    assert_eq!(lab.cat("de", "extras"), b"media");
    assert_eq!(lab.field("fr", "extras/x.meta.json", "/n").unwrap(), "1");
    lab.check_layers();
}

#[test]
fn what_does_not_inherit_is_told() {
    let lab = master();
    lab.edition("de", "main").branch("work").change("main", &["/year=7"]);
    let notices = |to: &[&str]| -> Vec<String> {
        lab.propagate("main", to).notices.into_iter().map(|it| it.branch).collect()
    };
    assert_eq!(notices(&["**"]), ["work"], "and not what is propagated");
    assert_eq!(notices(&["de"]), Vec::<String>::new());
    assert_eq!(notices(&["main"]), ["main"]);
}

#[test]
fn a_folder_with_the_name_of_an_inherited_document_is_refused_in_words() {
    let lab = master();
    lab.write("extras.meta.json", r#"{"n": 1}"#).commit("extras");
    lab.edition("de", "main").switch("de").delete("extras.meta.json");
    lab.write("extras.meta.json/a.meta.json", r#"{"n": 2}"#);
    match lab.try_commit("a folder") {
        Err(RepoError::InheritedName { folder, document }) => {
            assert_eq!(folder, "extras.meta.json");
            assert_eq!(document, "extras.meta.json/a.meta.json");
        }
        other => panic!("{other:?}"),
    }
    std::fs::rename(lab.disk("extras.meta.json"), lab.disk("extras")).unwrap();
    lab.commit("by another name");
    lab.check_layers();
}

#[test]
fn what_is_no_document_is_not_replaced_by_a_change_that_is_pushed() {
    let lab = master();
    lab.branch("folder").branch("conflict").branch("other").branch("free");
    lab.switch("folder").write("notes.meta.json/inner.txt", "no document").commit("odd names");
    lab.switch("other").write("notes.meta.json/a.txt", "a folder").commit("a folder");
    lab.switch("conflict").write("notes.meta.json", r#"{"n": 0}"#).commit("a document");
    lab.merge("other");
    let options = CommitOptions {
        message: Some("left in conflict".into()),
        allow_conflicts: true,
        ..CommitOptions::default()
    };
    lab.repo.record(lab.repo.root(), &options, &Silent).unwrap();
    let before = lab.repo.conflicts(Some("conflict")).unwrap();
    assert!(before.iter().all(|it| it.field.is_none()) && before.len() == 1, "{before:?}");
    let places = before[0].path.clone();
    lab.switch("main").write(&places, r#"{"n": 1}"#).commit("a document");
    let force = PushRequest {
        diverged: Diverged::Force,
        reason: Some("The studio insists".into()),
        ..fix(&["folder", "conflict", "free"])
    };
    let trees = lab.trees();
    let report = lab.push(&force);
    assert_eq!(outcomes(row(&report, "folder")), [("/", "diverged")]);
    assert_eq!(outcomes(row(&report, "conflict")), [("/", "diverged")]);
    assert_eq!(outcomes(row(&report, "free")), [("/", "applied")]);
    for branch in ["folder", "conflict"] {
        assert_eq!(lab.trees()[branch], trees[branch], "{branch}");
    }
    assert_eq!(lab.repo.conflicts(Some("conflict")).unwrap().len(), 1);
}

/// A target whose parent is a target, too, waits for it only where the change arrives there.
#[test]
fn who_inherits_from_where_a_change_does_not_arrive_is_judged_alone() {
    let lab = master();
    // The parent was at another rating, and its edition was begun before.
    lab.edition("de", "main").edition("de-at", "de").edition("de-at-tv", "de-at");
    lab.change("de", &["/rating=\"16\""]);
    lab.change("main", &["/rating=\"18\"", "/title=\"Arrakis\""]);
    let outcomes_of = |request: &PushRequest, branch: &str| -> Vec<(String, String)> {
        let plan = lab.repo.plan_push(request).unwrap();
        let report = plan.report().unwrap();
        let told = outcomes(row(&report, branch));
        told.into_iter().map(|(field, word)| (field.to_owned(), word.to_owned())).collect()
    };
    let told = |rating: &str| {
        vec![
            ("/rating".to_owned(), rating.to_owned()),
            ("/title".to_owned(), "via_parent".to_owned()),
        ]
    };
    let kept = fix(&["de", "de-at"]);
    assert_eq!(outcomes_of(&kept, "de-at"), told("applied"), "it would not come");
    let forced =
        PushRequest { diverged: Diverged::Force, reason: Some("law".into()), ..kept.clone() };
    assert_eq!(outcomes_of(&forced, "de-at"), told("via_parent"));
    let disputed = PushRequest { diverged: Diverged::Conflict, ..kept };
    assert_eq!(outcomes_of(&disputed, "de-at"), told("via_parent"), "settled once, above");
    // Through an edition that is no target.
    assert_eq!(outcomes_of(&fix(&["de", "de-at-tv"]), "de-at-tv"), told("applied"));
    lab.change("de-at", &["/title=\"Dune AT\""]);
    let apart = [("/rating", "applied"), ("/title", "applied")];
    let apart = apart.map(|(field, word)| (field.to_owned(), word.to_owned()));
    assert_eq!(outcomes_of(&fix(&["de", "de-at-tv"]), "de-at-tv"), apart);
    lab.push(&fix(&["de", "de-at-tv"]));
    assert_eq!(field(&lab, "de-at-tv", "/title").unwrap(), "\"Arrakis\"");
    lab.check_layers();
}

/// What is said of an edition changes, and nothing else.
#[test]
fn an_edition_is_described_anew() {
    let lab = master();
    lab.edition("de", "main").switch("de");
    let before = lab.repo.list_refs(RefKind::Branch).unwrap();
    let words = |class: &str, territory: &str| {
        let word = |it: &str| Some(it.to_owned());
        let row = lab.repo.describe_edition("de", word(class), word(territory)).unwrap();
        (row.class, row.territory, row.current)
    };
    assert_eq!(words("regional", "DE"), (Some("regional".into()), Some("DE".into()), true));
    let after = lab.repo.list_refs(RefKind::Branch).unwrap();
    assert_eq!((&after[0].commit, &after[0].edition), (&before[0].commit, &before[0].edition));
    assert_eq!(words("", "AT"), (None, Some("AT".into()), true));
    lab.repo.undo(None, &Silent).unwrap();
    let row = lab.repo.describe_edition("de", None, None).unwrap();
    assert_eq!((row.class.as_deref(), row.territory.as_deref()), (Some("regional"), Some("DE")));
    let control = lab.repo.describe_edition("de", Some("a\nb".into()), None).unwrap_err();
    assert_eq!(control.code(), "argument.bad");
    assert_eq!(lab.repo.describe_edition("no", None, None).unwrap_err().code(), "revision.unknown");
    // It inherits as before.
    lab.change("main", &["/title=\"Arrakis\""]).propagate("main", &["de"]);
    assert_eq!(field(&lab, "de", "/title").unwrap(), "\"Arrakis\"");
}

/// What would be too much for one document keeps its edition where it is, and those below; no other.
#[test]
fn what_would_not_fit_holds_one_edition_back() {
    let lab = Lab::new();
    let many = |key: char, count: usize| {
        let entries: Vec<String> = (0..count).map(|at| format!(r#""{key}{at}":1"#)).collect();
        format!(r#"{{"m":{{{}}}}}"#, entries.join(","))
    };
    lab.write(EDITION, r#"{"z":1}"#).commit("master");
    lab.edition("de", "main").edition("de-at", "de").edition("fr", "main");
    lab.switch("de").write(EDITION, many('k', 125_000)).commit("German");
    lab.switch("main").write(EDITION, many('j', 150_000)).commit("English");
    // Whatever is allowed: there is nothing that could be committed.
    let partial = Carrying { partial: true, allow_findings: true, ..Carrying::default() };
    let report = lab.try_propagate("main", &["**"], &partial).unwrap();
    let moved = |branch| row(&report, branch).commit.is_some();
    assert_eq!((moved("de"), moved("de-at"), moved("fr")), (false, false, true));
    let [found] = row(&report, "de").findings.as_slice() else { panic!("no finding") };
    assert_eq!((found.path.as_str(), found.rule), (EDITION, "limits"));
    lab.check_layers();
}
