//! Branches and tags: making, listing, renaming and removing the names of editions.

use ottvc_object::{CommitId, EditionId};
use ottvc_refs::{Edition, RefEdit, RefKind, RefName, RefTransaction, RefValue};
use serde::Serialize;

use crate::cache::Rows;
use crate::nodes::Batch;
use crate::workspace::Head;
use crate::{Repo, RepoError, random_id};

/// The longest class or territory of an edition, in bytes.
const MAX_EDITION_WORD: usize = 255;

/// One branch or tag, as lists show it.
#[derive(Clone, Debug, Serialize)]
pub struct RefRow {
    /// Its name.
    pub name: String,
    /// The commit it points at, if any.
    pub commit: Option<String>,
    /// The edition it is, for a branch.
    pub edition: Option<String>,
    /// Class of the edition.
    pub class: Option<String>,
    /// Territory of the edition.
    pub territory: Option<String>,
    /// Whether the working copy is on it.
    pub current: bool,
    /// First line of the commit's message.
    pub message: Option<String>,
    /// When the commit was made, in UTC milliseconds since 1970.
    pub time: Option<i64>,
}

/// Refuses what describes no edition.
fn refuse_words(words: &[(&Option<String>, &'static str)]) -> Result<(), RepoError> {
    for (word, wanted) in words {
        if let Some(word) = word
            && (word.is_empty()
                || word.len() > MAX_EDITION_WORD
                || word.chars().any(char::is_control))
        {
            return Err(RepoError::BadArgument {
                given: word.clone(),
                wanted,
                why: "1 to 255 bytes without control characters".into(),
            });
        }
    }
    Ok(())
}

/// Whether `name` is in the folder that `other` would be.
fn leads_through(name: &str, other: &str) -> bool {
    name.strip_prefix(other).is_some_and(|rest| rest.starts_with('/'))
}

impl Repo {
    /// Writes the first branch, `main`, without a commit. Doing it again changes nothing.
    pub fn make_first_branch(&self) -> Result<(), RepoError> {
        let main = RefName::branch("main")?;
        if self.refs.list()?.is_empty() {
            let value = RefValue { target: None, edition: Some(self.new_edition(None, None)?) };
            self.transact("init", "init: main", vec![(main, None, Some(value))])?;
        }
        let state = self.state()?;
        self.save_state(&state, &Rows::new())
    }

    /// Returns a new edition.
    pub(crate) fn new_edition(
        &self,
        class: Option<String>,
        territory: Option<String>,
    ) -> Result<Edition, RepoError> {
        refuse_words(&[(&class, "class"), (&territory, "territory")])?;
        Ok(Edition { id: EditionId(random_id()?), class, territory })
    }

    /// Changes what is said of a branch's edition: its class or its territory, each where one is given; an empty
    /// one takes away what is said. The edition stays the same, and so do its commits and what it inherits.
    ///
    /// # Errors
    /// [`RepoError::UnknownRevision`]; [`RepoError::BadArgument`] for what is no class or territory.
    pub fn describe_edition(
        &self,
        name: &str,
        class: Option<String>,
        territory: Option<String>,
    ) -> Result<RefRow, RepoError> {
        let branch = self.existing_branch(name)?;
        let Some(old) = self.refs.get(&branch)? else {
            return Err(RepoError::UnknownRevision { rev: name.to_owned(), near: Vec::new() });
        };
        let mut edition = match old.edition.clone() {
            Some(edition) => edition,
            None => self.new_edition(None, None)?,
        };
        for (given, said) in [(class, &mut edition.class), (territory, &mut edition.territory)] {
            if let Some(given) = given {
                *said = Some(given).filter(|given| !given.is_empty());
            }
        }
        refuse_words(&[(&edition.class, "class"), (&edition.territory, "territory")])?;
        let new = RefValue { edition: Some(edition), ..old.clone() };
        if new != old {
            let edits = vec![(branch.clone(), Some(old.clone()), Some(new.clone()))];
            self.transact("branch", &format!("branch: describe {}", branch.short()), edits)?;
        }
        let current = self.state()?.head == Head::Branch(branch.clone());
        let row = self.row_of(branch.short(), new.target, new.edition)?;
        Ok(RefRow { current, ..row })
    }

    /// Lists branches or tags, in name order.
    pub fn list_refs(&self, kind: RefKind) -> Result<Vec<RefRow>, RepoError> {
        let state = self.state()?;
        let mut rows = Vec::new();
        for (name, value) in self.refs.list()? {
            if name.kind() != kind {
                continue;
            }
            let commit = value.target.map(|id| self.commit(id)).transpose()?;
            rows.push(RefRow {
                name: name.short().to_owned(),
                commit: value.target.map(|id| id.to_string()),
                edition: value.edition.as_ref().map(|edition| edition.id.to_string()),
                class: value.edition.as_ref().and_then(|edition| edition.class.clone()),
                territory: value.edition.as_ref().and_then(|edition| edition.territory.clone()),
                current: state.head == Head::Branch(name),
                message: commit
                    .as_ref()
                    .map(|commit| crate::record::first_line(&commit.message).to_owned()),
                time: commit.as_ref().map(|commit| commit.committer.time),
            });
        }
        Ok(rows)
    }

    /// Makes a branch at `rev` (the current commit where not given): a new edition, which inherits what
    /// the one it starts from inherits. For one that inherits from that one, see [`Repo::make_edition`].
    ///
    /// # Errors
    /// [`RepoError::Exists`], or what [`Repo::resolve`] returns.
    pub fn make_branch(
        &self,
        name: &str,
        rev: Option<&str>,
        class: Option<String>,
        territory: Option<String>,
    ) -> Result<RefRow, RepoError> {
        let target = match rev {
            Some(rev) => Some(self.resolve(rev)?.id),
            None => self.head_commit_id(&self.state()?)?,
        };
        let edition = self.new_edition(class, territory)?;
        let made = self.new_branch(name, target, edition.clone())?;
        self.move_refs(&made)?;
        self.row_of(name, target, Some(edition))
    }

    /// The transaction that makes a branch.
    ///
    /// # Errors
    /// As [`Repo::make_branch`].
    pub(crate) fn new_branch(
        &self,
        name: &str,
        target: Option<CommitId>,
        edition: Edition,
    ) -> Result<RefTransaction, RepoError> {
        let branch = RefName::branch(name)?;
        self.refuse_taken(&branch)?;
        let value = RefValue { target, edition: Some(edition) };
        let edit = RefEdit { name: branch, old: None, new: Some(value) };
        self.move_of("branch", &format!("branch: {name}"), vec![edit])
    }

    /// Refuses a name that exists, or that a name in the other direction leads through: `a` and
    /// `a/b` cannot both be, as a folder of exported editions could not hold them.
    pub(crate) fn refuse_taken(&self, name: &RefName) -> Result<(), RepoError> {
        let refs = self.refs.list()?;
        let taken = |given: &str| {
            let others = refs.iter().map(|(other, _)| other);
            let mut others = others.filter(|other| other.kind() == name.kind());
            others.find(|other| {
                let (a, b) = (other.short().to_lowercase(), given.to_lowercase());
                a == b || leads_through(&a, &b) || leads_through(&b, &a)
            })
        };
        let Some(other) = taken(name.short()) else { return Ok(()) };
        let kind = match other.kind() {
            RefKind::Branch => "branch",
            RefKind::Tag => "tag",
        };
        let (given, other) = (name.short().to_owned(), other.short().to_owned());
        if given.to_lowercase() == other.to_lowercase() {
            return Err(RepoError::Exists { kind, name: other });
        }
        let near = match given.split_at_checked(other.len()) {
            Some((start, end)) if end.starts_with('/') => {
                format!("{start}-{}", end.trim_start_matches('/'))
            }
            _ => format!("{given}/main"),
        };
        let free = Some(near).filter(|near| taken(near).is_none());
        Err(RepoError::NameClash { kind, name: given, other, free })
    }

    pub(crate) fn row_of(
        &self,
        name: &str,
        target: Option<CommitId>,
        edition: Option<Edition>,
    ) -> Result<RefRow, RepoError> {
        let commit = target.map(|id| self.commit(id)).transpose()?;
        Ok(RefRow {
            name: name.to_owned(),
            commit: target.map(|id| id.to_string()),
            edition: edition.as_ref().map(|edition| edition.id.to_string()),
            class: edition.as_ref().and_then(|edition| edition.class.clone()),
            territory: edition.as_ref().and_then(|edition| edition.territory.clone()),
            current: false,
            message: commit
                .as_ref()
                .map(|commit| crate::record::first_line(&commit.message).to_owned()),
            time: commit.as_ref().map(|commit| commit.committer.time),
        })
    }

    /// Makes a tag at `rev` (the current commit where not given).
    ///
    /// # Errors
    /// [`RepoError::Exists`]; [`RepoError::Conflicts`] if the commit holds conflicts: a tag is what
    /// others build on.
    pub fn make_tag(&self, name: &str, rev: Option<&str>) -> Result<RefRow, RepoError> {
        let tag = RefName::tag(name)?;
        self.refuse_taken(&tag)?;
        let id = self.resolve(rev.unwrap_or("HEAD"))?.id;
        let conflicts = self.commit(id)?.conflicts;
        if !conflicts.is_empty() {
            let paths = conflicts.iter().map(crate::record::place_text).collect();
            return Err(RepoError::Conflicts { paths });
        }
        let value = RefValue { target: Some(id), edition: None };
        self.transact("tag", &format!("tag: {name}"), vec![(tag, None, Some(value))])?;
        self.row_of(name, Some(id), None)
    }

    /// Removes a tag.
    ///
    /// # Errors
    /// [`RepoError::UnknownRevision`] with near names.
    pub fn remove_tag(&self, name: &str) -> Result<RefRow, RepoError> {
        let tag = RefName::tag(name)?;
        match self.refs.get(&tag)? {
            Some(old) => {
                let target = old.target;
                let summary = format!("tag: remove {name}");
                self.transact("tag", &summary, vec![(tag, Some(old), None)])?;
                self.row_of(name, target, None)
            }
            None => Err(self
                .resolve(name)
                .err()
                .unwrap_or(RepoError::UnknownRevision { rev: name.to_owned(), near: Vec::new() })),
        }
    }

    /// Removes a branch. `undo` brings it back.
    ///
    /// # Errors
    /// [`RepoError::CurrentBranch`]; [`RepoError::Protected`]; if `force` is not set, [`RepoError::Inherited`] if
    /// other editions inherit from it, and [`RepoError::Unmerged`] if no other branch or tag reaches its commit.
    pub fn remove_branch(&self, name: &str, force: bool) -> Result<RefRow, RepoError> {
        let branch = self.existing_branch(name)?;
        if self.state()?.head == Head::Branch(branch.clone()) {
            return Err(RepoError::CurrentBranch { name: name.to_owned() });
        }
        let old = self.refs.get(&branch)?;
        // No force helps, so this is said before what it would help against.
        let gone = RefEdit { name: branch.clone(), old: old.clone(), new: None };
        self.refuse_protected(&Batch::new(&self.nodes), &[gone])?;
        let target = old.as_ref().and_then(|value| value.target);
        if let Some(edition) = old.as_ref().and_then(|value| value.edition.as_ref())
            && !force
        {
            let heirs = self.pins()?.into_iter().filter(|(_, pin)| pin.edition == edition.id);
            let heirs: Vec<String> = heirs.map(|(heir, _)| heir).collect();
            if !heirs.is_empty() {
                return Err(RepoError::Inherited { name: name.to_owned(), heirs });
            }
        }
        if let Some(target) = target
            && !force
        {
            // A commit that only begins an edition is nothing to lose.
            let target = self.begun_from(target)?.unwrap_or(target);
            let mut reached = false;
            for (other, value) in self.refs.list()? {
                if other != branch
                    && let Some(head) = value.target
                    && self.is_ancestor(target, head)?
                {
                    reached = true;
                    break;
                }
            }
            if !reached {
                return Err(RepoError::Unmerged { name: name.to_owned() });
            }
        }
        let edition = old.as_ref().and_then(|value| value.edition.clone());
        self.transact("branch", &format!("branch: remove {name}"), vec![(branch, old, None)])?;
        self.row_of(name, target, edition)
    }

    /// Renames a branch; its edition stays the same.
    ///
    /// # Errors
    /// [`RepoError::Exists`], [`RepoError::UnknownRevision`], [`RepoError::Protected`].
    pub fn rename_branch(&self, old: &str, new: &str) -> Result<RefRow, RepoError> {
        let from = self.existing_branch(old)?;
        let to = RefName::branch(new)?;
        if !from.short().eq_ignore_ascii_case(to.short()) {
            self.refuse_taken(&to)?;
        }
        let value = self.refs.get(&from)?;
        let edits = vec![(from.clone(), value.clone(), None), (to.clone(), None, value.clone())];
        self.transact("branch", &format!("branch: rename {old} to {new}"), edits)?;
        let target = value.as_ref().and_then(|value| value.target);
        self.row_of(new, target, value.and_then(|value| value.edition))
    }
}
