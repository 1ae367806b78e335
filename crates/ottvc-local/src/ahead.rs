//! Reads runs of chunks on one thread and checks them on another, ahead of what the caller does with
//! them, so that the disk, the hashing of one run and the use of the one before overlap.

use std::ops::Range;
use std::sync::mpsc::sync_channel;
use std::thread::{Builder, scope};

use ottvc_object::ChunkId;
use ottvc_store::StoreError;
use ottvc_store::pack::{Decoder, Record, RecordKind};
use ottvc_store::pages::Pages;

use crate::objects::{LocalObjects, Visit};
use crate::rows::Place;
use crate::tools::Tools;

/// Runs read and not yet used, and the one in use. Each is about a read window long, as it lies and unpacked.
const BUFFERS: usize = 4;

/// Less than this is read here, through the page cache: threads take longer to start, and who reads a part of a
/// file may read near it next.
const LEAST_BYTES: u64 = 4 << 20;

/// Chunks that lie in one pack, in order and near each other: index, id and place of each.
pub(crate) type Run = Vec<(usize, ChunkId, Place)>;

/// The raw bytes of a chunk.
enum Piece {
    /// They lie in the run's buffer as they are.
    Here(Range<usize>),
    Unpacked(Vec<u8>),
}

/// A run that was read ahead.
struct Fetched {
    buffer: Pages,
    /// One for each chunk; `None` if the run is to be read again, where errors are told apart.
    pieces: Option<Vec<Piece>>,
}

/// Reads runs in order and hands out each chunk, checked if `proven`; a run alone is checked always.
///
/// # Errors
/// For the first chunk that cannot be read, or what `visit` returns.
pub(crate) fn read_runs(
    objects: &LocalObjects,
    runs: &[Run],
    proven: bool,
    tools: &mut Tools,
    visit: Visit<'_>,
) -> Result<(), StoreError> {
    let bytes = |run: &Run| match (run.first(), run.last()) {
        (Some((_, _, first)), Some((_, _, last))) => last.end().saturating_sub(first.offset),
        _ => 0,
    };
    let plain = || runs.iter().filter(|run| is_plain(run));
    if plain().count() < 2 || plain().map(bytes).sum::<u64>() < LEAST_BYTES {
        return runs.iter().try_for_each(|run| objects.read_run(run, tools, visit));
    }
    let (give_back, to_fill) = sync_channel::<()>(BUFFERS);
    let (read, to_check) = sync_channel(BUFFERS);
    let (checked, full) = sync_channel(BUFFERS);
    for _ in 0..BUFFERS {
        // There is room for all of them.
        let _ = give_back.send(());
    }
    scope(move |scope| {
        let fetch = move || {
            for run in runs {
                if to_fill.recv().is_err() {
                    break;
                }
                let mut buffer = objects.0.spare_pages.take();
                let is_read = fetch(objects, run, &mut buffer).is_some();
                if read.send((buffer, is_read)).is_err() {
                    break;
                }
            }
        };
        let check = move || {
            let mut decoder = Decoder::default();
            for (run, (buffer, is_read)) in runs.iter().zip(to_check) {
                let pieces =
                    is_read.then(|| check(run, buffer.bytes(), proven, &mut decoder)).flatten();
                if checked.send(Fetched { buffer, pieces }).is_err() {
                    break;
                }
            }
        };
        let failed = |error| StoreError::io("start a thread for", objects.0.layout.dir(), error);
        let thread = |name: &str| Builder::new().name(format!("ottvc-{name}"));
        thread("read").spawn_scoped(scope, fetch).map_err(failed)?;
        thread("check").spawn_scoped(scope, check).map_err(failed)?;
        for run in runs {
            let Ok(Fetched { buffer, pieces }) = full.recv() else { break };
            match pieces {
                None => objects.read_run(run, tools, visit)?,
                Some(pieces) => {
                    for ((index, ..), piece) in run.iter().zip(pieces) {
                        match piece {
                            Piece::Here(at) => {
                                visit(*index, buffer.bytes().get(at).unwrap_or_default())?;
                            }
                            Piece::Unpacked(raw) => visit(*index, &raw)?,
                        }
                    }
                }
            }
            objects.0.spare_pages.give_back(buffer);
            // Nobody waits for it once the last run was read.
            let _ = give_back.send(());
        }
        Ok(())
    })
}

/// Whether a run is of records of their own: the members of a group are read once for all of them.
fn is_plain(run: &Run) -> bool {
    run.first().is_some_and(|(_, _, place)| place.member.is_none())
}

/// Reads a run, where that goes smoothly.
fn fetch(objects: &LocalObjects, run: &Run, buffer: &mut Pages) -> Option<()> {
    if !is_plain(run) {
        return None;
    }
    let ((_, _, first), (_, _, last)) = (run.first()?, run.last()?);
    let len = last.end().checked_sub(first.offset)?;
    objects.0.files.read_once(first.pack, first.offset, len, buffer).ok()
}

/// Unpacks the chunks of a run that was read, and checks them if `proven`; `None` unless all are whole.
fn check(run: &Run, buffer: &[u8], proven: bool, decoder: &mut Decoder) -> Option<Vec<Piece>> {
    let (_, _, first) = run.first()?;
    let mut pieces = Vec::with_capacity(run.len());
    for (_, id, place) in run {
        let header = place.record(RecordKind::Chunk, id.0).header;
        let within = Record { offset: place.offset.checked_sub(first.offset)?, header };
        let at = within.payload_range()?;
        let stored = buffer.get(at.clone())?;
        let raw = match proven {
            true => decoder.decode(&header, stored),
            false => decoder.unpack(header.encoding, header.raw_len, stored),
        };
        pieces.push(match raw.ok()? {
            std::borrow::Cow::Borrowed(_) => Piece::Here(at),
            std::borrow::Cow::Owned(raw) => Piece::Unpacked(raw),
        });
    }
    Some(pieces)
}
