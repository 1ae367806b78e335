//! Writing a document down with its conflicts between marks.

use std::collections::{BTreeMap, BTreeSet};

use ottvc_object::conflict::{Conflict, Term};
use ottvc_object::field_path::{FieldPath, Segment};
use ottvc_object::value::{
    Key, KeyedList, ListOrder, MOVE, RENAME, Value, escape_key, value_to_json,
};
use serde_json::{Map, Value as Json, json};

use super::{Block, PLACED, SideNames};
use crate::Schema;
use crate::placed::Placed;
use crate::schema::Cursor;
use crate::values::{GROUP, group_names, order_beginning, taken_order};

/// What begins a line between JSON: the first side, a base, a side, the end.
pub(super) const MARKS: [&str; 4] = ["<<<<<<<", "|||||||", "=======", ">>>>>>>"];
/// What begins a line that is left out.
pub(super) const NOTE: char = '#';

/// What to do, in notes at the top.
pub(super) fn head(count: usize) -> Vec<String> {
    let conflicts = if count == 1 { "1 conflict".into() } else { format!("{count} conflicts") };
    [
        &*format!("{NOTE} {conflicts}, each between {} and {}.", MARKS[0], MARKS[3]),
        "# To settle one, leave the lines of one side and delete the marks and the other lines.",
        "# One whose lines all stay is left in conflict. Lines that begin with # are left out.",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// Returns the lines of a document, and those of each of its conflicts by their first.
pub(super) fn lines(
    document: &Value,
    schema: Option<&Schema>,
    names: &SideNames,
) -> (Vec<String>, BTreeMap<String, Block>) {
    let path = FieldPath::root();
    let (lines, blocks, goals) = (Vec::new(), BTreeMap::new(), goals(document));
    let mut writer = Writer { names, schema, path, lines, blocks, goals };
    writer.value(0, &Place::Whole, document, "");
    (writer.lines, writer.blocks)
}

/// What stands in front of a value, and what a side of a conflict is there.
enum Place<'v> {
    /// Nothing: the document, or an element of an array.
    Whole,
    /// The key of a map or localized map.
    Member(&'v str),
    /// Nothing, and an item of this key.
    Item(&'v KeyedList, &'v Key),
    /// The word for the order of this list.
    Order(&'v KeyedList),
}

impl Place<'_> {
    fn prefix(&self) -> String {
        match self {
            Self::Whole | Self::Item(..) => String::new(),
            Self::Member(key) => format!("{}: ", Json::from(escape_key(key))),
            Self::Order(_) => "\"order\": ".into(),
        }
    }
}

struct Writer<'n> {
    names: &'n SideNames,
    /// By which values are written plainly, where what is read is converted to it again.
    schema: Option<&'n Schema>,
    path: FieldPath,
    lines: Vec<String>,
    blocks: BTreeMap<String, Block>,
    /// Lists that items moved apart may go to: they have to be read as lists, before any schema counts.
    goals: BTreeSet<FieldPath>,
}

/// The lists that a choice may put an item into.
fn goals(document: &Value) -> BTreeSet<FieldPath> {
    fn lists(placed: &Placed, found: &mut BTreeSet<FieldPath>) {
        found.extend(placed.list.clone());
        placed.with.iter().for_each(|one| lists(one, found));
    }
    let mut found = BTreeSet::new();
    for (_, conflict) in document.conflicts() {
        for term in conflict.terms.as_slice().iter().filter(|_| conflict.policy == MOVE) {
            if let Some(placed) = term.value().and_then(Placed::read) {
                lists(&placed, &mut found);
            }
        }
    }
    found.retain(|path| matches!(document.get(path), Some(Value::Keyed(_))));
    found
}

impl Writer<'_> {
    fn push(&mut self, depth: usize, line: impl std::fmt::Display) {
        self.lines.push(indented(depth, line));
    }

    /// Writes a value, its place in front of it and `comma` behind it.
    fn value<'v>(&mut self, depth: usize, place: &Place<'_>, value: &'v Value, comma: &str) {
        let prefix = place.prefix();
        match value {
            Value::Conflict(conflict) => self.conflict(depth, place, conflict, comma),
            value if !value.has_conflict() && !self.holds_goal() => {
                self.lines.extend(plain(depth, &prefix, &self.json(&self.path, value), comma));
            }
            Value::Array(elements) => {
                self.push(depth, format!("{prefix}["));
                let elements = (0..).zip(elements);
                self.below(
                    depth + 1,
                    elements.map(|(n, it)| (Segment::Index(n), Place::Whole, it)),
                );
                self.push(depth, format!("]{comma}"));
            }
            Value::Map(map) => {
                self.push(depth, format!("{prefix}{{"));
                let entry = |(key, it): (&'v String, &'v Value)| {
                    (Segment::Key(key.clone()), Place::Member(key), it)
                };
                self.below(depth + 1, map.iter().map(entry));
                self.push(depth, format!("}}{comma}"));
            }
            Value::Localized(map) if self.said(value) => {
                self.push(depth, format!("{prefix}{{"));
                let entry = |(tag, it): (&'v String, &'v Value)| {
                    (Segment::Locale(tag.clone()), Place::Member(tag), it)
                };
                self.below(depth + 1, map.iter().map(entry));
                self.push(depth, format!("}}{comma}"));
            }
            Value::Localized(map) => {
                self.push(depth, format!("{prefix}{{"));
                self.push(depth + 1, "\"$loc\": {");
                let entry = |(tag, it): (&'v String, &'v Value)| {
                    (Segment::Locale(tag.clone()), Place::Member(tag), it)
                };
                self.below(depth + 2, map.iter().map(entry));
                self.push(depth + 1, "}");
                self.push(depth, format!("}}{comma}"));
            }
            Value::Keyed(list)
                if self.said(value) && is_array(list, self.keys()) && !self.holds_goal() =>
            {
                self.push(depth, format!("{prefix}["));
                let item = |(key, item)| (list.segment(key), Place::Item(list, key), item);
                self.below(depth + 1, list.iter().map(item));
                self.push(depth, format!("]{comma}"));
            }
            Value::Keyed(list) => self.list(depth, &prefix, list, comma),
            // No other kind holds conflicts.
            _ => {}
        }
    }

    /// Whether a list that an item may go to is here or below.
    fn holds_goal(&self) -> bool {
        self.goals.iter().any(|goal| goal.starts_with(&self.path))
    }

    /// A value that stands at `path`, as JSON.
    fn json(&self, path: &FieldPath, value: &Value) -> Json {
        match self.schema {
            Some(schema) => schema.to_plain_at(path, value),
            None => value_to_json(value),
        }
    }

    /// Whether the schema says that what stands here is of the kind it is.
    fn said(&self, value: &Value) -> bool {
        let kind = self.schema.and_then(|schema| Cursor::at(schema, &self.path).kind());
        kind.is_some_and(|kind| kind.holds(value))
    }

    /// The fields that the schema says are the key of the list here.
    fn keys(&self) -> Option<&[String]> {
        Cursor::at(self.schema?, &self.path).field().map(|field| &*field.keys)
    }

    fn below<'v>(
        &mut self,
        depth: usize,
        entries: impl Iterator<Item = (Segment, Place<'v>, &'v Value)>,
    ) {
        let mut entries = entries.peekable();
        while let Some((step, place, value)) = entries.next() {
            self.path.0.push(step);
            self.value(depth, &place, value, if entries.peek().is_some() { "," } else { "" });
            self.path.0.pop();
        }
    }

    fn list(&mut self, depth: usize, prefix: &str, list: &KeyedList, comma: &str) {
        self.push(depth, format!("{prefix}{{"));
        self.push(depth + 1, "\"$kl\": {");
        self.push(depth + 2, "\"items\": [");
        let order = match list.order() {
            ListOrder::Known(_) => None,
            ListOrder::Conflict(conflict) => Some(conflict),
        };
        // While its order is in conflict, what is read of a list is not converted.
        let schema = if order.is_some() { self.schema.take() } else { self.schema };
        // As they stand, so do those come that whoever settles the order does not name.
        let standing = order_beginning(list, []);
        let keys = known(&standing).iter().filter_map(|key| list.items().get_key_value(key));
        let item = |(key, item)| (list.segment(key), Place::Item(list, key), item);
        self.below(depth + 3, keys.map(item));
        self.schema = schema;
        self.push(depth + 2, "],");
        let more = if order.is_some() { "," } else { "" };
        self.lines.extend(plain(depth + 2, "\"keys\": ", &Json::from(list.fields()), more));
        if let Some(conflict) = order {
            self.path.0.push(Segment::Order);
            self.conflict(depth + 2, &Place::Order(list), conflict, "");
            self.path.0.pop();
        }
        self.push(depth + 1, "}");
        self.push(depth, format!("}}{comma}"));
    }

    fn conflict(
        &mut self,
        depth: usize,
        place: &Place<'_>,
        conflict: &Conflict<Value>,
        comma: &str,
    ) {
        let terms = conflict.terms.as_slice();
        let [first, base, side, end] = MARKS;
        let (last, at) = (terms.len().saturating_sub(1), &self.path);
        let labels = self.names.labels(Some(conflict.kind));
        let labels = labels.map(|label| label.replace(char::is_control, " "));
        let word = |place: usize| match (labels.get(place), terms.len()) {
            (Some(label), 3) => label.clone(),
            _ if place.is_multiple_of(2) => format!("side {}", place / 2 + 1),
            _ => format!("base {}", place / 2 + 1),
        };
        let mut lines = Vec::new();
        for (number, term) in terms.iter().enumerate() {
            let held = match term {
                Term::Contested(_) => continue,
                Term::Absent => None,
                Term::Value(value) => Some(value),
            };
            lines.push(match number {
                0 => format!("{first} {} at {at}", word(0)),
                number if !number.is_multiple_of(2) => format!("{base} {}", word(number)),
                // The last one is named where it ends.
                number if number == last => side.to_owned(),
                number => format!("{side} {}", word(number)),
            });
            lines.extend(self.alternative(depth, place, conflict, held, comma));
        }
        // Nothing to choose from: all that a conflict of one side leaves, or one of contested sides.
        if lines.first().is_none_or(|line| !line.starts_with(first)) {
            lines.insert(0, format!("{first} {} at {at}", word(0)));
        }
        lines.push(format!("{end} {} at {at}", word(last)));
        let unsettled = format!("{}{}{comma}", place.prefix(), unsettled(place, conflict));
        if let Some(line) = lines.first() {
            self.blocks.insert(line.clone(), Block { lines: lines.clone(), unsettled });
        }
        self.lines.extend(lines);
    }

    /// The lines that stand in a conflict's place where this term of it is taken.
    fn alternative(
        &self,
        depth: usize,
        place: &Place<'_>,
        conflict: &Conflict<Value>,
        term: Option<&Value>,
        comma: &str,
    ) -> Vec<String> {
        match (place, term) {
            (Place::Order(list), term) => {
                let order = taken_order(list, conflict, term);
                let keys = known(&order);
                let line = |(at, key): (usize, &Key)| {
                    let comma = if at + 1 < keys.len() { "," } else { "" };
                    let key = Json::Array(key.parts().iter().map(value_to_json).collect());
                    indented(depth + 1, format!("{key}{comma}"))
                };
                let prefix = place.prefix();
                let mut lines = vec![indented(depth, format!("{prefix}["))];
                lines.extend(keys.iter().enumerate().map(line));
                lines.push(indented(depth, format!("]{comma}")));
                lines
            }
            (_, None) => Vec::new(),
            (Place::Item(..), Some(placed)) if conflict.policy == MOVE => {
                let json = json!({ PLACED: value_to_json(placed) });
                plain(depth, &place.prefix(), &json, comma)
            }
            // Entries that stand under keys of their own.
            (Place::Member(key), Some(Value::Map(map)))
                if is_several(key, conflict, map.keys()) =>
            {
                let holder = self.path.parent().unwrap_or_default();
                let lines = map.iter().enumerate().flat_map(|(at, (key, value))| {
                    let comma = if at + 1 < map.len() { "," } else { comma };
                    let json = self.json(&holder.key(key.as_str()), value);
                    plain(depth, &Place::Member(key).prefix(), &json, comma)
                });
                lines.collect()
            }
            (place, Some(value)) => {
                plain(depth, &place.prefix(), &self.json(&self.path, value), comma)
            }
        }
    }
}

/// The keys of an order that is settled.
fn known(order: &ListOrder) -> &[Key] {
    match order {
        ListOrder::Known(keys) => keys,
        ListOrder::Conflict(_) => &[],
    }
}

/// Whether a list can be read back from an array, where these fields are said to be the key: it has nothing
/// to tell but its items.
fn is_array(list: &KeyedList, keys: Option<&[String]>) -> bool {
    matches!(list.order(), ListOrder::Known(_))
        && list.items().values().all(|item| matches!(item, Value::Map(_)))
        && keys == Some(list.fields())
}

/// Whether a term under `key` is not what stands there, but a map of what stands beside it.
fn is_several<'k>(
    key: &str,
    conflict: &Conflict<Value>,
    mut keys: impl Iterator<Item = &'k String>,
) -> bool {
    match &*conflict.policy {
        RENAME => true,
        GROUP => group_names(key).is_some_and(|names| keys.all(|key| names.contains(&&**key))),
        _ => false,
    }
}

/// A conflict as JSON in one line; that of an item has its key beside it.
fn unsettled(place: &Place<'_>, conflict: &Conflict<Value>) -> Json {
    let mut json = value_to_json(&Value::Conflict(Box::new(conflict.clone())));
    if let (Place::Item(list, key), Json::Object(object)) = (place, &mut json) {
        let parts = list.fields().iter().zip(key.parts());
        let key: Map<String, Json> =
            parts.map(|(field, part)| (escape_key(field), value_to_json(part))).collect();
        object.insert("$key".into(), json!(key));
    }
    json
}

/// The lines of a value as JSON.
fn plain(depth: usize, prefix: &str, json: &Json, comma: &str) -> Vec<String> {
    let text = format!("{prefix}{json:#}{comma}");
    text.lines().map(|line| indented(depth, line)).collect()
}

fn indented(depth: usize, line: impl std::fmt::Display) -> String {
    format!("{:1$}{line}", "", 2 * depth)
}
