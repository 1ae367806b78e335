//! What two editions share by what they inherit, and not by their histories alone.
//!
//! Moving a pin brings a parent's state into an edition, as a merge would, but it is no parent of the commit
//! that did so. Where both sides of a merge have the same state of an edition in them, that is what their
//! documents grew apart from: the base is as it would be if its pin had been moved there, too. Otherwise
//! what reached both sides would count as a change of each of them, and what reached one as its own. Files
//! are each edition's own, so they keep the base that history gives.

use std::collections::BTreeMap;

use ottvc_merge::{Ancestry, best_common_ancestors, layers};
use ottvc_object::tree::EMPTY_TREE;
use ottvc_object::value::{Document, Value};
use ottvc_object::{Commit, CommitId, RepoPath, TreeId};

use crate::layers::{
    changed_documents, document_at, document_edit, explained, in_the_way, layer_at,
};
use crate::nodes::Batch;
use crate::propagate::MAX_LINE;
use crate::schemas::Schemas;
use crate::stage::Edits;
use crate::{Repo, RepoError};

/// A commit, the one it inherits from, the one that inherits from, and so on.
type Line = Vec<(CommitId, Commit)>;

impl Repo {
    /// Brings the documents of `tree`, which is the base `base` of a merge of `ours` and `theirs`, up to the
    /// newest state of an edition that both have in them. Costs what changed in that edition since.
    pub(super) fn brought_up(
        &self,
        batch: &Batch<'_>,
        tree: TreeId,
        base: CommitId,
        [ours, theirs]: [CommitId; 2],
    ) -> Result<TreeId, RepoError> {
        let [ours, theirs, base] = [line(batch, ours)?, line(batch, theirs)?, line(batch, base)?];
        for (mine, of) in &ours {
            let same = |(_, commit): &&(CommitId, Commit)| commit.edition == of.edition;
            let Some((its, _)) = theirs.iter().find(same) else { continue };
            let Some(deep) = base.iter().position(|(_, commit)| commit.edition == of.edition)
            else {
                continue;
            };
            // One state has the other in it, or there is none that both have.
            let Some(older) = older_of(batch, *mine, *its)? else { continue };
            let Some((line, (from, _))) = base.get(..=deep).zip(base.get(deep)) else { continue };
            if *from == older || older_of(batch, *from, older)? != Some(*from) {
                continue;
            }
            return self.lifted(batch, tree, line, batch.load::<Commit>(older)?.tree);
        }
        Ok(tree)
    }

    /// `tree`, the first of `line` shows it, as it would be if the last of `line` had the documents of `to`.
    fn lifted(
        &self,
        batch: &Batch<'_>,
        tree: TreeId,
        line: &[(CommitId, Commit)],
        to: TreeId,
    ) -> Result<TreeId, RepoError> {
        let Some((_, last)) = line.last() else { return Ok(tree) };
        let mut changed = BTreeMap::new();
        changed_documents(batch, last.tree, to, &mut changed)?;
        let schemas = self.schemas_for_reading(batch, tree)?;
        let mut edits = Edits::new();
        for path in changed.values() {
            if in_the_way(batch, tree, &edits, path)?.is_some() {
                continue;
            }
            let document = lifted_document(batch, &schemas, line, to, path)?;
            let document = document.map(Document::new).transpose()?;
            edits.extend([document_edit(batch, path, document.as_ref())?]);
        }
        self.apply(tree, &edits, batch)
    }
}

/// What the first of `line` would show at `path` if the last had what `to` has there.
fn lifted_document(
    batch: &Batch<'_>,
    schemas: &Schemas,
    line: &[(CommitId, Commit)],
    to: TreeId,
    path: &RepoPath,
) -> Result<Option<Value>, RepoError> {
    let schema = schemas.of(path).map(|schema| &**schema);
    let mut document = document_at(batch, to, path, schema)?;
    for pair in line.windows(2).rev() {
        let [(_, edition), (_, parent)] = pair else { continue };
        let from = document_at(batch, parent.tree, path, schema)?;
        let shown = document_at(batch, edition.tree, path, schema)?;
        let own = layer_at(batch, edition.own.unwrap_or(EMPTY_TREE), path)?;
        let own = explained(schema, from.as_ref(), own, shown.as_ref()).own;
        let inherited = layers::inherited(schema, document.as_ref());
        document = layers::overlay(schema, inherited.as_deref(), own.as_ref());
    }
    Ok(document)
}

/// Which of two commits is an ancestor of the other.
fn older_of(
    batch: &Batch<'_>,
    one: CommitId,
    other: CommitId,
) -> Result<Option<CommitId>, RepoError> {
    let ancestry = |id: CommitId| -> Result<Ancestry, RepoError> {
        let Commit { parents, generation, .. } = batch.load(id)?;
        Ok(Ancestry { parents, generation })
    };
    let shared = best_common_ancestors(ancestry, one, other)?;
    Ok([one, other].into_iter().find(|id| shared == [*id]))
}

fn line(batch: &Batch<'_>, head: CommitId) -> Result<Line, RepoError> {
    let mut line = Line::new();
    let mut next = Some(head);
    while let Some(id) = next.filter(|_| line.len() < MAX_LINE) {
        let commit: Commit = batch.load(id)?;
        next = commit.pin.map(|pin| pin.commit);
        line.push((id, commit));
    }
    Ok(line)
}
