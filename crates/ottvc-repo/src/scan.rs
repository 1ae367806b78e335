//! Looking at the working copy: which files are there, and whether they are as staged.

mod look;
mod places;
mod rules;
mod walk;

use std::fs::Metadata;
use std::path::{Component, Path, PathBuf};

use ottvc_merge::Schema;
use ottvc_object::tree::lookup_path;
use ottvc_object::value::Document;
use ottvc_object::{
    ContentId, Entry, FileEntry, FileMode, Name, NamedEntry, RepoPath, Storable, TreeId,
};

use crate::cache::FileFacts;
use crate::nodes::Batch;
use crate::{Repo, RepoError};

pub(crate) use places::{Met, Place, Scan};

/// Name of the repository's own folder.
pub const REPO_FOLDER: &str = ".ottvc";
/// Name of the file that lists what not to add.
pub const IGNORE_FILE: &str = ".ottvcignore";
/// The longest metadata document in its JSON form, in bytes.
pub const MAX_JSON_BYTES: u64 = 16 << 20;

/// A file of the working copy.
#[derive(Clone, Debug)]
pub struct Found {
    /// Where it is in the tree.
    pub path: RepoPath,
    /// Its facts when it was looked at.
    pub facts: FileFacts,
}

/// Turns a system error into ours.
pub(crate) fn io(
    action: &'static str,
    path: impl Into<PathBuf>,
) -> impl FnOnce(std::io::Error) -> RepoError {
    let path = path.into();
    move |source| RepoError::Io { action, path, source }
}

impl Repo {
    /// Returns the path in the tree of a path a user gave, relative to `from` (a folder in or below
    /// the root) unless absolute. The file need not exist.
    ///
    /// # Errors
    /// [`RepoError::PathOutside`], or [`ottvc_object::ObjectError::BadPath`].
    pub fn repo_path(&self, from: &Path, given: &str) -> Result<RepoPath, RepoError> {
        let outside = || RepoError::PathOutside { path: given.to_owned() };
        let mut clean = PathBuf::new();
        for component in from.join(given).components() {
            match component {
                Component::CurDir => {}
                Component::ParentDir => {
                    if !clean.pop() {
                        return Err(outside());
                    }
                }
                other => clean.push(other),
            }
        }
        let relative = clean.strip_prefix(&self.root).map_err(|_| outside())?;
        path_of(relative)
    }

    /// Returns where in the file system a tree path lies.
    pub fn disk_path(&self, path: &RepoPath) -> PathBuf {
        let mut disk = self.root.clone();
        disk.extend(path.names().iter().map(Name::as_str));
        disk
    }

    /// Refuses a path that leads through a symbolic link: it would reach outside the tree.
    pub(crate) fn refuse_links_above(&self, path: &RepoPath) -> Result<(), RepoError> {
        let mut above = RepoPath::root();
        let count = path.names().len().saturating_sub(1);
        for name in path.names().iter().take(count) {
            above = above.join(name);
            if lstat(&self.disk_path(&above))?.is_some_and(|metadata| metadata.is_symlink()) {
                return Err(RepoError::InTheWay { path: above.to_string() });
            }
        }
        Ok(())
    }

    /// Refuses a path that somebody typed and that a link leads elsewhere.
    pub(crate) fn refuse_leaving(&self, path: &RepoPath) -> Result<(), RepoError> {
        self.refuse_links_above(path).map_err(|error| match error {
            RepoError::InTheWay { .. } => RepoError::PathOutside { path: path.to_string() },
            other => other,
        })
    }

    /// Reads a metadata document of the working copy, under the schema that is staged for it.
    ///
    /// # Errors
    /// [`ottvc_object::ObjectError::BadJson`] and its like, with the file named by the caller.
    pub fn read_document(&self, path: &RepoPath) -> Result<Document, RepoError> {
        let batch = Batch::new(&self.nodes);
        let schemas = self.schemas_for_reading(&batch, self.state()?.staged)?;
        read_json(&self.disk_path(path), schemas.of(path).map(|schema| &**schema))
    }

    /// Returns what is staged at `path`.
    pub(crate) fn staged_at(
        &self,
        staged: TreeId,
        path: &RepoPath,
    ) -> Result<Option<NamedEntry>, RepoError> {
        lookup_path(&self.nodes, staged, path)
    }
}

/// Reads a file and says what it holds, a document under its schema; stores nothing. A `*.meta.json` that is no document counts as
/// plain bytes: it differs from any document, and adding it says why.
pub(crate) fn read_entry(
    disk: &Path,
    path: &RepoPath,
    facts: &FileFacts,
    schema: Option<&Schema>,
) -> Result<Entry, RepoError> {
    if facts.symlink {
        let target = link_target(disk)?;
        return Ok(Entry::File(FileEntry {
            content: ContentId::of(&target),
            len: target.len() as u64,
            mode: FileMode::Symlink,
        }));
    }
    if path.name().is_some_and(Name::is_document)
        && let Ok(document) = read_json(disk, schema)
    {
        let object = document.to_object()?;
        return Ok(Entry::Document { id: object.id().into(), len: object.bytes().len() as u64 });
    }
    let mut hasher = blake3::Hasher::new();
    let mut source = std::fs::File::open(disk).map_err(io("open", disk))?;
    let len = std::io::copy(&mut source, &mut hasher).map_err(io("read", disk))?;
    Ok(Entry::File(FileEntry {
        content: ContentId(*hasher.finalize().as_bytes()),
        len,
        mode: mode_of(facts),
    }))
}

/// Reads a metadata document in its JSON form, tagged or as plain as its schema allows.
pub(crate) fn read_json(disk: &Path, schema: Option<&Schema>) -> Result<Document, RepoError> {
    let metadata = std::fs::metadata(disk).map_err(io("open", disk))?;
    if metadata.len() > MAX_JSON_BYTES {
        return Err(ottvc_object::ObjectError::TooLarge {
            what: "metadata document",
            len: metadata.len(),
            limit: MAX_JSON_BYTES,
        }
        .into());
    }
    let document = Document::from_json(&std::fs::read(disk).map_err(io("read", disk))?)?;
    crate::schemas::convert(schema, document)
}

/// Turns a relative path of the file system into a tree path.
fn path_of(relative: &Path) -> Result<RepoPath, RepoError> {
    let mut parts = Vec::new();
    for component in relative.components() {
        let part =
            component.as_os_str().to_str().ok_or_else(|| ottvc_object::ObjectError::BadPath {
                path: relative.display().to_string(),
                why: "the name is not UTF-8",
            })?;
        parts.push(part);
    }
    Ok(RepoPath::new(&parts.join("/"))?)
}

/// Looks at a file without following links; `None` if it is not there.
pub(crate) fn lstat(disk: &Path) -> Result<Option<Metadata>, RepoError> {
    match std::fs::symlink_metadata(disk) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(io("look at", disk)(error)),
    }
}

/// Returns the bytes of a symbolic link's target.
pub(crate) fn link_target(disk: &Path) -> Result<Vec<u8>, RepoError> {
    let target = std::fs::read_link(disk).map_err(io("read link", disk))?;
    // Windows writes backslashes; a tree holds one form.
    let text = target.to_str().map(|text| text.replace('\\', "/"));
    if cfg!(windows)
        && let Some(text) = text
    {
        return Ok(text.into_bytes());
    }
    Ok(target.as_os_str().as_encoded_bytes().to_vec())
}

/// Picks the facts we compare.
pub(crate) fn facts(metadata: &Metadata) -> FileFacts {
    let since = |time: std::io::Result<std::time::SystemTime>| match time {
        Ok(time) => match time.duration_since(std::time::UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |it| -it),
        },
        Err(_) => 0,
    };
    let (changed, inode, executable) = unix_facts(metadata);
    FileFacts {
        len: metadata.len(),
        modified: since(metadata.modified()),
        changed,
        inode,
        executable: executable && metadata.is_file(),
        symlink: metadata.is_symlink(),
    }
}

#[cfg(unix)]
fn unix_facts(metadata: &Metadata) -> (i64, u64, bool) {
    use std::os::unix::fs::MetadataExt;
    let changed =
        metadata.ctime().saturating_mul(1_000_000_000).saturating_add(metadata.ctime_nsec());
    (changed, metadata.ino(), metadata.mode() & 0o100 != 0)
}

#[cfg(not(unix))]
fn unix_facts(_: &Metadata) -> (i64, u64, bool) {
    (0, 0, false)
}

/// The mode that a file with these facts has in a tree.
pub(crate) fn mode_of(facts: &FileFacts) -> FileMode {
    match (facts.symlink, facts.executable) {
        (true, _) => FileMode::Symlink,
        (false, true) => FileMode::Executable,
        (false, false) => FileMode::Regular,
    }
}
