//! What one packet holds of the bytes of its PID, and extents within it.

use std::ops::Range;

use crate::track::{Extent, Unit};

use super::packet::{Ahead, PEEK};

/// What one packet holds of the bytes of its PID: no packet header, no PES header.
#[derive(Debug)]
pub(super) struct Piece<'a> {
    /// The bytes.
    pub(super) bytes: &'a [u8],
    /// Where they begin in the file.
    pub(super) at: u64,
    /// What comes after them.
    pub(super) ahead: Ahead<'a>,
}

impl Piece<'_> {
    /// Returns [`PEEK`] bytes from `from` on, in later packets too; fewer if there are no more.
    pub(super) fn peek<'s>(&'s mut self, from: usize, room: &'s mut [u8; PEEK]) -> &'s [u8] {
        let here = self.bytes.get(from..).unwrap_or_default();
        if let Some(enough) = here.get(..PEEK) {
            return enough;
        }
        let mut len = 0;
        for (to, byte) in room.iter_mut().zip(here.iter().chain(self.ahead.bytes())) {
            *to = *byte;
            len += 1;
        }
        room.get(..len).unwrap_or_default()
    }

    /// Adds the bytes in `range` to `out`, if there are any, as an extent that a unit may begin with.
    pub(super) fn give(
        &self,
        range: Range<usize>,
        stream: u16,
        unit: &mut Option<Unit>,
        out: &mut Vec<Extent>,
    ) {
        let len = u32::try_from(range.len()).unwrap_or_default();
        if len > 0 {
            let offset = self.at + range.start as u64;
            out.push(Extent { offset, len, stream, unit: unit.take() });
        }
    }
}
