//! What the machine does wrong: refused permissions, a full disk, two commands at once, readers that
//! leave. Nothing that was recorded is lost by any of it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod common;

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{Lab, OTTVC, Ran, assert_problem, assert_refused, noise};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

/// Sets the permissions of everything below a folder: `x` for folders too.
fn permit(folder: &Path, files: u32, folders: u32) {
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)).unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => permit(&path, files, folders),
            false => {
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(files)).unwrap();
            }
        }
    }
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(folders)).unwrap();
}

/// Runs a command as somebody whom permissions bind: root becomes nobody.
fn bound(lab: &Lab, line: &str) -> Ran {
    let mut command = lab.command(line);
    if is_root() {
        // The build may lie where nobody may go.
        let copy = lab.beside.join("ottvc");
        if !copy.exists() {
            std::fs::copy(OTTVC, &copy).unwrap();
        }
        let mut own = Command::new(copy);
        own.args(command.get_args()).env_clear().current_dir(&lab.work).stdin(Stdio::null());
        own.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        own.uid(65_534).gid(65_534);
        command = own;
    }
    command.output().unwrap().into()
}

#[test]
fn a_folder_that_may_only_be_read() {
    let lab = Lab::film();
    lab.write("new.txt", "new");
    std::fs::set_permissions(&lab.beside, std::fs::Permissions::from_mode(0o755)).unwrap();
    permit(&lab.work, 0o444, 0o555);
    // Reading goes on.
    for line in ["status", "log", "show", "ls", "cat main:edition.meta.json", "diff", "verify"] {
        let ran = bound(&lab, line);
        assert_eq!(ran.status, 0, "ottvc {line}\n{ran}");
    }
    let lines = [
        "add new.txt",
        "commit -m x --allow-empty",
        "branch x",
        "meta set edition.meta.json /year=2026",
        "rm feature.mp4",
        "undo",
    ];
    for line in lines {
        let ran = bound(&lab, line);
        assert_refused(&ran, 8);
        let ran = bound(&lab, &format!("{line} --json"));
        assert_problem(&serde_json::from_str(&ran.out).unwrap(), 8, "store.denied");
    }
    insta::assert_snapshot!(bound(&lab, "add new.txt"), @"
    error: no permission to lock [lab]/work/.ottvc/lock
    cause: Permission denied (os error 13)
    hint: check the permissions of .ottvc
    [status 8]
    ");
    insta::assert_snapshot!(bound(&lab, "checkout main --to out"), @"
    error: cannot make folder [lab]/work/out
    cause: Permission denied (os error 13)
    hint: check its permissions and those of its folder
    [status 8]
    ");
    insta::assert_snapshot!(bound(&lab, "init sub"), @"
    error: cannot make folder [lab]/work/sub
    cause: Permission denied (os error 13)
    hint: check its permissions and those of its folder
    [status 8]
    ");
    let ran = bound(&lab, "doctor");
    assert_eq!(ran.status, 7);
    assert!(ran.out.contains("warn  access       the store can only be read"), "{ran}");
    permit(&lab.work, 0o644, 0o755);
    assert_eq!(lab.json("verify").0, 0);
    assert_eq!(lab.history()["commits"].as_array().unwrap().len(), 1);
}

#[test]
fn a_file_that_may_not_be_read() {
    let lab = Lab::film();
    lab.write("secret.mp4", "x");
    std::fs::set_permissions(&lab.beside, std::fs::Permissions::from_mode(0o755)).unwrap();
    if is_root() {
        permit(&lab.work, 0o666, 0o777);
    }
    let secret = lab.work.join("secret.mp4");
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o000)).unwrap();
    insta::assert_snapshot!(bound(&lab, "add ."), @"
    error: cannot open [lab]/work/secret.mp4
    cause: Permission denied (os error 13)
    hint: check its permissions and those of its folder
    [status 8]
    ");
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o644)).unwrap();
    insta::assert_snapshot!(lab.tell(["status"]), @"
    $ ottvc status
    On branch main at [short id] (Northern Light)

    Untracked
      secret.mp4

    next: ottvc add . (stores and stages what is untracked)
    ");
}

/// A small file system, gone again when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one at `at`, or says why not.
    fn mount(at: &Path, megabytes: u32) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        match Self::call(&["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "tmpfs"], at) {
            Ok(()) => Some(Self(at.to_path_buf())),
            Err(why) => {
                eprintln!("SKIPPED: a small disk cannot be mounted here: {why}");
                None
            }
        }
    }
    fn grow(&self, megabytes: u32) {
        Self::call(&["-o", &format!("remount,size={megabytes}m")], &self.0).unwrap();
    }
    fn call(arguments: &[&str], at: &Path) -> Result<(), String> {
        if !is_root() {
            return Err("only root may".into());
        }
        let ran = Command::new("mount").args(arguments).arg(at).output();
        let ran = ran.map_err(|error| error.to_string())?;
        match ran.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&ran.stderr).trim().to_owned()),
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let gone = Command::new("umount").arg(&self.0).status();
        if !gone.is_ok_and(|status| status.success()) {
            let _ = Command::new("umount").arg("-l").arg(&self.0).status();
        }
    }
}

#[test]
fn a_full_disk_under_the_store() {
    let lab = Lab::new();
    let Some(disk) = SmallDisk::mount(&lab.work.join(".ottvc"), 4) else { return };
    lab.ok("init");
    lab.write("small.mp4", noise(1, 100_000));
    lab.ok("add .");
    lab.ok("commit -m Small");
    let before = lab.history();
    lab.write("large.mp4", noise(2, 12_000_000));
    let ran = lab.run("add large.mp4");
    assert_refused(&ran, 1);
    insta::with_settings!({filters => vec![(r"(to \w+) \S*\.ottvc/\S+", "$1 [file]")]}, {
        insta::assert_snapshot!(ran, @"
        error: no space left to write [file]
        cause: No space left on device (os error 28)
        hint: make room, then run the command again
        [status 1]
        ");
    });
    let (status, problem) = lab.json("add large.mp4");
    assert_eq!(status, 1);
    assert_problem(&problem, 1, "store.full");
    // What was recorded is whole, and can be read although nothing can be written.
    assert_eq!(lab.history(), before);
    assert_eq!(lab.json("verify").0, 0);
    lab.ok("checkout main --to ../out");
    assert_eq!(std::fs::read(lab.beside.join("out/small.mp4")).unwrap(), noise(1, 100_000));
    // With room again, the same command goes on.
    disk.grow(64);
    lab.ok("add large.mp4");
    lab.ok("commit -m Large");
    assert_eq!(lab.json("verify").0, 0);
}

#[test]
fn a_full_disk_where_files_are_written_out() {
    let lab = Lab::film();
    lab.write("large.mp4", noise(2, 3_000_000));
    lab.ok("add .");
    lab.ok("commit -m Large");
    let out = lab.beside.join("out");
    let Some(disk) = SmallDisk::mount(&out, 1) else { return };
    let ran = lab.run("checkout main --to ../out");
    assert_refused(&ran, 1);
    insta::assert_snapshot!(ran, @"
    error: cannot write [lab]/work/../out/large.mp4
    cause: No space left on device (os error 28)
    hint: make room, then run the command again
    [status 1]
    ");
    disk.grow(16);
    lab.ok("checkout main --to ../out");
    assert_eq!(std::fs::read(out.join("large.mp4")).unwrap(), noise(2, 3_000_000));
}

#[test]
fn an_output_that_is_full() {
    let lab = Lab::film();
    let full = || Stdio::from(std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    let into_full = |line: &str| Ran::from(lab.command(line).stdout(full()).output().unwrap());
    let ran = into_full("log");
    assert_refused(&ran, 1);
    insta::assert_snapshot!(ran, @"
    error: cannot write the output
    cause: No space left on device (os error 28)
    hint: make room, then run the command again
    [status 1]
    ");
    let ran = into_full("cat main:feature.mp4");
    assert_refused(&ran, 1);
    insta::assert_snapshot!(ran, @"
    error: cannot write the output
    cause: No space left on device (os error 28)
    hint: make room, then run the command again
    [status 1]
    ");
}

#[test]
fn a_reader_that_leaves() {
    let lab = Lab::repo();
    lab.write("film.mp4", noise(1, 4_000_000));
    lab.ok("add .");
    lab.ok("commit -m Film");
    for line in ["cat main:film.mp4", "man", "completions bash", "log --json", "log"] {
        let mut command = lab.command(line);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        if line.starts_with("cat") {
            stdout.read_exact(&mut [0; 100]).unwrap();
        }
        drop(stdout);
        let ran = Ran::from(child.wait_with_output().unwrap());
        assert_eq!((ran.status, ran.err.as_str()), (0, ""), "ottvc {line}");
    }
}

/// Starts `ottvc add` of a large file and stops it, as a debugger would, while it holds the lock.
fn stopped_add(lab: &Lab) -> (std::process::Child, Pid) {
    // A fast machine may be done with a file before it is stopped: the next one is larger.
    for len in [48_000_000, 96_000_000, 192_000_000, 384_000_000] {
        lab.write("large.mp4", noise(3, len));
        let lock = || std::fs::read(lab.work.join(".ottvc/lock")).unwrap_or_default();
        let mut child = lab.command("add large.mp4").stdout(Stdio::null()).spawn().unwrap();
        let pid = Pid::from_child(&child);
        let started = Instant::now();
        while lock().is_empty() && child.try_wait().unwrap().is_none() {
            assert!(started.elapsed() < Duration::from_secs(60));
            std::thread::sleep(Duration::from_millis(1));
        }
        if child.try_wait().unwrap().is_none() {
            kill_process(pid, Signal::STOP).unwrap();
            // It may run on for a moment, and end; what it holds is known once it stands still.
            let changes = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            let stopped = waitid(WaitId::Pid(pid), changes).unwrap().is_some_and(|it| it.stopped());
            if stopped && !lock().is_empty() {
                return (child, pid);
            }
            let _ = kill_process(pid, Signal::CONT);
        }
        assert!(child.wait().unwrap().success());
    }
    panic!("it was done each time before it was stopped");
}

#[test]
fn two_commands_at_once() {
    let lab = Lab::film();
    let (mut first, pid) = stopped_add(&lab);
    let second = |wait: &str, line: &str| {
        Ran::from(lab.command(line).env("OTTVC_LOCK_WAIT", wait).output().unwrap())
    };
    let started = Instant::now();
    let ran = second("0", "commit -m x");
    assert_refused(&ran, 5);
    // Less than a wait that is not set to 0 takes, and enough for a machine with other work.
    assert!(started.elapsed() < Duration::from_secs(8));
    insta::assert_snapshot!(ran, @"
    error: [lab]/work/.ottvc is in use by ottvc add (process [number]) since [time]
    hint: wait until it is done; OTTVC_LOCK_WAIT=60s waits longer
    [status 5]
    ");
    let problem = second("100ms", "branch x --json");
    assert_eq!(problem.status, 5);
    let problem: serde_json::Value = serde_json::from_str(&problem.out).unwrap();
    assert_problem(&problem, 5, "store.busy");
    assert!(problem["holder"].as_str().unwrap().starts_with("ottvc add (process "), "{problem}");
    // A longer wait says what it waits for.
    let started = Instant::now();
    let ran = second("2s", "tag v1");
    assert!(started.elapsed() >= Duration::from_secs(2));
    insta::assert_snapshot!(ran, @"
    waiting up to 2 s for ottvc add (process [number]) since [time]
    error: [lab]/work/.ottvc is in use by ottvc add (process [number]) since [time]
    hint: wait until it is done; OTTVC_LOCK_WAIT=60s waits longer
    [status 5]
    ");
    assert_eq!(ran.status, 5);
    // Reading never waits.
    for line in ["status", "log", "ls", "diff", "verify", "cat main:edition.meta.json"] {
        let started = Instant::now();
        let ran = second("60s", line);
        assert_eq!(ran.status, 0, "ottvc {line}\n{ran}");
        assert!(started.elapsed() < Duration::from_secs(55));
    }
    // Once the first goes on, so does the second.
    let mut waiting = lab.command("commit -m Waited --allow-empty");
    let waiting = waiting.env("OTTVC_LOCK_WAIT", "120s").stderr(Stdio::piped()).spawn().unwrap();
    kill_process(pid, Signal::CONT).unwrap();
    assert!(first.wait().unwrap().success());
    assert!(waiting.wait_with_output().unwrap().status.success());
    assert_eq!(lab.history()["commits"][0]["message"], "Waited");
    assert_eq!(lab.json("verify").0, 0);
}

#[test]
fn a_command_that_is_killed_leaves_nothing_locked_or_lost() {
    let lab = Lab::film();
    let before = lab.history();
    let (mut first, pid) = stopped_add(&lab);
    kill_process(pid, Signal::KILL).unwrap();
    first.wait().unwrap();
    assert_eq!(lab.history(), before);
    lab.ok("add large.mp4");
    lab.ok("commit -m Large");
    assert_eq!(lab.json("verify").0, 0);
}
