//! IMF packages: what a composition says, and bytes that are not what the packing list says.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod common;

use std::collections::BTreeMap;
use std::io::Read;

use common::{bytes, delivery_json, golden};
use ottvc_import::{Delivery, Package, Severity, read_package};

/// A package in memory.
struct Files(BTreeMap<String, Vec<u8>>);

impl Package for Files {
    fn open(&mut self, path: &str) -> std::io::Result<Option<Box<dyn Read + '_>>> {
        Ok(self.0.get(path).map(|bytes| Box::new(bytes.as_slice()) as Box<dyn Read>))
    }
}

fn files() -> Files {
    let names = ["ASSETMAP.xml", "PKL.xml", "CPL.xml", "video.mxf", "audio.mxf"];
    let read = |name: &str| (name.to_owned(), bytes(&format!("imf/northern-light/{name}")));
    Files(names.into_iter().map(read).collect())
}

/// Reads the package after a change to it.
fn changed(change: impl FnOnce(&mut BTreeMap<String, Vec<u8>>)) -> Vec<Delivery> {
    let mut package = files();
    change(&mut package.0);
    read_package(&mut package).unwrap()
}

fn errors(deliveries: &[Delivery]) -> Vec<&'static str> {
    let found = deliveries.iter().flat_map(|delivery| &delivery.findings);
    found.filter(|it| it.severity == Severity::Error).map(|it| it.code).collect()
}

fn edit(files: &mut BTreeMap<String, Vec<u8>>, name: &str, from: &str, to: &str) {
    let text = String::from_utf8(files[name].clone()).unwrap();
    assert!(text.contains(from), "{name} has no {from}");
    files.insert(name.to_owned(), text.replacen(from, to, 1).into_bytes());
}

#[test]
fn a_package_gives_its_composition() {
    let deliveries = changed(|_| {});
    assert_eq!(deliveries.len(), 1);
    assert_eq!(errors(&deliveries), [""; 0]);
    golden("imf/northern-light", &delivery_json(&deliveries[0]));
}

#[test]
fn bytes_that_are_not_what_the_packing_list_says_refuse() {
    let other = |files: &mut BTreeMap<String, Vec<u8>>| {
        files.get_mut("video.mxf").unwrap()[0] ^= 1;
    };
    assert_eq!(errors(&changed(other)), ["hash"]);
    let longer = |files: &mut BTreeMap<String, Vec<u8>>| {
        files.get_mut("video.mxf").unwrap().push(0);
    };
    assert_eq!(errors(&changed(longer)), ["size"]);
    let gone = |files: &mut BTreeMap<String, Vec<u8>>| {
        files.remove("audio.mxf");
    };
    assert_eq!(errors(&changed(gone)), ["missing"]);
    // A playlist that was changed is not read at all.
    let retitled = changed(|files| edit(files, "CPL.xml", "Northern Light<", "Northern Lights<"));
    assert_eq!(errors(&retitled), ["size"]);
    assert_eq!(retitled[0].document, ottvc_object::Document::empty().into_value());
    let no_list = |files: &mut BTreeMap<String, Vec<u8>>| {
        files.remove("PKL.xml");
    };
    assert_eq!(errors(&changed(no_list)), ["missing"]);
    let sha256 =
        changed(|files| edit(files, "PKL.xml", "2000/09/xmldsig#sha1", "2001/04/xmlenc#sha256"));
    assert_eq!(errors(&sha256), ["algorithm"]);
}

/// The lists and the playlist of a published package, without its essence.
#[test]
fn a_published_playlist_has_the_bytes_its_packing_list_says() {
    let names = ["ASSETMAP.xml", "PKL_test.xml", "CPL_test.xml"];
    let read = |name: &str| (name.to_owned(), bytes(&format!("imf/photon/{name}")));
    let mut package = Files(names.into_iter().map(read).collect());
    let deliveries = read_package(&mut package).unwrap();
    // What is missing are the two track files; the playlist was read, so its hash is right.
    assert_eq!(errors(&deliveries), ["missing", "missing"]);
    let duration: ottvc_object::field_path::FieldPath =
        "/tracks/[track=3e304882-bbd6-4574-a1c1-afc3cd727f6f]/duration".parse().unwrap();
    assert_eq!(deliveries[0].document.get(&duration), Some(&24.into()));
}

/// A published package that names its faults itself: its essence is not here, and its playlist was edited
/// after it was packed.
#[test]
fn a_published_package_that_was_edited_refuses() {
    let opl = "OPL_af6b288d-27e8-441f-9a36-2c4ab9025d19.xml";
    let names = ["ASSETMAP.xml", "PKL_4eadbcac-d960-49c8-ac07-87ef43448954.xml", opl];
    let read = |name: &str| (name.to_owned(), bytes(&format!("imf/photon-isxd/{name}")));
    let package = || Files(names.into_iter().map(read).collect());
    let told = |mut package: Files| -> Vec<(&str, String)> {
        let deliveries = read_package(&mut package).unwrap();
        let found = deliveries.into_iter().flat_map(|delivery| delivery.findings);
        found.map(|it| (it.code, it.why)).collect()
    };
    let gone = |name: &str| ("missing", format!("`{name}` is not there"));
    // The output profile list is there, and has the bytes that the packing list says.
    let (mxf, cpl) = ("ISXD_TEST_1_01_dovi_isxd.mxf", "CPL_ISXD_TEST_1.xml");
    assert_eq!(told(package()), [gone(mxf), gone(cpl)]);
    let mut edited = package();
    edited.0.insert(cpl.to_owned(), vec![b' '; 18415]);
    let size = format!("`{cpl}` has 18415 bytes, and should have 18354");
    assert_eq!(told(edited), [gone(mxf), ("size", size)]);
    let mut edited = package();
    edited.0.insert(cpl.to_owned(), vec![b' '; 18354]);
    assert!(told(edited)[1].1.contains("and should have KZ1jNEvIrxkLM9wsWWCrGcdtxNk="));
    let mut edited = package();
    edited.0.get_mut(opl).unwrap().push(b'\n');
    assert_eq!(told(edited)[1].0, "size");
}

#[test]
fn what_belongs_to_a_composition_is_written_down_with_it() {
    use base64::Engine;
    use sha1::Digest;
    let cpl = String::from_utf8(files().0["CPL.xml"].clone()).unwrap();
    let (_, rest) = cpl.split_once("<Id>").unwrap();
    let cpl = rest.split_once("</Id>").unwrap().0.to_owned();
    let other = "urn:uuid:d7ab9e8a-15b3-2e11-15d9-fc30b26e924e";
    let sidecar = |id: &str, cpl: &str| {
        format!(
            "<SidecarAsset><Id>urn:uuid:{id}</Id><AssociatedCPLList><CPLId>{cpl}</CPLId>\
             </AssociatedCPLList></SidecarAsset>"
        )
    };
    let map = format!(
        "<SidecarCompositionMap xmlns='http://www.smpte-ra.org/ns/2067-9/2018'>\
         <Id>urn:uuid:1</Id><SidecarAssetList>{}{}</SidecarAssetList></SidecarCompositionMap>",
        sidecar("aa", &cpl),
        sidecar("bb", other)
    );
    let profiles = |id: &str, cpl: &str| {
        format!(
            "<OutputProfileList xmlns='http://www.smpte-ra.org/schemas/2067-100/2014'>\
             <Id>urn:uuid:{id}</Id><CompositionPlaylistId>{cpl}</CompositionPlaylistId>\
             </OutputProfileList>"
        )
    };
    let deliveries = changed(|files| {
        let texts = [("2", map), ("3", profiles("3", &cpl)), ("4", profiles("4", other))];
        for (id, text) in texts {
            let hash = base64::engine::general_purpose::STANDARD.encode(sha1::Sha1::digest(&text));
            let packed = format!(
                "<Asset><Id>urn:uuid:{id}</Id><Hash>{hash}</Hash><Size>{}</Size>\
                 <Type>text/xml</Type></Asset></AssetList>",
                text.len()
            );
            edit(files, "PKL.xml", "</AssetList>", &packed);
            let placed = format!(
                "<Asset><Id>urn:uuid:{id}</Id><ChunkList><Chunk><Path>{id}.xml</Path></Chunk>\
                 </ChunkList></Asset></AssetList>"
            );
            edit(files, "ASSETMAP.xml", "</AssetList>", &placed);
            files.insert(format!("{id}.xml"), text.into_bytes());
        }
    });
    assert_eq!(errors(&deliveries), [""; 0]);
    let said = |field: &str| {
        let value = deliveries[0].document.get(&field.parse().unwrap()).unwrap();
        ottvc_object::value::value_to_json(value).to_string()
    };
    assert_eq!(said("/package/sidecars"), r#"{"$set":["aa"]}"#);
    assert_eq!(said("/package/output_profiles"), r#"{"$set":["3"]}"#);
}

/// Playlists that are wrong are read as far as they go, or refused by their line.
#[test]
fn a_wrong_playlist_is_read_or_refused() {
    let good = String::from_utf8(bytes("imf/photon/CPL_test.xml")).unwrap();
    let change = |from: &str, to: &str| {
        assert!(good.contains(from), "no {from}");
        ottvc_import::read(good.replace(from, to).as_bytes(), None)
    };
    let title = |read: Result<Vec<Delivery>, ottvc_import::ImportError>| {
        let document = read.unwrap().remove(0).document;
        document.get(&"/titles".parse().unwrap()).is_some()
    };
    // Numbers that are none, or of which nothing is left; tracks and descriptors that are missing.
    assert!(title(change("<EditRate>", "<EditRate>0 ")));
    assert!(title(change("<IntrinsicDuration>", "<IntrinsicDuration>-")));
    assert!(title(change("<IntrinsicDuration>", "<IntrinsicDuration>99999999999999999999")));
    assert!(title(change("<TrackId>", "<Track>x</Track><TrackId>")));
    assert!(title(change("SegmentList>", "Segments>")));
    assert!(title(change("EssenceDescriptorList>", "Descriptors>")));
    assert_eq!(change("</CompositionPlaylist>", "").unwrap_err().code(), "import.malformed");
    let other = change("http://www.smpte-ra.org/schemas/2067-3/", "http://example.org/");
    assert_eq!(other.unwrap_err().code(), "import.unknown_format");
}

#[test]
fn a_package_reads_no_file_outside_it() {
    let out = changed(|files| edit(files, "ASSETMAP.xml", ">video.mxf<", ">../../video.mxf<"));
    assert_eq!(errors(&out), ["outside", "missing"]);
}

#[test]
fn what_is_no_package_is_said_to_be_none() {
    for (name, text) in [("other", "<x/>"), ("ASSETMAP.xml", "<x/>")] {
        let mut package = Files([(name.to_owned(), text.into())].into());
        assert_eq!(read_package(&mut package).unwrap_err().code(), "import.unknown_format");
    }
    let mut package = Files([("ASSETMAP.xml".to_owned(), b"<x".to_vec())].into());
    assert_eq!(read_package(&mut package).unwrap_err().code(), "import.malformed");
}
