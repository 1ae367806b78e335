//! Documents under a schema: bound with one command, written as plain JSON, merged by their fields, and
//! refused where they break it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod common;

use common::Lab;

/// A film whose metadata has the built-in schema.
fn edition() -> Lab {
    let lab = Lab::film();
    lab.ok("meta schema --use ott.edition/1");
    lab.write("edition.meta.json", r#"{"titles": {"en": "Northern Light"}, "genres": ["drama"]}"#);
    lab.ok("add .");
    lab.ok("commit -m Schema");
    lab
}

#[test]
fn a_schema_is_bound_and_what_breaks_it_refused() {
    let lab = Lab::film();
    insta::assert_snapshot!(lab.tell([
        "meta schema --use ott.edition/1",
        "status",
        r#"meta set edition.meta.json '/genres=["western","drama"]' '/year=2026'"#,
        "commit -m Schema",
        "meta get edition.meta.json /genres",
    ]), @"");
    insta::assert_snapshot!(lab.read("schemas.yaml"), @"");
    insta::assert_snapshot!(lab.read("edition.meta.json"), @"");
    insta::assert_snapshot!(lab.refused(1, "document.invalid", r#"meta set edition.meta.json /year=1600"#), @"");
    lab.write("edition.meta.json", r#"{"year": 1600, "class": "x", "runtime": "soon"}"#);
    insta::assert_snapshot!(lab.refused(1, "document.invalid", "commit -a -m Wrong"), @"");
    let (_, problem) = lab.json("commit -a -m Wrong");
    insta::assert_snapshot!(common::shape(&problem["findings"][0]), @"");
    insta::assert_snapshot!(lab.shape("meta schema --use ott.edition/1 trailers/**"), @"");
    insta::assert_snapshot!(lab.refused(2, "schema.bad_binding", "meta schema --use nobody/1"), @"");
    insta::assert_snapshot!(lab.refused(2, "argument.usage", "meta schema a b"), @"");
}

#[test]
fn a_house_schema_lies_in_the_tree() {
    let lab = Lab::film();
    lab.write("house.yaml", "schema: house.film/1\nfields:\n  /tags: {type: set, of: string}\n");
    insta::assert_snapshot!(lab.tell([
        "meta schema --use house.yaml '*.meta.json' 'trailers/**'",
        "status",
        "rm house.yaml --force",
        "commit -m x",
    ]), @"");
    let (_, problem) = lab.json("commit -m x");
    assert_eq!((&problem["path"], &problem["line"]), (&"schemas.yaml".into(), &5.into()));
}

#[test]
fn documents_merge_by_their_schema() {
    let lab = edition();
    lab.ok("switch -c de");
    lab.ok(r#"meta set edition.meta.json '/genres=["drama","heimat"]' /plays=3"#);
    lab.ok("commit -m German");
    lab.ok("switch main");
    lab.ok(r#"meta set edition.meta.json '/genres=["drama","western"]' /plays=4"#);
    lab.ok("commit -m Western");
    insta::assert_snapshot!(lab.tell(["merge de", "meta get edition.meta.json /plays", "status"]), @"");
    insta::assert_snapshot!(lab.read("edition.meta.json"), @"");
}

#[test]
fn what_was_settled_before_is_said_and_settled_alike() {
    let lab = edition();
    let part = |round: u32| {
        for (branch, title) in [("de", "Nordlicht"), ("main", "Northern Lights")] {
            lab.ok(&format!("switch {branch}"));
            lab.ok(&format!(
                r#"meta set edition.meta.json '/titles/@en="{title}"' /round={round}"#
            ));
            lab.ok(&format!("commit -m {branch}"));
        }
        assert_eq!(lab.run("merge de").status, 4);
    };
    lab.ok("branch de");
    part(1);
    insta::assert_snapshot!(lab.refused(4, "merge.conflicts", "meta get edition.meta.json"), @"");
    insta::assert_snapshot!(lab.tell([
        "meta get edition.meta.json /titles/@en --conflicts theirs",
        "resolve /titles --edition de --dry-run",
        "resolve /titles --edition de",
        "commit -q",
        "conflicts --memory",
    ]), @"");
    // The same again, from where both began.
    lab.ok(r#"meta set edition.meta.json '/titles/@en="Northern Light"'"#);
    lab.ok("commit -m Back");
    lab.ok("switch de");
    lab.ok("merge main");
    part(2);
    insta::assert_snapshot!(lab.tell([
        "conflicts",
        "resolve --suggested",
        "commit -q",
        "meta get edition.meta.json /titles/@en",
    ]), @"");
    let id = lab.json("conflicts --memory list").1["memory"][0]["id"].as_str().unwrap().to_owned();
    lab.ok(&format!("conflicts --memory forget {id}"));
    insta::assert_snapshot!(lab.tell(["conflicts --memory"]), @"");
}
