//! gRPC answers as JSON: one message as one object, a stream as lines.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http::header::{self, HeaderValue};
use http::response::Parts;
use http::{HeaderMap, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use tonic::body::Body;
use tonic::codegen::StdError;
use tonic::{Code, Status};

use super::binding::{Binding, merged};
use super::messages::{Messages, broken};
use super::{metadata, status};
use crate::wire::json;

/// JSON is about this much longer than the wire form, plus the defaults; a guess that saves growing the buffer.
const JSON_PER_WIRE: usize = 3;
const DEFAULTS_BYTES: usize = 256;

/// Turns the answer to a call of `binding` into the HTTP answer. Never fails: a broken answer is INTERNAL.
pub(crate) async fn response<B>(binding: &Arc<Binding>, answer: Response<B>) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<StdError>,
{
    let (head, body) = answer.into_parts();
    let messages = Messages::new(body);
    if binding.streams {
        return lines(binding, head, messages).await;
    }
    let result = match refused(&head) {
        Some(status) => Err(status),
        None => unary(binding, &head.headers, messages).await,
    };
    let early = if is_trailers_only(&head) { &HeaderMap::new() } else { &head.headers };
    result.unwrap_or_else(|error| status::response(&binding.dialect, early, &error))
}

/// The status of an answer that is nothing but a head.
fn refused(head: &Parts) -> Option<Status> {
    match Status::from_header_map(&head.headers) {
        Some(status) if status.code() == Code::Ok => Some(broken("it is empty")),
        Some(status) => Some(status),
        None if head.status.is_success() => None,
        None => Some(broken("it is not gRPC")),
    }
}

fn is_trailers_only(head: &Parts) -> bool {
    head.headers.contains_key(Status::GRPC_STATUS)
}

async fn unary<B>(
    binding: &Binding,
    early: &HeaderMap,
    mut messages: Messages<B>,
) -> Result<Response<Body>, Status>
where
    B: http_body::Body<Data = Bytes> + Unpin,
    B::Error: Into<StdError>,
{
    let message = messages.next().await?;
    if messages.next().await?.is_some() {
        return Err(broken("it has more than one message"));
    }
    let trailers = messages.finish()?;
    let message = message.ok_or_else(|| broken("it has no message"))?;
    let mut body = Vec::with_capacity(message.len() * JSON_PER_WIRE + DEFAULTS_BYTES);
    write(binding, &message, &mut body)?;
    let mut response = status::success(body);
    metadata::answer(early, false, response.headers_mut());
    metadata::answer(&trailers, true, response.headers_mut());
    Ok(response)
}

fn write(binding: &Binding, message: &[u8], out: &mut Vec<u8>) -> Result<(), Status> {
    let part = match binding.response_body {
        None => Cow::Borrowed(message),
        Some(field) => merged(message, field),
    };
    let style = &binding.dialect.style.write;
    json::encode(&binding.output, &part, style, out).map_err(|_| broken("it is not the declared message"))
}

/// A stream as newline-delimited JSON, `{"result":...}` a message. The first message is awaited before the head is
/// sent, so that a call that fails at once still gets the HTTP status of its error.
async fn lines<B>(binding: &Arc<Binding>, head: Parts, messages: Messages<B>) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<StdError>,
{
    let lines = match Lines::begin(binding, &head, messages).await {
        Ok(lines) => lines,
        Err(error) => {
            let early = if is_trailers_only(&head) { &HeaderMap::new() } else { &head.headers };
            return status::wrapped(&binding.dialect, early, &error);
        }
    };
    let body = stream::unfold(lines, |lines| async {
        let (line, lines) = lines?.line().await?;
        Some((Ok::<_, Status>(Frame::data(Bytes::from(line))), lines))
    });
    let mut response = Response::new(Body::new(StreamBody::new(body)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    metadata::answer(&head.headers, false, response.headers_mut());
    response
}

/// A stream whose first message has come.
struct Lines<B> {
    binding: Arc<Binding>,
    messages: Messages<B>,
    first: Option<Bytes>,
}

impl<B> Lines<B>
where
    B: http_body::Body<Data = Bytes> + Unpin,
    B::Error: Into<StdError>,
{
    /// `None` is a stream that ended well without a message.
    async fn begin(
        binding: &Arc<Binding>,
        head: &Parts,
        mut messages: Messages<B>,
    ) -> Result<Option<Self>, Status> {
        match Status::from_header_map(&head.headers) {
            Some(status) if status.code() == Code::Ok => return Ok(None),
            Some(status) => return Err(status),
            None if !head.status.is_success() => return Err(broken("it is not gRPC")),
            None => {}
        }
        let Some(first) = messages.next().await? else { return messages.finish().map(|_| None) };
        Ok(Some(Lines { binding: Arc::clone(binding), messages, first: Some(first) }))
    }

    /// The next line and what is left, or nothing at the end. A line with an error is the last.
    async fn line(mut self) -> Option<(Vec<u8>, Option<Self>)> {
        let next = match self.first.take() {
            Some(first) => Ok(Some(first)),
            None => self.messages.next().await,
        };
        let error = match next {
            Ok(Some(message)) => match self.result(&message) {
                Ok(line) => return Some((line, Some(self))),
                Err(error) => error,
            },
            Ok(None) => self.messages.finish().err()?,
            Err(error) => error,
        };
        Some((status::line(&self.binding.dialect, &error), None))
    }

    fn result(&self, message: &[u8]) -> Result<Vec<u8>, Status> {
        let mut line = b"{\"result\":".to_vec();
        write(&self.binding, message, &mut line)?;
        line.extend_from_slice(b"}\n");
        Ok(line)
    }
}
