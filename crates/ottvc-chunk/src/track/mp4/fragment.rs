//! Fragments: the runs of samples that a `moof` tells of.
//!
//! # Reference
//! ISO/IEC 14496-12, 8.8.4 to 8.8.12.

use std::ops::Range;
use std::sync::Arc;

use super::boxes::{boxes, find, u32_at, u64_at};
use super::entry::Framing;
use super::moov::{MAX_TRACKS, Track};
use super::queue::Run;
use super::table::Tables;

/// Reads `moof`, all of the box, which begins at `at` in the file. Adds tracks that no `moov` told of.
pub(super) fn runs(moof: &Arc<[u8]>, at: u64, tracks: &mut Vec<Track>) -> Vec<Run> {
    let mut reader = Reader { moof, at, tracks, end: at, runs: Vec::new() };
    for (_, body) in boxes(moof, 8..moof.len()).filter(|(name, _)| name == b"traf") {
        reader.track(body);
    }
    reader.runs
}

struct Reader<'a> {
    moof: &'a Arc<[u8]>,
    at: u64,
    tracks: &'a mut Vec<Track>,
    /// Where the samples told of so far end.
    end: u64,
    runs: Vec<Run>,
}

impl Reader<'_> {
    fn u32(&self, at: usize) -> Option<u32> {
        u32_at(self.moof, at)
    }

    /// Reads the body of a `traf`; `None` if it is malformed.
    fn track(&mut self, traf: Range<usize>) -> Option<()> {
        let header = find(self.moof, traf.clone(), b"tfhd")?;
        let flags = self.u32(header.start)? & 0x00ff_ffff;
        let id = self.u32(header.start.checked_add(4)?)?;
        let mut field = header.start.checked_add(8)?;
        let mut base =
            if flags & 0x02_0000 != 0 || self.runs.is_empty() { self.at } else { self.end };
        if flags & 1 != 0 {
            base = u64_at(self.moof, field)?;
            field += 8;
        }
        if flags & 2 != 0 {
            field += 4;
        }
        let (index, mut defaults) = self.known(id)?;
        if flags & 8 != 0 {
            defaults.0 = self.u32(field)?;
            field += 4;
        }
        if flags & 0x10 != 0 {
            defaults.1 = self.u32(field)?;
        }
        let mut decoded = self.tracks.get(index)?.decoded;
        if let Some(body) = find(self.moof, traf.clone(), b"tfdt") {
            let long = self.moof.get(body.start) == Some(&1);
            let time = body.start.checked_add(4)?;
            decoded = if long {
                u64_at(self.moof, time)?.cast_signed()
            } else {
                i64::from(self.u32(time)?)
            };
        }
        self.end = base;
        for (_, body) in boxes(self.moof, traf).filter(|(name, _)| name == b"trun") {
            let Some(run) = self.run(body, base, index, defaults, decoded) else { continue };
            self.end = run.at.saturating_add(run.len());
            decoded = run.clone().ends();
            self.runs.push(run);
        }
        self.tracks.get_mut(index)?.decoded = decoded;
        Some(())
    }

    /// Reads the body of a `trun`.
    fn run(
        &self,
        body: Range<usize>,
        base: u64,
        track: usize,
        defaults: (u32, u32),
        decoded: i64,
    ) -> Option<Run> {
        let flags = self.u32(body.start)?;
        let count = u64::from(self.u32(body.start.checked_add(4)?)?);
        let mut entry = body.start.checked_add(8)?;
        let mut at = self.end;
        if flags & 1 != 0 {
            at = base.checked_add_signed(i64::from(self.u32(entry)?.cast_signed()))?;
            entry += 4;
        }
        if flags & 4 != 0 {
            entry += 4;
        }
        // Duration, length, flags, shift: four bytes each, if they are there.
        let mut width = 0;
        let mut fields = [0x100, 0x200, 0x400, 0x800].map(|flag| {
            (flags & flag != 0).then(|| {
                width += 4;
                width - 4
            })
        });
        fields.swap(2, 3);
        let [duration, len, shift, _] = fields;
        let there = body.end.checked_sub(entry)?;
        let left = if width == 0 { count } else { count.min((there / usize::from(width)) as u64) };
        let fields = [duration, len, shift];
        let bytes = Arc::clone(self.moof);
        Some(Run { track, at, left, decoded, defaults, bytes, entry, fields, width })
    }

    /// The index of a track and its defaults; it is added if no `moov` told of it.
    fn known(&mut self, id: u32) -> Option<(usize, (u32, u32))> {
        if let Some(index) = self.tracks.iter().position(|track| track.id == id) {
            return Some((index, self.tracks.get(index)?.defaults));
        }
        (self.tracks.len() < MAX_TRACKS).then(|| {
            self.tracks.push(Track {
                id,
                stream: 0,
                framing: Framing::Unknown,
                tables: Tables::default(),
                packet: (0, 0),
                defaults: (0, 0),
                decoded: 0,
            });
            (self.tracks.len() - 1, (0, 0))
        })
    }
}
