//! Sample tables, read where they lie: nothing is unfolded, so that millions of samples cost no more than
//! the bytes of their tables.
//!
//! # Reference
//! ISO/IEC 14496-12, 8.6.1 and 8.7.

use std::ops::Range;

use super::boxes::{boxes, u16_at, u32_at, u64_at};

/// The tables of a track, as ranges of the body of `moov`, without their headers.
#[derive(Clone, Debug, Default)]
pub(super) struct Tables {
    /// Length of each sample, or 0 if `sizes` holds one for each.
    fixed: u32,
    /// Bits of a length in `sizes`.
    bits: u8,
    sizes: Range<usize>,
    /// How many samples there are.
    samples: u64,
    /// Whether an offset takes 64 bits.
    wide: bool,
    chunks: Range<usize>,
    /// First chunk, samples in each chunk, sample entry.
    runs: Range<usize>,
    /// Samples, duration of each.
    durations: Range<usize>,
    /// Samples, from decoding to showing.
    shifts: Range<usize>,
}

/// Bytes of an entry of `stsc`, and of one of `stts` and `ctts`.
const RUN: usize = 12;
const STEP: usize = 8;

/// A position in the tables of a track.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cursor {
    /// The next chunk, and the entry of `stsc` it is told by.
    chunk: usize,
    run: usize,
    /// The next sample.
    sample: u64,
    duration: Step,
    shift: Step,
    decoded: i64,
}

/// A position in a table of runs: entry, and samples of it that are behind.
#[derive(Clone, Copy, Debug, Default)]
struct Step {
    entry: usize,
    used: u32,
}

impl Tables {
    /// Finds the tables in `range` of `moov`, the body of `stbl`. What they claim is checked against the
    /// bytes that are there.
    pub(super) fn of(moov: &[u8], range: Range<usize>) -> Self {
        let mut tables = Self::default();
        for (name, body) in boxes(moov, range) {
            // Version and flags, a count, entries.
            let list = |entry: usize| list(moov, body.start.saturating_add(4), &body, entry);
            match &name {
                b"stsz" => {
                    tables.fixed = u32_at(moov, body.start.saturating_add(4)).unwrap_or_default();
                    let count = body.start.saturating_add(8);
                    tables.samples = u64::from(u32_at(moov, count).unwrap_or_default());
                    (tables.bits, tables.sizes) = (32, self::list(moov, count, &body, 4));
                }
                b"stz2" => {
                    let bits = u32_at(moov, body.start.saturating_add(4)).unwrap_or_default();
                    let count = body.start.saturating_add(8);
                    tables.fixed = 0;
                    tables.bits = if bits & 0xff == 4 {
                        4
                    } else if bits & 0xff == 8 {
                        8
                    } else {
                        16
                    };
                    tables.samples = u64::from(u32_at(moov, count).unwrap_or_default());
                    tables.sizes = count.saturating_add(4)..body.end;
                }
                b"stco" => (tables.wide, tables.chunks) = (false, list(4)),
                b"co64" => (tables.wide, tables.chunks) = (true, list(8)),
                b"stsc" => tables.runs = list(RUN),
                b"stts" => tables.durations = list(STEP),
                b"ctts" => tables.shifts = list(STEP),
                _ => {}
            }
        }
        if tables.fixed == 0 {
            let there = (tables.sizes.len() as u64).saturating_mul(8);
            tables.samples = tables.samples.min(there / u64::from(tables.bits.max(1)));
        }
        tables
    }

    /// The length all samples have, if it is the same.
    pub(super) fn fixed(&self) -> Option<u32> {
        (self.fixed > 0).then_some(self.fixed)
    }

    /// Whether there are samples.
    pub(super) fn any(&self) -> bool {
        self.samples > 0 && !self.chunks.is_empty() && !self.runs.is_empty()
    }

    /// Takes the next chunk: where it begins and how many samples it has, the first of them being the
    /// one `cursor` stands at.
    pub(super) fn next_chunk(&self, moov: &[u8], cursor: &mut Cursor) -> Option<(u64, u64)> {
        let left = self.samples.checked_sub(cursor.sample).filter(|left| *left > 0)?;
        let offset = self.offset(moov, cursor.chunk)?;
        cursor.chunk += 1;
        let run = |index: usize, field: usize| {
            let at = self.runs.start.checked_add(index.checked_mul(RUN)?)?;
            (at < self.runs.end).then(|| u32_at(moov, at.saturating_add(field)))?
        };
        while run(cursor.run + 1, 0).is_some_and(|first| first as usize <= cursor.chunk) {
            cursor.run += 1;
        }
        let samples = u64::from(run(cursor.run, 4)?);
        Some((offset, samples.min(left)))
    }

    /// How many chunks there are.
    pub(super) fn chunks(&self) -> usize {
        self.chunks.len() / if self.wide { 8 } else { 4 }
    }

    /// Where chunk `index` begins.
    pub(super) fn offset(&self, moov: &[u8], index: usize) -> Option<u64> {
        let entry = if self.wide { 8 } else { 4 };
        let at = self.chunks.start.checked_add(index.checked_mul(entry)?)?;
        if at >= self.chunks.end {
            return None;
        }
        if self.wide { u64_at(moov, at) } else { u32_at(moov, at).map(u64::from) }
    }

    /// Takes a sample: its length and when it is shown.
    pub(super) fn next_sample(&self, moov: &[u8], cursor: &mut Cursor) -> (u64, i64) {
        let (size, time) = (self.size(moov, cursor.sample), self.time(moov, cursor));
        self.skip(moov, cursor, 1);
        (u64::from(size), time)
    }

    /// When the next sample is shown.
    pub(super) fn time(&self, moov: &[u8], cursor: &Cursor) -> i64 {
        let shift = value(moov, &self.shifts, cursor.shift.entry).unwrap_or_default();
        cursor.decoded.wrapping_add(i64::from(shift.cast_signed()))
    }

    /// Passes over `count` samples; the cost is that of the entries passed.
    pub(super) fn skip(&self, moov: &[u8], cursor: &mut Cursor, count: u64) {
        cursor.sample = cursor.sample.saturating_add(count);
        let mut decoded = cursor.decoded;
        cursor.duration.skip(moov, &self.durations, count, |samples, duration| {
            let passed = i64::from(samples).wrapping_mul(i64::from(duration));
            decoded = decoded.wrapping_add(passed);
        });
        cursor.decoded = decoded;
        cursor.shift.skip(moov, &self.shifts, count, |_, _| {});
    }

    fn size(&self, moov: &[u8], sample: u64) -> u32 {
        if self.fixed > 0 {
            return self.fixed;
        }
        let size = || {
            let bit = sample.checked_mul(u64::from(self.bits))?;
            let at = self.sizes.start.checked_add(usize::try_from(bit / 8).ok()?)?;
            match self.bits {
                4 if bit % 8 == 0 => moov.get(at).map(|byte| u32::from(byte >> 4)),
                4 => moov.get(at).map(|byte| u32::from(byte & 15)),
                8 => moov.get(at).map(|byte| u32::from(*byte)),
                16 => u16_at(moov, at).map(u32::from),
                _ => u32_at(moov, at),
            }
        };
        size().unwrap_or_default()
    }
}

/// The entries of `entry` bytes that follow their number, which stands at `count`, up to the end of `body`.
fn list(moov: &[u8], count: usize, body: &Range<usize>, entry: usize) -> Range<usize> {
    let start = count.saturating_add(4).min(body.end);
    let claimed = u32_at(moov, count).unwrap_or_default() as usize;
    let there = (body.end - start) / entry;
    start..start + claimed.min(there) * entry
}

/// The second field of an entry of `stts` or `ctts`.
fn value(moov: &[u8], table: &Range<usize>, entry: usize) -> Option<u32> {
    let at = table.start.checked_add(entry.checked_mul(STEP)?)?;
    (at < table.end).then(|| u32_at(moov, at.saturating_add(4)))?
}

impl Step {
    /// Passes over `count` samples and tells `passed` of each run of them: number and second field.
    fn skip(
        &mut self,
        moov: &[u8],
        table: &Range<usize>,
        mut count: u64,
        mut passed: impl FnMut(u32, u32),
    ) {
        while count > 0 {
            let Some(value) = value(moov, table, self.entry) else { return };
            let at = table.start + self.entry * STEP;
            let left = u32_at(moov, at).unwrap_or_default().saturating_sub(self.used);
            let step = u32::try_from(count).map_or(left, |count| count.min(left));
            passed(step, value);
            count -= u64::from(step);
            if step < left {
                self.used += step;
            } else {
                *self = Self { entry: self.entry + 1, used: 0 };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A box of 32-bit numbers after version and flags.
    fn table(name: &[u8; 4], numbers: &[u32]) -> Vec<u8> {
        let mut bytes = u32::try_from(12 + 4 * numbers.len()).unwrap().to_be_bytes().to_vec();
        bytes.extend(name);
        bytes.extend([0; 4]);
        bytes.extend(numbers.iter().flat_map(|number| number.to_be_bytes()));
        bytes
    }

    fn read(moov: &[u8]) -> Vec<(u64, u64, i64)> {
        let tables = Tables::of(moov, 0..moov.len());
        let (mut cursor, mut found) = (Cursor::default(), Vec::new());
        while let Some((mut at, samples)) = tables.next_chunk(moov, &mut cursor) {
            for _ in 0..samples {
                let (size, time) = tables.next_sample(moov, &mut cursor);
                found.push((at, size, time));
                at += size;
            }
        }
        found
    }

    #[test]
    fn samples_are_found_by_five_tables() {
        let moov = [
            table(b"stsz", &[0, 5, 10, 11, 12, 13, 14]),
            table(b"stco", &[3, 100, 200, 300]),
            table(b"stsc", &[2, 1, 2, 1, 3, 1, 1]),
            table(b"stts", &[2, 2, 5, 9, 7]),
            table(b"ctts", &[3, 1, 0, 1, u32::MAX, 1, 3]),
        ]
        .concat();
        let expected = [(100, 10, 0), (110, 11, 4), (200, 12, 13), (212, 13, 17), (300, 14, 24)];
        assert_eq!(read(&moov), expected);
    }

    #[test]
    fn skipping_is_taking_without_looking() {
        let moov = [
            table(b"stsz", &[3, 20]),
            table(b"stco", &[2, 100, 200]),
            table(b"stsc", &[1, 1, 12, 1]),
            table(b"stts", &[2, 5, 2, 100, 3]),
            table(b"ctts", &[1, 20, 6]),
        ]
        .concat();
        let tables = Tables::of(&moov, 0..moov.len());
        for count in 0..20 {
            let (mut taken, mut skipped) = (Cursor::default(), Cursor::default());
            for _ in 0..count {
                tables.next_sample(&moov, &mut taken);
            }
            tables.skip(&moov, &mut skipped, count);
            assert_eq!(tables.time(&moov, &taken), tables.time(&moov, &skipped));
        }
        assert_eq!(tables.fixed(), Some(3));
        assert_eq!(read(&moov).len(), 20);
    }

    #[test]
    fn short_lengths_are_read() {
        let rest = [table(b"stco", &[1, 0]), table(b"stsc", &[1, 1, 9, 1])].concat();
        let four = [table(b"stz2", &[4, 3, 0x1230_0000]), rest.clone()].concat();
        assert_eq!(read(&four), [(0, 1, 0), (1, 2, 0), (3, 3, 0)]);
        let sixteen = [table(b"stz2", &[16, 2, 0x0102_0003]), rest].concat();
        assert_eq!(read(&sixteen), [(0, 0x102, 0), (0x102, 3, 0)]);
    }

    #[test]
    fn claims_beyond_the_bytes_that_are_there_are_cut() {
        let moov = [
            table(b"stsz", &[0, u32::MAX, 10, 11]),
            table(b"co64", &[u32::MAX, 0, 100, 0]),
            table(b"stsc", &[u32::MAX, 1, u32::MAX, 1]),
            table(b"stts", &[u32::MAX, 0, 1]),
        ]
        .concat();
        assert_eq!(read(&moov), [(100, 10, 0), (110, 11, 0)]);
        assert!(read(&table(b"stsz", &[1, u32::MAX])).is_empty());
    }
}
