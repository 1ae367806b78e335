//! `propagate`, `apply`, `lineage`: one change to many editions, and the family they are.

use clap::{Args, ValueEnum};
use ottvc_merge::Pattern;
use ottvc_merge::layers::Diverged;
use ottvc_refs::RefKind;
use ottvc_repo::lineage::EditionRow;
use ottvc_repo::plan::{Carrying, OutcomeRow, Plan, PlanReport, TargetRow, TargetState};
use ottvc_repo::push::PushRequest;
use serde_json::{Value as Json, json};

use crate::context::{Context, Need, Opened};
use crate::error::CliError;
use crate::exit::Exit;
use crate::fields;
use crate::out::Out;
use crate::screen::shortened;
use crate::show::{self, DIM, GOOD, ID, NAME, TITLE, WARN, paint};
use crate::sides::kind_words;

/// The most outcomes of one edition that are told one by one.
const SHOWN_OUTCOMES: usize = 20;
/// The most fields that an edition lacks that are named.
const SHOWN_FIELDS: usize = 3;
/// The most columns that one value takes.
const SHOWN_VALUE: usize = 60;

/// Move editions on to a newer state of what they inherit from.
///
/// What an edition does not say itself becomes as it is in REV; what it overrides or has removed stays. All
/// editions move together, or none; `ottvc undo` takes all of it back.
#[derive(Debug, Args)]
pub(crate) struct Propagate {
    /// The state to inherit from
    #[arg(value_name = "REV")]
    rev: String,
    /// Branches whose editions inherit from it: 'regional/*'; a `*` stays within a name, `**` does not
    #[arg(long, value_name = "PATTERN", required = true, num_args = 1..)]
    to: Vec<String>,
    #[command(flatten)]
    how: How,
}

/// Push the change that one commit made to documents to other editions.
///
/// Field by field: an edition that has the value from before the change gets the new one, one that has
/// another keeps it. Editions need not inherit from each other; one that does overrides the field then.
/// What a schema says nobody inherits (ids, say) is pushed only where --fields names it.
#[derive(Debug, Args)]
pub(crate) struct Apply {
    /// The commit whose change it is, against its first parent
    #[arg(value_name = "REV")]
    rev: String,
    /// Only these fields and what is in them: /year, '/synopses/*', 'extras/*.meta.json:/titles'
    #[arg(long, value_name = "PATTERN", num_args = 1..)]
    fields: Vec<String>,
    /// Branches: 'regional/*'; a `*` stays within a name, `**` does not
    #[arg(long, value_name = "PATTERN", required = true, num_args = 1..)]
    to: Vec<String>,
    /// Where an edition has another value: keep it, leave a conflict, or overrule it [default: keep]
    #[arg(long, value_name = "HOW", hide_possible_values = true)]
    diverged: Option<Diverge>,
    /// Why editions are overruled, for --diverged force
    #[arg(long, value_name = "REASON")]
    reason: Option<String>,
    #[command(flatten)]
    how: How,
}

/// How a change to many editions is carried out.
#[derive(Debug, Args)]
struct How {
    /// Say what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Carry out this plan, as a dry run named it, or nothing
    #[arg(long, value_name = "PLAN", conflicts_with = "dry_run")]
    plan: Option<String>,
    /// Move the editions without conflicts, though others have some
    #[arg(long)]
    partial: bool,
    /// Commit conflicts; they can be settled later
    #[arg(long, conflicts_with = "partial")]
    allow_conflicts: bool,
    /// Message of the commits
    #[arg(short = 'm', long, value_name = "MESSAGE")]
    message: Vec<String>,
}

impl How {
    fn message(&self) -> Option<String> {
        (!self.message.is_empty()).then(|| self.message.join("\n\n"))
    }
    fn need(&self, command: &'static str) -> Need {
        if self.dry_run { Need::Read } else { Need::Write(command) }
    }
}

/// What happens to an edition that has another value.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Diverge {
    /// It keeps that
    Keep,
    /// It is in conflict
    Conflict,
    /// It gets the new one
    Force,
}

pub(crate) fn propagate(
    context: &Context,
    out: &mut Out,
    args: &Propagate,
) -> Result<Exit, CliError> {
    let opened = context.open(args.how.need("propagate"))?;
    let plan = opened.repo.plan_propagation(&args.rev, &args.to, args.how.message())?;
    carry_out(context, out, &opened, &plan, &args.how, &args.rev)
}

pub(crate) fn apply(context: &Context, out: &mut Out, args: Apply) -> Result<Exit, CliError> {
    let fields = args.fields.iter().map(|text| Ok(text.parse::<Pattern>()?));
    let request = PushRequest {
        rev: args.rev.clone(),
        fields: fields.collect::<Result<_, CliError>>()?,
        to: args.to,
        diverged: match args.diverged {
            None | Some(Diverge::Keep) => Diverged::Keep,
            Some(Diverge::Conflict) => Diverged::Conflict,
            Some(Diverge::Force) => Diverged::Force,
        },
        reason: args.reason,
        message: args.how.message(),
    };
    let opened = context.open(args.how.need("apply"))?;
    let plan = opened.repo.plan_push(&request)?;
    carry_out(context, out, &opened, &plan, &args.how, &args.rev)
}

fn carry_out(
    context: &Context,
    out: &mut Out,
    opened: &Opened,
    plan: &Plan<'_>,
    how: &How,
    rev: &str,
) -> Result<Exit, CliError> {
    let report = if how.dry_run {
        plan.report()?
    } else {
        let carrying = Carrying {
            plan: how.plan.clone(),
            partial: how.partial,
            allow_conflicts: how.allow_conflicts,
        };
        let progress = context.progress();
        opened.repo.carry_out_plan(plan, &carrying, &progress)?
    };
    if !context.json {
        for notice in &report.notices {
            context.note(&format!("note: {}", show::plain(&notice.why)));
        }
    }
    let settled = report.conflicts == 0 || (report.moved && how.allow_conflicts);
    context.answer(out, &report, |out| {
        if context.quiet && settled { Ok(()) } else { print(out, rev, &report, how) }
    })?;
    Ok(if settled { Exit::Ok } else { Exit::Conflicts })
}

fn print(out: &mut Out, rev: &str, report: &PlanReport, how: &How) -> Result<(), CliError> {
    let source =
        format!("{} ({})", paint(NAME, show::plain(rev)), paint(ID, show::short(&report.source)));
    let related: Vec<&TargetRow> =
        report.targets.iter().filter(|row| row.state != TargetState::Unrelated).collect();
    let moving = |row: &&&TargetRow| match report.moved {
        true => row.commit.is_some(),
        false => matches!(row.state, TargetState::Moves | TargetState::Conflicts),
    };
    let moves = related.iter().filter(moving).count() as u64;
    let editions = show::count(moves, "edition", "editions");
    let conflicts = show::count(report.conflicts, "edition", "editions");
    match (report.moved, moves, how.dry_run) {
        (true, ..) => {
            out.line(format!("{source}: {editions} changed; ottvc undo takes it back"))?
        }
        (false, 0, _) => out.line(format!("{source}: no edition changes"))?,
        (false, _, true) => out.line(format!("{source}: {editions} would change"))?,
        (false, _, false) => out.line(format!(
            "{source}: nothing was changed, {} would be in conflict",
            paint(WARN, conflicts)
        ))?,
    }
    let width = related.iter().map(|row| row.branch.chars().count()).max().unwrap_or(0);
    for row in &related {
        let name = paint(NAME, show::pad(&row.branch, width));
        out.line(format!("  {name}  {}", state_of(row, report.moved)))?;
        let told =
            |it: &&OutcomeRow| it.conflict.is_some() || it.pins_override || !is_plain(it.outcome);
        let told: Vec<&OutcomeRow> = row.outcomes.iter().filter(told).collect();
        for it in told.iter().take(SHOWN_OUTCOMES) {
            let place = format!("{}#{}", it.path, it.field);
            out.line(format!("    {}  {}", show::plain(&place), paint(DIM, outcome(it))))?;
        }
        for found in &row.findings {
            let place = format!("{}#{}", found.path, found.field);
            let why = format!("breaks {}: {}", found.schema, found.why);
            out.line(format!("    {place}  {}", paint(WARN, show::plain(&why))))?;
        }
        if let Some(more) = told.len().checked_sub(SHOWN_OUTCOMES).filter(|more| *more > 0) {
            out.line(format!("    and {more} more"))?;
        }
    }
    if how.dry_run && moves > 0 {
        out.line("")?;
        out.line(format!("plan {}", paint(ID, &report.plan)))?;
    }
    if report.moved || report.conflicts == 0 {
        return Ok(());
    }
    out.line("")?;
    let next = "--partial changes the others, --allow-conflicts leaves conflicts to be settled";
    out.line(format!("{} {next}", paint(TITLE, "next:")))
}

/// Whether an outcome is what one expects, and only counted.
fn is_plain(outcome: &str) -> bool {
    matches!(outcome, "flowed" | "applied" | "already" | "converged")
}

/// What becomes of an edition, in a few words.
fn state_of(row: &TargetRow, moved: bool) -> String {
    let counted = || {
        let mut counts: Vec<(&str, u64)> = Vec::new();
        for it in &row.outcomes {
            match counts.iter_mut().find(|(word, _)| *word == it.outcome) {
                Some((_, count)) => *count += 1,
                None => counts.push((it.outcome, 1)),
            }
        }
        let word = |(word, count): &(&str, u64)| format!("{count} {}", word.replace('_', " "));
        let counted: Vec<String> = counts.iter().map(word).collect();
        counted.join(", ")
    };
    match row.state {
        TargetState::Moves if moved && row.commit.is_none() => {
            format!("stays: {}", paint(WARN, "what it inherits from is in conflict"))
        }
        TargetState::Moves => counted(),
        TargetState::Conflicts => format!("{}: {}", paint(WARN, "conflicts"), counted()),
        TargetState::UpToDate if row.outcomes.is_empty() => paint(DIM, "as it is"),
        TargetState::UpToDate => format!("{}: {}", paint(DIM, "as it is"), counted()),
        TargetState::NotNewer => {
            paint(DIM, "stays: it inherits from a newer state, or another line")
        }
        TargetState::ParentStays => paint(DIM, "stays: what it inherits from does not change"),
        TargetState::Unrelated => paint(DIM, "does not inherit from it"),
    }
}

/// What becomes of a field, for people.
fn outcome(it: &OutcomeRow) -> String {
    let [old, new, own] =
        [("old", &it.old), ("new", &it.new), ("own", &it.own)].map(|(side, value)| {
            match it.absent.contains(&side) {
                true => "nothing".to_owned(),
                false => value_words(&it.field, value),
            }
        });
    let conflict = it.conflict.map(|kind| format!("; in conflict: {}", kind_words(kind)));
    let conflict = conflict.unwrap_or_default();
    if let Some(there) = &it.blocked {
        return match it.outcome {
            "already" => "has that already".to_owned(),
            _ => format!("stays as it is: `{there}` is in the way; was {old}, is {new}"),
        };
    }
    let told = match it.outcome {
        "shadowed" => format!("keeps {own}; was {old}, is {new}{conflict}"),
        "orphaned" => format!("has {own} in what is gone; was {old}, is {new}{conflict}"),
        "not_inherited" => "stays its own: it is not inherited".to_owned(),
        "diverged" if it.forced => format!("overruled: had {own}, has {new}"),
        "diverged" => format!("keeps {own}; the change is from {old} to {new}{conflict}"),
        "via_parent" => "comes with what it inherits from, by ottvc propagate".to_owned(),
        "applied" => format!("had {old}, has {new}"),
        word => word.replace('_', " "),
    };
    match it.pins_override {
        true => format!("{told}; overrides now what it inherited"),
        false => told,
    }
}

/// A value of a field in the words that `diff` has for it, cut short; of an order, the keys.
fn value_words(field: &str, value: &Json) -> String {
    let value = fields::of_json(value);
    let order = if field.ends_with("/$order") { fields::order_words(&value) } else { None };
    shortened(&order.unwrap_or_else(|| fields::value(&value)), SHOWN_VALUE)
}

/// Show editions as a tree: what inherits from what, what is each one's own, and who lags behind.
#[derive(Debug, Args)]
pub(crate) struct Lineage {
    /// Only this edition, and those that inherit from it; the repository's title means all of them
    #[arg(value_name = "BRANCH|TITLE")]
    branch: Option<String>,
    /// Name every field that is an edition's own
    #[arg(long, short = 'l')]
    long: bool,
}

pub(crate) fn lineage(context: &Context, out: &mut Out, args: &Lineage) -> Result<Exit, CliError> {
    let opened = context.open(Need::Read)?;
    // A branch of that name goes before.
    let branches = opened.repo.list_refs(RefKind::Branch)?;
    let is_branch = |name: &&str| branches.iter().any(|row| row.name == *name);
    let named = args.branch.as_deref();
    let root = named.filter(|name| is_branch(name) || !is_title(&opened, name));
    let rows = opened.repo.lineage(root, args.long)?;
    context.answer(out, &json!({ "editions": rows }), |out| {
        let indent = |row: &EditionRow| "  ".repeat(row.depth);
        let name = |row: &EditionRow| format!("{}{}", indent(row), row.branch);
        let width = rows.iter().map(|row| name(row).chars().count()).max().unwrap_or(0);
        for row in &rows {
            let alone = row.class.is_none() && row.territory.is_none() && row.inherits.is_none();
            let shown = show::pad(&name(row), if alone { 0 } else { width });
            let (mark, shown) = match row.current {
                true => (paint(GOOD, "*"), paint(GOOD, shown)),
                false => (" ".to_owned(), shown),
            };
            let mut words: Vec<String> = row.class.iter().chain(&row.territory).cloned().collect();
            if let Some(pin) = &row.inherits {
                let from = pin.branch.as_deref().unwrap_or("an edition without a branch");
                words.push(format!("from {from} at {}", paint(ID, show::short(&pin.commit))));
                words.push(show::count(row.overrides, "override", "overrides"));
                for (count, word) in
                    [(row.given_once, "given once"), (row.not_inherited, "not inherited")]
                {
                    words.extend((count > 0).then(|| format!("{} {word}", show::grouped(count))));
                }
            }
            let line = format!("{mark} {shown}  {}", words.join(", "));
            out.line(line.trim_end())?;
            let below = format!("  {}  ", indent(row));
            if let Some(lacks) = &row.lacks {
                let changes = show::count(lacks.changes, "change", "changes");
                let mut fields: Vec<&str> =
                    lacks.fields.iter().take(SHOWN_FIELDS).map(String::as_str).collect();
                if lacks.fields.len() > SHOWN_FIELDS {
                    fields.push("...");
                }
                let of = paint(NAME, &lacks.of);
                let lacks = paint(WARN, format!("lacks {changes}"));
                out.line(format!("{below}{lacks} of {of}: {}", fields.join(", ")))?;
            }
            for own in &row.own {
                out.line(format!("{below}{own}"))?;
            }
        }
        Ok(())
    })?;
    Ok(Exit::Ok)
}

/// Whether somebody named the repository by its title.
fn is_title(opened: &Opened, named: &str) -> bool {
    opened.config.title().is_some_and(|title| title.to_lowercase() == named.to_lowercase())
}
