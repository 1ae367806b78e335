//! `merge`: brings a revision into the current branch.

use clap::Args;
use ottvc_merge::{Rule, SideNames};
use ottvc_object::RepoPath;
use ottvc_object::field_path::{FieldPath, Segment};
use ottvc_object::value::value_to_json;
use ottvc_repo::changes::{Change, FieldChange};
use ottvc_repo::merging::{MergeReport, MergeRequest, NoticeRow};
use ottvc_repo::resolving::ConflictRow;
use ottvc_repo::workspace::Head;
use serde_json::json;

use crate::commands::conflicts::{relative, settling};
use crate::commands::diff;
use crate::commands::status::{print_stale, print_would_be_stale, quoted};
use crate::context::{Context, Need, Opened};
use crate::error::CliError;
use crate::exit::Exit;
use crate::out::Out;
use crate::screen::Screen;
use crate::show::{self, DIM, ID, NAME, TITLE, WARN, paint};
use crate::sides;

/// How many paths people see what a merge changes in.
const SHOWN_PATHS: u64 = 20;

/// Merge a revision into the current branch. Documents merge field by field.
///
/// What it changes is told by field. A clean merge is committed. With conflicts, the merged state is left in
/// the working copy and the status is 4: settle them with `ottvc resolve`, then `ottvc commit`. So it is left
/// where it changes what a schema says is given once, and the status is 7: give each field its value back.
#[derive(Debug, Args)]
pub(crate) struct Merge {
    /// What to merge
    #[arg(value_name = "REV", required_unless_present = "abort")]
    rev: Option<String>,
    /// Say what the merge would come to, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Take a side where both disagree: '/ratings/**=theirs', 'trailers/**=ours'; may be repeated
    #[arg(long, value_name = "PATTERN=SIDE")]
    rule: Vec<String>,
    /// Message of the merge commit
    #[arg(short = 'm', long, value_name = "MESSAGE")]
    message: Vec<String>,
    /// Commit although conflicts are left; they can be settled later. A protected branch takes none
    #[arg(long)]
    allow_conflicts: bool,
    /// Merge histories that share no commit
    #[arg(long)]
    allow_unrelated: bool,
    /// Give up the merge that is not finished
    #[arg(long, conflicts_with_all = ["rev", "dry_run", "rule", "message"])]
    abort: bool,
}

/// Reads merge rules.
///
/// # Errors
/// `merge.bad_rule` for one that cannot be read.
pub(crate) fn rules(given: &[String]) -> Result<Vec<Rule>, CliError> {
    given.iter().map(|rule| Ok(rule.parse::<Rule>()?)).collect()
}

pub(crate) fn run(context: &Context, out: &mut Out, args: Merge) -> Result<Exit, CliError> {
    let Some(rev) = args.rev.filter(|_| !args.abort) else {
        let repo = context.open(Need::Write("merge"))?.repo;
        let theirs = repo.abort_merge(&context.progress())?;
        context.report(out, &json!({ "aborted": theirs }), |out| {
            let theirs = paint(NAME, show::plain(&theirs));
            out.line(format!("gave up the merge of {theirs}; files are as before"))
        })?;
        return Ok(Exit::Ok);
    };
    let rules = rules(&args.rule)?;
    let opened = context.open(if args.dry_run { Need::Read } else { Need::Write("merge") })?;
    let request = MergeRequest {
        dry_run: args.dry_run,
        rules,
        message: (!args.message.is_empty()).then(|| args.message.join("\n\n")),
        allow_conflicts: args.allow_conflicts,
        allow_unrelated: args.allow_unrelated,
        apply_memory: opened.config.applies_memory()?,
        shown_paths: if context.json || context.quiet { 0 } else { SHOWN_PATHS },
    };
    let report = {
        let progress = context.progress();
        opened.repo.merge(&rev, &request, &progress)?
    };
    context.answer(out, &report, |out| match context.quiet && report.clean {
        true => Ok(()),
        false => print(out, &opened, &rev, &report, args.dry_run),
    })?;
    Ok(match report.commit.is_some() && args.allow_conflicts {
        true => Exit::Ok,
        false => exit_of(&report),
    })
}

/// The status of a merge that leaves what it leaves.
pub(crate) fn exit_of(report: &MergeReport) -> Exit {
    match (report.conflicts.as_slice(), report.findings.as_slice()) {
        ([], []) => Exit::Ok,
        ([], _) => Exit::Findings,
        _ => Exit::Conflicts,
    }
}

/// What a merge leaves to be settled, in a few words.
pub(crate) fn left_words(report: &MergeReport) -> String {
    let conflicts = report.conflicts.len() as u64;
    let findings = report.findings.len() as u64;
    let mut words = Vec::new();
    if conflicts > 0 || findings == 0 {
        words.push(show::count(conflicts, "conflict", "conflicts"));
    }
    if findings > 0 {
        words.push(show::count(findings, "finding", "findings"));
    }
    words.join(" and ")
}

fn print(
    out: &mut Out,
    opened: &Opened,
    rev: &str,
    report: &MergeReport,
    dry: bool,
) -> Result<(), CliError> {
    let theirs =
        format!("{} ({})", paint(NAME, show::plain(rev)), paint(ID, show::short(&report.theirs)));
    if report.up_to_date {
        return out.line(format!("{theirs} is merged already; nothing to do"));
    }
    let changed = show::count(report.changed, "path", "paths");
    let conflicts = left_words(report);
    match (&report.commit, report.clean, dry) {
        (_, true, true) => out.line(format!("{theirs} would merge clean, changing {changed}"))?,
        (_, false, true) => out
            .line(format!("{theirs} would leave {}, changing {changed}", paint(WARN, conflicts)))?,
        (Some(commit), true, _) => out.line(format!(
            "merged {theirs} as {}: {changed} changed",
            paint(ID, show::short(commit))
        ))?,
        (Some(commit), false, _) => out.line(format!(
            "merged {theirs} as {}: {changed} changed, {} recorded",
            paint(ID, show::short(commit)),
            paint(WARN, conflicts)
        ))?,
        (None, ..) => {
            out.line(format!("merging {theirs}: {changed} changed, {}", paint(WARN, conflicts)))?
        }
    }
    for decision in &report.decisions {
        let place = match &decision.field {
            Some(field) => format!("{}#{field}", decision.path),
            None => decision.path.clone(),
        };
        let taken = format!("took {} by {}", decision.chosen, decision.rule);
        out.line(format!("  {place}  {}", paint(DIM, taken)))?;
    }
    let changes = without_conflicts(&report.changes);
    if !changes.is_empty() {
        out.line("")?;
        diff::print_changes(out, &changes)?;
    }
    match report.changed.saturating_sub(SHOWN_PATHS) {
        0 => {}
        more => {
            let more = show::count(more, "more path", "more paths");
            out.line(paint(DIM, format!("and {more}; ottvc diff or ottvc show lists all")))?;
        }
    }
    if !report.notices.is_empty() {
        out.line("")?;
    }
    let (left_out, notices): (Vec<_>, Vec<_>) =
        report.notices.iter().partition(|notice| notice.rule == "inherit");
    if let Some(first) = left_out.first() {
        let count = show::count(left_out.len() as u64, "field", "fields");
        let place = show::plain(&format!("{}#{}", first.path, first.field));
        let more = if left_out.len() > 1 { ", ..." } else { "" };
        let text =
            format!("{count} of theirs left out, as each edition has its own: {place}{more}");
        out.line(paint(DIM, format!("{text} (--json lists all)")))?;
    }
    for notice in notices {
        let place = format!("{}#{}", notice.path, notice.field);
        out.line(format!("{place}  {}", paint(WARN, &notice.why)))?;
    }
    if !report.stale.is_empty() && report.notices.is_empty() {
        out.line("")?;
    }
    match dry {
        false => print_stale(out, &report.stale)?,
        true => print_would_be_stale(out, &report.stale)?,
    }
    if !report.conflicts.is_empty() {
        out.line("")?;
        print_conflicts(out, opened, &report.conflicts, rev, dry)?;
    }
    print_findings(out, opened, &report.findings, dry)?;
    if report.clean || dry {
        return Ok(());
    }
    out.line("")?;
    let by_hand = report
        .conflicts
        .iter()
        .find(|row| row.field.is_some())
        .map(|row| format!(" (ottvc meta edit {} does it by hand)", quoted(&row.path)));
    let by_hand = by_hand.unwrap_or_default();
    let end = match &report.commit {
        None => "ottvc commit, or ottvc merge --abort",
        Some(_) => "ottvc commit",
    };
    out.line(format!("{} settle each as shown{by_hand}, then {end}", paint(TITLE, "next:")))
}

/// Writes what a merge changes though it was given once, and how each gets its value back.
pub(crate) fn print_findings(
    out: &mut Out,
    opened: &Opened,
    findings: &[NoticeRow],
    dry: bool,
) -> Result<(), CliError> {
    if !findings.is_empty() {
        out.line("")?;
    }
    for NoticeRow { path, field, value, why, .. } in findings {
        let place = show::plain(&format!("{path}#{field}"));
        let why = show::plain(&format!("was given once: {why}, and it is {value}"));
        out.line(format!("{place}  {}", paint(WARN, why)))?;
        let (Ok(path), Ok(at)) = (RepoPath::new(path), field.parse::<FieldPath>()) else {
            continue;
        };
        let given = opened.repo.document("HEAD", &path).ok();
        let given = given.as_ref().and_then(|document| document.value().get(&at));
        if let Some(given) = given.filter(|_| !dry) {
            let path = quoted(&relative(&opened.repo.disk_path(&path), &opened.from));
            let set = quoted(&format!("{field}={}", value_to_json(given)));
            out.line(format!("  {} ottvc meta set {path} {set}", paint(TITLE, "settle:")))?;
        }
    }
    Ok(())
}

/// Writes the conflicts that merging `theirs` left, or would leave.
pub(crate) fn print_conflicts(
    out: &mut Out,
    opened: &Opened,
    conflicts: &[ConflictRow],
    theirs: &str,
    dry: bool,
) -> Result<(), CliError> {
    let ours = match &opened.repo.state()?.head {
        Head::Branch(name) => Some(name.short().to_owned()),
        Head::Detached(id) => Some(id.short()),
    };
    let names = SideNames { ours, theirs: Some(theirs.to_owned()) };
    let settling = |row: &ConflictRow| (!dry).then(|| settling(opened, row));
    let lines = sides::lines(conflicts, &names, &settling, &Screen::of_output());
    lines.iter().try_for_each(|line| out.line(line))
}

/// Changes without fields that are in conflict: those are told by themselves.
fn without_conflicts(changes: &[Change]) -> Vec<Change> {
    let settled = |change: &Change| {
        let in_conflict = |field: &&FieldChange| {
            field.new.as_ref().is_some_and(|new| new.get("$conflict").is_some())
        };
        // While fields that move together are in conflict, they stand as one beside themselves.
        let groups: Vec<(FieldPath, String)> = change
            .fields
            .iter()
            .filter(in_conflict)
            .filter_map(|field| match field.field.parse::<FieldPath>().ok()?.0.split_last()? {
                (Segment::Key(key), map) if key.starts_with('{') => {
                    Some((FieldPath(map.to_vec()), key.replace(['{', '}'], ",")))
                }
                _ => None,
            })
            .collect();
        let grouped = |field: &FieldChange| match field.field.parse::<FieldPath>() {
            Ok(path) => groups.iter().any(|(map, names)| {
                let name = path.0.get(map.0.len());
                let named = |key: &String| names.contains(&format!(",{key},"));
                path.starts_with(map) && matches!(name, Some(Segment::Key(key)) if named(key))
            }),
            Err(_) => false,
        };
        let fields = change.fields.iter().filter(|field| !in_conflict(field) && !grouped(field));
        Change { fields: fields.cloned().collect(), ..change.clone() }
    };
    let says_something = |(change, settled): &(&Change, Change)| {
        !change.conflict && (change.fields.is_empty() || !settled.fields.is_empty())
    };
    let both = changes.iter().map(|change| (change, settled(change))).filter(says_something);
    both.map(|(_, settled)| settled).collect()
}
