//! Files that repeat themselves, and what a parser finds in them, window by window.

use std::io;

use ottvc_chunk::track::{Extent, Parser, Source, Window};

/// The entry of a parser.
pub type Open = fn(&mut dyn Source) -> io::Result<Option<Box<dyn Parser>>>;

/// Checks what `open` finds in a file that is made of `bytes`: how often its end comes again, where that
/// begins, the length of windows, and the file.
pub fn check(open: Open, bytes: &[u8]) {
    let [times, high, low, step, file @ ..] = bytes else { return };
    let at = usize::from(u16::from_be_bytes([*high, *low])).min(file.len());
    let (head, tail) = file.split_at(at);
    let file = [head, &tail.repeat(1 + usize::from(*times % 32))].concat();
    // More than parsers look ahead, and less than they are promised, so that there are several.
    let window = 97_000 + usize::from(*step) * 64;
    let [pieces, whole] = [window, usize::MAX].map(|window| parse(open, &file, window));
    assert_eq!(pieces, whole, "windows do not matter");
}

/// What is found in windows of `window` bytes, pieces of a unit joined.
pub fn parse(open: Open, file: &[u8], window: usize) -> Option<Vec<Extent>> {
    let mut source = file;
    let mut parser = open(&mut source).expect("memory can be read")?;
    let (mut at, mut end, mut found) = (0, 0, Vec::<Extent>::new());
    let mut out = Vec::new();
    while at < file.len() {
        let until = file.len().min(at.saturating_add(window));
        let bytes = file.get(at..until).expect("a window lies in the file");
        out.clear();
        let shown = Window { at: at as u64, bytes, ends: until == file.len() };
        let done = parser.parse(shown, &mut out);
        assert!((1..=bytes.len()).contains(&done), "a window moves the parser on");
        at += done;
        for extent in &out {
            assert!(extent.len > 0 && extent.offset >= end, "extents are sorted and disjoint");
            assert!(usize::from(extent.stream) < parser.streams().len(), "the stream is known");
            let before = end;
            end = extent.offset + u64::from(extent.len);
            assert!(end <= at as u64, "no extent goes past what the parser is done with");
            let last = found.last_mut().filter(|last| {
                before == extent.offset && extent.unit.is_none() && last.stream == extent.stream
            });
            if let Some(last) = last {
                last.len += extent.len;
            } else {
                found.push(*extent);
            }
        }
    }
    Some(found)
}
