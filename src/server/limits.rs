//! What one request may cost before anybody looks at it: size of the head, size of the message, and how many at once.
//!
//! Every refusal names the setting that refused. It is RESOURCE_EXHAUSTED, but for what is too large over REST.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tonic::{Code, Status};

use super::classify::Face;
use super::refusal;

/// RFC 9113, section 6.5.2: what a header counts beside its name and value.
const HEADER_OVERHEAD_BYTES: usize = 32;
/// A gRPC message has one byte of flags and four of length before it.
const GRPC_PREFIX_BYTES: usize = 5;

/// Refuses heads that are larger than `limit_bytes`. Over REST RESOURCE_EXHAUSTED would be 429, which is sent again.
pub(crate) fn head(headers: &HeaderMap, limit_bytes: u32, face: Face) -> Result<(), Status> {
    let size: usize =
        headers.iter().map(|(name, value)| name.as_str().len() + value.len() + HEADER_OVERHEAD_BYTES).sum();
    if size <= limit_bytes as usize {
        return Ok(());
    }
    let code = match face {
        Face::Grpc => Code::ResourceExhausted,
        Face::Rest => Code::OutOfRange,
    };
    let text = format!("the request headers are too large ({size} bytes)");
    Err(refusal::over(code, "HEADERS_TOO_LARGE", &text, "max-header-bytes", limit_bytes))
}

/// How much of a body that nobody reads is read nevertheless, and thrown away.
const DISCARDED_MAX_BYTES: usize = 64 * 1024;
/// How long it may take to come.
const DISCARDED_MAX_SECONDS: u64 = 2;

/// The body of a request, of which what nobody reads still arrives, within bounds, while the answer is on its way. Whoever
/// refuses a request, at whatever place, need not think of its body.
///
/// A body that nobody takes makes HTTP/2 reset the stream, and what then still arrives counts as a fault of the peer; a few
/// dozen of those end the connection, with every other call on it.
#[derive(Debug)]
pub(crate) struct Arriving<B>(Option<B>)
where
    B: Body<Data = Bytes> + Send + Unpin + 'static;

impl<B> Arriving<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
{
    pub(crate) fn new(body: B) -> Self {
        Self(Some(body))
    }
}

impl<B> Drop for Arriving<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
{
    fn drop(&mut self) {
        let Some(mut body) = self.0.take().filter(|body| !body.is_end_stream()) else { return };
        // When the runtime ends, so do its connections.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let rest = async move {
            let mut bytes = 0;
            while bytes <= DISCARDED_MAX_BYTES
                && let Some(Ok(frame)) = body.frame().await
            {
                bytes += frame.data_ref().map_or(0, Bytes::len);
            }
        };
        let most = Duration::from_secs(DISCARDED_MAX_SECONDS);
        runtime.spawn(async move { tokio::time::timeout(most, rest).await });
    }
}

impl<B> Body for Arriving<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let Some(body) = &mut self.0 else { return Poll::Ready(None) };
        let polled = ready!(Pin::new(body).poll_frame(cx));
        if !matches!(polled, Some(Ok(_))) {
            // It has come to its end, or never will.
            self.0 = None;
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

/// Counts what is being worked on, and refuses what is too much.
#[derive(Debug)]
pub(crate) struct Gate {
    setting: &'static str,
    limit: u32,
    inside: AtomicU32,
}

/// One place inside a gate, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Pass(Arc<Gate>);

impl Gate {
    pub(crate) fn new(setting: &'static str, limit: u32) -> Arc<Self> {
        Arc::new(Self { setting, limit, inside: AtomicU32::new(0) })
    }

    pub(crate) fn enter(self: &Arc<Self>) -> Result<Pass, Status> {
        let before = self.inside.fetch_add(1, Ordering::Relaxed);
        let pass = Pass(Arc::clone(self));
        if before >= self.limit {
            let text = "too many calls at one time";
            return Err(refusal::over(
                Code::ResourceExhausted,
                "SERVER_BUSY",
                text,
                self.setting,
                self.limit,
            ));
        }
        Ok(pass)
    }

    /// How many are inside now.
    pub(crate) fn inside(&self) -> u32 {
        self.inside.load(Ordering::Relaxed)
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.0.inside.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The body of a unary gRPC request, which ends in an error when it is larger than one message may be.
///
/// The announced length counts, so that a message that will be too large is refused before it is read. (The gateway
/// bounds the bodies of REST.)
#[derive(Debug)]
pub(crate) struct Bounded<B> {
    inner: B,
    limit_bytes: u32,
    read_bytes: usize,
    /// How many bytes of the prefix were seen, and the length that they announce so far.
    prefix_bytes: usize,
    announced_bytes: u32,
}

impl<B> Bounded<B> {
    /// A body of one gRPC message.
    pub(crate) fn new(inner: B, limit_bytes: u32) -> Self {
        Self { inner, limit_bytes, read_bytes: 0, prefix_bytes: 0, announced_bytes: 0 }
    }

    fn check(&mut self, data: &Bytes) -> Result<(), Status> {
        for byte in data.iter().take(GRPC_PREFIX_BYTES.saturating_sub(self.prefix_bytes)) {
            // The first byte holds flags and is shifted out by the four that follow.
            self.announced_bytes = (self.announced_bytes << 8) | u32::from(*byte);
            self.prefix_bytes += 1;
        }
        self.read_bytes = self.read_bytes.saturating_add(data.len());
        let announced = self.prefix_bytes == GRPC_PREFIX_BYTES && self.announced_bytes > self.limit_bytes;
        if announced || self.read_bytes > (self.limit_bytes as usize).saturating_add(GRPC_PREFIX_BYTES) {
            return Err(too_large(self.limit_bytes));
        }
        Ok(())
    }
}

fn too_large(limit_bytes: u32) -> Status {
    let text = "the message is too large";
    refusal::over(Code::ResourceExhausted, "MESSAGE_TOO_LARGE", text, "max-message-bytes", limit_bytes)
}

impl<B> Body for Bounded<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Poll::Ready(match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
            None => None,
            Some(Ok(frame)) => match frame.data_ref() {
                Some(data) => match self.check(data) {
                    Ok(()) => Some(Ok(frame)),
                    Err(status) => Some(Err(status)),
                },
                None => Some(Ok(frame)),
            },
            Some(Err(_)) => Some(Err(Status::cancelled("the request ended before its message was complete"))),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(
        parts: &[&'static [u8]],
    ) -> impl Body<Data = Bytes, Error = std::convert::Infallible> + Unpin + use<> {
        let frames: Vec<_> = parts.iter().map(|part| Ok(Frame::data(Bytes::from_static(part)))).collect();
        http_body_util::StreamBody::new(futures_util::stream::iter(frames))
    }

    #[tokio::test]
    async fn an_announced_length_is_enough_to_refuse() {
        let split = chunks(&[&[0], &[0, 0], &[0, 9]]);
        let status = Bounded::new(split, 8).collect().await.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert!(status.message().contains("max-message-bytes = 8"), "{status}");
    }

    #[tokio::test]
    async fn what_fits_passes_and_one_byte_more_does_not() {
        let fits = chunks(&[&[1, 0, 0, 0, 3], b"abc"]);
        assert_eq!(Bounded::new(fits, 3).collect().await.unwrap().to_bytes().len(), 8);
        let more = chunks(&[&[1, 0, 0, 0, 3], b"abcd"]);
        assert!(Bounded::new(more, 3).collect().await.is_err());
    }

    #[test]
    fn a_gate_counts_and_forgets() {
        let gate = Gate::new("max-requests-in-flight", 1);
        let pass = gate.enter().unwrap();
        assert!(gate.enter().unwrap_err().message().contains("max-requests-in-flight = 1"));
        drop(pass);
        assert_eq!(gate.inside(), 0);
        assert!(gate.enter().is_ok());
    }
}
