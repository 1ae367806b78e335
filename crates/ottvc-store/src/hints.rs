//! What the system is told about files read or written once, end to end, so that neither the disk nor
//! the processor waits for the other. Advice only: where a system takes none, nothing is lost but time.
//!
//! What is read once need not stay in the page cache, where it would push out what others use, and where
//! giving it fresh pages costs more than hashing it. Linux reads past it from the disk to where the bytes are
//! wanted (`O_DIRECT`). What lies in the cache already is taken from there, without leaving more in it
//! (`RWF_DONTCACHE`, Linux 6.14 and later).

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Builder;

use crate::pages::{PAGE, Pages};

/// How much of a file is read at a time, in bytes.
const READ_BYTES: usize = 4 << 20;
/// Reads that wait to be used, and the one in use.
const READS: usize = 3;

/// Reads a file from its beginning to its end, on a thread of its own, so that the disk does not wait
/// for what becomes of the bytes.
#[derive(Debug)]
pub struct ReadAhead {
    reads: Receiver<io::Result<Pages>>,
    give_back: SyncSender<Pages>,
    current: Pages,
    used: usize,
    ended: bool,
    /// What ended it before the end, so that nobody who tries again takes that for the end.
    failed: Option<io::ErrorKind>,
}

impl ReadAhead {
    /// Reads `file`, which was just opened.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn new(file: File) -> io::Result<Self> {
        let (give_back, to_fill) = sync_channel::<Pages>(READS);
        let (filled, reads) = sync_channel(READS);
        for _ in 1..READS {
            // There is room for all of them.
            let _ = give_back.send(Pages::default());
        }
        let mut file = Once::new(file);
        let work = move || {
            for mut pages in to_fill {
                let read = file.fill(&mut pages).map(|()| pages);
                let last = read.as_ref().map_or(true, |pages| pages.bytes().is_empty());
                if filled.send(read).is_err() || last {
                    break;
                }
            }
        };
        Builder::new().name("ottvc-ahead".into()).spawn(work)?;
        let (current, used, ended, failed) = (Pages::default(), 0, false, None);
        Ok(Self { reads, give_back, current, used, ended, failed })
    }
}

impl Read for ReadAhead {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if let Some(kind) = self.failed {
            return Err(kind.into());
        }
        if self.used == self.current.bytes().len() && !self.ended {
            // Nobody wants it any more once the end was read.
            let _ = self.give_back.send(std::mem::take(&mut self.current));
            self.used = 0;
            let died = || io::Error::other("the thread that read has died");
            match self.reads.recv().map_err(|_| died())? {
                Ok(read) => self.current = read,
                Err(error) => {
                    self.failed = Some(error.kind());
                    return Err(error);
                }
            }
            self.ended = self.current.bytes().is_empty();
        }
        let read = self.current.bytes().get(self.used..).unwrap_or_default().read(out)?;
        self.used += read;
        Ok(read)
    }
}

/// A file that is read once, from its beginning on.
struct Once {
    file: File,
    /// Where it is read from next; of what is no regular file only its own cursor tells.
    at: u64,
    regular: bool,
    /// Its way past the cache, if it has one.
    past: Option<Past>,
    /// Whether what is read through the cache leaves nothing there.
    passing: bool,
}

/// A file opened twice more.
struct Past {
    /// To read from the disk.
    disk: File,
    /// To see whether bytes are in the cache. It is never read ahead.
    probe: File,
}

impl Once {
    fn new(file: File) -> Self {
        let regular = file.metadata().is_ok_and(|found| found.is_file());
        let past =
            || Some(Past { disk: system::open_disk(&file)?, probe: system::open_probe(&file)? });
        let past = regular.then(past).flatten();
        Self { file, at: 0, regular, past, passing: true }
    }

    /// Replaces what is in `pages` by the next bytes: none only at the end.
    fn fill(&mut self, pages: &mut Pages) -> io::Result<()> {
        let filled = match self.fill_past(pages.room(READ_BYTES))? {
            Some(filled) => filled,
            None => self.fill_through(pages.room(READ_BYTES))?,
        };
        pages.fill(0..filled);
        self.at += filled as u64;
        Ok(())
    }

    /// Reads from the disk; `None` where that cannot be, or where the cache has the next bytes.
    fn fill_past(&mut self, room: &mut [u8]) -> io::Result<Option<usize>> {
        let Some(past) = self.past.as_ref().filter(|_| self.at.is_multiple_of(PAGE as u64)) else {
            return Ok(None);
        };
        if system::is_cached(&past.probe, self.at) {
            return Ok(None);
        }
        // Whatever it is that fails: if it is the disk, reading through the cache says so.
        let Ok(read) = system::read_at(&past.disk, room, self.at) else {
            self.past = None;
            return Ok(None);
        };
        // Looking has brought it there, and would find it there the next time.
        system::forget(&past.probe, self.at, PAGE as u64);
        Ok(Some(read))
    }

    fn fill_through(&mut self, room: &mut [u8]) -> io::Result<usize> {
        if self.regular {
            self.file.seek(SeekFrom::Start(self.at))?;
        }
        let mut filled = 0;
        while let Some(room) = room.get_mut(filled..).filter(|room| !room.is_empty()) {
            match self.read(room) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.passing {
            if let Some(read) = system::read_passing(&self.file, out)? {
                return Ok(read);
            }
            self.passing = false;
        }
        self.file.read(out)
    }
}

/// Fills `pages` with the `len` bytes of `file` from `offset` on: from the disk, or through the cache where
/// the system, or the file's, has no other way.
///
/// # Errors
/// The system's; of kind `UnexpectedEof` if the file ends before.
pub fn read_once(file: &File, offset: u64, len: usize, pages: &mut Pages) -> io::Result<()> {
    let within = usize::try_from(offset % PAGE as u64).unwrap_or_default();
    let wanted = within..within.saturating_add(len);
    let from = offset - within as u64;
    let room = pages.room(wanted.end.next_multiple_of(PAGE));
    if let Some(disk) = system::open_disk(file) {
        match read_exact(&disk, room, from, wanted.end) {
            // Also after a read that ended within a page.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
            read => {
                read?;
                pages.fill(wanted);
                return Ok(());
            }
        }
    }
    read_exact(file, room, from, wanted.end)?;
    pages.fill(wanted);
    Ok(())
}

/// Reads `least` bytes at least.
fn read_exact(file: &File, room: &mut [u8], offset: u64, least: usize) -> io::Result<()> {
    let mut done = 0;
    while done < least {
        let rest = room.get_mut(done..).unwrap_or_default();
        match system::read_at(file, rest, offset + done as u64) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes all of `bytes` at `offset` of `file`.
pub(crate) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    system::write_at(file, bytes, offset)
}

/// Opens a file once more, to write whole pages to the disk from where they lie in memory; `None` where
/// the system, or the file's, has no such way. Such a file may refuse each write as invalid.
pub(crate) fn open_past_cache(file: &File) -> Option<File> {
    system::open_past_cache(file)
}

/// Has the disk begin to write what was just written through the cache.
pub(crate) fn write_back(file: &File, offset: u64, len: u64) {
    system::write_back(file, offset, len);
}

#[cfg(target_os = "linux")]
mod system {
    use std::fs::File;
    use std::fs::OpenOptions;
    use std::io::{self, IoSliceMut};
    use std::num::NonZeroU64;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::{FileExt, OpenOptionsExt};

    use rustix::fs::{Advice, OFlags, fadvise};
    use rustix::io::{Errno, ReadWriteFlags, preadv2};

    /// `RWF_DONTCACHE` of `include/uapi/linux/fs.h`, since Linux 6.14: pages that a read brings into the
    /// cache leave it with the read; those that were there stay.
    const DONT_CACHE: ReadWriteFlags = ReadWriteFlags::from_bits_retain(0x80);
    /// Reads from where the file's cursor stands, and moves it.
    const AT_CURSOR: u64 = u64::MAX;

    /// `None` where this system, or this file's, has no such reads.
    pub(super) fn read_passing(file: &File, out: &mut [u8]) -> io::Result<Option<usize>> {
        match preadv2(file, &mut [IoSliceMut::new(out)], AT_CURSOR, DONT_CACHE) {
            Ok(read) => Ok(Some(read)),
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::SPIPE) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the byte at `offset` is in the page cache. If not, its page is on its way there: all other
    /// ways to ask are unsafe, or bring more.
    pub(super) fn is_cached(probe: &File, offset: u64) -> bool {
        let mut byte = [0];
        let read =
            preadv2(probe, &mut [IoSliceMut::new(&mut byte)], offset, ReadWriteFlags::NOWAIT);
        read.is_ok_and(|read| read > 0)
    }

    /// Has the cache let go of clean pages.
    pub(super) fn forget(file: &File, offset: u64, len: u64) {
        let _ = fadvise(file, offset, NonZeroU64::new(len), Advice::DontNeed);
    }

    pub(super) fn open_probe(file: &File) -> Option<File> {
        let probe = open_again(file, OpenOptions::new().read(true)).ok()?;
        // Nothing is read ahead of the byte that is asked for.
        fadvise(&probe, 0, None, Advice::Random).ok()?;
        Some(probe)
    }

    /// To read with `O_DIRECT`.
    pub(super) fn open_disk(file: &File) -> Option<File> {
        open_again(file, OpenOptions::new().read(true).custom_flags(direct()?)).ok()
    }

    /// To write with `O_DIRECT`.
    pub(super) fn open_past_cache(file: &File) -> Option<File> {
        open_again(file, OpenOptions::new().write(true).custom_flags(direct()?)).ok()
    }

    fn direct() -> Option<i32> {
        i32::try_from(OFlags::DIRECT.bits()).ok()
    }

    /// The file is found by its number, since it may have another name by now, or none.
    fn open_again(file: &File, options: &OpenOptions) -> io::Result<File> {
        options.open(format!("/proc/self/fd/{}", file.as_raw_fd()))
    }

    pub(super) fn read_at(file: &File, out: &mut [u8], offset: u64) -> io::Result<usize> {
        file.read_at(out, offset)
    }

    pub(super) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        file.write_all_at(bytes, offset)
    }

    /// The kernel begins to write dirty pages that are said to be needed no more, and keeps them until
    /// they are written (`generic_fadvise` in mm/fadvise.c).
    pub(super) fn write_back(file: &File, offset: u64, len: u64) {
        forget(file, offset, len);
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::fs::File;
    use std::io;

    pub(super) fn read_passing(_: &File, _: &mut [u8]) -> io::Result<Option<usize>> {
        Ok(None)
    }
    pub(super) fn is_cached(_: &File, _: u64) -> bool {
        true
    }
    pub(super) fn forget(_: &File, _: u64, _: u64) {}
    pub(super) fn open_probe(_: &File) -> Option<File> {
        None
    }
    pub(super) fn open_disk(_: &File) -> Option<File> {
        None
    }
    #[cfg(unix)]
    pub(super) fn read_at(file: &File, out: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(file, out, offset)
    }
    #[cfg(not(unix))]
    pub(super) fn read_at(mut file: &File, out: &mut [u8], offset: u64) -> io::Result<usize> {
        io::Seek::seek(&mut file, io::SeekFrom::Start(offset))?;
        io::Read::read(&mut file, out)
    }
    pub(super) fn write_back(_: &File, _: u64, _: u64) {}
    pub(super) fn open_past_cache(_: &File) -> Option<File> {
        None
    }
    #[cfg(unix)]
    pub(super) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
    }
    #[cfg(not(unix))]
    pub(super) fn write_at(mut file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        io::Seek::seek(&mut file, io::SeekFrom::Start(offset))?;
        io::Write::write_all(&mut file, bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_file_reads_whole() {
        // Its last page is not a whole one.
        let mut bytes = vec![0; (20 << 20) + 1234];
        blake3::Hasher::new().finalize_xof().fill(&mut bytes);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut file = File::create(&path).unwrap();
        file.write_all(&bytes).unwrap();
        // While its last bytes may still be on their way, and once they are on the disk alone.
        write_back(&file, 0, bytes.len() as u64);
        for synced in [false, true] {
            if synced {
                file.sync_all().unwrap();
                system::forget(&file, 5 << 20, 9 << 20);
            }
            let mut read = Vec::new();
            ReadAhead::new(File::open(&path).unwrap()).unwrap().read_to_end(&mut read).unwrap();
            assert!(read == bytes, "{synced}");
        }
        // As on a system that reads through its cache only.
        let file = File::open(&path).unwrap();
        let mut through = Once { file, at: 0, regular: true, past: None, passing: false };
        let mut part = Pages::default();
        for expected in bytes.chunks(READ_BYTES).chain([&[][..]]) {
            through.fill(&mut part).unwrap();
            assert!(part.bytes() == expected);
        }
        // Whoever stops early leaves no thread that waits.
        let mut early = ReadAhead::new(File::open(&path).unwrap()).unwrap();
        assert_eq!(early.read(&mut [0; 10]).unwrap(), 10);
    }

    #[test]
    fn a_file_that_grows_within_a_page_reads_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut file = File::create(&path).unwrap();
        let mut once = Once::new(File::open(&path).unwrap());
        let (mut pages, mut read) = (Pages::default(), Vec::new());
        for part in [&b"one"[..], b", two", b" and three"] {
            file.write_all(part).unwrap();
            file.sync_all().unwrap();
            once.fill(&mut pages).unwrap();
            read.extend_from_slice(pages.bytes());
        }
        once.fill(&mut pages).unwrap();
        assert!(pages.bytes().is_empty());
        assert_eq!(read, b"one, two and three");
    }

    #[test]
    fn a_folder_is_no_file_to_read() {
        let folder = tempfile::tempdir().unwrap();
        let mut ahead = ReadAhead::new(File::open(folder.path()).unwrap()).unwrap();
        assert!(ahead.read(&mut [0; 10]).is_err());
        assert!(ahead.read(&mut [0; 10]).is_err(), "trying again is no end of the file");
    }

    #[test]
    fn what_is_read_once_is_what_lies_there() {
        let mut bytes = vec![0; 30_000];
        blake3::Hasher::new().finalize_xof().fill(&mut bytes);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        File::create(&path).unwrap().write_all(&bytes).unwrap();
        let file = File::open(&path).unwrap();
        let mut pages = Pages::default();
        for (offset, len) in
            [(0, 30_000), (0, 4096), (4096, 1), (5000, 25_000), (29_999, 1), (9, 0)]
        {
            read_once(&file, offset as u64, len, &mut pages).unwrap();
            assert!(pages.bytes() == &bytes[offset..offset + len], "{offset}, {len}");
        }
        for (offset, len) in [(29_999, 2), (30_000, 1), (50_000, 4096)] {
            let error = read_once(&file, offset, len, &mut pages).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
    }
}
