//! JSON values as messages: `google.protobuf.Struct`, `Value` and `ListValue`, in types of our own.
//!
//! The protobuf rule is that the entries of a map have no order, and `prost-types` sorts them by key. A form or a
//! connector's configuration is a client's JSON, though, and has to come back as it was given, with its keys in their
//! order. A map is, on the wire, a repeated message of key and value; so is [`Struct::fields`], which makes the bytes the
//! same and keeps the order. The generated code uses these types wherever a `.proto` names the originals.
//!
//! A key that is there twice stays there twice; whoever turns JSON into a [`Struct`] refuses that. Nothing here may know
//! JSON text.

use prost::{Message, Name, Oneof};

/// A JSON object.
#[derive(Clone, PartialEq, Message)]
pub struct Struct {
    /// The members, in the order they were given.
    #[prost(message, repeated, tag = "1")]
    pub fields: Vec<Entry>,
}

/// One member of a JSON object. On the wire, an entry of the map that `google.protobuf.Struct` declares.
#[derive(Clone, PartialEq, Message)]
pub struct Entry {
    /// The member's name.
    #[prost(string, tag = "1")]
    pub key: String,
    /// The member's value; `None` reads as a value of no kind.
    #[prost(message, optional, tag = "2")]
    pub value: Option<Value>,
}

/// A JSON value.
#[derive(Clone, PartialEq, Message)]
pub struct Value {
    /// `None` only in a message that some client built wrongly: JSON null is [`Kind::NullValue`].
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4, 5, 6")]
    pub kind: Option<Kind>,
}

/// What a JSON value is.
#[derive(Clone, PartialEq, Oneof)]
pub enum Kind {
    /// `null`.
    #[prost(enumeration = "::prost_types::NullValue", tag = "1")]
    NullValue(i32),
    /// A number; NaN and the infinities have no JSON.
    #[prost(double, tag = "2")]
    NumberValue(f64),
    /// A string.
    #[prost(string, tag = "3")]
    StringValue(String),
    /// `true` or `false`.
    #[prost(bool, tag = "4")]
    BoolValue(bool),
    /// An object.
    #[prost(message, tag = "5")]
    StructValue(Struct),
    /// An array.
    #[prost(message, tag = "6")]
    ListValue(ListValue),
}

/// A JSON array.
#[derive(Clone, PartialEq, Message)]
pub struct ListValue {
    /// The elements.
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<Value>,
}

impl Name for Struct {
    const PACKAGE: &'static str = "google.protobuf";
    const NAME: &'static str = "Struct";
}

impl Name for Value {
    const PACKAGE: &'static str = "google.protobuf";
    const NAME: &'static str = "Value";
}

impl Name for ListValue {
    const PACKAGE: &'static str = "google.protobuf";
    const NAME: &'static str = "ListValue";
}

#[cfg(test)]
mod tests {
    use prost_types::value::Kind as Original;

    use super::*;

    fn original(kind: Original) -> prost_types::Value {
        prost_types::Value { kind: Some(kind) }
    }

    #[test]
    fn bytes_are_those_of_the_original() {
        let inner =
            prost_types::Struct { fields: [("".to_owned(), original(Original::BoolValue(false)))].into() };
        let values = vec![original(Original::NullValue(0)), original(Original::StringValue("ü".to_owned()))];
        let sample = prost_types::Struct {
            fields: [
                ("a".to_owned(), original(Original::NumberValue(0.0))),
                ("b".to_owned(), original(Original::StructValue(inner))),
                ("c".to_owned(), original(Original::ListValue(prost_types::ListValue { values }))),
                ("d".to_owned(), original(Original::StringValue(String::new()))),
            ]
            .into(),
        };
        let bytes = sample.encode_to_vec();
        let ours = Struct::decode(bytes.as_slice()).unwrap();
        assert_eq!(ours.fields.len(), 4);
        assert_eq!(ours.fields[0].value, Some(Value { kind: Some(Kind::NumberValue(0.0)) }));
        assert_eq!(ours.encode_to_vec(), bytes);
    }

    #[test]
    fn names_are_those_of_the_originals() {
        for name in [Struct::full_name(), Value::full_name(), ListValue::full_name()] {
            let file = crate::pb::pool().get_message_by_name(&name).unwrap().parent_file();
            assert_eq!(file.name(), "google/protobuf/struct.proto");
        }
    }

    #[test]
    fn keys_keep_their_order() {
        let keys = ["zeta", "alpha", "mu"];
        let value = Some(Value { kind: Some(Kind::BoolValue(true)) });
        let fields = keys.map(|key| Entry { key: key.to_owned(), value: value.clone() });
        let form = Some(Struct { fields: fields.into() });
        let step = crate::pb::c1::api::policy::v1::Form { form };
        let back = crate::pb::c1::api::policy::v1::Form::decode(step.encode_to_vec().as_slice()).unwrap();
        let found: Vec<_> = back.form.unwrap().fields.into_iter().map(|entry| entry.key).collect();
        assert_eq!(found, keys);
    }
}
