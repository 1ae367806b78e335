//! What collection needs of a store: sessions that pin, a trash, dropping for good, rewriting packs.
//!
//! Deciding what nobody reaches is the facade's part. A store keeps the one rule that makes it safe
//! to act on it while others write ([`Pins`]), and does what it is told only within that rule: what a
//! live session was told is there, or has stored, is never dropped. `docs/gc.md` argues it.

mod live;
mod pins;
mod session;

use std::fmt::Debug;
use std::sync::Arc;

use ottvc_object::{ContentId, ObjectId};

use crate::pack::PackId;
use crate::{DamagedThing, StoreError};

pub use live::{Holder, Live};
pub use pins::{Collection, Pins, Publish};
pub use session::session;

/// An object or a chunk.
pub type Thing = DamagedThing;

/// What dropping or trashing things came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Objects.
    pub objects: u64,
    /// Chunks.
    pub chunks: u64,
    /// What they take in packs, records included.
    pub bytes: u64,
}

impl Dropped {
    /// Counts one more thing.
    pub fn add(&mut self, thing: Thing, bytes: u64) {
        match thing {
            Thing::Object(_) => self.objects += 1,
            Thing::Chunk(_) => self.chunks += 1,
        }
        self.bytes += bytes;
    }

    /// Takes over what another counted.
    pub fn absorb(&mut self, other: Self) {
        self.objects += other.objects;
        self.chunks += other.chunks;
        self.bytes += other.bytes;
    }
}

/// One thing in the trash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trashed {
    /// What it is.
    pub thing: Thing,
    /// Since when, in UTC milliseconds since 1970.
    pub since: i64,
    /// What it takes in packs, its record included.
    pub bytes: u64,
}

/// A pack that is damaged or has much dead weight, and all that is still wanted of it.
#[derive(Clone, Debug)]
pub struct Worn {
    /// Its name.
    pub pack: PackId,
    /// Its length in bytes. Should it grow, this is out of date and nothing is done.
    pub len: u64,
    /// How many of its bytes nobody needs.
    pub dead: u64,
    /// Whether a check found it damaged: what can be read is to be moved out of it.
    pub damaged: bool,
    /// What the index says is in it, in the order it lies there.
    pub things: Vec<Thing>,
}

/// What became of a worn pack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rewritten {
    /// Whether it is gone; a pack that changed meanwhile, or cannot be read in full, stays.
    pub gone: bool,
    /// Bytes of records that were written anew.
    pub moved: u64,
}

/// Bytes on disk that were given back to the system, and those that could not be yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Length of the index.
    pub index_bytes: u64,
    /// Lengths of packs that are gone from the store and wait for readers that may still need them.
    pub waiting_bytes: u64,
}

/// The side of a store that a collector sees. Done when it passes `testkit::collect`.
pub trait Collectable: Debug + Send + Sync {
    /// The sessions of this store and what they pin.
    fn pins(&self) -> &Arc<Pins>;

    /// Visits every file: its content, and the manifest it is kept by.
    fn manifests(
        &self,
        visit: &mut dyn FnMut(ContentId, ObjectId) -> Result<(), StoreError>,
    ) -> Result<(), StoreError>;

    /// Visits the trash, in no particular order.
    fn trashed(
        &self,
        visit: &mut dyn FnMut(Trashed) -> Result<(), StoreError>,
    ) -> Result<(), StoreError>;

    /// Says for each thing since when it is in the trash, `None` where it is not.
    fn trash_times(&self, things: &[Thing]) -> Result<Vec<Option<i64>>, StoreError>;

    /// Notes that things are in the trash since `now`, where they are not there already. They can
    /// still be found and read. Passes over what is pinned; without a collection, over everything.
    fn trash(&self, things: &[Thing], now: i64) -> Result<Dropped, StoreError>;

    /// Takes things out of the trash; says how many were in it.
    fn take_back(&self, things: &[Thing]) -> Result<u64, StoreError>;

    /// Drops things for good, durably. Passes over what is not condemned: without a collection that
    /// has published what lives, over everything.
    fn purge(&self, things: &[Thing]) -> Result<Dropped, StoreError>;

    /// Finds packs that are known to be damaged, and packs with much dead weight, those still appended
    /// to and then the worst first, with at most `most` things in all.
    fn worn(&self, most: usize) -> Result<Vec<Worn>, StoreError>;

    /// Writes what is wanted of a pack anew, makes that durable, and removes the pack.
    fn rewrite(&self, worn: &Worn) -> Result<Rewritten, StoreError>;

    /// Gives back what removed packs took, and what `purged` dropped things took in the index; also
    /// what was put away whole, for nobody needed it, and has lain there since `due`.
    fn settle(&self, purged: u64, due: i64) -> Result<Settled, StoreError>;
}
