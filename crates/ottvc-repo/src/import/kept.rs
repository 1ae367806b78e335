//! What a delivery takes back though another source still says it: that stays.
//!
//! A removal is what the delivery merged last has and this one has not. The lineage records it as it is; merged
//! is a commit on top of it which has those units again, so that the merge sees no change there. The work grows with
//! what is removed: other sources are read only for documents from which something is.

use std::collections::BTreeMap;

use ottvc_merge::Schema;
use ottvc_merge::schema::Policy;
use ottvc_object::field_path::{FieldPath, Segment};
use ottvc_object::tree::{PathEdit, diff_paths};
use ottvc_object::value::{Document, KeyedList, ListOrder, Value, ValueMap};
use ottvc_object::{Commit, CommitId, Entry, Storable, TreeId};
use ottvc_refs::{RefKind, RefName};
use serde::Serialize;

use super::SOURCE_PREFIX;
use crate::nodes::Batch;
use crate::schemas::Schemas;
use crate::stage::Edits;
use crate::{Repo, RepoError};

/// A field that a delivery leaves out and that stays, as other sources say it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeptField {
    /// The field, or an item or element of it.
    pub field: String,
    /// The lineages that have it.
    pub sources: Vec<String>,
}

/// What stays, by document.
pub(super) type Kept = BTreeMap<String, Vec<KeptField>>;

impl Repo {
    /// The tree of a delivery with what it takes back and another source still says; the same tree if there
    /// is nothing of the kind. `ours` is what the delivery is merged into.
    pub(super) fn keep_what_others_say(
        &self,
        batch: &Batch<'_>,
        (own, id, delivered): (&RefName, CommitId, &Commit),
        ours: (CommitId, TreeId),
        (schemas, edition): (&Schemas, &Schema),
    ) -> Result<(TreeId, Kept), RepoError> {
        let ancestry = |at: CommitId| match at == id {
            true => Ok(ottvc_merge::Ancestry {
                parents: delivered.parents.clone(),
                generation: delivered.generation,
            }),
            false => self.ancestry(at),
        };
        let bases = ottvc_merge::plan_base(ancestry, ours.0, id)?.bases;
        let (mut tree, mut kept) = (delivered.tree, Kept::new());
        let mut others: Option<Vec<(String, TreeId)>> = None;
        for base in bases.iter().filter(|base| **base != id) {
            let base = self.commit(*base)?.tree;
            let mut changed = Vec::new();
            diff_paths(batch, base, tree, &mut |change| {
                if change.old.is_some() && change.new.is_some() {
                    changed.push(change.path);
                }
                Ok::<(), RepoError>(())
            })?;
            let mut edits = Edits::new();
            for path in changed {
                let old = self.document_of(batch, base, &path)?;
                let new = self.document_of(batch, tree, &path)?;
                let (Some(old), Some(new)) = (old, new) else { continue };
                let schema = schemas.of(&path).map_or(edition, |schema| &**schema);
                if Keeping::run(schema, &[("", &old)], &old, &new)?.1.is_empty() {
                    continue;
                }
                let others = match &mut others {
                    Some(others) => others,
                    none => none.insert(self.other_sources(own)?),
                };
                let mut said = Vec::new();
                for (name, tree) in others.iter() {
                    let document = self.document_of(batch, *tree, &path)?;
                    said.extend(document.map(|document| (name.as_str(), document)));
                }
                let said: Vec<(&str, &Value)> = said.iter().map(|(name, it)| (*name, it)).collect();
                let (again, fields) = Keeping::run(schema, &said, &old, &new)?;
                if fields.is_empty() {
                    continue;
                }
                // What our side has not, cannot stay there.
                let here = self.document_of(batch, ours.1, &path)?;
                let is_here =
                    |at: &FieldPath| here.as_ref().is_some_and(|here| here.get(at).is_some());
                let rows = kept.entry(path.to_string()).or_default();
                for (at, sources) in fields.into_iter().filter(|(at, _)| is_here(at)) {
                    let row = KeptField { field: at.to_string(), sources };
                    if !rows.contains(&row) {
                        rows.push(row);
                    }
                }
                let object = Document::new(again)?.to_object()?;
                let len = object.bytes().len() as u64;
                let entry = Entry::Document { id: object.id().into(), len };
                batch.put(object);
                let named = crate::worktree::named(&path, entry)?;
                edits.insert(path.key(), PathEdit { path, new: Some(named) });
            }
            if !edits.is_empty() {
                tree = self.apply(tree, &edits, batch)?;
            }
        }
        kept.retain(|_, fields| !fields.is_empty());
        Ok((tree, kept))
    }

    /// The other sources, and what each said last.
    fn other_sources(&self, own: &RefName) -> Result<Vec<(String, TreeId)>, RepoError> {
        let mut others = Vec::new();
        for (name, value) in self.refs.list()? {
            let is_other = name.kind() == RefKind::Branch
                && name.short().starts_with(SOURCE_PREFIX)
                && name != *own;
            if let (true, Some(id)) = (is_other, value.target) {
                others.push((name.short().to_owned(), self.commit(id)?.tree));
            }
        }
        Ok(others)
    }
}

/// A walk through what a document had and has no more.
struct Keeping<'a> {
    schema: &'a Schema,
    kept: Vec<(FieldPath, Vec<String>)>,
}

/// Who else speaks of a place, and what they say.
type Said<'v> = Vec<(&'v str, &'v Value)>;

/// What those who speak of a place say of one part of it.
fn of_part<'v>(said: &Said<'v>, part: impl Fn(&'v Value) -> Option<&'v Value>) -> Said<'v> {
    said.iter().filter_map(|(name, value)| Some((*name, part(value)?))).collect()
}

impl<'a> Keeping<'a> {
    /// Returns `new` with what it lacks of `old` and others say, and where that is.
    fn run(
        schema: &'a Schema,
        said: &[(&str, &Value)],
        old: &Value,
        new: &Value,
    ) -> Result<(Value, Vec<(FieldPath, Vec<String>)>), RepoError> {
        let mut walk = Self { schema, kept: Vec::new() };
        let value = walk.value(&FieldPath::root(), old, Some(new), &said.to_vec())?;
        Ok((value.unwrap_or_else(|| new.clone()), walk.kept))
    }

    /// Whether what stands at a place is one unit.
    fn is_whole(&self, at: &FieldPath) -> bool {
        let policy = |at: &FieldPath| self.schema.field_at(at);
        let item_of = matches!(at.0.last(), Some(Segment::Item(_)))
            && at.parent().is_some_and(|list| policy(&list).is_some_and(|it| it.item_atomic));
        item_of || policy(at).is_some_and(|field| field.merge == Some(Policy::Atomic))
    }

    fn value(
        &mut self,
        at: &FieldPath,
        old: &Value,
        new: Option<&Value>,
        said: &Said<'_>,
    ) -> Result<Option<Value>, RepoError> {
        if new == Some(old) || said.is_empty() || (new.is_some() && self.is_whole(at)) {
            return Ok(new.cloned());
        }
        let alike = |value: &Value| value.kind_number() == old.kind_number();
        // Others say all of it, or it has no parts that could be told apart.
        let whole: Said = said.iter().filter(|(_, it)| *it == old).copied().collect();
        let unit = self.is_whole(at) || !said.iter().all(|(_, value)| alike(value));
        let whole = if unit && whole.is_empty() { said.clone() } else { whole };
        if new.is_none() && !whole.is_empty() {
            return Ok(Some(self.keep(at, old, &whole)));
        }
        match (old, new) {
            (Value::Map(old), None | Some(Value::Map(_))) => {
                let entries = map_of(new);
                let part = |key: &str| at.key(key);
                let said =
                    |key: &str| of_part(said, |it| map_of(Some(it)).and_then(|it| it.get(key)));
                let left = self.entries(old, entries, &part, &said)?;
                Ok(left.map(Value::Map))
            }
            (Value::Localized(old), None | Some(Value::Localized(_))) => {
                let entries = map_of(new);
                let part = |tag: &str| at.join(Segment::Locale(tag.to_owned()));
                let said =
                    |key: &str| of_part(said, |it| map_of(Some(it)).and_then(|it| it.get(key)));
                let left = self.entries(old, entries, &part, &said)?;
                Ok(left.map(Value::Localized))
            }
            (Value::Set(old), None | Some(Value::Set(_))) => {
                let mut left = match new {
                    Some(Value::Set(set)) => Some(set.clone()),
                    _ => None,
                };
                for element in old.iter() {
                    if left.as_ref().is_some_and(|set| set.contains(element)) {
                        continue;
                    }
                    let said = of_part(said, |it| match it {
                        Value::Set(set) => set.get(element),
                        _ => None,
                    });
                    if !said.is_empty() {
                        self.keep(&at.join(Segment::Element(element.clone())), element, &said);
                        left.get_or_insert_default().insert(element.clone())?;
                    }
                }
                Ok(left.map(Value::Set))
            }
            (Value::Keyed(old), None) => {
                let empty = KeyedList::empty(old.fields().to_vec())?;
                let left = self.items(at, old, &empty, said)?;
                Ok((!left.items().is_empty()).then_some(Value::Keyed(left)))
            }
            (Value::Keyed(old), Some(Value::Keyed(list))) if old.fields() == list.fields() => {
                Ok(Some(Value::Keyed(self.items(at, old, list, said)?)))
            }
            (_, None) => Ok(Some(self.keep(at, old, said))),
            (_, Some(new)) => Ok(Some(new.clone())),
        }
    }

    /// Notes that a value stays, and for whom.
    fn keep(&mut self, at: &FieldPath, old: &Value, said: &Said<'_>) -> Value {
        let sources = said.iter().map(|(name, _)| (*name).to_owned()).collect();
        self.kept.push((at.clone(), sources));
        old.clone()
    }

    fn entries<'v>(
        &mut self,
        old: &ValueMap,
        new: Option<&ValueMap>,
        part: &dyn Fn(&str) -> FieldPath,
        said: &dyn Fn(&str) -> Said<'v>,
    ) -> Result<Option<ValueMap>, RepoError> {
        let mut left = new.cloned();
        for (key, value) in old {
            let now = new.and_then(|new| new.get(key));
            if let Some(value) = self.value(&part(key), value, now, &said(key))? {
                left.get_or_insert_default().insert(key.clone(), value);
            }
        }
        Ok(left)
    }

    /// The items of a list; one that stays goes behind the one it stood behind.
    fn items(
        &mut self,
        at: &FieldPath,
        old: &KeyedList,
        new: &KeyedList,
        said: &Said<'_>,
    ) -> Result<KeyedList, RepoError> {
        let mut left = new.clone();
        let mut place = 0;
        for (key, item) in old.iter() {
            let said = of_part(said, |it| match it {
                Value::Keyed(list) if list.fields() == old.fields() => list.items().get(key),
                _ => None,
            });
            let was = new.items().get(key);
            let value = self.value(&at.join(old.segment(key)), item, was, &said)?;
            if let Some(value) = value {
                left.put(key.clone(), value)?;
            }
            let ListOrder::Known(keys) = left.order() else { continue };
            if was.is_none() && keys.last() == Some(key) {
                let mut keys = keys.clone();
                keys.pop();
                keys.insert(place, key.clone());
                left.set_order(ListOrder::Known(keys))?;
                place += 1;
            } else if let Some(stands) = keys.iter().position(|it| it == key) {
                place = stands + 1;
            }
        }
        Ok(left)
    }
}

fn map_of(value: Option<&Value>) -> Option<&ValueMap> {
    match value {
        Some(Value::Map(map) | Value::Localized(map)) => Some(map),
        _ => None,
    }
}
