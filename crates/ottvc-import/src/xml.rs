//! XML into a source tree, and out of an element.
//!
//! No document type, no entities but the five of XML and characters by number, nothing fetched:
//! what a hostile file could make grow is refused at its line.

use std::collections::BTreeSet;

use quick_xml::NsReader;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{Namespace, ResolveResult};

use crate::ImportError;
use crate::tree::{
    Attribute, Budget, Content, Element, MAX_ATTRIBUTES, MAX_DEPTH, MAX_NAME, check_size,
};

/// The namespace of `xml:`.
pub(crate) const XML: &str = "http://www.w3.org/XML/1998/namespace";
/// The most namespaces declared around one element.
pub(crate) const MAX_NAMESPACES: usize = 256;

/// Where in a text a byte is; asked in rising order.
struct Lines<'t> {
    text: &'t str,
    at: usize,
    line: u64,
}

impl Lines<'_> {
    fn of(&mut self, position: u64) -> u64 {
        let position = usize::try_from(position).unwrap_or(usize::MAX).min(self.text.len());
        let passed = self.text.as_bytes().get(self.at..position).unwrap_or_default();
        self.line += passed.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.at = self.at.max(position);
        self.line
    }
}

/// Reads one XML document; names come as `{namespace}name`.
///
/// # Errors
/// [`ImportError::Malformed`] and [`ImportError::TooLarge`] with the line.
pub(crate) fn parse(bytes: &[u8]) -> Result<Element, ImportError> {
    check_size(bytes)?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let malformed = |line, why: String| ImportError::Malformed { syntax: "XML", line, why };
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count() as u64;
        malformed(line, "it is not UTF-8, which it must be".to_owned())
    })?;
    let mut reader = NsReader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut lines = Lines { text, at: 0, line: 1 };
    let mut budget = Budget::of_depth(MAX_DEPTH);
    let mut open: Vec<Element> = Vec::new();
    let mut declared: Vec<usize> = Vec::new();
    let mut root: Option<Element> = None;
    loop {
        let start = reader.buffer_position();
        let event = reader.read_event();
        let line = lines.of(start);
        let event = event.map_err(|error| malformed(line, error.to_string()))?;
        let words = match event {
            Event::Start(tag) => {
                if root.is_some() {
                    return Err(malformed(line, "a second root element".to_owned()));
                }
                let (element, namespaces) = element(&reader, &tag, line)?;
                declared.push(namespaces);
                if declared.iter().sum::<usize>() > MAX_NAMESPACES {
                    let limit = MAX_NAMESPACES as u64;
                    let what = "too many namespaces";
                    return Err(ImportError::TooLarge { what, line, limit });
                }
                budget.take(1 + element.attributes.len(), open.len() + 1, line)?;
                open.push(element);
                continue;
            }
            Event::End(_) => {
                declared.pop();
                // The reader has checked that the names agree.
                let Some(closed) = open.pop() else { continue };
                match open.last_mut() {
                    Some(parent) => parent.content.push(Content::Element(closed)),
                    None => root = Some(closed),
                }
                continue;
            }
            Event::Text(words) => words.xml_content().map(|words| words.into_owned()),
            Event::CData(words) => words.xml_content().map(|words| words.into_owned()),
            Event::GeneralRef(reference) => {
                let named =
                    reference.resolve_char_ref().map_err(|e| malformed(line, e.to_string()))?;
                let name = reference.decode().map_err(|e| malformed(line, e.to_string()))?;
                match named.or_else(|| predefined(&name)) {
                    Some(c) => Ok(c.to_string()),
                    None => {
                        let why = format!("the entity `&{name};` is none of XML's own five");
                        return Err(malformed(line, why));
                    }
                }
            }
            Event::Decl(declaration) => {
                let encoding = declaration.encoding().transpose().ok().flatten();
                let named = encoding.map(|name| String::from_utf8_lossy(&name).to_lowercase());
                match named.as_deref() {
                    None | Some("utf-8" | "utf8" | "us-ascii" | "ascii") => continue,
                    Some(other) => {
                        let why = format!("its encoding is `{other}`: make it UTF-8");
                        return Err(malformed(line, why));
                    }
                }
            }
            Event::DocType(_) => {
                let why = "it has a document type, which could name entities and files";
                return Err(malformed(line, why.to_owned()));
            }
            // Neither says anything about a film.
            Event::Comment(_) | Event::PI(_) | Event::Empty(_) => continue,
            Event::Eof => break,
        };
        let words = words.map_err(|error| malformed(line, error.to_string()))?;
        match open.last_mut() {
            Some(parent) => match parent.content.last_mut() {
                Some(Content::Text(before)) => before.push_str(&words),
                _ => parent.content.push(Content::Text(words)),
            },
            None if words.trim().is_empty() => {}
            None => return Err(malformed(line, "text outside the root element".to_owned())),
        }
    }
    if let Some(left) = open.last() {
        let why = format!("`{}` is never closed", left.name);
        return Err(malformed(left.line, why));
    }
    root.ok_or_else(|| malformed(lines.line, "there is no element".to_owned()))
}

fn predefined(name: &str) -> Option<char> {
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => return None,
    })
}

/// Makes an element of a start tag; with how many namespaces it declares.
fn element(
    reader: &NsReader<&[u8]>,
    tag: &BytesStart<'_>,
    line: u64,
) -> Result<(Element, usize), ImportError> {
    let malformed = |why: String| ImportError::Malformed { syntax: "XML", line, why };
    let (space, local) = reader.resolve_element(tag.name());
    let name = named(space, local.as_ref()).map_err(malformed)?;
    let mut element = Element::new(name, line);
    let mut namespaces = 0;
    let mut names = BTreeSet::new();
    // The reader's own search for names given twice takes the square of their number.
    for (count, attribute) in tag.attributes().with_checks(false).enumerate() {
        if count >= MAX_ATTRIBUTES {
            let limit = MAX_ATTRIBUTES as u64;
            return Err(ImportError::TooLarge { what: "too many attributes", line, limit });
        }
        let attribute = attribute.map_err(|error| malformed(error.to_string()))?;
        if !names.insert(attribute.key.as_ref().to_vec()) {
            let name = String::from_utf8_lossy(attribute.key.as_ref()).into_owned();
            return Err(malformed(format!("the attribute `{name}` comes twice")));
        }
        if attribute.key.as_namespace_binding().is_some() {
            namespaces += 1;
            continue;
        }
        let (space, local) = reader.resolve_attribute(attribute.key);
        let name = named(space, local.as_ref()).map_err(malformed)?;
        let value = attribute.unescape_value().map_err(|error| malformed(error.to_string()))?;
        let value = value.into_owned();
        let (used, ignored) = Default::default();
        element.attributes.push(Attribute { name, value, used, ignored });
    }
    Ok((element, namespaces))
}

fn named(space: ResolveResult<'_>, local: &[u8]) -> Result<String, String> {
    let local = String::from_utf8_lossy(local);
    let name = match space {
        ResolveResult::Bound(Namespace(space)) => {
            let space = String::from_utf8_lossy(space);
            match &*space {
                "" => local.into_owned(),
                XML => format!("xml:{local}"),
                space => format!("{{{space}}}{local}"),
            }
        }
        ResolveResult::Unbound => local.into_owned(),
        ResolveResult::Unknown(prefix) => {
            let prefix = String::from_utf8_lossy(&prefix).into_owned();
            return Err(format!("the prefix `{prefix}` stands for no namespace"));
        }
    };
    match name.len() > MAX_NAME {
        true => Err(format!("a name has over {MAX_NAME} bytes")),
        false => Ok(name),
    }
}
