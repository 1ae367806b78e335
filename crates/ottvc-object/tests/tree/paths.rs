//! Nested folders: edits, walks and differences by path.

use std::collections::BTreeMap;

use ottvc_object::path::PathKey;
use ottvc_object::tree::{self, EMPTY_TREE, PathChange, PathEdit};
use ottvc_object::{Entry, NamedEntry, ObjectError, RepoPath, Totals, TreeId};
use proptest::collection::vec;
use proptest::prelude::*;

use super::{Memory, file};

fn path(text: &str) -> RepoPath {
    RepoPath::new(text).unwrap()
}

/// The edit that puts a file (`Some`) at `at`, or removes what is there.
fn edit(at: &str, content: Option<u64>) -> (PathKey, PathEdit) {
    let at = path(at);
    let new = content.map(|content| file(at.name().unwrap().as_str(), content));
    PathEdit::keyed(at, new)
}

impl Memory {
    fn edit_paths(
        &self,
        root: TreeId,
        edits: &BTreeMap<PathKey, PathEdit>,
    ) -> Result<(TreeId, Totals), ObjectError> {
        let mut new = Vec::new();
        let result = tree::edit_paths(self, root, edits, &mut |object| {
            new.push(object);
            Ok(())
        });
        new.into_iter().for_each(|object| self.put(object));
        result
    }
    /// Applies `edits` one after another, each given as path and content.
    fn apply(&self, root: TreeId, edits: &[(&str, Option<u64>)]) -> Result<TreeId, ObjectError> {
        let edits = edits.iter().map(|(at, content)| edit(at, *content)).collect();
        self.edit_paths(root, &edits).map(|(root, _)| root)
    }
    /// Every leaf with its path.
    fn leaves(&self, root: TreeId) -> BTreeMap<PathKey, (RepoPath, NamedEntry)> {
        let mut leaves = BTreeMap::new();
        tree::walk(self, root, &RepoPath::root(), &mut |path, entry| {
            if !matches!(entry.entry, Entry::Tree { .. }) {
                leaves.insert(path.key(), (path.clone(), entry.clone()));
            }
            Ok(true)
        })
        .unwrap();
        leaves
    }
    fn changes(&self, a: TreeId, b: TreeId) -> Vec<PathChange> {
        let mut changes = Vec::new();
        tree::diff_paths(self, a, b, &mut |change| {
            changes.push(change);
            Ok(())
        })
        .unwrap();
        changes
    }
    fn spelled(&self, root: TreeId) -> Vec<String> {
        self.leaves(root).into_values().map(|(path, _)| path.to_string()).collect()
    }
}

/// A few paths, so that files and folders get in each other's way.
fn places() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["a", "b", "B", "c", "long name.mov"]);
    vec(name, 1..4).prop_map(|names| names.join("/"))
}

/// What edits should do, by the rules alone. `None` where a file is in the way of an addition.
fn model(
    before: &BTreeMap<PathKey, (RepoPath, NamedEntry)>,
    edits: &BTreeMap<PathKey, PathEdit>,
) -> Option<BTreeMap<PathKey, u64>> {
    let below = |key: &PathKey, folder: &PathKey| key.0.starts_with(&folder.0);
    let mut after: BTreeMap<PathKey, u64> =
        before.iter().map(|(key, (_, entry))| (key.clone(), entry.entry.totals().bytes)).collect();
    for place in edits.keys() {
        after.retain(|key, _| !below(key, place));
    }
    for (place, edit) in edits {
        if let Some(new) = &edit.new {
            after.insert(place.clone(), new.entry.totals().bytes);
        }
    }
    let keys: Vec<&PathKey> = after.keys().collect();
    keys.is_sorted_by(|a, b| !below(b, a)).then_some(after)
}

proptest! {
    /// Edits do what the rules say; the root is that of a build from scratch; differences are exact.
    #[test]
    fn editing_paths_follows_the_rules(
        batches in vec(vec((places(), prop::option::weighted(0.7, 0..3_u64)), 0..12), 1..5),
    ) {
        let memory = Memory::default();
        let mut root = EMPTY_TREE;
        for batch in batches {
            let edits = batch.iter().map(|(at, content)| edit(at, *content)).collect();
            let before = memory.leaves(root);
            let expected = model(&before, &edits);
            let result = memory.edit_paths(root, &edits);
            let Some(expected) = expected else {
                prop_assert!(matches!(result, Err(ObjectError::BadPath { .. })), "{:?}", result);
                continue;
            };
            let (changed, totals) = result.unwrap();
            let after = memory.leaves(changed);
            let contents: BTreeMap<PathKey, u64> =
                after.iter().map(|(key, (_, e))| (key.clone(), e.entry.totals().bytes)).collect();
            prop_assert_eq!(&contents, &expected);
            prop_assert_eq!(totals.files, after.len() as u64);
            prop_assert_eq!(totals.bytes, expected.values().sum::<u64>());
            let scratch = after
                .values()
                .map(|(path, entry)| PathEdit::keyed(path.clone(), Some(entry.clone())))
                .collect();
            prop_assert_eq!(Memory::default().edit_paths(EMPTY_TREE, &scratch).unwrap().0, changed);

            let mut differences = BTreeMap::new();
            for key in before.keys().chain(after.keys()) {
                let sides = (before.get(key).cloned(), after.get(key).cloned());
                if sides.0 != sides.1 {
                    differences.insert(key.clone(), sides);
                }
            }
            let found: BTreeMap<_, _> = memory
                .changes(root, changed)
                .into_iter()
                .map(|change| (change.path.key(), (change.old, change.new)))
                .collect();
            prop_assert_eq!(found, differences);
            root = changed;
        }
    }
}

#[test]
fn folders_come_and_go_with_their_files() {
    let memory = Memory::default();
    let root = memory.apply(EMPTY_TREE, &[("art/posters/a.jpg", Some(1)), ("b.mov", Some(2))]);
    let root = root.unwrap();
    let posters = tree::lookup_path(&memory, root, &path("ART/Posters")).unwrap().unwrap();
    assert_eq!(posters.name.as_str(), "posters");
    assert_eq!(posters.entry.totals(), Totals { files: 1, bytes: 1, ..Totals::default() });
    assert_eq!(tree::lookup_path(&memory, root, &RepoPath::root()).unwrap(), None);
    assert_eq!(tree::lookup_path(&memory, root, &path("b.mov/x")).unwrap(), None);

    let root = memory.apply(root, &[("art/posters/a.jpg", None)]).unwrap();
    assert_eq!(tree::lookup_path(&memory, root, &path("art")).unwrap(), None);
    assert_eq!(memory.spelled(root), ["b.mov"]);
    assert_eq!(memory.apply(root, &[("b.mov", None)]).unwrap(), EMPTY_TREE);
}

#[test]
fn a_file_is_in_the_way_unless_it_goes() {
    let memory = Memory::default();
    let root = memory.apply(EMPTY_TREE, &[("a", Some(1))]).unwrap();
    let error = memory.apply(root, &[("a/b", Some(2))]).unwrap_err();
    assert_eq!(error.to_string(), "`a/b` cannot be a path here: a file is in the way");
    assert_eq!(error.code(), "path.invalid");
    let folder = memory.apply(root, &[("a", None), ("a/b", Some(2))]).unwrap();
    assert_eq!(memory.spelled(folder), ["a/b"]);
    // Removing below a file finds nothing to do.
    assert_eq!(memory.apply(root, &[("a/b", None)]).unwrap(), root);
    // And back: the file takes the folder's place.
    assert_eq!(memory.apply(folder, &[("a", Some(1))]).unwrap(), root);
    assert_eq!(memory.apply(folder, &[("a", Some(1)), ("a/b", None)]).unwrap(), root);
    assert!(memory.apply(folder, &[("a", Some(1)), ("a/c", Some(2))]).is_err());
}

#[test]
fn a_folder_can_be_put_whole() {
    let memory = Memory::default();
    let root = memory.apply(EMPTY_TREE, &[("Art/a", Some(1)), ("Art/b", Some(2))]).unwrap();
    let mut folder = tree::lookup_path(&memory, root, &path("art")).unwrap().unwrap();
    // An edit below keeps the spelling that is there.
    let edited = memory.apply(root, &[("ART/a", Some(5))]).unwrap();
    assert_eq!(memory.spelled(edited), ["Art/a", "Art/b"]);
    // Putting the folder under another spelling renames it; edits below still count.
    folder.name = path("ART").name().unwrap().clone();
    let edits = BTreeMap::from([
        PathEdit::keyed(path("ART"), Some(folder)),
        edit("ART/b", None),
        edit("ART/c", Some(3)),
    ]);
    let (renamed, _) = memory.edit_paths(root, &edits).unwrap();
    assert_eq!(memory.spelled(renamed), ["ART/a", "ART/c"]);
    let changes = memory.changes(root, renamed);
    let spelled: Vec<String> = changes
        .iter()
        .map(|change| {
            let side = |side: &Option<(RepoPath, NamedEntry)>| {
                side.as_ref().map_or("-".into(), |(path, _)| path.to_string())
            };
            format!("{} {} {}", change.path, side(&change.old), side(&change.new))
        })
        .collect();
    assert_eq!(spelled, ["ART/a Art/a ART/a", "Art/b Art/b -", "ART/c - ART/c"]);
}

#[test]
fn walking_can_pass_folders_by_and_start_below() {
    let memory = Memory::default();
    let files = [("a/b/c", Some(1)), ("a/d", Some(2)), ("e", Some(3))];
    let root = memory.apply(EMPTY_TREE, &files).unwrap();
    let mut seen = Vec::new();
    tree::walk(&memory, root, &RepoPath::root(), &mut |path, _| {
        seen.push(path.to_string());
        Ok(path.to_string() != "a/b")
    })
    .unwrap();
    assert_eq!(seen, ["a", "a/b", "a/d", "e"]);
    let folder = tree::lookup_path(&memory, root, &path("a")).unwrap().unwrap();
    let Entry::Tree { id, .. } = folder.entry else { panic!("a is no folder") };
    seen.clear();
    tree::walk(&memory, id, &path("a"), &mut |path, _| {
        seen.push(path.to_string());
        Ok(true)
    })
    .unwrap();
    assert_eq!(seen, ["a/b", "a/b/c", "a/d"]);
}

#[test]
fn wrong_path_edits_are_refused() {
    let memory = Memory::default();
    let refused = |key: &str, at: &str, name: &str| {
        let edit = PathEdit { path: path(at), new: Some(file(name, 1)) };
        let edits = BTreeMap::from([(path(key).key(), edit)]);
        matches!(memory.edit_paths(EMPTY_TREE, &edits), Err(ObjectError::BadPath { .. }))
    };
    assert!(!refused("a/b", "a/b", "b"));
    assert!(refused("a/c", "a/b", "b"), "another key");
    assert!(refused("a/b", "a/b", "c"), "another name");
    assert!(refused("", "", "c"), "the root");
}

/// Ten changes among 100,000 files in folders cost what their paths cost.
#[test]
fn costs_follow_the_changed_paths() {
    let memory = Memory::default();
    let place = |n: u64| format!("season {}/episode {n}/feature.meta.json", n % 100);
    let all = (0..100_000).map(|n| edit(&place(n), Some(n))).collect();
    let (root, totals) = memory.edit_paths(EMPTY_TREE, &all).unwrap();
    assert_eq!(totals.files, 100_000);
    memory.counts();
    let one = BTreeMap::from([edit(&place(4711), Some(1))]);
    let (changed, _) = memory.edit_paths(root, &one).unwrap();
    let (reads, writes) = memory.counts();
    assert!(writes <= 6 && reads <= 12, "{reads} reads, {writes} writes");
    assert_eq!(memory.changes(root, changed).len(), 1);
    let (reads, _) = memory.counts();
    assert!(reads <= 12, "{reads} reads");
    let ten = (0..10).map(|n| edit(&place(n * 9973), Some(7))).collect();
    let (changed, _) = memory.edit_paths(root, &ten).unwrap();
    let (reads, writes) = memory.counts();
    assert!(writes <= 60 && reads <= 120, "{reads} reads, {writes} writes");
    assert_eq!(memory.changes(root, changed).len(), 10);
    let (reads, _) = memory.counts();
    assert!(reads <= 120, "{reads} reads");
}
