//! Reading what is in conflict. No side may pose as the truth, so whoever reads says what to be shown.

use ottvc_merge::{Choice, Side, resolve_in, without_conflicts};
use ottvc_object::Entry;
use ottvc_object::conflict::{Conflict, ConflictKind, Term};
use ottvc_object::field_path::FieldPath;
use ottvc_object::value::{Document, Value};

use crate::RepoError;
use crate::resolving::conflict_at;

/// What to show where there is a conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disputed {
    /// The conflict itself: in a document, as a `$conflict` object.
    Markers,
    /// What one side, or the base, has.
    Side(Side),
    /// Nothing, as if it were not there.
    Omit,
}

impl From<Side> for Disputed {
    fn from(side: Side) -> Self {
        Self::Side(side)
    }
}

impl Disputed {
    /// Returns a document as it is to be shown; `None` if nothing of it is.
    ///
    /// # Errors
    /// [`RepoError::Merge`] for a base that is a conflict itself.
    pub fn of_document(self, document: &Document) -> Result<Option<Document>, RepoError> {
        let value = match self {
            Self::Markers => Some(document.value().clone()),
            Self::Omit => without_conflicts(document.value())?,
            Self::Side(side) => {
                let mut value = document.value().clone();
                // What is taken may hold conflicts further down: those that side had.
                let fields = |value: &Value| -> Vec<FieldPath> {
                    value.conflicts().into_iter().map(|(field, _)| field).collect()
                };
                let mut open = fields(&value);
                while !open.is_empty() {
                    for field in open {
                        // What was settled before may have taken it elsewhere.
                        if conflict_at(&value, &field).is_some()
                            && !resolve_in(&mut value, &field, &choice_of(side))?
                        {
                            return Ok(None);
                        }
                    }
                    open = fields(&value);
                }
                Some(value)
            }
        };
        Ok(value.map(Document::new).transpose()?)
    }

    /// Returns what to show of a conflict between entries; of one between places, ignoring where.
    ///
    /// # Errors
    /// [`RepoError::Conflicts`], naming no path, for the conflict itself: it is no file.
    pub(crate) fn of_entry(self, conflict: &Conflict<Entry>) -> Result<Option<Entry>, RepoError> {
        Ok(self.chosen(conflict)?.map(|(entry, _)| entry))
    }

    /// As [`Disputed::of_entry`], with the kind of conflict that the entry is a side of: it says where a folder
    /// belongs.
    pub(crate) fn chosen(
        self,
        conflict: &Conflict<Entry>,
    ) -> Result<Option<(Entry, ConflictKind)>, RepoError> {
        let terms = conflict.terms.as_slice();
        let term = match self {
            Self::Markers => return Err(RepoError::Conflicts { paths: Vec::new() }),
            Self::Omit => return Ok(None),
            Self::Side(Side::Ours) => terms.first(),
            Self::Side(Side::Theirs) => terms.last(),
            Self::Side(Side::Base) => terms.get(1),
        };
        match term {
            Some(Term::Value(entry)) => Ok(Some((*entry, conflict.kind))),
            Some(Term::Contested(inner)) => Self::Side(Side::Ours).chosen(inner),
            Some(Term::Absent) | None => Ok(None),
        }
    }
}

/// The choice that takes a side.
pub(crate) fn choice_of(side: Side) -> Choice {
    match side {
        Side::Ours => Choice::Ours,
        Side::Theirs => Choice::Theirs,
        Side::Base => Choice::Base,
    }
}
