//! What a journal's page says of the database: all that short commands ask for.

use std::collections::{BTreeMap, BTreeSet};

use ottvc_object::codec::decode_body;
use ottvc_object::{Commit, CommitId, Object, Storable};
use ottvc_refs::{Operation, RefValue};
use ottvc_store::StoreError;
use ottvc_store::pack::Class;

use crate::batch::Batch;
use crate::db::Table;
use crate::index::{Index, Row};
use crate::ledger::{ORDER_KEY, active_key};
use crate::refs::YOUNGEST_KEY;
use crate::workspace::STATE_KEY;

/// All refs lie in a page if they take at most this much, in bytes: some thousand.
const PAGE_REF_BYTES: usize = 128 << 10;
/// Rows of any other kind that a page holds take about this much, in bytes.
const PAGE_BYTES: usize = 32 << 10;
/// The newest operations that a page holds.
const PAGE_OPERATIONS: usize = 32;
/// The commits that a page holds, at most.
const PAGE_COMMITS: usize = 64;

/// What a page says of the database.
#[derive(Debug, Default)]
pub(crate) struct Page {
    /// The tables of which it has every row from a key on.
    pub(crate) from: Vec<(Table, Vec<u8>)>,
    /// Rows, and rows that there are not.
    pub(crate) rows: Batch,
}

impl Page {
    /// What the index says now.
    pub(crate) fn of(index: &Index) -> Result<Self, StoreError> {
        let mut page = Self::default();
        let active = Class::ALL.map(active_key);
        let active = active.iter().map(<[u8; 1]>::as_slice);
        for key in active.clone().chain([ORDER_KEY, YOUNGEST_KEY]) {
            page.copy(index, Table::Meta, key)?;
        }
        for key in active {
            if let Some(pack) = index.get(Table::Meta, key)? {
                page.copy(index, Table::Packs, &pack)?;
            }
        }
        page.copy(index, Table::Workspace, STATE_KEY)?;
        // The commits of the newest operations first: there may be more refs than there is room for.
        let mut heads = Vec::new();
        page.copy_operations(index, &mut heads)?;
        page.copy_refs(index, &mut heads)?;
        page.copy_commits(index, heads)?;
        Ok(page)
    }

    /// Adds commits and what came before them to a page, the youngest first, as far as there is room.
    fn copy_commits(&mut self, index: &Index, heads: Vec<CommitId>) -> Result<(), StoreError> {
        let mut waiting = BTreeMap::new();
        let add = |waiting: &mut BTreeMap<_, _>, id: CommitId| {
            // One that is damaged is looked for, or missed, when it is needed.
            let row = known_row(index, Table::Objects, id.as_bytes())?;
            let object = row.flatten().and_then(|row| Object::from_bytes(&*row).ok());
            let commit = object.and_then(|object| Commit::from_object(&object).ok());
            if let Some(commit) = commit {
                waiting.insert((commit.generation, id), commit.parents);
            }
            Ok::<(), StoreError>(())
        };
        let mut seen = BTreeSet::new();
        let heads = heads.into_iter().filter(|id| seen.insert(*id)).take(PAGE_COMMITS);
        heads.into_iter().try_for_each(|id| add(&mut waiting, id))?;
        let end = self.rows.size() + PAGE_BYTES;
        for _ in 0..PAGE_COMMITS {
            let Some(((_, id), parents)) = waiting.pop_last() else { break };
            self.copy(index, Table::Objects, id.as_bytes())?;
            self.copy(index, Table::Places, id.as_bytes())?;
            if self.rows.size() > end {
                break;
            }
            parents.into_iter().try_for_each(|id| add(&mut waiting, id))?;
        }
        Ok(())
    }

    /// Adds a row to a page, or that there is none.
    fn copy(&mut self, index: &Index, table: Table, key: &[u8]) -> Result<(), StoreError> {
        match known_row(index, table, key)?.as_ref().map(|row| row.as_deref()) {
            // One that is long is looked up when it is needed.
            Some(Some(row)) if row.len() > PAGE_BYTES => Ok(()),
            Some(row) => self.rows.add(table, key, row),
            None => Ok(()),
        }
    }

    /// Adds all refs to a page, unless they are many; and notes their commits.
    fn copy_refs(&mut self, index: &Index, heads: &mut Vec<CommitId>) -> Result<(), StoreError> {
        let mut refs = Batch::default();
        index.scan(Table::Refs, &[], &mut |key, row| {
            refs.put(Table::Refs, key, row)?;
            let value: RefValue = decode_body(row, "ref")?;
            heads.extend(value.target);
            Ok(refs.size() <= PAGE_REF_BYTES)
        })?;
        if refs.size() <= PAGE_REF_BYTES {
            self.rows.absorb(&refs);
            self.from.push((Table::Refs, Vec::new()));
        }
        Ok(())
    }

    /// Adds the newest operations to a page, and notes the commits that they led to.
    fn copy_operations(
        &mut self,
        index: &Index,
        heads: &mut Vec<CommitId>,
    ) -> Result<(), StoreError> {
        let (mut operations, mut from) = (Batch::default(), Some(Vec::new()));
        let mut count = 0;
        index.scan_back(Table::Operations, None, &mut |key, row| {
            if count == PAGE_OPERATIONS || operations.size() > PAGE_BYTES {
                // All from the one before on.
                from = operations.changes().last().map(|change| change.key.to_vec());
                return Ok(false);
            }
            count += 1;
            operations.put(Table::Operations, key, row)?;
            let operation: Operation = decode_body(row, "operation")?;
            let moved = operation.edits.iter().filter_map(|edit| edit.new.as_ref()?.target);
            heads.extend(moved);
            Ok(true)
        })?;
        self.rows.absorb(&operations);
        self.from.extend(from.map(|from| (Table::Operations, from)));
        Ok(())
    }
}

/// A row, or that there is none; `None` if the database is damaged there.
fn known_row<'a>(
    index: &'a Index,
    table: Table,
    key: &[u8],
) -> Result<Option<Option<Row<'a>>>, StoreError> {
    match index.get(table, key) {
        Err(StoreError::Index { .. }) => Ok(None),
        other => other.map(Some),
    }
}
