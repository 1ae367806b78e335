//! What was settled before: met again, the same disagreement may be settled alike.
//!
//! The commit that ends a merge remembers how each of its conflicts in documents was settled, whoever
//! did it with whatever command: the merge is made again and compared with what is committed. What is
//! remembered lies in rows of the working copy's state, saved with it in one step; where that is lost,
//! somebody has to decide once more. It proposes, and decides only where that is asked for.

use std::collections::BTreeMap;

use bincode::{Decode, Encode};
use ottvc_merge::{Choice, Memory, MemoryKey, MergeOptions, Schema};
use ottvc_object::codec::{decode_body, encode_body};
use ottvc_object::commit::ConflictPlace;
use ottvc_object::tree::lookup_path;
use ottvc_object::value::{Document, MOVE, RENAME, Value, value_to_json};
use ottvc_object::{CommitId, Entry, NamedEntry, TreeId};
use serde::Serialize;
use serde_json::Value as Json;

use crate::cache::Rows;
use crate::merging::DecisionRow;
use crate::nodes::Batch;
use crate::resolving::conflict_at;
use crate::workspace::{Merging, State};
use crate::{Repo, RepoError};

/// How the key of a row begins. No row of a file does: no folder has an empty name.
const PREFIX: [u8; 2] = [1, b'm'];
/// How many digits of a key name a resolution.
const NAME_DIGITS: usize = 12;
/// How a decision from memory begins; the name follows.
const DECIDED: &str = "memory: ";
/// Milliseconds of a day.
const DAY: i64 = 86_400_000;
/// How long a resolution lasts that nobody uses, in days.
pub const DEFAULT_DAYS: u32 = 90;

/// One resolution, as its row keeps it.
#[derive(Clone, Debug, Encode, Decode)]
struct Row {
    path: String,
    field: String,
    kind: String,
    /// What was put there; `None` for nothing.
    result: Option<Value>,
    commit: CommitId,
    actor: String,
    settled: i64,
    used: i64,
}

/// One resolution.
#[derive(Clone, Debug, Serialize)]
pub struct Remembered {
    /// What it is called.
    pub id: String,
    /// The document it was settled in.
    pub path: String,
    /// The field.
    pub field: String,
    /// The kind of conflict.
    pub kind: String,
    /// What was put there; null for nothing.
    pub value: Json,
    /// Whether that is nothing, so that a null value is no riddle.
    pub absent: bool,
    /// The commit that settled it.
    pub commit: String,
    /// Who did.
    pub actor: String,
    /// When, in UTC milliseconds since 1970.
    pub settled: i64,
    /// When it was last used, in UTC milliseconds since 1970.
    pub used: i64,
}

impl Remembered {
    fn of(key: &[u8], row: &Row) -> Self {
        Self {
            id: name(key),
            path: row.path.clone(),
            field: row.field.clone(),
            kind: row.kind.clone(),
            value: row.result.as_ref().map_or(Json::Null, value_to_json),
            absent: row.result.is_none(),
            commit: row.commit.to_string(),
            actor: row.actor.clone(),
            settled: row.settled,
            used: row.used,
        }
    }
}

fn name(key: &[u8]) -> String {
    let digits = key.iter().skip(PREFIX.len()).map(|byte| format!("{byte:02x}"));
    digits.collect::<String>().chars().take(NAME_DIGITS).collect()
}

fn row_key(key: &MemoryKey) -> Vec<u8> {
    [&PREFIX[..], key.as_bytes()].concat()
}

impl Repo {
    /// Has resolutions last for so many days after they were last used; with 0, nothing is remembered.
    #[must_use]
    pub fn remembering(self, days: u32) -> Self {
        Self { memory_days: days, ..self }
    }

    /// What is remembered, the newest first.
    ///
    /// # Errors
    /// The store's.
    pub fn memory(&self) -> Result<Vec<Remembered>, RepoError> {
        let mut all: Vec<Remembered> =
            self.memory_rows()?.iter().map(|(key, row, _)| Remembered::of(key, row)).collect();
        all.sort_by(|a, b| b.used.cmp(&a.used).then_with(|| a.id.cmp(&b.id)));
        Ok(all)
    }

    /// Forgets the resolution whose id begins so; returns it.
    ///
    /// # Errors
    /// [`RepoError::NotRemembered`] if there is none, or more than one.
    pub fn forget(&self, id: &str) -> Result<Remembered, RepoError> {
        let mut found: Vec<_> = self.memory_rows()?;
        found.retain(|(key, ..)| !id.is_empty() && name(key).starts_with(id));
        let [(key, row, _)] = found.as_slice() else {
            return Err(RepoError::NotRemembered { id: id.to_owned() });
        };
        self.save_state(&self.state()?, &vec![(key.clone(), None)])?;
        Ok(Remembered::of(key, row))
    }

    /// The rows that have not expired, with the key each is about.
    fn memory_rows(&self) -> Result<Vec<(Vec<u8>, Row, [u8; 32])>, RepoError> {
        let mut found = Vec::new();
        self.each_row(&mut |key, row, at| {
            if !self.expired(&row) {
                found.push((key.to_vec(), row, at));
            }
        })?;
        Ok(found)
    }

    fn each_row(&self, visit: &mut dyn FnMut(&[u8], Row, [u8; 32])) -> Result<(), RepoError> {
        Ok(self.workspace.rows(&PREFIX, &mut |key, bytes| {
            let Some(at) = key.strip_prefix(&PREFIX) else { return Ok(false) };
            // Bytes that are no row are none.
            if let (Ok(at), Ok(row)) = (at.try_into(), decode_body(bytes, "remembered resolution"))
            {
                visit(key, row, at);
            }
            Ok(true)
        })?)
    }

    fn expired(&self, row: &Row) -> bool {
        row.used.saturating_add(i64::from(self.memory_days) * DAY) <= self.now()
    }

    /// Whether anything is remembered at all.
    pub(crate) fn remembers_any(&self) -> Result<bool, RepoError> {
        let mut any = false;
        self.workspace.rows(&PREFIX, &mut |key, _| {
            any = key.starts_with(&PREFIX);
            Ok(false)
        })?;
        Ok(any)
    }

    /// What a merge may settle by itself.
    pub(crate) fn memory_to_apply(&self) -> Result<Memory, RepoError> {
        let mut memory = Memory::default();
        for (key, row, at) in self.memory_rows()? {
            memory.remember(MemoryKey::from_bytes(at), &name(&key), row.result);
        }
        Ok(memory)
    }

    /// How the conflict at a place was settled before.
    fn recalled(
        &self,
        batch: &Batch<'_>,
        tree: TreeId,
        place: &ConflictPlace,
    ) -> Result<Option<(Vec<u8>, Row)>, RepoError> {
        let Some(key) = self.memory_key(batch, tree, place)? else { return Ok(None) };
        let key = row_key(&key);
        let Some(bytes) = self.workspace.row(&key)? else { return Ok(None) };
        let row: Option<Row> = decode_body(&bytes, "remembered resolution").ok();
        Ok(row.filter(|row| !self.expired(row)).map(|row| (key, row)))
    }

    /// How the conflict at a place was settled before, to be shown.
    pub(crate) fn suggestion(
        &self,
        batch: &Batch<'_>,
        tree: TreeId,
        place: &ConflictPlace,
    ) -> Result<Option<Remembered>, RepoError> {
        Ok(self.recalled(batch, tree, place)?.map(|(key, row)| Remembered::of(&key, &row)))
    }

    /// The choice that settled the conflict at a place before.
    pub(crate) fn suggested_choice(
        &self,
        batch: &Batch<'_>,
        tree: TreeId,
        place: &ConflictPlace,
    ) -> Result<Option<Choice>, RepoError> {
        let recalled = self.recalled(batch, tree, place)?;
        Ok(recalled.map(|(_, row)| row.result.map_or(Choice::Absent, Choice::Value)))
    }

    /// What is remembered of the conflict at a place is found by this.
    fn memory_key(
        &self,
        batch: &Batch<'_>,
        tree: TreeId,
        place: &ConflictPlace,
    ) -> Result<Option<MemoryKey>, RepoError> {
        // What settles a whole document, a group, a rename or a move lies in several places.
        let Some(field) = place.field.as_ref().filter(|field| !field.is_root()) else {
            return Ok(None);
        };
        let Some(document) = self.document_in(batch, tree, place)? else { return Ok(None) };
        let Some(conflict) = conflict_at(document.value(), field) else { return Ok(None) };
        if matches!(conflict.policy.as_str(), "group" | MOVE | RENAME) {
            return Ok(None);
        }
        let schemas = self.schemas_for_reading(batch, tree)?;
        let schema: Option<&Schema> = schemas.of(&place.path).map(|schema| &**schema);
        Ok(MemoryKey::of(conflict, schema))
    }

    fn document_in(
        &self,
        batch: &Batch<'_>,
        tree: TreeId,
        place: &ConflictPlace,
    ) -> Result<Option<Document>, RepoError> {
        match lookup_path(batch, tree, &place.path)? {
            Some(NamedEntry { entry: Entry::Document { id, .. }, .. }) => batch.load(id).map(Some),
            _ => Ok(None),
        }
    }

    /// Adds to `rows` how the conflicts of a merge were settled by the commit `id` of `tree`.
    pub(crate) fn remember_merge(
        &self,
        state: &State,
        merging: &Merging,
        (id, tree): (CommitId, TreeId),
        rows: &mut Rows,
    ) -> Result<(), RepoError> {
        if self.memory_days == 0 {
            return Ok(());
        }
        let batch = Batch::new(&self.nodes);
        let rules = merging.rules.iter().map(|rule| Ok(rule.parse()?));
        let rules = rules.collect::<Result<Vec<_>, RepoError>>()?;
        let options = MergeOptions { rules, ..MergeOptions::default() };
        let merged = self.merge_again(&batch, state, merging, options)?;
        let suspects = State { suspects: merged.suspects, ..state.clone() };
        let now = self.now();
        let mut learnt: BTreeMap<Vec<u8>, Option<Row>> = BTreeMap::new();
        for place in self.conflict_places(&batch, merged.tree, &suspects, Some(merging.ours))? {
            let Some(field) = &place.field else { continue };
            let Some(key) = self.memory_key(&batch, merged.tree, &place)? else { continue };
            let Some(settled) = self.document_in(&batch, tree, &place)? else { continue };
            let result = settled.value().get(field).cloned();
            if result.as_ref().is_some_and(Value::has_conflict) {
                continue;
            }
            let Some(conflicted) = self.document_in(&batch, merged.tree, &place)? else { continue };
            let kind = conflict_at(conflicted.value(), field).map(|it| it.kind.word().to_owned());
            let row = Row {
                path: place.path.to_string(),
                field: field.to_string(),
                kind: kind.unwrap_or_default(),
                result,
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
        self.each_row(&mut |key, row, _| {
            if self.expired(&row) && !learnt.contains_key(key) {
                rows.push((key.to_vec(), None));
            }
        })?;
        for (key, row) in learnt {
            rows.push((key, row.map(|row| encode_body(&row)).transpose()?));
        }
        Ok(())
    }

    /// Adds to `rows` that resolutions were used now, by the decisions of a merge.
    pub(crate) fn note_used(
        &self,
        decisions: &[DecisionRow],
        rows: &mut Rows,
    ) -> Result<(), RepoError> {
        let used: Vec<&str> =
            decisions.iter().filter_map(|row| row.rule.strip_prefix(DECIDED)).collect();
        if used.is_empty() {
            return Ok(());
        }
        for (key, row, _) in self.memory_rows()? {
            if used.contains(&name(&key).as_str()) {
                let row = Row { used: self.now(), ..row };
                rows.push((key, Some(encode_body(&row)?)));
            }
        }
        Ok(())
    }
}
