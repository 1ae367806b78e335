//! Layers: what an edition says itself, over what it inherits from its parent (`docs/merge.md`, Layers).
//!
//! A document's own layer is sparse. Per place it inherits (no entry), overrides (a value) or suppresses.
//! Maps and localized maps are layered by their entries, keyed lists by their items and their order,
//! sets by what is put in and taken out; everything else, and what a schema calls one unit, is replaced
//! whole. [`overlay`] makes the document that readers see, [`record`] the layer that a change of it
//! leaves. Equality never removes an override: only [`Layer::reset`] does.
//!
//! Whether a document, an edition or a commit is there at all is the caller's to find out; here there are
//! values only, and nothing fails because a parent is not what a layer was made for.

mod apply;
mod encoding;
mod inherit;
mod overlay;
mod propagate;
mod record;
mod reset;
mod units;
mod whole;

use std::collections::BTreeMap;

use ottvc_object::field_path::{FieldPath, Segment};
use ottvc_object::value::{Key, ListOrder, Value, ValueSet};

pub use apply::{Applied, ApplyTo, Diverged, PushOutcome, PushedUnit, apply};
pub use inherit::{at_create, held, held_units, inherited};
pub use overlay::overlay;
pub use propagate::{FlowOutcome, Propagated, UnitOutcome, propagate};
pub use record::record;
pub use reset::{NotReset, Reset, reset};
pub use units::{Unit, changed_units, units_for};

/// What an edition says itself about one document, or one place in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer(Node);

/// A place that is not just inherited. No container here is empty; each stands for itself also where the
/// parent has none, if it holds values.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    /// This, whatever the parent has.
    Override(Value),
    /// Nothing, whatever the parent has.
    Suppress,
    /// Some entries of a map.
    Map(BTreeMap<String, Node>),
    /// Some entries of a localized map; each an override or a suppression.
    Localized(BTreeMap<String, Node>),
    /// Elements put in and taken out; none is both.
    Set { add: ValueSet, remove: ValueSet },
    /// Some items of a list, and perhaps its order.
    Keyed(KeyedNode),
}

/// The part of a layer that is about a keyed list.
#[derive(Clone, Debug, PartialEq, Eq)]
struct KeyedNode {
    fields: Vec<String>,
    items: BTreeMap<Key, Node>,
    order: Option<ListOrder>,
}

impl KeyedNode {
    /// The path segment that names the item with this key.
    fn segment(&self, key: &Key) -> Segment {
        Segment::Item(self.fields.iter().cloned().zip(key.parts().iter().cloned()).collect())
    }
    /// The key a path segment names, if its fields are the key fields.
    fn key_named(&self, parts: &[(String, Value)]) -> Option<Key> {
        let part = |field: &String| parts.iter().find(|(name, _)| name == field);
        let key: Option<Vec<Value>> =
            self.fields.iter().map(|field| part(field).map(|(_, value)| value.clone())).collect();
        Key::new(key.filter(|key| key.len() == parts.len())?).ok()
    }
}

/// What a layer says about one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing<'l> {
    /// Nothing, nor about anything above or below.
    Inherits,
    /// The place itself is overridden or suppressed, or one above it is.
    Decided,
    /// It says something about what is below.
    Below(&'l Node),
}

impl Node {
    /// Whether it holds more than suppressions: something that would be lost with its place.
    fn holds_values(&self) -> bool {
        match self {
            Self::Override(_) => true,
            Self::Suppress => false,
            Self::Map(entries) | Self::Localized(entries) => {
                entries.values().any(Self::holds_values)
            }
            Self::Set { add, .. } => !add.is_empty(),
            Self::Keyed(list) => list.items.values().any(Self::holds_values),
        }
    }

    /// The container without anything in it is no entry at all.
    fn unless_empty(self) -> Option<Self> {
        let empty = match &self {
            Self::Override(_) | Self::Suppress => false,
            Self::Map(entries) | Self::Localized(entries) => entries.is_empty(),
            Self::Set { add, remove } => add.is_empty() && remove.is_empty(),
            Self::Keyed(list) => list.items.is_empty() && list.order.is_none(),
        };
        (!empty).then_some(self)
    }

    fn standing<'l>(&'l self, path: &[Segment]) -> Standing<'l> {
        let Some((segment, rest)) = path.split_first() else {
            return match self {
                Self::Override(_) | Self::Suppress => Standing::Decided,
                below => Standing::Below(below),
            };
        };
        let child = match (self, segment) {
            (Self::Override(_) | Self::Suppress, _) => return Standing::Decided,
            (Self::Map(entries), Segment::Key(key)) => entries.get(key),
            (Self::Localized(entries), Segment::Locale(tag)) => entries.get(tag),
            (Self::Set { add, remove }, Segment::Element(element)) => {
                let decided = add.contains(element) || remove.contains(element);
                return if decided { Standing::Decided } else { Standing::Inherits };
            }
            (Self::Keyed(list), Segment::Item(parts)) => {
                list.key_named(parts).and_then(|key| list.items.get(&key))
            }
            (Self::Keyed(list), Segment::Order) => {
                let decided = list.order.is_some();
                return if decided { Standing::Decided } else { Standing::Inherits };
            }
            _ => None,
        };
        child.map_or(Standing::Inherits, |child| child.standing(rest))
    }

    /// Calls `found` for every place that is overridden or suppressed, in the order of the walk.
    fn visit(&self, path: &mut FieldPath, found: &mut impl FnMut(&FieldPath, bool)) {
        let mut below = |path: &mut FieldPath, segment: Segment, node: &Self| {
            path.0.push(segment);
            node.visit(path, found);
            path.0.pop();
        };
        match self {
            Self::Override(_) => found(path, true),
            Self::Suppress => found(path, false),
            Self::Map(entries) => {
                entries.iter().for_each(|(key, node)| below(path, Segment::Key(key.clone()), node));
            }
            Self::Localized(entries) => {
                let locale = |tag: &String| Segment::Locale(tag.clone());
                entries.iter().for_each(|(tag, node)| below(path, locale(tag), node));
            }
            Self::Set { add, remove } => {
                for (element, there) in
                    add.iter().map(|it| (it, true)).chain(remove.iter().map(|it| (it, false)))
                {
                    found(&path.join(Segment::Element(element.clone())), there);
                }
            }
            Self::Keyed(list) => {
                list.items.iter().for_each(|(key, node)| below(path, list.segment(key), node));
                if list.order.is_some() {
                    found(&path.join(Segment::Order), true);
                }
            }
        }
    }
}

impl Layer {
    /// A whole document of the edition's own.
    pub fn document(value: Value) -> Self {
        Self(Node::Override(value))
    }
    /// No document, whatever the parent has.
    pub fn no_document() -> Self {
        Self(Node::Suppress)
    }

    /// What is overridden (`true`) and suppressed (`false`), each at the place where it stands.
    pub fn places(&self) -> Vec<(FieldPath, bool)> {
        let mut places = Vec::new();
        self.0.visit(&mut FieldPath::root(), &mut |path, there| {
            places.push((path.clone(), there));
        });
        places
    }

    /// Whether the place at `path`, or one above or below it, is not inherited.
    pub fn speaks_about(&self, path: &FieldPath) -> bool {
        self.0.standing(path.segments()) != Standing::Inherits
    }
}

/// What a layer says about a place; nothing, if there is no layer.
fn standing<'l>(own: Option<&'l Layer>, path: &FieldPath) -> Standing<'l> {
    own.map_or(Standing::Inherits, |own| own.0.standing(path.segments()))
}
