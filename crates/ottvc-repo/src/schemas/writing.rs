//! Writing which schemas there are: binding documents to one, and what a schema may not say when it is written.

use ottvc_merge::{Bindings, MergeError, Schema};
use ottvc_object::tree::lookup_path;
use ottvc_object::{Entry, RepoPath, TreeId};

use super::{MAX_BYTES, SCHEMAS_FILE, unusable};
use crate::nodes::Batch;
use crate::scan::lstat;
use crate::worktree::Sink;
use crate::{Repo, RepoError};

impl Repo {
    /// Binds documents to a schema, in the working copy and staged. `named` is a schema that is built
    /// in or listed, or a file of the tree that holds one. Returns its name.
    ///
    /// # Errors
    /// [`RepoError::BadSchemas`] if `named` is none of these, or a pattern is no pattern.
    pub fn use_schema(
        &self,
        from: &std::path::Path,
        named: &str,
        patterns: &[String],
    ) -> Result<String, RepoError> {
        let file = RepoPath::new(SCHEMAS_FILE)?;
        let read = |path: &RepoPath| -> Result<Option<String>, RepoError> {
            let disk = self.disk_path(path);
            match lstat(&disk)? {
                Some(found) if found.is_file() && found.len() <= MAX_BYTES => {
                    let bytes = std::fs::read(&disk).map_err(crate::scan::io("read", &disk))?;
                    let bad = |_| {
                        unusable(
                            path,
                            MergeError::BadYaml {
                                line: 0,
                                column: 0,
                                why: "it is not UTF-8".to_owned(),
                            },
                        )
                    };
                    String::from_utf8(bytes).map(Some).map_err(bad)
                }
                Some(_) => Err(RepoError::WrongKind { path: path.to_string(), wanted: "schema" }),
                None => Ok(None),
            }
        };
        let text = read(&file)?.unwrap_or_default();
        let known = match text.trim().is_empty() {
            true => Bindings::default(),
            false => Bindings::parse(&text).map_err(|source| unusable(&file, source))?,
        };
        let mut staged = vec![file.to_string()];
        let is_known =
            named == Schema::edition()?.full_name() || known.schemas().contains_key(named);
        let at = if is_known { None } else { self.repo_path(from, named).ok() };
        let held = at.map(|path| Ok::<_, RepoError>((read(&path)?, path))).transpose()?;
        let (name, listed) = match held {
            Some((Some(text), path)) => {
                let schema = Schema::parse(&text).map_err(|source| unusable(&path, source))?;
                staged.push(path.to_string());
                (schema.full_name(), Some(path))
            }
            _ => (named.to_owned(), None),
        };
        let text = Bindings::add(&text, patterns, &name, listed.as_ref())
            .map_err(|source| unusable(&file, source))?;
        self.refuse_leaving(&file)?;
        Sink::open(&self.root)?.put_bytes(&file, text.as_bytes())?;
        self.add(&self.root, &staged, &crate::Silent)?;
        Ok(name)
    }

    /// Refuses schemas that are about to be staged and make no sense. What `before` listed with the same content
    /// is let be: somebody could stage it, and must be able to go on.
    ///
    /// # Errors
    /// [`RepoError::BadSchemas`].
    pub(crate) fn refuse_nonsense(
        &self,
        batch: &Batch<'_>,
        before: TreeId,
        staged: TreeId,
    ) -> Result<(), RepoError> {
        let Some((_, bindings)) = self.bindings(batch, staged)? else { return Ok(()) };
        let known = match self.bindings(batch, before) {
            Err(RepoError::BadSchemas { .. }) => None,
            known => known?,
        };
        for (name, listed) in bindings.schemas() {
            let was_listed = known.as_ref().is_some_and(|(_, known)| {
                known.schemas().get(name).is_some_and(|it| it.path == listed.path)
            });
            let at = |tree| {
                Ok::<_, RepoError>(lookup_path(batch, tree, &listed.path)?.map(|it| it.entry))
            };
            let now = at(staged)?;
            if was_listed && at(before)? == now {
                continue;
            }
            if let Some(Entry::File(file)) = now {
                let parsed = self.text_of(file)?.and_then(|text| Schema::parse(&text));
                parsed.map_err(|source| unusable(&listed.path, source))?;
            }
        }
        Ok(())
    }
}
