//! Matroska: a track is the same stream whoever packed it, and however.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod media;

use std::io;

use media::{Found, Studio, annex_b, assert_annex_b, damaged, of, parse, streams};
use ottvc_chunk::track::matroska::open;
use ottvc_chunk::track::nal::NalCodec;
use ottvc_chunk::track::{Container, MIN_WINDOW, Role, Units, mp4};

/// Six seconds of noisy pictures and a tone.
const INPUT: &str = "-f lavfi -i testsrc2=size=640x360:rate=25:duration=6,noise=alls=20:allf=t \
                     -f lavfi -i sine=frequency=440:duration=6";

/// The streams with anything in them, each once with its coding, but when units are shown.
fn contents(streams: &[Found]) -> Vec<(Role, &str, &[u8], Vec<usize>)> {
    let content = |found: &Found| found.units.iter().map(|(at, _)| *at).collect();
    let filled = streams.iter().filter(|found| !found.bytes.is_empty());
    let mut contents: Vec<_> = filled
        .map(|it| (it.stream.role, it.stream.codec.as_str(), it.bytes.as_slice(), content(it)))
        .collect();
    contents.sort_by_key(|(role, codec, ..)| (format!("{role:?}"), *codec));
    contents
}

/// Packs `name` anew in all ways there are; the streams found must not change.
fn assert_same_however_packed(studio: &Studio, name: &str, found: &[Found]) {
    let copies = [
        format!("-i {name} -map 0 -c copy -cluster_time_limit 300 short.mkv"),
        format!(
            "-i {name} -map 0 -c copy -cluster_size_limit 20000 -reserve_index_space 9999 small.mkv"
        ),
        format!("-i {name} -map 0 -c copy -f matroska -live 1 live.mkv"),
    ];
    for copy in copies {
        let copy = studio.make(&copy).unwrap();
        assert!(contents(&streams(open, &copy)) == contents(found));
    }
    let merged = [
        ("merged.mkv", name.to_owned()),
        ("shorter.mkv", format!("--cluster-length 3 {name}")),
        ("unlaced.mkv", format!("--disable-lacing {name}")),
        ("grouped.mkv", format!("--engage no_simpleblocks {name}")),
    ];
    for (to, arguments) in merged {
        let Some(merged) = studio.merge(to, &arguments) else { continue };
        assert!(contents(&streams(open, &merged)) == contents(found), "{to}");
    }
}

#[test]
fn h264_and_aac_are_the_same_however_packed() {
    let Some(studio) = Studio::open() else { return };
    let made = format!("{INPUT} -c:v libx264 -b:v 4M -g 25 -c:a aac -b:a 128k master.mkv");
    let Some(file) = studio.make(&made) else { return };
    let found = streams(open, &file);
    assert_eq!(parse(open, &file, MIN_WINDOW).unwrap().0, Container::Matroska);
    assert!(file.len() > 2 * MIN_WINDOW, "windows are shorter than the file");

    let dump = studio.make("-i master.mkv -map 0:v -c copy -f h264 master.264").unwrap();
    assert_annex_b(&found, "h264", NalCodec::H264, &dump);
    assert!(of(&found, "h264").units.len() >= 6);
    assert_eq!(of(&found, "h264").stream.rate, (1000, 1));

    let adts = studio.make("-i master.mkv -map 0:a -c copy -f adts master.aac").unwrap();
    let (mut frames, mut at) = (Vec::new(), 0);
    while at < adts.len() {
        let len = usize::from(adts[at + 3] & 3) << 11
            | usize::from(adts[at + 4]) << 3
            | usize::from(adts[at + 5] >> 5);
        frames.push(adts[at + 7..at + len].to_vec());
        at += len;
    }
    let aac = of(&found, "aac");
    assert!(aac.bytes == frames.concat());
    assert_eq!((aac.units.len(), aac.stream.role), (frames.len(), Role::Audio));
    assert!(aac.units.windows(2).all(|pair| pair[0].1 < pair[1].1));

    assert_same_however_packed(&studio, "master.mkv", &found);
    let mp4 = studio.make("-i master.mkv -c copy master.mp4").unwrap();
    assert!(contents(&streams(mp4::open, &mp4)) == contents(&found));
}

#[test]
fn hevc_is_the_same_however_packed() {
    let Some(studio) = Studio::open() else { return };
    let made = format!(
        "{INPUT} -c:v libx265 -preset ultrafast -b:v 3M -x265-params log-level=none:info=0:keyint=25 \
         -c:a flac master.mkv"
    );
    let Some(file) = studio.make(&made) else { return };
    let found = streams(open, &file);
    // Without messages: the dump has those of the decoder's configuration once more.
    let dump = studio.make("-i master.mkv -map 0:v -c copy -f hevc master.265").unwrap();
    let [pictures, _] = annex_b(NalCodec::Hevc, &dump);
    assert!(pictures.1.len() >= 6);
    assert_annex_b(&found, "hevc", NalCodec::Hevc, &dump);
    assert_same_however_packed(&studio, "master.mkv", &found);
}

#[test]
fn other_pictures_are_whole_frames() {
    let Some(studio) = Studio::open() else { return };
    let makes = [
        ("mpeg2", "-c:v mpeg2video -b:v 4M -g 12 -c:a ac3 -b:a 192k"),
        ("vp9", "-t 2 -c:v libvpx-vp9 -cpu-used 8 -deadline realtime -b:v 3M -g 20 -c:a libopus"),
        ("V_VP8", "-t 2 -c:v libvpx -cpu-used 8 -deadline realtime -b:v 3M -g 20 -c:a libvorbis"),
        ("V_MJPEG", "-t 2 -c:v mjpeg -c:a libmp3lame"),
    ];
    for (codec, options) in makes {
        let Some(file) = studio.make(&format!("{INPUT} {options} {codec}.mkv")) else { continue };
        let found = streams(open, &file);
        let dump = format!("-i {codec}.mkv -map 0:v -c copy -f data {codec}.data");
        let pictures = of(&found, codec);
        assert!(pictures.bytes == studio.make(&dump).unwrap(), "{codec}");
        // Not each frame, unless each is a key frame.
        let frames = if codec == "V_MJPEG" { 50..=50 } else { 2..=15 };
        assert!(frames.contains(&pictures.units.len()), "{codec}: {}", pictures.units.len());
        assert_eq!(pictures.units[0].0, 0);
        let dump = format!("-i {codec}.mkv -map 0:a -c copy -f data {codec}.data");
        let sound = found.iter().find(|found| found.stream.role == Role::Audio).unwrap();
        assert!(sound.bytes == studio.make(&dump).unwrap(), "sound of {codec}");
        assert!(sound.units.len() > 50);
        assert_same_however_packed(&studio, &format!("{codec}.mkv"), &found);
    }
}

#[test]
fn prores_lacks_its_header_and_pcm_can_be_cut_anywhere() {
    let Some(studio) = Studio::open() else { return };
    let made = format!("{INPUT} -t 1 -c:v prores_ks -profile:v 2 -c:a pcm_s24le master.mov");
    let Some(_) = studio.make(&made) else { return };
    let file = studio.make("-i master.mov -c copy master.mkv").unwrap();
    let found = streams(open, &file);
    let mut dump = studio.make("-i master.mov -map 0:v -c copy -f data master.data").unwrap();
    let (mut frames, mut rest) = (Vec::new(), &mut dump[..]);
    while let Some((size, _)) = rest.split_first_chunk::<4>() {
        let size = usize::try_from(u32::from_be_bytes(*size)).unwrap();
        let (frame, after) = rest.split_at_mut(size);
        frames.push(frame[8..].to_vec());
        rest = after;
    }
    assert_eq!(frames.len(), 25);
    assert!(of(&found, "prores").bytes == frames.concat());
    assert_eq!(of(&found, "prores").units.len(), 25);
    let pcm = studio.make("-i master.mov -map 0:a -c copy -f s24le master.pcm").unwrap();
    assert!(of(&found, "pcm").bytes == pcm);
    assert_eq!(of(&found, "pcm").stream.units, Units::Raw);
    let mov = std::fs::read(studio.path("master.mov")).unwrap();
    assert!(contents(&streams(mp4::open, &mov)) == contents(&found));
    assert_same_however_packed(&studio, "master.mkv", &found);
}

#[test]
fn subtitles_are_a_unit_a_block() {
    let Some(studio) = Studio::open() else { return };
    let lines =
        "1\n00:00:01,000 --> 00:00:02,000\nFirst\n\n2\n00:00:03,000 --> 00:00:04,000\nSecond\n";
    let mut text = std::fs::File::create(studio.path("lines.srt")).unwrap();
    io::Write::write_all(&mut text, lines.as_bytes()).unwrap();
    let made = format!(
        "{INPUT} -i lines.srt -map 0 -map 1 -map 2 -t 5 -c:v mpeg2video -c:a pcm_s16le -c:s srt \
         -metadata:s:s:0 language=ger master.mkv"
    );
    let file = studio.make(&made).unwrap();
    let found = streams(open, &file);
    let text = of(&found, "S_TEXT/UTF8");
    assert_eq!((text.stream.role, text.stream.language.as_str()), (Role::Text, "ger"));
    assert_eq!(text.bytes, b"FirstSecond");
    assert_eq!(text.units, [(0, 1000), (5, 3000)]);
    // Compressed, they are kept as they lie.
    let merged = studio.merge("zlib.mkv", "--compression 2:zlib master.mkv");
    if let Some(merged) = merged {
        let found = streams(open, &merged);
        assert_eq!(of(&found, "S_TEXT/UTF8").stream.units, Units::Raw);
        assert!(!of(&found, "S_TEXT/UTF8").bytes.is_empty());
    }
}

#[test]
fn a_damaged_file_costs_neither_time_nor_a_panic() {
    let Some(studio) = Studio::open() else { return };
    let made = format!("{INPUT} -t 3 -c:v libx264 -b:v 4M -g 25 -c:a aac master.mkv");
    let Some(file) = studio.make(&made) else { return };
    for damaged in damaged(&file, 200) {
        parse(open, &damaged, MIN_WINDOW);
    }
    // A file that is still being written keeps what there is.
    let part = streams(open, &file[..file.len() * 2 / 3]);
    let whole = streams(open, &file);
    let [part, whole] = [&part, &whole].map(|found| &of(found, "h264").bytes);
    assert!(whole.starts_with(part) && part.len() > whole.len() / 2);
}
