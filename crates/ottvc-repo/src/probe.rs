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
use crate::derived::NoFilm;
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
pub(crate) const MAX_FILES: usize = 64;

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
    let mut values = terms.as_slice().iter().filter_map(|term| term.value.as_ref()?.get(field));
    values.all(|value| may_be_made(value, field))
}

/// Whether a value holds nothing that the function does not make.
pub(crate) fn may_be_made(value: &Value, field: &FieldPath) -> bool {
    let named =
        matches!(field.0.last(), Some(Segment::Key(key)) if MEMBERS.contains(&key.as_str()));
    match value {
        Value::Map(members) => {
            named || members.keys().all(|member| MEMBERS.contains(&member.as_str()))
        }
        Value::Conflict(_) => false,
        _ => named,
    }
}

/// The field that has it unless somebody says another.
pub(crate) fn usual_field() -> FieldPath {
    FieldPath(vec![Segment::Key(FIELD.to_owned())])
}

/// A film, and what it says of itself.
#[derive(Debug)]
pub(crate) struct Film {
    pub(crate) path: RepoPath,
    pub(crate) content: ContentId,
    pub(crate) says: Value,
}

/// What a document may be about.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Films {
    files: Vec<(RepoPath, FileEntry)>,
    /// One that is in conflict, so that nobody knows yet what it is.
    disputed: Option<RepoPath>,
    /// Whether there are so many that none is looked at.
    too_many: bool,
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
    /// The film that a document is about: the file beside the document, or for an edition's the one file of its
    /// folder that has tracks. `None` if there is none, or more than one, or it is in conflict.
    pub(crate) fn film_of(
        &self,
        batch: &Batch<'_>,
        tree: TreeId,
        document: &RepoPath,
    ) -> Result<Option<Film>, RepoError> {
        let films = self.films_of(batch, tree, document)?;
        if films.disputed.is_some() {
            return Ok(None);
        }
        let mut found = None;
        for (path, FileEntry { content, .. }) in films.files {
            match technical(&*self.objects, content)? {
                Some(_) if found.is_some() => return Ok(None),
                Some(says) => found = Some(Film { path, content, says }),
                None => {}
            }
        }
        Ok(found)
    }

    /// The files that a document may be about.
    pub(crate) fn films_of(
        &self,
        batch: &Batch<'_>,
        tree: TreeId,
        document: &RepoPath,
    ) -> Result<Films, RepoError> {
        let mut films = Films::default();
        let (Some(name), Some(folder)) = (document.name(), document.parent()) else {
            return Ok(films);
        };
        let mut meet = |named: &NamedEntry| {
            let path = folder.join(&named.name);
            match named.entry {
                Entry::File(file) => films.files.push((path, file)),
                Entry::Conflict(_) if !named.name.is_document() => films.disputed = Some(path),
                _ => {}
            }
        };
        if name.as_str() != EDITION_DOCUMENT {
            let asset = name.as_str().strip_suffix(".meta.json").unwrap_or_default();
            let asset = folder.join(&ottvc_object::Name::new(asset)?);
            lookup_path(batch, tree, &asset)?.iter().for_each(meet);
            return Ok(films);
        }
        let root = match folder.is_root() {
            true => Some(tree),
            false => lookup_path(batch, tree, &folder)?.and_then(|named| match named.entry {
                Entry::Tree { id, .. } => Some(id),
                _ => None,
            }),
        };
        let Some(root) = root else { return Ok(films) };
        for_each(batch, root, &mut |named| {
            meet(named);
            Ok::<(), RepoError>(())
        })?;
        if films.files.len() > MAX_FILES {
            films.files.clear();
            films.too_many = true;
        }
        Ok(films)
    }

    /// What there is where [`Repo::film_of`] finds no film.
    fn instead_of_film(&self, films: Films) -> Result<NoFilm, RepoError> {
        if let Some(path) = films.disputed {
            return Ok(NoFilm::Disputed(path.to_string()));
        }
        let mut found = Vec::new();
        for (path, FileEntry { content, .. }) in films.files {
            if technical(&*self.objects, content)?.is_some() {
                found.push(path.to_string());
            }
        }
        Ok(match found.is_empty() {
            _ if films.too_many => NoFilm::TooManyFiles,
            true => NoFilm::Nothing,
            false => NoFilm::Several(found),
        })
    }

    /// Puts what a staged film says of itself into its document, at `/technical` unless `field` is another, and
    /// stages it. `given` is the document, or the film. Beside what others have put into that field only the
    /// members that films say are replaced: each is an edit then.
    ///
    /// # Errors
    /// [`RepoError::NoFilm`] if there is no file with tracks that the document is about, or more than one, or one
    /// that is in conflict; and as [`Repo::edit_fields`].
    pub fn probe(
        &self,
        from: &std::path::Path,
        given: &str,
        field: Option<FieldPath>,
    ) -> Result<(RepoPath, Document, Vec<FieldEdit>), RepoError> {
        let document = document_path(&self.repo_path(from, given)?)?;
        let batch = Batch::new(&self.nodes);
        let staged = self.state()?.staged;
        let film = self.film_of(&batch, staged, &document)?;
        let field = field.unwrap_or_else(usual_field);
        let Some(value) = film.and_then(|it| part(&it.says, &field)) else {
            let why = self.instead_of_film(self.films_of(&batch, staged, &document)?)?;
            return Err(RepoError::NoFilm { path: document.to_string(), why });
        };
        // One that cannot be read is told of where it is edited.
        let had = self.read_document(&document).ok();
        let had = had.as_ref().and_then(|document| document.value().get(&field));
        let edits = match (value, had) {
            (Value::Map(made), Some(had @ Value::Map(_))) if !may_be_made(had, &field) => {
                let members = made.into_iter();
                members
                    .map(|(name, value)| FieldEdit { field: field.key(name), value: Some(value) })
                    .collect()
            }
            (value, _) => vec![FieldEdit { field, value: Some(value) }],
        };
        let (path, document) = self.edit_fields(from, given, &edits)?;
        Ok((path, document, edits))
    }
}
