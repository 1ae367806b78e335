//! Selectors: which elements and attributes of a source tree a rule is about.
//!
//! `a/b[@type='x'|'y'][c='z'][@lang=$locale]/@d`: steps down by name (`*` is any), tests in brackets,
//! perhaps an attribute at the end; `..` steps up first, `.` stays. A test on one value also says what
//! to write on the way back.

use std::rc::Rc;
use std::str::FromStr;

use crate::ImportError;
use crate::tree::{Element, Steps};

/// Steps to elements, or to an attribute of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Selector {
    pub(crate) up: usize,
    pub(crate) steps: Vec<Step>,
    pub(crate) attribute: Option<String>,
}

/// One step down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) tests: Vec<Test>,
}

/// What an element must be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Test {
    /// Names of children to go down by.
    pub(crate) path: Vec<String>,
    pub(crate) attribute: Option<String>,
    pub(crate) want: Want,
}

/// What a test wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    There,
    Missing,
    /// One of these, which mean the same.
    Is(Vec<String>),
    /// Whatever it is, it is the locale.
    Locale,
}

/// One part of a tree that was looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part<'t> {
    Text(&'t Element),
    Attribute(&'t Element, usize),
}

impl Part<'_> {
    /// Notes that a rule took it.
    pub(crate) fn take(self) {
        match self {
            Self::Text(element) => element.used.set(true),
            Self::Attribute(element, at) => {
                if let Some(attribute) = element.attributes.get(at) {
                    attribute.used.set(true);
                }
            }
        }
    }
    /// Notes that it says nothing about a film.
    pub(crate) fn ignore(self) {
        self.take();
        if let Self::Attribute(element, at) = self
            && let Some(attribute) = element.attributes.get(at)
        {
            attribute.ignored.set(true);
        }
    }
    /// Whether it is the same part.
    pub(crate) fn same(self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => std::ptr::eq(a, *b),
            (Self::Attribute(a, at), Self::Attribute(b, other)) => {
                std::ptr::eq(a, *b) && at == *other
            }
            _ => false,
        }
    }
    /// Whether a rule took it before.
    pub(crate) fn is_taken(self) -> bool {
        match self {
            Self::Text(element) => element.used.get(),
            Self::Attribute(element, at) => {
                element.attributes.get(at).is_some_and(|attribute| attribute.used.get())
            }
        }
    }
    /// The line of its element.
    pub(crate) fn line(self) -> u64 {
        match self {
            Self::Text(element) | Self::Attribute(element, _) => element.line,
        }
    }
    /// What it says, without space around it; many may ask, so that it is paid for by its length.
    pub(crate) fn text(self, steps: &Steps) -> Result<String, ImportError> {
        let text = match self {
            Self::Text(element) => element.text(),
            Self::Attribute(element, at) => {
                let value = element.attributes.get(at).map(|attribute| attribute.value.trim());
                value.unwrap_or_default().to_owned()
            }
        };
        steps.take_text(text.len(), self.line())?;
        Ok(text)
    }
}

/// What a selector found.
#[derive(Clone, Debug)]
pub(crate) struct Hit<'t> {
    /// The elements from the root to it, itself last.
    pub(crate) stack: Vec<&'t Element>,
    pub(crate) part: Part<'t>,
    pub(crate) locale: Option<Rc<str>>,
    /// What tests looked at, and thereby took.
    pub(crate) tested: Vec<Part<'t>>,
}

impl Selector {
    /// Finds what it is about, from the last element of `stack`.
    pub(crate) fn find<'t>(
        &self,
        stack: &[&'t Element],
        steps: &Steps,
    ) -> Result<Vec<Hit<'t>>, ImportError> {
        let Some(len) = stack.len().checked_sub(self.up).filter(|len| *len > 0) else {
            return Ok(Vec::new());
        };
        let stack = stack.get(..len).unwrap_or_default().to_vec();
        let Some(here) = stack.last().copied() else { return Ok(Vec::new()) };
        let start = Hit { stack, part: Part::Text(here), locale: None, tested: Vec::new() };
        let mut hits = vec![start];
        for step in &self.steps {
            let mut below = Vec::new();
            for hit in &hits {
                step.from(hit, steps, &mut below)?;
            }
            hits = below;
        }
        let Some(name) = &self.attribute else { return Ok(hits) };
        let mut found = Vec::new();
        for hit in hits {
            let Some(element) = hit.stack.last().copied() else { continue };
            steps.take(element.attributes.len(), element.line)?;
            if let Some((at, _)) = element.attribute(name) {
                found.push(Hit { part: Part::Attribute(element, at), ..hit });
            }
        }
        Ok(found)
    }
}

impl Step {
    fn from<'t>(
        &self,
        hit: &Hit<'t>,
        steps: &Steps,
        found: &mut Vec<Hit<'t>>,
    ) -> Result<(), ImportError> {
        let Some(here) = hit.stack.last().copied() else { return Ok(()) };
        steps.take(here.content.len(), here.line)?;
        let named = here.children().filter(|child| self.name == "*" || child.name == self.name);
        'children: for child in named {
            let mut hit = hit.clone();
            hit.stack.push(child);
            hit.part = Part::Text(child);
            for test in &self.tests {
                if !test.passes(&mut hit, steps)? {
                    continue 'children;
                }
            }
            found.push(hit);
        }
        Ok(())
    }
}

impl Test {
    fn passes(&self, hit: &mut Hit<'_>, steps: &Steps) -> Result<bool, ImportError> {
        let found = self.look(hit, steps)?;
        Ok(match &self.want {
            Want::There => !found.is_empty(),
            Want::Missing => found.is_empty(),
            Want::Is(words) => {
                for part in found {
                    if words.contains(&part.text(steps)?) {
                        hit.tested.push(part);
                        return Ok(true);
                    }
                }
                false
            }
            Want::Locale => {
                if let Some(part) = found.first().copied() {
                    hit.locale = Some(part.text(steps)?.into());
                    hit.tested.push(part);
                }
                true
            }
        })
    }

    fn look<'t>(&self, hit: &Hit<'t>, steps: &Steps) -> Result<Vec<Part<'t>>, ImportError> {
        let Some(here) = hit.stack.last().copied() else { return Ok(Vec::new()) };
        let mut at = vec![here];
        for name in &self.path {
            steps.take(at.iter().map(|element| element.content.len()).sum(), here.line)?;
            at = at.iter().flat_map(|it| it.children().filter(|it| it.name == *name)).collect();
        }
        let Some(name) = &self.attribute else {
            return Ok(at.into_iter().map(Part::Text).collect());
        };
        steps.take(at.iter().map(|element| element.attributes.len()).sum(), here.line)?;
        let own = |element: &'t Element| {
            element.attribute(name).map(|(at, _)| Part::Attribute(element, at))
        };
        let found: Vec<Part<'t>> = at.into_iter().filter_map(own).collect();
        if found.is_empty() && name == "xml:lang" && self.path.is_empty() {
            // What XML says of a language holds for everything inside.
            steps.take(hit.stack.iter().map(|it| it.attributes.len()).sum(), here.line)?;
            return Ok(hit.stack.iter().rev().find_map(|it| own(it)).into_iter().collect());
        }
        Ok(found)
    }
}

impl FromStr for Selector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut reader = Reader { rest: text };
        let mut selector = Self { up: 0, steps: Vec::new(), attribute: None };
        if text.trim() == "." {
            return Ok(selector);
        }
        while let Some(rest) = reader.rest.strip_prefix("..") {
            selector.up += 1;
            reader.rest = rest;
            if !reader.eat('/') {
                return reader.end(selector);
            }
        }
        loop {
            if reader.eat('@') {
                selector.attribute = Some(reader.name()?);
                return reader.end(selector);
            }
            let name = reader.name()?;
            let mut tests = Vec::new();
            while reader.eat('[') {
                tests.push(reader.test()?);
            }
            selector.steps.push(Step { name, tests });
            if !reader.eat('/') {
                return reader.end(selector);
            }
        }
    }
}

struct Reader<'t> {
    rest: &'t str,
}

impl Reader<'_> {
    fn eat(&mut self, c: char) -> bool {
        match self.rest.strip_prefix(c) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }
    fn end<T>(&self, done: T) -> Result<T, String> {
        match self.rest {
            "" => Ok(done),
            rest => Err(format!("what is `{rest}`?")),
        }
    }
    fn quoted(&mut self) -> Result<String, String> {
        if !self.eat('\'') {
            return Err(format!("a value in single quotes should stand before `{}`", self.rest));
        }
        let (word, rest) = self.rest.split_once('\'').ok_or("a quote is never closed")?;
        self.rest = rest;
        Ok(word.to_owned())
    }
    fn name(&mut self) -> Result<String, String> {
        if self.rest.starts_with('\'') {
            return self.quoted();
        }
        let end = self.rest.find(['/', '[', ']', '=', '|', '\'', '@', '!']);
        let (name, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        match name.trim() {
            "" => Err(format!("a name should stand before `{rest}`")),
            name => Ok(name.to_owned()),
        }
    }
    fn test(&mut self) -> Result<Test, String> {
        let missing = self.eat('!');
        let mut test = Test { path: Vec::new(), attribute: None, want: Want::There };
        loop {
            if self.eat('@') {
                test.attribute = Some(self.name()?);
                break;
            }
            test.path.push(self.name()?);
            if !self.eat('/') {
                break;
            }
        }
        if missing {
            test.want = Want::Missing;
        } else if self.eat('=') {
            if let Some(rest) = self.rest.strip_prefix("$locale") {
                self.rest = rest;
                test.want = Want::Locale;
            } else {
                let mut words = vec![self.quoted()?];
                while self.eat('|') {
                    words.push(self.quoted()?);
                }
                test.want = Want::Is(words);
            }
        }
        match self.eat(']') {
            true => Ok(test),
            false => Err(format!("`]` should stand before `{}`", self.rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_read_strictly() {
        let selector: Selector =
            "../a:b[@t='x'|'y'][c/d='z'][!@e][@xml:lang=$locale]/@f".parse().unwrap();
        assert_eq!((selector.up, selector.attribute.as_deref()), (1, Some("f")));
        let [step] = selector.steps.as_slice() else { panic!("{selector:?}") };
        let wants: Vec<&Want> = step.tests.iter().map(|test| &test.want).collect();
        let is = |words: &[&str]| Want::Is(words.iter().map(|it| (*it).to_owned()).collect());
        assert_eq!(wants, [&is(&["x", "y"]), &is(&["z"]), &Want::Missing, &Want::Locale]);
        assert_eq!("House ID".parse::<Selector>().unwrap().steps[0].name, "House ID");
        assert_eq!("'a/b'".parse::<Selector>().unwrap().steps[0].name, "a/b");
        for bad in ["", "/a", "a/", "a[", "a[@b=c]", "a[@b='c]", "a]", "@a/b", "a[='x']", "a//b"] {
            assert!(bad.parse::<Selector>().is_err(), "{bad}");
        }
    }
}
