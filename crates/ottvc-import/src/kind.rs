//! Kinds of values: how the words of a format become a value, and one spelling of it.

use ottvc_object::value::{Timestamp, Value, canonical_tag};
use serde::Deserialize;

/// What a text is read as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// A short text.
    #[default]
    String,
    /// Prose.
    Text,
    /// A whole number.
    Int,
    /// A number.
    Decimal,
    /// `true`, `yes`, `1`; `false`, `no`, `0`.
    Bool,
    /// A calendar day; the time of day of a date and time is left out only if it is midnight.
    Date,
    /// The year of a date.
    Year,
    /// An instant.
    Timestamp,
    /// A duration, in ISO 8601 or as `HH:MM:SS`.
    Duration,
    /// A duration that is written as `HH:MM:SS`.
    Clock,
    /// A fraction: `24000/1001`, `24000 1001`, `25`.
    Rational,
    /// A country or area; upper case.
    Territory,
    /// A language tag.
    Language,
    /// A name that tells people apart: small letters, single spaces.
    Key,
    /// A UUID, as it is or as `urn:uuid:`.
    Uuid,
    /// An EIDR id, as it is, as a URN or as a DOI.
    Eidr,
}

impl Kind {
    /// Whether a localized map can hold it.
    pub(crate) fn is_prose(self) -> bool {
        matches!(self, Self::String | Self::Text)
    }

    /// Reads a text that is not empty.
    pub(crate) fn read(self, text: &str) -> Result<Value, String> {
        let no = |what: &str| Err(format!("`{}` is no {what}", shorten(text)));
        let string = |text: Option<String>, what: &str| match text {
            Some(text) => Ok(Value::String(text)),
            None => no(what),
        };
        match self {
            Self::String => Ok(Value::String(text.to_owned())),
            Self::Text => Ok(Value::Text(text.to_owned())),
            Self::Int => match Value::number(text) {
                Ok(Value::Int(number)) => Ok(Value::Int(number)),
                _ => no("whole number"),
            },
            Self::Decimal => Value::number(text).or_else(|_| no("number")),
            Self::Bool => match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "1" => Ok(Value::Bool(true)),
                "false" | "no" | "0" => Ok(Value::Bool(false)),
                _ => no("yes or no"),
            },
            Self::Date => string(date(text), "calendar date"),
            Self::Year => match text.get(..4).map(|year| (year, text.get(4..))) {
                Some((year, Some(rest)))
                    if year.bytes().all(|byte| byte.is_ascii_digit())
                        && (rest.is_empty() || rest.starts_with('-')) =>
                {
                    Ok(Value::Int(year.parse().unwrap_or_default()))
                }
                _ => no("year"),
            },
            Self::Timestamp => match text.parse::<Timestamp>() {
                Ok(stamp) => Ok(Value::Timestamp(stamp)),
                Err(_) => no("instant"),
            },
            Self::Duration | Self::Clock => string(duration(text), "duration"),
            Self::Rational => string(rational(text), "fraction"),
            Self::Territory => string(territory(text), "country or area"),
            Self::Language => string(canonical_tag(text), "language tag"),
            Self::Key => {
                let words: Vec<&str> = text.split_whitespace().collect();
                Ok(Value::String(words.join(" ").to_lowercase()))
            }
            Self::Eidr => string(eidr(text), "EIDR id"),
            Self::Uuid => {
                let lower = text.to_ascii_lowercase();
                Ok(Value::String(lower.strip_prefix("urn:uuid:").unwrap_or(&lower).to_owned()))
            }
        }
    }

    /// Writes a value, if it is one that this kind reads back.
    pub(crate) fn write(self, value: &Value) -> Option<String> {
        let text = match value {
            Value::String(text) | Value::Text(text) => text.clone(),
            Value::Int(number) => number.to_string(),
            Value::Decimal(number) => number.to_string(),
            Value::Bool(flag) => flag.to_string(),
            Value::Timestamp(stamp) => stamp.to_string(),
            _ => return None,
        };
        let plain = text.clone();
        let text = match self {
            Self::Uuid => format!("urn:uuid:{text}"),
            Self::Clock => clock(&text).unwrap_or(text),
            _ => text,
        };
        let text = match self {
            Self::Clock if self.read(&text).ok().as_ref() != Some(value) => plain,
            _ => text,
        };
        let read = (!text.is_empty()).then(|| self.read(&text).ok()).flatten();
        // Space at the ends is lost on the way back.
        (read.as_ref() == Some(value) && text.trim() == text).then_some(text)
    }
}

/// The beginning of a text, for messages.
pub(crate) fn shorten(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((at, _)) => format!("{}...", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// The day of a date, or of a date and time at midnight, which is how many write a day.
fn date(text: &str) -> Option<String> {
    let (day, time) = match text.split_once('T') {
        Some((day, time)) => (day, Some(time)),
        None => (text, None),
    };
    let parts: Vec<&str> = day.split('-').collect();
    let digits = |text: &&str, len| text.len() == len && text.bytes().all(|b| b.is_ascii_digit());
    let is_day = matches!(parts.as_slice(), [y, m, d]
        if digits(y, 4) && digits(m, 2) && digits(d, 2));
    let midnight = |time: &str| {
        let clock = time.trim_end_matches('Z');
        clock
            .strip_prefix("00:00:00")
            .is_some_and(|rest| rest.trim_start_matches('.').bytes().all(|byte| byte == b'0'))
    };
    (is_day && time.is_none_or(midnight)).then(|| day.to_owned())
}

/// A duration in ISO 8601, from that or from hours, minutes and seconds.
fn duration(text: &str) -> Option<String> {
    if text.starts_with('P') {
        return Some(text.to_owned());
    }
    let parts: Vec<&str> = text.split(':').collect();
    let [hours, minutes, seconds] = parts.as_slice() else { return None };
    let whole = |text: &str| {
        (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()))
            .then(|| text.parse::<u64>().ok())
            .flatten()
    };
    let (hours, minutes) = (whole(hours)?, whole(minutes)?);
    let (second, part) = seconds.split_once('.').unwrap_or((seconds, ""));
    let second = whole(second)?;
    if minutes > 59 || second > 59 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part = part.trim_end_matches('0');
    let mut written = "PT".to_owned();
    for (number, unit) in [(hours, 'H'), (minutes, 'M')] {
        if number > 0 {
            written.push_str(&format!("{number}{unit}"));
        }
    }
    match (second, part) {
        (0, "") if written != "PT" => {}
        (second, "") => written.push_str(&format!("{second}S")),
        (second, part) => written.push_str(&format!("{second}.{part}S")),
    }
    Some(written)
}

/// Hours, minutes and seconds of a duration in ISO 8601 that has nothing else.
fn clock(text: &str) -> Option<String> {
    let mut rest = text.strip_prefix("PT")?;
    let mut take = |unit: char| match rest.split_once(unit) {
        Some((number, after)) => {
            rest = after;
            number.to_owned()
        }
        None => "0".to_owned(),
    };
    let (hours, minutes, seconds) = (take('H'), take('M'), take('S'));
    let (second, part) = seconds.split_once('.').unwrap_or((&seconds, ""));
    let dot = if part.is_empty() { "" } else { "." };
    rest.is_empty().then(|| format!("{hours:0>2}:{minutes:0>2}:{second:0>2}{dot}{part}"))
}

/// A country or its part by ISO 3166, or an area by UN M49.
fn territory(text: &str) -> Option<String> {
    let upper = text.to_ascii_uppercase();
    let (country, part) = upper.split_once('-').unwrap_or((&upper, "A"));
    let letters = country.len() == 2 && country.bytes().all(|byte| byte.is_ascii_uppercase());
    let area = upper.len() == 3 && upper.bytes().all(|byte| byte.is_ascii_digit());
    let named = (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric());
    (area || (letters && named)).then_some(upper)
}

/// An EIDR id in its canonical form; its check character is for schemas to judge.
fn eidr(text: &str) -> Option<String> {
    let upper = text.to_ascii_uppercase();
    let heads = ["URN:EIDR:", "EIDR:", "DOI:", "HTTPS://DOI.ORG/", "HTTP://DOI.ORG/"];
    let id = heads.iter().find_map(|head| upper.strip_prefix(head)).unwrap_or(&upper);
    let id = id.replacen("10.5240:", "10.5240/", 1);
    let lens: Vec<usize> = id.strip_prefix("10.5240/")?.split('-').map(str::len).collect();
    let plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"./-".contains(&byte));
    (plain && lens == [4, 4, 4, 4, 4, 1]).then_some(id)
}

/// A fraction of whole numbers, reduced.
pub(crate) fn rational(text: &str) -> Option<String> {
    let (top, bottom) = text.split_once(['/', ' ']).unwrap_or((text, "1"));
    let whole = |text: &str| text.trim().parse::<u64>().ok();
    let (top, bottom) = (whole(top)?, whole(bottom)?);
    let divisor = gcd(top, bottom);
    (bottom > 0).then(|| format!("{}/{}", top / divisor.max(1), bottom / divisor.max(1)))
}

pub(crate) fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_one_spelling_or_none() {
        let read = |kind: Kind, text: &str| kind.read(text).ok();
        let string = |text: &str| Some(Value::from(text));
        assert_eq!(read(Kind::Date, "2015-05-23T00:00:00Z"), string("2015-05-23"));
        assert_eq!(read(Kind::Date, "2015-05-23T21:00:00"), None, "a time of day is not dropped");
        assert_eq!(read(Kind::Year, "1999-12-31"), Some(Value::Int(1999)));
        assert_eq!(read(Kind::Year, "19991231"), None);
        assert_eq!(read(Kind::Duration, "01:30:00"), string("PT1H30M"));
        assert_eq!(read(Kind::Duration, "00:00:01.500"), string("PT1.5S"));
        assert_eq!(read(Kind::Duration, "00:00:00"), string("PT0S"));
        assert_eq!(read(Kind::Duration, "90 min"), None);
        let clock = |text: &str| Kind::Clock.write(&Value::from(text)).unwrap();
        assert_eq!(clock("PT1H28M52S"), "01:28:52");
        assert_eq!(clock("PT0.042S"), "00:00:00.042");
        assert_eq!(clock("PT90M"), "PT90M", "what would come back as another is left as it is");
        assert_eq!(clock("P1D"), "P1D");
        assert_eq!(read(Kind::Rational, "48000 2002"), string("24000/1001"));
        assert_eq!(read(Kind::Rational, "25"), string("25/1"));
        assert_eq!(read(Kind::Rational, "1/0"), None);
        assert_eq!(read(Kind::Key, "  Ada  LOVELACE "), string("ada lovelace"));
        let eidr = string("10.5240/1C32-9E3E-2EA6-A115-FC43-U");
        assert_eq!(read(Kind::Eidr, "urn:eidr:10.5240/1c32-9e3e-2ea6-a115-fc43-u"), eidr);
        assert_eq!(read(Kind::Eidr, "urn:eidr:10.5240:1C32-9E3E-2EA6-A115-FC43-U"), eidr);
        assert_eq!(read(Kind::Eidr, "https://doi.org/10.5240/1C32-9E3E-2EA6-A115-FC43-U"), eidr);
        assert_eq!(read(Kind::Eidr, "1C32-9E3E-2EA6-A115-FC43-U"), None);
        assert_eq!(read(Kind::Language, "FR-fr"), string("fr-FR"));
        assert_eq!(read(Kind::Int, "1.5"), None);
    }
}
