//! How changes of fields look to people: fields by their paths, items of lists by their keys, sets by
//! what went in and out, orders by what moved, and texts by their words.

use std::collections::HashMap;

use ottvc_merge::{Run, word_runs};
use ottvc_object::field_path::{FieldPath, Segment};
use ottvc_object::value::{
    FieldChange, Key, KeyedList, ListOrder, Value, value_from_json, value_to_json,
};
use ottvc_repo::changes::FieldChange as Reported;
use serde_json::Value as Json;

use crate::screen::{Screen, changed_text, columns, shortened, told_apart};
use crate::show::{self, BAD, DIM, GOOD, TITLE, WARN, paint};

/// How far below a heading its fields stand.
const STEP: usize = 2;
/// From how many columns on a text is compared word by word.
const LONG_TEXT: usize = 30;
/// How many keys that moved are told one by one.
const SHOWN_MOVES: usize = 3;

/// Returns the lines for changes of one document, in their order, each `indent` columns in.
pub(crate) fn lines(changes: &[FieldChange], indent: usize, screen: &Screen) -> Vec<String> {
    let (lines, whole) = (Vec::new(), Vec::new());
    let mut writer = Writer { indent, screen, lines, item: None, whole, set: None };
    for FieldChange { field, old, new } in changes {
        writer.change(field, old.as_ref(), new.as_ref());
    }
    writer.end_set();
    writer.lines
}

/// Reads changes as a repository reports them.
pub(crate) fn read(changes: &[Reported]) -> Vec<FieldChange> {
    let change = |change: &Reported| FieldChange {
        field: change.field.parse().unwrap_or_else(|_| FieldPath::root().key(&*change.field)),
        old: change.old.as_ref().map(of_json),
        new: change.new.as_ref().map(of_json),
    };
    changes.iter().map(change).collect()
}

/// The value that JSON was written from; what is none is shown as the text it is.
pub(crate) fn of_json(json: &Json) -> Value {
    value_from_json(json).unwrap_or_else(|_| Value::String(json.to_string()))
}

/// A value on one line.
pub(crate) fn value(value: &Value) -> String {
    let text = match value {
        Value::Text(text) => value_to_json(&Value::String(text.clone())).to_string(),
        Value::Timestamp(stamp) => stamp.to_string(),
        Value::Decimal(number) => number.to_string(),
        Value::Asset(asset) => {
            let digest = asset.digest.to_string();
            let role = asset.role.as_ref().map(|role| format!("{role}, ")).unwrap_or_default();
            format!(
                "{role}{}, {}, {}",
                asset.media_type,
                show::size(asset.size),
                show::short(&digest)
            )
        }
        Value::Set(set) => format!("{{{}}}", joined(set.iter())),
        Value::Array(elements) => format!("[{}]", joined(elements)),
        Value::Map(map) | Value::Localized(map) => {
            let entry = |(key, value): (&String, &Value)| format!("{key}: {}", self::value(value));
            format!("{{{}}}", map.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
        Value::Keyed(list) => {
            let items: Vec<&Value> = list.iter().map(|(_, item)| item).collect();
            format!("[{}]", joined(items))
        }
        Value::Conflict(_) => "(conflict)".into(),
        other => value_to_json(other).to_string(),
    };
    show::plain(&text)
}

fn joined<'v>(values: impl IntoIterator<Item = &'v Value>) -> String {
    values.into_iter().map(value).collect::<Vec<_>>().join(", ")
}

/// A painted text without its colours.
fn seen(painted: &str) -> String {
    anstream::adapter::strip_str(painted).to_string()
}

struct Writer<'s> {
    indent: usize,
    screen: &'s Screen,
    lines: Vec<String>,
    /// The item of a list whose heading was written last.
    item: Option<FieldPath>,
    /// The items that came or went as a whole and are being told, with the word for that.
    whole: Vec<(FieldPath, String)>,
    /// A set of which elements went in or out, until all are known.
    set: Option<(FieldPath, Vec<Value>, Vec<Value>)>,
}

impl Writer<'_> {
    fn change(&mut self, path: &FieldPath, old: Option<&Value>, new: Option<&Value>) {
        if let Some((Segment::Element(element), set)) = path.0.split_last() {
            let set = FieldPath(set.to_vec());
            if self.set.as_ref().is_none_or(|(path, ..)| *path != set) {
                self.end_set();
                self.set = Some((set, Vec::new(), Vec::new()));
            }
            if let Some((_, came, went)) = &mut self.set {
                let list = if new.is_some() { came } else { went };
                list.push(element.clone());
            }
            return;
        }
        self.end_set();
        if let Some((Segment::Order, list)) = path.0.split_last() {
            let list = FieldPath(list.to_vec());
            let (indent, label) = self.place(&list);
            return self.order(indent, &label, old, new);
        }
        match (old, new) {
            (Some(old), None) => self.whole(path, old, false),
            (None, Some(new)) => self.whole(path, new, true),
            (Some(old), Some(new)) => {
                let (indent, label) = self.place(path);
                self.lines.extend(replaced(&label, old, new, indent, self.screen));
            }
            (None, None) => {}
        }
    }

    /// Something that came or went as a whole: what it holds, field by field.
    fn whole(&mut self, path: &FieldPath, value: &Value, came: bool) {
        let mut below = |step: Segment, value: &Value| {
            let path = path.join(step);
            if came {
                self.change(&path, None, Some(value));
            } else {
                self.change(&path, Some(value), None);
            }
        };
        match value {
            Value::Map(map) => match path.0.last() {
                Some(Segment::Item(parts)) => {
                    let word = if came { paint(GOOD, "added") } else { paint(BAD, "removed") };
                    self.heading(path.clone(), &word);
                    self.whole.push((path.clone(), word));
                    let named = |key: &String| parts.iter().any(|(field, _)| field == key);
                    for (key, value) in map.iter().filter(|(key, _)| !named(key)) {
                        let path = path.key(key.as_str());
                        match came {
                            true => self.change(&path, None, Some(value)),
                            false => self.change(&path, Some(value), None),
                        }
                    }
                    self.end_set();
                    self.whole.pop();
                }
                _ if map.is_empty() => self.leaf(path, value, came),
                _ => map.iter().for_each(|(key, it)| below(Segment::Key(key.clone()), it)),
            },
            Value::Localized(map) if !map.is_empty() => {
                map.iter().for_each(|(tag, it)| below(Segment::Locale(tag.clone()), it));
            }
            Value::Set(set) if set.iter().next().is_some() => {
                set.iter().for_each(|it| below(Segment::Element(it.clone()), it));
            }
            Value::Keyed(list) if !list.items().is_empty() => {
                list.iter().for_each(|(key, item)| below(list.segment(key), item));
                if let ListOrder::Conflict(_) = list.order() {
                    let (indent, label) = self.place(path);
                    self.order(indent, &label, None, None);
                }
            }
            _ => self.leaf(path, value, came),
        }
    }

    /// A value that came or went.
    fn leaf(&mut self, path: &FieldPath, value: &Value, came: bool) {
        let (indent, label) = self.place(path);
        let (mark, style) = if came { ("+", GOOD) } else { ("-", BAD) };
        let shown = self::value(value);
        let beside = indent + columns(&label) + 4 + columns(&shown);
        if beside <= self.screen.width {
            self.push(indent, &format!("{label}  {}", paint(style, format!("{mark} {shown}"))));
        } else {
            self.push(indent, &label);
            let shown = shortened(&shown, self.screen.room(indent + STEP + 2));
            self.push(indent + STEP, &paint(style, format!("{mark} {shown}")));
        }
    }

    /// Writes what went into a set and out of it.
    fn end_set(&mut self) {
        let Some((path, came, went)) = self.set.take() else { return };
        let (indent, label) = self.place(&path);
        let shown = |mark: &str, values: &[Value]| -> Vec<String> {
            values.iter().map(|value| format!("{mark} {}", self::value(value))).collect()
        };
        let mut words: Vec<(anstyle::Style, String)> = Vec::new();
        words.extend(shown("+", &came).into_iter().map(|word| (GOOD, word)));
        words.extend(shown("-", &went).into_iter().map(|word| (BAD, word)));
        let all: usize = words.iter().map(|(_, word)| columns(word) + 2).sum();
        let painted = |(style, word): &(anstyle::Style, String)| paint(*style, word);
        if indent + columns(&label) + all <= self.screen.width {
            let words: Vec<String> = words.iter().map(painted).collect();
            return self.push(indent, &format!("{label}  {}", words.join("  ")));
        }
        self.push(indent, &label);
        let room = self.screen.room(indent + STEP);
        let (mut line, mut taken) = (Vec::new(), 0);
        for (style, word) in words {
            let word = shortened(&word, room);
            if taken > 0 && taken + 2 + columns(&word) > room {
                self.push(indent + STEP, &line.join("  "));
                (line, taken) = (Vec::new(), 0);
            }
            taken += columns(&word) + if taken > 0 { 2 } else { 0 };
            line.push(paint(style, word));
        }
        self.push(indent + STEP, &line.join("  "));
    }

    /// Writes what moved in a list.
    fn order(&mut self, indent: usize, label: &str, old: Option<&Value>, new: Option<&Value>) {
        let (keys_then, keys_now) = (old.and_then(sequence), new.and_then(sequence));
        let words = match (keys_then, keys_now) {
            (Some(then), Some(now)) => moves(&then, &now),
            _ => vec![paint(WARN, "(conflict)")],
        };
        let one = format!("{label}  order: {}", words.join(", "));
        if indent + columns(&seen(&one)) <= self.screen.width {
            return self.push(indent, &one);
        }
        self.push(indent, &format!("{label}  order"));
        for word in words {
            let word = shortened(&word, self.screen.room(indent + STEP));
            self.push(indent + STEP, &word);
        }
    }

    /// Where a field stands on the screen and what it is called there: in an item of a list, below that
    /// item's heading, which is written if it is not there yet.
    fn place(&mut self, path: &FieldPath) -> (usize, String) {
        let steps = path.segments();
        let within = steps.iter().rposition(|step| matches!(step, Segment::Item(_)));
        let Some(at) = within.filter(|at| at + 1 < steps.len()) else {
            self.item = None;
            return (self.indent, show::plain(&path.to_string()));
        };
        let item = FieldPath(steps.iter().take(at + 1).cloned().collect());
        if self.item.as_ref() != Some(&item) {
            // After an item inside it, it is named again.
            let word = self.whole.iter().find(|(whole, _)| *whole == item).map(|(_, word)| word);
            let word = word.cloned().unwrap_or_else(|| paint(DIM, "changed"));
            self.heading(item, &word);
        }
        let rest = FieldPath(steps.iter().skip(at + 1).cloned().collect()).to_string();
        let rest = rest.strip_prefix('/').unwrap_or(&rest);
        (self.indent + STEP, show::plain(rest))
    }

    fn heading(&mut self, item: FieldPath, word: &str) {
        let path = show::plain(&item.to_string());
        let (indent, taken) = (self.indent, columns(&path) + 2 + columns(&seen(word)));
        let path = paint(TITLE, path);
        if indent + taken <= self.screen.width {
            self.push(indent, &format!("{path}  {word}"));
        } else {
            self.push(indent, &path);
            self.push(indent + STEP, word);
        }
        self.item = Some(item);
    }

    fn push(&mut self, indent: usize, line: &str) {
        self.lines.push(format!("{:indent$}{line}", ""));
    }
}

/// The lines that tell how a value became another, behind `label` or below it.
pub(crate) fn replaced(
    label: &str,
    old: &Value,
    new: &Value,
    indent: usize,
    screen: &Screen,
) -> Vec<String> {
    let in_front = |indent: usize, line: &str| format!("{:indent$}{line}", "");
    let (shown_old, shown_new) = match (value(old), value(new)) {
        // A string and a prose text look the same, and are not.
        (a, b) if a == b => {
            (format!("{a} ({})", old.kind_word()), format!("{b} ({})", new.kind_word()))
        }
        both => both,
    };
    let widest = columns(&shown_old).max(columns(&shown_new));
    if widest > LONG_TEXT
        && let Some(runs) = runs(old, new)
    {
        let laid = changed_text(&runs, screen.room(indent + STEP), screen);
        let laid = laid.iter().map(|line| in_front(indent + STEP, line));
        return std::iter::once(in_front(indent, label)).chain(laid).collect();
    }
    let beside = indent + columns(label) + 6 + columns(&shown_old) + columns(&shown_new);
    if beside <= screen.width {
        let (old, new) = (paint(BAD, shown_old), paint(GOOD, shown_new));
        return vec![in_front(indent, &format!("{label}  {old} -> {new}"))];
    }
    let room = screen.room(indent + STEP + 2);
    let line = |mark: &str, style, text: &str, other: &str| {
        let text = told_apart(text, &[other], room);
        in_front(indent + STEP, &paint(style, format!("{mark} {text}")))
    };
    vec![
        in_front(indent, label),
        line("-", BAD, &shown_old, &shown_new),
        line("+", GOOD, &shown_new, &shown_old),
    ]
}

/// The words of two texts, if they differ and have a good part of them in common.
pub(crate) fn runs<'v>(old: &'v Value, new: &'v Value) -> Option<Vec<Run<'v>>> {
    let (Value::String(old) | Value::Text(old), Value::String(new) | Value::Text(new)) = (old, new)
    else {
        return None;
    };
    let runs = word_runs(old, new)?;
    let letters = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).count();
    let kept = runs.iter().map(|run| match run {
        Run::Kept(text) => letters(text),
        _ => 0,
    });
    let differ = runs.iter().any(|run| !matches!(run, Run::Kept(_)));
    let alike = 4 * kept.sum::<usize>() >= letters(old).max(letters(new)).max(1);
    (differ && alike).then_some(runs)
}

/// The order that a side of a conflict gives a list.
pub(crate) fn order_words(order: &Value) -> Option<String> {
    Some(sequence(order)?.iter().map(key_word).collect::<Vec<_>>().join(", "))
}

/// The keys of an order.
fn sequence(order: &Value) -> Option<Vec<Key>> {
    let Value::Array(keys) = order else { return None };
    let key = |key: &Value| match key {
        Value::Array(parts) => Key::new(parts.clone()).ok(),
        _ => None,
    };
    keys.iter().map(key).collect()
}

/// Says which keys stand elsewhere: `p3 now first`, `p7 now after p2`.
fn moves(then: &[Key], now: &[Key]) -> Vec<String> {
    let places: HashMap<&Key, usize> = then.iter().zip(0..).collect();
    let kept: Vec<usize> = now.iter().filter_map(|key| places.get(key).copied()).collect();
    let stayed: Vec<usize> = longest_rising(&kept);
    let moved =
        |key: &Key| places.get(key).is_none_or(|place| stayed.binary_search(place).is_err());
    let mut before: Option<&Key> = None;
    let (mut elsewhere, mut new) = (Vec::new(), Vec::new());
    for key in now {
        if moved(key) {
            let told = match before {
                None => format!("{} now first", key_word(key)),
                Some(before) => format!("{} now after {}", key_word(key), key_word(before)),
            };
            let list = if places.contains_key(key) { &mut elsewhere } else { &mut new };
            list.push(told);
        }
        before = Some(key);
    }
    // New items are told of by themselves; where they stand matters if nothing else moved.
    let mut told = if elsewhere.is_empty() { new } else { elsewhere };
    if let Some(more) = told.len().checked_sub(SHOWN_MOVES).filter(|more| *more > 0) {
        told.truncate(SHOWN_MOVES);
        told.push(format!("and {} more moved", show::grouped(more as u64)));
    }
    told
}

fn key_word(key: &Key) -> String {
    let part = |part: &Value| match part {
        Value::String(text) => show::plain(text),
        other => value(other),
    };
    key.parts().iter().map(part).collect::<Vec<_>>().join(",")
}

/// The values of a longest rising subsequence of different numbers.
fn longest_rising(numbers: &[usize]) -> Vec<usize> {
    // For each length, where the least number stands that such a subsequence ends with; for each
    // number, the one before it.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(numbers.len());
    let number = |at: usize| numbers.get(at).copied().unwrap_or_default();
    for (at, &it) in numbers.iter().enumerate() {
        let length = ends.partition_point(|&end| number(end) < it);
        before.push(length.checked_sub(1).and_then(|shorter| ends.get(shorter).copied()));
        match ends.get_mut(length) {
            Some(end) => *end = at,
            None => ends.push(at),
        }
    }
    let mut rising = Vec::new();
    let mut at = ends.last().copied();
    while let Some(place) = at {
        rising.push(number(place));
        at = before.get(place).copied().flatten();
    }
    rising.reverse();
    rising
}

/// The value that one side of a conflict has, beside what the base has: `None` where it is best told
/// by itself.
pub(crate) fn beside_base(base: &Value, side: &Value) -> Option<Vec<FieldChange>> {
    let alike = match (base, side) {
        (Value::Map(_), Value::Map(_))
        | (Value::Localized(_), Value::Localized(_))
        | (Value::Set(_), Value::Set(_)) => true,
        (Value::Keyed(a), Value::Keyed(b)) => KeyedList::fields(a) == KeyedList::fields(b),
        _ => false,
    };
    alike.then(|| ottvc_object::value::diff(Some(base), Some(side)))
}

#[cfg(test)]
mod tests {
    use ottvc_object::value::{Document, diff};

    use super::*;

    fn doc(json: &str) -> Value {
        Document::from_json(json.as_bytes()).unwrap().into_value()
    }

    fn told(old: &str, new: &str, width: usize) -> String {
        let changes = diff(Some(&doc(old)), Some(&doc(new)));
        let lines = lines(&changes, 4, &Screen { width, color: false });
        for line in &lines {
            let seen = seen(line);
            let path_alone = seen.trim().starts_with('/') && !seen.trim().contains("  ");
            assert!(columns(&seen) <= width || path_alone, "{seen}");
        }
        lines.iter().map(|line| seen(line) + "\n").collect()
    }

    const OLD: &str = r#"{
        "title": {"$loc": {"en": "Northern Light"}},
        "rating": "12",
        "genres": {"$set": ["drama", "war"]},
        "year": 2025,
        "synopsis": {"$text": "A young hero leaves home. She finds a map, and a friend who waited for her."},
        "ratings": {"$kl": {"keys": ["system", "territory"], "items": [
            {"system": "MPA", "territory": "US", "rating": "PG", "reason": "mild peril"},
            {"system": "FSK", "territory": "DE", "rating": "12"}]}},
        "cast": {"$kl": {"keys": ["person"], "items": [
            {"person": "p1"}, {"person": "p2"}, {"person": "p3"}, {"person": "p4"}]}}
    }"#;
    const NEW: &str = r#"{
        "title": {"$loc": {"en": "Northern Light", "de": "Nordlicht"}},
        "rating": "18",
        "genres": {"$set": ["drama", "epic", "noir"]},
        "technical": {"fps": 25, "size": {"width": 3840, "height": 2160}},
        "synopsis": {"$text": "A young pilot leaves home. She finds a map, and a friend who waited for her."},
        "ratings": {"$kl": {"keys": ["system", "territory"], "items": [
            {"system": "MPA", "territory": "US", "rating": "PG-13", "reason": "mild peril"},
            {"system": "BBFC", "territory": "GB", "rating": "15", "advice": {"$set": ["language"]}}]}},
        "cast": {"$kl": {"keys": ["person"], "items": [
            {"person": "p3"}, {"person": "p1"}, {"person": "p2"}, {"person": "p4"}]}}
    }"#;

    #[test]
    fn a_document_is_told_by_field_whatever_the_width() {
        insta::assert_snapshot!(told(OLD, NEW, 40), @r#"
        /cast  order: p3 now first
        /genres  + "epic"  + "noir"  - "war"
        /rating  "12" -> "18"
        /ratings/[system=FSK,territory=DE]
          removed
          rating  - "12"
        /ratings/[system=MPA,territory=US]
          changed
          rating  "PG" -> "PG-13"
        /ratings/[system=BBFC,territory=GB]
          added
          advice  + "language"
          rating  + "15"
        /synopsis
          A young [-hero-]{+pilot+} leaves
          home. …
        /technical/fps  + 25
        /technical/size/height  + 2160
        /technical/size/width  + 3840
        /title/@de  + "Nordlicht"
        /year  - 2025
        "#);
        insta::assert_snapshot!(told(OLD, NEW, 80), @r#"
        /cast  order: p3 now first
        /genres  + "epic"  + "noir"  - "war"
        /rating  "12" -> "18"
        /ratings/[system=FSK,territory=DE]  removed
          rating  - "12"
        /ratings/[system=MPA,territory=US]  changed
          rating  "PG" -> "PG-13"
        /ratings/[system=BBFC,territory=GB]  added
          advice  + "language"
          rating  + "15"
        /synopsis
          A young [-hero-]{+pilot+} leaves home. She finds a map …
        /technical/fps  + 25
        /technical/size/height  + 2160
        /technical/size/width  + 3840
        /title/@de  + "Nordlicht"
        /year  - 2025
        "#);
        insta::assert_snapshot!(told(OLD, NEW, 160), @r#"
        /cast  order: p3 now first
        /genres  + "epic"  + "noir"  - "war"
        /rating  "12" -> "18"
        /ratings/[system=FSK,territory=DE]  removed
          rating  - "12"
        /ratings/[system=MPA,territory=US]  changed
          rating  "PG" -> "PG-13"
        /ratings/[system=BBFC,territory=GB]  added
          advice  + "language"
          rating  + "15"
        /synopsis
          A young [-hero-]{+pilot+} leaves home. She finds a map, and a friend who waited for her.
        /technical/fps  + 25
        /technical/size/height  + 2160
        /technical/size/width  + 3840
        /title/@de  + "Nordlicht"
        /year  - 2025
        "#);
    }

    #[test]
    fn colour_takes_the_place_of_marks() {
        let changes = diff(Some(&doc(OLD)), Some(&doc(NEW)));
        let lines = lines(&changes, 4, &Screen { width: 80, color: true });
        insta::assert_snapshot!(lines.join("\n").replace('\u{1b}', "^"), @r#"
        /cast  order: p3 now first
        /genres  ^[32m+ "epic"^[0m  ^[32m+ "noir"^[0m  ^[1m^[31m- "war"^[0m
        /rating  ^[1m^[31m"12"^[0m -> ^[32m"18"^[0m
        ^[1m/ratings/[system=FSK,territory=DE]^[0m  ^[1m^[31mremoved^[0m
          rating  ^[1m^[31m- "12"^[0m
        ^[1m/ratings/[system=MPA,territory=US]^[0m  ^[2mchanged^[0m
          rating  ^[1m^[31m"PG"^[0m -> ^[32m"PG-13"^[0m
        ^[1m/ratings/[system=BBFC,territory=GB]^[0m  ^[32madded^[0m
          advice  ^[32m+ "language"^[0m
          rating  ^[32m+ "15"^[0m
        /synopsis
          A young ^[1m^[31mhero^[0m^[32mpilot^[0m leaves home. She finds a map …
        /technical/fps  ^[32m+ 25^[0m
        /technical/size/height  ^[32m+ 2160^[0m
        /technical/size/width  ^[32m+ 3840^[0m
        /title/@de  ^[32m+ "Nordlicht"^[0m
        /year  ^[1m^[31m- 2025^[0m
        "#);
    }

    #[test]
    fn an_item_with_items_is_told_by_its_own_fields_too() {
        let new = r#"{"seasons": {"$kl": {"keys": ["n"], "items": [
            {"n": 1, "a": 1, "parts": {"$kl": {"keys": ["k"], "items": [{"k": "x", "t": 2}]}}, "z": 3}]}}}"#;
        insta::assert_snapshot!(told("{}", new, 80), @"
        /seasons/[n=1]  added
          a  + 1
        /seasons/[n=1]/parts/[k=x]  added
          t  + 2
        /seasons/[n=1]  added
          z  + 3
        ");
        let old = r#"{"seasons": {"$kl": {"keys": ["n"], "items": [
            {"n": 1, "parts": {"$kl": {"keys": ["k"], "items": [{"k": "x", "t": 1}]}}, "z": 0}]}}}"#;
        insta::assert_snapshot!(told(old, new, 80), @"
        /seasons/[n=1]  changed
          a  + 1
        /seasons/[n=1]/parts/[k=x]  changed
          t  1 -> 2
        /seasons/[n=1]  changed
          z  0 -> 3
        ");
    }

    #[test]
    fn texts_that_share_little_stand_side_by_side() {
        let old =
            r#"{"synopsis": "A young hero leaves home and finds a map that nobody has seen."}"#;
        let new =
            r#"{"synopsis": "Two sisters run a lighthouse; then a ship does not come back."}"#;
        insta::assert_snapshot!(told(old, new, 60), @r#"
        /synopsis
          - "A young hero leaves home and finds… (64 characters)
          + "Two sisters run a lighthouse; then… (63 characters)
        "#);
        let kinds = r#"{"synopsis": {"$text": "A young hero leaves home."}}"#;
        insta::assert_snapshot!(told(r#"{"synopsis": "A young hero leaves home."}"#, kinds, 60), @r#"
        /synopsis
          - "A young hero leaves home." (string)
          + "A young hero leaves home." (text)
        "#);
    }

    #[test]
    fn values_that_begin_alike_are_shown_from_where_they_part() {
        let array = |last: usize| {
            let numbers: Vec<String> = (1000..1030).map(|it| it.to_string()).collect();
            format!(r#"{{"frames": [{}, {last}, 7, 8, 9]}}"#, numbers.join(", "))
        };
        insta::assert_snapshot!(told(&array(1), &array(2), 60), @"
        /frames
          - …, 1029, 1, 7, 8, 9] (192 characters)
          + …, 1029, 2, 7, 8, 9] (192 characters)
        ");
        let address =
            |end: &str| format!(r#"{{"at": "https://example.com/{}/{end}"}}"#, "a".repeat(90));
        insta::assert_snapshot!(told(&address("one"), &address("two"), 60), @"
        /at
          … /example.com/
          aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
          aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/[-one-]{+two+}
        ");
    }

    #[test]
    fn what_moved_is_told_and_no_more() {
        let keys = |text: &str| -> Vec<Key> {
            let key = |c: char| Key::new(vec![Value::from(c.to_string())]).unwrap();
            text.chars().map(key).collect()
        };
        let told = |then, now| moves(&keys(then), &keys(now)).join("; ");
        assert_eq!(told("abcd", "dabc"), "d now first");
        assert_eq!(told("abcd", "bcda"), "a now after d");
        assert_eq!(told("abcd", "acbd"), "c now after a");
        assert_eq!(told("abc", "axbc"), "x now after a");
        assert_eq!(told("abc", "xcab"), "c now after x");
        assert_eq!(
            told("abcdef", "fedcba"),
            "f now first; e now after f; d now after e; and 2 more moved"
        );
    }

    #[test]
    fn values_on_one_line_cannot_steer_a_terminal() {
        assert_eq!(value(&Value::from("a\nb\u{9b}31m")), "\"a\\nb\u{fffd}31m\"");
        assert_eq!(value(&Value::text("prose")), "\"prose\"");
        assert_eq!(
            value(&doc(r#"{"a": {"$set": [1, 2]}, "b": [null, true]}"#)),
            "{a: {1, 2}, b: [null, true]}"
        );
    }
}
