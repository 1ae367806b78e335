//! NAL units, of which H.264 and HEVC streams consist: what becomes of each, by its own first bytes.
//!
//! # Reference
//! ITU-T H.264 (2021) tables 7-1 and 7-6; ITU-T H.265 (2021) table 7-1.

/// How many bytes of a unit tell what it is; fewer only at its end.
pub const HEAD: usize = 16;

/// The coding whose units they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NalCodec {
    /// H.264.
    H264,
    /// HEVC.
    Hevc,
}

/// What becomes of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nal {
    /// It goes to the stream of pictures.
    Picture {
        /// Whether a picture begins with it that can be decoded alone.
        key: bool,
    },
    /// A message (SEI): it goes to the stream beside that of pictures.
    Side,
    /// Containers add it, move it or leave it out: parameter sets, delimiters, filler.
    Glue,
}

impl Nal {
    /// Classifies a unit by its first [`HEAD`] bytes, after length or start code.
    pub fn of(codec: NalCodec, head: &[u8]) -> Self {
        match codec {
            NalCodec::H264 => h264(head),
            NalCodec::Hevc => hevc(head),
        }
    }
}

fn h264(head: &[u8]) -> Nal {
    let Some((first, slice)) = head.split_first() else { return Nal::Glue };
    match first & 0x1f {
        1 | 5 => {
            let mut bits = Bits { bytes: slice, at: 0 };
            let first_mb = bits.exp_golomb();
            let intra = first & 0x1f == 5 || matches!(bits.exp_golomb(), Some(2 | 7));
            Nal::Picture { key: first_mb == Some(0) && intra }
        }
        6 => Nal::Side,
        // Parameter sets, delimiter, ends, filler.
        7..=13 | 15 => Nal::Glue,
        _ => Nal::Picture { key: false },
    }
}

fn hevc(head: &[u8]) -> Nal {
    let [first, _, rest @ ..] = head else { return Nal::Glue };
    match first >> 1 & 0x3f {
        16..=23 => Nal::Picture { key: rest.first().is_some_and(|byte| byte & 0x80 != 0) },
        39 | 40 => Nal::Side,
        32..=38 => Nal::Glue,
        _ => Nal::Picture { key: false },
    }
}

/// Bits from the most significant down.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn bit(&mut self) -> Option<u32> {
        let byte = self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(u32::from(bit))
    }

    /// An unsigned Exp-Golomb code, `ue(v)`.
    fn exp_golomb(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.bit()? == 0 {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        let mut value = 1_u32;
        for _ in 0..zeros {
            value = value << 1 | self.bit()?;
        }
        Some(value - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_of_h264_are_told_apart() {
        let of = |head: &[u8]| Nal::of(NalCodec::H264, head);
        // IDR: first_mb 0 (1), slice type 7 (0001000).
        assert_eq!(of(&[0x65, 0b1000_1000]), Nal::Picture { key: true });
        // A later slice of it: first_mb 1 (010).
        assert_eq!(of(&[0x65, 0b0100_0100]), Nal::Picture { key: false });
        // Not IDR: slice types 7 (I), 2 (I: 011), 5 (P: 00110).
        assert_eq!(of(&[0x41, 0b1000_1000]), Nal::Picture { key: true });
        assert_eq!(of(&[0x41, 0b1011_0000]), Nal::Picture { key: true });
        assert_eq!(of(&[0x41, 0b1001_1000]), Nal::Picture { key: false });
        assert_eq!(of(&[0x06, 5]), Nal::Side);
        assert_eq!(of(&[0x67, 66]), Nal::Glue);
        assert_eq!(of(&[0x09, 0xf0]), Nal::Glue);
        assert_eq!(of(&[0x65]), Nal::Picture { key: false });
        assert_eq!(of(&[0x65, 0, 0, 0, 0, 0, 0]), Nal::Picture { key: false });
        assert_eq!(of(&[]), Nal::Glue);
    }

    #[test]
    fn units_of_hevc_are_told_apart() {
        let of = |kind: u8, third: u8| Nal::of(NalCodec::Hevc, &[kind << 1, 1, third]);
        assert_eq!(of(19, 0x80), Nal::Picture { key: true });
        assert_eq!(of(21, 0), Nal::Picture { key: false });
        assert_eq!(of(1, 0x80), Nal::Picture { key: false });
        assert_eq!(of(39, 0), Nal::Side);
        assert_eq!(of(40, 0), Nal::Side);
        assert_eq!(of(33, 0), Nal::Glue);
        assert_eq!(Nal::of(NalCodec::Hevc, &[0x26]), Nal::Glue);
    }
}
