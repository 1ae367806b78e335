//! The rule by which writers and a collection share a store.
//!
//! Time is counted in epochs: each session and each collection that begins is the next one. What a
//! session is told is there, or stores, is *touched* at the epoch of that moment. A collection's
//! *limit* is the epoch of the oldest session alive when it began, or its own. What was touched at or
//! after the limit is pinned. From the moment what lives is *published*, everything else is
//! *condemned*: a session that asks for it hears that it is not there, and stores it anew.
//!
//! So whatever a session may lead a ref to is pinned, lives, or was stored anew; `docs/gc.md` has the
//! whole argument. Memory is bounded: with too many touches to remember, everything is pinned.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ottvc_object::{Hash, ObjectId};

use super::Thing;
use super::live::{Holder, Live, short};
use crate::StoreError;

/// Touched objects remembered; about 60 bytes each.
const MAX_OBJECTS: usize = 1 << 18;
/// Touched chunks remembered; about 30 bytes each.
const MAX_CHUNKS: usize = 1 << 20;

/// How answers pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Policy {
    /// As documented.
    Kept,
    /// No collection can begin here, so that nothing needs remembering.
    Needless,
    /// Not at all, to show in tests what that costs.
    Ignored,
}

/// Sessions, what they pin, and the collection going on, of one store in one process.
#[derive(Debug)]
pub struct Pins {
    policy: Policy,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    epoch: u64,
    /// The epochs of live sessions.
    sessions: BTreeSet<u64>,
    collection: Option<Window>,
    /// When objects were last touched. In full, since what they name is pinned with them.
    objects: HashMap<Hash, u64>,
    chunks: HashMap<u64, u64>,
    /// The epoch at which touches were forgotten for their number.
    overflow: Option<u64>,
}

#[derive(Debug)]
struct Window {
    limit: u64,
    /// What lives, once published.
    live: Option<Live>,
}

impl Default for Pins {
    fn default() -> Self {
        Self::with(Policy::Kept)
    }
}

impl Pins {
    fn with(policy: Policy) -> Self {
        Self { policy, state: Mutex::default() }
    }
    /// Pins of a store that this process cannot change: they remember nothing.
    pub fn needless() -> Self {
        Self::with(Policy::Needless)
    }
    /// Pins that pin nothing: a test shows with them that the rule is needed.
    pub fn ignored() -> Self {
        Self::with(Policy::Ignored)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether sessions have to be told apart from plain reading.
    pub(super) fn remembers(&self) -> bool {
        self.policy != Policy::Needless
    }

    pub(super) fn begin_session(&self) -> u64 {
        let mut state = self.state();
        state.epoch += 1;
        let epoch = state.epoch;
        state.sessions.insert(epoch);
        epoch
    }

    pub(super) fn end_session(&self, epoch: u64) {
        let mut state = self.state();
        state.sessions.remove(&epoch);
        state.forget();
    }

    /// Says for each thing whether it is condemned, and so to be treated as not there; touches the
    /// others. Asked before the store is looked into: an answer given afterwards is then safe.
    pub fn ask(&self, things: &[Thing]) -> Vec<bool> {
        let mut state = self.state();
        let mut answer = Vec::with_capacity(things.len());
        for thing in things {
            let condemned = state.is_condemned(*thing);
            if !condemned && self.policy == Policy::Kept {
                state.touch(*thing);
            }
            answer.push(condemned);
        }
        answer
    }

    /// Notes that a thing was stored, so that it is not condemned any more.
    pub fn stored(&self, thing: Thing) {
        if self.policy != Policy::Needless {
            // Even where pins are ignored: what was just written is not what was condemned.
            self.state().touch(thing);
        }
    }

    /// Whether a thing is neither alive nor pinned, and may be dropped.
    pub fn is_condemned(&self, thing: Thing) -> bool {
        self.state().is_condemned(thing)
    }

    /// Whether nobody reaches or pins a thing, so that it may go to the trash.
    pub fn is_unheld(&self, thing: Thing) -> bool {
        let state = self.state();
        let Some(Window { live: Some(live), .. }) = &state.collection else { return false };
        let unheld = live.holder(thing).is_none_or(|holder| holder == Holder::Trash);
        unheld && !state.is_pinned(thing)
    }

    /// Begins a collection. From here on touches are kept until it ends; only what is read of refs
    /// and other roots afterwards may be believed.
    ///
    /// # Errors
    /// [`StoreError::Busy`] while another goes on.
    pub fn begin_collection(self: &Arc<Self>) -> Result<Collection, StoreError> {
        let mut state = self.state();
        if state.collection.is_some() {
            let holder = "another collection".to_owned();
            return Err(StoreError::Busy { path: "the store".into(), holder });
        }
        state.epoch += 1;
        let limit = state.sessions.first().copied().unwrap_or(state.epoch);
        state.collection = Some(Window { limit, live: None });
        drop(state);
        Ok(Collection { pins: Arc::clone(self) })
    }
}

impl State {
    fn touch(&mut self, thing: Thing) {
        if self.sessions.is_empty() && self.collection.is_none() {
            return;
        }
        match thing {
            Thing::Object(id) => self.objects.insert(id.0, self.epoch),
            Thing::Chunk(id) => self.chunks.insert(short(&id.0), self.epoch),
        };
        if self.objects.len() > MAX_OBJECTS || self.chunks.len() > MAX_CHUNKS {
            self.overflow = Some(self.epoch);
            (self.objects, self.chunks) = (HashMap::new(), HashMap::new());
        }
    }

    fn is_pinned(&self, thing: Thing) -> bool {
        let Some(Window { limit, .. }) = self.collection else { return true };
        let touched = match thing {
            Thing::Object(id) => self.objects.get(&id.0),
            Thing::Chunk(id) => self.chunks.get(&short(&id.0)),
        };
        touched.is_some_and(|epoch| *epoch >= limit) || self.overflow >= Some(limit)
    }

    fn is_condemned(&self, thing: Thing) -> bool {
        let Some(Window { live: Some(live), .. }) = &self.collection else { return false };
        live.holder(thing).is_none() && !self.is_pinned(thing)
    }

    /// Forgets touches that pin nothing any more.
    fn forget(&mut self) {
        let sessions = self.sessions.first().copied();
        let limit = self.collection.as_ref().map(|window| window.limit);
        let Some(floor) = sessions.into_iter().chain(limit).min() else {
            (self.objects, self.chunks, self.overflow) = (HashMap::new(), HashMap::new(), None);
            return;
        };
        self.objects.retain(|_, epoch| *epoch >= floor);
        self.chunks.retain(|_, epoch| *epoch >= floor);
        self.overflow = self.overflow.filter(|epoch| *epoch >= floor);
    }
}

/// What became of publishing.
#[derive(Debug)]
pub enum Publish {
    /// What does not live is condemned now.
    Done,
    /// These were touched and do not live yet; what they name must live with them. Mark from them,
    /// add those that are not there at all, and publish again.
    More(Live, Vec<ObjectId>),
}

/// A collection going on; it ends when this is dropped, and nothing is condemned any more.
#[derive(Debug)]
pub struct Collection {
    pins: Arc<Pins>,
}

impl Collection {
    /// Publishes what lives, in one step with looking whether sessions touched anything else.
    pub fn publish(&self, live: Live) -> Publish {
        let mut state = self.pins.state();
        let Some(limit) = state.collection.as_ref().map(|window| window.limit) else {
            return Publish::Done;
        };
        let is_new = |id: &Hash| live.holder(Thing::Object(ObjectId(*id))).is_none();
        let touched = state.objects.iter().filter(|(id, epoch)| **epoch >= limit && is_new(id));
        let more: Vec<_> = touched.map(|(id, _)| ObjectId(*id)).collect();
        if !more.is_empty() && self.pins.policy != Policy::Ignored {
            return Publish::More(live, more);
        }
        if let Some(window) = &mut state.collection {
            window.live = Some(live);
        }
        Publish::Done
    }

    /// Who holds a thing, once published; sessions come last.
    pub fn holder(&self, thing: Thing) -> Option<Holder> {
        let state = self.pins.state();
        let live = state.collection.as_ref().and_then(|window| window.live.as_ref())?;
        match live.holder(thing) {
            None | Some(Holder::Trash) if state.is_pinned(thing) => Some(Holder::Sessions),
            holder => holder,
        }
    }
}

impl Drop for Collection {
    fn drop(&mut self) {
        let mut state = self.pins.state();
        state.collection = None;
        state.forget();
    }
}
