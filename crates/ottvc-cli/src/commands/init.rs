//! `init`: makes a repository.

use std::path::PathBuf;

use clap::Args;
use ottvc_local::LocalRepo;
use ottvc_repo::scan::REPO_FOLDER;
use serde_json::json;

use crate::config::{self, File};
use crate::context::{Context, Need};
use crate::error::CliError;
use crate::exit::Exit;
use crate::out::Out;
use crate::show::{NAME, TITLE, paint};

/// Make a repository: a folder `.ottvc` beside your files. What lies in DIR stays as it is.
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The folder, made if need be; here if not given
    dir: Option<PathBuf>,
    /// What the repository is about
    #[arg(long, value_name = "TITLE")]
    title: Option<String>,
}

pub(crate) fn run(context: Context, out: &mut Out, args: Init) -> Result<Exit, CliError> {
    let folder = match args.dir {
        Some(dir) => context.folder.join(dir),
        None => context.folder.clone(),
    };
    let failed = |source: std::io::Error| ottvc_repo::RepoError::Io {
        action: "make folder",
        path: folder.clone(),
        source,
    };
    std::fs::create_dir_all(&folder).map_err(failed)?;
    let folder = folder.canonicalize().map_err(failed)?;
    let new = LocalRepo::init(&folder.join(REPO_FOLDER))?;
    let context = context.in_folder(folder.clone());
    // Run again after it was cut short, this brings the first branch.
    context.open(Need::Write("init"))?.repo.make_first_branch()?;
    if let Some(title) = &args.title {
        let key = config::key("repo.title")?;
        config::check(key, title)?;
        let mut file = File::read(&config::repository_file(&folder))?;
        file.set(key, title);
        file.save()?;
    }
    let config = context.config()?;
    let answer = json!({
        "path": folder.display().to_string(),
        "branch": "main",
        "created": new,
        "title": config.title(),
    });
    context.report(out, &answer, |out| {
        let place = paint(TITLE, folder.display());
        match new {
            true => {
                out.line(format!("New repository in {place}, on branch {}", paint(NAME, "main")))
            }
            false => out.line(format!("{place} is a repository already; nothing was changed")),
        }
    })?;
    Ok(Exit::Ok)
}
