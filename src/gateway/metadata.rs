//! HTTP headers to gRPC metadata, and back.
//!
//! What goes in: `Authorization`, the headers that our operations read, `Grpc-Metadata-*`, the permanent headers
//! under `grpcgateway-`, who forwarded the request, and the time that is left. Everything else stops here, so that no
//! header of HTTP becomes a word of the gRPC protocol by accident. `docs/rest.md` has the table.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use tonic::Status;

use super::refusal::{self, Reason, refuse};

/// Headers that keep their name as metadata, because an operation of ours reads them.
const KEPT: [HeaderName; 5] = [
    header::IF_MATCH,
    HeaderName::from_static("countersign-apply"),
    HeaderName::from_static("countersign-validate-only"),
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("x-request-id"),
];

/// Metadata that keeps its name as a header: what `KEPT` is on the way out.
const ANSWERED: [&str; 3] = ["etag", "countersign-warning", "x-request-id"];

/// Names that `Grpc-Metadata-*` may not set: words of the protocol, and what the gateway vouches for itself.
const RESERVED: [&str; 9] = [
    "authorization",
    "connection",
    "content-type",
    "host",
    "te",
    "user-agent",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-request-id",
];

/// The permanent message headers of the IANA registry that carry over, with the name that they get.
const PERMANENT: [(&str, HeaderName); 22] = [
    ("accept", HeaderName::from_static("grpcgateway-accept")),
    ("accept-charset", HeaderName::from_static("grpcgateway-accept-charset")),
    ("accept-language", HeaderName::from_static("grpcgateway-accept-language")),
    ("accept-ranges", HeaderName::from_static("grpcgateway-accept-ranges")),
    ("authorization", HeaderName::from_static("grpcgateway-authorization")),
    ("cache-control", HeaderName::from_static("grpcgateway-cache-control")),
    ("content-type", HeaderName::from_static("grpcgateway-content-type")),
    ("cookie", HeaderName::from_static("grpcgateway-cookie")),
    ("date", HeaderName::from_static("grpcgateway-date")),
    ("expect", HeaderName::from_static("grpcgateway-expect")),
    ("from", HeaderName::from_static("grpcgateway-from")),
    ("if-match", HeaderName::from_static("grpcgateway-if-match")),
    ("if-modified-since", HeaderName::from_static("grpcgateway-if-modified-since")),
    ("if-none-match", HeaderName::from_static("grpcgateway-if-none-match")),
    ("if-schedule-tag-match", HeaderName::from_static("grpcgateway-if-schedule-tag-match")),
    ("if-unmodified-since", HeaderName::from_static("grpcgateway-if-unmodified-since")),
    ("max-forwards", HeaderName::from_static("grpcgateway-max-forwards")),
    ("origin", HeaderName::from_static("grpcgateway-origin")),
    ("pragma", HeaderName::from_static("grpcgateway-pragma")),
    ("referer", HeaderName::from_static("grpcgateway-referer")),
    ("user-agent", HeaderName::from_static("grpcgateway-user-agent")),
    ("via", HeaderName::from_static("grpcgateway-via")),
];

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const PREFIX: &str = "grpc-metadata-";

/// Writes the metadata of a request into `out`.
pub(crate) fn forward(parts: &Parts, out: &mut HeaderMap) -> Result<(), Status> {
    for (name, value) in &parts.headers {
        let Some(value) = text(value) else {
            may_be_left_out(name)?;
            continue;
        };
        let value = &*value;
        if *name == header::AUTHORIZATION || KEPT.contains(name) {
            out.append(name.clone(), value.clone());
        }
        if let Some((_, renamed)) = PERMANENT.iter().find(|(permanent, _)| permanent == name) {
            out.append(renamed.clone(), value.clone());
        } else if let Some(key) = name.as_str().strip_prefix(PREFIX) {
            chosen(name, key, value, out)?;
        }
    }
    forwarded(parts, out);
    if timeout(&parts.headers)?.is_some()
        && let Some(value) = parts.headers.get(&GRPC_TIMEOUT)
    {
        out.insert(GRPC_TIMEOUT, value.clone());
    }
    Ok(())
}

/// Whether a header that cannot be carried may be missing. Not if an operation of ours reads it: what a caller made a
/// condition of a write would be dropped in silence.
fn may_be_left_out(name: &HeaderName) -> Result<(), Status> {
    let chosen = name.as_str().strip_prefix(PREFIX).filter(|key| !RESERVED.contains(key));
    let key = chosen.unwrap_or(name.as_str());
    if KEPT.iter().any(|kept| kept == key) {
        return Err(refusal::header(name, format!("{name} is not ASCII text")));
    }
    Ok(())
}

/// Metadata whose name, `key`, the caller chose by that of a header.
fn chosen(name: &HeaderName, key: &str, value: &HeaderValue, out: &mut HeaderMap) -> Result<(), Status> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if key.is_empty() || !key.bytes().all(allowed) || key.starts_with("grpc-") || RESERVED.contains(&key) {
        return Ok(());
    }
    let mut value = value.clone();
    if key.ends_with("-bin") {
        // Padded or not on the way in; gRPC writes it without.
        let text = value.as_bytes();
        let decoded =
            if text.len().is_multiple_of(4) { STANDARD.decode(text) } else { STANDARD_NO_PAD.decode(text) };
        let decoded = decoded
            .map_err(|error| refusal::header(name, format!("invalid binary header {name}: {error}")))?;
        let encoded = HeaderValue::try_from(STANDARD_NO_PAD.encode(decoded));
        value = encoded.map_err(|_| refusal::header(name, format!("invalid binary header {name}")))?;
    }
    if let Ok(name) = HeaderName::try_from(key) {
        out.append(name, value);
    }
    Ok(())
}

/// The peer's address comes as an `IpAddr` among the request's extensions, if it has one.
fn forwarded(parts: &Parts, out: &mut HeaderMap) {
    let mut hops: Vec<String> = parts
        .headers
        .get_all(&FORWARDED_FOR)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .filter(|value| !value.is_empty())
        .map(str::to_owned)
        .collect();
    hops.extend(parts.extensions.get::<IpAddr>().map(|peer| peer.to_canonical().to_string()));
    if let Ok(value) = HeaderValue::try_from(hops.join(", "))
        && !value.is_empty()
    {
        out.insert(FORWARDED_FOR, value);
    }
    let named = parts.headers.get(&FORWARDED_HOST).or_else(|| parts.headers.get(header::HOST)).cloned();
    let host = named.or_else(|| {
        parts.uri.authority().and_then(|authority| HeaderValue::try_from(authority.as_str()).ok())
    });
    if let Some(host) = host.as_ref().and_then(text) {
        out.insert(FORWARDED_HOST, host.into_owned());
    }
}

/// The time that the caller gives the call (`Grpc-Timeout`, in gRPC's own notation: at most eight digits and one of
/// `H M S m u n`). The same header on both faces, so a listener may ask here before it knows which face it is.
pub fn timeout(headers: &HeaderMap) -> Result<Option<Duration>, Status> {
    let Some(value) = headers.get(&GRPC_TIMEOUT) else { return Ok(None) };
    let parsed = value.to_str().ok().and_then(|text| {
        let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let count: u64 = digits.parse().ok()?;
        Some(match unit {
            "H" => Duration::from_secs(count * 3600),
            "M" => Duration::from_secs(count * 60),
            "S" => Duration::from_secs(count),
            "m" => Duration::from_millis(count),
            "u" => Duration::from_micros(count),
            "n" => Duration::from_nanos(count),
            _ => return None,
        })
    });
    let text = String::from_utf8_lossy(value.as_bytes());
    match parsed {
        Some(time) => Ok(Some(time)),
        None => Err(refuse(Reason::TimeoutInvalid, format!("invalid grpc-timeout: {text}"))),
    }
}

/// Writes the metadata of an answer into HTTP headers. `trailing` says that it came behind the message: a unary answer
/// is complete before its head is sent, so trailing metadata needs no HTTP trailer.
pub(crate) fn answer(metadata: &HeaderMap, trailing: bool, out: &mut HeaderMap) {
    let prefix = if trailing { "grpc-trailer-" } else { PREFIX };
    for (name, value) in metadata {
        if ANSWERED.contains(&name.as_str()) {
            out.append(name.clone(), value.clone());
        } else if !is_protocol(name.as_str())
            && let Ok(renamed) = HeaderName::try_from(format!("{prefix}{name}"))
        {
            out.append(renamed, value.clone());
        }
    }
}

fn is_protocol(name: &str) -> bool {
    let hop = ["connection", "content-length", "content-type", "date", "te", "trailer", "transfer-encoding"];
    name.starts_with("grpc-") || hop.contains(&name)
}

/// The value as gRPC can carry it as text, if it can: a tab, which separates as a space does (RFC 9110, section 5.5),
/// becomes one.
fn text(value: &HeaderValue) -> Option<Cow<'_, HeaderValue>> {
    let bytes = value.as_bytes();
    let plain = |byte: &u8| (0x20..=0x7e).contains(byte);
    if bytes.iter().all(plain) {
        return Some(Cow::Borrowed(value));
    }
    let spaced: Vec<u8> = bytes.iter().map(|byte| if *byte == b'\t' { b' ' } else { *byte }).collect();
    if !spaced.iter().all(plain) {
        return None;
    }
    HeaderValue::from_bytes(&spaced).ok().map(Cow::Owned)
}
