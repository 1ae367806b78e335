//! What every workspace store promises: run [`workspace`] against a backend.

#![allow(clippy::unwrap_used, reason = "a suite fails by panicking")]

use std::sync::Arc;

use ottvc_store::{StoreError, WorkspaceStore};

/// Makes an empty workspace store.
pub type MakeWorkspace<'a> = &'a dyn Fn() -> Arc<dyn WorkspaceStore>;

/// Checks every promise of [`WorkspaceStore`]; panics at the first that is broken.
pub fn workspace(make: MakeWorkspace<'_>) {
    a_state_is_what_was_saved_last(&*make());
    rows_come_and_go(&*make());
    rows_are_visited_in_key_order_until_told(&*make());
}

fn row(key: &[u8], value: Option<&[u8]>) -> (Vec<u8>, Option<Vec<u8>>) {
    (key.to_vec(), value.map(<[u8]>::to_vec))
}

fn a_state_is_what_was_saved_last(workspace: &dyn WorkspaceStore) {
    assert_eq!(workspace.load().unwrap(), None);
    for state in [&b"one"[..], b"two", b"two", b"", b"one"] {
        workspace.save(state, &[]).unwrap();
        assert_eq!(workspace.load().unwrap().as_deref(), Some(state));
    }
    workspace.stage(b"staged", &[]).unwrap();
    assert_eq!(workspace.load().unwrap().as_deref(), Some(&b"staged"[..]));
    workspace.save(b"kept", &[]).unwrap();
    assert_eq!(workspace.load().unwrap().as_deref(), Some(&b"kept"[..]));
}

fn rows_come_and_go(workspace: &dyn WorkspaceStore) {
    assert_eq!(workspace.row(b"a").unwrap(), None);
    workspace.save(b"state", &[row(b"a", Some(b"1")), row(b"b", Some(b""))]).unwrap();
    workspace.cache(&[row(b"c", Some(b"3"))]).unwrap();
    assert_eq!(workspace.row(b"a").unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(workspace.row(b"b").unwrap().as_deref(), Some(&b""[..]));
    assert_eq!(workspace.row(b"c").unwrap().as_deref(), Some(&b"3"[..]));
    workspace.save(b"state", &[row(b"a", None), row(b"c", Some(b"4")), row(b"x", None)]).unwrap();
    workspace.cache(&[row(b"b", None)]).unwrap();
    assert_eq!(workspace.row(b"a").unwrap(), None);
    assert_eq!(workspace.row(b"b").unwrap(), None);
    assert_eq!(workspace.row(b"c").unwrap().as_deref(), Some(&b"4"[..]));
    assert_eq!(workspace.load().unwrap().as_deref(), Some(&b"state"[..]));
}

fn rows_are_visited_in_key_order_until_told(workspace: &dyn WorkspaceStore) {
    let keys: [&[u8]; 7] = [b"", b"a", b"a/b", b"a/c", b"b", b"\xff", b"\xff\xff"];
    let rows: Vec<_> = keys.iter().rev().map(|key| row(key, Some(key))).collect();
    workspace.save(b"state", &rows).unwrap();
    for (start, most) in
        [(&b""[..], 9), (b"", 3), (b"a", 1), (b"a/", 2), (b"c", 9), (b"\xff\xff\xff", 9)]
    {
        let mut found = Vec::new();
        let visited = workspace.rows(start, &mut |key, value| {
            assert_eq!(key, value);
            found.push(key.to_vec());
            Ok(found.len() < most)
        });
        visited.unwrap();
        let from = keys.iter().filter(|key| **key >= start);
        let expected: Vec<_> = from.take(most).map(|key| key.to_vec()).collect();
        assert_eq!(found, expected);
    }
    let stopped = workspace.rows(b"", &mut |_, _| Err(StoreError::Stopped("enough".into())));
    assert!(matches!(stopped, Err(StoreError::Stopped(_))));
}
