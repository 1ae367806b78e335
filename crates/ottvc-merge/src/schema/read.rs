//! A YAML tree into a schema: every attribute known and of the right shape. Whether they fit each other is for
//! `fits` to say.

use std::str::FromStr;

use ottvc_object::field_path::{FieldPath, Segment};
use ottvc_object::value::{MAX_KEY_FIELDS, Timestamp, Value};

use super::Schema;
use super::field::{
    Delete, Fallback, Field, Inherit, Limits, OnShadow, Order, Policy, Reach, Type, Unit,
};
use super::fits::{fits, fits_type, makes_sense};
use super::format::Format;
use super::predicate::Predicate;
use super::yaml::{Data, Node};
use crate::MergeError;
use crate::pattern::{Step, steps_of};

/// The most fields of a schema.
const MAX_FIELDS: usize = 4096;
/// The longest name of a schema or function.
const MAX_NAME: usize = 64;

/// Why an attribute cannot be read; where it stands is added further up.
pub(super) type Read<T> = Result<T, String>;

/// Reads a whole schema; with `strict`, what makes no sense is refused, too.
pub(super) fn schema(root: &Node, strict: bool) -> Result<Schema, MergeError> {
    let top = |node: &Node, rule: &str, why: &str| bad(node, "/", rule, why);
    let Data::Map(members) = &root.data else {
        return Err(top(root, "schema", "a schema is a map of `schema` and `fields`"));
    };
    let mut named = None;
    let mut fields: Vec<(Field, usize)> = Vec::new();
    for (key, node) in members {
        match (key.as_str(), &node.data) {
            ("schema", Data::Scalar { text, .. }) => {
                let name = schema_name(text)
                    .ok_or_else(|| top(node, "schema", "a schema is named `NAME/VERSION`"))?;
                named = Some(name);
            }
            ("fields", Data::Map(all)) if all.len() <= MAX_FIELDS => {
                for (pattern, body) in all {
                    fields.push((field(pattern, body, strict)?, body.line));
                }
            }
            ("fields", _) => {
                let why = format!("`fields` is a map of at most {MAX_FIELDS} patterns");
                return Err(top(node, "fields", &why));
            }
            _ => return Err(top(node, key, "a schema has `schema` and `fields`")),
        }
    }
    let (name, version) =
        named.ok_or_else(|| top(root, "schema", "a schema is named `NAME/VERSION`"))?;
    fields.sort_by(|(a, _), (b, _)| a.pattern.cmp(&b.pattern));
    for ((one, _), (other, line)) in fields.iter().zip(fields.iter().skip(1)) {
        // Patterns of equal weight that match one path are the same step by step.
        if one.pattern == other.pattern {
            return Err(MergeError::SameField { line: *line, field: one.pattern.clone() });
        }
    }
    Ok(Schema::new(name, version, fields.into_iter().map(|(field, _)| field).collect()))
}

fn bad(node: &Node, field: &str, rule: &str, why: &str) -> MergeError {
    let mut value = node.shown();
    if value.chars().count() > 60 {
        value = value.chars().take(57).chain("...".chars()).collect();
    }
    MergeError::BadField {
        line: node.line,
        field: field.to_owned(),
        rule: rule.to_owned(),
        value,
        why: why.to_owned(),
    }
}

/// Reads `NAME/VERSION`.
pub(crate) fn schema_name(text: &str) -> Option<(String, u32)> {
    let (name, version) = text.rsplit_once('/')?;
    let plain = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_lowercase())
            && part
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b))
    };
    let numbered = version.bytes().all(|byte| byte.is_ascii_digit()) && !version.starts_with('0');
    let version = version.parse().ok().filter(|version| *version > 0 && numbered)?;
    let named = name.len() <= MAX_NAME && name.split('.').all(plain);
    named.then(|| (name.to_owned(), version))
}

/// Reads a pattern into its steps and its one spelling.
fn pattern(text: &str) -> Read<(Vec<Step>, String)> {
    let mut path = FieldPath::from_str(text).map_err(|error| error.to_string())?;
    for segment in &mut path.0 {
        match segment {
            Segment::Item(parts) => parts.sort_by(|(a, _), (b, _)| a.cmp(b)),
            Segment::Order | Segment::Index(_) => {
                return Err("a pattern names fields, not places or orders".to_owned());
            }
            _ => {}
        }
    }
    let spelling = path.to_string();
    Ok((steps_of(path)?, spelling))
}

fn field(text: &str, body: &Node, strict: bool) -> Result<Field, MergeError> {
    let (steps, pattern) = pattern(text).map_err(|why| bad(body, text, "pattern", &why))?;
    let mut field = Field {
        pattern,
        steps,
        kind: None,
        of: None,
        keys: Vec::new(),
        limits: Limits::default(),
        required: false,
        immutable: false,
        merge: None,
        order: Order::Significant,
        insert_conflict: false,
        item_atomic: false,
        groups: Vec::new(),
        invariants: Vec::new(),
        reach: Reach::default(),
        move_domain: None,
    };
    let Data::Map(attributes) = &body.data else {
        return Err(bad(body, text, "field", "a field is a map of what holds for it"));
    };
    // What others are read by comes first.
    let first = |key: &&(String, Node)| matches!(key.0.as_str(), "type" | "of");
    let (kinds, others): (Vec<_>, Vec<_>) = attributes.iter().partition(first);
    for (key, node) in kinds.into_iter().chain(others) {
        let read = fits_type(&field, key).and_then(|()| attribute(&mut field, key, node));
        read.map_err(|why| bad(node, text, key, &why))?;
    }
    for (key, node) in attributes {
        let makes_sense = || if strict { makes_sense(&field, key, node) } else { Ok(()) };
        fits(&field, key).and_then(|()| makes_sense()).map_err(|why| bad(node, text, key, &why))?;
    }
    if field.kind == Some(Type::Keyed) && field.keys.is_empty() {
        return Err(bad(body, text, "keys", "a keyed list names its key fields"));
    }
    Ok(field)
}

fn attribute(field: &mut Field, key: &str, node: &Node) -> Read<()> {
    match key {
        "type" => field.kind = Some(kind(node)?),
        "of" => field.of = Some(kind(node)?),
        "keys" => {
            field.keys = names(node)?;
            if field.keys.is_empty() || field.keys.len() > MAX_KEY_FIELDS {
                return Err(format!("a keyed list has 1 to {MAX_KEY_FIELDS} key fields"));
            }
        }
        "merge" => field.merge = Some(policy(scalar(node)?)?),
        "format" => {
            let all = Format::ALL.into_iter().map(|format| (format.word(), format));
            field.limits.format = Some(one_of(scalar(node)?, all)?);
        }
        "enum" => {
            let leaf = field.of.or(field.kind);
            let values: Read<Vec<Value>> = list(node)?.iter().map(|it| value(it, leaf)).collect();
            field.limits.one_of = values?;
            field.limits.one_of.sort();
            field.limits.one_of.dedup();
            if field.limits.one_of.is_empty() {
                return Err("an enum has values".to_owned());
            }
        }
        "min" => field.limits.min = Some(value(node, field.of.or(field.kind))?),
        "max" => field.limits.max = Some(value(node, field.of.or(field.kind))?),
        "min_length" => field.limits.min_length = Some(count(node)?),
        "max_length" => field.limits.max_length = Some(count(node)?),
        "min_items" => field.limits.min_items = Some(count(node)?),
        "max_items" => field.limits.max_items = Some(count(node)?),
        "required" => field.required = truth(node)?,
        "immutable" => field.immutable = truth(node)?,
        "order" => {
            field.order = match call(scalar(node)?)? {
                ("significant", None) => Order::Significant,
                ("none", None) => Order::None,
                ("field", Some(name)) if !name.is_empty() => Order::Field(name.to_owned()),
                _ => return Err("`significant`, `none` or `field(NAME)`".to_owned()),
            };
        }
        "insert" => {
            field.insert_conflict =
                one_of(scalar(node)?, [("by_key", false), ("conflict", true)].into_iter())?;
        }
        "item" => {
            field.item_atomic =
                one_of(scalar(node)?, [("map", false), ("atomic", true)].into_iter())?;
        }
        "groups" => {
            field.groups = list(node)?.iter().map(names).collect::<Read<_>>()?;
            let all: Vec<&String> = field.groups.iter().flatten().collect();
            let twice = all
                .iter()
                .enumerate()
                .any(|(at, name)| all.iter().skip(at + 1).any(|other| other == name));
            if field.groups.iter().any(|group| group.len() < 2) || twice {
                return Err("a group has two fields or more, each in one group".to_owned());
            }
            // A group in conflict stands under a key of its own, made of these names.
            let marked = |name: &&&String| name.contains([',', '{', '}']);
            if all.iter().any(|name| marked(&name))
                || all.iter().map(|name| name.len() + 1).sum::<usize>() > 250
            {
                return Err("names in groups are short, and have no `,`, `{` or `}`".to_owned());
            }
        }
        "invariants" => {
            let read = |node: &Node| Predicate::parse(scalar(node)?);
            field.invariants = list(node)?.iter().map(read).collect::<Read<_>>()?;
        }
        "delete" => {
            let words = [
                ("conflict", Delete::Conflict),
                ("edit_wins", Delete::EditWins),
                ("delete_wins", Delete::DeleteWins),
            ];
            field.reach.delete = Some(one_of(scalar(node)?, words.into_iter())?);
        }
        "on_conflict" => field.reach.on_conflict = Some(fallback(scalar(node)?)?),
        "locked" => field.reach.locked = Some(truth(node)?),
        "inherit" => {
            let words = [
                ("flow", Inherit::Flow),
                ("at_create", Inherit::AtCreate),
                ("never", Inherit::Never),
            ];
            field.reach.inherit = Some(one_of(scalar(node)?, words.into_iter())?);
        }
        "on_shadow" => {
            let words = [
                ("notice", OnShadow::Notice),
                ("conflict", OnShadow::Conflict),
                ("silent", OnShadow::Silent),
            ];
            field.reach.on_shadow = Some(one_of(scalar(node)?, words.into_iter())?);
        }
        "move_domain" => field.move_domain = Some(name(scalar(node)?)?),
        _ => return Err("no field has this attribute".to_owned()),
    }
    Ok(())
}

fn kind(node: &Node) -> Read<Type> {
    one_of(scalar(node)?, Type::ALL.into_iter().map(|kind| (kind.word(), kind)))
}

/// The value that goes with a word; the error lists the words.
fn one_of<T>(text: &str, words: impl Iterator<Item = (&'static str, T)>) -> Read<T> {
    let mut known = Vec::new();
    for (word, value) in words {
        if word == text {
            return Ok(value);
        }
        known.push(format!("`{word}`"));
    }
    Err(format!("it is one of {}", known.join(", ")))
}

fn scalar(node: &Node) -> Read<&str> {
    match &node.data {
        Data::Scalar { text, .. } => Ok(text),
        _ => Err("it is a word".to_owned()),
    }
}

fn list(node: &Node) -> Read<&[Node]> {
    match &node.data {
        Data::List(nodes) => Ok(nodes),
        _ => Err("it is a list in brackets".to_owned()),
    }
}

fn names(node: &Node) -> Read<Vec<String>> {
    let name = |node: &Node| match scalar(node)? {
        "" => Err("a name is empty".to_owned()),
        text => Ok(text.to_owned()),
    };
    list(node)?.iter().map(name).collect()
}

fn truth(node: &Node) -> Read<bool> {
    match &node.data {
        Data::Scalar { text, quoted: false } if text == "true" => Ok(true),
        Data::Scalar { text, quoted: false } if text == "false" => Ok(false),
        _ => Err("it is `true` or `false`".to_owned()),
    }
}

fn count(node: &Node) -> Read<u64> {
    scalar(node)?.parse().map_err(|_| "it is a whole number".to_owned())
}

/// Reads a value of a type; without one, as JSON would, a bare word being a string.
fn value(node: &Node, kind: Option<Type>) -> Read<Value> {
    let Data::Scalar { text, quoted } = &node.data else {
        return Err("it is a single value".to_owned());
    };
    match kind {
        Some(Type::String | Type::Text) => Ok(Value::from(text.as_str())),
        Some(Type::Timestamp) => {
            text.parse::<Timestamp>().map(Value::Timestamp).map_err(|error| error.to_string())
        }
        Some(Type::Bool) => truth(node).map(Value::Bool),
        Some(kind) if kind.is_number() => match Value::number(text) {
            Ok(number) if kind.holds(&number) => Ok(number),
            _ => Err(format!("`{text}` is no {}", kind.word())),
        },
        _ => match text.as_str() {
            _ if *quoted => Ok(Value::from(text.as_str())),
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            text => Ok(Value::number(text).unwrap_or_else(|_| Value::from(text))),
        },
    }
}

/// Takes `name(argument)` or `name` apart.
fn call(text: &str) -> Read<(&str, Option<&str>)> {
    match text.trim().split_once('(') {
        None => Ok((text.trim(), None)),
        Some((name, rest)) => match rest.strip_suffix(')') {
            Some(argument) => Ok((name.trim(), Some(argument.trim()))),
            None => Err("a `(` is not closed".to_owned()),
        },
    }
}

/// Reads the name of a function or domain.
fn name(text: &str) -> Read<String> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-.@".contains(&b);
    if text.is_empty() || text.len() > MAX_NAME || !text.bytes().all(plain) {
        return Err(format!("a name is 1 to {MAX_NAME} of `a-z 0-9 _ - . @`"));
    }
    Ok(text.to_owned())
}

fn policy(text: &str) -> Read<Policy> {
    Ok(match call(text)? {
        ("atomic", None) => Policy::Atomic,
        ("map", None) => Policy::Map,
        ("set", None) => Policy::Set,
        ("keyed", None) => Policy::Keyed,
        ("sequence", None) => Policy::Sequence,
        ("max", None) => Policy::Max,
        ("min", None) => Policy::Min,
        ("counter", None) => Policy::Counter,
        ("text", Some(unit)) => {
            Policy::Text(one_of(unit, Unit::ALL.into_iter().map(|unit| (unit.word(), unit)))?)
        }
        ("latest_by", Some(field)) if !field.is_empty() => Policy::LatestBy(field.to_owned()),
        ("derived", Some(function)) => Policy::Derived(name(function)?),
        ("hook", Some(function)) => {
            let named = name(function)?;
            match named.split_once('@') {
                Some((function, version)) if !function.is_empty() && !version.is_empty() => {}
                _ => return Err("a hook is `hook(NAME@VERSION)`".to_owned()),
            }
            Policy::Hook(named)
        }
        ("ordered", Some(steps)) => ordered(steps)?,
        _ => {
            let known = "`atomic`, `map`, `set`, `keyed`, `sequence`, `text(UNIT)`, `max`, `min`, \
                `ordered(A < B)`, `counter`, `latest_by(FIELD)`, `derived(NAME)`, `hook(NAME@VERSION)`";
            return Err(format!("it is one of {known}"));
        }
    })
}

fn ordered(text: &str) -> Read<Policy> {
    let (steps, least) = match text.rsplit_once(',') {
        Some((steps, end)) if end.trim() == "min" => (steps, true),
        _ => (text, false),
    };
    let steps: Vec<String> = steps.split('<').map(|step| step.trim().to_owned()).collect();
    let mut distinct = steps.clone();
    distinct.sort();
    distinct.dedup();
    let bare = |step: &String| !step.is_empty() && !step.contains(',');
    if steps.len() < 2 || distinct.len() != steps.len() || !steps.iter().all(bare) {
        return Err("`ordered(A < B < C)` has two different steps or more".to_owned());
    }
    Ok(Policy::Ordered { steps, least })
}

fn fallback(text: &str) -> Read<Fallback> {
    Ok(match call(text)? {
        ("keep", None) => Fallback::Keep,
        ("ours", None) => Fallback::Ours,
        ("theirs", None) => Fallback::Theirs,
        ("non_empty", None) => Fallback::NonEmpty,
        ("edition", Some(list)) => {
            let all: Vec<String> = list.split(',').map(|one| one.trim().to_owned()).collect();
            if all.iter().any(String::is_empty) {
                return Err("`edition(A, B)` names ids or classes".to_owned());
            }
            Fallback::Edition(all)
        }
        _ => {
            let known = "`keep`, `ours`, `theirs`, `edition(A, B)`, `non_empty`";
            return Err(format!("it is one of {known}"));
        }
    })
}
