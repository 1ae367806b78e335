//! What is left of stubs in the terms of conflicts and decisions.

use std::collections::{BTreeMap, BTreeSet};

use ottvc_object::conflict::Term;
use ottvc_object::field_path::FieldPath;
use ottvc_object::value::{Key, KeyedList, ListOrder, MOVE, Value, ValueMap};

use super::{Carried, stub, stubbed};
use crate::MergeError;
use crate::placed::Placed;
use crate::values::moves::Node;
use crate::values::{Labels, Walk};

impl<'o> Walk<'o> {
    /// Puts items in place of the stubs that are left in the terms of conflicts and decisions.
    pub(super) fn finish_all(
        &mut self,
        carried: &Carried<'_, 'o>,
        document: Option<Value>,
        decisions: usize,
    ) -> Result<Option<Value>, MergeError> {
        let Some(mut document) = document else { return Ok(None) };
        let mut inside = Vec::new();
        let found = document.conflicts();
        let found = found.into_iter().map(|(path, conflict)| (path, conflict.clone()));
        for (path, conflict) in found.collect::<Vec<_>>() {
            let finished = Value::Conflict(Box::new(conflict.clone()));
            let finished = self.finished(carried, finished, &path, &mut inside)?;
            if finished != Value::Conflict(Box::new(conflict)) {
                document.set(&path, Some(finished))?;
            }
        }
        let made = self.decisions.split_off(decisions);
        for mut decision in made {
            let path = decision.path.clone();
            decision.terms = decision.terms.try_map(|term| -> Result<_, MergeError> {
                let term = term.clone();
                term.map(|term| self.finished(carried, term, &path, &mut inside)).transpose()
            })?;
            self.decisions.push(decision);
        }
        Ok(Some(document))
    }

    /// A value at `path` without stubs: an item that stands elsewhere is taken out, any other is put in.
    fn finished(
        &mut self,
        carried: &Carried<'_, 'o>,
        value: Value,
        path: &FieldPath,
        inside: &mut Vec<Node<'o>>,
    ) -> Result<Value, MergeError> {
        Ok(match value {
            Value::Map(map) => {
                let mut finished = ValueMap::new();
                for (key, child) in map {
                    let below = path.key(key.as_str());
                    finished.insert(key, self.finished(carried, child, &below, inside)?);
                }
                Value::Map(finished)
            }
            Value::Keyed(list) => {
                let segment = |key: &Key| list.segment(key);
                let mut finished = BTreeMap::new();
                let mut gone = BTreeSet::new();
                for (key, item) in list.items() {
                    let below = path.join(segment(key));
                    let stub = stubbed(item, carried.moves);
                    let item = match &stub {
                        None => item.clone(),
                        Some(node)
                            if carried.placed.contains_key(node) || inside.contains(node) =>
                        {
                            gone.insert(key.clone());
                            continue;
                        }
                        Some(node) => self.unplaced(carried, node, &below)?,
                    };
                    let depth = inside.len();
                    inside.extend(stub);
                    finished.insert(key.clone(), self.finished(carried, item, &below, inside)?);
                    inside.truncate(depth);
                }
                let (fields, _, mut order) = list.into_parts();
                if let ListOrder::Known(order) = &mut order {
                    order.retain(|key| !gone.contains(key));
                }
                Value::Keyed(KeyedList::from_parts(fields, finished, order)?)
            }
            Value::Conflict(mut conflict) => {
                let places = conflict.policy == MOVE;
                conflict.terms = conflict.terms.try_map(|term| -> Result<_, MergeError> {
                    Ok(match term {
                        Term::Value(held) if places => {
                            Term::Value(self.finished_place(carried, held.clone(), path, inside)?)
                        }
                        Term::Value(held) => {
                            Term::Value(self.finished(carried, held.clone(), path, inside)?)
                        }
                        other => other.clone(),
                    })
                })?;
                Value::Conflict(conflict)
            }
            other => other,
        })
    }

    /// [`Self::finished`] of items with their places.
    fn finished_place(
        &mut self,
        carried: &Carried<'_, 'o>,
        held: Value,
        path: &FieldPath,
        inside: &mut Vec<Node<'o>>,
    ) -> Result<Value, MergeError> {
        let Some(mut placed) = Placed::read(&held) else { return Ok(held) };
        let mut with = std::mem::take(&mut placed.with);
        for one in std::iter::once(&mut placed).chain(&mut with) {
            if let Some(item) = one.item.take() {
                one.item = Some(self.finished(carried, item, path, inside)?);
            }
        }
        Ok(Placed { with, ..placed }.to_value())
    }

    /// An item that stands only in a term of a conflict, at `path` there: merged, if it merges.
    fn unplaced(
        &mut self,
        carried: &Carried<'_, 'o>,
        node: &Node<'o>,
        path: &FieldPath,
    ) -> Result<Value, MergeError> {
        let slots = carried.slots(node);
        let [ours, base, theirs] = slots;
        let noted = (self.decisions.len(), self.derived.len(), self.judged.len());
        let mut merged = None;
        if let (Some(a), Some(b)) = (ours.value(), theirs.value()) {
            let (first, last) = if b < a { (theirs, ours) } else { (ours, theirs) };
            let labels = Labels { ours: Some(ours), base: Some(base), theirs: Some(theirs) };
            merged =
                self.at_path(path, |walk, at| walk.place(vec![first, base, last], labels, at))?;
        }
        // Nothing was decided where it is not, and nobody would read of it.
        if self.decisions.len() > noted.0 {
            self.decisions.truncate(noted.0);
            merged = None;
        }
        self.derived.truncate(noted.1);
        self.judged.truncate(noted.2);
        let only = match (ours.value(), theirs.value()) {
            (Some(only), None) | (None, Some(only)) => Some(only.clone()),
            _ => None,
        };
        // A stub is left of what has no one value: then nobody moved anything ([`Self::has_all`]).
        Ok(merged.filter(|it| matches!(it, Value::Map(_))).or(only).unwrap_or_else(|| stub(node)))
    }
}
