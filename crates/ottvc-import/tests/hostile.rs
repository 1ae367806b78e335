//! Hostile deliveries: refused at their line, or read into a document that can be stored.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod common;

use common::bytes;
use ottvc_import::{
    MAX_ATTRIBUTES, MAX_DEPTH, MAX_LEVELS, MAX_NAME, MAX_PARTS, Mapping, Scope, built_in, deliver,
    read, write,
};
use ottvc_object::value::Document;
use proptest::prelude::*;

const SAMPLES: &[&str] = &[
    "dc/northern-light.xml",
    "ebucore/northern-light.xml",
    "pbcore/northern-light.xml",
    "mec/northern-light.xml",
    "omc/northern-light.json",
    "imf/northern-light/CPL.xml",
    "csv/catalogue.csv",
];

fn refused(xml: &str) -> (&'static str, Option<u64>) {
    let error = read(xml.as_bytes(), Some(&built_in("dc").unwrap())).unwrap_err();
    (error.code(), error.line())
}

#[test]
fn nothing_is_expanded_or_fetched() {
    let bomb = "<!DOCTYPE dc [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;\">]>\n<dc>&b;</dc>";
    assert_eq!(refused(bomb), ("import.malformed", Some(1)));
    let external = "\n<!DOCTYPE dc SYSTEM \"file:///etc/passwd\"><dc/>";
    assert_eq!(refused(external), ("import.malformed", Some(2)));
    assert_eq!(refused("<dc>\n&b;</dc>"), ("import.malformed", Some(2)));
    assert_eq!(refused("<dc a='&b;'/>"), ("import.malformed", Some(1)));
}

#[test]
fn what_is_no_xml_is_refused_at_its_line() {
    for (xml, line) in [
        ("", 1),
        ("<dc>\n<a>\n</dc>", 3),
        ("<dc>\n<a>", 2),
        ("<dc/>\n<dc/>", 2),
        ("<dc a='1' a='2'/>", 1),
        ("<dc>\n<x:a/></dc>", 2),
        ("<dc/>text", 1),
        ("<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><dc/>", 1),
        ("<other/>", 1),
    ] {
        assert_eq!(refused(xml), ("import.malformed", Some(line)), "{xml:?}");
    }
    let latin = read(b"<dc>\n\xe9</dc>", Some(&built_in("dc").unwrap())).unwrap_err();
    assert_eq!((latin.code(), latin.line()), ("import.malformed", Some(2)));
}

#[test]
fn limits_are_held_and_what_is_at_them_can_be_stored() {
    let nested = |depth: usize| {
        let inner: String = (1..depth).map(|_| "<a b='1'>x").collect();
        let close: String = (1..depth).map(|_| "</a>").collect();
        format!("<dc>{inner}{close}</dc>")
    };
    let deep = read(nested(MAX_DEPTH).as_bytes(), None).unwrap().remove(0);
    Document::new(deep.document).unwrap();
    assert_eq!(refused(&nested(MAX_DEPTH + 1)).0, "import.too_large");

    let levels = |depth: usize| {
        let (open, close) = ("[".repeat(depth - 3), "]".repeat(depth - 3));
        format!("{{\"entityType\": \"x\", \"a\": {open}1{close}}}")
    };
    let omc = built_in("omc").unwrap();
    let deep = read(levels(MAX_LEVELS).as_bytes(), Some(&omc)).unwrap().remove(0);
    Document::new(deep.document).unwrap();
    let error = read(levels(MAX_LEVELS + 2).as_bytes(), Some(&omc)).unwrap_err();
    assert_eq!(error.code(), "import.too_large", "{error}");
    let abyss = format!("{}1", "[".repeat(1 << 20));
    assert!(read(abyss.as_bytes(), Some(&omc)).is_err());

    // Mixed content to the bottom: taken once, not once for each level.
    let mixed = nested(MAX_DEPTH).replacen("x", &"x<b/>".repeat(2000), 1);
    Document::new(read(mixed.as_bytes(), None).unwrap().remove(0).document).unwrap();
    let many = format!("<dc>{}</dc>", "<a/>".repeat(usize::try_from(MAX_PARTS).unwrap()));
    assert_eq!(refused(&many).0, "import.too_large");
    let attributes: String = (0..=MAX_ATTRIBUTES).map(|n| format!(" a{n}=''")).collect();
    assert_eq!(refused(&format!("<dc{attributes}/>")).0, "import.too_large");
    let long = "a".repeat(MAX_NAME + 1);
    assert_eq!(refused(&format!("<dc><{long}/></dc>")).0, "import.malformed");
    let twice = read(b"{\"entityType\": 1, \"entityType\": 2}", Some(&omc)).unwrap_err();
    assert!(twice.to_string().contains("comes twice"), "{twice}");
}

/// A sample with some of its bytes changed, cut out or put in twice.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let edits = prop::collection::vec((any::<prop::sample::Index>(), 0..4_u8, any::<u8>()), 1..12);
    (0..SAMPLES.len(), edits).prop_map(|(sample, edits)| {
        let mut text = bytes(SAMPLES[sample]);
        for (at, how, byte) in edits {
            let at = at.index(text.len());
            match how {
                0 => text[at] = byte,
                1 => text[at] = b"<>&;\"'/=[]{}:,\n0"[usize::from(byte) % 16],
                2 => {
                    let end = (at + usize::from(byte)).min(text.len());
                    text.drain(at..end);
                }
                _ => {
                    let end = (at + usize::from(byte)).min(text.len());
                    let again: Vec<u8> = text[at..end].to_vec();
                    text.splice(at..at, again);
                }
            }
            if text.is_empty() {
                text.push(b' ');
            }
        }
        text
    })
}

proptest! {
    /// Whatever is read can be stored, says the same when read again, and can be written.
    #[test]
    fn a_mutated_sample_is_refused_or_read_whole(text in mutated()) {
        let table = bytes("csv/mapping.json");
        let table = Mapping::parse(std::str::from_utf8(&table).unwrap()).unwrap();
        for mapping in [None, Some(&table)] {
            let Ok(deliveries) = read(&text, mapping) else { continue };
            prop_assert_eq!(&deliveries, &read(&text, mapping).unwrap());
            for delivery in deliveries {
                let document = Document::new(delivery.document.clone()).unwrap();
                for scope in [Scope::Full, Scope::PerLocale, Scope::Patch] {
                    let again = deliver(Some(document.value()), &delivery, scope).unwrap();
                    prop_assert_eq!(&again, document.value(), "delivered again it changes nothing");
                }
                for format in ["dc", "ebucore", "pbcore", "mec"] {
                    if let Ok(written) = write(document.value(), &built_in(format).unwrap()) {
                        prop_assert!(read(written.text.as_bytes(), None).is_ok());
                    }
                }
            }
        }
    }
}
