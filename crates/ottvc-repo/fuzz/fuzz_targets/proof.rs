//! Proofs from hostile documents: refused, or read, checked in finite time, and written as they were
//! read.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ottvc_repo::audit::proof::Proof;

fuzz_target!(|bytes: &[u8]| {
    let Ok(proof) = Proof::from_json(bytes) else { return };
    let shown = proof.check().ok();
    let text = proof.to_json().expect("it was read from as much");
    let again = Proof::from_json(text.as_bytes()).expect("its own text");
    assert_eq!(again.to_json().expect("once more"), text);
    assert_eq!(again.check().ok(), shown, "the same proof shows the same");
});
