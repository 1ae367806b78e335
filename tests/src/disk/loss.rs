//! What a crash takes of what was not synced, decided file by file and name by name.

use std::collections::{BTreeMap, HashMap};

use super::{Change, Disk, NameChange, Node, Part, apply_change, put, set};
use crate::story::Chance;

/// What disks write whole.
const SECTOR: usize = 512;

/// What a crash takes of what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Nothing: the program was killed.
    Nothing,
    /// All of it.
    All,
    /// All bytes; names last.
    Bytes,
    /// Names after some moment; of each file, what was written after some moment.
    Later,
    /// Anything: names each by chance, and sectors of files.
    Any,
}

/// The decisions of one crash.
pub(super) struct Draw<'a> {
    loss: Loss,
    chance: &'a mut Chance,
    /// Names of steps from this number on are lost ([`Loss::Later`]).
    until: usize,
    /// Which renames and other steps not yet durable last ([`Loss::Any`]).
    kept: HashMap<usize, bool>,
    /// In how many of ten cases something lasts.
    likely: u64,
}

impl<'a> Draw<'a> {
    pub(super) fn new(disk: &Disk, op: usize, loss: Loss, chance: &'a mut Chance) -> Self {
        let span = (op + 1).saturating_sub(disk.floor) as u64;
        let until = disk.floor + usize::try_from(chance.below(span + 1)).unwrap_or_default();
        let likely =
            [1, 5, 9].into_iter().nth(usize::try_from(chance.below(3)).unwrap_or_default());
        let likely = likely.unwrap_or(5);
        let mut waiting = disk.waiting();
        waiting.sort_unstable();
        let kept = waiting.into_iter().map(|op| (op, chance.below(10) < likely)).collect();
        Self { loss, chance, until, kept, likely }
    }

    fn coin(&mut self) -> bool {
        self.chance.below(10) < self.likely
    }

    pub(super) fn names(
        &mut self,
        safe: &BTreeMap<String, Node>,
        pending: &[NameChange],
        now: &BTreeMap<String, Node>,
    ) -> BTreeMap<String, Node> {
        let mut names = safe.clone();
        for change in pending {
            let lasts = match self.loss {
                Loss::Nothing | Loss::Bytes => return now.clone(),
                Loss::All => return names,
                Loss::Later => change.op < self.until,
                Loss::Any => {
                    let new = self.kept.get(&change.op).copied().unwrap_or(true);
                    new && (change.part == Part::First || self.coin())
                }
            };
            if lasts {
                set(&mut names, &change.name, change.node);
            }
        }
        names
    }

    pub(super) fn file(&mut self, safe: &[u8], pending: &[(usize, Change)], now: &[u8]) -> Vec<u8> {
        match self.loss {
            Loss::Nothing => return now.to_vec(),
            Loss::All | Loss::Bytes => return safe.to_vec(),
            Loss::Later | Loss::Any if pending.is_empty() => return safe.to_vec(),
            Loss::Later | Loss::Any => {}
        }
        let mut bytes = safe.to_vec();
        if self.loss == Loss::Later {
            let whole = self.chance.below(pending.len() as u64 + 1);
            let whole = usize::try_from(whole).unwrap_or_default();
            for (at, (_, change)) in pending.iter().enumerate().take(whole + 1) {
                let part = match change {
                    _ if at < whole => usize::MAX,
                    Change::Write(_, new) => {
                        usize::try_from(self.chance.below(new.len() as u64)).unwrap_or_default()
                    }
                    Change::Cut(_) => break,
                };
                apply_change(&mut bytes, change, part);
            }
            return bytes;
        }
        for (_, change) in pending {
            match change {
                Change::Write(at, new) => self.sectors(&mut bytes, *at, new),
                Change::Cut(_) if self.coin() => apply_change(&mut bytes, change, usize::MAX),
                Change::Cut(_) => {}
            }
        }
        // The length may have reached the disk before what was written there.
        if bytes.len() < now.len() && self.chance.below(3) == 0 {
            bytes.resize(now.len(), 0);
        }
        bytes
    }

    /// Writes some of the sectors that a write touches; a hole before one reads as zeros.
    fn sectors(&mut self, bytes: &mut Vec<u8>, at: usize, new: &[u8]) {
        let mut from = 0;
        while from < new.len() {
            let to = ((at + from) / SECTOR + 1) * SECTOR - at;
            let to = to.min(new.len());
            if self.coin() {
                put(bytes, at + from, new.get(from..to).unwrap_or_default());
            }
            from = to;
        }
    }
}
