//! Files that are written from one place to their end, past the page cache and behind the back of
//! whoever writes.
//!
//! Bytes gather in a few buffers. Full ones go to a thread that hands them to the disk as they lie, where
//! the system can do that (Linux, most file systems): what is written once need not be copied to the
//! page cache, which costs more than hashing it. What is too short for that, and the bytes before the
//! first and after the last whole page, go through the cache, so that each byte is written once, in its
//! place, and no file is longer than what was written to it.
//!
//! Nothing is lost to an error: bytes that the system refused are kept, and written again before more
//! are taken. Nothing is durable: that takes a sync, which begins after the last write it answers for.

use std::fmt::Debug;
use std::fs::File;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SendError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};

use crate::hints;
use crate::pages::{PAGE, first_page};

/// Room in a buffer, in bytes, unless told otherwise.
const BUFFER_BYTES: usize = 4 << 20;
/// Buffers that are being written, or wait for that, beside the one that is being filled.
const UNDER_WAY: usize = 2;

/// How bytes get into a file.
pub trait Put: Debug + Send + Sync {
    /// Writes all of `bytes` at `offset` of `file`; after an error, any part of them may be written.
    ///
    /// # Errors
    /// What the system says.
    fn put(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()>;
}

/// As the system does it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plainly;

impl Put for Plainly {
    fn put(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        hints::write_at(file, bytes, offset)
    }
}

/// Memory for buffers, used again from file to file.
#[derive(Clone, Debug)]
pub struct Buffers {
    /// Room in each, a whole number of pages.
    room: usize,
    spare: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Default for Buffers {
    fn default() -> Self {
        Self::of(BUFFER_BYTES as u64)
    }
}

impl Buffers {
    /// Buffers with room for about `bytes` each, and no more than 4 MiB.
    pub fn of(bytes: u64) -> Self {
        let room = usize::try_from(bytes).unwrap_or(usize::MAX).clamp(PAGE, BUFFER_BYTES);
        Self { room: room.next_multiple_of(PAGE), spare: Arc::default() }
    }

    fn spare(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An empty buffer for the bytes of a file from `offset` on, up to where the next one begins.
    fn lend(&self, offset: u64) -> Buffer {
        let kept = self.spare().pop();
        let bytes = kept.unwrap_or_else(|| vec![0; self.room + PAGE]);
        let within = |unit: usize| usize::try_from(offset % unit as u64).unwrap_or_default();
        let first = first_page(&bytes) + within(PAGE);
        Buffer { bytes, offset, first, len: 0, room: self.room - within(self.room) }
    }

    fn give_back(&self, buffer: Buffer) {
        let mut spare = self.spare();
        if spare.len() <= UNDER_WAY {
            spare.push(buffer.bytes);
        }
    }
}

/// Bytes of a file that are to be written.
#[derive(Debug)]
struct Buffer {
    bytes: Vec<u8>,
    /// Where in the file they go.
    offset: u64,
    /// Where they begin in `bytes`: as far from a page's start as in the file.
    first: usize,
    len: usize,
    /// How many there can be.
    room: usize,
}

impl Buffer {
    fn filled(&self) -> &[u8] {
        self.bytes.get(self.first..self.first + self.len).unwrap_or_default()
    }

    /// Takes what there is room for; returns the rest.
    fn take<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let (now, rest) = bytes.split_at(bytes.len().min(self.room - self.len));
        let from = self.first + self.len;
        if let Some(room) = self.bytes.get_mut(from..from + now.len()) {
            room.copy_from_slice(now);
            self.len += now.len();
        }
        rest
    }

    /// Bytes before the first whole page, whole pages, and bytes after the last.
    fn parts(&self) -> [&[u8]; 3] {
        let all = self.filled();
        let within = usize::try_from(self.offset % PAGE as u64).unwrap_or_default();
        let before = (within.next_multiple_of(PAGE) - within).min(all.len());
        let (before, rest) = all.split_at(before);
        let (pages, after) = rest.split_at(rest.len() - rest.len() % PAGE);
        [before, pages, after]
    }
}

/// The two ways into a file.
#[derive(Debug)]
struct Ways {
    file: Arc<File>,
    by: Arc<dyn Put>,
    /// The file opened once more, to write past the cache; `None` inside if that cannot be.
    past: Option<Option<File>>,
    /// What is shorter goes through the cache, where the system puts it together with its neighbours.
    least: usize,
}

impl Ways {
    fn new(file: &Arc<File>, by: &Arc<dyn Put>, buffers: &Buffers) -> Self {
        let (file, by) = (Arc::clone(file), Arc::clone(by));
        Self { file, by, past: None, least: (buffers.room / 4).max(PAGE) }
    }

    fn write(&mut self, buffer: &Buffer) -> io::Result<()> {
        let [before, pages, after] = buffer.parts();
        if pages.len() < self.least {
            return self.by.put(&self.file, buffer.filled(), buffer.offset);
        }
        let first = buffer.offset + before.len() as u64;
        self.through(before, buffer.offset)?;
        self.past(pages, first)?;
        self.through(after, first + pages.len() as u64)
    }

    fn through(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if bytes.is_empty() { Ok(()) } else { self.by.put(&self.file, bytes, offset) }
    }

    /// Writes whole pages past the cache, or through it where the file's system has no other way.
    fn past(&mut self, pages: &[u8], offset: u64) -> io::Result<()> {
        let past = self.past.get_or_insert_with(|| hints::open_past_cache(&self.file));
        if let Some(file) = past {
            match self.by.put(file, pages, offset) {
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => *past = None,
                done => return done,
            }
        }
        self.by.put(&self.file, pages, offset)?;
        hints::write_back(&self.file, offset, pages.len() as u64);
        Ok(())
    }
}

/// What the thread is asked for.
enum Job {
    Write(Buffer),
    Sync(Box<dyn FnOnce() -> io::Result<()> + Send>),
}

/// What became of it.
enum Done {
    /// A buffer that was refused comes back with the reason.
    Written(Result<(), (Buffer, io::Error)>),
    Synced(io::Result<()>),
}

#[derive(Debug)]
struct Thread {
    jobs: SyncSender<Job>,
    done: Receiver<Done>,
    handle: JoinHandle<()>,
}

impl Thread {
    fn start(mut ways: Ways, buffers: Buffers) -> io::Result<Self> {
        let (jobs, to_do) = sync_channel(UNDER_WAY + 1);
        let (said, done) = sync_channel(UNDER_WAY + 2);
        let work = move || {
            for job in to_do {
                let done = match job {
                    Job::Write(buffer) => {
                        let written = ways.write(&buffer);
                        // For other files at once: this one may not be asked again for long.
                        Done::Written(match written {
                            Ok(()) => {
                                buffers.give_back(buffer);
                                Ok(())
                            }
                            Err(error) => Err((buffer, error)),
                        })
                    }
                    // Whether it counts, whoever hears of the writes before it knows.
                    Job::Sync(sync) => Done::Synced(sync()),
                };
                if said.send(done).is_err() {
                    break;
                }
            }
        };
        let handle = Builder::new().name("ottvc-behind".into()).spawn(work)?;
        Ok(Self { jobs, done, handle })
    }
}

/// A file, or the rest of one, that is written from where it begins to its end.
#[derive(Debug)]
pub struct Behind {
    ways: Ways,
    buffers: Buffers,
    /// The last bytes before `end`, which were not handed over yet.
    filling: Option<Buffer>,
    end: u64,
    thread: Option<Thread>,
    /// How many buffers the thread has.
    under_way: usize,
    /// What could not be written, and is to be written again.
    refused: Vec<Buffer>,
    /// Why, until somebody was told.
    untold: Option<io::Error>,
    sync: Syncing,
}

/// How far a sync is.
#[derive(Debug)]
enum Syncing {
    /// None was begun, or it began before all was written.
    None,
    Begun,
    Ended(io::Result<()>),
}

impl Behind {
    /// Writes `file` from `at` on, over what lies there. Cheap: memory and a thread are taken when they
    /// are needed. What was not flushed when this is dropped may be written, or not.
    pub fn new(file: &Arc<File>, at: u64, by: &Arc<dyn Put>, buffers: &Buffers) -> Self {
        let (ways, buffers) = (Ways::new(file, by, buffers), buffers.clone());
        let (filling, thread, untold) = (None, None, None);
        let (under_way, refused, sync) = (0, Vec::new(), Syncing::None);
        Self { ways, buffers, filling, end: at, thread, under_way, refused, untold, sync }
    }

    /// Takes the next bytes, all pieces or none; they are in the file after [`Behind::flush`].
    ///
    /// # Errors
    /// The system's, if it refused what was taken before; then these are not taken, and the next call
    /// tries again.
    pub fn push(&mut self, pieces: &[&[u8]]) -> io::Result<()> {
        self.settle()?;
        // A sync under way does not answer for these.
        self.sync = Syncing::None;
        for piece in pieces {
            let mut rest = *piece;
            while !rest.is_empty() {
                let (buffers, end) = (&self.buffers, self.end);
                let filling = self.filling.get_or_insert_with(|| buffers.lend(end));
                let left = filling.take(rest);
                let full = filling.len == filling.room;
                self.end += (rest.len() - left.len()) as u64;
                rest = left;
                if full {
                    self.hand_over();
                }
            }
        }
        Ok(())
    }

    /// Waits until the system has all that was taken: whoever opens the file reads it.
    ///
    /// # Errors
    /// The system's. Nothing is given up: the next call tries again.
    pub fn flush(&mut self) -> io::Result<()> {
        self.hear(0);
        self.settle()?;
        match self.filling.take() {
            // A short file: to wait for the disk would take longer than the way through the cache.
            Some(buffer) if self.thread.is_none() => {
                let written = self.ways.through(buffer.filled(), buffer.offset);
                self.note(buffer, written);
            }
            Some(buffer) => self.write_here(buffer),
            None => {}
        }
        self.untold.take().map_or(Ok(()), Err)
    }

    /// Has the thread write what is left, and then do `sync`, if nothing was refused; waits for neither.
    /// [`Behind::synced`] says how that went.
    ///
    /// # Errors
    /// If the system gives no thread; then nothing is begun.
    pub fn begin_sync(
        &mut self,
        sync: impl FnOnce() -> io::Result<()> + Send + 'static,
    ) -> io::Result<()> {
        self.start()?;
        self.hand_over();
        if !self.refused.is_empty() {
            return Ok(());
        }
        if self.thread.as_ref().is_some_and(|it| it.jobs.send(Job::Sync(Box::new(sync))).is_ok()) {
            self.sync = Syncing::Begun;
        }
        Ok(())
    }

    /// Waits for the sync that was begun; `None` if none was that counts, so that it is to be done now.
    pub fn synced(&mut self) -> Option<io::Result<()>> {
        self.hear(0);
        while matches!(self.sync, Syncing::Begun) && self.hear_one() {}
        match std::mem::replace(&mut self.sync, Syncing::None) {
            Syncing::Ended(synced) => Some(synced),
            Syncing::None | Syncing::Begun => None,
        }
    }

    fn start(&mut self) -> io::Result<()> {
        if self.thread.is_none() {
            let ways = Ways::new(&self.ways.file, &self.ways.by, &self.buffers);
            self.thread = Some(Thread::start(ways, self.buffers.clone())?);
        }
        Ok(())
    }

    /// Gives the buffer being filled to the thread; waits while that has enough.
    fn hand_over(&mut self) {
        self.hear(UNDER_WAY - 1);
        let Some(buffer) = self.filling.take() else { return };
        let started = self.start();
        let refused = match (&self.thread, started) {
            (Some(thread), Ok(())) => match thread.jobs.send(Job::Write(buffer)) {
                Ok(()) => None,
                Err(SendError(Job::Write(buffer))) => Some(buffer),
                Err(SendError(Job::Sync(_))) => return,
            },
            _ => Some(buffer),
        };
        match refused {
            None => self.under_way += 1,
            // Without a thread, here.
            Some(buffer) => self.write_here(buffer),
        }
    }

    fn write_here(&mut self, buffer: Buffer) {
        let written = self.ways.write(&buffer);
        self.note(buffer, written);
    }

    /// Keeps what could not be written, for the next try. A sync under way answers for less than it should, then.
    fn note(&mut self, buffer: Buffer, written: io::Result<()>) {
        match written {
            Ok(()) => self.buffers.give_back(buffer),
            Err(error) => self.refuse(buffer, error),
        }
    }

    fn refuse(&mut self, buffer: Buffer, error: io::Error) {
        self.refused.push(buffer);
        self.untold = Some(error);
        self.sync = Syncing::None;
    }

    /// Says what went wrong; what was said before is tried again.
    fn settle(&mut self) -> io::Result<()> {
        if self.untold.is_none() {
            for buffer in std::mem::take(&mut self.refused) {
                self.write_here(buffer);
            }
        }
        self.untold.take().map_or(Ok(()), Err)
    }

    /// Hears what became of buffers, until no more than `most` are under way.
    fn hear(&mut self, most: usize) {
        while self.under_way > most && self.hear_one() {}
    }

    /// Waits for what the thread says next; `false` if it says no more.
    fn hear_one(&mut self) -> bool {
        match self.thread.as_ref().map(|thread| thread.done.recv()) {
            Some(Ok(Done::Written(written))) => {
                self.under_way -= 1;
                if let Err((buffer, error)) = written {
                    self.refuse(buffer, error);
                }
                true
            }
            Some(Ok(Done::Synced(synced))) => {
                // Not after a write that failed: that one says so.
                if matches!(self.sync, Syncing::Begun) {
                    self.sync = Syncing::Ended(synced);
                }
                true
            }
            Some(Err(_)) | None => {
                self.untold = Some(io::Error::other("the thread that wrote has died"));
                false
            }
        }
    }
}

impl Write for Behind {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push(&[bytes]).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Self::flush(self)
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        if let Some(Thread { jobs, done, handle }) = self.thread.take() {
            // Its files are closed when this returns.
            drop(jobs);
            let _ = handle.join();
            drop(done);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Read;
    use std::sync::atomic::{AtomicU64, Ordering};

    use tempfile::TempDir;

    use super::*;

    fn noise(len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        blake3::Hasher::new().finalize_xof().fill(&mut bytes);
        bytes
    }

    fn file() -> (TempDir, Arc<File>) {
        let folder = tempfile::tempdir().unwrap();
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).open(folder.path().join("file"));
        (folder, Arc::new(file.unwrap()))
    }

    fn read(folder: &TempDir) -> Vec<u8> {
        let mut bytes = Vec::new();
        let file = File::open(folder.path().join("file"));
        file.unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    }

    /// Fails the write after so many others, half of it done.
    #[derive(Debug)]
    struct Failing(AtomicU64);

    impl Put for Failing {
        fn put(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
            if self.0.fetch_sub(1, Ordering::SeqCst) == 0 {
                // Where the system refuses even that, for a reason of its own, ours is still the one told.
                let _ = Plainly.put(file, &bytes[..bytes.len() / 2], offset);
                return Err(io::ErrorKind::StorageFull.into());
            }
            Plainly.put(file, bytes, offset)
        }
    }

    #[test]
    fn a_file_holds_what_was_pushed_wherever_pages_begin() {
        let bytes = noise(300_000);
        for (begin, room) in [(0, 4096), (48, 4096), (4095, 8192), (5000, 16384), (8192, 1 << 20)] {
            let (folder, file) = file();
            Plainly.put(&file, &bytes[..begin], 0).unwrap();
            let by: Arc<dyn Put> = Arc::new(Plainly);
            let mut behind = Behind::new(&file, begin as u64, &by, &Buffers::of(room));
            let mut at = begin;
            for (number, len) in (1..).map(|number| (number, number * 977 % 40_000)) {
                let end = (at + len).min(bytes.len());
                let (first, second) = bytes[at..end].split_at((end - at) / 3);
                behind.push(&[first, second]).unwrap();
                at = end;
                if number % 5 == 0 {
                    behind.flush().unwrap();
                    assert!(read(&folder) == bytes[..at], "{begin} {room} {at}");
                }
                if at == bytes.len() {
                    break;
                }
            }
            behind.flush().unwrap();
            assert!(read(&folder) == bytes, "{begin} {room}");
        }
    }

    #[test]
    fn a_refused_write_is_told_once_and_loses_nothing() {
        let bytes = noise(100_000);
        // Twelve full buffers and a rest; one more where a file can be opened to write past the cache,
        // but the first such write is refused.
        let clean = Arc::new(Failing(u64::MAX.into()));
        let by: Arc<dyn Put> = Arc::clone(&clean) as Arc<dyn Put>;
        let mut behind = Behind::new(&file().1, 0, &by, &Buffers::of(8192));
        bytes.chunks(3000).for_each(|some| behind.push(&[some]).unwrap());
        behind.flush().unwrap();
        let calls = u64::MAX - clean.0.load(Ordering::SeqCst);
        assert!((13..=14).contains(&calls), "{calls}");
        for call in 0..40 {
            let (folder, file) = file();
            let by: Arc<dyn Put> = Arc::new(Failing(call.into()));
            let mut behind = Behind::new(&file, 0, &by, &Buffers::of(8192));
            let mut errors = 0;
            for some in bytes.chunks(3000) {
                while let Err(error) = behind.push(&[some]) {
                    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
                    errors += 1;
                }
            }
            while behind.flush().is_err() {
                errors += 1;
            }
            assert_eq!(errors, u32::from(call < calls), "call {call}");
            assert!(read(&folder) == bytes, "call {call}");
        }
    }

    #[test]
    fn a_sync_answers_for_all_that_was_pushed_or_does_not_count() {
        let bytes = noise(30_000);
        for (call, counts) in [(0, false), (2, false), (100, true)] {
            let (folder, file) = file();
            let by: Arc<dyn Put> = Arc::new(Failing(call.into()));
            let mut behind = Behind::new(&file, 0, &by, &Buffers::of(8192));
            while behind.push(&[&bytes]).is_err() {}
            let path = folder.path().join("file");
            let found = Arc::new(AtomicU64::new(0));
            let len = Arc::clone(&found);
            behind
                .begin_sync(move || {
                    len.store(path.metadata()?.len(), Ordering::SeqCst);
                    Ok(())
                })
                .unwrap();
            let flushed = behind.flush();
            assert_eq!(flushed.is_ok(), counts);
            assert_eq!(behind.synced().is_some(), counts, "call {call}");
            if counts {
                assert_eq!(found.load(Ordering::SeqCst), 30_000);
            } else {
                behind.flush().unwrap();
            }
            assert!(behind.synced().is_none(), "it is told once");
            assert!(read(&folder) == bytes);
        }
    }

    #[test]
    fn a_sync_counts_once_what_was_refused_is_written() {
        let (_folder, file) = file();
        let by: Arc<dyn Put> = Arc::new(Failing(0.into()));
        let mut behind = Behind::new(&file, 0, &by, &Buffers::of(8192));
        behind.push(&[&noise(30_000)]).unwrap();
        assert!(behind.flush().is_err());
        behind.flush().unwrap();
        behind.push(&[&noise(30_000)]).unwrap();
        behind.begin_sync(|| Ok(())).unwrap();
        behind.flush().unwrap();
        assert!(matches!(behind.synced(), Some(Ok(()))));
    }

    /// As a file system does that knows no way past the cache.
    #[derive(Debug)]
    struct Through(Arc<File>);

    impl Put for Through {
        fn put(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
            match std::ptr::eq(file, &raw const *self.0) {
                true => Plainly.put(file, bytes, offset),
                false => Err(io::ErrorKind::InvalidInput.into()),
            }
        }
    }

    /// Whether whole pages go past the cache, and nothing else.
    #[derive(Debug)]
    struct Watching(Arc<File>, AtomicU64);

    impl Put for Watching {
        fn put(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
            if !std::ptr::eq(file, &raw const *self.0) {
                let whole = offset.is_multiple_of(PAGE as u64) && bytes.len().is_multiple_of(PAGE);
                assert!(whole && bytes.as_ptr().align_offset(PAGE) == 0, "{offset}");
                self.1.fetch_add(bytes.len() as u64, Ordering::SeqCst);
            }
            Plainly.put(file, bytes, offset)
        }
    }

    #[test]
    fn whole_pages_go_past_the_cache_and_nothing_else() {
        let bytes = noise(100_000);
        let (folder, file) = file();
        // Some systems open a file so, and then refuse each write.
        let pages = vec![0; 2 * PAGE];
        let first = first_page(&pages);
        let page = &pages[first..first + PAGE];
        let past = hints::open_past_cache(&file);
        if past.is_none_or(|past| Plainly.put(&past, page, 0).is_err()) {
            eprintln!("\n*** no file goes past the cache here: this WAS NOT CHECKED ***\n");
            return;
        }
        let watching = Arc::new(Watching(Arc::clone(&file), 0.into()));
        let by: Arc<dyn Put> = Arc::clone(&watching) as Arc<dyn Put>;
        Plainly.put(&file, &bytes[..5000], 0).unwrap();
        let mut behind = Behind::new(&file, 5000, &by, &Buffers::of(16384));
        behind.write_all(&bytes[5000..]).unwrap();
        behind.flush().unwrap();
        assert!(read(&folder) == bytes);
        // From the second whole page to the last.
        assert_eq!(watching.1.load(Ordering::SeqCst), (100_000 / 4096 - 2) * 4096);
    }

    #[test]
    fn where_there_is_no_way_past_the_cache_it_is_written_through() {
        let bytes = noise(100_000);
        let (folder, file) = file();
        let by: Arc<dyn Put> = Arc::new(Through(Arc::clone(&file)));
        let mut behind = Behind::new(&file, 0, &by, &Buffers::of(8192));
        behind.write_all(&bytes).unwrap();
        behind.flush().unwrap();
        assert!(read(&folder) == bytes);
    }
}
