//! Cut points, which are part of the format: a chunk is found again only where it is cut again.
//!
//! `fixtures/golden-cuts.txt` has them from a second reading of `docs/format.md`
//! (`fixtures/golden.py`). A line: seed, length, least, average and greatest size, a colon, lengths of
//! chunks; the bytes cut are BLAKE3's extended output over the seed as eight bytes, little endian.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

use ottvc_chunk::{Block, Cutter, Splitter};
use ottvc_object::manifest::CutRule;

#[test]
fn cut_points_are_what_the_page_says() {
    let lines = include_str!("../../../fixtures/golden-cuts.txt").lines();
    let mut rules = Vec::new();
    for line in lines {
        let (input, golden) = line.split_once(" : ").unwrap();
        let [seed, len, min, avg, max] =
            <[u32; 5]>::try_from(input.split(' ').map(|n| n.parse().unwrap()).collect::<Vec<_>>())
                .unwrap();
        let mut bytes = vec![0; usize::try_from(len).unwrap()];
        blake3::Hasher::new()
            .update(&u64::from(seed).to_le_bytes())
            .finalize_xof()
            .fill(&mut bytes);
        let rule = CutRule::FastCdc { min, avg, max };
        let mut splitter = Splitter::new(Cutter::new(rule).unwrap(), 0);
        let (mut block, mut reader, mut lens) = (Block::default(), &*bytes, Vec::new());
        while splitter.next(&mut reader, &mut block).unwrap() {
            lens.extend(block.chunks().map(|chunk| chunk.len().to_string()));
        }
        assert_eq!(lens.join(" "), golden, "{input}");
        rules.push(rule);
    }
    assert!(rules.contains(&CutRule::DEFAULT));
}
