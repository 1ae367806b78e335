//! No media file does harm, however damaged: it is rebuilt to the byte, whole and in parts, or refused for a
//! reason that is no fault of ours.
//!
//! Some of the tests are for people, and print what they measure:
//!
//!   MUTATIONS=10000 cargo test --release -p ottvc-chunk --test mutated campaign -- --ignored --nocapture
//!   cargo test --release -p ottvc-chunk --test mutated monotony -- --ignored --nocapture
//!   MEDIA=/a/folder cargo test --release -p ottvc-chunk --test mutated folder -- --ignored --nocapture
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod kept;
mod media;

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use ottvc_chunk::track::cut::TrackRule;
use ottvc_chunk::track::split::{Refusal, TRACK_BLOCK, TrackBlock, TrackSplitter};
use ottvc_chunk::track::{self, Container, mxf};
use rustix::time::{ClockId, clock_gettime};

use kept::{Kept, Reader, keep};
use media::Studio;

/// Files shorter than this are not taken apart when taken in, and their time tells nothing.
const LEAST: usize = 64 << 10;

/// Where code panicked since the test began; the splitter itself catches them.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Has panics noted, the splitter's included.
fn note_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        PANICS.lock().unwrap().push(info.to_string());
        before(info);
    }));
}

/// Numbers that look random and come again with the same seed.
struct Dice(u64);

impl Dice {
    /// A number below `most`, 0 if that is 0.
    fn below(&mut self, most: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % most.max(1)
    }
    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }
    fn of<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }
    /// A place in `file` where a run of at most `most` bytes lies, more often a short one.
    fn run(&mut self, file: &[u8], most: usize) -> std::ops::Range<usize> {
        let most = 1 + self.below(most);
        let at = self.below(file.len());
        at..(at + 1 + self.below(most)).min(file.len())
    }
}

/// Runs that mean something to one parser or another.
const PATTERNS: &[&[u8]] = &[
    &[0],
    &[0xff],
    &[0, 0, 1],
    &[0, 0, 0, 1],
    &[0, 0, 1, 9],
    &[0, 0, 1, 0x65, 0x88],
    &[0, 0, 1, 6, 1],
    &[0, 0, 1, 0xb3],
    &[0, 0, 0, 1, 0x41],
    &[0, 0, 0, 8, b'f', b'r', b'e', b'e'],
    &[0, 0, 0, 8, b'm', b'd', b'a', b't'],
    &[0x47, 0x41, 0, 0x10],
    &[0xff, 0xf1, 0x50, 0x80, 0, 0xff, 0xfc],
    &[6, 0x0e, 0x2b, 0x34, 1, 2, 1, 1, 0x0d, 1, 3, 1, 0x15, 1, 5, 1, 1, 0],
    &[0xa3, 0x85, 0x81, 0, 0, 0x80, 0],
    &[0x1f, 0x43, 0xb6, 0x75, 0x80],
];

/// Sizes that nobody expects.
const SIZES: &[&[u8]] = &[
    &[0; 4],
    &[0, 0, 0, 1],
    &[0, 0, 0, 7],
    &[0, 0, 0, 8],
    &[0, 0, 0xff, 0xff],
    &[0x7f, 0xff, 0xff, 0xff],
    &[0x80, 0, 0, 0],
    &[0xff; 4],
    &[0; 8],
    &[0xff; 8],
    &[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    &[0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
];

/// A place near to where `file` has a name of four letters, as boxes have, or somewhere in its head.
fn near_a_name(file: &[u8], dice: &mut Dice) -> usize {
    let from = dice.below(file.len());
    let letters = |at: &usize| file[*at..at + 4].iter().all(u8::is_ascii_lowercase);
    let named = (from..file.len().saturating_sub(4)).take(1 << 16).find(letters);
    match named.filter(|_| dice.below(3) > 0) {
        // The size of the box, or one of the numbers in it.
        Some(at) => (at + 4 * dice.below(8)).saturating_sub(4),
        None => dice.below(file.len().min(4096)),
    }
}

/// Changes `file` in one to four ways; some take parts of `other`.
fn mutate(file: &[u8], other: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut file = file.to_vec();
    for _ in 0..=dice.below(4) {
        let run = dice.run(&file, 64 << 10);
        match dice.below(10) {
            0 => {
                for _ in 0..=dice.below(20) {
                    let at = dice.below(file.len());
                    file[at] ^= 1 << dice.below(8);
                }
            }
            1 => file[run].fill_with(|| dice.byte()),
            2 => {
                let pattern = dice.of(PATTERNS).iter().cycle();
                file[run].iter_mut().zip(pattern).for_each(|(byte, new)| *byte = *new);
            }
            3 => file.truncate(run.start.max(64)),
            4 => {
                let to = dice.below(file.len() - run.len());
                let block: Vec<u8> = file.drain(run).collect();
                drop(file.splice(to..to, block));
            }
            5 => {
                let (to, block) = (dice.below(file.len()), file[run].repeat(1 + dice.below(3)));
                drop(file.splice(to..to, block));
            }
            6 => drop(file.drain(run.start..run.end.min(run.start + file.len() / 2))),
            7 | 8 => {
                for _ in 0..=dice.below(4) {
                    let (at, size) = (near_a_name(&file, dice), dice.of(SIZES));
                    file.iter_mut().skip(at).zip(size).for_each(|(byte, new)| *byte = *new);
                }
            }
            _ => {
                file.truncate(dice.below(file.len()).max(64));
                file.extend_from_slice(&other[dice.below(other.len())..]);
            }
        }
        file.truncate(8 << 20);
        file.resize(file.len().max(64), 0);
    }
    file
}

/// Processor time of this thread.
fn now() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap()
}

/// Splits `file` and forgets what comes of it, as taking in does but for hashing; returns the time.
fn time(file: &[u8]) -> Duration {
    let from = now();
    if let Some(parser) = track::open(&mut &*file).unwrap() {
        let (mut reader, len) = (file, file.len() as u64);
        let mut splitter =
            TrackSplitter::new(parser, len, TrackRule::DEFAULT, TRACK_BLOCK).unwrap();
        let mut block = TrackBlock::default();
        while splitter.next(&mut reader, &mut block).unwrap() {}
        let _ = splitter.finish();
    }
    now() - from
}

/// The most memory the process had, in bytes; what it has now, if `again` can begin the count anew.
fn most_memory(again: bool) -> u64 {
    if again {
        use std::io::Write;
        let anew = std::fs::File::options().write(true).open("/proc/self/clear_refs");
        let _ = anew.and_then(|mut file| file.write_all(b"5"));
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = peak.and_then(|peak| peak.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) << 10
}

/// What becomes of a file: its container, and why it is refused if it is. What is kept has been compared,
/// whole and in `ranges` ranges.
fn fate(file: &[u8], seed: u64, ranges: usize) -> (&'static str, Result<Kept, Refusal>) {
    let Some(parser) = track::open(&mut &*file).unwrap() else {
        return ("none", Err(Refusal::NoTracks));
    };
    let container = match parser.container() {
        Container::Mp4 => "mp4",
        Container::Ts { .. } => "ts",
        Container::Mxf => "mxf",
        Container::Matroska => "matroska",
    };
    let kept = keep(parser, file, &mut &*file, TRACK_BLOCK);
    match &kept {
        Ok(kept) => Reader::new(kept).check(file, seed, ranges),
        Err(refusal @ (Refusal::Differs { .. } | Refusal::Panicked { .. })) => {
            panic!("{container}: {refusal}")
        }
        Err(_) => {}
    }
    (container, kept)
}

fn word(kept: &Result<Kept, Refusal>) -> &'static str {
    kept.as_ref().err().map_or("kept", Refusal::word)
}

/// How many files met each fate.
type Fates = BTreeMap<(&'static str, &'static str), u64>;

fn table(fates: &Fates) -> String {
    fates.iter().fold(String::new(), |mut table, ((container, fate), count)| {
        writeln!(table, "  {container:<10} {fate:<14} {count}").unwrap();
        table
    })
}

/// Damages each of `files` in turn, until there are `count` damaged files.
fn damage_and_check(files: &[(&str, Vec<u8>)], count: u64, seed: u64) -> Fates {
    let mut fates = Fates::new();
    let mut slow: Vec<(f64, String)> = Vec::new();
    let mut memory = 0;
    let begun = Instant::now();
    for index in 0..count {
        let mut dice = Dice(seed.wrapping_add(index).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        dice.below(1);
        let (name, file) = &files[usize::try_from(index).unwrap() % files.len()];
        let file = mutate(file, &files[dice.below(files.len())].1, &mut dice);
        let before = most_memory(true);
        let mut spent = time(&file);
        memory = memory.max(most_memory(false).saturating_sub(before));
        if file.len() >= LEAST {
            let speed = |spent: Duration| spent.as_secs_f64() * 1e3 / mib(file.len());
            // What is slow twice more is slow by itself.
            if speed(spent) > 3.0 {
                spent = spent.min(time(&file)).min(time(&file));
            }
            slow.push((speed(spent), format!("{name}, mutation {index} of seed {seed}")));
            slow.sort_by(|a, b| b.0.total_cmp(&a.0));
            slow.truncate(5);
        }
        let found = std::panic::catch_unwind(|| fate(&file, index, 3));
        let (container, kept) = found.unwrap_or_else(|_| {
            let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mutated");
            let _ = std::fs::File::create(&path)
                .and_then(|mut kept| std::io::Write::write_all(&mut kept, &file));
            panic!("{name}, mutation {index} of seed {seed}, see {}", path.display())
        });
        *fates.entry((container, word(&kept))).or_default() += 1;
    }
    println!("{count} damaged files in {:?}, seed {seed}", begun.elapsed());
    println!(
        "{}most memory a file took: {:.1} MiB",
        table(&fates),
        mib(memory.try_into().unwrap())
    );
    for (speed, what) in slow {
        println!("  {speed:.2} ms/MiB {what}");
    }
    let panics = PANICS.lock().unwrap();
    assert!(panics.is_empty(), "{panics:?}");
    fates
}

#[expect(clippy::cast_precision_loss, reason = "it is to be read")]
fn mib(bytes: usize) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Pictures and sound for some seconds, as inputs of ffmpeg.
fn film(size: &str, seconds: u32) -> String {
    format!(
        "-f lavfi -i testsrc2=size={size}:rate=25:duration={seconds},noise=alls=20:allf=t \
         -f lavfi -i sine=duration={seconds}:sample_rate=48000"
    )
}

/// How the small film is packed, the short test's part of it first: name and what ffmpeg is told.
const PACKINGS: &[(&str, &str)] = &[
    ("plain.mp4", "-c copy"),
    ("frag.mp4", "-c copy -movflags frag_keyframe+empty_moov+default_base_moof"),
    ("plain.ts", "-c copy"),
    ("plain.mkv", "-c copy"),
    ("fast.mp4", "-c copy -movflags faststart"),
    ("cmaf.mp4", "-c copy -an -movflags cmaf+dash"),
    ("plain.mov", "-c copy"),
    ("stamped.m2ts", "-c copy -mpegts_m2ts_mode 1"),
    ("part.m3u8", "-c copy -f hls -hls_time 1 -hls_segment_filename part%d.ts"),
    ("fpart.m3u8", "-c copy -f hls -hls_time 1 -hls_segment_type fmp4"),
];

/// Films of other codings: name and what ffmpeg is told.
const CODINGS: &[(&str, &str)] = &[
    ("mpeg2.mxf", "-t 2 -c:v mpeg2video -g 10 -b:v 4M -c:a pcm_s16le"),
    ("prores.mov", "-c:v prores_ks -c:a pcm_s24le"),
    ("hevc.mp4", "-c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=25 -c:a ac3"),
    ("hevc.ts", "-c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=25 -c:a eac3"),
    ("vp9.webm", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -c:a libopus"),
    ("h264.mxf", "-c:v libx264 -preset ultrafast -pix_fmt yuv422p -g 12 -c:a pcm_s16le"),
    ("j2k.mxf", "-t 1 -c:v jpeg2000 -c:a pcm_s24le"),
    ("mpeg2.ts", "-c:v mpeg2video -b:v 4M -c:a mp2"),
];

/// Makes small media; some of all kinds for the short test. `None` without ffmpeg.
fn films(studio: &Studio, short: bool) -> Option<Vec<(&'static str, Vec<u8>)>> {
    let (size, seconds, parts) =
        if short { ("320x180", 1, (4, 1)) } else { ("320x180", 4, (99, 99)) };
    let film = film(size, seconds);
    studio.make(&format!("{film} -c:v libx264 -preset ultrafast -g 25 -c:a aac film.mkv"))?;
    let packed = PACKINGS.iter().take(parts.0).filter_map(|(name, how)| {
        let made = studio.make(&format!("-i film.mkv {how} {name}"))?;
        // Of segments one is enough, and not their list.
        let segment = match *name {
            "part.m3u8" => "part1.ts",
            "fpart.m3u8" => "fpart1.m4s",
            _ => return Some((*name, made)),
        };
        Some((segment, std::fs::read(studio.path(segment)).unwrap()))
    });
    let mut films: Vec<_> = packed.collect();
    films.extend(CODINGS.iter().take(parts.1).filter_map(|(name, how)| {
        let seconds = if name.starts_with("prores") { " -t 1" } else { "" };
        Some((*name, studio.make(&format!("{film} {how}{seconds} {name}"))?))
    }));
    Some(films)
}

/// A file of MXF whose pictures, one clip, begin with `head` and are `pattern` over and over.
fn monotonous(head: &[u8], pattern: &[u8]) -> Vec<u8> {
    let partition = [6, 0x0e, 0x2b, 0x34, 2, 5, 1, 1, 0x0d, 1, 2, 1, 1, 2, 4, 0, 88];
    let element =
        [6, 0x0e, 0x2b, 0x34, 1, 2, 1, 1, 0x0d, 1, 3, 1, 0x15, 1, 6, 1, 0x84, 0, 0x20, 0, 0];
    let value = head.iter().chain(pattern.iter().cycle()).take(2 << 20).copied();
    [&partition[..], &[0; 88], &element].concat().into_iter().chain(value).collect()
}

#[test]
fn more_units_than_a_parser_tells_at_a_time_are_all_found() {
    let file = monotonous(&[0, 0, 1, 9, 16], &[0, 0, 1, 0x65, 0x88]);
    let found = media::streams(mxf::open, &file);
    let pictures = media::of(&found, "h264");
    let units = ((2 << 20) - 5) / 5;
    assert_eq!((pictures.bytes.len(), pictures.units.len()), (2 * units, units));
}

/// Prints the time that monotonous files take, which are the slowest known.
#[test]
#[ignore = "measures: for people"]
fn monotony() {
    let heads: [&[u8]; 4] =
        [&[0, 0, 1, 9, 16], &[0, 0, 1, 0x46, 1], &[0, 0, 1, 0xb3], &[0, 0, 2, 0x80, 1]];
    let mut slow = Vec::new();
    for head in heads {
        for pattern in PATTERNS {
            let file = monotonous(head, pattern);
            let spent = (0..3).map(|_| time(&file)).min().unwrap();
            slow.push((spent.as_secs_f64() * 1e3 / mib(file.len()), head, pattern));
            let _ = fate(&file, 1, 3);
        }
    }
    // A machine that is busy is slow: this is what to measure it by.
    let (file, from) = (monotonous(&[], &[1, 2, 3]), now());
    blake3::hash(&file);
    println!("  {:.2} ms/MiB BLAKE3 alone", (now() - from).as_secs_f64() * 1e3 / mib(file.len()));
    slow.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (speed, head, pattern) in slow.iter().take(5) {
        println!("  {speed:.2} ms/MiB MXF of {head:02x?} and {pattern:02x?} over and over");
    }
}

#[test]
fn damaged_media_is_rebuilt_or_refused() {
    let Some(studio) = Studio::open() else { return };
    let Some(films) = films(&studio, true) else { return };
    for (name, file) in &films {
        assert_eq!(word(&fate(file, 0, 100).1), "kept", "{name} of {} bytes", file.len());
    }
    note_panics();
    let fates = damage_and_check(&films, 300, 1);
    let kept: u64 = fates.iter().filter(|((_, fate), _)| *fate == "kept").map(|(_, n)| n).sum();
    assert!(kept > 60, "most mutations left nothing to keep:\n{}", table(&fates));
}

#[test]
#[ignore = "takes minutes: for people"]
fn campaign() {
    let number = |name: &str| std::env::var(name).ok().and_then(|number| number.parse().ok());
    let Some(studio) = Studio::open() else { return };
    let Some(films) = films(&studio, false) else { return };
    for (name, file) in &films {
        println!("{name:<14} {:.2} MiB, {}", mib(file.len()), word(&fate(file, 0, 1000).1));
    }
    note_panics();
    damage_and_check(&films, number("MUTATIONS").unwrap_or(10_000), number("SEED").unwrap_or(1));
}

/// All files beneath `folder`.
fn files(folder: &Path, out: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    for path in entries.filter(|path| !path.is_symlink()) {
        if path.is_dir() { files(&path, out) } else { out.push(path) }
    }
}

/// Bytes of the chunks of a file that are not among those `known`, which they join.
fn fresh(kept: &Kept, known: &mut HashSet<blake3::Hash>) -> usize {
    let chunks = kept.chunks.values().flatten();
    chunks.filter(|chunk| known.insert(blake3::hash(chunk))).map(Vec::len).sum()
}

#[test]
#[ignore = "needs a folder of media: for people"]
fn folder() {
    let Some(folder) = std::env::var_os("MEDIA") else { return };
    let (mut paths, mut fates, mut known) = (Vec::new(), Fates::new(), HashSet::new());
    files(Path::new(&folder), &mut paths);
    paths.sort();
    note_panics();
    for path in paths {
        let file = std::fs::read(&path).unwrap();
        let speed = time(&file).as_secs_f64() * 1e3 / mib(file.len().max(1));
        let (container, kept) = fate(&file, 1, 1000);
        let (word, len) = (word(&kept), file.len());
        let more = match &kept {
            Ok(kept) => format!("{} bytes new", fresh(kept, &mut known)),
            Err(refusal) => refusal.to_string(),
        };
        let short = if len < LEAST { " short" } else { "" };
        println!("{container} {word}{short} {len} {speed:.1} ms/MiB {}: {more}", path.display());
        *fates.entry((container, word)).or_default() += 1;
    }
    println!("{}", table(&fates));
    let panics = PANICS.lock().unwrap();
    assert!(panics.is_empty(), "{panics:?}");
}
