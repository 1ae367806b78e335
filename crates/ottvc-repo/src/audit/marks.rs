//! What a walk notes of the things in a graph: whether it met them, and how often.

use crate::audit::graph::{At, Graph};

/// Which things a walk has met.
#[derive(Debug)]
pub(crate) struct Seen {
    marks: Vec<u32>,
    mark: u32,
}

impl Seen {
    /// Nothing of `graph` is met yet.
    pub(crate) fn none(graph: &Graph) -> Self {
        Self { marks: vec![0; graph.len()], mark: 1 }
    }
    /// Forgets everything, without touching memory.
    pub(crate) fn forget(&mut self) {
        match self.mark.checked_add(1) {
            Some(mark) => self.mark = mark,
            None => {
                self.marks.fill(0);
                self.mark = 1;
            }
        }
    }
    /// Meets a thing; says whether that is for the first time.
    pub(crate) fn enter(&mut self, at: At) -> bool {
        match self.marks.get_mut(at.index()) {
            Some(mark) if *mark != self.mark => {
                *mark = self.mark;
                true
            }
            _ => false,
        }
    }
    /// Whether a thing was met.
    pub(crate) fn has(&self, at: At) -> bool {
        self.marks.get(at.index()) == Some(&self.mark)
    }
}

/// A number for each thing.
#[derive(Debug)]
pub(crate) struct Counts(Vec<u32>);

impl Counts {
    /// All zero.
    pub(crate) fn none(graph: &Graph) -> Self {
        Self(vec![0; graph.len()])
    }
    /// The number of a thing.
    pub(crate) fn get(&self, at: At) -> u32 {
        self.0.get(at.index()).copied().unwrap_or_default()
    }
    /// Adds one to it.
    pub(crate) fn add(&mut self, at: At) {
        if let Some(count) = self.0.get_mut(at.index()) {
            *count = count.saturating_add(1);
        }
    }
}
