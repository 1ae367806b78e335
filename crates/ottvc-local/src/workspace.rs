//! The working copy's memory in a store on disk.
//!
//! Cache rows live in the database alone, since losing them costs time only. The state is appended
//! to a pack as well, numbered, so that the newest one is found without the index.

use std::sync::Arc;

use ottvc_store::pack::{Class, RecordKind};
use ottvc_store::{StoreError, WorkspaceStore};

use crate::batch::Batch;
use crate::db::Table;
use crate::ledger::{CacheRows, Ledger, Staged};
use crate::rows::Rows;
use crate::shared::Shared;

/// The row that holds the state, after its number in 8 bytes, little endian.
pub(crate) const STATE_KEY: &[u8] = b"s";
/// What the key of a cache row starts with.
const ROW_PREFIX: u8 = b'r';

/// A working copy's state and cache on disk.
#[derive(Debug)]
pub(crate) struct LocalWorkspace(pub(crate) Arc<Shared>);

/// Rows of the workspace, ready for a batch.
pub(crate) struct Saved<'a> {
    /// The numbered state, unless it is the one saved before.
    state: Option<Vec<u8>>,
    rows: &'a CacheRows,
}

impl Saved<'_> {
    pub(crate) fn write(self, batch: &mut Batch) -> Result<(), StoreError> {
        if let Some(state) = self.state {
            batch.put(Table::Workspace, STATE_KEY, &state)?;
        }
        write_rows(batch, self.rows)
    }
}

/// Appends a state to a pack, if it is new, and returns what a batch must hold with it.
pub(crate) fn prepare<'a>(
    shared: &Shared,
    ledger: &mut Ledger,
    staged: &'a Staged,
) -> Result<Saved<'a>, StoreError> {
    let row = shared.db.get(Table::Workspace, STATE_KEY)?;
    let (number, state) = match row.as_deref().map(numbered) {
        None => (0, None),
        Some(Some((number, state))) => (number, Some(state)),
        Some(None) => return Err(shared.bad_row("workspace state")),
    };
    let rows = &staged.rows;
    if state == Some(&staged.state) {
        return Ok(Saved { state: None, rows });
    }
    let mut bytes = (number + 1).to_le_bytes().to_vec();
    bytes.extend(&staged.state);
    let kind = RecordKind::Workspace;
    let id = kind.id_of(&bytes).unwrap_or_default();
    ledger.append_raw(shared, &mut Rows::default(), Class::Objects, kind, id, &bytes)?;
    Ok(Saved { state: Some(bytes), rows })
}

/// Splits a stored state from its number.
pub(crate) fn numbered(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (number, state) = bytes.split_first_chunk()?;
    Some((u64::from_le_bytes(*number), state))
}

/// The key of a cache row in its table.
fn row_key(key: &[u8]) -> Vec<u8> {
    let mut row = vec![ROW_PREFIX];
    row.extend(key);
    row
}

fn write_rows(batch: &mut Batch, rows: &CacheRows) -> Result<(), StoreError> {
    for (key, value) in rows {
        match value {
            Some(value) => batch.put(Table::Workspace, &row_key(key), value)?,
            None => batch.delete(Table::Workspace, &row_key(key))?,
        }
    }
    Ok(())
}

impl WorkspaceStore for LocalWorkspace {
    fn load(&self) -> Result<Option<Vec<u8>>, StoreError> {
        if let Some(staged) = &self.0.ledger().staged {
            return Ok(Some(staged.state.clone()));
        }
        let row = self.0.db.get(Table::Workspace, STATE_KEY)?;
        let state = |row: &[u8]| numbered(row).map(|(_, state)| state.to_vec());
        row.map(|row| state(&row).ok_or_else(|| self.0.bad_row("workspace state"))).transpose()
    }

    fn save(&self, state: &[u8], rows: &[(Vec<u8>, Option<Vec<u8>>)]) -> Result<(), StoreError> {
        let shared = &*self.0;
        let mut ledger = shared.writing()?;
        let staged = Staged { state: state.to_vec(), rows: rows.to_vec() };
        let saved = prepare(shared, &mut ledger, &staged)?;
        ledger.commit(shared, |batch| saved.write(batch))?;
        ledger.staged = None;
        Ok(())
    }

    fn stage(&self, state: &[u8], rows: &[(Vec<u8>, Option<Vec<u8>>)]) -> Result<(), StoreError> {
        let staged = Staged { state: state.to_vec(), rows: rows.to_vec() };
        self.0.writing()?.staged = Some(staged);
        Ok(())
    }

    fn cache(&self, rows: &[(Vec<u8>, Option<Vec<u8>>)]) -> Result<(), StoreError> {
        let _ledger = self.0.writing()?;
        let mut batch = Batch::default();
        write_rows(&mut batch, &rows.to_vec())?;
        self.0.db.write(&batch, false)
    }

    fn row(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.0.db.get(Table::Workspace, &row_key(key))?.map(|row| row.to_vec()))
    }

    fn rows(
        &self,
        start: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        self.0.db.scan(Table::Workspace, &row_key(start), &mut |key, value| match key.split_first()
        {
            Some((&ROW_PREFIX, key)) => visit(key, value),
            _ => Ok(false),
        })
    }
}
