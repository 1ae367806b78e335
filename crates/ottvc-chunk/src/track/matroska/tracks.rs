//! What a Matroska file says of its tracks, and how their frames are cut.

use std::collections::BTreeMap;

use super::ebml::{children, id, unsigned};
use crate::track::frames::FrameCodec;
use crate::track::lengths::Lengths;
use crate::track::nal::NalCodec;
use crate::track::{MAX_STREAMS, Role, Stream, Units};

/// A track.
#[derive(Clone, Copy, Debug)]
pub(super) struct Track {
    /// Index of its stream.
    pub(super) stream: u16,
    pub(super) cut: Cut,
}

/// How the frames of a track are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// Anywhere.
    Raw,
    /// Where each begins.
    Frames,
    /// Where key frames begin.
    Keys(FrameCodec),
    /// At NAL units; streams are numbered later.
    Nals(Lengths),
}

/// Reads the payload of `Tracks`, for a file of `rate` ticks a second: tracks by number, and
/// their streams. Of more than [`MAX_STREAMS`], the rest is left out.
pub(super) fn read(payload: &[u8], rate: (u32, u32)) -> (BTreeMap<u64, Track>, Vec<Stream>) {
    let (mut tracks, mut streams) = (BTreeMap::new(), Vec::new());
    for (_, entry) in children(payload).filter(|(id, _)| *id == id::TRACK_ENTRY) {
        let entry = Entry::read(entry);
        let Ok(stream) = u16::try_from(streams.len()) else { break };
        let (codec, mut cut) = entry.coding();
        if entry.encoded {
            cut = Cut::Raw;
        }
        let units = if cut == Cut::Raw { Units::Raw } else { Units::Marked };
        let (role, language) = (entry.role(), entry.language());
        let first = Stream { role, units, codec, language, rate };
        let mut side = None;
        if let Cut::Nals(lengths) = &mut cut {
            (lengths.pictures, lengths.side) = (stream, stream.saturating_add(1));
            side = Some(Stream { role: Role::Side, ..first.clone() });
        }
        if streams.len() + 1 + usize::from(side.is_some()) > MAX_STREAMS {
            break;
        }
        streams.push(first);
        streams.extend(side);
        tracks.entry(entry.number).or_insert(Track { stream, cut });
    }
    (tracks, streams)
}

/// A `TrackEntry`, as far as it is of use.
#[derive(Debug, Default)]
struct Entry<'a> {
    number: u64,
    kind: u64,
    codec: &'a [u8],
    private: &'a [u8],
    language: Option<&'a [u8]>,
    bcp47: Option<&'a [u8]>,
    /// Whether frames lie compressed or encrypted, or without their first bytes.
    encoded: bool,
}

impl<'a> Entry<'a> {
    fn read(payload: &'a [u8]) -> Self {
        let mut entry = Self::default();
        for (id, value) in children(payload) {
            match id {
                id::TRACK_NUMBER => entry.number = unsigned(value),
                id::TRACK_TYPE => entry.kind = unsigned(value),
                id::CODEC_ID => entry.codec = value,
                id::CODEC_PRIVATE => entry.private = value,
                id::LANGUAGE => entry.language = Some(value),
                id::LANGUAGE_BCP47 => entry.bcp47 = Some(value),
                id::CONTENT_ENCODINGS => entry.encoded = children(value).any(encodes_frames),
                _ => {}
            }
        }
        entry
    }

    fn role(&self) -> Role {
        match self.kind {
            1 => Role::Video,
            2 => Role::Audio,
            0x11 => Role::Text,
            _ => Role::Data,
        }
    }

    /// English where nothing is said, as the specification has it; none where it is undetermined.
    fn language(&self) -> String {
        let language = text(self.bcp47.or(self.language).unwrap_or(b"eng"), 35);
        if language == "und" { String::new() } else { language }
    }

    /// The coding in our words, or as the file names it, and how its frames are cut.
    fn coding(&self) -> (String, Cut) {
        let name = text(self.codec, 32);
        let keys = Cut::Keys;
        let (codec, cut) = match name.as_str() {
            "V_MPEG4/ISO/AVC" => ("h264", self.nals(NalCodec::H264, 4)),
            "V_MPEGH/ISO/HEVC" => ("hevc", self.nals(NalCodec::Hevc, 21)),
            "V_MPEG2" => ("mpeg2", keys(FrameCodec::Mpeg2)),
            "V_MPEG1" => ("", keys(FrameCodec::Mpeg2)),
            "V_VP8" => ("", keys(FrameCodec::Vp8)),
            "V_VP9" => ("vp9", keys(FrameCodec::Vp9)),
            "V_AV1" => ("av1", keys(FrameCodec::Av1)),
            "V_PRORES" => ("prores", Cut::Frames),
            "V_MJPEG" | "V_FFV1" => ("", Cut::Frames),
            // The header of a bitmap, and that of a sample description.
            "V_MS/VFW/FOURCC" => return fourcc(self.private.get(16..20), name),
            "V_QUICKTIME" => return fourcc(self.private.get(4..8), name),
            "A_AC3" | "A_AC3/BSID9" | "A_AC3/BSID10" => ("ac3", Cut::Frames),
            "A_EAC3" => ("eac3", Cut::Frames),
            "A_MPEG/L3" => ("mp3", Cut::Frames),
            "A_OPUS" => ("opus", Cut::Frames),
            "A_FLAC" => ("flac", Cut::Frames),
            "A_MS/ACM" if self.private.starts_with(&[1, 0]) => ("pcm", Cut::Raw),
            "S_TEXT/WEBVTT" => ("webvtt", Cut::Frames),
            name if name.starts_with("A_AAC") => ("aac", Cut::Frames),
            name if name.starts_with("A_PCM/") => ("pcm", Cut::Raw),
            name if name.starts_with("D_WEBVTT/") => ("webvtt", Cut::Frames),
            _ if self.role() == Role::Video => ("", Cut::Raw),
            _ => ("", Cut::Frames),
        };
        (if codec.is_empty() { name } else { codec.to_owned() }, cut)
    }

    /// NAL units behind lengths, whose size stands in byte `at` of the decoder's configuration. What has
    /// none has start codes, or is nothing known.
    fn nals(&self, codec: NalCodec, at: usize) -> Cut {
        match (self.private, self.private.get(at)) {
            ([1, ..], Some(byte)) => {
                Cut::Nals(Lengths { codec, size: (byte & 3) + 1, pictures: 0, side: 0 })
            }
            _ => Cut::Raw,
        }
    }
}

/// Codings that Matroska names as other files do, by four letters; `name` if there are none.
fn fourcc(letters: Option<&[u8]>, name: String) -> (String, Cut) {
    let letters = text(letters.unwrap_or_default(), 4);
    match letters.as_str() {
        "apcn" | "apch" | "apcs" | "apco" | "ap4h" | "ap4x" => ("prores".to_owned(), Cut::Frames),
        "AVdn" | "AVdh" => ("dnx".to_owned(), Cut::Frames),
        "mjp2" | "MJ2C" | "MJP2" => ("jpeg2000".to_owned(), Cut::Frames),
        "MJPG" | "FFV1" => (letters, Cut::Frames),
        "" => (name, Cut::Raw),
        _ => (letters, Cut::Raw),
    }
}

/// Whether a `ContentEncoding` is of frames, not of the decoder's configuration alone.
fn encodes_frames((id, encoding): (u32, &[u8])) -> bool {
    let scope = children(encoding).find(|(id, _)| *id == id::CONTENT_ENCODING_SCOPE);
    id == id::CONTENT_ENCODING && scope.is_none_or(|(_, scope)| unsigned(scope) & 1 != 0)
}

/// The printable ASCII among the first `most` bytes.
fn text(bytes: &[u8], most: usize) -> String {
    let printable = |byte: &&u8| byte.is_ascii_graphic();
    bytes.iter().take(most).filter(printable).map(|byte| char::from(*byte)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(id: &[u8], payload: &[u8]) -> Vec<u8> {
        [id, &[0x80 | u8::try_from(payload.len()).unwrap()], payload].concat()
    }

    /// Coding, cut and language of a track of this codec, with more elements.
    fn coding(codec: &str, kind: u8, more: &[Vec<u8>]) -> (String, Cut, String, usize) {
        let entry = [
            element(&[0xd7], &[9]),
            element(&[0x83], &[kind]),
            element(&[0x86], codec.as_bytes()),
            more.concat(),
        ];
        let (tracks, streams) = read(&element(&[0xae], &entry.concat()), (1000, 1));
        let Track { stream, cut } = tracks[&9];
        assert_eq!(stream, 0);
        (streams[0].codec.clone(), cut, streams[0].language.clone(), streams.len())
    }

    #[test]
    fn codings_are_told_by_name_and_configuration() {
        let private = |bytes: &[u8]| element(&[0x63, 0xa2], bytes);
        let avc = [private(&[1, 100, 0, 30, 0xff, 0xe1])];
        let (codec, cut, language, streams) = coding("V_MPEG4/ISO/AVC", 1, &avc);
        let lengths = Lengths { codec: NalCodec::H264, size: 4, pictures: 0, side: 1 };
        assert_eq!((codec.as_str(), cut, streams), ("h264", Cut::Nals(lengths), 2));
        assert_eq!(language, "eng");
        let (codec, cut, ..) = coding("V_MPEG4/ISO/AVC", 1, &[]);
        assert_eq!((codec.as_str(), cut), ("h264", Cut::Raw));
        let dnx = [private(b"0123456789abcdefAVdn")];
        assert_eq!(coding("V_MS/VFW/FOURCC", 1, &dnx).0, "dnx");
        let (codec, cut, ..) = coding("A_PCM/INT/LIT", 2, &[]);
        assert_eq!((codec.as_str(), cut), ("pcm", Cut::Raw));
        let (codec, cut, ..) = coding("A_VORBIS", 2, &[]);
        assert_eq!((codec.as_str(), cut), ("A_VORBIS", Cut::Frames));
        assert_eq!(coding("V_THEORA", 1, &[]).1, Cut::Raw);
    }

    #[test]
    fn languages_may_be_undetermined() {
        let language = |language: &[u8]| element(&[0x22, 0xb5, 0x9c], language);
        assert_eq!(coding("S_TEXT/UTF8", 0x11, &[language(b"und")]).2, "");
        assert_eq!(coding("S_TEXT/UTF8", 0x11, &[language(b"ger\0")]).2, "ger");
        let both = [element(&[0x22, 0xb5, 0x9d], b"de-AT"), language(b"ger")];
        assert_eq!(coding("S_TEXT/UTF8", 0x11, &both).2, "de-AT");
    }

    #[test]
    fn encoded_frames_are_kept_as_they_lie() {
        let encoding = |scope: u8| {
            let scope = element(&[0x50, 0x32], &[scope]);
            [element(&[0x6d, 0x80], &element(&[0x62, 0x40], &scope))]
        };
        assert_eq!(coding("A_AC3", 2, &encoding(1)).1, Cut::Raw);
        assert_eq!(coding("A_AC3", 2, &encoding(2)).1, Cut::Frames);
        let default = [element(&[0x6d, 0x80], &element(&[0x62, 0x40], &[]))];
        assert_eq!(coding("A_AC3", 2, &default).1, Cut::Raw);
    }

    #[test]
    fn no_more_tracks_are_taken_than_can_be_told_apart() {
        let entry = element(&[0xae], &element(&[0x86], b"A_AC3"));
        let (tracks, streams) = read(&entry.repeat(300), (1000, 1));
        assert_eq!((tracks.len(), streams.len()), (1, 256));
    }
}
