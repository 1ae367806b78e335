//! Every format on a sample of its published shape: what is read is in a golden file beside the sample,
//! what is written is read back as what it was.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod common;

use common::{bytes, delivery_json, golden, golden_text, one, with_mapping};
use ottvc_import::{BUILT_IN, Mapping, built_in, read, write};
use ottvc_object::field_path::FieldPath;
use ottvc_object::value::{Value, value_to_json};

/// Samples, and the format each is seen to be.
const SAMPLES: &[(&str, &str)] = &[
    ("dc/northern-light.xml", "dc"),
    ("ebucore/northern-light.xml", "ebucore"),
    ("ebucore/parts-and-ratings.xml", "ebucore"),
    ("ebucore/northern-light.rdf", "ebucore-rdf"),
    ("ebucore/northern-light.jsonld", "ebucore-jsonld"),
    ("pbcore/northern-light.xml", "pbcore"),
    ("mec/northern-light.xml", "mec"),
    ("omc/northern-light.json", "omc"),
    ("imf/northern-light/CPL.xml", "imf"),
    ("imf/photon/CPL_test.xml", "imf"),
];

/// Formats that are written too.
const WRITTEN: &[&str] = &["dc", "ebucore", "pbcore", "mec"];

#[test]
fn every_built_in_mapping_is_sound() {
    for (format, text) in BUILT_IN {
        let mapping = Mapping::parse(text).unwrap();
        assert_eq!(mapping.format(), *format);
        assert_eq!(mapping.name(), format!("{format}/1"));
    }
}

#[test]
fn samples_are_told_apart_and_read() {
    for (sample, format) in SAMPLES {
        let delivery = one(sample);
        assert_eq!(delivery.format, *format, "{sample}");
        golden(sample, &delivery_json(&delivery));
        // Naming the format changes nothing.
        let mapping = built_in(format).unwrap();
        assert_eq!(read(&bytes(sample), Some(&mapping)).unwrap(), [delivery], "{sample}");
    }
}

#[test]
fn a_table_gives_a_document_for_each_title() {
    let deliveries = with_mapping("csv/catalogue.csv", "csv/mapping.json");
    let all: Vec<_> = deliveries.iter().map(delivery_json).collect();
    golden("csv/catalogue.csv", &all.into());
}

#[test]
fn what_is_written_reads_back() {
    for (sample, format) in SAMPLES.iter().filter(|(_, format)| WRITTEN.contains(format)) {
        let delivery = one(sample);
        let mapping = built_in(format).unwrap();
        let written = write(&delivery.document, &mapping).unwrap();
        golden_text(&format!("{sample}.export.xml"), &written.text);
        let again = read(written.text.as_bytes(), None).unwrap().remove(0);
        let changes = ottvc_object::value::diff(Some(&delivery.document), Some(&again.document));
        let lost: Vec<&FieldPath> =
            changes.iter().filter(|change| change.old.is_some()).map(|it| &it.field).collect();
        assert_eq!(lost, written.unsaid.iter().collect::<Vec<_>>(), "{sample}\n{}", written.text);
        golden(
            &format!("{sample}.unsaid"),
            &serde_json::json!(written.unsaid.iter().map(ToString::to_string).collect::<Vec<_>>()),
        );
        if written.unsaid.is_empty() {
            let twice = write(&again.document, &mapping).unwrap();
            assert_eq!(twice.text, written.text, "{sample}: writing is stable");
        }
    }
}

#[test]
fn ebucore_is_one_record_in_either_spelling() {
    let prefixed = one("ebucore/northern-light.xml");
    let default = one("ebucore/northern-light-default-namespace.xml");
    assert_eq!(prefixed.document, default.document);
    // As RDF it says less, and the same as far as it goes.
    for spelling in ["ebucore/northern-light.rdf", "ebucore/northern-light.jsonld"] {
        let other = one(spelling);
        for field in ["/titles", "/synopses", "/released", "/relations", "/chapters"] {
            let field: FieldPath = field.parse().unwrap();
            let said = other.document.get(&field);
            assert!(said.is_some(), "{spelling} {field}");
            assert_eq!(said, prefixed.document.get(&field), "{spelling} {field}");
        }
    }
}

#[test]
fn what_cannot_be_said_is_named() {
    let mapping = built_in("dc").unwrap();
    let mut document = Value::map([("year", Value::from(2024))]);
    let field = |text: &str| text.parse::<FieldPath>().unwrap();
    document.set(&field("/plays"), Some(7.into())).unwrap();
    document.set(&field("/titles/@en"), Some("  padded".into())).unwrap();
    document.set(&field("/keywords/{a}"), Some(true.into())).unwrap();
    document.set(&field("/keywords/{b}"), Some("\u{1}b".into())).unwrap_or_default();
    let written = write(&document, &mapping).unwrap();
    let unsaid: Vec<String> = written.unsaid.iter().map(ToString::to_string).collect();
    assert_eq!(unsaid, ["/plays", "/titles"], "{}", written.text);
    assert!(written.text.contains("<dc:date>2024</dc:date>"), "{}", written.text);
    assert_eq!(write(&document, &built_in("omc").unwrap()).unwrap_err().code(), "export.one_way");
    assert_eq!(write(&document, &built_in("imf").unwrap()).unwrap_err().code(), "export.one_way");
}

#[test]
fn one_format_is_written_as_another() {
    let mec = one("mec/northern-light.xml");
    let written = write(&mec.document, &built_in("ebucore").unwrap()).unwrap();
    golden_text("mec/northern-light.xml.ebucore.xml", &written.text);
    let back = read(written.text.as_bytes(), None).unwrap().remove(0);
    for same in ["/titles", "/runtime", "/released", "/genres", "/crew", "/ratings"] {
        let field: FieldPath = same.parse().unwrap();
        assert_eq!(back.document.get(&field), mec.document.get(&field), "{same}\n{}", written.text);
    }
    // MEC has artwork, and EBUCore has no place for it.
    assert!(written.unsaid.iter().any(|field| field.to_string() == "/artwork"));
}

#[test]
fn what_no_rule_takes_is_kept_whole() {
    let xml = r#"<record xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:x="urn:x">
        <dc:title>A</dc:title>
        <x:note a="1">one <b>bold</b> two</x:note>
        <x:rows><r>1</r><s/><r>2</r></x:rows>
        <dc:title>B</dc:title>
        <dc:date>soon</dc:date>
    </record>"#;
    let delivery = read(xml.as_bytes(), None).unwrap().remove(0);
    let custom = delivery.document.get(&"/custom/dc".parse().unwrap()).unwrap();
    let expected = serde_json::json!({
        "#order": ["{urn:x}note", "{urn:x}rows", "dc:title", "dc:date"],
        "{urn:x}note": {"@a": "1", "#content": ["one ", {"b": "bold"}, " two"]},
        "{urn:x}rows": {"#content": [{"r": "1"}, {"s": ""}, {"r": "2"}]},
        "dc:title": "B",
        "dc:date": "soon",
    });
    assert_eq!(value_to_json(custom), expected);
    let codes: Vec<_> = delivery.findings.iter().map(|it| (it.code, it.line)).collect();
    assert_eq!(codes, [("repeated", 5), ("unread", 6)]);
}

#[test]
fn mappings_are_read_strictly() {
    let text = |rule: &str| {
        format!(r#"{{"mapping": "x/1", "format": "x", "syntax": "csv", "rules": [{rule}]}}"#)
    };
    Mapping::parse(&text(r#"{"from": "a", "to": "/b"}"#)).unwrap();
    for (bad, why) in [
        (r#"{"from": "a", "to": "/b", "as": "colour"}"#, "unknown variant"),
        (r#"{"from": "a", "to": "/b", "form": "c"}"#, "unknown field"),
        (r#"{"from": "a", "from": "b", "to": "/b"}"#, "duplicate field"),
        (r#"{"from": "a[", "to": "/b"}"#, "name should stand"),
        (r#"{"from": "a", "to": "/"}"#, "does not name a field"),
        (r#"{"from": "a", "to": "/b/@en"}"#, "does not name a field"),
        (r#"{"from": "a", "to": "/b", "vocabulary": "v"}"#, "no vocabulary"),
        (r#"{"from": "a", "to": "/b", "holds": "items"}"#, "what is an `item`"),
        (
            r#"{"from": "a", "to": "/b", "holds": "items", "keys": ["k"], "item": {"v": "."}}"#,
            "`keys`",
        ),
        (r#"{"from": "a", "to": "/b", "holds": "localized", "as": "int"}"#, "under a language"),
        (r#"{"from": "a", "to": "/b", "split": ";"}"#, "only a set"),
        (r#"{"from": "a", "to": "/b", "locale": "en"}"#, "only what is localized"),
    ] {
        let error = Mapping::parse(&text(bad)).unwrap_err();
        assert_eq!(error.code(), "import.bad_mapping", "{bad}");
        assert!(error.to_string().contains(why), "{bad}: {error}");
    }
    let twice = r#"{"mapping": "x/1", "format": "x", "syntax": "csv", "rules": [],
        "vocabularies": {"v": {"words": {"a": "b", "a": "c"}}}}"#;
    assert!(Mapping::parse(twice).unwrap_err().to_string().contains("line 2: `a` comes twice"));
}

#[test]
fn what_stands_around_one_document_is_taken_off() {
    let document = String::from_utf8(bytes("pbcore/northern-light.xml")).unwrap();
    let (_, document) = document.split_once("?>").unwrap();
    let wrapped = |inside: &str, attribute: &str| {
        let space = "http://www.pbcore.org/PBCore/PBCoreNamespace.html";
        let text =
            format!("<pbcoreCollection xmlns='{space}'{attribute}>{inside}</pbcoreCollection>");
        read(text.as_bytes(), None)
    };
    let alone = one("pbcore/northern-light.xml").document;
    assert_eq!(wrapped(document, "").unwrap()[0].document, alone);
    for (inside, attribute, why) in [
        (format!("{document}{document}"), "", "2 documents"),
        (String::new(), "", "0 documents"),
        (document.to_owned(), " collectionTitle='c'", "of its own"),
    ] {
        let error = wrapped(&inside, attribute).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn several_rules_find_items_in_one_row() {
    let mapping = Mapping::parse(
        r#"{"mapping": "x/1", "format": "x", "syntax": "csv", "rules": [
            {"from": ".", "to": "/a", "holds": "items", "keys": ["k"], "item": {"k": "A"}},
            {"from": ".", "to": "/b", "holds": "items", "keys": ["k"], "item": {"k": "B"}}]}"#,
    )
    .unwrap();
    let delivery = read(b"A,B\n1,2\n", Some(&mapping)).unwrap().remove(0);
    assert!(delivery.document.get(&"/b/[k=\"2\"]".parse().unwrap()).is_some());
    assert_eq!((delivery.unmapped, delivery.findings), (0, Vec::new()));
}

#[test]
fn rows_that_contradict_each_other_refuse() {
    let mapping = Mapping::parse(
        r#"{"mapping": "x/1", "format": "x", "syntax": "csv", "delimiter": ";",
            "rules": [{"from": "Year", "to": "/year", "as": "int"}]}"#,
    )
    .unwrap();
    let read = |text: &str| read(text.as_bytes(), Some(&mapping));
    let good = read("Year;Note\n2024;a\n;b\n2024;c\n").unwrap().remove(0);
    assert!(good.findings.is_empty());
    let json = value_to_json(&good.document);
    assert_eq!(
        json,
        serde_json::json!({"year": 2024, "custom": {"x": [{"Note": "a"}, {"Note": "b"}, {"Note": "c"}]}})
    );
    let bad = read("Year\n2024\n2023\n").unwrap().remove(0);
    assert_eq!((bad.findings[0].code, bad.findings[0].line), ("contradiction", 3));
    for (text, line) in [("Year;Year\n", 1), ("Year;\n", 1), ("Year;a\n1\n", 2), ("", 1)] {
        let error = read(text).unwrap_err();
        assert_eq!((error.code(), error.line()), ("import.malformed", Some(line)), "{text:?}");
    }
}

#[test]
fn a_path_in_a_table_stays_in_its_folder() {
    let mapping = Mapping::parse(
        r#"{"mapping": "x/1", "format": "x", "syntax": "csv", "documents": "t/{id}.meta.json", "rules": []}"#,
    )
    .unwrap();
    for bad in ["..", "a/b", "a\\b"] {
        let error = read(format!("id\n{bad}\n").as_bytes(), Some(&mapping)).unwrap_err();
        assert_eq!(error.code(), "import.malformed", "{bad}");
    }
    assert_eq!(read(b"id\nx\n", Some(&mapping)).unwrap()[0].path.as_deref(), Some("t/x.meta.json"));
}
