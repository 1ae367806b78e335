//! Invariants: what must hold among the fields of one map, in a language of one comparison.
//!
//! `start < end`, `offset <= /runtime`, `severity != "none"`, `disjoint(allowed, excluded)`. An operand
//! is a path from the map, a path from the root of the document (with a slash in front), a number, or
//! a string in double quotes. Where an operand is not there, null, in conflict or not comparable,
//! nothing is broken: that a field is there is said by `required`.

use std::cmp::Ordering;
use std::fmt;

use ottvc_object::field_path::FieldPath;
use ottvc_object::value::Value;

use crate::number::compare;

/// One side of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operand {
    /// A path from the map the invariant belongs to.
    Near(FieldPath),
    /// A path from the root of the document.
    Far(FieldPath),
    /// This value.
    Literal(Value),
}

/// How two values must compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Test {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
    Disjoint,
}

impl Test {
    /// Longer words first, as `<` begins `<=`.
    const COMPARISONS: [(&'static str, Self); 6] = [
        ("<=", Self::LessOrEqual),
        (">=", Self::GreaterOrEqual),
        ("==", Self::Equal),
        ("!=", Self::NotEqual),
        ("<", Self::Less),
        (">", Self::Greater),
    ];

    fn word(self) -> &'static str {
        Self::COMPARISONS
            .iter()
            .find(|(_, test)| *test == self)
            .map_or("disjoint", |(word, _)| word)
    }
}

/// What must hold among the fields of one map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Predicate {
    left: Operand,
    test: Test,
    right: Operand,
}

impl Predicate {
    /// Reads it; the error is the rule it breaks.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Some(both) = text.strip_prefix("disjoint(").and_then(|rest| rest.strip_suffix(')')) {
            let (left, right) =
                both.split_once(',').ok_or("`disjoint` takes two sets: `disjoint(a, b)`")?;
            return Ok(Self { left: operand(left)?, test: Test::Disjoint, right: operand(right)? });
        }
        let found = Test::COMPARISONS
            .iter()
            .filter_map(|(word, test)| Some((text.find(word)?, word, test)))
            // The first sign in the text; of two at one place the longer stands first in the list.
            .min_by_key(|(at, ..)| *at);
        let (at, word, test) =
            found.ok_or("an invariant is `A < B`, `A == B` ... or `disjoint(A, B)`")?;
        let (left, rest) = text.split_at_checked(at).unwrap_or((text, ""));
        let right = rest.get(word.len()..).unwrap_or_default();
        Ok(Self { left: operand(left)?, test: *test, right: operand(right)? })
    }

    /// Whether it looks outside its map.
    pub(crate) fn looks_far(&self) -> bool {
        [&self.left, &self.right].into_iter().any(|operand| matches!(operand, Operand::Far(_)))
    }

    /// What it compares of its own map, left and right.
    pub(crate) fn near<'v>(&self, map: &'v Value) -> [Option<&'v Value>; 2] {
        [&self.left, &self.right].map(|operand| match operand {
            Operand::Near(path) => map.get(path),
            Operand::Far(_) | Operand::Literal(_) => None,
        })
    }

    /// Whether it holds for `map` in `document`.
    pub(crate) fn holds(&self, map: &Value, document: &Value) -> bool {
        let value = |operand: &'_ Operand| match operand {
            Operand::Near(path) => map.get(path).cloned(),
            Operand::Far(path) => document.get(path).cloned(),
            Operand::Literal(value) => Some(value.clone()),
        };
        let (Some(left), Some(right)) = (value(&self.left), value(&self.right)) else {
            return true;
        };
        let silent = |value: &Value| matches!(value, Value::Null | Value::Conflict(_));
        if silent(&left) || silent(&right) {
            return true;
        }
        let ordered = |wanted: fn(Ordering) -> bool| compare(&left, &right).is_none_or(wanted);
        match self.test {
            Test::Less => ordered(Ordering::is_lt),
            Test::LessOrEqual => ordered(Ordering::is_le),
            Test::Greater => ordered(Ordering::is_gt),
            Test::GreaterOrEqual => ordered(Ordering::is_ge),
            Test::Equal => compare(&left, &right).map_or(left == right, Ordering::is_eq),
            Test::NotEqual => !compare(&left, &right).map_or(left == right, Ordering::is_eq),
            Test::Disjoint => match (&left, &right) {
                (Value::Set(left), Value::Set(right)) => {
                    !left.iter().any(|element| right.contains(element))
                }
                _ => true,
            },
        }
    }
}

fn operand(text: &str) -> Result<Operand, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("one side of it is empty".to_owned());
    }
    if let Some(quoted) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        return Ok(Operand::Literal(Value::from(quoted)));
    }
    if let Ok(number) = Value::number(text) {
        return Ok(Operand::Literal(number));
    }
    // A sign in a name is a comparison mistyped, which would never be asked: `start =< end`.
    let mut inside = 0_usize;
    let sign = text.chars().find(|c| {
        match c {
            '[' => inside += 1,
            ']' => inside = inside.saturating_sub(1),
            _ => {}
        }
        inside == 0 && (c.is_whitespace() || "<>=!".contains(*c))
    });
    if let Some(sign) = sign {
        return Err(format!(
            "`{text}` is no field, for the `{sign}` in it: an invariant is one of `A < B`, `A <= B`, \
             `A > B`, `A >= B`, `A == B`, `A != B`, `disjoint(A, B)`"
        ));
    }
    let path: FieldPath = text.parse().map_err(|error| format!("{error}"))?;
    if path.is_root() {
        return Err("a path names a field".to_owned());
    }
    Ok(if text.starts_with('/') { Operand::Far(path) } else { Operand::Near(path) })
}

impl fmt::Display for Operand {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Near(path) => {
                let text = path.to_string();
                out.write_str(text.strip_prefix('/').unwrap_or(&text))
            }
            Self::Far(path) => write!(out, "{path}"),
            Self::Literal(Value::String(text)) => write!(out, "\"{text}\""),
            Self::Literal(Value::Decimal(number)) => write!(out, "{number}"),
            Self::Literal(Value::Int(number)) => write!(out, "{number}"),
            Self::Literal(_) => Ok(()),
        }
    }
}

impl fmt::Display for Predicate {
    /// Writes it in its one spelling.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { left, test, right } = self;
        match test {
            Test::Disjoint => write!(out, "disjoint({left}, {right})"),
            test => write!(out, "{left} {} {right}", test.word()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ottvc_object::value::value_from_json;

    fn holds(text: &str) -> bool {
        let json = serde_json::json!({
            "a": 1, "b": 2, "runtime": "PT2H", "at": "PT90M", "s": "x", "n": null,
            "x": { "$set": ["p", "q"] }, "y": { "$set": ["q"] }, "z": { "$set": [] },
            "m": { "a": 3, "b": 2 },
        });
        let document = value_from_json(&json).unwrap();
        let predicate = Predicate::parse(text).unwrap();
        assert_eq!(Predicate::parse(&predicate.to_string()).unwrap(), predicate, "{text}");
        predicate.holds(&document, &document)
    }

    #[test]
    fn comparisons() {
        for text in [
            "a < b",
            "a<=b",
            "b > a",
            "b >= 2",
            "a == 1",
            "a != b",
            "at <= /runtime",
            "s == \"x\"",
            "m/a > m/b",
            "disjoint(x, z)",
            "a < gone",
            "n < a",
            "a < s",
            "x < y",
            "disjoint(a, b)",
        ] {
            assert!(holds(text), "{text}");
        }
        for text in ["b < a", "a > 1", "a != 1", "/runtime < at", "s == \"y\"", "disjoint(x, y)"] {
            assert!(!holds(text), "{text}");
        }
    }

    #[test]
    fn what_is_no_invariant_is_refused() {
        for text in ["", "a", "a <", "< b", "a ~ b", "disjoint(a)", "/ < a", "@x y < b"] {
            assert!(Predicate::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn mistyped_comparisons_are_refused() {
        for text in
            ["start =< end", "start << end", "start <> end", "start < end < x", "a = b", "a b < c"]
        {
            assert!(Predicate::parse(text).is_err(), "{text}");
        }
        for text in
            ["start < end", "offset<=/runtime", "level != \"a < b\"", "a == /l/[k=1]/x", "n >= -1"]
        {
            assert!(Predicate::parse(text).is_ok(), "{text}");
        }
    }
}
