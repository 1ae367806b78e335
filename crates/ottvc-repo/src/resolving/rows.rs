//! Conflicts as lists show them.

use ottvc_object::codec::encode_body;
use ottvc_object::commit::ConflictPlace;
use ottvc_object::conflict::{Conflict, ConflictKind, Term};
use ottvc_object::field_path::FieldPath;
use ottvc_object::value::value_to_json;
use ottvc_object::{Entry, FileEntry, FileMode, NamedEntry, RepoPath};
use serde::Serialize;
use serde_json::{Value as Json, json};

use super::places::{Disputed, Places};
use crate::RepoError;
use crate::memory::Recalled;
use crate::nodes::Batch;

/// One conflict, as lists show it.
#[derive(Clone, Debug, Serialize)]
pub struct ConflictRow {
    /// Names the conflict at its place: the same for everyone who merges the same heads.
    pub id: String,
    /// Names the disagreement wherever it stands: the `id` of its `$conflict` object in the document.
    pub core: String,
    /// Names which side has what: another if the same heads were merged the other way round.
    pub sides: String,
    /// The entry.
    pub path: String,
    /// The field, for one inside a document.
    pub field: Option<String>,
    /// `edit_edit`, `delete_edit` ...
    pub kind: &'static str,
    /// What could not decide: a policy of the schema, or the rule that is broken; empty where none speaks.
    pub policy: String,
    /// What must hold among the fields there, of a conflict over that.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub invariants: Vec<String>,
    /// What the base has; null for nothing.
    pub base: Json,
    /// What ours has; null for nothing.
    pub ours: Json,
    /// What theirs has; null for nothing.
    pub theirs: Json,
    /// Which of `base`, `ours`, `theirs` have nothing there, so that a null value is no riddle.
    pub absent: Vec<&'static str>,
    /// Every term where there are more than three: sides at even places, bases at odd ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub terms: Vec<Json>,
    /// The paths that the sides renamed it to, for a conflict over that.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<String>,
    /// The list that a removed item stood in, where the other side moved it out of that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moved_from: Option<String>,
    /// How the same disagreement was settled before, or the same sides over another base.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Recalled>,
    /// Whether ours, and theirs, is another value than the merged commit has: one of them was in conflict there.
    #[serde(skip)]
    pub strangers: [bool; 2],
}

impl ConflictRow {
    /// Reads the conflict at a place.
    pub(crate) fn read(places: &mut Places<'_>, place: &ConflictPlace) -> Result<Self, RepoError> {
        let there = places.of_conflict(place)?;
        match there.conflict(place.field.as_ref()) {
            Some(Disputed::Entry(conflict)) => {
                let mut row = Self::of(&place.path, None, conflict, &entry_json);
                if conflict.kind == ConflictKind::RenameRename {
                    for term in conflict.terms.adds().filter_map(Term::value) {
                        let moved = leaves(places.batch, term)?;
                        row.places.extend(moved.iter().map(|(path, _)| path.to_string()));
                    }
                }
                Ok(row)
            }
            Some(Disputed::Field(field, conflict)) => {
                Ok(Self::of(&place.path, Some(field), conflict, &value_to_json))
            }
            None => Err(RepoError::NoConflict { place: crate::record::place_text(place) }),
        }
    }

    /// Describes a conflict at a place.
    pub fn of<T: bincode::Encode>(
        path: &RepoPath,
        field: Option<&FieldPath>,
        conflict: &Conflict<T>,
        show: &dyn Fn(&T) -> Json,
    ) -> Self {
        let term = |term: &Term<T>| match term {
            Term::Absent => Json::Null,
            Term::Value(value) => show(value),
            Term::Contested(inner) => json!({
                "$conflict": inner.terms.as_slice().iter().map(|term| match term {
                    Term::Value(value) => show(value),
                    Term::Absent | Term::Contested(_) => Json::Null,
                }).collect::<Vec<Json>>()
            }),
        };
        let all = conflict.terms.as_slice();
        let base = all.get(1);
        let (ours, theirs) = (all.first(), all.last());
        let absent = [("base", base), ("ours", ours), ("theirs", theirs)]
            .into_iter()
            .filter(|(_, term)| term.is_none_or(Term::is_absent))
            .map(|(side, _)| side)
            .collect();
        let shown = |it: Option<&Term<T>>| it.map_or(Json::Null, &term);
        let mut hasher = blake3::Hasher::new_derive_key("ottvc 2026 conflict place v1");
        hasher.update(path.to_string().as_bytes());
        hasher.update(&conflict.core_id().0);
        let id = hasher.finalize().to_hex().to_string();
        let mut hasher = blake3::Hasher::new_derive_key("ottvc 2026 conflict sides v1");
        // Encoding to memory cannot fail.
        hasher
            .update(id.as_bytes())
            .update(&encode_body(&conflict.terms.as_slice()).unwrap_or_default());
        Self {
            id,
            core: conflict.core_id().to_string(),
            sides: hasher.finalize().to_hex().to_string(),
            path: path.to_string(),
            field: field.map(ToString::to_string),
            kind: conflict.kind.word(),
            policy: conflict.policy.clone(),
            invariants: Vec::new(),
            base: shown(base),
            ours: shown(ours),
            theirs: shown(theirs),
            absent,
            terms: if all.len() > 3 { all.iter().map(term).collect() } else { Vec::new() },
            places: Vec::new(),
            moved_from: None,
            memory: None,
            strangers: [false; 2],
        }
    }
}

/// Describes an entry as a side of a conflict.
pub(crate) fn entry_json(entry: &Entry) -> Json {
    match entry {
        Entry::File(FileEntry { content, len, mode }) => json!({
            "kind": entry.word(),
            "id": content.to_string(),
            "size": len,
            "executable": *mode == FileMode::Executable,
        }),
        Entry::Document { id, len } => {
            json!({ "kind": "document", "id": id.to_string(), "size": len })
        }
        Entry::Tree { id, totals } => {
            json!({ "kind": "tree", "id": id.to_string(), "size": totals.bytes })
        }
        Entry::Conflict(id) => json!({ "kind": "conflict", "id": id.to_string() }),
    }
}

/// The entries of a folder that are no folders, with their paths in it.
pub(crate) fn leaves(
    batch: &Batch<'_>,
    folder: &Entry,
) -> Result<Vec<(RepoPath, NamedEntry)>, RepoError> {
    let mut found = Vec::new();
    if let Entry::Tree { id, .. } = folder {
        ottvc_object::tree::walk(batch, *id, &RepoPath::root(), &mut |path, named| {
            if !matches!(named.entry, Entry::Tree { .. }) {
                found.push((path.clone(), named.clone()));
            }
            Ok::<bool, RepoError>(true)
        })?;
    }
    Ok(found)
}
