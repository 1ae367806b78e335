//! `restore`: giving back what a file or document was.

use clap::Args;
use ottvc_repo::restoring::{RestoreOptions, Restored};

use crate::context::{Context, Need};
use crate::error::CliError;
use crate::exit::Exit;
use crate::out::Out;
use crate::show::{self, DIM, TITLE, WARN, paint};

/// Give files and documents back: as they are staged, or as a revision has them. Folders are taken whole.
///
/// What was changed in tracked files of the working copy is overwritten. What nobody stored stays: an untracked
/// file in the way, or a changed one that would be removed, is refused without --force.
///
/// While a merge is not finished, what it brought is given back as the merge made it, with its conflicts, in the
/// working copy and staged: edits and resolutions made since are undone, in these paths alone.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// Files, documents and folders
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// Take them from this revision; what it does not have is removed
    #[arg(long, short = 's', value_name = "REV", alias = "source")]
    from: Option<String>,
    /// Stage them as the last commit has them (or REV); in a merge that is our side. Leaves the files as they are
    #[arg(long, short = 'S')]
    staged: bool,
    /// With --staged: the files, too
    #[arg(long, short = 'W')]
    worktree: bool,
    /// Also over files that nobody stored
    #[arg(long, short = 'f')]
    force: bool,
    /// Say what would be given back, and change nothing
    #[arg(long, short = 'n')]
    dry_run: bool,
}

pub(crate) fn run(context: &Context, out: &mut Out, args: Restore) -> Result<Exit, CliError> {
    let dry = args.dry_run;
    let opened = context.open(if dry { Need::Read } else { Need::Write("restore") })?;
    let options = RestoreOptions {
        paths: args.paths,
        from: args.from,
        staged: args.staged,
        worktree: args.worktree,
        force: args.force,
        dry_run: dry,
        apply_memory: opened.config.applies_memory()?,
    };
    let restored = {
        let progress = context.progress();
        opened.repo.restore(&opened.from, &options, &progress)?
    };
    context.report(out, &restored, |out| print(out, &restored, dry))?;
    Ok(Exit::Ok)
}

fn print(out: &mut Out, done: &Restored, dry: bool) -> Result<(), CliError> {
    let Restored { from, restored, removed, staged, conflicts, settled, left_out, as_staged } =
        done;
    let would = if dry { "would be " } else { "" };
    let source = match from.as_str() {
        "stage" => "as it is staged".to_owned(),
        "merge" => "as the merge made it".to_owned(),
        "" => "as before any commit".to_owned(),
        commit => format!("as in {}", show::short(commit)),
    };
    let source = paint(DIM, source);
    for path in restored {
        out.line(format!("{would}restored {path}  {source}"))?;
    }
    for path in removed {
        out.line(format!("{would}removed {path}  {source}"))?;
    }
    let told = |path: &&String| !restored.contains(path) && !removed.contains(path);
    for path in staged.iter().filter(told) {
        out.line(format!("{would}staged {path}  {source}"))?;
    }
    if restored.is_empty() && removed.is_empty() && staged.is_empty() {
        out.line("nothing to restore: all of it is so already")?;
        if as_staged.is_empty() {
            return Ok(());
        }
        return out.line(format!(
            "staged, and not as in the last commit: {}; ottvc restore --staged --worktree PATH gives that back",
            paint(WARN, show::some_of(as_staged))
        ));
    }
    if !settled.is_empty() || !left_out.is_empty() {
        let settled = show::count(settled.len() as u64, "conflict", "conflicts");
        let left_out = show::count(left_out.len() as u64, "path", "paths");
        out.line(format!(
            "{} {would}settled as ours, {} of theirs {would}left out; ottvc restore PATH brings them back",
            paint(WARN, settled),
            paint(WARN, left_out)
        ))?;
    }
    if conflicts.is_empty() || dry {
        return Ok(());
    }
    let left = show::count(conflicts.len() as u64, "conflict", "conflicts");
    out.line(format!("{} there; {} ottvc conflicts", paint(WARN, left), paint(TITLE, "next:")))
}
