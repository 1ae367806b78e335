//! Why the command line could not do what was asked: the facade's reasons, and its own.

use std::path::PathBuf;

use ottvc_import::ImportError;
use ottvc_merge::MergeError;
use ottvc_object::ObjectError;
use ottvc_refs::RefError;
use ottvc_repo::RepoError;
use ottvc_store::StoreError;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    #[error(transparent)]
    Repo(#[from] RepoError),
    /// Arguments that clap refuses; it has worded the rest.
    #[error("{text}")]
    Usage { text: String, hint: Option<String> },
    #[error("a commit needs a message")]
    NoMessage,
    #[error("`{url}` is not on this machine")]
    Network { url: String },
    #[error("no repository in {} or a folder above", from.display())]
    NoRepository { from: PathBuf },
    #[error("there is no `{}`", path.display())]
    NoInput { path: PathBuf },
    #[error("cannot read `{}`", path.display())]
    Input { path: PathBuf, source: std::io::Error },
    #[error("`{}` cannot be merged", path.display())]
    BadInput { path: PathBuf, source: ObjectError },
    #[error("cannot import `{}`", path.display())]
    Delivery { path: PathBuf, source: ImportError },
    #[error("no setting is called `{key}`")]
    UnknownKey { key: String, near: Option<&'static str> },
    #[error("`{value}` is no value for {key}: {why}")]
    BadSetting { key: String, value: String, why: &'static str },
    #[error("cannot read the settings in {}", path.display())]
    BadConfig { path: PathBuf, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("cannot {action} {}", path.display())]
    Config { action: &'static str, path: PathBuf, source: std::io::Error },
    #[error("there is no editor to open")]
    NoEditor,
    #[error("the editor `{command}` failed: {why}")]
    Editor { command: String, why: String },
    /// Something failed after a person had typed a text, of this document if it is one; it is in this file.
    #[error("{source}")]
    Kept { path: PathBuf, document: Option<String>, source: Box<CliError> },
    /// A field could not be written, and its schema knows one that is probably meant.
    #[error("{source}")]
    Meant { meant: String, source: Box<CliError> },
    /// Marks were asked for where there is no place for them.
    #[error("conflicts are left in {}, and a file has no place for marks", match paths.as_slice() {
        [first, _, _, rest @ ..] if !rest.is_empty() => format!("{first} and {} more", rest.len() + 2),
        paths => paths.join(", "),
    })]
    NoMarks { paths: Vec<String> },
    #[error("cannot write `{}`", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("cannot write the output")]
    Output(#[source] std::io::Error),
}

impl CliError {
    /// Returns the stable code; see `exit`.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Repo(error) => error.code(),
            Self::Usage { .. } => "argument.usage",
            Self::NoMessage => "argument.no_message",
            Self::Network { .. } => "argument.no_network",
            Self::NoRepository { .. } => "store.none_here",
            Self::NoInput { .. } => "input.not_found",
            Self::Input { .. } => "input.io",
            Self::BadInput { source, .. } => source.code(),
            Self::Delivery { source, .. } => source.code(),
            Self::UnknownKey { .. } => "config.unknown_key",
            Self::BadSetting { .. } => "config.bad_value",
            Self::BadConfig { .. } => "config.bad_file",
            Self::Config { .. } => "config.io",
            Self::NoEditor => "editor.none",
            Self::Editor { .. } => "editor.failed",
            Self::Kept { source, .. } | Self::Meant { source, .. } => source.code(),
            Self::NoMarks { .. } => "merge.conflicts",
            Self::File { .. } | Self::Output(_) => "output.failed",
        }
    }
}

impl CliError {
    /// The same, about a text of this document.
    pub(crate) fn of_document(self, path: impl std::fmt::Display) -> Self {
        match self {
            Self::Kept { path: kept, source, .. } => {
                Self::Kept { path: kept, document: Some(path.to_string()), source }
            }
            other => other,
        }
    }
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        Self::Repo(error.into())
    }
}
impl From<RefError> for CliError {
    fn from(error: RefError) -> Self {
        Self::Repo(error.into())
    }
}
impl From<ObjectError> for CliError {
    fn from(error: ObjectError) -> Self {
        Self::Repo(error.into())
    }
}
impl From<ImportError> for CliError {
    fn from(error: ImportError) -> Self {
        Self::Repo(error.into())
    }
}
impl From<MergeError> for CliError {
    fn from(error: MergeError) -> Self {
        Self::Repo(error.into())
    }
}
