//! Getting at the parts of a value: elements, fields, slices, keys; and what goes over a collection.

use std::sync::Arc;

use super::evaluate::Fault;
use super::value::{Key, List, ListKind, Map, MapKind, Number, Value};
use crate::expr::evaluate::EvalCode;

/// What a predicate goes over.
pub(super) enum Collection {
    List(List),
    /// The bytes of a text.
    Text(Arc<str>),
    /// A map has a length but no elements.
    Map(usize),
}

impl Collection {
    pub fn of(value: Value) -> Result<Self, Fault> {
        match value {
            Value::List(list) => Ok(Self::List(list)),
            Value::Text(text) => Ok(Self::Text(text)),
            Value::Map(map) if !matches!(map.kind, MapKind::Record(_)) => Ok(Self::Map(map.len())),
            Value::Nil => {
                Err(Fault::wrong_type("reflect: call of reflect.Value.Len on zero Value".to_owned()))
            }
            other => {
                let kind = other.kind_name();
                Err(Fault::wrong_type(format!("reflect: call of reflect.Value.Len on {kind} Value")))
            }
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Self::List(list) => list.len(),
            Self::Text(text) => text.len(),
            Self::Map(len) => *len,
        }
    }

    pub fn get(&self, index: usize) -> Result<Value, Fault> {
        let found = match self {
            Self::List(list) => list.get(index),
            Self::Text(text) => text.as_bytes().get(index).map(|byte| Value::Byte(*byte)),
            Self::Map(_) => {
                return Err(Fault::wrong_type(
                    "reflect: call of reflect.Value.Index on map Value".to_owned(),
                ));
            }
        };
        found.ok_or_else(|| Fault::new(EvalCode::OutOfRange, self.out_of_range().to_owned()))
    }

    fn out_of_range(&self) -> &'static str {
        match self {
            Self::List(list) if list.kind == ListKind::Pair => "reflect: array index out of range",
            Self::Text(_) => "reflect: string index out of range",
            _ => "reflect: slice index out of range",
        }
    }
}

/// A value as the key of a map that takes any.
pub(super) fn key(value: &Value) -> Result<Key, Fault> {
    Key::of(value).ok_or_else(|| {
        Fault::wrong_type(format!("runtime error: hash of unhashable type {}", value.type_name()))
    })
}

pub(super) fn not_assignable(value: &Value, wanted: &str) -> Fault {
    let found = value.type_name();
    Fault::wrong_type(format!(
        "reflect.Value.MapIndex: value of type {found} is not assignable to type {wanted}"
    ))
}

/// A value as Go's `%v` writes it in a message.
fn brief(value: &Value) -> String {
    super::text::shown(value, 200).unwrap_or_else(|| "…".to_owned())
}

pub(super) fn cannot_fetch(base: &Value, property: &Value) -> Fault {
    let message = format!("cannot fetch {} from {}", brief(property), base.type_name());
    Fault::new(EvalCode::NoSuchKey, message)
}

pub(super) fn to_int(value: &Value) -> Result<i64, Fault> {
    let number = value.number().map(Number::int);
    number.ok_or_else(|| Fault::wrong_type(format!("invalid operation: int({})", value.type_name())))
}

/// `base[property]` and `base.property`.
pub(super) fn fetch(base: &Value, property: &Value) -> Result<Value, Fault> {
    match base {
        Value::List(_) | Value::Text(_) => {
            let collection = Collection::of(base.clone())?;
            let index = to_int(property)?;
            let length = i64::try_from(collection.len()).unwrap_or(i64::MAX);
            let index = if index < 0 { length.wrapping_add(index) } else { index };
            let place = usize::try_from(index);
            place.ok().map_or_else(
                || Err(Fault::new(EvalCode::OutOfRange, collection.out_of_range().to_owned())),
                |place| collection.get(place),
            )
        }
        Value::Map(map) => fetch_from_map(base, map, property),
        _ => Err(cannot_fetch(base, property)),
    }
}

fn fetch_from_map(base: &Value, map: &Map, property: &Value) -> Result<Value, Fault> {
    let missing = match map.kind {
        MapKind::Groups => Value::List(List::nil(ListKind::Any)),
        _ => Value::Nil,
    };
    let wanted = match (map.kind, property) {
        (MapKind::Any | MapKind::Groups, _) => key(property)?,
        (MapKind::Environment, Value::Text(name)) if **name == *"Split" => return Ok(Value::Split),
        (MapKind::Record(_), Value::Text(name)) => {
            return map
                .entries
                .get(&Key::Text(Arc::clone(name)))
                .cloned()
                .ok_or_else(|| cannot_fetch(base, property));
        }
        (MapKind::Record(_), other) => return Err(Fault::conversion(other, "string")),
        (_, Value::Text(text)) => Key::Text(Arc::clone(text)),
        (_, Value::Nil) => Key::Text("".into()),
        (_, other) => return Err(not_assignable(other, "string")),
    };
    Ok(map.entries.get(&wanted).cloned().unwrap_or(missing))
}

/// `base[from:to]`.
pub(super) fn slice(base: &Value, from: &Value, to: &Value) -> Result<Value, Fault> {
    let length = match base {
        Value::List(list) => list.len(),
        Value::Text(text) => text.len(),
        _ => return Err(Fault::wrong_type(format!("cannot slice {}", brief(from)))),
    };
    let bound = |value: &Value| -> Result<usize, Fault> {
        let index = to_int(value)?;
        let length = i64::try_from(length).unwrap_or(i64::MAX);
        let index = if index < 0 { length.wrapping_add(index) } else { index };
        Ok(usize::try_from(index.clamp(0, length)).unwrap_or(0))
    };
    let (from, to) = (bound(from)?, bound(to)?);
    let from = from.min(to);
    match base {
        Value::List(list) if list.kind == ListKind::Pair => {
            Err(Fault::wrong_type("reflect.Value.Slice: slice of unaddressable array".to_owned()))
        }
        Value::List(list) => Ok(Value::List(list.slice(from, to))),
        Value::Text(text) => text
            .get(from..to)
            .map(Value::text)
            .ok_or_else(|| Fault::invalid("the slice would cut a character of the text in two".to_owned())),
        _ => Err(Fault::wrong_type(format!("cannot slice {}", brief(base)))),
    }
}
