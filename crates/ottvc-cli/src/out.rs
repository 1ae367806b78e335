//! Standard output: text with colour where a terminal wants it, one JSON object, or raw bytes.
//!
//! A reader that goes away (`ottvc log | head`) is no error: the write fails, `broken` is set, and the
//! program ends quietly.

use std::fmt::Display;
use std::io::{BufWriter, ErrorKind, Stdout, Write};
use std::path::Path;

use anstream::AutoStream;
use serde::Serialize;

use crate::error::CliError;

/// Standard output.
pub(crate) struct Out {
    text: BufWriter<AutoStream<Stdout>>,
    broken: bool,
}

impl Out {
    /// Takes standard output; colour follows the choice made for the whole program.
    pub(crate) fn new() -> Self {
        Self { text: BufWriter::new(anstream::stdout()), broken: false }
    }

    /// Whether nobody reads any more.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Writes one line of text.
    pub(crate) fn line(&mut self, line: impl Display) -> Result<(), CliError> {
        let written = writeln!(self.text, "{line}");
        self.note(written)
    }

    /// Writes `value` as one JSON object.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), CliError> {
        let written = serde_json::to_writer(&mut self.text, value)
            .map_err(std::io::Error::from)
            .and_then(|()| self.text.write_all(b"\n"));
        self.note(written)
    }

    /// Returns a writer for bytes as they are, past colour handling.
    pub(crate) fn bytes(&mut self) -> Result<Bytes<'_>, CliError> {
        self.flush()?;
        Ok(Bytes { out: self, raw: std::io::stdout().lock() })
    }

    /// Writes out what is held back.
    pub(crate) fn flush(&mut self) -> Result<(), CliError> {
        let written = self.text.flush();
        self.note(written)
    }

    fn note(&mut self, written: std::io::Result<()>) -> Result<(), CliError> {
        self.watch(&written);
        written.map_err(CliError::Output)
    }

    fn watch<T>(&mut self, written: &std::io::Result<T>) {
        self.broken |= matches!(written, Err(error) if error.kind() == ErrorKind::BrokenPipe);
    }
}

/// Writes a file that somebody named on the command line: it appears whole or not at all, in place of
/// any that was there, whose permissions it keeps; where a link stands, in place of what that leads to. A
/// device or pipe is written to.
///
/// # Errors
/// [`CliError::File`].
pub(crate) fn write_file(
    path: &Path,
    fill: &mut dyn FnMut(&mut dyn Write) -> std::io::Result<()>,
) -> Result<(), CliError> {
    let failed = |source| CliError::File { path: path.to_path_buf(), source };
    let real = path.canonicalize().ok();
    let path = real.as_deref().unwrap_or(path);
    let there = path.metadata().ok();
    if there.as_ref().is_some_and(|there| !there.is_file()) {
        let mut file = std::fs::File::options().write(true).open(path).map_err(failed)?;
        return fill(&mut file).map_err(failed);
    }
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut options = tempfile::Builder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // What the umask leaves of it, as for any other file.
        options.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let mut staged = options.prefix(".ottvc-tmp-").tempfile_in(folder).map_err(failed)?;
    let mut buffer = BufWriter::new(staged.as_file_mut());
    fill(&mut buffer).and_then(|()| buffer.flush()).map_err(failed)?;
    drop(buffer);
    if let Some(there) = there {
        staged.as_file().set_permissions(there.permissions()).map_err(failed)?;
    }
    staged.as_file().sync_all().map_err(failed)?;
    staged.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

/// Standard output for bytes as they are.
pub(crate) struct Bytes<'a> {
    out: &'a mut Out,
    raw: std::io::StdoutLock<'static>,
}

impl Write for Bytes<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.raw.write(bytes);
        self.out.watch(&written);
        written
    }
    fn flush(&mut self) -> std::io::Result<()> {
        let written = self.raw.flush();
        self.out.watch(&written);
        written
    }
}
