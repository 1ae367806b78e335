//! What documents tell of films: `meta probe`, and who is told of another film.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod common;

use common::{Lab, noise};
use serde_json::json;

const SCHEMA: &str = "documents: {'*.meta.json': ott.edition/1}\n";

/// A film in Matroska: a picture, and a frame of sound for each language.
fn film(languages: &[&str]) -> Vec<u8> {
    fn element(id: &[u8], payload: &[u8]) -> Vec<u8> {
        let len = u32::try_from(payload.len()).unwrap() | 0x1000_0000;
        [id, &len.to_be_bytes(), payload].concat()
    }
    let (mut tracks, mut frames) = (Vec::new(), Vec::new());
    for (index, language) in ["und"].iter().chain(languages).enumerate() {
        let (kind, codec) = if index == 0 { (1, "V_MPEG4/ISO/AVC") } else { (2, "A_OPUS") };
        let number = u8::try_from(index + 1).unwrap();
        let parts = [
            element(&[0xd7], &[number]),
            element(&[0x83], &[kind]),
            element(&[0x86], codec.as_bytes()),
            element(&[0x22, 0xb5, 0x9c], language.as_bytes()),
            element(&[0x63, 0xa2], &[1, 100, 0, 30, 0xff, 0xe1]),
        ];
        tracks.extend(element(&[0xae], &parts.concat()));
        let sample = match index {
            0 => [&[0, 0, 1, 0][..], &noise(1, 256)].concat(),
            _ => noise(u64::from(number), 320),
        };
        frames.extend(element(&[0xa3], &[&[0x80 | number, 0, 0, 0x80][..], &sample].concat()));
    }
    let start = [0x1a, 0x45, 0xdf, 0xa3, 0x80, 0x18, 0x53, 0x80, 0x67, 0xff];
    let tracks = element(&[0x16, 0x54, 0xae, 0x6b], &tracks);
    let cluster = [&[0x1f, 0x43, 0xb6, 0x75, 0xff, 0xe7, 0x84, 0, 0, 0, 0][..], &frames].concat();
    [&start[..], &tracks, &cluster].concat()
}

/// A repository with a film that its document tells of.
fn probed(schema: bool) -> Lab {
    let lab = Lab::repo();
    if schema {
        lab.write("schemas.yaml", SCHEMA);
    }
    lab.write("feature.mkv", film(&["eng"]));
    lab.ok("add .");
    lab.ok("meta probe feature.mkv");
    lab.ok("commit -m 'A master'");
    lab
}

#[test]
fn probing_says_what_it_changes() {
    let lab = probed(true);
    insta::assert_snapshot!(lab.ok("meta probe feature.mkv /technical"), @r#"feature.mkv.meta.json#/technical = {"bytes":736,"container":"matroska","tracks":[{"codec":"h264","kind":"video"},{"codec":"opus","kind":"audio","language":"eng"}]}"#);
    lab.ok("meta set feature.mkv /technical/loudness=-23");
    lab.write("feature.mkv", film(&["eng", "deu"]));
    lab.ok("add .");
    insta::assert_snapshot!(lab.tell(["meta probe feature.mkv", "meta get feature.mkv.meta.json"]), @r#"
    $ ottvc meta probe feature.mkv
    feature.mkv.meta.json#/technical/bytes = 1115
    feature.mkv.meta.json#/technical/container = "matroska"
    feature.mkv.meta.json#/technical/tracks = [{"codec":"h264","kind":"video"},{"codec":"opus","kind":"audio","language":"eng"},{"codec":"opus","kind":"audio","language":"deu"}]
    $ ottvc meta get feature.mkv.meta.json
    {
      "technical": {
        "bytes": 1115,
        "container": "matroska",
        "loudness": -23,
        "tracks": [
          {
            "codec": "h264",
            "kind": "video"
          },
          {
            "codec": "opus",
            "kind": "audio",
            "language": "eng"
          },
          {
            "codec": "opus",
            "kind": "audio",
            "language": "deu"
          }
        ]
      }
    }
    "#);
}

#[test]
fn of_two_films_both_are_named() {
    let lab = probed(true);
    lab.write("trailer.mkv", film(&["fra"]));
    lab.ok("add .");
    let line = "meta probe edition.meta.json";
    insta::assert_snapshot!(lab.refused(3, "document.no_film", line), @"
    error: `edition.meta.json` tells of one film, and there are 2 in its folder: `feature.mkv`, `trailer.mkv`
    hint: name the film, and its own document tells of it: `ottvc meta probe feature.mkv`
    ");
    let (_, problem) = lab.json(line);
    assert_eq!(problem["films"], json!(["feature.mkv", "trailer.mkv"]));
    lab.ok("meta probe trailer.mkv");
}

#[test]
fn a_merge_names_what_it_could_not_make() {
    let lab = probed(false);
    lab.ok("switch -c dub");
    lab.write("feature.mkv", film(&["eng", "deu"]));
    lab.ok("add .");
    insta::assert_snapshot!(lab.ok("commit -m 'A dub'"), @"
    [dub [short id]] A dub
     1 path changed; 1 file, 1 document, 1.2 KiB in all
    feature.mkv changed since it was probed: ottvc meta probe feature.mkv
    ");
    lab.ok("switch main");
    insta::assert_snapshot!(lab.tell(["merge dub --dry-run", "merge dub"]), @"
    $ ottvc merge dub --dry-run
    dub ([short id]) would merge clean, changing 1 path

    modified  feature.mkv  736 B -> 1.1 KiB, 0% shared
        1.1 KiB new at 0 B

    feature.mkv would be another film than feature.mkv.meta.json#/technical tells of
    $ ottvc merge dub
    merged dub ([short id]) as [short id]: 1 path changed

    modified  feature.mkv  736 B -> 1.1 KiB, 0% shared
        1.1 KiB new at 0 B

    feature.mkv changed since it was probed: ottvc meta probe feature.mkv
    ");
}

#[test]
fn a_film_replaced_before_the_commit_is_told() {
    let lab = probed(true);
    lab.write("feature.mkv", film(&["eng", "deu"]));
    lab.ok("add .");
    lab.ok("meta probe feature.mkv");
    lab.write("feature.mkv", film(&["fra"]));
    lab.ok("add .");
    insta::assert_snapshot!(lab.tell(["status", "commit -m 'Another dub'"]), @"
    $ ottvc status
    On branch main at [short id] (Northern Light)

    Staged
      modified  feature.mkv
      modified  feature.mkv.meta.json

    feature.mkv changed since it was probed: ottvc meta probe feature.mkv

    next: ottvc commit -m MESSAGE
    $ ottvc commit -m 'Another dub'
    [main [short id]] Another dub
     2 paths changed; 2 files, 1 document, 939 B in all
    feature.mkv changed since it was probed: ottvc meta probe feature.mkv
    ");
}
