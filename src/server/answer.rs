//! The body of an answer, which knows when the call has ended and with which code, and writes that down once.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body::{Frame, SizeHint};
use tokio::time::Instant;
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::body::Body;
use tonic::{Code, Status};

use super::classify::{Face, Rpc};
use super::connection::{InFlight, Unread};
use super::limits::Pass;
use crate::auth;
use crate::rpc::status;
use crate::telemetry::{Span, code_name};

/// Everything that the log line and the metrics of one call need.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) rpc: Arc<Rpc>,
    pub(crate) face: Face,
    pub(crate) id: HeaderValue,
    pub(crate) peer: auth::Peer,
    /// Who calls, once that is known.
    pub(crate) principal: Option<String>,
    pub(crate) started: Instant,
    /// Where somebody collects traces.
    pub(crate) span: Option<Span>,
    pub(crate) _in_flight: InFlight,
}

impl Record {
    /// One line, one count, one span.
    fn write(self, code: Code) {
        let took = self.started.elapsed();
        let trace_id = self.span.as_ref().and_then(Span::trace_id).map(tracing::field::display);
        self.rpc.metrics.handled(code, took);
        // What is our own fault is an error in the log; what is the caller's is a fact.
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    method = self.rpc.path,
                    face = self.face.name(),
                    code = code_name(code),
                    duration_ms = milliseconds(took),
                    request_id = self.id.to_str().unwrap_or_default(),
                    trace_id,
                    peer = %self.peer,
                    principal = self.principal.as_deref().unwrap_or_default(),
                    "call"
                )
            };
        }
        match code {
            Code::Internal | Code::Unknown | Code::DataLoss => line!(error),
            _ => line!(info),
        }
        if let Some(span) = self.span {
            span.end(code, self.principal.as_deref());
        }
    }
}

/// To a thousandth, which is all that a reader of the log needs.
#[allow(clippy::cast_precision_loss)]
fn milliseconds(took: std::time::Duration) -> f64 {
    took.as_micros() as f64 / 1e3
}

/// Writes its record when the call has ended, or when it was given up.
#[derive(Debug)]
pub(crate) struct Ending {
    record: Option<Record>,
    /// What is known of the code so far.
    code: Option<Code>,
}

impl Ending {
    pub(crate) fn of(record: Record) -> Self {
        Self { record: Some(record), code: None }
    }

    /// It is known who calls.
    pub(crate) fn by(&mut self, principal: &str) {
        if let Some(record) = &mut self.record {
            record.principal = Some(principal.to_owned());
        }
    }

    /// Who calls, as far as that is known.
    pub(crate) fn principal(&self) -> &str {
        self.record.as_ref().and_then(|record| record.principal.as_deref()).unwrap_or_default()
    }

    /// The head of the answer is known.
    pub(crate) fn answered(&mut self, status: StatusCode) {
        if let Some(span) = self.record.as_mut().and_then(|record| record.span.as_mut()) {
            span.answered(status.as_u16());
        }
    }

    fn write(&mut self, code: Code) {
        if let Some(record) = self.record.take() {
            record.write(code);
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        // Nobody said how it ended: the caller went away, and hyper dropped the call.
        let code = self.code.unwrap_or(Code::Cancelled);
        self.write(code);
    }
}

/// What the body of a streaming call holds on to.
#[derive(Debug)]
pub(crate) struct Streaming {
    /// Its place among the open streams.
    pub(crate) _pass: Pass,
    /// Its place among the calls of its principal.
    pub(crate) _of_principal: Option<auth::Pass>,
    /// Fires when the server drains: a watch that never ends must not hold it up.
    pub(crate) draining: Pin<Box<WaitForCancellationFutureOwned>>,
}

/// The body of an answer.
#[derive(Debug)]
pub(crate) struct Answer {
    inner: Option<Body>,
    ending: Ending,
    streaming: Option<Streaming>,
    _unread: Option<Unread>,
}

impl Answer {
    /// `code` is what the head of the answer already says; `None` when the trailers will.
    pub(crate) fn new(
        inner: Body,
        mut ending: Ending,
        code: Option<Code>,
        streaming: Option<Streaming>,
        unread: Option<Unread>,
    ) -> Self {
        ending.code = code;
        Self { inner: Some(inner), ending, streaming, _unread: unread }
    }

    /// Ends a gRPC answer that has begun, with this status.
    fn end(&mut self, status: &Status) -> Frame<Bytes> {
        self.inner = None;
        self.streaming = None;
        self.ending.write(status.code());
        let mut trailers = HeaderMap::new();
        // The texts are ours and plain ASCII; without a text the code still arrives.
        let _ = status.add_header(&mut trailers);
        Frame::trailers(trailers)
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        let Some(inner) = &mut this.inner else { return Poll::Ready(None) };
        if let Some(streaming) = &mut this.streaming
            && streaming.draining.as_mut().poll(cx).is_ready()
        {
            let status = status::with(Code::Unavailable, "the server is shutting down", "SHUTTING_DOWN", &[]);
            return Poll::Ready(Some(Ok(this.end(&status))));
        }
        let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(inner).poll_frame(cx)));
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(Some(Ok(frame)))) => {
                if let Some(trailers) = frame.trailers_ref() {
                    this.ending.write(grpc_code(trailers).unwrap_or(Code::Unknown));
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Ok(Poll::Ready(Some(Err(status)))) => {
                this.ending.write(status.code());
                Poll::Ready(Some(Err(status)))
            }
            Ok(Poll::Ready(None)) => {
                let code = this.ending.code.unwrap_or(Code::Unknown);
                this.ending.write(code);
                Poll::Ready(None)
            }
            Err(panic) => Poll::Ready(Some(Ok(this.end(&panicked(panic))))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), http_body::Body::size_hint)
    }
}

/// What the caller hears of a panic. The text of it stays with the panic hook, which logs it under the request's id.
pub(crate) fn panicked(_panic: Box<dyn Any + Send>) -> Status {
    status::with(Code::Internal, "internal error", "INTERNAL", &[])
}

/// The `grpc-status` of a head or of trailers.
pub(crate) fn grpc_code(headers: &HeaderMap) -> Option<Code> {
    headers.get("grpc-status").map(|value| Code::from_bytes(value.as_bytes()))
}
