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
    insta::assert_snapshot!(told, @r#"
    $ ottvc meta set edition.meta.json '/title/en="Northern Lights"' '/rating="14"'
    edition.meta.json#/title/en = "Northern Lights"
    edition.meta.json#/rating = "14"
    $ ottvc commit -m 'New title'
    [main [short id]] New title
     1 path changed; 1 file, 1 document, 97.7 KiB in all
    $ ottvc lineage
    * main
        regional/de       regional, DE, from main at [short id], 1 override
          lacks 1 change of main: edition.meta.json#/title/en
          overrides 1 change of main: edition.meta.json#/rating
          regional/de-at  AT, from regional/de at [short id], 0 overrides
            lacks 1 change of regional/de: edition.meta.json#/rating
        regional/fr       regional, FR, from main at [short id], 0 overrides
          lacks 2 changes of main: edition.meta.json#/rating,
            edition.meta.json#/title/en
    $ ottvc propagate main --to 'regional/*' --dry-run
    main ([short id]): 3 editions would change
      regional/de     1 shadowed, 1 flowed
        edition.meta.json#/rating  keeps "16"; was "12", is "14"
      regional/fr     2 flowed
      regional/de-at  2 flowed

    plan [id]
    $ ottvc propagate main --to 'regional/*'
    main ([short id]): 3 editions changed; ottvc undo takes it back
      regional/de     1 shadowed, 1 flowed
        edition.meta.json#/rating  keeps "16"; was "12", is "14"
      regional/fr     2 flowed
      regional/de-at  2 flowed
    $ ottvc lineage --long
    * main
        regional/de       regional, DE, from main at [short id], 1 override
          edition.meta.json#/rating
          regional/de-at  AT, from regional/de at [short id], 0 overrides
        regional/fr       regional, FR, from main at [short id], 0 overrides
    $ ottvc meta get regional/de-at /rating
    "16"
    $ ottvc undo
    took back operation 8: propagate: [short id] into 3 editions
      branch regional/de is at [short id] again
      branch regional/fr is at [short id] again
      branch regional/de-at is at [short id] again
    $ ottvc propagate main --to regional/fr
    main ([short id]): 1 edition changed; ottvc undo takes it back
      regional/fr  2 flowed
    $ ottvc propagate main --to regional/fr
    main ([short id]): nothing to do, no edition changes
      regional/fr  as it is
    "#);
}

#[test]
fn propagate_and_lineage_answer_programs() {
    let lab = editions();
    lab.ok("meta set edition.meta.json '/rating=\"14\"'");
    lab.ok("commit -m Rating");
    insta::assert_snapshot!(lab.shape("lineage --long"), @"{editions: [{branch: text, class: null, commit: text, current: bool, depth: number, edition: text, given_once: number, inherits: null, lacks: null, not_inherited: number, overrides: number, territory: null}]}");
    insta::assert_snapshot!(lab.shape("propagate main --to 'regional/*' --dry-run"), @"{conflicts: number, findings: number, moved: bool, operation: null, plan: text, source: text, targets: [{branch: text, commit: null, documents: number, expected: text, outcomes: [{absent: [], field: text, new: text, old: text, outcome: text, own: text, path: text}], state: text, tree: text}], totals: {flowed: number, shadowed: number}}");
    let (_, planned) = lab.json("propagate main --to 'regional/*' --dry-run");
    let plan = planned["plan"].as_str().unwrap();
    // What was looked at is what is done; or nothing, if it would be something else by now.
    lab.ok("switch regional/fr");
    lab.ok("commit --allow-empty -m 'In between'");
    let line = format!("propagate main --to 'regional/*' --plan {plan}");
    insta::assert_snapshot!(lab.refused(6, "plan.stale", &line), @"
    error: what would be done now is not the plan `[id]`
    hint: look again with --dry-run, and carry out what that says
    ");
    let (_, planned) = lab.json("propagate main --to 'regional/*' --dry-run");
    let plan = planned["plan"].as_str().unwrap();
    let (status, done) = lab.json(&format!("propagate main --to 'regional/*' --plan {plan}"));
    assert_eq!((status, &done["moved"], &done["plan"]), (0, &json!(true), &planned["plan"]));
    assert_eq!(done["totals"], json!({ "flowed": 2, "shadowed": 1 }));
    insta::assert_snapshot!(lab.refused(3, "revision.unknown", "propagate main --to regoinal/de"), @"
    error: no revision is called `regoinal/de`
    hint: did you mean `regional/de` or `regional/fr`?
    ");
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
    insta::assert_snapshot!(told, @r#"
    $ ottvc meta reset edition.meta.json /rating
    edition.meta.json#/rating is inherited: "12"
        /rating  "16" -> "12"
    $ ottvc status
    On branch regional/de at [short id] (Northern Light)

    Staged
      modified  edition.meta.json

    next: ottvc commit -m MESSAGE
    $ ottvc commit -m 'As everywhere'
    [regional/de [short id]] As everywhere
     1 path changed; 1 file, 1 document, 97.7 KiB in all
    $ ottvc lineage regional/de --long
    * regional/de       regional, DE, from main at [short id], 0 overrides
        regional/de-at  AT, from regional/de at [short id], 0 overrides
    "#);
    lab.ok("meta set edition.meta.json '/rating=\"18\"' /year=2026");
    let before = lab.read("edition.meta.json");
    insta::assert_snapshot!(lab.tell(["meta reset edition.meta.json --dry-run"]), @r#"
    $ ottvc meta reset edition.meta.json --dry-run
    edition.meta.json would be inherited
        /rating  "18" -> "12"
        /year  - 2026
    "#);
    assert_eq!(lab.read("edition.meta.json"), before, "nothing was written");
    insta::assert_snapshot!(lab.shape("meta reset edition.meta.json"), @"{document: {rating: text, title: {en: text}}, fields: [{absent: null, field: text, new: text, old: text}], kept: [], path: text}");
    insta::assert_snapshot!(lab.refused(3, "layer.not_overridden", "meta reset edition.meta.json /title"), @"
    error: /title in edition.meta.json is inherited as it is
    hint: `ottvc lineage --long` lists what is
    ");
    lab.ok("switch main");
    insta::assert_snapshot!(lab.refused(6, "layer.no_parent", "meta reset edition.meta.json /title"), @"
    error: `main` inherits from no other edition
    hint: `ottvc lineage` shows which do; `ottvc branch NAME --inherit` makes one that does
    ");
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
    insta::assert_snapshot!(told, @r#"
    $ ottvc propagate main --to 'regional/*'
    main ([short id]): nothing was changed, 1 edition would be in conflict
      regional/de     conflicts: 1 orphaned
        edition.meta.json#/title  has {en: "Aurora"} in what is gone; was {en:
          "Northern Light"}, is nothing; in conflict: removed or replaced by the
          parent, changed by the edition
      regional/fr     1 flowed
      regional/de-at  stays: it inherits from regional/de, which is in conflict

    next: --partial changes the others, --allow-conflicts leaves conflicts to be
      settled
    [status 4]
    $ ottvc propagate main --to 'regional/*' --partial
    main ([short id]): 1 edition changed, 2 left behind; ottvc undo takes it back
      regional/de     conflicts: 1 orphaned
        edition.meta.json#/title  has {en: "Aurora"} in what is gone; was {en:
          "Northern Light"}, is nothing; in conflict: removed or replaced by the
          parent, changed by the edition
      regional/fr     1 flowed
      regional/de-at  stays: it inherits from regional/de, which is in conflict
    [status 4]
    $ ottvc propagate main --to regional/de --allow-conflicts
    main ([short id]): 1 edition changed; ottvc undo takes it back
      regional/de  conflicts: 1 orphaned
        edition.meta.json#/title  has {en: "Aurora"} in what is gone; was {en:
          "Northern Light"}, is nothing; in conflict: removed or replaced by the
          parent, changed by the edition
    $ ottvc conflicts regional/de
    edition.meta.json
      /title  removed or replaced by the parent, changed by the edition
        base (its parent before)  {en: "Northern Light"}
        ours (the edition)
          /en  "Northern Light" -> "Aurora"
        theirs (its parent)       nothing
    $ ottvc propagate regional/de --to regional/de-at
    error: conflicts are left in `edition.meta.json#/title`
    hint: `ottvc conflicts` lists them, `ottvc resolve` settles them
    [status 4]
    "#);
}

#[test]
fn long_texts_are_shown_from_where_they_part() {
    let lab = editions();
    let start = "A keeper of a lonely lighthouse finds a boat that nobody has missed, and in it";
    let set = |branch: &str, end: &str| {
        lab.ok(&format!("switch {branch}"));
        lab.ok(&format!(r#"meta set edition.meta.json '/logline="{start} {end}"'"#));
        lab.ok(&format!("commit -m {end}"));
    };
    set("main", "gold");
    lab.ok("propagate main --to regional/fr");
    set("regional/fr", "silver");
    set("main", "nothing");
    insta::assert_snapshot!(lab.tell([
        "propagate main --to regional/fr --dry-run",
        "apply main --to regional/fr --dry-run",
    ]), @r#"
    $ ottvc propagate main --to regional/fr --dry-run
    main ([short id]): nothing to change, 1 edition would move on as before
      regional/fr  nothing of it changes: 1 shadowed
        edition.meta.json#/logline  keeps …and in it silver" (87 characters); was
          …and in it gold" (85 characters), is …and in it nothing" (88 characters)

    plan [id]
    $ ottvc apply main --to regional/fr --dry-run
    main ([short id]): nothing to do, no edition changes
      regional/fr  as it is: 1 diverged
        edition.meta.json#/logline  keeps …and in it silver" (87 characters); the
          change is from …and in it gold" (85 characters) to …and in it nothing" (88
          characters)
    "#);
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
    insta::assert_snapshot!(told, @r#"
    $ ottvc apply main --fields /rating --to 'regional/*' work --dry-run
    main ([short id]): 3 editions would change
      work            1 applied
      regional/de     as it is: 1 diverged
        edition.meta.json#/rating  keeps "16"; the change is from "12" to "14"
      regional/fr     1 applied
        edition.meta.json#/rating  had "12", has "14"; overrides now what it
          inherited
      regional/de-at  1 applied
        edition.meta.json#/rating  had "12", has "14"; overrides now what it
          inherited

    plan [id]
    $ ottvc apply main --fields /rating --to 'regional/*' work
    main ([short id]): 3 editions changed; ottvc undo takes it back
      work            1 applied
      regional/de     as it is: 1 diverged
        edition.meta.json#/rating  keeps "16"; the change is from "12" to "14"
      regional/fr     1 applied
        edition.meta.json#/rating  had "12", has "14"; overrides now what it
          inherited
      regional/de-at  1 applied
        edition.meta.json#/rating  had "12", has "14"; overrides now what it
          inherited
    $ ottvc apply main --to regional/de --diverged conflict
    main ([short id]): nothing was changed, 1 edition would be in conflict
      regional/de  conflicts: 1 diverged, 1 applied
        edition.meta.json#/rating  keeps "16"; the change is from "12" to "14"; in
          conflict: changed on both sides
        edition.meta.json#/title/en  had "Northern Light", has "Northern Lights";
          overrides now what it inherited

    next: --allow-conflicts leaves conflicts to be settled
    [status 4]
    $ ottvc apply main --to regional/de --diverged force --reason 'The studio insists'
    main ([short id]): 1 edition changed; ottvc undo takes it back
      regional/de  1 diverged, 1 applied
        edition.meta.json#/rating  overruled: had "16", has "14"
        edition.meta.json#/title/en  had "Northern Light", has "Northern Lights";
          overrides now what it inherited
    $ ottvc log regional/de -n 1
    [short id]  [time]  Ana  (regional/de)
        Apply [short id]: Rating and title
    "#);
    insta::assert_snapshot!(lab.refused(2, "argument.bad", "apply main --to work --diverged force"), @"
    error: `force` is no way to go on: say with a reason why editions are overruled
    hint: --reason TEXT says it, and the commits record it
    ");
    insta::assert_snapshot!(lab.refused(2, "merge.bad_pattern", "apply main --to work --fields '/**/x'"), @"
    error: `/**/x` is no pattern of fields: `**` may only come last
    hint: write a field path, with * for a step and ** for any rest: '/synopses/*'
    ");
    insta::assert_snapshot!(lab.refused(2, "argument.bad", "apply main --to work --fields /year"), @"
    error: `/year` is no change to push: [short id] changes no document there
    hint: `ottvc help apply` says what it takes
    ");
}

#[test]
fn what_nobody_inherits_stays_with_its_edition() {
    let lab = Lab::film();
    lab.ok("meta schema --use ott.edition/1");
    lab.write(
        "edition.meta.json",
        r#"{"titles": {"en": "Dune"}, "runtime": "PT2H", "ids": {"isan": "M"}, "genres": ["war"]}"#,
    );
    lab.ok("add .");
    lab.ok("commit -m Schema");
    lab.ok("branch regional/de --territory de");
    lab.ok("branch work");
    lab.ok("switch regional/de");
    lab.ok(r#"meta set edition.meta.json '/ids/isan="DE"' '/titles/@en="Dune!"'"#);
    lab.ok("commit -m German");
    lab.ok("switch main");
    lab.ok(r#"meta set edition.meta.json /year=2021 '/titles/@en="Dune: One"' '/use="Web"' '/genres=["war","noir"]'"#);
    lab.ok("commit -m Fixes");
    insta::assert_snapshot!(lab.tell([
        "lineage 'northern light'",
        "apply main --to regional/de work --dry-run",
        "apply main --to work --dry-run --long",
        "propagate main --to '**' --dry-run",
        "propagate main --to work",
        "switch regional/de",
        "meta reset edition.meta.json",
        "meta reset edition.meta.json /ids",
        "lineage no-such-title",
        "branch elsewhere --territory Germany",
    ]), @r#"
    $ ottvc lineage 'northern light'
    * main
        regional/de  DE, from main at [short id], 1 override, 1 given once, 1 not
            inherited
          lacks 2 changes of main: edition.meta.json#/genres/{noir},
            edition.meta.json#/year
          overrides 1 change of main: edition.meta.json#/titles/@en
      work
    $ ottvc apply main --to regional/de work --dry-run
    main ([short id]): 2 editions would change
      work         1 not inherited, 3 applied
      regional/de  1 not inherited, 2 applied, 1 diverged
        edition.meta.json#/genres/{noir}  had nothing, has "noir"; overrides now
          what it inherited
        edition.meta.json#/titles/@en  keeps "Dune!"; the change is from "Dune" to
          "Dune: One"
        edition.meta.json#/year  had nothing, has 2021; overrides now what it
          inherited

    plan [id]
    $ ottvc apply main --to work --dry-run --long
    main ([short id]): 1 edition would change
      work  1 not inherited, 3 applied
        edition.meta.json#/use  stays its own: it is not inherited
        edition.meta.json#/genres/{noir}  had nothing, has "noir"
        edition.meta.json#/titles/@en  had "Dune", has "Dune: One"
        edition.meta.json#/year  had nothing, has 2021

    plan [id]
    $ ottvc propagate main --to '**' --dry-run
    main ([short id]): 1 edition would change
      regional/de  2 flowed, 1 shadowed, 1 not inherited
        edition.meta.json#/titles/@en  keeps "Dune!"; was "Dune", is "Dune: One"

    plan [id]
    note: `work` does not inherit from `main`; `ottvc apply` pushes a change to it
    $ ottvc propagate main --to work
    main ([short id]): nothing to do, no edition changes
    note: `work` does not inherit from `main`; `ottvc apply` pushes a change to it
    $ ottvc switch regional/de
    On branch regional/de at [short id]; 1 file written
    $ ottvc meta reset edition.meta.json
    edition.meta.json is inherited
        /titles/@en  "Dune!" -> "Dune"
    but for /ids, /runtime: not inherited, and kept
    $ ottvc meta reset edition.meta.json /ids
    error: /ids in edition.meta.json has nothing to inherit: by its schema it is each edition's own
    hint: `ottvc meta set` and `ottvc meta unset` change it; `ottvc meta schema` prints schemas
    [status 3]
    $ ottvc lineage no-such-title
    error: no revision is called `no-such-title`
    hint: `ottvc branch`, `ottvc tag` and `ottvc log` list what there is
    [status 3]
    $ ottvc branch elsewhere --territory Germany
    branch elsewhere at [short id]
    note: `Germany` is no territory of ISO 3166 (DE, GB-SCT) or UN M49 (419), and is kept all the same
    "#);
    assert_eq!(lab.json("propagate main --to work").1["notices"][0]["branch"], "work");
}

#[test]
fn what_is_in_the_way_is_named() {
    let lab = editions();
    lab.ok("switch regional/fr");
    lab.write("extras", "a file");
    lab.ok("add .");
    lab.ok("commit -m 'A file where main has a folder'");
    lab.ok("switch main");
    lab.ok("meta set extras/x.meta.json '/n=1'");
    lab.ok("commit -m Extras");
    insta::assert_snapshot!(lab.tell([
        "propagate main --to regional/fr --dry-run",
        "apply main --to regional/fr --dry-run",
    ]), @"
    $ ottvc propagate main --to regional/fr --dry-run
    main ([short id]): nothing to change, 1 edition would move on as before
      regional/fr  nothing of it changes: 1 shadowed
        extras/x.meta.json#/  stays as it is: `extras` is in the way; was nothing,
          is {n: 1}

    plan [id]
    $ ottvc apply main --to regional/fr --dry-run
    main ([short id]): nothing to do, no edition changes
      regional/fr  as it is: 1 diverged
        extras/x.meta.json#/  stays as it is: `extras` is in the way; was nothing,
          is {n: 1}
    ");
}

/// What an edition would break holds it back, until that is allowed; what is allowed is no failure.
#[test]
fn what_would_break_a_schema_moves_nothing_unless_allowed() {
    let lab = Lab::film();
    lab.write(
        "house.yaml",
        "schema: house.film/1\nfields:\n  /genres: {type: set, of: string, max_items: 2}\n",
    );
    lab.write(
        "schemas.yaml",
        "documents: {'*.meta.json': house.film/1}\nschemas: {house.film/1: house.yaml}\n",
    );
    lab.ok("add .");
    lab.ok("commit -m Schema");
    lab.ok("branch de --territory DE");
    lab.ok("branch fr --territory FR");
    lab.ok("switch de");
    lab.ok(r#"meta set edition.meta.json '/genres=["war"]'"#);
    lab.ok("commit -m German");
    lab.ok("switch main");
    lab.ok(r#"meta set edition.meta.json '/genres=["epic","noir"]'"#);
    lab.ok("commit -m Genres");
    insta::assert_snapshot!(lab.tell([
        "propagate main --to de fr",
        "propagate main --to de fr --partial",
        "apply main --to de --dry-run",
        "propagate main --to de --allow-findings --dry-run",
        "propagate main --to de --allow-findings",
        "propagate main --to de --allow-findings",
    ]), @r#"
    $ ottvc propagate main --to de fr
    main ([short id]): nothing was changed, 1 edition would break a schema
      de  breaks a schema: 2 flowed
        edition.meta.json#/genres  breaks house.film/1: at most 2 are allowed, these
          are 3
      fr  1 flowed

    next: --partial changes the others, --allow-findings leaves schemas broken, to
      be mended
    [status 7]
    $ ottvc propagate main --to de fr --partial
    main ([short id]): 1 edition changed, 1 left behind; ottvc undo takes it back
      de  breaks a schema: 2 flowed
        edition.meta.json#/genres  breaks house.film/1: at most 2 are allowed, these
          are 3
      fr  1 flowed
    [status 7]
    $ ottvc apply main --to de --dry-run
    main ([short id]): nothing would change, 1 edition would break a schema
      de  breaks a schema: 2 applied
        edition.meta.json#/genres/{epic}  had nothing, has "epic"; overrides now
          what it inherited
        edition.meta.json#/genres/{noir}  had nothing, has "noir"; overrides now
          what it inherited
        edition.meta.json#/genres  breaks house.film/1: at most 2 are allowed, these
          are 3

    plan [id]

    next: --allow-findings leaves schemas broken, to be mended
    [status 7]
    $ ottvc propagate main --to de --allow-findings --dry-run
    main ([short id]): 1 edition would change
      de  breaks a schema: 2 flowed
        edition.meta.json#/genres  breaks house.film/1: at most 2 are allowed, these
          are 3

    plan [id]
    $ ottvc propagate main --to de --allow-findings
    main ([short id]): 1 edition changed; ottvc undo takes it back
      de  breaks a schema: 2 flowed
        edition.meta.json#/genres  breaks house.film/1: at most 2 are allowed, these
          are 3
    $ ottvc propagate main --to de --allow-findings
    main ([short id]): nothing to do, no edition changes
      de  as it is
    "#);
}

#[test]
fn an_edition_is_described_anew() {
    let lab = editions();
    insta::assert_snapshot!(lab.tell([
        "branch --describe regional/fr --class promo --territory be",
        "branch --describe main --territory Narnia",
        "branch --describe main --territory ''",
        "branch",
        "undo",
        "branch --describe regional/fr",
        "branch --describe regional/xx --territory FR",
    ]), @"
    $ ottvc branch --describe regional/fr --class promo --territory be
    branch regional/fr is promo, BE
    $ ottvc branch --describe main --territory Narnia
    branch main is Narnia
    note: `Narnia` is no territory of ISO 3166 (DE, GB-SCT) or UN M49 (419), and is kept all the same
    $ ottvc branch --describe main --territory ''
    branch main has no class or territory
    $ ottvc branch
    * main            [short id]                Theatrical master
      regional/de     [short id]  regional, DE  German rating
      regional/de-at  [short id]  AT            Begin regional/de-at, which inherits from regional/de
      regional/fr     [short id]  promo, BE     Begin regional/fr, which inherits from main
    $ ottvc undo
    took back operation 9: branch: describe main
      branch main is at [short id] again
    $ ottvc branch --describe regional/fr
    error: the following required arguments were not provided: <--class <CLASS>|--territory <TERRITORY>>
    hint: usage: ottvc branch --describe <NAME> <--class <CLASS>|--territory <TERRITORY>> [NAME] [REV]
    [status 2]
    $ ottvc branch --describe regional/xx --territory FR
    error: no revision is called `regional/xx`
    hint: did you mean `regional/de` or `regional/fr`?
    [status 3]
    ");
    insta::assert_snapshot!(lab.shape("branch --describe regional/fr --territory FR"), @"{class: text, commit: text, current: bool, edition: text, message: text, name: text, territory: text, time: text, time_ms: number}");
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let lab = editions();
    lab.ok(
        r#"meta set edition.meta.json '/title/en="Northern Lights over the bay"' '/rating="14"'"#,
    );
    lab.ok("commit -m 'New title'");
    let mut told = String::new();
    for line in ["lineage", "propagate main --to '**' --dry-run", "apply main --to '**' --dry-run"]
    {
        let ran: common::Ran = lab.command(line).env("COLUMNS", "50").output().unwrap().into();
        told += &format!("{ran}\n");
    }
    insta::assert_snapshot!(told, @r#"
    * main
        regional/de       regional, DE, from main at
            [short id], 1 override
          lacks 1 change of main:
            edition.meta.json#/title/en
          overrides 1 change of main:
            edition.meta.json#/rating
          regional/de-at  AT, from regional/de at
              [short id], 0 overrides
            lacks 1 change of regional/de:
              edition.meta.json#/rating
        regional/fr       regional, FR, from main at
            [short id], 0 overrides
          lacks 2 changes of main:
            edition.meta.json#/rating,
            edition.meta.json#/title/en

    main ([short id]): 3 editions would change
      regional/de     1 shadowed, 1 flowed
        edition.meta.json#/rating  keeps "16"; was
          "12", is "14"
      regional/fr     2 flowed
      regional/de-at  2 flowed

    plan [id]

    main ([short id]): 1 edition would change
      main            as it is: 2 already
      regional/de     as it is: 1 diverged, 1 via
        parent
        edition.meta.json#/rating  keeps "16"; the
          change is from "12" to "14"
        edition.meta.json#/title/en  comes with what
          it inherits from, by ottvc propagate
      regional/fr     as it is: 2 via parent
        edition.meta.json#/rating  comes with what it
          inherits from, by ottvc propagate
        edition.meta.json#/title/en  comes with what
          it inherits from, by ottvc propagate
      regional/de-at  1 applied, 1 via parent
        edition.meta.json#/rating  had "12", has "14";
          overrides now what it inherited
        edition.meta.json#/title/en  comes with what
          it inherits from, by ottvc propagate

    plan [id]
    "#);
    let plan = |line: &str| line.starts_with("plan ");
    assert!(told.lines().all(|line| plan(line) || line.chars().count() <= 50), "{told}");
}

/// A pin that moves under an edition that nothing of it reaches is not called a change.
#[test]
fn an_edition_that_only_moves_on_is_not_called_changed() {
    let lab = editions();
    lab.ok(r#"meta set edition.meta.json '/rating="14"'"#);
    lab.ok("commit -m Rating");
    insta::assert_snapshot!(lab.tell([
        "propagate main --to regional/de --dry-run",
        "propagate main --to regional/de regional/fr",
    ]), @r#"
    $ ottvc propagate main --to regional/de --dry-run
    main ([short id]): nothing to change, 1 edition would move on as before
      regional/de  nothing of it changes: 1 shadowed
        edition.meta.json#/rating  keeps "16"; was "12", is "14"

    plan [id]
    $ ottvc propagate main --to regional/de regional/fr
    main ([short id]): 1 edition changed, 1 moved on as before; ottvc undo takes
      it back
      regional/de  nothing of it changes: 1 shadowed
        edition.meta.json#/rating  keeps "16"; was "12", is "14"
      regional/fr  1 flowed
    "#);
}

/// Editions that were told what is taken back are named, and give it up when they follow again.
#[test]
fn undo_names_who_inherits_from_what_is_taken_back() {
    let lab = editions();
    lab.ok("meta set edition.meta.json '/title/en=\"Wrong\"'");
    lab.ok("commit -m Wrong");
    let wrong = lab.json("ops -n 1").1["operations"][0]["id"].clone();
    lab.ok("propagate main --to 'regional/*'");
    lab.ok("switch regional/fr");
    let told = lab.tell([
        &*format!("undo {wrong}"),
        "propagate main --to 'regional/*'",
        "propagate main --to 'regional/*'",
    ]);
    insta::assert_snapshot!(told, @"
    $ ottvc undo 7
    took back operation 7: commit: Wrong
      branch main is at [short id] again
    note: `regional/de`, `regional/fr` still inherit from what was taken back; `ottvc propagate main --to regional/de regional/fr` gives that up
    $ ottvc propagate main --to 'regional/*'
    main ([short id]): 3 editions changed; ottvc undo takes it back
      regional/de     1 flowed
        gives up [short id], which was taken back from what it inherits from
      regional/fr     1 flowed
        gives up [short id], which was taken back from what it inherits from
      regional/de-at  1 flowed
    $ ottvc propagate main --to 'regional/*'
    main ([short id]): nothing to do, no edition changes
      regional/de     as it is
      regional/fr     as it is
      regional/de-at  as it is
    ");
}
