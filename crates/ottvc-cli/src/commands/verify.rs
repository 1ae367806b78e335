//! `verify` and `doctor`: is every byte sound, and is the machine fit to keep them so.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use clap::Args;
use ottvc_local::{Access, LocalRepo};
use ottvc_repo::scan::REPO_FOLDER;
use ottvc_repo::verify::{Finding, Reading, RoundReport, VerifyReport};
use serde::Serialize;
use serde_json::json;

use crate::config::Config;
use crate::context::{Context, Need};
use crate::error::CliError;
use crate::exit::Exit;
use crate::out::Out;
use crate::problem::Problem;
use crate::progress::Meter;
use crate::show::{self, BAD, DIM, GOOD, TITLE, WARN, paint};

/// How many findings, and places of one, people see; JSON has them all.
const SHOWN: usize = 20;

/// Read back and check every byte, object and reference. Damage is named by what it affects; the
/// status is 10 if there is any.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Check all structure, but read only this part of the chunks, chosen by chance
    #[arg(long, value_name = "N%", value_parser = parse_percent)]
    sample: Option<f64>,
    /// Read about this much, such as 10GiB, and go on from there the next time: what was checked longest
    /// ago comes first. Structure is followed whenever all packs have been read
    #[arg(long, value_name = "SIZE", value_parser = parse_size, conflicts_with = "sample")]
    budget: Option<u64>,
    /// Take what is damaged or missing from another repository on this machine, which is only read. The
    /// status is 10 if anything is left
    #[arg(long, value_name = "PATH")]
    repair_from: Option<PathBuf>,
}

/// Reads a number of bytes.
fn parse_size(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 9] = [
        ("", 1),
        ("B", 1),
        ("kB", 1000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
    ];
    let wrong = || "write a number and a unit: MiB, GiB, TiB, or MB, GB, TB".to_owned();
    let text = text.trim();
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = text.strip_suffix(unit).unwrap_or_default();
    let number: u64 = digits.parse().ok().filter(|number| *number > 0).ok_or_else(wrong)?;
    let same = |(name, _): &&(&str, u64)| name.eq_ignore_ascii_case(unit.trim());
    let (_, bytes) = UNITS.iter().find(same).ok_or_else(wrong)?;
    number.checked_mul(*bytes).ok_or_else(wrong)
}

fn parse_percent(text: &str) -> Result<f64, String> {
    let number = text.trim().trim_end_matches('%').parse::<f64>();
    number.map_err(|_| "write a part such as 5%".to_owned())
}

pub(crate) fn verify(context: &Context, out: &mut Out, args: &Verify) -> Result<Exit, CliError> {
    let reading = match (args.sample, args.budget) {
        (Some(percent), _) => Reading::Sample(percent),
        (None, Some(bytes)) => Reading::Budget(bytes),
        (None, None) => Reading::Everything,
    };
    let other = args.repair_from.as_deref().map(|path| context.peek(path)).transpose()?;
    let report = {
        let progress = context.progress();
        let report = context.open(Need::Read)?.repo.verify(reading, &progress)?;
        match other {
            Some(other) if !report.clean => repair(context, report, reading, &other, &progress)?,
            _ => report,
        }
    };
    context.answer(out, &report, |out| match (report.clean, context.quiet) {
        (true, true) => Ok(()),
        _ => print(out, &report),
    })?;
    Ok(if report.clean { Exit::Ok } else { Exit::Damage })
}

/// Takes from the other what was found, and looks again.
fn repair(
    context: &Context,
    report: VerifyReport,
    reading: Reading,
    other: &LocalRepo,
    progress: &Meter,
) -> Result<VerifyReport, CliError> {
    let done = {
        let repo = context.open(Need::Write("verify --repair-from"))?.repo;
        repo.repair(&report, &*other.objects(), progress)?
    };
    let again = match reading {
        Reading::Everything => Reading::Everything,
        // Another part would be read; what this one found damaged is remembered until it is mended.
        _ => Reading::Structure,
    };
    let after = context.open(Need::Read)?.repo.verify(again, progress)?;
    Ok(done.conclude(report, after))
}

fn print(out: &mut Out, report: &VerifyReport) -> Result<(), CliError> {
    let part = report.sample.map(|percent| format!(" (a sample of {percent}% of the chunks)"));
    out.line(format!(
        "checked {}, {}, {}; {} read{}",
        show::count(report.objects, "object", "objects"),
        show::count(report.chunks, "chunk", "chunks"),
        show::count(report.files, "file", "files"),
        show::size(report.bytes),
        part.unwrap_or_default()
    ))?;
    if let Some(round) = &report.round {
        print_round(out, round)?;
    }
    if let Some(repair) = &report.repair {
        for finding in repair.repaired.iter().take(SHOWN) {
            print_finding(out, paint(GOOD, "repaired"), finding)?;
        }
        more(out, repair.repaired.len(), "more repaired")?;
    }
    for (word, findings) in [("damaged", &report.damaged), ("missing", &report.missing)] {
        for finding in findings.iter().take(SHOWN) {
            print_finding(out, paint(BAD, word), finding)?;
        }
        more(out, findings.len(), "more such findings")?;
    }
    if report.clean {
        let sound = match &report.round {
            Some(round) if !round.complete => "everything read is sound",
            _ => "everything is sound",
        };
        return out.line(paint(GOOD, sound));
    }
    out.line("")?;
    let next = match &report.repair {
        None => {
            "add the affected files again, if you still have them: the same bytes mend them; or take \
             them from another repository with --repair-from"
        }
        Some(_) => {
            "the other repository has none of these whole; try another, or add the files again"
        }
    };
    out.line(format!("{} {next}", paint(TITLE, "next:")))
}

/// Says how far round the checks are.
fn print_round(out: &mut Out, round: &RoundReport) -> Result<(), CliError> {
    let began = show::local(round.began_ms);
    let packs = show::count(round.packs, "pack", "packs");
    out.line(match round.complete {
        true => format!("read {packs}: all have been read since {began}"),
        false => format!(
            "read {packs}: {} of {} have been read since {began}",
            show::size(round.done_bytes),
            show::size(round.total_bytes)
        ),
    })
}

fn print_finding(out: &mut Out, word: impl Display, finding: &Finding) -> Result<(), CliError> {
    let id = finding.id.as_deref().map(|id| format!(" {}", show::short(id)));
    out.line(format!("{word} {}{}: {}", finding.kind, id.unwrap_or_default(), finding.why))?;
    if let Some(place) = &finding.place {
        out.line(paint(DIM, format!("    in {place}")))?;
    }
    for affected in finding.affects.iter().take(SHOWN) {
        out.line(format!("    affects {affected}"))?;
    }
    more(out, finding.affects.len(), "more places")
}

fn more(out: &mut Out, count: usize, what: &str) -> Result<(), CliError> {
    match count.saturating_sub(SHOWN) {
        0 => Ok(()),
        rest => out.line(paint(DIM, format!("    and {} {what}", show::grouped(rest as u64)))),
    }
}

/// Look for trouble: settings, access, room, the file system, the index. Status 7 if there is any.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Make the index again from the packs; the old one goes to .ottvc/trash
    #[arg(long)]
    repair: bool,
}

/// How one look came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Health {
    Ok,
    Warn,
    Fail,
}

/// One thing looked at.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    health: Health,
    detail: String,
}

impl Check {
    fn of(name: &'static str, looked: Result<String, String>) -> Self {
        match looked {
            Ok(detail) => Self { name, health: Health::Ok, detail },
            Err(detail) => Self { name, health: Health::Fail, detail },
        }
    }
    fn warn(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, health: Health::Warn, detail: detail.into() }
    }
}

pub(crate) fn doctor(context: &Context, out: &mut Out, args: &Doctor) -> Result<Exit, CliError> {
    let root = context.root()?;
    let store = root.join(REPO_FOLDER);
    let mut checks = Vec::new();
    if args.repair {
        checks.push(remake(context, &store)?);
    }
    checks.push(settings(&root));
    checks.extend(opens(&store));
    checks.extend(holds_together(context));
    checks.push(room(&store));
    checks.push(writable(&store));
    checks.push(letter_case(&store));
    let healthy = checks.iter().all(|check| check.health == Health::Ok);
    let answer =
        json!({ "path": root.display().to_string(), "healthy": healthy, "checks": checks });
    context.answer(out, &answer, |out| {
        for check in &checks {
            let word = match check.health {
                Health::Ok if context.quiet => continue,
                Health::Ok => paint(GOOD, "ok  "),
                Health::Warn => paint(WARN, "warn"),
                Health::Fail => paint(BAD, "fail"),
            };
            out.line(format!("{word}  {}  {}", show::pad(check.name, 11), check.detail))?;
        }
        Ok(())
    })?;
    Ok(if healthy { Exit::Ok } else { Exit::Findings })
}

fn remake(context: &Context, store: &Path) -> Result<Check, CliError> {
    let wait = context.config()?.lock_wait()?;
    let rebuilt = LocalRepo::rebuild(store, wait, "ottvc doctor --repair")?;
    let detail = format!(
        "made again from {}: {}, {}, {}, {}",
        show::count(rebuilt.packs, "pack", "packs"),
        show::count(rebuilt.objects, "object", "objects"),
        show::count(rebuilt.chunks, "chunk", "chunks"),
        show::count(rebuilt.refs, "ref", "refs"),
        show::count(rebuilt.operations, "operation", "operations"),
    );
    Ok(match rebuilt.damaged.len() {
        0 => Check::of("repair", Ok(detail)),
        damaged => {
            let damaged = show::count(damaged as u64, "damaged place", "damaged places");
            Check::warn("repair", format!("{detail}; {damaged}: `ottvc verify` names them"))
        }
    })
}

/// What an error says, in one line.
fn words(error: CliError) -> String {
    let problem = Problem::of(&error).json();
    let part = |member: &str| problem.get(member).and_then(|it| it.as_str()).map(str::to_owned);
    let detail = part("detail").unwrap_or_default();
    match part("cause") {
        Some(cause) => format!("{detail}: {cause}"),
        None => detail,
    }
}

fn settings(root: &Path) -> Check {
    let looked = Config::load(Some(root)).and_then(|config| {
        let wait = config.lock_wait()?;
        let jobs = config.jobs()?;
        Ok(format!(
            "you are {}; {}, waits {} s for others",
            config.actor(),
            show::count(jobs as u64, "thread", "threads"),
            wait.as_secs()
        ))
    });
    Check::of("settings", looked.map_err(words))
}

/// Whether the store opens, and is of a format we know.
fn opens(store: &Path) -> Vec<Check> {
    let opened = match LocalRepo::open(store, Access::Read) {
        Ok(opened) => opened,
        Err(error) => return vec![Check::of("store", Err(words(error.into())))],
    };
    let usage = opened.objects().usage().map(|usage| {
        format!(
            "format {}; {} in {}",
            ottvc_local::VERSION,
            show::size(usage.pack_bytes),
            show::count(usage.packs, "pack", "packs")
        )
    });
    let mut checks = vec![Check::of("store", usage.map_err(|error| words(error.into())))];
    if let Some(rebuilt) = opened.rebuilt() {
        let packs = show::count(rebuilt.packs, "pack", "packs");
        checks.push(Check::warn("index", format!("was lost, and made again from {packs}")));
    }
    checks
}

/// Whether every branch and tag leads to a commit and its tree, and the working copy's state reads.
fn holds_together(context: &Context) -> Vec<Check> {
    let repo = match context.open(Need::Read) {
        Ok(opened) => opened.repo,
        Err(_) => return Vec::new(),
    };
    let looked = (|| {
        let refs = repo.refs().list()?;
        for (name, value) in &refs {
            if value.target.is_some() {
                repo.list(&name.to_string(), &ottvc_object::RepoPath::root(), false, &mut |_| {
                    Ok(())
                })?;
            }
        }
        Ok::<usize, CliError>(refs.len())
    })();
    let refs = looked.map(|count| match count {
        1 => "1 branch or tag leads to a commit".to_owned(),
        count => format!("{} branches and tags lead to commits", show::grouped(count as u64)),
    });
    let state = repo.state().map(|_| "reads".to_owned()).map_err(|error| words(error.into()));
    let state = state.and_then(|_| match repo.status(&ottvc_repo::Silent) {
        Ok(status) => Ok(format!(
            "{}, {} untracked",
            show::count((status.staged.len() + status.changed.len()) as u64, "change", "changes"),
            show::grouped(status.untracked.len() as u64)
        )),
        Err(error) => Err(words(error.into())),
    });
    vec![Check::of("refs", refs.map_err(words)), Check::of("files", state)]
}

/// Free space below which a warning is due, in bytes.
const LITTLE_ROOM: u64 = 1 << 30;

fn room(store: &Path) -> Check {
    match rustix::fs::statvfs(store) {
        Ok(system) => {
            let free = system.f_bavail.saturating_mul(system.f_frsize);
            let detail = format!("{} free", show::size(free));
            match free < LITTLE_ROOM {
                true => Check::warn("disk", detail),
                false => Check::of("disk", Ok(detail)),
            }
        }
        Err(errno) => Check::of("disk", Err(format!("cannot be asked: {errno}"))),
    }
}

fn writable(store: &Path) -> Check {
    let tmp = store.join("tmp");
    match tempfile::NamedTempFile::new_in(&tmp) {
        Ok(_) => Check::of("access", Ok("the store can be written to".into())),
        Err(error) => Check::warn("access", format!("the store can only be read: {error}")),
    }
}

/// Says whether the file system tells letters apart by case; both are fine, and good to know.
fn letter_case(store: &Path) -> Check {
    let upper = store.join("version");
    let detail = match upper.symlink_metadata() {
        Ok(_) => "takes names that differ in case for one",
        Err(_) => "tells names apart by case",
    };
    Check::of("file system", Ok(detail.into()))
}

#[cfg(test)]
mod tests {
    use super::parse_size;

    #[test]
    fn sizes_are_a_number_and_a_unit() {
        let sizes = [
            ("1", 1),
            ("10GiB", 10 << 30),
            ("10 gib", 10 << 30),
            ("3MB", 3_000_000),
            ("7kB", 7000),
            ("2TiB", 2 << 40),
        ];
        for (text, bytes) in sizes {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for bad in ["", "0", "GiB", "-1", "1.5GiB", "1X", "99999999999TiB", "1G iB"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }
}
