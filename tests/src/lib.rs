//! What the tests beside this folder share: reading the workspace's own files, to check what no
//! compiler does, and running the program, to check what no crate can alone.
//!
//! Everything panics with the path it could not read: a test that finds nothing checks nothing.

pub mod disk;
pub mod recorder;
pub mod story;
pub mod trace;

use std::path::{Path, PathBuf};

/// Returns the folder of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned).unwrap_or_default()
}

/// Returns the text of the file at `path`, which counts from the workspace.
pub fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Lists the folders and files in `folder`, sorted; paths count from the workspace.
pub fn entries(folder: impl AsRef<Path>) -> Vec<PathBuf> {
    let folder = folder.as_ref();
    let listed = std::fs::read_dir(root().join(folder)).and_then(Iterator::collect);
    let listed: Vec<std::fs::DirEntry> =
        listed.unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> =
        listed.into_iter().map(|entry| folder.join(entry.file_name())).collect();
    paths.sort();
    paths
}

/// Lists the files at any depth in `folder` whose name ends in `extension`, sorted; what a build
/// left behind (`target`) is no part of it.
pub fn files(folder: impl AsRef<Path>, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in entries(folder) {
        if root().join(&path).is_dir() {
            if !path.ends_with("target") {
                found.extend(files(path, extension));
            }
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found
}
