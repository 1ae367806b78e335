//! How a conflict was settled, read from the document that came of it: `resolve_document` the other way
//! round.

use ottvc_object::conflict::{Conflict, Term};
use ottvc_object::field_path::{FieldPath, Segment};
use ottvc_object::value::{RENAME, Value};

use crate::values::{GROUP, group_names};

/// Returns what was put in place of `conflict`, which stood at `at`, by whoever made `settled` of its document
/// (`None`: removed it); `None` where that cannot be told.
///
/// `Choice::Value` of it, or `Choice::Absent`, settles the conflict alike. Of a rename it is the term whose
/// place and content the entry has; an entry that is where no term has it may be gone, or elsewhere.
pub fn what_settled(
    conflict: &Conflict<Value>,
    at: &FieldPath,
    settled: Option<&Value>,
) -> Option<Option<Value>> {
    let (last, above) = match at.0.split_last() {
        None => return whole(settled),
        Some((Segment::Order, _)) => return None,
        Some((last, above)) => (last, FieldPath(above.to_vec())),
    };
    let document = settled?;
    if conflict.policy == RENAME {
        return renamed(conflict, document.get(&above)?);
    }
    match (conflict.policy == GROUP, last) {
        (true, Segment::Key(key)) => {
            // Its fields are nowhere while it is still in conflict.
            whole(document.get(at))?;
            let names = group_names(key)?;
            let field = |name: &&str| Some(((*name).to_owned(), document.get(&above.key(*name))?));
            let fields = names.iter().filter_map(field);
            let fields: Vec<(String, Value)> =
                fields.map(|(name, value)| (name, value.clone())).collect();
            whole((!fields.is_empty()).then(|| Value::map(fields)).as_ref())
        }
        _ => whole(document.get(at)),
    }
}

/// A value without conflicts.
fn whole(value: Option<&Value>) -> Option<Option<Value>> {
    (!value.is_some_and(Value::has_conflict)).then(|| value.cloned())
}

/// The one term whose entries stand in `holder` as it has them.
fn renamed(conflict: &Conflict<Value>, holder: &Value) -> Option<Option<Value>> {
    let mut taken: Option<&Value> = None;
    for term in conflict.terms.as_slice().iter().filter_map(Term::value) {
        let Value::Map(map) = term else { return None };
        let stands = match holder {
            Value::Keyed(list) => list.items().get(&list.key_of(map).ok()?) == Some(term),
            _ => map.iter().all(|(key, entry)| {
                holder.get(&FieldPath::root().key(key.as_str())) == Some(entry)
            }),
        };
        if stands && taken.is_some_and(|other| other != term) {
            return None;
        }
        taken = taken.or(stands.then_some(term));
    }
    whole(Some(taken?))
}
