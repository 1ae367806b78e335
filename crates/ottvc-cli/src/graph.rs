//! The lanes beside a log: which line of history a commit stands on, where lines part and meet.
//!
//! Commits come newest first, none after one of its parents. Each lane waits for one commit; what a
//! lane waits for never changes column, so that lines stay straight and few rows are needed.

/// Lanes, each waiting for the commit it leads to.
#[derive(Debug)]
pub(crate) struct Lanes<Id> {
    lanes: Vec<Option<Id>>,
}

/// How a commit is drawn: rows before it, the lanes in its own row, rows after, and the lanes beside
/// further lines of text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Drawn {
    pub(crate) before: Vec<String>,
    pub(crate) node: String,
    pub(crate) after: Vec<String>,
    pub(crate) beside: String,
}

impl<Id: PartialEq + Clone> Lanes<Id> {
    pub(crate) fn new() -> Self {
        Self { lanes: Vec::new() }
    }

    /// Draws the next commit and lets its lanes wait for its parents.
    pub(crate) fn draw(&mut self, id: &Id, parents: &[Id]) -> Drawn {
        let waits = |lane: &Option<Id>| lane.as_ref() == Some(id);
        let column = match self.lanes.iter().position(waits) {
            Some(column) => column,
            None => self.free_from(0),
        };
        let mut before = Vec::new();
        // Other lanes that wait for the same commit meet here, the outermost first.
        while let Some(other) = self.lanes.iter().rposition(waits).filter(|at| *at > column) {
            self.set(other, None);
            for gap in (column..other).rev() {
                before.push(self.row(None, Some((gap, '/'))));
            }
        }
        self.set(column, Some(id.clone()));
        let node = self.row(Some(column), None);
        self.set(column, parents.first().cloned());
        let mut after = Vec::new();
        for parent in parents.iter().skip(1) {
            let lane = self.free_from(column + 1);
            for gap in column..lane {
                after.push(self.row(None, Some((gap, '\\'))));
            }
            self.set(lane, Some(parent.clone()));
        }
        while self.lanes.last().is_some_and(Option::is_none) {
            self.lanes.pop();
        }
        Drawn { before, node, after, beside: self.row(None, None) }
    }

    fn set(&mut self, column: usize, wait: Option<Id>) {
        if let Some(lane) = self.lanes.get_mut(column) {
            *lane = wait;
        }
    }

    /// The first free lane from a column on, made if there is none.
    fn free_from(&mut self, column: usize) -> usize {
        let free = self.lanes.iter().skip(column).position(Option::is_none);
        match free {
            Some(offset) => column + offset,
            None => {
                self.lanes.push(None);
                self.lanes.len() - 1
            }
        }
    }

    /// One row: a bar for each lane, a star for the commit, and an edge in the gap after a lane.
    fn row(&self, node: Option<usize>, edge: Option<(usize, char)>) -> String {
        let mut row = String::new();
        let edge_end = edge.map_or(0, |(gap, _)| gap + 1);
        for column in 0..self.lanes.len().max(edge_end) {
            let bar = match self.lanes.get(column) {
                _ if node == Some(column) => '*',
                Some(Some(_)) => '|',
                _ => ' ',
            };
            row.push(bar);
            row.push(match edge {
                Some((gap, edge)) if gap == column => edge,
                _ => ' ',
            });
        }
        row.trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::Lanes;

    fn draw(commits: &[(char, &str)]) -> String {
        let mut lanes = Lanes::new();
        let mut text = Vec::new();
        for (id, parents) in commits {
            let parents: Vec<char> = parents.chars().collect();
            let drawn = lanes.draw(id, &parents);
            text.extend(drawn.before);
            text.push(format!("{} {id}", drawn.node));
            text.extend(drawn.after);
        }
        text.join("\n")
    }

    #[test]
    fn a_line_stays_a_line() {
        insta::assert_snapshot!(draw(&[('c', "b"), ('b', "a"), ('a', "")]), @"
        * c
        * b
        * a
        ");
    }

    #[test]
    fn a_merge_parts_and_meets() {
        insta::assert_snapshot!(draw(&[('d', "bc"), ('c', "a"), ('b', "a"), ('a', "")]), @r"
        * d
        |\
        | * c
        * | b
        |/
        * a
        ");
    }

    #[test]
    fn heads_side_by_side() {
        insta::assert_snapshot!(draw(&[('c', "a"), ('b', "a"), ('a', "")]), @"
        * c
        | * b
        |/
        * a
        ");
    }

    #[test]
    fn a_criss_cross() {
        let commits = [('f', "de"), ('e', "cb"), ('d', "bc"), ('c', "a"), ('b', "a"), ('a', "")];
        insta::assert_snapshot!(draw(&commits), @r"
        * f
        |\
        | * e
        | |\
        * | | d
        |\| |
        | |\|
        | | |\
        | | |/
        | |/|
        | * | c
        | |/
        |/|
        * | b
        |/
        * a
        ");
    }

    #[test]
    fn three_parents() {
        let commits = [('e', "bcd"), ('d', "a"), ('c', "a"), ('b', "a"), ('a', "")];
        insta::assert_snapshot!(draw(&commits), @r"
        * e
        |\
        |\|
        | |\
        | | * d
        | * | c
        * | | b
        | |/
        |/|
        |/
        * a
        ");
    }
}
