//! How a file with tracks is kept: as the streams of its tracks, and what puts them together again.
//!
//! All streams lie one after the other, as if they were one file: first those of the tracks, then the
//! *glue* (all bytes of the file that no track has), then the *map* (the program that makes the file of
//! the others), then the *index* (where to begin in the map for a place in the file). One chunk list
//! is over all of them, so that whatever counts, proves or collects chunks needs to know no more.

use bincode::{Decode, Encode};

use super::{ChunkList, CutRule};

/// The most streams of one file's tracks.
pub const MAX_STREAMS: usize = 256;
/// The longest name of a coding, in bytes.
pub const MAX_CODEC_BYTES: usize = 32;
/// The longest name of a language, in bytes.
pub const MAX_LANGUAGE_BYTES: usize = 35;

/// Kinds of files with tracks in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Container {
    /// ISO base media: MP4, MOV, fragmented MP4, CMAF; segments without their initialisation too.
    Mp4,
    /// MPEG transport stream.
    Ts {
        /// Bytes from one packet to the next: 188 or 192.
        packet: u8,
    },
    /// Material exchange format, frame- or clip-wrapped.
    Mxf,
    /// Matroska or `WebM`.
    Matroska,
}

/// What a stream is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Role {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
    /// Subtitles and captions in a track of their own.
    Text,
    /// Timed metadata, timecodes and whatever else.
    Data,
    /// Messages that ride along with pictures (SEI: captions, HDR10+), apart from them.
    Side,
}

/// Where a stream may be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Units {
    /// Where a unit begins: a picture that can be decoded alone, a frame of sound.
    Marked,
    /// Anywhere: samples of raw sound, and what is not known.
    Raw,
}

/// What is known of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Stream {
    /// What it is of.
    pub role: Role,
    /// Where it may be cut.
    pub units: Units,
    /// The coding, in our words for it, the same for all containers: `h264`, `hevc`, `av1`, `vp9`, `mpeg2`,
    /// `prores`, `dnx`, `jpeg2000`, `aac`, `ac3`, `eac3`, `mp3`, `opus`, `flac`, `pcm`, `tx3g`, `webvtt`; else
    /// what the container calls it, printable ASCII of at most [`MAX_CODEC_BYTES`], or empty.
    pub codec: String,
    /// Language as the container gives it (ISO 639-2 or BCP 47), at most [`MAX_LANGUAGE_BYTES`]; empty
    /// if unknown.
    pub language: String,
    /// Ticks a second of the times of its units: numerator and denominator, neither 0.
    pub rate: (u32, u32),
}

/// How a stream whose units are marked is cut; sizes in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct UnitRule {
    /// The size aimed at where units are smaller; a unit of this size is always cut before.
    pub target: u32,
    /// No chunk between two cuts is longer, unless it is cut by its bytes.
    pub whole: u32,
    /// How what is longer is cut.
    pub split: CutRule,
}

/// How the streams of a file are cut: part of what makes their chunks findable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct TrackRule {
    /// Pictures.
    pub video: UnitRule,
    /// Sound, text, data and messages beside pictures.
    pub other: UnitRule,
    /// Samples of sound without units.
    pub samples: CutRule,
    /// What else has no units.
    pub raw: CutRule,
    /// Glue and map.
    pub glue: CutRule,
}

impl TrackRule {
    /// The rule of new stores.
    pub const DEFAULT: Self = Self {
        video: UnitRule {
            target: 64 << 10,
            whole: 512 << 10,
            split: CutRule::FastCdc { min: 128 << 10, avg: 256 << 10, max: 512 << 10 },
        },
        other: UnitRule {
            target: 16 << 10,
            whole: 64 << 10,
            split: CutRule::FastCdc { min: 4 << 10, avg: 16 << 10, max: 64 << 10 },
        },
        samples: CutRule::FastCdc { min: 4 << 10, avg: 16 << 10, max: 64 << 10 },
        raw: CutRule::FastCdc { min: 64 << 10, avg: 256 << 10, max: 1 << 20 },
        glue: CutRule::FastCdc { min: 8 << 10, avg: 32 << 10, max: 128 << 10 },
    };
}

impl Default for TrackRule {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// A stream of a track, and its length.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct TrackStream {
    /// What is known of it.
    pub stream: Stream,
    /// Its length in bytes.
    pub len: u64,
}

/// The streams of a file, and their chunks.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct TrackLayout {
    /// How they were cut.
    pub rule: TrackRule,
    /// The kind of file.
    pub container: Container,
    /// The streams of tracks, in the order in which they lie.
    pub streams: Vec<TrackStream>,
    /// Length of the glue in bytes.
    pub glue: u64,
    /// Length of the map in bytes.
    pub map: u64,
    /// Length of the index in bytes.
    pub index: u64,
    /// The chunks of all of them.
    pub chunks: ChunkList,
}

impl TrackLayout {
    /// Length of all streams together, in bytes; `None` if no number is as large.
    pub fn stored_len(&self) -> Option<u64> {
        let tracks = self.streams.iter().map(|track| track.len);
        tracks.chain([self.glue, self.map, self.index]).try_fold(0_u64, u64::checked_add)
    }

    /// Whether it is one that may be stored.
    pub(super) fn is_sound(&self) -> bool {
        let sound = |track: &TrackStream| {
            let Stream { codec, language, rate, .. } = &track.stream;
            is_printable(codec, MAX_CODEC_BYTES)
                && is_printable(language, MAX_LANGUAGE_BYTES)
                && rate.0 != 0
                && rate.1 != 0
        };
        self.streams.len() <= MAX_STREAMS && self.streams.iter().all(sound)
    }
}

/// Whether a text is ASCII that prints, of at most so many bytes.
pub(super) fn is_printable(text: &str, most: usize) -> bool {
    text.len() <= most && text.bytes().all(|byte| (0x20..0x7f).contains(&byte))
}
