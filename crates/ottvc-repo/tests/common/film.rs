//! Short films in MP4 and Matroska, of noise: pictures of 40 ms in groups of a second, sound in frames
//! of 20 ms.

use super::noise;

/// How many pictures a second has, and frames of sound.
const PICTURES: usize = 25;
const SOUNDS: usize = 50;

/// What a film is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Film {
    /// Names of seconds, in order: the same name is the same second.
    pub(crate) pictures: Vec<u64>,
    /// Tracks of sound: a language of three letters, and names of seconds.
    pub(crate) sounds: Vec<(&'static str, Vec<u64>)>,
    pub(crate) title: &'static str,
}

/// A film as a file.
pub(crate) struct Packed {
    pub(crate) bytes: Vec<u8>,
    /// Where frames lie in it, without what goes before them.
    pub(crate) frames: Vec<(usize, usize)>,
}

impl Packed {
    /// The bytes of each frame.
    pub(crate) fn frames(&self) -> impl Iterator<Item = ((usize, usize), &[u8])> {
        self.frames.iter().map(|(start, end)| ((*start, *end), &self.bytes[*start..*end]))
    }
}

/// A frame of a track: its number, when it is shown in milliseconds, NAL units or the frame of sound.
struct Frame {
    track: usize,
    time: usize,
    parts: Vec<Vec<u8>>,
}

impl Film {
    /// Seconds of pictures, and of sound in English.
    pub(crate) fn new(seconds: impl IntoIterator<Item = u64> + Clone) -> Self {
        let (pictures, english) = (seconds.clone().into_iter().collect(), seconds);
        let sounds = vec![("eng", english.into_iter().collect())];
        Self { pictures, sounds, title: "a film" }
    }

    /// All frames in the order of a file.
    fn frames(&self) -> Vec<Frame> {
        let mut frames = Vec::new();
        for (second, name) in self.pictures.iter().enumerate() {
            for at in 0..PICTURES {
                let seed = name * 1000 + at as u64;
                let head: &[u8] = if at == 0 { &[0x65, 0x88] } else { &[0x41, 0x9a] };
                let picture = [head, &noise(seed, 4000 + at * 8)].concat();
                // Messages ride along with pictures that can be decoded alone.
                let message = (at == 0).then(|| [&[6, 5][..], &noise(seed + 999, 400)].concat());
                let parts = message.into_iter().chain([picture]).collect();
                frames.push(Frame { track: 0, time: second * 1000 + at * 1000 / PICTURES, parts });
            }
        }
        for (index, (language, seconds)) in self.sounds.iter().enumerate() {
            let salt = language.bytes().fold(0, |salt, byte| salt * 31 + u64::from(byte));
            for (second, name) in seconds.iter().enumerate() {
                for at in 0..SOUNDS {
                    let parts = vec![noise(salt * 1_000_000 + name * 1000 + at as u64, 320)];
                    let time = second * 1000 + at * 1000 / SOUNDS;
                    frames.push(Frame { track: index + 1, time, parts });
                }
            }
        }
        frames.sort_by_key(|frame| (frame.time, frame.track));
        frames
    }

    pub(crate) fn mp4(&self) -> Packed {
        let mut bytes = boxed(b"ftyp", &[b"isom\0\0\0\0isom"]);
        let mut tracks = vec![Vec::new(); self.sounds.len() + 1];
        let mut frames = Vec::new();
        let mut media = Vec::new();
        let start = bytes.len() + 8;
        for Frame { track, parts, .. } in self.frames() {
            let sample = media.len();
            for part in parts {
                if track == 0 {
                    media.extend(be(part.len()));
                }
                frames.push((start + media.len(), start + media.len() + part.len()));
                media.extend(part);
            }
            tracks[track].push((start + sample, media.len() - sample));
        }
        bytes.extend(boxed(b"mdat", &[&media]));
        let title = boxed(b"udta", &[self.title.as_bytes()]);
        let languages =
            ["und"].into_iter().chain(self.sounds.iter().map(|(language, _)| *language));
        let tracks = tracks.iter().zip(languages).enumerate();
        let tracks: Vec<u8> = tracks
            .flat_map(|(index, (samples, language))| trak(index, samples, language))
            .collect();
        bytes.extend(boxed(b"moov", &[&title, &tracks]));
        Packed { bytes, frames }
    }

    pub(crate) fn matroska(&self) -> Packed {
        let languages =
            ["und"].into_iter().chain(self.sounds.iter().map(|(language, _)| *language));
        let entries = languages.enumerate().map(|(index, language)| {
            let (kind, codec) = if index == 0 { (1, "V_MPEG4/ISO/AVC") } else { (2, "A_OPUS") };
            let parts = [
                element(&[0xd7], &[u8::try_from(index + 1).unwrap()]),
                element(&[0x83], &[kind]),
                element(&[0x86], codec.as_bytes()),
                element(&[0x22, 0xb5, 0x9c], language.as_bytes()),
                element(&[0x63, 0xa2], &[1, 100, 0, 30, 0xff, 0xe1]),
            ];
            element(&[0xae], &parts.concat())
        });
        let tracks = element(&[0x16, 0x54, 0xae, 0x6b], &entries.collect::<Vec<_>>().concat());
        let start = [0x1a, 0x45, 0xdf, 0xa3, 0x80, 0x18, 0x53, 0x80, 0x67, 0xff];
        let mut bytes = [&start[..], &element(&[0xec], self.title.as_bytes()), &tracks].concat();
        let (mut frames, mut cluster) = (Vec::new(), None);
        for Frame { track, time, parts } in self.frames() {
            if cluster != Some(time / 1000) {
                cluster = Some(time / 1000);
                bytes.extend([0x1f, 0x43, 0xb6, 0x75, 0xff, 0xe7, 0x84]);
                bytes.extend(be(time / 1000 * 1000));
            }
            let lengths = if track == 0 { 4 } else { 0 };
            let len = 4 + parts.iter().map(|part| lengths + part.len()).sum::<usize>();
            bytes.extend([0xa3]);
            bytes.extend(be(len | 0x1000_0000));
            bytes.push(0x80 | u8::try_from(track + 1).unwrap());
            bytes.extend(&be(time % 1000)[2..]);
            bytes.push(0x80);
            for part in parts {
                bytes.extend(&be(part.len())[..lengths]);
                frames.push((bytes.len(), bytes.len() + part.len()));
                bytes.extend(part);
            }
        }
        Packed { bytes, frames }
    }
}

fn be(value: usize) -> [u8; 4] {
    u32::try_from(value).unwrap().to_be_bytes()
}

fn boxed(name: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    [&be(body.len() + 8)[..], name, &body].concat()
}

fn element(id: &[u8], payload: &[u8]) -> Vec<u8> {
    [id, &be(payload.len() | 0x1000_0000), payload].concat()
}

/// A track whose samples lie at these offsets, with these lengths.
fn trak(index: usize, samples: &[(usize, usize)], language: &str) -> Vec<u8> {
    let (handler, step) =
        if index == 0 { (b"vide", 1000 / PICTURES) } else { (b"soun", 1000 / SOUNDS) };
    let entry = match index {
        0 => {
            let config = boxed(b"avcC", &[&[1, 100, 0, 31, 0xff, 0xe1]]);
            boxed(b"avc1", &[&[0; 78], &config])
        }
        _ => boxed(b"Opus", &[&[0; 28]]),
    };
    let language = language.bytes().fold(0, |packed, byte| packed << 5 | u16::from(byte - 0x60));
    let list = |values: Vec<usize>| values.into_iter().flat_map(be).collect::<Vec<u8>>();
    let count = samples.len();
    let table = [
        boxed(b"stsd", &[&list(vec![0, 1]), &entry]),
        boxed(b"stts", &[&list(vec![0, 1, count, step])]),
        boxed(b"stsc", &[&list(vec![0, 1, 1, 1, 1])]),
        boxed(b"stsz", &[&list(vec![0, 0, count]), &list(samples.iter().map(|it| it.1).collect())]),
        boxed(b"stco", &[&list(vec![0, count]), &list(samples.iter().map(|it| it.0).collect())]),
    ];
    let header = [&list(vec![0, 0, 0, 1000, 0])[..], &language.to_be_bytes(), &[0, 0]].concat();
    let media = [
        boxed(b"mdhd", &[&header]),
        boxed(b"hdlr", &[&[0; 8], handler, &[0; 13]]),
        boxed(b"minf", &[&boxed(b"stbl", &[&table.concat()])]),
    ];
    let head = boxed(b"tkhd", &[&list(vec![0, 0, 0, index + 1, 0])]);
    boxed(b"trak", &[&head, &boxed(b"mdia", &[&media.concat()])])
}
