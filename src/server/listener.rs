//! Listening, and the accept loop: takes connections, no more than there may be, until it is told to stop.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;

use super::Error;
use super::unix::{self, Unix};
use crate::auth::Peer;
use crate::config::Listen;

/// How long to wait when the process or the machine has no room for another connection.
const ACCEPT_PAUSE_MS: u64 = 200;

/// A connection of either kind.
pub(crate) type Stream = Either<TcpStream, UnixStream>;

/// What is accepted on.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpListener),
    Unix(Unix),
}

/// Listens where the setting says; the socket, and where it is in fact.
pub(crate) async fn bind(setting: &'static str, listen: &Listen) -> Result<(Socket, Listen), Error> {
    match listen {
        Listen::Tcp(address) => {
            let (socket, bound) = bind_tcp(setting, *address).await?;
            Ok((socket, Listen::Tcp(bound)))
        }
        Listen::Unix(path) => match unix::bind(path).await {
            Ok(socket) => Ok((Socket::Unix(socket), listen.clone())),
            Err(source) => Err(Error::Bind { setting, address: listen.clone(), source }),
        },
    }
}

/// The same for an address.
pub(crate) async fn bind_tcp(
    setting: &'static str,
    address: SocketAddr,
) -> Result<(Socket, SocketAddr), Error> {
    let failed = |source| Error::Bind { setting, address: Listen::Tcp(address), source };
    let socket = TcpListener::bind(address).await.map_err(failed)?;
    let bound = socket.local_addr().map_err(failed)?;
    Ok((Socket::Tcp(socket), bound))
}

/// Accepts on all sockets until `stop` fires, then closes them and returns the connections that are still open. `serve` is one
/// connection, TLS included.
pub(crate) async fn accept<F>(
    sockets: Vec<Socket>,
    connections_max: usize,
    stop: CancellationToken,
    serve: impl Fn(Stream, Peer) -> F,
) -> JoinSet<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut open = JoinSet::new();
    let places = Arc::new(Semaphore::new(connections_max));
    loop {
        let place = tokio::select! {
            biased;
            () = stop.cancelled() => return open,
            // The semaphore is never closed.
            Ok(place) = Arc::clone(&places).acquire_owned() => place,
        };
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return open,
            accepted = accept_any(&sockets) => accepted,
        };
        while open.try_join_next().is_some() {}
        match accepted {
            Ok((stream, peer)) => {
                let connection = serve(stream, peer);
                open.spawn(async move {
                    connection.await;
                    drop(place);
                });
            }
            Err(error) if peer_left(&error) => {}
            Err(error) => {
                // Out of file descriptors or memory: the connection stays in the queue, so trying at once would spin.
                tracing::warn!(%error, pause_ms = ACCEPT_PAUSE_MS, "cannot accept a connection");
                tokio::select! {
                    () = stop.cancelled() => return open,
                    () = tokio::time::sleep(Duration::from_millis(ACCEPT_PAUSE_MS)) => {}
                }
            }
        }
    }
}

/// The next connection on any of the sockets.
async fn accept_any(sockets: &[Socket]) -> io::Result<(Stream, Peer)> {
    poll_fn(|context| {
        let ready = sockets.iter().map(|socket| socket.poll_accept(context)).find(Poll::is_ready);
        ready.unwrap_or(Poll::Pending)
    })
    .await
}

impl Socket {
    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<(Stream, Peer)>> {
        match self {
            Self::Tcp(socket) => socket.poll_accept(context).map_ok(|(stream, address)| {
                // Answers are small and complete; waiting to fill a packet would only delay them.
                let _ = stream.set_nodelay(true);
                (Either::Left(stream), Peer::Tcp(address))
            }),
            Self::Unix(Unix { listener, .. }) => listener.poll_accept(context).map_ok(|(stream, _)| {
                let peer = stream.peer_cred().ok();
                let uid = peer.map(|peer| peer.uid());
                let pid = peer.and_then(|peer| peer.pid());
                (Either::Right(stream), Peer::Unix { uid, pid })
            }),
        }
    }
}

/// The peer was gone before it was accepted; the next one is not.
fn peer_left(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
