//! Layers of a repository: what an edition inherits, and what is its own.
//!
//! A commit with a pin holds its documents twice: in `tree`, as readers see them, and in `own`, as a tree
//! that has at a document's path the layer of that document (`ottvc_merge::layers`), and nothing where the
//! document is inherited untouched. Files of media are in `tree` only: each edition has its own.
//!
//! What a commit's tree shows and its layers do not explain is taken for the edition's own, wherever it
//! comes from; so a changed schema, or a tree written by other means, loses nothing.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use ottvc_merge::Schema;
use ottvc_merge::layers::{self, Layer, Reset};
use ottvc_object::commit::Pin;
use ottvc_object::field_path::FieldPath;
use ottvc_object::path::PathKey;
use ottvc_object::tree::{EMPTY_TREE, PathEdit, diff_paths, lookup_path, walk};
use ottvc_object::value::{Document, Value};
use ottvc_object::{Commit, CommitId, Entry, NamedEntry, RepoPath, Storable, TreeId};
use ottvc_refs::{RefEdit, RefName, RefValue};

use crate::branches::RefRow;
use crate::cache::Rows;
use crate::changes::FieldChange;
use crate::meta::document_path;
use crate::nodes::Batch;
use crate::record::{Draft, branch_name};
use crate::revision::Revision;
use crate::stage::Edits;
use crate::workspace::{State, Touched};
use crate::{Repo, RepoError};

/// What a commit says about layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layered {
    /// The tree of its own layers.
    pub(crate) own: Option<TreeId>,
    /// What it inherits from.
    pub(crate) pin: Option<Pin>,
}

impl Layered {
    /// A tree of layers; none is no tree.
    pub(crate) fn new(own: TreeId, pin: Pin) -> Self {
        Self { own: (own != EMPTY_TREE).then_some(own), pin: Some(pin) }
    }
}

/// A document of which something was given up, to be inherited again.
#[derive(Clone, Debug)]
pub struct ResetDocument {
    /// Its path.
    pub path: RepoPath,
    /// What it says now; `None` where it is gone.
    pub document: Option<Document>,
    /// Fields that stay the edition's own, as nobody inherits them.
    pub kept: Vec<FieldPath>,
    /// What the edition said and what it inherits instead, where that is something else.
    pub fields: Vec<FieldChange>,
}

/// What the next commit says about layers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Next {
    pub(crate) layers: Layered,
    /// The layers that are staged beyond it.
    pub(crate) left: Option<TreeId>,
}

/// A document of a tree, each value of the kind that the schema of the edition names: one that was written
/// before it had a schema is no other for that.
pub(crate) fn document_at(
    batch: &Batch<'_>,
    tree: TreeId,
    path: &RepoPath,
    schema: Option<&Schema>,
) -> Result<Option<Value>, RepoError> {
    match lookup_path(batch, tree, path)? {
        Some(NamedEntry { entry: Entry::Document { id, .. }, .. }) => {
            let value = batch.load::<Document>(id)?.into_value();
            Ok(Some(schema.map_or(value.clone(), |schema| schema.convert(&value))))
        }
        _ => Ok(None),
    }
}

/// The path of what keeps a document away from `path`: something there that is no document, or something
/// above it that is no folder. `edits` are made to the tree first.
pub(crate) fn in_the_way(
    batch: &Batch<'_>,
    tree: TreeId,
    edits: &Edits,
    path: &RepoPath,
) -> Result<Option<RepoPath>, RepoError> {
    let mut above = RepoPath::root();
    for name in path.names() {
        above = above.join(name);
        let there = match edits.get(&above.key()) {
            Some(edit) => edit.new.clone(),
            None => lookup_path(batch, tree, &above)?,
        };
        let fits = match there.map(|named| named.entry) {
            None => true,
            Some(Entry::Tree { .. }) => above != *path,
            Some(Entry::Document { .. }) => above == *path,
            Some(_) => false,
        };
        if !fits {
            return Ok(Some(above));
        }
    }
    Ok(None)
}

/// The layer of one document.
pub(crate) fn layer_at(
    batch: &Batch<'_>,
    own: TreeId,
    path: &RepoPath,
) -> Result<Option<Layer>, RepoError> {
    match lookup_path(batch, own, path)? {
        Some(NamedEntry { entry: Entry::Document { id, .. }, .. }) => {
            Ok(Some(Layer::from_document(&batch.load(id)?)?))
        }
        _ => Ok(None),
    }
}

/// The edit that puts a document at a path, or takes away what is there.
pub(crate) fn document_edit(
    batch: &Batch<'_>,
    path: &RepoPath,
    document: Option<&Document>,
) -> Result<(PathKey, PathEdit), RepoError> {
    let new = match document {
        None => None,
        Some(document) => {
            let object = document.to_object()?;
            let len = object.bytes().len() as u64;
            let id = object.id().into();
            batch.put(object);
            Some(crate::worktree::named(path, Entry::Document { id, len })?)
        }
    };
    Ok(PathEdit::keyed(path.clone(), new))
}

/// The edit that puts a layer at its document's path.
pub(crate) fn layer_edit(
    batch: &Batch<'_>,
    path: &RepoPath,
    layer: Option<&Layer>,
) -> Result<(PathKey, PathEdit), RepoError> {
    let document = layer.map(Layer::to_document).transpose()?;
    document_edit(batch, path, document.as_ref())
}

/// Refuses layers of documents in a folder that has the name of a document that is inherited: a layer lies
/// at the path of its document, and says there that this one is not shown.
fn refuse_nested(batch: &Batch<'_>, own: TreeId, edits: &Edits) -> Result<(), RepoError> {
    for edit in edits.values().filter(|edit| edit.new.is_some()) {
        let Some(above) = in_the_way(batch, own, edits, &edit.path)? else { continue };
        if above != edit.path {
            let (folder, document) = (above.to_string(), edit.path.to_string());
            return Err(RepoError::InheritedName { folder, document });
        }
    }
    Ok(())
}

/// Whether an entry is a document.
fn is_document(side: &Option<(RepoPath, NamedEntry)>) -> bool {
    matches!(side, Some((_, NamedEntry { entry: Entry::Document { .. }, .. })))
}

/// Documents that two trees do not share, by place.
pub(crate) fn changed_documents(
    batch: &Batch<'_>,
    old: TreeId,
    new: TreeId,
    changed: &mut BTreeMap<PathKey, RepoPath>,
) -> Result<(), RepoError> {
    diff_paths(batch, old, new, &mut |change| {
        if is_document(&change.old) || is_document(&change.new) {
            changed.insert(change.path.key(), change.path);
        }
        Ok(())
    })
}

/// What an edition inherits of one document, and the layer that explains what it shows.
#[derive(Debug)]
pub(crate) struct Explained<'v> {
    pub(crate) inherited: Option<Cow<'v, Value>>,
    pub(crate) own: Option<Layer>,
}

/// Adds to `own` whatever `shown` has beyond it.
pub(crate) fn explained<'v>(
    schema: Option<&Schema>,
    parent: Option<&'v Value>,
    own: Option<Layer>,
    shown: Option<&Value>,
) -> Explained<'v> {
    let inherited = layers::inherited(schema, parent);
    let below = inherited.as_deref();
    let own = own.map(|own| own.under(schema));
    let made = layers::overlay(schema, below, own.as_ref());
    let own = layers::record(schema, own.as_ref(), made.as_ref(), shown, below);
    Explained { inherited, own }
}

impl Repo {
    /// Returns the tree that a commit inherits from; the empty one, if it does not.
    pub(crate) fn inherited_tree(&self, pin: Option<Pin>) -> Result<TreeId, RepoError> {
        match pin {
            Some(pin) => Ok(self.commit(pin.commit)?.tree),
            None => Ok(EMPTY_TREE),
        }
    }

    /// Returns what the commit after `head` has to say about layers, if its tree is `tree` and it merges
    /// `theirs`. With `only`, what is staged about layers elsewhere is left out, and stays staged.
    ///
    /// A merge of what the edition inherits from moves the pin as far as the merged commit does: then
    /// what was merged is inherited where the edition has nothing of its own. Merges of anything else
    /// leave what they changed as the edition's own.
    pub(crate) fn next_layers(
        &self,
        batch: &Batch<'_>,
        state: &State,
        head: Option<CommitId>,
        tree: TreeId,
        theirs: Option<CommitId>,
        only: Option<&[RepoPath]>,
    ) -> Result<Next, RepoError> {
        let Some(head) = head else { return Ok(Next::default()) };
        let head = self.commit(head)?;
        let Some(old_pin) = head.pin else { return Ok(Next::default()) };
        let pin = match theirs {
            Some(theirs) => self.merged_pin(batch, old_pin, theirs)?,
            None => old_pin,
        };
        let own = head.own.unwrap_or(EMPTY_TREE);
        let staged = state.touched.map_or(own, |touched| touched.own);
        let parent = self.inherited_tree(Some(pin))?;
        let mut changed = BTreeMap::new();
        changed_documents(batch, head.tree, tree, &mut changed)?;
        if pin != old_pin {
            changed_documents(batch, self.inherited_tree(Some(old_pin))?, parent, &mut changed)?;
        }
        let mut touched = BTreeMap::new();
        changed_documents(batch, own, staged, &mut touched)?;
        let wanted = |path: &RepoPath| {
            only.is_none_or(|only| only.iter().any(|it| path.key().0.starts_with(&it.key().0)))
        };
        let elsewhere: Vec<RepoPath> =
            touched.values().filter(|path| !wanted(path)).cloned().collect();
        touched.retain(|_, path| wanted(path));
        let base = |path: &RepoPath| if touched.contains_key(&path.key()) { staged } else { own };
        let schemas = self.schemas(batch, tree)?;
        let mut edits = Edits::new();
        for path in changed.values().chain(touched.values()) {
            let schema = schemas.of(path).map(|schema| &**schema);
            let parent = document_at(batch, parent, path, schema)?;
            let before = layer_at(batch, base(path), path)?;
            let shown = document_at(batch, tree, path, schema)?;
            let after = explained(schema, parent.as_ref(), before, shown.as_ref()).own;
            edits.extend([layer_edit(batch, path, after.as_ref())?]);
        }
        refuse_nested(batch, own, &edits)?;
        let own = self.apply(own, &edits, batch)?;
        let mut edits = Edits::new();
        for path in &elsewhere {
            let layer = layer_at(batch, staged, path)?;
            edits.extend([layer_edit(batch, path, layer.as_ref())?]);
        }
        let left = self.apply(own, &edits, batch)?;
        Ok(Next { layers: Layered::new(own, pin), left: (left != own).then_some(left) })
    }

    /// The documents about whose layers something is staged.
    pub(crate) fn touched_documents(&self, state: &State) -> Result<Vec<RepoPath>, RepoError> {
        let Some(touched) = state.touched else { return Ok(Vec::new()) };
        let own = self.commit(touched.base)?.own.unwrap_or(EMPTY_TREE);
        let mut changed = BTreeMap::new();
        changed_documents(&Batch::new(&self.nodes), own, touched.own, &mut changed)?;
        Ok(changed.into_values().collect())
    }

    /// Refuses to leave the head for `to` if that would lose what is staged about layers: the documents about
    /// which more is staged than can be read off them, and than `to` says.
    pub(crate) fn refuse_lost_layers(
        &self,
        state: &State,
        to: Option<CommitId>,
    ) -> Result<(), RepoError> {
        let Some(touched) = state.touched.filter(|touched| to != Some(touched.base)) else {
            return Ok(());
        };
        let batch = Batch::new(&self.nodes);
        let head = self.commit(touched.base)?;
        let head_own = head.own.unwrap_or(EMPTY_TREE);
        let to_own = match to {
            Some(to) => self.commit(to)?.own.unwrap_or(EMPTY_TREE),
            None => EMPTY_TREE,
        };
        let parent = self.inherited_tree(head.pin)?;
        let schemas = self.schemas_for_reading(&batch, state.staged)?;
        let mut lost = Vec::new();
        for path in self.touched_documents(state)? {
            let schema = schemas.of(&path).map(|schema| &**schema);
            let layer = layer_at(&batch, touched.own, &path)?;
            let parent = document_at(&batch, parent, &path, schema)?;
            let shown = document_at(&batch, state.staged, &path, schema)?;
            let before = layer_at(&batch, head_own, &path)?;
            let read = explained(schema, parent.as_ref(), before, shown.as_ref()).own;
            if layer != read && layer != layer_at(&batch, to_own, &path)? {
                lost.push(path.to_string());
            }
        }
        if lost.is_empty() { Ok(()) } else { Err(RepoError::LocalChanges { paths: lost }) }
    }

    /// Stages what the commit the head is at says about layers, and what is staged beyond it, for the head to
    /// go back to `to`.
    pub(crate) fn stage_layers_again(
        &self,
        state: &mut State,
        to: Option<CommitId>,
    ) -> Result<(), RepoError> {
        let (Some(base), Some((_, head))) = (to, self.pinned_head(state)?) else { return Ok(()) };
        let before = self.commit(base)?;
        let own = state.touched.map(|touched| touched.own).or(head.own);
        let differs = before.pin.is_some() && own != before.own;
        let touched = Touched { base, own: own.unwrap_or(EMPTY_TREE) };
        state.touched = differs.then_some(touched);
        Ok(())
    }

    /// The pin of an edition after it merged a commit: moved on, if that is a newer state of what it
    /// inherits from, or of an edition that inherits from a newer state.
    fn merged_pin(&self, batch: &Batch<'_>, pin: Pin, theirs: CommitId) -> Result<Pin, RepoError> {
        let merged: Commit = batch.load(theirs)?;
        let newer = match merged.pin {
            _ if merged.edition == pin.edition => theirs,
            Some(other) if other.edition == pin.edition => other.commit,
            _ => return Ok(pin),
        };
        // Nobody inherits a disagreement.
        let clean = self.commit(newer)?.conflicts.is_empty();
        let moves = clean && self.is_ancestor(pin.commit, newer)?;
        Ok(if moves { Pin { commit: newer, ..pin } } else { pin })
    }

    /// Makes an edition that inherits from the one `rev` is a state of: a branch with a first commit of its
    /// own, pinned to `rev`.
    ///
    /// # Errors
    /// [`RepoError::Exists`]; [`RepoError::Conflicts`] if the commit holds conflicts, which nobody
    /// inherits; [`RepoError::Unborn`]; or what [`Repo::resolve`] returns.
    pub fn make_edition(
        &self,
        name: &str,
        rev: Option<&str>,
        class: Option<String>,
        territory: Option<String>,
    ) -> Result<RefRow, RepoError> {
        let Revision { id: start, edition: named, .. } = self.resolve(rev.unwrap_or("HEAD"))?;
        let here = branch_name(&self.state()?);
        let called = rev.map(str::to_owned).or(here).unwrap_or_else(|| start.short());
        let from = self.commit(start)?;
        self.refuse_conflicts(&from)?;
        let edition = self.new_edition(class, territory)?;
        let branch = RefName::branch(name)?;
        self.refuse_taken(&branch)?;
        let pin = Pin { edition: named.unwrap_or(from.edition), commit: start };
        let batch = Batch::new(&self.nodes);
        let (tree, own) = self.given(&batch, from.tree)?;
        let draft = Draft {
            parents: vec![start],
            message: format!("Begin {name}, which inherits from {called}"),
            layers: Layered::new(own, pin),
            ..Draft::new(tree)
        };
        let (id, _) = self.make_commit_of(&batch, Some(edition.id), draft)?;
        let mut writer = self.objects.writer()?;
        batch.flush(&mut *writer)?;
        writer.finish()?;
        let value = RefValue { target: Some(id), edition: Some(edition.clone()) };
        let edits = vec![RefEdit { name: branch, old: None, new: Some(value) }];
        self.move_refs(&self.move_of("branch", &format!("branch: {name}"), edits)?)?;
        self.row_of(name, Some(id), Some(edition))
    }

    /// The commit that an edition was begun from, if that is all `commit` is about.
    pub(crate) fn begun_from(&self, commit: CommitId) -> Result<Option<CommitId>, RepoError> {
        let commit = self.commit(commit)?;
        let pinned = commit.pin.map(|pin| pin.commit);
        Ok(pinned.filter(|pinned| commit.parents == [*pinned]))
    }

    /// The tree that a new edition has of its parent's, and its own layers: without what is never
    /// inherited, and with copies of what is given once.
    fn given(&self, batch: &Batch<'_>, tree: TreeId) -> Result<(TreeId, TreeId), RepoError> {
        let schemas = self.schemas(batch, tree)?;
        let (mut shown, mut own) = (Edits::new(), Edits::new());
        if schemas.is_empty() {
            return Ok((tree, EMPTY_TREE));
        }
        walk(batch, tree, &RepoPath::root(), &mut |path, named| {
            if let (Entry::Document { id, .. }, Some(schema)) = (named.entry, schemas.of(path)) {
                let parent = schema.convert(batch.load::<Document>(id)?.value());
                let inherited = layers::inherited(Some(schema), Some(&parent));
                let layer = layers::at_create(Some(schema), Some(&parent));
                let made = layers::overlay(Some(schema), inherited.as_deref(), layer.as_ref());
                if let Some(layer) = &layer {
                    own.extend([layer_edit(batch, path, Some(layer))?]);
                }
                if made.as_ref() != Some(&parent) {
                    let made = made.map(Document::new).transpose()?;
                    shown.extend([document_edit(batch, path, made.as_ref())?]);
                }
            }
            Ok(true)
        })?;
        Ok((self.apply(tree, &shown, batch)?, self.apply(EMPTY_TREE, &own, batch)?))
    }

    /// Refuses a commit that nobody can inherit from, or push on.
    pub(crate) fn refuse_conflicts(&self, commit: &Commit) -> Result<(), RepoError> {
        if commit.conflicts.is_empty() {
            return Ok(());
        }
        let paths = commit.conflicts.iter().map(crate::record::place_text).collect();
        Err(RepoError::Conflicts { paths })
    }

    /// Notes that fields of a document were set: each is the edition's own with the next commit, also where
    /// the value is the one it inherits. `before` is the document without those fields.
    pub(crate) fn note_set(
        &self,
        path: &RepoPath,
        before: &Value,
        after: &Value,
    ) -> Result<(), RepoError> {
        self.touch(path, &|schema, own, parent| {
            let below = layers::inherited(schema, parent);
            layers::record(schema, own, Some(before), Some(after), below.as_deref())
        })
    }

    /// Changes the staged layer of one document, if the edition inherits.
    fn touch(
        &self,
        path: &RepoPath,
        change: &dyn Fn(Option<&Schema>, Option<&Layer>, Option<&Value>) -> Option<Layer>,
    ) -> Result<(), RepoError> {
        let mut state = self.state()?;
        let Some((base, head)) = self.pinned_head(&state)? else { return Ok(()) };
        let batch = Batch::new(&self.nodes);
        let staged = state.touched.map(|touched| touched.own).or(head.own).unwrap_or(EMPTY_TREE);
        let own = layer_at(&batch, staged, path)?;
        let schemas = self.schemas(&batch, state.staged)?;
        let schema = schemas.of(path).map(|schema| &**schema);
        let parent = document_at(&batch, self.inherited_tree(head.pin)?, path, schema)?;
        let spoken = own.clone().map(|own| own.under(schema));
        let changed = change(schema, spoken.as_ref(), parent.as_ref());
        if changed == own {
            return Ok(());
        }
        let edits = Edits::from([layer_edit(&batch, path, changed.as_ref())?]);
        let own = self.apply(staged, &edits, &batch)?;
        let mut writer = self.objects.writer()?;
        batch.flush(&mut *writer)?;
        writer.finish()?;
        state.touched = (Some(own) != head.own).then_some(Touched { base, own });
        self.save_state(&state, &Rows::new())
    }

    /// The commit the working copy stands on, if it inherits.
    fn pinned_head(&self, state: &State) -> Result<Option<(CommitId, Commit)>, RepoError> {
        let Some(id) = self.head_commit_id(state)? else { return Ok(None) };
        let commit = self.commit(id)?;
        Ok(commit.pin.is_some().then_some((id, commit)))
    }

    /// Gives up what the edition of the working copy says itself at fields of a document, or in all of it:
    /// the inherited values are back in the working copy, staged, and inherited with the next commit. What
    /// the schema says nobody inherits stays.
    ///
    /// # Errors
    /// [`RepoError::NoParent`] if the edition inherits from no other, [`RepoError::NotOverridden`] for a
    /// field that is inherited already, that nobody inherits, or that is a part of what is overridden as one.
    pub fn reset_fields(
        &self,
        from: &Path,
        given: &str,
        fields: &[FieldPath],
    ) -> Result<ResetDocument, RepoError> {
        let (done, left) = self.planned_reset(from, given, fields)?;
        let path = &done.path;
        match &done.document {
            Some(document) => self.write_document(path, document)?,
            None => drop(self.remove(&self.root, &[path.to_string()], false, true)?),
        }
        // Staged after the document: should we stop between, what is shown is still an override.
        self.touch(path, &|_, _, _| left.clone())?;
        Ok(done)
    }

    /// What [`Repo::reset_fields`] would do; writes nothing.
    ///
    /// # Errors
    /// As there.
    pub fn plan_reset(
        &self,
        from: &Path,
        given: &str,
        fields: &[FieldPath],
    ) -> Result<ResetDocument, RepoError> {
        Ok(self.planned_reset(from, given, fields)?.0)
    }

    /// A document with fields given up, and what is left of its layer.
    fn planned_reset(
        &self,
        from: &Path,
        given: &str,
        fields: &[FieldPath],
    ) -> Result<(ResetDocument, Option<Layer>), RepoError> {
        let path = document_path(&self.repo_path(from, given)?)?;
        let state = self.state()?;
        let Some((_, head)) = self.pinned_head(&state)? else {
            let branch = branch_name(&state).unwrap_or_else(|| "HEAD".to_owned());
            return Err(RepoError::NoParent { branch });
        };
        let batch = Batch::new(&self.nodes);
        let staged = state.touched.map(|touched| touched.own).or(head.own).unwrap_or(EMPTY_TREE);
        let schemas = self.schemas(&batch, state.staged)?;
        let schema = schemas.of(&path).map(|schema| &**schema);
        let parent = document_at(&batch, self.inherited_tree(head.pin)?, &path, schema)?;
        let shown = match crate::scan::lstat(&self.disk_path(&path))? {
            Some(_) => Some(self.read_document(&path)?.into_value()),
            None => None,
        };
        let own = layer_at(&batch, staged, &path)?;
        let Explained { inherited, own } = explained(schema, parent.as_ref(), own, shown.as_ref());
        let whole = [FieldPath::root()];
        let fields = if fields.is_empty() { &whole } else { fields };
        let (below, shown) = (inherited.as_deref(), shown.as_ref());
        let Reset { own: left, document, kept } =
            layers::reset(schema, below, own.as_ref(), shown, fields).map_err(|(field, why)| {
                let (field, place) = (field.to_string(), path.to_string());
                RepoError::NotOverridden { field, place, why }
            })?;
        let judge = self.judge(&path)?;
        let conform = |document| judge.conform(Document::new(document)?);
        let document = document.map(conform).transpose()?;
        let plain = |value: Option<&Value>| match (value, schema) {
            (None, _) => Document::empty().into_value(),
            (Some(value), Some(schema)) => schema.convert(value),
            (Some(value), None) => value.clone(),
        };
        let after = plain(document.as_ref().map(Document::value));
        let fields = FieldChange::between(&plain(shown), &after, schema);
        Ok((ResetDocument { path, document, kept, fields }, left))
    }
}
