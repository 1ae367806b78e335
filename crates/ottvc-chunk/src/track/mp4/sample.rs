//! What becomes of a sample, window by window.

use super::entry::Framing;
use super::moov::Track;
use super::queue::Span;
use crate::track::frames::{self, is_key};
use crate::track::lengths::{self, Lengths};
use crate::track::nal::{Nal, NalCodec};
use crate::track::{Extent, MIN_WINDOW, Role, Unit};

/// How much of a sample tells what its track is, if nothing else does.
pub(super) const SNIFFED: usize = 64 << 10;
/// A sample of sound is no longer.
const SOUND: u64 = 8 << 10;

/// What is left of a sample that is being told apart.
#[derive(Debug)]
pub(super) enum Sample {
    /// NAL units behind lengths.
    Units(lengths::Sample, Lengths),
    /// The rest is one run.
    Run { at: u64, left: u64, stream: u16 },
    /// A frame of which nothing was taken yet.
    Frame(Span, Framing, u16),
}

impl Sample {
    /// Begins a sample of `track`.
    pub(super) fn new(span: Span, track: &Track) -> Self {
        let stream = track.stream;
        match track.framing {
            Framing::Lengths { codec, size } => {
                let lengths = Lengths { codec, size, pictures: stream, side: stream + 1 };
                Self::Units(lengths::Sample::new(span.at, span.len, span.time), lengths)
            }
            Framing::Raw | Framing::Unknown => Self::Run { at: span.at, left: span.len, stream },
            framing => Self::Frame(span, framing, stream),
        }
    }

    /// How many bytes are still to come.
    pub(super) fn left(&self) -> u64 {
        match self {
            Self::Units(sample, _) => sample.left(),
            Self::Run { left, .. } => *left,
            Self::Frame(span, ..) => span.len,
        }
    }

    /// Adds the extents in `bytes`, which go on where the sample does, as [`lengths::Sample::split`] does.
    /// Extents from `first` on may be made longer.
    pub(super) fn split(
        &mut self,
        bytes: &[u8],
        ends: bool,
        first: usize,
        out: &mut Vec<Extent>,
    ) -> usize {
        match self {
            Self::Units(sample, lengths) => sample.split(*lengths, bytes, ends, out),
            Self::Run { at, left, stream } => {
                let shown = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                let len = u32::try_from(*left).map_or(shown, |left| left.min(shown));
                add(Extent { offset: *at, len, stream: *stream, unit: None }, first, out);
                *at = at.saturating_add(u64::from(len));
                *left = left.saturating_sub(u64::from(len));
                len as usize
            }
            Self::Frame(span, framing, stream) => {
                let (span, framing, stream) = (*span, *framing, *stream);
                let needed =
                    if span.len <= MIN_WINDOW as u64 { span.len } else { frames::HEAD as u64 };
                if (bytes.len() as u64) < needed && !ends {
                    return 0;
                }
                let shown =
                    usize::try_from(span.len).map_or(bytes.len(), |len| len.min(bytes.len()));
                let bytes = bytes.get(..shown).unwrap_or_default();
                let (head, key) = begins(framing, bytes);
                let shown = u32::try_from(shown - head).unwrap_or(u32::MAX);
                let at = span.at.saturating_add(head as u64);
                let unit = key.then_some(Unit { time: span.time });
                add(Extent { offset: at, len: shown, stream, unit }, first, out);
                let done = head as u64 + u64::from(shown);
                let left = span.len.saturating_sub(done);
                *self = Self::Run { at: at.saturating_add(u64::from(shown)), left, stream };
                head + shown as usize
            }
        }
    }
}

/// How many bytes of a frame the container added, and whether a unit begins with it.
fn begins(framing: Framing, frame: &[u8]) -> (usize, bool) {
    match framing {
        Framing::Prores if frame.get(4..8) == Some(b"icpf") => (8, true),
        Framing::Frame(codec) => {
            (0, is_key(codec, frame.get(..frames::HEAD.min(frame.len())).unwrap_or_default()))
        }
        _ => (0, true),
    }
}

/// Adds an extent, or makes the last one longer if that says the same and it is not before `first`.
fn add(extent: Extent, first: usize, out: &mut Vec<Extent>) {
    if extent.len == 0 {
        return;
    }
    if let Some(last) = out.get_mut(first..).and_then(<[Extent]>::last_mut)
        && extent.unit.is_none()
        && last.stream == extent.stream
        && last.offset.checked_add(u64::from(last.len)) == Some(extent.offset)
        && let Some(len) = last.len.checked_add(extent.len)
    {
        last.len = len;
    } else {
        out.push(extent);
    }
}

/// Tells from its first sample what a track is that no sample entry tells of: `len` bytes, of which
/// `shown` are in view. A wrong guess costs room only.
pub(super) fn sniff(shown: &[u8], len: u64) -> (Role, &'static str, Framing) {
    let shown = shown.get(..SNIFFED.min(shown.len())).unwrap_or_default();
    for (codec, name) in [(NalCodec::H264, "h264"), (NalCodec::Hevc, "hevc")] {
        if is_nal(codec, shown, len) {
            return (Role::Video, name, Framing::Lengths { codec, size: 4 });
        }
    }
    match shown {
        // Those two codings differ in the identification of the bitstream.
        [0x0b, 0x77, _, _, _, id, ..] if len <= SOUND => {
            (Role::Audio, if id >> 3 > 10 { "eac3" } else { "ac3" }, Framing::Whole)
        }
        _ if len <= SOUND => (Role::Audio, "", Framing::Whole),
        _ => (Role::Data, "", Framing::Raw),
    }
}

/// Whether a sample is of NAL units behind lengths of four bytes, a slice among them.
fn is_nal(codec: NalCodec, shown: &[u8], len: u64) -> bool {
    let (mut at, mut slice) = (0_u64, false);
    while at < len {
        let rest = usize::try_from(at).ok().and_then(|at| shown.get(at..));
        // What goes on out of view must have been plausible so far.
        let Some((size, unit)) = rest.and_then(<[u8]>::split_first_chunk) else { break };
        let size = u64::from(u32::from_be_bytes(*size));
        let Some(end) = at.checked_add(4 + size).filter(|end| *end <= len) else { return false };
        let Some(head) = unit.first_chunk::<2>() else { break };
        if size < 2 || !plausible(codec, *head) {
            return false;
        }
        slice |= matches!(Nal::of(codec, head), Nal::Picture { .. });
        at = end;
    }
    slice
}

/// Whether a unit may begin so: no reserved bit, layer, or rare type, and a use that fits the type.
fn plausible(codec: NalCodec, [first, second]: [u8; 2]) -> bool {
    match codec {
        NalCodec::H264 => {
            let used = first & 0x60 != 0;
            first & 0x80 == 0
                && match first & 0x1f {
                    1 => true,
                    5 | 7 | 8 => used,
                    6 | 9..=12 => !used,
                    _ => false,
                }
        }
        NalCodec::Hevc => {
            let layer = first & 1 != 0 || second & 0xf8 != 0;
            first & 0x80 == 0
                && !layer
                && second & 7 != 0
                && matches!(first >> 1, 0..=9 | 16..=21 | 32..=40 | 62)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(heads: &[[u8; 2]]) -> Vec<u8> {
        let prefixed = |head: &[u8; 2]| [&[0, 0, 0, 6][..], head, &[0x80, 1, 2, 3]].concat();
        heads.iter().flat_map(prefixed).collect()
    }

    fn sniffed(bytes: &[u8]) -> &'static str {
        sniff(bytes, bytes.len() as u64).1
    }

    #[test]
    fn nal_units_are_told_from_other_samples() {
        assert_eq!(sniffed(&units(&[[0x09, 0xf0], [0x67, 1], [0x06, 5], [0x65, 0x88]])), "h264");
        assert_eq!(sniffed(&units(&[[0x41, 0x9a]])), "h264");
        assert_eq!(sniffed(&units(&[[0x40, 1], [0x4e, 1], [0x26, 1]])), "hevc");
        assert_eq!(sniffed(&units(&[[0x02, 1]])), "hevc");
        // No slice, a length too long, a reserved type.
        assert_eq!(sniffed(&units(&[[0x67, 1]])), "");
        assert_eq!(sniffed(&units(&[[0x65, 0x88]])[..9]), "");
        assert_eq!(sniffed(&units(&[[0x65, 0x88], [0x7f, 1]])), "");
        assert_eq!(sniffed(&[]), "");
    }

    #[test]
    fn what_is_out_of_view_may_be_long() {
        let mut bytes = units(&[[0x67, 1]]);
        bytes.extend([0, 0x10, 0, 0, 0x65, 0x88]);
        assert_eq!(sniff(&bytes, 14 + (1 << 20)).1, "h264");
        assert_eq!(sniff(&bytes, 14 + (1 << 10)).1, "");
    }

    #[test]
    fn sound_is_told_by_its_length() {
        assert_eq!(sniff(&[0x21; 300], 300), (Role::Audio, "", Framing::Whole));
        assert_eq!(sniff(&[0x0b, 0x77, 0, 0, 0, 0x40], 1536).1, "ac3");
        assert_eq!(sniff(&[0x0b, 0x77, 0, 0, 0, 0x80], 1536).1, "eac3");
        assert_eq!(sniff(&[0x21; 300], 9000), (Role::Data, "", Framing::Raw));
    }
}
