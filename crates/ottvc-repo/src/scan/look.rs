//! Looking at the files of many folders that lie beside each other.
//!
//! By its whole path, each look goes through every folder above a file; from a handle of the folder that holds
//! its folder it goes through one.

use std::path::Path;

use crate::cache::FileFacts;

#[cfg(unix)]
pub(super) use by_handle::Looker;
#[cfg(not(unix))]
pub(super) use by_path::Looker;

#[cfg(unix)]
mod by_handle {
    use std::os::fd::OwnedFd;
    use std::path::PathBuf;

    use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat, openat, statat};

    use super::{FileFacts, Path};

    /// Holds the folder last looked below.
    #[derive(Debug, Default)]
    pub(in crate::scan) struct Looker {
        above: Option<(PathBuf, OwnedFd)>,
        at: PathBuf,
    }

    impl Looker {
        /// The facts of a file or link in `folder`; `None` if none is there, or that cannot be told.
        pub(in crate::scan) fn facts(&mut self, folder: &Path, name: &str) -> Option<FileFacts> {
            let (above, last) = (folder.parent()?, folder.file_name()?);
            if self.above.as_ref().is_none_or(|(known, _)| known != above) {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
                self.above =
                    Some((above.to_owned(), openat(CWD, above, flags, Mode::empty()).ok()?));
            }
            let (_, handle) = self.above.as_ref()?;
            self.at.clear();
            self.at.push(last);
            self.at.push(name);
            facts(&statat(handle, &self.at, AtFlags::SYMLINK_NOFOLLOW).ok()?)
        }
    }

    #[expect(
        clippy::unnecessary_cast,
        clippy::useless_conversion,
        reason = "the types of these members differ from system to system"
    )]
    fn facts(found: &Stat) -> Option<FileFacts> {
        let nanoseconds =
            |seconds: i64, more: i64| seconds.saturating_mul(1_000_000_000).saturating_add(more);
        let kind = FileType::from_raw_mode(found.st_mode);
        let is_file = kind == FileType::RegularFile;
        if !is_file && kind != FileType::Symlink {
            return None;
        }
        Some(FileFacts {
            len: u64::try_from(found.st_size).ok()?,
            modified: nanoseconds(
                i64::try_from(found.st_mtime).ok()?,
                i64::try_from(found.st_mtime_nsec).ok()?,
            ),
            changed: nanoseconds(
                i64::try_from(found.st_ctime).ok()?,
                i64::try_from(found.st_ctime_nsec).ok()?,
            ),
            inode: found.st_ino as u64,
            executable: is_file && found.st_mode & 0o100 != 0,
            symlink: !is_file,
        })
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn facts_are_those_of_a_look_by_path() {
            let dir = tempfile::tempdir().unwrap();
            let folder = dir.path().join("folder");
            std::fs::create_dir(&folder).unwrap();
            let old = std::time::SystemTime::UNIX_EPOCH - std::time::Duration::new(5, 7);
            for (name, time) in [("a", None), ("b", Some(old))] {
                let file = std::fs::File::create(folder.join(name)).unwrap();
                file.set_len(7).unwrap();
                if let Some(time) = time {
                    file.set_modified(time).unwrap();
                }
            }
            std::os::unix::fs::symlink("a", folder.join("link")).unwrap();
            std::fs::create_dir(folder.join("below")).unwrap();
            let mut looker = Looker::default();
            for name in ["a", "b", "link"] {
                let by_path = std::fs::symlink_metadata(folder.join(name)).unwrap();
                let found = looker.facts(&folder, name);
                assert_eq!(found, Some(crate::scan::facts(&by_path)), "{name}");
            }
            assert_eq!(looker.facts(&folder, "below"), None);
            assert_eq!(looker.facts(&folder, "gone"), None);
            assert_eq!(looker.facts(&dir.path().join("gone"), "a"), None);
        }
    }
}

#[cfg(not(unix))]
mod by_path {
    use super::{FileFacts, Path};

    /// Looks by path.
    #[derive(Debug, Default)]
    pub(in crate::scan) struct Looker;

    impl Looker {
        /// The facts of a file or link in `folder`; `None` if none is there, or that cannot be told.
        pub(in crate::scan) fn facts(&mut self, folder: &Path, name: &str) -> Option<FileFacts> {
            let found = std::fs::symlink_metadata(folder.join(name)).ok()?;
            (found.is_file() || found.is_symlink()).then(|| crate::scan::facts(&found))
        }
    }
}
