//! Putting things in: `init`, `status`, `add`, `rm`, `mv`, `commit`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod common;

use common::{Lab, noise};

#[test]
fn init_makes_a_repository_and_says_where() {
    let lab = Lab::new();
    let told = lab.tell([
        "init northern --title 'Northern Light'",
        "init northern",
        "-C northern status",
        "-q init quiet",
    ]);
    insta::assert_snapshot!(told, @"
    $ ottvc init northern --title 'Northern Light'
    New repository in [lab]/work/northern, on branch main
    $ ottvc init northern
    [lab]/work/northern is a repository already; nothing was changed
    $ ottvc -C northern status
    On branch main, no commit yet (Northern Light)

    next: put files here, then ottvc add .
    $ ottvc -q init quiet
    ");
    assert!(lab.work.join("quiet/.ottvc/VERSION").is_file());
    insta::assert_snapshot!(lab.shape("init other"), @"{branch: text, created: bool, path: text, title: null}");
}

#[test]
fn init_leaves_what_lies_there_as_it_is() {
    let lab = Lab::new();
    lab.write("feature.mp4", "film");
    lab.ok("init");
    assert_eq!(lab.read("feature.mp4"), "film");
    insta::assert_snapshot!(lab.tell(["status"]), @"
    $ ottvc status
    On branch main, no commit yet

    Untracked
      feature.mp4

    next: ottvc add . (stores and stages what is untracked)
    ");
}

#[test]
fn status_leads_from_nothing_to_a_commit() {
    let lab = Lab::repo();
    let before = lab.tell(["status"]);
    lab.write("feature.mp4", noise(1, 100_000));
    lab.write("edition.meta.json", r#"{"rating": "12"}"#);
    let told =
        lab.tell(["status", "add .", "add .", "status", "commit -m 'Theatrical master'", "status"]);
    insta::assert_snapshot!(before + &told, @"
    $ ottvc status
    On branch main, no commit yet (Northern Light)

    next: put files here, then ottvc add .
    $ ottvc status
    On branch main, no commit yet (Northern Light)

    Untracked
      edition.meta.json
      feature.mp4

    next: ottvc add . (stores and stages what is untracked)
    $ ottvc add .
    added 2 files, 97.7 KiB; 97.7 KiB new, [size] on disk
    $ ottvc add .
    added 2 files, 97.7 KiB; unchanged since last time
    $ ottvc status
    On branch main, no commit yet (Northern Light)

    Staged
      added     edition.meta.json
      added     feature.mp4

    next: ottvc commit -m MESSAGE
    $ ottvc commit -m 'Theatrical master'
    [main [short id]] Theatrical master
     2 paths changed; 1 file, 1 document, 97.7 KiB in all
    $ ottvc status
    On branch main at [short id] (Northern Light)

    Nothing to commit, nothing changed
    ");
}

#[test]
fn status_tells_what_changed_since() {
    let lab = Lab::film();
    lab.write("feature.mp4", noise(2, 1000));
    lab.write("notes/today.txt", "new");
    lab.ok("mv edition.meta.json about.meta.json");
    insta::assert_snapshot!(lab.tell(["status"]), @"
    $ ottvc status
    On branch main at [short id] (Northern Light)

    Staged
      renamed   edition.meta.json -> about.meta.json

    Changed, not staged  (ottvc restore PATH gives back what is staged)
      modified  feature.mp4

    Untracked
      notes/today.txt

    next: ottvc commit -m MESSAGE
    ");
    std::fs::remove_file(lab.work.join("feature.mp4")).unwrap();
    insta::assert_snapshot!(lab.tell(["status"]), @"
    $ ottvc status
    On branch main at [short id] (Northern Light)

    Staged
      renamed   edition.meta.json -> about.meta.json

    Changed, not staged  (ottvc restore PATH gives back what is staged)
      removed   feature.mp4

    Untracked
      notes/today.txt

    next: ottvc commit -m MESSAGE
    ");
    insta::assert_snapshot!(lab.shape("status"), @"{branch: text, changed: [{change: text, kind: text, path: text}], clean: bool, commit: text, conflicts: [], merging: null, next: text, staged: [{change: text, from: text, kind: text, path: text}], title: text, untracked: [text]}");
}

#[test]
fn add_counts_what_is_new() {
    let lab = Lab::repo();
    lab.write("a.mp4", noise(1, 50_000));
    let (_, first) = lab.json("add a.mp4");
    insta::assert_snapshot!(common::shape(&first), @"{files: number, logical_bytes: number, new_bytes: number, new_chunks: number, read_bytes: number, removed: number, seconds: number, stored_bytes: number}");
    assert_eq!((&first["files"], &first["logical_bytes"]), (&1.into(), &50_000.into()));
    assert_eq!(first["new_bytes"], 50_000);
    assert!(first["stored_bytes"].as_u64().unwrap() >= 50_000);
    // The same bytes under another name cost nothing.
    lab.write("b.mp4", noise(1, 50_000));
    let (_, second) = lab.json("add --jobs 1 b.mp4");
    assert_eq!((&second["new_chunks"], &second["new_bytes"]), (&0.into(), &0.into()));
    insta::assert_snapshot!(lab.tell(["add b.mp4", "-q add .", "add . -j 2"]), @"
    $ ottvc add b.mp4
    added 1 file, 48.8 KiB; unchanged since last time
    $ ottvc -q add .
    $ ottvc add . -j 2
    added 2 files, 97.7 KiB; unchanged since last time
    ");
}

#[test]
fn add_leaves_out_what_is_ignored_and_stages_what_is_gone() {
    let lab = Lab::film();
    lab.write(".ottvcignore", "*.tmp\n");
    lab.write("render.tmp", "x");
    std::fs::remove_file(lab.work.join("feature.mp4")).unwrap();
    insta::assert_snapshot!(lab.tell(["add .", "status"]), @"
    $ ottvc add .
    added 2 files, 57 B; 1 removed; 6 B new, [size] on disk
    $ ottvc status
    On branch main at [short id] (Northern Light)

    Staged
      added     .ottvcignore
      removed   feature.mp4

    next: ottvc commit -m MESSAGE
    ");
}

#[test]
fn rm_removes_only_what_a_commit_has() {
    let lab = Lab::film();
    lab.write("feature.mp4", "changed");
    insta::assert_snapshot!(lab.refused(6, "worktree.local_changes", "rm feature.mp4"), @"
    error: local changes to `feature.mp4` would be lost
    hint: --keep leaves the files, --force removes them all the same
    ");
    assert_eq!(lab.read("feature.mp4"), "changed");
    insta::assert_snapshot!(lab.tell(["rm --keep feature.mp4", "rm edition.meta.json", "status"]), @"
    $ ottvc rm --keep feature.mp4
    removed feature.mp4
    $ ottvc rm edition.meta.json
    removed edition.meta.json
    $ ottvc status
    On branch main at [short id] (Northern Light)

    Staged
      removed   edition.meta.json
      removed   feature.mp4

    Untracked
      feature.mp4

    next: ottvc commit -m MESSAGE
    ");
    assert_eq!(lab.read("feature.mp4"), "changed");
    assert!(!lab.work.join("edition.meta.json").exists());

    let lab = Lab::film();
    insta::assert_snapshot!(lab.shape("rm -f feature.mp4"), @"{removed: [text]}");
}

#[test]
fn mv_remembers_the_rename() {
    let lab = Lab::film();
    let told =
        lab.tell(["mv feature.mp4 film/feature.mp4", "status", "commit -m Rename", "show --stat"]);
    insta::assert_snapshot!(told, @"
    $ ottvc mv feature.mp4 film/feature.mp4
    renamed feature.mp4 -> film/feature.mp4
    $ ottvc status
    On branch main at [short id] (Northern Light)

    Staged
      renamed   feature.mp4 -> film/feature.mp4

    next: ottvc commit -m MESSAGE
    $ ottvc commit -m Rename
    [main [short id]] Rename
     1 path changed; 1 file, 1 document, 97.7 KiB in all
    $ ottvc show --stat
    commit [id]  (HEAD -> main)
    author Ana <ana@example.com>
    date   [time]

        Rename

    renamed   film/feature.mp4  97.7 KiB, the same bytes
    1 path, 0 fields, 0 B of media that is new
    ");
    insta::assert_snapshot!(lab.shape("mv film reel"), @"{renamed: [{from: text, to: text}]}");
    assert!(lab.work.join("reel/feature.mp4").is_file());
    insta::assert_snapshot!(lab.refused(6, "worktree.in_the_way", "mv reel/feature.mp4 edition.meta.json"), @"
    error: `edition.meta.json` is in the way
    hint: move it away, then repeat
    ");
    insta::assert_snapshot!(lab.refused(2, "argument.bad", "mv edition.meta.json edition.meta.json"), @"
    error: `edition.meta.json` is no new name: it is called that already
    hint: `ottvc help mv` says what it takes
    ");
}

#[test]
fn commit_says_what_it_recorded() {
    let lab = Lab::film();
    lab.write("feature.mp4", noise(2, 1000));
    lab.write("untracked.txt", "x");
    let told = lab.tell([
        "commit -a -m 'Cut it short' -m 'For the airline.' --author 'Ben <ben@example.com>' --date 2026-03-02",
        "show",
        "status",
    ]);
    insta::assert_snapshot!(told, @"
    $ ottvc commit -a -m 'Cut it short' -m 'For the airline.' --author 'Ben <ben@example.com>' --date 2026-03-02
    [main [short id]] Cut it short
     1 path changed; 1 file, 1 document, 1.0 KiB in all
    $ ottvc show
    commit [id]  (HEAD -> main)
    author Ben <ben@example.com>
    date   [time]
    by     Ana <ana@example.com>

        Cut it short

        For the airline.

    modified  feature.mp4  97.7 KiB -> 1000 B, 0% shared
        1000 B new at 0 B
    $ ottvc status
    On branch main at [short id] (Northern Light)

    Untracked
      untracked.txt

    next: ottvc add . (stores and stages what is untracked)
    ");
    lab.ok("add .");
    let (_, made) = lab.json("commit -m 'Notes'");
    insta::assert_snapshot!(common::shape(&made), @"{branch: text, changed: number, commit: text, conflicts: number, documents: number, files: number, logical_bytes: number, new_bytes: number, new_objects: number, tree: text}");
    assert_eq!(
        (&made["branch"], &made["files"], &made["documents"]),
        (&"main".into(), &2.into(), &1.into())
    );
    assert_eq!(made["commit"], lab.history()["commits"][0]["id"]);
}

#[test]
fn commit_takes_the_date_it_is_given() {
    let lab = Lab::film();
    let commit = &lab.history()["commits"][0];
    assert_eq!(commit["time"], "2026-03-01T14:05:00.000Z");
    assert_eq!(commit["author"], "Ana <ana@example.com>");
}

#[test]
fn commit_of_some_paths_leaves_the_rest_staged() {
    let lab = Lab::film();
    lab.write("a.txt", "a");
    lab.write("b.txt", "b");
    lab.ok("add .");
    insta::assert_snapshot!(lab.tell(["commit -m 'Only a' a.txt", "status"]), @"
    $ ottvc commit -m 'Only a' a.txt
    [main [short id]] Only a
     1 path changed; 2 files, 1 document, 97.7 KiB in all
    $ ottvc status
    On branch main at [short id] (Northern Light)

    Staged
      added     b.txt

    next: ottvc commit -m MESSAGE
    ");
}

#[test]
fn commit_needs_something_and_a_message() {
    let lab = Lab::film();
    insta::assert_snapshot!(lab.refused(1, "commit.nothing", "commit -m Again"), @"
    error: nothing to commit
    hint: `ottvc status` shows what changed; `ottvc add` stages it
    ");
    lab.write("a.txt", "a");
    lab.ok("add .");
    insta::assert_snapshot!(lab.refused(2, "argument.no_message", "commit"), @"
    error: a commit needs a message
    hint: say why with -m MESSAGE
    ");
    insta::assert_snapshot!(lab.refused(2, "argument.bad", "commit -m x --author ''"), @"
    error: `` is no author: it is empty
    hint: `ottvc help commit` says what it takes
    ");
    insta::assert_snapshot!(lab.refused(2, "argument.usage", "commit -m x --date yesterday"), @"
    error: invalid value 'yesterday' for '--date <DATE>': write 2026-03-01 or [time]
    hint: `ottvc help commit` says what it takes
    ");
    insta::assert_snapshot!(lab.tell(["status", "commit -m Empty --allow-empty -q"]), @"
    $ ottvc status
    On branch main at [short id] (Northern Light)

    Staged
      added     a.txt

    next: ottvc commit -m MESSAGE
    $ ottvc commit -m Empty --allow-empty -q
    ");
}

#[test]
fn rm_takes_what_is_gone_from_disk_already() {
    let lab = Lab::film();
    lab.write("extra.mp4", "never committed");
    lab.ok("add extra.mp4");
    assert_eq!(lab.run("rm extra.mp4").status, 6, "it is nowhere else");
    std::fs::remove_file(lab.work.join("extra.mp4")).unwrap();
    assert_eq!(lab.ok("rm extra.mp4"), "removed extra.mp4\n");
    assert_eq!(lab.run("rm extra.mp4").status, 3, "as git has it");
}

#[test]
fn an_empty_message_is_refused() {
    let lab = Lab::film();
    lab.write("feature.mp4", "changed");
    for line in ["commit -a -m ''", "commit -a -m ' ' -m ''"] {
        lab.refused(2, "argument.no_message", line);
    }
    lab.ok("commit -a -m changed");
}

#[test]
fn a_log_can_have_one_line_for_each_commit() {
    let lab = Lab::film();
    lab.write("feature.mp4", "changed");
    lab.ok("commit -a -m 'A new cut'");
    let log = lab.ok("log --oneline");
    let first = log.lines().next().unwrap();
    assert!(first.ends_with(" (HEAD -> main) A new cut"), "{log}");
    assert_eq!(log.lines().count(), lab.ok("log").lines().count() / 2);
    let drawn = lab.ok("log --oneline --graph");
    assert_eq!(drawn.lines().next().unwrap(), format!("* {first}"));
}
