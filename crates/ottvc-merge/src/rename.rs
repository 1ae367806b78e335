//! The rename of an entry, written down where a merge finds it.

use ottvc_object::field_path::{FieldPath, Segment};
use ottvc_object::value::{Value, ValueSet};

use crate::MergeError;
use crate::values::{FROM, former, moved};

/// The most former keys an entry remembers.
pub const MAX_FORMER_KEYS: usize = 16;

/// Returns `document` with the entry at `path` under another key, `new`, and its former key noted.
///
/// The entry is a map: one under a map key, with `new` a key, or an item of a keyed list, with `new`
/// naming its key fields. Its place in the order of a list stays. Of more than [`MAX_FORMER_KEYS`]
/// former keys some are forgotten, never the last.
///
/// # Errors
/// [`MergeError::CannotRename`] where there is no such entry, or another has that key.
pub fn rename_entry(
    document: &Value,
    path: &FieldPath,
    new: &Segment,
) -> Result<Value, MergeError> {
    let cannot = |why| MergeError::CannotRename { at: path.clone(), why };
    let Some((old, holder)) = path.0.split_last() else {
        return Err(cannot("the whole document has no key"));
    };
    let holder = FieldPath(holder.to_vec());
    let target = holder.join(new.clone());
    let Some(Value::Map(mut entry)) = document.get(path).cloned() else {
        return Err(cannot("only a map can note its former key"));
    };
    if document.get(&target).is_some() {
        return Err(cannot("another entry has that key"));
    }
    match (old, new) {
        (Segment::Key(_), Segment::Key(_)) => {}
        (Segment::Item(old), Segment::Item(new)) if old.len() == new.len() => {
            for (field, part) in new {
                if entry.insert(field.clone(), part.clone()).is_none() {
                    return Err(cannot("the new key has other key fields"));
                }
            }
        }
        _ => return Err(cannot("an entry keeps the kind of key it has")),
    }
    let former = former(old);
    let mut from = match entry.remove(FROM) {
        Some(Value::Set(from)) => from,
        _ => ValueSet::default(),
    };
    from.insert(former.clone())?;
    while from.len() > MAX_FORMER_KEYS {
        let Some(first) = from.iter().find(|key| **key != former).cloned() else { break };
        from.remove(&first);
    }
    entry.insert(FROM.to_owned(), Value::Set(from));
    let order = order_with(document.get(&holder), old, new);
    let mut document = document.clone();
    document.set(path, None)?;
    let entry = moved(Value::Map(entry), holder.0.len(), new);
    document.set(&target, Some(entry))?;
    if let Some(order) = order {
        document.set(&holder.join(Segment::Order), Some(order))?;
    }
    Ok(document)
}

/// The order of a list in which one key is another.
fn order_with(list: Option<&Value>, old: &Segment, new: &Segment) -> Option<Value> {
    let (Some(Value::Keyed(list)), Segment::Item(old), Segment::Item(new)) = (list, old, new)
    else {
        return None;
    };
    let (old, new) = (list.key_named(old)?, list.key_named(new)?);
    let keys = list.keys_in_order().into_iter().map(|key| if *key == old { &new } else { key });
    Some(ottvc_object::value::KeyedList::sequence_value(keys))
}
