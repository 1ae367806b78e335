//! Elements on their way into a file: what rules write, what is put back, and how XML spells it.

use std::collections::{BTreeMap, BTreeSet};

use ottvc_object::field_path::FieldPath;

use crate::mapping::Mapping;
use crate::selector::{Test, Want};
use crate::tree::{MAX_ATTRIBUTES, MAX_DEPTH, MAX_NAME, rename, split};
use crate::xml::{MAX_NAMESPACES, XML};

/// An element to be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Out {
    pub(crate) name: String,
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) text: Option<String>,
    pub(crate) children: Vec<Out>,
    /// Of what was left over: the fields that its element said.
    pub(crate) said: Vec<FieldPath>,
    /// Which attributes are values of fields.
    pub(crate) valued: Vec<String>,
    /// Where it stood among its like in what was left over, from 1; 0 where the document knows.
    pub(crate) rank: usize,
}

/// Whether XML can say it at all.
pub(crate) fn is_xml(text: &str) -> bool {
    let barred =
        |c: char| (c.is_control() && !"\t\n\r".contains(c)) || "\u{fffe}\u{ffff}".contains(c);
    !text.chars().any(barred)
}

/// Whether XML takes it for a name without a prefix.
///
/// # Reference
/// XML 1.0, fifth edition, section 2.3: `NameStartChar` and `NameChar`; a colon parts prefix and name.
fn is_name(name: &str) -> bool {
    let first = |c: char| {
        matches!(c, 'A'..='Z' | '_' | 'a'..='z' | '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}'
            | '\u{f8}'..='\u{2ff}' | '\u{370}'..='\u{37d}' | '\u{37f}'..='\u{1fff}'
            | '\u{200c}'..='\u{200d}' | '\u{2070}'..='\u{218f}' | '\u{2c00}'..='\u{2fef}'
            | '\u{3001}'..='\u{d7ff}' | '\u{f900}'..='\u{fdcf}' | '\u{fdf0}'..='\u{fffd}'
            | '\u{10000}'..='\u{effff}')
    };
    let more = |c: char| {
        first(c)
            || matches!(c, '-' | '.' | '0'..='9' | '\u{b7}' | '\u{300}'..='\u{36f}'
                | '\u{203f}'..='\u{2040}')
    };
    name.starts_with(first) && name.chars().all(more) && !name.starts_with("xmlns")
}

/// Whether a file of this mapping can have a name, and be read again with it.
fn is_writable(name: &str, mapping: &Mapping, is_attribute: bool) -> bool {
    let (space, local) = match split(name) {
        Some((XML | "http://www.w3.org/2000/xmlns/" | "", _)) => return false,
        Some((space, local)) if is_xml(space) => (space.len() + 2, local),
        Some(_) => return false,
        None => {
            let prefixed = name.split_once(':').filter(|(prefix, _)| !prefix.is_empty());
            let (prefix, local) = prefixed.unwrap_or(("", name));
            let spaces = mapping.namespaces.iter().find(|(known, _)| known == prefix);
            let space = spaces.and_then(|(_, all)| all.iter().find(|space| !space.contains('*')));
            match space {
                _ if prefix.is_empty() && (is_attribute || spaces.is_none()) => (0, name),
                Some(space) => (space.len() + 2, local),
                None if prefix == "xml" => (prefix.len() + 1, local),
                None => return false,
            }
        }
    };
    is_name(local) && space + local.len() <= MAX_NAME
}

/// How many namespaces a name declares where it is written.
fn declares(name: &str) -> usize {
    usize::from(split(name).is_some())
}

impl Out {
    pub(crate) fn new(name: String) -> Self {
        Self { name, ..Self::default() }
    }

    pub(crate) fn at(&mut self, path: &[usize]) -> Option<&mut Self> {
        path.iter().try_fold(self, |element, next| element.children.get_mut(*next))
    }

    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// How many steps it takes to find what a test looks at, at most.
    pub(crate) fn looks(&self, test: &Test) -> usize {
        let inside = if test.path.is_empty() { 0 } else { self.children.len() };
        inside + self.attributes.len()
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

    pub(crate) fn passes(&self, test: &Test, locale: Option<&str>, default: &str) -> bool {
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
    pub(crate) fn meet(&mut self, test: &Test, locale: Option<&str>, default: &str) {
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
    pub(crate) fn keep_writable(&mut self, mapping: &Mapping) {
        let bound = |space: &str| mapping.prefix(space);
        self.text = self.text.take().filter(|text| is_xml(text));
        let mut names = BTreeSet::new();
        self.attributes.retain_mut(|(name, value)| {
            rename(name, &bound);
            is_writable(name, mapping, true) && is_xml(value) && names.insert(name.clone())
        });
        self.attributes.truncate(MAX_ATTRIBUTES);
        self.children.retain_mut(|child| {
            rename(&mut child.name, &bound);
            is_writable(&child.name, mapping, false)
        });
        for child in &mut self.children {
            child.keep_writable(mapping);
        }
    }

    /// Leaves out attributes and elements for which a reader would refuse the whole file: the last
    /// attributes, which were put back, and elements too far down.
    pub(crate) fn fit(&mut self, mapping: &Mapping) {
        self.fit_inside(1, 0, mapping.namespaces.len());
    }

    /// The same at a depth, with so many namespaces declared around it and so many by itself.
    fn fit_inside(&mut self, depth: usize, around: usize, own: usize) {
        let mut declared = around + own;
        let mut attributes = own;
        self.attributes.retain(|(name, _)| {
            let more = declares(name);
            let fits = attributes + more < MAX_ATTRIBUTES && declared + more <= MAX_NAMESPACES;
            if fits {
                attributes += more + 1;
                declared += more;
            }
            fits
        });
        self.children.retain(|child| {
            depth < MAX_DEPTH && declared + declares(&child.name) <= MAX_NAMESPACES
        });
        for child in &mut self.children {
            child.fit_inside(depth + 1, declared, declares(&child.name));
        }
    }

    pub(crate) fn sort(&mut self, order: &BTreeMap<String, Vec<String>>) {
        if let Some(names) = order.get(&self.name) {
            let place = |child: &Self| names.iter().position(|name| *name == child.name);
            self.children.sort_by_key(|child| place(child).unwrap_or(names.len()));
        }
        self.rank_alike();
        for child in &mut self.children {
            child.sort(order);
        }
    }

    /// Puts children that stood in what was left over into the order they had there, each name by itself.
    fn rank_alike(&mut self) {
        let mut slots: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (slot, child) in self.children.iter().enumerate().filter(|(_, it)| it.rank > 0) {
            slots.entry(child.name.clone()).or_default().push(slot);
        }
        for slots in slots.into_values() {
            let taken = |slot: &usize| self.children.get_mut(*slot).map(std::mem::take);
            let mut alike: Vec<Self> = slots.iter().filter_map(taken).collect();
            alike.sort_by_key(|child| child.rank);
            for (slot, child) in slots.into_iter().zip(alike) {
                if let Some(place) = self.children.get_mut(slot) {
                    *place = child;
                }
            }
        }
    }

    /// The whole file, with this as its root.
    pub(crate) fn document(&self, mapping: &Mapping) -> String {
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
    match split(name) {
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
