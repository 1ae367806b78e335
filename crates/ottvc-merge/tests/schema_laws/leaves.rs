//! Documents taken apart into their smallest places, to ask of each where its value came from.

use std::collections::BTreeMap;

use ottvc_merge::{Merged, same};
use ottvc_object::conflict::{Conflict, Term};
use ottvc_object::field_path::{FieldPath, Segment};
use ottvc_object::value::{KeyedList, Value};

use super::world::{Doc, NEW, ONE_OF};

/// What stands at each place: scalars and arrays as they are, a container as the word for its kind,
/// an element of a set as true. Conflicts are left out.
type Leaves = BTreeMap<FieldPath, Value>;

fn leaves_of(value: Option<&Value>, at: &FieldPath) -> Leaves {
    let mut leaves = Leaves::new();
    if let Some(value) = value {
        take(value, at, &mut leaves);
    }
    leaves
}

fn take(value: &Value, at: &FieldPath, leaves: &mut Leaves) {
    let word = || Value::from(format!("is {}", value.kind_word()));
    match value {
        Value::Conflict(_) => {}
        Value::Map(map) => {
            leaves.insert(at.clone(), word());
            for (key, child) in map {
                take(child, &at.key(key.as_str()), leaves);
            }
        }
        Value::Localized(map) => {
            leaves.insert(at.clone(), word());
            for (tag, child) in map {
                take(child, &at.join(Segment::Locale(tag.clone())), leaves);
            }
        }
        Value::Keyed(list) => {
            leaves.insert(at.clone(), word());
            for (key, item) in list.items() {
                take(item, &at.join(list.segment(key)), leaves);
            }
        }
        Value::Set(set) => {
            leaves.insert(at.clone(), word());
            for element in set.iter() {
                leaves.insert(at.join(Segment::Element(element.clone())), Value::Bool(true));
            }
        }
        leaf => drop(leaves.insert(at.clone(), leaf.clone())),
    }
}

pub(crate) fn alike_at(a: Option<&Value>, b: Option<&Value>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => same(a, b),
        (None, None) => true,
        _ => false,
    }
}

pub(crate) fn alike(a: &Doc, b: &Doc) -> bool {
    alike_at(a.as_ref(), b.as_ref())
}

/// The fields of a group that is in conflict at `path`.
pub(crate) fn group_fields(path: &FieldPath, conflict: &Conflict<Value>) -> Option<Vec<FieldPath>> {
    let (Some(Segment::Key(key)), true) = (path.0.last(), conflict.policy == "group") else {
        return None;
    };
    let names = key.strip_prefix('{')?.strip_suffix('}')?;
    let map = path.parent()?;
    Some(names.split(',').map(|name| map.key(name)).collect())
}

/// The unit a conflict is about: a value, the fields of a group, or the keys of a list in their order.
pub(crate) fn unit_at(doc: &Doc, path: &FieldPath, conflict: &Conflict<Value>) -> Option<Value> {
    let doc = doc.as_ref()?;
    if let Some(fields) = group_fields(path, conflict) {
        let field = |path: FieldPath| Some((path.to_string(), doc.get(&path)?.clone()));
        let fields: Vec<(String, Value)> = fields.into_iter().filter_map(field).collect();
        return (!fields.is_empty()).then(|| Value::map(fields));
    }
    match path.segments().split_last() {
        Some((Segment::Order, list)) => match doc.get(&FieldPath(list.to_vec()))? {
            Value::Keyed(list) => Some(KeyedList::sequence_value(list.keys_in_order())),
            _ => None,
        },
        _ => doc.get(path).cloned(),
    }
}

/// What each side of a conflict has, place by place.
fn sides_of(path: &FieldPath, conflict: &Conflict<Value>) -> Vec<Leaves> {
    let at = if conflict.policy == "group" { path.parent().unwrap() } else { path.clone() };
    let group = conflict.policy == "group";
    conflict
        .terms
        .adds()
        .map(|term| {
            let mut leaves = leaves_of(Term::value(term), &at);
            // The map of a group's fields is not itself a place.
            if group {
                leaves.remove(&at);
            }
            leaves
        })
        .collect()
}

/// Whether a conflict at `path` is about the place `leaf`.
fn is_about(path: &FieldPath, conflict: &Conflict<Value>, leaf: &FieldPath) -> bool {
    match group_fields(path, conflict) {
        Some(fields) => fields.iter().any(|field| leaf.starts_with(field)),
        None => leaf.starts_with(path),
    }
}

/// Returns a place that `side` changed and whose value is nowhere to be found.
pub(crate) fn kept(
    base: &Doc,
    side: &Doc,
    other: &Doc,
    merged: &Merged,
    schema: bool,
) -> Option<FieldPath> {
    let root = FieldPath::root();
    let [old, new, its, result] =
        [base, side, other, &merged.value].map(|doc| leaves_of(doc.as_ref(), &root));
    let conflicts = merged.value.as_ref().map(Value::conflicts).unwrap_or_default();
    let held: Vec<(&FieldPath, &Conflict<Value>, Vec<Leaves>)> = conflicts
        .iter()
        .map(|(path, conflict)| (path, *conflict, sides_of(path, conflict)))
        .collect();
    let changed = |leaves: &Leaves, field: &FieldPath| {
        let below = |leaves: &Leaves| -> Leaves {
            let within = leaves.iter().filter(|(path, _)| path.starts_with(field));
            within.map(|(path, value)| (path.clone(), value.clone())).collect()
        };
        below(leaves) != below(&old)
    };
    let places = old.keys().chain(new.keys());
    places
        .filter(|place| old.get(place) != new.get(place))
        .find(|place| {
            let in_result = result.get(place) == new.get(place);
            let in_conflict = held.iter().any(|(path, conflict, sides)| {
                is_about(path, conflict, place)
                    && sides.iter().any(|leaves| leaves.get(place) == new.get(place))
            });
            let decided = merged.decisions.iter().any(|one| place.starts_with(&one.path));
            let field = FieldPath(place.0.iter().take(1).cloned().collect());
            let weighed = |name: &&str| field == root.key(*name);
            let weighed = schema && NEW.iter().chain(&ONE_OF).any(weighed) && changed(&its, &field);
            !(in_result || in_conflict || decided || weighed)
        })
        .cloned()
}

/// Returns a place of `result` whose value no side has there.
pub(crate) fn is_made_from(result: &Doc, sides: &[&Doc]) -> Option<FieldPath> {
    let root = FieldPath::root();
    let sides: Vec<Leaves> = sides.iter().map(|side| leaves_of(side.as_ref(), &root)).collect();
    let had = |place: &FieldPath, value: &Value| {
        sides.iter().any(|leaves| leaves.get(place) == Some(value))
    };
    let mut all = vec![leaves_of(result.as_ref(), &root)];
    let conflicts = result.as_ref().map(Value::conflicts).unwrap_or_default();
    for (path, conflict) in &conflicts {
        if path.0.last() != Some(&Segment::Order) {
            all.extend(sides_of(path, conflict));
        }
    }
    let all = all.into_iter().flatten();
    all.into_iter().find(|(place, value)| !had(place, value)).map(|(place, _)| place)
}
