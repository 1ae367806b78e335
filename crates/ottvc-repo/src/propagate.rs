//! Propagation: what a parent changed, brought to the editions that inherit from it.
//!
//! It moves pins. Work is in proportion to what changed in the inherited documents, for each target: the
//! change of the parent is found once, and only documents in it are looked at.

use std::collections::{BTreeMap, HashMap};

use ottvc_merge::layers::{self, Layer, Propagated, UnitOutcome};
use ottvc_object::commit::{ConflictPlace, Pin};
use ottvc_object::tree::EMPTY_TREE;
use ottvc_object::value::{Document, Value};
use ottvc_object::{CommitId, EditionId, ObjectError, RepoPath, TreeId};
use ottvc_refs::RefKind;

use crate::layers::{
    changed_documents, document_at, document_edit, explained, in_the_way, layer_at, layer_edit,
};
use crate::nodes::Batch;
use crate::plan::{Becomes, NewPin, OutcomeRow, Plan, PlanNotice, Target, TargetState};
use crate::revision::Revision;
use crate::schemas::Found;
use crate::stage::Edits;
use crate::{Repo, RepoError};

/// The most editions one above the other that are looked through.
pub(crate) const MAX_LINE: usize = 64;

/// Which edition each edition inherits from, of those that are branches.
pub(crate) type Parents = HashMap<EditionId, EditionId>;

impl Repo {
    /// Returns, of every branch whose edition inherits, from which edition.
    pub(crate) fn parents_of_editions(&self) -> Result<Parents, RepoError> {
        let mut parents = Parents::new();
        for (name, value) in self.refs.list()? {
            let edition = value.edition.filter(|_| name.kind() == RefKind::Branch);
            if let (Some(edition), Some(head)) = (edition, value.target)
                && let Some(pin) = self.commit(head)?.pin
            {
                parents.insert(edition.id, pin.edition);
            }
        }
        Ok(parents)
    }

    /// The newest commit of an edition that is a branch with one.
    pub(crate) fn edition_head(&self, edition: EditionId) -> Result<Option<CommitId>, RepoError> {
        for (name, value) in self.refs.list()? {
            let same = value.edition.is_some_and(|it| it.id == edition);
            if name.kind() == RefKind::Branch && same {
                return Ok(value.target);
            }
        }
        Ok(None)
    }

    /// Returns the branches whose editions inherit, in name order, and what they are pinned to.
    pub(crate) fn pins(&self) -> Result<Vec<(String, Pin)>, RepoError> {
        let mut pins = Vec::new();
        for (name, value) in self.refs.list()? {
            if name.kind() == RefKind::Branch
                && let Some(head) = value.target
                && let Some(pin) = self.commit(head)?.pin
                && value.edition.is_none_or(|own| own.id != pin.edition)
            {
                pins.push((name.short().to_owned(), pin));
            }
        }
        Ok(pins)
    }

    /// Plans to move the pins of editions to `rev`: of those branches matching a pattern in `to` that inherit
    /// from the edition `rev` is a state of, directly, or from another that moves.
    ///
    /// # Errors
    /// [`RepoError::Conflicts`] if `rev` holds conflicts, which nobody inherits; what [`Repo::resolve`]
    /// returns; [`RepoError::UnknownRevision`] for a pattern that names no branch, [`RepoError::Unborn`]
    /// where none that they name has a commit.
    pub fn plan_propagation(
        &self,
        rev: &str,
        to: &[String],
        message: Option<String>,
    ) -> Result<Plan<'_>, RepoError> {
        let Revision { id: source, edition: named, .. } = self.resolve(rev)?;
        let commit = self.commit(source)?;
        self.refuse_conflicts(&commit)?;
        let mut targets = self.targets(to)?;
        let parents = self.parents_of_editions()?;
        parents_first(&mut targets, &parents);
        let batch = Batch::new(&self.nodes);
        let message = message.unwrap_or_else(|| format!("Propagate {rev} ({})", source.short()));
        let mut mover = Mover {
            repo: self,
            batch: &batch,
            source: (source, named.unwrap_or(commit.edition), commit.tree),
            parents,
            changes: HashMap::new(),
            newer: HashMap::new(),
            heads: HashMap::new(),
        };
        let mut done: Vec<Target> = Vec::new();
        for mut target in targets {
            mover.plan(&mut target, &done)?;
            done.push(target);
        }
        let edition = named.unwrap_or(commit.edition);
        let alone = done.len() == 1;
        let notice = |target: &Target| {
            let branch = target.name.short().to_owned();
            let why = match target.edition() == edition {
                // A wide pattern names it, too, and nobody means that.
                true if alone => format!("`{branch}` is the edition whose state is propagated"),
                true => return None,
                false => format!(
                    "`{branch}` does not inherit from `{rev}`; `ottvc apply` pushes a change to it"
                ),
            };
            Some(PlanNotice { branch, why })
        };
        let unrelated = done.iter().filter(|target| target.state == TargetState::Unrelated);
        let notices = unrelated.filter_map(notice).collect();
        Ok(Plan { command: "propagate", source, message, targets: done, notices, batch })
    }
}

/// Sorts targets so that each comes behind those it inherits from, and by name where that leaves a choice.
pub(crate) fn parents_first(targets: &mut [Target], parents: &Parents) {
    let depth = |edition: EditionId| {
        let mut at = Some(edition);
        (0..MAX_LINE)
            .take_while(|_| {
                at = at.and_then(|edition| parents.get(&edition).copied());
                at.is_some()
            })
            .count()
    };
    targets.sort_by_cached_key(|target| (depth(target.edition()), target.name.clone()));
}

/// Whether `edition` inherits from one that `wanted` accepts, directly or through others.
fn inherits_from(
    edition: EditionId,
    parents: &Parents,
    wanted: impl Fn(EditionId) -> bool,
) -> bool {
    let mut at = edition;
    for _ in 0..MAX_LINE {
        match parents.get(&at) {
            Some(parent) if wanted(*parent) => return true,
            Some(parent) => at = *parent,
            None => return false,
        }
    }
    false
}

/// Plans one target after the other; remembers what they share.
struct Mover<'a, 'r> {
    repo: &'r Repo,
    batch: &'a Batch<'r>,
    source: (CommitId, EditionId, TreeId),
    parents: Parents,
    /// Documents that two trees do not share.
    changes: HashMap<(TreeId, TreeId), Vec<RepoPath>>,
    newer: HashMap<(CommitId, CommitId), bool>,
    /// The newest commits of editions.
    heads: HashMap<EditionId, Option<CommitId>>,
}

impl Mover<'_, '_> {
    fn plan(&mut self, target: &mut Target, done: &[Target]) -> Result<(), RepoError> {
        let Some(pin) = target.commit.pin else {
            target.state = TargetState::Unrelated;
            return Ok(());
        };
        let (source, edition, tree) = self.source;
        let above = done.iter().enumerate().find(|(_, it)| it.edition() == pin.edition);
        let (newest, tree, new_pin) = match above {
            _ if pin.edition == edition => {
                (source, tree, NewPin::Moved(Pin { edition, commit: source }))
            }
            Some((place, above)) => match above.becomes.filter(|_| above.conflicts.is_empty()) {
                Some(becomes) => (above.head, becomes.tree, NewPin::Target(pin.edition, place)),
                // It moved before, without this one.
                None if above.state == TargetState::UpToDate
                    && above.commit.conflicts.is_empty() =>
                {
                    let pin = Pin { edition: pin.edition, commit: above.head };
                    (above.head, above.commit.tree, NewPin::Moved(pin))
                }
                None => {
                    target.state = match above.state {
                        TargetState::Unrelated => TargetState::Unrelated,
                        _ => TargetState::ParentStays,
                    };
                    target.waits_for = above.holds_back();
                    return Ok(());
                }
            },
            None => {
                let related =
                    inherits_from(target.edition(), &self.parents, |parent| parent == edition);
                target.state =
                    if related { TargetState::ParentStays } else { TargetState::Unrelated };
                return Ok(());
            }
        };
        if let NewPin::Target(_, place) = new_pin {
            target.waits_for = done.get(place).and_then(Target::holds_back);
        }
        if pin.commit == newest && !matches!(new_pin, NewPin::Target(..)) {
            return Ok(());
        }
        if !self.is_newer(pin.commit, newest)? {
            if !self.is_given_up(pin, newest)? {
                target.state = TargetState::NotNewer;
                return Ok(());
            }
            target.gave_up = Some(pin.commit);
        }
        self.move_pin(target, self.repo.commit(pin.commit)?.tree, tree, new_pin)
    }

    /// Whether the parent's branch no longer leads to a pin, as after an undo, and does lead to `newest`: no later
    /// state would ever be newer than that pin.
    fn is_given_up(&mut self, pin: Pin, newest: CommitId) -> Result<bool, RepoError> {
        let head = match self.heads.get(&pin.edition) {
            Some(head) => *head,
            None => {
                let head = self.repo.edition_head(pin.edition)?;
                *self.heads.entry(pin.edition).or_insert(head)
            }
        };
        let Some(head) = head else { return Ok(false) };
        Ok(!self.is_newer(pin.commit, head)? && self.is_newer(newest, head)?)
    }

    fn is_newer(&mut self, old: CommitId, new: CommitId) -> Result<bool, RepoError> {
        if let Some(known) = self.newer.get(&(old, new)) {
            return Ok(*known);
        }
        let newer = self.repo.is_ancestor(old, new)?;
        self.newer.insert((old, new), newer);
        Ok(newer)
    }

    /// Plans what a target becomes whose inherited tree goes from `old` to `new`.
    fn move_pin(
        &mut self,
        target: &mut Target,
        old: TreeId,
        new: TreeId,
        pin: NewPin,
    ) -> Result<(), RepoError> {
        if !self.changes.contains_key(&(old, new)) {
            let mut changed = BTreeMap::new();
            changed_documents(self.batch, old, new, &mut changed)?;
            self.changes.insert((old, new), changed.into_values().collect());
        }
        let changed = self.changes.get(&(old, new)).map(Vec::as_slice).unwrap_or_default();
        if changed.is_empty() {
            return Ok(());
        }
        let batch = self.batch;
        let own = target.commit.own.unwrap_or(EMPTY_TREE);
        let schemas = self.repo.schemas(batch, target.commit.tree)?;
        let (mut shown_edits, mut own_edits) = (Edits::new(), Edits::new());
        let mut places = target.commit.conflicts.clone();
        let mut clean = true;
        for path in changed {
            let schema = schemas.of(path).map(|schema| &**schema);
            let from = document_at(batch, old, path, schema)?;
            let to = document_at(batch, new, path, schema)?;
            let shown = document_at(batch, target.commit.tree, path, schema)?;
            let blocked = in_the_way(batch, target.commit.tree, &shown_edits, path)?;
            let layer = match blocked.is_some() {
                // Something else stands there; whatever the parent has, it is not shown.
                true => Some(Layer::no_document()),
                false => {
                    let own = layer_at(batch, own, path)?;
                    explained(schema, from.as_ref(), own, shown.as_ref()).own
                }
            };
            let moved = layers::propagate(schema, from.as_ref(), to.as_ref(), layer.as_ref());
            if let Some(why) = past_limits(&moved) {
                target.stay(Found::past_limits(path, why));
                return Ok(());
            }
            clean &= moved.is_clean();
            let blocked = blocked.map(|path| path.to_string());
            let told = moved.outcomes.iter().map(|it| row(path, it));
            target.rows.extend(told.map(|row| OutcomeRow { blocked: blocked.clone(), ..row }));
            // Layers lie at the paths of documents, and where one is none can be below.
            if in_the_way(batch, own, &own_edits, path)?.is_none() {
                own_edits.extend([layer_edit(batch, path, moved.own.as_ref())?]);
            }
            if moved.effective != shown {
                target.judge(schema, path, shown.as_ref(), moved.effective.as_ref());
                note_conflicts(&mut places, path, moved.effective.as_ref());
                let document = moved.effective.map(Document::new).transpose()?;
                shown_edits.extend([document_edit(batch, path, document.as_ref())?]);
                target.changed.push(path.clone());
            }
        }
        places.sort();
        let own = self.repo.apply(own, &own_edits, batch)?;
        target.becomes = Some(Becomes {
            tree: self.repo.apply(target.commit.tree, &shown_edits, batch)?,
            own: (own != EMPTY_TREE).then_some(own),
            pin,
        });
        target.conflicts = places;
        target.state = target.comes_to(clean);
        Ok(())
    }
}

/// Why what comes of a document cannot be kept: together with what the edition has, it may be too much.
fn past_limits(moved: &Propagated) -> Option<ObjectError> {
    let effective = moved.effective.clone().map(Document::new).transpose();
    effective.and_then(|_| moved.own.as_ref().map(Layer::to_document).transpose()).err()
}

/// Replaces the places of a document's conflicts by those it has now.
pub(crate) fn note_conflicts(
    places: &mut Vec<ConflictPlace>,
    path: &RepoPath,
    document: Option<&Value>,
) {
    places.retain(|place| place.path.key() != path.key());
    for (field, _) in document.map(Value::conflicts).unwrap_or_default() {
        places.push(ConflictPlace { path: path.clone(), field: Some(field) });
    }
}

fn row(path: &RepoPath, it: &UnitOutcome) -> OutcomeRow {
    let conflict = it.conflict.map(|kind| kind.word());
    let row = OutcomeRow::new(path, &it.unit, it.own.as_ref(), it.outcome.word());
    OutcomeRow { conflict, ..row }
}
