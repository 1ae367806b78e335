//! Three documents of every shape: a merge ends, keeps its laws, and leaves what can be stored.
//!
//! The numbers are those of `docs/merge.md`, Laws. Documents are put together from few names and
//! few values, so that sides often meet; conflicts among them may be such as no merge leaves.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ottvc_merge::{MergeOptions, merge_values, same};
use ottvc_object::conflict::{Conflict, ConflictKind, Term, Terms};
use ottvc_object::value::{Document, KeyedList, ListOrder, Value, ValueMap, ValueSet};
use ottvc_object::{FieldPath, RepoPath, Storable};

type Doc = Option<Value>;

/// Reads choices off the input, zeros after its end: every input says something, and says it all.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn below(&mut self, count: u8) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                first % count
            }
            None => 0,
        }
    }

    fn word(&mut self) -> &'static str {
        ["a", "b", "c", "id"].get(usize::from(self.below(4))).copied().unwrap_or("a")
    }

    fn document(&mut self) -> Doc {
        match self.below(12) {
            0 => None,
            1 => Some(self.conflict(&mut |choices| Value::Map(choices.map(3)))),
            _ => Some(Value::Map(self.map(3))),
        }
    }

    fn map(&mut self, depth: u8) -> ValueMap {
        let count = self.below(4);
        (0..count).map(|_| (self.word().to_owned(), self.value(depth))).collect()
    }

    fn value(&mut self, depth: u8) -> Value {
        let kinds = if depth == 0 { 7 } else { 13 };
        let below = depth.saturating_sub(1);
        match self.below(kinds) {
            0 => Value::Null,
            1 => Value::Bool(self.below(2) == 1),
            2 => Value::Int(self.below(3).into()),
            3 => Value::decimal(15 + i128::from(self.below(2)), -1).unwrap_or(Value::Null),
            4 => self.word().into(),
            5 => Value::text(self.word()),
            6 => Value::Array(
                (0..self.below(3)).map(|_| self.below(2) == 0).map(Value::Bool).collect(),
            ),
            7 => {
                let mut set = ValueSet::default();
                for _ in 0..self.below(4) {
                    let _ = set.insert(self.value(0));
                }
                Value::Set(set)
            }
            8 => {
                let tag = |n| ["de", "en", "fr-FR"].get(usize::from(n)).copied().unwrap_or("de");
                let count = self.below(4);
                let entries: ValueMap = (0..count)
                    .map(|_| {
                        let tag = tag(self.below(3)).to_owned();
                        let word = &mut |choices: &mut Self| Value::from(choices.word());
                        (tag, if self.below(4) == 0 { self.conflict(word) } else { word(self) })
                    })
                    .collect();
                Value::Localized(entries)
            }
            9 | 10 => self.list(below),
            11 => Value::Map(self.map(below)),
            _ => self.conflict(&mut |choices| choices.value(below)),
        }
    }

    fn list(&mut self, depth: u8) -> Value {
        let field = if self.below(8) == 0 { "a" } else { "id" };
        let Ok(mut list) = KeyedList::empty(vec![field.to_owned()]) else { return Value::Null };
        for _ in 0..self.below(5) {
            let mut item = self.map(depth);
            item.insert(field.to_owned(), Value::Int(self.below(5).into()));
            if let Ok(key) = list.key_of(&item) {
                let key_part = item.get(field).cloned().unwrap_or(Value::Null);
                let value = if self.below(8) == 0 {
                    self.conflict(&mut |choices| {
                        let mut item = choices.map(depth);
                        item.insert(field.to_owned(), key_part.clone());
                        Value::Map(item)
                    })
                } else {
                    Value::Map(item)
                };
                let _ = list.put(key, value);
            }
        }
        if self.below(8) == 0 {
            let sequences =
                [list.keys_in_order(), list.keys_in_order().into_iter().rev().collect()];
            let terms = sequences.map(|keys| Term::Value(KeyedList::sequence_value(keys)));
            let [ours, theirs] = terms;
            if let Ok(terms) = Terms::new(vec![ours, Term::Absent, theirs]) {
                let conflict = conflict_over(ConflictKind::Order, terms);
                let _ = list.set_order(ListOrder::Conflict(Box::new(conflict)));
            }
        }
        Value::Keyed(list)
    }

    /// A conflict among what `value` makes; some terms are absent, some contested.
    fn conflict(&mut self, value: &mut dyn FnMut(&mut Self) -> Value) -> Value {
        Value::Conflict(Box::new(self.contested(value, 2)))
    }

    fn contested(
        &mut self,
        value: &mut dyn FnMut(&mut Self) -> Value,
        depth: u8,
    ) -> Conflict<Value> {
        let kind = usize::from(self.below(15));
        let kind = ConflictKind::ALL.get(kind).copied().unwrap_or(ConflictKind::EditEdit);
        let count = 1 + 2 * self.below(3);
        let mut term = |choices: &mut Self| match choices.below(5) {
            0 => Term::Absent,
            1 if depth > 0 => Term::Contested(Box::new(choices.contested(value, depth - 1))),
            _ => match value(choices) {
                Value::Conflict(conflict) => Term::Contested(conflict),
                value => Term::Value(value),
            },
        };
        let terms = (0..count).map(|_| term(self)).collect();
        conflict_over(kind, Terms::new(terms).expect("an odd number"))
    }
}

fn conflict_over(kind: ConflictKind, terms: Terms<Term<Value>>) -> Conflict<Value> {
    Conflict { kind, path: FieldPath::root(), policy: "atomic".to_owned(), terms }
}

fn merge(terms: Vec<Doc>, options: &MergeOptions) -> Doc {
    let terms = Terms::new(terms).expect("an odd number");
    merge_values(&terms, options, &RepoPath::root()).expect("sound input, few terms").value
}

fn three(base: &Doc, ours: &Doc, theirs: &Doc, options: &MergeOptions) -> Doc {
    merge(vec![ours.clone(), base.clone(), theirs.clone()], options)
}

fn alike(one: &Doc, other: &Doc) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => same(one, other),
        (None, None) => true,
        _ => false,
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut choices = Choices(bytes);
    let [base, ours, theirs] = [choices.document(), choices.document(), choices.document()];
    // Only documents that can be stored are merged.
    let storable = |doc: &Doc| doc.clone().is_none_or(|value| Document::new(value).is_ok());
    if ![&base, &ours, &theirs].into_iter().all(storable) {
        return;
    }
    let plain = MergeOptions::default();
    // L1, L2, L3.
    for side in [&base, &ours, &theirs] {
        assert!(alike(&three(side, side, side, &plain), side), "identity");
        assert!(alike(&three(&base, side, &base, &plain), side), "unit");
        assert!(alike(&three(&base, &base, side, &plain), side), "unit");
        assert!(alike(&three(&base, side, side, &plain), side), "agreement");
    }
    // L4.
    let merged = three(&base, &ours, &theirs, &plain);
    assert!(alike(&merged, &three(&base, &theirs, &ours, &plain)), "symmetry");
    // What comes out can be stored, and read back.
    if let Some(value) = merged {
        let document = Document::new(value).expect("a merge leaves a document");
        let object = document.to_object().expect("not that long");
        assert_eq!(Document::from_object(&object).expect("its own bytes"), document);
        let json = document.to_json_pretty();
        assert_eq!(Document::from_json(json.as_bytes()).expect("its own JSON"), document);
    }
    let rules = ["/**=theirs", "/a=ours"].map(|rule| rule.parse().expect("a rule"));
    let ruled = MergeOptions { rules: rules.to_vec(), ..MergeOptions::default() };
    let ruled = three(&base, &ours, &theirs, &ruled);
    assert!(storable(&ruled), "rules leave a document too");
});
