//! Where a map can be entered.
//!
//! # Bytes of a table
//! Numbers are those of the map. The number of streams; the interval, as a power of two; 1 if there are
//! headers, else 0; the number of checkpoints. Then each checkpoint: the first is for the file's byte at one
//! interval, the next at two, and so on. A checkpoint is the last place between two operations at or
//! before that byte, given by what has changed since the checkpoint before it (or since the start):
//! how many bytes it lies before that byte; how far the operation lies on in the map; how many times it
//! is still to be done if that was begun, else 0; bytes of glue; bytes of each stream. With headers then:
//! what is left of the packet, the number of headers and their three bytes each, and for each stream a
//! number, 1 + the index of its header, or 0.

use std::ops::Range;

use super::packets::{BODY, Packets};
use super::{MAX_OP_BYTES, MAX_RUN, number};
use crate::ChunkError;
use crate::track::MAX_STREAMS;

/// The least distance of checkpoints, in bytes of the file. It doubles when there would be too many.
pub const MIN_INTERVAL: u64 = 1 << 20;
/// The most checkpoints of a file.
pub const MAX_CHECKPOINTS: usize = 16_384;
/// The longest operation: glue, a null packet, a run.
const MAX_BACK: u64 = 2 * MAX_RUN as u64 + 188;

/// A place between two operations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// Bytes of the file before it.
    pub out: u64,
    /// Where the operation begins in the map that is to be done next.
    pub op: u64,
    /// How many times it is still to be done; 0 if that was not begun.
    pub left: u64,
    /// Bytes of glue before it.
    pub glue: u64,
    /// Bytes of each stream before it; streams not in it have none.
    pub streams: Vec<u64>,
    /// What the headers of packets are told from.
    pub(super) packets: Packets,
}

/// The checkpoints of a file, at equal distances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoints {
    interval: u64,
    /// Each for a multiple of the interval, from one interval on.
    list: Vec<Checkpoint>,
}

impl Default for Checkpoints {
    fn default() -> Self {
        Self { interval: MIN_INTERVAL, list: Vec::new() }
    }
}

impl Checkpoints {
    /// The byte of the file that the next checkpoint to be added is for.
    pub(crate) fn wanted(&self) -> u64 {
        (self.list.len() as u64 + 1).saturating_mul(self.interval)
    }

    /// Adds the checkpoint for the byte wanted.
    pub(crate) fn push(&mut self, checkpoint: Checkpoint) {
        self.list.push(checkpoint);
        if self.list.len() > MAX_CHECKPOINTS {
            let mut index = 0_usize;
            self.list.retain(|_| {
                index += 1;
                index.is_multiple_of(2)
            });
            self.interval *= 2;
        }
    }

    /// Returns the checkpoint from which byte `offset` of the file is reached soonest.
    pub fn at(&self, offset: u64) -> Checkpoint {
        let before = usize::try_from(offset / self.interval).unwrap_or(usize::MAX);
        let index = before.min(self.list.len()).checked_sub(1);
        index.and_then(|index| self.list.get(index)).cloned().unwrap_or_default()
    }

    /// Returns the part of a map of `map_len` bytes that must be at hand to play bytes `range` of the file.
    ///
    /// It begins at [`Checkpoint::op`] of [`Checkpoints::at`] for its start. It ends a little past that of
    /// the first checkpoint at or after its end, since the operation there may make bytes before it too.
    pub fn stretch(&self, range: Range<u64>, map_len: u64) -> Range<u64> {
        let start = self.at(range.start).op.min(map_len);
        let index = usize::try_from(range.end.div_ceil(self.interval)).unwrap_or(usize::MAX);
        let last = index.checked_sub(1).and_then(|index| self.list.get(index));
        let reach = |last: &Checkpoint| last.op.saturating_add(MAX_OP_BYTES as u64);
        let end = if range.end == 0 { start } else { last.map_or(map_len, reach).min(map_len) };
        start..end.max(start)
    }

    /// Returns the bytes of the table, for a file of `streams` streams.
    pub fn encode(&self, streams: usize) -> Vec<u8> {
        let headers = self.list.iter().any(|checkpoint| checkpoint.packets != Packets::default());
        let mut out = Vec::new();
        number::put(&mut out, streams as u64);
        number::put(&mut out, u64::from(self.interval.trailing_zeros()));
        number::put(&mut out, u64::from(headers));
        number::put(&mut out, self.list.len() as u64);
        let mut before = &Checkpoint::default();
        for (checkpoint, target) in self.list.iter().zip(self.targets()) {
            number::put(&mut out, target.saturating_sub(checkpoint.out));
            number::put(&mut out, checkpoint.op.saturating_sub(before.op));
            number::put(&mut out, checkpoint.left);
            number::put(&mut out, checkpoint.glue.saturating_sub(before.glue));
            let at = |of: &Checkpoint, stream| of.streams.get(stream).copied().unwrap_or_default();
            for stream in 0..streams {
                number::put(&mut out, at(checkpoint, stream).saturating_sub(at(before, stream)));
            }
            if headers {
                let packets = &checkpoint.packets;
                number::put(&mut out, u64::from(packets.left));
                number::put(&mut out, packets.headers.len() as u64);
                packets.headers.iter().for_each(|header| out.extend_from_slice(header));
                for stream in 0..streams {
                    let of = packets.of.get(stream).copied().unwrap_or_default();
                    number::put(&mut out, u64::from(of));
                }
            }
            before = checkpoint;
        }
        out
    }

    /// Reads the bytes of a table, for a file of `streams` streams and `len` bytes.
    ///
    /// Uses no more memory than some ten times the bytes at hand.
    ///
    /// # Errors
    /// [`ChunkError::BadMap`].
    pub fn decode(bytes: &[u8], streams: usize, len: u64) -> Result<Self, ChunkError> {
        let mut rest = bytes;
        Self::take(&mut rest, streams, len).map_err(|why| {
            let at = (bytes.len() - rest.len()) as u64;
            ChunkError::BadMap { at, why }
        })
    }

    fn take(rest: &mut &[u8], streams: usize, len: u64) -> Result<Self, &'static str> {
        const SHORT: &str = "the table ends too soon";
        if number::take(rest) != Some(streams as u64) || streams > MAX_STREAMS {
            return Err("the table has another number of streams");
        }
        let power = number::take(rest).ok_or(SHORT)?;
        let interval = u32::try_from(power).ok().and_then(|power| 1_u64.checked_shl(power));
        let interval = interval.filter(|interval| *interval >= MIN_INTERVAL);
        let interval = interval.ok_or("there is no such interval")?;
        let headers = match number::take(rest).ok_or(SHORT)? {
            0 => false,
            1 => true,
            _ => return Err("there are headers or there are none"),
        };
        let count = number::take(rest).ok_or(SHORT)?;
        if count > MAX_CHECKPOINTS as u64 || count > len / interval {
            return Err("there are too many checkpoints");
        }
        let mut table = Self { interval, list: Vec::new() };
        let mut at = Checkpoint::default();
        for _ in 0..count {
            let back = number::take(rest).ok_or(SHORT)?;
            let out = table.wanted().checked_sub(back).filter(|_| back <= MAX_BACK);
            let out = out.filter(|out| *out >= at.out).ok_or("a checkpoint is out of order")?;
            let add = |to: u64, rest: &mut &[u8]| to.checked_add(number::take(rest)?);
            at.out = out;
            at.op = add(at.op, rest).ok_or(SHORT)?;
            at.left = number::take(rest).ok_or(SHORT)?;
            at.glue = add(at.glue, rest).ok_or(SHORT)?;
            at.streams.resize(streams, 0);
            let mut sum = at.glue;
            for position in &mut at.streams {
                *position = add(*position, rest).ok_or(SHORT)?;
                sum = sum.saturating_add(*position);
            }
            if sum > at.out {
                return Err("a checkpoint has more bytes than the file");
            }
            if headers {
                at.packets = take_packets(rest, streams)?;
            }
            table.list.push(at.clone());
        }
        if rest.is_empty() { Ok(table) } else { Err("the table goes on after its end") }
    }

    /// The bytes of the file that checkpoints are for.
    fn targets(&self) -> impl Iterator<Item = u64> {
        let interval = self.interval;
        (1_u64..).map(move |index| index.saturating_mul(interval))
    }
}

fn take_packets(rest: &mut &[u8], streams: usize) -> Result<Packets, &'static str> {
    const BAD: &str = "a checkpoint has bad headers";
    let left = number::take(rest).and_then(|left| u8::try_from(left).ok()).ok_or(BAD)?;
    let count = number::take(rest).and_then(|count| usize::try_from(count).ok()).ok_or(BAD)?;
    if count > MAX_STREAMS || left > BODY {
        return Err(BAD);
    }
    let mut packets = Packets { left, ..Packets::default() };
    for _ in 0..count {
        let (header, after) = rest.split_first_chunk().ok_or(BAD)?;
        packets.headers.push(*header);
        *rest = after;
    }
    for _ in 0..streams {
        let of = number::take(rest).and_then(|of| u16::try_from(of).ok()).ok_or(BAD)?;
        if usize::from(of) > count {
            return Err(BAD);
        }
        packets.of.push(of);
    }
    Ok(packets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_file_has_fewer_checkpoints_a_mebibyte() {
        let mut table = Checkpoints::default();
        let mut long = 0;
        while table.interval < 4 * MIN_INTERVAL {
            let out = table.wanted() - 1;
            long = long.max(table.list.len());
            table.push(Checkpoint { out, op: out / 1000, glue: 3, ..Checkpoint::default() });
        }
        assert_eq!((long, table.list.len()), (MAX_CHECKPOINTS, MAX_CHECKPOINTS / 2));
        let len = table.wanted() + 5;
        assert_eq!(table.at(0), Checkpoint::default());
        for offset in [1, 4 << 20, (4 << 20) - 1, 12 << 20, len] {
            let from = table.at(offset);
            assert_eq!(
                from.out,
                ((offset >> 22 << 22).max(1) - 1).min(table.wanted() - (4 << 20) - 1)
            );
            let stretch = table.stretch(offset..offset + 10, len / 1000);
            assert!(stretch.start == from.op && stretch.end - stretch.start <= 2 * 4200 + 24);
        }
        let bytes = table.encode(1);
        assert_eq!(Checkpoints::decode(&bytes, 1, len).unwrap().encode(1), bytes);
    }
}
