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
/// A command that has not run yet is taken to last this long.
const FIRST_GUESS: Duration = Duration::from_millis(60);

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
    run("mkfs.ext4", &["-q", "-F", &image.to_string_lossy()])?;
    let mounted = Mounted::new(&image, dir.join("mounted"))?;
    Ok((image, mounted))
}

/// Copies the image as it is at one moment: anew, until nothing changed while it was copied.
fn cut_power(image: &Path, copy: &Path) {
    let (from, to) = (image.to_string_lossy(), copy.to_string_lossy());
    for _ in 0..20 {
        run("cp", &["--sparse=always", &from, &to]).unwrap();
        if run("cmp", &["-s", &from, &to]).is_ok() {
            return;
        }
    }
    panic!("the image never stands still");
}

fn signal(process: u32, signal: &str) {
    // One that has ended in the meantime hears nothing, which is as well.
    let _ = run("kill", &[&format!("-{signal}"), &process.to_string()]);
}

/// Runs a command, and cuts the power at some moment of it or just after; says whether it was done by
/// then, and whether it is in the end.
fn run_into(
    story: &Story,
    arguments: &[&str],
    moment: Duration,
    image: &Path,
    copy: &Path,
) -> (bool, bool) {
    let mut command = story.command(arguments);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(moment);
    let done = child.try_wait().unwrap();
    if done.is_none() {
        signal(child.id(), "STOP");
    }
    cut_power(image, copy);
    if done.is_none() {
        signal(child.id(), "CONT");
    }
    let ended = child.wait().unwrap();
    (done.is_some_and(|status| status.success()), ended.success())
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
    let (mut early, mut staged) = (0, false);
    for loss in 0..LOSSES {
        let arguments: &[&str] = match (staged, loss % 6) {
            (false, 5) => &["gc", "--grace", "0"],
            (false, _) => &["add", "."],
            (true, _) => &["commit", "-m", "edit"],
        };
        let kind = arguments[0];
        if kind == "add" {
            story.write("notes.txt", format!("{loss}\n"));
            let len = usize::try_from(chance.below(200_000)).unwrap();
            story.write(&format!("film-{}.mov", loss % 3), chance.bytes(len));
        }
        let lasts = lasted.get(kind).copied().unwrap_or(FIRST_GUESS);
        // Half of them fall after the end: what has just been acknowledged is there.
        let span = u64::try_from(lasts.as_micros()).unwrap() * 2;
        let moment = Duration::from_micros(chance.below(span));
        let copy = dir.path().join("copy");
        let (done, ended) = run_into(&story, arguments, moment, &image, &copy);
        assert!(ended, "{arguments:?}");
        if !lasted.contains_key(kind) {
            let started = Instant::now();
            story.ok(&["status"]);
            lasted.insert(kind, started.elapsed());
        }
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
        staged = kind == "add" || (staged && kind != "commit");
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
