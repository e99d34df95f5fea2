//! Times and durations: their methods, the reading of durations as Go reads them, and how both look as text. No clock.

use super::quote::quoted_by_time as quoted;
use chrono::{Datelike, TimeDelta, Timelike};

use super::evaluate::Fault;
use super::kinds::{Signature, Type};
use super::value::{Moment, Value};
use crate::expr::evaluate::EvalCode;
use crate::expr::time;

const NANOS: i64 = 1_000_000_000;

/// The methods that we have, by the Go type they belong to; those that are left out are named in
/// `docs/decisions/0011-guardian-expressions.md`.
pub(super) fn method(ty: &Type, name: &str) -> Option<Signature> {
    let (parameters, result, shown) = match (ty, name) {
        (Type::Time, "Year" | "Day" | "Hour" | "Minute" | "Second" | "Nanosecond" | "YearDay") => {
            (vec![], Type::Int, "func() int")
        }
        (Type::Time, "Month") => (vec![], Type::Month, "func() time.Month"),
        (Type::Time, "Weekday") => (vec![], Type::Weekday, "func() time.Weekday"),
        (Type::Time, "Unix" | "UnixMilli" | "UnixMicro" | "UnixNano") => {
            (vec![], Type::Int64, "func() int64")
        }
        (Type::Time, "After" | "Before" | "Equal") => (vec![Type::Time], Type::Bool, "func(time.Time) bool"),
        (Type::Time, "IsZero") => (vec![], Type::Bool, "func() bool"),
        (Type::Time, "Add") => (vec![Type::Duration], Type::Time, "func(time.Duration) time.Time"),
        (Type::Time, "Sub") => (vec![Type::Time], Type::Duration, "func(time.Time) time.Duration"),
        (Type::Time, "UTC") => (vec![], Type::Time, "func() time.Time"),
        (Type::Time, "Format") => (vec![Type::Text], Type::Text, "func(string) string"),
        (Type::Duration, "Hours" | "Minutes" | "Seconds") => (vec![], Type::Float, "func() float64"),
        (Type::Duration, "Milliseconds" | "Microseconds" | "Nanoseconds") => {
            (vec![], Type::Int64, "func() int64")
        }
        (Type::Time | Type::Duration | Type::Month | Type::Weekday, "String") => {
            (vec![], Type::Text, "func() string")
        }
        _ => return None,
    };
    Some(Signature { parameters, is_variadic: false, result, name: shown })
}

/// The static type of a value that has methods.
pub(super) fn type_of(value: &Value) -> Option<Type> {
    Some(match value {
        Value::Time(_) => Type::Time,
        Value::Duration(_) => Type::Duration,
        Value::Month(_) => Type::Month,
        Value::Weekday(_) => Type::Weekday,
        _ => return None,
    })
}

/// Calls a method that `method` knows.
pub(super) fn call(receiver: &Value, name: &str, arguments: &[Value]) -> Result<Value, Fault> {
    let wrong = || {
        let given = arguments.first().unwrap_or(&Value::Nil);
        // A whole number was made an int64 before it was found to be no duration.
        let found = if matches!(given, Value::Int(_)) { "int64" } else { given.type_name() };
        let wanted = if name == "Add" {
            "time.Duration"
        } else if name == "Format" {
            "string"
        } else {
            "time.Time"
        };
        Fault::wrong_type(format!("interface conversion: interface {{}} is {found}, not {wanted}"))
    };
    let parameters =
        type_of(receiver).and_then(|ty| method(&ty, name)).map_or(0, |found| found.parameters.len());
    if arguments.len() != parameters {
        let what = if arguments.len() < parameters { "few" } else { "many" };
        return Err(Fault::wrong_type(format!("reflect: Call with too {what} input arguments")));
    }
    match (receiver, arguments.first()) {
        (Value::Time(moment), None) => Ok(part(*moment, name)),
        (Value::Time(moment), Some(Value::Time(other))) => Ok(match name {
            "After" => Value::Bool(moment.at > other.at),
            "Before" => Value::Bool(moment.at < other.at),
            "Equal" => Value::Bool(moment.at == other.at),
            "Sub" => Value::Duration(difference(*moment, *other)),
            _ => return Err(wrong()),
        }),
        (Value::Time(moment), Some(Value::Duration(nanos))) if name == "Add" => later(*moment, *nanos),
        (Value::Time(moment), Some(Value::Text(layout))) if name == "Format" => {
            Ok(Value::text(&time::format(moment.at, layout, Some(moment.zone))))
        }
        (Value::Duration(nanos), None) => Ok(length(*nanos, name)),
        (other, None) => Ok(Value::text(&shown(other))),
        _ => Err(wrong()),
    }
}

fn part(moment: Moment, name: &str) -> Value {
    let local = moment.zone.at(moment.at);
    let utc = moment.at.to_utc();
    Value::Int(match name {
        "Year" => i64::from(local.year()),
        "Day" => i64::from(local.day()),
        "Hour" => i64::from(local.hour()),
        "Minute" => i64::from(local.minute()),
        "Second" => i64::from(local.second()),
        "Nanosecond" => i64::from(local.nanosecond()),
        "YearDay" => i64::from(local.ordinal()),
        "Unix" => utc.timestamp(),
        "UnixMilli" => utc.timestamp_millis(),
        "UnixMicro" => utc.timestamp_micros(),
        "UnixNano" => utc.timestamp_nanos_opt().unwrap_or(0),
        "Month" => return Value::Month(local.month()),
        "Weekday" => return Value::Weekday(local.weekday().num_days_from_sunday()),
        "IsZero" => return Value::Bool(utc.timestamp() == -62_135_596_800 && utc.nanosecond() == 0),
        "UTC" => return Value::Time(Moment::utc(utc)),
        _ => return Value::text(&shown(&Value::Time(moment))),
    })
}

#[expect(clippy::cast_precision_loss, reason = "as Go converts")]
fn length(nanos: i64, name: &str) -> Value {
    let whole_and_rest = |unit: i64| (nanos / unit) as f64 + (nanos % unit) as f64 / unit as f64;
    match name {
        "Hours" => Value::Float(whole_and_rest(3600 * NANOS)),
        "Minutes" => Value::Float(whole_and_rest(60 * NANOS)),
        "Seconds" => Value::Float(whole_and_rest(NANOS)),
        "Milliseconds" => Value::Int(nanos / 1_000_000),
        "Microseconds" => Value::Int(nanos / 1000),
        "Nanoseconds" => Value::Int(nanos),
        _ => Value::text(&duration_text(nanos)),
    }
}

/// A moment that is so much later.
pub(super) fn later(moment: Moment, nanos: i64) -> Result<Value, Fault> {
    match moment.at.checked_add_signed(TimeDelta::nanoseconds(nanos)) {
        Some(at) => Ok(Value::Time(Moment { at, ..moment })),
        None => Err(Fault::new(EvalCode::OutOfRange, "the time is out of range".to_owned())),
    }
}

/// In nanoseconds, or the nearest that there is.
pub(super) fn difference(moment: Moment, other: Moment) -> i64 {
    let between = moment.at.signed_duration_since(other.at);
    between.num_nanoseconds().unwrap_or(if between < TimeDelta::zero() { i64::MIN } else { i64::MAX })
}

/// How Go writes times, durations, months and weekdays.
pub(super) fn shown(value: &Value) -> String {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
    let name = |names: &[&str], index: u32| names.get(index as usize).copied().unwrap_or("").to_owned();
    match value {
        Value::Time(moment) => {
            time::format(moment.at, "2006-01-02 15:04:05.999999999 -0700 MST", Some(moment.zone))
        }
        Value::Duration(nanos) => duration_text(*nanos),
        Value::Month(number) => name(&MONTHS, number.wrapping_sub(1)),
        Value::Weekday(number) => name(&DAYS, *number),
        _ => String::new(),
    }
}

/// As RFC 3339, with as many digits of the second as it takes.
pub(super) fn rfc3339(moment: Moment) -> String {
    let local = moment.zone.at(moment.at);
    time::format(local, "2006-01-02T15:04:05.999999999Z07:00", None)
}

/// `1h30m0s`, as Go writes durations.
fn duration_text(nanos: i64) -> String {
    let (sign, rest) = (if nanos < 0 { "-" } else { "" }, nanos.unsigned_abs());
    let second = NANOS.unsigned_abs();
    let decimal = |unit: u64, places: usize, name: &str| {
        let fraction = format!("{:0places$}", rest % unit);
        let fraction = fraction.trim_end_matches('0');
        let dot = if fraction.is_empty() || places == 0 { "" } else { "." };
        let fraction = if places == 0 { "" } else { fraction };
        format!("{}{dot}{fraction}{name}", rest / unit)
    };
    let text = match rest {
        0 => return "0s".to_owned(),
        1..1000 => decimal(1, 0, "ns"),
        1000..1_000_000 => decimal(1000, 3, "µs"),
        _ if rest < second => decimal(1_000_000, 6, "ms"),
        _ => {
            let seconds = rest / second;
            let fraction = format!("{:09}", rest % second);
            let fraction = fraction.trim_end_matches('0');
            let dot = if fraction.is_empty() { "" } else { "." };
            let mut text = String::new();
            if seconds >= 3600 {
                text = format!("{}h", seconds / 3600);
            }
            if seconds >= 60 {
                text += &format!("{}m", seconds / 60 % 60);
            }
            text + &format!("{}{dot}{fraction}s", seconds % 60)
        }
    };
    format!("{sign}{text}")
}

/// The nanoseconds of `1h30m`, `-1.5s`, `2us`.
pub(super) fn parse_duration(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {}", quoted(text));
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (whole, tail) = rest.split_at(digits);
        let fraction_digits =
            tail.strip_prefix('.').map(|tail| tail.bytes().take_while(u8::is_ascii_digit).count());
        let (fraction, tail) = match fraction_digits {
            Some(count) => (tail.get(1..=count).unwrap_or(""), tail.get(count + 1..).unwrap_or("")),
            None => ("", tail),
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err(invalid());
        }
        let name_length = tail.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(tail.len());
        let (name, tail) = tail.split_at(name_length);
        let unit: u64 = match name {
            "ns" => 1,
            "us" | "µs" | "μs" => 1000,
            "ms" => 1_000_000,
            "s" => NANOS.unsigned_abs(),
            "m" => 60 * NANOS.unsigned_abs(),
            "h" => 3600 * NANOS.unsigned_abs(),
            "" => return Err(format!("time: missing unit in duration {}", quoted(text))),
            _ => return Err(format!("time: unknown unit {} in duration {}", quoted(name), quoted(text))),
        };
        let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| invalid())? };
        let part = whole.checked_mul(unit).and_then(|part| part.checked_add(fraction_of(fraction, unit)));
        total = part
            .and_then(|part| total.checked_add(part))
            .filter(|sum| *sum <= 1 << 63)
            .ok_or_else(invalid)?;
        rest = tail;
    }
    if negative {
        Ok(0_i64.wrapping_sub_unsigned(total))
    } else {
        i64::try_from(total).map_err(|_| invalid())
    }
}

/// How much of a unit the digits after the point are; digits that no longer count are dropped.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "as Go does"
)]
fn fraction_of(digits: &str, unit: u64) -> u64 {
    let digits = digits.get(..18).unwrap_or(digits);
    let scale = 10_f64.powi(i32::try_from(digits.len()).unwrap_or(0));
    let value: u64 = digits.parse().unwrap_or(0);
    (value as f64 * (unit as f64 / scale)) as u64
}
