//! Payloads: raw bytes to stored bytes and back.
//!
//! Media is packed already and stays as it is, so that a range of it is one read; what a cheap look
//! finds compressible becomes one zstd frame.

use std::borrow::Cow;

use ottvc_object::{ChunkId, Hash};

use super::record::{RecordHeader, RecordKind};
use super::{MAX_RAW_BYTES, PackFault};
use crate::{EncodedChunk, Encoding};

/// zstd's level for what is compressed at all: beyond it, time grows faster than savings.
const LEVEL: i32 = 3;
/// Below this, a frame's own bytes eat what it saves.
const LEAST_BYTES: usize = 128;
/// Longer payloads are sampled before they are compressed whole.
const SAMPLE_FROM: usize = 64 << 10;
/// Length of one sample.
const SAMPLE_BYTES: usize = 4 << 10;
/// zstd's level for samples: they need only tell noise from what has a pattern.
const SAMPLE_LEVEL: i32 = 1;

/// Compresses payloads where that helps, keeping its tables from one to the next.
#[derive(Default)]
pub struct Encoder {
    zstd: Option<zstd::bulk::Compressor<'static>>,
    samples: Option<zstd::bulk::Compressor<'static>>,
    /// What a sample was packed into, for its memory.
    packed: Vec<u8>,
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Encoder").finish_non_exhaustive()
    }
}

impl Encoder {
    /// Returns the bytes to store for `raw`, and how they spell it: compressed if at least a
    /// sixteenth is saved, else as they are.
    pub fn encode<'a>(&mut self, raw: &'a [u8]) -> (Encoding, Cow<'a, [u8]>) {
        let plain = (Encoding::Raw, Cow::Borrowed(raw));
        if raw.len() < LEAST_BYTES || !self.promising(raw) {
            return plain;
        }
        match self.compress(raw) {
            Some(packed) if saves(raw.len(), packed.len()) => (Encoding::Zstd, Cow::Owned(packed)),
            _ => plain,
        }
    }

    /// Makes a chunk of `raw`, hashed and compressed where that helps; `None` if it is empty or over
    /// [`MAX_RAW_BYTES`].
    pub fn chunk<'a>(&mut self, raw: &'a [u8]) -> Option<EncodedChunk<'a>> {
        let raw_len =
            u32::try_from(raw.len()).ok().filter(|len| (1..=MAX_RAW_BYTES).contains(len))?;
        let (encoding, bytes) = self.encode(raw);
        Some(EncodedChunk { id: ChunkId::of(raw), raw_len, encoding, bytes })
    }

    /// Makes a record of `raw`, whose id as this kind is `id`: its header and payload. `None` if it is
    /// empty or over [`MAX_RAW_BYTES`].
    pub fn record<'a>(
        &mut self,
        kind: RecordKind,
        id: Hash,
        raw: &'a [u8],
    ) -> Option<(RecordHeader, Cow<'a, [u8]>)> {
        let raw_len = u32::try_from(raw.len()).ok()?;
        let (encoding, stored) = self.encode(raw);
        let stored_len = u32::try_from(stored.len()).ok()?;
        let header = RecordHeader { kind, encoding, raw_len, stored_len, id };
        header.lengths_fit().then_some((header, stored))
    }

    /// Whether samples of `raw` compress; the cheap look that spares media the attempt.
    fn promising(&mut self, raw: &[u8]) -> bool {
        if raw.len() < SAMPLE_FROM {
            return true;
        }
        // Not at the front: chunks begin where frames do, with headers and tables that are unlike the rest.
        let starts = [raw.len() / 6, raw.len() / 2, raw.len() - raw.len() / 6];
        starts.into_iter().any(|start| {
            let sample = raw.get(start..).and_then(|rest| rest.get(..SAMPLE_BYTES));
            sample.is_some_and(|sample| {
                !is_noise(sample)
                    && self.packed_len(sample).is_some_and(|packed| saves(sample.len(), packed))
            })
        })
    }

    /// How long a sample is, packed.
    fn packed_len(&mut self, sample: &[u8]) -> Option<usize> {
        if self.samples.is_none() {
            self.samples = zstd::bulk::Compressor::new(SAMPLE_LEVEL).ok();
        }
        self.packed.resize(2 * SAMPLE_BYTES, 0);
        self.samples.as_mut()?.compress_to_buffer(sample, self.packed.as_mut_slice()).ok()
    }

    /// One zstd frame of `raw`; `None` if zstd refuses, which only costs space.
    fn compress(&mut self, raw: &[u8]) -> Option<Vec<u8>> {
        if self.zstd.is_none() {
            self.zstd = zstd::bulk::Compressor::new(LEVEL).ok();
        }
        self.zstd.as_mut()?.compress(raw).ok()
    }
}

/// Whether no packer can save a sixteenth of a sample: media nearly always, and this is seen in a tenth of
/// the time that an attempt takes.
///
/// A code for each byte cannot go below the entropy of the bytes, and that is no less than minus the binary
/// logarithm of the chance that two of them are equal (Rényi's of order 2): above 7.5 bits of 8 it saves less
/// than a sixteenth. What repeats earlier bytes saves no more than there are repeated words of four.
#[expect(
    clippy::indexing_slicing,
    reason = "the tables have a place for every byte and every hash"
)]
fn is_noise(sample: &[u8]) -> bool {
    let mut counts = [0_u32; 256];
    for byte in sample {
        counts[usize::from(*byte)] += 1;
    }
    let equal: u64 = counts.iter().map(|count| u64::from(*count).pow(2)).sum();
    let all = (sample.len() as u64).pow(2);
    // Two to the power of 7.5 is 181.
    if equal * 181 > all {
        return false;
    }
    let mut last = [0_u32; 1 << 12];
    let mut repeated = 0;
    for word in sample.windows(4) {
        let word = word.first_chunk().map_or(0, |word| u32::from_le_bytes(*word));
        let seen = &mut last[(word.wrapping_mul(0x9e37_79b1) >> 20) as usize];
        repeated += usize::from(*seen == word);
        *seen = word;
    }
    repeated * 32 < sample.len()
}

/// Whether `packed` bytes are worth unpacking again.
fn saves(raw: usize, packed: usize) -> bool {
    packed <= raw - raw / 16
}

/// Unpacks payloads, keeping its tables from one to the next.
#[derive(Default)]
pub struct Decoder {
    zstd: Option<zstd::bulk::Decompressor<'static>>,
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Decoder").finish_non_exhaustive()
    }
}

impl Decoder {
    /// Returns the raw bytes of a payload, checked against the id in `header`.
    ///
    /// Allocates at most the raw length that `header` states, which is bounded.
    ///
    /// # Errors
    /// [`PackFault::Unpack`] if the payload is not of the length or encoding stated,
    /// [`PackFault::Hash`] if it is whole but hashes to another id.
    pub fn decode<'a>(
        &mut self,
        header: &RecordHeader,
        stored: &'a [u8],
    ) -> Result<Cow<'a, [u8]>, PackFault> {
        let raw = self.unpack(header.encoding, header.raw_len, stored)?;
        if header.kind.id_of(&raw) == Some(header.id) { Ok(raw) } else { Err(PackFault::Hash) }
    }

    /// Returns the raw bytes of a payload, its length checked and its hash not.
    ///
    /// # Errors
    /// [`PackFault::Unpack`] if the payload is not of the length or encoding stated.
    pub fn unpack<'a>(
        &mut self,
        encoding: Encoding,
        raw_len: u32,
        stored: &'a [u8],
    ) -> Result<Cow<'a, [u8]>, PackFault> {
        let raw_len = usize::try_from(raw_len.min(MAX_RAW_BYTES)).unwrap_or_default();
        let raw = match encoding {
            Encoding::Raw => Cow::Borrowed(stored),
            Encoding::Zstd => {
                if self.zstd.is_none() {
                    self.zstd = zstd::bulk::Decompressor::new().ok();
                }
                let zstd = self.zstd.as_mut().ok_or(PackFault::Unpack)?;
                Cow::Owned(zstd.decompress(stored, raw_len).map_err(|_| PackFault::Unpack)?)
            }
        };
        if raw.len() == raw_len { Ok(raw) } else { Err(PackFault::Unpack) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that no compressor shortens.
    fn noise(len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        blake3::Hasher::new().finalize_xof().fill(&mut bytes);
        bytes
    }

    #[test]
    fn payloads_read_back_whatever_their_encoding() {
        let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
        for raw in [vec![1], noise(200_000), vec![7; 200_000], vec![7; 300]] {
            let chunk = encoder.chunk(&raw).unwrap();
            let read = decoder.unpack(chunk.encoding, chunk.raw_len, &chunk.bytes).unwrap();
            assert_eq!(read, raw);
        }
    }

    #[test]
    fn only_what_shrinks_is_compressed() {
        let mut encoder = Encoder::default();
        assert_eq!(encoder.encode(&noise(200_000)).0, Encoding::Raw);
        assert_eq!(encoder.encode(&vec![7; 200_000]).0, Encoding::Zstd);
        assert_eq!(encoder.encode(&[7; 100]).0, Encoding::Raw);
    }

    #[test]
    fn what_is_taken_for_noise_does_not_shrink() {
        let random = noise(SAMPLE_BYTES);
        assert!(is_noise(&random));
        // Letters of a small alphabet, and runs that come again.
        let letters: Vec<u8> = random.iter().map(|byte| byte % 100).collect();
        let runs = [&random[..2000], &random[..2096]].concat();
        let words: Vec<u8> =
            random.chunks_exact(40).flat_map(|some| [some, &some[..20]].concat()).collect();
        for (number, shrinks) in [letters, runs, words].iter().enumerate() {
            assert!(!is_noise(shrinks), "{number}");
            assert_eq!(Encoder::default().encode(&shrinks.repeat(17)).0, Encoding::Zstd);
        }
    }

    #[test]
    fn a_frame_that_holds_more_than_it_says_is_refused() {
        let bomb = Encoder::default().encode(&vec![0; 1 << 20]).1.into_owned();
        let read = Decoder::default().unpack(Encoding::Zstd, 1000, &bomb);
        assert_eq!(read, Err(PackFault::Unpack));
    }

    #[test]
    fn no_chunk_is_empty_or_too_long() {
        let mut encoder = Encoder::default();
        assert!(encoder.chunk(&[]).is_none());
        assert!(encoder.chunk(&vec![0; 1 + (16 << 20)]).is_none());
    }
}
