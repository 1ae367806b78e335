//! From a document back to a format: the rules of its mapping, read the other way.
//!
//! What is written is read again under the same mapping and compared: whatever does not come back as it
//! was is named in [`Written::unsaid`], so that nothing is dropped unseen, whatever a mapping says.

use std::collections::BTreeSet;

use ottvc_object::field_path::{FieldPath, Segment};
use ottvc_object::value::{Value, ValueMap, diff};

use crate::kind::Kind;
use crate::mapping::{From, Holds, Locale, Mapping, Member, Rule, Shape};
use crate::selector::{Selector, Step, Test, Want};
use crate::{ImportError, Syntax, leftover};

/// A document in a foreign format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The file.
    pub text: String,
    /// Fields of the document that it does not say.
    pub unsaid: Vec<FieldPath>,
}

/// Writes a document, its values in the kinds of `ott.edition/1`, as its mapping says.
///
/// # Errors
/// [`ImportError::OneWay`] for a format that is read only.
pub fn write(document: &Value, mapping: &Mapping) -> Result<Written, ImportError> {
    let one_way = |why| ImportError::OneWay { format: mapping.format.clone(), why };
    if mapping.syntax != Syntax::Xml {
        return Err(one_way("only formats of XML are"));
    }
    let root = mapping.roots.first().ok_or_else(|| one_way("its mapping names no root"))?;
    if !mapping.rules.iter().any(|rule| rule.export) {
        return Err(one_way("its mapping has no rule for it"));
    }
    let mut work = Work { mapping, document, root: Out::new(root.clone()), said: BTreeSet::new() };
    for rule in mapping.rules.iter().filter(|rule| rule.export) {
        work.rule(rule);
    }
    if let Some(left) = document.get(&mapping.custom()) {
        let mut left = leftover::restore(root, left);
        left.keep_writable(mapping);
        graft(&mut work.root, left);
    }
    let mut root = work.root;
    root.sort(&mapping.order);
    for (name, value) in &mapping.attributes {
        if root.attribute(name).is_none() {
            root.attributes.insert(0, (name.clone(), value.clone()));
        }
    }
    let text = root.document(mapping);
    let read = crate::read(text.as_bytes(), Some(mapping))?;
    let empty = Value::Map(ValueMap::new());
    let read = read.first().map_or(&empty, |delivery| &delivery.document);
    let changes = diff(Some(document), Some(read)).into_iter();
    let unsaid = changes.filter(|change| change.old.is_some()).map(|change| change.field).collect();
    Ok(Written { text, unsaid })
}

/// An element to be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Out {
    pub(crate) name: String,
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) text: Option<String>,
    pub(crate) children: Vec<Out>,
}

struct Work<'m> {
    mapping: &'m Mapping,
    document: &'m Value,
    root: Out,
    said: BTreeSet<FieldPath>,
}

impl Work<'_> {
    fn rule(&mut self, rule: &Rule) {
        let Some(value) = self.document.get(&rule.to) else { return };
        match (&rule.holds, value) {
            (Holds::Value, value) => {
                if let Some(text) = rule.shape.write(value)
                    && self.say(rule.to.clone())
                {
                    self.place(&[], &rule.from, &text, None, true);
                }
            }
            (Holds::Localized, Value::Localized(map)) => {
                for (tag, leaf) in map {
                    if matches!(&rule.locale, Locale::Fixed(fixed) if fixed != tag)
                        || matches!(rule.locale, Locale::At(_))
                    {
                        continue;
                    }
                    let Some(text) = rule.shape.write(leaf) else { continue };
                    if self.say(rule.to.join(Segment::Locale(tag.clone()))) {
                        self.place(&[], &rule.from, &text, Some(tag), true);
                    }
                }
            }
            (Holds::Set, Value::Set(set)) => {
                let mut words = Vec::new();
                for element in set.iter() {
                    let at = rule.to.join(Segment::Element(element.clone()));
                    if let Some(text) = rule.shape.write(element)
                        && self.say(at)
                    {
                        words.push(text);
                    }
                }
                for text in joined(words, &rule.shape) {
                    self.place(&[], &rule.from, &text, None, true);
                }
            }
            (Holds::Items { fields, .. }, Value::Keyed(list)) => {
                for (key, item) in list.iter() {
                    let at = rule.to.join(list.segment(key));
                    if let Value::Map(item) = item
                        && !self.said.contains(&at)
                        && suits(rule, fields, item)
                    {
                        self.said.insert(at);
                        self.item(rule, fields, item);
                    }
                }
            }
            _ => {}
        }
    }

    fn say(&mut self, field: FieldPath) -> bool {
        self.said.insert(field)
    }

    fn item(&mut self, rule: &Rule, fields: &[Member], item: &ValueMap) {
        // What stands above the element belongs to this item too, as far up as a field looks.
        let ups = fields.iter().filter_map(|member| match &member.from {
            From::Selector(selector, _) => Some(selector.up),
            From::Constant(_) => None,
        });
        let up = ups.max().unwrap_or_default();
        let fresh = rule.from.steps.len().saturating_sub(up + 1);
        let Some(at) = self.descend(&[], &rule.from.steps, None, fresh) else { return };
        for member in fields {
            let From::Selector(selector, default) = &member.from else { continue };
            let Some(value) = item.get(&member.name) else { continue };
            if member.shape.kind == Kind::Key && names_too(fields, member, item) {
                continue;
            }
            let depth = at.len().saturating_sub(selector.up);
            let base = at.get(..depth).unwrap_or_default().to_vec();
            match (&member.holds, value) {
                (Holds::Localized, Value::Localized(map)) => {
                    for (tag, leaf) in map {
                        if let Some(text) = member.shape.write(leaf) {
                            self.place(&base, selector, &text, Some(tag), true);
                        }
                    }
                }
                (Holds::Set, Value::Set(set)) => {
                    let words = set.iter().filter_map(|element| member.shape.write(element));
                    for text in joined(words.collect(), &member.shape) {
                        self.place(&base, selector, &text, None, true);
                    }
                }
                (Holds::Value, value) => {
                    let Some(text) = member.shape.write(value) else { continue };
                    if default.as_ref() != Some(&text) {
                        self.place(&base, selector, &text, None, false);
                    }
                }
                _ => {}
            }
        }
    }

    /// Writes a text where a selector says, seen from `base`; with `fresh` as an element of its own.
    fn place(
        &mut self,
        base: &[usize],
        selector: &Selector,
        text: &str,
        locale: Option<&str>,
        fresh: bool,
    ) {
        if !is_xml(text) {
            return;
        }
        let last = selector.steps.len().saturating_sub(1);
        let from = match (&selector.attribute, fresh) {
            (None, true) => last,
            _ => selector.steps.len(),
        };
        let Some(mut at) = self.descend(base, &selector.steps, locale, from) else { return };
        match &selector.attribute {
            None => {
                let Some(element) = self.root.at(&at) else { return };
                if element.text.as_deref().is_some_and(|before| before != text)
                    && !selector.steps.is_empty()
                {
                    // Somebody else's; it needs one of its own.
                    let Some(other) = self.descend(base, &selector.steps, locale, last) else {
                        return;
                    };
                    at = other;
                }
                if let Some(element) = self.root.at(&at) {
                    element.text = Some(text.to_owned());
                }
            }
            Some(name) => {
                let Some(element) = self.root.at(&at) else { return };
                let taken = element.attribute(name).is_some_and(|before| before != text);
                if taken && !selector.steps.is_empty() {
                    let Some(other) = self.descend(base, &selector.steps, locale, last) else {
                        return;
                    };
                    at = other;
                }
                if let Some(element) = self.root.at(&at)
                    && element.attribute(name).is_none()
                {
                    element.attributes.push((name.clone(), text.to_owned()));
                }
            }
        }
    }

    /// Goes down by steps from `base`, making what is not there, and everything from step `fresh` on.
    fn descend(
        &mut self,
        base: &[usize],
        steps: &[Step],
        locale: Option<&str>,
        fresh: usize,
    ) -> Option<Vec<usize>> {
        // Some names and tests tell what to look for, and not what to write.
        let writable = |test: &Test| test.want != Want::There;
        if steps.iter().any(|step| step.name == "*" || !step.tests.iter().all(writable)) {
            return None;
        }
        let default = self.mapping.default_locale.clone();
        let mut at = base.to_vec();
        for (number, step) in steps.iter().enumerate() {
            let element = self.root.at(&at)?;
            let fits = |child: &Out| {
                child.name == step.name
                    && step.tests.iter().all(|test| child.passes(test, locale, &default))
            };
            let known = (number < fresh).then(|| element.children.iter().rposition(fits));
            let next = match known.flatten() {
                Some(next) => next,
                None => {
                    let mut child = Out::new(step.name.clone());
                    for test in &step.tests {
                        child.meet(test, locale, &default);
                    }
                    element.children.push(child);
                    element.children.len() - 1
                }
            };
            at.push(next);
        }
        Some(at)
    }
}

/// Whether an item is one that this rule would read: constants and tests agree with its fields.
fn suits(rule: &Rule, fields: &[Member], item: &ValueMap) -> bool {
    let written = |member: &Member| item.get(&member.name).and_then(|it| member.shape.write(it));
    let constants = fields.iter().all(|member| match &member.from {
        From::Constant(value) => {
            let constant = member.shape.kind.read(value).ok();
            item.get(&member.name) == constant.as_ref()
        }
        From::Selector(..) => true,
    });
    let Some(step) = rule.from.steps.last() else { return constants };
    constants
        && step.tests.iter().all(|test| {
            let about = fields.iter().find(|member| match &member.from {
                From::Selector(selector, _) => {
                    let names = selector.steps.iter().map(|step| &step.name);
                    selector.up == 0
                        && selector.attribute == test.attribute
                        && names.eq(test.path.iter())
                }
                From::Constant(_) => false,
            });
            match (about, &test.want) {
                (Some(member), Want::Is(words)) => {
                    written(member).is_some_and(|text| words.contains(&text))
                }
                (Some(member), Want::Missing) => !item.contains_key(&member.name),
                _ => true,
            }
        })
}

/// Whether another field of the item is written where this one, which only tells items apart, is read.
fn names_too(fields: &[Member], key: &Member, item: &ValueMap) -> bool {
    let place = |member: &Member| match &member.from {
        From::Selector(selector, _) => {
            let names = selector.steps.iter().map(|step| step.name.clone());
            Some((selector.up, names.collect::<Vec<String>>(), selector.attribute.clone()))
        }
        From::Constant(_) => None,
    };
    fields.iter().any(|member| {
        member.name != key.name && item.contains_key(&member.name) && place(member) == place(key)
    })
}

fn joined(words: Vec<String>, shape: &Shape) -> Vec<String> {
    match &shape.split {
        Some(by) if !words.is_empty() => vec![words.join(by)],
        _ => words,
    }
}

impl Shape {
    /// Writes a value in the words of the format, if it has any for it.
    fn write(&self, value: &Value) -> Option<String> {
        let text = self.kind.write(value)?;
        match &self.vocabulary {
            Some(words) => words.theirs(&text),
            None => Some(text),
        }
    }
}

/// Whether XML can say it at all.
fn is_xml(text: &str) -> bool {
    let barred =
        |c: char| (c.is_control() && !"\t\n\r".contains(c)) || "\u{fffe}\u{ffff}".contains(c);
    !text.chars().any(barred)
}

/// Whether XML takes it for a name.
fn is_name(name: &str) -> bool {
    let first = |c: char| c.is_alphabetic() || c == '_';
    let more = |c: char| c.is_alphanumeric() || "_-.".contains(c);
    name.starts_with(first) && name.chars().all(more) && !name.starts_with("xmlns")
}

impl Out {
    pub(crate) fn new(name: String) -> Self {
        Self { name, ..Self::default() }
    }

    fn at(&mut self, path: &[usize]) -> Option<&mut Self> {
        path.iter().try_fold(self, |element, next| element.children.get_mut(*next))
    }

    fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// What a test looks at.
    fn tested(&self, test: &Test) -> Option<&str> {
        let at = test.path.iter().try_fold(self, |element, name| {
            element.children.iter().find(|child| child.name == *name)
        })?;
        match &test.attribute {
            Some(name) => at.attribute(name),
            None => Some(at.text.as_deref().unwrap_or_default()),
        }
    }

    fn passes(&self, test: &Test, locale: Option<&str>, default: &str) -> bool {
        let found = self.tested(test);
        match &test.want {
            Want::There => found.is_some(),
            Want::Missing => found.is_none(),
            Want::Is(words) => found.is_some_and(|found| words.iter().any(|word| word == found)),
            // What is of no language fits into any.
            Want::Locale => locale.is_none_or(|locale| found.unwrap_or(default) == locale),
        }
    }

    /// Makes a test pass.
    fn meet(&mut self, test: &Test, locale: Option<&str>, default: &str) {
        let word = match &test.want {
            Want::Locale => locale.filter(|tag| *tag != default),
            want => want.word(),
        };
        let Some(word) = word else { return };
        let mut at = self;
        for name in &test.path {
            let known = at.children.iter().position(|child| child.name == *name);
            let next = known.unwrap_or_else(|| {
                at.children.push(Self::new(name.clone()));
                at.children.len() - 1
            });
            let Some(child) = at.children.get_mut(next) else { return };
            at = child;
        }
        match &test.attribute {
            Some(name) => at.attributes.push((name.clone(), word.to_owned())),
            None => at.text = Some(word.to_owned()),
        }
    }

    /// Leaves out what no XML of this mapping can name or say: what is kept aside may have been edited.
    fn keep_writable(&mut self, mapping: &Mapping) {
        let known = |name: &str| match crate::tree::split(name) {
            Some((space, local)) => is_xml(space) && !space.is_empty() && is_name(local),
            None => match name.split_once(':') {
                Some((prefix, local)) => {
                    let known = mapping.namespaces.iter().any(|(known, _)| known == prefix);
                    (known || prefix == "xml") && is_name(local)
                }
                None => is_name(name),
            },
        };
        self.text = self.text.take().filter(|text| is_xml(text));
        self.attributes.retain(|(name, value)| known(name) && is_xml(value));
        self.children.retain(|child| known(&child.name));
        for child in &mut self.children {
            child.keep_writable(mapping);
        }
    }

    fn sort(&mut self, order: &std::collections::BTreeMap<String, Vec<String>>) {
        if let Some(names) = order.get(&self.name) {
            let place = |child: &Self| names.iter().position(|name| *name == child.name);
            self.children.sort_by_key(|child| place(child).unwrap_or(names.len()));
        }
        for child in &mut self.children {
            child.sort(order);
        }
    }

    /// The whole file, with this as its root.
    fn document(&self, mapping: &Mapping) -> String {
        let mut prefixes = BTreeSet::new();
        self.prefixes(&mut prefixes);
        let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let mut spaces = String::new();
        for (prefix, namespaces) in &mapping.namespaces {
            let Some(namespace) = namespaces.iter().find(|space| !space.contains('*')) else {
                continue;
            };
            if prefixes.contains(prefix.as_str()) {
                let colon = if prefix.is_empty() { "" } else { ":" };
                spaces.push_str(&format!(" xmlns{colon}{prefix}=\"{}\"", escape(namespace, true)));
            }
        }
        self.write(&mut text, 0, &spaces);
        text
    }

    fn prefixes<'o>(&'o self, found: &mut BTreeSet<&'o str>) {
        let prefix = |name: &'o str| name.split_once(':').map_or("", |(prefix, _)| prefix);
        found.insert(prefix(&self.name));
        for (name, _) in self.attributes.iter().filter(|(name, _)| name.contains(':')) {
            found.insert(prefix(name));
        }
        for child in &self.children {
            child.prefixes(found);
        }
    }

    fn write(&self, text: &mut String, depth: usize, spaces: &str) {
        let indent = "  ".repeat(depth);
        // A name of a namespace nobody gave a prefix carries it along.
        let (name, own) = spelled(&self.name, "");
        text.push_str(&format!("{indent}<{name}{spaces}{own}"));
        for (number, (name, value)) in self.attributes.iter().enumerate() {
            let (name, own) = spelled(name, &number.to_string());
            text.push_str(&format!("{own} {name}=\"{}\"", escape(value, true)));
        }
        match (&self.text, self.children.is_empty()) {
            (None, true) => text.push_str("/>\n"),
            (Some(own), true) => {
                text.push_str(&format!(">{}</{name}>\n", escape(own, false)));
            }
            (own, false) => {
                text.push_str(">\n");
                if let Some(own) = own {
                    text.push_str(&format!("{indent}  {}\n", escape(own, false)));
                }
                for child in &self.children {
                    child.write(text, depth + 1, "");
                }
                text.push_str(&format!("{indent}</{name}>\n"));
            }
        }
    }
}

/// A name as XML spells it, and the declaration it needs.
fn spelled(name: &str, number: &str) -> (String, String) {
    match crate::tree::split(name) {
        Some((space, local)) => {
            let prefix = format!("ns{number}");
            (format!("{prefix}:{local}"), format!(" xmlns:{prefix}=\"{}\"", escape(space, true)))
        }
        None => (name.to_owned(), String::new()),
    }
}

fn escape(text: &str, attribute: bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' if attribute => escaped.push_str("&quot;"),
            '\n' | '\t' if attribute => escaped.push_str(&format!("&#{};", u32::from(c))),
            '\r' => escaped.push_str("&#13;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Puts back what was left over: into the element it belongs to, where that was written, else beside.
fn graft(into: &mut Out, left: Out) {
    for (name, value) in left.attributes {
        if into.attribute(&name).is_none() {
            into.attributes.push((name, value));
        }
    }
    if into.text.is_none() {
        into.text = left.text;
    }
    let mut used = BTreeSet::new();
    let written = into.children.len();
    for child in left.children {
        let same = into.children.iter().take(written).enumerate().position(|(at, other)| {
            let agrees = |(name, value): &(String, String)| child.attribute(name) == Some(value);
            !used.contains(&at)
                && other.name == child.name
                && other.text == child.text
                && other.attributes.iter().all(agrees)
        });
        match same.and_then(|at| Some((at, into.children.get_mut(at)?))) {
            Some((at, other)) => {
                used.insert(at);
                graft(other, child);
            }
            None => into.children.push(child),
        }
    }
}
