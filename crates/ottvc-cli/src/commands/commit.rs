//! `commit`: records what is staged.

use clap::Args;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use ottvc_repo::RepoError;
use ottvc_repo::record::{CommitOptions, Committed};
use ottvc_repo::status::Status;

use crate::commands::status::{print_made, print_stale};
use crate::context::{Context, Need};
use crate::editor;
use crate::error::CliError;
use crate::exit::Exit;
use crate::out::Out;
use crate::show::{self, ID, NAME, WARN, paint};

/// Record what is staged as a commit, and move the branch to it.
///
/// With PATH, only what those files hold now, whatever else is staged. Without -m, an editor opens.
#[derive(Debug, Args)]
pub(crate) struct Commit {
    /// Why; given more than once, each is a paragraph
    #[arg(short = 'm', long, value_name = "MESSAGE")]
    message: Vec<String>,
    /// Stage all changes to tracked files first
    #[arg(short = 'a', long, conflicts_with = "paths")]
    all: bool,
    /// Who made the change, as 'Name <address>'
    #[arg(long, value_name = "AUTHOR")]
    author: Option<String>,
    /// When it was made: 2026-03-01, 2026-03-01T14:05, with or without a time zone
    #[arg(long, value_name = "DATE", value_parser = parse_date)]
    date: Option<i64>,
    /// Commit a merge although conflicts are left; a protected branch takes none
    #[arg(long)]
    allow_conflicts: bool,
    /// Commit although nothing changed
    #[arg(long)]
    allow_empty: bool,
    /// Only these files and folders
    #[arg(value_name = "PATH")]
    paths: Vec<String>,
}

/// Reads a time: RFC 3339, or a date with or without a time, where this machine is.
fn parse_date(text: &str) -> Result<i64, String> {
    let local = |at: DateTime| at.to_zoned(TimeZone::system()).map(|zoned| zoned.timestamp());
    let time = text
        .parse::<jiff::Timestamp>()
        .or_else(|_| text.parse::<DateTime>().and_then(local))
        .or_else(|_| text.parse::<Date>().and_then(|date| local(date.at(0, 0, 0, 0))));
    let time = time.map_err(|_| "write 2026-03-01 or 2026-03-01T14:05:00Z".to_owned())?;
    Ok(time.as_millisecond())
}

pub(crate) fn run(context: &Context, out: &mut Out, args: Commit) -> Result<Exit, CliError> {
    let message = match args.message.is_empty() {
        false => Some(args.message.join("\n\n")),
        true => ask_message(context, &args)?,
    };
    if message.as_ref().is_some_and(|message| message.trim().is_empty()) {
        return Err(CliError::NoMessage);
    }
    let opened = context.open(Need::Write("commit"))?;
    let options = CommitOptions {
        message,
        all: args.all,
        only: args.paths,
        author: args.author,
        date: args.date,
        allow_conflicts: args.allow_conflicts,
        allow_empty: args.allow_empty,
        provenance: None,
    };
    let committed = {
        let progress = context.progress();
        opened.repo.record(&opened.from, &options, &progress)?
    };
    context.report(out, &committed, |out| {
        let message = opened.repo.commit(committed.commit)?.message;
        print(out, &committed, &message)
    })?;
    Ok(Exit::Ok)
}

fn print(out: &mut Out, committed: &Committed, message: &str) -> Result<(), CliError> {
    let branch = committed.branch.as_deref().unwrap_or("no branch");
    out.line(format!(
        "[{} {}] {}",
        paint(NAME, branch),
        paint(ID, committed.commit.short()),
        show::first_line(message)
    ))?;
    out.line(format!(
        " {} changed; {}, {}, {} in all",
        show::count(committed.changed, "path", "paths"),
        show::count(committed.files, "file", "files"),
        show::count(committed.documents, "document", "documents"),
        show::size(committed.logical_bytes),
    ))?;
    if committed.conflicts > 0 {
        let count = show::count(committed.conflicts, "conflict", "conflicts");
        out.line(format!(
            " {} left in it: ottvc conflicts lists them, ottvc resolve settles them",
            paint(WARN, count)
        ))?;
    }
    if !committed.left_out.is_empty() {
        let count = show::count(committed.left_out.len() as u64, "path", "paths");
        let paths = show::some_of(&committed.left_out);
        out.line(format!(" {} of theirs left out of the merge: {paths}", paint(WARN, count)))?;
    }
    print_made(out, &committed.made)?;
    print_stale(out, &committed.stale)
}

/// Asks for a message in an editor; a merge has one of its own.
///
/// The editor stays open as long as it likes, so the repository is not held meanwhile.
fn ask_message(context: &Context, args: &Commit) -> Result<Option<String>, CliError> {
    let opened = context.open(Need::Look("commit"))?;
    if opened.repo.state()?.merging.is_some() {
        return Ok(None);
    }
    if context.json || !editor::is_interactive() || opened.config.editor().is_none() {
        return Err(CliError::NoMessage);
    }
    let status = opened.repo.status(&ottvc_repo::Silent)?;
    let takes_changes = args.all || !args.paths.is_empty();
    let nothing = status.staged.is_empty() && (!takes_changes || status.changed.is_empty());
    if nothing && !args.allow_empty {
        return Err(RepoError::NothingToCommit.into());
    }
    let config = opened.config;
    drop(opened.repo);
    let text = editor::edit(&config, &template(&status), ".txt")?.text;
    let kept: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let message = kept.join("\n").trim().to_owned();
    if message.is_empty() { Err(CliError::NoMessage) } else { Ok(Some(message)) }
}

/// What the editor shows below the message.
fn template(status: &Status) -> String {
    let mut text = String::from("\n# Say why. Lines that start with # are left out.\n#\n");
    if let Some(branch) = &status.branch {
        text += &format!("# On branch {branch}\n");
    }
    for row in &status.staged {
        text += &format!("#   {}  {}\n", show::pad(row.change, 8), row.path);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::parse_date;

    #[test]
    fn dates_are_read_in_common_forms() {
        assert_eq!(parse_date("2026-03-01T14:05:00Z"), Ok(1_772_373_900_000));
        assert_eq!(parse_date("2026-03-01T15:05:00+01:00"), Ok(1_772_373_900_000));
        assert!(parse_date("2026-03-01").is_ok() && parse_date("2026-03-01T14:05").is_ok());
        assert!(parse_date("yesterday").is_err());
    }
}
