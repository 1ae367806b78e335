//! Every error code: the exit status and HTTP status it maps to, its title, and what to do next.
//!
//! Codes are permanent; `docs/errors.md` lists them for people. Tests hold this table, that page and
//! the codes in the sources together.

mod table;

pub(crate) use table::TABLE;

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
        insta::assert_snapshot!(rows.join("\n"), @r"
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
        document.invalid 1 422 A field breaks its schema
        document.bad_field 2 400 Not a field path
        document.no_field 3 404 No such field
        document.no_film 3 404 No film to tell of
        refs.bad_name 2 400 No branch or tag can have that name
        refs.exists 6 409 The name is taken
        refs.current 6 409 The working copy is on that branch
        refs.inherited 6 409 Other editions inherit from it
        refs.unmerged 6 409 Commits would be reachable from nowhere
        branch.protected 8 403 The branch is protected
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
        merge.bad_pattern 2 400 Not a pattern of fields
        merge.bad_choice 1 422 The value cannot stand there
        merge.cannot_rename 1 409 The entry cannot be given that key
        merge.half_settled 1 422 A conflict is neither settled nor left alone
        merge.document_removed 1 409 The whole document would go
        merge.too_many_terms 1 422 Too many versions disagree
        merge.bad_generation 10 500 A commit is not older than its child
        merge.other_conflict 6 412 The conflict is no longer the one that was meant
        merge.not_remembered 3 404 No such resolution is remembered
        merge.nothing_remembered 3 404 Nothing is remembered of these conflicts
        layer.no_parent 6 409 The edition inherits from no other
        layer.inherited_name 6 409 A folder of documents has the name of a document that is inherited
        layer.not_overridden 3 404 Nothing of the edition's own is there
        plan.stale 6 412 What would be done now is another plan
        schema.bad_yaml 2 400 Not a schema
        schema.bad_binding 2 400 What binds documents to schemas makes no sense
        schema.bad_field 2 400 A schema that makes no sense
        schema.same_field 2 400 Two patterns match the same fields
        import.unknown_format 2 415 No known format
        import.malformed 1 400 A delivery cannot be read
        import.too_large 1 413 A delivery is past a limit
        import.bad_mapping 2 400 Not a mapping
        import.refused 7 422 A delivery must not be taken
        export.one_way 2 400 The format is read, and not written
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
        chunk.bad_map 10 500 What rebuilds a file is damaged
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
