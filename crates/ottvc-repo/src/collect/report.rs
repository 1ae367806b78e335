//! What a collection did, or would do.

use ottvc_store::collect::{Dropped, Holder, Thing};
use serde::Serialize;

/// Objects, chunks, and what they take in packs with the records around them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sum {
    /// Objects.
    pub objects: u64,
    /// Chunks.
    pub chunks: u64,
    /// Bytes of records.
    pub bytes: u64,
}

impl Sum {
    pub(super) fn add(&mut self, thing: Thing, bytes: u64) {
        let mut sum = Dropped::default();
        sum.add(thing, bytes);
        self.absorb(sum);
    }
    pub(super) fn absorb(&mut self, other: Dropped) {
        self.objects += other.objects;
        self.chunks += other.chunks;
        self.bytes += other.bytes;
    }
    /// How many things these are.
    pub fn things(&self) -> u64 {
        self.objects.saturating_add(self.chunks)
    }
}

/// What is kept, and why. Each thing counts once, for the first of those that hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// `refs`, `working copy`, `operations` or `sessions`.
    pub by: &'static str,
    /// What they hold.
    #[serde(flatten)]
    pub sum: Sum,
    /// Until when, in UTC milliseconds since 1970, where that is known: for operations.
    pub until: Option<i64>,
}

/// What a collection did to records; packs come afterwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Swept {
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// How long things stay in the trash and operations hold what they moved, in milliseconds.
    pub grace_ms: i64,
    /// What went to the trash.
    pub trashed: Sum,
    /// What is in the trash now.
    pub in_trash: Sum,
    /// What was in the trash and is reached again.
    pub taken_back: Sum,
    /// What was dropped for good.
    pub purged: Sum,
    /// What is kept, by who keeps it.
    pub kept: Vec<Kept>,
    #[serde(skip)]
    pub(super) until: Option<i64>,
}

impl Swept {
    pub(super) fn new(dry_run: bool, grace_ms: i64) -> Self {
        let (trashed, in_trash, taken_back) = Default::default();
        let (purged, kept, until) = Default::default();
        Self { dry_run, grace_ms, trashed, in_trash, taken_back, purged, kept, until }
    }

    pub(super) fn keep(&mut self, holder: Holder, thing: Thing, bytes: u64) {
        let by = match holder {
            Holder::Refs => "refs",
            Holder::WorkingCopy => "working copy",
            Holder::Operations => "operations",
            Holder::Sessions | Holder::Trash => "sessions",
        };
        let until = self.until.filter(|_| holder == Holder::Operations);
        match self.kept.iter_mut().find(|kept| kept.by == by) {
            Some(kept) => kept.sum.add(thing, bytes),
            None => {
                let mut sum = Sum::default();
                sum.add(thing, bytes);
                self.kept.push(Kept { by, sum, until });
            }
        }
    }
}
