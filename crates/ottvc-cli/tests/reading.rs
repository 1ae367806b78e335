//! Getting things out and looking at them: `log`, `show`, `ls`, `cat`, `checkout`, `diff`, `audit`,
//! `verify`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod common;

use common::{Lab, noise, shape};

/// How long the film is, in bytes: enough for several chunks.
const MASTER: usize = 6_000_000;
/// And what the director's cut has more.
const ENDING: usize = 1_000_000;

/// Two editions: the director's cut holds another ending, another rating and notes.
fn two_editions() -> Lab {
    let lab = Lab::repo();
    lab.write("feature.mp4", noise(1, MASTER));
    lab.write("edition.meta.json", r#"{"title": {"en": "Northern Light"}, "rating": "12"}"#);
    lab.ok("add .");
    lab.ok("commit -m 'Theatrical master' --date 2026-03-01T14:05:00Z");
    lab.ok("switch -c directors-cut");
    let mut film = noise(1, MASTER);
    film.extend(noise(9, ENDING));
    lab.write("feature.mp4", film);
    lab.write("notes/storm.txt", "the storm scene is back\n");
    lab.ok("meta set edition.meta.json '/rating=\"18\"' '/title/de=\"Nordlicht\"'");
    lab.ok("add .");
    lab.ok("commit -m 'The storm scene is back' --date 2026-03-02T09:00:00Z");
    lab.ok("tag delivered");
    lab
}

#[test]
fn log_lists_newest_first_with_names() {
    let lab = two_editions();
    insta::assert_snapshot!(lab.tell(["log", "log -n 1", "log main", "log --path notes"]), @"
    $ ottvc log
    [short id]  [time]  Ana  (HEAD -> directors-cut, tag delivered)
        The storm scene is back
    [short id]  [time]  Ana  (main)
        Theatrical master
    $ ottvc log -n 1
    [short id]  [time]  Ana  (HEAD -> directors-cut, tag delivered)
        The storm scene is back
    $ ottvc log main
    [short id]  [time]  Ana  (main)
        Theatrical master
    $ ottvc log --path notes
    [short id]  [time]  Ana  (HEAD -> directors-cut, tag delivered)
        The storm scene is back
    ");
    let (_, log) = lab.json("log");
    insta::assert_snapshot!(shape(&log), @"{commits: [{author: text, commit_time: text, commit_time_ms: number, committer: text, conflicts: [], edition: text, generation: number, id: text, merge: null, message: text, parents: [text], refs: [text], time: text, time_ms: number, tree: text}]}");
    let [newest, oldest] = log["commits"].as_array().unwrap().as_slice() else { panic!("{log}") };
    assert_eq!(newest["parents"], serde_json::json!([oldest["id"]]));
    assert_eq!(newest["refs"], serde_json::json!(["heads/directors-cut", "tags/delivered"]));
}

#[test]
fn log_draws_where_lines_part_and_meet() {
    let lab = two_editions();
    lab.ok("switch main");
    lab.write("credits.txt", "Ana");
    lab.ok("add .");
    lab.ok("commit -m Credits");
    lab.ok("merge directors-cut");
    insta::assert_snapshot!(lab.tell(["log --graph"]), @r"
    $ ottvc log --graph
    * [short id]  [time]  Ana  (HEAD -> main)
    |\ Merge directors-cut
    * | [short id]  [time]  Ana
    | | Credits
    | * [short id]  [time]  Ana  (directors-cut, tag delivered)
    | | The storm scene is back
    |/
    * [short id]  [time]  Ana
      Theatrical master
    ");
}

#[test]
fn show_tells_one_commit_and_its_changes() {
    let lab = two_editions();
    insta::assert_snapshot!(lab.tell(["show", "show --stat directors-cut", "show HEAD~1"]), @r#"
    $ ottvc show
    commit [id]  (HEAD -> directors-cut, tag delivered)
    author Ana <ana@example.com>
    date   [time]

        The storm scene is back

    modified  edition.meta.json
        /rating  "12" -> "18"
        /title/de  + "Nordlicht"
    modified  feature.mp4  5.7 MiB -> 6.7 MiB, 85% shared
        979.5 KiB new at 5.7 MiB
    added     notes/storm.txt  24 B
    $ ottvc show --stat directors-cut
    commit [id]  (HEAD -> directors-cut, tag delivered)
    author Ana <ana@example.com>
    date   [time]

        The storm scene is back

    modified  edition.meta.json  2 fields
    modified  feature.mp4        5.7 MiB -> 6.7 MiB, 85% shared
    added     notes/storm.txt    24 B
    3 paths, 2 fields, 979.6 KiB of media that is new
    $ ottvc show HEAD~1
    commit [id]  (main)
    author Ana <ana@example.com>
    date   [time]

        Theatrical master

    added     edition.meta.json
        /rating  + "12"
        /title/en  + "Northern Light"
    added     feature.mp4  5.7 MiB
    "#);
    insta::assert_snapshot!(lab.shape("show"), @"{author: text, changes: [{change: text, fields: [{absent: null, field: text, new: text, old: text}], kind: text, media: null, path: text}], commit_time: text, commit_time_ms: number, committer: text, conflicts: [], edition: text, generation: number, id: text, merge: null, message: text, parents: [text], refs: [text], time: text, time_ms: number, tree: text}");
}

#[test]
fn ls_lists_kind_size_id_and_path() {
    let lab = two_editions();
    insta::assert_snapshot!(lab.tell(["ls", "ls -r delivered", "ls HEAD:notes"]), @"
    $ ottvc ls
    document     56 B  [short id]  edition.meta.json
    media     6.7 MiB  [short id]  feature.mp4
    tree         24 B  [short id]  notes/
    $ ottvc ls -r delivered
    document     56 B  [short id]  edition.meta.json
    media     6.7 MiB  [short id]  feature.mp4
    media        24 B  [short id]  notes/storm.txt
    $ ottvc ls HEAD:notes
    media     24 B  [short id]  notes/storm.txt
    ");
    let (_, listed) = lab.json("ls -r main");
    insta::assert_snapshot!(shape(&listed), @"{entries: [{executable: bool, id: text, kind: text, path: text, size: number}], revision: text}");
    // What `b3sum feature.mp4` prints.
    let id = blake3_of(&noise(1, MASTER));
    assert_eq!(listed["entries"][1]["id"], id);
}

/// BLAKE3 as the store computes it, taken from a repository of nothing else.
fn blake3_of(bytes: &[u8]) -> String {
    let lab = Lab::repo();
    lab.write("other-name.bin", bytes);
    lab.ok("add .");
    lab.ok("commit -m x");
    lab.json("ls").1["entries"][0]["id"].as_str().unwrap().to_owned()
}

#[test]
fn cat_writes_bytes_and_ranges_of_them() {
    let lab = two_editions();
    let film = lab.command("cat main:feature.mp4").output().unwrap();
    assert_eq!(film.stdout, noise(1, MASTER));
    let range = |range: &str| {
        lab.command(&format!("cat main:feature.mp4 --range {range}")).output().unwrap().stdout
    };
    assert_eq!(range("10-19"), noise(1, MASTER)[10..=19]);
    assert_eq!(range("5999990-"), noise(1, MASTER)[MASTER - 10..]);
    assert_eq!(range("-3"), noise(1, MASTER)[MASTER - 3..]);
    insta::assert_snapshot!(lab.tell(["cat :notes/storm.txt", "cat main:edition.meta.json"]), @r#"
    $ ottvc cat :notes/storm.txt
    the storm scene is back
    $ ottvc cat main:edition.meta.json
    {
      "rating": "12",
      "title": {
        "en": "Northern Light"
      }
    }
    "#);
    let (_, text) = lab.json("cat :notes/storm.txt");
    insta::assert_snapshot!(text, @r#"{"content":"the storm scene is back\n","encoding":"utf-8","path":"notes/storm.txt","revision":"[id]"}"#);
    assert_eq!(lab.json("cat main:feature.mp4 --range 0-2").1["encoding"], "base64");
    insta::assert_snapshot!(lab.refused(2, "object.out_of_range", "cat main:feature.mp4 --range 6000000-"), @"
    error: offset 6000000 is past the end at 6000000
    hint: ranges count from 0; `ottvc ls` shows sizes
    ");
    insta::assert_snapshot!(lab.refused(2, "argument.bad", "cat main:feature.mp4 --range 5-3"), @"
    error: `5-3` is no byte range: the end lies before the start
    hint: `ottvc help cat` says what it takes
    ");
    insta::assert_snapshot!(lab.refused(3, "path.not_found", "cat main:feature.mp3"), @"
    error: `feature.mp3` is not in main
    hint: did you mean `feature.mp4`?
    ");
    insta::assert_snapshot!(lab.refused(2, "path.wrong_kind", "cat HEAD:notes"), @"
    error: `notes` is no file
    hint: `ottvc ls` shows what it is
    ");
}

#[test]
fn checkout_writes_files_as_they_were() {
    let lab = two_editions();
    let told = lab.tell([
        "checkout directors-cut --to ../out",
        "checkout directors-cut --to ../out",
        "checkout main feature.mp4 --to ../one",
        "checkout main --to ../two --only '*.json'",
    ]);
    insta::assert_snapshot!(told, @"
    $ ottvc checkout directors-cut --to ../out
    3 files written to ../out, 6.7 MiB in all
    $ ottvc checkout directors-cut --to ../out
    0 files written to ../out; 3 there already, 6.7 MiB in all
    $ ottvc checkout main feature.mp4 --to ../one
    1 file written to ../one, 5.7 MiB in all
    $ ottvc checkout main --to ../two --only '*.json'
    1 file written to ../two, 42 B in all
    ");
    let out = lab.beside.join("out");
    assert_eq!(std::fs::read(lab.beside.join("one/feature.mp4")).unwrap(), noise(1, MASTER));
    assert_eq!(std::fs::read(out.join("notes/storm.txt")).unwrap(), b"the storm scene is back\n");
    assert!(!lab.beside.join("two/feature.mp4").exists());
    insta::assert_snapshot!(lab.shape("checkout main --to ../three"), @"{bytes: number, commit: text, files: number, to: text, unchanged: number}");

    // What is there and differs stays, unless one insists.
    insta::assert_snapshot!(lab.refused(6, "worktree.local_changes", "checkout main --to ../out"), @"
    error: local changes to `edition.meta.json`, `feature.mp4` would be lost
    hint: move them away, or overwrite them with --force
    ");
    assert!(out.join("notes/storm.txt").exists());
    lab.ok("checkout main --to ../out --force");
    assert_eq!(std::fs::read(out.join("feature.mp4")).unwrap(), noise(1, MASTER));
}

#[test]
fn checkout_stays_out_of_the_store() {
    let lab = Lab::film();
    insta::assert_snapshot!(lab.refused(2, "argument.bad", "checkout main --to .ottvc"), @"
    error: `[lab]/work/.ottvc` is no folder to write to: a store keeps its own files there
    hint: `ottvc help checkout` says what it takes
    ");
    lab.refused(2, "argument.bad", "checkout main --to .ottvc/packs/new");
    std::os::unix::fs::symlink(lab.work.join(".ottvc"), lab.beside.join("link")).unwrap();
    lab.refused(2, "argument.bad", "checkout main --to ../link");
    assert!(!lab.work.join(".ottvc/feature.mp4").exists());
}

#[test]
fn diff_tells_fields_and_byte_ranges() {
    let lab = two_editions();
    let told = lab.tell([
        "diff main directors-cut",
        "diff --stat main..directors-cut",
        "diff main directors-cut notes",
        "diff",
        "diff --exit-code main HEAD -q --stat edition.meta.json",
        "diff --exit-code HEAD delivered",
    ]);
    insta::assert_snapshot!(told, @r#"
    $ ottvc diff main directors-cut
    modified  edition.meta.json
        /rating  "12" -> "18"
        /title/de  + "Nordlicht"
    modified  feature.mp4  5.7 MiB -> 6.7 MiB, 85% shared
        979.5 KiB new at 5.7 MiB
    added     notes/storm.txt  24 B
    $ ottvc diff --stat main..directors-cut
    modified  edition.meta.json  2 fields
    modified  feature.mp4        5.7 MiB -> 6.7 MiB, 85% shared
    added     notes/storm.txt    24 B
    3 paths, 2 fields, 979.6 KiB of media that is new
    $ ottvc diff main directors-cut notes
    added     notes/storm.txt  24 B
    $ ottvc diff
    $ ottvc diff --exit-code main HEAD -q --stat edition.meta.json
    modified  edition.meta.json  2 fields
    1 path, 2 fields, 0 B of media that is new
    [status 7]
    $ ottvc diff --exit-code HEAD delivered
    "#);
    lab.write("feature.mp4", "new");
    std::fs::remove_file(lab.work.join("notes/storm.txt")).unwrap();
    insta::assert_snapshot!(lab.tell(["diff", "diff main -- feature.mp4"]), @"
    $ ottvc diff
    modified  feature.mp4  6.7 MiB -> 3 B, 0% shared
        3 B new at 0 B
    removed   notes/storm.txt  24 B
    $ ottvc diff main -- feature.mp4
    modified  feature.mp4  5.7 MiB -> 3 B, 0% shared
        3 B new at 0 B
    ");
}

#[test]
fn diff_answers_with_the_promised_members() {
    let lab = two_editions();
    let (_, diff) = lab.json("diff main directors-cut");
    insta::assert_snapshot!(shape(&diff), @"{base: text, changes: [{change: text, fields: [{absent: null, field: text, new: text, old: text}], kind: text, media: null, path: text}], head: text}");
    let changes = diff["changes"].as_array().unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&changes[0]).unwrap(), @r#"
    {
      "change": "modified",
      "fields": [
        {
          "absent": null,
          "field": "/rating",
          "new": "18",
          "old": "12"
        },
        {
          "absent": "old",
          "field": "/title/de",
          "new": "Nordlicht",
          "old": null
        }
      ],
      "kind": "document",
      "media": null,
      "path": "edition.meta.json"
    }
    "#);
    insta::assert_snapshot!(serde_json::to_string_pretty(&changes[1]).unwrap(), @r#"
    {
      "change": "modified",
      "fields": [],
      "kind": "media",
      "media": {
        "new_bytes": 7000000,
        "old_bytes": 6000000,
        "ranges": [
          {
            "length": 1003045,
            "offset": 5996955
          }
        ],
        "shared_bytes": 5996955
      },
      "path": "feature.mp4"
    }
    "#);
    // Ranges and what is shared make up the whole file.
    let media = &changes[1]["media"];
    let new: u64 =
        media["ranges"].as_array().unwrap().iter().map(|it| it["length"].as_u64().unwrap()).sum();
    assert_eq!(new + media["shared_bytes"].as_u64().unwrap(), 7_000_000);
    assert_eq!(lab.json("diff main HEAD --exit-code").0, 7);
}

#[test]
fn audit_tells_who_holds_which_bytes() {
    let lab = two_editions();
    let (_, audit) = lab.json("audit dedupe");
    insta::assert_snapshot!(shape(&audit), @"{freed_if_deleted: null, rows: [{commit: text, files: number, kind: text, logical_bytes: number, name: text, saved_bytes: number, shared_bytes: number, stored_bytes: number, unique_bytes: number}], total: {files: number, kind: text, logical_bytes: number, name: text, saved_bytes: number, shared_bytes: number, stored_bytes: number, unique_bytes: number}}");
    let rows = audit["rows"].as_array().unwrap();
    let sum = |member: &str| rows.iter().map(|row| row[member].as_u64().unwrap()).sum::<u64>();
    assert_eq!(sum("stored_bytes"), audit["total"]["stored_bytes"].as_u64().unwrap());
    assert_eq!(sum("logical_bytes"), audit["total"]["logical_bytes"].as_u64().unwrap());
    assert!(audit["freed_if_deleted"].is_null());
    for by in ["branch", "title", "path", "commit", "type"] {
        let by = lab.json(&format!("audit dedupe --by {by}")).1;
        assert_eq!(by["total"]["stored_bytes"], audit["total"]["stored_bytes"]);
    }
    // What the working copy holds would not go.
    lab.ok("switch main");
    let freed = lab.json("audit dedupe --what-if-delete directors-cut delivered").1;
    assert!(freed["freed_if_deleted"].as_u64().unwrap() >= 1_000_000);
    let people = lab.ok("audit dedupe --what-if-delete directors-cut delivered");
    insta::with_settings!({filters => vec![(r" *\b\d[\d,.]* (B|[KMG]iB)", " [size]")]}, {
        insta::assert_snapshot!(people, @"
                           logical     unique     shared     stored
        directors-cut [size] [size] [size] [size]
        main [size] [size] [size] [size]
        delivered [size] [size] [size] [size]
        (unreachable) [size] [size] [size] [size]
        (pack overhead) [size] [size] [size] [size]
        total [size] [size] [size] [size]

         [size] saved: [size] of content kept in [size]
        deleting directors-cut, delivered would free [size]
        ");
    });
}

#[test]
fn audit_explains_why_things_are_shared() {
    let lab = two_editions();
    let told = lab.tell([
        "audit explain main directors-cut",
        "audit explain main:feature.mp4 directors-cut:feature.mp4",
        "audit explain delivered:feature.mp4 directors-cut:feature.mp4",
    ]);
    insta::assert_snapshot!(told, @"
    $ ottvc audit explain main directors-cut
    directors-cut holds 6.7 MiB: 5.7 MiB (85%) that main holds too, 979.6 KiB of its own
      new       edition.meta.json  56 B
      shares    feature.mp4  6.7 MiB  85% shared
      new       notes/storm.txt  24 B
    their histories part at [short id]
    $ ottvc audit explain main:feature.mp4 directors-cut:feature.mp4
    main:feature.mp4  5.7 MiB  [short id]
    directors-cut:feature.mp4  6.7 MiB  [short id]

    5.7 MiB of directors-cut:feature.mp4 (85%) lie in chunks of main:feature.mp4; 979.5 KiB are its own
         5.7 MiB shared, at 0 B in the first and 0 B in the second
       979.5 KiB new, at 5.7 MiB in the second
    their histories part at [short id]
    $ ottvc audit explain delivered:feature.mp4 directors-cut:feature.mp4
    delivered:feature.mp4  6.7 MiB  [short id]
    directors-cut:feature.mp4  6.7 MiB  [short id]

    the same to the byte: stored once
    ");
    insta::assert_snapshot!(lab.shape("audit explain main directors-cut"), @"{a: {bytes: number, commit: text, id: null, name: text}, b: {bytes: number, commit: text, id: null, name: text}, common: [text], kind: text, new_bytes: number, paths: [{bytes: number, path: text, shared_bytes: number, status: text, with: []}], shared_bytes: number}");
    insta::assert_snapshot!(lab.shape("audit explain main:feature.mp4 HEAD:feature.mp4"), @"{a: {bytes: number, commit: text, id: text, name: text}, b: {bytes: number, commit: text, id: text, name: text}, common: [text], kind: text, new: [{length: number, offset: number}], new_bytes: number, same: bool, shared: [{a_offset: number, b_offset: number, length: number}], shared_bytes: number}");
}

#[test]
fn verify_reads_every_byte_back() {
    let lab = two_editions();
    let (status, report) = lab.json("verify");
    assert_eq!(status, 0);
    insta::assert_snapshot!(shape(&report), @"{bytes: number, chunks: number, clean: bool, damaged: [], files: number, missing: [], objects: number}");
    assert_eq!(report["damaged"], serde_json::json!([]));
    // A sample is drawn by chance: it may be of one chunk, or of short ones.
    insta::with_settings!({filters => vec![(r"\d[\d,.]* ([KMG]i)?B\b", "[size]"), (r"\d[\d,.]* chunks?", "[n] chunks"), (r"\d[\d,.]* (\w+)", "[n] $1")]}, {
        insta::assert_snapshot!(lab.tell(["verify", "verify --sample 50%", "-q verify"]), @"
        $ ottvc verify
        checked [n] objects, [n] chunks, [n] files; [size] read
        everything is sound
        $ ottvc verify --sample 50%
        checked [n] objects, [n] chunks, [n] files; [size] read (a sample of 50% of the chunks)
        everything is sound
        $ ottvc -q verify
        ");
    });
}

#[test]
fn verify_names_damage_by_what_it_affects() {
    let lab = Lab::film();
    lab.write("feature.mp4", noise(5, ENDING));
    lab.ok("commit -a -m 'Another film'");
    flip_a_byte_of_the_film(&lab);
    let ran = lab.run("verify");
    assert_eq!(ran.status, 10, "{ran}");
    insta::with_settings!({filters => vec![(r"\b\d[\d,.]* (objects?|chunks?|files?|[KM]iB|B)", "[n] $1"), (r"\b[0-9a-f]{12}\b", "[short id]"), (r"packs/\S+", "packs/[pack]"), (r"at \d+", "at [n]")]}, {
        insta::assert_snapshot!(ran, @"
        checked [n] objects, [n] chunks, [n] file; [n] MiB read
        damaged chunk [short id]: the bytes do not hash to their id
            in packs/[pack] at [n]
            affects main:feature.mp4

        next: add the affected files again, if you still have them: the same bytes mend them; or take them from another repository with --repair-from
        [status 10]
        ");
    });
    let (status, report) = lab.json("verify");
    assert_eq!(status, 10);
    insta::assert_snapshot!(shape(&report), @"{bytes: number, chunks: number, clean: bool, damaged: [{affects: [text], id: text, kind: text, place: text, why: text}], files: number, missing: [], objects: number}");
    assert_eq!(report["damaged"][0]["affects"], serde_json::json!(["main:feature.mp4"]));
    assert_eq!(lab.run("checkout main --to ../out").status, 10);
    // The same bytes, added again, mend it.
    lab.write("feature.mp4", noise(5, ENDING));
    lab.ok("add feature.mp4");
    assert_eq!(lab.json("verify").0, 0);
    lab.ok("checkout main --to ../out");
}

/// Finds the film's bytes in a pack, and changes one.
fn flip_a_byte_of_the_film(lab: &Lab) {
    let needle = &noise(5, ENDING)[5_000..5_032];
    for pack in std::fs::read_dir(lab.work.join(".ottvc/packs")).unwrap() {
        let pack = pack.unwrap().path();
        let mut bytes = std::fs::read(&pack).unwrap();
        if let Some(at) = bytes.windows(needle.len()).position(|window| window == needle) {
            bytes[at] ^= 1;
            let mut mode = std::fs::metadata(&pack).unwrap().permissions();
            std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o644);
            std::fs::set_permissions(&pack, mode).unwrap();
            std::io::Write::write_all(&mut std::fs::File::create(&pack).unwrap(), &bytes).unwrap();
            return;
        }
    }
    panic!("no pack holds the film");
}

#[test]
fn what_is_staged_is_compared_apart_from_the_working_copy() {
    let lab = Lab::film();
    lab.ok("branch before");
    lab.ok("meta set edition.meta.json '/rating=\"16\"'");
    lab.ok("commit -m 'German rating'");
    lab.ok("meta set edition.meta.json '/rating=\"18\"'");
    lab.write("feature.mp4", "recut, and not staged");
    lab.write("note.txt", "staged");
    lab.ok("add note.txt");
    insta::assert_snapshot!(lab.tell([
        "diff --staged",
        "diff --cached before edition.meta.json",
        "diff --staged --stat --exit-code",
    ]), @r#"
    $ ottvc diff --staged
    modified  edition.meta.json
        /rating  "16" -> "18"
    added     note.txt  6 B
    $ ottvc diff --cached before edition.meta.json
    modified  edition.meta.json
        /rating  "12" -> "18"
    $ ottvc diff --staged --stat --exit-code
    modified  edition.meta.json  1 field
    added     note.txt           6 B
    2 paths, 1 field, 6 B of media that is new
    [status 7]
    "#);
    insta::assert_snapshot!(lab.refused(2, "argument.usage", "diff --staged before main"), @"
    error: what is staged is compared with one revision
    hint: give one, or none for the last commit
    ");
    let (_, staged) = lab.json("diff --staged");
    assert_eq!((staged["base"].is_string(), staged["head"].is_null()), (true, true));
}
