//! NAL units between start codes, as values of elements have them.
//!
//! A unit ends where three bytes 00 00 00 or 00 00 01 begin, which are never within one: zeros at its
//! end and the start code after them are glue.
//!
//! # Reference
//! ITU-T H.264 (2021) annex B; SMPTE ST 381-3.

use memchr::memmem::Finder;

use crate::track::lengths::MANY;
use crate::track::nal::{HEAD, Nal, NalCodec};
use crate::track::{Extent, Unit, runs};

/// Bytes that are looked at one by one before a search is set up, which costs more than short units do.
const NEAR: usize = 32;

/// Where in a value it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// At the beginning of a value.
    Fresh,
    /// Before a start code.
    Between,
    /// After a start code.
    Start,
    /// In a unit of a stream, which begins there if the unit of the stream is set.
    Within(u16, Option<Unit>),
    /// In a value that begins with no start code: it is taken as it is.
    Plain,
}

/// Splits values into units.
#[derive(Debug)]
pub(super) struct Nals {
    codec: NalCodec,
    /// Finds start codes; made once, since units may be short.
    starts: Finder<'static>,
    /// Finds two zeros.
    zeros: Finder<'static>,
    /// Index of the stream of pictures; that of messages is the next.
    pictures: u16,
    place: Place,
    /// Pictures begun in this value.
    begun: i64,
}

impl Nals {
    pub(super) fn new(codec: NalCodec, pictures: u16) -> Self {
        let (starts, zeros) = (Finder::new(&[0, 0, 1]), Finder::new(&[0, 0]));
        Self { codec, starts, zeros, pictures, place: Place::Fresh, begun: 0 }
    }

    /// Makes ready for another value; returns how many pictures were in the one before.
    pub(super) fn end(&mut self) -> i64 {
        self.place = Place::Fresh;
        std::mem::take(&mut self.begun)
    }

    /// Adds the extents in `bytes`, which lie at offset `at` and go on to the end of the value, unless
    /// there is `more` of it. Its first picture is shown at `time`. Returns how many bytes it is done with:
    /// of very many units not all.
    pub(super) fn take(
        &mut self,
        at: u64,
        bytes: &[u8],
        more: bool,
        time: i64,
        out: &mut Vec<Extent>,
    ) -> usize {
        let (mut done, most) = (0, out.len().saturating_add(MANY));
        while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty())
            && out.len() < most
        {
            let at = at.saturating_add(done as u64);
            let step = match self.place {
                Place::Fresh => self.begin(rest, more),
                Place::Between => self.seek(rest, more),
                Place::Start => self.classify(rest, more, time),
                Place::Within(stream, unit) => {
                    let len = self.go_on(rest, more);
                    if len > 0 {
                        runs::add(out, at, len, stream, unit);
                        if let Place::Within(_, unit) = &mut self.place {
                            *unit = None;
                        }
                    }
                    // Nothing but zeros that may end it.
                    if len == 0 && self.place != Place::Between { None } else { Some(len) }
                }
                Place::Plain => {
                    runs::add(out, at, rest.len(), self.pictures, None);
                    Some(rest.len())
                }
            };
            let Some(step) = step else { break };
            done += step;
        }
        done
    }

    fn begin(&mut self, rest: &[u8], more: bool) -> Option<usize> {
        if rest.len() < 3 && more {
            return None;
        }
        let starts = matches!(rest, [0, 0, 0 | 1, ..]);
        self.place = if starts { Place::Between } else { Place::Plain };
        Some(0)
    }

    /// Passes over start codes, and over units that are glue, up to one that may not be.
    fn seek(&mut self, rest: &[u8], more: bool) -> Option<usize> {
        let mut at = 0;
        while let Some(start) = self.start_in(rest.get(at..).unwrap_or_default()) {
            at += start + 3;
            if !self.is_glue(rest.get(at..).unwrap_or_default()) {
                self.place = Place::Start;
                return Some(at);
            }
        }
        // The last two may be the beginning of a start code.
        let len = if more { rest.len().saturating_sub(2).max(at) } else { rest.len() };
        (len > 0).then_some(len)
    }

    fn start_in(&self, bytes: &[u8]) -> Option<usize> {
        let near = bytes.get(..NEAR).unwrap_or(bytes);
        find(near, |third| third == 1).or_else(|| self.starts.find(bytes))
    }

    /// Whether the unit that begins with `bytes` is glue; `false` if they do not tell.
    fn is_glue(&self, bytes: &[u8]) -> bool {
        match bytes {
            [0, 0, 0 | 1, ..] => true,
            [first, second, _, ..] => Nal::of(self.codec, &[*first, *second]) == Nal::Glue,
            _ => false,
        }
    }

    fn classify(&mut self, rest: &[u8], more: bool, time: i64) -> Option<usize> {
        let head = rest.get(..HEAD).unwrap_or(rest);
        let end = end_in(head);
        if end.is_none() && head.len() < HEAD && more {
            return None;
        }
        let head = head.get(..end.unwrap_or(head.len())).unwrap_or_default();
        let time = time.saturating_add(self.begun);
        self.place = match Nal::of(self.codec, head) {
            Nal::Picture { key } => Place::Within(self.pictures, key.then_some(Unit { time })),
            Nal::Side => Place::Within(self.pictures.saturating_add(1), Some(Unit { time })),
            Nal::Glue => Place::Between,
        };
        if begins_picture(self.codec, head) {
            self.begun = self.begun.saturating_add(1);
        }
        Some(0)
    }

    /// How many bytes of `rest` are of the unit; what may be zeros after it is left for the next time.
    fn go_on(&mut self, rest: &[u8], more: bool) -> usize {
        if let Some(end) = self.end_of_unit(rest) {
            self.place = Place::Between;
            return end;
        }
        let zeros = rest.iter().rev().take_while(|byte| **byte == 0).count();
        if !more {
            self.place = Place::Between;
        }
        rest.len() - zeros
    }

    /// Where the unit in `bytes` ends, if that can be seen.
    fn end_of_unit(&self, bytes: &[u8]) -> Option<usize> {
        let near = bytes.get(..NEAR).unwrap_or(bytes);
        let ends = |at: &usize| matches!(bytes.get(at + 2), Some(0 | 1));
        end_in(near).or_else(|| self.zeros.find_iter(bytes).find(ends))
    }
}

/// Where a unit ends in its first bytes.
fn end_in(head: &[u8]) -> Option<usize> {
    find(head, |third| third < 2)
}

/// Where two zeros come before a byte that is wanted, which is 0 or 1.
fn find(bytes: &[u8], wanted: impl Fn(u8) -> bool) -> Option<usize> {
    let mut at = 0;
    loop {
        match bytes.get(at..).unwrap_or_default() {
            [0, 0, third, ..] if wanted(*third) => return Some(at),
            // No two zeros go on over it.
            [_, _, 2..=255, ..] => at += 3,
            [_, _, _, ..] => at += 1,
            _ => return None,
        }
    }
}

/// Whether a picture, or a field of its own, begins with a unit.
fn begins_picture(codec: NalCodec, head: &[u8]) -> bool {
    match (codec, head) {
        (NalCodec::H264, [first, second, ..]) => {
            matches!(first & 0x1f, 1 | 5) && second & 0x80 != 0
        }
        (NalCodec::Hevc, [first, _, third, ..]) => first & 0x7f < 64 && third & 0x80 != 0,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Units the plain way: bytes, and whether they are messages.
    fn plain(bytes: &[u8]) -> Vec<(Vec<u8>, bool)> {
        let mut units = Vec::new();
        let mut rest = bytes;
        while let Some(start) = rest.windows(3).position(|bytes| bytes == [0, 0, 1]) {
            rest = &rest[start + 3..];
            let zeros = rest.iter().rev().take_while(|byte| **byte == 0).count();
            let end = rest.windows(3).position(|bytes| matches!(bytes, [0, 0, 0 | 1]));
            let (unit, later) = rest.split_at(end.unwrap_or(rest.len() - zeros));
            match Nal::of(NalCodec::H264, &unit[..unit.len().min(HEAD)]) {
                Nal::Glue => {}
                kind => units.push((unit.to_vec(), kind == Nal::Side)),
            }
            rest = later;
        }
        units
    }

    #[test]
    fn units_are_those_found_the_plain_way() {
        let mut state = 1_u64;
        let mut below = |most: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).unwrap() % most
        };
        for _ in 0..20_000 {
            // Few values, so that start codes come about; sometimes long runs without any.
            let mut bytes = vec![0, 0, 1];
            for _ in 0..below(30) {
                let byte = [0, 0, 0, 1, 1, 2, 6, 9, 0x65][below(9)];
                let most = if below(9) > 0 { 2 } else { 50 };
                bytes.resize(bytes.len() + 1 + below(most), byte);
            }
            let expected = plain(&bytes);
            let (mut nals, mut out) = (Nals::new(NalCodec::H264, 0), Vec::new());
            assert_eq!(nals.take(0, &bytes, false, 0, &mut out), bytes.len());
            let found = out.iter().map(|extent| {
                let start = usize::try_from(extent.offset).unwrap();
                (bytes[start..start + extent.len as usize].to_vec(), extent.stream == 1)
            });
            assert_eq!(found.collect::<Vec<_>>(), expected, "{bytes:?}");
        }
    }
}
