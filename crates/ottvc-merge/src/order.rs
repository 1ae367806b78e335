//! The order of a keyed list (section 4), on numbers: a key is its rank among the merged keys.
//!
//! A sequence is one term's order of the keys it holds; keys that the merged list lacks are gone
//! before. The result is a permutation of all ranks, or `None` where the sides contradict each other.

use std::collections::{BTreeMap, BTreeSet};

use crate::algebra::settle_by;

/// The longest stretch of keys, all shuffled differently by two sides, whose pairs are compared.
/// A longer one is a conflict: the work grows with its square.
const MAX_SHUFFLED: usize = 4096;

/// Where a key hangs that some term lacks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Anchor {
    /// Before the first key that all terms share.
    Start,
    /// After this key, which all terms share.
    After(usize),
    /// After the last key that all terms share.
    End,
}

/// Merges the orders in `terms` (adds at even places) into one order of the ranks `0..count`.
///
/// A rank no add mentions goes to the end, in order of ranks. With `apart`, different keys that two
/// sides put in one gap contradict each other, too.
pub(crate) fn merge_order(terms: &[Vec<usize>], count: usize, apart: bool) -> Option<Vec<usize>> {
    if let Some(settled) = settle_by(terms, &Vec::eq).filter(|order| order.len() == count) {
        return Some(settled);
    }
    let mut held = vec![0; count];
    for rank in terms.iter().flatten() {
        if let Some(times) = held.get_mut(*rank) {
            *times += 1;
        }
    }
    let is_core = |rank: usize| held.get(rank) == Some(&terms.len());
    let cores: Vec<Vec<usize>> = terms
        .iter()
        .map(|term| term.iter().copied().filter(|rank| is_core(*rank)).collect())
        .collect();
    let core = match settle_by(&cores, &Vec::eq) {
        Some(core) => core,
        None => merge_core(&cores, count)?,
    };
    let anchors: Vec<BTreeMap<usize, Anchor>> =
        terms.iter().map(|term| anchors_of(term, is_core)).collect();
    let mut gaps: BTreeMap<Anchor, BTreeSet<usize>> = BTreeMap::new();
    for rank in (0..count).filter(|rank| !is_core(*rank)) {
        gaps.entry(merge_anchor(&anchors, rank)?).or_default().insert(rank);
    }
    let mut filled = BTreeMap::new();
    for (anchor, members) in &gaps {
        let runs: Vec<Vec<usize>> = terms
            .iter()
            .zip(&anchors)
            .step_by(2)
            .map(|(term, own)| {
                let here = |rank: &usize| own.get(rank) == Some(anchor) && members.contains(rank);
                term.iter().copied().filter(here).collect()
            })
            .collect();
        if apart && !put_alike(&runs, terms) {
            return None;
        }
        filled.insert(*anchor, merge_runs(&runs, members)?);
    }
    let mut order = filled.remove(&Anchor::Start).unwrap_or_default();
    for rank in core {
        order.push(rank);
        order.extend(filled.remove(&Anchor::After(rank)).unwrap_or_default());
    }
    order.extend(filled.remove(&Anchor::End).unwrap_or_default());
    Some(order)
}

/// Merges orders of the same keys: each pair goes the way its terms settle on; a cycle is `None`.
fn merge_core(cores: &[Vec<usize>], count: usize) -> Option<Vec<usize>> {
    let places: Vec<Vec<usize>> = cores
        .iter()
        .map(|core| {
            let mut places = vec![usize::MAX; count];
            for (place, rank) in core.iter().enumerate() {
                if let Some(slot) = places.get_mut(*rank) {
                    *slot = place;
                }
            }
            places
        })
        .collect();
    let first = cores.first()?;
    let first_places = places.first()?;
    let mut merged = Vec::with_capacity(first.len());
    let mut stretch = Vec::new();
    let mut reach = 0;
    for (place, rank) in first.iter().enumerate() {
        stretch.push(*rank);
        // How far into the first order the keys reach that any term has had by now. Where that is
        // no further than here, every pair across this place stands alike in all terms.
        let seen = cores.iter().filter_map(|core| first_places.get(*core.get(place)?).copied());
        reach = seen.fold(reach, usize::max);
        if reach == place {
            merged.extend(merge_stretch(&stretch, &places)?);
            stretch.clear();
        }
    }
    Some(merged)
}

/// Orders the keys of one stretch by how many others each goes before; equal numbers mean a cycle.
fn merge_stretch(stretch: &[usize], places: &[Vec<usize>]) -> Option<Vec<usize>> {
    if stretch.len() > MAX_SHUFFLED {
        return None;
    }
    let before = |a: usize, b: usize| {
        let says = |term: &Vec<usize>| term.get(a) < term.get(b);
        let adds = places.iter().step_by(2).filter(|term| says(term)).count();
        let removes = places.iter().skip(1).step_by(2).filter(|term| says(term)).count();
        // Yes counts one more than no in all, so the positive count is the settled one.
        adds > removes
    };
    let mut order = vec![None; stretch.len()];
    for key in stretch {
        let behind = stretch.iter().filter(|other| *other != key && before(*key, **other)).count();
        let place = stretch.len().checked_sub(behind + 1)?;
        *order.get_mut(place)? = Some(*key);
    }
    // Keys with equal numbers take one place and leave another free.
    order.into_iter().collect()
}

/// Returns the anchor of each key of `term` that is not core.
fn anchors_of(term: &[usize], is_core: impl Fn(usize) -> bool) -> BTreeMap<usize, Anchor> {
    let tail = term.iter().rposition(|rank| is_core(*rank)).map_or(0, |last| last + 1);
    let mut anchor = Anchor::Start;
    let mut anchors = BTreeMap::new();
    for (place, rank) in term.iter().enumerate() {
        if is_core(*rank) {
            anchor = Anchor::After(*rank);
        } else {
            anchors.insert(*rank, if place >= tail { Anchor::End } else { anchor });
        }
    }
    anchors
}

/// Returns the anchor the sides agree on, or the only one that differs from the bases.
fn merge_anchor(anchors: &[BTreeMap<usize, Anchor>], rank: usize) -> Option<Anchor> {
    let of = |skip: usize| -> BTreeSet<Anchor> {
        anchors.iter().skip(skip).step_by(2).filter_map(|own| own.get(&rank).copied()).collect()
    };
    let sides = of(0);
    let only = |set: &BTreeSet<Anchor>| if set.len() == 1 { set.first().copied() } else { None };
    if sides.is_empty() {
        return Some(Anchor::End);
    }
    only(&sides).or_else(|| only(&sides.difference(&of(1)).copied().collect()))
}

/// Whether no two sides put different new keys in this gap; what a base has is not new.
fn put_alike(runs: &[Vec<usize>], terms: &[Vec<usize>]) -> bool {
    let old: BTreeSet<usize> = terms.iter().skip(1).step_by(2).flatten().copied().collect();
    let new = |run: &Vec<usize>| -> Vec<usize> {
        run.iter().copied().filter(|rank| !old.contains(rank)).collect()
    };
    let put: BTreeSet<Vec<usize>> = runs.iter().map(new).filter(|run| !run.is_empty()).collect();
    put.len() < 2
}

/// Merges the runs of one gap so that each keeps its order: the smallest key that may come next, and
/// then the rest of its run as far as the other runs allow. `None` if the runs contradict each other.
fn merge_runs(runs: &[Vec<usize>], members: &BTreeSet<usize>) -> Option<Vec<usize>> {
    let mut next: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    let mut waits: BTreeMap<usize, usize> = members.iter().map(|rank| (*rank, 0)).collect();
    for run in runs {
        for (a, b) in run.iter().zip(run.iter().skip(1)) {
            if next.entry(*a).or_default().insert(*b) {
                *waits.entry(*b).or_default() += 1;
            }
        }
    }
    let mut ready: BTreeSet<usize> =
        waits.iter().filter(|(_, waits)| **waits == 0).map(|(rank, _)| *rank).collect();
    let mut order = Vec::with_capacity(members.len());
    let mut following: Option<usize> = None;
    while let Some(rank) = following.take().or_else(|| ready.first().copied()) {
        ready.remove(&rank);
        order.push(rank);
        for after in next.get(&rank).into_iter().flatten() {
            let left = waits.get_mut(after)?;
            *left -= 1;
            if *left == 0 {
                ready.insert(*after);
                following = following.or(Some(*after));
            }
        }
    }
    (order.len() == members.len()).then_some(order)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Orders written as letters; the rank of a letter is its place in the alphabet of all.
    fn merged(ours: &str, base: &str, theirs: &str) -> Option<String> {
        let alphabet: BTreeSet<char> =
            [ours, base, theirs].iter().flat_map(|t| t.chars()).collect();
        let letters: Vec<char> = alphabet.into_iter().collect();
        let ranks = |term: &str| -> Vec<usize> {
            term.chars().map(|c| letters.iter().position(|l| *l == c).unwrap()).collect()
        };
        let run = |terms: &[Vec<usize>]| {
            merge_order(terms, letters.len(), false)
                .map(|order| order.into_iter().map(|rank| letters[rank]).collect::<String>())
        };
        let there = run(&[ranks(ours), ranks(base), ranks(theirs)]);
        let back = run(&[ranks(theirs), ranks(base), ranks(ours)]);
        assert_eq!(there, back, "swapping the sides changes nothing");
        there
    }

    #[test]
    fn moves_of_different_keys_both_happen() {
        assert_eq!(merged("bacd", "abcd", "abdc").as_deref(), Some("badc"));
        assert_eq!(merged("ba", "ab", "abx").as_deref(), Some("bax"));
    }

    #[test]
    fn runs_are_not_interleaved() {
        assert_eq!(merged("abx", "ab", "aby").as_deref(), Some("abxy"));
        assert_eq!(merged("azpb", "ab", "aqb").as_deref(), Some("aqzpb"));
        assert_eq!(merged("xaz", "a", "ya").as_deref(), Some("xyaz"));
    }

    #[test]
    fn apart_only_one_side_fills_a_gap() {
        let run = |ours: &[usize], base: &[usize], theirs: &[usize]| {
            merge_order(&[ours.to_vec(), base.to_vec(), theirs.to_vec()], 4, true)
        };
        assert_eq!(run(&[0, 1, 2], &[0, 1], &[0, 1, 3]), None);
        assert_eq!(run(&[0, 2, 1], &[0, 1], &[0, 1, 3]), Some(vec![0, 2, 1, 3]));
        assert_eq!(run(&[0, 1, 2, 3], &[0, 1], &[0, 1, 2, 3]), Some(vec![0, 1, 2, 3]));
    }

    #[test]
    fn contradictions_are_conflicts() {
        assert_eq!(merged("bac", "abc", "acb"), None, "a cycle");
        assert_eq!(merged("abc", "ac", "acb"), None, "one new key in two places");
        assert_eq!(merged("axy", "a", "ayx"), None, "two runs");
    }

    #[test]
    fn a_shuffle_too_long_to_compare_is_a_conflict() {
        let base: Vec<usize> = (0..MAX_SHUFFLED + 1).collect();
        let ours: Vec<usize> = base.iter().rev().copied().collect();
        let mut theirs = base.clone();
        theirs.swap(0, 1);
        assert_eq!(merge_order(&[ours, base.clone(), theirs.clone()], base.len(), false), None);
        let mut apart = base.clone();
        apart.swap(MAX_SHUFFLED - 1, MAX_SHUFFLED);
        assert!(merge_order(&[apart, base.clone(), theirs], base.len(), false).is_some());
    }
}
