//! `import` and `export`: foreign metadata in and out.

use std::io::Read;
use std::path::{Path, PathBuf};

use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use clap::Args;
use ottvc_import::{ASSET_MAPS, BUILT_IN, Delivery, Mapping, Package, Scope, built_in};
use ottvc_repo::import::{ImportReport, ImportRequest, ImportedDocument};
use ottvc_repo::meta::document_path;

use crate::commands::merge::{exit_of, left_words, print_conflicts, print_findings};
use crate::commands::merge_file::bytes_of;
use crate::context::{Context, Need, Opened};
use crate::error::CliError;
use crate::exit::Exit;
use crate::fields;
use crate::out::Out;
use crate::screen::Screen;
use crate::show::{self, DIM, ID, NAME, TITLE, WARN, paint};

/// Take in what a source delivers, and merge it into the current branch.
///
/// What the source says is kept on a branch of its own, source/NAME, and merged from there: what it said
/// before and says no longer is removed, unless somebody changed it or another source still says it; what
/// others wrote stays. What no rule of the mapping takes is kept under /custom/FORMAT. One undo takes the import
/// back. With conflicts the status is 4: settle them with `ottvc resolve`, then `ottvc commit`. Where it changes
/// what a schema says is given once, the status is 7.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// What was delivered: files that speak of one document, a table, or the folder of an IMF package
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The format, where the file does not show it: dc, ebucore, pbcore, mec, omc, imf
    #[arg(long, value_name = "FORMAT", conflicts_with = "mapping")]
    format: Option<String>,
    /// Who delivers [default: the format, if all files are of one]
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// What it means that a field is left out: full takes it back, per-locale only in the languages
    /// there are, patch leaves it
    #[arg(long, value_name = "SCOPE", default_value = "full")]
    scope: Scope,
    /// Read by the mapping in this file; a table needs one
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,
    /// The document, or the folder for the documents of a table [default: edition.meta.json]
    #[arg(long, value_name = "PATH")]
    to: Option<String>,
    /// Message of the commits
    #[arg(short = 'm', long, value_name = "MESSAGE")]
    message: Option<String>,
    /// Say by field what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// Write a metadata document in a foreign format.
///
/// The file goes to standard output. What the format cannot say is named on standard error.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The document; a revision alone means that of its edition
    #[arg(value_name = "REV[:PATH]")]
    place: String,
    /// The format: dc, ebucore, pbcore, mec
    #[arg(long, value_name = "FORMAT", required_unless_present = "mapping")]
    #[arg(conflicts_with = "mapping")]
    format: Option<String>,
    /// Write by the mapping in this file
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,
}

/// The mapping that was asked for, if one was.
fn mapping(
    context: &Context,
    format: Option<&str>,
    file: Option<&Path>,
) -> Result<Option<Mapping>, CliError> {
    let Some(path) = file else { return Ok(format.map(built_in).transpose()?) };
    let delivery = |source| CliError::Delivery { path: path.to_path_buf(), source };
    let text = String::from_utf8(bytes_of(context, path)?).map_err(|error| CliError::Input {
        path: path.to_path_buf(),
        source: std::io::Error::new(std::io::ErrorKind::InvalidData, error.utf8_error()),
    })?;
    Ok(Some(Mapping::parse(&text).map_err(delivery)?))
}

pub(crate) fn import(context: &Context, out: &mut Out, args: Import) -> Result<Exit, CliError> {
    let mapping = mapping(context, args.format.as_deref(), args.mapping.as_deref())?;
    let mut files = Vec::new();
    for path in &args.files {
        let read = match folder_of(&context.folder.join(path)) {
            Some(folder) => ottvc_import::read_package(&mut Folder::open(folder)?),
            None => ottvc_import::read(&bytes_of(context, path)?, mapping.as_ref()),
        };
        files.push(read.map_err(|source| CliError::Delivery { path: path.clone(), source })?);
    }
    let source = source(args.source, &files)?;
    let deliveries = ottvc_import::gather_files(files)?;
    let need = if args.dry_run { Need::Read } else { Need::Write("import") };
    let opened = context.open(need)?;
    let to = args.to.as_deref().map(|to| opened.repo.repo_path(&opened.from, to)).transpose()?;
    let request = ImportRequest {
        source,
        scope: args.scope,
        to,
        dry_run: args.dry_run,
        message: args.message,
    };
    let report = {
        let progress = context.progress();
        opened.repo.import(&deliveries, &request, &progress)?
    };
    context.answer(out, &report, |out| match context.quiet && report.clean {
        true => Ok(()),
        false => print(context, out, &opened, &report, args.dry_run),
    })?;
    Ok(report.merge.as_ref().map_or(Exit::Ok, exit_of))
}

/// The folder of the IMF package that is meant: by itself, or by its asset map.
fn folder_of(path: &Path) -> Option<PathBuf> {
    let is_map = path.file_name().is_some_and(|name| ASSET_MAPS.iter().any(|map| name == *map));
    match is_map {
        true => path.parent().map(Path::to_path_buf),
        false => path.is_dir().then(|| path.to_path_buf()),
    }
}

/// An IMF package in a folder; no symbolic link leads out of it.
struct Folder(Dir);

impl Folder {
    fn open(folder: PathBuf) -> Result<Self, CliError> {
        match Dir::open_ambient_dir(&folder, cap_std::ambient_authority()) {
            Ok(dir) => Ok(Self(dir)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(CliError::NoInput { path: folder })
            }
            Err(source) => Err(CliError::Input { path: folder, source }),
        }
    }
}

impl Package for Folder {
    fn open(&mut self, path: &str) -> std::io::Result<Option<Box<dyn Read + '_>>> {
        let no_file = || {
            let why = "it is no file of bytes";
            Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, why))
        };
        // Its kind first: to open a pipe or a device may wait, or do something.
        match self.0.metadata(path) {
            Ok(metadata) if metadata.is_file() => {}
            Ok(_) => return no_file(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        }
        let mut options = OpenOptions::new();
        options.read(true);
        // It may have become another since.
        options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
        let file = self.0.open_with(path, &options)?;
        match file.metadata()?.is_file() {
            true => Ok(Some(Box::new(file))),
            false => no_file(),
        }
    }
}

/// Who delivers: whoever was named, else the format, if all of it is of one.
fn source(named: Option<String>, files: &[Vec<Delivery>]) -> Result<String, CliError> {
    if let Some(named) = named {
        return Ok(named);
    }
    let mut formats: Vec<&str> = files.iter().flatten().map(|it| it.format.as_str()).collect();
    formats.sort_unstable();
    formats.dedup();
    match formats.as_slice() {
        [one, _, ..] => Err(CliError::Usage {
            text: format!("the files are of several formats: {}", formats.join(", ")),
            hint: Some(format!("--source NAME says who delivers, as --source {one}")),
        }),
        formats => Ok(formats.first().copied().unwrap_or_default().to_owned()),
    }
}

fn print(
    context: &Context,
    out: &mut Out,
    opened: &Opened,
    report: &ImportReport,
    dry: bool,
) -> Result<(), CliError> {
    let lineage = paint(NAME, show::plain(&report.lineage));
    for document in &report.documents {
        print_document(context, out, document)?;
    }
    let fields: usize = report.documents.iter().map(|document| document.fields.len()).sum();
    let fields = show::count(fields as u64, "field", "fields");
    let left = paint(WARN, report.merge.as_ref().map(left_words).unwrap_or_default());
    out.line(match (&report.commit, report.clean, dry) {
        (_, true, true) => format!("{lineage} would change {fields}"),
        (_, false, true) => format!("{lineage} would change {fields} and leave {left}"),
        (Some(commit), ..) => {
            format!("imported {lineage} as {}: {fields}", paint(ID, show::short(commit)))
        }
        (None, true, _) => format!("{lineage} says nothing new"),
        (None, false, _) => format!("importing {lineage}: {fields}, {left}"),
    })?;
    let Some(merge) = report.merge.as_ref().filter(|merge| !merge.clean) else { return Ok(()) };
    if !merge.conflicts.is_empty() {
        out.line("")?;
        print_conflicts(out, opened, &merge.conflicts, &report.lineage, dry)?;
    }
    print_findings(out, opened, &merge.findings, dry)?;
    if dry {
        return Ok(());
    }
    out.line("")?;
    out.line(format!(
        "{} settle each as shown, then ottvc commit; or ottvc merge --abort",
        paint(TITLE, "next:")
    ))
}

fn print_document(
    context: &Context,
    out: &mut Out,
    document: &ImportedDocument,
) -> Result<(), CliError> {
    let mapping = paint(DIM, format!("by {}", document.mapping));
    out.line(format!("{}  {mapping}", paint(TITLE, show::plain(&document.path))))?;
    for line in fields::lines(&fields::read(&document.fields), 4, &Screen::of_output()) {
        out.line(line)?;
    }
    if document.unmapped > 0 {
        let places = show::count(document.unmapped, "element", "elements");
        let format = &document.format;
        out.line(format!("    {}", paint(DIM, format!("{places} kept under /custom/{format}"))))?;
    }
    for kept in &document.kept {
        let (field, sources) = (show::plain(&kept.field), show::plain(&kept.sources.join(", ")));
        context.note(&format!("note: {field} is left out, and stays: {sources} has it"));
    }
    for finding in &document.findings {
        let line = match finding.line {
            0 => String::new(),
            line => format!("line {line}, "),
        };
        let (place, why) = (show::plain(&finding.place), show::plain(&finding.why));
        context.note(&format!("note: {line}{place}: {why}"));
    }
    Ok(())
}

pub(crate) fn export(context: &Context, out: &mut Out, args: &Export) -> Result<Exit, CliError> {
    let mapping = mapping(context, args.format.as_deref(), args.mapping.as_deref())?;
    let formats = || BUILT_IN.iter().map(|(name, _)| *name).collect::<Vec<&str>>().join(", ");
    let mapping = mapping.ok_or_else(|| CliError::Usage {
        text: "a format or a mapping is needed".into(),
        hint: Some(format!("--format with one of {}", formats())),
    })?;
    let opened = context.open(Need::Read)?;
    let (rev, path) = match args.place.split_once(':') {
        Some((rev, path)) => (rev, path),
        None => (args.place.as_str(), ""),
    };
    let path = document_path(&ottvc_object::RepoPath::new(path)?)?;
    let written = opened.repo.export(rev, &path, &mapping)?;
    context.answer(out, &written, |out| out.line(written.text.trim_end()))?;
    if !context.json {
        for field in &written.unsaid {
            let what = format!("note: {} does not say `{}`", written.format, show::plain(field));
            context.note(&what);
        }
    }
    Ok(Exit::Ok)
}
