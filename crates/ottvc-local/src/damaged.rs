//! The file that remembers what the last check found damaged, so that storing such a thing again
//! stores it anew instead of trusting the copy there is.
//!
//! One thing a line: `chunk ID` or `object ID`. The file is advice: without it, or with too much in
//! it, nothing is lost.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;

use ottvc_store::{DamagedThing, StoreError};

use crate::layout::{Layout, read_limited};

/// The longest list that is read, in bytes; more damage than that calls for another store.
const MAX_BYTES: u64 = 16 << 20;

/// Reads the list; what cannot be read counts as empty.
pub(crate) fn load(layout: &Layout) -> BTreeSet<DamagedThing> {
    let text = read_limited(&layout.damaged(), MAX_BYTES).unwrap_or_default();
    let thing = |line: &str| match line.split_once(' ')? {
        ("chunk", id) => id.parse().ok().map(DamagedThing::Chunk),
        ("object", id) => id.parse().ok().map(DamagedThing::Object),
        _ => None,
    };
    text.lines().filter_map(thing).collect()
}

/// Replaces the list.
pub(crate) fn save(layout: &Layout, things: &BTreeSet<DamagedThing>) -> Result<(), StoreError> {
    let path = layout.damaged();
    if things.is_empty() {
        return match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(StoreError::io("remove", path, error))
            }
            _ => Ok(()),
        };
    }
    let line = |thing: &DamagedThing| match thing {
        DamagedThing::Chunk(id) => format!("chunk {id}\n"),
        DamagedThing::Object(id) => format!("object {id}\n"),
    };
    let text: String = things.iter().map(line).collect();
    layout.write_durably(&path, text.as_bytes())
}
