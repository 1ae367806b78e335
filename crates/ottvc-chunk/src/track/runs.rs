//! Runs of a file that pass through windows piece by piece.

use super::{Extent, Unit};

/// Adds the `len` bytes from `offset` on, in one extent or, where its length cannot count them, more.
/// A unit begins with the first.
pub(super) fn add(
    out: &mut Vec<Extent>,
    mut offset: u64,
    mut len: usize,
    stream: u16,
    mut unit: Option<Unit>,
) {
    while len > 0 {
        let piece = u32::try_from(len).unwrap_or(u32::MAX);
        out.push(Extent { offset, len: piece, stream, unit: unit.take() });
        offset = offset.saturating_add(u64::from(piece));
        len = len.saturating_sub(piece as usize);
    }
}
