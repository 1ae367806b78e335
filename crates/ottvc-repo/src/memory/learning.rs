//! Learning: how conflicts were settled, by whoever and with whatever command. A merge is made again and
//! compared with what is committed; what a commit holds in conflict is compared with the commit after it.

use std::collections::{BTreeMap, BTreeSet, btree_map};

use ottvc_merge::layers::Layer;
use ottvc_merge::{MergeOptions, what_settled};
use ottvc_object::codec::encode_body;
use ottvc_object::commit::{Commit, ConflictPlace};
use ottvc_object::conflict::{Conflict, ConflictKind, Term};
use ottvc_object::tree::{EMPTY_TREE, diff_paths, lookup_path};
use ottvc_object::value::{Document, Value};
use ottvc_object::{CommitId, Entry, RepoPath, TreeId};

use super::{Disagreement, OLD_PREFIX, PREFIX, Row, Settled, memory_key, row_key};
use crate::cache::Rows;
use crate::layers::layer_at;
use crate::nodes::Batch;
use crate::resolving::{Holds, Places, leaves};
use crate::workspace::{Merging, State};
use crate::{Repo, RepoError};

/// Where conflicts are.
struct Disputed {
    tree: TreeId,
    /// The paths that may hold some.
    suspects: Vec<RepoPath>,
    /// What neither of these has is put elsewhere by whoever settles them.
    sides: [TreeId; 2],
    /// Where an edition took what it inherits instead: nobody chose that.
    given_up: BTreeSet<ConflictPlace>,
}

impl Repo {
    /// Adds to `rows` how the conflicts of a merge were settled by the commit `id` of `tree`.
    pub(crate) fn remember_merge(
        &self,
        state: &State,
        merging: &Merging,
        (id, tree): (CommitId, TreeId),
        rows: &mut Rows,
    ) -> Result<(), RepoError> {
        if !self.remembers() {
            return Ok(());
        }
        let batch = Batch::new(&self.nodes);
        let rules = merging.rules.iter().map(|rule| Ok(rule.parse()?));
        let rules = rules.collect::<Result<Vec<_>, RepoError>>()?;
        let options = MergeOptions { rules, ..MergeOptions::default() };
        let merged = self.merge_again(&batch, state, merging, options)?;
        let known = self.commit(merging.ours)?.conflicts.into_iter().map(|place| place.path);
        let suspects = merged.suspects.into_iter().chain(known).collect();
        let sides = [self.commit(merging.ours)?.tree, self.commit(merging.theirs)?.tree];
        let given_up = BTreeSet::new();
        let disputed = Disputed { tree: merged.tree, suspects, sides, given_up };
        self.remember(&batch, &disputed, (id, tree), rows)
    }

    /// Adds to `rows` how conflicts that the commit `before` holds were settled by the commit `id` of `tree`
    /// on top of it.
    pub(crate) fn remember_settled(
        &self,
        before: &Commit,
        (id, tree): (CommitId, TreeId),
        rows: &mut Rows,
    ) -> Result<(), RepoError> {
        if before.conflicts.is_empty() || !self.remembers() {
            return Ok(());
        }
        let batch = Batch::new(&self.nodes);
        let after = self.commit(id)?;
        let mut given_up = BTreeSet::new();
        let schemas = self.schemas_for_reading(&batch, tree)?;
        let mut layers: BTreeMap<&RepoPath, Option<Layer>> = BTreeMap::new();
        for place in before.conflicts.iter().filter(|_| after.pin.is_some()) {
            let Some(field) = &place.field else { continue };
            let own = match layers.entry(&place.path) {
                btree_map::Entry::Occupied(known) => known.into_mut(),
                btree_map::Entry::Vacant(free) => {
                    let own = after.own.unwrap_or(EMPTY_TREE);
                    let schema = schemas.of(&place.path).map(|schema| &**schema);
                    let own = layer_at(&batch, own, &place.path)?;
                    free.insert(own.map(|own| own.under(schema)))
                }
            };
            if own.as_ref().is_none_or(|own| !own.speaks_about(field)) {
                given_up.insert(place.clone());
            }
        }
        let suspects = before.conflicts.iter().map(|place| place.path.clone()).collect();
        let sides = [before.tree; 2];
        let disputed = Disputed { tree: before.tree, suspects, sides, given_up };
        self.remember(&batch, &disputed, (id, tree), rows)
    }

    fn remember(
        &self,
        batch: &Batch<'_>,
        disputed: &Disputed,
        (id, tree): (CommitId, TreeId),
        rows: &mut Rows,
    ) -> Result<(), RepoError> {
        let now = self.now();
        let mut learnt: BTreeMap<Vec<u8>, Option<Row>> = BTreeMap::new();
        let mut before = Places::of(self, batch, disputed.tree)?;
        let mut after = Places::of(self, batch, tree)?;
        for place in self.conflicts_at(batch, disputed.tree, disputed.suspects.clone())? {
            if disputed.given_up.contains(&place) {
                continue;
            }
            let Some((key, disagreement)) = memory_key(&mut before, &place)? else { continue };
            let told = match &disagreement {
                Disagreement::Field(conflict) => settled_field(&mut after, &place, conflict)?
                    .map(|result| (conflict.kind, result, Vec::new())),
                Disagreement::Entry(conflict) => self
                    .settled_entry(batch, tree, &place.path, conflict)?
                    .map(|(result, places)| (conflict.kind, result, places)),
            };
            let told = match told {
                Some((_, Settled::Nothing, _))
                    if after.at(&place.path)?.is_none()
                        && self.went_elsewhere(
                            batch,
                            tree,
                            disputed.sides,
                            &place,
                            &disagreement,
                        )? =>
                {
                    None
                }
                told => told,
            };
            let Some((kind, result, places)) = told else { continue };
            let row = Row {
                path: place.path.to_string(),
                field: place.field.as_ref().map(ToString::to_string),
                kind: kind.word().to_owned(),
                result,
                places,
                commit: id,
                actor: self.actor.clone(),
                settled: now,
                used: now,
            };
            // What one merge settles in two ways says nothing about the next.
            let known = learnt.get(&row_key(&key));
            let alike = known
                .is_none_or(|known| known.as_ref().is_some_and(|known| known.result == row.result));
            learnt.insert(row_key(&key), alike.then_some(row));
        }
        self.each_row(&PREFIX, &mut |key, row| {
            let key = row_key(&key);
            if self.expired(&row) && !learnt.contains_key(&key) {
                rows.push((key, None));
            }
        })?;
        self.workspace.rows(&OLD_PREFIX, &mut |key, _| {
            let is_old = key.starts_with(&OLD_PREFIX);
            if is_old {
                rows.push((key.to_vec(), None));
            }
            Ok(is_old)
        })?;
        for (key, row) in learnt {
            rows.push((key, row.map(|row| encode_body(&row)).transpose()?));
        }
        Ok(())
    }

    /// Whether what was in conflict is not gone but at another path of `tree`: renamed, or put where neither
    /// side had it.
    fn went_elsewhere(
        &self,
        batch: &Batch<'_>,
        tree: TreeId,
        [ours, theirs]: [TreeId; 2],
        place: &ConflictPlace,
        disagreement: &Disagreement,
    ) -> Result<bool, RepoError> {
        let mut found = false;
        diff_paths(batch, ours, tree, &mut |change| {
            let Some((path, named)) = change.new.filter(|_| !found) else { return Ok(()) };
            found = named.former.iter().any(|former| former.key() == place.path.key())
                || (change.old.is_none()
                    && disagreement.is_of(batch, &named.entry)?
                    && lookup_path(batch, theirs, &path)?.is_none());
            Ok::<(), RepoError>(())
        })?;
        Ok(found)
    }

    /// How a conflict between entries was settled in `tree`, if by one of them or by none, and where that one
    /// was put, for a conflict over places. Of any other nobody could say later that it is still kept.
    fn settled_entry(
        &self,
        batch: &Batch<'_>,
        tree: TreeId,
        path: &RepoPath,
        conflict: &Conflict<Entry>,
    ) -> Result<Option<(Settled, Vec<String>)>, RepoError> {
        let there = |path: &RepoPath| -> Result<Option<Entry>, RepoError> {
            Ok(lookup_path(batch, tree, path)?.map(|named| named.entry))
        };
        if conflict.kind != ConflictKind::RenameRename {
            let settled = match there(path)? {
                None => Some(Settled::Nothing),
                Some(entry) => super::term_of(conflict, &entry).map(|_| Settled::Entry(entry)),
            };
            return Ok(settled.map(|settled| (settled, Vec::new())));
        }
        // The one term whose places are filled. What is there may have been edited since.
        let mut taken: Option<(Settled, Vec<String>)> = None;
        for term in conflict.terms.as_slice().iter().filter_map(Term::value) {
            let mut places = Vec::new();
            for (at, _) in leaves(batch, term)? {
                if matches!(there(&at)?, None | Some(Entry::Conflict(_))) {
                    places.clear();
                    break;
                }
                places.push(at.to_string());
            }
            let settled = Settled::Entry(*term);
            if places.is_empty() || taken.as_ref().is_some_and(|(known, _)| *known == settled) {
                continue;
            }
            if taken.is_some() {
                return Ok(None);
            }
            taken = Some((settled, places));
        }
        Ok(taken)
    }
}

/// How a conflict in a document was settled, if that can be told.
fn settled_field(
    places: &mut Places<'_>,
    place: &ConflictPlace,
    conflict: &Conflict<Value>,
) -> Result<Option<Settled>, RepoError> {
    let Some(field) = &place.field else { return Ok(None) };
    let there = places.at(&place.path)?;
    let document = match there.as_ref().map(|there| &there.holds) {
        None => None,
        Some(Holds::Document(document)) => Some(document.value()),
        Some(_) => return Ok(None),
    };
    let told = what_settled(conflict, field, document);
    Ok(told.map(|value| value.map_or(Settled::Nothing, Settled::Value)))
}

impl Disagreement {
    /// Whether an entry holds what one of the sides has.
    fn is_of(&self, batch: &Batch<'_>, entry: &Entry) -> Result<bool, RepoError> {
        Ok(match (self, entry) {
            (Self::Entry(conflict), _) => {
                conflict.terms.adds().filter_map(Term::value).any(|side| match (side, entry) {
                    (Entry::File(side), Entry::File(file)) => side.content == file.content,
                    _ => side == entry,
                })
            }
            (Self::Field(conflict), Entry::Document { id, .. }) => {
                let document: Document = batch.load(*id)?;
                conflict.terms.adds().any(|side| side.value() == Some(document.value()))
            }
            (Self::Field(_), _) => false,
        })
    }
}
