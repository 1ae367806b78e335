//! The tracks that `moov` tells of.
//!
//! Edit lists are not read: times are those of the track's own timeline.
//!
//! # Reference
//! ISO/IEC 14496-12, 8.2 to 8.8.3.

use std::ops::Range;

use super::boxes::{Name, boxes, find, u16_at, u32_at};
use super::entry::{self, Framing};
use super::table::Tables;
use crate::track::{Role, Stream, Units};

/// The most tracks of a file.
pub(super) const MAX_TRACKS: usize = 128;
/// Sound of one length for all samples, shorter than this, is cut anywhere.
const SHORT: u32 = 64;

/// A track.
#[derive(Clone, Debug)]
pub(super) struct Track {
    pub(super) id: u32,
    /// Index of its stream; of NAL units, that of messages comes next.
    pub(super) stream: u16,
    pub(super) framing: Framing,
    pub(super) tables: Tables,
    /// See [`entry::Entry::packet`].
    pub(super) packet: (u32, u32),
    /// Duration and length of samples of a fragment that does not say.
    pub(super) defaults: (u32, u32),
    /// When the next fragment begins, if it does not say.
    pub(super) decoded: i64,
}

/// What `moov` holds, whose bytes the tables of its tracks lie in.
#[derive(Debug, Default)]
pub(super) struct Movie {
    pub(super) tracks: Vec<Track>,
    pub(super) streams: Vec<Stream>,
    /// Whether fragments may follow.
    pub(super) fragments: bool,
}

impl Movie {
    /// Reads the body of `moov`.
    pub(super) fn of(moov: &[u8]) -> Self {
        let mut movie = Self::default();
        let all = 0..moov.len();
        for (_, body) in
            boxes(moov, all.clone()).filter(|(name, _)| name == b"trak").take(MAX_TRACKS)
        {
            movie.add(moov, body);
        }
        let Some(extends) = find(moov, all, b"mvex") else { return movie };
        movie.fragments = true;
        for (_, body) in boxes(moov, extends).filter(|(name, _)| name == b"trex") {
            let field = |at: usize| u32_at(moov.get(body.clone())?, at);
            let Some(id) = field(4) else { continue };
            if let Some(track) = movie.tracks.iter_mut().find(|track| track.id == id) {
                track.defaults = (field(12).unwrap_or_default(), field(16).unwrap_or_default());
            }
        }
        movie
    }

    /// Adds the track that the body of a `trak` tells of, unless it is malformed.
    fn add(&mut self, moov: &[u8], trak: Range<usize>) -> Option<()> {
        let id = find(moov, trak.clone(), b"tkhd").and_then(|body| {
            let long = moov.get(body.start) == Some(&1);
            u32_at(moov, body.start.checked_add(if long { 20 } else { 12 })?)
        });
        let media = find(moov, trak, b"mdia")?;
        let handler = find(moov, media.clone(), b"hdlr")?;
        let handler: Name = *moov.get(handler)?.get(8..)?.first_chunk()?;
        let role = entry::role(handler);
        let (scale, language) = media_header(moov, &media);
        let table = find(moov, find(moov, media, b"minf")?, b"stbl")?;
        let entry = entry::entries(moov, find(moov, table.clone(), b"stsd")?, role);
        let tables = Tables::of(moov, table);
        let mut framing = entry.framing;
        if role == Role::Audio && tables.fixed().is_some_and(|fixed| fixed < SHORT) {
            framing = Framing::Raw;
        }
        let stream = u16::try_from(self.streams.len()).ok()?;
        add_streams(&mut self.streams, framing, role, &entry.codec, &language, scale);
        self.tracks.push(Track {
            id: id.unwrap_or_default(),
            stream,
            framing,
            tables,
            packet: entry.packet,
            defaults: (0, 0),
            decoded: 0,
        });
        Some(())
    }
}

/// Adds the streams of a track: its own and, if it is of NAL units, that of messages.
pub(super) fn add_streams(
    streams: &mut Vec<Stream>,
    framing: Framing,
    role: Role,
    codec: &str,
    language: &str,
    scale: u32,
) {
    let units = if framing == Framing::Raw { Units::Raw } else { Units::Marked };
    let stream = Stream {
        role,
        units,
        codec: codec.to_owned(),
        language: language.to_owned(),
        rate: (scale.max(1), 1),
    };
    if let Framing::Lengths { .. } = framing {
        let side = Stream { role: Role::Side, ..stream.clone() };
        streams.extend([stream, side]);
    } else {
        streams.push(stream);
    }
}

/// Ticks a second and language of a track, by the body of its `mdia`.
fn media_header(moov: &[u8], media: &Range<usize>) -> (u32, String) {
    let header = find(moov, media.clone(), b"mdhd").and_then(|body| moov.get(body));
    let header = header.unwrap_or_default();
    let long = header.first() == Some(&1);
    let scale = u32_at(header, if long { 20 } else { 12 }).unwrap_or_default();
    let packed = u16_at(header, if long { 32 } else { 20 }).unwrap_or_default();
    let extended = find(moov, media.clone(), b"elng").and_then(|body| moov.get(body)?.get(4..));
    let language = extended.and_then(bcp47).unwrap_or_else(|| iso639(packed));
    (scale, language)
}

/// A language that ends with a zero byte.
fn bcp47(bytes: &[u8]) -> Option<String> {
    let text = bytes.split(|byte| *byte == 0).next()?;
    let known = (1..=35).contains(&text.len())
        && text.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
    known.then(|| text.iter().map(|byte| char::from(*byte)).collect())
}

/// A language of three letters of five bits; empty if it is not known, or a number of the Macintosh.
fn iso639(packed: u16) -> String {
    let letters = [10, 5, 0].map(|shift| (packed >> shift & 31) as u8 + 0x60);
    if !letters.iter().all(u8::is_ascii_lowercase) || letters == *b"und" {
        return String::new();
    }
    letters.iter().map(|letter| char::from(*letter)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_is_three_letters_or_a_tag() {
        assert_eq!(iso639(0x15c7), "eng");
        assert_eq!(iso639(0x55c4), "");
        assert_eq!(iso639(0), "");
        assert_eq!(iso639(0x7fff), "");
        assert_eq!(bcp47(b"de-AT\0x"), Some("de-AT".to_owned()));
        assert_eq!(bcp47(b"\0"), None);
        assert_eq!(bcp47(b"\xff\0"), None);
    }
}
