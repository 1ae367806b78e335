//! The file that remembers what checks found damaged: things, so that storing one again stores it anew
//! instead of trusting the copy there is; and packs, so that what is whole in them is moved out.
//!
//! One a line: `chunk ID`, `object ID` or `pack ID`. The file is advice: without it, or with too much
//! in it, nothing is lost.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::ErrorKind;

use ottvc_store::pack::PackId;
use ottvc_store::{DamagedThing, StoreError};
use rustix::fs::{FlockOperation, flock};

use crate::layout::{Layout, read_limited};

/// The longest list that is read, in bytes; more damage than that calls for another store.
const MAX_BYTES: u64 = 16 << 20;

/// What is known to be damaged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Damaged {
    /// Chunks and objects that do not read where the index says.
    pub(crate) things: BTreeSet<DamagedThing>,
    /// Packs with bytes that are not what they were, whether anybody needs those or not.
    pub(crate) packs: BTreeSet<PackId>,
}

/// Reads the list; what cannot be read counts as empty.
pub(crate) fn load(layout: &Layout) -> Damaged {
    let text = read_limited(&layout.damaged(), MAX_BYTES).unwrap_or_default();
    let mut damaged = Damaged::default();
    for (kind, id) in text.lines().filter_map(|line| line.split_once(' ')) {
        match kind {
            "chunk" => damaged.things.extend(id.parse().ok().map(DamagedThing::Chunk)),
            "object" => damaged.things.extend(id.parse().ok().map(DamagedThing::Object)),
            "pack" => damaged.packs.extend(id.parse::<PackId>().ok()),
            _ => {}
        }
    }
    damaged
}

impl Damaged {
    /// Does to this list what makes `after` of `before`: others may have changed it meanwhile.
    pub(crate) fn change(&mut self, before: &Self, after: &Self) {
        self.things.retain(|it| after.things.contains(it) || !before.things.contains(it));
        self.things.extend(&after.things);
        self.packs.retain(|it| after.packs.contains(it) || !before.packs.contains(it));
        self.packs.extend(&after.packs);
    }
}

/// Replaces the list.
fn save(layout: &Layout, damaged: &Damaged) -> Result<(), StoreError> {
    let path = layout.damaged();
    if *damaged == Damaged::default() {
        return match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(StoreError::io("remove", path, error))
            }
            _ => Ok(()),
        };
    }
    let packs = damaged.packs.iter().map(|id| format!("pack {id}\n"));
    let things = damaged.things.iter().map(|thing| match thing {
        DamagedThing::Chunk(id) => format!("chunk {id}\n"),
        DamagedThing::Object(id) => format!("object {id}\n"),
    });
    let text: String = packs.chain(things).collect();
    layout.write_durably(&path, text.as_bytes())
}

/// Changes the list as it is on disk now: a check may have added to it since this process read it.
///
/// Whoever changes it locks the folder of the store meanwhile, checks that hold no writer's lock
/// too. Where a file system has no such locks, two at once may lose a line, which the next check finds.
pub(crate) fn amend(layout: &Layout, change: impl FnOnce(&mut Damaged)) -> Result<(), StoreError> {
    let folder = File::open(layout.dir()).ok();
    let _locked = folder.filter(|folder| flock(folder, FlockOperation::LockExclusive).is_ok());
    let before = load(layout);
    let mut after = before.clone();
    change(&mut after);
    if after == before { Ok(()) } else { save(layout, &after) }
}

/// As [`amend`], by whoever has only read: a store that cannot be written to can still be checked.
pub(crate) fn remember(
    layout: &Layout,
    change: impl FnOnce(&mut Damaged),
) -> Result<(), StoreError> {
    match amend(layout, change) {
        Err(StoreError::Denied { .. } | StoreError::Full { .. }) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use ottvc_object::ObjectId;

    use super::*;

    fn thing(number: u8) -> DamagedThing {
        DamagedThing::Object(ObjectId([number; 32]))
    }

    #[test]
    fn checks_that_run_side_by_side_keep_what_each_found() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        fs::create_dir_all(layout.tmp()).unwrap();
        std::thread::scope(|scope| {
            for first in 0..8 {
                let layout = &layout;
                scope.spawn(move || {
                    for number in 0..20 {
                        let found = thing(first * 20 + number);
                        remember(layout, |list| list.things.extend([found])).unwrap();
                    }
                });
            }
        });
        assert_eq!(load(&layout).things.len(), 160);
    }

    #[test]
    fn what_others_found_meanwhile_stays() {
        let of = |things: &[u8]| Damaged {
            things: things.iter().copied().map(thing).collect(),
            packs: BTreeSet::new(),
        };
        let mut now = of(&[1, 2, 4]);
        now.change(&of(&[1, 2]), &of(&[2, 3]));
        assert_eq!(now, of(&[2, 3, 4]));
    }
}
