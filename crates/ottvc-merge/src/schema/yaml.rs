//! YAML text into a tree that knows its lines, more strictly than YAML by itself.
//!
//! A schema is data, and so is what binds documents to schemas: no anchors, no tags, no second
//! document, no key twice, and no more text, nesting or nodes than a schema can need. The parser beneath keeps its own stack, so depth costs no stack
//! of ours until the tree is walked, and by then it is limited.

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use crate::MergeError;

/// The longest schema, in bytes of text.
pub(crate) const MAX_BYTES: usize = 1 << 20;
/// The deepest nesting; what a schema needs is 5.
const MAX_DEPTH: usize = 16;
/// The most nodes.
const MAX_NODES: usize = 1 << 16;

/// A node and the line it begins on, from 1.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) line: usize,
    pub(crate) data: Data,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Data {
    /// A plain or quoted scalar; a quoted one is always text.
    Scalar {
        /// Its text, escapes undone.
        text: String,
        /// Whether it stood in quotes.
        quoted: bool,
    },
    /// A sequence.
    List(Vec<Node>),
    /// A mapping with scalar keys, in the order of the text.
    Map(Vec<(String, Node)>),
}

impl Node {
    /// The node as it would be written, for messages.
    pub(crate) fn shown(&self) -> String {
        match &self.data {
            Data::Scalar { text, .. } => text.clone(),
            Data::List(nodes) => {
                let shown: Vec<String> = nodes.iter().map(Self::shown).collect();
                format!("[{}]", shown.join(", "))
            }
            Data::Map(members) => {
                let shown: Vec<String> =
                    members.iter().map(|(key, node)| format!("{key}: {}", node.shown())).collect();
                format!("{{{}}}", shown.join(", "))
            }
        }
    }
}

/// A container that is not closed yet.
enum Open {
    List(usize, Vec<Node>),
    Map(usize, Vec<(String, Node)>, Option<String>),
}

fn bad(span: Option<Span>, why: impl Into<String>) -> MergeError {
    let (line, column) = span.map_or((0, 0), |span| (span.start.line(), span.start.col() + 1));
    MergeError::BadYaml { line, column, why: why.into() }
}

/// Reads one YAML document.
///
/// # Errors
/// [`MergeError::BadYaml`] with line and column.
pub(crate) fn parse(text: &str) -> Result<Node, MergeError> {
    if text.len() > MAX_BYTES {
        return Err(bad(None, format!("it has more than {MAX_BYTES} bytes")));
    }
    let mut open: Vec<Open> = Vec::new();
    let mut root: Option<Node> = None;
    let mut nodes = 0;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let place = error.marker();
            let (line, column) = (place.line(), place.col() + 1);
            MergeError::BadYaml { line, column, why: error.info().to_owned() }
        })?;
        let line = span.start.line();
        nodes += 1;
        if nodes > MAX_NODES {
            return Err(bad(Some(span), format!("it has more than {MAX_NODES} nodes")));
        }
        let node = match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => continue,
            Event::DocumentStart(_) if root.is_none() => continue,
            Event::DocumentStart(_) => return Err(bad(Some(span), "a second document begins")),
            Event::Alias(_) => return Err(bad(Some(span), "aliases are not allowed")),
            Event::Scalar(_, _, anchor, tag) if anchor != 0 || tag.is_some() => {
                return Err(bad(Some(span), "anchors and tags are not allowed"));
            }
            Event::SequenceStart(anchor, tag) | Event::MappingStart(anchor, tag)
                if anchor != 0 || tag.is_some() =>
            {
                return Err(bad(Some(span), "anchors and tags are not allowed"));
            }
            Event::SequenceStart(..) | Event::MappingStart(..) if open.len() >= MAX_DEPTH => {
                return Err(bad(Some(span), format!("nested over {MAX_DEPTH} deep")));
            }
            Event::SequenceStart(..) => {
                open.push(Open::List(line, Vec::new()));
                continue;
            }
            Event::MappingStart(..) => {
                open.push(Open::Map(line, Vec::new(), None));
                continue;
            }
            Event::Scalar(text, style, ..) => {
                let quoted = style != ScalarStyle::Plain;
                Node { line, data: Data::Scalar { text: text.into_owned(), quoted } }
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::List(line, nodes)) => Node { line, data: Data::List(nodes) },
                Some(Open::Map(line, members, _)) => Node { line, data: Data::Map(members) },
                None => return Err(bad(Some(span), "a bracket closes nothing")),
            },
        };
        match open.last_mut() {
            None => root = Some(node),
            Some(Open::List(_, nodes)) => nodes.push(node),
            Some(Open::Map(_, members, waiting)) => match (waiting.take(), node.data) {
                (Some(key), data) => members.push((key, Node { line: node.line, data })),
                (None, Data::Scalar { text, .. }) => {
                    if members.iter().any(|(key, _)| *key == text) {
                        return Err(bad(Some(span), format!("the key `{text}` comes twice")));
                    }
                    *waiting = Some(text);
                }
                (None, _) => return Err(bad(Some(span), "a key is a scalar")),
            },
        }
    }
    root.ok_or_else(|| bad(None, "there is nothing in it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_with_lines() {
        let node = parse("a: {b: [1, '2']}\nc: x\n").unwrap();
        assert_eq!(node.shown(), "{a: {b: [1, 2]}, c: x}");
        let Data::Map(members) = &node.data else { panic!("a mapping") };
        assert_eq!(members[1].1.line, 2);
    }

    #[test]
    fn what_no_schema_needs_is_refused() {
        let deep = format!("{}{}", "[".repeat(40), "]".repeat(40));
        let long = format!("[{}]", "1,".repeat(MAX_NODES));
        for text in [
            "",
            "a: &x 1",
            "a: *x",
            "a: !!str 1",
            "--- a\n--- b\n",
            "a: 1\na: 2",
            "[a: b: c",
            "? [x]\n: 1",
            &deep,
            &long,
            "{",
            "a: 'x",
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.code(), "schema.bad_yaml", "{:.20}", text);
        }
    }
}
