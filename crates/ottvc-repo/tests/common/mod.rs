//! A repository in memory with a working copy in a temporary folder.
#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

pub(crate) mod film;
pub(crate) mod holey;
pub(crate) mod layers;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use ottvc_merge::Choice;
use ottvc_object::RepoPath;
use ottvc_object::manifest::CutRule;
use ottvc_object::manifest::tracks::TrackRule;
use ottvc_refs::memory::MemoryRefs;
use ottvc_refs::{Clock, RefKind};
use ottvc_repo::collect::Collector;
use ottvc_repo::merging::{MergeReport, MergeRequest};
use ottvc_repo::protected::Protected;
use ottvc_repo::record::{CommitOptions, Committed};
use ottvc_repo::resolving::Resolution;
use ottvc_repo::{Parts, Repo, RepoError, Silent};
use ottvc_store::memory::{MemoryStore, MemoryWorkspace};
use ottvc_store::{ObjectStore, WorkspaceStore};
use tempfile::TempDir;

/// A clock that moves on by a second whenever it is asked, years after any file was written.
#[derive(Debug)]
struct Ticking(AtomicI64);

impl Clock for Ticking {
    fn now(&self) -> i64 {
        self.0.fetch_add(1000, Ordering::Relaxed)
    }
}

/// Small chunks, so that small files have several.
pub(crate) const SMALL: CutRule = CutRule::FastCdc { min: 256, avg: 1024, max: 4096 };

pub(crate) struct Lab {
    pub(crate) repo: Repo,
    pub(crate) store: Arc<MemoryStore>,
    seams: Seams,
    dir: TempDir,
}

/// What a repository is put together from, once more.
struct Seams {
    objects: Arc<dyn ObjectStore>,
    refs: Arc<MemoryRefs>,
    workspace: Arc<MemoryWorkspace>,
    tracks: Option<TrackRule>,
}

impl Seams {
    fn parts(&self, dir: &TempDir) -> Parts {
        Parts {
            objects: self.objects.clone(),
            refs: self.refs.clone(),
            workspace: self.workspace.clone(),
            clock: Arc::new(Ticking(AtomicI64::new(4_000_000_000_000))),
            root: dir.path().canonicalize().unwrap(),
            actor: "Ada <ada@example.org>".into(),
            rule: SMALL,
            tracks: self.tracks,
            jobs: 2,
        }
    }
}

/// Gives a file a time of its own. By this clock no file was written just now, so that two writes of one length
/// would look like one where the system's ticks are longer than they take.
fn date(file: &Path) {
    static TIME: AtomicU64 = AtomicU64::new(1_600_000_000_000);
    let time = Duration::from_millis(TIME.fetch_add(1, Ordering::Relaxed));
    let file = std::fs::File::options().write(true).open(file).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + time).unwrap();
}

impl Lab {
    pub(crate) fn new() -> Self {
        let store = Arc::new(MemoryStore::default());
        Self::over(store.clone(), store)
    }

    /// A lab whose repository keeps media by its tracks.
    pub(crate) fn of_tracks() -> Self {
        let store = Arc::new(MemoryStore::default());
        Self::build(store.clone(), store, Some(TrackRule::DEFAULT))
    }

    /// A lab whose repository uses `objects`, which keeps everything in `store`.
    pub(crate) fn over(objects: Arc<dyn ObjectStore>, store: Arc<MemoryStore>) -> Self {
        Self::build(objects, store, None)
    }

    fn build(
        objects: Arc<dyn ObjectStore>,
        store: Arc<MemoryStore>,
        tracks: Option<TrackRule>,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (refs, workspace) = Default::default();
        let seams = Seams { objects, refs, workspace, tracks };
        let repo = Repo::new(seams.parts(&dir));
        repo.make_first_branch().unwrap();
        Self { repo, store, seams, dir }
    }

    /// The same working copy, opened by a process that remembers nothing of its files.
    pub(crate) fn forgetful(&self) -> Repo {
        let workspace = MemoryWorkspace::default();
        if let Some(state) = self.seams.workspace.load().unwrap() {
            workspace.save(&state, &[]).unwrap();
        }
        Repo::new(Parts { workspace: Arc::new(workspace), ..self.seams.parts(&self.dir) })
    }

    /// The same working copy, opened by another process.
    pub(crate) fn elsewhere(&self) -> Repo {
        Repo::new(self.seams.parts(&self.dir))
    }

    /// The same repository, opened again: it has read nothing yet.
    pub(crate) fn reopened(self) -> Self {
        let Self { store, seams, dir, .. } = self;
        let repo = Repo::new(seams.parts(&dir));
        Self { repo, store, seams, dir }
    }

    /// The same repository, in which these branches are protected.
    pub(crate) fn protecting(self, branches: &str) -> Self {
        let protected = Protected::parse(branches).unwrap();
        Self { repo: self.repo.protecting(protected), ..self }
    }

    /// The same repository, which remembers resolutions for so many days.
    pub(crate) fn remembering(self, days: u32) -> Self {
        Self { repo: self.repo.remembering(days), ..self }
    }

    /// Where the state of the working copy is kept.
    pub(crate) fn workspace(&self) -> &MemoryWorkspace {
        &self.seams.workspace
    }

    /// The same repository so many days later.
    pub(crate) fn later(&self, days: i64) -> Repo {
        let now = 4_000_000_000_000 + days * 86_400_000;
        let clock = Arc::new(Ticking(AtomicI64::new(now)));
        Repo::new(Parts { clock, ..self.seams.parts(&self.dir) })
    }

    pub(crate) fn collector(&self) -> Collector {
        Collector::new(self.seams.parts(&self.dir))
    }

    pub(crate) fn disk(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    #[expect(clippy::disallowed_methods, reason = "a test writes as any editor would")]
    pub(crate) fn write(&self, path: &str, bytes: impl AsRef<[u8]>) -> &Self {
        let disk = self.disk(path);
        std::fs::create_dir_all(disk.parent().unwrap()).unwrap();
        std::fs::write(&disk, bytes).unwrap();
        date(&disk);
        self
    }

    pub(crate) fn read(&self, path: &str) -> Option<String> {
        std::fs::read(self.disk(path)).ok().map(|bytes| String::from_utf8(bytes).unwrap())
    }

    pub(crate) fn delete(&self, path: &str) -> &Self {
        std::fs::remove_file(self.disk(path)).unwrap();
        self
    }

    /// Stages everything and commits it.
    pub(crate) fn commit(&self, message: &str) -> Committed {
        self.try_commit(message).unwrap()
    }

    pub(crate) fn try_commit(&self, message: &str) -> Result<Committed, RepoError> {
        self.repo.add(self.repo.root(), &[".".to_owned()], &Silent)?;
        let options = CommitOptions { message: Some(message.into()), ..CommitOptions::default() };
        self.repo.record(self.repo.root(), &options, &Silent)
    }

    pub(crate) fn branch(&self, name: &str) -> &Self {
        self.repo.make_branch(name, None, None, None).unwrap();
        self
    }

    pub(crate) fn switch(&self, name: &str) -> &Self {
        self.repo.switch(name, false, false, &Silent).unwrap();
        self
    }

    pub(crate) fn merge(&self, rev: &str) -> MergeReport {
        self.repo.merge(rev, &MergeRequest::default(), &Silent).unwrap()
    }

    pub(crate) fn settle(&self, path: Option<&str>, choice: Choice) {
        let resolution = Resolution {
            path: path.map(|path| RepoPath::new(path).unwrap()),
            field: None,
            choice: Some(choice),
            rules: Vec::new(),
        };
        self.repo.settle(&resolution).unwrap();
    }

    /// Commits what is staged, ending a merge.
    pub(crate) fn finish(&self) -> Committed {
        self.repo.record(self.repo.root(), &CommitOptions::default(), &Silent).unwrap()
    }

    /// Commits what is staged, with a message.
    pub(crate) fn finish_with(&self, message: &str) -> Committed {
        let options = CommitOptions { message: Some(message.into()), ..CommitOptions::default() };
        self.repo.record(self.repo.root(), &options, &Silent).unwrap()
    }

    pub(crate) fn head(&self, branch: &str) -> String {
        let rows = self.repo.list_refs(RefKind::Branch).unwrap();
        rows.into_iter().find(|row| row.name == branch).unwrap().commit.unwrap()
    }

    /// Paths of a revision, sorted.
    pub(crate) fn paths(&self, rev: &str) -> Vec<String> {
        let mut paths = Vec::new();
        self.repo
            .list(rev, &RepoPath::root(), true, &mut |row| {
                paths.push(row.path);
                Ok(())
            })
            .unwrap();
        paths
    }

    /// A field of a document of a revision, as JSON text.
    pub(crate) fn field(&self, rev: &str, path: &str, field: &str) -> Option<String> {
        let document = self.repo.document(rev, &RepoPath::new(path).unwrap()).unwrap();
        let value = document.value().get(&field.parse().unwrap())?;
        Some(ottvc_object::value::value_to_json(value).to_string())
    }

    pub(crate) fn cat(&self, rev: &str, path: &str) -> Vec<u8> {
        let mut out = Vec::new();
        self.repo.cat(rev, &RepoPath::new(path).unwrap(), None, None, &mut out).unwrap();
        out
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.repo.status(&Silent).unwrap().clean
    }
}

/// Bytes without pattern, different for each seed.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        })
        .collect()
}
