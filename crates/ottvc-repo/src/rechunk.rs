//! Keeping stored files as new ones would be kept.

use ottvc_chunk::track::is_media;
use ottvc_object::ContentId;
use ottvc_object::manifest::Layout;
use ottvc_object::manifest::tracks::TrackLayout;
use serde::Serialize;

use crate::audit::{
    At, Fault, Graph, Link, Opened, Thing, Watch, What, commit_link, working_links,
};
use crate::content::{self, ContentError, ContentReader};
use crate::ingest::{IngestOptions, LEAST_BYTES};
use crate::{Progress, Repo, RepoError};

/// How many bytes of a file are looked at to tell whether it may have tracks: a few packets of MPEG-TS.
const HEAD_BYTES: u64 = 1024;

/// After so many bytes of files what was written is made durable.
const SYNC_BYTES: u64 = 256 << 20;

/// What keeping files anew did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rechunked {
    /// Files that branches, tags and the working copy reach; files of the same bytes count once.
    pub files: u64,
    /// Those that were not kept as new ones would be, and are now, or would be.
    pub rechunked: u64,
    /// Bytes of those.
    pub logical_bytes: u64,
    /// What their new chunks take, records around them left out.
    pub stored_bytes: u64,
    /// Content ids of files that cannot be read whole, which stay as they are.
    pub unread: Vec<String>,
}

impl Repo {
    /// Keeps each file that branches, tags and the working copy reach as it would be if it were added now.
    /// No id changes. What it is made of from now on is written before what it was made of is let go,
    /// which collection then removes. A file that is damaged stays as it is, and is named. `dry` only counts.
    ///
    /// # Errors
    /// The store's as a whole. What was made durable before, every so many bytes, is done.
    pub fn rechunk(&self, dry: bool, progress: &dyn Progress) -> Result<Rechunked, RepoError> {
        let mut graph = Graph::scan(&*self.objects)?;
        let mut watch = Around { progress, read: 0 };
        let mut links: Vec<Link> =
            self.heads()?.into_iter().filter_map(|(_, id)| id.map(commit_link)).collect();
        links.extend(working_links(&self.state()?));
        graph.grow(&*self.objects, &links, &mut watch)?;
        let files = graph.all().filter(|(_, thing)| thing.what == What::File);
        let files: Vec<ContentId> = files.map(|(_, thing)| ContentId(thing.id)).collect();
        drop(graph);

        let mut done = Rechunked { files: files.len() as u64, ..Rechunked::default() };
        let mut synced = 0;
        for (number, content) in (0..).zip(files) {
            progress.report("keeping files anew", number, done.files);
            match self.keep_anew(content, dry, &mut done) {
                Err(error) if error.is_about_one_file() => done.unread.push(content.to_string()),
                other => other?,
            }
            // A disk that is full then does not take back what was done before.
            if !dry && done.logical_bytes - synced >= SYNC_BYTES {
                self.objects.sync()?;
                synced = done.logical_bytes;
            }
        }
        if !dry {
            self.objects.sync()?;
        }
        Ok(done)
    }

    /// Keeps one file anew, if it is not as a new one would be.
    fn keep_anew(
        &self,
        content: ContentId,
        dry: bool,
        done: &mut Rechunked,
    ) -> Result<(), ContentError> {
        let file = content::open(&*self.objects, content)?;
        if self.is_as_new(&file)? {
            return Ok(());
        }
        if !dry {
            let options = IngestOptions { rule: self.rule, tracks: self.tracks, jobs: self.jobs };
            done.stored_bytes += content::rechunk(&*self.objects, content, options)?.stored_bytes;
        }
        done.rechunked += 1;
        done.logical_bytes += file.len();
        Ok(())
    }

    /// Whether a file is kept as it would be if it were added now, as far as a look tells.
    fn is_as_new(&self, file: &ContentReader<'_>) -> Result<bool, ContentError> {
        Ok(match &file.manifest().layout {
            Layout::Tracks(TrackLayout { rule, .. }) => self.tracks == Some(*rule),
            // Where it was looked at for tracks it is not looked at again.
            Layout::Untracked { rule, .. } => *rule == self.rule && self.tracks.is_some(),
            Layout::Plain { rule, .. } => {
                *rule == self.rule && (self.tracks.is_none() || !may_have_tracks(file)?)
            }
        })
    }
}

/// Whether a file would be looked at for tracks.
fn may_have_tracks(file: &ContentReader<'_>) -> Result<bool, ContentError> {
    if file.len() < LEAST_BYTES {
        return Ok(false);
    }
    let mut head = Vec::new();
    file.read_range(0, HEAD_BYTES, &mut head)?;
    Ok(is_media(&head) && content::has_tracks(file))
}

/// Counts what it passes, and goes past what cannot be read: that keeps nothing else from being done.
struct Around<'p> {
    progress: &'p dyn Progress,
    read: u64,
}

impl Watch for Around<'_> {
    fn fault(&mut self, _: &Thing, _: Fault) -> Result<(), RepoError> {
        Ok(())
    }

    fn opened(&mut self, _: &Graph, _: At, _: &Opened) {
        self.read += 1;
        self.progress.report("reading trees", self.read, self.read);
    }
}
