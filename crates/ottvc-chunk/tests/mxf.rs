//! MXF: a track is the same stream as its elementary dump, however it is wrapped.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod media;

use media::{Found, Studio, assert_annex_b, damaged, of, parse, streams};
use ottvc_chunk::track::mxf::open;
use ottvc_chunk::track::nal::NalCodec;
use ottvc_chunk::track::{Container, MIN_WINDOW, Role, Units, matroska};

/// Two seconds of noisy pictures and a tone.
const INPUT: &str = "-f lavfi -i testsrc2=size=1280x720:rate=25:duration=2,noise=alls=20:allf=t \
                     -f lavfi -i sine=frequency=440:duration=2:sample_rate=48000";

/// Makes a file, and the dump of its pictures that lies beside it.
fn make(studio: &Studio, options: &str, name: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    let file = studio.make(&format!("{INPUT} {options} {name}"))?;
    let dump = format!("-i {name} -map 0:v -c copy -f data {name}.data");
    Some((file, studio.make(&dump).unwrap()))
}

/// Checks that a frame a unit was found, one after the other in time.
fn assert_every_frame(found: &Found, frames: i64) {
    let times: Vec<i64> = found.units.iter().map(|(_, time)| *time).collect();
    assert_eq!(times, (0..frames).collect::<Vec<_>>());
    assert_eq!((found.units[0].0, found.stream.rate), (0, (25, 1)));
    assert_eq!((found.stream.role, found.stream.units), (Role::Video, Units::Marked));
}

#[test]
fn mpeg2_and_pcm_are_those_of_their_dumps() {
    let Some(studio) = Studio::open() else { return };
    let options = "-c:v mpeg2video -pix_fmt yuv422p -b:v 50M -maxrate 50M -bufsize 8M -g 12 -bf 2 \
                   -c:a pcm_s24le";
    let (file, dump) = make(&studio, options, "master.mxf").unwrap();
    assert_eq!(parse(open, &file, MIN_WINDOW).unwrap().0, Container::Mxf);
    let found = streams(open, &file);
    let pictures = of(&found, "mpeg2");
    assert!(pictures.bytes == dump);
    let sequences = (0..dump.len()).filter(|at| dump[*at..].starts_with(&[0, 0, 1, 0xb3]));
    let units: Vec<usize> = pictures.units.iter().map(|(at, _)| *at).collect();
    assert_eq!(units, sequences.collect::<Vec<_>>());
    assert!(units.len() >= 4 && pictures.units[1].1 > 1 && pictures.units[1].1 <= 12);
    let pcm = studio.make("-i master.mxf -map 0:a -c copy -f s24le master.pcm").unwrap();
    assert!(of(&found, "pcm").bytes == pcm);
    assert_eq!(of(&found, "pcm").stream.units, Units::Raw);

    let mkv = studio.make("-i master.mxf -c copy master.mkv").unwrap();
    let mkv = streams(matroska::open, &mkv);
    for codec in ["mpeg2", "pcm"] {
        assert!(of(&mkv, codec).bytes == of(&found, codec).bytes, "{codec}");
    }
    let at = |found: &[Found]| of(found, "mpeg2").units.iter().map(|it| it.0).collect::<Vec<_>>();
    assert_eq!(at(&mkv), at(&found));
    // Another start, another title: the rest is the same.
    let late = "-ss 1 -i master.mxf -c copy -metadata title=late late.mxf";
    let late = streams(open, &studio.make(late).unwrap());
    assert!(dump.ends_with(&of(&late, "mpeg2").bytes));
}

#[test]
fn h264_is_that_of_its_dump() {
    let Some(studio) = Studio::open() else { return };
    let options = "-c:v libx264 -preset ultrafast -b:v 20M -g 12 -bf 2 -c:a pcm_s16le";
    let Some((file, dump)) = make(&studio, options, "master.mxf") else { return };
    let found = streams(open, &file);
    assert_annex_b(&found, "h264", NalCodec::H264, &dump);
    assert!(of(&found, "h264").units.len() >= 4);
    let mkv = studio.make("-i master.mxf -c copy master.mkv").unwrap();
    let mkv = streams(matroska::open, &mkv);
    for codec in ["h264", "pcm"] {
        assert!(of(&mkv, codec).bytes == of(&found, codec).bytes, "{codec}");
    }
}

#[test]
fn frames_are_the_same_one_by_one_or_in_a_clip() {
    let Some(studio) = Studio::open() else { return };
    let options = "-map 0:v -s 1280x720 -c:v dnxhd -b:v 90M -pix_fmt yuv422p";
    let (file, dump) = make(&studio, options, "master.mxf").unwrap();
    let frames = streams(open, &file);
    assert!(of(&frames, "dnx").bytes == dump);
    assert_every_frame(of(&frames, "dnx"), 50);
    let clip = studio.make("-i master.mxf -c copy -f mxf_opatom clip.mxf").unwrap();
    assert!(of(&streams(open, &clip), "dnx") == of(&frames, "dnx"));

    let pcm = studio.make("-f lavfi -i sine=d=1:r=48000 -c:a pcm_s16le -f mxf_opatom pcm.mxf");
    let found = streams(open, &pcm.unwrap());
    let pcm = studio.make("-i pcm.mxf -c copy -f s16le pcm.pcm").unwrap();
    assert!(of(&found, "pcm").bytes == pcm);
}

#[test]
fn every_frame_of_jpeg2000_and_d10_is_a_unit() {
    let Some(studio) = Studio::open() else { return };
    if let Some((file, dump)) = make(&studio, "-t 0.4 -map 0:v -c:v jpeg2000", "j2k.mxf") {
        let found = streams(open, &file);
        assert!(of(&found, "jpeg2000").bytes == dump);
        assert_every_frame(of(&found, "jpeg2000"), 10);
    }
    let options = "-s 720x576 -pix_fmt yuv422p -c:v mpeg2video -g 1 -b:v 50M -minrate 50M \
                   -maxrate 50M -bufsize 2M -rc_init_occupancy 2M -qmin 1 -qmax 12 -c:a pcm_s16le \
                   -f mxf_d10";
    let (file, dump) = make(&studio, options, "d10.mxf").unwrap();
    let found = streams(open, &file);
    assert!(of(&found, "mpeg2").bytes == dump);
    assert_every_frame(of(&found, "mpeg2"), 50);
    // Eight channels behind four bytes, all of an element.
    assert_eq!(of(&found, "aes3").bytes.len() % 4, 0);
    assert_eq!(of(&found, "aes3").stream.units, Units::Raw);
}

#[test]
fn the_header_of_a_prores_frame_is_glue() {
    let Some(studio) = Studio::open() else { return };
    studio.make(&format!("{INPUT} -t 1 -c:v prores -c:a pcm_s16le master.mov")).unwrap();
    let file = studio.make("-i master.mov -c copy -r 25 master.mxf").unwrap();
    let found = streams(open, &file);
    assert_every_frame(of(&found, "prores"), 25);
    let mkv = studio.make("-i master.mov -c copy master.mkv").unwrap();
    let mkv = streams(matroska::open, &mkv);
    for codec in ["prores", "pcm"] {
        assert!(of(&mkv, codec).bytes == of(&found, codec).bytes, "{codec}");
    }
}

#[test]
fn a_damaged_file_costs_neither_time_nor_a_panic() {
    let Some(studio) = Studio::open() else { return };
    let options = "-t 1 -c:v libx264 -preset ultrafast -b:v 10M -g 12 -c:a pcm_s16le";
    let Some((file, _)) = make(&studio, options, "master.mxf") else { return };
    for damaged in damaged(&file, 200) {
        parse(open, &damaged, MIN_WINDOW);
    }
    // A file that is still being written keeps what there is.
    let part = streams(open, &file[..file.len() * 2 / 3]);
    let whole = streams(open, &file);
    let [part, whole] = [&part, &whole].map(|found| &of(found, "h264").bytes);
    assert!(whole.starts_with(part) && part.len() > whole.len() / 2);
}
