//! Cut points, which are part of the format since a chunk is found again only where it is cut again, and maps.
//!
//! `fixtures/golden-cuts.txt` has cut points from a second reading of `docs/format.md`
//! (`fixtures/golden.py`). A line: seed, length, least, average and greatest size, a colon, lengths of
//! chunks; the bytes cut are BLAKE3's extended output over the seed as eight bytes, little endian.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

use ottvc_chunk::track::map::{Checkpoint, Step, steps};
use ottvc_chunk::{Block, ChunkError, Cutter, Splitter};
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

/// `fixtures/golden-map.txt`: a line in hexadecimal each for the file, the map with every kind of operation, the
/// glue, and the streams.
#[test]
fn maps_make_what_the_page_says() {
    let unhex = |line: &str| -> Vec<u8> {
        let digits = |at| u8::from_str_radix(&line[at..at + 2], 16).unwrap();
        (0..line.len()).step_by(2).map(digits).collect()
    };
    let lines = include_str!("../../../fixtures/golden-map.txt").lines().map(unhex);
    let [file, map, glue, streams @ ..] = &lines.collect::<Vec<_>>()[..] else {
        panic!("lines lack")
    };
    let len = file.len() as u64;
    let mut out = Vec::new();
    let visit = &mut |step| {
        let mut copy = |from: &[u8], start: u64, len: u32| {
            let start = usize::try_from(start).unwrap();
            out.extend_from_slice(&from[start..start + usize::try_from(len).unwrap()]);
        };
        match step {
            Step::Glue { start, len } => copy(glue, start, len),
            Step::Stream { stream, start, len } => copy(&streams[usize::from(stream)], start, len),
            Step::Padding { len } => copy(&[0xff; 188], 0, len),
            Step::Made(made) => out.extend_from_slice(made.bytes()),
        }
        Ok::<(), ChunkError>(())
    };
    steps(map, Checkpoint::default(), streams.len(), len, 0..len, visit).unwrap();
    let differs = out.iter().zip(file).position(|(a, b)| a != b);
    assert_eq!((differs, out.len()), (None, file.len()));
}
