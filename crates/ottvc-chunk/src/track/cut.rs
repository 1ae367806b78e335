//! Where a track stream is cut into chunks.
//!
//! A stream is cut before units, and what follows a unit decides: never what came before it, since a
//! segment, or an edition that begins later, has nothing before it. Only a stretch between two cuts that
//! is too long is cut by its bytes alone, from its beginning on. The rule is one for a store, never one for a file,
//! so that what a master and its segments share becomes the same chunks.
//!
//! # Reference
//! A unit at byte `p` whose next one (or the end of the stream) is at `n` begins a chunk if
//! `n - p >= target`, or if `h * target / 2⁶⁴ < n - p`, where `h` is the first 8 bytes, little-endian, of
//! BLAKE3 over the bytes from `p` to `n`, the first 4096 at most. Where more than `whole` bytes lie between
//! two such cuts, or the ends of the stream, they are cut by FastCDC with `split` as if they were a file.

use std::collections::VecDeque;

use ottvc_object::manifest::CutRule;

pub use ottvc_object::manifest::tracks::{TrackRule, UnitRule};

use super::{Role, Stream, Units};
use crate::{ChunkError, Cutter};

/// The longest chunk of a track stream, in bytes.
pub const MAX_TRACK_CHUNK: u32 = 4 << 20;

/// How much of what follows a unit is looked at, in bytes.
const LOOK: u64 = 4096;

/// Cuts one stream, from its beginning to its end.
#[derive(Clone, Debug)]
pub struct StreamCutter {
    split: Cutter,
    /// 0 if there are no units.
    target: u64,
    whole: u64,
    /// Where the last cut is, and the last one that is not by the bytes alone.
    start: u64,
    anchor: u64,
    /// Units after `anchor` that nothing is decided about.
    units: VecDeque<u64>,
    /// A cut decided about that lies ahead.
    ahead: Option<u64>,
}

impl StreamCutter {
    /// Cuts `stream` as `rule` says.
    ///
    /// # Errors
    /// [`ChunkError::BadRule`] for sizes out of order, or chunks longer than [`MAX_TRACK_CHUNK`].
    pub fn of(rule: &TrackRule, stream: &Stream) -> Result<Self, ChunkError> {
        match (stream.units, stream.role) {
            (Units::Marked, Role::Video) => Self::units(rule.video),
            (Units::Marked, _) => Self::units(rule.other),
            (Units::Raw, Role::Audio) => Self::raw(rule.samples),
            (Units::Raw, _) => Self::raw(rule.raw),
        }
    }

    /// Cuts glue, a map or an index as `rule` says.
    ///
    /// # Errors
    /// As [`StreamCutter::of`].
    pub fn of_glue(rule: &TrackRule) -> Result<Self, ChunkError> {
        Self::raw(rule.glue)
    }

    /// Cuts before units.
    fn units(rule: UnitRule) -> Result<Self, ChunkError> {
        let UnitRule { target, whole, split: CutRule::FastCdc { min, .. } } = rule;
        if target == 0 || target > whole || whole > MAX_TRACK_CHUNK {
            return Err(ChunkError::BadRule { min, avg: target, max: whole });
        }
        let (target, whole) = (u64::from(target), u64::from(whole));
        Ok(Self { target, whole, ..Self::raw(rule.split)? })
    }

    /// Cuts by the bytes alone.
    fn raw(rule: CutRule) -> Result<Self, ChunkError> {
        let CutRule::FastCdc { min, avg, max } = rule;
        if max > MAX_TRACK_CHUNK {
            return Err(ChunkError::BadRule { min, avg, max });
        }
        let split = Cutter::new(rule)?;
        let units = VecDeque::new();
        Ok(Self { split, target: 0, whole: 0, start: 0, anchor: 0, units, ahead: None })
    }

    /// Says that a unit begins at byte `position` of the stream. Those of bytes shown are known by then.
    ///
    /// What is out of order says nothing, nor does a unit of a stream that is cut by its bytes alone.
    pub fn unit(&mut self, position: u64) {
        let last = self.units.back().copied().max(self.ahead).unwrap_or(self.anchor);
        if self.target > 0 && position > last {
            self.units.push_back(position);
        }
    }

    /// Returns the length of the next chunk, at least 1; `None` if that cannot be told yet.
    ///
    /// `window` is what there is of the stream after the last chunk, the stream ending with it if
    /// `ends`. With all of a stream at hand it is `None` only at the end. What is not told keeps no
    /// more bytes waiting than the longest chunk and a unit's target.
    pub fn cut(&mut self, window: &[u8], ends: bool) -> Option<usize> {
        if window.is_empty() {
            return None;
        }
        let end = self.start + window.len() as u64;
        loop {
            self.decide(window, end, ends);
            // As far as this, all that could be a cut is known.
            let (bound, fixed) = match (self.ahead, self.units.front()) {
                (Some(ahead), _) => (ahead, true),
                (None, Some(unit)) if *unit < end => (*unit, false),
                _ => (end, ends),
            };
            if bound == self.start && self.ahead.is_some() {
                // The bytes alone have led to a cut there already.
                self.anchor = bound;
                self.ahead = None;
                continue;
            }
            let span = usize::try_from(bound - self.start).unwrap_or(usize::MAX);
            let len = if bound - self.anchor > self.whole {
                if !fixed && span < self.split.max() {
                    // It could be told for some, but most would be looked through again.
                    return None;
                }
                self.split.cut(window.get(..span)?, fixed)?
            } else if fixed {
                span
            } else {
                return None;
            };
            self.start += len as u64;
            if self.ahead == Some(self.start) {
                self.anchor = self.start;
                self.ahead = None;
            }
            return Some(len);
        }
    }

    /// Decides about units until there is a cut ahead, or one cannot be told yet.
    fn decide(&mut self, window: &[u8], end: u64, ends: bool) {
        while self.ahead.is_none()
            && let Some(unit) = self.units.front().copied()
        {
            if unit >= end {
                if ends {
                    self.units.clear();
                }
                return;
            }
            let next = self.units.get(1).copied().or(ends.then_some(end));
            let run = next.map_or(end - unit, |next| next - unit);
            let begins = if run >= self.target {
                true
            } else if next.is_none() || unit + run.min(LOOK) > end {
                return;
            } else {
                let front = usize::try_from(unit - self.start).unwrap_or(usize::MAX);
                let len = usize::try_from(run.min(LOOK)).unwrap_or_default();
                let Some(look) = window.get(front..).and_then(|rest| rest.get(..len)) else {
                    return;
                };
                let [a, b, c, d, e, f, g, h, ..] = *blake3::hash(look).as_bytes();
                let hash = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
                (u128::from(hash) * u128::from(self.target)) >> 64 < u128::from(run)
            };
            self.units.pop_front();
            self.ahead = begins.then_some(unit);
        }
    }
}

#[cfg(test)]
mod tests;
