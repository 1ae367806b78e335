//! The index of a file that is kept by its tracks: where its map can be entered, and when the chunks of
//! its streams are shown.
//!
//! # Reference
//! `docs/format.md`, Track streams. Integers are of variable length, seven bits a byte from the lowest on,
//! the highest bit set where more follow: the length of the table of checkpoints, the table; then for each
//! stream the number of its chunks, and for each of those 0, or one more than the zig-zag difference of
//! its time to the time before it in the stream (0 at first).

use super::map::{Checkpoints, number};
use crate::ChunkError;

/// Where the map of a file can be entered, and when the chunks of its streams are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackIndex {
    /// Where the map can be entered.
    pub checkpoints: Checkpoints,
    /// For each chunk of each stream when the first unit in it is shown, in ticks of the stream, if one
    /// begins in it.
    pub times: Vec<Vec<Option<i64>>>,
}

impl TrackIndex {
    /// Returns its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let table = self.checkpoints.encode(self.times.len());
        let mut out = Vec::new();
        number::put(&mut out, table.len() as u64);
        out.extend_from_slice(&table);
        for times in &self.times {
            number::put(&mut out, times.len() as u64);
            let mut before = 0_i64;
            for time in times {
                // A difference of the largest size would be no number once one is added: it says nothing.
                let told = time.and_then(|time| {
                    let step = zig_zag(time.wrapping_sub(before)).checked_add(1)?;
                    before = time;
                    Some(step)
                });
                number::put(&mut out, told.unwrap_or(0));
            }
        }
        out
    }

    /// Reads the bytes of the index of a file of `streams` streams and `len` bytes.
    ///
    /// Uses no more memory than some sixteen times the bytes at hand.
    ///
    /// # Errors
    /// [`ChunkError::BadMap`].
    pub fn decode(bytes: &[u8], streams: usize, len: u64) -> Result<Self, ChunkError> {
        let mut rest = bytes;
        let failed = |rest: &[u8]| {
            let at = bytes.len().saturating_sub(rest.len()) as u64;
            ChunkError::BadMap { at, why: "the index ends too soon, or goes on after its end" }
        };
        let table = number::take(&mut rest).and_then(|len| usize::try_from(len).ok());
        let split = table.and_then(|table| rest.split_at_checked(table));
        let (table, mut rest) = split.ok_or_else(|| failed(rest))?;
        let checkpoints = Checkpoints::decode(table, streams, len)?;
        let mut times = Vec::new();
        for _ in 0..streams {
            let count = number::take(&mut rest).filter(|count| *count <= rest.len() as u64);
            let count = count.ok_or_else(|| failed(rest))?;
            let mut list = Vec::new();
            let mut before = 0_i64;
            for _ in 0..count {
                let told = number::take(&mut rest).ok_or_else(|| failed(rest))?;
                list.push(told.checked_sub(1).map(|step| {
                    before = before.wrapping_add(un_zig_zag(step));
                    before
                }));
            }
            times.push(list);
        }
        if rest.is_empty() { Ok(Self { checkpoints, times }) } else { Err(failed(rest)) }
    }
}

/// Small numbers of either sign as small numbers.
fn zig_zag(value: i64) -> u64 {
    (value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned()
}

fn un_zig_zag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ (value & 1).cast_signed().wrapping_neg()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_back() {
        let times = vec![
            vec![Some(0), Some(90_000), None, Some(45_000), Some(-5)],
            vec![],
            vec![None, Some(i64::MAX), Some(i64::MIN / 2)],
        ];
        let index = TrackIndex { checkpoints: Checkpoints::default(), times };
        let bytes = index.encode();
        assert_eq!(TrackIndex::decode(&bytes, 3, 0).unwrap(), index);
        assert!(TrackIndex::decode(&bytes, 2, 0).is_err());
        for len in 0..bytes.len() {
            assert!(TrackIndex::decode(&bytes[..len], 3, 0).is_err(), "{len}");
        }
    }
}
