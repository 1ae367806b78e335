//! A document with conflicts as a text that a person settles them in: JSON, in which each conflict
//! stands as the lines of its sides between marks, as version control marks conflicts in text.
//!
//! ```text
//! {
//! <<<<<<< ours (main) at /rating
//!   "rating": "18",
//! ||||||| base
//!   "rating": "12",
//! =======
//!   "rating": "16",
//! >>>>>>> theirs (de) at /rating
//!   "year": 2026
//! }
//! ```
//!
//! Who leaves the lines of one side and deletes the marks and the rest has taken that side, as
//! [`resolve_in`] takes it: that a side has nothing there are no lines; fields of a group and
//! entries with keys of their own stand as they will; an order is a member `order` of its list; an item
//! moved apart is a `$placed` that says where it goes. Marks
//! begin lines as JSON never does, so no value can be taken for one. A base that is in conflict itself
//! cannot be taken and has no lines.

mod write;

use std::collections::BTreeMap;

use ottvc_object::ConflictKind;
use ottvc_object::conflict::Conflict;
use ottvc_object::field_path::FieldPath;
use ottvc_object::value::{Document, Value, escape_key, parse_json, value_from_json};
use serde_json::{Map, Value as Json, json};

use crate::placed::{self, ID};
use crate::resolve::{Choice, resolve_in};
use crate::{MergeError, Schema};

/// The policy of what stands for an order that a person chose, until it is put in place.
const CHOSEN: &str = "chosen order";
/// The policy of what stands for an item with the place that a person chose, until it goes there.
const CHOSEN_PLACE: &str = "chosen place";
/// The only member of what stands for such an item in the text.
const PLACED: &str = "$placed";

/// What the sides are called besides `ours` and `theirs`, where that is known.
#[derive(Clone, Debug, Default)]
pub struct SideNames {
    /// The edition or branch merged into.
    pub ours: Option<String>,
    /// The edition, branch or revision merged from.
    pub theirs: Option<String>,
}

impl SideNames {
    /// What ours, the base and theirs of a conflict are called: where a parent changed what an edition has,
    /// those are the edition and its parent.
    pub fn labels(&self, kind: Option<ConflictKind>) -> [String; 3] {
        let named = |side: &str, name: Option<&str>| match name {
            Some(name) => format!("{side} ({name})"),
            None => side.to_owned(),
        };
        let (ours, base, theirs) = match kind {
            Some(ConflictKind::Shadow | ConflictKind::OrphanOverride) => {
                (Some("the edition"), Some("its parent before"), Some("its parent"))
            }
            _ => (self.ours.as_deref(), None, self.theirs.as_deref()),
        };
        [named("ours", ours), named("base", base), named("theirs", theirs)]
    }
}

/// A document as such a text, and what is needed to read it back.
#[derive(Clone, Debug)]
pub struct Marked {
    text: String,
    blocks: BTreeMap<String, Block>,
    /// The conflict is over the whole document, so it may be settled by nothing.
    whole: bool,
}

/// The lines of one conflict.
#[derive(Clone, Debug)]
struct Block {
    /// From mark to mark, both included.
    lines: Vec<String>,
    /// The conflict in one line of JSON, as it stands where nobody settled it.
    unsettled: String,
}

impl Marked {
    /// Writes `document` down, under a schema as plain JSON that [`Schema::convert`] understands.
    pub fn new(document: &Value, schema: Option<&Schema>, names: &SideNames) -> Self {
        let (lines, blocks) = write::lines(document, schema, names);
        let head = match blocks.len() {
            0 => Vec::new(),
            count => write::head(count),
        };
        let text = head.iter().chain(&lines).fold(String::new(), |text, line| text + line + "\n");
        Self { text, blocks, whole: matches!(document, Value::Conflict(_)) }
    }

    /// The text to be edited.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Reads the text as somebody left it. A conflict whose lines are all as they were is left in
    /// conflict; commas before a closing bracket are let pass. `None` where a conflict over the whole
    /// document was settled by nothing.
    ///
    /// # Errors
    /// [`MergeError::HalfSettled`] with the line, where marks are left but not all lines of their
    /// conflict; [`MergeError::Object`] for what is no document, syntax errors with their line.
    pub fn read(&self, text: &str) -> Result<Option<Document>, MergeError> {
        let json = without_last_commas(&self.unmarked(text)?);
        if self.whole && json.trim().is_empty() {
            return Ok(None);
        }
        let mut json = parse_json(json.as_bytes())?;
        hold_choices(&mut json);
        let mut value = value_from_json(&json)?;
        let chosen = |value: &Value, policy: &str| -> Vec<(FieldPath, Option<Value>)> {
            let first = |it: &Conflict<Value>| it.terms.adds().next()?.value().cloned();
            let conflicts = value.conflicts().into_iter().filter(|(_, it)| it.policy == policy);
            conflicts.map(|(path, it)| (path, first(it))).collect()
        };
        // Orders first, as items go to places in them.
        for (order, _) in chosen(&value, CHOSEN) {
            if !resolve_in(&mut value, &order, &Choice::Ours)? {
                return Ok(None);
            }
        }
        loop {
            let mut refused = None;
            let mut settled = false;
            // One may go into another, which then has to go first, and which takes it along.
            for (path, item) in chosen(&value, CHOSEN_PLACE) {
                let waits =
                    |it: &Value| matches!(it, Value::Conflict(it) if it.policy == CHOSEN_PLACE);
                if !value.get(&path).is_some_and(waits) {
                    continue;
                }
                match placed::settle(&value, &path, item.as_ref()) {
                    Ok(now) => (value, settled) = (now, true),
                    Err(error) => refused = refused.or(Some(error)),
                }
            }
            match (settled, refused) {
                (true, _) => {}
                (false, Some(refused)) => return Err(refused),
                (false, None) => break,
            }
        }
        Ok(Some(Document::new(value)?))
    }

    /// Puts each conflict that was left alone in one line and takes notes out; every other line keeps
    /// its number.
    fn unmarked(&self, text: &str) -> Result<String, MergeError> {
        let lines: Vec<&str> = text.strip_prefix('\u{feff}').unwrap_or(text).lines().collect();
        let mut json: Vec<&str> = Vec::with_capacity(lines.len());
        while let Some(line) = lines.get(json.len()).map(|line| line.trim()) {
            if line.starts_with(write::NOTE) {
                json.push("");
            } else if !write::MARKS.iter().any(|mark| line.starts_with(mark)) {
                json.push(lines.get(json.len()).copied().unwrap_or_default());
            } else {
                let block = self.blocks.get(line).filter(|block| {
                    let there = lines.iter().skip(json.len()).map(|line| line.trim());
                    let mut there = there.take(block.lines.len());
                    block.lines.iter().all(|line| there.next() == Some(line.trim()))
                });
                let half = || MergeError::HalfSettled { line: json.len() + 1, text: line.into() };
                let block = block.ok_or_else(half)?;
                json.push(&block.unsettled);
                json.extend(std::iter::repeat_n("", block.lines.len().saturating_sub(1)));
            }
        }
        Ok(json.join("\n"))
    }
}

/// Puts a space in place of each comma that nothing follows: the lines of a side that were last may be
/// gone.
fn without_last_commas(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in json.char_indices() {
        let last = c == ',' && !quoted && {
            let rest = json.get(at + 1..).unwrap_or_default();
            rest.trim_start().starts_with(['}', ']'])
        };
        text.push(if last { ' ' } else { c });
        quoted ^= c == '"' && !escaped;
        escaped = quoted && c == '\\' && !escaped;
    }
    text
}

/// Makes each order that is an array of keys, and each item with its place, one that a value can hold: a
/// conflict of its own, to be settled by it.
fn hold_choices(json: &mut Json) {
    let held = |kind: &str, policy: &str, chosen: Json| {
        let terms = json!([
            { "side": "ours", "value": chosen },
            { "side": "base", "absent": true },
            { "side": "theirs", "absent": true },
        ]);
        json!({ "kind": kind, "path": "/", "policy": policy, "terms": terms })
    };
    match json {
        Json::Array(elements) => elements.iter_mut().for_each(hold_choices),
        Json::Object(object) => {
            if let (1, Some(placed)) = (object.len(), object.get_mut(PLACED)) {
                let placed = placed.take();
                let key = json!({ ID: placed.get(ID) });
                let body = held("rename_rename", CHOSEN_PLACE, placed);
                *json = json!({ "$key": key, "$conflict": body });
                return;
            }
            if let Some(Json::Object(list)) = object.get_mut("$kl") {
                let others = keys_of_items(list);
                if let Some(Json::Array(order)) = list.get_mut("order") {
                    order.extend(others);
                    let body = held("order", CHOSEN, Json::Array(std::mem::take(order)));
                    list.insert("order".into(), json!({ "$conflict": body }));
                }
            }
            object.values_mut().for_each(hold_choices);
        }
        _ => {}
    }
}

/// The keys of the items of a list in JSON, as they stand there; what has none is not named.
fn keys_of_items(list: &Map<String, Json>) -> Vec<Json> {
    let fields = list.get("keys").and_then(Json::as_array);
    let Some(fields) = fields.and_then(|fields| fields.iter().map(Json::as_str).collect()) else {
        return Vec::new();
    };
    let fields: Vec<&str> = fields;
    let key = |item: &Json| {
        let item = item.get("$key").unwrap_or(item);
        let part = |field: &&str| item.get(escape_key(field)).cloned();
        fields.iter().map(part).collect::<Option<Vec<Json>>>().map(Json::from)
    };
    let items = list.get("items").and_then(Json::as_array).into_iter().flatten();
    items.filter_map(key).collect()
}
