//! Merging three trees: only what differs from the base is looked at.

mod documents;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ottvc_merge::{
    Change, EntryDecision, EntryMerge, EntryTerm, MergeOptions, Move, Place, Versioned,
    merge_entries, pair_moves,
};
use ottvc_object::conflict::{Conflict, ConflictKind, Terms};
use ottvc_object::path::PathKey;
use ottvc_object::tree::{EMPTY_TREE, PathEdit, diff_paths, lookup_path};
use ottvc_object::{Entry, NamedEntry, RepoPath, TreeId};

use super::{DecisionRow, NoticeRow};
use crate::derived::Noted;
use crate::nodes::Batch;
use crate::schemas::Schemas;
use crate::stage::Edits;
use crate::{Repo, RepoError};
use documents::{Film, LEFT_OUT, Spoken};

/// What the trees have at one place: ours, base, theirs, each with its path there.
type Sides = [Option<(RepoPath, NamedEntry)>; 3];

/// What merging three trees came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The merged tree.
    pub(crate) tree: TreeId,
    /// Entries that may hold conflicts.
    pub(crate) suspects: Vec<RepoPath>,
    /// What rules decided.
    pub(super) decisions: Vec<DecisionRow>,
    /// What the sides broke together.
    pub(super) notices: Vec<NoticeRow>,
}

/// A merge of three trees under way.
pub(super) struct TreeMerge<'r> {
    repo: &'r Repo,
    batch: &'r Batch<'r>,
    options: &'r MergeOptions,
    /// Whether the sides are editions of which one inherits from the other, or both from a third.
    apart: bool,
    /// Ours, base, theirs.
    trees: [TreeId; 3],
    /// Those of ours, base, theirs.
    schemas: [Arc<Schemas>; 3],
    /// What the merged tree has at each place that a side changed.
    results: BTreeMap<PathKey, (RepoPath, Option<NamedEntry>)>,
    suspects: Vec<RepoPath>,
    decisions: Vec<DecisionRow>,
    notices: Vec<NoticeRow>,
    /// Documents with a field that is made from their film, which must be merged first.
    waiting: Vec<(RepoPath, Terms<Versioned>, Place)>,
}

impl<'r> TreeMerge<'r> {
    /// Merges `[ours, base, theirs]`; new objects go to the batch. With `apart`, what a schema says is not
    /// inherited stays as it is in ours.
    pub(super) fn run(
        repo: &'r Repo,
        batch: &'r Batch<'r>,
        trees: [TreeId; 3],
        apart: bool,
        options: &'r MergeOptions,
    ) -> Result<Outcome, RepoError> {
        let [ours, base, theirs] = trees;
        // A base that cannot be mended any more stops no merge, and neither does an older commit.
        let side = |tree| match options.decisions {
            true => repo.schemas(batch, tree),
            false => repo.schemas_for_reading(batch, tree),
        };
        let schemas = [side(ours)?, repo.schemas_for_reading(batch, base)?, side(theirs)?];
        let mut merge = Self {
            repo,
            batch,
            options,
            apart,
            trees,
            schemas,
            results: BTreeMap::new(),
            suspects: Vec::new(),
            decisions: Vec::new(),
            notices: Vec::new(),
            waiting: Vec::new(),
        };
        merge.merge_places()?;
        merge.settle_clashes()?;
        // What is part of a conflict over its place stays as it is.
        let mut waiting = std::mem::take(&mut merge.waiting);
        waiting.retain(|(path, ..)| merge.has_document_at(path));
        let mut tree = merge.apply_to(ours)?;
        for (path, terms, place) in waiting {
            let film = repo.film_of(batch, tree, &path)?;
            let film = film.map_or(Film::SaysNothing, |film| Film::Says(film.says));
            merge.merge_versions(&path, terms, &place, film)?;
        }
        tree = merge.apply_to(tree)?;
        let TreeMerge { suspects, mut decisions, mut notices, .. } = merge;
        if options.decisions {
            let changed = repo.changed_paths(batch, ours, tree)?;
            let again = repo.make_again(batch, trees, tree, (&changed, &Noted::default()))?;
            tree =
                if again.edits.is_empty() { tree } else { repo.apply(tree, &again.edits, batch)? };
            // Made again, it is not as ours had it.
            let made = |row: &NoticeRow| {
                let field = Some(row.field.as_str());
                again.decisions.iter().any(|it| it.path == row.path && it.field.as_deref() == field)
            };
            notices.retain(|row| row.rule != LEFT_OUT || !made(row));
            decisions.extend(again.decisions);
            notices.extend(again.kept);
        }
        Ok(Outcome { tree, suspects, decisions, notices })
    }

    fn has_document_at(&self, path: &RepoPath) -> bool {
        let found = self.results.get(&path.key()).and_then(|(_, named)| named.as_ref());
        found.is_some_and(|named| matches!(named.entry, Entry::Document { .. }))
    }

    /// Puts what was merged so far into a tree.
    fn apply_to(&mut self, tree: TreeId) -> Result<TreeId, RepoError> {
        let edits: Edits = std::mem::take(&mut self.results)
            .into_iter()
            .map(|(key, (path, new))| (key, PathEdit { path, new }))
            .collect();
        if edits.is_empty() { Ok(tree) } else { self.repo.apply(tree, &edits, self.batch) }
    }

    /// Merges every place that a side changed, renamed ones with the place they came from.
    fn merge_places(&mut self) -> Result<(), RepoError> {
        let [ours, base, theirs] = self.trees;
        let ours = self.changes(base, ours)?;
        let theirs = self.changes(base, theirs)?;
        let mut done: BTreeSet<PathKey> = BTreeSet::new();
        for step in pair_moves(&ours.list, &theirs.list) {
            self.merge_move(&ours, &theirs, step, &mut done)?;
        }
        let keys: BTreeSet<&PathKey> = ours.by_key.keys().chain(theirs.by_key.keys()).collect();
        for key in keys.into_iter().filter(|key| !done.contains(key)) {
            match (ours.get(key), theirs.get(key)) {
                (None, Some(one)) if self.apart => {
                    let [our_tree, base_tree, their_tree] = self.trees;
                    let sides = [
                        self.look(our_tree, &one.path)?,
                        self.look(base_tree, &one.path)?,
                        self.look(their_tree, &one.path)?,
                    ];
                    if !self.merge_kept(&one.path, &sides)? {
                        self.put(one.path.clone(), one.new.clone());
                    }
                }
                (Some(one), None) | (None, Some(one)) => {
                    self.put(one.path.clone(), one.new.clone());
                }
                (Some(ours), Some(theirs)) => {
                    let at = |path: &RepoPath, side: &Option<NamedEntry>| {
                        side.clone().map(|named| (path.clone(), named))
                    };
                    let sides = [
                        at(&ours.path, &ours.new),
                        at(&ours.path, &ours.old),
                        at(&theirs.path, &theirs.new),
                    ];
                    self.merge_place(&ours.path, sides)?;
                }
                (None, None) => {}
            }
        }
        Ok(())
    }

    /// Lists what a side changed, in key order.
    fn changes(&self, base: TreeId, side: TreeId) -> Result<Changes, RepoError> {
        let mut changes = Changes::default();
        diff_paths(self.batch, base, side, &mut |change| {
            let named = |side: Option<(RepoPath, NamedEntry)>| side.map(|(_, named)| named);
            changes.by_key.insert(change.path.key(), changes.list.len());
            changes.list.push(Change {
                path: change.path,
                old: named(change.old),
                new: named(change.new),
            });
            Ok(())
        })?;
        Ok(changes)
    }

    /// Merges places that a rename connects.
    fn merge_move(
        &mut self,
        ours: &Changes,
        theirs: &Changes,
        step: Move,
        done: &mut BTreeSet<PathKey>,
    ) -> Result<(), RepoError> {
        let [our_tree, base_tree, their_tree] = self.trees;
        let mut close = |paths: &[&RepoPath]| done.extend(paths.iter().map(|path| path.key()));
        match step {
            Move::Follow { to, ours: at_ours, base, theirs: at_theirs } => {
                close(&[&to, &base]);
                self.leave(&base, [ours, theirs]);
                let sides = [
                    self.look(our_tree, &at_ours)?,
                    self.look(base_tree, &base)?,
                    self.look(their_tree, &at_theirs)?,
                ];
                self.merge_place(&to, sides)
            }
            Move::Removed { base, to, by } => {
                close(&[&to, &base]);
                self.leave(&base, [ours, theirs]);
                let here = match by {
                    ottvc_merge::Side::Theirs => self.look(their_tree, &to)?,
                    _ => self.look(our_tree, &to)?,
                };
                let gone = self.look(base_tree, &base)?;
                let entry = |side: &Option<(RepoPath, NamedEntry)>| {
                    side.as_ref().map(|(_, named)| named.entry)
                };
                let (mine, other) = match by {
                    ottvc_merge::Side::Theirs => (None, entry(&here)),
                    _ => (entry(&here), None),
                };
                // A rename counts as an edit: removing the file must not undo it unseen.
                let terms = Terms::three(mine, entry(&gone), other);
                self.put_conflict(&to, ConflictKind::DeleteEdit, &terms, here.map(|(_, it)| it))
            }
            Move::Apart { base, ours: at_ours, theirs: at_theirs } => {
                close(&[&at_ours, &at_theirs, &base]);
                let sides = [
                    self.look(our_tree, &at_ours)?,
                    self.look(base_tree, &base)?,
                    self.look(their_tree, &at_theirs)?,
                ];
                // Each side is a folder that holds the entry where that side put it.
                let mut terms = Vec::new();
                for side in sides {
                    terms.push(side.map(|(path, named)| self.alone(path, named)).transpose()?);
                }
                // What the other side has put where one has moved it stays there.
                for (at, side) in [(at_ours, theirs), (at_theirs, ours)] {
                    match side.get(&at.key()).filter(|change| change.new.is_some()) {
                        Some(other) => self.put(other.path.clone(), other.new.clone()),
                        None => self.put(at, None),
                    }
                }
                let terms = Terms::new(terms)?;
                self.put_conflict(&base, ConflictKind::RenameRename, &terms, None)
            }
            Move::Collision { at, .. } => {
                close(&[&at]);
                let mine = self.look(our_tree, &at)?;
                let other = self.look(their_tree, &at)?;
                let named = mine.clone().or_else(|| other.clone()).map(|(_, named)| named);
                let entry = |side: Option<(RepoPath, NamedEntry)>| side.map(|(_, it)| it.entry);
                let terms = Terms::three(entry(mine), None, entry(other));
                self.put_conflict(&at, ConflictKind::Collision, &terms, named)
            }
        }
    }

    /// Notes what stands at the base path of a renamed entry now: nothing, unless a side put
    /// something else there.
    fn leave(&mut self, base: &RepoPath, sides: [&Changes; 2]) {
        let key = base.key();
        let filled = sides
            .iter()
            .filter_map(|side| side.get(&key))
            .find_map(|change| change.new.clone().filter(|_| change.old.is_none()));
        self.put(base.clone(), filled);
    }

    fn look(
        &self,
        tree: TreeId,
        path: &RepoPath,
    ) -> Result<Option<(RepoPath, NamedEntry)>, RepoError> {
        Ok(lookup_path(self.batch, tree, path)?.map(|named| (path.clone(), named)))
    }

    fn put(&mut self, path: RepoPath, new: Option<NamedEntry>) {
        if let Some(named) = &new
            && matches!(named.entry, Entry::Conflict(_) | Entry::Document { .. })
        {
            // A side may bring conflicts of its own along.
            self.suspects.push(path.clone());
        }
        self.results.insert(path.key(), (path, new));
    }

    /// Returns a folder that holds one entry at its path, and nothing else.
    fn alone(&self, path: RepoPath, named: NamedEntry) -> Result<Entry, RepoError> {
        let edits = Edits::from([(path.key(), PathEdit { path, new: Some(named) })]);
        let id = self.repo.apply(EMPTY_TREE, &edits, self.batch)?;
        Ok(Entry::Tree { id, totals: crate::nodes::totals(self.batch, id)? })
    }

    /// Puts a conflict of these entries at `path`.
    fn put_conflict(
        &mut self,
        path: &RepoPath,
        kind: ConflictKind,
        terms: &Terms<Option<Entry>>,
        like: Option<NamedEntry>,
    ) -> Result<(), RepoError> {
        let conflict = ottvc_merge::entry_conflict(kind, terms);
        let entry = match self.settle_as_before(path, &conflict) {
            None => Entry::Conflict(self.batch.store(&conflict)?),
            Some(Some(entry)) => entry,
            Some(None) => {
                self.put(path.clone(), None);
                return Ok(());
            }
        };
        let former = like.map(|named| named.former).unwrap_or_default();
        let named = NamedEntry { former, ..crate::worktree::named(path, entry)? };
        self.put(path.clone(), Some(named));
        Ok(())
    }

    /// Returns what a conflict between entries was settled as before, where that is to be applied, and notes
    /// that. Folders, and entries renamed apart, lie in many places: those are only proposed.
    fn settle_as_before(
        &mut self,
        path: &RepoPath,
        conflict: &Conflict<Entry>,
    ) -> Option<Option<Entry>> {
        if !self.options.decisions || conflict.kind == ConflictKind::RenameRename {
            return None;
        }
        let (name, entry) = self.options.memory.recall_entry(conflict, path)?;
        if matches!(entry, Some(Entry::Tree { .. } | Entry::Conflict(_))) {
            return None;
        }
        self.decisions.push(DecisionRow::from_memory(path, name, conflict, entry));
        Some(entry)
    }

    /// Merges one place and notes the result.
    fn merge_place(&mut self, path: &RepoPath, sides: Sides) -> Result<(), RepoError> {
        if self.apart && self.merge_kept(path, &sides)? {
            return Ok(());
        }
        let [our_schemas, base_schemas, their_schemas] = &self.schemas;
        let spoken = |schemas: &Schemas, side: &Option<(RepoPath, NamedEntry)>| {
            schemas.of(side.as_ref().map_or(path, |(path, _)| path)).cloned()
        };
        let [ours, base, theirs] = sides;
        let schemas = [
            spoken(our_schemas, &ours),
            spoken(base_schemas, &base),
            spoken(their_schemas, &theirs),
        ];
        let (ours, base, theirs) = (self.term(ours)?, self.term(base)?, self.term(theirs)?);
        let counting = schemas.iter().flatten().find(|schema| schema.counts()).cloned();
        let spoken = Spoken::of(schemas, [&ours, &base, &theirs]);
        let terms = Terms::three(ours, base, theirs);
        let (merge, decisions) = match counting {
            None => merge_entries(&terms, self.options, path)?,
            schema => {
                let options = MergeOptions { schema, ..self.options.clone() };
                merge_entries(&terms, &options, path)?
            }
        };
        self.finish_place(path, merge, &decisions, &spoken)
    }

    /// Does what the engine asks for one place.
    fn finish_place(
        &mut self,
        path: &RepoPath,
        merge: EntryMerge,
        decisions: &[EntryDecision],
        spoken: &Spoken,
    ) -> Result<(), RepoError> {
        self.decisions.extend(decisions.iter().map(DecisionRow::of_entry));
        match merge {
            EntryMerge::Take(named) => {
                // A renamed entry takes the last name of the place it goes to.
                let named = named.map(|named| match path.name() {
                    Some(name) if name.key() != named.name.key() => {
                        NamedEntry { name: name.clone(), ..named }
                    }
                    _ => named,
                });
                let path = spelled(path, named.as_ref());
                self.put(path, named);
                Ok(())
            }
            EntryMerge::Conflict { conflict, place } => {
                match self.settle_as_before(path, &conflict) {
                    None => {
                        let entry = Entry::Conflict(self.batch.store(&conflict)?);
                        self.put_entry(path, &place, entry);
                    }
                    Some(Some(entry)) => self.put_entry(path, &place, entry),
                    Some(None) => self.put(path.clone(), None),
                }
                Ok(())
            }
            EntryMerge::Documents { terms, place } => {
                self.merge_documents(path, &terms, &place, spoken)
            }
            EntryMerge::Structured { terms, mode, place, otherwise } => {
                match self.merge_structured(path, &terms, mode)? {
                    Some((entry, decisions)) => {
                        self.decisions.extend(decisions);
                        self.put_entry(path, &place, entry);
                        Ok(())
                    }
                    None => {
                        let (merge, decisions) = *otherwise;
                        self.finish_place(path, merge, &decisions, spoken)
                    }
                }
            }
            // Places are leaves here; folders only meet inside conflicts of whole folders.
            EntryMerge::Folders { terms, place } => {
                let conflict = ottvc_merge::entry_conflict(
                    ConflictKind::EditEdit,
                    &terms.try_map(|id| self.folder(*id))?,
                );
                let entry = Entry::Conflict(self.batch.store(&conflict)?);
                self.put_entry(path, &place, entry);
                Ok(())
            }
        }
    }

    fn put_entry(&mut self, path: &RepoPath, place: &Place, entry: Entry) {
        let mut named = place.with(entry);
        if let Some(name) = path.name().filter(|name| name.key() != named.name.key()) {
            named.name = name.clone();
        }
        self.put(spelled(path, Some(&named)), Some(named));
    }

    fn folder(&self, id: Option<TreeId>) -> Result<Option<Entry>, RepoError> {
        id.map(|id| {
            let totals = crate::nodes::totals(self.batch, id)?;
            Ok(Entry::Tree { id, totals })
        })
        .transpose()
    }

    /// Reads the conflict of an entry that is one.
    fn term(&self, side: Option<(RepoPath, NamedEntry)>) -> Result<EntryTerm, RepoError> {
        Ok(match side {
            None => EntryTerm::Absent,
            Some((_, named)) => match crate::record::entry_conflict(self.batch, &named.entry)? {
                Some(conflict) => EntryTerm::Conflict(named, conflict),
                None => EntryTerm::Entry(named),
            },
        })
    }

    /// Turns a file that stands where another side has a folder into one conflict over both.
    fn settle_clashes(&mut self) -> Result<(), RepoError> {
        let mut clashes: Vec<(PathKey, RepoPath)> = Vec::new();
        let mut last: Option<(PathKey, RepoPath)> = None;
        for (key, (path, new)) in &self.results {
            if new.is_none() {
                continue;
            }
            match &last {
                Some((above, file))
                    if key.0.len() > above.0.len() && key.0.starts_with(&above.0) =>
                {
                    if clashes.last().is_none_or(|(known, _)| known != above) {
                        clashes.push((above.clone(), file.clone()));
                    }
                }
                _ => last = Some((key.clone(), path.clone())),
            }
        }
        for (key, path) in clashes {
            let [ours, base, theirs] = self.trees;
            let entry = |tree| -> Result<Option<Entry>, RepoError> {
                Ok(lookup_path(self.batch, tree, &path)?.map(|named| named.entry))
            };
            // What a side has there may have been merged with what the other has elsewhere.
            let below =
                |other: &&PathKey| other.0.len() > key.0.len() && other.0.starts_with(&key.0);
            let edits: Edits = self
                .results
                .iter()
                .filter(|(other, _)| below(other))
                .map(|(key, (path, new))| {
                    (key.clone(), PathEdit { path: path.clone(), new: new.clone() })
                })
                .collect();
            let file = self.results.get(&key).and_then(|(_, new)| new.as_ref());
            let file = file.map(|named| named.entry);
            let merged = |tree| -> Result<Option<Entry>, RepoError> {
                match entry(tree)? {
                    Some(Entry::Tree { .. }) => entry(self.repo.apply(tree, &edits, self.batch)?),
                    Some(Entry::Conflict(id)) => Ok(Some(Entry::Conflict(id))),
                    here => Ok(file
                        .filter(|file| here.is_some() && !matches!(file, Entry::Conflict(_)))
                        .or(here)),
                }
            };
            let terms = Terms::three(merged(ours)?, entry(base)?, merged(theirs)?);
            self.results.retain(|other, _| !other.0.starts_with(&key.0));
            self.put_conflict(&path, ConflictKind::Type, &terms, None)?;
        }
        Ok(())
    }
}

/// The path of an entry as the entry itself spells its last name.
fn spelled(path: &RepoPath, named: Option<&NamedEntry>) -> RepoPath {
    match (named, path.parent()) {
        (Some(named), Some(parent)) => parent.join(&named.name),
        _ => path.clone(),
    }
}

/// What one side changed, by place and in order.
#[derive(Default)]
struct Changes {
    list: Vec<Change>,
    by_key: BTreeMap<PathKey, usize>,
}

impl Changes {
    fn get(&self, key: &PathKey) -> Option<&Change> {
        self.by_key.get(key).and_then(|at| self.list.get(*at))
    }
}

/// Marks every place where trees differ as a contested base.
pub(super) fn contest(
    repo: &Repo,
    batch: &Batch<'_>,
    trees: &[TreeId],
) -> Result<TreeId, RepoError> {
    let Some((first, rest)) = trees.split_first() else { return Ok(EMPTY_TREE) };
    let mut differing: BTreeMap<PathKey, RepoPath> = BTreeMap::new();
    for tree in rest {
        diff_paths(batch, *first, *tree, &mut |change| {
            differing.insert(change.path.key(), change.path);
            Ok(())
        })?;
    }
    let mut edits = Edits::new();
    for (key, path) in differing {
        let mut terms: Vec<Option<Entry>> = Vec::new();
        for tree in trees {
            let entry = lookup_path(batch, *tree, &path)?.map(|named| named.entry);
            if !terms.contains(&entry) {
                terms.push(entry);
            }
        }
        // No base is nearer than nothing: between any two sides stands an absent one.
        let mut spaced = Vec::new();
        for term in terms {
            if !spaced.is_empty() {
                spaced.push(None);
            }
            spaced.push(term);
        }
        let conflict =
            ottvc_merge::entry_conflict(ConflictKind::ContestedBase, &Terms::new(spaced)?);
        let named = crate::worktree::named(&path, Entry::Conflict(batch.store(&conflict)?))?;
        edits.insert(key, PathEdit { path, new: Some(named) });
    }
    repo.apply(*first, &edits, batch)
}
