//! Whole frames, as containers other than transport streams keep them: which can be decoded alone.
//!
//! # Reference
//! AV1 bitstream specification, 5.3 and 5.9; VP9 bitstream specification, 6.2; RFC 6386, 9.1; ITU-T H.262,
//! 6.2.2.

/// How many bytes of a frame tell what it is; fewer only at its end.
pub const HEAD: usize = 256;

/// A coding whose key frames are told from their first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameCodec {
    /// AV1: a temporal unit of open bitstream units, with or without its delimiter.
    Av1,
    /// VP8.
    Vp8,
    /// VP9.
    Vp9,
    /// MPEG-2 video, or MPEG-1.
    Mpeg2,
}

/// Whether a picture that can be decoded alone begins with `head`, the first [`HEAD`] bytes of a frame.
pub fn is_key(codec: FrameCodec, head: &[u8]) -> bool {
    match codec {
        FrameCodec::Av1 => av1(head),
        FrameCodec::Vp8 => match head {
            [tag, _, _, 0x9d, 0x01, 0x2a, ..] => tag & 1 == 0,
            _ => false,
        },
        FrameCodec::Vp9 => vp9(head),
        FrameCodec::Mpeg2 => head.starts_with(&[0, 0, 1, 0xb3]),
    }
}

/// Looks for the first frame header; what has none in view is taken by its sequence header.
fn av1(mut head: &[u8]) -> bool {
    let mut sequence = false;
    while let Some((&first, rest)) = head.split_first() {
        let (kind, extended, sized) = (first >> 3 & 15, first & 4 != 0, first & 2 != 0);
        let rest = rest.get(usize::from(extended)..).unwrap_or_default();
        let (len, body) = if sized { leb128(rest) } else { (rest.len(), rest) };
        match kind {
            1 => sequence = true,
            // Frame header or frame: not shown again, and of type 0.
            3 | 6 => return body.first().is_some_and(|byte| byte & 0xe0 == 0),
            _ => {}
        }
        head = body.get(len..).unwrap_or_default();
    }
    sequence
}

/// A number of up to eight groups of seven bits, least significant first, and what follows it.
fn leb128(bytes: &[u8]) -> (usize, &[u8]) {
    let mut value = 0_u64;
    for (index, byte) in bytes.iter().enumerate().take(8) {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let rest = bytes.get(index + 1..).unwrap_or_default();
            return (usize::try_from(value).unwrap_or(usize::MAX), rest);
        }
    }
    (0, &[])
}

fn vp9(head: &[u8]) -> bool {
    let Some((&first, rest)) = head.split_first() else { return false };
    // Marker 2, profile (its third bit, reserved, only in profile 3), shown again, type, shown, resilient.
    let (shift, low) = if first & 0x30 == 0x30 { (1, first) } else { (0, first) };
    let again = low >> (3 - shift) & 1 != 0;
    let inter = low >> (2 - shift) & 1 != 0;
    first >> 6 == 2 && !again && !inter && (shift == 1 || rest.starts_with(&[0x49, 0x83, 0x42]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_frames_are_told_by_their_first_bytes() {
        let mpeg2 = |head: &[u8]| is_key(FrameCodec::Mpeg2, head);
        assert!(mpeg2(&[0, 0, 1, 0xb3, 0x50]));
        assert!(!mpeg2(&[0, 0, 1, 0, 0x50]));
        let vp8 = |head: &[u8]| is_key(FrameCodec::Vp8, head);
        assert!(vp8(&[0x50, 1, 0, 0x9d, 0x01, 0x2a, 0]));
        assert!(!vp8(&[0x51, 1, 0, 0, 0, 0]));
        let vp9 = |head: &[u8]| is_key(FrameCodec::Vp9, head);
        assert!(vp9(&[0x82, 0x49, 0x83, 0x42, 0]));
        assert!(!vp9(&[0x86, 0, 0x40]));
        assert!(!vp9(&[0x88]));
        assert!(!vp9(&[]));
    }

    #[test]
    fn an_av1_frame_is_found_after_what_precedes_it() {
        let av1 = |head: &[u8]| is_key(FrameCodec::Av1, head);
        let (delimiter, sequence) = ([0x12, 0], [0x0a, 2, 1, 2]);
        assert!(av1(&[&delimiter[..], &sequence, &[0x32, 3, 0x10, 0, 0]].concat()));
        assert!(!av1(&[&sequence[..], &[0x32, 3, 0x30, 0, 0]].concat()));
        assert!(!av1(&[0x32, 3, 0x90, 0, 0]));
        assert!(av1(&sequence));
        assert!(!av1(&[0x32, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x10]));
        assert!(!av1(&[]));
    }
}
