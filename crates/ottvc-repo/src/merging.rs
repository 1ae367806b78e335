//! Merging one revision into the branch the working copy is on.

mod inherited;
mod trees;

use ottvc_merge::{
    BasePlan, BaseStep, Choice, Editions, EntryDecision, Memory, MergeOptions, Rule, resolve_in,
};
use ottvc_object::commit::{ConflictPlace, MergeRecord};
use ottvc_object::conflict::{Conflict, ConflictKind};
use ottvc_object::field_path::FieldPath;
use ottvc_object::tree::{EMPTY_TREE, PathChange, lookup_path};
use ottvc_object::value::{Document, Value, value_to_json};
use ottvc_object::{Commit, CommitId, Entry, RepoPath, TreeId};
use ottvc_refs::{RefEdit, RefName, RefValue};
use serde::Serialize;

use crate::changes::Change;
use crate::derived::{FilmRow, Noted, OTHER_FILM};
use crate::layers::document_at;
use crate::nodes::Batch;
use crate::record::Draft;
use crate::resolving::{ConflictRow, Heads, Merge, Places};
use crate::workspace::{Merging, State};
use crate::{Progress, Repo, RepoError};
pub(crate) use trees::Outcome;
use trees::TreeMerge;

/// How to merge.
#[derive(Clone, Debug, Default)]
pub struct MergeRequest {
    /// Work it out and change nothing.
    pub dry_run: bool,
    /// Rules for what would be conflicts.
    pub rules: Vec<Rule>,
    /// Message of the merge commit.
    pub message: Option<String>,
    /// Commit although conflicts are left.
    pub allow_conflicts: bool,
    /// Merge histories that share no commit, over an empty base.
    pub allow_unrelated: bool,
    /// Settle what was settled before as it was then.
    pub apply_memory: bool,
    /// In how many paths to describe what the merge changes.
    pub shown_paths: u64,
}

/// What a merge came to.
#[derive(Clone, Debug, Serialize)]
pub struct MergeReport {
    /// The best common ancestors.
    pub base: Vec<String>,
    /// The commit merged into.
    pub ours: String,
    /// The commit merged from.
    pub theirs: String,
    /// Whether no conflict is left, and nothing changes that was given once.
    pub clean: bool,
    /// The merge commit; `None` if none was made: a dry run, conflicts or findings left, or nothing to merge.
    pub commit: Option<String>,
    /// Whether ours holds all of theirs already.
    pub up_to_date: bool,
    /// Paths that the merge changes in ours.
    pub changed: u64,
    /// What it changes in the first of them, as many as were asked for; for people.
    #[serde(skip)]
    pub changes: Vec<Change>,
    /// What nobody could decide.
    pub conflicts: Vec<ConflictRow>,
    /// What rules decided.
    pub decisions: Vec<DecisionRow>,
    /// What the sides broke together of rules that look across a document, each in a place of its
    /// own, so that none could be put in conflict; what theirs changed and no edition inherits (`inherit`); and
    /// fields that tell of another film than there is and hold what no film says (`merge`).
    pub notices: Vec<NoticeRow>,
    /// What theirs changes of ours though it was given once: no commit of the merge may. Each gets its value
    /// back first.
    pub findings: Vec<NoticeRow>,
    /// Fields that tell of other films than those the merge has in their place.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stale: Vec<FilmRow>,
}

/// One rule of a schema that the merge broke: path, field, rule, value and why.
pub use crate::schemas::Found as NoticeRow;

/// One thing that a rule decided.
#[derive(Clone, Debug, Serialize)]
pub struct DecisionRow {
    /// The entry.
    pub path: String,
    /// The field, for one inside a document.
    pub field: Option<String>,
    /// The schema of its document, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The rule.
    pub rule: String,
    /// `ours`, `theirs`, `base` or `merged`.
    pub chosen: &'static str,
    /// What ours has; null for nothing.
    pub ours: serde_json::Value,
    /// What the base has; null for nothing.
    pub base: serde_json::Value,
    /// What theirs has; null for nothing.
    pub theirs: serde_json::Value,
}

/// First, second and last of some terms, each shown by `show`.
fn sides<T>(terms: &[Option<T>], show: impl Fn(&T) -> serde_json::Value) -> [serde_json::Value; 3] {
    [terms.first(), terms.get(1), terms.last()]
        .map(|term| term.and_then(Option::as_ref).map_or(serde_json::Value::Null, &show))
}

impl DecisionRow {
    /// Describes what a rule decided about a field.
    pub fn of_field(path: &RepoPath, decision: &ottvc_merge::Decision) -> Self {
        let [ours, base, theirs] =
            sides(decision.terms.as_slice(), |value: &Value| value_to_json(value));
        Self {
            path: path.to_string(),
            field: Some(decision.path.to_string()),
            schema: None,
            rule: decision.rule.clone(),
            chosen: decision.chosen.word(),
            ours,
            base,
            theirs,
        }
    }
    /// Describes that a conflict between entries was settled as before, which is called `name`.
    fn from_memory(
        path: &RepoPath,
        name: &str,
        conflict: &Conflict<Entry>,
        taken: Option<Entry>,
    ) -> Self {
        let terms: Vec<Option<Entry>> =
            conflict.terms.as_slice().iter().map(|term| term.value().copied()).collect();
        let [ours, base, theirs] = sides(&terms, crate::resolving::entry_json);
        let chosen = match (terms.first(), terms.last()) {
            (Some(side), _) if *side == taken => "ours",
            (_, Some(side)) if *side == taken => "theirs",
            _ => "merged",
        };
        let rule = format!("{}{name}", crate::memory::DECIDED);
        Self { path: path.to_string(), field: None, schema: None, rule, chosen, ours, base, theirs }
    }
    fn of_entry(decision: &EntryDecision) -> Self {
        let [ours, base, theirs] =
            sides(decision.terms.as_slice(), |entry: &Entry| crate::resolving::entry_json(entry));
        Self {
            path: decision.path.to_string(),
            field: None,
            schema: None,
            rule: decision.rule.clone(),
            chosen: decision.chosen.word(),
            ours,
            base,
            theirs,
        }
    }
}

/// A commit to be merged.
#[derive(Debug)]
pub(crate) struct Incoming<'a> {
    /// What the user calls it.
    pub(crate) name: &'a str,
    pub(crate) id: CommitId,
    pub(crate) commit: &'a Commit,
    /// The command that merges it, as its operation will name it.
    pub(crate) command: &'a str,
    /// Refs that move with the merge.
    pub(crate) edits: Vec<RefEdit>,
}

impl Repo {
    /// Merges `rev` into the branch the working copy is on. A clean merge is committed, always as a
    /// commit of its own: it records which edition took what, when. With conflicts, the merged state
    /// is left in the working copy, to be settled and committed; so it is where theirs changes what was
    /// given once.
    ///
    /// # Errors
    /// [`RepoError::MergeInProgress`]; unless `rev` is merged already, [`RepoError::LocalChanges`] if
    /// something is staged, or a changed file would be overwritten; [`RepoError::Protected`] if the branch takes no
    /// conflicts and those left are to be committed; [`RepoError::Unrelated`]; [`RepoError::Unborn`].
    pub fn merge(
        &self,
        rev: &str,
        request: &MergeRequest,
        progress: &dyn Progress,
    ) -> Result<MergeReport, RepoError> {
        let state = self.state()?;
        let theirs = self.resolve(rev)?.id;
        let commit = self.commit(theirs)?;
        let batch = Batch::new(&self.nodes);
        let incoming = Incoming {
            name: rev,
            id: theirs,
            commit: &commit,
            command: "merge",
            edits: Vec::new(),
        };
        self.merge_incoming(state, &batch, incoming, request, progress).map(|(report, _)| report)
    }

    /// Merges a commit that may be in the batch only. Refs of `incoming` move in the step that makes
    /// the merge last, whether it is committed or waits for conflicts to be settled. Returns the merged
    /// tree too, which a dry run leaves in the batch.
    pub(crate) fn merge_incoming(
        &self,
        mut state: State,
        batch: &Batch<'_>,
        incoming: Incoming<'_>,
        request: &MergeRequest,
        progress: &dyn Progress,
    ) -> Result<(MergeReport, TreeId), RepoError> {
        let Incoming { name: rev, id: theirs, commit: incoming, command, edits } = incoming;
        let ours = self.resolve("HEAD")?.id;
        if let (Some(merging), false) = (&state.merging, request.dry_run) {
            return Err(RepoError::MergeInProgress { theirs: merging.theirs_name.clone() });
        }
        let ancestry = |id: CommitId| match id == theirs {
            true => Ok(ottvc_merge::Ancestry {
                parents: incoming.parents.clone(),
                generation: incoming.generation,
            }),
            false => self.ancestry(id),
        };
        let plan = ottvc_merge::plan_base(ancestry, ours, theirs)?;
        let mut report = MergeReport {
            base: plan.bases.iter().map(ToString::to_string).collect(),
            ours: ours.to_string(),
            theirs: theirs.to_string(),
            clean: true,
            commit: None,
            up_to_date: plan.bases == [theirs],
            changed: 0,
            changes: Vec::new(),
            conflicts: Vec::new(),
            decisions: Vec::new(),
            notices: Vec::new(),
            findings: Vec::new(),
            stale: Vec::new(),
        };
        let our_tree = self.commit(ours)?.tree;
        if report.up_to_date {
            return Ok((report, our_tree));
        }
        if !request.dry_run {
            self.refuse_staged(&state, ours)?;
        }
        if plan.bases.is_empty() && !request.allow_unrelated {
            return Err(RepoError::Unrelated {
                ours: crate::record::branch_name(&state).unwrap_or_else(|| ours.short()),
                theirs: rev.to_owned(),
            });
        }
        let base = self.base_tree(batch, &plan, [ours, theirs])?;
        let editions = Editions {
            ours: self.edition_names(batch, crate::record::branch_name(&state).as_deref(), ours)?,
            theirs: self.edition_names(batch, Some(rev), theirs)?,
        };
        let rules = request.rules.clone();
        let memory = match request.apply_memory {
            true => self.memory_to_apply()?,
            false => Memory::default(),
        };
        let options = MergeOptions { rules, editions, memory, ..MergeOptions::default() };
        let trees = [our_tree, base, incoming.tree];
        let apart = self.are_apart(batch, ours, theirs, &plan.bases)?;
        let merged = TreeMerge::run(self, batch, trees, apart, &options)?;
        let mut suspects = merged.suspects.clone();
        suspects.extend(incoming.conflicts.iter().map(|place| place.path.clone()));
        let places = self.conflicts_made(batch, merged.tree, &[ours, theirs])?;
        suspects.extend(places.iter().map(|place| place.path.clone()));
        self.note_suspects(&mut state, &suspects);
        let bases = plan.bases.iter().map(|id| Ok(self.commit(*id)?.tree));
        let bases = bases.collect::<Result<Vec<TreeId>, RepoError>>()?;
        report.findings = self.merged_once(batch, our_tree, &bases, merged.tree)?;
        report.clean = places.is_empty() && report.findings.is_empty();
        let heads = Heads { ours, theirs, bases: plan.bases.clone(), made: None };
        report.conflicts = self.conflict_rows(batch, merged.tree, &places, Some(&heads))?;
        report.decisions = merged.decisions;
        report.notices = merged.notices;
        report.stale = self.stale_films(batch, trees, merged.tree, &Noted::default())?;
        let noticed = |path: &str, field: &str| {
            let same = |row: &NoticeRow| row.path == path && row.field == field;
            report.notices.iter().any(|row| row.rule == OTHER_FILM && same(row))
        };
        report.stale.retain(|row| !noticed(&row.path, &row.field));
        // What the merge makes of the schemas themselves must make sense, too.
        self.schemas(batch, merged.tree)?;
        let mut first = Vec::new();
        ottvc_object::tree::diff_paths(batch, our_tree, merged.tree, &mut |change| {
            report.changed += 1;
            if report.changed <= request.shown_paths {
                first.push(change);
            }
            Ok::<(), RepoError>(())
        })?;
        report.changes = self.describe_new(batch, merged.tree, first)?;
        if request.dry_run {
            return Ok((report, merged.tree));
        }
        if request.allow_conflicts {
            self.refuse_conflicts_here(&state.head, &places)?;
        }
        let mut writer = self.objects.writer()?;
        let next = self.next_layers(batch, &state, Some(ours), merged.tree, Some(theirs), None)?;
        let draft = Draft {
            layers: next.layers,
            parents: vec![ours, theirs],
            message: request.message.clone().unwrap_or_else(|| format!("Merge {rev}")),
            conflicts: places,
            merge: Some(MergeRecord {
                bases: plan.bases.clone(),
                rules: request.rules.iter().map(ToString::to_string).collect(),
                engine: ottvc_merge::ENGINE_VERSION,
            }),
            ..Draft::new(merged.tree)
        };
        let commits = report.clean || (request.allow_conflicts && report.findings.is_empty());
        let commit = match commits {
            true => Some(self.make_commit(batch, &state, draft)?),
            false => None,
        };
        batch.flush(&mut *writer)?;
        writer.finish()?;
        // Files before the ref: should we stop between, the working copy shows the merge as changes
        // not yet committed. The other way round, committing what it shows would revert the merge.
        let (staged, mut updated) = self.move_to(&state, our_tree, merged.tree, false, progress)?;
        state.staged = staged;
        self.note_used(&report.decisions, &mut updated.rows)?;
        match commit {
            Some((id, commit)) => {
                let summary = format!("{command}: {}", crate::record::first_line(&commit.message));
                state.suspects.clear();
                self.move_head_with(&mut state, &updated.rows, id, command, &summary, edits)?;
                report.commit = Some(id.to_string());
            }
            None => {
                state.merging = Some(Merging {
                    ours,
                    theirs,
                    theirs_name: rev.to_owned(),
                    bases: plan.bases,
                    rules: request.rules.iter().map(ToString::to_string).collect(),
                    message: request.message.clone(),
                });
                if edits.is_empty() {
                    self.save_state(&state, &updated.rows)?;
                } else {
                    let left = if report.conflicts.is_empty() { "findings" } else { "conflicts" };
                    let summary = format!("{command}: {rev}, {left} left");
                    let moved = self.move_of(command, &summary, edits)?;
                    self.transact_saving(&state, &updated.rows, moved)?;
                }
            }
        }
        Ok((report, merged.tree))
    }

    /// Makes a merge once more, as it was before anybody settled a conflict of it.
    pub(crate) fn merge_again(
        &self,
        batch: &Batch<'_>,
        state: &State,
        merging: &Merging,
        options: MergeOptions,
    ) -> Result<Outcome, RepoError> {
        let Merging { ours, theirs, .. } = *merging;
        let plan = ottvc_merge::plan_base(|id| self.ancestry(id), ours, theirs)?;
        let base = self.base_tree(batch, &plan, [ours, theirs])?;
        let editions = Editions {
            ours: self.edition_names(batch, crate::record::branch_name(state).as_deref(), ours)?,
            theirs: self.edition_names(batch, Some(&merging.theirs_name), theirs)?,
        };
        let trees = [self.commit(ours)?.tree, base, self.commit(theirs)?.tree];
        let apart = self.are_apart(batch, ours, theirs, &plan.bases)?;
        TreeMerge::run(self, batch, trees, apart, &MergeOptions { editions, ..options })
    }

    /// The paths at which theirs changed what the merge that waits then took, and what is staged is all ours again:
    /// taken back since. What was settled as ours is none of it. Merges once more only where there may be one.
    pub(crate) fn left_out_of_merge(
        &self,
        batch: &Batch<'_>,
        state: &State,
    ) -> Result<Vec<String>, RepoError> {
        let Some(merging) = &state.merging else { return Ok(Vec::new()) };
        let [ours, theirs] = [self.commit(merging.ours)?.tree, self.commit(merging.theirs)?.tree];
        let bases = merging.bases.iter().map(|base| Ok(self.commit(*base)?.tree));
        let bases = bases.collect::<Result<Vec<TreeId>, RepoError>>()?;
        let at = |tree, path: &RepoPath| self.stood_at(batch, tree, path, &[]);
        let mut candidates = Vec::new();
        for PathChange { path, old, new } in self.tree_changes(ours, theirs)? {
            let [our, their] = [old, new].map(|side| side.map(|(_, named)| named));
            let (our, former) = our.map(|named| (named.entry, named.former)).unzip();
            if our != at(state.staged, &path)? {
                continue;
            }
            // What is in conflict as a whole can be ours as that was settled so, and in no other way.
            let is_document = matches!(our, Some(Entry::Document { .. }));
            if !is_document && state.suspects.contains(&path) {
                continue;
            }
            let former = former.unwrap_or_default();
            let their = match their {
                Some(named) => Some(named.entry),
                None => self.stood_at(batch, theirs, &path, &former)?,
            };
            let mut is_candidate = true;
            for base in &bases {
                is_candidate &= their != self.stood_at(batch, *base, &path, &former)?;
            }
            if is_candidate {
                candidates.push((path, our));
            }
        }
        if candidates.is_empty() {
            return Ok(Vec::new());
        }
        let options = MergeOptions { rules: merging.rules()?, ..MergeOptions::default() };
        let made = self.merge_again(batch, state, merging, options)?.tree;
        let mut paths = Vec::new();
        for (path, our) in candidates {
            let is_left_out = match at(made, &path)? {
                Some(Entry::Conflict(_)) => false,
                Some(Entry::Document { id, .. }) if matches!(our, Some(Entry::Document { .. })) => {
                    let made = batch.load::<Document>(id)?.into_value();
                    let ours = document_at(batch, ours, &path, None)?;
                    ours.is_some_and(|ours| !is_ours(made, &ours))
                }
                other => other != our,
            };
            if is_left_out {
                paths.push(path.to_string());
            }
        }
        Ok(paths)
    }

    /// What a tree has at a path, or where that was before it was renamed.
    pub(crate) fn stood_at(
        &self,
        batch: &Batch<'_>,
        tree: TreeId,
        path: &RepoPath,
        former: &[RepoPath],
    ) -> Result<Option<Entry>, RepoError> {
        for path in std::iter::once(path).chain(former) {
            if let Some(named) = lookup_path(batch, tree, path)? {
                return Ok(Some(named.entry));
            }
        }
        Ok(None)
    }

    /// Whether a merge is between editions of which one inherits from the other, or both from a third; and
    /// not of two lines of work on one edition, nor of what a source delivers.
    fn are_apart(
        &self,
        batch: &Batch<'_>,
        ours: CommitId,
        theirs: CommitId,
        bases: &[CommitId],
    ) -> Result<bool, RepoError> {
        let (ours, theirs) = (batch.load::<Commit>(ours)?, batch.load::<Commit>(theirs)?);
        let parent = |commit: &Commit| commit.pin.map(|pin| pin.edition);
        let inherits = parent(&theirs).is_some() || parent(&ours) == Some(theirs.edition);
        let mut one = parent(&ours) == parent(&theirs);
        for base in bases {
            one &= parent(&self.commit(*base)?) == parent(&ours);
        }
        Ok(inherits && ours.edition != theirs.edition && !one)
    }

    /// What a schema may call an edition: its id, its branch's name and its class. `rev` is what the
    /// user called the commit: if that is no branch, the branch of the edition that made it counts.
    pub(crate) fn edition_names(
        &self,
        batch: &Batch<'_>,
        rev: Option<&str>,
        id: CommitId,
    ) -> Result<Vec<String>, RepoError> {
        let branch =
            rev.and_then(|rev| RefName::branch(rev.strip_prefix("heads/").unwrap_or(rev)).ok());
        let named = match branch {
            Some(name) => self.refs.get(&name)?.map(|value| (name, value)),
            None => None,
        };
        let found = match named {
            Some(found) => Some(found),
            None => {
                let edition = batch.load::<Commit>(id)?.edition;
                let is_it = |(_, value): &(RefName, RefValue)| {
                    value.edition.as_ref().is_some_and(|it| it.id == edition)
                };
                self.refs.list()?.into_iter().find(is_it)
            }
        };
        let Some((name, value)) = found else {
            return Ok(vec![batch.load::<Commit>(id)?.edition.to_string()]);
        };
        let mut names = vec![name.short().to_owned()];
        names.extend(value.edition.iter().map(|edition| edition.id.to_string()));
        names.extend(value.edition.and_then(|edition| edition.class));
        Ok(names)
    }

    /// Refuses to merge over something staged.
    fn refuse_staged(&self, state: &State, ours: CommitId) -> Result<(), RepoError> {
        let staged = self.tree_changes(self.commit(ours)?.tree, state.staged)?;
        let layered = self.touched_documents(state)?;
        let paths: Vec<String> = staged
            .iter()
            .map(|change| change.path.to_string())
            .chain(layered.iter().map(ToString::to_string))
            .collect();
        if paths.is_empty() { Ok(()) } else { Err(RepoError::LocalChanges { paths }) }
    }

    /// The base of a merge of `sides`: as its plan says, and where that is one commit with the documents that
    /// both sides inherit.
    fn base_tree(
        &self,
        batch: &Batch<'_>,
        plan: &BasePlan,
        sides: [CommitId; 2],
    ) -> Result<TreeId, RepoError> {
        let tree = self.carry_out(batch, &plan.steps)?;
        match plan.bases.as_slice() {
            [base] => self.brought_up(batch, tree, *base, sides),
            _ => Ok(tree),
        }
    }

    /// Makes the base of a merge as its plan says.
    fn carry_out(&self, batch: &Batch<'_>, steps: &[BaseStep]) -> Result<TreeId, RepoError> {
        let mut trees: Vec<TreeId> = Vec::new();
        let empty = EMPTY_TREE;
        for step in steps {
            let done = |at: usize| trees.get(at).copied().unwrap_or(empty);
            trees.push(match step {
                BaseStep::Empty => empty,
                BaseStep::Commit(id) => self.commit(*id)?.tree,
                BaseStep::Merge { ours, base, theirs } => {
                    let sides = [done(*ours), done(*base), done(*theirs)];
                    TreeMerge::run(self, batch, sides, false, &MergeOptions::for_bases())?.tree
                }
                BaseStep::Contested(commits) => {
                    let mut sides = Vec::new();
                    for id in commits {
                        sides.push(self.commit(*id)?.tree);
                    }
                    trees::contest(self, batch, &sides)?
                }
            });
        }
        Ok(trees.last().copied().unwrap_or(empty))
    }

    /// What the merge engine asks about a commit.
    pub(crate) fn ancestry(&self, id: CommitId) -> Result<ottvc_merge::Ancestry, RepoError> {
        let commit = self.commit(id)?;
        Ok(ottvc_merge::Ancestry { parents: commit.parents, generation: commit.generation })
    }

    /// Gives up a merge that waits: the files it touched are again as our side has them.
    ///
    /// # Errors
    /// [`RepoError::NoMerge`].
    pub fn abort_merge(&self, progress: &dyn Progress) -> Result<String, RepoError> {
        let mut state = self.state()?;
        let Some(merging) = state.merging.take() else { return Err(RepoError::NoMerge) };
        let tree = self.head_tree(&state)?;
        // What is checked out is what the merge staged; choices made since are given up with it.
        let from = State { staged: state.staged, ..state.clone() };
        let (_, updated) = self.move_to(&from, state.staged, tree, true, progress)?;
        state.staged = tree;
        state.suspects.clear();
        // A merge begins with nothing staged about layers.
        state.touched = None;
        self.save_state(&state, &updated.rows)?;
        Ok(merging.theirs_name)
    }

    /// Describes conflicts of a tree, that a merge of `heads` left.
    pub(crate) fn conflict_rows(
        &self,
        batch: &Batch<'_>,
        tree: TreeId,
        places: &[ConflictPlace],
        heads: Option<&Heads>,
    ) -> Result<Vec<ConflictRow>, RepoError> {
        let remembers = self.remembers_any()?;
        let mut at = Places::of(self, batch, tree)?;
        let mut merge = heads.map(|heads| Merge::of(&at, heads)).transpose()?;
        let mut rows = Vec::new();
        for place in places {
            let mut row = ConflictRow::read(&mut at, place)?;
            row.memory = if remembers { self.suggestion(&mut at, place)? } else { None };
            if let Some(merge) = &mut merge {
                row.strangers = merge.strangers(&mut at, place)?;
                if row.kind == ConflictKind::DeleteEdit.word() {
                    let from = merge.moved_from(&mut at, place)?;
                    row.moved_from = from.map(|list| list.to_string());
                }
            }
            if row.kind == ConflictKind::Invariant.word()
                && let (Some(schema), Some(field)) = (at.schemas.of(&place.path), &place.field)
            {
                row.invariants = schema.invariants_at(field);
            }
            rows.push(row);
        }
        Ok(rows)
    }
}

/// Whether a merged document says what ours says once its conflicts are settled so; also where nobody can tell,
/// as ours had some itself or one cannot be settled alone.
fn is_ours(mut document: Value, ours: &Value) -> bool {
    let places: Vec<FieldPath> = document.conflicts().into_iter().map(|(at, _)| at).collect();
    for at in &places {
        if !matches!(resolve_in(&mut document, at, &Choice::Ours), Ok(true)) {
            return true;
        }
    }
    ours.has_conflict() || document == *ours
}
