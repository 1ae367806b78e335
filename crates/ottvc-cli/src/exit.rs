//! Every error code: the exit status and HTTP status it maps to, its title, and what to do next.
//!
//! Codes are permanent; `docs/errors.md` lists them for people. Tests hold this table, that page and
//! the codes in the sources together.

/// How a command ended, as scripts see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Ok,
    Error,
    Usage,
    NotFound,
    Conflicts,
    Locked,
    Stale,
    Findings,
    NotAllowed,
    Unreachable,
    Damage,
}

impl Exit {
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Error => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Conflicts => 4,
            Self::Locked => 5,
            Self::Stale => 6,
            Self::Findings => 7,
            Self::NotAllowed => 8,
            Self::Unreachable => 9,
            Self::Damage => 10,
        }
    }
}

/// What an error code means at the edges.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) code: &'static str,
    pub(crate) exit: Exit,
    pub(crate) http: u16,
    pub(crate) title: &'static str,
    /// What to do next, where the error itself knows nothing better.
    pub(crate) hint: &'static str,
}

const fn row(
    code: &'static str,
    exit: Exit,
    http: u16,
    title: &'static str,
    hint: &'static str,
) -> Row {
    Row { code, exit, http, title, hint }
}

/// The row for codes nobody listed; a test makes sure there are none.
const UNKNOWN: Row = row(
    "internal",
    Exit::Error,
    500,
    "Internal error",
    "please report it, with the command and this output",
);

/// Returns what `code` means.
pub(crate) fn of(code: &str) -> Row {
    TABLE.iter().find(|row| row.code == code).copied().unwrap_or(UNKNOWN)
}

use Exit::{Conflicts, Damage, Error, Locked, NotAllowed, NotFound, Stale, Unreachable, Usage};

/// All codes, in the order of `docs/errors.md`.
pub(crate) const TABLE: &[Row] = &[
    // What was typed.
    row(
        "argument.usage",
        Usage,
        400,
        "The command line cannot be understood",
        "`ottvc help COMMAND` says what it takes",
    ),
    row(
        "argument.bad",
        Usage,
        400,
        "An argument makes no sense",
        "`ottvc help COMMAND` says what it takes",
    ),
    row("argument.no_message", Usage, 400, "No message was given", "say why with -m MESSAGE"),
    row(
        "argument.no_network",
        Unreachable,
        501,
        "Repositories elsewhere cannot be reached",
        "this release works on repositories of this machine: give a folder",
    ),
    row("input.not_found", NotFound, 404, "A file is not there", "check the path"),
    row("input.io", Error, 500, "A file cannot be read", "see the cause"),
    row(
        "revision.unknown",
        NotFound,
        404,
        "No such revision",
        "`ottvc branch`, `ottvc tag` and `ottvc log` list what there is",
    ),
    row(
        "revision.ambiguous",
        NotFound,
        404,
        "Several commits begin with that id",
        "type more of the id",
    ),
    row(
        "revision.unborn",
        NotFound,
        404,
        "The branch has no commit yet",
        "`ottvc add` files, then `ottvc commit`",
    ),
    row(
        "path.not_found",
        NotFound,
        404,
        "No such path",
        "`ottvc ls -r REV` lists what a revision holds, `ottvc status` what is here",
    ),
    row(
        "path.outside",
        NotAllowed,
        403,
        "The path is outside the working copy",
        "name a path inside it",
    ),
    row("path.invalid", Usage, 400, "No file can have that name on every system", "rename it"),
    row("path.wrong_kind", Usage, 400, "The path is something else", "`ottvc ls` shows what it is"),
    row("path.collision", Error, 409, "Two names are one on many systems", "rename one of them"),
    // Working copy and commits.
    row(
        "worktree.local_changes",
        Stale,
        409,
        "Local changes would be lost",
        "commit them, or move the files away, then repeat",
    ),
    row("worktree.in_the_way", Stale, 409, "Something is in the way", "move it away, then repeat"),
    row(
        "worktree.io",
        Error,
        500,
        "The file system failed",
        "see the cause; nothing recorded was lost",
    ),
    row(
        "worktree.full",
        Error,
        507,
        "No space left for files",
        "make room, then run the command again",
    ),
    row(
        "worktree.denied",
        NotAllowed,
        403,
        "The system refuses access to a file",
        "check its permissions and those of its folder",
    ),
    row(
        "worktree.bad_state",
        Damage,
        500,
        "The state of the working copy cannot be read",
        "`ottvc doctor` looks further",
    ),
    row(
        "commit.nothing",
        Error,
        409,
        "Nothing to commit",
        "`ottvc status` shows what changed; `ottvc add` stages it",
    ),
    row(
        "content.read",
        Error,
        500,
        "A file's bytes could not be read",
        "see the cause; what was stored so far is not stored twice",
    ),
    row(
        "content.write",
        Error,
        500,
        "A file's bytes could not be written",
        "see the cause; the store is unharmed",
    ),
    row(
        "content.thread",
        Error,
        503,
        "No thread to work on",
        "close something, or lower ingest.jobs with `ottvc config`",
    ),
    row(
        "content.no_manifest",
        Damage,
        500,
        "The store does not keep a file",
        "`ottvc verify` names what is affected; adding the same file again mends it",
    ),
    row(
        "content.mismatch",
        Damage,
        500,
        "A file is not what it was",
        "`ottvc verify` names what is affected; adding the same file again mends it",
    ),
    row(
        "document.bad_json",
        Error,
        422,
        "Not a metadata document",
        "mend the JSON there and add it again; other names than *.meta.json are stored as they are",
    ),
    row(
        "document.bad_value",
        Error,
        422,
        "Not a metadata value",
        "change that field and try again",
    ),
    row("document.bad_field", Usage, 400, "Not a field path", "write it as /title/en"),
    row("document.no_field", NotFound, 404, "No such field", "`ottvc meta get` shows all fields"),
    // Branches, tags, operations.
    row(
        "refs.bad_name",
        Usage,
        400,
        "No branch or tag can have that name",
        "use letters, digits and - _ . + /",
    ),
    row("refs.exists", Stale, 409, "The name is taken", "take another name"),
    row(
        "refs.current",
        Stale,
        409,
        "The working copy is on that branch",
        "`ottvc switch` to another branch first",
    ),
    row(
        "refs.unmerged",
        Stale,
        409,
        "Commits would be reachable from nowhere",
        "merge or tag it first; `ottvc branch -d --force` deletes it all the same",
    ),
    row(
        "refs.moved",
        Stale,
        412,
        "A ref moved meanwhile",
        "look at it again, then repeat; nothing was changed",
    ),
    row(
        "refs.bad_transaction",
        Error,
        500,
        "A change of refs contradicts itself",
        "please report it, with the command",
    ),
    row(
        "refs.read_only",
        NotAllowed,
        403,
        "The repository is open for reading",
        "check the permissions of .ottvc",
    ),
    row("refs.backend", Error, 500, "The ref store failed", "see the cause; trying again may help"),
    row(
        "operation.cannot_undo",
        Stale,
        409,
        "The operation cannot be undone",
        "`ottvc ops` lists operations, newest first",
    ),
    // Merge and conflicts.
    row(
        "merge.conflicts",
        Conflicts,
        409,
        "Conflicts are left",
        "`ottvc conflicts` lists them, `ottvc resolve` settles them",
    ),
    row(
        "merge.in_progress",
        Stale,
        409,
        "A merge is not finished",
        "`ottvc resolve` and `ottvc commit` finish it, `ottvc merge --abort` gives it up",
    ),
    row("merge.none", Stale, 409, "No merge is in progress", "`ottvc merge REV` starts one"),
    row(
        "merge.unrelated",
        Error,
        409,
        "The histories share no commit",
        "--allow-unrelated merges them over an empty base",
    ),
    row(
        "merge.no_conflict",
        NotFound,
        404,
        "No conflict is there",
        "`ottvc conflicts` lists those there are",
    ),
    row(
        "merge.no_such_term",
        NotFound,
        404,
        "The conflict has no such side",
        "`ottvc conflicts` shows what it has",
    ),
    row(
        "merge.contested_term",
        Conflicts,
        409,
        "The base is a conflict itself",
        "take ours or theirs, or give a --value",
    ),
    row(
        "merge.unread_conflict",
        Error,
        500,
        "A conflict was not read",
        "please report it, with the command",
    ),
    row(
        "merge.bad_rule",
        Usage,
        400,
        "Not a merge rule",
        "write PATTERN=ours, PATTERN=theirs or PATTERN=base, such as '/ratings/**=theirs'",
    ),
    row("merge.bad_choice", Error, 422, "The value cannot stand there", "give another value"),
    row(
        "merge.document_removed",
        Error,
        409,
        "The whole document would go",
        "remove the file with `ottvc rm`",
    ),
    row("merge.too_many_terms", Error, 422, "Too many versions disagree", "merge fewer at a time"),
    row(
        "merge.bad_generation",
        Damage,
        500,
        "A commit is not older than its child",
        "`ottvc verify` checks all of history",
    ),
    // Store.
    row(
        "store.none_here",
        NotFound,
        404,
        "No repository here",
        "`ottvc init` makes one; -C DIR looks elsewhere",
    ),
    row(
        "store.too_new",
        Stale,
        501,
        "A newer release wrote this repository",
        "install a newer release of ottvc",
    ),
    row(
        "store.bad_version",
        Damage,
        500,
        "The format version cannot be read",
        "write that into it, if no newer release wrote this repository",
    ),
    row(
        "store.busy",
        Locked,
        423,
        "Another command holds the repository",
        "wait until it is done; OTTVC_LOCK_WAIT=60s waits longer",
    ),
    row(
        "store.full",
        Error,
        507,
        "No space left in the store",
        "make room, then run the command again; what was stored stays",
    ),
    row(
        "store.denied",
        NotAllowed,
        403,
        "The system refuses access to the store",
        "check the permissions of .ottvc",
    ),
    row(
        "store.read_only",
        NotAllowed,
        403,
        "The store is open for reading",
        "check the permissions of .ottvc",
    ),
    row(
        "store.damaged",
        Damage,
        500,
        "Stored bytes are damaged",
        "`ottvc verify` names what is affected; adding the same file again mends it",
    ),
    row(
        "store.not_found",
        Damage,
        500,
        "An object is missing",
        "`ottvc verify` names what is affected",
    ),
    row(
        "store.no_chunk",
        Damage,
        500,
        "A chunk is missing",
        "`ottvc verify` names what is affected; adding the same file again mends it",
    ),
    row(
        "store.index",
        Error,
        500,
        "The index cannot be used",
        "`ottvc doctor --repair` rebuilds it from the packs",
    ),
    row(
        "store.backend",
        Error,
        500,
        "The disk or database failed",
        "see the cause; trying again may help",
    ),
    row("store.stopped", Error, 500, "Reading was stopped", "see the cause"),
    row(
        "trash.not_found",
        NotFound,
        404,
        "Nothing in the trash has that id",
        "`ottvc trash list` shows what is there",
    ),
    row(
        "audit.unbalanced",
        Damage,
        500,
        "The audit does not add up",
        "`ottvc doctor --repair` rebuilds the index; `ottvc verify` checks the packs",
    ),
    // Objects.
    row("object.bad_id", Usage, 400, "Not an id", "an id is 64 hexadecimal digits"),
    row("object.malformed", Damage, 500, "Bytes are no object", "`ottvc verify` checks everything"),
    row(
        "object.unknown_layout",
        Stale,
        501,
        "A later release wrote this",
        "install a newer release of ottvc",
    ),
    row("object.too_large", Error, 413, "Over a limit", "split it"),
    row(
        "object.out_of_range",
        Usage,
        416,
        "Past the end",
        "ranges count from 0; `ottvc ls` shows sizes",
    ),
    row(
        "chunk.bad_rule",
        Error,
        400,
        "An impossible way to cut files",
        "please report it, with the command",
    ),
    row(
        "proof.malformed",
        Error,
        422,
        "Not a proof",
        "give the file that `ottvc audit prove` wrote, as it was written",
    ),
    // Settings and the program itself.
    row("config.unknown_key", Usage, 400, "No such setting", "`ottvc config` lists the settings"),
    row(
        "config.bad_value",
        Usage,
        400,
        "The setting cannot have that value",
        "`ottvc config --help` says what it takes",
    ),
    row(
        "config.bad_file",
        Error,
        500,
        "A settings file cannot be read",
        "mend or remove that line",
    ),
    row(
        "config.io",
        Error,
        500,
        "A settings file cannot be written",
        "check its permissions and those of its folder",
    ),
    row(
        "editor.none",
        Usage,
        400,
        "No editor",
        "set EDITOR, or `ottvc config set core.editor COMMAND`",
    ),
    row(
        "editor.failed",
        Error,
        500,
        "The editor failed",
        "nothing was changed; EDITOR or core.editor names another",
    ),
    row("output.failed", Error, 500, "The output cannot be written", "see the cause"),
    UNKNOWN,
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use super::{TABLE, UNKNOWN};

    fn workspace() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
    }

    fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                rust_files(&path, found);
            } else if path.extension().is_some_and(|it| it == "rs") {
                found.push(path);
            }
        }
    }

    /// The codes that `code` functions of the workspace's sources return; this file has none.
    fn codes_in_sources() -> BTreeSet<String> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(workspace().join("crates")).unwrap() {
            rust_files(&entry.unwrap().path().join("src"), &mut files);
        }
        // What a panic leaves behind is no error that anything returns.
        let mut codes = BTreeSet::from([UNKNOWN.code.to_owned()]);
        for file in files.into_iter().filter(|file| !file.ends_with("ottvc-cli/src/exit.rs")) {
            let text = std::fs::read_to_string(&file).unwrap();
            let mut rest = text.as_str();
            while let Some(at) = rest.find("fn code(&self) -> &'static str {") {
                rest = &rest[at..];
                let end = rest.find("\n    }").unwrap();
                codes.extend(rest[..end].split('"').skip(1).step_by(2).map(str::to_owned));
                rest = &rest[end..];
            }
        }
        codes
    }

    #[test]
    fn every_code_of_every_crate_is_here_and_no_other() {
        let known: BTreeSet<String> = TABLE.iter().map(|row| row.code.to_owned()).collect();
        assert_eq!(known.len(), TABLE.len(), "a code stands twice");
        assert_eq!(codes_in_sources(), known);
    }

    #[test]
    fn the_page_lists_every_code_with_its_status() {
        let page = std::fs::read_to_string(workspace().join("docs/errors.md")).unwrap();
        let listed: Vec<(String, String)> = page
            .lines()
            .filter_map(|line| {
                let mut cells = line.split('|').map(str::trim).skip(1);
                let code = cells.next()?.strip_prefix('`')?.strip_suffix('`')?;
                Some((code.to_owned(), cells.next()?.to_owned()))
            })
            .collect();
        let known: Vec<(String, String)> =
            TABLE.iter().map(|row| (row.code.to_owned(), row.exit.code().to_string())).collect();
        assert_eq!(listed, known);
    }

    /// Codes, statuses and titles are a promise: a change here is a change for scripts.
    #[test]
    fn the_table_is_what_it_was() {
        let rows: Vec<String> = TABLE
            .iter()
            .map(|row| format!("{} {} {} {}", row.code, row.exit.code(), row.http, row.title))
            .collect();
        insta::assert_snapshot!(rows.join("\n"), @"
        argument.usage 2 400 The command line cannot be understood
        argument.bad 2 400 An argument makes no sense
        argument.no_message 2 400 No message was given
        argument.no_network 9 501 Repositories elsewhere cannot be reached
        input.not_found 3 404 A file is not there
        input.io 1 500 A file cannot be read
        revision.unknown 3 404 No such revision
        revision.ambiguous 3 404 Several commits begin with that id
        revision.unborn 3 404 The branch has no commit yet
        path.not_found 3 404 No such path
        path.outside 8 403 The path is outside the working copy
        path.invalid 2 400 No file can have that name on every system
        path.wrong_kind 2 400 The path is something else
        path.collision 1 409 Two names are one on many systems
        worktree.local_changes 6 409 Local changes would be lost
        worktree.in_the_way 6 409 Something is in the way
        worktree.io 1 500 The file system failed
        worktree.full 1 507 No space left for files
        worktree.denied 8 403 The system refuses access to a file
        worktree.bad_state 10 500 The state of the working copy cannot be read
        commit.nothing 1 409 Nothing to commit
        content.read 1 500 A file's bytes could not be read
        content.write 1 500 A file's bytes could not be written
        content.thread 1 503 No thread to work on
        content.no_manifest 10 500 The store does not keep a file
        content.mismatch 10 500 A file is not what it was
        document.bad_json 1 422 Not a metadata document
        document.bad_value 1 422 Not a metadata value
        document.bad_field 2 400 Not a field path
        document.no_field 3 404 No such field
        refs.bad_name 2 400 No branch or tag can have that name
        refs.exists 6 409 The name is taken
        refs.current 6 409 The working copy is on that branch
        refs.unmerged 6 409 Commits would be reachable from nowhere
        refs.moved 6 412 A ref moved meanwhile
        refs.bad_transaction 1 500 A change of refs contradicts itself
        refs.read_only 8 403 The repository is open for reading
        refs.backend 1 500 The ref store failed
        operation.cannot_undo 6 409 The operation cannot be undone
        merge.conflicts 4 409 Conflicts are left
        merge.in_progress 6 409 A merge is not finished
        merge.none 6 409 No merge is in progress
        merge.unrelated 1 409 The histories share no commit
        merge.no_conflict 3 404 No conflict is there
        merge.no_such_term 3 404 The conflict has no such side
        merge.contested_term 4 409 The base is a conflict itself
        merge.unread_conflict 1 500 A conflict was not read
        merge.bad_rule 2 400 Not a merge rule
        merge.bad_choice 1 422 The value cannot stand there
        merge.document_removed 1 409 The whole document would go
        merge.too_many_terms 1 422 Too many versions disagree
        merge.bad_generation 10 500 A commit is not older than its child
        store.none_here 3 404 No repository here
        store.too_new 6 501 A newer release wrote this repository
        store.bad_version 10 500 The format version cannot be read
        store.busy 5 423 Another command holds the repository
        store.full 1 507 No space left in the store
        store.denied 8 403 The system refuses access to the store
        store.read_only 8 403 The store is open for reading
        store.damaged 10 500 Stored bytes are damaged
        store.not_found 10 500 An object is missing
        store.no_chunk 10 500 A chunk is missing
        store.index 1 500 The index cannot be used
        store.backend 1 500 The disk or database failed
        store.stopped 1 500 Reading was stopped
        trash.not_found 3 404 Nothing in the trash has that id
        audit.unbalanced 10 500 The audit does not add up
        object.bad_id 2 400 Not an id
        object.malformed 10 500 Bytes are no object
        object.unknown_layout 6 501 A later release wrote this
        object.too_large 1 413 Over a limit
        object.out_of_range 2 416 Past the end
        chunk.bad_rule 1 400 An impossible way to cut files
        proof.malformed 1 422 Not a proof
        config.unknown_key 2 400 No such setting
        config.bad_value 2 400 The setting cannot have that value
        config.bad_file 1 500 A settings file cannot be read
        config.io 1 500 A settings file cannot be written
        editor.none 2 400 No editor
        editor.failed 1 500 The editor failed
        output.failed 1 500 The output cannot be written
        internal 1 500 Internal error
        ");
    }

    #[test]
    fn hints_are_one_line_without_a_full_stop() {
        for row in TABLE {
            assert!(!row.hint.is_empty() && !row.hint.ends_with('.'), "{}", row.code);
            assert!(!row.hint.contains('\n') && !row.title.ends_with('.'), "{}", row.code);
        }
    }
}
