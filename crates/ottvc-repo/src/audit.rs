//! Who holds which bytes, and what a deletion would free; hash lists and proofs for others to check.
//!
//! A report adds up to the byte: the rows' `stored_bytes`, with those of the special rows, are every
//! byte of every pack. `docs/audit.md` says what each row and column counts.

mod explain;
pub mod fixity;
mod graph;
mod groups;
mod links;
mod marks;
pub mod mhl;
pub mod proof;
mod roots;
mod sums;

use std::str::FromStr;

use ottvc_object::Totals;
use serde::Serialize;

pub use explain::{
    Compared, EditionShare, ExplainReport, FileShare, PathShare, SharedRange, SharedWith,
};
pub(crate) use graph::{At, Fault, Graph, Steps, Thing, Watch, What, is_about_one_thing};
pub(crate) use links::{Link, Opened, each_entry};
pub(crate) use marks::Seen;
pub(crate) use roots::{NamedHead, commit_link, working_links};

use crate::{Progress, Repo, RepoError};
use groups::{Census, Draft};
use sums::{Holds, Split, Sums};

/// What the rows of a report stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupBy {
    /// Branches and tags, each with all its history.
    Branch,
    /// Titles, as the edition documents of branches and tags name them.
    Title,
    /// Paths at the heads of branches.
    Path,
    /// Commits, each with what it was the first to bring.
    Commit,
    /// File extensions, documents, trees, commits.
    Type,
}

impl GroupBy {
    /// Every grouping, with the word for it.
    pub const ALL: [(&'static str, Self); 5] = [
        ("branch", Self::Branch),
        ("title", Self::Title),
        ("path", Self::Path),
        ("commit", Self::Commit),
        ("type", Self::Type),
    ];
}

impl FromStr for GroupBy {
    type Err = RepoError;
    fn from_str(text: &str) -> Result<Self, RepoError> {
        let found = Self::ALL.into_iter().find(|(word, _)| *word == text);
        found.map(|(_, by)| by).ok_or_else(|| RepoError::BadArgument {
            given: text.to_owned(),
            wanted: "grouping",
            why: "branch, title, path, commit or type".into(),
        })
    }
}

/// Bytes that one row of a report stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Its name; those of special rows are in parentheses.
    pub name: String,
    /// `branch`, `tag`, `title`, `path`, `commit`, `type`; `rest` for special rows, `total` for the
    /// total.
    pub kind: &'static str,
    /// The commit it is about, for branches, tags and commits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// First line of a commit's message; the branches of a title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Files and documents that its logical bytes are of.
    pub files: u64,
    /// What a user would see: bytes of those files and documents.
    pub logical_bytes: u64,
    /// Raw bytes it holds and no other row does.
    pub unique_bytes: u64,
    /// Raw bytes it holds and other rows do too.
    pub shared_bytes: u64,
    /// Its part of the bytes in packs.
    pub stored_bytes: u64,
    /// Logical less stored bytes; below zero where more is kept than is seen.
    pub saved_bytes: i64,
}

impl Row {
    fn new(name: impl Into<String>, kind: &'static str, totals: Totals, sums: Sums) -> Self {
        let signed = |bytes| i64::try_from(bytes).unwrap_or(i64::MAX);
        Self {
            name: name.into(),
            kind,
            commit: None,
            detail: None,
            files: totals.files.saturating_add(totals.documents),
            logical_bytes: totals.bytes,
            unique_bytes: sums.unique,
            shared_bytes: sums.shared,
            stored_bytes: sums.stored,
            saved_bytes: signed(totals.bytes).saturating_sub(signed(sums.stored)),
        }
    }

    fn of(draft: Draft, sums: Sums) -> Self {
        let Draft { name, kind, commit, detail, totals, .. } = draft;
        let commit = commit.map(|id| id.to_string());
        Self { commit, detail, ..Self::new(name, kind, totals, sums) }
    }
}

/// Who holds which bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DedupeReport {
    /// One row for each thing grouped by, then the special rows.
    pub rows: Vec<Row>,
    /// Everything once: `shared_bytes` counts what several rows hold a single time.
    pub total: Row,
    /// Bytes in packs that a collection could give back if the refs asked about were deleted.
    pub freed_if_deleted: Option<u64>,
}

impl Repo {
    /// Reports who holds which bytes, and what deleting the refs `what_if_delete` would free.
    ///
    /// Reads every commit, tree node and manifest that anything reaches, once; no chunk.
    ///
    /// # Errors
    /// The store's for the first object that is missing or damaged: sums over a store with holes
    /// would be wrong. [`RepoError::Unbalanced`] if the index knows of bytes that no pack has.
    pub fn dedupe(
        &self,
        by: GroupBy,
        what_if_delete: &[String],
        progress: &dyn Progress,
    ) -> Result<DedupeReport, RepoError> {
        let gone = self.named_refs(what_if_delete)?;
        let heads = self.heads()?;
        let working = working_links(&self.state()?);
        let operations = self.operation_links()?;

        let mut graph = Graph::scan(&*self.objects)?;
        let mut census = Census::new(progress, graph.len(), by == GroupBy::Type);
        let links: Vec<Link> = heads.iter().filter_map(|(_, id)| id.map(commit_link)).collect();
        let from_refs = graph.grow(&*self.objects, &links, &mut census)?;
        let types = census.types.take().unwrap_or_default();
        let from_working = graph.grow(&*self.objects, &working, &mut census)?;
        let from_operations = graph.grow(&*self.objects, &operations, &mut census)?;

        let drafts = match by {
            GroupBy::Branch => self.rows_by_branch(&graph, &heads)?,
            GroupBy::Title => self.rows_by_title(&graph, &heads)?,
            GroupBy::Path => self.rows_by_path(&graph, &heads)?,
            GroupBy::Commit => self.rows_by_commit(&graph, &heads)?,
            GroupBy::Type => groups::rows_by_type(&graph, &from_refs, types),
        };
        let Split { rows: sums, mut total, mut seen } = share_out(&graph, by, &drafts);
        let logical =
            drafts.iter().fold(Totals::default(), |totals, draft| totals.plus(draft.totals));
        let mut rows: Vec<Row> =
            drafts.into_iter().zip(sums).map(|(draft, sums)| Row::of(draft, sums)).collect();
        let mut special = |name: &str, sums: Sums| {
            total = total.plus(sums);
            rows.push(Row::new(name, "rest", Totals::default(), sums));
        };
        if by == GroupBy::Path {
            special("(history)", sums::rest(&graph, &from_refs, &mut seen));
        }
        special("(working copy)", sums::rest(&graph, &from_working, &mut seen));
        special("(operations)", sums::rest(&graph, &from_operations, &mut seen));
        let held: Vec<At> = graph.all().filter(|(_, thing)| thing.held).map(|(at, _)| at).collect();
        special("(unreachable)", sums::rest(&graph, &held, &mut seen));
        special("(pack overhead)", self.overhead(&graph)?);

        let total = Row::new("total", "total", logical, total);
        // Every record was given to some row and none twice, or the report is not worth printing.
        let counted = rows.iter().fold(0_u64, |sum, row| sum.saturating_add(row.stored_bytes));
        let held = self.objects.usage()?.pack_bytes;
        if counted != held || total.stored_bytes != held {
            return Err(RepoError::Unbalanced { counted, held });
        }
        let freed = || {
            let (gone, kept): (Vec<_>, Vec<_>) =
                heads.iter().partition(|(name, _)| gone.contains(name));
            let places = |heads: Vec<&NamedHead>| -> Vec<At> {
                heads.iter().filter_map(|(_, id)| graph.find(&(*id)?.0)).collect()
            };
            let mut seen = Seen::none(&graph);
            sums::rest(&graph, &places(kept), &mut seen);
            sums::rest(&graph, &from_working, &mut seen);
            sums::rest(&graph, &places(gone), &mut seen).stored
        };
        let freed_if_deleted = (!gone.is_empty()).then(freed);
        Ok(DedupeReport { rows, total, freed_if_deleted })
    }

    /// What packs take beside the records that the index points at.
    fn overhead(&self, graph: &Graph) -> Result<Sums, RepoError> {
        let counted = graph.all().fold(0_u64, |sum, (_, thing)| sum.saturating_add(thing.stored));
        let held = self.objects.usage()?.pack_bytes;
        match held.checked_sub(counted) {
            Some(stored) => Ok(Sums { stored, ..Sums::default() }),
            None => Err(RepoError::Unbalanced { counted, held }),
        }
    }
}

/// Adds up the rows, in the order they are in.
fn share_out(graph: &Graph, by: GroupBy, drafts: &[Draft]) -> Split {
    let mut holds: Vec<Holds> = drafts.iter().map(|draft| draft.holds.clone()).collect();
    if by != GroupBy::Commit {
        return sums::split(graph, &holds);
    }
    // Rows of commits are newest first, and it is the oldest that brought a thing.
    holds.reverse();
    let mut split = sums::first_come(graph, &holds);
    split.rows.reverse();
    split
}
