//! Metadata documents in the working copy: reading and changing fields.

use std::path::Path;

use ottvc_object::field_path::FieldPath;
use ottvc_object::value::{Document, Value, value_from_json};
use ottvc_object::{Name, ObjectError, RepoPath};

use crate::nodes::Batch;
use crate::scan::lstat;
use crate::worktree::Sink;
use crate::{Repo, RepoError, Silent};

/// The document that describes the edition as a whole.
pub const EDITION_DOCUMENT: &str = "edition.meta.json";

/// One field to change.
#[derive(Clone, Debug)]
pub struct FieldEdit {
    /// Which.
    pub field: FieldPath,
    /// What it becomes; `None` removes it.
    pub value: Option<Value>,
}

impl FieldEdit {
    /// Reads `FIELD=JSON`.
    ///
    /// # Errors
    /// [`RepoError::BadArgument`] if there is no `=`, the field is no path, or the rest no JSON.
    pub fn parse(text: &str) -> Result<Self, RepoError> {
        let bad = |why: String| RepoError::BadArgument {
            given: text.to_owned(),
            wanted: "field assignment",
            why,
        };
        // Key values of list items hold `=` too, so the first one outside brackets divides.
        let mut depth = 0_usize;
        let divider = text.char_indices().find(|(_, c)| match c {
            '[' | '{' => {
                depth += 1;
                false
            }
            ']' | '}' => {
                depth = depth.saturating_sub(1);
                false
            }
            c => *c == '=' && depth == 0,
        });
        let (field, json) = divider
            .and_then(|(at, _)| Some((text.get(..at)?, text.get(at + 1..)?)))
            .ok_or_else(|| bad("it has no `=`".into()))?;
        let json: serde_json::Value = serde_json::from_str(json)
            .map_err(|error| bad(format!("what follows `=` is no JSON: {error}")))?;
        Ok(Self {
            field: field.parse().map_err(|error: ObjectError| bad(error.to_string()))?,
            value: Some(value_from_json(&json).map_err(|error| bad(error.to_string()))?),
        })
    }
}

/// The document that `path` means: itself, or the one beside the asset it names; the edition's for
/// the root.
///
/// # Errors
/// [`ObjectError::BadPath`] if the name gets too long.
pub fn document_path(path: &RepoPath) -> Result<RepoPath, RepoError> {
    match (path.name(), path.parent()) {
        (Some(name), Some(parent)) if !name.is_document() => {
            Ok(parent.join(&Name::new(&format!("{name}.meta.json"))?))
        }
        (Some(_), _) => Ok(path.clone()),
        (None, _) => Ok(RepoPath::new(EDITION_DOCUMENT)?),
    }
}

impl Repo {
    /// Changes fields of a document in the working copy and stages it. A document that is not there
    /// yet is made, unless the edit only removes.
    ///
    /// # Errors
    /// [`RepoError::Invalid`] if what it becomes breaks its schema, or changes what was given once;
    /// [`RepoError::BadDocument`] if what is there is none; [`RepoError::NoPath`] for the path of an
    /// asset that does not exist, [`RepoError::NoField`] for a field to remove that is not there.
    pub fn edit_fields(
        &self,
        from: &Path,
        given: &str,
        edits: &[FieldEdit],
    ) -> Result<(RepoPath, Document), RepoError> {
        let asset = self.repo_path(from, given)?;
        let path = document_path(&asset)?;
        if path != asset && !asset.is_root() && lstat(&self.disk_path(&asset))?.is_none() {
            return Err(self.no_path(&asset, "the working copy"));
        }
        let exists = lstat(&self.disk_path(&path))?.is_some();
        let mut value = if exists {
            self.read_document(&path)
                .map_err(|error| match error {
                    RepoError::Object(source) => {
                        RepoError::BadDocument { path: path.to_string(), source }
                    }
                    other => other,
                })?
                .into_value()
        } else if edits.iter().any(|edit| edit.value.is_some()) {
            Document::empty().into_value()
        } else {
            return Err(self.no_path(&path, "the working copy"));
        };
        let mut before = value.clone();
        for edit in edits {
            if edit.value.is_none() && value.get(&edit.field).is_none() {
                return Err(RepoError::NoField {
                    field: edit.field.to_string(),
                    place: path.to_string(),
                });
            }
            value.set(&edit.field, edit.value.clone())?;
        }
        let document = self.judge(&path)?.conform(Document::new(value)?)?;
        self.write_document(&path, &document)?;
        for edit in edits.iter().filter(|edit| edit.value.is_some()) {
            // As if it had not been there: what is set is the edition's own, whatever it is set to.
            before.set(&edit.field, None).unwrap_or_default();
        }
        self.note_set(&path, &before, document.value())?;
        Ok((path, document))
    }

    /// Puts a document into the working copy and stages it.
    ///
    /// # Errors
    /// [`RepoError::Invalid`] with every rule of its schema that it breaks; nothing is written then.
    pub fn write_document(&self, path: &RepoPath, document: &Document) -> Result<(), RepoError> {
        self.refuse_leaving(path)?;
        let document = self.judge(path)?.conform(document.clone())?;
        let schemas = self.schemas(&Batch::new(&self.nodes), self.state()?.staged)?;
        Sink::open(&self.root)?.under(&schemas).put_document(path, &document)?;
        self.add(&self.root, &[path.to_string()], &Silent).map(drop)
    }
}
