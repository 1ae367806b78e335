//! What an editor takes back and looks up: `restore`, `meta check`, and what commands say of what is broken.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod common;

use common::Lab;

#[test]
fn a_spoilt_edit_in_a_merge_is_taken_back() {
    let lab = Lab::film();
    lab.ok("switch -c de");
    lab.ok(r#"meta set edition.meta.json '/rating="16"' /year=2026"#);
    lab.ok("commit -m German");
    lab.ok("switch main");
    lab.ok(r#"meta set edition.meta.json '/rating="18"'"#);
    lab.ok("commit -m Correction");
    assert_eq!(lab.run("merge de").status, 4);
    lab.ok("resolve edition.meta.json#/rating --take base");
    lab.write("edition.meta.json", "{ spoilt");
    insta::assert_snapshot!(lab.tell([
        "status",
        "restore edition.meta.json --dry-run",
        "restore edition.meta.json",
        "conflicts",
        "restore edition.meta.json",
        "resolve edition.meta.json#/rating --take theirs",
        "commit",
        "meta get main",
    ]), @r#"
    $ ottvc status
    On branch main at [short id] (Northern Light)
    A merge of de is not finished  (ottvc restore PATH gives a file back as it made it)

    Staged
      modified  edition.meta.json

    Changed, not staged
      modified  edition.meta.json

    next: ottvc commit (finishes the merge)
    $ ottvc restore edition.meta.json --dry-run
    would be restored edition.meta.json  as the merge made it
    $ ottvc restore edition.meta.json
    restored edition.meta.json  as the merge made it
    1 conflict there; next: ottvc conflicts
    $ ottvc conflicts
    edition.meta.json
      /rating  changed on both sides
        base         "12"
        ours (main)  "18"
        theirs (de)  "16"
        settle: ottvc resolve 'edition.meta.json#/rating' --take ours
                (or theirs, base, --value JSON)
    $ ottvc restore edition.meta.json
    nothing to restore: all of it is so already
    $ ottvc resolve edition.meta.json#/rating --take theirs
    resolved edition.meta.json#/rating  theirs
    no conflicts left; next: ottvc commit
    $ ottvc commit
    [main [short id]] Merge de
     1 path changed; 1 file, 1 document, 97.7 KiB in all
    $ ottvc meta get main
    {
      "rating": "16",
      "title": {
        "en": "Northern Light"
      },
      "year": 2026
    }
    "#);
    lab.write("feature.mp4", "recut");
    lab.write("new.txt", "new");
    lab.ok("add new.txt");
    insta::assert_snapshot!(lab.tell([
        "status",
        "restore feature.mp4",
        "restore --staged new.txt",
        "status",
        "restore --from HEAD^2 edition.meta.json",
        "diff",
    ]), @"
    $ ottvc status
    On branch main at [short id] (Northern Light)

    Staged
      added     new.txt

    Changed, not staged  (ottvc restore PATH gives back what is staged)
      modified  feature.mp4

    next: ottvc commit -m MESSAGE
    $ ottvc restore feature.mp4
    restored feature.mp4  as it is staged
    $ ottvc restore --staged new.txt
    staged new.txt  as in [short id]
    $ ottvc status
    On branch main at [short id] (Northern Light)

    Untracked
      new.txt

    next: ottvc add . (stores and stages what is untracked)
    $ ottvc restore --from HEAD^2 edition.meta.json
    nothing to restore: all of it is so already
    $ ottvc diff
    ");
    insta::assert_snapshot!(lab.shape("restore edition.meta.json"), @"{conflicts: [], from: text, removed: [], restored: [], staged: []}");
    insta::assert_snapshot!(lab.refused(3, "path.not_found", "restore featre.mp4"), @"
    error: `featre.mp4` is not in what is staged
    hint: did you mean `feature.mp4`?
    ");
    insta::assert_snapshot!(lab.refused(3, "revision.unknown", "restore --from nobody feature.mp4"), @"
    error: no revision is called `nobody`
    hint: `ottvc branch`, `ottvc tag` and `ottvc log` list what there is
    ");
    lab.ok("rm feature.mp4");
    lab.ok("commit -m Gone");
    lab.write("feature.mp4", "another");
    insta::assert_snapshot!(lab.refused(6, "worktree.local_changes", "restore --from HEAD~1 feature.mp4"), @"
    error: local changes to `feature.mp4` would be lost
    hint: move them away, or give them up with --force
    ");
    lab.ok("restore --from HEAD~1 feature.mp4 --force");
    assert_eq!(lab.read("new.txt"), "new");
}

#[test]
fn what_documents_break_is_listed_and_mended_one_by_one() {
    let lab = Lab::film();
    insta::assert_snapshot!(lab.tell(["meta check"]), @"
    $ ottvc meta check
    no document there has a schema
    ");
    lab.ok(r#"meta set edition.meta.json /year=1600 '/class="x"'"#);
    lab.ok("commit -m Broken");
    lab.ok("meta schema --use ott.edition/1");
    lab.ok("commit -m Schema");
    insta::assert_snapshot!(lab.tell([
        "meta check",
        "meta check main:edition.meta.json",
        "meta check HEAD~1",
        "meta set edition.meta.json /year=2026",
        "meta set edition.meta.json /year=1600",
        "commit -m Half",
        "meta unset edition.meta.json /class",
        "meta check feature.mp4",
        "meta check .",
        "commit -m Whole",
    ]), @"
    $ ottvc meta check
    edition.meta.json  ott.edition/1
      /class  type: the type is set, and it is `x`
      /year  min: it is at least 1870, and it is 1600
    2 findings; 1 document looked at
    [status 7]
    $ ottvc meta check main:edition.meta.json
    edition.meta.json  ott.edition/1
      /class  type: the type is set, and it is `x`
      /year  min: it is at least 1870, and it is 1600
    2 findings; 1 document looked at
    [status 7]
    $ ottvc meta check HEAD~1
    no document there has a schema
    $ ottvc meta set edition.meta.json /year=2026
    edition.meta.json#/year = 2026
    note: edition.meta.json#/class still breaks ott.edition/1, type: the type is set, and it is `x`
    $ ottvc meta set edition.meta.json /year=1600
    error: `edition.meta.json#/year` breaks ott.edition/1, min: it is at least 1870, and it is 1600
    hint: the message names field and rule; `ottvc meta check` lists what is broken already
    [status 1]
    $ ottvc commit -m Half
    error: `edition.meta.json#/class` breaks ott.edition/1, type: the type is set, and it is `x`
    hint: the message names field and rule; `ottvc meta check` lists what is broken already
    [status 1]
    $ ottvc meta unset edition.meta.json /class
    edition.meta.json#/class removed
    $ ottvc meta check feature.mp4
    error: `feature.mp4.meta.json` is not in the working copy
    hint: `ottvc ls -r REV` lists what a revision holds, `ottvc status` what is here
    [status 3]
    $ ottvc meta check .
    1 document looked at, nothing found
    $ ottvc commit -m Whole
    [main [short id]] Whole
     1 path changed; 2 files, 1 document, 97.7 KiB in all
    ");
    insta::assert_snapshot!(lab.shape("meta check HEAD~1"), @"{documents: number, findings: [{field: text, path: text, rule: text, schema: text, value: text, why: text}], revision: text} [status 7]");
    lab.ok("branch old HEAD~1");
    lab.ok("switch old");
    let (_, set) = lab.json("meta set edition.meta.json /year=2026");
    assert_eq!(set["findings"][0]["field"], "/class");
    insta::assert_snapshot!(lab.refused(3, "path.not_found", "meta check nothing.meta.json"), @"
    error: `nothing.meta.json` is not in the working copy
    hint: `ottvc ls -r REV` lists what a revision holds, `ottvc status` what is here
    ");
    // Two items with one key are no matter of the type.
    let item = r#"{"person": "p1", "function": "actor"}"#;
    lab.write("edition.meta.json", format!(r#"{{"cast": [{item}, {item}]}}"#));
    let (status, checked) = lab.json("meta check edition.meta.json");
    assert_eq!((status, checked["findings"].as_array().unwrap().len()), (7, 1));
    let why = "two items have the key person=`p1`,function=`actor`";
    assert_eq!(checked["findings"][0]["why"], why);
}

#[test]
fn a_name_is_given_to_a_side_only_if_the_edition_has_it() {
    let lab = Lab::film();
    for (branch, rating) in [("de", "16"), ("fr", "14")] {
        lab.ok(&format!("branch {branch} main"));
        lab.ok(&format!("switch {branch}"));
        lab.ok(&format!(r#"meta set edition.meta.json '/rating="{rating}"'"#));
        lab.ok(&format!("commit -m {branch}"));
        lab.ok("switch main");
    }
    // The branch keeps what both say; main goes on from what they began with, and changes it, too.
    lab.ok("switch de");
    lab.ok("merge fr --allow-conflicts");
    lab.ok("switch main");
    lab.ok(r#"meta set edition.meta.json /year=2026"#);
    lab.ok("commit -m Year");
    lab.ok("merge de --allow-conflicts");
    insta::assert_snapshot!(lab.tell(["conflicts"]), @r#"
    $ ottvc conflicts
    edition.meta.json
      /rating  changed on both sides
        base    "12"
        ours    "16"
        theirs  "14"
        settle: ottvc resolve 'edition.meta.json#/rating' --take ours
                (or theirs, base, --value JSON)
    "#);
    lab.ok("undo");
    lab.ok(r#"meta set edition.meta.json '/rating="18"'"#);
    lab.ok("commit -m Rating");
    assert_eq!(lab.run("merge de").status, 4);
    insta::assert_snapshot!(lab.tell([
        "conflicts",
        "resolve --all --edition de",
        "resolve --all --edition main --dry-run",
        "resolve --all --edition main",
        "meta get edition.meta.json /rating",
    ]), @r#"
    $ ottvc conflicts
    edition.meta.json
      /rating  changed on both sides
        base         "12"
        ours (main)  "18"
        theirs       "14"
        3 sides in all; --json shows them
        settle: ottvc resolve 'edition.meta.json#/rating' --take ours
                (or theirs, base, --value JSON)
    $ ottvc resolve --all --edition de
    error: `de` is no side: none of those at edition.meta.json#/rating is its value
    hint: `ottvc help resolve` says what it takes
    [status 2]
    $ ottvc resolve --all --edition main --dry-run
    would resolve edition.meta.json#/rating  ours  "18"
    $ ottvc resolve --all --edition main
    resolved edition.meta.json#/rating  ours
    no conflicts left; next: ottvc commit
    $ ottvc meta get edition.meta.json /rating
    "18"
    "#);
}

#[test]
fn errors_say_what_to_do_next() {
    let lab = Lab::film();
    lab.ok("switch -c de");
    lab.write("feature.mp4", "two");
    lab.ok("commit -a -m two");
    lab.ok("switch main");
    lab.write("feature.mp4", "three");
    lab.ok("commit -a -m three");
    assert_eq!(lab.run("merge de --allow-conflicts").status, 0, "as it was told to");
    insta::assert_snapshot!(lab.refused(3, "merge.nothing_remembered", "resolve --all --suggested"), @"
    error: nothing is remembered of these conflicts
    hint: take a side with `ottvc resolve --take`; `ottvc conflicts --memory` lists what is remembered
    ");
    insta::assert_snapshot!(lab.refused(4, "merge.conflicts", "checkout main --to ../out --conflicts markers"), @"
    error: conflicts are left in feature.mp4, and a file has no place for marks
    hint: --conflicts ours|theirs|base|omit says what to show of a file
    ");
    insta::assert_snapshot!(lab.refused(4, "merge.conflicts", "cat main:feature.mp4"), @"
    error: conflicts are left in `feature.mp4`
    hint: --conflicts markers|ours|theirs|base|omit says what to show
    ");
    let (status, help) = lab.json("help merge");
    assert_eq!(status, 0);
    assert!(help["text"].as_str().unwrap().contains("--allow-conflicts"));
    assert_eq!(lab.json("merge --help").1, help);
    insta::assert_snapshot!(lab.tell(["show de:edition.meta.json"]), @r#"
    $ ottvc show de:edition.meta.json
    {
      "rating": "12",
      "title": {
        "en": "Northern Light"
      }
    }
    "#);
    assert_eq!(lab.ok("show de:feature.mp4"), "two");
}

#[test]
fn what_is_staged_is_hinted_at_where_nothing_else_differs() {
    let lab = Lab::film();
    lab.ok("meta set edition.meta.json '/rating=\"18\"'");
    lab.write("feature.mp4", "recut");
    lab.ok("add feature.mp4");
    insta::assert_snapshot!(lab.tell([
        "restore edition.meta.json",
        "restore .",
        "restore . --staged --worktree",
        "restore .",
    ]), @"
    $ ottvc restore edition.meta.json
    nothing to restore: all of it is so already
    staged, and not as in the last commit: edition.meta.json; ottvc restore --staged --worktree PATH gives that back
    $ ottvc restore .
    nothing to restore: all of it is so already
    staged, and not as in the last commit: edition.meta.json, feature.mp4; ottvc restore --staged --worktree PATH gives that back
    $ ottvc restore . --staged --worktree
    restored edition.meta.json  as in [short id]
    restored feature.mp4  as in [short id]
    $ ottvc restore .
    nothing to restore: all of it is so already
    ");
}

/// What was taken out of a merge's stage is no part of what it brings, and said so until it is committed.
#[test]
fn what_is_left_out_of_a_merge_is_told() {
    let lab = Lab::film();
    lab.ok("switch -c de");
    lab.write("trailer.mp4", "trailer");
    lab.write("gone.txt", "of theirs");
    lab.ok("meta set edition.meta.json /year=2026");
    lab.ok("add .");
    lab.ok("commit -m German");
    lab.ok("switch main");
    lab.write("own.txt", "ours");
    lab.ok("add .");
    lab.ok("commit -m Own");
    lab.ok(r#"meta set edition.meta.json '/rating="18"'"#);
    lab.ok("commit -m Correction");
    lab.ok("switch de");
    lab.ok(r#"meta set edition.meta.json '/rating="16"'"#);
    lab.ok("commit -m Rating");
    lab.ok("switch main");
    assert_eq!(lab.run("merge de").status, 4);
    assert_eq!(lab.json("status").1["left_out"], serde_json::Value::Null);
    insta::assert_snapshot!(lab.tell([
        "restore --staged .",
        "status",
        "restore trailer.mp4",
        "status",
        "commit",
    ]), @"
    $ ottvc restore --staged .
    staged edition.meta.json  as in [short id]
    staged gone.txt  as in [short id]
    staged trailer.mp4  as in [short id]
    1 conflict settled as ours, 3 paths of theirs left out; ottvc restore PATH brings them back
    $ ottvc status
    On branch main at [short id] (Northern Light)
    A merge of de is not finished  (ottvc restore PATH gives a file back as it made it)

    Changed, not staged
      modified  edition.meta.json

    Untracked
      gone.txt
      trailer.mp4

    Left out of the merge  (ottvc restore PATH brings it back)
      edition.meta.json
      gone.txt
      trailer.mp4

    next: ottvc commit (finishes the merge, without what is left out)
    $ ottvc restore trailer.mp4
    staged trailer.mp4  as the merge made it
    $ ottvc status
    On branch main at [short id] (Northern Light)
    A merge of de is not finished  (ottvc restore PATH gives a file back as it made it)

    Staged
      added     trailer.mp4

    Changed, not staged
      modified  edition.meta.json

    Untracked
      gone.txt

    Left out of the merge  (ottvc restore PATH brings it back)
      edition.meta.json
      gone.txt

    next: ottvc commit (finishes the merge, without what is left out)
    $ ottvc commit
    [main [short id]] Merge de
     1 path changed; 3 files, 1 document, 97.7 KiB in all
     2 paths of theirs left out of the merge: edition.meta.json, gone.txt
    ");
}

#[test]
fn a_name_that_is_a_revision_and_a_path_is_neither() {
    let lab = Lab::film();
    lab.ok("branch feature");
    lab.write("feature/edition.meta.json", r#"{"rating": 12}"#);
    lab.ok("add .");
    lab.ok("commit -m Folder");
    for line in ["meta check feature", "diff feature"] {
        insta::allow_duplicates! {
            insta::assert_snapshot!(lab.refused(2, "argument.usage", line), @"
            error: `feature` is a revision, and a path as well
            hint: write ./feature for the path, feature~0 for the revision
            ");
        }
    }
    let told = lab.tell([
        "diff --stat feature~0",
        "diff --stat feature~0 ./feature",
        "diff --stat feature -- feature",
        "diff --stat ./feature",
        "meta check -- feature",
        "meta check ./feature",
        "meta check feature~0",
        "meta check feature:",
    ]);
    insta::assert_snapshot!(told, @"
    $ ottvc diff --stat feature~0
    added     feature/edition.meta.json  1 field
    1 path, 1 field, 0 B of media that is new
    $ ottvc diff --stat feature~0 ./feature
    added     feature/edition.meta.json  1 field
    1 path, 1 field, 0 B of media that is new
    $ ottvc diff --stat feature -- feature
    added     feature/edition.meta.json  1 field
    1 path, 1 field, 0 B of media that is new
    $ ottvc diff --stat ./feature
    0 paths, 0 fields, 0 B of media that is new
    $ ottvc meta check -- feature
    no document there has a schema
    $ ottvc meta check ./feature
    no document there has a schema
    $ ottvc meta check feature~0
    no document there has a schema
    $ ottvc meta check feature:
    no document there has a schema
    ");
}

#[test]
fn a_revision_wins_over_a_document_and_over_names_in_another_case() {
    let lab = Lab::film();
    lab.ok("branch cut");
    for path in ["head/a.meta.json", "Main/a.meta.json", "cut.meta.json"] {
        lab.write(path, r#"{"rating": 12}"#);
    }
    lab.ok("add .");
    lab.ok("commit -m More");
    let told = lab.tell([
        "diff --stat HEAD",
        "diff --stat main",
        "diff --stat HEAD -- head",
        "meta check HEAD",
        "meta get HEAD /rating",
        "meta get cut /rating",
        "meta get cut.meta.json /rating",
        "diff --stat cut",
    ]);
    insta::assert_snapshot!(told, @r#"
    $ ottvc diff --stat HEAD
    0 paths, 0 fields, 0 B of media that is new
    $ ottvc diff --stat main
    0 paths, 0 fields, 0 B of media that is new
    $ ottvc diff --stat HEAD -- head
    0 paths, 0 fields, 0 B of media that is new
    $ ottvc meta check HEAD
    no document there has a schema
    $ ottvc meta get HEAD /rating
    "12"
    $ ottvc meta get cut /rating
    "12"
    $ ottvc meta get cut.meta.json /rating
    12
    $ ottvc diff --stat cut
    added     cut.meta.json     1 field
    added     head/a.meta.json  1 field
    added     Main/a.meta.json  1 field
    3 paths, 3 fields, 0 B of media that is new
    "#);
}
