//! `conflicts` and `resolve`: what waits for a decision, and the decision.

use clap::{ArgGroup, Args, ValueEnum};
use ottvc_merge::Choice;
use ottvc_object::RepoPath;
use ottvc_object::field_path::FieldPath;
use ottvc_object::value::value_from_json;
use ottvc_repo::RepoError;
use ottvc_repo::memory::Remembered;
use ottvc_repo::resolving::{ConflictRow, Resolution};
use serde_json::{Value as Json, json};

use crate::commands::merge::rules;
use crate::context::{Context, Need, Opened};
use crate::error::CliError;
use crate::exit::Exit;
use crate::out::Out;
use crate::show::{self, DIM, GOOD, TITLE, WARN, paint};

/// List conflicts, with what base, ours and theirs have: of the working copy, or of a commit.
///
/// One that was settled before says how; ottvc resolve --suggested settles it alike. With --memory,
/// what is remembered is listed instead, or forgotten.
#[derive(Debug, Args)]
pub(crate) struct Conflicts {
    /// A commit that was made with conflicts
    #[arg(value_name = "REV")]
    rev: Option<String>,
    /// List what was settled before and is remembered, or forget one of it
    #[arg(
        long, value_names = ["list|forget", "ID"], num_args = 0..=2, conflicts_with = "rev"
    )]
    memory: Option<Vec<String>>,
}

pub(crate) fn list(context: &Context, out: &mut Out, args: &Conflicts) -> Result<Exit, CliError> {
    if let Some(words) = &args.memory {
        memory(context, out, words)?;
        return Ok(Exit::Ok);
    }
    let opened = context.open(Need::Read)?;
    let rows = opened.repo.conflicts(args.rev.as_deref())?;
    context.answer(out, &json!({ "conflicts": rows }), |out| match rows.is_empty() {
        true => out.line("no conflicts"),
        false => print_rows(out, &rows),
    })?;
    Ok(Exit::Ok)
}

/// Lists what is remembered, or forgets one of it.
fn memory(context: &Context, out: &mut Out, words: &[String]) -> Result<(), CliError> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] | ["list"] => {
            let rows = context.open(Need::Read)?.repo.memory()?;
            context.answer(out, &json!({ "memory": rows }), |out| {
                if rows.is_empty() {
                    return out.line("nothing is remembered");
                }
                for row in &rows {
                    let place = format!("{}#{}", row.path, row.field);
                    out.line(format!("{}  {place}  {}", paint(TITLE, &row.id), settled(row)))?;
                }
                Ok(())
            })
        }
        ["forget", id] => {
            let row = context.open(Need::Write("conflicts"))?.repo.forget(id)?;
            context.report(out, &json!({ "forgotten": row }), |out| {
                out.line(format!("forgot {} of {}#{}", row.id, row.path, row.field))
            })
        }
        _ => Err(usage("that is nothing to do with what is remembered", "list, or forget ID")),
    }
}

/// What a conflict was settled as.
fn settled(row: &Remembered) -> String {
    if row.absent { paint(DIM, "nothing").to_string() } else { show::value(&row.value) }
}

/// The place of a conflict, as `resolve` takes it.
fn place(row: &ConflictRow) -> String {
    match &row.field {
        Some(field) => format!("{}#{field}", row.path),
        None => row.path.clone(),
    }
}

/// Writes conflicts for people: the place, then base, ours and theirs.
pub(crate) fn print_rows(out: &mut Out, rows: &[ConflictRow]) -> Result<(), CliError> {
    for row in rows {
        let kind = paint(DIM, kind_words(row.kind));
        out.line(format!("{}  {kind}", paint(WARN, place(row))))?;
        for (side, value) in [("base", &row.base), ("ours", &row.ours), ("theirs", &row.theirs)] {
            let shown = match row.absent.contains(&side) {
                true => paint(DIM, "nothing"),
                false if row.field.is_none() => entry(value),
                false => show::value(value),
            };
            out.line(format!("    {}  {shown}", paint(TITLE, show::pad(side, 6))))?;
        }
        if let Some(memory) = &row.memory {
            let id = paint(DIM, &memory.id);
            out.line(format!("    settled before as {}  {id}", settled(memory)))?;
        }
        if !row.places.is_empty() {
            out.line(format!("    renamed to {}", row.places.join(", ")))?;
        }
        if !row.terms.is_empty() {
            let terms = row.terms.len().div_ceil(2) as u64;
            out.line(paint(DIM, format!("    {terms} sides in all; --json shows them")))?;
        }
    }
    Ok(())
}

/// Why there is a conflict, for people.
fn kind_words(kind: &str) -> &str {
    match kind {
        "edit_edit" => "changed on both sides",
        "add_add" => "added on both sides",
        "delete_edit" => "removed on one side, changed on the other",
        "type" => "made different kinds of thing",
        "order" => "put in different orders",
        "contested_base" => "the common base is itself in conflict",
        "rename_rename" => "renamed differently",
        "collision" => "different things in one place",
        other => other,
    }
}

/// A side that is a whole file.
fn entry(value: &Json) -> String {
    let text = |member: &str| value.get(member).and_then(Json::as_str).unwrap_or_default();
    let size = value.get("size").and_then(Json::as_u64);
    match size {
        Some(size) => {
            format!("{}, {}, {}", text("kind"), show::size(size), show::short(text("id")))
        }
        None => show::value(value),
    }
}

/// Settle conflicts in the working copy: one, those below a path, those a rule names, or all.
///
/// PATH is a file, FILE#FIELD, or a field alone where only one document has conflicts. `ottvc commit`
/// then records what was chosen.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("choice").args(["take", "edition", "value", "order", "remove", "suggested"]))]
#[command(group = ArgGroup::new("which").args(["path", "all"]))]
pub(crate) struct Resolve {
    /// Where: PATH, PATH#FIELD, or /FIELD
    #[arg(value_name = "PATH")]
    path: Option<String>,
    /// Only this field of PATH
    #[arg(long, value_name = "FIELD", requires = "path")]
    field: Option<String>,
    /// Every conflict there is
    #[arg(long)]
    all: bool,
    /// Take what one side has, or what both added: sets, lists or maps with no key in common
    #[arg(long, value_name = "SIDE")]
    take: Option<TakeName>,
    /// Take the side that is this edition: a branch, or a class such as director
    #[arg(long, value_name = "NAME")]
    edition: Option<String>,
    /// For the order of a list: its keys as they are to stand, divided by commas
    #[arg(long, value_name = "KEY,KEY...")]
    order: Option<String>,
    /// Settle what was settled before as it was then
    #[arg(long, conflicts_with = "rule")]
    suggested: bool,
    /// Put this value there
    #[arg(long, value_name = "JSON")]
    value: Option<String>,
    /// Leave nothing there
    #[arg(long)]
    remove: bool,
    /// Take a side wherever a pattern matches: '/ratings/**=theirs'; may be repeated
    #[arg(long, value_name = "PATTERN=SIDE")]
    rule: Vec<String>,
    /// Say what would be settled, and how, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// What `--take` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum TakeName {
    Ours,
    Theirs,
    Base,
    Both,
}

pub(crate) fn resolve(context: &Context, out: &mut Out, args: Resolve) -> Result<Exit, CliError> {
    let mut choice = choice(&args)?;
    let chooses = choice.is_some() || args.edition.is_some() || args.suggested;
    if !chooses && args.rule.is_empty() {
        return Err(usage(
            "nothing says what to take",
            "--take ours|theirs|base, --value JSON or --rule",
        ));
    }
    if chooses && !args.suggested && args.path.is_none() && !args.all && args.rule.is_empty() {
        return Err(usage("nothing says which conflicts to settle", "give a PATH, or --all"));
    }
    let rules = rules(&args.rule)?;
    let need = if args.dry_run { Need::Read } else { Need::Write("resolve") };
    let opened = context.open(need)?;
    if let Some(edition) = &args.edition {
        choice = Some(opened.repo.side_of_edition(edition)?);
    }
    let (path, field) = match &args.path {
        Some(given) => {
            let (path, field) = find_place(&opened, given)?;
            let own = args.field.as_deref().map(str::parse::<FieldPath>).transpose()?;
            (Some(path), own.or(field))
        }
        None => (None, None),
    };
    let resolution = Resolution { path, field, choice, rules };
    let resolved = match args.dry_run {
        _ if args.suggested => opened.repo.settle_as_before(&resolution, args.dry_run)?,
        true => opened.repo.settle_dry(&resolution)?,
        false => opened.repo.settle(&resolution)?,
    };
    context.report(out, &resolved, |out| {
        for row in &resolved.resolved {
            let place = match &row.field {
                Some(field) => format!("{}#{field}", row.path),
                None => row.path.clone(),
            };
            let done = if args.dry_run { "would resolve" } else { "resolved" };
            out.line(format!("{done} {place}  {}", paint(GOOD, row.taken)))?;
        }
        if args.dry_run {
            return Ok(());
        }
        let next = paint(TITLE, "next:");
        match resolved.remaining.len() {
            0 => out.line(format!("no conflicts left; {next} ottvc commit")),
            left => {
                let left = show::count(left as u64, "conflict", "conflicts");
                out.line(format!("{} left; {next} ottvc conflicts", paint(WARN, left)))
            }
        }
    })?;
    Ok(Exit::Ok)
}

fn usage(text: &str, hint: &str) -> CliError {
    CliError::Usage { text: text.to_owned(), hint: Some(hint.to_owned()) }
}

fn choice(args: &Resolve) -> Result<Option<Choice>, CliError> {
    if let Some(text) = &args.value {
        let bad =
            |why: String| RepoError::BadArgument { given: text.clone(), wanted: "JSON value", why };
        let json: Json = serde_json::from_str(text).map_err(|error| bad(error.to_string()))?;
        let value = value_from_json(&json).map_err(|error| bad(error.to_string()))?;
        return Ok(Some(Choice::Value(value)));
    }
    if let Some(order) = &args.order {
        return Ok(Some(Choice::Order(keys(order))));
    }
    Ok(match args.take {
        Some(TakeName::Ours) => Some(Choice::Ours),
        Some(TakeName::Theirs) => Some(Choice::Theirs),
        Some(TakeName::Base) => Some(Choice::Base),
        Some(TakeName::Both) => Some(Choice::Both),
        None if args.remove => Some(Choice::Absent),
        None => None,
    })
}

/// Divides keys at commas, but for those inside a key of several fields: `[person=p1,function=actor]`.
fn keys(text: &str) -> Vec<String> {
    let mut keys = vec![String::new()];
    let mut depth = 0_usize;
    for char in text.chars() {
        match char {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        match keys.last_mut() {
            Some(key) if char != ',' || depth > 0 => key.push(char),
            _ => keys.push(String::new()),
        }
    }
    keys.iter().map(|key| key.trim().to_owned()).collect()
}

/// Finds the place that a user means: `PATH#FIELD`, `PATH`, or a field of the one document that has
/// conflicts.
fn find_place(opened: &Opened, given: &str) -> Result<(RepoPath, Option<FieldPath>), CliError> {
    let repo = &opened.repo;
    if let Some((path, field)) = given.split_once('#') {
        return Ok((repo.repo_path(&opened.from, path)?, Some(field.parse()?)));
    }
    let as_path = repo.repo_path(&opened.from, given);
    if given.starts_with('/')
        && !as_path.as_ref().is_ok_and(|path| !path.is_root())
        && let Ok(field) = given.parse::<FieldPath>()
    {
        let rows = repo.conflicts(None)?;
        let mut documents: Vec<&str> =
            rows.iter().filter(|row| row.field.is_some()).map(|row| row.path.as_str()).collect();
        documents.dedup();
        return match documents.as_slice() {
            [only] => Ok((RepoPath::new(only)?, Some(field))),
            [] => Err(RepoError::NoConflict { place: given.to_owned() }.into()),
            [first, ..] => Err(usage(
                &format!("several documents have conflicts, so {given} is not enough"),
                &format!("write {first}#{given}"),
            )),
        };
    }
    Ok((as_path?, None))
}
