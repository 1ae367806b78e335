//! `conflicts` and `resolve`: what waits for a decision, and the decision.

use clap::{ArgGroup, Args};
use ottvc_merge::Choice;
use ottvc_object::RepoPath;
use ottvc_object::field_path::FieldPath;
use ottvc_object::value::value_from_json;
use ottvc_repo::RepoError;
use ottvc_repo::resolving::{ConflictRow, Resolution};
use serde_json::{Value as Json, json};

use crate::commands::files::SideName;
use crate::commands::merge::rules;
use crate::context::{Context, Need, Opened};
use crate::error::CliError;
use crate::exit::Exit;
use crate::out::Out;
use crate::show::{self, DIM, GOOD, TITLE, WARN, paint};

/// List conflicts, with what base, ours and theirs have: of the working copy, or of a commit.
#[derive(Debug, Args)]
pub(crate) struct Conflicts {
    /// A commit that was made with conflicts
    #[arg(value_name = "REV")]
    rev: Option<String>,
}

pub(crate) fn list(context: &Context, out: &mut Out, args: &Conflicts) -> Result<Exit, CliError> {
    let opened = context.open(Need::Read)?;
    let rows = opened.repo.conflicts(args.rev.as_deref())?;
    context.answer(out, &json!({ "conflicts": rows }), |out| match rows.is_empty() {
        true => out.line("no conflicts"),
        false => print_rows(out, &rows),
    })?;
    Ok(Exit::Ok)
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
#[command(group = ArgGroup::new("choice").args(["take", "value", "remove"]))]
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
    /// Take what one side has
    #[arg(long, value_name = "SIDE")]
    take: Option<SideName>,
    /// Put this value there
    #[arg(long, value_name = "JSON")]
    value: Option<String>,
    /// Leave nothing there
    #[arg(long)]
    remove: bool,
    /// Take a side wherever a pattern matches: '/ratings/**=theirs'; may be repeated
    #[arg(long, value_name = "PATTERN=SIDE")]
    rule: Vec<String>,
}

pub(crate) fn resolve(context: &Context, out: &mut Out, args: Resolve) -> Result<Exit, CliError> {
    let choice = choice(&args)?;
    if choice.is_none() && args.rule.is_empty() {
        return Err(usage(
            "nothing says what to take",
            "--take ours|theirs|base, --value JSON or --rule",
        ));
    }
    if choice.is_some() && args.path.is_none() && !args.all && args.rule.is_empty() {
        return Err(usage("nothing says which conflicts to settle", "give a PATH, or --all"));
    }
    let rules = rules(&args.rule)?;
    let opened = context.open(Need::Write("resolve"))?;
    let (path, field) = match &args.path {
        Some(given) => {
            let (path, field) = find_place(&opened, given)?;
            let own = args.field.as_deref().map(str::parse::<FieldPath>).transpose()?;
            (Some(path), own.or(field))
        }
        None => (None, None),
    };
    let resolved = opened.repo.settle(&Resolution { path, field, choice, rules })?;
    context.report(out, &resolved, |out| {
        for row in &resolved.resolved {
            let place = match &row.field {
                Some(field) => format!("{}#{field}", row.path),
                None => row.path.clone(),
            };
            out.line(format!("resolved {place}  {}", paint(GOOD, row.taken)))?;
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
    Ok(match args.take {
        Some(SideName::Ours) => Some(Choice::Ours),
        Some(SideName::Theirs) => Some(Choice::Theirs),
        Some(SideName::Base) => Some(Choice::Base),
        None if args.remove => Some(Choice::Absent),
        None => None,
    })
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
