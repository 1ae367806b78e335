//! How a JSON file is laid out, as far as it says: what a part that is new in it should look like.
//!
//! What is copied for every new part is short: spaces without end, once in a file, would be a text
//! without end.

use super::text::Text;

/// The most bytes between parts, or of an indent, that new parts are spaced with too.
const MAX_SPACES: usize = 64;
/// The most bytes that a line with a new part is indented by as others are.
const MAX_INDENT: usize = 256;

/// Spaces between two parts that a new part may have too.
pub(super) fn modest(spaces: &str) -> Option<&str> {
    (spaces.len() <= MAX_SPACES).then_some(spaces)
}

/// How a line is indented, if others may be so too.
pub(super) fn modest_indent(spaces: &str) -> Option<&str> {
    (spaces.len() <= MAX_INDENT).then_some(spaces)
}

/// How a file breaks its lines and spaces its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Style {
    /// `\n` or `\r\n`.
    pub(super) newline: &'static str,
    /// Whether parts stand on lines of their own.
    pub(super) lines: bool,
    /// What a line is indented by for each level.
    pub(super) unit: String,
    /// What stands between a key and its value.
    pub(super) colon: String,
    /// What follows a comma where parts stand on one line.
    pub(super) gap: String,
    /// What stands inside the brackets where parts stand on one line.
    pub(super) pad: String,
}

impl Style {
    /// The style of documents that no file gives one: that of this program.
    pub(super) fn ours() -> Self {
        Self {
            newline: "\n",
            lines: true,
            unit: "  ".to_owned(),
            colon: ": ".to_owned(),
            gap: " ".to_owned(),
            pad: String::new(),
        }
    }

    /// Reads the style off a file; `None` if there is nothing in it to be laid out.
    pub(super) fn of(file: &Text) -> Option<Self> {
        let root = file.slice(&file.root.span);
        if file.root.parts.is_empty() {
            return None;
        }
        let returns = root.contains("\r\n") || file.after().starts_with("\r\n");
        let newline = if returns { "\r\n" } else { "\n" };
        let lines = root.contains('\n');
        let mut style = Self { newline, lines, gap: String::new(), ..Self::ours() };
        if !lines {
            style.colon = ":".to_owned();
        }
        let (mut unit, mut colon, mut gap, mut pad) = (None, None, None, None);
        file.each_part(&mut |part, depth| {
            let lead = file.slice(&part.lead);
            match lead.rsplit_once('\n') {
                Some((_, tail)) if !tail.is_empty() => {
                    let step = tail.get(..tail.len() / (depth + 1)).unwrap_or(tail);
                    note(&mut unit, step);
                }
                Some(_) => {}
                None if file.mark_before(part) == Some(b',') => {
                    note(&mut gap, lead);
                }
                None => note(&mut pad, lead),
            }
            if let Some(found) = file.colon(part) {
                note(&mut colon, found);
            }
        });
        style.unit = unit.unwrap_or(style.unit);
        style.colon = colon.unwrap_or(style.colon);
        style.gap = gap.unwrap_or(if lines { " ".to_owned() } else { style.gap });
        style.pad = pad.unwrap_or(style.pad);
        Some(style)
    }
}

/// Keeps the first spaces that are no more than they should be.
fn note(known: &mut Option<String>, spaces: &str) {
    if known.is_none() {
        *known = modest(spaces).map(str::to_owned);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn style(text: &str) -> Option<Style> {
        Style::of(&Text::read(text.as_bytes()).unwrap())
    }

    #[test]
    fn indents_line_ends_and_spaces_are_those_of_the_file() {
        let lines = |unit: &str| Style { unit: unit.to_owned(), ..Style::ours() };
        assert_eq!(style("{\n    \"a\": [\n        1]}"), Some(lines("    ")));
        assert_eq!(style("[\n\t1,\n\t2\n]\n"), Some(lines("\t")));
        // The first line that is indented is two levels deep.
        assert_eq!(style("[{\n  \"a\": 1}]"), Some(lines(" ")));
        assert_eq!(
            style("{\r\n  \"a\" :1\r\n}"),
            Some(Style { newline: "\r\n", colon: " :".to_owned(), ..lines("  ") })
        );
        let inline = |colon: &str, gap: &str, pad: &str| Style {
            lines: false,
            colon: colon.to_owned(),
            gap: gap.to_owned(),
            pad: pad.to_owned(),
            ..Style::ours()
        };
        assert_eq!(style(r#"{"a":1,"b":[2,3]}"#), Some(inline(":", "", "")));
        assert_eq!(style("{ \"a\": 1, \"b\": 2 }\n"), Some(inline(": ", " ", " ")));
        // What is too long to be copied is not looked at.
        let long = " ".repeat(65);
        let text = format!("{{{long}\"a\":{long}1,{long}\"b\": [ 2,3]}}");
        assert_eq!(style(&text), Some(inline(": ", "", " ")));
        assert_eq!(style(&format!("[\n{long}1]")), Some(lines("  ")));
        assert_eq!(style("{}"), None);
        assert_eq!(style("12"), None);
    }
}
