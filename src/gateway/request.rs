//! An HTTP request as one framed gRPC message.
//!
//! The order is body, path and query, mask: on the wire the last value of a field wins and the parts of a message add up,
//! so every part is appended to what is there and nothing is decoded twice.

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Version};
use http_body_util::Full;
use prost_reflect::FieldDescriptor;
use tonic::Status;

use super::binding::{Binding, merged, push, value};
use super::messages::PREFIX_BYTES;
use super::refusal::{self, Reason, refuse};
use super::rule::{Body, Mask};
use super::{metadata, query};
use crate::wire::json::{self, Decoded, Key, Reading};

/// What path, query and mask usually add to the body.
const ROOM_BYTES: usize = 128;

/// `google.protobuf.FieldMask.paths`.
const PATHS: u32 = 1;

/// Makes the gRPC request. `captures` are the path variables in the order of the rule's.
pub(crate) fn request(
    binding: &Binding,
    captures: &[String],
    parts: Parts,
    body: &[u8],
) -> Result<Request<Full<Bytes>>, Status> {
    let mut frame = Vec::with_capacity(PREFIX_BYTES + body.len() + ROOM_BYTES);
    frame.resize(PREFIX_BYTES, 0);
    message(binding, captures, &parts, body, &mut frame)?;
    let length = u32::try_from(frame.len() - PREFIX_BYTES);
    let length = length.map_err(|_| refuse(Reason::BodyTooLarge, "the message is larger than 4 GiB"))?;
    if let Some(place) = frame.get_mut(1..PREFIX_BYTES) {
        place.copy_from_slice(&length.to_be_bytes());
    }

    let mut request = Request::new(Full::new(Bytes::from(frame)));
    *request.method_mut() = Method::POST;
    *request.version_mut() = Version::HTTP_2;
    *request.uri_mut() = binding.uri.clone();
    let headers = request.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    metadata::forward(&parts, headers)?;
    *request.extensions_mut() = parts.extensions;
    Ok(request)
}

fn message(
    binding: &Binding,
    captures: &[String],
    parts: &Parts,
    body: &[u8],
    frame: &mut Vec<u8>,
) -> Result<(), Status> {
    let decoded = read(binding, parts, body, frame)?;
    if lacks_resource(binding, frame) {
        return Ok(());
    }
    let parameters = query::parameters(binding, captures, parts.uri.query().unwrap_or_default())?;
    for fields in &binding.rule.variables {
        let numbers: Vec<u32> = fields.iter().map(FieldDescriptor::number).collect();
        let given = value(frame.get(PREFIX_BYTES..).unwrap_or_default(), &numbers);
        if given.is_some() && given != value(&parameters, &numbers) {
            let names: Vec<&str> = fields.iter().map(FieldDescriptor::json_name).collect();
            return Err(refusal::mismatch(&names.join(".")));
        }
    }
    frame.extend_from_slice(&parameters);
    if let (Some(mask), Some(decoded)) = (&binding.rule.mask, &decoded) {
        fill(mask, &binding.rule.body, decoded, frame);
    }
    Ok(())
}

/// Whether the body of an update does not say what is updated: the resource's key is missing, or null. The id in the path
/// would make a resource of which nothing else is known; without it the service says what is missing, as over gRPC.
fn lacks_resource(binding: &Binding, frame: &[u8]) -> bool {
    let Some(mask) = binding.rule.mask.as_ref().filter(|_| binding.rule.body == Body::Whole) else {
        return false;
    };
    value(frame.get(PREFIX_BYTES..).unwrap_or_default(), &[mask.resource.number()]).is_none()
}

/// Reads the body into `frame`, if the rule has one and it is not empty.
fn read(
    binding: &Binding,
    parts: &Parts,
    body: &[u8],
    frame: &mut Vec<u8>,
) -> Result<Option<Decoded>, Status> {
    if binding.rule.body == Body::None || body.trim_ascii().is_empty() {
        return Ok(None);
    }
    identity(parts)?;
    let how = &binding.dialect.style.read;
    let decoded = match &binding.rule.body {
        Body::Field(field) => {
            let mut content = Vec::new();
            let how = &Reading { messages_around: 1, ..*how };
            let decoded = json::decode(&binding.body, body, how, &mut content);
            push(frame, field.number(), &content);
            decoded
        }
        Body::Whole | Body::None => json::decode(&binding.body, body, how, frame),
    };
    decoded.map(Some).map_err(|error| {
        let description = format!("{} (line {}, column {})", error.message, error.line, error.column);
        refusal::field(error.reason.code(), &error.path, &description, &error.to_string())
    })
}

/// Bodies come as they are; a compressed one is refused in words and not as bad JSON.
fn identity(parts: &Parts) -> Result<(), Status> {
    let coded = parts.headers.get_all(header::CONTENT_ENCODING).iter().find(|value| {
        let value = value.as_bytes().trim_ascii();
        !value.is_empty() && !value.eq_ignore_ascii_case(b"identity")
    });
    match coded {
        None => Ok(()),
        Some(coding) => {
            let coding = String::from_utf8_lossy(coding.as_bytes());
            let message = format!("the content encoding {coding} is not supported: send the body as it is");
            Err(refuse(Reason::ContentEncodingUnsupported, message))
        }
    }
}

/// Fills the mask that the caller left out with the keys that the resource has in the body, so that an explicit
/// `false`, `""` or `null` counts and a client that does not know a field does not clear it.
fn fill(mask: &Mask, body: &Body, decoded: &Decoded, frame: &mut Vec<u8>) {
    let sent = merged(frame.get(PREFIX_BYTES..).unwrap_or_default(), mask.field.number());
    if !sent.is_empty() {
        return;
    }
    let mut content = Vec::new();
    let mut add = |key: Key<'_>| {
        if !mask.bound.iter().any(|bound| bound == key.name) {
            push(&mut content, PATHS, key.name.as_bytes());
        }
    };
    match body {
        Body::Field(_) => decoded.keys().for_each(&mut add),
        Body::Whole | Body::None => decoded.keys_under(mask.resource.name()).for_each(&mut add),
    }
    if !content.is_empty() {
        push(frame, mask.field.number(), &content);
    }
}
