//! Laws of files cut by their tracks, whatever a parser says.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod kept;

use std::io::{self, Read};

use ottvc_chunk::track::cut::TrackRule;
use ottvc_chunk::track::map::Checkpoints;
use ottvc_chunk::track::split::{Lane, Refusal, TrackBlock, TrackSplitter};
use ottvc_chunk::track::{Container, Extent, Parser, Role, Stream, Unit, Units, Window};
use proptest::prelude::*;

use kept::{Kept, Reader, noise};

/// A parser that knows the file beforehand.
#[derive(Clone, Debug)]
struct Told {
    container: Container,
    streams: Vec<Stream>,
    extents: Vec<Extent>,
    /// How much of a window it is done with.
    step: usize,
}

impl Parser for Told {
    fn container(&self) -> Container {
        self.container
    }
    fn streams(&self) -> &[Stream] {
        &self.streams
    }
    fn parse(&mut self, window: Window<'_>, out: &mut Vec<Extent>) -> usize {
        let done = if window.ends { window.bytes.len() } else { window.bytes.len().min(self.step) };
        let end = window.at + done as u64;
        for extent in &self.extents {
            // The part of it that lies in what this call is done with.
            let start = extent.offset.max(window.at);
            let len = (extent.offset + u64::from(extent.len)).min(end).saturating_sub(start);
            if len > 0 {
                let unit = extent.unit.filter(|_| start == extent.offset);
                out.push(Extent { offset: start, len: len.try_into().unwrap(), unit, ..*extent });
            }
        }
        done
    }
}

fn stream(role: Role, units: Units) -> Stream {
    Stream { role, units, codec: String::new(), language: String::new(), rate: (24, 1) }
}

fn streams() -> Vec<Stream> {
    vec![
        stream(Role::Video, Units::Marked),
        stream(Role::Audio, Units::Marked),
        stream(Role::Audio, Units::Raw),
        stream(Role::Data, Units::Raw),
    ]
}

fn keep(
    parser: impl Parser + 'static,
    file: &[u8],
    reader: &mut dyn Read,
    block_bytes: usize,
) -> Result<Kept, Refusal> {
    kept::keep(Box::new(parser), file, reader, block_bytes)
}

/// A file of runs of streams with gaps between them, and what a parser says of it.
fn file(seed: u64, len: usize, container: Container) -> (Vec<u8>, Told) {
    let mut bytes = noise(seed, len);
    let dice = noise(seed ^ 1, len / 32);
    let (mut at, mut extents) = (0, Vec::new());
    for dice in dice.chunks_exact(8) {
        let run = match dice[0] {
            0 => 1 << 20,
            1..8 => 40_000,
            _ => 200 + 8 * usize::from(dice[1]),
        };
        let gap = match dice[3] {
            0..60 => 0,
            60..200 => 4,
            200..255 => usize::from(dice[4]) % 16,
            255 => 300,
        };
        let run = (run + usize::from(dice[2])).min(len.saturating_sub(at + gap));
        if run == 0 {
            break;
        }
        if gap == 4 {
            bytes[at..at + 4].copy_from_slice(&u32::try_from(run).unwrap().to_be_bytes());
        }
        let stream = u16::from(dice[5] % 4);
        let unit = (dice[6] < 160).then_some(Unit { time: at.try_into().unwrap() });
        let offset = (at + gap) as u64;
        extents.push(Extent { offset, len: run.try_into().unwrap(), stream, unit });
        at += gap + run;
    }
    (bytes, Told { container, streams: streams(), extents, step: 700_000 })
}

/// A transport stream: packets of several PIDs, some of them stuffed, some with start codes.
fn packets(seed: u64, count: usize, packet: usize) -> (Vec<u8>, Told) {
    let (mut bytes, mut extents) = (Vec::new(), Vec::new());
    let dice = noise(seed, count * 8);
    let (mut counters, mut run) = ([0_u8; 3], (0, 0));
    for dice in dice.chunks_exact(8) {
        if packet == 192 {
            bytes.extend_from_slice(&dice[..4]);
        }
        if dice[0] < 4 {
            bytes.extend_from_slice(&[0x47, 0x1f, 0xff, 0x10]);
            bytes.resize(bytes.len() + 184, 0xff);
            continue;
        }
        if run.1 == 0 {
            run = (dice[1] % 3, 1 + dice[2] / 8);
        }
        run.1 -= 1;
        let pid = run.0;
        let counter = &mut counters[usize::from(pid)];
        *counter = (*counter + 1 + u8::from(dice[3] == 0)) & 15;
        let (start, field) = (dice[4] < 16, dice[5] < 16);
        let head = [0x47, u8::from(start) << 6 | 1, pid, 0x10 | u8::from(field) << 5 | *counter];
        bytes.extend_from_slice(&head);
        let mut room = 184;
        if field {
            let stuffing = 1 + usize::from(dice[6]) % 150;
            bytes.push(u8::try_from(stuffing - 1).unwrap());
            bytes.resize(bytes.len() + stuffing.min(2) - 1, 0);
            bytes.resize(bytes.len() + stuffing.saturating_sub(2), 0xff);
            room -= stuffing;
        }
        if start {
            bytes.extend_from_slice(&dice[..6]);
            bytes.extend_from_slice(&[0, 0, 1]);
            room -= 9;
        }
        let unit = start.then_some(Unit { time: 0 });
        let (offset, len) = (bytes.len() as u64, room.try_into().unwrap());
        // The last PID is that of two streams.
        let stream = u16::from(if pid == 2 && dice[7] < 9 { 3 } else { pid });
        extents.push(Extent { offset, len, stream, unit });
        bytes.extend_from_slice(&noise(bytes.len() as u64 / 7, room));
    }
    let container = Container::Ts { packet: packet.try_into().unwrap() };
    (bytes, Told { container, streams: streams(), extents, step: 900_000 })
}

/// Gives a few bytes at a time.
struct Slow<'b>(&'b [u8], usize);

impl Read for Slow<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.1 = (self.1 * 5 + 3) % 50_021;
        if self.1.is_multiple_of(7) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let len = buffer.len().min(self.1 + 1);
        self.0.read(&mut buffer[..len])
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// Any file comes back, whole and in parts, and how it is read changes nothing.
    #[test]
    fn a_file_comes_back(seed in any::<u64>(), len in 2_000_000..6_000_000_usize) {
        let (file, parser) = file(seed, len, Container::Mp4);
        let kept = keep(parser.clone(), &file, &mut &*file, 4 << 20).unwrap();
        Reader::new(&kept).check(&file, seed, 1000);
        let step = 1 << 20;
        let other = Told { step, ..parser };
        let slow = keep(other, &file, &mut Slow(&file, 1), 1 << 20).unwrap();
        prop_assert!(slow == kept);
    }

    /// So does a transport stream, and little of it is glue.
    #[test]
    fn a_transport_stream_comes_back(seed in any::<u64>(), count in 12_000..16_000_usize) {
        for packet in [188, 192] {
            let (file, parser) = packets(seed, count, packet);
            let kept = keep(parser.clone(), &file, &mut &*file, 2 << 20).unwrap();
            Reader::new(&kept).check(&file, seed, 200);
            let slow = keep(parser, &file, &mut Slow(&file, 1), 1 << 20).unwrap();
            prop_assert!(slow == kept);
            let (glue, len) = (kept.recipe.glue.bytes, kept.recipe.len);
            let times = 4 * (packet as u64 - 188) / 4 * count as u64;
            prop_assert!(glue - times < len / 100, "{glue} of {len}");
        }
    }

    /// A parser that lies costs room, or the file is refused; a byte is never lost.
    #[test]
    fn lies_cost_no_byte(seed in any::<u64>(), len in 1_000_000..3_000_000_usize) {
        let (file, mut parser) = file(seed, len, Container::Mxf);
        let dice = noise(seed ^ 2, 8 * parser.extents.len());
        for (extent, dice) in parser.extents.iter_mut().zip(dice.chunks_exact(8)) {
            match dice[0] {
                0 => extent.offset += u64::from(dice[1]),
                1 => extent.offset = extent.offset.saturating_sub(u64::from(dice[1])),
                2 => extent.len += u32::from(dice[1]),
                3 => extent.stream = u16::from(dice[1]),
                4 => extent.offset = u64::from(dice[1]) << 36,
                _ => {}
            }
        }
        let liar = Liar(parser);
        match keep(liar, &file, &mut &*file, 1 << 20) {
            Ok(kept) => Reader::new(&kept).check(&file, seed, 100),
            Err(refusal) => prop_assert!(matches!(refusal, Refusal::Glue { .. }), "{refusal}"),
        }
    }
}

/// Says all it was told at once, in no order, and again with each window.
#[derive(Debug)]
struct Liar(Told);

impl Parser for Liar {
    fn container(&self) -> Container {
        self.0.container
    }
    fn streams(&self) -> &[Stream] {
        &self.0.streams
    }
    fn parse(&mut self, window: Window<'_>, out: &mut Vec<Extent>) -> usize {
        out.extend_from_slice(&self.0.extents);
        out.push(Extent { offset: u64::MAX, len: u32::MAX, stream: u16::MAX, unit: None });
        out.swap(0, self.0.extents.len() / 2);
        window.bytes.len()
    }
}

/// Streams, each of units, in a file: first `lead` bytes, then `turn` units of each in turn with `gap`
/// bytes before each.
fn interleave(all: &[Vec<Vec<u8>>], lead: usize, turn: usize, gap: usize) -> (Vec<u8>, Told) {
    let (mut bytes, mut extents) = (noise(9, lead), Vec::new());
    for round in 0.. {
        let mut more = false;
        for (stream, units) in (0..).zip(all) {
            for unit in units.iter().skip(round * turn).take(turn) {
                more = true;
                bytes.extend_from_slice(&noise(bytes.len() as u64, gap));
                let (offset, len) = (bytes.len() as u64, unit.len().try_into().unwrap());
                extents.push(Extent { offset, len, stream, unit: Some(Unit { time: 0 }) });
                bytes.extend_from_slice(unit);
            }
        }
        if !more {
            break;
        }
    }
    let (container, streams) = (Container::Matroska, streams());
    (bytes, Told { container, streams, extents, step: usize::MAX })
}

#[test]
fn chunks_of_a_stream_do_not_depend_on_the_file() {
    let video: Vec<_> =
        (0..90_u16).map(|n| noise(n.into(), 30_000 + 700 * usize::from(n))).collect();
    let audio: Vec<_> =
        (0..2000_u16).map(|n| noise(1000 + u64::from(n), 300 + usize::from(n % 100))).collect();
    let all = [video.clone(), audio.clone()];
    let (one, parser) = interleave(&all, 10, 1, 4);
    let one = keep(parser, &one, &mut &*one, 1 << 20).unwrap();
    let (two, parser) = interleave(&all, 5000, 37, 9);
    let two = keep(parser, &two, &mut &*two, 2 << 20).unwrap();
    for lane in [Lane::Stream(0), Lane::Stream(1)] {
        assert!(one.chunks[&lane].len() > 20);
        assert!(one.chunks[&lane] == two.chunks[&lane], "{lane:?}");
    }
    // Units put in change the chunks around them.
    let mut edited = all;
    edited[0].splice(40..40, (500..503).map(|n| noise(n, 30_000)));
    edited[1].splice(1000..1000, (500..510).map(|n| noise(n, 301)));
    let (three, parser) = interleave(&edited, 10, 1, 4);
    let three = keep(parser, &three, &mut &*three, 1 << 20).unwrap();
    for (lane, most) in [(Lane::Stream(0), 5), (Lane::Stream(1), 4)] {
        let known = &one.chunks[&lane];
        let fresh = three.chunks[&lane].iter().filter(|chunk| !known.contains(chunk)).count();
        assert!((1..=most).contains(&fresh), "{fresh} chunks of {lane:?} are new");
    }
}

/// Does something wrong at the second window.
#[derive(Clone, Copy, Debug)]
enum Wrong {
    Stands,
    Claims,
    Panics,
    Creeps,
    Floods,
    Streams,
}

#[derive(Debug)]
struct Bad(Wrong, Vec<Stream>);

impl Parser for Bad {
    fn container(&self) -> Container {
        Container::Mp4
    }
    fn streams(&self) -> &[Stream] {
        &self.1
    }
    fn parse(&mut self, window: Window<'_>, out: &mut Vec<Extent>) -> usize {
        let Window { at, bytes, .. } = window;
        let all = bytes.len();
        out.push(Extent { offset: at, len: all.try_into().unwrap(), stream: 0, unit: None });
        match self.0 {
            _ if at == 0 => return all,
            Wrong::Stands => return 0,
            Wrong::Claims => return all + 1,
            Wrong::Panics => panic!("on purpose"),
            Wrong::Creeps => return 1,
            Wrong::Floods => {
                out.extend((at..).take(all / 2).map(|at| Extent {
                    offset: at,
                    len: 1,
                    stream: 1,
                    unit: Some(Unit { time: 0 }),
                }));
            }
            Wrong::Streams => self.1.resize(257, stream(Role::Text, Units::Raw)),
        }
        all
    }
}

#[test]
fn what_goes_wrong_is_a_refusal() {
    let bytes = noise(5, 5 << 20);
    for (wrong, code) in [
        (Wrong::Stands, "stuck"),
        (Wrong::Claims, "stuck"),
        (Wrong::Creeps, "stuck"),
        (Wrong::Panics, "panicked"),
        (Wrong::Floods, "small_extents"),
        (Wrong::Streams, "streams"),
    ] {
        let refusal = keep(Bad(wrong, streams()), &bytes, &mut &*bytes, 1 << 20).unwrap_err();
        assert_eq!(refusal.word(), code, "{wrong:?}: {refusal}");
    }
    let told =
        |extents| Told { container: Container::Mp4, streams: streams(), extents, step: usize::MAX };
    let run = |offset, len| Extent { offset, len, stream: 3, unit: None };
    let refused = |extents, file: &[u8]| {
        keep(told(extents), &bytes, &mut &*file, 4 << 20).map(|_| ()).unwrap_err().word()
    };
    assert_eq!(refused(vec![], &bytes), "no_tracks");
    assert_eq!(refused(vec![run(0, 4 << 20)], &bytes), "glue");
    assert_eq!(refused(vec![run(0, 5 << 20)], &bytes[1..]), "unfinished");
    assert_eq!(refused(vec![run(0, 5 << 20)], &[]), "unfinished");
    let unasked = told(vec![run(0, 5 << 20)]);
    let splitter = TrackSplitter::new(Box::new(unasked), 5, TrackRule::DEFAULT, 0).unwrap();
    assert_eq!(splitter.finish().unwrap_err().word(), "unfinished");
}

#[test]
fn a_reader_that_fails_is_heard() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }
    let parser = Box::new(Bad(Wrong::Stands, streams()));
    let mut splitter = TrackSplitter::new(parser, 9, TrackRule::DEFAULT, 0).unwrap();
    let error = splitter.next(&mut Broken, &mut TrackBlock::default()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

#[test]
fn tables_that_no_writer_makes_are_refused() {
    let len = 10 << 20;
    let table = |tail: &[u8]| Checkpoints::decode(tail, 2, len);
    // Two streams, 1 MiB, no headers, one checkpoint: 5 bytes before 1 MiB, at operation 9.
    let good = [2, 20, 0, 1, 5, 9, 0, 3, 1, 2];
    assert_eq!(table(&good).unwrap().encode(2), good);
    assert_eq!(table(&good).unwrap().at(len - 1).out, (1 << 20) - 5);
    for (at, byte) in [(0, 3), (1, 19), (1, 64), (2, 2), (3, 2), (3, 11)] {
        let mut bad = good;
        bad[at] = byte;
        assert!(table(&bad).is_err(), "{at} {byte}");
    }
    assert!(table(&good[..9]).is_err());
    assert!(table(&[2, 20, 0, 1, 5, 9, 0, 3, 1, 2, 0]).is_err());
    // More bytes of glue than there are in all; further back than the longest operation.
    assert!(table(&[2, 20, 0, 1, 5, 9, 0, 0xff, 0xff, 0x7f, 1, 2]).is_err());
    assert!(table(&[2, 22, 0, 1, 0xff, 0xff, 0xff, 1, 9, 0, 3, 1, 2]).is_err());
    assert!(Checkpoints::decode(&[0x81, 2, 20, 0, 0], 257, len).is_err());
    assert!(Checkpoints::decode(&[], 0, len).is_err());
    // Headers: one of PID 256, that of the first stream.
    let headers = [2, 20, 1, 1, 5, 9, 0, 3, 1, 2, 184, 1, 1, 0x41, 0, 0x17, 1, 0];
    assert_eq!(table(&headers).unwrap().encode(2), headers);
    for (at, byte) in [(10, 185), (12, 0x80), (16, 2)] {
        let mut bad = headers;
        bad[at] = byte;
        assert!(table(&bad).is_err(), "{at} {byte}");
    }
}
