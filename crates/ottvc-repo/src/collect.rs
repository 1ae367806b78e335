//! Collection: finding what nothing reaches, putting it in the trash, and dropping it in the end.
//!
//! What to keep is decided here, over seams; what is safe to drop while others write is kept by the
//! store's pins. A collection marks from roots, publishes what lives, and goes through everything
//! held: what nothing holds goes to the trash, what has been there for the grace is dropped. The set
//! that is dropped never holds anything that a kept thing names, so that where an object is, all it
//! names is. `docs/gc.md` argues why nothing reachable is lost.

mod mark;
mod report;
mod trash;

use ottvc_object::Kind;
use ottvc_store::collect::{Collectable, Collection, Dropped, Holder, Publish, Settled, Thing};
use ottvc_store::{Held, StoreError};

pub use mark::Marked;
pub use ottvc_store::collect::{Rewritten, Worn};
pub use report::{Kept, Sum, Swept};
pub use trash::TrashRow;

use crate::{Parts, Progress, Repo, RepoError, Silent};

/// Things handled in one step; a store is held up for no longer than that.
const BATCH: usize = 1024;
/// Things of worn packs listed at a time; the rest is found by looking again. About 40 bytes each.
const MOST_WORN: usize = 1 << 20;
/// How often what sessions touch is followed before the collection gives up for this time.
const TRIES: u32 = 1000;

/// Collects one repository.
#[derive(Debug)]
pub struct Collector {
    repo: Repo,
}

/// A collection going on. Its steps are apart so that others can be between them.
#[derive(Debug)]
pub struct Run<'c> {
    collector: &'c Collector,
    window: Collection,
    marked: Option<Marked>,
    /// Whether roots were read since it began; what was marked ahead is no more than a help.
    rooted: bool,
    /// When it began, in UTC milliseconds since 1970.
    now: i64,
    /// What has been in the trash since then is dropped.
    due: i64,
    dry: bool,
    /// Whether there is anything in the trash.
    trash: bool,
    swept: Swept,
}

impl Collector {
    /// Puts a collector together; reads nothing yet.
    pub fn new(parts: Parts) -> Self {
        Self { repo: Repo::without_session(parts) }
    }

    fn store(&self) -> &dyn Collectable {
        self.repo.objects.collectable()
    }

    /// Marks what is held now, so that a collection from here has less to read while it holds others
    /// up. Needs no right to write; what changes later is found by the collection.
    ///
    /// `grace` is in milliseconds: how long operations hold what they led to and away from.
    ///
    /// # Errors
    /// The store's for the first object that is reachable and missing or damaged: what it names cannot
    /// be known, so nothing may be dropped.
    pub fn mark(&self, grace: i64, progress: &dyn Progress) -> Result<Marked, RepoError> {
        let mut marked = Marked::new(grace);
        self.mark_roots(&mut marked, self.repo.now(), progress)?;
        Ok(marked)
    }

    /// Begins a collection from what was marked before. With `dry`, nothing will be changed.
    ///
    /// # Errors
    /// [`StoreError::Busy`] while another goes on in this process.
    pub fn begin(&self, marked: Marked, dry: bool) -> Result<Run<'_>, RepoError> {
        // Before any root is read: whoever moves one afterwards pins what it moves it to.
        let window = self.store().pins().begin_collection()?;
        let now = self.repo.now();
        let due = now.saturating_sub(marked.grace);
        let mut trash = false;
        let found = self.store().trashed(&mut |_| {
            trash = true;
            Err(StoreError::Stopped("one is enough".into()))
        });
        match found {
            Err(StoreError::Stopped(_)) | Ok(()) => {}
            Err(error) => return Err(error.into()),
        }
        let swept = Swept::new(dry, marked.grace);
        Ok(Run {
            collector: self,
            window,
            marked: Some(marked),
            rooted: false,
            now,
            due,
            dry,
            trash,
            swept,
        })
    }

    /// Collects, in one go.
    ///
    /// # Errors
    /// As [`Collector::mark`].
    pub fn sweep(
        &self,
        marked: Marked,
        dry: bool,
        progress: &dyn Progress,
    ) -> Result<Swept, RepoError> {
        let mut run = self.begin(marked, dry)?;
        run.mark(progress)?;
        run.publish()?;
        let (mut done, total) = (0, run.live() as u64);
        self.each_batch(&mut |batch| {
            progress.report("sweeping", done, total.max(done));
            done += batch.len() as u64;
            run.step(batch)
        })?;
        Ok(run.finish())
    }

    /// Visits everything held, some at a time; commits first. A collection that dies on the way has then
    /// dropped no tree of a commit that is still there, to be gone back to by its id.
    pub fn each_batch(
        &self,
        visit: &mut dyn FnMut(&[Held]) -> Result<(), RepoError>,
    ) -> Result<(), RepoError> {
        for commits in [true, false] {
            let (mut batch, mut failed) = (Vec::with_capacity(BATCH), None);
            let scanned = self.repo.objects.scan(&mut |held| {
                if is_commit(&held) != commits {
                    return Ok(());
                }
                batch.push(held);
                if batch.len() < BATCH {
                    return Ok(());
                }
                let visited = visit(&batch);
                batch.clear();
                visited.map_err(|error| {
                    failed = Some(error);
                    StoreError::Stopped("a batch failed".into())
                })
            });
            match failed {
                Some(error) => return Err(error),
                None => scanned?,
            }
            if !batch.is_empty() {
                visit(&batch)?;
            }
        }
        Ok(())
    }

    /// Finds packs with much dead weight, the worst first; some of them, if they are many.
    pub fn worn(&self) -> Result<Vec<Worn>, RepoError> {
        Ok(self.store().worn(MOST_WORN)?)
    }

    /// Writes what is wanted of a pack anew and removes it.
    pub fn rewrite(&self, worn: &Worn) -> Result<Rewritten, RepoError> {
        Ok(self.store().rewrite(worn)?)
    }

    /// Gives back what removed packs and `purged` dropped things took, and what was put away whole
    /// longer ago than the grace.
    pub fn settle(&self, purged: u64, grace: i64) -> Result<Settled, RepoError> {
        Ok(self.store().settle(purged, self.repo.now().saturating_sub(grace))?)
    }

    /// Bytes of all packs.
    pub fn pack_bytes(&self) -> Result<u64, RepoError> {
        Ok(self.repo.objects.usage()?.pack_bytes)
    }
}

impl Run<'_> {
    /// Marks from the roots as they are now, and from what is in the trash and stays there.
    ///
    /// # Errors
    /// As [`Collector::mark`].
    pub fn mark(&mut self, progress: &dyn Progress) -> Result<(), RepoError> {
        let Some(mut marked) = self.marked.take() else { return Ok(()) };
        self.collector.mark_roots(&mut marked, self.now, progress)?;
        self.collector.mark_rebound(&mut marked)?;
        if self.due < self.now {
            self.collector.mark_retained(&mut marked, self.due)?;
        }
        self.swept.until = marked.until;
        self.marked = Some(marked);
        self.rooted = true;
        Ok(())
    }

    /// Publishes what lives, marked if it was not yet; all else is condemned from here on.
    ///
    /// # Errors
    /// As [`Collector::mark`], and [`StoreError::Busy`] if sessions touch things faster than they can be followed.
    pub fn publish(&mut self) -> Result<(), RepoError> {
        if !self.rooted {
            self.mark(&Silent)?;
        }
        let Some(marked) = self.marked.take() else { return Ok(()) };
        let mut live = marked.live;
        for _ in 0..TRIES {
            match self.window.publish(live) {
                Publish::Done => return Ok(()),
                Publish::More(back, touched) => {
                    live = back;
                    self.collector.mark_touched(&mut live, &touched)?;
                }
            }
        }
        let holder = "sessions that ask without end".to_owned();
        Err(StoreError::Busy { path: "the store".into(), holder }.into())
    }

    /// How many things live, as far as is marked.
    pub fn live(&self) -> usize {
        self.marked.as_ref().map_or(0, |marked| marked.live.len())
    }

    /// Deals with some of what is held. Nothing happens to anything before [`Run::publish`].
    ///
    /// # Errors
    /// The store's.
    pub fn step(&mut self, batch: &[Held]) -> Result<(), RepoError> {
        let store = self.collector.store();
        let things: Vec<_> = batch.iter().map(thing_of).collect();
        let ids: Vec<Thing> = things.iter().map(|(thing, _)| *thing).collect();
        let times = match self.trash {
            true => store.trash_times(&ids)?,
            false => vec![None; ids.len()],
        };
        let (mut back, mut trash, mut purge) = (Vec::new(), Vec::new(), Vec::new());
        for ((thing, bytes), since) in things.into_iter().zip(times) {
            match (self.window.holder(thing), since) {
                (Some(Holder::Trash), Some(_)) => self.swept.in_trash.add(thing, bytes),
                (Some(Holder::Trash), None) => trash.push((thing, bytes)),
                (Some(holder), since) => {
                    self.swept.keep(holder, thing, bytes);
                    back.extend(since.map(|_| (thing, bytes)));
                }
                (None, _) => purge.push((thing, bytes)),
            }
        }
        let only = |list: &[(Thing, u64)]| list.iter().map(|(thing, _)| *thing).collect::<Vec<_>>();
        let all = |list: &[(Thing, u64)]| {
            list.iter().fold(Dropped::default(), |mut sum, (thing, bytes)| {
                sum.add(*thing, *bytes);
                sum
            })
        };
        let (trashed, purged) = if self.dry {
            (all(&trash), all(&purge))
        } else {
            if !back.is_empty() {
                store.take_back(&only(&back))?;
            }
            let trashed = match trash.is_empty() {
                true => Dropped::default(),
                false => store.trash(&only(&trash), self.now)?,
            };
            let purged = match purge.is_empty() {
                true => Dropped::default(),
                false => store.purge(&only(&purge))?,
            };
            (trashed, purged)
        };
        self.swept.taken_back.absorb(all(&back));
        self.swept.trashed.absorb(trashed);
        self.swept.in_trash.absorb(trashed);
        self.swept.purged.absorb(purged);
        Ok(())
    }

    /// Ends the collection; nothing is condemned any more.
    pub fn finish(self) -> Swept {
        self.swept
    }
}

fn is_commit(held: &Held) -> bool {
    matches!(held, Held::Object { kind: Kind::Commit, .. })
}

/// What a scan met, and what it takes in packs.
fn thing_of(held: &Held) -> (Thing, u64) {
    match *held {
        Held::Object { id, stored_len, .. } => (Thing::Object(id), stored_len),
        Held::Chunk { id, stored_len, .. } => (Thing::Chunk(id), stored_len),
    }
}
