//! Constants that tests compare with, so that equal ones are equal and others differ for sure.

use crate::expr::Value;

/// From here on a double does not tell two whole numbers from each other.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A constant. Two that differ equal no common value, unless one of them is loose.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) enum Constant {
    Null,
    Bool(bool),
    Number(Number),
    /// Nanoseconds since 1970.
    Moment(i128),
    /// Nanoseconds.
    Span(i128),
    Text(String),
    Enum(String, u8),
    /// Nothing is known of it but its text.
    Loose(String),
}

/// A number that is less than 2^53 either way, by the bits of the double in an order of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) struct Number(u64);

/// The constants that have an order among themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) enum Sort {
    Number,
    Moment,
    Span,
}

impl Number {
    fn new(number: f64) -> Option<Number> {
        if number.is_nan() || number.abs() >= EXACT {
            return None;
        }
        // Zero has two signs and is one number.
        let bits = (number + 0.0).to_bits();
        Some(Number(if bits >> 63 == 1 { !bits } else { bits | (1 << 63) }))
    }

    pub fn get(self) -> f64 {
        f64::from_bits(if self.0 >> 63 == 1 { self.0 & !(1 << 63) } else { !self.0 })
    }
}

impl Constant {
    pub fn of(value: &Value) -> Constant {
        let loose = || Constant::Loose(format!("{value:?}"));
        let number = |number: f64| Number::new(number).map_or_else(loose, Constant::Number);
        match value {
            Value::Null => Constant::Null,
            Value::Bool(value) => Constant::Bool(*value),
            #[expect(clippy::cast_precision_loss, reason = "those that lose are loose")]
            Value::Int(value) => number(*value as f64),
            #[expect(clippy::cast_precision_loss, reason = "those that lose are loose")]
            Value::Uint(value) => number(*value as f64),
            Value::Double(value) => number(*value),
            Value::Timestamp(time) => Constant::Moment(
                i128::from(time.timestamp()) * 1_000_000_000 + i128::from(time.timestamp_subsec_nanos()),
            ),
            Value::Duration(span) => Constant::Span(
                i128::from(span.num_seconds()) * 1_000_000_000 + i128::from(span.subsec_nanos()),
            ),
            Value::String(text) => Constant::Text(text.clone()),
            Value::Enum(enumeration, number) => Constant::Enum(enumeration.name().to_owned(), *number),
            _ => loose(),
        }
    }

    /// Which order it belongs to.
    pub fn sort(&self) -> Option<Sort> {
        match self {
            Constant::Number(_) => Some(Sort::Number),
            Constant::Moment(_) => Some(Sort::Moment),
            Constant::Span(_) => Some(Sort::Span),
            _ => None,
        }
    }

    pub fn is_loose(&self) -> bool {
        matches!(self, Constant::Loose(_))
    }

    /// The next constant of its order, for terms that have no fractions.
    pub fn successor(&self) -> Option<Constant> {
        match self {
            Constant::Number(number) if number.get().fract() == 0.0 => {
                Number::new(number.get() + 1.0).map(Constant::Number)
            }
            _ => None,
        }
    }

    /// A constant between the two, neither of which it is; without a bound, beyond the other.
    pub fn between(low: Option<&Constant>, high: Option<&Constant>) -> Option<Constant> {
        match (low, high) {
            (Some(Constant::Number(low)), Some(Constant::Number(high))) => {
                let (low, high) = (low.get(), high.get());
                let whole = low.floor() + 1.0;
                number(if whole < high { whole } else { low.midpoint(high) })
            }
            (Some(Constant::Number(low)), None) => number(low.get().floor() + 1.0),
            (None, Some(Constant::Number(high))) => number(high.get().ceil() - 1.0),
            (Some(Constant::Moment(low)), high) => {
                Some(Constant::Moment(step(*low, high.and_then(Constant::nanos))))
            }
            (None, Some(Constant::Moment(high))) => Some(Constant::Moment(high - HOUR)),
            (Some(Constant::Span(low)), high) => {
                Some(Constant::Span(step(*low, high.and_then(Constant::nanos))))
            }
            (None, Some(Constant::Span(high))) => {
                Some(Constant::Span(if *high > 1 { high / 2 } else { high - HOUR }))
            }
            _ => None,
        }
    }

    fn nanos(&self) -> Option<i128> {
        match self {
            Constant::Moment(nanos) | Constant::Span(nanos) => Some(*nanos),
            _ => None,
        }
    }
}

const HOUR: i128 = 3_600_000_000_000;

fn number(value: f64) -> Option<Constant> {
    Number::new(value).map(Constant::Number)
}

/// An hour after `low`, or half the way to `high` if that is nearer.
fn step(low: i128, high: Option<i128>) -> i128 {
    let half = high.map_or(HOUR, |high| (high - low) / 2);
    low + half.clamp(1, HOUR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_order_and_their_value() {
        let numbers = [-1e15, -2.5, -1.0, 0.0, 0.25, 1.0, 1e15];
        let made: Vec<Number> = numbers.iter().map(|number| Number::new(*number).unwrap()).collect();
        assert!(made.is_sorted());
        assert_eq!(made.iter().map(|number| number.get()).collect::<Vec<_>>(), numbers);
        assert_eq!(Number::new(-0.0), Number::new(0.0));
        assert_eq!(Number::new(EXACT), None);
        assert!(Constant::of(&Value::Int(i64::MAX)).is_loose());
        assert_eq!(Constant::of(&Value::Int(3)), Constant::of(&Value::Double(3.0)));
    }
}
