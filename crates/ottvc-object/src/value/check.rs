//! The rules and limits a document keeps that its types alone do not.

use crate::conflict::{Conflict, Term};
use crate::error::ObjectError;
use crate::field_path::{FieldPath, Segment};
use crate::value::{
    KeyedList, ListOrder, MAX_CONFLICT_DEPTH, MAX_DEPTH, Value, ValueMap, canonical_tag,
    not_a_leaf, not_a_tag,
};

/// The longest key of a map, in bytes.
pub const MAX_KEY_BYTES: usize = 255;
/// The most values in one document, every element and item counted.
pub const MAX_VALUES: usize = 1 << 18;

/// Checks a whole document.
pub(super) fn check_root(root: &Value) -> Result<(), ObjectError> {
    let why = match root {
        Value::Map(_) => None,
        // Whatever settles a conflict must leave what may stand there.
        Value::Conflict(conflict) => (!conflict
            .all_values(&|value| matches!(value, Value::Map(_))))
        .then(|| "a conflict over a whole document is among maps".to_owned()),
        _ => Some(format!("a document is a map, this is {}", root.kind_phrase())),
    };
    if let Some(why) = why {
        return Err(ObjectError::BadValue { field: "/".into(), why });
    }
    root.check()
}

impl Value {
    /// Holds a value to the rules and limits of documents, whatever its kind.
    ///
    /// # Errors
    /// [`ObjectError::BadValue`] naming the field that breaks one.
    pub fn check(&self) -> Result<(), ObjectError> {
        let mut check = Check { path: FieldPath::default(), conflicts: 0, values: 0 };
        let checked = check.value(self, 1);
        checked.map_err(|why| ObjectError::BadValue { field: check.path.to_string(), why })
    }
}

/// A walk over a document; on an error `path` stays where the error is.
struct Check {
    path: FieldPath,
    conflicts: usize,
    values: usize,
}

type Checked = Result<(), String>;

impl Check {
    fn value(&mut self, value: &Value, depth: usize) -> Checked {
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(format!("the document has over {MAX_VALUES} values"));
        }
        if let Value::Conflict(conflict) = value {
            return self.conflict(conflict, depth);
        }
        if depth > MAX_DEPTH {
            return Err(format!("nested over {MAX_DEPTH} deep"));
        }
        match value {
            Value::Asset(asset) => asset.fault().map_or(Ok(()), |why| Err(why.to_owned())),
            Value::Array(elements) => (0..).zip(elements).try_for_each(|(at, element)| {
                self.below(Segment::Index(at), |check| check.value(element, depth + 1))
            }),
            Value::Set(set) => set.iter().try_for_each(|element| {
                self.below(Segment::Element(element.clone()), |check| {
                    check.value(element, depth + 1)
                })
            }),
            Value::Keyed(list) => self.list(list, depth),
            Value::Map(map) => self.map(map, depth),
            Value::Localized(map) => map.iter().try_for_each(|(tag, leaf)| {
                self.below(Segment::Locale(tag.clone()), |check| check.leaf(tag, leaf, depth + 1))
            }),
            _ => Ok(()),
        }
    }

    fn map(&mut self, map: &ValueMap, depth: usize) -> Checked {
        map.iter().try_for_each(|(key, child)| {
            self.below(Segment::Key(key.clone()), |check| {
                if key.len() > MAX_KEY_BYTES {
                    return Err("a key has over 255 bytes".to_owned());
                }
                check.value(child, depth + 1)
            })
        })
    }

    fn leaf(&mut self, tag: &str, leaf: &Value, depth: usize) -> Checked {
        if canonical_tag(tag).as_deref() != Some(tag) {
            return Err(not_a_tag(tag));
        }
        if !leaf.is_localized_leaf() {
            return Err(not_a_leaf(leaf));
        }
        self.value(leaf, depth)
    }

    fn list(&mut self, list: &KeyedList, depth: usize) -> Checked {
        for (key, item) in list.items() {
            self.below(list.segment(key), |check| {
                key.parts().iter().try_for_each(|part| check.value(part, depth + 1))?;
                check.value(item, depth + 1)
            })?;
        }
        match list.order() {
            ListOrder::Known(_) => Ok(()),
            ListOrder::Conflict(conflict) => {
                self.below(Segment::Order, |check| check.conflict(conflict, depth + 1))
            }
        }
    }

    fn conflict(&mut self, conflict: &Conflict<Value>, depth: usize) -> Checked {
        self.conflicts += 1;
        if self.conflicts > MAX_CONFLICT_DEPTH {
            return Err(format!("over {MAX_CONFLICT_DEPTH} conflicts inside one another"));
        }
        if conflict.policy.len() > MAX_KEY_BYTES {
            return Err("the policy of a conflict has over 255 bytes".to_owned());
        }
        conflict.path.check().map_err(str::to_owned)?;
        for term in conflict.terms.as_slice() {
            match term {
                Term::Absent => {}
                Term::Value(Value::Conflict(_)) => {
                    return Err("a conflict is a contested term of another, not a value".to_owned());
                }
                Term::Value(value) => self.value(value, depth)?,
                Term::Contested(nested) => self.conflict(nested, depth)?,
            }
        }
        self.conflicts -= 1;
        Ok(())
    }

    fn below(&mut self, segment: Segment, check: impl FnOnce(&mut Self) -> Checked) -> Checked {
        self.path.0.push(segment);
        check(self)?;
        self.path.0.pop();
        Ok(())
    }
}
