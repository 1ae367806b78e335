//! The memory backends keep the promises of their seams.

use std::sync::Arc;

use ottvc_store::memory::{MemoryStore, MemoryWorkspace};
use ottvc_store::{DamagedThing, ObjectStore, Portion, StoreError};
use ottvc_testkit::collect::collect;
use ottvc_testkit::objects::{chunk, objects, store};
use ottvc_testkit::workspace::workspace;

#[test]
fn a_memory_store_is_an_object_store() {
    objects(&|| Arc::new(MemoryStore::default()));
}

#[test]
fn a_memory_store_can_be_collected() {
    collect(&|| Arc::new(MemoryStore::default()));
}

#[test]
fn a_memory_workspace_is_a_workspace_store() {
    workspace(&|| Arc::new(MemoryWorkspace::default()));
}

#[test]
fn a_damaged_chunk_in_memory_heals_when_it_is_stored_again() {
    let memory = MemoryStore::default();
    let chunk = chunk(b"a chunk");
    store(&memory, &[], std::slice::from_ref(&chunk));
    let thing = DamagedThing::Chunk(chunk.id);
    memory.damage(thing);
    let read = memory.read_chunks(&[chunk.id], &mut |_, _| Ok(()));
    assert!(matches!(read, Err(StoreError::DamagedChunk { .. })));
    assert_eq!(
        memory.check(Portion::Everything, &mut |_, _| ()).unwrap().damage[0].what,
        Some(thing)
    );
    store(&memory, &[], std::slice::from_ref(&chunk));
    memory.read_chunks(&[chunk.id], &mut |_, _| Ok(())).unwrap();
}
