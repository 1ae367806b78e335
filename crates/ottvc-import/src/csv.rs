//! CSV into a source tree: the header names the cells, each row is an element, an empty cell is none.

use std::collections::BTreeSet;

use crate::ImportError;
use crate::tree::{Budget, Content, Element, MAX_DEPTH, MAX_NAME, check_size};

/// The name of a row.
pub(crate) const ROW: &str = "row";

/// Reads rows under a header.
///
/// # Errors
/// [`ImportError::Malformed`] with the line: no header, a name given twice, a row of another length, a
/// quote that is never closed.
pub(crate) fn parse(bytes: &[u8], delimiter: u8) -> Result<Element, ImportError> {
    check_size(bytes)?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let malformed = |line: u64, why: String| ImportError::Malformed { syntax: "CSV", line, why };
    if let Some(line) = never_closed(bytes, delimiter) {
        // Whoever sent it may have been cut off.
        return Err(malformed(line, "a quote is opened here and never closed".to_owned()));
    }
    let mut reader = csv::ReaderBuilder::new();
    let mut reader =
        reader.delimiter(delimiter).has_headers(false).flexible(true).from_reader(bytes);
    let mut budget = Budget::of_depth(MAX_DEPTH);
    let mut header: Option<Vec<String>> = None;
    let mut root = Element::new("csv", 1);
    for record in reader.records() {
        let record = record.map_err(|error| {
            let line = error.position().map_or(0, csv::Position::line);
            let why = match error.kind() {
                csv::ErrorKind::Utf8 { .. } => "it is not UTF-8, which it must be".to_owned(),
                _ => error.to_string(),
            };
            malformed(line, why)
        })?;
        let line = record.position().map_or(0, csv::Position::line);
        let Some(names) = &header else {
            budget.take(record.len(), 1, line)?;
            let names: Vec<String> = record.iter().map(|name| name.trim().to_owned()).collect();
            let mut seen = BTreeSet::new();
            let mut numbered = names.iter().enumerate();
            let twice = numbered.find(|(_, name)| name.is_empty() || !seen.insert(name.as_str()));
            if let Some((at, name)) = twice {
                let why = match name.as_str() {
                    "" => format!("column {} has no name", at + 1),
                    name => format!("two columns are called `{name}`"),
                };
                return Err(malformed(line, why));
            }
            if names.iter().any(|name| name.len() > MAX_NAME) {
                return Err(malformed(line, format!("a name has over {MAX_NAME} bytes")));
            }
            header = Some(names);
            continue;
        };
        if record.len() != names.len() {
            let (cells, columns) = (record.len(), names.len());
            return Err(malformed(line, format!("{cells} cells, and the header has {columns}")));
        }
        let mut row = Element::new(ROW, line);
        for (name, cell) in names.iter().zip(record.iter()) {
            if !cell.trim().is_empty() {
                let mut element = Element::new(name.clone(), line);
                element.content.push(Content::Text(cell.to_owned()));
                row.content.push(Content::Element(element));
            }
        }
        budget.take(1 + row.content.len(), 2, line)?;
        root.content.push(Content::Element(row));
    }
    match header {
        Some(_) => Ok(root),
        None => Err(malformed(1, "there is no header".to_owned())),
    }
}

/// The line of a quote that begins a cell and has no end.
fn never_closed(bytes: &[u8], delimiter: u8) -> Option<u64> {
    let (mut line, mut opened, mut at_start) = (1, None, true);
    let mut rest = bytes.iter().copied().peekable();
    while let Some(byte) = rest.next() {
        if byte == b'\n' {
            line += 1;
        }
        if opened.is_some() {
            // Two quotes are one that is meant.
            if byte == b'"' && rest.next_if_eq(&b'"').is_none() {
                opened = None;
            }
            continue;
        }
        if byte == b'"' && at_start {
            opened = Some(line);
        }
        at_start = byte == delimiter || byte == b'\n' || byte == b'\r';
    }
    opened
}

#[cfg(test)]
mod tests {
    use super::never_closed;

    #[test]
    fn a_quote_without_an_end_is_found() {
        for text in ["a,b\r\n1,\"x\r\n", "a\n\"", "a\n\"x\"\"\n"] {
            assert_eq!(never_closed(text.as_bytes(), b','), Some(2), "{text:?}");
        }
        for text in ["a,b\n1,\"x\n\"\n", "a\n5\" disc\n", "a\n\"\"\"\"\n", "\"a\"\n\"x\"y\n", ""] {
            assert_eq!(never_closed(text.as_bytes(), b','), None, "{text:?}");
        }
    }
}
