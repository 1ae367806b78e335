//! After the walk: fields that functions make, and whether what was put together keeps its schema.
//!
//! Only what several sides put together is judged: what one side alone wrote is that side's, and was
//! judged when it was written. A container with conflicts inside is judged when they are settled.

use ottvc_object::conflict::{ConflictKind, Term};
use ottvc_object::field_path::{FieldPath, Segment};
use ottvc_object::value::{MAX_KEY_BYTES, Value};

use super::{Labels, Walk};
use crate::MergeError;
use crate::schema::{Cursor, Finding, Whole, changes_once, findings_at};
use crate::slot::Slot;

/// A place to come back to, with what its conflict would hold.
pub(super) struct Pending<'o> {
    path: FieldPath,
    kind: ConflictKind,
    terms: Vec<Term<Value>>,
    labels: [Option<Term<Value>>; 3],
    at: Cursor<'o>,
}

impl Pending<'_> {
    /// Whether `merged` changes what a base gave once, in a place of which the schema says that it stays.
    fn changes_once(&self, merged: &Value) -> bool {
        let mut bases = self.terms.iter().skip(1).step_by(2).filter_map(Term::value);
        self.at.fixed() && bases.any(|base| changes_once(base, merged, &self.at))
    }
}

impl<'o> Walk<'o> {
    fn pending(
        &self,
        kind: ConflictKind,
        terms: &[Slot<'_>],
        labels: Labels<'_>,
        at: &Cursor<'o>,
    ) -> Pending<'o> {
        let own = |label: Option<Slot<'_>>| label.map(Slot::to_term);
        Pending {
            path: self.path.clone(),
            kind,
            terms: terms.iter().map(|slot| slot.to_term()).collect(),
            labels: [labels.ours, labels.base, labels.theirs].map(own),
            at: at.clone(),
        }
    }

    /// Puts a conflict here that a function will take the place of, if it can.
    pub(super) fn derive_later(
        &mut self,
        kind: ConflictKind,
        terms: &[Slot<'_>],
        labels: Labels<'_>,
        at: &Cursor<'o>,
    ) -> Result<Option<Value>, MergeError> {
        let pending = self.pending(kind, terms, labels, at);
        self.derived.push(pending);
        let policy = at.word().unwrap_or_default();
        Ok(Some(Value::Conflict(Box::new(self.conflict_of(kind, &policy, terms)?))))
    }

    /// Notes that what several sides put together here may break its schema.
    pub(super) fn judge_later(&mut self, terms: &[Slot<'_>], labels: Labels<'_>, at: &Cursor<'o>) {
        if at.can_break() {
            let pending = self.pending(ConflictKind::Invalid, terms, labels, at);
            self.judged.push(pending);
        }
    }

    /// Puts the conflict of `pending` in its place, or what a rule takes instead.
    fn dispute(
        &mut self,
        document: &mut Value,
        pending: &Pending<'o>,
        kind: ConflictKind,
        policy: &str,
    ) -> Result<(), MergeError> {
        let terms: Vec<Slot<'_>> = pending.terms.iter().map(Slot::from).collect();
        let [ours, base, theirs] = &pending.labels;
        let [ours, base, theirs] = [ours, base, theirs].map(|term| term.as_ref().map(Slot::from));
        let labels = Labels { ours, base, theirs };
        self.path = pending.path.clone();
        let settled = self.conflict(kind, policy, &terms, labels, &pending.at)?;
        self.path = FieldPath::root();
        match settled {
            None if pending.path.is_root() => Ok(()),
            settled => Ok(document.set(&pending.path, settled)?),
        }
    }

    /// Derives fields, then judges what was put together, the innermost first.
    pub(super) fn settle_after(
        &mut self,
        merged: Option<Value>,
    ) -> Result<Option<Value>, MergeError> {
        let Some(mut document) = merged else { return Ok(None) };
        self.derive(&mut document)?;
        let mut judged = std::mem::take(&mut self.judged);
        judged
            .sort_by(|a, b| b.path.0.len().cmp(&a.path.0.len()).then_with(|| a.path.cmp(&b.path)));
        for pending in &judged {
            let Some(value) = document.get(&pending.path).filter(|value| !value.has_conflict())
            else {
                continue;
            };
            let findings = findings_at(value, &document, &pending.at);
            // A kind is nothing that sides put together: each of them had it.
            let together = |finding: &&Finding| !matches!(finding.rule, "type" | "keys" | "order");
            let rule = match findings.iter().find(together) {
                Some(first) => first.rule,
                None if pending.changes_once(value) => "immutable",
                None => continue,
            };
            let (kind, policy) = match rule {
                "invariants" => (ConflictKind::Invariant, "invariants"),
                rule => (ConflictKind::Invalid, rule),
            };
            self.dispute(&mut document, pending, kind, policy)?;
            self.given_back.push(pending.path.clone());
        }
        Ok(Some(document))
    }

    /// Has functions make the fields that several sides changed. They see the document without any of
    /// these, so that no order among them matters.
    fn derive(&mut self, document: &mut Value) -> Result<(), MergeError> {
        let mut derived = std::mem::take(&mut self.derived);
        // What is held inside a conflict over its place is made when that is settled.
        derived.retain(|it| matches!(document.get(&it.path), Some(Value::Conflict(_))));
        if derived.is_empty() {
            return Ok(());
        }
        let mut facts = document.clone();
        for pending in derived.iter().filter(|pending| !pending.path.is_root()) {
            facts.set(&pending.path, None)?;
        }
        for pending in &derived {
            let Some(Whole::Derived(name)) = pending.at.whole() else { continue };
            let functions = &self.options.functions;
            let made = functions.derive(name, &facts, &pending.path);
            let made = made.filter(|_| self.options.decisions && !pending.path.is_root());
            // What may not stand there is no answer.
            if made.is_none_or(|made| document.set(&pending.path, Some(made)).is_err()) {
                let policy = pending.at.word().unwrap_or_default();
                self.dispute(document, pending, pending.kind, &policy)?;
            }
        }
        Ok(())
    }
}

/// Returns what `merged` breaks, of invariants that look across the document, that no side broke by
/// itself: the sides broke it together, each at its own place.
pub(super) fn broken_together(
    merged: Option<&Value>,
    terms: &[Slot<'_>],
    at: &Cursor<'_>,
) -> Vec<Finding> {
    let Some(merged) = merged.filter(|_| at.looks_far() && terms.len() > 1) else {
        return Vec::new();
    };
    let sides: Vec<&Value> = terms.iter().step_by(2).filter_map(|slot| slot.value()).collect();
    let mut found = Vec::new();
    look(merged, &mut FieldPath::root(), at, &mut |map, path, at| {
        for invariant in at.invariants().iter().filter(|invariant| invariant.looks_far()) {
            let broken = |document: &Value, map: &Value| !invariant.holds(map, document);
            let own = |side: &&Value| side.get(path).is_some_and(|map| broken(side, map));
            if broken(merged, map) && !sides.iter().any(own) {
                let why = format!("`{invariant}` must hold");
                let value = format!("{path}").chars().take(MAX_KEY_BYTES).collect();
                found.push(Finding { path: path.clone(), rule: "invariants", value, why });
            }
        }
    });
    found.truncate(crate::schema::MAX_FINDINGS);
    found
}

/// Calls `see` with every map that stands where an invariant may look far.
fn look(
    value: &Value,
    path: &mut FieldPath,
    at: &Cursor<'_>,
    see: &mut impl FnMut(&Value, &FieldPath, &Cursor<'_>),
) {
    let mut below = |segment: Segment, child: &Value, see: &mut _| {
        if !child.is_scalar() {
            let at = at.step(&segment);
            path.0.push(segment);
            look(child, path, &at, see);
            path.0.pop();
        }
    };
    match value {
        Value::Map(map) => {
            for (key, child) in map {
                below(Segment::Key(key.clone()), child, see);
            }
            see(value, path, at);
        }
        Value::Keyed(list) => {
            for (key, item) in list.items() {
                below(list.segment(key), item, see);
            }
        }
        _ => {}
    }
}
