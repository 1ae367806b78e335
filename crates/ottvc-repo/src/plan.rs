//! Plans: changes to many editions, looked at before they are made, and then made together or not at all.
//!
//! A plan names for each target the head it expects and what will be there instead. Its digest is over all
//! of that, so whoever carries out a plan they have seen gets that plan or an error. Making one writes
//! nothing; carrying it out writes one commit for each target, then moves all their refs in one transaction,
//! which is one operation for `undo`.

use std::collections::{BTreeMap, BTreeSet};

use bincode::Encode;
use ottvc_merge::Schema;
use ottvc_merge::layers::{PushOutcome, Unit};
use ottvc_merge::schema::{Broken, Known, validate, validate_change, validate_since};
use ottvc_object::codec::encode_body;
use ottvc_object::commit::{ConflictPlace, Pin};
use ottvc_object::value::{Value, value_to_json};
use ottvc_object::{Commit, CommitId, EditionId, RepoPath, TreeId};
use ottvc_refs::{RefEdit, RefKind, RefName, RefValue};
use serde::Serialize;
use serde_json::Value as Json;

use crate::import::SOURCE_PREFIX;
use crate::layers::Layered;
use crate::nodes::Batch;
use crate::record::Draft;
use crate::schemas::Found;
use crate::workspace::Head;
use crate::{Progress, Repo, RepoError};

/// The fewest digits of a digest that name a plan.
const MIN_DIGITS: usize = 8;
/// Where plans get their digests.
const CONTEXT: &str = "ottvc 2026 plan v1";

/// What a plan comes to for one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetState {
    /// It moves.
    Moves,
    /// It would move, with conflicts.
    Conflicts,
    /// It would move, and then break rules of its schemas that it keeps now.
    Findings,
    /// Nothing of it changes.
    UpToDate,
    /// It inherits from a newer state than the one given, or from another line of it.
    NotNewer,
    /// What it inherits from does not move.
    ParentStays,
    /// It does not inherit from the source.
    Unrelated,
}

/// One unit that changed, and what becomes of it in one target.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OutcomeRow {
    /// The document.
    pub path: String,
    /// The field.
    pub field: String,
    /// What becomes of it.
    pub outcome: &'static str,
    /// The kind of the conflict it is in then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conflict: Option<&'static str>,
    /// The path of what is in the way of the document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocked: Option<String>,
    /// What the source had; null for nothing.
    pub old: Json,
    /// What the source has; null for nothing.
    pub new: Json,
    /// What the target has; null for nothing.
    pub own: Json,
    /// Which of `old`, `new`, `own` have nothing there, so that a null value is no riddle.
    pub absent: Vec<&'static str>,
    /// Whether the target overrides then what it inherited.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub pins_override: bool,
    /// Whether it is changed though it had diverged.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub forced: bool,
}

impl OutcomeRow {
    /// A row about a field, with what the source had and has, and what the target has.
    pub(crate) fn new(
        path: &RepoPath,
        unit: &Unit,
        own: Option<&Value>,
        outcome: &'static str,
    ) -> Self {
        let sides = [("old", unit.old.as_ref()), ("new", unit.new.as_ref()), ("own", own)];
        let absent = sides.iter().filter(|(_, value)| value.is_none()).map(|(side, _)| *side);
        let [old, new, own] = sides.map(|(_, value)| value.map_or(Json::Null, value_to_json));
        Self {
            path: path.to_string(),
            field: unit.path.to_string(),
            outcome,
            conflict: None,
            blocked: None,
            old,
            new,
            own,
            absent: absent.collect(),
            pins_override: false,
            forced: false,
        }
    }
}

/// One target of a plan, as lists show it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TargetRow {
    /// The branch.
    pub branch: String,
    /// The commit it must be at.
    pub expected: String,
    /// What the plan comes to.
    pub state: TargetState,
    /// The commit it is at then, once that is done.
    pub commit: Option<String>,
    /// The root of its tree then, if it moves.
    pub tree: Option<String>,
    /// Documents that change.
    pub documents: u64,
    /// Unit by unit.
    pub outcomes: Vec<OutcomeRow>,
    /// What its documents break then of their schemas, and do not break now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Found>,
    /// The target above it that is in conflict or comes to break a schema, and holds it back with itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// The commit it inherits from now, where that was taken back from its parent's branch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gave_up: Option<String>,
}

/// A plan, or what was done by it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlanReport {
    /// The commit whose change it is.
    pub source: String,
    /// Names the plan: name it again to have just this carried out.
    pub plan: String,
    /// Whether refs moved.
    pub moved: bool,
    /// The operation that `undo` takes back.
    pub operation: Option<u64>,
    /// The targets, those that others inherit from first.
    pub targets: Vec<TargetRow>,
    /// How many units have each outcome, over all targets.
    pub totals: BTreeMap<&'static str, u64>,
    /// Targets that were named and that this has nothing to do with.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<PlanNotice>,
    /// Targets with conflicts.
    pub conflicts: u64,
    /// Targets that come to break rules of their schemas.
    pub findings: u64,
}

/// A target that a plan has nothing to do with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlanNotice {
    /// The branch.
    pub branch: String,
    /// Why.
    pub why: String,
}

/// How a plan is carried out.
#[derive(Clone, Debug, Default)]
pub struct Carrying {
    /// The digest of the plan that must be the one carried out, or at least its first 8 digits.
    pub plan: Option<String>,
    /// Move the targets without conflicts and findings, though others have some.
    pub partial: bool,
    /// Commit conflicts.
    pub allow_conflicts: bool,
    /// Commit what breaks rules of schemas.
    pub allow_findings: bool,
}

impl Carrying {
    /// Whether it is carried out for a target.
    fn lets(&self, target: &Target) -> bool {
        let conflicts = target.state == TargetState::Conflicts;
        (self.allow_conflicts || !conflicts) && (self.allow_findings || target.findings.is_empty())
    }
}

/// What a target inherits from afterwards.
#[derive(Clone, Copy, Debug)]
pub(crate) enum NewPin {
    /// As before, or nothing.
    Kept(Option<Pin>),
    /// This.
    Moved(Pin),
    /// The commit that another target of the plan gets, by its place.
    Target(EditionId, usize),
}

/// What a target becomes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Becomes {
    pub(crate) tree: TreeId,
    pub(crate) own: Option<TreeId>,
    pub(crate) pin: NewPin,
}

/// One target.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) name: RefName,
    pub(crate) expected: RefValue,
    pub(crate) head: CommitId,
    pub(crate) commit: Commit,
    pub(crate) state: TargetState,
    /// What it becomes, where it moves; with conflicts, too.
    pub(crate) becomes: Option<Becomes>,
    pub(crate) changed: Vec<RepoPath>,
    pub(crate) conflicts: Vec<ConflictPlace>,
    pub(crate) rows: Vec<OutcomeRow>,
    pub(crate) findings: Vec<Found>,
    pub(crate) waits_for: Option<String>,
    pub(crate) gave_up: Option<CommitId>,
}

impl Target {
    /// The branch that those below it wait for, if it holds them back.
    pub(crate) fn holds_back(&self) -> Option<String> {
        let disputed = match self.becomes {
            Some(_) => !self.conflicts.is_empty(),
            None => !self.commit.conflicts.is_empty(),
        };
        let here = disputed || !self.findings.is_empty();
        if here { Some(self.name.short().to_owned()) } else { self.waits_for.clone() }
    }

    /// Notes what a document comes to break of its schema: a rule that a field breaks already is not broken
    /// anew, whatever it has come to break it with.
    pub(crate) fn judge(
        &mut self,
        schema: Option<&Schema>,
        path: &RepoPath,
        before: Option<&Value>,
        after: Option<&Value>,
    ) {
        let (Some(schema), Some(after)) = (schema, after) else { return };
        let mut new = validate(after, schema);
        if let Some(before) = before.filter(|_| !new.is_empty()) {
            let mut known = Known::by_pushing(Broken::of(before, schema));
            new = validate_since(after, schema, &mut known);
        }
        let once = before.map(|before| validate_change(before, after, schema)).unwrap_or_default();
        let new = new.into_iter().chain(once);
        self.findings.extend(new.map(|finding| Found::of(path, schema, finding)));
    }

    /// Has it stay as it is, whatever is allowed.
    pub(crate) fn stay(&mut self, why: Found) {
        self.becomes = None;
        self.state = TargetState::Findings;
        self.changed.clear();
        self.rows.clear();
        self.findings = vec![why];
    }

    /// What the plan comes to for it, where it becomes something else.
    pub(crate) fn comes_to(&self, clean: bool) -> TargetState {
        match self.findings.is_empty() {
            _ if !clean => TargetState::Conflicts,
            true => TargetState::Moves,
            false => TargetState::Findings,
        }
    }

    /// The edition it is a branch of.
    pub(crate) fn edition(&self) -> EditionId {
        self.expected.edition.as_ref().map_or(self.commit.edition, |edition| edition.id)
    }
    /// The place of the target whose new commit it will inherit from.
    fn above(&self) -> Option<usize> {
        match self.becomes?.pin {
            NewPin::Target(_, place) => Some(place),
            NewPin::Kept(_) | NewPin::Moved(_) => None,
        }
    }
}

/// Changes to many editions that have not been made yet.
#[derive(Debug)]
pub struct Plan<'r> {
    pub(crate) command: &'static str,
    pub(crate) source: CommitId,
    pub(crate) message: String,
    pub(crate) targets: Vec<Target>,
    pub(crate) notices: Vec<PlanNotice>,
    /// The new trees and documents.
    pub(crate) batch: Batch<'r>,
}

/// What the digest says of a target.
#[derive(Encode)]
struct Said<'t> {
    name: &'t RefName,
    head: CommitId,
    becomes: Option<(TreeId, Option<TreeId>, SaidPin)>,
    conflicts: &'t [ConflictPlace],
    /// Field, outcome, and whether it was forced.
    outcomes: Vec<(&'t str, &'t str, &'t str, bool)>,
}

#[derive(Encode)]
enum SaidPin {
    None,
    Commit(Pin),
    Target(u64),
}

impl Plan<'_> {
    /// Names the plan: the same digest, the same heads before and the same trees after.
    pub fn digest(&self) -> Result<String, RepoError> {
        let said = |target: &'_ Target| -> Result<Vec<u8>, RepoError> {
            let becomes = target.becomes.map(|becomes| {
                let pin = match becomes.pin {
                    NewPin::Kept(None) => SaidPin::None,
                    NewPin::Kept(Some(pin)) | NewPin::Moved(pin) => SaidPin::Commit(pin),
                    NewPin::Target(_, place) => SaidPin::Target(place as u64),
                };
                (becomes.tree, becomes.own, pin)
            });
            let row = |row: &'_ OutcomeRow| -> (String, String, &'static str, bool) {
                (row.path.clone(), row.field.clone(), row.outcome, row.forced)
            };
            let rows: Vec<_> = target.rows.iter().map(row).collect();
            let outcomes =
                rows.iter().map(|(path, field, word, forced)| (&**path, &**field, *word, *forced));
            Ok(encode_body(&Said {
                name: &target.name,
                head: target.head,
                becomes,
                conflicts: &target.conflicts,
                outcomes: outcomes.collect(),
            })?)
        };
        let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
        hasher.update(&encode_body(&(self.command, self.source, &self.message))?);
        for target in &self.targets {
            hasher.update(&said(target)?);
        }
        Ok(hasher.finalize().to_hex().to_string())
    }

    /// Which targets move, in their order, if it is carried out so: those that it changes, and that may; and none
    /// whose parent does not. Without [`Carrying::partial`], none if one may not.
    pub fn chosen(&self, how: &Carrying) -> Vec<bool> {
        let held = !how.partial && !self.targets.iter().all(|target| how.lets(target));
        let mut moves: Vec<bool> = Vec::new();
        for target in &self.targets {
            let wants = !held && target.becomes.is_some() && how.lets(target);
            let above = target.above().is_none_or(|place| moves.get(place) == Some(&true));
            moves.push(wants && above);
        }
        moves
    }

    /// What the plan comes to.
    pub fn report(&self) -> Result<PlanReport, RepoError> {
        let mut totals = BTreeMap::new();
        for row in self.targets.iter().flat_map(|target| &target.rows) {
            *totals.entry(row.outcome).or_default() += 1;
        }
        let row = |target: &Target| TargetRow {
            branch: target.name.short().to_owned(),
            expected: target.head.to_string(),
            state: target.state,
            commit: None,
            tree: target.becomes.map(|becomes| becomes.tree.to_string()),
            documents: target.changed.len() as u64,
            outcomes: target.rows.clone(),
            findings: target.findings.clone(),
            waits_for: target.waits_for.clone(),
            gave_up: target.gave_up.map(|id| id.to_string()),
        };
        let conflicts = |target: &&Target| target.state == TargetState::Conflicts;
        let findings = |target: &&Target| !target.findings.is_empty();
        Ok(PlanReport {
            source: self.source.to_string(),
            plan: self.digest()?,
            moved: false,
            operation: None,
            targets: self.targets.iter().map(row).collect(),
            totals,
            notices: self.notices.clone(),
            conflicts: self.targets.iter().filter(conflicts).count() as u64,
            findings: self.targets.iter().filter(findings).count() as u64,
        })
    }
}

impl Repo {
    /// Returns the branches that a user's patterns name, with what they say and their heads; branches without
    /// a commit are left out, and what sources deliver where a pattern does not begin with [`SOURCE_PREFIX`].
    ///
    /// # Errors
    /// [`RepoError::BadArgument`] for what is no pattern, [`RepoError::UnknownRevision`] for one that names
    /// no branch, [`RepoError::Unborn`] if no branch that they name has a commit.
    pub(crate) fn targets(&self, patterns: &[String]) -> Result<Vec<Target>, RepoError> {
        let refs = self.refs.list()?;
        let branches: Vec<_> =
            refs.into_iter().filter(|(name, _)| name.kind() == RefKind::Branch).collect();
        let mut wanted = Vec::new();
        for pattern in patterns {
            let glob = globset::GlobBuilder::new(pattern).literal_separator(true).build();
            let glob = glob.map_err(|error| RepoError::BadArgument {
                given: pattern.clone(),
                wanted: "pattern of branches",
                why: error.kind().to_string(),
            })?;
            let matcher = glob.compile_matcher();
            // What sources deliver is no edition, unless somebody says so.
            let sources = pattern.starts_with(SOURCE_PREFIX);
            let names = move |name: &RefName| {
                (sources || !name.short().starts_with(SOURCE_PREFIX))
                    && matcher.is_match(name.short())
            };
            if !branches.iter().any(|(name, _)| names(name)) {
                let names = branches.iter().map(|(name, _)| name.short().to_owned());
                let near = crate::revision::near(pattern, names);
                return Err(RepoError::UnknownRevision { rev: pattern.clone(), near });
            }
            wanted.push(names);
        }
        let (mut targets, mut unborn) = (Vec::new(), None);
        for (name, expected) in branches {
            if !wanted.iter().any(|names| names(&name)) {
                continue;
            }
            let Some(head) = expected.target else {
                unborn = Some(name);
                continue;
            };
            targets.push(Target {
                commit: self.commit(head)?,
                name,
                expected,
                head,
                state: TargetState::UpToDate,
                becomes: None,
                changed: Vec::new(),
                conflicts: Vec::new(),
                rows: Vec::new(),
                findings: Vec::new(),
                waits_for: None,
                gave_up: None,
            });
        }
        match unborn.filter(|_| targets.is_empty()) {
            Some(name) => Err(RepoError::Unborn { branch: name.short().to_owned() }),
            None => Ok(targets),
        }
    }

    /// Carries out a plan: all of it, or nothing; with [`Carrying::partial`] what is without conflicts and
    /// findings. The
    /// working copy follows, if it is on a branch that moves.
    ///
    /// Where conflicts or findings are in the way, nothing moves and the report says so.
    ///
    /// # Errors
    /// [`RepoError::StalePlan`] if another plan was named; [`ottvc_refs::RefError::Moved`] if a branch is not
    /// where the plan expects it; [`RepoError::Protected`] if one must not hold the conflicts it would get;
    /// [`RepoError::LocalChanges`] or [`RepoError::MergeInProgress`] if the working
    /// copy cannot follow. Nothing has moved then.
    pub fn carry_out_plan(
        &self,
        plan: &Plan<'_>,
        how: &Carrying,
        progress: &dyn Progress,
    ) -> Result<PlanReport, RepoError> {
        let mut report = plan.report()?;
        if let Some(given) = &how.plan
            && !(given.len() >= MIN_DIGITS && report.plan.starts_with(given.as_str()))
        {
            return Err(RepoError::StalePlan { given: given.clone() });
        }
        let moves = plan.chosen(how);
        if !moves.contains(&true) {
            return Ok(report);
        }
        let mut commits: Vec<Option<CommitId>> = Vec::new();
        let mut edits = Vec::new();
        for (target, moves) in plan.targets.iter().zip(moves) {
            let becomes = target.becomes.filter(|_| moves);
            let Some(becomes) = becomes else {
                commits.push(None);
                continue;
            };
            let pin = match becomes.pin {
                NewPin::Kept(pin) => pin,
                NewPin::Moved(pin) => Some(pin),
                NewPin::Target(edition, place) => {
                    commits.get(place).copied().flatten().map(|commit| Pin { edition, commit })
                }
            };
            let draft = Draft {
                parents: vec![target.head],
                message: plan.message.clone(),
                conflicts: target.conflicts.clone(),
                layers: Layered { own: becomes.own, pin },
                ..Draft::new(becomes.tree)
            };
            let (id, _) = self.make_commit_of(&plan.batch, Some(target.edition()), draft)?;
            commits.push(Some(id));
            edits.push(RefEdit {
                name: target.name.clone(),
                old: Some(target.expected.clone()),
                new: Some(RefValue { target: Some(id), ..target.expected.clone() }),
            });
        }
        let count = edits.len();
        let summary = format!(
            "{}: {} into {count} {}",
            plan.command,
            plan.source.short(),
            if count == 1 { "edition" } else { "editions" }
        );
        let transaction = self.move_of(plan.command, &summary, edits)?;
        // Before any file moves; the transaction looks again.
        transaction.check(|name| self.refs.get(name))?;
        self.refuse_protected(&plan.batch, &transaction.edits)?;
        let mut writer = self.objects.writer()?;
        plan.batch.flush(&mut *writer)?;
        writer.finish()?;
        let mut state = self.state()?;
        let here = plan.targets.iter().zip(&commits).find_map(|(target, commit)| {
            let here = state.head == Head::Branch(target.name.clone());
            commit.filter(|_| here).map(|id| (target, id))
        });
        let operation = match here {
            None => self.move_refs(&transaction)?,
            Some((target, id)) => {
                if let Some(merging) = &state.merging {
                    let theirs = merging.theirs_name.clone();
                    return Err(RepoError::MergeInProgress { theirs });
                }
                // What is staged about layers is about what is inherited now.
                let layered = self.touched_documents(&state)?;
                if !layered.is_empty() {
                    let paths = layered.iter().map(ToString::to_string).collect();
                    return Err(RepoError::LocalChanges { paths });
                }
                let tree = target.becomes.map_or(target.commit.tree, |becomes| becomes.tree);
                let (staged, updated) =
                    self.move_to(&state, target.commit.tree, tree, false, progress)?;
                state.staged = staged;
                let mut rows = self.noted_films(Some(target.head))?.rows_on(Some(id))?;
                rows.extend(updated.rows);
                self.transact_saving(&state, &rows, transaction)?
            }
        };
        for (row, commit) in report.targets.iter_mut().zip(&commits) {
            row.commit = commit.map(|id| id.to_string());
            // What was allowed held nobody back.
            let waits = row.outcomes.iter().any(|it| it.outcome == PushOutcome::ViaParent.word());
            row.waits_for = row.waits_for.take().filter(|_| commit.is_none() || waits);
        }
        // Nor does it hold back what comes by a later propagation; conflicts do.
        let moved = |it: &&TargetRow| it.commit.is_some() && it.state == TargetState::Findings;
        let free: BTreeSet<String> =
            report.targets.iter().filter(moved).map(|it| it.branch.clone()).collect();
        for row in &mut report.targets {
            row.waits_for = row.waits_for.take().filter(|above| !free.contains(above));
        }
        report.moved = true;
        report.operation = Some(operation.id);
        Ok(report)
    }
}
