//! Fields that are made of films, where the film is another than the one they were made of.
//!
//! No document says which film that was. It is the one that lay with the field's value where that value first
//! was: in the base of a merge, if the base has it, else on the side that has it; of a value that no commit has,
//! what was staged with it ([`noted`]). So a value that somebody put right by hand stays as long as its film does,
//! and what is looked at is what changed and no more.

mod noted;

use std::collections::BTreeSet;
use std::sync::Arc;

use ottvc_merge::Schema;
use ottvc_merge::schema::Policy;
use ottvc_object::conflict::{Conflict, Term};
use ottvc_object::field_path::FieldPath;
use ottvc_object::tree::{EMPTY_TREE, PathEdit, diff_paths, lookup_path};
use ottvc_object::value::{Document, Value, value_to_json};
use ottvc_object::{CommitId, ContentId, Entry, Name, NamedEntry, RepoPath, Storable, TreeId};
use serde::Serialize;

use crate::merging::{DecisionRow, NoticeRow};
use crate::meta::{EDITION_DOCUMENT, document_path};
use crate::nodes::Batch;
use crate::probe::{Film, MAX_FILES, PROBE, may_be_made, part, usual_field};
use crate::schemas::convert;
use crate::stage::Edits;
use crate::workspace::State;
use crate::{Repo, RepoError};
pub(crate) use noted::Noted;

/// The rule of notices about fields that tell of another film and stay.
pub(crate) const OTHER_FILM: &str = "merge";

/// A field that tells of a film, and not of the one that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FilmRow {
    /// The document.
    pub path: String,
    /// The field.
    pub field: String,
    /// The film that is there.
    pub film: String,
}

/// What there is instead of the one film that a document could tell of. As text it goes on after the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoFilm {
    /// No staged file that has tracks.
    Nothing,
    /// This file, which is in conflict.
    Disputed(String),
    /// These, which all have tracks.
    Several(Vec<String>),
    /// More files than are looked through.
    TooManyFiles,
}

impl std::fmt::Display for NoFilm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nothing | Self::Disputed(_) => f.write_str("has no film to tell of"),
            Self::Several(films) => {
                let count = films.len();
                write!(f, "tells of one film, and there are {count} in its folder: ")?;
                let mut names = films.iter();
                names.next().map_or(Ok(()), |name| write!(f, "`{name}`"))?;
                names.try_for_each(|name| write!(f, ", `{name}`"))
            }
            Self::TooManyFiles => {
                write!(f, "tells of one film, and its folder has over {MAX_FILES} files")
            }
        }
    }
}

/// What was made again.
#[derive(Debug, Default)]
pub(crate) struct Again {
    /// The documents it is in.
    pub(crate) edits: Edits,
    /// Each field.
    pub(crate) made: Vec<FilmRow>,
    /// The same, with what the sides had.
    pub(crate) decisions: Vec<DecisionRow>,
    /// Fields that hold what no film says: they stay.
    pub(crate) kept: Vec<NoticeRow>,
}

/// A document with fields that were made of another film.
#[derive(Debug)]
struct Outdated {
    path: RepoPath,
    named: NamedEntry,
    schema: Option<Arc<Schema>>,
    document: Value,
    film: Film,
    fields: Vec<FieldPath>,
    /// Those of them that hold what somebody put there, as it is not what the film they lay with says.
    typed: Vec<FieldPath>,
    /// What ours, base and theirs have, each where it lies there.
    sides: [Option<(RepoPath, Value)>; 3],
}

impl Outdated {
    fn rows(&self) -> impl Iterator<Item = FilmRow> {
        self.fields.iter().map(|field| FilmRow {
            path: self.path.to_string(),
            field: field.to_string(),
            film: self.film.path.to_string(),
        })
    }

    fn decision(&self, schema: &Schema, field: &FieldPath) -> DecisionRow {
        let [ours, base, theirs] = &self.sides;
        let shown = |side: &Option<(RepoPath, Value)>| {
            let value = side.as_ref().and_then(|(_, document)| document.get(field));
            value.map_or(serde_json::Value::Null, value_to_json)
        };
        DecisionRow {
            path: self.path.to_string(),
            field: Some(field.to_string()),
            schema: Some(schema.full_name()),
            rule: format!("derived({PROBE})"),
            chosen: "merged",
            ours: shown(ours),
            base: shown(base),
            theirs: shown(theirs),
        }
    }
}

/// The documents that may be about what lies at these paths, and those among them.
fn documents_about(paths: &[RepoPath]) -> Result<BTreeSet<RepoPath>, RepoError> {
    let edition = Name::new(EDITION_DOCUMENT)?;
    let mut documents = BTreeSet::new();
    for path in paths {
        match path.name() {
            Some(name) if !name.is_document() => {
                documents.extend(path.parent().map(|folder| folder.join(&edition)));
                // The longest names leave no room for a document beside them.
                documents.extend(document_path(path).ok());
            }
            _ => drop(documents.insert(path.clone())),
        }
    }
    Ok(documents)
}

/// Whether a schema has fields that are made of films.
fn derives(schema: &Schema) -> bool {
    let made = |policy: &Policy| matches!(policy, Policy::Derived(name) if name == PROBE);
    schema.fields().iter().any(|field| field.merge.as_ref().is_some_and(made))
}

/// The fields of a document that are made of its film; without a schema, the one that `meta probe` fills.
fn made_fields(schema: Option<&Schema>, document: &Value) -> Vec<FieldPath> {
    match schema {
        Some(schema) => schema.derived_in(document, PROBE),
        None => {
            let field = usual_field();
            let made = document.get(&field).is_some_and(|value| may_be_made(value, &field));
            if made { vec![field] } else { Vec::new() }
        }
    }
}

/// Whether a conflict is between what the function made of films, and no more.
fn is_between_films(conflict: &Conflict<Value>, field: &FieldPath) -> bool {
    let made = |term: &Term<Value>| match term {
        Term::Absent => true,
        Term::Value(value) => may_be_made(value, field),
        Term::Contested(_) => false,
    };
    conflict.policy == format!("derived({PROBE})") && conflict.terms.as_slice().iter().all(made)
}

impl Repo {
    /// The paths that `tree` has otherwise than `before`, as they are called in `tree` where they are there.
    pub(crate) fn changed_paths(
        &self,
        batch: &Batch<'_>,
        before: TreeId,
        tree: TreeId,
    ) -> Result<Vec<RepoPath>, RepoError> {
        let mut paths = Vec::new();
        diff_paths(batch, before, tree, &mut |change| {
            paths.push(change.new.map_or(change.path, |(path, _)| path));
            Ok::<(), RepoError>(())
        })?;
        Ok(paths)
    }

    /// Ours, base and theirs of the merge that waits, or of the commit that holds the conflicts which are left;
    /// `None` if neither is a merge.
    pub(crate) fn sides_merged(
        &self,
        state: &State,
        head: Option<CommitId>,
    ) -> Result<Option<[TreeId; 3]>, RepoError> {
        let tree = |id| Ok::<TreeId, RepoError>(self.commit(id)?.tree);
        let base = |bases: &[CommitId]| bases.first().map_or(Ok(EMPTY_TREE), |id| tree(*id));
        if let Some(merging) = &state.merging {
            let sides = [tree(merging.ours)?, base(&merging.bases)?, tree(merging.theirs)?];
            return Ok(Some(sides));
        }
        let Some(commit) = head.map(|id| self.commit(id)).transpose()? else { return Ok(None) };
        match (commit.merge, commit.parents.as_slice()) {
            (Some(merge), [ours, theirs]) => {
                Ok(Some([tree(*ours)?, base(&merge.bases)?, tree(*theirs)?]))
            }
            _ => Ok(None),
        }
    }

    /// Makes fields of `tree` again whose film is another than the one they were made of, as far as what lies
    /// at the `changed` paths is concerned. `sides` are ours, base and theirs.
    pub(crate) fn make_again(
        &self,
        batch: &Batch<'_>,
        sides: [TreeId; 3],
        tree: TreeId,
        (changed, noted): (&[RepoPath], &Noted),
    ) -> Result<Again, RepoError> {
        let mut again = Again::default();
        for outdated in self.outdated(batch, sides, tree, (changed, noted))? {
            let Some(schema) = &outdated.schema else { continue };
            let mut value = outdated.document.clone();
            let mut decisions = Vec::new();
            let mut made = Vec::new();
            for (field, row) in outdated.fields.iter().zip(outdated.rows()) {
                let Some(had) = outdated.document.get(field) else { continue };
                let free = match had {
                    Value::Conflict(conflict) => is_between_films(conflict, field),
                    had => may_be_made(had, field) && !outdated.typed.contains(field),
                };
                if !free {
                    let film = &outdated.film.path;
                    again.kept.push(NoticeRow {
                        path: row.path,
                        field: row.field,
                        schema: schema.full_name(),
                        rule: OTHER_FILM,
                        value: NoticeRow::shown(had),
                        why: format!(
                            "it tells of another film than {film}, and holds what no film says"
                        ),
                    });
                    continue;
                }
                value.set(field, part(&outdated.film.says, field))?;
                decisions.push(outdated.decision(schema, field));
                made.push(row);
            }
            let document = convert(Some(schema), Document::new(value)?)?;
            if *document.value() == outdated.document {
                continue;
            }
            let object = document.to_object()?;
            let len = object.bytes().len() as u64;
            let entry = Entry::Document { id: object.id().into(), len };
            batch.put(object);
            let new = Some(NamedEntry { entry, ..outdated.named.clone() });
            again.edits.insert(outdated.path.key(), PathEdit { path: outdated.path.clone(), new });
            again.decisions.extend(decisions);
            again.made.extend(made);
        }
        Ok(again)
    }

    /// The fields of a tree which tell of another film than the one that is there, as far as it differs from ours.
    pub(crate) fn stale_films(
        &self,
        batch: &Batch<'_>,
        sides: [TreeId; 3],
        tree: TreeId,
        noted: &Noted,
    ) -> Result<Vec<FilmRow>, RepoError> {
        let [before, ..] = sides;
        let changed = self.changed_paths(batch, before, tree)?;
        let mut rows = Vec::new();
        for outdated in self.outdated(batch, sides, tree, (&changed, noted))? {
            let disputed = |field: &FieldPath| {
                matches!(outdated.document.get(field), Some(Value::Conflict(_)))
            };
            let told = outdated.rows().zip(&outdated.fields);
            rows.extend(told.filter(|(_, field)| !disputed(field)).map(|(row, _)| row));
        }
        Ok(rows)
    }

    fn outdated(
        &self,
        batch: &Batch<'_>,
        trees: [TreeId; 3],
        tree: TreeId,
        (changed, noted): (&[RepoPath], &Noted),
    ) -> Result<Vec<Outdated>, RepoError> {
        let schemas = self.schemas_for_reading(batch, tree)?;
        let mut found = Vec::new();
        for path in documents_about(changed)? {
            let Some(named) = lookup_path(batch, tree, &path)? else { continue };
            let Entry::Document { id, .. } = named.entry else { continue };
            let schema = schemas.of(&path).cloned();
            if schema.as_deref().is_some_and(|schema| !derives(schema)) {
                continue;
            }
            let document = convert(schema.as_deref(), batch.load::<Document>(id)?)?.into_value();
            let fields = made_fields(schema.as_deref(), &document);
            if fields.is_empty() {
                continue;
            }
            // Of most of these that is all: what they are about is the same everywhere.
            let here = self.films_of(batch, tree, &path)?;
            let mut same = Vec::new();
            for tree in trees {
                same.push(self.films_of(batch, tree, &path)? == here);
            }
            let paths = || std::iter::once(&path).chain(&named.former);
            if same.iter().all(|same| *same) && !noted.knows(paths()) {
                continue;
            }
            let Some(film) = self.readable_film(batch, tree, &path)? else { continue };
            let mut sides: Vec<Option<(RepoPath, Value)>> = Vec::new();
            let mut films = Vec::new();
            for (place, (tree, same)) in trees.into_iter().zip(same).enumerate() {
                // Outside of a merge the sides are one.
                if let Some(known) = trees.iter().take(place).position(|other| *other == tree) {
                    films.push(films.get(known).copied().flatten());
                    sides.push(sides.get(known).cloned().flatten());
                    continue;
                }
                let side = self.stood(batch, tree, &path, &named, schema.as_deref())?;
                films.push(match &side {
                    Some((at, _)) if same && *at == path => Some(film.content),
                    Some((at, _)) => self.readable_film(batch, tree, at)?.map(|film| film.content),
                    None => None,
                });
                sides.push(side);
            }
            let [ours, base, theirs] = [0, 1, 2].map(|at| sides.get(at).cloned().flatten());
            let sides = [ours, base, theirs];
            let (mut old, mut typed) = (Vec::new(), Vec::new());
            for field in fields {
                let value = document.get(&field);
                // What the film says already needs no making.
                if value == part(&film.says, &field).as_ref() {
                    continue;
                }
                if let Some(Value::Conflict(conflict)) = value {
                    old.extend(is_between_films(conflict, &field).then_some(field));
                    continue;
                }
                let has = |side: &Option<(RepoPath, Value)>| {
                    side.as_ref().is_some_and(|(_, document)| document.get(&field) == value)
                };
                let [ours, base, theirs] = sides.each_ref().map(has);
                let of = |at: usize| films.get(at).copied().flatten();
                let mut was: Vec<Option<ContentId>> = match base {
                    true => vec![of(1)],
                    false => [(ours, 0), (theirs, 2)]
                        .into_iter()
                        .filter(|(has, _)| *has)
                        .map(|(_, at)| of(at))
                        .collect(),
                };
                // Where a commit has it without any film, that came later, too.
                let film_came_later = was.iter().all(Option::is_none);
                if let (true, Some(value)) = (film_came_later, value)
                    && let Some((lay_with, said)) = noted.film(paths(), &field, value)?
                {
                    was = vec![Some(lay_with)];
                    if !said {
                        typed.push(field.clone());
                    }
                }
                if !was.is_empty() && was.iter().all(|it| it.is_some_and(|it| it != film.content)) {
                    old.push(field);
                }
            }
            if !old.is_empty() {
                found.push(Outdated {
                    path,
                    named,
                    schema,
                    document,
                    film,
                    fields: old,
                    typed,
                    sides,
                });
            }
        }
        Ok(found)
    }

    /// The film that a document is about. One that cannot be read is none here: it stops nothing, and `verify`
    /// tells of it.
    fn readable_film(
        &self,
        batch: &Batch<'_>,
        tree: TreeId,
        document: &RepoPath,
    ) -> Result<Option<Film>, RepoError> {
        match self.film_of(batch, tree, document) {
            Err(RepoError::Content(_) | RepoError::Store(_)) => Ok(None),
            film => film,
        }
    }

    /// The document that stood at `path` in a tree, or where the entry was before it was renamed, and where.
    fn stood(
        &self,
        batch: &Batch<'_>,
        tree: TreeId,
        path: &RepoPath,
        named: &NamedEntry,
        schema: Option<&Schema>,
    ) -> Result<Option<(RepoPath, Value)>, RepoError> {
        for path in std::iter::once(path).chain(&named.former) {
            if let Some(Entry::Document { id, .. }) =
                lookup_path(batch, tree, path)?.map(|named| named.entry)
            {
                let document = convert(schema, batch.load::<Document>(id)?)?;
                return Ok(Some((path.clone(), document.into_value())));
            }
        }
        Ok(None)
    }
}
