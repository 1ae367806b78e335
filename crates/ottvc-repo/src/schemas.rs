//! Which schema a document has.

use std::sync::Arc;

use ottvc_merge::Schema;
use ottvc_object::{RepoPath, TreeId};

use crate::nodes::Batch;
use crate::{Repo, RepoError};

/// The schemas that documents of a tree are bound to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Schemas;

impl Schemas {
    /// The schema of the document at `path`.
    #[allow(clippy::unused_self, reason = "until documents are bound to schemas")]
    pub(crate) fn of(&self, _: &RepoPath) -> Option<&Arc<Schema>> {
        None
    }
    /// Whether no document has one.
    #[allow(clippy::unused_self, reason = "until documents are bound to schemas")]
    pub(crate) fn is_empty(&self) -> bool {
        true
    }
}

impl Repo {
    /// Reads what a tree says of its documents' schemas.
    #[allow(clippy::unused_self, clippy::unnecessary_wraps, reason = "until documents are bound")]
    pub(crate) fn schemas(&self, _: &Batch<'_>, _: TreeId) -> Result<Schemas, RepoError> {
        Ok(Schemas)
    }
}
