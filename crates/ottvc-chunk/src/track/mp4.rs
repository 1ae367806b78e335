//! ISO base media: MP4, MOV, M4A, fragmented MP4, CMAF, and segments without their initialisation.
//!
//! Tables of `moov` are read before the first window, fragments as they pass. Both name samples at
//! offsets of the file, which are merged in its order; every byte that no sample covers is glue. Of
//! samples that overlap, the first is taken. Tracks of a segment alone are told from their first sample.
//!
//! # Reference
//! ISO/IEC 14496-12; QuickTime File Format Specification.

mod boxes;
mod entry;
mod found;
mod fragment;
mod moov;
mod queue;
mod sample;
mod table;

use std::io;
use std::sync::Arc;

use self::boxes::{HEADER, Header};
use self::entry::Framing;
use self::moov::{Movie, Track, add_streams};
use self::queue::{Queue, Span};
use self::sample::{SNIFFED, Sample, sniff};
use super::lengths::MANY;
use super::{Container, Extent, Parser, Source, Stream, Window};

/// The shortest `moof` that tells of samples: four headers, of itself, a track, its defaults and a run.
const MIN_MOOF: u64 = 32;
/// The longest `moof` that is read.
const MAX_MOOF: u64 = 16 << 20;

/// Opens a file of ISO base media; `None` if it is none, or tells of no samples.
///
/// # Errors
/// What `source` fails with.
pub fn open(source: &mut dyn Source) -> io::Result<Option<Box<dyn Parser>>> {
    let Some(found) = found::find(source)? else { return Ok(None) };
    let mut moov = Vec::new();
    if let Some((at, len)) = found.moov {
        moov.resize(len, 0);
        source.read_at(at, &mut moov)?;
    }
    let movie = Movie::of(&moov);
    let fragments = found.moof && (movie.fragments || found.moov.is_none());
    if !fragments && !movie.tracks.iter().any(|track| track.tables.any()) {
        return Ok(None);
    }
    Ok(Some(Box::new(Mp4 {
        queue: Queue::new(moov, &movie.tracks),
        tracks: movie.tracks,
        streams: movie.streams,
        len: source.len(),
        next_box: fragments.then_some(0),
        moof: None,
        sample: None,
    })))
}

/// A parser of one file.
#[derive(Debug)]
struct Mp4 {
    tracks: Vec<Track>,
    streams: Vec<Stream>,
    queue: Queue,
    /// The length of the file.
    len: u64,
    /// Where the next box of the file begins, as long as there may be fragments.
    next_box: Option<u64>,
    /// A fragment that is passing: where it begins, its length, and its bytes so far.
    moof: Option<(u64, u64, Vec<u8>)>,
    /// A sample that is passing.
    sample: Option<Sample>,
}

impl Parser for Mp4 {
    fn container(&self) -> Container {
        Container::Mp4
    }

    fn streams(&self) -> &[Stream] {
        &self.streams
    }

    fn parse(&mut self, window: Window<'_>, out: &mut Vec<Extent>) -> usize {
        let first = out.len();
        let mut done = 0;
        while let Some(rest) = window.bytes.get(done..)
            && !rest.is_empty()
            && out.len().saturating_sub(first) < MANY
        {
            let at = window.at.saturating_add(done as u64);
            let step = if self.moof.is_some() {
                self.gather(rest)
            } else if let Some(sample) = &mut self.sample {
                let step = sample.split(rest, window.ends, first, out);
                if sample.left() == 0 {
                    self.sample = None;
                }
                Some(step).filter(|step| *step > 0)
            } else {
                self.begin(at, rest, window.ends)
            };
            // Nothing more can be told in this window.
            let Some(step) = step else { break };
            done += step;
        }
        if window.ends && out.len().saturating_sub(first) < MANY {
            return window.bytes.len();
        }
        if done == 0 {
            // The window is too short: what begins in it stays glue, so that there is an end.
            self.sample = None;
            return window.bytes.len();
        }
        done
    }
}

impl Mp4 {
    /// Passes over glue up to the next box or sample, or begins what lies at `at`. Returns how many bytes
    /// it is done with, none if a box or sample begins there; `None` if more must be in view.
    fn begin(&mut self, at: u64, rest: &[u8], ends: bool) -> Option<usize> {
        self.next_box = self.next_box.filter(|next| *next >= at);
        let mut span = self.queue.next(&self.tracks, at).filter(|span| span.at < self.len);
        if let (Some(next), Some(found)) = (self.next_box, &mut span) {
            // No sample goes on past the box it begins in.
            found.len = found.len.min(next.saturating_sub(found.at));
        }
        let sample = span.map_or(u64::MAX, |span| span.at);
        let target = self.next_box.map_or(sample, |next| next.min(sample));
        if target > at {
            return Some(
                usize::try_from(target - at).map_or(rest.len(), |len| len.min(rest.len())),
            );
        }
        if self.next_box == Some(at) {
            return self.begin_box(at, rest, ends);
        }
        self.begin_sample(span?, rest, ends)
    }

    fn begin_box(&mut self, at: u64, rest: &[u8], ends: bool) -> Option<usize> {
        if rest.len() < HEADER && !ends {
            return None;
        }
        let header = Header::of(rest, self.len.saturating_sub(at));
        self.next_box = header.and_then(|header| at.checked_add(header.len));
        if let Some(header) = header.filter(|header| &header.name == b"moof")
            && (MIN_MOOF..=MAX_MOOF).contains(&header.len)
        {
            self.moof = Some((at, header.len, Vec::new()));
            return Some(0);
        }
        Some(header.map_or(1, |header| usize::from(header.head).min(rest.len())))
    }

    /// Takes more of the fragment that is passing.
    fn gather(&mut self, rest: &[u8]) -> Option<usize> {
        let (at, len, mut bytes) = self.moof.take()?;
        let wanted = len.saturating_sub(bytes.len() as u64);
        let taken = usize::try_from(wanted).map_or(rest.len(), |wanted| wanted.min(rest.len()));
        bytes.extend_from_slice(rest.get(..taken).unwrap_or_default());
        if (bytes.len() as u64) < len {
            self.moof = Some((at, len, bytes));
            return Some(taken);
        }
        let bytes: Arc<[u8]> = bytes.into();
        let runs = fragment::runs(&bytes, at, &mut self.tracks);
        self.queue.add(runs, bytes.len(), &self.tracks);
        Some(taken)
    }

    fn begin_sample(&mut self, span: Span, rest: &[u8], ends: bool) -> Option<usize> {
        let track = self.tracks.get_mut(span.track)?;
        if track.framing == Framing::Unknown {
            let needed = span.len.min(SNIFFED as u64);
            if (rest.len() as u64) < needed && !ends {
                return None;
            }
            let shown = usize::try_from(span.len).map_or(rest.len(), |len| len.min(rest.len()));
            let (role, codec, framing) = sniff(rest.get(..shown).unwrap_or_default(), span.len);
            track.framing = framing;
            track.stream = u16::try_from(self.streams.len()).ok()?;
            add_streams(&mut self.streams, framing, role, codec, "", 1);
        }
        self.sample = Some(Sample::new(span, track));
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::{MIN_WINDOW, Role};

    fn make(name: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let len = u32::try_from(8 + body.len()).unwrap();
        [&len.to_be_bytes(), &name[..], body].concat()
    }

    fn numbers(numbers: &[u32]) -> Vec<u8> {
        numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
    }

    /// A table after version and flags.
    fn table(name: &[u8; 4], list: &[u32]) -> Vec<u8> {
        make(name, &[&[0; 4], &numbers(list)[..]].concat())
    }

    fn track(id: u32, handler: &[u8; 4], entry: &[u8; 4], tables: &[Vec<u8>]) -> Vec<u8> {
        let entry = make(entry, &[0; 28]);
        let stsd = make(b"stsd", &[&numbers(&[0, 1]), &entry[..]].concat());
        let stbl = make(b"stbl", &[&stsd[..], &tables.concat()].concat());
        let hdlr = make(b"hdlr", &[&[0; 8], &handler[..]].concat());
        let mdhd = table(b"mdhd", &[0, 0, 1000, 0, 0x15c7_0000]);
        let mdia = make(b"mdia", &[mdhd, hdlr, make(b"minf", &stbl)].concat());
        make(b"trak", &[table(b"tkhd", &[0, 0, id]), mdia].concat())
    }

    /// Sound of samples of `sizes` bytes, two to a chunk.
    fn sound(sizes: &[u32], chunks: &[u32]) -> Vec<u8> {
        let count = u32::try_from(sizes.len()).unwrap();
        let offsets = u32::try_from(chunks.len()).unwrap();
        let tables = [
            table(b"stsz", &[&[0, count], sizes].concat()),
            table(b"stco", &[&[offsets], chunks].concat()),
            table(b"stsc", &[1, 1, 2, 1]),
            table(b"stts", &[1, count, 10]),
        ];
        track(1, b"soun", b"mp4a", &tables)
    }

    /// Offset, length, stream, time of each extent.
    fn parse(file: &[u8]) -> Vec<(u64, u32, u16, Option<i64>)> {
        let mut source = file;
        let Some(mut parser) = open(&mut source).unwrap() else { return Vec::new() };
        let (mut at, mut out) = (0, Vec::new());
        while at < file.len() {
            let end = file.len().min(at + MIN_WINDOW);
            let window = Window { at: at as u64, bytes: &file[at..end], ends: end == file.len() };
            at += parser.parse(window, &mut out);
        }
        let time = |extent: &Extent| extent.unit.map(|unit| unit.time);
        out.iter().map(|found| (found.offset, found.len, found.stream, time(found))).collect()
    }

    #[test]
    fn chunks_lie_in_any_order_and_do_not_overlap() {
        let moov = make(b"moov", &sound(&[5, 6, 7, 8, 9, 10], &[2000, 1000, 2008]));
        let file = [&moov[..], &[0; 3000]].concat();
        // The first sample of the third chunk begins within the second of the first.
        let expected = [
            (1000, 7, 0, Some(20)),
            (1007, 8, 0, Some(30)),
            (2000, 5, 0, Some(0)),
            (2005, 6, 0, Some(10)),
            (2017, 10, 0, Some(50)),
        ];
        assert_eq!(parse(&file), expected);
    }

    #[test]
    fn samples_outside_the_file_are_left_out_or_cut() {
        let moov = make(b"moov", &sound(&[50, 60, 70, 80], &[1000, u32::MAX]));
        let file = [&moov[..], &vec![0; 1080 - moov.len()]].concat();
        assert_eq!(parse(&file), [(1000, 50, 0, Some(0)), (1050, 30, 0, Some(10))]);
        assert_eq!(parse(&file[..1000]), []);
        assert_eq!(parse(&file[..1020]), [(1000, 20, 0, Some(0))]);
    }

    #[test]
    fn raw_sound_comes_in_runs() {
        let tables = |size| {
            let (sizes, chunks) = (table(b"stsz", &[size, 30]), table(b"stco", &[2, 1000, 1060]));
            [sizes, chunks, table(b"stsc", &[1, 1, 10, 1])]
        };
        let file = |tables: &[Vec<u8>]| {
            let moov = make(b"moov", &track(1, b"soun", b"sowt", tables));
            [&moov[..], &[0; 2000]].concat()
        };
        // Chunks that follow each other join.
        assert_eq!(parse(&file(&tables(6))), [(1000, 120, 0, None)]);
        assert_eq!(parse(&file(&tables(4))), [(1000, 40, 0, None), (1060, 40, 0, None)]);
        let claims = [table(b"stsz", &[9, u32::MAX]), table(b"stco", &[1, 1000])];
        let claims = [&claims[..], &[table(b"stsc", &[1, 1, u32::MAX, 1])]].concat();
        let file = file(&claims);
        assert_eq!(parse(&file), [(1000, u32::try_from(file.len()).unwrap() - 1000, 0, None)]);
    }

    /// A fragment of one track: flags of `tfhd` and its fields, then runs.
    fn moof(id: u32, flags: u32, fields: &[u32], runs: &[Vec<u8>]) -> Vec<u8> {
        let tfhd = make(b"tfhd", &numbers(&[&[flags, id], fields].concat()));
        make(b"moof", &make(b"traf", &[&tfhd[..], &runs.concat()].concat()))
    }

    fn extended(track: &[u8]) -> Vec<u8> {
        let trex = table(b"trex", &[1, 1, 7, 100, 0]);
        make(b"moov", &[track, &make(b"mvex", &trex)].concat())
    }

    #[test]
    fn fragments_may_all_come_before_their_samples() {
        let head = extended(&track(1, b"soun", b"mp4a", &[]));
        let run = |offset: u32| make(b"trun", &numbers(&[0x201, 2, offset, 10, 20]));
        let len = u32::try_from(moof(1, 0x02_0000, &[], &[run(0)]).len()).unwrap();
        let first = moof(1, 0x02_0000, &[], &[run(2 * len + 8)]);
        let second = moof(1, 0x02_0000, &[], &[run(len + 8 + 30), run(len + 8 + 70)]);
        // The second run makes its fragment longer than the first one.
        let more = u32::try_from(second.len()).unwrap() - len;
        let first = [&first[..first.len() - 12], &numbers(&[2 * len + more + 8, 10, 20])].concat();
        let second = [run(len + more + 8 + 30), run(len + more + 8 + 70)];
        let second = moof(1, 0x02_0000, &[], &second);
        let file = [head, first, second, make(b"mdat", &[0; 200])].concat();
        let at = file.len() as u64 - 200;
        let expected = [
            (at, 10, 0, Some(0)),
            (at + 10, 20, 0, Some(7)),
            (at + 30, 10, 0, Some(14)),
            (at + 40, 20, 0, Some(21)),
            (at + 70, 10, 0, Some(28)),
            (at + 80, 20, 0, Some(35)),
        ];
        assert_eq!(parse(&file), expected);
    }

    #[test]
    fn fragments_take_what_they_do_not_say_from_defaults() {
        let head = extended(&track(1, b"soun", b"mp4a", &[]));
        let base = u32::try_from(head.len() + 100).unwrap();
        // An offset of the file, a duration; a time; runs without and with shifts, one after the other.
        let runs = [
            table(b"tfdt", &[5000]),
            make(b"trun", &numbers(&[0, 2])),
            make(b"trun", &numbers(&[0x801, 1, 250, u32::MAX])),
            make(b"trun", &numbers(&[4, 1, 0])),
        ];
        let moof = moof(1, 9, &[0, base, 3], &runs);
        let file = [&head[..], &moof, &make(b"mdat", &[0; 600])].concat();
        let base = u64::from(base);
        let samples = parse(&file);
        let expected = [
            (base, 100, 0, Some(5000)),
            (base + 100, 100, 0, Some(5003)),
            (base + 250, 100, 0, Some(5005)),
            (base + 350, 100, 0, Some(5009)),
        ];
        // Those that begin in the fragment itself are none.
        let begin = (head.len() + moof.len()) as u64;
        let expected: Vec<_> = expected.into_iter().filter(|sample| sample.0 >= begin).collect();
        assert!(expected.len() > 1);
        assert_eq!(samples, expected);
    }

    #[test]
    fn claims_of_fragments_cost_nothing() {
        let head = extended(&track(1, b"soun", b"mp4a", &[]));
        let runs = [
            make(b"trun", &numbers(&[0, u32::MAX])),
            make(b"trun", &numbers(&[0x101, u32::MAX, 0, 1])),
            make(b"trun", &numbers(&[0x201, u32::MAX, u32::MAX])),
        ];
        for flags in [0x02_0000, 0x02_0010] {
            let moof = moof(1, flags, &[0], &runs);
            let file = [&head[..], &moof.repeat(3), &make(b"mdat", &[0; 600])].concat();
            assert!(parse(&file).len() < 30);
        }
        let long = [&head[..], &[0, 0, 0, 1], b"moof", &[0xff; 100]].concat();
        assert_eq!(parse(&long), []);
    }

    #[test]
    fn a_segment_alone_is_told_from_its_samples() {
        let runs = [make(b"trun", &numbers(&[0x201, 2, 8, 10, 10]))];
        let mut moof = moof(5, 0x02_0000, &[], &runs);
        let at = moof.len() + 8;
        let len = moof.len();
        moof[len - 9] = u8::try_from(at).unwrap();
        let sample = [0, 0, 0, 6, 0x65, 0x88, 1, 2, 3, 4];
        let file = [&moof[..], &make(b"mdat", &sample.repeat(2))].concat();
        let mut source = &file[..];
        let mut parser = open(&mut source).unwrap().unwrap();
        let mut out = Vec::new();
        parser.parse(Window { at: 0, bytes: &file, ends: true }, &mut out);
        let kinds = parser.streams().iter().map(|stream| (stream.role, stream.codec.as_str()));
        assert_eq!(kinds.collect::<Vec<_>>(), [(Role::Video, "h264"), (Role::Side, "h264")]);
        assert_eq!(out.iter().map(|extent| extent.len).collect::<Vec<_>>(), [6, 6]);
    }

    #[test]
    fn what_tells_of_no_samples_is_not_opened() {
        let ftyp = make(b"ftyp", b"isom");
        for rest in [vec![], make(b"mdat", &[1; 9]), make(b"moov", &sound(&[], &[])), extended(&[])]
        {
            let file = [&ftyp[..], &rest].concat();
            assert!(open(&mut &file[..]).unwrap().is_none());
        }
        let other = [make(b"JUNK", &[]), make(b"moov", &sound(&[1, 1], &[0]))].concat();
        assert!(open(&mut &other[..]).unwrap().is_none());
    }
}
