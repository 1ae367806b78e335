//! From a source tree to a document: rules in order, each part taken once, the rest kept.

use std::collections::BTreeSet;

use ottvc_object::field_path::{FieldPath, Segment};
use ottvc_object::value::{KeyedList, Value, ValueMap, canonical_tag};

use crate::kind::Kind;
use crate::leftover;
use crate::mapping::{From, Holds, Locale, Mapping, Member, Rule, Shape};
use crate::selector::{Hit, Part, Want};
use crate::tree::{Element, Steps};
use crate::{Delivery, Finding, ImportError, Severity};

/// The code of the finding that a part is nothing a rule can read.
const UNREAD: &str = "unread";
/// The steps that one of several values in a text costs.
const WORD: usize = 8;

/// Makes a document of what `root` says, in the steps there are for its file.
pub(crate) fn apply(
    mapping: &Mapping,
    root: &Element,
    steps: &Steps,
) -> Result<Delivery, ImportError> {
    let mut work = Work {
        mapping,
        written: mapping.written(),
        steps,
        document: Value::Map(ValueMap::new()),
        findings: Vec::new(),
        doubts: Vec::new(),
    };
    for selector in &mapping.ignore {
        for hit in selector.find(&[root], steps)? {
            hit.part.ignore();
        }
    }
    for rule in &mapping.rules {
        for hit in rule.from.find(&[root], steps)? {
            if !hit.part.is_taken() {
                work.rule(rule, &hit)?;
            }
        }
    }
    let Work { mut document, mut findings, doubts, .. } = work;
    findings.extend(doubts.into_iter().filter(|(part, _)| !part.is_taken()).map(|(_, it)| it));
    let unmapped = leftover::count(root);
    if let Some(left) = leftover::keep(root, mapping) {
        document.set(&mapping.custom(), Some(left))?;
    }
    findings.sort_by_key(|finding| finding.line);
    // Several rules may try one part; the first that could not read it says why.
    findings.dedup_by(|a, b| {
        (a.line, &a.element, a.code) == (b.line, &b.element, b.code) && a.code == UNREAD
    });
    Ok(Delivery {
        path: None,
        format: mapping.format.clone(),
        mapping: mapping.name.clone(),
        document,
        scope: mapping.scope(),
        unmapped,
        findings,
    })
}

struct Work<'m, 't> {
    mapping: &'m Mapping,
    /// The fields that the mapping writes too.
    written: BTreeSet<FieldPath>,
    steps: &'m Steps,
    document: Value,
    findings: Vec<Finding>,
    /// What a rule could not read; another rule may.
    doubts: Vec<(Part<'t>, Finding)>,
}

/// What was read: values, and the parts they were read from.
type Read<'t, T> = Option<(T, Vec<Part<'t>>)>;

impl<'t> Work<'_, 't> {
    fn rule(&mut self, rule: &Rule, hit: &Hit<'t>) -> Result<(), ImportError> {
        match &rule.holds {
            Holds::Items { keys, fields } => return self.item(rule, keys, fields, hit),
            Holds::Set => {
                if let Some((elements, parts)) = self.elements(&rule.shape, hit)? {
                    for element in elements {
                        let at = rule.to.join(Segment::Element(element));
                        self.document.set(&at, Some(Value::Bool(true)))?;
                        self.note(rule, hit.part, &at);
                    }
                    take(&parts);
                }
                return Ok(());
            }
            Holds::Localized | Holds::Value => {}
        }
        let Some(text) = self.plain_text(hit.part)? else { return Ok(()) };
        let Some(value) = self.value(&rule.shape, &text, hit.part) else { return Ok(()) };
        let hit = &self.spoken(rule, hit)?;
        let at = match rule.holds {
            Holds::Localized => match self.locale(hit)? {
                Some(tag) => rule.to.join(Segment::Locale(tag)),
                None => return Ok(()),
            },
            _ => rule.to.clone(),
        };
        match self.document.get(&at) {
            Some(before) if *before != value => {
                let why = format!("`{at}` was given another value before; this one is kept aside");
                self.find(hit.part, Severity::Warning, "repeated", why);
                return Ok(());
            }
            Some(_) => {}
            None => self.document.set(&at, Some(value))?,
        }
        if rule.shape.kind == Kind::Year && !text.bytes().all(|byte| byte.is_ascii_digit()) {
            // It says more than the year, which no field has: that stays.
            return Ok(());
        }
        self.note(rule, hit.part, &at);
        for (step, element) in rule.from.steps.iter().zip(hit.stack.iter().skip(1)) {
            let told_apart = step.tests.iter().any(|test| matches!(test.want, Want::Is(_)));
            if told_apart && !element.is_leaf() && self.written.contains(&rule.to) {
                element.said.borrow_mut().push(at.clone());
            }
        }
        hit.part.take();
        take(&self.tested(rule, hit)?);
        Ok(())
    }

    /// What tests looked at and writing says again; another word for the same stays where it is.
    fn tested(&self, rule: &Rule, hit: &Hit<'t>) -> Result<Vec<Part<'t>>, ImportError> {
        let mut again = Vec::new();
        for part in &hit.tested {
            let other_word = match (part, hit.part) {
                (Part::Attribute(element, at), Part::Text(own)) if std::ptr::eq(*element, own) => {
                    let name = element.attributes.get(*at).map(|attribute| &attribute.name);
                    let text = part.text(self.steps)?;
                    let tests = rule.from.steps.last().into_iter().flat_map(|step| &step.tests);
                    let mut about = tests
                        .filter(|test| test.path.is_empty() && test.attribute.as_ref() == name);
                    about.any(|test| match &test.want {
                        Want::Is(words) => !rule.export || words.first() != Some(&text),
                        _ => false,
                    })
                }
                _ => false,
            };
            if !other_word || !self.written.contains(&rule.to) {
                again.push(*part);
            }
        }
        Ok(again)
    }

    /// Notes which field a part said, so that what is left of its element finds its way back.
    fn note(&self, rule: &Rule, part: Part<'t>, field: &FieldPath) {
        if !self.written.contains(&rule.to) {
            return;
        }
        match part {
            Part::Attribute(element, at) if !element.is_leaf() => {
                // It is the value of a field, and says nothing of what stands inside.
                if let Some(attribute) = element.attributes.get(at) {
                    attribute.ignored.set(true);
                }
            }
            Part::Text(element) | Part::Attribute(element, _) => {
                element.said.borrow_mut().push(field.clone());
            }
        }
    }

    fn item(
        &mut self,
        rule: &Rule,
        keys: &[String],
        fields: &[Member],
        hit: &Hit<'t>,
    ) -> Result<(), ImportError> {
        let mut item = Value::Map(ValueMap::new());
        let mut parts = hit.tested.clone();
        for member in fields {
            let Some((value, read)) = self.member(member, hit)? else { continue };
            item.set(&FieldPath::root().key(member.name.clone()), Some(value))?;
            parts.extend(read);
        }
        let Value::Map(item) = item else { return Ok(()) };
        if let Some(key) = keys.iter().find(|key| !item.contains_key(*key)) {
            let why = format!("without `{key}` it is no item of `{}`", rule.to);
            self.find(hit.part, Severity::Warning, "no_key", why);
            return Ok(());
        }
        // Another rule may have taken all that it says.
        let own = |part: &&Part<'_>| !hit.tested.iter().any(|tested| tested.same(part));
        let mut read = parts.iter().filter(own).peekable();
        if !rule.from.steps.is_empty() && read.peek().is_some() && read.all(|part| part.is_taken())
        {
            return Ok(());
        }
        // One that has its key and nothing else says nothing, unless keys are all it can have.
        let is_key = |name: &String| keys.contains(name);
        if item.keys().all(is_key) && !fields.iter().all(|member| is_key(&member.name)) {
            return Ok(());
        }
        let empty = || KeyedList::empty(keys.to_vec()).map(Value::Keyed);
        if self.document.get(&rule.to).is_none() {
            self.document.set(&rule.to, Some(empty()?))?;
        }
        let Some(Value::Keyed(list)) = self.document.get(&rule.to) else { return Ok(()) };
        let at = rule.to.join(list.segment(&list.key_of(&item)?));
        let item = match self.document.get(&at) {
            None => Value::Map(item),
            Some(before) => {
                self.steps.take(entries_of(before), hit.part.line())?;
                let Some(both) = joined(before, &Value::Map(item)) else {
                    let why = format!("`{at}` was given before, and differs; this is kept aside");
                    self.find(hit.part, Severity::Warning, "repeated", why);
                    return Ok(());
                };
                both
            }
        };
        self.document.set(&at, Some(item))?;
        take(&parts);
        self.note_item(rule, keys, fields, hit, &at);
        // Other rules may find more items in a whole row.
        let whole = rule.from.steps.is_empty();
        if matches!(hit.part, Part::Text(element) if !whole && element.text().is_empty()) {
            hit.part.take();
        }
        Ok(())
    }

    /// Notes which item an element is, and those above it that tell which it is.
    fn note_item(
        &self,
        rule: &Rule,
        keys: &[String],
        fields: &[Member],
        hit: &Hit<'t>,
        item: &FieldPath,
    ) {
        if !self.written.contains(&rule.to) {
            return;
        }
        let ups = fields.iter().filter(|member| keys.contains(&member.name));
        let ups = ups.map(|member| match &member.from {
            // An attribute above is that of others too.
            From::Selector(selector, _) if !selector.steps.is_empty() => selector.up,
            From::Selector(..) | From::Constant(_) => 0,
        });
        let top = ups.max().unwrap_or_default();
        for element in hit.stack.iter().rev().take(top + 1) {
            let mut said = element.said.borrow_mut();
            if said.last() != Some(item) {
                said.push(item.clone());
            }
        }
    }

    /// Reads one field of an item.
    fn member(&mut self, member: &Member, hit: &Hit<'t>) -> Result<Read<'t, Value>, ImportError> {
        let (selector, default) = match &member.from {
            From::Constant(value) => {
                let read = member.shape.kind.read(value).ok();
                return Ok(read.map(|value| (value, Vec::new())));
            }
            From::Selector(selector, default) => (selector, default),
        };
        let mut hits = selector.find(&hit.stack, self.steps)?;
        if let Some(or) = member.or.as_ref().filter(|_| hits.is_empty()) {
            hits = or.find(&hit.stack, self.steps)?;
        }
        let mut parts = Vec::new();
        let value = match member.holds {
            Holds::Set => {
                let mut elements = Vec::new();
                for hit in &hits {
                    if let Some((more, read)) = self.elements(&member.shape, hit)? {
                        elements.extend(more);
                        parts.extend(read);
                    }
                }
                elements.sort();
                elements.dedup();
                (!elements.is_empty()).then(|| Value::set_of(elements)).transpose()?
            }
            Holds::Localized => {
                let mut map = ValueMap::new();
                for found in &hits {
                    let Some(text) = self.plain_text(found.part)? else { continue };
                    let value = self.value(&member.shape, &text, found.part);
                    let (Some(value), Some(tag)) = (value, self.locale(found)?) else { continue };
                    if map.contains_key(&tag) {
                        continue;
                    }
                    map.insert(tag, value);
                    parts.push(found.part);
                    parts.extend(&found.tested);
                }
                (!map.is_empty()).then_some(Value::Localized(map))
            }
            Holds::Value | Holds::Items { .. } => {
                let mut said = None;
                for hit in &hits {
                    if let Some(text) = self.plain_text(hit.part)? {
                        said = Some((hit, text));
                        break;
                    }
                }
                match said {
                    Some((found, text)) => {
                        let value = self.value(&member.shape, &text, found.part);
                        if value.is_some() {
                            parts.push(found.part);
                            parts.extend(&found.tested);
                        }
                        value
                    }
                    None => default.as_ref().and_then(|text| member.shape.kind.read(text).ok()),
                }
            }
        };
        Ok(value.map(|value| (value, parts)))
    }

    /// Reads the elements of a set that one part names.
    fn elements(
        &mut self,
        shape: &Shape,
        hit: &Hit<'t>,
    ) -> Result<Read<'t, Vec<Value>>, ImportError> {
        let Some(text) = self.plain_text(hit.part)? else { return Ok(None) };
        let words: Vec<&str> = match &shape.split {
            Some(by) => {
                text.split(by.as_str()).map(str::trim).filter(|it| !it.is_empty()).collect()
            }
            None => vec![text.as_str()],
        };
        let mut elements = Vec::new();
        self.steps.take(words.len().saturating_mul(WORD), hit.part.line())?;
        for word in words {
            match self.value(shape, word, hit.part) {
                Some(value) => elements.push(value),
                None => return Ok(None),
            }
        }
        let parts = hit.tested.iter().copied().chain([hit.part]).collect();
        Ok(Some((elements, parts)))
    }

    fn value(&mut self, shape: &Shape, text: &str, part: Part<'t>) -> Option<Value> {
        let word = match &shape.vocabulary {
            Some(words) => words.ours(text),
            None => Ok(text.to_owned()),
        };
        match word.and_then(|word| shape.kind.read(&word)) {
            Ok(value) => Some(value),
            Err(why) => {
                let why = format!("{why}; it is kept aside");
                let finding = finding(part, Severity::Warning, UNREAD, why);
                self.doubts.push((part, finding));
                None
            }
        }
    }

    /// What a part says; nothing for one that says nothing, or whose words stand among elements.
    fn plain_text(&self, part: Part<'_>) -> Result<Option<String>, ImportError> {
        if matches!(part, Part::Text(element) if !element.is_leaf()) {
            return Ok(None);
        }
        Ok(Some(part.text(self.steps)?).filter(|text| !text.is_empty()))
    }

    /// The hit with the language its rule says it has.
    fn spoken(&self, rule: &Rule, hit: &Hit<'t>) -> Result<Hit<'t>, ImportError> {
        let mut hit = hit.clone();
        match &rule.locale {
            Locale::Tested => {}
            Locale::Fixed(tag) => hit.locale = Some(tag.as_str().into()),
            Locale::At(selector) => {
                if let Some(found) = selector.find(&hit.stack, self.steps)?.into_iter().next() {
                    hit.locale = Some(found.part.text(self.steps)?.into());
                    hit.tested.push(found.part);
                }
            }
        }
        Ok(hit)
    }

    fn locale(&mut self, hit: &Hit<'t>) -> Result<Option<String>, ImportError> {
        let Some(tag) = hit.locale.as_deref().filter(|tag| !tag.is_empty()) else {
            return Ok(Some(self.mapping.default_locale.clone()));
        };
        // One language may be that of many parts.
        self.steps.take_text(tag.len(), hit.part.line())?;
        let canonical = canonical_tag(tag);
        if canonical.is_none() {
            let why =
                format!("`{}` is no language tag; it is kept aside", crate::kind::shorten(tag));
            self.doubts.push((hit.part, finding(hit.part, Severity::Warning, UNREAD, why)));
        }
        Ok(canonical)
    }

    fn find(&mut self, part: Part<'t>, severity: Severity, code: &'static str, why: String) {
        self.findings.push(finding(part, severity, code, why));
    }
}

fn finding(part: Part<'_>, severity: Severity, code: &'static str, why: String) -> Finding {
    let (element, line) = match part {
        Part::Text(element) => (element.name.clone(), element.line),
        Part::Attribute(element, at) => {
            let name = element.attributes.get(at).map_or("", |attribute| &attribute.name);
            (format!("{}/@{name}", element.name), element.line)
        }
    };
    Finding { severity, code, line, element, why }
}

/// How many entries a value has, which joining it with another copies.
fn entries_of(value: &Value) -> usize {
    match value {
        Value::Map(map) => map.values().map(entries_of).sum(),
        Value::Localized(map) => map.len(),
        Value::Set(set) => set.len(),
        _ => 1,
    }
}

fn take(parts: &[Part<'_>]) {
    for part in parts {
        part.take();
    }
}

/// An item said twice: what both say, if they do not contradict each other.
fn joined(before: &Value, more: &Value) -> Option<Value> {
    match (before, more) {
        (a, b) if a == b => Some(a.clone()),
        (Value::Set(a), Value::Set(b)) => {
            let mut both = a.clone();
            for element in b.iter() {
                both.insert(element.clone()).ok()?;
            }
            Some(Value::Set(both))
        }
        (Value::Map(a), Value::Map(b)) => entries(a, b).map(Value::Map),
        (Value::Localized(a), Value::Localized(b)) => entries(a, b).map(Value::Localized),
        _ => None,
    }
}

fn entries(a: &ValueMap, b: &ValueMap) -> Option<ValueMap> {
    let mut both = a.clone();
    for (name, more) in b {
        let value = match a.get(name) {
            Some(before) => joined(before, more)?,
            None => more.clone(),
        };
        both.insert(name.clone(), value);
    }
    Some(both)
}
