//! Track streams: what a media file holds, without what its container adds.
//!
//! A parser names runs of a file's bytes, its *extents*, and the track each belongs to. All extents of a
//! track, one after the other, are its *stream*: the same bytes in an MP4, a transport stream or a
//! Matroska file, so that an edition that was only packed anew, or has another sound track, shares the
//! chunks of all it has in common. Every byte that is in no extent is *glue*.
//!
//! What a parser says is advice: however wrong, it costs room and never a byte, since whoever stores
//! the file rebuilds it from streams and glue and compares. So parsers read what they know, treat what
//! they do not know as glue, and neither panic nor allocate by what a file claims.

pub mod cut;
pub mod frames;
pub mod index;
pub mod lengths;
pub mod map;
pub mod matroska;
pub mod mp4;
pub mod mxf;
pub mod nal;
mod runs;
pub mod split;
pub mod ts;

use std::fmt::Debug;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub use ottvc_object::manifest::tracks::{Container, MAX_STREAMS, Role, Stream, Units};

/// The least a [`Parser`] is shown at a time, but at the end of a file, in bytes.
pub const MIN_WINDOW: usize = 1 << 20;

/// A file that can be read anywhere: a parser looks up tables at its end before its samples.
#[expect(clippy::len_without_is_empty, reason = "a length in bytes, not of a collection")]
pub trait Source {
    /// Its length in bytes.
    fn len(&self) -> u64;
    /// Fills `out` with the bytes from `offset` on.
    ///
    /// # Errors
    /// The system's; of kind `UnexpectedEof` past the end.
    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> io::Result<()>;
}

impl Source for &[u8] {
    fn len(&self) -> u64 {
        <[u8]>::len(self) as u64
    }
    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).ok();
        let range = start.and_then(|start| Some(start..start.checked_add(out.len())?));
        let bytes = range.and_then(|range| self.get(range));
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// The beginning of something that a stream may be cut before.
///
/// Pictures: one that can be decoded alone (first slice of an IDR, IRAP or I picture; an MPEG-2
/// sequence header; a key frame of VP9 or AV1; every frame of `ProRes`, `DNx` and JPEG 2000), read from the
/// pictures themselves, never from what a container flags, which changes when a file is packed anew.
/// Sound, text and data: each frame or sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit {
    /// When it is shown, in ticks of its stream; decoding time where that is all there is.
    pub time: i64,
}

/// A run of bytes of a file that belongs to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Where it begins in the file.
    pub offset: u64,
    /// Its length in bytes, at least 1.
    pub len: u32,
    /// Index of its stream in [`Parser::streams`].
    pub stream: u16,
    /// Set if a unit begins with it.
    pub unit: Option<Unit>,
}

/// A part of a file that a parser is shown.
#[derive(Clone, Copy, Debug)]
pub struct Window<'a> {
    /// Where it begins in the file.
    pub at: u64,
    /// The bytes.
    pub bytes: &'a [u8],
    /// Whether the file ends with it.
    pub ends: bool,
}

/// Finds extents in a file, from its beginning to its end.
pub trait Parser: Debug + Send {
    /// What kind of file it reads.
    fn container(&self) -> Container;

    /// The streams met so far. It only grows; no extent names one that is not in it yet.
    fn streams(&self) -> &[Stream];

    /// Adds the extents that begin in `window`, in order and one after the other, and returns how many of
    /// its bytes it is done with.
    ///
    /// The first window begins where the file does, each later one where the parser was done with
    /// the one before. It shows [`MIN_WINDOW`] bytes at least, or all there are up to the end; then the
    /// parser must be done with one byte or more. It is asked again until it is done with all of the
    /// file: one that finds very many extents may stop early, to bound what `out` takes. No extent goes
    /// past what it is done with: a unit longer than the window comes in pieces.
    fn parse(&mut self, window: Window<'_>, out: &mut Vec<Extent>) -> usize;
}

/// Whether a file that begins with these bytes may be of a kind that has tracks. A cheap look.
pub fn is_media(head: &[u8]) -> bool {
    let ts = |start: usize, packet: usize| {
        (0..4).all(|index| head.get(start + index * packet) == Some(&0x47))
    };
    let box_name = head.get(4..8).is_some_and(|name| {
        [b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide", b"sidx"]
            .iter()
            .any(|known| name == *known)
    });
    box_name
        || head.starts_with(&[0x1a, 0x45, 0xdf, 0xa3])
        || head.starts_with(&[0x06, 0x0e, 0x2b, 0x34])
        || ts(0, 188)
        || ts(4, 192)
}

/// Finds a parser for a file by its first bytes; `None` if it is of no kind that has tracks.
///
/// Looks around in `source` for tables that tell where samples are.
///
/// # Errors
/// What reading `source` fails with.
pub fn open(source: &mut dyn Source) -> io::Result<Option<Box<dyn Parser>>> {
    for open in [mp4::open, matroska::open, mxf::open, ts::open] {
        // A parser that panics says nothing.
        let opened = catch_unwind(AssertUnwindSafe(|| open(source)));
        if let Some(parser) = opened.unwrap_or(Ok(None))? {
            return Ok(Some(parser));
        }
    }
    Ok(None)
}
