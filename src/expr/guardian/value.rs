//! Values as the library has them: whole numbers and floats apart, lists that remember which kind of Go slice they would be
//! (a range is not equal to a list that was written out), maps with text or with any keys. Cheap to clone.
//! Says what is equal and what is zero; how values look as text is in `text`.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::expr::time::{Timestamp, Zone};

/// Deepest nesting of lists and maps in a value; flat values count as 0.
pub const VALUE_MAX_LEVELS: usize = 64;
/// Largest value, counted in elements on all levels, as often as they are in it, and 64 bytes of text. What walks over a
/// value takes at most so many steps, however much of it is shared.
pub const VALUE_MAX_WEIGHT: usize = 2_000_000;

/// What an expression works on and what it gives.
#[derive(Clone, Debug)]
pub enum Value {
    Nil,
    Bool(bool),
    /// Go's `int`.
    Int(i64),
    /// One byte of a text that was indexed; Go's `uint8`.
    Byte(u8),
    /// Go's `float64`, and so every number that comes from JSON.
    Float(f64),
    Text(Arc<str>),
    List(List),
    Map(Map),
    Time(Moment),
    /// In nanoseconds.
    Duration(i64),
    /// 1 is January.
    Month(u32),
    /// 0 is Sunday.
    Weekday(u32),
    /// The function `Split`, not called.
    Split,
}

/// A moment, and the zone that it is shown in.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    pub(super) at: Timestamp,
    pub(super) zone: Zone,
}

impl Moment {
    /// A moment in UTC.
    #[must_use]
    pub fn utc(at: DateTime<Utc>) -> Self {
        Self { at: at.fixed_offset(), zone: Zone::UTC }
    }

    #[must_use]
    pub fn at(&self) -> DateTime<Utc> {
        self.at.to_utc()
    }
}

/// Which Go type a list would have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListKind {
    /// `[]any`
    Any,
    /// `[]int`
    Int,
    /// `[]string`
    Text,
    /// `[2]any`
    Pair,
    /// `[][2]any`
    Pairs,
}

#[derive(Clone, Debug)]
enum Items {
    /// A part of a shared vector.
    Slice { all: Arc<Vec<Value>>, from: usize, to: usize },
    /// Whole numbers one after the other.
    Range { first: i64, count: usize },
}

/// A list; a slice of it shares its elements.
#[derive(Clone, Debug)]
pub struct List {
    pub(super) kind: ListKind,
    /// Go's nil slice, which is zero and equal to nil.
    pub(super) is_nil: bool,
    levels: usize,
    weight: usize,
    items: Items,
}

/// Levels and weight of what holds these; `None` when that is too much.
fn measured<'v>(values: impl Iterator<Item = &'v Value>) -> Option<(usize, usize)> {
    let (mut levels, mut weight) = (0, 1_usize);
    for value in values {
        levels = levels.max(value.levels());
        weight = weight.saturating_add(value.weight());
    }
    (levels < VALUE_MAX_LEVELS && weight <= VALUE_MAX_WEIGHT).then_some((levels + 1, weight))
}

impl List {
    /// `None` when it would be nested deeper or larger than values may be.
    pub(super) fn of(kind: ListKind, items: Vec<Value>) -> Option<Self> {
        let (levels, weight) = measured(items.iter())?;
        let to = items.len();
        let items = Items::Slice { all: Arc::new(items), from: 0, to };
        Some(Self { kind, is_nil: false, levels, weight, items })
    }

    /// Go's nil slice.
    pub(super) fn nil(kind: ListKind) -> Self {
        Self { is_nil: true, kind, ..Self::range(0, 0) }
    }

    pub(super) fn range(first: i64, count: usize) -> Self {
        let items = Items::Range { first, count };
        Self { kind: ListKind::Int, is_nil: false, levels: 1, weight: count.saturating_add(1), items }
    }

    #[must_use]
    pub fn len(&self) -> usize {
        match self.items {
            Items::Slice { from, to, .. } => to - from,
            Items::Range { count, .. } => count,
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[must_use]
    pub fn get(&self, index: usize) -> Option<Value> {
        match &self.items {
            Items::Slice { all, from, to } => all.get(*from..*to)?.get(index).cloned(),
            Items::Range { first, count } => {
                (index < *count).then(|| Value::Int(first.wrapping_add(i64::try_from(index).unwrap_or(0))))
            }
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = Value> + '_ {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    /// The elements from one index to before another; both are within the list.
    pub(super) fn slice(&self, start: usize, end: usize) -> Self {
        let items = match &self.items {
            Items::Slice { all, from, .. } => {
                Items::Slice { all: Arc::clone(all), from: from + start, to: from + end.max(start) }
            }
            Items::Range { first, .. } => Items::Range {
                first: first.wrapping_add(i64::try_from(start).unwrap_or(0)),
                count: end.saturating_sub(start),
            },
        };
        // A slice of an array is a slice.
        let kind = if self.kind == ListKind::Pair { ListKind::Any } else { self.kind };
        let mut slice = Self { kind, is_nil: self.is_nil, levels: self.levels, weight: 1, items };
        slice.weight = slice.iter().map(|item| item.weight()).sum::<usize>() + 1;
        slice
    }
}

/// A key of a map. Whole numbers and floats are different keys.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    Nil,
    Bool(bool),
    Int(i64),
    Byte(u8),
    /// The bits of a float, never of NaN, of which zero is the positive one.
    Float(u64),
    Duration(i64),
    Month(u32),
    Weekday(u32),
    Text(Arc<str>),
}

impl Key {
    /// `None` for values that are no keys, such as lists.
    pub(super) fn of(value: &Value) -> Option<Self> {
        Some(match value {
            Value::Nil => Self::Nil,
            Value::Bool(value) => Self::Bool(*value),
            Value::Int(value) => Self::Int(*value),
            Value::Byte(value) => Self::Byte(*value),
            Value::Float(value) => Self::Float((value + 0.0).to_bits()),
            Value::Text(value) => Self::Text(Arc::clone(value)),
            Value::Duration(value) => Self::Duration(*value),
            Value::Month(value) => Self::Month(*value),
            Value::Weekday(value) => Self::Weekday(*value),
            Value::List(_) | Value::Map(_) | Value::Time(_) | Value::Split => return None,
        })
    }

    pub(super) fn value(&self) -> Value {
        match self {
            Self::Nil => Value::Nil,
            Self::Bool(value) => Value::Bool(*value),
            Self::Int(value) => Value::Int(*value),
            Self::Byte(value) => Value::Byte(*value),
            Self::Float(bits) => Value::Float(f64::from_bits(*bits)),
            Self::Text(value) => Value::Text(Arc::clone(value)),
            Self::Duration(value) => Value::Duration(*value),
            Self::Month(value) => Value::Month(*value),
            Self::Weekday(value) => Value::Weekday(*value),
        }
    }

    fn weight(&self) -> usize {
        self.text().map_or(1, |text| 1 + text.len() / 64)
    }

    /// The text of a text key.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }
}

/// Which Go type a map would have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MapKind {
    /// `map[string]any`
    Text,
    /// `map[any]any`
    Any,
    /// `map[any][]any`
    Groups,
    /// A pointer to a Go struct of this name: a field that it does not have is an error.
    Record(&'static str),
    /// The parameters themselves.
    Environment,
}

/// A map, in the order of its keys.
#[derive(Clone, Debug)]
pub struct Map {
    pub(super) kind: MapKind,
    /// Go's nil map.
    pub(super) is_nil: bool,
    levels: usize,
    weight: usize,
    pub(super) entries: Arc<BTreeMap<Key, Value>>,
}

impl Map {
    /// `None` when it would be nested deeper or larger than values may be.
    pub(super) fn of(kind: MapKind, entries: BTreeMap<Key, Value>) -> Option<Self> {
        let (levels, weight) = measured(entries.values())?;
        let keys: usize = entries.keys().map(Key::weight).sum();
        Some(Self { kind, is_nil: false, levels, weight: weight + keys, entries: Arc::new(entries) })
    }

    /// Go's nil map.
    pub(super) fn nil(kind: MapKind) -> Self {
        Self { kind, is_nil: true, levels: 1, weight: 1, entries: Arc::default() }
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Value)> {
        self.entries.iter()
    }
}

/// A value that is nested deeper than `VALUE_MAX_LEVELS` or heavier than `VALUE_MAX_WEIGHT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

impl Value {
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::Text(text.into())
    }

    /// JSON as Go reads it: every number is a float.
    ///
    /// # Errors
    /// When it is larger than a value may be.
    pub fn from_json(json: &serde_json::Value) -> Result<Self, TooLarge> {
        Self::from_json_within(json, VALUE_MAX_LEVELS)
    }

    fn from_json_within(json: &serde_json::Value, levels: usize) -> Result<Self, TooLarge> {
        let below = |inner: &serde_json::Value| {
            let levels = levels.checked_sub(1).ok_or(TooLarge)?;
            Self::from_json_within(inner, levels)
        };
        Ok(match json {
            serde_json::Value::Null => Self::Nil,
            serde_json::Value::Bool(value) => Self::Bool(*value),
            serde_json::Value::Number(number) => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
            serde_json::Value::String(text) => Self::text(text),
            serde_json::Value::Array(items) => {
                let items = items.iter().map(below).collect::<Result<_, _>>()?;
                Self::List(List::of(ListKind::Any, items).ok_or(TooLarge)?)
            }
            serde_json::Value::Object(entries) => {
                let entries = entries
                    .iter()
                    .map(|(key, value)| below(value).map(|value| (Key::Text(key.as_str().into()), value)));
                Self::Map(Map::of(MapKind::Text, entries.collect::<Result<_, _>>()?).ok_or(TooLarge)?)
            }
        })
    }

    /// The same value as a pointer to a Go struct: a field that it does not have is an error and not nil. Other values
    /// than maps stay what they are. `name` is the Go type, such as `*domain.Appeal`.
    #[must_use]
    pub fn into_record(self, name: &'static str) -> Self {
        match self {
            Self::Map(map) => Self::Map(Map { kind: MapKind::Record(name), ..map }),
            other => other,
        }
    }

    pub(super) fn levels(&self) -> usize {
        match self {
            Self::List(list) => list.levels,
            Self::Map(map) => map.levels,
            _ => 0,
        }
    }

    /// What walking over it costs.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Text(text) => 1 + text.len() / 64,
            Self::List(list) => list.weight,
            Self::Map(map) => map.weight,
            _ => 1,
        }
    }

    pub(super) fn list(items: Vec<Self>) -> Option<Self> {
        List::of(ListKind::Any, items).map(Self::List)
    }

    /// Whether it is equal to nil: nil itself and Go's nil lists and maps.
    #[must_use]
    pub fn is_nil(&self) -> bool {
        match self {
            Self::Nil => true,
            Self::List(list) => list.is_nil,
            Self::Map(map) => map.is_nil,
            _ => false,
        }
    }

    /// Whether it is the zero value of its Go type: false, 0, 0.0, "" and nil lists and maps; an empty list is not.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        match self {
            Self::Nil => true,
            Self::Bool(value) => !value,
            Self::Int(value) | Self::Duration(value) => *value == 0,
            Self::Byte(value) => *value == 0,
            // Go before 1.22 did not count negative zero.
            Self::Float(value) => *value == 0.0,
            Self::Text(text) => text.is_empty(),
            Self::List(list) => match list.kind {
                ListKind::Pair => list.iter().all(|item| item.is_nil()),
                _ => list.is_nil,
            },
            Self::Map(map) => map.is_nil,
            Self::Month(number) | Self::Weekday(number) => *number == 0,
            Self::Time(_) | Self::Split => false,
        }
    }

    /// The Go type, as `%T` writes it.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Nil => "<nil>",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Byte(_) => "uint8",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
            Self::List(list) => match list.kind {
                ListKind::Any => "[]interface {}",
                ListKind::Int => "[]int",
                ListKind::Text => "[]string",
                ListKind::Pair => "[2]interface {}",
                ListKind::Pairs => "[][2]interface {}",
            },
            Self::Map(map) => match map.kind {
                MapKind::Text => "map[string]interface {}",
                MapKind::Any => "map[interface {}]interface {}",
                MapKind::Groups => "map[interface {}][]interface {}",
                MapKind::Record(name) => name,
                MapKind::Environment => "evaluator.ExprParam",
            },
            Self::Time(_) => "time.Time",
            Self::Duration(_) => "time.Duration",
            Self::Month(_) => "time.Month",
            Self::Weekday(_) => "time.Weekday",
            Self::Split => "func(string, string) []string",
        }
    }

    /// The Go kind, as `reflect` names it.
    pub(super) fn kind_name(&self) -> &'static str {
        match self {
            Self::Nil => "invalid",
            Self::List(list) if list.kind == ListKind::Pair => "array",
            Self::List(_) => "slice",
            Self::Map(map) if matches!(map.kind, MapKind::Record(_)) => "ptr",
            Self::Map(_) => "map",
            Self::Time(_) => "struct",
            Self::Duration(_) => "int64",
            Self::Month(_) | Self::Weekday(_) => "int",
            Self::Split => "func",
            other => other.type_name(),
        }
    }

    /// Whether two values are of one type and the same all the way down, where 1 and 1.0 are not the same.
    fn is_identical(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Nil, Self::Nil) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) | (Self::Duration(a), Self::Duration(b)) => a == b,
            (Self::Byte(a), Self::Byte(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a == b,
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Month(a), Self::Month(b)) | (Self::Weekday(a), Self::Weekday(b)) => a == b,
            (Self::Time(a), Self::Time(b)) => a.at == b.at,
            (Self::List(a), Self::List(b)) => {
                a.kind == b.kind
                    && a.is_nil == b.is_nil
                    && a.len() == b.len()
                    && a.iter().zip(b.iter()).all(|(a, b)| a.is_identical(&b))
            }
            (Self::Map(a), Self::Map(b)) => {
                let same = |((k, v), (l, w)): ((&Key, &Self), (&Key, &Self))| k == l && v.is_identical(w);
                a.kind == b.kind
                    && a.is_nil == b.is_nil
                    && a.len() == b.len()
                    && a.iter().zip(b.iter()).all(same)
            }
            _ => false,
        }
    }

    /// What `==` says: numbers compare by what they mean, everything else must be of one type.
    #[must_use]
    pub fn equals(&self, other: &Self) -> bool {
        if let (Some(a), Some(b)) = (self.number(), other.number()) {
            return a.compares(b, |a, b| a == b, |a, b| a == b);
        }
        (self.is_nil() && other.is_nil()) || self.is_identical(other)
    }

    pub(super) fn number(&self) -> Option<Number> {
        match self {
            Self::Int(value) => Some(Number::Int(*value)),
            Self::Byte(value) => Some(Number::Int(i64::from(*value))),
            Self::Float(value) => Some(Number::Float(*value)),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Int(i64),
    Float(f64),
}

impl Number {
    #[expect(clippy::cast_precision_loss, reason = "as Go converts")]
    pub fn float(self) -> f64 {
        match self {
            Self::Int(value) => value as f64,
            Self::Float(value) => value,
        }
    }

    /// As Go converts on 64-bit Intel: what does not fit is the smallest number.
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
    pub fn int(self) -> i64 {
        match self {
            Self::Int(value) => value,
            Self::Float(value)
                if (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&value) =>
            {
                value as i64
            }
            Self::Float(_) => i64::MIN,
        }
    }

    /// As whole numbers if both are, and else as floats.
    pub fn compares(self, other: Self, ints: fn(i64, i64) -> bool, floats: fn(f64, f64) -> bool) -> bool {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => ints(a, b),
            _ => floats(self.float(), other.float()),
        }
    }
}

impl PartialEq for Value {
    /// Of one type and the same all the way down, except that NaN is no value's equal.
    fn eq(&self, other: &Self) -> bool {
        self.is_identical(other)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}
