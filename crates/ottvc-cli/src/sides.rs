//! How conflicts look to people: what the base and each side have, by the names of the editions, and how
//! to settle it.

use ottvc_merge::SideNames;
use ottvc_object::ConflictKind;
use ottvc_object::field_path::FieldPath;
use ottvc_object::value::{MOVE, Value};
use ottvc_repo::memory::{Recalled, Remembered};
use ottvc_repo::resolving::{ConflictRow, ResolvedRow};
use serde_json::Value as Json;

use crate::fields;
use crate::screen::{Screen, changed_text, columns, folded, shortened, told_apart};
use crate::show::{self, DIM, TITLE, WARN, paint};

/// How far below its heading something stands.
const STEP: usize = 2;

/// How many columns a value on a shared line should have.
const LEAST_SHARE: usize = 16;

/// How a conflict is settled.
pub(crate) struct Settling {
    /// The command.
    pub(crate) command: String,
    /// What else it takes.
    pub(crate) or: String,
}

/// Returns the lines for conflicts, one block for each document or file.
pub(crate) fn lines(
    rows: &[ConflictRow],
    names: &SideNames,
    settling: &dyn Fn(&ConflictRow) -> Option<Settling>,
    screen: &Screen,
) -> Vec<String> {
    let mut lines = Vec::new();
    let mut document: Option<&str> = None;
    for row in rows {
        let words = &why_words(row);
        let kind = paint(DIM, words);
        let indent = match &row.field {
            None => {
                document = None;
                lines.push(format!("{}  {kind}", paint(WARN, show::plain(&row.path))));
                2 * STEP
            }
            Some(field) => {
                if document != Some(&row.path) {
                    document = Some(&row.path);
                    lines.push(paint(TITLE, show::plain(&row.path)));
                }
                let field = show::plain(field);
                let taken = STEP + columns(&field) + 2 + columns(words);
                let field = format!("{:STEP$}{}", "", paint(WARN, field));
                if taken <= screen.width {
                    lines.push(format!("{field}  {kind}"));
                } else {
                    lines.push(field);
                    lines.extend(folded(&[(DIM, words)], [2 * STEP; 2], screen));
                }
                2 * STEP
            }
        };
        side_lines(&mut lines, row, names, indent, screen);
        if let Some(from) = &row.moved_from {
            let from = show::plain(from);
            lines.push(format!(
                "{:indent$}moved here from {from}; taking the base keeps it here",
                ""
            ));
        }
        if !row.places.is_empty() {
            lines.push(format!("{:indent$}renamed to {}", "", row.places.join(", ")));
        }
        if !row.terms.is_empty() {
            let sides = row.terms.len().div_ceil(2);
            lines
                .push(paint(DIM, format!("{:indent$}{sides} sides in all; --json shows them", "")));
        }
        if let Some(memory) = &row.memory {
            let Recalled { settled: before, other_base } = memory;
            let over = if *other_base { ", over another base," } else { "" };
            let told = format!("{:indent$}settled before{over} as", "");
            let (id, as_what) = (paint(DIM, &before.id), settled(before));
            if columns(&told) + 3 + columns(&as_what) + columns(&before.id) <= screen.width {
                lines.push(format!("{told} {as_what}  {id}"));
            } else {
                lines.push(format!("{told}  {id}"));
                let shown = from_where_it_parts(row, &as_what, screen.room(indent + STEP));
                lines.push(format!("{:1$}{shown}", "", indent + STEP));
            }
        }
        if let Some(Settling { command, or }) = settling(row) {
            let (settle, taken) = (paint(TITLE, "settle:"), indent + 8 + columns(&command));
            let or = format!("({or})");
            if taken + 2 + columns(&or) <= screen.width {
                lines.push(format!("{:indent$}{settle} {command}  {}", "", paint(DIM, or)));
                continue;
            }
            // A command is to be copied, so it is never cut.
            let mut indent = indent + 8;
            if taken <= screen.width {
                lines.push(format!("{:1$}{settle} {command}", "", indent - 8));
            } else {
                indent -= 8 - STEP;
                lines.push(format!("{:1$}{settle}", "", indent - STEP));
                lines.push(format!("{:indent$}{command}", ""));
            }
            lines.extend(folded(&[(DIM, &or)], [indent; 2], screen));
        }
    }
    lines
}

/// One line for each conflict of one document.
pub(crate) fn short_lines(rows: &[ConflictRow], screen: &Screen) -> Vec<String> {
    let line = |row: &ConflictRow| {
        let field = show::plain(row.field.as_deref().unwrap_or("/"));
        let room = screen.room(10);
        let told = |start: &str, share: usize| {
            let words = all_words(row);
            let others: Vec<&str> = words.iter().flatten().map(String::as_str).collect();
            let side = |((name, value), words): ((&str, &Json), &Option<String>)| match (
                held(row, name, value),
                words,
            ) {
                (Held::Dispute, _) => format!("{name} in conflict itself"),
                (_, None) => format!("{name} nothing"),
                (_, Some(words)) => format!("{name} {}", told_apart(words, &others, share)),
            };
            let told: Vec<String> = sides(row).into_iter().zip(&words).map(side).collect();
            format!("{start}: {}", told.join(", "))
        };
        // What is left beside the start and the names of the sides is for all three alike; what they
        // have matters more than why they differ.
        let share = |start: &str| room.saturating_sub(columns(start) + 23) / 3;
        let start = format!("{field}  {}", why_words(row));
        let whole = told(&start, usize::MAX);
        let told = match share(&start) {
            _ if columns(&whole) <= room => whole,
            share if share >= LEAST_SHARE => told(&start, share),
            _ => told(&field, share(&field).max(LEAST_SHARE / 2)),
        };
        format!("{} {}", paint(WARN, "conflict:"), shortened(&told, room))
    };
    rows.iter().map(line).collect()
}

/// What a side or the base has.
enum Held {
    Nothing,
    /// A conflict of its own.
    Dispute,
    Value(Value),
}

fn held(row: &ConflictRow, side: &str, value: &Json) -> Held {
    match value {
        _ if row.absent.contains(&side) => Held::Nothing,
        Json::Object(object) if object.get("$conflict").is_some_and(Json::is_array) => {
            Held::Dispute
        }
        value => Held::Value(fields::of_json(value)),
    }
}

/// What the base and both sides have, by the names they have in a row.
fn sides(row: &ConflictRow) -> [(&'static str, &Json); 3] {
    [("base", &row.base), ("ours", &row.ours), ("theirs", &row.theirs)]
}

/// What the base and both sides have, each on one line; nothing for what has no value of its own.
fn all_words(row: &ConflictRow) -> [Option<String>; 3] {
    sides(row).map(|(side, value)| match held(row, side, value) {
        Held::Value(value) => Some(in_words(row, &value)),
        Held::Nothing | Held::Dispute => None,
    })
}

/// An item that sides put into different lists: the list it stands in, and the item.
fn placed(row: &ConflictRow, value: &Value) -> Option<(String, Option<Value>)> {
    let Value::Map(map) = value else { return None };
    let here = || row.field.as_deref()?.parse::<FieldPath>().ok()?.parent();
    let list = match map.get("list") {
        Some(Value::String(list)) => list.clone(),
        _ => here()?.to_string(),
    };
    (row.policy == MOVE).then(|| (list, map.get("item").cloned()))
}

/// A value on one line; an order by its keys, an item that was moved by its list.
fn in_words(row: &ConflictRow, value: &Value) -> String {
    if let Some((list, _)) = placed(row, value) {
        return format!("in {}", show::plain(&list));
    }
    let order = if row.kind == "order" { fields::order_words(value) } else { None };
    order.unwrap_or_else(|| fields::value(value))
}

fn side_lines(
    lines: &mut Vec<String>,
    row: &ConflictRow,
    names: &SideNames,
    indent: usize,
    screen: &Screen,
) {
    let [ours, base, theirs] = own_names(row, names).labels(ConflictKind::from_word(row.kind));
    let labels = [base, ours, theirs].map(|label| show::plain(&label));
    let widest = labels.iter().map(|label| columns(label)).max().unwrap_or(0);
    let base = held(row, "base", &row.base);
    let words = if row.field.is_some() { all_words(row) } else { Default::default() };
    let others: Vec<&str> = words.iter().flatten().map(String::as_str).collect();
    for (label, (side, value)) in labels.iter().zip(sides(row)) {
        let name = paint(TITLE, label);
        let mut beside = |shown: String, style| {
            let pad = widest.saturating_sub(columns(label)) + 2;
            let room = screen.room(indent + widest + 2);
            if columns(&shown) <= room {
                return lines.push(format!(
                    "{:indent$}{name}{:pad$}{}",
                    "",
                    "",
                    paint(style, shown)
                ));
            }
            let shown = told_apart(&shown, &others, screen.room(indent + STEP));
            lines.push(format!("{:indent$}{name}", ""));
            lines.push(format!("{:1$}{2}", "", indent + STEP, paint(style, shown)));
        };
        let plain = anstyle::Style::new();
        if row.field.is_none() {
            match row.absent.contains(&side) {
                true => beside("nothing".into(), DIM),
                false => beside(entry(value), plain),
            }
            continue;
        }
        let value = match held(row, side, value) {
            Held::Nothing => {
                beside("nothing".into(), DIM);
                continue;
            }
            Held::Dispute => {
                beside("in conflict itself; --json shows it".into(), DIM);
                continue;
            }
            Held::Value(value) => value,
        };
        if let Some((list, item)) = placed(row, &value) {
            let then = match &base {
                Held::Value(base) if side != "base" => placed(row, base),
                _ => None,
            };
            let list = show::plain(&list);
            beside(
                match &then {
                    Some((from, _)) if show::plain(from) != list => format!("moved to {list}"),
                    _ => format!("in {list}"),
                },
                plain,
            );
            if let (Some((_, Some(then))), Some(item)) = (then, item) {
                lines.extend(
                    against_base(&then, &item, indent + STEP, screen).into_iter().flatten(),
                );
            }
            continue;
        }
        let below = match &base {
            Held::Value(base) if side != "base" && row.kind != "order" => {
                against_base(base, &value, indent + STEP, screen)
            }
            _ => None,
        };
        match below {
            Some(below) => {
                lines.push(format!("{:indent$}{name}", ""));
                lines.extend(below);
            }
            None => beside(in_words(row, &value), plain),
        }
    }
}

/// What a conflict was settled as before.
pub(crate) fn settled(row: &Remembered) -> String {
    match (row.absent, row.field.is_some(), row.places.as_slice()) {
        (true, ..) => "nothing".into(),
        (false, true, _) => fields::value(&fields::of_json(&row.value)),
        (false, false, []) => entry(&row.value),
        (false, false, places) => format!("renamed to {}", places.join(", ")),
    }
}

/// What was chosen for a conflict, on one line; nothing where it is made of what several have.
pub(crate) fn chosen(it: &ResolvedRow) -> Option<String> {
    match (&it.value, it.absent, &it.field) {
        (_, true, _) => Some("nothing".into()),
        (Some(value), _, Some(_)) => Some(in_words(&it.was, &fields::of_json(value))),
        (Some(value), _, None) => Some(entry(value)),
        (None, false, _) => None,
    }
}

/// As much of a text as there is room for, from where it parts from what the base and the sides have.
pub(crate) fn from_where_it_parts(row: &ConflictRow, text: &str, room: usize) -> String {
    let words = if row.field.is_some() { all_words(row) } else { Default::default() };
    let others: Vec<&str> = words.iter().flatten().map(String::as_str).collect();
    told_apart(text, &others, room)
}

/// What a side made of the base, where that is told better than the whole.
fn against_base(base: &Value, side: &Value, indent: usize, screen: &Screen) -> Option<Vec<String>> {
    if base == side {
        return None;
    }
    if let Some(changes) = fields::beside_base(base, side) {
        return Some(fields::lines(&changes, indent, screen));
    }
    let short = columns(&fields::value(side)) <= screen.room(indent) / 2;
    let runs = if short { None } else { fields::runs(base, side) }?;
    let laid = changed_text(&runs, screen.room(indent), screen);
    Some(laid.iter().map(|line| format!("{:indent$}{line}", "")).collect())
}

/// A side that is a whole file.
fn entry(value: &Json) -> String {
    let text = |member: &str| value.get(member).and_then(Json::as_str).unwrap_or_default();
    let size = value.get("size").and_then(Json::as_u64);
    match size {
        Some(size) => {
            format!("{}, {}, {}", text("kind"), show::size(size), show::short(text("id")))
        }
        None => show::value(value),
    }
}

/// The names of the sides that have what the conflict says of them.
pub(crate) fn own_names(row: &ConflictRow, names: &SideNames) -> SideNames {
    let [ours, theirs] = row.strangers;
    SideNames {
        ours: names.ours.clone().filter(|_| !ours),
        theirs: names.theirs.clone().filter(|_| !theirs),
    }
}

/// Why there is a conflict, with the rule that is broken where it is over one.
fn why_words(row: &ConflictRow) -> String {
    let words = match row.kind {
        "rename_rename" if row.policy == MOVE => "moved to different lists",
        kind => kind_words(kind),
    };
    let rule = match row.kind {
        "invariant" => row.invariants.join(", "),
        "invalid" => row.policy.clone(),
        _ => String::new(),
    };
    if rule.is_empty() { words.to_owned() } else { show::plain(&format!("{words}: {rule}")) }
}

/// Why there is a conflict, for people.
pub(crate) fn kind_words(kind: &str) -> &str {
    match kind {
        "edit_edit" => "changed on both sides",
        "add_add" => "added on both sides",
        "delete_edit" => "removed on one side, changed on the other",
        "type" => "made different kinds of thing",
        "order" => "put in different orders",
        "contested_base" => "the common base is itself in conflict",
        "rename_rename" => "renamed or moved differently",
        "collision" => "different things in one place",
        "invariant" => "together they break a rule among fields",
        "invalid" => "together they break the schema",
        "hook" => "a function of the schema failed",
        "schema" => "under different schemas",
        "move_cycle" => "moved into each other",
        "shadow" => "changed by the parent, overridden by the edition",
        "orphan_override" => "removed or replaced by the parent, changed by the edition",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use ottvc_merge::{MergeOptions, merge_values};
    use ottvc_object::RepoPath;
    use ottvc_object::conflict::Terms;
    use ottvc_object::value::{Document, value_to_json};

    use super::*;

    fn rows(ours: &str, base: &str, theirs: &str) -> Vec<ConflictRow> {
        let doc = |json: &str| Some(Document::from_json(json.as_bytes()).unwrap().into_value());
        let terms = Terms::three(doc(ours), doc(base), doc(theirs));
        let file = RepoPath::new("edition.meta.json").unwrap();
        let merged = merge_values(&terms, &MergeOptions::default(), &file).unwrap();
        let row = |(field, conflict): (_, &_)| {
            ConflictRow::of(&file, Some(&field), conflict, &value_to_json)
        };
        merged.value.unwrap().conflicts().into_iter().map(row).collect()
    }

    const BASE: &str = r#"{
        "rating": "12",
        "synopsis": {"$text": "A young hero leaves home. She finds a map, and a friend who waited."},
        "extra": {"a": 1, "b": 2},
        "cast": {"$kl": {"keys": ["person"], "items": [{"person": "p1"}, {"person": "p2"}, {"person": "p3"}]}}
    }"#;
    const OURS: &str = r#"{
        "rating": "18",
        "synopsis": {"$text": "A young pilot leaves home. She finds a map, and a friend who waited."},
        "cast": {"$kl": {"keys": ["person"], "items": [{"person": "p2"}, {"person": "p1"}, {"person": "p3"}]}}
    }"#;
    const THEIRS: &str = r#"{
        "rating": "16",
        "synopsis": {"$text": "A young thief leaves home. She finds a map, and a friend who waited."},
        "extra": {"a": 1, "b": 3},
        "cast": {"$kl": {"keys": ["person"], "items": [{"person": "p1"}, {"person": "p3"}, {"person": "p2"}]}}
    }"#;

    fn told(width: usize, color: bool) -> String {
        let names = SideNames { ours: Some("main".into()), theirs: Some("regional/de".into()) };
        let settling = |row: &ConflictRow| {
            let place = format!("{}#{}", row.path, row.field.as_ref()?);
            let command = format!("ottvc resolve {} --take ours", shell_words::quote(&place));
            Some(Settling { command, or: "or theirs, base, --value JSON".into() })
        };
        let screen = Screen { width, color };
        lines(&rows(OURS, BASE, THEIRS), &names, &settling, &screen).join("\n")
    }

    fn seen(width: usize) -> String {
        let told = anstream::adapter::strip_str(&told(width, false)).to_string();
        for line in told.lines() {
            assert!(columns(line) <= width || line.contains("ottvc resolve"), "{line}");
        }
        told
    }

    #[test]
    fn a_conflict_shows_base_and_sides_and_how_to_settle_it() {
        insta::assert_snapshot!(seen(40), @r#"
        edition.meta.json
          /cast/$order  put in different orders
            base                  p1, p2, p3
            ours (main)           p2, p1, p3
            theirs (regional/de)  p1, p3, p2
            settle:
              ottvc resolve 'edition.meta.json#/cast/$order' --take ours
              (or theirs, base, --value JSON)
          /extra
            removed on one side, changed on the
            other
            base                  {a: 1, b: 2}
            ours (main)           nothing
            theirs (regional/de)
              /b  2 -> 3
            settle:
              ottvc resolve 'edition.meta.json#/extra' --take ours
              (or theirs, base, --value JSON)
          /rating  changed on both sides
            base                  "12"
            ours (main)           "18"
            theirs (regional/de)  "16"
            settle:
              ottvc resolve 'edition.meta.json#/rating' --take ours
              (or theirs, base, --value JSON)
          /synopsis  changed on both sides
            base
              "A young hero lea… (69 characters)
            ours (main)
              A young [-hero-]{+pilot+} leaves
              home. …
            theirs (regional/de)
              A young [-hero-]{+thief+} leaves
              home. …
            settle:
              ottvc resolve 'edition.meta.json#/synopsis' --take ours
              (or theirs, base, --value JSON)
        "#);
        insta::assert_snapshot!(seen(80), @r#"
        edition.meta.json
          /cast/$order  put in different orders
            base                  p1, p2, p3
            ours (main)           p2, p1, p3
            theirs (regional/de)  p1, p3, p2
            settle: ottvc resolve 'edition.meta.json#/cast/$order' --take ours
                    (or theirs, base, --value JSON)
          /extra  removed on one side, changed on the other
            base                  {a: 1, b: 2}
            ours (main)           nothing
            theirs (regional/de)
              /b  2 -> 3
            settle: ottvc resolve 'edition.meta.json#/extra' --take ours
                    (or theirs, base, --value JSON)
          /rating  changed on both sides
            base                  "12"
            ours (main)           "18"
            theirs (regional/de)  "16"
            settle: ottvc resolve 'edition.meta.json#/rating' --take ours
                    (or theirs, base, --value JSON)
          /synopsis  changed on both sides
            base
              "A young hero leaves home. She finds a map, and a friend who waited."
            ours (main)
              A young [-hero-]{+pilot+} leaves home. She finds a map …
            theirs (regional/de)
              A young [-hero-]{+thief+} leaves home. She finds a map …
            settle: ottvc resolve 'edition.meta.json#/synopsis' --take ours
                    (or theirs, base, --value JSON)
        "#);
        insta::assert_snapshot!(seen(160), @r#"
        edition.meta.json
          /cast/$order  put in different orders
            base                  p1, p2, p3
            ours (main)           p2, p1, p3
            theirs (regional/de)  p1, p3, p2
            settle: ottvc resolve 'edition.meta.json#/cast/$order' --take ours  (or theirs, base, --value JSON)
          /extra  removed on one side, changed on the other
            base                  {a: 1, b: 2}
            ours (main)           nothing
            theirs (regional/de)
              /b  2 -> 3
            settle: ottvc resolve 'edition.meta.json#/extra' --take ours  (or theirs, base, --value JSON)
          /rating  changed on both sides
            base                  "12"
            ours (main)           "18"
            theirs (regional/de)  "16"
            settle: ottvc resolve 'edition.meta.json#/rating' --take ours  (or theirs, base, --value JSON)
          /synopsis  changed on both sides
            base                  "A young hero leaves home. She finds a map, and a friend who waited."
            ours (main)           "A young pilot leaves home. She finds a map, and a friend who waited."
            theirs (regional/de)  "A young thief leaves home. She finds a map, and a friend who waited."
            settle: ottvc resolve 'edition.meta.json#/synopsis' --take ours  (or theirs, base, --value JSON)
        "#);
        insta::assert_snapshot!(told(80, true).replace('\u{1b}', "^"), @r#"
        ^[1medition.meta.json^[0m
          ^[1m^[33m/cast/$order^[0m  ^[2mput in different orders^[0m
            ^[1mbase^[0m                  p1, p2, p3
            ^[1mours (main)^[0m           p2, p1, p3
            ^[1mtheirs (regional/de)^[0m  p1, p3, p2
            ^[1msettle:^[0m ottvc resolve 'edition.meta.json#/cast/$order' --take ours
                    ^[2m(or^[0m ^[2mtheirs,^[0m ^[2mbase,^[0m ^[2m--value^[0m ^[2mJSON)^[0m
          ^[1m^[33m/extra^[0m  ^[2mremoved on one side, changed on the other^[0m
            ^[1mbase^[0m                  {a: 1, b: 2}
            ^[1mours (main)^[0m           ^[2mnothing^[0m
            ^[1mtheirs (regional/de)^[0m
              /b  ^[1m^[31m2^[0m -> ^[32m3^[0m
            ^[1msettle:^[0m ottvc resolve 'edition.meta.json#/extra' --take ours
                    ^[2m(or^[0m ^[2mtheirs,^[0m ^[2mbase,^[0m ^[2m--value^[0m ^[2mJSON)^[0m
          ^[1m^[33m/rating^[0m  ^[2mchanged on both sides^[0m
            ^[1mbase^[0m                  "12"
            ^[1mours (main)^[0m           "18"
            ^[1mtheirs (regional/de)^[0m  "16"
            ^[1msettle:^[0m ottvc resolve 'edition.meta.json#/rating' --take ours
                    ^[2m(or^[0m ^[2mtheirs,^[0m ^[2mbase,^[0m ^[2m--value^[0m ^[2mJSON)^[0m
          ^[1m^[33m/synopsis^[0m  ^[2mchanged on both sides^[0m
            ^[1mbase^[0m
              "A young hero leaves home. She finds a map, and a friend who waited."
            ^[1mours (main)^[0m
              A young ^[1m^[31mhero^[0m^[32mpilot^[0m leaves home. She finds a map …
            ^[1mtheirs (regional/de)^[0m
              A young ^[1m^[31mhero^[0m^[32mthief^[0m leaves home. She finds a map …
            ^[1msettle:^[0m ottvc resolve 'edition.meta.json#/synopsis' --take ours
                    ^[2m(or^[0m ^[2mtheirs,^[0m ^[2mbase,^[0m ^[2m--value^[0m ^[2mJSON)^[0m
        "#);
    }

    #[test]
    fn in_short_each_takes_one_line() {
        let rows = rows(OURS, BASE, THEIRS);
        for (width, color) in [(40, false), (80, false), (160, true)] {
            let lines = short_lines(&rows, &Screen { width, color });
            assert_eq!(lines.len(), rows.len());
            for line in lines {
                let seen = anstream::adapter::strip_str(&line).to_string();
                assert!(columns(&seen) <= width && !seen.contains('\n'), "{seen}");
            }
        }
        let all = short_lines(&rows, &Screen { width: 160, color: false }).join("\n");
        insta::assert_snapshot!(anstream::adapter::strip_str(&all).to_string(), @r#"
        conflict: /cast/$order  put in different orders: base p1, p2, p3, ours p2, p1, p3, theirs p1, p3, p2
        conflict: /extra  removed on one side, changed on the other: base {a: 1, b: 2}, ours nothing, theirs {a: 1, b: 3}
        conflict: /rating  changed on both sides: base "12", ours "18", theirs "16"
        conflict: /synopsis  changed on both sides: base "A young hero leaves home. She…, ours "A young pilot leaves home. Sh…, theirs "A young thief leaves home. Sh…
        "#);
    }

    #[test]
    fn a_broken_rule_is_named_and_a_moved_item_is_told_by_its_lists() {
        let screen = Screen { width: 80, color: false };
        let told = |row: &ConflictRow| {
            let lines = lines(std::slice::from_ref(row), &SideNames::default(), &|_| None, &screen);
            anstream::adapter::strip_str(&lines.join("\n")).to_string()
        };
        let mut row = rows(OURS, BASE, THEIRS).swap_remove(2);
        row.kind = ConflictKind::Invariant.word();
        row.invariants = vec!["start <= end".into()];
        assert!(told(&row).contains("together they break a rule among fields: start <= end"));
        let narrow = Screen { width: 40, color: false };
        let lines = lines(std::slice::from_ref(&row), &SideNames::default(), &|_| None, &narrow);
        let told_narrow = anstream::adapter::strip_str(&lines.join("\n")).to_string();
        assert!(
            told_narrow
                .contains("    together they break a rule among\n    fields: start <= end\n"),
            "{told_narrow}"
        );
        (row.kind, row.policy) = (ConflictKind::Invalid.word(), "max_items".into());
        assert!(told(&row).contains("together they break the schema: max_items"));

        row.kind = ConflictKind::RenameRename.word();
        row.policy = MOVE.into();
        row.field = Some("/acts/[\\$id=a]/scenes/[\\$id=s1]".into());
        let placed = |list: Option<&str>, title: &str| {
            let mut map =
                serde_json::json!({ "$id": "s1", "item": { "$id": "s1", "title": title } });
            if let Some(list) = list {
                map["list"] = list.into();
            }
            value_to_json(&Document::from_json(map.to_string().as_bytes()).unwrap().into_value())
        };
        row.base = placed(None, "Dawn");
        row.ours = placed(Some("/acts/[\\$id=b]/scenes"), "Dawn");
        row.theirs = placed(Some("/acts/[\\$id=c]/scenes"), "Dusk");
        insta::assert_snapshot!(told(&row), @r#"
        edition.meta.json
          /acts/[\$id=a]/scenes/[\$id=s1]  moved to different lists
            base    in /acts/[\$id=a]/scenes
            ours    moved to /acts/[\$id=b]/scenes
            theirs  moved to /acts/[\$id=c]/scenes
              /title  "Dawn" -> "Dusk"
        "#);
    }

    #[test]
    fn a_side_that_its_edition_never_had_bears_no_name() {
        let mut row = rows(OURS, BASE, THEIRS).swap_remove(2);
        row.strangers = [true, false];
        let names = SideNames { ours: Some("main".into()), theirs: Some("regional/de".into()) };
        let screen = Screen { width: 80, color: false };
        let told = lines(&[row], &names, &|_| None, &screen).join("\n");
        let told = anstream::adapter::strip_str(&told).to_string();
        assert!(!told.contains("main") && told.contains("theirs (regional/de)"), "{told}");
    }

    #[test]
    fn every_kind_has_words() {
        for kind in ConflictKind::ALL {
            assert_ne!(kind_words(kind.word()), kind.word());
        }
    }

    #[test]
    fn what_a_parent_changed_has_its_sides_named_so_and_what_was_settled_before_is_said() {
        let mut row = rows(OURS, BASE, THEIRS).swap_remove(2);
        row.kind = ConflictKind::Shadow.word();
        let settled = Remembered {
            id: "0123456789ab".into(),
            path: row.path.clone(),
            field: Some("/rating".into()),
            kind: row.kind.into(),
            value: "18".into(),
            absent: false,
            places: Vec::new(),
            commit: String::new(),
            actor: String::new(),
            settled: 0,
            used: 0,
        };
        row.memory = Some(Recalled { settled: settled.clone(), other_base: false });
        let screen = Screen { width: 80, color: false };
        let lines = lines(&[row], &SideNames::default(), &|_| None, &screen).join("\n");
        insta::assert_snapshot!(anstream::adapter::strip_str(&lines).to_string(), @r#"
        edition.meta.json
          /rating  changed by the parent, overridden by the edition
            base (its parent before)  "12"
            ours (the edition)        "18"
            theirs (its parent)       "16"
            settled before as "18"  0123456789ab
        "#);

        let (mut row, mut settled) = (rows(OURS, BASE, THEIRS).swap_remove(2), settled);
        settled.places = vec!["cut/film.mp4".into()];
        settled.field = None;
        row.memory = Some(Recalled { settled, other_base: true });
        let lines = super::lines(&[row], &SideNames::default(), &|_| None, &screen).join("\n");
        let told = anstream::adapter::strip_str(&lines).to_string();
        let last = "settled before, over another base, as renamed to cut/film.mp4  0123456789ab";
        assert_eq!(told.lines().last().unwrap().trim(), last);
    }
}
