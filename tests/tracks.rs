//! Media kept track by track: one film, packed in many ways and with other tracks, costs little more than
//! what is new in it, and every file comes back to the byte, whole and in parts.
//!
//! One of the tests is for people, and prints how fast ranges are read:
//!
//!   MEDIA=/a/folder RANGES=1000 cargo test --release --locked -p ottvc-tests --test tracks folder -- --ignored --nocapture
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ottvc_local::{Access, LocalRepo};
use ottvc_object::RepoPath;
use ottvc_object::manifest::CutRule;
use ottvc_refs::SystemClock;
use ottvc_repo::read::ByteRange;
use ottvc_repo::{Parts, Repo};
use ottvc_tests::story::{self, Chance, Story, number};
use serde_json::Value as Json;

/// Runs ffmpeg in `folder` with arguments parted by blanks; `false` if it is not there.
fn ffmpeg(folder: &Path, arguments: &str) -> bool {
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    story::ffmpeg(folder, &arguments)
}

/// A master, what is made of it, and how many percent of each a store that has the master takes at most:
/// the films are short, so what describes them weighs more than it would.
const EDITIONS: [(&str, &str, f64); 8] = [
    ("faststart.mp4", "-i master.mp4 -map 0 -c copy -movflags +faststart", 2.0),
    ("film.mov", "-i master.mp4 -map 0 -c copy", 2.0),
    ("fragments.mp4", "-i master.mp4 -map 0 -c copy -movflags frag_keyframe+empty_moov", 2.0),
    ("film.mkv", "-i master.mp4 -map 0 -c copy", 2.0),
    ("film.ts", "-i master.mp4 -map 0 -c copy", 3.0),
    ("film.m2ts", "-i master.mp4 -map 0 -c copy -f mpegts -mpegts_m2ts_mode 1", 6.0),
    ("dub.mp4", "-i master.mp4 -i other.m4a -map 0:v -map 1:a -c copy", 10.0),
    ("titled.mp4", "-i master.mp4 -map 0 -c copy -metadata title=Another", 2.0),
];

const SOUND: &str = "anoisesrc=color=pink:sample_rate=48000:duration=12:seed";

/// Makes a film of so many seconds, with a group of pictures every two; `seed` is of its sound and noise.
fn film(work: &Path, name: &str, seconds: u32, seed: u32) -> bool {
    let pictures = format!("testsrc2=size=640x360:rate=25:duration={seconds}");
    let pictures = format!("{pictures},noise=alls=30:allf=t+u:all_seed={seed}");
    let sound = format!("anoisesrc=color=pink:sample_rate=48000:duration={seconds}:seed={seed}");
    let coded = "-c:v libx264 -preset ultrafast -g 50 -b:v 4M -c:a aac -b:a 128k";
    ffmpeg(work, &format!("-f lavfi -i {pictures} -f lavfi -i {sound} {coded} {name}"))
}

/// What was kept before its tracks were is kept by them on demand, and then shares with what comes.
#[test]
fn what_is_stored_can_be_kept_anew() {
    let story = Story::new();
    let work = story.root();
    if !film(&work, "master.mp4", 6, 1) {
        return;
    }
    story.write("other.bin", Chance::new(3).bytes(200_000));
    story.ok(&["config", "set", "ingest.tracks", "off"]);
    story.ok(&["add", "."]);
    let before = story.commit("before");
    assert_eq!(number(&story.ok(&["rechunk"])["rechunked"]), 0);
    story.ok(&["config", "set", "ingest.tracks", "on"]);
    for how in [&["rechunk", "--dry-run"][..], &["rechunk"]] {
        let done = story.ok(how);
        assert_eq!((number(&done["files"]), number(&done["rechunked"])), (2, 1), "{done}");
    }
    assert_eq!(number(&story.ok(&["rechunk"])["rechunked"]), 0);
    story.ok(&["gc", "--grace", "0"]);
    ffmpeg(&work, "-i master.mp4 -map 0 -c copy film.mkv");
    let added = story.ok(&["add", "film.mkv"]);
    assert!(number(&added["stored_bytes"]) < number(&added["logical_bytes"]) / 50, "{added}");
    story.ok(&["checkout", "HEAD", "--to", "../out"]);
    for name in ["master.mp4", "other.bin"] {
        let file = |folder: &Path| std::fs::read(folder.join(name)).unwrap();
        assert!(file(&work) == file(&story.beside("out")), "{name}");
    }
    story.ok(&["verify"]);
    assert_eq!(story.head("HEAD"), before);
}

#[test]
fn an_edition_costs_what_is_new_in_it() {
    let story = Story::new();
    let work = story.root();
    if !film(&work, "master.mp4", 12, 1) {
        return;
    }
    ffmpeg(&work, &format!("-f lavfi -i {SOUND}=2 -c:a aac -b:a 128k other.m4a"));
    let master = story.ok(&["add", "master.mp4"]);
    let len = number(&master["logical_bytes"]);
    assert!(number(&master["stored_bytes"]) <= len + len / 50, "{master}");
    for (name, how, most) in EDITIONS {
        ffmpeg(&work, &format!("{how} {name}"));
        let added = story.ok(&["add", name]);
        let (stored, len) = (number(&added["stored_bytes"]), number(&added["logical_bytes"]));
        #[expect(clippy::cast_precision_loss, reason = "percents of short films")]
        let percent = stored as f64 * 100.0 / len as f64;
        eprintln!("{name}: {percent:.2} % of {len} bytes are new");
        assert!(percent <= most, "{name}: {percent:.2} % of {len} bytes are new");
    }
    story.commit("editions");
    story.ok(&["checkout", "HEAD", "--to", "../out"]);
    let mut chance = Chance::new(11);
    for name in EDITIONS.iter().map(|(name, ..)| *name).chain(["master.mp4", "other.m4a"]) {
        let bytes = std::fs::read(work.join(name)).unwrap();
        assert!(std::fs::read(story.beside("out").join(name)).unwrap() == bytes, "{name}");
        for _ in 0..12 {
            let mut below = |limit: usize| usize::try_from(chance.below(limit as u64)).unwrap();
            let start = below(bytes.len() - 1);
            let len = 1 + below((bytes.len() - start).min(2 << 20));
            let path = format!("HEAD:{name}");
            let range = format!("{start}-{}", start + len - 1);
            let part = story.run(&["cat", &path, "--range", &range]).stdout;
            assert!(part == bytes[start..start + len], "{name} from {start}, {len} bytes");
        }
    }
    story.ok(&["verify"]);
}

/// What `audit explain` says of two files at HEAD; checks that its sums are exact.
fn explain(story: &Story, a: &str, b: &str) -> Json {
    let told = story.ok(&["audit", "explain", &format!("HEAD:{a}"), &format!("HEAD:{b}")]);
    let len = number(&told["b"]["bytes"]);
    assert_eq!(number(&told["shared_bytes"]) + number(&told["new_bytes"]), len, "{told}");
    let rows = told["tracks"].as_array().unwrap();
    for (sum, of) in [("bytes", "b"), ("old_bytes", "a")] {
        let total: u64 = rows.iter().map(|row| number(&row[sum])).sum();
        assert_eq!(total, number(&told[of]["bytes"]), "{told}");
    }
    for sum in ["shared_bytes", "new_bytes"] {
        assert_eq!(rows.iter().map(|row| number(&row[sum])).sum::<u64>(), number(&told[sum]));
    }
    told
}

/// The row of the first track of a role.
fn row<'j>(told: &'j Json, role: &str) -> &'j Json {
    told["tracks"].as_array().unwrap().iter().find(|row| row["role"] == role).unwrap()
}

/// What differs is told by track and time, whatever the film is packed in.
#[test]
fn what_is_new_is_told_by_track_and_time() {
    let story = Story::new();
    let work = story.root();
    if !film(&work, "master.mp4", 16, 1) {
        return;
    }
    film(&work, "scene.mp4", 4, 2);
    let made = [
        "-i scene.mp4 -map 0:a -c copy other.m4a",
        "-i master.mp4 -i other.m4a -map 0:v -map 1:a -c copy dub.mp4",
        "-i master.mp4 -map 0:v -map 0:a -c copy remux.mkv",
        "-i master.mp4 -map 0:v -map 0:a -c copy remux.ts",
        "-i master.mp4 -t 6 -c copy first.ts",
        "-i scene.mp4 -c copy scene.ts",
        "-ss 6.01 -i master.mp4 -c copy second.ts",
        "-i concat:first.ts|scene.ts|second.ts -c copy longer.ts",
        "-i concat:first.ts|scene.ts|second.ts -c copy longer.mp4",
    ];
    for how in made {
        ffmpeg(&work, how);
    }
    for name in ["master.mp4", "dub.mp4", "remux.mkv", "remux.ts", "longer.ts", "longer.mp4"] {
        story.ok(&["add", name]);
    }
    story.commit("editions");

    let dub = explain(&story, "master.mp4", "dub.mp4");
    assert_eq!(row(&dub, "video")["status"], "same");
    assert_eq!(row(&dub, "audio")["status"], "replaced");
    for name in ["remux.mkv", "remux.ts"] {
        let remux = explain(&story, "master.mp4", name);
        for row in remux["tracks"].as_array().unwrap() {
            let same = row["status"] == "same";
            assert_eq!(same, row["role"] != "container", "{name}: {row}");
        }
    }
    for (from, to) in [("remux.ts", "longer.ts"), ("master.mp4", "longer.mp4")] {
        let longer = explain(&story, from, to);
        for role in ["video", "audio"] {
            let row = row(&longer, role);
            let [new] = &row["new_times"].as_array().unwrap()[..] else { panic!("{from}: {row}") };
            let (from_ms, to_ms) = (number(&new["from_ms"]), number(&new["to_ms"]));
            // A group of pictures has two seconds, a chunk of sound as much or so.
            assert!((3_000..=6_100).contains(&from_ms), "{from}: {row}");
            assert!((9_900..=13_000).contains(&to_ms), "{from}: {row}");
        }
    }
    let shown = story.run(&["audit", "explain", "HEAD:master.mp4", "HEAD:dub.mp4"]).stdout;
    let shown = String::from_utf8(shown).unwrap();
    assert!(shown.contains("\n  video (h264): same\n"), "{shown}");
}

/// Reads so many random ranges of a file at HEAD and compares them: every other one has a length of
/// 1 MiB, or what there is, the others any up to that. Returns how long reading those of 1 MiB took.
fn read_ranges(repo: &Repo, name: &str, file: &File, ranges: u64) -> Duration {
    let path = RepoPath::new(name).unwrap();
    let len = file.metadata().unwrap().len();
    let mut chance = Chance::new(len);
    let (mut took, mut read, mut expected) = (Duration::ZERO, Vec::new(), Vec::new());
    for number in 0..ranges {
        let most = len.min(1 << 20);
        let size = if number % 2 == 0 { most } else { 1 + chance.below(most) };
        let start = chance.below(len - size + 1);
        let range = ByteRange::From(start, Some(start + size - 1));
        read.clear();
        let began = Instant::now();
        repo.cat("HEAD", &path, Some(range), None, &mut read).unwrap();
        took += if number % 2 == 0 { began.elapsed() } else { Duration::ZERO };
        expected.resize(usize::try_from(size).unwrap(), 0);
        file.read_exact_at(&mut expected, start).unwrap();
        assert!(read == expected, "{name} from {start}, {size} bytes");
    }
    took
}

/// Every file of a folder, kept by its tracks and as it lies, comes back whole and in random ranges.
#[test]
#[ignore = "for people: MEDIA names a folder"]
#[expect(clippy::cast_precision_loss, reason = "milliseconds to look at")]
fn a_folder_comes_back_whole_and_in_ranges() {
    let media = std::env::var("MEDIA").unwrap();
    let ranges = std::env::var("RANGES").map_or(1000, |ranges| ranges.parse().unwrap());
    let rows = ["off", "on"].map(|tracks| {
        let story = Story::new();
        story.ok(&["config", "set", "ingest.tracks", tracks]);
        for entry in std::fs::read_dir(&media).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_file() {
                std::fs::copy(entry.path(), story.root().join(entry.file_name())).unwrap();
            }
        }
        story.ok(&["add", "."]);
        story.commit("media");
        let store = LocalRepo::open(&story.store(), Access::Read).unwrap();
        let repo = Repo::new(Parts {
            objects: store.objects(),
            refs: store.refs(),
            workspace: store.workspace(),
            clock: Arc::new(SystemClock),
            root: story.root(),
            actor: "Ada <ada@example.org>".into(),
            rule: CutRule::default(),
            tracks: None,
            jobs: 1,
        });
        story
            .tree()
            .into_iter()
            .map(|(name, bytes)| {
                let mut whole = Vec::new();
                repo.cat("HEAD", &RepoPath::new(&name).unwrap(), None, None, &mut whole).unwrap();
                assert!(whole == bytes, "{name}");
                let took = read_ranges(
                    &repo,
                    &name,
                    &File::open(story.root().join(&name)).unwrap(),
                    ranges,
                );
                (name, took)
            })
            .collect::<Vec<_>>()
    });
    let [plain, tracks] = rows;
    for ((name, plain), (_, tracks)) in plain.into_iter().zip(tracks) {
        let each = |took: Duration| took.as_secs_f64() * 1000.0 / (ranges.div_ceil(2) as f64);
        let (plain, tracks) = (each(plain), each(tracks));
        let times = plain / tracks;
        println!(
            "{name}: {ranges} ranges equal; of 1 MiB {tracks:.2} ms, plain {plain:.2}: {times:.2} x"
        );
    }
}
