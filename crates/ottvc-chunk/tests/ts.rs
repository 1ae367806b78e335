//! Transport streams: a track has the same bytes however it was packed, those of its coding alone.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod media;

use std::path::Path;
use std::process::{Command, Stdio};

use ottvc_chunk::track::nal::{Nal, NalCodec};
use ottvc_chunk::track::{Container, MIN_WINDOW, Role, Units, ts};

use media::Found;

/// All tracks of a file, read in windows of at least so many bytes; none of what is no transport stream.
fn tracks(file: &[u8], window: usize) -> Vec<Found> {
    media::parse(ts::open, file, window).map(|(_, found)| found).unwrap_or_default()
}

/// Pictures and messages of an elementary stream, found the plain way, and how many key pictures.
fn nals(codec: NalCodec, bytes: &[u8]) -> (Vec<u8>, Vec<u8>, usize) {
    let (mut pictures, mut side, mut keys) = (Vec::new(), Vec::new(), 0);
    let starts = (0..bytes.len() - 2).filter(|at| bytes[*at..].starts_with(&[0, 0, 1]));
    let starts: Vec<_> = starts.collect();
    for (nth, start) in starts.iter().enumerate() {
        let end = starts.get(nth + 1).copied().unwrap_or(bytes.len());
        let mut nal = &bytes[start + 3..end];
        while let [rest @ .., 0] = nal {
            nal = rest;
        }
        match Nal::of(codec, nal) {
            Nal::Picture { key } => {
                pictures.extend(nal);
                keys += usize::from(key);
            }
            Nal::Side => side.extend(nal),
            Nal::Glue => {}
        }
    }
    (pictures, side, keys)
}

/// Frames of AAC without their ADTS headers, and how many.
fn without_adts(mut bytes: &[u8]) -> (Vec<u8>, usize) {
    let (mut frames, mut count) = (Vec::new(), 0);
    while let [0xff, marks, _, a, b, c, ..] = bytes {
        let len = usize::from(a & 3) << 11 | usize::from(*b) << 3 | usize::from(c >> 5);
        frames.extend(&bytes[if marks & 1 == 1 { 7 } else { 9 }..len]);
        bytes = &bytes[len..];
        count += 1;
    }
    (frames, count)
}

/// A folder with a film of 3 s in it, some 3 MB; `None` without ffmpeg.
struct Film {
    folder: tempfile::TempDir,
}

impl Film {
    fn new(pictures: &[&str], sound: &[&str]) -> Option<Self> {
        let film = Self { folder: tempfile::tempdir().unwrap() };
        let testsrc = "testsrc2=size=320x180:rate=25:duration=3,noise=alls=60:allf=t";
        let sine = "sine=frequency=440:sample_rate=48000:duration=3";
        let made = film.ffmpeg(
            &[
                &["-f", "lavfi", "-i", testsrc, "-f", "lavfi", "-i", sine][..],
                &["-fflags", "+bitexact", "-flags", "+bitexact", "-g", "25", "-b:v", "8M"],
                pictures,
                sound,
                &["film.mkv"],
            ]
            .concat(),
        );
        made.then_some(film)
    }

    /// Runs ffmpeg in the folder; `false` if it is not there.
    fn ffmpeg(&self, arguments: &[&str]) -> bool {
        let mut command = Command::new("ffmpeg");
        command.args(["-nostdin", "-loglevel", "error", "-y"]).args(arguments);
        match command.current_dir(self.path()).stdin(Stdio::null()).output() {
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "ffmpeg {arguments:?}: {said}");
                true
            }
            Err(error) => {
                let ci = std::env::var("CI").as_deref() == Ok("true");
                assert!(!ci, "ffmpeg must be there: {error}");
                eprintln!("\n*** ffmpeg is not here: transport streams WERE NOT READ ***\n");
                false
            }
        }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path().join(name)).unwrap()
    }

    /// Packs the film anew as `name`, with more arguments.
    fn packed(&self, arguments: &[&str], name: &str) -> Vec<u8> {
        self.ffmpeg(&[&["-i", "film.mkv", "-c", "copy"], arguments, &[name]].concat());
        self.read(name)
    }

    /// The film packed in all ways: the names of the files that make it up together.
    fn packings(&self) -> Vec<(&str, Vec<Vec<u8>>)> {
        let plain = self.packed(&["-f", "mpegts"], "film.ts");
        let stamped = self.packed(&["-f", "mpegts", "-mpegts_m2ts_mode", "1"], "film.m2ts");
        assert_eq!(stamped.len() / 192, stamped.len().div_ceil(192));
        let hls = ["-f", "hls", "-hls_time", "1", "-hls_segment_filename", "part%d.ts"];
        self.packed(&hls, "film.m3u8");
        let segments: Vec<_> = (0..3).map(|nth| self.read(&format!("part{nth}.ts"))).collect();
        let joined = segments.concat();
        vec![
            ("plain", vec![plain]),
            ("stamped", vec![stamped]),
            ("segments", segments),
            ("joined segments", vec![joined]),
        ]
    }

    /// Presentation times of a stream of `name`, of key frames only if asked for.
    fn times(&self, name: &str, stream: &str, keys: bool) -> Vec<i64> {
        let entries = ["-show_entries", "packet=pts,flags", "-of", "csv=p=0", name];
        let mut command = Command::new("ffprobe");
        command.args(["-loglevel", "error", "-select_streams", stream]).args(entries);
        let output = command.current_dir(self.path()).output().unwrap();
        let lines = String::from_utf8(output.stdout).unwrap();
        let lines = lines.lines().filter_map(|line| line.split_once(','));
        let kept = lines.filter(|(_, flags)| !keys || flags.contains('K'));
        kept.map(|(pts, _)| pts.parse().unwrap()).collect()
    }
}

/// Checks that all packings have the same bytes in each stream, those expected; returns the plain one.
fn check(film: &Film, expected: &[(&str, Role, &[u8], usize)]) -> Vec<Found> {
    let mut plain = None;
    for (how, files) in film.packings() {
        let mut whole: Vec<(Vec<u8>, usize)> = vec![(Vec::new(), 0); expected.len()];
        for file in &files {
            let found = tracks(file, MIN_WINDOW);
            assert_eq!(found.len(), expected.len(), "{how}");
            for (at, track) in found.iter().enumerate() {
                let (codec, role, ..) = expected[at];
                assert_eq!((track.stream.codec.as_str(), track.stream.role), (codec, role));
                whole[at].0.extend(&track.bytes);
                whole[at].1 += track.units.len();
            }
            for window in [MIN_WINDOW + 1, MIN_WINDOW + 99_999, usize::MAX >> 1] {
                assert!(tracks(file, window) == found, "{how} in windows of {window}");
            }
            plain.get_or_insert(found);
        }
        for ((bytes, units), (codec, role, expected, count)) in whole.iter().zip(expected) {
            assert!(bytes == expected, "{how}: bytes of {codec} {role:?}");
            assert_eq!(units, count, "{how}: units of {codec} {role:?}");
        }
    }
    plain.unwrap()
}

#[test]
fn h264_and_aac_are_as_an_mp4_has_them() {
    let pictures = [
        "-c:v",
        "libx264",
        "-x264-params",
        "slices=3:nal-hrd=cbr:vbv-maxrate=8000:vbv-bufsize=2000",
    ];
    let Some(film) = Film::new(&pictures, &["-c:a", "aac"]) else { return };
    let annex_b = film.packed(&["-an", "-bsf:v", "h264_mp4toannexb", "-f", "h264"], "film.h264");
    let (pictures, side, keys) = nals(NalCodec::H264, &annex_b);
    let messages = annex_b.windows(4).filter(|bytes| bytes == b"\0\0\x01\x06").count();
    let (sound, frames) = without_adts(&film.packed(&["-vn", "-f", "adts"], "film.aac"));
    assert!(pictures.len() > MIN_WINDOW, "{} bytes", pictures.len());
    assert!(!side.is_empty() && keys >= 3, "{} bytes, {keys} keys", side.len());
    let found = check(
        &film,
        &[
            ("h264", Role::Video, &pictures, keys),
            ("h264", Role::Side, &side, messages),
            ("aac", Role::Audio, &sound, frames),
        ],
    );
    let times = |at: usize| found[at].units.iter().map(|(_, time)| *time).collect::<Vec<_>>();
    assert_eq!(times(0), film.times("film.ts", "v", true));
    assert_eq!(times(2), film.times("film.ts", "a", false));
}

#[test]
fn hevc_and_ac3_are_as_an_mp4_has_them() {
    let pictures =
        ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:keyint=25"];
    let Some(film) = Film::new(&pictures, &["-c:a", "ac3"]) else { return };
    let annex_b = film.packed(&["-an", "-bsf:v", "hevc_mp4toannexb", "-f", "hevc"], "film.hevc");
    let (pictures, side, keys) = nals(NalCodec::Hevc, &annex_b);
    let messages = annex_b.windows(4).filter(|bytes| bytes == b"\0\0\x01\x4e").count();
    let sound = film.packed(&["-vn", "-f", "ac3"], "film.ac3");
    let frames = film.times("film.mkv", "a", false).len();
    check(
        &film,
        &[
            ("hevc", Role::Video, &pictures, keys),
            ("hevc", Role::Side, &side, messages),
            ("ac3", Role::Audio, &sound, frames),
        ],
    );
}

#[test]
fn mpeg_pictures_and_sound_are_kept_as_they_are() {
    for (sound, codec) in [("mp2", "mp2"), ("libmp3lame", "mp3")] {
        let Some(film) = Film::new(&["-c:v", "mpeg2video"], &["-c:a", sound]) else { return };
        let pictures = film.packed(&["-an", "-f", "mpeg2video"], "film.m2v");
        let sequences = pictures.windows(4).filter(|bytes| bytes == b"\0\0\x01\xb3").count();
        let bare = ["-vn", "-write_xing", "0", "-id3v2_version", "0", "-f", codec];
        let sound =
            film.packed(if codec == "mp3" { &bare } else { &["-vn", "-f", "mp2"] }, "film.mpa");
        let frames = film.times("film.mkv", "a", false).len();
        check(
            &film,
            &[("mpeg2", Role::Video, &pictures, sequences), (codec, Role::Audio, &sound, frames)],
        );
    }
}

#[test]
fn each_sound_has_a_stream_of_its_own() {
    let sound = ["-c:a", "eac3"];
    let Some(film) = Film::new(&["-c:v", "libx264", "-preset", "ultrafast"], &sound) else {
        return;
    };
    let eac3 = film.packed(&["-vn", "-f", "eac3"], "film.eac3");
    film.ffmpeg(&["-i", "film.mkv", "-c:a", "dca", "-strict", "-2", "-vn", "film.dts"]);
    let both = ["-i", "film.mkv", "-i", "film.dts", "-map", "0", "-map", "1", "-c", "copy"];
    film.ffmpeg(&[&both[..], &["-metadata:s:a:1", "language=fin", "all.ts"]].concat());
    let found = tracks(&film.read("all.ts"), MIN_WINDOW);
    let of = |codec: &str| found.iter().find(|track| track.stream.codec == codec).unwrap();
    assert!(of("eac3").bytes == eac3);
    assert_eq!((of("eac3").stream.units, of("eac3").stream.language.as_str()), (Units::Marked, ""));
    assert!(of("dts").bytes == film.read("film.dts"));
    assert_eq!((of("dts").stream.units, of("dts").stream.language.as_str()), (Units::Raw, "fin"));
    assert!(of("dts").units.is_empty());
}

#[test]
fn damage_costs_no_more_than_what_it_hits() {
    let Some(film) = Film::new(&["-c:v", "libx264", "-preset", "ultrafast"], &["-c:a", "aac"])
    else {
        return;
    };
    let mut chance = 1_u64;
    let mut below = |most: usize| {
        chance =
            chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(chance >> 33).unwrap() % most
    };
    for m2ts in ["0", "1"] {
        let whole = film.packed(&["-f", "mpegts", "-mpegts_m2ts_mode", m2ts], "film.ts");
        let plain = tracks(&whole, MIN_WINDOW);
        for round in 0..16 {
            let mut file = whole.clone();
            match round % 4 {
                0 => file.truncate(below(whole.len())),
                1 => drop(file.drain(..below(whole.len()))),
                2 => {
                    let at = below(whole.len());
                    drop(file.drain(at..(at + below(10_000)).min(whole.len())));
                }
                _ => {
                    for _ in 0..below(2000) {
                        let at = below(whole.len());
                        file[at] = u8::try_from(below(256)).unwrap();
                    }
                }
            }
            let found = tracks(&file, MIN_WINDOW);
            assert!(found == tracks(&file, MIN_WINDOW + 54_321), "round {round}");
            // Of a file with a piece missing nearly all is found.
            if round % 4 == 2 {
                let bytes = |tracks: &[Found]| tracks.iter().map(|track| track.bytes.len()).sum();
                let (found, plain): (usize, usize) = (bytes(&found), bytes(&plain));
                assert!(found * 10 > plain * 9, "round {round}: {found} of {plain}");
            }
        }
    }
}

#[test]
fn other_files_are_none() {
    for file in [&[][..], b"G", &[0x47; 187], &[0; 5000], &b"GIF89a;".repeat(1000)] {
        assert!(ts::open(&mut &*file).unwrap().is_none());
    }
    let mut file = [0; 188 * 3];
    (file[0], file[188], file[376]) = (0x47, 0x47, 0x47);
    let parser = ts::open(&mut &file[..]).unwrap().unwrap();
    assert_eq!(parser.container(), Container::Ts { packet: 188 });
}
