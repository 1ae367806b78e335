//! What a document breaks of its schema.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;

use ottvc_object::conflict::{Conflict, Term};
use ottvc_object::field_path::{FieldPath, Segment};
use ottvc_object::value::{FieldChange, Key, ListOrder, MOVE, RENAME, Value, diff, value_to_json};

use super::{Cursor, Limits, Schema, Type};
use crate::number::compare;
use crate::rename::MAX_FORMER_KEYS;
use crate::values::{FROM, group_names, is_former};
use crate::{MergeError, group_conflict};

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

/// Returns the fields that `new` changes though they were given once and for all.
///
/// A field that was absent or null may still be given; removing one is a change. One that was in conflict
/// was given by the bases of the conflict, and stays what one of them has; a conflict that is put in
/// its place has it for its bases.
pub fn validate_change(old: &Value, new: &Value, schema: &Schema) -> Vec<Finding> {
    changes_of(old, new, schema, Author::Person)
}

/// Who put a conflict where something was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Author {
    /// Whoever wrote the document.
    Person,
    /// Perhaps a merge, which joins entries that moved apart in a conflict without a base.
    Merge,
    /// The engine, which judges when nothing is in conflict any more.
    Engine,
}

impl Author {
    /// Whether a conflict may stand in the place of `was` whatever it has for its bases.
    fn may_put(self, conflict: &Conflict<Value>, was: &Value) -> bool {
        match self {
            Self::Person => false,
            Self::Merge => {
                [MOVE, RENAME].contains(&conflict.policy.as_str()) && matches!(was, Value::Map(_))
            }
            Self::Engine => true,
        }
    }
}

fn changes_of(old: &Value, new: &Value, schema: &Schema, author: Author) -> Vec<Finding> {
    let mut findings = Vec::new();
    if schema.fields().iter().any(|field| field.immutable) {
        changed_once(old, new, &Cursor::root(Some(schema)), author, &mut findings);
    }
    findings
}

/// Returns the fields that a merge changes in `ours` though they were given once and for all.
///
/// Who merges may choose between values that both sides gave where the base had none: each was the first.
/// So only what one of the `bases` had is judged. What is in conflict now has what they had for its bases, unless
/// they disagree themselves; a conflict without was put there by somebody to get rid of what was given.
pub fn validate_merge(
    ours: &Value,
    bases: &[Value],
    merged: &Value,
    schema: &Schema,
) -> Vec<Finding> {
    let mut findings = changes_of(ours, merged, schema, Author::Merge);
    if findings.is_empty() {
        return findings;
    }
    let contested = |path: &FieldPath| {
        let in_conflict = matches!(merged.get(path), Some(Value::Conflict(_)))
            || group_conflict(merged, path).is_some();
        let mut pairs = bases.iter().zip(bases.iter().skip(1));
        in_conflict && pairs.any(|(one, other)| one.get(path) != other.get(path))
    };
    let given = bases.iter().flat_map(|base| changes_of(base, merged, schema, Author::Merge));
    let given: Vec<FieldPath> = given.map(|it| it.path).filter(|it| !contested(it)).collect();
    findings.retain(|it| {
        given.iter().any(|path| path.starts_with(&it.path) || it.path.starts_with(path))
    });
    findings
}

/// Whether several sides put something together here that changes what `base` gave once.
pub(crate) fn changes_once(base: &Value, merged: &Value, at: &Cursor<'_>) -> bool {
    let mut findings = Vec::new();
    changed_once(base, merged, at, Author::Engine, &mut findings);
    !findings.is_empty()
}

/// Notes what changes between two values at one place though it was given once; conflicts that forget what was
/// given count as changes, if their `author` may not put them there.
fn changed_once(
    old: &Value,
    new: &Value,
    at: &Cursor<'_>,
    author: Author,
    findings: &mut Vec<Finding>,
) {
    for FieldChange { field, old: was, new: mut now } in diff(Some(old), Some(new)) {
        let Some(was) = was else { continue };
        let in_conflict = matches!(was, Value::Conflict(_));
        let mut steps = field.segments();
        if in_conflict
            && let Some((Segment::Key(key), parent)) = steps.split_last()
            && let Some(names) = group_names(key)
            && !matches!(now, Some(Value::Conflict(_)))
        {
            // Fields that moved together lie in the map around, once it is settled.
            let found = |name: &&str| {
                let at = FieldPath(parent.to_vec()).key(*name);
                Some(((*name).to_owned(), new.get(&at)?.clone()))
            };
            now = Some(Value::Map(names.iter().filter_map(found).collect()));
            steps = parent;
        }
        // The field may lie at the change, further up, or inside a part that went as a whole.
        let place = steps.iter().fold(at.clone(), |at, step| at.step(step));
        let mut given = given(&was);
        given.retain(|was| holds_fixed(was, &place));
        let Some(first) = given.first() else { continue };
        let stays = |now: &Value| given.iter().any(|was| !changes_once(was, now, &place));
        let kept = match (&now, group_conflict(new, &field)) {
            (Some(Value::Conflict(conflict)), _) if author.may_put(conflict, &was) => true,
            (_, Some((_, conflict))) if author.may_put(conflict, &was) => true,
            (Some(Value::Conflict(conflict)), _) => {
                let bases = bases_of(conflict);
                !bases.is_empty() && bases.into_iter().all(stays)
            }
            (_, Some((group, conflict))) => {
                let inside = field.segments().get(group.segments().len() - 1..).unwrap_or_default();
                let inside = FieldPath(inside.to_vec());
                let bases = bases_of(conflict);
                !bases.is_empty()
                    && bases.into_iter().all(|base| base.get(&inside).is_some_and(stays))
            }
            (now, None) => in_conflict && now.as_ref().is_some_and(stays),
        };
        if !kept {
            findings.push(Finding {
                rule: "immutable",
                value: now.as_ref().map_or("nothing".to_owned(), shown),
                why: format!("it stays {}", shown(first)),
                path: field,
            });
        }
        if findings.len() >= MAX_FINDINGS {
            break;
        }
    }
}

/// What was given where this stands: the value, or what the bases of a conflict have.
fn given(value: &Value) -> Vec<&Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Conflict(conflict) => bases_of(conflict),
        value => vec![value],
    }
}

/// What the bases of a conflict give, those of its contested bases too.
fn bases_of(conflict: &Conflict<Value>) -> Vec<&Value> {
    // Of a rename they say where an entry was, which is nothing that is given.
    if conflict.policy == RENAME {
        return Vec::new();
    }
    let bases = conflict.terms.removes();
    bases
        .flat_map(|base| match base {
            Term::Absent => Vec::new(),
            Term::Value(value) => given(value),
            Term::Contested(inner) => bases_of(inner),
        })
        .collect()
}

fn holds_fixed(value: &Value, at: &Cursor<'_>) -> bool {
    if at.fixed() {
        return true;
    }
    match value {
        Value::Map(map) => {
            map.iter().any(|(key, child)| holds_fixed(child, &at.step(&Segment::Key(key.clone()))))
        }
        Value::Keyed(list) => {
            list.items().iter().any(|(key, item)| holds_fixed(item, &at.step(&list.segment(key))))
        }
        _ => false,
    }
}

/// Returns what the value at one place breaks by itself, its parts not looked at.
pub(crate) fn findings_at<'d>(value: &Value, document: &'d Value, at: &Cursor<'d>) -> Vec<Finding> {
    let mut check = Check::new(document, false);
    check.value(value, at);
    check.findings
}

struct Check<'d> {
    document: &'d Value,
    path: FieldPath,
    findings: Vec<Finding>,
    /// Whether the parts are looked at, too.
    deep: bool,
    /// Where the items of lists that exchange items were met.
    met: BTreeMap<(&'d str, Key), FieldPath>,
}

impl<'d> Check<'d> {
    fn new(document: &'d Value, deep: bool) -> Self {
        let (path, findings, met) = (FieldPath::root(), Vec::new(), BTreeMap::new());
        Self { document, path, findings, deep, met }
    }

    fn found(&mut self, rule: &'static str, value: &Value, why: impl Into<String>) {
        self.told(rule, shown(value), why);
    }

    fn told(&mut self, rule: &'static str, value: String, why: impl Into<String>) {
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(Finding { path: self.path.clone(), rule, value, why: why.into() });
        }
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
                        let had = map.get(key).map_or("nothing".to_owned(), shown);
                        self.told("required", had, format!("a {kind} is needed"));
                        self.path.0.pop();
                    }
                }
                for invariant in at.invariants() {
                    if !invariant.holds(value, self.document) {
                        self.found("invariants", value, format!("`{invariant}` must hold"));
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
                    self.found("keys", value, format!("the key fields are {}", keys.join(", ")));
                }
                if let (Some(field), ListOrder::Known(order)) = (at.field(), list.order())
                    && let Some(sorted) = super::convert::computed_order(field, list)
                    && sorted != *order
                {
                    self.found("order", value, "the items stand as `order` says");
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
                self.found("move_domain", item, why);
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
                self.found(
                    "min_items",
                    value,
                    format!("at least {min} are needed, these are {count}"),
                );
            }
            if limits.max_items.is_some_and(|max| count > max) {
                let max = limits.max_items.unwrap_or_default();
                self.found(
                    "max_items",
                    value,
                    format!("at most {max} are allowed, these are {count}"),
                );
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

/// A value in a message: what it says, cut short.
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

/// A value, shortened.
fn shown(value: &Value) -> String {
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
