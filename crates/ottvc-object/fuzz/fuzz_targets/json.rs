//! Documents from hostile JSON: refused, or the same document again by JSON and by bytes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ottvc_object::Storable;
use ottvc_object::value::{Document, diff};

fuzz_target!(|text: &[u8]| {
    let Ok(document) = Document::from_json(text) else { return };
    let written = document.to_json_pretty();
    let again = Document::from_json(written.as_bytes()).expect("what was written reads back");
    assert_eq!(again, document);
    assert_eq!(again.to_json_pretty(), written);
    let object = document.to_object().expect("JSON this short makes no long object");
    assert_eq!(Document::from_object(&object).expect("its own bytes"), document);
    assert!(diff(Some(document.value()), Some(again.value())).is_empty());
});
