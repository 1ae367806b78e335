//! `ops` and `undo`: every command that moved a branch or tag, and taking one back.

use clap::Args;
use ottvc_object::RepoPath;
use ottvc_repo::operations::{LeftBehind, OperationView};
use serde_json::{Value as Json, json};

use crate::commands::conflicts::relative;
use crate::commands::status::quoted;
use crate::context::{Context, Need, Opened};
use crate::error::CliError;
use crate::exit::Exit;
use crate::out::Out;
use crate::show::{self, DIM, ID, paint};

/// How many paths a command that is told names.
const NAMED_PATHS: usize = 3;

/// Take back an operation: every branch and tag it moved says again what it said before.
///
/// Without OP, the newest that was not taken back yet, so that asking again goes further. Taking back
/// a commit leaves files and staging as they are, so that its change is staged again; everything else moves the files along.
#[derive(Debug, Args)]
pub(crate) struct Undo {
    /// The number of the operation, as `ottvc ops` lists it
    #[arg(value_name = "OP")]
    operation: Option<u64>,
}

pub(crate) fn undo(context: &Context, out: &mut Out, args: &Undo) -> Result<Exit, CliError> {
    let opened = context.open(Need::Write("undo"))?;
    let repo = &opened.repo;
    let view = {
        let progress = context.progress();
        repo.undo(args.operation, &progress)?
    };
    context.report(out, &operation_json(&view), |out| {
        out.line(format!(
            "took back operation {}",
            show::plain(view.summary.trim_start_matches("undo "))
        ))?;
        moved(out, &view)?;
        still_staged(out, &opened, &view.staged)
    })?;
    if !context.json {
        note_left_behind(context, &view.left_behind);
    }
    Ok(Exit::Ok)
}

/// Says that the change of a commit is still there, and what drops it.
fn still_staged(out: &mut Out, opened: &Opened, paths: &[String]) -> Result<(), CliError> {
    if paths.is_empty() {
        return Ok(());
    }
    let from_here = |path: &String| {
        let path = RepoPath::new(path).ok()?;
        Some(quoted(&relative(&opened.repo.disk_path(&path), &opened.from)))
    };
    let named: Option<Vec<String>> = paths.iter().map(from_here).collect();
    let named = named.filter(|paths| paths.len() <= NAMED_PATHS);
    let named = named.map_or_else(|| "PATH".to_owned(), |paths| paths.join(" "));
    out.line(format!(
        "the change stays staged; `ottvc restore --staged --worktree {named}` drops it"
    ))
}

/// Says which editions inherit from what was taken back, and what to do.
fn note_left_behind(context: &Context, left: &[LeftBehind]) {
    let mut of: Vec<&str> = left.iter().map(|it| it.of.as_str()).collect();
    of.dedup();
    for parent in of {
        let names = left.iter().filter(|it| it.of == parent).map(|it| it.branch.as_str());
        let names: Vec<&str> = names.collect();
        let (named, inherit) = match names.as_slice() {
            [one] => (format!("`{one}`"), "inherits"),
            all => (format!("`{}`", all.join("`, `")), "inherit"),
        };
        context.note(&show::plain(&format!(
            "note: {named} still {inherit} from what was taken back; `ottvc propagate {parent} --to {}` gives that up",
            names.join(" ")
        )));
    }
}

/// List operations, newest first: every command that moved a branch or tag.
#[derive(Debug, Args)]
pub(crate) struct Ops {
    /// At most N operations
    #[arg(short = 'n', long = "limit", value_name = "N", default_value_t = 30)]
    limit: usize,
}

pub(crate) fn ops(context: &Context, out: &mut Out, args: &Ops) -> Result<Exit, CliError> {
    let repo = context.open(Need::Read)?.repo;
    let operations = repo.refs().operations(None, args.limit)?;
    let views: Vec<OperationView> = operations.iter().map(OperationView::of).collect();
    let json: Vec<Json> = views.iter().map(operation_json).collect();
    context.answer(out, &json!({ "operations": json }), |out| {
        let numbers: Vec<String> = views.iter().map(|view| view.id.to_string()).collect();
        let width = numbers.iter().map(String::len).max().unwrap_or(0);
        let times: Vec<String> =
            views.iter().map(|view| show::ago(view.time, context.now())).collect();
        let time_width = times.iter().map(|time| time.chars().count()).max().unwrap_or(0);
        for ((view, number), time) in views.iter().zip(&numbers).zip(&times) {
            out.line(format!(
                "{}  {}  {}",
                paint(ID, format!("{number:>width$}")),
                paint(DIM, show::pad(time, time_width)),
                show::first_line(&view.summary)
            ))?;
        }
        Ok(())
    })?;
    Ok(Exit::Ok)
}

fn operation_json(view: &OperationView) -> Json {
    let mut json = serde_json::to_value(view).unwrap_or_default();
    if let Json::Object(object) = &mut json {
        object.insert("time".into(), Json::from(show::rfc3339(view.time)));
        object.insert("time_ms".into(), Json::from(view.time));
    }
    json
}

fn moved(out: &mut Out, view: &OperationView) -> Result<(), CliError> {
    let name = |name: &str| {
        let plain = name.strip_prefix("heads/").map(|name| format!("branch {name}"));
        plain.or_else(|| name.strip_prefix("tags/").map(|name| format!("tag {name}")))
    };
    for moved in &view.refs {
        let which = name(&moved.name).unwrap_or_else(|| moved.name.clone());
        let line = match (&moved.old, &moved.new) {
            (_, Some(new)) => format!("  {which} is at {} again", paint(ID, show::short(new))),
            (Some(_), None) if moved.name.starts_with("tags/") => {
                format!("  {which} is gone again")
            }
            (Some(_), None) => format!("  {which} is gone, or has no commit, as before"),
            (None, None) => format!("  {which} is as before"),
        };
        out.line(line)?;
    }
    Ok(())
}
