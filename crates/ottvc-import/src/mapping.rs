//! Mappings: which part of a format is which field of a document. Data, read strictly.
//!
//! A mapping is JSON. `docs/import.md` explains each member; nothing about a format is known to the
//! code that a mapping could say.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::marker::PhantomData;

use ottvc_object::field_path::{FieldPath, Segment};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};

use crate::ImportError;
use crate::kind::{Kind, shorten};
use crate::selector::{Selector, Want};

/// The most bytes of a mapping.
pub const MAX_MAPPING_BYTES: u64 = 1 << 20;

/// Where what no rule takes is kept, by format.
pub(crate) const CUSTOM: &str = "custom";

/// What files of a format are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Syntax {
    /// XML.
    Xml,
    /// JSON.
    Json,
    /// Comma-separated values, with a header.
    Csv,
}

/// How a format says what fields of a document say.
#[derive(Clone, Debug)]
pub struct Mapping {
    pub(crate) name: String,
    pub(crate) format: String,
    pub(crate) syntax: Syntax,
    pub(crate) roots: Vec<String>,
    /// Elements that may stand around a root and hold nothing else, or the way down to one in an
    /// envelope whose other parts are about its sending.
    pub(crate) wrappers: Vec<String>,
    /// Elements that begin a file of a part alone, and that part of a whole one.
    pub(crate) inside: Vec<(String, String)>,
    pub(crate) namespaces: Vec<(String, Vec<String>)>,
    pub(crate) default_locale: String,
    pub(crate) delimiter: u8,
    pub(crate) documents: Option<String>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) ignore: Vec<Selector>,
    pub(crate) order: BTreeMap<String, Vec<String>>,
    pub(crate) attributes: Vec<(String, String)>,
}

/// How one value is read and written.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) kind: Kind,
    pub(crate) vocabulary: Option<Vocabulary>,
    /// What parts several values in one text.
    pub(crate) split: Option<String>,
}

/// One rule: what is at `from` is the field `to`.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) from: Selector,
    pub(crate) to: FieldPath,
    pub(crate) holds: Holds,
    pub(crate) shape: Shape,
    pub(crate) locale: Locale,
    pub(crate) export: bool,
}

/// How a rule knows the language of what it finds.
#[derive(Clone, Debug)]
pub(crate) enum Locale {
    /// A test of its selector says so, or nothing does.
    Tested,
    /// It is always this.
    Fixed(String),
    /// It stands there, seen from what was found.
    At(Selector),
}

/// What the field of a rule holds.
#[derive(Clone, Debug)]
pub(crate) enum Holds {
    Value,
    Localized,
    Set,
    Items { keys: Vec<String>, fields: Vec<Member> },
}

/// One field of an item.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) from: From,
    pub(crate) holds: Holds,
    pub(crate) shape: Shape,
    /// Where it is read if it is not found there.
    pub(crate) or: Option<Selector>,
    /// Whether its default is written too.
    pub(crate) always: bool,
}

/// Where a field of an item comes from.
#[derive(Clone, Debug)]
pub(crate) enum From {
    /// It is always this.
    Constant(String),
    /// What is found there, or this if nothing is.
    Selector(Selector, Option<String>),
}

/// Words of a format, and ours for them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Vocabulary {
    /// Whether words that are not listed are kept as they are; else they are left over.
    #[serde(default)]
    open: bool,
    words: Table<String>,
}

impl Vocabulary {
    /// Our word for theirs.
    pub(crate) fn ours(&self, theirs: &str) -> Result<String, String> {
        match self.words.0.iter().find(|(word, _)| word == theirs) {
            Some((_, ours)) => Ok(ours.clone()),
            None if self.open => Ok(theirs.to_owned()),
            None => Err(format!("`{}` is no word of this vocabulary", shorten(theirs))),
        }
    }
    /// Their word for ours: the first of several.
    pub(crate) fn theirs(&self, ours: &str) -> Option<String> {
        match self.words.0.iter().find(|(_, word)| word == ours) {
            Some((theirs, _)) => Some(theirs.clone()),
            None => self.open.then(|| ours.to_owned()),
        }
    }
}

/// Members of an object, in order, none twice.
#[derive(Clone, Debug)]
pub(crate) struct Table<T>(pub(crate) Vec<(String, T)>);

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Table<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = Table<T>;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Table<T>, A::Error> {
                let mut members: Vec<(String, T)> = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, T>()? {
                    if members.iter().any(|(other, _)| *other == name) {
                        return Err(A::Error::custom(format!("`{name}` comes twice")));
                    }
                    members.push((name, value));
                }
                Ok(Table(members))
            }
        }
        deserializer.deserialize_map(Members(PhantomData))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMapping {
    mapping: String,
    format: String,
    #[serde(default, rename = "about")]
    _about: Option<String>,
    syntax: Syntax,
    #[serde(default)]
    root: Vec<String>,
    #[serde(default)]
    wrappers: Vec<String>,
    #[serde(default)]
    inside: Table<String>,
    #[serde(default)]
    namespaces: Table<Vec<String>>,
    #[serde(default)]
    default_locale: Option<String>,
    #[serde(default)]
    delimiter: Option<String>,
    #[serde(default)]
    documents: Option<String>,
    #[serde(default)]
    vocabularies: Table<Vocabulary>,
    #[serde(default)]
    ignore: Vec<String>,
    #[serde(default)]
    order: Table<Vec<String>>,
    #[serde(default)]
    attributes: Table<String>,
    rules: Vec<RawRule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    from: String,
    to: String,
    #[serde(default, rename = "about")]
    _about: Option<String>,
    #[serde(default)]
    holds: Word,
    #[serde(default, rename = "as")]
    kind: Kind,
    #[serde(default)]
    vocabulary: Option<String>,
    #[serde(default)]
    split: Option<String>,
    #[serde(default)]
    locale: Option<RawLocale>,
    #[serde(default)]
    keys: Vec<String>,
    #[serde(default)]
    item: Option<Table<RawMember>>,
    #[serde(default = "yes")]
    export: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawLocale {
    Fixed(String),
    At(At),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct At {
    from: String,
}

fn yes() -> bool {
    true
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    #[default]
    Value,
    Localized,
    Set,
    Items,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawMember {
    From(String),
    Whole(WholeMember),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WholeMember {
    #[serde(default)]
    from: Option<String>,
    #[serde(default)]
    value: Option<String>,
    #[serde(default)]
    default: Option<String>,
    #[serde(default)]
    or: Option<String>,
    #[serde(default)]
    always: bool,
    #[serde(default)]
    holds: Word,
    #[serde(default, rename = "as")]
    kind: Kind,
    #[serde(default)]
    vocabulary: Option<String>,
    #[serde(default)]
    split: Option<String>,
}

impl Mapping {
    /// Reads a mapping.
    ///
    /// # Errors
    /// [`ImportError::BadMapping`] with the line, or the rule.
    pub fn parse(text: &str) -> Result<Self, ImportError> {
        if text.len() as u64 > MAX_MAPPING_BYTES {
            let what = "too many bytes of a mapping";
            return Err(ImportError::TooLarge { what, line: 0, limit: MAX_MAPPING_BYTES });
        }
        let raw: RawMapping = serde_json::from_str(text).map_err(|error| {
            let words = error.to_string();
            let place = format!(" at line {} column {}", error.line(), error.column());
            let why = words.strip_suffix(&place).unwrap_or(&words);
            ImportError::mapping(format!("line {}", error.line()), why)
        })?;
        let bad = |what: &str, why: String| ImportError::mapping(format!("`{what}`"), why);
        let plain = |word: &str| {
            let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            !word.is_empty() && word.len() <= 64 && word.chars().all(fits)
        };
        match raw.mapping.split_once('/') {
            Some((name, version)) if plain(name) && version.parse::<u32>().is_ok() => {}
            _ => return Err(bad("mapping", "it is named NAME/VERSION".into())),
        }
        if !plain(&raw.format) {
            return Err(bad("format", "letters, digits, `-`, `_` and `.`".into()));
        }
        let tag = raw.default_locale.unwrap_or_else(|| "und".to_owned());
        let default_locale = ottvc_object::value::canonical_tag(&tag)
            .ok_or_else(|| bad("default_locale", format!("`{tag}` is no language tag")))?;
        let delimiter = match raw.delimiter.as_deref().unwrap_or(",").as_bytes() {
            [byte] if byte.is_ascii() && !b"\"\r\n".contains(byte) => *byte,
            _ => return Err(bad("delimiter", "one character of ASCII".into())),
        };
        let mut mapping = Self {
            name: raw.mapping,
            format: raw.format,
            syntax: raw.syntax,
            roots: raw.root,
            wrappers: raw.wrappers,
            inside: raw.inside.0,
            namespaces: raw.namespaces.0,
            default_locale,
            delimiter,
            documents: raw.documents,
            rules: Vec::new(),
            ignore: Vec::new(),
            order: raw.order.0.into_iter().collect(),
            attributes: raw.attributes.0,
        };
        if mapping.syntax == Syntax::Xml && mapping.roots.is_empty() {
            return Err(bad("root", "which elements begin such a file?".into()));
        }
        for selector in &raw.ignore {
            mapping.ignore.push(mapping.selector(selector).map_err(|why| bad(selector, why))?);
        }
        for rule in raw.rules {
            let text = format!("{} -> {}", rule.from, rule.to);
            let rule = mapping.rule(rule, &raw.vocabularies).map_err(|why| bad(&text, why))?;
            mapping.rules.push(rule);
        }
        Ok(mapping)
    }

    fn rule(&self, raw: RawRule, words: &Table<Vocabulary>) -> Result<Rule, String> {
        let to: FieldPath = raw.to.parse().map_err(|error| format!("{error}"))?;
        let named = to.segments().iter().all(|step| matches!(step, Segment::Key(_)));
        if to.is_root() || !named {
            return Err(format!("`{}` does not name a field by keys alone", raw.to));
        }
        let from = self.selector(&raw.from)?;
        if from.up > 0 {
            return Err("a rule begins at the root: nothing is above it".into());
        }
        let shape = shape(raw.kind, raw.vocabulary.as_deref(), raw.split, words)?;
        let holds = match (raw.holds, raw.item) {
            (Word::Items, Some(item)) => self.items(raw.keys, item, words)?,
            (Word::Items, None) => return Err("what is an `item` of it?".into()),
            (_, Some(_)) => return Err("an `item` is what `\"holds\": \"items\"` has".into()),
            (word, None) if raw.keys.is_empty() => holds(word)?,
            (_, None) => return Err("`keys` are those of items".into()),
        };
        if matches!(holds, Holds::Items { .. }) && from.attribute.is_some() {
            return Err("an item is an element".into());
        }
        fits(&holds, &shape)?;
        let locale = match raw.locale {
            None => Locale::Tested,
            Some(_) if !matches!(holds, Holds::Localized) => {
                return Err("only what is localized has a `locale`".into());
            }
            Some(RawLocale::At(At { from })) => Locale::At(self.selector(&from)?),
            Some(RawLocale::Fixed(tag)) => Locale::Fixed(
                ottvc_object::value::canonical_tag(&tag)
                    .ok_or_else(|| format!("`{tag}` is no language tag"))?,
            ),
        };
        let export = raw.export;
        Ok(Rule { from, to, holds, shape, locale, export })
    }

    fn items(
        &self,
        keys: Vec<String>,
        item: Table<RawMember>,
        words: &Table<Vocabulary>,
    ) -> Result<Holds, String> {
        let mut fields = Vec::new();
        for (name, member) in item.0 {
            let raw = match member {
                RawMember::Whole(whole) => whole,
                RawMember::From(from) => WholeMember {
                    from: Some(from),
                    value: None,
                    default: None,
                    or: None,
                    always: false,
                    holds: Word::Value,
                    kind: Kind::default(),
                    vocabulary: None,
                    split: None,
                },
            };
            let shape = shape(raw.kind, raw.vocabulary.as_deref(), raw.split, words)?;
            let from = match (raw.from, raw.value) {
                (Some(from), None) => From::Selector(self.selector(&from)?, raw.default),
                (None, Some(value)) => From::Constant(value),
                _ => return Err(format!("`{name}` is either `from` somewhere or a `value`")),
            };
            let holds = holds(raw.holds)?;
            fits(&holds, &shape)?;
            if keys.contains(&name) && !matches!(holds, Holds::Value) {
                return Err(format!("the key `{name}` is one value"));
            }
            if raw.always && !matches!(from, From::Selector(_, Some(_))) {
                return Err(format!("`{name}` has no default that is `always` written"));
            }
            let or = raw.or.as_deref().map(|or| self.selector(or)).transpose()?;
            if or.is_some() && matches!(from, From::Constant(_)) {
                return Err(format!("`{name}` is always its `value`"));
            }
            fields.push(Member { name, from, holds, shape, or, always: raw.always });
        }
        if keys.is_empty() || keys.iter().any(|key| !fields.iter().any(|it| it.name == *key)) {
            return Err("`keys` names the fields that tell items apart".into());
        }
        Ok(Holds::Items { keys, fields })
    }

    /// Reads a selector whose prefixes all stand for a namespace.
    fn selector(&self, text: &str) -> Result<Selector, String> {
        let selector: Selector = text.parse()?;
        if self.syntax != Syntax::Xml {
            return Ok(selector);
        }
        let tests = selector.steps.iter().flat_map(|step| &step.tests);
        let tested = tests.flat_map(|test| test.path.iter().chain(&test.attribute));
        let names = selector.steps.iter().map(|step| &step.name);
        for name in names.chain(tested).chain(&selector.attribute) {
            if let Some((prefix, _)) = name.split_once(':')
                && prefix != "xml"
                && !self.namespaces.iter().any(|(known, _)| known == prefix)
            {
                return Err(format!("the prefix `{prefix}` stands for no namespace"));
            }
        }
        Ok(selector)
    }

    /// Its name and version.
    pub fn name(&self) -> &str {
        &self.name
    }
    /// The format it is for.
    pub fn format(&self) -> &str {
        &self.format
    }
    /// What files of the format are written in.
    pub fn syntax(&self) -> Syntax {
        self.syntax
    }

    /// The fields it can write: what a full delivery owns, each with all below it.
    pub fn scope(&self) -> Vec<FieldPath> {
        let mut scope: Vec<FieldPath> = self.rules.iter().map(|rule| rule.to.clone()).collect();
        scope.push(self.custom());
        scope.sort();
        scope.dedup();
        scope
    }

    /// The fields it can write back, each with all below it.
    pub(crate) fn written(&self) -> BTreeSet<FieldPath> {
        let rules = self.rules.iter().filter(|rule| rule.export && self.syntax == Syntax::Xml);
        rules.map(|rule| rule.to.clone()).collect()
    }

    /// Where it keeps what no rule takes.
    pub(crate) fn custom(&self) -> FieldPath {
        FieldPath::root().key(CUSTOM).key(self.format.clone())
    }

    /// The prefix of a namespace.
    pub(crate) fn prefix(&self, space: &str) -> Option<String> {
        let known = |(_, spaces): &&(String, Vec<String>)| {
            spaces.iter().any(|pattern| match pattern.split_once('*') {
                None => pattern == space,
                Some((head, tail)) => {
                    space.len() >= head.len() + tail.len()
                        && space.starts_with(head)
                        && space.ends_with(tail)
                }
            })
        };
        self.namespaces.iter().find(known).map(|(prefix, _)| prefix.clone())
    }
}

fn shape(
    kind: Kind,
    vocabulary: Option<&str>,
    split: Option<String>,
    words: &Table<Vocabulary>,
) -> Result<Shape, String> {
    let vocabulary = vocabulary
        .map(|name| {
            let known = words.0.iter().find(|(known, _)| known == name);
            known.map(|(_, words)| words.clone()).ok_or(format!("no vocabulary is called `{name}`"))
        })
        .transpose()?;
    if split.as_deref() == Some("") {
        return Err("nothing is split by nothing".into());
    }
    Ok(Shape { kind, vocabulary, split })
}

fn holds(word: Word) -> Result<Holds, String> {
    match word {
        Word::Value => Ok(Holds::Value),
        Word::Localized => Ok(Holds::Localized),
        Word::Set => Ok(Holds::Set),
        Word::Items => Err("an item holds no items".into()),
    }
}

fn fits(holds: &Holds, shape: &Shape) -> Result<(), String> {
    if matches!(holds, Holds::Localized) && !shape.kind.is_prose() {
        return Err("under a language stands a `string` or a `text`".into());
    }
    if shape.split.is_some() && !matches!(holds, Holds::Set) {
        return Err("only a set is `split`".into());
    }
    Ok(())
}

impl Want {
    /// What to write so that the test passes.
    pub(crate) fn word(&self) -> Option<&str> {
        match self {
            Self::Is(words) => words.first().map(String::as_str),
            _ => None,
        }
    }
}
