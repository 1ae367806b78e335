//! Hostile deliveries: refused at their line, or read into a document that can be stored.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod common;

use std::collections::BTreeMap;
use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common::bytes;
use ottvc_import::{
    ImportError, MAX_ATTRIBUTES, MAX_DEPTH, MAX_LEVELS, MAX_NAME, MAX_PACKING_LISTS, MAX_PARTS,
    MAX_PLAYLISTS, MAX_STEPS, Mapping, Package, Scope, built_in, deliver, read, read_package,
    write,
};
use ottvc_object::value::Document;
use proptest::prelude::*;
use sha1::{Digest, Sha1};

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

/// A package in memory, that counts how often each file is opened.
#[derive(Default)]
struct Files {
    bytes: BTreeMap<String, Vec<u8>>,
    opened: BTreeMap<String, usize>,
}

impl Package for Files {
    fn open(&mut self, path: &str) -> std::io::Result<Option<Box<dyn Read + '_>>> {
        *self.opened.entry(path.to_owned()).or_default() += 1;
        Ok(self.bytes.get(path).map(|bytes| Box::new(bytes.as_slice()) as Box<dyn Read>))
    }
}

impl Files {
    /// Puts a file in; returns how a packing list names it.
    fn packed(&mut self, id: &str, path: &str, text: &str) -> String {
        let hash = STANDARD.encode(Sha1::digest(text));
        self.bytes.insert(path.to_owned(), text.into());
        format!(
            "<Asset><Id>{id}</Id><Hash>{hash}</Hash><Size>{}</Size><Type>text/xml</Type></Asset>",
            text.len()
        )
    }

    fn list(&mut self, path: &str, assets: &str) {
        let text = format!("<PackingList><AssetList>{assets}</AssetList></PackingList>");
        self.bytes.insert(path.to_owned(), text.into());
    }

    /// Maps ids to paths; those of packing lists begin with `pkl`.
    fn map<'t>(&mut self, places: impl IntoIterator<Item = (String, &'t str)>) {
        let asset = |(id, path): (String, &str)| {
            let list = if id.starts_with("pkl") { "<PackingList/>" } else { "" };
            format!(
                "<Asset><Id>{id}</Id>{list}<ChunkList><Chunk><Path>{path}</Path></Chunk></ChunkList>\
                 </Asset>"
            )
        };
        let assets: String = places.into_iter().map(asset).collect();
        let text = format!("<AssetMap><AssetList>{assets}</AssetList></AssetMap>");
        self.bytes.insert("ASSETMAP.xml".to_owned(), text.into());
    }
}

fn playlist(id: usize) -> String {
    let space = "http://www.smpte-ra.org/schemas/2067-3/2016";
    format!("<CompositionPlaylist xmlns='{space}'><Id>urn:uuid:{id}</Id></CompositionPlaylist>")
}

fn codes(package: &mut Files) -> Vec<&'static str> {
    let deliveries = read_package(package).unwrap();
    deliveries.iter().flat_map(|it| &it.findings).map(|finding| finding.code).collect()
}

fn too_large(result: Result<Vec<ottvc_import::Delivery>, ImportError>, most: u64) {
    match result {
        Err(ImportError::TooLarge { limit, .. }) => assert_eq!(limit, most),
        other => panic!("{:?}", other.map(|them| them.len())),
    }
}

#[test]
fn a_file_of_a_package_is_read_once_whatever_lists_it() {
    // Many ids for one path.
    let mut package = Files::default();
    let assets: String =
        (0..40).map(|n| package.packed(&n.to_string(), "CPL.xml", &playlist(1))).collect();
    package.list("PKL.xml", &assets);
    let ids = (0..40).map(|n| (n.to_string(), "CPL.xml"));
    package.map([("pkl".to_owned(), "PKL.xml")].into_iter().chain(ids));
    let found = codes(&mut package);
    assert_eq!(found.iter().filter(|code| **code == "repeated").count(), 39, "{found:?}");
    assert_eq!(package.opened["CPL.xml"], 1);

    // One id packed many times, and one packing list mapped many times.
    let mut package = Files::default();
    let asset = package.packed("1", "CPL.xml", &playlist(1));
    package.list("PKL.xml", &asset.repeat(40));
    let lists = (0..40).map(|_| ("pkl".to_owned(), "PKL.xml"));
    package.map(lists.chain([("1".to_owned(), "CPL.xml")]));
    let found = codes(&mut package);
    assert_eq!(found.iter().filter(|code| **code == "repeated").count(), 78, "{found:?}");
    assert_eq!((package.opened["PKL.xml"], package.opened["CPL.xml"]), (1, 1));
}

#[test]
fn a_package_has_so_many_lists_and_playlists() {
    let names: Vec<String> = (0..=MAX_PACKING_LISTS).map(|n| format!("pkl{n}")).collect();
    let mut package = Files::default();
    package.map(names.iter().map(|name| (name.clone(), name.as_str())));
    too_large(read_package(&mut package), MAX_PACKING_LISTS as u64);

    let of = |count: usize, comment: &str| {
        let mut package = Files::default();
        let names: Vec<String> = (0..count).map(|n| format!("cpl{n}.xml")).collect();
        let numbered = names.iter().enumerate();
        let assets: String = numbered
            .map(|(n, name)| package.packed(name, name, &(playlist(n) + comment)))
            .collect();
        package.list("PKL.xml", &assets);
        let files = names.iter().map(|name| (name.clone(), name.as_str()));
        package.map([("pkl".to_owned(), "PKL.xml")].into_iter().chain(files));
        package
    };
    assert_eq!(read_package(&mut of(MAX_PLAYLISTS, "")).unwrap().len(), MAX_PLAYLISTS);
    too_large(read_package(&mut of(MAX_PLAYLISTS + 1, "")), MAX_PLAYLISTS as u64);
    let big = format!("<!--{}-->", " ".repeat(15 << 20));
    too_large(read_package(&mut of(3, &big)), 32 << 20);
}

#[test]
fn many_playlists_of_many_files_are_not_written_down() {
    let mut package = Files::default();
    let names: Vec<String> = (0..MAX_PLAYLISTS).map(|n| format!("cpl{n}")).collect();
    let mut assets = String::new();
    for (n, name) in names.iter().enumerate() {
        assets += &package.packed(name, name, &playlist(n));
    }
    let hash = "x".repeat(1 << 20);
    assets += &format!("<Asset><Id>long</Id><Hash>{hash}</Hash></Asset>");
    package.list("PKL.xml", &assets);
    let files = names.iter().map(|name| (name.clone(), name.as_str()));
    package.map([("pkl".to_owned(), "PKL.xml")].into_iter().chain(files));
    too_large(read_package(&mut package), 64 << 20);
}

#[test]
fn what_each_part_looks_up_in_all_others_ends() {
    let mec = |basic: &str| {
        let space = |name: &str| format!("http://www.movielabs.com/schema/{name}");
        let (mdmec, md) = (space("mdmec/v2.6"), space("md/v2.6/md"));
        format!(
            "<mdmec:CoreMetadata xmlns:mdmec='{mdmec}' xmlns:md='{md}'><mdmec:Basic>{basic}\
             </mdmec:Basic></mdmec:CoreMetadata>"
        )
    };
    let people = |count: usize| {
        let job = "<md:Job><md:JobFunction>Actor</md:JobFunction></md:Job>".repeat(count);
        let name = "<md:Name><md:DisplayName>x</md:DisplayName></md:Name>".repeat(count);
        mec(&format!("<md:People>{job}{name}</md:People>"))
    };
    read(people(100).as_bytes(), None).unwrap();
    too_large(read(people(4000).as_bytes(), None), MAX_STEPS);

    // Many parts that share one long text: a language that is none, or is none that is known.
    let shared = |item: &str| {
        let (tag, items) = ("x".repeat(4 << 20), item.repeat(10_000));
        mec(&format!("<md:LocalizedInfo language='{tag}'>{items}</md:LocalizedInfo>"))
    };
    too_large(read(shared("<md:ArtReference>a</md:ArtReference>").as_bytes(), None), MAX_STEPS);
    too_large(read(shared("<md:Summary190>a</md:Summary190>").as_bytes(), None), MAX_STEPS);

    // One item said again and again, each time with one more character.
    let job = |n: usize| {
        let character = format!("<md:Character>{n}</md:Character>");
        format!("<md:Job><md:JobFunction>Actor</md:JobFunction>{character}</md:Job>")
    };
    let jobs: String = (0..20_000).map(job).collect();
    let name = "<md:Name><md:DisplayName>x</md:DisplayName></md:Name>";
    let many = mec(&format!("<md:People>{name}{jobs}</md:People>"));
    too_large(read(many.as_bytes(), None), MAX_STEPS);

    // As many as a file may have, each by itself, is no fault.
    let dc: String =
        (0..40_000).map(|n| format!("<dc:contributor>P{n}</dc:contributor>")).collect();
    let dc = format!("<metadata xmlns:dc='http://purl.org/dc/elements/1.1/'>{dc}</metadata>");
    assert_eq!(read(dc.as_bytes(), None).unwrap()[0].unmapped, 0);
}

#[test]
fn a_header_is_counted_before_its_names_are_compared() {
    let table = bytes("csv/mapping.json");
    let table = Mapping::parse(std::str::from_utf8(&table).unwrap()).unwrap();
    let header = |count: u64| (0..count).map(|n| n.to_string()).collect::<Vec<String>>().join(",");
    too_large(read((header(MAX_PARTS + 1) + ",1").as_bytes(), Some(&table)), MAX_PARTS);
    let start = std::time::Instant::now();
    let twice = read((header(MAX_PARTS - 1) + ",0").as_bytes(), Some(&table)).unwrap_err();
    assert!(twice.to_string().contains("two columns are called `0`"), "{twice}");
    // Each name compared with all before it takes a minute and more.
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}
