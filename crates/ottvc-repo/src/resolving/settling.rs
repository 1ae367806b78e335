//! Putting what was chosen in the place of conflicts, several in one document after another.

use std::collections::HashMap;

use ottvc_merge::{Choice, resolve_in};
use ottvc_object::commit::ConflictPlace;
use ottvc_object::conflict::{Conflict, ConflictKind, Term};
use ottvc_object::field_path::FieldPath;
use ottvc_object::path::PathKey;
use ottvc_object::tree::PathEdit;
use ottvc_object::value::{Document, Value};
use ottvc_object::{Entry, NamedEntry, RepoPath, Storable};

use super::places::{KEPT, Places};
use super::rows::{ConflictRow, leaves};
use crate::RepoError;
use crate::nodes::Batch;
use crate::record::place_text;
use crate::stage::Edits;

/// Conflicts of a tree that are being settled.
pub(super) struct Settling<'r> {
    places: Places<'r>,
    edits: Edits,
    /// Documents of which conflicts were settled: stored when all of them are.
    open: HashMap<PathKey, Open>,
}

/// A document that is not stored yet.
struct Open {
    path: RepoPath,
    named: NamedEntry,
    value: Value,
}

impl<'r> Settling<'r> {
    pub(super) fn new(places: Places<'r>) -> Self {
        Self { places, edits: Edits::new(), open: HashMap::new() }
    }

    /// Settles one conflict, and says which; `None` where its document was removed by the choice for another.
    pub(super) fn settle(
        &mut self,
        place: &ConflictPlace,
        choice: &Choice,
    ) -> Result<Option<ConflictRow>, RepoError> {
        let row = ConflictRow::read(&mut self.places, place)?;
        let done = match &place.field {
            Some(field) => self.settle_field(place, field, choice)?,
            None => {
                // Its sides may go where a document is being settled.
                if row.kind == ConflictKind::RenameRename.word() {
                    self.store_open()?;
                }
                self.settle_entry(place, choice)?
            }
        };
        Ok(done.then_some(row))
    }

    /// What becomes of the tree.
    pub(super) fn into_edits(mut self) -> Result<Edits, RepoError> {
        self.store_open()?;
        Ok(self.edits)
    }

    fn store_open(&mut self) -> Result<(), RepoError> {
        for (key, Open { path, named, value }) in self.open.drain() {
            let object = Document::new(value)?.to_object()?;
            let len = object.bytes().len() as u64;
            let entry = Entry::Document { id: object.id().into(), len };
            self.places.batch.put(object);
            self.edits.insert(key, PathEdit { path, new: Some(NamedEntry { entry, ..named }) });
        }
        Ok(())
    }

    /// The entry at a place as it has become; `None` where it was removed.
    fn named(&mut self, place: &ConflictPlace) -> Result<Option<NamedEntry>, RepoError> {
        match self.edits.get(&place.path.key()) {
            Some(edit) => Ok(edit.new.clone()),
            None => Ok(Some(self.places.of_conflict(place)?.named.clone())),
        }
    }

    fn settle_field(
        &mut self,
        place: &ConflictPlace,
        field: &FieldPath,
        choice: &Choice,
    ) -> Result<bool, RepoError> {
        let key = place.path.key();
        if !self.open.contains_key(&key) {
            if self.open.len() >= KEPT {
                self.store_open()?;
            }
            let Some(named) = self.named(place)? else { return Ok(false) };
            let Entry::Document { id, .. } = named.entry else {
                return Err(RepoError::NoConflict { place: place_text(place) });
            };
            let value = self.places.batch.load::<Document>(id)?.into_value();
            let path = place.path.clone();
            self.open.insert(key.clone(), Open { path, named, value });
        }
        let Some(open) = self.open.get_mut(&key) else { return Ok(false) };
        if !resolve_in(&mut open.value, field, choice)? {
            self.open.remove(&key);
            self.edits.insert(key, PathEdit { path: place.path.clone(), new: None });
        }
        Ok(true)
    }

    fn settle_entry(&mut self, place: &ConflictPlace, choice: &Choice) -> Result<bool, RepoError> {
        let Some(named) = self.named(place)? else { return Ok(false) };
        settle_entry(self.places.batch, place, &named, choice, &mut self.edits)?;
        Ok(true)
    }
}

/// Settles a conflict between entries.
fn settle_entry(
    batch: &Batch<'_>,
    place: &ConflictPlace,
    named: &NamedEntry,
    choice: &Choice,
    edits: &mut Edits,
) -> Result<(), RepoError> {
    let Entry::Conflict(id) = named.entry else {
        return Err(RepoError::NoConflict { place: place.path.to_string() });
    };
    let conflict: Conflict<Entry> = batch.load(id)?;
    let count = conflict.terms.as_slice().len();
    let at = match choice {
        Choice::Ours => Some(0),
        Choice::Theirs => count.checked_sub(1),
        Choice::Base => Some(1),
        Choice::Term(at) => Some(*at),
        Choice::Absent => None,
        Choice::Value(_) | Choice::Both | Choice::Order(_) => {
            return Err(RepoError::WrongKind {
                path: place.path.to_string(),
                wanted: "metadata field: add the file you want instead",
            });
        }
    };
    let term = at.and_then(|at| conflict.terms.as_slice().get(at));
    if term.is_some_and(|term| matches!(term, Term::Contested(_))) {
        return Err(RepoError::NoConflict { place: place.path.to_string() });
    }
    let entry = term.and_then(Term::value).copied();
    let mut put = |path: &RepoPath, new| {
        edits.insert(path.key(), PathEdit { path: path.clone(), new });
    };
    match entry {
        // A side of a rename conflict holds the entry where that side put it.
        Some(folder) if conflict.kind == ConflictKind::RenameRename => {
            put(&place.path, None);
            for (path, named) in leaves(batch, &folder)? {
                put(&path, Some(named));
            }
        }
        Some(entry) => {
            let former = named.former.clone();
            let named = crate::worktree::named(&place.path, entry)?;
            put(&place.path, Some(NamedEntry { former, ..named }));
        }
        None => put(&place.path, None),
    }
    Ok(())
}
