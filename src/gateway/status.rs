//! A gRPC status as an HTTP answer: the number, the headers and the `google.rpc.Status` as JSON.

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::Full;
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::metadata;
use super::style::{Details, Dialect};
use crate::wire::{Fields, Raw, json};

/// `google.rpc.Status.details`.
const DETAILS: u32 = 3;

/// The table of `google/rpc/code.proto`. FAILED_PRECONDITION is 400 and not 412, which would promise more about
/// `If-Match` than we mean.
fn number(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        Code::Cancelled => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The whole HTTP answer. `early` is metadata that came before the status did.
pub(crate) fn response(dialect: &Dialect, early: &HeaderMap, status: &Status) -> Response<Body> {
    let mut body = Vec::with_capacity(256);
    write(dialect, status, &mut body);
    let mut response = success(body);
    *response.status_mut() = number(status.code());
    // Several codes share a number; whoever counts calls wants the code.
    response.extensions_mut().insert(status.code());
    headers(early, status, response.headers_mut());
    response
}

/// As `response`, for a stream that failed before its first message: the body has the shape of a stream's last line.
pub(crate) fn wrapped(dialect: &Dialect, early: &HeaderMap, status: &Status) -> Response<Body> {
    let mut response = success(line(dialect, status));
    *response.status_mut() = number(status.code());
    // Several codes share a number; whoever counts calls wants the code.
    response.extensions_mut().insert(status.code());
    headers(early, status, response.headers_mut());
    response
}

/// `{"error":{...}}` and a newline.
pub(crate) fn line(dialect: &Dialect, status: &Status) -> Vec<u8> {
    let mut line = b"{\"error\":".to_vec();
    write(dialect, status, &mut line);
    line.extend_from_slice(b"}\n");
    line
}

fn headers(early: &HeaderMap, status: &Status, out: &mut HeaderMap) {
    metadata::answer(early, false, out);
    metadata::answer(&status.metadata().clone().into_headers(), false, out);
    if status.code() == Code::Unauthenticated {
        // Header text has no other letters than ASCII's; the message itself is in the body.
        let printable = |letter: char| letter == ' ' || letter.is_ascii_graphic();
        let text: String =
            status.message().chars().map(|letter| if printable(letter) { letter } else { '?' }).collect();
        if let Ok(value) = HeaderValue::try_from(text) {
            out.insert(header::WWW_AUTHENTICATE, value);
        }
    }
    // Only looked for where there can be one: decoding the details is not free.
    if !status.details().is_empty()
        && let Some(delay) = status.get_details_retry_info().and_then(|info| info.retry_delay)
    {
        let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
        out.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
}

fn write(dialect: &Dialect, status: &Status, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"code\":");
    out.extend_from_slice((status.code() as i32).to_string().as_bytes());
    out.extend_from_slice(b",\"message\":");
    if serde_json::to_writer(&mut *out, status.message()).is_err() {
        out.extend_from_slice(b"\"\"");
    }
    let start = out.len();
    let shown = dialect.style.details != Details::Never;
    for detail in Fields::new(status.details()).flatten().filter(|_| shown) {
        if let (DETAILS, Raw::Len(any)) = (detail.number, detail.raw) {
            let before = out.len();
            out.extend_from_slice(if before == start { b",\"details\":[" } else { b"," });
            // A broken detail cannot be written as JSON. The code and the message still can.
            let kind = dialect.any.as_ref();
            if kind.is_none_or(|kind| json::encode(kind, any, &dialect.style.write, out).is_err()) {
                out.truncate(before);
            }
        }
    }
    match out.len() > start {
        true => out.push(b']'),
        false if dialect.style.details == Details::Always => out.extend_from_slice(b",\"details\":[]"),
        false => {}
    }
    out.push(b'}');
}

/// A JSON body with its length, 200.
pub(crate) fn success(body: Vec<u8>) -> Response<Body> {
    let length = HeaderValue::from(body.len());
    let mut response = Response::new(Body::new(Full::new(Bytes::from(body))));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CONTENT_LENGTH, length);
    response
}
