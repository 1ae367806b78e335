//! Hash lists and proofs from the command line, checked by the tools they are made for.
//!
//! `sha256sum` is on every Linux. The tool of the ASC Media Hash List is installed by `tests/setup.sh
//! lint`; without it that test says so and passes, except in CI. `b3sum` is checked by its documented
//! line format and the BLAKE3 crate it is built on.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use ottvc_testkit::tools::PythonTool;
use serde_json::Value as Json;
use tempfile::TempDir;

/// Names that a shell, a list or XML could trip over.
const NAMES: [&str; 5] =
    ["reels/A002 & 'B' [1].mov", "reels/nürnberg.wav", "sub/deep/-", "-", " lead; $(x)"];

/// Longer than any chunk, so that each file has several.
const LEN: usize = 2_000_000;

struct Lab {
    dir: TempDir,
}

impl Lab {
    fn new() -> Self {
        let lab = Self { dir: tempfile::tempdir().unwrap() };
        lab.ok(&["init", "r"]);
        for (seed, name) in (1_u8..).zip(NAMES) {
            lab.write(name, &noise(seed, LEN));
        }
        lab.write("empty.bin", b"");
        lab.write("edition.meta.json", br#"{"title":   {"en": "N & L"}}"#);
        lab.ok(&["-C", "r", "add", "."]);
        lab.ok(&["-C", "r", "commit", "-m", "one"]);
        lab
    }
    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }
    fn write(&self, path: &str, bytes: &[u8]) {
        let disk = self.at("r").join(path);
        std::fs::create_dir_all(disk.parent().unwrap()).unwrap();
        replace(&disk, bytes);
    }
    fn run(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_ottvc"))
            .args(args)
            .current_dir(self.dir.path())
            // Settings of whoever runs the tests are kept out.
            .env_clear()
            .envs(["PATH", "TMPDIR"].into_iter().filter_map(|it| Some((it, std::env::var_os(it)?))))
            .env("HOME", self.dir.path())
            .env("OTTVC_AUTHOR", "Ana <ana@example.com>")
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }
    fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
    fn json(&self, status: i32, args: &[&str]) -> Json {
        let output = self.run(&[args, &["--json"]].concat());
        assert_eq!(output.status.code(), Some(status), "{args:?}: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }
    fn status(&self, args: &[&str]) -> i32 {
        self.run(args).status.code().unwrap()
    }
    fn check_out(&self) -> PathBuf {
        let out = self.at("out");
        self.ok(&["-C", "r", "checkout", "HEAD", "--to", out.to_str().unwrap()]);
        out
    }
}

#[expect(clippy::disallowed_methods, reason = "a test writes as any editor would")]
fn replace(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
}

/// Bytes without pattern, different for each seed.
fn noise(seed: u8, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut bytes);
    bytes
}

#[test]
fn sha256sum_finds_every_file_as_listed_and_a_change() {
    let lab = Lab::new();
    let out = lab.check_out();
    let list = lab.at("list").display().to_string();
    let check = || {
        let mut command = Command::new("sha256sum");
        command.args(["-c", "--strict", "--quiet", &list]).current_dir(&out).output().unwrap()
    };
    for _ in 0..2 {
        // The second time from what was kept.
        lab.ok(&["-C", "r", "audit", "fixity", "--format", "sha256sum", "--to", &list]);
        let checked = check();
        assert!(checked.status.success(), "{checked:?}");
    }
    let listed = std::fs::read_to_string(&list).unwrap();
    assert_eq!(listed.lines().count(), NAMES.len() + 2);
    assert_eq!(listed, lab.ok(&["-C", "r", "audit", "fixity", "--format", "sha256sum"]));
    lab.ok(&["-C", "r", "verify"]);
    replace(&out.join("empty.bin"), b"x");
    assert!(!check().status.success());
}

#[test]
fn b3sum_lines_are_those_of_b3sum() {
    let lab = Lab::new();
    let out = lab.check_out();
    let list = lab.ok(&["-C", "r", "audit", "fixity"]);
    assert_eq!(list.lines().count(), NAMES.len() + 2);
    for line in list.lines() {
        let (hash, path) = line.split_at(64);
        let path = path.strip_prefix("  ").unwrap();
        let bytes = std::fs::read(out.join(path)).unwrap();
        assert_eq!(blake3::hash(&bytes).to_string(), hash, "{path}");
    }
    let json = lab.json(0, &["-C", "r", "audit", "fixity", "HEAD", "sub"]);
    assert_eq!(json["algorithm"], "blake3");
    assert_eq!(json["files"][0]["path"], "sub/deep/-");
    assert_eq!(json["files"][0]["bytes"], LEN);
}

#[test]
fn the_tool_of_the_asc_finds_a_sealed_folder_complete() {
    let lab = Lab::new();
    let out = lab.check_out();
    let seal = ["-C", "r", "audit", "fixity", "--format", "ascmhl", "--to", out.to_str().unwrap()];
    lab.ok(&seal);
    // A folder is sealed once.
    assert_eq!(lab.status(&seal), 6);
    let tool = ottvc_testkit::tools::python_tool("ascmhl", "media hash lists");
    let Some(PythonTool { programs, packages }) = tool else { return };
    let holds = |program: &str, args: &[&str]| {
        let mut command = Command::new(programs.join(program));
        command.args(args).arg(&out);
        if let Some(packages) = &packages {
            command.env("PYTHONPATH", packages);
        }
        let output = command.output().unwrap();
        eprintln!("{output:?}");
        output.status.success()
    };
    assert!(holds("ascmhl", &["diff"]));
    assert!(holds("ascmhl-debug", &["verify"]));
    assert!(holds("ascmhl-debug", &["verify", "-dh"]));
    let file = out.join(NAMES[0]);
    replace(&file, &noise(9, LEN));
    assert!(!holds("ascmhl-debug", &["verify"]));
    assert!(!holds("ascmhl-debug", &["verify", "-dh"]));
    std::fs::remove_file(&file).unwrap();
    assert!(!holds("ascmhl", &["diff"]));
}

#[test]
fn a_proof_is_checked_where_no_repository_is() {
    let lab = Lab::new();
    let place = format!("HEAD:{}", NAMES[1]);
    let proof = lab.ok(&["-C", "r", "audit", "prove", &place]);
    replace(&lab.at("proof.json"), proof.as_bytes());
    let piece = lab.at("piece.json").display().to_string();
    lab.ok(&["-C", "r", "audit", "prove", &place, "--range", "0-9", "--out", &piece]);
    std::fs::rename(lab.at("r"), lab.at("moved")).unwrap();
    std::fs::remove_dir_all(lab.at("moved/.ottvc")).unwrap();
    let media = format!("moved/{}", NAMES[1]);

    let said = lab.ok(&["audit", "check-proof", "proof.json", "--file", &media]);
    assert!(said.starts_with("the proof holds\n") && said.contains("\nnot proved\n"), "{said}");
    let json = lab.json(0, &["audit", "check-proof", "proof.json", "--file", &media]);
    assert_eq!((&json["holds"], &json["file"]["verdict"]), (&true.into(), &"whole".into()));
    assert_eq!(json["id"], blake3::hash(&noise(2, LEN)).to_string());
    assert_eq!(json["not_proved"].as_array().unwrap().len(), 1, "{json}");

    let json = lab.json(0, &["audit", "check-proof", "piece.json"]);
    assert_eq!(json["not_proved"].as_array().unwrap().len(), 2, "{json}");
    let length = usize::try_from(json["chunks"]["length"].as_u64().unwrap()).unwrap();
    replace(&lab.at("piece"), &noise(2, LEN)[..length]);
    let json = lab.json(0, &["audit", "check-proof", "piece.json", "--file", "piece"]);
    assert_eq!(json["file"]["verdict"], "piece");

    // A finding, no proof, no file.
    let other = format!("moved/{}", NAMES[0]);
    let json = lab.json(7, &["audit", "check-proof", "proof.json", "--file", &other]);
    assert_eq!((&json["holds"], &json["file"]["verdict"]), (&false.into(), &"different".into()));
    let id = serde_json::from_str::<Json>(&proof).unwrap()["commit"]["id"].to_string();
    let forged = proof.replacen(&id, &format!("\"{:0<64}\"", 1), 1);
    replace(&lab.at("forged.json"), forged.as_bytes());
    let json = lab.json(7, &["audit", "check-proof", "forged.json"]);
    assert_eq!(json["holds"], false);
    replace(&lab.at("none.json"), b"{}");
    let json = lab.json(1, &["audit", "check-proof", "none.json"]);
    assert_eq!(json["code"], "proof.malformed");
    assert_eq!(lab.status(&["audit", "check-proof", "nowhere.json"]), 3);
}
