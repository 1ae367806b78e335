//! How tracks look to people: what they are, what is new in them, and when.

use ottvc_repo::content::{Kept, TimeSpan, TrackShare};

use crate::error::CliError;
use crate::out::Out;
use crate::show::{self, BAD, DIM, GOOD, paint};

/// How many stretches of time of a track people see; JSON has them all.
const SHOWN_TIMES: usize = 4;

/// Writes what tracks have in common, a line for each.
pub(crate) fn print(out: &mut Out, indent: &str, tracks: &[TrackShare]) -> Result<(), CliError> {
    for track in tracks {
        let many = tracks.iter().any(|other| other.role == track.role && other.number > 1);
        let number = Some(track.number).filter(|_| many);
        let name = name(track.role, number, &track.codec, &track.language);
        out.line(format!("{indent}{name}: {}", what(track)))?;
    }
    Ok(())
}

/// How a file is kept, if there is anything to say.
pub(crate) fn kept(kept: &Kept) -> Option<String> {
    match (&kept.tracks, &kept.untracked) {
        (Some(tracks), _) => Some(format!("{} kept by its tracks", tracks.container)),
        (None, Some(why)) => Some(untracked(why)),
        (None, None) => None,
    }
}

/// Why a file is not kept by its tracks.
pub(crate) fn untracked(why: &str) -> String {
    format!("not kept by its tracks: {}", show::plain(why))
}

/// Writes the tracks of a file, a line for each.
pub(crate) fn print_kept(out: &mut Out, indent: &str, kept: &Kept) -> Result<(), CliError> {
    if let Some(words) = self::kept(kept) {
        out.line(paint(DIM, format!("{indent}{words}")))?;
    }
    let streams = kept.tracks.iter().flat_map(|tracks| &tracks.streams);
    let streams: Vec<_> = streams.filter(|stream| stream.bytes > 0).collect();
    for stream in &streams {
        let many = streams.iter().any(|other| other.role == stream.role && other.number > 1);
        let number = Some(stream.number).filter(|_| many);
        let name = name(stream.role, number, &stream.codec, &stream.language);
        out.line(paint(DIM, format!("{indent}{name}: {}", show::size(stream.bytes))))?;
    }
    Ok(())
}

/// `audio 2 (aac, eng)`.
fn name(role: &str, number: Option<u32>, codec: &str, language: &str) -> String {
    let number = number.map(|number| format!(" {number}")).unwrap_or_default();
    let known: Vec<String> =
        [codec, language].iter().filter(|it| !it.is_empty()).map(|it| show::plain(it)).collect();
    match known.is_empty() {
        true => format!("{role}{number}"),
        false => format!("{role}{number} ({})", known.join(", ")),
    }
}

fn what(track: &TrackShare) -> String {
    let new = |bytes| paint(GOOD, format!("{} new", show::size(bytes)));
    match (track.status, track.role) {
        ("same", _) => "same".into(),
        ("removed", _) => paint(BAD, "removed"),
        (_, "container") if track.new_bytes > 0 => new(track.new_bytes),
        (_, "container") => "changed".into(),
        ("added", _) => format!("{}, {}", paint(GOOD, "added"), show::size(track.bytes)),
        ("replaced", _) => paint(GOOD, "replaced"),
        _ => {
            let gone = track.gone_times.as_deref().and_then(times);
            let gone = gone.map(|times| paint(BAD, format!("{times} gone")));
            let came = track.new_times.as_deref().and_then(times);
            let came = came.map(|times| paint(GOOD, format!("{times} new")));
            let came = came.or((track.new_bytes > 0).then(|| new(track.new_bytes)));
            let both: Vec<String> = came.into_iter().chain(gone).collect();
            if both.is_empty() { "changed".into() } else { both.join(", ") }
        }
    }
}

/// `00:12:03-00:12:41, 00:20:00-end and 3 more`; `None` if there are none.
fn times(spans: &[TimeSpan]) -> Option<String> {
    let span = |span: &TimeSpan| {
        let to = span.to_ms.map_or("end".into(), |to| clock(to.div_ceil(1000)));
        format!("{}-{to}", clock(span.from_ms / 1000))
    };
    let shown: Vec<String> = spans.iter().take(SHOWN_TIMES).map(span).collect();
    let more = match spans.len().saturating_sub(SHOWN_TIMES) {
        0 => String::new(),
        more => format!(" and {} more", show::grouped(more as u64)),
    };
    (!spans.is_empty()).then(|| format!("{}{more}", shown.join(", ")))
}

/// Seconds as `00:12:03`.
fn clock(seconds: u64) -> String {
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn track(status: &'static str) -> TrackShare {
        TrackShare {
            role: "video",
            number: 1,
            codec: "h264".into(),
            language: String::new(),
            status,
            bytes: 3000,
            shared_bytes: 1000,
            new_bytes: 2000,
            old_bytes: 0,
            new_times: None,
            gone_times: None,
        }
    }

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn times_cover_what_is_new() {
        let spans = [(722_500, Some(761_000)), (3_600_000, None)];
        let spans: Vec<TimeSpan> =
            spans.into_iter().map(|(from_ms, to_ms)| TimeSpan { from_ms, to_ms }).collect();
        assert_eq!(times(&spans).unwrap(), "00:12:02-00:12:41, 01:00:00-end");
        assert_eq!(times(&spans.repeat(3)).unwrap().split(" and ").last(), Some("2 more"));
        assert_eq!(times(&[]), None);
        let gone_times = Some(spans);
        let changed = TrackShare { gone_times, ..track("changed") };
        assert_eq!(plain(&what(&changed)), "2.0 KiB new, 00:12:02-00:12:41, 01:00:00-end gone");
    }

    #[test]
    fn a_track_is_named_by_what_is_known_of_it() {
        assert_eq!(name("audio", Some(2), "aac", "eng"), "audio 2 (aac, eng)");
        assert_eq!(name("text", None, "", "ger"), "text (ger)");
        assert_eq!(name("data", None, "", ""), "data");
        assert_eq!(plain(&what(&track("added"))), "added, 2.9 KiB");
        let container = TrackShare { role: "container", ..track("replaced") };
        assert_eq!(plain(&what(&container)), "2.0 KiB new");
    }
}
