//! The memory backend keeps the promises of its seam.

use std::sync::Arc;

use ottvc_refs::memory::MemoryRefs;
use ottvc_testkit::refs::refs;

#[test]
fn memory_refs_are_a_ref_store() {
    refs(&|| Arc::new(MemoryRefs::default()));
}
