//! Fields a schema says nothing about. They are kept: a schema is open. But a name that was mistyped is one, too.

use ottvc_object::field_path::{FieldPath, Segment};
use ottvc_object::value::{Value, canonical_tag};

use super::{Cursor, Schema, Type};

/// A step into what a schema says nothing about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// The path to the first step that it does not know, with that step.
    pub at: FieldPath,
    /// Whether it says of what holds that step that it is a map, or items that are: such have fields of
    /// their own.
    pub open: bool,
    /// The fields it names in that place.
    pub known: Vec<FieldPath>,
    /// The whole path as it would be written, where the place is no map: `/titles/@en` for `/titles/en`.
    pub meant: Option<FieldPath>,
}

impl Schema {
    /// Returns where `path` leaves what this schema speaks about, if it does.
    pub fn unknown(&self, path: &FieldPath) -> Option<Unknown> {
        let mut at = Cursor::root(Some(self));
        for (depth, step) in path.segments().iter().enumerate() {
            let below = at.step(step);
            // A wildcard matches any step, and a list has no keys of a map.
            let fits = !matches!(
                (at.kind(), step),
                (Some(Type::Keyed | Type::Localized | Type::Set), Segment::Key(_))
            );
            let speaks = below.field().is_some() || below.goes_on() || below.kind().is_some();
            let known = *step == Segment::Order || (fits && speaks);
            if known {
                at = below;
                continue;
            }
            let taken = |len: usize| FieldPath(path.segments().iter().take(len).cloned().collect());
            let here = taken(depth);
            return Some(Unknown {
                at: taken(depth + 1),
                open: !here.is_root(),
                known: at.named().into_iter().map(|step| here.join(step.clone())).collect(),
                meant: meant(&at, step).map(|step| {
                    let rest = path.segments().iter().skip(depth + 1).cloned();
                    FieldPath(here.0.iter().cloned().chain([step]).chain(rest).collect())
                }),
            });
        }
        None
    }
}

/// The step that fits a place that is no map, for a key.
fn meant(at: &Cursor<'_>, step: &Segment) -> Option<Segment> {
    let Segment::Key(key) = step else { return None };
    match (at.kind()?, at.field().map(|field| field.keys.as_slice())) {
        (Type::Localized, _) => canonical_tag(key).map(Segment::Locale),
        (Type::Set, _) => Some(Segment::Element(Value::from(key.as_str()))),
        (Type::Keyed, Some([field])) => {
            Some(Segment::Item(vec![(field.clone(), Value::from(key.as_str()))]))
        }
        _ => None,
    }
}
