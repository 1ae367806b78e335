//! `completions`, `man`, `version`: what the program knows about itself.

use std::io::Write;

use clap::{Args, CommandFactory};
use clap_complete::Shell;
use serde_json::json;

use crate::args::{Cli, near_command};
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::out::Out;

/// Print a script that completes commands and options in a shell.
#[derive(Debug, Args)]
#[command(after_help = "For bash:\n  ottvc completions bash > \
    ~/.local/share/bash-completion/completions/ottvc")]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

pub(crate) fn completions(
    context: &Context,
    out: &mut Out,
    args: &Completions,
) -> Result<Exit, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "ottvc", &mut script);
    let text = String::from_utf8_lossy(&script);
    print(context, out, &json!({ "shell": args.shell.to_string(), "script": text }), &script)
}

/// Print the manual, or the page of one command, for `man -l -`.
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// The command, such as `merge` or `meta set`
    #[arg(value_name = "COMMAND")]
    command: Vec<String>,
}

pub(crate) fn man(context: &Context, out: &mut Out, args: &Man) -> Result<Exit, CliError> {
    let mut page = Vec::new();
    let mut cli = Cli::command();
    cli.build();
    if args.command.is_empty() {
        whole_manual(&cli, &mut page).map_err(CliError::Output)?;
    } else {
        let mut found = &cli;
        for name in &args.command {
            found = found.find_subcommand(name).ok_or_else(|| {
                let near = near_command(found, name);
                CliError::Usage {
                    text: format!("there is no command `{}`", args.command.join(" ")),
                    hint: near.map(|near| format!("did you mean `{near}`?")),
                }
            })?;
        }
        let title = format!("ottvc-{}", args.command.join("-"));
        let man = clap_mangen::Man::new(found.clone().disable_help_subcommand(true));
        man.title(title).render(&mut page).map_err(CliError::Output)?;
    }
    let text = String::from_utf8_lossy(&page);
    print(context, out, &json!({ "command": args.command, "page": text }), &page)
}

/// The page of the program, and below it a section for each command.
fn whole_manual(cli: &clap::Command, page: &mut Vec<u8>) -> std::io::Result<()> {
    clap_mangen::Man::new(cli.clone()).title("ottvc").render(page)?;
    for command in cli.get_subcommands().filter(|it| it.get_name() != "help") {
        section(command, "ottvc", page)?;
    }
    Ok(())
}

fn section(command: &clap::Command, above: &str, page: &mut Vec<u8>) -> std::io::Result<()> {
    let name = format!("{above} {}", command.get_name());
    writeln!(page, ".SH \"{}\"", name.to_uppercase())?;
    let mut body = Vec::new();
    let man = clap_mangen::Man::new(command.clone().disable_help_subcommand(true));
    man.render_synopsis_section(&mut body)?;
    man.render_description_section(&mut body)?;
    if command.get_arguments().any(|argument| !argument.is_global_set()) {
        man.render_options_section(&mut body)?;
    }
    for line in String::from_utf8_lossy(&body).lines() {
        // Sections of a page of its own become parts of this one.
        match line.strip_prefix(".SH ") {
            Some(title) => writeln!(page, ".SS {title}")?,
            None => writeln!(page, "{line}")?,
        }
    }
    command
        .get_subcommands()
        .filter(|it| it.get_name() != "help")
        .try_for_each(|below| section(below, &name, page))
}

/// Print the version of ottvc and of the format it writes.
#[derive(Debug, Args)]
pub(crate) struct Version {}

pub(crate) fn version(context: &Context, out: &mut Out, _: &Version) -> Result<Exit, CliError> {
    let version = env!("CARGO_PKG_VERSION");
    let answer = json!({
        "version": version,
        "format": ottvc_local::VERSION,
        "merge_engine": ottvc_merge::ENGINE_VERSION,
    });
    context.answer(out, &answer, |out| {
        out.line(format!("ottvc {version} (format {})", ottvc_local::VERSION))
    })?;
    Ok(Exit::Ok)
}

fn print(
    context: &Context,
    out: &mut Out,
    answer: &serde_json::Value,
    text: &[u8],
) -> Result<Exit, CliError> {
    if context.json {
        out.json(answer)?;
        return Ok(Exit::Ok);
    }
    let mut bytes = out.bytes()?;
    bytes.write_all(text).and_then(|()| bytes.flush()).map_err(CliError::Output)?;
    Ok(Exit::Ok)
}
