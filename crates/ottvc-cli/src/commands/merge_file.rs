//! `merge-file`: merges three JSON files; needs no repository.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use ottvc_merge::schema::{Finding, validate};
use ottvc_merge::{Decision, JsonFiles, MergeError, MergeOptions, Schema};
use ottvc_object::RepoPath;
use ottvc_object::conflict::Conflict;
use ottvc_object::field_path::{FieldPath, Segment};
use ottvc_object::value::{RENAME, Value};
use ottvc_repo::merging::DecisionRow;
use ottvc_repo::resolving::ConflictRow;
use serde_json::{Value as Json, json};

use crate::commands::merge::rules;
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::out::{Out, write_file};
use crate::screen::Screen;
use crate::sides;

/// Merge three JSON files by field, without a repository.
///
/// The merged file goes to standard output, or with --output into a file. It is laid out as OURS is:
/// the order of members, indents, line ends and whatever nobody changed stay as they are. Conflicts are
/// `$conflict` objects in it; the status is 4 if there are any, and standard error lists them. An empty
/// file, such as /dev/null, stands for none; - for standard input.
///
/// Git merges such files with the driver `ottvc merge-file %O %A %B --output %A`.
#[derive(Debug, Args)]
pub(crate) struct MergeFile {
    /// What both sides began from
    #[arg(value_name = "BASE")]
    base: PathBuf,
    /// One side
    #[arg(value_name = "OURS")]
    ours: PathBuf,
    /// The other side
    #[arg(value_name = "THEIRS")]
    theirs: PathBuf,
    /// Take a side where both disagree: '/ratings/**=theirs'; may be repeated
    #[arg(long, value_name = "PATTERN=SIDE")]
    rule: Vec<String>,
    /// What the fields are and how each of them merges: ott.edition/1, or a YAML file
    #[arg(long, value_name = "SCHEMA")]
    schema: Option<String>,
    /// Write the merged file into this one, whole or not at all; it may be one of those merged
    #[arg(long, short = 'o', value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(crate) fn run(context: &Context, out: &mut Out, args: &MergeFile) -> Result<Exit, CliError> {
    let named = [&args.base, &args.ours, &args.theirs].into_iter().map(PathBuf::as_path);
    let named = named.chain(args.schema.as_deref().map(Path::new));
    if named.filter(|path| *path == Path::new("-")).count() > 1 {
        let text = "standard input can be read once only: one `-` is one too many".to_owned();
        return Err(CliError::Usage { text, hint: None });
    }
    let schema = args
        .schema
        .as_deref()
        .map(|named| schema_of(context, named, Schema::parse_stored))
        .transpose()?;
    let schema = schema.map(|(schema, _)| schema);
    let rules = rules(&args.rule)?;
    let options = MergeOptions { rules, ..MergeOptions::default() };
    let paths = [&args.ours, &args.base, &args.theirs];
    let mut texts = Vec::with_capacity(paths.len());
    for path in paths {
        let bytes = bytes_of(context, path)?;
        texts.push((!bytes.trim_ascii().is_empty()).then_some(bytes));
    }
    let files = JsonFiles::read(texts, schema.clone()).map_err(|(term, source)| {
        let path = paths.get(term).map_or_else(PathBuf::new, |path| path.to_path_buf());
        CliError::BadInput { path, source }
    })?;
    let file = file_name(&args.ours);
    let merged = files.merge(&options, &file)?;
    let clean = merged.conflicts.is_empty();
    let document = merged.value.as_ref().map_or(Json::Null, |value| files.to_json(value));
    let show = |at: &FieldPath, value: &Value| files.to_json_at(at, value);
    let found = match (&schema, &merged.value) {
        (Some(schema), Some(value)) => validate(value, schema),
        _ => Vec::new(),
    };
    let rows = conflicts(merged.value.as_ref(), &file, &show);
    let mut answer = json!({
        "clean": clean,
        "merged": document,
        "conflicts": rows.iter().map(|row| without_path(json!(row))).collect::<Vec<Json>>(),
        "decisions": merged.decisions.iter().map(|it| decision(it, &show)).collect::<Vec<Json>>(),
    });
    if let (Json::Object(answer), Some(_)) = (&mut answer, &schema) {
        // What the sides broke together, in different places, and what is wrong whoever wrote it.
        let rows = |all: &[Finding]| all.iter().map(finding).collect::<Json>();
        answer.insert("notices".into(), rows(&merged.notices));
        answer.insert("findings".into(), rows(&found));
    }
    // Held to the limits of documents, which two sides can go past together.
    if let Some(value) = &merged.value {
        value.check()?;
    }
    let text = files.write(merged.value.as_ref())?;
    if let Some(path) = &args.output {
        write_file(&context.folder.join(path), &mut |file| file.write_all(&text))?;
    }
    context.answer(out, &answer, |out| {
        for Finding { path, why, value, .. } in &found {
            context.note(&format!("note: `{path}`, {value}: {why}"));
        }
        for line in sides::short_lines(&rows, &Screen::of_errors()) {
            context.note(&line);
        }
        if !clean && schema.is_none() {
            context.note(
                "hint: a schema may settle more: --schema ott.edition/1, or a file of your own",
            );
        }
        if args.output.is_some() {
            return Ok(());
        }
        out.bytes()?.write_all(&text).map_err(CliError::Output)
    })?;
    Ok(if clean { Exit::Ok } else { Exit::Conflicts })
}

/// Returns the schema of this name, or the one in this file as `read` reads it, and its text.
pub(crate) fn schema_of(
    context: &Context,
    named: &str,
    read: impl Fn(&str) -> Result<Schema, MergeError>,
) -> Result<(Arc<Schema>, String), CliError> {
    let built_in = Schema::edition()?;
    if named == built_in.full_name() {
        return Ok((built_in, Schema::edition_text().to_owned()));
    }
    let path = Path::new(named);
    let text = String::from_utf8(bytes_of(context, path)?).map_err(|error| CliError::Input {
        path: path.to_path_buf(),
        source: std::io::Error::new(std::io::ErrorKind::InvalidData, error.utf8_error()),
    })?;
    Ok((Arc::new(read(&text)?), text))
}

/// Reads a file as long as a document may be.
pub(crate) fn bytes_of(context: &Context, path: &Path) -> Result<Vec<u8>, CliError> {
    let mut bytes = Vec::new();
    let limit = ottvc_repo::scan::MAX_JSON_BYTES;
    let read = if path == Path::new("-") {
        std::io::stdin().take(limit + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(context.folder.join(path))
            .and_then(|file| file.take(limit + 1).read_to_end(&mut bytes))
    };
    read.map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => CliError::NoInput { path: path.to_path_buf() },
        _ => CliError::Input { path: path.to_path_buf(), source },
    })?;
    let len = bytes.len() as u64;
    if len > limit {
        let what = "metadata document";
        return Err(ottvc_object::ObjectError::TooLarge { what, len, limit }.into());
    }
    Ok(bytes)
}

/// The name that globs of rules are compared with.
fn file_name(path: &Path) -> RepoPath {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    RepoPath::new(name).unwrap_or_default()
}

/// The conflicts of a merged document, with the members that `ottvc merge` gives them, but for their ids:
/// those are the ones they have in the document.
fn conflicts(
    value: Option<&Value>,
    file: &RepoPath,
    show: &dyn Fn(&FieldPath, &Value) -> Json,
) -> Vec<ConflictRow> {
    let mut found = value.map(Value::conflicts).unwrap_or_default();
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    let row = |(field, conflict): (FieldPath, &Conflict<Value>)| {
        // Each side of a rename apart stands under a key of its own, beside this one.
        let renamed = conflict.policy == RENAME && matches!(field.0.last(), Some(Segment::Key(_)));
        let at = field.parent().filter(|_| renamed).unwrap_or_else(|| field.clone());
        let row = ConflictRow::of(file, Some(&field), conflict, &|value| show(&at, value));
        ConflictRow { id: conflict.core_id().to_string(), ..row }
    };
    found.into_iter().map(row).collect()
}

fn decision(decision: &Decision, show: &dyn Fn(&FieldPath, &Value) -> Json) -> Json {
    let mut row = DecisionRow::of_field(&RepoPath::root(), decision);
    let terms = decision.terms.as_slice();
    let shown = |term: Option<&Option<Value>>| {
        term.and_then(Option::as_ref).map_or(Json::Null, |value| show(&decision.path, value))
    };
    (row.ours, row.base, row.theirs) =
        (shown(terms.first()), shown(terms.get(1)), shown(terms.last()));
    without_path(json!(row))
}

fn finding(Finding { path, rule, value, why }: &Finding) -> Json {
    json!({ "field": path.to_string(), "rule": rule, "value": value, "why": why })
}

/// There is one document, so its path says nothing.
fn without_path(mut json: Json) -> Json {
    if let Json::Object(object) = &mut json {
        object.remove("path");
    }
    json
}
