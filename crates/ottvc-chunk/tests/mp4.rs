//! ISO base media as ffmpeg writes it: one master in many packings has the same streams in all of them,
//! units at the same places, however it is shown to the parser; and damage does no harm.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod media;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ottvc_chunk::track::{Extent, MIN_WINDOW, Role, Stream, Units, mp4};

use media::Walk;

/// A folder for the media of one test, empty.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("mp4-{name}"));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Runs ffmpeg in `folder` with arguments parted by blanks; `false` if it is not there.
fn ffmpeg(folder: &Path, arguments: &str) -> bool {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-loglevel", "error", "-y"]).args(arguments.split_whitespace());
    match command.current_dir(folder).stdin(Stdio::null()).output() {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "ffmpeg {arguments}: {said}");
            true
        }
        Err(error) => {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "ffmpeg must be there: {error}");
            eprintln!("\n*** ffmpeg is not here: ISO base media WAS NOT PARSED ***\n");
            false
        }
    }
}

/// Test pictures and a tone of some seconds, as inputs of ffmpeg.
fn inputs(seconds: u32) -> String {
    format!(
        "-f lavfi -i testsrc2=size=320x180:rate=25:duration={seconds},noise=alls=10:allf=t \
         -f lavfi -i sine=duration={seconds},aformat=channel_layouts=stereo -shortest -map_metadata -1"
    )
}

/// A stream's bytes and where in them units begin.
type Bytes = (Vec<u8>, Vec<u64>);

fn parse(file: &[u8], window: usize) -> Option<Walk> {
    media::walk(mp4::open, file, window)
}

/// Parses `file` in windows of several lengths, with the same result.
fn found(file: &[u8]) -> Walk {
    let whole = parse(file, file.len()).unwrap();
    for window in [MIN_WINDOW, MIN_WINDOW + 12_345] {
        assert!(parse(file, window).unwrap() == whole, "windows of {window} bytes");
    }
    whole
}

impl Walk {
    /// The bytes of all streams of a role and coding, one after the other, and their units.
    fn stream(&self, file: &[u8], role: Role, codec: &str) -> Bytes {
        let (mut bytes, mut units) = (Vec::new(), Vec::new());
        for extent in &self.extents {
            let stream = &self.streams[usize::from(extent.stream)];
            if stream.role == role && stream.codec == codec {
                units.extend(extent.unit.map(|_| bytes.len() as u64));
                let at = usize::try_from(extent.offset).unwrap();
                bytes.extend_from_slice(&file[at..at + extent.len as usize]);
            }
        }
        (bytes, units)
    }

    /// How much of `file` is in no stream, of a thousand.
    fn glue(&self, file: &[u8]) -> u64 {
        let bytes: u64 = self.extents.iter().map(|extent| u64::from(extent.len)).sum();
        (file.len() as u64 - bytes) * 1000 / file.len() as u64
    }
}

/// All streams of `file` by role and coding.
fn streams(file: &[u8]) -> BTreeMap<String, Bytes> {
    let found = found(file);
    let stream = |stream: &Stream| {
        let name = format!("{:?} {}", stream.role, stream.codec);
        (name, found.stream(file, stream.role, &stream.codec))
    };
    found.streams.iter().map(stream).filter(|(_, bytes)| !bytes.0.is_empty()).collect()
}

/// Files of `folder` whose names begin so, in order, one after the other.
fn joined(folder: &Path, start: &str) -> Vec<u8> {
    files(folder, start).concat()
}

fn files(folder: &Path, start: &str) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with(start);
    let mut paths: Vec<_> = entries.filter(is).collect();
    paths.sort();
    assert!(!paths.is_empty(), "ffmpeg wrote {start}*");
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// Packs the master anew in every way `packings` names and compares.
fn same_in(folder: &Path, master: &str, packings: &[(&str, &str)]) -> BTreeMap<String, Bytes> {
    let expected = streams(&std::fs::read(folder.join(master)).unwrap());
    for (name, options) in packings {
        ffmpeg(folder, &format!("-i {master} -map 0 -c copy {options} {name}"));
        let packed = std::fs::read(folder.join(name)).unwrap();
        assert!(streams(&packed) == expected, "{master} as {name} has the same streams");
    }
    expected
}

/// Packings of one file each.
const PACKINGS: [(&str, &str); 7] = [
    ("again.mp4", "-movflags +faststart"),
    ("again.mov", "-metadata title=Other"),
    ("frag.mp4", "-movflags +frag_keyframe+empty_moov+default_base_moof"),
    ("offset.mp4", "-movflags +frag_keyframe+empty_moov -frag_duration 700000"),
    ("hybrid.mp4", "-movflags +frag_keyframe"),
    ("cmaf.mp4", "-movflags +cmaf+frag_keyframe+negative_cts_offsets"),
    ("frag.mov", "-movflags +frag_keyframe+empty_moov+separate_moof"),
];

/// Tests one video coding with AAC in all packings, segments too.
fn television(name: &str, video: &str, codec: &str) {
    let folder = folder(name);
    if !ffmpeg(&folder, &format!("{} {video} -c:a aac master.mp4", inputs(6))) {
        return;
    }
    let expected = same_in(&folder, "master.mp4", &PACKINGS);
    let (video, audio) = (format!("Video {codec}"), "Audio aac".to_owned());
    let (pictures, units) = &expected[&video];
    assert!(pictures.len() > 20_000 && units.len() >= 5, "{} key frames", units.len());
    assert!(expected[&audio].1.len() > 250, "every frame of sound is a unit");
    assert!(expected.contains_key(&format!("Side {codec}")), "messages are apart");
    let master = std::fs::read(folder.join("master.mp4")).unwrap();
    assert!(found(&master).glue(&master) < 60);

    // One file for each track.
    for (map, name, key) in [("0:v", "only-v.mp4", &video), ("0:a", "only-a.mp4", &audio)] {
        let options = "-c copy -movflags +cmaf+frag_keyframe";
        ffmpeg(&folder, &format!("-i master.mp4 -map {map} {options} {name}"));
        let one = streams(&std::fs::read(folder.join(name)).unwrap());
        assert_eq!(one.get(key), expected.get(key));
    }
    let hls = "-f hls -hls_time 2 -hls_segment_type fmp4 -hls_segment_filename hls-%03d.m4s";
    ffmpeg(&folder, &format!("-i master.mp4 -c copy {hls} hls.m3u8"));
    let dash = "-f dash -seg_duration 2 -init_seg_name init-$RepresentationID$.mp4 \
                -media_seg_name dash-$RepresentationID$-$Number%03d$.m4s";
    ffmpeg(&folder, &format!("-i master.mp4 -map 0 -c copy {dash} dash.mpd"));
    let init = std::fs::read(folder.join("init.mp4")).unwrap();
    let whole = [init, joined(&folder, "hls-")].concat();
    assert_eq!(streams(&whole).get(&video), expected.get(&video));
    assert_eq!(streams(&whole).get(&audio), expected.get(&audio));
    let whole = [joined(&folder, "init-0"), joined(&folder, "dash-0-")].concat();
    assert_eq!(streams(&whole).get(&video), expected.get(&video));
    let whole = [joined(&folder, "init-1"), joined(&folder, "dash-1-")].concat();
    assert_eq!(streams(&whole).get(&audio), expected.get(&audio));

    // Segments alone, together and each for itself: what they are is found out.
    let plain = "Audio ".to_owned();
    let all = streams(&joined(&folder, "hls-"));
    assert_eq!(all.get(&video), expected.get(&video));
    assert_eq!(all.get(&plain), expected.get(&audio));
    for (start, key, as_known) in
        [("hls-", &video, &video), ("hls-", &plain, &audio), ("dash-1-", &plain, &audio)]
    {
        let (mut bytes, mut units) = (Vec::new(), Vec::new());
        for segment in files(&folder, start) {
            let (stream, starts) = streams(&segment).remove(key).unwrap();
            units.extend(starts.iter().map(|start| start + bytes.len() as u64));
            bytes.extend(stream);
        }
        assert!(expected.get(as_known) == Some(&(bytes, units)), "{start} {key}");
    }
}

#[test]
fn h264_is_the_same_in_every_packing() {
    let video = "-c:v libx264 -preset veryfast -b:v 700k -g 25 -bf 2 -x264-params scenecut=0";
    television("h264", video, "h264");
}

#[test]
fn hevc_is_the_same_in_every_packing() {
    let video =
        "-c:v libx265 -preset ultrafast -tag:v hvc1 -x265-params log-level=none:keyint=25:hash=1";
    television("hevc", video, "hevc");
}

#[test]
fn prores_and_raw_sound_are_the_same_in_every_packing() {
    let folder = folder("prores");
    let coding = "-c:v prores_ks -profile:v 0 -c:a pcm_s24le";
    if !ffmpeg(&folder, &format!("{} {coding} master.mov", inputs(2))) {
        return;
    }
    let packings = [
        ("again.mov", "-movflags +faststart"),
        ("frag.mov", "-movflags +frag_keyframe+empty_moov+default_base_moof"),
        ("offset.mov", "-movflags +empty_moov -frag_duration 500000"),
    ];
    let expected = same_in(&folder, "master.mov", &packings);
    assert_eq!(expected["Video prores"].1.len(), 50, "every frame is a unit");
    assert!(!expected["Video prores"].0.windows(4).any(|window| window == b"icpf"));
    let (sound, units) = &expected["Audio pcm"];
    assert_eq!((sound.len(), units.len()), (2 * 44_100 * 2 * 3, 0));
    let master = std::fs::read(folder.join("master.mov")).unwrap();
    let found = found(&master);
    assert!(found.glue(&master) < 5);
    assert!(found.streams.iter().any(|stream| stream.units == Units::Raw));
    let runs = found.extents.iter().filter(|extent| extent.unit.is_none()).count();
    assert!(runs <= 50, "raw sound comes in runs, not in {runs} samples");
}

#[test]
fn mpeg2_and_ac3_are_the_same_in_every_packing() {
    let folder = folder("mpeg2");
    let coding = "-c:v mpeg2video -b:v 1M -g 12 -c:a ac3";
    if !ffmpeg(&folder, &format!("{} {coding} master.mp4", inputs(4))) {
        return;
    }
    // The box of AC-3 is written from its first frame.
    let packings =
        PACKINGS.map(|(name, options)| (name, options.replace("+frag", "+delay_moov+frag")));
    let packings = packings.each_ref().map(|(name, options)| (*name, options.as_str()));
    let expected = same_in(&folder, "master.mp4", &packings);
    let (pictures, units) = &expected["Video mpeg2"];
    assert!(units.len() > 5 && units.len() < 20, "{} sequence headers", units.len());
    for unit in units {
        let start = usize::try_from(*unit).unwrap();
        assert_eq!(pictures[start..start + 4], [0, 0, 1, 0xb3]);
    }
    assert!(expected["Audio ac3"].1.len() > 100);
}

#[test]
fn other_codings_are_named_and_have_units() {
    let folder = folder("others");
    let codings = [
        ("vp9.mp4", "-c:v libvpx-vp9 -cpu-used 8 -g 10 -b:v 300k -c:a libopus", "vp9", "opus", 5),
        ("av1.mp4", "-c:v libsvtav1 -preset 12 -g 10 -c:a libmp3lame", "av1", "mp3", 5),
        ("j2k.mov", "-c:v libopenjpeg -pix_fmt yuv420p -c:a pcm_s16be", "jpeg2000", "pcm", 50),
        ("dnx.mov", "-c:v dnxhd -profile:v dnxhr_lb -pix_fmt yuv422p -c:a alac", "dnx", "alac", 50),
    ];
    for (name, coding, video, audio, least) in codings {
        if !ffmpeg(&folder, &format!("{} {coding} -strict -2 {name}", inputs(2))) {
            return;
        }
        let streams = streams(&std::fs::read(folder.join(name)).unwrap());
        let units = streams[&format!("Video {video}")].1.len();
        assert!((least..=50).contains(&units), "{name}: {units} units");
        assert!(streams.contains_key(&format!("Audio {audio}")), "{name}: {:?}", streams.keys());
    }
}

#[test]
fn times_and_languages_are_those_of_the_track() {
    let folder = folder("times");
    let coding = "-c:v libx264 -preset veryfast -g 25 -bf 0 -x264-params scenecut=0 -video_track_timescale 25 \
                  -metadata:s:a:0 language=fra -c:a aac master.mp4";
    if !ffmpeg(&folder, &format!("{} {coding}", inputs(3))) {
        return;
    }
    ffmpeg(&folder, "-i master.mp4 -c copy -video_track_timescale 25 -movflags cmaf frag.mp4");
    for name in ["master.mp4", "frag.mp4"] {
        let found = found(&std::fs::read(folder.join(name)).unwrap());
        let times = |role: Role| {
            let is = |extent: &&Extent| found.streams[usize::from(extent.stream)].role == role;
            let unit = |extent: &Extent| extent.unit.map(|unit| unit.time);
            found.extents.iter().filter(is).filter_map(unit).collect::<Vec<_>>()
        };
        assert_eq!(times(Role::Video), [0, 25, 50], "{name}");
        assert_eq!(times(Role::Audio)[..3], [0, 1024, 2048], "{name}");
        let sound = found.streams.iter().find(|stream| stream.role == Role::Audio).unwrap();
        assert_eq!((sound.rate, sound.language.as_str()), ((44_100, 1), "fra"));
    }
}

#[test]
fn damage_does_no_harm() {
    let folder = folder("damage");
    let coding = "-c:v libx264 -preset veryfast -b:v 100k -g 25 -c:a aac";
    if !ffmpeg(&folder, &format!("{} {coding} master.mp4", inputs(3))) {
        return;
    }
    ffmpeg(&folder, "-i master.mp4 -c copy -movflags +faststart fast.mp4");
    ffmpeg(&folder, "-i master.mp4 -c copy -movflags +frag_keyframe+empty_moov frag.mp4");
    let mut state = 7_u64;
    let mut below = |limit: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % limit
    };
    for name in ["master.mp4", "fast.mp4", "frag.mp4"] {
        let file = std::fs::read(folder.join(name)).unwrap();
        let moov = file.windows(4).position(|window| window == b"moov").unwrap();
        let whole = parse(&file, file.len()).unwrap();
        let first = usize::try_from(whole.extents[0].offset).unwrap();
        for _ in 0..60 {
            let short = &file[..below(file.len())];
            let found = parse(short, MIN_WINDOW);
            if name == "fast.mp4" && short.len() > first {
                // What is there is found as if all were.
                let ends =
                    |extent: &&Extent| extent.offset + u64::from(extent.len) <= short.len() as u64;
                let before = whole.extents.iter().filter(ends).count();
                assert_eq!(found.unwrap().extents[..before], whole.extents[..before]);
            }
            let mut changed = file.clone();
            for _ in 0..1 + below(8) {
                let near = if below(2) == 0 { moov } else { 0 };
                let at = (near + below(4096)).min(file.len() - 1);
                changed[at] = [0, 1, 0x7f, 0xff][below(4)];
            }
            parse(&changed, MIN_WINDOW);
        }
    }
}

#[test]
fn what_is_no_such_file_is_not_opened() {
    for bytes in [&b""[..], b"\0\0\0", b"GIF89a..............", &[0; 100], &[0x47; 1000]] {
        assert!(parse(bytes, MIN_WINDOW).is_none());
    }
    let image = b"\0\0\0\x0cftypheic\0\0\0\x08meta\0\0\0\x08mdat";
    assert!(parse(image, MIN_WINDOW).is_none());
}
