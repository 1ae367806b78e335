//! Who holds which bytes: rows that add up, deletions foretold, and why things are shared.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use common::holey::Holey;
use common::{Lab, noise};
use ottvc_object::manifest::{ChunkList, Manifest};
use ottvc_object::tree::sequence::Page;
use ottvc_object::tree::{EMPTY_TREE, Node};
use ottvc_object::{ChunkId, Commit, CommitId, Entry, Kind, Object, ObjectId, RepoPath, Storable};
use ottvc_repo::audit::{DedupeReport, ExplainReport, FileShare, GroupBy, PathShare, Row};
use ottvc_repo::{RepoError, Silent};
use ottvc_store::memory::MemoryStore;
use ottvc_store::pack::Encoder;
use ottvc_store::{DamagedThing, ObjectStore};

/// A repository with history, two editions, a tag, something staged, something undone, and leftovers.
fn busy_lab() -> Lab {
    let lab = Lab::new();
    let master = noise(1, 60_000);
    lab.write("feature.mp4", &master).write("sound/en.wav", noise(2, 20_000));
    lab.write("edition.meta.json", r#"{"title": {"en": "Northern Light", "de": "Nordlicht"}}"#);
    lab.write("run.sh", "echo hello").commit("master");
    lab.repo.make_tag("v1", None).unwrap();
    lab.branch("cut").switch("cut");
    let mut cut = master.clone();
    cut.splice(30_000..30_000, noise(3, 9_000));
    lab.write("feature.mp4", &cut).write("notes.txt", noise(4, 5_000)).commit("longer");
    lab.branch("regional/de").switch("regional/de");
    lab.write("sound/de.wav", noise(5, 15_000));
    lab.write("edition.meta.json", r#"{"title": "Nordlicht"}"#).commit("dub");
    lab.switch("main");
    lab.write("sound/en.wav", noise(6, 18_000)).commit("new mix");
    lab.write("undone.bin", noise(7, 7_000)).commit("a mistake");
    lab.repo.undo(None, &Silent).unwrap();
    lab.delete("undone.bin").write("staged.bin", noise(8, 6_000));
    lab.repo.add(lab.repo.root(), &[".".to_owned()], &Silent).unwrap();
    let mut writer = lab.store.writer().unwrap();
    writer.put_chunk(Encoder::default().chunk(&noise(9, 3_000)).unwrap()).unwrap();
    writer.finish().unwrap();
    lab
}

fn dedupe(lab: &Lab, by: GroupBy) -> DedupeReport {
    lab.repo.dedupe(by, &[], &Silent).unwrap()
}

fn row<'r>(report: &'r DedupeReport, name: &str) -> &'r Row {
    let found = report.rows.iter().find(|row| row.name == name);
    found.unwrap_or_else(|| panic!("no row {name} in {:#?}", report.rows))
}

/// Raw bytes of everything `head` reaches, by id: written apart from the product, and slowly.
fn reached(store: &MemoryStore, head: CommitId) -> BTreeMap<[u8; 32], u64> {
    let mut found = BTreeMap::new();
    let mut waiting: Vec<ObjectId> = vec![head.into()];
    // A file of one chunk has no manifest: it is that chunk.
    let lone = std::cell::RefCell::new(Vec::new());
    let entries = |entry: &Entry, waiting: &mut Vec<ObjectId>| match *entry {
        Entry::File(file) => match store.manifest_of(file.content).unwrap() {
            Some(manifest) => waiting.push(manifest),
            None => lone.borrow_mut().push((file.content.0, file.len)),
        },
        Entry::Document { id, .. } => waiting.push(id.into()),
        Entry::Tree { id, .. } => waiting.push(id.into()),
        Entry::Conflict(id) => waiting.push(id.into()),
    };
    while let Some(id) = waiting.pop() {
        if id == EMPTY_TREE.into() || found.contains_key(&id.0) {
            continue;
        }
        let object: Object = store.get(id).unwrap();
        found.insert(id.0, object.bytes().len() as u64);
        let mut chunks = Vec::new();
        match object.kind() {
            Kind::Commit => {
                let commit = Commit::from_object(&object).unwrap();
                waiting.push(commit.tree.into());
                waiting.extend(commit.parents.into_iter().map(ObjectId::from));
            }
            Kind::Tree => match Node::from_object(&object).unwrap() {
                Node::Leaf { entries: all } => {
                    all.iter().for_each(|named| entries(&named.entry, &mut waiting));
                }
                Node::Inner { children, .. } => {
                    waiting.extend(children.into_iter().map(|child| ObjectId::from(child.id)));
                }
            },
            Kind::Manifest => {
                match Manifest::from_object(&object).unwrap().layout.chunks().clone() {
                    ChunkList::Inline(list) => chunks = list,
                    ChunkList::Paged { root, .. } => waiting.push(root.into()),
                }
            }
            Kind::Page => match Page::from_object(&object).unwrap() {
                Page::Leaf { chunks: list } => chunks = list,
                Page::Inner { children, .. } => {
                    waiting.extend(children.into_iter().map(|child| ObjectId::from(child.id)));
                }
            },
            Kind::Document | Kind::Conflict => {}
        }
        found.extend(chunks.iter().map(|chunk| (chunk.id.0, u64::from(chunk.len))));
    }
    found.extend(lone.take());
    found
}

fn head(lab: &Lab, name: &str) -> CommitId {
    lab.repo.resolve(name).unwrap().id
}

#[test]
fn every_grouping_adds_up_to_the_byte() {
    let lab = busy_lab();
    let held = lab.store.usage().unwrap().pack_bytes;
    for (word, by) in GroupBy::ALL {
        assert_eq!(word.parse::<GroupBy>().unwrap(), by);
        let DedupeReport { rows, total, freed_if_deleted } = dedupe(&lab, by);
        let sum = |of: fn(&Row) -> u64| rows.iter().map(of).sum::<u64>();
        assert_eq!(sum(|row| row.stored_bytes), held, "{word}");
        assert_eq!(total.stored_bytes, held, "{word}");
        assert_eq!(sum(|row| row.unique_bytes), total.unique_bytes, "{word}");
        assert_eq!(sum(|row| row.logical_bytes), total.logical_bytes, "{word}");
        assert_eq!(
            rows.iter().map(|row| row.saved_bytes).sum::<i64>(),
            total.saved_bytes,
            "{word}"
        );
        assert_eq!(freed_if_deleted, None);
        // What no ref reaches is the same whatever refs are grouped by.
        let special = |name: &str| {
            let row = rows.iter().find(|row| row.name == name).unwrap();
            assert_eq!((row.kind, row.shared_bytes), ("rest", 0), "{word}");
            row.unique_bytes
        };
        assert!((6_000..8_000).contains(&special("(working copy)")), "{word}");
        assert!((7_000..9_000).contains(&special("(operations)")), "{word}");
        assert!((3_000..5_000).contains(&special("(unreachable)")), "{word}");
        assert_eq!(special("(pack overhead)"), 0, "{word}");
        // Raw bytes of everything once, whoever has them.
        let raw = total.unique_bytes + total.shared_bytes;
        let branches = dedupe(&lab, GroupBy::Branch).total;
        assert_eq!(raw, branches.unique_bytes + branches.shared_bytes, "{word}");
    }
    assert!("colour".parse::<GroupBy>().is_err());
}

#[test]
fn a_branch_holds_what_its_history_reaches() {
    let lab = busy_lab();
    let report = dedupe(&lab, GroupBy::Branch);
    let names = ["cut", "main", "regional/de", "v1"];
    let shown: Vec<&str> = report.rows.iter().map(|row| row.name.as_str()).take(4).collect();
    assert_eq!(shown, names);
    let held = names.map(|name| reached(&lab.store, head(&lab, name)));
    for (index, name) in names.into_iter().enumerate() {
        let elsewhere: BTreeSet<_> = held
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != index)
            .flat_map(|(_, held)| held.keys())
            .collect();
        let (shared, unique): (Vec<_>, Vec<_>) =
            held[index].iter().partition(|(id, _)| elsewhere.contains(id));
        let sum = |things: Vec<(&[u8; 32], &u64)>| things.iter().map(|(_, len)| **len).sum::<u64>();
        let row = row(&report, name);
        assert_eq!((row.unique_bytes, row.shared_bytes), (sum(unique), sum(shared)), "{name}");
        assert_eq!(row.commit, Some(head(&lab, name).to_string()));
    }
    let main = row(&report, "main");
    let document = lab.repo.document("main", &RepoPath::new("edition.meta.json").unwrap()).unwrap();
    let document = document.to_object().unwrap().bytes().len() as u64;
    assert_eq!((main.kind, main.files), ("branch", 4));
    assert_eq!(main.logical_bytes, 60_000 + 18_000 + 10 + document);
    assert_eq!(row(&report, "v1").kind, "tag");
    // Three editions of one film: most is stored once.
    assert!(report.total.saved_bytes > 60_000, "{:?}", report.total);
}

#[test]
fn bytes_shared_by_rows_are_split_evenly() {
    let lab = Lab::new();
    lab.write("a.bin", noise(1, 3_000)).commit("a");
    lab.branch("b").branch("c");
    let report = dedupe(&lab, GroupBy::Branch);
    let held = lab.store.usage().unwrap().pack_bytes;
    let stored: Vec<u64> = report.rows.iter().take(3).map(|row| row.stored_bytes).collect();
    let rest: u64 = report.rows.iter().skip(3).map(|row| row.stored_bytes).sum();
    assert_eq!(stored.iter().sum::<u64>() + rest, held);
    assert!(stored.is_sorted_by(|a, b| a >= b), "odd bytes go to the first rows: {stored:?}");
    assert!(stored[0] - stored[2] <= 10, "{stored:?}");
    assert!(report.rows.iter().take(3).all(|row| row.unique_bytes == 0));
}

#[test]
fn titles_paths_commits_and_types_have_their_rows() {
    let lab = busy_lab();
    let titles = dedupe(&lab, GroupBy::Title);
    assert_eq!(row(&titles, "Northern Light").detail.as_deref(), Some("cut, main, v1"));
    assert_eq!(row(&titles, "Nordlicht").detail.as_deref(), Some("regional/de"));

    let paths = dedupe(&lab, GroupBy::Path);
    let feature = row(&paths, "feature.mp4");
    assert_eq!((feature.files, feature.logical_bytes), (2, 129_000));
    // Both files and what their manifests take, the scenes they share once.
    assert!((69_000..85_000).contains(&feature.unique_bytes), "{feature:?}");
    assert!(!paths.rows.iter().any(|row| row.name == "undone.bin" || row.name == "staged.bin"));
    // No branch shows a staged file; history has commits and folders, and then the first take.
    let history = |report| row(report, "(history)").unique_bytes;
    let before = history(&paths);
    lab.write("take.bin", noise(10, 6_500)).commit("take 1");
    lab.write("take.bin", noise(11, 400)).commit("take 2");
    assert!((6_500..9_000).contains(&(history(&dedupe(&lab, GroupBy::Path)) - before)));

    let commits = dedupe(&lab, GroupBy::Commit);
    let messages: Vec<_> = commits.rows.iter().filter_map(|row| row.detail.as_deref()).collect();
    assert_eq!(messages.len(), 6);
    assert_eq!(messages.last(), Some(&"master"));
    let dub = commits.rows.iter().find(|row| row.detail.as_deref() == Some("dub")).unwrap();
    assert_eq!(dub.name, head(&lab, "regional/de").short());
    assert!(
        (15_000..18_000).contains(&dub.unique_bytes),
        "what it was the first to bring: {dub:?}"
    );
    assert!(dub.shared_bytes > 90_000, "{dub:?}");

    let types = dedupe(&lab, GroupBy::Type);
    assert_eq!(row(&types, ".wav").files, 3);
    assert_eq!(row(&types, ".wav").logical_bytes, 53_000);
    assert_eq!(row(&types, ".mp4").files, 2);
    assert_eq!(row(&types, "document").files, 2);
    for name in ["tree", "commit", ".sh", ".txt"] {
        assert!(row(&types, name).stored_bytes > 0, "{name}");
    }
}

#[test]
fn what_a_deletion_frees_is_what_becomes_unreachable() {
    let cases: [&[&str]; 6] = [
        &["regional/de"],
        &["cut"],
        &["cut", "regional/de"],
        &["v1"],
        &["tags/v1", "heads/cut"],
        &["cut", "regional/de", "v1"],
    ];
    for given in cases {
        let lab = busy_lab();
        let names: Vec<String> = given.iter().map(|name| (*name).to_owned()).collect();
        let foretold = lab.repo.dedupe(GroupBy::Branch, &names, &Silent).unwrap();
        let lost = |report: &DedupeReport| {
            ["(operations)", "(unreachable)"].map(|name| row(report, name).stored_bytes)
        };
        for name in &names {
            let name = name.rsplit_once("heads/").map_or(name.as_str(), |(_, name)| name);
            match name.strip_prefix("tags/").unwrap_or(name) {
                "v1" => lab.repo.remove_tag("v1").unwrap(),
                branch => lab.repo.remove_branch(branch, true).unwrap(),
            };
        }
        let after = dedupe(&lab, GroupBy::Branch);
        let grown = lost(&after).iter().sum::<u64>() - lost(&foretold).iter().sum::<u64>();
        assert_eq!(foretold.freed_if_deleted, Some(grown), "{given:?}");
        // All that `cut` and `v1` reach, `regional/de` reaches too.
        assert_eq!(grown > 0, given.contains(&"regional/de"), "{given:?}: {grown}");
    }
}

#[test]
fn only_refs_can_be_asked_about() {
    let lab = busy_lab();
    let ask = |name: &str| lab.repo.dedupe(GroupBy::Branch, &[name.to_owned()], &Silent);
    let Err(RepoError::UnknownRevision { near, .. }) = ask("regional/dee") else { panic!() };
    assert_eq!(near, ["regional/de"]);
    assert!(matches!(ask(&lab.head("cut")), Err(RepoError::BadArgument { .. })));
}

#[test]
fn a_repository_without_commits_has_empty_rows() {
    let lab = Lab::new();
    for (word, by) in GroupBy::ALL {
        let report = dedupe(&lab, by);
        assert_eq!(report.total.stored_bytes, lab.store.usage().unwrap().pack_bytes, "{word}");
        assert_eq!(report.total.logical_bytes, 0, "{word}");
    }
}

#[test]
fn a_store_with_holes_is_not_added_up() {
    let lab = busy_lab();
    let commit = lab.repo.commit(head(&lab, "main")).unwrap();
    lab.store.damage(DamagedThing::Object(commit.tree.into()));
    let error = lab.repo.dedupe(GroupBy::Type, &[], &Silent).unwrap_err();
    assert_eq!(error.code(), "store.damaged");
}

#[test]
fn what_packs_take_beside_records_has_a_row() {
    let store = Arc::new(Holey::default());
    let lab = Lab::over(store.clone(), Arc::clone(&store.inner));
    lab.write("a.bin", noise(1, 3_000)).commit("a");
    store.overhead.store(1_234, Ordering::Relaxed);
    let report = dedupe(&lab, GroupBy::Branch);
    assert_eq!(row(&report, "(pack overhead)").stored_bytes, 1_234);
    assert_eq!(report.total.stored_bytes, store.usage().unwrap().pack_bytes);
    // An index that knows of more than packs hold is not added up.
    store.overhead.store(-1, Ordering::Relaxed);
    let error = lab.repo.dedupe(GroupBy::Branch, &[], &Silent).unwrap_err();
    assert_eq!(error.code(), "audit.unbalanced");
}

#[test]
fn the_json_keeps_its_shape() {
    let lab = busy_lab();
    let report = lab.repo.dedupe(GroupBy::Branch, &["cut".to_owned()], &Silent).unwrap();
    let json = serde_json::to_value(&report).unwrap();
    let members = ["name", "logical_bytes", "unique_bytes", "shared_bytes", "stored_bytes"];
    for member in members {
        assert!(json["total"].get(member).is_some(), "{member}");
        assert!(json["rows"][0].get(member).is_some(), "{member}");
    }
    assert_eq!(json["freed_if_deleted"], 0);
    assert!(
        serde_json::to_value(dedupe(&lab, GroupBy::Path)).unwrap()["freed_if_deleted"].is_null()
    );
}

fn explain_files(lab: &Lab, a: &str, b: &str) -> FileShare {
    match lab.repo.explain(a, b).unwrap() {
        ExplainReport::Files(share) => share,
        ExplainReport::Editions(_) => panic!("{a} and {b} are files"),
    }
}

#[test]
fn shared_ranges_hold_the_same_bytes() {
    let lab = busy_lab();
    let (a, b) = (lab.cat("main", "feature.mp4"), lab.cat("cut", "feature.mp4"));
    let share = explain_files(&lab, "main:feature.mp4", "cut:feature.mp4");
    assert!(!share.same);
    assert_eq!((share.a.bytes, share.b.bytes), (60_000, 69_000));
    assert_eq!(
        share.shared.len(),
        2,
        "one run before the new scene, one behind: {:?}",
        share.shared
    );
    let part = |bytes: &[u8], offset: u64, length: u64| {
        bytes[usize::try_from(offset).unwrap()..usize::try_from(offset + length).unwrap()].to_vec()
    };
    for range in &share.shared {
        assert_eq!(part(&a, range.a_offset, range.length), part(&b, range.b_offset, range.length));
    }
    // Shared and new ranges tile the second file.
    let mut spans: Vec<(u64, u64)> =
        share.shared.iter().map(|it| (it.b_offset, it.length)).collect();
    spans.extend(share.new.iter().map(|it| (it.offset, it.length)));
    spans.sort_unstable();
    let end = spans.iter().fold(0, |end, (offset, length)| {
        assert_eq!(*offset, end);
        end + length
    });
    assert_eq!(end, 69_000);
    assert_eq!(share.shared_bytes + share.new_bytes, 69_000);
    assert!((9_000..20_000).contains(&share.new_bytes), "{}", share.new_bytes);
    assert_eq!(share.common, [head(&lab, "v1").to_string()]);

    let same = explain_files(&lab, "main:feature.mp4", "v1:feature.mp4");
    assert!(same.same && same.new.is_empty() && same.shared.len() == 1);
    assert_eq!(same.shared_bytes, 60_000);
    let documents = explain_files(&lab, "main:edition.meta.json", "regional/de:edition.meta.json");
    assert_eq!((documents.same, documents.shared_bytes), (false, 0));
    let alien = explain_files(&lab, "main:edition.meta.json", "main:run.sh");
    assert_eq!((alien.same, alien.shared_bytes, alien.new_bytes), (false, 0, 10));
}

#[test]
fn editions_share_by_path_and_by_chunk() {
    let lab = busy_lab();
    lab.switch("cut");
    lab.repo.rename(lab.repo.root(), "run.sh", "tools/start.sh").unwrap();
    lab.finish_with("renamed");
    let ExplainReport::Editions(share) = lab.repo.explain("main", "cut").unwrap() else { panic!() };
    let path =
        |path: &str| -> &PathShare { share.paths.iter().find(|row| row.path == path).unwrap() };
    let with = |row: &PathShare| -> Vec<String> {
        row.with.iter().map(|with| with.path.clone()).collect()
    };
    assert_eq!(path("edition.meta.json").status, "same");
    let start = path("tools/start.sh");
    assert_eq!((start.status, with(start)), ("same", vec!["run.sh".to_owned()]));
    let feature = path("feature.mp4");
    assert_eq!((feature.status, with(feature)), ("shares", vec!["feature.mp4".to_owned()]));
    assert_eq!(feature.with[0].bytes, feature.shared_bytes);
    assert_eq!((path("notes.txt").status, path("notes.txt").shared_bytes), ("new", 0));
    let sums: u64 = share.paths.iter().map(|row| row.bytes).sum();
    assert_eq!(sums, share.b.bytes);
    assert_eq!(share.shared_bytes + share.new_bytes, share.b.bytes);

    let ExplainReport::Editions(folder) = lab.repo.explain("v1:sound", "main:sound").unwrap()
    else {
        panic!()
    };
    let statuses: Vec<_> = folder.paths.iter().map(|row| (row.path.as_str(), row.status)).collect();
    assert_eq!(statuses, [("sound/en.wav", "new")]);
}

#[test]
fn a_file_and_an_edition_cannot_be_compared() {
    let lab = busy_lab();
    let error = lab.repo.explain("main", "cut:feature.mp4").unwrap_err();
    assert!(matches!(error, RepoError::WrongKind { .. }), "{error}");
    let error = lab.repo.explain("main:feature.mp5", "cut").unwrap_err();
    let RepoError::NoPath { near, .. } = error else { panic!("{error}") };
    assert_eq!(near, ["feature.mp4"]);
}

#[test]
fn explaining_reads_no_chunk() {
    let lab = busy_lab();
    let before = lab.store.counts().chunks_read;
    lab.repo.explain("main", "cut").unwrap();
    lab.repo.explain("main:feature.mp4", "cut:feature.mp4").unwrap();
    dedupe(&lab, GroupBy::Path);
    assert_eq!(lab.store.counts().chunks_read, before);
}

#[test]
fn superseded_manifests_are_reached_by_nothing() {
    let lab = Lab::new();
    lab.write("a.bin", noise(1, 30_000)).commit("a");
    assert_eq!(row(&dedupe(&lab, GroupBy::Branch), "(unreachable)").stored_bytes, 0);
    let ExplainReport::Files(file) = lab.repo.explain("main:a.bin", "main:a.bin").unwrap() else {
        panic!()
    };
    let rule = ottvc_object::manifest::CutRule::FastCdc { min: 64, avg: 256, max: 1024 };
    let options = ottvc_repo::ingest::IngestOptions { rule, tracks: None, jobs: 1 };
    let content = file.a.id.unwrap().parse().unwrap();
    ottvc_repo::content::rechunk(&*lab.store, content, options).unwrap();
    let report = dedupe(&lab, GroupBy::Branch);
    assert!(row(&report, "(unreachable)").unique_bytes >= 25_000, "{report:#?}");
    assert_eq!(report.total.stored_bytes, lab.store.usage().unwrap().pack_bytes);
}

#[test]
fn the_slow_walk_finds_chunks() {
    let lab = Lab::new();
    let bytes = noise(1, 100);
    lab.write("a.bin", &bytes).commit("a");
    let held = reached(&lab.store, head(&lab, "main"));
    assert_eq!(held.get(&ChunkId::of(&bytes).0), Some(&100));
}
