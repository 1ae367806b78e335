//! The few calls by which packs reach the disk, behind a trait so that tests can make them fail.

use std::fmt::Debug;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use ottvc_store::behind::Put;

/// Writes to packs and makes them durable. [`Disk`] is the real one.
pub trait Medium: Debug + Send + Sync {
    /// Writes all of `bytes` at `offset`; after an error, any part of them may have been written.
    ///
    /// # Errors
    /// What the system says.
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Makes the content of `file` durable.
    ///
    /// # Errors
    /// What the system says. What was written since the last success may be lost.
    fn sync(&self, file: &File) -> io::Result<()>;
}

/// The disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

impl Medium for Disk {
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        file.write_all_at(bytes, offset)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }
}

/// What writes through a medium.
#[derive(Debug)]
pub(crate) struct Through(Arc<dyn Medium>);

impl Through {
    pub(crate) fn of(medium: &Arc<dyn Medium>) -> Arc<dyn Put> {
        Arc::new(Self(Arc::clone(medium)))
    }
}

impl Put for Through {
    fn put(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_at(file, bytes, offset)
    }
}
