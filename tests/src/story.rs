//! A repository in a temporary folder and the real program at work in it, as at a shell.
//!
//! Settings of whoever runs the tests are kept out: the program sees a home of its own. Everything
//! panics with what the program said: a story that goes on after a surprise tells nothing.

#![expect(clippy::indexing_slicing, reason = "indexing JSON never panics, and a test may")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value as Json;
use tempfile::TempDir;

/// Paths and bytes of a working copy or of a revision.
pub type Tree = BTreeMap<String, Vec<u8>>;

/// The program under test: `ottvc`, beside the folder that this test's own program is in.
///
/// # Panics
/// If it is not there.
pub fn binary() -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    let folder = own.ancestors().nth(2).unwrap_or(Path::new(""));
    let binary = folder.join("ottvc");
    assert!(
        binary.is_file(),
        "{} is not there; first: cargo build --release --locked -p ottvc-cli",
        binary.display()
    );
    binary
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    /// The exit status; `None` if a signal ended it.
    pub status: Option<i32>,
    /// What it wrote to stdout.
    pub stdout: Vec<u8>,
    /// What it wrote to stderr, and how it was called.
    pub stderr: String,
}

impl Ended {
    /// The one JSON object that it answered with.
    ///
    /// # Panics
    /// If it did not.
    pub fn json(&self) -> Json {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|error| {
            panic!("{error} in {}: {}", String::from_utf8_lossy(&self.stdout), self.stderr)
        })
    }

    fn of(called: String, output: Output) -> Self {
        let stderr = format!("{called}: {}", String::from_utf8_lossy(&output.stderr));
        Self { status: output.status.code(), stdout: output.stdout, stderr }
    }
}

/// A repository with a working copy, and a home for settings.
#[derive(Debug)]
pub struct Story {
    dir: TempDir,
    binary: PathBuf,
}

impl Story {
    /// Makes a repository.
    ///
    /// # Panics
    /// If the program does not.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap_or_else(|error| panic!("a temporary folder: {error}"));
        let story = Self::within(dir);
        story.ok(&["init"]);
        story
    }

    /// Goes on with what is in this folder: the working copy, `work`, which is made if need be.
    ///
    /// # Panics
    /// If it cannot be.
    pub fn within(dir: TempDir) -> Self {
        for folder in ["home", "work"] {
            fs::create_dir_all(dir.path().join(folder))
                .unwrap_or_else(|error| panic!("{folder}: {error}"));
        }
        Self { dir, binary: binary() }
    }

    /// The folder of the working copy.
    pub fn root(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    /// The repository's own folder.
    pub fn store(&self) -> PathBuf {
        self.root().join(".ottvc")
    }

    /// A path beside the working copy with nothing there.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A command, ready to be started in the working copy.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .args(arguments)
            .current_dir(self.root())
            .env_clear()
            .envs(["PATH", "TMPDIR"].into_iter().filter_map(|it| Some((it, std::env::var_os(it)?))))
            .env("HOME", self.dir.path().join("home"))
            .env("OTTVC_AUTHOR", "Ada <ada@example.org>")
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end, however that is.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        let output = self.command(arguments).output();
        let called = arguments.join(" ");
        Ended::of(called, output.unwrap_or_else(|error| panic!("{arguments:?}: {error}")))
    }

    /// Runs a command that must end well, and returns its JSON.
    ///
    /// # Panics
    /// If it does not.
    pub fn ok(&self, arguments: &[&str]) -> Json {
        self.ends(arguments, 0)
    }

    /// Runs a command that must end with this status, and returns its JSON.
    ///
    /// # Panics
    /// If it does not.
    pub fn ends(&self, arguments: &[&str], status: i32) -> Json {
        let ended = self.run(&[arguments, &["--json"]].concat());
        let said = String::from_utf8_lossy(&ended.stdout);
        assert_eq!(ended.status, Some(status), "{}{said}", ended.stderr);
        ended.json()
    }

    /// Adds everything, commits it, and returns the commit's id.
    ///
    /// # Panics
    /// If that fails.
    pub fn commit(&self, message: &str) -> String {
        self.ok(&["add", "."]);
        text(&self.ok(&["commit", "-m", message])["commit"])
    }

    /// The id of the commit that `rev` names.
    ///
    /// # Panics
    /// If there is none.
    pub fn head(&self, rev: &str) -> String {
        text(&self.ok(&["log", rev, "-n", "1"])["commits"][0]["id"])
    }

    /// Writes a file of the working copy, as any editor would.
    ///
    /// # Panics
    /// If the system refuses.
    #[expect(clippy::disallowed_methods, reason = "a test writes as any editor would")]
    pub fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let disk = self.root().join(path);
        let folder = disk.parent().unwrap_or(Path::new(""));
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&disk, bytes))
            .unwrap_or_else(|error| panic!("{}: {error}", disk.display()));
    }

    /// Reads a file of the working copy.
    ///
    /// # Panics
    /// If it is not there.
    pub fn read(&self, path: &str) -> Vec<u8> {
        let disk = self.root().join(path);
        fs::read(&disk).unwrap_or_else(|error| panic!("{}: {error}", disk.display()))
    }

    /// Everything in the working copy.
    pub fn tree(&self) -> Tree {
        tree(&self.root())
    }

    /// Everything in a revision, written out by `checkout` and read back.
    ///
    /// # Panics
    /// If the program does not write it out.
    pub fn tree_of(&self, rev: &str) -> Tree {
        let to = self.beside("checkout");
        self.ok(&["checkout", rev, "--to", &to.to_string_lossy()]);
        let found = tree(&to);
        fs::remove_dir_all(&to).unwrap_or_else(|error| panic!("{}: {error}", to.display()));
        found
    }

    /// Makes the index again, after which nothing but little room may be found amiss.
    ///
    /// # Panics
    /// If something is.
    pub fn repair(&self) {
        let ended = self.run(&["doctor", "--repair", "--json"]);
        assert_well_but_for_room(ended.status, &ended.json());
    }

    /// Asserts that `verify` finds nothing.
    ///
    /// # Panics
    /// If it does.
    pub fn assert_sound(&self) {
        let report = self.ok(&["verify"]);
        assert_eq!(report["clean"], true, "{report}");
    }

    /// The pack files, sorted by name.
    ///
    /// # Panics
    /// If they cannot be listed.
    pub fn packs(&self) -> Vec<PathBuf> {
        let listed = fs::read_dir(self.store().join("packs")).and_then(Iterator::collect);
        let listed: Vec<fs::DirEntry> = listed.unwrap_or_else(|error| panic!("packs: {error}"));
        let mut paths: Vec<PathBuf> = listed.into_iter().map(|entry| entry.path()).collect();
        paths.sort();
        paths
    }
}

impl Default for Story {
    fn default() -> Self {
        Self::new()
    }
}

/// Asserts that `doctor` found all well. That the disk has little room is no fault of the store's, and
/// so on some machines at all times; nothing else may be amiss.
///
/// # Panics
/// If something is.
pub fn assert_well_but_for_room(status: Option<i32>, answer: &Json) {
    let checks = answer["checks"].as_array().map(Vec::as_slice).unwrap_or_default();
    assert!(!checks.is_empty(), "nothing was looked at: {answer}");
    let fine = |check: &Json| check["health"] == "ok";
    for check in checks {
        let little_room = check["name"] == "disk" && check["health"] == "warn";
        assert!(fine(check) || little_room, "{answer}");
    }
    let expected = if checks.iter().all(fine) { 0 } else { 7 };
    assert_eq!(status, Some(expected), "{answer}");
}

/// The text of a JSON string.
///
/// # Panics
/// If it is none.
pub fn text(json: &Json) -> String {
    json.as_str().unwrap_or_else(|| panic!("no text: {json}")).to_owned()
}

/// A number of JSON.
///
/// # Panics
/// If it is none.
pub fn number(json: &Json) -> u64 {
    json.as_u64().unwrap_or_else(|| panic!("no number: {json}"))
}

/// Every file below a folder, `.ottvc` aside.
///
/// # Panics
/// If one cannot be read.
pub fn tree(folder: &Path) -> Tree {
    let mut found = Tree::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(at) = waiting.pop() {
        let failed = |error: std::io::Error| -> ! { panic!("{}: {error}", at.display()) };
        for entry in fs::read_dir(&at).unwrap_or_else(|error| failed(error)) {
            let path = entry.unwrap_or_else(|error| failed(error)).path();
            if path.is_dir() {
                if path.file_name().is_none_or(|name| name != ".ottvc") {
                    waiting.push(path);
                }
                continue;
            }
            let bytes = fs::read(&path).unwrap_or_else(|error| failed(error));
            let relative = path.strip_prefix(folder).unwrap_or(&path);
            found.insert(relative.to_string_lossy().into_owned(), bytes);
        }
    }
    found
}

/// Asserts that two trees are the same, without printing megabytes if they are not.
///
/// # Panics
/// If they are not.
pub fn assert_same(found: &Tree, expected: &Tree, when: &str) {
    let paths = |tree: &Tree| tree.keys().cloned().collect::<Vec<String>>();
    assert_eq!(paths(found), paths(expected), "{when}");
    for (path, bytes) in expected {
        assert!(found.get(path) == Some(bytes), "{when}: {path} holds other bytes");
    }
}

/// Numbers by chance, the same for one seed (splitmix64).
#[derive(Debug)]
pub struct Chance(u64);

impl Chance {
    /// Starts from a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`; 0 if that is 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.draw().checked_rem(limit).unwrap_or(0)
    }

    /// Bytes that compress nowhere.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        let words = std::iter::repeat_with(|| self.draw().to_le_bytes());
        words.flatten().take(len).collect()
    }
}

/// Runs ffmpeg in `folder`; `false`, said loudly, where it is missing, which is no excuse in CI.
///
/// # Panics
/// If it fails, or is missing in CI.
pub fn ffmpeg(folder: &Path, arguments: &[&str]) -> bool {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-loglevel", "error", "-y"]).args(arguments);
    match command.current_dir(folder).stdin(Stdio::null()).output() {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "ffmpeg {arguments:?}: {said}");
            true
        }
        Err(error) => {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "ffmpeg must be there: {error}");
            eprintln!("\n*** ffmpeg is not here: the story on real media WAS NOT TOLD ***\n");
            false
        }
    }
}
