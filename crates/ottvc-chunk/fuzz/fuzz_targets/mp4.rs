//! Any bytes as ISO base media, made long in one place: extents are sorted, disjoint and in the file, and
//! the same whatever windows it is shown in.

#![no_main]

#[allow(dead_code, reason = "this target makes its files in its own way")]
mod windows;

use libfuzzer_sys::fuzz_target;
use ottvc_chunk::track::{MIN_WINDOW, mp4};

fuzz_target!(|bytes: &[u8]| {
    let [blocks, high, low, file @ ..] = bytes else { return };
    let at = usize::from(u16::from_be_bytes([*high, *low])).min(file.len());
    let (before, after) = file.split_at(at);
    // NAL units of 8 KiB, so that what is long is not only tiny samples.
    let mut block = vec![0; 8 << 10];
    block[..6].copy_from_slice(&[0, 0, 0x1f, 0xfc, 0x41, 0x9a]);
    let block = block.repeat(32 * usize::from(blocks % 12));
    let file = [before, &block, after].concat();
    let parse = |window| windows::parse(mp4::open, &file, window);
    let whole = parse(usize::MAX);
    if file.len() > MIN_WINDOW {
        assert_eq!(parse(MIN_WINDOW), whole, "windows do not matter");
    }
});
