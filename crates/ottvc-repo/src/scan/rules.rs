//! What a scan leaves out: the patterns of `.ottvcignore` files, as those of `.gitignore` are read.

use std::path::Path;
use std::sync::Arc;

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::IGNORE_FILE;

/// The patterns that count in a folder: those of its own file, then those of the folders above.
#[derive(Debug)]
pub(super) struct Rules {
    own: Gitignore,
    above: Option<Arc<Rules>>,
}

impl Rules {
    /// Those that count in `folder` because of files in the folders above it.
    pub(super) fn above(folder: &Path) -> Option<Arc<Self>> {
        let mut folders: Vec<&Path> = folder.ancestors().skip(1).collect();
        folders.reverse();
        let has_file = |folder: &&Path| folder.join(IGNORE_FILE).is_file();
        folders.into_iter().filter(has_file).fold(None, Self::with)
    }

    /// Adds the file of `folder`. Lines that are no patterns are passed over.
    pub(super) fn with(above: Option<Arc<Self>>, folder: &Path) -> Option<Arc<Self>> {
        let mut own = GitignoreBuilder::new(folder);
        own.add(folder.join(IGNORE_FILE));
        match own.build() {
            Ok(own) => Some(Arc::new(Self { own, above })),
            Err(_) => above,
        }
    }

    /// Whether they leave out what lies at `path`. The nearest file that says anything decides.
    pub(super) fn ignore(&self, path: &Path, is_folder: bool) -> bool {
        match self.own.matched(path, is_folder) {
            Match::Ignore(_) => true,
            Match::Whitelist(_) => false,
            Match::None => self.above.as_ref().is_some_and(|above| above.ignore(path, is_folder)),
        }
    }
}
