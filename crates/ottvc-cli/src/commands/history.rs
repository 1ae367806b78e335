//! `log` and `show`: commits, as a list, as a graph, one by one.

use std::collections::{HashMap, HashSet};

use clap::Args;
use ottvc_object::{Commit, CommitId, RepoPath};
use ottvc_refs::RefKind;
use ottvc_repo::history::Logged;
use ottvc_repo::workspace::Head;
use ottvc_repo::{Repo, RepoError};
use serde_json::{Value as Json, json};

use crate::commands::{diff, files};
use crate::context::{Context, Need};
use crate::error::CliError;
use crate::exit::Exit;
use crate::graph::Lanes;
use crate::out::Out;
use crate::show::{self, DIM, ID, NAME, TITLE, WARN, paint};

/// Show history, newest first.
#[derive(Debug, Args)]
pub(crate) struct Log {
    /// Where to start [default: HEAD]
    #[arg(value_name = "REV")]
    rev: Option<String>,
    /// Start from every branch and tag
    #[arg(long, conflicts_with = "rev")]
    all: bool,
    /// Draw the lines of history
    #[arg(long)]
    graph: bool,
    /// One line for each commit: its id, names and the first line of its message
    #[arg(long)]
    oneline: bool,
    /// At most N commits
    #[arg(short = 'n', long = "limit", value_name = "N")]
    limit: Option<usize>,
    /// Only commits that changed something at or below PATH
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
}

/// Branches and tags by the commit they point at, the current branch first.
type Names = HashMap<CommitId, Vec<Label>>;

/// A name that points at a commit.
struct Label {
    /// As people see it: `HEAD -> main`, `tag v1`.
    shown: String,
    /// As programs do: `heads/main`, `tags/v1`.
    name: String,
}

pub(crate) fn log(context: &Context, out: &mut Out, args: &Log) -> Result<Exit, CliError> {
    let opened = context.open(Need::Read)?;
    let repo = &opened.repo;
    let heads = heads(repo, args)?;
    let path = args.path.as_deref().map(|path| repo.repo_path(&opened.from, path)).transpose()?;
    let limit = args.limit.unwrap_or(usize::MAX);
    let logged = repo.log(&heads, limit, path.as_ref())?;
    // A name may hold a #, too.
    if let (Some(given), true) = (&args.path, logged.is_empty() && limit > 0)
        && let Some((file, _)) = given.split_once("#/")
    {
        return Err(RepoError::BadArgument {
            given: given.clone(),
            wanted: "path of a file",
            why: format!("no commit has changed a file of that name, and a log goes by files, not by fields: --path {file}"),
        }
        .into());
    }
    let names = names(repo)?;
    if context.json {
        let commits: Vec<Json> = logged.iter().map(|it| commit_json(it, &names)).collect();
        out.json(&json!({ "commits": commits }))?;
        return Ok(Exit::Ok);
    }
    let parents = match (args.graph, &path) {
        (true, Some(path)) => shown_parents(repo, &heads, path)?,
        _ => HashMap::new(),
    };
    let mut lanes = args.graph.then(Lanes::new);
    for entry in &logged {
        let own = &entry.commit.parents;
        let drawn = lanes
            .as_mut()
            .map(|lanes| lanes.draw(&entry.id, parents.get(&entry.id).unwrap_or(own)));
        match args.oneline {
            true => print_short(out, entry, &names, drawn)?,
            false => print_entry(out, entry, &names, drawn)?,
        }
    }
    Ok(Exit::Ok)
}

fn heads(repo: &Repo, args: &Log) -> Result<Vec<CommitId>, CliError> {
    if args.all {
        let refs = repo.refs().list()?;
        return Ok(refs.into_iter().filter_map(|(_, value)| value.target).collect());
    }
    Ok(vec![repo.resolve(args.rev.as_deref().unwrap_or("HEAD"))?.id])
}

/// For a log of one path: the nearest ancestors that are shown, which the lines lead to.
fn shown_parents(
    repo: &Repo,
    heads: &[CommitId],
    path: &RepoPath,
) -> Result<HashMap<CommitId, Vec<CommitId>>, RepoError> {
    let shown: HashSet<CommitId> =
        repo.log(heads, usize::MAX, Some(path))?.into_iter().map(|it| it.id).collect();
    let mut nearest: HashMap<CommitId, Vec<CommitId>> = HashMap::new();
    // Oldest first: the answer for every parent is there before it is asked for.
    for Logged { id, commit } in repo.log(heads, usize::MAX, None)?.into_iter().rev() {
        let mut found = Vec::new();
        for parent in &commit.parents {
            let through = [*parent];
            let leads_to = match (shown.contains(parent), nearest.get(parent)) {
                (false, Some(further)) => further.as_slice(),
                _ => &through,
            };
            found.extend(leads_to.iter().filter(|id| shown.contains(id)));
        }
        let mut seen = HashSet::new();
        found.retain(|id| seen.insert(*id));
        nearest.insert(id, found);
    }
    Ok(nearest)
}

fn names(repo: &Repo) -> Result<Names, CliError> {
    let head = repo.state()?.head;
    let mut names = Names::new();
    if let Head::Detached(id) = &head {
        names.entry(*id).or_default().push(Label { shown: "HEAD".into(), name: "HEAD".into() });
    }
    for (name, value) in repo.refs().list()? {
        let Some(target) = value.target else { continue };
        let here = names.entry(target).or_default();
        let label = |shown| Label { shown, name: name.to_string() };
        match name.kind() {
            RefKind::Branch if head == Head::Branch(name.clone()) => {
                here.insert(0, label(format!("HEAD -> {}", name.short())));
            }
            RefKind::Branch => here.push(label(name.short().to_owned())),
            RefKind::Tag => here.push(label(format!("tag {}", name.short()))),
        }
    }
    Ok(names)
}

fn print_entry(
    out: &mut Out,
    entry: &Logged,
    names: &Names,
    drawn: Option<crate::graph::Drawn>,
) -> Result<(), CliError> {
    let Logged { id, commit } = entry;
    let mut head = format!(
        "{}  {}  {}",
        paint(ID, id.short()),
        show::local(commit.author.time),
        person(&commit.author.who)
    );
    if let Some(labels) = names.get(id) {
        head += &format!("  ({})", shown_labels(labels));
    }
    if !commit.conflicts.is_empty() {
        let count = commit.conflicts.len() as u64;
        head += &format!("  {}", paint(WARN, show::count(count, "conflict", "conflicts")));
    }
    let message = show::first_line(&commit.message);
    let Some(drawn) = drawn else {
        out.line(head)?;
        return out.line(format!("    {message}"));
    };
    for row in drawn.before {
        out.line(paint(DIM, row))?;
    }
    let node = drawn.node.replace('*', &paint(TITLE, "*"));
    out.line(format!("{node} {head}"))?;
    let mut after = drawn.after.into_iter();
    let beside = after.next().unwrap_or(drawn.beside);
    let width = drawn.node.chars().count().max(beside.chars().count());
    out.line(format!("{} {message}", paint(DIM, show::pad(&beside, width))))?;
    for row in after {
        out.line(paint(DIM, row))?;
    }
    Ok(())
}

/// Writes a commit on one line, after the lines of history that lead to it.
fn print_short(
    out: &mut Out,
    entry: &Logged,
    names: &Names,
    drawn: Option<crate::graph::Drawn>,
) -> Result<(), CliError> {
    let Logged { id, commit } = entry;
    let labels = names.get(id).map(|labels| format!("({}) ", shown_labels(labels)));
    let message = show::first_line(&commit.message);
    let line = format!("{} {}{message}", paint(ID, id.short()), labels.unwrap_or_default());
    let Some(drawn) = drawn else { return out.line(line) };
    for row in drawn.before {
        out.line(paint(DIM, row))?;
    }
    out.line(format!("{} {line}", drawn.node.replace('*', &paint(TITLE, "*"))))?;
    drawn.after.into_iter().try_for_each(|row| out.line(paint(DIM, row)))
}

fn shown_labels(labels: &[Label]) -> String {
    let shown: Vec<&str> = labels.iter().map(|label| label.shown.as_str()).collect();
    paint(NAME, shown.join(", "))
}

/// A person's name without the address, which a list has no room for.
fn person(who: &str) -> String {
    let name = who.split('<').next().unwrap_or_default().trim();
    show::plain(if name.is_empty() { who } else { name })
}

/// A commit as JSON. `time` is the author's, as people see it.
fn commit_json(entry: &Logged, names: &Names) -> Json {
    let Logged { id, commit } = entry;
    json!({
        "id": id.to_string(),
        "parents": commit.parents.iter().map(ToString::to_string).collect::<Vec<String>>(),
        "author": commit.author.who,
        "time": show::rfc3339(commit.author.time),
        "time_ms": commit.author.time,
        "committer": commit.committer.who,
        "commit_time": show::rfc3339(commit.committer.time),
        "commit_time_ms": commit.committer.time,
        "message": commit.message,
        "tree": commit.tree.to_string(),
        "edition": commit.edition.to_string(),
        "generation": commit.generation,
        "refs": names
            .get(id)
            .map(|labels| labels.iter().map(|label| label.name.as_str()).collect::<Vec<&str>>())
            .unwrap_or_default(),
        "conflicts": places(commit),
        "merge": commit.merge.as_ref().map(|merge| json!({
            "bases": merge.bases.iter().map(ToString::to_string).collect::<Vec<String>>(),
            "rules": merge.rules,
        })),
    })
}

/// Where a commit holds conflicts, as `PATH` or `PATH#FIELD`.
fn places(commit: &Commit) -> Vec<String> {
    let text = |place: &ottvc_object::commit::ConflictPlace| match &place.field {
        Some(field) => format!("{}#{field}", place.path),
        None => place.path.to_string(),
    };
    commit.conflicts.iter().map(text).collect()
}

/// Show one commit and what it changed against its first parent; of REV:PATH what that file or document holds.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The commit, or a file of one [default: HEAD]
    #[arg(value_name = "REV[:PATH]", default_value = "HEAD", hide_default_value = true)]
    rev: String,
    /// One line for each path instead of all changes
    #[arg(long)]
    stat: bool,
}

pub(crate) fn show(context: &Context, out: &mut Out, args: &Show) -> Result<Exit, CliError> {
    if args.rev.contains(':') {
        return files::cat(context, out, &files::Cat::whole(&args.rev));
    }
    let opened = context.open(Need::Read)?;
    let repo = &opened.repo;
    let id = repo.resolve(&args.rev)?.id;
    let entry = Logged { id, commit: repo.commit(id)? };
    let changes = repo.changes_of(id)?;
    let names = names(repo)?;
    if context.json {
        let mut answer = commit_json(&entry, &names);
        if let (Json::Object(answer), Ok(changes)) =
            (&mut answer, serde_json::to_value(&changes.changes))
        {
            answer.insert("changes".into(), changes);
        }
        out.json(&answer)?;
        return Ok(Exit::Ok);
    }
    print_commit(out, &entry, &names)?;
    if !changes.changes.is_empty() {
        out.line("")?;
    }
    diff::print(out, &changes, args.stat)?;
    Ok(Exit::Ok)
}

fn print_commit(out: &mut Out, entry: &Logged, names: &Names) -> Result<(), CliError> {
    let Logged { id, commit } = entry;
    let labels = names.get(id).map(|labels| format!("  ({})", shown_labels(labels)));
    out.line(format!("commit {}{}", paint(ID, id), labels.unwrap_or_default()))?;
    if commit.parents.len() > 1 {
        let parents: Vec<String> = commit.parents.iter().map(CommitId::short).collect();
        out.line(format!("merge  {}", parents.join(" ")))?;
    }
    out.line(format!("author {}", show::plain(&commit.author.who)))?;
    out.line(format!("date   {}", show::local_exact(commit.author.time)))?;
    if commit.committer.who != commit.author.who {
        out.line(format!("by     {}", show::plain(&commit.committer.who)))?;
    }
    for place in places(commit) {
        out.line(format!("{} {place}", paint(WARN, "conflict")))?;
    }
    out.line("")?;
    show::plain(&commit.message).lines().try_for_each(|line| match line {
        "" => out.line(""),
        line => out.line(format!("    {line}")),
    })
}
