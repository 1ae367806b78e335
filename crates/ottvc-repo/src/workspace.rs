//! What the working copy remembers: where it stands, what is staged, and facts about its files.

use bincode::{Decode, Encode};
use ottvc_object::codec::{decode_body, encode_body};
use ottvc_object::tree::EMPTY_TREE;
use ottvc_object::{CommitId, EditionId, Entry, RepoPath, TreeId};
use ottvc_refs::{RefName, RefTransaction, RefValue};

use crate::{Repo, RepoError};

/// Where the working copy stands.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Head {
    /// On a branch.
    Branch(RefName),
    /// On a commit, no branch.
    Detached(CommitId),
}

/// A merge that waits for its conflicts to be settled.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Merging {
    /// The commit merged into; if the head is elsewhere, this merge is over.
    pub ours: CommitId,
    /// The commit merged from.
    pub theirs: CommitId,
    /// What the user called it.
    pub theirs_name: String,
    /// The best common ancestors.
    pub bases: Vec<CommitId>,
    /// Rules passed to the merge.
    pub rules: Vec<String>,
    /// The message given, if any.
    pub message: Option<String>,
}

/// State of a working copy.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct State {
    /// Where it stands.
    pub head: Head,
    /// The edition of that branch: finds it again under another name.
    pub edition: Option<EditionId>,
    /// The tree that a commit would record.
    pub staged: TreeId,
    /// A merge not finished.
    pub merging: Option<Merging>,
    /// Entries that may hold conflicts: sorted, without duplicates.
    pub suspects: Vec<RepoPath>,
}

/// What is known about a file on disk: its facts when it was read, and what it held.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct FileFacts {
    /// Length in bytes.
    pub len: u64,
    /// Last modification, nanoseconds since 1970.
    pub modified: i128,
    /// Last change of the inode, nanoseconds since 1970; 0 where the system has none.
    pub changed: i128,
    /// Inode number; 0 where the system has none.
    pub inode: u64,
    /// Whether the executable bit is set.
    pub executable: bool,
    /// Whether it is a symbolic link.
    pub symlink: bool,
}

/// One row of the stat cache.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct CacheRow {
    /// The file's facts.
    pub facts: FileFacts,
    /// What it held.
    pub entry: Entry,
    /// Whether the store has that content.
    pub stored: bool,
    /// When this was written down, in UTC milliseconds since 1970.
    pub noted: i64,
}

/// How long after its last modification a file must have been looked at for the look to count: a
/// write within one tick of the file system's clock leaves no trace in the facts.
const TICK_MS: i64 = 40;

impl CacheRow {
    /// A row for a file this process has just put in place: what it holds is known, so it vouches
    /// for the file from the start.
    pub(crate) fn written(facts: FileFacts, entry: Entry) -> Self {
        let modified_ms = i64::try_from(facts.modified / 1_000_000).unwrap_or(i64::MAX);
        Self { facts, entry, stored: true, noted: modified_ms.saturating_add(TICK_MS + 1) }
    }
    /// Whether a file with these facts surely still holds what the row says.
    pub(crate) fn vouches(&self, facts: &FileFacts) -> bool {
        let modified_ms = i64::try_from(self.facts.modified / 1_000_000).unwrap_or(i64::MAX);
        self.facts == *facts && modified_ms.saturating_add(TICK_MS) < self.noted
    }
}

/// Cache rows to write: key, and the row or `None` to remove it.
pub(crate) type Rows = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// The cache key of a path.
pub(crate) fn row_key(path: &RepoPath) -> Vec<u8> {
    path.to_string().into_bytes()
}

/// The bytes of a state, with the edition of the branch it is on.
fn encoded(state: &State, branch: Option<RefValue>) -> Result<Vec<u8>, RepoError> {
    let edition = branch.and_then(|value| value.edition).map(|edition| edition.id);
    Ok(encode_body(&State { edition, ..state.clone() })?)
}

impl Repo {
    /// Returns the state of the working copy.
    ///
    /// # Errors
    /// [`RepoError::BadState`] if its bytes are no state.
    pub fn state(&self) -> Result<State, RepoError> {
        match self.workspace.load()? {
            Some(bytes) => {
                let mut state: State =
                    decode_body(&bytes, "working copy state").map_err(RepoError::BadState)?;
                self.follow_rename(&mut state)?;
                // A merge whose `ours` is no longer the head is over: its branch moved without it.
                if let Some(merging) = &state.merging
                    && self.head_commit_id(&state)? != Some(merging.ours)
                {
                    state.merging = None;
                }
                Ok(state)
            }
            None => Ok(State {
                head: Head::Branch(RefName::branch("main")?),
                edition: None,
                staged: EMPTY_TREE,
                merging: None,
                suspects: Vec::new(),
            }),
        }
    }

    /// Saves the state with cache rows; everything finished before is durable first.
    pub(crate) fn save_state(&self, state: &State, rows: &Rows) -> Result<(), RepoError> {
        let branch = match &state.head {
            Head::Branch(name) => self.refs.get(name)?,
            Head::Detached(_) => None,
        };
        Ok(self.workspace.save(&encoded(state, branch)?, rows)?)
    }

    /// Has the state and cache rows saved by a ref transaction that is about to be made.
    pub(crate) fn stage_state(
        &self,
        state: &State,
        rows: &Rows,
        transaction: &RefTransaction,
    ) -> Result<(), RepoError> {
        let branch = match &state.head {
            Head::Branch(name) => match transaction.edits.iter().find(|edit| edit.name == *name) {
                Some(edit) => edit.new.clone(),
                None => self.refs.get(name)?,
            },
            Head::Detached(_) => None,
        };
        Ok(self.workspace.stage(&encoded(state, branch)?, rows)?)
    }

    /// Points the head at its edition's branch, if that was renamed since the state was saved.
    fn follow_rename(&self, state: &mut State) -> Result<(), RepoError> {
        if let (Head::Branch(name), Some(edition)) = (&state.head, state.edition)
            && self.refs.get(name)?.is_none()
        {
            let renamed =
                self.refs.list()?.into_iter().find(|(_, value)| {
                    value.edition.as_ref().is_some_and(|other| other.id == edition)
                });
            if let Some((name, _)) = renamed {
                state.head = Head::Branch(name);
            }
        }
        Ok(())
    }

    /// Returns the cache row of a path; a row that cannot be read is no row.
    pub(crate) fn cache_row(&self, path: &RepoPath) -> Result<Option<CacheRow>, RepoError> {
        let bytes = self.workspace.row(&row_key(path))?;
        Ok(bytes.and_then(|bytes| decode_body(&bytes, "cache row").ok()))
    }

    /// Returns the commit the working copy stands on, if its branch has one.
    pub fn head_commit_id(&self, state: &State) -> Result<Option<CommitId>, RepoError> {
        match &state.head {
            Head::Detached(id) => Ok(Some(*id)),
            Head::Branch(name) => Ok(self.refs.get(name)?.and_then(|value| value.target)),
        }
    }

    /// Returns the tree of the commit the working copy stands on; the empty one before any commit.
    pub(crate) fn head_tree(&self, state: &State) -> Result<TreeId, RepoError> {
        match self.head_commit_id(state)? {
            Some(id) => Ok(self.commit(id)?.tree),
            None => Ok(EMPTY_TREE),
        }
    }
}
