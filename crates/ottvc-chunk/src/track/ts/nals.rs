//! NAL units, without the start codes before them and the zeros after them.
//!
//! Three zeros in a row never stand within a unit: where they are, it has ended. So zeros at the end of a
//! packet are glue or not by the few bytes that follow, however a stream is cut into packets.
//!
//! # Reference
//! ITU-T H.264 and ITU-T H.265, annex B.

use memchr::memmem::Finder;

use crate::track::nal::{HEAD, Nal, NalCodec};
use crate::track::{Extent, Unit};

use super::packet::PEEK;
use super::piece::Piece;

/// As many zeros in a row end a unit whatever comes after them.
const END: usize = 3;

/// Tells the units of one PID apart.
#[derive(Debug)]
pub(super) struct Nals {
    codec: NalCodec,
    pictures: u16,
    side: u16,
    /// Where the unit goes that was begun; `None` for glue.
    to: Option<u16>,
    unit: Option<Unit>,
    /// Zeros at the end of what was seen, up to [`END`], which belong to no unit.
    zeros: usize,
    /// Whether what was seen ended with a start code.
    fresh: bool,
    zero_pair: Finder<'static>,
}

/// Where the data of a unit ends in a piece.
struct End {
    /// After its last byte.
    data: usize,
    /// After the zeros, and the start code if they are of one.
    next: usize,
    /// Whether a unit begins there.
    fresh: bool,
}

impl Nals {
    /// Gives pictures to the one stream and messages to the other.
    pub(super) fn new(codec: NalCodec, pictures: u16, side: u16) -> Self {
        let zero_pair = Finder::new(b"\0\0");
        Self { codec, pictures, side, to: None, unit: None, zeros: 0, fresh: false, zero_pair }
    }

    /// Bytes are missing before those that come next.
    pub(super) fn lose(&mut self) {
        self.zeros = 0;
        if self.fresh {
            (self.fresh, self.to) = (false, None);
        }
    }

    /// Takes the next bytes; pictures in them are shown at `time`.
    pub(super) fn take(&mut self, piece: &mut Piece<'_>, time: i64, out: &mut Vec<Extent>) {
        let mut from = self.go_on(piece.bytes);
        while from < piece.bytes.len() {
            if self.fresh {
                self.begin(piece, from, time);
            }
            let end = self.end(piece, from);
            if let Some(stream) = self.to {
                piece.give(from..end.data, stream, &mut self.unit, out);
            }
            (from, self.fresh) = (end.next, end.fresh);
        }
    }

    /// Passes what ends the zeros before `bytes`, and returns where data begins.
    fn go_on(&mut self, bytes: &[u8]) -> usize {
        if self.zeros == 0 {
            return 0;
        }
        let run = zeros(bytes);
        let all = (self.zeros + run).min(END);
        let next = bytes.get(run);
        self.zeros = if next.is_none() { all } else { 0 };
        match next {
            Some(1) if all >= 2 => {
                self.fresh = true;
                run + 1
            }
            Some(_) if all < END => 0,
            _ => run,
        }
    }

    /// Finds out what the unit is that begins at `from`.
    fn begin(&mut self, piece: &mut Piece<'_>, from: usize, time: i64) {
        let mut room = [0; PEEK];
        let head = piece.peek(from, &mut room);
        let end = head.windows(3).position(|bytes| matches!(bytes, [0, 0, 0 | 1]));
        let len = end.unwrap_or(head.len()).min(HEAD);
        let (to, unit) = match Nal::of(self.codec, head.get(..len).unwrap_or_default()) {
            Nal::Picture { key } => (Some(self.pictures), key),
            Nal::Side => (Some(self.side), true),
            Nal::Glue => (None, false),
        };
        (self.to, self.unit) = (to, unit.then_some(Unit { time }));
    }

    /// Finds the end of the data that begins at `from`.
    fn end(&mut self, piece: &mut Piece<'_>, from: usize) -> End {
        let bytes = piece.bytes;
        let mut at = from;
        let tail = loop {
            let rest = bytes.get(at..).unwrap_or_default();
            let Some(found) = self.zero_pair.find(rest) else {
                break usize::from(rest.last() == Some(&0));
            };
            let data = at + found;
            let run = zeros(bytes.get(data..).unwrap_or_default());
            let next = data + run;
            match bytes.get(next) {
                None => break run,
                Some(1) => return End { data, next: next + 1, fresh: true },
                Some(_) if run >= END => return End { data, next, fresh: false },
                Some(_) => at = next,
            }
        };
        let next = bytes.len();
        let ends = tail > 0 && ends_before(tail, piece);
        self.zeros = if ends { tail.min(END) } else { 0 };
        End { data: if ends { next - tail } else { next }, next, fresh: false }
    }
}

/// Whether a unit has ended before the last `tail` bytes of a piece, which are zeros.
fn ends_before(tail: usize, piece: &mut Piece<'_>) -> bool {
    if tail >= END {
        return true;
    }
    let ahead = piece.ahead.bytes();
    let run = zeros(ahead);
    // With nothing after them, they are no data either.
    tail + run >= END || ahead.get(run).is_none_or(|next| tail + run == 2 && *next == 1)
}

/// How many zeros `bytes` begin with.
fn zeros(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len())
}
