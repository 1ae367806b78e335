//! Reading what is in conflict: nothing of it is shown unless somebody says what.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod common;

use common::Lab;
use ottvc_merge::Side;
use ottvc_object::RepoPath;
use ottvc_repo::audit::fixity::{FixityFormat, FixityOptions};
use ottvc_repo::checkout::CheckoutOptions;
use ottvc_repo::disputed::Disputed;
use ottvc_repo::merging::MergeRequest;
use ottvc_repo::{RepoError, Silent};

/// A commit with a title in conflict, a film in conflict, and a document that one side removed.
fn disputed() -> Lab {
    let lab = Lab::new();
    lab.write("film.meta.json", r#"{"title": "Dune", "year": 2021}"#).write("film.mp4", "one");
    lab.write("gone.meta.json", r#"{"a": 1}"#).commit("start");
    lab.branch("cut");
    lab.write("film.meta.json", r#"{"title": "Dune I", "year": 2021}"#).write("film.mp4", "two");
    lab.delete("gone.meta.json").commit("ours");
    lab.switch("cut");
    lab.write("film.meta.json", r#"{"title": "Dune 1", "year": 2021}"#).write("film.mp4", "three");
    lab.write("gone.meta.json", r#"{"a": 2}"#).commit("theirs");
    lab.switch("main");
    let request = MergeRequest { allow_conflicts: true, ..MergeRequest::default() };
    assert_eq!(lab.repo.merge("cut", &request, &Silent).unwrap().conflicts.len(), 3);
    lab
}

fn cat(lab: &Lab, path: &str, disputed: Option<Disputed>) -> Result<String, RepoError> {
    let mut out = Vec::new();
    lab.repo.cat("main", &RepoPath::new(path).unwrap(), None, disputed, &mut out)?;
    Ok(String::from_utf8(out).unwrap())
}

/// What a checkout with this choice writes: names and contents.
fn written(lab: &Lab, disputed: Option<Disputed>) -> Result<Vec<(String, String)>, RepoError> {
    let to = tempfile::tempdir().unwrap();
    let options = CheckoutOptions { conflicts: disputed, ..CheckoutOptions::default() };
    lab.repo.checkout("main", to.path(), &options, &Silent)?;
    let mut files: Vec<(String, String)> = std::fs::read_dir(to.path())
        .unwrap()
        .map(|file| {
            let file = file.unwrap();
            let text = std::fs::read_to_string(file.path()).unwrap();
            (file.file_name().into_string().unwrap(), text)
        })
        .collect();
    files.sort();
    Ok(files)
}

fn names(files: &[(String, String)]) -> Vec<&str> {
    files.iter().map(|(name, _)| name.as_str()).collect()
}

#[test]
fn without_a_choice_reading_is_refused_and_all_paths_named() {
    let lab = disputed();
    let Err(RepoError::Conflicts { paths }) = written(&lab, None) else { panic!() };
    assert_eq!(paths, ["film.meta.json", "film.mp4", "gone.meta.json"]);
    assert!(matches!(cat(&lab, "film.meta.json", None), Err(RepoError::Conflicts { .. })));
    let options = FixityOptions { format: FixityFormat::B3sum, paths: Vec::new(), conflicts: None };
    let list = lab.repo.fixity("main", &options, &Silent);
    assert!(matches!(list, Err(RepoError::Conflicts { paths }) if paths.len() == 3));
}

#[test]
fn what_is_in_conflict_can_be_left_out() {
    let lab = disputed();
    let omit = Some(Disputed::Omit);
    let files = written(&lab, omit).unwrap();
    assert_eq!(names(&files), ["film.meta.json"]);
    assert!(!files[0].1.contains("title") && files[0].1.contains("2021"));
    assert_eq!(cat(&lab, "film.meta.json", omit).unwrap(), files[0].1);
    for path in ["film.mp4", "gone.meta.json"] {
        assert_eq!(cat(&lab, path, omit).unwrap_err().code(), "path.not_found");
    }
    let options =
        FixityOptions { format: FixityFormat::Sha256sum, paths: Vec::new(), conflicts: omit };
    let list = lab.repo.fixity("main", &options, &Silent).unwrap();
    assert_eq!(list.files.len(), 1);
    assert_eq!(list.files[0].bytes, files[0].1.len() as u64);
}

#[test]
fn a_side_that_removed_a_document_has_none() {
    let lab = disputed();
    let ours = written(&lab, Some(Side::Ours.into())).unwrap();
    assert_eq!(names(&ours), ["film.meta.json", "film.mp4"]);
    assert_eq!(ours[1].1, "two");
    assert_eq!(
        cat(&lab, "gone.meta.json", Some(Side::Ours.into())).unwrap_err().code(),
        "path.not_found"
    );
    let theirs = written(&lab, Some(Side::Theirs.into())).unwrap();
    assert_eq!(names(&theirs), ["film.meta.json", "film.mp4", "gone.meta.json"]);
}

#[test]
fn marks_are_for_documents() {
    let lab = disputed();
    let marks = Some(Disputed::Markers);
    let shown = cat(&lab, "film.meta.json", marks).unwrap();
    assert!(shown.contains("$conflict") && shown.contains("Dune 1") && shown.contains("Dune I"));
    let Err(RepoError::Conflicts { paths }) = written(&lab, marks) else { panic!() };
    assert_eq!(paths, ["film.mp4"], "a file has no place for marks");
}

/// Paths and contents that a checkout with this choice writes.
fn tree(lab: &Lab, disputed: impl Into<Disputed>) -> Vec<String> {
    let to = tempfile::tempdir().unwrap();
    let conflicts = Some(disputed.into());
    let options = CheckoutOptions { conflicts, ..CheckoutOptions::default() };
    lab.repo.checkout("main", to.path(), &options, &Silent).unwrap();
    let mut found = Vec::new();
    let mut folders = vec![to.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for file in std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()) {
            if file.is_dir() {
                folders.push(file);
                continue;
            }
            let path = file.strip_prefix(to.path()).unwrap().to_str().unwrap();
            found.push(format!("{path}: {}", std::fs::read_to_string(&file).unwrap()));
        }
    }
    found.sort();
    found
}

#[test]
fn a_side_of_a_rename_apart_is_where_that_side_put_it() {
    let lab = Lab::new();
    lab.write("film.mp4", "a film").write("keep.txt", "k").commit("start");
    lab.branch("cut");
    lab.repo.rename(lab.repo.root(), "film.mp4", "one.mp4").unwrap();
    lab.commit("ours");
    lab.switch("cut");
    lab.repo.rename(lab.repo.root(), "film.mp4", "two/two.mp4").unwrap();
    lab.commit("theirs");
    lab.switch("main");
    let request = MergeRequest { allow_conflicts: true, ..MergeRequest::default() };
    let report = lab.repo.merge("cut", &request, &Silent).unwrap();
    assert_eq!(report.conflicts[0].kind, "rename_rename");
    for (side, path) in
        [(Side::Ours, "one.mp4"), (Side::Theirs, "two/two.mp4"), (Side::Base, "film.mp4")]
    {
        let mut expected = [format!("{path}: a film"), "keep.txt: k".to_owned()];
        expected.sort();
        assert_eq!(tree(&lab, side), expected);
        let conflicts = Some(side.into());
        let options = FixityOptions { format: FixityFormat::B3sum, paths: Vec::new(), conflicts };
        assert_eq!(lab.repo.fixity("main", &options, &Silent).unwrap().files.len(), 2);
    }
    assert_eq!(tree(&lab, Disputed::Omit), ["keep.txt: k"]);
}

#[test]
fn a_side_may_have_a_folder_where_the_other_has_a_file() {
    let lab = Lab::new();
    lab.write("cut", "one").commit("start");
    lab.branch("cut");
    lab.write("cut", "two").commit("ours");
    lab.switch("cut");
    lab.delete("cut").write("cut/a/film.mp4", "three").commit("theirs");
    lab.switch("main");
    let request = MergeRequest { allow_conflicts: true, ..MergeRequest::default() };
    let report = lab.repo.merge("cut", &request, &Silent).unwrap();
    assert_eq!(report.conflicts[0].kind, "type");
    assert_eq!(tree(&lab, Side::Ours), ["cut: two"]);
    assert_eq!(tree(&lab, Side::Theirs), ["cut/a/film.mp4: three"]);
}
