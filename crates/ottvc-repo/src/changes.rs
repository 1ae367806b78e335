//! What differs between two states: metadata by field, media by byte range.

use std::collections::{HashMap, HashSet};

use ottvc_merge::Schema;
use ottvc_object::field_path::FieldPath;
use ottvc_object::path::PathKey;
use ottvc_object::tree::{EMPTY_TREE, PathChange, diff_paths};
use ottvc_object::value::{Document, Value, diff as diff_values, value_to_json};
use ottvc_object::{CommitId, ContentId, Entry, FileEntry, NamedEntry, RepoPath, Storable, TreeId};
use serde::Serialize;

use crate::cache::Rows;
use crate::nodes::Batch;
use crate::scan::{Met, Scan};
use crate::schemas::{Schemas, is_computed_order};
use crate::{Repo, RepoError, content};

/// Everything that differs between two states.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Diff {
    /// The commit compared from; `None` before any.
    pub base: Option<String>,
    /// The commit compared to; `None` for the working copy and for what is staged.
    pub head: Option<String>,
    /// One row for each path that differs, in path order.
    pub changes: Vec<Change>,
}

/// One path that differs.
#[derive(Clone, Debug, Serialize)]
pub struct Change {
    /// The path now, or the one it had if it is gone.
    pub path: String,
    /// `added`, `removed`, `modified`, `renamed` or `retyped`.
    pub change: &'static str,
    /// `media` or `document`, by what is there now, or was.
    pub kind: &'static str,
    /// Whether one of the two states has a conflict there instead of a file.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub conflict: bool,
    /// The path it had, if it was renamed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Fields that differ, for documents.
    pub fields: Vec<FieldChange>,
    /// Bytes that differ, for media.
    pub media: Option<MediaChange>,
}

/// One field that differs.
#[derive(Clone, Debug, Serialize)]
pub struct FieldChange {
    /// The field's path.
    pub field: String,
    /// What it was.
    pub old: Option<serde_json::Value>,
    /// What it is.
    pub new: Option<serde_json::Value>,
    /// Which of `old` and `new` has no such field, so that a null value is no riddle.
    pub absent: Option<&'static str>,
}

impl FieldChange {
    /// Compares two documents field by field. An order that the schema computes is no change.
    pub(crate) fn between(old: &Value, new: &Value, schema: Option<&Schema>) -> Vec<Self> {
        let computed = |it: &FieldPath| schema.is_some_and(|schema| is_computed_order(schema, it));
        diff_values(Some(old), Some(new))
            .into_iter()
            .filter(|change| !computed(&change.field))
            .map(|change| Self {
                field: change.field.to_string(),
                old: change.old.as_ref().map(value_to_json),
                new: change.new.as_ref().map(value_to_json),
                absent: match (&change.old, &change.new) {
                    (None, _) => Some("old"),
                    (_, None) => Some("new"),
                    _ => None,
                },
            })
            .collect()
    }
}

/// How the bytes of a file differ.
#[derive(Clone, Debug, Default, Serialize)]
pub struct MediaChange {
    /// Length before.
    pub old_bytes: u64,
    /// Length now.
    pub new_bytes: u64,
    /// How many of the bytes now lie in chunks the old file has too.
    pub shared_bytes: u64,
    /// Where the bytes now lie in chunks the old file has not.
    pub ranges: Vec<content::NewRange>,
    /// What tracks have in common, where both files are kept by them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracks: Option<Vec<content::TrackShare>>,
    /// The kind of container, if the file now is kept by its tracks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<&'static str>,
    /// Why the file now is not kept by its tracks, if it has any and they were looked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub untracked: Option<String>,
}

/// Where what is new may be, if it is not stored yet.
#[derive(Clone, Copy)]
enum New<'b> {
    /// It is stored.
    Stored,
    /// In the working copy.
    OnDisk,
    /// In a batch that is not written yet.
    Batch(&'b Batch<'b>),
}

/// A side of a change: its path, its entry, and the document where only the working copy has it.
type Side<'a> = Option<&'a (RepoPath, NamedEntry)>;

impl Repo {
    /// Compares two revisions; without `b`, the working copy as it is; without `a`, the last commit.
    /// Only what is at or below one of `paths`, where any is given.
    ///
    /// # Errors
    /// As [`Repo::resolve`], or the store's.
    pub fn diff(
        &self,
        a: Option<&str>,
        b: Option<&str>,
        paths: &[RepoPath],
    ) -> Result<Diff, RepoError> {
        let state = self.state()?;
        let base = match a {
            Some(rev) => Some(self.resolve(rev)?.id),
            None => self.head_commit_id(&state)?,
        };
        let base_tree = match base {
            Some(id) => self.commit(id)?.tree,
            None => EMPTY_TREE,
        };
        let (head, tree, changes) = match b {
            Some(rev) => {
                let id = self.resolve(rev)?.id;
                let tree = self.commit(id)?.tree;
                (Some(id), tree, self.tree_changes(base_tree, tree)?)
            }
            None => (None, state.staged, self.working_changes(base_tree, state.staged)?),
        };
        let at = if head.is_none() { New::OnDisk } else { New::Stored };
        self.described(base, (head, tree), changes, paths, at)
    }

    /// Compares what is staged with a revision; without `a`, with the last commit. Only what is at or below one
    /// of `paths`, where any is given.
    ///
    /// # Errors
    /// As [`Repo::diff`].
    pub fn diff_staged(&self, a: Option<&str>, paths: &[RepoPath]) -> Result<Diff, RepoError> {
        let state = self.state()?;
        let (base, tree) = match a {
            Some(rev) => {
                let id = self.resolve(rev)?.id;
                (Some(id), self.commit(id)?.tree)
            }
            None => (self.head_commit_id(&state)?, self.head_tree(&state)?),
        };
        let changes = self.tree_changes(tree, state.staged)?;
        self.described(base, (None, state.staged), changes, paths, New::Stored)
    }

    /// Describes those changes that are at or below one of `paths`, where any is given.
    fn described(
        &self,
        base: Option<CommitId>,
        (head, tree): (Option<CommitId>, TreeId),
        changes: Vec<PathChange>,
        paths: &[RepoPath],
        at: New<'_>,
    ) -> Result<Diff, RepoError> {
        let schemas = self.schemas_for_reading(&Batch::new(&self.nodes), tree)?;
        let wanted: Vec<PathKey> = paths.iter().map(RepoPath::key).collect();
        let wants = |path: &RepoPath| {
            wanted.is_empty() || wanted.iter().any(|want| path.key().0.starts_with(&want.0))
        };
        let mut rows = Vec::new();
        for (old, new) in pair_renames(changes) {
            let here = new.as_ref().or(old.as_ref()).map(|(path, _)| path.clone());
            if here.is_some_and(|path| wants(&path)) {
                rows.push(self.describe(old.as_ref(), new.as_ref(), at, &schemas)?);
            }
        }
        Ok(Diff {
            base: base.map(|id| id.to_string()),
            head: head.map(|id| id.to_string()),
            changes: rows,
        })
    }

    /// Compares a commit with its first parent, or with nothing where it has none.
    ///
    /// # Errors
    /// The store's.
    pub fn changes_of(&self, id: CommitId) -> Result<Diff, RepoError> {
        let commit = self.commit(id)?;
        let base = commit.parents.first().copied();
        let base_tree = match base {
            Some(parent) => self.commit(parent)?.tree,
            None => EMPTY_TREE,
        };
        let schemas = self.schemas_for_reading(&Batch::new(&self.nodes), commit.tree)?;
        let changes = pair_renames(self.tree_changes(base_tree, commit.tree)?)
            .into_iter()
            .map(|(old, new)| self.describe(old.as_ref(), new.as_ref(), New::Stored, &schemas))
            .collect::<Result<Vec<Change>, RepoError>>()?;
        let base = base.map(|id| id.to_string());
        Ok(Diff { base, head: Some(id.to_string()), changes })
    }

    /// Describes changes to a tree that may be in `batch` only, and its documents.
    pub(crate) fn describe_new(
        &self,
        batch: &Batch<'_>,
        tree: TreeId,
        changes: Vec<PathChange>,
    ) -> Result<Vec<Change>, RepoError> {
        let schemas = self.schemas_for_reading(batch, tree)?;
        let pairs = pair_renames(changes).into_iter();
        let at = New::Batch(batch);
        pairs.map(|(old, new)| self.describe(old.as_ref(), new.as_ref(), at, &schemas)).collect()
    }

    /// Compares two commits' trees without renames paired: for counts.
    pub(crate) fn tree_changes(
        &self,
        old: TreeId,
        new: TreeId,
    ) -> Result<Vec<PathChange>, RepoError> {
        let mut changes = Vec::new();
        diff_paths(&self.nodes, old, new, &mut |change| {
            changes.push(change);
            Ok(())
        })?;
        Ok(changes)
    }

    /// How many paths differ between two trees, a renamed one counting once.
    pub(crate) fn count_changes(&self, old: TreeId, new: TreeId) -> Result<u64, RepoError> {
        if old == EMPTY_TREE {
            // All of it came, and a node knows how much that is.
            let sums = crate::nodes::totals(&self.nodes, new)?;
            return Ok(sums.files + sums.documents + sums.conflicts);
        }
        let (mut count, mut gone, mut came) = (0, HashSet::new(), Vec::new());
        diff_paths(&self.nodes, old, new, &mut |change| {
            count += 1;
            match (change.old, change.new) {
                (Some((path, _)), None) => {
                    gone.insert(path.key());
                }
                (None, Some((_, named))) if !named.former.is_empty() => came.push(named.former),
                _ => {}
            }
            Ok::<(), RepoError>(())
        })?;
        let renamed =
            came.iter().filter(|former| former.iter().any(|path| gone.remove(&path.key())));
        Ok(count - renamed.count() as u64)
    }

    /// Compares a tree with the files of the working copy that are tracked.
    fn working_changes(&self, base: TreeId, staged: TreeId) -> Result<Vec<PathChange>, RepoError> {
        let mut changes: HashMap<PathKey, PathChange> = HashMap::new();
        for change in self.tree_changes(base, staged)? {
            changes.insert(change.path.key(), change);
        }
        let mut rows = Rows::new();
        let path = &RepoPath::root();
        let scan = Scan { staged, path, tracked_only: true, whole_folders: true };
        let learnt = self.scan(&scan, &mut |met| {
            let Met::Place(place) = met else { return Ok(()) };
            let Some(named) = place.tracked else { return Ok(()) };
            if matches!(named.entry, Entry::Conflict(_)) {
                return Ok(());
            }
            let here = self.look_at(place, &mut rows)?;
            if here.is_some_and(|here| crate::switching::same_file(&named.entry, &here)) {
                return Ok(());
            }
            let path = place.tracked_path();
            let new = here.map(|entry| (path.clone(), NamedEntry { entry, ..named.clone() }));
            let change = changes.entry(path.key()).or_insert_with(|| PathChange {
                path: path.clone(),
                old: Some((path.clone(), named.clone())),
                new: None,
            });
            change.new = new;
            Ok(())
        })?;
        rows.extend(learnt);
        self.workspace.cache(&rows)?;
        let mut changes: Vec<PathChange> = changes.into_values().collect();
        changes.retain(|change| {
            change.old.as_ref().map(|(path, it)| (path, it.entry))
                != change.new.as_ref().map(|(path, it)| (path, it.entry))
        });
        changes.sort_by_cached_key(|change| change.path.key());
        Ok(changes)
    }

    /// Describes one change.
    fn describe(
        &self,
        old: Side<'_>,
        new: Side<'_>,
        at: New<'_>,
        schemas: &Schemas,
    ) -> Result<Change, RepoError> {
        let renamed = match (old, new) {
            (Some((from, _)), Some((to, _))) if from != to => Some(from.to_string()),
            _ => None,
        };
        let is_document = |side: Side<'_>| {
            side.is_some_and(|(_, named)| matches!(named.entry, Entry::Document { .. }))
        };
        let change = match (old, new) {
            (None, _) => "added",
            (_, None) => "removed",
            (Some((_, a)), Some((_, b))) if a.entry.word() != b.entry.word() => "retyped",
            _ if renamed.is_some() => "renamed",
            _ => "modified",
        };
        let path = new.or(old).map(|(path, _)| path.to_string()).unwrap_or_default();
        let is_conflict = |side: Side<'_>| {
            side.is_some_and(|(_, named)| matches!(named.entry, Entry::Conflict(_)))
        };
        let conflict = is_conflict(old) || is_conflict(new);
        let document = is_document(new) || (file_of(new).is_none() && is_document(old));
        let fields = if !conflict && (is_document(old) || is_document(new)) {
            let schema = new.or(old).and_then(|(path, _)| schemas.of(path));
            self.field_changes(old, new, at, schema.map(|schema| &**schema))?
        } else {
            Vec::new()
        };
        let media = match (document || conflict, file_of(old), file_of(new)) {
            (false, a, b) if a.is_some() || b.is_some() => {
                let on_disk = new.filter(|_| matches!(at, New::OnDisk)).map(|(path, _)| path);
                Some(self.media_change(a, b, on_disk)?)
            }
            _ => None,
        };
        let kind = if document { "document" } else { "media" };
        Ok(Change { path, change, kind, conflict, from: renamed, fields, media })
    }

    /// Compares two documents field by field; a side that is none counts as empty.
    fn field_changes(
        &self,
        old: Side<'_>,
        new: Side<'_>,
        at: New<'_>,
        schema: Option<&Schema>,
    ) -> Result<Vec<FieldChange>, RepoError> {
        let load = |side: Side<'_>, at: New<'_>| -> Result<Value, RepoError> {
            match side {
                Some((path, NamedEntry { entry: Entry::Document { id, .. }, .. })) => {
                    if let New::Batch(batch) = at {
                        return Ok(batch.load::<Document>(*id)?.into_value());
                    }
                    match self.objects.get((*id).into()) {
                        Ok(object) => Ok(Document::from_object(&object)?.into_value()),
                        Err(_) if matches!(at, New::OnDisk) => {
                            Ok(self.read_document(path)?.into_value())
                        }
                        Err(error) => Err(error.into()),
                    }
                }
                _ => Ok(Document::empty().into_value()),
            }
        };
        let (old, new) = (load(old, New::Stored)?, load(new, at)?);
        Ok(FieldChange::between(&old, &new, schema))
    }

    /// Compares two files by their chunks. `on_disk` is where the new one is, if only there.
    fn media_change(
        &self,
        old: Option<FileEntry>,
        new: Option<FileEntry>,
        on_disk: Option<&RepoPath>,
    ) -> Result<MediaChange, RepoError> {
        // It is said in passing: a manifest that cannot be read is for others to complain of. What is
        // too short to be looked into needs no reading.
        let kept = new.filter(|file| file.len >= crate::ingest::LEAST_BYTES);
        let kept = kept.and_then(|file| content::kept(&*self.objects, file.content).ok());
        let kept = kept.unwrap_or_default();
        let sizes = MediaChange {
            old_bytes: old.map_or(0, |file| file.len),
            new_bytes: new.map_or(0, |file| file.len),
            container: kept.tracks.map(|tracks| tracks.container),
            untracked: kept.untracked,
            ..MediaChange::default()
        };
        let Some(new) = new else { return Ok(sizes) };
        let old_content = old.map_or_else(|| ContentId::of(b""), |file| file.content);
        if old.is_some() && old_content == new.content {
            return Ok(MediaChange { shared_bytes: new.len, ..sizes });
        }
        let stored = content::is_kept(&*self.objects, new.content)?;
        let shared = match (old, on_disk) {
            (None, _) => content::Shared::none(new.len),
            (Some(_), Some(path)) if !stored => {
                let disk = self.disk_path(path);
                let source = std::fs::File::open(&disk).map_err(crate::scan::io("open", &disk))?;
                content::shared_with(&*self.objects, old_content, source, self.rule)?
            }
            (Some(_), _) => content::shared_ranges(&*self.objects, old_content, new.content)?,
        };
        let content::Shared { bytes: shared_bytes, new_ranges: ranges, tracks } = shared;
        Ok(MediaChange { shared_bytes, ranges, tracks, ..sizes })
    }
}

/// The file a side is, if it is one.
fn file_of(side: Side<'_>) -> Option<FileEntry> {
    match side {
        Some((_, NamedEntry { entry: Entry::File(file), .. })) => Some(*file),
        _ => None,
    }
}

/// Two sides of one change.
pub(crate) type Pair = (Option<(RepoPath, NamedEntry)>, Option<(RepoPath, NamedEntry)>);

/// Pairs what is gone with what came, where the newcomer remembers the path as its former one.
pub(crate) fn pair_renames(changes: Vec<PathChange>) -> Vec<Pair> {
    let mut gone: HashMap<PathKey, (RepoPath, NamedEntry)> = HashMap::new();
    let mut pairs: Vec<Pair> = Vec::new();
    for change in changes {
        match (change.old, change.new) {
            (Some(old), None) => {
                gone.insert(old.0.key(), old);
            }
            (old, new) => pairs.push((old, new)),
        }
    }
    for (old, new) in &mut pairs {
        if let (None, Some((_, named))) = (&old, new) {
            *old = named.former.iter().find_map(|former| gone.remove(&former.key()));
        }
    }
    pairs.extend(gone.into_values().map(|old| (Some(old), None)));
    pairs.sort_by_cached_key(|(old, new)| {
        new.as_ref().or(old.as_ref()).map(|(path, _)| path.key()).unwrap_or_default()
    });
    pairs
}
