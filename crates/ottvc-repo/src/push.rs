//! Pushing a change to editions, whether or not they inherit from the one that has it: `apply`.

use std::collections::{BTreeMap, HashMap};

use ottvc_merge::layers::{
    self, Applied, ApplyTo, Diverged, FlowOutcome, Layer, PushOutcome, PushedUnit, Unit,
};
use ottvc_merge::{Pattern, Schema};
use ottvc_object::field_path::FieldPath;
use ottvc_object::path::PathKey;
use ottvc_object::tree::EMPTY_TREE;
use ottvc_object::value::{Document, Value};
use ottvc_object::{EditionId, RepoPath, TreeId};

use crate::layers::{
    changed_documents, document_at, document_edit, explained, in_the_way, layer_at, layer_edit,
};
use crate::nodes::Batch;
use crate::plan::{Becomes, NewPin, OutcomeRow, Plan, Target};
use crate::propagate::{MAX_LINE, Parents, note_conflicts, parents_first};
use crate::record::first_line;
use crate::stage::Edits;
use crate::{Repo, RepoError};

/// What is pushed, and how.
#[derive(Clone, Debug, Default)]
pub struct PushRequest {
    /// The commit whose change against its first parent is pushed.
    pub rev: String,
    /// Only these fields; all that editions inherit, if none is given.
    pub fields: Vec<Pattern>,
    /// The branches, as patterns.
    pub to: Vec<String>,
    /// What happens where a target has neither the value before the change nor the one after it.
    pub diverged: Diverged,
    /// Why targets are overruled; needed for that.
    pub reason: Option<String>,
    /// The message of the commits.
    pub message: Option<String>,
}

impl Repo {
    /// Plans to push the change a commit made to documents to the branches that `to` names. What schemas say
    /// nobody inherits is each edition's own, and pushed only where the request names fields.
    ///
    /// # Errors
    /// [`RepoError::Conflicts`] if the commit holds conflicts; [`RepoError::BadArgument`] without a reason
    /// to overrule targets, or if the commit changed nothing in the fields given; what [`Repo::resolve`]
    /// returns; [`RepoError::UnknownRevision`] for a pattern that names no branch.
    pub fn plan_push(&self, request: &PushRequest) -> Result<Plan<'_>, RepoError> {
        if request.diverged == Diverged::Force && request.reason.is_none() {
            return Err(RepoError::BadArgument {
                given: "force".into(),
                wanted: "way to go on",
                why: "say with a reason why editions are overruled".into(),
            });
        }
        let source = self.resolve(&request.rev)?.id;
        let commit = self.commit(source)?;
        self.refuse_conflicts(&commit)?;
        let before = match commit.parents.first() {
            Some(parent) => self.commit(*parent)?.tree,
            None => EMPTY_TREE,
        };
        let batch = Batch::new(&self.nodes);
        let mut changed = BTreeMap::new();
        changed_documents(&batch, before, commit.tree, &mut changed)?;
        let mut targets = self.targets(&request.to)?;
        let parents = self.parents_of_editions()?;
        parents_first(&mut targets, &parents);
        let change = Change { before, after: commit.tree, paths: changed.into_values().collect() };
        let (told, held, says) = Default::default();
        let mut arrivals = Arrivals { repo: self, batch: &batch, parents, told, held, says };
        let mut found = false;
        for target in &mut targets {
            found |= self.push_to(&batch, target, &change, request, &mut arrivals)?;
            arrivals.held.extend(target.holds_back().map(|by| (target.edition(), by)));
        }
        if !found {
            let fields = request.fields.iter().map(ToString::to_string).collect::<Vec<_>>();
            return Err(RepoError::BadArgument {
                given: if fields.is_empty() { request.rev.clone() } else { fields.join(" ") },
                wanted: "change to push",
                why: format!("{} changes no document there", source.short()),
            });
        }
        let subject = first_line(&commit.message);
        let mut message = match &request.message {
            Some(message) => message.clone(),
            None => format!("Apply {}: {subject}", source.short()),
        };
        if let Some(reason) = &request.reason {
            message += &format!("\n\nReason: {reason}");
        }
        Ok(Plan { command: "apply", source, message, targets, notices: Vec::new(), batch })
    }

    /// Plans what one target becomes; whether the change has anything to say to it.
    fn push_to(
        &self,
        batch: &Batch<'_>,
        target: &mut Target,
        change: &Change,
        request: &PushRequest,
        arrivals: &mut Arrivals<'_, '_>,
    ) -> Result<bool, RepoError> {
        let edition = target.edition();
        // Whatever is not told of below does not arrive.
        arrivals.told.entry(edition).or_default();
        let tree = target.commit.tree;
        let own = target.commit.own.unwrap_or(EMPTY_TREE);
        let inherited = self.inherited_tree(target.commit.pin)?;
        let schemas = self.schemas(batch, tree)?;
        let (mut shown_edits, mut own_edits) = (Edits::new(), Edits::new());
        let mut places = target.commit.conflicts.clone();
        let (mut found, mut clean) = (false, true);
        for path in &change.paths {
            let schema = schemas.of(path).map(|schema| &**schema);
            let before = document_at(batch, change.before, path, schema)?;
            let after = document_at(batch, change.after, path, schema)?;
            let document = document_at(batch, tree, path, schema)?;
            let units = match request.fields.as_slice() {
                // A document goes as a whole.
                [] if after.is_none() => layers::changed_units(schema, before.as_ref(), None),
                [] => {
                    let kept = layers::held_units(schema, before.as_ref(), after.as_ref());
                    found |= !kept.is_empty();
                    let told = kept.iter().map(|unit| {
                        let own = unit.of(document.as_ref());
                        OutcomeRow::new(path, unit, own.as_ref(), FlowOutcome::NotInherited.word())
                    });
                    // What it has already is nothing to tell.
                    target.rows.extend(told.filter(|row| row.own != row.new));
                    let [before, after] =
                        [&before, &after].map(|side| layers::inherited(schema, side.as_ref()));
                    layers::changed_units(schema, before.as_deref(), after.as_deref())
                }
                _ => layers::changed_units(schema, before.as_ref(), after.as_ref()),
            };
            let named = |unit: &Unit| {
                let mut fields = request.fields.iter();
                request.fields.is_empty() || fields.any(|it| it.covers(path, &unit.path))
            };
            found |= units.iter().any(named);
            let units = layers::units_for(schema, units, document.as_ref());
            let mut chosen = Vec::new();
            units.into_iter().for_each(|unit| choose(schema, unit, &named, &mut chosen));
            let units = chosen;
            if units.is_empty() {
                continue;
            }
            found = true;
            let parent = document_at(batch, inherited, path, schema)?;
            let pinned = target.commit.pin.is_some();
            let layer = if pinned { layer_at(batch, own, path)? } else { None };
            let layer = explained(schema, parent.as_ref(), layer, document.as_ref());
            let above = arrivals.parents.get(&edition).copied().filter(|_| pinned);
            let arrives = units.iter().map(|unit| match above {
                Some(parent) => arrivals.in_edition(parent, path, unit, MAX_LINE),
                None => Ok(false),
            });
            let arrives = arrives.collect::<Result<Vec<bool>, RepoError>>()?;
            let to = ApplyTo {
                document: document.as_ref(),
                own: layer.own.as_ref(),
                pinned,
                arrives: &arrives,
                diverged: request.diverged,
            };
            let mut applied = layers::apply(&units, &to);
            let blocked = in_the_way(batch, tree, &shown_edits, path)?;
            if blocked.is_some() {
                keep(&mut applied, document.as_ref());
            }
            arrivals.tell(edition, path, &applied.units);
            if applied.units.iter().any(|it| it.outcome == PushOutcome::ViaParent) {
                target.waits_for = above.and_then(|above| arrivals.held_at(above, MAX_LINE));
            }
            let blocked = blocked.map(|path| path.to_string());
            // Items that came stand where the schema sorts them.
            let sorted = |it: Value| schema.map_or(it.clone(), |schema| schema.convert(&it));
            applied.document = applied.document.map(sorted);
            let told = applied.units.iter().map(|it| row(path, it));
            target.rows.extend(told.map(|row| OutcomeRow { blocked: blocked.clone(), ..row }));
            clean &= applied.units.iter().all(|it| it.conflict.is_none());
            if applied.document == document {
                continue;
            }
            if pinned {
                let below = layer.inherited.as_deref();
                let (from, to) = (document.as_ref(), applied.document.as_ref());
                let own = layers::record(schema, layer.own.as_ref(), from, to, below);
                own_edits.extend([layer_edit(batch, path, own.as_ref())?]);
            }
            target.judge(schema, path, document.as_ref(), applied.document.as_ref());
            note_conflicts(&mut places, path, applied.document.as_ref());
            let document = applied.document.map(Document::new).transpose()?;
            shown_edits.extend([document_edit(batch, path, document.as_ref())?]);
            target.changed.push(path.clone());
        }
        if target.changed.is_empty() {
            return Ok(found);
        }
        places.sort();
        let own = self.apply(own, &own_edits, batch)?;
        target.becomes = Some(Becomes {
            tree: self.apply(tree, &shown_edits, batch)?,
            own: (own != EMPTY_TREE).then_some(own),
            pin: NewPin::Kept(target.commit.pin),
        });
        target.conflicts = places;
        target.state = target.comes_to(clean);
        Ok(found)
    }
}

/// What is pushed: documents that two trees do not share.
struct Change {
    before: TreeId,
    after: TreeId,
    paths: Vec<RepoPath>,
}

/// Where the change arrives, unit by unit, so that who inherits from there is left to `propagate`.
struct Arrivals<'a, 'r> {
    repo: &'a Repo,
    batch: &'a Batch<'r>,
    parents: Parents,
    /// Of the targets so far, whether each unit arrives.
    told: HashMap<EditionId, BTreeMap<(PathKey, FieldPath), bool>>,
    /// The targets so far that stay unless more is allowed, and the branch that each waits for.
    held: HashMap<EditionId, String>,
    /// What editions in between say themselves of a document; `None` where they show none.
    says: HashMap<(EditionId, PathKey), Option<Option<Layer>>>,
}

impl Arrivals<'_, '_> {
    /// Notes what became of units in a target. What is in conflict there arrives once that is settled: nobody
    /// has to settle it again for each edition that inherits it.
    fn tell(&mut self, edition: EditionId, path: &RepoPath, units: &[PushedUnit]) {
        let told = units.iter().map(|it| {
            let arrives = it.outcome != PushOutcome::Diverged || it.forced || it.conflict.is_some();
            ((path.key(), it.unit.path.clone()), arrives)
        });
        self.told.entry(edition).or_default().extend(told);
    }

    /// The branch that has to move before anything comes from an edition, or from where that has it from.
    fn held_at(&self, edition: EditionId, most: usize) -> Option<String> {
        if self.told.contains_key(&edition) {
            return self.held.get(&edition).cloned();
        }
        let above = self.parents.get(&edition).filter(|_| most > 0)?;
        self.held_at(*above, most - 1)
    }

    /// Whether a unit arrives in an edition: with the call, or from an edition of the call by inheritance,
    /// through at most so many others.
    fn in_edition(
        &mut self,
        edition: EditionId,
        path: &RepoPath,
        unit: &Unit,
        most: usize,
    ) -> Result<bool, RepoError> {
        if let Some(told) = self.told.get(&edition) {
            return Ok(arrived(told, path.key(), &unit.path));
        }
        let above = self.parents.get(&edition).filter(|_| most > 0);
        let Some(above) = above.copied() else { return Ok(false) };
        if !self.in_edition(above, path, unit, most - 1)? {
            return Ok(false);
        }
        // No target itself: it passes on what it does not say.
        let place = (edition, path.key());
        if !self.says.contains_key(&place) {
            let says = self.says_at(edition, path)?;
            self.says.insert(place.clone(), says);
        }
        let says = self.says.get(&place).and_then(Option::as_ref);
        Ok(says.is_some_and(|own| unit.is_inherited(own.as_ref())))
    }

    /// What an edition says itself of a document; `None` where it shows none.
    fn says_at(
        &self,
        edition: EditionId,
        path: &RepoPath,
    ) -> Result<Option<Option<Layer>>, RepoError> {
        let Some(head) = self.repo.edition_head(edition)? else { return Ok(None) };
        let commit = self.repo.commit(head)?;
        if in_the_way(self.batch, commit.tree, &Edits::new(), path)?.is_some() {
            return Ok(None);
        }
        let schemas = self.repo.schemas(self.batch, commit.tree)?;
        let schema = schemas.of(path).map(|schema| &**schema);
        let inherited = self.repo.inherited_tree(commit.pin)?;
        let parent = document_at(self.batch, inherited, path, schema)?;
        let shown = document_at(self.batch, commit.tree, path, schema)?;
        let own = layer_at(self.batch, commit.own.unwrap_or(EMPTY_TREE), path)?;
        Ok(Some(explained(schema, parent.as_ref(), own, shown.as_ref()).own))
    }
}

/// Adds those parts of a unit that are named, or all of it.
fn choose(
    schema: Option<&Schema>,
    unit: Unit,
    named: &impl Fn(&Unit) -> bool,
    chosen: &mut Vec<Unit>,
) {
    if named(&unit) {
        return chosen.push(unit);
    }
    let parts = unit.parts(schema).unwrap_or_default();
    parts.into_iter().for_each(|part| choose(schema, part, named, chosen));
}

/// Whether a unit is among those that arrived, by itself, in what is around it, or in all its parts: which it is
/// depends on what each edition had there.
fn arrived(told: &BTreeMap<(PathKey, FieldPath), bool>, path: PathKey, unit: &FieldPath) -> bool {
    let around = (0..=unit.segments().len()).filter_map(|len| unit.segments().get(..len));
    for above in around.map(|above| FieldPath(above.to_vec())) {
        if let Some(arrives) = told.get(&(path.clone(), above)) {
            return *arrives;
        }
    }
    let behind = told.range((path.clone(), unit.clone())..);
    let parts = behind.take_while(|((at, field), _)| *at == path && field.starts_with(unit));
    let mut parts = parts.map(|(_, arrives)| *arrives).peekable();
    parts.peek().is_some() && parts.all(|arrives| arrives)
}

/// Leaves a target as it is where something else stands in the document's place: nobody asked for that to be
/// overruled, and it may be a conflict.
fn keep(applied: &mut Applied, document: Option<&Value>) {
    applied.document = document.cloned();
    for unit in &mut applied.units {
        if unit.outcome == PushOutcome::Applied {
            unit.outcome = PushOutcome::Diverged;
        }
        (unit.pins_override, unit.forced, unit.conflict) = (false, false, None);
    }
}

fn row(path: &RepoPath, it: &PushedUnit) -> OutcomeRow {
    let row = OutcomeRow::new(path, &it.unit, it.target.as_ref(), it.outcome.word());
    OutcomeRow {
        conflict: it.conflict.map(|kind| kind.word()),
        pins_override: it.pins_override,
        forced: it.forced,
        ..row
    }
}
