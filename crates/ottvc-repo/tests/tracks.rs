//! What files that are kept by their tracks have in common: by track, by time and by byte.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod common;

use std::collections::HashSet;
use std::io::Cursor;

use common::film::{Film, Packed};
use common::{Lab, SMALL, noise};
use ottvc_object::{ContentId, RepoPath};
use ottvc_repo::audit::{ExplainReport, FileShare};
use ottvc_repo::changes::MediaChange;
use ottvc_repo::content::{self, Shared, TimeSpan, TrackShare};
use proptest::prelude::*;

/// What `b` shares with `a`, both stored.
fn share(lab: &Lab, a: &Packed, b: &Packed) -> Shared {
    lab.write("a", &a.bytes).write("b", &b.bytes);
    lab.commit("two files");
    let (from, to) = (ContentId::of(&a.bytes), ContentId::of(&b.bytes));
    let shared = content::shared_ranges(&*lab.store, from, to).unwrap();
    check(&shared, a, b);
    // The same answer before it is stored.
    let unstored = content::shared_with(&*lab.store, from, Cursor::new(&b.bytes), SMALL).unwrap();
    assert_eq!(unstored, shared);
    shared
}

/// Checks that all sums are exact, and that ranges hold what is new and nothing else does.
fn check(shared: &Shared, a: &Packed, b: &Packed) {
    let len = b.bytes.len() as u64;
    let new = |range: &content::NewRange| range.new_bytes.unwrap_or(range.length);
    assert_eq!(shared.bytes + shared.new_ranges.iter().map(new).sum::<u64>(), len);
    assert!(shared.new_ranges.iter().all(|range| new(range) <= range.length && new(range) > 0));
    let end = |range: &content::NewRange| range.offset + range.length;
    assert!(shared.new_ranges.is_sorted_by(|a, b| end(a) < b.offset));
    assert!(shared.new_ranges.last().is_none_or(|range| end(range) <= len));
    let rows = shared.tracks.as_deref().unwrap();
    let sum = |of: fn(&TrackShare) -> u64| rows.iter().map(of).sum::<u64>();
    assert_eq!(sum(|row| row.bytes), len);
    assert_eq!(sum(|row| row.old_bytes), a.bytes.len() as u64);
    assert_eq!(sum(|row| row.shared_bytes), shared.bytes);
    assert_eq!(sum(|row| row.new_bytes), len - shared.bytes);
    let known: HashSet<&[u8]> = a.frames().map(|(_, frame)| frame).collect();
    for ((start, end), frame) in b.frames() {
        let (start, end) = (start as u64, end as u64);
        let mut ranges = shared.new_ranges.iter();
        let inside =
            |range: &content::NewRange| range.offset <= start && end <= range.offset + range.length;
        if !known.contains(frame) {
            assert!(ranges.any(inside), "the frame at {start} is new and in no range");
        }
    }
}

fn rows(shared: &Shared) -> Vec<(&str, &str, &str)> {
    let rows = shared.tracks.as_deref().unwrap().iter();
    rows.map(|row| (row.role, row.language.as_str(), row.status)).collect()
}

fn within(times: Option<&[TimeSpan]>, from: u64, to: u64, slack: u64) {
    let [TimeSpan { from_ms, to_ms: Some(to_ms) }] = times.unwrap() else { panic!("{times:?}") };
    assert!(*from_ms <= from && from - from_ms <= slack, "{times:?}");
    assert!(*to_ms >= to && to_ms - to <= slack, "{times:?}");
}

#[test]
fn a_dub_is_new_in_its_sound_alone() {
    let lab = Lab::of_tracks();
    let master = Film::new(0..20);
    let dub = Film { sounds: vec![("ger", (0..20).collect())], ..master.clone() };
    let shared = share(&lab, &master.mp4(), &dub.mp4());
    assert_eq!(
        rows(&shared),
        [
            ("video", "", "same"),
            ("messages", "", "same"),
            ("audio", "ger", "replaced"),
            ("container", "", "changed")
        ]
    );
    let sound = &shared.tracks.as_ref().unwrap()[2];
    assert_eq!((sound.new_bytes, sound.old_bytes), (sound.bytes, 20 * 50 * 320));
    assert_eq!(sound.new_times, Some(vec![TimeSpan { from_ms: 0, to_ms: None }]));
    // Beside the first one, it is added; and gone again.
    let both = Film { sounds: [&master.sounds[..], &dub.sounds].concat(), ..master.clone() };
    let shared = share(&lab, &master.mp4(), &both.matroska());
    assert_eq!(rows(&shared)[2..4], [("audio", "eng", "same"), ("audio", "ger", "added")]);
    assert_eq!(shared.tracks.as_ref().unwrap()[3].number, 2);
    let shared = share(&lab, &both.mp4(), &master.mp4());
    assert_eq!(rows(&shared)[3], ("audio", "ger", "removed"));
}

#[test]
fn a_scene_is_found_by_its_time() {
    let lab = Lab::of_tracks();
    let (master, longer) = (Film::new(0..30), Film::new((0..12).chain(90..95).chain(12..30)));
    let shared = share(&lab, &master.mp4(), &longer.mp4());
    let [video, _, audio, _] = shared.tracks.as_deref().unwrap() else { panic!("{shared:?}") };
    assert_eq!((video.status, audio.status), ("changed", "changed"));
    // Pictures are cut where a group begins; of sound, a chunk has some seconds.
    within(video.new_times.as_deref(), 12_000, 17_000, 0);
    within(audio.new_times.as_deref(), 12_000, 17_000, 4000);
    assert_eq!(video.gone_times, Some(vec![]));
    assert_eq!(video.new_bytes, 5 * 25 * (4000 + 2 + 12 * 8));
    // Taken out again, it is what is gone.
    let shared = share(&lab, &longer.mp4(), &master.mp4());
    let [video, _, audio, _] = shared.tracks.as_deref().unwrap() else { panic!("{shared:?}") };
    within(video.gone_times.as_deref(), 12_000, 17_000, 0);
    within(audio.gone_times.as_deref(), 12_000, 17_000, 4000);
    assert_eq!((video.new_bytes, video.new_times.as_deref()), (0, Some(&[][..])));
}

#[test]
fn a_trim_has_nothing_new_but_at_its_ends() {
    let lab = Lab::of_tracks();
    let (master, part) = (Film::new(0..30), Film::new(5..20));
    let shared = share(&lab, &master.matroska(), &part.matroska());
    let [video, _, audio, _] = shared.tracks.as_deref().unwrap() else { panic!("{shared:?}") };
    assert_eq!((video.status, video.new_bytes), ("changed", 0));
    let span = |from_ms, to_ms| TimeSpan { from_ms, to_ms };
    assert_eq!(video.gone_times, Some(vec![span(0, Some(5000)), span(20_000, None)]));
    assert!(audio.new_bytes < audio.bytes / 3, "{audio:?}");
}

#[test]
fn packed_anew_only_the_container_is_new() {
    let lab = Lab::of_tracks();
    let master = Film::new(0..20);
    for (from, to) in [(master.mp4(), master.matroska()), (master.matroska(), master.mp4())] {
        let shared = share(&lab, &from, &to);
        let (container, tracks) = shared.tracks.as_deref().unwrap().split_last().unwrap();
        assert!(tracks.iter().all(|track| track.status == "same"), "{tracks:?}");
        assert_eq!((container.role, container.status), ("container", "replaced"));
        assert_eq!(container.new_bytes, to.bytes.len() as u64 - shared.bytes);
        assert!(container.new_bytes < shared.bytes / 50);
    }
    let titled = Film { title: "another", ..master.clone() };
    let shared = share(&lab, &master.mp4(), &titled.mp4());
    assert_eq!(shared.tracks.as_ref().unwrap().last().unwrap().status, "changed");
    // It stands behind the frames; before them is what lies in one chunk with it.
    let frames = titled.mp4().frames;
    let (first, last) = (frames[0].0 as u64, frames.last().unwrap().1 as u64);
    let mut ranges = shared.new_ranges.iter();
    assert!(ranges.all(|it| it.offset + it.length <= first || it.offset >= last), "{shared:?}");
    let same = share(&lab, &master.mp4(), &master.mp4());
    assert_eq!((same.bytes, same.new_ranges.len()), (master.mp4().bytes.len() as u64, 0));
    assert!(same.tracks.unwrap().iter().all(|track| track.status == "same"));
}

/// A film in some of three languages, of seconds of which there are few.
fn films() -> impl Strategy<Value = (Film, bool)> {
    let seconds = || prop::collection::vec(0..12_u64, 4..12);
    let languages = prop::sample::subsequence(vec!["eng", "ger", "fre"], 1..=3);
    let title = prop::sample::select(vec!["one", "two"]);
    (seconds(), seconds(), languages, title, any::<bool>()).prop_map(
        |(pictures, sound, languages, title, mp4)| {
            let sounds = languages.into_iter().map(|language| (language, sound.clone()));
            (Film { pictures, sounds: sounds.collect(), title }, mp4)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Whatever two films are of, every byte of the second is shared or new, and counted once.
    #[test]
    fn sums_are_exact(a in films(), b in films()) {
        let pack = |(film, mp4): (Film, bool)| if mp4 { film.mp4() } else { film.matroska() };
        let lab = Lab::of_tracks();
        let (a, b) = (pack(a), pack(b));
        share(&lab, &a, &b);
        let report = lab.repo.explain("HEAD:a", "HEAD:b").unwrap();
        let ExplainReport::Files(files) = report else { panic!("two files") };
        prop_assert_eq!(files.shared_bytes + files.new_bytes, b.bytes.len() as u64);
    }
}

fn explain(lab: &Lab, a: &str, b: &str) -> FileShare {
    match lab.repo.explain(a, b).unwrap() {
        ExplainReport::Files(share) => share,
        ExplainReport::Editions(_) => panic!("{a} and {b} are files"),
    }
}

/// What changed in the one file that did.
fn change(lab: &Lab, a: Option<&str>, b: Option<&str>) -> MediaChange {
    let changes = lab.repo.diff(a, b, &[]).unwrap().changes;
    let [change] = &changes[..] else { panic!("{changes:?}") };
    change.media.clone().unwrap()
}

#[test]
fn every_command_says_the_same() {
    let lab = Lab::of_tracks();
    let (master, longer) = (Film::new(0..20), Film::new((0..8).chain(50..53).chain(8..20)));
    lab.write("film.mp4", master.mp4().bytes).commit("master");
    lab.write("film.mp4", longer.mp4().bytes);
    let unstored = change(&lab, None, None);
    lab.commit("longer");
    let stored = change(&lab, Some("HEAD~1"), Some("HEAD"));
    assert_eq!(stored.container, Some("mp4"));
    assert_eq!(
        serde_json::to_value(MediaChange { container: Some("mp4"), ..unstored }).unwrap(),
        serde_json::to_value(&stored).unwrap()
    );
    let files = explain(&lab, "HEAD~1:film.mp4", "HEAD:film.mp4");
    assert_eq!((files.shared_bytes, &files.tracks), (stored.shared_bytes, &stored.tracks));
    assert_eq!((&files.new, files.shared.len()), (&stored.ranges, 0));
    let ExplainReport::Editions(editions) = lab.repo.explain("HEAD~1", "HEAD").unwrap() else {
        panic!("two editions")
    };
    assert_eq!(editions.shared_bytes, files.shared_bytes);
    assert_eq!(editions.paths[0].with[0].bytes, files.shared_bytes);
    let json = serde_json::to_value(&files).unwrap();
    assert_eq!(json["b"]["tracks"]["container"], "mp4");
    assert_eq!(json["b"]["tracks"]["streams"][2]["codec"], "opus");
    let times = serde_json::json!([{ "from_ms": 8000, "to_ms": 11_000 }]);
    assert_eq!(json["tracks"][0]["new_times"], times);
}

/// Too much of a file of frames this short is in no track.
fn refused() -> Vec<u8> {
    let lone = Film { pictures: vec![1], sounds: vec![], title: "short" };
    let mut bytes = lone.matroska().bytes;
    let noise = noise(3, 40 * 2000);
    for frame in noise.chunks(40) {
        bytes.extend([0xa3, 0x10, 0, 0, 44, 0x81, 0, 0, 0x80, 0, 0, 0, 36, 0x41, 0x9a]);
        bytes.extend(&frame[..34]);
    }
    bytes
}

#[test]
fn why_a_file_is_not_kept_by_its_tracks_is_told() {
    let lab = Lab::of_tracks();
    lab.write("film.mp4", Film::new(0..3).mp4().bytes).write("short.mkv", refused());
    lab.write("plain.bin", noise(9, 100_000)).commit("three");
    let listed = |path: &str| {
        let mut rows = Vec::new();
        let path = RepoPath::new(path).unwrap();
        lab.repo
            .list("HEAD", &path, false, &mut |row| {
                rows.push(serde_json::to_value(row).unwrap());
                Ok(())
            })
            .unwrap();
        rows
    };
    assert_eq!(listed("short.mkv")[0]["untracked"], "glue");
    assert_eq!(listed("film.mp4")[0]["tracks"]["streams"][0]["role"], "video");
    let plain = &listed("plain.bin")[0];
    assert!(plain.get("tracks").is_none() && plain.get("untracked").is_none());
    // Folders may hold very many.
    let root = RepoPath::root();
    lab.repo
        .list("HEAD", &root, false, &mut |row| {
            assert!(row.kept.tracks.is_none() && row.kept.untracked.is_none());
            Ok(())
        })
        .unwrap();
    let head = lab.repo.resolve("HEAD").unwrap().id;
    let changes = lab.repo.changes_of(head).unwrap().changes;
    let told: Vec<_> = changes
        .iter()
        .map(|change| change.media.as_ref().unwrap())
        .map(|media| (media.container, media.untracked.as_deref()))
        .collect();
    assert_eq!(told, [(Some("mp4"), None), (None, None), (None, Some("glue"))]);
    let files = explain(&lab, "HEAD:short.mkv", "HEAD:film.mp4");
    assert_eq!(files.a.kept.untracked.as_deref(), Some("glue"));
    assert_eq!((files.tracks, files.shared_bytes), (None, 0));
    assert_eq!(files.new_bytes, files.b.bytes);
    let [whole] = &files.new[..] else { panic!("{:?}", files.new) };
    assert_eq!((whole.length, whole.new_bytes), (files.b.bytes, None));
}

#[test]
fn only_what_says_where_tracks_lie_is_read() {
    let lab = Lab::of_tracks();
    let (master, part) = (Film::new(0..30), Film::new(5..20));
    lab.write("a", master.mp4().bytes).write("b", part.mp4().bytes).commit("two");
    let before = lab.store.counts().chunks_read;
    explain(&lab, "HEAD:a", "HEAD:b");
    // Two indices and a map, each of one chunk.
    assert_eq!(lab.store.counts().chunks_read - before, 3);
}
