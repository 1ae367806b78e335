//! A folder to run the real binary in, apart from whoever runs the tests: a home, settings and an
//! author of its own, times in UTC. What differs from run to run (ids, times, the folder) is replaced
//! in snapshots by a word in brackets.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use insta::Settings;
use insta::internals::SettingsBindDropGuard;
use serde_json::Value as Json;
use tempfile::TempDir;

/// The command under test.
pub(crate) const OTTVC: &str = env!("CARGO_BIN_EXE_ottvc");

/// A folder with a working copy in it, or without one yet.
pub(crate) struct Lab {
    /// The working copy.
    pub(crate) work: PathBuf,
    /// What lies beside it: the home, and room for other folders.
    pub(crate) beside: PathBuf,
    _filters: SettingsBindDropGuard,
    _dir: TempDir,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            // A shell shows what a signal ended the same way.
            status: output.status.code().unwrap_or(128),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// As a person sees it: both streams, and the status unless it is 0.
impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.out, self.err)?;
        match self.status {
            0 => Ok(()),
            status => writeln!(f, "[status {status}]"),
        }
    }
}

impl Lab {
    /// An empty folder, no repository.
    pub(crate) fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("ottvc-").tempdir().unwrap();
        let beside = dir.path().canonicalize().unwrap();
        let work = beside.join("work");
        for folder in [&work, &beside.join("home")] {
            std::fs::create_dir(folder).unwrap();
        }
        let filters = filters(&beside).bind_to_scope();
        Self { work, beside, _filters: filters, _dir: dir }
    }

    /// A repository without a commit.
    pub(crate) fn repo() -> Self {
        let lab = Self::new();
        lab.ok("init --title 'Northern Light'");
        lab
    }

    /// A repository with one commit: a film of 100,000 bytes and the edition's document.
    pub(crate) fn film() -> Self {
        let lab = Self::repo();
        lab.write("feature.mp4", noise(1, 100_000));
        lab.write("edition.meta.json", r#"{"title": {"en": "Northern Light"}, "rating": "12"}"#);
        lab.ok("add .");
        lab.ok("commit -m 'Theatrical master' --date 2026-03-01T14:05:00Z");
        lab
    }

    /// The command with these arguments, written as in a shell.
    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(OTTVC);
        command
            .args(shell_words::split(line).unwrap())
            .current_dir(&self.work)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.beside.join("home"))
            .env("TMPDIR", self.beside.join("home"))
            .env("OTTVC_AUTHOR", "Ana <ana@example.com>")
            .env("OTTVC_LOCK_WAIT", "10s")
            .env("TZ", "UTC")
            .stdin(Stdio::null());
        command
    }

    /// Runs the command.
    pub(crate) fn run(&self, line: &str) -> Ran {
        self.command(line).output().unwrap().into()
    }

    /// Runs the command, which must succeed; returns what it wrote.
    pub(crate) fn ok(&self, line: &str) -> String {
        let ran = self.run(line);
        assert_eq!(ran.status, 0, "ottvc {line}\n{ran}");
        ran.out
    }

    /// Runs commands one by one and tells what a person would see.
    pub(crate) fn tell<'l>(&self, lines: impl IntoIterator<Item = &'l str>) -> String {
        let mut told = String::new();
        for line in lines {
            write!(told, "$ ottvc {line}\n{}", self.run(line)).unwrap();
        }
        told
    }

    /// Runs the command with `--json`: one object on one line of stdout, nothing on stderr.
    pub(crate) fn json(&self, line: &str) -> (i32, Json) {
        let ran = self.run(&format!("{line} --json"));
        assert_eq!(ran.err, "", "ottvc {line} --json");
        assert_eq!(ran.out.lines().count(), 1, "ottvc {line} --json\n{ran}");
        let answer: Json = serde_json::from_str(&ran.out).unwrap();
        assert!(answer.is_object(), "ottvc {line} --json\n{ran}");
        (ran.status, answer)
    }

    /// The members of what the command answers with `--json`, and its status unless that is 0.
    pub(crate) fn shape(&self, line: &str) -> String {
        match self.json(line) {
            (0, answer) => shape(&answer),
            (status, answer) => format!("{} [status {status}]", shape(&answer)),
        }
    }

    /// Checks an error: `error:` and `hint:` on stderr, one line each, nothing on stdout, and the
    /// same with `--json` as a problem object of this status and code. Returns what a person sees.
    pub(crate) fn refused(&self, status: i32, code: &str, line: &str) -> String {
        let ran = self.run(line);
        assert_refused(&ran, status);
        let (json_status, problem) = self.json(line);
        assert_problem(&problem, status, code);
        assert_eq!(json_status, status, "ottvc {line} --json");
        assert!(ran.err.contains(problem["detail"].as_str().unwrap()), "{ran}{problem}");
        ran.err
    }

    /// Puts a file into the working copy, as if it had been there for a while: one changed within the
    /// last tick of the clock is read again by whoever looks.
    pub(crate) fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.work.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = std::fs::File::create(path).unwrap();
        file.write_all(bytes.as_ref()).unwrap();
        let written = file.metadata().unwrap().modified().unwrap();
        file.set_modified(written - std::time::Duration::from_secs(60)).unwrap();
    }

    /// Reads a file of the working copy.
    pub(crate) fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.work.join(path)).unwrap()
    }

    /// What `log` says, to find it the same after an error.
    pub(crate) fn history(&self) -> Json {
        self.json("log --all").1
    }
}

/// Checks that a command ended with `status`, said so on stderr in lines of their own, and wrote
/// nothing else.
pub(crate) fn assert_refused(ran: &Ran, status: i32) {
    assert_eq!(ran.status, status, "{ran}");
    assert_eq!(ran.out, "");
    let words: Vec<&str> =
        ran.err.lines().map(|line| line.split(' ').next().unwrap_or_default()).collect();
    // Several causes are several lines.
    let ["error:", causes @ .., "hint:"] = &*words else { panic!("{ran}") };
    assert!(causes.iter().all(|word| *word == "cause:"), "{ran}");
}

/// Checks the members that every problem object has.
pub(crate) fn assert_problem(problem: &Json, status: i32, code: &str) {
    assert_eq!(problem["code"], code, "{problem}");
    assert_eq!(problem["type"], format!("urn:ottvc:problem:{code}"));
    assert_eq!(problem["exit"], status, "{problem}");
    assert!(problem["status"].as_u64().is_some_and(|status| (400..600).contains(&status)));
    for member in ["title", "detail", "hint"] {
        assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{problem}");
    }
}

/// Names the members of an answer and their kinds; of a list, those of its first item.
pub(crate) fn shape(json: &Json) -> String {
    match json {
        Json::Null => "null".into(),
        Json::Bool(_) => "bool".into(),
        Json::Number(_) => "number".into(),
        Json::String(_) => "text".into(),
        Json::Array(items) => format!("[{}]", items.first().map(shape).unwrap_or_default()),
        Json::Object(members) => {
            let members: Vec<String> =
                members.iter().map(|(name, value)| format!("{name}: {}", shape(value))).collect();
            format!("{{{}}}", members.join(", "))
        }
    }
}

/// Bytes that do not compress, the same for the same seed.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// Replaces what differs from run to run.
fn filters(beside: &Path) -> Settings {
    let escaped: String = beside.to_string_lossy().chars().fold(String::new(), |mut text, c| {
        if c.is_ascii_punctuation() {
            text.push('\\');
        }
        text.push(c);
        text
    });
    let mut settings = Settings::clone_current();
    settings.add_filter(&escaped, "[lab]");
    settings.add_filter(r"\b[0-9a-f]{64}\b", "[id]");
    settings.add_filter(r"\b[0-9a-f]{32}\b", "[edition]");
    settings.add_filter(r"\b[0-9a-f]{12}\b", "[short id]");
    settings.add_filter(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "[time]");
    settings.add_filter(r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d \+00:00)?", "[time]");
    settings.add_filter(r"\d[\d.]* ([KM]i)?B on disk", "[size] on disk");
    settings.add_filter(r"process \d+", "process [number]");
    settings.add_filter(r"ottvc-\w{6}\.meta\.json", "[kept].meta.json");
    // A rate is told of what took a second, as anything may on a slow disk.
    settings.add_filter(r" \(\d+\.\d s, [^)]*/s\)", "");
    settings
}
