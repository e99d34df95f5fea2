//! One connection, from its first byte to its last: HTTP/1.1 or HTTP/2, with every wait bounded.
//!
//! hyper bounds the heads of HTTP/1 and pings HTTP/2 peers. What it leaves open is closed here: a peer that never says
//! which HTTP it speaks, and a peer that lets answers pile up unread.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::gather::{Outlet, gather};
use crate::config::{Settings, Span};

/// Why a connection ended, for the log.
type Fault = Box<dyn std::error::Error + Send + Sync>;

/// After so many bytes hyper knows which HTTP this is (the HTTP/2 preface is 24 bytes long), and its own limits hold.
const PREFACE_BYTES: usize = 24;
/// The transport takes heads up to this multiple of `max-header-bytes`, so that a head that is a little too large gets an
/// error that names the limit, instead of a bare 431.
const HEADER_HEADROOM: u32 = 2;
/// What the shortest header counts: a name of one letter, and what RFC 9113 (section 6.5.2) adds to every header.
const HEADER_LEAST_BYTES: usize = 33;
/// More headers than this do not fit into `http`'s map, with room to spare.
const HEADERS_MAX: usize = 16 * 1024;
/// Streams that a peer may open and reset before we have even accepted them (CVE-2023-44487, "rapid reset").
const RESET_STREAMS_MAX: usize = 64;
/// Answers are grouped by when they were given: this period, the one before, and the one to come.
const PERIODS: usize = 3;

/// How connections are served; the same for every connection of a listener.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    builder: Builder<TokioExecutor>,
    handshake_timeout: Duration,
    response_timeout: Duration,
    age_max: Option<Duration>,
    age_grace: Duration,
}

impl Http {
    pub(crate) fn new(settings: &Settings) -> Self {
        let mut builder = Builder::new(TokioExecutor::new());
        let head_bytes = settings.max_header_bytes.bytes().saturating_mul(HEADER_HEADROOM);
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(settings.http1_header_timeout.duration())
            .max_buf_size(head_bytes as usize)
            // By itself hyper takes a hundred; here bytes alone decide, as over HTTP/2.
            .max_headers((head_bytes as usize / HEADER_LEAST_BYTES).min(HEADERS_MAX));
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(settings.max_connection_streams.get())
            .max_header_list_size(head_bytes)
            .keep_alive_interval(settings.keep_alive_interval.duration())
            .keep_alive_timeout(settings.keep_alive_timeout.duration())
            .max_pending_accept_reset_streams(RESET_STREAMS_MAX)
            .max_local_error_reset_streams(RESET_STREAMS_MAX);
        Self {
            builder,
            handshake_timeout: settings.handshake_timeout.duration(),
            response_timeout: settings.response_timeout.duration(),
            age_max: settings.max_connection_age.0.map(Span::duration),
            age_grace: settings.max_connection_age_grace.duration(),
        }
    }

    /// How long a peer may take, from the moment in which it was accepted, to say what it speaks.
    pub(crate) fn handshake_timeout(&self) -> Duration {
        self.handshake_timeout
    }

    /// Serves `io`, which was accepted at `accepted`, until the peer leaves, a bound is passed, or `draining` fires and nothing is in flight any more.
    pub(crate) async fn serve<I, S, B>(
        &self,
        io: I,
        service: S,
        connection: Arc<Connection>,
        accepted: Instant,
        draining: CancellationToken,
    ) where
        I: AsyncRead + AsyncWrite + Unpin + 'static,
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
        S::Future: Send + 'static,
        B: http_body::Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
        B::Data: Send,
    {
        let (io, mut outlet) = gather(io);
        let io = TokioIo::new(Watched { io, read_bytes: 0, connection: Arc::clone(&connection) });
        let mut http = pin!(self.builder.serve_connection(io, service));
        let mut timer = pin!(sleep_until(accepted + self.handshake_timeout));
        let mut age = pin!(sleep_until(accepted + self.age_max.map(jittered).unwrap_or_default()));
        let mut old = false;
        let mut asked_to_end = false;
        loop {
            tokio::select! {
                biased;
                ended = poll_fn(|cx| poll(http.as_mut(), &mut outlet, &connection, cx)) => {
                    if let Err(error) = ended {
                        tracing::debug!(error, "connection ended");
                    }
                    return;
                }
                () = draining.cancelled(), if !asked_to_end => {
                    asked_to_end = true;
                    // A connection that has not said what it speaks ends on the next poll, which this loop sees to;
                    // hyper-util alone would sleep on until the peer sends something.
                    http.as_mut().graceful_shutdown();
                }
                () = age.as_mut(), if self.age_max.is_some() => {
                    if old {
                        tracing::debug!("connection cut: max-connection-age and its grace have passed");
                        return;
                    }
                    old = true;
                    http.as_mut().graceful_shutdown();
                    age.as_mut().reset(Instant::now() + self.age_grace);
                }
                () = timer.as_mut() => {
                    if !connection.speaks.load(Ordering::Relaxed) {
                        tracing::debug!("connection closed: no HTTP within handshake-timeout");
                        return;
                    }
                    if connection.next_period() {
                        tracing::debug!("connection closed: an answer was not read within response-timeout");
                        return;
                    }
                    timer.as_mut().reset(Instant::now() + self.response_timeout);
                }
            }
        }
    }
}

/// A tenth more or less, so that connections that were made together are not all made anew together.
fn jittered(age: Duration) -> Duration {
    // Should the system have no random bytes to give, there is no jitter.
    let random = getrandom::u32().unwrap_or(u32::MAX / 2);
    age.mul_f64(0.9 + 0.2 * f64::from(random) / f64::from(u32::MAX))
}

/// Polls the connection, then writes out what it has gathered.
fn poll<F, I>(
    http: Pin<&mut F>,
    outlet: &mut Outlet<I>,
    connection: &Connection,
    cx: &mut Context<'_>,
) -> Poll<Result<(), Fault>>
where
    F: Future<Output = Result<(), Fault>>,
    I: AsyncWrite + Unpin,
{
    if let Poll::Ready(ended) = http.poll(cx) {
        outlet.last_words(cx);
        return Poll::Ready(ended);
    }
    let more_to_come = connection.in_flight.load(Ordering::Relaxed) > 0;
    match outlet.poll_drain(cx, more_to_come) {
        Poll::Ready(Err(error)) => Poll::Ready(Err(error.into())),
        _ => Poll::Pending,
    }
}

/// What is known of a connection beside what hyper knows.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    /// The peer has sent enough to know which HTTP it speaks.
    speaks: AtomicBool,
    period: AtomicUsize,
    /// Answers that were begun in each period and are not yet written out.
    unread: [AtomicU32; PERIODS],
    /// Calls that are not yet answered to their end.
    in_flight: AtomicU32,
}

impl Connection {
    /// An answer was begun; it counts as unread until the returned guard is dropped.
    pub(crate) fn unread(self: &Arc<Self>) -> Unread {
        self.speaks.store(true, Ordering::Relaxed);
        let period = self.period.load(Ordering::Relaxed) % PERIODS;
        if let Some(count) = self.unread.get(period) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        Unread { connection: Arc::clone(self), period }
    }

    /// A call came in; it counts as in flight until the returned guard is dropped.
    pub(crate) fn in_flight(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(self))
    }

    /// Ends a period; true when an answer of the one before it is still unread.
    fn next_period(&self) -> bool {
        let ended = self.period.fetch_add(1, Ordering::Relaxed);
        let before = (ended + PERIODS - 1) % PERIODS;
        self.unread.get(before).is_some_and(|count| count.load(Ordering::Relaxed) > 0)
    }
}

/// An answer that the peer has not read to its end.
#[derive(Debug)]
pub(crate) struct Unread {
    connection: Arc<Connection>,
    period: usize,
}

impl Drop for Unread {
    fn drop(&mut self) {
        if let Some(count) = self.connection.unread.get(self.period) {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// A call that is not yet answered to its end.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<Connection>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Passes bytes through and notices when enough have come in.
#[derive(Debug)]
struct Watched<I> {
    io: I,
    read_bytes: usize,
    connection: Arc<Connection>,
}

impl<I: AsyncRead + Unpin> AsyncRead for Watched<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let read = ready!(Pin::new(&mut self.io).poll_read(cx, buf));
        if self.read_bytes < PREFACE_BYTES {
            self.read_bytes += buf.filled().len() - before;
            if self.read_bytes >= PREFACE_BYTES {
                self.connection.speaks.store(true, Ordering::Relaxed);
            }
        }
        Poll::Ready(read)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Watched<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_differ_by_a_tenth_at_most() {
        let ages: Vec<_> = (0..100).map(|_| jittered(Duration::from_secs(100)).as_secs_f64()).collect();
        assert!(ages.iter().all(|age| (89.9..110.1).contains(age)), "{ages:?}");
        assert!(ages.iter().any(|age| *age < 99.0) && ages.iter().any(|age| *age > 101.0), "{ages:?}");
    }

    #[test]
    fn an_answer_may_stay_unread_for_a_whole_period_and_no_longer_than_two() {
        let connection = Arc::new(Connection::default());
        let unread = connection.unread();
        assert!(!connection.next_period(), "the period in which it began");
        assert!(connection.next_period(), "a whole period later");
        drop(unread);
        for _ in 0..2 * PERIODS {
            assert!(!connection.next_period());
            drop(connection.unread());
        }
    }
}
