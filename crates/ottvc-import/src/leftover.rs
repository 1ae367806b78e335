//! What no rule took: kept as values, whole, so that nothing delivered is lost.
//!
//! An element of which anything is left keeps its own attributes and text, also those that a rule
//! took, so that one sees which element it is, unless the field it said tells; of its children those
//! remain of which something is left.
//! An element that only has text is a string. Others are maps: `@name` for attributes, `#text` for
//! text, `#said` for the fields it said, `#order` for the order of children, names for children, an array for several of one name; where the order of different children
//! matters, or text stands among them, `#content` is the array of all. JSON stays the JSON it was.

use std::collections::{BTreeMap, BTreeSet};

use ottvc_object::field_path::{FieldPath, Segment};
use ottvc_object::value::{Value, ValueMap};

use crate::Syntax;
use crate::mapping::Mapping;
use crate::out::Out;
use crate::tree::{Content, Element};

/// Names children in their order, where it is not that of their names.
const ORDER: &str = "#order";
/// Names the fields that an element said, of which something else is left.
const SAID: &str = "#said";

/// Whether a field is an element of a set.
pub(crate) fn is_element(field: &FieldPath) -> bool {
    matches!(field.segments().last(), Some(Segment::Element(_)))
}

/// How many elements have something left over of their own.
pub(crate) fn count(element: &Element) -> u64 {
    let own = u64::from(own_left(element));
    element.children().fold(own, |sum, child| sum.saturating_add(count(child)))
}

/// Keeps what is left of an element and below; `None` if all was taken.
pub(crate) fn keep(element: &Element, mapping: &Mapping) -> Option<Value> {
    let kept: Vec<(&Element, Value)> =
        element.children().filter_map(|child| Some((child, keep(child, mapping)?))).collect();
    if !own_left(element) && kept.is_empty() {
        return None;
    }
    if let Some(scalar) = &element.scalar {
        return Some(scalar.clone());
    }
    if element.array {
        return Some(Value::Array(kept.into_iter().map(|(_, value)| value).collect()));
    }
    let text = element.text();
    if kept.is_empty() && element.attributes.is_empty() && element.is_leaf() {
        return Some(Value::String(text));
    }
    let mut map = ValueMap::new();
    let said = element.said.borrow();
    // A field that was said says its part itself, but for the elements of a set: those stand in one place.
    let says_all = !said.is_empty() && !said.iter().any(is_element);
    for attribute in &element.attributes {
        if attribute.ignored.get() || (says_all && attribute.used.get()) {
            continue;
        }
        map.insert(format!("@{}", attribute.name), Value::String(attribute.value.clone()));
    }
    if !said.is_empty() {
        let fields = said.iter().map(|field| Value::String(field.to_string()));
        map.insert(SAID.into(), Value::Array(fields.collect()));
    }
    let mixed = !text.is_empty() && !element.is_leaf();
    if mixed || interleaved(&kept) {
        map.insert("#content".into(), Value::Array(content(element, kept)));
        return Some(Value::Map(map));
    }
    let is_said = says_all && element.used.get();
    if !text.is_empty() && !is_said {
        map.insert("#text".into(), Value::String(text));
    }
    let mut names: Vec<&str> = kept.iter().map(|(child, _)| child.name.as_str()).collect();
    names.dedup();
    let ordered = mapping.order.get(&element.name);
    let is_new = |name: &&str| ordered.is_none_or(|order| !order.iter().any(|it| it == name));
    if mapping.syntax == Syntax::Xml && !names.is_sorted() && names.iter().any(is_new) {
        // What a map does not keep, schemas want, and the mapping does not know.
        let names = names.into_iter().map(|name| Value::String(name.to_owned()));
        map.insert(ORDER.into(), Value::Array(names.collect()));
    }
    let mut kept = kept.into_iter().peekable();
    while let Some((child, value)) = kept.next() {
        let mut all = vec![value];
        while let Some((_, more)) = kept.next_if(|(next, _)| next.name == child.name) {
            all.push(more);
        }
        let listed = child.listed;
        let value = match (all.pop(), all.is_empty() && !listed) {
            (Some(only), true) => only,
            (last, _) => Value::Array(all.into_iter().chain(last).collect()),
        };
        map.insert(child.name.clone(), value);
    }
    Some(Value::Map(map))
}

/// Whether something of its own was not taken.
fn own_left(element: &Element) -> bool {
    let attributes = element.attributes.iter().any(|attribute| !attribute.used.get());
    let said = !element.text().is_empty() || (element.is_leaf() && element.attributes.is_empty());
    attributes || (!element.used.get() && said)
}

/// Whether children of one name do not stand together.
fn interleaved(kept: &[(&Element, Value)]) -> bool {
    let mut names: Vec<&str> = kept.iter().map(|(child, _)| child.name.as_str()).collect();
    names.dedup();
    let mut seen = BTreeSet::new();
    !names.into_iter().all(|name| seen.insert(name))
}

/// All that an element holds, in order: texts, and what is kept of its children by their names.
fn content(element: &Element, kept: Vec<(&Element, Value)>) -> Vec<Value> {
    let mut kept = kept.into_iter().peekable();
    let mut all = Vec::new();
    for part in &element.content {
        match part {
            Content::Text(text) if text.trim().is_empty() => {}
            Content::Text(text) => all.push(Value::String(text.clone())),
            Content::Element(child) => {
                if let Some((_, value)) = kept.next_if(|(next, _)| std::ptr::eq(*next, child)) {
                    all.push(Value::map([(child.name.clone(), value)]));
                }
            }
        }
    }
    all
}

/// Makes an element again of what was kept of it, as far as XML can say it.
pub(crate) fn restore(name: &str, kept: &Value) -> Out {
    let mut out = Out::new(name.to_owned());
    let mut order: Vec<&String> = Vec::new();
    match kept {
        Value::Map(map) => {
            for (key, value) in map {
                match (key.strip_prefix('@'), key.as_str(), value) {
                    (Some(attribute), _, Value::String(value)) => {
                        out.attributes.push((attribute.to_owned(), value.clone()));
                    }
                    (None, "#text", Value::String(text)) => out.text = Some(text.clone()),
                    (None, SAID, Value::Array(fields)) => {
                        out.said.extend(fields.iter().filter_map(|field| match field {
                            Value::String(field) => field.parse().ok(),
                            _ => None,
                        }));
                    }
                    (None, ORDER, Value::Array(names)) => {
                        order.extend(names.iter().filter_map(|name| match name {
                            Value::String(name) => Some(name),
                            _ => None,
                        }));
                    }
                    (None, "#content", Value::Array(all)) => {
                        for part in all {
                            if let Value::Map(part) = part {
                                let child = |(name, value): (&String, &Value)| restore(name, value);
                                out.children.extend(part.iter().map(child));
                            }
                        }
                    }
                    (None, name, Value::Array(all)) => {
                        out.children.extend(all.iter().map(|value| restore(name, value)));
                    }
                    (None, name, value) => out.children.push(restore(name, value)),
                    (Some(_), ..) => {}
                }
            }
        }
        Value::String(text) if !text.is_empty() => out.text = Some(text.clone()),
        _ => {}
    }
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for (place, name) in order.iter().enumerate() {
        places.entry(name).or_insert(place);
    }
    let last = order.len();
    out.children.sort_by_cached_key(|it| places.get(it.name.as_str()).copied().unwrap_or(last));
    out
}
