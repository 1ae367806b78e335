//! Rules a caller passes with a merge: where sides disagree, take this one.
//!
//! A rule is written `[GLOB:]PATTERN=SIDE`. It is asked only where the merge would leave a conflict
//! (S8), so it never overrules a change that one side made alone, and what it chose is reported.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use ottvc_object::RepoPath;
use ottvc_object::field_path::FieldPath;

use crate::functions::Functions;
use crate::memory::Memory;
use crate::pattern::{Step, matches_field, steps_of};
use crate::{MergeError, Schema};

/// What may be said about a merge beyond its terms.
#[derive(Clone, Debug)]
pub struct MergeOptions {
    /// Rules for what the merge cannot decide; the most specific that matches has its say.
    pub rules: Vec<Rule>,
    /// Whether rules, fallbacks of the schema and functions are asked at all; not when bases are
    /// merged.
    pub decisions: bool,
    /// The schema that picks the policies; kinds alone do, if there is none.
    pub schema: Option<Arc<Schema>>,
    /// The functions the schema may name.
    pub functions: Functions,
    /// Which editions the sides are, for a schema that prefers some.
    pub editions: Editions,
    /// Resolutions to be applied where the same disagreement comes again.
    pub memory: Memory,
}

/// The editions of the first and the last side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Editions {
    /// The id and the classes of the side merged into.
    pub ours: Vec<String>,
    /// The id and the classes of the side merged from.
    pub theirs: Vec<String>,
}

impl Default for MergeOptions {
    fn default() -> Self {
        Self {
            rules: Vec::new(),
            decisions: true,
            schema: None,
            functions: Functions::default(),
            editions: Editions::default(),
            memory: Memory::default(),
        }
    }
}

impl MergeOptions {
    /// The options for merging bases into one: nothing is decided that the sides did not decide.
    pub fn for_bases() -> Self {
        Self { decisions: false, ..Self::default() }
    }

    /// Returns the rule for the field at `field` of the document at `file`, or for the whole entry
    /// at `file` where there is no field. Of equally specific rules the last one given counts.
    pub fn rule_for(&self, file: &RepoPath, field: Option<&FieldPath>) -> Option<&Rule> {
        if !self.decisions {
            return None;
        }
        self.rules.iter().filter(|rule| rule.matches(file, field)).max_by_key(|rule| rule.weight())
    }
}

/// A side of a merge, or its base.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The first side: the one merged into.
    Ours,
    /// The last side: the one merged from.
    Theirs,
    /// The first base.
    Base,
}

impl Side {
    /// The word for it in rules, messages and JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Theirs => "theirs",
            Self::Base => "base",
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.word())
    }
}

/// A rule: where it applies, and the side it takes.
///
/// Written `PATTERN=SIDE` or `GLOB:PATTERN=SIDE`, with `ours`, `theirs` or `base` for `SIDE`.
/// - A pattern that starts with `/` is a field pattern: a field path in which a key `*` stands for
///   any one segment and a final `**` for any rest, also none. It applies to documents.
/// - Any other pattern is a glob over paths in the tree: `*` and `?` within a name, `**` for any
///   number of names; without a slash it is tried on the last name alone. It applies to files whole,
///   and to every field of documents.
/// - `GLOB:PATTERN` is a field pattern for the documents at such paths.
///
/// ```
/// use ottvc_merge::Rule;
/// for text in ["/ratings/**=theirs", "trailers/**=ours", "*.meta.json:/titles/*=base", "*=ours"] {
///     assert_eq!(text.parse::<Rule>().unwrap().to_string(), text);
/// }
/// assert!("/ratings/**=mine".parse::<Rule>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Where it applies.
    pub pattern: Pattern,
    /// What it takes.
    pub side: Side,
}

/// Where a rule applies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// The paths in the tree; any, if not given.
    file: Option<String>,
    /// The fields of documents; whole entries and all fields, if not given.
    field: Option<Vec<Step>>,
    /// As it was written.
    text: String,
}

/// How specific a rule is: field patterns over whole files, then step by step, then with a glob.
type Weight = (Option<Vec<u8>>, usize);

impl Rule {
    /// Whether it applies to the field, or to the whole entry where there is no field.
    fn matches(&self, file: &RepoPath, field: Option<&FieldPath>) -> bool {
        let Pattern { file: glob, field: steps, .. } = &self.pattern;
        glob.as_ref().is_none_or(|glob| matches_path(glob, file))
            && match (steps, field) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(steps), Some(field)) => matches_field(steps, &field.0),
            }
    }

    /// How specific it is; greater is more.
    fn weight(&self) -> Weight {
        let step = |step: &Step| match step {
            Step::Rest => 0,
            Step::Any => 1,
            Step::Literal(_) => 2,
        };
        let fields = self.pattern.field.as_ref().map(|steps| steps.iter().map(step).collect());
        let literal = |glob: &String| glob.chars().filter(|c| !matches!(c, '*' | '?')).count() + 1;
        (fields, self.pattern.file.as_ref().map_or(0, literal))
    }
}

impl FromStr for Rule {
    type Err = MergeError;

    fn from_str(text: &str) -> Result<Self, MergeError> {
        let bad = |why: &str| MergeError::BadRule { text: text.to_owned(), why: why.to_owned() };
        // Keys may hold `=`, sides never do.
        let (pattern, side) = text.rsplit_once('=').ok_or_else(|| bad("`PATTERN=SIDE` is one"))?;
        let side = [Side::Ours, Side::Theirs, Side::Base]
            .into_iter()
            .find(|known| known.word() == side.trim())
            .ok_or_else(|| bad("the side is `ours`, `theirs` or `base`"))?;
        let pattern = Pattern::read(pattern.trim()).map_err(|why| bad(&why))?;
        Ok(Self { pattern, side })
    }
}

impl Pattern {
    fn read(pattern: &str) -> Result<Self, String> {
        // No name in a tree holds a colon, so the first one ends the glob.
        let (file, field) = match pattern.split_once(':') {
            _ if pattern.starts_with('/') => (None, Some(pattern)),
            Some((glob, field)) if field.starts_with('/') => (Some(glob), Some(field)),
            Some(_) => return Err("a field pattern starts with `/`".to_owned()),
            None => (Some(pattern), None),
        };
        if file.is_some_and(|glob| glob.is_empty() || glob.split('/').any(str::is_empty)) {
            return Err("the pattern has an empty name in it".to_owned());
        }
        let field = match field.map(FieldPath::from_str).transpose() {
            Ok(field) => field.map(steps_of).transpose()?,
            Err(error) => return Err(error.to_string()),
        };
        Ok(Self { file: file.map(str::to_owned), field, text: pattern.to_owned() })
    }

    /// Whether the field, or one that it is a part of, is one of those the pattern names.
    pub fn covers(&self, file: &RepoPath, field: &FieldPath) -> bool {
        let above = |steps: &Vec<Step>| {
            let mut parts = (0..=field.0.len()).filter_map(|len| field.0.get(..len));
            parts.any(|part| matches_field(steps, part))
        };
        self.file.as_ref().is_none_or(|glob| matches_path(glob, file))
            && self.field.as_ref().is_none_or(above)
    }
}

impl FromStr for Pattern {
    type Err = MergeError;

    fn from_str(text: &str) -> Result<Self, MergeError> {
        Self::read(text.trim()).map_err(|why| MergeError::BadPattern { text: text.to_owned(), why })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}={}", self.pattern.text, self.side)
    }
}

/// Whether `glob` matches `path`, or its last name alone if there is no slash in `glob`.
pub(crate) fn matches_path(glob: &str, path: &RepoPath) -> bool {
    let names: Vec<&str> = path.names().iter().map(|name| name.as_str()).collect();
    if glob == "**" {
        return true;
    }
    if !glob.contains('/') {
        return names.last().is_some_and(|name| matches_name(glob, name));
    }
    let globs: Vec<&str> = glob.split('/').collect();
    // Iterative with one fallback, so that a pattern with many `**` takes no exponential time.
    wildcard(&globs, &names, |glob| *glob == "**", |glob, name| matches_name(glob, name))
}

/// Whether `glob` matches one name.
fn matches_name(glob: &str, name: &str) -> bool {
    let glob: Vec<char> = glob.chars().collect();
    let name: Vec<char> = name.chars().collect();
    wildcard(&glob, &name, |glob| *glob == '*', |glob, char| *glob == '?' || glob == char)
}

/// Whether `pattern` matches all of `text`, where a part that is `any` stands for any run.
fn wildcard<P, T>(
    pattern: &[P],
    text: &[T],
    any: impl Fn(&P) -> bool,
    one: impl Fn(&P, &T) -> bool,
) -> bool {
    let (mut at, mut from) = (0, 0);
    let mut fallback: Option<(usize, usize)> = None;
    loop {
        match (pattern.get(at), text.get(from)) {
            (None, None) => return true,
            (Some(part), _) if any(part) => {
                fallback = Some((at + 1, from));
                at += 1;
            }
            (Some(part), Some(item)) if one(part, item) => {
                at += 1;
                from += 1;
            }
            // Let the last run take one more, as long as there is more to take.
            _ => match &mut fallback {
                Some((resume, taken)) if *taken < text.len() => {
                    *taken += 1;
                    (at, from) = (*resume, *taken);
                }
                _ => return false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(rules: &[&str], file: &str, field: Option<&str>) -> Option<String> {
        let rules = rules.iter().map(|rule| rule.parse().unwrap()).collect();
        let options = MergeOptions { rules, ..MergeOptions::default() };
        let field = field.map(|field| field.parse().unwrap());
        let file = RepoPath::new(file).unwrap();
        options.rule_for(&file, field.as_ref()).map(Rule::to_string)
    }

    #[test]
    fn the_most_specific_rule_counts_and_the_last_of_equals() {
        let rules = ["/**=ours", "/titles/*=theirs", "/titles/@en=base", "/*/@en=ours"];
        let at = |field| chosen(&rules, "a.meta.json", Some(field)).unwrap();
        assert_eq!(at("/titles/@en"), "/titles/@en=base");
        assert_eq!(at("/titles/@fr"), "/titles/*=theirs");
        assert_eq!(at("/names/@en"), "/*/@en=ours");
        assert_eq!(at("/year"), "/**=ours");
        assert_eq!(chosen(&["/a=ours", "/a=theirs"], "f", Some("/a")).unwrap(), "/a=theirs");
        assert_eq!(chosen(&rules, "a.mp4", None), None, "a field rule says nothing on whole files");
    }

    #[test]
    fn globs_match_names_and_paths() {
        let at = |rule, file| chosen(&[rule], file, None).is_some();
        assert!(at("*=ours", "a/b/c.mp4"));
        assert!(at("*.mp4=ours", "a/b/c.mp4"));
        assert!(at("a/**/c.mp4=ours", "a/c.mp4"));
        assert!(at("a/**=ours", "a/b/c.mp4"));
        assert!(at("**/b/?.mp4=ours", "a/b/c.mp4"));
        assert!(!at("a/*.mp4=ours", "a/b/c.mp4"));
        assert!(!at("*.mov=ours", "a/b/c.mp4"));
        assert!(!at("**/**/**/x=ours", "a/b/c.mp4"));
        assert_eq!(chosen(&["*=ours"], "a.meta.json", Some("/x")).unwrap(), "*=ours");
        let by_file = ["/x=ours", "b.meta.json:/x=theirs"];
        assert_eq!(chosen(&by_file, "b.meta.json", Some("/x")).unwrap(), "b.meta.json:/x=theirs");
        assert_eq!(chosen(&by_file, "a.meta.json", Some("/x")).unwrap(), "/x=ours");
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for text in ["", "=ours", "/a", "/a=", "a:b=ours", "/**/x=ours", "a//b=ours", "/a=mine"] {
            let error = text.parse::<Rule>().unwrap_err();
            assert_eq!(error.code(), "merge.bad_rule", "{text}");
        }
    }
}
