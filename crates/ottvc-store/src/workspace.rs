//! What a working copy remembers beside the store: its state, and a cache of file facts.

use std::fmt::Debug;

use crate::StoreError;

/// Keeps a working copy's state and its stat cache; both are bytes to a backend.
pub trait WorkspaceStore: Debug + Send + Sync {
    /// Returns the state last saved or staged, if any.
    fn load(&self) -> Result<Option<Vec<u8>>, StoreError>;

    /// Saves the state and the cache rows that changed (`None` removes a row), all or nothing.
    ///
    /// Also a barrier: everything finished in the object store beside it is durable first. Replaces
    /// what was staged.
    fn save(&self, state: &[u8], rows: &[(Vec<u8>, Option<Vec<u8>>)]) -> Result<(), StoreError>;

    /// Saves as [`WorkspaceStore::save`] does, at the latest in the atomic step of the next ref
    /// transaction that is accepted: a crash leaves both or neither, and both cost one barrier.
    ///
    /// After a refused transaction the caller saves the state it wants to keep. A backend that cannot
    /// join the two saves at once.
    fn stage(&self, state: &[u8], rows: &[(Vec<u8>, Option<Vec<u8>>)]) -> Result<(), StoreError> {
        self.save(state, rows)
    }

    /// Saves cache rows alone, without waiting for the disk: losing them costs time, never content.
    fn cache(&self, rows: &[(Vec<u8>, Option<Vec<u8>>)]) -> Result<(), StoreError>;

    /// Returns the cache row under `key`.
    fn row(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Visits the cache rows from key `start` on, in key order, until `visit` says no more.
    fn rows(
        &self,
        start: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError>;
}
