//! What was settled before: met again, the same disagreement may be settled alike.
//!
//! The commit that ends a merge remembers how each of its conflicts was settled (`learning`). What is
//! remembered lies in rows of the working copy's state, saved with it in one step; where that is lost,
//! somebody has to decide once more. It proposes, and decides only where that is asked for; a resolution
//! of the same disagreement over another base only ever proposes.

mod learning;

use bincode::{Decode, Encode};
use ottvc_merge::{Choice, Memory, MemoryKey};
use ottvc_object::codec::{decode_body, encode_body};
use ottvc_object::commit::ConflictPlace;
use ottvc_object::conflict::Conflict;
use ottvc_object::value::{RENAME, Value, value_to_json};
use ottvc_object::{CommitId, Entry};
use serde::Serialize;
use serde_json::Value as Json;

use crate::cache::Rows;
use crate::merging::DecisionRow;
use crate::resolving::{Disputed, Places, entry_json};
use crate::{Repo, RepoError};

/// How the key of a row begins; a [`MemoryKey`] follows. No row of a file does: no folder has an empty name.
const PREFIX: [u8; 2] = [1, b'r'];
/// How the key of a row of an earlier layout begins. Such rows are not read, and dropped with the next merge.
const OLD_PREFIX: [u8; 2] = [1, b'm'];
/// How many digits of a key name a resolution.
const NAME_DIGITS: usize = 12;
/// How a decision from memory begins; the name follows.
pub(crate) const DECIDED: &str = "memory: ";
/// Milliseconds of a day.
const DAY: i64 = 86_400_000;
/// How long a resolution lasts that nobody uses, in days.
pub const DEFAULT_DAYS: u32 = 90;

/// One resolution, as its row keeps it.
#[derive(Clone, Debug, Encode, Decode)]
struct Row {
    path: String,
    /// The field, for one inside a document.
    field: Option<String>,
    kind: String,
    result: Settled,
    /// Where an entry was put, for a conflict over that.
    places: Vec<String>,
    commit: CommitId,
    actor: String,
    settled: i64,
    used: i64,
}

/// What was put in place of a conflict.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
enum Settled {
    Nothing,
    Value(Value),
    /// One of those that the conflict was between.
    Entry(Entry),
}

/// One resolution.
#[derive(Clone, Debug, Serialize)]
pub struct Remembered {
    /// What it is called.
    pub id: String,
    /// The document it was settled in, or the file.
    pub path: String,
    /// The field, for one inside a document.
    pub field: Option<String>,
    /// The kind of conflict.
    pub kind: String,
    /// What was put there; null for nothing.
    pub value: Json,
    /// Whether that is nothing, so that a null value is no riddle.
    pub absent: bool,
    /// The paths that it was put at, for a conflict over that.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<String>,
    /// The commit that settled it.
    pub commit: String,
    /// Who did.
    pub actor: String,
    /// When, in UTC milliseconds since 1970.
    pub settled: i64,
    /// When it was last used, in UTC milliseconds since 1970.
    pub used: i64,
}

/// A resolution that speaks of a conflict.
#[derive(Clone, Debug, Serialize)]
pub struct Recalled {
    /// How the sides were settled then.
    #[serde(flatten)]
    pub settled: Remembered,
    /// Whether it was over another base, so that it is no more than a hint.
    pub other_base: bool,
}

impl Remembered {
    fn of(key: &MemoryKey, row: &Row) -> Self {
        Self {
            id: name(key),
            path: row.path.clone(),
            field: row.field.clone(),
            kind: row.kind.clone(),
            value: match &row.result {
                Settled::Nothing => Json::Null,
                Settled::Value(value) => value_to_json(value),
                Settled::Entry(entry) => entry_json(entry),
            },
            absent: row.result == Settled::Nothing,
            places: row.places.clone(),
            commit: row.commit.to_string(),
            actor: row.actor.clone(),
            settled: row.settled,
            used: row.used,
        }
    }
}

fn name(key: &MemoryKey) -> String {
    let digits = key.whole().iter().map(|byte| format!("{byte:02x}"));
    digits.collect::<String>().chars().take(NAME_DIGITS).collect()
}

fn row_key(key: &MemoryKey) -> Vec<u8> {
    [&PREFIX[..], &key.to_bytes()].concat()
}

/// What stands at the place of a conflict.
enum Disagreement {
    Field(Conflict<Value>),
    Entry(Conflict<Entry>),
}

impl Disagreement {
    /// The choice that settles this so, if it can be made: what is moved or kept by id alone must be here.
    fn choice(&self, settled: &Settled) -> Option<Choice> {
        match (self, settled) {
            (_, Settled::Nothing) => Some(Choice::Absent),
            (Self::Field(conflict), Settled::Value(value)) if conflict.policy == RENAME => {
                term_of(conflict, value).map(Choice::Term)
            }
            (Self::Field(_), Settled::Value(value)) => Some(Choice::Value(value.clone())),
            (Self::Entry(conflict), Settled::Entry(entry)) => {
                term_of(conflict, entry).map(Choice::Term)
            }
            (Self::Field(_), Settled::Entry(_)) | (Self::Entry(_), Settled::Value(_)) => None,
        }
    }
}

/// Which term of a conflict this is.
fn term_of<T: PartialEq>(conflict: &Conflict<T>, wanted: &T) -> Option<usize> {
    conflict.terms.as_slice().iter().position(|term| term.value() == Some(wanted))
}

/// A row that speaks of a conflict.
struct Hit {
    key: MemoryKey,
    row: Row,
    choice: Choice,
    other_base: bool,
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
            self.memory_rows()?.iter().map(|(key, row)| Remembered::of(key, row)).collect();
        all.sort_by(|a, b| b.used.cmp(&a.used).then_with(|| a.id.cmp(&b.id)));
        Ok(all)
    }

    /// Whether anything is remembered from now on.
    pub fn remembers(&self) -> bool {
        self.memory_days > 0
    }

    /// Forgets the resolution whose id begins so; returns it.
    ///
    /// # Errors
    /// [`RepoError::NotRemembered`] if there is none, or more than one.
    pub fn forget(&self, id: &str) -> Result<Remembered, RepoError> {
        let mut found: Vec<_> = self.memory_rows()?;
        found.retain(|(key, _)| !id.is_empty() && name(key).starts_with(id));
        let [(key, row)] = found.as_slice() else {
            return Err(RepoError::NotRemembered { id: id.to_owned() });
        };
        self.save_state(&self.state()?, &vec![(row_key(key), None)])?;
        Ok(Remembered::of(key, row))
    }

    /// The rows that have not expired, with the key each is about.
    fn memory_rows(&self) -> Result<Vec<(MemoryKey, Row)>, RepoError> {
        let mut found = Vec::new();
        self.each_row(&PREFIX, &mut |key, row| {
            if !self.expired(&row) {
                found.push((key, row));
            }
        })?;
        Ok(found)
    }

    /// Visits the rows whose keys begin with `start`, which begins with [`PREFIX`].
    fn each_row(
        &self,
        start: &[u8],
        visit: &mut dyn FnMut(MemoryKey, Row),
    ) -> Result<(), RepoError> {
        Ok(self.workspace.rows(start, &mut |key, bytes| {
            if !key.starts_with(start) {
                return Ok(false);
            }
            let at = key.strip_prefix(&PREFIX).and_then(MemoryKey::from_bytes);
            // Bytes that are no row are none.
            if let (Some(at), Ok(row)) = (at, decode_body(bytes, "remembered resolution")) {
                visit(at, row);
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
        for (key, row) in self.memory_rows()? {
            let called = name(&key);
            match row.result {
                Settled::Value(value) => memory.remember(key, &called, Some(value)),
                Settled::Entry(entry) => memory.remember_entry(key, &called, Some(entry)),
                Settled::Nothing if row.field.is_some() => memory.remember(key, &called, None),
                Settled::Nothing => memory.remember_entry(key, &called, None),
            }
        }
        Ok(memory)
    }

    /// How the conflict at a place was settled before; over this base, or else over another: then the one
    /// settled last.
    fn recalled(
        &self,
        places: &mut Places<'_>,
        place: &ConflictPlace,
    ) -> Result<Option<Hit>, RepoError> {
        let Some((key, disagreement)) = memory_key(places, place)? else { return Ok(None) };
        let mut best: Option<Hit> = None;
        let start = [&PREFIX[..], key.sides()].concat();
        self.each_row(&start, &mut |at, row| {
            let Some(choice) = disagreement.choice(&row.result) else { return };
            let hit = Hit { other_base: at != key, key: at, row, choice };
            let rank = |hit: &Hit| (!hit.other_base, hit.row.settled);
            if !self.expired(&hit.row) && best.as_ref().is_none_or(|it| rank(it) < rank(&hit)) {
                best = Some(hit);
            }
        })?;
        Ok(best)
    }

    /// How the conflict at a place was settled before, to be shown.
    pub(crate) fn suggestion(
        &self,
        places: &mut Places<'_>,
        place: &ConflictPlace,
    ) -> Result<Option<Recalled>, RepoError> {
        let hit = self.recalled(places, place)?;
        Ok(hit.map(|Hit { key, row, other_base, .. }| Recalled {
            settled: Remembered::of(&key, &row),
            other_base,
        }))
    }

    /// The choice that settled the conflict at a place before; with `any_base` also over another base, which
    /// is then said.
    pub(crate) fn suggested_choice(
        &self,
        places: &mut Places<'_>,
        place: &ConflictPlace,
        any_base: bool,
    ) -> Result<Option<(Choice, bool)>, RepoError> {
        let hit = self.recalled(places, place)?;
        let hit = hit.filter(|hit| any_base || !hit.other_base);
        Ok(hit.map(|hit| (hit.choice, hit.other_base)))
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
        for (key, row) in self.memory_rows()? {
            if used.contains(&name(&key).as_str()) {
                let row = Row { used: self.now(), ..row };
                rows.push((row_key(&key), Some(encode_body(&row)?)));
            }
        }
        Ok(())
    }
}

/// What is remembered of the conflict at a place is found by this.
fn memory_key(
    places: &mut Places<'_>,
    place: &ConflictPlace,
) -> Result<Option<(MemoryKey, Disagreement)>, RepoError> {
    let Some(there) = places.at(&place.path)? else { return Ok(None) };
    Ok(match there.conflict(place.field.as_ref()) {
        Some(Disputed::Entry(conflict)) => {
            let key = MemoryKey::of_entry(conflict, &place.path);
            key.map(|key| (key, Disagreement::Entry(conflict.clone())))
        }
        Some(Disputed::Field(_, conflict)) => {
            let key = MemoryKey::of(conflict, places.schemas.of(&place.path).map(|it| &**it));
            key.map(|key| (key, Disagreement::Field(conflict.clone())))
        }
        None => None,
    })
}
