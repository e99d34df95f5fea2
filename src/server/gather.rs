//! Gathers what a connection writes while it is polled, and hands it to the socket at once when the poll is over.
//!
//! HTTP/2 writes every piece of a body that is not tiny with a system call of its own, even when the answers of many
//! streams wait behind it. Under load those calls, and the wake-ups that they cause at the other end, are most of what a
//! small answer costs. It knows bytes and nothing of HTTP.

use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The most that is gathered; a write that is larger by itself goes to the socket as it is.
const GATHER_MAX_BYTES: usize = 32 * 1024;
/// The room that a connection keeps while it has nothing to write.
const KEEP_MAX_BYTES: usize = 8 * 1024;

#[derive(Debug)]
struct Inner<I> {
    io: I,
    gathered: BytesMut,
    /// The socket was written to since it was last flushed: TLS may hold back what it could not send.
    unflushed: bool,
}

/// What the connection reads from and writes to. A flush does nothing: [`Outlet`] is what flushes.
#[derive(Debug)]
pub(crate) struct Gathering<I>(Arc<Mutex<Inner<I>>>);

/// The other end of a [`Gathering`]; must be polled after every poll of the connection.
#[derive(Debug)]
pub(crate) struct Outlet<I> {
    inner: Arc<Mutex<Inner<I>>>,
    /// What is gathered has waited for a turn of the runtime.
    waited: bool,
}

/// Both ends around a socket. They belong to one task, so that nobody ever waits for the lock.
pub(crate) fn gather<I>(io: I) -> (Gathering<I>, Outlet<I>) {
    let inner = Arc::new(Mutex::new(Inner { io, gathered: BytesMut::new(), unflushed: false }));
    (Gathering(Arc::clone(&inner)), Outlet { inner, waited: false })
}

fn lock<I>(inner: &Mutex<Inner<I>>) -> MutexGuard<'_, Inner<I>> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<I: AsyncWrite + Unpin> Inner<I> {
    /// Ready when the socket has taken everything.
    fn drain(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        while !self.gathered.is_empty() {
            self.unflushed = true;
            match ready!(Pin::new(&mut self.io).poll_write(cx, &self.gathered))? {
                0 => return Poll::Ready(Err(Error::from(ErrorKind::WriteZero))),
                written => self.gathered.advance(written),
            }
        }
        if self.gathered.capacity() > KEEP_MAX_BYTES {
            self.gathered = BytesMut::new();
        }
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        self.unflushed = false;
        Poll::Ready(Ok(()))
    }

    /// Takes the slices, which have `total` bytes, if there is or can be made room for them. `false`: they are too large
    /// for that, and nothing is gathered any more.
    fn take(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>], total: usize) -> Poll<Result<bool>> {
        if self.gathered.len() + total > GATHER_MAX_BYTES {
            ready!(self.drain(cx))?;
        }
        if total > GATHER_MAX_BYTES {
            return Poll::Ready(Ok(false));
        }
        self.gathered.reserve(total);
        for slice in slices {
            self.gathered.extend_from_slice(slice);
        }
        Poll::Ready(Ok(true))
    }
}

impl<I: AsyncWrite + Unpin> Outlet<I> {
    /// Hands what was gathered to the socket. Pending: the socket is full, and wakes the task when it is not; or there is
    /// more to come, and the tasks that are ready to run now come first, once, because they may have it. (tokio runs a
    /// connection right behind the stream that has woken it, so that without this turn every answer would go out alone.)
    pub(crate) fn poll_drain(&mut self, cx: &mut Context<'_>, more_to_come: bool) -> Poll<Result<()>> {
        let mut inner = lock(&self.inner);
        if inner.gathered.is_empty() && !inner.unflushed {
            return Poll::Ready(Ok(()));
        }
        if more_to_come && !inner.gathered.is_empty() && !std::mem::replace(&mut self.waited, true) {
            // A task that wakes itself goes behind the others.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.waited = false;
        inner.drain(cx)
    }

    /// Hands over, without a turn for others, as much as the socket takes: what a connection that failed has left.
    pub(crate) fn last_words(&mut self, cx: &mut Context<'_>) {
        // Nobody is left to hear that it failed, or to wait for.
        let _ = lock(&self.inner).drain(cx);
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Gathering<I> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        Pin::new(&mut lock(&self.0).io).poll_read(cx, buf)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Gathering<I> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let inner = &mut *lock(&self.0);
        let total = slices.iter().map(|slice| slice.len()).sum();
        match ready!(inner.take(cx, slices, total))? {
            true => Poll::Ready(Ok(total)),
            false => {
                inner.unflushed = true;
                Pin::new(&mut inner.io).poll_write_vectored(cx, slices)
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let inner = &mut *lock(&self.0);
        ready!(inner.drain(cx))?;
        Pin::new(&mut inner.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt as _;

    /// Takes so many bytes more, and remembers each write.
    #[derive(Debug, Default)]
    struct Socket {
        room: usize,
        writes: Vec<Vec<u8>>,
        shut: bool,
        /// So many flushes are not done at once, as with TLS whose socket is full.
        slow_flushes: usize,
        flushed: bool,
    }

    impl AsyncWrite for Socket {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
            let length = bytes.len().min(self.room);
            if length == 0 {
                return Poll::Pending;
            }
            self.room -= length;
            self.writes.push(bytes[..length].to_vec());
            Poll::Ready(Ok(length))
        }
        fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
            if let Some(fewer) = self.slow_flushes.checked_sub(1) {
                self.slow_flushes = fewer;
                return Poll::Pending;
            }
            self.flushed = true;
            Poll::Ready(Ok(()))
        }
        fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
            self.shut = true;
            Poll::Ready(Ok(()))
        }
    }

    fn drain(outlet: &mut Outlet<Socket>) -> Poll<Result<()>> {
        outlet.poll_drain(&mut Context::from_waker(std::task::Waker::noop()), false)
    }

    #[tokio::test]
    async fn while_there_is_more_to_come_others_have_one_turn() {
        let (mut connection, mut outlet) = gather(Socket { room: 100, ..Socket::default() });
        let mut cx = Context::from_waker(std::task::Waker::noop());
        connection.write_all(b"one").await.unwrap();
        assert!(outlet.poll_drain(&mut cx, true).is_pending());
        connection.write_all(b" two").await.unwrap();
        assert!(outlet.poll_drain(&mut cx, true).is_ready());
        assert_eq!(lock(&outlet.inner).io.writes, [b"one two"]);
    }

    #[tokio::test]
    async fn many_writes_reach_the_socket_as_one_and_in_order() {
        let (mut connection, mut outlet) = gather(Socket { room: 100, ..Socket::default() });
        connection.write_all(b"head").await.unwrap();
        connection.flush().await.unwrap();
        let slices = [IoSlice::new(b" and "), IoSlice::new(b"body")];
        assert_eq!(connection.write_vectored(&slices).await.unwrap(), 9);
        assert!(lock(&outlet.inner).io.writes.is_empty());
        assert!(drain(&mut outlet).is_ready());
        assert_eq!(lock(&outlet.inner).io.writes, [b"head and body"]);
    }

    #[tokio::test]
    async fn a_socket_that_takes_little_gets_the_rest_later() {
        let (mut connection, mut outlet) = gather(Socket { room: 3, ..Socket::default() });
        connection.write_all(b"answer").await.unwrap();
        assert!(drain(&mut outlet).is_pending());
        lock(&outlet.inner).io.room = 3;
        assert!(drain(&mut outlet).is_ready());
        assert_eq!(lock(&outlet.inner).io.writes, [b"ans", b"wer"]);
    }

    #[tokio::test]
    async fn what_the_socket_has_taken_and_not_sent_is_flushed_later() {
        for bytes in [&b"small"[..], &[7; GATHER_MAX_BYTES + 1]] {
            let (mut connection, mut outlet) = gather(Socket { room: bytes.len(), ..Socket::default() });
            connection.write_all(bytes).await.unwrap();
            lock(&outlet.inner).io.slow_flushes = 1;
            assert!(drain(&mut outlet).is_pending());
            assert!(drain(&mut outlet).is_ready());
            let inner = lock(&outlet.inner);
            assert!(inner.io.flushed && inner.io.writes.concat() == bytes);
        }
    }

    #[tokio::test]
    async fn no_more_is_gathered_than_there_may_be() {
        let (mut connection, outlet) = gather(Socket::default());
        let piece = [7; 1024];
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut taken = 0;
        while Pin::new(&mut connection).poll_write(&mut cx, &piece).is_ready() {
            taken += piece.len();
            assert!(taken <= GATHER_MAX_BYTES);
        }
        assert_eq!(taken, GATHER_MAX_BYTES);
        let large = [8; GATHER_MAX_BYTES + 1];
        assert!(Pin::new(&mut connection).poll_write(&mut cx, &large).is_pending());
        lock(&outlet.inner).io.room = GATHER_MAX_BYTES + 10;
        let Poll::Ready(Ok(10)) = Pin::new(&mut connection).poll_write(&mut cx, &large) else {
            panic!("what is too large to be gathered goes straight to the socket, after what was");
        };
        assert_eq!(lock(&outlet.inner).io.writes, [vec![7; GATHER_MAX_BYTES], vec![8; 10]]);
        assert!(lock(&outlet.inner).gathered.capacity() <= KEEP_MAX_BYTES);
    }

    #[tokio::test]
    async fn the_last_words_are_written_before_the_end() {
        let (mut connection, outlet) = gather(Socket { room: 100, ..Socket::default() });
        connection.write_all(b"last words").await.unwrap();
        connection.shutdown().await.unwrap();
        assert_eq!(lock(&outlet.inner).io.writes, [b"last words"]);
        assert!(lock(&outlet.inner).io.shut);
    }
}
