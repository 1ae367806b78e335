//! How a pack is removed under readers that may still need it.
//!
//! A reader holds a shared lock on the file `readers` for as long as its view of the index may name
//! packs of then. A collector moves packs it has emptied to `trash/` first, where readers find them
//! too, then puts the file `readers` away, so that readers to come lock another one, and deletes the
//! packs once nobody holds the old file. It never waits for a reader that came later, and no reader
//! waits for it.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ottvc_store::StoreError;
use rustix::fs::{FlockOperation, flock};

use crate::layout::Layout;

/// How often a reader tries to lock a file that was put away under it.
const TRIES: u32 = 8;
/// How long a collector waits for readers; what they hold is deleted by the next one.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often it looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// What the name of a file of readers starts with, once put away.
const OLD_READERS: &str = "readers-";
/// What the name of a pack ends with, once it is emptied.
const OLD_PACK: &str = "old";

/// Says that this process reads, until it is dropped. `None` where the file cannot be made: whoever
/// may not write there shares the folder with nobody that collects, or reads at its own risk.
pub(crate) fn enter(layout: &Layout) -> Option<File> {
    let path = layout.readers();
    for _ in 0..TRIES {
        let file = match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let mut options = OpenOptions::new();
                options.read(true).write(true).create(true).truncate(false).open(&path).ok()?
            }
            other => other.ok()?,
        };
        flock(&file, FlockOperation::LockShared).ok()?;
        // Locked before it was put away, or the index is opened after: either way its packs stay.
        let inode = |found: fs::Metadata| (found.dev(), found.ino());
        let same = fs::metadata(&path).ok().map(inode) == file.metadata().ok().map(inode);
        if same {
            return Some(file);
        }
    }
    None
}

/// Deletes packs that were put away, if no reader from before is left; returns the bytes that wait.
/// The caller holds the writer's lock.
pub(crate) fn clear(layout: &Layout) -> Result<u64, StoreError> {
    let packs = old_packs(layout)?;
    if packs.is_empty() {
        return Ok(0);
    }
    put_away(layout)?;
    let started = Instant::now();
    while !nobody_reads(layout)? {
        if started.elapsed() >= PATIENCE {
            let len = |path: &PathBuf| fs::metadata(path).map_or(0, |found| found.len());
            return Ok(packs.iter().map(len).sum());
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    for path in packs {
        fs::remove_file(&path).map_err(|error| StoreError::io("remove", path, error))?;
    }
    for path in old_files(layout)? {
        fs::remove_file(&path).map_err(|error| StoreError::io("remove", path, error))?;
    }
    Ok(0)
}

/// Gives readers to come another file to lock.
fn put_away(layout: &Layout) -> Result<(), StoreError> {
    let taken = old_files(layout)?;
    let mut names = (1_u64..).map(|number| layout.trash().join(format!("{OLD_READERS}{number}")));
    let Some(free) = names.find(|path| !taken.contains(path)) else { return Ok(()) };
    match fs::rename(layout.readers(), free) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(StoreError::io("move", layout.readers(), error))
        }
        // Made at once, so that those who may only read find one.
        _ => {
            let made = File::create(layout.readers());
            made.map(drop).map_err(|error| StoreError::io("create", layout.readers(), error))
        }
    }
}

/// Whether nobody holds a file that was put away.
fn nobody_reads(layout: &Layout) -> Result<bool, StoreError> {
    for path in old_files(layout)? {
        let file = File::open(&path).map_err(|error| StoreError::io("open", &path, error))?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Ok(false);
        }
    }
    Ok(true)
}

fn old_files(layout: &Layout) -> Result<Vec<PathBuf>, StoreError> {
    in_trash(layout, |path| {
        path.file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|it| it.starts_with(OLD_READERS))
    })
}

fn old_packs(layout: &Layout) -> Result<Vec<PathBuf>, StoreError> {
    in_trash(layout, |path| path.extension().is_some_and(|it| it == OLD_PACK))
}

fn in_trash(layout: &Layout, wanted: impl Fn(&Path) -> bool) -> Result<Vec<PathBuf>, StoreError> {
    let trash = layout.trash();
    let failed = |error| StoreError::io("read", &trash, error);
    let mut found = Vec::new();
    let entries = match fs::read_dir(&trash) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(found),
        other => other.map_err(failed)?,
    };
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        if wanted(&path) {
            found.push(path);
        }
    }
    Ok(found)
}
