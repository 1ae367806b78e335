//! Giving up what an edition says itself.

use ottvc_object::field_path::{FieldPath, Segment};
use ottvc_object::value::{Value, ValueSet};

use super::{Layer, Node, held, inherited, overlay, record};
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
    /// It is the edition's own by its schema: nobody inherits it.
    Own,
}

/// An edition's document after it gave up some of what it says itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Reset {
    /// What is left of its layer.
    pub own: Option<Layer>,
    /// The document; `None` where there is none now.
    pub document: Option<Value>,
    /// Places that it did not give up, as nobody inherits what is there.
    pub kept: Vec<FieldPath>,
}

/// Gives up what an edition says itself at `fields` and below, over what it inherits. `own` is all that makes
/// `shown` of that.
///
/// What the schema says is not inherited stays: there would be nothing in its place.
///
/// # Errors
/// [`NotReset`], with the field, if nothing is given up there.
pub fn reset(
    schema: Option<&Schema>,
    below: Option<&Value>,
    own: Option<&Layer>,
    shown: Option<&Value>,
    fields: &[FieldPath],
) -> Result<Reset, (FieldPath, NotReset)> {
    let held = held(schema, shown).filter(|_| below.is_some());
    let mut left = own.cloned();
    for field in fields {
        let not = |why| (field.clone(), why);
        if schema.is_some_and(|schema| !Cursor::at(schema, field).may_inherit()) {
            return Err(not(NotReset::Own));
        }
        left = match &left {
            Some(layer) => layer.reset(schema, field).map_err(not)?,
            None => return Err(not(NotReset::Inherited)),
        };
    }
    let flowing = overlay(schema, below, left.as_ref());
    let Some(held) = held else {
        return Ok(Reset { own: left, document: flowing, kept: Vec::new() });
    };
    let flows = inherited(schema, flowing.as_ref());
    let document = overlay(schema, flows.as_deref(), Some(&held));
    let left = record(schema, left.as_ref(), flowing.as_ref(), document.as_ref(), below);
    if left.as_ref() == own {
        let field = fields.first().cloned().unwrap_or_default();
        return Err((field, NotReset::Own));
    }
    let places = held.places().into_iter().map(|(place, _)| place);
    let kept = places.filter(|place| fields.iter().any(|field| place.starts_with(field)));
    Ok(Reset { own: left, document, kept: kept.collect() })
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

#[cfg(test)]
mod tests {
    use ottvc_object::value::value_from_json;
    use serde_json::{Value as Json, json};

    use super::*;

    fn value(json: &Json) -> Value {
        value_from_json(json).unwrap()
    }

    fn schema() -> Schema {
        let fields = "  /ids: {type: map, inherit: never}\n  /slug: {inherit: at_create}\n  \
            /qc: {type: map}\n  /qc/by: {inherit: never}\n";
        Schema::parse(&format!("schema: t/1\nfields:\n{fields}")).unwrap()
    }

    /// Resets `fields` of `shown`, which inherits from `parent`.
    fn after(parent: &Json, shown: &Json, fields: &[&str]) -> Result<Reset, (FieldPath, NotReset)> {
        let (schema, parent, shown) = (schema(), value(parent), value(shown));
        let below = inherited(Some(&schema), Some(&parent));
        let below = below.as_deref();
        let own = record(Some(&schema), None, below, Some(&shown), below);
        let fields: Vec<FieldPath> = fields.iter().map(|field| field.parse().unwrap()).collect();
        reset(Some(&schema), below, own.as_ref(), Some(&shown), &fields)
    }

    #[test]
    fn what_nobody_inherits_is_not_given_up() {
        let parent =
            json!({ "ids": { "e": "M" }, "slug": "m", "rating": "12", "qc": { "ok": true } });
        let shown = json!({ "ids": { "e": "D" }, "slug": "d", "rating": "16",
            "qc": { "ok": false, "by": "Ann" } });
        let left = json!({ "ids": { "e": "D" }, "slug": "d", "rating": "12",
            "qc": { "ok": true, "by": "Ann" } });
        let done = after(&parent, &shown, &[""]).unwrap();
        assert_eq!(done.document, Some(value(&left)));
        let kept: Vec<String> = done.kept.iter().map(ToString::to_string).collect();
        assert_eq!(kept, ["/ids", "/qc/by", "/slug"]);
        let places = done.own.unwrap().places();
        assert_eq!(places.into_iter().map(|(path, _)| path).collect::<Vec<_>>(), done.kept);

        let done = after(&parent, &shown, &["/qc"]).unwrap();
        assert_eq!(done.document.unwrap().get(&"/rating".parse().unwrap()), Some(&"16".into()));
        assert_eq!(done.kept, ["/qc/by".parse().unwrap()]);
    }

    #[test]
    fn where_nothing_is_inherited_nothing_is_reset() {
        let parent = json!({ "ids": { "e": "M" }, "rating": "12" });
        let shown = json!({ "ids": { "e": "D" }, "rating": "12" });
        for field in ["", "/ids", "/ids/e", "/slug"] {
            let (at, why) = after(&parent, &shown, &[field]).unwrap_err();
            assert_eq!(
                (at.to_string().trim_start_matches('/'), why),
                (field.trim_start_matches('/'), NotReset::Own)
            );
        }
        let (_, why) = after(&parent, &shown, &["/rating"]).unwrap_err();
        assert_eq!(why, NotReset::Inherited);
    }
}
