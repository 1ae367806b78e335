//! Refs and operations in memory: for tests, and for work that leaves nothing behind.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{Operation, RefError, RefName, RefStore, RefTransaction, RefValue};

/// Refs and operations in memory.
#[derive(Debug, Default)]
pub struct MemoryRefs {
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    refs: BTreeMap<RefName, RefValue>,
    /// Operation `n` is at `n - 1`.
    operations: Vec<Operation>,
}

impl MemoryRefs {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RefStore for MemoryRefs {
    fn get(&self, name: &RefName) -> Result<Option<RefValue>, RefError> {
        Ok(self.held().refs.get(name).cloned())
    }

    fn list(&self) -> Result<Vec<(RefName, RefValue)>, RefError> {
        let held = self.held();
        Ok(held.refs.iter().map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    fn transact(&self, transaction: &RefTransaction) -> Result<Operation, RefError> {
        let mut held = self.held();
        let same = |operation: &&Operation| operation.write_id == transaction.write_id;
        if let Some(operation) = held.operations.iter().find(same) {
            return Ok(operation.clone());
        }
        transaction.check(|name| Ok(held.refs.get(name).cloned()))?;
        for edit in &transaction.edits {
            match &edit.new {
                Some(value) => held.refs.insert(edit.name.clone(), value.clone()),
                None => held.refs.remove(&edit.name),
            };
        }
        let operation = transaction.operation(held.operations.len() as u64 + 1);
        held.operations.push(operation.clone());
        Ok(operation)
    }

    fn operation(&self, id: u64) -> Result<Option<Operation>, RefError> {
        let index = id.checked_sub(1).and_then(|index| usize::try_from(index).ok());
        Ok(index.and_then(|index| self.held().operations.get(index).cloned()))
    }

    fn operations(&self, before: Option<u64>, limit: usize) -> Result<Vec<Operation>, RefError> {
        let held = self.held();
        let newest = held.operations.iter().rev();
        let wanted = newest.filter(|operation| before.is_none_or(|before| operation.id < before));
        Ok(wanted.take(limit).cloned().collect())
    }
}
