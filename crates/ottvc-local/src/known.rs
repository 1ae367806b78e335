//! What a process knows of the index without the database: rows, and stretches of tables in which it
//! knows every row there is.
//!
//! What is known says what holds; the database beside it may be behind, never ahead, except for what
//! was written after this process began to read.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::vec::IntoIter;

use ottvc_store::StoreError;

use crate::batch::{Batch, Change};
use crate::db::Table;

/// A row, or that there is none.
type Row = Option<Vec<u8>>;
/// Rows with their keys.
type Rows = Vec<(Vec<u8>, Row)>;

/// Rows that are known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    tables: [BTreeMap<Vec<u8>, Row>; Table::ALL.len()],
    /// By table, the key from which on every row is among them.
    from: [Option<Vec<u8>>; Table::ALL.len()],
}

impl Known {
    fn table(&self, table: Table) -> Option<&BTreeMap<Vec<u8>, Row>> {
        self.tables.get(table as usize)
    }

    /// Takes in changes.
    pub(crate) fn apply(&mut self, batch: &Batch) {
        for Change { table, key, value } in batch.changes() {
            if let Some(rows) = self.tables.get_mut(table as usize) {
                rows.insert(key.to_vec(), value.map(<[u8]>::to_vec));
            }
        }
    }

    /// Takes in that every row of a table from `key` on is among those known.
    pub(crate) fn know_from(&mut self, table: Table, key: &[u8]) {
        if let Some(from) = self.from.get_mut(table as usize) {
            *from = Some(key.to_vec());
        }
    }

    /// The key from which on every row of a table is known.
    pub(crate) fn from(&self, table: Table) -> Option<&[u8]> {
        self.from.get(table as usize)?.as_deref()
    }

    /// Whether every row of a table from `key` on is known.
    pub(crate) fn covers(&self, table: Table, key: &[u8]) -> bool {
        self.from(table).is_some_and(|from| from <= key)
    }

    /// A row, or that there is none; `None` if that is not known.
    pub(crate) fn get(&self, table: Table, key: &[u8]) -> Option<Row> {
        match self.table(table)?.get(key) {
            Some(row) => Some(row.clone()),
            None => self.covers(table, key).then_some(None),
        }
    }

    /// The known rows from `start` on, in key order.
    pub(crate) fn rows_from(&self, table: Table, start: &[u8]) -> Rows {
        let rows = self.table(table).into_iter();
        rows.flat_map(|rows| rows.range(start.to_vec()..))
            .map(|(key, row)| (key.clone(), row.clone()))
            .collect()
    }

    /// The known rows before `end` (all, without one), last key first.
    pub(crate) fn rows_before(&self, table: Table, end: Option<&[u8]>) -> Rows {
        let rows = self.table(table).into_iter().flatten().rev();
        rows.skip_while(|(key, _)| end.is_some_and(|end| key.as_slice() >= end))
            .map(|(key, row)| (key.clone(), row.clone()))
            .collect()
    }
}

/// Hears of a row; says whether to go on.
pub(crate) type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> Result<bool, StoreError> + 'a;

/// Rows that are known among those of the database, which they take precedence over.
pub(crate) struct Merge<'a, 'v> {
    known: Peekable<IntoIter<(Vec<u8>, Row)>>,
    visit: &'a mut Visit<'v>,
    /// Whether the visitor has seen enough.
    pub(crate) ended: bool,
}

impl<'a, 'v> Merge<'a, 'v> {
    pub(crate) fn new(known: Rows, visit: &'a mut Visit<'v>) -> Self {
        Self { known: known.into_iter().peekable(), visit, ended: false }
    }

    /// Visits the next known row if `due` says so of its key; says whether it did and goes on.
    pub(crate) fn known_row(&mut self, due: impl Fn(&[u8]) -> bool) -> Result<bool, StoreError> {
        let next = if self.ended { None } else { self.known.next_if(|(key, _)| due(key)) };
        let Some((key, row)) = next else { return Ok(false) };
        if let Some(row) = row {
            self.ended = !(self.visit)(&key, &row)?;
        }
        Ok(!self.ended)
    }

    /// Visits a row of the database, after the known ones that come before it.
    pub(crate) fn stored(
        &mut self,
        key: &[u8],
        row: &[u8],
        before: impl Fn(&[u8]) -> bool,
    ) -> Result<bool, StoreError> {
        while self.known_row(&before)? {}
        if !self.ended {
            match self.known.next_if(|(known, _)| known == key) {
                Some((_, None)) => {}
                Some((_, Some(row))) => self.ended = !(self.visit)(key, &row)?,
                None => self.ended = !(self.visit)(key, row)?,
            }
        }
        Ok(!self.ended)
    }

    /// Visits the known rows that are left.
    pub(crate) fn rest(mut self) -> Result<(), StoreError> {
        while self.known_row(|_| true)? {}
        Ok(())
    }
}
