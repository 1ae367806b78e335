//! What every ref store promises: run [`refs`] against a backend.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a suite fails by panicking")]

use std::sync::Arc;

use ottvc_object::{CommitId, EditionId};
use ottvc_refs::{
    Edition, RefEdit, RefError, RefName, RefStore, RefTransaction, RefValue, WriteId,
};

/// Makes an empty ref store.
pub type MakeRefs<'a> = &'a dyn Fn() -> Arc<dyn RefStore>;

/// Checks every promise of [`RefStore`]; panics at the first that is broken.
pub fn refs(make: MakeRefs<'_>) {
    an_empty_store_has_no_refs(&*make());
    a_ref_is_made_moved_and_removed(&*make());
    a_ref_that_moved_stops_the_whole_transaction(&*make());
    the_same_write_moves_nothing_twice(&*make());
    refs_are_listed_in_name_order(&*make());
    operations_count_up_and_come_newest_first(&*make());
    senseless_transactions_are_refused(&*make());
    one_of_many_racers_wins(&make());
}

/// A branch at the commit whose id is this byte 32 times; 0 is a branch without commits.
pub fn branch_at(commit: u8) -> RefValue {
    let edition =
        Edition { id: EditionId([7; 16]), class: Some("director".into()), territory: None };
    RefValue { target: (commit > 0).then_some(CommitId([commit; 32])), edition: Some(edition) }
}

/// An edit of the branch `name`.
pub fn edit(name: &str, old: Option<RefValue>, new: Option<RefValue>) -> RefEdit {
    RefEdit { name: RefName::branch(name).unwrap(), old, new }
}

/// A transaction of these edits; the number makes its write id.
pub fn transaction(write: u8, edits: Vec<RefEdit>) -> RefTransaction {
    RefTransaction {
        write_id: WriteId::from([write; 16]),
        edits,
        command: "commit".into(),
        summary: format!("write {write}"),
        actor: "An Editor <editor@example.com>".into(),
        time: 1_700_000_000_000 + i64::from(write),
        undoes: None,
    }
}

fn an_empty_store_has_no_refs(refs: &dyn RefStore) {
    assert_eq!(refs.get(&RefName::branch("main").unwrap()).unwrap(), None);
    assert_eq!(refs.list().unwrap(), []);
    assert_eq!(refs.operation(0).unwrap(), None);
    assert_eq!(refs.operation(1).unwrap(), None);
    assert_eq!(refs.operations(None, 10).unwrap(), []);
    assert_eq!(refs.operations(Some(5), 10).unwrap(), []);
}

fn a_ref_is_made_moved_and_removed(refs: &dyn RefStore) {
    let main = RefName::branch("main").unwrap();
    let steps = [None, Some(branch_at(0)), Some(branch_at(1)), Some(branch_at(2)), None];
    for (write, step) in (1_u8..).zip(steps.windows(2)) {
        let edit = edit("main", step[0].clone(), step[1].clone());
        let operation = refs.transact(&transaction(write, vec![edit])).unwrap();
        assert_eq!(operation.id, u64::from(write));
        assert_eq!(refs.get(&main).unwrap(), step[1]);
        let listed = refs.list().unwrap();
        assert_eq!(listed.iter().map(|(_, value)| Some(value)).next().flatten(), step[1].as_ref());
    }
}

fn a_ref_that_moved_stops_the_whole_transaction(refs: &dyn RefStore) {
    let made = vec![edit("a", None, Some(branch_at(1))), edit("b", None, Some(branch_at(1)))];
    refs.transact(&transaction(1, made)).unwrap();
    let before = refs.list().unwrap();
    let (one, two, three) = (Some(branch_at(1)), Some(branch_at(2)), Some(branch_at(3)));
    for stale in [
        edit("b", two.clone(), three.clone()),
        edit("b", None, three.clone()),
        edit("b", two, None),
    ] {
        let edits = vec![edit("a", one.clone(), three.clone()), stale];
        match refs.transact(&transaction(2, edits)) {
            Err(RefError::Moved { name, current }) => {
                assert_eq!((name.as_str(), current.as_deref()), ("heads/b", one.as_ref()));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(refs.list().unwrap(), before);
    }
    let absent = vec![edit("c", one, three)];
    let refused = refs.transact(&transaction(2, absent));
    assert!(matches!(refused, Err(RefError::Moved { current: None, .. })));
    assert_eq!(refs.operations(None, 10).unwrap().len(), 1, "a refusal leaves no operation");
}

fn the_same_write_moves_nothing_twice(refs: &dyn RefStore) {
    let first = transaction(1, vec![edit("main", None, Some(branch_at(1)))]);
    let operation = refs.transact(&first).unwrap();
    let on = transaction(2, vec![edit("main", Some(branch_at(1)), Some(branch_at(2)))]);
    refs.transact(&on).unwrap();
    assert_eq!(refs.transact(&first).unwrap(), operation, "the answer that was lost");
    let main = RefName::branch("main").unwrap();
    assert_eq!(refs.get(&main).unwrap(), Some(branch_at(2)));
    assert_eq!(refs.operations(None, 10).unwrap().len(), 2);
}

fn refs_are_listed_in_name_order(refs: &dyn RefStore) {
    let names = ["b", "a/c", "a", "a+b", "zz", "ä", "B", "a.b"];
    let mut edits: Vec<_> = names.map(|name| edit(name, None, Some(branch_at(1)))).into();
    let tag = RefName::tag("a").unwrap();
    let tagged = RefValue { target: Some(CommitId([1; 32])), edition: None };
    edits.push(RefEdit { name: tag.clone(), old: None, new: Some(tagged.clone()) });
    refs.transact(&transaction(1, edits)).unwrap();
    let mut expected: Vec<_> = names.map(|name| RefName::branch(name).unwrap()).into();
    expected.push(tag.clone());
    expected.sort();
    let listed = refs.list().unwrap();
    assert_eq!(listed.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>(), expected);
    assert_eq!(refs.get(&tag).unwrap(), Some(tagged), "a tag is not the branch of its name");
}

fn operations_count_up_and_come_newest_first(refs: &dyn RefStore) {
    let mut old = None;
    for write in 1..=10 {
        let new = Some(branch_at(write));
        let mut step = transaction(write, vec![edit("main", old, new.clone())]);
        step.undoes = (write == 10).then_some(9);
        let operation = refs.transact(&step).unwrap();
        assert_eq!(operation, step.operation(u64::from(write)));
        assert_eq!(refs.operation(operation.id).unwrap(), Some(operation));
        old = new;
    }
    let ids = |before, limit| -> Vec<u64> {
        refs.operations(before, limit).unwrap().iter().map(|operation| operation.id).collect()
    };
    assert_eq!(ids(None, 3), [10, 9, 8]);
    assert_eq!(ids(Some(8), 3), [7, 6, 5]);
    assert_eq!(ids(Some(2), 3), [1]);
    assert!(ids(Some(1), 3).is_empty());
    assert_eq!(ids(Some(100), 2), [10, 9]);
    assert!(ids(None, 0).is_empty());
}

fn senseless_transactions_are_refused(refs: &dyn RefStore) {
    let twice = edit("main", None, Some(branch_at(1)));
    for edits in [vec![], vec![twice.clone(), twice]] {
        let refused = refs.transact(&transaction(1, edits));
        assert!(matches!(refused, Err(RefError::BadTransaction { .. })), "{refused:?}");
    }
    assert_eq!(refs.list().unwrap(), []);
}

fn one_of_many_racers_wins(refs: &Arc<dyn RefStore>) {
    let racers: Vec<_> = (1..=8)
        .map(|write| {
            let refs = Arc::clone(refs);
            std::thread::spawn(move || {
                let edits = vec![edit("main", None, Some(branch_at(write)))];
                refs.transact(&transaction(write, edits)).is_ok()
            })
        })
        .collect();
    let won = racers.into_iter().map(|racer| racer.join().unwrap());
    assert_eq!(won.filter(|won| *won).count(), 1);
    assert_eq!(refs.operations(None, 10).unwrap().len(), 1);
}
