//! What the working copy remembers: where it stands, and what is staged.

use bincode::{Decode, Encode};
use ottvc_merge::Rule;
use ottvc_object::codec::{decode_body, encode_body};
use ottvc_object::tree::EMPTY_TREE;
use ottvc_object::{CommitId, EditionId, RepoPath, TreeId};
use ottvc_refs::{RefName, RefTransaction, RefValue};

use crate::cache::Rows;
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
    /// The message given, if any, and behind it the reasons of resolutions, each after a [`REASON`].
    pub message: Option<String>,
}

/// State of a working copy.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// What is staged about layers.
    pub touched: Option<Touched>,
}

/// What is staged about layers and cannot be read off documents: fields set to the value they inherit, and
/// overrides given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Touched {
    /// The commit it was staged on; if the head is elsewhere, it is given up.
    pub base: CommitId,
    /// The tree of layers the next commit starts from.
    pub own: TreeId,
}

/// Stands before each reason in the message of a merge that waits, so that no line of the user's passes for one.
pub(crate) const REASON: char = '\u{1e}';

impl Merging {
    /// The message that the merge's commit gets, unless it is given another.
    pub(crate) fn message(&self) -> String {
        self.message_so_far().replace(REASON, "")
    }

    /// The rules that it was called with.
    pub(crate) fn rules(&self) -> Result<Vec<Rule>, RepoError> {
        self.rules.iter().map(|rule| Ok(rule.parse()?)).collect()
    }

    /// Adds reasons of resolutions, each with the place it is about, to the message.
    pub(crate) fn add_reasons(&mut self, reasons: &[String]) {
        if reasons.is_empty() {
            return;
        }
        let mut message = self.message_so_far() + "\n";
        for reason in reasons {
            message += &format!("\n{REASON}{}", reason.replace(REASON, " "));
        }
        self.message = Some(message);
    }

    fn message_so_far(&self) -> String {
        self.message.clone().unwrap_or_else(|| format!("Merge {}", self.theirs_name))
    }
}

/// The bytes of a state begin with this, and with what is staged about layers they end; where there is no
/// such thing, nothing comes after.
#[derive(Encode, Decode)]
struct Kept {
    head: Head,
    edition: Option<EditionId>,
    staged: TreeId,
    merging: Option<Merging>,
    suspects: Vec<RepoPath>,
}

impl State {
    /// Its bytes, as a store keeps them (`docs/format-pack.md`, Workspace).
    ///
    /// # Errors
    /// [`RepoError::Object`] past a limit of what is encoded.
    pub fn to_bytes(&self) -> Result<Vec<u8>, RepoError> {
        let Self { head, edition, staged, merging, suspects, touched } = self.clone();
        let kept = Kept { head, edition, staged, merging, suspects };
        Ok(match touched {
            None => encode_body(&kept)?,
            Some(touched) => encode_body(&(kept, touched))?,
        })
    }

    /// Reads what [`Self::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`RepoError::BadState`] for any other bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RepoError> {
        const WHAT: &str = "working copy state";
        let (kept, touched) = match decode_body::<Kept>(bytes, WHAT) {
            Ok(kept) => (kept, None),
            Err(error) => match decode_body::<(Kept, Touched)>(bytes, WHAT) {
                Ok((kept, touched)) => (kept, Some(touched)),
                Err(_) => return Err(RepoError::BadState(error)),
            },
        };
        let Kept { head, edition, staged, merging, suspects } = kept;
        Ok(Self { head, edition, staged, merging, suspects, touched })
    }
}

/// The bytes of a state, with the edition of the branch it is on.
fn encoded(state: &State, branch: Option<RefValue>) -> Result<Vec<u8>, RepoError> {
    let edition = branch.and_then(|value| value.edition).map(|edition| edition.id);
    State { edition, ..state.clone() }.to_bytes()
}

impl Repo {
    /// Returns the state of the working copy.
    ///
    /// # Errors
    /// [`RepoError::BadState`] if its bytes are no state.
    pub fn state(&self) -> Result<State, RepoError> {
        match self.workspace.load()? {
            Some(bytes) => {
                let mut state = State::from_bytes(&bytes)?;
                self.follow_rename(&mut state)?;
                // A merge whose `ours` is no longer the head is over: its branch moved without it.
                if let Some(merging) = &state.merging
                    && self.head_commit_id(&state)? != Some(merging.ours)
                {
                    state.merging = None;
                }
                if let Some(touched) = state.touched
                    && self.head_commit_id(&state)? != Some(touched.base)
                {
                    state.touched = None;
                }
                Ok(state)
            }
            None => Ok(State {
                head: Head::Branch(RefName::branch("main")?),
                edition: None,
                staged: EMPTY_TREE,
                merging: None,
                suspects: Vec::new(),
                touched: None,
            }),
        }
    }

    /// The tree that is staged in the state that is saved.
    pub(crate) fn saved_stage(&self) -> Result<TreeId, RepoError> {
        match self.workspace.load()? {
            Some(bytes) => Ok(State::from_bytes(&bytes)?.staged),
            None => Ok(EMPTY_TREE),
        }
    }

    /// Saves the state with cache rows; everything finished before is durable first. Documents whose
    /// schema changes with it are written in their new form afterwards.
    pub(crate) fn save_state(&self, state: &State, rows: &Rows) -> Result<(), RepoError> {
        let branch = match &state.head {
            Head::Branch(name) => self.refs.get(name)?,
            Head::Detached(_) => None,
        };
        let films = self.rows_of_films(state)?;
        let all = if films.is_empty() { rows } else { &[rows.as_slice(), &films].concat() };
        let reforms = self.reforms(state.staged)?;
        self.loosen(&reforms)?;
        self.workspace.save(&encoded(state, branch)?, all)?;
        self.tighten(&reforms)
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
