//! `audit`: who holds which bytes, and why two things share what they share. Hash lists and proofs are
//! in `fixity` and `proof`.

use clap::{Args, Subcommand, ValueEnum};
use ottvc_repo::audit::{
    DedupeReport, EditionShare, ExplainReport, FileShare, GroupBy, PathShare, Row,
};

use crate::commands::{fixity, proof};
use crate::context::{Context, Need};
use crate::error::CliError;
use crate::exit::Exit;
use crate::out::Out;
use crate::show::{self, DIM, GOOD, ID, NAME, TITLE, paint};
use crate::tracks;

/// How many ranges or paths people see; JSON has them all.
const SHOWN: usize = 12;

/// Show who holds which bytes, and why; hash lists and proofs for others to check.
#[derive(Debug, Args)]
pub(crate) struct Audit {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Who holds which bytes; the rows add up to the byte
    ///
    /// LOGICAL is what a user would see; UNIQUE is held by this row alone, SHARED by others too;
    /// STORED is this row's part of the bytes on disk.
    Dedupe {
        /// What the rows stand for
        #[arg(long, value_name = "WHAT", default_value = "branch")]
        by: By,
        /// Also say how many bytes would be freed if these branches or tags were deleted
        #[arg(long, value_name = "REF", num_args = 1..)]
        what_if_delete: Vec<String>,
    },
    /// Why two files or editions share what they share
    ///
    /// Files by byte range; those that are kept by their tracks track by track,
    /// and by time.
    Explain {
        /// A revision, or REV:PATH
        #[arg(value_name = "A")]
        a: String,
        /// What to compare with it
        #[arg(value_name = "B")]
        b: String,
    },
    Fixity(fixity::Fixity),
    Prove(proof::Prove),
    CheckProof(proof::CheckProof),
}

/// What the rows of an audit stand for.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum By {
    /// Branches and tags, with all their history
    Branch,
    /// Titles, as edition documents name them
    Title,
    /// Paths at the heads of branches
    Path,
    /// Commits, each with what it brought
    Commit,
    /// File extensions, documents, trees, commits
    Type,
}

impl From<By> for GroupBy {
    fn from(by: By) -> Self {
        match by {
            By::Branch => Self::Branch,
            By::Title => Self::Title,
            By::Path => Self::Path,
            By::Commit => Self::Commit,
            By::Type => Self::Type,
        }
    }
}

pub(crate) fn run(context: &Context, out: &mut Out, args: Audit) -> Result<Exit, CliError> {
    match args.action {
        Action::Fixity(args) => return fixity::run(context, out, args),
        Action::Prove(args) => return proof::prove(context, out, &args),
        Action::CheckProof(args) => return proof::check(context, out, &args),
        Action::Dedupe { by, what_if_delete } => {
            let repo = context.open(Need::Read)?.repo;
            let report = {
                let progress = context.progress();
                repo.dedupe(by.into(), &what_if_delete, &progress)?
            };
            context.answer(out, &report, |out| dedupe(out, &report, &what_if_delete))?;
        }
        Action::Explain { a, b } => {
            let repo = context.open(Need::Read)?.repo;
            let report = repo.explain(&a, &b)?;
            context.answer(out, &report, |out| match &report {
                ExplainReport::Files(share) => explain_files(out, share),
                ExplainReport::Editions(share) => explain_editions(out, share),
            })?;
        }
    }
    Ok(Exit::Ok)
}

fn dedupe(out: &mut Out, report: &DedupeReport, gone: &[String]) -> Result<(), CliError> {
    let label = |row: &Row| match &row.detail {
        Some(detail) if row.kind == "commit" => {
            format!("{} {}", show::short(&row.name), show::first_line(detail))
        }
        _ => row.name.clone(),
    };
    let cut = |text: String| match text.chars().count() {
        0..=36 => text,
        _ => text.chars().take(35).chain(['…']).collect(),
    };
    let rows: Vec<&Row> =
        report.rows.iter().filter(|row| row.kind != "rest" || row.stored_bytes > 0).collect();
    let labels: Vec<String> = rows.iter().map(|row| cut(label(row))).collect();
    let width = labels.iter().map(|it| it.chars().count()).max().unwrap_or(0).max(5);
    let cells = |row: &Row| {
        let mut line = String::new();
        for bytes in [row.logical_bytes, row.unique_bytes, row.shared_bytes, row.stored_bytes] {
            line += &format!("{:>11}", show::size(bytes));
        }
        line
    };
    let head = format!(
        "{}{:>11}{:>11}{:>11}{:>11}",
        show::pad("", width),
        "logical",
        "unique",
        "shared",
        "stored"
    );
    out.line(paint(TITLE, head))?;
    for (row, label) in rows.iter().zip(&labels) {
        let label = show::pad(label, width);
        let label = match row.kind {
            "rest" => paint(DIM, label),
            _ => paint(NAME, label),
        };
        out.line(format!("{label}{}", cells(row)))?;
    }
    out.line(format!("{}{}", paint(TITLE, show::pad("total", width)), cells(&report.total)))?;
    let total = &report.total;
    if let Ok(saved) = u64::try_from(total.saved_bytes)
        && saved > 0
    {
        out.line("")?;
        out.line(format!(
            "{} saved: {} of content kept in {}",
            paint(GOOD, show::size(saved)),
            show::size(total.logical_bytes),
            show::size(total.stored_bytes)
        ))?;
    }
    if let Some(freed) = report.freed_if_deleted {
        let freed = paint(GOOD, show::size(freed));
        out.line(format!("deleting {} would free {freed}", gone.join(", ")))?;
    }
    Ok(())
}

fn explain_files(out: &mut Out, share: &FileShare) -> Result<(), CliError> {
    let (a, b) = (&share.a, &share.b);
    for side in [a, b] {
        let id = side.id.as_deref().map(show::short).unwrap_or_default();
        let kept = tracks::kept(&side.kept).map(|words| format!("  {}", paint(DIM, words)));
        out.line(format!(
            "{}  {}  {}{}",
            paint(TITLE, &side.name),
            show::size(side.bytes),
            paint(ID, id),
            kept.unwrap_or_default()
        ))?;
    }
    out.line("")?;
    if share.same {
        return out.line("the same to the byte: stored once");
    }
    out.line(format!(
        "{} of {} ({}) lie in chunks of {}; {} are its own",
        paint(GOOD, show::size(share.shared_bytes)),
        b.name,
        show::percent(share.shared_bytes, b.bytes),
        a.name,
        show::size(share.new_bytes)
    ))?;
    if let Some(tracks) = &share.tracks {
        tracks::print(out, "  ", tracks)?;
        return common(out, &share.common);
    }
    for range in share.shared.iter().take(SHOWN) {
        out.line(format!(
            "  {} shared, at {} in the first and {} in the second",
            paint(GOOD, format!("{:>10}", show::size(range.length))),
            show::size(range.a_offset),
            show::size(range.b_offset)
        ))?;
    }
    more(out, share.shared.len())?;
    for range in share.new.iter().take(SHOWN) {
        out.line(format!(
            "  {} new, at {} in the second",
            format_args!("{:>10}", show::size(range.new_bytes.unwrap_or(range.length))),
            show::size(range.offset)
        ))?;
    }
    more(out, share.new.len())?;
    common(out, &share.common)
}

fn explain_editions(out: &mut Out, share: &EditionShare) -> Result<(), CliError> {
    out.line(format!(
        "{} holds {}: {} ({}) that {} holds too, {} of its own",
        paint(NAME, &share.b.name),
        show::size(share.b.bytes),
        paint(GOOD, show::size(share.shared_bytes)),
        show::percent(share.shared_bytes, share.b.bytes),
        paint(NAME, &share.a.name),
        show::size(share.new_bytes)
    ))?;
    for path in share.paths.iter().take(SHOWN * 4) {
        out.line(format!("  {}", path_line(path)))?;
    }
    match share.paths.len().saturating_sub(SHOWN * 4) {
        0 => {}
        rest => out.line(paint(DIM, format!("  and {} more", show::grouped(rest as u64))))?,
    }
    common(out, &share.common)
}

fn path_line(path: &PathShare) -> String {
    let others: Vec<&str> =
        path.with.iter().map(|with| with.path.as_str()).filter(|name| *name != path.path).collect();
    let with = match others.as_slice() {
        [] => String::new(),
        others => paint(DIM, format!("  with {}", others.join(", "))),
    };
    let word = show::pad(path.status, 8);
    let word = if path.status == "new" { word } else { paint(GOOD, word) };
    let part = match path.status {
        "shares" => format!("  {} shared", show::percent(path.shared_bytes, path.bytes)),
        _ => String::new(),
    };
    format!("{word}  {}  {}{part}{with}", path.path, show::size(path.bytes))
}

fn more(out: &mut Out, count: usize) -> Result<(), CliError> {
    match count.saturating_sub(SHOWN) {
        0 => Ok(()),
        rest => {
            let rest = show::count(rest as u64, "more range", "more ranges");
            out.line(paint(DIM, format!("  and {rest}")))
        }
    }
}

fn common(out: &mut Out, ids: &[String]) -> Result<(), CliError> {
    let ids: Vec<&str> = ids.iter().map(|id| show::short(id)).collect();
    match ids.as_slice() {
        [] => out.line(paint(DIM, "their histories share no commit")),
        ids => out.line(paint(DIM, format!("their histories part at {}", ids.join(", ")))),
    }
}
