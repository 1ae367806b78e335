//! `add`, `rm`, `mv`: what the next commit will hold.

use std::num::NonZeroUsize;
use std::time::Instant;

use clap::Args;
use ottvc_repo::stage::Added;
use serde::Serialize;
use serde_json::json;

use crate::context::{Context, Need};
use crate::error::CliError;
use crate::exit::Exit;
use crate::out::Out;
use crate::show::{self, DIM, paint};

/// Store the content of files and stage them. Folders are taken whole; tracked files that are gone
/// are staged as removed. Safe to interrupt: what is stored is not stored twice.
///
/// Files named *.meta.json must be metadata documents; all others are stored as they are. Patterns in
/// a file `.ottvcignore` are left out.
#[derive(Debug, Args)]
pub(crate) struct Add {
    /// Files and folders
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// Threads that hash and compress [default: one a processor]
    #[arg(long, short = 'j', value_name = "N")]
    jobs: Option<NonZeroUsize>,
}

#[derive(Serialize)]
struct AddAnswer<'a> {
    #[serde(flatten)]
    added: &'a Added,
    seconds: f64,
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate is shown with two digits"
)]
pub(crate) fn add(context: &Context, out: &mut Out, args: &Add) -> Result<Exit, CliError> {
    let opened = context.open_with(Need::Write("add"), args.jobs.map(NonZeroUsize::get))?;
    let started = Instant::now();
    let added = {
        let progress = context.progress();
        opened.repo.add(&opened.from, &args.paths, &progress)?
    };
    let seconds = started.elapsed().as_secs_f64();
    context.report(out, &AddAnswer { added: &added, seconds }, |out| {
        let mut line = format!(
            "added {}, {}",
            show::count(added.files, "file", "files"),
            show::size(added.logical_bytes)
        );
        if added.removed > 0 {
            line += &format!("; {} removed", show::grouped(added.removed));
        }
        line += &match (added.new_bytes, added.read_bytes) {
            (0, 0) => "; unchanged since last time".to_owned(),
            (0, _) => "; all of it stored before".to_owned(),
            (new, _) => {
                format!("; {} new, {} on disk", show::size(new), show::size(added.stored_bytes))
            }
        };
        if seconds >= 1.0 {
            let rate = (added.read_bytes as f64 / seconds) as u64;
            line += &paint(DIM, format!(" ({seconds:.1} s, {}/s)", show::size(rate)));
        }
        out.line(line)
    })?;
    Ok(Exit::Ok)
}

/// Remove tracked files from the working copy, and stage that.
#[derive(Debug, Args)]
pub(crate) struct Rm {
    /// Files and folders
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// Stop tracking them, but leave the files
    #[arg(long, alias = "cached")]
    keep: bool,
    /// Also if they hold changes that no commit has
    #[arg(long, short = 'f')]
    force: bool,
    /// Folders are taken whole anyway; git users type it
    #[arg(short = 'r', hide = true)]
    recursive: bool,
}

pub(crate) fn rm(context: &Context, out: &mut Out, args: &Rm) -> Result<Exit, CliError> {
    let opened = context.open(Need::Write("rm"))?;
    let removed = opened.repo.remove(&opened.from, &args.paths, args.keep, args.force)?;
    context.report(out, &json!({ "removed": removed }), |out| {
        removed.iter().try_for_each(|path| out.line(format!("removed {path}")))
    })?;
    Ok(Exit::Ok)
}

/// Rename a tracked file or folder, and stage that. The old name is remembered, so that a merge finds
/// the file under either.
#[derive(Debug, Args)]
pub(crate) struct Mv {
    /// What it is called
    #[arg(value_name = "OLD")]
    old: String,
    /// What it will be called, or a folder to move it into
    #[arg(value_name = "NEW")]
    new: String,
}

pub(crate) fn mv(context: &Context, out: &mut Out, args: &Mv) -> Result<Exit, CliError> {
    let opened = context.open(Need::Write("mv"))?;
    let renamed = opened.repo.rename(&opened.from, &args.old, &args.new)?;
    let rows: Vec<_> = renamed.iter().map(|(from, to)| json!({ "from": from, "to": to })).collect();
    context.report(out, &json!({ "renamed": rows }), |out| {
        renamed.iter().try_for_each(|(from, to)| out.line(format!("renamed {from} -> {to}")))
    })?;
    Ok(Exit::Ok)
}
