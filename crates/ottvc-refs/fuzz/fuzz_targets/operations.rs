//! Operations, refs and names from hostile bytes: refused, or written as they were read.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ottvc_object::codec::{decode_body, encode_body};
use ottvc_refs::memory::MemoryRefs;
use ottvc_refs::{Operation, RefName, RefStore, RefTransaction, RefValue};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(value) = decode_body::<RefValue>(bytes, "ref") {
        assert_eq!(encode_body(&value).expect("any ref can be written"), bytes);
    }
    if let Ok(operation) = decode_body::<Operation>(bytes, "operation") {
        assert_eq!(encode_body(&operation).expect("any operation can be written"), bytes);
        let transaction = RefTransaction {
            write_id: operation.write_id,
            edits: operation.edits,
            command: operation.command,
            summary: operation.summary,
            actor: operation.actor,
            time: operation.time,
            undoes: operation.undoes,
        };
        let refs = MemoryRefs::default();
        if let Ok(first) = refs.transact(&transaction) {
            assert_eq!(refs.transact(&transaction).expect("the same answer"), first);
        }
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for name in [RefName::branch(text), RefName::tag(text)].into_iter().flatten() {
        let bytes = encode_body(&name).expect("any name can be written");
        assert_eq!(decode_body::<RefName>(&bytes, "name").ok().as_ref(), Some(&name));
        assert_eq!(name.short(), text);
    }
});
