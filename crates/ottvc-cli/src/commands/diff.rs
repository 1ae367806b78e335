//! `diff`: what differs between two states, documents by field, media by byte range or by track and
//! time.

use clap::Args;
use ottvc_object::RepoPath;
use ottvc_repo::changes::{Change, Diff as Changes, MediaChange};

use crate::commands::files::is_revision;
use crate::context::{Context, Need, Opened};
use crate::error::CliError;
use crate::exit::Exit;
use crate::fields;
use crate::out::Out;
use crate::screen::Screen;
use crate::show::{self, BAD, DIM, GOOD, ID, TITLE, WARN, paint};
use crate::tracks;

/// How many byte ranges of a file people see; JSON has them all.
const SHOWN_RANGES: usize = 8;

/// Show what differs: documents by field, media by the byte ranges that are new, or by the tracks and
/// times that are, if it is kept by its tracks.
///
/// Without revisions, the working copy against the last commit; with one, the working copy against
/// that; with two, the second against the first. What is no revision is a path. With --staged, what is
/// staged against the last commit, or against one revision.
#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// Revisions (A, or A B, or A..B), then paths
    #[arg(value_name = "REV|PATH")]
    given: Vec<String>,
    /// Paths, whatever they are called
    #[arg(last = true, value_name = "PATH")]
    paths: Vec<String>,
    /// What is staged, and not the working copy
    #[arg(long, visible_alias = "cached")]
    staged: bool,
    /// End with status 7 if something differs
    #[arg(long)]
    exit_code: bool,
    /// One line for each path
    #[arg(long)]
    stat: bool,
}

pub(crate) fn run(context: &Context, out: &mut Out, args: &Diff) -> Result<Exit, CliError> {
    let opened = context.open(Need::Look("diff"))?;
    let (revs, paths) = sort_out(&opened, args)?;
    let mut revs = revs.into_iter();
    let (a, b) = (revs.next(), revs.next());
    let changes = match (args.staged, b) {
        (false, b) => opened.repo.diff(a.as_deref(), b.as_deref(), &paths)?,
        (true, None) => opened.repo.diff_staged(a.as_deref(), &paths)?,
        (true, Some(_)) => {
            let text = "what is staged is compared with one revision".to_owned();
            let hint = Some("give one, or none for the last commit".to_owned());
            return Err(CliError::Usage { text, hint });
        }
    };
    context.answer(out, &changes, |out| print(out, &changes, args.stat))?;
    Ok(if args.exit_code && !changes.changes.is_empty() { Exit::Findings } else { Exit::Ok })
}

/// Tells revisions from paths: up to two revisions first, then paths.
fn sort_out(opened: &Opened, args: &Diff) -> Result<(Vec<String>, Vec<RepoPath>), CliError> {
    let (mut revs, mut paths) = (Vec::new(), Vec::new());
    for given in &args.given {
        if let Some((a, b)) = given.split_once("..")
            && revs.is_empty()
            && paths.is_empty()
            && given != ".."
            && (!given.contains('/') || opened.repo.resolve(a).is_ok())
        {
            let or_head = |rev: &str| if rev.is_empty() { "HEAD".into() } else { rev.to_owned() };
            revs = vec![or_head(a), or_head(b)];
            continue;
        }
        if revs.len() < 2 && paths.is_empty() {
            // Before paths that are told apart, all are revisions.
            if !args.paths.is_empty() || is_revision(opened, given)? {
                revs.push(given.clone());
                continue;
            }
        }
        paths.push(opened.repo.repo_path(&opened.from, given)?);
    }
    for given in &args.paths {
        paths.push(opened.repo.repo_path(&opened.from, given)?);
    }
    Ok((revs, paths))
}

/// Writes changes for people.
pub(crate) fn print(out: &mut Out, changes: &Changes, stat: bool) -> Result<(), CliError> {
    if stat {
        return print_stat(out, changes);
    }
    print_changes(out, &changes.changes)
}

/// Writes a block for each path: documents by field, media by bytes or tracks.
pub(crate) fn print_changes(out: &mut Out, changes: &[Change]) -> Result<(), CliError> {
    let screen = Screen::of_output();
    for change in changes {
        let path = match &change.from {
            Some(from) => format!("{from} -> {}", change.path),
            None => change.path.clone(),
        };
        let word = paint(style_of(change.change), show::pad(change.change, 8));
        let media = change.media.as_ref().map(|media| format!("  {}", media_line(change, media)));
        let conflict = change.conflict.then(|| format!("  {}", paint(WARN, "(conflict)")));
        let what = media.or(conflict).unwrap_or_default();
        out.line(format!("{word}  {}{what}", paint(TITLE, path)))?;
        for line in fields::lines(&fields::read(&change.fields), 4, &screen) {
            out.line(line)?;
        }
        if let Some(media) = &change.media {
            print_media(out, change, media)?;
        }
    }
    Ok(())
}

fn style_of(change: &str) -> anstyle::Style {
    match change {
        "added" => GOOD,
        "removed" => BAD,
        "retyped" => WARN,
        _ => ID,
    }
}

fn media_line(change: &Change, media: &MediaChange) -> String {
    match change.change {
        "added" => show::size(media.new_bytes),
        "removed" => show::size(media.old_bytes),
        _ if media.old_bytes == media.new_bytes && media.shared_bytes == media.new_bytes => {
            format!("{}, the same bytes", show::size(media.new_bytes))
        }
        _ => format!(
            "{} -> {}, {} shared",
            show::size(media.old_bytes),
            show::size(media.new_bytes),
            show::percent(media.shared_bytes, media.new_bytes)
        ),
    }
}

/// What is new in a file that was there before, and why it is not told track by track if it might be.
fn print_media(out: &mut Out, change: &Change, media: &MediaChange) -> Result<(), CliError> {
    match &media.tracks {
        Some(tracks) => tracks::print(out, "    ", tracks)?,
        None if change.change == "added" => {}
        None => print_ranges(out, media)?,
    }
    match &media.untracked {
        Some(why) => out.line(paint(DIM, format!("    {}", tracks::untracked(why)))),
        None => Ok(()),
    }
}

fn print_ranges(out: &mut Out, media: &MediaChange) -> Result<(), CliError> {
    for range in media.ranges.iter().take(SHOWN_RANGES) {
        out.line(format!(
            "    {} at {}",
            paint(GOOD, format!("{} new", show::size(range.new_bytes.unwrap_or(range.length)))),
            show::size(range.offset)
        ))?;
    }
    match media.ranges.len().saturating_sub(SHOWN_RANGES) {
        0 => Ok(()),
        more => {
            let more = show::count(more as u64, "more range", "more ranges");
            out.line(paint(DIM, format!("    and {more}")))
        }
    }
}

/// One line for each path, and one for all.
fn print_stat(out: &mut Out, changes: &Changes) -> Result<(), CliError> {
    let width = changes.changes.iter().map(|it| it.path.chars().count()).max().unwrap_or(0).min(60);
    let (mut fields, mut bytes) = (0, 0);
    for change in &changes.changes {
        fields += change.fields.len() as u64;
        let what = match &change.media {
            Some(media) => {
                bytes += media.new_bytes.saturating_sub(media.shared_bytes);
                media_line(change, media)
            }
            None if change.conflict => "(conflict)".into(),
            None => show::count(change.fields.len() as u64, "field", "fields"),
        };
        out.line(format!(
            "{}  {}  {what}",
            paint(style_of(change.change), show::pad(change.change, 8)),
            show::pad(&change.path, width)
        ))?;
    }
    out.line(format!(
        "{}, {}, {} of media that is new",
        show::count(changes.changes.len() as u64, "path", "paths"),
        show::count(fields, "field", "fields"),
        show::size(bytes)
    ))
}
