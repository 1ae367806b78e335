//! Deliveries from hostile bytes: refused, or read into a document that can be stored and written.
//!
//! Behind a line `...` stands a mapping to read by; without one the format is found out.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ottvc_import::{Mapping, Scope, built_in, deliver, read, write};
use ottvc_object::value::Document;

fuzz_target!(|bytes: &[u8]| {
    let divider = bytes.windows(5).position(|window| window == b"\n...\n");
    let (bytes, mapping) = match divider {
        Some(at) => (&bytes[..at], std::str::from_utf8(&bytes[at + 5..]).ok()),
        None => (bytes, None),
    };
    let mapping = match mapping.map(Mapping::parse) {
        Some(Ok(mapping)) => Some(mapping),
        Some(Err(_)) => return,
        None => None,
    };
    let Ok(deliveries) = read(bytes, mapping.as_ref()) else { return };
    for delivery in deliveries {
        let document = Document::new(delivery.document.clone()).expect("within the limits");
        for scope in [Scope::Full, Scope::PerLocale, Scope::Patch] {
            let again = deliver(Some(document.value()), &delivery, scope).expect("sound values");
            assert_eq!(&again, document.value(), "the same delivery changes nothing");
        }
        for format in ["dc", "ebucore", "pbcore", "mec"] {
            let mapping = built_in(format).expect("built in");
            if let Ok(written) = write(document.value(), &mapping) {
                read(written.text.as_bytes(), Some(&mapping)).expect("what was written");
            }
        }
    }
});
