//! What laws are tried on, made by plain functions from bytes drawn by chance.
//!
//! A strategy of strategies costs more than the merges it is made for: each value, kept or not, is a tree
//! of its own. Here all that was drawn for a case is one row of bytes. A failing case is made smaller by
//! leaving bytes out and lowering others, so makers take 0 for the simplest choice.
#![allow(dead_code, reason = "each binary of laws uses some of it")]

use std::fmt::Debug;
use std::ops::Range;

use proptest::prelude::*;
use proptest::strategy::{NewTree, ValueTree};
use proptest::test_runner::{FileFailurePersistence, RngAlgorithm, TestRng, TestRunner};

/// How a law is tried: 10,000 times where `CI` is set and `few` times elsewhere, unless
/// `PROPTEST_CASES` says otherwise. Draws are by chance, unless `PROPTEST_RNG_SEED` is given; failures are
/// kept beside `source`.
pub(crate) fn config(source: &'static str, few: u32) -> ProptestConfig {
    let in_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    let mut config = ProptestConfig {
        source_file: Some(source),
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource(
            "proptest-regressions",
        ))),
        ..ProptestConfig::default()
    };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = if in_ci { 10_000 } else { few };
    }
    config
}

/// A runner that draws the same each time and stops at the first failure, for what is about the laws
/// and not about luck.
pub(crate) fn fixed(cases: u32) -> TestRunner {
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: 0,
        ..ProptestConfig::default()
    };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

/// Bytes to make a case from.
pub(crate) struct Draw<'b>(Source<'b>);

enum Source<'b> {
    /// As many as are asked for, spun out of one number that was drawn (SplitMix64): the runner's own
    /// generator takes longer for the bytes of a document than a merge of it.
    Spun { state: u64, word: u64, left: u8 },
    /// These, and zeros when all are used.
    Kept(std::slice::Iter<'b, u8>),
}

impl Draw<'_> {
    fn spun(seed: u64) -> Self {
        Self(Source::Spun { state: seed, word: 0, left: 0 })
    }
    pub(crate) fn from(bytes: &[u8]) -> Draw<'_> {
        Draw(Source::Kept(bytes.iter()))
    }

    fn byte(&mut self) -> u8 {
        match &mut self.0 {
            Source::Kept(bytes) => bytes.next().copied().unwrap_or(0),
            Source::Spun { state, word, left } => {
                if *left == 0 {
                    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
                    *word = *state;
                    *word = (*word ^ (*word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
                    *word = (*word ^ (*word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
                    *word ^= *word >> 31;
                    *left = 8;
                }
                let byte = word.to_le_bytes()[0];
                (*word, *left) = (*word >> 8, *left - 1);
                byte
            }
        }
    }
    /// A number below `many` (at most 256), each about as often.
    pub(crate) fn below(&mut self, many: usize) -> usize {
        usize::from(self.byte()) * many / 256
    }
    /// True `times` in `of`.
    pub(crate) fn chance(&mut self, times: usize, of: usize) -> bool {
        self.below(of) >= of - times
    }
    pub(crate) fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
    pub(crate) fn bytes(&mut self, many: usize) -> Vec<u8> {
        (0..many).map(|_| self.byte()).collect()
    }
}

/// What `make` makes of bytes drawn by chance.
pub(crate) fn drawn<T: Debug, F: Fn(&mut Draw<'_>) -> T + Copy>(make: F) -> Drawn<F> {
    Drawn(make)
}

/// See [`drawn`].
#[derive(Clone, Copy)]
pub(crate) struct Drawn<F>(F);

impl<F> Debug for Drawn<F> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Drawn")
    }
}

impl<T: Debug, F: Fn(&mut Draw<'_>) -> T + Copy> Strategy for Drawn<F> {
    type Tree = Case<F>;
    type Value = T;

    fn new_tree(&self, runner: &mut TestRunner) -> NewTree<Self> {
        let seed = runner.rng().next_u64();
        Ok(Case { make: self.0, seed, bytes: None, before: None, next: Attempt::default() })
    }
}

/// More bytes than any case uses.
const BYTES: usize = 1 << 14;

/// What was drawn for a case, and how it may be made less.
pub(crate) struct Case<F> {
    make: F,
    seed: u64,
    /// The bytes that are left, once it failed.
    bytes: Option<Vec<u8>>,
    /// As they were before the last attempt.
    before: Option<Vec<u8>>,
    next: Attempt,
}

impl<F> Debug for Case<F> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Case").field("seed", &self.seed).field("bytes", &self.bytes).finish()
    }
}

impl<F> Case<F> {
    fn attempt(&mut self) -> bool {
        let seed = self.seed;
        let bytes = self.bytes.get_or_insert_with(|| Draw::spun(seed).bytes(BYTES));
        let smaller = self.next.of(bytes);
        let found = smaller.is_some();
        self.before = smaller.map(|smaller| std::mem::replace(bytes, smaller));
        found
    }
}

impl<T: Debug, F: Fn(&mut Draw<'_>) -> T> ValueTree for Case<F> {
    type Value = T;

    fn current(&self) -> T {
        match &self.bytes {
            None => (self.make)(&mut Draw::spun(self.seed)),
            Some(bytes) => (self.make)(&mut Draw::from(bytes)),
        }
    }
    fn simplify(&mut self) -> bool {
        self.attempt()
    }
    fn complicate(&mut self) -> bool {
        let Some(before) = self.before.take() else { return false };
        self.bytes = Some(before);
        self.next.failed();
        self.attempt()
    }
}

/// What is tried next to make bytes fewer: blocks left out, long ones first; blocks of zeros; each byte
/// halved.
#[derive(Clone, Copy)]
struct Attempt {
    how: How,
    size: usize,
    at: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum How {
    LeaveOut,
    Clear,
    Halve,
}

impl Default for Attempt {
    fn default() -> Self {
        Self { how: How::LeaveOut, size: BYTES / 2, at: 0 }
    }
}

impl Attempt {
    fn of(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        loop {
            if self.at >= bytes.len() {
                let (how, size) = match (self.how, self.size / 2) {
                    (How::LeaveOut, 0) => (How::Clear, 16),
                    (How::Clear, 0) => (How::Halve, 1),
                    (How::Halve, _) => return None,
                    (how, size) => (how, size),
                };
                *self = Self { how, size, at: 0 };
                if bytes.is_empty() {
                    return None;
                }
                continue;
            }
            let block: Range<usize> = self.at..bytes.len().min(self.at + self.size);
            if self.how != How::LeaveOut && bytes[block.clone()].iter().all(|byte| *byte == 0) {
                self.failed();
                continue;
            }
            let mut smaller = bytes.to_vec();
            match self.how {
                How::LeaveOut => drop(smaller.drain(block)),
                How::Clear => smaller[block].fill(0),
                How::Halve => smaller[block].iter_mut().for_each(|byte| *byte /= 2),
            }
            return Some(smaller);
        }
    }
    /// The last one made the failure go away: the next block, then.
    fn failed(&mut self) {
        self.at += self.size;
    }
}

#[test]
fn a_failing_case_is_made_small() {
    let many = drawn(|draw| (0..40).map(|_| draw.below(100)).collect::<Vec<_>>());
    // How small is a matter of luck: the same each time.
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let big = |all: Vec<usize>| -> Result<(), TestCaseError> {
        prop_assert!(all.iter().filter(|n| **n > 12).count() < 2);
        Ok(())
    };
    let Err(proptest::test_runner::TestError::Fail(_, smallest)) = runner.run(&many, big) else {
        panic!("it fails");
    };
    let left: Vec<usize> = smallest.into_iter().filter(|n| *n > 0).collect();
    assert!(left.len() == 2 && left.iter().all(|n| *n < 26), "{left:?}");
}
