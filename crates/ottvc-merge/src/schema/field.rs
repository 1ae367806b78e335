//! What a schema says about one field: its type, its limits, and how it merges.

use std::fmt;

use ottvc_object::value::Value;

use super::format::Format;
use super::predicate::Predicate;
use crate::pattern::Step;

/// The kind of value a field has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// True or false.
    Bool,
    /// A whole number.
    Int,
    /// A number; a whole one is an int.
    Decimal,
    /// A short text.
    String,
    /// Prose.
    Text,
    /// An instant.
    Timestamp,
    /// A reference to media.
    Asset,
    /// Positional elements.
    Array,
    /// Unique scalars or references.
    Set,
    /// Maps in order, each with a key.
    Keyed,
    /// Keys and values.
    Map,
    /// Language tags and strings or texts.
    Localized,
}

impl Type {
    /// Every type.
    pub const ALL: [Self; 12] = [
        Self::Bool,
        Self::Int,
        Self::Decimal,
        Self::String,
        Self::Text,
        Self::Timestamp,
        Self::Asset,
        Self::Array,
        Self::Set,
        Self::Keyed,
        Self::Map,
        Self::Localized,
    ];

    /// The word for it in schemas.
    pub fn word(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Decimal => "decimal",
            Self::String => "string",
            Self::Text => "text",
            Self::Timestamp => "timestamp",
            Self::Asset => "asset",
            Self::Array => "array",
            Self::Set => "set",
            Self::Keyed => "keyed",
            Self::Map => "map",
            Self::Localized => "localized",
        }
    }

    /// Whether `value` is of this type; null says nothing, and is of every type.
    pub fn holds(self, value: &Value) -> bool {
        matches!(
            (self, value),
            (_, Value::Null)
                | (Self::Bool, Value::Bool(_))
                | (Self::Int, Value::Int(_))
                | (Self::Decimal, Value::Int(_) | Value::Decimal(_))
                | (Self::String, Value::String(_))
                | (Self::Text, Value::Text(_))
                | (Self::Timestamp, Value::Timestamp(_))
                | (Self::Asset, Value::Asset(_))
                | (Self::Array, Value::Array(_))
                | (Self::Set, Value::Set(_))
                | (Self::Keyed, Value::Keyed(_))
                | (Self::Map, Value::Map(_))
                | (Self::Localized, Value::Localized(_))
        )
    }

    pub(crate) fn is_number(self) -> bool {
        matches!(self, Self::Int | Self::Decimal)
    }
}

/// What a text is cut into, to be merged piece by piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Lines with what ends them.
    Line,
    /// Words, spaces and marks, as Unicode segments them.
    Word,
    /// Sentences, as Unicode segments them.
    Sentence,
}

impl Unit {
    pub(crate) const ALL: [Self; 3] = [Self::Line, Self::Word, Self::Sentence];

    /// The word for it in schemas.
    pub fn word(self) -> &'static str {
        match self {
            Self::Line => "line",
            Self::Word => "word",
            Self::Sentence => "sentence",
        }
    }
}

/// How a value merges that two or more sides changed differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Policy {
    /// As one unit.
    Atomic,
    /// Key by key.
    Map,
    /// Element by element.
    Set,
    /// Item by item, then the order.
    Keyed,
    /// By the changes made to an array, where they do not meet.
    Sequence,
    /// By the changes made to a text, where they do not meet.
    Text(Unit),
    /// The greatest.
    Max,
    /// The least.
    Min,
    /// The one furthest along a list, or least far.
    Ordered {
        /// The list.
        steps: Vec<String>,
        /// Whether the least far one is taken.
        least: bool,
    },
    /// The sum of all changes.
    Counter,
    /// The map whose field is greatest.
    LatestBy(String),
    /// What the function makes of the merged document.
    Derived(String),
    /// What the function makes of the terms.
    Hook(String),
}

impl Policy {
    /// The word for it in conflicts.
    pub(crate) fn word(&self) -> String {
        match self {
            Self::Ordered { .. } => "ordered".to_owned(),
            Self::LatestBy(_) => "latest_by".to_owned(),
            other => other.to_string(),
        }
    }
}

impl fmt::Display for Policy {
    /// Writes it as a schema does.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Atomic => out.write_str("atomic"),
            Self::Map => out.write_str("map"),
            Self::Set => out.write_str("set"),
            Self::Keyed => out.write_str("keyed"),
            Self::Sequence => out.write_str("sequence"),
            Self::Text(unit) => write!(out, "text({})", unit.word()),
            Self::Max => out.write_str("max"),
            Self::Min => out.write_str("min"),
            Self::Ordered { steps, least } => {
                let end = if *least { ", min" } else { "" };
                write!(out, "ordered({}{end})", steps.join(" < "))
            }
            Self::Counter => out.write_str("counter"),
            Self::LatestBy(field) => write!(out, "latest_by({field})"),
            Self::Derived(function) => write!(out, "derived({function})"),
            Self::Hook(function) => write!(out, "hook({function})"),
        }
    }
}

/// What happens where one side removed what another changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delete {
    /// They disagree.
    Conflict,
    /// The change stays.
    EditWins,
    /// It goes.
    DeleteWins,
}

/// The order of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// It says something, and is merged.
    Significant,
    /// It says nothing: sorted by key.
    None,
    /// Sorted by a field, then by key.
    Field(String),
}

/// What decides where the policy could not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// Nothing: the conflict stays.
    Keep,
    /// The first side.
    Ours,
    /// The last side.
    Theirs,
    /// The side that is the first of these editions, by id or class.
    Edition(Vec<String>),
    /// The only side that says something.
    NonEmpty,
}

impl fmt::Display for Fallback {
    /// Writes it as a schema does.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keep => out.write_str("keep"),
            Self::Ours => out.write_str("ours"),
            Self::Theirs => out.write_str("theirs"),
            Self::Edition(wanted) => write!(out, "edition({})", wanted.join(", ")),
            Self::NonEmpty => out.write_str("non_empty"),
        }
    }
}

/// Whether a child edition takes a field from its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inherit {
    /// Always, where it has no value of its own.
    Flow,
    /// Once, when the child is made.
    AtCreate,
    /// Never.
    Never,
}

/// What happens where a parent changes what a child overrides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnShadow {
    /// It is told.
    Notice,
    /// It is a conflict.
    Conflict,
    /// Nothing.
    Silent,
}

/// What a value has to look like; each member says nothing unless it is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// The form of a string, or of each string in a set, array or localized map.
    pub format: Option<Format>,
    /// The values there are.
    pub one_of: Vec<Value>,
    /// The least value.
    pub min: Option<Value>,
    /// The greatest value.
    pub max: Option<Value>,
    /// The fewest characters.
    pub min_length: Option<u64>,
    /// The most characters.
    pub max_length: Option<u64>,
    /// The fewest elements or items.
    pub min_items: Option<u64>,
    /// The most elements or items.
    pub max_items: Option<u64>,
}

/// What holds for everything below a field that no pattern of its own says otherwise about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// See [`Delete`].
    pub delete: Option<Delete>,
    /// See [`Fallback`].
    pub on_conflict: Option<Fallback>,
    /// Whether the rules of a call have no say.
    pub locked: Option<bool>,
    /// See [`Inherit`].
    pub inherit: Option<Inherit>,
    /// See [`OnShadow`].
    pub on_shadow: Option<OnShadow>,
}

/// What a schema says about the fields a pattern matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The pattern in its one spelling.
    pub(crate) pattern: String,
    pub(crate) steps: Vec<Step>,
    /// The type; any, if not given.
    pub kind: Option<Type>,
    /// The type of what a set, array or localized map holds.
    pub of: Option<Type>,
    /// The key fields of a keyed list.
    pub keys: Vec<String>,
    /// What a value has to look like.
    pub limits: Limits,
    /// Whether a map that could have the field must have it.
    pub required: bool,
    /// Whether the field keeps the first value it has.
    pub immutable: bool,
    /// How it merges; as its kind does, if not given.
    pub merge: Option<Policy>,
    /// The order of a keyed list.
    pub order: Order,
    /// Whether different items two sides put in one gap are a conflict; settled by key if not.
    pub insert_conflict: bool,
    /// Whether each item of a keyed list is one unit.
    pub item_atomic: bool,
    /// Fields of a map, or of each item, that move together.
    pub groups: Vec<Vec<String>>,
    /// What must hold among the fields of a map, or of each item.
    pub invariants: Vec<Predicate>,
    /// What holds for everything below, too.
    pub reach: Reach,
    /// Lists of one domain exchange items.
    pub move_domain: Option<String>,
}

impl Field {
    /// The pattern it is attached to, in its one spelling.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }
    /// How specific its pattern is, step by step; greater is more.
    pub(crate) fn weight(&self) -> impl Iterator<Item = u8> + '_ {
        let step = |step: &Step| match step {
            Step::Rest => 0,
            Step::Any => 2,
            Step::Literal(_) => 3,
        };
        // An end is more exact than `**`, which may stand for nothing.
        let end = (self.steps.last() != Some(&Step::Rest)).then_some(1);
        self.steps.iter().map(step).chain(end)
    }
    /// Whether the merge policy is about what the value holds, and not about the value: each locale.
    pub(crate) fn merges_leaves(&self) -> bool {
        self.kind == Some(Type::Localized) && matches!(self.merge, Some(Policy::Text(_)))
    }
}
