//! One change to many editions: `branch --class`, `propagate`, `apply`, `lineage`, `meta reset`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod common;

use common::Lab;
use serde_json::json;

/// A film with a German, a French and an Austrian edition; the German rating is its own.
fn editions() -> Lab {
    let lab = Lab::film();
    lab.ok("branch regional/de --class regional --territory DE");
    lab.ok("branch regional/fr --class regional --territory FR");
    lab.ok("branch regional/de-at regional/de --territory AT");
    lab.ok("switch regional/de");
    lab.ok("meta set edition.meta.json '/rating=\"16\"'");
    lab.ok("commit -m 'German rating'");
    lab.ok("switch main");
    lab
}

#[test]
fn a_change_of_the_master_reaches_every_edition() {
    let lab = editions();
    let told = lab.tell([
        "meta set edition.meta.json '/title/en=\"Northern Lights\"' '/rating=\"14\"'",
        "commit -m 'New title'",
        "lineage",
        "propagate main --to 'regional/*' --dry-run",
        "propagate main --to 'regional/*'",
        "lineage --long",
        "meta get regional/de-at /rating",
        "undo",
        "propagate main --to regional/fr",
        "propagate main --to regional/fr",
    ]);
    insta::assert_snapshot!(told, @"");
}

#[test]
fn propagate_and_lineage_answer_programs() {
    let lab = editions();
    lab.ok("meta set edition.meta.json '/rating=\"14\"'");
    lab.ok("commit -m Rating");
    insta::assert_snapshot!(lab.shape("lineage --long"), @"");
    insta::assert_snapshot!(lab.shape("propagate main --to 'regional/*' --dry-run"), @"");
    let (_, planned) = lab.json("propagate main --to 'regional/*' --dry-run");
    let plan = planned["plan"].as_str().unwrap();
    // What was looked at is what is done; or nothing, if it would be something else by now.
    lab.ok("switch regional/fr");
    lab.ok("commit --allow-empty -m 'In between'");
    let line = format!("propagate main --to 'regional/*' --plan {plan}");
    insta::assert_snapshot!(lab.refused(6, "plan.stale", &line), @"");
    let (_, planned) = lab.json("propagate main --to 'regional/*' --dry-run");
    let plan = planned["plan"].as_str().unwrap();
    let (status, done) = lab.json(&format!("propagate main --to 'regional/*' --plan {plan}"));
    assert_eq!((status, &done["moved"], &done["plan"]), (0, &json!(true), &planned["plan"]));
    assert_eq!(done["totals"], json!({ "flowed": 1, "shadowed": 1 }));
    insta::assert_snapshot!(lab.refused(3, "revision.unknown", "propagate main --to regoinal/de"), @"");
}

#[test]
fn an_edition_follows_again_after_reset() {
    let lab = editions();
    lab.ok("switch regional/de");
    let told = lab.tell([
        "meta reset edition.meta.json /rating",
        "status",
        "commit -m 'As everywhere'",
        "lineage regional/de --long",
    ]);
    insta::assert_snapshot!(told, @"");
    insta::assert_snapshot!(lab.shape("meta reset edition.meta.json"), @"");
    insta::assert_snapshot!(lab.refused(3, "layer.not_overridden", "meta reset edition.meta.json /title"), @"");
    lab.ok("switch main");
    insta::assert_snapshot!(lab.refused(6, "layer.no_parent", "meta reset edition.meta.json /title"), @"");
}

#[test]
fn conflicts_stop_all_unless_told_otherwise() {
    let lab = editions();
    lab.ok("switch regional/de");
    lab.ok("meta set edition.meta.json '/title/en=\"Aurora\"'");
    lab.ok("commit -m 'Its own title'");
    lab.ok("switch main");
    lab.ok("meta unset edition.meta.json /title");
    lab.ok("commit -m 'No title'");
    let told = lab.tell([
        "propagate main --to 'regional/*'",
        "propagate main --to 'regional/*' --partial",
        "propagate main --to regional/de --allow-conflicts",
        "conflicts regional/de",
        "propagate regional/de --to regional/de-at",
    ]);
    insta::assert_snapshot!(told, @"");
}

#[test]
fn a_fix_is_applied_field_by_field() {
    let lab = editions();
    lab.ok("branch work");
    lab.ok("meta set edition.meta.json '/rating=\"14\"' '/title/en=\"Northern Lights\"'");
    lab.ok("commit -m 'Rating and title'");
    let told = lab.tell([
        "apply main --fields /rating --to 'regional/*' work --dry-run",
        "apply main --fields /rating --to 'regional/*' work",
        "apply main --to regional/de --diverged conflict",
        "apply main --to regional/de --diverged force --reason 'The studio insists'",
        "log regional/de -n 1",
    ]);
    insta::assert_snapshot!(told, @"");
    insta::assert_snapshot!(lab.refused(2, "argument.bad", "apply main --to work --diverged force"), @"");
    insta::assert_snapshot!(lab.refused(2, "merge.bad_pattern", "apply main --to work --fields '/**/x'"), @"");
    insta::assert_snapshot!(lab.refused(2, "argument.bad", "apply main --to work --fields /year"), @"");
}
