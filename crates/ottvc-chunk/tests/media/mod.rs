//! Media made by ffmpeg, and what parsers find in them, for the tests of parsers.
#![allow(dead_code, reason = "each test uses its own part")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use ottvc_chunk::track::nal::{HEAD, Nal, NalCodec};
use ottvc_chunk::track::{
    Container, Extent, MIN_WINDOW, Parser, Role, Source, Stream, Units, Window,
};

/// The entry of a parser.
pub(crate) type Open = fn(&mut dyn Source) -> io::Result<Option<Box<dyn Parser>>>;

/// What a parser found of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) stream: Stream,
    pub(crate) bytes: Vec<u8>,
    /// Where in `bytes` units begin, and when they are shown.
    pub(crate) units: Vec<(usize, i64)>,
}

/// Where a parser found streams in a file, pieces of a unit joined.
#[derive(Debug, PartialEq)]
pub(crate) struct Walk {
    pub(crate) container: Container,
    pub(crate) streams: Vec<Stream>,
    pub(crate) extents: Vec<Extent>,
}

/// Has the parser of `open` go through `file`, shown `window` bytes at a time; checks what every parser
/// promises. `None` if it is no such file.
pub(crate) fn walk(open: Open, file: &[u8], window: usize) -> Option<Walk> {
    let mut parser = open(&mut &*file).unwrap()?;
    let (mut at, mut end) = (0, 0);
    let (mut out, mut extents) = (Vec::new(), Vec::<Extent>::new());
    while at < file.len() {
        let until = file.len().min(at + window.max(MIN_WINDOW));
        let shown = Window { at: at as u64, bytes: &file[at..until], ends: until == file.len() };
        let done = parser.parse(shown, &mut out);
        assert!((1..=until - at).contains(&done), "{done} at {at} of {until}");
        let begun = at as u64;
        at += done;
        for extent in out.drain(..) {
            assert!(extent.offset >= end.max(begun) && extent.len > 0, "{extent:?} after {end}");
            assert!(usize::from(extent.stream) < parser.streams().len(), "{extent:?} of no stream");
            let before = end;
            end = extent.offset + u64::from(extent.len);
            assert!(end <= at as u64, "{extent:?} past {at}");
            let goes_on = before == extent.offset && extent.unit.is_none();
            match extents.last_mut().filter(|last| goes_on && last.stream == extent.stream) {
                Some(last) => last.len += extent.len,
                None => extents.push(extent),
            }
        }
    }
    Some(Walk { container: parser.container(), streams: parser.streams().to_vec(), extents })
}

/// What `open` finds in `file`, shown `window` bytes at a time.
pub(crate) fn parse(open: Open, file: &[u8], window: usize) -> Option<(Container, Vec<Found>)> {
    let Walk { container, streams, extents } = walk(open, file, window)?;
    let new = |stream| Found { stream, bytes: Vec::new(), units: Vec::new() };
    let mut found: Vec<_> = streams.into_iter().map(new).collect();
    for extent in extents {
        let Found { bytes, units, .. } = &mut found[usize::from(extent.stream)];
        units.extend(extent.unit.map(|unit| (bytes.len(), unit.time)));
        let start = usize::try_from(extent.offset).unwrap();
        bytes.extend_from_slice(&file[start..start + extent.len as usize]);
    }
    Some((container, found))
}

/// The streams of a file, the same however it is shown.
pub(crate) fn streams(open: Open, file: &[u8]) -> Vec<Found> {
    let (_, whole) = parse(open, file, file.len()).unwrap();
    for window in [MIN_WINDOW, MIN_WINDOW + 12_345] {
        let (_, pieces) = parse(open, file, window).unwrap();
        assert!(pieces == whole, "what is found depends on windows of {window}");
    }
    for found in &whole {
        assert!(found.stream.units == Units::Marked || found.units.is_empty());
    }
    whole
}

/// The stream of this coding, before that of messages beside it.
pub(crate) fn of<'a>(streams: &'a [Found], codec: &str) -> &'a Found {
    streams.iter().find(|found| found.stream.codec == codec).unwrap()
}

/// Pictures and messages in a stream of NAL units between start codes: bytes, and where units begin.
pub(crate) fn annex_b(codec: NalCodec, dump: &[u8]) -> [(Vec<u8>, Vec<usize>); 2] {
    let mut found = <[(Vec<u8>, Vec<usize>); 2]>::default();
    let mut starts: Vec<usize> =
        (0..dump.len() - 2).filter(|at| dump[*at..].starts_with(&[0, 0, 1])).collect();
    starts.push(dump.len());
    for pair in starts.windows(2) {
        let mut nal = &dump[(pair[0] + 3)..pair[1]];
        while let [rest @ .., 0] = nal {
            nal = rest;
        }
        let (index, unit) = match Nal::of(codec, &nal[..HEAD.min(nal.len())]) {
            Nal::Picture { key } => (0, key),
            Nal::Side => (1, true),
            Nal::Glue => continue,
        };
        let (bytes, units) = &mut found[index];
        if unit {
            units.push(bytes.len());
        }
        bytes.extend_from_slice(nal);
    }
    found
}

/// Checks that the stream of pictures and the one beside it are those of the dump.
pub(crate) fn assert_annex_b(streams: &[Found], name: &str, codec: NalCodec, dump: &[u8]) {
    let [pictures, side] = annex_b(codec, dump);
    let at = |found: &Found| found.units.iter().map(|(at, _)| *at).collect::<Vec<_>>();
    let found = of(streams, name);
    assert!(found.bytes == pictures.0, "pictures differ");
    assert_eq!(at(found), pictures.1);
    let found = streams.iter().find(|found| found.stream.role == Role::Side).unwrap();
    assert!(found.bytes == side.0, "messages differ");
    assert_eq!(at(found), side.1);
}

/// A folder for media, if ffmpeg is there.
pub(crate) struct Studio(tempfile::TempDir);

impl Studio {
    /// Opens one; `None`, said loudly, if there is no ffmpeg.
    pub(crate) fn open() -> Option<Self> {
        let found = Command::new("ffmpeg").arg("-version").stdout(Stdio::null()).status();
        if let Err(error) = found {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "ffmpeg must be there: {error}");
            eprintln!("\n*** ffmpeg is not here: parsers WERE NOT TRIED on real media ***\n");
            return None;
        }
        Some(Self(tempfile::tempdir().unwrap()))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs ffmpeg in the folder with `arguments`, parted by blanks, of which the last is the file to
    /// make; `None` if it is built without a coder or muxer that is asked for.
    pub(crate) fn make(&self, arguments: &str) -> Option<Vec<u8>> {
        let name = arguments.split(' ').next_back().unwrap();
        let mut command = Command::new("ffmpeg");
        command.args(["-nostdin", "-loglevel", "error", "-y"]).args(arguments.split(' '));
        let output = command.current_dir(self.0.path()).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        if ["Unknown encoder", "Unable to find a suitable output format"]
            .iter()
            .any(|words| said.contains(words))
        {
            eprintln!("\n*** ffmpeg cannot do this, it WAS NOT TRIED: {arguments} ***\n");
            return None;
        }
        assert!(output.status.success(), "ffmpeg {arguments}: {said}");
        Some(std::fs::read(self.path(name)).unwrap())
    }

    /// Runs mkvmerge likewise, the file to make named apart; `None` if it is not there.
    pub(crate) fn merge(&self, name: &str, arguments: &str) -> Option<Vec<u8>> {
        let mut command = Command::new("mkvmerge");
        command.args(["-q", "-o", name]).args(arguments.split(' ')).current_dir(self.0.path());
        let Ok(output) = command.output() else {
            eprintln!("\n*** mkvmerge is not here: what it makes WAS NOT PARSED ***\n");
            return None;
        };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        Some(std::fs::read(self.path(name)).unwrap())
    }
}

/// Changes a file in `count` ways, one after the other: other bytes, fewer bytes, a part twice.
pub(crate) fn damaged(file: &[u8], count: u64) -> impl Iterator<Item = Vec<u8>> {
    (0..count).map(move |seed| {
        let mut state = seed;
        let mut chance = |most: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).unwrap() % most.max(1)
        };
        let mut file = file.to_vec();
        for _ in 0..1 + chance(20) {
            let (at, len) = (chance(file.len()), 1 + chance(9));
            let near = at.min(chance(4096));
            match chance(5) {
                0 => file.truncate(at.max(64)),
                1 => drop(file.drain(at..(at + len).min(file.len()))),
                2 => file.extend_from_within(at..(at + len).min(file.len())),
                3 => file[near] = u8::try_from(chance(256)).unwrap(),
                _ => file[at] = u8::try_from(chance(256)).unwrap(),
            }
        }
        file
    })
}
