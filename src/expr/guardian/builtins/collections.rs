//! Functions of lists and maps.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::Builtin;
use crate::expr::guardian::access::{fetch, key};
use crate::expr::guardian::evaluate::{Fault, Run};
use crate::expr::guardian::value::{Key, List, ListKind, Map, MapKind, Value};

pub(super) fn call(builtin: Builtin, arguments: &[Value], run: &mut Run<'_>) -> Result<Value, Fault> {
    let nil = Value::Nil;
    let first = arguments.first().unwrap_or(&nil);
    match builtin {
        // These give nil for whatever goes wrong.
        Builtin::First => Ok(fetch(first, &Value::Int(0)).unwrap_or(Value::Nil)),
        Builtin::Last => Ok(fetch(first, &Value::Int(-1)).unwrap_or(Value::Nil)),
        Builtin::Get => Ok(fetch(first, arguments.get(1).unwrap_or(&nil)).unwrap_or(Value::Nil)),
        Builtin::Take => take(first, arguments.get(1).unwrap_or(&nil)),
        Builtin::Keys => {
            let map = map_of(first, "get keys from {}")?;
            Run::list(ListKind::Any, map.iter().map(|(key, _)| key.value()).collect())
        }
        Builtin::Values => {
            let map = map_of(first, "get values from {}")?;
            Run::list(ListKind::Any, map.iter().map(|(_, value)| value.clone()).collect())
        }
        Builtin::ToPairs => to_pairs(first),
        Builtin::FromPairs => from_pairs(first),
        _ => sort(builtin, arguments, run),
    }
}

fn map_of<'v>(value: &'v Value, what: &str) -> Result<&'v Map, Fault> {
    match value {
        Value::Map(map) if !matches!(map.kind, MapKind::Record(_)) => Ok(map),
        other => Err(Fault::wrong_type(format!("cannot {}", what.replace("{}", other.kind_name())))),
    }
}

fn list_of<'v>(value: &'v Value, what: &str) -> Result<&'v List, Fault> {
    match value {
        Value::List(list) => Ok(list),
        other => Err(Fault::wrong_type(format!("cannot {what} {}", other.kind_name()))),
    }
}

fn take(list: &Value, count: &Value) -> Result<Value, Fault> {
    let found = list_of(list, "take from")?;
    let count = match count {
        Value::Int(count) | Value::Duration(count) => *count,
        Value::Month(count) | Value::Weekday(count) => i64::from(*count),
        other => return Err(Fault::wrong_type(format!("cannot take {} elements", other.kind_name()))),
    };
    match usize::try_from(count) {
        Ok(count) if count > found.len() => Ok(list.clone()),
        Ok(count) if found.kind != ListKind::Pair => Ok(Value::List(found.slice(0, count))),
        Ok(_) => Err(Fault::wrong_type("reflect.Value.Slice: slice of unaddressable array".to_owned())),
        Err(_) => Err(Fault::invalid("reflect.Value.Slice: slice index out of bounds".to_owned())),
    }
}

fn to_pairs(value: &Value) -> Result<Value, Fault> {
    let map = map_of(value, "transform {} to pairs")?;
    let pairs = map.iter().map(|(key, value)| Run::list(ListKind::Pair, vec![key.value(), value.clone()]));
    Run::list(ListKind::Pairs, pairs.collect::<Result<_, _>>()?)
}

fn from_pairs(value: &Value) -> Result<Value, Fault> {
    let Value::List(list) = value else {
        let shown = if matches!(value, Value::Nil) { "<nil>" } else { value.type_name() };
        return Err(Fault::wrong_type(format!("cannot transform {shown} from pairs")));
    };
    let mut entries = BTreeMap::new();
    for item in list.iter() {
        let shown = || super::super::text::shown(&item, 200).unwrap_or_default();
        let Value::List(pair) = &item else {
            return Err(Fault::wrong_type(format!("invalid pair {}", shown())));
        };
        let (2, Some(name), Some(value)) = (pair.len(), pair.get(0), pair.get(1)) else {
            return Err(Fault::invalid(format!("invalid pair length {}", shown())));
        };
        entries.insert(key(&name)?, value);
    }
    Run::map(MapKind::Any, entries)
}

fn sort(builtin: Builtin, arguments: &[Value], run: &mut Run<'_>) -> Result<Value, Fault> {
    let nil = Value::Nil;
    let list = list_of(arguments.first().unwrap_or(&nil), "sort")?;
    run.step(list.len().saturating_mul(8))?;
    let (field, direction) = match builtin {
        Builtin::SortBy => match arguments.get(1) {
            Some(Value::Text(field)) => (Arc::clone(field), arguments.get(2)),
            other => return Err(no_text(other.unwrap_or(&nil))),
        },
        _ => ("".into(), arguments.get(1)),
    };
    let descending = match direction {
        None => false,
        Some(Value::Text(text)) => match &**text {
            "asc" => false,
            "desc" => true,
            other => {
                return Err(Fault::invalid(format!(
                    "invalid argument for sort (expected \"asc\" or \"desc\", got {other:?})"
                )));
            }
        },
        Some(other) => return Err(no_text(other)),
    };
    let mut rows = Vec::with_capacity(list.len());
    for item in list.iter() {
        let by = sort_value(&item, &field)?;
        rows.push((by, item));
    }
    if let Some((first, _)) = rows.first()
        && let Some((other, _)) = rows.iter().find(|(by, _)| interface_name(by) != interface_name(first))
    {
        return Err(Fault::wrong_type(format!(
            "cannot sort array of different types ({} and {})",
            interface_name(other),
            interface_name(first)
        )));
    }
    if rows.len() > 1
        && let Some((by, _)) = rows.first()
        && !matches!(
            by,
            Value::Int(_) | Value::Text(_) | Value::Duration(_) | Value::Month(_) | Value::Weekday(_)
        )
    {
        let kind = if matches!(by, Value::Nil) { "interface" } else { by.kind_name() };
        return Err(Fault::wrong_type(format!("sort: unsupported type {kind}")));
    }
    rows.sort_by(|(a, _), (b, _)| if descending { ordered(b, a) } else { ordered(a, b) });
    Run::list(ListKind::Any, rows.into_iter().map(|(_, item)| item).collect())
}

fn interface_name(value: &Value) -> &'static str {
    if matches!(value, Value::Nil) { "interface {}" } else { value.type_name() }
}

fn no_text(value: &Value) -> Fault {
    let found = if matches!(value, Value::Nil) { "%!s(<nil>)" } else { value.type_name() };
    Fault::wrong_type(format!("invalid argument for sort (expected string, got {found})"))
}

/// What an element is sorted by: of a map, the value of the field.
fn sort_value(item: &Value, field: &Arc<str>) -> Result<Value, Fault> {
    let Value::Map(map) = item else { return Ok(item.clone()) };
    let found = map.entries.get(&Key::Text(Arc::clone(field))).cloned();
    found.ok_or_else(|| {
        Fault::new(
            crate::expr::evaluate::EvalCode::NoSuchKey,
            "cannot deref <invalid reflect.Value>".to_owned(),
        )
    })
}

fn ordered(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Value::Int(a), Value::Int(b)) | (Value::Duration(a), Value::Duration(b)) => a.cmp(b),
        (Value::Month(a), Value::Month(b)) | (Value::Weekday(a), Value::Weekday(b)) => a.cmp(b),
        _ => Ordering::Equal,
    }
}
