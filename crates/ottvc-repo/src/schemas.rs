//! Which schema speaks for a document: what `schemas.yaml` at the root of its tree says.
//!
//! A tree is read under its own file, so history keeps the schemas it was written under. Documents lie
//! in the working copy as plain JSON, as editors want them, and are read under the schemas that are
//! staged. A file that cannot be used stops what writes and merges; what only reads goes on without.
//!
//! A document is unchanged if it says what is staged once both are converted to its schema: binding a
//! schema changes no document, writing one the next time does.

mod judging;
mod writing;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ottvc_merge::schema::{Finding, Order};
use ottvc_merge::{Bindings, MergeError, Schema};
use ottvc_object::conflict::{Conflict, Term};
use ottvc_object::field_path::{FieldPath, Segment};
use ottvc_object::tree::lookup_path;
use ottvc_object::value::{Document, Value, value_to_json};
use ottvc_object::{
    ContentId, DocumentId, Entry, FileEntry, FileMode, ObjectError, RepoPath, Storable, TreeId,
};
use serde::Serialize;

use crate::cache::{self, Rows};
use crate::nodes::Batch;
use crate::scan::{facts, lstat, read_json};
use crate::worktree::Sink;
use crate::{Repo, RepoError, content};
pub(crate) use judging::refuse;
pub use judging::{Checked, Judge};

/// The file that says which schema a document has.
pub const SCHEMAS_FILE: &str = "schemas.yaml";
/// The longest such file, and the longest schema.
const MAX_BYTES: u64 = 1 << 20;
/// How many files, and how many sets of schemas, are remembered.
const MAX_REMEMBERED: usize = 64;

/// The schemas of a tree.
#[derive(Debug, Default)]
pub(crate) struct Schemas {
    /// The files they were read from: the same files, the same schemas.
    files: Vec<ContentId>,
    bindings: Arc<Bindings>,
    by_name: BTreeMap<String, Arc<Schema>>,
}

impl Schemas {
    /// The schema of the document at `path`, if it has one.
    pub(crate) fn of(&self, path: &RepoPath) -> Option<&Arc<Schema>> {
        self.by_name.get(self.bindings.name_of(path)?)
    }

    /// Whether no document has one.
    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// A document as the working copy has it: plain JSON under its schema.
    pub(crate) fn text(&self, path: &RepoPath, document: &Document) -> String {
        text(self.of(path).map(|schema| &**schema), document)
    }
}

/// A document with each value of the kind the schema names.
pub(crate) fn convert(schema: Option<&Schema>, document: Document) -> Result<Document, RepoError> {
    match schema {
        Some(schema) => Ok(Document::new(schema.convert(document.value()))?),
        None => Ok(document),
    }
}

/// What was read before, by the content of the files.
#[derive(Debug, Default)]
pub(crate) struct SchemaCache(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    bindings: HashMap<ContentId, Arc<Bindings>>,
    schemas: HashMap<Vec<ContentId>, Arc<Schemas>>,
}

impl SchemaCache {
    fn lock(&self) -> MutexGuard<'_, Remembered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unusable(path: &RepoPath, source: MergeError) -> RepoError {
    RepoError::BadSchemas { path: path.to_string(), source: Box::new(source) }
}

/// One rule that a document breaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Found {
    /// The document.
    pub path: String,
    /// The field.
    pub field: String,
    /// The schema; or `limits of documents`, which hold whatever a schema says.
    pub schema: String,
    /// The attribute of the schema; or `limits`.
    pub rule: &'static str,
    /// What is there, shortened.
    pub value: String,
    /// What should be there.
    pub why: String,
}

impl Found {
    pub(crate) fn of(path: &RepoPath, schema: &Schema, finding: Finding) -> Self {
        let Finding { path: field, rule, value, why } = finding;
        let (path, field, schema) = (path.to_string(), field.to_string(), schema.full_name());
        Self { path, field, schema, rule, value, why }
    }

    /// A document that there cannot be: it would be past the limits of documents, whatever its schema says.
    pub(crate) fn past_limits(path: &RepoPath, why: ObjectError) -> Self {
        let (field, why) = match why {
            ObjectError::BadValue { field, why } => (field, why),
            other => ("/".to_owned(), other.to_string()),
        };
        let (path, schema) = (path.to_string(), "limits of documents".to_owned());
        Self { path, field, schema, rule: "limits", value: String::new(), why }
    }

    /// A value as rows show it: as JSON, and no more than its beginning.
    pub(crate) fn shown(value: &Value) -> String {
        let text = value_to_json(value).to_string();
        match text.char_indices().nth(60) {
            Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
            None => text,
        }
    }
}

/// A document of the working copy whose schema changes.
#[derive(Debug)]
pub(crate) struct Reform {
    /// Where it lies.
    path: RepoPath,
    /// What is staged there.
    entry: Entry,
    from: Option<Arc<Schema>>,
    to: Option<Arc<Schema>>,
}

impl Reform {
    /// One for what lies at `path`, if it is a document and the schemas differ.
    pub(crate) fn new(
        path: &RepoPath,
        entry: Entry,
        from: Option<&Arc<Schema>>,
        to: Option<&Arc<Schema>>,
    ) -> Option<Self> {
        let is_document = path.name().is_some_and(ottvc_object::Name::is_document);
        (is_document && differ(from, to)).then(|| Self {
            path: path.clone(),
            entry,
            from: from.cloned(),
            to: to.cloned(),
        })
    }

    /// A document in its old form and in its new one.
    fn texts(&self, document: &Document) -> [String; 2] {
        [&self.from, &self.to].map(|schema| text(schema.as_deref(), document))
    }
}

/// Whether these are two schemas.
pub(crate) fn differ(a: Option<&Arc<Schema>>, b: Option<&Arc<Schema>>) -> bool {
    a.map(|schema| schema.id()) != b.map(|schema| schema.id())
}

/// A document as the working copy has it: plain JSON under its schema, also where it was stored under another.
fn text(schema: Option<&Schema>, document: &Document) -> String {
    match schema {
        Some(schema) => format!("{:#}\n", schema.to_plain(&schema.convert(document.value()))),
        None => document.to_json_pretty(),
    }
}

/// Whether a field is the order of a list whose schema computes it: nobody changed it, and no file needs to
/// say it.
pub(crate) fn is_computed_order(schema: &Schema, field: &FieldPath) -> bool {
    field.segments().last() == Some(&Segment::Order)
        && field
            .parent()
            .and_then(|list| schema.field_at(&list).map(|field| field.order != Order::Significant))
            .unwrap_or_default()
}

impl Repo {
    /// The schemas of a tree; where its file is in conflict, those of its first side.
    ///
    /// # Errors
    /// [`RepoError::BadSchemas`] if they cannot be used.
    pub(crate) fn schemas(
        &self,
        batch: &Batch<'_>,
        tree: TreeId,
    ) -> Result<Arc<Schemas>, RepoError> {
        let Some((content, bindings)) = self.bindings(batch, tree)? else {
            return Ok(Arc::default());
        };
        let file = RepoPath::new(SCHEMAS_FILE)?;
        let mut files = vec![content];
        let mut listed = Vec::new();
        for (name, at) in bindings.schemas() {
            let entry = self.plain_file(batch, tree, &at.path)?.ok_or_else(|| {
                unusable(&file, bindings.bad_file(name, "there is no such file in this tree"))
            })?;
            files.push(entry.content);
            listed.push((name, &at.path, entry));
        }
        if let Some(schemas) = self.schema_cache.lock().schemas.get(&files).cloned() {
            return Ok(schemas);
        }
        let built_in = Schema::edition()?;
        let mut by_name = BTreeMap::from([(built_in.full_name(), built_in)]);
        for (name, path, entry) in listed {
            let read = self.text_of(entry)?;
            let schema = read
                .and_then(|text| Schema::parse_stored(&text))
                .map_err(|source| unusable(path, source))?;
            let found = schema.full_name();
            if found != *name {
                let why = format!("the schema in that file is `{found}`");
                return Err(unusable(&file, bindings.bad_file(name, &why)));
            }
            by_name.insert(found, Arc::new(schema));
        }
        let schemas = Arc::new(Schemas { files: files.clone(), bindings, by_name });
        let mut cache = self.schema_cache.lock();
        if cache.schemas.len() >= MAX_REMEMBERED {
            cache.schemas.clear();
        }
        cache.schemas.insert(files, Arc::clone(&schemas));
        Ok(schemas)
    }

    /// What a tree binds to schemas, and the content it says so by; the schemas are not read.
    ///
    /// # Errors
    /// [`RepoError::BadSchemas`].
    pub(crate) fn bindings(
        &self,
        batch: &Batch<'_>,
        tree: TreeId,
    ) -> Result<Option<(ContentId, Arc<Bindings>)>, RepoError> {
        let path = RepoPath::new(SCHEMAS_FILE)?;
        let Some(file) = self.plain_file(batch, tree, &path)? else { return Ok(None) };
        if let Some(bindings) = self.schema_cache.lock().bindings.get(&file.content) {
            return Ok(Some((file.content, Arc::clone(bindings))));
        }
        let parsed = self.text_of(file)?.and_then(|text| Bindings::parse(&text));
        let bindings = Arc::new(parsed.map_err(|source| unusable(&path, source))?);
        let mut cache = self.schema_cache.lock();
        if cache.bindings.len() >= MAX_REMEMBERED {
            cache.bindings.clear();
        }
        cache.bindings.insert(file.content, Arc::clone(&bindings));
        Ok(Some((file.content, bindings)))
    }

    /// The schemas of a tree for reading the working copy: none, where they cannot be used.
    pub(crate) fn schemas_for_reading(
        &self,
        batch: &Batch<'_>,
        tree: TreeId,
    ) -> Result<Arc<Schemas>, RepoError> {
        match self.schemas(batch, tree) {
            Err(RepoError::BadSchemas { .. }) => Ok(Arc::default()),
            other => other,
        }
    }

    /// The file at a path of a tree, or of the first side of a conflict there that has one.
    fn plain_file(
        &self,
        batch: &Batch<'_>,
        tree: TreeId,
        path: &RepoPath,
    ) -> Result<Option<FileEntry>, RepoError> {
        let plain = |entry: &Entry| match entry {
            Entry::File(file) if file.mode != FileMode::Symlink => Some(*file),
            _ => None,
        };
        match lookup_path(batch, tree, path)?.map(|named| named.entry) {
            Some(Entry::Conflict(id)) => {
                let conflict: Conflict<Entry> = batch.load(id)?;
                Ok(conflict.terms.adds().filter_map(Term::value).find_map(plain))
            }
            entry => Ok(entry.as_ref().and_then(plain)),
        }
    }

    fn text_of(&self, file: FileEntry) -> Result<Result<String, MergeError>, RepoError> {
        let bad = |why: String| MergeError::BadYaml { line: 0, column: 0, why };
        if file.len > MAX_BYTES {
            return Ok(Err(bad(format!("it has more than {MAX_BYTES} bytes"))));
        }
        let mut bytes = Vec::new();
        content::open(&*self.objects, file.content)?.write_to(&mut bytes)?;
        Ok(String::from_utf8(bytes).map_err(|_| bad("it is not UTF-8".to_owned())))
    }

    /// The schema that is staged for the document at `path`.
    ///
    /// # Errors
    /// [`RepoError::BadSchemas`].
    pub fn staged_schema(&self, path: &RepoPath) -> Result<Option<Arc<Schema>>, RepoError> {
        let batch = Batch::new(&self.nodes);
        Ok(self.schemas(&batch, self.state()?.staged)?.of(path).cloned())
    }

    /// Whether the document `staged` and the one read as `here` are one under their schema.
    pub(crate) fn same_under(&self, schema: &Schema, staged: DocumentId, here: DocumentId) -> bool {
        let converted = || -> Result<DocumentId, RepoError> {
            let document = Document::from_object(&self.objects.get(staged.into())?)?;
            Ok(convert(Some(schema), document)?.to_object()?.id().into())
        };
        // One that cannot be read is not the same as any.
        converted().is_ok_and(|converted| converted == here)
    }

    /// The documents that have another form under the schemas of the tree `staged` than under those of
    /// the state that is saved.
    pub(crate) fn reforms(&self, staged: TreeId) -> Result<Vec<Reform>, RepoError> {
        let batch = Batch::new(&self.nodes);
        let from = self.schemas_for_reading(&batch, self.saved_stage()?)?;
        let to = self.schemas_for_reading(&batch, staged)?;
        let mut reforms = Vec::new();
        if from.files == to.files {
            return Ok(reforms);
        }
        self.tracked_below(staged, &RepoPath::root(), &mut |path, named| {
            reforms.extend(Reform::new(path, named.entry, from.of(path), to.of(path)));
        })?;
        Ok(reforms)
    }

    /// Writes these documents with their tags, which are read right under either schema: whatever
    /// happens until the state is saved, none changes its kinds.
    pub(crate) fn loosen(&self, reforms: &[Reform]) -> Result<(), RepoError> {
        if reforms.is_empty() {
            return Ok(());
        }
        let mut rows = Rows::new();
        let sink = Sink::open(&self.root)?;
        for reform in reforms {
            let Some((document, clean)) = self.reformed(reform)? else {
                cache::forget(&mut rows, &reform.path);
                continue;
            };
            if !clean {
                // What was learnt of it counts under the old schema alone.
                cache::forget(&mut rows, &reform.path);
            }
            let [before, after] = reform.texts(&document);
            let tagged = document.to_json_pretty();
            if before != after && before != tagged {
                sink.put_bytes(&reform.path, tagged.as_bytes())?;
            }
        }
        Ok(self.workspace.cache(&rows)?)
    }

    /// Writes these documents in the form they have under their new schemas, which are saved by now.
    pub(crate) fn tighten(&self, reforms: &[Reform]) -> Result<(), RepoError> {
        if reforms.is_empty() {
            return Ok(());
        }
        let mut rows = Rows::new();
        let sink = Sink::open(&self.root)?;
        for reform in reforms {
            let Some((document, clean)) = self.reformed(reform)? else { continue };
            let [before, after] = reform.texts(&document);
            if before == after || after == document.to_json_pretty() {
                continue;
            }
            sink.put_bytes(&reform.path, after.as_bytes())?;
            if let Some(found) = lstat(&self.disk_path(&reform.path))?.filter(|_| clean) {
                let held = (reform.entry, true);
                cache::note_written(&mut rows, &reform.path, &facts(&found), held)?;
            }
        }
        Ok(self.workspace.cache(&rows)?)
    }

    /// What the document says under its old schema, and whether that is what is staged; `None` where
    /// there is none, or one that cannot be read: whoever mends it is told what is wrong.
    fn reformed(&self, reform: &Reform) -> Result<Option<(Document, bool)>, RepoError> {
        let Reform { path, entry, from, .. } = reform;
        match self.refuse_links_above(path) {
            Ok(()) => {}
            Err(RepoError::InTheWay { .. }) => return Ok(None),
            Err(error) => return Err(error),
        }
        let disk = self.disk_path(path);
        if lstat(&disk)?.is_none_or(|found| !found.is_file()) {
            return Ok(None);
        }
        let from = from.as_deref();
        let here = match read_json(&disk, from) {
            Ok(document) => document,
            Err(error @ RepoError::Io { .. }) => return Err(error),
            Err(_) => return Ok(None),
        };
        let Entry::Document { id, .. } = entry else { return Ok(Some((here, false))) };
        let read = here.to_object()?.id().into();
        if *id != read && !from.is_some_and(|schema| self.same_under(schema, *id, read)) {
            return Ok(Some((here, false)));
        }
        Ok(Some((Document::from_object(&self.objects.get((*id).into())?)?, true)))
    }
}

#[cfg(test)]
mod tests {
    use ottvc_object::manifest::CutRule;
    use ottvc_refs::FixedClock;
    use ottvc_refs::memory::MemoryRefs;
    use ottvc_store::memory::{MemoryStore, MemoryWorkspace};

    use super::*;
    use crate::{Parts, Silent};

    #[test]
    fn trees_with_the_same_files_share_what_was_read_of_them() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let repo = Repo::new(Parts {
            objects: Arc::new(MemoryStore::default()),
            refs: Arc::new(MemoryRefs::default()),
            workspace: Arc::new(MemoryWorkspace::default()),
            clock: Arc::new(FixedClock(0)),
            root: root.clone(),
            actor: "Ada".into(),
            rule: CutRule::default(),
            tracks: None,
            jobs: 1,
        });
        let sink = Sink::open(&root).unwrap();
        let stage = |path: &str, text: &str| {
            sink.put_bytes(&RepoPath::new(path).unwrap(), text.as_bytes()).unwrap();
            repo.add(&root, &[path.to_owned()], &Silent).unwrap();
            repo.schemas(&Batch::new(&repo.nodes), repo.state().unwrap().staged).unwrap()
        };
        assert!(stage("a.txt", "a").is_empty());
        stage("house.yaml", "schema: house/1\nfields: {/x: {type: int}}\n");
        let first =
            stage("schemas.yaml", "documents: {'*': house/1}\nschemas: {house/1: house.yaml}");
        assert!(Arc::ptr_eq(&first, &stage("b.txt", "b")));
        let other = stage("house.yaml", "schema: house/1\nfields: {/x: {type: bool}}\n");
        assert!(!Arc::ptr_eq(&first, &other));
        assert!(Arc::ptr_eq(&first.bindings, &other.bindings), "that file is the same");
        let path = RepoPath::new("a.meta.json").unwrap();
        assert_ne!(first.of(&path), other.of(&path));
    }
}
