//! What the exploration would find: recordings in which a step that a promise stands on is missing or
//! comes too late. A suite that passes these would pass anything.

use ottvc_tests::disk::Op;
use ottvc_tests::story::{Chance, Story};
use ottvc_tests::trace;

use crate::explore::{Tale, Telling};
use crate::{folder, wasteful};

/// States that are tried: all there are. A fault that is planted shows within a hundred.
const STATES: usize = 2000;

fn commit() -> Tale {
    let story = Story::within(folder());
    story.ok(&["init"]);
    let mut telling = Telling::of(story);
    telling.story.write("media/film.mov", Chance::new(5).bytes(20_000));
    telling.run(&["add", "."]);
    telling.run(&["commit", "-m", "film"]);
    telling.end("add and commit")
}

fn collection() -> Tale {
    let mut telling = Telling::of(wasteful(3));
    telling.run(&["gc", "--grace", "0"]);
    telling.end("gc")
}

/// Drops the syncs of what `is` chooses by its path. Steps keep their numbers.
fn without_syncs(tale: &mut Tale, is: impl Fn(&str) -> bool) {
    let mut dropped = 0;
    let mut disk = tale.recording.base.clone();
    for (number, step) in tale.recording.steps.iter_mut().enumerate() {
        disk.apply(number, step);
        if let Op::Sync { node, covers } = step
            && is(disk.path(*node))
        {
            *covers = 0;
            dropped += 1;
        }
    }
    assert!(dropped > 0, "there is no such sync");
}

fn assert_found(tale: &Tale, what: &str) {
    let explored = tale.explore(1, STATES, 1);
    assert_eq!(explored.failures.len(), 1, "{what} went unnoticed in {} states", explored.states);
    eprintln!("{what}: found in state {}", explored.states);
}

/// Files go by the name they were made under.
fn is_pack(path: &str) -> bool {
    path.ends_with(".pack")
}

fn is_index(path: &str) -> bool {
    path.ends_with(".log") || path.ends_with("/journal")
}

#[test]
fn it_would_find_packs_that_are_not_synced() {
    if trace::is_here() {
        let mut tale = commit();
        without_syncs(&mut tale, is_pack);
        assert_found(&tale, "a pack without fdatasync");
    }
}

#[test]
fn it_would_find_names_of_packs_that_are_not_synced() {
    if trace::is_here() {
        let mut tale = commit();
        without_syncs(&mut tale, |path| path.ends_with("/packs"));
        assert_found(&tale, "packs/ without fsync");
    }
}

#[test]
fn it_would_find_a_batch_of_the_index_that_is_not_synced() {
    if trace::is_here() {
        let mut tale = commit();
        without_syncs(&mut tale, is_index);
        assert_found(&tale, "a batch of the index without fdatasync");
    }
}

#[test]
fn it_would_find_a_pack_that_is_removed_before_the_index_moves() {
    if trace::is_here() {
        let mut tale = collection();
        removals_first(&mut tale);
        assert_found(&tale, "a pack removed before the index has moved");
    }
}

/// Takes the steps that put packs away before the syncs of the index that came just before them; crashes
/// come between the two.
fn removals_first(tale: &mut Tale) {
    let mut disk = tale.recording.base.clone();
    let mut sync = None;
    let mut moved = 0;
    for number in 0..tale.recording.steps.len() {
        let step = tale.recording.steps[number].clone();
        disk.apply(number, &step);
        match step {
            Op::Sync { node, .. } if is_index(disk.path(node)) => sync = Some(number),
            Op::Rename { from, to, .. }
                if disk.path(from.0).ends_with("/packs") && disk.path(to.0).ends_with("/trash") =>
            {
                // And gone for good, so that no reader finds it there.
                tale.recording.steps[number] = Op::Unlink { folder: from.0, name: from.1 };
                if let Some(sync) = sync.take() {
                    tale.recording.steps.swap(sync, number);
                    tale.within = sync..number + 1;
                    moved += 1;
                }
            }
            _ => {}
        }
    }
    assert!(moved > 0, "no pack is put away");
}
