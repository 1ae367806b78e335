//! Power cuts, kills and disks that fail, at every step of every command that writes: nothing
//! acknowledged is lost.
//!
//! Each story runs the real program under `strace`, which shows every byte that reaches a file of the
//! store, RocksDB's included, and every sync. From that, states are made which a crash may leave:
//! after each step, with nothing, all or any part of what was not synced gone. In each the real code
//! opens the store; what was acknowledged must be there, the command that was cut short must have
//! happened or not, everything must check clean, and the same command must work.
//!
//! `OTTVC_SEED=N` draws the same again, `OTTVC_CRASH_STATES=N` looks at N states of each story. A
//! state that breaks a promise is kept, and its folder named.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod calls;
mod check;
mod explore;
mod ext4;
mod planted;

use std::path::Path;
use std::sync::OnceLock;

use explore::{Tale, Telling, seed};
use ottvc_tests::story::{Chance, Story, number};
use ottvc_tests::trace;
use tempfile::TempDir;

/// States of each story that are looked at: more than two thousand in all.
const STATES: usize = 400;
/// The same of collections, of which each takes twice as long.
const LARGE_STATES: usize = 300;
/// The same of long files, of which each takes the time of ten.
const MASTER_STATES: usize = 40;

/// Free memory for files that all tests at once can do with, in bytes. Containers often have 64 MiB.
const ROOM: u64 = 2 << 30;

/// A folder in memory, where the system has one with room: syncs cost nothing there.
fn folder() -> TempDir {
    // Looked at once: all folders of a test are on one file system, however full that gets.
    static MEMORY: OnceLock<Option<&'static Path>> = OnceLock::new();
    let memory = MEMORY.get_or_init(|| {
        let memory = Path::new("/dev/shm");
        let system = rustix::fs::statvfs(memory).ok()?;
        let free = system.f_bavail.saturating_mul(system.f_frsize);
        (free >= ROOM && tempfile::tempdir_in(memory).is_ok()).then_some(memory)
    });
    memory.map_or_else(tempfile::tempdir, tempfile::tempdir_in).unwrap()
}

/// Whether files of this folder can be written past the cache.
#[cfg(target_os = "linux")]
fn goes_past_cache(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::{FileExt, OpenOptionsExt};

    // A whole page, at the start of one: what any system takes that takes it at all.
    const PAGE: usize = 4096;
    let bytes = vec![0; 2 * PAGE];
    let first = bytes.as_ptr().align_offset(PAGE);
    let probe = tempfile::NamedTempFile::new_in(folder)?;
    let direct = i32::try_from(rustix::fs::OFlags::DIRECT.bits()).unwrap();
    let file = std::fs::OpenOptions::new().write(true).custom_flags(direct).open(probe.path())?;
    // Some take the flag, and then refuse the write.
    file.write_all_at(&bytes[first..first + PAGE], 0)
}

#[cfg(not(target_os = "linux"))]
fn goes_past_cache(_folder: &Path) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

/// A film, its trailer and documents, committed on `main`.
fn film() -> Story {
    let story = Story::within(folder());
    let mut chance = Chance::new(7);
    story.ok(&["init"]);
    story.write("media/film.mov", chance.bytes(90_000));
    story.write("media/trailer.mov", chance.bytes(20_000));
    story.write("edition.meta.json", "{\n  \"title\": \"Film\"\n}\n");
    story.write("notes/a.txt", "one\n");
    story.commit("film");
    // Whoever reads first makes a file for readers: not while commands are recorded.
    newest(&story);
    story
}

/// A film, and a branch of other media and small files that was deleted: weight for `gc`.
fn wasteful(files: u32) -> Story {
    let story = film();
    story.ok(&["switch", "-c", "waste"]);
    for number in 0..files {
        story.write(&format!("waste/{number}.txt"), format!("{number} is of no use\n"));
    }
    story.write("waste/film.mov", Chance::new(8).bytes(120_000));
    story.commit("waste");
    story.ok(&["switch", "main"]);
    story.ok(&["branch", "-d", "waste", "--force"]);
    story
}

/// The number of the newest operation.
fn newest(story: &Story) -> String {
    number(&story.ok(&["ops", "-n", "1"])["operations"][0]["id"]).to_string()
}

fn beginnings() -> Tale {
    let mut chance = Chance::new(1);
    let mut telling = Telling::of(Story::within(folder()));
    telling.story.write("film.mov", chance.bytes(80_000));
    telling.story.write("edition.meta.json", "{\n  \"title\": \"Film\"\n}\n");
    telling.run(&["init"]);
    telling.run(&["add", "."]);
    telling.run(&["commit", "-m", "film"]);
    telling.run(&["tag", "v1"]);
    telling.story.write("more.mov", chance.bytes(10_000));
    telling.run(&["add", "."]);
    telling.end("beginnings")
}

/// Takes in another file and records it, so many times: so that a story has more states than are asked for.
fn go_on(telling: &mut Telling, times: u64) {
    for number in 0..times {
        telling.story.write("media/more.mov", Chance::new(20 + number).bytes(20_000));
        telling.run(&["add", "."]);
        telling.run(&["commit", "-m", "more"]);
    }
}

fn edits() -> Tale {
    let mut telling = Telling::of(film());
    telling.story.write("media/trailer.mov", Chance::new(2).bytes(25_000));
    telling.story.write("notes/b.txt", "two\n");
    telling.run(&["add", "."]);
    telling.run(&["commit", "-m", "trailer"]);
    telling.run(&["meta", "set", "edition.meta.json", "/title=\"Film, uncut\""]);
    telling.run(&["commit", "-m", "title"]);
    telling.run(&["mv", "notes/a.txt", "notes/c.txt"]);
    telling.run(&["rm", "media/trailer.mov"]);
    telling.run(&["commit", "-m", "tidy"]);
    let newest = newest(&telling.story);
    telling.run(&["undo", &newest]);
    telling.run(&["config", "set", "ingest.jobs", "1"]);
    go_on(&mut telling, 3);
    telling.end("edits")
}

fn branches() -> Tale {
    let mut telling = Telling::of(film());
    telling.run(&["switch", "-c", "cut"]);
    telling.story.write("media/cut.mov", Chance::new(3).bytes(30_000));
    telling.story.write("edition.meta.json", "{\n  \"cut\": 1,\n  \"title\": \"Film\"\n}\n");
    telling.run(&["add", "."]);
    telling.run(&["commit", "-m", "cut"]);
    telling.run(&["switch", "main"]);
    telling.run(&["meta", "set", "edition.meta.json", "/year=1999"]);
    telling.run(&["commit", "-m", "year"]);
    telling.run(&["merge", "cut"]);
    telling.run(&["branch", "other"]);
    telling.run(&["branch", "-d", "other"]);
    let newest = newest(&telling.story);
    telling.run(&["undo", &newest]);
    go_on(&mut telling, 2);
    telling.end("branches")
}

fn conflicts() -> Tale {
    let story = film();
    story.ok(&["switch", "-c", "cut"]);
    story.ok(&["meta", "set", "edition.meta.json", "/title=\"Cut\""]);
    story.write("notes/a.txt", "of the cut\n");
    story.commit("cut");
    story.ok(&["switch", "main"]);
    story.ok(&["meta", "set", "edition.meta.json", "/title=\"Film, uncut\""]);
    story.write("notes/a.txt", "of main\n");
    story.commit("main");
    let mut telling = Telling::of(story);
    telling.run_to(&["merge", "cut"], 4);
    telling.run(&["resolve", "edition.meta.json", "--take", "theirs"]);
    telling.run(&["resolve", "--all", "--take", "ours"]);
    telling.run(&["commit", "-m", "merged"]);
    telling.run(&["branch", "-m", "cut", "directors"]);
    telling.run(&["tag", "v1"]);
    telling.run(&["tag", "-d", "v1"]);
    telling.story.write("media/trailer.mov", Chance::new(9).bytes(25_000));
    telling.run(&["add", "."]);
    telling.run(&["commit", "-m", "trailer"]);
    go_on(&mut telling, 2);
    telling.end("conflicts")
}

/// What nothing reaches goes to the trash, then for good; packs are written anew.
fn collections() -> Tale {
    // After a thousand drops the tables of the index are compacted, too.
    let mut telling = Telling::of(wasteful(1100));
    telling.run(&["gc"]);
    let packs = telling.story.packs();
    telling.run(&["gc", "--grace", "0"]);
    assert_ne!(telling.story.packs(), packs, "packs are written anew");
    telling.story.write("media/more.mov", Chance::new(4).bytes(40_000));
    telling.run(&["add", "."]);
    telling.run(&["commit", "-m", "more"]);
    telling.end("collections")
}

/// Many commands: each sixteenth opening moves old logs into tables. Then the index is made again.
fn long_lives() -> Tale {
    let story = film();
    for number in 0..6 {
        story.write("notes/a.txt", format!("{number}\n"));
        story.commit("edit");
    }
    let mut telling = Telling::of(story);
    for number in 0..4 {
        telling.story.write("notes/a.txt", format!("again {number}\n"));
        telling.run(&["add", "."]);
        telling.run(&["commit", "-m", "again"]);
    }
    telling.repair();
    telling.run(&["tag", "v1"]);
    telling.end("long lives")
}

/// A file long enough that its chunks go to the disk past the cache, on a thread of their own.
fn masters() -> Tale {
    let mut telling = Telling::of(film());
    telling.story.write("media/master.mov", Chance::new(11).bytes(9 << 20));
    telling.run(&["add", "."]);
    telling.run(&["commit", "-m", "master"]);
    let direct = telling.recorder.past_cache();
    match goes_past_cache(&telling.story.store()) {
        Ok(()) => assert!(direct > 1, "{direct} writes went past the cache"),
        Err(why) => eprintln!(
            "\n*** no file goes past the cache here, so that writes which do WERE NOT CHECKED: {why} ***\n"
        ),
    }
    telling.end("masters")
}

#[test]
fn masters_survive_crashes() {
    if trace::is_here() {
        masters().assert_survives(MASTER_STATES);
    }
}

#[test]
fn a_repository_begins_through_crashes() {
    if trace::is_here() {
        beginnings().assert_survives(STATES);
    }
}

#[test]
fn edits_survive_crashes() {
    if trace::is_here() {
        edits().assert_survives(STATES);
    }
}

#[test]
fn branches_and_merges_survive_crashes() {
    if trace::is_here() {
        branches().assert_survives(STATES);
    }
}

#[test]
fn conflicts_survive_crashes() {
    if trace::is_here() {
        conflicts().assert_survives(STATES);
    }
}

#[test]
fn collections_survive_crashes() {
    if trace::is_here() {
        collections().assert_survives(LARGE_STATES);
    }
}

#[test]
fn long_lives_survive_crashes() {
    if trace::is_here() {
        long_lives().assert_survives(STATES);
    }
}

/// The second finds the store as the first left it, and the next command mending it.
#[test]
fn a_crash_after_a_crash_is_survived() {
    if !trace::is_here() {
        return;
    }
    let mut telling = Telling::of(film());
    telling.story.write("media/more.mov", Chance::new(6).bytes(20_000));
    telling.run(&["add", "."]);
    telling.run(&["commit", "-m", "more"]);
    for found in telling.end("a crash").torn(seed(), 8) {
        let dir = folder();
        found.write(&dir.path().join("work"));
        let mut telling = Telling::of(Story::within(dir));
        telling.run(&["tag", "v1"]);
        // Twice as many there are, more or less.
        telling.end("a crash after a crash").assert_survives(12);
    }
}
