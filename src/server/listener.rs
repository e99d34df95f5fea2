//! The accept loop: takes connections, no more than there may be, until it is told to stop.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long to wait when the process or the machine has no room for another connection.
const ACCEPT_PAUSE_MS: u64 = 200;

/// Accepts on all sockets until `stop` fires, then closes them and returns the connections that are still open. `serve` is one
/// connection, TLS included.
pub(crate) async fn accept<F>(
    sockets: Vec<TcpListener>,
    connections_max: usize,
    stop: CancellationToken,
    serve: impl Fn(TcpStream, SocketAddr) -> F,
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
                // Answers are small and complete; waiting to fill a packet would only delay them.
                let _ = stream.set_nodelay(true);
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
async fn accept_any(sockets: &[TcpListener]) -> io::Result<(TcpStream, SocketAddr)> {
    poll_fn(|context| {
        let ready = sockets.iter().map(|socket| socket.poll_accept(context)).find(Poll::is_ready);
        ready.unwrap_or(Poll::Pending)
    })
    .await
}

/// The peer was gone before it was accepted; the next one is not.
fn peer_left(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
