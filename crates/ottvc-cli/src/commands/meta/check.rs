//! `meta check`: what documents break of their schemas, and what is left of it after a change.

use ottvc_object::RepoPath;
use ottvc_object::value::Document;
use ottvc_repo::RepoError;
use ottvc_repo::meta::document_path;
use ottvc_repo::schemas::{Checked, Found};
use serde_json::json;

use crate::commands::files::{is_revision, rev_and_path};
use crate::context::{Context, Need, Opened};
use crate::error::CliError;
use crate::exit::Exit;
use crate::out::Out;
use crate::show::{self, DIM, TITLE, WARN, paint};

/// Lists what documents break.
pub(super) fn run(
    context: &Context,
    out: &mut Out,
    (place, path): (Option<&str>, Option<&str>),
) -> Result<Exit, CliError> {
    let opened = context.open(Need::Read)?;
    let repo = &opened.repo;
    let here = |given: &str| -> Result<RepoPath, CliError> {
        let path = repo.repo_path(&opened.from, given)?;
        let is_file = !path.is_root() && repo.disk_path(&path).is_file();
        Ok(if is_file { document_path(&path)? } else { path })
    };
    let (revision, checked) = match (place, path) {
        (None, None) => (None, repo.check_here(&RepoPath::root())?),
        (_, Some(path)) => (None, repo.check_here(&here(path)?)?),
        (Some(place), None) => match rev_and_path(place) {
            Ok((rev, path)) if place.contains(':') || names_revision(&opened, place)? => {
                (Some(repo.resolve(rev)?.id), repo.check(rev, &path)?)
            }
            _ => (None, repo.check_here(&here(place)?)?),
        },
    };
    let Checked { documents, findings } = &checked;
    let answer = json!({
        "revision": revision.map(|id| id.to_string()),
        "documents": documents,
        "findings": findings,
    });
    context.answer(out, &answer, |out| {
        let looked = show::count(*documents, "document", "documents");
        if *documents == 0 {
            return out.line("no document there has a schema");
        }
        if findings.is_empty() {
            return out.line(format!("{looked} looked at, nothing found"));
        }
        let mut at = None;
        for Found { path, field, schema, rule, value, why } in findings {
            if at != Some(path) {
                at = Some(path);
                let name = paint(TITLE, show::plain(path));
                out.line(format!("{name}  {}", paint(DIM, show::plain(schema))))?;
            }
            let is = if value.is_empty() { String::new() } else { format!(", and it is {value}") };
            let why = show::plain(&format!("{why}{is}"));
            out.line(format!("  {}  {rule}: {why}", paint(WARN, show::plain(field))))?;
        }
        let found = show::count(findings.len() as u64, "finding", "findings");
        out.line(format!("{}; {looked} looked at", paint(WARN, found)))
    })?;
    Ok(if findings.is_empty() { Exit::Ok } else { Exit::Findings })
}

/// Whether a place without a colon is a revision; what is none may be a document that is not here.
fn names_revision(opened: &Opened, place: &str) -> Result<bool, CliError> {
    match is_revision(opened, place) {
        Err(CliError::Repo(RepoError::UnknownRevision { .. } | RepoError::Unborn { .. })) => {
            Ok(false)
        }
        other => other,
    }
}

/// What a document that was written still breaks, as it did before.
pub(super) fn still_broken(
    opened: &Opened,
    path: &RepoPath,
    document: &Document,
) -> Result<Vec<Found>, CliError> {
    Ok(opened.repo.judge(path)?.findings(document))
}

/// Says what a document still breaks.
pub(super) fn note_broken(context: &Context, findings: &[Found]) {
    if context.json {
        return;
    }
    for Found { path, field, schema, rule, value, why } in findings {
        let told =
            format!("{path}#{field} still breaks {schema}, {rule}: {why}, and it is {value}");
        context.note(&format!("note: {}", show::plain(&told)));
    }
}
