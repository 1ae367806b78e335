//! Editions as the family they are: what inherits from what, what is each one's own, and who lags behind.

use std::collections::BTreeMap;

use ottvc_merge::layers::{self, FlowOutcome, Unit, UnitOutcome};
use ottvc_merge::schema::Inherit;
use ottvc_object::tree::{EMPTY_TREE, walk};
use ottvc_object::{Commit, EditionId, Entry, RepoPath, TreeId};
use ottvc_refs::{RefKind, RefName, RefValue};
use serde::Serialize;

use crate::layers::{changed_documents, document_at, explained, in_the_way, layer_at};
use crate::nodes::Batch;
use crate::stage::Edits;
use crate::workspace::Head;
use crate::{Repo, RepoError};

/// One edition, as a tree of them shows it.
#[derive(Clone, Debug, Serialize)]
pub struct EditionRow {
    /// Its branch.
    pub branch: String,
    /// How many editions are above it in the tree.
    pub depth: usize,
    /// Its id.
    pub edition: Option<String>,
    /// The commit it is at, if any.
    pub commit: Option<String>,
    /// What kind of cut it is.
    pub class: Option<String>,
    /// Where it is shown.
    pub territory: Option<String>,
    /// Whether the working copy is on it.
    pub current: bool,
    /// What it inherits from.
    pub inherits: Option<PinRow>,
    /// Places that it overrides, or suppresses.
    pub overrides: u64,
    /// Places it was given once, when it was made, and has as its own since (`at_create`).
    pub given_once: u64,
    /// Places that nobody inherits (`never`).
    pub not_inherited: u64,
    /// All those places, as `PATH#FIELD`; a suppressed one with `-` before it. Only if asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub own: Vec<String>,
    /// Of each of those places in turn, what is to be said of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<OwnPlace>,
    /// What its parent has and it has not been given.
    pub lacks: Option<LacksRow>,
}

/// A place that is an edition's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OwnPlace {
    /// `PATH#FIELD`; a suppressed one with `-` before it.
    pub place: String,
    /// `override`, `given_once` or `not_inherited`.
    pub how: &'static str,
    /// Whether the state it inherits from has the same there.
    pub as_parent: bool,
}

/// What an edition inherits from.
#[derive(Clone, Debug, Serialize)]
pub struct PinRow {
    /// The edition.
    pub edition: String,
    /// Its branch, if there is one.
    pub branch: Option<String>,
    /// The commit of it.
    pub commit: String,
}

/// Changes of a parent that were not propagated.
#[derive(Clone, Debug, Serialize)]
pub struct LacksRow {
    /// The parent's branch.
    pub of: String,
    /// How many fields changed that would come.
    pub changes: u64,
    /// Those fields, as `PATH#FIELD`.
    pub fields: Vec<String>,
    /// Fields that changed, too, and have another value of the edition's own.
    pub overridden: Vec<String>,
}

impl Repo {
    /// Lists editions, each behind the one it inherits from; with `root`, that branch and those below it. With
    /// `long`, what each has of its own.
    ///
    /// # Errors
    /// [`RepoError::UnknownRevision`] if `root` is no branch.
    pub fn lineage(&self, root: Option<&str>, long: bool) -> Result<Vec<EditionRow>, RepoError> {
        let root = root.map(|root| self.existing_branch(root)).transpose()?;
        let here = self.state()?.head;
        let mut branches: BTreeMap<RefName, RefValue> = BTreeMap::new();
        for (name, value) in self.refs.list()? {
            if name.kind() == RefKind::Branch {
                branches.insert(name, value);
            }
        }
        let mut by_edition: BTreeMap<EditionId, RefName> = BTreeMap::new();
        for (name, value) in &branches {
            by_edition.extend(value.edition.as_ref().map(|edition| (edition.id, name.clone())));
        }
        let batch = Batch::new(&self.nodes);
        let mut below: BTreeMap<Option<RefName>, Vec<(RefName, EditionRow)>> = BTreeMap::new();
        for (name, value) in &branches {
            let mut row = EditionRow {
                branch: name.short().to_owned(),
                depth: 0,
                edition: value.edition.as_ref().map(|edition| edition.id.to_string()),
                commit: value.target.map(|id| id.to_string()),
                class: value.edition.as_ref().and_then(|edition| edition.class.clone()),
                territory: value.edition.as_ref().and_then(|edition| edition.territory.clone()),
                current: here == Head::Branch(name.clone()),
                inherits: None,
                overrides: 0,
                given_once: 0,
                not_inherited: 0,
                own: Vec::new(),
                places: Vec::new(),
                lacks: None,
            };
            let mut above = None;
            if let Some(head) = value.target
                && let commit = self.commit(head)?
                && let Some(pin) = commit.pin
            {
                let parent = by_edition.get(&pin.edition).filter(|parent| *parent != name);
                let inherited = long.then(|| self.inherited_tree(Some(pin))).transpose()?;
                for (place, inherit, as_parent) in self.own_places(&batch, &commit, inherited)? {
                    let (count, how) = match inherit {
                        Inherit::Flow => (&mut row.overrides, "override"),
                        Inherit::AtCreate => (&mut row.given_once, "given_once"),
                        Inherit::Never => (&mut row.not_inherited, "not_inherited"),
                    };
                    *count += 1;
                    if long {
                        row.own.push(place.clone());
                        row.places.push(OwnPlace { place, how, as_parent });
                    }
                }
                row.inherits = Some(PinRow {
                    edition: pin.edition.to_string(),
                    branch: parent.map(|parent| parent.short().to_owned()),
                    commit: pin.commit.to_string(),
                });
                if let Some(parent) = parent
                    && let Some(newest) = branches.get(parent).and_then(|value| value.target)
                    && newest != pin.commit
                {
                    let trees = [self.commit(pin.commit)?.tree, self.commit(newest)?.tree];
                    let (fields, overridden) = self.not_given(&batch, trees, &commit)?;
                    let any = !(fields.is_empty() && overridden.is_empty());
                    row.lacks = any.then(|| LacksRow {
                        of: parent.short().to_owned(),
                        changes: fields.len() as u64,
                        fields,
                        overridden,
                    });
                }
                above = parent.cloned();
            }
            below.entry(above).or_default().push((name.clone(), row));
        }
        let mut rows = Vec::new();
        let start = match &root {
            None => below.remove(&None).unwrap_or_default(),
            Some(root) => below
                .values_mut()
                .find_map(|rows| {
                    let at = rows.iter().position(|(name, _)| name == root)?;
                    Some(vec![rows.remove(at)])
                })
                .unwrap_or_default(),
        };
        let mut waiting: Vec<(usize, (RefName, EditionRow))> =
            start.into_iter().rev().map(|row| (0, row)).collect();
        while let Some((depth, (name, row))) = waiting.pop() {
            rows.push(EditionRow { depth, ..row });
            let children = below.remove(&Some(name)).unwrap_or_default();
            waiting.extend(children.into_iter().rev().map(|row| (depth + 1, row)));
        }
        // Editions that inherit from each other in a ring have no root.
        if root.is_none() {
            rows.extend(below.into_values().flatten().map(|(_, row)| row));
        }
        Ok(rows)
    }

    /// What a commit has of its own, how others would inherit it, and whether `inherited` has the same there.
    fn own_places(
        &self,
        batch: &Batch<'_>,
        commit: &Commit,
        inherited: Option<TreeId>,
    ) -> Result<Vec<(String, Inherit, bool)>, RepoError> {
        let own = commit.own.unwrap_or(EMPTY_TREE);
        let schemas = self.schemas_for_reading(batch, commit.tree)?;
        let mut paths = Vec::new();
        walk(batch, own, &RepoPath::root(), &mut |path, named| {
            if matches!(named.entry, Entry::Document { .. }) {
                paths.push(path.clone());
            }
            Ok(true)
        })?;
        let mut places = Vec::new();
        for path in paths {
            let schema = schemas.of(&path).map(|schema| &**schema);
            let layer = layer_at(batch, own, &path)?.map(|layer| layer.under(schema));
            let sides = match inherited {
                Some(inherited) => Some((
                    document_at(batch, inherited, &path, schema)?,
                    document_at(batch, commit.tree, &path, schema)?,
                )),
                None => None,
            };
            for (field, there) in layer.iter().flat_map(layers::Layer::places) {
                let place = format!("{}{path}#{field}", if there { "" } else { "-" });
                let said = schema.and_then(|schema| schema.reach_at(&field).inherit);
                let unit = Unit { path: field, members: Vec::new(), old: None, new: None };
                let same = sides.as_ref().is_some_and(|(parent, shown)| {
                    unit.of(parent.as_ref()) == unit.of(shown.as_ref())
                });
                places.push((place, said.unwrap_or(Inherit::Flow), same));
            }
        }
        Ok(places)
    }

    /// Fields that differ between two trees and that an edition has not been given: those that would come, and
    /// those where it has another value of its own. Where something else is in the way nothing would come.
    fn not_given(
        &self,
        batch: &Batch<'_>,
        [old, new]: [TreeId; 2],
        edition: &Commit,
    ) -> Result<(Vec<String>, Vec<String>), RepoError> {
        let mut changed = BTreeMap::new();
        changed_documents(batch, old, new, &mut changed)?;
        let schemas = self.schemas_for_reading(batch, edition.tree)?;
        let own = edition.own.unwrap_or(EMPTY_TREE);
        let (mut coming, mut overridden) = (Vec::new(), Vec::new());
        for path in changed.values() {
            if in_the_way(batch, edition.tree, &Edits::new(), path)?.is_some() {
                continue;
            }
            let schema = schemas.of(path).map(|schema| &**schema);
            let [from, to, shown] =
                [old, new, edition.tree].map(|tree| document_at(batch, tree, path, schema));
            let (from, to, shown) = (from?, to?, shown?);
            let layer =
                explained(schema, from.as_ref(), layer_at(batch, own, path)?, shown.as_ref());
            let moved = layers::propagate(schema, from.as_ref(), to.as_ref(), layer.own.as_ref());
            for UnitOutcome { unit, outcome, .. } in moved.outcomes {
                match outcome {
                    FlowOutcome::Flowed | FlowOutcome::Orphaned => &mut coming,
                    FlowOutcome::Shadowed => &mut overridden,
                    FlowOutcome::Converged | FlowOutcome::NotInherited => continue,
                }
                .push(format!("{path}#{}", unit.path));
            }
        }
        Ok((coming, overridden))
    }
}
