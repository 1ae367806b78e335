//! Protected branches: what others build on, so that no conflict gets there and nobody takes the name away.
//!
//! Every ref moves through [`Repo::move_refs`], whatever command asks, and that is where this is held.
//! Commands that move files first ask before they do, so that a refusal leaves nothing half done.

use globset::{GlobBuilder, GlobMatcher};
use ottvc_object::Commit;
use ottvc_object::commit::ConflictPlace;
use ottvc_refs::{Operation, RefEdit, RefKind, RefName, RefTransaction, RefValue};

use crate::nodes::Batch;
use crate::record::place_text;
use crate::workspace::Head;
use crate::{Repo, RepoError};

/// Which branches are protected.
#[derive(Clone, Debug, Default)]
pub struct Protected {
    patterns: Vec<GlobMatcher>,
}

impl Protected {
    /// Reads names and patterns with commas between: `main, release/*`. `*` stays between slashes, `**` does
    /// not; case does not count, as two branches cannot differ in it alone.
    ///
    /// # Errors
    /// [`RepoError::BadArgument`] for what is no pattern.
    pub fn parse(text: &str) -> Result<Self, RepoError> {
        let patterns = text.split(',').map(str::trim).filter(|pattern| !pattern.is_empty());
        let matcher = |pattern: &str| {
            let bad = |why: String| RepoError::BadArgument {
                given: pattern.to_owned(),
                wanted: "pattern of branches",
                why,
            };
            // Letters taken apart into letter and mark are such characters.
            let odd = |c: char| !(c.is_alphanumeric() || "-_.+/*?[]{}!^\\".contains(c));
            if let Some(odd) = pattern.chars().find(|c| odd(*c)) {
                return Err(bad(format!("no branch has {odd:?} in its name")));
            }
            let glob = GlobBuilder::new(&folded(pattern)).literal_separator(true).build();
            glob.map(|glob| glob.compile_matcher()).map_err(|error| bad(error.kind().to_string()))
        };
        Ok(Self { patterns: patterns.map(matcher).collect::<Result<_, RepoError>>()? })
    }

    fn covers(&self, name: &RefName) -> bool {
        name.kind() == RefKind::Branch
            && self.patterns.iter().any(|pattern| pattern.is_match(folded(name.short())))
    }
}

/// The same for all that differ in case alone, in any script: by its upper case `ß` is also `SS`.
fn folded(text: &str) -> String {
    text.to_uppercase().to_lowercase()
}

impl Repo {
    /// Has these branches protected: none of them moves to a commit that holds conflicts, is removed, or is
    /// renamed.
    #[must_use]
    pub fn protecting(self, protected: Protected) -> Self {
        Self { protected, ..self }
    }

    /// Moves refs. Nothing else in this crate does.
    ///
    /// # Errors
    /// [`RepoError::Protected`], or the ref store's; nothing has moved then.
    pub(crate) fn move_refs(&self, transaction: &RefTransaction) -> Result<Operation, RepoError> {
        self.refuse_protected(&Batch::new(&self.nodes), &transaction.edits)?;
        Ok(self.refs.transact(transaction)?)
    }

    /// Refuses moves of refs that protected branches must not make. New commits may be in the batch.
    pub(crate) fn refuse_protected(
        &self,
        batch: &Batch<'_>,
        edits: &[RefEdit],
    ) -> Result<(), RepoError> {
        for RefEdit { name, old, new } in edits {
            if !self.protected.covers(name) {
                continue;
            }
            let target = |value: &Option<RefValue>| value.as_ref().map(|value| value.target);
            match target(new) {
                // It stays where it is, and something else is said of it.
                there if there == target(old) => {}
                Some(Some(commit)) => {
                    let commit: Commit = batch.load(commit)?;
                    self.refuse_conflicts_on(name, &commit.conflicts)?;
                }
                Some(None) => {}
                None if old.is_some() => {
                    let name = name.short().to_owned();
                    return Err(RepoError::Protected { name, conflicts: Vec::new() });
                }
                None => {}
            }
        }
        Ok(())
    }

    /// Refuses a commit with these conflicts where the working copy stands.
    pub(crate) fn refuse_conflicts_here(
        &self,
        head: &Head,
        conflicts: &[ConflictPlace],
    ) -> Result<(), RepoError> {
        match head {
            Head::Branch(name) => self.refuse_conflicts_on(name, conflicts),
            Head::Detached(_) => Ok(()),
        }
    }

    fn refuse_conflicts_on(
        &self,
        name: &RefName,
        conflicts: &[ConflictPlace],
    ) -> Result<(), RepoError> {
        if conflicts.is_empty() || !self.protected.covers(name) {
            return Ok(());
        }
        let conflicts = conflicts.iter().map(place_text).collect();
        Err(RepoError::Protected { name: name.short().to_owned(), conflicts })
    }
}
