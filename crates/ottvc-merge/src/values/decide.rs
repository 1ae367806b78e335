//! What decides where policies could not (S8): rules of the call, fallbacks of the schema, and what
//! was decided before.
//!
//! Whatever is decided here would be a conflict otherwise, and is reported.

use ottvc_object::conflict::{Conflict, ConflictKind, Terms};
use ottvc_object::field_path::{FieldPath, Segment};
use ottvc_object::value::Value;

use super::{Labels, Shape, Walk, group_names};
use crate::memory::MemoryKey;
use crate::schema::{Cursor, Delete, Fallback};
use crate::slot::Slot;
use crate::{MergeError, Side};

/// A conflict that a rule kept from being one.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Where.
    pub path: FieldPath,
    /// The rule, as it was written; of a schema with its attribute, `on_conflict: theirs`.
    pub rule: String,
    /// What it took.
    pub chosen: Chosen,
    /// What the sides and bases have there, as the conflict would have held it.
    pub terms: Terms<Option<Value>>,
}

/// What a decision took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chosen {
    /// What ours, theirs or the base has.
    Side(Side),
    /// Something else: one side of many, or what several of them come to.
    Merged,
}

impl Chosen {
    /// The word for it in messages and JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Side(side) => side.word(),
            Self::Merged => "merged",
        }
    }
}

impl<'o> Walk<'o> {
    /// S8, S9: takes what a rule says, or puts a conflict here.
    pub(super) fn conflict<'a>(
        &mut self,
        kind: ConflictKind,
        policy: &str,
        terms: &[Slot<'a>],
        labels: Labels<'a>,
        at: &Cursor<'o>,
    ) -> Result<Option<Value>, MergeError> {
        if kind != ConflictKind::ContestedBase
            && let Some((rule, chosen, slot)) = self.decide(terms, labels, at)
        {
            self.decided(rule, chosen, terms)?;
            return Ok(slot.to_value());
        }
        let conflict = self.conflict_of(kind, policy, terms)?;
        if let Some((name, result)) = self.recall(&conflict, terms) {
            let slot: Slot<'_> = result.as_ref().into();
            self.decided(format!("memory: {name}"), labels.name_of(slot), terms)?;
            return Ok(result);
        }
        Ok(Some(Value::Conflict(Box::new(conflict))))
    }

    /// Returns how this disagreement was settled before, if that may stand here.
    fn recall(
        &self,
        conflict: &Conflict<Value>,
        terms: &[Slot<'_>],
    ) -> Option<(String, Option<Value>)> {
        if !self.options.decisions || self.options.memory.is_empty() {
            return None;
        }
        let key = MemoryKey::of(conflict, self.options.schema.as_deref())?;
        let known = self.options.memory.recall(&key)?;
        let fits = known.result.as_ref().is_none_or(|value| self.may_stand(value, terms));
        fits.then(|| (known.name.clone(), known.result.clone()))
    }

    /// Whether a value that no side has may stand here: of a kind that a side has, without conflicts,
    /// an item with its key, a group of its fields.
    pub(super) fn may_stand(&self, value: &Value, terms: &[Slot<'_>]) -> bool {
        let mut sides = terms.iter().step_by(2).filter_map(|slot| slot.value());
        let kind = sides.any(|side| side.kind_number() == value.kind_number());
        let place = match (self.path.segments().last(), value) {
            (Some(Segment::Item(parts)), Value::Map(map)) => {
                parts.iter().all(|(field, part)| map.get(field) == Some(part))
            }
            (Some(Segment::Key(key)), Value::Map(map)) if terms_are_groups(terms, key) => {
                group_names(key)
                    .is_some_and(|names| map.keys().all(|it| names.contains(&it.as_str())))
            }
            _ => true,
        };
        kind && place && !value.has_conflict()
    }

    /// Returns what the first of rule and fallback takes that has something to take.
    fn decide<'a>(
        &self,
        terms: &[Slot<'a>],
        labels: Labels<'a>,
        at: &Cursor<'o>,
    ) -> Option<(String, Chosen, Slot<'a>)> {
        let take = |side: Side| labels.of(side).filter(|slot| !slot.is_conflict());
        let rule = self.options.rule_for(self.file, Some(&self.path)).filter(|_| !at.locked());
        if let Some(rule) = rule
            && let Some(slot) = take(rule.side)
        {
            return Some((rule.to_string(), Chosen::Side(rule.side), slot));
        }
        let fallback = at.on_conflict().filter(|_| self.options.decisions)?;
        let (chosen, slot) = match fallback {
            Fallback::Keep => return None,
            Fallback::Ours => (Chosen::Side(Side::Ours), take(Side::Ours)?),
            Fallback::Theirs => (Chosen::Side(Side::Theirs), take(Side::Theirs)?),
            Fallback::Edition(wanted) => {
                let side = self.preferred(wanted)?;
                (Chosen::Side(side), take(side)?)
            }
            Fallback::NonEmpty => {
                let slot = only_one(terms.iter().step_by(2).copied().filter(says_something))?;
                (labels.name_of(slot), slot)
            }
        };
        Some((format!("on_conflict: {fallback}"), chosen, slot))
    }

    /// The side that is the first of these editions; both at once are none.
    fn preferred(&self, wanted: &[String]) -> Option<Side> {
        let editions = &self.options.editions;
        wanted.iter().find_map(|one| {
            match (editions.ours.contains(one), editions.theirs.contains(one)) {
                (true, false) => Some(Side::Ours),
                (false, true) => Some(Side::Theirs),
                _ => None,
            }
        })
    }

    fn decided(
        &mut self,
        rule: String,
        chosen: Chosen,
        terms: &[Slot<'_>],
    ) -> Result<(), MergeError> {
        let count = terms.len();
        let terms = Terms::new(terms.iter().map(|slot| slot.to_value()).collect());
        self.decisions.push(Decision {
            path: self.path.clone(),
            rule,
            chosen,
            terms: terms.map_err(|_| self.too_many(count))?,
        });
        Ok(())
    }

    /// S4, where some sides have nothing and others changed something.
    pub(super) fn deletion<'a>(
        &mut self,
        shape: &Shape<'a>,
        terms: &[Slot<'a>],
        labels: Labels<'a>,
        at: &Cursor<'o>,
    ) -> Result<Option<Value>, MergeError> {
        let present = || terms.iter().step_by(2).copied().filter(|slot| !slot.is_absent());
        match at.delete() {
            Delete::Conflict => {}
            Delete::DeleteWins => {
                let rule = "delete: delete_wins".to_owned();
                self.decided(rule, labels.name_of(Slot::Absent), terms)?;
                return Ok(None);
            }
            Delete::EditWins => {
                let rule = "delete: edit_wins".to_owned();
                if let Some(only) = only_one(present()) {
                    self.decided(rule, labels.name_of(only), terms)?;
                    return Ok(only.to_value());
                }
                // Several changes are merged, each with the base all of them share.
                if let Some(base) = only_one(terms.iter().skip(1).step_by(2).copied()) {
                    self.decided(rule, Chosen::Merged, terms)?;
                    let mut rest: Vec<Slot<'a>> = present().flat_map(|slot| [slot, base]).collect();
                    rest.pop();
                    return self.place(rest, labels, at);
                }
            }
        }
        let policy = at.word().unwrap_or_else(|| shape.policy().to_owned());
        self.conflict(ConflictKind::DeleteEdit, &policy, terms, labels, at)
    }
}

impl Labels<'_> {
    /// Whose this is.
    pub(super) fn name_of(self, slot: Slot<'_>) -> Chosen {
        let has = |side: &Side| self.of(*side) == Some(slot);
        [Side::Ours, Side::Theirs].into_iter().find(has).map_or(Chosen::Merged, Chosen::Side)
    }
}

/// Whether these are the terms of a group: maps of the fields that the key names.
fn terms_are_groups(terms: &[Slot<'_>], key: &str) -> bool {
    group_names(key).is_some_and(|names| {
        let mut maps = terms.iter().filter_map(|slot| slot.value());
        maps.all(|value| match value {
            Value::Map(map) => map.keys().all(|field| names.contains(&field.as_str())),
            _ => false,
        })
    })
}

/// The slot that all of `slots` are, if there is one.
fn only_one<'a>(mut slots: impl Iterator<Item = Slot<'a>>) -> Option<Slot<'a>> {
    let first = slots.next()?;
    slots.all(|slot| slot == first).then_some(first)
}

/// Whether a side says more than that there is nothing to say.
fn says_something(slot: &Slot<'_>) -> bool {
    match slot.value() {
        None | Some(Value::Null) => false,
        Some(Value::String(text) | Value::Text(text)) => !text.is_empty(),
        Some(Value::Array(elements)) => !elements.is_empty(),
        Some(Value::Set(set)) => !set.is_empty(),
        Some(Value::Map(map) | Value::Localized(map)) => !map.is_empty(),
        Some(Value::Keyed(list)) => !list.items().is_empty(),
        Some(_) => true,
    }
}
