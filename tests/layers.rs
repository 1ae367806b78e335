//! Keeps the direction of the workspace: a crate uses crates of lower levels only.
//!
//! Reads the manifests, the lock file and the sources, and checks what no compiler does: the levels
//! of `docs/design.md`, that one crate alone names a backend, that the pure levels do no I/O, and
//! that every module says what it is for. Each rule is also shown to fail on an invented breach.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a broken workspace must fail loudly"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ottvc_tests::{entries, files, read};

/// The level of every crate under `crates/`; a new crate earns its line here first.
const LEVELS: &[(&str, u8)] = &[
    ("ottvc-object", 0),
    ("ottvc-chunk", 1),
    ("ottvc-import", 1),
    ("ottvc-merge", 1),
    ("ottvc-wire", 1),
    ("ottvc-refs", 2),
    ("ottvc-store", 2),
    ("ottvc-cloud", 3),
    ("ottvc-local", 3),
    ("ottvc-repo", 3),
    ("ottvc-client", 4),
    ("ottvc-server", 4),
    ("ottvc-cli", 5),
];

/// Builders and conformance suites: used by tests alone, and built on levels 0 to 2.
const TESTKIT: &str = "ottvc-testkit";
const TESTKIT_BUILDS_ON: u8 = 2;

/// Where data goes. Only [`EDGE`] may choose one.
const BACKENDS: &[&str] = &["ottvc-local", "ottvc-cloud"];
const EDGE: &str = "ottvc-cli";

/// Levels up to this one do no I/O and are not async.
const PURE: u8 = 1;
/// Crates that a pure crate must not reach, directly or through others.
const IMPURE_CRATES: &[&str] =
    &["async-trait", "cap-std", "futures", "mio", "rocksdb", "rustix", "tempfile", "tokio"];
/// Paths and words that a pure crate must not write.
const IMPURE_WORDS: &[&str] =
    &["std::env", "std::fs", "std::net", "std::process", "std::thread", "async fn", ".await"];

/// One crate under `crates/`, as its manifest and sources show it.
struct Member {
    name: String,
    /// Names under `[dependencies]` and `[build-dependencies]`.
    uses: BTreeSet<String>,
    /// Names under `[dev-dependencies]`.
    tests_use: BTreeSet<String>,
    inherits_lints: bool,
    /// Path and text of every `.rs` file under `src/`.
    sources: Vec<(PathBuf, String)>,
}

/// What each crate of the lock file names, versions aside.
type Lock = BTreeMap<String, BTreeSet<String>>;

fn level_of(name: &str) -> Option<u8> {
    LEVELS.iter().find(|(known, _)| *known == name).map(|(_, level)| *level)
}

/// Returns one line for each breach of the rules; none when the workspace is in order.
fn breaches(members: &[Member], lock: &Lock) -> Vec<String> {
    let mut found = Vec::new();
    for member in members {
        found.extend(level_breaches(member));
        found.extend(backend_breaches(member));
        found.extend(testkit_breaches(member, members));
        if level_of(&member.name).is_some_and(|level| level <= PURE) {
            found.extend(purity_breaches(member, lock));
        }
        if !member.inherits_lints {
            found.push(format!("{}: its manifest lacks [lints] workspace = true", member.name));
        }
    }
    found
}

fn level_breaches(member: &Member) -> Vec<String> {
    let name = &member.name;
    let is_testkit = name == TESTKIT;
    let Some(below) = (if is_testkit { Some(TESTKIT_BUILDS_ON + 1) } else { level_of(name) })
    else {
        return vec![format!("{name}: has no level; give it one in docs/design.md and here")];
    };
    let ours = |used: &&String| used.starts_with("ottvc-") && *used != TESTKIT;
    member
        .uses
        .union(&member.tests_use)
        .filter(ours)
        .filter(|used| level_of(used).is_none_or(|level| level >= below))
        .map(|used| format!("{name}: uses {used}, which is not of a lower level"))
        .collect()
}

fn backend_breaches(member: &Member) -> Vec<String> {
    if member.name == EDGE {
        return Vec::new();
    }
    let mut found = Vec::new();
    for backend in BACKENDS.iter().filter(|backend| **backend != member.name) {
        if member.uses.contains(*backend) || member.tests_use.contains(*backend) {
            found.push(format!("{}: depends on the backend {backend}", member.name));
        }
        found.extend(mentions(member, &backend.replace('-', "_")));
    }
    found
}

fn testkit_breaches(member: &Member, members: &[Member]) -> Vec<String> {
    let mut found = Vec::new();
    if member.uses.contains(TESTKIT) {
        found.push(format!("{}: {TESTKIT} belongs under [dev-dependencies]", member.name));
    }
    // In a unit test the testkit's crate would be a second, incompatible copy of the one under test.
    let built_on = members.iter().any(|kit| kit.name == TESTKIT && kit.uses.contains(&member.name));
    if built_on {
        found.extend(mentions(member, &TESTKIT.replace('-', "_")));
    }
    found
}

fn purity_breaches(member: &Member, lock: &Lock) -> Vec<String> {
    let mut found = Vec::new();
    let reached = reachable(&member.uses, lock);
    for impure in IMPURE_CRATES.iter().filter(|name| reached.contains(**name)) {
        found.push(format!("{}: is pure, and pulls in {impure}", member.name));
    }
    for word in IMPURE_WORDS {
        found.extend(mentions(member, word));
    }
    found
}

/// Returns where `member` writes `word` in code; comments may say what they like.
fn mentions(member: &Member, word: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in &member.sources {
        for (index, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if ungrouped(code).iter().any(|code| code.contains(word)) {
                let line = index + 1;
                found.push(format!(
                    "{}:{line}: {} must not say {word}",
                    path.display(),
                    member.name
                ));
            }
        }
    }
    found
}

/// Writes `use std::{fs, io}` out as `std::fs` and `std::io`, so that a group hides nothing.
fn ungrouped(code: &str) -> Vec<String> {
    let mut written = vec![code.to_owned()];
    if let Some((prefix, group)) = code.split_once("::{") {
        let root = prefix.rsplit(char::is_whitespace).next().unwrap_or_default();
        let names = group.split([',', '{', '}', ';']).map(str::trim);
        written.extend(names.map(|name| format!("{root}::{name}")));
    }
    written
}

fn reachable(roots: &BTreeSet<String>, lock: &Lock) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut ahead: Vec<&String> = roots.iter().collect();
    while let Some(name) = ahead.pop() {
        // Our own crates are judged by their level: the lock file mixes in what their tests use.
        if reached.insert(name.clone()) && !name.starts_with("ottvc-") {
            ahead.extend(lock.get(name).into_iter().flatten());
        }
    }
    reached
}

/// Returns whether a module opens by saying what it is for.
fn is_introduced(text: &str) -> bool {
    text.lines().find(|line| !line.trim().is_empty()).is_some_and(|line| line.starts_with("//!"))
}

fn dependency_names(manifest: &toml::Table, section: &str) -> BTreeSet<String> {
    let in_table = |table: &toml::Table| {
        table.get(section).and_then(toml::Value::as_table).map(dependency_keys).unwrap_or_default()
    };
    let mut names = in_table(manifest);
    let targets = manifest.get("target").and_then(toml::Value::as_table);
    for target in targets.into_iter().flat_map(toml::Table::values) {
        names.extend(target.as_table().map(in_table).unwrap_or_default());
    }
    names
}

/// Returns the crates a table of dependencies names, behind whatever local names.
fn dependency_keys(table: &toml::Table) -> BTreeSet<String> {
    let name_of = |(key, value): (&String, &toml::Value)| {
        value.get("package").and_then(toml::Value::as_str).unwrap_or(key).to_owned()
    };
    table.iter().map(name_of).collect()
}

fn parse_member(manifest: &str, sources: Vec<(PathBuf, String)>) -> Member {
    let manifest: toml::Table = manifest.parse().expect("a manifest is TOML");
    let mut uses = dependency_names(&manifest, "dependencies");
    uses.extend(dependency_names(&manifest, "build-dependencies"));
    Member {
        name: manifest["package"]["name"].as_str().expect("a package has a name").to_owned(),
        uses,
        tests_use: dependency_names(&manifest, "dev-dependencies"),
        inherits_lints: manifest
            .get("lints")
            .and_then(|lints| lints.get("workspace"))
            .is_some_and(|inherits| inherits.as_bool() == Some(true)),
        sources,
    }
}

fn parse_lock(lock: &str) -> Lock {
    let lock: toml::Table = lock.parse().expect("a lock file is TOML");
    let mut edges = Lock::new();
    for package in lock["package"].as_array().expect("a lock file lists packages") {
        let name = package["name"].as_str().expect("a package has a name");
        let named = package.get("dependencies").and_then(toml::Value::as_array);
        // "syn 2.0.1" where two versions are locked, else "syn"; both versions count as one here.
        let crates = named.into_iter().flatten().filter_map(toml::Value::as_str);
        let crates = crates.filter_map(|dependency| dependency.split(' ').next());
        edges.entry(name.to_owned()).or_default().extend(crates.map(str::to_owned));
    }
    edges
}

fn sources_under(folder: impl AsRef<Path>) -> Vec<(PathBuf, String)> {
    let paths = files(folder, "rs");
    paths.into_iter().map(|path| (path.clone(), read(path))).collect()
}

fn workspace() -> Vec<Member> {
    let folders = entries("crates").into_iter();
    let member = |folder: PathBuf| {
        parse_member(&read(folder.join("Cargo.toml")), sources_under(folder.join("src")))
    };
    folders.map(member).collect()
}

#[test]
fn every_crate_keeps_to_its_level() {
    let members = workspace();
    assert!(members.iter().any(|member| member.name == EDGE), "crates/ was not read");
    let found = breaches(&members, &parse_lock(&read("Cargo.lock")));
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn every_module_says_what_it_is_for() {
    let folders = ["crates", "tests", "benches"];
    let sources = folders.iter().flat_map(sources_under);
    let silent: Vec<String> = sources
        .filter(|(path, text)| !path.ends_with("build.rs") && !is_introduced(text))
        .map(|(path, _)| format!("{}: does not open with //!", path.display()))
        .collect();
    assert!(silent.is_empty(), "\n{}", silent.join("\n"));
}

/// Invented crates that break one rule each: a check that cannot fail checks nothing.
mod fails_when {
    use super::*;

    fn member(name: &str, dependencies: &str, source: &str) -> Member {
        let manifest = format!(
            "[package]\nname = \"{name}\"\n[lints]\nworkspace = true\n[dependencies]\n{dependencies}"
        );
        parse_member(&manifest, vec![("src/lib.rs".into(), source.to_owned())])
    }

    #[track_caller]
    fn assert_breach(members: &[Member], expected: &str) {
        assert_eq!(breaches(members, &Lock::new()), [expected]);
    }

    #[test]
    fn nothing_is_wrong_it_stays_silent() {
        let source = "//! Reads std::fs never.\nuse std::collections::{BTreeMap, BTreeSet};\n";
        let found = breaches(
            &[
                member("ottvc-object", "blake3.workspace = true", source),
                member("ottvc-merge", "ottvc-object.workspace = true", source),
                member(
                    "ottvc-cli",
                    "ottvc-local = \"1\"\nottvc-repo = \"1\"",
                    "use ottvc_local::A;",
                ),
                member("ottvc-testkit", "ottvc-store = \"1\"", source),
            ],
            &Lock::new(),
        );
        assert_eq!(found, [""; 0]);
    }

    #[test]
    fn a_crate_reaches_up() {
        let store = member("ottvc-store", "ottvc-repo = { workspace = true }", "");
        assert_breach(&[store], "ottvc-store: uses ottvc-repo, which is not of a lower level");
    }

    #[test]
    fn a_crate_reaches_sideways_from_its_tests() {
        let merge = member("ottvc-merge", "[dev-dependencies]\nottvc-chunk = \"1\"", "");
        assert_breach(&[merge], "ottvc-merge: uses ottvc-chunk, which is not of a lower level");
    }

    #[test]
    fn a_crate_reaches_up_on_one_system_or_under_another_name() {
        let one = member("ottvc-refs", "[target.'cfg(unix)'.dependencies]\nottvc-cli = \"1\"", "");
        assert_breach(&[one], "ottvc-refs: uses ottvc-cli, which is not of a lower level");
        let other = member("ottvc-refs", "words = { package = \"ottvc-repo\" }", "");
        assert_breach(&[other], "ottvc-refs: uses ottvc-repo, which is not of a lower level");
    }

    #[test]
    fn a_crate_has_no_level() {
        let stray = member("ottvc-util", "", "");
        assert_breach(&[stray], "ottvc-util: has no level; give it one in docs/design.md and here");
    }

    #[test]
    fn a_backend_is_named_outside_the_edge() {
        let server = member("ottvc-server", "ottvc-local.workspace = true", "");
        assert_breach(&[server], "ottvc-server: depends on the backend ottvc-local");
        let repo = member("ottvc-repo", "", "//! Facade.\nuse ottvc_local::Store;\n");
        assert_breach(&[repo], "src/lib.rs:2: ottvc-repo must not say ottvc_local");
    }

    #[test]
    fn the_testkit_leaves_the_tests() {
        let repo = member("ottvc-repo", "ottvc-testkit = \"1\"", "");
        assert_breach(&[repo], "ottvc-repo: ottvc-testkit belongs under [dev-dependencies]");
        let kit = member("ottvc-testkit", "ottvc-store = \"1\"", "");
        let store = member("ottvc-store", "", "mod tests { use ottvc_testkit::object; }");
        assert_breach(&[kit, store], "src/lib.rs:1: ottvc-store must not say ottvc_testkit");
    }

    #[test]
    fn a_pure_crate_does_io() {
        for (source, word) in [
            ("fn read() { std::fs::read(\"x\"); }", "std::fs"),
            ("use std::{collections::BTreeMap, fs};", "std::fs"),
            ("use std::net::TcpStream;", "std::net"),
            ("async fn merge() {}", "async fn"),
        ] {
            let chunk = member("ottvc-chunk", "", source);
            assert_breach(&[chunk], &format!("src/lib.rs:1: ottvc-chunk must not say {word}"));
        }
        let local = member("ottvc-local", "tokio = \"1\"", "use std::fs;");
        assert_eq!(breaches(&[local], &Lock::new()), [""; 0], "a backend is there to do I/O");
    }

    #[test]
    fn a_pure_crate_pulls_in_a_runtime_through_another() {
        let lock = parse_lock(
            "[[package]]\nname = \"handy\"\ndependencies = [\"tokio 1.0.0\"]\n\
             [[package]]\nname = \"tokio\"\n",
        );
        let object = member("ottvc-object", "handy = \"1\"", "");
        let found = breaches(&[object], &lock);
        assert_eq!(found, ["ottvc-object: is pure, and pulls in tokio"]);
    }

    #[test]
    fn a_manifest_does_not_inherit_the_lints() {
        let refs = parse_member("[package]\nname = \"ottvc-refs\"\n", Vec::new());
        assert_breach(&[refs], "ottvc-refs: its manifest lacks [lints] workspace = true");
    }

    #[test]
    fn a_module_opens_with_something_else() {
        assert!(is_introduced("\n//! Stores objects.\nuse std::io;\n"));
        assert!(!is_introduced("use std::io;\n//! Stores objects.\n"));
        assert!(!is_introduced("/// Stores objects.\n"));
        assert!(!is_introduced(""));
    }
}
