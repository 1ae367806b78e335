//! The sequence form: chunk lists.

use std::collections::BTreeSet;

use ottvc_object::manifest::{ChunkList, ChunkRef, CutRule, ListBuilder, merkle_root};
use ottvc_object::tree::sequence::{
    ChunkPosition, Page, PageRef, SequenceBuilder, for_each_chunk, locate,
};
use ottvc_object::{ChunkId, ContentId, ObjectError, PageId, Storable};
use proptest::collection::vec;
use proptest::prelude::*;

use super::Memory;

fn chunk(seed: u64, len: u32) -> ChunkRef {
    ChunkRef { id: ChunkId::of(&seed.to_le_bytes()), len }
}

fn chunks(count: u64) -> Vec<ChunkRef> {
    (0..count).map(|n| chunk(n, u32::try_from(n % 1000 + 1).unwrap())).collect()
}

fn build(memory: &Memory, chunks: &[ChunkRef]) -> Option<PageRef> {
    let mut builder = SequenceBuilder::new();
    let mut put = |object| {
        memory.put(object);
        Ok::<_, ObjectError>(())
    };
    for chunk in chunks {
        builder.push(*chunk, &mut put).unwrap();
    }
    builder.finish(&mut put).unwrap()
}

fn visited(memory: &Memory, root: PageId, from: u64, to: u64) -> Vec<ChunkPosition> {
    let mut found = Vec::new();
    for_each_chunk(memory, root, from..to, &mut |position| {
        found.push(position);
        Ok(())
    })
    .unwrap();
    found
}

/// Every page below a root.
fn pages_of(memory: &Memory, root: PageId) -> BTreeSet<PageId> {
    let mut seen = BTreeSet::new();
    let mut todo = vec![root];
    while let Some(id) = todo.pop() {
        let page = ottvc_object::tree::sequence::Pages::page(memory, id).unwrap();
        if seen.insert(id)
            && let Page::Inner { children, .. } = &*page
        {
            todo.extend(children.iter().map(|child| child.id));
        }
    }
    seen
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// A sequence gives back its chunks, whole and by range, whatever they are.
    #[test]
    fn ranges_are_exact(
        seeds in vec((0..40_u64, 1..100_u32), 1..3000),
        edges in (0..=1000_u64, 0..=1000_u64),
    ) {
        let memory = Memory::default();
        let list: Vec<ChunkRef> = seeds.iter().map(|(seed, len)| chunk(*seed, *len)).collect();
        let root = build(&memory, &list).unwrap();
        let bytes = list.iter().map(|chunk| u64::from(chunk.len)).sum::<u64>();
        prop_assert_eq!((root.count, root.bytes), (list.len() as u64, bytes));
        let all = visited(&memory, root.id, 0, u64::MAX);
        prop_assert_eq!(all.iter().map(|at| at.chunk).collect::<Vec<_>>(), list);
        let at = |permille: u64| permille * bytes / 1000;
        let (from, to) = (at(edges.0.min(edges.1)), at(edges.0.max(edges.1)));
        let inside: Vec<_> =
            all.iter().filter(|at| at.start < to && from < at.end()).copied().collect();
        let expected = if from == to { Vec::new() } else { inside };
        prop_assert_eq!(visited(&memory, root.id, from, to), expected);
        if from < bytes {
            let found = locate(&memory, root.id, from).unwrap();
            prop_assert!(found.start <= from && from < found.end());
        }
    }
}

#[test]
fn the_end_is_out_of_range() {
    let memory = Memory::default();
    let root = build(&memory, &chunks(2000)).unwrap();
    assert!(locate(&memory, root.id, root.bytes - 1).is_ok());
    let error = locate(&memory, root.id, root.bytes).unwrap_err();
    assert!(matches!(error, ObjectError::OutOfRange { len, .. } if len == root.bytes));
    assert!(build(&memory, &[]).is_none());
}

#[test]
fn locating_reads_one_page_a_level() {
    let memory = Memory::default();
    let root = build(&memory, &chunks(200_000)).unwrap();
    memory.counts();
    let found = locate(&memory, root.id, root.bytes / 2).unwrap();
    let (reads, _) = memory.counts();
    assert!(reads <= 5, "{reads} reads");
    assert_eq!(found.chunk, chunk(found.index, found.chunk.len));
}

/// A chunk put in, taken out or changed leaves all but a few pages as they were.
#[test]
fn an_insertion_disturbs_its_neighbourhood() {
    let memory = Memory::default();
    let list = chunks(50_000);
    let before = pages_of(&memory, build(&memory, &list).unwrap().id);
    for at in [0, 1, 24_999, 49_999] {
        let mut inserted = list.clone();
        inserted.insert(at, chunk(u64::MAX, 5));
        let mut removed = list.clone();
        removed.remove(at);
        let mut changed = list.clone();
        changed[at] = chunk(u64::MAX, 5);
        for list in [inserted, removed, changed] {
            let after = pages_of(&memory, build(&memory, &list).unwrap().id);
            let new = after.difference(&before).count();
            assert!((1..=8).contains(&new), "{new} new pages of {}", after.len());
        }
    }
}

/// One chunk over and over, on or off a boundary, makes few distinct pages and ends.
#[test]
fn repetition_is_bounded() {
    for seed in 0..200 {
        let memory = Memory::default();
        let root = build(&memory, &vec![chunk(seed, 9); 20_000]).unwrap();
        assert_eq!((root.count, root.bytes), (20_000, 180_000));
        assert_eq!(visited(&memory, root.id, 0, u64::MAX).len(), 20_000);
        for id in pages_of(&memory, root.id) {
            assert!(memory.get(id.into()).unwrap().bytes().len() < 32 << 10);
        }
    }
}

#[test]
fn sequences_are_the_same_everywhere() {
    let memory = Memory::default();
    let root = build(&memory, &chunks(10_000)).unwrap();
    assert_eq!(root.id.to_string(), GOLDEN);
}
const GOLDEN: &str = "0dc3b00bc956714fc50047b0875b6e25dbb589fe9ce361a6bbbca72a6fdab053";

#[test]
fn malformed_pages_are_refused() {
    let refused = |page: Page| Page::from_object(&page.to_object().unwrap()).is_err();
    let leaf = |chunks: &[ChunkRef]| Page::Leaf { chunks: chunks.to_vec() };
    let plain: Vec<_> = (0..).map(|n| chunk(n, 1)).filter(|c| c.id.0[0] >= 4).take(600).collect();
    let ending = (0..).map(|n| chunk(n, 1)).find(|c| c.id.0[0] < 4).unwrap();
    assert!(!refused(leaf(&plain[..512])));
    assert!(refused(leaf(&plain[..513])), "too many");
    assert!(refused(leaf(&[])), "empty");
    assert!(refused(leaf(&[chunk(1, 0)])), "an empty chunk");
    assert!(!refused(leaf(&[plain[0], ending])));
    assert!(refused(leaf(&[ending, plain[0]])), "past a boundary");
    let child = |count, bytes| PageRef { id: PageId([9; 32]), count, bytes };
    let inner = |level, children: &[PageRef]| Page::Inner { level, children: children.to_vec() };
    assert!(!refused(inner(1, &[child(1, 1), child(1, 1)])));
    assert!(refused(inner(0, &[child(1, 1), child(1, 1)])), "level 0");
    assert!(refused(inner(1, &[child(0, 1), child(1, 1)])), "an empty page");
    assert!(refused(inner(1, &[child(2, 1), child(1, 1)])), "fewer bytes than chunks");
    let memory = Memory::default();
    let honest = build(&memory, &plain[..512]).unwrap();
    for children in [
        vec![honest, PageRef { bytes: honest.bytes + 1, ..honest }],
        vec![honest, PageRef { count: honest.count - 1, ..honest }],
        vec![honest],
    ] {
        let object = inner(1, &children).to_object().unwrap();
        let root = object.id().into();
        memory.put(object);
        assert!(for_each_chunk(&memory, root, 0..u64::MAX, &mut |_| Ok(())).is_err());
    }
}

/// Lists up to sixteen chunks are inline; the two forms answer alike.
#[test]
fn lists_are_inline_while_short() {
    for count in [0, 1, 16, 17, 1000] {
        let memory = Memory::default();
        let list = chunks(count);
        let mut put = |object| {
            memory.put(object);
            Ok::<_, ObjectError>(())
        };
        let mut builder = ListBuilder::new();
        for chunk in &list {
            builder.push(*chunk, &mut put).unwrap();
        }
        let content = ContentId::of(b"any");
        let manifest = builder.finish(content, CutRule::DEFAULT, None, &mut put).unwrap();
        manifest.validate().unwrap();
        assert_eq!(manifest.merkle_root, merkle_root(list.iter().map(|chunk| chunk.id)));
        let chunks = manifest.layout.chunks();
        assert_eq!(chunks.count(), count);
        assert_eq!(matches!(chunks, ChunkList::Inline(_)), count <= 16);
        let (mut start, mut index) = (0, 0);
        let mut rest = list.iter();
        chunks
            .for_each(&memory, 0..u64::MAX, &mut |at| {
                let chunk = *rest.next().unwrap();
                assert_eq!(at, ChunkPosition { index, start, chunk });
                (start, index) = (at.end(), index + 1);
                Ok(())
            })
            .unwrap();
        assert_eq!((index, start), (count, manifest.len));
        assert!(chunks.locate(&memory, start).is_err());
        let mut inside = 0;
        let mut visit = |_| {
            inside += 1;
            Ok(())
        };
        chunks.for_each(&memory, start / 2..start / 2, &mut visit).unwrap();
        assert_eq!(inside, 0, "an empty range has no chunk");
        if count > 0 {
            assert_eq!(chunks.locate(&memory, start - 1).unwrap().index, count - 1);
        }
    }
}
