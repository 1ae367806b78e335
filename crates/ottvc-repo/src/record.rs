//! Recording: `commit`.

use std::collections::BTreeSet;
use std::path::Path;

use ottvc_object::commit::{ConflictPlace, MergeRecord, Provenance};
use ottvc_object::conflict::Conflict;
use ottvc_object::tree::{EMPTY_TREE, diff_paths, lookup_path};
use ottvc_object::value::Document;
use ottvc_object::{Commit, CommitId, EditionId, Entry, RepoPath, Signature, TreeId};
use ottvc_refs::{Operation, RefEdit, RefName, RefTransaction, RefValue};
use serde::Serialize;

use crate::cache::Rows;
use crate::derived::{Again, FilmRow};
use crate::layers::{Layered, Next};
use crate::nodes::Batch;
use crate::stage::Edits;
use crate::workspace::{Head, State, Touched};
use crate::{Progress, Repo, RepoError, parallel, random_id};

/// What a commit should say.
#[derive(Clone, Debug, Default)]
pub struct CommitOptions {
    /// Why; a merge has a message of its own where this is `None`.
    pub message: Option<String>,
    /// Stage all tracked changes first.
    pub all: bool,
    /// Commit only these paths, as they are in the working copy; with what else is staged left so.
    pub only: Vec<String>,
    /// Who made the change, if not the actor.
    pub author: Option<String>,
    /// When it was made, in UTC milliseconds since 1970, if not now.
    pub date: Option<i64>,
    /// Commit although conflicts are left.
    pub allow_conflicts: bool,
    /// Commit although nothing changed.
    pub allow_empty: bool,
    /// The program or model that made the change.
    pub provenance: Option<Provenance>,
}

/// What a commit holds.
#[derive(Clone, Debug, Serialize)]
pub struct Committed {
    /// The commit.
    #[serde(serialize_with = "crate::read::as_text")]
    pub commit: CommitId,
    /// The branch that moved; `None` when on no branch.
    pub branch: Option<String>,
    /// Its tree.
    #[serde(serialize_with = "crate::read::as_text")]
    pub tree: TreeId,
    /// Files in it.
    pub files: u64,
    /// Metadata documents in it.
    pub documents: u64,
    /// Bytes of all of those.
    pub logical_bytes: u64,
    /// Bytes the store took in for this commit that it did not have: tree nodes and the commit, and
    /// content where the commit staged it.
    pub new_bytes: u64,
    /// Paths that differ from the first parent.
    pub changed: u64,
    /// Conflicts left in it.
    pub conflicts: u64,
    /// Paths that the merge brought from theirs, and that the commit has as ours had them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// Tree nodes and other objects written.
    pub new_objects: u64,
    /// Fields made again of the films that a merge came to have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub made: Vec<FilmRow>,
    /// Fields that tell of other films than those the commit has in their place.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stale: Vec<FilmRow>,
}

impl Repo {
    /// Makes a commit from what is staged and moves the branch to it.
    ///
    /// # Errors
    /// [`RepoError::NothingToCommit`]; [`RepoError::Conflicts`] if some are left that the last commit did
    /// not have; [`RepoError::Protected`] if the branch takes none; [`RepoError::Invalid`] if a document it
    /// changes breaks its schema.
    pub fn record(
        &self,
        from: &Path,
        options: &CommitOptions,
        progress: &dyn Progress,
    ) -> Result<Committed, RepoError> {
        let mut state = self.state()?;
        let parent = self.head_commit_id(&state)?;
        let head_tree = self.head_tree(&state)?;
        let batch = Batch::new(&self.nodes);
        let mut rows = Rows::new();
        let mut noted = self.noted_films(parent)?;
        let mut tree = state.staged;
        let (mut taken_in, mut raw_bytes, mut new_objects) = (0, 0, 0);
        if options.all || !options.only.is_empty() {
            let paths = match options.all {
                true => vec![RepoPath::root()],
                false => self.repo_paths(from, &options.only)?,
            };
            if !options.only.is_empty() && state.merging.is_some() {
                return Err(RepoError::MergeInProgress { theirs: merging_name(&state) });
            }
            let before = state.staged;
            let taken = self.take_in(&mut state, &paths, options.all, &batch, progress)?;
            if before != head_tree {
                self.note_films(&batch, &mut noted, before, state.staged)?;
            }
            self.note_suspects(&mut state, &taken.suspects);
            (rows, raw_bytes, new_objects) = (taken.rows, taken.written.raw_bytes, taken.nodes);
            taken_in = taken.added.new_bytes;
            tree = if options.all {
                state.staged
            } else {
                // What the paths hold now, on top of the last commit: what was staged for other
                // paths stays staged.
                let mut edits = Edits::new();
                for path in &paths {
                    self.staged_against(head_tree, state.staged, path, &batch, &mut edits)?;
                }
                self.apply(head_tree, &edits, &batch)?
            };
        }
        let merging = state.merging.clone();
        let mut trees = vec![head_tree];
        if let Some(merging) = &merging {
            trees.push(self.commit(merging.theirs)?.tree);
        }
        let again = match &merging {
            Some(_) => {
                let changed = self.changed_paths(&batch, head_tree, tree)?;
                self.made_by_end(&batch, &state, parent, tree, (&changed, &noted))?
            }
            None => Again::default(),
        };
        if !again.edits.is_empty() {
            // Of a merge all that is staged is committed.
            tree = self.apply(tree, &again.edits, &batch)?;
            state.staged = tree;
        }
        let left_out = self.left_out_of_merge(&batch, &state)?;
        let bases = self.merge_bases(&state)?;
        let conformed = self.conform_tree(&batch, &trees, bases.as_deref(), tree)?;
        if !conformed.is_empty() {
            let whole = tree == state.staged;
            tree = self.apply(tree, &conformed, &batch)?;
            state.staged = if whole { tree } else { self.apply(state.staged, &conformed, &batch)? };
        }
        let only = match options.only.is_empty() {
            true => None,
            false => Some(self.repo_paths(from, &options.only)?),
        };
        let theirs = merging.as_ref().map(|merging| merging.theirs);
        let Next { layers, left } =
            self.next_layers(&batch, &state, parent, tree, theirs, only.as_deref())?;
        let before = match parent {
            Some(parent) => self.commit(parent)?.own,
            None => None,
        };
        let same = tree == head_tree && layers.own == before;
        if same && merging.is_none() && !options.allow_empty {
            return Err(RepoError::NothingToCommit);
        }
        let parents: Vec<CommitId> = parent.into_iter().chain(theirs).collect();
        let conflicts = self.conflicts_made(&batch, tree, &parents)?;
        // Those of the last commit were allowed there; others must be allowed here.
        let known: BTreeSet<ConflictPlace> = match (&merging, parent) {
            (None, Some(parent)) => self.commit(parent)?.conflicts.into_iter().collect(),
            _ => BTreeSet::new(),
        };
        let are_new = conflicts.iter().any(|place| !known.contains(place));
        if are_new && !options.allow_conflicts {
            self.note_conflicts(&conflicts)?;
            return Err(RepoError::Conflicts { paths: conflicts.iter().map(place_text).collect() });
        }
        self.refuse_conflicts_here(&state.head, &conflicts)?;
        let message = match (&options.message, &merging) {
            (Some(message), _) => message.clone(),
            (None, Some(merging)) => merging.message(),
            (None, None) => {
                return Err(RepoError::BadArgument {
                    given: String::new(),
                    wanted: "commit message",
                    why: "say why with -m".into(),
                });
            }
        };
        let sides = match &merging {
            Some(_) => self.sides_merged(&state, parent)?,
            None => None,
        };
        let stale = self.stale_films(&batch, sides.unwrap_or([head_tree; 3]), tree, &noted)?;
        let draft = Draft {
            layers,
            parents,
            message,
            conflicts,
            merge: merging.map(|merging| MergeRecord {
                bases: merging.bases,
                rules: merging.rules,
                engine: ottvc_merge::ENGINE_VERSION,
            }),
            author: options.author.clone(),
            date: options.date,
            provenance: options.provenance.clone(),
            ..Draft::new(tree)
        };
        let command = if draft.merge.is_some() { "merge" } else { "commit" };
        let (id, commit) = self.make_commit(&batch, &state, draft)?;
        new_objects += batch.len();
        let mut writer = self.objects.writer()?;
        batch.flush(&mut *writer)?;
        let written = writer.finish()?;
        if !again.edits.is_empty() {
            let schemas = self.schemas(&batch, tree)?;
            rows.extend(self.write_settled((&schemas, &schemas), &again.edits)?);
        }
        match (state.merging.take(), parent) {
            (Some(merging), _) => {
                self.remember_merge(&state, &merging, (id, tree), &mut rows)?;
            }
            (None, Some(parent)) => {
                self.remember_settled(&self.commit(parent)?, (id, tree), &mut rows)?;
            }
            (None, None) => {}
        }
        state.touched = left.map(|own| Touched { base: id, own });
        // What stays staged may still hold some.
        let is_done = |path: &RepoPath| only.iter().flatten().any(|done| is_below(path, done));
        state.suspects.retain(|path| only.is_some() && !is_done(path));
        rows.extend(noted.rows_after(id, options.only.is_empty())?);
        let summary = format!("{command}: {}", first_line(&commit.message));
        self.move_head(&mut state, &rows, id, command, &summary)?;
        let sums = crate::nodes::totals(&self.nodes, tree)?;
        let changed = self.count_changes(head_tree, tree)?;
        Ok(Committed {
            commit: id,
            branch: branch_name(&state),
            tree,
            files: sums.files,
            documents: sums.documents,
            logical_bytes: sums.bytes,
            new_bytes: (raw_bytes + written.raw_bytes).max(taken_in),
            changed,
            conflicts: commit.conflicts.len() as u64,
            left_out,
            new_objects,
            made: again.made,
            stale,
        })
    }

    /// Adds to `edits` what is staged at and below `path` and differs from `head`.
    fn staged_against(
        &self,
        head: TreeId,
        staged: TreeId,
        path: &RepoPath,
        batch: &Batch<'_>,
        edits: &mut Edits,
    ) -> Result<(), RepoError> {
        diff_paths(batch, head, staged, &mut |change| {
            if is_below(&change.path, path) {
                edits.entry(change.path.key()).or_insert_with(|| ottvc_object::tree::PathEdit {
                    path: change.path.clone(),
                    new: change.new.as_ref().map(|(_, named)| named.clone()),
                });
            }
            Ok(())
        })
    }

    /// Finds the conflicts of what is staged, among the places that may hold one.
    pub(crate) fn conflict_places(
        &self,
        batch: &Batch<'_>,
        tree: TreeId,
        state: &State,
        parent: Option<CommitId>,
    ) -> Result<Vec<ConflictPlace>, RepoError> {
        let mut suspects = state.suspects.clone();
        if let Some(parent) = parent {
            suspects.extend(self.commit(parent)?.conflicts.into_iter().map(|place| place.path));
        }
        self.conflicts_at(batch, tree, suspects)
    }

    /// Finds the conflicts a commit of `tree` would hold. Whatever differs from every parent is looked at, as a
    /// commit that keeps quiet about a conflict hides it from all who ask later; of the rest the parents know.
    /// Parents may be in the batch.
    pub(crate) fn conflicts_made(
        &self,
        batch: &Batch<'_>,
        tree: TreeId,
        parents: &[CommitId],
    ) -> Result<Vec<ConflictPlace>, RepoError> {
        let mut suspects: Vec<RepoPath> = Vec::new();
        let mut differing: Option<Vec<RepoPath>> = None;
        for parent in parents {
            let parent: Commit = batch.load(*parent)?;
            suspects.extend(parent.conflicts.into_iter().map(|place| place.path));
            differing = Some(disputable(batch, parent.tree, tree, differing)?);
        }
        suspects.extend(match differing {
            Some(differing) => differing,
            None => disputable(batch, EMPTY_TREE, tree, None)?,
        });
        self.conflicts_at(batch, tree, suspects)
    }

    /// Finds the conflicts a tree holds at these paths.
    pub(crate) fn conflicts_at(
        &self,
        batch: &Batch<'_>,
        tree: TreeId,
        mut paths: Vec<RepoPath>,
    ) -> Result<Vec<ConflictPlace>, RepoError> {
        paths.sort();
        paths.dedup();
        let look = |(): &mut (), path: &RepoPath| {
            let field = |field| ConflictPlace { path: path.clone(), field };
            Ok(match lookup_path(batch, tree, path)?.map(|named| named.entry) {
                Some(Entry::Conflict(_)) => vec![field(None)],
                Some(Entry::Document { id, .. }) => {
                    let document: Document = batch.load(id)?;
                    let fields = document.value().conflicts().into_iter();
                    fields.map(|(at, _)| field(Some(at))).collect()
                }
                None | Some(Entry::File(_) | Entry::Tree { .. }) => Vec::new(),
            })
        };
        let found = parallel::map(self.jobs, &paths, || Ok(()), look)?;
        let mut places: Vec<ConflictPlace> = found.into_iter().flatten().collect();
        places.sort();
        places.dedup();
        Ok(places)
    }

    /// Has lists of conflicts name these, too.
    fn note_conflicts(&self, places: &[ConflictPlace]) -> Result<(), RepoError> {
        let mut state = self.state()?;
        let known = state.suspects.len();
        let paths: Vec<RepoPath> = places.iter().map(|place| place.path.clone()).collect();
        self.note_suspects(&mut state, &paths);
        if state.suspects.len() > known {
            self.save_state(&state, &Rows::new())?;
        }
        Ok(())
    }

    /// Completes a commit and puts it in the batch.
    pub(crate) fn make_commit(
        &self,
        batch: &Batch<'_>,
        state: &State,
        draft: Draft,
    ) -> Result<(CommitId, Commit), RepoError> {
        let edition = match &state.head {
            Head::Branch(name) => {
                self.refs.get(name)?.and_then(|value| value.edition).map(|edition| edition.id)
            }
            Head::Detached(id) => Some(self.commit(*id)?.edition),
        };
        self.make_commit_of(batch, edition, draft)
    }

    /// Completes a commit of an edition, a new one where there is none, and puts it in the batch. Parents may be
    /// in the batch.
    pub(crate) fn make_commit_of(
        &self,
        batch: &Batch<'_>,
        edition: Option<EditionId>,
        draft: Draft,
    ) -> Result<(CommitId, Commit), RepoError> {
        let mut generation = 0;
        for parent in &draft.parents {
            generation = generation.max(batch.load::<Commit>(*parent)?.generation);
        }
        let now = self.now();
        let commit = Commit {
            tree: draft.tree,
            parents: draft.parents,
            generation: generation + 1,
            author: Signature {
                who: one_line(draft.author.as_deref().unwrap_or(&self.actor))?,
                time: draft.date.unwrap_or(now),
            },
            committer: Signature { who: one_line(&self.actor)?, time: now },
            message: draft.message,
            edition: match edition {
                Some(id) => id,
                None => EditionId(random_id()?),
            },
            own: draft.layers.own,
            pin: draft.layers.pin,
            conflicts: draft.conflicts,
            merge: draft.merge,
            provenance: draft.provenance,
        };
        ottvc_object::Storable::validate(&commit)?;
        Ok((batch.store(&commit)?, commit))
    }

    /// Moves the branch the working copy is on, or the detached head, to a new commit, and saves the
    /// state with it.
    pub(crate) fn move_head(
        &self,
        state: &mut State,
        rows: &Rows,
        id: CommitId,
        command: &str,
        summary: &str,
    ) -> Result<(), RepoError> {
        self.move_head_with(state, rows, id, command, summary, Vec::new())
    }

    /// As [`Repo::move_head`], moving other refs in the same step.
    pub(crate) fn move_head_with(
        &self,
        state: &mut State,
        rows: &Rows,
        id: CommitId,
        command: &str,
        summary: &str,
        mut edits: Vec<RefEdit>,
    ) -> Result<(), RepoError> {
        match &state.head {
            Head::Detached(_) => {
                state.head = Head::Detached(id);
                if edits.is_empty() {
                    // No ref moves: the state is what must last.
                    return self.save_state(state, rows);
                }
            }
            Head::Branch(name) => {
                let old = self.refs.get(name)?;
                let new = RefValue {
                    target: Some(id),
                    edition: match &old {
                        Some(value) => value.edition.clone(),
                        None => Some(self.new_edition(None, None)?),
                    },
                };
                edits.push(RefEdit { name: name.clone(), old, new: Some(new) });
            }
        }
        self.transact_saving(state, rows, self.move_of(command, summary, edits)?).map(drop)
    }

    /// A transaction in this user's name and at this time.
    pub(crate) fn move_of(
        &self,
        command: &str,
        summary: &str,
        edits: Vec<RefEdit>,
    ) -> Result<RefTransaction, RepoError> {
        Ok(RefTransaction {
            write_id: random_id()?,
            edits,
            command: command.to_owned(),
            summary: summary.to_owned(),
            actor: self.actor.clone(),
            time: self.now(),
            undoes: None,
        })
    }

    /// Moves refs that the working copy's state does not follow.
    pub(crate) fn transact(
        &self,
        command: &str,
        summary: &str,
        edits: Vec<(RefName, Option<RefValue>, Option<RefValue>)>,
    ) -> Result<Operation, RepoError> {
        let edits = edits.into_iter().map(|(name, old, new)| RefEdit { name, old, new }).collect();
        self.move_refs(&self.move_of(command, summary, edits)?)
    }

    /// Moves refs, and saves the state and cache rows in the same atomic step: were the state to
    /// stay behind its branch, it would show what was just committed as staged to be taken back.
    pub(crate) fn transact_saving(
        &self,
        state: &State,
        rows: &Rows,
        transaction: RefTransaction,
    ) -> Result<Operation, RepoError> {
        self.refuse_protected(&Batch::new(&self.nodes), &transaction.edits)?;
        let before = self.workspace.load()?;
        let reforms = self.reforms(state.staged)?;
        self.loosen(&reforms)?;
        self.stage_state(state, rows, &transaction)?;
        let moved = self.move_refs(&transaction);
        if let (Err(_), Some(before)) = (&moved, before) {
            // A backend that could not join the two has saved the new state already. Where this fails
            // too, the error in hand is the one that matters.
            let _ = self.workspace.save(&before, &Rows::new());
        }
        let moved = moved?;
        self.tighten(&reforms)?;
        Ok(moved)
    }
}

/// Whether a path is `above`, or is below it.
pub(crate) fn is_below(path: &RepoPath, above: &RepoPath) -> bool {
    path.key().0.starts_with(&above.key().0)
}

/// The documents and conflicts that `tree` has otherwise than `parent`, of those `among` where it is given.
fn disputable(
    batch: &Batch<'_>,
    parent: TreeId,
    tree: TreeId,
    among: Option<Vec<RepoPath>>,
) -> Result<Vec<RepoPath>, RepoError> {
    let among: Option<BTreeSet<RepoPath>> = among.map(|paths| paths.into_iter().collect());
    let mut found = Vec::new();
    diff_paths(batch, parent, tree, &mut |change| {
        if let Some((path, named)) = change.new
            && matches!(named.entry, Entry::Document { .. } | Entry::Conflict(_))
            && among.as_ref().is_none_or(|among| among.contains(&path))
        {
            found.push(path);
        }
        Ok::<(), RepoError>(())
    })?;
    Ok(found)
}

/// A commit's own part, before the rest is filled in.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) tree: TreeId,
    pub(crate) parents: Vec<CommitId>,
    pub(crate) message: String,
    pub(crate) conflicts: Vec<ConflictPlace>,
    pub(crate) merge: Option<MergeRecord>,
    pub(crate) author: Option<String>,
    pub(crate) date: Option<i64>,
    pub(crate) provenance: Option<Provenance>,
    pub(crate) layers: Layered,
}

impl Draft {
    /// A draft that says nothing but what is in it.
    pub(crate) fn new(tree: TreeId) -> Self {
        Self {
            tree,
            parents: Vec::new(),
            message: String::new(),
            conflicts: Vec::new(),
            merge: None,
            author: None,
            date: None,
            provenance: None,
            layers: Layered::default(),
        }
    }
}

/// The name of the branch the working copy is on.
pub(crate) fn branch_name(state: &State) -> Option<String> {
    match &state.head {
        Head::Branch(name) => Some(name.short().to_owned()),
        Head::Detached(_) => None,
    }
}

/// What the user called the commit being merged.
fn merging_name(state: &State) -> String {
    state.merging.as_ref().map(|merging| merging.theirs_name.clone()).unwrap_or_default()
}

/// A conflict's place as `PATH` or `PATH#FIELD`.
pub(crate) fn place_text(place: &ConflictPlace) -> String {
    match &place.field {
        Some(field) => format!("{}#{field}", place.path),
        None => place.path.to_string(),
    }
}

/// The first line of a message.
pub(crate) fn first_line(message: &str) -> &str {
    message.lines().next().unwrap_or_default()
}

/// Refuses a name that would break a line.
fn one_line(who: &str) -> Result<String, RepoError> {
    let bad = |why: &str| RepoError::BadArgument {
        given: who.to_owned(),
        wanted: "author",
        why: why.to_owned(),
    };
    match who.trim() {
        "" => Err(bad("it is empty")),
        who if who.chars().any(char::is_control) => Err(bad("it holds a control character")),
        who if who.len() > 1024 => Err(bad("it is over 1024 bytes")),
        who => Ok(who.to_owned()),
    }
}

/// Loads the conflict that an entry holds.
pub(crate) fn entry_conflict(
    batch: &Batch<'_>,
    entry: &Entry,
) -> Result<Option<Conflict<Entry>>, RepoError> {
    match entry {
        Entry::Conflict(id) => batch.load(*id).map(Some),
        _ => Ok(None),
    }
}
