//! Instants: UTC, to the nanosecond, in one spelling.

use std::fmt;
use std::str::FromStr;

use bincode::de::Decoder;
use bincode::error::DecodeError;
use bincode::{Decode, Encode};

use crate::error::ObjectError;

/// A UTC instant, from year -9999 to 9999.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode)]
pub struct Timestamp {
    seconds: i64,
    nanos: u32,
}

impl Timestamp {
    /// Takes whole seconds since 1970, rounded down, and the nanoseconds after them.
    ///
    /// # Errors
    /// [`ObjectError::BadValue`] for a second's worth of nanoseconds, or years out of range.
    pub fn new(seconds: i64, nanos: u32) -> Result<Self, ObjectError> {
        let stamp = Self { seconds, nanos };
        if nanos < 1_000_000_000 && stamp.to_jiff().is_some() {
            Ok(stamp)
        } else {
            Err(bad(&format!("{seconds}s {nanos}ns"), "out of range".to_owned()))
        }
    }
    /// Whole seconds since 1970, rounded down.
    pub fn seconds(&self) -> i64 {
        self.seconds
    }
    /// Nanoseconds after [`Self::seconds`].
    pub fn subsec_nanos(&self) -> u32 {
        self.nanos
    }

    fn to_jiff(self) -> Option<jiff::Timestamp> {
        let whole = i128::from(self.seconds) * 1_000_000_000;
        jiff::Timestamp::from_nanosecond(whole + i128::from(self.nanos)).ok()
    }
}

fn bad(text: &str, why: String) -> ObjectError {
    ObjectError::BadValue { field: "/".into(), why: format!("`{text}` is no timestamp: {why}") }
}

impl FromStr for Timestamp {
    type Err = ObjectError;
    /// Reads RFC 3339 with any offset; a leap second becomes the second before it.
    fn from_str(text: &str) -> Result<Self, ObjectError> {
        let stamp: jiff::Timestamp =
            text.parse().map_err(|error: jiff::Error| bad(text, error.to_string()))?;
        let nanos = stamp.as_nanosecond();
        let out_of_range = |_| bad(text, "out of range".to_owned());
        Ok(Self {
            seconds: i64::try_from(nanos.div_euclid(1_000_000_000)).map_err(out_of_range)?,
            nanos: u32::try_from(nanos.rem_euclid(1_000_000_000)).map_err(out_of_range)?,
        })
    }
}

impl fmt::Display for Timestamp {
    /// Writes RFC 3339 in UTC with as few digits of a second as it needs.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_jiff() {
            Some(stamp) => write!(out, "{stamp}"),
            None => Err(fmt::Error),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Timestamp({self})")
    }
}

impl<C> Decode<C> for Timestamp {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        Self::new(Decode::decode(decoder)?, Decode::decode(decoder)?)
            .map_err(|_| DecodeError::Other("a timestamp out of range"))
    }
}
