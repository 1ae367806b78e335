//! Damage is found, named in the user's words, and keeps nothing else from being read.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod common;

use std::collections::HashSet;
use std::sync::Arc;

use common::holey::Holey;
use common::{Lab, SMALL, noise};
use ottvc_object::commit::ConflictPlace;
use ottvc_object::manifest::{ChunkList, ChunkRef, Layout, Manifest, merkle_root};
use ottvc_object::tree::{Node, lookup_path};
use ottvc_object::{
    Commit, CommitId, ContentId, Entry, FileEntry, NamedEntry, ObjectId, RepoPath, Storable, TreeId,
};
use ottvc_refs::{RefEdit, RefName, RefTransaction, RefValue};
use ottvc_repo::checkout::CheckoutOptions;
use ottvc_repo::merging::MergeRequest;
use ottvc_repo::verify::Reading;
use ottvc_repo::verify::{Finding, VerifyReport};
use ottvc_repo::{RepoError, Silent, content};
use ottvc_store::pack::Encoder;
use ottvc_store::{DamagedThing, Held, ObjectStore};

/// A lab from which things can get lost, with a master, a longer cut of it and a tag.
fn holey_lab() -> (Lab, Arc<Holey>) {
    let store = Arc::new(Holey::default());
    let lab = Lab::over(store.clone(), Arc::clone(&store.inner));
    fill(&lab);
    (lab, store)
}

fn film_lab() -> Lab {
    let lab = Lab::new();
    fill(&lab);
    lab
}

fn fill(lab: &Lab) {
    let master = noise(1, 60_000);
    lab.write("film/feature.mp4", &master).write("film/trailer.mp4", noise(2, 9_000));
    lab.write("edition.meta.json", r#"{"rating": "12"}"#).write("tiny.txt", "hello");
    lab.commit("master");
    lab.repo.make_tag("v1", None).unwrap();
    lab.branch("cut").switch("cut");
    let longer = [&master[..30_000], &noise(3, 9_000), &master[30_000..]].concat();
    lab.write("film/feature.mp4", &longer).commit("longer");
    lab.switch("main");
}

fn verify(lab: &Lab) -> VerifyReport {
    lab.repo.verify(Reading::Everything, &Silent).unwrap()
}

fn tree_of(lab: &Lab, rev: &str) -> TreeId {
    lab.repo.commit(lab.repo.resolve(rev).unwrap().id).unwrap().tree
}

fn entry(lab: &Lab, rev: &str, path: &str) -> Entry {
    let path = RepoPath::new(path).unwrap();
    lookup_path(lab.repo.nodes(), tree_of(lab, rev), &path).unwrap().unwrap().entry
}

fn content_of(lab: &Lab, rev: &str, path: &str) -> ContentId {
    match entry(lab, rev, path) {
        Entry::File(file) => file.content,
        other => panic!("{other:?}"),
    }
}

fn chunks_of(lab: &Lab, rev: &str, path: &str) -> Vec<ChunkRef> {
    let mut chunks = Vec::new();
    content::chunks(&*lab.store, content_of(lab, rev, path), &mut |at| {
        chunks.push(at.chunk);
        Ok(())
    })
    .unwrap();
    chunks
}

/// The only finding there is, of all lists.
fn only(report: &VerifyReport) -> &Finding {
    assert!(!report.clean);
    let all: Vec<&Finding> = report.damaged.iter().chain(&report.missing).collect();
    let [finding] = all[..] else { panic!("{report:#?}") };
    finding
}

#[test]
fn a_whole_repository_is_clean() {
    let lab = film_lab();
    let report = verify(&lab);
    assert!(report.clean, "{report:#?}");
    let mut held = (0, 0);
    lab.store
        .scan(&mut |thing| {
            match thing {
                Held::Object { .. } => held.0 += 1,
                Held::Chunk { .. } => held.1 += 1,
            }
            Ok(())
        })
        .unwrap();
    assert_eq!((report.objects, report.chunks), held);
    assert_eq!(report.bytes, lab.store.usage().unwrap().pack_bytes);
    assert_eq!(report.files, 4);
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!((&json["damaged"], &json["missing"]), (&serde_json::json!([]), &json["damaged"]));
    assert!(json.get("sample").is_none());
}

#[test]
fn a_repository_without_commits_is_clean() {
    let report = verify(&Lab::new());
    assert!(report.clean, "{report:#?}");
}

#[test]
fn a_damaged_chunk_names_every_file_that_has_it() {
    let lab = film_lab();
    let first = chunks_of(&lab, "main", "film/feature.mp4")[0].id;
    assert_eq!(chunks_of(&lab, "cut", "film/feature.mp4")[0].id, first);
    lab.store.damage(DamagedThing::Chunk(first));
    let report = verify(&lab);
    let finding = only(&report);
    assert_eq!((finding.kind, finding.id.clone()), ("chunk", Some(first.to_string())));
    let places = ["cut:film/feature.mp4", "main:film/feature.mp4", "v1:film/feature.mp4"];
    assert_eq!(finding.affects, places);
    assert!(report.missing.is_empty());
    // Everything else can still be read.
    assert_eq!(lab.cat("cut", "film/trailer.mp4"), noise(2, 9_000));
    let error = lab.repo.cat(
        "main",
        &RepoPath::new("film/feature.mp4").unwrap(),
        None,
        None,
        &mut Vec::new(),
    );
    assert_eq!(error.unwrap_err().code(), "store.damaged");

    let json = serde_json::to_value(finding).unwrap();
    assert_eq!(json["affects"], serde_json::json!(places));
    // Adding the same bytes again mends it.
    let raw = noise(1, 60_000);
    let again = Encoder::default().chunk(
        &raw[..usize::try_from(chunks_of(&lab, "main", "film/feature.mp4")[0].len).unwrap()],
    );
    let mut writer = lab.store.writer().unwrap();
    assert!(writer.put_chunk(again.unwrap()).unwrap());
    writer.finish().unwrap();
    assert!(verify(&lab).clean);
}

#[test]
fn a_lost_chunk_is_missing() {
    let (lab, store) = holey_lab();
    let new = chunks_of(&lab, "cut", "film/feature.mp4");
    let old = chunks_of(&lab, "main", "film/feature.mp4");
    let lost = new.iter().find(|chunk| !old.contains(chunk)).unwrap().id;
    store.lose(lost.0);
    let report = verify(&lab);
    assert!(report.damaged.is_empty(), "{report:#?}");
    assert_eq!(only(&report).kind, "chunk");
    assert_eq!(only(&report).affects, ["cut:film/feature.mp4"]);
}

#[test]
fn what_only_history_has_is_named_by_its_newest_commit() {
    let lab = film_lab();
    lab.write("film/trailer.mp4", noise(4, 8_000)).commit("new trailer");
    let kept = lab.repo.resolve("main").unwrap().id;
    lab.write("film/trailer.mp4", noise(5, 8_000)).commit("another");
    lab.store.damage(DamagedThing::Chunk(chunks_of(&lab, "main~1", "film/trailer.mp4")[0].id));
    assert_eq!(only(&verify(&lab)).affects, [format!("{}:film/trailer.mp4", kept.short())]);
}

#[test]
fn what_only_an_undone_commit_has_is_checked_too() {
    let lab = film_lab();
    lab.write("oops.bin", noise(6, 5_000)).commit("a mistake");
    let undone = lab.repo.resolve("main").unwrap().id;
    let chunk = chunks_of(&lab, "main", "oops.bin")[0].id;
    lab.repo.undo(None, &Silent).unwrap();
    lab.repo.remove(lab.repo.root(), &["oops.bin".to_owned()], false, true).unwrap();
    lab.store.damage(DamagedThing::Chunk(chunk));
    assert_eq!(only(&verify(&lab)).affects, [format!("{}:oops.bin", undone.short())]);
}

#[test]
fn what_is_only_staged_is_named_as_the_working_copy() {
    let lab = film_lab();
    lab.write("new.bin", noise(6, 5_000));
    lab.repo.add(lab.repo.root(), &["new.bin".to_owned()], &Silent).unwrap();
    let chunk = {
        let mut found = None;
        lab.store
            .scan(&mut |held| {
                if let Held::Chunk { id, .. } = held {
                    let mut raw = Vec::new();
                    lab.store.read_chunks(&[id], &mut |_, bytes| {
                        raw.extend_from_slice(bytes);
                        Ok(())
                    })?;
                    if noise(6, 5_000).starts_with(&raw) {
                        found = Some(id);
                    }
                }
                Ok(())
            })
            .unwrap();
        found.unwrap()
    };
    lab.store.damage(DamagedThing::Chunk(chunk));
    assert_eq!(only(&verify(&lab)).affects, ["(working copy):new.bin"]);
}

#[test]
fn damage_that_affects_nothing_is_still_damage() {
    let lab = film_lab();
    let raw = noise(7, 1_000);
    let chunk = Encoder::default().chunk(&raw).unwrap();
    let id = chunk.id;
    let mut writer = lab.store.writer().unwrap();
    writer.put_chunk(chunk).unwrap();
    writer.finish().unwrap();
    assert!(verify(&lab).clean);
    lab.store.damage(DamagedThing::Chunk(id));
    let report = verify(&lab);
    assert_eq!((only(&report).id.clone(), only(&report).affects.len()), (Some(id.to_string()), 0));
}

#[test]
fn damaged_trees_name_the_folder() {
    let lab = film_lab();
    let Entry::Tree { id: folder, .. } = entry(&lab, "main", "film") else { panic!() };
    lab.store.damage(DamagedThing::Object(folder.into()));
    let report = verify(&lab);
    assert_eq!(
        (only(&report).kind, &only(&report).affects[..]),
        ("tree", &["main:film/", "v1:film/"].map(str::to_owned)[..])
    );

    let lab = film_lab();
    lab.store.damage(DamagedThing::Object(tree_of(&lab, "cut").into()));
    assert_eq!(only(&verify(&lab)).affects, ["cut:"]);
}

#[test]
fn damaged_commits_name_whose_history_they_are_in() {
    let lab = film_lab();
    let first = lab.repo.resolve("v1").unwrap().id;
    lab.store.damage(DamagedThing::Object(first.into()));
    let report = verify(&lab);
    assert_eq!(
        (only(&report).kind, &only(&report).affects[..]),
        ("commit", &["cut", "main", "v1"].map(str::to_owned)[..])
    );

    let (lab, store) = holey_lab();
    let head = lab.repo.resolve("cut").unwrap().id;
    store.lose(head.0);
    let report = verify(&lab);
    assert_eq!(
        (&report.missing[..], &only(&report).affects[..]),
        (&[only(&report).clone()][..], &["cut".to_owned()][..])
    );
}

#[test]
fn documents_manifests_and_pages_name_their_path() {
    let objects = |lab: &Lab| -> Vec<(ObjectId, &'static str, &'static str)> {
        let Entry::Document { id: document, .. } = entry(lab, "main", "edition.meta.json") else {
            panic!()
        };
        let long =
            lab.store.manifest_of(content_of(lab, "cut", "film/feature.mp4")).unwrap().unwrap();
        let manifest = Manifest::from_object(&lab.store.get(long).unwrap()).unwrap();
        let Layout::Plain { chunks: ChunkList::Paged { root, .. }, .. } = manifest.layout else {
            panic!("the file is too small for this test")
        };
        vec![
            (document.into(), "document", "edition.meta.json"),
            (long, "manifest", "film/feature.mp4"),
            (root.into(), "page", "film/feature.mp4"),
        ]
    };
    for index in 0..3 {
        for lose in [true, false] {
            let (lab, store) = holey_lab();
            let (id, kind, path) = objects(&lab)[index];
            if lose {
                store.lose(id.0)
            } else {
                lab.store.damage(DamagedThing::Object(id))
            };
            let report = verify(&lab);
            let finding = only(&report);
            assert_eq!(finding.kind, kind);
            assert!(finding.affects.contains(&format!("cut:{path}")), "{finding:?}");
            assert_eq!(report.missing.is_empty(), !lose);
        }
    }
}

#[test]
fn every_damaged_thing_is_found_in_one_go() {
    let lab = film_lab();
    let film = chunks_of(&lab, "main", "film/feature.mp4")[0].id;
    let trailer = chunks_of(&lab, "main", "film/trailer.mp4")[0].id;
    let Entry::Document { id: document, .. } = entry(&lab, "main", "edition.meta.json") else {
        panic!()
    };
    let things = [
        DamagedThing::Chunk(film),
        DamagedThing::Chunk(trailer),
        DamagedThing::Object(document.into()),
    ];
    things.into_iter().for_each(|thing| lab.store.damage(thing));
    let report = verify(&lab);
    let found: HashSet<_> =
        report.damaged.iter().filter_map(|finding| finding.id.clone()).collect();
    let ids = [film.to_string(), trailer.to_string(), document.to_string()];
    assert_eq!(found, HashSet::from(ids));
    assert!(report.damaged.iter().all(|finding| finding.affects.len() == 3), "{report:#?}");
    assert_eq!(report.files, 1, "only one file has no damage");
}

#[test]
fn sides_of_a_conflict_are_checked() {
    let lab = film_lab();
    lab.write("film/trailer.mp4", noise(8, 9_000)).commit("ours");
    lab.switch("cut");
    lab.write("film/trailer.mp4", noise(9, 9_000)).commit("theirs");
    let theirs = chunks_of(&lab, "cut", "film/trailer.mp4")[0].id;
    lab.switch("main");
    let request = MergeRequest { allow_conflicts: true, ..MergeRequest::default() };
    lab.repo.merge("cut", &request, &Silent).unwrap();
    assert!(verify(&lab).clean);
    lab.store.damage(DamagedThing::Chunk(theirs));
    let places = ["cut:film/trailer.mp4", "main:film/trailer.mp4"];
    assert_eq!(only(&verify(&lab)).affects, places);
}

/// Stores an object and returns its id.
fn put<T: Storable>(lab: &Lab, value: &T) -> T::Id {
    let object = value.to_object().unwrap();
    let mut writer = lab.store.writer().unwrap();
    writer.put(&object).unwrap();
    writer.finish().unwrap();
    object.id().into()
}

#[test]
fn chunks_that_make_another_file_are_found() {
    let lab = film_lab();
    let content = content_of(&lab, "main", "film/trailer.mp4");
    // Every chunk is whole and the root is right; only the file is not what its content id says.
    let mut chunks = chunks_of(&lab, "main", "film/trailer.mp4");
    chunks.reverse();
    assert!((2..=16).contains(&chunks.len()), "{}", chunks.len());
    let forged = Manifest {
        content,
        len: 9_000,
        merkle_root: merkle_root(chunks.iter().map(|chunk| chunk.id)),
        sha256: None,
        layout: Layout::Plain { rule: SMALL, chunks: ChunkList::Inline(chunks) },
    };
    put(&lab, &forged);
    let report = verify(&lab);
    let finding = only(&report);
    assert_eq!((finding.kind, finding.id.clone()), ("file", Some(content.to_string())));
    assert_eq!(finding.affects.len(), 3);
    assert_eq!(report.files, 3);

    put(&lab, &Manifest { merkle_root: [7; 32], ..forged });
    assert_eq!(only(&verify(&lab)).kind, "manifest");
}

/// Moves `main` to a commit of `tree`, whatever it holds.
fn force(lab: &Lab, tree: TreeId) {
    let parent = lab.repo.resolve("main").unwrap().id;
    let below: Commit = lab.repo.commit(parent).unwrap();
    let generation = below.generation + 1;
    point(lab, put(lab, &Commit { tree, parents: vec![parent], generation, ..below }));
}

/// Moves `main` to a commit.
fn point(lab: &Lab, id: CommitId) {
    let main = RefName::branch("main").unwrap();
    let old = lab.repo.refs().get(&main).unwrap().unwrap();
    let new = RefValue { target: Some(id), ..old.clone() };
    lab.repo
        .refs()
        .transact(&RefTransaction {
            write_id: [9; 16],
            edits: vec![RefEdit { name: main, old: Some(old), new: Some(new) }],
            command: "commit".into(),
            summary: "forged".into(),
            actor: "test".into(),
            time: 0,
            undoes: None,
        })
        .unwrap();
}

/// The entries of the root of `rev`, all in one node.
fn root_entries(lab: &Lab, rev: &str) -> Vec<NamedEntry> {
    let object = lab.store.get(tree_of(lab, rev).into()).unwrap();
    match Node::from_object(&object).unwrap() {
        Node::Leaf { entries } => entries,
        Node::Inner { .. } => panic!("the root has several nodes"),
    }
}

#[test]
fn trees_that_say_what_is_not_so_are_found() {
    let forge = |change: &dyn Fn(&mut Entry)| {
        let lab = film_lab();
        let mut entries = root_entries(&lab, "main");
        entries.iter_mut().for_each(|named| change(&mut named.entry));
        let forged: TreeId = put(&lab, &Node::Leaf { entries });
        force(&lab, forged);
        let report = verify(&lab);
        let finding = only(&report).clone();
        assert_eq!((finding.kind, finding.id), ("tree", Some(forged.to_string())));
        assert_eq!(finding.affects, ["main:"]);
        finding.why
    };
    let why = forge(&|entry| {
        if let Entry::File(FileEntry { len, .. }) = entry {
            *len += 1;
        }
    });
    assert!(why.contains("gives 6 bytes"), "{why}");
    let why = forge(&|entry| {
        if let Entry::Document { len, .. } = entry {
            *len += 1;
        }
    });
    assert!(why.contains("wrong length to document"), "{why}");
    let why = forge(&|entry| {
        if let Entry::Tree { totals, .. } = entry {
            totals.bytes += 1;
        }
    });
    assert!(why.contains("is not so"), "{why}");
}

/// A lab whose `main` has a conflict in a document and one of files, in a commit that changed neither.
fn disputed_lab() -> Lab {
    let lab = film_lab();
    lab.write("edition.meta.json", r#"{"rating": "16"}"#).write("tiny.txt", "moin").commit("ours");
    lab.switch("cut");
    lab.write("edition.meta.json", r#"{"rating": "18"}"#).write("tiny.txt", "bye").commit("theirs");
    lab.switch("main");
    let request = MergeRequest { allow_conflicts: true, ..MergeRequest::default() };
    assert!(lab.repo.merge("cut", &request, &Silent).unwrap().commit.is_some());
    lab.write("more.txt", "more").commit("later");
    lab
}

#[test]
fn commits_that_hide_or_invent_conflicts_are_found() {
    assert!(verify(&disputed_lab()).clean);
    let why = |change: &dyn Fn(&mut Commit)| {
        let lab = disputed_lab();
        let mut commit = lab.repo.commit(lab.repo.resolve("main").unwrap().id).unwrap();
        assert_eq!(commit.conflicts.len(), 2);
        change(&mut commit);
        let id: CommitId = put(&lab, &commit);
        point(&lab, id);
        let report = verify(&lab);
        let finding = only(&report).clone();
        assert_eq!((finding.kind, finding.id), ("commit", Some(id.to_string())));
        assert_eq!(finding.affects, ["main"]);
        finding.why
    };
    let hides = why(&|commit| drop(commit.conflicts.remove(0)));
    assert!(hides.ends_with("hides `edition.meta.json#/rating`"), "{hides}");
    let hides = why(&|commit| commit.conflicts.clear());
    assert!(hides.ends_with("hides `edition.meta.json#/rating` and 1 more"), "{hides}");
    let invents = why(&|commit| {
        let path = RepoPath::new("more.txt").unwrap();
        commit.conflicts.push(ConflictPlace { path, field: None });
        commit.conflicts.sort();
    });
    assert!(invents.ends_with("invents `more.txt`"), "{invents}");
}

#[test]
fn a_file_that_no_manifest_keeps_is_missing() {
    let lab = film_lab();
    let content = ContentId::of(b"never stored");
    let mut entries = root_entries(&lab, "main");
    for named in &mut entries {
        if let Entry::File(file) = &mut named.entry {
            *file = FileEntry { content, len: 12, ..*file };
        }
    }
    let tree = put(&lab, &Node::Leaf { entries });
    force(&lab, tree);
    let report = verify(&lab);
    assert_eq!((only(&report).kind, report.missing.len()), ("file", 1));
    assert_eq!(only(&report).affects, ["main:tiny.txt"]);
}

#[test]
fn a_sample_reads_some_chunks_and_all_structure() {
    let lab = film_lab();
    let all = verify(&lab).chunks;
    let before = lab.store.counts().chunks_read;
    let report = lab.repo.verify(Reading::Sample(10.0), &Silent).unwrap();
    assert!(report.clean && (1..all).contains(&report.chunks), "{report:#?}");
    assert_eq!(lab.store.counts().chunks_read - before, report.chunks);
    assert_eq!((report.sample, report.files), (Some(10.0), 0));

    let chunks = chunks_of(&lab, "main", "film/trailer.mp4");
    lab.store.damage(DamagedThing::Chunk(chunks[0].id));
    lab.store.damage(DamagedThing::Chunk(chunks[1].id));
    let report = lab.repo.verify(Reading::Sample(100.0), &Silent).unwrap();
    assert_eq!((report.damaged.len(), report.chunks), (2, all - 2), "{report:#?}");
    assert_eq!(report.damaged[0].affects.len(), 3);

    lab.store.damage(DamagedThing::Object(tree_of(&lab, "main").into()));
    let report = lab.repo.verify(Reading::Sample(0.001), &Silent).unwrap();
    assert!(report.damaged.iter().any(|finding| finding.kind == "tree"), "{report:#?}");

    for percent in [0.0, -1.0, 100.1, f64::NAN, f64::INFINITY] {
        let error = lab.repo.verify(Reading::Sample(percent), &Silent).unwrap_err();
        assert!(matches!(error, RepoError::BadArgument { .. }), "{percent}");
    }
}

#[test]
fn files_beside_the_damage_can_be_checked_out() {
    let lab = film_lab();
    lab.store.damage(DamagedThing::Chunk(chunks_of(&lab, "main", "film/trailer.mp4")[0].id));
    let to = lab.disk("out");
    let only = vec!["film/feature.mp4".to_owned()];
    let options = CheckoutOptions { only, ..CheckoutOptions::default() };
    lab.repo.checkout("main", &to, &options, &Silent).unwrap();
    assert_eq!(std::fs::read(to.join("film/feature.mp4")).unwrap(), noise(1, 60_000));
}
