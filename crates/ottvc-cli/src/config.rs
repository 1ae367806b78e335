//! Settings: `.ottvc/config.toml` of a repository over the user's `config.toml`, by key.
//!
//! A file is changed in place, comments kept, and replaced whole: a crash leaves the old one or the
//! new one. What a key may hold is checked when it is set and again when it is read.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::SignedDuration;
use ottvc_repo::protected::Protected;
use toml_edit::{DocumentMut, Item, Table};

use crate::error::CliError;

/// The longest settings file that is read, in bytes.
const MAX_CONFIG_BYTES: u64 = 1 << 20;

/// What values a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One line of text.
    Text,
    /// A time span, as `10s` or `2m`; a bare number counts seconds.
    Span,
    /// A whole number from 1 to 256.
    Count,
    /// `auto`, `always` or `never`.
    When,
    /// `on` or `off`.
    Switch,
    /// `suggest`, `apply` or `off`.
    Memory,
    /// Branches, by name or pattern, with commas between.
    Branches,
}

/// A setting there is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) about: &'static str,
    /// What holds where nothing is set, in words.
    pub(crate) default: &'static str,
}

/// Every setting.
pub(crate) const KEYS: [Key; 11] = [
    Key { name: "user.name", kind: Kind::Text, about: "who commits are by", default: "" },
    Key {
        name: "user.email",
        kind: Kind::Text,
        about: "the address that goes with it",
        default: "",
    },
    Key {
        name: "repo.title",
        kind: Kind::Text,
        about: "what this repository is about",
        default: "",
    },
    Key {
        name: "lock.wait",
        kind: Kind::Span,
        about: "how long to wait for another command",
        default: "10s",
    },
    Key {
        name: "ingest.jobs",
        kind: Kind::Count,
        about: "threads that hash and compress",
        default: "one a processor",
    },
    Key {
        name: "ingest.tracks",
        kind: Kind::Switch,
        about: "whether media is kept track by track",
        default: "on",
    },
    Key {
        name: "branch.protected",
        kind: Kind::Branches,
        about: "branches that take no conflicts and are not removed",
        default: "",
    },
    Key {
        name: "merge.memory",
        kind: Kind::Memory,
        about: "what becomes of a conflict that was settled before",
        default: "suggest",
    },
    Key {
        name: "memory.days",
        kind: Kind::Count,
        about: "how long that lasts if nobody uses it",
        default: "90",
    },
    Key {
        name: "core.editor",
        kind: Kind::Text,
        about: "command that opens a file for editing",
        default: "$VISUAL, $EDITOR",
    },
    Key { name: "ui.color", kind: Kind::When, about: "when to use colour", default: "auto" },
];

/// Returns the key of this name.
///
/// # Errors
/// [`CliError::UnknownKey`] with the nearest there is.
pub(crate) fn key(name: &str) -> Result<Key, CliError> {
    KEYS.into_iter().find(|key| key.name == name).ok_or_else(|| CliError::UnknownKey {
        key: name.to_owned(),
        near: KEYS
            .into_iter()
            .map(|key| (strsim::damerau_levenshtein(key.name, name), key.name))
            .filter(|(distance, _)| *distance <= 3)
            .min()
            .map(|(_, name)| name),
    })
}

/// Where a value was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Repository,
    User,
}

impl Origin {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Repository => "repository",
            Self::User => "user",
        }
    }
}

/// The settings that apply in one place.
#[derive(Debug, Default)]
pub(crate) struct Config {
    repository: Option<File>,
    user: Option<File>,
}

/// One settings file.
#[derive(Debug)]
pub(crate) struct File {
    path: PathBuf,
    document: DocumentMut,
}

/// Returns the user's settings file, if the system says where that is.
pub(crate) fn user_file() -> Option<PathBuf> {
    let folder =
        |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|it| it.is_absolute());
    let base = folder("XDG_CONFIG_HOME").or_else(|| folder("HOME").map(|it| it.join(".config")))?;
    Some(base.join("ottvc").join("config.toml"))
}

/// Returns the settings file of the repository at `root`.
pub(crate) fn repository_file(root: &Path) -> PathBuf {
    root.join(ottvc_repo::scan::REPO_FOLDER).join("config.toml")
}

impl Config {
    /// Reads the settings for a repository, or the user's alone.
    ///
    /// # Errors
    /// [`CliError::BadConfig`] for a file that is no TOML.
    pub(crate) fn load(root: Option<&Path>) -> Result<Self, CliError> {
        Ok(Self {
            repository: root.map(|root| File::read(&repository_file(root))).transpose()?,
            user: user_file().map(|path| File::read(&path)).transpose()?,
        })
    }

    /// The value of a key as text, and where it comes from; the repository's own comes first.
    pub(crate) fn get(&self, key: &str) -> Option<(String, Origin)> {
        let files = [(&self.repository, Origin::Repository), (&self.user, Origin::User)];
        files.into_iter().find_map(|(file, origin)| Some((file.as_ref()?.get(key)?, origin)))
    }

    fn text(&self, key: &str) -> Option<String> {
        self.get(key).map(|(value, _)| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    fn checked(&self, name: &str) -> Result<Option<String>, CliError> {
        let Some(value) = self.text(name) else { return Ok(None) };
        check(key(name)?, &value)?;
        Ok(Some(value))
    }

    /// Who acts: `OTTVC_AUTHOR`, else the settings, else the account on this machine.
    pub(crate) fn actor(&self) -> String {
        let plain = |text: String| {
            text.chars().filter(|c| !c.is_control()).collect::<String>().trim().to_owned()
        };
        let from_env = std::env::var("OTTVC_AUTHOR").ok().map(plain);
        if let Some(author) = from_env.filter(|author| !author.is_empty()) {
            return author;
        }
        let name = self.text("user.name").map(plain).filter(|name| !name.is_empty());
        let email = self.text("user.email").map(plain).filter(|email| !email.is_empty());
        match (name, email) {
            (Some(name), Some(email)) => format!("{name} <{email}>"),
            (Some(name), None) => name,
            (None, Some(email)) => format!("<{email}>"),
            (None, None) => account(),
        }
    }

    /// How long to wait for another command: `OTTVC_LOCK_WAIT`, else the settings, else 10 s.
    ///
    /// # Errors
    /// [`CliError::BadSetting`].
    pub(crate) fn lock_wait(&self) -> Result<Duration, CliError> {
        let bad = |value: &str, why| CliError::BadSetting {
            key: "OTTVC_LOCK_WAIT".into(),
            value: value.to_owned(),
            why,
        };
        if let Some(text) = std::env::var("OTTVC_LOCK_WAIT").ok().filter(|text| !text.is_empty()) {
            return span(&text).ok_or_else(|| bad(&text, "write 10s or 2m"));
        }
        let text = self.checked("lock.wait")?;
        Ok(text.and_then(|text| span(&text)).unwrap_or(Duration::from_secs(10)))
    }

    /// Whether files with tracks are kept by them.
    ///
    /// # Errors
    /// [`CliError::BadSetting`].
    pub(crate) fn tracks(&self) -> Result<bool, CliError> {
        Ok(self.checked("ingest.tracks")?.is_none_or(|text| text != "off"))
    }

    /// For how many days a resolution is remembered that nobody uses; 0 for not at all.
    ///
    /// # Errors
    /// [`CliError::BadSetting`].
    pub(crate) fn memory_days(&self) -> Result<u32, CliError> {
        if self.checked("merge.memory")?.is_some_and(|text| text == "off") {
            return Ok(0);
        }
        let text = self.checked("memory.days")?;
        let days = text.and_then(|text| text.parse::<u32>().ok());
        Ok(days.unwrap_or(ottvc_repo::memory::DEFAULT_DAYS))
    }

    /// Which branches are protected.
    ///
    /// # Errors
    /// [`CliError::BadSetting`]: what cannot be read must not protect nothing.
    pub(crate) fn protected(&self) -> Result<Protected, CliError> {
        match self.checked("branch.protected")? {
            Some(text) => Ok(Protected::parse(&text)?),
            None => Ok(Protected::default()),
        }
    }

    /// Whether a merge settles what was settled before.
    ///
    /// # Errors
    /// [`CliError::BadSetting`].
    pub(crate) fn applies_memory(&self) -> Result<bool, CliError> {
        Ok(self.checked("merge.memory")?.is_some_and(|text| text == "apply"))
    }

    /// Threads for hashing and compressing.
    ///
    /// # Errors
    /// [`CliError::BadSetting`].
    pub(crate) fn jobs(&self) -> Result<usize, CliError> {
        let text = self.checked("ingest.jobs")?;
        let jobs = text.and_then(|text| text.parse::<usize>().ok());
        Ok(jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from)))
    }

    /// The command that edits a file: `VISUAL`, `EDITOR`, else the settings.
    pub(crate) fn editor(&self) -> Option<String> {
        let from_env = |name: &str| std::env::var(name).ok().filter(|text| !text.trim().is_empty());
        from_env("VISUAL").or_else(|| from_env("EDITOR")).or_else(|| self.text("core.editor"))
    }

    /// When to use colour, where it is set.
    pub(crate) fn color(&self) -> Option<String> {
        self.text("ui.color").filter(|text| check_when(text))
    }

    /// What the repository is about, where it is set.
    pub(crate) fn title(&self) -> Option<String> {
        self.text("repo.title")
    }
}

impl File {
    /// Reads a settings file; one that is not there is empty.
    pub(crate) fn read(path: &Path) -> Result<Self, CliError> {
        let read = |path: &Path| {
            let mut text = String::new();
            let file = std::fs::File::open(path)?;
            std::io::Read::read_to_string(
                &mut std::io::Read::take(file, MAX_CONFIG_BYTES),
                &mut text,
            )?;
            Ok::<String, std::io::Error>(text)
        };
        let bad = |source| CliError::BadConfig { path: path.to_path_buf(), source };
        let text = match read(path) {
            Ok(text) => text,
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::NotFound
                        | std::io::ErrorKind::NotADirectory
                        | std::io::ErrorKind::PermissionDenied
                ) =>
            {
                String::new()
            }
            Err(error) => return Err(bad(error.into())),
        };
        let document = text.parse::<DocumentMut>().map_err(|error| bad(first_line(&error)))?;
        Ok(Self { path: path.to_path_buf(), document })
    }

    fn get(&self, key: &str) -> Option<String> {
        let (table, name) = key.split_once('.')?;
        let value = self.document.get(table)?.get(name)?.as_value()?;
        Some(match value.as_str() {
            Some(text) => text.to_owned(),
            None => value.to_string().trim().to_owned(),
        })
    }

    /// Sets a key; the value has been checked.
    pub(crate) fn set(&mut self, key: Key, value: &str) {
        let Some((table, name)) = key.name.split_once('.') else { return };
        let item = match value.parse::<i64>() {
            Ok(number) if key.kind == Kind::Count => toml_edit::value(number),
            _ => toml_edit::value(value),
        };
        let entry = self.document.entry(table).or_insert_with(|| Item::Table(Table::new()));
        if !entry.is_table_like() {
            *entry = Item::Table(Table::new());
        }
        if let Some(table) = entry.as_table_like_mut() {
            table.insert(name, item);
        }
    }

    /// Removes a key; says whether it was there.
    pub(crate) fn unset(&mut self, key: Key) -> bool {
        let Some((table, name)) = key.name.split_once('.') else { return false };
        let table = self.document.get_mut(table).and_then(Item::as_table_like_mut);
        table.is_some_and(|table| table.remove(name).is_some())
    }

    /// Replaces the file.
    ///
    /// # Errors
    /// [`CliError::Config`].
    pub(crate) fn save(&self) -> Result<(), CliError> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let failed =
            |action| move |source| CliError::Config { action, path: self.path.clone(), source };
        std::fs::create_dir_all(folder).map_err(failed("make the folder of"))?;
        let mut staged = tempfile::NamedTempFile::new_in(folder).map_err(failed("write"))?;
        staged
            .write_all(self.document.to_string().as_bytes())
            .and_then(|()| staged.as_file().sync_all())
            .map_err(failed("write"))?;
        staged.persist(&self.path).map_err(|error| failed("replace")(error.error))?;
        // The new name lasts once its folder does.
        std::fs::File::open(folder).and_then(|it| it.sync_all()).map_err(failed("replace"))
    }
}

/// The first line of what a parser says, without the excerpt it draws.
fn first_line(error: &toml_edit::TomlError) -> Box<dyn std::error::Error + Send + Sync> {
    let text = error.to_string();
    let place = text.lines().next().unwrap_or_default().to_owned();
    format!("{place}: {}", error.message()).into()
}

/// Checks a value for a key.
///
/// # Errors
/// [`CliError::BadSetting`] naming what the key takes.
pub(crate) fn check(key: Key, value: &str) -> Result<(), CliError> {
    let bad = |why| CliError::BadSetting { key: key.name.into(), value: value.into(), why };
    match key.kind {
        Kind::Text if value.chars().any(char::is_control) => Err(bad("it must be one line")),
        Kind::Span if span(value).is_none() => Err(bad("write 10s or 2m")),
        Kind::Count if !value.parse::<u16>().is_ok_and(|n| (1..=256).contains(&n)) => {
            Err(bad("write a number from 1 to 256"))
        }
        Kind::When if !check_when(value) => Err(bad("write auto, always or never")),
        Kind::Memory if !matches!(value, "suggest" | "apply" | "off") => {
            Err(bad("write suggest, apply or off"))
        }
        Kind::Branches
            if Protected::parse(value).is_err() || value.chars().any(char::is_control) =>
        {
            Err(bad("write branches or patterns with commas between: main, release/*"))
        }
        Kind::Switch if !matches!(value, "on" | "off") => Err(bad("write on or off")),
        _ => Ok(()),
    }
}

fn check_when(value: &str) -> bool {
    matches!(value, "auto" | "always" | "never")
}

/// Reads a time span of at most a day; a bare number counts seconds.
fn span(text: &str) -> Option<Duration> {
    let text = text.trim();
    let span = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => Duration::try_from(text.parse::<SignedDuration>().ok()?).ok()?,
    };
    (span <= Duration::from_secs(86_400)).then_some(span)
}

/// The account and machine, as `ana@studio`.
fn account() -> String {
    let names = ["USER", "LOGNAME", "USERNAME"];
    let user = names.into_iter().find_map(|name| std::env::var(name).ok());
    let user = user.filter(|user| !user.is_empty() && !user.chars().any(char::is_control));
    let user = user.unwrap_or_else(|| match rustix::process::getuid().as_raw() {
        0 => "root".into(),
        number => format!("user-{number}"),
    });
    let node = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let node = if node.is_empty() { "localhost".to_owned() } else { node };
    format!("{user}@{node}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_seconds_or_have_units() {
        assert_eq!(span("10"), Some(Duration::from_secs(10)));
        assert_eq!(span("2m"), Some(Duration::from_secs(120)));
        assert_eq!(span("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(span("-1s"), None);
        assert_eq!(span("soon"), None);
        assert_eq!(span("99999999"), None);
    }

    #[test]
    fn setting_keeps_comments_and_other_keys() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        let mut file = File::read(&path).unwrap();
        file.document = "# mine\n[user]\nname = \"Ana\" # me\n".parse().unwrap();
        file.set(key("ingest.jobs").unwrap(), "3");
        file.set(key("user.email").unwrap(), "ana@example.com");
        file.save().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# mine\n[user]\nname = \"Ana\" # me\n"), "{text}");
        let mut again = File::read(&path).unwrap();
        assert_eq!(again.get("ingest.jobs").as_deref(), Some("3"));
        assert!(again.unset(key("ingest.jobs").unwrap()));
        assert!(!again.unset(key("ingest.jobs").unwrap()));
    }

    #[test]
    fn unknown_keys_are_refused_with_the_nearest() {
        let near = |name: &str| match key(name) {
            Err(CliError::UnknownKey { near, .. }) => near,
            other => panic!("{other:?}"),
        };
        assert_eq!(near("user.nmae"), Some("user.name"));
        assert_eq!(near("quite.different"), None);
    }

    #[test]
    fn values_are_checked() {
        let checks = |name: &str, value: &str| check(key(name).unwrap(), value).is_ok();
        assert!(checks("lock.wait", "30s") && !checks("lock.wait", "long"));
        assert!(checks("ingest.jobs", "8") && !checks("ingest.jobs", "0"));
        assert!(checks("ui.color", "never") && !checks("ui.color", "blue"));
        assert!(!checks("user.name", "a\nb"));
    }
}
