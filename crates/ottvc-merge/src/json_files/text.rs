//! The text of a JSON file with the place of everything in it, down to the spaces: what a writer
//! needs to change a part and leave the rest as it is.

use std::ops::Range;

use ottvc_object::ObjectError;
use ottvc_object::value::parse_json;
use serde_json::Value as Json;

/// The byte order mark some editors put in front.
const MARK: &str = "\u{feff}";

/// A JSON file: its text, what it says, and where it says that.
#[derive(Debug)]
pub(super) struct Text {
    /// Without the byte order mark.
    text: String,
    has_mark: bool,
    pub(super) json: Json,
    pub(super) root: Node,
}

/// A value in the text.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) span: Range<usize>,
    /// The members of an object or the elements of an array; none of a scalar.
    pub(super) parts: Vec<Part>,
}

/// A member of an object or an element of an array.
#[derive(Debug)]
pub(super) struct Part {
    /// The spaces in front of it.
    pub(super) lead: Range<usize>,
    /// The key of a member, and where it stands in its quotes.
    pub(super) name: Option<(String, Range<usize>)>,
    pub(super) value: Node,
    /// The spaces between it and the comma or bracket that follows.
    pub(super) trail: Range<usize>,
}

impl Text {
    /// Reads a file.
    ///
    /// # Errors
    /// Those of [`parse_json`].
    pub(super) fn read(bytes: &[u8]) -> Result<Self, ObjectError> {
        let json = parse_json(bytes)?;
        // Whatever is JSON is UTF-8 and can be taken apart.
        let not_json = || ObjectError::BadJson { line: 0, column: 0, why: "not JSON".to_owned() };
        let text = std::str::from_utf8(bytes).map_err(|_| not_json())?;
        let (has_mark, text) = match text.strip_prefix(MARK) {
            Some(text) => (true, text.to_owned()),
            None => (false, text.to_owned()),
        };
        let mut scan = Scan { text: &text, at: 0 };
        scan.space();
        let root = scan.value().ok_or_else(not_json)?;
        Ok(Self { text, has_mark, json, root })
    }

    /// The text of a span.
    pub(super) fn slice(&self, span: &Range<usize>) -> &str {
        self.text.get(span.clone()).unwrap_or_default()
    }

    /// The comma or bracket that comes before a part and its spaces.
    pub(super) fn mark_before(&self, part: &Part) -> Option<u8> {
        self.text.as_bytes().get(part.lead.start.checked_sub(1)?).copied()
    }

    /// What stands between the key of a member and its value, if that is on one line.
    pub(super) fn colon(&self, part: &Part) -> Option<&str> {
        let (_, name) = part.name.as_ref()?;
        let colon = self.slice(&(name.end..part.value.span.start));
        (!colon.contains('\n')).then_some(colon)
    }

    /// Whether this is a container with all of its parts on one line.
    pub(super) fn is_one_line(&self, node: &Node) -> bool {
        !node.parts.is_empty() && !self.slice(&node.span).contains('\n')
    }

    /// What stands in front of the root.
    pub(super) fn before(&self) -> [&str; 2] {
        let mark = if self.has_mark { MARK } else { "" };
        [mark, self.slice(&(0..self.root.span.start))]
    }
    /// What stands after the root.
    pub(super) fn after(&self) -> &str {
        self.slice(&(self.root.span.end..self.text.len()))
    }

    /// Walks all parts, each with the depth of its container, from 0, in the order of the text.
    pub(super) fn each_part(&self, visit: &mut dyn FnMut(&Part, usize)) {
        fn walk(node: &Node, depth: usize, visit: &mut dyn FnMut(&Part, usize)) {
            for part in &node.parts {
                visit(part, depth);
                walk(&part.value, depth + 1, visit);
            }
        }
        walk(&self.root, 0, visit);
    }
}

/// Takes a text apart that is known to be JSON, and not nested deeper than the parser allows.
struct Scan<'t> {
    text: &'t str,
    at: usize,
}

impl Scan<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn while_true(&mut self, holds: impl Fn(u8) -> bool) -> Range<usize> {
        let start = self.at;
        while self.peek().is_some_and(&holds) {
            self.at += 1;
        }
        start..self.at
    }

    fn space(&mut self) -> Range<usize> {
        self.while_true(|byte| byte.is_ascii_whitespace())
    }

    fn value(&mut self) -> Option<Node> {
        let start = self.at;
        let parts = match self.peek()? {
            b'{' => self.parts(b'}')?,
            b'[' => self.parts(b']')?,
            b'"' => {
                self.string()?;
                Vec::new()
            }
            _ => {
                self.while_true(|byte| !matches!(byte, b',' | b']' | b'}' | b' ' | b'\t'..=b'\r'));
                Vec::new()
            }
        };
        Some(Node { span: start..self.at, parts })
    }

    fn parts(&mut self, close: u8) -> Option<Vec<Part>> {
        self.at += 1;
        let mut parts = Vec::new();
        let mut lead = self.space();
        if self.peek()? == close {
            self.at += 1;
            return Some(parts);
        }
        loop {
            let name = match close {
                b'}' => {
                    let span = self.string()?;
                    let name = serde_json::from_str(self.text.get(span.clone())?).ok()?;
                    self.space();
                    self.at += 1;
                    self.space();
                    Some((name, span))
                }
                _ => None,
            };
            let value = self.value()?;
            let trail = self.space();
            parts.push(Part { lead, name, value, trail });
            let ends = self.peek()? == close;
            self.at += 1;
            if ends {
                return Some(parts);
            }
            lead = self.space();
        }
    }

    fn string(&mut self) -> Option<Range<usize>> {
        let start = self.at;
        self.at += 1;
        loop {
            self.while_true(|byte| !matches!(byte, b'"' | b'\\'));
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Some(start..self.at);
                }
                _ => self.at += 2,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_the_text_has_its_place() {
        let text =
            Text::read("\u{feff} { \"a\\\"\\u0041\" : [1e3,\t\"x\" ] ,\"b\":{ } }\r\n".as_bytes());
        let text = text.unwrap();
        assert_eq!(text.before(), ["\u{feff}", " "]);
        assert_eq!(text.after(), "\r\n");
        let mut seen = Vec::new();
        text.each_part(&mut |part, depth| {
            let name = part.name.as_ref().map(|(name, span)| (name.clone(), text.slice(span)));
            let [lead, value, trail] =
                [&part.lead, &part.value.span, &part.trail].map(|span| text.slice(span));
            seen.push(format!("{depth} {name:?} {lead:?} {value} {trail:?}"));
        });
        assert_eq!(
            seen,
            [
                r#"0 Some(("a\"A", "\"a\\\"\\u0041\"")) " " [1e3,	"x" ] " ""#,
                r#"1 None "" 1e3 """#,
                r#"1 None "\t" "x" " ""#,
                r#"0 Some(("b", "\"b\"")) "" { } " ""#,
            ]
        );
    }

    #[test]
    fn hostile_nesting_is_refused_first() {
        let deep = "[".repeat(1 << 20);
        assert!(matches!(Text::read(deep.as_bytes()), Err(ObjectError::BadJson { .. })));
        let twice = Text::read(b"{\n \"a\": 1,\n \"a\": 2}").unwrap_err();
        assert!(matches!(twice, ObjectError::BadJson { line: 3, .. }), "{twice}");
    }
}
