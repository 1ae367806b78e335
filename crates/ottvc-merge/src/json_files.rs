//! JSON files of any program, merged as values and written as the file they were merged into.
//!
//! Whatever is JSON is read: an array or a scalar for a whole file, keys that begin with `$` (one side
//! that cannot be read with tags alone has all sides read so), numbers as long as a decimal may be.
//! What is written says exactly what was merged, in the layout of ours: its order of members, its
//! indents and line ends, its spelling of whatever stayed as it was (`docs/merge.md`, section 18).

mod keys;
mod layout;
mod style;
mod text;

use std::sync::Arc;

use ottvc_object::conflict::Terms;
use ottvc_object::field_path::FieldPath;
use ottvc_object::value::{Value, value_from_json};
use ottvc_object::{ObjectError, RepoPath};
use serde_json::Value as Json;

use crate::schema::{Cursor, convert, place, plain};
use crate::{MergeError, MergeOptions, Merged, Schema, merge_values};
use layout::{Layout, Seen};
use style::Style;
use text::Text;

/// The files of a merge, by term: the first is ours, the last theirs.
#[derive(Debug)]
pub struct JsonFiles {
    files: Vec<Option<File>>,
    reading: Reading,
}

#[derive(Debug)]
struct File {
    bytes: Vec<u8>,
    text: Text,
    value: Value,
}

/// How JSON is read into values and written again.
#[derive(Debug, Default)]
struct Reading {
    schema: Option<Arc<Schema>>,
    /// Whether keys that begin with `$` and are no tags are keys all the same.
    foreign_keys: bool,
    /// Whether long decimals keep their tag.
    tags_decimals: bool,
}

impl Reading {
    fn root(&self) -> Cursor<'_> {
        Cursor::root(self.schema.as_deref())
    }

    fn value(&self, json: &Json) -> Result<Value, ObjectError> {
        if self.foreign_keys {
            value_from_json(&keys::escaped(json))
        } else {
            value_from_json(json)
        }
    }

    fn converted(&self, value: Value, at: &Cursor<'_>) -> Value {
        if at.has_schema() { convert(value, at) } else { value }
    }

    fn json(&self, value: &Value, at: &Cursor<'_>) -> Json {
        let json = plain(value, at);
        let json = if self.tags_decimals { json } else { keys::plain_numbers(json) };
        if self.foreign_keys { keys::plain(json) } else { json }
    }

    /// The map key that a written key stands for.
    fn key<'k>(&self, written: &'k str) -> &'k str {
        match written.strip_prefix('$') {
            Some(rest) if rest.starts_with('$') && !self.foreign_keys => rest,
            _ => written,
        }
    }

    fn read(&self, json: &Json) -> Result<Value, ObjectError> {
        let value = self.converted(self.value(json)?, &self.root());
        value.check()?;
        Ok(value)
    }
}

impl JsonFiles {
    /// Reads the files of a row of terms.
    ///
    /// # Errors
    /// [`ObjectError::BadJson`] and [`ObjectError::BadValue`], with the place of the file in the row.
    pub fn read(
        terms: Vec<Option<Vec<u8>>>,
        schema: Option<Arc<Schema>>,
    ) -> Result<Self, (usize, ObjectError)> {
        let mut texts = Vec::with_capacity(terms.len());
        for (place, bytes) in terms.into_iter().enumerate() {
            let text = bytes.map(|bytes| Ok((Text::read(&bytes)?, bytes))).transpose();
            texts.push(text.map_err(|error| (place, error))?);
        }
        let known = || texts.iter().flatten().map(|(text, _)| text);
        let tags_decimals = known().any(|text| keys::tags_decimals(&text.json));
        let tagged = Reading { schema, foreign_keys: false, tags_decimals };
        let reading = if known().all(|text| tagged.value(&text.json).is_ok()) {
            tagged
        } else {
            Reading { foreign_keys: true, ..tagged }
        };
        let mut files = Vec::with_capacity(texts.len());
        for (place, text) in texts.into_iter().enumerate() {
            let file = text.map(|(text, bytes)| {
                let value = reading.read(&text.json)?;
                Ok(File { bytes, text, value })
            });
            files.push(file.transpose().map_err(|error| (place, error))?);
        }
        Ok(Self { files, reading })
    }

    /// Merges the files.
    ///
    /// # Errors
    /// Those of [`merge_values`].
    pub fn merge(&self, options: &MergeOptions, path: &RepoPath) -> Result<Merged, MergeError> {
        let values = self.files.iter().map(|file| file.as_ref().map(|file| file.value.clone()));
        let options = MergeOptions { schema: self.reading.schema.clone(), ..options.clone() };
        merge_values(&Terms::new(values.collect())?, &options, path)
    }

    /// Reads JSON as these files are read.
    ///
    /// # Errors
    /// [`ObjectError::BadValue`] for JSON that is no value.
    pub fn from_json(&self, json: &Json) -> Result<Value, ObjectError> {
        self.reading.read(json)
    }

    /// Returns a merged value as the JSON that these files would have for it.
    pub fn to_json(&self, merged: &Value) -> Json {
        self.reading.json(merged, &self.reading.root())
    }

    /// Returns what stands, or might stand, at `path` as such JSON.
    pub fn to_json_at(&self, path: &FieldPath, value: &Value) -> Json {
        self.reading.json(value, &place(self.reading.schema.as_deref(), path))
    }

    /// Writes a merged value in the layout of ours; nothing for none.
    ///
    /// Where ours says just that, it is ours to the byte. Where ours is the base to the byte and theirs
    /// says just that, it is theirs: a side that changed nothing has no say about the layout either.
    ///
    /// # Errors
    /// [`ObjectError::TooLarge`] for a text longer than a document may be.
    pub fn write(&self, merged: Option<&Value>) -> Result<Vec<u8>, ObjectError> {
        let Some(merged) = merged else { return Ok(Vec::new()) };
        let json = self.to_json(merged);
        if let [Some(ours), Some(base), Some(theirs)] = self.files.as_slice()
            && ours.bytes == base.bytes
            && self.to_json(&theirs.value) == json
        {
            return Ok(theirs.bytes.clone());
        }
        // Theirs comes right after ours, whatever else there is.
        let (first, rest) = match self.files.split_first() {
            Some((first, rest)) => (first.as_ref(), rest.iter().rev().flatten()),
            None => (None, [].iter().rev().flatten()),
        };
        let known: Vec<(&File, Option<Style>, Json)> = first
            .into_iter()
            .chain(rest)
            .map(|file| (file, Style::of(&file.text), self.to_json(&file.value)))
            .collect();
        let style = known.iter().find_map(|(_, style, _)| style.clone());
        let style = style.unwrap_or_else(Style::ours);
        let seen: Vec<Seen<'_>> = known
            .iter()
            .map(|(file, own, says)| Seen {
                file: &file.text,
                style: own.as_ref().unwrap_or(&style),
                node: &file.text.root,
                says,
                indent: "",
            })
            .collect();
        let (ours, others) = match seen.split_first() {
            Some((ours, others)) if first.is_some() => (Some(*ours), others),
            _ => (None, seen.as_slice()),
        };
        let ([mark, spaces], after) = match known.first() {
            Some((like, ..)) => (like.text.before(), like.text.after()),
            None => (["", ""], "\n"),
        };
        let around = mark.len() + spaces.len() + after.len();
        let text = Layout::write(&self.reading, &style, &json, ours, others, around)?;
        Ok([mark, spaces, &text, after].concat().into_bytes())
    }
}
