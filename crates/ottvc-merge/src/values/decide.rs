//! What decides where policies could not (S8): rules of the call, then fallbacks of the schema.
//!
//! Whatever is decided here would be a conflict otherwise, and is reported.

use ottvc_object::conflict::{ConflictKind, Terms};
use ottvc_object::field_path::FieldPath;
use ottvc_object::value::Value;

use super::{Labels, Shape, Walk};
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
        Ok(Some(Value::Conflict(Box::new(self.conflict_of(kind, policy, terms)?))))
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

impl<'a> Labels<'a> {
    /// Whose this is.
    pub(super) fn name_of(self, slot: Slot<'a>) -> Chosen {
        let has = |side: &Side| self.of(*side) == Some(slot);
        [Side::Ours, Side::Theirs].into_iter().find(has).map_or(Chosen::Merged, Chosen::Side)
    }
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
