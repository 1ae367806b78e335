//! Adding up what rows hold, so that every byte is counted once.

use crate::audit::graph::{At, Graph, Steps, Thing};
use crate::audit::marks::{Counts, Seen};

/// What one row holds: where to start, and which links to follow.
#[derive(Clone, Debug)]
pub(crate) struct Holds {
    pub(crate) roots: Vec<At>,
    pub(crate) steps: Steps,
}

/// Bytes of one row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    /// Raw bytes that no other row has.
    pub(crate) unique: u64,
    /// Raw bytes that other rows have too.
    pub(crate) shared: u64,
    /// This row's part of what things take in packs.
    pub(crate) stored: u64,
}

impl Sums {
    /// Sums of two rows.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            unique: self.unique.saturating_add(other.unique),
            shared: self.shared.saturating_add(other.shared),
            stored: self.stored.saturating_add(other.stored),
        }
    }
    /// Adds a thing that this row alone has.
    pub(crate) fn add(&mut self, thing: &Thing) {
        let stored = thing.stored;
        *self = self.plus(Self { unique: u64::from(thing.raw), shared: 0, stored });
    }
}

/// The sums of rows, and of all of them together.
#[derive(Debug)]
pub(crate) struct Split {
    pub(crate) rows: Vec<Sums>,
    /// Each shared thing's raw bytes once; `unique` and `stored` are the sums of the rows.
    pub(crate) total: Sums,
    /// What the rows hold between them.
    pub(crate) seen: Seen,
}

/// Splits what each thing takes evenly among the rows that hold it, the odd bytes going to the first
/// of them.
///
/// Walks each row twice, once to count holders: no set of holders is kept for any thing.
pub(crate) fn split(graph: &Graph, rows: &[Holds]) -> Split {
    let mut seen = Seen::none(graph);
    let mut all = Seen::none(graph);
    let mut holders = Counts::none(graph);
    let mut total = Sums::default();
    for row in rows {
        seen.forget();
        graph.reach(&row.roots, row.steps, &mut seen, &mut |at, _| holders.add(at));
    }
    let mut served = Counts::none(graph);
    let mut sums = Vec::with_capacity(rows.len());
    for row in rows {
        let mut own = Sums::default();
        seen.forget();
        graph.reach(&row.roots, row.steps, &mut seen, &mut |at, thing| {
            let raw = u64::from(thing.raw);
            let holders = u64::from(holders.get(at)).max(1);
            let odd = u64::from(u64::from(served.get(at)) < thing.stored % holders);
            served.add(at);
            let stored = thing.stored / holders + odd;
            own = own.plus(match holders {
                1 => Sums { unique: raw, shared: 0, stored },
                _ => Sums { unique: 0, shared: raw, stored },
            });
            let shared = if all.enter(at) && holders > 1 { raw } else { 0 };
            total = total.plus(Sums { unique: 0, shared, stored: 0 });
        });
        total = total.plus(Sums { shared: 0, ..own });
        sums.push(own);
    }
    Split { rows: sums, total, seen: all }
}

/// Gives each thing to the first row that holds it, whole: `unique` and `stored` are what a row
/// brought, `shared` is what it holds that an earlier row brought.
pub(crate) fn first_come(graph: &Graph, rows: &[Holds]) -> Split {
    let mut seen = Seen::none(graph);
    let mut all = Seen::none(graph);
    let mut total = Sums::default();
    let mut sums = Vec::with_capacity(rows.len());
    for row in rows {
        let mut own = Sums::default();
        seen.forget();
        graph.reach(&row.roots, row.steps, &mut seen, &mut |at, thing| {
            if all.enter(at) {
                own.add(thing);
            } else {
                own.shared = own.shared.saturating_add(u64::from(thing.raw));
            }
        });
        total = total.plus(Sums { shared: 0, ..own });
        sums.push(own);
    }
    Split { rows: sums, total, seen: all }
}

/// The sums of what `roots` reach and nothing in `seen` did; it counts as seen from then on.
pub(crate) fn rest(graph: &Graph, roots: &[At], seen: &mut Seen) -> Sums {
    let mut sums = Sums::default();
    graph.reach(roots, Steps::All, seen, &mut |_, thing| sums.add(thing));
    sums
}
