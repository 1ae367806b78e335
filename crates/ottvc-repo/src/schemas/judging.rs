//! What may be written: documents against their schemas, and against what was given once (`immutable`).
//!
//! A commit judges the documents it changes, a command that writes one document what it breaks anew. Of a
//! merge only what the parents did not break is told ([`Known`]): nobody did the rest just now.

use std::sync::Arc;

use ottvc_merge::Schema;
use ottvc_merge::schema::{
    Broken, Finding, Known, MAX_FINDINGS, validate, validate_change, validate_change_since,
    validate_merge, validate_since,
};
use ottvc_object::tree::{EMPTY_TREE, PathEdit, diff_paths, lookup_path};
use ottvc_object::value::{Document, Value};
use ottvc_object::{DocumentId, Entry, Name, NamedEntry, RepoPath, Storable, TreeId};
use serde::Serialize;

use super::{Found, convert};
use crate::nodes::Batch;
use crate::scan::{lstat, read_json};
use crate::stage::Edits;
use crate::workspace::State;
use crate::{Repo, RepoError, parallel};

/// Refuses what breaks a rule.
pub(crate) fn refuse(mut findings: Vec<Found>) -> Result<(), RepoError> {
    findings.truncate(MAX_FINDINGS);
    if findings.is_empty() { Ok(()) } else { Err(RepoError::Invalid { findings }) }
}

/// Judges what is to be written at one path of the working copy.
#[derive(Clone, Debug)]
pub struct Judge {
    path: RepoPath,
    schema: Option<Arc<Schema>>,
    /// What the last commit has there.
    head: Option<Value>,
    /// What the bases of an unfinished merge have there.
    bases: Option<Vec<Value>>,
    /// What the document that lies there breaks already.
    known: Broken,
}

impl Judge {
    /// The schema that is staged for the document.
    pub fn schema(&self) -> Option<&Arc<Schema>> {
        self.schema.as_ref()
    }

    /// The document as it may be written: converted to its schema, and with nothing in it that breaks a
    /// rule or changes what was given once. What the document that lies there broke already is passed over:
    /// one thing can be mended before another. A field that breaks a rule with another value now is told.
    ///
    /// # Errors
    /// [`RepoError::Invalid`] with every rule that is newly broken.
    pub fn conform(&self, document: Document) -> Result<Document, RepoError> {
        let Some(schema) = &self.schema else { return Ok(document) };
        let document = convert(Some(schema), document)?;
        let mut known = Known::by_writing(self.known.clone());
        let mut found = validate_since(document.value(), schema, &mut known);
        if let Some(head) = &self.head {
            let (bases, value) = (self.bases.as_deref(), document.value());
            found.extend(validate_change_since(head, bases, value, schema, &mut known));
        }
        let told = found.into_iter().map(|finding| Found::of(&self.path, schema, finding));
        refuse(told.collect())?;
        Ok(document)
    }

    /// Everything that a document breaks there, whoever did it.
    pub fn findings(&self, document: &Document) -> Vec<Found> {
        let Some(schema) = &self.schema else { return Vec::new() };
        let found = self.broken(&schema.convert(document.value()), schema).into_iter();
        found.map(|finding| Found::of(&self.path, schema, finding)).collect()
    }

    fn broken(&self, value: &Value, schema: &Schema) -> Vec<Finding> {
        let mut found = validate(value, schema);
        if let Some(head) = &self.head {
            found.extend(changed_once(head, self.bases.as_deref(), value, schema));
        }
        found
    }
}

/// What the documents of a revision, or of the working copy, break.
#[derive(Clone, Debug, Serialize)]
pub struct Checked {
    /// Documents that have a schema, and were read.
    pub documents: u64,
    /// What they break.
    pub findings: Vec<Found>,
}

/// A document to check: where it is, what is staged there, and what it must keep to.
type ToCheck = (RepoPath, Option<NamedEntry>, Arc<Schema>);

/// What `new` changes of `old` though it was given once; of a merge, with its bases.
fn changed_once(
    old: &Value,
    bases: Option<&[Value]>,
    new: &Value,
    schema: &Schema,
) -> Vec<Finding> {
    match bases {
        Some(bases) => validate_merge(old, bases, new, schema),
        None => validate_change(old, new, schema),
    }
}

impl Checked {
    /// Of what was found in each document; in those that are not there, nothing.
    fn of(found: Vec<Option<Vec<Found>>>) -> Self {
        let read: Vec<Vec<Found>> = found.into_iter().flatten().collect();
        Self { documents: read.len() as u64, findings: read.into_iter().flatten().collect() }
    }
}

/// A document that a commit changes, and what its parents have there.
struct Changed {
    path: RepoPath,
    named: NamedEntry,
    id: DocumentId,
    schema: Arc<Schema>,
}

impl Repo {
    /// Who judges what is written at `path`.
    ///
    /// # Errors
    /// [`RepoError::BadSchemas`].
    pub fn judge(&self, path: &RepoPath) -> Result<Judge, RepoError> {
        let batch = Batch::new(&self.nodes);
        let state = self.state()?;
        let schema = self.schemas(&batch, state.staged)?.of(path).cloned();
        let mut judge =
            Judge { path: path.clone(), schema, head: None, bases: None, known: Broken::default() };
        let Some(schema) = judge.schema.clone() else { return Ok(judge) };
        let named = lookup_path(&batch, state.staged, path)?;
        let load = |tree| self.value_before(&batch, tree, path, named.as_ref(), &judge.schema);
        let head = load(self.head_tree(&state)?)?;
        let bases = self.merge_bases(&state)?;
        let bases = bases.map(|bases| bases.into_iter().filter_map(|tree| load(tree).transpose()));
        let bases = bases.map(Iterator::collect::<Result<Vec<Value>, RepoError>>).transpose()?;
        (judge.head, judge.bases) = (head, bases);
        // One that cannot be read says nothing; then what was staged of it counts.
        let here = match self.read_document(path) {
            Ok(document) => Some(document.into_value()),
            Err(_) => load(state.staged)?,
        };
        if let Some(here) = here {
            judge.known = Broken::of(&here, &schema);
            if let Some(head) = &judge.head {
                let bases = judge.bases.as_deref();
                judge.known = judge.known.and_changes(head, bases, &here, &schema);
            }
        }
        Ok(judge)
    }

    /// What the documents of a revision break, at and below a path.
    ///
    /// # Errors
    /// [`RepoError::NoPath`]; [`RepoError::BadSchemas`].
    pub fn check(&self, rev: &str, path: &RepoPath) -> Result<Checked, RepoError> {
        let batch = Batch::new(&self.nodes);
        let tree = self.commit(self.resolve(rev)?.id)?.tree;
        let documents = self.to_check(&batch, tree, path)?;
        if documents.is_empty() && !path.is_root() && lookup_path(&batch, tree, path)?.is_none() {
            return Err(self.no_path_in(tree, path, rev)?);
        }
        let look = |(): &mut (), (path, named, schema): &ToCheck| {
            let Some(Entry::Document { id, .. }) = named.as_ref().map(|named| named.entry) else {
                return Ok(None);
            };
            let value = schema.convert(batch.load::<Document>(id)?.value());
            let found = validate(&value, schema).into_iter();
            Ok(Some(found.map(|it| Found::of(path, schema, it)).collect()))
        };
        Ok(Checked::of(parallel::map(self.jobs, &documents, || Ok(()), look)?))
    }

    /// What documents break as they lie in the working copy, at and below a path: those that are tracked, or
    /// the one that is named. What was given once and is changed there counts, too.
    ///
    /// # Errors
    /// [`RepoError::NoPath`]; [`RepoError::BadSchemas`].
    pub fn check_here(&self, path: &RepoPath) -> Result<Checked, RepoError> {
        let batch = Batch::new(&self.nodes);
        let state = self.state()?;
        let mut documents = self.to_check(&batch, state.staged, path)?;
        if documents.is_empty() && !path.is_root() {
            let found = lstat(&self.disk_path(path))?
                .ok_or_else(|| self.no_path(path, "the working copy"))?;
            let schema = self.schemas(&batch, state.staged)?.of(path).cloned();
            let is_document = path.name().is_some_and(Name::is_document) && found.is_file();
            documents.extend(schema.filter(|_| is_document).map(|it| (path.clone(), None, it)));
        }
        let (head, bases) = (self.head_tree(&state)?, self.merge_bases(&state)?);
        let look = |(): &mut (), (path, named, schema): &ToCheck| {
            let disk = self.disk_path(path);
            self.refuse_leaving(path)?;
            if lstat(&disk)?.is_none_or(|found| !found.is_file()) {
                return Ok(None);
            }
            let document = match read_json(&disk, Some(schema)) {
                Ok(document) => document,
                Err(error @ RepoError::Io { .. }) => return Err(error),
                Err(error) => {
                    return Ok(Some(vec![Found {
                        path: path.to_string(),
                        field: "/".to_owned(),
                        schema: schema.full_name(),
                        rule: "document",
                        value: String::new(),
                        why: error.to_string(),
                    }]));
                }
            };
            let mut found = validate(document.value(), schema);
            if schema.fields().iter().any(|field| field.immutable) {
                let speaks = Some(Arc::clone(schema));
                let load = |tree| self.value_before(&batch, tree, path, named.as_ref(), &speaks);
                let bases = bases.as_ref().map(|bases| {
                    let values = bases.iter().filter_map(|tree| load(*tree).transpose());
                    values.collect::<Result<Vec<Value>, RepoError>>()
                });
                if let (Some(old), bases) = (load(head)?, bases.transpose()?) {
                    found.extend(changed_once(&old, bases.as_deref(), document.value(), schema));
                }
            }
            Ok(Some(found.into_iter().map(|it| Found::of(path, schema, it)).collect()))
        };
        Ok(Checked::of(parallel::map(self.jobs, &documents, || Ok(()), look)?))
    }

    /// The documents of a tree at and below a path that have a schema.
    fn to_check(
        &self,
        batch: &Batch<'_>,
        tree: TreeId,
        path: &RepoPath,
    ) -> Result<Vec<ToCheck>, RepoError> {
        let schemas = self.schemas(batch, tree)?;
        let mut documents = Vec::new();
        self.tracked_below(tree, path, &mut |path, named| {
            if matches!(named.entry, Entry::Document { .. })
                && let Some(schema) = schemas.of(path)
            {
                documents.push((path.clone(), Some(named.clone()), Arc::clone(schema)));
            }
        })?;
        Ok(documents)
    }

    /// The trees of the bases of a merge that is not finished.
    pub(crate) fn merge_bases(&self, state: &State) -> Result<Option<Vec<TreeId>>, RepoError> {
        let Some(merging) = &state.merging else { return Ok(None) };
        let tree = |id| Ok(self.commit(id)?.tree);
        merging.bases.iter().copied().map(tree).collect::<Result<_, RepoError>>().map(Some)
    }

    /// What a commit of `tree` must change in it, so that each document it changes has the kinds of
    /// its schema. `parents` are the trees it comes after, the first parent's first; of a merge `bases`
    /// those of what both began from.
    ///
    /// # Errors
    /// [`RepoError::Invalid`] if a document that the commit changes breaks a rule, or changes what was given
    /// once in the first parent; of a merge if it breaks one anew ([`Known::by_merging`]). [`RepoError::BadSchemas`].
    pub(crate) fn conform_tree(
        &self,
        batch: &Batch<'_>,
        parents: &[TreeId],
        bases: Option<&[TreeId]>,
        tree: TreeId,
    ) -> Result<Edits, RepoError> {
        let mut edits = Edits::new();
        let first = parents.first().copied().unwrap_or(EMPTY_TREE);
        let mut findings = Vec::new();
        for changed in self.changed_under_schemas(batch, first, tree)? {
            let Changed { path, named, id, schema } = &changed;
            let mut before = Vec::new();
            for parent in parents {
                before.push(self.document_before(batch, *parent, path, Some(named))?);
            }
            let mut found = self.given_once(batch, first, bases, &changed)?;
            if !before.contains(&Some(*id)) {
                let converted = |id: DocumentId| convert(Some(schema), batch.load::<Document>(id)?);
                let document = converted(*id)?;
                let mut broken = validate(document.value(), schema);
                if !broken.is_empty() && before.len() > 1 {
                    let of = |id: Option<DocumentId>| match id {
                        Some(id) => Ok(Broken::of(converted(id)?.value(), schema)),
                        None => Ok(Broken::default()),
                    };
                    let parents = before.into_iter().map(of).collect::<Result<_, RepoError>>()?;
                    let mut known = Known::by_merging(parents);
                    broken = validate_since(document.value(), schema, &mut known);
                }
                found.splice(0..0, broken);
                let object = document.to_object()?;
                if object.id() != (*id).into() {
                    let len = object.bytes().len() as u64;
                    let entry = Entry::Document { id: object.id().into(), len };
                    batch.put(object);
                    let new = Some(NamedEntry { entry, ..named.clone() });
                    edits.insert(path.key(), PathEdit { path: path.clone(), new });
                }
            }
            findings.extend(found.into_iter().map(|finding| Found::of(path, schema, finding)));
            if findings.len() >= MAX_FINDINGS {
                break;
            }
        }
        refuse(findings)?;
        Ok(edits)
    }

    /// What a merge into `first` changes there though it was given once.
    ///
    /// # Errors
    /// [`RepoError::BadSchemas`].
    pub(crate) fn merged_once(
        &self,
        batch: &Batch<'_>,
        first: TreeId,
        bases: &[TreeId],
        tree: TreeId,
    ) -> Result<Vec<Found>, RepoError> {
        let mut findings = Vec::new();
        for changed in self.changed_under_schemas(batch, first, tree)? {
            let found = self.given_once(batch, first, Some(bases), &changed)?;
            let told = found.into_iter().map(|it| Found::of(&changed.path, &changed.schema, it));
            findings.extend(told);
            if findings.len() >= MAX_FINDINGS {
                break;
            }
        }
        findings.truncate(MAX_FINDINGS);
        Ok(findings)
    }

    /// The documents that `tree` has otherwise than `first`, of those that have a schema.
    fn changed_under_schemas(
        &self,
        batch: &Batch<'_>,
        first: TreeId,
        tree: TreeId,
    ) -> Result<Vec<Changed>, RepoError> {
        let schemas = self.schemas(batch, tree)?;
        let mut changed = Vec::new();
        if schemas.is_empty() {
            return Ok(changed);
        }
        diff_paths(batch, first, tree, &mut |change| {
            if let Some((path, named)) = change.new
                && let Entry::Document { id, .. } = named.entry
                && let Some(schema) = schemas.of(&path)
            {
                changed.push(Changed { path, named, id, schema: Arc::clone(schema) });
            }
            Ok::<(), RepoError>(())
        })?;
        Ok(changed)
    }

    /// What a document changes of its state in `first` though it was given once.
    fn given_once(
        &self,
        batch: &Batch<'_>,
        first: TreeId,
        bases: Option<&[TreeId]>,
        changed: &Changed,
    ) -> Result<Vec<Finding>, RepoError> {
        let Changed { path, named, id, schema } = changed;
        // Of most schemas nothing needs to be read.
        if !schema.fields().iter().any(|field| field.immutable) {
            return Ok(Vec::new());
        }
        let speaks = Some(Arc::clone(schema));
        let load = |tree| self.value_before(batch, tree, path, Some(named), &speaks);
        let Some(old) = load(first)? else { return Ok(Vec::new()) };
        let new = convert(Some(schema), batch.load::<Document>(*id)?)?;
        let bases = bases.map(|bases| bases.iter().filter_map(|tree| load(*tree).transpose()));
        let bases = bases.map(Iterator::collect::<Result<Vec<Value>, RepoError>>).transpose()?;
        Ok(changed_once(&old, bases.as_deref(), new.value(), schema))
    }

    /// The document that stood at `path` in a tree, or where the entry was before it was renamed.
    fn document_before(
        &self,
        batch: &Batch<'_>,
        tree: TreeId,
        path: &RepoPath,
        named: Option<&NamedEntry>,
    ) -> Result<Option<DocumentId>, RepoError> {
        let former = named.into_iter().flat_map(|named| &named.former);
        for path in std::iter::once(path).chain(former) {
            if let Some(Entry::Document { id, .. }) =
                lookup_path(batch, tree, path)?.map(|named| named.entry)
            {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    /// What that document says, each value of the kind its schema names.
    fn value_before(
        &self,
        batch: &Batch<'_>,
        tree: TreeId,
        path: &RepoPath,
        named: Option<&NamedEntry>,
        schema: &Option<Arc<Schema>>,
    ) -> Result<Option<Value>, RepoError> {
        let Some(id) = self.document_before(batch, tree, path, named)? else { return Ok(None) };
        let document = convert(schema.as_deref(), batch.load::<Document>(id)?)?;
        Ok(Some(document.into_value()))
    }
}
