//! Why a command could not do what was asked.

use std::path::PathBuf;

use ottvc_import::ImportError;
use ottvc_merge::MergeError;
use ottvc_merge::layers::NotReset;
use ottvc_object::ObjectError;
use ottvc_refs::RefError;
use ottvc_store::StoreError;

use crate::content::ContentError;
use crate::derived::NoFilm;
use crate::schemas::Found;

/// Why a command could not do what was asked; nothing acknowledged before is lost by any of these.
#[derive(Debug, thiserror::Error)]
pub enum RepoError {
    /// The object store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The ref store failed.
    #[error(transparent)]
    Refs(#[from] RefError),
    /// An object, name or value is malformed.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// The merge met broken input or a limit.
    #[error(transparent)]
    Merge(#[from] MergeError),
    /// Foreign metadata could not be read or written.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// A delivery has findings that forbid taking it.
    #[error("the delivery must not be taken: {}", whys.join("; "))]
    Refused {
        /// What is wrong with it.
        whys: Vec<String>,
    },
    /// Reading or storing a file's bytes failed.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// The working copy's file system failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// No branch, tag or commit is called that.
    #[error("no revision is called `{rev}`")]
    UnknownRevision {
        /// What was given.
        rev: String,
        /// Names much like it.
        near: Vec<String>,
    },
    /// An id prefix that several commits share.
    #[error("`{rev}` could be any of {} commits", candidates.len())]
    AmbiguousRevision {
        /// What was given.
        rev: String,
        /// The ids it could mean.
        candidates: Vec<String>,
    },
    /// The branch has no commit yet.
    #[error("branch `{branch}` has no commit yet")]
    Unborn {
        /// Its name.
        branch: String,
    },
    /// No such path in a revision or the working copy.
    #[error("`{path}` is not in {place}")]
    NoPath {
        /// What was given.
        path: String,
        /// Where it was looked for.
        place: String,
        /// Paths much like it.
        near: Vec<String>,
    },
    /// No such field in a document.
    #[error("`{field}` is not in {place}")]
    NoField {
        /// What was given.
        field: String,
        /// The document.
        place: String,
    },
    /// No file whose tracks a document could tell of, or more than one, or one in conflict.
    #[error("`{path}` {why}")]
    NoFilm {
        /// The document.
        path: String,
        /// What there is instead.
        why: NoFilm,
    },
    /// A path that leaves the working copy.
    #[error("`{path}` is outside the working copy")]
    PathOutside {
        /// What was given.
        path: String,
    },
    /// A path that is not what the command needs.
    #[error("`{path}` is no {wanted}")]
    WrongKind {
        /// What was given.
        path: String,
        /// What it should have been.
        wanted: &'static str,
    },
    /// Two names that are one on a case-insensitive system.
    #[error("`{first}` and `{second}` differ only in case")]
    Collision {
        /// One of them.
        first: String,
        /// The other.
        second: String,
    },
    /// The command would overwrite what is only in the working copy.
    #[error("local changes to {} would be lost", list(paths))]
    LocalChanges {
        /// The files.
        paths: Vec<String>,
    },
    /// A file that something else is in the way of.
    #[error("`{path}` is in the way")]
    InTheWay {
        /// The path.
        path: String,
    },
    /// Nothing differs from the last commit.
    #[error("nothing to commit")]
    NothingToCommit,
    /// Conflicts stand in the way.
    #[error("conflicts are left in {}", list(paths))]
    Conflicts {
        /// Where, as `PATH` or `PATH#FIELD`.
        paths: Vec<String>,
    },
    /// A `*.meta.json` file that is no metadata document.
    #[error("`{path}` is no metadata document")]
    BadDocument {
        /// The file.
        path: String,
        /// What is wrong with it, and where.
        source: ObjectError,
    },
    /// What says which schemas count in a tree, or one of them, cannot be used.
    #[error("`{path}` cannot be used")]
    BadSchemas {
        /// The file.
        path: String,
        /// What is wrong with it, and where.
        source: Box<MergeError>,
    },
    /// Documents that their schemas do not allow.
    #[error("{}", broken(findings))]
    Invalid {
        /// Every rule that is broken, at most 100.
        findings: Vec<Found>,
    },
    /// A conflict that the call names is not there.
    #[error("no conflict at {place}")]
    NoConflict {
        /// Where it was looked for.
        place: String,
    },
    /// A conflict that the call names by its id is not the one at its place.
    #[error("the conflict at {place} is no longer `{id}`")]
    OtherConflict {
        /// Where it was looked for.
        place: String,
        /// What was given.
        id: String,
    },
    /// No one resolution of the memory has an id that begins so.
    #[error("no one resolution is called `{id}`")]
    NotRemembered {
        /// What was given.
        id: String,
    },
    /// None of the conflicts that the call names was settled before, as far as is remembered.
    #[error("nothing is remembered of {place}")]
    NothingRemembered {
        /// Where it was looked for.
        place: String,
    },
    /// A branch or tag of that name exists.
    #[error("{kind} `{name}` exists already")]
    Exists {
        /// Branch or tag.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// A name leads through that of a branch or tag, or the other way round.
    #[error(
        "{kind} `{name}` cannot be beside {kind} `{other}`: one name would be a folder of the other"
    )]
    NameClash {
        /// Branch or tag.
        kind: &'static str,
        /// The name that was given.
        name: String,
        /// The one that is there.
        other: String,
        /// A name like it that would do.
        free: Option<String>,
    },
    /// Other editions inherit from the one of the branch.
    #[error("branch `{name}` is what {} {}", list(heirs), if heirs.len() == 1 { "inherits from" } else { "inherit from" })]
    Inherited {
        /// Its name.
        name: String,
        /// The branches of those that inherit from it.
        heirs: Vec<String>,
    },
    /// The branch is the one the working copy is on.
    #[error("the working copy is on branch `{name}`")]
    CurrentBranch {
        /// Its name.
        name: String,
    },
    /// Commits would be reachable from nowhere.
    #[error("branch `{name}` has commits that no other branch or tag reaches")]
    Unmerged {
        /// Its name.
        name: String,
    },
    /// A protected branch stays, and takes no conflicts.
    #[error("branch `{name}` is protected: {}", match conflicts.as_slice() {
        [] => "it is neither removed nor renamed".to_owned(),
        paths => format!("it takes no commit with conflicts, and some are in {}", list(paths)),
    })]
    Protected {
        /// Its name.
        name: String,
        /// Where the commit it would move to has conflicts, as `PATH` or `PATH#FIELD`; nowhere if it would be
        /// removed.
        conflicts: Vec<String>,
    },
    /// A merge is waiting to be finished.
    #[error("a merge of `{theirs}` is not finished")]
    MergeInProgress {
        /// What was being merged.
        theirs: String,
    },
    /// No merge is waiting.
    #[error("no merge is in progress")]
    NoMerge,
    /// The histories share no commit.
    #[error("`{ours}` and `{theirs}` share no history")]
    Unrelated {
        /// One side.
        ours: String,
        /// The other.
        theirs: String,
    },
    /// No operation has that number, or it cannot be taken back any more.
    #[error("operation {id} cannot be undone: {why}")]
    CannotUndo {
        /// Its number.
        id: u64,
        /// Why.
        why: String,
    },
    /// The edition of a branch inherits from no other.
    #[error("`{branch}` inherits from no other edition")]
    NoParent {
        /// The branch.
        branch: String,
    },
    /// There is nothing of the edition's own to give up.
    #[error("{} in {place} {}", field, match why {
        NotReset::Above(above) => format!("is a part of {above}, which is overridden as one"),
        NotReset::Inherited => "is inherited as it is".to_owned(),
        NotReset::Own => "has nothing to inherit: by its schema it is each edition's own".to_owned(),
    })]
    NotOverridden {
        /// What was given.
        field: String,
        /// The document.
        place: String,
        /// Why there is nothing.
        why: NotReset,
    },
    /// A folder of documents has the name of a document that its edition inherits.
    #[error(
        "`{document}` lies in the folder `{folder}`, and the edition inherits a document of that name"
    )]
    InheritedName {
        /// The folder.
        folder: String,
        /// A document in it.
        document: String,
    },
    /// A plan was named that is not what would be done now.
    #[error("what would be done now is not the plan `{given}`")]
    StalePlan {
        /// What was given.
        given: String,
    },
    /// An argument that makes no sense.
    #[error("`{given}` is no {wanted}: {why}")]
    BadArgument {
        /// What was given.
        given: String,
        /// What it should have been.
        wanted: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// Nothing in the trash has an id that begins so.
    #[error("nothing in the trash is called `{id}`")]
    NotInTrash {
        /// What was given.
        id: String,
    },
    /// An audit whose parts do not add up to what the store holds.
    #[error("the audit counted {counted} bytes and the store holds {held}")]
    Unbalanced {
        /// What the rows add up to.
        counted: u64,
        /// What the store says.
        held: u64,
    },
    /// Bytes that are no proof at all.
    #[error("this is no proof: {why}")]
    BadProof {
        /// What is wrong with it.
        why: String,
    },
    /// Stored state of the working copy that cannot be read.
    #[error("the state of the working copy cannot be read")]
    BadState(#[source] ObjectError),
}

/// Names a few of many.
fn list(paths: &[String]) -> String {
    let shown: Vec<String> = paths.iter().take(3).map(|path| format!("`{path}`")).collect();
    match paths.len().saturating_sub(3) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Names the one rule that is broken, or says how many are.
fn broken(findings: &[Found]) -> String {
    match findings {
        [Found { path, field, schema, rule, value, why }] => {
            format!("`{path}#{field}` breaks {schema}, {rule}: {why}, and it is {value}")
        }
        many => format!("{} fields break the schemas of their documents", many.len()),
    }
}

impl RepoError {
    /// Returns the stable code shown at the edges; it is never renamed or given a new meaning.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Store(error) => error.code(),
            Self::Refs(error) => error.code(),
            Self::Object(error) => error.code(),
            Self::Merge(error) => error.code(),
            Self::Import(error) => error.code(),
            Self::Refused { .. } => "import.refused",
            Self::Content(error) => error.code(),
            Self::Io { source, .. } => match source.kind() {
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                    "worktree.full"
                }
                std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
                    "worktree.denied"
                }
                _ => "worktree.io",
            },
            Self::UnknownRevision { .. } => "revision.unknown",
            Self::AmbiguousRevision { .. } => "revision.ambiguous",
            Self::Unborn { .. } => "revision.unborn",
            Self::NoPath { .. } => "path.not_found",
            Self::NoField { .. } => "document.no_field",
            Self::NoFilm { .. } => "document.no_film",
            Self::PathOutside { .. } => "path.outside",
            Self::WrongKind { .. } => "path.wrong_kind",
            Self::Collision { .. } => "path.collision",
            Self::LocalChanges { .. } => "worktree.local_changes",
            Self::InTheWay { .. } => "worktree.in_the_way",
            Self::NothingToCommit => "commit.nothing",
            Self::Conflicts { .. } => "merge.conflicts",
            Self::BadDocument { source, .. } => source.code(),
            Self::BadSchemas { source, .. } => source.code(),
            Self::Invalid { .. } => "document.invalid",
            Self::NoConflict { .. } => "merge.no_conflict",
            Self::OtherConflict { .. } => "merge.other_conflict",
            Self::NotRemembered { .. } => "merge.not_remembered",
            Self::NothingRemembered { .. } => "merge.nothing_remembered",
            Self::Exists { .. } | Self::NameClash { .. } => "refs.exists",
            Self::Inherited { .. } => "refs.inherited",
            Self::CurrentBranch { .. } => "refs.current",
            Self::Unmerged { .. } => "refs.unmerged",
            Self::Protected { .. } => "branch.protected",
            Self::MergeInProgress { .. } => "merge.in_progress",
            Self::NoMerge => "merge.none",
            Self::Unrelated { .. } => "merge.unrelated",
            Self::CannotUndo { .. } => "operation.cannot_undo",
            Self::NoParent { .. } => "layer.no_parent",
            Self::NotOverridden { .. } => "layer.not_overridden",
            Self::InheritedName { .. } => "layer.inherited_name",
            Self::StalePlan { .. } => "plan.stale",
            Self::BadArgument { .. } => "argument.bad",
            Self::NotInTrash { .. } => "trash.not_found",
            Self::Unbalanced { .. } => "audit.unbalanced",
            Self::BadProof { .. } => "proof.malformed",
            Self::BadState(_) => "worktree.bad_state",
        }
    }
}
