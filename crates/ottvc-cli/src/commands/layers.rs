//! `propagate`, `apply`, `lineage`: one change to many editions, and the family they are.

use anstyle::Style;
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
use crate::screen::{Screen, columns, folded, told_apart};
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
    /// Carry out this plan, as a dry run named it, or nothing; 8 digits of it are enough
    #[arg(long, value_name = "PLAN", conflicts_with = "dry_run")]
    plan: Option<String>,
    /// Move the editions without conflicts and findings, though others have some
    #[arg(long)]
    partial: bool,
    /// Commit conflicts; they can be settled later
    #[arg(long, conflicts_with = "partial")]
    allow_conflicts: bool,
    /// Commit what comes to break a schema; it can be mended later
    #[arg(long)]
    allow_findings: bool,
    /// Name every field, also those that change as one expects, and those that are not inherited
    #[arg(long, short = 'l')]
    long: bool,
    /// Message of the commits
    #[arg(short = 'm', long, value_name = "MESSAGE")]
    message: Vec<String>,
}

impl How {
    fn carrying(&self) -> Carrying {
        Carrying {
            plan: self.plan.clone(),
            partial: self.partial,
            allow_conflicts: self.allow_conflicts,
            allow_findings: self.allow_findings,
        }
    }
    fn message(&self) -> Option<String> {
        (!self.message.is_empty()).then(|| self.message.join("\n\n"))
    }
    /// How many editions have conflicts, and findings, that nobody asked for.
    fn left(&self, report: &PlanReport) -> [u64; 2] {
        [
            if self.allow_conflicts { 0 } else { report.conflicts },
            if self.allow_findings { stuck(report) } else { report.findings },
        ]
    }
    fn need(&self, command: &'static str) -> Need {
        if self.dry_run { Need::Read } else { Need::Write(command) }
    }
}

/// How many editions cannot keep what would come, whatever is allowed.
fn stuck(report: &PlanReport) -> u64 {
    let stays = |row: &&TargetRow| row.state == TargetState::Findings && row.tree.is_none();
    report.targets.iter().filter(stays).count() as u64
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
        let progress = context.progress();
        opened.repo.carry_out_plan(plan, &how.carrying(), &progress)?
    };
    let chosen = plan.chosen(&how.carrying());
    if !context.json {
        for notice in &report.notices {
            context.note(&format!("note: {}", show::plain(&notice.why)));
        }
    }
    let exit = match how.left(&report) {
        [0, 0] => Exit::Ok,
        [0, _] => Exit::Findings,
        _ => Exit::Conflicts,
    };
    context.answer(out, &report, |out| {
        if context.quiet && exit == Exit::Ok {
            Ok(())
        } else {
            print(out, rev, &report, &chosen, how)
        }
    })?;
    Ok(exit)
}

/// Prints a line, folded to the screen.
fn say(
    out: &mut Out,
    screen: &Screen,
    parts: &[(Style, &str)],
    indents: [usize; 2],
) -> Result<(), CliError> {
    for line in folded(parts, indents, screen) {
        out.line(line.trim_end())?;
    }
    Ok(())
}

fn print(
    out: &mut Out,
    rev: &str,
    report: &PlanReport,
    chosen: &[bool],
    how: &How,
) -> Result<(), CliError> {
    let screen = Screen::of_output();
    let plain = Style::new();
    let say = |out: &mut Out, parts: &[(Style, &str)], indents| say(out, &screen, parts, indents);
    // Each with whether it moves, or would.
    let related: Vec<(&TargetRow, bool)> = (report.targets.iter().zip(chosen.iter().copied()))
        .filter(|(row, _)| row.state != TargetState::Unrelated)
        .collect();
    let [name, id] = [show::plain(rev), format!("({})", show::short(&report.source))];
    let done = format!(": {}", sum(&related, report, how));
    say(out, &[(NAME, &name), (plain, " "), (ID, &id), (plain, &done)], [0, 2])?;
    let width = related.iter().map(|(row, _)| columns(&row.branch)).max().unwrap_or(0);
    for (row, moves) in &related {
        let (style, start, counts) = state_of(row, *moves, report);
        // In one column, where that leaves room for what is in it.
        let width = if width < screen.width / 2 { width } else { 0 };
        let (name, gap) = (&row.branch, " ".repeat(width.saturating_sub(columns(&row.branch)) + 2));
        let parts: [(Style, &str); 4] =
            [(NAME, name), (plain, &gap), (style, &start), (plain, &counts)];
        say(out, &parts, [2, 4])?;
        if let Some(gave_up) = &row.gave_up {
            let parts: [(Style, &str); 3] = [
                (WARN, "gives up "),
                (ID, show::short(gave_up)),
                (plain, ", which was taken back from what it inherits from"),
            ];
            say(out, &parts, [4, 6])?;
        }
        let told = |it: &&OutcomeRow| {
            how.long || it.conflict.is_some() || it.pins_override || !is_plain(it.outcome)
        };
        let told: Vec<&OutcomeRow> = row.outcomes.iter().filter(told).collect();
        let most = if how.long { usize::MAX } else { SHOWN_OUTCOMES };
        for it in told.iter().take(most) {
            let place = show::plain(&format!("{}#{}", it.path, it.field));
            say(out, &[(plain, &place), (plain, "  "), (DIM, &outcome(it))], [4, 6])?;
        }
        if let Some(more) = told.len().checked_sub(most).filter(|more| *more > 0) {
            say(out, &[(plain, &format!("and {more} more; --long names them"))], [4, 6])?;
        }
        for found in &row.findings {
            let place = show::plain(&format!("{}#{}", found.path, found.field));
            let why = show::plain(&format!("breaks {}: {}", found.schema, found.why));
            say(out, &[(plain, &place), (plain, "  "), (WARN, &why)], [4, 6])?;
        }
    }
    if how.dry_run && related.iter().any(|(row, _)| row.tree.is_some()) {
        out.line("")?;
        // In one piece, to be given again.
        out.line(format!("plan {}", paint(ID, &report.plan)))?;
    }
    let [conflicts, findings] = how.left(report);
    if report.moved || how.partial || conflicts + findings == 0 {
        return Ok(());
    }
    let others = related.iter().any(|(row, _)| row.state == TargetState::Moves);
    let mut next = Vec::new();
    next.extend(others.then_some("--partial changes the others"));
    next.extend((conflicts > 0).then_some("--allow-conflicts leaves conflicts to be settled"));
    let mended = findings > stuck(report);
    next.extend(mended.then_some("--allow-findings leaves schemas broken, to be mended"));
    if next.is_empty() {
        return Ok(());
    }
    out.line("")?;
    say(out, &[(TITLE, "next:"), (plain, " "), (plain, &next.join(", "))], [0, 2])
}

/// What is done, or would be, in a line.
fn sum(related: &[(&TargetRow, bool)], report: &PlanReport, how: &How) -> String {
    let editions = |count: u64| show::count(count, "edition", "editions");
    let count = |wanted: &dyn Fn(&TargetRow, bool) -> bool| {
        related.iter().filter(|(row, moves)| wanted(row, *moves)).count() as u64
    };
    let changed = count(&|row, moves| moves && row.documents > 0);
    let same = count(&|row, moves| moves && row.documents == 0);
    let left = count(&|row, moves| !moves && (row.tree.is_some() || row.waits_for.is_some()));
    let [conflicts, findings] = how.left(report);
    if changed + same == 0 && conflicts + findings > 0 {
        let why = [(conflicts, "would be in conflict"), (findings, "would break a schema")];
        let why = why.iter().filter(|(count, _)| *count > 0);
        let why: Vec<String> =
            why.map(|(count, word)| format!("{} {word}", editions(*count))).collect();
        let nothing = if how.dry_run { "nothing would change" } else { "nothing was changed" };
        return format!("{nothing}, {}", why.join(", "));
    }
    let would = if report.moved { "" } else { " would" };
    let onto = if report.moved { "moved on" } else { "move on" };
    let change = if report.moved { "changed" } else { "change" };
    let told = match (changed, same) {
        (0, 0) if left == 0 => return "nothing to do, no edition changes".to_owned(),
        (0, 0) => "no edition changes".to_owned(),
        (0, same) => format!("nothing to change, {}{would} {onto} as before", editions(same)),
        (changed, 0) => format!("{}{would} {change}", editions(changed)),
        (changed, same) => format!(
            "{}{would} {change}, {} {onto} as before",
            editions(changed),
            show::grouped(same)
        ),
    };
    let told = match left {
        0 => told,
        left => format!("{told}, {} left behind", show::grouped(left)),
    };
    match report.moved {
        true => format!("{told}; ottvc undo takes it back"),
        false => told,
    }
}

/// Whether an outcome is what one expects, and only counted.
fn is_plain(outcome: &str) -> bool {
    matches!(outcome, "flowed" | "applied" | "already" | "converged" | "not_inherited")
}

/// What becomes of an edition, in a few words: what is to be seen first, its style, and the rest.
fn state_of(row: &TargetRow, moves: bool, report: &PlanReport) -> (Style, String, String) {
    let mut counts: Vec<(&str, u64)> = Vec::new();
    for it in &row.outcomes {
        match counts.iter_mut().find(|(word, _)| *word == it.outcome) {
            Some((_, count)) => *count += 1,
            None => counts.push((it.outcome, 1)),
        }
    }
    let word = |(word, count): &(&str, u64)| format!("{count} {}", word.replace('_', " "));
    let counted = counts.iter().map(word).collect::<Vec<_>>().join(", ");
    // What comes from elsewhere does not wait with it.
    let apart = row.tree.is_some() && row.outcomes.iter().any(|it| it.outcome == "via_parent");
    if let Some(above) = row.waits_for.as_deref().filter(|_| !moves && !apart) {
        let broken = |it: &TargetRow| it.branch == *above && it.state == TargetState::Findings;
        let why = match report.targets.iter().any(broken) {
            true => "which breaks a schema",
            false => "which is in conflict",
        };
        return (WARN, format!("stays: it inherits from {above}, {why}"), String::new());
    }
    let (style, start) = match row.state {
        TargetState::Moves if row.documents == 0 => (DIM, "nothing of it changes"),
        TargetState::Moves => return (Style::new(), counted, String::new()),
        TargetState::Conflicts => (WARN, "conflicts"),
        TargetState::Findings => (WARN, "breaks a schema"),
        TargetState::UpToDate => (DIM, "as it is"),
        TargetState::NotNewer => (DIM, "stays: it inherits from a newer state, or another line"),
        TargetState::ParentStays => (DIM, "stays: what it inherits from does not change"),
        TargetState::Unrelated => (DIM, "does not inherit from it"),
    };
    let rest = if counted.is_empty() { counted } else { format!(": {counted}") };
    (style, start.to_owned(), rest)
}

/// What becomes of a field, for people.
fn outcome(it: &OutcomeRow) -> String {
    let words =
        [("old", &it.old), ("new", &it.new), ("own", &it.own)].map(|(side, value)| {
            match it.absent.contains(&side) {
                true => "nothing".to_owned(),
                false => value_words(&it.field, value),
            }
        });
    let others = words.each_ref().map(String::as_str);
    let [old, new, own] = others.map(|it| told_apart(it, &others, SHOWN_VALUE));
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
        "diverged" if ["old", "own"].iter().all(|side| it.absent.contains(side)) => {
            format!("stays as it is: it lacks what that is in; the change is to {new}")
        }
        "diverged" if it.forced => format!("overruled: had {own}, has {new}"),
        "diverged" => format!("keeps {own}; the change is from {old} to {new}{conflict}"),
        "via_parent" => "comes with what it inherits from, by ottvc propagate".to_owned(),
        "applied" | "flowed" => format!("had {old}, has {new}"),
        word => word.replace('_', " "),
    };
    match it.pins_override {
        true => format!("{told}; overrides now what it inherited"),
        false => told,
    }
}

/// A value of a field in the words that `diff` has for it; of an order, the keys.
fn value_words(field: &str, value: &Json) -> String {
    let value = fields::of_json(value);
    let order = if field.ends_with("/$order") { fields::order_words(&value) } else { None };
    order.unwrap_or_else(|| fields::value(&value))
}

/// Show editions as a tree: what inherits from what, what is each one's own, and who lags behind.
#[derive(Debug, Args)]
pub(crate) struct Lineage {
    /// Only this edition, and those that inherit from it; the repository's title means all of them
    #[arg(value_name = "BRANCH|TITLE")]
    branch: Option<String>,
    /// Name every field that is an edition's own, and mark what is given once, not inherited, or as the parent has it
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
        let (screen, plain) = (Screen::of_output(), Style::new());
        let say =
            |out: &mut Out, parts: &[(Style, &str)], indents| say(out, &screen, parts, indents);
        let indent = |row: &EditionRow| 2 + 2 * row.depth;
        let end = |row: &EditionRow| indent(row) + columns(&row.branch);
        let width = rows.iter().map(end).max().unwrap_or(0);
        let width = if width < screen.width / 2 { width } else { 0 };
        for row in &rows {
            let (mark, style) = if row.current { ("*", GOOD) } else { ("", plain) };
            let start = " ".repeat(indent(row) - columns(mark));
            let gap = " ".repeat(width.saturating_sub(end(row)) + 2);
            let mut words: Vec<&str> =
                row.class.iter().chain(&row.territory).map(String::as_str).collect();
            let from = row.inherits.as_ref().map(|pin| {
                let of = pin.branch.as_deref().unwrap_or("an edition without a branch");
                (format!("from {of} at"), show::short(&pin.commit))
            });
            words.extend(from.as_ref().map(|(from, _)| from.as_str()));
            let words = words.join(", ");
            let mut parts =
                vec![(style, mark), (plain, start.as_str()), (style, row.branch.as_str())];
            parts.extend([(plain, gap.as_str()), (plain, words.as_str())]);
            let mut counts = String::new();
            if let Some((_, commit)) = &from {
                parts.extend([(plain, " "), (ID, *commit)]);
                counts = format!(", {}", show::count(row.overrides, "override", "overrides"));
                for (count, word) in
                    [(row.given_once, "given once"), (row.not_inherited, "not inherited")]
                {
                    if count > 0 {
                        counts += &format!(", {} {word}", show::grouped(count));
                    }
                }
            }
            parts.push((plain, &counts));
            let below = [indent(row) + 2, indent(row) + 4];
            say(out, &parts, [0, below[1]])?;
            if let Some(lacks) = &row.lacks {
                for (word, fields) in [("lacks", &lacks.fields), ("overrides", &lacks.overridden)] {
                    if fields.is_empty() {
                        continue;
                    }
                    let count = show::count(fields.len() as u64, "change", "changes");
                    let changes = format!("{word} {count}");
                    let mut named: Vec<&str> =
                        fields.iter().take(SHOWN_FIELDS).map(String::as_str).collect();
                    if fields.len() > SHOWN_FIELDS {
                        named.push("...");
                    }
                    let named = format!(": {}", show::plain(&named.join(", ")));
                    let tone = if word == "lacks" { WARN } else { plain };
                    let parts = [(tone, changes.as_str()), (plain, " of "), (NAME, &lacks.of)];
                    say(out, &[&parts[..], &[(plain, named.as_str())]].concat(), below)?;
                }
            }
            for own in &row.places {
                let of = row.inherits.as_ref().and_then(|pin| pin.branch.as_deref());
                let mut marks = Vec::new();
                match own.how {
                    "override" => {}
                    word => marks.push(word.replace('_', " ")),
                }
                if own.as_parent {
                    marks.push(format!("as {} has it", of.unwrap_or("its parent")));
                }
                let marks = match marks.as_slice() {
                    [] => String::new(),
                    marks => format!("  ({})", marks.join(", ")),
                };
                say(out, &[(plain, &show::plain(&own.place)), (DIM, &marks)], below)?;
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
