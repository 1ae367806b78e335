//! Which schema a document has: patterns of paths, each with the name of a schema, and where in the
//! tree the schemas lie that are not built in.
//!
//! Written in YAML, as strict as schemas themselves. Reading the schemas is the caller's: here are
//! only names.

use std::collections::BTreeMap;

use ottvc_object::RepoPath;

use crate::rules::matches_path;
use crate::schema::read::schema_name;
use crate::schema::yaml::{self, Data, Node};
use crate::{MergeError, Schema};

/// The most patterns, and the most schemas.
const MAX_ROWS: usize = 1024;

/// A schema that lies in the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The file.
    pub path: RepoPath,
    /// The line that lists it, from 1.
    pub line: usize,
}

/// Says which schema a document has.
///
/// ```
/// use ottvc_merge::Bindings;
/// use ottvc_object::RepoPath;
///
/// let text = "documents:\n  '*.meta.json': ott.edition/1\n  'trailers/**': house.trailer/2\n\
///             schemas:\n  house.trailer/2: schemas/trailer.yaml\n";
/// let bindings = Bindings::parse(text)?;
/// let name = |path| bindings.name_of(&RepoPath::new(path).unwrap_or_default());
/// assert_eq!(name("cuts/long.meta.json"), Some("ott.edition/1"));
/// assert_eq!(name("trailers/one.meta.json"), Some("house.trailer/2"));
/// assert_eq!(name("notes.txt"), None);
/// # Ok::<(), ottvc_merge::MergeError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bindings {
    /// Pattern and name of a schema; the last that matches counts.
    documents: Vec<(String, String)>,
    schemas: BTreeMap<String, Listed>,
}

impl Bindings {
    /// Reads them from YAML.
    ///
    /// # Errors
    /// [`MergeError::BadYaml`] with line and column, [`MergeError::BadBinding`] naming line, pattern
    /// or schema, and what it was given.
    pub fn parse(text: &str) -> Result<Self, MergeError> {
        let root = yaml::parse(text)?;
        let Data::Map(members) = &root.data else {
            return Err(bad(&root, "/", "there are `documents` and `schemas`, both maps"));
        };
        let mut bindings = Self::default();
        for (key, node) in members {
            let rows = match (key.as_str(), &node.data) {
                ("documents" | "schemas", Data::Map(rows)) if rows.len() <= MAX_ROWS => rows,
                ("documents" | "schemas", _) => {
                    return Err(bad(node, key, &format!("it is a map of at most {MAX_ROWS}")));
                }
                _ => return Err(bad(node, key, "there are `documents` and `schemas`")),
            };
            for (name, node) in rows {
                let Data::Scalar { text, .. } = &node.data else {
                    return Err(bad(node, name, "it is one word"));
                };
                match key.as_str() {
                    "documents" => {
                        if name.split('/').any(str::is_empty) {
                            return Err(bad(node, name, "the pattern has an empty name in it"));
                        }
                        bindings.documents.push((name.clone(), text.clone()));
                    }
                    _ => bindings.list(name, text, node)?,
                }
            }
        }
        let built_in = Schema::edition()?.full_name();
        for (pattern, name) in &bindings.documents {
            if *name != built_in && !bindings.schemas.contains_key(name) {
                let why = format!(
                    "no schema is called that; {built_in} is built in, `schemas` lists others"
                );
                return Err(bad(node_of(members, pattern).unwrap_or(&root), pattern, &why));
            }
        }
        Ok(bindings)
    }

    fn list(&mut self, name: &str, path: &str, node: &Node) -> Result<(), MergeError> {
        if schema_name(name).is_none() {
            return Err(bad(node, name, "a schema is named `NAME/VERSION`"));
        }
        if name == Schema::edition()?.full_name() {
            return Err(bad(node, name, "that schema is built in"));
        }
        let path = RepoPath::new(path).map_err(|error| bad(node, name, &error.to_string()))?;
        if path.is_root() {
            return Err(bad(node, name, "it is a file of this tree"));
        }
        self.schemas.insert(name.to_owned(), Listed { path, line: node.line });
        Ok(())
    }

    /// The name of the schema of the document at `path`, if it has one.
    pub fn name_of(&self, path: &RepoPath) -> Option<&str> {
        let matching = self.documents.iter().rev().find(|(glob, _)| matches_path(glob, path));
        matching.map(|(_, name)| name.as_str())
    }
    /// The schemas that lie in the tree, by name.
    pub fn schemas(&self) -> &BTreeMap<String, Listed> {
        &self.schemas
    }

    /// The error for a schema that is listed and cannot be had from its file.
    pub fn bad_file(&self, name: &str, why: &str) -> MergeError {
        let listed = self.schemas.get(name);
        MergeError::BadBinding {
            line: listed.map_or(0, |listed| listed.line),
            field: name.to_owned(),
            value: listed.map(|listed| listed.path.to_string()).unwrap_or_default(),
            why: why.to_owned(),
        }
    }

    /// Returns `text` with these patterns bound to the schema `name`, and with the file that holds it
    /// listed where one is given. What else the text says stays, comments too, if it is written line
    /// by line.
    ///
    /// # Errors
    /// As [`Self::parse`], of `text` and of what it becomes.
    pub fn add(
        text: &str,
        patterns: &[String],
        name: &str,
        file: Option<&RepoPath>,
    ) -> Result<String, MergeError> {
        let before = if text.trim().is_empty() { Self::default() } else { Self::parse(text)? };
        let mut wanted = before;
        wanted.documents.retain(|(glob, _)| !patterns.contains(glob));
        wanted.documents.extend(patterns.iter().map(|glob| (glob.clone(), name.to_owned())));
        if let Some(path) = file {
            let listed = Listed { path: path.clone(), line: 0 };
            wanted.schemas.insert(name.to_owned(), listed);
        }
        let mut edited = text.to_owned();
        for glob in patterns {
            edited = with_row(&edited, "documents", glob, name);
        }
        if let Some(path) = file {
            edited = with_row(&edited, "schemas", name, &path.to_string());
        }
        match Self::parse(&edited) {
            Ok(found) if found.same(&wanted) => Ok(edited),
            // Written in another way than line by line: it is written anew.
            _ => {
                let anew = wanted.text();
                Self::parse(&anew).map(|_| anew)
            }
        }
    }

    /// Whether both say the same, on whatever lines.
    fn same(&self, other: &Self) -> bool {
        let paths = |it: &Self| -> Vec<(String, RepoPath)> {
            it.schemas.iter().map(|(name, at)| (name.clone(), at.path.clone())).collect()
        };
        self.documents == other.documents && paths(self) == paths(other)
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (glob, name) in &self.documents {
            text = with_row(&text, "documents", glob, name);
        }
        for (name, listed) in &self.schemas {
            text = with_row(&text, "schemas", name, &listed.path.to_string());
        }
        text
    }
}

/// A scalar that reads as this text, whatever is in it.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Puts a row at the end of a section that is written line by line; takes a row of the same key out.
fn with_row(text: &str, section: &str, key: &str, value: &str) -> String {
    let head = format!("{section}:");
    let row = format!("  {}: {}", quoted(key), quoted(value));
    let is_row = |line: &&str| line.starts_with(' ') || line.is_empty() || line.starts_with('#');
    let has_key = |line: &str| {
        let line = line.trim_start();
        [quoted(key), format!("'{key}'"), key.to_owned()]
            .iter()
            .any(|key| line.strip_prefix(key.as_str()).is_some_and(|rest| rest.starts_with(':')))
    };
    let mut lines: Vec<String> = Vec::new();
    let mut rest = text.lines().peekable();
    let mut done = false;
    while let Some(line) = rest.next() {
        lines.push(line.to_owned());
        let is_head = line.split('#').next().is_some_and(|line| line.trim_end() == head);
        if done || !is_head {
            continue;
        }
        let mut end = lines.len();
        while let Some(line) = rest.next_if(is_row) {
            if line.starts_with(' ') && has_key(line) {
                continue;
            }
            lines.push(line.to_owned());
            if line.starts_with(' ') {
                end = lines.len();
            }
        }
        lines.insert(end, row.clone());
        done = true;
    }
    if !done {
        lines.extend([head, row]);
    }
    lines.join("\n") + "\n"
}

fn bad(node: &Node, field: &str, why: &str) -> MergeError {
    let mut value = node.shown();
    if value.chars().count() > 60 {
        value = value.chars().take(57).chain("...".chars()).collect();
    }
    MergeError::BadBinding { line: node.line, field: field.to_owned(), value, why: why.to_owned() }
}

/// What the pattern was given, for messages.
fn node_of<'n>(members: &'n [(String, Node)], pattern: &str) -> Option<&'n Node> {
    let (_, documents) = members.iter().find(|(key, _)| key == "documents")?;
    let Data::Map(rows) = &documents.data else { return None };
    rows.iter().find(|(key, _)| key == pattern).map(|(_, node)| node)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_pattern_that_matches_counts() {
        let text =
            "documents:\n  '**': ott.edition/1\n  'a/*': house.a/1\nschemas: {house.a/1: a.yaml}\n";
        let bindings = Bindings::parse(text).unwrap();
        let name = |path| bindings.name_of(&RepoPath::new(path).unwrap());
        assert_eq!(name("a/x.meta.json"), Some("house.a/1"));
        assert_eq!(name("a/b/x.meta.json"), Some("ott.edition/1"));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_line() {
        for (text, wanted) in [
            ("- a", "line 1: `/` cannot be `[a]`"),
            ("documents: x", "line 1: `documents` cannot be `x`"),
            ("documents: {}\nother: {}", "line 2: `other` cannot be"),
            ("documents:\n  '*': nobody/1", "line 2: `*` cannot be `nobody/1`: no schema"),
            ("documents:\n  'a//b': ott.edition/1", "line 2: `a//b` cannot be"),
            ("documents:\n  '*': [x]", "line 2: `*` cannot be `[x]`"),
            ("schemas:\n  house: a.yaml", "line 2: `house` cannot be `a.yaml`: a schema is named"),
            ("schemas:\n  house/1: ../a.yaml", "line 2: `house/1` cannot be `../a.yaml`"),
            (
                "schemas:\n  ott.edition/1: a.yaml",
                "line 2: `ott.edition/1` cannot be `a.yaml`: that",
            ),
            ("a: &x 1", "bad YAML at line 1"),
        ] {
            let error = Bindings::parse(text).unwrap_err().to_string();
            assert!(error.starts_with(wanted), "{error}");
        }
    }

    #[test]
    fn a_pattern_is_added_where_the_rest_stays_as_it_was() {
        let text = "# ours\ndocuments:   # all\n  '*.meta.json': ott.edition/1  # long\n\n# below\nschemas:\n  house.a/1: a.yaml\n";
        let added = Bindings::add(text, &["a/**".to_owned()], "house.a/1", None).unwrap();
        assert_eq!(
            added,
            "# ours\ndocuments:   # all\n  '*.meta.json': ott.edition/1  # long\n  \"a/**\": \"house.a/1\"\n\n# below\nschemas:\n  house.a/1: a.yaml\n"
        );
        let again = Bindings::add(&added, &["*.meta.json".to_owned()], "house.a/1", None).unwrap();
        assert!(!again.contains("ott.edition"), "{again}");
        let flow = "documents: {'*': ott.edition/1}\n";
        let file = RepoPath::new("b.yaml").unwrap();
        let added = Bindings::add(flow, &["b/**".to_owned()], "house.b/1", Some(&file)).unwrap();
        assert_eq!(
            added,
            "documents:\n  \"*\": \"ott.edition/1\"\n  \"b/**\": \"house.b/1\"\nschemas:\n  \"house.b/1\": \"b.yaml\"\n"
        );
        let new = Bindings::add("", &["*.meta.json".to_owned()], "ott.edition/1", None).unwrap();
        assert_eq!(new, "documents:\n  \"*.meta.json\": \"ott.edition/1\"\n");
        assert!(Bindings::add("", &["*".to_owned()], "nobody/1", None).is_err());
    }
}
