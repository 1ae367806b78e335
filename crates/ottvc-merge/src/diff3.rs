//! Three-way merge of sequences: the changes of both sides, where they do not meet.
//!
//! Differences are Myers', deterministic, deletions before insertions, and without heuristics: past a
//! limit there is no difference, and the caller treats the value as one unit.
//!
//! # Reference
//! Myers, An O(ND) Difference Algorithm and Its Variations (1986); `docs/merge.md`, Text.

use std::collections::BTreeMap;

use unicode_segmentation::UnicodeSegmentation;

use crate::schema::Unit;

/// The longest text that is merged by its parts, in bytes.
pub(crate) const MAX_TEXT: usize = 1 << 20;
/// The most tokens or elements of one sequence.
pub(crate) const MAX_TOKENS: usize = 50_000;
/// The most tokens put in and taken out between a base and a side: the work grows with its square.
pub(crate) const MAX_EDITS: usize = 2_000;

/// Merges a text by its tokens; `None` where changes meet, or past a limit.
pub(crate) fn merge_text(unit: Unit, ours: &str, base: &str, theirs: &str) -> Option<String> {
    if [ours, base, theirs].iter().any(|text| text.len() > MAX_TEXT) {
        return None;
    }
    let tokens = |text: &'_ str| -> Vec<String> {
        let cut: Box<dyn Iterator<Item = &str>> = match unit {
            Unit::Line => Box::new(text.split_inclusive('\n')),
            Unit::Word => Box::new(text.split_word_bounds()),
            Unit::Sentence => Box::new(text.split_sentence_bounds()),
        };
        // One over the limit is enough to know.
        cut.take(MAX_TOKENS + 1).map(str::to_owned).collect()
    };
    merge_sequences(&tokens(ours), &tokens(base), &tokens(theirs)).map(|merged| merged.concat())
}

/// Merges sequences; `None` where changes overlap or touch and differ, or past a limit.
pub(crate) fn merge_sequences<T: Ord + Clone>(
    ours: &[T],
    base: &[T],
    theirs: &[T],
) -> Option<Vec<T>> {
    if [ours, base, theirs].iter().any(|tokens| tokens.len() > MAX_TOKENS) {
        return None;
    }
    // Numbers compare faster than tokens, and each token is compared with few others.
    let mut numbers: BTreeMap<&T, usize> = BTreeMap::new();
    for token in ours.iter().chain(base).chain(theirs) {
        let next = numbers.len();
        numbers.entry(token).or_insert(next);
    }
    let numbered = |tokens: &[T]| -> Vec<usize> {
        tokens.iter().filter_map(|token| numbers.get(token).copied()).collect()
    };
    let (our_numbers, base_numbers, their_numbers) =
        (numbered(ours), numbered(base), numbered(theirs));
    let our_hunks = difference(&base_numbers, &our_numbers)?;
    let their_hunks = difference(&base_numbers, &their_numbers)?;

    let mut merged = Vec::new();
    let mut done = 0;
    let (mut left, mut right) = (our_hunks.iter().peekable(), their_hunks.iter().peekable());
    loop {
        let (hunk, side) = match (left.peek(), right.peek()) {
            (None, None) => break,
            (Some(a), Some(b)) if a.meets(b) => {
                let alike = a.from == b.from
                    && a.to == b.to
                    && our_numbers.get(a.new.clone()) == their_numbers.get(b.new.clone());
                if !alike {
                    return None;
                }
                right.next();
                (left.next()?, ours)
            }
            (Some(a), Some(b)) if a.from < b.from => (left.next()?, ours),
            (Some(_), None) => (left.next()?, ours),
            _ => (right.next()?, theirs),
        };
        merged.extend_from_slice(base.get(done..hunk.from)?);
        merged.extend_from_slice(side.get(hunk.new.clone())?);
        done = hunk.to;
    }
    merged.extend_from_slice(base.get(done..)?);
    Some(merged)
}

/// A run of the base, `from` to before `to`, and the run of a side that stands in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hunk {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) new: std::ops::Range<usize>,
}

impl Hunk {
    /// Whether two changes overlap or touch in the base.
    fn meets(&self, other: &Self) -> bool {
        self.from <= other.to && other.from <= self.to
    }
}

/// Returns the changes that make `base` into `side`, in order, none touching another; `None` if there
/// are more than [`MAX_EDITS`].
pub(crate) fn difference(base: &[usize], side: &[usize]) -> Option<Vec<Hunk>> {
    let head = base.iter().zip(side).take_while(|(a, b)| a == b).count();
    let (base_rest, side_rest) = (base.get(head..)?, side.get(head..)?);
    let tail =
        base_rest.iter().rev().zip(side_rest.iter().rev()).take_while(|(a, b)| a == b).count();
    let old = base_rest.get(..base_rest.len().checked_sub(tail)?)?;
    let new = side_rest.get(..side_rest.len().checked_sub(tail)?)?;
    let mut hunks: Vec<Hunk> = Vec::new();
    let (mut at_old, mut at_new) = (0, 0);
    // A match ends a hunk; one more stands behind the last token of both.
    for (x, y) in matches(old, new)?.into_iter().chain([(old.len(), new.len())]) {
        if x > at_old || y > at_new {
            hunks.push(Hunk { from: head + at_old, to: head + x, new: head + at_new..head + y });
        }
        (at_old, at_new) = (x + 1, y + 1);
    }
    Some(hunks)
}

/// Returns the places of a longest common subsequence, in order.
///
/// Greedy, from the front: `reach` holds for each diagonal how far down the old sequence the furthest
/// path with so many edits comes. What each round knew is kept, to walk the path back.
fn matches(old: &[usize], new: &[usize]) -> Option<Vec<(usize, usize)>> {
    let most = old.len().checked_add(new.len())?.min(MAX_EDITS);
    // Diagonal d, from -most - 1 to most + 1, stands at d + middle.
    let middle = most + 1;
    let mut reach: Vec<usize> = vec![0; 2 * most + 3];
    let mut rounds: Vec<Vec<usize>> = Vec::new();
    for edits in 0..=most {
        let (first, last) = (middle - edits, middle + edits);
        rounds.push(reach.get(first.checked_sub(1)?..=last + 1)?.to_vec());
        for diagonal in (first..=last).step_by(2) {
            let (above, below) = (*reach.get(diagonal - 1)?, *reach.get(diagonal + 1)?);
            // From the diagonal above a deletion comes, one further down the old sequence.
            let inserts = diagonal == first || (diagonal != last && above < below);
            let mut x = if inserts { below } else { above + 1 };
            let mut y = (x + middle).checked_sub(diagonal)?;
            while x < old.len() && y < new.len() && old.get(x) == new.get(y) {
                (x, y) = (x + 1, y + 1);
            }
            *reach.get_mut(diagonal)? = x;
            if x >= old.len() && y >= new.len() {
                return walk_back(&rounds, (old.len(), new.len()), diagonal, middle);
            }
        }
    }
    None
}

/// Walks the path back from its end, round by round, and notes its matches.
fn walk_back(
    rounds: &[Vec<usize>],
    end: (usize, usize),
    mut diagonal: usize,
    middle: usize,
) -> Option<Vec<(usize, usize)>> {
    let (mut x, mut y) = end;
    let mut found = Vec::new();
    for (edits, reach) in rounds.iter().enumerate().rev() {
        let (first, last) = (middle - edits, middle + edits);
        let known = |diagonal: usize| reach.get((diagonal + 1).checked_sub(first)?).copied();
        let (mut from_x, mut from_y) = (0, 0);
        let mut from = diagonal;
        if edits > 0 {
            let (above, below) = (known(diagonal - 1)?, known(diagonal + 1)?);
            let inserts = diagonal == first || (diagonal != last && above < below);
            from = if inserts { diagonal + 1 } else { diagonal - 1 };
            from_x = if inserts { below } else { above };
            from_y = (from_x + middle).checked_sub(from)?;
        }
        // Back along the matches to where this round's edit led.
        let (edit_x, edit_y) = match () {
            () if edits == 0 => (0, 0),
            () if from > diagonal => (from_x, from_y + 1),
            () => (from_x + 1, from_y),
        };
        while x > edit_x && y > edit_y {
            (x, y) = (x - 1, y - 1);
            found.push((x, y));
        }
        (x, y) = (from_x, from_y);
        diagonal = from;
    }
    found.reverse();
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(unit: Unit, base: &str, ours: &str, theirs: &str) -> Option<String> {
        let there = merge_text(unit, ours, base, theirs);
        assert_eq!(
            there,
            merge_text(unit, theirs, base, ours),
            "swapping the sides changes nothing"
        );
        there
    }

    fn letters(base: &str, ours: &str, theirs: &str) -> Option<String> {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        let merged = merge_sequences(&chars(ours), &chars(base), &chars(theirs));
        assert_eq!(merged, merge_sequences(&chars(theirs), &chars(base), &chars(ours)));
        merged.map(|merged| merged.into_iter().collect())
    }

    #[test]
    fn changes_apart_both_happen() {
        let base = "A young hero leaves home. She finds a map.";
        let ours = "A young pilot leaves home. She finds a map.";
        let theirs = "A young hero leaves home. She finds a star map.";
        let both = "A young pilot leaves home. She finds a star map.";
        assert_eq!(text(Unit::Word, base, ours, theirs).as_deref(), Some(both));
        assert_eq!(text(Unit::Sentence, base, ours, theirs), None, "neighbours touch");
        assert_eq!(
            text(Unit::Sentence, "A. B. C.", "X. B. C.", "A. B. Y.").as_deref(),
            Some("X. B. Y.")
        );
        assert_eq!(text(Unit::Line, base, ours, theirs), None, "it is one line");
        assert_eq!(
            text(Unit::Line, "a\nb\nc\n", "x\nb\nc\n", "a\nb\nd").as_deref(),
            Some("x\nb\nd")
        );
    }

    #[test]
    fn changes_that_meet_are_none() {
        assert_eq!(letters("abc", "axc", "ayc"), None, "overlap");
        assert_eq!(letters("abc", "xbc", "ayc"), None, "touch");
        assert_eq!(letters("abc", "axbc", "aybc"), None, "two insertions in one place");
        assert_eq!(letters("abcd", "ad", "abxcd"), None, "an insertion in what was taken out");
        assert_eq!(letters("abcde", "xbcde", "abcdy").as_deref(), Some("xbcdy"));
    }

    #[test]
    fn the_same_change_twice_is_one() {
        assert_eq!(letters("abc", "axc", "axc").as_deref(), Some("axc"));
        assert_eq!(letters("abcdef", "axcdef", "axcdey").as_deref(), Some("axcdey"));
        assert_eq!(letters("ab", "b", "").as_deref(), None);
    }

    #[test]
    fn hunks_rebuild_the_side_whatever_it_is() {
        // Every pair of short sequences over two letters.
        let all: Vec<Vec<usize>> = (0..7_u32)
            .flat_map(|len| {
                (0..1_usize << len).map(move |bits| (0..len).map(|n| bits >> n & 1).collect())
            })
            .collect();
        for base in &all {
            for side in &all {
                let mut built = Vec::new();
                let mut done = 0;
                for hunk in difference(base, side).unwrap() {
                    assert!(
                        hunk.from >= done && (done == 0 || hunk.from > done),
                        "{base:?} {side:?}"
                    );
                    built.extend_from_slice(&base[done..hunk.from]);
                    built.extend_from_slice(&side[hunk.new.clone()]);
                    done = hunk.to;
                }
                built.extend_from_slice(&base[done..]);
                assert_eq!(built, *side, "{base:?}");
            }
        }
    }

    #[test]
    fn past_the_limits_there_is_no_difference() {
        let base: Vec<usize> = (0..MAX_EDITS).collect();
        let side: Vec<usize> = (0..MAX_EDITS).rev().collect();
        assert_eq!(difference(&base, &side), None);
        let long = vec![0; MAX_TOKENS + 1];
        assert_eq!(merge_sequences(&long, &long, &long), None);
        let text = "x".repeat(MAX_TEXT + 1);
        assert_eq!(merge_text(Unit::Line, &text, &text, &text), None);
    }
}
