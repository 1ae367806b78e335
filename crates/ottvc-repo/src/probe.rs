//! What a media file says of itself: the fields that a schema derives with `probe`.
//!
//! They are made of the file's bytes and of nothing else, so that every machine makes the same of it,
//! however its store keeps the file.

use ottvc_merge::Versioned;
use ottvc_object::conflict::Terms;
use ottvc_object::field_path::{FieldPath, Segment};
use ottvc_object::tree::{for_each, lookup_path};
use ottvc_object::value::{Document, Value};
use ottvc_object::{ContentId, Entry, FileEntry, NamedEntry, RepoPath, TreeId};
use ottvc_store::ObjectStore;

use crate::content;
use crate::meta::{EDITION_DOCUMENT, FieldEdit, document_path};
use crate::nodes::Batch;
use crate::{Repo, RepoError};

/// The name of the function, as schemas give it: `merge: derived(probe)`.
pub(crate) const PROBE: &str = "probe";
/// The members of what it makes.
const MEMBERS: [&str; 3] = ["bytes", "container", "tracks"];
/// The field that a document has it in, unless somebody says another.
const FIELD: &str = "technical";
/// Among more files than that nobody looks for the one film of an edition.
const MAX_FILES: usize = 64;

/// The part of what a film says of itself that belongs into a field: the member it is named after, else all.
pub(crate) fn part(technical: &Value, field: &FieldPath) -> Option<Value> {
    let Value::Map(members) = technical else { return None };
    match field.0.last() {
        Some(Segment::Key(key)) if MEMBERS.contains(&key.as_str()) => members.get(key).cloned(),
        _ => Some(technical.clone()),
    }
}

/// Whether nothing stands in this field of any document but what the function makes of some film: what
/// others have put there is not for it to replace.
pub(crate) fn is_made(terms: &Terms<Versioned>, field: &FieldPath) -> bool {
    let named =
        matches!(field.0.last(), Some(Segment::Key(key)) if MEMBERS.contains(&key.as_str()));
    let mut values = terms.as_slice().iter().filter_map(|term| term.value.as_ref()?.get(field));
    values.all(|value| match value {
        Value::Map(members) => {
            named || members.keys().all(|member| MEMBERS.contains(&member.as_str()))
        }
        Value::Conflict(_) => false,
        _ => named,
    })
}

/// What a stored file says of itself; `None` if it is of no kind that has tracks.
fn technical(store: &dyn ObjectStore, content: ContentId) -> Result<Option<Value>, RepoError> {
    let file = content::open(store, content)?;
    let Some((container, streams)) = content::probe(&file)? else { return Ok(None) };
    let tracks = streams.iter().map(|stream| {
        let words = [("codec", &stream.codec), ("language", &stream.language)];
        let known = words.into_iter().filter(|(_, word)| !word.is_empty());
        let known = known.map(|(name, word)| (name, Value::from(word.as_str())));
        Value::map(known.chain([("kind", Value::from(stream.role))]))
    });
    Ok(Some(Value::map([
        ("bytes", Value::Int(i64::try_from(file.len()).unwrap_or(i64::MAX))),
        ("container", Value::from(container)),
        ("tracks", Value::Array(tracks.collect())),
    ])))
}

impl Repo {
    /// What the film that a document is about says of itself: the file beside the document, or for an edition's the one
    /// file of its folder that has tracks. `None` if there is none, or more than one.
    pub(crate) fn probe_in(
        &self,
        batch: &Batch<'_>,
        tree: TreeId,
        document: &RepoPath,
    ) -> Result<Option<Value>, RepoError> {
        let mut found = None;
        for file in self.films_of(batch, tree, document)? {
            match technical(&*self.objects, file.content)? {
                Some(_) if found.is_some() => return Ok(None),
                Some(technical) => found = Some(technical),
                None => {}
            }
        }
        Ok(found)
    }

    /// The files that a document may be about.
    fn films_of(
        &self,
        batch: &Batch<'_>,
        tree: TreeId,
        document: &RepoPath,
    ) -> Result<Vec<FileEntry>, RepoError> {
        let (Some(name), Some(folder)) = (document.name(), document.parent()) else {
            return Ok(Vec::new());
        };
        let file = |named: &NamedEntry| match named.entry {
            Entry::File(file) => Some(file),
            _ => None,
        };
        if name.as_str() != EDITION_DOCUMENT {
            let asset = name.as_str().strip_suffix(".meta.json").unwrap_or_default();
            let asset = folder.join(&ottvc_object::Name::new(asset)?);
            return Ok(lookup_path(batch, tree, &asset)?.iter().filter_map(file).collect());
        }
        let folder = match folder.is_root() {
            true => Some(tree),
            false => lookup_path(batch, tree, &folder)?.and_then(|named| match named.entry {
                Entry::Tree { id, .. } => Some(id),
                _ => None,
            }),
        };
        let (Some(folder), mut files) = (folder, Vec::new()) else { return Ok(Vec::new()) };
        for_each(batch, folder, &mut |named| {
            files.extend(file(named));
            Ok::<(), RepoError>(())
        })?;
        if files.len() > MAX_FILES { Ok(Vec::new()) } else { Ok(files) }
    }

    /// Puts what a staged film says of itself into its document, at `/technical` unless `field` is another, and
    /// stages it. `given` is the document, or the film.
    ///
    /// # Errors
    /// [`RepoError::NoFilm`] if there is no file with tracks that the document is about, or more than one; and as
    /// [`Repo::edit_fields`].
    pub fn probe(
        &self,
        from: &std::path::Path,
        given: &str,
        field: Option<FieldPath>,
    ) -> Result<(RepoPath, Document, FieldEdit), RepoError> {
        let document = document_path(&self.repo_path(from, given)?)?;
        let batch = Batch::new(&self.nodes);
        let technical = self.probe_in(&batch, self.state()?.staged, &document)?;
        let field = field.unwrap_or_else(|| FieldPath(vec![Segment::Key(FIELD.to_owned())]));
        let value = technical.and_then(|it| part(&it, &field));
        let value = value.ok_or_else(|| RepoError::NoFilm { path: document.to_string() })?;
        let edit = FieldEdit { field, value: Some(value) };
        let (path, document) = self.edit_fields(from, given, std::slice::from_ref(&edit))?;
        Ok((path, document, edit))
    }
}
