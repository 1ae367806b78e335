//! Samples of NAL units, each behind its length, as MP4 and Matroska keep them.
//!
//! Lengths are glue, and so are units that containers add; what is left goes to a stream of pictures and
//! one of messages beside it. A sample need not be in view as a whole: one longer than a window is split
//! piece by piece. Where lengths make no sense, what is left of a sample goes to the pictures as it is.
//!
//! # Reference
//! ISO/IEC 14496-15, 5.3.2 (`NALUSample`).

use super::nal::{HEAD, Nal, NalCodec};
use super::{Extent, MIN_WINDOW, Unit};

/// The most extents added in one go, so that a file of tiny samples cannot fill the memory.
pub(super) const MANY: usize = 1 << 18;

/// How the samples of a track are made of NAL units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lengths {
    /// The coding of the units.
    pub codec: NalCodec,
    /// Bytes of a length, 1 to 4, most significant first.
    pub size: u8,
    /// Index of the stream of pictures.
    pub pictures: u16,
    /// Index of the stream of messages.
    pub side: u16,
}

/// What is left of a sample that is being split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    at: u64,
    left: u64,
    time: i64,
    /// The unit that `at` lies in: its stream, if it is no glue, and its bytes from `at` on.
    within: Option<(Option<u16>, u64)>,
}

impl Sample {
    /// Begins a sample of `len` bytes at offset `at` of the file, shown at `time`.
    pub fn new(at: u64, len: u64, time: i64) -> Self {
        Self { at, left: len, time, within: None }
    }

    /// How many bytes are still to come.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Adds the extents in `bytes`, which go on where the sample does and may go on past its end, and
    /// returns how many bytes it is done with. Those are fewer than are left of the sample and in view
    /// where the next unit is to be shown again as a whole, or after very many extents.
    ///
    /// A unit that could fit a window of [`MIN_WINDOW`] is taken as a whole, from its length on; a longer
    /// one in pieces, as it comes into view. If the file `ends` with `bytes`, all are taken as they are.
    pub fn split(
        &mut self,
        lengths: Lengths,
        bytes: &[u8],
        ends: bool,
        out: &mut Vec<Extent>,
    ) -> usize {
        let shown = usize::try_from(self.left).map_or(bytes.len(), |left| left.min(bytes.len()));
        let bytes = bytes.get(..shown).unwrap_or_default();
        let most = out.len().saturating_add(MANY);
        let mut rest = bytes;
        while !rest.is_empty() && out.len() < most {
            let done = match self.within {
                Some((stream, left)) => self.go_on(stream, left, rest.len(), None, out),
                None => match empty(rest, usize::from(lengths.size)) {
                    0 => self.begin(lengths, rest, ends, out),
                    empty => {
                        self.pass(empty);
                        empty
                    }
                },
            };
            if done == 0 {
                break;
            }
            rest = rest.get(done..).unwrap_or_default();
        }
        bytes.len() - rest.len()
    }

    /// Begins the unit whose length comes first in `rest`; returns 0 if more of it must be in view.
    fn begin(&mut self, lengths: Lengths, rest: &[u8], ends: bool, out: &mut Vec<Extent>) -> usize {
        let pictures = Some(lengths.pictures);
        let size = usize::from(lengths.size);
        let Some((length, unit)) = rest.split_at_checked(size) else {
            let whole = rest.len() as u64 >= self.left;
            return if whole || ends {
                self.go_on(pictures, self.left, rest.len(), None, out)
            } else {
                0
            };
        };
        let length = length.iter().fold(0, |value: u64, byte| value << 8 | u64::from(*byte));
        if length > self.left.saturating_sub(size as u64) {
            return self.go_on(pictures, self.left, rest.len(), None, out);
        }
        let fits = length.saturating_add(size as u64) <= MIN_WINDOW as u64;
        let needed = if fits { length } else { HEAD as u64 };
        if (unit.len() as u64) < needed && !ends {
            return 0;
        }
        self.pass(size);
        let head = usize::try_from(length).map_or(HEAD, |length| length.min(HEAD));
        let (stream, begins) = match Nal::of(lengths.codec, unit.get(..head).unwrap_or(unit)) {
            Nal::Picture { key } => (pictures, key),
            Nal::Side => (Some(lengths.side), true),
            Nal::Glue => (None, false),
        };
        let begun = begins.then_some(Unit { time: self.time });
        size + self.go_on(stream, length, unit.len(), begun, out)
    }

    /// Takes what is in view, `shown` bytes, of the `left` bytes of a unit.
    fn go_on(
        &mut self,
        stream: Option<u16>,
        left: u64,
        shown: usize,
        begun: Option<Unit>,
        out: &mut Vec<Extent>,
    ) -> usize {
        let shown = u32::try_from(shown).unwrap_or(u32::MAX);
        let len = u32::try_from(left).map_or(shown, |left| left.min(shown));
        if let Some(stream) = stream.filter(|_| len > 0) {
            out.push(Extent { offset: self.at, len, stream, unit: begun });
        }
        self.pass(len as usize);
        self.within =
            left.checked_sub(u64::from(len)).filter(|left| *left > 0).map(|left| (stream, left));
        len as usize
    }

    fn pass(&mut self, len: usize) {
        self.at = self.at.saturating_add(len as u64);
        self.left = self.left.saturating_sub(len as u64);
    }
}

/// How many bytes `rest` begins with that are lengths, of `size` bytes, of units without a byte. A file may
/// have nothing else.
fn empty(rest: &[u8], size: usize) -> usize {
    let zeros = rest.iter().position(|byte| *byte != 0).unwrap_or(rest.len());
    zeros - zeros % size.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTHS: Lengths = Lengths { codec: NalCodec::H264, size: 4, pictures: 3, side: 4 };

    fn units(units: &[&[u8]]) -> Vec<u8> {
        let prefixed =
            |unit: &&[u8]| [&u32::try_from(unit.len()).unwrap().to_be_bytes(), *unit].concat();
        units.iter().flat_map(prefixed).collect()
    }

    /// Splits with windows of `window` bytes; returns the extents, pieces joined.
    fn split(bytes: &[u8], window: usize) -> Vec<Extent> {
        let mut sample = Sample::new(100, bytes.len() as u64, 7);
        let (mut out, mut at) = (Vec::new(), 0);
        while at < bytes.len() {
            let end = bytes.len().min(at + window);
            let done = sample.split(LENGTHS, &bytes[at..end], end == bytes.len(), &mut out);
            assert!(done > 0, "a window of {window} bytes at {at} is no progress");
            at += done;
        }
        assert_eq!(sample.left(), 0);
        let mut joined: Vec<Extent> = Vec::new();
        for extent in out {
            match joined.last_mut() {
                Some(last)
                    if last.offset + u64::from(last.len) == extent.offset
                        && extent.unit.is_none() =>
                {
                    assert_eq!(last.stream, extent.stream);
                    last.len += extent.len;
                }
                _ => joined.push(extent),
            }
        }
        joined
    }

    #[test]
    fn units_go_where_they_belong() {
        let bytes =
            units(&[&[9, 0xf0], &[6, 5, 1], &[], &[0x65, 0x88, 1, 2], &[0x65, 0x44, 3], &[12]]);
        let unit = Some(Unit { time: 7 });
        let expected = [
            Extent { offset: 110, len: 3, stream: 4, unit },
            Extent { offset: 121, len: 4, stream: 3, unit },
            Extent { offset: 129, len: 3, stream: 3, unit: None },
        ];
        assert_eq!(split(&bytes, 1 << 20), expected);
    }

    #[test]
    fn units_without_a_byte_are_passed_over() {
        let mut all = vec![&[][..]; 1000];
        all.extend([&[0x65, 0x88, 1][..], &[], &[0x41, 0x9a]]);
        let expected = [
            Extent { offset: 4104, len: 3, stream: 3, unit: Some(Unit { time: 7 }) },
            Extent { offset: 4115, len: 2, stream: 3, unit: None },
        ];
        for window in [50, 1 << 20] {
            assert_eq!(split(&units(&all), window), expected);
        }
    }

    #[test]
    fn a_long_unit_comes_in_pieces() {
        let mut long = vec![0; 3 << 20];
        long[..2].copy_from_slice(&[0x65, 0x88]);
        let bytes = units(&[&[0x41, 0x9a], &long, &[0x41, 0x9b]]);
        let whole = split(&bytes, bytes.len());
        assert_eq!(whole.iter().map(|extent| extent.len).collect::<Vec<_>>(), [2, 3 << 20, 2]);
        for window in [MIN_WINDOW, MIN_WINDOW + 1, 2_000_003] {
            assert_eq!(split(&bytes, window), whole);
        }
    }

    #[test]
    fn a_senseless_length_leaves_the_rest_to_the_pictures() {
        let mut bytes = units(&[&[0x41, 0x9a]]);
        bytes.extend([0, 0, 1, 0, 0x41]);
        let (mut sample, mut out) = (Sample::new(0, 11, 0), Vec::new());
        assert_eq!(sample.split(LENGTHS, &bytes, true, &mut out), 11);
        assert_eq!(out.iter().map(|extent| extent.len).collect::<Vec<_>>(), [2, 5]);
        assert_eq!(split(&[0, 0], 1 << 20).len(), 1);
    }

    #[test]
    fn a_unit_is_shown_again_as_a_whole() {
        let bytes = units(&[&[0x41, 0x9a], &[0x65, 0x88, 1, 2]]);
        let mut sample = Sample::new(0, bytes.len() as u64, 0);
        let mut out = Vec::new();
        assert_eq!(sample.split(LENGTHS, &bytes[..12], false, &mut out), 6);
        assert_eq!(sample.split(LENGTHS, &bytes[6..], false, &mut out), 8);
        assert_eq!(out.len(), 2);
    }
}
