//! Functions of numbers and times: conversions, extremes, statistics, dates and durations.

use super::{Builtin, text_of};
use crate::expr::guardian::evaluate::Fault;
use crate::expr::guardian::moment;
use crate::expr::guardian::operators;
use crate::expr::guardian::tree::Operator;
use crate::expr::guardian::value::{Moment, Number, Value};
use crate::expr::time::{self, Zone};

pub(super) fn len(value: &Value) -> Result<Value, Fault> {
    operators::length(value)
}

pub(super) fn abs(value: &Value) -> Result<Value, Fault> {
    match value {
        Value::Int(number) => Ok(Value::Int(number.wrapping_abs())),
        Value::Byte(_) => Ok(value.clone()),
        // As Go does it, which leaves negative zero as it is.
        Value::Float(number) => Ok(Value::Float(if *number < 0.0 { -number } else { *number })),
        other => Err(Fault::wrong_type(format!("invalid argument for abs (type {})", other.type_name()))),
    }
}

pub(super) fn int(value: &Value) -> Result<Value, Fault> {
    if let Value::Text(text) = value {
        let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
        let number = text.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()));
        return number
            .map(Value::Int)
            .ok_or_else(|| Fault::invalid(format!("invalid operation: int({text})")));
    }
    crate::expr::guardian::access::to_int(value).map(Value::Int)
}

pub(super) fn float(value: &Value) -> Result<Value, Fault> {
    match value {
        Value::Text(text) => match parse_float(text) {
            Some(number) => Ok(Value::Float(number)),
            None => Err(Fault::invalid(format!("invalid operation: float({text})"))),
        },
        other => match other.number() {
            Some(number) => Ok(Value::Float(number.float())),
            None => Err(Fault::wrong_type(format!("invalid operation: float({})", other.type_name()))),
        },
    }
}

/// Decimal floats as Go reads them. Its hexadecimal floats are not among them.
fn parse_float(text: &str) -> Option<f64> {
    let bytes = text.as_bytes();
    let is_digit = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
    let separates = |(at, _): (usize, &str)| is_digit(at.checked_sub(1)) && is_digit(Some(at + 1));
    if !text.match_indices('_').all(separates) {
        return None;
    }
    let number: f64 = text.replace('_', "").parse().ok()?;
    let named = text.trim_start_matches(['+', '-']).starts_with(|first: char| first.is_ascii_alphabetic());
    (number.is_finite() || named).then_some(number)
}

pub(super) fn extreme(largest: bool, arguments: &[Value]) -> Result<Value, Fault> {
    let operator = if largest { Operator::Less } else { Operator::More };
    let mut best = Value::Nil;
    for argument in arguments {
        // A nil that was best so far is as good as none.
        if matches!(best, Value::Nil) || operators::order(operator, &best, argument)? {
            best = argument.clone();
        }
    }
    Ok(best)
}

pub(super) fn statistic(builtin: Builtin, value: &Value) -> Result<Value, Fault> {
    let name = builtin.name();
    let Value::List(list) = value else {
        return Err(Fault::wrong_type(format!("cannot {name} {}", value.kind_name())));
    };
    let mut numbers = Vec::with_capacity(list.len());
    for item in list.iter() {
        numbers.push(match item {
            Value::Int(number) | Value::Duration(number) => Number::Int(number),
            Value::Month(number) | Value::Weekday(number) => Number::Int(i64::from(number)),
            Value::Float(number) => Number::Float(number),
            // A nil stays the interface that it was.
            Value::Nil => return Err(Fault::wrong_type(format!("cannot {name} interface"))),
            other => return Err(Fault::wrong_type(format!("cannot {name} {}", other.kind_name()))),
        });
    }
    Ok(match builtin {
        Builtin::Sum => sum(&numbers),
        _ if numbers.is_empty() => Value::Float(0.0),
        Builtin::Mean => {
            let sum: f64 = numbers.iter().fold(0.0, |sum, number| sum + number.float());
            Value::Float(sum / count(numbers.len()))
        }
        _ => Value::Float(median(&numbers)),
    })
}

#[expect(clippy::cast_precision_loss, reason = "as Go converts")]
fn count(length: usize) -> f64 {
    length as f64
}

/// Whole until the first float.
fn sum(numbers: &[Number]) -> Value {
    let mut sum = Number::Int(0);
    for number in numbers {
        sum = match (sum, number) {
            (Number::Int(sum), Number::Int(number)) => Number::Int(sum.wrapping_add(*number)),
            (sum, number) => Number::Float(sum.float() + number.float()),
        };
    }
    match sum {
        Number::Int(sum) => Value::Int(sum),
        Number::Float(sum) => Value::Float(sum),
    }
}

fn median(numbers: &[Number]) -> f64 {
    let mut sorted: Vec<f64> = numbers.iter().map(|number| number.float()).collect();
    // NaN first, as in Go.
    sorted.sort_by(|a, b| a.partial_cmp(b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan())));
    let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
    let middle = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) { f64::midpoint(at(middle - 1), at(middle)) } else { at(middle) }
}

/// `duration` and `date`.
pub(super) fn moment(builtin: Builtin, arguments: &[Value]) -> Result<Value, Fault> {
    let text = text_of(arguments.first().unwrap_or(&Value::Nil))?;
    if builtin == Builtin::Duration {
        return moment::parse_duration(text).map(Value::Duration).map_err(Fault::invalid);
    }
    let layout = arguments.get(1).map(text_of).transpose()?;
    let zone = arguments.get(2).map(text_of).transpose()?;
    let zone = match zone {
        // A zone of the machine would make the result depend on where it runs; an offset is no name of a zone.
        Some(name) if **name == *"Local" || name.starts_with(['+', '-']) => {
            return Err(Fault::invalid(format!("unknown time zone {name}")));
        }
        Some(name) => Zone::parse(name).map_err(|_| Fault::invalid(format!("unknown time zone {name}")))?,
        None => Zone::UTC,
    };
    if let Some(layout) = layout {
        return read(text, layout, zone).map_err(Fault::invalid);
    }
    const LAYOUTS: [&str; 7] = [
        "2006-01-02",
        "15:04:05",
        "2006-01-02 15:04:05",
        "2006-01-02T15:04:05Z07:00",
        "02 Jan 06 15:04 MST",
        "Monday, 02-Jan-06 15:04:05 MST",
        "Mon, 02 Jan 2006 15:04:05 MST",
    ];
    let found = LAYOUTS.iter().find_map(|layout| read(text, layout, zone).ok());
    found.ok_or_else(|| Fault::invalid(format!("invalid date {text}")))
}

/// A time is shown in the zone of its offset where the text has one.
fn read(text: &str, layout: &str, zone: Zone) -> Result<Value, String> {
    let at = time::parse(text, layout, zone)?;
    let own = *at.offset();
    let utc = own.local_minus_utc() == 0;
    let shown = if zone.at(at).offset() == at.offset() {
        zone
    } else if utc {
        Zone::UTC
    } else {
        Zone::Offset(own)
    };
    Ok(Value::Time(Moment { at, zone: shown }))
}
