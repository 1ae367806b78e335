//! Folders looked at as one: cheaper, and nothing that changed in them is missed.
#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

mod common;

use common::Lab;
use ottvc_repo::Silent;
use ottvc_repo::record::CommitOptions;
use proptest::prelude::*;

/// Folders of files, and beside them one with a folder in it.
fn library(folders: usize) -> Lab {
    let lab = Lab::new();
    for number in 0..folders * 4 {
        lab.write(&format!("title/f{:03}/{}.json", number / 4, number % 4), number.to_string());
    }
    lab.write("title/extras/cut/a.json", "1").write("title/extras/b.json", "2");
    lab
}

/// What `status` says, of the lab and of a process that looks at every file.
fn compare(lab: &Lab) {
    let [seen, fresh] = [lab.repo.status(&Silent), lab.forgetful().status(&Silent)].map(|status| {
        status
            .map(|mut status| {
                status.changed.sort_by(|a, b| a.path.cmp(&b.path));
                format!("{status:?}")
            })
            .map_err(|error| error.to_string())
    });
    assert_eq!(seen, fresh);
}

#[test]
fn what_did_not_change_costs_no_look_at_the_tree() {
    let lab = library(200);
    lab.commit("library");
    for tracked_only in [false, true] {
        let repo = lab.elsewhere();
        let added = match tracked_only {
            false => repo.add(repo.root(), &[".".to_owned()], &Silent).unwrap().files,
            true => {
                let options = CommitOptions {
                    message: Some("nothing".into()),
                    all: true,
                    allow_empty: true,
                    ..CommitOptions::default()
                };
                repo.record(repo.root(), &options, &Silent).unwrap().files
            }
        };
        assert_eq!(added, 802);
        assert!(repo.nodes().reads() < 20, "{} of 200 folders", repo.nodes().reads());
    }
    // The row of a folder in which something changed is made again by whoever looks at it next.
    lab.write("title/f007/1.json", "changed");
    lab.commit("one");
    assert!(lab.is_clean());
    let repo = lab.elsewhere();
    assert!(repo.status(&Silent).unwrap().clean);
    assert!(repo.nodes().reads() < 20, "{} of 200 folders", repo.nodes().reads());
}

/// Something a person, a program or a command does.
#[derive(Clone, Copy, Debug)]
enum Act {
    Write(u8),
    WriteSameLength(u8),
    Remove(u8),
    Swap(u8),
    MakeExecutable(u8),
    Link(u8),
    NewFile(u8),
    NewFolder(u8),
    FileForFolder(u8),
    Recase(u8),
    RecaseFolder(u8),
    Ignore(u8),
    Stage,
    StageOne(u8),
    Commit,
    CommitAll,
    Switch(bool),
    Look,
}

fn act() -> impl Strategy<Value = Act> {
    use Act::*;
    prop_oneof![
        any::<u8>().prop_map(Write),
        any::<u8>().prop_map(WriteSameLength),
        any::<u8>().prop_map(Remove),
        any::<u8>().prop_map(Swap),
        any::<u8>().prop_map(MakeExecutable),
        any::<u8>().prop_map(Link),
        any::<u8>().prop_map(NewFile),
        any::<u8>().prop_map(NewFolder),
        any::<u8>().prop_map(FileForFolder),
        any::<u8>().prop_map(Recase),
        any::<u8>().prop_map(RecaseFolder),
        any::<u8>().prop_map(Ignore),
        Just(Stage),
        any::<u8>().prop_map(StageOne),
        Just(Commit),
        Just(CommitAll),
        any::<bool>().prop_map(Switch),
        Just(Look),
    ]
}

fn place(of: u8) -> (String, String) {
    let folder = format!("title/f{:03}", of % 3);
    let file = format!("{folder}/{}.json", of / 3 % 4);
    (folder, file)
}

/// Does it. What cannot be done is not: the file is gone, the command refuses.
fn play(lab: &Lab, act: Act, step: usize) {
    let here = |name: &str| lab.disk(name);
    let write = |name: &str, text: String| {
        if here(name).parent().is_some_and(|folder| folder.is_dir()) && !here(name).is_dir() {
            let _ = std::fs::remove_file(here(name));
            lab.write(name, text);
        }
    };
    match act {
        Act::Write(of) => write(&place(of).1, format!("step {step}")),
        Act::WriteSameLength(of) => {
            if let Some(text) = lab.read(&place(of).1) {
                // In place: inode and length stay.
                lab.write(&place(of).1, text.replace(|_| true, &(step % 10).to_string()));
            }
        }
        Act::Remove(of) => drop(std::fs::remove_file(here(&place(of).1))),
        Act::Swap(of) => {
            let (one, other) = (here(&place(of).1), here(&place(of.wrapping_add(3)).1));
            let third = here("title/third");
            let _ = std::fs::rename(&one, &third);
            let _ = std::fs::rename(&other, &one);
            let _ = std::fs::rename(&third, &other);
        }
        #[cfg(unix)]
        Act::MakeExecutable(of) => {
            use std::os::unix::fs::PermissionsExt;
            let mode =
                std::fs::Permissions::from_mode(if step.is_multiple_of(2) { 0o755 } else { 0o644 });
            let _ = std::fs::set_permissions(here(&place(of).1), mode);
        }
        #[cfg(unix)]
        Act::Link(of) => {
            let _ = std::fs::remove_file(here(&place(of).1));
            let _ = std::os::unix::fs::symlink(format!("to-{step}"), here(&place(of).1));
        }
        #[cfg(not(unix))]
        Act::MakeExecutable(_) | Act::Link(_) => {}
        Act::NewFile(of) => write(&format!("{}/new-{}", place(of).0, step % 2), "new".into()),
        Act::NewFolder(of) => {
            let folder = place(of).0;
            if here(&folder).is_dir() {
                lab.write(&format!("{folder}/in/{}", step % 2), step.to_string());
            }
        }
        Act::FileForFolder(of) => {
            let folder = place(of).0;
            if here(&folder).is_dir() {
                std::fs::remove_dir_all(here(&folder)).unwrap();
                lab.write(&folder, "no folder");
            } else {
                let _ = std::fs::remove_file(here(&folder));
                lab.write(&format!("{folder}/0.json"), step.to_string());
            }
        }
        Act::Recase(of) => {
            let (folder, file) = place(of);
            let other = format!("{folder}/{}.JSON", of / 3 % 4);
            let _ = std::fs::rename(here(&file), here(&other))
                .or_else(|_| std::fs::rename(here(&other), here(&file)));
        }
        Act::RecaseFolder(of) => {
            let (folder, other) = (place(of).0, format!("title/F{:03}", of % 3));
            if !here(&folder).exists() || !here(&other).exists() {
                let _ = std::fs::rename(here(&folder), here(&other))
                    .or_else(|_| std::fs::rename(here(&other), here(&folder)));
            }
        }
        Act::Ignore(of) => write(".ottvcignore", format!("{}.json\n", of % 5)),
        Act::Stage => drop(lab.repo.add(lab.repo.root(), &[".".to_owned()], &Silent)),
        Act::StageOne(of) => drop(lab.repo.add(lab.repo.root(), &[place(of).1], &Silent)),
        Act::Commit | Act::CommitAll => {
            let all = matches!(act, Act::CommitAll);
            let message = Some(format!("step {step}"));
            let options = CommitOptions { message, all, ..CommitOptions::default() };
            drop(lab.repo.record(lab.repo.root(), &options, &Silent));
        }
        Act::Switch(other) => {
            let to = if other { "other" } else { "main" };
            drop(lab.repo.switch(to, false, false, &Silent));
        }
        Act::Look => drop(lab.repo.status(&Silent)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(debug_assertions) { 24 } else { 96 }, ..ProptestConfig::default() })]

    /// Whatever happens, what is seen is what somebody sees who looks at every file.
    #[test]
    fn nothing_that_changed_is_missed(acts in prop::collection::vec(act(), 1..24)) {
        let lab = library(3);
        lab.commit("library");
        lab.branch("other");
        lab.write("title/f001/0.json", "main's");
        lab.commit("one");
        for (step, act) in acts.into_iter().enumerate() {
            play(&lab, act, step);
            compare(&lab);
        }
    }
}
