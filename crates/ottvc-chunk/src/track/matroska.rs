//! Matroska and `WebM`: frames in blocks, blocks in clusters.
//!
//! Tracks are read from the head of the file when it is opened. Its elements are then taken one after
//! the other, whichever they lie in, so that segments and clusters of unknown size, as live ones are,
//! need no care. All but frames is glue; so are all elements but blocks. What is no element is passed
//! over up to the next cluster.
//!
//! # Reference
//! RFC 9559 (Matroska); RFC 8794 (EBML).

mod ebml;
mod head;
mod lacing;
mod tracks;

use std::collections::BTreeMap;
use std::io;

use memchr::memmem::Finder;

use self::ebml::{Element, HEAD, id, unsigned};
use self::head::Head;
use self::lacing::{Block, LOOK};
use self::tracks::{Cut, Track};
use super::frames::{self, is_key};
use super::lengths::{MANY, Sample};
use super::{Container, Extent, Parser, Source, Stream, Unit, Window, runs};

/// Opens a Matroska file; `None` if it is none, or says nothing of its tracks.
///
/// Reads its elements up to the first cluster.
///
/// # Errors
/// Those of `source`.
pub fn open(source: &mut dyn Source) -> io::Result<Option<Box<dyn Parser>>> {
    let Some(head) = Head::read(source)? else { return Ok(None) };
    let (tracks, streams) = tracks::read(&head.tracks, head.rate());
    if tracks.is_empty() {
        return Ok(None);
    }
    let track = Track { stream: 0, cut: Cut::Raw };
    let block = Frames { track, time: 0, sizes: Vec::new(), now: Now::None };
    let state = State::Element;
    let clusters = Finder::new(&id::CLUSTER.to_be_bytes()).into_owned();
    Ok(Some(Box::new(Matroska { streams, tracks, cluster: 0, block, clusters, state })))
}

#[derive(Debug)]
struct Matroska {
    streams: Vec<Stream>,
    /// By the number that blocks call them by.
    tracks: BTreeMap<u64, Track>,
    /// When the cluster begins, in ticks.
    cluster: i64,
    block: Frames,
    /// Finds the ids of clusters.
    clusters: Finder<'static>,
    state: State,
}

/// Where in the file it is.
#[derive(Clone, Copy, Debug)]
enum State {
    /// Before an element.
    Element,
    /// In a payload that is glue, with so many bytes left.
    Skip(u64),
    /// Among the frames of a block.
    Frames,
    /// In what is no element.
    Lost,
}

/// The frames of a block that are still to come.
#[derive(Debug)]
struct Frames {
    track: Track,
    /// When they are shown, in ticks.
    time: i64,
    /// Their lengths, the last first.
    sizes: Vec<u64>,
    now: Now,
}

/// The frame that is being read.
#[derive(Clone, Copy, Debug)]
enum Now {
    /// None is.
    None,
    /// One with so many bytes left.
    Whole(u64),
    /// One of NAL units.
    Nals(Sample),
}

impl Parser for Matroska {
    fn container(&self) -> Container {
        Container::Matroska
    }

    fn streams(&self) -> &[Stream] {
        &self.streams
    }

    fn parse(&mut self, window: Window<'_>, out: &mut Vec<Extent>) -> usize {
        let mut done = 0;
        // The end must be passed in one go; it is as short as a window.
        let most = if window.ends { usize::MAX } else { out.len().saturating_add(MANY) };
        while let Some(rest) = window.bytes.get(done..).filter(|rest| !rest.is_empty())
            && out.len() < most
        {
            let part = Part { at: window.at.saturating_add(done as u64), bytes: rest };
            let Some(step) = self.step(part, window.ends, done == 0, out) else { break };
            done += step;
        }
        done
    }
}

/// What is in view.
#[derive(Clone, Copy, Debug)]
struct Part<'a> {
    at: u64,
    bytes: &'a [u8],
}

impl Matroska {
    /// Goes on in `rest`; returns how many bytes it is done with, or `None` if more must be shown.
    /// `first` says that it is all that can be shown.
    fn step(
        &mut self,
        rest: Part<'_>,
        ends: bool,
        first: bool,
        out: &mut Vec<Extent>,
    ) -> Option<usize> {
        match self.state {
            State::Element if rest.bytes.len() < HEAD + LOOK && !ends => None,
            State::Element => Some(self.element(rest.bytes)),
            State::Skip(left) => {
                let len = part(left, rest.bytes.len());
                let left = left.saturating_sub(len as u64);
                self.state = if left == 0 { State::Element } else { State::Skip(left) };
                Some(len)
            }
            State::Frames => self.frame(rest, ends, ends || first, out),
            State::Lost => {
                if let Some(found) = self.clusters.find(rest.bytes) {
                    self.state = State::Element;
                    return Some(found);
                }
                let len = rest.bytes.len();
                let len = if ends { len } else { len.saturating_sub(3) };
                (len > 0).then_some(len)
            }
        }
    }

    /// Begins an element; returns how many bytes come before its payload or frames.
    fn element(&mut self, rest: &[u8]) -> usize {
        let Some(element) = Element::read(rest) else {
            self.state = State::Lost;
            return 1;
        };
        let shown = rest.get(element.head..).unwrap_or_default();
        let len = match (element.id, element.len) {
            // What lies in them comes next.
            (id::SEGMENT | id::CLUSTER | id::BLOCK_GROUP, _) => return element.head,
            (_, Some(len)) => len,
            (_, None) => {
                self.state = State::Lost;
                return 1;
            }
        };
        let payload = shown.get(..part(len, shown.len())).unwrap_or_default();
        self.state = State::Skip(len);
        match element.id {
            id::TIMESTAMP if payload.len() <= 8 => {
                self.cluster = i64::try_from(unsigned(payload)).unwrap_or(i64::MAX);
            }
            id::BLOCK | id::SIMPLE_BLOCK => {
                return element.head + self.block(payload, len).unwrap_or_default();
            }
            _ => {}
        }
        element.head
    }

    /// Begins a block of `len` bytes; returns how many come before its frames. `None` if it is of no
    /// track or makes no sense.
    fn block(&mut self, payload: &[u8], len: u64) -> Option<usize> {
        let payload = payload.get(..LOOK).unwrap_or(payload);
        let block = Block::read(payload)?;
        let track = *self.tracks.get(&block.track)?;
        let apart = track.cut != Cut::Raw;
        let head = block.frames(payload, len, apart, &mut self.block.sizes);
        self.block.track = track;
        self.block.time = self.cluster.saturating_add(i64::from(block.time));
        self.state = State::Frames;
        Some(head)
    }

    /// Goes on with the frames of a block; `all` says that `rest` is all that can be shown.
    fn frame(
        &mut self,
        rest: Part<'_>,
        ends: bool,
        all: bool,
        out: &mut Vec<Extent>,
    ) -> Option<usize> {
        let block = &mut self.block;
        let Track { stream, cut } = block.track;
        let mut unit = None;
        if matches!(block.now, Now::None) {
            let Some(size) = block.sizes.last().copied() else {
                self.state = State::Element;
                return Some(0);
            };
            let head = rest.bytes.get(..part(size, frames::HEAD)).unwrap_or(rest.bytes);
            if (head.len() as u64) < size && head.len() < frames::HEAD && !ends {
                return None;
            }
            block.sizes.pop();
            let begins = match cut {
                Cut::Frames => true,
                Cut::Keys(codec) => is_key(codec, head),
                Cut::Raw | Cut::Nals(_) => false,
            };
            unit = begins.then_some(Unit { time: block.time });
            block.now = match cut {
                Cut::Nals(_) => Now::Nals(Sample::new(rest.at, size, block.time)),
                _ => Now::Whole(size),
            };
        }
        let (done, left) = match (&mut block.now, cut) {
            (Now::Nals(sample), Cut::Nals(lengths)) => {
                let mut done = sample.split(lengths, rest.bytes, ends, out);
                if done == 0 && all {
                    // A unit that no window shows as a whole; one that only this window cuts off waits.
                    done = sample.split(lengths, rest.bytes, true, out);
                }
                (done, sample.left())
            }
            (Now::Whole(left), _) => {
                let len = part(*left, rest.bytes.len());
                runs::add(out, rest.at, len, stream, unit);
                *left = left.saturating_sub(len as u64);
                (len, *left)
            }
            _ => (0, 0),
        };
        if left == 0 {
            block.now = Now::None;
        }
        (done > 0 || left == 0).then_some(done)
    }
}

/// How much of what has `left` bytes is among the `shown` that come next.
fn part(left: u64, shown: usize) -> usize {
    usize::try_from(left).map_or(shown, |left| left.min(shown))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::MIN_WINDOW;

    fn element(id: &[u8], payload: &[u8]) -> Vec<u8> {
        let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [id, &[0x10 | len[0], len[1], len[2], len[3]], payload].concat()
    }

    /// A file with a track of FLAC, one of H.264 and one of PCM, numbered from 1, up to its clusters.
    fn head() -> Vec<u8> {
        let tracks = [("A_FLAC", 2), ("V_MPEG4/ISO/AVC", 1), ("A_PCM/INT/LIT", 2)];
        let tracks = tracks.iter().zip(1..).map(|((codec, kind), number)| {
            let private = element(&[0x63, 0xa2], &[1, 100, 0, 30, 0xff, 0xe1]);
            let kind = element(&[0x83], &[*kind]);
            let codec = element(&[0x86], codec.as_bytes());
            element(&[0xae], &[element(&[0xd7], &[number]), kind, codec, private].concat())
        });
        let tracks = element(&[0x16, 0x54, 0xae, 0x6b], &tracks.collect::<Vec<_>>().concat());
        let start = [0x1a, 0x45, 0xdf, 0xa3, 0x80, 0x18, 0x53, 0x80, 0x67, 0xff];
        [&start[..], &tracks].concat()
    }

    /// The beginning of a cluster of unknown size.
    fn cluster(time: u8) -> Vec<u8> {
        [&[0x1f, 0x43, 0xb6, 0x75, 0xff][..], &[0xe7, 0x81, time]].concat()
    }

    /// What is found in clusters: bytes, their stream, and when a unit is shown that begins with them.
    fn found(clusters: &[u8]) -> Vec<(Vec<u8>, u16, Option<i64>)> {
        let file = [&head()[..], clusters].concat();
        let mut parser = open(&mut file.as_slice()).unwrap().unwrap();
        let mut out = Vec::new();
        assert_eq!(parser.parse(Window { at: 0, bytes: &file, ends: true }, &mut out), file.len());
        let found = out.iter().map(|extent| {
            let start = usize::try_from(extent.offset).unwrap();
            let bytes = file[start..start + extent.len as usize].to_vec();
            (bytes, extent.stream, extent.unit.map(|unit| unit.time))
        });
        found.collect()
    }

    #[test]
    fn frames_are_found_in_blocks_of_both_kinds() {
        let simple = element(&[0xa3], b"\x81\0\x02\x80first");
        let block = element(&[0xa1], b"\x81\xff\xff\0second");
        let group = element(&[0xa0], &[block, element(&[0x9b], &[9])].concat());
        let unknown = element(&[0xa3], b"\x8f\0\x02\x80of no track");
        let clusters = [cluster(10), simple, unknown, cluster(20), group].concat();
        let frames = [(b"first".to_vec(), 0, Some(12)), (b"second".to_vec(), 0, Some(19))];
        assert_eq!(found(&clusters), frames);
    }

    #[test]
    fn pictures_are_taken_apart_and_samples_are_not() {
        let nals = b"\x82\0\0\x80\0\0\0\x02\x09\xf0\0\0\0\x03\x06\x05\x01\0\0\0\x02\x65\x88";
        let pcm = b"\x83\0\x01\x04\x01sixteen bytes of";
        let clusters = [cluster(5), element(&[0xa3], nals), element(&[0xa3], pcm)].concat();
        let found = found(&clusters);
        assert_eq!(found[0], (vec![6, 5, 1], 2, Some(5)));
        assert_eq!(found[1], (vec![0x65, 0x88], 1, Some(5)));
        assert_eq!(found[2], (b"sixteen bytes of".to_vec(), 3, None));
        assert_eq!(found.len(), 3);
    }

    #[test]
    fn a_unit_that_a_window_cuts_off_is_shown_again() {
        let unit = [&[0, 0, 0, 109, 0x41, 0x9a][..], &[0x7e; 107]].concat();
        let payload = [b"\x82\0\0\0".to_vec(), unit.repeat(2 * MIN_WINDOW / unit.len())].concat();
        let file = [head(), cluster(0), element(&[0xa3], &payload)].concat();
        let extents = |window: usize| {
            let mut parser = open(&mut file.as_slice()).unwrap().unwrap();
            let (mut out, mut at) = (Vec::new(), 0);
            while at < file.len() {
                let end = file.len().min(at + window);
                let shown =
                    Window { at: at as u64, bytes: &file[at..end], ends: end == file.len() };
                let done = parser.parse(shown, &mut out);
                assert!(done > 0, "stuck at {at}");
                at += done;
            }
            out.iter().map(|extent| (extent.offset, extent.len, extent.stream)).collect::<Vec<_>>()
        };
        assert_eq!(extents(MIN_WINDOW), extents(file.len()));
    }

    #[test]
    fn what_is_no_element_is_passed_over_up_to_a_cluster() {
        let simple = element(&[0xa3], b"\x81\0\0\x80frame");
        let mut clusters = [cluster(1), vec![0; 9], simple.clone(), cluster(2), simple].concat();
        assert_eq!(found(&clusters), [(b"frame".to_vec(), 0, Some(2))]);
        // A frame that is not all there.
        clusters.truncate(clusters.len() - 2);
        assert_eq!(found(&clusters), [(b"fra".to_vec(), 0, Some(2))]);
    }
}
