//! What a user does wrong: each time one line that says what, one that says what to do, a status and
//! a code, and nothing lost.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod common;

use common::{Lab, assert_problem};

#[test]
fn no_repository_here() {
    let lab = Lab::new();
    insta::assert_snapshot!(lab.refused(3, "store.none_here", "status"), @"
    error: no repository in [lab]/work or a folder above
    hint: `ottvc init` makes one; -C DIR looks elsewhere
    ");
    for line in ["log", "add x", "commit -m x", "verify", "doctor", "meta get main", "merge de"] {
        lab.refused(3, "store.none_here", line);
    }
}

#[test]
fn a_repository_of_a_newer_release() {
    let lab = Lab::film();
    let version = lab.read(".ottvc/VERSION");
    lab.write(".ottvc/VERSION", "ottvc 99\n");
    insta::assert_snapshot!(lab.refused(6, "store.too_new", "status"), @"
    error: [lab]/work/.ottvc is in format 99; this release reads up to 1
    hint: install a newer release of ottvc
    ");
    for line in ["log", "add .", "verify", "init", "undo"] {
        lab.refused(6, "store.too_new", line);
    }
    let (_, problem) = lab.json("log");
    assert_eq!((&problem["found"], &problem["known"]), (&"99".into(), &1.into()));
    lab.write(".ottvc/VERSION", "what?\n");
    insta::assert_snapshot!(lab.refused(10, "store.bad_version", "status"), @"
    error: [lab]/work/.ottvc/VERSION holds no format version; it should read `ottvc 1`
    hint: write that into it, if no newer release wrote this repository
    ");
    lab.write(".ottvc/VERSION", version);
    assert_eq!(lab.json("verify").0, 0);
}

#[test]
fn a_path_outside() {
    let lab = Lab::film();
    insta::assert_snapshot!(lab.refused(8, "path.outside", "add ../home"), @"
    error: `../home` is outside the working copy
    hint: name a path inside it
    ");
    insta::assert_snapshot!(lab.refused(8, "path.outside", "add /etc/hostname"), @"
    error: `/etc/hostname` is outside the working copy
    hint: name a path inside it
    ");
    lab.refused(8, "path.outside", "rm ../work2/x");
    lab.refused(8, "path.outside", "mv feature.mp4 ../feature.mp4");
    assert!(lab.work.join("feature.mp4").exists());
    // A link that leads out is kept as a link; what is behind it is outside.
    std::os::unix::fs::symlink("../home", lab.work.join("link")).unwrap();
    let home = lab.beside.join("home/secret.txt");
    std::fs::File::create(home).unwrap();
    insta::assert_snapshot!(lab.refused(8, "path.outside", "add link/secret.txt"), @"
    error: `link/secret.txt` is outside the working copy
    hint: name a path inside it
    ");
    assert_eq!(lab.json("status").1["staged"], serde_json::json!([]));
}

#[test]
fn an_unknown_revision_with_a_near_miss() {
    let lab = Lab::film();
    lab.ok("branch directors-cut");
    insta::assert_snapshot!(lab.refused(3, "revision.unknown", "switch directors-cutt"), @"
    error: no revision is called `directors-cutt`
    hint: did you mean `directors-cut`?
    ");
    insta::assert_snapshot!(lab.refused(3, "revision.unknown", "log director-cut"), @"
    error: no revision is called `director-cut`
    hint: did you mean `directors-cut`?
    ");
    insta::assert_snapshot!(lab.refused(3, "revision.unknown", "merge nothing-like-it"), @"
    error: no revision is called `nothing-like-it`
    hint: `ottvc branch`, `ottvc tag` and `ottvc log` list what there is
    ");
    assert_eq!(lab.json("log mian").1["near"], serde_json::json!(["main"]));
    insta::assert_snapshot!(lab.refused(3, "revision.unknown", "diff featur.mp4"), @"
    error: no revision is called `featur.mp4`
    hint: `ottvc branch`, `ottvc tag` and `ottvc log` list what there is
    ");
    let lab = Lab::repo();
    insta::assert_snapshot!(lab.refused(3, "revision.unborn", "log"), @"
    error: branch `main` has no commit yet
    hint: `ottvc add` files, then `ottvc commit`
    ");
}

#[test]
fn a_path_that_is_not_there_with_a_near_miss() {
    let lab = Lab::film();
    insta::assert_snapshot!(lab.refused(3, "path.not_found", "add featur.mp4"), @"
    error: `featur.mp4` is not in the working copy
    hint: did you mean `feature.mp4`?
    ");
    insta::assert_snapshot!(lab.refused(3, "path.not_found", "rm featur.mp4"), @"
    error: `featur.mp4` is not in what is tracked
    hint: did you mean `feature.mp4`?
    ");
    insta::assert_snapshot!(lab.refused(3, "path.not_found", "cat main:fetaure.mp4"), @"
    error: `fetaure.mp4` is not in main
    hint: did you mean `feature.mp4`?
    ");
    insta::assert_snapshot!(lab.refused(3, "path.not_found", "ls main:sound"), @"
    error: `sound` is not in main
    hint: `ottvc ls -r REV` lists what a revision holds, `ottvc status` what is here
    ");
    insta::assert_snapshot!(lab.refused(3, "path.not_found", "checkout main sound --to ../out"), @"
    error: `sound` is not in main
    hint: `ottvc ls -r REV` lists what a revision holds, `ottvc status` what is here
    ");
}

#[test]
fn a_log_goes_by_files() {
    let lab = Lab::film();
    insta::assert_snapshot!(lab.refused(2, "argument.bad", "log --path edition.meta.json#/rating"), @"
    error: `edition.meta.json#/rating` is no path of a file: no commit has changed a file of that name, and a log goes by files, not by fields: --path edition.meta.json
    hint: `ottvc help log` says what it takes
    ");
    lab.write("a#", "x");
    lab.ok("mv edition.meta.json take#/edition.meta.json");
    lab.ok("commit -m Folder");
    assert_eq!(
        lab.json("log --path take#/edition.meta.json").1["commits"].as_array().unwrap().len(),
        1
    );
}

#[test]
fn json_that_is_not_json() {
    let lab = Lab::film();
    let staged = lab.json("status").1;
    lab.write("edition.meta.json", "{\n  \"title\": \"Northern Light\",\n  \"rating\": 12,\n}\n");
    insta::assert_snapshot!(lab.refused(1, "document.bad_json", "add ."), @"
    error: `edition.meta.json` is no metadata document
    cause: not a metadata document at line 4, column 1: trailing comma
    hint: mend the JSON there and add it again; other names than *.meta.json are stored as they are
    ");
    let (_, problem) = lab.json("add .");
    assert_eq!(
        (&problem["path"], &problem["line"], &problem["column"]),
        (&"edition.meta.json".into(), &4.into(), &1.into())
    );
    insta::assert_snapshot!(lab.refused(1, "document.bad_json", "commit -a -m x"), @"
    error: `edition.meta.json` is no metadata document
    cause: not a metadata document at line 4, column 1: trailing comma
    hint: mend the JSON there and add it again; other names than *.meta.json are stored as they are
    ");
    insta::assert_snapshot!(lab.tell(["status"]), @"
    $ ottvc status
    On branch main at [short id] (Northern Light)

    Changed, not staged  (ottvc restore PATH gives back what is staged)
      modified  edition.meta.json

    next: ottvc add . (stages what changed), or ottvc commit -a -m MESSAGE
    ");
    assert_eq!(lab.json("status").1["staged"], staged["staged"]);
    lab.write("edition.meta.json", r#"{"rating": 1e9999}"#);
    insta::assert_snapshot!(lab.refused(1, "document.bad_value", "add edition.meta.json"), @"
    error: `edition.meta.json` is no metadata document
    cause: bad value at /rating: a number is too large or too small: 1e-6176 to 1e6145 is the range
    hint: change that field and try again
    ");
    lab.write("edition.meta.json", r#"{"rating": "12", "rating": "18"}"#);
    insta::assert_snapshot!(lab.run("add edition.meta.json"), @"
    error: `edition.meta.json` is no metadata document
    cause: not a metadata document at line 1, column 25: the key `rating` comes twice
    hint: mend the JSON there and add it again; other names than *.meta.json are stored as they are
    [status 1]
    ");
    assert_eq!(lab.json("meta get main /rating").1["value"], "12");
}

#[test]
fn names_that_are_one_on_many_systems() {
    let lab = Lab::film();
    lab.write("Feature.mp4", "another");
    if lab.read("Feature.mp4").len() == std::fs::read(lab.work.join("feature.mp4")).unwrap().len() {
        eprintln!("SKIPPED: this file system takes names that differ in case for one");
        return;
    }
    insta::assert_snapshot!(lab.refused(1, "path.collision", "add Feature.mp4"), @"
    error: `feature.mp4` and `Feature.mp4` differ only in case
    hint: rename one of them
    ");
    let (_, problem) = lab.json("add .");
    assert_eq!(problem["paths"], serde_json::json!(["Feature.mp4", "feature.mp4"]));
    assert_eq!(lab.read("Feature.mp4"), "another");
    std::fs::remove_file(lab.work.join("Feature.mp4")).unwrap();
    // ë as one character and as two: the second is refused, alone or beside the first.
    lab.write("Zoe\u{308}.txt", "decomposed");
    insta::assert_snapshot!(lab.refused(2, "path.invalid", "add ."), @"
    error: `Zoë.txt` cannot be a path here: the name is not in Unicode NFC; rename it to its composed form
    hint: rename it
    ");
    lab.write("Zo\u{eb}.txt", "composed");
    lab.refused(2, "path.invalid", "add .");
    std::fs::remove_file(lab.work.join("Zoe\u{308}.txt")).unwrap();
    insta::assert_snapshot!(lab.tell(["add .", "status"]), @"
    $ ottvc add .
    added 3 files, 97.7 KiB; 8 B new, [size] on disk
    $ ottvc status
    On branch main at [short id] (Northern Light)

    Staged
      added     Zoë.txt

    next: ottvc commit -m MESSAGE
    ");
}

#[test]
fn a_command_that_does_not_exist() {
    let lab = Lab::film();
    insta::assert_snapshot!(lab.refused(2, "argument.usage", "stauts"), @"
    error: there is no command `stauts`
    hint: did you mean `status`?
    ");
    insta::assert_snapshot!(lab.refused(2, "argument.usage", "chekout main"), @"
    error: there is no command `chekout`
    hint: did you mean `checkout`?
    ");
    insta::assert_snapshot!(lab.refused(2, "argument.usage", "frobnicate"), @"
    error: there is no command `frobnicate`
    hint: `ottvc help` lists the commands
    ");
    // What others call it.
    insta::assert_snapshot!(lab.refused(2, "argument.usage", "stash"), @"
    error: there is no command `stash`
    hint: commit it on a branch: `ottvc switch -c NAME`, then `ottvc commit`; `ottvc switch` comes back
    ");
    insta::assert_snapshot!(lab.refused(2, "argument.usage", "revert HEAD"), @"
    error: there is no command `revert`
    hint: `ottvc undo` takes an operation back, `ottvc restore --from REV PATH` gives back what a revision has
    ");
    insta::assert_snapshot!(lab.refused(2, "argument.usage", "reset --hard"), @"
    error: there is no command `reset`
    hint: `ottvc undo` takes an operation back, `ottvc restore --from REV PATH` gives back what a revision has
    ");
    insta::assert_snapshot!(lab.refused(2, "argument.usage", "cherry-pick main"), @"
    error: there is no command `cherry-pick`
    hint: `ottvc apply REV --to BRANCH` pushes the change of one commit to other editions
    ");
    insta::assert_snapshot!(lab.refused(2, "argument.usage", "meta gte main"), @"
    error: there is no command `gte`
    hint: did you mean `get`?
    ");
    insta::assert_snapshot!(lab.refused(2, "argument.usage", "log --grahp"), @"
    error: unexpected argument '--grahp' found
    hint: did you mean `--graph`?
    ");
    insta::assert_snapshot!(lab.refused(2, "argument.usage", "verify everything"), @"
    error: unexpected argument 'everything' found
    hint: usage: ottvc verify [OPTIONS]
    ");
    insta::assert_snapshot!(lab.refused(2, "argument.usage", "checkout main"), @"
    error: the following required arguments were not provided: --to <DIR>
    hint: usage: ottvc checkout --to <DIR> <REV> [PATH]...
    ");
    insta::assert_snapshot!(lab.refused(2, "argument.usage", "verify --sample many"), @"
    error: invalid value 'many' for '--sample <N%>': write a part such as 5%
    hint: `ottvc help verify` says what it takes
    ");
    insta::assert_snapshot!(lab.refused(2, "argument.usage", "-q"), @"
    error: no command was given
    hint: `ottvc help` lists the commands
    ");
}

#[test]
fn nothing_typed_shows_help() {
    let lab = Lab::film();
    for line in ["", "meta", "audit"] {
        let ran = lab.run(line);
        assert_eq!((ran.status, ran.out.as_str()), (2, ""));
        assert!(ran.err.contains("Usage: ottvc"), "{ran}");
        let (status, problem) = lab.json(line);
        assert_eq!(status, 2);
        assert_problem(&problem, 2, "argument.usage");
        assert_eq!(problem["detail"], "no command was given");
    }
}

#[test]
fn problems_have_the_promised_members() {
    let lab = Lab::film();
    let (_, problem) = lab.json("switch mian");
    insta::assert_snapshot!(serde_json::to_string_pretty(&problem).unwrap(), @r#"
    {
      "code": "revision.unknown",
      "detail": "no revision is called `mian`",
      "exit": 3,
      "hint": "did you mean `main`?",
      "near": [
        "main"
      ],
      "revision": "mian",
      "status": 404,
      "title": "No such revision",
      "type": "urn:ottvc:problem:revision.unknown"
    }
    "#);
}
