//! A JSON tree into a value.

use serde_json::{Map, Value as Json};

use super::{PLAIN_KEYS, terms_in_place};
use crate::conflict::{Conflict, ConflictKind, Term};
use crate::error::ObjectError;
use crate::field_path::{FieldPath, Segment};
use crate::value::{
    AssetRef, Key, KeyedList, ListOrder, MAX_CONFLICT_DEPTH, MAX_DEPTH, Value, ValueMap,
    canonical_tag, not_a_leaf, not_a_tag, parse_number,
};

/// Reads a value from its JSON projection; plain JSON is one.
///
/// An object becomes a map, an array an array, a string a string; the other kinds have their tags.
/// A number becomes an int where it is whole and fits, else a decimal, exactly.
///
/// # Errors
/// [`ObjectError::BadValue`] with the field, for an unknown tag, a tag with the wrong content, or a
/// value past its limits.
pub fn value_from_json(json: &Json) -> Result<Value, ObjectError> {
    let mut reader = Reader { path: FieldPath::root(), values: 0, conflicts: 0 };
    let read = reader.value(json);
    read.map_err(|why| ObjectError::BadValue { field: reader.path.to_string(), why })
}

/// On an error `path` stays where the error is.
struct Reader {
    path: FieldPath,
    values: usize,
    conflicts: usize,
}

type Read<T> = Result<T, String>;

impl Reader {
    /// Reads below a step; the depth is counted, for a tree made in memory has no limit of its own.
    fn below<T>(&mut self, step: Segment, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<T> {
        self.path.0.push(step);
        let value = read(self)?;
        self.path.0.pop();
        Ok(value)
    }

    fn value(&mut self, json: &Json) -> Read<Value> {
        self.values += 1;
        if self.values > MAX_DEPTH + MAX_CONFLICT_DEPTH {
            return Err(format!("nested over {MAX_DEPTH} deep"));
        }
        let value = match json {
            Json::Null => Value::Null,
            Json::Bool(flag) => Value::Bool(*flag),
            Json::Number(number) => parse_number(number.as_str())?,
            Json::String(text) => Value::String(text.clone()),
            Json::Array(elements) => Value::Array(self.elements(elements)?),
            Json::Object(object) => match tag_of(object)? {
                Some((tag, content)) => self.tagged(tag, content)?,
                None => Value::Map(self.map(object)?),
            },
        };
        self.values -= 1;
        Ok(value)
    }

    fn elements(&mut self, elements: &[Json]) -> Read<Vec<Value>> {
        let read = |(at, element)| self.below(Segment::Index(at), |reader| reader.value(element));
        (0..).zip(elements).map(read).collect()
    }

    fn map(&mut self, object: &Map<String, Json>) -> Read<ValueMap> {
        let mut map = ValueMap::new();
        for (written, json) in object {
            let key = unescape_key(written)?;
            let step = Segment::Key(key.to_owned());
            let value = self.below(step, |reader| reader.value(json))?;
            if map.insert(key.to_owned(), value).is_some() {
                return Err(format!("the key `{key}` comes twice"));
            }
        }
        Ok(map)
    }

    fn tagged(&mut self, tag: &str, content: &Json) -> Read<Value> {
        match (tag, content) {
            ("$dec", Json::String(text)) => Ok(parse_number(text)?),
            ("$ts", Json::String(text)) => text.parse().map(Value::Timestamp).map_err(why_of),
            ("$text", Json::String(text)) => Ok(Value::Text(text.clone())),
            ("$set", Json::Array(elements)) => {
                Value::set_of(self.elements(elements)?).map_err(why_of)
            }
            ("$kl", Json::Object(body)) => self.list(body).map(Value::Keyed),
            ("$loc", Json::Object(object)) => self.localized(object),
            ("$asset", Json::Object(body)) => asset(body).map(Value::Asset),
            ("$conflict", Json::Object(body)) => {
                self.conflict(body).map(|conflict| Value::Conflict(Box::new(conflict)))
            }
            ("$dec" | "$ts" | "$text", _) => Err(format!("`{tag}` holds a string")),
            ("$set", _) => Err("`$set` holds an array".to_owned()),
            _ => Err(format!("`{tag}` holds an object")),
        }
    }

    fn localized(&mut self, object: &Map<String, Json>) -> Read<Value> {
        let mut map = ValueMap::new();
        for (written, json) in object {
            let tag = canonical_tag(written).ok_or_else(|| not_a_tag(written))?;
            let leaf = self.below(Segment::Locale(tag.clone()), |reader| {
                let leaf = reader.value(json)?;
                if leaf.is_localized_leaf() { Ok(leaf) } else { Err(not_a_leaf(&leaf)) }
            })?;
            if map.insert(tag, leaf).is_some() {
                return Err(format!("the language tag `{written}` comes twice"));
            }
        }
        Ok(Value::Localized(map))
    }

    fn list(&mut self, body: &Map<String, Json>) -> Read<KeyedList> {
        let body = Members::new("$kl", body, &["keys", "items", "order"])?;
        let Json::Array(fields) = body.need("keys")? else {
            return Err("`keys` of `$kl` is an array of strings".to_owned());
        };
        let fields: Option<Vec<String>> =
            fields.iter().map(|field| field.as_str().map(str::to_owned)).collect();
        let fields = fields.ok_or("`keys` of `$kl` is an array of strings")?;
        let mut list = KeyedList::empty(fields).map_err(why_of)?;
        let Json::Array(items) = body.need("items")? else {
            return Err("`items` of `$kl` is an array".to_owned());
        };
        for (at, json) in (0..).zip(items) {
            self.below(Segment::Index(at), |reader| {
                let (key, item) = reader.item(&list, json)?;
                if list.items().contains_key(&key) {
                    return Err(format!("two items have the key {}", list.segment(&key)));
                }
                list.put(key, item).map_err(why_of)
            })?;
        }
        if let Some(order) = body.take("order") {
            let Json::Object(object) = order else {
                return Err("`order` of `$kl` is a `$conflict`".to_owned());
            };
            let Some(("$conflict", Json::Object(body))) = tag_of(object)? else {
                return Err("`order` of `$kl` is a `$conflict`".to_owned());
            };
            let conflict = self.below(Segment::Order, |reader| reader.conflict(body))?;
            list.set_order(ListOrder::Conflict(Box::new(conflict))).map_err(why_of)?;
        }
        Ok(list)
    }

    /// Reads an item with its key: a map that holds it, or a conflict with `$key` beside it.
    fn item(&mut self, list: &KeyedList, json: &Json) -> Read<(Key, Value)> {
        if let Json::Object(object) = json
            && let Some(Json::Object(key)) = object.get("$key")
        {
            let Some(Json::Object(body)) = object.get("$conflict").filter(|_| object.len() == 2)
            else {
                return Err("`$key` stands beside a `$conflict` only".to_owned());
            };
            let key = list.key_of(&self.map(key)?).map_err(why_of)?;
            return Ok((key, Value::Conflict(Box::new(self.conflict(body)?))));
        }
        match self.value(json)? {
            Value::Map(map) => {
                let key = list.key_of(&map).map_err(why_of)?;
                Ok((key, Value::Map(map)))
            }
            Value::Conflict(_) => Err("a `$conflict` in a list needs its `$key`".to_owned()),
            other => Err(format!("{} cannot be an item of a keyed list", other.kind_phrase())),
        }
    }

    fn conflict(&mut self, body: &Map<String, Json>) -> Read<Conflict<Value>> {
        self.conflicts += 1;
        if self.conflicts > MAX_CONFLICT_DEPTH {
            return Err(format!("over {MAX_CONFLICT_DEPTH} conflicts inside one another"));
        }
        let body = Members::new("$conflict", body, &["id", "kind", "path", "policy", "terms"])?;
        let kind = body.need_str("kind")?;
        let path: FieldPath = body.need_str("path")?.parse().map_err(why_of)?;
        let Json::Array(terms) = body.need("terms")? else {
            return Err("`terms` of `$conflict` is an array".to_owned());
        };
        let terms: Read<Vec<_>> = terms.iter().map(|term| self.term(term)).collect();
        let conflict = Conflict {
            kind: ConflictKind::from_word(kind)
                .ok_or_else(|| format!("`{kind}` is no kind of conflict"))?,
            path,
            policy: body.need_str("policy")?.to_owned(),
            terms: terms_in_place(terms?).map_err(why_of)?,
        };
        let id = body.take("id").map(|id| id.as_str().unwrap_or_default());
        if id.is_some_and(|id| id != conflict.core_id().to_string()) {
            return Err(
                "this conflict was changed by hand, so its `id` no longer fits; to settle \
                        it, put the value you want in place of the whole `$conflict` object"
                    .to_owned(),
            );
        }
        self.conflicts -= 1;
        Ok(conflict)
    }

    fn term(&mut self, json: &Json) -> Read<(String, Term<Value>)> {
        let Json::Object(object) = json else {
            return Err("a term of a conflict is an object".to_owned());
        };
        let body = Members::new(
            "a term of a conflict",
            object,
            &["side", "absent", "value", "contested"],
        )?;
        let side = body.need_str("side")?.to_owned();
        let term = match (body.take("absent"), body.take("value"), body.take("contested")) {
            (Some(Json::Bool(true)), None, None) => Term::Absent,
            (None, Some(value), None) => Term::Value(self.value(value)?),
            (None, None, Some(Json::Object(nested))) => {
                Term::Contested(Box::new(self.conflict(nested)?))
            }
            _ => {
                return Err("a term of a conflict has one of `value`, `contested` and \
                            `absent: true`"
                    .to_owned());
            }
        };
        Ok((side, term))
    }
}

/// Whether an object with this one key is a tagged value.
pub fn is_tag(key: &str) -> bool {
    matches!(key, "$dec" | "$ts" | "$text" | "$set" | "$kl" | "$loc" | "$asset" | "$conflict")
}

/// Returns the tag of an object with its content, if it has one.
fn tag_of(object: &Map<String, Json>) -> Read<Option<(&str, &Json)>> {
    match object.iter().find(|(key, _)| is_tag(key)) {
        Some((tag, _)) if object.len() > 1 => {
            Err(format!("`{tag}` must be the only key of its object"))
        }
        Some((tag, content)) => Ok(Some((tag.as_str(), content))),
        None => Ok(None),
    }
}

/// Returns the key a JSON key stands for.
fn unescape_key(written: &str) -> Read<&str> {
    match written.strip_prefix('$') {
        Some(rest) if rest.starts_with('$') => Ok(rest),
        Some(_) if !PLAIN_KEYS.contains(&written) => Err(format!(
            "`{written}` is no tag; a key that begins with `$` is written `${written}`"
        )),
        _ => Ok(written),
    }
}

fn asset(body: &Map<String, Json>) -> Read<AssetRef> {
    let body = Members::new("$asset", body, &["digest", "media_type", "size", "role"])?;
    let digest = body.need_str("digest")?;
    let asset = AssetRef {
        digest: digest.parse().map_err(why_of)?,
        media_type: body.need_str("media_type")?.to_owned(),
        size: body.need("size")?.as_u64().ok_or("`size` of `$asset` is a number of bytes")?,
        role: match body.take("role") {
            None => None,
            Some(Json::String(role)) => Some(role.clone()),
            Some(_) => return Err("`role` of `$asset` is a string".to_owned()),
        },
    };
    match asset.fault() {
        None => Ok(asset),
        Some(why) => Err(why.to_owned()),
    }
}

/// The members of an object whose keys are all known.
struct Members<'a> {
    of: &'static str,
    object: &'a Map<String, Json>,
}

impl<'a> Members<'a> {
    fn new(of: &'static str, object: &'a Map<String, Json>, known: &[&str]) -> Read<Self> {
        match object.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => Err(format!("{of} has no member `{key}`")),
            None => Ok(Self { of, object }),
        }
    }
    fn take(&self, key: &str) -> Option<&'a Json> {
        self.object.get(key)
    }
    fn need(&self, key: &str) -> Read<&'a Json> {
        self.take(key).ok_or_else(|| format!("{} lacks `{key}`", self.of))
    }
    fn need_str(&self, key: &str) -> Read<&'a str> {
        let of = self.of;
        self.need(key)?.as_str().ok_or_else(|| format!("`{key}` of {of} is a string"))
    }
}

/// The rule in an error of a part; where the part stands is known here.
fn why_of(error: ObjectError) -> String {
    match error {
        ObjectError::BadValue { why, .. } | ObjectError::Malformed { why, .. } => why,
        other => other.to_string(),
    }
}
