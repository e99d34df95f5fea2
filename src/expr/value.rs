//! What an evaluation gives: a plain value, with the name of its type and its text. Knows cel's values only to read them.

use std::fmt;
use std::sync::Arc;

use cel::common::types::{
    CelBool, CelBytes, CelDouble, CelDuration, CelInt, CelList, CelNull, CelString, CelTimestamp, CelType,
    CelUInt,
};
use cel::common::value::Val;
use chrono::{DateTime, FixedOffset, SecondsFormat, TimeDelta};

use super::address::{Cidr, Ip};
use super::facts::User;
use super::record::{EnumValue, OrderedMap, Record, Source};
use super::schema::Enumeration;

/// The result of an evaluation.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(String),
    Bytes(Vec<u8>),
    Timestamp(DateTime<FixedOffset>),
    Duration(TimeDelta),
    /// The name of a type.
    Type(String),
    Ip(Ip),
    Cidr(Cidr),
    List(Vec<Self>),
    /// Entries in the order of their keys.
    Map(Vec<(Self, Self)>),
    Enum(Enumeration, u8),
    User(Arc<User>),
    /// Any other object: the name of its type, and its fields in the order they are declared.
    Object(&'static str, Vec<(&'static str, Self)>),
}

impl Value {
    /// The name of the type at run time; for lists and maps without their parameters.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Double(_) => "double",
            Self::String(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::Timestamp(_) => "timestamp",
            Self::Duration(_) => "duration",
            Self::Type(_) => "type",
            Self::Ip(_) => "IP",
            Self::Cidr(_) => "CIDR",
            Self::List(_) => "list",
            Self::Map(_) => "map",
            Self::Enum(enumeration, _) => enumeration.name(),
            Self::User(_) => "User",
            Self::Object(name, _) => name,
        }
    }

    /// The users of an approver expression: none for `null`, one, or those of a list. `None` for other values.
    #[must_use]
    pub fn users(&self) -> Option<Vec<Arc<User>>> {
        match self {
            Self::Null => Some(Vec::new()),
            Self::User(user) => Some(vec![Arc::clone(user)]),
            Self::List(values) => {
                let users = values.iter().filter(|value| **value != Self::Null);
                users
                    .map(|value| if let Self::User(user) = value { Some(Arc::clone(user)) } else { None })
                    .collect()
            }
            _ => None,
        }
    }

    /// Reads a value of cel's. `None` for what has no meaning outside an evaluation.
    pub(super) fn read(value: &dyn Val) -> Option<Self> {
        if let Some(value) = value.downcast_ref::<CelBool>() {
            return Some(Self::Bool(*value.inner()));
        }
        if let Some(value) = value.downcast_ref::<CelString>() {
            return Some(Self::String(value.inner().to_owned()));
        }
        if let Some(list) = value.downcast_ref::<CelList>() {
            return list
                .inner()
                .iter()
                .map(|element| Self::read(element.as_ref()))
                .collect::<Option<_>>()
                .map(Self::List);
        }
        if let Some(record) = value.downcast_ref::<Record>() {
            return Self::read_record(record);
        }
        if let Some(map) = value.downcast_ref::<OrderedMap>() {
            let entries = map
                .0
                .values()
                .map(|(key, value)| Some((Self::read(key.as_ref())?, Self::read(value.as_ref())?)));
            return entries.collect::<Option<_>>().map(Self::Map);
        }
        Self::read_scalar(value)
    }

    fn read_scalar(value: &dyn Val) -> Option<Self> {
        if let Some(value) = value.downcast_ref::<CelInt>() {
            return Some(Self::Int(*value.inner()));
        }
        if let Some(value) = value.downcast_ref::<CelUInt>() {
            return Some(Self::Uint(*value.inner()));
        }
        if let Some(value) = value.downcast_ref::<CelDouble>() {
            return Some(Self::Double(*value.inner()));
        }
        if let Some(value) = value.downcast_ref::<CelTimestamp>() {
            return Some(Self::Timestamp(*value.inner()));
        }
        if let Some(value) = value.downcast_ref::<CelDuration>() {
            return Some(Self::Duration(*value.inner()));
        }
        if let Some(value) = value.downcast_ref::<CelBytes>() {
            return Some(Self::Bytes(value.inner().to_vec()));
        }
        if let Some(value) = value.downcast_ref::<CelType>() {
            return Some(Self::Type(value.name().to_owned()));
        }
        if let Some(value) = value.downcast_ref::<EnumValue>() {
            return Some(Self::Enum(value.enumeration, value.number));
        }
        if let Some(value) = value.downcast_ref::<Ip>() {
            return Some(Self::Ip(*value));
        }
        if let Some(value) = value.downcast_ref::<Cidr>() {
            return Some(Self::Cidr(value.clone()));
        }
        value.downcast_ref::<CelNull>().map(|_| Self::Null)
    }

    fn read_record(record: &Record) -> Option<Self> {
        if let Source::User(user) = record.source() {
            return Some(Self::User(Arc::clone(user)));
        }
        let names = record.object().fields().iter().map(|field| field.name);
        let fields =
            names.enumerate().map(|(slot, name)| Some((name, Self::read(record.slot(slot)?.as_ref())?)));
        Some(Self::Object(record.object().name(), fields.collect::<Option<_>>()?))
    }

    fn write_nested(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::String(text) => write!(f, "{text:?}"),
            _ => fmt::Display::fmt(self, f),
        }
    }
}

/// The text of a value: a string as it is, strings inside of others in quotes, a user by the id.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => fmt::Display::fmt(value, f),
            Self::Int(value) => fmt::Display::fmt(value, f),
            Self::Uint(value) => fmt::Display::fmt(value, f),
            Self::Double(value) => fmt::Display::fmt(value, f),
            Self::String(value) | Self::Type(value) => f.write_str(value),
            Self::Bytes(value) => fmt::Display::fmt(&value.escape_ascii(), f),
            Self::Timestamp(value) => f.write_str(&value.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
            Self::Duration(value) => f.write_str(&duration_text(*value)),
            Self::Ip(value) => fmt::Display::fmt(value, f),
            Self::Cidr(value) => fmt::Display::fmt(value, f),
            Self::List(values) => {
                f.write_str("[")?;
                for (index, value) in values.iter().enumerate() {
                    f.write_str(if index > 0 { ", " } else { "" })?;
                    value.write_nested(f)?;
                }
                f.write_str("]")
            }
            Self::Map(entries) => write_entries(f, entries.iter().map(|(key, value)| (key, value))),
            Self::Enum(enumeration, number) => {
                let name = enumeration.values().get(usize::from(*number)).copied().unwrap_or("UNSPECIFIED");
                write!(f, "{}.{name}", enumeration.name())
            }
            Self::User(user) => write!(f, "User({})", user.id),
            Self::Object(name, fields) => {
                let named: Vec<(Self, &Self)> =
                    fields.iter().map(|(name, value)| (Self::Type((*name).to_owned()), value)).collect();
                f.write_str(name)?;
                write_entries(f, named.iter().map(|(name, value)| (name, *value)))
            }
        }
    }
}

fn write_entries<'a>(
    f: &mut fmt::Formatter<'_>,
    entries: impl Iterator<Item = (&'a Value, &'a Value)>,
) -> fmt::Result {
    f.write_str("{")?;
    for (index, (key, value)) in entries.enumerate() {
        f.write_str(if index > 0 { ", " } else { "" })?;
        key.write_nested(f)?;
        f.write_str(": ")?;
        value.write_nested(f)?;
    }
    f.write_str("}")
}

/// Seconds with as many digits as are needed, as protobuf's JSON has durations: `1.5s`.
fn duration_text(duration: TimeDelta) -> String {
    let nanos = duration.subsec_nanos();
    let sign = if duration < TimeDelta::zero() { "-" } else { "" };
    let seconds = duration.num_seconds().unsigned_abs();
    if nanos == 0 {
        return format!("{sign}{seconds}s");
    }
    let digits = format!("{:09}", nanos.unsigned_abs());
    format!("{sign}{seconds}.{}s", digits.trim_end_matches('0'))
}
