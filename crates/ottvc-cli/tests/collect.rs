//! `gc` and `trash`, and collecting while other commands write.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test that fails may panic")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value as Json;
use tempfile::TempDir;

/// A working copy, and a home beside it.
struct Copy {
    work: PathBuf,
    _dir: TempDir,
}

impl Copy {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let work = dir.path().join("work");
        for folder in [&work, &dir.path().join("home")] {
            std::fs::create_dir(folder).unwrap();
        }
        let copy = Self { work, _dir: dir };
        copy.ok(&["init"]);
        copy
    }
    fn path(&self) -> &Path {
        &self.work
    }
    fn run(&self, args: &[&str]) -> Output {
        run(self.path(), args)
    }
    fn ok(&self, args: &[&str]) -> Json {
        ok(self.path(), args)
    }
    fn write(&self, path: &str, seed: u64, len: usize) {
        write(self.path(), path, seed, len);
    }
    fn commit(&self, message: &str) -> String {
        self.ok(&["add", "."]);
        self.ok(&["commit", "-m", message])["commit"].as_str().unwrap().to_owned()
    }
    fn stored(&self) -> u64 {
        let audit = self.ok(&["audit", "dedupe"]);
        audit["total"]["stored_bytes"].as_u64().unwrap()
    }
    fn row(&self, name: &str) -> u64 {
        let audit = self.ok(&["audit", "dedupe"]);
        let rows = audit["rows"].as_array().unwrap();
        rows.iter().find(|row| row["name"] == name).unwrap()["stored_bytes"].as_u64().unwrap()
    }
    fn files(&self) -> u64 {
        let packs = std::fs::read_dir(self.path().join(".ottvc/packs")).unwrap();
        packs.map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
    }
}

/// The command with these arguments; settings of whoever runs the tests are kept out.
fn command(work: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ottvc"));
    command
        .args(args)
        .current_dir(work)
        .env_clear()
        .envs(
            ["PATH", "TMPDIR"].into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))),
        )
        .env("HOME", work.with_file_name("home"))
        .env("OTTVC_AUTHOR", "Ana <ana@example.com>")
        .env("OTTVC_LOCK_WAIT", "120s")
        .stdin(Stdio::null());
    command
}

fn run(work: &Path, args: &[&str]) -> Output {
    command(work, args).arg("--json").output().unwrap()
}

fn ok(folder: &Path, args: &[&str]) -> Json {
    let output = run(folder, args);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{args:?}: {text}");
    serde_json::from_str(&text).unwrap_or_default()
}

#[expect(clippy::disallowed_methods, reason = "a test writes as any editor would")]
fn write(folder: &Path, path: &str, seed: u64, len: usize) {
    let bytes = ottvc_testkit::objects::noise(seed, len);
    std::fs::write(folder.join(path), bytes).unwrap();
}

fn number(json: &Json, path: &str) -> u64 {
    json.pointer(path).and_then(Json::as_u64).unwrap_or_else(|| panic!("{path} in {json}"))
}

#[test]
fn what_a_deletion_would_free_is_what_gc_frees() {
    let copy = Copy::new();
    copy.write("film.mov", 1, 3_000_000);
    copy.commit("the film");
    copy.ok(&["switch", "-c", "airline"]);
    copy.write("airline.mov", 2, 2_000_000);
    copy.write("notes.txt", 3, 5000);
    copy.commit("the airline cut");
    copy.ok(&["switch", "main"]);
    // What operations and leftovers hold goes first, so that the deletion is all there is.
    copy.ok(&["gc", "--grace", "0"]);
    assert_eq!((copy.row("(unreachable)"), copy.row("(operations)")), (0, 0));
    let audit = copy.ok(&["audit", "dedupe", "--what-if-delete", "airline"]);
    let freed = number(&audit, "/freed_if_deleted");
    assert!(freed > 2_000_000);
    copy.ok(&["branch", "-d", "airline", "--force"]);

    let dry = copy.ok(&["gc", "--dry-run", "--grace", "0"]);
    assert_eq!(number(&dry, "/purged/bytes"), freed, "to the byte");
    assert!(copy.stored() > 5_000_000, "and nothing has happened");
    let before = copy.stored();
    let done = copy.ok(&["gc", "--grace", "0"]);
    assert_eq!(number(&done, "/purged/bytes"), freed, "to the byte");
    assert_eq!(number(&done, "/pack_bytes/before"), before);
    assert_eq!(number(&done, "/pack_bytes/after"), copy.stored());
    assert_eq!(copy.files(), copy.stored(), "also in the folder");
    assert!(before - copy.stored() >= 2_000_000);
    assert_eq!((copy.row("(unreachable)"), copy.row("(operations)")), (0, 0));
    assert_eq!(copy.ok(&["verify"])["clean"], true);
}

#[test]
fn things_wait_in_the_trash_and_come_back() {
    let copy = Copy::new();
    copy.write("film.mov", 1, 500_000);
    copy.commit("the film");
    copy.ok(&["switch", "-c", "airline"]);
    copy.write("airline.mov", 2, 400_000);
    let lost = copy.commit("the airline cut");
    copy.ok(&["switch", "main"]);
    copy.ok(&["branch", "-d", "airline", "--force"]);
    // Within the grace an undo could want it.
    let held = copy.ok(&["gc", "--dry-run"]);
    assert_eq!(number(&held, "/trashed/bytes"), 0);
    let kept = held["kept"].as_array().unwrap();
    let operations = kept.iter().find(|kept| kept["by"] == "operations").unwrap();
    assert!(operations["bytes"].as_u64().unwrap() > 400_000, "{held}");
    assert!(operations["until"].is_i64(), "{held}");
    copy.ok(&["gc"]);
    assert_eq!(copy.ok(&["trash", "list"])["trash"], Json::Array(Vec::new()));

    // With a second's grace the operation lets go, and the trash takes over.
    std::thread::sleep(Duration::from_millis(1100));
    let swept = copy.ok(&["gc", "--grace", "1s"]);
    assert!(number(&swept, "/trashed/bytes") > 400_000);
    assert_eq!(number(&swept, "/purged/bytes"), 0);
    let listed = copy.ok(&["trash", "list"]);
    let commit = &listed["trash"][0];
    assert_eq!((&commit["id"], &commit["kind"]), (&Json::from(lost.as_str()), &"commit".into()));
    assert_eq!(commit["detail"], "the airline cut");

    // A commit in the trash is there for whoever names it, with all it holds.
    copy.ok(&["branch", "again", &lost]);
    let swept = copy.ok(&["gc", "--grace", "1s"]);
    assert!(number(&swept, "/taken_back/bytes") > 400_000);
    copy.ok(&["cat", "again:airline.mov"]);
    copy.ok(&["branch", "-d", "again", "--force"]);

    std::thread::sleep(Duration::from_millis(1100));
    copy.ok(&["gc", "--grace", "1s"]);
    let restored = copy.ok(&["trash", "restore", &lost[..10]]);
    assert!(number(&restored, "/restored") > 3, "the commit and what it names");
    assert_eq!(copy.ok(&["trash", "list"])["trash"], Json::Array(Vec::new()));
    copy.ok(&["gc", "--grace", "1s"]);
    std::thread::sleep(Duration::from_millis(1100));
    let swept = copy.ok(&["gc", "--grace", "1s"]);
    assert!(number(&swept, "/purged/bytes") > 400_000);
    let gone = copy.run(&["trash", "restore", &lost]);
    assert_eq!(gone.status.code(), Some(3));
    assert!(String::from_utf8(gone.stdout).unwrap().contains("trash.not_found"));
    let undone = copy.run(&["undo"]);
    assert_eq!(undone.status.code(), Some(6), "what it would bring back was collected");
    assert_eq!(copy.ok(&["verify"])["clean"], true);
    assert_eq!(copy.run(&["gc", "--grace", "soon"]).status.code(), Some(2));
}

#[test]
fn a_file_that_was_collected_is_read_again() {
    let copy = Copy::new();
    copy.write("film.mov", 1, 300_000);
    copy.commit("the film");
    copy.write("extra.mov", 2, 300_000);
    std::thread::sleep(Duration::from_millis(100));
    copy.ok(&["add", "extra.mov"]);
    // Staged no more, the file as it was: what is remembered of it says that it is stored.
    copy.ok(&["commit", "-m", "with an extra"]);
    copy.ok(&["undo"]);
    copy.ok(&["rm", "--keep", "extra.mov"]);
    copy.ok(&["gc", "--grace", "0"]);
    copy.ok(&["add", "extra.mov"]);
    copy.ok(&["commit", "-m", "with an extra"]);
    copy.ok(&["cat", "main:extra.mov"]);
    assert_eq!(copy.ok(&["verify"])["clean"], true);
}

/// How long writers write at least: ten seconds, or as `OTTVC_GC_SECONDS` says.
fn seconds() -> u64 {
    std::env::var("OTTVC_GC_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(10)
}

/// How long space may take to come back while others write, in seconds.
const PATIENCE: u64 = 300;
/// More than the trees and commits weigh that writers add in their last round, in bytes.
const LAST_ROUND: u64 = 100_000;

/// What one writer did.
#[derive(Default)]
struct Wrote {
    commits: u64,
    /// The file that it added last with a commit after it, and the seed of its content.
    last: Option<(String, u64)>,
}

/// Stores, commits, drops and deletes until `enough`, as `writer`; each command is a process. What new
/// content takes in packs, whether it was kept or dropped, is added to `stored`.
fn keep_writing(root: &Path, writer: u64, enough: &AtomicBool, stored: &AtomicU64) -> Wrote {
    let (mut wrote, mut round) = (Wrote::default(), 0);
    let add = |path: &str| {
        stored.fetch_add(number(&ok(root, &["add", path]), "/stored_bytes"), Ordering::SeqCst);
    };
    while !enough.load(Ordering::SeqCst) {
        // Content that nothing leads to a moment later, unless another commits it before.
        let scratch = format!("scratch-{writer}.mov");
        write(root, &scratch, 1_000_000 * (writer + 1) + round, 300_000);
        add(&scratch);
        ok(root, &["rm", "--force", &scratch]);
        // New content, then content that was there before and may be garbage by now.
        let seed = 100 + writer * 1000 + round % 3;
        let path = format!("writer-{writer}.mov");
        write(root, &path, seed, 200_000);
        add(&path);
        // Others may have committed what we staged.
        let committed = run(root, &["commit", "-m", "on"]).status.success();
        wrote.commits += u64::from(committed);
        wrote.last = Some((path, seed));
        // A branch from before goes, with what only it has; one of now comes and goes.
        let _ = run(root, &["branch", "-d", &format!("doomed-{writer}-{round}"), "--force"]);
        let passing = format!("passing-{writer}");
        ok(root, &["branch", &passing]);
        ok(root, &["branch", "-d", &passing, "--force"]);
        round += 1;
    }
    wrote
}

/// Collects until time is up and space has come back; returns how often. A pack that grew since it was
/// judged is left for the next time, so how many collections that takes is up to chance.
fn keep_collecting(root: &Path, before: u64, stored: &AtomicU64) -> u64 {
    let (started, mut collections) = (Instant::now(), 0);
    loop {
        let done = ok(root, &["gc", "--grace", "0"]);
        collections += 1;
        let now = number(&done, "/pack_bytes/after") + number(&done, "/pack_bytes/waiting");
        let came_back = now + LAST_ROUND < before + stored.load(Ordering::SeqCst);
        let lasted = started.elapsed().as_secs();
        if lasted >= seconds() && (came_back || lasted >= PATIENCE) {
            return collections;
        }
    }
}

#[test]
fn gc_while_others_write_loses_nothing() {
    const WRITERS: u64 = 4;
    const DOOMED: u64 = 2;
    let copy = Copy::new();
    copy.write("film.mov", 1, 1_000_000);
    copy.commit("the film");
    for writer in 0..WRITERS {
        for round in 0..DOOMED {
            copy.ok(&["switch", "-c", &format!("doomed-{writer}-{round}")]);
            copy.write("doomed.mov", 9 + writer * DOOMED + round, 1_000_000);
            copy.commit("what goes");
            copy.ok(&["switch", "main"]);
        }
    }
    let before = copy.files();
    let root = copy.path();
    let (enough, stored) = (&AtomicBool::new(false), &AtomicU64::new(0));
    let (wrote, collections) = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| scope.spawn(move || keep_writing(root, writer, enough, stored)))
            .collect();
        // On a thread of its own, so that writers end also if it panics.
        let collections = scope.spawn(|| keep_collecting(root, before, stored)).join();
        enough.store(true, Ordering::SeqCst);
        let wrote: Vec<_> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
        (wrote, collections.unwrap())
    });
    let commits: u64 = wrote.iter().map(|wrote| wrote.commits).sum();
    let stored = stored.load(Ordering::SeqCst);
    assert!(commits > 0 && collections > 0, "{commits} commits, {collections} collections");
    let during = copy.files();
    assert!(during < before + stored, "space came back while others wrote");
    // What was deleted is deleted: those that had no turn go now.
    for writer in 0..WRITERS {
        for round in 0..DOOMED {
            let _ = copy.run(&["branch", "-d", &format!("doomed-{writer}-{round}"), "--force"]);
        }
    }
    copy.ok(&["commit", "-m", "what is staged", "--allow-empty"]);
    copy.ok(&["gc", "--grace", "0"]);
    let verified = copy.ok(&["verify"]);
    assert_eq!(verified["clean"], true, "{verified}");
    for (path, seed) in wrote.iter().filter_map(|wrote| wrote.last.as_ref()) {
        let read = command(root, &["cat", &format!("main:{path}")]).output().unwrap();
        assert!(read.stdout == ottvc_testkit::objects::noise(*seed, 200_000), "{path}");
    }
    assert_eq!((copy.row("(unreachable)"), copy.row("(operations)")), (0, 0));
    let after = copy.files();
    assert_eq!(after, copy.stored());
    // Everything that refs lead to, to the byte; packs may carry a third more.
    let expected = copy.stored() - copy.row("(pack overhead)");
    assert!(after * 3 <= expected * 4 + 300_000, "{after} of {expected}");
    assert!(after < before + stored, "what was deleted and dropped is gone");
    println!(
        "{commits} commits beside {collections} collections; bytes of packs: {before} before, \
         {stored} of new content written, {during} when the last writer ended, {after} after; \
         {expected} expected by what refs lead to"
    );
}
