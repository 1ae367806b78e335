//! Three JSON files of any shape: a merge of them ends, and what is written is JSON that says what was
//! merged, however the files are laid out.
//!
//! The input is ours, base and theirs, with a line `...` between them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ottvc_merge::{JsonFiles, MergeOptions};
use ottvc_object::RepoPath;
use ottvc_object::value::parse_json;

fuzz_target!(|text: &str| {
    let mut parts = text.splitn(3, "\n...\n");
    let [ours, base, theirs] = [(); 3].map(|()| parts.next());
    let bytes = |text: Option<&str>| text.map(|text| text.as_bytes().to_vec());
    let terms = vec![bytes(ours), bytes(base), bytes(theirs)];
    let Ok(files) = JsonFiles::read(terms, None) else { return };
    let options = MergeOptions::default();
    let merged = files.merge(&options, &RepoPath::root()).expect("sound input, few terms");
    let Some(value) = merged.value else { return };
    let Ok(written) = files.write(Some(&value)) else { return };
    let json = parse_json(&written).expect("what is written is JSON");
    // With keys that begin with `$` a map may come to look like a tagged value.
    if !text.contains('$') && merged.conflicts.is_empty() {
        let again = files.from_json(&json).expect("what is written is a value");
        assert_eq!(again, value, "what is written says what was merged");
    }
    if ours == base && theirs.is_some() {
        assert_eq!(Some(written.as_slice()), theirs.map(str::as_bytes), "theirs to the byte");
    } else if theirs == base && ours.is_some() {
        assert_eq!(Some(written.as_slice()), ours.map(str::as_bytes), "ours to the byte");
    }
    // Merging it once more changes nothing.
    let terms = vec![Some(written.clone()), bytes(base), Some(written.clone())];
    if let Ok(files) = JsonFiles::read(terms, None) {
        let again = files.merge(&options, &RepoPath::root()).expect("sound input, few terms");
        if let Some(value) = again.value {
            assert_eq!(files.write(Some(&value)).ok(), Some(written), "merged once more");
        }
    }
});
