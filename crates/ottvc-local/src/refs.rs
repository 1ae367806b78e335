//! The ref store of a store on disk.
//!
//! A transaction appends its operation to a pack, so that refs can be made again without the index,
//! and then moves refs in the one synced batch of a barrier.

use std::sync::Arc;

use ottvc_object::codec::{decode_body, encode_body};
use ottvc_refs::{Operation, RefError, RefKind, RefName, RefStore, RefTransaction, RefValue};
use ottvc_store::StoreError;
use ottvc_store::pack::{Class, RecordKind};

use crate::batch::Batch;
use crate::db::Table;
use crate::rows::Rows;
use crate::shared::Shared;
use crate::workspace;

/// Refs and operations on disk.
#[derive(Debug)]
pub(crate) struct LocalRefs(pub(crate) Arc<Shared>);

/// The key of a ref's row: its kind's number, then its name; sorts as [`RefName`] does.
pub(crate) fn ref_key(name: &RefName) -> Vec<u8> {
    let kind = match name.kind() {
        RefKind::Branch => 0,
        RefKind::Tag => 1,
    };
    let mut key = vec![kind];
    key.extend(name.short().as_bytes());
    key
}

/// The name that a ref's row is under.
pub(crate) fn ref_name(key: &[u8]) -> Option<RefName> {
    let (kind, name) = key.split_first()?;
    let name = std::str::from_utf8(name).ok()?;
    match kind {
        0 => RefName::branch(name).ok(),
        1 => RefName::tag(name).ok(),
        _ => None,
    }
}

/// The row of [`Table::Meta`] that holds the greatest time of any operation.
pub(crate) const YOUNGEST_KEY: &[u8] = b"youngest";

/// Adds the rows of an operation and its edits to a batch; `youngest` is the greatest time of any
/// operation, this one included.
pub(crate) fn write_operation(
    batch: &mut Batch,
    operation: &Operation,
    bytes: &[u8],
    youngest: i64,
) -> Result<(), StoreError> {
    let number = operation.id.to_be_bytes();
    batch.put(Table::Operations, &number, bytes)?;
    batch.put(Table::Writes, &operation.write_id, &number)?;
    batch.put(Table::Meta, YOUNGEST_KEY, &youngest.to_le_bytes())?;
    for edit in &operation.edits {
        match &edit.new {
            Some(value) => batch.put(Table::Refs, &ref_key(&edit.name), &encode_body(value)?)?,
            None => batch.delete(Table::Refs, &ref_key(&edit.name))?,
        }
    }
    Ok(())
}

/// Puts a store's error into the words of this seam; the cause stays a [`StoreError`].
fn failed(action: &'static str) -> impl Fn(StoreError) -> RefError {
    move |error| match error {
        StoreError::ReadOnly => RefError::ReadOnly,
        error => RefError::Backend { action, source: error.into() },
    }
}

impl LocalRefs {
    fn lookup(&self, name: &RefName) -> Result<Option<RefValue>, RefError> {
        let row = self.0.db.get(Table::Refs, &ref_key(name)).map_err(failed("read a ref"))?;
        row.map(|row| decode_body(&row, "ref").map_err(RefError::Object)).transpose()
    }

    /// The number of the newest operation; 0 before the first.
    fn newest(&self) -> Result<u64, StoreError> {
        let mut newest = 0;
        self.0.db.scan_back(Table::Operations, None, &mut |key, _| {
            newest = operation_number(key).ok_or_else(|| self.0.bad_row("operation"))?;
            Ok(false)
        })?;
        Ok(newest)
    }

    /// The greatest time of any operation; the least there is before the first.
    fn youngest(&self) -> Result<i64, StoreError> {
        let Some(row) = self.0.db.get(Table::Meta, YOUNGEST_KEY)? else { return Ok(i64::MIN) };
        let time = <[u8; 8]>::try_from(&*row).map(i64::from_le_bytes);
        time.map_err(|_| self.0.bad_row("time"))
    }

    /// The operation that a transaction with this id left before, if any.
    fn earlier(&self, write_id: &[u8]) -> Result<Option<Operation>, RefError> {
        let row = self.0.db.get(Table::Writes, write_id).map_err(failed("read an operation"))?;
        match row.as_deref().and_then(operation_number) {
            Some(number) => self.operation(number),
            None => Ok(None),
        }
    }
}

/// The number that an operation's row is under.
fn operation_number(key: &[u8]) -> Option<u64> {
    key.try_into().ok().map(u64::from_be_bytes)
}

impl RefStore for LocalRefs {
    fn get(&self, name: &RefName) -> Result<Option<RefValue>, RefError> {
        self.lookup(name)
    }

    fn list(&self) -> Result<Vec<(RefName, RefValue)>, RefError> {
        let mut refs = Vec::new();
        let scanned = self.0.db.scan(Table::Refs, &[], &mut |key, row| {
            let name = ref_name(key).ok_or_else(|| self.0.bad_row("ref"))?;
            refs.push((name, decode_body(row, "ref")?));
            Ok(true)
        });
        scanned.map_err(failed("list refs"))?;
        Ok(refs)
    }

    fn transact(&self, transaction: &RefTransaction) -> Result<Operation, RefError> {
        const ACTION: &str = "move refs";
        let shared = &*self.0;
        // Held to the end: the refs checked are the refs moved.
        let mut ledger = shared.writing().map_err(failed(ACTION))?;
        let youngest = self.youngest().map_err(failed(ACTION))?;
        // One younger than all there are repeats none, and most are: their ids are not looked for.
        if transaction.time <= youngest
            && let Some(operation) = self.earlier(&transaction.write_id)?
        {
            return Ok(operation);
        }
        transaction.check(|name| self.lookup(name))?;
        let operation = transaction.operation(self.newest().map_err(failed(ACTION))? + 1);
        let bytes = encode_body(&operation)?;
        let kind = RecordKind::Operation;
        let id = kind.id_of(&bytes).unwrap_or_default();
        let staged = ledger.staged.take();
        let moved = (|| {
            let saved = match &staged {
                Some(staged) => Some(workspace::prepare(shared, &mut ledger, staged)?),
                None => None,
            };
            // Last before the barrier: an operation that was not taken must not lie in a pack for a
            // later barrier to acknowledge.
            ledger.append_raw(shared, &mut Rows::default(), Class::Objects, kind, id, &bytes)?;
            ledger.commit(shared, |batch| {
                saved.map_or(Ok(()), |saved| saved.write(batch))?;
                write_operation(batch, &operation, &bytes, youngest.max(operation.time))
            })
        })();
        if moved.is_err() {
            ledger.staged = staged;
        }
        moved.map_err(failed(ACTION))?;
        Ok(operation)
    }

    fn operation(&self, id: u64) -> Result<Option<Operation>, RefError> {
        let row = self.0.db.get(Table::Operations, &id.to_be_bytes());
        let row = row.map_err(failed("read an operation"))?;
        row.map(|row| decode_body(&row, "operation").map_err(RefError::Object)).transpose()
    }

    fn operations(&self, before: Option<u64>, limit: usize) -> Result<Vec<Operation>, RefError> {
        let mut operations = Vec::new();
        let end = before.map(u64::to_be_bytes);
        let end = end.as_ref().map(<[u8; 8]>::as_slice);
        let scanned = self.0.db.scan_back(Table::Operations, end, &mut |_, row| {
            if operations.len() >= limit {
                return Ok(false);
            }
            operations.push(decode_body(row, "operation")?);
            Ok(true)
        });
        scanned.map_err(failed("list operations"))?;
        Ok(operations)
    }
}
