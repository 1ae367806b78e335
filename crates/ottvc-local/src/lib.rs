//! Every seam on one machine: pack files for bytes, one RocksDB for what must be found.
//!
//! Payload never goes through the database; everything that is not a cache lies in packs as well, so
//! that the database can be lost. A write is durable in one order, which [`LocalRepo`]'s three seams
//! share: bytes of packs, then one synced batch with index rows and refs. `docs/format-pack.md` states
//! the bytes, `docs/durability.md` what a crash leaves.

mod ahead;
mod batch;
mod check;
mod collect;
mod damaged;
mod db;
mod groups;
mod index;
mod journal;
mod known;
mod layout;
mod ledger;
mod lock;
mod medium;
mod objects;
mod packs;
mod page;
mod readers;
mod rebuild;
mod refs;
mod repo;
mod rewrite;
mod rows;
mod scrub;
mod shared;
mod small;
mod tools;
mod workspace;
mod writer;

pub use layout::VERSION;
pub use medium::{Disk, Medium};
pub use rebuild::Rebuilt;
pub use repo::{Access, LocalRepo};
pub use shared::Tuning;
