//! The groups unpacked last: neighbours are asked for one after the other.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use ottvc_store::pack::PackId;

/// How many are kept; a group is a little longer than [`ottvc_store::pack::group::GROUP_BYTES`].
const KEPT: usize = 32;

/// Raw bytes of groups, by place.
#[derive(Debug, Default)]
pub(crate) struct Groups(Mutex<VecDeque<(PackId, u64, Arc<[u8]>)>>);

impl Groups {
    /// The group whose record begins at `offset` of `pack`, if it was unpacked lately.
    pub(crate) fn get(&self, pack: PackId, offset: u64) -> Option<Arc<[u8]>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut newest_first = kept.iter().rev();
        let found = newest_first.find(|(id, at, _)| (*id, *at) == (pack, offset));
        found.map(|(_, _, group)| Arc::clone(group))
    }

    /// Keeps a group, in place of the one kept longest.
    pub(crate) fn put(&self, pack: PackId, offset: u64, group: Arc<[u8]>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            kept.pop_front();
        }
        kept.push_back((pack, offset, group));
    }
}
