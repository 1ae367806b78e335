//! Playing any bytes as a map, and reading any bytes as a table of checkpoints: no panic, no memory
//! beyond what is at hand, and the file's length is kept to.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ottvc_chunk::ChunkError;
use ottvc_chunk::track::map::{Checkpoint, Checkpoints, Player, Step, steps};

/// As many operations as one input may do.
const MOST: usize = 10_000;

fuzz_target!(|bytes: &[u8]| {
    let [streams, len, cut, rest @ ..] = bytes else { return };
    let (streams, len) = (usize::from(*streams), 1 << (len % 40));
    let (table, ops) = rest.split_at(rest.len().min(usize::from(*cut)));

    let mut player = Player::new(ops, Checkpoint::default(), streams, len);
    let mut out = 0;
    for _ in 0..MOST {
        let Ok(peeked) = player.peek() else { break };
        let Ok(played) = player.play() else { break };
        let Some(played) = played else { break };
        assert_eq!(played.start, out);
        let made: u64 = played.steps().map(|step| step.len()).sum();
        assert_eq!(peeked, Some(made));
        out += made;
        assert!(made > 0 && out <= len && player.checkpoint().out == out);
    }
    // From where it is, another one goes on alike.
    let at = player.checkpoint().clone();
    let later = usize::try_from(at.op).ok().and_then(|op| ops.get(op..)).unwrap_or_default();
    let mut other = Player::new(later, at, streams, len);
    assert_eq!(other.play().ok(), player.play().ok());

    let Ok(table) = Checkpoints::decode(table, streams, len) else { return };
    for at in [0, len / 3, len / 2, len] {
        let from = table.at(at);
        assert!(from.out <= at);
        let range = at..at.saturating_add(1 << 12).min(len);
        let stretch = table.stretch(range.clone(), ops.len() as u64);
        let start = usize::try_from(stretch.start).expect("it lies within the map");
        let end = usize::try_from(stretch.end).expect("it lies within the map");
        let ops = ops.get(start..end).expect("it lies within the map");
        // However much lies between the checkpoint and the range, only so much of it is played.
        if at - from.out > 1 << 16 {
            continue;
        }
        let mut made = 0;
        let visit = &mut |step: Step| {
            made += step.len();
            Ok::<(), ChunkError>(())
        };
        if steps(ops, from, streams, len, range.clone(), visit).is_ok() {
            assert_eq!(made, range.end - range.start);
        }
    }
});
