//! Bytes that change, end early or go missing in `.ottvc`: what the program says, what still reads,
//! and how it is mended.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use ottvc_tests::story::{Chance, Story, Tree, assert_same, number, text};
use serde_json::{Value as Json, json};

/// A film and its trailer, on `main` and on a branch that changed the document only.
fn film() -> (Story, Tree) {
    let story = Story::new();
    let mut chance = Chance::new(7);
    for path in ["media/film.mov", "media/trailer.mov"] {
        story.write(path, chance.bytes(400_000));
    }
    story.write("edition.meta.json", "{\n  \"title\": \"Film\"\n}\n");
    let tree = story.tree();
    story.commit("film");
    story.ok(&["switch", "-c", "cut/director"]);
    story.ok(&["meta", "set", "edition.meta.json", "/title=\"Film, uncut\""]);
    story.ok(&["commit", "-m", "title"]);
    story.ok(&["switch", "main"]);
    story.assert_sound();
    (story, tree)
}

/// The pack that holds these bytes, and where. Media is stored as it is.
fn find(story: &Story, bytes: &[u8]) -> (PathBuf, u64) {
    let packs = story.packs().into_iter();
    let mut found = packs.filter_map(|pack| {
        let held = fs::read(&pack).unwrap();
        let at = held.windows(bytes.len()).position(|some| some == bytes)?;
        Some((pack, at as u64))
    });
    found.next().unwrap()
}

fn flip(pack: &Path, at: u64) {
    let file = OpenOptions::new().read(true).write(true).open(pack).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

/// Every place that `verify` names, sorted; its status must be that of damage.
fn named(story: &Story) -> Vec<String> {
    let report = story.ends(&["verify"], 10);
    let findings = |list: &Json| list.as_array().unwrap().clone();
    let all = [findings(&report["damaged"]), findings(&report["missing"])].concat();
    let mut places: Vec<String> =
        all.iter().flat_map(|one| findings(&one["affects"])).map(|place| text(&place)).collect();
    places.sort();
    places.dedup();
    places
}

/// Asserts that this file reads and that one does not.
fn assert_reads(story: &Story, sound: &str, damaged: &str, tree: &Tree) {
    let ended = story.run(&["cat", &format!("main:{sound}")]);
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    assert!(ended.stdout == tree[sound], "{sound}");
    let ended = story.run(&["cat", &format!("main:{damaged}")]);
    assert_eq!(ended.status, Some(10), "{}", ended.stderr);
    let to = story.beside("part");
    let to = to.to_string_lossy();
    story.ok(&["checkout", "main", "--only", sound, "--to", &to]);
    story.ends(&["checkout", "main", "--to", &to], 10);
    assert!(!Path::new(&*to).join(damaged).exists(), "nothing half written appears");
}

const BOTH: [&str; 2] = ["cut/director:media/film.mov", "main:media/film.mov"];

#[test]
fn a_flipped_byte_is_named_by_what_it_affects_and_mended_by_adding_again() {
    let (story, tree) = film();
    let (pack, at) = find(&story, &tree["media/film.mov"][200_000..200_064]);
    flip(&pack, at);
    assert_eq!(named(&story), BOTH);
    assert_reads(&story, "media/trailer.mov", "media/film.mov", &tree);
    // The very file, untouched since it was added first.
    let added = story.ok(&["add", "media/film.mov"]);
    assert!(number(&added["stored_bytes"]) > 0, "{added}");
    story.assert_sound();
    assert_same(&story.tree_of("main"), &tree, "mended");
    assert_eq!(story.ok(&["status"])["clean"], true, "it is the same file");
}

#[test]
fn what_a_dead_command_left_at_the_end_of_a_pack_is_cut_off() {
    let (story, tree) = film();
    for pack in story.packs() {
        let len = fs::metadata(&pack).unwrap().len();
        OpenOptions::new().append(true).open(&pack).unwrap().write_all(&[0xa5; 999]).unwrap();
        story.assert_sound();
        story.ok(&["tag", &format!("v{len}")]);
        story.assert_sound();
    }
    let held = fs::read(&story.packs()[0]).unwrap();
    assert!(!held.windows(99).any(|some| some == [0xa5; 99]), "it is gone");
    assert_same(&story.tree_of("main"), &tree, "after the cut");
}

#[test]
fn a_pack_cut_short_is_named_and_mended_by_adding_again() {
    let (story, tree) = film();
    let (pack, at) = find(&story, &tree["media/trailer.mov"][350_000..350_064]);
    OpenOptions::new().write(true).open(&pack).unwrap().set_len(at).unwrap();
    assert_eq!(named(&story), ["cut/director:media/trailer.mov", "main:media/trailer.mov"]);
    assert_reads(&story, "media/film.mov", "media/trailer.mov", &tree);
    story.ok(&["add", "."]);
    assert_same(&story.tree_of("main"), &tree, "mended");
    assert_same(&story.tree_of("HEAD"), &tree, "mended");
}

#[test]
fn a_lost_index_is_made_again_with_refs_and_history() {
    let (story, tree) = film();
    story.ok(&["tag", "v1"]);
    story.write("media/staged.mov", "only staged");
    story.ok(&["add", "."]);
    let asked = || {
        let of = |arguments: &[&str]| story.ok(arguments);
        json!([
            of(&["log", "--all"]),
            of(&["branch"])["branches"],
            of(&["tag"])["tags"],
            of(&["ops"]),
            of(&["status"]),
            of(&["audit", "dedupe"])["total"],
        ])
    };
    let before = asked();
    fs::remove_dir_all(story.store().join("db")).unwrap();
    // Whatever asks first makes it again, be it to read.
    let after = asked();
    assert_eq!(after, before);
    story.assert_sound();
    assert_same(&story.tree_of("v1"), &tree, "after the loss");
    story.ok(&["commit", "-m", "goes on"]);
    story.assert_sound();
}
