//! Taking in: what lies in the working copy goes to the store, and into the staged tree.
//!
//! A scan finds what changed, a few thousand files are stored at a time, and the staged tree is edited
//! as often as that makes enough edits: memory does not grow with how many files there are, but for
//! what the scan is ahead.

use std::collections::HashSet;
use std::sync::Arc;

use ottvc_merge::Schema;
use ottvc_object::path::PathKey;
use ottvc_object::tree::{PathEdit, for_each, lookup_path};
use ottvc_object::{Entry, FileEntry, FileMode, NamedEntry, RepoPath, TreeId};
use ottvc_store::{StoreWriter, Written};

use super::ahead::{self, Ahead, Content, Ready};
use super::{Added, Edits};
use crate::cache::{self, FileFacts, FolderRow, Rows};
use crate::ingest::{DiskMedia, Ingest, IngestOptions, Ingested};
use crate::nodes::Batch;
use crate::scan::{Found, Met, Place, Scan, io, link_target, lstat, mode_of};
use crate::schemas::{SCHEMAS_FILE, Schemas, differ};
use crate::workspace::State;
use crate::{Progress, Repo, RepoError};

/// Files are stored this many at a time.
const FILES_AT_ONCE: usize = 4096;
/// The staged tree is edited once there are this many edits. Folders between two of these are written
/// twice.
const EDITS_AT_ONCE: usize = 16384;

/// What taking in did, beside editing the staged tree.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// Cache rows not yet written.
    pub(crate) rows: Rows,
    pub(crate) suspects: Vec<RepoPath>,
    pub(crate) added: Added,
    /// Content, and the nodes that were written on the way.
    pub(crate) written: Written,
    /// How many nodes those are; the last are in the batch.
    pub(crate) nodes: u64,
}

/// A file to store, or to stage under another name.
#[derive(Debug)]
struct Pending {
    file: Found,
    old: Option<NamedEntry>,
    /// What it holds, if that is known and stored.
    known: Option<Entry>,
}

impl Repo {
    /// Reads what lies at and below `paths`, stores content that is new, and edits the staged tree;
    /// its last nodes are left in `batch`. With `tracked_only`, files not staged so far are passed
    /// over. What says which schemas there are comes first, as all documents are read under them.
    ///
    /// # Errors
    /// [`RepoError::BadSchemas`] if that makes no sense.
    pub(crate) fn take_in(
        &self,
        state: &mut State,
        paths: &[RepoPath],
        tracked_only: bool,
        batch: &Batch<'_>,
        progress: &dyn Progress,
    ) -> Result<Taken, RepoError> {
        let before = state.staged;
        let paths: Vec<RepoPath> = paths
            .iter()
            .map(|path| self.spelled_as_tracked(before, path))
            .collect::<Result<_, RepoError>>()?;
        let paths = paths.as_slice();
        let mut named: Vec<PathKey> = paths.iter().map(RepoPath::key).collect();
        named.sort();
        // Where one path lies below another, files are met twice.
        let mut pairs = named.iter().zip(named.iter().skip(1));
        let met_twice = pairs.any(|(above, below)| below.0.starts_with(&above.0));
        let mut taking = Taking {
            repo: self,
            state,
            batch,
            progress,
            options: IngestOptions { rule: self.rule, tracks: self.tracks, jobs: self.jobs },
            // What the cache says is stored may be what is damaged: read again, the same bytes mend it.
            trusts_cache: !self.objects.is_damaged(),
            seen: met_twice.then(HashSet::new),
            schemas: Arc::default(),
            before: Arc::default(),
            named: named.into_iter().collect(),
            pending: Vec::new(),
            edits: Edits::new(),
            fresh: Vec::new(),
            early: Vec::new(),
            writer: self.objects.writer()?,
            taken: Taken::default(),
            done: 0,
            whole: 0,
        };
        taking.schemas(before, paths, tracked_only)?;
        for path in paths {
            let mut is_there = path.is_root();
            let whole_folders = taking.trusts_cache && !met_twice;
            let scan = Scan { staged: before, path, tracked_only, whole_folders };
            let learnt = self.scan(&scan, &mut |met| {
                is_there = true;
                match met {
                    Met::Place(place) => taking.place(place),
                    Met::Same { folder, files, bytes, whole } => {
                        taking.whole = whole.map_or(0, |(_, bytes)| bytes);
                        let early = taking.early.iter().filter(|(path, _)| {
                            path.parent().is_some_and(|parent| parent == *folder)
                        });
                        let (again, twice) =
                            early.fold((0, 0), |(files, bytes), (_, len)| (files + 1, bytes + len));
                        taking.count(files - again, bytes - twice);
                        Ok(())
                    }
                }
            })?;
            taking.taken.rows.extend(learnt);
            if !is_there {
                return Err(self.no_path(path, "the working copy"));
            }
        }
        taking.finish()
    }

    /// A path as what is tracked there is spelled, where nothing lies under the spelling given but something
    /// does under that one: where case counts, it would pass for removed.
    fn spelled_as_tracked(&self, staged: TreeId, path: &RepoPath) -> Result<RepoPath, RepoError> {
        if lstat(&self.disk_path(path))?.is_some() {
            return Ok(path.clone());
        }
        let mut tracked = RepoPath::root();
        for name in path.names() {
            let given = tracked.join(name);
            tracked = match self.staged_at(staged, &given)? {
                Some(named) => tracked.join(&named.name),
                None => given,
            };
        }
        let is_there = lstat(&self.disk_path(&tracked))?.is_some();
        Ok(if is_there { tracked } else { path.clone() })
    }

    /// Whether the store has what an entry names.
    fn is_stored(&self, entry: Entry) -> Result<bool, RepoError> {
        match entry {
            Entry::File(file) => Ok(crate::content::is_whole(&*self.objects, file.content)?),
            Entry::Document { id, .. } => Ok(self.objects.contains(&[id.into()])? == [true]),
            Entry::Tree { .. } | Entry::Conflict(_) => Ok(false),
        }
    }
}

/// Files on their way in.
struct Taking<'a> {
    repo: &'a Repo,
    state: &'a mut State,
    batch: &'a Batch<'a>,
    progress: &'a dyn Progress,
    options: IngestOptions,
    trusts_cache: bool,
    /// Places that were named.
    named: HashSet<PathKey>,
    /// Places met, where some are met twice.
    seen: Option<HashSet<PathKey>>,
    /// What documents are staged under.
    schemas: Arc<Schemas>,
    /// What they are read under, as they lie there in the form these give them.
    before: Arc<Schemas>,
    pending: Vec<Pending>,
    edits: Edits,
    /// Files with a row in `taken` whose folder's row may follow.
    fresh: Vec<(RepoPath, FileFacts)>,
    /// Files taken in before all others, and their lengths.
    early: Vec<(RepoPath, u64)>,
    writer: Box<dyn StoreWriter + 'a>,
    taken: Taken,
    /// Bytes of the files before this one, and of all; 0 while that is not known.
    done: u64,
    whole: u64,
}

impl Taking<'_> {
    /// Takes in what says which schemas there are, as far as `paths` hold it. Documents keep the form
    /// they lie there in: that changes once the stage is saved.
    fn schemas(
        &mut self,
        before: TreeId,
        paths: &[RepoPath],
        tracked_only: bool,
    ) -> Result<(), RepoError> {
        self.before = self.repo.schemas_for_reading(self.batch, before)?;
        self.first(before, &RepoPath::new(SCHEMAS_FILE)?, paths, tracked_only)?;
        if let Some((_, bindings)) = self.repo.bindings(self.batch, self.state.staged)? {
            for listed in bindings.schemas().values() {
                self.first(before, &listed.path, paths, tracked_only)?;
            }
            self.schemas = self.repo.schemas(self.batch, self.state.staged)?;
            self.repo.refuse_nonsense(self.batch, before, self.state.staged)?;
        }
        Ok(())
    }

    /// Whether what lies at `path` has another schema from now on.
    fn is_reformed(&self, path: &RepoPath) -> bool {
        differ(self.before.of(path), self.schemas.of(path))
    }

    /// The schema of the document at `path`, and the one it had before if that is another.
    fn speaking(&self, path: &RepoPath) -> impl Iterator<Item = &Arc<Schema>> {
        let before = self.before.of(path).filter(|_| self.is_reformed(path));
        self.schemas.of(path).into_iter().chain(before)
    }

    /// Takes in one file before all others, if it lies at or below one of `paths`.
    fn first(
        &mut self,
        before: TreeId,
        file: &RepoPath,
        paths: &[RepoPath],
        tracked_only: bool,
    ) -> Result<(), RepoError> {
        let key = file.key();
        if !paths.iter().any(|path| key.0.starts_with(&path.key().0)) {
            return Ok(());
        }
        let repo = self.repo;
        let here = lstat(&repo.disk_path(file))?.is_some_and(|found| !found.is_dir());
        if !here && repo.staged_at(before, file)?.is_none() {
            return Ok(());
        }
        self.seen.get_or_insert_default();
        let scan = Scan { staged: before, path: file, tracked_only, whole_folders: false };
        repo.scan(&scan, &mut |met| {
            let Met::Place(place) = met else { return Ok(()) };
            if let Some(facts) = place.facts {
                self.early.push((place.path(), facts.len));
            }
            self.place(place)
        })?;
        self.store()?;
        self.apply()?;
        self.next_writer()
    }

    /// Takes a place as the scan finds it.
    fn place(&mut self, place: &Place<'_>) -> Result<(), RepoError> {
        // Naming a folder settles no conflict; naming the very file does. It may have no file.
        if place.tracked.is_some_and(|named| matches!(named.entry, Entry::Conflict(_)))
            && !self.named.contains(&place.path().key())
        {
            return Ok(());
        }
        if let Some(seen) = &mut self.seen
            && !seen.insert(place.path().key())
        {
            return Ok(());
        }
        self.whole = place.whole.map_or(0, |(_, bytes)| bytes);
        let Some(facts) = place.facts else {
            let path = place.tracked_path();
            cache::forget(&mut self.taken.rows, &path);
            self.taken.added.removed += 1;
            self.edit(path, None);
            return self.make_room();
        };
        if place.is_moved() && place.tracked.is_some() {
            let before = place.tracked_path();
            if self.repo.has_name(&before)? {
                let (first, second) = (before.to_string(), place.path().to_string());
                return Err(RepoError::Collision { first, second });
            }
        }
        let known = place.remembered().filter(|_| self.trusts_cache);
        // What is staged is there. Anything else the store had once, and may have collected.
        let staged = place.tracked.map(|named| named.entry);
        let known = match known {
            Some(entry) if staged == Some(entry) => Some(entry),
            // What else it held was read under another schema.
            Some(_) if self.is_reformed(&place.path()) => None,
            Some(entry) if self.repo.is_stored(entry)? => Some(entry),
            _ => None,
        };
        if known.is_some() && known == staged && !place.is_moved() {
            self.count(1, facts.len);
            return Ok(());
        }
        let file = Found { path: place.path(), facts };
        self.pending.push(Pending { file, old: place.tracked.cloned(), known });
        self.make_room()
    }

    fn edit(&mut self, path: RepoPath, new: Option<NamedEntry>) {
        self.edits.insert(path.key(), PathEdit { path, new });
    }

    /// Counts files that are stored, and their bytes.
    fn count(&mut self, files: u64, bytes: u64) {
        let before = self.taken.added.files;
        self.taken.added.files += files;
        self.taken.added.logical_bytes += bytes;
        self.done += bytes;
        // The first is told of, however few there are: how many there will be is found on the way.
        let tells = before.div_ceil(64) != self.taken.added.files.div_ceil(64);
        if tells || self.done == self.whole {
            self.progress.report("adding", self.done, self.whole);
        }
    }

    /// Stores and edits, once there is enough of it.
    fn make_room(&mut self) -> Result<(), RepoError> {
        if self.pending.len() >= FILES_AT_ONCE {
            self.store()?;
        }
        if self.edits.len() >= EDITS_AT_ONCE {
            self.apply()?;
            // The tree can only be edited on from nodes that are found again.
            self.taken.nodes += self.batch.len();
            self.batch.flush(&mut *self.writer)?;
            self.next_writer()?;
            // Losing them costs time alone, and they vouch for nothing that is not staged.
            self.repo.workspace.cache(&std::mem::take(&mut self.taken.rows))?;
        }
        Ok(())
    }

    fn apply(&mut self) -> Result<(), RepoError> {
        let edits = std::mem::take(&mut self.edits);
        self.state.staged = self.repo.apply(self.state.staged, &edits, self.batch)?;
        self.note_folders()
    }

    /// The folders staged beside a folder, itself among them, by the keys of their names.
    fn folders_in(&self, beside: &RepoPath) -> Result<Vec<(String, Entry)>, RepoError> {
        let parent = beside.parent().unwrap_or_default();
        let root = self.state.staged;
        let tree = match lookup_path(self.batch, root, &parent)?.map(|named| named.entry) {
            _ if parent.is_root() => root,
            Some(Entry::Tree { id, .. }) => id,
            _ => return Ok(Vec::new()),
        };
        let mut folders = Vec::new();
        for_each(self.batch, tree, &mut |named| {
            if matches!(named.entry, Entry::Tree { .. }) {
                folders.push((named.name.folded().into_owned(), named.entry));
            }
            Ok::<(), RepoError>(())
        })?;
        Ok(folders)
    }

    /// Notes the rows of folders all of whose files are fresh.
    fn note_folders(&mut self) -> Result<(), RepoError> {
        let fresh = std::mem::take(&mut self.fresh);
        // The folders in the folder at hand, which many have in common.
        let mut beside = (RepoPath::root(), Vec::new());
        for files in fresh.chunk_by(|(a, _), (b, _)| a.parent() == b.parent()) {
            let Some(folder) = files.first().and_then(|(path, _)| path.parent()) else { continue };
            let (Some(parent), Some(name)) = (folder.parent(), folder.name()) else { continue };
            if beside.1.is_empty() || beside.0 != parent {
                beside = (parent, self.folders_in(&folder)?);
            }
            let found = beside.1.binary_search_by(|(key, _)| key.as_str().cmp(&name.folded()));
            let Some(Entry::Tree { id, totals }) =
                found.ok().and_then(|at| beside.1.get(at)).map(|(_, entry)| *entry)
            else {
                continue;
            };
            // Each of them is an entry of it, and no more are anywhere below.
            let entries = totals.files + totals.documents + totals.conflicts;
            if entries != files.len() as u64 || totals.conflicts > 0 {
                continue;
            }
            let files =
                files.iter().filter_map(|(path, facts)| Some((path.name()?.as_str(), *facts)));
            if let Some(row) = FolderRow::new(id, files.collect()) {
                cache::note_folder(&mut self.taken.rows, cache::folder_key(&folder), &row);
            }
        }
        Ok(())
    }

    /// Ends what was written so far: it can be read from now on.
    fn next_writer(&mut self) -> Result<(), RepoError> {
        let next = self.repo.objects.writer()?;
        let written = std::mem::replace(&mut self.writer, next).finish()?;
        let sum = &mut self.taken.written;
        sum.objects += written.objects;
        sum.chunks += written.chunks;
        sum.raw_bytes += written.raw_bytes;
        sum.stored_bytes += written.stored_bytes;
        Ok(())
    }

    fn finish(mut self) -> Result<Taken, RepoError> {
        self.store()?;
        self.apply()?;
        // Documents taken in are read again by a commit, for the conflicts they may hold.
        self.next_writer()?;
        Ok(self.taken)
    }

    /// Stores the files that wait, in order, and notes the edits they make.
    fn store(&mut self) -> Result<(), RepoError> {
        let pending = std::mem::take(&mut self.pending);
        let repo = self.repo;
        let short = pending.iter().filter(|it| it.known.is_none() && ahead::is_short(&it.file));
        let schemas = (Arc::clone(&self.before), Arc::clone(&self.schemas));
        std::thread::scope(|scope| {
            let files = short.map(|pending| &pending.file);
            let mut ahead = Ahead::start(scope, repo, &self.options, &schemas, files)?;
            for Pending { file, old, known } in &pending {
                let entry = match known {
                    Some(entry) => *entry,
                    None => self.file(file, old.as_ref(), &mut ahead)?,
                };
                self.count(1, file.facts.len);
                let named = NamedEntry {
                    former: old.as_ref().map(|old| old.former.clone()).unwrap_or_default(),
                    ..crate::worktree::named(&file.path, entry)?
                };
                if old.as_ref() != Some(&named) {
                    self.edit(file.path.clone(), Some(named));
                }
            }
            Ok(())
        })
    }

    /// Stores one file that the cache does not vouch for, remembers what it held and returns its entry.
    fn file(
        &mut self,
        file: &Found,
        old: Option<&NamedEntry>,
        ahead: &mut Ahead<'_>,
    ) -> Result<Entry, RepoError> {
        let ready = if ahead::is_short(file) { ahead.next().transpose()? } else { None };
        let (noted, entry) = match ready {
            Some(Ready { noted, content: Content::Document(object, has_conflict) }) => {
                if has_conflict {
                    self.taken.suspects.push(file.path.clone());
                }
                let len = object.bytes().len() as u64;
                self.taken.added.read_bytes += file.facts.len;
                let entry = Entry::Document { id: object.id().into(), len };
                match old.map(|named| named.entry) {
                    Some(old @ Entry::Document { id, .. })
                        if self
                            .speaking(&file.path)
                            .any(|schema| self.repo.same_under(schema, id, object.id().into())) =>
                    {
                        (noted, old)
                    }
                    _ => {
                        if self.writer.put(&object)? {
                            self.taken.added.new_bytes += len;
                        }
                        (noted, entry)
                    }
                }
            }
            Some(Ready { noted, content: Content::File(prepared) }) => {
                let ingested = self.ingest().put(prepared)?;
                (noted, self.entry(file, &ingested))
            }
            Some(Ready { content: Content::Long, .. }) | None => {
                let noted = self.repo.now();
                (noted, self.long(file)?)
            }
        };
        let is_reformed = self.is_reformed(&file.path);
        let rows = &mut self.taken.rows;
        let noted_before = rows.len();
        // Under another schema a row may vouch only once that one is saved.
        if !is_reformed {
            cache::note(rows, &file.path, &file.facts, (entry, true), noted)?;
        }
        if rows.len() > noted_before {
            self.fresh.push((file.path.clone(), file.facts));
        }
        Ok(entry)
    }

    fn ingest(&mut self) -> Ingest<'_> {
        Ingest::new(&*self.repo.objects, &mut *self.writer, self.options.clone())
    }

    /// Stores a file of any length, or a link, from where it lies.
    fn long(&mut self, file: &Found) -> Result<Entry, RepoError> {
        let disk = self.repo.disk_path(&file.path);
        let (progress, base, total) = (self.progress, self.done, self.whole);
        let report = move |bytes| progress.report("adding", base + bytes, total);
        if file.facts.symlink {
            let target = link_target(&disk)?;
            let ingested = self.ingest().file(target.as_slice(), &report)?;
            return Ok(Entry::File(FileEntry {
                content: ingested.content,
                len: ingested.len,
                mode: FileMode::Symlink,
            }));
        }
        let media = DiskMedia::open(&disk, file.facts.len).map_err(io("open", &disk))?;
        let ingested = self.ingest().media(media, &report)?;
        Ok(self.entry(file, &ingested))
    }

    /// Counts what storing bytes did, and returns the entry for them.
    fn entry(&mut self, file: &Found, ingested: &Ingested) -> Entry {
        self.taken.added.read_bytes += ingested.len;
        self.taken.added.new_chunks += ingested.new_chunks;
        self.taken.added.new_bytes += ingested.new_bytes;
        Entry::File(FileEntry {
            content: ingested.content,
            len: ingested.len,
            mode: mode_of(&file.facts),
        })
    }
}
