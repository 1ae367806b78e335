//! Whether what a schema says of a field fits together.
//!
//! Two questions. What could not be carried out is refused wherever a schema is read. What reads and makes no
//! sense is refused where a schema is written, and let be where history has it already: nobody can mend that.

use std::cmp::Ordering;

use ottvc_object::field_path::Segment;
use ottvc_object::value::Value;

use super::field::{Field, Order, Policy, Type};
use super::read::Read;
use super::yaml::{Data, Node};
use crate::number::compare;
use crate::pattern::Step;

/// Whether a field of this type has such an attribute at all.
pub(super) fn fits_type(field: &Field, key: &str) -> Read<()> {
    let only = |types: &[Type]| match field.kind {
        Some(kind) if types.contains(&kind) => Ok(()),
        _ => {
            let words: Vec<&str> = types.iter().map(|kind| kind.word()).collect();
            Err(format!("only a field of type {} has it", words.join(", ")))
        }
    };
    let leaf = leaf_of(field);
    let leaves = |fit: fn(Type) -> bool, what: &str| match leaf {
        Some(kind) if fit(kind) => Ok(()),
        _ => Err(format!("only {what} have it")),
    };
    match key {
        "keys" | "order" | "insert" | "item" => only(&[Type::Keyed]),
        "groups" | "invariants" => only(&[Type::Keyed, Type::Map]),
        "format" => leaves(|kind| kind == Type::String, "strings"),
        "min_length" | "max_length" => {
            leaves(|kind| matches!(kind, Type::String | Type::Text), "strings and texts")
        }
        "min_items" | "max_items" => only(&[Type::Set, Type::Array, Type::Keyed]),
        "min" | "max" => {
            let ordered =
                |kind: Type| kind.is_number() || matches!(kind, Type::String | Type::Timestamp);
            leaves(ordered, "numbers, instants and strings")
        }
        "enum" => leaves(
            |kind| kind.is_number() || matches!(kind, Type::String | Type::Bool),
            "strings, numbers and bools",
        ),
        _ => Ok(()),
    }
}

/// The containers whose elements a schema gives a type.
const CONTAINERS: [Type; 3] = [Type::Set, Type::Array, Type::Localized];

/// The type that limits are about: that of what a container holds, or of the field.
fn leaf_of(field: &Field) -> Option<Type> {
    match field.kind {
        Some(kind) if CONTAINERS.contains(&kind) => field.of,
        kind => kind,
    }
}

/// Whether an attribute goes with the others of its field.
pub(super) fn fits(field: &Field, key: &str) -> Read<()> {
    match key {
        "of" => match (field.kind, field.of) {
            (Some(kind), _) if !CONTAINERS.contains(&kind) => not_a_container(),
            (None, _) => not_a_container(),
            (Some(Type::Localized), Some(Type::String | Type::Text)) => Ok(()),
            (Some(Type::Localized), _) => Err("a locale has a string or a text".to_owned()),
            (_, Some(Type::Array | Type::Set | Type::Keyed | Type::Localized)) => {
                Err("an element is a scalar, an asset, or in an array a map".to_owned())
            }
            (Some(Type::Set), Some(Type::Map)) => Err("a set holds no maps".to_owned()),
            _ => Ok(()),
        },
        "groups" => match field.groups.iter().flatten().find(|name| field.keys.contains(name)) {
            Some(name) => Err(format!("`{name}` names the item, so it is in no group")),
            None => Ok(()),
        },
        "min_length" | "max_length" => in_order(field.limits.min_length, field.limits.max_length),
        "min_items" | "max_items" => in_order(field.limits.min_items, field.limits.max_items),
        "min" | "max" => match (&field.limits.min, &field.limits.max) {
            (Some(min), Some(max)) if compare(min, max).is_none_or(Ordering::is_gt) => {
                Err("`min` is not over `max`".to_owned())
            }
            _ => Ok(()),
        },
        "required" => match field.steps.last() {
            Some(Step::Literal(Segment::Key(_))) => Ok(()),
            _ => Err("only a field with a name can be required".to_owned()),
        },
        "move_domain" if field.keys != ["$id"] => Err("its lists are keyed by `$id`".to_owned()),
        "merge" => field.merge.as_ref().map_or(Ok(()), |policy| policy_fits(field, policy)),
        _ => Ok(()),
    }
}

fn not_a_container() -> Read<()> {
    let words: Vec<&str> = CONTAINERS.iter().map(|kind| kind.word()).collect();
    Err(format!("only a field of type {} has it", words.join(", ")))
}

/// Whether an attribute that can be carried out says something.
pub(super) fn makes_sense(field: &Field, key: &str, node: &Node) -> Read<()> {
    match key {
        "keys" => match twice(&field.keys) {
            Some(name) => Err(format!("`{name}` is named twice")),
            None => Ok(()),
        },
        "insert" if field.insert_conflict && field.order != Order::Significant => {
            Err("with this `order` nobody says where an item goes".to_owned())
        }
        "min" | "max" => is_of_type(field, node),
        "enum" => match &node.data {
            Data::List(nodes) => nodes.iter().try_for_each(|node| is_of_type(field, node)),
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

fn twice(names: &[String]) -> Option<&String> {
    names
        .iter()
        .enumerate()
        .find(|(at, name)| names.iter().skip(at + 1).any(|it| it == *name))
        .map(|(_, name)| name)
}

/// Whether a limit of strings is written as one: a number or truth value that is not quoted is none, and one that
/// is not of the format no string can meet.
fn is_of_type(field: &Field, node: &Node) -> Read<()> {
    let Data::Scalar { text, quoted } = &node.data else { return Ok(()) };
    if leaf_of(field) != Some(Type::String) {
        return Ok(());
    }
    let other = match text.as_str() {
        "true" | "false" => Some("a bool"),
        text => Value::number(text).is_ok().then_some("a number"),
    };
    if let (Some(other), false) = (other, quoted) {
        return Err(format!("`{text}` is {other}, and the type is string: quote it"));
    }
    match field.limits.format {
        Some(format) if format.canonical(text).is_none() => {
            Err(format!("`{text}` is no {}", format.word()))
        }
        _ => Ok(()),
    }
}

fn in_order(min: Option<u64>, max: Option<u64>) -> Read<()> {
    match (min, max) {
        (Some(min), Some(max)) if min > max => Err("the least is not over the most".to_owned()),
        _ => Ok(()),
    }
}

fn policy_fits(field: &Field, policy: &Policy) -> Read<()> {
    let types: &[Type] = match policy {
        Policy::Atomic | Policy::Derived(_) | Policy::Hook(_) => return Ok(()),
        Policy::Map => &[Type::Map, Type::Localized],
        Policy::Set => &[Type::Set],
        Policy::Keyed => &[Type::Keyed],
        Policy::Sequence => &[Type::Array],
        Policy::Text(_) if field.kind == Some(Type::Localized) && field.of == Some(Type::Text) => {
            return Ok(());
        }
        Policy::Text(_) => &[Type::Text],
        Policy::Max | Policy::Min => &[Type::Int, Type::Decimal, Type::Timestamp],
        Policy::Ordered { .. } => &[Type::String],
        Policy::Counter => &[Type::Int, Type::Decimal],
        Policy::LatestBy(_) => &[Type::Map],
    };
    if field.kind.is_some_and(|kind| types.contains(&kind)) {
        return Ok(());
    }
    let words: Vec<&str> = types.iter().map(|kind| kind.word()).collect();
    Err(format!("`{}` merges fields of type {}", policy.word(), words.join(", ")))
}
