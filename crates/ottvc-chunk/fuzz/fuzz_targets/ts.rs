//! Any bytes as a transport stream: extents lie within the file, in order, whatever windows it is shown
//! in; each names a stream that is known by then.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ottvc_chunk::track::{Extent, Window, ts};

/// Parses `file` in windows of `window` bytes, and of more where the parser needs more.
fn extents(file: &[u8], window: usize) -> Option<Vec<Extent>> {
    let mut source = file;
    let mut parser = ts::open(&mut source).expect("memory can be read")?;
    let (mut at, mut len, mut out) = (0, window, Vec::new());
    while at < file.len() {
        let end = file.len().min(at + len);
        let (bytes, ends) = (file.get(at..end).expect("in the file"), end == file.len());
        let had = out.len();
        let done = parser.parse(Window { at: at as u64, bytes, ends }, &mut out);
        assert!(done <= bytes.len() && (!ends || done == bytes.len()));
        let mut after = at as u64;
        for Extent { offset, len, stream, .. } in out.iter().skip(had) {
            assert!(*offset >= after && *len > 0, "in order");
            assert!(usize::from(*stream) < parser.streams().len(), "known");
            after = offset + u64::from(*len);
        }
        at += done;
        assert!(after <= at as u64, "not past what is done");
        len = if done == 0 { len * 2 } else { window };
    }
    Some(out)
}

fuzz_target!(|bytes: &[u8]| {
    let [repeat, step, seed @ ..] = bytes else { return };
    // Far enough past what a parser looks ahead that there are several windows.
    let file = seed.repeat(1 + usize::from(*repeat % 16));
    let window = 97_000 + usize::from(*step) * 64;
    assert_eq!(extents(&file, window), extents(&file, file.len()), "windows do not matter");
});
