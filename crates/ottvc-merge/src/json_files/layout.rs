//! Writes a merged JSON tree as the file it was merged into is written.
//!
//! The walk goes down the merged tree and ours together. Where ours says the same, its text is copied;
//! where it says something else in a container of the same kind, its members stay in their order with
//! the spaces around them, and those that are new go behind the neighbour they have in the file they
//! come from. What another file says is copied from there and indented anew; what no file says is
//! written in the style of ours. Whatever is copied says what the merged tree has at that place, so
//! the text reads as that tree, however it looks.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use ottvc_object::ObjectError;
use ottvc_object::codec::MAX_OBJECT_BYTES;
use ottvc_object::field_path::Segment;
use ottvc_object::value::{KeyedList, MAX_DEPTH, Value, is_tag};
use serde_json::{Map, Value as Json};

use super::Reading;
use super::style::{Style, modest, modest_indent};
use super::text::{Node, Part, Text};
use crate::schema::{Cursor, Order, Type};

/// A file, or a place in it, that the writer may copy from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen<'a> {
    pub(super) file: &'a Text,
    pub(super) style: &'a Style,
    pub(super) node: &'a Node,
    /// What the merged tree has where it says what stands here.
    pub(super) says: &'a Json,
    /// How far the line is indented on which it begins.
    pub(super) indent: &'a str,
}

impl<'a> Seen<'a> {
    fn text(&self) -> &'a str {
        self.file.slice(&self.node.span)
    }

    /// The same file, one part further down.
    fn below(&self, part: &'a Part, says: &'a Json) -> Self {
        let lead = self.file.slice(&part.lead);
        let indent = lead.rsplit_once('\n').map_or(self.indent, |(_, tail)| tail);
        Self { node: &part.value, says, indent, ..*self }
    }

    /// The members of an object by the keys they have in the merged tree, in the order of the text.
    fn members(&self) -> Vec<(String, &'a Part, Self)> {
        let Json::Object(says) = self.says else { return Vec::new() };
        // A language tag may be spelled in another letter case.
        let lower = OnceCell::new();
        let in_any_case = |name: &str| {
            let all = lower.get_or_init(|| {
                let all = says.iter().rev();
                all.map(|it| (it.0.to_ascii_lowercase(), it)).collect::<BTreeMap<_, _>>()
            });
            all.get(&name.to_ascii_lowercase()).copied()
        };
        let member = |part: &'a Part| {
            let (name, _) = part.name.as_ref()?;
            let (key, value) = says.get_key_value(name).or_else(|| in_any_case(name))?;
            Some((key.clone(), part, self.below(part, value)))
        };
        self.node.parts.iter().filter_map(member).collect()
    }
}

/// A part that is to be written.
#[derive(Debug)]
struct Row<'a> {
    json: &'a Json,
    key: Option<&'a str>,
    /// What ours and the other files have in its place.
    own: Option<(&'a Part, Seen<'a>)>,
    others: Vec<(&'a Part, Seen<'a>)>,
}

/// What is written so far, and how the rest is.
#[derive(Debug)]
pub(super) struct Layout<'a> {
    reading: &'a Reading,
    style: &'a Style,
    /// The same with all parts on one line.
    inline: &'a Style,
    out: Out,
}

/// What is written so far; past the limit its length alone.
#[derive(Debug)]
struct Out {
    text: String,
    len: u64,
}

impl Out {
    fn push_str(&mut self, text: &str) {
        self.len = self.len.saturating_add(text.len() as u64);
        if self.len <= MAX_OBJECT_BYTES as u64 {
            self.text.push_str(text);
        }
    }

    fn push(&mut self, character: char) {
        self.push_str(character.encode_utf8(&mut [0; 4]));
    }

    fn finish(self) -> Result<String, ObjectError> {
        match self.len <= MAX_OBJECT_BYTES as u64 {
            true => Ok(self.text),
            false => Err(ObjectError::TooLarge {
                what: "merged file",
                len: self.len,
                limit: MAX_OBJECT_BYTES as u64,
            }),
        }
    }
}

impl<'a> Layout<'a> {
    /// Writes `json` like `ours`, and what is new in it like the others.
    ///
    /// # Errors
    /// [`ObjectError::TooLarge`] past [`MAX_OBJECT_BYTES`], the `around` bytes of the file that stand before
    /// and after it counted.
    pub(super) fn write(
        reading: &Reading,
        style: &Style,
        json: &Json,
        ours: Option<Seen<'_>>,
        others: &[Seen<'_>],
        around: usize,
    ) -> Result<String, ObjectError> {
        let inline = Style { lines: false, ..style.clone() };
        let out = Out { text: String::new(), len: around as u64 };
        let mut layout = Layout { reading, style, inline: &inline, out };
        layout.place(json, ours, others, &reading.root(), "");
        layout.out.finish()
    }

    fn place(
        &mut self,
        json: &Json,
        ours: Option<Seen<'_>>,
        others: &[Seen<'_>],
        at: &Cursor<'_>,
        indent: &str,
    ) {
        if let Some(ours) = ours {
            if ours.says == json {
                return self.out.push_str(ours.text());
            }
            // A tagged value is an object in the text, whatever its plain form is.
            let alike = match (json, ours.says) {
                (Json::Object(_), Json::Object(_)) => {
                    ours.text().starts_with('{') && tag(json) == tag(ours.says)
                }
                (Json::Array(_), Json::Array(_)) => ours.text().starts_with('['),
                _ => false,
            };
            if alike && !ours.node.parts.is_empty() {
                let rows = self.rows(json, Some(ours), others, at);
                return self.like(ours, &rows, json.is_object(), at, indent);
            }
        }
        match others.iter().find(|other| other.says == json) {
            Some(other) => self.moved(*other, at, indent),
            None => self.fresh(json, others, at, indent),
        }
    }

    /// The parts of a container in the order in which they are written.
    fn rows<'r>(
        &self,
        json: &'r Json,
        ours: Option<Seen<'r>>,
        others: &[Seen<'r>],
        at: &Cursor<'_>,
    ) -> Vec<Row<'r>> {
        match json {
            Json::Object(members) => {
                let others: Vec<Seen<'r>> =
                    others.iter().filter(|other| tag(other.says) == tag(json)).copied().collect();
                object_rows(members, ours, &others)
            }
            Json::Array(elements) => self.array_rows(elements, ours, others, at),
            _ => Vec::new(),
        }
    }

    fn array_rows<'r>(
        &self,
        elements: &'r [Json],
        ours: Option<Seen<'r>>,
        others: &[Seen<'r>],
        at: &Cursor<'_>,
    ) -> Vec<Row<'r>> {
        let mut files: Vec<Elements<'r>> =
            ours.iter().chain(others).map(|seen| self.elements(seen, at)).collect();
        // Where order says nothing, that of ours is as good as any.
        let free = match self.list(elements, at) {
            Some(Value::Set(_)) => true,
            Some(Value::Keyed(_)) => matches!(at.order(), Order::None),
            _ => false,
        };
        let orders = match free {
            true => files.iter().map(|file| file.order.clone()).collect(),
            false => Vec::new(),
        };
        let names: Vec<String> = elements.iter().map(|json| identity(json, at)).collect();
        let row = |(json, name): (&'r Json, &String)| {
            let mut found = files.iter_mut().map(|file| file.take(name));
            let own = if ours.is_some() { found.next().flatten() } else { None };
            Row { json, key: None, own, others: found.flatten().collect() }
        };
        let rows = elements.iter().zip(&names).map(row).collect();
        arranged(rows, &names, &orders)
    }

    /// The elements of an array, each with what says which one it is.
    fn elements<'r>(&self, seen: &Seen<'r>, at: &Cursor<'_>) -> Elements<'r> {
        let mut elements = Elements::default();
        let Json::Array(says) = seen.says else { return elements };
        if !seen.text().starts_with('[') {
            return elements;
        }
        // Those of sets and of some lists are sorted where they were read, so each is found by what it
        // says by itself; of equal ones the first is the first.
        let mut by_name: BTreeMap<String, Vec<&Json>> = BTreeMap::new();
        for json in says.iter().rev() {
            by_name.entry(identity(json, at)).or_default().push(json);
        }
        for part in &seen.node.parts {
            let name = self.element(seen.file.slice(&part.value.span), at);
            if let Some(name) = name
                && let Some(json) = by_name.get_mut(&name).and_then(Vec::pop)
            {
                let places = elements.found.entry(name.clone()).or_default();
                places.push((part, seen.below(part, json)));
                elements.order.push(name);
            }
        }
        elements.found.values_mut().for_each(|places| places.reverse());
        elements
    }

    /// The set or keyed list that an array is, if it is one.
    fn list(&self, elements: &[Json], at: &Cursor<'_>) -> Option<Value> {
        if !matches!(at.kind(), Some(Type::Set | Type::Keyed)) {
            return None;
        }
        let value = self.reading.value(&Json::Array(elements.to_vec())).ok()?;
        let list = self.reading.converted(value, at);
        matches!(list, Value::Set(_) | Value::Keyed(_)).then_some(list)
    }

    /// What says which element of an array this text is.
    fn element(&self, text: &str, at: &Cursor<'_>) -> Option<String> {
        let json = serde_json::from_str(text).ok()?;
        let value = self.reading.value(&json).ok()?;
        let below = at.step(&segment(&value, at));
        Some(identity(&self.reading.json(&self.reading.converted(value, &below), &below), at))
    }

    /// Writes a container of ours whose parts are no longer all the same.
    fn like(
        &mut self,
        ours: Seen<'_>,
        rows: &[Row<'_>],
        is_object: bool,
        at: &Cursor<'_>,
        indent: &str,
    ) {
        let (open, close) = if is_object { ('{', '}') } else { ('[', ']') };
        self.out.push(open);
        let (Some(first), Some(last)) = (ours.node.parts.first(), ours.node.parts.last()) else {
            return self.out.push(close);
        };
        let text = |span| ours.file.slice(span);
        // A new part is spaced as the one before it, or the second, or as the style says.
        let second = ours.node.parts.get(1).unwrap_or(first);
        let mut model = Model::of(ours.file, second);
        for (place, row) in rows.iter().enumerate() {
            let own = row.own.as_ref().map(|(part, _)| *part);
            let lead = match own {
                _ if place == 0 => text(&first.lead),
                Some(own) if own.lead != first.lead => text(&own.lead),
                _ => match (model.indent, model.gap) {
                    (Some(indent), _) => {
                        self.out.push_str(self.style.newline);
                        indent
                    }
                    (None, Some(gap)) if model.part.lead != first.lead => gap,
                    _ => self.style.gap.as_str(),
                },
            };
            self.out.push_str(lead);
            let indent = indent_of(lead).or(model.indent).unwrap_or(indent);
            match (row.key, own.and_then(|own| own.name.as_ref().zip(Some(&own.value)))) {
                (None, _) => {}
                (Some(_), Some(((_, name), value))) => {
                    self.out.push_str(ours.file.slice(&(name.start..value.span.start)));
                }
                (Some(key), None) => match ours.file.colon(model.part).and_then(modest) {
                    Some(colon) => self.key(key, row, colon),
                    None => self.key(key, row, &self.style.colon),
                },
            }
            let style = self.style;
            if own.is_none() && !is_object && model.is_one_line() {
                // Elements of a list look alike.
                self.style = self.inline;
            }
            self.part(row, at, indent);
            self.style = style;
            let is_last = place + 1 == rows.len();
            if !is_last {
                // What stands before the bracket stays there.
                let trail = own.filter(|own| own.trail != last.trail).map(|own| text(&own.trail));
                self.out.push_str(trail.unwrap_or_default());
                self.out.push(',');
            }
            if let Some(own) = own.filter(|own| own.lead != first.lead) {
                model = Model::of(ours.file, own);
            }
        }
        if !rows.is_empty() {
            self.out.push_str(text(&last.trail));
        }
        self.out.push(close);
    }

    /// Writes a key as the file has it that the member comes from.
    fn key(&mut self, key: &str, row: &Row<'_>, colon: &str) {
        let spelled = row.others.iter().find_map(|(part, seen)| {
            let (name, span) = part.name.as_ref()?;
            (name == key).then(|| seen.file.slice(span))
        });
        match spelled {
            Some(spelled) => self.out.push_str(spelled),
            None => self.out.push_str(&Json::from(key).to_string()),
        }
        self.out.push_str(colon);
    }

    fn part(&mut self, row: &Row<'_>, at: &Cursor<'_>, indent: &str) {
        let below = match row.key {
            // What a tag holds is not where the schema would look for it.
            Some(key) if is_tag(key) => Cursor::root(None),
            Some(key) if at.kind() == Some(Type::Localized) => {
                at.step(&Segment::Locale(key.to_owned()))
            }
            Some(key) => at.step(&Segment::Key(self.reading.key(key).to_owned())),
            None if !at.has_schema() => at.clone(),
            None => match self.reading.value(row.json) {
                Ok(value) => at.step(&segment(&value, at)),
                Err(_) => Cursor::root(None),
            },
        };
        let others: Vec<Seen<'_>> = row.others.iter().map(|(_, seen)| *seen).collect();
        self.place(row.json, row.own.as_ref().map(|(_, seen)| *seen), &others, &below, indent);
    }

    /// Writes what stands in another file, indented as it must be here.
    fn moved(&mut self, other: Seen<'_>, at: &Cursor<'_>, indent: &str) {
        let (from, to) = (other.style, self.style);
        let text = other.text();
        let same_spaces = from.colon == to.colon && from.gap == to.gap && from.pad == to.pad;
        if other.node.parts.is_empty() {
            return self.out.push_str(text);
        }
        if from.lines != to.lines || !to.lines && !same_spaces {
            return self.fresh(other.says, &[other], at, indent);
        }
        for (place, line) in text.split('\n').enumerate() {
            let line = line.strip_suffix('\r').unwrap_or(line);
            if place == 0 {
                self.out.push_str(line);
                continue;
            }
            self.out.push_str(self.style.newline);
            let rest = line.trim_start_matches([' ', '\t']);
            if rest.is_empty() {
                continue;
            }
            let spaces = line.get(..line.len() - rest.len()).unwrap_or_default();
            self.out.push_str(indent);
            match spaces.strip_prefix(other.indent) {
                Some(spaces) if from.unit == to.unit || from.unit.is_empty() => {
                    self.out.push_str(spaces);
                }
                Some(spaces) => {
                    let levels = (spaces.len() / from.unit.len()).min(MAX_DEPTH);
                    self.out.push_str(&to.unit.repeat(levels));
                }
                None => {}
            }
            self.out.push_str(rest);
        }
    }

    /// Writes what no file has just so, in the style of ours.
    fn fresh(&mut self, json: &Json, others: &[Seen<'_>], at: &Cursor<'_>, indent: &str) {
        let rows = self.rows(json, None, others, at);
        let (open, close) = match json {
            Json::Object(_) => ('{', '}'),
            Json::Array(_) => ('[', ']'),
            scalar => return self.out.push_str(&scalar.to_string()),
        };
        self.out.push(open);
        let style = self.style;
        let deeper = format!("{indent}{}", style.unit);
        for (place, row) in rows.iter().enumerate() {
            if place > 0 {
                self.out.push(',');
            }
            match (style.lines, place) {
                (true, _) => self.line(&deeper),
                (false, 0) => self.out.push_str(&style.pad),
                (false, _) => self.out.push_str(&style.gap),
            }
            if let Some(key) = row.key {
                self.key(key, row, &style.colon);
            }
            self.part(row, at, &deeper);
        }
        match (rows.is_empty(), style.lines) {
            (true, _) => {}
            (_, true) => self.line(indent),
            (_, false) => self.out.push_str(&style.pad),
        }
        self.out.push(close);
    }

    fn line(&mut self, indent: &str) {
        self.out.push_str(self.style.newline);
        self.out.push_str(indent);
    }
}

/// A part of ours that new ones beside it look like.
struct Model<'a> {
    file: &'a Text,
    part: &'a Part,
    /// How the line is indented that it begins.
    indent: Option<&'a str>,
    /// What stands in front of it on the line of others.
    gap: Option<&'a str>,
    one_line: OnceCell<bool>,
}

impl<'a> Model<'a> {
    fn of(file: &'a Text, part: &'a Part) -> Self {
        let lead = file.slice(&part.lead);
        let gap = modest(lead).filter(|lead| !lead.contains('\n'));
        Self { file, part, indent: indent_of(lead), gap, one_line: OnceCell::new() }
    }

    fn is_one_line(&self) -> bool {
        *self.one_line.get_or_init(|| self.file.is_one_line(&self.part.value))
    }
}

/// How far the line is indented that begins in these spaces, if others may be so too.
fn indent_of(lead: &str) -> Option<&str> {
    lead.rsplit_once('\n').and_then(|(_, tail)| modest_indent(tail))
}

/// The elements of an array of a file.
#[derive(Debug, Default)]
struct Elements<'a> {
    /// By what says which one each is; of equal ones the last comes first.
    found: BTreeMap<String, Vec<(&'a Part, Seen<'a>)>>,
    /// The same in the order of the text.
    order: Vec<String>,
}

impl<'a> Elements<'a> {
    fn take(&mut self, name: &str) -> Option<(&'a Part, Seen<'a>)> {
        self.found.get_mut(name)?.pop()
    }
}

fn object_rows<'r>(
    members: &'r Map<String, Json>,
    ours: Option<Seen<'r>>,
    others: &[Seen<'r>],
) -> Vec<Row<'r>> {
    let files: Vec<Vec<(String, &Part, Seen<'r>)>> =
        ours.iter().chain(others).map(Seen::members).collect();
    let orders: Vec<Vec<String>> =
        files.iter().map(|file| file.iter().map(|(key, ..)| key.clone()).collect()).collect();
    let mut files: Vec<BTreeMap<String, (&Part, Seen<'r>)>> = files
        .into_iter()
        .map(|file| file.into_iter().map(|(key, part, seen)| (key, (part, seen))).collect())
        .collect();
    let names: Vec<String> = members.keys().cloned().collect();
    let row = |(key, json): (&'r String, &'r Json)| {
        let mut found = files.iter_mut().map(|file| file.remove(key));
        let own = if ours.is_some() { found.next().flatten() } else { None };
        Row { json, key: Some(key.as_str()), own, others: found.flatten().collect() }
    };
    let rows = members.iter().map(row).collect();
    arranged(rows, &names, &orders)
}

/// Puts rows in the order of the first file, those it lacks behind the neighbour they have in the next,
/// and those that no file has at the end.
fn arranged<'r>(rows: Vec<Row<'r>>, names: &[String], orders: &[Vec<String>]) -> Vec<Row<'r>> {
    let wanted: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    if orders.is_empty() || wanted.len() != rows.len() {
        return rows;
    }
    // A linked list: what comes first, and after each.
    let mut after: BTreeMap<Option<&str>, &str> = BTreeMap::new();
    let mut placed: BTreeSet<&str> = BTreeSet::new();
    for order in orders {
        let mut before = None;
        for name in order.iter().map(String::as_str).filter(|name| wanted.contains(name)) {
            if placed.insert(name)
                && let Some(next) = after.insert(before, name)
            {
                after.insert(Some(name), next);
            }
            before = Some(name);
        }
    }
    let mut by_name: BTreeMap<&str, Row<'r>> = names.iter().map(String::as_str).zip(rows).collect();
    let mut sorted = Vec::with_capacity(names.len());
    let mut next = after.get(&None);
    while let Some(name) = next {
        sorted.extend(by_name.remove(name));
        next = after.get(&Some(*name));
    }
    sorted.extend(by_name.into_values());
    sorted
}

/// The tag of what may be a tagged value: it says other things than a map of the same members.
fn tag(json: &Json) -> Option<&str> {
    let (key, _) = json.as_object().filter(|object| object.len() == 1)?.iter().next()?;
    is_tag(key).then_some(key)
}

/// What says which element of an array this is: the key of an item, all of any other.
fn identity(json: &Json, at: &Cursor<'_>) -> String {
    match (json, at.kind(), at.field()) {
        (Json::Object(item), Some(Type::Keyed), Some(field))
            if field.keys.iter().all(|key| item.contains_key(key)) =>
        {
            let parts = field.keys.iter().filter_map(|key| item.get(key)).cloned();
            Json::Array(parts.collect()).to_string()
        }
        _ => json.to_string(),
    }
}

/// The step from an array to this element.
fn segment(element: &Value, at: &Cursor<'_>) -> Segment {
    match (element, at.kind(), at.field()) {
        (Value::Map(item), Some(Type::Keyed), Some(field)) => {
            let list = KeyedList::empty(field.keys.clone());
            let found = list.and_then(|list| Ok(list.segment(&list.key_of(item)?)));
            found.unwrap_or(Segment::Index(0))
        }
        (element, Some(Type::Set), _) => Segment::Element(element.clone()),
        _ => Segment::Index(0),
    }
}
