//! `config`: settings, listed, read and changed.

use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};

use crate::config::{self, Config as Settings, File, KEYS};
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::out::Out;
use crate::show::{self, DIM, TITLE, paint};

/// List, read and change settings: of this repository in .ottvc/config.toml, of the user in
/// ~/.config/ottvc/config.toml. The repository's come first.
#[derive(Debug, Args)]
#[command(after_help = "Settings:\n  \
    user.name         who commits are by; OTTVC_AUTHOR='Name <address>' comes first\n  \
    user.email        and their address\n  \
    repo.title        what this repository is about\n  \
    lock.wait         how long to wait for another command, as 10s or 2m; OTTVC_LOCK_WAIT comes first\n  \
    ingest.jobs       threads that hash and compress, 1 to 256\n  \
    ingest.tracks     on: media is kept by its tracks; off: as all other files\n  \
    branch.protected  branches that take no conflicts and are not removed: main, release/*\n  \
    merge.memory      what becomes of a conflict that was settled before: suggest, apply or off\n  \
    memory.days       for how many days that is remembered if nobody uses it\n  \
    core.editor       command that opens a file; VISUAL and EDITOR come first\n  \
    ui.color          auto, always or never; --color comes first")]
pub(crate) struct Config {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List all settings and where each comes from
    List,
    /// Print one setting
    Get {
        /// The setting
        #[arg(value_name = "KEY")]
        key: String,
    },
    /// Change one setting
    Set {
        /// The setting
        #[arg(value_name = "KEY")]
        key: String,
        /// What it becomes
        #[arg(value_name = "VALUE", allow_hyphen_values = true)]
        value: String,
        /// For all repositories of this user
        #[arg(long)]
        user: bool,
    },
    /// Remove one setting
    Unset {
        /// The setting
        #[arg(value_name = "KEY")]
        key: String,
        /// For all repositories of this user
        #[arg(long)]
        user: bool,
    },
}

pub(crate) fn run(context: &Context, out: &mut Out, args: Config) -> Result<Exit, CliError> {
    match args.action.unwrap_or(Action::List) {
        Action::List => list(context, out)?,
        Action::Get { key } => return get(context, out, &key),
        Action::Set { key, value, user } => {
            let key = config::key(&key)?;
            config::check(key, &value)?;
            let mut file = file(context, user)?;
            file.set(key, &value);
            file.save()?;
            let answer = json!({ "key": key.name, "value": value });
            context.report(out, &answer, |out| out.line(format!("{} = {value}", key.name)))?;
        }
        Action::Unset { key, user } => {
            let key = config::key(&key)?;
            let mut file = file(context, user)?;
            let was = file.unset(key);
            if was {
                file.save()?;
            }
            let answer = json!({ "key": key.name, "removed": was });
            context.report(out, &answer, |out| {
                out.line(format!("{} {}", key.name, if was { "removed" } else { "was not set" }))
            })?;
        }
    }
    Ok(Exit::Ok)
}

/// The file that a change goes to.
fn file(context: &Context, user: bool) -> Result<File, CliError> {
    match (user, config::user_file()) {
        (true, Some(path)) => File::read(&path),
        (true, None) => Err(CliError::NoInput { path: "~/.config".into() }),
        (false, _) => File::read(&config::repository_file(&context.root()?)),
    }
}

fn list(context: &Context, out: &mut Out) -> Result<(), CliError> {
    let settings = context.config()?;
    let rows: Vec<Json> = KEYS
        .iter()
        .map(|key| {
            let found = settings.get(key.name);
            json!({
                "key": key.name,
                "value": found.as_ref().map(|(value, _)| value),
                "origin": found.as_ref().map_or("default", |(_, origin)| origin.word()),
                "default": key.default,
            })
        })
        .collect();
    context.answer(out, &json!({ "settings": rows, "actor": settings.actor() }), |out| {
        for key in &KEYS {
            let name = show::pad(key.name, 16);
            out.line(match settings.get(key.name) {
                Some((value, origin)) => format!(
                    "{}  {value}  {}",
                    paint(TITLE, name),
                    paint(DIM, format!("({})", origin.word()))
                ),
                None => format!("{name}  {}", paint(DIM, unset(key.default, key.about))),
            })?;
        }
        out.line(paint(DIM, format!("you act as {}", settings.actor())))
    })
}

fn unset(default: &str, about: &str) -> String {
    match default {
        "" => format!("not set: {about}"),
        default => format!("not set, so {default}: {about}"),
    }
}

fn get(context: &Context, out: &mut Out, name: &str) -> Result<Exit, CliError> {
    let key = config::key(name)?;
    let settings: Settings = context.config()?;
    let found = settings.get(key.name);
    let answer = json!({
        "key": key.name,
        "value": found.as_ref().map(|(value, _)| value),
        "origin": found.as_ref().map_or("default", |(_, origin)| origin.word()),
        "default": key.default,
    });
    context.answer(out, &answer, |out| match &found {
        Some((value, _)) => out.line(value),
        None => Ok(()),
    })?;
    // As git does: asking for what is not set prints nothing and says so by its status.
    Ok(if found.is_some() { Exit::Ok } else { Exit::Error })
}
