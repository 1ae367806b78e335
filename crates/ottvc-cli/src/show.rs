//! How sizes, times, ids and values look to people.

use std::sync::OnceLock;

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value as Json;

/// Colour of names and headings.
pub(crate) const TITLE: Style = Style::new().bold();
/// Colour of ids.
pub(crate) const ID: Style = AnsiColor::Yellow.on_default();
/// Colour of branches and tags.
pub(crate) const NAME: Style = AnsiColor::Cyan.on_default().bold();
/// Colour of what is new or well.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// Colour of what is gone or wrong.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// Colour of what changed and is not safe yet.
pub(crate) const CHANGED: Style = AnsiColor::Red.on_default();
/// Colour of what wants a decision.
pub(crate) const WARN: Style = AnsiColor::Yellow.on_default().bold();
/// Colour of what is said in passing.
pub(crate) const DIM: Style = Style::new().dimmed();

/// How many digits of an id people see.
const SHORT_ID: usize = 12;
/// How much of a value is shown.
const SHOWN_VALUE: usize = 300;

/// Puts `text` in a style; the output strips it where no terminal wants it.
pub(crate) fn paint(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// The first digits of an id.
pub(crate) fn short(id: &str) -> &str {
    id.get(..SHORT_ID).unwrap_or(id)
}

/// A size, as `1.4 GiB`.
#[expect(clippy::cast_precision_loss, reason = "one digit after the point is shown")]
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut units = UNITS.iter().peekable();
    while let Some(unit) = units.next() {
        // 1023.96 would print as 1024.0 of the smaller unit.
        if value < 1023.95 || units.peek().is_none() {
            return format!("{value:.1} {unit}");
        }
        value /= 1024.0;
    }
    format!("{bytes} B")
}

/// How much of `whole` a part is: `97%`, never rounded to all or nothing.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 || part >= whole {
        return "100%".into();
    }
    let tenths = u128::from(part) * 1000 / u128::from(whole);
    match tenths {
        0 if part > 0 => "<0.1%".into(),
        0 => "0%".into(),
        tenths if !(100..990).contains(&tenths) => format!("{}.{}%", tenths / 10, tenths % 10),
        tenths => format!("{}%", tenths / 10),
    }
}

/// A count and its noun: `1 file`, `2 files`.
pub(crate) fn count(number: u64, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{} {many}", grouped(number)) }
}

/// A number with its digits in threes: `100,000`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The instant of some milliseconds since 1970, the nearest there is.
fn timestamp(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(if ms < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

/// A time for programs: RFC 3339 in UTC, to the millisecond.
pub(crate) fn rfc3339(ms: i64) -> String {
    format!("{:.3}", timestamp(ms))
}

/// The rules of local time. Naming the zone as well would take a look through the whole database of
/// zones, longer than all else that `log` does.
fn local_zone() -> TimeZone {
    static ZONE: OnceLock<TimeZone> = OnceLock::new();
    let local = || {
        let here = std::env::var_os("TZ").is_none();
        let rules = here.then(|| std::fs::read("/etc/localtime").ok()).flatten();
        rules.and_then(|rules| TimeZone::tzif("local", &rules).ok())
    };
    ZONE.get_or_init(|| local().unwrap_or_else(TimeZone::system)).clone()
}

/// A time for people, where they are: `2026-03-01 14:05`.
pub(crate) fn local(ms: i64) -> String {
    timestamp(ms).to_zoned(local_zone()).strftime("%Y-%m-%d %H:%M").to_string()
}

/// A time for people, with its distance from UTC: `2026-03-01 14:05:09 +01:00`.
pub(crate) fn local_exact(ms: i64) -> String {
    timestamp(ms).to_zoned(local_zone()).strftime("%Y-%m-%d %H:%M:%S %:z").to_string()
}

/// How long ago something was: `3 minutes ago`; a date if that was over a month ago.
pub(crate) fn ago(ms: i64, now: i64) -> String {
    let seconds = now.saturating_sub(ms) / 1000;
    let units = [(86_400, "day"), (3_600, "hour"), (60, "minute")];
    if !(0..30 * 86_400).contains(&seconds) {
        return local(ms);
    }
    for (length, unit) in units {
        let whole = seconds / length;
        if whole > 0 {
            return format!("{whole} {unit}{} ago", if whole == 1 { "" } else { "s" });
        }
    }
    "just now".into()
}

/// A value on one line, cut if it is very long.
pub(crate) fn value(value: &Json) -> String {
    let text = match value {
        Json::Object(object) => conflict_word(object).unwrap_or_else(|| value.to_string()),
        other => other.to_string(),
    };
    if text.chars().count() <= SHOWN_VALUE {
        return text;
    }
    let start: String = text.chars().take(SHOWN_VALUE).collect();
    format!("{start}… ({} characters)", grouped(text.chars().count() as u64))
}

/// A conflict in place of a value is no reading matter.
fn conflict_word(object: &serde_json::Map<String, Json>) -> Option<String> {
    object.get("$conflict")?;
    Some("(conflict)".into())
}

/// Text that somebody else wrote, without what would steer a terminal.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// The first line of such a text.
pub(crate) fn first_line(text: &str) -> String {
    plain(text.lines().next().unwrap_or_default())
}

/// The first of these paths, and how many more there are.
pub(crate) fn some_of(paths: &[String]) -> String {
    match paths {
        [a, b, c, rest @ ..] if !rest.is_empty() => {
            format!("{a}, {b}, {c} and {} more", rest.len())
        }
        paths => paths.join(", "),
    }
}

/// Pads on the right to `width` characters.
pub(crate) fn pad(text: &str, width: usize) -> String {
    format!("{text:<width$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1024), "1.0 KiB");
        assert_eq!(size(1_048_570), "1.0 MiB");
        assert_eq!(size(1_503_238_553), "1.4 GiB");
        assert_eq!(size(u64::MAX), "16.0 EiB");
    }

    #[test]
    fn a_share_is_never_rounded_to_all_or_nothing() {
        assert_eq!(percent(999_999, 1_000_000), "99.9%");
        assert_eq!(percent(1, 1_000_000), "<0.1%");
        assert_eq!(percent(0, 10), "0%");
        assert_eq!(percent(10, 10), "100%");
        assert_eq!(percent(1, 2), "50%");
        assert_eq!(percent(1, 40), "2.5%");
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(100_000), "100,000");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(count(1, "file", "files"), "1 file");
        assert_eq!(count(0, "file", "files"), "0 files");
    }

    #[test]
    fn times_tell_how_long_ago() {
        let now = 1_700_000_000_000;
        assert_eq!(ago(now, now), "just now");
        assert_eq!(ago(now - 61_000, now), "1 minute ago");
        assert_eq!(ago(now - 7_200_000, now), "2 hours ago");
        assert_eq!(ago(now - 86_400_000 * 3, now), "3 days ago");
        assert_eq!(rfc3339(now), "2023-11-14T22:13:20.000Z");
        assert_eq!(rfc3339(i64::MIN), rfc3339(i64::MIN));
    }

    #[test]
    fn values_stay_on_one_line() {
        let long = Json::from("x".repeat(1000));
        assert!(value(&long).ends_with("… (1,002 characters)"));
        assert_eq!(value(&serde_json::json!({ "$conflict": {} })), "(conflict)");
        assert_eq!(value(&serde_json::json!("a\nb")), "\"a\\nb\"");
    }
}
