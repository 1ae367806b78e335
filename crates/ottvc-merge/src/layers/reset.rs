//! Giving up what an edition says itself.

use ottvc_object::field_path::{FieldPath, Segment};
use ottvc_object::value::ValueSet;

use super::{Layer, Node};
use crate::Schema;
use crate::schema::Cursor;
use crate::values::group_key;

/// Why there is nothing to reset at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotReset {
    /// It is inherited.
    Inherited,
    /// What stands there is a part of what is overridden, or suppressed, here.
    Above(FieldPath),
}

impl Layer {
    /// Returns what is left of the layer once the place at `path` and all below it are inherited again;
    /// fields that move together go together.
    ///
    /// # Errors
    /// [`NotReset`] if nothing is the edition's own there and below.
    pub fn reset(
        &self,
        schema: Option<&Schema>,
        path: &FieldPath,
    ) -> Result<Option<Self>, NotReset> {
        let mut walk = Walk { path: FieldPath::root() };
        let left = walk.without(self.0.clone(), path.segments(), &Cursor::root(schema))?;
        Ok(left.map(Self))
    }
}

struct Walk {
    path: FieldPath,
}

impl Walk {
    fn without(
        &mut self,
        node: Node,
        path: &[Segment],
        at: &Cursor<'_>,
    ) -> Result<Option<Node>, NotReset> {
        let Some((segment, rest)) = path.split_first() else { return Ok(None) };
        let left = match (node, segment) {
            (Node::Override(_) | Node::Suppress, _) => {
                return Err(NotReset::Above(self.path.clone()));
            }
            (Node::Map(mut entries), Segment::Key(key)) => {
                let group = at
                    .groups()
                    .iter()
                    .find(|names| names.contains(key) || *key == group_key(names));
                match group.filter(|_| rest.is_empty()) {
                    Some(names) => {
                        let before = entries.len();
                        let together = group_key(names);
                        entries.retain(|key, _| !names.contains(key) && *key != together);
                        if entries.len() == before {
                            return Err(NotReset::Inherited);
                        }
                    }
                    None => {
                        let child = entries.remove(key).ok_or(NotReset::Inherited)?;
                        let left = self.below(child, segment, rest, at)?;
                        entries.extend(left.map(|left| (key.clone(), left)));
                    }
                }
                Node::Map(entries)
            }
            (Node::Localized(mut entries), Segment::Locale(tag)) => {
                let child = entries.remove(tag).ok_or(NotReset::Inherited)?;
                let left = self.below(child, segment, rest, at)?;
                entries.extend(left.map(|left| (tag.clone(), left)));
                Node::Localized(entries)
            }
            (Node::Set { mut add, mut remove }, Segment::Element(element)) => {
                let out = |set: &mut ValueSet| set.remove(element);
                if !out(&mut add) && !out(&mut remove) {
                    return Err(NotReset::Inherited);
                }
                Node::Set { add, remove }
            }
            (Node::Keyed(mut list), Segment::Item(parts)) => {
                let key = list.key_named(parts).ok_or(NotReset::Inherited)?;
                let child = list.items.remove(&key).ok_or(NotReset::Inherited)?;
                let left = self.below(child, segment, rest, at)?;
                list.items.extend(left.map(|left| (key, left)));
                Node::Keyed(list)
            }
            (Node::Keyed(mut list), Segment::Order) => {
                list.order.take().ok_or(NotReset::Inherited)?;
                Node::Keyed(list)
            }
            _ => return Err(NotReset::Inherited),
        };
        Ok(left.unless_empty())
    }

    fn below(
        &mut self,
        node: Node,
        segment: &Segment,
        rest: &[Segment],
        at: &Cursor<'_>,
    ) -> Result<Option<Node>, NotReset> {
        self.path.0.push(segment.clone());
        self.without(node, rest, &at.step(segment))
    }
}
