//! Two editions come together: clean where they changed different fields, a conflict that can be
//! shown, settled and undone where they changed the same.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod common;

use common::{Lab, shape};
use serde_json::json;

/// `de` and `main` part after the first commit; each sets the fields given.
fn parted(de: &str, main: &str) -> Lab {
    let lab = Lab::film();
    lab.ok("switch -c de");
    lab.ok(&format!("meta set edition.meta.json {de}"));
    lab.ok("commit -m German");
    lab.ok("switch main");
    lab.ok(&format!("meta set edition.meta.json {main}"));
    lab.ok("commit -m Correction");
    lab
}

#[test]
fn different_fields_merge_clean() {
    let lab = parted(r#"'/title/de="Nordlicht"'"#, r#"'/rating="18"'"#);
    let told = lab.tell([
        "merge de --dry-run",
        "merge de",
        "merge de",
        "cat main:edition.meta.json",
        "status",
        "verify -q",
    ]);
    insta::assert_snapshot!(told, @r#"
    $ ottvc merge de --dry-run
    de ([short id]) would merge clean, changing 1 path

    modified  edition.meta.json
        /title/de  + "Nordlicht"
    $ ottvc merge de
    merged de ([short id]) as [short id]: 1 path changed

    modified  edition.meta.json
        /title/de  + "Nordlicht"
    $ ottvc merge de
    de ([short id]) is merged already; nothing to do
    $ ottvc cat main:edition.meta.json
    {
      "rating": "18",
      "title": {
        "de": "Nordlicht",
        "en": "Northern Light"
      }
    }
    $ ottvc status
    On branch main at [short id] (Northern Light)

    Nothing to commit, nothing changed
    $ ottvc verify -q
    "#);
    assert_eq!(lab.json("show").1["parents"].as_array().unwrap().len(), 2);
    lab.ok("undo");
    let (status, merged) = lab.json("merge de");
    assert_eq!((status, &merged["clean"]), (0, &json!(true)));
    insta::assert_snapshot!(shape(&merged), @"{base: [text], changed: number, clean: bool, commit: text, conflicts: [], decisions: [], findings: [], notices: [], ours: text, theirs: text, up_to_date: bool}");
}

#[test]
fn the_same_field_conflicts_until_settled() {
    let lab = parted(r#"'/rating="16"'"#, r#"'/rating="18"'"#);
    let head = lab.json("show main").1["id"].clone();
    let told = lab.tell([
        "merge de",
        "status",
        "conflicts",
        "diff",
        "commit",
        "switch de",
        "merge de",
        "resolve edition.meta.json#/rating --take theirs",
        "conflicts",
        "status",
        "commit",
        "log --graph",
        "show",
        "verify -q",
    ]);
    insta::assert_snapshot!(told, @r#"
    $ ottvc merge de
    merging de ([short id]): 1 path changed, 1 conflict

    edition.meta.json
      /rating  changed on both sides
        base         "12"
        ours (main)  "18"
        theirs (de)  "16"
        settle: ottvc resolve 'edition.meta.json#/rating' --take ours
                (or theirs, base, --value JSON)

    next: settle each as shown (ottvc meta edit edition.meta.json does it by hand), then ottvc commit, or ottvc merge --abort
    [status 4]
    $ ottvc status
    On branch main at [short id] (Northern Light)
    A merge of de is not finished  (ottvc restore PATH gives a file back as it made it)

    Staged
      modified  edition.meta.json

    In conflict
      edition.meta.json#/rating

    next: ottvc conflicts, then ottvc resolve 'edition.meta.json#/rating' --take ours (or theirs)
    $ ottvc conflicts
    edition.meta.json
      /rating  changed on both sides
        base         "12"
        ours (main)  "18"
        theirs (de)  "16"
        settle: ottvc resolve 'edition.meta.json#/rating' --take ours
                (or theirs, base, --value JSON)
    $ ottvc diff
    modified  edition.meta.json
        /rating  "18" -> (conflict)
    $ ottvc commit
    error: conflicts are left in `edition.meta.json#/rating`
    hint: `ottvc conflicts` lists them, `ottvc resolve` settles them
    [status 4]
    $ ottvc switch de
    error: a merge of `de` is not finished
    hint: `ottvc resolve` and `ottvc commit` finish it, `ottvc merge --abort` gives it up
    [status 6]
    $ ottvc merge de
    error: a merge of `de` is not finished
    hint: `ottvc resolve` and `ottvc commit` finish it, `ottvc merge --abort` gives it up
    [status 6]
    $ ottvc resolve edition.meta.json#/rating --take theirs
    resolved edition.meta.json#/rating  theirs
    no conflicts left; next: ottvc commit
    $ ottvc conflicts
    no conflicts
    $ ottvc status
    On branch main at [short id] (Northern Light)
    A merge of de is not finished  (ottvc restore PATH gives a file back as it made it)

    Staged
      modified  edition.meta.json

    next: ottvc commit (finishes the merge)
    $ ottvc commit
    [main [short id]] Merge de
     1 path changed; 1 file, 1 document, 97.7 KiB in all
    $ ottvc log --graph
    * [short id]  [time]  Ana  (HEAD -> main)
    |\ Merge de
    * | [short id]  [time]  Ana
    | | Correction
    | * [short id]  [time]  Ana  (de)
    | | German
    |/
    * [short id]  [time]  Ana
      Theatrical master
    $ ottvc show
    commit [id]  (HEAD -> main)
    merge  [short id] [short id]
    author Ana <ana@example.com>
    date   [time]

        Merge de

    modified  edition.meta.json
        /rating  "18" -> "16"
    $ ottvc verify -q
    "#);
    let commit = lab.json("show").1;
    assert_eq!(commit["parents"][0], head);
    assert_eq!(commit["conflicts"], json!([]));
    assert_eq!(lab.json("meta get main /rating").1["value"], "16");
    assert_eq!(lab.json("verify").1["clean"], json!(true));
}

#[test]
fn a_conflict_as_programs_see_it() {
    let lab = parted(r#"'/rating="16"'"#, r#"'/rating="18"'"#);
    let dry = lab.json("merge de --dry-run");
    let (status, merged) = lab.json("merge de");
    assert_eq!(status, 4);
    assert_eq!(dry, (4, merged.clone()));
    insta::assert_snapshot!(shape(&merged), @"{base: [text], changed: number, clean: bool, commit: null, conflicts: [{absent: [], base: text, core: text, field: text, id: text, kind: text, ours: text, path: text, policy: text, sides: text, theirs: text}], decisions: [], findings: [], notices: [], ours: text, theirs: text, up_to_date: bool}");
    assert_eq!((&merged["clean"], &merged["commit"]), (&json!(false), &json!(null)));
    let (status, listed) = lab.json("conflicts");
    assert_eq!(status, 0);
    assert_eq!(listed["conflicts"], merged["conflicts"]);
    insta::assert_snapshot!(serde_json::to_string_pretty(&listed).unwrap(), @r#"
    {
      "conflicts": [
        {
          "absent": [],
          "base": "12",
          "core": "[id]",
          "field": "/rating",
          "id": "[id]",
          "kind": "edit_edit",
          "ours": "18",
          "path": "edition.meta.json",
          "policy": "atomic",
          "sides": "[id]",
          "theirs": "16"
        }
      ]
    }
    "#);
    // Left in the document, too, with its sides.
    let document: serde_json::Value = serde_json::from_str(&lab.read("edition.meta.json")).unwrap();
    insta::assert_snapshot!(shape(&document["rating"]), @"{$conflict: {id: text, kind: text, path: text, policy: text, terms: [{side: text, value: text}]}}");
    insta::assert_snapshot!(lab.shape("resolve /rating --value '\"FSK 16\"'"), @"{remaining: [], resolved: [{field: text, id: text, path: text, taken: text, value: text}]}");
    assert_eq!(lab.json("conflicts").1, json!({ "conflicts": [] }));
    lab.ok("commit");
    assert_eq!(lab.json("meta get main /rating").1["value"], "FSK 16");
}

#[test]
fn a_rule_decides_beforehand_or_afterwards() {
    let lab = parted(r#"'/rating="16"'"#, r#"'/rating="18"'"#);
    insta::assert_snapshot!(lab.tell(["merge de --rule '/rating=theirs' -m 'With theirs'", "undo"]), @r#"
    $ ottvc merge de --rule '/rating=theirs' -m 'With theirs'
    merged de ([short id]) as [short id]: 1 path changed
      edition.meta.json#/rating  took theirs by /rating=theirs

    modified  edition.meta.json
        /rating  "18" -> "16"
    $ ottvc undo
    took back operation 6: merge: With theirs
      branch main is at [short id] again
    "#);
    let (_, merged) = lab.json("merge de --dry-run --rule /rating=ours");
    insta::assert_snapshot!(shape(&merged), @"{base: [text], changed: number, clean: bool, commit: null, conflicts: [], decisions: [{base: text, chosen: text, field: text, ours: text, path: text, rule: text, theirs: text}], findings: [], notices: [], ours: text, theirs: text, up_to_date: bool}");
    assert_eq!(lab.run("merge de").status, 4);
    insta::assert_snapshot!(lab.tell(["resolve --rule '/**=base'", "commit -q"]), @"
    $ ottvc resolve --rule '/**=base'
    resolved edition.meta.json#/rating  base
    no conflicts left; next: ottvc commit
    $ ottvc commit -q
    ");
    assert_eq!(lab.json("meta get main /rating").1["value"], "12");
    insta::assert_snapshot!(lab.refused(2, "merge.bad_rule", "merge de --rule ratings"), @"
    error: `ratings` is not a merge rule: `PATTERN=SIDE` is one
    hint: write PATTERN=ours, PATTERN=theirs or PATTERN=base, such as '/ratings/**=theirs'
    ");
}

#[test]
fn a_merge_can_be_given_up() {
    let lab = parted(r#"'/rating="16"'"#, r#"'/rating="18"'"#);
    let before = lab.read("edition.meta.json");
    assert_eq!(lab.run("merge de").status, 4);
    insta::assert_snapshot!(lab.tell(["merge --abort", "status"]), @"
    $ ottvc merge --abort
    gave up the merge of de; files are as before
    $ ottvc status
    On branch main at [short id] (Northern Light)

    Nothing to commit, nothing changed
    ");
    assert_eq!(lab.read("edition.meta.json"), before);
    insta::assert_snapshot!(lab.refused(6, "merge.none", "merge --abort"), @"
    error: no merge is in progress
    hint: `ottvc merge REV` starts one; `ottvc resolve` settles what is committed in conflict, too
    ");
}

#[test]
fn a_conflict_can_be_committed_and_settled_later() {
    let lab = parted(r#"'/rating="16"'"#, r#"'/rating="18"'"#);
    let told = lab.tell([
        "merge de --allow-conflicts -m 'Rating to be decided'",
        "log -n 1",
        "conflicts HEAD",
        "resolve --all --take ours",
        "commit -m 'Decided: 18'",
        "conflicts",
    ]);
    insta::assert_snapshot!(told, @r#"
    $ ottvc merge de --allow-conflicts -m 'Rating to be decided'
    merged de ([short id]) as [short id]: 1 path changed, 1 conflict recorded

    edition.meta.json
      /rating  changed on both sides
        base         "12"
        ours (main)  "18"
        theirs (de)  "16"
        settle: ottvc resolve 'edition.meta.json#/rating' --take ours
                (or theirs, base, --value JSON)

    next: settle each as shown (ottvc meta edit edition.meta.json does it by hand), then ottvc commit
    $ ottvc log -n 1
    [short id]  [time]  Ana  (HEAD -> main)  1 conflict
        Rating to be decided
    $ ottvc conflicts HEAD
    edition.meta.json
      /rating  changed on both sides
        base         "12"
        ours (main)  "18"
        theirs (de)  "16"
        settle: ottvc resolve 'edition.meta.json#/rating' --take ours
                (or theirs, base, --value JSON)
    $ ottvc resolve --all --take ours
    resolved edition.meta.json#/rating  ours
    no conflicts left; next: ottvc commit
    $ ottvc commit -m 'Decided: 18'
    [main [short id]] Decided: 18
     1 path changed; 1 file, 1 document, 97.7 KiB in all
    $ ottvc conflicts
    no conflicts
    "#);
    assert_eq!(lab.json("conflicts HEAD~1").1["conflicts"].as_array().unwrap().len(), 1);
}

#[test]
fn what_is_in_conflict_is_read_as_somebody_says() {
    let lab = parted(r#"'/rating="16"' /year=2026"#, r#"'/rating="18"'"#);
    lab.ok("merge de --allow-conflicts");
    let refusals = [
        "cat main:edition.meta.json",
        "checkout main --to ../out",
        "meta get main",
        "meta get main /rating",
        "audit fixity main",
    ];
    for line in refusals {
        let told = lab.refused(4, "merge.conflicts", line);
        assert!(told.contains("edition.meta.json"), "{told}");
        let hint = "hint: --conflicts markers|ours|theirs|base|omit says what to show";
        assert!(told.contains(hint), "{told}");
    }
    insta::assert_snapshot!(lab.tell([
        "cat main:edition.meta.json --conflicts omit",
        "meta get main --conflicts omit",
        "meta get main /rating --conflicts omit",
        "meta get main /rating --conflicts theirs",
        "meta get main /year",
        "checkout main edition.meta.json --to ../out --conflicts omit",
    ]), @r#"
    $ ottvc cat main:edition.meta.json --conflicts omit
    {
      "title": {
        "en": "Northern Light"
      },
      "year": 2026
    }
    $ ottvc meta get main --conflicts omit
    {
      "title": {
        "en": "Northern Light"
      },
      "year": 2026
    }
    $ ottvc meta get main /rating --conflicts omit
    error: `/rating` is not in edition.meta.json
    hint: `ottvc meta get` shows all fields
    [status 3]
    $ ottvc meta get main /rating --conflicts theirs
    "16"
    $ ottvc meta get main /year
    2026
    $ ottvc checkout main edition.meta.json --to ../out --conflicts omit
    1 file written to ../out, 40 B in all
    "#);
    let markers = lab.ok("cat main:edition.meta.json --conflicts markers");
    assert!(markers.contains("$conflict"));
    let out = std::fs::read_to_string(lab.beside.join("out/edition.meta.json")).unwrap();
    assert_eq!(out, lab.ok("cat main:edition.meta.json --conflicts omit"));
}

#[test]
fn many_conflicts_are_settled_by_a_list() {
    let lab = parted(
        r#"'/rating="16"' '/title/en="Nordlicht"'"#,
        r#"'/rating="18"' '/title/en="Northern Lights"'"#,
    );
    assert_eq!(lab.run("merge de").status, 4);
    let rows = lab.json("conflicts").1["conflicts"].clone();
    let steps: Vec<String> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let (field, id) = (row["field"].as_str().unwrap(), row["id"].as_str().unwrap());
            let sides = row["sides"].as_str().unwrap();
            let choice = if field == "/rating" { r#""take": "theirs""# } else { r#""value": "Aurora""# };
            format!(
                r#"{{"path": "edition.meta.json", "field": "{field}", "id": "{id}", "sides": "{sides}", {choice}, "reason": "agreed with the house"}}"#
            )
        })
        .collect();
    lab.write("../all.jsonl", steps.join("\n"));
    lab.write("../one.json", format!("[{}]", steps[0]));
    insta::assert_snapshot!(lab.tell([
        "resolve --from ../all.jsonl --dry-run",
        "resolve --from ../all.jsonl",
        "commit -q",
        "log -n 1",
        "meta get main /title/en",
    ]), @r#"
    $ ottvc resolve --from ../all.jsonl --dry-run
    would resolve edition.meta.json#/rating  theirs  "16"
    would resolve edition.meta.json#/title/en  value  "Aurora"
    $ ottvc resolve --from ../all.jsonl
    resolved edition.meta.json#/rating  theirs
    resolved edition.meta.json#/title/en  value
    no conflicts left; next: ottvc commit
    $ ottvc commit -q
    $ ottvc log -n 1
    [short id]  [time]  Ana  (HEAD -> main)
        Merge de
    $ ottvc meta get main /title/en
    "Aurora"
    "#);
    insta::assert_snapshot!(lab.refused(6, "merge.other_conflict", "resolve --from ../one.json"), @"
    error: the conflict at edition.meta.json#/rating is no longer `[id]`
    hint: `ottvc conflicts --json` lists those there are; nothing was settled
    ");
    insta::assert_snapshot!(lab.refused(2, "argument.usage", "resolve --from ../one.json --all"), @"
    error: the argument '--from <FILE>' cannot be used with: [PATH] --all
    hint: usage: ottvc resolve --from <FILE> [PATH]
    ");
    insta::assert_snapshot!(lab.refused(3, "input.not_found", "resolve --from ../none.json"), @"
    error: there is no `../none.json`
    hint: check the path
    ");
    lab.write("steps.json", r#"{"path": "edition.meta.json", "field": "/rating"}"#);
    insta::assert_snapshot!(lab.refused(2, "argument.bad", "resolve --from steps.json"), @r#"
    error: `{"field":"/rating","path":"edition.meta.json"}` is no resolution: it says one of take, value, absent and order
    hint: `ottvc help resolve` says what it takes
    "#);
}

#[test]
fn a_protected_branch_takes_no_conflicts_and_stays() {
    let lab = parted(r#"'/rating="16"'"#, r#"'/rating="18"'"#);
    insta::assert_snapshot!(lab.refused(2, "config.bad_value", "config set branch.protected 'main, {de'"), @"
    error: `main, {de` is no value for branch.protected: write branches or patterns with commas between: main, release/*
    hint: `ottvc config --help` says what it takes
    ");
    lab.ok("config set branch.protected 'main, release/*'");
    let before = lab.history();
    insta::assert_snapshot!(lab.refused(8, "branch.protected", "merge de --allow-conflicts"), @"
    error: branch `main` is protected: it takes no commit with conflicts, and some are in `edition.meta.json#/rating`
    hint: settle them first: on a branch that is not protected, or before the commit
    ");
    assert_eq!(lab.run("merge de").status, 4);
    insta::assert_snapshot!(lab.refused(8, "branch.protected", "commit --allow-conflicts"), @"
    error: branch `main` is protected: it takes no commit with conflicts, and some are in `edition.meta.json#/rating`
    hint: settle them first: on a branch that is not protected, or before the commit
    ");
    assert_eq!(
        lab.json("commit --allow-conflicts").1["paths"],
        json!(["edition.meta.json#/rating"])
    );
    lab.ok("merge --abort");
    lab.ok("switch de");
    for line in ["branch -d main", "branch -d main --force", "branch -m main trunk"] {
        assert!(lab.refused(8, "branch.protected", line).contains("`main` is protected"));
    }
    insta::assert_snapshot!(lab.refused(8, "branch.protected", "branch -m main trunk"), @"
    error: branch `main` is protected: it is neither removed nor renamed
    hint: `ottvc config get branch.protected` says which are
    ");
    assert_eq!(lab.history(), before);
    // Elsewhere, a conflict may be committed; it gets no further.
    lab.ok("merge main --allow-conflicts");
    lab.refused(8, "branch.protected", "branch release/1 de");
    lab.refused(4, "merge.conflicts", "tag v1 de");
    lab.ok("resolve --all --take ours");
    lab.ok("commit -m Decided");
    lab.ok("branch release/1 de");
}

#[test]
fn media_changed_on_both_sides_waits_for_a_decision() {
    let lab = Lab::film();
    lab.ok("branch de");
    lab.write("feature.mp4", "main's film");
    lab.ok("commit -a -m Main");
    lab.ok("switch de");
    lab.write("feature.mp4", "the German film");
    lab.ok("commit -a -m German");
    let told = lab.tell([
        "merge main",
        "diff",
        "diff --stat",
        "resolve feature.mp4 --take theirs",
        "commit",
    ]);
    insta::assert_snapshot!(told, @"
    $ ottvc merge main
    merging main ([short id]): 1 path changed, 1 conflict

    feature.mp4  changed on both sides
        base           media, 97.7 KiB, [short id]
        ours (de)      media, 15 B, [short id]
        theirs (main)  media, 11 B, [short id]
        settle: ottvc resolve feature.mp4 --take ours  (or theirs, base)

    next: settle each as shown, then ottvc commit, or ottvc merge --abort
    [status 4]
    $ ottvc diff
    retyped   feature.mp4  (conflict)
    $ ottvc diff --stat
    retyped   feature.mp4  (conflict)
    1 path, 0 fields, 0 B of media that is new
    $ ottvc resolve feature.mp4 --take theirs
    resolved feature.mp4  theirs
    no conflicts left; next: ottvc commit
    $ ottvc commit
    [de [short id]] Merge main
     1 path changed; 1 file, 1 document, 53 B in all
    ");
    assert_eq!(lab.read("feature.mp4"), "main's film");
}

#[test]
fn resolve_refuses_what_makes_no_sense() {
    let lab = parted(r#"'/rating="16"'"#, r#"'/rating="18"'"#);
    insta::assert_snapshot!(lab.refused(3, "merge.no_conflict", "resolve feature.mp4 --take ours"), @"
    error: no conflict at feature.mp4
    hint: `ottvc conflicts` lists those there are; in a merge, `ottvc restore PATH` brings back those that are settled
    ");
    assert_eq!(lab.run("merge de").status, 4);
    insta::assert_snapshot!(lab.refused(2, "argument.usage", "resolve"), @"
    error: nothing says what to take
    hint: --take ours|theirs|base, --value JSON, --rule or --from FILE
    ");
    insta::assert_snapshot!(lab.refused(2, "argument.usage", "resolve --take ours"), @"
    error: nothing says which conflicts to settle
    hint: give a PATH, or --all
    ");
    insta::assert_snapshot!(lab.refused(2, "argument.usage", "resolve /rating --take mine"), @"
    error: invalid value 'mine' for '--take <SIDE>' [possible values: ours, theirs, base, both]
    hint: `ottvc help resolve` says what it takes
    ");
    insta::assert_snapshot!(lab.refused(2, "argument.bad", "resolve /rating --value FSK"), @r#"
    error: `FSK` is no JSON value: expected value at line 1 column 1
    hint: a text stands in double quotes: --value '"FSK 16"'
    "#);
    insta::assert_snapshot!(lab.refused(3, "merge.no_conflict", "resolve /title --take ours"), @"
    error: no conflict at edition.meta.json#/title
    hint: `ottvc conflicts` lists those there are; in a merge, `ottvc restore PATH` brings back those that are settled
    ");
    insta::assert_snapshot!(lab.refused(6, "merge.in_progress", "merge de"), @"
    error: a merge of `de` is not finished
    hint: `ottvc resolve` and `ottvc commit` finish it, `ottvc merge --abort` gives it up
    ");
    insta::assert_snapshot!(lab.refused(4, "merge.conflicts", "commit"), @"
    error: conflicts are left in `edition.meta.json#/rating`
    hint: `ottvc conflicts` lists them, `ottvc resolve` settles them
    ");
    assert_eq!(lab.json("conflicts").1["conflicts"].as_array().unwrap().len(), 1);
}

#[test]
fn one_value_settles_one_conflict() {
    let lab = parted(
        r#"'/title/de="Nordlicht"' '/title/en="Aurora"'"#,
        r#"'/title/de="Polarlicht"' '/title/en="Northern Lights"'"#,
    );
    assert_eq!(lab.run("merge de").status, 4);
    let before = lab.read("edition.meta.json");
    insta::assert_snapshot!(lab.refused(2, "argument.bad", r#"resolve /title --value '"Aurora"'"#), @"
    error: `edition.meta.json#/title` is no place of one conflict: what is given would go to each of edition.meta.json#/title/de, edition.meta.json#/title/en
    hint: name one of them; --take and --rule settle several
    ");
    insta::assert_snapshot!(lab.refused(2, "argument.bad", "resolve --all --remove"), @"
    error: `every path` is no place of one conflict: what is given would go to each of edition.meta.json#/title/de, edition.meta.json#/title/en
    hint: name one of them; --take and --rule settle several
    ");
    lab.refused(2, "argument.bad", "resolve edition.meta.json --value 1 --dry-run");
    assert_eq!(lab.read("edition.meta.json"), before);
    // A rule settles the other.
    insta::assert_snapshot!(lab.tell([
        r#"resolve /title --value '"Aurora"' --rule /title/de=ours --dry-run"#,
        r#"resolve /title/de --take theirs"#,
        r#"resolve /title --value '"Northern"' --dry-run"#,
        r#"resolve /title --value '"Northern"'"#,
        "meta get edition.meta.json /title",
    ]), @r#"
    $ ottvc resolve /title --value '"Aurora"' --rule /title/de=ours --dry-run
    would resolve edition.meta.json#/title/de  ours  "Polarlicht"
    would resolve edition.meta.json#/title/en  value  "Aurora"
    $ ottvc resolve /title/de --take theirs
    resolved edition.meta.json#/title/de  theirs
    1 conflict left; next: ottvc conflicts
    $ ottvc resolve /title --value '"Northern"' --dry-run
    would resolve edition.meta.json#/title/en  value  "Northern"
    $ ottvc resolve /title --value '"Northern"'
    resolved edition.meta.json#/title/en  value
    no conflicts left; next: ottvc commit
    $ ottvc meta get edition.meta.json /title
    {
      "de": "Nordlicht",
      "en": "Northern"
    }
    "#);
}

#[test]
fn a_dry_run_shows_what_would_be_chosen_from_where_the_sides_part() {
    let long = "A keeper of a lonely lighthouse finds a boat that nobody has missed, and in it";
    let lab = parted(
        &format!(r#"'/rating="16"' '/logline="{long} a child."'"#),
        &format!(r#"'/rating="18"' '/logline="{long} a map of the sea."'"#),
    );
    assert_eq!(lab.run("merge de").status, 4);
    insta::assert_snapshot!(lab.tell([
        "resolve --all --take theirs --dry-run",
        "resolve --all --edition main --dry-run",
        "resolve /rating --remove --dry-run",
        "resolve /rating --take base --dry-run",
        r#"resolve /logline --value '"A boat."' --dry-run"#,
    ]), @r#"
    $ ottvc resolve --all --take theirs --dry-run
    would resolve edition.meta.json#/logline  theirs
        …, and in it a child." (89 characters)
    would resolve edition.meta.json#/rating  theirs  "16"
    $ ottvc resolve --all --edition main --dry-run
    would resolve edition.meta.json#/logline  ours
        …, and in it a map of the sea." (98 characters)
    would resolve edition.meta.json#/rating  ours  "18"
    $ ottvc resolve /rating --remove --dry-run
    would resolve edition.meta.json#/rating  absent  nothing
    $ ottvc resolve /rating --take base --dry-run
    would resolve edition.meta.json#/rating  base  "12"
    $ ottvc resolve /logline --value '"A boat."' --dry-run
    would resolve edition.meta.json#/logline  value  "A boat."
    "#);
    insta::assert_snapshot!(lab.shape("resolve /rating --take ours --dry-run"), @"{remaining: [{absent: [text], base: null, core: text, field: text, id: text, kind: text, ours: text, path: text, policy: text, sides: text, theirs: text}], resolved: [{field: text, id: text, path: text, taken: text, value: text}]}");
}

#[test]
fn merge_refuses_to_run_over_staged_changes() {
    let lab = parted(r#"'/rating="16"'"#, r#"'/rating="18"'"#);
    lab.ok("meta set edition.meta.json /year=2026");
    let before = lab.read("edition.meta.json");
    insta::assert_snapshot!(lab.refused(6, "worktree.local_changes", "merge de"), @"
    error: local changes to `edition.meta.json` would be lost
    hint: commit them, or move the files away, then repeat
    ");
    assert_eq!(lab.read("edition.meta.json"), before);
    // What is merged already would touch nothing.
    insta::assert_snapshot!(lab.tell(["merge main~1"]), @"
    $ ottvc merge main~1
    main~1 ([short id]) is merged already; nothing to do
    ");
    insta::assert_snapshot!(lab.refused(3, "revision.unknown", "merge dee"), @"
    error: no revision is called `dee`
    hint: did you mean `de`?
    ");
}

#[test]
fn merge_file_needs_no_repository() {
    let lab = Lab::new();
    lab.write("base.json", "{\"title\": \"A\", \"rating\": \"12\"}\n");
    lab.write("ours.json", "{\"title\": \"B\", \"rating\": \"18\"}\n");
    lab.write("theirs.json", "{\"title\": \"A\", \"rating\": \"16\", \"year\": 2026}\n");
    let told = lab.tell([
        "merge-file base.json ours.json base.json",
        "merge-file base.json ours.json theirs.json",
        "merge-file base.json ours.json theirs.json --rule /rating=ours",
        "merge-file /dev/null ours.json ours.json",
    ]);
    insta::assert_snapshot!(told, @r#"
    $ ottvc merge-file base.json ours.json base.json
    {"title": "B", "rating": "18"}
    $ ottvc merge-file base.json ours.json theirs.json
    {"title": "B", "rating": {"$conflict": {"id": "[id]", "kind": "edit_edit", "path": "/rating", "policy": "atomic", "terms": [{"side": "ours", "value": "18"}, {"side": "base", "value": "12"}, {"side": "theirs", "value": "16"}]}}, "year": 2026}
    conflict: /rating  changed on both sides: base "12", ours "18", theirs "16"
    hint: a schema may settle more: --schema ott.edition/1, or a file of your own
    [status 4]
    $ ottvc merge-file base.json ours.json theirs.json --rule /rating=ours
    {"title": "B", "rating": "18", "year": 2026}
    $ ottvc merge-file /dev/null ours.json ours.json
    {"title": "B", "rating": "18"}
    "#);
    insta::assert_snapshot!(lab.shape("merge-file base.json ours.json theirs.json"), @"{clean: bool, conflicts: [{absent: [], base: text, core: text, field: text, id: text, kind: text, ours: text, policy: text, sides: text, theirs: text}], decisions: [], merged: {rating: {$conflict: {id: text, kind: text, path: text, policy: text, terms: [{side: text, value: text}]}}, title: text, year: number}} [status 4]");
    insta::assert_snapshot!(lab.shape("merge-file base.json ours.json theirs.json --rule /rating=ours"), @"{clean: bool, conflicts: [], decisions: [{base: text, chosen: text, field: text, ours: text, rule: text, theirs: text}], merged: {rating: text, title: text, year: number}}");
    lab.write("broken.json", "{\n  \"a\": \n}");
    insta::assert_snapshot!(lab.refused(1, "document.bad_json", "merge-file base.json broken.json theirs.json"), @"
    error: `broken.json` cannot be merged
    cause: not a metadata document at line 3, column 1: expected value
    hint: mend the JSON there, then repeat
    ");
    insta::assert_snapshot!(lab.refused(3, "input.not_found", "merge-file base.json nothing.json theirs.json"), @"
    error: there is no `nothing.json`
    hint: check the path
    ");
}

#[test]
fn documents_merge_by_a_schema() {
    let lab = Lab::new();
    lab.write(
        "base.json",
        r#"{"genres": ["drama", "war"], "synopses": {"long": {"en": "A hero leaves home."}}}"#,
    );
    lab.write(
        "ours.json",
        r#"{"genres": ["drama", "epic"], "synopses": {"long": {"en": "A pilot leaves home."}}}"#,
    );
    lab.write(
        "theirs.json",
        r#"{"genres": ["war", "drama", "noir"], "synopses": {"long": {"en": "A hero leaves her home."}}}"#,
    );
    let merge = "merge-file base.json ours.json theirs.json";
    // Without one lists and texts are units.
    let (status, plain) = lab.json(merge);
    assert_eq!((status, plain["conflicts"].as_array().unwrap().len()), (4, 2));
    let (status, merged) = lab.json(&format!("{merge} --schema ott.edition/1"));
    let expected = serde_json::json!({
        "genres": ["drama", "epic", "noir"],
        "synopses": {"long": {"en": "A pilot leaves her home."}},
    });
    let mut found = merged["merged"].clone();
    found["genres"].as_array_mut().unwrap().sort_by_key(ToString::to_string);
    assert_eq!((status, found), (0, expected));
    // One of the house's own, which the built-in one can be copied to.
    lab.write("own.yaml", "schema: house/1\nfields:\n  /genres: {type: set, of: string}\n");
    let (status, merged) = lab.json(&format!("{merge} --schema own.yaml"));
    assert_eq!((status, merged["conflicts"][0]["field"].as_str()), (4, Some("/synopses/long/en")));
    assert_eq!(lab.json("meta schema own.yaml").1["schema"], "house/1");
    assert!(lab.json("meta schema").1["json_schema"]["properties"]["genres"].is_object());
    // What is wrong whoever wrote it is told, and is no conflict.
    lab.write("early.json", r#"{"year": "soon"}"#);
    let told = lab.json("merge-file base.json base.json early.json --schema ott.edition/1").1;
    let found = &told["findings"][0];
    assert_eq!((found["field"].as_str(), found["rule"].as_str()), (Some("/year"), Some("type")));
    // Standard input is read once only.
    lab.refused(2, "argument.usage", "merge-file - ours.json -");
    lab.write("wrong.yaml", "schema: house/1\nfields:\n  /genres: {type: bag}\n");
    insta::assert_snapshot!(lab.run("meta schema wrong.yaml"), @"
    error: schema, line 3: `/genres` cannot have `type: bag`: it is one of `bool`, `int`, `decimal`, `string`, `text`, `timestamp`, `asset`, `array`, `set`, `keyed`, `map`, `localized`
    hint: docs/merge.md lists what a field may have
    [status 2]
    ");
    insta::assert_snapshot!(lab.run(&format!("{merge} --schema nothere.yaml")), @"
    error: there is no `nothere.yaml`
    hint: check the path
    [status 3]
    ");
}

/// The editions that a merge was of are known after it was committed, too.
#[test]
fn a_committed_conflict_is_settled_as_an_edition_has_it() {
    let lab = parted(r#"'/rating="16"'"#, r#"'/rating="18"'"#);
    lab.ok("merge de --allow-conflicts");
    lab.ok("meta set edition.meta.json /year=2026");
    lab.ok("commit -m Later");
    insta::assert_snapshot!(lab.tell([
        "resolve --all --edition fr",
        "resolve --all --edition de --dry-run",
        "resolve --all --edition main",
    ]), @r#"
    $ ottvc resolve --all --edition fr
    error: `fr` is no edition of this merge: it merges `main` and `de`
    hint: `ottvc help resolve` says what it takes
    [status 2]
    $ ottvc resolve --all --edition de --dry-run
    would resolve edition.meta.json#/rating  theirs  "16"
    $ ottvc resolve --all --edition main
    resolved edition.meta.json#/rating  ours
    no conflicts left; next: ottvc commit
    "#);
    assert_eq!(lab.json("meta get edition.meta.json /rating").1["value"], "18");
}

/// A rename stays one where another file gave up its name for it.
#[test]
fn a_file_takes_the_name_of_one_that_is_removed() {
    for back in [false, true] {
        let lab = Lab::repo();
        lab.write("a.meta.json", r#"{"rating": "12", "of": "a"}"#);
        lab.ok("add .");
        lab.ok("commit -m First");
        if back {
            // It was called so before, and another file is now.
            lab.ok("mv a.meta.json b.meta.json");
            lab.ok("commit -m Renamed");
            lab.ok("mv b.meta.json a.meta.json");
            lab.ok("commit -m Back");
        }
        lab.write("b.meta.json", r#"{"of": "b"}"#);
        lab.ok("add .");
        lab.ok("commit -m Second");
        lab.ok("switch -c de");
        lab.ok(r#"meta set a.meta.json '/rating="16"'"#);
        lab.ok("commit -m German");
        lab.ok("switch main");
        lab.ok("rm b.meta.json");
        lab.ok("mv a.meta.json b.meta.json");
        lab.ok("commit -m 'In its place'");
        let merged = lab.run("merge de");
        assert_eq!(merged.status, 0, "{merged}");
        assert_eq!(lab.json("meta get b.meta.json").1["value"], json!({"of": "a", "rating": "16"}));
        assert!(!lab.work.join("a.meta.json").exists());
    }
}
