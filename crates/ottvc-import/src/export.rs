//! From a document back to a format: the rules of its mapping, read the other way.
//!
//! What is written is read again under the same mapping and compared: whatever does not come back as it
//! was is named in [`Written::unsaid`], so that nothing is dropped unseen, whatever a mapping says.

use std::collections::BTreeSet;

use ottvc_object::field_path::{FieldPath, Segment};
use ottvc_object::value::{Value, ValueMap, diff};

use crate::graft::{Places, graft};
use crate::kind::Kind;
use crate::mapping::{From, Holds, Locale, Mapping, Member, Rule, Shape};
use crate::out::{Out, is_xml};
use crate::selector::{Selector, Step, Test, Want};
use crate::tree::Steps;
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
/// [`ImportError::OneWay`] for a format that is read only; [`ImportError::TooLarge`] where writing takes
/// too many steps, and for a file that could not be read again.
pub fn write(document: &Value, mapping: &Mapping) -> Result<Written, ImportError> {
    let one_way = |why| ImportError::OneWay { format: mapping.format.clone(), why };
    if mapping.syntax != Syntax::Xml {
        return Err(one_way("only formats of XML are"));
    }
    let root = mapping.roots.first().ok_or_else(|| one_way("its mapping names no root"))?;
    if !mapping.rules.iter().any(|rule| rule.export) {
        return Err(one_way("its mapping has no rule for it"));
    }
    let mut work = Work {
        mapping,
        document,
        root: Out::new(root.clone()),
        said: BTreeSet::new(),
        places: Places::new(),
        steps: Steps::default(),
    };
    for rule in mapping.rules.iter().filter(|rule| rule.export) {
        work.rule(rule);
        work.steps.take(0, 0)?;
    }
    if let Some(left) = document.get(&mapping.custom()) {
        let mut left = leftover::restore(root, left);
        left.keep_writable(mapping);
        graft(&mut work.root, left, &work.places, &work.steps)?;
    }
    let mut root = work.root;
    root.sort(&mapping.order);
    for (name, value) in &mapping.attributes {
        if root.attribute(name).is_none() {
            root.attributes.insert(0, (name.clone(), value.clone()));
        }
    }
    root.fit(mapping);
    let text = root.document(mapping);
    let read = crate::read(text.as_bytes(), Some(mapping))?;
    let empty = Value::Map(ValueMap::new());
    let read = read.first().map_or(&empty, |delivery| &delivery.document);
    let changes = diff(Some(document), Some(read)).into_iter();
    let unsaid = changes.filter(|change| change.old.is_some()).map(|change| change.field).collect();
    Ok(Written { text, unsaid })
}

struct Work<'m> {
    mapping: &'m Mapping,
    document: &'m Value,
    root: Out,
    said: BTreeSet<FieldPath>,
    /// Where each field was written.
    places: Places,
    steps: Steps,
}

impl Work<'_> {
    fn rule(&mut self, rule: &Rule) {
        let Some(value) = self.document.get(&rule.to) else { return };
        match (&rule.holds, value) {
            (Holds::Value, value) => {
                if let Some(text) = rule.shape.write(value)
                    && self.say(rule.to.clone())
                {
                    let place = self.place(&[], &rule.from, &text, None, true);
                    self.wrote([rule.to.clone()], place);
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
                    let at = rule.to.join(Segment::Locale(tag.clone()));
                    if self.say(at.clone()) {
                        let place = self.place(&[], &rule.from, &text, Some(tag), true);
                        self.wrote([at], place);
                    }
                }
            }
            (Holds::Set, Value::Set(set)) => {
                let mut words = Vec::new();
                for element in set.iter() {
                    let at = rule.to.join(Segment::Element(element.clone()));
                    if let Some(text) = rule.shape.write(element)
                        && self.say(at.clone())
                    {
                        words.push((text, vec![at]));
                    }
                }
                if let Some(by) = &rule.shape.split
                    && !words.is_empty()
                {
                    let (texts, fields): (Vec<String>, Vec<Vec<FieldPath>>) =
                        words.into_iter().unzip();
                    words = vec![(texts.join(by), fields.concat())];
                }
                for (text, fields) in words {
                    let place = self.place(&[], &rule.from, &text, None, true);
                    self.wrote(fields, place);
                }
            }
            (Holds::Items { keys, fields }, Value::Keyed(list)) => {
                for (key, item) in list.iter() {
                    let at = rule.to.join(list.segment(key));
                    if let Value::Map(item) = item
                        && !self.said.contains(&at)
                        && suits(rule, keys, fields, item)
                    {
                        self.said.insert(at.clone());
                        let place = self.item(rule, fields, item);
                        self.wrote([at], place);
                    }
                }
            }
            _ => {}
        }
    }

    fn say(&mut self, field: FieldPath) -> bool {
        self.said.insert(field)
    }

    fn wrote(&mut self, fields: impl IntoIterator<Item = FieldPath>, place: Option<Vec<usize>>) {
        if let Some(place) = place {
            self.places.extend(fields.into_iter().map(|field| (field, place.clone())));
        }
    }

    fn item(&mut self, rule: &Rule, fields: &[Member], item: &ValueMap) -> Option<Vec<usize>> {
        // What stands above the element belongs to this item too, as far up as a field looks.
        let ups = fields.iter().filter_map(|member| match &member.from {
            From::Selector(selector, _) => Some(selector.up),
            From::Constant(_) => None,
        });
        let up = ups.max().unwrap_or_default();
        let fresh = rule.from.steps.len().saturating_sub(up + 1);
        let at = match self.above(rule, fields, item, up) {
            Some(above) => {
                let (_, inside) = rule.from.steps.split_at(fresh + 1);
                self.descend(&above, inside, None, 0)?
            }
            None => self.descend(&[], &rule.from.steps, None, fresh)?,
        };
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
                    if member.always || default.as_ref() != Some(&text) {
                        self.place(&base, selector, &text, None, false);
                    }
                }
                _ => {}
            }
        }
        Some(at)
    }

    /// The element above an item that was written already, where all it tells of the item are attributes.
    fn above(
        &mut self,
        rule: &Rule,
        fields: &[Member],
        item: &ValueMap,
        up: usize,
    ) -> Option<Vec<usize>> {
        let upper = fields.iter().filter_map(|member| match &member.from {
            From::Selector(selector, _) if selector.up > 0 => Some((member, selector)),
            _ => None,
        });
        let mut told = Vec::new();
        for (member, selector) in upper {
            let plain = selector.up == up && selector.steps.is_empty();
            let text = member.shape.write(item.get(&member.name)?)?;
            told.push((selector.attribute.clone().filter(|_| plain)?, text));
        }
        let depth = rule.from.steps.len().checked_sub(up + 1).filter(|_| !told.is_empty())?;
        let (way, inside) = rule.from.steps.split_at(depth);
        let step = inside.first()?;
        let mut at = self.descend(&[], way, None, way.len())?;
        let mut steps = 0;
        let agrees = |child: &Out| {
            steps += 1;
            let told = told.iter().all(|(name, text)| child.attribute(name) == Some(text));
            child.name == step.name && told
        };
        let next = self.root.at(&at)?.children.iter().position(agrees);
        self.steps.take(steps, 0).ok()?;
        at.push(next?);
        Some(at)
    }

    /// Writes a text where a selector says, seen from `base`; with `fresh` as an element of its own.
    /// Returns which element it is, or whose attribute.
    fn place(
        &mut self,
        base: &[usize],
        selector: &Selector,
        text: &str,
        locale: Option<&str>,
        fresh: bool,
    ) -> Option<Vec<usize>> {
        if !is_xml(text) {
            return None;
        }
        let last = selector.steps.len().saturating_sub(1);
        let from = match (&selector.attribute, fresh) {
            (None, true) => last,
            _ => selector.steps.len(),
        };
        let mut at = self.descend(base, &selector.steps, locale, from)?;
        match &selector.attribute {
            None => {
                let element = self.root.at(&at)?;
                if element.text.as_deref().is_some_and(|before| before != text)
                    && !selector.steps.is_empty()
                {
                    // Somebody else's; it needs one of its own.
                    at = self.descend(base, &selector.steps, locale, last)?;
                }
                if let Some(element) = self.root.at(&at) {
                    element.text = Some(text.to_owned());
                }
            }
            Some(name) => {
                let element = self.root.at(&at)?;
                let taken = element.attribute(name).is_some_and(|before| before != text);
                if taken && !selector.steps.is_empty() {
                    at = self.descend(base, &selector.steps, locale, last)?;
                }
                if let Some(element) = self.root.at(&at)
                    && element.attribute(name).is_none()
                {
                    element.attributes.push((name.clone(), text.to_owned()));
                    element.valued.push(name.clone());
                }
            }
        }
        Some(at)
    }

    /// Goes down by steps from `base`, making what is not there, and everything from step `fresh` on.
    /// Nowhere any more once that took too long; `write` asks for that.
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
        self.steps.take(1, 0).ok()?;
        for (number, step) in steps.iter().enumerate() {
            let element = self.root.at(&at)?;
            let mut looked = 0;
            let fits = |child: &Out| {
                looked += 1;
                child.name == step.name
                    && step.tests.iter().all(|test| {
                        looked += child.looks(test);
                        child.passes(test, locale, &default)
                    })
            };
            let known = (number < fresh).then(|| element.children.iter().rposition(fits));
            self.steps.take(looked, 0).ok()?;
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

/// Whether an item is one that this rule would read: its key can be written, and constants and tests
/// agree with its fields.
fn suits(rule: &Rule, keys: &[String], fields: &[Member], item: &ValueMap) -> bool {
    let written = |member: &Member| item.get(&member.name).and_then(|it| member.shape.write(it));
    let constants = fields.iter().all(|member| match &member.from {
        From::Constant(value) => {
            let constant = member.shape.kind.read(value).ok();
            item.get(&member.name) == constant.as_ref()
        }
        From::Selector(..) => true,
    });
    let keyed = fields.iter().all(|member| {
        let is_key = keys.contains(&member.name) && matches!(member.from, From::Selector(..));
        !is_key || written(member).is_some()
    });
    let Some(step) = rule.from.steps.last() else { return constants && keyed };
    constants
        && keyed
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
