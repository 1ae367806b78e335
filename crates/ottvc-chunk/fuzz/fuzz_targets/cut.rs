//! Cutting by any rule, however a stream is read: chunks tile it, and their lengths keep to the rule.

#![no_main]

use std::io::{self, Read};

use libfuzzer_sys::fuzz_target;
use ottvc_chunk::{Block, Cutter, Splitter};
use ottvc_object::manifest::CutRule;

/// Reads as few bytes at a time as `step` says.
struct Slow<'a> {
    rest: &'a [u8],
    step: usize,
}

impl Read for Slow<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let most = room.len().min(self.step);
        let len = self.rest.read(room.get_mut(..most).unwrap_or_default())?;
        Ok(len)
    }
}

fuzz_target!(|bytes: &[u8]| {
    let [min, avg, max, repeat, step, seed @ ..] = bytes else { return };
    let size = |byte: u8, unit: u32| u32::from(byte) * unit;
    let rule = CutRule::FastCdc { min: size(*min, 2), avg: size(*avg, 8), max: size(*max, 16) };
    let Ok(cutter) = Cutter::new(rule) else { return };
    let stream = seed.repeat(1 + usize::from(*repeat));
    let mut lens = Vec::new();
    let mut rest = stream.as_slice();
    while let Some(len) = cutter.cut(rest, true) {
        assert!(len > 0 && len <= cutter.max());
        lens.push(len);
        rest = rest.get(len..).expect("a chunk lies within the stream");
    }
    assert!(rest.is_empty(), "chunks tile the stream");
    if let Some((_, whole)) = lens.split_last() {
        assert!(whole.iter().all(|len| *len >= 2 * usize::from(*min)));
    }

    let mut slow = Slow { rest: &stream, step: 1 + usize::from(*step) };
    let (mut splitter, mut block) = (Splitter::new(cutter, 0), Block::default());
    let mut found = Vec::new();
    while splitter.next(&mut slow, &mut block).expect("memory can be read") {
        found.extend(block.chunks().map(<[u8]>::len));
    }
    assert_eq!(found, lens, "reads do not move cut points");
});
