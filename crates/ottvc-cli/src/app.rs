//! From arguments to exit status: parsing, running a command, and showing what went wrong.

use std::ffi::OsString;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;

use anstream::ColorChoice;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, FromArgMatches};

use serde_json::json;

use crate::args::{Cli, Command, When, near_command};
use crate::commands::{
    audit, branches, collect, commit, config, conflicts, diff, files, history, import, init,
    layers, manual, merge, merge_file, meta, operations, rechunk, restore, stage, status, verify,
};
use crate::config::Config;
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::out::Out;
use crate::problem::Problem;

/// Runs the program.
pub(crate) fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|info| {
        use std::io::Write;
        let _ = writeln!(std::io::stderr(), "error: internal error: {}", one_line(info));
    }));
    let json = wants_json();
    let exit = std::panic::catch_unwind(AssertUnwindSafe(|| run(json))).unwrap_or_else(|_| {
        let problem = Problem::internal();
        show(&mut Out::new(), &problem, json);
        problem.row.exit
    });
    ExitCode::from(exit.code())
}

fn one_line(info: &std::panic::PanicHookInfo<'_>) -> String {
    let payload = info.payload();
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default();
    let text = text.split_whitespace().collect::<Vec<&str>>().join(" ");
    match info.location() {
        Some(place) => format!("{text} ({}:{})", place.file(), place.line()),
        None => text,
    }
}

/// Whether `--json` stands among the arguments: errors in them must be answered too.
fn wants_json() -> bool {
    std::env::args_os().take_while(|argument| argument != "--").any(|argument| argument == "--json")
}

fn run(json: bool) -> Exit {
    let mut out = Out::new();
    let ended = match parse() {
        Ok(cli) => answer(cli, &mut out),
        Err(error) if is_bare(&error) && !json => {
            use std::io::Write;
            let _ = write!(anstream::stderr(), "{}", error.render().ansi());
            return Exit::Usage;
        }
        Err(error) if error.use_stderr() => Err(usage(&error)),
        // Help and version were asked for.
        Err(error) => {
            let text = error.render();
            let text = if json { text.to_string() } else { text.ansi().to_string() };
            let text = text.trim_end();
            let said = if json { out.json(&json!({ "text": text })) } else { out.line(text) };
            said.map(|()| Exit::Ok)
        }
    };
    let ended = ended.and_then(|exit| out.flush().map(|()| exit));
    match ended {
        Ok(exit) => exit,
        // Whoever read our output has enough.
        Err(_) if out.is_broken() => Exit::Ok,
        Err(error) => {
            let problem = Problem::of(&error).about(command_name().as_deref());
            show(&mut out, &problem, json);
            problem.row.exit
        }
    }
}

/// Shows a problem: as JSON on stdout where that was asked for, else as lines on stderr.
fn show(out: &mut Out, problem: &Problem, json: bool) {
    if json {
        // Nowhere is left to say that this failed too.
        let _ = out.json(&problem.json()).and_then(|()| out.flush());
    } else {
        let _ = out.flush();
        problem.print();
    }
}

fn parse() -> Result<Cli, clap::Error> {
    let matches = Cli::command().try_get_matches_from(arguments())?;
    Cli::from_arg_matches(&matches)
}

/// What was typed. `help` is clap's own and takes no options, so the one that each command takes is left out:
/// it was read already.
fn arguments() -> Vec<OsString> {
    let typed: Vec<OsString> = std::env::args_os().collect();
    let is_option = |word: &OsString| word.as_encoded_bytes().starts_with(b"-");
    let helps = typed.iter().skip(1).find(|word| !is_option(word)).is_some_and(|it| it == "help");
    typed.into_iter().filter(|word| !helps || word != "--json").collect()
}

/// Whether no command was typed at all, or none of those below one: help is the best answer.
fn is_bare(error: &clap::Error) -> bool {
    error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
}

/// Puts clap's words into our lines.
fn usage(error: &clap::Error) -> CliError {
    if is_bare(error) || error.kind() == ErrorKind::MissingSubcommand {
        let hint = Some("`ottvc help` lists the commands".into());
        return CliError::Usage { text: "no command was given".into(), hint };
    }
    let plain = error.render().to_string();
    let paragraph = plain.split("\n\n").next().unwrap_or_default();
    let text = paragraph.split_whitespace().collect::<Vec<&str>>().join(" ");
    if let Some(ContextValue::String(typed)) = error.get(ContextKind::InvalidSubcommand) {
        return unknown_command(typed);
    }
    let text = text.strip_prefix("error: ").unwrap_or(&text).to_owned();
    let suggested = match error.get(ContextKind::SuggestedArg) {
        Some(ContextValue::String(name)) => Some(name.clone()),
        _ => None,
    };
    let usage = plain.lines().find_map(|line| line.strip_prefix("Usage: "));
    let hint = match (suggested, usage) {
        (Some(name), _) => Some(format!("did you mean `{name}`?")),
        (None, Some(usage)) => Some(format!("usage: {usage}")),
        (None, None) => None,
    };
    CliError::Usage { text, hint }
}

/// What was typed is no command, or none below the one before it.
fn unknown_command(typed: &str) -> CliError {
    let cli = Cli::command();
    let above = command_name().filter(|name| name != typed);
    let below = above.as_deref().and_then(|name| cli.find_subcommand(name)).unwrap_or(&cli);
    let hint = match (near_command(below, typed), &above) {
        (_, None) if in_git(typed).is_some() => in_git(typed).unwrap_or_default().to_owned(),
        (Some(near), _) => format!("did you mean `{near}`?"),
        (None, Some(above)) => format!("`ottvc help {above}` lists what there is"),
        (None, None) => "`ottvc help` lists the commands".into(),
    };
    CliError::Usage { text: format!("there is no command `{typed}`"), hint: Some(hint) }
}

/// What does here what a command of Git does that is none here.
fn in_git(typed: &str) -> Option<&'static str> {
    Some(match typed {
        "cherry-pick" => {
            "`ottvc apply REV --to BRANCH` pushes the change of one commit to other editions"
        }
        "revert" | "reset" => {
            "`ottvc undo` takes an operation back, `ottvc restore --from REV PATH` gives back what a revision has"
        }
        "stash" => {
            "commit it on a branch: `ottvc switch -c NAME`, then `ottvc commit`; `ottvc switch` comes back"
        }
        _ => return None,
    })
}

/// The name of the command on the command line, for hints.
fn command_name() -> Option<String> {
    let cli = Cli::command();
    let mut words = std::env::args().skip(1);
    words.find(|word| cli.find_subcommand(word).is_some_and(|it| it.get_name() != "help"))
}

/// Runs the command that was typed.
fn answer(cli: Cli, out: &mut Out) -> Result<Exit, CliError> {
    let Cli { global, command } = cli;
    let context = Context::new(&global)?;
    choose_color(global.color, &context);
    // Colour is settled before anything is written.
    *out = Out::new();
    match command {
        Command::Init(args) => init::run(context, out, args),
        Command::Status(args) => status::run(&context, out, &args),
        Command::Add(args) => stage::add(&context, out, &args),
        Command::Rm(args) => stage::rm(&context, out, &args),
        Command::Mv(args) => stage::mv(&context, out, &args),
        Command::Restore(args) => restore::run(&context, out, args),
        Command::Commit(args) => commit::run(&context, out, args),
        Command::Log(args) => history::log(&context, out, &args),
        Command::Show(args) => history::show(&context, out, &args),
        Command::Branch(args) => branches::branch(&context, out, args),
        Command::Tag(args) => branches::tag(&context, out, &args),
        Command::Switch(args) => branches::switch(&context, out, &args),
        Command::Checkout(args) => files::checkout(&context, out, args),
        Command::Cat(args) => files::cat(&context, out, &args),
        Command::Ls(args) => files::ls(&context, out, &args),
        Command::Diff(args) => diff::run(&context, out, &args),
        Command::Merge(args) => merge::run(&context, out, args),
        Command::Conflicts(args) => conflicts::list(&context, out, &args),
        Command::Resolve(args) => conflicts::resolve(&context, out, args),
        Command::MergeFile(args) => merge_file::run(&context, out, &args),
        Command::Meta(args) => meta::run(&context, out, args),
        Command::Propagate(args) => layers::propagate(&context, out, &args),
        Command::Apply(args) => layers::apply(&context, out, args),
        Command::Lineage(args) => layers::lineage(&context, out, &args),
        Command::Import(args) => import::import(&context, out, args),
        Command::Export(args) => import::export(&context, out, &args),
        Command::Audit(args) => audit::run(&context, out, args),
        Command::Gc(args) => collect::gc(&context, out, &args),
        Command::Rechunk(args) => rechunk::run(&context, out, &args),
        Command::Trash(args) => collect::trash(&context, out, args),
        Command::Verify(args) => verify::verify(&context, out, &args),
        Command::Undo(args) => operations::undo(&context, out, &args),
        Command::Ops(args) => operations::ops(&context, out, &args),
        Command::Config(args) => config::run(&context, out, args),
        Command::Doctor(args) => verify::doctor(&context, out, &args),
        Command::Completions(args) => manual::completions(&context, out, &args),
        Command::Man(args) => manual::man(&context, out, &args),
        Command::Version(args) => manual::version(&context, out, &args),
    }
}

/// Settles colour for the whole program: the option, else the settings, else what the terminal is.
fn choose_color(option: Option<When>, context: &Context) {
    let set = || context.config().ok().as_ref().and_then(Config::color);
    let choice = match (option, option.is_none().then(set).flatten().as_deref()) {
        (Some(When::Always), _) | (None, Some("always")) => ColorChoice::Always,
        (Some(When::Never), _) | (None, Some("never")) => ColorChoice::Never,
        _ => ColorChoice::Auto,
    };
    choice.write_global();
}
