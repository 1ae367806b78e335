//! Which films lay with values that no commit has.
//!
//! A film can be staged, told of and replaced before anybody commits it. So when another film is staged, the
//! values that lay with the one before are noted, in a row for each document of the working copy's state. Rows
//! hold while the working copy stands on the commit they were noted on, and go with what is staged to another; the
//! commit after drops older ones.

use std::collections::{BTreeSet, HashMap};

use bincode::{Decode, Encode};
use ottvc_object::codec::{decode_body, encode_body};
use ottvc_object::field_path::FieldPath;
use ottvc_object::tree::{EMPTY_TREE, lookup_path};
use ottvc_object::value::{Document, Value};
use ottvc_object::{CommitId, ContentId, Entry, RepoPath, TreeId};

use super::{derives, documents_about, made_fields};
use crate::cache::Rows;
use crate::nodes::Batch;
use crate::probe::part;
use crate::schemas::convert;
use crate::workspace::State;
use crate::{Repo, RepoError};

/// How the key of a row begins; that of its document's path follows. No row of a file does: no folder has an
/// empty name.
const PREFIX: [u8; 2] = [1, b'f'];

/// A row.
#[derive(Clone, Debug, Encode, Decode)]
struct Row {
    /// The commit the working copy stood on.
    base: Option<CommitId>,
    lay: Vec<Lay>,
}

/// A value of a document, and the film that it first lay with.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct Lay {
    field: FieldPath,
    /// BLAKE3 of the value's bytes.
    value: [u8; 32],
    film: ContentId,
    /// Whether it is what that film says, and not what somebody put there.
    said: bool,
}

/// The films that staged values lay with.
#[derive(Debug, Default)]
pub(crate) struct Noted {
    rows: HashMap<Vec<u8>, Vec<Lay>>,
    /// Keys of rows that were changed.
    changed: BTreeSet<Vec<u8>>,
    /// Keys of rows that were noted on other commits.
    old: Vec<Vec<u8>>,
}

fn row_key(path: &RepoPath) -> Vec<u8> {
    [&PREFIX[..], path.key().0.join("/").as_bytes()].concat()
}

fn digest(value: &Value) -> Result<[u8; 32], RepoError> {
    Ok(*blake3::hash(&encode_body(value)?).as_bytes())
}

impl Noted {
    /// Whether anything is noted of a document that is or was at one of these paths.
    pub(super) fn knows<'p>(&self, mut paths: impl Iterator<Item = &'p RepoPath>) -> bool {
        !self.rows.is_empty() && paths.any(|path| self.rows.contains_key(&row_key(path)))
    }

    /// The film that a value first lay with, in a document that is or was at one of these paths, and whether that
    /// film says it.
    pub(super) fn film<'p>(
        &self,
        paths: impl Iterator<Item = &'p RepoPath>,
        field: &FieldPath,
        value: &Value,
    ) -> Result<Option<(ContentId, bool)>, RepoError> {
        if self.rows.is_empty() {
            return Ok(None);
        }
        let value = digest(value)?;
        let mut all = paths.filter_map(|path| self.rows.get(&row_key(path))).flatten();
        Ok(all
            .find(|lay| lay.field == *field && lay.value == value)
            .map(|lay| (lay.film, lay.said)))
    }

    fn note(&mut self, path: &RepoPath, lay: Lay) {
        let key = row_key(path);
        let all = self.rows.entry(key.clone()).or_default();
        let is_known = |known: &Lay| known.field == lay.field && known.value == lay.value;
        if !all.iter().any(is_known) {
            all.push(lay);
            self.changed.insert(key);
        }
    }

    fn row(
        &self,
        key: Vec<u8>,
        base: Option<CommitId>,
    ) -> Result<(Vec<u8>, Option<Vec<u8>>), RepoError> {
        let lay = self.rows.get(&key).cloned().unwrap_or_default();
        Ok((key, Some(encode_body(&Row { base, lay })?)))
    }

    /// The rows to write beside a commit: what is still staged after it keeps its own.
    pub(crate) fn rows_after(&self, commit: CommitId, all_done: bool) -> Result<Rows, RepoError> {
        let mut rows: Rows = self.old.iter().map(|key| (key.clone(), None)).collect();
        if !all_done {
            rows.extend(self.rows_on(Some(commit))?);
        }
        Ok(rows)
    }

    /// The rows to write where what is staged is carried to another commit.
    pub(crate) fn rows_on(&self, base: Option<CommitId>) -> Result<Rows, RepoError> {
        self.rows.keys().map(|key| self.row(key.clone(), base)).collect()
    }
}

impl Repo {
    /// The films noted while the working copy stood on `head`.
    pub(crate) fn noted_films(&self, head: Option<CommitId>) -> Result<Noted, RepoError> {
        let mut noted = Noted::default();
        self.workspace.rows(&PREFIX, &mut |key, bytes| {
            if !key.starts_with(&PREFIX) {
                return Ok(false);
            }
            // Bytes that are no row are none.
            match decode_body::<Row>(bytes, "films of staged values") {
                Ok(row) if row.base == head => drop(noted.rows.insert(key.to_vec(), row.lay)),
                _ => noted.old.push(key.to_vec()),
            }
            Ok(true)
        })?;
        Ok(noted)
    }

    /// Notes which values lay with films that are staged in `before` and no more in `after`. Nothing of what cannot
    /// be read is noted: it stops nothing.
    pub(crate) fn note_films(
        &self,
        batch: &Batch<'_>,
        noted: &mut Noted,
        before: TreeId,
        after: TreeId,
    ) -> Result<(), RepoError> {
        match self.try_note(batch, noted, before, after) {
            Err(RepoError::Content(_) | RepoError::Store(_) | RepoError::Object(_)) => Ok(()),
            done => done,
        }
    }

    fn try_note(
        &self,
        batch: &Batch<'_>,
        noted: &mut Noted,
        before: TreeId,
        after: TreeId,
    ) -> Result<(), RepoError> {
        if before == after || before == EMPTY_TREE {
            return Ok(());
        }
        let mut schemas = None;
        for path in documents_about(&self.changed_paths(batch, before, after)?)? {
            let named = lookup_path(batch, before, &path)?;
            let Some(Entry::Document { id, .. }) = named.map(|named| named.entry) else { continue };
            // What was renamed or removed goes with its film, or without any.
            if lookup_path(batch, after, &path)?.is_none() {
                continue;
            }
            let schemas = match &mut schemas {
                Some(schemas) => schemas,
                none => none.insert(self.schemas_for_reading(batch, before)?),
            };
            let schema = schemas.of(&path).map(|schema| &**schema);
            if schema.is_some_and(|schema| !derives(schema))
                || self.films_of(batch, before, &path)? == self.films_of(batch, after, &path)?
            {
                continue;
            }
            let document = convert(schema, batch.load::<Document>(id)?)?.into_value();
            let fields = made_fields(schema, &document);
            if fields.is_empty() {
                continue;
            }
            let Some(film) = self.readable_film(batch, before, &path)? else { continue };
            for field in fields {
                if let Some(value) = document.get(&field).filter(|value| !value.has_conflict()) {
                    let said = part(&film.says, &field).as_ref() == Some(value);
                    let value = digest(value)?;
                    noted.note(&path, Lay { field, value, film: film.content, said });
                }
            }
        }
        Ok(())
    }

    /// The rows that note which films are replaced by saving `state`.
    pub(crate) fn rows_of_films(&self, state: &State) -> Result<Rows, RepoError> {
        let saved = self.state()?;
        let head = self.head_commit_id(state)?;
        // What lies in a commit is found there.
        if saved.staged == state.staged
            || saved.staged == self.head_tree(state)?
            || self.head_commit_id(&saved)? != head
        {
            return Ok(Rows::new());
        }
        let mut noted = self.noted_films(head)?;
        self.note_films(&Batch::new(&self.nodes), &mut noted, saved.staged, state.staged)?;
        let changed = std::mem::take(&mut noted.changed);
        changed.into_iter().map(|key| noted.row(key, head)).collect()
    }
}
