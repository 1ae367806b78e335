//! Tracks of an MXF file: what their elements hold, and where in it units begin.
//!
//! What a track is of is read from its first element, since descriptors name codings in more ways
//! than can be listed. An element is one frame, or with clip wrapping all of them.

use memchr::memmem::Finder;

use super::klv::{Element, Media};
use super::nals::Nals;
use crate::track::nal::NalCodec;
use crate::track::{Extent, Role, Stream, Unit, Units, runs};

/// How the values of a track are cut.
#[derive(Debug)]
enum Cut {
    /// Anywhere.
    Raw,
    /// Where frames begin.
    Marks(Box<Marks>),
    /// At frames behind a size of 4 bytes and the word `icpf`, which are glue.
    ProRes(ProRes),
    /// At NAL units.
    Nals(Box<Nals>),
}

/// The elements of a track.
#[derive(Debug)]
pub(super) struct Track {
    stream: u16,
    cut: Cut,
    clip: bool,
    /// Frames of the values that have passed.
    frames: i64,
}

impl Track {
    /// Takes up the track of an element whose value begins with `head`, its streams numbered from
    /// `stream` on; returns it and them.
    pub(super) fn new(
        element: Element,
        head: &[u8],
        rate: (u32, u32),
        stream: u16,
    ) -> (Self, Vec<Stream>) {
        let (codec, cut) = match element.media {
            Media::Picture => pictures(element, head, stream),
            Media::Sound => (sound(element.kind), Cut::Raw),
            Media::Data => ("", Cut::Marks(Box::new(Marks::every([0; 4], false)))),
            Media::Compound => ("dv", Cut::Marks(Box::new(Marks::every([0; 4], false)))),
        };
        let role = match element.media {
            Media::Picture | Media::Compound => Role::Video,
            Media::Sound => Role::Audio,
            Media::Data => Role::Data,
        };
        let units = if matches!(cut, Cut::Raw) { Units::Raw } else { Units::Marked };
        let codec = codec.to_owned();
        let mut streams = vec![Stream { role, units, codec, language: String::new(), rate }];
        if matches!(cut, Cut::Nals(_)) {
            streams.extend(streams.first().map(|it| Stream { role: Role::Side, ..it.clone() }));
        }
        (Self { stream, cut, clip: element.clip, frames: 0 }, streams)
    }

    /// Adds the extents in `bytes`, which lie at offset `at` and go on to the end of a value, unless
    /// there is `more` of it. Returns how many bytes it is done with: all, unless there is more.
    pub(super) fn take(
        &mut self,
        at: u64,
        bytes: &[u8],
        more: bool,
        out: &mut Vec<Extent>,
    ) -> usize {
        let place = Place { at, more, stream: self.stream, time: self.frames };
        match &mut self.cut {
            Cut::Raw => {
                runs::add(out, at, bytes.len(), self.stream, None);
                bytes.len()
            }
            Cut::Marks(marks) => marks.take(place, bytes, out),
            Cut::ProRes(frames) => frames.take(place, bytes, out),
            Cut::Nals(nals) => nals.take(at, bytes, more, self.frames, out),
        }
    }

    /// Ends a value.
    pub(super) fn end(&mut self) {
        let begun = match &mut self.cut {
            Cut::Raw => 1,
            Cut::Marks(marks) => marks.end(),
            Cut::ProRes(frames) => std::mem::take(frames).begun,
            Cut::Nals(nals) => nals.end(),
        };
        self.frames = self.frames.saturating_add(if self.clip { begun } else { 1 });
    }
}

/// What pictures are, and how they are cut.
fn pictures(element: Element, head: &[u8], stream: u16) -> (&'static str, Cut) {
    let marks = |needle| Cut::Marks(Box::new(Marks::every(needle, element.clip)));
    match (head, element.kind) {
        ([_, _, _, _, b'i', b'c', b'p', b'f', ..], _) | (_, 0x17) => {
            ("prores", Cut::ProRes(ProRes::default()))
        }
        ([0, 0, 1, 0 | 0xb3.., ..], _) => {
            let marks = Marks { always: false, ..Marks::every(SEQUENCE, element.clip) };
            ("mpeg2", Cut::Marks(Box::new(marks)))
        }
        ([0, 0, c @ 2..=3, d, 1..=3, ..], _) => ("dnx", marks([0, 0, *c, *d])),
        (_, 0x0c | 0x0d) => ("dnx", marks([0, 0, 2, 0x80])),
        ([0xff, 0x4f, 0xff, 0x51, ..], _) | (_, 0x08 | 0x09) => {
            ("jpeg2000", marks([0xff, 0x4f, 0xff, 0x51]))
        }
        ([0, 0, 1, nal @ ..] | [0, 0, 0, 1, nal @ ..], _) => {
            let (codec, name) = match nal {
                // Delimiter, parameter sets, a message or a picture of HEVC, of layer 0.
                [0x02 | 0x26 | 0x28 | 0x2a | 0x40 | 0x42 | 0x44 | 0x46 | 0x4e, 1, ..] => {
                    (NalCodec::Hevc, "hevc")
                }
                _ => (NalCodec::H264, "h264"),
            };
            (name, Cut::Nals(Box::new(Nals::new(codec, stream))))
        }
        _ => ("", Cut::Raw),
    }
}

/// What sound is, by the type of its elements: BWF or AES3 of one frame or of a clip, with samples
/// as other files have them, or of eight channels as D-10 has them.
fn sound(kind: u8) -> &'static str {
    match kind {
        0x01..=0x04 | 0x0b => "pcm",
        0x10 => "aes3",
        _ => "",
    }
}

/// Where bytes of a value lie.
#[derive(Clone, Copy, Debug)]
struct Place {
    at: u64,
    /// Whether the value goes on after them.
    more: bool,
    stream: u16,
    /// When the first frame of the value is shown.
    time: i64,
}

impl Place {
    fn pass(&mut self, len: usize) {
        self.at = self.at.saturating_add(len as u64);
    }
    fn unit(&self, begun: i64) -> Option<Unit> {
        Some(Unit { time: self.time.saturating_add(begun) })
    }
}

/// What a sequence header of MPEG-2 begins with.
const SEQUENCE: [u8; 4] = [0, 0, 1, 0xb3];

/// No frame is shorter, in bytes.
const SHORTEST: usize = 16;

/// Frames known by their first bytes.
#[derive(Debug)]
struct Marks {
    needle: [u8; 4],
    /// Finds its first three bytes; made once, since frames may be short.
    finder: Finder<'static>,
    /// Whether a value begins a unit whatever it begins with.
    always: bool,
    /// Whether to look for frames in all of a value.
    scan: bool,
    /// Whether a value has not begun yet.
    fresh: bool,
    /// Frames begun in this value.
    begun: i64,
}

impl Marks {
    /// A unit begins with each value; with `scan`, wherever `needle` is too.
    fn every(needle: [u8; 4], scan: bool) -> Self {
        let [a, b, c, _] = needle;
        let finder = Finder::new(&[a, b, c]).into_owned();
        Self { needle, finder, always: true, scan, fresh: true, begun: 0 }
    }

    /// Makes ready for another value; returns how many frames were in the one before.
    fn end(&mut self) -> i64 {
        self.fresh = true;
        std::mem::take(&mut self.begun)
    }

    fn take(&mut self, mut place: Place, bytes: &[u8], out: &mut Vec<Extent>) -> usize {
        let mut rest = bytes;
        while !(rest.is_empty() || place.more && rest.len() < 2 * SHORTEST) {
            let (first, looked) = (self.fresh, self.fresh || self.scan);
            self.fresh = false;
            let found = looked && rest.starts_with(&self.needle);
            let unit = (found || first && self.always).then(|| place.unit(self.begun)).flatten();
            // Of MPEG-2, frames are counted by their picture headers.
            let pictures = self.needle == SEQUENCE;
            let frame = if pictures { looked && rest.starts_with(&[0, 0, 1, 0]) } else { found };
            if frame {
                self.begun = self.begun.saturating_add(1);
            }
            let len = if self.scan { self.next(rest, found, place.more) } else { rest.len() };
            runs::add(out, place.at, len, place.stream, unit);
            place.pass(len);
            rest = rest.get(len..).unwrap_or_default();
        }
        bytes.len() - rest.len()
    }

    /// How many bytes of `rest` come before the next frame, at least one; what may be its beginning is
    /// left for the next time.
    fn next(&mut self, rest: &[u8], found: bool, more: bool) -> usize {
        let [.., last] = self.needle;
        let passed = if found { SHORTEST } else { 1 };
        let after = rest.get(passed..).unwrap_or_default();
        let mut from = 0;
        while let Some(found) = self.finder.find(after.get(from..).unwrap_or_default()) {
            let at = from + found;
            match after.get(at + 3) {
                Some(byte) if *byte == last => return at + passed,
                Some(0) if self.needle == SEQUENCE => self.begun = self.begun.saturating_add(1),
                _ => {}
            }
            // Two may lie one over the other: a codestream's marker begins as it ends.
            from = at + 1;
        }
        if more { rest.len().saturating_sub(3).max(1) } else { rest.len() }
    }
}

/// Frames behind their size.
#[derive(Clone, Copy, Debug, Default)]
struct ProRes {
    /// Bytes left of the frame, or of what is none.
    left: u64,
    /// Whether the next byte is the first of a frame.
    starts: bool,
    /// Frames begun in this value.
    begun: i64,
}

impl ProRes {
    fn take(&mut self, mut place: Place, bytes: &[u8], out: &mut Vec<Extent>) -> usize {
        let mut rest = bytes;
        while !rest.is_empty() {
            let len = if self.left == 0 {
                if place.more && rest.len() < 8 {
                    break;
                }
                self.header(rest)
            } else {
                let len =
                    usize::try_from(self.left).map_or(rest.len(), |left| left.min(rest.len()));
                let starts = std::mem::take(&mut self.starts);
                let unit = starts.then(|| place.unit(self.begun - 1)).flatten();
                runs::add(out, place.at, len, place.stream, unit);
                self.left = self.left.saturating_sub(len as u64);
                len
            };
            place.pass(len);
            rest = rest.get(len..).unwrap_or_default();
        }
        bytes.len() - rest.len()
    }

    /// Begins a frame; returns how many bytes come before it. What has no header is a frame if the
    /// value begins with it.
    fn header(&mut self, rest: &[u8]) -> usize {
        let first = self.begun == 0;
        let (left, len) = match rest {
            [a, b, c, d, b'i', b'c', b'p', b'f', ..] => {
                (u64::from(u32::from_be_bytes([*a, *b, *c, *d])).saturating_sub(8), 8)
            }
            _ => (u64::MAX, 0),
        };
        self.left = left;
        self.starts = first || len > 0;
        if self.starts {
            self.begun = self.begun.saturating_add(1);
        }
        len
    }
}
