//! Writing files out, into the working copy or any other folder, so that nothing outside it changes.
//!
//! Every folder on the way is opened without following links, relative to the one above; a file is
//! written under a temporary name and renamed into place, so a reader sees the old or the new one.
//! Folders that hold nothing any more are removed.

use std::cell::RefCell;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cap_fs_ext::DirExt;
use cap_std::fs::{Dir, OpenOptions};
use ottvc_object::value::Document;
use ottvc_object::{Entry, FileEntry, FileMode, Name, NamedEntry, RepoPath, Storable};
use ottvc_store::ObjectStore;
use ottvc_store::behind::{Behind, Buffers, Plainly, Put};

use crate::cache::FileFacts;
use crate::content::{self, ContentError};
use crate::schemas::Schemas;
use crate::{RepoError, random_id, scan};

/// How a temporary file's name begins. Such files are no part of a working copy.
const TEMPORARY: &str = ".ottvc-tmp-";
/// The longest target of a symbolic link, in bytes.
const MAX_LINK_BYTES: u64 = 4096;

/// A folder that files are written into, by one thread.
#[derive(Debug)]
pub struct Sink {
    root: Dir,
    disk: PathBuf,
    /// The folder last written into: files come sorted, so that the next one often goes there too.
    last: RefCell<Option<(Vec<Name>, Arc<Dir>)>>,
    buffers: Buffers,
    /// Where documents are written as plain JSON: a working copy.
    schemas: Arc<Schemas>,
}

impl Sink {
    /// Opens a folder; makes it, and those above it, if it is not there.
    ///
    /// # Errors
    /// [`RepoError::Io`] if it cannot be made or opened.
    pub fn open(disk: &Path) -> Result<Self, RepoError> {
        std::fs::create_dir_all(disk).map_err(scan::io("make folder", disk))?;
        let root = Dir::open_ambient_dir(disk, cap_std::ambient_authority())
            .map_err(scan::io("open folder", disk))?;
        let (last, buffers) = (RefCell::default(), Buffers::default());
        Ok(Self { root, disk: disk.to_owned(), last, buffers, schemas: Arc::default() })
    }

    /// The same, where documents are written as plain as these schemas allow. Without, they keep
    /// their tags, and can be read by whoever has no schema.
    pub(crate) fn under(self, schemas: &Arc<Schemas>) -> Self {
        Self { schemas: Arc::clone(schemas), ..self }
    }

    fn disk_path(&self, path: &RepoPath) -> PathBuf {
        let mut disk = self.disk.clone();
        disk.extend(path.names().iter().map(Name::as_str));
        disk
    }

    /// Opens the folder that `path` is in, following no link; `None` if it is not there.
    fn folder(&self, path: &RepoPath, make: bool) -> Result<Option<Arc<Dir>>, RepoError> {
        let above = path.names().split_last().map_or_else(Default::default, |(_, above)| above);
        if let Some((names, dir)) = &*self.last.borrow()
            && names == above
        {
            return Ok(Some(Arc::clone(dir)));
        }
        let dir = self.open_folder(above, make)?.map(Arc::new);
        *self.last.borrow_mut() = dir.clone().map(|dir| (above.to_vec(), dir));
        Ok(dir)
    }

    fn open_folder(&self, names: &[Name], make: bool) -> Result<Option<Dir>, RepoError> {
        let mut at = self.root.try_clone().map_err(scan::io("open folder", self.disk.as_path()))?;
        let mut disk = self.disk.clone();
        for name in names {
            disk.push(name.as_str());
            if make {
                match at.create_dir(name.as_str()) {
                    Ok(()) => {}
                    Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                    Err(error) => return Err(scan::io("make folder", disk)(error)),
                }
            }
            at = match at.open_dir_nofollow(name.as_str()) {
                Ok(next) => next,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && !make => {
                    return Ok(None);
                }
                // A link or a file stands where a folder should be.
                Err(_) if at.symlink_metadata(name.as_str()).is_ok_and(|it| !it.is_dir()) => {
                    return Err(RepoError::InTheWay { path: disk.display().to_string() });
                }
                Err(error) => return Err(scan::io("open folder", disk)(error)),
            };
        }
        Ok(Some(at))
    }

    /// Writes one entry at `path`, in place of any file there; returns its facts.
    ///
    /// File bytes are checked against their content id before the file appears.
    ///
    /// # Errors
    /// [`RepoError::InTheWay`] if a folder is there; the store's, if it cannot give the bytes.
    pub fn put(
        &self,
        objects: &dyn ObjectStore,
        path: &RepoPath,
        entry: &Entry,
    ) -> Result<FileFacts, RepoError> {
        match entry {
            Entry::File(FileEntry { content, len, mode: FileMode::Symlink }) => {
                if *len > MAX_LINK_BYTES {
                    return Err(RepoError::WrongKind {
                        path: path.to_string(),
                        wanted: "symbolic link: its target is too long",
                    });
                }
                let mut target = Vec::new();
                content::open(objects, *content)?.write_to(&mut target)?;
                self.put_link(path, &target)
            }
            Entry::File(FileEntry { content, mode, .. }) => {
                let reader = content::open(objects, *content)?;
                self.put_file(path, *mode == FileMode::Executable, &mut |file| {
                    reader.write_aside(file).map_err(|error| match error {
                        ContentError::Write { source } => {
                            scan::io("write", self.disk_path(path))(source)
                        }
                        other => other.into(),
                    })
                })
            }
            Entry::Document { id, .. } => {
                let document = Document::from_object(&objects.get((*id).into())?)?;
                self.put_document(path, &document)
            }
            Entry::Tree { .. } | Entry::Conflict(_) => {
                Err(RepoError::Conflicts { paths: vec![path.to_string()] })
            }
        }
    }

    /// Writes a metadata document as JSON.
    ///
    /// # Errors
    /// As [`Sink::put`].
    pub fn put_document(
        &self,
        path: &RepoPath,
        document: &Document,
    ) -> Result<FileFacts, RepoError> {
        self.put_file(path, false, &mut |file| {
            file.write_all(self.schemas.text(path, document).as_bytes())
                .map_err(scan::io("write", self.disk_path(path)))
        })
    }

    /// Writes a plain file with these bytes.
    ///
    /// # Errors
    /// As [`Sink::put`].
    pub(crate) fn put_bytes(&self, path: &RepoPath, bytes: &[u8]) -> Result<(), RepoError> {
        self.put_file(path, false, &mut |file| {
            file.write_all(bytes).map_err(scan::io("write", self.disk_path(path)))
        })?;
        Ok(())
    }

    /// Writes a file under a temporary name by `fill`, then puts it in place.
    fn put_file(
        &self,
        path: &RepoPath,
        executable: bool,
        fill: &mut dyn FnMut(&mut dyn Write) -> Result<(), RepoError>,
    ) -> Result<FileFacts, RepoError> {
        let (folder, name, temporary) = self.place(path)?;
        let disk = self.disk_path(path);
        let options = {
            let mut options = OpenOptions::new();
            options.write(true).create_new(true);
            options
        };
        let file = folder.open_with(&temporary, &options);
        let file = Arc::new(file.map_err(scan::io("write", disk.as_path()))?.into_std());
        let plainly: Arc<dyn Put> = Arc::new(Plainly);
        let mut out = Behind::new(&file, 0, &plainly, &self.buffers);
        let filled = fill(&mut out)
            .and_then(|()| out.flush().map_err(scan::io("write", disk.as_path())))
            .and_then(|()| {
                set_executable(&file, executable)
                    .map_err(scan::io("set the mode of", disk.as_path()))
            })
            .and_then(|()| {
                folder.rename(&temporary, &folder, name.as_str()).map_err(|error| {
                    match error.kind() {
                        std::io::ErrorKind::IsADirectory
                        | std::io::ErrorKind::DirectoryNotEmpty => {
                            RepoError::InTheWay { path: disk.display().to_string() }
                        }
                        _ => scan::io("write", disk.as_path())(error),
                    }
                })
            });
        if let Err(error) = filled {
            // The error that matters is the one in hand; the leftover has a name that says so.
            let _ = folder.remove_file(&temporary);
            return Err(error);
        }
        self.facts_at(&disk)
    }

    /// Makes a symbolic link. Its target is kept as it is: following it is what we never do.
    fn put_link(&self, path: &RepoPath, target: &[u8]) -> Result<FileFacts, RepoError> {
        #[cfg(unix)]
        {
            use std::os::unix::ffi::OsStrExt;
            let (folder, name, temporary) = self.place(path)?;
            let disk = self.disk_path(path);
            folder
                .symlink_contents(OsStr::from_bytes(target), &temporary)
                .and_then(|()| folder.rename(&temporary, &folder, name.as_str()))
                .map_err(|error| {
                    let _ = folder.remove_file(&temporary);
                    scan::io("link", disk.as_path())(error)
                })?;
            self.facts_at(&disk)
        }
        #[cfg(not(unix))]
        {
            // Links need a privilege there; as git does, the target is written as a plain file.
            self.put_file(path, false, &mut |file| {
                file.write_all(target).map_err(scan::io("write", self.disk_path(path)))
            })
        }
    }

    /// Opens the folder of `path` and picks a temporary name in it.
    fn place(&self, path: &RepoPath) -> Result<(Arc<Dir>, Name, String), RepoError> {
        let name = path
            .name()
            .ok_or(RepoError::WrongKind { path: path.to_string(), wanted: "path of a file" })?;
        let folder = self.folder(path, true)?.ok_or_else(|| RepoError::InTheWay {
            path: self.disk_path(path).display().to_string(),
        })?;
        let random = u128::from_be_bytes(random_id()?);
        Ok((folder, name.clone(), format!("{TEMPORARY}{random:032x}")))
    }

    fn facts_at(&self, disk: &Path) -> Result<FileFacts, RepoError> {
        let metadata = std::fs::symlink_metadata(disk).map_err(scan::io("look at", disk))?;
        Ok(scan::facts(&metadata))
    }

    /// Removes a file or link, if it is there, and folders that are empty then.
    ///
    /// # Errors
    /// [`RepoError::Io`] if the system refuses.
    pub fn remove(&self, path: &RepoPath) -> Result<(), RepoError> {
        let (Some(name), Some(folder)) = (path.name(), self.folder(path, false)?) else {
            return Ok(());
        };
        match folder.remove_file(name.as_str()) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(scan::io("remove", self.disk_path(path))(error)),
        }
        // It may be about to go.
        self.last.take();
        let mut above = path.parent();
        while let Some(path) = above.filter(|path| !path.is_root()) {
            let (Some(name), Some(folder)) = (path.name(), self.folder(&path, false)?) else {
                break;
            };
            self.last.take();
            if folder.remove_dir(name.as_str()).is_err() {
                break;
            }
            above = path.parent();
        }
        Ok(())
    }

    /// Removes what a command that died while it wrote files left beside `paths`: half a master can
    /// be many gigabytes. The caller holds the writer's lock, so that nobody else is writing here.
    pub(crate) fn sweep<'p>(
        &self,
        paths: impl Iterator<Item = &'p RepoPath>,
    ) -> Result<(), RepoError> {
        let mut swept = HashSet::new();
        for path in paths {
            if !swept.insert(path.parent()) {
                continue;
            }
            // Where something stands in the way, writing says so.
            let Ok(Some(folder)) = self.folder(path, false) else { continue };
            let failed = || scan::io("list", self.disk_path(path));
            for entry in folder.entries().map_err(failed())? {
                let name = entry.map_err(failed())?.file_name();
                if is_temporary(&name) {
                    let removed = folder.remove_file(&name);
                    removed
                        .map_err(scan::io("remove", self.disk_path(path).with_file_name(name)))?;
                }
            }
        }
        Ok(())
    }

    /// Says what file is at `path`, reading it; `None` where there is none.
    pub(crate) fn look(&self, path: &RepoPath) -> Result<Option<Entry>, RepoError> {
        if self.folder(path, false)?.is_none() {
            return Ok(None);
        }
        let disk = self.disk_path(path);
        match scan::lstat(&disk)? {
            Some(metadata) if metadata.is_dir() => {
                Err(RepoError::InTheWay { path: disk.display().to_string() })
            }
            Some(metadata) => {
                scan::read_entry(&disk, path, &scan::facts(&metadata), None).map(Some)
            }
            None => Ok(None),
        }
    }

    /// Whether the folder holds anything at all.
    pub(crate) fn is_empty(&self) -> Result<bool, RepoError> {
        let mut entries = self.root.entries().map_err(scan::io("list", self.disk.as_path()))?;
        Ok(entries.next().is_none())
    }
}

/// Whether a file of this name is one that was still being written when a command died.
pub(crate) fn is_temporary(name: &OsStr) -> bool {
    let random = name.to_str().and_then(|name| name.strip_prefix(TEMPORARY));
    random.is_some_and(|it| it.len() == 32 && it.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(unix)]
fn set_executable(file: &File, executable: bool) -> std::io::Result<()> {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    if executable {
        let mode = file.metadata()?.permissions().mode();
        // Executable for those who may read it, as git does.
        file.set_permissions(Permissions::from_mode(mode | (mode & 0o444) >> 2))?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn set_executable(_: &File, _: bool) -> std::io::Result<()> {
    Ok(())
}

/// An entry at a path, without what only its folder needs to know.
pub(crate) fn named(path: &RepoPath, entry: Entry) -> Result<NamedEntry, RepoError> {
    match path.name() {
        Some(name) => Ok(NamedEntry { name: name.clone(), entry, former: Vec::new() }),
        None => Err(RepoError::WrongKind { path: path.to_string(), wanted: "path of a file" }),
    }
}
