//! What films say of themselves: put into a document by `probe`, and made again where a merge brings films
//! and documents together.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod common;

use common::Lab;
use common::film::Film;
use ottvc_repo::merging::MergeReport;
use ottvc_repo::{RepoError, Silent};
use serde_json::{Value as Json, json};

const SCHEMA: &str = "documents: {'*.meta.json': ott.edition/1}\n";
const BESIDE: &str = "feature.mp4.meta.json";

fn film(languages: &[&'static str]) -> Vec<u8> {
    let sounds = languages.iter().map(|language| (*language, vec![1, 2])).collect();
    Film { sounds, ..Film::new([1, 2]) }.mp4().bytes
}

/// A film, probed, and a branch `cut` on it.
fn lab() -> Lab {
    let lab = Lab::new();
    lab.write("schemas.yaml", SCHEMA).write("feature.mp4", film(&["eng"]));
    probed(&lab, "feature.mp4");
    lab.commit("a master");
    lab.branch("cut");
    lab
}

fn probed(lab: &Lab, given: &str) {
    lab.repo.add(lab.repo.root(), &[".".to_owned()], &Silent).unwrap();
    lab.repo.probe(lab.repo.root(), given, None).unwrap();
}

fn technical(lab: &Lab, rev: &str, document: &str) -> Json {
    serde_json::from_str(&lab.field(rev, document, "/technical").unwrap()).unwrap()
}

/// What a film of pictures and these languages says.
fn says(bytes: &[u8], languages: &[&str]) -> Json {
    let sounds = languages
        .iter()
        .map(|language| json!({ "kind": "audio", "codec": "opus", "language": language }));
    let picture = json!({ "kind": "video", "codec": "h264" });
    let tracks: Vec<Json> = [picture].into_iter().chain(sounds).collect();
    json!({ "bytes": bytes.len(), "container": "mp4", "tracks": tracks })
}

fn merge(lab: &Lab) -> MergeReport {
    lab.commit("theirs");
    lab.switch("main");
    lab.merge("cut")
}

#[test]
fn a_document_is_told_of_the_film_beside_it() {
    let lab = lab();
    assert_eq!(technical(&lab, "main", BESIDE), says(&film(&["eng"]), &["eng"]));
    // The edition's document is told of the one film of its folder, whatever else lies there.
    lab.write("notes.txt", "no film");
    probed(&lab, "edition.meta.json");
    lab.commit("an edition");
    assert_eq!(technical(&lab, "main", "edition.meta.json"), says(&film(&["eng"]), &["eng"]));
    let refused = |given: &str| lab.repo.probe(lab.repo.root(), given, None).unwrap_err();
    assert!(matches!(refused("notes.txt"), RepoError::NoFilm { .. }));
    // Which of two is not guessed.
    lab.write("trailer.mp4", film(&["fra"])).commit("a trailer");
    assert!(matches!(refused("edition.meta.json"), RepoError::NoFilm { .. }));
    probed(&lab, "trailer.mp4");
    // One member alone, where it is wanted.
    let field = Some("/facts/container".parse().unwrap());
    let (_, _, edit) = lab.repo.probe(lab.repo.root(), "trailer.mp4", field).unwrap();
    assert_eq!(edit.value, Some("mp4".into()));
}

#[test]
fn a_merge_makes_it_again_of_the_merged_film() {
    let lab = lab();
    let dubbed = film(&["eng", "deu"]);
    lab.write("feature.mp4", &dubbed);
    probed(&lab, "feature.mp4");
    lab.commit("a dub");
    lab.switch("cut");
    // The other side has only written down what it took to be so.
    let mut wrong = says(&film(&["eng"]), &["eng"]);
    wrong["tracks"][1]["language"] = json!("en");
    lab.write(BESIDE, json!({ "technical": wrong, "year": 2026 }).to_string());
    let report = merge(&lab);
    assert!(report.clean, "{report:?}");
    assert_eq!(technical(&lab, "main", BESIDE), says(&dubbed, &["eng", "deu"]));
    assert_eq!(lab.field("main", BESIDE, "/year").unwrap(), "2026");
}

#[test]
fn what_others_have_put_there_is_theirs() {
    let lab = lab();
    lab.write("feature.mp4", film(&["eng", "deu"]));
    probed(&lab, "feature.mp4");
    lab.commit("a dub");
    lab.switch("cut");
    let mut measured = says(&film(&["eng"]), &["eng"]);
    measured["loudness"] = json!(-23);
    lab.write(BESIDE, json!({ "technical": measured }).to_string());
    let report = merge(&lab);
    let fields: Vec<String> = report.conflicts.iter().filter_map(|it| it.field.clone()).collect();
    assert_eq!(fields, ["/technical"], "the loudness that somebody measured would be lost");
}

#[test]
fn nothing_is_made_of_films_in_conflict() {
    let lab = lab();
    lab.write("feature.mp4", film(&["eng", "deu"]));
    probed(&lab, "feature.mp4");
    lab.commit("a dub");
    lab.switch("cut");
    lab.write("feature.mp4", film(&["eng", "fra"]));
    probed(&lab, "feature.mp4");
    let report = merge(&lab);
    let places: Vec<(&str, Option<&str>)> =
        report.conflicts.iter().map(|it| (it.path.as_str(), it.field.as_deref())).collect();
    assert_eq!(places, [("feature.mp4", None), (BESIDE, Some("/technical"))]);
    // Once it is settled which film it is, it can be asked.
    lab.settle(Some("feature.mp4"), ottvc_merge::Choice::Theirs);
    lab.repo.probe(lab.repo.root(), "feature.mp4", None).unwrap();
    lab.finish();
    assert_eq!(technical(&lab, "main", BESIDE), says(&film(&["eng", "fra"]), &["eng", "fra"]));
}
