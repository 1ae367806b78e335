//! Changes to tables of the index, taken together or not at all.
//!
//! Kept in the bytes in which the journal has them: one change after the other, each its table (1
//! byte), 1 for a row that is put and 0 for one that is removed (1 byte), the lengths of key and value
//! (4 bytes each, little endian), key, value.

use ottvc_object::ObjectError;
use ottvc_store::StoreError;

use crate::db::Table;

/// What a change takes beside its key and value, in bytes.
const HEAD_BYTES: usize = 10;

/// Changes to any tables, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
}

/// One change: the row is put, or removed where `value` is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change<'a> {
    pub(crate) table: Table,
    pub(crate) key: &'a [u8],
    pub(crate) value: Option<&'a [u8]>,
}

impl Batch {
    pub(crate) fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.add(table, key, Some(value))
    }

    pub(crate) fn delete(&mut self, table: Table, key: &[u8]) -> Result<(), StoreError> {
        self.add(table, key, None)
    }

    pub(crate) fn add(
        &mut self,
        table: Table,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), StoreError> {
        let len = |bytes: &[u8]| {
            u32::try_from(bytes.len()).map_err(|_| {
                let (len, limit) = (bytes.len() as u64, u64::from(u32::MAX));
                StoreError::Object(ObjectError::TooLarge { what: "row", len, limit })
            })
        };
        let bytes = value.unwrap_or_default();
        let (key_len, value_len) = (len(key)?, len(bytes)?);
        self.bytes.extend([table as u8, u8::from(value.is_some())]);
        self.bytes.extend(key_len.to_le_bytes());
        self.bytes.extend(value_len.to_le_bytes());
        self.bytes.extend(key);
        self.bytes.extend(bytes);
        Ok(())
    }

    /// Takes over the changes of a batch that came later.
    pub(crate) fn absorb(&mut self, later: &Self) {
        self.bytes.extend(&later.bytes);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Length of its bytes.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Reads a batch; `None` if the bytes are none.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut left = bytes;
        while !left.is_empty() {
            (_, left) = split(left)?;
        }
        Some(Self { bytes: bytes.to_vec() })
    }

    /// The changes, in order.
    pub(crate) fn changes(&self) -> impl Iterator<Item = Change<'_>> {
        let mut left = self.bytes.as_slice();
        std::iter::from_fn(move || {
            let (change, rest) = split(left)?;
            left = rest;
            Some(change)
        })
    }
}

/// Splits the first change off.
fn split(bytes: &[u8]) -> Option<(Change<'_>, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<HEAD_BYTES>()?;
    let [table, is_put, head @ ..] = head;
    let (key_len, value_len) = head.split_first_chunk()?;
    let len = |bytes: [u8; 4]| usize::try_from(u32::from_le_bytes(bytes)).ok();
    let (key, rest) = rest.split_at_checked(len(*key_len)?)?;
    let (value, rest) = rest.split_at_checked(len(value_len.try_into().ok()?)?)?;
    let value = match (is_put, value) {
        (1, value) => Some(value),
        (0, []) => None,
        _ => return None,
    };
    Some((Change { table: Table::from_byte(*table)?, key, value }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_read_back_in_order_and_other_bytes_are_refused() {
        let mut batch = Batch::default();
        batch.put(Table::Refs, b"main", b"here").unwrap();
        batch.delete(Table::Meta, b"").unwrap();
        let bytes = batch.as_bytes().to_vec();
        let read = Batch::decode(&bytes).unwrap();
        let changes: Vec<_> = read.changes().collect();
        let value = Some(&b"here"[..]);
        assert_eq!(
            changes,
            [
                Change { table: Table::Refs, key: b"main", value },
                Change { table: Table::Meta, key: b"", value: None },
            ]
        );
        for len in (1..bytes.len()).filter(|len| *len != HEAD_BYTES + 8) {
            assert!(Batch::decode(&bytes[..len]).is_none(), "{len}");
        }
        for (at, bad) in [(0, 10), (1, 2), (1, 0), (2, 0xff)] {
            let mut bytes = bytes.clone();
            bytes[at] = bad;
            assert!(Batch::decode(&bytes).is_none(), "byte {at}");
        }
    }
}
