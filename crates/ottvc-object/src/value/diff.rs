//! The difference of two values, field by field.

use std::collections::BTreeSet;

use crate::field_path::{FieldPath, Segment};
use crate::value::{Key, KeyedList, ListOrder, Value, ValueMap};

/// One field that two values do not share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldChange {
    /// Where.
    pub field: FieldPath,
    /// What was there; `None` where nothing was.
    pub old: Option<Value>,
    /// What is there; `None` where nothing is.
    pub new: Option<Value>,
}

/// Returns what changed from `old` to `new`, as few and small fields as there are.
///
/// Maps, localized maps, keyed lists and sets are compared inside; everything else, and values of
/// two kinds, whole. Setting each `new` at its `field` in order ([`Value::set`]) makes `old` into
/// `new`; a list's order stands behind its items, and only where items alone would not give it.
pub fn diff(old: Option<&Value>, new: Option<&Value>) -> Vec<FieldChange> {
    let mut walk = Walk { path: FieldPath::root(), changes: Vec::new() };
    walk.values(old, new);
    walk.changes
}

struct Walk {
    path: FieldPath,
    changes: Vec<FieldChange>,
}

impl Walk {
    fn values(&mut self, old: Option<&Value>, new: Option<&Value>) {
        match (old, new) {
            (Some(Value::Map(old)), Some(Value::Map(new))) => self.maps(old, new, Segment::Key),
            (Some(Value::Localized(old)), Some(Value::Localized(new))) => {
                self.maps(old, new, Segment::Locale);
            }
            (Some(Value::Set(old)), Some(Value::Set(new))) => {
                let elements: BTreeSet<&Value> = old.iter().chain(new.iter()).collect();
                for element in elements {
                    let segment = Segment::Element(element.clone());
                    self.below(segment, old.get(element), new.get(element));
                }
            }
            (Some(Value::Keyed(old)), Some(Value::Keyed(new))) if old.fields() == new.fields() => {
                self.lists(old, new);
            }
            _ if old == new => {}
            _ => self.changed(old.cloned(), new.cloned()),
        }
    }

    fn maps(&mut self, old: &ValueMap, new: &ValueMap, segment: fn(String) -> Segment) {
        let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for key in keys {
            self.below(segment(key.clone()), old.get(key), new.get(key));
        }
    }

    fn lists(&mut self, old: &KeyedList, new: &KeyedList) {
        let keys: BTreeSet<&Key> = old.items().keys().chain(new.items().keys()).collect();
        for &key in &keys {
            self.below(new.segment(key), old.items().get(key), new.items().get(key));
        }
        let same = match (old.order(), new.order()) {
            (ListOrder::Known(before), ListOrder::Known(after)) => {
                let kept = before.iter().filter(|key| new.items().contains_key(key));
                let added = new.items().keys().filter(|key| !old.items().contains_key(key));
                kept.chain(added).eq(after)
            }
            (before, after) => before == after,
        };
        if !same {
            self.path.0.push(Segment::Order);
            self.changed(Some(order_value(old)), Some(order_value(new)));
            self.path.0.pop();
        }
    }

    fn below(&mut self, segment: Segment, old: Option<&Value>, new: Option<&Value>) {
        self.path.0.push(segment);
        self.values(old, new);
        self.path.0.pop();
    }

    fn changed(&mut self, old: Option<Value>, new: Option<Value>) {
        self.changes.push(FieldChange { field: self.path.clone(), old, new });
    }
}

/// The order of a list as a value: its keys, or the conflict over them.
fn order_value(list: &KeyedList) -> Value {
    match list.order() {
        ListOrder::Known(keys) => KeyedList::sequence_value(keys),
        ListOrder::Conflict(conflict) => Value::Conflict(conflict.clone()),
    }
}
