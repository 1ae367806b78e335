//! Spans on a line, joined where there would be too many.

/// From `start` to `end`, of which `covered` is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) covered: u64,
}

/// Spans in order. Those that touch are one, and so are those with no more than `gap` between them,
/// which grows when there are more than `most`: the memory they take is bounded, and what they cover is
/// exact.
#[derive(Debug)]
pub(super) struct Spans {
    list: Vec<Span>,
    gap: u64,
    /// What `gap` becomes first if it is 0.
    step: u64,
    most: usize,
}

impl Spans {
    pub(super) fn new(gap: u64, step: u64, most: usize) -> Self {
        Self { list: Vec::new(), gap, step, most }
    }

    /// Adds what lies between two places; one that begins before the last one ends is part of it.
    pub(super) fn add(&mut self, start: u64, end: u64) {
        let span = Span { start, end: end.max(start), covered: end.saturating_sub(start) };
        join(&mut self.list, span, self.gap);
        while self.list.len() > self.most {
            self.gap = self.gap.saturating_mul(2).max(self.step);
            for span in std::mem::take(&mut self.list) {
                join(&mut self.list, span, self.gap);
            }
        }
    }

    pub(super) fn into_list(self) -> Vec<Span> {
        self.list
    }
}

/// Adds a span to a list, to its last one if no more than `gap` lies between them.
fn join(list: &mut Vec<Span>, span: Span, gap: u64) {
    match list.last_mut() {
        Some(last) if span.start.saturating_sub(last.end) <= gap => {
            last.end = last.end.max(span.end);
            last.covered = last.covered.saturating_add(span.covered);
        }
        _ => list.push(span),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_covered_stays_exact_however_many_are_joined() {
        let mut spans = Spans::new(0, 8, 10);
        for index in 0..1000 {
            spans.add(index * 20, index * 20 + 3);
            assert!(spans.list.len() <= 10, "{}", spans.list.len());
        }
        let list = spans.into_list();
        assert_eq!(list.iter().map(|span| span.covered).sum::<u64>(), 3000);
        assert_eq!((list[0].start, list.last().unwrap().end), (0, 19_983));
        assert!(list.is_sorted_by(|a, b| a.end < b.start), "{list:?}");
    }

    #[test]
    fn those_that_touch_are_one() {
        let mut spans = Spans::new(0, 8, 10);
        for (start, end) in [(0, 4), (4, 5), (6, 9), (9, 9)] {
            spans.add(start, end);
        }
        let span = |start, end, covered| Span { start, end, covered };
        assert_eq!(spans.into_list(), [span(0, 5, 5), span(6, 9, 3)]);
    }
}
