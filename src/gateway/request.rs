//! An HTTP request as one framed gRPC message.
//!
//! The order is body, path, query, mask: on the wire the last value of a field wins and the parts of a message add up,
//! so every part is appended to what is there and nothing is decoded twice.

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Version};
use http_body_util::Full;
use tonic::Status;

use super::binding::{Binding, merged, push, value};
use super::codec::{Codec, Keys};
use super::messages::PREFIX_BYTES;
use super::refusal::{Reason, mismatch, parameter, refuse};
use super::rule::{Body, Mask};
use super::{metadata, query};

/// `google.protobuf.FieldMask.paths`.
const PATHS: u32 = 1;

/// Makes the gRPC request. `captures` are the path variables in the order of the rule's.
pub(crate) fn request(
    codec: &Codec,
    binding: &Binding,
    captures: &[String],
    parts: Parts,
    body: &[u8],
) -> Result<Request<Full<Bytes>>, Status> {
    let mut frame = Vec::with_capacity(PREFIX_BYTES + body.len() + 128);
    frame.resize(PREFIX_BYTES, 0);
    message(codec, binding, captures, &parts, body, &mut frame)?;
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
    codec: &Codec,
    binding: &Binding,
    captures: &[String],
    parts: &Parts,
    body: &[u8],
    frame: &mut Vec<u8>,
) -> Result<(), Status> {
    let rule = &binding.rule;
    let mut keys = Keys::default();
    if rule.body != Body::None && !body.trim_ascii().is_empty() {
        identity(parts)?;
        keys = match &rule.body {
            Body::Field(field) => {
                let mut content = Vec::new();
                let keys = codec.decode(&binding.body, body, &binding.style, &mut content)?;
                push(frame, field.number(), &content);
                keys
            }
            _ => codec.decode(&binding.body, body, &binding.style, frame)?,
        };
    }
    for (fields, text) in rule.variables.iter().zip(captures) {
        let start = frame.len();
        let name = || fields.iter().map(|field| field.name()).collect::<Vec<_>>().join(".");
        codec.parameter(&binding.input, fields, text, frame).map_err(|why| {
            let name = name();
            let message = format!("type mismatch, parameter: {name}, error: {why}");
            parameter(&name, &why, &message)
        })?;
        let numbers: Vec<u32> = fields.iter().map(|field| field.number()).collect();
        let (before, ours) = (frame.get(PREFIX_BYTES..start), frame.get(start..));
        let given = value(before.unwrap_or_default(), &numbers);
        if given.is_some() && given != value(ours.unwrap_or_default(), &numbers) {
            return Err(mismatch(&name()));
        }
    }
    if let Some(query) = parts.uri.query()
        && rule.body != Body::Whole
    {
        query::append(codec, binding, query, frame)?;
    }
    if let Some(mask) = &rule.mask {
        fill(mask, &rule.body, &keys, frame);
    }
    Ok(())
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
fn fill(mask: &Mask, body: &Body, keys: &Keys, frame: &mut Vec<u8>) {
    let sent = merged(frame.get(PREFIX_BYTES..).unwrap_or_default(), mask.field.number());
    if !sent.is_empty() {
        return;
    }
    let present = match body {
        Body::Field(_) => keys.top(),
        _ => keys.within(&mask.resource),
    };
    let mut content = Vec::new();
    for name in present.filter(|name| !mask.bound.iter().any(|bound| bound == name)) {
        push(&mut content, PATHS, name.as_bytes());
    }
    if !content.is_empty() {
        push(frame, mask.field.number(), &content);
    }
}
