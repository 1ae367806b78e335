//! Metadata documents: `meta get`, `meta set`, `meta unset`, `meta edit`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod common;

use std::os::unix::fs::PermissionsExt;

use common::{Lab, Ran, assert_refused};

/// Puts an editor beside the working copy: a shell script that is handed the file.
fn editor(lab: &Lab, script: &str) -> String {
    let path = lab.beside.join("editor");
    std::io::Write::write_all(
        &mut std::fs::File::create(&path).unwrap(),
        format!("#!/bin/sh\n{script}\n").as_bytes(),
    )
    .unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

fn edit(lab: &Lab, editor: &str, line: &str) -> Ran {
    lab.command(line).env("EDITOR", editor).output().unwrap().into()
}

#[test]
fn get_reads_a_document_or_a_field() {
    let lab = Lab::film();
    lab.ok("meta set feature.mp4 /fps=25");
    let told = lab.tell([
        "meta get main",
        "meta get main /title/en",
        "meta get main:edition.meta.json /title",
        "meta get feature.mp4",
        "meta get edition.meta.json /rating",
    ]);
    insta::assert_snapshot!(told, @r#"
    $ ottvc meta get main
    {
      "rating": "12",
      "title": {
        "en": "Northern Light"
      }
    }
    $ ottvc meta get main /title/en
    "Northern Light"
    $ ottvc meta get main:edition.meta.json /title
    {
      "en": "Northern Light"
    }
    $ ottvc meta get feature.mp4
    {
      "fps": 25
    }
    $ ottvc meta get edition.meta.json /rating
    "12"
    "#);
    insta::assert_snapshot!(lab.shape("meta get main /rating"), @"{field: text, path: text, value: text}");
    insta::assert_snapshot!(lab.refused(3, "document.no_field", "meta get main /title/fr"), @"
    error: `/title/fr` is not in edition.meta.json
    hint: `ottvc meta get` shows all fields
    ");
    insta::assert_snapshot!(lab.refused(3, "path.not_found", "meta get main:feature.mp4"), @"
    error: `feature.mp4.meta.json` is not in main
    hint: `ottvc ls -r REV` lists what a revision holds, `ottvc status` what is here
    ");
    insta::assert_snapshot!(lab.refused(3, "revision.unknown", "meta get mian /title"), @"
    error: no revision is called `mian`
    hint: did you mean `main`?
    ");
}

#[test]
fn set_and_unset_change_fields_and_stage() {
    let lab = Lab::film();
    let told = lab.tell([
        r#"meta set edition.meta.json '/rating="18"' /year=2026 '/cast=["Ana","Ben"]'"#,
        "meta unset edition.meta.json /title/en",
        "meta set feature.mp4 '/fps=25'",
        "diff",
        "status",
    ]);
    insta::assert_snapshot!(told, @r#"
    $ ottvc meta set edition.meta.json '/rating="18"' /year=2026 '/cast=["Ana","Ben"]'
    edition.meta.json#/rating = "18"
    edition.meta.json#/year = 2026
    edition.meta.json#/cast = ["Ana","Ben"]
    $ ottvc meta unset edition.meta.json /title/en
    edition.meta.json#/title/en removed
    $ ottvc meta set feature.mp4 '/fps=25'
    feature.mp4.meta.json#/fps = 25
    $ ottvc diff
    modified  edition.meta.json
        /cast  + ["Ana", "Ben"]
        /rating  "12" -> "18"
        /title/en  - "Northern Light"
        /year  + 2026
    added     feature.mp4.meta.json
        /fps  + 25
    $ ottvc status
    On branch main at [short id] (Northern Light)

    Staged
      modified  edition.meta.json
      added     feature.mp4.meta.json

    next: ottvc commit -m MESSAGE
    "#);
    insta::assert_snapshot!(lab.shape("meta set edition.meta.json /year=2027"), @"{document: {cast: [text], rating: text, title: {}, year: number}, path: text}");
    insta::assert_snapshot!(lab.shape("meta unset edition.meta.json /year"), @"{document: {cast: [text], rating: text, title: {}}, path: text}");
    insta::assert_snapshot!(lab.read("edition.meta.json"), @r#"
    {
      "cast": [
        "Ana",
        "Ben"
      ],
      "rating": "18",
      "title": {}
    }
    "#);
}

#[test]
fn numbers_and_order_come_back_as_they_were() {
    let lab = Lab::film();
    lab.ok("meta set edition.meta.json /budget=12345678901234567890.10 /n=null '/list=[3,1,2]'");
    lab.ok("commit -m Numbers");
    insta::assert_snapshot!(lab.tell(["meta get HEAD /budget", "meta get HEAD /n", "meta get HEAD /list"]), @r#"
    $ ottvc meta get HEAD /budget
    {
      "$dec": "12345678901234567890.1"
    }
    $ ottvc meta get HEAD /n
    null
    $ ottvc meta get HEAD /list
    [
      3,
      1,
      2
    ]
    "#);
}

#[test]
fn set_refuses_what_it_cannot_read() {
    let lab = Lab::film();
    let before = lab.read("edition.meta.json");
    insta::assert_snapshot!(lab.refused(2, "argument.bad", "meta set edition.meta.json /rating=18a"), @r#"
    error: `/rating=18a` is no field assignment: what follows `=` is no JSON: trailing characters at line 1 column 3
    hint: write FIELD=JSON, a text in double quotes: '/rating="18"'
    "#);
    insta::assert_snapshot!(lab.refused(2, "argument.bad", "meta set edition.meta.json /rating"), @r#"
    error: `/rating` is no field assignment: it has no `=`
    hint: write FIELD=JSON, a text in double quotes: '/rating="18"'
    "#);
    insta::assert_snapshot!(lab.refused(3, "document.no_field", "meta unset edition.meta.json /nope"), @"
    error: `/nope` is not in edition.meta.json
    hint: `ottvc meta get` shows all fields
    ");
    insta::assert_snapshot!(lab.refused(3, "path.not_found", "meta set featur.mp4 /fps=25"), @"
    error: `featur.mp4` is not in the working copy
    hint: did you mean `feature.mp4`?
    ");
    // One bad field, and none is set.
    lab.refused(2, "argument.bad", "meta set edition.meta.json /year=2026 /rating=x");
    assert_eq!(lab.read("edition.meta.json"), before);
}

#[test]
fn edit_opens_an_editor_and_stages_what_it_leaves() {
    let lab = Lab::film();
    let changes = editor(&lab, "sed -i 's/\"12\"/\"18\"/' \"$1\"");
    insta::assert_snapshot!(edit(&lab, &changes, "meta edit edition.meta.json"), @"edition.meta.json edited and staged");
    insta::assert_snapshot!(edit(&lab, "true", "meta edit edition.meta.json"), @"edition.meta.json unchanged");
    insta::assert_snapshot!(edit(&lab, "true", "meta edit feature.mp4"), @"feature.mp4.meta.json was left empty, so none was made");
    let begins = editor(&lab, "echo '{\"fps\": 25}' > \"$1\"");
    insta::assert_snapshot!(edit(&lab, &begins, "meta edit feature.mp4"), @"feature.mp4.meta.json edited and staged");
    insta::assert_snapshot!(lab.tell(["diff", "status"]), @r#"
    $ ottvc diff
    modified  edition.meta.json
        /rating  "12" -> "18"
    added     feature.mp4.meta.json
        /fps  + 25
    $ ottvc status
    On branch main at [short id] (Northern Light)

    Staged
      modified  edition.meta.json
      added     feature.mp4.meta.json

    next: ottvc commit -m MESSAGE
    "#);
    let answer = edit(&lab, "true", "meta edit edition.meta.json --json");
    let answer: serde_json::Value = serde_json::from_str(&answer.out).unwrap();
    insta::assert_snapshot!(common::shape(&answer), @"{document: {rating: text, title: {en: text}}, path: text}");
}

#[test]
fn edit_loses_nothing_when_it_fails() {
    let lab = Lab::film();
    let before = lab.read("edition.meta.json");
    let breaks = editor(&lab, "echo '{\"rating\": ' > \"$1\"");
    let ran = edit(&lab, &breaks, "meta edit edition.meta.json");
    assert_refused(&ran, 1);
    insta::assert_snapshot!(ran, @"
    error: `edition.meta.json` is no metadata document
    cause: not a metadata document at line 2, column 0: EOF while parsing a value
    hint: what you typed is kept: `ottvc meta edit edition.meta.json --from [lab]/home/[kept].meta.json` opens it again
    [status 1]
    ");
    let ran = edit(&lab, "false", "meta edit edition.meta.json");
    assert_refused(&ran, 1);
    insta::assert_snapshot!(ran, @"
    error: the editor `false` failed: it ended with exit status: 1
    hint: nothing was changed; EDITOR or core.editor names another
    [status 1]
    ");
    let ran = edit(&lab, "no-such-editor --wait", "meta edit edition.meta.json");
    assert_refused(&ran, 1);
    insta::assert_snapshot!(ran, @"
    error: the editor `no-such-editor --wait` failed: No such file or directory (os error 2)
    hint: nothing was changed; EDITOR or core.editor names another
    [status 1]
    ");
    insta::assert_snapshot!(lab.refused(2, "editor.none", "meta edit edition.meta.json"), @"
    error: there is no editor to open
    hint: set EDITOR, or `ottvc config set core.editor COMMAND`
    ");
    // Somebody else changed the file while the editor was open.
    let races = editor(
        &lab,
        &format!(
            "sed -i 's/12/18/' \"$1\"; echo '{{\"rating\": \"6\"}}' > '{}'",
            lab.work.join("edition.meta.json").display()
        ),
    );
    let ran = edit(&lab, &races, "meta edit edition.meta.json");
    assert_refused(&ran, 6);
    insta::assert_snapshot!(ran, @"
    error: local changes to `edition.meta.json` would be lost
    hint: what you typed is kept: `ottvc meta edit edition.meta.json --from [lab]/home/[kept].meta.json` opens it again
    [status 6]
    ");
    assert_eq!(lab.read("edition.meta.json"), "{\"rating\": \"6\"}\n");
    lab.write("edition.meta.json", &before);
    assert_eq!(lab.json("status").1["clean"], true);
}

#[test]
fn a_step_that_lacks_its_slash_is_asked_about() {
    let lab = Lab::film();
    insta::assert_snapshot!(lab.tell([
        "meta set edition.meta.json 'ratings[system=bbfc]/value=15'",
        "meta set edition.meta.json '/genres{war}=true' '/a[b]=1'",
    ]), @"
    $ ottvc meta set edition.meta.json 'ratings[system=bbfc]/value=15'
    edition.meta.json#/ratings[system=bbfc]/value = 15
    note: /ratings[system=bbfc]/value is a field of that very name; did you mean /ratings/[system=bbfc]/value?
    $ ottvc meta set edition.meta.json '/genres{war}=true' '/a[b]=1'
    edition.meta.json#/genres{war} = true
    edition.meta.json#/a[b] = 1
    note: /genres{war} is a field of that very name; did you mean /genres/{war}?
    ");
    lab.ok("meta unset edition.meta.json '/ratings[system=bbfc]' '/genres{war}' '/a[b]' /rating /title");
    lab.ok("meta schema --use ott.edition/1");
    let before = lab.read("edition.meta.json");
    let line = r#"meta set edition.meta.json 'ratings[system=bbfc,territory=GB]/value="15"'"#;
    insta::assert_snapshot!(lab.refused(2, "argument.usage", line), @"
    error: ott.edition/1 has no field /ratings[system=bbfc,territory=GB]/value
    hint: did you mean /ratings/[system=bbfc,territory=GB]/value? A slash stands before each step
    ");
    assert_eq!(lab.read("edition.meta.json"), before);
}
