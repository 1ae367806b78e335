//! Reads short files ahead of the one thread that writes, on all cores.
//!
//! A library of metadata is a hundred thousand files of a kilobyte: opening, reading and hashing them
//! is nearly all the work. Files are handed out in batches of neighbours and come back in order, so
//! that neighbours lie together in packs. Memory is bounded by the batches under way.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::thread::{Builder, Scope};

use crossbeam_channel::{Receiver, Sender, bounded};
use ottvc_object::{Name, Object, Storable};

use crate::content::ContentError;
use crate::ingest::{IngestOptions, Prepared, Preparer};
use crate::scan::{Found, io, read_json};
use crate::schemas::{Schemas, convert, differ};
use crate::{Repo, RepoError};

/// Files longer than this use all cores by themselves.
const MAX_BYTES: u64 = 256 << 10;
/// A batch has at most this many files.
const BATCH_FILES: usize = 64;
/// A batch ends once its files are this long together.
const BATCH_BYTES: u64 = 1 << 20;

/// A short file, read.
pub(super) struct Ready {
    /// When it was about to be read, in UTC milliseconds since 1970.
    pub(super) noted: i64,
    pub(super) content: Content,
}

/// What a short file holds.
pub(super) enum Content {
    /// A metadata document, and whether it holds conflicts.
    Document(Object, bool),
    /// Bytes, cut and hashed.
    File(Prepared),
    /// More bytes than it was said to have: it grew meanwhile.
    Long,
}

/// Whether a file is one to read ahead. Every document is, since it is one object, however long.
pub(super) fn is_short(file: &Found) -> bool {
    !file.facts.symlink && (file.facts.len <= MAX_BYTES || is_document(file))
}

fn is_document(file: &Found) -> bool {
    file.path.name().is_some_and(Name::is_document)
}

type Batch<'f> = (usize, Vec<&'f Found>);
type Done = (usize, Vec<Result<Ready, RepoError>>);

/// Short files on their way, in the order they were asked for.
pub(super) struct Ahead<'f> {
    batches: VecDeque<Vec<&'f Found>>,
    to_read: Sender<Batch<'f>>,
    read: Receiver<Done>,
    /// Batches that came before their turn.
    early: BTreeMap<usize, Vec<Result<Ready, RepoError>>>,
    given: usize,
    taken: usize,
    ready: VecDeque<Result<Ready, RepoError>>,
}

impl<'f> Ahead<'f> {
    /// Begins to read `files`, on threads of `scope`.
    pub(super) fn start<'s>(
        scope: &'s Scope<'s, '_>,
        repo: &'f Repo,
        options: &IngestOptions,
        (before, schemas): &(Arc<Schemas>, Arc<Schemas>),
        files: impl Iterator<Item = &'f Found>,
    ) -> Result<Self, RepoError>
    where
        'f: 's,
    {
        let batches = batches(files);
        let workers = options.jobs.max(1).min(batches.len());
        let under_way = 2 * workers;
        // Each queue has room for every batch under way, so that no sender waits.
        let (to_read, batches_to_read) = bounded::<Batch<'f>>(under_way.max(1));
        let (done, read) = bounded::<Done>(under_way.max(1));
        for _ in 0..workers {
            let (batches_to_read, done) = (batches_to_read.clone(), done.clone());
            let mut preparer = Preparer::new(repo.objects(), options)?;
            let (before, schemas) = (Arc::clone(before), Arc::clone(schemas));
            let work = move || {
                for (number, files) in batches_to_read {
                    let read = |file| repo.read_short(file, (&before, &schemas), &mut preparer);
                    let ready = files.into_iter().map(read);
                    if done.send((number, ready.collect())).is_err() {
                        break;
                    }
                }
            };
            let thread = Builder::new().name("ottvc-add".into()).spawn_scoped(scope, work);
            thread.map_err(|source| ContentError::Thread { source })?;
        }
        let mut ahead = Self {
            batches,
            to_read,
            read,
            early: BTreeMap::new(),
            given: 0,
            taken: 0,
            ready: VecDeque::new(),
        };
        for _ in 0..under_way {
            ahead.give();
        }
        Ok(ahead)
    }

    /// Hands out the next batch.
    fn give(&mut self) {
        if let Some(batch) = self.batches.pop_front() {
            // Refused only once every reader has ended, and then `next` finds that out.
            let _ = self.to_read.send((self.given, batch));
            self.given += 1;
        }
    }

    /// The next file; `None` after the last, and after a reader has died.
    pub(super) fn next(&mut self) -> Option<Result<Ready, RepoError>> {
        while self.ready.is_empty() {
            let ready = match self.early.remove(&self.taken) {
                Some(ready) => ready,
                None if self.taken == self.given => return None,
                None => {
                    let (number, ready) = self.read.recv().ok()?;
                    self.early.insert(number, ready);
                    continue;
                }
            };
            self.taken += 1;
            self.ready = ready.into();
            self.give();
        }
        self.ready.pop_front()
    }
}

/// Puts neighbours together.
fn batches<'f>(files: impl Iterator<Item = &'f Found>) -> VecDeque<Vec<&'f Found>> {
    let mut batches: VecDeque<Vec<&Found>> = VecDeque::new();
    let mut bytes = 0;
    for file in files {
        bytes += file.facts.len;
        match batches.back_mut() {
            Some(last) if last.len() < BATCH_FILES && bytes <= BATCH_BYTES => last.push(file),
            _ => {
                bytes = file.facts.len;
                batches.push_back(vec![file]);
            }
        }
    }
    batches
}

impl Repo {
    /// Reads a short file, a document under the schema it lies there by, and then under that it is staged
    /// by; stores nothing.
    fn read_short(
        &self,
        file: &Found,
        (before, schemas): (&Schemas, &Schemas),
        preparer: &mut Preparer<'_>,
    ) -> Result<Ready, RepoError> {
        let noted = self.now();
        let content = if is_document(file) {
            let (old, new) = (before.of(&file.path), schemas.of(&file.path));
            let old = old.filter(|old| differ(Some(old), new)).map(|schema| &**schema);
            let read = read_json(&self.disk_path(&file.path), old)
                .and_then(|document| convert(new.map(|schema| &**schema), document));
            let document = read.map_err(|error| match error {
                RepoError::Object(source) => {
                    RepoError::BadDocument { path: file.path.to_string(), source }
                }
                other => other,
            })?;
            Content::Document(document.to_object()?, document.value().has_conflict())
        } else {
            let disk = self.disk_path(&file.path);
            let mut source = std::fs::File::open(&disk).map_err(io("open", &disk))?;
            preparer.prepare(&mut source)?.map_or(Content::Long, Content::File)
        };
        Ok(Ready { noted, content })
    }
}
