//! Timestamps and durations as text, both ways, without a calendar crate: days are counted by the civil calendar
//! algorithms of Howard Hinnant (`days_from_civil`), exact over the whole range.

use super::super::read::{Fields, Flaw, Malformed, Raw};
use super::number;

const SECONDS_PER_DAY: i64 = 86_400;
const NANOS_PER_SECOND: i64 = 1_000_000_000;
/// 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z, the range of `google.protobuf.Timestamp`.
const TIMESTAMP_MIN_SECONDS: i64 = -62_135_596_800;
const TIMESTAMP_MAX_SECONDS: i64 = 253_402_300_799;
/// 10 000 years, the range of `google.protobuf.Duration`.
const DURATION_MAX_SECONDS: i64 = 315_576_000_000;

/// Why a text is not a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotTime {
    Format,
    Range,
}

/// The two fields that `Timestamp` and `Duration` have.
pub(in super::super) fn read(bytes: &[u8]) -> Result<(i64, i32), Malformed> {
    let (mut seconds, mut nanos) = (0, 0);
    let mut fields = Fields::new(bytes);
    while let Some(field) = fields.read()? {
        match (field.number, field.raw) {
            (1, Raw::Varint(v)) => seconds = v as i64,
            (2, Raw::Varint(v)) => nanos = v as i32,
            (1 | 2, _) => return Err(Malformed { flaw: Flaw::WireType, offset: field.start }),
            _ => {}
        }
    }
    Ok((seconds, nanos))
}

pub(in super::super) fn is_timestamp(seconds: i64, nanos: i32) -> bool {
    (TIMESTAMP_MIN_SECONDS..=TIMESTAMP_MAX_SECONDS).contains(&seconds)
        && (0..NANOS_PER_SECOND).contains(&i64::from(nanos))
}

pub(in super::super) fn is_duration(seconds: i64, nanos: i32) -> bool {
    let nanos = i64::from(nanos);
    (-DURATION_MAX_SECONDS..=DURATION_MAX_SECONDS).contains(&seconds)
        && nanos.abs() < NANOS_PER_SECOND
        && (seconds == 0 || nanos == 0 || (seconds < 0) == (nanos < 0))
}

/// RFC 3339 in UTC with 0, 3, 6 or 9 digits. False, with nothing written, when out of range.
pub(super) fn write_timestamp(out: &mut Vec<u8>, seconds: i64, nanos: i32) -> bool {
    if !is_timestamp(seconds, nanos) {
        return false;
    }
    let (year, month, day) = civil_from_days(seconds.div_euclid(SECONDS_PER_DAY));
    let of_day = seconds.rem_euclid(SECONDS_PER_DAY);
    digits(out, year, 4);
    out.push(b'-');
    digits(out, month, 2);
    out.push(b'-');
    digits(out, day, 2);
    out.push(b'T');
    digits(out, of_day / 3600, 2);
    out.push(b':');
    digits(out, of_day / 60 % 60, 2);
    out.push(b':');
    digits(out, of_day % 60, 2);
    fraction(out, i64::from(nanos));
    out.push(b'Z');
    true
}

/// `"3600s"`, `"-1.500s"`. False, with nothing written, when out of range.
pub(super) fn write_duration(out: &mut Vec<u8>, seconds: i64, nanos: i32) -> bool {
    if !is_duration(seconds, nanos) {
        return false;
    }
    if seconds < 0 || nanos < 0 {
        out.push(b'-');
    }
    number::write_u64(out, seconds.unsigned_abs());
    fraction(out, i64::from(nanos).abs());
    out.push(b's');
    true
}

fn fraction(out: &mut Vec<u8>, nanos: i64) {
    if nanos == 0 {
        return;
    }
    out.push(b'.');
    if nanos % 1_000_000 == 0 {
        digits(out, nanos / 1_000_000, 3);
    } else if nanos % 1_000 == 0 {
        digits(out, nanos / 1_000, 6);
    } else {
        digits(out, nanos, 9);
    }
}

fn digits(out: &mut Vec<u8>, value: i64, count: u32) {
    for place in (0..count).rev() {
        out.push(b'0' + (value / 10i64.pow(place) % 10) as u8);
    }
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + i64::from(month <= 2), month, day)
}

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let mp = if month > 2 { month - 3 } else { month + 9 };
    let doy = (153 * mp + 2) / 5 + day - 1;
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    era * 146_097 + doe - 719_468
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// A reader of fixed-width text.
struct Cursor<'a> {
    rest: &'a [u8],
}

impl Cursor<'_> {
    fn number(&mut self, width: usize) -> Option<i64> {
        let (head, rest) = self.rest.split_at_checked(width)?;
        let mut value = 0i64;
        for &byte in head {
            if !byte.is_ascii_digit() {
                return None;
            }
            value = value * 10 + i64::from(byte - b'0');
        }
        self.rest = rest;
        Some(value)
    }

    fn literal(&mut self, wanted: u8) -> Option<()> {
        let (&first, rest) = self.rest.split_first()?;
        self.rest = rest;
        (first == wanted).then_some(())
    }

    /// `.` and one to nine digits, as nanoseconds; nothing is zero.
    fn fraction(&mut self) -> Option<i64> {
        if self.rest.first() != Some(&b'.') {
            return Some(0);
        }
        self.literal(b'.')?;
        let count = self.rest.iter().take_while(|b| b.is_ascii_digit()).count();
        if !(1..=9).contains(&count) {
            return None;
        }
        let value = self.number(count)?;
        Some(value * 10i64.pow(9 - u32::try_from(count).ok()?))
    }
}

/// RFC 3339 with `Z` or an offset, up to nine digits of fraction.
pub(super) fn parse_timestamp(text: &str) -> Result<(i64, i32), NotTime> {
    let (date, time, nanos, offset) = timestamp_parts(text).ok_or(NotTime::Format)?;
    let [year, month, day] = date;
    let [hour, minute, second] = time;
    if !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
        return Err(NotTime::Range);
    }
    if hour > 23 || minute > 59 || second > 59 {
        return Err(NotTime::Range);
    }
    let seconds =
        days_from_civil(year, month, day) * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second - offset;
    let nanos = i32::try_from(nanos).map_err(|_| NotTime::Range)?;
    if is_timestamp(seconds, nanos) { Ok((seconds, nanos)) } else { Err(NotTime::Range) }
}

type TimestampParts = ([i64; 3], [i64; 3], i64, i64);

fn timestamp_parts(text: &str) -> Option<TimestampParts> {
    let mut cursor = Cursor { rest: text.as_bytes() };
    let year = cursor.number(4)?;
    cursor.literal(b'-')?;
    let month = cursor.number(2)?;
    cursor.literal(b'-')?;
    let day = cursor.number(2)?;
    cursor.literal(b'T')?;
    let hour = cursor.number(2)?;
    cursor.literal(b':')?;
    let minute = cursor.number(2)?;
    cursor.literal(b':')?;
    let second = cursor.number(2)?;
    let nanos = cursor.fraction()?;
    let offset = match cursor.rest.first()? {
        b'Z' => {
            cursor.literal(b'Z')?;
            0
        }
        sign @ (b'+' | b'-') => {
            let sign = if *sign == b'+' { 1 } else { -1 };
            cursor.rest = cursor.rest.get(1..)?;
            let hours = cursor.number(2)?;
            cursor.literal(b':')?;
            let minutes = cursor.number(2)?;
            if hours > 23 || minutes > 59 {
                return None;
            }
            sign * (hours * 3600 + minutes * 60)
        }
        _ => return None,
    };
    cursor.rest.is_empty().then_some(([year, month, day], [hour, minute, second], nanos, offset))
}

/// `"3600s"`, `"-3.5s"`: seconds with up to nine digits of fraction.
pub(super) fn parse_duration(text: &str) -> Result<(i64, i32), NotTime> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let unsigned = unsigned.strip_suffix('s').ok_or(NotTime::Format)?;
    let whole = unsigned.bytes().take_while(u8::is_ascii_digit).count();
    if whole == 0 {
        return Err(NotTime::Format);
    }
    let seconds = unsigned.get(..whole).unwrap_or_default().parse::<i64>().map_err(|_| NotTime::Range)?;
    let mut cursor = Cursor { rest: unsigned.as_bytes().get(whole..).unwrap_or_default() };
    let nanos = cursor.fraction().filter(|_| cursor.rest.is_empty()).ok_or(NotTime::Format)?;
    finish_duration(negative, i128::from(seconds) * i128::from(NANOS_PER_SECOND) + i128::from(nanos))
}

/// Go's `time.ParseDuration`, which grpc-gateway uses for query parameters: `1h2m3.5s`, `300ms`, `-1.5h`, `0`.
pub(super) fn parse_go_duration(text: &str) -> Result<(i64, i32), NotTime> {
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, text.get(1..).unwrap_or_default()),
        Some(b'+') => (false, text.get(1..).unwrap_or_default()),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok((0, 0));
    }
    if rest.is_empty() {
        return Err(NotTime::Format);
    }
    let mut total = 0i128;
    while !rest.is_empty() {
        let count = rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        let (value, after) = rest.split_at_checked(count).ok_or(NotTime::Format)?;
        let unit_count = after.bytes().take_while(|b| !b.is_ascii_digit() && *b != b'.').count();
        let (unit, after) = after.split_at_checked(unit_count).ok_or(NotTime::Format)?;
        total = total.checked_add(go_part(value, unit)?).ok_or(NotTime::Range)?;
        rest = after;
    }
    finish_duration(negative, total)
}

/// One number with its unit, in nanoseconds; what is below a nanosecond is cut off, as Go does.
fn go_part(value: &str, unit: &str) -> Result<i128, NotTime> {
    let unit: i128 = match unit {
        "ns" => 1,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60 * 1_000_000_000,
        "h" => 3600 * 1_000_000_000,
        _ => return Err(NotTime::Format),
    };
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) {
        return Err(NotTime::Format);
    }
    let whole = if whole.is_empty() { 0 } else { whole.parse::<i64>().map_err(|_| NotTime::Range)? };
    let fraction: String = fraction.chars().take(15).collect();
    let scale = 10i128.pow(u32::try_from(fraction.len()).unwrap_or(0));
    let fraction =
        if fraction.is_empty() { 0 } else { fraction.parse::<i64>().map_err(|_| NotTime::Range)? };
    Ok(i128::from(whole) * unit + i128::from(fraction) * unit / scale)
}

fn finish_duration(negative: bool, nanos: i128) -> Result<(i64, i32), NotTime> {
    let nanos = if negative { -nanos } else { nanos };
    let per_second = i128::from(NANOS_PER_SECOND);
    let seconds = i64::try_from(nanos / per_second).map_err(|_| NotTime::Range)?;
    let nanos = i32::try_from(nanos % per_second).map_err(|_| NotTime::Range)?;
    if is_duration(seconds, nanos) { Ok((seconds, nanos)) } else { Err(NotTime::Range) }
}
