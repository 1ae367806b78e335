//! What a document breaks of its schema.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;

use ottvc_object::field_path::{FieldPath, Segment};
use ottvc_object::value::{Key, ListOrder, Value, value_to_json};

use super::known::{Broken, Known, Mark, Place};
use super::{Cursor, Limits, Schema, Type};
use crate::MergeError;
use crate::number::compare;
use crate::rename::MAX_FORMER_KEYS;
use crate::values::{FROM, is_former};

/// The most findings reported of one document; whoever has as many mends some first.
pub const MAX_FINDINGS: usize = 100;

/// One rule that one field breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The field.
    pub path: FieldPath,
    /// The attribute of the schema: `type`, `format`, `required` ...
    pub rule: &'static str,
    /// What is there, shortened.
    pub value: String,
    /// What should be there.
    pub why: String,
}

impl From<Finding> for MergeError {
    fn from(Finding { path: field, rule, value, why }: Finding) -> Self {
        Self::Invalid { field, rule, value, why }
    }
}

/// Returns what `document` breaks of `schema`, in the order of its fields, at most [`MAX_FINDINGS`].
///
/// Conflicts are passed over: what settles them is judged then. Costs one walk over the document.
pub fn validate(document: &Value, schema: &Schema) -> Vec<Finding> {
    let mut check = Check::new(document, true);
    check.value(document, &Cursor::root(Some(schema)));
    check.findings
}

/// Returns what `document` breaks of `schema` that is not known from before, in the order of its fields, at most
/// [`MAX_FINDINGS`].
pub fn validate_since(document: &Value, schema: &Schema, known: &mut Known) -> Vec<Finding> {
    let mut check = Check::new(document, true);
    check.known = Some(known);
    check.value(document, &Cursor::root(Some(schema)));
    check.findings
}

/// Notes all that `document` breaks.
pub(super) fn note_broken(document: &Value, schema: &Schema, broken: &mut Broken) {
    let mut check = Check::new(document, true);
    check.noting = Some(broken);
    check.value(document, &Cursor::root(Some(schema)));
}

/// Returns what the value at one place breaks by itself, its parts not looked at.
pub(crate) fn findings_at<'d>(value: &Value, document: &'d Value, at: &Cursor<'d>) -> Vec<Finding> {
    let mut check = Check::new(document, false);
    check.value(value, at);
    check.findings
}

struct Check<'d, 'k> {
    document: &'d Value,
    path: FieldPath,
    findings: Vec<Finding>,
    /// What is no finding, as it was broken before.
    known: Option<&'k mut Known>,
    /// Where all is noted instead, however much it is.
    noting: Option<&'k mut Broken>,
    /// Whether the parts are looked at, too.
    deep: bool,
    /// Where the items of lists that exchange items were met.
    met: BTreeMap<(&'d str, Key), FieldPath>,
}

impl<'d> Check<'d, '_> {
    fn new(document: &'d Value, deep: bool) -> Self {
        let (path, findings, met) = (FieldPath::root(), Vec::new(), BTreeMap::new());
        Self { document, path, findings, known: None, noting: None, deep, met }
    }

    fn found(&mut self, rule: &'static str, value: &Value, why: impl Into<String>) {
        self.told((rule, ""), Some(value), || Mark::of(&[Some(value)]), why);
    }

    /// Tells that the field breaks a rule with `value`: of those of one name with what names it.
    fn told(
        &mut self,
        (rule, which): (&'static str, &str),
        value: Option<&Value>,
        mark: impl FnOnce() -> Mark,
        why: impl Into<String>,
    ) {
        if self.findings.len() >= MAX_FINDINGS {
            return;
        }
        if self.noting.is_some() || self.known.is_some() {
            let mark = mark();
            let place = Place::new(&self.path, rule, which, mark);
            if let Some(broken) = &mut self.noting {
                return broken.note(place, mark);
            }
            if self.known.as_mut().is_some_and(|known| known.takes(place, mark)) {
                return;
            }
        }
        let value = value.map_or("nothing".to_owned(), shown);
        self.findings.push(Finding { path: self.path.clone(), rule, value, why: why.into() });
    }

    fn below(&mut self, segment: Segment, value: &Value, at: &Cursor<'d>) {
        if self.deep && self.findings.len() < MAX_FINDINGS {
            let at = at.step(&segment);
            self.path.0.push(segment);
            self.value(value, &at);
            self.path.0.pop();
        }
    }

    fn value(&mut self, value: &Value, at: &Cursor<'d>) {
        if matches!(value, Value::Conflict(_)) {
            return;
        }
        if let Some(kind) = at.kind().filter(|kind| !kind.holds(value)) {
            let why = match (kind, value, at.field()) {
                (Type::Keyed, Value::Array(items), Some(field)) => why_no_list(items, &field.keys),
                _ => format!("the type is {}", kind.word()),
            };
            self.found("type", value, why);
            return;
        }
        if let Some(limits) = at.limits() {
            self.limits(value, limits);
        }
        match value {
            Value::Map(map) => {
                for (key, below) in at.required() {
                    if map.get(key).is_none_or(|value| *value == Value::Null) {
                        self.path.0.push(Segment::Key(key.to_owned()));
                        let kind = below.kind().map_or("value", Type::word);
                        let (had, why) = (map.get(key), format!("a {kind} is needed"));
                        self.told(("required", ""), had, || Mark::of(&[]), why);
                        self.path.0.pop();
                    }
                }
                for invariant in at.invariants() {
                    if !invariant.holds(value, self.document) {
                        let (text, near) = (invariant.to_string(), invariant.near(value));
                        let why = format!("`{text}` must hold");
                        self.told(("invariants", &text), Some(value), || Mark::of(&near), why);
                    }
                }
                for (key, child) in map {
                    if key == FROM {
                        self.former_keys(child);
                        continue;
                    }
                    self.below(Segment::Key(key.clone()), child, at);
                }
            }
            Value::Localized(map) => {
                for (tag, leaf) in map {
                    self.below(Segment::Locale(tag.clone()), leaf, at);
                }
            }
            Value::Set(set) => {
                for element in set.iter() {
                    self.below(Segment::Element(element.clone()), element, at);
                }
            }
            Value::Array(elements) => {
                for (place, element) in (0..).zip(elements) {
                    self.below(Segment::Index(place), element, at);
                }
            }
            Value::Keyed(list) => {
                if let Some(keys) = at.field().map(|field| &field.keys)
                    && !keys.is_empty()
                    && keys != list.fields()
                {
                    let why = format!("the key fields are {}", keys.join(", "));
                    self.told(
                        ("keys", &list.fields().join(",")),
                        Some(value),
                        || Mark::of(&[]),
                        why,
                    );
                }
                if let (Some(field), ListOrder::Known(order)) = (at.field(), list.order())
                    && let Some(sorted) = super::convert::computed_order(field, list)
                    && sorted != *order
                {
                    let why = "the items stand as `order` says";
                    self.told(("order", ""), Some(value), || Mark::of(&[]), why);
                }
                for (key, item) in list.items() {
                    if let Some(domain) = at.domain().filter(|_| self.deep) {
                        self.met_once(domain, key, item, list.segment(key));
                    }
                    self.below(list.segment(key), item, at);
                }
            }
            _ => {}
        }
    }

    /// What an entry says it was called before: of an entry of a map, its keys; of an item, what names it.
    fn former_keys(&mut self, from: &Value) {
        let item = matches!(self.path.0.last(), Some(Segment::Item(_)));
        let fits = |key: &Value| matches!(key, Value::String(_)) || (item && is_former(key));
        let why = match from {
            Value::Set(keys) if keys.len() > MAX_FORMER_KEYS => {
                format!("at most {MAX_FORMER_KEYS} former keys are kept, these are {}", keys.len())
            }
            Value::Set(keys) if keys.iter().all(fits) => return,
            _ => "the former keys of an entry are a set of keys".to_owned(),
        };
        if self.deep {
            self.path.0.push(Segment::Key(FROM.to_owned()));
            self.found("from", from, why);
            self.path.0.pop();
        }
    }

    /// Among the lists of a domain an item stands once, or no merge could tell where it went.
    fn met_once(&mut self, domain: &'d str, key: &Key, item: &Value, segment: Segment) {
        let place = self.path.join(segment);
        match self.met.get(&(domain, key.clone())) {
            None => drop(self.met.insert((domain, key.clone()), place)),
            Some(first) => {
                let why =
                    format!("it stands at `{first}` too, and once among the lists of {domain}");
                let list = std::mem::replace(&mut self.path, place);
                self.told(("move_domain", ""), Some(item), || Mark::of(&[]), why);
                self.path = list;
            }
        }
    }

    fn limits(&mut self, value: &Value, limits: &Limits) {
        let count = match value {
            Value::Set(set) => Some(set.len()),
            Value::Array(elements) => Some(elements.len()),
            Value::Keyed(list) => Some(list.items().len()),
            _ => None,
        };
        if let Some(count) = count {
            let count = count as u64;
            if limits.min_items.is_some_and(|min| count < min) {
                let min = limits.min_items.unwrap_or_default();
                let why = format!("at least {min} are needed, these are {count}");
                let lacking = min.saturating_sub(count);
                self.told(("min_items", ""), Some(value), || Mark::Over(lacking), why);
            }
            if limits.max_items.is_some_and(|max| count > max) {
                let max = limits.max_items.unwrap_or_default();
                let why = format!("at most {max} are allowed, these are {count}");
                self.told(("max_items", ""), Some(value), || Mark::Over(count), why);
            }
            return;
        }
        if let Value::String(text) | Value::Text(text) = value {
            let long = text.chars().count() as u64;
            if let Some(min) = limits.min_length.filter(|min| long < *min) {
                self.found(
                    "min_length",
                    value,
                    format!("it has at least {min} characters, not {long}"),
                );
            }
            if let Some(max) = limits.max_length.filter(|max| long > *max) {
                self.found(
                    "max_length",
                    value,
                    format!("it has at most {max} characters, not {long}"),
                );
            }
        }
        if let (Some(format), Value::String(text)) = (limits.format, value)
            && format.canonical(text).as_ref() != Some(text)
        {
            let why = match format.canonical(text) {
                Some(canonical) => format!("it is written `{canonical}`"),
                None => format!("it is no {}", format.word()),
            };
            self.found("format", value, why);
        }
        let scalar = value.is_scalar() && *value != Value::Null;
        if scalar && !limits.one_of.is_empty() && !limits.one_of.contains(value) {
            let known: Vec<String> = limits.one_of.iter().map(shown).collect();
            self.found("enum", value, format!("it is one of {}", known.join(", ")));
        }
        if let Some(min) = &limits.min
            && compare(value, min) == Some(Ordering::Less)
        {
            self.found("min", value, format!("it is at least {}", shown(min)));
        }
        if let Some(max) = &limits.max
            && compare(value, max) == Some(Ordering::Greater)
        {
            self.found("max", value, format!("it is at most {}", shown(max)));
        }
    }
}

/// The most characters of a value in a message.
const MAX_SHOWN: usize = 60;

/// Why an array is no list with these key fields.
fn why_no_list(items: &[Value], keys: &[String]) -> String {
    let mut seen = HashSet::new();
    for item in items {
        let Value::Map(map) = item else { return "each item of a list is a map".to_owned() };
        let key: Option<Vec<&Value>> = keys.iter().map(|name| map.get(name)).collect();
        let Some(key) = key else { return format!("each item has {}", keys.join(", ")) };
        let parts = keys.iter().zip(&key).map(|(name, part)| format!("{name}={}", shown(part)));
        let told = parts.collect::<Vec<String>>().join(",");
        if !seen.insert(key) {
            return format!("two items have the key {told}");
        }
    }
    format!("the type is {}", Type::Keyed.word())
}

/// A value in a message: what it says, cut short.
pub(super) fn shown(value: &Value) -> String {
    let mut text = String::new();
    match value {
        Value::String(own) | Value::Text(own) => {
            text.push('`');
            text.extend(own.chars().take(MAX_SHOWN));
            text.push('`');
        }
        Value::Map(map) if map.is_empty() => text.push_str("an empty map"),
        Value::Localized(map) if map.is_empty() => text.push_str("no locales"),
        Value::Keyed(list) if list.items().is_empty() => text.push_str("an empty list"),
        Value::Set(set) if set.is_empty() => text.push_str("an empty set"),
        Value::Array(elements) if elements.is_empty() => text.push_str("an empty array"),
        other => show(other, &mut text),
    }
    if text.chars().count() <= MAX_SHOWN {
        return text;
    }
    text.chars().take(MAX_SHOWN - 3).chain("...".chars()).collect()
}

/// Writes as much of a value as a message has room for.
fn show(value: &Value, text: &mut String) {
    fn all<'v>(
        (open, close): (char, char),
        parts: impl Iterator<Item = (Option<&'v String>, &'v Value)>,
        text: &mut String,
    ) {
        text.push(open);
        for (number, (name, part)) in parts.enumerate() {
            if text.chars().take(MAX_SHOWN + 1).count() > MAX_SHOWN {
                return;
            }
            text.push_str(if number > 0 { ", " } else { "" });
            if let Some(name) = name {
                let _ = write!(text, "{name}: ");
            }
            show(part, text);
        }
        text.push(close);
    }
    match value {
        Value::Map(map) | Value::Localized(map) => {
            all(('{', '}'), map.iter().map(|(name, it)| (Some(name), it)), text);
        }
        Value::Keyed(list) => all(('[', ']'), list.iter().map(|(_, it)| (None, it)), text),
        Value::Set(set) => all(('[', ']'), set.iter().map(|it| (None, it)), text),
        Value::Array(elements) => all(('[', ']'), elements.iter().map(|it| (None, it)), text),
        Value::String(own) | Value::Text(own) => {
            text.extend(own.chars().take(MAX_SHOWN));
        }
        Value::Conflict(_) => text.push_str("a conflict"),
        scalar => text.push_str(&value_to_json(scalar).to_string()),
    }
}
