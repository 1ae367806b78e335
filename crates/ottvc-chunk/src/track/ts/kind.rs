//! What is on a PID, by its entry in a program map.

use crate::track::Role;
use crate::track::nal::NalCodec;

use super::sound::{Sound, is_layer_3};

/// The first bytes of a frame of DTS.
const DTS: &[u8] = &[0x7f, 0xfe, 0x80, 0x01];

/// What is on a PID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    /// What it is of.
    pub(super) role: Role,
    /// How its bytes are told apart.
    pub(super) form: Form,
    /// Name of the coding.
    pub(super) codec: String,
    /// ISO 639-2, or empty.
    pub(super) language: String,
}

/// How the bytes of a PID are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// NAL units after start codes.
    Nals(NalCodec),
    /// MPEG-1 or MPEG-2 pictures.
    Sequences,
    /// Frames of sound that begin with their length.
    Frames(Sound),
    /// PES packets, each of which is a unit.
    Timed,
    /// PES packets of which no more is known.
    Untimed,
    /// PES packets that the map says nothing of: frames of sound, if they look so, else units.
    Unknown,
    /// Sections, not PES packets.
    Sections,
}

impl Kind {
    /// Tells what an entry of type `kind` is, by the descriptors of its program and its own.
    ///
    /// # Reference
    /// ISO/IEC 13818-1 table 2-34; ATSC A/53 part 3 and SCTE 57 (types 0x81 to 0x87); the Blu-ray types of
    /// programs registered as `HDMV`; ETSI EN 300 468 (DVB descriptors).
    pub(super) fn of(kind: u8, of_program: &[u8], own: &[u8]) -> Self {
        let disc = registration(of_program) == Some(*b"HDMV");
        let (role, form, codec) = match kind {
            0x01 => (Role::Video, Form::Sequences, "mpeg1"),
            0x02 => (Role::Video, Form::Sequences, "mpeg2"),
            0x1b | 0x20 => (Role::Video, Form::Nals(NalCodec::H264), "h264"),
            0x24 | 0x25 => (Role::Video, Form::Nals(NalCodec::Hevc), "hevc"),
            0x10 => (Role::Video, Form::Untimed, "mpeg4"),
            0x33 => (Role::Video, Form::Untimed, "vvc"),
            0xea => (Role::Video, Form::Untimed, "vc1"),
            0x03 | 0x04 => (Role::Audio, Form::Frames(Sound::Mpeg), "mp2"),
            0x0f => (Role::Audio, Form::Frames(Sound::Adts), "aac"),
            0x11 => (Role::Audio, Form::Untimed, "latm"),
            0x80 if disc => (Role::Audio, Form::Untimed, "lpcm"),
            0x82 | 0x85 | 0x86 | 0xa2 if disc => (Role::Audio, Form::Untimed, "dts"),
            0x83 if disc => (Role::Audio, Form::Untimed, "truehd"),
            0x84 | 0xa1 if disc => (Role::Audio, Form::Frames(Sound::Ac3), "eac3"),
            0x90 | 0x91 if disc => (Role::Text, Form::Timed, "pgs"),
            0x92 if disc => (Role::Text, Form::Timed, "textst"),
            0x81 => (Role::Audio, Form::Frames(Sound::Ac3), "ac3"),
            0x87 => (Role::Audio, Form::Frames(Sound::Ac3), "eac3"),
            0x15 => (Role::Data, Form::Timed, "id3"),
            0x86 => (Role::Data, Form::Sections, "scte35"),
            0x05 | 0x0a..=0x0d | 0x14 | 0x16 => (Role::Data, Form::Sections, ""),
            _ => return Self::private(kind, own),
        };
        Self { role, form, codec: codec.to_owned(), language: language(own) }
    }

    /// Tells what an entry is that has no type of its own.
    fn private(kind: u8, own: &[u8]) -> Self {
        let by_tag = all(own).find_map(|(tag, _)| match tag {
            0x6a => Some((Role::Audio, Form::Frames(Sound::Ac3), "ac3")),
            0x7a => Some((Role::Audio, Form::Frames(Sound::Ac3), "eac3")),
            0x7b => Some((Role::Audio, Form::Untimed, "dts")),
            0x45 | 0x46 => Some((Role::Text, Form::Timed, "vbi")),
            0x56 => Some((Role::Text, Form::Timed, "teletext")),
            0x59 => Some((Role::Text, Form::Timed, "dvbsub")),
            _ => None,
        });
        let registered = registration(own);
        let found = by_tag.or(match registered.as_ref() {
            Some(b"AC-3") => Some((Role::Audio, Form::Frames(Sound::Ac3), "ac3")),
            Some(b"EAC3") => Some((Role::Audio, Form::Frames(Sound::Ac3), "eac3")),
            Some(b"HEVC") => Some((Role::Video, Form::Nals(NalCodec::Hevc), "hevc")),
            Some(b"DTS1" | b"DTS2" | b"DTS3") => Some((Role::Audio, Form::Untimed, "dts")),
            Some(b"Opus") => Some((Role::Audio, Form::Untimed, "opus")),
            Some(b"BSSD") => Some((Role::Audio, Form::Untimed, "smpte302m")),
            Some(b"AV01") => Some((Role::Video, Form::Untimed, "av1")),
            Some(b"VC-1") => Some((Role::Video, Form::Untimed, "vc1")),
            Some(b"KLVA") => Some((Role::Data, Form::Timed, "klv")),
            Some(b"ID3 ") => Some((Role::Data, Form::Timed, "id3")),
            _ => None,
        });
        let (role, form, codec) = found.unwrap_or((Role::Data, Form::Unknown, ""));
        let codec = match registered {
            Some(name) if codec.is_empty() && name.iter().all(u8::is_ascii_graphic) => {
                name.iter().copied().map(char::from).collect()
            }
            _ if codec.is_empty() => format!("{kind:#04x}"),
            _ => codec.to_owned(),
        };
        Self { role, form, codec, language: language(own) }
    }

    /// Tells more by the bytes that the first PES packet holds.
    pub(super) fn seen(self, bytes: &[u8]) -> Self {
        let starts = |sound: Sound| sound.frame(bytes).is_some();
        let mpeg = if is_layer_3(bytes) == Some(true) { "mp3" } else { "mp2" };
        let (form, codec) = match self.form {
            Form::Frames(Sound::Mpeg) => (self.form, mpeg),
            // As ffmpeg packs what has no type in packets of 192 bytes, and DTS anywhere.
            Form::Unknown if starts(Sound::Adts) => (Form::Frames(Sound::Adts), "aac"),
            Form::Unknown if starts(Sound::Ac3) => (Form::Frames(Sound::Ac3), "ac3"),
            Form::Unknown if starts(Sound::Mpeg) => (Form::Frames(Sound::Mpeg), mpeg),
            Form::Unknown if bytes.starts_with(DTS) => (Form::Untimed, "dts"),
            _ => return self,
        };
        Self { role: Role::Audio, form, codec: codec.to_owned(), ..self }
    }

    /// Whether what goes on under `other` is still the same track.
    pub(super) fn continues(&self, other: &Self) -> bool {
        (self.role, self.form) == (other.role, other.form)
    }
}

/// Tags and contents of descriptors, up to the first that is not whole.
fn all(mut bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let [tag, len, rest @ ..] = bytes else { return None };
        let (content, next) = rest.split_at_checked(usize::from(*len))?;
        bytes = next;
        Some((*tag, content))
    })
}

fn registration(descriptors: &[u8]) -> Option<[u8; 4]> {
    let (_, content) = all(descriptors).find(|(tag, _)| *tag == 0x05)?;
    content.first_chunk().copied()
}

/// The first language of sound, teletext or subtitles.
fn language(descriptors: &[u8]) -> String {
    let mut found = all(descriptors).filter(|(tag, _)| matches!(tag, 0x0a | 0x56 | 0x59));
    let code = found.find_map(|(_, content)| content.first_chunk::<3>());
    let code = code.filter(|code| code.iter().all(u8::is_ascii_alphabetic));
    code.into_iter().flatten().copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_known_by_type_and_descriptors() {
        let of = |kind, program: &[u8], own: &[u8]| {
            let Kind { role, form, codec, language } = Kind::of(kind, program, own);
            (role, form, codec, language)
        };
        let (text, data) = (String::from, |form, codec: &str, language: &str| {
            (Role::Data, form, codec.to_owned(), language.to_owned())
        });
        let h264 = (Role::Video, Form::Nals(NalCodec::H264), text("h264"), text(""));
        assert_eq!(of(0x1b, &[], &[]), h264);
        let ac3 = (Role::Audio, Form::Frames(Sound::Ac3), text("ac3"), text("deu"));
        assert_eq!(of(0x06, &[], b"\x0a\x04deu\x00\x6a\x01\x00"), ac3);
        assert_eq!(of(0x81, b"\x05\x04HDMV", b"\x0a\x04deu\x00"), ac3);
        let subtitles = (Role::Text, Form::Timed, text("dvbsub"), text("fra"));
        assert_eq!(of(0x06, &[], b"\x59\x08fra\x10\x00\x01\x00\x01"), subtitles);
        assert_eq!(of(0x86, &[], &[]), data(Form::Sections, "scte35", ""));
        let dts = (Role::Audio, Form::Untimed, text("dts"), text(""));
        assert_eq!(of(0x86, b"\x05\x04HDMV", &[]), dts);
        assert_eq!(of(0x06, &[], b"\x05\x04ABCD"), data(Form::Unknown, "ABCD", ""));
        assert_eq!(
            of(0xc4, &[], b"\x05\x04AB\x00D\x0a\x03\xff\xff\xff"),
            data(Form::Unknown, "0xc4", "")
        );
        assert_eq!(of(0x06, &[], b"\x0a\x40eng"), data(Form::Unknown, "0x06", ""));
    }

    #[test]
    fn what_the_map_leaves_open_is_seen() {
        let seen = |kind, bytes: &[u8]| Kind::of(kind, &[], &[]).seen(bytes).codec;
        assert_eq!(seen(0x06, &[0xff, 0xf1, 0x50, 0x80, 0x2e, 0x7f, 0xfc]), "aac");
        assert_eq!(seen(0x06, &[0x0b, 0x77, 0, 0, 0x14, 0x40, 0]), "ac3");
        assert_eq!(seen(0x06, &[0xff, 0xfb, 0x90, 0]), "mp3");
        assert_eq!(seen(0x03, &[0xff, 0xfb, 0x90, 0]), "mp3");
        assert_eq!(seen(0x06, &[0xff, 0xfd, 0xc4, 0]), "mp2");
        assert_eq!(seen(0x03, &[0xff, 0xfd, 0xc4, 0]), "mp2");
        assert_eq!(seen(0x82, &[0x7f, 0xfe, 0x80, 0x01]), "dts");
        assert_eq!(seen(0x06, &[0x20, 0x00, 0x0f]), "0x06");
        assert_eq!(seen(0x1b, &[0xff, 0xfd, 0xc4, 0]), "h264");
    }
}
