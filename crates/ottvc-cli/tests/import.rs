//! Foreign metadata: `import`, `export`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod common;

use common::Lab;

/// Puts a sample beside the working copy; returns its path.
fn sample(lab: &Lab, name: &str) -> String {
    let from = format!("{}/../../fixtures/foreign/{name}", env!("CARGO_MANIFEST_DIR"));
    let to = lab.beside.join(name.rsplit('/').next().unwrap());
    if std::path::Path::new(&from).is_dir() {
        std::fs::create_dir_all(&to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    } else {
        std::fs::copy(from, &to).unwrap();
    }
    to.to_str().unwrap().to_owned()
}

fn edit(path: &str, from: &str, to: &str) {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(from));
    let mut file = std::fs::File::create(path).unwrap();
    std::io::Write::write_all(&mut file, text.replacen(from, to, 1).as_bytes()).unwrap();
}

#[test]
fn files_of_several_formats_need_a_name_for_who_delivers() {
    let lab = Lab::film();
    let pbcore = sample(&lab, "pbcore/northern-light.xml");
    std::fs::rename(&pbcore, lab.beside.join("pbcore.xml")).unwrap();
    let dc = sample(&lab, "dc/northern-light.xml");
    let both = format!("{dc} {}", lab.beside.join("pbcore.xml").display());
    let refused = lab.run(&format!("import {both}"));
    assert_eq!(refused.status, 2, "{refused}");
    assert!(refused.err.contains("several formats: dc, pbcore"), "{refused}");
    assert!(refused.err.contains("--source NAME"), "{refused}");
    assert!(!lab.ok("branch").contains("source/"));
    let named = lab.run(&format!("import {both} --source acme --dry-run"));
    assert_ne!(named.status, 2, "{named}");
}

/// What a source takes back and another still says stays, and that is told.
#[test]
fn what_another_source_says_is_kept() {
    let lab = Lab::film();
    let file = sample(&lab, "dc/northern-light.xml");
    lab.ok(&format!("import {file} --source acme"));
    lab.ok(&format!("import {file} --source byte"));
    let text = std::fs::read_to_string(&file).unwrap();
    let left: Vec<&str> = text.lines().filter(|line| !line.contains("dc:title")).collect();
    lab.write("../northern-light.xml", left.join("\n"));
    let told = lab.run(&format!("import {file} --source byte"));
    insta::assert_snapshot!(told.err, @"
    note: /titles is left out, and stays: source/acme has it
    note: line 22, dcterms:spatial: `Lofoten` is no country or area; it is kept aside
    ");
}

#[test]
fn a_delivery_comes_in_is_delivered_again_and_is_taken_back() {
    let lab = Lab::film();
    let file = sample(&lab, "dc/northern-light.xml");
    let before = lab.history();
    let dry = lab.run(&format!("import {file} --source acme --dry-run"));
    assert_eq!(dry.status, 0, "{dry}");
    assert!(dry.out.contains("/runtime  + \"PT1H34M\""), "{dry}");
    assert!(dry.out.contains("3 elements kept under /custom/dc"), "{dry}");
    assert!(dry.out.ends_with("source/acme would change 13 fields\n"), "{dry}");
    assert_eq!(
        dry.err,
        "note: line 24, dcterms:spatial: `Lofoten` is no country or area; it is kept aside\n"
    );
    assert_eq!(lab.history(), before, "a dry run changes nothing");

    let done = lab.run(&format!("import {file} --source acme"));
    assert!(done.out.contains("imported source/acme as "), "{done}");
    assert_eq!(lab.ok("meta get main /titles/@de"), "\"Nordlicht\"\n");
    assert_eq!(lab.ok("meta get main /rating"), "\"12\"\n", "what was there stays");
    assert!(lab.ok("status").contains("nothing"), "{}", lab.ok("status"));

    edit(&file, "  <dc:title xml:lang=\"de\">Nordlicht</dc:title>\n", "");
    edit(&file, "PT1H34M", "PT1H35M");
    let again = lab.run(&format!("import {file} --source acme"));
    assert!(again.out.contains("/titles/@de  - \"Nordlicht\""), "{again}");
    assert!(again.out.contains("/runtime  \"PT1H34M\" -> \"PT1H35M\""), "{again}");
    assert!(lab.run(&format!("import {file} --source acme")).out.contains("says nothing new"));
    lab.ok("undo");
    assert_eq!(lab.ok("meta get main /titles/@de"), "\"Nordlicht\"\n");
    lab.ok("undo");
    assert_eq!(lab.history(), before);
}

#[test]
fn what_both_changed_is_left_to_be_settled() {
    let lab = Lab::film();
    let file = sample(&lab, "dc/northern-light.xml");
    lab.ok(&format!("import {file} --source acme"));
    lab.ok("meta set edition.meta.json '/runtime=\"PT2H\"'");
    lab.ok("commit -m 'a longer cut'");
    edit(&file, "PT1H34M", "PT1H35M");
    let left = lab.run(&format!("import {file} --source acme"));
    assert_eq!(left.status, 4, "{left}");
    assert!(left.out.contains("importing source/acme: "), "{left}");
    assert!(left.out.contains("1 conflict"), "{left}");
    lab.ok("resolve edition.meta.json --take theirs");
    lab.ok("commit");
    assert_eq!(lab.ok("meta get main /runtime"), "\"PT1H35M\"\n");
}

#[test]
fn a_table_needs_a_mapping_and_fills_documents() {
    let lab = Lab::film();
    let (table, mapping) = (sample(&lab, "csv/catalogue.csv"), sample(&lab, "csv/mapping.json"));
    lab.refused(2, "import.unknown_format", &format!("import {table}"));
    let (status, report) = lab.json(&format!("import {table} --mapping {mapping} --to catalogue"));
    assert_eq!(status, 0);
    assert_eq!(report["lineage"], "source/catalogue");
    let paths: Vec<&str> = report["documents"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["path"].as_str().unwrap())
        .collect();
    assert_eq!(
        paths,
        [
            "catalogue/titles/NL-0001/edition.meta.json",
            "catalogue/titles/NL-0002/edition.meta.json"
        ]
    );
    edit(&mapping, "\"as\": \"int\"", "\"as\": \"colour\"");
    let refused =
        lab.refused(2, "import.bad_mapping", &format!("import {table} --mapping {mapping}"));
    assert!(refused.contains("line 16"), "{refused}");
}

#[test]
fn a_package_is_taken_only_with_its_bytes() {
    let lab = Lab::film();
    let package = sample(&lab, "imf/northern-light");
    lab.ok(&format!("import {package}"));
    assert_eq!(lab.ok("meta get main /edit_rate"), "\"24000/1001\"\n");
    edit(&format!("{package}/video.mxf"), "48", "49");
    let before = lab.history();
    let refused = lab.refused(7, "import.refused", &format!("import {package}/ASSETMAP.xml"));
    assert!(refused.contains("`video.mxf` has the SHA-1"), "{refused}");
    assert_eq!(lab.history(), before);
}

#[test]
fn a_package_leads_nowhere_else_and_waits_for_nothing() {
    use std::os::unix::fs::symlink;
    let lab = Lab::film();
    let package = sample(&lab, "imf/northern-light");
    let before = lab.history();
    let playlist = std::path::Path::new(&package).join("CPL.xml");
    let outside = lab.beside.join("outside.xml");
    std::fs::rename(&playlist, &outside).unwrap();
    symlink(&outside, &playlist).unwrap();
    let refused = lab.refused(7, "import.refused", &format!("import {package}"));
    assert!(refused.contains("`CPL.xml` cannot be read"), "{refused}");
    // A link that stays inside is one.
    let inside = playlist.with_file_name("renamed.xml");
    std::fs::rename(&outside, &inside).unwrap();
    std::fs::remove_file(&playlist).unwrap();
    symlink("renamed.xml", &playlist).unwrap();
    lab.ok(&format!("import {package} --dry-run"));

    std::fs::remove_file(&playlist).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&playlist).status().unwrap();
    assert!(made.success());
    let refused = lab.refused(7, "import.refused", &format!("import {package}"));
    assert!(refused.contains("it is no file of bytes"), "{refused}");
    let map = playlist.with_file_name("ASSETMAP.xml");
    std::fs::rename(&playlist, &map).unwrap();
    lab.refused(1, "import.malformed", &format!("import {package}"));
    assert_eq!(lab.history(), before);
}

#[test]
fn a_document_goes_out_and_what_cannot_be_said_is_named() {
    let lab = Lab::film();
    lab.ok(&format!("import {} --source studio", sample(&lab, "mec/northern-light.xml")));
    let written = lab.run("export main --format ebucore");
    assert_eq!(written.status, 0);
    assert!(written.out.contains("<dc:title xml:lang=\"de-DE\">Nordlicht</dc:title>"), "{written}");
    assert!(written.err.contains("note: ebucore does not say `/artwork`\n"), "{written}");
    let (_, answer) = lab.json("export main:edition.meta.json --format mec");
    assert_eq!(answer["unsaid"], serde_json::json!(["/rating", "/title"]));
    lab.refused(2, "export.one_way", "export main --format omc");
    lab.refused(2, "import.unknown_format", "export main --format mpeg7");
    lab.refused(3, "path.not_found", "export main:other.meta.json --format dc");
}

#[test]
fn what_cannot_be_read_is_named_by_its_line() {
    let lab = Lab::film();
    let file = sample(&lab, "dc/northern-light.xml");
    edit(&file, "</dc:rights>", "</dc:right>");
    let refused = lab.refused(1, "import.malformed", &format!("import {file}"));
    assert!(refused.contains("line 25"), "{refused}");
    let (_, problem) = lab.json(&format!("import {file}"));
    assert_eq!(problem["line"], 25);
    lab.refused(3, "input.not_found", "import nowhere.xml");
    lab.refused(2, "argument.usage", &format!("import {file} --scope some"));
}
