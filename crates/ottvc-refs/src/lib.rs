//! Names that move: branches and tags, the transactions that move them, and the operations they leave.
//!
//! A ref moves only by a transaction that states what it expects to find. One transaction writes new
//! values and one operation, all or nothing, and is a barrier: objects finished before it are durable
//! first. What a ref points at, and what a command means, live elsewhere.

pub mod clock;
pub mod error;
pub mod memory;
pub mod name;

use std::fmt::Debug;

use bincode::{Decode, Encode};
use ottvc_object::{CommitId, EditionId};

pub use clock::{Clock, FixedClock, SystemClock};
pub use error::RefError;
pub use name::{RefKind, RefName};

/// The edition that a branch is; it outlives renames.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Edition {
    /// Given once.
    pub id: EditionId,
    /// What kind of cut it is (`director`, `regional`, `promo` ...), where given.
    pub class: Option<String>,
    /// Where it is shown, where given.
    pub territory: Option<String>,
}

/// What a ref says.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RefValue {
    /// The commit it points at; a branch has none before its first commit.
    pub target: Option<CommitId>,
    /// The edition, for a branch.
    pub edition: Option<Edition>,
}

/// One ref's step in a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RefEdit {
    /// Which ref.
    pub name: RefName,
    /// What it must say now; `None` means it must not exist.
    pub old: Option<RefValue>,
    /// What it will say; `None` removes it.
    pub new: Option<RefValue>,
}

/// Names a transaction, so that a lost answer can be told from a refusal: 16 random bytes.
pub type WriteId = [u8; 16];

/// Steps over any number of refs, taken together or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefTransaction {
    /// The same id again gives the same answer and moves nothing twice. Whoever asks again gives the
    /// same time again, too: a transaction younger than every operation repeats none.
    pub write_id: WriteId,
    /// At least one edit; no ref twice.
    pub edits: Vec<RefEdit>,
    /// The command that asks, one word (`commit`, `merge` ...).
    pub command: String,
    /// One line for people.
    pub summary: String,
    /// Who asks.
    pub actor: String,
    /// When, in UTC milliseconds since 1970.
    pub time: i64,
    /// The operation this one takes back, for `undo`.
    pub undoes: Option<u64>,
}

impl RefTransaction {
    /// Checks the transaction against the refs as they are, which `current` looks up.
    ///
    /// # Errors
    /// [`RefError::BadTransaction`] if it has no edits or names a ref twice, [`RefError::Moved`] for
    /// the first ref that does not say what its edit expects, or what `current` returns.
    pub fn check(
        &self,
        current: impl Fn(&RefName) -> Result<Option<RefValue>, RefError>,
    ) -> Result<(), RefError> {
        let mut names: Vec<_> = self.edits.iter().map(|edit| &edit.name).collect();
        names.sort_unstable();
        if names.is_empty() {
            return Err(RefError::BadTransaction { why: "it changes no ref" });
        }
        if !names.is_sorted_by(|a, b| a < b) {
            return Err(RefError::BadTransaction { why: "it names a ref twice" });
        }
        for edit in &self.edits {
            let found = current(&edit.name)?;
            if found != edit.old {
                let current = found.map(Box::new);
                return Err(RefError::Moved { name: edit.name.to_string(), current });
            }
        }
        Ok(())
    }

    /// Returns the operation that this transaction leaves behind as number `id`.
    pub fn operation(&self, id: u64) -> Operation {
        Operation {
            id,
            write_id: self.write_id,
            edits: self.edits.clone(),
            command: self.command.clone(),
            summary: self.summary.clone(),
            actor: self.actor.clone(),
            time: self.time,
            undoes: self.undoes,
        }
    }
}

/// What a transaction left behind.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Operation {
    /// Counts up from 1 without gaps.
    pub id: u64,
    /// The transaction's id.
    pub write_id: WriteId,
    /// Its edits.
    pub edits: Vec<RefEdit>,
    /// The command that asked.
    pub command: String,
    /// One line for people.
    pub summary: String,
    /// Who asked.
    pub actor: String,
    /// When, in UTC milliseconds since 1970.
    pub time: i64,
    /// The operation this one took back.
    pub undoes: Option<u64>,
}

/// Keeps refs and operations. Done when it passes `testkit::refs`.
pub trait RefStore: Debug + Send + Sync {
    /// Returns what a ref says.
    fn get(&self, name: &RefName) -> Result<Option<RefValue>, RefError>;

    /// Returns all refs, in name order.
    fn list(&self) -> Result<Vec<(RefName, RefValue)>, RefError>;

    /// Takes all steps of a transaction and returns its operation, durable.
    ///
    /// # Errors
    /// [`RefError::Moved`] if a ref does not say what its edit expects; then nothing has changed.
    fn transact(&self, transaction: &RefTransaction) -> Result<Operation, RefError>;

    /// Returns an operation by its number.
    fn operation(&self, id: u64) -> Result<Option<Operation>, RefError>;

    /// Returns the newest operations first, at most `limit`, those before `before` where given.
    fn operations(&self, before: Option<u64>, limit: usize) -> Result<Vec<Operation>, RefError>;
}
