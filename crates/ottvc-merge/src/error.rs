//! Why a merge could not be made at all; disagreement is never one of the reasons.

use ottvc_object::field_path::FieldPath;
use ottvc_object::{CommitId, ObjectError, RepoPath};

/// Why a merge, a rule or a resolution is not possible: broken input or a limit.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// More sides and bases meet at one place than a conflict can hold.
    #[error("{count} sides and bases disagree at `{at}`, more than a conflict can hold")]
    TooManyTerms {
        /// The field or file.
        at: String,
        /// How many there are.
        count: usize,
    },
    /// A rule that cannot be read.
    #[error("`{text}` is not a merge rule: {why}")]
    BadRule {
        /// What was given.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// A pattern of fields that cannot be read.
    #[error("`{text}` is no pattern of fields: {why}")]
    BadPattern {
        /// What was given.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// A schema, or what names schemas, that is no YAML, or more than it may be.
    #[error("bad YAML at line {line}, column {column}: {why}")]
    BadYaml {
        /// Line, from 1; 0 where it is not known.
        line: usize,
        /// Column, from 1; 0 where it is not known.
        column: usize,
        /// What is wrong.
        why: String,
    },
    /// A schema says something about a field that makes no sense.
    #[error("schema, line {line}: `{field}` cannot have `{rule}: {value}`: {why}")]
    BadField {
        /// Line, from 1.
        line: usize,
        /// The pattern of the field, as it was written.
        field: String,
        /// The attribute.
        rule: String,
        /// What it was given.
        value: String,
        /// What is wrong.
        why: String,
    },
    /// A schema says two things about the same fields.
    #[error("schema, line {line}: another pattern matches just what `{field}` matches")]
    SameField {
        /// Line, from 1.
        line: usize,
        /// The pattern, in its one spelling.
        field: String,
    },
    /// What says which schema a document has makes no sense.
    #[error("line {line}: `{field}` cannot be `{value}`: {why}")]
    BadBinding {
        /// Line, from 1.
        line: usize,
        /// The pattern or schema, as it was written.
        field: String,
        /// What it was given.
        value: String,
        /// What is wrong.
        why: String,
    },
    /// A document that its schema does not allow.
    #[error("`{field}` breaks its schema, {rule}: {why}, and it is {value}")]
    Invalid {
        /// The field.
        field: FieldPath,
        /// The attribute of the schema that it breaks.
        rule: &'static str,
        /// What is there, shortened.
        value: String,
        /// What should be there.
        why: String,
    },
    /// A conflict between entries was given without what it holds.
    #[error("the conflict at `{path}` was not read before the merge")]
    UnreadConflict {
        /// The place.
        path: RepoPath,
    },
    /// There is nothing to resolve.
    #[error("there is no conflict at `{at}`")]
    NoConflict {
        /// The field.
        at: FieldPath,
    },
    /// The conflict has fewer terms, or no base.
    #[error("the conflict at `{at}` has no term {term}")]
    NoSuchTerm {
        /// The field.
        at: FieldPath,
        /// The term asked for, counted from 0.
        term: usize,
    },
    /// The term chosen is a conflict itself.
    #[error("term {term} of the conflict at `{at}` is a conflict itself")]
    ContestedTerm {
        /// The field.
        at: FieldPath,
        /// The term asked for, counted from 0.
        term: usize,
    },
    /// The value chosen cannot stand where the conflict stands.
    #[error("the value chosen for `{at}` does not fit: {why}")]
    BadChoice {
        /// The field.
        at: FieldPath,
        /// What is wrong with it.
        why: &'static str,
    },
    /// An entry cannot be given another key.
    #[error("`{at}` cannot be renamed: {why}")]
    CannotRename {
        /// The entry.
        at: FieldPath,
        /// What is wrong.
        why: &'static str,
    },
    /// A text in which a person settles conflicts has marks of one that is neither settled nor left alone.
    #[error("line {line} still has a mark of a conflict: {text}")]
    HalfSettled {
        /// Line, from 1.
        line: usize,
        /// What the line says.
        text: String,
    },
    /// What was chosen leaves no document, and the caller needs one.
    #[error("the choice removes the whole document")]
    DocumentRemoved,
    /// A commit claims a generation that its child does not exceed.
    #[error("commit {commit} is not older than its child {child}")]
    BadGeneration {
        /// The parent.
        commit: CommitId,
        /// The child.
        child: CommitId,
    },
    /// The merged parts make no well-formed value.
    #[error(transparent)]
    Object(#[from] ObjectError),
}

impl MergeError {
    /// Returns the stable code shown at the edges; it is never renamed or given a new meaning.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooManyTerms { .. } => "merge.too_many_terms",
            Self::BadRule { .. } => "merge.bad_rule",
            Self::BadPattern { .. } => "merge.bad_pattern",
            Self::BadYaml { .. } => "schema.bad_yaml",
            Self::BadField { .. } => "schema.bad_field",
            Self::SameField { .. } => "schema.same_field",
            Self::BadBinding { .. } => "schema.bad_binding",
            Self::Invalid { .. } => "document.invalid",
            Self::UnreadConflict { .. } => "merge.unread_conflict",
            Self::NoConflict { .. } => "merge.no_conflict",
            Self::NoSuchTerm { .. } => "merge.no_such_term",
            Self::ContestedTerm { .. } => "merge.contested_term",
            Self::BadChoice { .. } => "merge.bad_choice",
            Self::CannotRename { .. } => "merge.cannot_rename",
            Self::HalfSettled { .. } => "merge.half_settled",
            Self::DocumentRemoved => "merge.document_removed",
            Self::BadGeneration { .. } => "merge.bad_generation",
            Self::Object(error) => error.code(),
        }
    }
}
