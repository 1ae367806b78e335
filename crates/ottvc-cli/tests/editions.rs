//! Names that move and how far back one can go: `branch`, `tag`, `switch`, `ops`, `undo`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod common;

use common::{Lab, shape};

#[test]
fn branches_are_editions() {
    let lab = Lab::film();
    let told = lab.tell([
        "branch directors-cut --class director",
        "branch regional/de main --class regional --territory DE",
        "branch",
        "branch -m regional/de regional/de-AT",
        "branch -d directors-cut",
        "branch",
    ]);
    insta::assert_snapshot!(told, @"
    $ ottvc branch directors-cut --class director
    branch directors-cut at [short id]
    $ ottvc branch regional/de main --class regional --territory DE
    branch regional/de at [short id]
    $ ottvc branch
      directors-cut  [short id]  director      Begin directors-cut, which inherits from main
    * main           [short id]                Theatrical master
      regional/de    [short id]  regional, DE  Begin regional/de, which inherits from main
    $ ottvc branch -m regional/de regional/de-AT
    branch regional/de is now regional/de-AT
    $ ottvc branch -d directors-cut
    deleted branch directors-cut (was [short id]); ottvc undo brings it back
    $ ottvc branch
    * main            [short id]                Theatrical master
      regional/de-AT  [short id]  regional, DE  Begin regional/de, which inherits from main
    ");
    insta::assert_snapshot!(lab.shape("branch"), @"{branches: [{class: null, commit: text, current: bool, edition: text, message: text, name: text, territory: null, time: text, time_ms: number}]}");
    insta::assert_snapshot!(lab.shape("branch airline --class airline"), @"{class: text, commit: text, current: bool, edition: text, message: text, name: text, territory: null, time: text, time_ms: number}");
    insta::assert_snapshot!(lab.shape("branch -d airline"), @"{class: text, commit: text, current: bool, edition: text, message: text, name: text, territory: null, time: text, time_ms: number}");
}

#[test]
fn branch_refuses_what_would_lose_something() {
    let lab = Lab::film();
    lab.ok("switch -c cut");
    lab.ok("commit -m 'Only here' --allow-empty");
    insta::assert_snapshot!(lab.refused(6, "refs.current", "branch -d cut"), @"
    error: the working copy is on branch `cut`
    hint: `ottvc switch` to another branch first
    ");
    lab.ok("switch main");
    insta::assert_snapshot!(lab.refused(6, "refs.unmerged", "branch -d cut"), @"
    error: branch `cut` has commits that no other branch or tag reaches
    hint: merge it, or delete it with `ottvc branch -d cut --force`
    ");
    insta::assert_snapshot!(lab.refused(6, "refs.exists", "branch cut"), @"
    error: branch `cut` exists already
    hint: `ottvc switch cut` goes there; or take another name
    ");
    insta::assert_snapshot!(lab.refused(6, "refs.exists", "branch -m cut main"), @"
    error: branch `main` exists already
    hint: `ottvc switch main` goes there; or take another name
    ");
    insta::assert_snapshot!(lab.refused(2, "refs.bad_name", "branch 'a b'"), @"
    error: `a b` cannot be the name of a branch or tag: only letters, digits and - _ . + / may stand in it
    hint: use letters, digits and - _ . + /
    ");
    insta::assert_snapshot!(lab.refused(3, "revision.unknown", "branch -d cutt"), @"
    error: no revision is called `cutt`
    hint: did you mean `cut`?
    ");
    let before = lab.history();
    lab.ok("branch -d cut --force");
    lab.ok("undo");
    assert_eq!(lab.history(), before);
}

#[test]
fn tags_stay_where_they_are() {
    let lab = Lab::film();
    insta::assert_snapshot!(lab.tell(["tag v1", "tag delivered main", "tag", "tag -d v1"]), @"
    $ ottvc tag v1
    tag v1 at [short id]
    $ ottvc tag delivered main
    tag delivered at [short id]
    $ ottvc tag
      delivered  [short id]  Theatrical master
      v1         [short id]  Theatrical master
    $ ottvc tag -d v1
    deleted tag v1 (was [short id]); ottvc undo brings it back
    ");
    insta::assert_snapshot!(lab.shape("tag"), @"{tags: [{class: null, commit: text, current: bool, edition: null, message: text, name: text, territory: null, time: text, time_ms: number}]}");
    insta::assert_snapshot!(lab.shape("tag v2"), @"{class: null, commit: text, current: bool, edition: null, message: text, name: text, territory: null, time: text, time_ms: number}");
    insta::assert_snapshot!(lab.refused(6, "refs.exists", "tag v2"), @"
    error: tag `v2` exists already
    hint: take another name
    ");
    let tagged = lab.json("log delivered").1;
    lab.ok("commit -m Later --allow-empty");
    assert_eq!(lab.json("log delivered").1["commits"][0]["id"], tagged["commits"][0]["id"]);
}

#[test]
fn switch_moves_the_files() {
    let lab = Lab::film();
    lab.ok("switch -c de");
    lab.write("sound/de.wav", "Ton");
    lab.ok("meta set edition.meta.json '/title/de=\"Nordlicht\"'");
    lab.ok("add .");
    lab.ok("commit -m 'German sound'");
    let told = lab.tell(["switch main", "switch de", "switch main --detach", "status"]);
    insta::assert_snapshot!(told, @"
    $ ottvc switch main
    On branch main at [short id]; 1 file written, 1 removed
    $ ottvc switch de
    On branch de at [short id]; 2 files written
    $ ottvc switch main --detach
    On commit [short id], no branch; 1 file written, 1 removed
    $ ottvc status
    On commit [short id], no branch (Northern Light)

    Nothing to commit, nothing changed
    ");
    insta::assert_snapshot!(lab.shape("switch de"), @"{branch: text, commit: text, removed: number, written: number}");
    assert_eq!(lab.read("sound/de.wav"), "Ton");
    assert!(lab.read("edition.meta.json").contains("Nordlicht"));
}

#[test]
fn switch_keeps_local_changes_or_refuses() {
    let lab = Lab::film();
    lab.ok("branch cut");
    lab.ok("meta set edition.meta.json '/rating=\"18\"'");
    lab.ok("commit -m Rating");
    // Nothing on the other branch touches it: it stays.
    lab.write("feature.mp4", "being edited");
    insta::assert_snapshot!(lab.tell(["switch cut", "status"]), @"
    $ ottvc switch cut
    On branch cut at [short id]; 1 file written
    $ ottvc status
    On branch cut at [short id] (Northern Light)

    Changed, not staged  (ottvc restore PATH gives back what is staged)
      modified  feature.mp4

    next: ottvc add . (stages what changed), or ottvc commit -a -m MESSAGE
    ");
    assert_eq!(lab.read("feature.mp4"), "being edited");
    // The other branch has another version of this one.
    lab.write("edition.meta.json", r#"{"rating": "being edited"}"#);
    insta::assert_snapshot!(lab.refused(6, "worktree.local_changes", "switch main"), @"
    error: local changes to `edition.meta.json` would be lost
    hint: commit them, or move the files away, then repeat
    ");
    assert_eq!(lab.read("edition.meta.json"), r#"{"rating": "being edited"}"#);
}

#[test]
fn undo_takes_back_one_operation_after_the_other() {
    let lab = Lab::film();
    lab.write("notes.txt", "x");
    lab.ok("add .");
    lab.ok("commit -m Notes");
    lab.ok("tag v1");
    let told = lab.tell(["ops", "undo", "undo", "status", "undo 5", "ops -n 2"]);
    insta::assert_snapshot!(told, @"
    $ ottvc ops
    4  just now  tag: v1
    3  just now  commit: Notes
    2  just now  commit: Theatrical master
    1  just now  init: main
    $ ottvc undo
    took back operation 4: tag: v1
      tag v1 is gone again
    $ ottvc undo
    took back operation 3: commit: Notes
      branch main is at [short id] again
    the change stays staged; `ottvc restore --staged --worktree notes.txt` drops it
    $ ottvc status
    On branch main at [short id] (Northern Light)

    Staged
      added     notes.txt

    next: ottvc commit -m MESSAGE
    $ ottvc undo 5
    took back operation 5: undo 4: tag: v1
      tag v1 is at [short id] again
    $ ottvc ops -n 2
    7  just now  undo 5: undo 4: tag: v1
    6  just now  undo 3: commit: Notes
    ");
    assert_eq!(lab.read("notes.txt"), "x");
    insta::assert_snapshot!(lab.shape("ops"), @"{operations: [{actor: text, command: text, id: number, refs: [{name: text, new: text, old: null}], summary: text, time: text, time_ms: number, undoes: number}]}");
    insta::assert_snapshot!(lab.shape("undo"), @"{actor: text, command: text, id: number, refs: [{name: text, new: null, old: text}], summary: text, time: text, time_ms: number, undoes: number}");
    insta::assert_snapshot!(lab.refused(6, "operation.cannot_undo", "undo 99"), @"
    error: operation 99 cannot be undone: there is no such operation
    hint: `ottvc ops` lists operations, newest first
    ");
    let (_, ops) = lab.json("ops -n 1");
    assert_eq!(ops["operations"].as_array().unwrap().len(), 1, "{}", shape(&ops));
}

#[test]
fn revisions_are_named_in_many_ways() {
    let lab = Lab::film();
    lab.ok("commit -m Second --allow-empty");
    lab.ok("tag v2");
    let commits = lab.history()["commits"].clone();
    let id = |at: usize| commits[at]["id"].as_str().unwrap().to_owned();
    let named = |rev: &str| lab.json(&format!("show {rev}")).1["id"].clone();
    for rev in ["HEAD", "main", "v2", &id(0), &id(0)[..8]] {
        assert_eq!(named(rev), id(0), "{rev}");
    }
    for rev in ["HEAD~1", "main^1", "v2~", &format!("{}~1", &id(0)[..12])] {
        assert_eq!(named(rev), id(1), "{rev}");
    }
    insta::assert_snapshot!(lab.refused(3, "revision.unknown", "show HEAD~2"), @"
    error: no revision is called `HEAD~2`
    hint: `ottvc branch`, `ottvc tag` and `ottvc log` list what there is
    ");
    insta::assert_snapshot!(lab.refused(3, "revision.unknown", "show HEAD^2"), @"
    error: no revision is called `HEAD^2`
    hint: `ottvc branch`, `ottvc tag` and `ottvc log` list what there is
    ");
    lab.refused(3, "revision.unknown", &format!("show {}", &id(0)[..7]));
}

#[test]
fn a_list_of_branches_fits_the_screen() {
    let lab = Lab::film();
    lab.ok("commit --allow-empty -m 'The storm scene is back, with the sound of the second unit and a longer wait'");
    lab.ok("branch regional/de --class regional --territory DE");
    let list = |columns: &str| {
        let listed = lab.command("branch").env("COLUMNS", columns).output().unwrap();
        String::from_utf8(listed.stdout).unwrap()
    };
    assert!(list("60").lines().all(|line| line.chars().count() <= 60), "{}", list("60"));
    insta::assert_snapshot!(list("70"), @"
    * main         [short id]                The storm scene is back, w…
      regional/de  [short id]  regional, DE  Begin regional/de, which i…
    ");
    assert!(list("200").contains("and a longer wait"));
}
