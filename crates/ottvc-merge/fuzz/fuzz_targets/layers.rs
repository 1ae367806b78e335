//! Layers and texts marked by hand, from hostile bytes.
//!
//! The input is up to four parts between lines `...`: a parent's document, the same after a change, what an
//! edition says itself (as a layer, or as a document of its own), and a text as somebody left it in an editor.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use ottvc_merge::layers::{Layer, inherited, overlay, propagate, record};
use ottvc_merge::{Marked, MergeOptions, Schema, SideNames, merge_values};
use ottvc_object::RepoPath;
use ottvc_object::conflict::Terms;
use ottvc_object::value::{Document, Value};

const SCHEMA: &str = "
schema: fuzz/1
fields:
  /a:      {type: keyed, keys: [id], order: significant, on_shadow: conflict}
  /b:      {type: set, of: string, on_shadow: conflict}
  /c:      {type: localized, of: text, merge: text(word)}
  /d:      {type: keyed, keys: [id], order: field(n), groups: [[x, y]]}
  /e/**:   {inherit: never}
  /f:      {inherit: at_create}
  /g:      {type: map, merge: atomic}
";

fuzz_target!(|text: &str| {
    let mut parts = text.split("\n...\n");
    let schema = Schema::parse(SCHEMA).expect("a schema");
    let mut read = || {
        let document = Document::from_json(parts.next()?.as_bytes()).ok()?;
        Some(schema.convert(document.value()))
    };
    let (old, new, said) = (read(), read(), read());
    let layer = said.as_ref().and_then(|said| {
        let layer = Layer::from_document(&Document::new(said.clone()).ok()?).ok()?;
        let written = layer.to_document().expect("it was a document");
        assert_eq!(Layer::from_document(&written).expect("its own form"), layer);
        Some(layer)
    });
    for schema in [None, Some(&schema)] {
        let parent = inherited(schema, old.as_ref());
        // A change leaves a layer that makes, over the same parent, what was recorded.
        let before = overlay(schema, parent.as_deref(), layer.as_ref());
        let own = record(schema, layer.as_ref(), before.as_ref(), said.as_ref(), parent.as_deref());
        let after = overlay(schema, parent.as_deref(), own.as_ref());
        let same_keys = |value: &Option<Value>| value.clone().map(|it| Document::new(it).is_ok());
        if same_keys(&said) == Some(true) {
            assert_eq!(after, said, "what was recorded comes back");
        }
        // A pin that moves: what is left can be stored, and moving it again changes nothing.
        let moved = propagate(schema, old.as_ref(), new.as_ref(), own.as_ref());
        if let Some(value) = &moved.effective {
            let _ = Document::new(value.clone());
        }
        let again = propagate(schema, new.as_ref(), new.as_ref(), moved.own.as_ref());
        assert_eq!(again.own, moved.own, "a second move is none");
    }
    // Whatever was typed is read, or refused.
    let options =
        MergeOptions { schema: Some(Arc::new(schema.clone())), ..MergeOptions::default() };
    let terms = Terms::three(old, None, new);
    let Ok(merged) = merge_values(&terms, &options, &RepoPath::root()) else { return };
    let Some(merged) = merged.value else { return };
    let names = SideNames { ours: Some("main".to_owned()), theirs: None };
    let marked = Marked::new(&merged, Some(&schema), &names);
    let untouched = marked.read(marked.text()).expect("as it was written");
    assert_eq!(untouched.map(|it| schema.convert(it.value())), Some(merged), "nothing was settled");
    if let Some(typed) = parts.next() {
        let _ = marked.read(typed);
        // Typed into what was shown, at some line of it.
        let lines: Vec<&str> = marked.text().lines().collect();
        let at = typed.len() % (lines.len() + 1);
        let (above, below) = lines.split_at(at);
        let mixed = [above, &[typed], below].concat().join("\n");
        let _ = marked.read(&mixed);
    }
});
