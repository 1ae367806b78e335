//! How an error is shown: an error, its causes and a hint, a line each, on stderr; or one RFC 9457 problem object on stdout.

use std::error::Error;
use std::io::ErrorKind;

use ottvc_merge::MergeError;
use ottvc_merge::layers::NotReset;
use ottvc_repo::RepoError;
use ottvc_repo::derived::NoFilm;
use ottvc_repo::schemas::Found;
use ottvc_store::StoreError;
use serde_json::{Map, Value as Json, json};

use crate::error::CliError;
use crate::exit::{self, Row};
use crate::show;

/// What `type` starts with; the code follows.
const TYPE_PREFIX: &str = "urn:ottvc:problem:";

/// An error, ready to be shown.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) row: Row,
    what: String,
    cause: Option<String>,
    hint: String,
    /// What it only counts, each with a line of its own.
    parts: Vec<String>,
    members: Map<String, Json>,
}

impl Problem {
    pub(crate) fn of(error: &CliError) -> Self {
        let row = exit::of(error.code());
        Self {
            row,
            what: one_line(&error.to_string()),
            cause: cause(error),
            hint: hint(error).unwrap_or_else(|| row.hint.to_owned()),
            parts: parts(error),
            members: members(error),
        }
    }

    /// The same, met by the command of this name.
    pub(crate) fn about(mut self, command: Option<&str>) -> Self {
        if let Some(command) = command {
            self.hint = self.hint.replace("help COMMAND", &format!("help {command}"));
        }
        match (self.row.code, command) {
            ("worktree.local_changes", Some("checkout")) => {
                self.hint = "move them away, or overwrite them with --force".into();
            }
            ("worktree.local_changes", Some("restore")) => {
                self.hint = "move them away, or give them up with --force".into();
            }
            ("worktree.local_changes", Some("rm")) => {
                self.hint = "--keep leaves the files, --force removes them all the same".into();
            }
            ("merge.conflicts", Some("meta" | "cat" | "checkout" | "audit" | "show"))
                if self.hint == self.row.hint =>
            {
                self.hint = "--conflicts markers|ours|theirs|base|omit says what to show".into();
            }
            _ => {}
        }
        self
    }

    /// The problem that a panic leaves behind: a mistake in this program.
    pub(crate) fn internal() -> Self {
        let row = exit::of("internal");
        Self {
            row,
            what: "this is a mistake in ottvc".into(),
            cause: None,
            hint: row.hint.into(),
            parts: Vec::new(),
            members: Map::new(),
        }
    }

    /// Writes the lines for people to stderr.
    pub(crate) fn print(&self) {
        // Where stderr is gone there is nobody left to tell.
        use std::io::Write;
        let mut err = anstream::stderr().lock();
        let _ = writeln!(err, "{} {}", show::paint(show::BAD, "error:"), self.what);
        for part in &self.parts {
            let _ = writeln!(err, "{} {part}", show::paint(show::BAD, "cause:"));
        }
        if let Some(cause) = &self.cause {
            let _ = writeln!(err, "{} {cause}", show::paint(show::BAD, "cause:"));
        }
        let _ = writeln!(err, "{} {}", show::paint(show::TITLE, "hint:"), self.hint);
    }

    /// The problem object.
    pub(crate) fn json(&self) -> Json {
        let mut object = json!({
            "type": format!("{TYPE_PREFIX}{}", self.row.code),
            "title": self.row.title,
            "status": self.row.http,
            "detail": self.what,
            "hint": self.hint,
            "code": self.row.code,
            "exit": self.row.exit.code(),
        });
        if let Json::Object(object) = &mut object {
            if let Some(cause) = &self.cause {
                object.insert("cause".into(), Json::from(cause.as_str()));
            }
            object.extend(self.members.clone());
        }
        object
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<&str>>().join(" ")
}

/// The errors beneath, outermost first, on one line; none that only repeats the one above.
fn cause(error: &CliError) -> Option<String> {
    let mut causes: Vec<String> = Vec::new();
    let mut above = one_line(&error.to_string());
    let mut source = error.source();
    while let Some(error) = source {
        let text = one_line(&error.to_string());
        if !above.contains(&text) {
            causes.push(text.clone());
        }
        above = text;
        source = error.source();
    }
    if causes.is_empty() { None } else { Some(causes.join(": ")) }
}

/// The findings behind an error that only counts them.
fn parts(error: &CliError) -> Vec<String> {
    let part = |Found { path, field, rule, value, why, .. }: &Found| {
        one_line(&format!("`{path}#{field}`, {rule}: {why}, and it is {value}"))
    };
    match error {
        CliError::Repo(RepoError::Invalid { findings }) if findings.len() > 1 => {
            findings.iter().map(part).collect()
        }
        CliError::Kept { source, .. } | CliError::Meant { source, .. } => parts(source),
        _ => Vec::new(),
    }
}

/// What to do next, where the error knows better than its code.
fn hint(error: &CliError) -> Option<String> {
    match error {
        CliError::Usage { hint, .. } => hint.clone(),
        CliError::Output(source) if source.kind() == ErrorKind::StorageFull => {
            Some("make room, then run the command again".into())
        }
        CliError::NoMarks { .. } => {
            Some("--conflicts ours|theirs|base|omit says what to show of a file".into())
        }
        CliError::BadInput { .. } => Some("mend the JSON there, then repeat".into()),
        CliError::Kept { path, document, .. } => {
            let path = path.to_string_lossy();
            let path = shell_words::quote(&path);
            Some(match document {
                None => format!("what you typed is kept in {path}"),
                Some(document) => format!(
                    "what you typed is kept: `ottvc meta edit {} --from {path}` opens it again",
                    shell_words::quote(document)
                ),
            })
        }
        CliError::Meant { meant, .. } => Some(format!("did you mean {meant}?")),
        CliError::UnknownKey { near: Some(near), .. } => Some(format!("did you mean `{near}`?")),
        CliError::Repo(error) => match error {
            _ if is_full(error) => Some("make room, then run the command again".into()),
            RepoError::UnknownRevision { near, .. } | RepoError::NoPath { near, .. } => {
                did_you_mean(near)
            }
            RepoError::AmbiguousRevision { candidates, .. } => {
                let some: Vec<String> =
                    candidates.iter().take(3).map(|id| show::short(id).to_owned()).collect();
                Some(format!("type more of the id: {}", some.join(", ")))
            }
            RepoError::BadArgument { wanted: "field assignment", .. } => {
                Some("write FIELD=JSON, a text in double quotes: '/rating=\"18\"'".into())
            }
            RepoError::BadArgument { wanted: "JSON value", .. } => {
                Some("a text stands in double quotes: --value '\"FSK 16\"'".into())
            }
            RepoError::BadArgument { wanted: "way to go on", .. } => {
                Some("--reason TEXT says it, and the commits record it".into())
            }
            RepoError::BadArgument { wanted: "place of one conflict", .. } => {
                Some("name one of them; --take and --rule settle several".into())
            }
            RepoError::Protected { conflicts, .. } if !conflicts.is_empty() => Some(
                "settle them first: on a branch that is not protected, or before the commit".into(),
            ),
            RepoError::NameClash { free: Some(free), .. } => {
                Some(format!("`{free}` would do"))
            }
            RepoError::Inherited { name, .. } => Some(format!(
                "delete those first; `ottvc branch -d {name} --force` deletes it all the same, and nothing reaches them then"
            )),
            RepoError::Unmerged { name } => {
                Some(format!("merge it, or delete it with `ottvc branch -d {name} --force`"))
            }
            RepoError::NotOverridden { why: NotReset::Own, .. } => Some(
                "`ottvc meta set` and `ottvc meta unset` change it; `ottvc meta schema` prints schemas"
                    .into(),
            ),
            RepoError::NoFilm { why: NoFilm::Disputed(film), .. } => {
                let film = shell_words::quote(film);
                Some(format!("settle which film it is: `ottvc resolve {film} --take ours` (or theirs)"))
            }
            RepoError::NoFilm { why: NoFilm::Several(films), .. } => films.first().map(|film| {
                let film = shell_words::quote(film);
                format!("name the film, and its own document tells of it: `ottvc meta probe {film}`")
            }),
            RepoError::NoFilm { why: NoFilm::TooManyFiles, .. } => Some(
                "name the film, and its own document tells of it: `ottvc meta probe FILM`".into(),
            ),
            RepoError::Exists { kind: "branch", name } => {
                Some(format!("`ottvc switch {name}` goes there; or take another name"))
            }
            _ => None,
        },
        _ => None,
    }
}

/// Whether a full disk is beneath an error whose code does not say so.
fn is_full(error: &RepoError) -> bool {
    let mut source = error.source();
    while let Some(error) = source {
        let full = [ErrorKind::StorageFull, ErrorKind::QuotaExceeded];
        if error.downcast_ref::<std::io::Error>().is_some_and(|it| full.contains(&it.kind())) {
            return true;
        }
        source = error.source();
    }
    false
}

fn did_you_mean(near: &[String]) -> Option<String> {
    let names: Vec<String> = near.iter().map(|name| format!("`{name}`")).collect();
    let (last, rest) = names.split_last()?;
    match rest {
        [] => Some(format!("did you mean {last}?")),
        rest => Some(format!("did you mean {} or {last}?", rest.join(", "))),
    }
}

/// What the error is about, for programs.
fn members(error: &CliError) -> Map<String, Json> {
    let members = match error {
        CliError::NoRepository { from } => json!({ "path": from.display().to_string() }),
        CliError::NoInput { path } | CliError::Input { path, .. } | CliError::File { path, .. } => {
            json!({ "path": path.display().to_string() })
        }
        CliError::BadInput { path, source } => {
            let mut members = object_members(source);
            members.insert("path".into(), Json::from(path.display().to_string()));
            Json::Object(members)
        }
        CliError::Delivery { path, source } => {
            let mut members = json!({ "path": path.display().to_string() });
            if let (Json::Object(members), Some(line)) = (&mut members, source.line()) {
                members.insert("line".into(), Json::from(line));
            }
            members
        }
        CliError::NoMarks { paths } => json!({ "paths": paths }),
        CliError::UnknownKey { key, near } => json!({ "key": key, "near": near }),
        CliError::BadSetting { key, .. } => json!({ "key": key }),
        CliError::Repo(error) => return repo_members(error),
        CliError::Meant { source, .. } => return self::members(source),
        CliError::Kept { path, source, .. } => {
            let mut members = self::members(source);
            members.insert("kept".into(), Json::from(path.display().to_string()));
            return members;
        }
        _ => Json::Null,
    };
    into_map(members)
}

fn into_map(json: Json) -> Map<String, Json> {
    match json {
        Json::Object(map) => map,
        _ => Map::new(),
    }
}

fn repo_members(error: &RepoError) -> Map<String, Json> {
    into_map(match error {
        RepoError::UnknownRevision { rev, near } => json!({ "revision": rev, "near": near }),
        RepoError::AmbiguousRevision { rev, candidates } => {
            json!({ "revision": rev, "candidates": candidates })
        }
        RepoError::Unborn { branch } => json!({ "branch": branch }),
        RepoError::NoPath { path, near, .. } => json!({ "path": path, "near": near }),
        RepoError::NoField { field, place } => json!({ "field": field, "path": place }),
        RepoError::NoFilm { path, why: NoFilm::Several(films) } => {
            json!({ "path": path, "films": films })
        }
        RepoError::PathOutside { path }
        | RepoError::NoFilm { path, .. }
        | RepoError::WrongKind { path, .. }
        | RepoError::InTheWay { path } => json!({ "path": path }),
        RepoError::Collision { first, second } => json!({ "paths": [first, second] }),
        RepoError::LocalChanges { paths } | RepoError::Conflicts { paths } => {
            json!({ "paths": paths })
        }
        RepoError::BadDocument { path, source } => {
            let mut members = object_members(source);
            members.insert("path".into(), Json::from(path.as_str()));
            return members;
        }
        RepoError::BadSchemas { path, source } => {
            let line = match &**source {
                MergeError::BadYaml { line, .. }
                | MergeError::BadField { line, .. }
                | MergeError::SameField { line, .. }
                | MergeError::BadBinding { line, .. } => *line,
                _ => 0,
            };
            json!({ "path": path, "line": line })
        }
        RepoError::InheritedName { folder, document } => {
            json!({ "path": folder, "document": document })
        }
        RepoError::Invalid { findings } => json!({ "findings": findings }),
        RepoError::NameClash { name, other, free, .. } => {
            json!({ "name": name, "other": other, "free": free })
        }
        RepoError::Inherited { name, heirs } => json!({ "name": name, "editions": heirs }),
        RepoError::Exists { name, .. }
        | RepoError::CurrentBranch { name }
        | RepoError::Unmerged { name } => json!({ "name": name }),
        RepoError::Protected { name, conflicts } => json!({ "name": name, "paths": conflicts }),
        RepoError::OtherConflict { place, id } => json!({ "place": place, "id": id }),
        RepoError::MergeInProgress { theirs } => json!({ "theirs": theirs }),
        RepoError::CannotUndo { id, .. } => json!({ "operation": id }),
        RepoError::Object(error) => return object_members(error),
        RepoError::Merge(ottvc_merge::MergeError::HalfSettled { line, text }) => {
            json!({ "line": line, "text": text })
        }
        RepoError::Store(error) => return store_members(error),
        RepoError::Io { path, .. } => json!({ "path": path.display().to_string() }),
        _ => Json::Null,
    })
}

fn object_members(error: &ottvc_object::ObjectError) -> Map<String, Json> {
    use ottvc_object::ObjectError;
    into_map(match error {
        ObjectError::BadJson { line, column, .. } => json!({ "line": line, "column": column }),
        ObjectError::BadValue { field, .. } | ObjectError::BadField { field, .. } => {
            json!({ "field": field })
        }
        ObjectError::BadPath { path, .. } => json!({ "path": path }),
        ObjectError::OutOfRange { len, .. } => json!({ "length": len }),
        _ => Json::Null,
    })
}

fn store_members(error: &StoreError) -> Map<String, Json> {
    into_map(match error {
        StoreError::Busy { holder, path } => {
            json!({ "holder": holder, "path": path.display().to_string() })
        }
        StoreError::TooNew { found, known, .. } => json!({ "found": found, "known": known }),
        StoreError::NotFound { id } | StoreError::Damaged { id, .. } => {
            json!({ "id": id.to_string() })
        }
        StoreError::NoChunk { id } | StoreError::DamagedChunk { id, .. } => {
            json!({ "id": id.to_string() })
        }
        StoreError::Full { path, .. } | StoreError::Denied { path, .. } => {
            json!({ "path": path.display().to_string() })
        }
        _ => Json::Null,
    })
}
