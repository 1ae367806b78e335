//! Comparing and adding values exactly: numbers without floating point, instants, and strings.

use std::cmp::Ordering;

use ottvc_object::value::{Key, Value};

/// The largest number, scaled to the last digit of a sum, that takes part in it: 127 of these fit in
/// an `i128`, so that no order of adding passes its range where another does not.
const MAX_SCALED: u128 = 10_u128.pow(36);

/// The sorts of values that have an order, each total by itself: numbers, instants, and strings by
/// what they say. Values of two sorts do not compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sort {
    Number,
    Instant,
    Rational,
    Duration,
    String,
}

/// Returns the sort of a value, `None` for what has no order.
pub(crate) fn sort_of(value: &Value) -> Option<Sort> {
    match value {
        Value::Int(_) | Value::Decimal(_) => Some(Sort::Number),
        Value::Timestamp(_) => Some(Sort::Instant),
        Value::String(text) if seconds_of(text).is_some() => Some(Sort::Duration),
        Value::String(text) if rational_of(text).is_some() => Some(Sort::Rational),
        Value::String(_) => Some(Sort::String),
        _ => None,
    }
}

/// Returns how two values compare, or `None` if they are not of one sort.
///
/// Numbers compare by value, instants by time, durations and rationals by what they say, other strings
/// by bytes.
pub(crate) fn compare(a: &Value, b: &Value) -> Option<Ordering> {
    let sort = sort_of(a).filter(|sort| sort_of(b) == Some(*sort))?;
    match (sort, a, b) {
        (Sort::Number, a, b) => Some(compare_numbers(parts_of(a)?, parts_of(b)?)),
        (_, Value::Timestamp(a), Value::Timestamp(b)) => Some(a.cmp(b)),
        (Sort::Duration, Value::String(a), Value::String(b)) => {
            Some(compare_numbers(seconds_of(a)?, seconds_of(b)?))
        }
        (Sort::Rational, Value::String(a), Value::String(b)) => {
            let ((an, ad), (bn, bd)) = (rational_of(a)?, rational_of(b)?);
            let product = |n: i64, d: i64| i128::from(n) * i128::from(d);
            Some(product(an, bd).cmp(&product(bn, ad)))
        }
        (_, Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

/// A number as coefficient and power of ten.
type Parts = (i128, i32);

fn parts_of(value: &Value) -> Option<Parts> {
    match value {
        Value::Int(number) => Some((i128::from(*number), 0)),
        Value::Decimal(number) => Some((number.coefficient(), number.exponent())),
        _ => None,
    }
}

fn compare_numbers(a: Parts, b: Parts) -> Ordering {
    let sign = a.0.signum().cmp(&b.0.signum());
    if sign.is_ne() || a.0 == 0 {
        return sign;
    }
    let (digits_a, digits_b) = (a.0.unsigned_abs().to_string(), b.0.unsigned_abs().to_string());
    let magnitude = |digits: &str, exponent: i32| {
        i64::try_from(digits.len()).unwrap_or(i64::MAX).saturating_add(i64::from(exponent))
    };
    let size = magnitude(&digits_a, a.1).cmp(&magnitude(&digits_b, b.1)).then_with(|| {
        // Of one magnitude: digit by digit, the shorter one filled with zeros.
        let wide = digits_a.len().max(digits_b.len());
        format!("{digits_a:0<wide$}").cmp(&format!("{digits_b:0<wide$}"))
    });
    if a.0 < 0 { size.reverse() } else { size }
}

/// The order in which people look for values: strings by their characters, numbers by size, kinds apart.
pub(crate) fn reading_order(a: &Value, b: &Value) -> Ordering {
    let kind = |value: &Value| match value {
        Value::Decimal(_) => Value::Int(0).kind_number(),
        other => other.kind_number(),
    };
    match (a, b) {
        (Value::String(a), Value::String(b)) | (Value::Text(a), Value::Text(b)) => a.cmp(b),
        _ if kind(a) != kind(b) => kind(a).cmp(&kind(b)),
        _ => compare(a, b).filter(|order| order.is_ne()).unwrap_or_else(|| a.cmp(b)),
    }
}

/// [`reading_order`] of the keys of items, part by part.
pub(crate) fn reading_order_of_keys(a: &Key, b: &Key) -> Ordering {
    let parts = a.parts().iter().zip(b.parts());
    let first = parts.map(|(a, b)| reading_order(a, b)).find(|order| order.is_ne());
    first.unwrap_or_else(|| a.cmp(b))
}

/// Reads a fraction of whole numbers with a positive denominator, not reduced.
pub(crate) fn rational_of(text: &str) -> Option<(i64, i64)> {
    let (top, bottom) = text.split_once('/')?;
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !plain(top.strip_prefix('-').unwrap_or(top)) || !plain(bottom) {
        return None;
    }
    let (top, bottom): (i64, i64) = (top.parse().ok()?, bottom.parse().ok()?);
    (bottom > 0).then_some((top, bottom))
}

/// Reads an ISO 8601 duration of days, hours, minutes and seconds as exact seconds.
pub(crate) fn seconds_of(text: &str) -> Option<Parts> {
    let (day, time) = match text.strip_prefix('P')?.split_once('T') {
        Some((_, "")) => return None,
        Some((day, time)) => (day, time),
        None => (text.strip_prefix('P')?, ""),
    };
    if day.is_empty() && time.is_empty() {
        return None;
    }
    let mut rest = day;
    let days = take(&mut rest, 'D')?;
    if !rest.is_empty() {
        return None;
    }
    rest = time;
    let (hours, minutes) = (take(&mut rest, 'H')?, take(&mut rest, 'M')?);
    let whole = days.checked_mul(24)?.checked_add(hours)?.checked_mul(60)?.checked_add(minutes)?;
    let whole = whole.checked_mul(60)?;
    if rest.is_empty() {
        return Some((whole, 0));
    }
    let number = rest.strip_suffix('S')?;
    let (before, after) = number.split_once('.').unwrap_or((number, "0"));
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !plain(before) || !plain(after) || after.len() > 9 {
        return None;
    }
    let places = u32::try_from(after.len()).ok()?;
    let scaled = whole.checked_add(before.parse().ok()?)?.checked_mul(10_i128.pow(places))?;
    let scaled = scaled.checked_add(after.parse().ok()?)?;
    Some((scaled, -i32::try_from(places).ok()?))
}

/// Takes a whole number and its `unit` off the front of `rest`; 0 if that unit is not next.
fn take(rest: &mut &str, unit: char) -> Option<i128> {
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, after) = rest.split_at_checked(digits)?;
    match after.strip_prefix(unit) {
        // Eighteen digits keep every product here far within range.
        Some(after) if (1..=18).contains(&digits) => {
            *rest = after;
            number.parse().ok()
        }
        Some(_) => None,
        None => Some(0),
    }
}

/// Returns the sum of `adds` minus that of `removes`, whatever their order; `None` if one is no number
/// or the sum is past the range of numbers.
pub(crate) fn balance<'a>(
    adds: impl Iterator<Item = &'a Value>,
    removes: impl Iterator<Item = &'a Value>,
) -> Option<Value> {
    let adds: Vec<Parts> = adds.map(parts_of).collect::<Option<_>>()?;
    let removes: Vec<Parts> = removes.map(parts_of).collect::<Option<_>>()?;
    let last = adds.iter().chain(&removes).map(|(_, exponent)| *exponent).min()?;
    let scale = |(coefficient, exponent): &Parts| {
        let power = u32::try_from(exponent.checked_sub(last)?).ok()?;
        let scaled = if *coefficient == 0 {
            0
        } else {
            coefficient.checked_mul(10_i128.checked_pow(power)?)?
        };
        (scaled.unsigned_abs() <= MAX_SCALED).then_some(scaled)
    };
    let mut sum: i128 = 0;
    for part in &adds {
        sum = sum.checked_add(scale(part)?)?;
    }
    for part in &removes {
        sum = sum.checked_sub(scale(part)?)?;
    }
    Value::decimal(sum, last).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Value {
        Value::number(text).unwrap()
    }

    #[test]
    fn numbers_compare_exactly() {
        let sorted = ["-1e20", "-2", "-0.5", "0", "1e-9", "0.5", "0.51", "2", "10", "1e300"];
        for (at, a) in sorted.iter().enumerate() {
            for (other, b) in sorted.iter().enumerate() {
                assert_eq!(compare(&number(a), &number(b)), Some(at.cmp(&other)), "{a} {b}");
            }
        }
        assert_eq!(compare(&number("1"), &"1".into()), None);
        assert_eq!(compare(&Value::Null, &Value::Null), None);
    }

    #[test]
    fn durations_and_rationals_compare_by_what_they_say() {
        let order = |a: &str, b: &str| compare(&a.into(), &b.into()).unwrap();
        assert_eq!(order("PT100M", "PT2H"), Ordering::Less);
        assert_eq!(order("PT90.5S", "PT1M30.50S"), Ordering::Equal);
        assert_eq!(order("P1D", "PT23H59M"), Ordering::Greater);
        assert_eq!(order("24000/1001", "24/1"), Ordering::Less);
        assert_eq!(order("2024-02-01", "2024-10-01"), Ordering::Less);
        assert_eq!(compare(&"PT1S".into(), &"1/2".into()), None);
        for text in ["P", "PT", "P1Y", "PT5", "PT1S2M", "PT.5S", "1/0", "a/b", "1/"] {
            assert!(seconds_of(text).is_none() && rational_of(text).is_none(), "{text}");
        }
    }

    #[test]
    fn sums_are_exact_and_bounded() {
        let sum = |adds: &[&str], removes: &[&str]| {
            let values = |all: &[&str]| all.iter().map(|text| number(text)).collect::<Vec<_>>();
            balance(values(adds).iter(), values(removes).iter())
        };
        assert_eq!(sum(&["12", "12"], &["10"]), Some(number("14")));
        assert_eq!(sum(&["0.1", "0.2"], &[]), Some(number("0.3")));
        assert_eq!(sum(&["1e300", "1"], &[]), None);
        assert_eq!(sum(&["9223372036854775807", "1"], &[]), Some(number("9223372036854775808")));
        assert_eq!(balance([&"x".into()].into_iter(), [].into_iter()), None);
    }
}
