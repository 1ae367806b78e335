//! Operations: every command that moved a ref, and taking one back.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use ottvc_object::tree::EMPTY_TREE;
use ottvc_object::{CommitId, RepoPath, TreeId};
use ottvc_refs::{Operation, RefEdit, RefTransaction, RefValue};
use serde::Serialize;

use crate::cache::Rows;
use crate::nodes::Batch;
use crate::workspace::Head;
use crate::{Progress, Repo, RepoError};

/// An operation as lists show it.
#[derive(Clone, Debug, Serialize)]
pub struct OperationView {
    /// Its number.
    pub id: u64,
    /// The command that asked.
    pub command: String,
    /// One line for people.
    pub summary: String,
    /// Who asked.
    pub actor: String,
    /// When, in UTC milliseconds since 1970.
    pub time: i64,
    /// The operation it took back.
    pub undoes: Option<u64>,
    /// The refs it moved.
    pub refs: Vec<MovedRef>,
    /// Editions that inherit from a state it took back.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_behind: Vec<LeftBehind>,
    /// Paths of the working copy that it gave back to the stage, and changed in no file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub staged: Vec<String>,
}

/// An edition that inherits from a state that its parent's branch led to and leads to no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftBehind {
    /// Its branch.
    pub branch: String,
    /// The parent's branch.
    pub of: String,
}

/// One ref that an operation moved.
#[derive(Clone, Debug, Serialize)]
pub struct MovedRef {
    /// `heads/NAME` or `tags/NAME`.
    pub name: String,
    /// The commit before; `None` if there was none.
    pub old: Option<String>,
    /// The commit after; `None` if there is none.
    pub new: Option<String>,
}

impl OperationView {
    /// Shows an operation.
    pub fn of(operation: &Operation) -> Self {
        let target = |value: &Option<RefValue>| {
            value.as_ref().and_then(|value| value.target).map(|id| id.to_string())
        };
        Self {
            id: operation.id,
            command: operation.command.clone(),
            summary: operation.summary.clone(),
            actor: operation.actor.clone(),
            time: operation.time,
            undoes: operation.undoes,
            refs: operation
                .edits
                .iter()
                .map(|edit| MovedRef {
                    name: edit.name.to_string(),
                    old: target(&edit.old),
                    new: target(&edit.new),
                })
                .collect(),
            left_behind: Vec::new(),
            staged: Vec::new(),
        }
    }
}

/// How many operations `undo` looks back through for one to take back.
const LOOK_BACK: usize = 10_000;

impl Repo {
    /// Takes back an operation: every ref it moved says again what it said before. Without a number,
    /// the newest that is neither taken back nor itself an undo, so that asking again goes further
    /// back. The working copy follows, except that files and staging stay as they are when a plain
    /// commit is taken back.
    ///
    /// # Errors
    /// [`RepoError::MergeInProgress`]; [`RepoError::Protected`]; [`RepoError::CannotUndo`] if a ref moved since; [`RepoError::LocalChanges`] if a file would be
    /// overwritten, or what is staged about layers lost. Nothing has moved then.
    pub fn undo(
        &self,
        id: Option<u64>,
        progress: &dyn Progress,
    ) -> Result<OperationView, RepoError> {
        let operation = self.operation_to_undo(id)?;
        let cannot = |why: &str| RepoError::CannotUndo { id: operation.id, why: why.to_owned() };
        if operation.command == "init" {
            return Err(cannot("it made the repository"));
        }
        let mut state = self.state()?;
        // What it has changed so far stands on the commit that would be taken back.
        if let Some(merging) = &state.merging {
            return Err(RepoError::MergeInProgress { theirs: merging.theirs_name.clone() });
        }
        for edit in &operation.edits {
            if self.refs.get(&edit.name)? != edit.new {
                return Err(cannot(&format!("{} moved since", edit.name)));
            }
        }
        let targets: Vec<_> = operation
            .edits
            .iter()
            .filter_map(|edit| Some(edit.old.as_ref()?.target?.into()))
            .collect();
        // Where the commit is, all that it names is, and stays while we look at it.
        if self.objects.contains(&targets)?.contains(&false) {
            return Err(cannot("what it led away from was collected"));
        }
        let back = |edit: &RefEdit| RefEdit {
            name: edit.name.clone(),
            old: edit.new.clone(),
            new: edit.old.clone(),
        };
        let edits: Vec<RefEdit> = operation.edits.iter().map(back).collect();
        // Before any file moves.
        self.refuse_protected(&Batch::new(&self.nodes), &edits)?;
        let old_tree = self.head_tree(&state)?;
        let (mut moves, mut head_back) = (None, None);
        if let Head::Branch(head) = &state.head
            && let Some(edit) = operation.edits.iter().find(|edit| edit.name == *head)
        {
            let successor = renamed_back(&operation.edits, edit);
            match (&edit.old, successor) {
                (None, None) => return Err(cannot("the working copy is on the branch it made")),
                // A rename: the same commit under the old name again.
                (None, Some(renamed)) => head_back = Some(Head::Branch(renamed.name.clone())),
                (Some(before), _) => {
                    let tree = match before.target {
                        Some(commit) => self.commit(commit)?.tree,
                        None => EMPTY_TREE,
                    };
                    moves = Some((before.target, tree));
                }
            }
        }
        // Taking back a commit gives its changes back to the stage; everything else moves files.
        let keeps_files = operation.command == "commit";
        let carried = match moves {
            Some((to, _)) if keeps_files || state.staged != old_tree => {
                self.noted_films(self.head_commit_id(&state)?)?.rows_on(to)?
            }
            _ => Rows::new(),
        };
        let mut staged = Vec::new();
        let updated = match moves {
            Some((to, tree)) if !keeps_files => {
                self.refuse_lost_layers(&state, to)?;
                Some(self.move_to(&state, old_tree, tree, false, progress)?)
            }
            Some((to, tree)) => {
                staged = self.given_back(tree, (old_tree, state.staged))?;
                // They are staged again, too.
                if let Some(undone) = self.head_commit_id(&state)? {
                    let places = self.commit(undone)?.conflicts.into_iter();
                    let paths: Vec<RepoPath> = places.map(|place| place.path).collect();
                    self.note_suspects(&mut state, &paths);
                }
                self.stage_layers_again(&mut state, to)?;
                None
            }
            None => None,
        };
        state.head = head_back.unwrap_or(state.head);
        let mut rows = carried;
        if let Some((staged, updated)) = updated {
            state.staged = staged;
            rows.extend(updated.rows);
        }
        let summary = format!("undo {}: {}", operation.id, operation.summary);
        let undo =
            RefTransaction { undoes: Some(operation.id), ..self.move_of("undo", &summary, edits)? };
        let done = self.transact_saving(&state, &rows, undo)?;
        let left_behind = self.left_behind(&done)?;
        Ok(OperationView { left_behind, staged, ..OperationView::of(&done) })
    }

    /// The paths that a commit changed and that are still staged with a change, once the branch is back at the
    /// tree from before it.
    fn given_back(
        &self,
        before: TreeId,
        (undone, staged): (TreeId, TreeId),
    ) -> Result<Vec<String>, RepoError> {
        let undone = self.staged_rows(before, undone)?;
        let paths: HashSet<&str> = undone.iter().map(|row| row.path.as_str()).collect();
        let staged = self.staged_rows(before, staged)?.into_iter().map(|row| row.path);
        Ok(staged.filter(|path| paths.contains(path.as_str())).collect())
    }

    /// Finds the editions that inherit from what an operation led branches back from.
    fn left_behind(&self, operation: &Operation) -> Result<Vec<LeftBehind>, RepoError> {
        let mut back = HashMap::new();
        for RefEdit { name, old, new } in &operation.edits {
            let target = |value: &Option<RefValue>| value.as_ref().and_then(|value| value.target);
            let edition = new.as_ref().and_then(|value| value.edition.as_ref());
            if let (Some(edition), Some(from), Some(to)) = (edition, target(old), target(new))
                && from != to
            {
                back.insert(edition.id, (name, from, to));
            }
        }
        // Of many heirs most inherit from the same state.
        let mut gone: HashMap<CommitId, bool> = HashMap::new();
        let mut left = Vec::new();
        for (branch, pin) in self.pins()? {
            let Some((of, from, to)) = back.get(&pin.edition) else { continue };
            let gone = match gone.entry(pin.commit) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(unknown) => *unknown.insert(
                    self.is_ancestor(pin.commit, *from)? && !self.is_ancestor(pin.commit, *to)?,
                ),
            };
            if gone {
                left.push(LeftBehind { branch, of: of.short().to_owned() });
            }
        }
        left.sort_by(|one, other| (&one.of, &one.branch).cmp(&(&other.of, &other.branch)));
        Ok(left)
    }

    /// Finds the operation to take back.
    fn operation_to_undo(&self, id: Option<u64>) -> Result<Operation, RepoError> {
        let none = |id, why: &str| RepoError::CannotUndo { id, why: why.to_owned() };
        if let Some(id) = id {
            return self.refs.operation(id)?.ok_or_else(|| none(id, "there is no such operation"));
        }
        let mut undone = std::collections::HashSet::new();
        for operation in self.refs.operations(None, LOOK_BACK)? {
            match operation.undoes {
                // An undo that was itself taken back no longer counts.
                Some(target) if !undone.contains(&operation.id) => {
                    undone.insert(target);
                }
                Some(_) => {}
                None if undone.contains(&operation.id) || operation.command == "init" => {}
                None => return Ok(operation),
            }
        }
        Err(none(0, "there is nothing to take back"))
    }
}

/// The edit that took over what `edit` made, if the operation was a rename.
fn renamed_back<'e>(edits: &'e [RefEdit], edit: &RefEdit) -> Option<&'e RefEdit> {
    edits
        .iter()
        .find(|other| other.name != edit.name && other.new.is_none() && other.old == edit.new)
}
