//! Taking in what a source delivers, and giving documents out in foreign formats.
//!
//! Each source has a lineage of its own, the branch `source/NAME`, which holds what that source says
//! and nothing else. A delivery is a commit there, then merged into the current branch. The delivery
//! merged before is thereby the base: what the source says no longer is removed unless somebody changed
//! it, and what others wrote is untouched. The first delivery shares no history with the branch, and
//! is merged over an empty base. Both refs move in one step, so one undo takes an import back.
//!
//! What another source still says is not removed either: see `kept`.

mod kept;

use ottvc_import::{Delivery, Mapping, Scope, Severity, deliver};
use ottvc_merge::Schema;
use ottvc_merge::schema::{Finding, validate};
use ottvc_object::commit::Provenance;
use ottvc_object::tree::{EMPTY_TREE, PathEdit, lookup_path};
use ottvc_object::value::{Document, Value};
use ottvc_object::{Commit, CommitId, Entry, RepoPath, Storable, TreeId};
use ottvc_refs::{Edition, RefEdit, RefName, RefValue};
use serde::Serialize;

use crate::changes::FieldChange;
use crate::merging::{Incoming, MergeReport, MergeRequest};
use crate::meta::EDITION_DOCUMENT;
use crate::nodes::Batch;
use crate::record::Draft;
use crate::schemas::is_computed_order;
use crate::stage::Edits;
use crate::workspace::{Head, State};
use crate::{Progress, Repo, RepoError};
use kept::Kept;
pub use kept::KeptField;

/// Branches of sources are named `source/NAME`.
pub const SOURCE_PREFIX: &str = "source/";

/// How to take a delivery in.
#[derive(Clone, Debug, Default)]
pub struct ImportRequest {
    /// Who delivers.
    pub source: String,
    /// What it means that a delivery omits a field.
    pub scope: Scope,
    /// The document, for a delivery that does not say; the edition's by default.
    pub to: Option<RepoPath>,
    /// Work it out and change nothing.
    pub dry_run: bool,
    /// Message of both commits.
    pub message: Option<String>,
}

/// What an import came to.
#[derive(Clone, Debug, Serialize)]
pub struct ImportReport {
    /// Who delivered.
    pub source: String,
    /// The branch of its lineage.
    pub lineage: String,
    /// What an omitted field meant.
    pub scope: &'static str,
    /// The commit of the delivery; `None` in a dry run, or if it says what the last one said.
    pub delivery: Option<String>,
    /// The commit on the current branch; `None` if none was made.
    pub commit: Option<String>,
    /// Whether no conflict is left, and the merge changes nothing that was given once.
    pub clean: bool,
    /// One row for each document delivered.
    pub documents: Vec<ImportedDocument>,
    /// The merge into the current branch; `None` where that had no commit yet, and took the delivery.
    pub merge: Option<MergeReport>,
}

/// What an import does to one document.
#[derive(Clone, Debug, Serialize)]
pub struct ImportedDocument {
    /// Its path.
    pub path: String,
    /// The format it came in.
    pub format: String,
    /// Name and version of the mapping.
    pub mapping: String,
    /// How many elements had something that no rule took; it is kept under `/custom`.
    pub unmapped: u64,
    /// Fields of the current branch that change, conflicts among them.
    pub fields: Vec<FieldChange>,
    /// Fields that it leaves out and that stay, as other sources say them.
    pub kept: Vec<KeptField>,
    /// What is odd about the delivery.
    pub findings: Vec<FindingRow>,
}

/// What is odd about a delivery.
#[derive(Clone, Debug, Serialize)]
pub struct FindingRow {
    /// `warning` or `error`.
    pub severity: &'static str,
    /// A word for the kind of finding.
    pub code: &'static str,
    /// Line, from 1; 0 where it is not known.
    pub line: u64,
    /// The element of the delivery, or the field of the document.
    pub place: String,
    /// What is odd.
    pub why: String,
}

/// A document written in a foreign format.
#[derive(Clone, Debug, Serialize)]
pub struct Exported {
    /// The document.
    pub path: String,
    /// The format.
    pub format: String,
    /// Name and version of the mapping.
    pub mapping: String,
    /// The file.
    pub text: String,
    /// Fields that the format, or its mapping, cannot say.
    pub unsaid: Vec<String>,
}

/// The lineage of a source as it was, and as it is to be.
struct Lineage {
    name: RefName,
    old: Option<RefValue>,
    edition: Edition,
    tree: TreeId,
    /// The last delivery.
    head: Option<CommitId>,
}

impl Repo {
    /// Takes deliveries of one source in, as one commit on its lineage, and merges it.
    ///
    /// # Errors
    /// [`RepoError::Refused`] for a finding that forbids it; [`RepoError::LocalChanges`] if something is
    /// staged or would be lost, [`RepoError::MergeInProgress`]; nothing is changed then.
    pub fn import(
        &self,
        deliveries: &[Delivery],
        request: &ImportRequest,
        progress: &dyn Progress,
    ) -> Result<ImportReport, RepoError> {
        refuse(deliveries)?;
        let state = self.state()?;
        let lineage = self.source_lineage(&request.source)?;
        if state.head == Head::Branch(lineage.name.clone()) {
            return Err(RepoError::CurrentBranch { name: lineage.name.short().to_owned() });
        }
        let batch = Batch::new(&self.nodes);
        let our_tree = self.head_tree(&state)?;
        // A lineage has no schemas of its own: what is delivered is judged by those of who takes it.
        let schemas = self.schemas(&batch, our_tree)?;
        let edition = Schema::edition()?;
        let mut documents = Vec::new();
        let mut edits = Edits::new();
        for delivery in deliveries {
            let path = place(delivery, request)?;
            let before = self.document_of(&batch, lineage.tree, &path)?;
            let said = deliver(before.as_ref(), delivery, request.scope)?;
            let document = Document::new(edition.convert(&said))?;
            let mut findings: Vec<FindingRow> = delivery.findings.iter().map(row).collect();
            findings.extend(breaches(document.value(), schemas.of(&path).unwrap_or(&edition)));
            let object = document.to_object()?;
            let len = object.bytes().len() as u64;
            let entry = Entry::Document { id: object.id().into(), len };
            batch.put(object);
            let named = crate::worktree::named(&path, entry)?;
            let twice = edits.insert(path.key(), PathEdit { path: path.clone(), new: Some(named) });
            if twice.is_some() {
                return Err(RepoError::BadArgument {
                    given: path.to_string(),
                    wanted: "place for a delivery",
                    why: "two documents are delivered there".into(),
                });
            }
            documents.push((path, delivery, findings));
        }
        let tree = self.apply(lineage.tree, &edits, &batch)?;
        let message = match &request.message {
            Some(message) => message.clone(),
            None => format!("Import from {}", request.source),
        };
        let (id, commit, is_new) = match lineage.head {
            Some(head) if tree == lineage.tree => (head, self.commit(head)?, false),
            head => {
                let draft = Draft {
                    parents: head.into_iter().collect(),
                    message: message.clone(),
                    provenance: Some(Provenance { tool: read_by(deliveries), model: None }),
                    ..Draft::new(tree)
                };
                let (id, commit) = self.make_commit_of(&batch, Some(lineage.edition.id), draft)?;
                (id, commit, true)
            }
        };
        let mut moves = Vec::new();
        if is_new {
            let new = RefValue { target: Some(id), edition: Some(lineage.edition.clone()) };
            let (name, old) = (lineage.name.clone(), lineage.old.clone());
            moves.push(RefEdit { name, old, new: Some(new) });
        }
        let name = lineage.name.short().to_owned();
        let mut kept = Kept::new();
        let (merge, commit, after) = match self.head_commit_id(&state)? {
            None => {
                let (commit, after) = self.take_whole(
                    state,
                    &batch,
                    (id, &commit),
                    &message,
                    moves,
                    request,
                    progress,
                )?;
                (None, commit, after)
            }
            Some(ours) => {
                let tree;
                (tree, kept) = self.keep_what_others_say(
                    &batch,
                    (&lineage.name, id, &commit),
                    (ours, our_tree),
                    (&schemas, &edition),
                )?;
                let merged = (id, Commit { tree, ..commit.clone() });
                // A dry run needs no commit of its own: its bases are those of the delivery.
                let (id, commit) = match tree == commit.tree || request.dry_run {
                    true => merged,
                    false => self.commit_kept(&batch, &lineage, merged)?,
                };
                let incoming =
                    Incoming { name: &name, id, commit: &commit, command: "import", edits: moves };
                let merging = MergeRequest {
                    dry_run: request.dry_run,
                    message: Some(message),
                    allow_unrelated: true,
                    ..MergeRequest::default()
                };
                let (report, after) =
                    self.merge_incoming(state, &batch, incoming, &merging, progress)?;
                (Some(report.clone()), report.commit, after)
            }
        };
        let schemas = self.schemas_for_reading(&batch, after)?;
        let documents = documents
            .into_iter()
            .map(|(path, delivery, findings)| {
                let empty = || Document::empty().into_value();
                let old = self.document_of(&batch, our_tree, &path)?.unwrap_or_else(empty);
                let new = self.document_of(&batch, after, &path)?.unwrap_or_else(empty);
                Ok(ImportedDocument {
                    path: path.to_string(),
                    format: delivery.format.clone(),
                    mapping: delivery.mapping.clone(),
                    unmapped: delivery.unmapped,
                    fields: FieldChange::between(&old, &new, schemas.of(&path).map(|it| &**it)),
                    kept: kept.remove(&path.to_string()).unwrap_or_default(),
                    findings,
                })
            })
            .collect::<Result<Vec<ImportedDocument>, RepoError>>()?;
        Ok(ImportReport {
            source: request.source.clone(),
            lineage: name,
            scope: request.scope.word(),
            delivery: (is_new && !request.dry_run).then(|| id.to_string()),
            commit,
            clean: merge.as_ref().is_none_or(|merge| merge.clean),
            documents,
            merge,
        })
    }

    /// Finds the lineage of a source; one that has none begins empty.
    fn source_lineage(&self, source: &str) -> Result<Lineage, RepoError> {
        let name = RefName::branch(&format!("{SOURCE_PREFIX}{source}"))?;
        let old = self.refs.get(&name)?;
        if old.is_none() {
            self.refuse_taken(&name)?;
        }
        let head = old.as_ref().and_then(|value| value.target);
        let tree = match head {
            Some(id) => self.commit(id)?.tree,
            None => EMPTY_TREE,
        };
        let edition = match old.as_ref().and_then(|value| value.edition.clone()) {
            Some(edition) => edition,
            None => self.new_edition(Some("source".into()), None)?,
        };
        Ok(Lineage { name, old, edition, tree, head })
    }

    /// Makes the commit that is merged in place of a delivery, on top of it: with what others still say. Both
    /// are written at once, as the merge looks for the delivery among what is stored.
    fn commit_kept(
        &self,
        batch: &Batch<'_>,
        lineage: &Lineage,
        (delivery, commit): (CommitId, Commit),
    ) -> Result<(CommitId, Commit), RepoError> {
        let draft = Draft {
            parents: vec![delivery],
            message: "Keep what other sources still say".to_owned(),
            provenance: commit.provenance.clone(),
            ..Draft::new(commit.tree)
        };
        let made = self.make_commit_of(batch, Some(lineage.edition.id), draft)?;
        let mut writer = self.objects.writer()?;
        batch.flush(&mut *writer)?;
        writer.finish()?;
        Ok(made)
    }

    /// Begins a branch that has no commit with what was delivered.
    #[expect(clippy::too_many_arguments, reason = "the two ends of one step")]
    fn take_whole(
        &self,
        mut state: State,
        batch: &Batch<'_>,
        (delivery, delivered): (CommitId, &Commit),
        message: &str,
        moves: Vec<RefEdit>,
        request: &ImportRequest,
        progress: &dyn Progress,
    ) -> Result<(Option<String>, TreeId), RepoError> {
        let staged = self.tree_changes(EMPTY_TREE, state.staged)?;
        if !staged.is_empty() {
            let paths = staged.iter().map(|change| change.path.to_string()).collect();
            return Err(RepoError::LocalChanges { paths });
        }
        if request.dry_run {
            return Ok((None, delivered.tree));
        }
        let draft = Draft {
            parents: vec![delivery],
            message: message.to_owned(),
            ..Draft::new(delivered.tree)
        };
        let (id, commit) = self.make_commit(batch, &state, draft)?;
        let mut writer = self.objects.writer()?;
        batch.flush(&mut *writer)?;
        writer.finish()?;
        let (staged, updated) = self.move_to(&state, EMPTY_TREE, commit.tree, false, progress)?;
        state.staged = staged;
        let summary = format!("import: {}", crate::record::first_line(message));
        self.move_head_with(&mut state, &updated.rows, id, "import", &summary, moves)?;
        Ok((Some(id.to_string()), commit.tree))
    }

    /// The document at a path of a tree that may be in the batch only.
    fn document_of(
        &self,
        batch: &Batch<'_>,
        tree: TreeId,
        path: &RepoPath,
    ) -> Result<Option<Value>, RepoError> {
        match lookup_path(batch, tree, path)?.map(|named| named.entry) {
            None | Some(Entry::Conflict(_)) => Ok(None),
            Some(Entry::Document { id, .. }) => Ok(Some(batch.load::<Document>(id)?.into_value())),
            Some(_) => {
                Err(RepoError::WrongKind { path: path.to_string(), wanted: "metadata document" })
            }
        }
    }

    /// Writes the document at a path of a revision in a foreign format.
    ///
    /// # Errors
    /// [`RepoError::Conflicts`] naming the fields in conflict: a file cannot hold both sides.
    pub fn export(
        &self,
        rev: &str,
        path: &RepoPath,
        mapping: &Mapping,
    ) -> Result<Exported, RepoError> {
        let path = crate::meta::document_path(path)?;
        let document = self.document(rev, &path)?;
        let conflicts = document.value().conflicts();
        if !conflicts.is_empty() {
            let paths = conflicts.iter().map(|(field, _)| format!("{path}#{field}")).collect();
            return Err(RepoError::Conflicts { paths });
        }
        let schema = Schema::edition()?;
        let value = schema.convert(document.value());
        let written = ottvc_import::write(&value, mapping)?;
        Ok(Exported {
            path: path.to_string(),
            format: mapping.format().to_owned(),
            mapping: mapping.name().to_owned(),
            text: written.text,
            unsaid: written
                .unsaid
                .iter()
                .filter(|field| !is_computed_order(&schema, field))
                .map(ToString::to_string)
                .collect(),
        })
    }
}

/// What made the commit of a delivery: the mappings that read it.
fn read_by(deliveries: &[Delivery]) -> String {
    let mut mappings: Vec<&str> = deliveries.iter().map(|it| it.mapping.as_str()).collect();
    mappings.dedup();
    format!("ottvc import, {}", mappings.join(", "))
}

/// Refuses deliveries with errors among their findings.
fn refuse(deliveries: &[Delivery]) -> Result<(), RepoError> {
    let found = deliveries.iter().flat_map(|delivery| &delivery.findings);
    let whys: Vec<String> = found
        .filter(|finding| finding.severity == Severity::Error)
        .map(|finding| match finding.line {
            0 => format!("{}: {}", finding.element, finding.why),
            line => format!("line {line}: {}", finding.why),
        })
        .collect();
    match whys.is_empty() {
        true => Ok(()),
        false => Err(RepoError::Refused { whys }),
    }
}

/// Where a delivery goes: below `to` where it says a path itself.
fn place(delivery: &Delivery, request: &ImportRequest) -> Result<RepoPath, RepoError> {
    let path = match (&delivery.path, &request.to) {
        (Some(path), Some(folder)) if !folder.is_root() => {
            RepoPath::new(&format!("{folder}/{path}"))?
        }
        (Some(path), _) => RepoPath::new(path)?,
        (None, Some(path)) => path.clone(),
        (None, None) => RepoPath::new(EDITION_DOCUMENT)?,
    };
    match path.name() {
        Some(name) if name.is_document() => Ok(path),
        _ => Err(RepoError::WrongKind {
            path: path.to_string(),
            wanted: "metadata document: its name ends in `.meta.json`",
        }),
    }
}

fn row(finding: &ottvc_import::Finding) -> FindingRow {
    FindingRow {
        severity: finding.severity.word(),
        code: finding.code,
        line: finding.line,
        place: finding.element.clone(),
        why: finding.why.clone(),
    }
}

/// What a document breaks of the schema that speaks for it.
fn breaches(document: &Value, schema: &Schema) -> Vec<FindingRow> {
    let found = validate(&schema.convert(document), schema);
    let row = |finding: Finding| FindingRow {
        severity: Severity::Warning.word(),
        code: "schema",
        line: 0,
        place: finding.path.to_string(),
        why: format!("{}, and it is {} ({})", finding.why, finding.value, schema.full_name()),
    };
    found.into_iter().map(row).collect()
}
