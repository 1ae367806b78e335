//! JSON of other programs, whose keys begin with `$` as they please, to the projection of values and
//! back.
//!
//! A key that begins with one `$` and is neither a tag nor one of the few that stand for themselves
//! gets a second one, as does one that has two already: [`plain`] takes one `$` off where there are
//! two, so every key comes back. An object is a tagged value only if it reads as one, so that
//! `{"$set": {"a": 1}}` is a map; what looks like a `$conflict` must be one, for half a conflict that a
//! person edited is not a value somebody wanted.

use ottvc_object::value::{escape_key, is_tag, value_from_json};
use serde_json::{Map, Value as Json};

/// Escapes the keys that are no tags.
pub(super) fn escaped(json: &Json) -> Json {
    match json {
        Json::Array(elements) => Json::Array(elements.iter().map(escaped).collect()),
        Json::Object(members) => {
            let inside: Map<String, Json> =
                members.iter().map(|(key, member)| (key.clone(), escaped(member))).collect();
            if is_tagged(&inside) {
                return Json::Object(inside);
            }
            inside.into_iter().map(|(key, member)| (escape_key(&key), member)).collect()
        }
        scalar => scalar.clone(),
    }
}

/// Whether an object, its members escaped, is a tagged value or claims to be a conflict.
fn is_tagged(object: &Map<String, Json>) -> bool {
    if let Some(Json::Object(body)) = object.get("$conflict")
        && (object.len() == 1 || object.len() == 2 && object.contains_key("$key"))
    {
        return body.contains_key("kind") && body.contains_key("terms");
    }
    object.len() == 1
        && object.keys().all(|key| is_tag(key))
        && value_from_json(&Json::Object(object.clone())).is_ok()
}

/// Takes the escapes off again.
pub(super) fn plain(json: Json) -> Json {
    match json {
        Json::Array(elements) => Json::Array(elements.into_iter().map(plain).collect()),
        Json::Object(members) => {
            let member = |(key, member): (String, Json)| {
                let key = match key.strip_prefix('$') {
                    Some(rest) if rest.starts_with('$') => rest.to_owned(),
                    _ => key,
                };
                (key, plain(member))
            };
            Json::Object(members.into_iter().map(member).collect())
        }
        scalar => scalar,
    }
}

/// Writes decimals as the plain numbers that JSON has for them, however long.
pub(super) fn plain_numbers(json: Json) -> Json {
    match json {
        Json::Array(elements) => Json::Array(elements.into_iter().map(plain_numbers).collect()),
        Json::Object(members) => match decimal(&members) {
            Some(number) => number,
            None => {
                let members = members.into_iter().map(|(key, it)| (key, plain_numbers(it)));
                Json::Object(members.collect())
            }
        },
        scalar => scalar,
    }
}

fn decimal(object: &Map<String, Json>) -> Option<Json> {
    let text = object.get("$dec").filter(|_| object.len() == 1)?.as_str()?;
    text.parse().ok().map(Json::Number)
}

/// Whether a decimal with its tag stands somewhere in JSON.
pub(super) fn tags_decimals(json: &Json) -> bool {
    match json {
        Json::Array(elements) => elements.iter().any(tags_decimals),
        Json::Object(members) => decimal(members).is_some() || members.values().any(tags_decimals),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_no_tag_is_a_key_and_comes_back() {
        for (foreign, projection) in [
            (json!({"$ref": "#/a"}), json!({"$$ref": "#/a"})),
            (json!({"$$ref": 1, "$ref": 2}), json!({"$$$ref": 1, "$$ref": 2})),
            (json!({"$id": "x", "$schema": "y"}), json!({"$id": "x", "$schema": "y"})),
            (json!({"$$id": 1}), json!({"$$$id": 1})),
            (json!({"$": 1}), json!({"$$": 1})),
            // Tags, but not what they hold.
            (json!({"$text": 5}), json!({"$$text": 5})),
            (json!({"$set": {"a": 1}}), json!({"$$set": {"a": 1}})),
            (json!({"$set": [1, 1]}), json!({"$$set": [1, 1]})),
            (json!({"$text": "x", "b": 1}), json!({"$$text": "x", "b": 1})),
            (json!({"$conflict": {"with": "b"}}), json!({"$$conflict": {"with": "b"}})),
            // Tags, and what they hold.
            (json!({"$text": "x"}), json!({"$text": "x"})),
            (json!([{"$set": ["b", "a"]}]), json!([{"$set": ["b", "a"]}])),
            (
                json!({"$kl": {"keys": ["id"], "items": [{"id": 1, "$ref": 2}]}}),
                json!({"$kl": {"keys": ["id"], "items": [{"id": 1, "$$ref": 2}]}}),
            ),
        ] {
            assert_eq!(escaped(&foreign), projection);
            assert!(value_from_json(&projection).is_ok(), "{projection}");
            assert_eq!(plain(projection), foreign);
        }
    }

    #[test]
    fn half_a_conflict_is_not_a_map() {
        let half = json!({"$conflict": {"kind": "edit_edit", "terms": []}});
        assert_eq!(escaped(&half), half);
        assert!(value_from_json(&half).is_err());
    }
}
