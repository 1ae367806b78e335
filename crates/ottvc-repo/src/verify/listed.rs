//! Whether commits list the conflicts that their trees hold.
//!
//! A commit lists them so that nobody has to walk its tree. One that keeps quiet about a conflict hides it from
//! all who ask later, also from what guards a branch; one that makes one up has people look for nothing. Only
//! trees that hold conflicts are walked, the others are known by what they link to.

use std::collections::{HashMap, HashSet};

use ottvc_object::commit::ConflictPlace;
use ottvc_object::field_path::FieldPath;
use ottvc_object::tree::walk;
use ottvc_object::value::Document;
use ottvc_object::{Commit, Entry, Hash, Kind, NamedEntry, RepoPath, TreeId};

use super::findings::{Bad, Findings, Key};
use crate::audit::{At, Graph, What};
use crate::record::place_text;
use crate::{RepoError, StoreNodes};

/// What a tree or document has to do with conflicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It holds none.
    Clean,
    /// It holds some, or something in it does.
    Holds,
    /// Something in it cannot be read.
    Unknown,
}

impl State {
    fn with(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::Holds, _) | (_, Self::Holds) => Self::Holds,
            _ => Self::Clean,
        }
    }
}

/// What was met of conflicts, and of lists of them.
#[derive(Debug, Default)]
pub(super) struct Listed {
    commits: Vec<(Hash, TreeId, Vec<ConflictPlace>)>,
    /// Documents with conflicts, and the fields these are at.
    documents: HashMap<Hash, Vec<FieldPath>>,
    /// Nodes with an entry that is a conflict.
    leaves: HashSet<Hash>,
    unreadable: HashSet<Hash>,
}

impl Listed {
    pub(super) fn commit(&mut self, id: Hash, commit: &Commit) {
        self.commits.push((id, commit.tree, commit.conflicts.clone()));
    }

    pub(super) fn document(&mut self, id: Hash, document: &Document) {
        let fields: Vec<FieldPath> =
            document.value().conflicts().into_iter().map(|(field, _)| field).collect();
        if !fields.is_empty() {
            self.documents.insert(id, fields);
        }
    }

    pub(super) fn leaf(&mut self, id: Hash, entries: &[NamedEntry]) {
        if entries.iter().any(|named| matches!(named.entry, Entry::Conflict(_))) {
            self.leaves.insert(id);
        }
    }

    pub(super) fn fault(&mut self, id: Hash) {
        self.unreadable.insert(id);
    }

    /// Notes each commit whose list is not what its tree holds. Nothing is said of trees that cannot be read
    /// through.
    ///
    /// # Errors
    /// If the store fails.
    pub(super) fn check(
        &self,
        graph: &Graph,
        nodes: &StoreNodes,
        findings: &mut Findings,
    ) -> Result<(), RepoError> {
        let mut states = HashMap::new();
        for (id, tree, listed) in &self.commits {
            // The empty tree, which nobody stores, is not there.
            let state = graph.find(&tree.0).map(|at| self.state(graph, at, &mut states));
            let held = match state.unwrap_or(State::Clean) {
                State::Unknown => continue,
                State::Clean => Vec::new(),
                State::Holds => self.places(graph, nodes, *tree, &states)?,
            };
            if held != *listed {
                let why = difference(&held, listed);
                findings.note(Key::Held(*id), Bad::damaged("commit", why, None));
            }
        }
        Ok(())
    }

    /// Finds out about a tree or document, and all in it. Trees nest as deep as whoever made them likes, so what
    /// is to be done is kept in a list and not on the stack.
    fn state(&self, graph: &Graph, root: At, states: &mut HashMap<At, State>) -> State {
        let is_part =
            |at: &At| matches!(graph.thing(*at).what, What::Object(Kind::Tree | Kind::Document));
        let mut waiting = vec![(root, false)];
        while let Some((at, parts_known)) = waiting.pop() {
            if states.contains_key(&at) {
                continue;
            }
            let is_tree = graph.thing(at).what == What::Object(Kind::Tree);
            if is_tree && !parts_known {
                waiting.push((at, true));
                let parts = graph.links(at).iter().copied().filter(is_part);
                waiting.extend(parts.map(|part| (part, false)));
                continue;
            }
            let id = graph.thing(at).id;
            let mut state = match () {
                () if self.unreadable.contains(&id) => State::Unknown,
                () if self.leaves.contains(&id) || self.documents.contains_key(&id) => State::Holds,
                () => State::Clean,
            };
            if is_tree {
                let known = |part: &At| states.get(part).copied().unwrap_or(State::Clean);
                for part in graph.links(at).iter().filter(|part| is_part(part)) {
                    state = state.with(known(part));
                }
            }
            states.insert(at, state);
        }
        states.get(&root).copied().unwrap_or(State::Clean)
    }

    /// Where a tree holds conflicts, sorted.
    fn places(
        &self,
        graph: &Graph,
        nodes: &StoreNodes,
        tree: TreeId,
        states: &HashMap<At, State>,
    ) -> Result<Vec<ConflictPlace>, RepoError> {
        let mut places = Vec::new();
        walk(nodes, tree, &RepoPath::root(), &mut |path, named| {
            let place = |field| ConflictPlace { path: path.clone(), field };
            match named.entry {
                Entry::Conflict(_) => places.push(place(None)),
                Entry::Document { id, .. } => {
                    let fields = self.documents.get(&id.0).into_iter().flatten();
                    places.extend(fields.cloned().map(|field| place(Some(field))));
                }
                Entry::Tree { id, .. } => {
                    let state = graph.find(&id.0).and_then(|at| states.get(&at));
                    return Ok(state == Some(&State::Holds));
                }
                Entry::File(_) => {}
            }
            Ok::<bool, RepoError>(true)
        })?;
        places.sort();
        places.dedup();
        Ok(places)
    }
}

/// The first place at which a list is wrong, and how many there are.
fn difference(held: &[ConflictPlace], listed: &[ConflictPlace]) -> String {
    let not_in = |places: &[ConflictPlace], others: &[ConflictPlace]| -> Vec<String> {
        places.iter().filter(|it| others.binary_search(it).is_err()).map(place_text).collect()
    };
    let (hidden, invented) = (not_in(held, listed), not_in(listed, held));
    let more =
        |count: usize| if count > 1 { format!(" and {} more", count - 1) } else { String::new() };
    match (hidden.first(), invented.first()) {
        (Some(place), _) => {
            format!("its list of conflicts hides `{place}`{}", more(hidden.len()))
        }
        (None, Some(place)) => {
            format!("its list of conflicts invents `{place}`{}", more(invented.len()))
        }
        (None, None) => "its list of conflicts is not so".to_owned(),
    }
}
