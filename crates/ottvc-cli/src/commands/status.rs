//! `status`: how the working copy stands, and the next step.

use clap::Args;
use ottvc_repo::derived::FilmRow;
use ottvc_repo::status::{Status as Standing, StatusRow};
use serde::Serialize;

use crate::commands::merge::print_findings;
use crate::context::{Context, Need};
use crate::error::CliError;
use crate::exit::Exit;
use crate::out::Out;
use crate::show::{self, CHANGED, DIM, GOOD, ID, NAME, TITLE, WARN, paint};

/// Show what is staged, changed, untracked and in conflict, and the next step.
#[derive(Debug, Args)]
pub(crate) struct Status {}

/// How many paths of one kind people see; JSON has them all.
const SHOWN: usize = 60;

#[derive(Serialize)]
struct Answer<'a> {
    #[serde(flatten)]
    standing: &'a Standing,
    title: Option<String>,
    next: Option<String>,
}

pub(crate) fn run(context: &Context, out: &mut Out, _: &Status) -> Result<Exit, CliError> {
    let opened = context.open(Need::Look("status"))?;
    let standing = {
        let progress = context.progress();
        opened.repo.status(&progress)?
    };
    let next = next(&standing);
    let answer = Answer { standing: &standing, title: opened.config.title(), next: next.clone() };
    context.answer(out, &answer, |out| {
        head(out, &answer)?;
        // In a merge it gives back more, which is said above.
        let back = match standing.merging {
            Some(_) => "",
            None => "ottvc restore PATH gives back what is staged",
        };
        rows(out, ("Staged", ""), &standing.staged, GOOD)?;
        rows(out, ("Changed, not staged", back), &standing.changed, CHANGED)?;
        names(out, ("Untracked", ""), &standing.untracked, DIM)?;
        names(out, ("In conflict", ""), &standing.conflicts, WARN)?;
        let left_out = ("Left out of the merge", "ottvc restore PATH brings it back");
        names(out, left_out, &standing.left_out, WARN)?;
        print_findings(out, &opened, &standing.findings, false)?;
        if !standing.stale.is_empty() {
            out.line("")?;
        }
        print_stale(out, &standing.stale)?;
        out.line("")?;
        match &next {
            Some(next) => out.line(format!("{} {next}", paint(TITLE, "next:"))),
            None => out.line("Nothing to commit, nothing changed"),
        }
    })?;
    Ok(Exit::Ok)
}

fn head(out: &mut Out, answer: &Answer<'_>) -> Result<(), CliError> {
    let standing = answer.standing;
    let place = match (&standing.branch, &standing.commit) {
        (Some(branch), Some(commit)) => {
            format!("On branch {} at {}", paint(NAME, branch), paint(ID, show::short(commit)))
        }
        (Some(branch), None) => format!("On branch {}, no commit yet", paint(NAME, branch)),
        (None, Some(commit)) => {
            format!("On commit {}, no branch", paint(ID, show::short(commit)))
        }
        (None, None) => "On no branch".to_owned(),
    };
    out.line(match &answer.title {
        Some(title) => format!("{place} {}", paint(DIM, format!("({})", show::plain(title)))),
        None => place,
    })?;
    match &standing.merging {
        Some(theirs) => {
            let back = paint(DIM, "(ottvc restore PATH gives a file back as it made it)");
            let theirs = paint(NAME, show::plain(theirs));
            out.line(format!("A merge of {theirs} is not finished  {back}"))
        }
        None => Ok(()),
    }
}

fn rows(
    out: &mut Out,
    title: (&str, &str),
    rows: &[StatusRow],
    style: anstyle::Style,
) -> Result<(), CliError> {
    heading(out, title, rows.len())?;
    for row in rows.iter().take(SHOWN) {
        let path = match &row.from {
            Some(from) => format!("{from} -> {}", row.path),
            None => row.path.clone(),
        };
        out.line(format!("  {}  {path}", paint(style, show::pad(row.change, 8))))?;
    }
    rest(out, rows.len())
}

/// Writes which films changed since documents told of them, and how they tell of them again.
pub(crate) fn print_stale(out: &mut Out, rows: &[FilmRow]) -> Result<(), CliError> {
    for FilmRow { path, field, film } in rows.iter().take(SHOWN) {
        let beside = path.strip_suffix(".meta.json") == Some(film);
        let given = quoted(if beside { film } else { path });
        let field = match field.as_str() {
            "/technical" => String::new(),
            field => format!(" {}", quoted(field)),
        };
        let film = paint(WARN, show::plain(film));
        out.line(format!("{film} changed since it was probed: ottvc meta probe {given}{field}"))?;
    }
    rest(out, rows.len())
}

/// Writes which fields would tell of other films than those that would be there.
pub(crate) fn print_would_be_stale(out: &mut Out, rows: &[FilmRow]) -> Result<(), CliError> {
    for FilmRow { path, field, film } in rows.iter().take(SHOWN) {
        let place = show::plain(&format!("{path}#{field}"));
        let film = paint(WARN, show::plain(film));
        out.line(format!("{film} would be another film than {place} tells of"))?;
    }
    rest(out, rows.len())
}

/// Writes which fields were made again.
pub(crate) fn print_made(out: &mut Out, rows: &[FilmRow]) -> Result<(), CliError> {
    for FilmRow { path, field, film } in rows.iter().take(SHOWN) {
        let place = show::plain(&format!("{path}#{field}"));
        out.line(format!("made {place} again, of {}", show::plain(film)))?;
    }
    rest(out, rows.len())
}

fn names(
    out: &mut Out,
    title: (&str, &str),
    names: &[String],
    style: anstyle::Style,
) -> Result<(), CliError> {
    heading(out, title, names.len())?;
    for name in names.iter().take(SHOWN) {
        out.line(format!("  {}", paint(style, name)))?;
    }
    rest(out, names.len())
}

/// What a list is of, and what can be done about it.
fn heading(out: &mut Out, (title, hint): (&str, &str), count: usize) -> Result<(), CliError> {
    if count == 0 {
        return Ok(());
    }
    out.line("")?;
    let title = paint(TITLE, title);
    match hint {
        "" => out.line(title),
        hint => out.line(format!("{title}  {}", paint(DIM, format!("({hint})")))),
    }
}

fn rest(out: &mut Out, count: usize) -> Result<(), CliError> {
    match count.saturating_sub(SHOWN) {
        0 => Ok(()),
        more => {
            let more = show::grouped(more as u64);
            out.line(paint(DIM, format!("  and {more} more (--json lists all)")))
        }
    }
}

/// The command that a person would most likely want now.
fn next(standing: &Standing) -> Option<String> {
    if let Some(first) = standing.conflicts.first() {
        return Some(format!(
            "ottvc conflicts, then ottvc resolve {} --take ours (or theirs)",
            quoted(first)
        ));
    }
    if !standing.findings.is_empty() {
        return Some("settle each as shown, then ottvc commit, or ottvc merge --abort".into());
    }
    if standing.merging.is_some() && !standing.left_out.is_empty() {
        return Some("ottvc commit (finishes the merge, without what is left out)".into());
    }
    if standing.merging.is_some() {
        return Some("ottvc commit (finishes the merge)".into());
    }
    if !standing.changed.is_empty() && standing.staged.is_empty() {
        return Some("ottvc add . (stages what changed), or ottvc commit -a -m MESSAGE".into());
    }
    if !standing.staged.is_empty() {
        return Some("ottvc commit -m MESSAGE".into());
    }
    if !standing.untracked.is_empty() {
        return Some("ottvc add . (stores and stages what is untracked)".into());
    }
    if standing.commit.is_none() {
        return Some("put files here, then ottvc add .".into());
    }
    None
}

/// A path as a shell wants it.
pub(crate) fn quoted(text: &str) -> String {
    shell_words::quote(text).into_owned()
}
