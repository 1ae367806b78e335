//! What two files have in common, track by track.

use std::collections::{HashMap, HashSet};

use ottvc_chunk::track::{Container, Role, Stream};
use ottvc_object::ChunkId;
use serde::Serialize;

use super::spans::Spans;
use super::tracked::{Cut, Tracked};

/// The most stretches of time that are told of one track.
const MAX_TIMES: usize = 1000;
/// How far stretches may lie apart that are joined first where there are more, in milliseconds.
const JOINED_MS: u64 = 1000;

/// What a track has in common with one of another file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TrackShare {
    /// `video`, `audio`, `text`, `data`; `messages` for what rides along with pictures (SEI);
    /// `container` for all that is in no track.
    pub role: &'static str,
    /// Counts the tracks of its role in its file, from 1.
    pub number: u32,
    /// The coding, as `h264`; of the container its kind, as `mp4`.
    pub codec: String,
    /// Language as the file gives it; empty if unknown.
    pub language: String,
    /// `same`; `changed`; `replaced` if it has nothing of the track in its place; `added` if no track
    /// was in its place; `removed` for a track of the first file that none of the second is in place
    /// of.
    pub status: &'static str,
    /// Its bytes in the second file.
    pub bytes: u64,
    /// How many of those the first file has.
    pub shared_bytes: u64,
    /// Its other bytes.
    pub new_bytes: u64,
    /// Bytes of the track of the first file that it is in place of.
    pub old_bytes: u64,
    /// When it shows what the first file has not, in order; `None` where no times are known.
    pub new_times: Option<Vec<TimeSpan>>,
    /// When the first file shows what the second has not, in its own time.
    pub gone_times: Option<Vec<TimeSpan>>,
}

/// A stretch of time in a file: milliseconds since it begins; of all but transport streams, since what
/// its own clock calls zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TimeSpan {
    /// When it begins.
    pub from_ms: u64,
    /// When it ends; `None` if with the track.
    pub to_ms: Option<u64>,
}

/// The bytes of one lane of a file, and how many are shared.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LaneSum {
    pub(super) bytes: u64,
    pub(super) shared: u64,
}

/// The name of a kind of container.
pub(crate) fn container_name(container: Container) -> &'static str {
    match container {
        Container::Mp4 => "mp4",
        Container::Ts { .. } => "ts",
        Container::Mxf => "mxf",
        Container::Matroska => "matroska",
    }
}

/// The name of a role.
pub(crate) fn role_name(role: Role) -> &'static str {
    match role {
        Role::Video => "video",
        Role::Audio => "audio",
        Role::Text => "text",
        Role::Data => "data",
        Role::Side => "messages",
    }
}

/// Numbers streams by role, from 1.
pub(crate) fn numbers<'s>(streams: impl Iterator<Item = &'s Stream>) -> Vec<u32> {
    let mut counts: HashMap<Role, u32> = HashMap::new();
    let number = |stream: &Stream| {
        let count = counts.entry(stream.role).or_default();
        *count = count.saturating_add(1);
        *count
    };
    streams.map(number).collect()
}

/// A track of a file, if it has any bytes.
#[derive(Clone, Copy)]
struct Track<'t> {
    stream: &'t Stream,
    number: u32,
    cuts: &'t [Cut],
    /// Index of its stream.
    index: usize,
}

impl Track<'_> {
    fn bytes(&self) -> u64 {
        self.cuts.iter().map(|cut| u64::from(cut.len)).sum()
    }

    fn ids(&self) -> impl Iterator<Item = ChunkId> {
        self.cuts.iter().map(|cut| cut.id)
    }

    /// A row that says what it is.
    fn row(&self, status: &'static str) -> TrackShare {
        TrackShare {
            role: role_name(self.stream.role),
            number: self.number,
            codec: self.stream.codec.clone(),
            language: self.stream.language.clone(),
            status,
            bytes: 0,
            shared_bytes: 0,
            new_bytes: 0,
            old_bytes: 0,
            new_times: None,
            gone_times: None,
        }
    }
}

fn tracks(file: &Tracked) -> Vec<Track<'_>> {
    let numbers = numbers(file.streams.iter());
    let streams = file.streams.iter().zip(numbers).zip(&file.lanes).enumerate();
    let tracks =
        streams.map(|(index, ((stream, number), cuts))| Track { stream, number, cuts, index });
    tracks.filter(|track| !track.cuts.is_empty()).collect()
}

/// Compares file `b` with file `a` track by track: the tracks of `b`, those of `a` that are gone, the
/// container.
///
/// `known` names for each chunk of `a` the first stream that has it, or one past the last; `sums` are
/// those of the lanes of `b`.
pub(super) fn compare(
    a: &Tracked,
    b: &Tracked,
    known: &HashMap<ChunkId, usize>,
    sums: &[LaneSum],
) -> Vec<TrackShare> {
    let (old, new) = (tracks(a), tracks(b));
    let pairs = pair(&old, &new, known);
    // Asked only for what differs: what is the same has no time that is gone.
    let mut present: Option<HashSet<ChunkId>> = None;
    let (start_a, start_b) = (start_ms(a), start_ms(b));
    let mut rows = Vec::new();
    for (track, pair) in new.iter().zip(&pairs) {
        let sum = sums.get(track.index).copied().unwrap_or_default();
        let before = pair.and_then(|pair| old.get(pair));
        let status = match before {
            None => "added",
            Some(before) if before.ids().eq(track.ids()) => "same",
            Some(_) if sum.shared == 0 => "replaced",
            Some(_) => "changed",
        };
        let gone = before.filter(|_| status == "changed").and_then(|before| {
            let present = present.get_or_insert_with(|| {
                b.lanes.iter().flatten().map(|cut| cut.id).collect::<HashSet<_>>()
            });
            times(before, &|id| !present.contains(&id), start_a)
        });
        rows.push(TrackShare {
            bytes: sum.bytes,
            shared_bytes: sum.shared,
            new_bytes: sum.bytes.saturating_sub(sum.shared),
            old_bytes: before.map_or(0, Track::bytes),
            new_times: times(track, &|id| !known.contains_key(&id), start_b),
            gone_times: gone,
            ..track.row(status)
        });
    }
    let gone = old.iter().enumerate().filter(|(index, _)| !pairs.contains(&Some(*index)));
    rows.extend(
        gone.map(|(_, track)| TrackShare { old_bytes: track.bytes(), ..track.row("removed") }),
    );
    rows.push(container(a, b, sums));
    rows
}

/// The row for all that is in no track.
fn container(a: &Tracked, b: &Tracked, sums: &[LaneSum]) -> TrackShare {
    let sum = sums.get(b.streams.len()).copied().unwrap_or_default();
    let streams = a.lanes.iter().take(a.streams.len()).flatten();
    let streams: u64 = streams.map(|cut| u64::from(cut.len)).sum();
    let old_bytes = a.len.saturating_sub(streams);
    let status = match (a.container == b.container, sum.shared) {
        (true, shared) if shared == sum.bytes && old_bytes == sum.bytes => "same",
        (true, 1..) => "changed",
        _ => "replaced",
    };
    TrackShare {
        role: "container",
        number: 1,
        codec: container_name(b.container).into(),
        language: String::new(),
        status,
        bytes: sum.bytes,
        shared_bytes: sum.shared,
        new_bytes: sum.bytes.saturating_sub(sum.shared),
        old_bytes,
        new_times: None,
        gone_times: None,
    }
}

/// Whether a track of the second file may be in place of one of the first, of the same role.
type Like = fn(&Stream, &Stream) -> bool;

/// What speaks for it, the strongest first.
const LIKES: [Like; 4] = [
    |a, b| a.codec == b.codec && a.language == b.language,
    |a, b| a.language == b.language,
    |a, b| a.codec == b.codec,
    |_, _| true,
];

/// For each track of the second file the one of the first in whose place it is: that of which it has
/// most; of what has nothing in common, the first that is much like it.
fn pair(
    old: &[Track<'_>],
    new: &[Track<'_>],
    known: &HashMap<ChunkId, usize>,
) -> Vec<Option<usize>> {
    let mut shared = Vec::new();
    for (to, track) in new.iter().enumerate() {
        let mut bytes: HashMap<usize, u64> = HashMap::new();
        for cut in track.cuts {
            if let Some(stream) = known.get(&cut.id) {
                *bytes.entry(*stream).or_default() += u64::from(cut.len);
            }
        }
        let at = |stream| old.iter().position(|track| track.index == stream);
        shared.extend(bytes.into_iter().filter_map(|(stream, sum)| Some((sum, to, at(stream)?))));
    }
    shared.sort_by_key(|(sum, to, from)| (std::cmp::Reverse(*sum), *to, *from));
    let mut pairs = vec![None; new.len()];
    let mut taken = vec![false; old.len()];
    let mut match_up = |to: usize, from: usize| {
        if let (Some(pair), Some(taken)) = (pairs.get_mut(to), taken.get_mut(from))
            && pair.is_none()
            && !*taken
        {
            (*pair, *taken) = (Some(from), true);
        }
    };
    for (_, to, from) in shared {
        match_up(to, from);
    }
    for like in LIKES {
        for (to, track) in new.iter().enumerate() {
            for (from, other) in old.iter().enumerate() {
                let (a, b) = (other.stream, track.stream);
                if a.role == b.role && like(a, b) {
                    match_up(to, from);
                }
            }
        }
    }
    pairs
}

/// When a file begins, in milliseconds of its own clock. Transport streams begin at any time.
fn start_ms(file: &Tracked) -> i128 {
    let firsts = file.streams.iter().zip(&file.lanes).filter_map(|(stream, cuts)| {
        let time = cuts.iter().find_map(|cut| cut.time)?;
        Some(milliseconds(time, stream.rate))
    });
    match file.container {
        Container::Ts { .. } => firsts.min().unwrap_or(0),
        _ => 0,
    }
}

/// The stretches of time of a track in which it shows chunks that are `wanted`; `None` if it tells no
/// times.
///
/// A chunk is shown from when its first unit is, up to that of the next. One in which no unit begins
/// goes on with the unit of the chunk before it.
fn times(
    track: &Track<'_>,
    wanted: &dyn Fn(ChunkId) -> bool,
    start: i128,
) -> Option<Vec<TimeSpan>> {
    let rate = track.stream.rate;
    let ms = |ticks: i64| {
        let ms = milliseconds(ticks, rate).saturating_sub(start).max(0);
        u64::try_from(ms).unwrap_or(u64::MAX)
    };
    let mut last = track.cuts.iter().find_map(|cut| cut.time).map(ms)?;
    let mut spans = Spans::new(0, JOINED_MS, MAX_TIMES);
    let mut since = None;
    for cut in track.cuts {
        let time = cut.time.map(ms);
        match (wanted(cut.id), time, since) {
            (true, _, None) => since = Some(time.unwrap_or(last)),
            (false, Some(time), Some(from)) => {
                spans.add(from, time);
                since = None;
            }
            _ => {}
        }
        last = time.unwrap_or(last);
    }
    if let Some(from) = since {
        spans.add(from, last);
    }
    let list = spans.into_list();
    let ends = list.len();
    let span = |(at, span): (usize, super::spans::Span)| TimeSpan {
        from_ms: span.start,
        to_ms: Some(span.end).filter(|_| since.is_none() || at + 1 < ends),
    };
    Some(list.into_iter().enumerate().map(span).collect())
}

/// Ticks as milliseconds, rounded down.
fn milliseconds(ticks: i64, (rate, per): (u32, u32)) -> i128 {
    let scaled = i128::from(ticks).saturating_mul(i128::from(per)).saturating_mul(1000);
    scaled.checked_div_euclid(i128::from(rate)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use ottvc_chunk::track::Units;

    use super::*;

    fn cut(name: u8, time: Option<i64>) -> Cut {
        Cut { id: ChunkId([name; 32]), len: 10, time }
    }

    fn stream(role: Role, language: &str) -> Stream {
        let (codec, language) = ("aac".into(), language.into());
        Stream { role, units: Units::Marked, codec, language, rate: (90_000, 1) }
    }

    /// A file whose audio tracks have these languages and chunks.
    fn file(container: Container, tracks: &[(&str, Vec<Cut>)]) -> Tracked {
        let streams = tracks.iter().map(|(language, _)| stream(Role::Audio, language)).collect();
        let mut lanes: Vec<Vec<Cut>> = tracks.iter().map(|(_, cuts)| cuts.clone()).collect();
        lanes.push(vec![cut(255, None)]);
        Tracked { container, len: 1000, streams, lanes }
    }

    fn told(a: &Tracked, b: &Tracked) -> Vec<TrackShare> {
        let mut known = HashMap::new();
        for (lane, cuts) in a.lanes.iter().enumerate() {
            for cut in cuts {
                known.entry(cut.id).or_insert(lane);
            }
        }
        let sum = |cuts: &Vec<Cut>| LaneSum {
            bytes: cuts.len() as u64 * 10,
            shared: cuts.iter().filter(|cut| known.contains_key(&cut.id)).count() as u64 * 10,
        };
        let sums: Vec<LaneSum> = b.lanes.iter().map(sum).collect();
        compare(a, b, &known, &sums)
    }

    /// Chunks with these names, a second each from the first one's time on.
    fn seconds(start: i64, names: &[u8]) -> Vec<Cut> {
        names.iter().zip(start..).map(|(name, at)| cut(*name, Some(at * 90_000))).collect()
    }

    fn status(rows: &[TrackShare]) -> Vec<(&str, u32, &str)> {
        rows.iter().map(|row| (row.language.as_str(), row.number, row.status)).collect()
    }

    const MP4: Container = Container::Mp4;

    #[test]
    fn tracks_are_found_again_by_what_is_in_them() {
        let a = file(MP4, &[("eng", seconds(0, &[1, 2, 3])), ("ger", seconds(0, &[4, 5, 6]))]);
        // In another order, one named anew, one that is new, of a language that was there.
        let b = file(
            MP4,
            &[
                ("ger", seconds(0, &[7, 8])),
                ("", seconds(0, &[4, 5, 6])),
                ("eng", seconds(0, &[1])),
            ],
        );
        let rows = told(&a, &b);
        assert_eq!(
            status(&rows),
            [("ger", 1, "added"), ("", 2, "same"), ("eng", 3, "changed"), ("", 1, "changed")]
        );
        let rows = told(&b, &a);
        assert_eq!(
            status(&rows),
            [("eng", 1, "changed"), ("ger", 2, "same"), ("ger", 1, "removed"), ("", 1, "changed")]
        );
        assert_eq!((rows[2].bytes, rows[2].old_bytes), (0, 20));
        // What shares nothing is in the place of what is most like it.
        let dub = file(MP4, &[("fre", seconds(0, &[9])), ("eng", seconds(0, &[1, 2, 3]))]);
        assert_eq!(status(&told(&a, &dub))[..2], [("fre", 1, "replaced"), ("eng", 2, "same")]);
    }

    #[test]
    fn tracks_that_are_alike_to_the_byte_are_told_apart() {
        let twice = [("eng", seconds(0, &[1, 2])), ("eng", seconds(0, &[1, 2]))];
        let rows = told(&file(MP4, &twice), &file(MP4, &twice));
        assert_eq!(status(&rows)[..2], [("eng", 1, "same"), ("eng", 2, "same")]);
    }

    #[test]
    fn times_are_those_of_what_is_new_and_of_what_is_gone() {
        let a = file(MP4, &[("", seconds(0, &[1, 2, 3, 4, 5]))]);
        let mut cuts = seconds(0, &[1, 2, 8, 9]);
        // A unit that goes on for three chunks, new in the second and shared in the third.
        cuts.extend([cut(3, Some(4 * 90_000)), cut(7, None), cut(1, None), cut(4, Some(450_045))]);
        cuts.push(cut(6, Some(6 * 90_000)));
        let rows = told(&a, &file(MP4, &[("", cuts)]));
        let span = |from_ms, to_ms| TimeSpan { from_ms, to_ms };
        assert_eq!(
            rows[0].new_times.as_deref(),
            Some(&[span(2000, Some(5000)), span(6000, None)][..])
        );
        assert_eq!(rows[0].gone_times.as_deref(), Some(&[span(4000, None)][..]));
        let untold = file(MP4, &[("", vec![cut(1, None)])]);
        assert_eq!(told(&a, &untold)[0].new_times, None);
    }

    #[test]
    fn a_transport_stream_begins_when_it_does() {
        let ts = |start, names: &[u8]| {
            file(Container::Ts { packet: 188 }, &[("", seconds(start, names))])
        };
        let rows = told(&ts(5000, &[1, 2, 3]), &ts(90, &[1, 4, 3]));
        let times = Some(vec![TimeSpan { from_ms: 1000, to_ms: Some(2000) }]);
        assert_eq!((rows[0].new_times.clone(), rows[0].gone_times.clone()), (times.clone(), times));
        // Times that go back end no stretch before it begins.
        let back = [seconds(10, &[1, 4]), seconds(3, &[3])].concat();
        let rows = told(&ts(0, &[1, 2, 3]), &file(MP4, &[("", back)]));
        let times = vec![TimeSpan { from_ms: 11_000, to_ms: Some(11_000) }];
        assert_eq!(rows[0].new_times, Some(times));
    }
}
