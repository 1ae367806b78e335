//! Formats of strings: what a string has to look like, and its one spelling.

use ottvc_object::value::canonical_tag;

use crate::number::{rational_of, seconds_of};

/// What a string says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A calendar date, `2024-02-29`.
    Date,
    /// An ISO 8601 duration of days, hours, minutes and seconds, `PT1H30M0.5S`.
    Duration,
    /// A fraction of whole numbers, reduced: `24000/1001`.
    Rational,
    /// `HH:MM:SS:FF`, with `;` before the frames for drop-frame counting.
    Timecode,
    /// A language tag, `fr-FR`.
    Bcp47,
    /// ISO 3166 country or subdivision, or a UN M49 area: `FR`, `GB-SCT`, `419`.
    Territory,
    /// A URI with its scheme.
    Uri,
    /// An EIDR identifier with its check character.
    Eidr,
    /// A UUID.
    Uuid,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 9] = [
        Self::Date,
        Self::Duration,
        Self::Rational,
        Self::Timecode,
        Self::Bcp47,
        Self::Territory,
        Self::Uri,
        Self::Eidr,
        Self::Uuid,
    ];

    /// The word for it in schemas.
    pub fn word(self) -> &'static str {
        match self {
            Self::Date => "date",
            Self::Duration => "duration",
            Self::Rational => "rational",
            Self::Timecode => "timecode",
            Self::Bcp47 => "bcp47",
            Self::Territory => "territory",
            Self::Uri => "uri",
            Self::Eidr => "eidr",
            Self::Uuid => "uuid",
        }
    }

    /// Returns `text` in the format's one spelling, or `None` if it does not have the format.
    pub fn canonical(self, text: &str) -> Option<String> {
        match self {
            Self::Date => is_date(text).then(|| text.to_owned()),
            Self::Duration => seconds_of(text).map(|_| text.to_owned()),
            Self::Rational => rational(text),
            Self::Timecode => is_timecode(text).then(|| text.to_owned()),
            Self::Bcp47 => canonical_tag(text),
            Self::Territory => territory(text),
            Self::Uri => is_uri(text).then(|| text.to_owned()),
            Self::Eidr => eidr(text),
            Self::Uuid => uuid(text),
        }
    }

    /// A regular expression for JSON Schema, for formats it has no name for.
    pub(crate) fn json_pattern(self) -> Option<&'static str> {
        match self {
            Self::Date | Self::Duration | Self::Uri | Self::Uuid => None,
            Self::Rational => Some("^-?[0-9]+/[1-9][0-9]*$"),
            Self::Timecode => Some("^[0-9]{2}:[0-5][0-9]:[0-5][0-9][:;][0-9]{2,3}$"),
            Self::Bcp47 => Some("^[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*$"),
            Self::Territory => Some("^([A-Z]{2}(-[A-Z0-9]{1,3})?|[0-9]{3})$"),
            Self::Eidr => Some("^10\\.5240/([0-9A-F]{4}-){5}[0-9A-Z]$"),
        }
    }
}

fn digits(text: &str, len: usize) -> Option<u32> {
    let plain = text.len() == len && text.bytes().all(|byte| byte.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

fn is_date(text: &str) -> bool {
    let mut parts = text.splitn(3, '-');
    let mut next = |len| parts.next().and_then(|part| digits(part, len));
    let (Some(year), Some(month), Some(day)) = (next(4), next(2), next(2)) else { return false };
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        1..=12 => 31,
        _ => 0,
    };
    (1..=days).contains(&day)
}

fn rational(text: &str) -> Option<String> {
    let (mut a, mut b) = rational_of(text)?;
    let (top, bottom) = (a, b);
    while b != 0 {
        (a, b) = (b, a.checked_rem(b)?);
    }
    let divisor = a.checked_abs().filter(|divisor| *divisor > 0)?;
    Some(format!("{}/{}", top / divisor, bottom / divisor))
}

fn is_timecode(text: &str) -> bool {
    let Some((clock, frames)) = text.rsplit_once([':', ';']) else { return false };
    let parts: Vec<Option<u32>> = clock.split(':').map(|part| digits(part, 2)).collect();
    let sixty = |part: u32| part < 60;
    matches!(parts.as_slice(), [Some(_), Some(m), Some(s)] if sixty(*m) && sixty(*s))
        && (digits(frames, 2).is_some() || digits(frames, 3).is_some())
}

fn territory(text: &str) -> Option<String> {
    let upper = text.to_ascii_uppercase();
    let (country, part) = match upper.split_once('-') {
        Some((country, part)) => (country, Some(part)),
        None => (upper.as_str(), None),
    };
    let letters = country.len() == 2 && country.bytes().all(|byte| byte.is_ascii_uppercase());
    let fits = match part {
        None => letters || digits(country, 3).is_some(),
        Some(part) => {
            letters
                && (1..=3).contains(&part.len())
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        }
    };
    fits.then_some(upper)
}

fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let named = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    let plain = |b: u8| b.is_ascii_graphic() && !b"<>\"\\^`{|}".contains(&b);
    named && !rest.is_empty() && rest.bytes().all(plain)
}

fn eidr(text: &str) -> Option<String> {
    let upper = text.to_ascii_uppercase();
    let groups: Vec<&str> = upper.strip_prefix("10.5240/")?.split('-').collect();
    let (check, groups) = groups.split_last()?;
    let hex = |group: &&str| group.len() == 4 && group.bytes().all(|byte| byte.is_ascii_hexdigit());
    if groups.len() != 5 || !groups.iter().all(hex) || check.len() != 1 {
        return None;
    }
    // ISO 7064, MOD 37,36.
    let mut product = 36;
    for c in groups.concat().chars() {
        let sum = (product + c.to_digit(36)?) % 36;
        product = (if sum == 0 { 36 } else { sum }) * 2 % 37;
    }
    let check = check.chars().next()?.to_digit(36)?;
    ((product + check) % 36 == 1).then_some(upper)
}

fn uuid(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let lens: Vec<usize> = lower.split('-').map(str::len).collect();
    let hex = lower.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
    (hex && lens == [8, 4, 4, 4, 12]).then_some(lower)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_format_knows_its_own() {
        let cases: [(Format, &[(&str, &str)], &[&str]); 9] = [
            (
                Format::Date,
                &[("2024-02-29", "2024-02-29")],
                &["2023-02-29", "2024-13-01", "24-1-1"],
            ),
            (Format::Duration, &[("PT1H30M", "PT1H30M")], &["1h", "P1M", ""]),
            (Format::Rational, &[("48000/2002", "24000/1001"), ("0/5", "0/1")], &["24", "1/0"]),
            (
                Format::Timecode,
                &[("01:02:03:04", "01:02:03:04"), ("01:02:03;04", "01:02:03;04")],
                &["1:2:3:4", "01:60:00:00", "01:02:03"],
            ),
            (Format::Bcp47, &[("FR-fr", "fr-FR")], &["x y", ""]),
            (Format::Territory, &[("gb-sct", "GB-SCT"), ("419", "419")], &["FRA", "F", "41"]),
            (Format::Uri, &[("https://a.b/c?d", "https://a.b/c?d")], &["a.b", "1:x", "a:b c"]),
            (
                Format::Eidr,
                &[("10.5240/ea73-79d7-1b2b-b378-3a73-m", "10.5240/EA73-79D7-1B2B-B378-3A73-M")],
                &["10.5240/EA73-79D7-1B2B-B378-3A73-N", "10.5240/EA73-79D7-1B2B-B378-M", "x"],
            ),
            (
                Format::Uuid,
                &[("123E4567-E89B-12D3-A456-426614174000", "123e4567-e89b-12d3-a456-426614174000")],
                &["123e4567e89b12d3a456426614174000", ""],
            ),
        ];
        for (format, good, bad) in cases {
            for (text, canonical) in good {
                assert_eq!(format.canonical(text).as_deref(), Some(*canonical), "{text}");
                let again = format.canonical(canonical);
                assert_eq!(again.as_deref(), Some(*canonical), "{text} has one spelling");
            }
            for text in bad {
                assert_eq!(format.canonical(text), None, "{} {text}", format.word());
            }
        }
    }
}
