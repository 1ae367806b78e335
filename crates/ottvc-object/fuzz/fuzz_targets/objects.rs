//! Objects of every kind from hostile bytes: refused, or one spelling of what they say.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ottvc_object::codec::{Object, Storable};
use ottvc_object::manifest::Manifest;
use ottvc_object::tree::{Node, sequence::Page};
use ottvc_object::value::Document;
use ottvc_object::{Commit, Conflict, Entry, Kind};

/// Reads the object as this kind; what reads must write the same bytes.
fn read<T: Storable>(object: &Object) -> Option<T> {
    let value = T::from_object(object).ok()?;
    assert_eq!(&value.to_object().expect("what was read can be written"), object);
    Some(value)
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(object) = Object::from_bytes(bytes) else { return };
    match object.kind() {
        Kind::Document => {
            if let Some(document) = read::<Document>(&object) {
                let text = document.to_json_pretty();
                assert_eq!(Document::from_json(text.as_bytes()).expect("its own JSON"), document);
                for (path, conflict) in document.value().conflicts() {
                    assert_eq!(path.to_string().parse().ok(), Some(path));
                    conflict.core_id();
                }
            }
        }
        Kind::Tree => {
            if let Some(node) = read::<Node>(&object) {
                let _ = (node.totals(), node.count(), node.last_key());
            }
        }
        Kind::Commit => drop(read::<Commit>(&object)),
        Kind::Conflict => {
            if let Some(conflict) = read::<Conflict<Entry>>(&object) {
                conflict.core_id();
            }
        }
        Kind::Manifest => drop(read::<Manifest>(&object)),
        Kind::Page => {
            if let Some(page) = read::<Page>(&object) {
                let _ = (page.count(), page.bytes());
            }
        }
    }
});
