//! Hash lists of a revision: each hash is that of the bytes `checkout` writes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod common;

use std::collections::BTreeMap;

use common::{Lab, noise};
use ottvc_repo::audit::fixity::{FixityFormat, FixityList, FixityOptions};
use ottvc_repo::audit::mhl::Seal;
use ottvc_repo::checkout::CheckoutOptions;
use ottvc_repo::{RepoError, Silent, content};
use ottvc_store::StoreError;
use sha2::{Digest, Sha256};

fn lab() -> Lab {
    let lab = Lab::new();
    lab.write("feature.mp4", noise(1, 60_000)).write("reels/A & B's.mov", noise(2, 9_000));
    lab.write("reels/copy.mp4", noise(1, 60_000)).write("reels/empty", "").write("-", "dash");
    lab.write("edition.meta.json", r#"{"title":{"en":"N & L"},   "rating":"12"}"#);
    std::os::unix::fs::symlink("../feature.mp4", lab.disk("reels/link")).unwrap();
    std::os::unix::fs::symlink("reels", lab.disk("folder")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", lab.disk("outside")).unwrap();
    lab.commit("one");
    lab
}

fn options(format: FixityFormat) -> FixityOptions {
    FixityOptions { format, paths: Vec::new(), conflicts: None }
}

fn list(lab: &Lab, format: FixityFormat) -> FixityList {
    lab.repo.fixity("HEAD", &options(format), &Silent).unwrap()
}

/// Path to hash, with each file read from where `checkout` wrote it.
fn written(lab: &Lab, hash: impl Fn(&[u8]) -> String) -> BTreeMap<String, String> {
    let to = tempfile::tempdir().unwrap();
    lab.repo.checkout("HEAD", to.path(), &CheckoutOptions::default(), &Silent).unwrap();
    let paths = lab.paths("HEAD").into_iter().filter(|path| path != "outside" && path != "folder");
    paths.map(|path| (path.clone(), hash(&std::fs::read(to.path().join(path)).unwrap()))).collect()
}

fn listed(list: &FixityList) -> BTreeMap<String, String> {
    list.files.iter().map(|file| (file.path.to_string(), file.hash.clone())).collect()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn hashes_are_those_of_the_bytes_written_out() {
    let lab = lab();
    let blake3 = list(&lab, FixityFormat::B3sum);
    assert_eq!(listed(&blake3), written(&lab, |bytes| blake3::hash(bytes).to_string()));
    assert_eq!(blake3.left_out, ["folder", "outside"]);
    let sha = list(&lab, FixityFormat::Sha256sum);
    assert_eq!(listed(&sha), written(&lab, sha256));
    let xxh = |bytes: &[u8]| format!("{:032x}", twox_hash::XxHash3_128::oneshot(bytes));
    assert_eq!(listed(&list(&lab, FixityFormat::AscMhl)), written(&lab, xxh));

    let mut lines = Vec::new();
    sha.write_lines(&mut lines).unwrap();
    let lines = String::from_utf8(lines).unwrap();
    assert!(lines.contains(&format!("{}  ./-\n", sha256(b"dash"))), "{lines}");
    assert_eq!(lines.lines().count(), sha.files.len());
}

#[test]
fn paths_narrow_a_list() {
    let lab = lab();
    let options =
        FixityOptions { paths: vec!["reels/".into(), "-".into()], ..options(FixityFormat::B3sum) };
    let list = lab.repo.fixity("HEAD", &options, &Silent).unwrap();
    let paths: Vec<String> = list.files.iter().map(|file| file.path.to_string()).collect();
    assert_eq!(paths, ["-", "reels/A & B's.mov", "reels/copy.mp4", "reels/empty"]);
    // What the link leads to is not in the list, and may not be beside it.
    assert_eq!(list.left_out, ["reels/link"]);
    let nowhere = FixityOptions { paths: vec!["nowhere".into()], ..options };
    assert!(matches!(lab.repo.fixity("HEAD", &nowhere, &Silent), Err(RepoError::NoPath { .. })));
}

#[test]
fn a_sha256_is_computed_once_and_kept_beside_the_manifest() {
    let lab = lab();
    let first = list(&lab, FixityFormat::Sha256sum);
    // Three contents, beside documents, which have no manifest; a copy is not read twice.
    assert_eq!(first.learnt.len(), 4);
    assert_eq!(lab.repo.keep_sha256(&first.learnt).unwrap(), 4);
    assert_eq!(lab.repo.keep_sha256(&first.learnt).unwrap(), 0);
    for (content, hash) in &first.learnt {
        let kept = content::open(lab.repo.objects(), *content).unwrap();
        assert_eq!(kept.manifest().sha256.as_ref(), Some(hash));
    }
    let second = list(&lab, FixityFormat::Sha256sum);
    assert!(second.learnt.is_empty());
    assert_eq!(listed(&second), listed(&first));
    assert!(lab.repo.verify(ottvc_repo::verify::Reading::Everything, &Silent).unwrap().clean);
    assert_eq!(lab.cat("HEAD", "feature.mp4"), noise(1, 60_000));
}

#[test]
fn a_list_is_not_made_of_bytes_that_are_gone() {
    let holey = std::sync::Arc::new(common::holey::Holey::default());
    let lab = Lab::over(holey.clone(), holey.inner.clone());
    lab.write("a.mp4", noise(1, 50_000)).write("b.mp4", noise(2, 50_000)).commit("one");
    let content = ottvc_object::ContentId::of(&noise(2, 50_000));
    let mut chunks = Vec::new();
    content::chunks(&*holey.inner, content, &mut |at| {
        chunks.push(at.chunk.id.0);
        Ok(())
    })
    .unwrap();
    holey.lose(chunks[3]);
    let failed = lab.repo.fixity("HEAD", &options(FixityFormat::Sha256sum), &Silent);
    let failed = failed.unwrap_err();
    assert_eq!(failed.code(), "store.no_chunk", "{failed}");
    let RepoError::Content(content::ContentError::Store(StoreError::NoChunk { .. })) = failed
    else {
        panic!("{failed:?}");
    };
}

#[test]
fn conflicts_are_refused_until_a_side_is_chosen() {
    let lab = Lab::new();
    lab.write("a.mp4", noise(1, 5_000)).commit("base");
    lab.branch("cut").switch("cut").write("a.mp4", noise(2, 5_000)).commit("theirs");
    lab.switch("main").write("a.mp4", noise(3, 5_000)).commit("ours");
    lab.merge("cut");
    let options = ottvc_repo::record::CommitOptions {
        message: Some("with conflicts".into()),
        allow_conflicts: true,
        ..Default::default()
    };
    lab.repo.record(lab.repo.root(), &options, &Silent).unwrap();
    let mut asked = self::options(FixityFormat::B3sum);
    let refused = lab.repo.fixity("HEAD", &asked, &Silent);
    assert!(matches!(refused, Err(RepoError::Conflicts { .. })), "{refused:?}");
    asked.conflicts = Some(ottvc_merge::Side::Theirs.into());
    let list = lab.repo.fixity("HEAD", &asked, &Silent).unwrap();
    assert_eq!(list.files[0].hash, blake3::hash(&noise(2, 5_000)).to_string());
}

fn seal() -> Seal {
    Seal { host: "desk & <chair>".into(), version: "1.2.3".into(), time: 1_800_000_000_000 }
}

#[test]
fn a_media_hash_list_is_sealed_once() {
    let lab = lab();
    lab.write("ascmhl-not.txt", "x").write("card/ascmhl/0001.mhl", "old").commit("two");
    let list = list(&lab, FixityFormat::AscMhl);
    // What belongs to a history is no part of one.
    assert_eq!(list.left_out, ["card/ascmhl/0001.mhl", "folder", "outside"]);
    let to = tempfile::tempdir().unwrap();
    let folder = to.path().join("Reel 1");
    let path = list.seal(&folder, &seal()).unwrap();
    assert_eq!(path, folder.join("ascmhl/0001_Reel 1_2027-01-15_080000Z.mhl"));
    let mhl = std::fs::read_to_string(&path).unwrap();
    assert!(mhl.contains("<hostname>desk &amp; &lt;chair&gt;</hostname>"), "{mhl}");
    assert!(mhl.contains("<path size=\"9000\">reels/A &amp; B"), "{mhl}");
    assert!(mhl.contains("<pattern>**/folder</pattern>"), "{mhl}");
    assert_eq!(mhl.matches("<hash>").count(), list.files.len());
    assert_eq!(mhl.matches("<directoryhash>").count(), 1);
    let chain = std::fs::read_to_string(folder.join("ascmhl/ascmhl_chain.xml")).unwrap();
    assert!(chain.contains("<path>0001_Reel 1_2027-01-15_080000Z.mhl</path>"), "{chain}");
    let again = list.seal(&folder, &seal());
    assert!(matches!(again, Err(RepoError::InTheWay { .. })), "{again:?}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), mhl);
}
