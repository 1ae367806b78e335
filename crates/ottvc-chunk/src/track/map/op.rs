//! One operation: its bytes, and what it makes.

use super::number;
use super::packets::{BODY, Packets};
use super::{MAX_RUN, Made};
use crate::track::map::packets::Header;

/// The head byte of a count of repetitions.
const AGAIN: u8 = 0x0f;
/// Stream bits of a head whose stream is in a byte of its own.
const FAR: u8 = 7;
/// A null packet's header.
pub(super) const NULL: [u8; 4] = [0x47, 0x1f, 0xff, 0x10];

/// What an operation makes between glue and run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Plain,
    /// Length of the run in 1, 2 or 4 bytes.
    Length(u8),
    /// A start code of 3 or 4 bytes.
    Start(u8),
    /// The next header.
    Next {
        start: bool,
        field: bool,
    },
    /// The next header and stuffing.
    Stuffed,
    Header(Header),
    Null,
}

/// The run of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Run {
    None,
    /// To the end of the packet.
    Rest,
    Of(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Op {
    pub(super) kind: Kind,
    pub(super) stream: u8,
    pub(super) literal: u32,
    pub(super) run: Run,
}

/// How many bytes of each sort an operation makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) literal: u32,
    pub(super) made: u8,
    /// Bytes `ff` after the made ones.
    pub(super) padding: u8,
    pub(super) run: u32,
    /// What is left of the packet afterwards.
    left: u8,
}

impl Shape {
    /// All bytes together.
    pub(super) fn total(&self) -> u64 {
        u64::from(self.literal)
            + u64::from(self.made)
            + u64::from(self.padding)
            + u64::from(self.run)
    }
}

impl Op {
    /// Appends its bytes.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        let kind = match self.kind {
            Kind::Plain => 0,
            Kind::Length(1) => 1,
            Kind::Length(2) => 2,
            Kind::Length(_) => 3,
            Kind::Start(3) => 4,
            Kind::Start(_) => 5,
            Kind::Next { start, field } => 6 + u8::from(start) + 2 * u8::from(field),
            Kind::Stuffed => 10,
            Kind::Header(_) => 11,
            Kind::Null => 12,
        };
        let literal = if self.literal > 0 { 0x80 } else { 0 };
        out.push(kind | self.stream.min(FAR) << 4 | literal);
        if self.stream >= FAR {
            out.push(self.stream);
        }
        if self.literal > 0 {
            number::put(out, u64::from(self.literal));
        }
        let run = match self.run {
            Run::None => 0,
            Run::Rest => 1,
            Run::Of(len) => u64::from(len) + 1,
        };
        number::put(out, run);
        if let Kind::Header(header) = self.kind {
            out.extend_from_slice(&header);
        }
    }

    /// Takes an operation from the front of `bytes`.
    pub(super) fn take(bytes: &mut &[u8]) -> Result<Self, &'static str> {
        const SHORT: &str = "it ends in an operation";
        let byte = |bytes: &mut &[u8]| {
            let (first, rest) = bytes.split_first()?;
            *bytes = rest;
            Some(*first)
        };
        let head = byte(bytes).ok_or(SHORT)?;
        let near = head >> 4 & 7;
        let stream = if near == FAR { byte(bytes).ok_or(SHORT)? } else { near };
        if near == FAR && stream < FAR {
            return Err("a near stream is written as a far one");
        }
        let mut literal = 0;
        if head & 0x80 != 0 {
            literal = number::take(bytes).and_then(short).ok_or("a literal has no length")?;
            if literal == 0 {
                return Err("a literal is empty");
            }
        }
        let run = match number::take(bytes).ok_or("a run has no length")? {
            0 => Run::None,
            1 => Run::Rest,
            more => Run::Of(short(more - 1).ok_or("a run is too long")?),
        };
        let kind = match head & 0x0f {
            0 => Kind::Plain,
            1 => Kind::Length(1),
            2 => Kind::Length(2),
            3 => Kind::Length(4),
            4 => Kind::Start(3),
            5 => Kind::Start(4),
            kind @ 6..=9 => Kind::Next { start: kind & 1 != 0, field: kind >= 8 },
            10 => Kind::Stuffed,
            11 => {
                let (header, rest) = bytes.split_first_chunk().ok_or(SHORT)?;
                *bytes = rest;
                Kind::Header(*header)
            }
            12 => Kind::Null,
            _ => return Err("there is no such operation"),
        };
        Ok(Self { kind, stream, literal, run })
    }

    /// Appends that the operation before is to be done `count` times more.
    pub(super) fn put_again(out: &mut Vec<u8>, count: u64) {
        out.push(AGAIN);
        number::put(out, count);
    }

    /// Takes a count of repetitions from the front of `bytes`; 0 if another operation is there.
    pub(super) fn take_again(bytes: &mut &[u8]) -> Result<u64, &'static str> {
        let Some((&AGAIN, mut rest)) = bytes.split_first() else { return Ok(0) };
        let count = number::take(&mut rest).ok_or("a repetition has no count")?;
        *bytes = rest;
        if count == 0 { Err("a repetition has no count") } else { Ok(count) }
    }

    /// How many bytes it makes where `left` are left of a packet.
    pub(super) fn shape(&self, left: u8) -> Result<Shape, &'static str> {
        let less = |left: u8, by: u32| left.saturating_sub(u8::try_from(by).unwrap_or(u8::MAX));
        let left = less(left, self.literal);
        let (made, padding, left) = match (self.kind, self.run) {
            (Kind::Plain, _) => (0, 0, left),
            (Kind::Length(len), Run::Of(run)) => {
                if len < 4 && run >> (8 * u32::from(len)) != 0 {
                    return Err("a length does not fit");
                }
                (len, 0, less(left, u32::from(len)))
            }
            (Kind::Length(_), _) => return Err("a length is made of no length"),
            (Kind::Start(len), _) => (len, 0, less(left, u32::from(len))),
            (Kind::Next { .. } | Kind::Header(_), _) => (4, 0, BODY),
            (Kind::Stuffed, Run::Of(run)) => {
                let left = u8::try_from(run).ok().filter(|run| *run < BODY);
                let left = left.ok_or("stuffing has no room")?;
                let field = BODY - left;
                (4 + field.min(2), field.saturating_sub(2), left)
            }
            (Kind::Stuffed, _) => return Err("stuffing fills up no run"),
            (Kind::Null, Run::None) if self.stream == 0 => (4, BODY, 0),
            (Kind::Null, _) => return Err("a null packet has a stream"),
        };
        let run = match self.run {
            Run::None => 0,
            Run::Rest if left == 0 => return Err("nothing is left of the packet"),
            Run::Rest => u32::from(left),
            Run::Of(run) => run,
        };
        let shape = Shape { literal: self.literal, made, padding, run, left: less(left, run) };
        if shape.total() == 0 { Err("an operation makes nothing") } else { Ok(shape) }
    }

    /// Whether it needs a stream.
    pub(super) fn has_stream(&self) -> bool {
        let header = matches!(self.kind, Kind::Next { .. } | Kind::Stuffed | Kind::Header(_));
        header || self.run != Run::None
    }

    /// Does it: returns the made bytes of `shape` and brings `packets` up to date.
    pub(super) fn make(&self, shape: Shape, packets: &mut Packets) -> Result<Made, &'static str> {
        const NO_HEADER: &str = "a stream has no header yet";
        packets.left = shape.left;
        Ok(match self.kind {
            Kind::Plain => Made::new(&[]),
            Kind::Length(len) => {
                let bytes = shape.run.to_be_bytes();
                Made::new(bytes.get(4 - usize::from(len).min(4)..).unwrap_or_default())
            }
            Kind::Start(3) => Made::new(&[0, 0, 1]),
            Kind::Start(_) => Made::new(&[0, 0, 0, 1]),
            Kind::Next { start, field } => {
                let [a, b, c] = packets.advance(self.stream, start, field).ok_or(NO_HEADER)?;
                Made::new(&[0x47, a, b, c])
            }
            Kind::Stuffed => {
                let [a, b, c] = packets.advance(self.stream, false, true).ok_or(NO_HEADER)?;
                let field = shape.made - 4 + shape.padding;
                let bytes = [0x47, a, b, c, field.saturating_sub(1), 0];
                Made::new(bytes.get(..usize::from(shape.made)).unwrap_or_default())
            }
            Kind::Header(header) => {
                if !packets.set(self.stream, header) {
                    return Err("there are too many headers");
                }
                let [a, b, c] = header;
                Made::new(&[0x47, a, b, c])
            }
            Kind::Null => Made::new(&NULL),
        })
    }

    /// Does it `count` times, where it makes packets of its own: returns the first one's sync byte and
    /// header and brings `packets` up to date. `None` if there is no header to go on from.
    pub(super) fn repeat(
        &self,
        shape: Shape,
        count: u64,
        packets: &mut Packets,
    ) -> Option<[u8; 4]> {
        let header = match self.kind {
            Kind::Next { start, field } => {
                let [a, b, c] = packets.advance_by(self.stream, start, field, count)?;
                [0x47, a, b, c]
            }
            Kind::Null => NULL,
            _ => return None,
        };
        packets.left = shape.left;
        Some(header)
    }
}

/// A length that a run may have.
fn short(len: u64) -> Option<u32> {
    u32::try_from(len).ok().filter(|len| *len <= MAX_RUN)
}
