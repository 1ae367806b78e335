//! Proofs: what they show without the repository, and that nothing about them can be changed unseen.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod common;

use std::sync::OnceLock;

use common::{Lab, noise};
use ottvc_object::RepoPath;
use ottvc_repo::RepoError;
use ottvc_repo::audit::proof::{Proof, Proved, Verdict};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

const LONG: usize = 90_000;

fn lab() -> Lab {
    let lab = Lab::new();
    for number in 0..300 {
        lab.write(&format!("Reels/take {number}.txt"), format!("{number}"));
    }
    lab.write("Reels/Feature.mp4", noise(1, LONG)).write("short.wav", noise(2, 3_000));
    lab.write("empty", "").write("edition.meta.json", r#"{"title": "Northern Light"}"#);
    lab.commit("one");
    lab
}

fn prove(lab: &Lab, path: &str, range: Option<&str>) -> Result<Proof, RepoError> {
    let range = range.map(|range| range.parse().unwrap());
    lab.repo.prove("main", &RepoPath::new(path).unwrap(), range)
}

/// A proof of a range, as text, and what it shows.
fn sample() -> &'static (String, Proved) {
    static SAMPLE: OnceLock<(String, Proved)> = OnceLock::new();
    SAMPLE.get_or_init(|| {
        let lab = lab();
        let proof = prove(&lab, "reels/feature.MP4", Some("40000-50000")).unwrap();
        let proved = proof.check().unwrap();
        (proof.to_json().unwrap(), proved)
    })
}

#[test]
fn a_proof_shows_what_the_commit_names() {
    let (text, proved) = sample();
    let file = noise(1, LONG);
    assert_eq!(proved.path, "Reels/Feature.mp4");
    assert_eq!((proved.kind, proved.bytes), ("media", LONG as u64));
    assert_eq!(proved.id, blake3::hash(&file).to_string());
    let chunks = proved.chunks.as_ref().unwrap();
    assert!(chunks.of > 16, "the list is paged");
    assert!(chunks.offset <= 40_000 && chunks.offset + chunks.length > 50_000);
    assert!(chunks.count < chunks.of);
    assert_eq!(Proof::from_json(text.as_bytes()).unwrap().to_json().unwrap(), *text);
}

#[test]
fn the_file_is_compared_whole_or_as_the_piece() {
    let (_, proved) = sample();
    let mut file = noise(1, LONG);
    let chunks = proved.chunks.as_ref().unwrap();
    let (from, len) =
        (usize::try_from(chunks.offset).unwrap(), usize::try_from(chunks.length).unwrap());
    let compare = |bytes: &[u8]| proved.compare(bytes, bytes.len() as u64).unwrap();
    assert_eq!(compare(&file).verdict, Verdict::Whole);
    assert!(compare(&file).holds());
    let piece = file[from..from + len].to_vec();
    assert_eq!(compare(&piece).verdict, Verdict::Piece);
    assert_eq!(compare(&piece[1..]).verdict, Verdict::Different);
    assert_eq!(compare(b"").verdict, Verdict::Different);
    let mut other = piece.clone();
    *other.last_mut().unwrap() ^= 1;
    let compared = compare(&other);
    assert!(compared.differs.unwrap().offset > chunks.offset && !compared.holds());
    // Before the piece: the content id is what tells.
    file[0] ^= 1;
    let compared = compare(&file);
    assert_eq!((compared.verdict, compared.differs), (Verdict::Different, None));
    file[0] ^= 1;
    file[from] ^= 1;
    assert_eq!(compare(&file).differs.unwrap().offset, chunks.offset);
}

#[test]
fn every_kind_of_entry_can_be_proved() {
    let lab = lab();
    let check = |path, range| prove(&lab, path, range).unwrap().check().unwrap();
    let short = check("short.wav", None);
    let chunks = short.chunks.as_ref().unwrap();
    assert_eq!((chunks.count, chunks.offset, chunks.length), (chunks.of, 0, 3_000));
    let whole = check("Reels/Feature.mp4", None).chunks.unwrap();
    assert_eq!((whole.count, whole.length), (whole.of, LONG as u64));
    let empty = check("empty", None);
    assert_eq!((empty.bytes, empty.chunks.as_ref().unwrap().of), (0, 0));
    assert_eq!(empty.compare(&b""[..], 0).unwrap().verdict, Verdict::Whole);
    let document = check("edition.meta.json", None);
    assert_eq!((document.kind, document.chunks.is_none()), ("document", true));
    let compare =
        |text: &str| document.compare(text.as_bytes(), text.len() as u64).unwrap().verdict;
    assert_eq!(compare("{ \"title\":\n\"Northern Light\" }"), Verdict::Whole);
    assert_eq!(compare("{\"title\": \"Southern Light\"}"), Verdict::Different);
    assert_eq!(compare("{"), Verdict::Different);
    let folder = check("Reels", None);
    assert_eq!(folder.kind, "tree");
    assert!(folder.compare(&b""[..], 0).is_err());

    assert!(matches!(prove(&lab, "", None), Err(RepoError::WrongKind { .. })));
    assert!(matches!(prove(&lab, "Reels", Some("0-1")), Err(RepoError::WrongKind { .. })));
    assert!(matches!(prove(&lab, "nowhere", None), Err(RepoError::NoPath { .. })));
    assert!(prove(&lab, "short.wav", Some("3000-")).is_err());
}

/// Every place of a JSON value, as a pointer.
fn places(value: &Json, at: &str, found: &mut Vec<String>) {
    match value {
        Json::Object(map) => map.iter().for_each(|(k, v)| places(v, &format!("{at}/{k}"), found)),
        Json::Array(list) => {
            list.iter().enumerate().for_each(|(k, v)| places(v, &format!("{at}/{k}"), found));
        }
        _ => {}
    }
    found.push(at.to_owned());
}

/// The proof changed is refused, or shows the very same.
fn unchanged_or_refused(text: &[u8]) {
    let Ok(proof) = Proof::from_json(text) else { return };
    if let Ok(shown) = proof.check() {
        assert_eq!(shown, sample().1, "{}", String::from_utf8_lossy(text));
    }
}

#[test]
fn no_member_can_be_dropped_doubled_swapped_or_replaced() {
    let (text, _) = sample();
    let whole: Json = serde_json::from_str(text).unwrap();
    let mut found = Vec::new();
    places(&whole, "", &mut found);
    let refused = |changed: &Json, what: &str| {
        let bytes = serde_json::to_vec(changed).unwrap();
        let broken = Proof::from_json(&bytes).map_or(true, |proof| proof.check().is_err());
        // The chunk part may be left out: what it showed is then not shown.
        assert!(broken || what == "/file null", "{what}");
    };
    for place in found.iter().filter(|place| !place.is_empty()) {
        for other in [json!(null), json!(0), json!(1), json!(""), json!("A"), json!([]), json!({})]
        {
            let mut changed = whole.clone();
            let there = changed.pointer_mut(place).unwrap();
            if *there != other {
                *there = other.clone();
                refused(&changed, &format!("{place} {other}"));
            }
        }
        let (parent, name) = place.rsplit_once('/').unwrap();
        let mut changed = whole.clone();
        match changed.pointer_mut(parent).unwrap() {
            Json::Object(map) => {
                map.remove(name);
                refused(&changed, &format!("{place} dropped"));
                let mut changed = whole.clone();
                let map = changed.pointer_mut(parent).unwrap().as_object_mut().unwrap();
                map.insert("surplus".into(), json!(1));
                refused(&changed, &format!("{parent} with a surplus member"));
            }
            Json::Array(list) => {
                let at: usize = name.parse().unwrap();
                let removed = list.remove(at);
                refused(&changed, &format!("{place} dropped"));
                let list = changed.pointer_mut(parent).unwrap().as_array_mut().unwrap();
                list.insert(at, removed.clone());
                list.push(removed);
                refused(&changed, &format!("{place} doubled"));
                let list = changed.pointer_mut(parent).unwrap().as_array_mut().unwrap();
                list.pop();
                if at > 0 {
                    list.swap(at, at - 1);
                    refused(&changed, &format!("{place} swapped"));
                }
            }
            _ => {}
        }
    }
}

#[test]
fn parts_of_another_proof_do_not_fit() {
    let (text, _) = sample();
    let lab = lab();
    let other = prove(&lab, "short.wav", Some("0-10")).unwrap().to_json().unwrap();
    let (mine, other): (Json, Json) =
        (serde_json::from_str(text).unwrap(), serde_json::from_str(&other).unwrap());
    for member in ["path", "nodes", "file"] {
        let mut mixed = mine.clone();
        mixed[member] = other[member].clone();
        let mixed = Proof::from_json(&serde_json::to_vec(&mixed).unwrap()).unwrap();
        mixed.check().unwrap_err();
    }
}

#[test]
fn what_is_no_proof_is_said_to_be_none() {
    for bytes in [&b""[..], b"{}", b"[]", b"null", b"\xff", b"{\"format\": \"ottvc proof\"}"] {
        assert_eq!(Proof::from_json(bytes).unwrap_err().code(), "proof.malformed");
    }
    let deep = "[".repeat(1 << 20);
    assert_eq!(Proof::from_json(deep.as_bytes()).unwrap_err().code(), "proof.malformed");
    let long = vec![b' '; (64 << 20) + 1];
    assert_eq!(Proof::from_json(&long).unwrap_err().code(), "object.too_large");
    let mut many: Json = serde_json::from_str(&sample().0).unwrap();
    many["nodes"] = json!(vec![many["nodes"][0].clone(); 5000]);
    let many = serde_json::to_vec(&many).unwrap();
    assert_eq!(Proof::from_json(&many).unwrap_err().code(), "object.too_large");
}

/// What one release wrote, every later one reads; and the page shows a proof that holds.
#[test]
fn the_example_of_the_page_holds() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/format-proof.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, example) = page.split_once("```json\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let proof = Proof::from_json(example.as_bytes()).unwrap();
    assert_eq!(proof.to_json().unwrap(), example);
    let proved = proof.check().unwrap();
    assert_eq!(proved.path, "reels/note.txt");
    assert!(proved.compare(&b"northern light\n"[..], 15).unwrap().holds());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any byte of the text, made any other byte.
    #[test]
    fn no_byte_can_be_changed_unseen(at in any::<prop::sample::Index>(), flip in 1..=255_u8) {
        let mut text = sample().0.clone().into_bytes();
        let at = at.index(text.len());
        text[at] ^= flip;
        unchanged_or_refused(&text);
    }

    /// Cut short, or with a piece repeated: never more is shown, and nothing panics.
    #[test]
    fn no_piece_can_be_cut_or_repeated_unseen(a in any::<prop::sample::Index>(), b in any::<prop::sample::Index>(), repeat: bool) {
        let text = sample().0.as_bytes();
        let (a, b) = (a.index(text.len()), b.index(text.len()));
        let (from, to) = (a.min(b), a.max(b));
        let middle = if repeat { [&text[from..to], &text[from..to]].concat() } else { Vec::new() };
        unchanged_or_refused(&[&text[..from], &middle, &text[to..]].concat());
    }

    /// A bit of the hashed bytes flipped, with the id made to fit: a forger's first try.
    #[test]
    fn a_forged_object_is_not_the_one_that_is_named(which in 0..4_usize, at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        use base64::Engine;
        use base64::engine::general_purpose::STANDARD;
        let mut proof: Json = serde_json::from_str(&sample().0).unwrap();
        let place = ["/commit", "/nodes/0", "/file/manifest", "/file/pages/0"][which];
        let part = proof.pointer_mut(place).unwrap();
        let mut bytes = STANDARD.decode(part["bytes"].as_str().unwrap()).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(object) = ottvc_object::Object::from_bytes(bytes.as_slice()) {
            part["id"] = json!(object.id().to_string());
        }
        part["bytes"] = json!(STANDARD.encode(&bytes));
        let shown = Proof::from_json(&serde_json::to_vec(&proof).unwrap()).unwrap().check();
        if let Ok(shown) = shown {
            // Another commit, or another manifest, says so by its id.
            let (was, now) = (&sample().1, &shown);
            let manifest = |it: &Proved| it.chunks.as_ref().unwrap().manifest.clone();
            prop_assert!(now.commit.id != was.commit.id || manifest(now) != manifest(was));
            prop_assert!(which == 0 || now.commit == was.commit && now.id == was.id);
        }
    }
}
