//! Opening a text in the user's editor.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::Command;

use crate::config::Config;
use crate::error::CliError;

/// Whether somebody sits at a terminal: an editor or a question makes no sense otherwise.
pub(crate) fn is_interactive() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Opens the file at `path` in the user's editor and waits until it is closed.
///
/// # Errors
/// [`CliError::NoEditor`] if none is set, [`CliError::Editor`] if it cannot be started or ends with
/// a failure.
pub(crate) fn open(config: &Config, path: &Path) -> Result<(), CliError> {
    let command = config.editor().ok_or(CliError::NoEditor)?;
    let failed = |why: String| CliError::Editor { command: command.clone(), why };
    let words = shell_words::split(&command).map_err(|error| failed(error.to_string()))?;
    let (program, arguments) = words.split_first().ok_or(CliError::NoEditor)?;
    let status = Command::new(program).args(arguments).arg(path).status();
    let status = status.map_err(|error| failed(error.to_string()))?;
    if status.success() { Ok(()) } else { Err(failed(format!("it ended with {status}"))) }
}

/// Lets the user edit `text` in a file whose name ends in `suffix`; returns what it holds after, which is
/// kept from here on if the caller cannot use it.
///
/// # Errors
/// As [`open`]; what was typed before the editor failed is kept, and told of.
pub(crate) fn edit(config: &Config, text: &str, suffix: &str) -> Result<Typed, CliError> {
    let mut file = tempfile::Builder::new()
        .prefix("ottvc-")
        .suffix(suffix)
        .tempfile()
        .map_err(|source| CliError::Input { path: std::env::temp_dir(), source })?;
    let failed = |source| CliError::Input { path: std::env::temp_dir(), source };
    file.write_all(text.as_bytes()).and_then(|()| file.flush()).map_err(failed)?;
    let ended = open(config, file.path());
    // Editors replace files rather than write into them, so the path counts, not the handle.
    let typed = std::fs::read(file.path()).map_err(failed)?;
    let changed = typed != text.as_bytes();
    let typed = Typed { text: String::from_utf8_lossy(&typed).into_owned(), file };
    match ended {
        Ok(()) => Ok(typed),
        Err(error) if changed => Err(typed.kept(error)),
        Err(error) => Err(error),
    }
}

/// What somebody typed into an editor, and the file it is in.
#[derive(Debug)]
pub(crate) struct Typed {
    pub(crate) text: String,
    file: tempfile::NamedTempFile,
}

impl Typed {
    /// Leaves the file where it is, for `error` has no use for it; the error then says where that is.
    pub(crate) fn kept(self, error: CliError) -> CliError {
        match self.file.into_temp_path().keep() {
            Ok(path) => CliError::Kept { path, document: None, source: Box::new(error) },
            Err(_) => error,
        }
    }
}

/// Asks a yes-or-no question on the terminal; an empty answer is yes.
pub(crate) fn ask(question: &str) -> bool {
    let mut err = std::io::stderr();
    let _ = write!(err, "{question} [Y/n] ").and_then(|()| err.flush());
    let mut answer = String::new();
    match std::io::stdin().read_line(&mut answer) {
        Ok(0) | Err(_) => false,
        Ok(_) => !answer.trim().to_lowercase().starts_with('n'),
    }
}
