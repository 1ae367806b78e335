//! MXF: essence in elements, which a key and a length come before.
//!
//! Elements are taken by the number of their track, in every partition; one is a frame (OP1a) or, in
//! clips (`OPAtom`), all of them. Keys, lengths, fill, partition packs, indexes, system items and
//! all metadata are glue. What is no item is passed over up to the next key.
//!
//! # Reference
//! SMPTE ST 377-1, ST 379-2, ST 390 (`OPAtom`); RDD 44 (`ProRes`).

mod essence;
mod header;
mod klv;
mod nals;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;

use memchr::memmem::{self, Finder};

use self::essence::Track;
use self::header::{MOST, Partition, Rates};
use self::klv::{Element, Kind, Klv, LABEL, LOOK, PARTITION};
use super::lengths::MANY;
use super::{Container, Extent, MAX_STREAMS, Parser, Source, Stream, Window};

/// The most bytes before the first partition.
const RUN_IN: u64 = 64 << 10;

/// Opens an MXF file; `None` if it is none.
///
/// Reads its beginning and its header metadata, at most 16 MiB of it.
///
/// # Errors
/// Those of `source`.
pub fn open(source: &mut dyn Source) -> io::Result<Option<Box<dyn Parser>>> {
    let mut start = vec![0; in_memory(source.len().min(RUN_IN + LOOK as u64))];
    source.read_at(0, &mut start)?;
    let Some(found) = memmem::find(&start, &PARTITION) else { return Ok(None) };
    let Some(pack) = start.get(found..) else { return Ok(None) };
    let rates = match Klv::read(pack).filter(|item| item.kind() == Kind::Partition) {
        None => return Ok(None),
        Some(item) => {
            let partition = pack.get(item.head..).and_then(Partition::read);
            let after = (found as u64).saturating_add(item.head as u64).saturating_add(item.len);
            // Fill may come before the metadata and is not counted with it.
            let len = partition.map_or(0, |pack| pack.metadata.saturating_add(RUN_IN));
            let len = source.len().saturating_sub(after).min(len).min(MOST);
            let mut metadata = vec![0; in_memory(len)];
            source.read_at(after.min(source.len()), &mut metadata)?;
            Rates::read(&metadata)
        }
    };
    let state = if found == 0 { State::Key } else { State::Lost };
    Ok(Some(Box::new(Mxf {
        rates,
        streams: Vec::new(),
        tracks: BTreeMap::new(),
        body: 0,
        labels: Finder::new(&LABEL),
        state,
    })))
}

/// A length of at most 16 MiB.
fn in_memory(len: u64) -> usize {
    usize::try_from(len).unwrap_or_default()
}

/// What tells a track from others: its essence container, and the end of the key of its elements.
type Name = (u64, [u8; 4]);

#[derive(Debug)]
struct Mxf {
    rates: Rates,
    streams: Vec<Stream>,
    tracks: BTreeMap<Name, Track>,
    /// The essence container of this partition.
    body: u64,
    /// Finds what every key begins with.
    labels: Finder<'static>,
    state: State,
}

/// Where in the file it is.
#[derive(Clone, Copy, Debug)]
enum State {
    /// Before an item.
    Key,
    /// In a value that is glue, with so many bytes left.
    Skip(u64),
    /// In a value of a track, with so many bytes left.
    Value(Name, u64),
    /// In what is no item.
    Lost,
}

impl Parser for Mxf {
    fn container(&self) -> Container {
        Container::Mxf
    }

    fn streams(&self) -> &[Stream] {
        &self.streams
    }

    fn parse(&mut self, window: Window<'_>, out: &mut Vec<Extent>) -> usize {
        let (mut done, most) = (0, out.len().saturating_add(MANY));
        while let Some(rest) = window.bytes.get(done..).filter(|rest| !rest.is_empty())
            && out.len() < most
        {
            let at = window.at.saturating_add(done as u64);
            let Some(step) = self.step(at, rest, window.ends, out) else { break };
            done += step;
        }
        done
    }
}

impl Mxf {
    /// Goes on in `rest`, which lies at offset `at`; returns how many bytes it is done with, or `None` if
    /// more must be shown.
    fn step(&mut self, at: u64, rest: &[u8], ends: bool, out: &mut Vec<Extent>) -> Option<usize> {
        match self.state {
            State::Key if rest.len() < LOOK && !ends => None,
            State::Key => Some(self.item(rest)),
            State::Skip(left) => {
                let len = part(left, rest.len());
                self.state = if len as u64 == left {
                    State::Key
                } else {
                    State::Skip(left.saturating_sub(len as u64))
                };
                Some(len)
            }
            State::Value(name, left) => {
                let len = part(left, rest.len());
                let track = self.tracks.get_mut(&name)?;
                let whole = len as u64 == left;
                let value = rest.get(..len).unwrap_or_default();
                let taken = track.take(at, value, !whole && !ends, out);
                if whole && taken == len {
                    track.end();
                    self.state = State::Key;
                    return Some(len);
                }
                self.state = State::Value(name, left.saturating_sub(taken as u64));
                (taken > 0).then_some(taken)
            }
            State::Lost => {
                if let Some(found) = self.labels.find(rest) {
                    self.state = State::Key;
                    return Some(found);
                }
                let len = if ends { rest.len() } else { rest.len().saturating_sub(3) };
                (len > 0).then_some(len)
            }
        }
    }

    /// Begins an item; returns how many bytes come before its value.
    fn item(&mut self, rest: &[u8]) -> usize {
        let Some(item) = Klv::read(rest) else {
            self.state = State::Lost;
            return 1;
        };
        let value = rest.get(item.head..).unwrap_or_default();
        let value = value.get(..part(item.len, value.len())).unwrap_or_default();
        self.state = State::Skip(item.len);
        match item.kind() {
            Kind::Partition => {
                self.body = Partition::read(value).map_or(self.body, |pack| pack.body);
            }
            Kind::Element(element) if !value.is_empty() => {
                if let Some(name) = self.track(element, value) {
                    self.state = State::Value(name, item.len);
                }
            }
            _ => {}
        }
        item.head
    }

    /// The track of an element, met before or taken up now; `None` if there are too many.
    fn track(&mut self, element: Element, value: &[u8]) -> Option<Name> {
        let name = (self.body, element.number);
        if let Entry::Vacant(room) = self.tracks.entry(name) {
            let next = u16::try_from(self.streams.len()).ok()?;
            let rate = self.rates.of(element.number);
            let (track, streams) = Track::new(element, value, rate, next);
            if self.streams.len() + streams.len() > MAX_STREAMS {
                return None;
            }
            self.streams.extend(streams);
            room.insert(track);
        }
        Some(name)
    }
}

/// How much of what has `left` bytes is among the `shown` that come next.
fn part(left: u64, shown: usize) -> usize {
    usize::try_from(left).map_or(shown, |left| left.min(shown))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PICTURE: [u8; 4] = [0x15, 1, 5, 1];
    const SOUND: [u8; 4] = [0x16, 1, 3, 2];

    /// An element of the track of this number.
    fn element(number: [u8; 4], value: &[u8]) -> Vec<u8> {
        let key = [6, 0x0e, 0x2b, 0x34, 1, 2, 1, 1, 0x0d, 1, 3, 1];
        let len = u16::try_from(value.len()).unwrap().to_be_bytes();
        [&key[..], &number, &[0x82, len[0], len[1]], value].concat()
    }

    fn partition(body: u8) -> Vec<u8> {
        let mut value = vec![0; 88];
        value[63] = body;
        [&PARTITION[..], &[2, 4, 0, 88], &value].concat()
    }

    fn fill(len: u8) -> Vec<u8> {
        let key = [6, 0x0e, 0x2b, 0x34, 1, 1, 1, 2, 3, 1, 2, 0x10, 1, 0, 0, 0, len];
        [&key[..], &vec![0; usize::from(len)]].concat()
    }

    /// Codings of the streams, and what is found: bytes, their stream, when a unit is shown.
    fn found(file: &[u8]) -> (Vec<String>, Vec<(Vec<u8>, u16, Option<i64>)>) {
        let mut parser = open(&mut &*file).unwrap().unwrap();
        let mut out = Vec::new();
        assert_eq!(parser.parse(Window { at: 0, bytes: file, ends: true }, &mut out), file.len());
        let found = out.iter().map(|extent| {
            let start = usize::try_from(extent.offset).unwrap();
            let bytes = file[start..start + extent.len as usize].to_vec();
            (bytes, extent.stream, extent.unit.map(|unit| unit.time))
        });
        (parser.streams().iter().map(|stream| stream.codec.clone()).collect(), found.collect())
    }

    #[test]
    fn elements_are_told_by_number_and_container() {
        let pictures = [&[0, 0, 1, 0xb3, 7][..], &[0, 0, 1, 0, 8], &[0, 0, 1, 0xb3, 9]];
        let [first, second, third] = pictures.map(|value| element(PICTURE, value));
        let sound = [&b"ab"[..], b"cd", b"ef"].map(|value| element(SOUND, value));
        let file = [
            [partition(1), fill(30), first, sound[0].clone()].concat(),
            [fill(0), second, sound[1].clone(), partition(0), partition(1), third].concat(),
            [partition(2), sound[2].clone()].concat(),
        ];
        let (codecs, found) = found(&file.concat());
        assert_eq!(codecs, ["mpeg2", "pcm", "pcm"]);
        let [first, second, third] = pictures.map(<[u8]>::to_vec);
        let pictures = [(first, 0, Some(0)), (second, 0, None), (third, 0, Some(2))];
        assert!(pictures.iter().all(|picture| found.contains(picture)));
        let sound = [(&b"ab"[..], 1), (b"cd", 1), (b"ef", 2)];
        assert!(sound.iter().all(|(it, stream)| found.contains(&(it.to_vec(), *stream, None))));
        assert_eq!(found.len(), 6);
    }

    #[test]
    fn start_codes_and_what_containers_add_are_glue() {
        let first = [
            &[0, 0, 0, 1, 9, 0xf0, 0, 0, 0, 1, 6, 5, 1, 0, 0, 1, 0x65, 0x88, 3, 0, 0][..],
            &[3, 1, 0, 0, 0, 0, 0, 1, 0x65, 0x44, 0, 0, 0],
        ];
        let second = [0, 0, 1, 0x41, 0x9a, 5];
        let file = [partition(1), element(PICTURE, &first.concat()), element(PICTURE, &second)];
        let (codecs, found) = found(&file.concat());
        assert_eq!(codecs, ["h264", "h264"]);
        let nals = [
            (vec![6, 5, 1], 1, Some(0)),
            (vec![0x65, 0x88, 3, 0, 0, 3, 1], 0, Some(0)),
            (vec![0x65, 0x44], 0, None),
            (vec![0x41, 0x9a, 5], 0, None),
        ];
        assert_eq!(found, nals);
    }

    #[test]
    fn frames_of_a_clip_are_told_apart() {
        let frame = |number| [&[0, 0, 2, 0x80, 1][..], &[number; 20]].concat();
        let clip = element([0x15, 1, 6, 1], &[frame(7), frame(8)].concat());
        let sizes =
            [0, 0, 0, 10, b'i', b'c', b'p', b'f', 1, 2, 0, 0, 0, 9, b'i', b'c', b'p', b'f', 3];
        let prores = element([0x15, 1, 0x17, 2], &sizes);
        let (codecs, found) = found(&[partition(1), clip, prores].concat());
        assert_eq!(codecs, ["dnx", "prores"]);
        let frames = [
            (frame(7), 0, Some(0)),
            (frame(8), 0, Some(1)),
            (vec![1, 2], 1, Some(0)),
            (vec![3], 1, Some(1)),
        ];
        assert_eq!(found, frames);
    }

    #[test]
    fn what_is_no_item_is_passed_over() {
        let sound = element(SOUND, b"sound");
        let mut file = [vec![9; 40], partition(1), vec![7; 50], sound.clone(), sound].concat();
        file.truncate(file.len() - 2);
        let extents = [(b"sound".to_vec(), 0, None), (b"sou".to_vec(), 0, None)];
        assert_eq!(found(&file).1, extents);
        assert!(open(&mut &file[..100]).unwrap().is_some());
        assert!(open(&mut &file[50..]).unwrap().is_none());
    }
}
