//! `checkout`, `cat`, `ls`: getting things out of a revision.

use std::fs::DirEntry;
use std::io::Write;
use std::iter::successors;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use ottvc_merge::Side;
use ottvc_object::RepoPath;
use ottvc_object::tree::lookup_path;
use ottvc_repo::checkout::CheckoutOptions;
use ottvc_repo::content::ContentError;
use ottvc_repo::disputed::Disputed;
use ottvc_repo::read::{ByteRange, Listed};
use ottvc_repo::{Repo, RepoError};
use serde_json::json;

use crate::context::{Context, Need, Opened};
use crate::error::CliError;
use crate::exit::Exit;
use crate::out::Out;
use crate::show::{self, DIM, ID, TITLE, WARN, paint};
use crate::tracks;

/// What to show of a conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Show {
    /// All of it, in a document as a `$conflict` object
    Markers,
    /// What the branch merged into has
    Ours,
    /// What was merged from has
    Theirs,
    /// What both began from
    Base,
    /// Nothing, as if it were not there
    Omit,
}

impl From<Show> for Disputed {
    fn from(show: Show) -> Self {
        match show {
            Show::Markers => Self::Markers,
            Show::Ours => Self::Side(Side::Ours),
            Show::Theirs => Self::Side(Side::Theirs),
            Show::Base => Self::Side(Side::Base),
            Show::Omit => Self::Omit,
        }
    }
}

/// Splits `REV[:PATH]`; nothing before the colon means HEAD.
///
/// # Errors
/// The path's, if it is none.
pub(crate) fn rev_and_path(text: &str) -> Result<(&str, RepoPath), CliError> {
    let (rev, path) = text.split_once(':').unwrap_or((text, ""));
    let rev = if rev.is_empty() { "HEAD" } else { rev };
    Ok((rev, RepoPath::new(path.trim_start_matches("./").trim_end_matches('/'))?))
}

/// Whether what is given is a revision, and no path.
///
/// # Errors
/// [`CliError::Usage`] if it is both; that of [`Repo::resolve`](ottvc_repo::Repo::resolve) if it is neither.
pub(crate) fn is_revision(opened: &Opened, given: &str) -> Result<bool, CliError> {
    match opened.repo.resolve(given) {
        Ok(_) if given != "HEAD" && is_spelled(opened, given)? => Err(ambiguous(given)),
        Ok(_) => Ok(true),
        Err(RepoError::UnknownRevision { .. } | RepoError::Unborn { .. })
            if is_path(opened, given) =>
        {
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

/// The error for what is a revision and a path.
fn ambiguous(given: &str) -> CliError {
    let text = format!("`{given}` is a revision, and a path as well");
    let hint = format!("write ./{given} for the path, {given}~0 for the revision");
    CliError::Usage { text, hint: Some(hint) }
}

/// Whether a path of that name is here, or was in the last commit.
fn is_path(opened: &Opened, given: &str) -> bool {
    let repo = &opened.repo;
    repo.repo_path(&opened.from, given).is_ok_and(|path| {
        repo.disk_path(&path).symlink_metadata().is_ok()
            || repo.list("HEAD", &path, false, &mut |_| Ok(())).is_ok()
    })
}

/// Whether a path of exactly that name is here, or was in the last commit: names of revisions do not fold case.
fn is_spelled(opened: &Opened, given: &str) -> Result<bool, CliError> {
    let repo = &opened.repo;
    let Ok(path) = repo.repo_path(&opened.from, given) else { return Ok(false) };
    let steps: Vec<RepoPath> =
        successors(Some(path), RepoPath::parent).filter(|step| !step.is_root()).collect();
    // Where the disk folds case, only the listing of its folder tells how a file is called.
    let on_disk = |step: &RepoPath| {
        let above = repo.disk_path(&step.parent().unwrap_or_default());
        let is_it =
            |entry: DirEntry| step.name().is_some_and(|name| entry.file_name() == name.as_str());
        std::fs::read_dir(above)
            .is_ok_and(|mut entries| entries.any(|entry| entry.is_ok_and(is_it)))
    };
    if steps.iter().all(on_disk) {
        return Ok(true);
    }
    let Ok(head) = repo.resolve("HEAD") else { return Ok(false) };
    let tree = repo.commit(head.id)?.tree;
    for step in &steps {
        let there = lookup_path(repo.nodes(), tree, step)?;
        if there.is_none_or(|named| Some(&named.name) != step.name()) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Write files of a revision out to a folder. They are copies: changing them changes nothing stored.
/// Every byte is checked on the way.
#[derive(Debug, Args)]
pub(crate) struct Checkout {
    /// The revision
    #[arg(value_name = "REV")]
    rev: String,
    /// Only these paths and what is below them
    #[arg(value_name = "PATH")]
    paths: Vec<String>,
    /// Where to write, made if need be
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Only files that match: '*.mp4', 'trailers/**'; may be repeated
    #[arg(long, value_name = "PATTERN")]
    only: Vec<String>,
    /// Overwrite files that differ
    #[arg(long, short = 'f')]
    force: bool,
    /// What to write where there is a conflict; without it, that is refused
    #[arg(long, value_name = "WHAT")]
    conflicts: Option<Show>,
}

pub(crate) fn checkout(context: &Context, out: &mut Out, args: Checkout) -> Result<Exit, CliError> {
    let opened = context.open(Need::Read)?;
    let options = CheckoutOptions {
        paths: args.paths,
        only: args.only,
        force: args.force,
        conflicts: args.conflicts.map(Disputed::from),
    };
    let to = context.folder.join(&args.to);
    let done = {
        let progress = context.progress();
        let done = opened.repo.checkout(&args.rev, &to, &options, &progress);
        done.map_err(|error| shown_so(error.into(), options.conflicts))?
    };
    context.report(out, &done, |out| {
        let there = match done.unchanged {
            0 => String::new(),
            unchanged => format!("; {} there already", show::grouped(unchanged)),
        };
        out.line(format!(
            "{} written to {}{there}, {} in all",
            show::count(done.files, "file", "files"),
            paint(TITLE, args.to.display()),
            show::size(done.bytes)
        ))
    })?;
    Ok(Exit::Ok)
}

/// Write a file of a revision to standard output, as it is; a document as JSON.
#[derive(Debug, Args)]
pub(crate) struct Cat {
    /// The file
    #[arg(value_name = "REV:PATH")]
    file: String,
    /// Only these bytes, counted from 0, both ends included: A-B, A-, or -N for the last N
    #[arg(long, value_name = "A-B", allow_hyphen_values = true)]
    range: Option<String>,
    /// What to show where there is a conflict; without it, that is refused
    #[arg(long, value_name = "WHAT")]
    conflicts: Option<Show>,
}

impl Cat {
    /// Of all of a file.
    pub(crate) fn whole(file: &str) -> Self {
        Self { file: file.to_owned(), range: None, conflicts: None }
    }
}

/// The most bytes that `cat --json` puts into its object.
const MAX_JSON_CONTENT: usize = 64 << 20;

pub(crate) fn cat(context: &Context, out: &mut Out, args: &Cat) -> Result<Exit, CliError> {
    let opened = context.open(Need::Read)?;
    let (rev, path) = rev_and_path(&args.file)?;
    let range = args.range.as_deref().map(str::parse::<ByteRange>);
    let range = range.transpose()?;
    let disputed = args.conflicts.map(Disputed::from);
    if !context.json {
        let mut bytes = out.bytes()?;
        let done = opened.repo.cat(rev, &path, range, disputed, &mut bytes).map_err(output);
        done.map_err(|error| shown_so(error, disputed))?;
        bytes.flush().map_err(CliError::Output)?;
        return Ok(Exit::Ok);
    }
    let mut content = Bounded(Vec::new());
    let done = opened.repo.cat(rev, &path, range, disputed, &mut content).map_err(output);
    done.map_err(|error| shown_so(error, disputed))?;
    let (encoding, text) = match String::from_utf8(content.0) {
        Ok(text) => ("utf-8", text),
        Err(error) => ("base64", base64(error.as_bytes())),
    };
    out.json(&json!({
        "path": path.to_string(),
        "revision": opened.repo.resolve(rev)?.id.to_string(),
        "encoding": encoding,
        "content": text,
    }))?;
    Ok(Exit::Ok)
}

/// Where marks were asked for, what is refused are files.
fn shown_so(error: CliError, disputed: Option<Disputed>) -> CliError {
    match error {
        CliError::Repo(RepoError::Conflicts { paths }) if disputed == Some(Disputed::Markers) => {
            CliError::NoMarks { paths }
        }
        other => other,
    }
}

/// Bytes that could not be written are output that could not be written.
fn output(error: RepoError) -> CliError {
    match error {
        RepoError::Content(ContentError::Write { source }) => CliError::Output(source),
        other => other.into(),
    }
}

/// Takes bytes up to a limit: a film is nothing to put into JSON.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_JSON_CONTENT {
            return Err(std::io::Error::other("over 64 MiB: leave out --json, or give a --range"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// RFC 4648 base64.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - group.len()));
        for at in 0..4 {
            let digit = (bits >> (18 - 6 * at)) & 63;
            let digit = usize::try_from(digit).ok().and_then(|digit| DIGITS.get(digit));
            text.push(match digit {
                Some(digit) if at <= group.len() => char::from(*digit),
                _ => '=',
            });
        }
    }
    text
}

/// List what a revision holds: kind, size, id, path. The id of a file is its BLAKE3: what `b3sum`
/// prints. Of one file, also the tracks it is kept by, or why it is not.
#[derive(Debug, Args)]
pub(crate) struct Ls {
    /// The revision, or a path in it [default: HEAD]
    #[arg(value_name = "REV[:PATH]", default_value = "HEAD", hide_default_value = true)]
    place: String,
    /// Everything below, without the folders
    #[arg(short = 'r', long)]
    recursive: bool,
}

pub(crate) fn ls(context: &Context, out: &mut Out, args: &Ls) -> Result<Exit, CliError> {
    let opened = context.open(Need::Read)?;
    let (rev, path) = rev_and_path(&args.place)?;
    let entries = entries(&opened.repo, rev, &path, args.recursive)?;
    let id = opened.repo.resolve(rev)?.id.to_string();
    context.answer(out, &json!({ "revision": id, "entries": entries }), |out| {
        let sizes: Vec<String> = entries.iter().map(|it| show::size(it.size)).collect();
        let width = sizes.iter().map(|size| size.chars().count()).max().unwrap_or(0);
        for (entry, size) in entries.iter().zip(&sizes) {
            let path = match entry.kind {
                "tree" => paint(TITLE, format!("{}/", entry.path)),
                "conflict" => paint(WARN, &entry.path),
                _ if entry.executable => format!("{}*", entry.path),
                _ => entry.path.clone(),
            };
            out.line(format!(
                "{}  {size:>width$}  {}  {path}",
                paint(DIM, show::pad(entry.kind, 8)),
                paint(ID, show::short(&entry.id))
            ))?;
            tracks::print_kept(out, "    ", &entry.kept)?;
        }
        Ok(())
    })?;
    Ok(Exit::Ok)
}

fn entries(repo: &Repo, rev: &str, path: &RepoPath, deep: bool) -> Result<Vec<Listed>, CliError> {
    let mut entries = Vec::new();
    repo.list(rev, path, deep, &mut |entry| {
        entries.push(entry);
        Ok(())
    })?;
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::{base64, rev_and_path};

    #[test]
    fn base64_is_that_of_rfc_4648() {
        let pairs =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        for (plain, encoded) in pairs {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
        assert_eq!(base64(&[0xff, 0xfe, 0xfd]), "//79");
    }

    #[test]
    fn a_path_of_no_revision_is_one_of_head() {
        assert_eq!(rev_and_path(":a/b/").unwrap().0, "HEAD");
        assert_eq!(rev_and_path("main:./a").unwrap().1.to_string(), "a");
        assert!(rev_and_path("main").unwrap().1.is_root());
    }
}
