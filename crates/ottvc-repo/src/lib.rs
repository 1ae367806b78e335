//! What a command does: import, commit, branch, merge, check out, verify, audit.
//!
//! Everything here speaks to seams (`ObjectStore`, `RefStore`, `WorkspaceStore`, `Clock`) and to the
//! file system of the working copy, never to a backend. A command's order is always: content, then
//! objects, then the ref transaction or workspace save that makes them durable and visible.

pub mod audit;
pub mod branches;
pub mod cache;
pub mod changes;
pub mod checkout;
pub mod collect;
pub mod content;
pub mod derived;
pub mod disputed;
pub mod error;
pub mod history;
pub mod import;
pub mod ingest;
pub mod layers;
pub mod lineage;
pub mod memory;
pub mod merging;
pub mod meta;
pub mod nodes;
pub mod operations;
mod parallel;
pub mod plan;
mod probe;
pub mod propagate;
pub mod protected;
pub mod push;
pub mod read;
pub mod rechunk;
pub mod record;
pub mod resolving;
pub mod restoring;
pub mod revision;
pub mod scan;
pub mod schemas;
pub mod stage;
pub mod status;
pub mod switching;
pub mod verify;
pub mod workspace;
pub mod worktree;

use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;

use ottvc_object::manifest::CutRule;
use ottvc_object::manifest::tracks::TrackRule;
use ottvc_refs::{Clock, RefStore};
use ottvc_store::ObjectStore;
use ottvc_store::workspace::WorkspaceStore;

pub use error::RepoError;
pub use nodes::StoreNodes;

/// Hears how far a long command is: a word for the step, how much is done, and of how much (bytes
/// or files; 0 where the whole is not known).
pub trait Progress: Send + Sync {
    /// Called now and then; must return quickly.
    fn report(&self, step: &'static str, done: u64, total: u64);
}

/// Progress nobody listens to.
#[derive(Debug)]
pub struct Silent;

impl Progress for Silent {
    fn report(&self, _: &'static str, _: u64, _: u64) {}
}

/// What a repository is made of.
#[derive(Debug)]
pub struct Parts {
    /// Objects and chunks.
    pub objects: Arc<dyn ObjectStore>,
    /// Refs and operations.
    pub refs: Arc<dyn RefStore>,
    /// State and stat cache of the working copy.
    pub workspace: Arc<dyn WorkspaceStore>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Root folder of the working copy.
    pub root: PathBuf,
    /// Who acts, as commits and operations will name them.
    pub actor: String,
    /// How new files are cut.
    pub rule: CutRule,
    /// How the streams of new files with tracks are cut; without, such files are cut as all others.
    pub tracks: Option<TrackRule>,
    /// Threads for hashing and compressing.
    pub jobs: usize,
}

/// A repository with its working copy.
#[derive(Debug)]
pub struct Repo {
    objects: Arc<dyn ObjectStore>,
    refs: Arc<dyn RefStore>,
    workspace: Arc<dyn WorkspaceStore>,
    clock: Arc<dyn Clock>,
    root: PathBuf,
    actor: String,
    rule: CutRule,
    tracks: Option<TrackRule>,
    jobs: usize,
    nodes: StoreNodes,
    schema_cache: schemas::SchemaCache,
    memory_days: u32,
    protected: protected::Protected,
}

impl Repo {
    /// Puts a repository together and begins a session of its store, which ends with it: what it is
    /// told is there is not collected before it has moved its refs. Reads nothing yet.
    pub fn new(parts: Parts) -> Self {
        let objects = ottvc_store::session(&parts.objects);
        Self::without_session(Parts { objects, ..parts })
    }

    /// Puts a repository together for a collector, whose own reading must pin nothing.
    pub(crate) fn without_session(parts: Parts) -> Self {
        let Parts { objects, refs, workspace, clock, root, actor, rule, tracks, jobs } = parts;
        let nodes = StoreNodes::new(Arc::clone(&objects));
        let schema_cache = schemas::SchemaCache::default();
        Self {
            objects,
            refs,
            workspace,
            clock,
            root,
            actor,
            rule,
            tracks,
            jobs,
            nodes,
            schema_cache,
            memory_days: memory::DEFAULT_DAYS,
            protected: protected::Protected::default(),
        }
    }
    /// The object store.
    pub fn objects(&self) -> &dyn ObjectStore {
        &*self.objects
    }
    /// The ref store.
    pub fn refs(&self) -> &dyn RefStore {
        &*self.refs
    }
    /// Tree nodes, cached; counts what was read.
    pub fn nodes(&self) -> &StoreNodes {
        &self.nodes
    }
    /// Root folder of the working copy.
    pub fn root(&self) -> &std::path::Path {
        &self.root
    }
    /// Who acts.
    pub fn actor(&self) -> &str {
        &self.actor
    }
    /// The time, in UTC milliseconds since 1970.
    pub fn now(&self) -> i64 {
        self.clock.now()
    }
}

/// Returns 16 random bytes from the system.
pub(crate) fn random_id() -> Result<[u8; 16], RepoError> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|source| RepoError::Io {
        action: "get random bytes from",
        path: "the system".into(),
        source: std::io::Error::other(source.to_string()),
    })?;
    Ok(id)
}
