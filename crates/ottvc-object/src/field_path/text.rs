//! How field paths are written and read.

use std::fmt;
use std::iter::Peekable;
use std::str::{Chars, FromStr};

use crate::error::ObjectError;
use crate::field_path::{FieldPath, Segment};
use crate::value::{AssetRef, MAX_DEPTH, Value, canonical_tag, is_number, parse_number};

/// What opens a segment that is no map key, or a value that is no string.
const MARKS: &str = "@[{#$\"";
/// What ends something inside a segment of its kind, and so is escaped there.
const IN_KEY: &str = "/";
const IN_ITEM: &str = "/=,]";
const IN_SET: &str = "/,}";

impl fmt::Display for FieldPath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return out.write_str("/");
        }
        self.0.iter().try_for_each(|segment| write!(out, "/{segment}"))
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => write_key(out, key, IN_KEY),
            Self::Locale(tag) => write!(out, "@{tag}"),
            Self::Item(parts) => {
                for (index, (field, value)) in parts.iter().enumerate() {
                    out.write_str(if index == 0 { "[" } else { "," })?;
                    write_key(out, field, IN_ITEM)?;
                    out.write_str("=")?;
                    write_value(out, value, IN_ITEM)?;
                }
                out.write_str("]")
            }
            Self::Element(value) => {
                out.write_str("{")?;
                write_value(out, value, IN_SET)?;
                out.write_str("}")
            }
            Self::Index(index) => write!(out, "#{index}"),
            Self::Order => out.write_str("$order"),
        }
    }
}

fn write_key(out: &mut fmt::Formatter<'_>, key: &str, ends: &str) -> fmt::Result {
    if key.is_empty() { out.write_str("\"\"") } else { write_escaped(out, key, ends, true) }
}

/// Writes text so that it is read as that text; `first` escapes a mark at its beginning.
fn write_escaped(out: &mut fmt::Formatter<'_>, text: &str, ends: &str, first: bool) -> fmt::Result {
    for (index, c) in text.chars().enumerate() {
        if c.is_control() {
            write!(out, "\\u{{{:x}}}", u32::from(c))?;
        } else if c == '\\' || ends.contains(c) || (first && index == 0 && MARKS.contains(c)) {
            write!(out, "\\{c}")?;
        } else {
            write!(out, "{c}")?;
        }
    }
    Ok(())
}

/// Whether a string would be read as something else if it stood bare.
fn needs_quotes(text: &str) -> bool {
    matches!(text, "" | "null" | "true" | "false") || is_number(text)
}

fn write_value(out: &mut fmt::Formatter<'_>, value: &Value, ends: &str) -> fmt::Result {
    match value {
        Value::Null => out.write_str("null"),
        Value::Bool(flag) => write!(out, "{flag}"),
        Value::Int(number) => write!(out, "{number}"),
        Value::Decimal(number) => write!(out, "{number}"),
        Value::String(text) if needs_quotes(text) => write!(out, "\"{text}\""),
        Value::String(text) => write_escaped(out, text, ends, true),
        Value::Text(text) => {
            out.write_str("$text:")?;
            write_escaped(out, text, ends, false)
        }
        Value::Timestamp(stamp) => write!(out, "$ts:{stamp}"),
        Value::Asset(asset) => {
            write!(out, "$asset:{}:{}:", asset.digest, asset.size)?;
            write_escaped(out, &asset.media_type, ends, false)?;
            if let Some(role) = &asset.role {
                out.write_str(":")?;
                write_escaped(out, role, ends, false)?;
            }
            Ok(())
        }
        // A path that breaks its rules is written all the same, for the message that says so.
        container => write!(out, "$bad:{}", container.kind_word()),
    }
}

impl FromStr for FieldPath {
    type Err = ObjectError;
    /// Reads a path; the slash in front is optional, `/` and the empty text are the root.
    fn from_str(text: &str) -> Result<Self, ObjectError> {
        let bad = |why| ObjectError::BadField { field: text.to_owned(), why };
        let mut reader = Reader { chars: text.chars().peekable() };
        let mut path = Self::default();
        reader.take('/');
        if reader.chars.peek().is_none() {
            return Ok(path);
        }
        loop {
            path.0.push(reader.segment().map_err(bad)?);
            if path.0.len() > MAX_DEPTH {
                return Err(bad("a field path has over 64 steps"));
            }
            if !reader.take('/') {
                break;
            }
        }
        if reader.chars.peek().is_some() {
            return Err(bad("a `/` must follow each step"));
        }
        path.check().map_err(bad)?;
        Ok(path)
    }
}

/// Text up to some end, with what was known before its escapes were undone.
struct Token {
    text: String,
    /// Stood in double quotes.
    quoted: bool,
    /// The first character was escaped.
    escaped: bool,
}

struct Reader<'a> {
    chars: Peekable<Chars<'a>>,
}

type Read<T> = Result<T, &'static str>;

impl Reader<'_> {
    fn take(&mut self, c: char) -> bool {
        self.chars.next_if_eq(&c).is_some()
    }

    fn segment(&mut self) -> Read<Segment> {
        match self.chars.peek() {
            Some('@') => {
                self.chars.next();
                let tag = self.token(IN_KEY)?.text;
                canonical_tag(&tag)
                    .map(Segment::Locale)
                    .ok_or("a locale is a BCP 47 tag, such as `@fr-FR`")
            }
            Some('#') => {
                self.chars.next();
                let index = self.token(IN_KEY)?.text;
                let plain = is_number(&index) && !index.starts_with('-');
                let index = if plain { index.parse().ok() } else { None };
                index.map(Segment::Index).ok_or("a position is `#` and a whole number")
            }
            Some('$') => match self.token(IN_KEY)?.text.as_str() {
                "$order" => Ok(Segment::Order),
                _ => Err("of the steps with `$` only `$order` exists; a key is written `\\$key`"),
            },
            Some('[') => self.item(),
            Some('{') => {
                self.chars.next();
                let element = self.token(IN_SET)?;
                if !self.take('}') {
                    return Err("a `{` is not closed, or an element holds a bare `/` or `,`");
                }
                element.value().map(Segment::Element)
            }
            _ => self.key(IN_KEY).map(Segment::Key),
        }
    }

    fn item(&mut self) -> Read<Segment> {
        let mut parts: Vec<(String, Value)> = Vec::new();
        self.chars.next();
        loop {
            let field = self.key(IN_ITEM)?;
            if !self.take('=') {
                return Err("an item is named `[FIELD=VALUE,...]`");
            }
            if parts.iter().any(|(earlier, _)| *earlier == field) {
                return Err("an item names a key field twice");
            }
            parts.push((field, self.token(IN_ITEM)?.value()?));
            if self.take(']') {
                return Ok(Segment::Item(parts));
            }
            if !self.take(',') {
                return Err("a `[` is not closed");
            }
        }
    }

    fn key(&mut self, ends: &str) -> Read<String> {
        let token = self.token(ends)?;
        if token.text.is_empty() && !token.quoted {
            return Err("a step is empty; the empty key is written `\"\"`");
        }
        Ok(token.text)
    }

    /// Reads to the first bare one of `ends`, or the end.
    fn token(&mut self, ends: &str) -> Read<Token> {
        let mut token = Token { text: String::new(), quoted: false, escaped: false };
        token.quoted = self.take('"');
        token.escaped = self.chars.peek() == Some(&'\\');
        loop {
            let stop = |c: &char| if token.quoted { *c == '"' } else { ends.contains(*c) };
            match self.chars.next_if(|c| !stop(c)) {
                Some('\\') => token.text.push(self.escape()?),
                Some(c) => token.text.push(c),
                None if token.quoted && !self.take('"') => return Err("a `\"` is not closed"),
                None => return Ok(token),
            }
        }
    }

    /// Reads what follows a backslash.
    fn escape(&mut self) -> Read<char> {
        const UNKNOWN: &str = "after a backslash stands a punctuation mark or `u{HEX}`";
        match self.chars.next() {
            Some(mark) if mark.is_ascii_punctuation() => Ok(mark),
            Some('u') if self.take('{') => {
                let mut hex = String::new();
                while let Some(digit) = self.chars.next_if(char::is_ascii_hexdigit) {
                    hex.push(digit);
                }
                let code = u32::from_str_radix(&hex, 16).ok().filter(|_| self.take('}'));
                code.and_then(char::from_u32).ok_or(UNKNOWN)
            }
            _ => Err(UNKNOWN),
        }
    }
}

impl Token {
    /// Reads the value that names an item or element.
    fn value(self) -> Read<Value> {
        if self.quoted || self.escaped {
            return Ok(Value::String(self.text));
        }
        if let Some(tagged) = self.text.strip_prefix('$') {
            return tagged_value(tagged)
                .ok_or("a value with `$` is `$text:...`, `$ts:...` or `$asset:...`");
        }
        match self.text.as_str() {
            "" => Err("a value is empty; the empty string is written `\"\"`"),
            "null" => Ok(Value::Null),
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            text if is_number(text) => parse_number(text),
            _ => Ok(Value::String(self.text)),
        }
    }
}

fn tagged_value(tagged: &str) -> Option<Value> {
    let (tag, content) = tagged.split_once(':')?;
    match tag {
        "text" => Some(Value::text(content)),
        "ts" => content.parse().ok().map(Value::Timestamp),
        "asset" => {
            let mut parts = content.splitn(4, ':');
            let asset = AssetRef {
                digest: parts.next()?.parse().ok()?,
                size: parts.next()?.parse().ok()?,
                media_type: parts.next()?.to_owned(),
                role: parts.next().map(str::to_owned),
            };
            asset.fault().is_none().then_some(Value::Asset(asset))
        }
        _ => None,
    }
}
