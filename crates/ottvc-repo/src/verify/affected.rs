//! Whose versions of what a damaged or missing thing affects.
//!
//! Only asked when something is wrong. A thing above something bad is dirty; trees are entered where
//! they are dirty and nowhere else, so that the cost is that of the damage, not of the store.

use std::collections::{BTreeMap, HashMap, HashSet};

use ottvc_object::conflict::Conflict;
use ottvc_object::path::MAX_PATH_DEPTH;
use ottvc_object::tree::Node;
use ottvc_object::{Entry, Kind, ObjectId, RepoPath, Storable, TreeId};
use ottvc_store::ObjectStore;

use super::findings::{Findings, Key};
use super::structure::{CommitFacts, Known};
use crate::audit::{At, Graph, Link, NamedHead, Seen, Steps, What, each_entry};

/// The name of the working copy where a revision is expected.
const WORKING_COPY: &str = "(working copy)";

/// What each bad thing affects.
#[derive(Debug, Default)]
pub(super) struct Affected(HashMap<Key, BTreeMap<String, Revs>>);

/// The revisions that have something at one path, and how near they are to the user.
#[derive(Debug)]
struct Revs {
    tier: Tier,
    names: Vec<String>,
}

/// Where a thing is found; a farther tier is named only for what no nearer one has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Tier {
    Ref,
    WorkingCopy,
    History,
}

impl Affected {
    /// Takes out what one thing affects, as `REV` or `REV:PATH`, by path.
    pub(super) fn take(&mut self, key: Key) -> Vec<String> {
        let places = self.0.remove(&key).unwrap_or_default();
        let places = places
            .into_iter()
            .flat_map(|(path, revs)| revs.names.into_iter().map(move |rev| format!("{rev}{path}")));
        places.collect()
    }

    /// Notes that `rev` needs the thing at `path`, which is empty for the commit itself.
    fn note(&mut self, key: Key, (tier, rev): (Tier, &str), path: String) {
        let revs = self.0.entry(key).or_default().entry(path);
        let revs = revs.or_insert_with(|| Revs { tier, names: Vec::new() });
        let first = revs.names.is_empty();
        if first || (tier == Tier::Ref && !revs.names.iter().any(|name| name == rev)) {
            debug_assert!(revs.tier <= tier, "nearer tiers are asked first");
            revs.names.push(rev.to_owned());
        }
    }

    fn knows(&self, key: Key) -> bool {
        self.0.contains_key(&key)
    }
}

/// Where things are found.
pub(super) struct Places<'g> {
    pub(super) graph: &'g Graph,
    pub(super) heads: &'g [NamedHead],
    pub(super) working: &'g [Link],
    pub(super) known: &'g Known,
}

impl Places<'_> {
    /// Says for every bad thing what it affects.
    pub(super) fn affected(&self, objects: &dyn ObjectStore, findings: &Findings) -> Affected {
        let bad: HashMap<At, Key> =
            findings.keys().filter_map(|key| Some((key.at(self.graph)?, key))).collect();
        let dirty = self.dirty(&bad);
        let (seen, files) = (Seen::none(self.graph), HashMap::new());
        let found = Affected::default();
        let mut search = Search { places: self, objects, bad, dirty, seen, files, found };
        search.commits_of_refs();
        for (name, target) in self.heads {
            if let Some(at) = target.and_then(|id| self.graph.find(&id.0)) {
                search.commit(at, (Tier::Ref, name.short()));
            }
        }
        for link in self.working {
            let rev = (Tier::WorkingCopy, WORKING_COPY);
            match (*link, self.graph.target(*link)) {
                (Link::Object(id, Kind::Tree), _) => search.tree(id.into(), rev),
                (_, Some(at)) => search.commit(at, rev),
                (_, None) => {}
            }
        }
        search.history();
        search.found
    }

    /// Everything from which a bad thing is reached without going from commit to commit.
    fn dirty(&self, bad: &HashMap<At, Key>) -> Seen {
        let mut dirty = Seen::none(self.graph);
        for at in bad.keys() {
            dirty.enter(*at);
        }
        // Rounds are bounded by how deep trees nest: histories, which are deep, are left out.
        let mut changed = true;
        while changed {
            changed = false;
            // What is found later mostly lies deeper.
            for (at, thing) in self.graph.all().rev() {
                let commit = thing.what == What::Object(Kind::Commit);
                let reaches = |to: &At| {
                    let to_commit = self.graph.thing(*to).what == What::Object(Kind::Commit);
                    dirty.has(*to) && !(commit && to_commit)
                };
                if !dirty.has(at) && self.graph.links(at).iter().any(reaches) {
                    changed |= dirty.enter(at);
                }
            }
        }
        dirty
    }
}

/// Looks for bad things, place by place.
struct Search<'s, 'g> {
    places: &'s Places<'g>,
    objects: &'s dyn ObjectStore,
    bad: HashMap<At, Key>,
    dirty: Seen,
    /// For walks below one thing.
    seen: Seen,
    /// What is bad below files.
    files: HashMap<At, Vec<Key>>,
    found: Affected,
}

impl Search<'_, '_> {
    /// Looks into what one commit holds.
    fn commit(&mut self, at: At, rev: (Tier, &str)) {
        if let Some(key) = self.bad.get(&at) {
            self.found.note(*key, rev, String::new());
        }
        let Some(CommitFacts { tree, own, .. }) = self.places.known.commits.get(&at).copied()
        else {
            return;
        };
        // A layer is about the document at its path.
        if let Some(own) = own {
            self.tree(own, rev);
        }
        self.tree(tree, rev);
    }

    /// Looks into a tree.
    fn tree(&mut self, root: TreeId, rev: (Tier, &str)) {
        let mut waiting = vec![(Link::tree(root), RepoPath::root())];
        while let Some((link, path)) = waiting.pop() {
            let Some(at) = self.places.graph.target(link).filter(|at| self.dirty.has(*at)) else {
                continue;
            };
            let bad = self.bad.get(&at).copied();
            match link {
                Link::Object(id, Kind::Tree) => {
                    if let Some(key) = bad {
                        let slash = if path.is_root() { "" } else { "/" };
                        self.found.note(key, rev, format!(":{path}{slash}"));
                    }
                    match self.load::<Node>(id) {
                        Some(Node::Inner { children, .. }) => {
                            let below = children.iter().map(|it| (Link::tree(it.id), path.clone()));
                            waiting.extend(below);
                        }
                        // No path goes deeper; a forged tree might.
                        Some(Node::Leaf { entries }) if path.names().len() < MAX_PATH_DEPTH => {
                            waiting.extend(
                                entries.iter().map(|named| {
                                    (Link::entry(&named.entry), path.join(&named.name))
                                }),
                            );
                        }
                        _ => {}
                    }
                }
                Link::Object(id, Kind::Conflict) => {
                    if let Some(key) = bad {
                        self.found.note(key, rev, format!(":{path}"));
                    } else if let Some(conflict) = self.load::<Conflict<Entry>>(id) {
                        each_entry(&conflict, &mut |entry| {
                            waiting.push((Link::entry(entry), path.clone()));
                        });
                    }
                }
                Link::File(_) => {
                    for key in self.below_file(at) {
                        self.found.note(key, rev, format!(":{path}"));
                    }
                }
                Link::Object(..) | Link::Chunk(_) => {
                    if let Some(key) = bad {
                        self.found.note(key, rev, format!(":{path}"));
                    }
                }
            }
        }
    }

    fn load<T: Storable>(&self, id: ObjectId) -> Option<T> {
        T::from_object(&self.objects.get(id).ok()?).ok()
    }

    /// What is bad of a file: itself, its manifest, pages or chunks.
    fn below_file(&mut self, file: At) -> Vec<Key> {
        if let Some(keys) = self.files.get(&file) {
            return keys.clone();
        }
        let graph = self.places.graph;
        let mut keys = Vec::new();
        self.seen.forget();
        graph.reach(&[file], Steps::All, &mut self.seen, &mut |at, _| {
            keys.extend(self.bad.get(&at).copied());
        });
        self.files.insert(file, keys.clone());
        keys
    }

    /// The bad things that are commits.
    fn bad_commits(&self) -> Vec<(At, Key)> {
        let is_commit = |at: At| self.places.graph.thing(at).what == What::Object(Kind::Commit);
        self.bad.iter().map(|(at, key)| (*at, *key)).filter(|(at, _)| is_commit(*at)).collect()
    }

    /// Names the refs whose history a bad commit lies in.
    fn commits_of_refs(&mut self) {
        let bad = self.bad_commits();
        if bad.is_empty() {
            return;
        }
        let graph = self.places.graph;
        for (name, target) in self.places.heads {
            let Some(head) = target.and_then(|id| graph.find(&id.0)) else { continue };
            self.seen.forget();
            graph.reach(&[head], Steps::Commits, &mut self.seen, &mut |_, _| {});
            for (at, key) in &bad {
                if self.seen.has(*at) {
                    self.found.note(*key, (Tier::Ref, name.short()), String::new());
                }
            }
        }
    }

    /// Looks into every commit known, newest first, for what nothing nearer has.
    fn history(&mut self) {
        let mut commits: Vec<(CommitFacts, At)> =
            self.places.known.commits.iter().map(|(at, facts)| (*facts, *at)).collect();
        commits.sort_unstable_by_key(|(facts, at)| {
            std::cmp::Reverse((facts.generation, facts.time, *at))
        });
        let mut trees: HashSet<TreeId> = HashSet::new();
        for (facts, at) in commits {
            if self.dirty.has(at)
                && (trees.insert(facts.tree) | facts.own.is_some_and(|own| trees.insert(own)))
            {
                let short = ObjectId(self.places.graph.thing(at).id).short();
                self.commit(at, (Tier::History, &short));
            }
        }
        for (_, key) in self.bad_commits() {
            if let Key::Held(id) = key
                && !self.found.knows(key)
            {
                self.found.note(key, (Tier::History, &ObjectId(id).short()), String::new());
            }
        }
    }
}
