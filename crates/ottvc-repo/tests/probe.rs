//! What films say of themselves: put into a document by `probe`, and made again where a merge brings films
//! and documents together.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod common;

use common::Lab;
use common::film::Film;
use ottvc_merge::Choice;
use ottvc_repo::derived::{FilmRow, NoFilm};
use ottvc_repo::merging::{MergeReport, MergeRequest};
use ottvc_repo::record::CommitOptions;
use ottvc_repo::restoring::RestoreOptions;
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
    assert_eq!(
        refused("edition.meta.json").to_string(),
        "`edition.meta.json` tells of one film, and there are 2 in its folder: `feature.mp4`, `trailer.mp4`"
    );
    probed(&lab, "trailer.mp4");
    // One member alone, where it is wanted.
    let field = Some("/facts/container".parse().unwrap());
    let (_, _, edits) = lab.repo.probe(lab.repo.root(), "trailer.mp4", field).unwrap();
    assert_eq!(edits[0].value, Some("mp4".into()));
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
    lab.settle(Some("feature.mp4"), Choice::Theirs);
    lab.repo.probe(lab.repo.root(), "feature.mp4", None).unwrap();
    lab.finish();
    assert_eq!(technical(&lab, "main", BESIDE), says(&film(&["eng", "fra"]), &["eng", "fra"]));
}

/// A film of other sound on `cut`, and of it nothing said.
fn dubbed_in_silence(lab: &Lab) -> Vec<u8> {
    let dubbed = film(&["eng", "deu"]);
    lab.switch("cut");
    lab.write("feature.mp4", &dubbed).commit("a dub");
    dubbed
}

#[test]
fn a_merge_that_brings_a_film_brings_what_it_says() {
    let lab = lab();
    let dubbed = dubbed_in_silence(&lab);
    lab.switch("main");
    let report = lab.merge("cut");
    assert!(report.clean, "{report:?}");
    assert_eq!(technical(&lab, "main", BESIDE), says(&dubbed, &["eng", "deu"]));
    let told: Vec<(&str, Option<&str>, &str)> = report
        .decisions
        .iter()
        .map(|it| (it.path.as_str(), it.field.as_deref(), it.rule.as_str()))
        .collect();
    assert_eq!(told, [(BESIDE, Some("/technical"), "derived(probe)")]);
    assert!(lab.repo.status(&Silent).unwrap().clean);
}

#[test]
fn so_does_one_into_a_document_that_was_edited_meanwhile() {
    let lab = lab();
    let dubbed = dubbed_in_silence(&lab);
    lab.switch("main");
    let document = json!({ "technical": says(&film(&["eng"]), &["eng"]), "year": 2026 });
    lab.write(BESIDE, document.to_string()).commit("a year");
    // The edition's document, in the same folder.
    probed(&lab, "edition.meta.json");
    lab.commit("an edition");
    assert!(lab.merge("cut").clean);
    for document in [BESIDE, "edition.meta.json"] {
        assert_eq!(technical(&lab, "main", document), says(&dubbed, &["eng", "deu"]), "{document}");
    }
    assert_eq!(lab.field("main", BESIDE, "/year").unwrap(), "2026");
}

#[test]
fn what_was_put_right_by_hand_stays_while_the_film_does() {
    let lab = lab();
    let mut right = says(&film(&["eng"]), &["eng"]);
    right["tracks"][1]["language"] = json!("en-AU");
    lab.write(BESIDE, json!({ "technical": right }).to_string()).commit("put right");
    lab.switch("cut");
    let document = json!({ "technical": says(&film(&["eng"]), &["eng"]), "year": 2026 });
    lab.write(BESIDE, document.to_string()).write("notes.txt", "no film");
    assert!(merge(&lab).clean);
    assert_eq!(technical(&lab, "main", BESIDE), right);
}

#[test]
fn what_no_film_says_stays_and_is_told() {
    let lab = lab();
    let mut measured = says(&film(&["eng"]), &["eng"]);
    measured["loudness"] = json!(-23);
    lab.write(BESIDE, json!({ "technical": measured }).to_string()).commit("measured");
    dubbed_in_silence(&lab);
    lab.switch("main");
    let report = lab.merge("cut");
    assert!(report.clean);
    assert_eq!(technical(&lab, "main", BESIDE), measured);
    let notices: Vec<(&str, &str)> =
        report.notices.iter().map(|it| (it.path.as_str(), it.field.as_str())).collect();
    assert_eq!(notices, [(BESIDE, "/technical")]);
    // Once is enough.
    assert!(report.stale.is_empty(), "{:?}", report.stale);
}

#[test]
fn choosing_a_film_makes_what_it_says() {
    // Whether sides have probed their films or not.
    for probes in [true, false] {
        let lab = lab();
        let (german, french) = (film(&["eng", "deu"]), film(&["eng", "fra"]));
        for (branch, bytes) in [("main", &german), ("cut", &french)] {
            lab.switch(branch);
            lab.write("feature.mp4", bytes);
            if probes {
                probed(&lab, "feature.mp4");
            }
            lab.commit("a dub");
        }
        lab.switch("main");
        assert!(!lab.merge("cut").clean);
        let refused = lab.repo.probe(lab.repo.root(), "feature.mp4", None).unwrap_err();
        assert!(
            matches!(&refused, RepoError::NoFilm { why: NoFilm::Disputed(film), .. } if film == "feature.mp4"),
            "{refused:?}"
        );
        lab.settle(Some("feature.mp4"), Choice::Theirs);
        assert_eq!(lab.repo.conflicts(None).unwrap().len(), 0);
        lab.finish();
        assert_eq!(technical(&lab, "main", BESIDE), says(&french, &["eng", "fra"]), "{probes}");
        assert!(lab.repo.status(&Silent).unwrap().clean);
    }
}

#[test]
fn the_end_of_a_merge_makes_what_a_third_film_says() {
    let lab = lab();
    dubbed_in_silence(&lab);
    lab.switch("main");
    lab.write("feature.mp4", film(&["eng", "fra"])).commit("another");
    assert!(!lab.merge("cut").clean);
    let third = film(&["eng", "deu", "fra"]);
    lab.write("feature.mp4", &third);
    lab.repo.add(lab.repo.root(), &["feature.mp4".to_owned()], &Silent).unwrap();
    let committed = lab.finish();
    assert_eq!(committed.made.len(), 1);
    assert!(committed.stale.is_empty(), "{committed:?}");
    let said = says(&third, &["eng", "deu", "fra"]);
    assert_eq!(technical(&lab, "main", BESIDE), said);
    let here: Json = serde_json::from_str(&lab.read(BESIDE).unwrap()).unwrap();
    assert_eq!(here["technical"], said);
    assert!(lab.repo.status(&Silent).unwrap().clean);
}

#[test]
fn a_film_replaced_in_silence_is_told() {
    for schema in [true, false] {
        let lab = lab();
        if !schema {
            lab.delete("schemas.yaml").commit("no schema");
        }
        lab.write("feature.mp4", film(&["eng", "deu"]));
        lab.repo.add(lab.repo.root(), &[".".to_owned()], &Silent).unwrap();
        let told = lab.repo.status(&Silent).unwrap().stale;
        let [row] = told.as_slice() else { panic!("{told:?}") };
        assert_eq!((row.path.as_str(), row.film.as_str()), (BESIDE, "feature.mp4"));
        // It is no reason to refuse.
        assert_eq!(lab.commit("a dub").stale, told);
        lab.write("feature.mp4", film(&["fra"]));
        probed(&lab, "feature.mp4");
        assert!(lab.repo.status(&Silent).unwrap().stale.is_empty());
        assert!(lab.commit("probed").stale.is_empty());
    }
}

fn add(lab: &Lab) {
    lab.repo.add(lab.repo.root(), &[".".to_owned()], &Silent).unwrap();
}

fn stale(lab: &Lab) -> Vec<FilmRow> {
    lab.repo.status(&Silent).unwrap().stale
}

/// A merge of two dubs of which nothing is said, and theirs chosen: what it says is made.
fn chosen() -> Lab {
    let lab = lab();
    let german = dubbed_in_silence(&lab);
    lab.switch("main");
    lab.write("feature.mp4", film(&["eng", "fra"])).commit("another");
    assert!(!lab.merge("cut").clean);
    lab.settle(Some("feature.mp4"), Choice::Theirs);
    let here: Json = serde_json::from_str(&lab.read(BESIDE).unwrap()).unwrap();
    assert_eq!(here["technical"], says(&german, &["eng", "deu"]));
    lab
}

#[test]
fn a_film_replaced_after_the_choice_is_told_of_anew() {
    let (lab, third) = (chosen(), film(&["eng", "deu", "fra"]));
    lab.write("feature.mp4", &third);
    add(&lab);
    // By whatever process.
    let lab = lab.reopened();
    assert_eq!(stale(&lab).len(), 1);
    let committed = lab.finish();
    assert_eq!((committed.made.len(), committed.stale.len()), (1, 0), "{committed:?}");
    assert_eq!(technical(&lab, "main", BESIDE), says(&third, &["eng", "deu", "fra"]));
    assert!(lab.repo.status(&Silent).unwrap().clean);
}

#[test]
fn what_was_put_right_of_the_film_that_came_after_stays() {
    let (lab, third) = (chosen(), film(&["eng", "deu", "fra"]));
    lab.write("feature.mp4", &third);
    add(&lab);
    let mut right = says(&third, &["eng", "deu", "fra"]);
    right["tracks"][1]["language"] = json!("en-AU");
    lab.write(BESIDE, json!({ "technical": right }).to_string());
    add(&lab);
    assert!(stale(&lab).is_empty());
    assert!(lab.finish().made.is_empty());
    assert_eq!(technical(&lab, "main", BESIDE), right);
}

#[test]
fn what_was_typed_in_a_merge_stays_when_its_film_is_replaced() {
    let lab = chosen();
    let mut typed = says(&film(&["eng", "deu"]), &["eng", "deu"]);
    typed["tracks"][1]["language"] = json!("en-AU");
    lab.write(BESIDE, json!({ "technical": typed }).to_string());
    add(&lab);
    lab.write("feature.mp4", film(&["eng", "deu", "fra"]));
    add(&lab);
    assert_eq!(stale(&lab).len(), 1);
    let committed = lab.finish();
    assert_eq!((committed.made.len(), committed.stale.len()), (0, 1), "{committed:?}");
    assert_eq!(technical(&lab, "main", BESIDE), typed);
}

#[test]
fn a_value_committed_without_its_film_goes_with_the_one_that_came() {
    let lab = Lab::new();
    let first = film(&["eng"]);
    let said = json!({ "technical": says(&first, &["eng"]) });
    lab.write("schemas.yaml", SCHEMA).write(BESIDE, said.to_string()).commit("no film yet");
    lab.write("feature.mp4", &first);
    add(&lab);
    assert!(stale(&lab).is_empty());
    lab.write("feature.mp4", film(&["fra"]));
    add(&lab);
    assert_eq!(stale(&lab).len(), 1);
}

#[test]
fn what_is_noted_goes_where_the_stage_is_carried() {
    let lab = lab();
    lab.switch("cut");
    lab.write("notes.txt", "of the cut").commit("notes");
    lab.switch("main");
    lab.write("feature.mp4", film(&["eng", "deu"]));
    probed(&lab, "feature.mp4");
    lab.write("feature.mp4", film(&["fra"]));
    add(&lab);
    assert_eq!(stale(&lab).len(), 1);
    for branch in ["cut", "main"] {
        lab.switch(branch);
        assert_eq!(stale(&lab).len(), 1, "{branch}");
    }
    lab.write("other.txt", "alone");
    let only = CommitOptions {
        message: Some("other".into()),
        only: vec!["other.txt".into()],
        ..Default::default()
    };
    lab.repo.record(lab.repo.root(), &only, &Silent).unwrap();
    assert_eq!(stale(&lab).len(), 1);
    lab.repo.undo(None, &Silent).unwrap();
    assert_eq!(stale(&lab).len(), 1, "undone");
}

#[test]
fn what_is_noted_stays_where_a_change_is_pushed_to_the_branch() {
    let lab = lab();
    lab.switch("main").write("notes.meta.json", r#"{"n": 1}"#).commit("notes");
    lab.branch("free");
    lab.write("notes.meta.json", r#"{"n": 2}"#).commit("other notes");
    lab.switch("free").write("feature.mp4", film(&["eng", "deu"]));
    probed(&lab, "feature.mp4");
    lab.write("feature.mp4", film(&["fra"]));
    add(&lab);
    assert_eq!(stale(&lab).len(), 1);
    let moved = lab.push(&common::layers::fix(&["free"]));
    assert!(moved.moved && moved.targets[0].documents == 1);
    assert_eq!(stale(&lab).len(), 1);
}

#[test]
fn choosing_another_film_after_all_makes_what_that_one_says() {
    let lab = chosen();
    let again = RestoreOptions { paths: vec!["feature.mp4".into()], ..RestoreOptions::default() };
    lab.repo.restore(lab.repo.root(), &again, &Silent).unwrap();
    lab.settle(Some("feature.mp4"), Choice::Ours);
    lab.finish();
    assert_eq!(technical(&lab, "main", BESIDE), says(&film(&["eng", "fra"]), &["eng", "fra"]));
}

#[test]
fn a_film_replaced_before_it_was_committed_is_told() {
    for (committed, schema) in [(true, true), (true, false), (false, true), (false, false)] {
        let lab = Lab::new();
        if schema {
            lab.write("schemas.yaml", SCHEMA);
        }
        if committed {
            lab.write("feature.mp4", film(&["eng"]));
            probed(&lab, "feature.mp4");
            lab.commit("a master");
        }
        let second = film(&["eng", "deu"]);
        lab.write("feature.mp4", &second);
        probed(&lab, "feature.mp4");
        lab.write("feature.mp4", film(&["fra"]));
        add(&lab);
        let told = stale(&lab);
        let [row] = told.as_slice() else { panic!("{committed} {schema}: {told:?}") };
        assert_eq!((row.path.as_str(), row.film.as_str()), (BESIDE, "feature.mp4"));
        // The film that it tells of again, and the other.
        lab.write("feature.mp4", &second);
        add(&lab);
        assert!(stale(&lab).is_empty());
        lab.write("feature.mp4", film(&["fra"]));
        add(&lab);
        assert_eq!(lab.commit("a dub").stale, told);
        assert!(stale(&lab).is_empty(), "committed, it is history");
    }
}

#[test]
fn so_is_one_that_the_commit_itself_stages() {
    for only in [vec![], vec!["feature.mp4".to_owned()]] {
        let lab = lab();
        lab.write("feature.mp4", film(&["eng", "deu"]));
        probed(&lab, "feature.mp4");
        lab.write("feature.mp4", film(&["fra"]));
        let alone = !only.is_empty();
        let all = CommitOptions {
            message: Some("a dub".into()),
            all: !alone,
            only,
            ..Default::default()
        };
        let committed = lab.repo.record(lab.repo.root(), &all, &Silent).unwrap();
        // Of the film alone the document in the commit is the one before.
        assert_eq!(committed.stale.len(), 1);
        // And the one that is still staged tells of a film that nobody committed.
        assert_eq!(stale(&lab).len(), usize::from(alone));
    }
}

#[test]
fn what_was_put_right_of_a_staged_film_stays_with_it() {
    let lab = lab();
    lab.write("feature.mp4", film(&["eng", "deu"]));
    probed(&lab, "feature.mp4");
    let mut right = says(&film(&["eng", "deu"]), &["eng", "deu"]);
    right["tracks"][1]["language"] = json!("en-AU");
    lab.write(BESIDE, json!({ "technical": right }).to_string());
    add(&lab);
    assert!(stale(&lab).is_empty());
    lab.write("notes.txt", "no film");
    add(&lab);
    assert!(stale(&lab).is_empty());
    lab.write("feature.mp4", film(&["fra"]));
    add(&lab);
    assert_eq!(stale(&lab).len(), 1);
}

#[test]
fn a_merge_tells_what_it_could_not_make() {
    let lab = lab();
    lab.delete("schemas.yaml").commit("no schema");
    lab.branch("dub").switch("dub");
    lab.write("feature.mp4", film(&["eng", "deu"])).commit("a dub");
    lab.switch("main");
    for dry_run in [true, false] {
        let request = MergeRequest { dry_run, ..MergeRequest::default() };
        let report = lab.repo.merge("dub", &request, &Silent).unwrap();
        let [row] = report.stale.as_slice() else { panic!("{report:?}") };
        assert_eq!(
            (row.path.as_str(), row.field.as_str(), row.film.as_str()),
            (BESIDE, "/technical", "feature.mp4")
        );
    }
}

#[test]
fn probing_replaces_what_films_say_and_nothing_else() {
    let lab = lab();
    let mut measured = says(&film(&["eng"]), &["eng"]);
    measured["loudness"] = json!(-23);
    lab.write(BESIDE, json!({ "technical": measured }).to_string());
    let dubbed = film(&["eng", "deu"]);
    lab.write("feature.mp4", &dubbed);
    add(&lab);
    let (_, _, edits) = lab.repo.probe(lab.repo.root(), "feature.mp4", None).unwrap();
    let fields: Vec<String> = edits.iter().map(|edit| edit.field.to_string()).collect();
    assert_eq!(fields, ["/technical/bytes", "/technical/container", "/technical/tracks"]);
    lab.commit("probed");
    let mut expected = says(&dubbed, &["eng", "deu"]);
    expected["loudness"] = json!(-23);
    assert_eq!(technical(&lab, "main", BESIDE), expected);
}

#[test]
fn an_edition_of_two_films_names_both() {
    let lab = lab();
    lab.write("trailer.mp4", film(&["fra"])).write("notes.txt", "no film");
    lab.write("edition.meta.json", "{}").commit("two films");
    let refused = |given: &str| match lab.repo.probe(lab.repo.root(), given, None).unwrap_err() {
        RepoError::NoFilm { why, .. } => why,
        other => panic!("{other:?}"),
    };
    let both = ["feature.mp4", "trailer.mp4"].map(str::to_owned);
    assert_eq!(refused("edition.meta.json"), NoFilm::Several(both.to_vec()));
    for number in 0..64 {
        lab.write(&format!("notes{number}.txt"), "no film");
    }
    lab.commit("many files");
    assert_eq!(refused("edition.meta.json"), NoFilm::TooManyFiles);
    assert_eq!(refused("notes.txt"), NoFilm::Nothing);
}
