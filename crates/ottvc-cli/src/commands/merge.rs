//! `merge`: brings a revision into the current branch.

use clap::Args;
use ottvc_merge::Rule;
use ottvc_repo::merging::{MergeReport, MergeRequest};
use serde_json::json;

use crate::commands::conflicts::print_rows;
use crate::context::{Context, Need};
use crate::error::CliError;
use crate::exit::Exit;
use crate::out::Out;
use crate::show::{self, DIM, ID, NAME, TITLE, WARN, paint};

/// Merge a revision into the current branch. Documents merge field by field.
///
/// A clean merge is committed. With conflicts, the merged state is left in the working copy and the
/// status is 4: settle them with `ottvc resolve`, then `ottvc commit`.
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
    /// Commit although conflicts are left; they can be settled later
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
    };
    let report = {
        let progress = context.progress();
        opened.repo.merge(&rev, &request, &progress)?
    };
    context.answer(out, &report, |out| {
        if context.quiet && report.clean { Ok(()) } else { print(out, &rev, &report, args.dry_run) }
    })?;
    let settled = report.clean || (report.commit.is_some() && args.allow_conflicts);
    Ok(if settled { Exit::Ok } else { Exit::Conflicts })
}

fn print(out: &mut Out, rev: &str, report: &MergeReport, dry: bool) -> Result<(), CliError> {
    let theirs =
        format!("{} ({})", paint(NAME, show::plain(rev)), paint(ID, show::short(&report.theirs)));
    if report.up_to_date {
        return out.line(format!("{theirs} is merged already; nothing to do"));
    }
    let changed = show::count(report.changed, "path", "paths");
    let conflicts = show::count(report.conflicts.len() as u64, "conflict", "conflicts");
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
    for notice in &report.notices {
        let place = format!("{}#{}", notice.path, notice.field);
        out.line(format!("  {place}  {}", paint(WARN, &notice.why)))?;
    }
    if !report.conflicts.is_empty() {
        out.line("")?;
        print_rows(out, &report.conflicts)?;
    }
    if report.clean || dry {
        return Ok(());
    }
    out.line("")?;
    out.line(match &report.commit {
        None => format!(
            "{} ottvc resolve PATH --take ours|theirs|base, then ottvc commit; or ottvc merge --abort",
            paint(TITLE, "next:")
        ),
        Some(_) => format!("{} ottvc resolve, then ottvc commit", paint(TITLE, "next:")),
    })
}
