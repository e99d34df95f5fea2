//! What the binary operators do to two values, with the messages of the library where they do nothing.

use std::cmp::Ordering;

use super::access::{key, to_int};
use super::builtins;
use super::evaluate::{Fault, Run};
use super::moment;
use super::tree::Operator;
use super::value::{Key, List, MapKind, Number, Value};
use crate::expr::evaluate::EvalCode;

/// All but the logical ones, `in` and `matches`.
pub(super) fn apply(
    operator: Operator,
    left: &Value,
    right: &Value,
    run: &mut Run<'_>,
) -> Result<Value, Fault> {
    match operator {
        Operator::Equal => Ok(Value::Bool(left.equals(right))),
        Operator::Unequal => Ok(Value::Bool(!left.equals(right))),
        Operator::Less | Operator::More | Operator::LessOrEqual | Operator::MoreOrEqual => {
            order(operator, left, right).map(Value::Bool)
        }
        Operator::Contains | Operator::StartsWith | Operator::EndsWith => {
            let (left, right) = (builtins::text_of(left)?, builtins::text_of(right)?);
            Ok(Value::Bool(match operator {
                Operator::Contains => left.contains(&**right),
                Operator::StartsWith => left.starts_with(&**right),
                _ => left.ends_with(&**right),
            }))
        }
        Operator::Range => range(left, right, run),
        Operator::Power => Ok(Value::Float(power(to_float(left)?, to_float(right)?))),
        _ => arithmetic(operator, left, right, run),
    }
}

fn sign(operator: Operator) -> &'static str {
    match operator {
        Operator::Less => "<",
        Operator::More => ">",
        Operator::LessOrEqual => "<=",
        Operator::MoreOrEqual => ">=",
        Operator::Add => "+",
        Operator::Subtract => "-",
        Operator::Multiply => "*",
        Operator::Divide => "/",
        _ => "%",
    }
}

fn undefined(operator: Operator, left: &Value, right: &Value) -> Fault {
    let (sign, left, right) = (sign(operator), left.type_name(), right.type_name());
    Fault::wrong_type(format!("invalid operation: {left} {sign} {right}"))
}

/// Whether the order of two values is the one that is asked for.
pub(super) fn order(operator: Operator, left: &Value, right: &Value) -> Result<bool, Fault> {
    let found = match (left, right) {
        (Value::Text(a), Value::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Value::Time(a), Value::Time(b)) => a.at.cmp(&b.at),
        (Value::Duration(a), Value::Duration(b)) => a.cmp(b),
        _ => {
            let (Some(a), Some(b)) = (left.number(), right.number()) else {
                return Err(undefined(operator, left, right));
            };
            return Ok(match operator {
                Operator::Less => a.compares(b, |a, b| a < b, |a, b| a < b),
                Operator::More => a.compares(b, |a, b| a > b, |a, b| a > b),
                Operator::LessOrEqual => a.compares(b, |a, b| a <= b, |a, b| a <= b),
                _ => a.compares(b, |a, b| a >= b, |a, b| a >= b),
            });
        }
    };
    Ok(match operator {
        Operator::Less => found == Ordering::Less,
        Operator::More => found == Ordering::Greater,
        Operator::LessOrEqual => found != Ordering::Greater,
        _ => found != Ordering::Less,
    })
}

fn arithmetic(operator: Operator, left: &Value, right: &Value, run: &mut Run<'_>) -> Result<Value, Fault> {
    if let (Some(a), Some(b)) = (left.number(), right.number()) {
        return numbers(operator, a, b).ok_or_else(|| undefined(operator, left, right))?;
    }
    Ok(match (operator, left, right) {
        (Operator::Add, Value::Text(a), Value::Text(b)) => {
            run.grow_text(a.len() + b.len())?;
            Value::Text([&**a, &**b].concat().into())
        }
        (Operator::Add, Value::Time(at), Value::Duration(nanos))
        | (Operator::Add, Value::Duration(nanos), Value::Time(at)) => moment::later(*at, *nanos)?,
        (Operator::Add, Value::Duration(a), Value::Duration(b)) => Value::Duration(a.wrapping_add(*b)),
        (Operator::Subtract, Value::Time(a), Value::Time(b)) => Value::Duration(moment::difference(*a, *b)),
        (Operator::Subtract, Value::Time(at), Value::Duration(nanos)) => {
            moment::later(*at, nanos.wrapping_neg())?
        }
        (Operator::Subtract, Value::Duration(a), Value::Duration(b)) => Value::Duration(a.wrapping_sub(*b)),
        (Operator::Multiply, Value::Duration(a), Value::Duration(b)) => Value::Duration(a.wrapping_mul(*b)),
        (Operator::Multiply, Value::Duration(nanos), other)
        | (Operator::Multiply, other, Value::Duration(nanos)) => match other.number() {
            Some(Number::Int(count)) => Value::Duration(nanos.wrapping_mul(count)),
            Some(Number::Float(count)) => Value::Float(Number::Int(*nanos).float() * count),
            None => return Err(undefined(operator, left, right)),
        },
        _ => return Err(undefined(operator, left, right)),
    })
}

/// `None` when the operator is not defined on such numbers.
fn numbers(operator: Operator, a: Number, b: Number) -> Option<Result<Value, Fault>> {
    if let (Number::Int(a), Number::Int(b)) = (a, b) {
        let value = match operator {
            Operator::Add => a.wrapping_add(b),
            Operator::Subtract => a.wrapping_sub(b),
            Operator::Multiply => a.wrapping_mul(b),
            Operator::Modulo if b == 0 => {
                let message = "runtime error: integer divide by zero".to_owned();
                return Some(Err(Fault::new(EvalCode::DivisionByZero, message)));
            }
            Operator::Modulo => a.wrapping_rem(b),
            _ => return Some(Ok(Value::Float(Number::Int(a).float() / Number::Int(b).float()))),
        };
        return Some(Ok(Value::Int(value)));
    }
    let (a, b) = (a.float(), b.float());
    Some(Ok(Value::Float(match operator {
        Operator::Add => a + b,
        Operator::Subtract => a - b,
        Operator::Multiply => a * b,
        Operator::Divide => a / b,
        _ => return None,
    })))
}

fn to_float(value: &Value) -> Result<f64, Fault> {
    let number = value.number().map(Number::float);
    number.ok_or_else(|| Fault::wrong_type(format!("invalid operation: float({})", value.type_name())))
}

/// `a ** b`, step for step as Go computes it, so that the last bit is the same.
pub(super) fn power(x: f64, y: f64) -> f64 {
    let odd = |y: f64| y.abs() < 9_007_199_254_740_992.0 && y % 2.0 != 0.0 && y.fract() == 0.0;
    if y == 0.0 || x == 1.0 {
        return 1.0;
    } else if y == 1.0 {
        return x;
    } else if x.is_nan() || y.is_nan() {
        return f64::NAN;
    } else if x == 0.0 {
        let limit = if y < 0.0 { f64::INFINITY } else { 0.0 };
        return if odd(y) { limit.copysign(x) } else { limit };
    } else if y.is_infinite() {
        let grows = (x.abs() < 1.0) == (y < 0.0);
        return if x == -1.0 {
            1.0
        } else if grows {
            f64::INFINITY
        } else {
            0.0
        };
    } else if x.is_infinite() {
        if x < 0.0 {
            if y == -y.abs() {
                return if odd(y) { -0.0 } else { 0.0 };
            }
            return if odd(y) { f64::NEG_INFINITY } else { f64::INFINITY };
        }
        return if y < 0.0 { 0.0 } else { f64::INFINITY };
    } else if y == 0.5 {
        return x.sqrt();
    } else if y == -0.5 {
        return 1.0 / x.sqrt();
    }
    finite_power(x, y)
}

fn finite_power(x: f64, y: f64) -> f64 {
    let (mut whole, mut fraction) = (y.abs().trunc(), y.abs().fract());
    if fraction != 0.0 && x < 0.0 {
        return f64::NAN;
    }
    if whole >= 9_223_372_036_854_775_808.0 {
        return if x == -1.0 {
            1.0
        } else if (x.abs() < 1.0) == (y > 0.0) {
            0.0
        } else {
            f64::INFINITY
        };
    }
    let mut mantissa = 1.0;
    let mut exponent = 0_i64;
    if fraction != 0.0 {
        if fraction > 0.5 {
            fraction -= 1.0;
            whole += 1.0;
        }
        mantissa = (fraction * x.ln()).exp();
    }
    let (mut x1, mut xe) = split(x);
    #[expect(clippy::cast_possible_truncation, reason = "less than 2^63")]
    let mut rest = whole as i64;
    while rest != 0 {
        if !(-4096..=4096).contains(&xe) {
            exponent += xe;
            break;
        }
        if rest & 1 == 1 {
            mantissa *= x1;
            exponent += xe;
        }
        x1 *= x1;
        xe <<= 1;
        if x1 < 0.5 {
            x1 += x1;
            xe -= 1;
        }
        rest >>= 1;
    }
    if y < 0.0 {
        mantissa = 1.0 / mantissa;
        exponent = -exponent;
    }
    scaled(mantissa, exponent)
}

/// A number between a half and one, and the power of two that makes the rest of it. Not for zero and what is not finite.
fn split(x: f64) -> (f64, i64) {
    let (x, shift) = if x.abs() < f64::MIN_POSITIVE { (x * 4_503_599_627_370_496.0, -52) } else { (x, 0) };
    let bits = x.to_bits();
    let exponent = i64::try_from((bits >> 52) & 0x7FF).unwrap_or(0) - 1022;
    (f64::from_bits((bits & !(0x7FF << 52)) | (1022 << 52)), exponent + shift)
}

/// `mantissa * 2^exponent`.
fn scaled(mantissa: f64, exponent: i64) -> f64 {
    let mut value = mantissa;
    let mut left = exponent.clamp(-3000, 3000);
    while left > 0 {
        let step = left.min(1000);
        value *= 2_f64.powi(i32::try_from(step).unwrap_or(0));
        left -= step;
    }
    while left < 0 {
        let step = left.max(-1000);
        value *= 2_f64.powi(i32::try_from(step).unwrap_or(0));
        left -= step;
    }
    value
}

fn range(left: &Value, right: &Value, run: &mut Run<'_>) -> Result<Value, Fault> {
    let (first, last) = (to_int(left)?, to_int(right)?);
    let size = last.wrapping_sub(first).wrapping_add(1).max(0);
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    run.grow(size)?;
    Ok(Value::List(List::range(first, size)))
}

/// `needle in haystack`.
pub(super) fn contains(needle: &Value, haystack: &Value) -> Result<bool, Fault> {
    match haystack {
        Value::Nil => Ok(false),
        Value::List(list) => Ok(list.iter().any(|item| item.equals(needle))),
        Value::Map(map) => {
            let wanted = match (map.kind, needle) {
                (MapKind::Any | MapKind::Groups, _) => key(needle)?,
                (_, Value::Text(text)) => Key::Text(text.clone()),
                (_, Value::Nil) => Key::Text("".into()),
                (_, other) => {
                    return Err(Fault::wrong_type(format!(
                        "reflect.Value.MapIndex: value of type {} is not assignable to type string",
                        other.type_name()
                    )));
                }
            };
            Ok(map.entries.contains_key(&wanted))
        }
        other => Err(Fault::wrong_type(format!("operator \"in\" not defined on {}", other.type_name()))),
    }
}

/// What `len` gives: of texts, the number of bytes.
pub(super) fn length(value: &Value) -> Result<Value, Fault> {
    let length = match value {
        Value::Text(text) => text.len(),
        Value::List(list) => list.len(),
        Value::Map(map) if !matches!(map.kind, MapKind::Record(_)) => map.len(),
        other => {
            return Err(Fault::wrong_type(format!("invalid argument for len (type {})", other.type_name())));
        }
    };
    Ok(Value::Int(i64::try_from(length).unwrap_or(i64::MAX)))
}
