//! Streams made packet by packet, to meet what encoders do seldom.

use super::psi::tests::section;
use super::*;
use crate::track::{MAX_STREAMS, Role, Unit, Units};

const H264: u8 = 0x1b;
const AAC: u8 = 0x0f;
const PRIVATE: u8 = 0x06;
const SCTE35: u8 = 0x86;

/// Writes packets of 188 bytes.
struct Mux {
    file: Vec<u8>,
    counters: Vec<u8>,
}

impl Mux {
    /// Begins with tables: types and PIDs of one program.
    fn new(entries: &[(u8, u16)]) -> Self {
        let mut mux = Self { file: Vec::new(), counters: vec![0; PIDS] };
        let mut tables = vec![0];
        tables.extend(section(0, &[0, 1, 0xe0 | 0x0f, 0xff]));
        mux.packet(0, true, &tables);
        mux.map(entries);
        mux
    }

    /// Adds a program map.
    fn map(&mut self, entries: &[(u8, u16)]) {
        let mut body = vec![0xff, 0xff, 0xf0, 0];
        for (kind, pid) in entries {
            let [high, low] = pid.to_be_bytes();
            body.extend([*kind, high, low, 0xf0, 0]);
        }
        let mut tables = vec![0];
        tables.extend(section(2, &body));
        self.packet(0xfff, true, &tables);
    }

    /// Adds a packet, stuffed if `payload` is short.
    fn packet(&mut self, pid: u16, starts: bool, payload: &[u8]) {
        let [high, low] = pid.to_be_bytes();
        let counter = &mut self.counters[usize::from(pid)];
        *counter = (*counter + 1) & 15;
        let start = self.file.len();
        self.file.extend([0x47, high | u8::from(starts) << 6, low, 0x10 | *counter]);
        let stuffing = 184 - payload.len();
        if stuffing > 0 {
            self.file[start + 3] |= 0x20;
            self.file.push(u8::try_from(stuffing - 1).unwrap());
            self.file.resize(start + 4 + stuffing, 0);
        }
        self.file.extend(payload);
    }

    /// Adds a PES packet in packets of so many bytes.
    fn pes(&mut self, pid: u16, time: u64, body: &[u8], piece: usize) {
        let low = |bits: u64| u8::try_from(bits & 0xff).unwrap();
        let mut pes = vec![0, 0, 1, 0xe0, 0, 0, 0x80, 0x80, 5];
        pes.push(low(0x21 | time >> 29 & 0x0e));
        pes.extend([low(time >> 22), low(time >> 14 | 1), low(time >> 7), low(time << 1 | 1)]);
        pes.extend(body);
        for (nth, bytes) in pes.chunks(piece).enumerate() {
            self.packet(pid, nth == 0, bytes);
        }
    }

    /// The packet added last.
    fn last(&mut self) -> &mut [u8; LEN] {
        self.file.last_chunk_mut().unwrap()
    }
}

/// Roles of streams, their bytes, and where units begin in them at what time.
fn tracks(file: &[u8]) -> Vec<(Role, Vec<u8>, Vec<(usize, i64)>)> {
    let mut source = file;
    let mut parser = open(&mut source).unwrap().unwrap();
    let mut extents = Vec::new();
    let window = Window { at: 0, bytes: file, ends: true };
    assert_eq!(parser.parse(window, &mut extents), file.len());
    let new = |stream: &Stream| (stream.role, Vec::new(), Vec::new());
    let mut tracks: Vec<_> = parser.streams().iter().map(new).collect();
    for Extent { offset, len, stream, unit } in extents {
        let (_, bytes, units) = &mut tracks[usize::from(stream)];
        units.extend(unit.map(|Unit { time }| (bytes.len(), time)));
        let start = usize::try_from(offset).unwrap();
        bytes.extend_from_slice(&file[start..][..usize::try_from(len).unwrap()]);
    }
    tracks
}

/// Two pictures with what may stand around them.
const PICTURES: [&[u8]; 2] = [
    b"\0\0\0\x01\x09\xf0\0\0\0\x01\x67BCD\0\0\x01\x06\x05more\x80\0\0\0\0\0\x01\x65\x88\x80\
      one\0\0\x03\x01\0two\0\0\x01\x65\x40three\0\x01\x80\0\0",
    b"\0\0\x01\x09\x30\0\0\0\x01\x41\x9a\0four\x80\0\0\0\x01\x0c\xff\xff\x80",
];

/// What is expected of them.
fn pictures() -> Vec<(Role, Vec<u8>, Vec<(usize, i64)>)> {
    let slices = b"\x65\x88\x80one\0\0\x03\x01\0two\x65\x40three\0\x01\x80\x41\x9a\0four\x80";
    vec![
        (Role::Video, slices.to_vec(), vec![(0, 9000)]),
        (Role::Side, b"\x06\x05more\x80".to_vec(), vec![(0, 9000)]),
    ]
}

#[test]
fn units_are_the_same_however_packets_cut_them() {
    for piece in 1..=184 {
        let mut mux = Mux::new(&[(H264, 0x100)]);
        for (time, picture) in [9000, 12_600].into_iter().zip(PICTURES) {
            mux.pes(0x100, time, picture, piece);
        }
        assert_eq!(tracks(&mux.file), pictures(), "pieces of {piece}");
    }
}

#[test]
fn what_is_no_readable_packet_of_a_track_does_not_matter() {
    let mut mux = Mux::new(&[(H264, 0x100)]);
    let mut pes = Mux::new(&[]);
    pes.pes(0x100, 9000, PICTURES[0], 9);
    pes.pes(0x100, 12_600, PICTURES[1], 7);
    for packet in pes.file.chunks(LEN).skip(2) {
        mux.file.extend(packet);
        // The same once more.
        mux.file.extend(packet);
        mux.packet(0x1fff, false, &[0xff; 184]);
        mux.packet(0x200, true, &[1; 184]);
        // Damaged, scrambled, without payload.
        for (at, bits) in [(1, 0x80), (3, 0x80), (3, 0xc0)] {
            mux.packet(0x100, false, b"\0\0\x01\x65\x88\x80");
            mux.last()[at] |= bits;
        }
        mux.packet(0x100, false, &[1; 184]);
        mux.last()[3] &= 0x0f;
    }
    assert_eq!(tracks(&mux.file), pictures());
}

#[test]
fn packets_are_found_again_after_other_bytes() {
    let mut mux = Mux::new(&[(H264, 0x100)]);
    mux.pes(0x100, 9000, PICTURES[0], 9);
    mux.file.extend([0x47; 100]);
    mux.file.extend([0x12; 1000]);
    mux.pes(0x100, 12_600, PICTURES[1], 30);
    let whole = mux.file.len();
    mux.packet(0x100, false, b"\0\0\x01\x65\x88\x80");
    mux.file.truncate(whole + 100);
    assert_eq!(tracks(&mux.file), pictures());
}

#[test]
fn a_unit_goes_on_after_a_loss_and_the_next_is_whole() {
    let mut mux = Mux::new(&[(H264, 0x100)]);
    mux.pes(0x100, 0, b"\0\0\x01\x65\x88\x80one\0\0\x01", 184);
    let lost = mux.file.len();
    mux.packet(0x100, false, b"\x41 lost");
    mux.file.truncate(lost);
    mux.packet(0x100, false, b"whose?\0\0\x01\x41\x9a two");
    let lost = mux.file.len();
    mux.packet(0x100, false, b" lost");
    mux.file.truncate(lost);
    mux.packet(0x100, false, b" three\0\0\x01\x09\xf0");
    let found = tracks(&mux.file);
    assert_eq!(found[0].1, b"\x65\x88\x80one\x41\x9a two three");
}

/// A frame of AAC at 48 kHz in ADTS.
fn adts(frame: &[u8]) -> Vec<u8> {
    let len = u8::try_from(frame.len() + 7).unwrap();
    let mut bytes = vec![0xff, 0xf1, 0x4c, 0x80, len >> 3, len << 5 | 0x1f, 0xfc];
    bytes.extend(frame);
    bytes
}

#[test]
fn frames_are_the_same_however_packets_cut_them() {
    let frames = [adts(b"one"), b"between".to_vec(), adts(b"two"), adts(b"three")].concat();
    let expected = (Role::Audio, b"onetwothree".to_vec(), vec![(0, 90), (3, 2010), (6, 3930)]);
    for piece in 1..=184 {
        let mut mux = Mux::new(&[(AAC, 0x101)]);
        mux.pes(0x101, 90, &frames, piece);
        assert!(tracks(&mux.file).iter().eq([&expected]), "pieces of {piece}");
    }
    // The rest of a frame is lost, the one after it is not.
    let mut mux = Mux::new(&[(AAC, 0x101)]);
    mux.pes(0x101, 90, &adts(b"one and more")[..10], 184);
    mux.counters[0x101] += 1;
    mux.packet(0x101, false, &[b"more", &adts(b"two")[..]].concat());
    assert_eq!(tracks(&mux.file)[0].1, b"onetwo");
}

#[test]
fn data_has_a_unit_for_each_pes_packet_and_sections_have_none() {
    let mut mux = Mux::new(&[(PRIVATE, 0x102), (SCTE35, 0x103)]);
    mux.pes(0x102, (1 << 33) - 1, b"one", 13);
    mux.packet(0x103, true, b"\0cue");
    mux.pes(0x102, 2, b"three", 14);
    // A length, and stuffing past it, in two packets.
    mux.packet(0x102, true, b"\0\0\x01\xbd\0\x07\x80\0\0four");
    mux.packet(0x102, false, b"stuffing");
    let wrap = 1 << 33;
    let found = tracks(&mux.file);
    let units = vec![(0, wrap - 1), (3, wrap + 2), (8, wrap + 2)];
    assert_eq!(found[0], (Role::Data, b"onethreefour".to_vec(), units));
    assert_eq!(found[1], (Role::Data, b"\0cue".to_vec(), vec![]));
}

#[test]
fn programs_may_change() {
    let mut mux = Mux::new(&[(AAC, 0x100)]);
    mux.pes(0x100, 0, &adts(b"one"), 184);
    mux.pes(0x101, 0, b"not known yet", 184);
    mux.map(&[(AAC, 0x100), (PRIVATE, 0x101)]);
    mux.pes(0x100, 0, &adts(b"two"), 184);
    mux.pes(0x101, 0, b"three", 184);
    mux.map(&[(PRIVATE, 0x100), (AAC, 0x101)]);
    mux.pes(0x100, 0, b"four", 184);
    mux.pes(0x101, 0, &adts(b"five"), 184);
    let found: Vec<_> = tracks(&mux.file).into_iter().map(|(_, bytes, _)| bytes).collect();
    assert_eq!(found, [&b"onetwo"[..], b"three", b"four", b"five"]);
}

#[test]
fn streams_have_a_limit() {
    let mut mux = Mux::new(&[]);
    for round in 0..3 {
        // Each time a track of another kind on the same PIDs, more of them than are followed.
        let kind = if round % 2 == 0 { H264 } else { AAC };
        for pids in (0x200..0x300).collect::<Vec<_>>().chunks(16) {
            mux.map(&pids.iter().map(|pid| (kind, *pid)).collect::<Vec<_>>());
            for pid in pids {
                mux.pes(*pid, 0, b"\0\0\x01\x65\x88\x80", 184);
            }
        }
    }
    let found = tracks(&mux.file);
    assert!(found.len() <= MAX_STREAMS && found.len() > MAX_STREAMS - 2);
    assert_eq!(found.iter().filter(|(role, ..)| *role == Role::Video).count(), MOST_TRACKS);
}

#[test]
fn streams_say_what_they_are() {
    let mut mux = Mux::new(&[(H264, 0x100), (SCTE35, 0x103)]);
    mux.pes(0x100, 0, PICTURES[0], 184);
    mux.packet(0x103, true, b"\0cue");
    let mut parser = open(&mut &mux.file[..]).unwrap().unwrap();
    parser.parse(Window { at: 0, bytes: &mux.file, ends: true }, &mut Vec::new());
    let stream = |role, units, codec: &str| {
        let codec = codec.to_owned();
        Stream { role, units, codec, language: String::new(), rate: (90_000, 1) }
    };
    let expected = [
        stream(Role::Video, Units::Marked, "h264"),
        stream(Role::Side, Units::Marked, "h264"),
        stream(Role::Data, Units::Raw, "scte35"),
    ];
    assert_eq!(parser.streams(), expected);
    assert_eq!(parser.container(), Container::Ts { packet: 188 });
}
