//! How a pack is removed under readers that may still need it.
//!
//! A reader holds a shared lock on the file `readers` for as long as its view of the index may name
//! packs of then. A collector moves packs it has emptied to `trash/` first, where readers find them
//! too, then puts the file `readers` away, so that readers to come lock another one, and deletes the
//! packs once nobody holds the old file. It never waits for a reader that came later, and no reader
//! waits for it.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ottvc_store::StoreError;
use rustix::fs::{FlockOperation, flock};

use crate::layout::{Layout, read_limited};

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
/// The longest list of packs that is read, in bytes: half a million of them.
const MAX_LIST_BYTES: u64 = 16 << 20;

/// Says that this process reads, until it is dropped. `None` where the file is not there and is not to
/// be made, or cannot be: whoever may not write there shares the folder with nobody that collects, or
/// reads at its own risk.
pub(crate) fn enter(layout: &Layout, make: bool) -> Option<File> {
    let path = layout.readers();
    for _ in 0..TRIES {
        let file = match File::open(&path) {
            Err(error) if make && error.kind() == ErrorKind::NotFound => {
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

/// Deletes packs that were put away, as far as no reader from before is left; returns the bytes that
/// wait. The caller holds the writer's lock.
pub(crate) fn clear(layout: &Layout) -> Result<u64, StoreError> {
    let waiting: BTreeSet<PathBuf> =
        generations(layout)?.into_iter().flat_map(|it| it.packs).collect();
    let new: Vec<_> =
        old_packs(layout)?.into_iter().filter(|path| !waiting.contains(path)).collect();
    if !new.is_empty() {
        put_away(layout, &new)?;
    }
    let started = Instant::now();
    while !pass(layout)? && started.elapsed() < PATIENCE {
        std::thread::sleep(LOOK_AGAIN);
    }
    let len = |path: &PathBuf| fs::metadata(path).map_or(0, |found| found.len());
    Ok(old_packs(layout)?.iter().map(len).sum())
}

/// A file of readers that was put away, and the packs that only they may need.
struct Generation {
    number: u64,
    path: PathBuf,
    packs: Vec<PathBuf>,
}

/// All of them, oldest first.
fn generations(layout: &Layout) -> Result<Vec<Generation>, StoreError> {
    let mut found = Vec::new();
    for path in in_trash(layout)? {
        let name = path.file_name().and_then(|name| name.to_str());
        let number = name.and_then(|name| name.strip_prefix(OLD_READERS)?.parse().ok());
        let Some(number) = number else { continue };
        let list = read_limited(&path, MAX_LIST_BYTES);
        let list = list.map_err(|error| StoreError::io("read", &path, error))?;
        let packs = list.lines().filter_map(|line| line.parse().ok());
        let packs = packs.map(|id| layout.retired_pack(id)).collect();
        found.push(Generation { number, path, packs });
    }
    found.sort_unstable_by_key(|it| it.number);
    Ok(found)
}

/// Gives readers to come another file to lock. The old one says which packs wait for it.
fn put_away(layout: &Layout, packs: &[PathBuf]) -> Result<(), StoreError> {
    let next = generations(layout)?.last().map_or(1, |it| it.number + 1);
    let readers = layout.readers();
    let failed = |error| StoreError::io("write", &readers, error);
    let mut options = OpenOptions::new();
    let mut list =
        options.write(true).create(true).truncate(true).open(&readers).map_err(failed)?;
    for id in packs.iter().filter_map(|path| path.file_stem()?.to_str()) {
        writeln!(list, "{id}").map_err(failed)?;
    }
    let old = layout.trash().join(format!("{OLD_READERS}{next}"));
    fs::rename(&readers, old).map_err(|error| StoreError::io("move", &readers, error))?;
    // Made at once, so that those who may only read find one.
    File::create(&readers).map(drop).map_err(|error| StoreError::io("create", &readers, error))
}

/// Deletes what the oldest generations waited for, up to the first that is still held; says whether
/// none is left. Whoever holds an older one may need the packs of a later one, too.
fn pass(layout: &Layout) -> Result<bool, StoreError> {
    for generation in generations(layout)? {
        let Generation { path, packs, .. } = generation;
        let file = File::open(&path).map_err(|error| StoreError::io("open", &path, error))?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Ok(false);
        }
        for path in packs.iter().chain([&path]) {
            match fs::remove_file(path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(StoreError::io("remove", path, error));
                }
                _ => {}
            }
        }
    }
    Ok(true)
}

fn old_packs(layout: &Layout) -> Result<Vec<PathBuf>, StoreError> {
    let all = in_trash(layout)?.into_iter();
    Ok(all.filter(|path| path.extension().is_some_and(|it| it == OLD_PACK)).collect())
}

fn in_trash(layout: &Layout) -> Result<Vec<PathBuf>, StoreError> {
    let trash = layout.trash();
    let failed = |error| StoreError::io("read", &trash, error);
    let entries = match fs::read_dir(&trash) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(failed)?,
    };
    entries.map(|entry| Ok(entry.map_err(failed)?.path())).collect()
}
