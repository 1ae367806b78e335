//! Laws of cutting, and the cut points that are part of the format.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

use std::io::{self, Read};

use ottvc_chunk::{Block, ChunkError, Cutter, Splitter};
use ottvc_object::manifest::CutRule;
use proptest::collection::vec;
use proptest::prelude::*;

const SMALL: CutRule = CutRule::FastCdc { min: 64, avg: 256, max: 1024 };

/// Bytes that compress nowhere and are the same everywhere.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// Gives its bytes in pieces of the lengths told, over and over.
struct Pieces<'b> {
    bytes: &'b [u8],
    lengths: Vec<usize>,
    next: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.lengths[self.next % self.lengths.len()];
        self.next += 1;
        if length == 0 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let length = length.min(buffer.len()).min(self.bytes.len());
        buffer[..length].copy_from_slice(&self.bytes[..length]);
        self.bytes = &self.bytes[length..];
        Ok(length)
    }
}

/// The chunks of a stream, and the length of the longest block.
fn split(rule: CutRule, reader: &mut dyn Read, block_bytes: usize) -> (Vec<Vec<u8>>, usize) {
    let mut splitter = Splitter::new(Cutter::new(rule).unwrap(), block_bytes);
    let mut block = Block::default();
    let (mut chunks, mut longest) = (Vec::new(), 0);
    while splitter.next(reader, &mut block).unwrap() {
        longest = longest.max(block.bytes().len());
        chunks.extend(block.chunks().map(<[u8]>::to_vec));
    }
    assert!(splitter.ended() && block.bytes().is_empty());
    (chunks, longest)
}

fn lengths(chunks: &[Vec<u8>]) -> Vec<usize> {
    chunks.iter().map(Vec::len).collect()
}

proptest! {
    /// Chunks tile the stream and keep their bounds, and how it is read changes nothing.
    #[test]
    fn cuts_depend_on_bytes_alone(
        seed in any::<u64>(),
        len in 0..40_000_usize,
        zeros in 0..5000_usize,
        pieces in vec(0..3000_usize, 0..6),
        block_bytes in 0..20_000_usize,
    ) {
        let mut bytes = noise(seed, len);
        bytes.splice(len / 2..len / 2, vec![0; zeros]);
        let (whole, _) = split(SMALL, &mut &*bytes, 1 << 20);
        prop_assert_eq!(whole.concat(), &*bytes);
        if let Some((last, rest)) = whole.split_last() {
            prop_assert!(rest.iter().all(|chunk| (64..=1024).contains(&chunk.len())));
            prop_assert!((1..=1024).contains(&last.len()));
        }
        let lengths = pieces.into_iter().chain([1]).collect();
        let mut pieces = Pieces { bytes: &bytes, lengths, next: 0 };
        let (pieced, longest) = split(SMALL, &mut pieces, block_bytes);
        prop_assert_eq!(pieced, whole);
        prop_assert!(longest <= block_bytes.max(2048));
    }

    /// After an edit, cut points fall back into step: all chunks but a few are kept.
    #[test]
    fn an_edit_changes_its_neighbourhood(seed in any::<u64>(), at in 0..200_000_usize) {
        let bytes = noise(seed, 200_000);
        let mut edited = bytes.clone();
        edited.insert(at, 7);
        let (before, _) = split(SMALL, &mut &*bytes, 0);
        let (after, _) = split(SMALL, &mut &*edited, 0);
        let kept = after.iter().filter(|chunk| before.contains(chunk)).count();
        prop_assert!(after.len() - kept <= 20, "{} of {} changed", after.len() - kept, after.len());
    }
}

#[test]
fn cut_points_are_the_same_everywhere() {
    let (chunks, _) = split(CutRule::DEFAULT, &mut &*noise(1, 4 << 20), 0);
    assert_eq!(lengths(&chunks), GOLDEN_DEFAULT);
    let (chunks, _) = split(SMALL, &mut &*noise(2, 4001), 0);
    assert_eq!(lengths(&chunks), GOLDEN_SMALL);
    // Nothing to cut by: the longest there can be.
    let (chunks, _) = split(CutRule::DEFAULT, &mut &*vec![0; 2_500_001], 0);
    assert_eq!(lengths(&chunks), [1 << 20, 1 << 20, 402_849]);
}
const GOLDEN_DEFAULT: [usize; 11] = [
    491_952, 274_245, 519_854, 255_535, 134_248, 517_331, 532_654, 383_019, 398_386, 553_806,
    133_274,
];
const GOLDEN_SMALL: [usize; 13] = [249, 332, 719, 258, 244, 174, 236, 303, 215, 280, 270, 485, 236];

#[test]
fn the_crate_agrees_with_its_source() {
    let bytes = noise(3, 3 << 20);
    let theirs: Vec<usize> = fastcdc::v2020::FastCDC::new(&bytes, 64 << 10, 256 << 10, 1 << 20)
        .map(|chunk| chunk.length)
        .collect();
    assert_eq!(lengths(&split(CutRule::DEFAULT, &mut &*bytes, 0).0), theirs);
}

#[test]
fn a_splitter_can_be_used_again() {
    let mut splitter = Splitter::new(Cutter::new(SMALL).unwrap(), 0);
    let mut block = Block::default();
    let bytes = noise(4, 5000);
    let mut first = Vec::new();
    for round in 0..2 {
        let mut reader = &*bytes;
        let mut found = Vec::new();
        while splitter.next(&mut reader, &mut block).unwrap() {
            found.extend(block.chunks().map(<[u8]>::len));
        }
        if round == 0 {
            first = found;
        } else {
            assert_eq!(found, first);
        }
        splitter.reset();
    }
    assert!(!splitter.next(&mut io::empty(), &mut block).unwrap());
}

#[test]
fn a_reader_that_fails_is_heard() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }
    let mut splitter = Splitter::new(Cutter::new(SMALL).unwrap(), 0);
    let error = splitter.next(&mut Broken, &mut Block::default()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

#[test]
fn impossible_rules_are_refused() {
    for (min, avg, max) in [
        (65, 256, 1024),
        (64, 257, 1024),
        (64, 256, 1025),
        (0, 256, 1024),
        (512, 256, 1024),
        (64, 2048, 1024),
        (64, 256, 32 << 20),
        (u32::MAX - 1, u32::MAX - 1, u32::MAX - 1),
    ] {
        let refused = Cutter::new(CutRule::FastCdc { min, avg, max });
        assert!(matches!(refused, Err(ChunkError::BadRule { .. })), "{min} {avg} {max}");
    }
    let error = Cutter::new(CutRule::FastCdc { min: 1, avg: 2, max: 3 }).unwrap_err();
    assert_eq!(error.code(), "chunk.bad_rule");
}
