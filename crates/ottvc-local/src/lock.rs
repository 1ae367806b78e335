//! The writer's lock: one command at a time writes to a store, and says who it is.

use std::fs::{File, OpenOptions};
use std::io::{Seek, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use ottvc_store::StoreError;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::layout::{Layout, read_limited};

/// How often a waiting command looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(25);
/// The longest text of a holder that is shown, in bytes.
const MAX_HOLDER_BYTES: u64 = 400;

/// Held by the one process that writes. The system drops it when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct WriterLock {
    file: File,
}

impl WriterLock {
    /// Takes the lock, waiting at most `wait`.
    ///
    /// # Errors
    /// [`StoreError::Busy`] naming the holder, if it is still held by then.
    pub(crate) fn take(layout: &Layout, wait: Duration, command: &str) -> Result<Self, StoreError> {
        let path = layout.lock();
        let failed = |error| StoreError::io("lock", &path, error);
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let file = options.open(&path).map_err(failed)?;
        let started = Instant::now();
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(Errno::WOULDBLOCK | Errno::INTR) => {}
                Err(errno) => return Err(failed(errno.into())),
            }
            let left = wait.saturating_sub(started.elapsed());
            if left.is_zero() {
                let holder = holder(&path);
                return Err(StoreError::Busy { path: layout.dir().to_path_buf(), holder });
            }
            std::thread::sleep(left.min(LOOK_AGAIN));
        }
        let mut lock = Self { file };
        // The name is for people: a disk too full to hold it must not stop a command that frees it.
        let _ = lock.sign(command);
        Ok(lock)
    }

    /// Writes who holds the lock. Since when is the file's own time.
    fn sign(&mut self, command: &str) -> std::io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        // In one write: who reads it meanwhile must not see half of it.
        let line = format!("{command} (process {})\n", std::process::id());
        self.file.write_all(line.as_bytes())
    }
}

impl Drop for WriterLock {
    fn drop(&mut self) {
        // Left as it is, the text would only be stale; the lock itself goes with the file.
        let _ = self.file.set_len(0);
    }
}

/// Says who holds the lock, as well as can be known.
fn holder(path: &Path) -> String {
    let text = read_limited(path, MAX_HOLDER_BYTES).unwrap_or_default();
    let text = text.lines().next().unwrap_or_default();
    let since = std::fs::metadata(path).and_then(|found| found.modified()).ok();
    let since = since.and_then(|time| jiff::Timestamp::try_from(time).ok());
    match (text, since) {
        ("", _) => "another process".to_owned(),
        (text, None) => text.to_owned(),
        (text, Some(since)) => format!("{text} since {since:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_waits_and_then_names_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let first = WriterLock::take(&layout, Duration::ZERO, "ottvc add").unwrap();
        let wait = Duration::from_millis(60);
        let started = Instant::now();
        match WriterLock::take(&layout, wait, "ottvc commit") {
            Err(StoreError::Busy { holder, .. }) => {
                assert!(holder.starts_with("ottvc add (process "), "{holder}");
                assert!(holder.contains(" since 20"), "{holder}");
            }
            other => panic!("{other:?}"),
        }
        assert!(started.elapsed() >= wait);
        drop(first);
        WriterLock::take(&layout, Duration::ZERO, "ottvc commit").unwrap();
    }

    #[test]
    fn the_second_gets_in_as_soon_as_the_first_is_done() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let first = WriterLock::take(&layout, Duration::ZERO, "ottvc add").unwrap();
        let second = std::thread::spawn(move || {
            WriterLock::take(&layout, Duration::from_secs(60), "ottvc commit").map(drop)
        });
        std::thread::sleep(Duration::from_millis(30));
        drop(first);
        second.join().unwrap().unwrap();
    }
}
