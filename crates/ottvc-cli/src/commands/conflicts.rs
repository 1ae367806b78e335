//! `conflicts` and `resolve`: what waits for a decision, and the decision.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args, ValueEnum};
use ottvc_merge::{Choice, SideNames};
use ottvc_object::RepoPath;
use ottvc_object::field_path::FieldPath;
use ottvc_object::value::value_from_json;
use ottvc_refs::RefKind;
use ottvc_repo::RepoError;
use ottvc_repo::memory::Recalled;
use ottvc_repo::resolving::{Before, ConflictRow, Resolution, Resolved, Step};
use ottvc_repo::workspace::Head;
use serde_json::{Value as Json, json};

use crate::commands::merge::rules;
use crate::commands::status::{print_made, quoted};
use crate::context::{Context, Need, Opened};
use crate::error::CliError;
use crate::exit::Exit;
use crate::out::Out;
use crate::screen::{Screen, columns};
use crate::show::{self, GOOD, TITLE, WARN, paint};
use crate::sides::{self, Settling};

/// The longest list of resolutions that is read, in bytes.
const MAX_STEPS_BYTES: u64 = 64 << 20;

/// How far a value stands below what it was chosen for.
const VALUE_INDENT: usize = 4;

/// List conflicts, with what base, ours and theirs have: of the working copy, or of a commit.
///
/// Ours is the branch merged into, theirs what was merged. Of a document or long text a side shows what it
/// changed. With each conflict stands the command that settles it; `ottvc meta edit` settles those of one
/// document by hand.
///
/// One that was settled before says how; ottvc resolve --suggested settles it alike. Where the sides were
/// the same and the base another, that is said, and settled alike only by --suggested=any. With --memory,
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
    context.answer(out, &json!({ "conflicts": rows }), |out| {
        if rows.is_empty() {
            return out.line("no conflicts");
        }
        let names = side_names(&opened, args.rev.as_deref())?;
        // Those of another commit are settled by no command here.
        let here = match &args.rev {
            None => true,
            Some(rev) => opened.repo.resolve(rev)?.id == opened.repo.resolve("HEAD")?.id,
        };
        let settling = |row: &ConflictRow| here.then(|| settling(&opened, row));
        let lines = sides::lines(&rows, &names, &settling, &Screen::of_output());
        lines.iter().try_for_each(|line| out.line(line))
    })?;
    Ok(Exit::Ok)
}

/// Lists what is remembered, or forgets one of it.
fn memory(context: &Context, out: &mut Out, words: &[String]) -> Result<(), CliError> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] | ["list"] => {
            let repo = context.open(Need::Read)?.repo;
            let (rows, on) = (repo.memory()?, repo.remembers());
            context.answer(out, &json!({ "memory": rows, "on": on }), |out| {
                if !on {
                    return out.line(
                        "memory is off; `ottvc config set merge.memory suggest` turns it on",
                    );
                }
                if rows.is_empty() {
                    return out.line("nothing is remembered");
                }
                for row in &rows {
                    let place = place(&row.path, row.field.as_deref());
                    out.line(format!(
                        "{}  {place}  {}",
                        paint(TITLE, &row.id),
                        sides::settled(row)
                    ))?;
                }
                Ok(())
            })
        }
        ["forget", id] => {
            let row = context.open(Need::Write("conflicts"))?.repo.forget(id)?;
            context.report(out, &json!({ "forgotten": row }), |out| {
                let place = place(&row.path, row.field.as_deref());
                out.line(format!("forgot {} of {place}", row.id))
            })
        }
        _ => Err(usage("that is nothing to do with what is remembered", "list, or forget ID")),
    }
}

/// A file, or a field of a document.
fn place(path: &str, field: Option<&str>) -> String {
    match field {
        Some(field) => format!("{path}#{field}"),
        None => path.to_owned(),
    }
}

/// What the sides of the conflicts of a revision are called, or of those that are staged: the branches
/// that were merged, where that is known.
pub(crate) fn side_names(opened: &Opened, rev: Option<&str>) -> Result<SideNames, CliError> {
    let repo = &opened.repo;
    let state = repo.state()?;
    if let (None, Some(merging)) = (rev, &state.merging) {
        let ours = match &state.head {
            Head::Branch(name) => Some(name.short().to_owned()),
            Head::Detached(id) => Some(id.short()),
        };
        return Ok(SideNames { ours, theirs: Some(merging.theirs_name.clone()) });
    }
    // Committed: by the editions of the commits that were merged.
    let Ok(resolved) = repo.resolve(rev.unwrap_or("HEAD")) else { return Ok(SideNames::default()) };
    let commit = repo.commit(resolved.id)?;
    let (Some(_), [ours, theirs]) = (&commit.merge, commit.parents.as_slice()) else {
        return Ok(SideNames::default());
    };
    let branches = repo.list_refs(RefKind::Branch)?;
    let name = |id| -> Result<Option<String>, CliError> {
        let edition = repo.commit(id)?.edition.to_string();
        let branch = branches.iter().find(|row| row.edition.as_ref() == Some(&edition));
        Ok(branch.map(|row| row.name.clone()))
    };
    let names = SideNames { ours: name(*ours)?, theirs: name(*theirs)? };
    // One name for both would say nothing.
    Ok(if names.ours == names.theirs { SideNames::default() } else { names })
}

/// The command that settles a conflict of the working copy, from where the user is.
pub(crate) fn settling(opened: &Opened, row: &ConflictRow) -> Settling {
    let path = match RepoPath::new(&row.path) {
        Ok(path) => relative(&opened.repo.disk_path(&path), &opened.from),
        Err(_) => row.path.clone(),
    };
    // What begins with a slash or a dash would be read as something else.
    let path = if path.starts_with('-') { format!("./{path}") } else { path };
    let place = match &row.field {
        None => quoted(&path),
        // The first # ends the path.
        Some(field) if path.contains('#') => format!("{} --field {}", quoted(&path), quoted(field)),
        Some(field) => quoted(&format!("{path}#{field}")),
    };
    let contested = matches!(&row.base, Json::Object(base) if base.contains_key("$conflict"));
    let mut or = match (row.field.is_some(), contested) {
        (true, false) => "or theirs, base, --value JSON",
        (true, true) => "or theirs, --value JSON",
        (false, false) => "or theirs, base",
        (false, true) => "or theirs",
    }
    .to_owned();
    match &row.memory {
        Some(Recalled { other_base: true, .. }) => {
            or.push_str("; --suggested=any settles it as before");
        }
        Some(_) => or.push_str("; --suggested settles it as before"),
        None => {}
    }
    Settling { command: format!("ottvc resolve {place} --take ours"), or }
}

/// How a path is written from another folder.
pub(crate) fn relative(path: &Path, from: &Path) -> String {
    let (mut path, mut from) = (path.components().peekable(), from.components().peekable());
    while path.peek().is_some() && path.peek() == from.peek() {
        path.next();
        from.next();
    }
    let up = from.map(|_| "..".to_owned());
    let down = path.map(|name| name.as_os_str().to_string_lossy().into_owned());
    up.chain(down).collect::<Vec<String>>().join("/")
}

/// Settle conflicts in the working copy: one, those below a path, those a rule names, or all.
///
/// PATH is a file, FILE#FIELD, or a field alone where only one document has conflicts. `ottvc commit`
/// then records what was chosen.
///
/// With --from, many are settled, each in its own way, or none.
#[derive(Debug, Args)]
#[command(after_help = "The FILE of --from (- is standard input) has a JSON object for each \
    conflict, in lines\nor in one array:\n  \
    {\"path\": PATH, \"field\": FIELD, \"id\": ID, \"sides\": ID, \"take\": SIDE, \"reason\": TEXT}\n\
    Instead of take: \"value\": JSON, \"absent\": true, or \"order\": [KEY, ...]. PATH is from the \
    root.\nAn id, as `ottvc conflicts --json` lists it, must be that of the conflict, \
    and so must\nits sides, which a SIDE beside an id needs.")]
#[command(group = ArgGroup::new("choice").args(["take", "edition", "value", "order", "remove", "suggested"]))]
#[command(group = ArgGroup::new("which").args(["path", "all"]))]
#[command(group = ArgGroup::new("list").args(["from"]).conflicts_with_all(["choice", "which", "rule"]))]
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
    /// For the order of a list: its keys as they are to stand, divided by commas; those not named follow as ours
    /// has them
    #[arg(long, value_name = "KEY,KEY...")]
    order: Option<String>,
    /// Settle what was settled before as it was then; with =any also what was over another base
    #[arg(
        long, conflicts_with = "rule", value_name = "any", num_args = 0..=1, require_equals = true,
        default_missing_value = "exact", hide_possible_values = true
    )]
    suggested: Option<Suggested>,
    /// Put this value there
    #[arg(long, value_name = "JSON")]
    value: Option<String>,
    /// Leave nothing there
    #[arg(long)]
    remove: bool,
    /// Take a side wherever a pattern matches: '/ratings/**=theirs'; may be repeated
    #[arg(long, value_name = "PATTERN=SIDE")]
    rule: Vec<String>,
    /// Settle each conflict that FILE names as it says there, all or none
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Say what would be settled, and how, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// What `--suggested` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Suggested {
    /// Of the same disagreement
    Exact,
    /// Also of the same sides over another base
    Any,
}

impl From<Suggested> for Before {
    fn from(suggested: Suggested) -> Self {
        match suggested {
            Suggested::Exact => Self::Exact,
            Suggested::Any => Self::AnyBase,
        }
    }
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
    if let Some(from) = &args.from {
        let steps = Step::read_all(&read(context, from)?)?;
        let need = if args.dry_run { Need::Read } else { Need::Write("resolve") };
        let resolved = context.open(need)?.repo.settle_steps(&steps, args.dry_run)?;
        return report(context, out, &resolved, args.dry_run);
    }
    let choice = choice(&args)?;
    let chooses = choice.is_some() || args.edition.is_some() || args.suggested.is_some();
    if !chooses && args.rule.is_empty() {
        return Err(usage(
            "nothing says what to take",
            "--take ours|theirs|base, --value JSON, --rule or --from FILE",
        ));
    }
    if chooses
        && args.suggested.is_none()
        && args.path.is_none()
        && !args.all
        && args.rule.is_empty()
    {
        return Err(usage("nothing says which conflicts to settle", "give a PATH, or --all"));
    }
    let rules = rules(&args.rule)?;
    let need = if args.dry_run { Need::Read } else { Need::Write("resolve") };
    let opened = context.open(need)?;
    let (path, field) = match &args.path {
        Some(given) => {
            let own = args.field.as_deref().map(str::parse::<FieldPath>).transpose()?;
            let (path, field) = match own {
                // Beside a field of its own, a path may hold a #.
                Some(own) => (opened.repo.repo_path(&opened.from, given)?, Some(own)),
                None => find_place(&opened, given)?,
            };
            (Some(path), field)
        }
        None => (None, None),
    };
    let resolution = Resolution { path, field, choice, rules };
    let resolved = match (args.suggested, &args.edition, args.dry_run) {
        (Some(suggested), _, dry) => {
            opened.repo.settle_as_before(&resolution, suggested.into(), dry)?
        }
        (None, Some(edition), dry) => opened.repo.settle_by_edition(&resolution, edition, dry)?,
        (None, None, true) => opened.repo.settle_dry(&resolution)?,
        (None, None, false) => opened.repo.settle(&resolution)?,
    };
    report(context, out, &resolved, args.dry_run)
}

/// Reads a file of JSON, or standard input.
fn read(context: &Context, from: &Path) -> Result<String, CliError> {
    let path = || from.to_path_buf();
    let stdin = from.as_os_str() == "-";
    let mut text = String::new();
    let read = match stdin {
        true => std::io::stdin().lock().take(MAX_STEPS_BYTES + 1).read_to_string(&mut text),
        false => File::open(context.folder.join(from))
            .and_then(|file| file.take(MAX_STEPS_BYTES + 1).read_to_string(&mut text)),
    };
    match read {
        Ok(read) if read as u64 > MAX_STEPS_BYTES => {
            Err(usage("the list of resolutions is over 64 MiB", "settle them in parts"))
        }
        Ok(_) => Ok(text),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(CliError::NoInput { path: path() })
        }
        Err(source) => Err(CliError::Input { path: path(), source }),
    }
}

/// Says what was settled, and what is left.
fn report(
    context: &Context,
    out: &mut Out,
    resolved: &Resolved,
    dry: bool,
) -> Result<Exit, CliError> {
    let screen = Screen::of_output();
    context.report(out, resolved, |out| {
        for row in &resolved.resolved {
            let place = place(&row.path, row.field.as_deref());
            let done = if dry { "would resolve" } else { "resolved" };
            let taken = match row.taken {
                "memory_other_base" => "memory, over another base",
                taken => taken,
            };
            let told = format!("{done} {place}  {taken}");
            let value = sides::chosen(row).filter(|_| dry);
            let fits = |value: &str| columns(&told) + 2 + columns(value) <= screen.width;
            let beside = value.as_deref().filter(|value| fits(value)).map(|it| format!("  {it}"));
            let taken = paint(GOOD, taken);
            out.line(format!("{done} {place}  {taken}{}", beside.as_deref().unwrap_or_default()))?;
            if let (None, Some(value)) = (beside, value) {
                let room = screen.room(VALUE_INDENT);
                let value = sides::from_where_it_parts(&row.was, &value, room);
                out.line(format!("{:VALUE_INDENT$}{value}", ""))?;
            }
        }
        if dry {
            return Ok(());
        }
        let next = paint(TITLE, "next:");
        print_made(out, &resolved.made)?;
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
        // A name may hold a #, too.
        if let Ok(whole) = repo.repo_path(&opened.from, given)
            && repo.conflicts(None)?.iter().any(|row| row.path == whole.to_string())
        {
            return Ok((whole, None));
        }
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
