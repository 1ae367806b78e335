//! The source tree: what a delivery says, before anybody decides what it means.
//!
//! XML, JSON and CSV all become elements with attributes, text and children, so that one mapping
//! language reads them. Each part remembers whether a rule took it; what no rule took is left over and
//! kept. Limits are held while a tree is built: nothing is made of input that is past them.

use std::cell::{Cell, RefCell};

use ottvc_object::field_path::FieldPath;
use ottvc_object::value::Value;

use crate::ImportError;

/// The most bytes of one delivered file.
pub const MAX_BYTES: u64 = 16 << 20;
/// The most elements and attributes of one delivered file.
pub const MAX_PARTS: u64 = 1 << 17;
/// The most steps of reading by a mapping: a step is an element looked at, or 64 bytes of a text.
pub const MAX_STEPS: u64 = 1 << 24;
/// The deepest nesting of elements: what is left over of it still fits into a document.
pub const MAX_DEPTH: usize = 20;
/// The deepest nesting of JSON, arrays counted too.
pub const MAX_LEVELS: usize = 56;
/// The most attributes of one element.
pub const MAX_ATTRIBUTES: usize = 256;
/// The longest name of an element or attribute, its namespace included, in bytes.
pub const MAX_NAME: usize = 240;

/// One attribute of an element.
#[derive(Clone, Debug)]
pub(crate) struct Attribute {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) used: Cell<bool>,
    /// Whether it is not even kept aside.
    pub(crate) ignored: Cell<bool>,
}

/// What an element holds, in order.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    Element(Element),
    Text(String),
}

/// One element.
#[derive(Clone, Debug, Default)]
pub(crate) struct Element {
    /// `{namespace}name` until it is bound, then `prefix:name`.
    pub(crate) name: String,
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) content: Vec<Content>,
    /// Line, from 1; 0 where it is not known.
    pub(crate) line: u64,
    /// Whether its text was taken, or the whole of it as an item.
    pub(crate) used: Cell<bool>,
    /// The fields it said that can be written again; what is left of it belongs to them.
    pub(crate) said: RefCell<Vec<FieldPath>>,
    /// What a JSON scalar is; its text stands in `content` too.
    pub(crate) scalar: Option<Value>,
    /// Whether it is one of an array of JSON.
    pub(crate) listed: bool,
    /// Whether it is an array of JSON itself: one that is empty, or inside another.
    pub(crate) array: bool,
}

impl Element {
    pub(crate) fn new(name: impl Into<String>, line: u64) -> Self {
        Self { name: name.into(), line, ..Self::default() }
    }

    /// Its child elements.
    pub(crate) fn children(&self) -> impl DoubleEndedIterator<Item = &Self> {
        self.content.iter().filter_map(|content| match content {
            Content::Element(element) => Some(element),
            Content::Text(_) => None,
        })
    }

    /// Its own text, without that of children and without space around it.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for content in &self.content {
            if let Content::Text(more) = content {
                text.push_str(more);
            }
        }
        text.trim().to_owned()
    }

    /// Whether it has no child elements.
    pub(crate) fn is_leaf(&self) -> bool {
        self.children().next().is_none()
    }

    /// Its attribute of this name.
    pub(crate) fn attribute(&self, name: &str) -> Option<(usize, &Attribute)> {
        self.attributes.iter().enumerate().find(|(_, attribute)| attribute.name == name)
    }

    /// Gives names of known namespaces their prefixes.
    pub(crate) fn bind(&mut self, prefix: &dyn Fn(&str) -> Option<String>) {
        rename(&mut self.name, prefix);
        for attribute in &mut self.attributes {
            rename(&mut attribute.name, prefix);
        }
        for content in &mut self.content {
            if let Content::Element(element) = content {
                element.bind(prefix);
            }
        }
    }
}

/// Turns `{namespace}name` into `prefix:name` where the namespace has a prefix.
pub(crate) fn rename(name: &mut String, prefix: &dyn Fn(&str) -> Option<String>) {
    let bound = split(name).and_then(|(space, local)| Some(format!("{}:{local}", prefix(space)?)));
    if let Some(bound) = bound {
        // An empty prefix is for the namespace whose names are written without one.
        *name = bound.strip_prefix(':').map(str::to_owned).unwrap_or(bound);
    }
}

/// Takes `{namespace}name` apart.
pub(crate) fn split(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix('{')?.rsplit_once('}')
}

/// Counts the parts of a tree while it is built.
#[derive(Debug)]
pub(crate) struct Budget {
    parts: u64,
    deepest: usize,
}

impl Budget {
    /// A tree that may be this deep.
    pub(crate) fn of_depth(deepest: usize) -> Self {
        Self { parts: 0, deepest }
    }

    /// Takes `parts` more, at this depth (the root's is 1).
    pub(crate) fn take(
        &mut self,
        parts: usize,
        depth: usize,
        line: u64,
    ) -> Result<(), ImportError> {
        self.parts = self.parts.saturating_add(parts as u64);
        let too_large = |what, limit| Err(ImportError::TooLarge { what, line, limit });
        if self.parts > MAX_PARTS {
            return too_large("too many elements", MAX_PARTS);
        }
        if depth > self.deepest {
            return too_large("nested too deep", self.deepest as u64);
        }
        Ok(())
    }
}

/// Counts the steps of reading a tree by a mapping.
#[derive(Debug, Default)]
pub(crate) struct Steps(Cell<u64>);

impl Steps {
    /// Takes `steps` more, at this line.
    pub(crate) fn take(&self, steps: usize, line: u64) -> Result<(), ImportError> {
        self.0.set(self.0.get().saturating_add(steps as u64));
        match self.0.get() > MAX_STEPS {
            true => {
                let what = "too many steps of its mapping";
                Err(ImportError::TooLarge { what, line, limit: MAX_STEPS })
            }
            false => Ok(()),
        }
    }

    /// Takes the steps of reading a text.
    pub(crate) fn take_text(&self, bytes: usize, line: u64) -> Result<(), ImportError> {
        self.take(bytes / 64, line)
    }
}

/// Refuses more bytes than a delivered file may have.
pub(crate) fn check_size(bytes: &[u8]) -> Result<(), ImportError> {
    match bytes.len() as u64 > MAX_BYTES {
        true => Err(ImportError::TooLarge { what: "too many bytes", line: 0, limit: MAX_BYTES }),
        false => Ok(()),
    }
}
