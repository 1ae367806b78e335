//! `restore`: files and documents as they were, in the working copy or in the stage.
//!
//! What is tracked is overwritten, as that is what the call is for; what nobody stored is not: an untracked
//! file in the way, or one that would go and was changed, refuses all of it. While a merge waits, it gives back
//! what the merge made, so that a spoilt edit costs one document and not the whole merge.

mod guard;

use std::collections::BTreeMap;
use std::path::Path;

use ottvc_merge::{Memory, MergeOptions};
use ottvc_object::conflict::{Conflict, ConflictKind, Term};
use ottvc_object::path::PathKey;
use ottvc_object::tree::{EMPTY_TREE, PathChange, PathEdit, diff_paths, lookup_path};
use ottvc_object::{Entry, NamedEntry, RepoPath, TreeId};
use serde::Serialize;

use self::guard::Spellings;
use crate::cache::Rows;
use crate::layers::{layer_at, layer_edit};
use crate::nodes::Batch;
use crate::record::{entry_conflict, is_below, place_text};
use crate::resolving::leaves;
use crate::scan::lstat;
use crate::schemas::Schemas;
use crate::stage::Edits;
use crate::switching::same_file;
use crate::workspace::{Merging, REASON, State, Touched};
use crate::{Progress, Repo, RepoError};

/// What to give back, and where.
#[derive(Clone, Debug, Default)]
pub struct RestoreOptions {
    /// Files, documents and folders.
    pub paths: Vec<String>,
    /// The revision they are taken from. Without: what is staged, or what the merge that waits made of them; in
    /// the stage, the last commit.
    pub from: Option<String>,
    /// Give them back in the stage.
    pub staged: bool,
    /// Give them back in the working copy; where `staged` is not set, it is done anyway.
    pub worktree: bool,
    /// Also over what nobody stored.
    pub force: bool,
    /// Say what would be given back, and change nothing.
    pub dry_run: bool,
    /// Whether the merge that waits settled what was settled before.
    pub apply_memory: bool,
}

/// What `restore` did.
#[derive(Clone, Debug, Serialize)]
pub struct Restored {
    /// `stage`, `merge`, or the id of a commit.
    pub from: String,
    /// Files written.
    pub restored: Vec<String>,
    /// Files removed.
    pub removed: Vec<String>,
    /// Paths at which the stage has something else now.
    pub staged: Vec<String>,
    /// Conflicts that are staged at those paths now, as `PATH` or `PATH#FIELD`.
    pub conflicts: Vec<String>,
    /// Conflicts of a merge that waits which are settled as ours now, as the stage was taken back.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub settled: Vec<String>,
    /// Paths that theirs changed and that the stage has as ours does now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// Paths that are as they are staged already, and that the last commit has otherwise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub as_staged: Vec<String>,
}

/// What is to change, by place: from what is staged there to what shall be there.
type Changes = BTreeMap<PathKey, PathChange>;

/// Where things are taken from.
enum Source<'a> {
    Stage,
    Merge(&'a Merging),
    Commit(String, TreeId),
}

/// What the merge that waits made of one place.
struct Made {
    path: RepoPath,
    new: Option<(RepoPath, NamedEntry)>,
    /// Other places that go with it, and what lies there: those that the sides of a rename gave it.
    along: Vec<(RepoPath, Entry)>,
}

impl Repo {
    /// Gives files and documents back, all or none.
    ///
    /// Without a revision, the working copy gets what is staged. While a merge waits, what that brought is given
    /// back as it made it, staged too: edits and resolutions made since are undone.
    ///
    /// # Errors
    /// [`RepoError::NoPath`] for a path that neither the stage nor the source has; [`RepoError::LocalChanges`]
    /// if something would go that nobody stored, and `force` is not set; [`RepoError::Conflicts`] for a file in
    /// conflict in another revision that is not to be staged. Nothing was written then.
    pub fn restore(
        &self,
        from: &Path,
        options: &RestoreOptions,
        progress: &dyn Progress,
    ) -> Result<Restored, RepoError> {
        let mut state = self.state()?;
        let batch = Batch::new(&self.nodes);
        let paths = self.repo_paths(from, &options.paths)?;
        let merging = state.merging.clone();
        let source = match (&options.from, options.staged, &merging) {
            (Some(rev), ..) => {
                let id = self.resolve(rev)?.id;
                Source::Commit(id.to_string(), self.commit(id)?.tree)
            }
            (None, true, _) => {
                let id = self.head_commit_id(&state)?.map(|id| id.to_string());
                Source::Commit(id.unwrap_or_default(), self.head_tree(&state)?)
            }
            (None, false, Some(merging)) => Source::Merge(merging),
            (None, false, None) => Source::Stage,
        };
        let (on_disk, in_stage) = match &source {
            Source::Merge(_) => (true, true),
            _ => (options.worktree || !options.staged, options.staged),
        };
        let (changes, stored) = self.to_restore(&batch, &state, &paths, &source, options)?;
        let edits: Edits = changes
            .values()
            .filter(|change| in_stage && named(&change.old) != named(&change.new))
            .map(|change| {
                PathEdit::keyed(change.path.clone(), change.new.as_ref().map(|(_, it)| it.clone()))
            })
            .collect();
        let before = self.schemas_for_reading(&batch, state.staged)?;
        let mut done = Restored {
            from: match &source {
                Source::Stage => "stage".to_owned(),
                Source::Merge(_) => "merge".to_owned(),
                Source::Commit(id, _) => id.clone(),
            },
            restored: Vec::new(),
            removed: Vec::new(),
            staged: edits.values().map(|edit| edit.path.to_string()).collect(),
            conflicts: Vec::new(),
            settled: Vec::new(),
            left_out: Vec::new(),
            as_staged: Vec::new(),
        };
        let mut differing = Changes::new();
        if on_disk {
            if !in_stage && !matches!(source, Source::Stage) {
                refuse_sides(&changes)?;
            }
            let mut spellings = Spellings::default();
            for (key, mut change) in changes {
                self.spell_tracked(&mut change, &mut spellings)?;
                if self.differs(&batch, &change, &before)? {
                    let list =
                        if change.new.is_some() { &mut done.restored } else { &mut done.removed };
                    list.push(change.path.to_string());
                    differing.insert(key, change);
                }
            }
            if !options.force {
                self.refuse_unstored(&state, &stored, &differing, &before, &mut spellings)?;
            }
            self.refuse_blocked(&differing)?;
        }
        if matches!(source, Source::Stage) && differing.is_empty() {
            let staged = self.tree_changes(self.head_tree(&state)?, state.staged)?.into_iter();
            let asked = |path: &RepoPath| paths.iter().any(|asked| is_below(path, asked));
            // What that does not have it cannot give back.
            let staged = staged.filter(|change| change.old.is_some());
            let staged = staged.map(|change| change.path).filter(asked);
            done.as_staged = staged.map(|path| path.to_string()).collect();
        }
        let old = (state.staged, state.touched);
        state.staged = self.apply(state.staged, &edits, &batch)?;
        if in_stage {
            self.restore_layers(&batch, &mut state, &paths)?;
            let written = differing.values().map(|change| change.path.clone());
            let restored = edits.values().map(|edit| edit.path.clone()).chain(written).collect();
            let places = self.conflicts_at(&batch, state.staged, restored)?;
            if let (Some(merging), None) =
                (merging.as_ref().filter(|_| options.staged), &options.from)
            {
                let paths = edits.values().map(|edit| edit.path.clone()).collect();
                let mut settled = self.conflicts_at(&batch, old.0, paths)?;
                settled.retain(|place| !places.contains(place));
                done.settled = settled.iter().map(place_text).collect();
                done.left_out = self.left_out(&batch, merging, &edits)?;
            }
            let suspects: Vec<RepoPath> = places.iter().map(|place| place.path.clone()).collect();
            self.note_suspects(&mut state, &suspects);
            done.conflicts = places.iter().map(place_text).collect();
            if let Some(merging) = &mut state.merging {
                merging.message = merging.message.take().map(|it| without_reasons(&it, &edits));
            }
        }
        if options.dry_run {
            return Ok(done);
        }
        let mut writer = self.objects.writer()?;
        batch.flush(&mut *writer)?;
        writer.finish()?;
        // Files before the stage, as in a merge: what is cut short shows as changes, and the call again ends it.
        let after = self.schemas_for_reading(&batch, state.staged)?;
        let updated = self.write_changes(&differing, (&before, &after), Rows::new(), progress)?;
        match old == (state.staged, state.touched) {
            true => self.workspace.cache(&updated.rows)?,
            false => self.save_state(&state, &updated.rows)?,
        }
        Ok(done)
    }

    /// What shall be at and below `paths`, and what is staged there; and what the sides of a rename put at a
    /// place, which the merge has beyond that.
    fn to_restore(
        &self,
        batch: &Batch<'_>,
        state: &State,
        paths: &[RepoPath],
        source: &Source<'_>,
        options: &RestoreOptions,
    ) -> Result<(Changes, Vec<(PathKey, Entry)>), RepoError> {
        let mut changes = Changes::new();
        let mut stored = Vec::new();
        let made = match source {
            Source::Merge(merging) => {
                self.made_by_merge(batch, state, merging, options.apply_memory)?
            }
            _ => Vec::new(),
        };
        for path in paths {
            self.refuse_leaving(path)?;
            let known = changes.len();
            self.tracked_below(state.staged, path, &mut |path, named| {
                let here = Some((path.clone(), named.clone()));
                let new = if matches!(source, Source::Commit(..)) { None } else { here.clone() };
                let path = path.clone();
                changes.entry(path.key()).or_insert(PathChange { path, old: here, new });
            })?;
            if let Source::Commit(_, tree) = source {
                self.tracked_below(*tree, path, &mut |path, named| {
                    put(&mut changes, path, Some((path.clone(), named.clone())));
                })?;
            }
            let mut met = changes.len() > known;
            for Made { path: place, new, along } in &made {
                let places = along.iter().map(|(place, _)| place);
                if !std::iter::once(place).chain(places).any(|place| is_below(place, path)) {
                    continue;
                }
                met = true;
                put(&mut changes, place, new.clone());
                for (place, entry) in along {
                    put(&mut changes, place, None);
                    stored.push((place.key(), *entry));
                }
            }
            // Another of the paths may have met it all.
            let met = met || changes.values().any(|change| is_below(&change.path, path));
            if !met && !path.is_root() {
                let place = match source {
                    Source::Commit(..) => options.from.as_deref().unwrap_or("HEAD"),
                    _ => "what is staged",
                };
                return Err(self.no_path(path, place));
            }
        }
        for change in changes.values_mut().filter(|change| change.old.is_none()) {
            let staged = self.staged_at(state.staged, &change.path)?;
            let staged = staged.filter(|named| !matches!(named.entry, Entry::Tree { .. }));
            change.old = staged.map(|named| {
                let above = change.path.parent().unwrap_or_default();
                (above.join(&named.name), named)
            });
        }
        changes.retain(|_, change| change.old.is_some() || change.new.is_some());
        Ok((changes, stored))
    }

    /// The places at which the merge that waits made something else than our side has, or left a conflict.
    fn made_by_merge(
        &self,
        batch: &Batch<'_>,
        state: &State,
        merging: &Merging,
        apply_memory: bool,
    ) -> Result<Vec<Made>, RepoError> {
        let rules = merging.rules()?;
        let memory = if apply_memory { self.memory_to_apply()? } else { Memory::default() };
        let options = MergeOptions { rules, memory, ..MergeOptions::default() };
        let tree = self.merge_again(batch, state, merging, options)?.tree;
        let mut made = BTreeMap::new();
        diff_paths(batch, self.commit(merging.ours)?.tree, tree, &mut |change| {
            let PathChange { path, new, .. } = change;
            made.insert(path.key(), Made { path, new, along: Vec::new() });
            Ok::<(), RepoError>(())
        })?;
        for place in self.conflicts_made(batch, tree, &[merging.ours, merging.theirs])? {
            let path = place.path;
            let Some(named) = lookup_path(batch, tree, &path)? else { continue };
            let mut along = Vec::new();
            if let Some(conflict) = entry_conflict(batch, &named.entry)?
                && conflict.kind == ConflictKind::RenameRename
            {
                along = places_of_sides(batch, &conflict)?;
                along.retain(|(place, _)| place.key() != path.key());
            }
            let new = Some((path.clone(), named));
            made.insert(path.key(), Made { path, new, along });
        }
        // What was renamed since goes with the place that the merge made.
        diff_paths(batch, self.commit(merging.ours)?.tree, state.staged, &mut |change| {
            if let (None, Some((path, named))) = (change.old, change.new) {
                for former in &named.former {
                    if let Some(it) = made.get_mut(&former.key()).filter(|it| it.new.is_some()) {
                        it.along.push((path.clone(), named.entry));
                    }
                }
            }
            Ok::<(), RepoError>(())
        })?;
        // Where the merge has something of its own, that place is not free.
        let taken: Vec<PathKey> =
            made.values().filter(|it| it.new.is_some()).map(|it| it.path.key()).collect();
        for it in made.values_mut() {
            it.along.retain(|(place, _)| !taken.contains(&place.key()));
        }
        Ok(made.into_values().collect())
    }

    /// Whether the working copy has something else at a place than shall be there.
    fn differs(
        &self,
        batch: &Batch<'_>,
        change: &PathChange,
        schemas: &Schemas,
    ) -> Result<bool, RepoError> {
        let mut differs = false;
        if let Some((path, _)) = &change.old
            && change.new.as_ref().is_none_or(|(new, _)| new != path)
        {
            differs |= lstat(&self.disk_path(path))?.is_some_and(|found| !found.is_dir());
        }
        if let Some((path, named)) = &change.new {
            let entry = shown(batch, named.entry)?;
            let expected: Vec<Entry> =
                change.old.iter().map(|(_, named)| named.entry).chain(entry).collect();
            let here = self.look_unless_blocked(path, &expected, schemas, &mut Rows::new())?;
            differs |= match (entry, here) {
                (Some(entry), Some(here)) => !same_file(&entry, &here),
                (None, None) => false,
                _ => true,
            };
        }
        Ok(differs)
    }

    /// The paths of these that theirs changed and ours has otherwise.
    fn left_out(
        &self,
        batch: &Batch<'_>,
        merging: &Merging,
        edits: &Edits,
    ) -> Result<Vec<String>, RepoError> {
        let tree = |commit| Ok::<TreeId, RepoError>(self.commit(commit)?.tree);
        let [ours, theirs] = [tree(merging.ours)?, tree(merging.theirs)?];
        let mut left_out = Vec::new();
        for PathEdit { path, .. } in edits.values() {
            let our = lookup_path(batch, ours, path)?;
            let (our, former) = our.map(|named| (named.entry, named.former)).unzip();
            let former = former.unwrap_or_default();
            let their = self.stood_at(batch, theirs, path, &former)?;
            let mut is_theirs = their != our;
            for base in &merging.bases {
                is_theirs &= their != self.stood_at(batch, tree(*base)?, path, &former)?;
            }
            if is_theirs {
                left_out.push(path.to_string());
            }
        }
        Ok(left_out)
    }

    /// Gives up what is staged about the layers of the documents at and below `paths`.
    fn restore_layers(
        &self,
        batch: &Batch<'_>,
        state: &mut State,
        paths: &[RepoPath],
    ) -> Result<(), RepoError> {
        let Some(Touched { base, own: staged }) = state.touched else { return Ok(()) };
        let own = self.commit(base)?.own.unwrap_or(EMPTY_TREE);
        let mut edits = Edits::new();
        for document in self.touched_documents(state)? {
            if paths.iter().any(|path| is_below(&document, path)) {
                let layer = layer_at(batch, own, &document)?;
                edits.extend([layer_edit(batch, &document, layer.as_ref())?]);
            }
        }
        let left = self.apply(staged, &edits, batch)?;
        state.touched = (left != own).then_some(Touched { base, own: left });
        Ok(())
    }
}

/// Has `new` be at a place.
fn put(changes: &mut Changes, path: &RepoPath, new: Option<(RepoPath, NamedEntry)>) {
    let change = PathChange { path: path.clone(), old: None, new: None };
    let change = changes.entry(path.key()).or_insert(change);
    if new.is_some() {
        change.path = path.clone();
    }
    change.new = new;
}

fn named(side: &Option<(RepoPath, NamedEntry)>) -> Option<&NamedEntry> {
    side.as_ref().map(|(_, named)| named)
}

/// What the working copy shows of an entry: of a conflict the first side, unless that is a folder or nothing.
fn shown(batch: &Batch<'_>, entry: Entry) -> Result<Option<Entry>, RepoError> {
    let Some(conflict) = entry_conflict(batch, &entry)? else { return Ok(Some(entry)) };
    let first = conflict.terms.adds().next().and_then(Term::value).copied();
    Ok(first.filter(|entry| !matches!(entry, Entry::Tree { .. })))
}

/// Refuses files in conflict: no side passes for what another revision has.
fn refuse_sides(changes: &Changes) -> Result<(), RepoError> {
    let in_conflict = |change: &&PathChange| {
        named(&change.new).is_some_and(|named| matches!(named.entry, Entry::Conflict(_)))
    };
    let paths: Vec<String> =
        changes.values().filter(in_conflict).map(|change| change.path.to_string()).collect();
    if paths.is_empty() { Ok(()) } else { Err(RepoError::Conflicts { paths }) }
}

/// Where the sides of a rename put what it is about.
fn places_of_sides(
    batch: &Batch<'_>,
    conflict: &Conflict<Entry>,
) -> Result<Vec<(RepoPath, Entry)>, RepoError> {
    let mut places = Vec::new();
    for side in conflict.terms.adds().filter_map(Term::value) {
        places.extend(leaves(batch, side)?.into_iter().map(|(path, named)| (path, named.entry)));
    }
    Ok(places)
}

/// A message without the reasons given for resolutions at these places; what the user wrote stays.
fn without_reasons(message: &str, edits: &Edits) -> String {
    let paths: Vec<String> = edits.values().map(|edit| edit.path.to_string()).collect();
    let is_kept = |reason: &&str| {
        !paths.iter().any(|path| {
            let rest = reason.strip_prefix(path.as_str());
            rest.is_some_and(|rest| rest.starts_with(": ") || rest.starts_with("#/"))
        })
    };
    let mut parts = message.split(REASON);
    let own = parts.next().unwrap_or_default();
    let kept: Vec<&str> = parts.filter(is_kept).collect();
    let Some((last, before)) = kept.split_last() else { return own.trim_end().to_owned() };
    let mut text = own.to_owned();
    for reason in before {
        text += &format!("{REASON}{reason}");
    }
    format!("{text}{REASON}{}", last.trim_end())
}
