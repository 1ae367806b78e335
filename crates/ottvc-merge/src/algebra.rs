//! The algebra of merge terms: agreement (S0), cancelling (S1, S3) and counting (S3).
//!
//! Terms alternate, `[add, remove, add, remove, add ...]`, with one add more than removes. Every
//! function keeps that balance, and none knows what a term is beyond whether two are the same.
//! Section numbers are those of `docs/merge.md`.

use ottvc_object::conflict::Terms;

use crate::MergeError;

/// Returns `terms` with every add that equals a remove cancelled against it.
///
/// Scans the adds from the left; the first equal remove goes, and the add that followed it takes the
/// place of the cancelled add. So a side keeps its place among the sides unless another is pulled
/// forward into a gap.
pub fn simplify<T: PartialEq + Clone>(terms: &Terms<T>) -> Result<Terms<T>, MergeError> {
    Ok(Terms::new(simplify_by(terms.as_slice().to_vec(), &T::eq))?)
}

/// Returns the value that `terms` come to without looking inside it, or `None` where they disagree.
///
/// That is the value all adds share, before or after cancelling; counting each value (+1 add,
/// -1 remove) and taking the only one, or the only positive one of two, gives the same.
pub fn settle<T: PartialEq + Clone>(terms: &Terms<T>) -> Option<T> {
    settle_by(terms.as_slice(), &T::eq)
}

/// [`simplify`] under a caller's notion of sameness, which must be an equivalence.
pub(crate) fn simplify_by<T>(mut terms: Vec<T>, same: &impl Fn(&T, &T) -> bool) -> Vec<T> {
    let mut add = 0;
    while let Some(value) = terms.get(add) {
        let remove = terms.iter().skip(1).step_by(2).position(|base| same(base, value));
        match remove {
            Some(pair) => {
                let at = 2 * pair + 1;
                terms.swap(at + 1, add);
                terms.drain(at..at + 2);
            }
            None => add += 2,
        }
    }
    terms
}

/// [`settle`] under a caller's notion of sameness, which must be an equivalence.
pub(crate) fn settle_by<T: Clone>(terms: &[T], same: &impl Fn(&T, &T) -> bool) -> Option<T> {
    agreed_by(terms, same)
        .or_else(|| {
            agreed_by(&simplify_by(terms.iter().collect(), &|a, b| same(a, b)), &|a, b| same(a, b))
                .copied()
        })
        .cloned()
}

/// Returns the value all adds share (S0).
pub(crate) fn agreed_by<'a, T>(terms: &'a [T], same: &impl Fn(&T, &T) -> bool) -> Option<&'a T> {
    let mut adds = terms.iter().step_by(2);
    let first = adds.next()?;
    adds.all(|add| same(add, first)).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(values: &[u8]) -> Terms<u8> {
        Terms::new(values.to_vec()).unwrap()
    }

    #[test]
    fn an_add_pulls_the_next_side_into_its_place() {
        // The conflict [o, b, t] of one side, with base o and the other side n (case 57).
        assert_eq!(simplify(&terms(b"obton")).unwrap(), terms(b"nbt"));
        assert_eq!(simplify(&terms(b"aba")).unwrap(), terms(b"aba"));
        assert_eq!(simplify(&terms(b"aab")).unwrap(), terms(b"b"));
    }

    #[test]
    fn settling_agrees_with_counting() {
        assert_eq!(settle(&terms(b"a")), Some(b'a'));
        assert_eq!(settle(&terms(b"aba")), Some(b'a'));
        assert_eq!(settle(&terms(b"abb")), Some(b'a'));
        assert_eq!(settle(&terms(b"abc")), None);
        assert_eq!(settle(&terms(b"abaca")), Some(b'a'));
        assert_eq!(settle(&terms(b"ababb")), Some(b'a'));
    }
}
