//! Names, paths, ids and field paths from hostile text: refused, or read back as they were written.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ottvc_object::codec::{decode_body, encode_body};
use ottvc_object::value::Timestamp;
use ottvc_object::{CommitId, EditionId, FieldPath, Name, RepoPath};

fuzz_target!(|bytes: &[u8]| {
    // As bytes of a conflict may spell it.
    if let Ok(path) = decode_body::<FieldPath>(bytes, "field path") {
        assert_eq!(path.to_string().parse().ok(), Some(path));
    }
    if let Ok(path) = decode_body::<RepoPath>(bytes, "path") {
        // Long ones are text that no command line takes.
        assert!(
            path.to_string().len() > 4096 || RepoPath::new(&path.to_string()).ok() == Some(path)
        );
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(path) = text.parse::<FieldPath>() {
        assert_eq!(path.to_string().parse().ok(), Some(path.clone()));
        let bytes = encode_body(&path).expect("any path can be written");
        assert_eq!(decode_body::<FieldPath>(&bytes, "field path").ok(), Some(path));
    }
    if let Ok(path) = RepoPath::new(text) {
        assert_eq!(path.to_string(), text);
        assert!(path.names().iter().all(|name| !name.key().is_empty()));
        let bytes = encode_body(&path).expect("any path can be written");
        assert_eq!(decode_body::<RepoPath>(&bytes, "path").ok(), Some(path));
    }
    if let Ok(name) = Name::new(text) {
        // A tree holds keys to this length (docs/format.md, Tree node).
        assert!(name.key().len() <= 3 * text.len());
        // What stands in a tree under its key stands there under the key's own key.
        if let Ok(folded) = Name::new(&name.key()) {
            assert_eq!(folded.key(), name.key());
        }
    }
    if let Ok(id) = text.parse::<CommitId>() {
        assert_eq!(id.to_string(), text.to_ascii_lowercase());
    }
    if let Ok(id) = text.parse::<EditionId>() {
        assert_eq!(id.to_string(), text.to_ascii_lowercase());
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        assert_eq!(time.to_string().parse().ok(), Some(time));
    }
});
