//! Headers of frames of sound.

/// Codings of sound whose frames say how long they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sound {
    /// AAC, each frame after an ADTS header.
    Adts,
    /// AC-3 and E-AC-3.
    Ac3,
    /// MPEG-1 and MPEG-2, layers I to III.
    Mpeg,
}

/// A frame, by its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// Bytes before it that are not part of it.
    pub(super) header: usize,
    /// Bytes of the frame, at least 1.
    pub(super) body: usize,
    /// Whether it can be heard alone, not only with the one before it.
    pub(super) unit: bool,
    /// Samples in it.
    pub(super) samples: u32,
    /// Samples a second.
    pub(super) rate: u32,
}

impl Sound {
    /// Whether a frame may begin with `pair`.
    pub(super) fn may_begin(self, pair: &[u8]) -> bool {
        match (self, pair) {
            (Self::Adts, [0xff, second]) => second & 0xf6 == 0xf0,
            (Self::Ac3, [0x0b, second]) => *second == 0x77,
            (Self::Mpeg, [0xff, second]) => second & 0xe0 == 0xe0,
            _ => false,
        }
    }

    /// Reads the frame that `head` begins with; 7 bytes are enough.
    pub(super) fn frame(self, head: &[u8]) -> Option<Frame> {
        match self {
            Self::Adts => adts(head),
            Self::Ac3 => ac3(head),
            Self::Mpeg => mpeg(head),
        }
    }
}

/// Whether a frame of MPEG sound in `bytes` is of layer III; `None` if there is no frame.
pub(super) fn is_layer_3(bytes: &[u8]) -> Option<bool> {
    let mut heads = bytes.windows(4).filter(|head| mpeg(head).is_some());
    heads.next().map(|head| layer(head) == 3)
}

/// # Reference
/// ISO/IEC 14496-3, 1.A.2.2.
fn adts(head: &[u8]) -> Option<Frame> {
    const RATES: [u32; 13] = [
        96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025,
        8_000, 7_350,
    ];
    let [0xff, marks, shape, a, b, c, blocks, ..] = head else { return None };
    if marks & 0xf6 != 0xf0 {
        return None;
    }
    let rate = *RATES.get(usize::from(shape >> 2 & 15))?;
    let len = usize::from(a & 3) << 11 | usize::from(*b) << 3 | usize::from(c >> 5);
    let header = if marks & 1 == 0 { 9 } else { 7 };
    let body = len.checked_sub(header).filter(|body| *body > 0)?;
    Some(Frame { header, body, unit: true, samples: 1024 * (u32::from(blocks & 3) + 1), rate })
}

/// # Reference
/// ETSI TS 102 366, 5.3, 5.4.1 and annex E.
fn ac3(head: &[u8]) -> Option<Frame> {
    const RATES: [u32; 3] = [48_000, 44_100, 32_000];
    /// In kbit/s.
    const BITS: [u32; 19] =
        [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640];
    let [0x0b, 0x77, a, b, c, version, ..] = head else { return None };
    let rate = RATES.get(usize::from(c >> 6)).copied();
    let (len, unit, samples, rate) = match version >> 3 {
        ..=10 => {
            let bits = *BITS.get(usize::from(c >> 1 & 31))?;
            let words = match rate? {
                48_000 => 2 * bits,
                44_100 => 320 * bits / 147 + u32::from(c & 1),
                _ => 3 * bits,
            };
            (2 * words, true, 1536, rate?)
        }
        11..=16 => {
            let words = u32::from(u16::from_be_bytes([a & 7, *b])) + 1;
            let blocks = [1, 2, 3].get(usize::from(c >> 4 & 3)).map_or(6, |blocks| *blocks);
            let slow = RATES.get(usize::from(c >> 4 & 3)).map(|rate| rate / 2);
            let (blocks, rate) = rate.map(|rate| (blocks, rate)).or(slow.map(|rate| (6, rate)))?;
            // Dependent substreams, and programs after the first, go with the frame before.
            let unit = a >> 6 != 1 && a >> 3 & 7 == 0;
            (2 * words, unit, 256 * blocks, rate)
        }
        _ => return None,
    };
    Some(Frame { header: 0, body: usize::try_from(len).ok()?, unit, samples, rate })
}

/// # Reference
/// ISO/IEC 11172-3, 2.4.2.3; ISO/IEC 13818-3, 2.4.2.3; half its rates again for what is called MPEG-2.5.
fn mpeg(head: &[u8]) -> Option<Frame> {
    /// In kbit/s: layers I, II and III, then layer I and the others of MPEG-2.
    const BITS: [[u32; 14]; 5] = [
        [32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
        [32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
        [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
        [32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
        [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
    ];
    let [0xff, marks, shape, ..] = head else { return None };
    if marks & 0xe0 != 0xe0 {
        return None;
    }
    let (halves, row) = match (marks >> 3 & 3, layer(head)) {
        (1, _) | (_, 4) => return None,
        (3, layer) => (0, layer - 1),
        (version, layer) => (if version == 2 { 1 } else { 2 }, if layer == 1 { 3 } else { 4 }),
    };
    let bits = *BITS.get(row)?.get(usize::from(shape >> 4).checked_sub(1)?)?;
    let rate = [44_100_u32, 48_000, 32_000].get(usize::from(shape >> 2 & 3))? >> halves;
    let padding = u32::from(shape >> 1 & 1);
    let (samples, len) = match layer(head) {
        1 => (384, (12_000 * bits / rate + padding) * 4),
        3 if halves > 0 => (576, 72_000 * bits / rate + padding),
        _ => (1152, 144_000 * bits / rate + padding),
    };
    Some(Frame { header: 0, body: usize::try_from(len).ok()?, unit: true, samples, rate })
}

/// The layer that a header of MPEG sound names, 1 to 3; 4 is none.
fn layer(head: &[u8]) -> usize {
    4 - usize::from(head.get(1).map_or(0, |marks| marks >> 1 & 3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(header: usize, body: usize, samples: u32, rate: u32) -> Option<Frame> {
        Some(Frame { header, body, unit: true, samples, rate })
    }

    #[test]
    fn frames_of_aac_are_read() {
        // 44.1 kHz, 371 bytes in all.
        let head = [0xff, 0xf1, 0x50, 0x80, 0x2e, 0x7f, 0xfc];
        assert_eq!(Sound::Adts.frame(&head), frame(7, 364, 1024, 44_100));
        let summed = [0xff, 0xf8, 0x50, 0x80, 0x2e, 0x7f, 0xfc];
        assert_eq!(Sound::Adts.frame(&summed), frame(9, 362, 1024, 44_100));
        assert_eq!(Sound::Adts.frame(&head[..6]), None);
        assert_eq!(Sound::Adts.frame(&[0xff, 0xf1, 0x50, 0x80, 0x00, 0xff, 0xfc]), None, "empty");
    }

    #[test]
    fn frames_of_ac3_are_read() {
        let ac3 = |c| Sound::Ac3.frame(&[0x0b, 0x77, 0, 0, c, 0x40, 0]);
        assert_eq!(ac3(0x14), frame(0, 768, 1536, 48_000));
        assert_eq!(ac3(0x40), frame(0, 138, 1536, 44_100));
        assert_eq!(ac3(0x41), frame(0, 140, 1536, 44_100));
        assert_eq!(ac3(0x80), frame(0, 192, 1536, 32_000));
        assert_eq!(ac3(0xc0), None);
        let eac3 = |a, c| Sound::Ac3.frame(&[0x0b, 0x77, a, 0xff, c, 0x80, 0]);
        assert_eq!(eac3(0x02, 0x3f), frame(0, 1536, 1536, 48_000));
        assert_eq!(eac3(0x02, 0x1f), frame(0, 1536, 512, 48_000));
        assert_eq!(eac3(0x02, 0xdf), frame(0, 1536, 1536, 22_050));
        assert_eq!(eac3(0x42, 0x3f).map(|frame| frame.unit), Some(false));
    }

    #[test]
    fn frames_of_mpeg_sound_are_read() {
        let mpeg = |marks, shape| Sound::Mpeg.frame(&[0xff, marks, shape, 0]);
        assert_eq!(mpeg(0xfd, 0xc4), frame(0, 768, 1152, 48_000));
        assert_eq!(mpeg(0xfb, 0x90), frame(0, 417, 1152, 44_100));
        assert_eq!(mpeg(0xfb, 0x92), frame(0, 418, 1152, 44_100));
        assert_eq!(mpeg(0xf3, 0x80), frame(0, 208, 576, 22_050));
        assert_eq!(mpeg(0xff, 0x14), frame(0, 32, 384, 48_000));
        for (marks, shape) in [(0xfb, 0x00), (0xfb, 0xf0), (0xfb, 0x9c), (0xeb, 0x90), (0xf9, 0x90)]
        {
            assert_eq!(mpeg(marks, shape), None, "{marks:#x} {shape:#x}");
        }
        assert_eq!(is_layer_3(&[0, 0xff, 0xfb, 0x90, 0]), Some(true));
        assert_eq!(is_layer_3(&[0, 0xff, 0xfd, 0xc4, 0]), Some(false));
        assert_eq!(is_layer_3(&[0; 9]), None);
    }
}
