//! Where a command runs and how it answers: the folder, the repository, the global options.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ottvc_local::{Access, LocalRepo};
use ottvc_object::manifest::CutRule;
use ottvc_object::manifest::tracks::TrackRule;
use ottvc_refs::{Clock, SystemClock};
use ottvc_repo::collect::Collector;
use ottvc_repo::scan::REPO_FOLDER;
use ottvc_repo::{Parts, Repo};
use ottvc_store::{StoreError, WorkspaceStore};
use serde::Serialize;

use crate::args::Global;
use crate::config::Config;
use crate::error::CliError;
use crate::out::Out;
use crate::progress::{Meter, Mode};

/// How long a command waits for another before it says so.
const SILENT_WAIT: Duration = Duration::from_secs(1);

/// What a command needs of the repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// To read; never waits.
    Read,
    /// To read, and to remember what was learnt about files if nobody else is writing; as the command
    /// of this name.
    Look(&'static str),
    /// To write, as the command of this name.
    Write(&'static str),
}

/// Where a command runs and how it answers.
#[derive(Debug)]
pub(crate) struct Context {
    /// The folder it runs in: the current one, or that of `-C`.
    pub(crate) folder: PathBuf,
    /// Where to look for the repository, if not from `folder` upwards.
    repo: Option<PathBuf>,
    /// Answers are JSON.
    pub(crate) json: bool,
    /// Reports are left out; data is not.
    pub(crate) quiet: bool,
    progress: Mode,
    clock: Arc<dyn Clock>,
}

/// An open repository.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) repo: Repo,
    /// The folder that paths on the command line are relative to: in or below the working copy.
    pub(crate) from: PathBuf,
    pub(crate) config: Config,
}

impl Context {
    /// Reads the global options.
    ///
    /// # Errors
    /// [`CliError::NoInput`] if the folder of `-C` is not there; [`CliError::Network`] for a URL.
    pub(crate) fn new(global: &Global) -> Result<Self, CliError> {
        let folder = match &global.folder {
            Some(folder) => real(folder)?,
            None => std::env::current_dir()
                .map_err(|source| CliError::Input { path: ".".into(), source })?,
        };
        let repo = match &global.repo {
            Some(url) if url.contains("://") => {
                return Err(CliError::Network { url: url.clone() });
            }
            Some(dir) => Some(real(&folder.join(dir))?),
            None => None,
        };
        Ok(Self {
            folder,
            repo,
            json: global.json,
            quiet: global.quiet,
            progress: global.progress,
            clock: Arc::new(SystemClock),
        })
    }

    /// The same, started in another folder.
    pub(crate) fn in_folder(self, folder: PathBuf) -> Self {
        Self { folder, repo: None, ..self }
    }

    /// The time, in UTC milliseconds since 1970.
    pub(crate) fn now(&self) -> i64 {
        self.clock.now()
    }

    /// Starts showing progress.
    pub(crate) fn progress(&self) -> Meter {
        Meter::start(self.progress, self.quiet)
    }

    /// Answers with `value` as JSON, or with lines for people.
    ///
    /// # Errors
    /// What `lines` or the output returns.
    pub(crate) fn answer(
        &self,
        out: &mut Out,
        value: &impl Serialize,
        lines: impl FnOnce(&mut Out) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        if self.json { out.json(value) } else { lines(out) }
    }

    /// As [`Context::answer`], for a report on what was done, which `--quiet` leaves out.
    ///
    /// # Errors
    /// What `lines` or the output returns.
    pub(crate) fn report(
        &self,
        out: &mut Out,
        value: &impl Serialize,
        lines: impl FnOnce(&mut Out) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        self.answer(out, value, |out| if self.quiet { Ok(()) } else { lines(out) })
    }

    /// Says something in passing, on stderr.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            use std::io::Write;
            let _ = writeln!(anstream::stderr(), "{text}");
        }
    }

    /// Returns the root of the working copy: the nearest folder from here up that holds `.ottvc`.
    ///
    /// # Errors
    /// [`CliError::NoRepository`].
    pub(crate) fn root(&self) -> Result<PathBuf, CliError> {
        let start = self.repo.as_deref().unwrap_or(&self.folder);
        let start = match start.file_name() {
            Some(name) if name == REPO_FOLDER => start.parent().unwrap_or(start),
            _ => start,
        };
        let root = start.ancestors().find(|folder| folder.join(REPO_FOLDER).is_dir());
        match root {
            Some(root) => real(root),
            None => Err(CliError::NoRepository { from: start.to_path_buf() }),
        }
    }

    /// The settings that apply here; the user's alone where there is no repository.
    ///
    /// # Errors
    /// [`CliError::BadConfig`].
    pub(crate) fn config(&self) -> Result<Config, CliError> {
        Config::load(self.root().ok().as_deref())
    }

    /// Opens the repository.
    ///
    /// # Errors
    /// [`CliError::NoRepository`], or the store's: [`StoreError::Busy`] if another command still
    /// writes after the wait.
    pub(crate) fn open(&self, need: Need) -> Result<Opened, CliError> {
        self.open_with(need, None)
    }

    /// As [`Context::open`], with this many threads instead of those of the settings.
    ///
    /// # Errors
    /// As [`Context::open`].
    pub(crate) fn open_with(&self, need: Need, jobs: Option<usize>) -> Result<Opened, CliError> {
        let (parts, from, config) = self.parts(need, jobs)?;
        let repo =
            Repo::new(parts).remembering(config.memory_days()?).protecting(config.protected()?);
        Ok(Opened { repo, from, config })
    }

    /// Opens the store of another repository, given by its folder, to read and leave no trace.
    ///
    /// # Errors
    /// [`CliError::NoInput`], [`CliError::NoRepository`], or the store's.
    pub(crate) fn peek(&self, folder: &Path) -> Result<LocalRepo, CliError> {
        let folder = real(&self.folder.join(folder))?;
        let inner = folder.join(REPO_FOLDER);
        match [inner, folder.clone()].iter().find(|dir| dir.join("VERSION").is_file()) {
            Some(dir) => Ok(LocalRepo::open(dir, Access::Peek)?),
            None => Err(CliError::NoRepository { from: folder }),
        }
    }

    /// Opens the repository for collecting.
    ///
    /// # Errors
    /// As [`Context::open`].
    pub(crate) fn collector(&self, need: Need) -> Result<Collector, CliError> {
        let (parts, ..) = self.parts(need, None)?;
        Ok(Collector::new(parts))
    }

    fn parts(&self, need: Need, jobs: Option<usize>) -> Result<(Parts, PathBuf, Config), CliError> {
        let root = self.root()?;
        let config = Config::load(Some(&root))?;
        let (store, need) = self.open_store(&root.join(REPO_FOLDER), need, &config)?;
        let folder = real(&self.folder)?;
        let from = if folder.starts_with(&root) { folder } else { root.clone() };
        let parts = Parts {
            objects: store.objects(),
            refs: store.refs(),
            workspace: match need {
                Need::Read => Arc::new(Forgetful(store.workspace())),
                Need::Look(_) | Need::Write(_) => store.workspace(),
            },
            clock: Arc::clone(&self.clock),
            root,
            actor: config.actor(),
            rule: CutRule::default(),
            tracks: config.tracks()?.then_some(TrackRule::DEFAULT),
            jobs: match jobs {
                Some(jobs) => jobs,
                None => config.jobs()?,
            },
        };
        Ok((parts, from, config))
    }

    /// Opens the store; returns it with what it is open for, which is less than `need` where looking
    /// cannot be more than reading.
    fn open_store(
        &self,
        dir: &Path,
        need: Need,
        config: &Config,
    ) -> Result<(LocalRepo, Need), CliError> {
        let write = |wait, command: &str| {
            let command = format!("ottvc {command}");
            LocalRepo::open(dir, Access::Write { wait, command: &command })
        };
        let command = match need {
            Need::Read => return Ok((LocalRepo::open(dir, Access::Read)?, Need::Read)),
            Need::Look(command) => {
                // What is remembered only saves time: where it cannot be, reading will do.
                return match write(Duration::ZERO, command) {
                    Err(
                        StoreError::Busy { .. }
                        | StoreError::Denied { .. }
                        | StoreError::Full { .. }
                        | StoreError::ReadOnly,
                    ) => Ok((LocalRepo::open(dir, Access::Read)?, Need::Read)),
                    other => Ok((other?, need)),
                };
            }
            Need::Write(command) => command,
        };
        let wait = config.lock_wait()?;
        match write(wait.min(SILENT_WAIT), command) {
            Err(StoreError::Busy { holder, .. }) if wait > SILENT_WAIT => {
                self.note(&format!(
                    "waiting up to {} s for {holder}",
                    wait.as_secs().max(SILENT_WAIT.as_secs())
                ));
                Ok((write(wait.saturating_sub(SILENT_WAIT), command)?, need))
            }
            other => Ok((other?, need)),
        }
    }
}

/// A folder's path without links and dots.
fn real(folder: &Path) -> Result<PathBuf, CliError> {
    folder.canonicalize().map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => CliError::NoInput { path: folder.to_path_buf() },
        _ => CliError::Input { path: folder.to_path_buf(), source },
    })
}

/// The memory of a working copy that is only read: what was learnt about its files is not kept.
#[derive(Debug)]
struct Forgetful(Arc<dyn WorkspaceStore>);

impl WorkspaceStore for Forgetful {
    fn load(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.load()
    }
    fn save(&self, state: &[u8], rows: &[(Vec<u8>, Option<Vec<u8>>)]) -> Result<(), StoreError> {
        self.0.save(state, rows)
    }
    fn cache(&self, _: &[(Vec<u8>, Option<Vec<u8>>)]) -> Result<(), StoreError> {
        Ok(())
    }
    fn row(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.row(key)
    }
    fn rows(
        &self,
        start: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        self.0.rows(start, visit)
    }
}
