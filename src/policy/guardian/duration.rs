//! Spans of time as Go writes them (`1h30m`, `-1.5h`), with the texts of Go's own errors.

use crate::expr::guardian::quoted_by_time as quoted;
use std::time::Duration;

/// The units, in nanoseconds.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// A span of time that may be negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) negative: bool,
    pub(super) length: Duration,
}

/// Reads what Go's `time.ParseDuration` reads; the error is its text.
pub(super) fn parse(text: &str) -> Result<Span, String> {
    let invalid = || format!("time: invalid duration {}", quoted(text));
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(Span { negative: false, length: Duration::ZERO });
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut nanos: u128 = 0;
    while !rest.is_empty() {
        let (whole, after) = digits(rest);
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => digits(after),
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err(invalid());
        }
        let end = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        if unit.is_empty() {
            return Err(format!("time: missing unit in duration {}", quoted(text)));
        }
        let Some((_, unit)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(format!("time: unknown unit {} in duration {}", quoted(unit), quoted(text)));
        };
        let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| invalid())? };
        nanos = whole
            .checked_mul(u128::from(*unit))
            .and_then(|add| nanos.checked_add(add))
            .ok_or_else(invalid)?;
        nanos += part(fraction, *unit);
        rest = after;
    }
    let limit = u128::from(i64::MAX.unsigned_abs()) + u128::from(negative);
    match u64::try_from(nanos) {
        Ok(exact) if nanos <= limit => {
            Ok(Span { negative: negative && exact > 0, length: Duration::from_nanos(exact) })
        }
        _ => Err(invalid()),
    }
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// The fraction `0.digits` of a unit, in nanoseconds, rounded down.
fn part(digits: &str, unit: u64) -> u128 {
    // More digits than these are below a nanosecond of the largest unit.
    let digits = digits.get(..digits.len().min(18)).unwrap_or_default();
    let Ok(value) = digits.parse::<u128>() else { return 0 };
    let scale = 10u128.pow(u32::try_from(digits.len()).unwrap_or(0));
    value * u128::from(unit) / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, nanos) in [
            ("0", 0),
            ("24h", 86_400_000_000_000),
            ("1h30m", 5_400_000_000_000),
            ("1.5h", 5_400_000_000_000),
            (".5s", 500_000_000),
            ("+3ms", 3_000_000),
            ("0h", 0),
            ("1µs2ns", 1_002),
        ] {
            assert_eq!(
                parse(text),
                Ok(Span { negative: false, length: Duration::from_nanos(nanos) }),
                "{text}"
            );
        }
        assert_eq!(parse("-1h"), Ok(Span { negative: true, length: Duration::from_secs(3600) }));
    }

    #[test]
    fn errors_are_those_of_go() {
        for (text, error) in [
            ("", "time: invalid duration \"\""),
            ("-", "time: invalid duration \"-\""),
            ("5", "time: missing unit in duration \"5\""),
            ("5d", "time: unknown unit \"d\" in duration \"5d\""),
            ("one day", "time: invalid duration \"one day\""),
            ("3000000h", "time: invalid duration \"3000000h\""),
            (".h", "time: invalid duration \".h\""),
        ] {
            assert_eq!(parse(text).unwrap_err(), error);
        }
    }
}
