//! Sample entries: the coding of a track, and what is known of its samples.
//!
//! # Reference
//! ISO/IEC 14496-12, 12; ISO/IEC 14496-14, 5.6; ISO/IEC 14496-15, 5.3.3 and 8.3.3; QuickTime File Format
//! Specification, sound sample descriptions.

use std::ops::Range;

use super::boxes::{Name, boxes, find, u16_at, u32_at};
use crate::track::Role;
use crate::track::frames::FrameCodec;
use crate::track::nal::NalCodec;

/// How a sample is told apart into extents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// NAL units behind lengths of `size` bytes.
    Lengths { codec: NalCodec, size: u8 },
    /// One frame of `ProRes`, behind its length and `icpf`.
    Prores,
    /// One frame; a unit begins with it if it is a key frame.
    Frame(FrameCodec),
    /// Each sample is a unit.
    Whole,
    /// No units.
    Raw,
    /// Told from its first sample: no sample entry is at hand.
    Unknown,
}

/// What a sample entry says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The coding, as [`crate::track::Stream::codec`] says.
    pub(super) codec: String,
    pub(super) framing: Framing,
    /// Samples in a packet of sound and the bytes of one, where tables of old files count samples of
    /// sound as if each were one byte.
    pub(super) packet: (u32, u32),
}

/// The role of a track, by the name of its handler.
pub(super) fn role(handler: Name) -> Role {
    match &handler {
        b"vide" | b"auxv" => Role::Video,
        b"soun" => Role::Audio,
        b"text" | b"sbtl" | b"subt" | b"clcp" => Role::Text,
        _ => Role::Data,
    }
}

/// Reads the sample entries in `range` of `bytes`, the body of `stsd`, of a track whose role is `role`.
/// Samples of entries that differ in what matters here have no units.
pub(super) fn entries(bytes: &[u8], range: Range<usize>, role: Role) -> Entry {
    let start = range.start.saturating_add(8);
    let mut all = boxes(bytes, start..range.end)
        .map(|(name, body)| entry(name, bytes.get(body).unwrap_or_default(), role));
    let unknown = Entry { codec: String::new(), framing: Framing::Raw, packet: (0, 0) };
    let Some(mut first) = all.next() else { return unknown };
    if all.take(MANY).any(|other| other.framing != first.framing || other.codec != first.codec) {
        first.framing = Framing::Raw;
    }
    first
}

/// How many sample entries of a track are looked at.
const MANY: usize = 64;
/// Where the boxes of an entry for pictures begin in its body.
const VIDEO: usize = 78;
/// How much of an entry for sound is searched.
const SEARCHED: usize = 4096;

fn entry(name: Name, body: &[u8], role: Role) -> Entry {
    let known = match &name {
        b"avc1" | b"avc2" | b"avc3" | b"avc4" | b"dva1" | b"dvav" => {
            let size = length_size(body, b"avcC", 4);
            Some(("h264", Framing::Lengths { codec: NalCodec::H264, size }))
        }
        b"hvc1" | b"hev1" | b"dvh1" | b"dvhe" => {
            let size = length_size(body, b"hvcC", 21);
            Some(("hevc", Framing::Lengths { codec: NalCodec::Hevc, size }))
        }
        b"apcn" | b"apch" | b"apcs" | b"apco" | b"ap4h" | b"ap4x" => {
            Some(("prores", Framing::Prores))
        }
        b"AVdn" | b"AVdh" => Some(("dnx", Framing::Whole)),
        b"mjp2" => Some(("jpeg2000", Framing::Whole)),
        b"mjpa" | b"mjpb" | b"mjpg" | b"jpeg" => Some(("mjpeg", Framing::Whole)),
        b"av01" => Some(("av1", Framing::Frame(FrameCodec::Av1))),
        b"vp08" => Some(("vp8", Framing::Frame(FrameCodec::Vp8))),
        b"vp09" => Some(("vp9", Framing::Frame(FrameCodec::Vp9))),
        b"m2v1" | b"mp2v" | b"mpg2" => Some(("mpeg2", Framing::Frame(FrameCodec::Mpeg2))),
        [b'm', b'x', b'3' | b'4' | b'5', b'p' | b'n']
        | [b'x', b'd', b'v' | b'h' | b'5', _]
        | [b'h', b'd', b'v', _] => Some(("mpeg2", Framing::Frame(FrameCodec::Mpeg2))),
        b"mp4a" | b"mp4v" => Some(object_type(body, role)),
        b"ac-3" | b"sac3" => Some(("ac3", Framing::Whole)),
        b"ec-3" => Some(("eac3", Framing::Whole)),
        b".mp3" | b"ms\0U" => Some(("mp3", Framing::Whole)),
        b"Opus" => Some(("opus", Framing::Whole)),
        b"fLaC" => Some(("flac", Framing::Whole)),
        b"sowt" | b"twos" | b"in24" | b"in32" | b"fl32" | b"fl64" | b"lpcm" | b"ipcm" | b"fpcm" => {
            Some(("pcm", Framing::Raw))
        }
        b"raw " | b"NONE" if role == Role::Audio => Some(("pcm", Framing::Raw)),
        b"tx3g" => Some(("tx3g", Framing::Whole)),
        b"wvtt" => Some(("webvtt", Framing::Whole)),
        // Encrypted, or pictures in a coding whose key frames are not known here.
        b"encv" | b"enca" | b"enct" | b"encs" | b"drmi" | b"drms" => None,
        _ if role == Role::Video => None,
        _ => {
            return Entry { codec: printable(name), framing: Framing::Whole, packet: packet(body) };
        }
    };
    let (codec, framing) = match known {
        Some((codec, framing)) => (codec.to_owned(), framing),
        None => (printable(name), Framing::Raw),
    };
    Entry { codec, framing, packet: if role == Role::Audio { packet(body) } else { (0, 0) } }
}

fn printable(name: Name) -> String {
    let graphic = name.iter().filter(|byte| byte.is_ascii_graphic());
    graphic.map(|byte| char::from(*byte)).collect()
}

/// Bytes of a length, from the two low bits of byte `at` of the box `name`; 4 if it is missing.
fn length_size(body: &[u8], name: &Name, at: usize) -> u8 {
    let config = find(body, VIDEO..body.len(), name).and_then(|range| body.get(range));
    config.and_then(|config| config.get(at)).map_or(4, |byte| (byte & 3) + 1)
}

/// The coding that an elementary stream descriptor names. Where `esds` stands depends on the version of
/// the entry and on who wrote it, so it is searched for.
fn object_type(body: &[u8], role: Role) -> (&'static str, Framing) {
    let searched = body.get(..body.len().min(SEARCHED)).unwrap_or_default();
    let at = searched.windows(4).position(|window| window == b"esds");
    let descriptor = at.and_then(|at| searched.get(at.checked_add(8)?..)).unwrap_or_default();
    match (descriptor_type(descriptor), role) {
        (Some(0x60..=0x65), _) => ("mpeg2", Framing::Frame(FrameCodec::Mpeg2)),
        (Some(0x69 | 0x6b), _) => ("mp3", Framing::Whole),
        (Some(0xa5), _) => ("ac3", Framing::Whole),
        (Some(0xa6), _) => ("eac3", Framing::Whole),
        (Some(0xa9..=0xac), _) => ("dts", Framing::Whole),
        (Some(0xdd), _) => ("vorbis", Framing::Whole),
        (Some(0x6c), _) => ("mjpeg", Framing::Whole),
        (_, Role::Video) => ("mpeg4", Framing::Raw),
        _ => ("aac", Framing::Whole),
    }
}

/// `objectTypeIndication` of the decoder within an elementary stream descriptor.
fn descriptor_type(bytes: &[u8]) -> Option<u8> {
    let (3, rest) = tag(bytes)? else { return None };
    let flags = *rest.get(2)?;
    let mut at = 3;
    if flags & 0x80 != 0 {
        at += 2;
    }
    if flags & 0x40 != 0 {
        at += 1 + usize::from(*rest.get(at)?);
    }
    if flags & 0x20 != 0 {
        at += 2;
    }
    let (4, rest) = tag(rest.get(at..)?)? else { return None };
    rest.first().copied()
}

/// The tag of a descriptor and what follows its length, which takes up to four bytes.
fn tag(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let len = rest.iter().take(4).position(|byte| byte & 0x80 == 0)?;
    Some((*tag, rest.get(len + 1..)?))
}

/// Samples in a packet of sound, and its bytes; 0 where they are not known.
fn packet(body: &[u8]) -> (u32, u32) {
    let packet = match u16_at(body, 8) {
        Some(0) => u16_at(body, 16)
            .zip(u16_at(body, 18))
            .map(|(channels, bits)| (1, u32::from(channels).saturating_mul(u32::from(bits) / 8))),
        Some(1) => u32_at(body, 28).zip(u32_at(body, 36)),
        _ => None,
    };
    packet.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stsd(entries: &[(&Name, Vec<u8>)]) -> Vec<u8> {
        let mut bytes = vec![0; 8];
        for (name, body) in entries {
            bytes.extend(u32::try_from(body.len() + 8).unwrap().to_be_bytes());
            bytes.extend(*name);
            bytes.extend(body);
        }
        bytes
    }

    fn of(role: Role, list: &[(&Name, Vec<u8>)]) -> (String, Framing) {
        let bytes = stsd(list);
        let entry = entries(&bytes, 0..bytes.len(), role);
        (entry.codec, entry.framing)
    }

    #[test]
    fn the_length_of_lengths_is_read() {
        let mut body = vec![0; VIDEO];
        body.extend([0, 0, 0, 13]);
        body.extend(b"avcC");
        body.extend([1, 100, 0, 31, 0xfd]);
        let expected = Framing::Lengths { codec: NalCodec::H264, size: 2 };
        assert_eq!(of(Role::Video, &[(b"avc1", body)]), ("h264".to_owned(), expected));
        let expected = Framing::Lengths { codec: NalCodec::Hevc, size: 4 };
        assert_eq!(of(Role::Video, &[(b"hvc1", vec![0; 9])]), ("hevc".to_owned(), expected));
    }

    #[test]
    fn a_descriptor_names_the_coding() {
        for (kind, codec) in [(0x40, "aac"), (0x6b, "mp3"), (0x61, "mpeg2"), (0xa6, "eac3")] {
            let mut body = vec![0; 28];
            body.extend([0, 0, 0, 40]);
            body.extend(b"esds");
            body.extend([0, 0, 0, 0, 3, 0x80, 0x80, 0x80, 20, 0, 1, 0, 4, 10, kind, 0x15]);
            assert_eq!(of(Role::Audio, &[(b"mp4a", body)]).0, codec);
        }
        assert_eq!(of(Role::Audio, &[(b"mp4a", vec![])]).0, "aac");
        assert_eq!(of(Role::Video, &[(b"mp4v", vec![])]), ("mpeg4".to_owned(), Framing::Raw));
    }

    #[test]
    fn what_is_encrypted_or_differs_has_no_units() {
        assert_eq!(of(Role::Video, &[(b"encv", vec![])]), ("encv".to_owned(), Framing::Raw));
        let both = [(b"avc1", vec![]), (b"encv", vec![])];
        assert_eq!(of(Role::Video, &both), ("h264".to_owned(), Framing::Raw));
        assert_eq!(of(Role::Data, &[(b"tmcd", vec![])]), ("tmcd".to_owned(), Framing::Whole));
        assert_eq!(of(Role::Video, &[(b"\xa9x 1", vec![])]), ("x1".to_owned(), Framing::Raw));
        assert_eq!(of(Role::Video, &[]), (String::new(), Framing::Raw));
    }

    #[test]
    fn old_sound_tells_the_length_of_its_packets() {
        let mut body = vec![0; 28];
        body[17] = 2;
        body[19] = 16;
        let bytes = stsd(&[(b"twos", body.clone())]);
        assert_eq!(entries(&bytes, 0..bytes.len(), Role::Audio).packet, (1, 4));
        body[9] = 1;
        body.extend([0, 0, 0, 64, 0, 0, 0, 34, 0, 0, 0, 68, 0, 0, 0, 2]);
        let bytes = stsd(&[(b"ima4", body)]);
        assert_eq!(entries(&bytes, 0..bytes.len(), Role::Audio).packet, (64, 68));
    }
}
