//! What a user may call a commit, and a path in it.

use std::collections::BTreeSet;

use ottvc_object::{CommitId, EditionId, Kind, RepoPath};
use ottvc_refs::{RefKind, RefName, RefValue};

use crate::workspace::Head;
use crate::{Repo, RepoError};

/// The shortest commit id prefix that counts as one.
const MIN_PREFIX: usize = 8;
/// How far `~N` goes.
const MAX_STEPS: u32 = 1_000_000;

/// A commit, and what the user called it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// The commit.
    pub id: CommitId,
    /// As given.
    pub name: String,
    /// The edition of the branch it was found from, through first parents alone: it has the commit as a
    /// state of its own, also where another edition made it.
    pub edition: Option<EditionId>,
}

impl Repo {
    /// Finds the commit that `rev` names: `HEAD` or `@`, a branch, a tag, a commit id or a prefix of
    /// at least 8 digits, each followed by any number of `~N` (N first parents up) and `^N` (Nth
    /// parent).
    ///
    /// # Errors
    /// [`RepoError::UnknownRevision`] with near names, [`RepoError::AmbiguousRevision`],
    /// [`RepoError::Unborn`] for a branch without a commit.
    pub fn resolve(&self, rev: &str) -> Result<Revision, RepoError> {
        let steps_at = rev.find(['~', '^']).unwrap_or(rev.len());
        let (name, steps) = rev.split_at(steps_at);
        let (mut id, mut edition) = self.resolve_name(name)?;
        for (parent, times) in parse_steps(steps).ok_or_else(|| self.unknown(rev))? {
            edition = edition.filter(|_| parent == 0);
            for _ in 0..times {
                let commit = self.commit(id)?;
                id = *commit.parents.get(parent).ok_or_else(|| self.unknown(rev))?;
            }
        }
        Ok(Revision { id, name: rev.to_owned(), edition })
    }

    /// Finds the commit of a name, and the edition if that is a branch.
    fn resolve_name(&self, name: &str) -> Result<(CommitId, Option<EditionId>), RepoError> {
        let found = |branch: &RefName, value: Option<RefValue>| {
            let target = value.as_ref().and_then(|value| value.target);
            let edition = value.and_then(|value| value.edition).map(|edition| edition.id);
            match target {
                Some(id) => Ok((id, edition)),
                None => Err(RepoError::Unborn { branch: branch.short().to_owned() }),
            }
        };
        if name == "HEAD" || name == "@" {
            return match self.state()?.head {
                Head::Branch(branch) => found(&branch, self.refs.get(&branch)?),
                Head::Detached(id) => Ok((id, None)),
            };
        }
        let plain = name.strip_prefix("heads/").map(RefName::branch);
        let candidates = match plain.or_else(|| name.strip_prefix("tags/").map(RefName::tag)) {
            Some(named) => vec![named],
            None => vec![RefName::branch(name), RefName::tag(name)],
        };
        for candidate in candidates.into_iter().flatten() {
            if let Some(value) = self.refs.get(&candidate)? {
                return found(&candidate, Some(value));
            }
        }
        let hex = name.len() >= MIN_PREFIX && name.len() <= 64;
        if hex && name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let found =
                self.objects.find_prefix(&name.to_ascii_lowercase(), &[Kind::Commit], 16)?;
            return match found.as_slice() {
                [] => Err(self.unknown(name)),
                [one] => Ok(((*one).into(), None)),
                many => Err(RepoError::AmbiguousRevision {
                    rev: name.to_owned(),
                    candidates: many.iter().map(ToString::to_string).collect(),
                }),
            };
        }
        Err(self.unknown(name))
    }

    /// The error for a name nothing has, with names much like it.
    fn unknown(&self, rev: &str) -> RepoError {
        let names = self.refs.list().unwrap_or_default();
        let names = names.iter().map(|(name, _)| name.short().to_owned());
        RepoError::UnknownRevision { rev: rev.to_owned(), near: near(rev, names) }
    }

    /// Splits `REV[:PATH]`; without a colon the path is the root.
    ///
    /// # Errors
    /// As [`Repo::resolve`], or [`ottvc_object::ObjectError::BadPath`].
    pub fn resolve_path(&self, text: &str) -> Result<(Revision, RepoPath), RepoError> {
        let (rev, path) = text.split_once(':').unwrap_or((text, ""));
        Ok((self.resolve(rev)?, RepoPath::new(path.trim_end_matches('/'))?))
    }

    /// Returns the branch that `name` names.
    ///
    /// # Errors
    /// [`RepoError::UnknownRevision`] with near names.
    pub fn existing_branch(&self, name: &str) -> Result<RefName, RepoError> {
        let branch = RefName::branch(name)?;
        match self.refs.get(&branch)? {
            Some(_) => Ok(branch),
            None => {
                let refs = self.refs.list()?;
                let names = refs
                    .iter()
                    .filter(|(name, _)| name.kind() == RefKind::Branch)
                    .map(|(name, _)| name.short().to_owned());
                Err(RepoError::UnknownRevision { rev: name.to_owned(), near: near(name, names) })
            }
        }
    }
}

/// Reads `~2^2~`: for each step which parent, and how often.
fn parse_steps(mut text: &str) -> Option<Vec<(usize, u32)>> {
    let mut steps = Vec::new();
    while let Some(kind) = text.chars().next() {
        text = text.get(1..)?;
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let number = match text.get(..digits)? {
            "" => 1,
            digits => digits.parse::<u32>().ok().filter(|n| *n <= MAX_STEPS)?,
        };
        text = text.get(digits..)?;
        match kind {
            '~' => steps.push((0, number)),
            '^' if number == 0 => {}
            '^' => steps.push((usize::try_from(number).ok()? - 1, 1)),
            _ => return None,
        }
    }
    Some(steps)
}

/// Returns up to three of `names` that are much like `given`, the nearest first.
pub fn near(given: &str, names: impl Iterator<Item = String>) -> Vec<String> {
    let worst = (given.chars().count() / 3).max(1);
    let mut ranked: BTreeSet<(usize, String)> = BTreeSet::new();
    for name in names {
        let last = name.rsplit('/').next().unwrap_or(&name).to_owned();
        let distance = strsim::damerau_levenshtein(given, &name)
            .min(strsim::damerau_levenshtein(given, &last))
            .min(if given.len() >= 3 && name.contains(given) { worst } else { usize::MAX });
        if distance <= worst {
            ranked.insert((distance, name));
        }
    }
    ranked.into_iter().take(3).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::{near, parse_steps};

    #[test]
    fn steps_read_as_git_reads_them() {
        assert_eq!(parse_steps("~2^2~"), Some(vec![(0, 2), (1, 1), (0, 1)]));
        assert_eq!(parse_steps("^^"), Some(vec![(0, 1), (0, 1)]));
        assert_eq!(parse_steps("~x"), None);
        assert_eq!(parse_steps("~99999999999"), None);
    }

    #[test]
    fn near_names_are_near() {
        let names = ["main", "regional/de", "directors-cut"].map(str::to_owned);
        assert_eq!(near("mian", names.clone().into_iter()), ["main"]);
        assert_eq!(near("de", names.clone().into_iter()), ["regional/de"]);
        assert!(near("zebra", names.into_iter()).is_empty());
    }
}
