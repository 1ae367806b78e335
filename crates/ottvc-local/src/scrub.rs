//! The file that remembers how far checks of a part have come round the packs.
//!
//! First a line `round BEGAN FIRST`: when the round began, and the number of its first pack; then a line
//! `ID NUMBER` for each pack that was ever read, numbered in the order they were. It says where to go on
//! and nothing else: whoever loses or forges it has packs read again, or later.

use std::collections::HashMap;

use ottvc_store::pack::PackId;
use ottvc_store::{Round, StoreError};

use crate::layout::{Layout, read_limited};
use crate::rows::PackState;

/// The longest file that is read, in bytes: a quarter of a million packs.
const MAX_BYTES: u64 = 16 << 20;

/// Which packs were read, and when in relation to each other.
#[derive(Debug, Default)]
pub(crate) struct Scrub {
    /// When the round began, in UTC milliseconds since 1970.
    began: i64,
    /// The number of the first pack read in it.
    first: u64,
    /// By pack, counted from 1.
    read: HashMap<PackId, u64>,
}

impl Scrub {
    /// Goes on with the round there is over these packs, or begins one if it is over.
    pub(crate) fn resume(layout: &Layout, packs: &[(PackId, PackState)], now: i64) -> Self {
        let mut scrub = Self::load(layout).unwrap_or_default();
        let read = packs.iter().filter_map(|(id, _)| Some((*id, *scrub.read.get(id)?)));
        scrub.read = read.collect();
        if scrub.first == 0 || packs.iter().all(|(id, _)| !scrub.is_due(*id)) {
            (scrub.began, scrub.first) = (now, scrub.last() + 1);
        }
        scrub
    }

    fn load(layout: &Layout) -> Option<Self> {
        let text = read_limited(&layout.scrub(), MAX_BYTES).ok()?;
        let mut lines = text.lines();
        let (began, first) = lines.next()?.strip_prefix("round ")?.split_once(' ')?;
        let line = |line: &str| {
            let (id, number) = line.split_once(' ')?;
            Some((id.parse().ok()?, number.parse().ok().filter(|it| *it < u64::MAX)?))
        };
        let read = lines.filter_map(line).collect();
        Some(Self { began: began.parse().ok()?, first: first.parse().ok()?, read })
    }

    fn last(&self) -> u64 {
        self.read.values().copied().max().unwrap_or(0)
    }

    fn is_due(&self, pack: PackId) -> bool {
        self.read.get(&pack).is_none_or(|number| *number < self.first)
    }

    /// Returns the packs that the round has not read yet, those whose last check lies longest ago
    /// first, until they come to `bytes`; at least one.
    pub(crate) fn portion(
        &self,
        packs: &[(PackId, PackState)],
        bytes: u64,
    ) -> Vec<(PackId, PackState)> {
        let mut due: Vec<_> = packs.iter().filter(|(id, _)| self.is_due(*id)).copied().collect();
        due.sort_unstable_by_key(|(id, _)| (self.read.get(id).copied(), *id));
        let mut sum = 0_u64;
        due.retain(|(_, state)| {
            let fits = sum == 0 || sum.saturating_add(state.len) <= bytes;
            // Once one does not, none after it does: a shorter one must not overtake it for ever.
            sum = if fits { sum.saturating_add(state.len) } else { u64::MAX };
            fits
        });
        due
    }

    /// Notes that a pack was read just now.
    pub(crate) fn note(&mut self, pack: PackId) {
        let number = self.last().max(self.first.saturating_sub(1)) + 1;
        self.read.insert(pack, number);
    }

    /// Replaces the file.
    pub(crate) fn save(&self, layout: &Layout) -> Result<(), StoreError> {
        let mut text = format!("round {} {}\n", self.began, self.first);
        for (id, number) in &self.read {
            text.push_str(&format!("{id} {number}\n"));
        }
        layout.write_durably(&layout.scrub(), text.as_bytes())
    }

    /// How far round it is.
    pub(crate) fn round(&self, packs: &[(PackId, PackState)], read: u64) -> Round {
        let total_bytes = packs.iter().map(|(_, state)| state.len).sum();
        let done = packs.iter().filter(|(id, _)| !self.is_due(*id));
        let done_bytes = done.map(|(_, state)| state.len).sum();
        Round { began: self.began, packs: read, done_bytes, total_bytes }
    }
}
