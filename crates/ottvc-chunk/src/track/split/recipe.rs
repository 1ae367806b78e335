//! What a file that was cut by its tracks came to.

use crate::track::cut::TrackRule;
use crate::track::map::Checkpoints;
use crate::track::{Container, Stream};

/// How many bytes and chunks a lane has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneTotal {
    /// Bytes of all its chunks.
    pub bytes: u64,
    /// Its chunks.
    pub chunks: u64,
}

/// A stream with its bytes and chunks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamTotal {
    /// What is known of it.
    pub stream: Stream,
    /// How much it is.
    pub total: LaneTotal,
}

/// How a file is rebuilt, but for its chunks, which were handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// The kind of file.
    pub container: Container,
    /// How its streams were cut.
    pub rule: TrackRule,
    /// Its length in bytes.
    pub len: u64,
    /// Its streams, by their index.
    pub streams: Vec<StreamTotal>,
    /// Its glue.
    pub glue: LaneTotal,
    /// Its map.
    pub map: LaneTotal,
    /// Where the map can be entered.
    pub checkpoints: Checkpoints,
}

/// Why a file is not kept by its tracks. It is then cut as any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The parser found nothing in it.
    #[error("no track was found")]
    NoTracks,
    /// What is in no track is too much.
    #[error("{glue} of {of} bytes are in no track")]
    Glue {
        /// Bytes of glue, and at the end of map.
        glue: u64,
        /// Bytes of the file so far.
        of: u64,
    },
    /// The tracks are in pieces so small that their order costs more than is gained.
    #[error("pieces of tracks have less than {least} bytes on average")]
    SmallExtents {
        /// The least on average.
        least: u64,
    },
    /// The chunks are so small that their list costs more than is gained.
    #[error("chunks have less than {least} bytes on average")]
    SmallChunks {
        /// The least on average.
        least: u64,
    },
    /// There are too many streams.
    #[error("there are more than {most} streams")]
    Streams {
        /// The most there may be.
        most: usize,
    },
    /// Too much waits for more of its own stream before it can be cut.
    #[error("more than {most} bytes of streams wait to be cut")]
    Memory {
        /// The most that may wait.
        most: usize,
    },
    /// The rule has no cut points for a stream.
    #[error("the rule has no cut points")]
    Rule,
    /// The parser does not get on, or claims bytes that are not there.
    #[error("the parser does not get past byte {at}")]
    Stuck {
        /// Where it is, in bytes of the file.
        at: u64,
    },
    /// The parser panicked.
    #[error("the parser panicked after byte {at}")]
    Panicked {
        /// Where it was, in bytes of the file.
        at: u64,
    },
    /// What streams and glue make is not the file.
    #[error("what was made differs from the file at byte {at}")]
    Differs {
        /// Where, in bytes of the file.
        at: u64,
    },
    /// The file ended before its length, or its blocks were not all asked for.
    #[error("the file ends at byte {at} of {len}")]
    Unfinished {
        /// Bytes there were.
        at: u64,
        /// Bytes there should be.
        len: u64,
    },
}

impl Refusal {
    /// Returns the stable word that a manifest keeps; it is never renamed or given a new meaning.
    pub fn word(&self) -> &'static str {
        match self {
            Self::NoTracks => "no_tracks",
            Self::Glue { .. } => "glue",
            Self::SmallExtents { .. } => "small_extents",
            Self::SmallChunks { .. } => "small_chunks",
            Self::Streams { .. } => "streams",
            Self::Memory { .. } => "memory",
            Self::Rule => "rule",
            Self::Stuck { .. } => "stuck",
            Self::Panicked { .. } => "panicked",
            Self::Differs { .. } => "differs",
            Self::Unfinished { .. } => "unfinished",
        }
    }
}
