//! `meta`: reading and changing metadata documents.

mod check;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};
use ottvc_merge::{Marked, MergeError, Schema, group_conflict};
use ottvc_object::field_path::{FieldPath, Segment};
use ottvc_object::value::{Document, Value, value_to_json};
use ottvc_object::{ObjectError, RepoPath};
use ottvc_repo::disputed::Disputed;
use ottvc_repo::layers::ResetDocument;
use ottvc_repo::meta::{FieldEdit, document_path};
use ottvc_repo::revision::near;
use ottvc_repo::schemas::{Found, Judge, SCHEMAS_FILE};
use ottvc_repo::{Repo, RepoError};
use serde_json::{Value as Json, json};

use check::{note_broken, still_broken};

use crate::commands::conflicts::side_names;
use crate::commands::files::{Show, rev_and_path};
use crate::commands::merge_file::schema_of;
use crate::context::{Context, Need, Opened};
use crate::editor::{self, Typed};
use crate::error::CliError;
use crate::exit::Exit;
use crate::fields;
use crate::out::Out;
use crate::screen::Screen;
use crate::show::{self, BAD, DIM, NAME, TITLE, paint};
use crate::sides::own_names;

/// Read and change metadata documents.
///
/// PATH is a document, or a file: then the document beside it is meant, feature.mp4.meta.json for
/// feature.mp4. FIELD is a path in it: /titles/@fr-FR, /cast/[person=p1]/character, /genres/{war}.
#[derive(Debug, Args)]
pub(crate) struct Meta {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show a document of a revision, or one field of it
    Get {
        /// The document; without a path, edition.meta.json; without a revision, as it is here
        #[arg(value_name = "REV[:PATH]")]
        place: String,
        /// The field
        #[arg(value_name = "FIELD")]
        field: Option<String>,
        /// What to show where there is a conflict; without it, that is refused
        #[arg(long, value_name = "WHAT")]
        conflicts: Option<Show>,
    },
    /// Set fields of a document in the working copy, and stage it
    Set {
        /// The document
        #[arg(value_name = "PATH")]
        path: String,
        /// Field and value; a text stands in double quotes: '/rating="18"'
        #[arg(value_name = "FIELD=JSON", required = true)]
        fields: Vec<String>,
    },
    /// Put into a document what its film says of itself: container, length, tracks
    ///
    /// The film is the staged file beside the document, feature.mp4 for feature.mp4.meta.json; for edition.meta.json
    /// the one file of its folder that has tracks. What others have put into the field beside `bytes`, `container`
    /// and `tracks` stays. In a merge, a field whose schema says `derived(probe)` is made again of the merged film,
    /// where sides disagree about it or the film is another, and nothing else is in it.
    Probe {
        /// The document, or the film
        #[arg(value_name = "PATH")]
        path: String,
        /// The field [default: /technical]
        #[arg(value_name = "FIELD")]
        field: Option<String>,
    },
    /// Remove fields of a document in the working copy, and stage it
    Unset {
        /// The document
        #[arg(value_name = "PATH")]
        path: String,
        /// The fields
        #[arg(value_name = "FIELD", required = true)]
        fields: Vec<String>,
    },
    /// Give up what this edition says itself: inherit the fields of a document again, or all of it
    ///
    /// What that changes is shown as in ottvc diff. What a schema says nobody inherits (`never`, `at_create`) stays
    /// as it is.
    Reset {
        /// The document
        #[arg(value_name = "PATH")]
        path: String,
        /// The fields
        #[arg(value_name = "FIELD")]
        fields: Vec<String>,
        /// Say what would be given up, and change nothing
        #[arg(long, short = 'n')]
        dry_run: bool,
    },
    /// Open a document in an editor, and stage what it becomes
    ///
    /// A conflict stands there as the lines of each side between marks. Leave the lines of one and delete
    /// the marks and the rest, and it is settled; leave all as they are, and it stays. What cannot be read
    /// is kept in a file that --from opens again.
    Edit {
        /// The document; a new one is begun if there is none
        #[arg(value_name = "PATH")]
        path: String,
        /// Begin with the text in this file, as an earlier try left it
        #[arg(long, value_name = "FILE")]
        from: Option<PathBuf>,
    },
    /// List what documents break of their schemas, by field, rule and value
    ///
    /// Without a PLACE, all tracked documents as they lie in the working copy; PLACE is a document or folder of it,
    /// a revision, or a path in one. In the working copy, what was given once and is changed counts, too. The
    /// status is 7 if anything is found.
    Check {
        /// Which documents
        #[arg(value_name = "REV[:PATH]|PATH")]
        place: Option<String>,
        /// A document or folder of the working copy, whatever it is called
        #[arg(last = true, value_name = "PATH", conflicts_with = "place")]
        path: Option<String>,
    },
    /// Print a schema: what the fields of a document are, and how each of them merges
    ///
    /// FILE is YAML, and is checked; without it, the built-in ott.edition/1 is meant. With --json, its
    /// name, its id and a JSON Schema of the documents, for editors that complete fields.
    ///
    /// With --use, documents whose path matches a PATTERN (all, if none is given) get a schema: built
    /// in, listed in schemas.yaml, or a YAML file of the tree. schemas.yaml then says so, and is staged.
    Schema {
        /// The schema that documents get: ott.edition/1, or a YAML file
        #[arg(long = "use", value_name = "NAME")]
        bound: Option<String>,
        /// The schema to print; with --use, patterns of paths
        #[arg(value_name = "FILE|PATTERN")]
        given: Vec<String>,
    },
}

pub(crate) fn run(context: &Context, out: &mut Out, args: Meta) -> Result<Exit, CliError> {
    match args.action {
        Action::Schema { bound: Some(name), given } => bind(context, out, &name, given)?,
        Action::Schema { bound: None, given } => match given.as_slice() {
            [] => schema(context, out, None)?,
            [file] => schema(context, out, Some(file))?,
            _ => {
                let text = "one schema is printed at a time".to_owned();
                let hint = Some("--use NAME PATTERN... binds documents to one".to_owned());
                return Err(CliError::Usage { text, hint });
            }
        },
        Action::Get { place, field, conflicts } => {
            get(context, out, &place, field.as_deref(), conflicts)?;
        }
        Action::Set { path, fields } => {
            let edits = fields.iter().map(|text| FieldEdit::parse(text));
            let edits = edits.collect::<Result<Vec<FieldEdit>, RepoError>>()?;
            change(context, out, &path, &edits)?;
        }
        Action::Unset { path, fields } => {
            let edit = |text: &String| Ok(FieldEdit { field: text.parse()?, value: None });
            let edits = fields.iter().map(edit).collect::<Result<Vec<FieldEdit>, CliError>>()?;
            change(context, out, &path, &edits)?;
        }
        Action::Probe { path, field } => {
            let field = field.as_deref().map(str::parse::<FieldPath>).transpose()?;
            probe(context, out, &path, field)?;
        }
        Action::Check { place, path } => {
            return check::run(context, out, (place.as_deref(), path.as_deref()));
        }
        Action::Reset { path, fields, dry_run } => reset(context, out, &path, &fields, dry_run)?,
        Action::Edit { path, from } => edit(context, out, &path, from.as_deref())?,
    }
    Ok(Exit::Ok)
}

fn probe(
    context: &Context,
    out: &mut Out,
    path: &str,
    field: Option<FieldPath>,
) -> Result<(), CliError> {
    let opened = context.open(Need::Write("meta"))?;
    let (path, document, edits) = opened.repo.probe(&opened.from, path, field)?;
    report_set(context, out, &opened, (&path, &document), &edits, &[])
}

fn get(
    context: &Context,
    out: &mut Out,
    place: &str,
    field: Option<&str>,
    conflicts: Option<Show>,
) -> Result<(), CliError> {
    let opened = context.open(Need::Read)?;
    let field = field.map(str::parse::<FieldPath>).transpose()?;
    let (path, mut document) = find(&opened, place)?;
    match conflicts {
        None => refuse_disputed(&path, &document, field.as_ref())?,
        Some(show) => {
            let gone = || RepoError::NoPath {
                path: path.to_string(),
                place: "what is to be shown of its conflict".into(),
                near: Vec::new(),
            };
            document = Disputed::from(show).of_document(&document)?.ok_or_else(gone)?;
        }
    }
    let value = match &field {
        None => document.value(),
        Some(field) => document.value().get(field).ok_or_else(|| RepoError::NoField {
            field: field.to_string(),
            place: path.to_string(),
        })?,
    };
    let json = value_to_json(value);
    let answer = json!({
        "path": path.to_string(),
        "field": field.as_ref().map(ToString::to_string),
        "value": json,
    });
    context.answer(out, &answer, |out| out.line(format!("{json:#}")))
}

/// Refuses to read what is in conflict, or lies in something that is: no side may pose as the truth.
fn refuse_disputed(
    path: &RepoPath,
    document: &Document,
    field: Option<&FieldPath>,
) -> Result<(), CliError> {
    let root = FieldPath::root();
    let field = field.unwrap_or(&root);
    let value = document.value();
    let touches = |at: &FieldPath| at.starts_with(field) || field.starts_with(at);
    let mut paths: Vec<String> = value
        .conflicts()
        .into_iter()
        .filter(|(at, _)| touches(at))
        .map(|(at, _)| format!("{path}#{at}"))
        .collect();
    paths.extend(group_conflict(value, field).map(|(at, _)| format!("{path}#{at}")));
    if paths.is_empty() { Ok(()) } else { Err(RepoError::Conflicts { paths }.into()) }
}

/// Finds the document: of a revision, which wins where a document has that name, too; or as it is here, where what is
/// given is no revision but a file.
fn find(opened: &Opened, place: &str) -> Result<(RepoPath, Document), CliError> {
    let repo = &opened.repo;
    let (rev, path) = match rev_and_path(place) {
        Ok(both) => both,
        Err(error) => return here(opened, place)?.ok_or(error),
    };
    match repo.resolve(rev) {
        Ok(_) => {}
        Err(error) => {
            let found = if place.contains(':') { None } else { here(opened, place)? };
            return found.ok_or_else(|| error.into());
        }
    }
    let path = document_path(&path)?;
    let document = repo.document(rev, &path)?;
    Ok((path, document))
}

/// The document of the working copy that a path means, if there is one.
fn here(opened: &Opened, given: &str) -> Result<Option<(RepoPath, Document)>, CliError> {
    let repo = &opened.repo;
    let path = repo.repo_path(&opened.from, given).and_then(|path| document_path(&path));
    let Ok(path) = path else { return Ok(None) };
    if !repo.disk_path(&path).is_file() {
        return Ok(None);
    }
    let document = read(repo, &path)?;
    Ok(Some((path, document)))
}

fn read(repo: &Repo, path: &RepoPath) -> Result<Document, CliError> {
    let named = |error| match error {
        RepoError::Object(source) => RepoError::BadDocument { path: path.to_string(), source },
        other => other,
    };
    Ok(repo.read_document(path).map_err(named)?)
}

fn change(
    context: &Context,
    out: &mut Out,
    path: &str,
    edits: &[FieldEdit],
) -> Result<(), CliError> {
    let opened = context.open(Need::Write("meta"))?;
    let schema = match opened.repo.repo_path(&opened.from, path).and_then(|it| document_path(&it)) {
        Ok(path) => opened.repo.staged_schema(&path)?,
        Err(_) => None,
    };
    let mut notices = Vec::new();
    for FieldEdit { field, .. } in edits.iter().filter(|edit| edit.value.is_some()) {
        let unknown = |schema: &Arc<Schema>| schema.unknown(field).is_some();
        let known = |schema: &Arc<Schema>, meant: &FieldPath| schema.unknown(meant).is_none();
        match (joined_step(field), &schema) {
            (Some(meant), Some(schema)) if unknown(schema) && known(schema, &meant) => {
                let text = format!("{} has no field {field}", schema.full_name());
                let hint = Some(format!("did you mean {meant}? A slash stands before each step"));
                return Err(CliError::Usage { text, hint });
            }
            (Some(meant), None) => {
                notices.push(format!("{field} is a field of that very name; did you mean {meant}?"))
            }
            (_, schema) => {
                notices.extend(schema.iter().filter_map(|schema| unknown_field(schema, field)));
            }
        }
    }
    let done = opened.repo.edit_fields(&opened.from, path, edits);
    if !context.json {
        for notice in &notices {
            context.note(&format!("note: {}", show::plain(notice)));
        }
    }
    let (path, document) = done.map_err(|error| meant_by(error, schema.as_deref(), edits))?;
    report_set(context, out, &opened, (&path, &document), edits, &notices)
}

/// The same error, with the field that is probably meant where the schema does not know the one it is about.
fn meant_by(error: RepoError, schema: Option<&Schema>, edits: &[FieldEdit]) -> CliError {
    let meant = match (&error, schema) {
        (RepoError::Object(ObjectError::BadValue { field, .. }), Some(schema)) => {
            let about = edits.iter().map(|edit| &edit.field);
            let mut about = about.filter(|it| format!("{it}/").starts_with(&format!("{field}/")));
            about.find_map(|it| schema.unknown(it)?.meant)
        }
        _ => None,
    };
    match meant {
        Some(meant) => CliError::Meant { meant: meant.to_string(), source: Box::new(error.into()) },
        None => error.into(),
    }
}

fn report_set(
    context: &Context,
    out: &mut Out,
    opened: &Opened,
    (path, document): (&RepoPath, &Document),
    edits: &[FieldEdit],
    notices: &[String],
) -> Result<(), CliError> {
    let broken = still_broken(opened, path, document)?;
    note_broken(context, &broken);
    let mut answer =
        json!({ "path": path.to_string(), "document": value_to_json(document.value()) });
    if let Json::Object(answer) = &mut answer {
        if !notices.is_empty() {
            answer.insert("notices".into(), json!(notices));
        }
        if !broken.is_empty() {
            answer.insert("findings".into(), json!(broken));
        }
    }
    context.report(out, &answer, |out| {
        for edit in edits {
            let line = match &edit.value {
                Some(value) => format!(
                    "{}#{} = {}",
                    paint(NAME, path),
                    edit.field,
                    show::value(&value_to_json(value))
                ),
                None => format!("{}#{} removed", paint(NAME, path), edit.field),
            };
            out.line(line)?;
        }
        Ok(())
    })
}

fn reset(
    context: &Context,
    out: &mut Out,
    path: &str,
    fields: &[String],
    dry: bool,
) -> Result<(), CliError> {
    let parsed = fields.iter().map(|text| Ok(text.parse::<FieldPath>()?));
    let parsed = parsed.collect::<Result<Vec<FieldPath>, CliError>>()?;
    let opened = context.open(if dry { Need::Read } else { Need::Write("meta") })?;
    let done = match dry {
        true => opened.repo.plan_reset(&opened.from, path, &parsed)?,
        false => opened.repo.reset_fields(&opened.from, path, &parsed)?,
    };
    let ResetDocument { path, document, kept, fields } = done;
    let broken = match &document {
        Some(document) => still_broken(&opened, &path, document)?,
        None => Vec::new(),
    };
    note_broken(context, &broken);
    let json = document.as_ref().map(|document| value_to_json(document.value()));
    let kept: Vec<String> = kept.iter().map(ToString::to_string).collect();
    let mut answer =
        json!({ "path": path.to_string(), "document": json, "kept": kept, "fields": fields });
    if let (Json::Object(answer), false) = (&mut answer, broken.is_empty()) {
        answer.insert("findings".into(), json!(broken));
    }
    context.report(out, &answer, |out| {
        let is = if dry { "would be" } else { "is" };
        for field in &parsed {
            let value = match document.as_ref().and_then(|it| it.value().get(field)) {
                Some(value) => format!("{is} inherited: {}", show::value(&value_to_json(value))),
                None => format!("{is} inherited"),
            };
            out.line(format!("{}#{field} {value}", paint(NAME, &path)))?;
        }
        if parsed.is_empty() {
            out.line(format!("{} {is} inherited", paint(NAME, &path)))?;
        }
        for line in fields::lines(&fields::read(&fields), 4, &Screen::of_output()) {
            out.line(line)?;
        }
        if !kept.is_empty() {
            let kept = show::plain(&kept.join(", "));
            out.line(paint(DIM, format!("but for {kept}: not inherited, and kept")))?;
        }
        Ok(())
    })
}

/// The field that is meant where a key runs into the item or element behind it, `/ratings[system=bbfc]` for
/// `/ratings/[system=bbfc]`, if one does.
fn joined_step(field: &FieldPath) -> Option<FieldPath> {
    let mut meant = FieldPath::root();
    let mut found = false;
    for step in field.segments() {
        let Segment::Key(key) = step else {
            meant.0.push(step.clone());
            continue;
        };
        let apart = key.find(['[', '{']).filter(|at| *at > 0).and_then(|at| {
            let (name, rest) = key.split_at_checked(at)?;
            let rest: FieldPath = format!("/{rest}").parse().ok()?;
            let is_step = matches!(rest.0.as_slice(), [Segment::Item(_) | Segment::Element(_)]);
            is_step.then(|| [Segment::Key(name.to_owned())].into_iter().chain(rest.0))
        });
        found |= apart.is_some();
        match apart {
            Some(steps) => meant.0.extend(steps),
            None => meant.0.push(step.clone()),
        }
    }
    found.then_some(meant)
}

/// What to say of a field that a schema does not know: it is kept, but may be mistyped.
fn unknown_field(schema: &Schema, field: &FieldPath) -> Option<String> {
    let unknown = schema.unknown(field)?;
    let at = unknown.at.to_string();
    let name = schema.full_name();
    if let Some(meant) = &unknown.meant {
        return Some(format!("{name} has no field {at}; did you mean {meant}?"));
    }
    // What no rule of an import takes is kept there.
    if unknown.at.segments().first() == Some(&Segment::Key("custom".into())) {
        return None;
    }
    let step = |path: &FieldPath| FieldPath(path.0.last().cloned().into_iter().collect());
    let known = unknown.known.iter().map(|path| step(path).to_string());
    match near(&step(&unknown.at).to_string(), known).first() {
        None if unknown.open => None,
        None => Some(format!("{name} has no field {at}; it is kept, and merges by its kind")),
        Some(near) => {
            let above = unknown.at.parent().filter(|above| !above.is_root());
            let above = above.map(|above| above.to_string()).unwrap_or_default();
            Some(format!("{name} has no field {at}; did you mean {above}{near}?"))
        }
    }
}

fn report(
    context: &Context,
    out: &mut Out,
    (path, document): (&RepoPath, &Document),
    broken: &[Found],
    lines: impl FnOnce(&mut Out) -> Result<(), CliError>,
) -> Result<(), CliError> {
    note_broken(context, broken);
    let json = value_to_json(document.value());
    let mut answer = json!({ "path": path.to_string(), "document": json });
    if let (Json::Object(answer), false) = (&mut answer, broken.is_empty()) {
        answer.insert("findings".into(), json!(broken));
    }
    context.report(out, &answer, lines)
}

/// A document that is being edited.
struct Edited {
    path: RepoPath,
    /// The file as it was when the editor was opened; `None` for a new one.
    before: Option<String>,
    /// With its conflicts between marks, if it has any.
    marked: Option<Marked>,
    /// What it must keep to.
    judge: Judge,
}

impl Edited {
    /// What the editor shows.
    fn text(&self) -> &str {
        match (&self.marked, &self.before) {
            (Some(marked), _) => marked.text(),
            (None, Some(before)) => before,
            (None, None) => "{\n}\n",
        }
    }

    /// Reads what the editor left, under the schema of the document.
    fn read(&self, text: &str) -> Result<Document, CliError> {
        let bad = |source| RepoError::BadDocument { path: self.path.to_string(), source };
        let document = match &self.marked {
            None => Document::from_json(text.as_bytes()).map_err(bad)?,
            Some(marked) => match marked.read(text) {
                Ok(Some(document)) => document,
                Ok(None) => return Err(MergeError::DocumentRemoved.into()),
                Err(MergeError::Object(source)) => return Err(bad(source).into()),
                Err(error) => return Err(error.into()),
            },
        };
        Ok(self.judge.conform(document)?)
    }
}

/// Lets the user edit a document. The repository is not held while the editor is open.
fn edit(
    context: &Context,
    out: &mut Out,
    given: &str,
    from: Option<&Path>,
) -> Result<(), CliError> {
    let (edited, config) = {
        let opened = context.open(Need::Read)?;
        let path = document_path(&opened.repo.repo_path(&opened.from, given)?)?;
        let disk = opened.repo.disk_path(&path);
        let before = match disk.symlink_metadata() {
            // A document that is broken can be mended here too, so it is not read as one.
            Ok(_) => Some(text_of(&disk)?),
            Err(_) => None,
        };
        let judge = opened.repo.judge(&path)?;
        let schema = judge.schema().cloned();
        // Under its schema, as those who read the marks know its fields.
        let document = before.as_ref().and_then(|text| Document::from_json(text.as_bytes()).ok());
        let document = match (document, &schema) {
            (Some(document), Some(schema)) => Some(schema.convert(document.value())),
            (document, _) => document.map(Document::into_value),
        };
        let marked = match document.filter(Value::has_conflict) {
            Some(document) => {
                let mut names = side_names(&opened, None)?;
                // A name must hold for every conflict of the text.
                let here = path.to_string();
                for row in opened.repo.conflicts(None)?.iter().filter(|row| row.path == here) {
                    names = own_names(row, &names);
                }
                Some(Marked::new(&document, schema.as_deref(), &names))
            }
            None => None,
        };
        (Edited { path, before, marked, judge }, opened.config)
    };
    let begin = match from {
        Some(from) => text_of(&context.folder.join(from))?,
        None => edited.text().to_owned(),
    };
    let done = edit_until_valid(&config, &edited, begin).and_then(|(document, typed)| {
        // Later, too, nothing that was typed is lost.
        put(context, out, &edited, &document, &typed.text).map_err(|error| typed.kept(error))
    });
    done.map_err(|error| error.of_document(given))
}

/// Puts what the editor left into the working copy.
fn put(
    context: &Context,
    out: &mut Out,
    edited: &Edited,
    document: &Document,
    text: &str,
) -> Result<(), CliError> {
    let path = &edited.path;
    if edited.before.is_none() && *document == Document::empty() {
        return report(context, out, (path, document), &[], |out| {
            out.line(format!("{} was left empty, so none was made", paint(TITLE, path)))
        });
    }
    if edited.before.is_some() && text == edited.text() {
        return report(context, out, (path, document), &[], |out| {
            out.line(format!("{} unchanged", paint(TITLE, path)))
        });
    }
    let opened = context.open(Need::Write("meta"))?;
    let raced = text_of(&opened.repo.disk_path(path)).is_ok_and(|now| Some(now) != edited.before);
    if raced && !read(&opened.repo, path).is_ok_and(|now| now == *document) {
        return Err(RepoError::LocalChanges { paths: vec![path.to_string()] }.into());
    }
    opened.repo.write_document(path, document)?;
    let broken = still_broken(&opened, path, document)?;
    report(context, out, (path, document), &broken, |out| {
        out.line(format!("{} edited and staged", paint(TITLE, path)))?;
        if edited.marked.is_none() {
            return Ok(());
        }
        // All there are, as `resolve` counts them.
        match opened.repo.conflicts(None)?.len() {
            0 => out.line(format!("no conflicts left; {} ottvc status", paint(TITLE, "next:"))),
            left => {
                let left = show::count(left as u64, "conflict", "conflicts");
                out.line(format!("{} left; {} ottvc conflicts", left, paint(TITLE, "next:")))
            }
        }
    })
}

fn text_of(disk: &Path) -> Result<String, CliError> {
    std::fs::read_to_string(disk).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => CliError::NoInput { path: disk.to_path_buf() },
        _ => CliError::Input { path: disk.to_path_buf(), source },
    })
}

/// Opens the editor, again while what comes back is no document and somebody is there to mend it.
fn edit_until_valid(
    config: &crate::config::Config,
    edited: &Edited,
    begin: String,
) -> Result<(Document, Typed), CliError> {
    let mut text = begin;
    loop {
        let typed = editor::edit(config, &text, ".meta.json")?;
        let error = match edited.read(&typed.text) {
            Ok(document) => return Ok((document, typed)),
            Err(error) => error,
        };
        if !editor::is_interactive() || !ask_again(&typed.text, &error) {
            // What nobody typed needs not be kept.
            return Err(if typed.text == edited.text() { error } else { typed.kept(error) });
        }
        text.clone_from(&typed.text);
    }
}

/// Says what is wrong, shows the line, and asks whether to open the editor again.
fn ask_again(text: &str, error: &CliError) -> bool {
    use std::io::Write;
    let line = match error {
        CliError::Repo(RepoError::BadDocument {
            source: ObjectError::BadJson { line, .. },
            ..
        })
        | CliError::Repo(RepoError::Merge(MergeError::HalfSettled { line, .. })) => Some(*line),
        _ => None,
    };
    let mut err = anstream::stderr();
    let words = match error {
        CliError::Repo(RepoError::BadDocument { source, .. }) => vec![source.to_string()],
        CliError::Repo(RepoError::Invalid { findings }) => {
            let words =
                |it: &Found| format!("{}, {}: {}, it is {}", it.field, it.rule, it.why, it.value);
            findings.iter().map(words).collect()
        }
        other => {
            let source = std::error::Error::source(other).map(|source| format!(": {source}"));
            vec![format!("{other}{}", source.unwrap_or_default())]
        }
    };
    for words in words {
        let _ = writeln!(err, "{} {}", paint(BAD, "error:"), show::plain(&words));
    }
    if let Some(line) = line
        && let Some(shown) = line.checked_sub(1).and_then(|at| text.lines().nth(at))
    {
        let _ = writeln!(err, "{line:>5} | {}", show::plain(shown));
    }
    editor::ask("open it again?")
}

/// Binds documents to a schema.
fn bind(
    context: &Context,
    out: &mut Out,
    name: &str,
    mut patterns: Vec<String>,
) -> Result<(), CliError> {
    if patterns.is_empty() {
        patterns.push("*.meta.json".to_owned());
    }
    let opened = context.open(Need::Write("meta"))?;
    let name = opened.repo.use_schema(&opened.from, name, &patterns)?;
    let answer = json!({ "schema": name, "patterns": patterns, "path": SCHEMAS_FILE });
    context.report(out, &answer, |out| {
        let patterns: Vec<String> = patterns.iter().map(|it| show::plain(it)).collect();
        out.line(format!("{name} for {}; {SCHEMAS_FILE} is staged", patterns.join(", ")))
    })
}

/// Prints a schema; needs no repository.
fn schema(context: &Context, out: &mut Out, file: Option<&str>) -> Result<(), CliError> {
    let (schema, text) = match file {
        None => (Schema::edition()?, Schema::edition_text().to_owned()),
        Some(file) => schema_of(context, file, Schema::parse)?,
    };
    let answer = json!({
        "schema": schema.full_name(),
        "id": schema.id().to_string(),
        "json_schema": schema.json_schema(),
    });
    context.answer(out, &answer, |out| out.line(text.trim_end()))
}
