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
    ]), @r#"
    $ ottvc meta schema --use ott.edition/1
    ott.edition/1 for *.meta.json; schemas.yaml is staged
    $ ottvc status
    On branch main at [short id] (Northern Light)

    Staged
      added     schemas.yaml

    next: ottvc commit -m MESSAGE
    $ ottvc meta set edition.meta.json '/genres=["western","drama"]' '/year=2026'
    edition.meta.json#/genres = ["western","drama"]
    edition.meta.json#/year = 2026
    $ ottvc commit -m Schema
    [main [short id]] Schema
     2 paths changed; 2 files, 1 document, 97.8 KiB in all
    $ ottvc meta get edition.meta.json /genres
    {
      "$set": [
        "drama",
        "western"
      ]
    }
    "#);
    insta::assert_snapshot!(lab.read("schemas.yaml"), @r#"
    documents:
      "*.meta.json": "ott.edition/1"
    "#);
    insta::assert_snapshot!(lab.read("edition.meta.json"), @r#"
    {
      "genres": [
        "drama",
        "western"
      ],
      "rating": "12",
      "title": {
        "en": "Northern Light"
      },
      "year": 2026
    }
    "#);
    insta::assert_snapshot!(lab.refused(1, "document.invalid", r#"meta set edition.meta.json /year=1600"#), @"
    error: `edition.meta.json#/year` breaks ott.edition/1, min: it is at least 1870, and it is 1600
    hint: the message names field and rule; `ottvc meta check` lists what is broken already
    ");
    lab.write("edition.meta.json", r#"{"year": 1600, "class": "x", "runtime": "soon"}"#);
    insta::assert_snapshot!(lab.refused(1, "document.invalid", "commit -a -m Wrong"), @"
    error: 3 fields break the schemas of their documents
    cause: `edition.meta.json#/class`, type: the type is set, and it is `x`
    cause: `edition.meta.json#/runtime`, format: it is no duration, and it is `soon`
    cause: `edition.meta.json#/year`, min: it is at least 1870, and it is 1600
    hint: the message names field and rule; `ottvc meta check` lists what is broken already
    ");
    let (_, problem) = lab.json("commit -a -m Wrong");
    insta::assert_snapshot!(common::shape(&problem["findings"][0]), @"{field: text, path: text, rule: text, schema: text, value: text, why: text}");
    insta::assert_snapshot!(lab.shape("meta schema --use ott.edition/1 trailers/**"), @"{path: text, patterns: [text], schema: text}");
    insta::assert_snapshot!(lab.refused(2, "schema.bad_binding", "meta schema --use nobody/1"), @"
    error: `schemas.yaml` cannot be used
    cause: line 3: `*.meta.json` cannot be `nobody/1`: no schema is called that; ott.edition/1 is built in, `schemas` lists others
    hint: mend schemas.yaml at that line; docs/merge.md shows one
    ");
    insta::assert_snapshot!(lab.refused(2, "argument.usage", "meta schema a b"), @"
    error: one schema is printed at a time
    hint: --use NAME PATTERN... binds documents to one
    ");
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
    ]), @"
    $ ottvc meta schema --use house.yaml '*.meta.json' 'trailers/**'
    house.film/1 for *.meta.json, trailers/**; schemas.yaml is staged
    $ ottvc status
    On branch main at [short id] (Northern Light)

    Staged
      added     house.yaml
      added     schemas.yaml

    next: ottvc commit -m MESSAGE
    $ ottvc rm house.yaml --force
    removed house.yaml
    $ ottvc commit -m x
    error: `schemas.yaml` cannot be used
    cause: line 5: `house.film/1` cannot be `house.yaml`: there is no such file in this tree
    hint: mend schemas.yaml at that line; docs/merge.md shows one
    [status 2]
    ");
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
    insta::assert_snapshot!(lab.tell(["merge de", "meta get edition.meta.json /plays", "status"]), @r#"
    $ ottvc merge de
    merged de ([short id]) as [short id]: 1 path changed

    modified  edition.meta.json
        /genres  + "heimat"
        /plays  4 -> 7
    $ ottvc meta get edition.meta.json /plays
    7
    $ ottvc status
    On branch main at [short id] (Northern Light)

    Nothing to commit, nothing changed
    "#);
    insta::assert_snapshot!(lab.read("edition.meta.json"), @r#"
    {
      "genres": [
        "drama",
        "heimat",
        "western"
      ],
      "plays": 7,
      "titles": {
        "en": "Northern Light"
      }
    }
    "#);
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
    insta::assert_snapshot!(lab.refused(4, "merge.conflicts", "meta get edition.meta.json"), @"
    error: conflicts are left in `edition.meta.json#/titles/@en`
    hint: --conflicts markers|ours|theirs|base|omit says what to show
    ");
    insta::assert_snapshot!(lab.tell([
        "meta get edition.meta.json /titles/@en --conflicts theirs",
        "resolve /titles --edition de --dry-run",
        "resolve /titles --edition de",
        "commit -q",
        "conflicts --memory",
    ]), @r#"
    $ ottvc meta get edition.meta.json /titles/@en --conflicts theirs
    "Nordlicht"
    $ ottvc resolve /titles --edition de --dry-run
    would resolve edition.meta.json#/titles/@en  theirs  "Nordlicht"
    $ ottvc resolve /titles --edition de
    resolved edition.meta.json#/titles/@en  theirs
    no conflicts left; next: ottvc commit
    $ ottvc commit -q
    $ ottvc conflicts --memory
    [short id]  edition.meta.json#/titles/@en  "Nordlicht"
    "#);
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
    ]), @r#"
    $ ottvc conflicts
    edition.meta.json
      /titles/@en  changed on both sides
        base         "Northern Light"
        ours (main)  "Northern Lights"
        theirs (de)  "Nordlicht"
        settled before as "Nordlicht"  [short id]
        settle: ottvc resolve 'edition.meta.json#/titles/@en' --take ours
                (or theirs, base, --value JSON; --suggested settles it as before)
    $ ottvc resolve --suggested
    resolved edition.meta.json#/titles/@en  memory
    no conflicts left; next: ottvc commit
    $ ottvc commit -q
    $ ottvc meta get edition.meta.json /titles/@en
    "Nordlicht"
    "#);
    let id = lab.json("conflicts --memory list").1["memory"][0]["id"].as_str().unwrap().to_owned();
    lab.ok(&format!("conflicts --memory forget {id}"));
    insta::assert_snapshot!(lab.tell(["conflicts --memory"]), @"
    $ ottvc conflicts --memory
    nothing is remembered
    ");
    lab.ok("config set merge.memory off");
    insta::assert_snapshot!(lab.tell(["conflicts --memory"]), @"
    $ ottvc conflicts --memory
    memory is off; `ottvc config set merge.memory suggest` turns it on
    ");
    assert_eq!(lab.json("conflicts --memory").1, serde_json::json!({ "memory": [], "on": false }));
}

#[test]
fn a_long_value_that_was_settled_before_is_shown_from_where_it_parts() {
    let lab = edition();
    let part = |round: u32| {
        for (branch, value) in [("de", "16"), ("main", "18")] {
            lab.ok(&format!("switch {branch}"));
            lab.ok(&format!(
                r#"meta set edition.meta.json '/custom/board=["Freiwillige Selbstkontrolle der Filmwirtschaft, Wiesbaden", "{value}"]' /round={round}"#
            ));
            lab.ok(&format!("commit -m {branch}"));
        }
        assert_eq!(lab.run("merge de").status, 4);
    };
    let board = r#"["Freiwillige Selbstkontrolle der Filmwirtschaft, Wiesbaden", "12"]"#;
    lab.ok(&format!("meta set edition.meta.json '/custom/board={board}'"));
    lab.ok("commit -m Board");
    lab.ok("branch de");
    part(1);
    lab.ok("resolve --all --take theirs");
    lab.ok("commit -q");
    lab.ok(&format!("meta set edition.meta.json '/custom/board={board}'"));
    lab.ok("commit -m Back");
    lab.ok("switch de");
    lab.ok("merge main");
    part(2);
    let narrow = lab.command("conflicts").env("COLUMNS", "70").output().unwrap();
    insta::assert_snapshot!(common::Ran::from(narrow).out, @r#"
    edition.meta.json
      /custom/board  changed on both sides
        base
          …sbaden", "12"] (67 characters)
        ours (main)
          …sbaden", "18"] (67 characters)
        theirs (de)
          …sbaden", "16"] (67 characters)
        settled before as  [short id]
          …sbaden", "16"] (67 characters)
        settle:
          ottvc resolve 'edition.meta.json#/custom/board' --take ours
          (or theirs, base, --value JSON; --suggested settles it as
          before)
    "#);
    insta::assert_snapshot!(lab.tell(["conflicts", "resolve --suggested --dry-run"]), @r#"
    $ ottvc conflicts
    edition.meta.json
      /custom/board  changed on both sides
        base
          ["Freiwillige Selbstkontrolle der Filmwirtschaft, Wiesbaden", "12"]
        ours (main)
          ["Freiwillige Selbstkontrolle der Filmwirtschaft, Wiesbaden", "18"]
        theirs (de)
          ["Freiwillige Selbstkontrolle der Filmwirtschaft, Wiesbaden", "16"]
        settled before as  [short id]
          ["Freiwillige Selbstkontrolle der Filmwirtschaft, Wiesbaden", "16"]
        settle: ottvc resolve 'edition.meta.json#/custom/board' --take ours
                (or theirs, base, --value JSON; --suggested settles it as before)
    $ ottvc resolve --suggested --dry-run
    would resolve edition.meta.json#/custom/board  memory
        ["Freiwillige Selbstkontrolle der Filmwirtschaft, Wiesbaden", "16"]
    "#);
}

#[test]
fn a_field_that_the_schema_does_not_know_is_told_of() {
    let lab = edition();
    insta::assert_snapshot!(lab.tell([
        r#"meta set edition.meta.json '/titels/@en="Northern Lights"'"#,
        r#"meta set edition.meta.json '/titles/en="Northern Lights"'"#,
        r#"meta set edition.meta.json '/mood="dark"' '/ids/imdb="tt1"' '/ids/eidrs="x"' '/year=2026'"#,
        r#"meta set edition.meta.json '/custom/house="x"'"#,
    ]), @r#"
    $ ottvc meta set edition.meta.json '/titels/@en="Northern Lights"'
    edition.meta.json#/titels/@en = "Northern Lights"
    note: ott.edition/1 has no field /titels; did you mean /titles?
    $ ottvc meta set edition.meta.json '/titles/en="Northern Lights"'
    note: ott.edition/1 has no field /titles/en; did you mean /titles/@en?
    error: bad value at /titles: a localized map has no step `en`
    hint: did you mean /titles/@en?
    [status 1]
    $ ottvc meta set edition.meta.json '/mood="dark"' '/ids/imdb="tt1"' '/ids/eidrs="x"' '/year=2026'
    edition.meta.json#/mood = "dark"
    edition.meta.json#/ids/imdb = "tt1"
    edition.meta.json#/ids/eidrs = "x"
    edition.meta.json#/year = 2026
    note: ott.edition/1 has no field /mood; did you mean /moods?
    note: ott.edition/1 has no field /ids/eidrs; did you mean /ids/eidr?
    $ ottvc meta set edition.meta.json '/custom/house="x"'
    edition.meta.json#/custom/house = "x"
    "#);
    let (_, answer) = lab.json(r#"meta set edition.meta.json '/titels/@en="N"'"#);
    assert_eq!(answer["notices"].as_array().unwrap().len(), 1);
}

#[test]
fn what_is_given_once_stays_in_a_merge() {
    let lab = edition();
    lab.ok(r#"meta set edition.meta.json '/ids/isan="A"'"#);
    lab.ok("commit -m 'An id'");
    lab.ok("branch cut");
    lab.ok("meta set edition.meta.json /year=2026");
    lab.ok("commit -m Year");
    // What no commit under the schema may do.
    lab.ok("switch cut");
    lab.ok("rm schemas.yaml");
    lab.ok(r#"meta set edition.meta.json '/ids/isan="B"'"#);
    lab.ok("commit -m 'Another id'");
    lab.ok("meta schema --use ott.edition/1");
    lab.ok("commit -m Schema");
    lab.ok("switch main");
    insta::assert_snapshot!(lab.refused(1, "document.invalid", r#"meta set edition.meta.json '/ids/isan="B"'"#), @"
    error: `edition.meta.json#/ids/isan` breaks ott.edition/1, immutable: it stays `A`, and it is `B`
    hint: the message names field and rule; `ottvc meta check` lists what is broken already
    ");
    let (status, dry) = lab.json("merge cut --dry-run");
    assert_eq!((status, dry["findings"][0]["rule"].as_str()), (7, Some("immutable")));
    insta::assert_snapshot!(lab.tell([
        "merge cut",
        "commit",
        r#"meta set edition.meta.json '/ids/isan="A"'"#,
        "commit",
        "meta get main /ids",
    ]), @r#"
    $ ottvc merge cut
    merging cut ([short id]): 1 path changed, 1 finding

    modified  edition.meta.json
        /ids/isan  "A" -> "B"

    edition.meta.json#/ids/isan  was given once: it stays `A`, and it is `B`
      settle: ottvc meta set edition.meta.json '/ids/isan="A"'

    next: settle each as shown, then ottvc commit, or ottvc merge --abort
    [status 7]
    $ ottvc commit
    error: `edition.meta.json#/ids/isan` breaks ott.edition/1, immutable: it stays `A`, and it is `B`
    hint: the message names field and rule; `ottvc meta check` lists what is broken already
    [status 1]
    $ ottvc meta set edition.meta.json '/ids/isan="A"'
    edition.meta.json#/ids/isan = "A"
    $ ottvc commit
    [main [short id]] Merge cut
     0 paths changed; 2 files, 1 document, 97.8 KiB in all
     1 path of theirs left out of the merge: edition.meta.json
    $ ottvc meta get main /ids
    {
      "isan": "A"
    }
    "#);
}
