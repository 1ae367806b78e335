//! Where things lie in a store's folder, and its `VERSION` file.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use ottvc_store::StoreError;
use ottvc_store::pack::PackId;

/// The newest layout of the folder that this release reads, and the one it writes.
pub const VERSION: u32 = 1;

/// The longest `VERSION` file that is read, in bytes.
const MAX_VERSION_BYTES: u64 = 64;

/// What a new store's `config.toml` says.
const CONFIG: &str = "# Settings of this repository; `ottvc config --help` lists them.\n";

/// The paths of a store.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    dir: PathBuf,
}

impl Layout {
    pub(crate) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_path_buf() }
    }
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }
    pub(crate) fn db(&self) -> PathBuf {
        self.dir.join("db")
    }
    pub(crate) fn packs(&self) -> PathBuf {
        self.dir.join("packs")
    }
    pub(crate) fn tmp(&self) -> PathBuf {
        self.dir.join("tmp")
    }
    pub(crate) fn trash(&self) -> PathBuf {
        self.dir.join("trash")
    }
    pub(crate) fn lock(&self) -> PathBuf {
        self.dir.join("lock")
    }
    /// The file that readers hold a lock on.
    pub(crate) fn readers(&self) -> PathBuf {
        self.dir.join("readers")
    }
    /// The list of what checks found damaged.
    pub(crate) fn damaged(&self) -> PathBuf {
        self.dir.join("damaged")
    }
    /// How far checks of a part have come round.
    pub(crate) fn scrub(&self) -> PathBuf {
        self.dir.join("scrub")
    }
    fn version(&self) -> PathBuf {
        self.dir.join("VERSION")
    }
    pub(crate) fn pack(&self, id: PackId) -> PathBuf {
        self.packs().join(pack_name(id))
    }
    /// Where a pack lies that everything was moved out of, for readers who do not know yet.
    pub(crate) fn retired_pack(&self, id: PackId) -> PathBuf {
        self.trash().join(format!("{id}.old"))
    }
    /// Where a pack lies that no index knew when the next one was begun.
    pub(crate) fn put_away_pack(&self, id: PackId) -> PathBuf {
        self.trash().join(pack_name(id))
    }
    /// Where a pack lies until its first barrier, so that a crash leaves no half pack among packs.
    pub(crate) fn new_pack(&self, id: PackId) -> PathBuf {
        self.tmp().join(pack_name(id))
    }

    /// Makes the folders, where they are missing.
    pub(crate) fn create_folders(&self) -> Result<(), StoreError> {
        for path in [self.dir.clone(), self.packs(), self.tmp(), self.trash()] {
            fs::create_dir_all(&path).map_err(|error| StoreError::io("create", path, error))?;
        }
        let config = self.dir.join("config.toml");
        match config.try_exists() {
            Ok(true) => Ok(()),
            _ => self.write_durably(&config, CONFIG.as_bytes()),
        }
    }

    /// Says that a store is here: the last step of making one.
    pub(crate) fn write_version(&self) -> Result<(), StoreError> {
        self.write_durably(&self.version(), format!("ottvc {VERSION}\n").as_bytes())?;
        let parent = self.dir.parent().filter(|parent| !parent.as_os_str().is_empty());
        parent.map_or(Ok(()), sync_dir)
    }

    /// Checks that a store is here, and that this release can read it.
    pub(crate) fn check_version(&self) -> Result<(), StoreError> {
        let path = self.version();
        let text = match read_limited(&path, MAX_VERSION_BYTES) {
            Ok(text) => text,
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                return Err(StoreError::NoStore { path: self.dir.clone() });
            }
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                return Err(StoreError::BadVersion { path });
            }
            Err(error) => return Err(StoreError::io("read", path, error)),
        };
        let number = text.trim_end().strip_prefix("ottvc ");
        match number.map(|number| (number, number.parse::<u32>())) {
            Some((_, Ok(1..=VERSION))) => Ok(()),
            Some((found, Ok(VERSION..))) => Err(StoreError::TooNew {
                path: self.dir.clone(),
                found: found.to_owned(),
                known: VERSION,
            }),
            _ => Err(StoreError::BadVersion { path }),
        }
    }

    /// Replaces `path` with `bytes`: a crash leaves the old file or the new one.
    pub(crate) fn write_durably(&self, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        let name = path.file_name().unwrap_or_default();
        let staged = self.tmp().join(name);
        let write = || {
            let mut file = File::create(&staged)?;
            file.write_all(bytes).and_then(|()| file.sync_all())?;
            fs::rename(&staged, path)
        };
        let written = match write() {
            // A writer that starts empties the folder, also of what a reader has there.
            Err(error) if error.kind() == ErrorKind::NotFound => write(),
            other => other,
        };
        written.map_err(|error| StoreError::io("write", path, error))?;
        path.parent().map_or(Ok(()), sync_dir)
    }

    /// Drops what a command that died left behind.
    pub(crate) fn clear_tmp(&self) -> Result<(), StoreError> {
        let tmp = self.tmp();
        let entries = match fs::read_dir(&tmp) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return self.create_folders(),
            Err(error) => return Err(StoreError::io("read", tmp, error)),
        };
        for entry in entries {
            let path = entry.map_err(|error| StoreError::io("read", &tmp, error))?.path();
            let folder = fs::symlink_metadata(&path).is_ok_and(|found| found.is_dir());
            let removed = if folder { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            match removed {
                // A check that only reads may just have put in place what it wrote here.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                other => other.map_err(|error| StoreError::io("remove", path, error))?,
            }
        }
        Ok(())
    }

    /// Puts a pack away.
    pub(crate) fn trash_pack(&self, id: PackId) -> Result<(), StoreError> {
        let path = self.pack(id);
        let moved = fs::rename(&path, self.put_away_pack(id));
        moved.map_err(|error| StoreError::io("move", path, error))
    }

    /// Deletes what was put away before `due` (UTC milliseconds since 1970), since nobody needed it:
    /// indexes that were replaced at once, packs that no index knew when the last of those who read is
    /// done. A pack may be one that was emptied, by a process that died before it could say so.
    pub(crate) fn clear_put_away(&self, due: i64) -> Result<(), StoreError> {
        let trash = self.trash();
        let failed = |error| StoreError::io("read", &trash, error);
        for entry in fs::read_dir(&trash).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let found = fs::symlink_metadata(&path).map_err(failed)?;
            // Moving it here was the last change to it, not to its bytes.
            if found.ctime().saturating_mul(1000) > due {
                continue;
            }
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let pack = name.strip_suffix(".pack").and_then(|stem| stem.parse::<PackId>().ok());
            let done = match pack {
                Some(id) => fs::rename(&path, self.retired_pack(id)),
                None if name.starts_with("db-") => fs::remove_dir_all(&path),
                None => Ok(()),
            };
            done.map_err(|error| StoreError::io("remove", &path, error))?;
        }
        Ok(())
    }

    /// Puts away a pack that the index does not name any more. Not synced: should the name come back,
    /// the pack is put away again as one that the index does not know.
    pub(crate) fn retire_pack(&self, id: PackId) -> Result<(), StoreError> {
        let path = self.pack(id);
        match fs::rename(&path, self.retired_pack(id)) {
            // One that was lost is as good as put away.
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(StoreError::io("move", path, error))
            }
            _ => Ok(()),
        }
    }

    /// Returns the ids of all pack files, sorted; files with other names are none of ours.
    pub(crate) fn list_packs(&self) -> Result<Vec<PackId>, StoreError> {
        let packs = self.packs();
        let failed = |error| StoreError::io("read", &packs, error);
        let mut ids = Vec::new();
        for entry in fs::read_dir(&packs).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let stem = name.to_str().and_then(|name| name.strip_suffix(".pack"));
            ids.extend(stem.and_then(|stem| stem.parse::<PackId>().ok()));
        }
        ids.sort_unstable();
        Ok(ids)
    }
}

fn pack_name(id: PackId) -> String {
    format!("{id}.pack")
}

/// Makes durable which names a folder holds.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(|error| StoreError::io("sync", dir, error))
}

/// Reads a small text file.
pub(crate) fn read_limited(path: &Path, limit: u64) -> io::Result<String> {
    let mut text = String::new();
    io::Read::read_to_string(&mut io::Read::take(File::open(path)?, limit), &mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &[u8]) -> Result<(), StoreError> {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        layout.create_folders().unwrap();
        layout.write_durably(&layout.version(), text).unwrap();
        layout.check_version()
    }

    #[test]
    fn only_a_version_we_know_is_opened() {
        assert!(version(b"ottvc 1\n").is_ok());
        assert!(version(b"ottvc 1").is_ok());
        assert!(
            matches!(version(b"ottvc 2\n"), Err(StoreError::TooNew { found, .. }) if found == "2")
        );
        for bad in [&b""[..], b"ottvc", b"ottvc 0\n", b"ottvc x\n", b"git 1\n", &[0xff; 20]] {
            assert!(matches!(version(bad), Err(StoreError::BadVersion { .. })), "{bad:?}");
        }
    }

    #[test]
    fn a_folder_without_version_is_no_store() {
        let dir = tempfile::tempdir().unwrap();
        for path in [dir.path().to_path_buf(), dir.path().join("nothing")] {
            let found = Layout::new(&path).check_version();
            assert!(matches!(found, Err(StoreError::NoStore { .. })));
        }
    }
}
