//! The map form: one folder.

use std::collections::{BTreeMap, BTreeSet};

use ottvc_object::tree::{self, Child, EMPTY_TREE, MAX_NODE_ITEMS, Node, Nodes};
use ottvc_object::{Kind, Object, ObjectError, RepoPath, Storable, Totals, TreeId};
use proptest::collection::vec;
use proptest::prelude::*;

use super::{Memory, added, file, names_by_boundary};

/// Which pool of names a case draws from.
#[derive(Clone, Copy, Debug)]
enum Pool {
    /// Few names, so that edits hit what is there.
    Tiny,
    /// Ordinary names, enough for three levels.
    Many,
    /// No name ends a leaf.
    Endless,
    /// Every name ends a leaf.
    Choppy,
    /// Names so long that bytes end a leaf, not items.
    Long,
}

impl Pool {
    fn names(self) -> Vec<String> {
        let mut names: Vec<String> = match self {
            Self::Tiny => ('a'..'k').map(String::from).collect(),
            Self::Many => (0..12_000).map(|number| format!("clip {number}.mxf")).collect(),
            Self::Endless => names_by_boundary(false).take(3000).collect(),
            Self::Choppy => names_by_boundary(true).take(300).collect(),
            Self::Long => (0..1000).map(|number| format!("{number:0>250}")).collect(),
        };
        names.sort_unstable();
        names
    }
}

/// Runs of neighbouring names, each set to one content or removed.
type Batch = Vec<(prop::sample::Index, usize, Option<u64>)>;

fn histories() -> impl Strategy<Value = (Pool, u64, Vec<Batch>)> {
    let pool = prop_oneof![
        Just(Pool::Tiny),
        Just(Pool::Many),
        Just(Pool::Endless),
        Just(Pool::Choppy),
        Just(Pool::Long)
    ];
    let edit = prop::option::weighted(0.6, 0..4_u64);
    let run = prop_oneof![8 => 1..3_usize, 1 => 1..700_usize];
    let batch = vec((any::<prop::sample::Index>(), run, edit), 0..30);
    (pool, any::<u64>(), vec(batch, 1..5))
}

/// Fills a folder with about half of the pool's names.
fn start(names: &[String], seed: u64) -> BTreeMap<String, u64> {
    let chosen = |name: &&String| {
        blake3::hash(format!("{seed}{name}").as_bytes()).as_bytes()[9].is_multiple_of(2)
    };
    names.iter().filter(chosen).map(|name| (name.clone(), 9)).collect()
}

/// Every node below a root, by walking.
fn nodes_of(memory: &Memory, root: TreeId) -> BTreeSet<TreeId> {
    let mut seen = BTreeSet::new();
    let mut todo = vec![root];
    while let Some(id) = todo.pop() {
        if seen.insert(id)
            && let Node::Inner { children, .. } = &*Nodes::node(memory, id).unwrap()
        {
            todo.extend(children.iter().map(|child| child.id));
        }
    }
    seen
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Edits end where a build from scratch of the same entries ends, and differences are exact.
    #[test]
    fn editing_is_rebuilding((pool, seed, batches) in histories()) {
        let memory = Memory::default();
        let names = pool.names();
        let mut model = start(&names, seed);
        let mut root = memory.build(model.iter().map(|(name, n)| file(name, *n))).0;
        for batch in batches {
            let before = (root, model.clone());
            let mut edits = BTreeMap::new();
            for (index, run, new) in batch {
                for name in names.iter().skip(index.index(names.len())).take(run) {
                    edits.insert(name.clone(), new.map(|content| file(name, content)));
                    match new {
                        Some(content) => model.insert(name.clone(), content),
                        None => model.remove(name),
                    };
                }
            }
            let totals;
            (root, totals) = memory.edit(root, &edits).unwrap();
            let scratch = Memory::default();
            let entries = || model.iter().map(|(name, content)| file(name, *content));
            prop_assert_eq!((root, totals), scratch.build(entries()));
            prop_assert_eq!(tree::totals(&memory, root).unwrap(), totals);
            prop_assert_eq!(memory.list(root), entries().collect::<Vec<_>>());
            if root != EMPTY_TREE {
                prop_assert_eq!(nodes_of(&memory, root), nodes_of(&scratch, root));
            }
            // The same difference, both ways.
            let mut expected = BTreeMap::new();
            for name in before.1.keys().chain(model.keys()) {
                let sides = (before.1.get(name).copied(), model.get(name).copied());
                if sides.0 != sides.1 {
                    expected.insert(name.clone(), sides);
                }
            }
            let mut found = Vec::new();
            tree::diff(&memory, before.0, root, &mut |key, old, new| {
                let content = |entry: Option<&ottvc_object::NamedEntry>| {
                    entry.map(|entry| entry.entry.totals().bytes)
                };
                found.push((key.to_owned(), (content(old), content(new))));
                Ok(())
            })
            .unwrap();
            prop_assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
        }
    }

    /// One by one, forwards or backwards, or all at once: one root.
    #[test]
    fn order_does_not_matter(numbers in vec(0..500_u64, 1..200)) {
        let memory = Memory::default();
        let entry = |n: u64| file(&format!("n{n}"), n);
        let all = memory.build(numbers.iter().map(|n| entry(*n)));
        for reverse in [false, true] {
            let mut root = EMPTY_TREE;
            let mut totals = Totals::default();
            let mut order = numbers.clone();
            if reverse {
                order.reverse();
            }
            for number in order {
                (root, totals) = memory.edit(root, &added([entry(number)])).unwrap();
            }
            prop_assert_eq!((root, totals), all);
        }
    }

    /// Bytes that nobody wrote are refused or read, never worse.
    #[test]
    fn garbage_is_refused(kind in 1..7_u8, bytes in vec(any::<u8>(), 0..200)) {
        let bytes: Vec<u8> = [kind, 1].into_iter().chain(bytes).collect();
        let object = Object::from_bytes(bytes).unwrap();
        let _ = Node::from_object(&object);
        let _ = tree::sequence::Page::from_object(&object);
        let _ = ottvc_object::manifest::Manifest::from_object(&object);
    }

    /// A node with some bytes changed is refused, or is another node with other bytes.
    #[test]
    fn damage_is_not_silent(at in any::<prop::sample::Index>(), flip in 1..=255_u8) {
        let memory = Memory::default();
        let root = memory.build((0..40).map(|n| file(&format!("n{n}"), n))).0;
        let object = memory.get(root.into()).unwrap();
        let mut bytes = object.bytes().to_vec();
        *at.get_mut(&mut bytes) ^= flip;
        if let Ok(damaged) = Object::from_bytes(bytes) {
            prop_assert_ne!(damaged.id(), object.id());
            if damaged.kind() == Kind::Tree && let Ok(node) = Node::from_object(&damaged) {
                prop_assert_eq!(node.to_object().unwrap(), damaged);
            }
        }
    }
}

#[test]
fn the_empty_tree_has_its_id() {
    let object = Node::empty().to_object().unwrap();
    assert_eq!(TreeId::from(object.id()), EMPTY_TREE, "{}", object.id());
    let memory = Memory::default();
    assert_eq!(memory.list(EMPTY_TREE), []);
    assert_eq!(tree::lookup(&memory, EMPTY_TREE, "a").unwrap(), None);
    assert_eq!(memory.build([]), (EMPTY_TREE, Totals::default()));
    assert_eq!(memory.counts(), (0, 0), "the empty tree needs no store");
}

#[test]
fn emptying_a_folder_leaves_the_empty_tree() {
    let memory = Memory::default();
    let (root, _) = memory.build((0..1000).map(|n| file(&format!("n{n}"), n)));
    let removals = (0..1000).map(|n| (format!("n{n}"), None)).collect();
    assert_eq!(memory.edit(root, &removals).unwrap(), (EMPTY_TREE, Totals::default()));
    assert!(memory.get(EMPTY_TREE.into()).is_err(), "and nobody stores it");
}

#[test]
fn roots_are_the_same_everywhere() {
    let memory = Memory::default();
    let root = |count| memory.build((0..count).map(|n| file(&format!("Clip {n}.MOV"), n))).0;
    assert_eq!(root(3).to_string(), GOLDEN_SMALL);
    assert_eq!(root(10_000).to_string(), GOLDEN_LARGE);
}
const GOLDEN_SMALL: &str = "987d8705b084eb205582cb32e9731279f20e558cdb49ad83fcb94564cdf08f97";
const GOLDEN_LARGE: &str = "7293dd73b88dccbc8cae01750a5afc1a1271ab09ea16cfb52eefdf723b5faee9";

#[test]
fn lookup_finds_each_and_nothing_else() {
    let memory = Memory::default();
    let (root, totals) = memory.build((0..5000).map(|n| file(&format!("Clip {n}.mov"), n)));
    assert_eq!((totals.files, totals.bytes), (5000, 4999 * 5000 / 2));
    for number in 0..5000 {
        let found = tree::lookup(&memory, root, &format!("clip {number}.mov")).unwrap();
        assert_eq!(found, Some(file(&format!("Clip {number}.mov"), number)));
    }
    for absent in ["", "clip", "clip 5000.mov", "zebra", "Clip 7.mov"] {
        assert_eq!(tree::lookup(&memory, root, absent).unwrap(), None, "{absent}");
    }
    memory.counts();
    tree::lookup(&memory, root, "clip 2500.mov").unwrap();
    assert!(memory.counts().0 <= 4, "one node a level");
}

#[test]
fn names_that_differ_in_case_are_one_place() {
    let memory = Memory::default();
    let (root, _) = memory.build([file("Poster.jpg", 1), file("ÉTÉ.mov", 2)]);
    let (root, totals) = memory.edit(root, &added([file("poster.JPG", 3)])).unwrap();
    assert_eq!(totals.files, 2);
    assert_eq!(memory.list(root), [file("poster.JPG", 3), file("ÉTÉ.mov", 2)]);
    assert!(tree::lookup(&memory, root, "été.mov").unwrap().is_some());
}

/// A change among many writes the nodes above it, however many there are.
#[test]
fn a_change_among_many_touches_a_handful_of_nodes() {
    for (count, most) in [(1000, 3), (100_000, 5)] {
        let memory = Memory::default();
        let name = |n: u64| format!("feature {n}.meta.json");
        let (root, _) = memory.build((0..count).map(|n| file(&name(n), n)));
        memory.counts();
        for n in [0, 1, count / 3, count / 2, count - 1] {
            let (changed, _) = memory.edit(root, &added([file(&name(n), 77)])).unwrap();
            let (reads, writes) = memory.counts();
            assert!(writes <= most && reads <= most, "{count}: {reads} reads, {writes} writes");
            assert_ne!(changed, root);
            // Adding and removing may move a boundary, so a neighbour a level comes on top.
            for edits in [
                added([file(&format!("feature {n}a.meta.json"), 5)]),
                BTreeMap::from([(name(n), None)]),
            ] {
                memory.edit(root, &edits).unwrap();
                let (reads, writes) = memory.counts();
                let most = 2 * most;
                assert!(writes <= most && reads <= most, "{count}: {reads} reads, {writes} writes");
            }
        }
        // An edit that changes nothing writes nothing.
        assert_eq!(memory.edit(root, &added([file(&name(7), 7)])).unwrap().0, root);
        assert_eq!(memory.counts().1, 0);
    }
}

/// A difference of ten reads the nodes above those ten, on both sides.
#[test]
fn a_small_difference_reads_only_changed_paths() {
    let memory = Memory::default();
    let name = |n: u64| format!("feature {n}.meta.json");
    let (root, _) = memory.build((0..100_000).map(|n| file(&name(n), n)));
    let ten = added((0..10).map(|n| file(&name(n * 9973), 77)));
    let (changed, _) = memory.edit(root, &ten).unwrap();
    memory.counts();
    let mut found = 0;
    tree::diff(&memory, root, changed, &mut |_, _, _| {
        found += 1;
        Ok(())
    })
    .unwrap();
    assert_eq!(found, 10);
    // Three levels of inner nodes at most, shared near the root; both sides.
    let (reads, _) = memory.counts();
    assert!(reads <= 2 * (10 + 10 + 3), "{reads} reads");
    tree::diff(&memory, root, root, &mut |_, _, _| Ok(())).unwrap();
    assert_eq!(memory.counts(), (0, 0));
}

#[test]
fn nodes_keep_their_limits() {
    for names in [
        names_by_boundary(false).take(3000).collect::<Vec<_>>(),
        (0..3000).map(|n| format!("{n:0>250}")).collect(),
    ] {
        let memory = Memory::default();
        let (root, _) = memory.build(names.iter().map(|name| file(name, 1)));
        for id in nodes_of(&memory, root) {
            let object = memory.get(id.into()).unwrap();
            assert!(object.bytes().len() < 33 << 10, "{} bytes", object.bytes().len());
            if let Node::Leaf { entries } = Node::from_object(&object).unwrap() {
                assert!(entries.len() <= MAX_NODE_ITEMS);
            }
        }
    }
}

fn refused(node: &Node) -> bool {
    Node::from_object(&node.to_object().unwrap()).is_err()
}

#[test]
fn malformed_nodes_are_refused() {
    let leaf = |entries: Vec<_>| Node::Leaf { entries };
    assert!(!refused(&leaf(vec![file("a", 1), file("b", 2)])));
    assert!(refused(&leaf(vec![file("b", 1), file("a", 2)])), "out of order");
    assert!(refused(&leaf(vec![file("a", 1), file("A", 2)])), "twins");
    let mut renamed = file("a", 1);
    renamed.former = vec![RepoPath::new("y").unwrap(), RepoPath::new("x").unwrap()];
    assert!(refused(&leaf(vec![renamed.clone()])), "former paths out of order");
    renamed.former = (10..27).map(|n| RepoPath::new(&format!("p{n}")).unwrap()).collect();
    assert!(refused(&leaf(vec![renamed])), "too many former paths");
    let boundary = names_by_boundary(true).next().unwrap();
    assert!(!refused(&leaf(vec![file("a", 1), file(&boundary, 1)])));
    assert!(refused(&leaf(vec![file(&boundary, 1), file("z", 1)])), "past a boundary");

    let child = |key: &str, count| Child {
        last_key: key.into(),
        id: TreeId([7; 32]),
        totals: Totals { files: count, ..Totals::default() },
        count,
    };
    let inner = |level, children: Vec<_>| Node::Inner { level, children };
    assert!(!refused(&inner(1, vec![child("a", 1), child("b", 1)])));
    assert!(refused(&inner(0, vec![child("a", 1), child("b", 1)])), "level 0");
    assert!(refused(&inner(1, vec![])), "no children");
    assert!(refused(&inner(1, vec![child("b", 1), child("a", 1)])), "out of order");
    assert!(refused(&inner(1, vec![child("a", 0), child("b", 1)])), "empty child");
}

/// Nodes that are well formed one by one, but not together.
#[test]
fn forged_trees_are_refused() {
    let memory = Memory::default();
    let put = |node: &Node| {
        let object = node.to_object().unwrap();
        let id = object.id();
        memory.put(object);
        TreeId::from(id)
    };
    let leaf = |names: &[&str]| Node::Leaf { entries: names.iter().map(|n| file(n, 1)).collect() };
    let child = |key: &str, node: &Node| Child {
        last_key: key.into(),
        id: put(node),
        totals: node.totals(),
        count: node.count(),
    };
    let honest = [child("b", &leaf(&["a", "b"])), child("d", &leaf(&["c", "d"]))];
    let root = put(&Node::Inner { level: 1, children: honest.to_vec() });
    assert_eq!(memory.list(root).len(), 4);

    let [first, second] = honest;
    let wrong_key = Child { last_key: "bb".into(), ..first.clone() };
    let wrong_count = Child { count: 3, ..first.clone() };
    let mut wrong_totals = first.clone();
    wrong_totals.totals.bytes += 1;
    let overlapping = child("d", &leaf(&["b", "d"]));
    for children in [
        vec![wrong_key, second.clone()],
        vec![wrong_count, second.clone()],
        vec![wrong_totals, second.clone()],
        vec![first.clone(), overlapping],
        vec![first.clone()],
    ] {
        let root = put(&Node::Inner { level: 1, children });
        let refused = tree::for_each(&memory, root, &mut |_| Ok(()));
        assert!(matches!(refused, Err(ObjectError::Malformed { what: "tree", .. })), "{refused:?}");
    }
    let root = put(&Node::Inner { level: 2, children: vec![first, second] });
    assert!(tree::lookup(&memory, root, "a").is_err(), "a level is missing");
}

#[test]
fn wrong_edits_are_refused() {
    let memory = Memory::default();
    let under_another_key = BTreeMap::from([("b".to_owned(), Some(file("a", 1)))]);
    assert!(memory.edit(EMPTY_TREE, &under_another_key).is_err());
    let mut empty_folder = file("a", 1);
    empty_folder.entry = ottvc_object::Entry::Tree { id: EMPTY_TREE, totals: Totals::default() };
    assert!(memory.edit(EMPTY_TREE, &added([empty_folder])).is_err());
}
