//! Schemas from hostile text: refused, or of one spelling, and asked in finite time.
//!
//! The input is what binds documents to schemas, to which a pattern is added; or a schema, and behind a line `...` a document in JSON, to be converted, judged and
//! merged under it.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use ottvc_merge::schema::validate;
use ottvc_merge::{Bindings, MergeOptions, Schema, merge_values, same};
use ottvc_object::RepoPath;
use ottvc_object::conflict::Terms;
use ottvc_object::value::{Document, Value};

fuzz_target!(|text: &str| {
    if Bindings::parse(text).is_ok() {
        let pattern = ["*.meta.json".to_owned()];
        let added =
            Bindings::add(text, &pattern, "ott.edition/1", None).expect("room for one more");
        let name = Bindings::parse(&added).expect("its own spelling");
        let film = RepoPath::new("film.meta.json").expect("a path");
        assert_eq!(name.name_of(&film), Some("ott.edition/1"), "the last pattern counts");
    }
    let (schema, document) = text.split_once("\n...\n").unwrap_or((text, "{}"));
    let Ok(schema) = Schema::parse(schema) else { return };
    let again = Schema::parse(&schema.canonical()).expect("its own spelling");
    assert_eq!(again, schema);
    schema.json_schema();
    let Ok(document) = Document::from_json(document.as_bytes()) else { return };
    let value = document.into_value();
    let converted = schema.convert(&value);
    assert_eq!(schema.convert(&converted), converted, "converting again changes nothing");
    validate(&converted, &schema);
    schema.to_plain(&converted);
    let options = MergeOptions { schema: Some(Arc::new(schema)), ..MergeOptions::default() };
    let empty = Value::Map(Default::default());
    for (ours, base, theirs) in [
        (&converted, &empty, &converted),
        (&converted, &value, &empty),
        (&converted, &empty, &value),
    ] {
        let terms = |a: &Value, b: &Value, c: &Value| {
            Terms::three(Some(a.clone()), Some(b.clone()), Some(c.clone()))
        };
        let merge = |terms| {
            merge_values(&terms, &options, &RepoPath::root()).expect("sound input, few terms")
        };
        let there = merge(terms(ours, base, theirs));
        let back = merge(terms(theirs, base, ours));
        assert_eq!(there.conflicts, back.conflicts);
        match (&there.value, &back.value) {
            // Fallbacks of the schema may tell ours from theirs, and are reported.
            (Some(a), Some(b)) => assert!(same(a, b) || !there.decisions.is_empty()),
            (a, b) => assert!(a.is_none() && b.is_none() || !there.decisions.is_empty()),
        }
    }
});
