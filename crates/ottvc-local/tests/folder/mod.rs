//! A store in a temporary folder, and media that fail on cue.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test that fails may panic")]
#![allow(dead_code, unreachable_pub, reason = "each test takes its part")]

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ottvc_local::{Access, Disk, LocalRepo, Medium, Tuning};
use ottvc_store::pack::{Class, PackId, Scan, scan};
use ottvc_store::{Damage, Held, ObjectStore, Portion};
use tempfile::TempDir;

pub const WRITE: Access<'static> = Access::Write { wait: Duration::ZERO, command: "a test" };

pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        assert!(LocalRepo::init(dir.path()).unwrap());
        Self(dir)
    }
    pub fn path(&self) -> &Path {
        self.0.path()
    }
    pub fn read(&self) -> LocalRepo {
        LocalRepo::open(self.path(), Access::Read).unwrap()
    }
    pub fn write(&self) -> LocalRepo {
        LocalRepo::open(self.path(), WRITE).unwrap()
    }
    pub fn write_small(&self, pack_target: u64) -> LocalRepo {
        self.write_small_on(pack_target, Disk)
    }
    pub fn write_on(&self, medium: impl Medium + 'static) -> LocalRepo {
        self.write_small_on(64 << 20, medium)
    }
    pub fn write_small_on(&self, pack_target: u64, medium: impl Medium + 'static) -> LocalRepo {
        let tuning = Tuning { pack_target, medium: Arc::new(medium) };
        LocalRepo::open_tuned(self.path(), WRITE, tuning).unwrap()
    }

    /// All packs in order of their names, and how many are sealed.
    pub fn packs(&self) -> (Vec<(PathBuf, Scan)>, usize) {
        let entries = fs::read_dir(self.path().join("packs")).unwrap();
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        let scanned = |path: PathBuf| {
            let id: PackId = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
            let found = scan(id, &fs::read(&path).unwrap());
            (path, found)
        };
        let packs: Vec<_> = paths.into_iter().map(scanned).collect();
        let sealed = packs.iter().filter(|(_, found)| found.sealed).count();
        (packs, sealed)
    }
    /// The one pack of a class.
    pub fn pack(&self, class: Class) -> PathBuf {
        let of_class = |found: &Scan| found.header.is_some_and(|header| header.class == class);
        let mut packs = self.packs().0.into_iter().filter(|(_, found)| of_class(found));
        let (path, _) = packs.next().unwrap();
        assert!(packs.next().is_none(), "there is only one");
        path
    }
    /// The pack and offset of the record of an id.
    pub fn record(&self, id: [u8; 32]) -> (PathBuf, u64) {
        let packs = self.packs().0.into_iter();
        let mut found = packs.flat_map(|(path, found)| {
            let records = found.records.into_iter().filter(move |record| record.header.id == id);
            records.map(move |record| (path.clone(), record.offset))
        });
        found.next().unwrap()
    }
    pub fn flip(&self, path: &Path, offset: u64) {
        let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, offset).unwrap();
        file.write_all_at(&[byte[0] ^ 0x10], offset).unwrap();
    }
    pub fn truncate(&self, path: &Path, len: u64) {
        OpenOptions::new().write(true).open(path).unwrap().set_len(len).unwrap();
    }
    pub fn overwrite(&self, path: &Path, bytes: &[u8]) {
        File::create(path).unwrap().write_all(bytes).unwrap();
    }

    /// Every file, by path, with its bytes.
    pub fn everything(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let (mut found, mut waiting) = (BTreeMap::new(), vec![self.path().to_path_buf()]);
        while let Some(folder) = waiting.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    waiting.push(path);
                } else {
                    found.insert(path.clone(), fs::read(path).unwrap());
                }
            }
        }
        found
    }

    pub fn damage(&self) -> Vec<Damage> {
        self.read().objects().check(Portion::Everything, &mut |_, _| ()).unwrap().damage
    }
    pub fn assert_clean(&self) {
        assert_eq!(self.damage(), []);
    }
    pub fn scan(&self, objects: &dyn ObjectStore) -> BTreeMap<[u8; 32], Held> {
        let mut all = BTreeMap::new();
        let scanned = objects.scan(&mut |held| {
            let id = match held {
                Held::Object { id, .. } => id.0,
                Held::Chunk { id, .. } => id.0,
            };
            all.insert(id, held);
            Ok(())
        });
        scanned.unwrap();
        all
    }
}

/// Makes the file that says where the database begins point nowhere.
pub fn break_current(db: &Path) {
    File::create(db.join("CURRENT")).unwrap().write_all(b"MANIFEST-999999\n").unwrap();
}

/// Damages the database's list of files.
pub fn break_manifest(db: &Path) {
    for entry in fs::read_dir(db).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with("MANIFEST") {
            let file = OpenOptions::new().write(true).open(path).unwrap();
            file.write_all_at(&[0x55; 40], 8).unwrap();
        }
    }
}

/// A disk that fails one call, having written half of it.
#[derive(Debug)]
pub struct Tantrum {
    calls: AtomicU64,
    syncs: AtomicU64,
    at_call: u64,
    at_sync: u64,
}

impl Tantrum {
    /// Fails the call (write or sync) after `call` others.
    pub fn at_call(call: u64) -> Self {
        Self { calls: 0.into(), syncs: 0.into(), at_call: call, at_sync: u64::MAX }
    }
    /// Fails the sync after `sync` others.
    pub fn at_sync(sync: u64) -> Self {
        Self { at_sync: sync, ..Self::at_call(u64::MAX) }
    }
}

fn full() -> io::Error {
    io::ErrorKind::StorageFull.into()
}

impl Medium for Tantrum {
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        if self.calls.fetch_add(1, Ordering::SeqCst) == self.at_call {
            Disk.write_at(file, &bytes[..bytes.len() / 2], offset)?;
            return Err(full());
        }
        Disk.write_at(file, bytes, offset)
    }
    fn sync(&self, file: &File) -> io::Result<()> {
        let (call, sync) =
            (self.calls.fetch_add(1, Ordering::SeqCst), self.syncs.fetch_add(1, Ordering::SeqCst));
        if call == self.at_call || sync == self.at_sync { Err(full()) } else { Disk.sync(file) }
    }
}

/// A disk that can lose what was not made durable: the names and lengths of files stay, as file
/// systems that journal only those leave it.
#[derive(Clone, Debug, Default)]
pub struct PowerLoss(Arc<Mutex<Vec<(File, u64, usize)>>>);

impl PowerLoss {
    /// Loses it; says how many writes that were.
    pub fn lose(&self) -> usize {
        let mut writes = self.0.lock().unwrap();
        for (file, offset, len) in &*writes {
            // One that writes past the cache takes whole pages only.
            let file =
                File::options().write(true).open(format!("/proc/self/fd/{}", file.as_raw_fd()));
            file.unwrap().write_all_at(&vec![0; *len], *offset).unwrap();
        }
        std::mem::take(&mut *writes).len()
    }
}

impl Medium for PowerLoss {
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.lock().unwrap().push((file.try_clone()?, offset, bytes.len()));
        Disk.write_at(file, bytes, offset)
    }
    fn sync(&self, file: &File) -> io::Result<()> {
        use std::os::unix::fs::MetadataExt;
        let inode = file.metadata()?.ino();
        let same = |other: &File| other.metadata().is_ok_and(|found| found.ino() == inode);
        self.0.lock().unwrap().retain(|(other, ..)| !same(other));
        Disk.sync(file)
    }
}
