//! The pipeline for long files: read and cut → hash and compress → write in order.
//!
//! Memory is bounded by the number of blocks: the reader fills only blocks that the writer has given
//! back, so a slow disk, or a block that takes long to compress, stops the rest. Blocks are handed
//! out in file order and the writer always waits for the oldest, so nothing waits in a circle. When
//! one side fails it drops its ends of the queues, and the others stop at their next step.

use std::collections::BTreeMap;
use std::thread::{Builder, scope};

use crossbeam_channel::{Receiver, Sender, bounded};
use ottvc_chunk::Block;
use ottvc_chunk::track::split::TrackBlock;
use ottvc_store::ObjectStore;
use ottvc_store::pack::Encoder;

use super::{Cut, cut_up};
use crate::content::ContentError;

/// What all blocks together may hold; their chunks, encoded, take as much again at most.
const BUDGET_BYTES: usize = 32 << 20;

/// Whole chunks of a file, in memory that is used again and again.
pub(super) trait Chunks: Default + Send {
    /// Each of them.
    fn each(&self) -> impl Iterator<Item = &[u8]>;
}

impl Chunks for Block {
    fn each(&self) -> impl Iterator<Item = &[u8]> {
        self.chunks()
    }
}

impl Chunks for TrackBlock {
    fn each(&self) -> impl Iterator<Item = &[u8]> {
        self.chunks().map(|chunk| chunk.bytes)
    }
}

/// A block with its place in the file and what became of it.
type Done<B> = (u64, B, Result<Vec<Cut>, ContentError>);
/// What takes blocks, in file order.
type Take<'t, B> = &'t mut dyn FnMut(&B, Vec<Cut>) -> Result<(), ContentError>;

/// Stores `first` and every block that `read` fills after it, each of some `block_bytes`; returns a
/// block, for its memory.
pub(super) fn run<B: Chunks>(
    store: &dyn ObjectStore,
    jobs: usize,
    (first, block_bytes): (B, usize),
    mut read: impl FnMut(&mut B) -> Result<bool, ContentError> + Send,
    take: Take<'_, B>,
) -> Result<B, ContentError> {
    // One block being read, one being written, one for each worker, and as many again as level out
    // that no stage takes equally long; as far as memory goes.
    let most = (BUDGET_BYTES / block_bytes).max(2);
    let blocks = jobs.max(1).saturating_add(4).min(most);
    let workers = jobs.clamp(1, blocks);
    let (free, to_fill) = bounded(blocks);
    let (filled, to_work) = bounded::<(u64, B)>(blocks);
    let (worked, done) = bounded::<Done<B>>(blocks);
    // Every queue has room for every block, so these cannot fail or wait.
    for _ in 1..blocks {
        let _ = free.send(B::default());
    }
    let _ = filled.send((0, first));

    let thread = |name: &str| Builder::new().name(format!("ottvc-{name}"));
    // The queues move in, so that whatever makes this return also ends the threads it waits for.
    scope(move |scope| {
        let reader = thread("read")
            .spawn_scoped(scope, move || {
                for number in 1.. {
                    let Ok(mut block) = to_fill.recv() else { break };
                    if !read(&mut block)? || filled.send((number, block)).is_err() {
                        break;
                    }
                }
                Ok::<(), ContentError>(())
            })
            .map_err(|source| ContentError::Thread { source })?;
        for _ in 0..workers {
            let (to_work, worked) = (to_work.clone(), worked.clone());
            thread("hash")
                .spawn_scoped(scope, move || work(store, &to_work, &worked))
                .map_err(|source| ContentError::Thread { source })?;
        }
        drop((to_work, worked));
        let written = write(done, free, take);
        let read = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let block = written?;
        read?;
        Ok(block)
    })
}

/// Hashes and compresses blocks until there are none.
fn work<B: Chunks>(
    store: &dyn ObjectStore,
    to_work: &Receiver<(u64, B)>,
    worked: &Sender<Done<B>>,
) {
    let mut encoder = Encoder::default();
    for (number, block) in to_work {
        let cuts = cut_up(store, &mut encoder, block.each());
        if worked.send((number, block, cuts)).is_err() {
            break;
        }
    }
}

/// Writes blocks in file order and gives them back to be filled again.
fn write<B: Chunks>(
    done: Receiver<Done<B>>,
    free: Sender<B>,
    take: Take<'_, B>,
) -> Result<B, ContentError> {
    let mut early = BTreeMap::new();
    let mut next = 0;
    let mut last = B::default();
    for (number, block, cuts) in done {
        early.insert(number, (block, cuts));
        while let Some((block, cuts)) = early.remove(&next) {
            take(&block, cuts?)?;
            next += 1;
            // Refused once the reader has ended, and then nobody needs it.
            if let Err(unused) = free.send(block) {
                last = unused.into_inner();
            }
        }
    }
    Ok(last)
}
