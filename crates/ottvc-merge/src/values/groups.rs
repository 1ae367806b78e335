//! Fields that move together: merged as one unit, at a place beside them.
//!
//! In a document the fields stand by themselves. Only while they are in conflict their place is taken
//! by one entry, whose key is made of their names (`{asset,width,height}`), and whose terms are maps of
//! them; settling it puts the fields back.

use std::collections::BTreeSet;

use ottvc_object::conflict::Conflict;
use ottvc_object::field_path::{FieldPath, Segment};
use ottvc_object::value::{Value, ValueMap};

use super::{Labels, Walk};
use crate::MergeError;
use crate::schema::Cursor;
use crate::slot::Slot;

/// The policy of a group in its conflicts.
pub(crate) const GROUP: &str = "group";

/// The key under which these fields stand while they are in conflict.
pub(crate) fn group_key(names: &[String]) -> String {
    format!("{{{}}}", names.join(","))
}

/// The fields that stand under a key while they are in conflict.
pub(crate) fn group_names(key: &str) -> Option<Vec<&str>> {
    Some(key.strip_prefix('{')?.strip_suffix('}')?.split(',').collect())
}

/// Returns the conflict that the field at `path` is a part of, though it does not lie at its path or
/// above: that of a group. Whoever reads a field asks, as the field alone seems to be absent.
pub fn group_conflict<'d>(
    document: &'d Value,
    path: &FieldPath,
) -> Option<(FieldPath, &'d Conflict<Value>)> {
    (0..path.0.len()).find_map(|len| {
        let parent = FieldPath(path.0.iter().take(len).cloned().collect());
        let (Value::Map(map), Some(Segment::Key(name))) = (document.get(&parent)?, path.0.get(len))
        else {
            return None;
        };
        map.iter().find_map(|(key, value)| {
            let conflict = in_conflict(Some(value))?;
            let member = group_names(key)?.contains(&name.as_str());
            member.then(|| (parent.key(key.as_str()), conflict))
        })
    })
}

/// The conflict of a group, if that is what stands there.
fn in_conflict(value: Option<&Value>) -> Option<&Conflict<Value>> {
    match value {
        Some(Value::Conflict(conflict)) if conflict.policy == GROUP => Some(conflict),
        _ => None,
    }
}

/// What a map has of a group: its conflict, or a map of the fields that are there.
fn tuple(map: &ValueMap, names: &[String], key: &str) -> Option<Value> {
    if let Some(conflict) = in_conflict(map.get(key)) {
        return Some(Value::Conflict(Box::new(conflict.clone())));
    }
    let field = |name: &String| Some((name.clone(), map.get(name)?.clone()));
    let fields: ValueMap = names.iter().filter_map(field).collect();
    (!fields.is_empty()).then_some(Value::Map(fields))
}

impl<'o> Walk<'o> {
    /// Merges the groups of these maps into `merged`, and returns the keys that are done with it.
    pub(super) fn groups(
        &mut self,
        maps: &[Option<&ValueMap>],
        labels: Labels<'_>,
        at: &Cursor<'o>,
        merged: &mut ValueMap,
    ) -> Result<BTreeSet<String>, MergeError> {
        let mut done = BTreeSet::new();
        for names in at.groups() {
            let key = group_key(names);
            let of = |map: &ValueMap| tuple(map, names, &key);
            let tuples: Vec<Option<Value>> = maps.iter().map(|map| map.and_then(of)).collect();
            let terms = tuples.iter().map(|tuple| tuple.as_ref().into()).collect();
            // An owned tuple for each label, as its fields do not stand in one value.
            let label = |label: Option<Slot<'_>>| match label? {
                Slot::Absent => Some(None),
                Slot::Value(Value::Map(map)) => Some(of(map)),
                _ => None,
            };
            let [ours, base, theirs] = [labels.ours, labels.base, labels.theirs].map(label);
            let [ours, base, theirs] = [&ours, &base, &theirs]
                .map(|tuple| tuple.as_ref().map(|tuple| tuple.as_ref().into()));
            let labels = Labels { ours, base, theirs };
            self.path.0.push(Segment::Key(key.clone()));
            let result = self.place(terms, labels, &at.group());
            self.path.0.pop();
            match result? {
                None => {}
                Some(Value::Map(fields)) => merged.extend(fields),
                Some(conflict) => drop(merged.insert(key.clone(), conflict)),
            }
            // A map of another kind of thing may have such a key by chance; that is no group.
            if maps.iter().flatten().any(|map| in_conflict(map.get(&key)).is_some()) {
                done.insert(key);
            }
            done.extend(names.iter().cloned());
        }
        Ok(done)
    }
}
