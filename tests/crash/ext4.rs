//! A real file system that loses power: an ext4 image is copied while it is mounted and written to, so
//! that the copy holds what reached the disk and nothing else; the copy, mounted, is what is found when
//! power comes back. Needs root and loop devices.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ottvc_object::CommitId;
use ottvc_tests::story::{Chance, Story, Tree};
use serde_json::json;
use tempfile::TempDir;

use crate::check::check_survivor;
use crate::explore::seed;
use crate::folder;

/// Losses of power.
const LOSSES: usize = 24;
/// A command that was not timed yet is taken to last this long.
const FIRST_GUESS: Duration = Duration::from_millis(60);

/// When the power is cut.
enum When {
    /// When the command has just begun.
    AtOnce,
    /// So long after it began, whether it has ended by then or not.
    After(Duration),
    /// When it has just ended: what has just been acknowledged is there.
    AtEnd,
}

/// An image that is mounted, until this is dropped.
struct Mounted(PathBuf);

impl Mounted {
    fn new(image: &Path, at: PathBuf) -> Result<Self, String> {
        std::fs::create_dir_all(&at).unwrap();
        run("mount", &["-o", "loop", &image.to_string_lossy(), &at.to_string_lossy()])?;
        Ok(Self(at))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = run("umount", &[&self.0.to_string_lossy()]);
    }
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("{program} {arguments:?}: {said}")) }
}

/// An empty file system.
fn make(dir: &Path) -> Result<(PathBuf, Mounted), String> {
    let image = dir.join("image");
    File::create(&image).and_then(|file| file.set_len(96 << 20)).unwrap();
    // Nothing is left for the kernel to do later: the image stands still while nobody writes.
    let whole = "lazy_itable_init=0,lazy_journal_init=0";
    let to = image.to_string_lossy();
    run("mkfs.ext4", &["-q", "-F", "-I", "256", "-E", whole, &to])?;
    let mounted = Mounted::new(&image, dir.join("mounted"))?;
    Ok((image, mounted))
}

/// Copies the image as it is at one moment: anew, until nothing changed while it was copied.
fn cut_power(image: &Path, copy: &Path) {
    let (from, to) = (image.to_string_lossy(), copy.to_string_lossy());
    for _ in 0..50 {
        run("cp", &["--sparse=always", &from, &to]).unwrap();
        if run("cmp", &["-s", &from, &to]).is_ok() {
            return;
        }
        // What the kernel has begun to write back is written soon.
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("the image never stands still");
}

fn signal(process: u32, signal: &str) {
    // One that has ended in the meantime hears nothing, which is as well.
    let _ = run("kill", &[&format!("-{signal}"), &process.to_string()]);
}

/// How a command went that the power was cut in.
struct Cut {
    /// Whether it had ended well by then.
    done: bool,
    /// Whether it ended well in the end.
    ended: bool,
    /// How long it took, where it was not held up.
    lasted: Option<Duration>,
}

/// Runs a command, and cuts the power at some moment of it or just after.
fn run_into(story: &Story, arguments: &[&str], when: &When, image: &Path, copy: &Path) -> Cut {
    let mut command = story.command(arguments);
    let started = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let (mut done, mut lasted) = (None, None);
    match when {
        When::AtOnce => {}
        When::After(moment) => {
            std::thread::sleep(*moment);
            done = child.try_wait().unwrap();
        }
        When::AtEnd => {
            done = Some(child.wait().unwrap());
            lasted = Some(started.elapsed());
        }
    }
    if done.is_none() {
        signal(child.id(), "STOP");
    }
    cut_power(image, copy);
    if done.is_none() {
        signal(child.id(), "CONT");
    }
    let ended = child.wait().unwrap().success();
    Cut { done: done.is_some_and(|status| status.success()), ended, lasted }
}

#[test]
fn ext4_that_loses_power_keeps_what_was_acknowledged() {
    let dir: TempDir = folder();
    let (image, mounted) = match make(dir.path()) {
        Ok(made) => made,
        Err(why) => {
            eprintln!(
                "\n*** no image can be mounted here, losses of power on ext4 WERE NOT CHECKED: {why} ***\n"
            );
            return;
        }
    };
    let (seed, started) = (seed(), Instant::now());
    let mut chance = Chance::new(seed);
    let story = Story::within(tempfile::tempdir_in(&mounted.0).unwrap());
    let inside = story.root().strip_prefix(&mounted.0).unwrap().to_owned();
    story.ok(&["init"]);
    story.write("film.mov", chance.bytes(300_000));
    let mut commits: BTreeMap<CommitId, Tree> = BTreeMap::new();
    let mut head: CommitId = story.commit("film").parse().unwrap();
    commits.insert(head, story.tree());
    let mut lasted: BTreeMap<&str, Duration> = BTreeMap::new();
    let mut early = 0;
    for loss in 0..LOSSES {
        let arguments: &[&str] = match loss % 5 {
            0 | 2 => &["add", "."],
            4 => &["gc", "--grace", "0"],
            _ => &["commit", "-m", "edit"],
        };
        let kind = arguments[0];
        if kind == "add" {
            story.write("notes.txt", format!("{loss}\n"));
            let len = usize::try_from(chance.below(200_000)).unwrap();
            story.write(&format!("film-{}.mov", loss % 3), chance.bytes(len));
        }
        if kind == "gc" {
            // What nothing leads to any more.
            story.write("scratch.mov", chance.bytes(200_000));
            story.ok(&["add", "scratch.mov"]);
            story.ok(&["rm", "--force", "scratch.mov"]);
        }
        let lasts = lasted.get(kind).copied().unwrap_or(FIRST_GUESS);
        // Each command has its turn at each: fours and fives meet in all ways.
        let when = match loss % 4 {
            0 => When::AtEnd,
            2 => When::AtOnce,
            _ => {
                let span = u64::try_from(lasts.as_micros()).unwrap() * 3 / 2;
                When::After(Duration::from_micros(chance.below(span)))
            }
        };
        // Another name each time: a loop device that is let go late would show what the last one held.
        let copy = dir.path().join(format!("copy-{loss}"));
        let Cut { done, ended, lasted: took } = run_into(&story, arguments, &when, &image, &copy);
        assert!(ended, "{arguments:?}");
        lasted.extend(took.map(|took| (kind, took)));
        early += usize::from(!done);
        let now: CommitId = story.head("HEAD").parse().unwrap();
        let allowed = if done { vec![now] } else { vec![head, now] };
        if kind == "commit" {
            commits.insert(now, story.tree());
        }
        {
            let found = Mounted::new(&copy, dir.path().join("found")).unwrap();
            let work = found.0.join(&inside);
            let survived = check_survivor(&work, &allowed, &commits, chance.below(2) == 0);
            if let Err(why) = survived {
                panic!("loss {loss} in {arguments:?} (done: {done}), OTTVC_SEED={seed}: {why}");
            }
        }
        std::fs::remove_file(&copy).unwrap();
        head = now;
    }
    assert_eq!(story.ok(&["verify"])["clean"], json!(true));
    eprintln!(
        "{LOSSES} losses of power on ext4 in {:.0?}, {early} of them before the command had ended, {} \
         commits; OTTVC_SEED={seed}",
        started.elapsed(),
        commits.len(),
    );
    assert!(early > 0 && early < LOSSES, "moments that are all alike prove little");
    drop(story);
    drop(mounted);
}
