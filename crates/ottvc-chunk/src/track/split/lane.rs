//! The bytes of a stream, of the glue or of the map, until they are chunks.

use std::collections::VecDeque;
use std::ops::Range;

use super::{Lane, LaneTotal, TrackBlock};
use crate::track::Unit;
use crate::track::cut::StreamCutter;

/// What waits to be proved and cut.
#[derive(Debug)]
pub(super) struct Buffer {
    /// To be appended to; what is not cut.
    pub(super) bytes: Vec<u8>,
    /// Bytes that are cut, and chunks.
    cut: LaneTotal,
    cutter: StreamCutter,
    /// Units in what is not cut: where they begin and when they are shown.
    units: VecDeque<(u64, Unit)>,
    /// How much waited when it could not be told where to cut.
    tried: usize,
    /// Memory for cuts: times and places.
    cuts: Vec<(Option<i64>, Range<usize>)>,
}

impl Buffer {
    pub(super) fn new(cutter: StreamCutter) -> Self {
        let (bytes, units, cut) = (Vec::new(), VecDeque::new(), LaneTotal::default());
        Self { bytes, cut, cutter, units, tried: 0, cuts: Vec::new() }
    }

    /// Says that a unit begins with the next byte.
    pub(super) fn unit(&mut self, unit: Unit) {
        let position = self.total().bytes;
        if self.units.back().is_none_or(|(last, _)| *last < position) {
            self.units.push_back((position, unit));
            self.cutter.unit(position);
        }
    }

    /// All bytes so far, and the chunks made of them.
    pub(super) fn total(&self) -> LaneTotal {
        LaneTotal { bytes: self.cut.bytes + self.waiting() as u64, chunks: self.cut.chunks }
    }

    /// How many bytes are not cut.
    pub(super) fn waiting(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes from `start` on that have come so far; those already cut are no more to be had.
    pub(super) fn from(&self, start: u64) -> &[u8] {
        let start = start.checked_sub(self.cut.bytes).and_then(|at| usize::try_from(at).ok());
        start.and_then(|start| self.bytes.get(start..)).unwrap_or_default()
    }

    /// Moves the chunks that are whole among the first `proved` bytes to `block`.
    pub(super) fn cut(&mut self, proved: u64, ends: bool, lane: Lane, block: &mut TrackBlock) {
        let end = proved.saturating_sub(self.cut.bytes);
        let end = usize::try_from(end).unwrap_or(usize::MAX);
        // Looking again through much that waits, for little that is new, is not worth it.
        if !ends && end < self.tried + self.tried / 8 {
            return;
        }
        let mut done = 0;
        self.cuts.clear();
        while let Some(window) = self.bytes.get(done..end)
            && let Some(len) = self.cutter.cut(window, ends)
        {
            self.cut.bytes += len as u64;
            self.cut.chunks += 1;
            let begun = self.units.partition_point(|(at, _)| *at < self.cut.bytes);
            let first = self.units.drain(..begun).next();
            self.cuts.push((first.map(|(_, unit)| unit.time), done..done + len));
            done += len;
        }
        self.tried = end.saturating_sub(done);
        block.push(lane, &mut self.bytes, &self.cuts);
    }
}
