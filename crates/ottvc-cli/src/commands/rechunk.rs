//! `rechunk`: keeping what is stored as it would be if it were added now.

use clap::Args;

use crate::context::{Context, Need};
use crate::error::CliError;
use crate::exit::Exit;
use crate::out::Out;
use crate::show;

/// Keep stored files as new ones would be kept.
///
/// For a repository that was filled before its media was kept track by track (`ingest.tracks`), so that
/// what comes now shares with what is there. No commit and no id changes. Space is needed for both forms
/// until `gc` has removed the old one.
#[derive(Debug, Args)]
pub(crate) struct Rechunk {
    /// Change nothing; say how much would be kept anew
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(context: &Context, out: &mut Out, args: &Rechunk) -> Result<Exit, CliError> {
    let progress = context.progress();
    let need = if args.dry_run { Need::Read } else { Need::Write("rechunk") };
    let done = context.open(need)?.repo.rechunk(args.dry_run, &progress)?;
    drop(progress);
    context.report(out, &done, |out| {
        let files = show::count(done.rechunked, "file", "files");
        let bytes = show::size(done.logical_bytes);
        match (done.rechunked, args.dry_run) {
            (0, _) if done.unread.is_empty() => {
                out.line("every file is kept as a new one would be")
            }
            (_, true) => out.line(format!("{files}, {bytes}, would be kept anew")),
            (_, false) => {
                let stored = show::size(done.stored_bytes);
                out.line(format!("{files}, {bytes}, kept anew in {stored} of new chunks"))?;
                out.line("'ottvc gc' gives back what they took before, once its grace is over")
            }
        }?;
        match done.unread.len() {
            0 => Ok(()),
            unread => {
                let files = show::count(unread as u64, "file", "files");
                out.line(format!("{files} cannot be read whole; see 'ottvc verify'"))
            }
        }
    })?;
    Ok(if done.unread.is_empty() { Exit::Ok } else { Exit::Damage })
}
