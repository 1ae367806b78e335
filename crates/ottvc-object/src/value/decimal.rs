//! Numbers that are not whole: exact decimals, and the one reading of number texts.

use std::fmt;

use bincode::de::Decoder;
use bincode::error::DecodeError;
use bincode::{Decode, Encode};

use crate::error::ObjectError;
use crate::value::Value;

/// The most significant digits of a number.
pub const MAX_DIGITS: u32 = 34;
/// The power of ten of a number's first digit is at most this.
pub const MAX_EXPONENT: i32 = 6144;
/// The power of ten of a number's last digit is at least this.
pub const MIN_EXPONENT: i32 = -6176;

const TOO_LONG: &str = "a number has over 34 significant digits";
const TOO_WIDE: &str = "a number is too large or too small: 1e-6176 to 1e6145 is the range";

/// A decimal number: `coefficient` times ten to the `exponent`, exact.
///
/// It has one form: the coefficient does not end in zero, and a number that is whole and fits in
/// `i64` is a [`Value::Int`] instead. Its digits and exponent have the range of IEEE decimal128.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Encode)]
pub struct Decimal {
    coefficient: i128,
    exponent: i32,
}

impl Decimal {
    /// The significant digits, signed; never zero, never a multiple of ten.
    pub fn coefficient(&self) -> i128 {
        self.coefficient
    }
    /// The power of ten of the last digit.
    pub fn exponent(&self) -> i32 {
        self.exponent
    }
    /// How many significant digits it has.
    pub fn digits(&self) -> u32 {
        digits(self.coefficient)
    }
    /// The power of ten of the first digit.
    pub fn magnitude(&self) -> i32 {
        self.exponent.saturating_add_unsigned(self.digits().saturating_sub(1))
    }
}

impl Value {
    /// Returns `coefficient` times ten to the `exponent`: an `Int` where it is whole and fits.
    ///
    /// # Errors
    /// [`ObjectError::BadValue`] past the limits of [`Decimal`].
    pub fn decimal(coefficient: i128, exponent: i32) -> Result<Self, ObjectError> {
        number(coefficient, i64::from(exponent)).map_err(|why| fault("/", why))
    }

    /// Reads a number in JSON's syntax, exactly: an `Int` where it is whole and fits in `i64`.
    ///
    /// `1.0` and `1e2` are the ints 1 and 100; `0.10` and `1e-1` are one decimal.
    ///
    /// # Errors
    /// [`ObjectError::BadValue`] for other syntax or past the limits of [`Decimal`].
    pub fn number(text: &str) -> Result<Self, ObjectError> {
        parse_number(text).map_err(|why| fault("/", why))
    }
}

fn fault(field: &str, why: &str) -> ObjectError {
    ObjectError::BadValue { field: field.to_owned(), why: why.to_owned() }
}

fn digits(coefficient: i128) -> u32 {
    coefficient.unsigned_abs().checked_ilog10().map_or(1, |log| log + 1)
}

fn number(coefficient: i128, exponent: i64) -> Result<Value, &'static str> {
    let (mut coefficient, mut exponent) = (coefficient, exponent);
    if coefficient == 0 {
        return Ok(Value::Int(0));
    }
    while coefficient % 10 == 0 {
        coefficient /= 10;
        exponent = exponent.saturating_add(1);
    }
    let whole = u32::try_from(exponent)
        .ok()
        .and_then(|power| 10_i128.checked_pow(power))
        .and_then(|scale| coefficient.checked_mul(scale))
        .and_then(|whole| i64::try_from(whole).ok());
    if let Some(whole) = whole {
        return Ok(Value::Int(whole));
    }
    if digits(coefficient) > MAX_DIGITS {
        return Err(TOO_LONG);
    }
    let exponent = i32::try_from(exponent).map_err(|_| TOO_WIDE)?;
    let decimal = Decimal { coefficient, exponent };
    if exponent < MIN_EXPONENT || decimal.magnitude() > MAX_EXPONENT {
        return Err(TOO_WIDE);
    }
    Ok(Value::Decimal(decimal))
}

/// A number text taken apart: sign, digits before and after the point, exponent text.
struct Parts<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    exponent: &'a str,
}

/// Takes a text apart by JSON's number grammar.
fn split(text: &str) -> Option<Parts<'_>> {
    let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => {
            let unsigned = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            if !all_digits(unsigned) {
                return None;
            }
            (mantissa, exponent)
        }
        None => (rest, "0"),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((_, "")) => return None,
        Some((whole, fraction)) => (whole, fraction),
        None => (mantissa, ""),
    };
    let leading_zero = whole.len() > 1 && whole.starts_with('0');
    if !all_digits(whole) || leading_zero || !(fraction.is_empty() || all_digits(fraction)) {
        return None;
    }
    Some(Parts { negative, whole, fraction, exponent })
}

/// Whether `text` is written as a number, in range or not.
pub(crate) fn is_number(text: &str) -> bool {
    split(text).is_some()
}

/// Reads a number text; the error is the rule it breaks.
pub(crate) fn parse_number(text: &str) -> Result<Value, &'static str> {
    let parts = split(text).ok_or("not a number")?;
    let joined = [parts.whole, parts.fraction].concat();
    let significant = joined.trim_start_matches('0').trim_end_matches('0');
    if significant.is_empty() {
        return Ok(Value::Int(0));
    }
    if significant.len() > MAX_DIGITS as usize {
        return Err(TOO_LONG);
    }
    let stripped = joined.len() - joined.trim_end_matches('0').len();
    let shift = |count: usize| i64::try_from(count).map_err(|_| TOO_WIDE);
    let exponent = parts
        .exponent
        .parse::<i64>()
        .ok()
        .and_then(|exponent| exponent.checked_add(shift(stripped).ok()?))
        .and_then(|exponent| exponent.checked_sub(shift(parts.fraction.len()).ok()?))
        .ok_or(TOO_WIDE)?;
    let coefficient: i128 = significant.parse().map_err(|_| TOO_LONG)?;
    number(if parts.negative { -coefficient } else { coefficient }, exponent)
}

impl fmt::Display for Decimal {
    /// Writes digits with a point where that is short, else `1.25e-40`; reads back the same.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.coefficient.unsigned_abs().to_string();
        let magnitude = self.magnitude();
        if self.coefficient < 0 {
            out.write_str("-")?;
        }
        let (exponent, most) = (self.exponent, MAX_DIGITS.cast_signed());
        if (0..most).contains(&exponent) && magnitude < most {
            let zeros = usize::try_from(exponent).unwrap_or_default();
            return write!(out, "{digits}{}", "0".repeat(zeros));
        }
        if exponent < 0 && (-7..most).contains(&magnitude) {
            return match usize::try_from(magnitude)
                .ok()
                .and_then(|n| digits.split_at_checked(n + 1))
            {
                Some((whole, fraction)) => write!(out, "{whole}.{fraction}"),
                None => {
                    let zeros = usize::try_from(-1 - magnitude).unwrap_or_default();
                    write!(out, "0.{}{digits}", "0".repeat(zeros))
                }
            };
        }
        match digits.split_at_checked(1) {
            Some((first, rest)) if !rest.is_empty() => write!(out, "{first}.{rest}e{magnitude}"),
            _ => write!(out, "{digits}e{magnitude}"),
        }
    }
}

impl fmt::Debug for Decimal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Decimal({self})")
    }
}

impl<C> Decode<C> for Decimal {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let decimal =
            Self { coefficient: Decode::decode(decoder)?, exponent: Decode::decode(decoder)? };
        match number(decimal.coefficient, i64::from(decimal.exponent)) {
            Ok(Value::Decimal(canonical)) if canonical == decimal => Ok(decimal),
            _ => Err(DecodeError::Other("a decimal not in its one form")),
        }
    }
}
