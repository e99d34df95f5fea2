//! Free-form JSON of messages, as expressions and as Guardian's appeals have it. As deep as the message is, which the codec
//! bounds.

use crate::expr::{Attributes, Json};
use crate::pb::json::{Entry, Kind, Struct, Value};

/// The attributes of somebody or something.
pub fn attributes(given: Option<Struct>) -> Attributes {
    let entries = given.into_iter().flat_map(|given| given.fields);
    entries.map(|Entry { key, value }| (key, attribute(value))).collect()
}

fn attribute(value: Option<Value>) -> Json {
    match value.and_then(|value| value.kind) {
        None | Some(Kind::NullValue(_)) => Json::Null,
        Some(Kind::NumberValue(number)) => Json::Number(number),
        Some(Kind::StringValue(text)) => Json::String(text),
        Some(Kind::BoolValue(truth)) => Json::Bool(truth),
        Some(Kind::StructValue(object)) => Json::Map(attributes(Some(object))),
        Some(Kind::ListValue(list)) => {
            Json::List(list.values.into_iter().map(|value| attribute(Some(value))).collect())
        }
    }
}

/// A value as plain JSON; a number that JSON cannot write is null.
pub fn to_json(value: Option<&Value>) -> serde_json::Value {
    match value.and_then(|value| value.kind.as_ref()) {
        None | Some(Kind::NullValue(_)) => serde_json::Value::Null,
        Some(Kind::NumberValue(number)) => (*number).into(),
        Some(Kind::StringValue(text)) => text.clone().into(),
        Some(Kind::BoolValue(truth)) => (*truth).into(),
        Some(Kind::StructValue(object)) => serde_json::Value::Object(to_object(object)),
        Some(Kind::ListValue(list)) => list.values.iter().map(|value| to_json(Some(value))).collect(),
    }
}

/// An object as plain JSON.
pub fn to_object(object: &Struct) -> serde_json::Map<String, serde_json::Value> {
    let members = object.fields.iter();
    members.map(|Entry { key, value }| (key.clone(), to_json(value.as_ref()))).collect()
}
