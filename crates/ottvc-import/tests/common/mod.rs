//! Samples, and what was read of them before.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

use std::path::PathBuf;

use ottvc_import::{Delivery, Mapping, read};
use ottvc_object::value::value_to_json;
use serde_json::{Value as Json, json};

pub(crate) fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/foreign").join(name)
}

pub(crate) fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(file(name)).unwrap()
}

/// The one document of a sample, its format found out.
pub(crate) fn one(sample: &str) -> Delivery {
    let mut deliveries = read(&bytes(sample), None).unwrap();
    assert_eq!(deliveries.len(), 1, "{sample}");
    deliveries.remove(0)
}

pub(crate) fn with_mapping(sample: &str, mapping: &str) -> Vec<Delivery> {
    let mapping = Mapping::parse(std::str::from_utf8(&bytes(mapping)).unwrap()).unwrap();
    read(&bytes(sample), Some(&mapping)).unwrap()
}

pub(crate) fn delivery_json(delivery: &Delivery) -> Json {
    let finding = |it: &ottvc_import::Finding| {
        json!([it.severity.word(), it.code, it.line, it.element, it.why])
    };
    json!({
        "path": delivery.path,
        "document": value_to_json(&delivery.document),
        "unmapped": delivery.unmapped,
        "findings": delivery.findings.iter().map(finding).collect::<Vec<Json>>(),
    })
}

/// Compares with the golden file of a sample; `OTTVC_GOLDEN=write` writes it instead.
pub(crate) fn golden(sample: &str, found: &Json) {
    golden_text(&format!("{sample}.golden.json"), &format!("{found:#}\n"));
}

/// Compares a text with a golden file, or writes it.
pub(crate) fn golden_text(name: &str, text: &str) {
    let path = file(name);
    if std::env::var_os("OTTVC_GOLDEN").is_some_and(|word| word == "write") {
        use std::io::Write;
        std::fs::File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
    }
    let before = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, before, "{name}");
}
