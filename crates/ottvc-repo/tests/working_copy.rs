//! Stories of the working copy: staging, switching, restoring, taking back.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that fails may panic"
)]

mod common;

use common::{Lab, SMALL, noise};
use ottvc_object::RepoPath;
use ottvc_object::manifest::CutRule;
use ottvc_repo::checkout::CheckoutOptions;
use ottvc_repo::ingest::IngestOptions;
use ottvc_repo::record::CommitOptions;
use ottvc_repo::{RepoError, Silent, content};

fn only(path: &str) -> CommitOptions {
    CommitOptions {
        message: Some("only".into()),
        only: vec![path.to_owned()],
        ..CommitOptions::default()
    }
}

#[test]
fn every_file_comes_back_to_the_byte() {
    let lab = Lab::new();
    let files: Vec<(String, Vec<u8>)> = [0, 1, 255, 256, 4096, 70_000, 1_500_000]
        .into_iter()
        .map(|len| (format!("media/{len}.bin"), noise(len as u64 + 1, len)))
        .collect();
    for (path, bytes) in &files {
        lab.write(path, bytes);
    }
    lab.write("zeros.bin", vec![0; 300_000]).write("UPPER/Film Ä (1).mov", "x");
    lab.commit("all");
    let to = tempfile::tempdir().unwrap();
    let done = lab.repo.checkout("main", to.path(), &CheckoutOptions::default(), &Silent).unwrap();
    assert_eq!(done.files, 9);
    for (path, bytes) in &files {
        assert_eq!(&std::fs::read(to.path().join(path)).unwrap(), bytes, "{path}");
        let entry = RepoPath::new(path).unwrap();
        for range in ["0-0", "-1", "100-", "17-300"] {
            let Ok((offset, len)) =
                range.parse::<ottvc_repo::read::ByteRange>().unwrap().within(bytes.len() as u64)
            else {
                continue;
            };
            let mut out = Vec::new();
            let range = Some(range.parse().unwrap());
            lab.repo.cat("main", &entry, range, None, &mut out).unwrap();
            assert_eq!(out, bytes[offset as usize..(offset + len) as usize]);
        }
    }
    // A second checkout finds everything there and writes nothing.
    let again = lab.repo.checkout("main", to.path(), &CheckoutOptions::default(), &Silent).unwrap();
    assert_eq!((again.files, again.unchanged), (0, 9));
}

#[test]
fn adding_again_reads_nothing_and_equal_content_is_stored_once() {
    let lab = Lab::new();
    lab.write("a.bin", noise(1, 100_000));
    let add = |path: &str| lab.repo.add(lab.repo.root(), &[path.to_owned()], &Silent).unwrap();
    let first = add("a.bin");
    assert_eq!((first.files, first.read_bytes, first.new_bytes), (1, 100_000, 100_000));
    assert!(first.stored_bytes > 100_000);
    let again = add(".");
    assert_eq!((again.files, again.read_bytes, again.stored_bytes), (1, 0, 0));
    lab.write("copy.bin", noise(1, 100_000));
    let copy = add("copy.bin");
    assert_eq!((copy.read_bytes, copy.new_bytes, copy.new_chunks), (100_000, 0, 0));
}

#[test]
fn a_better_cut_changes_no_commit() {
    let lab = Lab::new();
    lab.write("film.bin", noise(7, 200_000));
    let before = lab.commit("film");
    let named = ottvc_object::tree::lookup_path(
        lab.repo.nodes(),
        before.tree,
        &RepoPath::new("film.bin").unwrap(),
    );
    let Some(ottvc_object::Entry::File(file)) = named.unwrap().map(|named| named.entry) else {
        panic!("a file");
    };
    let other = CutRule::FastCdc { min: 1024, avg: 8192, max: 32_768 };
    let manifest = lab.repo.objects().manifest_of(file.content).unwrap();
    let options = IngestOptions { rule: other, tracks: None, jobs: 2 };
    content::rechunk(lab.repo.objects(), file.content, options).unwrap();
    assert_ne!(lab.repo.objects().manifest_of(file.content).unwrap(), manifest);
    assert_eq!(lab.head("main"), before.commit.to_string());
    assert_eq!(lab.cat("main", "film.bin"), noise(7, 200_000));
    lab.write("film.bin", noise(7, 200_000)).write("other.txt", "x");
    let after = lab.commit("other");
    lab.repo.remove(lab.repo.root(), &["other.txt".to_owned()], false, false).unwrap();
    let back = lab.finish_with("as before");
    assert_ne!(after.tree, before.tree);
    assert_eq!(back.tree, before.tree, "the tree does not know how the file is cut");
    assert_ne!(SMALL, other);
}

#[test]
fn switching_keeps_local_changes_or_refuses() {
    let lab = Lab::new();
    lab.write("a.txt", "1").write("b.txt", "1").write("d/c.txt", "1").commit("start");
    lab.branch("other").switch("other");
    lab.write("a.txt", "2").delete("d/c.txt").write("new/n.txt", "n").commit("other");
    lab.switch("main");
    assert_eq!(lab.read("a.txt").unwrap(), "1");
    assert_eq!(lab.read("d/c.txt").unwrap(), "1");
    assert!(!lab.disk("new").exists(), "a folder that holds nothing any more goes");
    // A change to what is the same on both sides is carried along, staged or not.
    lab.write("b.txt", "mine").write("s.txt", "staged");
    lab.repo.add(lab.repo.root(), &["s.txt".to_owned()], &Silent).unwrap();
    lab.switch("other");
    assert_eq!(lab.read("b.txt").unwrap(), "mine");
    let status = lab.repo.status(&Silent).unwrap();
    assert_eq!((status.staged.len(), status.changed.len()), (1, 1));
    // A change to what differs, or an untracked file in the way, is never lost.
    lab.write("a.txt", "precious");
    let refused = lab.repo.switch("main", false, false, &Silent);
    assert!(matches!(refused, Err(RepoError::LocalChanges { paths }) if paths == ["a.txt"]));
    lab.write("a.txt", "2").write("d/c.txt", "untracked");
    let refused = lab.repo.switch("main", false, false, &Silent);
    assert!(matches!(refused, Err(RepoError::LocalChanges { paths }) if paths == ["d/c.txt"]));
    assert_eq!(lab.read("d/c.txt").unwrap(), "untracked");
    // The very content that the switch would write is no loss.
    lab.write("d/c.txt", "1").switch("main");
    assert_eq!(lab.read("a.txt").unwrap(), "1");
}

#[test]
fn untracked_folders_in_the_way_are_not_lost() {
    let lab = Lab::new();
    lab.write("keep.txt", "k").commit("start");
    lab.branch("other").switch("other");
    lab.write("x", "a file").commit("x");
    lab.switch("main");
    lab.write("x/inner.txt", "mine");
    let refused = lab.repo.switch("other", false, false, &Silent);
    assert!(matches!(refused, Err(RepoError::LocalChanges { paths }) if paths == ["x/inner.txt"]));
    assert_eq!(lab.read("x/inner.txt").unwrap(), "mine");
}

#[test]
fn commit_of_a_path_leaves_the_rest_staged() {
    let lab = Lab::new();
    lab.write("a.txt", "1").write("b.txt", "1").commit("start");
    lab.write("a.txt", "2").write("b.txt", "2");
    lab.repo.add(lab.repo.root(), &["b.txt".to_owned()], &Silent).unwrap();
    let done = lab.repo.record(lab.repo.root(), &only("a.txt"), &Silent).unwrap();
    assert_eq!(done.changed, 1);
    assert_eq!((lab.cat("main", "a.txt"), lab.cat("main", "b.txt")), (b"2".into(), b"1".into()));
    let status = lab.repo.status(&Silent).unwrap();
    assert_eq!(status.staged.len(), 1);
    assert_eq!(status.staged[0].path, "b.txt");
    lab.finish_with("b");
    assert_eq!(lab.cat("main", "b.txt"), b"2");
    assert!(matches!(
        lab.repo.record(
            lab.repo.root(),
            &CommitOptions { message: Some("x".into()), ..CommitOptions::default() },
            &Silent
        ),
        Err(RepoError::NothingToCommit)
    ));
}

#[test]
fn undo_takes_back_step_by_step_and_can_be_taken_back() {
    let lab = Lab::new();
    lab.write("a.txt", "1");
    let first = lab.commit("one");
    lab.write("a.txt", "2");
    let second = lab.commit("two");
    lab.branch("cut");
    // The branch goes first, then the commit: its change is staged again, the file untouched.
    assert_eq!(lab.repo.undo(None, &Silent).unwrap().summary, "undo 4: branch: cut");
    lab.repo.undo(None, &Silent).unwrap();
    assert_eq!(lab.head("main"), first.commit.to_string());
    assert_eq!(lab.read("a.txt").unwrap(), "2");
    let status = lab.repo.status(&Silent).unwrap();
    assert_eq!((status.staged.len(), status.changed.len()), (1, 0));
    // Undoing the undo brings the commit back.
    let undo = lab.repo.refs().operations(None, 1).unwrap()[0].id;
    lab.repo.undo(Some(undo), &Silent).unwrap();
    assert_eq!(lab.head("main"), second.commit.to_string());
    assert!(lab.is_clean());
    assert!(matches!(lab.repo.undo(Some(99), &Silent), Err(RepoError::CannotUndo { .. })));
    assert!(matches!(lab.repo.undo(Some(1), &Silent), Err(RepoError::CannotUndo { .. })));
}

#[test]
fn undo_of_a_merge_brings_the_files_back() {
    let lab = Lab::new();
    lab.write("a.txt", "1").commit("one");
    lab.branch("cut");
    lab.write("a.txt", "2").write("n.txt", "n").commit("two");
    lab.switch("cut").write("b.txt", "b").commit("b");
    lab.merge("main");
    assert_eq!(lab.read("a.txt").unwrap(), "2");
    lab.repo.undo(None, &Silent).unwrap();
    assert_eq!(lab.paths("cut"), ["a.txt", "b.txt"]);
    assert_eq!(lab.read("a.txt").unwrap(), "1");
    assert!(lab.read("n.txt").is_none());
    assert!(lab.is_clean());
}

#[test]
fn a_renamed_branch_is_the_same_edition_and_undo_finds_it() {
    let lab = Lab::new();
    lab.write("a.txt", "1").commit("one");
    let edition = |name: &str| {
        let rows = lab.repo.list_refs(ottvc_refs::RefKind::Branch).unwrap();
        rows.into_iter().find(|row| row.name == name).and_then(|row| row.edition)
    };
    let before = edition("main").unwrap();
    lab.repo.rename_branch("main", "theatrical").unwrap();
    assert_eq!(edition("theatrical").unwrap(), before);
    assert_eq!(lab.repo.status(&Silent).unwrap().branch.unwrap(), "theatrical");
    lab.repo.undo(None, &Silent).unwrap();
    assert_eq!(lab.repo.status(&Silent).unwrap().branch.unwrap(), "main");
    assert!(lab.is_clean());
}

#[test]
fn names_that_differ_in_case_cannot_both_be_there() {
    let lab = Lab::new();
    lab.write("Film.bin", "1").commit("one");
    lab.write("film.bin", "2");
    let both = lab.repo.add(lab.repo.root(), &[".".to_owned()], &Silent);
    assert!(matches!(both, Err(RepoError::Collision { .. })));
    let twin = lab.repo.add(lab.repo.root(), &["film.bin".to_owned()], &Silent);
    assert!(matches!(twin, Err(RepoError::Collision { .. })));
    // Renaming it is fine, by hand or by mv.
    lab.delete("Film.bin");
    lab.commit("renamed by hand");
    assert_eq!(lab.paths("main"), ["film.bin"]);
    lab.repo.rename(lab.repo.root(), "film.bin", "FILM.bin").unwrap();
    lab.finish_with("mv");
    assert_eq!(lab.paths("main"), ["FILM.bin"]);
    assert!(lab.is_clean());
}

#[test]
fn a_name_some_system_cannot_hold_is_refused_and_nothing_is_staged() {
    for name in ["a:b.txt", "con.txt", "dot.", "e\u{301}.txt", "back\\slash"] {
        let lab = Lab::new();
        lab.write("good.txt", "g").write(name, "x");
        let refused = lab.repo.add(lab.repo.root(), &[".".to_owned()], &Silent);
        assert!(matches!(refused, Err(RepoError::Object(_))), "{name}");
        assert!(lab.repo.status(&Silent).is_err() || lab.is_clean());
    }
}

#[cfg(unix)]
#[test]
fn links_and_the_executable_bit_are_kept_and_links_are_not_followed() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let lab = Lab::new();
    lab.write("run.sh", "#!/bin/sh\n").write("a/b.txt", "b");
    std::fs::set_permissions(lab.disk("run.sh"), std::fs::Permissions::from_mode(0o755)).unwrap();
    symlink("/etc", lab.disk("outside")).unwrap();
    lab.commit("links");
    let to = tempfile::tempdir().unwrap();
    lab.repo.checkout("main", to.path(), &CheckoutOptions::default(), &Silent).unwrap();
    assert_eq!(std::fs::read_link(to.path().join("outside")).unwrap().to_str(), Some("/etc"));
    let mode = std::fs::metadata(to.path().join("run.sh")).unwrap().permissions().mode();
    assert_eq!(mode & 0o111, 0o111);
    // Through a link, nothing is read or written: not on the way in, not on the way out.
    let through = lab.repo.add(lab.repo.root(), &["outside/passwd".to_owned()], &Silent);
    assert!(matches!(through, Err(RepoError::PathOutside { .. })));
    let trap = tempfile::tempdir().unwrap();
    let victim = tempfile::tempdir().unwrap();
    symlink(victim.path(), trap.path().join("a")).unwrap();
    let options = CheckoutOptions { force: true, ..CheckoutOptions::default() };
    let refused = lab.repo.checkout("main", trap.path(), &options, &Silent);
    assert!(matches!(refused, Err(RepoError::InTheWay { .. })));
    assert_eq!(std::fs::read_dir(victim.path()).unwrap().count(), 0);
}

#[test]
fn paths_outside_are_refused() {
    let lab = Lab::new();
    for path in ["../x", "a/../../x", "/etc/passwd"] {
        let refused = lab.repo.add(lab.repo.root(), &[path.to_owned()], &Silent);
        assert!(matches!(refused, Err(RepoError::PathOutside { .. })), "{path}");
    }
}

#[test]
fn ignored_files_stay_out_unless_named() {
    let lab = Lab::new();
    lab.write(".ottvcignore", "*.tmp\nproxies/\n").write("a.tmp", "x").write("proxies/p.mp4", "p");
    lab.write("a.txt", "a");
    lab.commit("start");
    assert_eq!(lab.paths("main"), [".ottvcignore", "a.txt"]);
    lab.repo.add(lab.repo.root(), &["a.tmp".to_owned()], &Silent).unwrap();
    lab.finish_with("named");
    assert_eq!(lab.paths("main"), [".ottvcignore", "a.tmp", "a.txt"]);
    assert!(lab.is_clean());
}

#[test]
fn checkout_takes_a_part_and_overwrites_only_when_told() {
    let lab = Lab::new();
    lab.write("audio/de.wav", "de").write("audio/en.wav", "en").write("film.mp4", "f");
    lab.write("x/film.mp4", "g").commit("start");
    let written = |only: &[&str], paths: &[&str]| {
        let to = tempfile::tempdir().unwrap();
        let options = CheckoutOptions {
            only: only.iter().map(|it| (*it).to_owned()).collect(),
            paths: paths.iter().map(|it| (*it).to_owned()).collect(),
            ..CheckoutOptions::default()
        };
        lab.repo.checkout("main", to.path(), &options, &Silent).unwrap().files
    };
    assert_eq!(written(&["*.wav"], &[]), 2);
    assert_eq!(written(&["audio"], &[]), 2);
    assert_eq!(written(&["film.mp4"], &[]), 2);
    assert_eq!(written(&["/film.mp4"], &[]), 1);
    assert_eq!(written(&["audio/d*"], &[]), 1);
    assert_eq!(written(&[], &["audio"]), 2);
    assert_eq!(written(&["*.mp4"], &["x"]), 1);
    let to = tempfile::tempdir().unwrap();
    std::fs::create_dir(to.path().join("audio")).unwrap();
    std::fs::copy(lab.disk("film.mp4"), to.path().join("audio/de.wav")).unwrap();
    let refused = lab.repo.checkout("main", to.path(), &CheckoutOptions::default(), &Silent);
    assert!(matches!(refused, Err(RepoError::LocalChanges { .. })));
    assert!(!to.path().join("film.mp4").exists(), "refused before anything was written");
    let options = CheckoutOptions { force: true, ..CheckoutOptions::default() };
    lab.repo.checkout("main", to.path(), &options, &Silent).unwrap();
    assert_eq!(std::fs::read(to.path().join("audio/de.wav")).unwrap(), b"de");
}

/// The cache says that the file is stored, and is right; but what is stored is damaged.
#[test]
fn adding_an_unchanged_file_mends_what_is_damaged() {
    let lab = Lab::new();
    lab.write("film.bin", noise(1, 50_000)).commit("film");
    let add = || lab.repo.add(lab.repo.root(), &[".".to_owned()], &Silent).unwrap();
    assert_eq!(add().read_bytes, 0, "the cache vouches");
    let content = ottvc_object::ContentId::of(&noise(1, 50_000));
    let mut chunks = Vec::new();
    content::chunks(lab.repo.objects(), content, &mut |at| {
        chunks.push(at.chunk.id);
        Ok(())
    })
    .unwrap();
    lab.store.damage(ottvc_store::DamagedThing::Chunk(chunks[3]));
    let added = add();
    assert_eq!((added.read_bytes, added.new_chunks), (50_000, 1));
    assert_eq!(lab.cat("main", "film.bin"), noise(1, 50_000));
    assert_eq!(add().read_bytes, 0, "all is well again");
}

/// By hand, or by a command that died before it could say so in the stage.
#[test]
fn a_rename_done_on_disk_already_is_recorded() {
    let lab = Lab::new();
    lab.write("a.txt", "1").write("d/x.txt", "2").write("f.txt", "3").write("in/y.txt", "4");
    lab.commit("start");
    let moved = |from: &str, to: &str, told: &str| {
        std::fs::rename(lab.disk(from), lab.disk(to)).unwrap();
        lab.repo.rename(lab.repo.root(), from, told).unwrap()
    };
    let pair = |old: &str, new: &str| vec![(old.to_owned(), new.to_owned())];
    assert_eq!(moved("a.txt", "b.txt", "b.txt"), pair("a.txt", "b.txt"));
    assert_eq!(moved("d", "e", "e"), pair("d/x.txt", "e/x.txt"));
    assert_eq!(moved("f.txt", "in/f.txt", "in"), pair("f.txt", "in/f.txt"));
    let status = lab.repo.status(&Silent).unwrap();
    assert_eq!((status.staged.len(), status.changed.len(), status.untracked.len()), (3, 0, 0));
    assert!(status.staged.iter().all(|row| row.change == "renamed"), "{status:?}");
    // Nothing is renamed onto what is there.
    let onto = lab.repo.rename(lab.repo.root(), "b.txt", "in/y.txt");
    assert!(matches!(onto, Err(RepoError::InTheWay { .. })));
}

#[test]
fn a_path_typed_in_another_case_is_what_is_tracked_there() {
    let lab = Lab::new();
    lab.write("photos/a.txt", "a").write("photos/b.txt", "b").commit("start");
    lab.write("photos/a.txt", "changed").delete("photos/b.txt");
    let add = |path: &str| lab.repo.add(lab.repo.root(), &[path.to_owned()], &Silent);
    add("PHOTOS/A.txt").unwrap();
    let staged = || -> Vec<(String, &str)> {
        let rows = lab.repo.status(&Silent).unwrap().staged;
        rows.into_iter().map(|row| (row.path, row.change)).collect()
    };
    assert_eq!(staged(), [("photos/a.txt".to_owned(), "modified")]);
    add("Photos").unwrap();
    let gone = ("photos/b.txt".to_owned(), "removed");
    assert_eq!(staged(), [("photos/a.txt".to_owned(), "modified"), gone]);
}

#[test]
fn a_file_renamed_there_and_back_is_unchanged() {
    let lab = Lab::new();
    lab.write("a.txt", "a").write("folder/b.txt", "b").commit("start");
    let rename = |old: &str, new: &str| lab.repo.rename(lab.repo.root(), old, new).unwrap();
    rename("a.txt", "c.txt");
    rename("folder", "other");
    rename("c.txt", "d.txt");
    rename("d.txt", "a.txt");
    rename("other", "folder");
    let status = lab.repo.status(&Silent).unwrap();
    assert!(status.clean, "{status:?}");
    // What was committed in between is history.
    rename("a.txt", "c.txt");
    lab.finish_with("renamed");
    rename("c.txt", "a.txt");
    assert_eq!(lab.repo.status(&Silent).unwrap().staged[0].from.as_deref(), Some("c.txt"));
}

#[test]
fn names_exchanged_and_back_are_no_change() {
    let lab = Lab::new();
    lab.write("b.txt", "b").write("c.txt", "c").commit("start");
    let rename = |old: &str, new: &str| lab.repo.rename(lab.repo.root(), old, new).unwrap();
    for _ in 0..2 {
        rename("b.txt", "t.txt");
        rename("c.txt", "b.txt");
        rename("t.txt", "c.txt");
    }
    let status = lab.repo.status(&Silent).unwrap();
    assert!(status.clean, "{status:?}");
}

#[test]
fn a_file_that_a_dead_command_was_writing_is_no_part_of_the_working_copy() {
    let lab = Lab::new();
    lab.write("d/a.txt", "1").commit("start");
    lab.branch("other").switch("other");
    lab.write("d/a.txt", "2").commit("other");
    let left = "d/.ottvc-tmp-0123456789abcdef0123456789abcdef";
    lab.write(left, "half a fil").write("d/.ottvc-tmp-mine", "kept");
    lab.repo.add(lab.repo.root(), &[".".to_owned()], &Silent).unwrap();
    let status = lab.repo.status(&Silent).unwrap();
    assert_eq!((status.staged.len(), status.untracked.len()), (1, 0), "only the other: {status:?}");
    lab.switch("main");
    assert_eq!((lab.read("d/a.txt").as_deref(), lab.read(left)), (Some("1"), None));
    assert_eq!(lab.read("d/.ottvc-tmp-mine").as_deref(), Some("kept"));
}

/// A crash came after the file was written and before the stage knew.
#[test]
fn settling_again_what_the_file_shows_already_succeeds() {
    let lab = Lab::new();
    lab.write("a.meta.json", r#"{"x": 1}"#).commit("base");
    lab.branch("other").switch("other");
    lab.write("a.meta.json", r#"{"x": 3}"#).commit("theirs");
    lab.switch("main").write("a.meta.json", r#"{"x": 2}"#).commit("ours");
    assert!(!lab.merge("other").clean);
    lab.write("a.meta.json", r#"{"x": 3}"#);
    lab.settle(Some("a.meta.json"), ottvc_merge::Choice::Theirs);
    lab.finish();
    assert_eq!(lab.field("main", "a.meta.json", "/x").as_deref(), Some("3"));
    assert!(lab.is_clean());
}

#[test]
fn the_nearest_rules_decide_and_what_is_tracked_is_never_ignored() {
    let lab = Lab::new();
    lab.write("old.log", "tracked").write("cache/kept.txt", "tracked").commit("one");
    lab.write(".ottvcignore", "*.log\ncache/\n").write("sub/.ottvcignore", "!keep.log\n");
    lab.write("new.log", "x").write("cache/new.txt", "x");
    lab.write("sub/keep.log", "x").write("sub/other.log", "x");
    let untracked = [".ottvcignore", "sub/.ottvcignore", "sub/keep.log"];
    assert_eq!(lab.repo.status(&Silent).unwrap().untracked, untracked);
    lab.write("old.log", "tracked, changed").delete("cache/kept.txt");
    let changed = lab.repo.status(&Silent).unwrap().changed;
    let changed: Vec<_> = changed.iter().map(|row| (row.path.as_str(), row.change)).collect();
    assert_eq!(changed, [("old.log", "modified"), ("cache/kept.txt", "removed")]);
    lab.commit("two");
    assert_eq!(lab.paths("main"), [untracked[0], "old.log", untracked[1], untracked[2]]);
}

#[test]
fn a_commit_of_all_finds_what_is_gone_and_what_is_called_by_another_case() {
    let lab = Lab::new();
    lab.write("Films/A.mp4", "a").write("Films/b.txt", "b").write("Gone/c.txt", "c");
    lab.write("d", "d").commit("one");
    std::fs::rename(lab.disk("Films/A.mp4"), lab.disk("Films/a.mp4")).unwrap();
    lab.delete("Films/b.txt").delete("Gone/c.txt").delete("d").write("d/e", "untracked");
    let options = CommitOptions { all: true, message: Some("two".into()), ..Default::default() };
    let done = lab.repo.record(lab.repo.root(), &options, &Silent).unwrap();
    assert_eq!((done.changed, done.files), (4, 1));
    assert_eq!(lab.paths("main"), ["Films/a.mp4"]);
    assert_eq!(lab.repo.status(&Silent).unwrap().untracked, ["d/e"]);
}

#[test]
fn a_folder_and_a_file_can_change_places() {
    let lab = Lab::new();
    lab.write("a/x", "x").write("a/y/z", "z").write("b", "b").commit("one");
    for path in ["a/x", "a/y/z", "b"] {
        lab.delete(path);
    }
    std::fs::remove_dir_all(lab.disk("a")).unwrap();
    lab.write("a", "file").write("b/c", "c").commit("two");
    assert_eq!(lab.paths("main"), ["a", "b/c"]);
    assert!(lab.is_clean());
}

#[test]
fn a_file_named_beside_its_folder_counts_once() {
    let lab = Lab::new();
    lab.write("a/x", "x").write("a.y", "y");
    let paths = ["a/x", "a", "a.y"].map(str::to_owned);
    let added = lab.repo.add(lab.repo.root(), &paths, &Silent).unwrap();
    assert_eq!((added.files, added.logical_bytes), (2, 2));
}

/// Where the system tells them apart, two folders of one key would be one folder elsewhere.
#[test]
fn folders_that_differ_in_case_are_refused_unless_one_holds_nothing() {
    let lab = Lab::new();
    lab.write("Film/a", "a").write("z", "z");
    std::fs::create_dir_all(lab.disk("film/empty")).unwrap();
    if std::fs::read_dir(lab.disk(".")).unwrap().count() < 3 {
        return;
    }
    lab.commit("one");
    assert_eq!(lab.paths("main"), ["Film/a", "z"]);
    lab.write("film/b", "b");
    let both = lab.repo.add(lab.repo.root(), &[".".to_owned()], &Silent);
    assert!(matches!(both, Err(RepoError::Collision { .. })));
}
