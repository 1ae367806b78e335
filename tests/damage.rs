//! Bytes that change, end early or go missing in `.ottvc`: what the program says, what still reads,
//! and how it is mended.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottvc_local::{Access, LocalRepo};
use ottvc_object::RepoPath;
use ottvc_object::manifest::CutRule;
use ottvc_refs::SystemClock;
use ottvc_repo::verify::{Reading, VerifyReport};
use ottvc_repo::{Parts, Repo, RepoError, Silent};
use ottvc_store::pack::{PackId, RecordHeader, scan};
use ottvc_tests::story::{Chance, Story, Tree, assert_same, number, text};
use serde_json::{Value as Json, json};

/// A film and its trailer, on `main` and on a branch that changed the document only.
fn film() -> (Story, Tree) {
    let story = Story::new();
    let mut chance = Chance::new(7);
    for path in ["media/film.mov", "media/trailer.mov"] {
        story.write(path, chance.bytes(400_000));
    }
    story.write("edition.meta.json", "{\n  \"title\": \"Film\"\n}\n");
    let tree = story.tree();
    story.commit("film");
    story.ok(&["switch", "-c", "cut/director"]);
    story.ok(&["meta", "set", "edition.meta.json", "/title=\"Film, uncut\""]);
    story.ok(&["commit", "-m", "title"]);
    story.ok(&["switch", "main"]);
    story.assert_sound();
    (story, tree)
}

/// The pack that holds these bytes, and where. Media is stored as it is.
fn find(story: &Story, bytes: &[u8]) -> (PathBuf, u64) {
    let packs = story.packs().into_iter();
    let mut found = packs.filter_map(|pack| {
        let held = fs::read(&pack).unwrap();
        let at = held.windows(bytes.len()).position(|some| some == bytes)?;
        Some((pack, at as u64))
    });
    found.next().unwrap()
}

fn flip(pack: &Path, at: u64) {
    let file = OpenOptions::new().read(true).write(true).open(pack).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

/// Every place that `verify` names, sorted; its status must be that of damage.
fn named(story: &Story) -> Vec<String> {
    let report = story.ends(&["verify"], 10);
    let findings = |list: &Json| list.as_array().unwrap().clone();
    let all = [findings(&report["damaged"]), findings(&report["missing"])].concat();
    let mut places: Vec<String> =
        all.iter().flat_map(|one| findings(&one["affects"])).map(|place| text(&place)).collect();
    places.sort();
    places.dedup();
    places
}

/// Asserts that this file reads and that one does not.
fn assert_reads(story: &Story, sound: &str, damaged: &str, tree: &Tree) {
    let ended = story.run(&["cat", &format!("main:{sound}")]);
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    assert!(ended.stdout == tree[sound], "{sound}");
    let ended = story.run(&["cat", &format!("main:{damaged}")]);
    assert_eq!(ended.status, Some(10), "{}", ended.stderr);
    let to = story.beside("part");
    let to = to.to_string_lossy();
    story.ok(&["checkout", "main", "--only", sound, "--to", &to]);
    story.ends(&["checkout", "main", "--to", &to], 10);
    assert!(!Path::new(&*to).join(damaged).exists(), "nothing half written appears");
}

const BOTH: [&str; 2] = ["cut/director:media/film.mov", "main:media/film.mov"];

#[test]
fn a_flipped_byte_is_named_by_what_it_affects_and_mended_by_adding_again() {
    let (story, tree) = film();
    let (pack, at) = find(&story, &tree["media/film.mov"][200_000..200_064]);
    flip(&pack, at);
    assert_eq!(named(&story), BOTH);
    assert_reads(&story, "media/trailer.mov", "media/film.mov", &tree);
    // The very file, untouched since it was added first.
    let added = story.ok(&["add", "media/film.mov"]);
    assert!(number(&added["stored_bytes"]) > 0, "{added}");
    story.assert_sound();
    assert_same(&story.tree_of("main"), &tree, "mended");
    assert_eq!(story.ok(&["status"])["clean"], true, "it is the same file");
}

#[test]
fn what_a_dead_command_left_at_the_end_of_a_pack_is_cut_off() {
    let (story, tree) = film();
    for pack in story.packs() {
        let len = fs::metadata(&pack).unwrap().len();
        OpenOptions::new().append(true).open(&pack).unwrap().write_all(&[0xa5; 999]).unwrap();
        story.assert_sound();
        story.ok(&["tag", &format!("v{len}")]);
        story.assert_sound();
    }
    let held = fs::read(&story.packs()[0]).unwrap();
    assert!(!held.windows(99).any(|some| some == [0xa5; 99]), "it is gone");
    assert_same(&story.tree_of("main"), &tree, "after the cut");
}

#[test]
fn a_pack_cut_short_is_named_and_mended_by_adding_again() {
    let (story, tree) = film();
    let (pack, at) = find(&story, &tree["media/trailer.mov"][350_000..350_064]);
    OpenOptions::new().write(true).open(&pack).unwrap().set_len(at).unwrap();
    assert_eq!(named(&story), ["cut/director:media/trailer.mov", "main:media/trailer.mov"]);
    assert_reads(&story, "media/film.mov", "media/trailer.mov", &tree);
    story.ok(&["add", "."]);
    assert_same(&story.tree_of("main"), &tree, "mended");
    assert_same(&story.tree_of("HEAD"), &tree, "mended");
}

#[test]
fn a_lost_index_is_made_again_with_refs_and_history() {
    let (story, tree) = film();
    story.ok(&["tag", "v1"]);
    story.write("media/staged.mov", "only staged");
    story.ok(&["add", "."]);
    let asked = || {
        let of = |arguments: &[&str]| story.ok(arguments);
        json!([
            of(&["log", "--all"]),
            of(&["branch"])["branches"],
            of(&["tag"])["tags"],
            of(&["ops"]),
            of(&["status"]),
            of(&["audit", "dedupe"])["total"],
        ])
    };
    let before = asked();
    fs::remove_dir_all(story.store().join("db")).unwrap();
    // Whatever asks first makes it again, be it to read.
    let after = asked();
    assert_eq!(after, before);
    story.assert_sound();
    assert_same(&story.tree_of("v1"), &tree, "after the loss");
    story.ok(&["commit", "-m", "goes on"]);
    story.assert_sound();
}

/// Copies a folder with all that is in it.
fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_all(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// The packs of a store, each with the places of its records.
fn records(packs: &[PathBuf]) -> Vec<(PathBuf, Vec<u64>)> {
    let of = |pack: &PathBuf| {
        let id: PackId = pack.file_stem().unwrap().to_str().unwrap().parse().unwrap();
        let found = scan(id, &fs::read(pack).unwrap());
        (pack.clone(), found.records.iter().map(|record| record.offset).collect())
    };
    packs.iter().map(of).collect()
}

/// A way to damage the packs of a repository.
type Damage = dyn Fn(&[(PathBuf, Vec<u64>)]);

#[test]
fn what_is_damaged_or_gone_is_taken_from_another_repository() {
    let payloads: &Damage = &|packs| {
        for (pack, offsets) in packs {
            offsets.iter().for_each(|offset| flip(pack, offset + RecordHeader::LEN + 1));
        }
    };
    let headers: &Damage = &|packs| {
        for (pack, offsets) in packs {
            offsets.iter().for_each(|offset| flip(pack, offset + 20));
        }
    };
    let first_gone: &Damage = &|packs| fs::remove_file(&packs[0].0).unwrap();
    let second_gone: &Damage = &|packs| fs::remove_file(&packs[1].0).unwrap();
    let all_gone: &Damage = &|packs| packs.iter().for_each(|it| fs::remove_file(&it.0).unwrap());
    let short: &Damage = &|packs| {
        for (pack, offsets) in packs {
            let file = OpenOptions::new().write(true).open(pack).unwrap();
            file.set_len(offsets[offsets.len() / 2] + 60).unwrap();
        }
    };
    for damage in [payloads, headers, first_gone, second_gone, all_gone, short] {
        let (story, tree) = film();
        for number in 0..40 {
            story.write(&format!("notes/{number}.txt"), format!("note {number}"));
        }
        let whole = story.tree();
        story.commit("notes");
        let asked = || json!([story.ok(&["log", "--all"]), story.ok(&["ops"])]);
        let history = asked();
        let other = story.beside("other");
        copy_all(&story.root(), &other);
        let before = ottvc_tests::story::tree(&other.join(".ottvc"));
        let packs = records(&story.packs());
        assert_eq!(packs.len(), 2, "one of each class");
        damage(&packs);

        let report = story.ends(&["verify"], 10);
        assert!(report["repair"].is_null());
        let from = other.to_string_lossy();
        let report = story.ok(&["verify", "--repair-from", &from]);
        assert_eq!((&report["clean"], &report["damaged"]), (&json!(true), &json!([])));
        let repaired = report["repair"]["repaired"].as_array().unwrap();
        assert!(!repaired.is_empty() && number(&report["repair"]["packs"]) > 0, "{report}");
        story.assert_sound();
        assert!(!story.store().join("damaged").exists());
        assert_same(&story.tree_of("main"), &whole, "repaired");
        assert_eq!(asked(), history);
        // Also when all there is are packs.
        fs::remove_dir_all(story.store().join("db")).unwrap();
        story.assert_sound();
        assert_eq!(asked(), history);
        assert_same(&story.tree_of("main~1"), &tree, "repaired");
        assert!(ottvc_tests::story::tree(&other.join(".ottvc")) == before, "it was only read");
    }
}

#[test]
fn what_the_other_repository_has_not_is_named() {
    let (story, tree) = film();
    let other = Story::new();
    other.write("a trailer.mov", &tree["media/trailer.mov"]);
    other.commit("the trailer alone");
    for (path, at) in [("media/film.mov", 200_000), ("media/trailer.mov", 300_000)] {
        let (pack, at) = find(&story, &tree[path][at..at + 64]);
        flip(&pack, at);
    }
    assert_eq!(named(&story).len(), 4);
    let from = other.root();
    let report = story.ends(&["verify", "--repair-from", &from.to_string_lossy()], 10);
    let affects = |list: &Json| list[0]["affects"].clone();
    assert_eq!(affects(&report["damaged"]), json!(BOTH));
    let trailers = ["cut/director:media/trailer.mov", "main:media/trailer.mov"];
    assert_eq!(affects(&report["repair"]["repaired"]), json!(trailers));
    assert_eq!(named(&story), BOTH);
    assert_reads(&story, "media/trailer.mov", "media/film.mov", &tree);
    let nowhere = story.run(&["verify", "--repair-from", "nowhere"]);
    assert_eq!(nowhere.status, Some(3), "{}", nowhere.stderr);
}

#[test]
fn a_check_with_a_budget_repairs_what_it_found() {
    let (story, tree) = film();
    let other = story.beside("other");
    copy_all(&story.root(), &other);
    let (pack, at) = find(&story, &tree["media/film.mov"][200_000..200_064]);
    flip(&pack, at);
    let from = other.to_string_lossy();
    let mut repaired = 0;
    for _ in 0..9 {
        let report = story.ok(&["verify", "--budget", "1kB", "--repair-from", &from]);
        repaired += report["repair"]["repaired"].as_array().map_or(0, Vec::len);
        if report["round"]["complete"] == true {
            break;
        }
    }
    assert_eq!(repaired, 1);
    story.assert_sound();
    assert_same(&story.tree_of("main"), &tree, "repaired");
}

/// Collecting goes on beside damage, drops none of it, and tidies up once it is mended.
#[test]
fn collecting_keeps_what_is_damaged_and_does_not_fail() {
    let (story, tree) = film();
    story.ok(&["switch", "-c", "doomed"]);
    story.write("media/doomed.mov", Chance::new(8).bytes(300_000));
    story.commit("what goes");
    story.ok(&["switch", "main"]);
    story.ok(&["branch", "-d", "doomed", "--force"]);
    let (pack, at) = find(&story, &tree["media/film.mov"][200_000..200_064]);
    flip(&pack, at);
    assert_eq!(named(&story), BOTH);
    let swept = story.ok(&["gc", "--grace", "0"]);
    assert!(number(&swept["purged"]["bytes"]) > 300_000, "{swept}");
    assert!(pack.exists(), "it has the only copy");
    let again = story.ok(&["gc", "--grace", "0"]);
    assert_eq!(again["packs"]["moved_bytes"], 0, "what reads was moved before: {again}");
    assert_eq!(named(&story), BOTH);
    assert_reads(&story, "media/trailer.mov", "media/film.mov", &tree);
    story.ok(&["add", "media/film.mov"]);
    story.ok(&["gc", "--grace", "0"]);
    assert!(!pack.exists(), "nothing in it is wanted any more");
    assert!(!story.store().join("damaged").exists());
    story.assert_sound();
    assert_same(&story.tree_of("main"), &tree, "mended");
}

/// How many bytes are flipped, and from which seed; `OTTVC_FLIPS` and `OTTVC_SEED` say otherwise.
fn flips() -> (usize, u64) {
    let of = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let count = of("OTTVC_FLIPS").and_then(|count| usize::try_from(count).ok());
    (count.unwrap_or(1000), of("OTTVC_SEED").unwrap_or(20_261_129))
}

/// The repository in `root`, as commands that read open it.
fn open(root: &Path) -> Result<Repo, RepoError> {
    let store = LocalRepo::open(&root.join(".ottvc"), Access::Read)?;
    Ok(Repo::new(Parts {
        objects: store.objects(),
        refs: store.refs(),
        workspace: store.workspace(),
        clock: Arc::new(SystemClock),
        root: root.to_path_buf(),
        actor: "Ada <ada@example.org>".into(),
        rule: CutRule::default(),
        tracks: None,
        jobs: 1,
    }))
}

/// Reads every file of every branch; what comes must be right, and an error is right. Says how many
/// could not be read.
fn assert_nothing_wrong_is_served(root: &Path, trees: &[(&str, Tree)], flipped: &str) -> usize {
    let Ok(repo) = open(root) else { return 1 };
    let mut unread = 0;
    for (rev, tree) in trees {
        for (path, bytes) in tree {
            let mut read = Vec::new();
            let path = RepoPath::new(path).unwrap();
            match repo.cat(rev, &path, None, None, &mut read) {
                Ok(_) => assert!(read == *bytes, "{flipped}: {rev}:{path} has other bytes"),
                Err(_) => unread += 1,
            }
        }
    }
    unread
}

/// A repository with media of many chunks, documents and short files in groups, sealed and open packs,
/// and a history; and what its branches hold.
fn library() -> (Story, Vec<(&'static str, Tree)>) {
    let story = Story::new();
    let mut chance = Chance::new(11);
    story.write("media/film.mov", chance.bytes(700_000));
    story.write("media/subtitles.srt", "00:01 --> 00:02 a line\n".repeat(5000));
    for number in 0..60 {
        let title = format!("{{\n  \"title\": \"No. {number}\"\n}}\n");
        story.write(&format!("titles/{number}.meta.json"), title);
        story.write(&format!("notes/{number}.txt"), chance.bytes(300));
    }
    story.commit("a library");
    let main = story.tree();
    story.ok(&["switch", "-c", "cut"]);
    let mut film = story.read("media/film.mov");
    film[300_000..300_100].fill(7);
    story.write("media/film.mov", film);
    story.ok(&["meta", "set", "titles/7.meta.json", "/title=\"Seven\""]);
    story.commit("another cut");
    let cut = story.tree();
    story.assert_sound();
    (story, vec![("main", main), ("cut", cut)])
}

/// Whether a finding names the pack, by its place.
fn names_pack(report: &VerifyReport, pack: &Path) -> bool {
    let name = pack.file_stem().unwrap().to_string_lossy();
    let mut places = report.damaged.iter().filter_map(|finding| finding.place.as_ref());
    places.any(|place| place.contains(&*name))
}

/// Every byte of a pack is under a hash or a checksum: the header, each record's header and the footer
/// under checksums, each payload under the id of what it unpacks to. What is left is that a compressed
/// payload may say the same in other bytes; then everything must read as before.
#[test]
fn a_thousand_flipped_bytes_in_packs_are_all_found_and_none_is_served() {
    let (count, seed) = flips();
    let (story, trees) = library();
    let halves = [0, 1].map(|half| {
        let root = story.beside(&format!("half-{half}"));
        copy_all(&story.root(), &root);
        root
    });
    let found: Vec<(usize, usize)> = std::thread::scope(|scope| {
        let threads = halves.each_ref().map(|root| {
            let half = u64::from(root.ends_with("half-1"));
            let trees = &trees;
            scope.spawn(move || flip_packs(root, trees, count / 2, seed + half))
        });
        threads.map(|thread| thread.join().unwrap()).to_vec()
    });
    let found = found.iter().fold((0, 0), |sum, half| (sum.0 + half.0, sum.1 + half.1));
    println!("seed {seed}: {count} flips, {} found, {} said the same", found.0, found.1);
    assert_eq!(found.0 + found.1, count / 2 * 2);
    assert!(found.1 * 100 <= count, "{} of {count} said the same", found.1);
}

/// Flips `count` bytes one after the other; returns how many were found, and how many changed nothing.
fn flip_packs(root: &Path, trees: &[(&str, Tree)], count: usize, seed: u64) -> (usize, usize) {
    let mut chance = Chance::new(seed);
    let listed = fs::read_dir(root.join(".ottvc/packs")).unwrap();
    let mut packs: Vec<_> = listed.map(|entry| entry.unwrap().path()).collect();
    packs.sort();
    let lens: Vec<u64> = packs.iter().map(|pack| fs::metadata(pack).unwrap().len()).collect();
    let (mut found, mut same) = (0, 0);
    for _ in 0..count {
        let mut at = chance.below(lens.iter().sum());
        let mut nth = 0;
        while at >= lens[nth] {
            at -= lens[nth];
            nth += 1;
        }
        let (pack, bits) = (&packs[nth], 1 + u8::try_from(chance.below(255)).unwrap());
        let flipped = format!("seed {seed}: {} at {at} by {bits:#x}", pack.display());
        let file = OpenOptions::new().read(true).write(true).open(pack).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ bits], at).unwrap();
        let report = open(root).unwrap().verify(Reading::Everything, &Silent).unwrap();
        let unread = assert_nothing_wrong_is_served(root, trees, &flipped);
        if report.clean {
            assert_eq!(unread, 0, "{flipped}: not found");
            assert!(in_compressed_payload(pack, at), "{flipped}: not found");
            same += 1;
        } else {
            assert!(names_pack(&report, pack), "{flipped}: {:?}", report.damaged);
            found += 1;
        }
        file.write_all_at(&byte, at).unwrap();
        let _ = fs::remove_file(root.join(".ottvc/damaged"));
    }
    assert!(open(root).unwrap().verify(Reading::Everything, &Silent).unwrap().clean);
    (found, same)
}

fn in_compressed_payload(pack: &Path, at: u64) -> bool {
    let id: PackId = pack.file_stem().unwrap().to_str().unwrap().parse().unwrap();
    let found = scan(id, &fs::read(pack).unwrap());
    found.records.iter().any(|record| {
        let header = record.header;
        let payload = record.offset + RecordHeader::LEN..record.end();
        header.stored_len < header.raw_len && payload.contains(&at)
    })
}

/// The index can be made again, so that a byte flipped in it is found, or costs nothing.
#[test]
fn flipped_bytes_in_the_index_serve_nothing_wrong_and_lose_nothing() {
    let (count, seed) = flips();
    let (story, trees) = library();
    let mut chance = Chance::new(seed);
    let pristine = story.beside("pristine");
    copy_all(&story.store(), &pristine);
    let files: Vec<PathBuf> = {
        let listed = fs::read_dir(pristine.join("db")).unwrap();
        let mut files: Vec<_> = listed.map(|entry| entry.unwrap().path()).collect();
        files.retain(|path| fs::metadata(path).unwrap().len() > 0);
        files.sort();
        files
    };
    let mut kinds = BTreeSet::new();
    for round in 0..count / 20 {
        let file = &files[round % files.len()];
        let at = chance.below(fs::metadata(file).unwrap().len());
        fs::remove_dir_all(story.store()).unwrap();
        copy_all(&pristine, &story.store());
        let flipped = format!("seed {seed}: {} at {at}", file.display());
        flip(&story.store().join("db").join(file.file_name().unwrap()), at);
        let unread = assert_nothing_wrong_is_served(&story.root(), &trees, &flipped);
        let clean = open(&story.root())
            .and_then(|repo| repo.verify(Reading::Everything, &Silent))
            .is_ok_and(|report| report.clean);
        assert!(unread == 0 || !clean, "{flipped}: not found");
        kinds.insert((unread > 0, clean));
        // Whatever it did, nothing is lost with it.
        story.repair();
        assert_eq!(assert_nothing_wrong_is_served(&story.root(), &trees, &flipped), 0);
        story.assert_sound();
    }
    println!("seed {seed}: {} flips in the index; unread and clean: {kinds:?}", count / 20);
}
