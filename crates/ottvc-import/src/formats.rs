//! The formats there are, and telling them apart.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use ottvc_object::field_path::FieldPath;
use ottvc_object::value::Value;

use crate::apply::apply;
use crate::mapping::CUSTOM;
use crate::scope::gather;
use crate::tree::{Element, Steps};
use crate::{Delivery, Finding, ImportError, Mapping, Severity, Syntax, csv, imf, json, xml};

/// The built-in mappings: format and text.
pub const BUILT_IN: &[(&str, &str)] = &[
    ("dc", include_str!("../mappings/dc.json")),
    ("ebucore", include_str!("../mappings/ebucore.json")),
    ("ebucore-rdf", include_str!("../mappings/ebucore-rdf.json")),
    ("ebucore-jsonld", include_str!("../mappings/ebucore-jsonld.json")),
    ("pbcore", include_str!("../mappings/pbcore.json")),
    ("mec", include_str!("../mappings/mec.json")),
    ("omc", include_str!("../mappings/omc.json")),
    ("imf", include_str!("../mappings/imf.json")),
];

/// Returns the built-in mapping of a format.
///
/// # Errors
/// [`ImportError::UnknownFormat`], which lists those there are.
pub fn built_in(format: &str) -> Result<Mapping, ImportError> {
    match BUILT_IN.iter().find(|(known, _)| *known == format) {
        Some((_, text)) => match mappings().iter().find(|mapping| mapping.format == format) {
            Some(mapping) => Ok(mapping.clone()),
            None => Mapping::parse(text),
        },
        None => Err(ImportError::UnknownFormat {
            why: format!("`{format}` is none of {}", known_formats()),
        }),
    }
}

/// The built-in mappings, read once; all of them in a build that passes its tests.
fn mappings() -> &'static [Mapping] {
    static READ: LazyLock<Vec<Mapping>> = LazyLock::new(|| {
        BUILT_IN.iter().filter_map(|(_, text)| Mapping::parse(text).ok()).collect()
    });
    &READ
}

fn known_formats() -> String {
    let names: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
    names.join(", ")
}

/// Reads a delivered file under a mapping, or under the built-in one of the format it is seen to be.
/// Several documents come of a table that says so, one otherwise.
///
/// # Errors
/// [`ImportError`] naming what cannot be read, and its line.
pub fn read(bytes: &[u8], mapping: Option<&Mapping>) -> Result<Vec<Delivery>, ImportError> {
    let (mut root, mapping) = match mapping {
        Some(mapping) => (parse(bytes, mapping.syntax, mapping.delimiter)?, mapping),
        None => detect(bytes)?,
    };
    if mapping.syntax == Syntax::Xml {
        let line = root.line;
        let malformed = |why| ImportError::Malformed { syntax: "XML", line, why };
        root = mapping.unwrapped(root).map_err(malformed)?;
    }
    if mapping.syntax == Syntax::Xml && !mapping.begins_with(&root) {
        let why = format!("`{}` does not begin a file of `{}`", root.name, mapping.format);
        return Err(ImportError::Malformed { syntax: "XML", line: root.line, why });
    }
    root.bind(&|space| mapping.prefix(space));
    let steps = Steps::default();
    match (&mapping.documents, mapping.syntax) {
        (Some(template), Syntax::Csv) => rows(mapping, template, &root, &steps),
        (Some(_), _) => Err(ImportError::mapping("`documents`", "only a table has several")),
        (None, Syntax::Csv) => {
            let mut whole = Whole::default();
            for row in root.children() {
                whole.add(mapping, row, &steps)?;
            }
            Ok(whole.delivery(mapping, None)?.into_iter().collect())
        }
        (None, _) => {
            let mut delivery = apply(mapping, &root, &steps)?;
            imf::compute(&mut delivery, &root)?;
            Ok(vec![delivery])
        }
    }
}

/// Puts together what several files deliver about the same documents.
///
/// Where they contradict each other the first stays, and a finding forbids taking the delivery.
///
/// # Errors
/// [`ImportError::Object`] past the limits of documents.
pub fn gather_files(files: Vec<Vec<Delivery>>) -> Result<Vec<Delivery>, ImportError> {
    let mut gathered: Vec<Delivery> = Vec::new();
    for more in files.into_iter().flatten() {
        let Some(before) = gathered.iter_mut().find(|before| before.path == more.path) else {
            gathered.push(more);
            continue;
        };
        let (document, contradicted) = gather(&before.document, &more.document)?;
        before.document = document;
        before.unmapped += more.unmapped;
        before.findings.extend(more.findings);
        before.findings.extend(contradicted.into_iter().map(|field| Finding {
            severity: Severity::Error,
            code: "contradiction",
            line: 0,
            element: more.format.clone(),
            why: format!("an earlier file gives `{field}` another value"),
        }));
        before.scope.extend(more.scope);
        before.scope.sort();
        before.scope.dedup();
    }
    Ok(gathered)
}

fn parse(bytes: &[u8], syntax: Syntax, delimiter: u8) -> Result<Element, ImportError> {
    match syntax {
        Syntax::Xml => xml::parse(bytes),
        Syntax::Json => json::parse(bytes),
        Syntax::Csv => csv::parse(bytes, delimiter),
    }
}

/// Finds the built-in format that a file is of.
fn detect(bytes: &[u8]) -> Result<(Element, &'static Mapping), ImportError> {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    let syntax = match text.first() {
        Some(b'<') => Syntax::Xml,
        Some(b'{' | b'[') => Syntax::Json,
        _ => {
            let why = "it is neither XML nor JSON; a table needs a mapping".to_owned();
            return Err(ImportError::UnknownFormat { why });
        }
    };
    let root = parse(bytes, syntax, b',')?;
    let found = mappings().iter().find(|it| it.syntax == syntax && begins(it, &root));
    if let Some(mapping) = found {
        return Ok((root, mapping));
    }
    let why = match syntax {
        Syntax::Xml => format!("`{}` begins none of {}", root.name, known_formats()),
        _ => format!("it has no member that tells {} apart", known_formats()),
    };
    Err(ImportError::UnknownFormat { why })
}

fn begins(mapping: &Mapping, root: &Element) -> bool {
    match mapping.syntax {
        Syntax::Xml => mapping.begins_with(root),
        _ => {
            let member = |name: &String| {
                root.children().any(|item| item.children().any(|child| child.name == *name))
            };
            mapping.roots.iter().any(member)
        }
    }
}

/// Makes one document of the rows that name one path.
fn rows(
    mapping: &Mapping,
    template: &str,
    root: &Element,
    steps: &Steps,
) -> Result<Vec<Delivery>, ImportError> {
    let mut paths: Vec<String> = Vec::new();
    let mut documents: BTreeMap<String, Whole> = BTreeMap::new();
    for row in root.children() {
        let path = expand(template, row)?;
        if !documents.contains_key(&path) {
            paths.push(path.clone());
        }
        documents.entry(path).or_default().add(mapping, row, steps)?;
    }
    let mut deliveries = Vec::new();
    for path in paths {
        let whole = documents.remove(&path).unwrap_or_default();
        deliveries.extend(whole.delivery(mapping, Some(path))?);
    }
    Ok(deliveries)
}

/// Puts cells of a row into a path: `titles/{House ID}/edition.meta.json`.
fn expand(template: &str, row: &Element) -> Result<String, ImportError> {
    let bad = |why: String| ImportError::mapping("`documents`", why);
    let mut path = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) =
            after.split_once('}').ok_or_else(|| bad("a `{` is never closed".to_owned()))?;
        let cell = row.children().find(|cell| cell.name == name);
        let cell = cell.ok_or_else(|| ImportError::Malformed {
            syntax: "CSV",
            line: row.line,
            why: format!("the path of its document needs the cell `{name}`"),
        })?;
        let text = cell.text();
        // A cell is one name, and never a way out of the folder.
        if text.contains(['/', '\\']) || text == "." || text == ".." {
            return Err(ImportError::Malformed {
                syntax: "CSV",
                line: row.line,
                why: format!("`{}` cannot be a name in a path", crate::kind::shorten(&text)),
            });
        }
        path.push_str(before);
        path.push_str(&text);
        rest = after;
    }
    path.push_str(rest);
    Ok(path)
}

/// The most rows of a table about one document: each is compared with all that came before.
pub const MAX_ROWS: u64 = 4096;

/// What several rows say about one document.
#[derive(Default)]
struct Whole {
    delivery: Option<Delivery>,
    rows: u64,
    /// What is left over of each row, which rows do not share.
    left: Vec<Value>,
}

impl Whole {
    fn add(&mut self, mapping: &Mapping, row: &Element, steps: &Steps) -> Result<(), ImportError> {
        self.rows += 1;
        if self.rows > MAX_ROWS {
            let (what, line, limit) = ("too many rows of one document", row.line, MAX_ROWS);
            return Err(ImportError::TooLarge { what, line, limit });
        }
        let mut more = apply(mapping, row, steps)?;
        if let Some(left) = more.document.get(&mapping.custom()).cloned() {
            self.left.push(left);
            more.document.set(&FieldPath::root().key(CUSTOM), None)?;
        }
        let Some(before) = &mut self.delivery else {
            self.delivery = Some(more);
            return Ok(());
        };
        before.unmapped += more.unmapped;
        before.findings.extend(more.findings);
        let (document, contradicted) = gather(&before.document, &more.document)?;
        before.document = document;
        before.findings.extend(contradicted.into_iter().map(|field| Finding {
            severity: Severity::Error,
            code: "contradiction",
            line: row.line,
            element: csv::ROW.to_owned(),
            why: format!("an earlier row gives `{field}` another value"),
        }));
        Ok(())
    }

    fn delivery(
        mut self,
        mapping: &Mapping,
        path: Option<String>,
    ) -> Result<Option<Delivery>, ImportError> {
        let Some(mut delivery) = self.delivery else { return Ok(None) };
        let left = match self.left.len() {
            0 | 1 => self.left.pop(),
            _ => Some(Value::Array(self.left)),
        };
        if let Some(left) = left {
            delivery.document.set(&mapping.custom(), Some(left))?;
        }
        Ok(Some(Delivery { path, ..delivery }))
    }
}
