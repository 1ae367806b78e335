//! The map: golden bytes, and what is told.

use super::*;
use crate::ChunkError;
use crate::track::Container;

/// A piece of a file: bytes that are in no stream, or a run.
#[derive(Clone, Copy)]
enum Piece<'b> {
    Gap(&'b [u8]),
    Run(u16, &'b [u8]),
}
use Piece::{Gap, Run};

struct Written {
    ops: Vec<u8>,
    glue: Vec<u8>,
    streams: Vec<Vec<u8>>,
    file: Vec<u8>,
}

fn write(container: Container, pieces: &[Piece<'_>]) -> Written {
    let mut writer = MapWriter::new(container);
    let mut written =
        Written { ops: vec![], glue: vec![], streams: vec![vec![]; 256], file: vec![] };
    for piece in pieces {
        match piece {
            Gap(bytes) => {
                writer.gap(bytes, &mut written.ops, &mut written.glue);
                written.file.extend_from_slice(bytes);
            }
            Run(stream, bytes) => {
                let len = bytes.len() as u64;
                writer.run(*stream, len, &mut written.ops, &mut written.glue);
                written.streams[usize::from(*stream)].extend_from_slice(bytes);
                written.file.extend_from_slice(bytes);
            }
        }
    }
    writer.finish(&mut written.ops, &mut written.glue);
    assert_eq!(rebuild(&written, 0..written.file.len()), written.file);
    written
}

fn rebuild(written: &Written, range: std::ops::Range<usize>) -> Vec<u8> {
    let range = range.start as u64..range.end as u64;
    let len = written.file.len() as u64;
    let mut file = Vec::new();
    let from = |bytes: &[u8], start: u64, len: u32| {
        let start = usize::try_from(start).unwrap();
        bytes[start..start + usize::try_from(len).unwrap()].to_vec()
    };
    let visit = &mut |step| {
        file.extend(match step {
            Step::Glue { start, len } => from(&written.glue, start, len),
            Step::Made(made) => made.bytes().to_vec(),
            Step::Padding { len } => vec![0xff; usize::try_from(len).unwrap()],
            Step::Stream { stream, start, len } => {
                from(&written.streams[usize::from(stream)], start, len)
            }
        });
        Ok::<(), ChunkError>(())
    };
    steps(&written.ops, Checkpoint::default(), 256, len, range, visit).unwrap();
    file
}

#[test]
fn lengths_and_start_codes_are_told() {
    let written = write(
        Container::Mp4,
        &[
            Gap(b"moov"),
            Gap(&[0, 0, 0, 5]),
            Run(0, b"abc"),
            Run(0, b"de"),
            Gap(&[0, 0, 0, 2]),
            Run(1, b"fg"),
            Gap(&[0, 3]),
            Run(9, b"hij"),
            Gap(&[0, 0, 1]),
            Run(0, b"k"),
            Gap(&[0, 0, 0, 1]),
            Run(0, b"lm"),
            Gap(&[1]),
            Run(0, b"n"),
            Run(1, b"opq"),
            Gap(b"end"),
        ],
    );
    assert_eq!(written.glue, b"moovend");
    let golden: [&[u8]; 8] = [
        &[0x83, 4, 6],
        &[0x13, 3],
        &[0x72, 9, 4],
        &[0x04, 2],
        &[0x05, 3],
        &[0x01, 2],
        &[0x10, 4],
        &[0x80, 3, 0],
    ];
    assert_eq!(written.ops, golden.concat());
    for start in 0..written.file.len() {
        for end in start..=written.file.len() {
            assert_eq!(rebuild(&written, start..end), &written.file[start..end]);
        }
    }
}

/// A packet's header: its flags and counter.
fn header(pid: u16, start: bool, field: bool, counter: u8) -> [u8; 4] {
    let [high, low] = pid.to_be_bytes();
    [0x47, high | u8::from(start) << 6, low, 0x10 | u8::from(field) << 5 | counter & 15]
}

/// Packets that are told from the one before are done many at once: with time codes before them, with a
/// flag that stays, null packets among them.
#[test]
fn packets_alike_come_in_any_range() {
    let bytes: Vec<u8> = (0..184 * 120_u32).map(|at| (at * at / 7).to_le_bytes()[0]).collect();
    let bodies: Vec<&[u8]> = bytes.chunks(184).collect();
    let mut null = vec![0xff; 188];
    null[..4].copy_from_slice(&[0x47, 0x1f, 0xff, 0x10]);
    let mut pieces = Vec::new();
    let heads: Vec<_> = (0..40_u8).map(|at| header(256, at > 20, false, at)).collect();
    for time in [&[][..], &[9; 4]] {
        for (head, body) in heads.iter().zip(&bodies) {
            pieces.extend([Gap(time), Gap(head), Run(1, body)]);
        }
        pieces.extend([Gap(&null), Gap(&null), Gap(&null)]);
        pieces.extend([Gap(&heads[8]), Run(1, bodies[50]), Gap(&[5; 100])]);
    }
    let written = write(Container::Ts { packet: 188 }, &pieces);
    assert!(written.ops.len() < 120, "{}", written.ops.len());
    for start in (0..written.file.len()).step_by(61) {
        for end in (start..=written.file.len()).step_by(97) {
            assert_eq!(rebuild(&written, start..end), &written.file[start..end]);
        }
    }
}

#[test]
fn packets_nearly_vanish() {
    let mut null = vec![0xff; 188];
    null[..4].copy_from_slice(&[0x47, 0x1f, 0xff, 0x10]);
    let body = [7; 184];
    let start = [&[9; 20][..], &[0, 0, 1]].concat();
    let heads: Vec<_> = (0..40).map(|counter| header(256, false, false, counter)).collect();
    let mut pieces = vec![Gap(&[1; 188])];
    let first = header(256, true, false, 0);
    pieces.extend([Gap(&first), Gap(&start), Run(1, &body[..10])]);
    // Another stream of the same PID goes on with its counter.
    let side = header(256, false, false, 1);
    pieces.extend([Gap(b"x"), Run(2, &body[..150]), Gap(&side), Run(2, &body)]);
    for head in &heads[2..20] {
        pieces.extend([Gap(head), Run(1, &body)]);
    }
    pieces.extend([Gap(&null), Gap(&null)]);
    let (with, stuffing) = (header(256, false, true, 4), [1, 0]);
    pieces.extend([Gap(&with), Gap(&stuffing), Run(1, &body[..182])]);
    let stuffing = [&[101, 0][..], &[0xff; 100]].concat();
    let with = header(256, false, true, 5);
    pieces.extend([Gap(&with), Gap(&stuffing), Run(1, &body[..82])]);
    let (with, stuffing) = (header(256, false, true, 6), [0]);
    pieces.extend([Gap(&with), Gap(&stuffing), Run(1, &body[..183])]);
    let again = header(256, true, true, 7);
    pieces.extend([Gap(&again), Gap(b"PES"), Run(1, &body[..181])]);
    let written = write(Container::Ts { packet: 188 }, &pieces);
    let golden: [&[u8]; 11] = [
        // 188 bytes that are no packet, then the first header and what follows it.
        &[0x9b, 0xbc, 1, 0, 0x41, 0, 0x10],
        &[0x94, 20, 11],
        // In the other stream, 150 bytes: not to the end of the packet, which is one byte on.
        &[0xa0, 1, 1],
        &[0x2b, 1, 1, 0, 0x11],
        &[0x16, 1, 0x0f, 17],
        &[0x0c, 0, 0x0f, 1],
        &[0x1a, 0xb7, 1],
        &[0x1a, 83],
        &[0x1a, 0xb8, 1],
        &[0x19, 0],
        &[0x90, 3, 1],
    ];
    assert_eq!(written.ops, golden.concat());
    assert_eq!(written.glue, [&[1; 188][..], &[9; 20], b"xPES"].concat());
    for (start, end) in [(0, 1), (180, 200), (188, 4000), (3950, 4400), (4400, 4700)] {
        assert_eq!(rebuild(&written, start..end), &written.file[start..end]);
    }
}

#[test]
fn packets_with_arrival_times_and_lost_bytes_are_followed() {
    let body = [7; 184];
    let heads: Vec<_> = (0..9).map(|counter| header(33, false, false, counter)).collect();
    let mut pieces = Vec::new();
    for head in &heads {
        pieces.extend([Gap(b"time"), Gap(head), Run(0, &body)]);
    }
    let written = write(Container::Ts { packet: 192 }, &pieces);
    assert_eq!(written.ops, [0x8b, 4, 1, 0, 33, 0x10, 0x86, 4, 1, 0x0f, 7]);
    let mut pieces = vec![Gap(b"lost")];
    for head in &heads {
        pieces.extend([Gap(head), Run(0, &body)]);
    }
    let written = write(Container::Ts { packet: 188 }, &pieces);
    assert_eq!(written.ops, [0x8b, 4, 1, 0, 33, 0x10, 0x06, 1, 0x0f, 7]);
}

#[test]
fn long_gaps_and_runs_are_taken_in_parts() {
    let long = vec![5; MAX_RUN as usize + 7];
    let written = write(Container::Mxf, &[Gap(&long), Run(3, &long), Run(3, &long)]);
    let golden: [&[u8]; 4] = [
        &[0x80, 0x80, 0x80, 0x40, 0],
        &[0xb0, 7, 0x81, 0x80, 0x40],
        &[0x30, 0x81, 0x80, 0x40],
        &[0x30, 15],
    ];
    assert_eq!(written.ops, golden.concat());
}

#[test]
fn what_no_writer_makes_is_refused() {
    let play = |ops: &[u8]| {
        let mut player = Player::new(ops, Checkpoint::default(), 2, 1000);
        loop {
            match player.play() {
                Ok(Some(_)) => {}
                Ok(None) => return Ok(player.into_checkpoint().out),
                Err(ChunkError::BadMap { why, .. }) => return Err(why),
                Err(error) => panic!("{error}"),
            }
        }
    };
    assert_eq!(play(&[0x00, 11, 0x0f, 99]), Ok(1000));
    assert_eq!(play(&[0x00, 11, 0x0f, 100]), Err("it goes past the end of the file"));
    assert_eq!(play(&[0x00, 11, 0x0f, 0]), Err("a repetition has no count"));
    assert_eq!(play(&[0x0f, 1]), Err("there is no such operation"));
    assert_eq!(play(&[0x00, 0]), Err("an operation makes nothing"));
    assert_eq!(play(&[0x20, 5]), Err("there is no such stream"));
    assert_eq!(play(&[0x70, 1, 5]), Err("a near stream is written as a far one"));
    assert_eq!(play(&[0x70]), Err("it ends in an operation"));
    assert_eq!(play(&[0x80, 0, 5]), Err("a literal is empty"));
    assert_eq!(play(&[0x80, 0x81, 0x80, 0x40, 5]), Err("a literal has no length"));
    assert_eq!(play(&[0x00, 0x82, 0x80, 0x40]), Err("a run is too long"));
    assert_eq!(play(&[0x00, 0x80, 0]), Err("a run has no length"));
    assert_eq!(play(&[0x00, 1]), Err("nothing is left of the packet"));
    assert_eq!(play(&[0x01, 0]), Err("a length is made of no length"));
    assert_eq!(play(&[0x01, 0x81, 2]), Err("a length does not fit"));
    assert_eq!(play(&[0x06, 1]), Err("a stream has no header yet"));
    assert_eq!(play(&[0x0a, 0]), Err("stuffing fills up no run"));
    assert_eq!(play(&[0x0a, 0xb9, 1]), Err("stuffing has no room"));
    assert_eq!(play(&[0x1c, 0]), Err("a null packet has a stream"));
    assert_eq!(play(&[0x0b, 0, 1, 2]), Err("it ends in an operation"));
    assert_eq!(play(&[0x0d, 0]), Err("there is no such operation"));
}
