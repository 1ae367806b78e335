//! Public samples: what is read of each is in a golden file beside it, nothing of it is lost, and what is
//! written of it reads back as it was. `fixtures/foreign/README.md` says where they are from.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod common;

use std::collections::BTreeSet;

use common::{bytes, delivery_json, golden, golden_text, one};
use ottvc_import::{built_in, read, write};
use ottvc_object::field_path::FieldPath;
use ottvc_object::value::{Value, diff, value_to_json};
use serde_json::Value as Json;

/// Samples, the format of each, and what of them comes in other words.
const SAMPLES: &[(&str, &str, &[&str])] = &[
    ("dc/public/oai-getrecord.xml", "dc", &[]),
    ("ebucore/public/mediainfo-video.xml", "ebucore", &["1.8"]),
    ("pbcore/public/description_document.xml", "pbcore", &["Is Part Of", "G"]),
    ("pbcore/public/mediainfo-audio.xml", "pbcore", &[]),
    (
        "mec/public/MEC_v2.7.1_D.xml",
        "mec",
        &[
            "urn:eidr:10.5240/1C32-9E3E-2EA6-A115-FC43-U",
            "isepisodeof",
            "EIDR",
            "Actor",
            "Director",
            "Executive Producer",
        ],
    ),
];

#[test]
fn public_samples_are_read() {
    for (sample, format, _) in SAMPLES {
        let delivery = one(sample);
        assert_eq!(delivery.format, *format, "{sample}");
        golden(sample, &delivery_json(&delivery));
    }
}

/// All strings and numbers of a document, and the names of its entries.
fn said(value: &Json, found: &mut BTreeSet<String>) {
    match value {
        Json::String(text) => drop(found.insert(text.clone())),
        Json::Array(all) => all.iter().for_each(|value| said(value, found)),
        Json::Object(map) => map.iter().for_each(|(name, value)| {
            found.insert(name.clone());
            said(value, found);
        }),
        other => drop(found.insert(other.to_string())),
    }
}

#[test]
fn every_word_of_a_sample_is_in_its_document() {
    for (sample, _, other_words) in SAMPLES {
        let mut words = BTreeSet::new();
        said(&value_to_json(&one(sample).document), &mut words);
        let text = String::from_utf8(bytes(sample)).unwrap();
        // Of an envelope, only what is in it.
        let text = text.split_once("<oai_dc:dc").map_or(text.as_str(), |(_, inside)| inside);
        let text = text.split_once("</oai_dc:dc>").map_or(text, |(inside, _)| inside);
        let mut rest = text;
        while let Some((_, after)) = rest.split_once('>') {
            let (said, next) = after.split_once('<').unwrap_or((after, ""));
            let (tag, _) = next.split_once('>').unwrap_or_default();
            rest = next;
            let values = tag.split('"').skip(1).step_by(2);
            let is_space = |value: &&str| {
                let before = tag.split_once(&format!("=\"{value}\"")).map_or("", |(name, _)| name);
                let name = before.rsplit(char::is_whitespace).next().unwrap_or_default();
                name.starts_with("xmlns") || name.ends_with("schemaLocation")
            };
            let values = values.filter(|it| !tag.starts_with('?') && !is_space(it));
            for word in values.chain([said]).map(str::trim).filter(|it| !it.is_empty()) {
                let plain = word.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
                let known = words.contains(&plain) || other_words.contains(&word);
                assert!(known, "{sample}: `{word}` is lost");
            }
        }
    }
}

#[test]
fn what_is_written_of_a_sample_reads_back() {
    for (sample, format, _) in SAMPLES {
        let delivery = one(sample);
        let mapping = built_in(format).unwrap();
        let written = write(&delivery.document, &mapping).unwrap();
        golden_text(&format!("{sample}.export.xml"), &written.text);
        let again = read(written.text.as_bytes(), None).unwrap().remove(0);
        let changes = diff(Some(&delivery.document), Some(&again.document));
        let lost: Vec<&FieldPath> =
            changes.iter().filter(|change| change.old.is_some()).map(|it| &it.field).collect();
        assert_eq!(lost, written.unsaid.iter().collect::<Vec<_>>(), "{sample}");
        let unsaid: Vec<String> = written.unsaid.iter().map(ToString::to_string).collect();
        golden(&format!("{sample}.unsaid"), &unsaid.into());
        let new: Vec<&FieldPath> =
            changes.iter().filter(|change| change.old.is_none()).map(|it| &it.field).collect();
        assert!(new.is_empty(), "{sample} is said to say {new:?}");
    }
}

/// The same laws for samples that cannot be here: those of the folder `OTTVC_SAMPLES`, if there is one.
#[test]
fn samples_of_ones_own_read_back() {
    let Some(folder) = std::env::var_os("OTTVC_SAMPLES") else { return };
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.display();
        let deliveries = read(&std::fs::read(&path).unwrap(), None);
        let deliveries = deliveries.unwrap_or_else(|error| panic!("{name}: {error}"));
        for delivery in deliveries {
            println!("{name}: {:#}", delivery_json(&delivery));
            let mapping = built_in(&delivery.format).unwrap();
            let Ok(written) = write(&delivery.document, &mapping) else { continue };
            println!("{}\nunsaid: {:?}", written.text, written.unsaid);
            let again = read(written.text.as_bytes(), Some(&mapping)).unwrap().remove(0);
            let changes = diff(Some(&delivery.document), Some(&again.document));
            let new: Vec<_> = changes.iter().filter(|change| change.old.is_none()).collect();
            assert!(new.is_empty(), "{name} is said to say {new:?}");
        }
    }
}

const MEC: &str = "mec/public/MEC_v2.7.1_D.xml";

fn field(text: &str) -> FieldPath {
    text.parse().unwrap()
}

/// The people of a written MEC file: name, and name to sort by.
fn people(text: &str) -> Vec<(String, String)> {
    let inside = |text: &str, name: &str| {
        let (_, rest) = text.split_once(&format!("<md:{name}>"))?;
        Some(rest.split_once('<')?.0.to_owned())
    };
    let all = text.split("<md:People>").skip(1);
    all.map(|it| (inside(it, "DisplayName").unwrap(), inside(it, "SortName").unwrap())).collect()
}

#[test]
fn what_is_left_of_people_stays_theirs() {
    let mut document = one(MEC).document;
    let mec = built_in("mec").unwrap();
    let before = people(&write(&document, &mec).unwrap().text);
    assert_eq!(before.len(), 8);
    for (name, sort) in &before {
        let (family, given) = sort.split_once(", ").unwrap();
        assert_eq!(*name, format!("{given} {family}"));
    }
    // One who is gone takes along what only the delivered file said of them.
    let gone = field("/cast/[person=\"stoney emshwiller\",function=actor]");
    document.set(&gone, None).unwrap();
    let written = write(&document, &mec).unwrap();
    assert!(!written.text.contains("Emshwiller"), "{}", written.text);
    let after: Vec<_> = before.into_iter().filter(|(name, _)| !name.contains("Stoney")).collect();
    assert_eq!(people(&written.text), after);
    assert!(written.unsaid.iter().any(|field| field.to_string().starts_with("/custom/mec")));
}

#[test]
fn what_was_changed_is_said_once() {
    let sample = "pbcore/public/description_document.xml";
    let mut document = one(sample).document;
    document.set(&field("/titles/@und"), Some("Radio Bikini".into())).unwrap();
    document.set(&field("/identifiers/[scope=blerg]"), None).unwrap();
    let text = write(&document, &built_in("pbcore").unwrap()).unwrap().text;
    assert!(text.contains("titleType=\"Full\">Radio Bikini<"), "{text}");
    assert_eq!(text.matches("<pbcoreTitle").count(), 1);
    assert!(!text.contains("Foo123"));

    let mut document = one(MEC).document;
    document.set(&field("/ids/content"), Some("md:cid:org:x:1".into())).unwrap();
    let text = write(&document, &built_in("mec").unwrap()).unwrap().text;
    assert_eq!(text.matches("<mdmec:Basic").count(), 1, "{text}");
}

#[test]
fn each_language_keeps_its_own_genres() {
    let document = one(MEC).document;
    let text = write(&document, &built_in("mec").unwrap()).unwrap().text;
    assert_eq!(text.matches("source=\"Disney-BOLT\"").count(), 2, "{text}");
    let genres = document.get(&field("/genres")).cloned();
    assert_eq!(genres, Some(Value::set_of(vec!["Documentary".into()]).unwrap()));
}

#[test]
fn an_envelope_holds_one_record() {
    let text = String::from_utf8(bytes("dc/public/oai-getrecord.xml")).unwrap();
    let (head, rest) = text.split_once("<record>").unwrap();
    let (record, tail) = rest.split_once("</record>").unwrap();
    let two = format!("{head}<record>{record}</record><record>{record}</record>{tail}");
    let error = read(two.as_bytes(), None).unwrap_err();
    assert_eq!(error.code(), "import.malformed");
    assert!(error.to_string().contains("2 documents in one file"), "{error}");
    let list = text.replace("GetRecord>", "ListRecords>");
    let list = read(list.as_bytes(), None).unwrap().remove(0);
    assert_eq!(list.document, one("dc/public/oai-getrecord.xml").document);
    // Answers that hold no record are no delivery.
    for other in ["<Identify/>", "<error code='idDoesNotExist'/>"] {
        let text = format!("{}{other}</OAI-PMH>", head.split_once("<GetRecord>").unwrap().0);
        assert_eq!(read(text.as_bytes(), None).unwrap_err().code(), "import.malformed");
    }
}

#[test]
fn a_day_is_not_lost_to_its_year() {
    let xml = "<record xmlns:dc='http://purl.org/dc/elements/1.1/'>\
               <dc:date>2004-02-16T12:15:34Z</dc:date></record>";
    let delivery = read(xml.as_bytes(), None).unwrap().remove(0);
    let document = value_to_json(&delivery.document);
    let expected = serde_json::json!({
        "year": 2004, "custom": {"dc": {"dc:date": "2004-02-16T12:15:34Z"}}
    });
    assert_eq!(document, expected);
}
