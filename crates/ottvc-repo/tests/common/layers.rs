//! Editions that inherit, and what must hold of them whatever was done.

use std::collections::{BTreeMap, BTreeSet};

use ottvc_merge::Schema;
use ottvc_merge::layers::{self, Layer};
use ottvc_object::tree::{EMPTY_TREE, lookup_path, walk};
use ottvc_object::value::{Document, Value};
use ottvc_object::{Entry, NamedEntry, RepoPath, Storable, TreeId};
use ottvc_refs::RefKind;
use ottvc_repo::meta::FieldEdit;
use ottvc_repo::plan::{Carrying, PlanReport, TargetRow};
use ottvc_repo::push::PushRequest;
use ottvc_repo::{RepoError, Silent};

use super::Lab;

pub(crate) const EDITION: &str = "edition.meta.json";

/// A field of the edition's document, as JSON text.
pub(crate) fn field(lab: &Lab, rev: &str, field: &str) -> Option<String> {
    lab.field(rev, EDITION, field)
}

/// What a plan says of a branch.
pub(crate) fn row<'r>(report: &'r PlanReport, branch: &str) -> &'r TargetRow {
    report.targets.iter().find(|row| row.branch == branch).unwrap()
}

/// The fields of a row, and what became of them.
pub(crate) fn outcomes(row: &TargetRow) -> Vec<(&str, &str)> {
    row.outcomes.iter().map(|it| (it.field.as_str(), it.outcome)).collect()
}

/// Pushes what main changed to these editions.
pub(crate) fn fix(to: &[&str]) -> PushRequest {
    PushRequest {
        rev: "main".into(),
        to: to.iter().map(|it| (*it).to_owned()).collect(),
        ..PushRequest::default()
    }
}

fn documents(lab: &Lab, tree: TreeId, paths: &mut BTreeSet<RepoPath>) {
    walk(lab.repo.nodes(), tree, &RepoPath::root(), &mut |path, named| {
        if matches!(named.entry, Entry::Document { .. }) {
            paths.insert(path.clone());
        }
        Ok(true)
    })
    .unwrap();
}

fn document(lab: &Lab, tree: TreeId, path: &RepoPath) -> Option<Document> {
    match lookup_path(lab.repo.nodes(), tree, path).unwrap() {
        Some(NamedEntry { entry: Entry::Document { id, .. }, .. }) => {
            Some(Document::from_object(&lab.repo.objects().get(id.into()).unwrap()).unwrap())
        }
        _ => None,
    }
}

impl Lab {
    /// Makes an edition that inherits.
    pub(crate) fn edition(&self, name: &str, from: &str) -> &Self {
        self.repo.make_edition(name, Some(from), None, None).unwrap();
        self
    }

    /// Sets fields of the edition's document in the working copy.
    pub(crate) fn set(&self, fields: &[&str]) -> &Self {
        self.set_in(EDITION, fields)
    }
    pub(crate) fn set_in(&self, path: &str, fields: &[&str]) -> &Self {
        let edits: Vec<FieldEdit> =
            fields.iter().map(|field| FieldEdit::parse(field).unwrap()).collect();
        self.repo.edit_fields(self.repo.root(), path, &edits).unwrap();
        self
    }

    /// Switches to a branch, sets fields there, and commits that.
    pub(crate) fn change(&self, branch: &str, fields: &[&str]) -> &Self {
        self.switch(branch).set(fields);
        self.finish_with(&fields.join(" "));
        self
    }

    pub(crate) fn reset(&self, field: &str) -> Result<(), RepoError> {
        let fields = [field.parse().unwrap()];
        self.repo.reset_fields(self.repo.root(), EDITION, &fields).map(drop)
    }

    pub(crate) fn try_propagate(
        &self,
        rev: &str,
        to: &[&str],
        how: &Carrying,
    ) -> Result<PlanReport, RepoError> {
        let to: Vec<String> = to.iter().map(|it| (*it).to_owned()).collect();
        let plan = self.repo.plan_propagation(rev, &to, None)?;
        self.repo.carry_out_plan(&plan, how, &Silent)
    }
    pub(crate) fn propagate(&self, rev: &str, to: &[&str]) -> PlanReport {
        self.try_propagate(rev, to, &Carrying::default()).unwrap()
    }
    pub(crate) fn push(&self, request: &PushRequest) -> PlanReport {
        let plan = self.repo.plan_push(request).unwrap();
        self.repo.carry_out_plan(&plan, &Carrying::default(), &Silent).unwrap()
    }

    /// The tree of every branch.
    pub(crate) fn trees(&self) -> BTreeMap<String, TreeId> {
        let branches = self.repo.list_refs(RefKind::Branch).unwrap();
        let tree = |name: &str| self.repo.commit(self.repo.resolve(name).unwrap().id).unwrap().tree;
        branches.iter().map(|row| (row.name.clone(), tree(&row.name))).collect()
    }

    /// Checks of every edition that its documents are what it inherits with its own layers over it.
    pub(crate) fn check_layers(&self) {
        self.check_layers_under(None);
    }

    /// The same, where documents have a schema.
    pub(crate) fn check_layers_under(&self, schema: Option<&Schema>) {
        for row in self.repo.list_refs(RefKind::Branch).unwrap() {
            let commit = self.repo.commit(self.repo.resolve(&row.name).unwrap().id).unwrap();
            let Some(pin) = commit.pin else {
                assert_eq!(commit.own, None, "{}", row.name);
                continue;
            };
            let parent = self.repo.commit(pin.commit).unwrap();
            assert!(parent.conflicts.is_empty(), "{} inherits conflicts", row.name);
            let own = commit.own.unwrap_or(EMPTY_TREE);
            let mut paths = BTreeSet::new();
            [parent.tree, own, commit.tree]
                .into_iter()
                .for_each(|tree| documents(self, tree, &mut paths));
            for path in paths {
                let value = |tree| {
                    let value = document(self, tree, &path)?.into_value();
                    Some(schema.map_or(value.clone(), |schema| schema.convert(&value)))
                };
                let layer = document(self, own, &path);
                let layer = layer.map(|layer| Layer::from_document(&layer).unwrap());
                let parent = value(parent.tree);
                let inherited = layers::inherited(schema, parent.as_ref());
                let made = layers::overlay(schema, inherited.as_deref(), layer.as_ref());
                assert_eq!(made, value(commit.tree), "{}:{path}", row.name);
            }
            let mut conflicts = Vec::new();
            let mut shown = BTreeSet::new();
            documents(self, commit.tree, &mut shown);
            for path in shown {
                let value = document(self, commit.tree, &path).map(Document::into_value);
                let fields = value.as_ref().map(Value::conflicts).unwrap_or_default();
                conflicts.extend(fields.into_iter().map(|(field, _)| (path.clone(), Some(field))));
            }
            conflicts.sort();
            let told: Vec<_> =
                commit.conflicts.iter().map(|it| (it.path.clone(), it.field.clone())).collect();
            assert_eq!(told, conflicts, "{}", row.name);
        }
    }
}
