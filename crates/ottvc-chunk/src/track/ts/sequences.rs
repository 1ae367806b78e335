//! MPEG-1 and MPEG-2 pictures: all bytes as they are, a unit at each sequence header.
//!
//! # Reference
//! ISO/IEC 13818-2, 6.2.2.1.

use memchr::memmem::Finder;

use crate::track::{Extent, Unit};

use super::piece::Piece;

/// Start code of a sequence header.
const CODE: &[u8] = &[0, 0, 1, 0xb3];

/// Marks the sequences of one PID.
#[derive(Debug)]
pub(super) struct Sequences {
    stream: u16,
    code: Finder<'static>,
}

impl Sequences {
    /// Gives all to `stream`.
    pub(super) fn new(stream: u16) -> Self {
        Self { stream, code: Finder::new(CODE) }
    }

    /// Takes the next bytes; pictures in them are shown at `time`.
    pub(super) fn take(&mut self, piece: &mut Piece<'_>, time: i64, out: &mut Vec<Extent>) {
        let bytes = piece.bytes;
        let (mut from, mut unit) = (0, None);
        for at in self.code.find_iter(bytes).chain(split_code(piece)) {
            piece.give(from..at, self.stream, &mut unit, out);
            (from, unit) = (at, Some(Unit { time }));
        }
        piece.give(from..bytes.len(), self.stream, &mut unit, out);
    }
}

/// Where a start code begins that goes on in the next packet.
fn split_code(piece: &mut Piece<'_>) -> Option<usize> {
    let bytes = piece.bytes;
    (1..CODE.len()).find_map(|len| {
        let (here, there) = CODE.split_at_checked(len)?;
        let split = bytes.ends_with(here) && piece.ahead.bytes().starts_with(there);
        split.then(|| bytes.len() - len)
    })
}
