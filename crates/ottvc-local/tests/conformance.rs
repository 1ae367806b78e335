//! A store on disk keeps the promises of its seams.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

use std::cell::RefCell;
use std::time::Duration;

use ottvc_local::{Access, LocalRepo};
use ottvc_testkit::collect::collect;
use ottvc_testkit::objects::objects;
use ottvc_testkit::refs::refs;
use ottvc_testkit::workspace::workspace;
use tempfile::TempDir;

/// Makes stores in folders that last as long as it does.
#[derive(Default)]
struct Stores(RefCell<Vec<TempDir>>);

impl Stores {
    fn open(&self) -> LocalRepo {
        let dir = tempfile::tempdir().unwrap();
        assert!(LocalRepo::init(dir.path()).unwrap());
        let access = Access::Write { wait: Duration::ZERO, command: "a test" };
        let repo = LocalRepo::open(dir.path(), access).unwrap();
        self.0.borrow_mut().push(dir);
        repo
    }
}

#[test]
fn a_local_store_is_an_object_store() {
    let stores = Stores::default();
    objects(&|| stores.open().objects());
}

#[test]
fn a_local_store_can_be_collected() {
    let stores = Stores::default();
    collect(&|| stores.open().objects());
}

#[test]
fn a_local_store_is_a_ref_store() {
    let stores = Stores::default();
    refs(&|| stores.open().refs());
}

#[test]
fn a_local_store_is_a_workspace_store() {
    let stores = Stores::default();
    workspace(&|| stores.open().workspace());
}
