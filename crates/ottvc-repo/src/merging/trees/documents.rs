//! Merging what lies at one place field by field: documents under their schemas, and files of JSON.
//!
//! Which places are merged so, and what stands there otherwise, is the parent's.

use std::borrow::Cow;
use std::sync::Arc;

use ottvc_merge::layers::Unit;
use ottvc_merge::{
    EntryTerm, JsonFiles, Memory, MergeOptions, Place, Schema, Versioned, layers, merge_documents,
    merge_values,
};
use ottvc_object::conflict::{Conflict, Term, Terms};
use ottvc_object::field_path::FieldPath;
use ottvc_object::value::{Document, Value, diff};
use ottvc_object::{DocumentId, Entry, FileEntry, FileMode, RepoPath, Storable};

use super::{Sides, TreeMerge};
use crate::ingest::{Ingest, IngestOptions};
use crate::merging::{DecisionRow, NoticeRow};
use crate::probe::{PROBE, is_made, part};
use crate::scan::MAX_JSON_BYTES;
use crate::schemas::convert;
use crate::{RepoError, content};

/// The rule by which what an edition does not inherit is left out of a merge.
pub(super) const LEFT_OUT: &str = "inherit";

/// What is known of the film that a document is about.
pub(super) enum Film {
    /// Nothing: it may not be merged yet.
    NotYet,
    /// That it says nothing, or is not there.
    SaysNothing,
    /// What it says of itself.
    Says(Value),
}

/// The schemas of the terms of one place.
pub(super) struct Spoken {
    /// Those of ours, base, theirs.
    sides: [Option<Arc<Schema>>; 3],
    /// Those of the documents that sides hold, ours before theirs before base, where one is in
    /// conflict itself, so that the row of terms is not the sides.
    documents: Option<Vec<(DocumentId, Option<Arc<Schema>>)>>,
}

impl Spoken {
    pub(super) fn of(sides: [Option<Arc<Schema>>; 3], terms: [&EntryTerm; 3]) -> Self {
        if !terms.iter().any(|term| matches!(term, EntryTerm::Conflict(..))) {
            return Self { sides, documents: None };
        }
        let mut documents = Vec::new();
        let [ours, base, theirs] = &sides;
        let [our_term, base_term, their_term] = terms;
        for (term, schema) in [(our_term, ours), (their_term, theirs), (base_term, base)] {
            let ids = match term {
                EntryTerm::Absent => Vec::new(),
                EntryTerm::Entry(named) => vec![named.entry],
                EntryTerm::Conflict(_, conflict) => held(conflict),
            };
            let id = |entry| if let Entry::Document { id, .. } = entry { Some(id) } else { None };
            documents.extend(ids.into_iter().filter_map(id).map(|id| (id, schema.clone())));
        }
        Self { sides, documents: Some(documents) }
    }

    /// The schema of the term at a position of a row of terms.
    fn at(&self, position: usize, id: Option<DocumentId>) -> Option<Arc<Schema>> {
        let [ours, base, theirs] = &self.sides;
        let side = match position {
            0 => ours,
            odd if odd % 2 == 1 => base,
            _ => theirs,
        };
        let mut documents = self.documents.iter().flatten();
        match documents.find(|(known, _)| Some(*known) == id) {
            Some((_, schema)) => schema.clone(),
            None => side.clone(),
        }
    }
}

/// The entries in the terms of a conflict, those of conflicts in it too.
fn held(conflict: &Conflict<Entry>) -> Vec<Entry> {
    let terms = conflict.terms.as_slice().iter();
    terms
        .flat_map(|term| match term {
            Term::Absent => Vec::new(),
            Term::Value(entry) => vec![*entry],
            Term::Contested(inner) => held(inner),
        })
        .collect()
}

impl TreeMerge<'_> {
    /// Merges documents field by field, under the schema that their schemas settle on.
    pub(super) fn merge_documents(
        &mut self,
        path: &RepoPath,
        terms: &Terms<Option<DocumentId>>,
        place: &Place,
        spoken: &Spoken,
    ) -> Result<(), RepoError> {
        let mut versions = Vec::new();
        for (position, id) in terms.as_slice().iter().enumerate() {
            let schema = spoken.at(position, *id);
            // What was written before its schema came may have other kinds, of which nobody changed any.
            let load = |id| {
                let document = self.batch.load::<Document>(id)?;
                Ok::<_, RepoError>(convert(schema.as_deref(), document)?.into_value())
            };
            let value = id.map(load).transpose()?;
            versions.push(Versioned { value, schema });
        }
        self.merge_versions(path, Terms::new(versions)?, place, Film::NotYet)
    }

    /// [`Self::merge_documents`] of what was read. What has a field that is made of its film waits until all
    /// else is merged.
    pub(super) fn merge_versions(
        &mut self,
        path: &RepoPath,
        terms: Terms<Versioned>,
        place: &Place,
        film: Film,
    ) -> Result<(), RepoError> {
        let (mut merged, mut schema) = merge_documents(&terms, self.options, path)?;
        let made = merged.value.as_ref().map(|value| to_be_made(value, &terms)).unwrap_or_default();
        let waits = matches!(film, Film::NotYet) && !made.is_empty() && self.options.decisions;
        match film {
            Film::Says(film) => {
                let make = move |_: &Value, field: &FieldPath| {
                    made.contains(field).then(|| part(&film, field)).flatten()
                };
                let functions = self.options.functions.clone().with_derived(PROBE, make);
                let options = MergeOptions { functions, ..self.options.clone() };
                (merged, schema) = merge_documents(&terms, &options, path)?;
            }
            Film::NotYet | Film::SaysNothing => {}
        }
        if waits {
            // Until then it has its place as it is, which others may dispute.
            self.waiting.push((path.clone(), terms, place.clone()));
        } else {
            let name = schema.as_ref().map(|schema| schema.full_name());
            let decisions = merged.decisions.iter().map(|it| DecisionRow::of_field(path, it));
            self.decisions.extend(decisions.map(|row| DecisionRow { schema: name.clone(), ..row }));
            if let Some(schema) = &schema {
                let notices = merged.notices.into_iter().map(|it| NoticeRow::of(path, schema, it));
                self.notices.extend(notices);
            }
        }
        match merged.value {
            None => {
                self.put(path.clone(), None);
                Ok(())
            }
            Some(value) => {
                let object = Document::new(value)?.to_object()?;
                let len = object.bytes().len() as u64;
                let id = object.id().into();
                self.batch.put(object);
                self.put_entry(path, place, Entry::Document { id, len });
                Ok(())
            }
        }
    }

    /// Merges a document that two editions have, of which one inherits: what its schema says is `inherit:
    /// never` or `at_create` stays as it is in ours. `false` where it says so of nothing, or the sides are
    /// not one document under one schema; nothing is merged then.
    pub(super) fn merge_kept(&mut self, path: &RepoPath, sides: &Sides) -> Result<bool, RepoError> {
        let [Some((at, ours)), base, Some((other, theirs))] = sides else { return Ok(false) };
        let [our_schemas, _, their_schemas] = &self.schemas;
        let Some(schema) = our_schemas.of(at).cloned() else { return Ok(false) };
        let one = at == other
            && ours.former == theirs.former
            && their_schemas.of(other).is_some_and(|it| it.id() == schema.id());
        let id = |entry: &Entry| match entry {
            Entry::Document { id, .. } => Some(*id),
            _ => None,
        };
        let (true, Some(our_id), Some(their_id)) = (one, id(&ours.entry), id(&theirs.entry)) else {
            return Ok(false);
        };
        let load = |id| -> Result<Value, RepoError> {
            Ok(schema.convert(self.batch.load::<Document>(id)?.value()))
        };
        let base = match base.as_ref().map(|(_, named)| id(&named.entry)) {
            None => None,
            Some(None) => return Ok(false),
            Some(Some(id)) => Some(load(id)?),
        };
        let (mine, other) = (load(our_id)?, load(their_id)?);
        let flows = match layers::inherited(Some(&schema), Some(&mine)) {
            // The schema holds nothing back.
            Some(Cow::Borrowed(_)) => return Ok(false),
            flows => flows.map(Cow::into_owned),
        };
        let flowing = |it: &Value| layers::inherited(Some(&schema), Some(it)).map(Cow::into_owned);
        let terms = Terms::three(flows.clone(), base.as_ref().and_then(flowing), flowing(&other));
        let options = MergeOptions { schema: Some(Arc::clone(&schema)), ..self.options.clone() };
        let merged = merge_values(&terms, &options, path)?;
        let own = layers::record(Some(&schema), None, flows.as_ref(), Some(&mine), flows.as_ref());
        let value = layers::overlay(Some(&schema), merged.value.as_ref(), own.as_ref());
        // What is ours alone must not cover a disagreement.
        let Some(value) = value.filter(|it| it.conflicts().len() == merged.conflicts.len()) else {
            return Ok(false);
        };
        let name = Some(schema.full_name());
        let decisions = merged.decisions.iter().map(|it| DecisionRow::of_field(path, it));
        self.decisions.extend(decisions.map(|row| DecisionRow { schema: name.clone(), ..row }));
        let notices = merged.notices.into_iter().map(|it| NoticeRow::of(path, &schema, it));
        self.notices.extend(notices);
        let base = base.unwrap_or_else(|| Document::empty().into_value());
        let left_out = left_out(&mine, (&base, flowing(&base)), (&other, flowing(&other)));
        self.notices.extend(left_out.into_iter().map(|(field, theirs)| NoticeRow {
            path: path.to_string(),
            field: field.to_string(),
            schema: schema.full_name(),
            rule: LEFT_OUT,
            value: NoticeRow::shown(&theirs),
            why: "each edition has its own: what theirs has is left out".to_owned(),
        }));
        let mut named = ours.clone();
        if value != mine {
            let object = Document::new(value)?.to_object()?;
            let len = object.bytes().len() as u64;
            named.entry = Entry::Document { id: object.id().into(), len };
            self.batch.put(object);
        }
        self.put(path.clone(), Some(named));
        Ok(true)
    }

    /// Merges JSON files by structure, and says what rules decided in them; `None` if one is no JSON, the sides
    /// disagree in it, or together they are too long.
    pub(super) fn merge_structured(
        &self,
        path: &RepoPath,
        terms: &Terms<Option<FileEntry>>,
        mode: FileMode,
    ) -> Result<Option<(Entry, Vec<DecisionRow>)>, RepoError> {
        let mut texts = Vec::new();
        for file in terms.as_slice() {
            match file.map(|file| self.read_json(file)).transpose()? {
                Some(None) => return Ok(None),
                text => texts.push(text.flatten()),
            }
        }
        let Ok(files) = JsonFiles::read(texts, None) else { return Ok(None) };
        // What was settled in documents says nothing about the fields of a file.
        let options = MergeOptions { memory: Memory::default(), ..self.options.clone() };
        let merged = files.merge(&options, path)?;
        let Some(value) = merged.value.filter(|_| merged.conflicts.is_empty()) else {
            return Ok(None);
        };
        let decisions = merged.decisions.iter().map(|it| DecisionRow::of_field(path, it)).collect();
        let Ok(text) = files.write(Some(&value)) else { return Ok(None) };
        let mut writer = self.repo.objects.writer()?;
        let options = IngestOptions { rule: self.repo.rule, tracks: None, jobs: 1 };
        let done = Ingest::new(&*self.repo.objects, &mut *writer, options)
            .file(text.as_slice(), &|_| {})?;
        writer.finish()?;
        let entry = Entry::File(FileEntry { content: done.content, len: done.len, mode });
        Ok(Some((entry, decisions)))
    }

    /// The bytes of a file that is to be merged by structure; `None` if it is too long.
    fn read_json(&self, file: FileEntry) -> Result<Option<Vec<u8>>, RepoError> {
        if file.len > MAX_JSON_BYTES {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        content::open(&*self.repo.objects, file.content)?.write_to(&mut bytes)?;
        Ok(Some(bytes))
    }
}

/// What theirs changed of a base that is not inherited, and that ours has otherwise: each field, and what theirs
/// has there. Beside base and theirs stands what is inherited of them. That theirs has nothing is no change: so it
/// was made.
fn left_out(
    ours: &Value,
    (base, base_flows): (&Value, Option<Value>),
    (theirs, their_flows): (&Value, Option<Value>),
) -> Vec<(FieldPath, Value)> {
    // Orders of lists are looked up, too, which are no values of their own.
    let at = |document: Option<&Value>, path: &FieldPath| {
        let unit = Unit { path: path.clone(), members: Vec::new(), old: None, new: None };
        unit.of(document)
    };
    let changes = diff(Some(base), Some(theirs)).into_iter();
    changes
        .filter(|it| at(base_flows.as_ref(), &it.field) == at(their_flows.as_ref(), &it.field))
        .filter(|it| at(Some(ours), &it.field) != at(Some(theirs), &it.field))
        .filter_map(|change| Some((change.field, change.new?)))
        .collect()
}

/// The fields that sides disagree about, and that are to be made of the film.
fn to_be_made(merged: &Value, terms: &Terms<Versioned>) -> Vec<FieldPath> {
    let policy = format!("derived({PROBE})");
    let made = merged.conflicts().into_iter().filter(|(_, conflict)| conflict.policy == policy);
    made.map(|(path, _)| path).filter(|path| is_made(terms, path)).collect()
}
