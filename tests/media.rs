//! Real media: a master, its director's cut, a dub; branches, merges, a conflict, and audits that add
//! up with the disk. Every file comes back to the byte.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

use std::path::Path;

use ottvc_tests::story::{Chance, Story, assert_same, ffmpeg, number, text};
use serde_json::{Value as Json, json};

/// The sums that rows and total must agree on.
const SUMS: [&str; 4] = ["stored_bytes", "unique_bytes", "logical_bytes", "files"];

/// Pictures and sound of so many seconds, as `name` in `folder`.
fn film(folder: &Path, name: &str, seconds: u32, pitch: u32) -> Option<Vec<u8>> {
    let pictures = format!("testsrc2=size=320x180:rate=25:duration={seconds}");
    let sound = format!("sine=frequency={pitch}:duration={seconds}");
    let to = folder.join(name);
    let made = ffmpeg(
        folder,
        &[
            "-f",
            "lavfi",
            "-i",
            &pictures,
            "-f",
            "lavfi",
            "-i",
            &sound,
            "-c:v",
            "mpeg4",
            "-b:v",
            "2M",
            "-c:a",
            "aac",
            "-shortest",
            &to.to_string_lossy(),
        ],
    );
    made.then(|| std::fs::read(to).unwrap())
}

/// The pictures of one film with the sound of another.
fn dub(folder: &Path, pictures: &str, sound: &str, name: &str) -> Vec<u8> {
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    ffmpeg(
        folder,
        &[
            "-i",
            &path(pictures),
            "-i",
            &path(sound),
            "-map",
            "0:v",
            "-map",
            "1:a",
            "-c",
            "copy",
            &path(name),
        ],
    );
    std::fs::read(folder.join(name)).unwrap()
}

/// Asserts that the rows of every audit add up, with each other and with the pack files.
fn assert_adds_up(story: &Story) {
    let packs: u64 = story.packs().iter().map(|pack| pack.metadata().unwrap().len()).sum();
    for by in ["branch", "title", "path", "commit", "type"] {
        let report = story.ok(&["audit", "dedupe", "--by", by]);
        for sum in SUMS {
            let rows = report["rows"].as_array().unwrap().iter();
            let rows: u64 = rows.map(|row| number(&row[sum])).sum();
            assert_eq!(rows, number(&report["total"][sum]), "{sum} by {by}");
        }
        assert_eq!(number(&report["total"]["stored_bytes"]), packs, "by {by}");
    }
}

fn freed(story: &Story, branches: &[&str]) -> u64 {
    let report = story.ok(&[&["audit", "dedupe", "--what-if-delete"], branches].concat());
    number(&report["freed_if_deleted"])
}

#[test]
fn a_film_its_cuts_and_its_dub() {
    let lab = tempfile::tempdir().unwrap();
    let Some(master) = film(lab.path(), "master.mp4", 2, 440) else { return };
    let longer = film(lab.path(), "longer.mp4", 3, 440).unwrap();
    film(lab.path(), "other.mp4", 2, 660).unwrap();
    let dubbed = dub(lab.path(), "master.mp4", "other.mp4", "dubbed.mp4");
    assert!(master.len() > 100_000 && longer.len() > master.len() && dubbed != master);

    let story = Story::new();
    story.write("film.mp4", &master);
    story.write("film.mp4.meta.json", "{\n  \"language\": \"en\",\n  \"runtime\": 2\n}\n");
    story.write("edition.meta.json", "{\n  \"rating\": \"12\",\n  \"title\": \"Film\"\n}\n");
    let first = story.commit("master");
    let at_first = story.tree();
    assert_eq!(story.ok(&["add", "."])["new_bytes"], 0, "all is stored");

    story.ok(&["branch", "director", "--class", "director"]);
    story.ok(&["branch", "dub/de", "--class", "regional", "--territory", "DE"]);

    story.ok(&["switch", "director"]);
    story.write("film.mp4", &longer);
    story.ok(&["meta", "set", "film.mp4", "/runtime=3"]);
    story.ok(&["meta", "set", "edition.meta.json", "/title=\"Film: the director's cut\""]);
    story.commit("director's cut");
    let director = story.tree();

    story.ok(&["switch", "dub/de"]);
    story.write("film.mp4", &dubbed);
    story.ok(&["meta", "set", "film.mp4", "/language=\"de\"", "/runtime=2.5"]);
    let added = story.ok(&["add", "."]);
    assert_eq!(added["files"], 3, "{added}");
    story.ok(&["commit", "-m", "german sound"]);
    let german = story.tree();

    // Only one side changed the film, and the documents differ in other fields: nothing to decide.
    story.ok(&["switch", "main"]);
    story.ok(&["meta", "set", "edition.meta.json", "/rating=\"16\""]);
    story.ok(&["commit", "-m", "rating"]);
    let merged = story.ok(&["merge", "director"]);
    assert_eq!(merged["clean"], true, "{merged}");
    assert!(story.read("film.mp4") == longer);
    let edition: Json = serde_json::from_slice(&story.read("edition.meta.json")).unwrap();
    assert_eq!(edition, json!({ "rating": "16", "title": "Film: the director's cut" }));

    // Both sides changed the film and its runtime.
    let merged = story.ends(&["merge", "dub/de"], 4);
    assert_eq!(merged["clean"], false);
    let conflicts = story.ok(&["conflicts"])["conflicts"].as_array().unwrap().clone();
    let mut places: Vec<(String, bool)> =
        conflicts.iter().map(|row| (text(&row["path"]), row["field"].is_null())).collect();
    places.sort();
    let expected = [("film.mp4".to_owned(), true), ("film.mp4.meta.json".to_owned(), false)];
    assert_eq!(places, expected);
    story.ends(&["commit", "-m", "too early"], 4);
    story.ok(&["resolve", "film.mp4", "--take", "theirs"]);
    story.ok(&["resolve", "film.mp4.meta.json#/runtime", "--value", "2.25"]);
    story.ok(&["commit"]);
    assert!(story.read("film.mp4") == dubbed);
    let sheet: Json = serde_json::from_slice(&story.read("film.mp4.meta.json")).unwrap();
    assert_eq!(sheet, json!({ "language": "de", "runtime": 2.25 }));

    // Everything comes back to the byte, by name and by id.
    assert_same(&story.tree_of(&first), &at_first, "the first commit");
    assert_same(&story.tree_of("director"), &director, "the director's cut");
    assert_same(&story.tree_of("dub/de"), &german, "the dub");
    assert_same(&story.tree_of("main"), &story.tree(), "main");
    story.assert_sound();
    assert_adds_up(&story);

    // Merged branches hold nothing of their own but their names; one that is not holds its media.
    assert_eq!(freed(&story, &["director"]), 0);
    let promo = Chance::new(1).bytes(300_000);
    story.ok(&["switch", "-c", "promo"]);
    story.write("promo.mov", &promo);
    story.commit("promo");
    story.ok(&["switch", "main"]);
    assert_adds_up(&story);
    let gain = freed(&story, &["promo"]);
    assert!((300_000..310_000).contains(&gain), "{gain} bytes");
    assert_eq!(freed(&story, &["promo", "director", "dub/de"]), gain, "main holds the rest");
}

/// What documents tell of films stays true, whichever way the films come.
#[test]
fn documents_tell_of_the_film_that_is_there() {
    let story = Story::new();
    let work = story.root();
    if film(&work, "feature.mp4", 1, 440).is_none() {
        return;
    }
    story.write("schemas.yaml", "documents: {'*.meta.json': ott.edition/1}\n");
    story.ok(&["add", "."]);
    story.ok(&["meta", "probe", "feature.mp4"]);
    story.commit("a master");
    let told = |bytes: &[u8]| {
        let document: Json = serde_json::from_slice(&story.read("feature.mp4.meta.json")).unwrap();
        assert_eq!(number(&document["technical"]["bytes"]), bytes.len() as u64);
    };
    story.ok(&["switch", "-c", "cut"]);
    let longer = film(&work, "feature.mp4", 2, 440).unwrap();
    story.ok(&["add", "."]);
    let row =
        json!([{ "path": "feature.mp4.meta.json", "field": "/technical", "film": "feature.mp4" }]);
    assert_eq!(story.ok(&["status"])["stale"], row);
    assert_eq!(story.ok(&["commit", "-m", "longer"])["stale"], row);
    story.ok(&["switch", "main"]);
    story.ok(&["meta", "set", "feature.mp4", "/year=2026"]);
    story.commit("a year");
    story.ok(&["merge", "cut"]);
    told(&longer);
    // Where two films are in dispute, the one that is chosen counts.
    film(&work, "feature.mp4", 3, 440).unwrap();
    story.ok(&["add", "."]);
    story.ok(&["meta", "probe", "feature.mp4"]);
    story.ok(&["commit", "-m", "a third"]);
    story.ok(&["switch", "cut"]);
    let other = film(&work, "feature.mp4", 1, 880).unwrap();
    story.ok(&["commit", "-a", "-m", "another sound"]);
    story.ends(&["merge", "main"], 4);
    story.ends(&["meta", "probe", "feature.mp4"], 3);
    assert_eq!(story.ok(&["resolve", "feature.mp4", "--take", "ours"])["made"], row);
    story.ok(&["commit"]);
    told(&other);
    assert_eq!(story.ok(&["status"])["clean"], json!(true));
}
