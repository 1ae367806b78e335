//! `audit fixity`: hash lists that other tools can check.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use ottvc_repo::audit::fixity::{FixityFormat, FixityList, FixityOptions};
use ottvc_repo::audit::mhl::Seal;
use ottvc_repo::disputed::Disputed;
use serde_json::json;

use crate::commands::files::Show;
use crate::context::{Context, Need};
use crate::error::CliError;
use crate::exit::Exit;
use crate::out::Out;
use crate::show::{self, TITLE, paint};

/// Hash lists that other tools can check
///
/// The list is of the files as `checkout` writes them out, and goes to standard output: check it in
/// that folder with `b3sum -c` or `sha256sum -c`. An ASC Media Hash List seals a folder: with --to DIR
/// the folder `ascmhl` is made in it. b3sum reads no file, the others read every byte.
#[derive(Debug, Args)]
pub(crate) struct Fixity {
    /// The revision [default: HEAD]
    #[arg(value_name = "REV", default_value = "HEAD", hide_default_value = true)]
    rev: String,
    /// Only these paths and what is below them
    #[arg(value_name = "PATH")]
    paths: Vec<String>,
    /// What is to check it: ascmhl, b3sum or sha256sum
    #[arg(long, value_name = "FORMAT", default_value = "b3sum", hide_possible_values = true)]
    format: Format,
    /// Write the list to FILE; for ascmhl, seal the folder DIR
    #[arg(long, value_name = "FILE|DIR")]
    to: Option<PathBuf>,
    /// What to list where there is a conflict; without it, that is refused
    #[arg(long, value_name = "WHAT")]
    conflicts: Option<Show>,
}

/// What is to check a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Tools of the ASC Media Hash List
    Ascmhl,
    /// `b3sum -c`
    B3sum,
    /// `sha256sum -c`
    Sha256sum,
}

impl From<Format> for FixityFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Ascmhl => Self::AscMhl,
            Format::B3sum => Self::B3sum,
            Format::Sha256sum => Self::Sha256sum,
        }
    }
}

pub(crate) fn run(context: &Context, out: &mut Out, args: Fixity) -> Result<Exit, CliError> {
    let options = FixityOptions {
        format: args.format.into(),
        paths: args.paths,
        conflicts: args.conflicts.map(Disputed::from),
    };
    let list = {
        let repo = context.open(Need::Read)?.repo;
        let progress = context.progress();
        repo.fixity(&args.rev, &options, &progress)?
    };
    keep(context, &list)?;
    let to = args.to.as_deref();
    let written = match (to, args.format) {
        (None, _) => None,
        (Some(to), Format::Ascmhl) => {
            Some(list.seal(&context.folder.join(to), &seal(context.now()))?)
        }
        (Some(to), _) => {
            let to = context.folder.join(to);
            write(&to, &list)?;
            Some(to)
        }
    };
    if !list.left_out.is_empty() {
        let links = show::count(list.left_out.len() as u64, "path", "paths");
        context.note(&format!(
            "{links} left out, which such a list cannot cover: {}",
            list.left_out.iter().take(3).cloned().collect::<Vec<String>>().join(", ")
        ));
    }
    if context.json {
        let mut answer = json!(list);
        if let Some(answer) = answer.as_object_mut() {
            answer.insert("to".into(), json!(written.map(|to| to.display().to_string())));
        }
        out.json(&answer)?;
        return Ok(Exit::Ok);
    }
    match (written, args.format) {
        (Some(to), _) if !context.quiet => out.line(format!(
            "{} listed in {}",
            show::count(list.files.len() as u64, "file", "files"),
            paint(TITLE, to.display())
        ))?,
        (Some(_), _) => {}
        (None, Format::Ascmhl) => {
            let mhl = list.to_mhl(&seal(context.now()))?;
            out.bytes()?.write_all(&mhl).map_err(CliError::Output)?;
        }
        (None, _) => list.write_lines(&mut out.bytes()?).map_err(CliError::Output)?,
    }
    Ok(Exit::Ok)
}

/// Remembers what was costly to learn. Nothing was locked while it was learnt, and nobody waits for
/// this: what cannot be kept now is computed again next time.
fn keep(context: &Context, list: &FixityList) -> Result<(), CliError> {
    if list.learnt.is_empty() {
        return Ok(());
    }
    let repo = context.open(Need::Look("audit fixity"))?.repo;
    // Open for reading, where somebody else writes or nobody may; then this is refused.
    let _ = repo.keep_sha256(&list.learnt);
    Ok(())
}

fn seal(now: i64) -> Seal {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    Seal { host, version: env!("CARGO_PKG_VERSION").to_owned(), time: now }
}

/// Writes the lines to a file, which appears whole or not at all.
fn write(to: &Path, list: &FixityList) -> Result<(), CliError> {
    crate::out::write_file(to, &mut |file| list.write_lines(file))
}
