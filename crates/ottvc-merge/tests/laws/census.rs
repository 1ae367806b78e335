//! Counts what laws are tried on, so that no kind of value or disagreement goes missing unseen.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Debug;

use ottvc_object::conflict::{Conflict, Term};
use ottvc_object::value::{ListOrder, Value};

use super::draw::{Draw, drawn, fixed};

/// How often something came, by what it is called.
#[derive(Default)]
pub(crate) struct Census(BTreeMap<String, usize>);

impl Census {
    /// Counts what `look` sees in cases that are drawn the same each time.
    pub(crate) fn of<T: Debug>(
        cases: u32,
        make: impl Fn(&mut Draw<'_>) -> T + Copy,
        look: impl Fn(&mut Self, T),
    ) -> Self {
        let census = RefCell::new(Self::default());
        let count = |case| {
            look(&mut census.borrow_mut(), case);
            Ok(())
        };
        fixed(cases).run(&drawn(make), count).unwrap();
        census.into_inner()
    }

    pub(crate) fn count(&mut self, what: &str) {
        match self.0.get_mut(what) {
            Some(times) => *times += 1,
            None => drop(self.0.insert(what.to_owned(), 1)),
        }
    }

    /// Counts a value and what is in it by kind, conflicts by theirs.
    pub(crate) fn value(&mut self, value: &Value, depth: usize) {
        self.count(value.kind_word());
        if depth == 3 {
            self.count("three deep");
        }
        match value {
            Value::Map(map) | Value::Localized(map) => {
                map.values().for_each(|value| self.value(value, depth + 1));
            }
            Value::Keyed(list) => {
                list.items().values().for_each(|item| self.value(item, depth + 1));
                if let ListOrder::Conflict(conflict) = list.order() {
                    self.conflict(conflict);
                }
            }
            Value::Array(elements) => elements.iter().for_each(|it| self.value(it, depth + 1)),
            Value::Conflict(conflict) => self.conflict(conflict),
            _ => {}
        }
    }

    fn conflict(&mut self, conflict: &Conflict<Value>) {
        self.count(&format!("conflict {}", conflict.kind.word()));
        if conflict.terms.as_slice().len() > 3 {
            self.count("conflict of many");
        }
        if conflict.terms.as_slice().iter().any(|term| matches!(term, Term::Contested(_))) {
            self.count("conflict in a conflict");
        }
    }

    /// Fails for each of these words that came less often than is said before it.
    pub(crate) fn expect(&self, wanted: &[(usize, &[&str])]) {
        // Seen where the test fails, or with `--no-capture`.
        println!("{:#?}", self.0);
        let times = |what: &str| self.0.get(what).copied().unwrap_or_default();
        let words = wanted.iter().flat_map(|(least, all)| all.iter().map(move |it| (*it, *least)));
        let rare: Vec<String> = words
            .filter(|(what, least)| times(what) < *least)
            .map(|(what, least)| format!("{what}: {} times, not {least}", times(what)))
            .collect();
        assert!(rare.is_empty(), "{rare:#?}");
    }
}

/// What documents hold.
pub(crate) const KINDS: [&str; 13] = [
    "null",
    "bool",
    "int",
    "decimal",
    "string",
    "text",
    "timestamp",
    "asset",
    "array",
    "set",
    "keyed",
    "map",
    "localized",
];
