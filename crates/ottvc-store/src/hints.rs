//! What the system is told about files read or written once, end to end, so that neither the disk nor
//! the processor waits for the other. Advice only: where a system takes none, nothing is lost but time.
//!
//! What is read once need not stay in the page cache, where it would push out what others use, and where
//! giving it fresh pages costs more than hashing it: Linux 6.14 and later read past it
//! (`RWF_DONTCACHE`), and take what was there before from it.

use std::fs::File;
use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Builder;

/// How much of a file is read at a time, in bytes.
const READ_BYTES: usize = 4 << 20;
/// Reads that wait to be used, and the one in use.
const READS: usize = 3;

/// Reads a file from its beginning to its end, on a thread of its own, so that the disk does not wait
/// for what becomes of the bytes.
#[derive(Debug)]
pub struct ReadAhead {
    reads: Receiver<io::Result<Vec<u8>>>,
    give_back: SyncSender<Vec<u8>>,
    current: Vec<u8>,
    used: usize,
    ended: bool,
}

impl ReadAhead {
    /// Reads `file`, which was just opened.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn new(file: File) -> io::Result<Self> {
        let (give_back, to_fill) = sync_channel::<Vec<u8>>(READS);
        let (filled, reads) = sync_channel(READS);
        for _ in 1..READS {
            // There is room for all of them.
            let _ = give_back.send(Vec::new());
        }
        let mut file = Once { file, passing: true };
        let work = move || {
            for mut buffer in to_fill {
                let read = file.fill(&mut buffer).map(|()| buffer);
                let last = read.as_ref().map_or(true, Vec::is_empty);
                if filled.send(read).is_err() || last {
                    break;
                }
            }
        };
        Builder::new().name("ottvc-ahead".into()).spawn(work)?;
        Ok(Self { reads, give_back, current: Vec::new(), used: 0, ended: false })
    }
}

impl Read for ReadAhead {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.used == self.current.len() && !self.ended {
            // Nobody wants it any more once the end was read.
            let _ = self.give_back.send(std::mem::take(&mut self.current));
            self.used = 0;
            let died = || io::Error::other("the thread that read has died");
            match self.reads.recv().map_err(|_| died())? {
                Ok(read) => self.current = read,
                Err(error) => {
                    self.ended = true;
                    return Err(error);
                }
            }
            self.ended = self.current.is_empty();
        }
        let read = self.current.get(self.used..).unwrap_or_default().read(out)?;
        self.used += read;
        Ok(read)
    }
}

/// A file that is read once.
struct Once {
    file: File,
    /// Whether the system reads it past its cache.
    passing: bool,
}

impl Once {
    /// Replaces what is in `buffer` by the next bytes: fewer than there is room for only at the end.
    fn fill(&mut self, buffer: &mut Vec<u8>) -> io::Result<()> {
        buffer.resize(READ_BYTES, 0);
        let mut filled = 0;
        while let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) {
            match self.read(room) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        buffer.truncate(filled);
        Ok(())
    }

    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.passing {
            if let Some(read) = system::read_past_cache(&self.file, out, None)? {
                return Ok(read);
            }
            self.passing = false;
        }
        self.file.read(out)
    }
}

/// Fills `out` with the bytes from `offset` on, past the page cache; `false`, with `out` in no known
/// state, where the system can read through its cache only.
///
/// # Errors
/// The system's; of kind `UnexpectedEof` if the file ends before.
pub fn read_past_cache(file: &File, out: &mut [u8], offset: u64) -> io::Result<bool> {
    let mut done = 0;
    while let Some(rest) = out.get_mut(done..)
        && !rest.is_empty()
    {
        match system::read_past_cache(file, rest, Some(offset + done as u64)) {
            Ok(None) => return Ok(false),
            Ok(Some(0)) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(Some(read)) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
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
    pub(super) fn read_past_cache(
        file: &File,
        out: &mut [u8],
        offset: Option<u64>,
    ) -> io::Result<Option<usize>> {
        let offset = offset.unwrap_or(AT_CURSOR);
        match preadv2(file, &mut [IoSliceMut::new(out)], offset, DONT_CACHE) {
            Ok(read) => Ok(Some(read)),
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::SPIPE) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// `O_DIRECT`. The file is found by its number, since it may have another name by now, or none.
    pub(super) fn open_past_cache(file: &File) -> Option<File> {
        let flags = i32::try_from(OFlags::DIRECT.bits()).ok()?;
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        OpenOptions::new().write(true).custom_flags(flags).open(path).ok()
    }

    pub(super) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        file.write_all_at(bytes, offset)
    }

    /// The kernel begins to write dirty pages that are said to be needed no more, and keeps them until
    /// they are written (`generic_fadvise` in mm/fadvise.c).
    pub(super) fn write_back(file: &File, offset: u64, len: u64) {
        let _ = fadvise(file, offset, NonZeroU64::new(len), Advice::DontNeed);
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::fs::File;
    use std::io;

    pub(super) fn read_past_cache(
        _: &File,
        _: &mut [u8],
        _: Option<u64>,
    ) -> io::Result<Option<usize>> {
        Ok(None)
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
        let mut bytes = vec![0; 20 << 20];
        blake3::Hasher::new().finalize_xof().fill(&mut bytes);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut file = File::create(&path).unwrap();
        file.write_all(&bytes).unwrap();
        // While its last bytes may still be on their way.
        write_back(&file, 0, bytes.len() as u64);
        let mut read = Vec::new();
        ReadAhead::new(File::open(&path).unwrap()).unwrap().read_to_end(&mut read).unwrap();
        assert!(read == bytes);
        // As on a system that reads through its cache only.
        let mut through = Once { file: File::open(&path).unwrap(), passing: false };
        let mut part = Vec::new();
        for expected in bytes.chunks(READ_BYTES).chain([&[][..]]) {
            through.fill(&mut part).unwrap();
            assert!(part == expected);
        }
        // Whoever stops early leaves no thread that waits.
        let mut early = ReadAhead::new(File::open(&path).unwrap()).unwrap();
        assert_eq!(early.read(&mut [0; 10]).unwrap(), 10);
    }

    #[test]
    fn a_folder_is_no_file_to_read() {
        let folder = tempfile::tempdir().unwrap();
        let mut ahead = ReadAhead::new(File::open(folder.path()).unwrap()).unwrap();
        assert!(ahead.read(&mut [0; 10]).is_err());
        assert_eq!(ahead.read(&mut [0; 10]).unwrap(), 0);
    }

    #[test]
    fn what_is_read_past_the_cache_is_what_lies_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        File::create(&path).unwrap().write_all(b"to be read once").unwrap();
        let file = File::open(&path).unwrap();
        let mut read = [0; 4];
        if read_past_cache(&file, &mut read, 6).unwrap() {
            assert_eq!(&read, b"read");
            let error = read_past_cache(&file, &mut read, 12).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
    }
}
