//! A rule made ready for requests: the numbers and types that its fields come down to on the wire.

use std::borrow::Cow;
use std::sync::Arc;

use http::Uri;
use prost_reflect::FieldDescriptor;

use super::rule::{BadRule, Body, Rule};
use super::style::Dialect;
use crate::wire::{Fields, Raw, Schema, Type};

#[derive(Debug)]
pub(crate) struct Binding {
    /// `/package.Service/Method`, which is both the gRPC path and the name of the RPC in logs.
    pub(crate) rpc: String,
    pub(crate) uri: Uri,
    pub(crate) rule: Rule,
    pub(crate) input: Type,
    /// What the HTTP body is read as: the request, or one field of it.
    pub(crate) body: Type,
    /// What the HTTP body is written from: the answer, or one field of it.
    pub(crate) output: Type,
    pub(crate) response_body: Option<u32>,
    pub(crate) streams: bool,
    pub(crate) dialect: Arc<Dialect>,
}

impl Binding {
    pub(crate) fn new(schema: &Schema, rule: Rule, dialect: Arc<Dialect>) -> Result<Binding, BadRule> {
        let rpc = &rule.rpc;
        let bad = |why: &str| BadRule { rpc: rpc.full_name().to_owned(), why: why.to_owned() };
        let of = |name: &str| schema.message(name).ok_or_else(|| bad("a message of it is not in the schema"));
        let of_field = |field: &FieldDescriptor| {
            field.kind().as_message().map_or_else(|| Err(bad("not a message")), |kind| of(kind.full_name()))
        };
        let input = of(rpc.input().full_name())?;
        let body = match &rule.body {
            Body::Field(field) => of_field(field)?,
            Body::None | Body::Whole => input.clone(),
        };
        let output = match &rule.response_body {
            Some(field) => of_field(field)?,
            None => of(rpc.output().full_name())?,
        };
        let response_body = rule.response_body.as_ref().map(FieldDescriptor::number);
        let name = format!("/{}/{}", rpc.parent_service().full_name(), rpc.name());
        let uri = Uri::try_from(&name).map_err(|_| bad("its name is not a path"))?;
        let streams = rpc.is_server_streaming();
        Ok(Binding { rpc: name, uri, input, body, output, response_body, streams, dialect, rule })
    }
}

/// The message in a field of `message`: several occurrences of one message field are one message (protobuf's
/// encoding guide, "last one wins").
pub(crate) fn merged(message: &[u8], number: u32) -> Cow<'_, [u8]> {
    let mut found = Cow::Borrowed(&[][..]);
    for field in Fields::new(message).flatten().filter(|field| field.number == number) {
        if let Raw::Len(part) = field.raw {
            if found.is_empty() {
                found = Cow::Borrowed(part);
            } else {
                found.to_mut().extend_from_slice(part);
            }
        }
    }
    found
}

/// The value that `path` leads to, the last if there are several, or nothing if it is unset.
pub(crate) fn value<'a>(message: &'a [u8], path: &[u32]) -> Option<Raw<'a>> {
    let (number, rest) = path.split_first()?;
    let mut found = None;
    for field in Fields::new(message).flatten().filter(|field| field.number == *number) {
        match field.raw {
            Raw::Len(inner) if !rest.is_empty() => found = value(inner, rest).or(found),
            raw if rest.is_empty() => found = Some(raw),
            _ => {}
        }
    }
    found
}

/// Appends a length-delimited field to `out`.
pub(crate) fn push(out: &mut Vec<u8>, number: u32, content: &[u8]) {
    varint(out, u64::from(number) << 3 | 2);
    varint(out, content.len() as u64);
    out.extend_from_slice(content);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
